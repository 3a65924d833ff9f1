// The report of two policy files side by side: what changes, for whom, by which limit, and when.

import LimitConsole

extension TextReport {
  var comparison: [String] {
    guard let other = summary.otherTally else { return [] }
    let (mine, theirs) = (summary.tally.totals, other.totals)
    var table = TextTable(["rows", "under A", "share", "under B", "share", "B − A"])
    func add(_ name: String, _ part: (OutcomeCounts) -> Int) {
      let (left, right) = (part(mine), part(theirs))
      table.add([
        name, grouped(left), percentage(left, of: mine.rows), grouped(right),
        percentage(right, of: theirs.rows), Self.signed(right - left),
      ])
    }
    add("admitted") { $0.admitted }
    add("denied") { $0.denied }
    add("never") { $0.never }
    let shares = (mine.admittedCost + mine.refusedCost, theirs.admittedCost + theirs.refusedCost)
    if shares.0 != mine.rows {
      table.add([
        "cost admitted", grouped(mine.admittedCost), Self.share(mine.admittedCost, of: shares.0),
        grouped(theirs.admittedCost), Self.share(theirs.admittedCost, of: shares.1),
        Self.signed(Int(clamping: Int128(theirs.admittedCost) - Int128(mine.admittedCost))),
      ])
    }
    return heading("Totals", counted(mine.rows, "row")) + table.lines(for: terminal) + changes
      + causes
  }

  private var changes: [String] {
    let (all, top) = (summary.changes, summary.options.top)
    let better = all.count { $0.change > 0 }
    let worse = all.count { $0.change < 0 }
    var table = TextTable(["tenant", "rows", "admitted A", "admitted B", "B − A", ""])
    for change in all.prefix(top) where change.change != 0 {
      table.add(
        [
          nameText(change.name), grouped(change.rows), grouped(change.admitted),
          grouped(change.admittedByOther), Self.signed(change.change),
          change.change > 0 ? "better off" : "worse off",
        ],
        styles: [nil, nil, nil, nil, nil, change.change > 0 ? .admitted : .refused]
      )
    }
    let remark =
      "under B: \(grouped(better)) better off, \(grouped(worse)) worse off, "
      + "\(grouped(all.count - better - worse)) as before"
    return heading("Tenants", remark) + (table.isEmpty ? [] : table.lines(for: terminal))
      + more(better + worse - top, "tenant")
  }

  private static func signed(_ number: Int) -> String {
    number > 0 ? "+\(grouped(number))" : number < 0 ? "−\(grouped(number.magnitude))" : "0"
  }

  /// Of costs, which may be beyond what counts of rows are.
  private static func share(_ part: UInt128, of whole: UInt128) -> String {
    let shift = max(0, 128 - whole.leadingZeroBitCount - 40)
    return percentage(Int(part >> UInt128(shift)), of: Int(whole >> UInt128(shift)))
  }

  /// Which limits make the difference, and when.
  private var causes: [String] {
    guard let comparison = summary.comparison, !comparison.limits.isEmpty else { return [] }
    var table = TextTable(["limit", "B admits", "cost", "B refuses", "cost"])
    for (name, change) in comparison.limits {
      table.add(
        [
          name, grouped(change.gained), grouped(change.gainedCost), grouped(change.lost),
          grouped(change.lostCost),
        ],
        styles: [nil, change.gained > 0 ? .admitted : nil, nil, change.lost > 0 ? .refused : nil])
    }
    let chart = Chart(comparison.timeline, width: terminal.width)
    return heading("Limits", "that refuse under A what B admits, or under B what A admits")
      + table.lines(for: terminal)
      + heading("Over time", "rows per \(chart.columnText), only B admits above, only A below")
      + chart.lines(for: terminal)
  }
}
