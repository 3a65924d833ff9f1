// Both clients at once, under 8 threads and 200 tasks that do all that they may, while the daemon is killed, stopped,
// paused and reloaded at random. Whatever becomes of it: nobody waits for ever, no permit is lost, and what was charged is
// what callers were told. A few seconds, or LIMITD_CHAOS_SECONDS.

import DaemonSupport
import Foundation
import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

extension DaemonTests {
  @Suite struct ChaosTests {
    private static let permits = 64
    private static let policy = """
      limits:
        many: {algorithm: sliding-window, limit: 10G, window: 31d, scope: tenant}
        held: {algorithm: concurrency, limit: \(permits), scope: tenant}
      policies: {many: [many], held: [held]}
      tenants: {acme: {}}
      """
    /// The same, with another limit's name: so that names are learnt anew.
    private static let renamed = policy.replacingOccurrences(of: "held:", with: "taken:")
      .replacingOccurrences(of: "taken: [held]", with: "held: [taken]")

    /// What callers were told.
    private final class Tally: Sendable {
      let (allowed, uncertain, answered, isOver) = (Count(), Count(), Count(), Count())

      func note(_ result: Result<LimitDecision, LimitClientError>) {
        answered.add()
        switch result {
        case .success(let decision):
          if decision.isAllowed { allowed.add() }
        case .failure(let error):
          #expect(error.isAway || error.code == .cancelled, "\(error)")
          if error.mayHaveBeenDecided { uncertain.add() }
        }
      }
    }

    private static func options(_ random: inout SeededGenerator) -> CallOptions {
      // Some do not wait for what takes long.
      CallOptions(timeout: Bool.random(using: &random) ? .seconds(10) : .milliseconds(20))
    }

    private static let many = LimitQuery(tenant: "acme", policy: "many")
    private static let held = LimitQuery(tenant: "acme", policy: "held")

    private static func thread(
      _ client: BlockingLimitClient, _ tally: Tally, _ random: inout SeededGenerator
    ) {
      let options = options(&random)
      switch Int.random(in: 0..<8, using: &random) {
      case 0:
        for result in client.batch([LimitQuery](repeating: many, count: 20), options) {
          tally.note(result)
        }
      case 1, 2:
        guard let permit = try? client.acquire(held, options).permit else { return }
        if Bool.random(using: &random) { _ = permit.isHeld }
        usleep(UInt32.random(in: 0...500, using: &random))
      default:
        tally.note(
          Result { () throws(LimitClientError) in try client.check(many, options) })
      }
    }

    private static func task(
      _ client: AsyncLimitClient, _ tally: Tally, _ random: inout SeededGenerator
    ) async {
      let options = options(&random)
      switch Int.random(in: 0..<8, using: &random) {
      case 0:
        for result in await client.batch([LimitQuery](repeating: many, count: 20), options) {
          tally.note(result)
        }
      case 1:
        guard let permit = try? await client.acquire(held, options).permit else { return }
        if Bool.random(using: &random) { _ = permit.isHeld }
        await Task.yield()
      case 2:
        // Cancelled amid it.
        let call = Task { try? await client.acquire(held, options).permit }
        await Task.yield()
        call.cancel()
        _ = await call.value
      default:
        do throws(LimitClientError) {
          tally.note(.success(try await client.check(many, options)))
        } catch {
          tally.note(.failure(error))
        }
      }
    }

    /// Does one thing to the daemon.
    private static func harm(_ daemon: TestDaemon, _ random: inout SeededGenerator) throws {
      usleep(UInt32.random(in: 1000...150_000, using: &random))
      switch Int.random(in: 0..<6, using: &random) {
      case 0:
        daemon.kill()
        usleep(UInt32.random(in: 0...50_000, using: &random))
        try daemon.start()
      case 1:
        _ = try daemon.stop()
        try daemon.start()
      case 2: try daemon.reload(policy: renamed)
      case 3: try daemon.reload(policy: policy)
      default:
        daemon.pause()
        usleep(UInt32.random(in: 0...200_000, using: &random))
        daemon.signal(SIGCONT)
      }
    }

    @Test func nothingIsLostWhateverBecomesOfTheDaemon() throws {
      let given = ProcessInfo.processInfo.environment["LIMITD_CHAOS_SECONDS"].flatMap { Int($0) }
      let end = Moment.after(.seconds(given ?? 4))
      let daemon = try TestDaemon { $0.policy = Self.policy }
      let observer = RecordingObserver()
      let blocking = BlockingLimitClient(.test(daemon.socketPath), observer: observer)
      let suspending = AsyncLimitClient(.test(daemon.socketPath), observer: observer)
      var random = SeededGenerator(seed: testSeed)
      var (allowed, uncertain, rounds) = (0, 0, 0)
      repeat {
        let (tally, ended) = (Tally(), Count())
        let seed = random.next()
        for number in 0..<8 {
          Thread.detachNewThread {
            var random = SeededGenerator(seed: seed &+ UInt64(number))
            while tally.isOver.value == 0 { Self.thread(blocking, tally, &random) }
            ended.add()
          }
        }
        for number in 8..<208 {
          Task.detached {
            var random = SeededGenerator(seed: seed &+ UInt64(number))
            while tally.isOver.value == 0 { await Self.task(suspending, tally, &random) }
            ended.add()
          }
        }
        for _ in 0..<12 { try Self.harm(daemon, &random) }
        tally.isOver.add()
        // A call is over within its timeout, where the tasks' pool has a thread for it.
        try wait(for: "every call", seconds: 300) { ended.value == 208 }
        allowed += tally.allowed.value
        uncertain += tally.uncertain.value
        rounds += 1
        try check(blocking, allowed...allowed + uncertain)
      } while Moment.now < end
      print("chaos: \(rounds) rounds, \(allowed) allowed, \(uncertain) uncertain")
      #expect(allowed > 100 * rounds)
      try expectOrder(observer.words)
    }

    /// All permits are back, and so much is charged.
    private func check(_ client: BlockingLimitClient, _ charges: ClosedRange<Int>) throws {
      try wait(for: "all permits", seconds: 120) {
        try client.peek(Self.held, CallOptions()).remaining == Self.permits
      }
      let charged = 10_000_000_000 - Int(try client.peek(Self.many, CallOptions()).remaining)
      #expect(charges.contains(charged), "\(charges) \(charged)")
    }

    /// Two clients are told each for itself: as often back as away, but for one that is away now.
    private func expectOrder(_ words: [String]) throws {
      var away = 0
      for word in words {
        if word == "back" { away -= 1 } else if word.hasPrefix("away") { away += 1 }
        #expect((0...2).contains(away))
      }
    }
  }
}
