// Where each parameter in force was written.

import LimitEngine
import LimitPolicy
import Testing

@Suite struct ExplanationTests {
  private static let text = """
    limits:
      rate:
        algorithm: token-bucket
        rate: 3/s
        burst: 200
        scope: key
      tokens:
        algorithm: sliding-window
        limit: 1000
        window: 1m
        soft: 80%
        mode: shadow
        unit: tokens
        scope: tenant
    policies:
      plain: [rate]
      mixed: [tokens, rate]
    plans:
      pro:
        rate:
          burst: 300
        tokens:
          limit: 5000
          soft: 90%
    tenants:
      acme:
        plan: pro
        limits:
          tokens:
            limit: 7000
      banned:
        blocked: true
    """

  private func explain(_ tenant: String, _ policy: String) throws -> Explanation? {
    try PolicyFile.parse(Self.text, path: "p.yaml").explain(tenant: tenant, policy: policy)
  }

  @Test func everyParameterHasTheLineThatSetIt() throws {
    let explanation = try #require(try explain("acme", "mixed"))
    #expect(explanation.standing == .limited)
    #expect(explanation.entry?.line == 26)
    #expect(explanation.plan?.name == "pro")
    #expect(explanation.plan?.line == 27)
    #expect(explanation.policyLine == 17)
    #expect(explanation.limits.map(\.name) == ["tokens", "rate"])
    #expect(explanation.limits.map(\.line) == [7, 2])
    let tokens = explanation.limits[0].parameters
    #expect(tokens.map(\.name) == ["limit", "window", "soft", "mode", "scope", "unit"])
    #expect(tokens.map(\.value) == ["7000", "1m", "90%", "shadow", "tenant", "tokens"])
    #expect(
      tokens.map(\.source) == [
        .tenant("acme", line: 30), .base(line: 10), .plan("pro", line: 24), .base(line: 12),
        .base(line: 14), .base(line: 13),
      ]
    )
    #expect(tokens[2].note == "from 6300 tokens on")
    let rate = explanation.limits[1].parameters
    #expect(rate.map(\.value) == ["3/s", "300", "enforce", "key", "requests"])
    #expect(
      rate.map(\.source) == [
        .base(line: 4), .plan("pro", line: 21), .unwritten, .base(line: 6), .unwritten,
      ]
    )
    #expect(rate[0].note == "one every 333_333_334ns: 2.999999994/s in effect")
  }

  @Test func requestsTakeOneEachBesideAnotherUnit() throws {
    #expect(try explain("acme", "mixed")?.limits.map(\.takesCost) == [true, false])
    #expect(try explain("acme", "plain")?.limits.map(\.takesCost) == [true])
  }

  @Test func aTenantThatIsNotNamedIsUnknownOrFallsUnderTheRuleForOthers() throws {
    let unknown = try #require(try explain("nobody", "plain"))
    #expect(unknown.standing == .unknown)
    #expect(unknown.entry == nil)
    let text = Self.text + "\n  \"*\": {limits: {rate: {burst: 1}}}\n"
    let other = try #require(
      try PolicyFile.parse(text, path: "p").explain(tenant: "nobody", policy: "plain")
    )
    #expect(other.standing == .limited)
    #expect(other.entry?.name == "*")
    #expect(other.limits[0].parameters[1].source == .tenant("*", line: 33))
  }

  @Test func aBlockedTenantHasTheLineThatBlocksIt() throws {
    let explanation = try #require(try explain("banned", "plain"))
    #expect(explanation.standing == .blocked)
    #expect(explanation.standingLine == 32)
  }

  @Test func aPolicyThatIsNotThereHasNoExplanation() throws {
    #expect(try explain("acme", "nope") == nil)
  }
}
