// What an administrator may change at run time, as pure functions of what is set. Any thread.

package import LimitEngine

/// One change.
package enum OverlayChange: Sendable {
  /// One thing to set or, where the value is `nil`, to leave to the policy file again.
  package struct Edit: Sendable {
    package var limit: String
    /// `nil`: all of the limit's; then there is no value.
    package var parameter: String?
    package var value: String?

    package init(limit: String, parameter: String?, value: String?) {
      self.limit = limit
      self.parameter = parameter
      self.value = value
    }
  }

  /// A plan and parameters of a tenant. The plan is left as it is where it is `nil`, and left to the
  /// policy file where it is `.some(nil)`.
  case edit(tenant: String, plan: String??, [Edit])
  /// Leaves a tenant's plan and parameters to the policy file. A block stays.
  case clear(tenant: String)
  case block(tenant: String, Overlay.Block)
  case unblock(tenant: String)
  /// `nil`: as in the policy file.
  case mode(limit: String, LimitMode?)
  /// All that is set for these tenants. Others keep what they have.
  case replace([(tenant: String, value: Overlay.Tenant)])
  /// Ends the blocks whose time is over, by the wall clock, in seconds since 1970.
  case endBlocks(at: UInt64)

  /// What it is called, for the record of changes.
  package var name: String {
    switch self {
    case .edit(_, _, let edits):
      edits.allSatisfy { $0.value == nil } && !setsPlan ? "tenant unset" : "tenant set"
    case .clear: "tenant unset"
    case .block: "tenant block"
    case .unblock: "tenant unblock"
    case .mode: "limit mode"
    case .replace: "tenant import"
    case .endBlocks: "block ended"
    }
  }

  private var setsPlan: Bool {
    if case .edit(_, .some(.some), _) = self { true } else { false }
  }
}

/// What a change did to one tenant, or to one limit for everybody.
package struct OverlayDifference: Hashable, Sendable {
  package enum Subject: Hashable, Sendable {
    case tenant(String)
    case limit(String)

    /// The tenant that it is about; `nil` where it is about everybody.
    package var tenant: String? { if case .tenant(let name) = self { name } else { nil } }
  }

  package let subject: Subject
  /// On one line; `nil`: nothing was set.
  package let before: String?
  package let after: String?

  /// The tenant that it is about; `nil` where it is about everybody.
  package var tenant: String? { subject.tenant }
}

extension Overlay {
  /// Makes a change.
  ///
  /// O(what it names); `endBlocks`: O(tenants).
  /// - Returns: what differs, by subject; empty where all was so already.
  package mutating func apply(_ change: OverlayChange) -> [OverlayDifference] {
    switch change {
    case .edit(let name, let plan, let edits):
      return update(name) { tenant in
        if let plan { tenant.plan = plan }
        for edit in edits {
          if let parameter = edit.parameter, let value = edit.value {
            tenant.set(Setting(limit: edit.limit, parameter: parameter, value: value))
          } else {
            tenant.unset(limit: edit.limit, parameter: edit.parameter)
          }
        }
      }
    case .clear(let name): return update(name) { $0 = Tenant(block: $0.block) }
    case .block(let name, let block): return update(name) { $0.block = block }
    case .unblock(let name): return update(name) { $0.block = nil }
    case .mode(let limit, let mode):
      let before = modes[limit]
      modes[limit] = mode
      guard before != mode else { return [] }
      return [.init(subject: .limit(limit), before: before?.name, after: mode?.name)]
    case .replace(let values): return values.flatMap { name, value in update(name) { $0 = value } }
    case .endBlocks(let now):
      return tenants.filter { $0.value.block?.isOver(at: now) ?? false }
        .flatMap { update($0.name) { $0.block = nil } }
    }
  }

  private mutating func update(_ name: String, _ body: (inout Tenant) -> Void)
    -> [OverlayDifference]
  {
    let before = self[tenant: name]
    var tenant = before ?? Tenant()
    body(&tenant)
    self[tenant: name] = tenant
    let after = self[tenant: name]
    guard before != after else { return [] }
    return [.init(subject: .tenant(name), before: before?.text, after: after?.text)]
  }
}

extension Overlay.Tenant {
  /// On one line, as a policy file would have it.
  package var text: String {
    var parts: [String] = []
    if let plan { parts.append("plan: \(plan)") }
    if let block { parts.append(block.text) }
    var rest = settings[...]
    while let first = rest.first {
      let own = rest.prefix { $0.limit == first.limit }
      rest = rest.dropFirst(own.count)
      let list = own.map { "\($0.parameter): \($0.value)" }.joined(separator: ", ")
      parts.append("\(first.limit): {\(list)}")
    }
    return parts.joined(separator: ", ")
  }
}

extension Overlay.Block {
  /// On one line.
  package var text: String {
    "blocked" + (until.map { " until \(WallTime.text(seconds: $0))" } ?? "") + ": \(reason)"
  }
}

// MARK: - What is no change at all

extension OverlayChange {
  /// What is wrong with the words of a change, whatever the policy file says; `nil` where nothing is.
  ///
  /// Names and values are kept as they are given, each on a line of its own: so they have none of the
  /// characters that end or turn one.
  package var fault: String? {
    switch self {
    case .edit(let tenant, let plan, let edits):
      return Self.fault(ofTenant: tenant)
        ?? Self.fault([plan ?? nil] + edits.flatMap { [$0.limit, $0.parameter, $0.value] })
    case .clear(let tenant), .unblock(let tenant): return Self.fault(ofTenant: tenant)
    case .block(let tenant, let block): return Self.fault(ofTenant: tenant) ?? block.fault
    case .mode(let limit, _): return Self.fault([limit])
    case .endBlocks: return nil
    case .replace(let values):
      for (tenant, value) in values {
        let words = value.settings.flatMap { [$0.limit, $0.parameter, $0.value] }
        let fault =
          Self.fault(ofTenant: tenant) ?? Self.fault([value.plan] + words) ?? value.block?.fault
        if let fault { return fault }
      }
      return nil
    }
  }

  private static func fault(ofTenant name: String) -> String? {
    var text = name
    if text.withUTF8({ TenantName.isValid(UnsafeRawBufferPointer($0)) }) {
      return name == PolicyFile.anyTenantName
        ? "\"*\" stands for all tenants that are not named; change it in the policy file" : nil
    }
    return
      "the tenant \(quoted(name)) is not a name; use 1 to 255 bytes without spaces and control "
      + "characters"
  }

  private static func fault(_ words: [String?]) -> String? {
    for case let word? in words
    where !(1...64).contains(word.utf8.count) || !word.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) {
      return "\(quoted(word)) is no name and no value; these have 1 to 64 letters, digits and signs"
    }
    return nil
  }
}

extension Overlay.Block {
  fileprivate var fault: String? {
    guard (1...Self.reasonBytesMax).contains(reason.utf8.count),
      !reason.unicodeScalars.contains(where: \.isInvisibleControl)
    else {
      return
        "a block's reason is a line of 1 to \(Self.reasonBytesMax) bytes without control characters"
    }
    if let until, until > WallTime.secondsMax { return "a block ends before the year 10000" }
    return nil
  }
}
