// Rules that change while buckets are in use: units stay units, and every wait is true.

import Synchronization
import TestSupport
import Testing

@testable import LimitEngine

/// An engine with one limit, whose settings change.
private final class Changing {
  let engine = Engine(.tiny)
  private(set) var policies: PolicySet
  private var scope: Scope

  init(_ settings: LimitSettings, scope: Scope = .key) {
    self.scope = scope
    policies = Self.plan(settings, scope).compile()
  }

  static func plan(_ settings: LimitSettings, _ scope: Scope, name: String = "a") -> PolicyPlan {
    var plan = PolicyPlan()
    plan.limits = [LimitDefinition(name: name, scope: scope, settings: settings)]
    plan.policies = [[0]]
    return plan
  }

  func change(
    to settings: LimitSettings, at now: UInt64, name: String = "a", scope: Scope? = nil,
    converts: Bool = false
  ) {
    self.scope = scope ?? self.scope
    let next = Self.plan(settings, self.scope, name: name).compile(after: policies)
    engine.putInForce(next, at: Instant(nanoseconds: now))
    if converts { engine.convert(under: next, at: Instant(nanoseconds: now)) }
    policies = next
  }

  func query(_ cost: UInt64 = 1) -> Query {
    let tenant = policies.tenant(named: "acme")
    return Query(
      tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: "user"), cost: cost)
  }

  @discardableResult func check(_ cost: UInt64 = 1, at now: UInt64) -> Decision {
    engine.markedCheck(query(cost), under: policies, at: Instant(nanoseconds: now))
  }

  func peek(at now: UInt64) -> Decision {
    engine.peek(query(), under: policies, at: Instant(nanoseconds: now))
  }

  /// What it holds of a concurrency limit is held for good.
  func acquire(at now: UInt64) -> Decision {
    engine.acquire(query(), under: policies, at: Instant(nanoseconds: now)).decision
  }

  func settle(_ receipt: Receipt, to actual: UInt64, at now: UInt64) -> Settlement {
    engine.settle(
      query(), receipt, actual: actual, under: policies, at: Instant(nanoseconds: now))
  }
}

@Suite struct RuleChangeTests {
  static let hour = 3_600 * second
  static let minute = 60 * second
  /// Amid a window of any length here but the longest.
  static let start = 40 * day + 10 * hour + 30 * second + 77

  /// The wait that a denial tells is the least one: true.
  private func expectTrueWait(_ fixture: Changing, _ denied: Decision, at now: UInt64) {
    #expect(denied.outcome == .deny)
    let wait = denied.retryAfter.count
    #expect(fixture.check(0, at: now).outcome != .never)
    #expect(fixture.peek(at: now + wait - 1).outcome == .deny)
    #expect(fixture.check(at: now + wait).outcome == .allow)
  }

  @Test(
    "100/h burst 100, 50 used, then 1000/s burst 2000: 1949 remain after the next",
    arguments: [false, true])
  func faster(converts: Bool) {
    let fixture = Changing(tokenBucket(every: 36 * second, burst: 100))
    fixture.check(50, at: Self.start)
    fixture.change(
      to: tokenBucket(every: 1_000_000, burst: 2_000), at: Self.start, converts: converts)
    let decision = fixture.check(at: Self.start + 1)
    #expect(decision.outcome == .allow)
    #expect(decision.remaining == 1_949)
  }

  /// As of an instant ahead of the clock, as the daemon changes rules.
  @Test("1/s burst 1, used, then burst 2: the next after 1 s", arguments: [false, true], [1, 2])
  func aChangeAheadOfTheClockDelaysNobody(converts: Bool, burst: UInt64) {
    let fixture = Changing(tokenBucket(every: second, burst: 1))
    fixture.check(at: Self.start)
    let next = Self.start + second
    fixture.change(
      to: tokenBucket(every: second, burst: burst), at: next + 10_000_000, converts: converts)
    let early = fixture.check(at: next - 1)
    guard burst == 1 else {
      #expect(early.outcome == .allow)
      return
    }
    #expect(early.retryAfter == Nanoseconds(1))
    expectTrueWait(fixture, early, at: next - 1)
  }

