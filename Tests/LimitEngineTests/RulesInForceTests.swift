// By which rules the words of a region are written: what a process that is killed leaves of that, and
// what is made of words whose rules nobody knows.

import Testing

@testable import LimitEngine

@Suite struct RulesInForceTests {
  private func set(_ settings: LimitSettings, source: UInt64) -> PolicySetBuilder {
    var builder = PolicySetBuilder()
    let limit = builder.addLimit(
      LimitDefinition(name: "limit-0", scope: .key, settings: settings))
    builder.addPolicy(named: "policy-0", limits: [limit])
    builder.anyTenant = PolicySetBuilder.Treatment()
    builder.source = source
    return builder
  }

  private func query(_ policies: PolicySet, _ key: String = "user", cost: UInt64 = 1) -> Query {
    let tenant = policies.tenant(named: "acme")
    return Query(
      tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: key), cost: cost)
  }

  private func at(_ nanoseconds: UInt64) -> Instant { Instant(nanoseconds: nanoseconds) }

  @Test(
    "Killed between any two steps of putting rules in force, the region says which words it has",
    .enabled(if: Survivor.canStep))
  func everyStep() throws {
    let survivor = Survivor([(.key, tokenBucket(every: second, burst: 10))], at: day)
    let engine = survivor.fixture.engine
    let before = set(tokenBucket(every: second, burst: 10), source: 7).build(hashKey: testHashKey)
    let after = set(tokenBucket(every: second, burst: 20), source: 8).build(after: before)
    engine.begin(under: before)
    for key in ["user", "other"] {
      let used = engine.check(query(before, key, cost: 4), under: before, at: at(day))
      #expect(used.remaining == 6)
    }
    let changing = survivor.statesLeft { engine.putInForce(after, at: at(day + 5)) }
    let converting = survivor.statesLeft { engine.convert(under: after, at: at(day + 7)) }
    #expect(changing.count == 4 && converting.count >= 3)
    let former = RulesInForce(generation: 0, source: 7)
    let halfway = RulesInForce(generation: 0, changedAt: day + 5, source: 7)
    let later = RulesInForce(
      generation: 1, isChanging: true, changedAt: day + 5, source: 8, formerSource: 7)
    let done = RulesInForce(generation: 1, changedAt: day + 5, source: 8)
    let said = try (changing + converting).map {
      try $0.recovered(at: day + 10).fixture.engine.rules
    }
    #expect(
      // The first step takes the word's check away.
      said == [former, former, halfway, later]
        + Array(repeating: later, count: converting.count - 1) + [done])
    // Whichever words there are, they mean the same.
    for state in [survivor, changing[3]] + converting {
      let next = try state.recovered(at: day + 10).fixture.engine
      next.resume(after)
      for key in ["user", "other"] {
        let decision = next.check(query(after, key, cost: 0), under: after, at: at(day + 10))
        #expect(decision.remaining == 16)
      }
    }
  }

  @Test("What is read while rules change once is told apart; twice, and nobody can")
  func spanning() {
    let first = RulesInForce(generation: 4, source: 7)
    let changing = RulesInForce(
      generation: 5, isChanging: true, changedAt: 9, source: 8, formerSource: 7)
    let second = RulesInForce(generation: 5, changedAt: 9, source: 8)
    #expect(first.spanning(first) == first)
    #expect(first.spanning(changing) == changing)
    #expect(first.spanning(second) == changing)
    // What was converted meanwhile may have been read before.
    #expect(changing.spanning(second) == changing)
    #expect(changing.spanning(RulesInForce(generation: 6, source: 9)) == nil)
    #expect(first.spanning(RulesInForce(generation: 6, source: 9)) == nil)
  }

  @Test(
    "Under rules that follow unknown ones, waits are cut to a full period, counts to two windows")
  func afterUnknown() {
    let settings: [(LimitSettings, LimitSettings, UInt64)] = [
      // Two days are owed, and ten seconds fill the new bucket.
      (tokenBucket(every: day, burst: 2), tokenBucket(every: second, burst: 10), 10 * second),
      (
        slidingWindow(limit: 10, window: 31 * day), slidingWindow(limit: 2, window: 60 * second),
        120 * second
      ),
    ]
    for (old, new, most) in settings {
      for generation in [0, 1] as [UInt32] {
        let engine = Engine(.tiny)
        let before = set(old, source: 0).build(hashKey: testHashKey, generation: generation)
        engine.begin(under: before)
        let now = Instant(nanoseconds: 40 * day)
        let used = engine.check(query(before, cost: 2), under: before, at: now)
        #expect(used.outcome == .allow)
        let after = set(new, source: 5).build(hashKey: testHashKey, afterUnknown: generation)
        engine.putInForce(after, at: now)
        #expect(engine.convert(under: after, at: now) == ConversionCount(converted: 1))
        let denied = engine.check(query(after), under: after, at: now)
        #expect(denied.outcome == .deny)
        #expect(denied.retryAfter.count <= most)
        #expect(denied.resetAfter.count <= most)
        let later = Instant(nanoseconds: now.nanoseconds + most)
        #expect(engine.check(query(after), under: after, at: later).outcome == .allow)
      }
    }
  }
}
