// The token bucket, as GCRA: the generic cell rate algorithm (ITU-T I.371, annex A), which needs
// one number per bucket, the theoretical arrival time (TAT): when the bucket will be full again.
//
// Pure functions: (state, parameters, now, cost) → verdict. No atomics here; the table applies
// what these decide.

/// The token bucket algorithm.
public enum TokenBucket {
  /// What a token bucket is made of.
  public struct Parameters: Hashable, Sendable, BitwiseCopyable {
    /// The largest burst: 2^40 units.
    public static let burstMax: UInt64 = 1 << 40
    /// The longest time that a bucket may take to fill: 2^59 ns, 18 years.
    public static let toleranceMax = Nanoseconds(1 << 59)

    /// T: the time in which one unit comes back, at least 1 ns.
    public let emissionInterval: Nanoseconds
    /// The units in a full bucket, 1 ... `burstMax`.
    public let burst: UInt64
    /// burst × T: the time in which an empty bucket fills.
    public let tolerance: Nanoseconds

    /// `rate` units per `period`, rounded down to whole nanoseconds per unit: T = ceil(period /
    /// rate). `nil` where a parameter is out of range or the bucket would take longer than
    /// `toleranceMax` to fill.
    public init?(rate: UInt64, per period: Nanoseconds, burst: UInt64) {
      guard rate > 0, period.count > 0 else { return nil }
      let (quotient, remainder) = period.count.quotientAndRemainder(dividingBy: rate)
      self.init(emissionInterval: Nanoseconds(quotient + (remainder > 0 ? 1 : 0)), burst: burst)
    }

    /// `nil` where a parameter is out of range or the bucket would take longer than
    /// `toleranceMax` to fill.
    public init?(emissionInterval: Nanoseconds, burst: UInt64) {
      guard emissionInterval.count > 0, (1...Self.burstMax).contains(burst) else { return nil }
      let (tolerance, overflow) = burst.multipliedReportingOverflow(by: emissionInterval.count)
      guard !overflow, tolerance <= Self.toleranceMax.count else { return nil }
      self.emissionInterval = emissionInterval
      self.burst = burst
      self.tolerance = Nanoseconds(tolerance)
    }
  }

  /// Decides a query of `cost` units against a bucket.
  ///
  /// Sums cannot overflow: a debt is below 2^60 and times below 2^62, and cost × T is at most the
  /// tolerance, 2^59, because a larger cost is `never`.
  ///
  /// - Parameter head: `Rule.head`.
  @inline(__always) static func decide(
    _ state: StateWord, head: UInt8, interval: FastDivisor, burst: UInt64, now: UInt64,
    cost: UInt64, intent: Intent
  ) -> Verdict {
    let tolerance = burst &* interval.value
    let debt = state.debt(at: now)
    guard cost <= burst else {
      return Verdict(
        outcome: .never, next: state,
        remaining: remaining(debt: debt, tolerance: tolerance, interval: interval),
        retryAfter: Decision.noWait.count, resetAfter: debt)
    }
    let debtAfter = debt &+ cost &* interval.value
    guard debtAfter <= tolerance else {
      return Verdict(
        outcome: .deny, next: state,
        remaining: remaining(debt: debt, tolerance: tolerance, interval: interval),
        retryAfter: debtAfter &- tolerance, resetAfter: debt)
    }
    let shown = intent == .peek ? debt : debtAfter
    return Verdict(
      outcome: .allow, next: .tokenBucket(head, tat: now &+ debtAfter),
      remaining: remaining(debt: shown, tolerance: tolerance, interval: interval), retryAfter: 0,
      resetAfter: shown)
  }

  /// Whole units left in a bucket that owes `debt` ns; 0 where settling left it below empty.
  @inline(__always) private static func remaining(
    debt: UInt64, tolerance: UInt64, interval: FastDivisor
  ) -> UInt64 { debt >= tolerance ? 0 : interval.quotient(of: tolerance &- debt) }

  /// The state after `cost` units were given back at `now`: never fuller than full.
  static func giveBack(_ state: StateWord, head: UInt8, interval: UInt64, now: UInt64, cost: UInt64)
    -> StateWord
  {
    let debt = state.debt(at: now)
    guard debt > 0 else { return state }
    let (back, overflow) = cost.multipliedReportingOverflow(by: interval)
    return .tokenBucket(head, tat: now + (overflow || back >= debt ? 0 : debt - back))
  }

  /// The state after `cost` units were taken at `now` whether they were there or not. A debt is
  /// carried until time has paid it, up to `StateWord.debtMax`.
  static func book(_ state: StateWord, head: UInt8, interval: UInt64, now: UInt64, cost: UInt64)
    -> StateWord
  {
    let (taken, overflow) = cost.multipliedReportingOverflow(by: interval)
    let debt = state.debt(at: now)
    let after =
      overflow || taken > StateWord.debtMax - debt ? StateWord.debtMax : debt + taken
    return .tokenBucket(head, tat: now + after)
  }
}
