// The policy in force: a policy file, and over it what is set at run time. Pure.

import LimitEngine

/// Something that is set at run time and does not fit the policy file, so that it is not in force.
package struct OverlayProblem: Hashable, Sendable, CustomStringConvertible {
  package let subject: OverlayDifference.Subject
  /// As the file would be told of it.
  package let message: String

  package var description: String { message }
}

extension PolicyFile {
  /// The most tenants that something may be set for at run time.
  package static let overlaidTenantsMax = 200_000

  /// The file with what is set at run time laid over it.
  ///
  /// A tenant that the file does not name has what `"*"` has, as far as nothing else is set. What does not
  /// fit is left out, all of a tenant's plan and parameters together: the file may have changed since they
  /// were set. A block fits always.
  ///
  /// O(tenants of both).
  ///
  /// - Precondition: nothing is laid over the file yet.
  package func overlaid(by overlay: Overlay) -> (file: PolicyFile, problems: [OverlayProblem]) {
    guard !overlay.isEmpty else { return (self, []) }
    var layer = Layer(reader: PolicyReader(over: self), applied: Overlay())
    var draft = Draft(limits: limits, plans: plans, tenants: tenants, anyTenant: anyTenant)
    // First: what a tenant's own settings are laid over.
    for (name, mode) in overlay.modes.sorted(by: { $0.key < $1.key }) {
      guard let number = layer.reader.limitNumbers[name] else {
        layer.problems.append(
          .init(subject: .limit(name), message: "there is no limit \(quoted(name))"))
        continue
      }
      draft.setMode(mode, ofLimit: number)
      layer.applied.modes[name] = mode
    }
    layer.reader.plans = draft.plans
    var left = overlay.byTenant
    for place in draft.tenants.indices {
      guard !left.isEmpty else { break }
      guard let value = left.removeValue(forKey: NameBytes(draft.tenants[place].name)) else {
        continue
      }
      _ = layer.lay(value, over: &draft.tenants[place])
    }
    for (name, value) in left.sorted(by: { $0.key.text < $1.key.text }) {
      var tenant = guest(named: name.text, like: draft.anyTenant)
      if layer.lay(value, over: &tenant) { draft.tenants.add(guest: tenant) }
    }
    return (laid(draft, layer.applied), layer.problems)
  }

  /// The same, where it is known what some other overlay comes to that says something else of these
  /// tenants only. O(these, limits, plans, and what is set at run time), however many the file names.
  ///
  /// - Parameters:
  ///   - names: of these tenants.
  ///   - before: this file with that other overlay.
  /// - Returns: the file, and these tenants' problems; `nil` where modes are set, which change what
  ///   tenants are laid over.
  package func overlaid(by overlay: Overlay, changing names: [String], in before: PolicyFile) -> (
    file: PolicyFile, problems: [OverlayProblem]
  )? {
    guard overlay.modes.isEmpty, before.overlay.modes.isEmpty else { return nil }
    var layer = Layer(reader: PolicyReader(over: self), applied: before.overlay)
    var draft = Draft(
      limits: before.limits, plans: before.plans, tenants: before.tenants,
      anyTenant: before.anyTenant)
    for name in names {
      layer.applied[tenant: name] = nil
      let value = overlay[tenant: name]
      // The file's own tenants have the same places in both.
      if let place = tenants.place(named: name) {
        draft.tenants[place] = tenants[place]
        if let value { _ = layer.lay(value, over: &draft.tenants[place]) }
        continue
      }
      draft.tenants.remove(guestNamed: name)
      guard let value else { continue }
      var tenant = guest(named: name, like: draft.anyTenant)
      if layer.lay(value, over: &tenant) { draft.tenants.add(guest: tenant) }
    }
    return (laid(draft, layer.applied), layer.problems)
  }

  private func laid(_ draft: Draft, _ applied: Overlay) -> PolicyFile {
    with(
      limits: draft.limits, plans: draft.plans, tenants: draft.tenants, anyTenant: draft.anyTenant,
      applied: applied)
  }

  /// A tenant of which the file says nothing of its own.
  private func guest(named name: String, like any: Tenant?) -> Tenant {
    Tenant(
      name: name, position: .runTime, plan: any?.plan, standing: any?.standing ?? .limited,
      standingPosition: any?.standingPosition, overrides: any?.overrides ?? [])
  }
}

/// Lays what is set over one tenant after the other.
private struct Layer {
  var reader: PolicyReader
  /// What is in force of it, but for blocks.
  var applied: Overlay
  var problems: [OverlayProblem] = []

  /// Whether something of it is in force: what is not does not make a tenant known.
  mutating func lay(_ value: Overlay.Tenant, over tenant: inout PolicyFile.Tenant) -> Bool {
    if let laid = reader.overlaid(tenant, by: value) {
      tenant = laid
      applied[tenant: tenant.name] = Overlay.Tenant(plan: value.plan, settings: value.settings)
    }
    for message in reader.takeErrors() {
      problems.append(.init(subject: .tenant(tenant.name), message: message))
    }
    if let block = value.block {
      tenant.standing = .blocked
      tenant.standingPosition = .runTime
      tenant.block = block
    }
    return tenant.block != nil || applied[tenant: tenant.name] != nil
  }
}

/// The parts of a policy file that differ at run time.
private struct Draft {
  var limits: [PolicyFile.Limit]
  var plans: [PolicyFile.Plan]
  var tenants: TenantList
  var anyTenant: PolicyFile.Tenant?

  /// A limit's mode for everybody, whatever definition, plans and tenants of the file say.
  mutating func setMode(_ mode: LimitMode, ofLimit number: Int) {
    func withoutMode(_ settings: [Setting]) -> [Setting] {
      settings.filter { $0.parameter != .mode }
    }
    func withoutMode(_ tenant: inout PolicyFile.Tenant) {
      guard tenant.overrides.contains(where: { $0.limit == number }) else { return }
      tenant.overrides = tenant.overrides.map {
        $0.limit == number ? Override(limit: number, settings: withoutMode($0.settings)) : $0
      }
    }
    let own = Setting(parameter: .mode, value: .mode(mode), position: .runTime)
    limits[number].settings = withoutMode(limits[number].settings) + [own]
    for place in plans.indices {
      if let settings = plans[place].settings[number] {
        plans[place].settings[number] = withoutMode(settings)
      }
    }
    for place in tenants.indices { withoutMode(&tenants[place]) }
    if var tenant = anyTenant {
      withoutMode(&tenant)
      anyTenant = tenant
    }
  }
}
