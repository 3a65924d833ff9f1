// Which limits apply to a tenant under a policy, and where each parameter was written: what
// `limitctl config explain` prints. Values and pure functions.

public import LimitEngine

/// What a policy file does to one tenant's queries under one policy.
public struct Explanation: Sendable {
  /// Where something in force was written. Lines count from 1.
  public enum Source: Hashable, Sendable {
    /// In the limit's definition.
    case base(line: Int)
    /// In the tenant's plan.
    case plan(String, line: Int)
    /// In the tenant's own entry, or that of `"*"`.
    case tenant(String, line: Int)
    /// In no file: it was set at run time.
    case runTime
    /// Nowhere: what goes without saying.
    case unwritten
  }

  /// One parameter in force.
  public struct Parameter: Hashable, Sendable {
    /// As the file names it.
    public let name: String
    /// As the file would have it.
    public let value: String
    /// What it comes to, where that is not plain; may be empty.
    public let note: String
    public let source: Source
  }

  /// One limit of the policy.
  public struct Limit: Sendable {
    public let name: String
    public let line: Int
    public let algorithm: Algorithm
    /// The algorithm as the file names it.
    public var algorithmName: String { algorithm.name }
    public let scope: Scope
    public let unit: String
    /// Whether a query takes its cost here; otherwise it takes 1, whatever its cost.
    public let takesCost: Bool
    public let mode: LimitMode
    /// The algorithm's own first, then soft, mode, scope and unit.
    public let parameters: [Parameter]
  }

  public let standing: Standing
  /// The entry that the tenant falls under: its own name, `*`, or `nil` for an unknown tenant. Its line
  /// is 0 where it was made at run time.
  public let entry: (name: String, line: Int)?
  /// A tenant that the file names, that looks like the one asked for and has other bytes.
  public let lookAlike: (name: String, line: Int)?
  /// Where `blocked` or `unlimited` is written; 0: it was set at run time.
  public let standingLine: Int?
  /// The plan, with the line that puts the tenant on it; 0: that was done at run time.
  public let plan: (name: String, line: Int)?
  public let policyLine: Int
  /// In the policy's order.
  public let limits: [Limit]
}

extension PolicyFile {
  /// Explains what happens to `tenant`'s queries under `policy`; `nil` where no policy has that
  /// name. O(tenants).
  public func explain(tenant name: String, policy policyName: String) -> Explanation? {
    guard let policy = policies.first(where: { $0.name.hasSameBytes(as: policyName) }) else {
      return nil
    }
    let named = tenants.place(named: name).map { tenants[$0] }
    let tenant = named ?? anyTenant
    let isMixed = policy.limits.contains { limits[$0].unit != LimitDefinition.requests }
    return Explanation(
      standing: tenant?.standing ?? .unknown,
      entry: tenant.map { ($0.name, Int($0.position.line)) },
      lookAlike: tenants.first { $0.name.looksLike(name) }.map { ($0.name, Int($0.position.line)) },
      standingLine: tenant?.standingPosition.map { Int($0.line) },
      plan: tenant?.plan.map { (plans[$0.number].name, Int($0.position.line)) },
      policyLine: Int(policy.position.line),
      limits: policy.limits.map { explain($0, for: tenant, isMixed: isMixed) }
    )
  }

  private func explain(
    _ number: Int,
    for tenant: Tenant?,
    isMixed: Bool
  ) -> Explanation.Limit {
    let limit = limits[number]
    let planSettings = settings(in: tenant?.plan?.number, of: number)
    let ownSettings = tenant?.overrides.first { $0.limit == number }?.settings ?? []
    let effective = EffectiveParameters(limit.settings, planSettings, ownSettings)
    let capacity = effective.settings(for: limit.algorithm)?.parameters.capacity ?? 0

    var parameters: [Explanation.Parameter] = limit.algorithm.parameters.compactMap { parameter in
      let source: Explanation.Source
      let setting: Setting
      if let own = ownSettings.first(where: { $0.parameter == parameter }), let tenant {
        (setting, source) = (own, .tenant(tenant.name, line: Int(own.position.line)))
      } else if let plan = tenant?.plan,
        let written = planSettings.first(where: { $0.parameter == parameter })
      {
        let name = plans[plan.number].name
        (setting, source) = (written, .plan(name, line: Int(written.position.line)))
      } else if let base = limit.settings.first(where: { $0.parameter == parameter }) {
        (setting, source) = (base, .base(line: Int(base.position.line)))
      } else if parameter == .mode {
        return .init(name: "mode", value: "enforce", note: "", source: .unwritten)
      } else {
        return nil
      }
      return .init(
        name: parameter.rawValue,
        value: setting.text,
        note: note(on: setting, capacity: capacity, unit: limit.unit),
        source: setting.position.isRunTime ? .runTime : source
      )
    }
    parameters.append(
      .init(
        name: "scope",
        value: limit.scope.name,
        note: "",
        source: .base(line: Int(limit.scopePosition.line))
      )
    )
    parameters.append(
      .init(
        name: "unit",
        value: limit.unit,
        note: "",
        source: limit.unitPosition.map { .base(line: Int($0.line)) } ?? .unwritten
      )
    )
    return Explanation.Limit(
      name: limit.name,
      line: Int(limit.position.line),
      algorithm: limit.algorithm,
      scope: limit.scope,
      unit: limit.unit,
      takesCost: !isMixed || limit.unit != LimitDefinition.requests,
      mode: effective.mode ?? .enforce,
      parameters: parameters
    )
  }

  /// What a parameter comes to in the engine.
  private func note(on setting: Setting, capacity: UInt64, unit: String) -> String {
    switch setting.value {
    case .rate(let rate):
      let interval = "one every \(Quantity.text(duration: rate.emissionInterval))"
      guard rate.roundingLoss.lost > 0 else { return interval }
      return "\(interval): \(Quantity.text(effectiveRate: rate)) in effect"
    case .percent(let percent):
      return "from \(Quantity.text(count: percent.of(capacity))) \(unit) on"
    case .count, .duration, .mode: return ""
    }
  }
}
