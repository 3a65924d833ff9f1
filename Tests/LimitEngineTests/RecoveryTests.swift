// What a process that was killed leaves, and what is made of it.
//
// The engine itself takes the steps: after each instruction that changes the region a copy of it is
// taken (`Survivor.statesLeft`), and every copy is recovered and compared with what should be there.

import Synchronization
import Testing

@testable import LimitEngine

@Suite struct RecoveryTests {
  private static let start = 100 * day
  /// What was used then has come back.
  private static let past = start - 2_000 * second
  private static let limits: [(Scope, LimitSettings)] = [
    (.key, tokenBucket(every: 100 * second, burst: 10)),
    (.key, slidingWindow(limit: 10, window: 10 * second)), (.tenant, concurrency(limit: 10)),
    (.tenant, tokenBucket(every: second, burst: 50)),
  ]

  /// Recovers a copy and checks that everything but `query` is as it should be: other keys' buckets
  /// live on, counts are true.
  private func recovered(_ survivor: Survivor, at now: UInt64) throws -> Survivor {
    let next = try survivor.recovered(at: now)
    #expect(next.fixture.engine.invariantViolation(at: Instant(nanoseconds: now)) == nil)
    #expect(next.recovery.damaged == 0)
    for number in 0..<8 {
      let other = next.fixture.query("other-\(number)", policy: 1, cost: 0)
      #expect(next.check(other, at: now).remaining == 7)
    }
    return next
  }

  /// A region with eight buckets that are in use and do not change, and some that are dead.
  ///
  /// - Parameters:
  ///   - tenant: whose the dead ones are.
  ///   - keysMax: how many keys a tenant may have.
  private func survivor(
    deadKeys: Int = 0, of tenant: String = "acme", keysMax: Int = .max
  ) -> Survivor {
    var configuration = Engine.Configuration.tiny
    configuration.keysPerTenantLimit = keysMax
    let survivor = Survivor(
      Self.limits, configuration, at: deadKeys == 0 ? Self.start : Self.past)
    for number in 0..<deadKeys {
      _ = survivor.check(
        survivor.fixture.query("dead-\(number)", tenant: tenant, policy: 1), at: Self.past)
    }
    for number in 0..<8 {
      let query = survivor.fixture.query("other-\(number)", policy: 1, cost: 3)
      #expect(survivor.check(query, at: Self.start).outcome == .allow)
    }
    return survivor
  }

  /// Units that are left of each limit for the query's key: of those that outlive a process.
  private func remaining(_ survivor: Survivor, of tenant: String = "acme", at now: UInt64)
    -> [UInt64]
  {
    [1, 2, 4].map { policy in
      survivor.check(
        survivor.fixture.query(tenant: tenant, policy: policy, cost: 0), at: now
      ).remaining
    }
  }

