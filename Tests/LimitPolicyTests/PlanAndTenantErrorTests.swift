// Everything that can be wrong in the sections `plans` and `tenants`.

import LimitPolicy
import Testing

@Suite struct PlanAndTenantErrorTests {
  @Test func overridesOfAMissingLimitAreReported() {
    #expect(
      diagnostics(of: file(plan: "{b: {rate: 1/s}}")) == [
        "p.yaml:6:9: plan 'pro': there is no limit 'b'; define it under limits"
      ]
    )
    #expect(
      diagnostics(of: file(tenant: "{limits: {b: {}}}")) == [
        "p.yaml:8:16: tenant 't', limits: there is no limit 'b'; define it under limits"
      ]
    )
  }

  @Test func overridesOfParametersThatTheAlgorithmLacksAreReported() {
    #expect(
      diagnostics(of: file(plan: "{a: {limit: 5}}")) == [
        "p.yaml:6:13: plan 'pro', limit 'a': a token-bucket limit has no limit; it has rate, "
          + "burst, soft and mode"
      ]
    )
    #expect(
      diagnostics(of: file(tenant: "{limits: {a: {window: 1m}}}")) == [
        "p.yaml:8:20: tenant 't', limit 'a': a token-bucket limit has no window; it has rate, "
          + "burst, soft and mode"
      ]
    )
  }

  @Test func aGlobalLimitHasOneRateForEverybody() {
    let text = """
      limits:
        all: {algorithm: token-bucket, rate: 1/s, burst: 5, scope: global}
      policies:
        p: [all]
      plans:
        pro: {all: {rate: 2/s, mode: shadow}}
      tenants:
        "*": {plan: pro}
        t: {limits: {all: {burst: 9}}}
      """
    #expect(
      diagnostics(of: text) == [
        "p.yaml:6:15: plan 'pro', limit 'all': rate cannot be overridden, because the limit is "
          + "global and everybody shares its one bucket; only soft and mode can",
        "p.yaml:9:22: tenant 't', limit 'all': burst cannot be overridden, because the limit is "
          + "global and everybody shares its one bucket; only soft and mode can",
      ]
    )
  }

  @Test func whatMakesALimitCannotBeOverridden() {
    for identity in ["algorithm", "scope", "unit"] {
      #expect(
        diagnostics(of: file(plan: "{a: {\(identity): x}}")) == [
          "p.yaml:6:13: plan 'pro', limit 'a': \(identity) cannot be overridden; define another "
            + "limit for that"
        ]
      )
    }
  }

  @Test func unknownKeysOfOverridesAreReported() {
    #expect(
      diagnostics(of: file(plan: "{a: {brust: 5, x: 1}}")) == [
        "p.yaml:6:13: plan 'pro', limit 'a': unknown key 'brust'; did you mean 'burst'?",
        "p.yaml:6:23: plan 'pro', limit 'a': unknown key 'x'; known here: rate, burst, soft and "
          + "mode",
      ]
    )
  }

  @Test func overridesOfTheWrongTypeAreReported() {
    #expect(
      diagnostics(of: file(plan: "[]", tenant: "{limits: 5}")) == [
        "p.yaml:6:8: plan 'pro': expected a mapping of limits to parameters, found a list",
        "p.yaml:8:15: tenant 't', limits: expected a mapping of limits to parameters, found '5'",
      ]
    )
    #expect(
      diagnostics(of: file(plan: "{a: 5}", tenant: "{limits: {a: }}")) == [
        "p.yaml:6:12: plan 'pro', limit 'a': expected a mapping of parameters, found '5'",
        "p.yaml:8:19: tenant 't', limit 'a': expected a mapping of parameters, found nothing; "
          + "write {} where there are none",
      ]
    )
  }

  @Test func valuesOfOverridesAreCheckedAsThoseOfDefinitions() {
    #expect(
      diagnostics(of: file(plan: "{a: {burst: 0, rate: 0/s}}", tenant: "{limits: {a: {soft: x}}}"))
        == [
          "p.yaml:6:20: plan 'pro', limit 'a': burst 0 could never admit anything; write at "
            + "least 1",
          "p.yaml:6:29: plan 'pro', limit 'a': rate '0/s' is zero and could never admit anything; "
            + "write at least 1 per period",
          "p.yaml:8:26: tenant 't', limit 'a': soft 'x' is not a percentage; write one such as 80%",
        ]
    )
  }

  @Test func overridesAreCheckedTogetherWithWhatTheyAreLaidOver() {
    let tooLong = "takes longer than 2^59 ns (18 years) to fill; lower the burst or raise the rate"
    #expect(
      diagnostics(of: file(plan: "{a: {rate: 1/365d}}")) == [
        "p.yaml:6:19: plan 'pro', limit 'a': burst 200 at 1/365d \(tooLong)"
      ]
    )
    #expect(
      diagnostics(
        of: file(
          plan: "{a: {rate: 1/365d, burst: 1}}",
          tenant: "{limits: {a: {burst: 200}}, plan: pro}"
        )
      ) == ["p.yaml:8:27: tenant 't', limit 'a': burst 200 at 1/365d \(tooLong)"]
    )
    #expect(
      diagnostics(
        of: file(plan: "{a: {rate: 1/365d, burst: 1}}", tenant: "{limits: {a: {burst: 200}}}")
      )
        == []
    )
  }

  @Test func planNamesAreChecked() {
    #expect(
      diagnostics(of: file().replacing("pro", with: "p o")) == [
        "p.yaml:6:3: the plan 'p o' is not a name; use 1 to 64 letters, digits, '-', '_' and '.'"
      ]
    )
  }

  @Test func aMissingPlanIsReportedWithTheNearestName() {
    #expect(
      diagnostics(of: file(tenant: "{plan: prp}")) == [
        "p.yaml:8:13: tenant 't': there is no plan 'prp'; did you mean 'pro'?"
      ]
    )
    #expect(
      diagnostics(of: file(tenant: "{plan: gold}")) == [
        "p.yaml:8:13: tenant 't': there is no plan 'gold'; define it under plans"
      ]
    )
    #expect(
      diagnostics(of: file(tenant: "{plan: [pro]}")) == [
        "p.yaml:8:13: tenant 't': plan must be the name of a plan, found a list"
      ]
    )
  }

  @Test func tenantsOfTheWrongTypeAreReported() {
    #expect(
      diagnostics(of: file(tenant: "pro")) == [
        "p.yaml:8:6: tenant 't': expected a mapping of plan, limits, blocked and unlimited, found "
          + "'pro'"
      ]
    )
    #expect(
      diagnostics(of: file(tenant: "{blocked: yes, unlimited: \"true\"}")) == [
        "p.yaml:8:16: tenant 't': blocked must be true or false, found 'yes'",
        "p.yaml:8:32: tenant 't': unlimited must be true or false, found 'true'",
      ]
    )
  }

  @Test func unknownKeysOfTenantsAreReported() {
    #expect(
      diagnostics(of: file(tenant: "{plna: pro, colour: red}")) == [
        "p.yaml:8:7: tenant 't': unknown key 'plna'; did you mean 'plan'?",
        "p.yaml:8:18: tenant 't': unknown key 'colour'; known here: plan, limits, blocked and "
          + "unlimited",
      ]
    )
  }

  @Test func aTenantIsNotBothBlockedAndUnlimited() {
    #expect(
      diagnostics(of: file(tenant: "{blocked: true, unlimited: true}")) == [
        "p.yaml:8:22: tenant 't' is both blocked and unlimited; keep one of them"
      ]
    )
    #expect(diagnostics(of: file(tenant: "{blocked: false, unlimited: true}")) == [])
  }

  @Test func namesOfTenantsAreChecked() {
    let long = String(repeating: "é", count: 128)
    let text = file().replacingTenants(
      with: """
          "a b": {}
          "a\\tb": {}
          "": {}
          "a\\u00A0b": {}
          "a\\u200Bb": {}
          \(long): {}
          schule-süd/1@x: {}
          "*": {}
        """
    )
    let advice = "is not a name; use 1 to 255 bytes without spaces and control characters"
    #expect(
      diagnostics(of: text) == [
        "p.yaml:8:3: the tenant 'a b' \(advice)",
        "p.yaml:9:3: the tenant 'a\\tb' \(advice)",
        "p.yaml:10:3: the tenant '' \(advice)",
        "p.yaml:11:3: the tenant 'a\u{A0}b' \(advice)",
        "p.yaml:12:3: the tenant 'a\\u{200B}b' \(advice)",
        "p.yaml:13:3: the tenant '\(long.prefix(60))…' \(advice)",
      ]
    )
  }

  @Test func allErrorsOfAFileAreReportedInItsOrder() {
    let text = """
      tenants:
        t: {plan: nope}
      policies:
        p: [nope]
      limits:
        a: {algorithm: token-bucket, rate: 0/s, burst: 0, scope: nope}
      colour: red
      """
    #expect(
      diagnostics(of: text).map { $0.split(separator: " ")[0] } == [
        "p.yaml:2:13:", "p.yaml:4:7:", "p.yaml:6:38:", "p.yaml:6:50:",
        "p.yaml:6:60:", "p.yaml:7:1:",
      ]
    )
  }
}
