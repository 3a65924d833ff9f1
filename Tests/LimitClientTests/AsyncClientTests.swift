// The async client, against the real daemon and one that lies.

import DaemonSupport
import Foundation
import Glibc
import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

extension DaemonTests {
  @Suite struct AsyncClientTests {
    private func client(
      _ path: String, observer: (any LimitClientObserver)? = nil,
      _ adjust: (inout ClientConfiguration) -> Void = { _ in }
    ) -> AsyncLimitClient {
      AsyncLimitClient(.test(path, adjust), observer: observer)
    }

    /// Waits for a condition, without a thread.
    private func wait(for what: String, _ condition: () async throws -> Bool) async throws {
      for _ in 0..<6000 {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(5))
      }
      Issue.record("waited in vain for \(what)")
    }

    private func failure<Value>(_ call: () async throws(LimitClientError) -> Value) async
      -> LimitClientError?
    {
      do throws(LimitClientError) {
        _ = try await call()
        return nil
      } catch {
        return error
      }
    }

    @Test func tasksShareAConnectionAndTheirChargesAreExact() async throws {
      let daemon = try TestDaemon()
      let client = client(daemon.socketPath)
      await withTaskGroup { group in
        for _ in 0..<200 {
          group.addTask {
            for _ in 0..<50 {
              do {
                let decision = try await client.check(tenant: "acme", policy: "many", key: "k")
                #expect(decision.isAllowed && decision.limit == "many")
              } catch {
                Issue.record(error)
              }
            }
          }
        }
      }
      let left = try await client.peek(tenant: "acme", policy: "many")
      #expect(left.remaining == 10_000_000_000 - 10_000)
    }

    /// All on one thread: were it blocked by one of the calls, nothing else would go on there.
    @Test func aStoppedDaemonHoldsUpNoTaskThatDoesNotAskIt() async throws {
      let daemon = try TestDaemon()
      let client = client(daemon.socketPath)
      _ = try await client.ping()
      let (thread, asked) = (OneThread(), Count())
      daemon.pause()
      let calls = (0..<200).map { _ in
        Task.detached(executorPreference: thread) {
          asked.add()
          _ = try? await client.check(tenant: "acme", policy: "many")
        }
      }
      let delays = try await Task.detached(executorPreference: thread) {
        // Only what is late because of the calls counts: all of them have begun.
        while asked.value < 200 { await Task.yield() }
        var delays: [Duration] = []
        for _ in 0..<101 {
          let start = Moment.now
          try await Task.sleep(for: .milliseconds(1))
          delays.append(Moment.now.since(start) - .milliseconds(1))
        }
        return delays.sorted()
      }.value
      daemon.signal(SIGCONT)
      for call in calls { await call.value }
      // A loaded machine makes some late, by much, but not most.
      #expect(delays[50] < .milliseconds(20), "\(delays)")
      let left = try await client.peek(tenant: "acme", policy: "many")
      #expect(left.remaining == 10_000_000_000 - 200)
    }

    private final class ThisThread: TaskExecutor {
      func enqueue(_ job: consuming ExecutorJob) {
        UnownedJob(job).runSynchronously(on: asUnownedTaskExecutor())
      }
    }

