// What the engine answers.

/// The answer to one query, with the figures for reply headers.
public struct Decision: Hashable, Sendable, BitwiseCopyable {
  public enum Outcome: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// Every limit admitted the query and was charged (or, for a peek, would have).
    case allow = 0
    /// A limit has too little left now; nothing was charged.
    case deny = 1
    /// The cost exceeds what a limit can ever hold; nothing was charged, and waiting cannot help.
    case never = 2
  }

  /// Who decided.
  public enum Reason: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// The limit named in `limit`.
    case limit = 0
    /// The tenant is blocked.
    case blocked = 1
    /// The tenant is not named in the policy set, and the set has no rule for others.
    case unknownTenant = 2
    /// The tenant is not limited: the limit named in `limit` only counts.
    case unlimited = 3
  }

  public struct Flags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A limit of the policy has reached its soft threshold.
    public static let softThreshold = Flags(rawValue: 1)
    /// A limit that may not deny (a shadow limit, or any limit of an unlimited tenant) would have.
    public static let shadowDenied = Flags(rawValue: 2)
    /// A bucket had no room of its own, and a wider one was used: the tenant's for a key's, or
    /// everybody's for a tenant's.
    public static let overflow = Flags(rawValue: 4)
  }

  public var outcome: Outcome
  public var reason: Reason
  public var flags: Flags
  /// The limit that decided: on `deny` the one with the longest retry, on `allow` the one with the
  /// least fraction left, on `never` the first that can never hold the cost. `none` where no limit
  /// was looked at.
  public var limit: LimitIndex
  /// Where that limit stands in the query's policy, from 0; `noPlace` where none decided.
  public var place: UInt8
  /// What that limit holds when full, in its unit.
  public var capacity: UInt64
  /// Whole units that it has left after this decision.
  public var remaining: UInt64
  /// On `deny`: the least wait after which the same cost would be admitted if nothing else came, or
  /// `noWait`. On `never`, and where the tenant is blocked or unknown: `noWait`. On `allow`: 0.
  public var retryAfter: Nanoseconds
  /// The wait until the bucket is as if never used.
  public var resetAfter: Nanoseconds
  /// What was charged, to be settled later.
  public var receipt: Receipt

  /// `place` where no limit decided.
  public static var noPlace: UInt8 { .max }
  /// `retryAfter` where no wait is known to help: nothing but a release, or other rules, could.
  @inlinable public static var noWait: Nanoseconds { Nanoseconds(.max) }

  public init(
    outcome: Outcome, reason: Reason, flags: Flags, limit: LimitIndex, place: UInt8,
    capacity: UInt64, remaining: UInt64, retryAfter: Nanoseconds, resetAfter: Nanoseconds,
    receipt: Receipt
  ) {
    self.outcome = outcome
    self.reason = reason
    self.flags = flags
    self.limit = limit
    self.place = place
    self.capacity = capacity
    self.remaining = remaining
    self.retryAfter = retryAfter
    self.resetAfter = resetAfter
    self.receipt = receipt
  }

  /// A decision that no limit took part in.
  static func withoutLimit(
    _ outcome: Outcome, _ reason: Reason, _ query: Query, tag: UInt32, at now: Instant
  ) -> Decision {
    Decision(
      outcome: outcome, reason: reason, flags: [], limit: .none, place: noPlace, capacity: 0,
      remaining: 0, retryAfter: outcome == .allow ? .zero : noWait, resetAfter: .zero,
      receipt: Receipt(tag: tag, decidedAt: now, cost: query.cost))
  }
}

/// What one decision took: enough to correct it, so that the engine keeps nothing per query.
public struct Receipt: Hashable, Sendable, BitwiseCopyable {
  /// The engine time as of which the decision was made.
  public var decidedAt: Instant
  /// The query's cost.
  public var cost: UInt64
  /// Tells the engine that all of this is its own word, for the query's tenant and key
  /// (`PolicySet.mark`). 0 until then: such a receipt is stale.
  public var mac: UInt64
  /// Of the policy's list of limits (`PolicySet.tag(of:)`), to which the fields below refer.
  public var tag: UInt32
  /// Bits 2i and 2i + 1: by how many scopes the bucket that was charged is wider than the limit's
  /// own, 0 ... 2 (flag `overflow`).
  public var escalated: UInt32
  /// Bit i: the policy's limit i was charged.
  public var charged: UInt16
  /// Bit i: the policy's limit i, which may not deny, would have (flag `shadowDenied`).
  public var shadow: UInt16

  public init(
    tag: UInt32, decidedAt: Instant, cost: UInt64, charged: UInt16 = 0, shadow: UInt16 = 0,
    escalated: UInt32 = 0, mac: UInt64 = 0
  ) {
    self.tag = tag
    self.decidedAt = decidedAt
    self.cost = cost
    self.charged = charged
    self.shadow = shadow
    self.escalated = escalated
    self.mac = mac
  }
}
