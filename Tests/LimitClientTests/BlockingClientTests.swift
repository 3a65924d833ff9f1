// The blocking client against the real daemon: stopped, killed, restarted, reloaded, and full.

import DaemonSupport
import Foundation
import Glibc
import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

extension DaemonTests {
  @Suite struct BlockingClientTests {
    private func client(
      _ daemon: TestDaemon, observer: (any LimitClientObserver)? = nil,
      _ adjust: (inout ClientConfiguration) -> Void = { _ in }
    ) -> BlockingLimitClient {
      BlockingLimitClient(.test(daemon.socketPath, adjust), observer: observer)
    }

    @Test func aLimitAdmitsExactlyWhatItHoldsAndSaysWhichItWas() throws {
      let daemon = try TestDaemon()
      let client = client(daemon)
      for place in 0..<5 {
        let decision = try client.check(tenant: "acme", policy: "few", key: "bob")
        #expect(decision.isAllowed && decision.remaining == UInt64(4 - place))
        #expect(decision.limit == "few" && decision.capacity == 5)
      }
      let denied = try client.check(tenant: "acme", policy: "few", key: "bob")
      #expect(denied.outcome == .deny && denied.limit == "few")
      #expect((denied.retryAfterSeconds ?? 0) > 80_000)
      #expect(try client.peek(tenant: "acme", policy: "few", key: "eve").remaining == 5)
    }

    @Test func limitsThatWouldHaveDeniedAreNamed() throws {
      let daemon = try TestDaemon { options in
        options.policy = """
          limits:
            one: {algorithm: token-bucket, rate: 1/1d, burst: 1, scope: tenant, mode: shadow}
            two: {algorithm: token-bucket, rate: 1/1d, burst: 2, scope: tenant}
            any: {algorithm: token-bucket, rate: 1/1d, burst: 1, scope: tenant, mode: shadow}
          policies: {all: [one, two, any]}
          tenants: {acme: {}, free: {unlimited: true}}
          """
      }
      let client = client(daemon)
      let asked = try (0..<3).map { _ in try client.check(tenant: "acme", policy: "all") }
      #expect(asked.map(\.outcome) == [.allow, .allow, .deny])
      #expect(asked.map(\.wouldHaveDenied) == [[], ["one", "any"], ["one", "any"]])
      let free = try client.check(tenant: "free", policy: "all", cost: 2)
      #expect(free.isAllowed && free.reason == .unlimited)
      #expect(free.wouldHaveDenied == ["one", "any"])
      let batch = client.batch([LimitQuery(tenant: "free", policy: "all", cost: 2)])
      #expect(try batch[0].get().wouldHaveDenied == ["one", "two", "any"])
    }

    /// Names come and go between two handles while a stranger asks: nothing of a stranger is ever
    /// admitted, and each tenant is charged what it asked for.
    @Test func handlesThatAreReusedNeverChargeAnotherTenant() throws {
      func policy(_ spare: String) -> String {
        """
        limits:
          many: {algorithm: sliding-window, limit: 1M, window: 31d, scope: tenant}
          \(spare): {algorithm: token-bucket, rate: 1M/s, burst: 1M, scope: tenant}
        policies: {many: [many, \(spare)], other: [many]}
        tenants: {ann: {}, bob: {}, cyn: {}, dan: {}}
        """
      }
      let daemon = try TestDaemon { options in
        options.settings = "  limits: {handles: 2}"
        options.policy = policy("spare")
      }
      let client = client(daemon)
      let tenants = ["ann", "bob", "cyn", "dan"]
      let asked = tenants.map { _ in Count() }
      try withBackground(8) { background, thread in
        var random = SeededGenerator(seed: testSeed &+ UInt64(thread))
        for _ in 0..<500 {
          let place = Int.random(in: 0...4, using: &random)
          let policy = random.chance(1, in: 2) ? "many" : "other"
          do throws(LimitClientError) {
            let name = place == 4 ? "ghost" : tenants[place]
            let decision = try client.check(tenant: name, policy: policy)
            #expect(decision.isAllowed == (place < 4))
            if place < 4 { asked[place].add() }
          } catch {
            Issue.record(error)
          }
          background.didRound()
        }
      } during: { background in
        // A limit is renamed meanwhile, and so the tag of a policy changes.
        for round in 1...5 {
          try wait(for: "calls") { background.roundCount >= round * 600 }
          try daemon.reload(policy: policy("spare-\(round)"))
        }
        try wait(for: "the last calls") { background.roundCount == 4000 }
      }
      for (place, tenant) in tenants.enumerated() {
        let decision = try client.peek(tenant: tenant, policy: "many")
        #expect(1_000_000 - decision.remaining == UInt64(asked[place].value))
      }
    }

