// What a process that was killed between any two steps leaves, and what is made of it.
//
// The steps are taken by hand, as insert, sweep and roll take them; before and after each, a copy
// of the region is recovered and compared with what should be there.

import Synchronization
import Testing

@testable import LimitEngine

@Suite struct RecoveryTests {
  private static let start = 100 * day
  private static let limits: [(Scope, LimitSettings)] = [
    (.key, tokenBucket(every: 100 * second, burst: 10)),
    (.key, slidingWindow(limit: 10, window: 10 * second)), (.tenant, concurrency(limit: 3)),
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

  /// A region with eight buckets that are in use and do not change.
  private func survivor() -> Survivor {
    let survivor = Survivor(Self.limits, at: Self.start)
    for number in 0..<8 {
      let query = survivor.fixture.query("other-\(number)", policy: 1, cost: 3)
      #expect(survivor.check(query, at: Self.start).outcome == .allow)
    }
    return survivor
  }

  /// The steps of `BucketTable.insert` on `slot`; `owner` is reserved.
  private func insertion(
    of id: BucketID, in table: BucketTable, slot: Slot, owner: Owner, now: UInt64, word: StateWord
  ) -> [() -> Void] {
    let pending = StateWord.pending(nonce: 7)
    let bucket = table.bucket(of: slot)
    return [
      { slot.current.pointee.store(StateWord.claimed(nonce: 7).rawValue, ordering: .relaxed) },
      { table.shards.countArrival(inBucket: bucket) },
      { slot.owner.pointee.store(owner.rawValue, ordering: .relaxed) },
      {
        let floor = StateWord.floor(now)
        slot.previous.pointee.store(floor.rawValue, ordering: .relaxed)
      },
      { slot.replaceTag(by: id.tag) },
      { slot.current.pointee.store(pending.rawValue, ordering: .relaxed) },
      { slot.current.pointee.store(word.rawValue, ordering: .relaxed) },
    ]
  }

  @Test(
    "Killed between any two steps of an insert, the bucket is unused until it is live",
    arguments: [false, true])
  func insert(intoDeadSlot: Bool) throws {
    let survivor = survivor()
    let engine = survivor.fixture.engine
    let query = survivor.fixture.query(policy: 1)
    let now = Self.start + second / 2
    let table = engine.table(Scope.key.rawValue).pointee
    let rule = survivor.fixture.policies.rule(for: LimitIndex(0), of: query.tenant)
    let id = Engine.identity(rule, query, level: 0)
    var slot = Slot(base: table.words)
    if intoDeadSlot {
      // The query's own slot, from long before.
      _ = survivor.check(query, at: Self.start - 600 * second)
      slot = try #require(survivor.slot(query))
    } else {
      let group = table.bucket(of: id, candidate: 0)
      slot = try #require(
        (0..<4).map { table.slot($0, inBucket: group) }.first { $0.loadCurrent() == .empty })
    }
    let owner = try #require(
      table.reserve(
        query.tenant.fingerprint, isGuest: !query.tenant.isNamed,
        limit: engine.registry.number(of: rule.pointee.seed)))
    // Three of ten units are taken.
    let word = StateWord.tokenBucket(2, tat: now + 300 * second)
    let steps = insertion(of: id, in: table, slot: slot, owner: owner, now: now, word: word)
    for number in 0...steps.count {
      if number > 0 { steps[number - 1]() }
      let next = try recovered(survivor, at: now)
      let isLive = number == 7
      #expect(next.check(query, at: now).remaining == (isLive ? 6 : 9), "after step \(number)")
      #expect(next.recovery.halfFilled == (1...6 ~= number ? 1 : 0))
    }
  }

  @Test("Killed between any two steps of a sweep, the dead bucket is gone and nothing else is")
  func sweep() throws {
    let survivor = survivor()
    let query = survivor.fixture.query(policy: 1)
    let now = Self.start + second / 2
    _ = survivor.check(query, at: Self.start - 600 * second)
    let slot = try #require(survivor.slot(query))
    let table = survivor.fixture.engine.table(Scope.key.rawValue).pointee
    let steps: [() -> Void] = [
      { slot.current.pointee.store(StateWord.claimed(nonce: 9).rawValue, ordering: .relaxed) },
      { table.countDeparture(of: slot.loadOwner(), inBucket: table.bucket(of: slot)) },
      {
        let floor = StateWord.floor(now)
        slot.previous.pointee.store(floor.rawValue, ordering: .relaxed)
      },
      { slot.replaceTag(by: 0) },
      { slot.current.pointee.store(StateWord.empty.rawValue, ordering: .relaxed) },
    ]
    for number in 0...steps.count {
      if number > 0 { steps[number - 1]() }
      let next = try recovered(survivor, at: now)
      #expect(next.recovery.live == 8, "after step \(number)")
      #expect(next.check(query, at: now).remaining == 9, "after step \(number)")
    }
  }

  @Test("Killed between the steps of a roll, the window counts what it counted")
  func roll() throws {
    let survivor = survivor()
    let query = survivor.fixture.query(policy: 2, cost: 4)
    let begin = Self.start + 10 * second
    #expect(survivor.check(query, at: begin - second).outcome == .allow)
    // Two seconds into the next window: 4 × 0.8 = 3.2 units in view, four more are taken.
    let now = begin + 2 * second
    let slot = try #require(survivor.slot(query, limit: 1))
    let expiry = Tick(atOrAfter: begin + 20 * second)
    let steps: [() -> Void] = [
      {
        slot.current.pointee.store(slot.loadCurrent().frozen.rawValue, ordering: .relaxed)
      },
      {
        let word = StateWord.window(4, expiry: expiry, count: 4)
        slot.previous.pointee.store(word.rawValue, ordering: .relaxed)
      },
      {
        let word = StateWord.window(4, expiry: expiry, count: 4)
        slot.current.pointee.store(word.rawValue, ordering: .relaxed)
      },
    ]
    let look = survivor.fixture.query(policy: 2, cost: 0)
    for (number, remaining) in [(0, 6), (1, 6), (2, 6), (3, 2)] as [(Int, UInt64)] {
      if number > 0 { steps[number - 1]() }
      let next = try recovered(survivor, at: now)
      #expect(next.check(look, at: now).remaining == remaining, "after step \(number)")
    }
  }

  @Test("A policy of which one limit was charged denies by that query's cost, and no more")
  func halfCharged() throws {
    let survivor = survivor()
    let whole = survivor.fixture.query(cost: 2)
    _ = survivor.check(whole, at: Self.start)
    // The window is charged first, the token buckets after it.
    _ = survivor.check(survivor.fixture.query(policy: 2, cost: 2), at: Self.start)
    let next = try recovered(survivor, at: Self.start)
    let look = { (policy: Int) in
      next.check(next.fixture.query(policy: policy, cost: 0), at: Self.start).remaining
    }
    #expect(look(1) == 8 && look(2) == 6 && look(4) == 48)
  }

  @Test("Killed between any two steps of a settle, each limit says what it took or what was used")
  func settle() throws {
    let survivor = survivor()
    let fixture = survivor.fixture
    let (window, bucket) = (fixture.query(policy: 2, cost: 4), fixture.query(policy: 1, cost: 4))
    for query in [window, bucket] { _ = survivor.check(query, at: Self.start) }
    let slot = try #require(survivor.slot(bucket))
    let word = slot.loadCurrent()
    let lower = TokenBucket.giveBack(
      word, head: word.head, interval: 100 * second, now: Self.start, cost: 3)
    let steps: [() -> Void] = [
      {
        let charge = SlidingWindow.Charge(
          at: Instant(nanoseconds: Self.start), window: 10 * second)
        fixture.engine.giveBack(
          fixture.policies.rule(for: LimitIndex(1), of: window.tenant), window, cost: 3, level: 0,
          from: charge, now: Instant(nanoseconds: Self.start))
      },
      { slot.noteLowering(of: word, at: Instant(nanoseconds: Self.start)) },
      { slot.current.pointee.store(lower.rawValue, ordering: .relaxed) },
    ]
    for (number, left) in [(0, (6, 6)), (1, (9, 6)), (2, (9, 6)), (3, (9, 9))]
      as [(Int, (UInt64, UInt64))]
    {
      if number > 0 { steps[number - 1]() }
      let next = try recovered(survivor, at: Self.start)
      let look = { (policy: Int) in
        next.check(next.fixture.query(policy: policy, cost: 0), at: Self.start).remaining
      }
      #expect(look(2) == left.0 && look(1) == left.1, "after step \(number)")
    }
  }

  @Test("Permits are back, whose holders are gone") func permits() throws {
    let survivor = survivor()
    for _ in 0..<3 {
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
    #expect(next.check(look, at: Self.start).remaining == 3)
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