    @Test func aForkedProcessIsToldToMakeItsOwnClient() async throws {
      let daemon = try TestDaemon()
      let client = client(daemon.socketPath)
      let permit = try #require(try await client.acquire(tenant: "acme", policy: "held").permit)
      // The runtime needs no lock any more for what it has done once.
      Task.detached(executorPreference: ThisThread()) {}
      #expect(
        inForkedChild {
          let told = Count()
          // The child has no other thread: the call runs on this one.
          Task.detached(executorPreference: ThisThread()) {
            do throws(LimitClientError) {
              _ = try await client.check(tenant: "acme", policy: "few")
            } catch {
              if error.code == .forked { told.add() }
            }
          }
          permit.release()
          return told.value == 1 && !permit.isHeld
        })
      // The child has closed nothing, and released nothing.
      #expect(permit.isHeld)
      #expect(try await client.peek(tenant: "acme", policy: "held").remaining == 1)
    }

    @Test func everyDeadlineIsKeptForItsOwnCall() async throws {
      let server = try LyingServer { conversation in
        try conversation.greet()
        while true { _ = try conversation.next() }
      }
      let client = client(server.path)
      await withTaskGroup { group in
        for number in 0..<50 {
          group.addTask {
            let error = await failure { () async throws(LimitClientError) in
              try await client.check(
                tenant: "acme", policy: "p", timeout: .milliseconds(10 + number * 3))
            }
            #expect(error?.code == .timedOut)
          }
        }
      }
    }

    @Test func aCancelledCallEndsAndItsPermitGoesBack() async throws {
      let gate = Gate()
      let server = try serverHolding(.acquireByName, until: gate)
      let client = client(server.path)
      let task = Task { () -> LimitClientError? in
        await failure { () async throws(LimitClientError) in
          try await client.acquire(tenant: "acme", policy: "p")
        }
      }
      try await wait(for: "the request") { server.count(.acquireByName) == 1 }
      task.cancel()
      let error = await task.value
      #expect(error?.code == .cancelled && error?.mayHaveBeenDecided == true)
      gate.open()
      try await wait(for: "the release") { server.count(.release) == 1 }
    }

    @Test func cancellingAtAnyTimeLosesNoPermit() async throws {
      let daemon = try TestDaemon()
      let client = client(daemon.socketPath)
      var random = SeededGenerator(seed: testSeed)
      for _ in 0..<200 {
        let pause = UInt32.random(in: 0...300, using: &random)
        let tasks = (0..<8).map { _ in
          Task { try? await client.acquire(tenant: "acme", policy: "held").permit?.release() }
        }
        usleep(pause)
        for task in tasks { task.cancel() }
        for task in tasks { _ = await task.value }
      }
      try await wait(for: "all permits") {
        try await client.peek(tenant: "acme", policy: "held").remaining == 2
      }
    }

    @Test func permitsAreKeptReleasedAndTheirLossIsTold() async throws {
      let daemon = try TestDaemon()
      let observer = RecordingObserver()
      let client = client(daemon.socketPath, observer: observer)
      let outcome = try await client.withPermit(tenant: "acme", policy: "held") { acquisition in
        #expect(acquisition.permit?.isHeld == true)
        return try await client.peek(tenant: "acme", policy: "held").remaining
      }
      #expect(outcome.value == 1)
      let permit = try #require(try await client.acquire(tenant: "acme", policy: "held").permit)
      daemon.kill()
      try await wait(for: "the loss to be told") { observer.words.contains("lost 1") }
      #expect(!permit.isHeld)
      try daemon.start()
      #expect(try await client.check(tenant: "acme", policy: "few").isAllowed)
      try await wait(for: "the return to be told") { observer.words.count == 3 }
      #expect(observer.words == ["away connectionLost", "lost 1", "back"])
    }

    @Test func tasksGoOnThroughTheDaemonsEnds() async throws {
      let daemon = try TestDaemon()
      let client = client(daemon.socketPath) { $0.callTimeout = .seconds(5) }
      let (allowed, uncertain) = (Count(), Count())
      for round in 0..<6 {
        let (enough, failed) = (allowed.value + 1000, Count())
        try await withThrowingTaskGroup { group in
          for _ in 0..<200 {
            group.addTask {
              while failed.value == 0 {
                do throws(LimitClientError) {
                  if try await client.check(tenant: "acme", policy: "many").isAllowed {
                    allowed.add()
                  }
                } catch {
                  #expect(error.isAway)
                  if error.mayHaveBeenDecided { uncertain.add() }
                  failed.add()
                }
              }
            }
          }
          try await wait(for: "calls") { allowed.value > enough }
          if round.isMultiple(of: 2) { daemon.kill() } else { _ = try daemon.stop() }
          try await group.waitForAll()
        }
        try daemon.start()
        // What the tasks were told is charged, and of what they were not told at most all.
        let remaining = try await client.peek(tenant: "acme", policy: "many").remaining
        let charged = 10_000_000_000 - Int(remaining)
        #expect(allowed.value <= charged && charged <= allowed.value + uncertain.value)
      }
    }

    @Test func manyTasksAreAllAnsweredThroughReloadsAndPauses() async throws {
      let daemon = try TestDaemon()
      let client = client(daemon.socketPath)
      let (allowed, isOver) = (Count(), Count())
      try await withThrowingTaskGroup { group in
        for _ in 0..<200 {
          group.addTask {
            while isOver.value == 0 {
              if try await client.check(tenant: "acme", policy: "many").isAllowed { allowed.add() }
            }
          }
        }
        for _ in 0..<5 {
          let enough = allowed.value + 1000
          try daemon.reload(policy: DaemonOptions.defaultPolicy)
          daemon.pause()
          try await Task.sleep(for: .milliseconds(20))
          daemon.signal(SIGCONT)
          try await wait(for: "calls") { allowed.value > enough }
        }
        isOver.add()
        try await group.waitForAll()
      }
      let remaining = try await client.peek(tenant: "acme", policy: "many").remaining
      #expect(remaining == 10_000_000_000 - UInt64(allowed.value))
    }

    @Test func aBatchOfTasksIsDecidedWhole() async throws {
      let daemon = try TestDaemon { $0.settings = "  limits: {handles: 8}" }
      let client = client(daemon.socketPath)
      let queries = (0..<20_000).map { LimitQuery(tenant: "t-\($0 % 50)", policy: "many") }
      let results = await client.batch(queries)
      #expect(try results.allSatisfy { try $0.get().isAllowed && $0.get().limit == "many" })
      let decision = try await client.peek(tenant: "t-7", policy: "many")
      #expect(decision.remaining == 10_000_000_000 - 400)
      daemon.pause()
      let late = await client.batch(queries, CallOptions(timeout: .milliseconds(100)))
      daemon.signal(SIGCONT)
      for result in late {
        #expect(
          await failure { () async throws(LimitClientError) in try result.get() }?.code == .timedOut
        )
      }
    }

    @Test func settleAndRefundCorrectADecision() async throws {
      let daemon = try TestDaemon()
      let client = client(daemon.socketPath)
      let first = try await client.check(tenant: "acme", policy: "budget", cost: 100)
      try await client.settle(first.receipt, actual: 30)
      let second = try await client.check(tenant: "acme", policy: "budget", cost: 100)
      try await client.refund(second.receipt)
      #expect(try await client.peek(tenant: "acme", policy: "budget").remaining == 970)
    }

    @Test func aClientThatIsShutDownGivesItsPermitsBackAndRefusesCalls() async throws {
      let daemon = try TestDaemon()
      let client = client(daemon.socketPath)
      let permit = try #require(try await client.acquire(tenant: "acme", policy: "held").permit)
      client.shutDown()
      let error = await failure { () async throws(LimitClientError) in
        try await client.check(tenant: "acme", policy: "few")
      }
      #expect(error?.code == .closed && !permit.isHeld)
      let other = self.client(daemon.socketPath)
      try await wait(for: "the permit") {
        try await other.peek(tenant: "acme", policy: "held").remaining == 2
      }
    }

    @Test func aClientsThreadAndDescriptorsEndWithIt() async throws {
      let daemon = try TestDaemon()
      func count(_ what: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/\(what)").count
      }
      // Each stack that is left is two.
      func mappings() throws -> Int {
        try String(contentsOfFile: "/proc/self/maps", encoding: .utf8).split(separator: "\n").count
      }
      let (threads, descriptors) = (try count("task"), try count("fd"))
      let mapped = try mappings()
      for _ in 0..<100 { _ = try await client(daemon.socketPath).ping() }
      try await wait(for: "the threads to end") {
        try count("task") <= threads + 8 && count("fd") <= descriptors + 8
      }
      #expect(try mappings() < mapped + 100)
    }

    @Test func codeThatAsksIsTestedWithoutADaemon() async throws {
      struct Always: LimitChecking {
        let answer: LimitDecision
        func check(_ query: LimitQuery, _ options: CallOptions) async throws(LimitClientError)
          -> LimitDecision
        { answer }
        func peek(_ query: LimitQuery, _ options: CallOptions) async throws(LimitClientError)
          -> LimitDecision
        { answer }
        func acquire(_ query: LimitQuery, _ options: CallOptions) async throws(LimitClientError)
          -> LimitAcquisition
        { LimitAcquisition(answer, LimitPermit()) }
        func batch(_ queries: [LimitQuery], _ options: CallOptions) async
          -> [Result<LimitDecision, LimitClientError>]
        { queries.map { _ in .success(answer) } }
        func settle(_ receipt: LimitReceipt, actual: UInt64, _ options: CallOptions)
          async throws(LimitClientError)
        {}
      }
      let limits = Always(answer: LimitDecision(.deny, limit: "few", retryAfterNanoseconds: 1))
      let decision = try await limits.check(tenant: "acme", policy: "few", key: "bob")
      #expect(decision.retryAfterSeconds == 1 && decision.limit == "few")
    }
  }
}
