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
  /// O(limits, plans, and what is set at run time).
  ///
  /// - Precondition: nothing is laid over the file yet.
  package func overlaid(by overlay: Overlay) -> (file: PolicyFile, problems: [OverlayProblem]) {
    guard !overlay.isEmpty else { return (self, []) }
    // In the order of the file, then the others.
    let names = overlay.tenants.map { ($0.name, tenants.place(named: $0.name) ?? .max) }
      .enumerated().sorted { ($0.element.1, $0.offset) < ($1.element.1, $1.offset) }
    return overlaid(by: overlay, changing: names.map(\.element.0), in: self)
  }

  /// The same, where it is known what some other overlay comes to that says something else of these
  /// tenants, and of modes, only. O(these, limits, plans, and what is set at run time), however many the
  /// file names.
  ///
  /// - Parameters:
  ///   - names: of these tenants.
  ///   - before: this file with that other overlay.
  /// - Returns: the file, and the problems of modes and of these tenants.
  package func overlaid(by overlay: Overlay, changing names: [String], in before: PolicyFile) -> (
    file: PolicyFile, problems: [OverlayProblem]
  ) {
    var layer = Layer(reader: PolicyReader(over: self), applied: before.overlay)
    var draft = Draft(
      limits: limits, plans: plans, tenants: before.tenants, anyTenant: anyTenant)
    // First: what a tenant's own settings are laid over.
    layer.applied.modes = [:]
    draft.tenants.limitsOfSetModes = []
    for (name, mode) in overlay.modes.sorted(by: { $0.key < $1.key }) {
      guard let number = layer.reader.limitNumbers[name] else {
        layer.problems.append(
          .init(subject: .limit(name), message: "there is no limit \(quoted(name))"))
        continue
      }
      draft.setMode(mode, ofLimit: number)
      layer.applied.modes[name] = mode
    }
    for name in names {
      layer.applied[tenant: name] = nil
      let value = overlay[tenant: name]
      // The file's own tenants have the same places in both.
      if let place = tenants.place(named: name) {
        var tenant = tenants[place]
        if let value { _ = layer.lay(value, over: &tenant) }
        draft.tenants.replace(at: place, by: tenant)
        continue
      }
      if before.tenants.hasGuests { draft.tenants.remove(guestNamed: name) }
      guard let value else { continue }
      var tenant = guest(named: name)
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
  private func guest(named name: String) -> Tenant {
    let any = anyTenant
    return Tenant(
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

  /// A limit's mode for everybody, whatever definition, plans and tenants of the file say. O(plans).
  mutating func setMode(_ mode: LimitMode, ofLimit number: Int) {
    func withoutMode(_ settings: [Setting]) -> [Setting] {
      settings.filter { $0.parameter != .mode }
    }
    let own = Setting(parameter: .mode, value: .mode(mode), position: .runTime)
    limits[number].settings = withoutMode(limits[number].settings) + [own]
    for place in plans.indices {
      if let settings = plans[place].settings[number] {
        plans[place].settings[number] = withoutMode(settings)
      }
    }
    tenants.limitsOfSetModes.insert(number)
    anyTenant = anyTenant?.withoutModes(ofLimits: [number])
  }
}
