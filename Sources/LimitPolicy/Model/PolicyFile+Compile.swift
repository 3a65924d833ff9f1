// From what the file says to what the engine decides with. Pure.

public import LimitEngine

extension PolicyFile {
  /// The engine's form of the file. O(limits × plans and tenants with overrides).
  ///
  /// - Parameter hashKey: the installation's secret; the same key finds the same buckets.
  public func compile(hashKey: HashKey) -> PolicySet { compile(hashKey: hashKey, generation: 0) }

  /// The engine's form of the file, whose rules the buckets were written by
  /// (`PolicySetBuilder.build(hashKey:generation:)`).
  package func compile(hashKey: HashKey, generation: UInt32) -> PolicySet {
    builder().build(hashKey: hashKey, generation: generation)
  }

  /// The engine's form of the file, to follow rules that are not known
  /// (`PolicySetBuilder.build(hashKey:afterUnknown:)`).
  package func compile(hashKey: HashKey, afterUnknown generation: UInt32) -> PolicySet {
    builder().build(hashKey: hashKey, afterUnknown: generation)
  }

  /// The engine's form of the file, to follow `previous` (`PolicySetBuilder.build(after:)`).
  public func compile(after previous: PolicySet) -> PolicySet { builder().build(after: previous) }

  /// As `compile(after:)`, where this file differs from what `previous` was compiled from in nothing but
  /// what it says of these tenants, and modes that are set at run time. O(these), and what
  /// `PolicySet.changing` takes.
  package func compile(changing names: [String], after previous: PolicySet) -> PolicySet {
    let changes = names.map { name in
      TenantChange(
        name: name,
        treatment: tenants.place(named: name).map { treatment(of: tenants.written(at: $0)) })
    }
    return previous.changing(changes, modes: modesForAll, source: sourceIdentity)
  }

  /// The modes of limits that are set at run time.
  private var modesForAll: [LimitIndex: LimitMode] {
    guard !overlay.modes.isEmpty else { return [:] }
    return Dictionary(
      uniqueKeysWithValues: limits.enumerated().compactMap { number, limit in
        overlay.modes[limit.name].map { (LimitIndex(UInt16(number)), $0) }
      })
  }

  private func treatment(of tenant: Tenant) -> TenantChange.Treatment {
    let plan = tenant.plan?.number
    return .init(
      standing: tenant.standing,
      settings: limits.indices.map { number in
        let own = tenant.overrides.first { $0.limit == number }?.settings ?? []
        return settings(of: number, plan: written.settings(in: plan, of: number), tenant: own)
      })
  }

  private func builder() -> PolicySetBuilder {
    var builder = PolicySetBuilder()
    builder.source = sourceIdentity
    builder.modes = modesForAll
    let indices = limits.enumerated().map { number, limit in
      builder.addLimit(
        LimitDefinition(
          name: limit.name,
          scope: limit.scope,
          unit: limit.unit,
          settings: settings(of: number, plan: [], tenant: [])
        )
      )
    }
    for policy in policies {
      builder.addPolicy(named: policy.name, limits: policy.limits.map { indices[$0] })
    }
    let planRows = written.plans.map { plan in
      let overrides = plan.settings.map { limit, written in
        (indices[limit], settings(of: limit, plan: written, tenant: []))
      }
      return builder.addRow(basedOn: .base, overrides: overrides)
    }
    func treatment(of tenant: Tenant) -> PolicySetBuilder.Treatment {
      var row = tenant.plan.map { planRows[$0.number] } ?? .base
      if !tenant.overrides.isEmpty {
        let overrides = tenant.overrides.map { override in
          let planSettings = written.settings(in: tenant.plan?.number, of: override.limit)
          return (
            indices[override.limit],
            settings(
              of: override.limit,
              plan: planSettings,
              tenant: override.settings
            )
          )
        }
        row = builder.addRow(basedOn: row, overrides: overrides)
      }
      return .init(standing: tenant.standing, row: row)
    }
    for place in tenants.indices {
      let tenant = tenants.written(at: place)
      builder.addTenant(named: tenant.name, treatment(of: tenant))
    }
    builder.anyTenant = written.anyTenant.map { treatment(of: $0) }
    return builder
  }

  /// What a plan says about a limit.
  func settings(in plan: Int?, of limit: Int) -> [Setting] {
    plan.flatMap { plans[$0].settings[limit] } ?? []
  }

  /// A limit's settings as they are written: modes that are set for everybody are the engine's to lay over
  /// them (`modesForAll`).
  ///
  /// - Precondition: the settings have passed the reader.
  private func settings(
    of number: Int,
    plan: [Setting],
    tenant: [Setting]
  ) -> LimitSettings {
    let limit = written.limits[number]
    let effective = EffectiveParameters(limit.settings, plan, tenant)
    guard var settings = effective.settings(for: limit.algorithm) else {
      preconditionFailure("the reader lets through only settings that the engine can hold")
    }
    settings.isModeOwn = tenant.contains { $0.parameter == .mode && $0.position.isRunTime }
    return settings
  }
}