  /// Before the instant of the change, which lies ahead of the clock.
  @Test(arguments: [-1, 0, 1])
  func aBucketThatIsFullAtTheChangeEndsWhenItIsFull(after: Int64) {
    let fixture = Changing(tokenBucket(every: second, burst: 2))
    fixture.check(at: Self.start)
    let full = Self.start + second
    fixture.change(
      to: tokenBucket(every: second, burst: 2), at: UInt64(Int64(full) - after), converts: true)
    #expect(fixture.peek(at: full - 1).resetAfter == Nanoseconds(1))
    #expect(fixture.peek(at: full).resetAfter == Nanoseconds(0))
    let later = Instant(nanoseconds: full + 1)
    #expect(fixture.engine.sweep(at: later) == 1)
    #expect(fixture.engine.invariantViolation(at: later) == nil)
  }

  @Test func aLimitThatIsNewIsChargedWhatItIsAsked() {
    let now = Self.start
    let settings = tokenBucket(every: 1_000, burst: 1_000_000)
    let engine = Engine(.tiny)
    let former = Changing.plan(settings, .key).compile()
    engine.begin(under: former)
    let next = Changing.plan(settings, .key, name: "b").compile(after: former)
    let tenant = next.tenant(named: "acme")
    let query = Query(
      tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: "user"))
    func remaining(at now: UInt64) -> UInt64 {
      engine.check(query, under: next, at: Instant(nanoseconds: now)).remaining
    }
    // By a thread that has gone over already.
    #expect(remaining(at: now) == 999_999)
    engine.putInForce(next, at: Instant(nanoseconds: now + 10_000_000))
    #expect(remaining(at: now + 1) == 999_998)
  }

  @Test("100/h, all 100 used, then 100/m: the next after 0.6 s", arguments: [false, true])
  func hourToMinute(converts: Bool) {
    let fixture = Changing(tokenBucket(every: 36 * second, burst: 100))
    fixture.check(100, at: Self.start)
    fixture.change(
      to: tokenBucket(every: 600_000_000, burst: 100), at: Self.start, converts: converts)
    let denied = fixture.check(at: Self.start + 1)
    #expect(denied.retryAfter.count == 600_000_000 - 1)
    expectTrueWait(fixture, denied, at: Self.start + 1)
  }

  @Test(
    "1000/s burst 2000, 2000 used, then 100/h burst 100: none remain, the next after 36 s",
    arguments: [false, true])
  func slower(converts: Bool) {
    let fixture = Changing(tokenBucket(every: 1_000_000, burst: 2_000))
    fixture.check(2_000, at: Self.start)
    fixture.change(
      to: tokenBucket(every: 36 * second, burst: 100), at: Self.start, converts: converts)
    let denied = fixture.check(at: Self.start + 1)
    #expect(denied.remaining == 0)
    #expect(denied.retryAfter.count == 36 * second - 1)
    // Nobody waits longer than the bucket takes to fill.
    #expect(denied.resetAfter.count == 3_600 * second - 1)
    expectTrueWait(fixture, denied, at: Self.start + 1)
  }

  @Test("1000/day, all used, then 1000/min: the first after 60 ms", arguments: [false, true])
  func dayToMinute(converts: Bool) {
    let fixture = Changing(tokenBucket(every: 86_400_000_000, burst: 1_000))
    fixture.check(1_000, at: Self.start)
    fixture.change(
      to: tokenBucket(every: 60_000_000, burst: 1_000), at: Self.start, converts: converts)
    expectTrueWait(fixture, fixture.check(at: Self.start + 1), at: Self.start + 1)
    let fresh = Changing(tokenBucket(every: 86_400_000_000, burst: 1_000))
    fresh.check(1_000, at: Self.start)
    fresh.change(
      to: tokenBucket(every: 60_000_000, burst: 1_000), at: Self.start, converts: converts)
    #expect(fresh.check(at: Self.start + 60_000_000).outcome == .allow)
  }

  @Test(
    "A window of an hour, a day or 31 days, all used, then a minute: at most two minutes' wait, and true",
    arguments: [hour, day, 31 * day], [false, true])
  func shorterWindow(length: UInt64, converts: Bool) {
    let fixture = Changing(slidingWindow(limit: 100, window: length))
    fixture.check(100, at: Self.start)
    fixture.change(
      to: slidingWindow(limit: 100, window: Self.minute), at: Self.start, converts: converts)
    let denied = fixture.check(at: Self.start + 1)
    #expect(denied.outcome == .deny)
    #expect(denied.retryAfter.count <= 2 * Self.minute)
    expectTrueWait(fixture, denied, at: Self.start + 1)
  }

  @Test("60 per minute, 60 used just now, then 60 per hour: 0 more", arguments: [false, true])
  func longerWindow(converts: Bool) {
    let fixture = Changing(slidingWindow(limit: 60, window: Self.minute))
    fixture.check(60, at: Self.start)
    fixture.change(
      to: slidingWindow(limit: 60, window: Self.hour), at: Self.start, converts: converts)
    let denied = fixture.check(at: Self.start + 1)
    #expect(denied.remaining == 0)
    expectTrueWait(fixture, denied, at: Self.start + 1)
  }

  @Test(
    "10 given back after T went from 10 to 100 ms, 100 spent: 10 remain", arguments: [false, true])
  func givenBackAfterwards(converts: Bool) {
    let fixture = Changing(tokenBucket(every: 10_000_000, burst: 100))
    let receipt = fixture.check(100, at: Self.start).receipt
    fixture.change(
      to: tokenBucket(every: 100_000_000, burst: 100), at: Self.start, converts: converts)
    #expect(fixture.settle(receipt, to: 90, at: Self.start + 1) == .settled)
    #expect(fixture.check(0, at: Self.start + 1).remaining == 10)
  }

  @Test("What was charged to a window of another length is given back to the one that counts it")
  func givenBackToAnotherWindow() {
    for (before, after) in [(Self.hour, Self.minute), (Self.minute, Self.hour)] {
      let fixture = Changing(slidingWindow(limit: 100, window: before))
      let receipt = fixture.check(100, at: Self.start).receipt
      fixture.change(to: slidingWindow(limit: 100, window: after), at: Self.start)
      #expect(fixture.settle(receipt, to: 40, at: Self.start + 1) == .settled)
      #expect(fixture.check(0, at: Self.start + 1).remaining == 60)
    }
  }

  @Test("Debt that a new burst or limit cannot hold is cut to it; what settling booked is kept")
  func debtIsCut() {
    let bucket = Changing(tokenBucket(every: second, burst: 100))
    let receipt = bucket.check(100, at: Self.start).receipt
    bucket.change(to: tokenBucket(every: second, burst: 10), at: Self.start, converts: true)
    #expect(bucket.check(at: Self.start).retryAfter.count == second)
    bucket.change(to: tokenBucket(every: second, burst: 100), at: Self.start, converts: true)
    #expect(bucket.settle(receipt, to: 195, at: Self.start) == .settled)
    // 10 were kept, 95 more are booked: 5 beyond a full bucket.
    bucket.change(to: tokenBucket(every: 2 * second, burst: 20), at: Self.start, converts: true)
    #expect(bucket.check(at: Self.start).retryAfter.count == 2 * (5 + 1) * second)
    let window = Changing(slidingWindow(limit: 100, window: Self.minute))
    window.check(100, at: Self.start)
    window.change(to: slidingWindow(limit: 10, window: Self.minute), at: Self.start, converts: true)
    window.change(
      to: slidingWindow(limit: 100, window: Self.minute), at: Self.start, converts: true)
    #expect(window.check(0, at: Self.start).remaining == 90)
  }

  @Test("The place of a bucket is free again when the new rules say so, or its limit is gone")
  func placesComeBack() {
    let fixture = Changing(tokenBucket(every: day, burst: 1_000))
    fixture.check(1_000, at: Self.start)
    fixture.change(to: tokenBucket(every: 1_000_000, burst: 1_000), at: Self.start, converts: true)
    fixture.engine.sweep(at: Instant(nanoseconds: Self.start + 2 * second))
    #expect(fixture.engine.occupancy(.key).live == 0)
    let gone = Changing(tokenBucket(every: day, burst: 1_000))
    gone.check(1_000, at: Self.start)
    let tag = Engine.identity(
      gone.policies.rule(for: LimitIndex(0), of: gone.query().tenant), gone.query(), level: 0)
    let slot = gone.engine.table(0).pointee.find(tag)?.slot
    gone.change(to: tokenBucket(every: day, burst: 5), at: Self.start, name: "b", converts: true)
    #expect(
      slot?.isFree(
        .empty, at: Instant(nanoseconds: Self.start), fixture.engine.storages.change) == true)
  }

  @Test("A bucket that the old rules are done with keeps its place while the new ones count it")
  func placesAreKept() throws {
    let fixture = Changing(tokenBucket(every: second / 10, burst: 1))
    fixture.check(at: Self.start)
    fixture.change(to: tokenBucket(every: Self.hour, burst: 1), at: Self.start + second / 20)
    // Its word says that it was full again 0.1 s after the start, and no one has converted it.
    let now = Self.start + second / 5
    let tag = Engine.identity(
      fixture.policies.rule(for: LimitIndex(0), of: fixture.query().tenant), fixture.query(),
      level: 0)
    let slot = try #require(fixture.engine.table(0).pointee.find(tag)?.slot)
    let isFree = slot.isFree(
      slot.loadCurrent(), at: Instant(nanoseconds: now), fixture.engine.storages.change)
    #expect(!isFree)
    fixture.engine.sweep(at: Instant(nanoseconds: now))
    #expect(fixture.engine.occupancy(.key).live == 1)
    expectTrueWait(fixture, fixture.check(at: now), at: now)
  }

  @Test(
    "Another scope is another bucket, and so is the first one when it comes back",
    arguments: Scope.allCases, Scope.allCases)
  func otherScope(before: Scope, after: Scope) {
    guard before != after else { return }
    for converts in [false, true] {
      let fixture = Changing(tokenBucket(every: day, burst: 5), scope: before)
      // Two changes without a pass in between would leave words of three kinds.
      for scope in converts ? [after, before, after] : [after] {
        while fixture.check(at: Self.start).outcome == .allow {}
        fixture.change(
          to: tokenBucket(every: day, burst: 5), at: Self.start, scope: scope, converts: converts)
        #expect(fixture.check(at: Self.start).remaining == 4)
      }
      let live = Scope.allCases.reduce(0) { $0 + fixture.engine.occupancy($1).live }
      if converts { #expect(live == 1) }
      #expect(fixture.engine.invariantViolation(at: Instant(nanoseconds: Self.start)) == nil)
    }
  }

  @Test("Another algorithm is another bucket, and so is the first one when it comes back")
  func otherAlgorithm() {
    let bucket = tokenBucket(every: day, burst: 5)
    let window = slidingWindow(limit: 5, window: day)
    let held = concurrency(limit: 5)
    // What is held of a limit stays held: one of permits is not looked at twice.
    for turns in [
      [bucket, window, bucket, window], [window, bucket, window, bucket], [held, bucket],
      [held, window], [bucket, held], [window, held],
    ] {
      for converts in [false, true] where converts || turns.count == 2 {
        let fixture = Changing(turns[0], scope: .tenant)
        for next in turns.dropFirst() {
          while fixture.acquire(at: Self.start).outcome == .allow {}
          fixture.change(to: next, at: Self.start, converts: converts)
          #expect(fixture.acquire(at: Self.start).remaining == 4)
        }
        #expect(fixture.engine.invariantViolation(at: Instant(nanoseconds: Self.start)) == nil)
      }
    }
  }

  @Test("Another name is another bucket, and a limit that was gone begins anew")
  func otherIdentity() {
    let fixture = Changing(tokenBucket(every: day, burst: 5))
    fixture.check(5, at: Self.start)
    fixture.change(to: tokenBucket(every: day, burst: 5), at: Self.start, name: "b", converts: true)
    #expect(fixture.check(at: Self.start).remaining == 4)
    fixture.change(to: tokenBucket(every: day, burst: 5), at: Self.start, converts: true)
    #expect(fixture.check(at: Self.start).remaining == 4)
    #expect(fixture.engine.occupancy(.key).live == 1)
    #expect(fixture.engine.invariantViolation(at: Instant(nanoseconds: Self.start)) == nil)
  }

  @Test("A tenant keeps its units when it changes plan, becomes named, or is no longer named")
  func tenantsMove() {
    var plan = Changing.plan(tokenBucket(every: second, burst: 10), .tenant)
    plan.tenants = [
      PolicyPlan.TenantPlan(name: "acme", overrides: [0: tokenBucket(every: second, burst: 100)])
    ]
    let first = plan.compile()
    let engine = Engine(.tiny)
    func check(_ name: String, _ cost: UInt64, _ policies: PolicySet) -> Decision {
      let tenant = policies.tenant(named: name)
      return engine.check(
        Query(
          tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: ""), cost: cost),
        under: policies, at: Instant(nanoseconds: Self.start))
    }
    #expect(check("acme", 50, first).remaining == 50)
    #expect(check("globex", 4, first).remaining == 6)
    plan.tenants = [
      PolicyPlan.TenantPlan(
        name: "globex", overrides: [0: tokenBucket(every: 5 * second, burst: 40)])
    ]
    let next = plan.compile(after: first)
    engine.putInForce(next, at: Instant(nanoseconds: Self.start))
    // 50 of 100 were used: more than 10 hold, as if all were.
    #expect(check("acme", 1, next).retryAfter == .second)
    #expect(check("globex", 1, next).remaining == 35)
  }

  @Test("Until the rules are in force, a thread that has the new set decides by the former rules")
  func beforeTheChange() {
    var plan = Changing.plan(tokenBucket(every: second, burst: 10), .key)
    let before = plan.compile()
    plan.limits[0].settings = tokenBucket(every: 1, burst: 1_000)
    let after = plan.compile(after: before)
    let engine = Engine(.tiny)
    func check(_ policies: PolicySet, _ cost: UInt64) -> Decision {
      let tenant = policies.tenant(named: "acme")
      return engine.check(
        Query(
          tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: ""), cost: cost),
        under: policies, at: Instant(nanoseconds: Self.start))
    }
    #expect(check(before, 4).remaining == 6)
    #expect(check(after, 4).remaining == 2)
    #expect(check(before, 4).outcome == .deny)
    #expect(check(after, 4).outcome == .deny)
    engine.putInForce(after, at: Instant(nanoseconds: Self.start))
    #expect(check(after, 4).remaining == 988)
    #expect(engine.rules.generation == 1)
  }

  @Test("After a restart with the last file, and with a changed one, units are what they were")
  func restart() {
    let fixture = Changing(tokenBucket(every: 36 * second, burst: 100))
    fixture.check(1, at: Self.start)
    fixture.change(to: tokenBucket(every: second, burst: 100), at: Self.start, converts: true)
    fixture.check(49, at: Self.start)
    // The sets of a new process, from the files of the old one.
    let last = Changing.plan(tokenBucket(every: second, burst: 100), .key)
    var builder = PolicySetBuilder()
    let limit = builder.addLimit(last.limits[0])
    builder.addPolicy(named: "policy-0", limits: [limit])
    builder.anyTenant = PolicySetBuilder.Treatment()
    let resumed = builder.build(
      hashKey: HashKey(low: 1, high: 2), generation: fixture.engine.rules.generation)
    let next = Changing.plan(tokenBucket(every: 2 * second, burst: 60), .key)
      .compile(after: resumed)
    fixture.engine.putInForce(next, at: Instant(nanoseconds: Self.start))
    let tenant = next.tenant(named: "acme")
    let query = Query(
      tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: "user"), cost: 1)
    let decision = fixture.engine.check(
      query, under: next, at: Instant(nanoseconds: Self.start))
    #expect(decision.remaining == 9)
  }
}

