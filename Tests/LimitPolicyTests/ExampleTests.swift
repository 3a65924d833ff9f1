// The project's example: what it says is what the engine gets, and what explanations tell.

import LimitPolicy
import TestSupport
import Testing

@testable import LimitEngine

@Suite struct ExampleTests {
  private let file: PolicyFile
  private let policies: PolicySet

  init() throws {
    file = try PolicyFile.load(path: examplePath)
    policies = file.compile(hashKey: HashKey(low: 1, high: 2))
  }

  /// What the engine holds for a tenant's limit.
  private func rule(_ limit: String, of tenant: String) -> Rule {
    let place = policies.limits.firstIndex { $0.name == limit }!
    return policies.rule(
      for: LimitIndex(UInt16(place)),
      of: policies.tenant(named: tenant)
    ).pointee
  }

  @Test func theExampleHasNoErrorsAndNoWarnings() {
    #expect(file.warnings == [])
    #expect(file.path == examplePath)
  }

  @Test func namesAreInTheOrderOfTheFile() {
    #expect(file.limitNames == ["api-burst", "user-rps", "llm-tpm", "in-flight", "provider"])
    #expect(file.policyNames == ["gateway", "chat"])
    #expect(file.planNames == ["free", "pro"])
    #expect(file.tenantNames == ["acme", "district-7", "banned-co", "internal"])
    #expect(file.anyTenantRule == "plan free")
  }

  @Test func acmeGetsInAFloodOfInventedTenantsWhatItGetsAlone() {
    let engine = Engine()
    engine.setAside(for: policies)
    let gateway = policies.policy(named: "gateway")!
    var now: UInt64 = 1 << 50
    func isAllowed(_ tenant: Tenant, _ key: String) -> Bool {
      now += 1_000
      let key = Array(key.utf8).withUnsafeBytes { tenant.fingerprint(ofKey: $0) }
      let query = Query(tenant: tenant, policy: gateway, key: key)
      return engine.check(query, under: policies, at: Instant(nanoseconds: now)).outcome == .allow
    }
    let acme = policies.tenant(named: "acme")
    var allowed = 0
    for number in 0..<400_000 / scale {
      _ = isAllowed(policies.tenant(named: "invented-\(number)"), "user")
      if number >= 300_000 / scale, number % (1_000 / scale) == 0 {
        allowed += isAllowed(acme, "user-\(number)") ? 1 : 0
      }
    }
    #expect(allowed == 100)
  }

