// Lets so many through at once, then one per some time, and counts the rest: for lines and events of which
// there may be a storm. A value; whoever has the lock uses it.

/// A token bucket that says how many were held back before the one that it lets through.
package struct SuppressingBucket: Sendable {
  package struct Bound: Sendable {
    /// How many at once.
    let burst: UInt64
    /// The time from one to the next after that, in ns.
    let period: UInt64

    package init(burst: UInt64, period: UInt64) {
      self.burst = burst
      self.period = period
    }
  }

  private let bound: Bound
  private var left: UInt64
  private var since: UInt64
  private var suppressedCount: UInt64 = 0

  /// - Parameter now: of any steady clock, in ns; likewise below.
  package init(_ bound: Bound, at now: UInt64) {
    self.bound = bound
    left = bound.burst
    since = now
  }

  /// Takes one: how many were held back since the last one; `nil` where this one is.
  package mutating func take(at now: UInt64) -> UInt64? {
    let periods = (now - min(now, since)) / bound.period
    left = min(bound.burst, left + min(periods, bound.burst))
    since += periods * bound.period
    guard left > 0 else {
      suppressedCount += 1
      return nil
    }
    left -= 1
    defer { suppressedCount = 0 }
    return suppressedCount
  }
}
