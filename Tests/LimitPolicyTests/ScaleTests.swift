// A large file: 100,000 tenants with parameters of their own. How long that takes is measured by
// hand with `limitctl config check`; here, that it comes out right.

import LimitPolicy
import Testing

@testable import LimitEngine

@Suite struct ScaleTests {
  @Test func aHundredThousandTenantsGetTheirOwnParameters() throws {
    let count = 100_000
    var text = file(plan: "{a: {rate: 1000/s}}").replacingTenants(with: "")
    for number in 0..<count {
      let plan = number.isMultiple(of: 2) ? "plan: pro, " : ""
      text += "  tenant-\(number): {\(plan)limits: {a: {burst: \(number + 1)}}}\n"
    }
    let file = try PolicyFile.parse(text, path: "p.yaml")
    #expect(file.tenantNames.count == count)
    let policies = file.compile(hashKey: HashKey(low: 1, high: 2))
    #expect(policies.namedTenantCount == count)
    var wrong = 0
    for number in 0..<count {
      let tenant = policies.tenant(named: "tenant-\(number)")
      let rule = policies.rule(for: LimitIndex(0), of: tenant).pointee
      let period: UInt64 = number.isMultiple(of: 2) ? 1_000_000 : 10_000_000
      if rule.capacity != UInt64(number + 1) || rule.period != period { wrong += 1 }
    }
    #expect(wrong == 0)
    #expect(policies.tenant(named: "tenant-\(count)").standing == .unknown)
  }

  @Test func aHundredThousandErrorsAreAllReported() {
    let lines = (0..<100_000).map { "  t\($0): {plan: prp}\n" }.joined()
    let found = diagnostics(of: file().replacingTenants(with: lines))
    #expect(found.count == 100_000)
    #expect(
      found.first == "p.yaml:8:14: tenant 't0': there is no plan 'prp'; did you mean 'pro'?"
    )
    #expect(
      found.last
        == "p.yaml:100007:18: tenant 't99999': there is no plan 'prp'; define it under plans"
    )
  }
}
