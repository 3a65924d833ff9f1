// `--format report`: what an admin wants to see first, on one or two screens.

import LimitConsole
import LimitEngine

/// Renders a summary for a terminal.
struct TextReport {
  let summary: ReplaySummary
  let terminal: Terminal

  init(_ summary: ReplaySummary, terminal: Terminal) {
    self.summary = summary
    self.terminal = terminal
  }

  /// The report, lines ended.
  var text: String {
    var lines = title
    if summary.tally.totals.rows == 0 {
      lines += ["", "  No rows."]
    } else if summary.otherTally != nil {
      lines += comparison
    } else {
      lines += totals + chart + tenants + limits + keys
    }
    lines += notes + failure
    return lines.map { $0 + "\n" }.joined()
  }

  func heading(_ text: String, _ remark: String = "") -> [String] {
    let heading = terminal.styled(text, .heading)
    return ["", remark.isEmpty ? heading : heading + "  " + terminal.styled(remark, .faint)]
  }

  private var title: [String] {
    let options = summary.options
    let files = options.traces.map { $0 == "-" ? "standard input" : visible($0) }
    let trace =
      files.count > 3
      ? "\(files[0]) and \(files.count - 1) more" : files.joined(separator: ", ")
    var lines = [terminal.styled("Replay of \(trace)", .heading)]
    if let other = options.other {
      lines += ["  under A  \(visible(options.config))", "        B  \(visible(other))"]
    } else {
      lines += ["  under    \(visible(options.config))"]
    }
    if let first = summary.tally.timeline.first {
      let (from, to) = (CalendarTime(first), CalendarTime(summary.tally.timeline.last))
      let until = from.date == to.date ? to.time : "\(to.date) \(to.time)"
      let length = durationText(summary.span)
      lines.append("  from     \(from.date) \(from.time) to \(until) UTC, \(length)")
    }
    for format in summary.formats { lines += wrapped("read as  \(visible(format))", style: nil) }
    if let live = options.live { lines += wrapped("decided  \(visible(live))", style: nil) }
    return lines
  }

  // MARK: One policy file

  private var totals: [String] {
    let (tally, counts) = (summary.tally, summary.tally.totals)
    var lines: [String] = []
    let width = grouped(counts.rows).count
    func add(_ name: String, _ count: Int, _ style: Style?, _ meaning: String = "") {
      let figure = grouped(count)
      let share = percentage(count, of: counts.rows)
      let label = name + String(repeating: " ", count: 10 - name.count)
      let blanks = String(repeating: " ", count: width - figure.count)
      let gap = String(repeating: " ", count: 8 - share.count)
      let named = count > 0 ? style.map { terminal.styled(label, $0) } ?? label : label
      let remark = meaning.isEmpty ? "" : "  " + terminal.styled(meaning, .faint)
      lines.append("  \(named)\(blanks)\(figure)\(gap)\(share)\(remark)")
    }
    add("admitted", counts.admitted, .admitted)
    add("denied", counts.denied, .refused, deniedParts(tally))
    add("never", counts.never, .never, counts.never > 0 ? "cost above what a limit can hold" : "")
    if counts.shadowDenied > 0 {
      add("shadow", counts.shadowDenied, nil, "a shadow limit would have denied")
    }
    if counts.beyond > 0 {
      let cost = counts.beyondCost == counts.beyond ? "" : ", cost \(grouped(counts.beyondCost))"
      add("beyond", counts.beyond, nil, "unlimited tenants beyond a limit\(cost)")
    }
    if counts.softThreshold > 0 {
      add("soft", counts.softThreshold, nil, "past a soft threshold")
    }
    if counts.overflow > 0 {
      add("overflow", counts.overflow, nil, "table full, a wider bucket used: raise --key-slots")
    }
    return heading("Totals", counted(counts.rows, "row")) + lines
  }

  private func deniedParts(_ tally: Tally) -> String {
    var parts: [String] = []
    if tally.blocked > 0 { parts.append("\(grouped(tally.blocked)) of blocked tenants") }
    if tally.unknownTenant > 0 {
      parts.append("\(grouped(tally.unknownTenant)) of unknown tenants")
    }
    return parts.joined(separator: ", ")
  }

  private var chart: [String] {
    let chart = Chart(summary.tally.timeline, width: terminal.width)
    return heading("Over time", "rows per \(chart.columnText), admitted above, refused below")
      + chart.lines(for: terminal)
  }

  private var tenants: [String] {
    let tally = summary.tally
    let hasCosts = tally.totals.admittedCost + tally.totals.refusedCost != tally.totals.rows
    var table = tenantTable(withCosts: hasCosts)
    if table.widthMin > terminal.width { table = tenantTable(withCosts: false) }
    return heading("Tenants", "most refused first") + table.lines(for: terminal)
      + more(tally.tenants.count - summary.options.top, "tenant")
  }

