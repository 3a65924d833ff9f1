// Reads a YAML tree as a policy file, strictly, and goes on after an error so that all errors of a
// file are reported at once. One reader belongs to one thread.
//
// Sections are read in the order in which they build on each other (limits, policies, plans,
// tenants, daemon), whatever their order in the file; `diagnostics` are put in the file's order at the end.

import LimitEngine

/// Collects what a file says, and what is wrong with it.
struct PolicyReader {
  static let sections = ["limits", "policies", "plans", "tenants", "daemon"]
  /// For how many unknown names per file a likely one is looked for: it takes time.
  private static let suggestionsMax = 200

  let path: String
  private(set) var diagnostics: [Diagnostic] = []
  private var suggestions = 0

  var limits: [LimitDraft] = []
  var limitNumbers: [String: Int] = [:]
  var policies: [PolicyFile.Policy] = []
  var plans: [PolicyFile.Plan] = []
  var planNumbers: [String: Int] = [:]
  var tenants: [PolicyFile.Tenant] = []
  var anyTenant: PolicyFile.Tenant?
  var daemon = DaemonSettings()
  /// The tenants that rules of access name.
  var tenantMentions: [TenantMention] = []

  init(path: String) { self.path = path }

  /// Reads the root of a document; `nil` stands for an empty file.
  mutating func read(_ root: YAMLNode?) {
    guard let root, root.kind == .mapping || root.found != "nothing" else {
      return error(.start, "the file is empty; write at least limits: and policies:")
    }
    guard let entries = entries(of: root, .file, list(Self.sections)) else { return }
    var sections: [String: YAMLNode] = [:]
    for (name, key, value) in entries {
      if Self.sections.contains(name) {
        sections[name] = value
      } else {
        unknownKey(name, at: key, in: .file, known: Self.sections)
      }
    }
    if let node = sections["limits"] {
      readLimits(node)
    } else {
      error(root.position, "there is no 'limits'; define at least one limit there")
    }
    if let node = sections["policies"] {
      readPolicies(node)
    } else {
      error(root.position, "there is no 'policies'; list the limits of at least one there")
    }
    if let node = sections["plans"] { readPlans(node) }
    if let node = sections["tenants"] { readTenants(node) }
    if let node = sections["daemon"] { readDaemon(node) }
    // Where there are errors, these may only follow from them.
    if !hasErrors { warn(tenantsAt: sections["tenants"]?.position ?? root.position) }
  }

  /// Warns of what is right and yet hardly meant.
  private mutating func warn(tenantsAt position: Position) {
    for limit in limits where !limit.isUsed {
      warning(
        limit.position,
        "limit \(quoted(limit.name)) is in no policy; list it in one, or remove it"
      )
    }
    if tenants.isEmpty, anyTenant == nil {
      warning(
        position,
        "no tenant is named, so every query is denied; write tenants: {\"*\": {}} to admit any"
      )
    }
    warnOfUnknownTenants()
    warnOfLookAlikes()
  }

  /// Names that nobody can tell apart by looking, though the daemon does.
  private mutating func warnOfLookAlikes() {
    var lines: [String: UInt32] = [:]
    for tenant in tenants where !tenant.name.utf8.allSatisfy({ $0 < 0x80 }) {
      if let line = lines[tenant.name] {
        warning(
          tenant.position,
          "tenant \(quoted(tenant.name)) looks like the one of line \(line), but has other bytes, and "
            + "names are compared by bytes; keep the one that is asked for")
      } else {
        lines[tenant.name] = tenant.position.line
      }
    }
  }

  // MARK: Diagnostics

  var hasErrors: Bool { diagnostics.contains { $0.severity == .error } }

  /// The errors so far, as messages without their places. None are left, nor any warnings.
  mutating func takeErrors() -> [String] {
    defer { diagnostics = [] }
    return diagnostics.filter { $0.severity == .error }.map(\.message)
  }

  mutating func error(_ position: Position, _ message: String) {
    diagnostics.append(Diagnostic(.error, path, position, message))
  }

  mutating func warning(_ position: Position, _ message: String) {
    diagnostics.append(Diagnostic(.warning, path, position, message))
  }

