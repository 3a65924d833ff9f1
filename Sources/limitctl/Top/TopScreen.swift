// The screen of `limitctl top`: a pure function of what the daemon says.

import LimitAdminModel
import LimitConsole

/// What the screen shows of a moment.
struct TopScreen {
  var top: TopList
  /// Queries per second since the screen before; `nil` where there was none.
  var queriesPerSecond: Double?
  /// Rows of each table.
  var rows: Int
  /// `denied` or `queries`.
  var order: String

  func lines(_ terminal: Terminal) -> [String] {
    let seconds = max(top.overSeconds, 1)
    func rate(_ count: UInt64) -> String { Self.rate(Double(count) / seconds) }
    let decided = top.allowed + top.denied
    var summary = [
      queriesPerSecond.map { "\(Self.rate($0)) queries/s now" },
      "\(rate(decided))/s and \(percentage(Int(top.denied), of: Int(decided))) denied "
        + "in the last \(AdminText.duration(seconds: seconds.rounded()))",
    ]
    .compactMap { $0 }.joined(separator: "; ")
    if decided == 0 { summary = "nothing was asked lately" }
    var lines = [
      terminal.styled("limitd, most \(order == "denied" ? "denied" : "asked for") first", .heading),
      "  \(summary)",
    ]
    func add(_ headings: [String], _ rows: [(names: [String], allowed: UInt64, denied: UInt64)]) {
      guard !rows.isEmpty else { return }
      var table = TextTable(
        headings + ["queries/s", "denied/s", "denied"], nameColumns: headings.count)
      for row in rows.prefix(self.rows) {
        let all = row.allowed + row.denied
        table.add(
          row.names.map { $0.isEmpty ? "–" : visible($0) } + [
            rate(all), rate(row.denied), percentage(Int(row.denied), of: Int(all)),
          ])
      }
      lines += [""] + table.lines(for: terminal)
    }
    add(["tenant"], top.tenants.map { ([$0.tenant], $0.allowed, $0.denied) })
    add(["key", "of tenant"], top.keys.map { ([$0.key ?? "", $0.tenant], $0.allowed, $0.denied) })
    add(["limit that decided"], top.limits.map { ([$0.limit], $0.allowed, $0.denied) })
    return lines
  }

  /// A number per second, to one decimal below 100.
  static func rate(_ value: Double) -> String {
    if value >= 99.95 { return grouped(UInt64(min(value, 1e15).rounded())) }
    let tenths = Int((value * 10).rounded())
    if tenths == 0, value > 0 { return "<0.1" }
    return "\(tenths / 10).\(tenths % 10)"
  }
}
