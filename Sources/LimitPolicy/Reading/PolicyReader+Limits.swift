// The section `limits`: the definitions that everything else refers to.

import LimitEngine

/// A limit as far as it could be read. One with errors stays known by name, so that what refers to
/// it is not reported for that.
struct LimitDraft {
  let name: String
  let position: Position
  var algorithm: Algorithm?
  var scope: (value: Scope, position: Position)?
  var unit: (value: String, position: Position)?
  var settings: [Setting] = []
  var isUsed = false

  init(name: String, position: Position) {
    self.name = name
    self.position = position
  }

  var unitName: String { unit?.value ?? LimitDefinition.requests }
}

extension PolicyReader {
  mutating func readLimits(_ node: YAMLNode) {
    guard let entries = entries(of: node, .section("limits"), "names to limits") else { return }
    if entries.isEmpty {
      error(node.position, "limits: there is none; define at least one limit")
    }
    for (name, key, value) in entries {
      guard limits.count < PolicySetBuilder.limitsMax else {
        return error(
          key.position,
          "limits: more than \(PolicySetBuilder.limitsMax) limits; define fewer"
        )
      }
      _ = checkName(name, "limit", at: key)
      limitNumbers[name] = limits.count
      limits.append(limit(name, key, value))
    }
  }

  private mutating func limit(_ name: String, _ key: YAMLNode, _ node: YAMLNode) -> LimitDraft {
    let subject = Subject.limit(name)
    var draft = LimitDraft(name: name, position: key.position)
    guard let entries = entries(of: node, subject, "algorithm, scope and parameters") else {
      return draft
    }
    if let entry = entries.first(where: { $0.name == Identity.algorithm.rawValue }) {
      draft.algorithm = choice(
        entry.value,
        subject,
        "algorithm",
        Algorithm.allCases.map { ($0.name, $0) }
      )
    } else {
      error(
        key.position,
        "\(subject) has no algorithm; write token-bucket, sliding-window or concurrency"
      )
    }
    for entry in entries { read(entry, into: &draft) }
    checkComplete(draft, entries, at: key)
    checkTogether(draft.settings, over: [], of: draft, subject)
    return draft
  }

  private mutating func read(_ entry: Entry, into draft: inout LimitDraft) {
    let subject = Subject.limit(draft.name)
    switch Identity(rawValue: entry.name) {
    case .algorithm: break
    case .scope:
      let scopes: [Scope] = [.tenant, .key, .global]
      let scope = choice(entry.value, subject, "scope", scopes.map { ($0.name, $0) })
      draft.scope = scope.map { ($0, entry.value.position) }
    case .unit:
      guard let name = text(of: entry.value, subject, "unit must be a name such as tokens"),
        checkName(name, "unit", at: entry.value)
      else { return }
      draft.unit = (name, entry.value.position)
    case nil:
      if let setting = setting(entry, of: draft, subject, isDefinition: true) {
        draft.settings.append(setting)
      }
    }
  }

  private mutating func checkComplete(_ draft: LimitDraft, _ entries: [Entry], at key: YAMLNode) {
    let subject = Subject.limit(draft.name)
    let written = Set(entries.map(\.name))
    if !written.contains(Identity.scope.rawValue) {
      error(key.position, "\(subject) has no scope; write tenant, key or global")
    }
    guard let algorithm = draft.algorithm else { return }
    for parameter in algorithm.required where !written.contains(parameter.rawValue) {
      error(
        key.position,
        "\(subject) has no \(parameter); a \(algorithm.name) limit needs one, such as "
          + "\(parameter): \(parameter.example)"
      )
    }
  }

  mutating func warnOfUnusedLimits() {
    for limit in limits where !limit.isUsed {
      warning(
        limit.position,
        "limit \(quoted(limit.name)) is in no policy; list it in one, or remove it"
      )
    }
  }
}
