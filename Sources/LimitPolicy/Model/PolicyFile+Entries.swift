// Everything that a policy has, entry by entry, and where each value was written: in the file, or at run
// time. Values and pure functions.

import LimitEngine

/// One limit, policy, plan or tenant as it is in force.
package struct RuleEntry: Sendable {
  package enum Kind: String, Sendable { case limit, policy, plan, tenant }

  package struct Value: Sendable {
    /// As the file names it; a plan's and a tenant's parameters are `LIMIT.PARAMETER`.
    package let name: String
    package let value: String
    /// Of the file; `nil`: it was set at run time.
    package let line: Int?
  }

  package let kind: Kind
  package let name: String
  /// Of the file; `nil`: it is there since something was set for it at run time.
  package let line: Int?
  package let values: [Value]
}

extension PolicyFile {
  /// How many entries there are.
  package var entryCount: Int {
    limits.count + policies.count + plans.count + tenants.count + (anyTenant == nil ? 0 : 1)
  }

  /// Some of the entries: limits, policies, plans, `"*"`, tenants, each in the order of the file.
  ///
  /// O(entries that are asked for).
  package func entries(from place: Int, atMost most: Int) -> [RuleEntry] {
    let end = min(entryCount, place + most)
    return place < end ? (place..<end).map { entry($0) } : []
  }

  private func entry(_ number: Int) -> RuleEntry {
    var place = number
    if place < limits.count { return entry(of: limits[place]) }
    place -= limits.count
    if place < policies.count {
      let policy = policies[place]
      let line = Int(policy.position.line)
      let value = policy.limits.map { limits[$0].name }.joined(separator: ", ")
      return RuleEntry(
        kind: .policy, name: policy.name, line: line,
        values: [.init(name: "limits", value: value, line: line)])
    }
    place -= policies.count
    if place < plans.count {
      let plan = plans[place]
      return RuleEntry(
        kind: .plan, name: plan.name, line: Int(plan.position.line),
        values: plan.settings.sorted { $0.key < $1.key }.flatMap { values(ofLimit: $0, $1) })
    }
    place -= plans.count
    if let anyTenant {
      if place == 0 { return entry(of: anyTenant) }
      place -= 1
    }
    return entry(of: tenants[place])
  }

  private func entry(of limit: Limit) -> RuleEntry {
    let line = Int(limit.position.line)
    let identity: [RuleEntry.Value] = [
      .init(name: Identity.algorithm.rawValue, value: limit.algorithm.name, line: line),
      .init(
        name: Identity.scope.rawValue, value: limit.scope.name,
        line: Int(limit.scopePosition.line)),
      .init(
        name: Identity.unit.rawValue, value: limit.unit,
        line: limit.unitPosition.map { Int($0.line) } ?? line),
    ]
    return RuleEntry(
      kind: .limit, name: limit.name, line: line,
      values: identity
        + limit.settings.map {
          .init(name: $0.parameter.rawValue, value: $0.text, line: $0.position.fileLine)
        })
  }

  private func entry(of tenant: Tenant) -> RuleEntry {
    var values: [RuleEntry.Value] = []
    if let plan = tenant.plan {
      values.append(
        .init(name: "plan", value: plans[plan.number].name, line: plan.position.fileLine))
    }
    if let position = tenant.standingPosition, tenant.standing != .limited {
      values.append(
        .init(
          name: tenant.standing == .blocked ? "blocked" : "unlimited", value: "true",
          line: position.fileLine))
    }
    return RuleEntry(
      kind: .tenant, name: tenant.name, line: tenant.position.fileLine,
      values: values + tenant.overrides.flatMap { self.values(ofLimit: $0.limit, $0.settings) })
  }

  private func values(ofLimit number: Int, _ settings: [Setting]) -> [RuleEntry.Value] {
    settings.map {
      .init(
        name: "\(limits[number].name).\($0.parameter.rawValue)", value: $0.text,
        line: $0.position.fileLine)
    }
  }
}
