// Rules that change while several loops decide, one of which takes its time over them: what
// `Runtime.adopt` waits for before it puts rules in force, and before it returns.

import DaemonSupport
import Glibc
import LimitPolicy
import LimitSystem
import Synchronization
import TestSupport
import Testing

@testable import LimitEngine
@testable import LimitRuntime

extension RealThreads {
  @Suite struct RulesAcrossWorkersTests {
    /// Both limits hold `capacity`; a unit of either comes back in days.
    private static func file(capacity: UInt64, days: Int) throws -> PolicyFile {
      try PolicyFile.parse(
        """
        limits:
          bucket: {algorithm: token-bucket, rate: 1/\(days)d, burst: \(capacity), scope: key}
          window: {algorithm: sliding-window, limit: \(capacity), window: \(days)d, scope: key}
        policies: {bucket: [bucket], window: [window]}
        tenants: {acme: {}}
        """, path: "test.yaml")
    }

    /// The same, where the days are what one tenant has.
    private static func file(capacity: UInt64, daysOfTenant days: Int) throws -> PolicyFile {
      try PolicyFile.parse(
        """
        limits:
          bucket: {algorithm: token-bucket, rate: 1/5d, burst: \(capacity), scope: key}
          window: {algorithm: sliding-window, limit: \(capacity), window: 5d, scope: key}
        policies: {bucket: [bucket], window: [window]}
        tenants:
          acme: {limits: {bucket: {rate: 1/\(days)d}, window: {window: \(days)d}}}
          other: {limits: {bucket: {rate: 1/7d}}}
        """, path: "test.yaml")
    }

    private static func query(_ policy: UInt16, _ rulebook: Rulebook) -> Query {
      let tenant = rulebook.policies.tenant(named: "acme")
      let key = Array("user".utf8).withUnsafeBytes { tenant.fingerprint(ofKey: $0) }
      return Query(tenant: tenant, policy: PolicyIndex(policy), key: key, cost: 1)
    }

    /// What all workers have admitted, and what they are at.
    private final class Board: Sendable {
      let buckets = Atomic<UInt64>(0)
      let windows = Atomic<UInt64>(0)
      /// Workers that have begun.
      let begun = Atomic(0)
      /// Turns under way that began by rules that a set which is not in force yet follows.
      let formerTurns = Atomic(0)

      func admit(_ policy: UInt16) {
        if policy == 0 {
          buckets.add(1, ordering: .relaxed)
        } else {
          windows.add(1, ordering: .relaxed)
        }
      }

      func admitted(_ policy: UInt16) -> UInt64 {
        policy == 0 ? buckets.load(ordering: .relaxed) : windows.load(ordering: .relaxed)
      }
    }

    /// Rules on their way to a worker.
    private final class Mailbox: Sendable {
      private let rulebook = Locked<Rulebook?>(nil)

      func put(_ next: Rulebook) { rulebook.withLock { $0 = next } }
      func take() -> Rulebook? { rulebook.withLock { $0.take() } }
      var isEmpty: Bool { rulebook.withLock { $0 == nil } }
    }

    /// Decides until it is told to end, a few queries a turn, and takes new rules between two turns.
    ///
    /// - Parameter lag: turns that it goes on with the rules that it has when others are offered; such a
    ///   worker's turns are long, too.
    private static func work(_ runtime: Runtime, _ board: Board, _ background: Background, lag: Int)
    {
      let mailbox = Mailbox()
      let (worker, first) = runtime.register { mailbox.put($0) }
      var rulebook = first
      var turnsLate = 0
      func ask() {
        for policy in 0..<2 as Range<UInt16> {
          let decision = runtime.engine.check(
            query(policy, rulebook), under: rulebook.policies, at: EngineClock.now())
          if decision.outcome == .allow { board.admit(policy) }
        }
      }
      board.begun.add(1, ordering: .relaxed)
      while !background.isOver {
        if !mailbox.isEmpty {
          turnsLate += 1
          if turnsLate > lag, let next = mailbox.take() {
            rulebook = next
            turnsLate = 0
            worker.takenCount.wrappingAdd(1, ordering: .releasing)
          }
        }
        let isFormer = rulebook.policies.rule(for: LimitIndex(0), ofRow: 0).pointee.isFormer
        if isFormer { board.formerTurns.add(1, ordering: .relaxed) }
        ask()
        if lag > 0 {
          usleep(200)
          ask()
        }
        if isFormer { board.formerTurns.subtract(1, ordering: .relaxed) }
        usleep(50)
      }
    }

