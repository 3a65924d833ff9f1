// The engine's and the policy file's words, as the protocol has them: the one place that knows both.

import LimitEngine
import LimitPolicy
import LimitProtocol
import LimitRuntime

extension DecisionRecord {
  /// The engine's decision as it goes on the wire. Raw values are the same on both sides.
  @inline(__always) init(_ decision: Decision) {
    self.init(
      outcome: DecisionOutcome(decision.outcome), reason: DecisionReason(decision.reason),
      flags: DecisionFlags(decision.flags), place: decision.place,
      receipt: WireReceipt(decision.receipt), capacity: decision.capacity,
      remaining: decision.remaining,
      retryAfter: decision.retryAfter.count, resetAfter: decision.resetAfter.count)
  }
}

extension DecisionOutcome {
  @inline(__always) init(_ outcome: Decision.Outcome) { self.init(rawValue: outcome.rawValue) }
}

extension DecisionReason {
  @inline(__always) init(_ reason: Decision.Reason) { self.init(rawValue: reason.rawValue) }
}

extension DecisionFlags {
  @inline(__always) init(_ flags: Decision.Flags) { self.init(rawValue: flags.rawValue) }
}

extension PeerRoles {
  init(_ roles: Roles) { self.init(rawValue: roles.rawValue) }
}

extension WireReceipt {
  @inline(__always) fileprivate init(_ receipt: Receipt) {
    self.init(
      tag: receipt.tag, decidedAt: receipt.decidedAt.nanoseconds, charged: receipt.charged,
      shadow: receipt.shadow, escalated: receipt.escalated, mac: receipt.mac)
  }
}

extension Receipt {
  /// The receipt as it came back; `nil` where its time is none of the engine's.
  init?(_ wire: WireReceipt, cost: UInt64) {
    guard wire.decidedAt <= Instant.max.nanoseconds else { return nil }
    self.init(
      tag: wire.tag, decidedAt: Instant(nanoseconds: wire.decidedAt), cost: cost,
      charged: wire.charged, shadow: wire.shadow, escalated: wire.escalated, mac: wire.mac)
  }
}
