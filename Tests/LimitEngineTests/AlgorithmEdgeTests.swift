// Each algorithm at its edges, with expectations worked out by hand.

import Testing

@testable import LimitEngine

@Suite struct AlgorithmEdgeTests {
  @Test("A token bucket admits its whole burst at time zero, then one unit per interval")
  func burstThenRate() {
    let fixture = Fixture([(.key, tokenBucket(every: 100, burst: 3))])
    for left in [2, 1, 0] as [UInt64] {
      let decision = fixture.check(fixture.query(), at: 0)
      #expect(decision.outcome == .allow)
      #expect(decision.remaining == left)
    }
    let denied = fixture.check(fixture.query(), at: 0)
    #expect(denied.outcome == .deny)
    #expect(denied.retryAfter.count == 100)
    #expect(denied.resetAfter.count == 300)
    #expect(fixture.check(fixture.query(), at: 99).retryAfter.count == 1)
    #expect(fixture.check(fixture.query(), at: 100).outcome == .allow)
    #expect(fixture.check(fixture.query(), at: 100).outcome == .deny)
    // A stall, and then years: never more than the burst.
    for _ in 0..<3 { #expect(fixture.check(fixture.query(), at: day).outcome == .allow) }
    #expect(fixture.check(fixture.query(), at: day).outcome == .deny)
    let years = Instant.max.nanoseconds - 400
    for _ in 0..<3 { #expect(fixture.check(fixture.query(), at: years).outcome == .allow) }
    #expect(fixture.check(fixture.query(), at: years).outcome == .deny)
    #expect(fixture.check(fixture.query(), at: Instant.max.nanoseconds).outcome == .allow)
  }

  @Test("A clock that stands still or a reading that is late refills nothing")
  func clockNeverGoesBack() {
    let fixture = Fixture([(.key, tokenBucket(every: 100, burst: 2))])
    #expect(fixture.check(fixture.query(), at: 1_000).outcome == .allow)
    #expect(fixture.check(fixture.query(), at: 500).outcome == .deny)
    #expect(fixture.check(fixture.query(), at: 1_000).outcome == .allow)
    #expect(fixture.check(fixture.query(), at: 1_000).outcome == .deny)
    let window = Fixture([(.key, slidingWindow(limit: 2, window: second))])
    #expect(window.check(window.query(), at: 10 * second).outcome == .allow)
    #expect(window.check(window.query(), at: 9 * second).outcome == .allow)
    #expect(window.check(window.query(), at: 9 * second).outcome == .deny)
    #expect(window.check(window.query(), at: 10 * second).outcome == .deny)
  }

  @Test("A sliding window weighs the previous window by the part still in view")
  func slidingWindowWeights() {
    let fixture = Fixture([(.key, slidingWindow(limit: 10, window: second))])
    #expect(fixture.check(fixture.query(cost: 8), at: second / 2).remaining == 2)
    // A quarter into the next window: 8 × 3/4 = 6 in view.
    let quarter = second + second / 4
    #expect(fixture.check(fixture.query(cost: 4), at: quarter).outcome == .allow)
    let denied = fixture.check(fixture.query(cost: 2), at: quarter)
    #expect(denied.outcome == .deny)
    #expect(denied.remaining == 0)
    // 8 × (1 − e) + 4 + 2 ≤ 10 from e = 1/2 on.
    #expect(denied.retryAfter.count == second / 4)
    #expect(denied.resetAfter.count == second * 3 / 4 + second)
    #expect(fixture.check(fixture.query(cost: 2), at: quarter + second / 4 - 1).outcome == .deny)
    #expect(fixture.check(fixture.query(cost: 2), at: quarter + second / 4).outcome == .allow)
  }

  @Test("A cost above what the limit can hold is never admitted, whatever its size")
  func costsThatNeverFit() {
    for settings in [
      tokenBucket(every: 1, burst: 5), slidingWindow(limit: 5, window: second),
      concurrency(limit: 5),
    ] {
      let fixture = Fixture([(.key, settings)])
      for cost in [6, 1 << 40, 1 << 63, .max] as [UInt64] {
        let decision = fixture.check(fixture.query(cost: cost), at: 7)
        #expect(decision.outcome == .never)
        #expect(decision.remaining == 5)
        #expect(decision.retryAfter == Decision.noWait)
      }
      #expect(fixture.check(fixture.query(cost: 5), at: 7).outcome == .allow)
    }
  }

  @Test("The largest limits and costs work, at the largest times") func largestValues() {
    let burst = TokenBucket.Parameters.burstMax
    let bucket = Fixture([(.key, tokenBucket(every: 1 << 19, burst: burst))])
    let end = Instant.max.nanoseconds
    #expect(bucket.check(bucket.query(cost: burst), at: end).outcome == .allow)
    let denied = bucket.check(bucket.query(cost: burst), at: end)
    #expect(denied.outcome == .deny)
    #expect(denied.retryAfter.count == 1 << 59)
    let limit = SlidingWindow.Parameters.limitMax
    let longest = SlidingWindow.Parameters.windowMax.count
    let window = Fixture([(.key, slidingWindow(limit: limit, window: longest))])
    #expect(window.check(window.query(cost: limit), at: end).outcome == .allow)
    #expect(window.check(window.query(cost: 1), at: end).outcome == .deny)
  }

  @Test("Parameters out of range are refused") func parameterRanges() {
    #expect(TokenBucket.Parameters(rate: 0, per: .second, burst: 1) == nil)
    #expect(TokenBucket.Parameters(rate: 1, per: .zero, burst: 1) == nil)
    #expect(TokenBucket.Parameters(rate: 1, per: .second, burst: 0) == nil)
    #expect(TokenBucket.Parameters(rate: 1, per: .second, burst: (1 << 40) + 1) == nil)
    #expect(TokenBucket.Parameters(rate: 1, per: .day, burst: 1 << 40) == nil)
    #expect(
      TokenBucket.Parameters(rate: 3, per: .second, burst: 1)?.emissionInterval.count == 333_333_334
    )
    #expect(SlidingWindow.Parameters(limit: 0, window: .second) == nil)
    #expect(SlidingWindow.Parameters(limit: 1, window: Nanoseconds(999_999_999)) == nil)
    #expect(SlidingWindow.Parameters(limit: 1, window: 32 * .day) == nil)
    #expect(
      SlidingWindow.Parameters(limit: SlidingWindow.Parameters.limitMax + 1, window: .day) == nil)
    #expect(Concurrency.Parameters(limit: 0) == nil)
  }

  @Test("A changed window length forgets nothing that it should still count") func changedWindows()
  {
    let before = Fixture([(.key, slidingWindow(limit: 10, window: second))])
    let longer = Fixture([(.key, slidingWindow(limit: 10, window: 60 * second))])
    let now = 1_000 * second + 5
    #expect(before.check(before.query(cost: 9), at: now).outcome == .allow)
    let later = Instant(nanoseconds: now + 10)
    let decision = before.engine.check(longer.query(cost: 2), under: longer.policies, at: later)
    #expect(decision.outcome == .deny)
    #expect(decision.remaining == 1)
  }
}

#if compiler(>=6.2)
/// What only a mistaken caller can ask of the engine.
@Suite struct EnginePreconditionTests {
  @Test("An instant beyond the engine's clock stops the process") func instant() async {
    await #expect(processExitsWith: .failure) { _ = Instant(nanoseconds: 1 << 62) }
  }
}
#endif
