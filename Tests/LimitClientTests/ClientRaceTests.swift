// Threads and tasks that do all that they may at the same time, on connections that end amid it. What is
// sought is what ThreadSanitizer sees, of threads, and a call that never ends; what each call comes to is tested
// elsewhere.

import DaemonSupport
import Foundation
import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

@Suite struct ClientRaceTests {
  /// Answers as limitd would, and ends each connection after some requests.
  private func fleetingServer() throws -> LyingServer {
    try LyingServer { conversation in
      try conversation.greet()
      var random = SeededGenerator(seed: testSeed &+ UInt64(conversation.number))
      for _ in 0..<Int.random(in: 20...400, using: &random) {
        conversation.answer(try conversation.next())
      }
    }
  }

  private let queries = (0..<300).map { LimitQuery(tenant: "t-\($0 % 20)", policy: "p", key: "k") }

  @Test func threadsThatDoAllAtOnceAreAllAnswered() throws {
    let server = try fleetingServer()
    let observer = RecordingObserver()
    let client = BlockingLimitClient(.test(server.path), observer: observer)
    let answered = Count()
    let rounds = 300 / scale
    onThreads(8) { thread in
      var random = SeededGenerator(seed: testSeed &+ UInt64(thread))
      var held: [LimitPermit] = []
      for _ in 0..<rounds {
        let tenant = "t-\(Int.random(in: 0..<20, using: &random))"
        do throws(LimitClientError) {
          switch Int.random(in: 0..<6, using: &random) {
          case 0: _ = try client.check(tenant: tenant, policy: "p")
          case 1:
            let timeout = Duration.microseconds(Int.random(in: 50...5000, using: &random))
            if let permit = try client.acquire(tenant: tenant, policy: "p", timeout: timeout).permit
            {
              held.append(permit)
            }
          case 2: held.popLast()?.release()
          case 3: _ = held.last?.isHeld
          case 4:
            let results = client.batch(queries)
            #expect(results.count == queries.count)
            for result in results { _ = try result.get() }
          default: _ = try client.limits(tenant: tenant, policy: "p")
          }
        } catch {
          #expect(error.isAway, "\(error)")
        }
        answered.add()
      }
    }
    #expect(answered.value == 8 * rounds)
  }

  #if !ONLY_THREADS

  @Test func tasksThatDoAllAtOnceAndAreCancelledAreAllAnswered() async throws {
    let server = try fleetingServer()
    let client = AsyncLimitClient(.test(server.path), observer: RecordingObserver())
    let answered = Count()
    var calls: [Task<Void, Never>] = []
    for number in 0..<40 {
      let call = Task {
        var random = SeededGenerator(seed: testSeed &+ UInt64(number))
        var held: LimitPermit?
        for _ in 0..<30 {
          do throws(LimitClientError) {
            switch Int.random(in: 0..<5, using: &random) {
            case 0: _ = try await client.check(tenant: "acme", policy: "p")
            case 1:
              let timeout = Duration.microseconds(Int.random(in: 50...5000, using: &random))
              held = try await client.acquire(tenant: "acme", policy: "p", timeout: timeout).permit
            case 2: held?.release()
            case 3: _ = held?.isHeld
            default:
              for result in await client.batch(queries) { _ = try result.get() }
            }
          } catch {
            #expect(error.isAway || error.code == .cancelled, "\(error)")
          }
        }
        answered.add()
      }
      calls.append(call)
    }
    // Half of them, while the others go on.
    for call in calls.prefix(20) {
      await Task.yield()
      call.cancel()
    }
    for call in calls { await call.value }
    #expect(answered.value == 40)
  }

  /// Whoever gives a permit back may hold a lock that a cancelled task's handler wants: whom that resumes,
  /// it must not wait for (docs/decisions/0031).
  @Test func aPermitGoesBackUnderALockThatCancelledTasksWant() async throws {
    let server = try fleetingServer()
    let client = AsyncLimitClient(.test(server.path), observer: RecordingObserver())
    let lock = NSLock()
    for _ in 0..<200 {
      let permits = [
        try? await client.acquire(tenant: "acme", policy: "p").permit,
        try? await client.acquire(tenant: "acme", policy: "p").permit,
      ]
      let calls = (0..<6).map { _ in
        Task {
          await withTaskCancellationHandler {
            _ = try? await client.acquire(tenant: "acme", policy: "p")
          } onCancel: {
            lock.withLock {}
          }
        }
      }
      onThreads(3) { thread in
        switch thread {
        case 2: for call in calls { call.cancel() }
        default: lock.withLock { permits[thread]?.release() }
        }
      }
      for call in calls { await call.value }
    }
  }
  #endif
}
