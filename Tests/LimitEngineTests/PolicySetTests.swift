// What a compiled policy set answers about names, and how decisions name what decided.

import Testing

@testable import LimitEngine

@Suite struct PolicySetTests {
  @Test("Tenants have their own settings, their plan's, or the base; others the rule for any")
  func rows() {
    var builder = PolicySetBuilder()
    let limit = builder.addLimit(
      LimitDefinition(name: "l", scope: .tenant, settings: tokenBucket(every: 10, burst: 1)))
    builder.addPolicy(named: "p", limits: [limit])
    let pro = builder.addRow(basedOn: .base, overrides: [(limit, tokenBucket(every: 10, burst: 2))])
    let own = builder.addRow(basedOn: pro, overrides: [(limit, tokenBucket(every: 10, burst: 3))])
    builder.addTenant(named: "acme", .init(row: pro))
    builder.addTenant(named: "district-7", .init(row: own))
    builder.addTenant(named: "banned", .init(standing: .blocked))
    var strict = builder
    builder.anyTenant = .init()
    strict.anyTenant = nil
    let policies = builder.build(hashKey: .random())
    func burst(_ tenant: String) -> UInt64 {
      policies.rule(for: limit, of: policies.tenant(named: tenant)).pointee.capacity
    }
    #expect(burst("acme") == 2)
    #expect(burst("district-7") == 3)
    #expect(burst("nobody") == 1)
    #expect(policies.tenant(named: "banned").standing == .blocked)
    #expect(policies.policy(named: "p") == PolicyIndex(0))
    #expect(policies.policy(named: "q") == nil)
    #expect(strict.build(hashKey: .random()).tenant(named: "nobody").standing == .unknown)
  }

  @Test("A policy's tag changes with its list of limits, and with nothing else")
  func tags() {
    let key = HashKey(low: 1, high: 2)
    func tag(_ limits: [LimitDefinition], policy: [Int], first: Int = 0) -> UInt32 {
      var plan = PolicyPlan()
      plan.limits = limits
      plan.policies = [[first], policy]
      return plan.compile(hashKey: key).tag(of: PolicyIndex(1))
    }
    func limit(_ name: String, _ scope: Scope = .key, burst: UInt64 = 1, unit: String = "requests")
      -> LimitDefinition
    {
      LimitDefinition(
        name: name, scope: scope, unit: unit, settings: tokenBucket(every: 1, burst: burst))
    }
    let tagged = tag([limit("a"), limit("b")], policy: [0, 1])
    #expect(tagged == tag([limit("a", burst: 7), limit("b")], policy: [0, 1]))
    #expect(tagged == tag([limit("b"), limit("x"), limit("a")], policy: [2, 0], first: 1))
    let others = [
      tag([limit("a"), limit("b")], policy: [1, 0]), tag([limit("a"), limit("b")], policy: [0]),
      tag([limit("a", .tenant), limit("b")], policy: [0, 1]),
      tag([limit("a"), limit("c")], policy: [0, 1]),
      tag([limit("a", unit: "tokens"), limit("b")], policy: [0, 1]),
    ]
    #expect(!others.contains(tagged))
    #expect(Set(others).count == others.count)
  }

  @Test("A hundred thousand tenants are all found") func manyTenants() {
    var builder = PolicySetBuilder()
    let limit = builder.addLimit(
      LimitDefinition(name: "l", scope: .tenant, settings: tokenBucket(every: 10, burst: 1)))
    builder.addPolicy(named: "p", limits: [limit])
    for number in 0..<100_000 as Range<UInt64> {
      let row = builder.addRow(
        basedOn: .base, overrides: [(limit, tokenBucket(every: 10, burst: number + 1))])
      builder.addTenant(named: "tenant-\(number)", .init(row: row))
    }
    let policies = builder.build(hashKey: .random())
    #expect(policies.namedTenantCount == 100_000)
    let isRight = (0..<100_000 as Range<UInt64>).allSatisfy { number in
      let tenant = policies.tenant(named: "tenant-\(number)")
      return policies.rule(for: limit, of: tenant).pointee.capacity == number + 1
    }
    #expect(isRight)
    #expect(policies.tenant(named: "tenant-100000").standing == .unknown)
  }

