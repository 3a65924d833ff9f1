// Parts of screens that several commands share. Pure functions.

import LimitAdminModel
import LimitConsole

enum AdminText {
  /// Rows of a name and what it is, aligned.
  static func rows(_ rows: [(String, String)], indent: Int = 2) -> [String] {
    let width = rows.map { $0.0.count }.max() ?? 0
    return rows.map { name, value in
      String(repeating: " ", count: indent) + name
        + String(repeating: " ", count: width - name.count + 2) + value
    }
  }

  static func duration(seconds: Double) -> String {
    durationText(UInt64(max(0, min(seconds, 1e9)) * 1e3) * 1_000_000)
  }

  /// `12.3 kB`, by thousands.
  static func bytes(_ count: Int) -> String {
    var (value, unit) = (Double(count), 0)
    let units = ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.95, unit < units.count - 1 { (value, unit) = (value / 1000, unit + 1) }
    if unit == 0 { return "\(count) B" }
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) \(units[unit])"
  }

  /// A limit's parameters on one line: `1000/s, burst 2000`.
  static func setting(_ parameters: [RuleParameter]) -> String {
    parameters.filter { $0.name != "mode" }.map { parameter in
      switch parameter.name {
      case "rate": parameter.value
      case "window": "per \(parameter.value)"
      case "limit": parameter.value
      default: "\(parameter.name) \(parameter.value)"
      }
    }.joined(separator: ", ")
  }

  static func name(_ limit: String, mode: String) -> String {
    mode == "shadow" ? "\(limit) (shadow)" : limit
  }

  /// What is written about limits, and where.
  static func settings(
    _ limits: [(name: String, mode: String, parameters: [SourcedParameter])], _ terminal: Terminal
  ) -> [String] {
    var table = TextTable(["limit", "setting", "from"], nameColumns: 3)
    for limit in limits {
      table.add([
        name(limit.name, mode: limit.mode), setting(limit.parameters), sources(limit.parameters),
      ])
    }
    return table.lines(for: terminal)
  }

  static func setting(_ parameters: [SourcedParameter]) -> String {
    setting(parameters.map { RuleParameter(name: $0.name, value: $0.value) })
  }

  /// Where a limit's parameters come from, each source once.
  static func sources(_ parameters: [SourcedParameter]) -> String {
    var names: [String] = []
    for parameter in parameters where parameter.name != "mode" || parameter.source != "default" {
      if !names.contains(parameter.source) { names.append(parameter.source) }
    }
    return names.joined(separator: ", ")
  }

  /// What differs, a few lines each, and how many more there are.
  static func differences(
    _ differences: [ReloadAnswer.Difference], of count: Int, _ terminal: Terminal
  ) -> [String] {
    var lines: [String] = []
    for difference in differences {
      let name = "\(difference.kind) \(visible(difference.name))"
      if difference.before == nil {
        lines.append(terminal.styled("+ \(name)", .admitted))
      } else if difference.after == nil {
        lines.append(terminal.styled("- \(name)", .refused))
      } else {
        lines.append("~ \(name)")
      }
      if let before = difference.before, !before.isEmpty {
        lines.append(terminal.styled("    - \(visible(before))", .refused))
      }
      if let after = difference.after, !after.isEmpty {
        lines.append(terminal.styled("    + \(visible(after))", .admitted))
      }
    }
    let hidden = count - differences.count
    if hidden > 0 { lines.append("and \(counted(hidden, "further difference"))") }
    return lines
  }

  /// What is left in a bucket: `1,990 of 2,000`.
  static func left(_ bucket: BucketState) -> String {
    "\(grouped(bucket.remaining)) of \(grouped(bucket.capacity))"
      + (bucket.isPastSoftThreshold ? " soft" : "") + (bucket.isOverflow ? " overflow" : "")
  }

  /// Why a tenant is blocked, and until when.
  static func rows(of block: TenantBlock) -> [(String, String)] {
    [("reason", visible(block.reason))] + (block.until.map { [("until", visible($0))] } ?? [])
  }

  static func standing(_ name: String) -> String {
    switch name {
    case "blocked": "blocked: every query is denied"
    case "unlimited": "unlimited: every query is admitted, and counted"
    case "unknown": "unknown: every query is denied"
    default: name
    }
  }
}
