// Each algorithm the naive way: exact numbers, no packing, no cleverness. What the engine says is
// compared with these, so they are written from the definitions and not from the engine.

@testable import LimitEngine

/// One bucket's figures as a reply would show them.
struct ModelAnswer: Equatable {
  var outcome: Decision.Outcome
  var remaining: UInt64
  var retryAfter: UInt64
  var resetAfter: UInt64
}

protocol BucketModel {
  /// What a query of `cost` at `now` gets, and the figures with nothing charged.
  func look(cost: UInt64, now: UInt64) -> ModelAnswer
  /// Takes what `look` admitted.
  mutating func charge(cost: UInt64, now: UInt64)
  /// Gives back what was taken at `decidedAt`.
  mutating func giveBack(cost: UInt64, decidedAt: UInt64, now: UInt64)
  /// Takes what settling found to be used, whether it is there or not.
  mutating func book(cost: UInt64, now: UInt64)
}

/// A token bucket as a bucket: how much is in it, in units of 1/T of a token, filled as time goes.
struct TokenBucketModel: BucketModel {
  let interval: Int128
  let burst: Int128
  private var content: Int128
  private var filledAt: Int128 = 0

  init(interval: UInt64, burst: UInt64) {
    self.interval = Int128(interval)
    self.burst = Int128(burst)
    content = Int128(interval) * Int128(burst)
  }

  private var full: Int128 { interval * burst }

  private func content(at now: UInt64) -> Int128 { min(full, content + Int128(now) - filledAt) }

  func look(cost: UInt64, now: UInt64) -> ModelAnswer {
    let content = content(at: now)
    let need = Int128(cost) * interval
    let outcome: Decision.Outcome = Int128(cost) > burst ? .never : need <= content ? .allow : .deny
    return ModelAnswer(
      outcome: outcome, remaining: UInt64(max(0, content) / interval),
      retryAfter: outcome == .deny ? UInt64(need - content) : outcome == .never ? .max : 0,
      resetAfter: UInt64(full - content))
  }

  mutating func charge(cost: UInt64, now: UInt64) {
    content = content(at: now) - Int128(cost) * interval
    filledAt = Int128(now)
  }

  mutating func giveBack(cost: UInt64, decidedAt: UInt64, now: UInt64) {
    content = min(full, content(at: now) + Int128(cost) * interval)
    filledAt = Int128(now)
  }

  mutating func book(cost: UInt64, now: UInt64) {
    content = max(full - Int128(StateWord.debtMax), content(at: now) - Int128(cost) * interval)
    filledAt = Int128(now)
  }
}

/// A sliding window as a list of counts, one for each window there ever was.
struct SlidingWindowModel: BucketModel {
  let limit: Int128
  let window: UInt64
  private var counts: [UInt64: Int128] = [:]

  init(limit: UInt64, window: UInt64) {
    self.limit = Int128(limit)
    self.window = window
  }

  /// What is in view at `now`, in units of 1/W.
  private func inView(_ now: UInt64) -> Int128 {
    let index = now / window
    let elapsed = now % window
    let previous = index == 0 ? 0 : counts[index - 1] ?? 0
    return previous * Int128(window - elapsed) + (counts[index] ?? 0) * Int128(window)
  }

  private func fits(_ cost: UInt64, at now: UInt64) -> Bool {
    inView(now) + Int128(cost) * Int128(window) <= limit * Int128(window)
  }

  func look(cost: UInt64, now: UInt64) -> ModelAnswer {
    let free = limit * Int128(window) - inView(now)
    let outcome: Decision.Outcome =
      Int128(cost) > limit ? .never : fits(cost, at: now) ? .allow : .deny
    var retry: UInt64 = outcome == .never ? .max : 0
    if outcome == .deny {
      // What is in view only shrinks, so the least wait can be searched for by halving.
      var (low, high) = (UInt64(0), 2 * window)
      while high - low > 1 {
        let middle = low + (high - low) / 2
        if fits(cost, at: now + middle) { high = middle } else { low = middle }
      }
      retry = high
    }
    let index = now / window
    let last = [index, index == 0 ? index : index - 1].first { (counts[$0] ?? 0) > 0 }
    return ModelAnswer(
      outcome: outcome, remaining: free > 0 ? UInt64(free / Int128(window)) : 0, retryAfter: retry,
      resetAfter: last.map { ($0 + 2) * window - now } ?? 0)
  }

  mutating func charge(cost: UInt64, now: UInt64) {
    counts[now / window, default: 0] += Int128(cost)
  }

  mutating func giveBack(cost: UInt64, decidedAt: UInt64, now: UInt64) {
    let index = decidedAt / window
    counts[index] = max(0, counts[index, default: 0] - Int128(cost))
  }

  mutating func book(cost: UInt64, now: UInt64) {
    let count = counts[now / window, default: 0] + Int128(cost)
    counts[now / window] = min(count, Int128(StateWord.countMax))
  }
}

/// A concurrency limit: a count.
struct ConcurrencyModel: BucketModel {
  let limit: UInt64
  private var held: UInt64 = 0

  init(limit: UInt64) { self.limit = limit }

  func look(cost: UInt64, now: UInt64) -> ModelAnswer {
    ModelAnswer(
      outcome: cost > limit ? .never : held + cost <= limit ? .allow : .deny,
      remaining: limit - held, retryAfter: cost <= limit && held + cost <= limit ? 0 : .max,
      resetAfter: 0)
  }

  mutating func charge(cost: UInt64, now: UInt64) { held += cost }

  mutating func giveBack(cost: UInt64, decidedAt: UInt64, now: UInt64) { held -= cost }

  mutating func book(cost: UInt64, now: UInt64) {}
}