    /// As many as a daemon has handles for, by default, and one more: the first makes room.
    @Test func moreTenantsThanHandlesAreEachChargedWhatTheyAsked() throws {
      let tenants = (0..<1025).map { "tenant-\($0)" }
      let daemon = try TestDaemon { options in
        options.policy = """
          limits:
            many: {algorithm: sliding-window, limit: 1M, window: 31d, scope: tenant}
          policies: {many: [many]}
          tenants: {\(tenants.map { "\($0): {}" }.joined(separator: ", "))}
          """
      }
      let client = client(daemon)
      for _ in 0..<2 {
        for tenant in tenants {
          #expect(try client.check(tenant: tenant, policy: "many").limit == "many")
        }
        #expect(try client.check(tenant: "ghost", policy: "many").outcome == .deny)
      }
      for tenant in tenants {
        #expect(try client.peek(tenant: tenant, policy: "many").remaining == 999_998)
      }
    }

    @Test func aLimitThatIsRenamedByAReloadIsToldByItsNewName() throws {
      let daemon = try TestDaemon()
      let client = client(daemon)
      #expect(try client.check(tenant: "acme", policy: "few").limit == "few")
      #expect(try client.limits(tenant: "acme", policy: "few").map(\.name) == ["few"])
      try daemon.reload(
        policy: DaemonOptions.defaultPolicy.replacing("few: {", with: "little: {")
          .replacing("[few]", with: "[little]").replacing(
            "many, few, held", with: "many, little, held"))
      #expect(try client.limits(tenant: "acme", policy: "few").map(\.name) == ["little"])
      #expect(try client.check(tenant: "acme", policy: "few").limit == "little")
      let batch = client.batch([LimitQuery(tenant: "acme", policy: "few", key: "b")])
      #expect(try batch[0].get().limit == "little")
    }

    @Test func settleCorrectsADecisionAndRefundTakesItBack() throws {
      let daemon = try TestDaemon()
      let client = client(daemon)
      let first = try client.check(tenant: "acme", policy: "budget", cost: 100)
      try client.settle(first.receipt, actual: 30)
      #expect(try client.peek(tenant: "acme", policy: "budget").remaining == 970)
      let second = try client.check(tenant: "acme", policy: "budget", cost: 100)
      try client.refund(second.receipt)
      #expect(try client.peek(tenant: "acme", policy: "budget").remaining == 970)
      let denied = try client.check(tenant: "banned", policy: "budget")
      try client.refund(denied.receipt)
    }

    @Test func aReceiptOfOtherLimitsIsStaleAndChangesNothing() throws {
      let daemon = try TestDaemon()
      let client = client(daemon)
      let receipt = try client.check(tenant: "acme", policy: "budget", cost: 100).receipt
      try daemon.reload(
        policy: DaemonOptions.defaultPolicy.replacing("budget: {", with: "tokens: {")
          .replacing("[budget]", with: "[tokens]"))
      #expect(try client.check(tenant: "acme", policy: "budget", cost: 100).limit == "tokens")
      #expect {
        try client.refund(receipt)
      } throws: {
        ($0 as? LimitClientError)?.daemonError == .staleReceipt
      }
      #expect(try client.peek(tenant: "acme", policy: "budget").remaining == 900)
    }

    @Test func theDaemonsEndIsSurvivedAndADeadConnectionIsNoCallersTrouble() throws {
      let daemon = try TestDaemon()
      let client = client(daemon)
      for round in 0..<20 {
        #expect(try client.check(tenant: "acme", policy: "many").isAllowed)
        if round.isMultiple(of: 2) { daemon.kill() } else { _ = try daemon.stop() }
        try daemon.start()
        let results = client.batch([LimitQuery(tenant: "acme", policy: "many", key: "k")])
        #expect(try results[0].get().isAllowed)
      }
    }

    @Test func threadsThatGoOnWhileTheDaemonEndsChargeWhatTheyWereTold() throws {
      let daemon = try TestDaemon()
      let client = client(daemon) { $0.callTimeout = .seconds(5) }
      let (allowed, uncertain) = (Count(), Count())
      for round in 0..<10 {
        let (allowedBefore, uncertainBefore) = (allowed.value, uncertain.value)
        try withBackground(8) { background, _ in
          while !background.isOver {
            do throws(LimitClientError) {
              if try client.check(tenant: "acme", policy: "many").isAllowed { allowed.add() }
            } catch {
              if error.mayHaveBeenDecided { uncertain.add() }
              // While it is away, callers need not spin.
              usleep(500)
            }
            background.didRound()
          }
        } during: { background in
          try wait(for: "calls") { background.roundCount > 200 }
          if round.isMultiple(of: 2) { daemon.kill() } else { _ = try daemon.stop() }
        }
        // Each thread had at most one call on its way.
        #expect(uncertain.value - uncertainBefore <= 8)
        #expect(allowed.value > allowedBefore)
        try daemon.start()
        // What it was told is charged, and of what it was not told at most what was on its way.
        let before = try client.peek(tenant: "acme", policy: "many").remaining
        let charged = 10_000_000_000 - Int(before)
        #expect(allowed.value <= charged && charged <= allowed.value + uncertain.value)
        for _ in 0..<100 {
          if try client.check(tenant: "acme", policy: "many").isAllowed { allowed.add() }
        }
        #expect(try client.peek(tenant: "acme", policy: "many").remaining == before - 100)
      }
    }

