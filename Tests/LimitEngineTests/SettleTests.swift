// Settling: what a decision took is corrected to what its query turned out to take.

import TestSupport
import Testing

@testable import LimitEngine

@Suite struct SettleTests {
  private func settle(
    _ fixture: Fixture, _ query: Query, _ receipt: Receipt, to actual: UInt64, at now: UInt64
  ) -> Settlement {
    fixture.engine.settle(
      query, receipt, actual: actual, under: fixture.policies, at: Instant(nanoseconds: now))
  }

  /// An engine whose one policy counts 20 requests and 100,000 tokens a minute.
  private func chat() -> (engine: Engine, policies: PolicySet, query: Query) {
    var plan = PolicyPlan()
    plan.limits = [
      LimitDefinition(
        name: "requests", scope: .tenant, settings: slidingWindow(limit: 20, window: 60 * second)),
      LimitDefinition(
        name: "tokens", scope: .tenant, unit: "tokens",
        settings: slidingWindow(limit: 100_000, window: 60 * second)),
    ]
    plan.policies = [[0, 1]]
    let policies = plan.compile()
    let tenant = policies.tenant(named: "acme")
    let query = Query(
      tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: "bob"), cost: 1_500)
    return (Engine(), policies, query)
  }

  @Test("Calls of 1,500 tokens that each give one back are admitted 20 times a minute, not more")
  func requestsKeepTheirOne() {
    let (engine, policies, query) = chat()
    var admitted = 0
    for number in 0..<500 as Range<UInt64> {
      let now = Instant(nanoseconds: 60 * second + number * 100_000_000)
      let decision = engine.markedCheck(query, under: policies, at: now)
      guard decision.outcome == .allow else { continue }
      admitted += 1
      for actual in [1_499, 0] as [UInt64] {
        #expect(
          engine.settle(query, decision.receipt, actual: actual, under: policies, at: now)
            == .settled)
      }
    }
    #expect(admitted == 20)
  }

  @Test("More than was decided is booked whether or not it fits, and later queries wait for it")
  func debtIsCarried() {
    let fixture = Fixture([(.key, tokenBucket(every: second, burst: 10))])
    let query = fixture.query(cost: 4)
    let receipt = fixture.check(query, at: 100 * second).receipt
    #expect(settle(fixture, query, receipt, to: 25, at: 100 * second) == .settled)
    let denied = fixture.check(fixture.query(cost: 1), at: 100 * second)
    #expect(denied.outcome == .deny)
    #expect(denied.remaining == 0)
    #expect(denied.retryAfter.count == 16 * second)
    #expect(denied.resetAfter.count == 25 * second)
    #expect(fixture.check(fixture.query(cost: 1), at: 116 * second - 1).outcome == .deny)
    #expect(fixture.check(fixture.query(cost: 1), at: 116 * second).outcome == .allow)
  }

  @Test("A window carries what settling booked beyond its limit until it is out of view")
  func windowDebt() {
    let fixture = Fixture([(.key, slidingWindow(limit: 100, window: second))])
    let query = fixture.query(cost: 10)
    let receipt = fixture.check(query, at: 100 * second).receipt
    #expect(settle(fixture, query, receipt, to: 400, at: 100 * second) == .settled)
    let denied = fixture.check(fixture.query(), at: 100 * second)
    #expect(denied.outcome == .deny)
    // 400 × (1 − e) + 1 ≤ 100 from e = 301/400 of the next window on.
    #expect(denied.retryAfter.count == second + second * 301 / 400)
    let later = 100 * second + denied.retryAfter.count
    #expect(fixture.check(fixture.query(), at: later - 1).outcome == .deny)
    #expect(fixture.check(fixture.query(), at: later).outcome == .allow)
  }

  @Test("No debt overflows, and none is forgotten for being large")
  func largeDebts() {
    let costs: [UInt64] = [1 << 41, (1 << 48) - 1, .max]
    for settings in [
      tokenBucket(every: day, burst: 3), tokenBucket(every: 1 << 59, burst: 1),
      tokenBucket(every: 1, burst: 1 << 40),
      slidingWindow(limit: SlidingWindow.Parameters.limitMax, window: 31 * day),
    ] {
      for actual in costs {
        let fixture = Fixture([(.key, settings)])
        let receipt = fixture.check(fixture.query(), at: day).receipt
        for _ in 0..<3 {
          #expect(settle(fixture, fixture.query(), receipt, to: actual, at: day) == .settled)
        }
        let denied = fixture.check(fixture.query(), at: day + 1)
        #expect(denied.outcome == .deny)
        #expect(denied.remaining == 0)
        #expect(denied.retryAfter.count > 0)
      }
    }
  }

  @Test("A look that cost nothing can be settled to what was used afterwards")
  func costZero() {
    let (engine, policies, query) = chat()
    var look = query
    look.cost = 0
    let now = Instant(nanoseconds: 60 * second)
    let decision = engine.markedCheck(look, under: policies, at: now)
    #expect(
      engine.settle(query, decision.receipt, actual: 90_000, under: policies, at: now) == .settled)
    let after = engine.peek(look, under: policies, at: now)
    #expect(after.remaining == 10_000)
    let peeked = engine.peek(look, under: policies, at: now).receipt
    #expect(engine.settle(query, peeked, actual: 9, under: policies, at: now) == .stale)
  }

  @Test("What is published for a roll is what is there: nothing given back is lost around it")
  func nothingIsLostAroundARoll() {
    // Charge 100, begin to roll, give 90 back, roll with 1: 200 − 10 − 1.
    for publishes in [false, true] {
      let fixture = Fixture([(.key, slidingWindow(limit: 200, window: second))])
      let query = fixture.query(cost: 100)
      let charged = fixture.check(query, at: 10 * second)
      let slot = slot(of: query, fixture)
      let current = slot.loadCurrent()
      // As another thread leaves it that froze the window, or also published it, and stopped there.
      #expect(slot.exchangeCurrent(current, with: current.frozen))
      if publishes {
        let expiry = SlidingWindow.following(current.tick, window: second, near: 10 * second)
        let published = StateWord.window(current.head, expiry: expiry, count: current.count)
        #expect(slot.exchangePrevious(slot.loadPrevious(), with: published))
      }
      #expect(fixture.check(fixture.query(cost: 101), at: 11 * second).outcome == .deny)
      #expect(settle(fixture, query, charged.receipt, to: 10, at: 10 * second + 1) == .settled)
      #expect(fixture.check(fixture.query(cost: 1), at: 11 * second).remaining == 189)
    }
  }

  @Test("A receipt of an earlier window, settled amid a roll, forgets no window")
  func olderReceiptAmidARoll() {
    let fixture = Fixture([(.key, slidingWindow(limit: 200, window: second))])
    let query = fixture.query(cost: 50)
    let older = fixture.check(query, at: 10 * second)
    #expect(fixture.check(fixture.query(cost: 150), at: 11 * second).outcome == .allow)
    let slot = slot(of: query, fixture)
    let current = slot.loadCurrent()
    // As another thread leaves it that rolls on to the window of 12 s, and stopped there.
    #expect(slot.exchangeCurrent(current, with: current.frozen))
    #expect(settle(fixture, query, older.receipt, to: 0, at: 12 * second) == .settled)
    #expect(fixture.check(fixture.query(cost: 51), at: 12 * second).outcome == .deny)
    #expect(fixture.check(fixture.query(cost: 50), at: 12 * second).remaining == 0)
  }

  @Test("A debt as long as is kept is read rightly by a thread that is some minutes behind")
  func longestDebt() {
    let fixture = Fixture([(.key, tokenBucket(every: 3_600 * second, burst: 10))])
    let query = fixture.query(cost: 1)
    let receipt = fixture.check(query, at: day).receipt
    #expect(settle(fixture, query, receipt, to: 1 << 47, at: day) == .settled)
    for behind in [0, 1, 1_000 * second] {
      #expect(fixture.check(query, at: day - behind).outcome == .deny)
    }
  }

  private func slot(of query: Query, _ fixture: Fixture) -> Slot {
    let rule = fixture.policies.rule(for: LimitIndex(0), of: query.tenant)
    let table = fixture.engine.table(Scope.key.rawValue).pointee
    return table.find(BucketID(query.key, seed: rule.pointee.seed))!.slot
  }

  @Test("A charge of an earlier window is given back to that window")
  func earlierWindow() {
    let fixture = Fixture([(.key, slidingWindow(limit: 200, window: second))])
    let query = fixture.query(cost: 100)
    let first = fixture.check(query, at: 10 * second)
    #expect(fixture.check(fixture.query(cost: 1), at: 11 * second).remaining == 99)
    #expect(settle(fixture, query, first.receipt, to: 10, at: 11 * second + 1) == .settled)
    // Half of the 10 that stay are in view at half the window.
    #expect(fixture.check(fixture.query(cost: 1), at: 11 * second + second / 2).remaining == 193)
    // Out of view, nothing is left to give back, and what is booked is booked now.
    #expect(settle(fixture, query, first.receipt, to: 0, at: 13 * second) == .settled)
    #expect(settle(fixture, query, first.receipt, to: 130, at: 13 * second) == .settled)
    #expect(fixture.check(fixture.query(cost: 1), at: 13 * second).remaining == 169)
  }

  @Test("A late reading's charge to a window that others began is given back to that window")
  func lateReading() {
    let fixture = Fixture([(.key, slidingWindow(limit: 200, window: second))])
    #expect(fixture.check(fixture.query(cost: 100), at: 10 * second).remaining == 100)
    #expect(fixture.check(fixture.query(cost: 10), at: 11 * second).remaining == 90)
    let late = fixture.check(fixture.query(cost: 40), at: 11 * second - 5)
    #expect(late.remaining == 50)
    #expect(late.receipt.decidedAt.nanoseconds == 11 * second)
    #expect(settle(fixture, fixture.query(), late.receipt, to: 0, at: 11 * second) == .settled)
    // Of the first window's 100 nothing was given back: 50 of it are in view at half the next.
    #expect(
      fixture.check(fixture.query(cost: 0), at: 11 * second + second / 2).remaining == 140)
  }

  @Test("A denied query leaves no charge behind, not even in a window that has been rolled on")
  func denialLeavesNothingBehind() {
    let fixture = Fixture([(.key, slidingWindow(limit: 10, window: second))])
    let query = fixture.query(cost: 4)
    let rule = fixture.policies.rule(for: LimitIndex(0), of: query.tenant)
    let now = Instant(nanoseconds: 10 * second)
    // As `decideAll` does where another limit refuses late; in between, another thread rolls on.
    var site = fixture.engine.look(rule, query, cost: 4, now: now, intent: .check)
    fixture.engine.charge(&site, rule, query, cost: 4, now: now, intent: .check)
    #expect(site.isCharged)
    #expect(fixture.check(fixture.query(cost: 1), at: 11 * second).remaining == 5)
    fixture.engine.uncharge(site, rule, query, cost: 4, now: now)
    #expect(fixture.check(fixture.query(cost: 0), at: 11 * second).remaining == 9)
  }

  @Test(
    "A clock set back and forth around a window's roll stops nobody", arguments: [1, 49, 100, 155])
  func clockBackAndForth(days: UInt64) {
    let fixture = Fixture([(.key, slidingWindow(limit: 1_000, window: second))])
    var random = SeededGenerator(seed: testSeed)
    let start = 200 * day
    for step in 0..<2_000 as Range<UInt64> {
      let near = start + step * second / 4 + random.next() % second
      let now = random.chance(1, in: 7) ? near + days * day : near
      let decision = fixture.check(fixture.query(cost: random.next() % 3), at: now)
      #expect(decision.remaining <= 1_000)
    }
  }

  @Test("A previous count that lies ahead of the current window is passed over, then repaired")
  func previousAhead() {
    let fixture = Fixture([(.key, slidingWindow(limit: 1_000, window: second))])
    let query = fixture.query()
    #expect(fixture.check(query, at: 10 * second).remaining == 999)
    let rule = fixture.policies.rule(for: LimitIndex(0), of: query.tenant)
    let slot = slot(of: query, fixture)
    let ahead = StateWord.window(
      rule.pointee.head, expiry: Tick(atOrAfter: 49 * day), count: 1_000)
    #expect(slot.exchangePrevious(slot.loadPrevious(), with: ahead))
    #expect(fixture.check(query, at: 10 * second).remaining == 998)
    #expect(fixture.check(query, at: 11 * second).remaining == 997)
    #expect(slot.exchangePrevious(slot.loadPrevious(), with: ahead))
    fixture.engine.sweep(at: Instant(nanoseconds: 11 * second))
    #expect(slot.loadPrevious().count == 0)
  }
}
