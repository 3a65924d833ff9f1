// The sections `plans` and `tenants`: who gets which parameters.

import LimitEngine

extension PolicyReader {
  // MARK: Plans

  mutating func readPlans(_ node: YAMLNode) {
    guard let entries = entries(of: node, .section("plans"), "names to limits and parameters")
    else { return }
    for (name, key, value) in entries {
      guard plans.count < PolicyFile.plansMax else {
        return error(
          key.position,
          "plans: more than \(PolicyFile.plansMax) plans; define fewer"
        )
      }
      _ = checkName(name, "plan", at: key)
      let written = overrides(value, .plan(name), plan: nil) { .planLimit(plan: name, limit: $0) }
      planNumbers[name] = plans.count
      plans.append(
        PolicyFile.Plan(
          name: name,
          position: key.position,
          settings: Dictionary(
            written.map { ($0.limit, $0.settings) },
            uniquingKeysWith: { first, _ in first }
          )
        )
      )
    }
  }

  /// Reads a mapping of limits to parameters.
  ///
  /// - Parameter plan: the plan that the parameters are laid over.
  private mutating func overrides(
    _ node: YAMLNode,
    _ subject: Subject,
    plan: Int?,
    limitSubject: (String) -> Subject
  ) -> [Override] {
    guard let entries = entries(of: node, subject, "limits to parameters") else { return [] }
    var overrides: [Override] = []
    for (name, key, value) in entries {
      guard let number = limitNumber(name, at: key, subject) else { continue }
      let subject = limitSubject(name)
      guard let parameters = self.entries(of: value, subject, "parameters") else { continue }
      let limit = limits[number]
      var settings: [Setting] = []
      for entry in parameters {
        if let setting = setting(entry, of: limit, subject, isDefinition: false) {
          settings.append(setting)
        }
      }
      let below = plan.flatMap { plans[$0].settings[number] } ?? []
      checkTogether(settings, over: [limit.settings, below], of: limit, subject)
      overrides.append(Override(limit: number, settings: settings))
    }
    return overrides
  }

  // MARK: Tenants

  mutating func readTenants(_ node: YAMLNode) {
    guard let entries = entries(of: node, .section("tenants"), "tenants to plans and limits")
    else { return }
    tenants.reserveCapacity(entries.count)
    for (name, key, value) in entries {
      if name == PolicyFile.anyTenantName {
        anyTenant = tenant(name, key, value)
        continue
      }
      guard tenants.count < PolicyFile.tenantsMax else {
        return error(
          key.position,
          "tenants: more than \(PolicyFile.tenantsMax) tenants; name fewer"
        )
      }
      _ = checkTenantName(name, at: key)
      tenants.append(tenant(name, key, value))
    }
  }

  private mutating func tenant(
    _ name: String,
    _ key: YAMLNode,
    _ node: YAMLNode
  ) -> PolicyFile.Tenant {
    let subject = Subject.tenant(name)
    let known = ["plan", "limits", "blocked", "unlimited"]
    var plan: (number: Int, position: Position)?
    var limits: YAMLNode?
    var flags: [(standing: Standing, key: YAMLNode)] = []
    for entry in entries(of: node, subject, list(known)) ?? [] {
      switch entry.name {
      case "plan":
        plan = self.plan(entry.value, subject).map { ($0, entry.value.position) }
      case "limits": limits = entry.value
      case "blocked", "unlimited":
        guard let isSet = entry.value.bool else {
          error(
            entry.value.position,
            "\(subject): \(entry.name) must be true or false, found \(entry.value.found)"
          )
          continue
        }
        if isSet { flags.append((entry.name == "blocked" ? .blocked : .unlimited, entry.key)) }
      default: unknownKey(entry.name, at: entry.key, in: subject, known: known)
      }
    }
    if flags.count > 1 {
      error(
        flags[1].key.position,
        "\(subject) is both blocked and unlimited; keep one of them"
      )
    }
    // After the plan, whatever their order: what a tenant writes is laid over its plan.
    let overrides = limits.map { limits in
      self.overrides(limits, .tenantLimits(name), plan: plan?.number) {
        .tenantLimit(tenant: name, limit: $0)
      }
    }
    return PolicyFile.Tenant(
      name: name,
      position: key.position,
      plan: plan,
      standing: flags.first?.standing ?? .limited,
      standingPosition: flags.first?.key.position,
      overrides: overrides ?? []
    )
  }

  /// The number of the plan that a tenant names; reports one that is not defined.
  mutating func plan(_ node: YAMLNode, _ subject: Subject) -> Int? {
    guard let name = text(of: node, subject, "plan must be the name of a plan") else { return nil }
    if let number = planNumbers[name] { return number }
    let advice = suggestion(for: name, among: plans.lazy.map(\.name)) ?? "define it under plans"
    error(node.position, "\(subject): there is no plan \(quoted(name)); \(advice)")
    return nil
  }
}
