// Buckets that a person makes as if never used.

import TestSupport
import Testing

@testable import LimitEngine

@Suite struct ResetTests {
  private static let limits: [(Scope, LimitSettings)] = [
    (.key, tokenBucket(every: day, burst: 10)), (.key, slidingWindow(limit: 10, window: day)),
    (.tenant, tokenBucket(every: day, burst: 100)),
    (.tenant, slidingWindow(limit: 100, window: day)),
    (.global, tokenBucket(every: day, burst: 1000)), (.tenant, concurrency(limit: 3)),
  ]

  private func remaining(_ fixture: Fixture, _ tenant: String, _ key: String, at now: UInt64)
    -> [UInt64]
  {
    fixture.engine.readings(
      fixture.query(key, tenant: tenant), under: fixture.policies, at: Instant(nanoseconds: now)
    ).map(\.remaining)
  }

  private func use(_ fixture: Fixture, at now: UInt64) {
    for tenant in ["acme", "other"] {
      for key in ["a", "b"] {
        for policy in 1...5 {
          let query = fixture.query(key, tenant: tenant, policy: policy, cost: 4)
          #expect(fixture.check(query, at: now).outcome == .allow)
        }
      }
    }
  }

  @Test("A tenant's buckets are as if never used, all keys included, and nobody else's")
  func tenant() {
    let fixture = Fixture(Self.limits)
    let now = 10 * day + 5 * second
    use(fixture, at: now)
    let acme = fixture.policies.tenant(named: "acme")
    for isDryRun in [true, true, false] {
      #expect(remaining(fixture, "acme", "a", at: now + 1) == [6, 6, 92, 92, 984, 3])
      let count = fixture.engine.reset(
        acme, limit: nil, under: fixture.policies, at: Instant(nanoseconds: now + 1),
        isDryRun: isDryRun)
      #expect(count == 6)
    }
    for key in ["a", "b"] {
      #expect(remaining(fixture, "acme", key, at: now + 1) == [10, 10, 100, 100, 984, 3])
      #expect(remaining(fixture, "other", key, at: now + 1) == [6, 6, 92, 92, 984, 3])
    }
    #expect(
      fixture.engine.reset(
        acme, limit: nil, under: fixture.policies, at: Instant(nanoseconds: now + 2)) == 0)
    #expect(fixture.engine.invariantViolation(at: Instant(nanoseconds: now + 2)) == nil)
    // And used as ever.
    #expect(fixture.check(fixture.query("a", policy: 1, cost: 10), at: now + 3).outcome == .allow)
    #expect(fixture.check(fixture.query("a", policy: 1), at: now + 3).outcome == .deny)
  }

  @Test("One limit, one key, or one limit of one key is reset alone")
  func parts() {
    let fixture = Fixture(Self.limits)
    let now = 10 * day + 5 * second
    let instant = Instant(nanoseconds: now)
    use(fixture, at: now)
    let acme = fixture.policies.tenant(named: "acme")
    #expect(
      fixture.engine.reset(acme, limit: LimitIndex(3), under: fixture.policies, at: instant) == 1)
    #expect(remaining(fixture, "acme", "a", at: now) == [6, 6, 92, 100, 984, 3])
    let key = fixture.query("a")
    #expect(
      fixture.engine.reset(
        keyOf: key, limit: LimitIndex(1), under: fixture.policies, at: instant) == 1)
    #expect(remaining(fixture, "acme", "a", at: now) == [6, 10, 92, 100, 984, 3])
    #expect(
      fixture.engine.reset(keyOf: key, limit: nil, under: fixture.policies, at: instant) == 1)
    #expect(remaining(fixture, "acme", "a", at: now) == [10, 10, 92, 100, 984, 3])
    #expect(remaining(fixture, "acme", "b", at: now) == [6, 6, 92, 100, 984, 3])
    #expect(
      fixture.engine.reset(
        keyOf: fixture.query("nobody"), limit: nil, under: fixture.policies, at: instant) == 0)
    #expect(
      fixture.engine.reset(
        fixture.policies.tenant(named: "nobody"), limit: nil, under: fixture.policies, at: instant)
        == 0)
  }

  @Test("The window before this one is given back too, and a debt that settling booked")
  func windowsAndDebts() {
    let fixture = Fixture([
      (.key, slidingWindow(limit: 10, window: 60 * second)),
      (.key, tokenBucket(every: second, burst: 10)),
    ])
    let start = 6000 * second
    #expect(
      fixture.check(fixture.query(policy: 1, cost: 10), at: start + 59 * second).outcome == .allow)
    #expect(fixture.check(fixture.query(policy: 1), at: start + 61 * second).outcome == .deny)
    let now = Instant(nanoseconds: start + 62 * second)
    let receipt = fixture.check(fixture.query(policy: 2, cost: 1), at: now.nanoseconds).receipt
    _ = fixture.engine.settle(
      fixture.query(policy: 2), receipt, actual: 500, under: fixture.policies, at: now)
    #expect(
      fixture.engine.reset(
        keyOf: fixture.query(), limit: nil, under: fixture.policies, at: now) == 2)
    for policy in 1...2 {
      #expect(
        fixture.check(fixture.query(policy: policy, cost: 10), at: now.nanoseconds).outcome
          == .allow)
    }
  }

  @Test("A permit that is held stays held")
  func permits() {
    let fixture = Fixture(Self.limits)
    let now = Instant(nanoseconds: 10 * day)
    let query = fixture.query(policy: 6, cost: 2)
    var decision = fixture.engine.acquire(query, under: fixture.policies, at: now)
    fixture.engine.reset(query.tenant, limit: nil, under: fixture.policies, at: now)
    #expect(remaining(fixture, "acme", "user", at: now.nanoseconds)[5] == 1)
    if let permit = decision.takePermit() { fixture.engine.release(permit) }
    #expect(remaining(fixture, "acme", "user", at: now.nanoseconds)[5] == 3)
  }

  @Test("While others decide, no more is admitted than resets allow, and the table stays whole")
  func whileDeciding() async {
    let fixture = Fixture([(.key, tokenBucket(every: day, burst: 10))])
    let now = 10 * day
    let resets = 200
    let admitted = await withTaskGroup(of: Int.self) { group in
      for thread in 0..<3 {
        group.addTask {
          (0..<20_000).count {
            fixture.check(fixture.query("k\($0 % 3)"), at: now + UInt64(thread)).outcome == .allow
          }
        }
      }
      group.addTask {
        let tenant = fixture.policies.tenant(named: "acme")
        for _ in 0..<resets {
          fixture.engine.reset(
            tenant, limit: nil, under: fixture.policies, at: Instant(nanoseconds: now + 5))
        }
        return 0
      }
      return await group.reduce(0, +)
    }
    #expect(admitted >= 30 && admitted <= 30 * (resets + 1))
    #expect(fixture.engine.invariantViolation(at: Instant(nanoseconds: now + 9)) == nil)
  }
}