  private func tenantTable(withCosts: Bool) -> TextTable {
    let headings = ["tenant", "rows", "admitted", "denied", "never", "refused"]
    var table = TextTable(headings + (withCosts ? ["cost admitted"] : []) + [""])
    func add(_ name: String, _ counts: OutcomeCounts, _ remark: String) {
      let figures = [counts.rows, counts.admitted, counts.denied, counts.never].map { grouped($0) }
      let denied: Style? = counts.denied > 0 ? .refused : nil
      table.add(
        [name] + figures + [percentage(counts.refused, of: counts.rows)]
          + (withCosts ? [grouped(counts.admittedCost)] : []) + [remark],
        styles: [nil, nil, nil, denied, counts.never > 0 ? .never : nil]
      )
    }
    for tenant in summary.tally.tenantsByRefusals.prefix(summary.options.top) {
      add(nameText(tenant.name), tenant.counts, Self.remark(on: tenant))
    }
    if summary.tally.others.rows > 0 { add("(others)", summary.tally.others, "") }
    return table
  }

  private static func remark(on tenant: TenantTally) -> String {
    switch tenant.standing {
    case .blocked: "blocked"
    case .unknown: "unknown"
    case .unlimited:
      tenant.counts.beyond > 0
        ? "unlimited, \(grouped(tenant.counts.beyond)) beyond" : "unlimited"
    case .limited:
      tenant.counts.softThreshold > 0 ? "soft \(grouped(tenant.counts.softThreshold))" : ""
    }
  }

  private var limits: [String] {
    let limits = summary.tally.limits.filter { $0.rows > 0 }
    let hasShadows = limits.contains { $0.shadowDenied > 0 }
    let hasBeyond = limits.contains { $0.beyond > 0 }
    var table = TextTable(
      ["limit", "rows", "admitted", "denied", "never", "tightest"]
        + (hasShadows ? ["shadow"] : []) + (hasBeyond ? ["beyond"] : []))
    for limit in limits {
      table.add(
        [
          limit.name, grouped(limit.rows), grouped(limit.admitted), grouped(limit.denied),
          grouped(limit.never), grouped(limit.tightest),
        ] + (hasShadows ? [grouped(limit.shadowDenied)] : [])
          + (hasBeyond ? [grouped(limit.beyond)] : []),
        styles: [nil, nil, nil, limit.denied > 0 ? .refused : nil, limit.never > 0 ? .never : nil]
      )
    }
    guard !table.isEmpty else { return [] }
    return heading("Limits", "denied: by this limit; tightest: admitted with the least left here")
      + table.lines(for: terminal)
  }

  private var keys: [String] {
    let (sketch, top) = (summary.tally.refusedKeys, summary.options.top)
    guard sketch.count > 0 else { return [] }
    var table = TextTable(["tenant", "key", "refused"], nameColumns: 2)
    for entry in sketch.top(top) {
      let count = sketch.error == 0 ? grouped(entry.count) : "≥ " + grouped(entry.count)
      let key = entry.key.isEmpty ? "(no key)" : nameText(entry.key)
      table.add([nameText(entry.tenant), key, count])
    }
    let bound = "counts may be up to \(grouped(sketch.error)) too low"
    return heading("Keys refused most", sketch.error == 0 ? "" : bound)
      + table.lines(for: terminal) + (sketch.error == 0 ? more(sketch.count - top, "key") : [])
  }

  // MARK: Rest

  func more(_ count: Int, _ noun: String) -> [String] {
    count > 0 ? [terminal.styled("  … and \(counted(count, "more \(noun)"))", .faint)] : []
  }

  private var notes: [String] {
    var notes: [String] = []
    if summary.badRows > 0 { notes.append("\(counted(summary.badRows, "malformed row")) skipped.") }
    if summary.cutLines > 0 {
      notes.append(
        "\(counted(summary.cutLines, "line")) cut off at the end of a file, not decided.")
    }
    if !summary.concurrencyLimits.isEmpty {
      let names = summary.concurrencyLimits.joined(separator: ", ")
      notes.append(
        "A trace does not say how long work took: concurrency limits (\(names)) are looked at, "
          + "but nothing is held."
      )
    }
    return notes.isEmpty ? [] : [""] + notes.flatMap { wrapped($0) }
  }

  /// That the traces were not read to their end.
  private var failure: [String] {
    guard summary.failure != nil else { return [] }
    return ["", terminal.styled("  This is not all: an error ended the run here.", .refused)]
  }

  /// A paragraph in lines of the terminal's width.
  func wrapped(_ text: String, style: Style? = .faint) -> [String] {
    LimitConsole.wrapped(text, width: terminal.width - 2).map { line in
      guard let style else { return "  " + line }
      return terminal.styled("  " + line, style)
    }
  }

  func nameText(_ name: [UInt8]) -> String {
    let text = visible(String(decoding: name, as: UTF8.self))
    return name.count == Tally.nameBytesMax ? text + "…" : text
  }
}