  @Test func definitionsReachTheEngine() throws {
    let expected: [LimitDefinition] = [
      LimitDefinition(
        name: "api-burst",
        scope: .tenant,
        settings: LimitSettings(
          parameters: .tokenBucket(try #require(.init(rate: 100, per: .second, burst: 200)))
        )
      ),
      LimitDefinition(
        name: "user-rps",
        scope: .key,
        settings: LimitSettings(
          parameters: .tokenBucket(try #require(.init(rate: 10, per: .second, burst: 20)))
        )
      ),
      LimitDefinition(
        name: "llm-tpm",
        scope: .tenant,
        unit: "tokens",
        settings: LimitSettings(
          parameters: .slidingWindow(try #require(.init(limit: 100_000, window: .minute))),
          softThreshold: 80_000
        )
      ),
      LimitDefinition(
        name: "in-flight",
        scope: .tenant,
        settings: LimitSettings(parameters: .concurrency(try #require(.init(limit: 8))))
      ),
      LimitDefinition(
        name: "provider",
        scope: .global,
        settings: LimitSettings(
          parameters: .tokenBucket(try #require(.init(rate: 5000, per: .minute, burst: 500))),
          mode: .shadow
        )
      ),
    ]
    #expect(policies.limits == expected)
  }

  @Test func policiesListTheirLimitsInOrder() throws {
    #expect(policies.policyNames == ["gateway", "chat"])
    let gateway = try #require(policies.policy(named: "gateway"))
    let chat = try #require(policies.policy(named: "chat"))
    #expect(policies.limits(of: gateway).map(\.rawValue) == [0, 1])
    #expect(policies.limits(of: chat).map(\.rawValue) == [0, 1, 2, 3, 4])
  }

  @Test func tenantsGetTheirStanding() {
    #expect(policies.namedTenantCount == 4)
    #expect(policies.tenant(named: "acme").standing == .limited)
    #expect(policies.tenant(named: "banned-co").standing == .blocked)
    #expect(policies.tenant(named: "internal").standing == .unlimited)
    #expect(policies.tenant(named: "somebody").standing == .limited)
  }

  @Test func plansAndTenantsOverrideTheBase() {
    #expect(rule("api-burst", of: "somebody").capacity == 200)
    #expect(rule("api-burst", of: "internal").capacity == 200)
    #expect(rule("api-burst", of: "acme").capacity == 2000)
    #expect(rule("api-burst", of: "acme").period == 1_000_000)
    #expect(rule("api-burst", of: "district-7").capacity == 2000)
    #expect(rule("llm-tpm", of: "somebody").capacity == 100_000)
    #expect(rule("llm-tpm", of: "acme").capacity == 2_000_000)
    #expect(rule("llm-tpm", of: "district-7").capacity == 5_000_000)
    #expect(rule("llm-tpm", of: "district-7").period == 60_000_000_000)
    #expect(rule("user-rps", of: "district-7").capacity == 20)
  }

  @Test func theSoftPercentageFollowsTheCapacity() {
    #expect(rule("llm-tpm", of: "somebody").softRemaining == 20_000)
    #expect(rule("llm-tpm", of: "acme").softRemaining == 400_000)
    #expect(rule("llm-tpm", of: "district-7").softRemaining == 1_000_000)
  }
}

@Suite struct CompiledTenantTests {
  @Test func withoutARuleForOthersAnUnknownTenantIsUnknown() throws {
    let policies = try PolicyFile.parse(file(), path: "p").compile(
      hashKey: HashKey(low: 1, high: 2)
    )
    #expect(policies.tenant(named: "t").standing == .limited)
    #expect(policies.tenant(named: "other").standing == .unknown)
    #expect(policies.tenant(named: "*").standing == .unknown)
  }

  @Test func softAndModeCanBeOverridden() throws {
    let text = file(
      plan: "{a: {mode: shadow, soft: 50%}}",
      tenant: "{plan: pro, limits: {a: {burst: 1}}}"
    )
    let policies = try PolicyFile.parse(text, path: "p").compile(hashKey: HashKey(low: 1, high: 2))
    let rule = policies.rule(for: LimitIndex(0), of: policies.tenant(named: "t")).pointee
    #expect(rule.mode == .shadow)
    #expect(rule.capacity == 1)
    #expect(rule.softRemaining == 0)
    #expect(rule.hasSoftThreshold)
    #expect(policies.limits[0].settings.mode == .enforce)
  }

  @Test func theRuleForOthersMayHaveItsOwnParameters() throws {
    let text = file().replacingTenants(with: "  \"*\": {limits: {a: {burst: 7}}}\n")
    let policies = try PolicyFile.parse(text, path: "p").compile(hashKey: HashKey(low: 1, high: 2))
    let tenant = policies.tenant(named: "anybody")
    #expect(policies.rule(for: LimitIndex(0), of: tenant).pointee.capacity == 7)
    #expect(policies.namedTenantCount == 0)
  }

  @Test(arguments: [
    ("{plan: pro}", "plan pro"), ("{}", "the limits as defined"), ("{blocked: true}", "blocked"),
    ("{unlimited: true}", "unlimited"),
  ])
  func theRuleForOthersHasWords(entry: String, words: String) throws {
    let text = file().replacingTenants(with: "  \"*\": \(entry)\n")
    #expect(try PolicyFile.parse(text, path: "p").anyTenantRule == words)
    #expect(try PolicyFile.parse(file(), path: "p").anyTenantRule == "denied as unknown")
  }
}
