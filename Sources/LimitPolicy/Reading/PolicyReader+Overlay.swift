// Reads what is set at run time as the same words in a policy file would be read: with the same checks
// and the same errors, but for their places.

import LimitEngine

extension Position {
  /// The place of what is written in no file: it was set at run time.
  static let runTime = Position(line: 0, column: 0)

  var isRunTime: Bool { line == 0 }

  /// `nil`: in no file.
  var fileLine: Int? { isRunTime ? nil : Int(line) }
}

extension PolicyReader {
  /// A reader that knows what `file` defines, for what is laid over it.
  init(over file: PolicyFile) {
    self.init(path: file.path)
    limits = file.limits.map { limit in
      var draft = LimitDraft(name: limit.name, position: limit.position)
      draft.algorithm = limit.algorithm
      draft.scope = (limit.scope, limit.scopePosition)
      draft.settings = limit.settings
      return draft
    }
    plans = file.plans
    limitNumbers = Dictionary(
      uniqueKeysWithValues: limits.enumerated().map { ($0.element.name, $0.offset) })
    planNumbers = Dictionary(
      uniqueKeysWithValues: plans.enumerated().map { ($0.element.name, $0.offset) })
  }

  /// A tenant with what is set for it laid over what the file says; a block is not looked at.
  ///
  /// - Returns: `nil` where something does not fit; then there are errors (`takeErrors`).
  mutating func overlaid(_ tenant: PolicyFile.Tenant, by overlay: Overlay.Tenant)
    -> PolicyFile.Tenant?
  {
    var plan = tenant.plan
    if let name = overlay.plan {
      plan = self.plan(.runTime(name), .tenant(tenant.name)).map { ($0, .runTime) }
    }
    var overrides = tenant.overrides
    for written in overlay.settings {
      let node = YAMLNode.runTime(written.limit)
      guard let number = limitNumber(written.limit, at: node, .tenant(tenant.name)) else {
        continue
      }
      let subject = Subject.tenantLimit(tenant: tenant.name, limit: written.limit)
      let entry = (name: written.parameter, key: node, value: YAMLNode.runTime(written.value))
      guard let setting = setting(entry, of: limits[number], subject, isDefinition: false) else {
        continue
      }
      overrides = Self.laying(setting, ofLimit: number, over: overrides)
    }
    for override in overrides {
      let limit = limits[override.limit]
      let below = plan.flatMap { plans[$0.number].settings[override.limit] } ?? []
      let subject = Subject.tenantLimit(tenant: tenant.name, limit: limit.name)
      checkTogether(override.settings, over: [limit.settings, below], of: limit, subject)
    }
    guard !hasErrors else { return nil }
    var overlaid = tenant
    overlaid.plan = plan
    overlaid.overrides = overrides
    return overlaid
  }

  private static func laying(_ setting: Setting, ofLimit number: Int, over overrides: [Override])
    -> [Override]
  {
    var overrides = overrides
    let place = overrides.firstIndex { $0.limit == number } ?? overrides.count
    let settings = place < overrides.count ? overrides[place].settings : []
    let override = Override(
      limit: number,
      settings: settings.filter { $0.parameter != setting.parameter } + [setting])
    if place < overrides.count {
      overrides[place] = override
    } else {
      overrides.append(override)
    }
    return overrides
  }
}

extension YAMLNode {
  /// A text that was set at run time.
  fileprivate static func runTime(_ text: String) -> YAMLNode {
    let texts = Array(text.utf8)
    let record = YAMLDocument.Record(
      kind: .scalar, isPlain: false, position: .runTime, first: 0, count: UInt32(texts.count),
      next: YAMLDocument.none)
    return YAMLNode(document: YAMLDocument(records: [record], texts: texts), place: 0)
  }
}
