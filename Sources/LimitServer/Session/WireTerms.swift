// The engine's and the policy file's words, as the protocol has them: the one place that knows both.

import LimitEngine
import LimitPolicy
import LimitProtocol
import LimitRuntime

extension DecisionRecord {
  /// The engine's decision as it goes on the wire. Raw values are the same on both sides.
  @inline(__always) init(_ decision: Decision, tag: UInt32) {
    self.init(
      outcome: DecisionOutcome(decision.outcome), reason: DecisionReason(decision.reason),
      flags: DecisionFlags(decision.flags), place: decision.place,
      receipt: WireReceipt(
        tag: tag, decidedAt: decision.receipt.decidedAt.nanoseconds,
        charged: decision.receipt.charged, shadow: 0, escalated: decision.receipt.escalated,
        mac: 0),
      capacity: decision.capacity, remaining: decision.remaining,
      retryAfter: decision.outcome != .allow && decision.retryAfter == .zero
        ? Self.noWait : decision.retryAfter.count,
      resetAfter: decision.resetAfter.count)
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