  /// Kills the process after each step of `body`, and checks that each limit then says what it said
  /// before, or what it says after, and once it does, goes on to.
  ///
  /// - Returns: what was found after each step.
  @discardableResult private func killed(
    _ survivor: Survivor, tenant: String = "acme", at now: UInt64, steps atLeast: Int,
    in body: () -> Void
  ) throws -> [Recovery] {
    var said = remaining(try recovered(survivor, at: now), of: tenant, at: now)
    let states = survivor.statesLeft(by: body)
    let after = remaining(try recovered(survivor, at: now), of: tenant, at: now)
    #expect(states.count >= atLeast)
    return try states.enumerated().map { number, state in
      let next = try recovered(state, at: now)
      let found = next.recovery
      let says = remaining(next, of: tenant, at: now)
      for limit in says.indices {
        #expect(
          says[limit] == said[limit] || says[limit] == after[limit],
          "limit \(limit) after step \(number) of \(states.count)")
      }
      said = says
      return found
    }
  }

  @Test(
    "Killed between any two steps of an insert, the bucket is unused until it is live",
    .enabled(if: Survivor.canStep), arguments: [false, true])
  func insert(intoDeadSlot: Bool) throws {
    let survivor = survivor(deadKeys: intoDeadSlot ? 400 : 0)
    let now = Self.start + second / 2
    // Claimed, counted, announced by owner, floor, tag and word, and live.
    let found = try killed(survivor, at: now, steps: 7) {
      let query = survivor.fixture.query(policy: 1, cost: 3)
      #expect(survivor.check(query, at: now).remaining == 7)
    }
    #expect(found.count { $0.halfFilled == 1 } >= 5)
    #expect(found.last?.halfFilled == 0 && found.last?.live == 9)
    #expect((found[0].dead > 40) == intoDeadSlot)
  }

  @Test(
    "Killed between any two steps of a tenant's first insert, he has a place or none",
    .enabled(if: Survivor.canStep))
  func firstInsert() throws {
    let survivor = survivor()
    // Into the directory, and then as any insert.
    let found = try killed(survivor, tenant: "newcomer", at: Self.start, steps: 8) {
      let query = survivor.fixture.query(tenant: "newcomer", policy: 1, cost: 3)
      #expect(survivor.check(query, at: Self.start).remaining == 7)
    }
    #expect(found.last?.live == 9)
    let next = try recovered(survivor, at: Self.start)
    #expect(remaining(next, of: "newcomer", at: Self.start) == [7, 10, 50])
    #expect(next.fixture.engine.directory.guestCount == 2)
  }

  @Test(
    "Killed between any two steps of a charge one scope wider, the shared bucket says one or the other",
    .enabled(if: Survivor.canStep))
  func overflow() throws {
    let survivor = survivor(keysMax: 8)
    for (number, left) in ([7, 4] as [UInt64]).enumerated() {
      let found = try killed(survivor, at: Self.start, steps: number == 0 ? 7 : 1) {
        let decision = survivor.check(survivor.fixture.query(policy: 1, cost: 3), at: Self.start)
        #expect(decision.remaining == left && decision.flags.contains(.overflow))
      }
      #expect(found.last?.live == 9)
    }
  }

  @Test(
    "Killed between any two steps of a sweep that ends a tenant, his place is free",
    .enabled(if: Survivor.canStep))
  func lastSweep() throws {
    let survivor = survivor(deadKeys: 5, of: "gone")
    #expect(survivor.fixture.engine.directory.guestCount == 2)
    let states = survivor.statesLeft {
      #expect(survivor.fixture.engine.sweep(at: Instant(nanoseconds: Self.start)) == 5)
    }
    #expect(states.count >= 5 * 5 + 1)
    #expect(survivor.fixture.engine.directory.guestCount == 1)
    for state in states {
      let next = try recovered(state, at: Self.start)
      #expect(next.recovery.live == 8 && next.fixture.engine.directory.guestCount == 1)
      #expect(remaining(next, of: "gone", at: Self.start) == [10, 10, 50])
    }
  }

  @Test(
    "Killed between any two steps of a sweep, dead buckets are gone and nothing else is",
    .enabled(if: Survivor.canStep))
  func sweep() throws {
    let survivor = survivor(deadKeys: 5)
    let now = Self.start + second / 2
    // Each is claimed, counted out, given a floor, and emptied by tag and word.
    let found = try killed(survivor, at: now, steps: 5 * 5) {
      #expect(survivor.fixture.engine.sweep(at: Instant(nanoseconds: now)) == 5)
    }
    for recovery in found { #expect(recovery.live == 8) }
    #expect(found.count { $0.halfFilled == 1 } >= 5 * 3)
    #expect(found.last?.dead == 0)
  }

  @Test(
    "Killed between any two steps of a roll, the window counts what it counted",
    .enabled(if: Survivor.canStep))
  func roll() throws {
    let survivor = survivor()
    let begin = Self.start + 10 * second
    let fixture = survivor.fixture
    let first = survivor.check(fixture.query(policy: 2, cost: 5), at: begin - second)
    #expect(first.outcome == .allow)
    // Two seconds into the next window: 5 × 0.8 = 4 units are in view, three more are taken.
    let now = begin + 2 * second
    #expect(remaining(try recovered(survivor, at: now), at: now)[1] == 6)
    // Frozen, published, taken up.
    try killed(survivor, at: now, steps: 3) {
      #expect(survivor.check(fixture.query(policy: 2, cost: 3), at: now).remaining == 3)
    }
    #expect(remaining(try recovered(survivor, at: now), at: now)[1] == 3)
  }

  @Test(
    "A policy of which some limits were charged denies by that query's cost, and no more",
    .enabled(if: Survivor.canStep), arguments: [false, true])
  func halfCharged(isFresh: Bool) throws {
    let survivor = survivor()
    let query = survivor.fixture.query(cost: 2)
    if !isFresh { #expect(survivor.check(query, at: Self.start).outcome == .allow) }
    let now = Self.start + 1
    let full = remaining(try recovered(survivor, at: now), at: now)
    try killed(survivor, at: now, steps: 3) {
      #expect(survivor.check(query, at: now).outcome == .allow)
    }
    #expect(
      remaining(try recovered(survivor, at: now), at: now) == full.map { $0 - 2 })
  }

  @Test("A query that is denied leaves every word as it was", .enabled(if: Survivor.canStep))
  func denied() {
    let survivor = survivor()
    let query = survivor.fixture.query(cost: 4)
    for _ in 0..<2 { #expect(survivor.check(query, at: Self.start).outcome == .allow) }
    let states = survivor.statesLeft {
      #expect(survivor.check(query, at: Self.start).outcome == .deny)
    }
    #expect(states.isEmpty)
  }

  @Test(
    "Killed between any two steps of a settle, each limit says what it took or what was used",
    .enabled(if: Survivor.canStep), arguments: [0, 1, 9] as [UInt64])
  func settle(actual: UInt64) throws {
    let survivor = survivor()
    let query = survivor.fixture.query(cost: 4)
    let receipt = survivor.check(query, at: Self.start).receipt
    try killed(survivor, at: Self.start, steps: 3) {
      let settlement = survivor.fixture.engine.settle(
        query, receipt, actual: actual, under: survivor.fixture.policies,
        at: Instant(nanoseconds: Self.start))
      #expect(settlement == .settled)
    }
    #expect(
      remaining(try recovered(survivor, at: Self.start), at: Self.start)
        == [10 - actual, 10 - actual, 50 - actual])
  }

  @Test(
    "Killed between any two steps of a settle into a window that has rolled on, it says one or the other",
    .enabled(if: Survivor.canStep), arguments: [(1, 8), (9, 0)] as [(UInt64, UInt64)])
  func settleAcrossRoll(actual: UInt64, left: UInt64) throws {
    let survivor = survivor()
    let fixture = survivor.fixture
    let begin = Self.start + 10 * second
    let query = fixture.query(policy: 2, cost: 4)
    let receipt = survivor.check(query, at: begin - second).receipt
    // Two seconds into the next window, of which one unit is taken: four fifths of the former one count.
    let now = begin + 2 * second
    #expect(survivor.check(fixture.query(policy: 2), at: now).remaining == 5)
    try killed(survivor, at: now, steps: 1) {
      let settlement = fixture.engine.settle(
        query, receipt, actual: actual, under: fixture.policies, at: Instant(nanoseconds: now))
      #expect(settlement == .settled)
    }
    #expect(remaining(try recovered(survivor, at: now), at: now)[1] == left)
  }

  @Test(
    "Killed between any two steps of a reset, each bucket is as it was or as if never used",
    .enabled(if: Survivor.canStep))
  func reset() throws {
    let survivor = survivor()
    #expect(survivor.check(survivor.fixture.query(cost: 4), at: Self.start).outcome == .allow)
    let fixture = survivor.fixture
    try killed(survivor, at: Self.start, steps: 2) {
      let query = fixture.query(cost: 0)
      let now = Instant(nanoseconds: Self.start)
      #expect(fixture.engine.reset(keyOf: query, limit: nil, under: fixture.policies, at: now) == 2)
    }
    #expect(remaining(try recovered(survivor, at: Self.start), at: Self.start) == [10, 10, 46])
  }

  @Test(
    "Killed between any two steps of a change of rules, those before or those after are in force",
    .enabled(if: Survivor.canStep))
  func rules() throws {
    let survivor = survivor()
    let engine = survivor.fixture.engine
    engine.setRules(RulesInForce(generation: 4, changedAt: 1, source: 40))
    let changes = [
      // Put in force, noted once more as of later, and converted.
      RulesInForce(
        generation: 5, isChanging: true, changedAt: 2, source: 50, formerSource: 40),
      RulesInForce(
        generation: 5, isChanging: true, changedAt: 3, source: 50, formerSource: 40),
      RulesInForce(generation: 5, changedAt: 3, source: 50),
    ]
    for (number, rules) in changes.enumerated() {
      let before = engine.rules
      let states = survivor.statesLeft {
        if number == 2 {
          engine.storages.noteConversion(to: 5)
        } else {
          var noted = rules
          noted.formerSource = nil
          engine.setRules(noted)
        }
      }
      #expect(engine.rules == rules && states.count >= (number == 0 ? 4 : 1))
      for state in states {
        var found = try recovered(state, at: Self.start).fixture.engine.rules
        // As of when matters once they change.
        if !found.isChanging { found.changedAt = before.changedAt }
        #expect(found == before || found == rules || found.changedAt == rules.changedAt)
        #expect(
          (found.generation, found.source) == (before.generation, before.source)
            || (found.generation, found.source) == (rules.generation, rules.source))
      }
    }
  }

  @Test(
    "Killed at any step of taking a permit or giving it back, the permit is back",
    .enabled(if: Survivor.canStep))
  func permit() throws {
    let survivor = survivor()
    let fixture = survivor.fixture
    let query = fixture.query(policy: 3)
    let states = survivor.statesLeft {
      var acquisition = fixture.engine.acquire(
        query, under: fixture.policies, at: Instant(nanoseconds: Self.start))
      if let permit = acquisition.takePermit() { fixture.engine.release(permit) }
    }
    #expect(states.count >= 8)
    for state in states {
      let next = try recovered(state, at: Self.start)
      #expect(next.check(next.fixture.query(policy: 3), at: Self.start).remaining == 10)
    }
  }

  @Test(
    "Killed while it puts a region right, a process leaves one that is put right the same",
    .enabled(if: Survivor.canStep))
  func recovery() throws {
    let survivor = survivor(deadKeys: 20)
    let fixture = survivor.fixture
    let now = Self.start + second / 2
    var acquisition = fixture.engine.acquire(
      fixture.query(policy: 3), under: fixture.policies, at: Instant(nanoseconds: Self.start))
    // Never returned: its process is killed.
    let permit = acquisition.takePermit()
    let isHeld = permit != nil
    #expect(isHeld)
    let inserting = survivor.statesLeft {
      _ = survivor.check(fixture.query(cost: 2), at: now)
    }
    // Each with some limits charged, and most with a slot that is being filled.
    for state in stride(from: 0, to: inserting.count, by: 5).map({ inserting[$0] }) {
      let expected = remaining(try recovered(state, at: now), at: now)
      var error: (any Error)?
      let states = state.statesLeft {
        do { _ = try state.adopted(at: now) } catch let failure { error = failure }
      }
      #expect(error == nil && states.count > 20)
      for state in states {
        #expect(remaining(try recovered(state, at: now), at: now) == expected)
      }
    }
  }

  @Test("Permits are back, whose holders are gone") func permits() throws {
    let survivor = survivor()
    for _ in 0..<10 {
      var acquisition = survivor.fixture.engine.acquire(
        survivor.fixture.query(policy: 3), under: survivor.fixture.policies,
        at: Instant(nanoseconds: Self.start))
      // Never returned: its process is killed.
      let permit = acquisition.takePermit()
      let isHeld = permit != nil
      #expect(isHeld)
    }
    let look = survivor.fixture.query(policy: 3)
    #expect(survivor.check(look, at: Self.start).outcome == .deny)
    let next = try recovered(survivor, at: Self.start)
    #expect(next.recovery.returned == 1)
    #expect(next.check(look, at: Self.start).remaining == 10)
  }

  @Test("Of two slots for one bucket the one that is found stays") func duplicates() throws {
    let survivor = survivor()
    let query = survivor.fixture.query(policy: 1, cost: 4)
    _ = survivor.check(query, at: Self.start)
    let slot = try #require(survivor.slot(query))
    let table = survivor.fixture.engine.table(Scope.key.rawValue).pointee
    let tag = slot.tag.pointee.load(ordering: .relaxed) & ~Slot.mark
    let id = BucketID(tag: tag)
    // In its own second home, and in a place where it never may be.
    let homes = Set([0, 1].map { table.bucket(of: id, candidate: $0) })
    let all = Set((0..<16).map { table.bucket(of: id, candidate: $0) })
    let foreign = try #require((0..<16 as Range<UInt64>).first { !all.contains($0) })
    for group in homes.union([foreign]) {
      let lanes = (0..<4).map { table.slot($0, inBucket: group) }
      guard let copy = lanes.first(where: { $0.loadCurrent() == .empty }) else { continue }
      copy.replaceTag(by: tag)
      copy.owner.pointee.store(slot.loadOwner().rawValue, ordering: .relaxed)
      copy.current.pointee.store(slot.loadCurrent().rawValue, ordering: .relaxed)
    }
    let next = try survivor.recovered(at: Self.start)
    #expect(next.recovery.live == 9 && next.recovery.damaged >= 2)
    #expect(next.fixture.engine.invariantViolation(at: Instant(nanoseconds: 0)) == nil)
    #expect(next.check(next.fixture.query(policy: 1, cost: 0), at: Self.start).remaining == 6)
  }

  @Test(
    "However long the host was up meanwhile, what should live does, and nothing else",
    arguments: [1, 25, 27, 61, 89, 104, 131, 180, 208, 250, 300, 416] as [UInt64])
  func longAway(days: UInt64) throws {
    let limits: [(Scope, LimitSettings)] = [
      (.key, tokenBucket(every: 3 * day, burst: 100)),
      (.key, slidingWindow(limit: 10, window: 31 * day)),
      (.key, slidingWindow(limit: 10, window: second)),
    ]
    let survivor = Survivor(limits, at: Self.start)
    _ = survivor.check(survivor.fixture.query(cost: 5), at: Self.start)
    let now = Self.start + days * day
    let next = try survivor.recovered(at: now)
    let reference = Fixture(limits)
    _ = reference.check(reference.query(cost: 5), at: Self.start)
    // Sweeps every week keep ticks apart.
    for week in stride(from: Self.start, to: now, by: Int(7 * day)) {
      reference.engine.sweep(at: Instant(nanoseconds: week))
    }
    for policy in 1...3 {
      let query = next.fixture.query(policy: policy, cost: 2)
      let expected = reference.check(reference.query(policy: policy, cost: 2), at: now)
      #expect(next.check(query, at: now) == expected, "\(days) days, limit \(policy - 1)")
    }
  }

  @Test("A clock that is behind what the region has seen is refused") func clockWentBack() throws {
    let survivor = survivor()
    for behind in [0, second, 8 * second] as [UInt64] {
      #expect(try survivor.recovered(at: Self.start - behind).recovery.live == 8)
    }
    #expect(throws: RegionError.clockWentBack) { try survivor.recovered(at: second) }
    #expect(throws: RegionError.clockWentBack) {
      try survivor.recovered(at: Self.start - 10 * second)
    }
  }
}