extension RealThreads {
  @Suite struct RuleChangeThreadTests {
    @Test("Rules that change under four threads never admit more than the larger of both rules")
    func neverMoreThanTheLarger() {
      var random = SeededGenerator(seed: testSeed)
      for round in 0..<(400 / scale) {
        let bursts = [10 + random.next() % 50, 10 + random.next() % 50]
        let usesWindows = random.chance(1, in: 2)
        func settings(_ burst: UInt64, _ other: UInt64) -> LimitSettings {
          usesWindows
            ? slidingWindow(limit: burst, window: other * day)
            : tokenBucket(every: other * day, burst: burst)
        }
        let isSameLength = random.chance(1, in: 2)
        var plan = Changing.plan(settings(bursts[0], 1), .key)
        let before = plan.compile()
        plan.limits[0].settings = settings(bursts[1], isSameLength ? 1 : 2)
        let after = plan.compile(after: before)
        let engine = Engine(.tiny)
        let tenant = after.tenant(named: "acme")
        let query = Query(
          tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: ""), cost: 1)
        let admitted = Atomic<UInt64>(0)
        let now = Instant(nanoseconds: 4 * day + 5)
        let changesAt = random.next() % 30
        runThreads(4) { thread in
          for step in 0..<30 as Range<UInt64> {
            if thread == 0 && step == changesAt { engine.putInForce(after, at: now) }
            if engine.check(query, under: after, at: now).outcome == .allow {
              admitted.add(1, ordering: .relaxed)
            }
          }
        }
        engine.convert(under: after, at: now)
        let total = admitted.load(ordering: .relaxed)
        let left = engine.peek(query, under: after, at: now).remaining
        #expect(total <= max(bursts[0], bursts[1]), "seed \(testSeed), round \(round)")
        // And what is left is what the new rule leaves of it.
        #expect(left == bursts[1] - min(total, bursts[1]), "seed \(testSeed), round \(round)")
      }
    }
  }
}
