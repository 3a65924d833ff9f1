// The engine's words and the protocol's are the same numbers.

import LimitEngine
import LimitPolicy
import LimitProtocol
import Testing

@testable import LimitServer

@Suite struct WireTermsTests {
  @Test("Outcomes")
  func outcomes() {
    #expect(DecisionOutcome(Decision.Outcome.allow) == .allow)
    #expect(DecisionOutcome(Decision.Outcome.deny) == .deny)
    #expect(DecisionOutcome(Decision.Outcome.never) == .never)
  }

  @Test("Reasons")
  func reasons() {
    #expect(DecisionReason(Decision.Reason.limit) == .limit)
    #expect(DecisionReason(Decision.Reason.blocked) == .blocked)
    #expect(DecisionReason(Decision.Reason.unknownTenant) == .unknownTenant)
  }

  @Test("Flags")
  func flags() {
    #expect(DecisionFlags(Decision.Flags.softThreshold) == .softThreshold)
    #expect(DecisionFlags(Decision.Flags.shadowDenied) == .shadowDenied)
    #expect(DecisionFlags(Decision.Flags.overflow) == .overflow)
  }

  @Test("Roles")
  func roles() {
    let pairs: [(DaemonSettings.Roles, PeerRoles)] = [
      (.query, .query), (.settle, .settle), (.observe, .observe), (.administer, .administer),
    ]
    for (ours, wire) in pairs { #expect(PeerRoles(ours) == wire) }
  }
}
