// The concurrency limit: how much work may be in flight. A permit is one piece of it.

/// The concurrency algorithm.
public enum Concurrency {
  /// What a concurrency limit is made of.
  public struct Parameters: Hashable, Sendable, BitwiseCopyable {
    /// The largest limit: 2^34 − 3 units (17,179,869,181).
    public static let limitMax: UInt64 = (1 << 34) - 3

    /// The units that may be held at once, 1 ... `limitMax`.
    public let limit: UInt64

    /// `nil` where the limit is out of range.
    public init?(limit: UInt64) {
      guard (1...Self.limitMax).contains(limit) else { return nil }
      self.limit = limit
    }
  }

  /// Decides whether `cost` more units may be held. Only `acquire` holds them.
  ///
  /// No wait is known to help on denial: a unit comes back when its holder returns it.
  @inline(__always) static func decide(
    _ state: StateWord, limit: UInt64, now: UInt64, cost: UInt64, intent: Intent
  ) -> Verdict {
    let held = state.count
    let left = held >= limit ? 0 : limit &- held
    // More than a lowered limit may be held: then nothing is admitted, not even a cost of 0.
    guard held <= limit && cost <= left else {
      return Verdict(
        outcome: cost > limit ? .never : .deny, next: state, remaining: left,
        retryAfter: Decision.noWait.count, resetAfter: 0)
    }
    // The tick never moves back, whatever `now` a slow thread brings: see StateWord on reuse.
    let today = Tick(containing: now)
    let since = state == .empty || today.distance(after: state.tick) > 0 ? today : state.tick
    return Verdict(
      outcome: .allow, next: .concurrency(since: since, held: held &+ cost),
      remaining: intent == .acquire ? left &- cost : left, retryAfter: 0, resetAfter: 0)
  }

  /// The state after `cost` units came back.
  static func release(_ state: StateWord, cost: UInt64) -> StateWord {
    state.with(count: state.count - min(cost, state.count))
  }
}