    /// Changes the rules under four workers, the last of which lags behind.
    ///
    /// - Parameter tenants: where the files differ in what they say of these only.
    /// - Returns: what the workers have admitted of either limit, and what is left of it.
    private func change(
      _ files: [PolicyFile], of tenants: [String]? = nil, _ random: inout SeededGenerator,
      _ what: String
    ) throws -> [(admitted: UInt64, left: UInt64)] {
      var configuration = Engine.Configuration()
      configuration.keySlots = 1_024
      configuration.tenantSlots = 64
      configuration.tenantsMax = 64
      let first = try Rulebook(files[0], hashKey: HashKey(low: 1, high: 2))
      let runtime = Runtime(Engine(configuration), first)
      let board = Board()
      try withBackground(4) { background, number in
        Self.work(runtime, board, background, lag: number == 3 ? 5 : 0)
      } during: { _ in
        try wait(for: "the workers") { board.begun.load(ordering: .relaxed) == 4 }
        for file in files.dropFirst() {
          usleep(UInt32.random(in: 0...4_000, using: &random))
          if let tenants {
            runtime.adopt(overlaid: file, changing: tenants)
          } else {
            try runtime.adopt(file)
          }
          // Who has the acquired count of a worker's takings has all that it did before.
          #expect(board.formerTurns.load(ordering: .relaxed) == 0, "\(what)")
        }
      }
      return (0..<2 as Range<UInt16>).map { policy in
        let left = runtime.engine.peek(
          Self.query(policy, runtime.rulebook), under: runtime.rulebook.policies,
          at: EngineClock.now())
        return (board.admitted(policy), left.remaining)
      }
    }

    @Test(
      "Changed back and forth under loops that lag behind, a limit admits what it holds, no more")
    func backAndForth() throws {
      var random = SeededGenerator(seed: testSeed)
      for round in 0..<30 / scale {
        // What both hold, used up or nearly so by the end.
        let capacity = 100 + random.next() % 400
        let files = try (0..<4).map { _ in
          try Self.file(capacity: capacity, days: [1, 2, 3, 9].randomElement(using: &random)!)
        }
        let what = "seed \(testSeed), round \(round)"
        for (policy, result) in try change(files, &random, what).enumerated() {
          #expect(result.admitted + result.left <= capacity, "\(what), limit \(policy): \(result)")
        }
      }
    }

    @Test(
      "Of one tenant only, in tables that former sets have left, a limit admits what it holds, too")
    func ofOneTenant() throws {
      var random = SeededGenerator(seed: testSeed)
      for round in 0..<15 / scale {
        let capacity = 100 + random.next() % 400
        let files = try (0..<8).map { _ in
          try Self.file(
            capacity: capacity, daysOfTenant: [1, 2, 3, 9].randomElement(using: &random)!)
        }
        let what = "seed \(testSeed), round \(round)"
        for (policy, result) in try change(files, of: ["acme"], &random, what).enumerated() {
          #expect(result.admitted + result.left <= capacity, "\(what), limit \(policy): \(result)")
        }
      }
    }

    /// A worker that takes rules as soon as they are offered, on the thread that offers them.
    private final class PromptWorker: @unchecked Sendable {
      var worker: Worker?
      var rulebook: Rulebook?
      weak var former: Rulebook?
      /// Whether the former rules were there, each time that this had let go of them.
      var wasThere: [Bool] = []

      func take(_ next: Rulebook) {
        rulebook = next
        wasThere.append(former != nil)
        worker?.takenCount.wrappingAdd(1, ordering: .releasing)
      }
    }

    @Test("Former rules are freed by the thread that changes them, after all loops have let go")
    func freedByWhoChangesThem() throws {
      var first: Rulebook? = try Rulebook(
        try Self.file(capacity: 1, days: 1), hashKey: HashKey(low: 1, high: 2))
      let runtime = Runtime(Engine(Engine.Configuration()), try #require(first))
      let loop = PromptWorker()
      (loop.worker, loop.rulebook) = runtime.register { loop.take($0) }
      loop.former = first
      first = nil
      try runtime.adopt(try Self.file(capacity: 2, days: 1))
      // Once when it went over, and once when its last turn by the former rules was over.
      #expect(loop.wasThere == [true, true])
      #expect(loop.former == nil)
    }

    @Test(
      "A change of what a limit holds, as well, never admits more than the larger of both rules")
    func largerOfBoth() throws {
      var random = SeededGenerator(seed: testSeed)
      for round in 0..<30 / scale {
        let capacities = [100 + random.next() % 400, 100 + random.next() % 400]
        let files = try capacities.map {
          try Self.file(capacity: $0, days: [1, 2, 3, 9].randomElement(using: &random)!)
        }
        let what = "seed \(testSeed), round \(round)"
        for (policy, result) in try change(files, &random, what).enumerated() {
          let larger = max(capacities[0], capacities[1])
          #expect(result.admitted <= larger, "\(what), limit \(policy): \(result)")
          #expect(result.admitted + result.left <= larger, "\(what), limit \(policy): \(result)")
        }
      }
    }
  }
}