  /// Reports a key that is not one of `known`.
  mutating func unknownKey(
    _ name: String,
    at key: YAMLNode,
    in subject: Subject,
    known: [String]
  ) {
    guard name != "<<" else {
      return error(
        key.position,
        "\(subject): merge keys (<<) are not supported; write the values out"
      )
    }
    if let colon = missingSpace(in: name, known) {
      return error(key.position, "\(subject): \(colon)")
    }
    let advice = suggestion(for: name, among: known) ?? "known here: \(list(known))"
    error(key.position, "\(subject): unknown key \(quoted(name)); \(advice)")
  }

  /// What is wrong with `rate:1/s`, which YAML takes for a word.
  private func missingSpace(in text: String, _ known: [String]?) -> String? {
    guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else { return nil }
    let name = String(text[..<colon])
    let value = text[text.index(after: colon)...]
    guard !value.isEmpty, value.first != " ", known?.contains(name) ?? true else { return nil }
    return "\(quoted(text)) has no space after the colon; write \(name): \(value)"
  }

  /// "did you mean …?", where a name is near enough.
  mutating func suggestion(for name: String, among known: some Sequence<String>) -> String? {
    guard suggestions < Self.suggestionsMax else { return nil }
    suggestions += 1
    return Suggestion.nearest(to: name, among: known).map { "did you mean '\($0)'?" }
  }

  // MARK: Shapes

  typealias Entry = (name: String, key: YAMLNode, value: YAMLNode)

  /// The entries of a mapping; reports what is none, and keys that are no names.
  mutating func entries(
    of node: YAMLNode,
    _ subject: Subject,
    _ contents: @autoclosure () -> String
  ) -> [Entry]? {
    guard node.kind == .mapping else {
      if let text = node.text, let colon = missingSpace(in: text, nil) {
        error(node.position, "\(subject): \(colon)")
        return nil
      }
      let advice = node.found == "nothing" ? "; write {} where there are none" : ""
      error(
        node.position,
        "\(subject): expected a mapping of \(contents()), found \(node.found)\(advice)"
      )
      return nil
    }
    var entries: [Entry] = []
    for (key, value) in node.entries {
      if let name = key.text {
        entries.append((name, key, value))
      } else {
        error(
          key.position,
          "\(subject): expected a name as key, found \(key.found); quote it if it is one"
        )
      }
    }
    return entries
  }

  /// The text of a scalar; reports what is none. `expected` says what belongs there.
  mutating func text(
    of node: YAMLNode,
    _ subject: Subject,
    _ expected: @autoclosure () -> String
  ) -> String? {
    if let text = node.text { return text }
    error(node.position, "\(subject): \(expected()), found \(node.found)")
    return nil
  }

  /// One of a few words; reports anything else.
  mutating func choice<Value>(
    _ node: YAMLNode,
    _ subject: Subject,
    _ what: String,
    _ values: [(String, Value)]
  ) -> Value? {
    let names = values.map(\.0)
    guard let text = text(of: node, subject, "\(what) must be \(list(names, last: "or"))") else {
      return nil
    }
    if let value = values.first(where: { $0.0 == text }) { return value.1 }
    let advice = suggestion(for: text, among: names) ?? "write \(list(names, last: "or"))"
    error(node.position, "\(subject): unknown \(what) \(quoted(text)); \(advice)")
    return nil
  }

  // MARK: Names

  /// Checks the name of a limit, policy, plan or unit.
  mutating func checkName(_ name: String, _ what: String, at key: YAMLNode) -> Bool {
    let isWord = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."):
        true
      default: false
      }
    }
    if isWord, (1...64).contains(name.utf8.count) { return true }
    error(
      key.position,
      "the \(what) \(quoted(name)) is not a name; use 1 to 64 letters, digits, '-', '_' and '.'"
    )
    return false
  }

  /// Checks the name of a tenant.
  mutating func checkTenantName(_ name: String, at key: YAMLNode) -> Bool {
    var utf8 = name
    if utf8.withUTF8({ TenantName.isValid(UnsafeRawBufferPointer($0)) }) { return true }
    error(
      key.position,
      "the tenant \(quoted(name)) is not a name; use 1 to 255 bytes without spaces and control "
        + "characters"
    )
    return false
  }
}

/// `a, b and c`.
func list(_ names: [String], last: String = "and") -> String {
  guard names.count > 1 else { return names.first ?? "" }
  return names.dropLast().joined(separator: ", ") + " \(last) " + names[names.count - 1]
}
