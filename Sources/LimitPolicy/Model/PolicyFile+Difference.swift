// In what two policy files differ, by what is in force and not by how it is written: what a reload
// would change. Values and pure functions.

import LimitEngine

/// One thing that differs.
public struct PolicyDifference: Hashable, Sendable {
  public enum Kind: String, Sendable { case limit, policy, plan, tenant }

  public let kind: Kind
  /// What differs, by its name.
  public let name: String
  /// What it was, on one line as the file would have it; `nil`: it was not there.
  public let before: String?
  /// What it becomes; `nil`: it goes.
  public let after: String?
}

extension PolicyFile {
  /// What differs in `new`: limits, policies, plans, then tenants, each by name. Changes of `daemon`
  /// are not among them.
  ///
  /// O(size of both files).
  public func differences(to new: PolicyFile) -> [PolicyDifference] {
    Self.differences(.limit, limitTexts, new.limitTexts)
      + Self.differences(.policy, policyTexts, new.policyTexts)
      + Self.differences(.plan, planTexts, new.planTexts)
      + Self.differences(.tenant, tenantTexts, new.tenantTexts)
  }

  private static func differences(
    _ kind: PolicyDifference.Kind, _ old: Texts, _ new: Texts
  ) -> [PolicyDifference] {
    var found: [PolicyDifference] = []
    for (name, before) in old where new[name] != before {
      found.append(.init(kind: kind, name: name.text, before: before, after: new[name]))
    }
    for (name, after) in new where old[name] == nil {
      found.append(.init(kind: kind, name: name.text, before: nil, after: after))
    }
    return found.sorted { $0.name < $1.name }
  }

  // MARK: On one line

  private typealias Texts = [NameBytes: String]

  private var limitTexts: Texts {
    Self.texts(
      limits.map { limit in
        let identity = [
          "algorithm: \(limit.algorithm.name)", "scope: \(limit.scope.name)", "unit: \(limit.unit)",
        ]
        return (limit.name, (identity + Self.texts(limit.settings)).joined(separator: ", "))
      })
  }

  private var policyTexts: Texts {
    Self.texts(
      policies.map { ($0.name, $0.limits.map { limits[$0].name }.joined(separator: ", ")) })
  }

  private var planTexts: Texts {
    Self.texts(
      plans.map { plan in
        let limits = plan.settings.sorted { $0.key < $1.key }
        return (plan.name, limits.map { text(ofLimit: $0.key, $0.value) }.joined(separator: ", "))
      })
  }

  private var tenantTexts: Texts {
    Self.texts((tenants + (anyTenant.map { [$0] } ?? [])).map { ($0.name, text(of: $0)) })
  }

  private static func texts(_ items: [(name: String, text: String)]) -> Texts {
    Dictionary(items.map { (NameBytes($0.name), $0.text) }) { first, _ in first }
  }

  private func text(of tenant: Tenant) -> String {
    var parts: [String] = []
    if let plan = tenant.plan { parts.append("plan: \(plans[plan.number].name)") }
    switch tenant.standing {
    case .blocked: parts.append("blocked")
    case .unlimited: parts.append("unlimited")
    case .limited, .unknown: break
    }
    return (parts + tenant.overrides.map { text(ofLimit: $0.limit, $0.settings) })
      .joined(separator: ", ")
  }

  private func text(ofLimit number: Int, _ settings: [Setting]) -> String {
    "\(limits[number].name): {\(Self.texts(settings).joined(separator: ", "))}"
  }

  private static func texts(_ settings: [Setting]) -> [String] {
    settings.sorted { $0.parameter.rawValue < $1.parameter.rawValue }
      .map { "\($0.parameter.rawValue): \($0.text)" }
  }
}
