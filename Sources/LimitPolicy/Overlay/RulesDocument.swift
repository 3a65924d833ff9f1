// The rules in force as one document: a policy file's bytes and, before them, what is set at run time.
// It is what a bucket's words were written by, so it is kept with them, and known by its checksum. Pure.
//
//     %limitd-overlay/1
//     limit   NAME   mode   MODE
//     tenant  NAME   plan   PLAN
//     tenant  NAME   set    LIMIT   PARAMETER   VALUE
//     (an empty line, and then the policy file)
//
// Fields are parted by tabs, lines are in the order of names. Blocks are not in it: no word depends on
// them. Where nothing is set, it is the policy file alone; no policy file begins like the first line.

import LimitEngine

package struct RulesDocument: Sendable {
  /// The policy file.
  package let policy: [UInt8]
  let overlay: Overlay

  private static let mark = "%limitd-overlay/1"

  init(policy: [UInt8], overlay: Overlay) {
    self.policy = policy
    self.overlay = overlay
  }

  // MARK: Writing

  /// The same bytes for the same rules.
  var bytes: [UInt8] {
    var lines: [String] = []
    for (name, mode) in overlay.modes.sorted(by: { $0.key < $1.key }) {
      lines.append("limit\t\(name)\tmode\t\(mode.name)")
    }
    for (name, tenant) in overlay.tenants {
      if let plan = tenant.plan { lines.append("tenant\t\(name)\tplan\t\(plan)") }
      for setting in tenant.settings {
        lines.append(
          "tenant\t\(name)\tset\t\(setting.limit)\t\(setting.parameter)\t\(setting.value)")
      }
    }
    guard !lines.isEmpty else { return policy }
    return Array("\(Self.mark)\n\(lines.joined(separator: "\n"))\n\n".utf8) + policy
  }

  // MARK: Reading

  /// Takes a document apart.
  ///
  /// - Returns: `nil` where it begins like one and is none.
  package init?(_ bytes: [UInt8]) {
    var overlay = Overlay()
    guard bytes.starts(with: Self.mark.utf8) else {
      self.init(policy: bytes, overlay: overlay)
      return
    }
    var rest = bytes[...]
    var number = 0
    while true {
      guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
      let line = String(decoding: rest[..<end], as: UTF8.self)
      rest = rest[(end + 1)...]
      number += 1
      if line.isEmpty { break }
      guard number == 1 ? line == Self.mark : Self.read(line, into: &overlay) else { return nil }
    }
    self.init(policy: Array(rest), overlay: overlay)
  }

  private static func read(_ line: String, into overlay: inout Overlay) -> Bool {
    let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    guard fields.count >= 4 else { return false }
    switch (fields[0], fields[2], fields.count) {
    case ("limit", "mode", 4):
      guard let mode = LimitMode(named: fields[3]) else { return false }
      overlay.modes[fields[1]] = mode
    case ("tenant", "plan", 4):
      var tenant = overlay[tenant: fields[1]] ?? Overlay.Tenant()
      tenant.plan = fields[3]
      overlay[tenant: fields[1]] = tenant
    case ("tenant", "set", 6):
      var tenant = overlay[tenant: fields[1]] ?? Overlay.Tenant()
      tenant.set(.init(limit: fields[3], parameter: fields[4], value: fields[5]))
      overlay[tenant: fields[1]] = tenant
    default: return false
    }
    return true
  }
}

extension PolicyFile {
  /// The rules that a document has: those of its policy file with what was set over it.
  package static func rules(_ document: [UInt8], path: String) throws(PolicyFileError) -> PolicyFile
  {
    guard let document = RulesDocument(document) else {
      throw PolicyFileError(diagnostics: [
        Diagnostic(.error, path, .start, "the rules that were kept are damaged")
      ])
    }
    return try parse(document.policy, path: path).overlaid(by: document.overlay).file
  }
}

extension LimitMode {
  /// The mode that policy files call so.
  package init?(named name: String) {
    guard let mode = [LimitMode.enforce, .shadow].first(where: { $0.name == name }) else {
      return nil
    }
    self = mode
  }
}
