// The rules of access in the section `daemon`: who may ask the daemon what.

import LimitEngine

/// The keys of a rule.
private enum AccessKey: String, CaseIterable {
  case user, group, roles, tenants
}

/// A user or a group, as named in a file.
enum Account: CustomStringConvertible {
  case name(String)
  case number(UInt32)

  var description: String {
    switch self {
    case .name(let name): name
    case .number(let number): String(number)
    }
  }
}

/// A tenant that a rule of access names.
typealias TenantMention = (name: String, position: Position)

extension PolicyReader {
  mutating func readAccess(_ node: YAMLNode) {
    let subject = Subject.daemon("access")
    guard node.kind == .sequence else {
      return error(
        node.position,
        "\(subject): expected a list of rules such as [{group: www-data, roles: [query]}], found "
          + node.found
      )
    }
    var rules: [DaemonSettings.AccessRule] = []
    var count = 0
    for item in node.items {
      count += 1
      guard count <= DaemonSettings.accessRulesMax else {
        error(
          item.position,
          "\(subject): more than \(DaemonSettings.accessRulesMax) rules; write fewer"
        )
        break
      }
      if let rule = accessRule(item, subject) { rules.append(rule) }
    }
    if count == 0 {
      warning(
        node.position,
        "\(subject): there is no rule, so nobody but root may use the daemon; add one, or remove "
          + "access to let in whoever may open the socket"
      )
    }
    daemon.access = rules
  }

  private mutating func accessRule(
    _ node: YAMLNode,
    _ subject: Subject
  ) -> DaemonSettings.AccessRule? {
    guard node.kind == .mapping else {
      let known = list(AccessKey.allCases.map(\.rawValue))
      error(node.position, "\(subject): expected a mapping of \(known), found \(node.found)")
      return nil
    }
    var holders: [(key: AccessKey, entry: Entry, account: Account?)] = []
    var roles: DaemonSettings.Roles?
    var tenants: [String]?
    var hasRoles = false
    for (key, entry) in entries(of: node, subject, keyedBy: AccessKey.self) {
      switch key {
      case .user, .group: holders.append((key, entry, account(entry, subject)))
      case .roles:
        hasRoles = true
        roles = self.roles(entry.value, subject)
      case .tenants: tenants = tenantNames(entry.value, subject)
      }
    }
    if holders.isEmpty {
      error(node.position, "\(subject): the rule is for nobody; write a user or a group")
    }
    if holders.count > 1 {
      error(
        holders[1].entry.key.position,
        "\(subject): the rule has both a user and a group; write a rule for each"
      )
    }
    if !hasRoles {
      error(
        node.position,
        "\(subject): the rule has no roles; write at least one, such as roles: [query]"
      )
    }
    guard let holder = holders.first, let account = holder.account, let roles else { return nil }
    return DaemonSettings.AccessRule(
      subject: .init(account, isUser: holder.key == .user),
      roles: roles,
      tenants: tenants,
      line: Int(holder.entry.value.position.line),
      column: Int(holder.entry.value.position.column)
    )
  }

  /// The name or the number of a user or a group; reports what is neither.
  mutating func account(_ entry: Entry, _ subject: Subject) -> Account? {
    let expected = "\(entry.name) must be a name or a number"
    guard let text = text(of: entry.value, subject, expected) else { return nil }
    let isNumber = text.utf8.allSatisfy { Quantity.isDigit($0) || $0 == UInt8(ascii: "_") }
    if isNumber, let first = text.utf8.first, Quantity.isDigit(first) {
      return number(text, entry, subject).map { .number($0) }
    }
    let isName =
      (1...255).contains(text.utf8.count) && !text.hasPrefix("-")
      && !text.unicodeScalars.contains { $0.isInvisibleControl || $0 == ":" || $0 == "/" }
    if isName { return .name(text) }
    error(
      entry.value.position,
      "\(subject): \(entry.name) \(quoted(text)) is neither a name nor a number; write a name such "
        + "as www-data, or a number such as 1000"
    )
    return nil
  }

  /// A uid or gid. The largest 32-bit number is none: it means "no change" (chown(2)).
  private mutating func number(_ text: String, _ entry: Entry, _ subject: Subject) -> UInt32? {
    let largest = UInt32.max - 1
    do throws(QuantityError) {
      let number = try Quantity.count(text)
      if number <= largest { return UInt32(number) }
      error(
        entry.value.position,
        "\(subject): \(entry.name) \(text) is out of range; write a number from 0 to \(largest)"
      )
    } catch {
      self.error(entry.value.position, "\(subject): \(entry.name) \(error.message)")
    }
    return nil
  }

  private mutating func roles(
    _ node: YAMLNode,
    _ subject: Subject
  ) -> DaemonSettings.Roles? {
    let known = DaemonSettings.Roles.named
    let names = list(known.map(\.0))
    guard node.kind == .sequence else {
      error(node.position, "\(subject): roles must be a list of \(names), found \(node.found)")
      return nil
    }
    var roles: DaemonSettings.Roles = []
    var isEmpty = true
    for item in node.items {
      isEmpty = false
      guard let role = choice(item, subject, "role", known) else { continue }
      if !roles.insert(role).inserted {
        error(
          item.position,
          "\(subject): the rule lists the role \(item.found) twice; list it once"
        )
      }
    }
    if isEmpty { error(node.position, "\(subject): roles is empty; list at least one of \(names)") }
    return roles
  }

  private mutating func tenantNames(_ node: YAMLNode, _ subject: Subject) -> [String]? {
    guard node.kind == .sequence else {
      error(
        node.position,
        "\(subject): tenants must be a list of tenants such as [acme], found \(node.found)"
      )
      return nil
    }
    var names: [String] = []
    var known: Set<String> = []
    var isEmpty = true
    for item in node.items {
      isEmpty = false
      guard let name = text(of: item, subject, "expected the name of a tenant") else { continue }
      if name == PolicyFile.anyTenantName {
        error(
          item.position,
          "\(subject): '*' names no tenant; leave tenants out for a rule about every tenant"
        )
      } else if !known.insert(name).inserted {
        error(
          item.position,
          "\(subject): the rule lists the tenant \(quoted(name)) twice; list it once"
        )
      } else if checkTenantName(name, at: item) {
        names.append(name)
        tenantMentions.append((name, item.position))
      }
    }
    if isEmpty {
      error(
        node.position,
        "\(subject): tenants is empty; list at least one, or leave it out for every tenant"
      )
    }
    return names
  }

  /// Warns of tenants that rules name and the file does not. With `"*"`, any name is a tenant's.
  mutating func warnOfUnknownTenants() {
    guard anyTenant == nil, !tenantMentions.isEmpty else { return }
    let names = Set(tenants.lazy.map { NameBytes($0.name) })
    for (name, position) in tenantMentions where !names.contains(NameBytes(name)) {
      let advice =
        suggestion(for: name, among: tenants.lazy.map(\.name)) ?? "name it under tenants"
      warning(position, "daemon, access: there is no tenant \(quoted(name)); \(advice)")
    }
  }
}

extension DaemonSettings.Roles {
  /// Every role, with its name in policy files.
  fileprivate static var named: [(String, Self)] {
    [
      ("query", .query), ("settle", .settle), ("observe", .observe), ("administer", .administer),
    ]
  }
}

extension DaemonSettings.AccessRule.Subject {
  fileprivate init(_ account: Account, isUser: Bool) {
    switch account {
    case .name(let name): self = isUser ? .user(name) : .group(name)
    case .number(let number): self = isUser ? .userID(number) : .groupID(number)
    }
  }
}
