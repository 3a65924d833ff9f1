// What is set at run time over a policy file, as a document that names that file by its checksum. It is what
// a bucket's words were written by, so it is kept with them, and known by a checksum of its own. Pure.
//
//     %limitd-overlay/2
//     policy  0123456789abcdef
//     limit   NAME   mode   MODE
//     tenant  NAME   plan   PLAN
//     tenant  NAME   set    LIMIT   PARAMETER   VALUE
//     (an empty line)
//
// Fields are parted by tabs, lines are in the order of names. Blocks are not in it: no word depends on
// them. Where nothing is set, there is none, and the policy file stands for itself.

import LimitEngine

package struct RulesDocument: Sendable {
  /// The policy file that it lies over (`PolicyFile.policyIdentity`).
  package let policy: UInt64
  let overlay: Overlay

  private static let mark = "%limitd-overlay/2"

  init(policy: UInt64, overlay: Overlay) {
    self.policy = policy
    self.overlay = overlay
  }

  // MARK: Writing

  /// The same bytes for the same rules; none where nothing is set that words depend on.
  /// O(what is set), whatever the policy file has.
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
    guard !lines.isEmpty else { return [] }
    let head = "\(Self.mark)\npolicy\t\(String(policy, radix: 16))\n"
    return Array("\(head)\(lines.joined(separator: "\n"))\n\n".utf8)
  }

  // MARK: Reading

  /// The policy file that a document lies over; `nil` where the bytes do not begin like one.
  /// O(1).
  package static func policy(of bytes: [UInt8]) -> UInt64? {
    let head = "\(mark)\npolicy\t"
    guard bytes.starts(with: head.utf8) else { return nil }
    let digits = bytes.dropFirst(head.utf8.count).prefix(17).prefix { $0 != UInt8(ascii: "\n") }
    return UInt64(String(decoding: digits, as: UTF8.self), radix: 16)
  }

  /// Takes a document apart.
  ///
  /// - Returns: `nil` where it is none.
  package init?(_ bytes: [UInt8]) {
    guard let policy = Self.policy(of: bytes) else { return nil }
    var overlay = Overlay()
    var rest = bytes[...]
    var number = 0
    while true {
      guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
      let line = String(decoding: rest[..<end], as: UTF8.self)
      rest = rest[(end + 1)...]
      number += 1
      if line.isEmpty { break }
      guard number <= 2 || Self.read(line, into: &overlay) else { return nil }
    }
    guard rest.isEmpty else { return nil }
    self.init(policy: policy, overlay: overlay)
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
  /// The rules that a document has: those of a policy file with what was set over it.
  ///
  /// - Parameters:
  ///   - document: empty: the policy file alone.
  ///   - policy: the bytes of that file.
  package static func rules(_ document: [UInt8], over policy: [UInt8], path: String)
    throws(PolicyFileError) -> PolicyFile
  {
    let file = try parse(policy, path: path)
    if document.isEmpty { return file }
    guard let document = RulesDocument(document), document.policy == file.policyIdentity else {
      throw PolicyFileError(diagnostics: [
        Diagnostic(.error, path, .start, "what was set over these rules is damaged")
      ])
    }
    return file.overlaid(by: document.overlay).file
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
