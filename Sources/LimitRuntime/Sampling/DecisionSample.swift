// What is kept of a decision for people to look at: who was decided on, by which limit, and how. A value.

public import LimitEngine

/// One decision, without the names, which stand beside it in the ring.
@frozen public struct DecisionSample: BitwiseCopyable, Sendable {
  public var tenant: Tenant
  public var key: Fingerprint
  /// The engine's time of the decision.
  public var at: Instant
  public var cost: UInt64
  public var retryAfter: Nanoseconds
  /// How many decisions with the same outcome it stands for; 0 where others stand for it, and it is
  /// there for its own sake.
  public var weight: UInt32
  /// The block of counters that the decision was counted in: tells the policy, and with `place` the
  /// limit, whatever is in force by now.
  public var block: UInt16
  public var keyLength: UInt16
  public var place: UInt8
  public var outcome: Decision.Outcome
  public var reason: Decision.Reason
  public var flags: Decision.Flags
  public var tenantLength: UInt8

  public init(
    tenant: Tenant, key: Fingerprint, at: Instant, cost: UInt64, retryAfter: Nanoseconds,
    block: UInt16, place: UInt8, outcome: Decision.Outcome, reason: Decision.Reason,
    flags: Decision.Flags
  ) {
    self.tenant = tenant
    self.key = key
    self.at = at
    self.cost = cost
    self.retryAfter = retryAfter
    weight = 0
    self.block = block
    keyLength = 0
    self.place = place
    self.outcome = outcome
    self.reason = reason
    self.flags = flags
    tenantLength = 0
  }
}