  @Test("A policy is found by its name and by the bytes of its name, other bytes find none")
  func policyNames() {
    var builder = PolicySetBuilder()
    let limit = builder.addLimit(
      LimitDefinition(name: "l", scope: .tenant, settings: tokenBucket(every: 10, burst: 1)))
    let names = (0..<PolicySetBuilder.limitsMax).map {
      String(repeating: "p", count: $0 % 20) + "\($0)"
    }
    for name in names { builder.addPolicy(named: name, limits: [limit]) }
    let policies = builder.build(hashKey: .random())
    func byBytes(_ name: some Sequence<UInt8>) -> PolicyIndex? {
      Array(name).withUnsafeBytes { policies.policy(named: $0) }
    }
    for (number, name) in names.enumerated() {
      #expect(policies.policy(named: name) == PolicyIndex(UInt16(number)))
      #expect(byBytes(name.utf8) == PolicyIndex(UInt16(number)))
      for other in [name + "\0", name + "x", "x" + name] {
        #expect(policies.policy(named: other) == nil)
        #expect(byBytes(other.utf8) == nil)
      }
    }
    for other in [[], [0], [0xFF, 0xFE], Array(repeating: UInt8(ascii: "p"), count: 10_000)] {
      #expect(byBytes(other) == nil)
    }
    #expect(policies.policy(named: UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
    #expect(policies.policy(named: "") == nil)
  }

  @Test("A policy set without policies finds none") func noPolicies() {
    #expect(PolicySetBuilder().build(hashKey: .random()).policy(named: "p") == nil)
  }

  @Test("In a policy with another unit, limits on requests count queries and the others the cost")
  func mixedUnits() {
    var plan = PolicyPlan()
    plan.limits = [
      LimitDefinition(name: "calls", scope: .key, settings: tokenBucket(every: day, burst: 3)),
      LimitDefinition(
        name: "tokens", scope: .key, unit: "tokens",
        settings: slidingWindow(limit: 1_000, window: day)),
    ]
    plan.policies = [[0, 1], [0]]
    let policies = plan.compile()
    let engine = Engine()
    let tenant = policies.tenant(named: "acme")
    func check(_ policy: UInt16, cost: UInt64) -> Decision {
      engine.check(
        Query(
          tenant: tenant, policy: PolicyIndex(policy), key: tenant.fingerprint(ofKey: "k"),
          cost: cost), under: policies, at: Instant(nanoseconds: 5))
    }
    #expect(check(0, cost: 400).outcome == .allow)
    #expect(check(0, cost: 400).outcome == .allow)
    let denied = check(0, cost: 400)
    #expect(denied.outcome == .deny)
    #expect(policies.limits[Int(denied.limit.rawValue)].name == "tokens")
    #expect(denied.remaining == 200)
    // Two of three calls are taken; alone, the limit takes the cost.
    #expect(check(1, cost: 2).outcome == .deny)
    #expect(check(1, cost: 1).outcome == .allow)
  }

  @Test("A denied query burns nothing, neither of the limit that denied nor of the others")
  func denialsBurnNothing() {
    let fixture = Fixture([
      (.tenant, tokenBucket(every: day, burst: 100)), (.key, tokenBucket(every: day, burst: 2)),
    ])
    for _ in 0..<50 { _ = fixture.check(fixture.query(), at: 1) }
    #expect(fixture.check(fixture.query(policy: 1), at: 1).remaining == 97)
  }

  @Test("A raised limit admits at the next query, and a lowered one forgives nobody")
  func changedLimits() {
    func set(_ burst: UInt64) -> Fixture {
      Fixture([(.tenant, slidingWindow(limit: burst, window: day))])
    }
    let fixture = set(5)
    #expect(fixture.check(fixture.query(cost: 5), at: 1).outcome == .allow)
    let time = Instant(nanoseconds: 2)
    let raised = set(8)
    #expect(
      fixture.engine.check(raised.query(cost: 3), under: raised.policies, at: time).outcome
        == .allow)
    let lowered = set(4)
    let denied = fixture.engine.check(lowered.query(), under: lowered.policies, at: time)
    #expect(denied.outcome == .deny)
    #expect(denied.remaining == 0)
  }
}