    @Test func eightThreadsAreAllAnsweredThroughReloadsAndPauses() throws {
      let daemon = try TestDaemon()
      let client = client(daemon)
      let allowed = Count()
      try withBackground(8) { background, _ in
        while !background.isOver {
          if try client.check(tenant: "acme", policy: "many").isAllowed { allowed.add() }
          background.didRound()
        }
      } during: { background in
        for _ in 0..<5 {
          let before = background.roundCount
          try daemon.reload(policy: DaemonOptions.defaultPolicy)
          daemon.pause()
          usleep(20_000)
          daemon.signal(SIGCONT)
          try wait(for: "calls") { background.roundCount > before + 100 }
        }
        #expect(background.failureCount == 0)
      }
      let remaining = try client.peek(tenant: "acme", policy: "many").remaining
      #expect(remaining == 10_000_000_000 - UInt64(allowed.value))
    }

    @Test func aFullDaemonMeansAwayToEveryCall() throws {
      let daemon = try TestDaemon { $0.settings = "  limits: {connections: 1}" }
      let holder = client(daemon)
      // The connection that saw the daemon start may still count.
      try wait(for: "the only connection") { (try? holder.ping()) != nil }
      let client = client(daemon) { $0.whenAway = .allow }
      for _ in 0..<50 {
        let decision = try client.check(tenant: "acme", policy: "few")
        #expect(decision.isAllowed && decision.reason == .daemonAway)
      }
      // Why is told, also where the daemon has closed before the hello could be sent.
      for _ in 0..<200 {
        let error = failure { () throws(LimitClientError) in
          try self.client(daemon).ping()
        }
        #expect(
          error?.code == .unreachable && error?.daemonError == .limitReached
            && error?.mayHaveBeenDecided == false, "\(String(describing: error))")
        let pipelined = failure { () throws(LimitClientError) in
          try PipelinedConnection.open(.test(daemon.socketPath))
        }
        #expect(
          pipelined?.code == .unreachable && pipelined?.daemonError == .limitReached,
          "\(String(describing: pipelined))")
      }
      withExtendedLifetime(holder) {}
    }

    @Test func thousandsOfClientsLeakNoDescriptorHereOrInTheDaemon() throws {
      let daemon = try TestDaemon()
      func count() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
      }
      let before = try count()
      for _ in 0..<3000 {
        let client = client(daemon)
        _ = try client.ping()
      }
      #expect(try count() <= before + 2)
      try wait(for: "the daemon to close, too") { daemon.descriptorCount < 40 }
    }

    @Test func codeThatBlocksIsTestedWithoutADaemon() throws {
      struct Always: BlockingLimitChecking {
        let answer: LimitDecision
        let released = Count()
        func check(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError)
          -> LimitDecision
        { answer }
        func peek(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError)
          -> LimitDecision
        { throw LimitClientError(.unreachable, "not today") }
        func acquire(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError)
          -> LimitAcquisition
        { LimitAcquisition(answer, LimitPermit { released.add() }) }
        func batch(_ queries: [LimitQuery], _ options: CallOptions)
          -> [Result<LimitDecision, LimitClientError>]
        { queries.map { _ in .success(answer) } }
        func settle(_ receipt: LimitReceipt, actual: UInt64, _ options: CallOptions)
          throws(LimitClientError)
        {}
      }
      func isBusy(_ limits: some BlockingLimitChecking) throws -> Bool {
        try limits.withPermit(tenant: "acme", policy: "held") { $0.permit?.isHeld }.value != true
      }
      let limits = Always(answer: LimitDecision(.allow, limit: "held"))
      #expect(try !isBusy(limits) && limits.released.value == 1)
      #expect(try isBusy(Always(answer: LimitDecision(.deny, limit: "held"))))
      let error = failure { () throws(LimitClientError) in
        try limits.peek(tenant: "acme", policy: "held")
      }
      #expect(error?.isAway == true)
    }
  }
}
