// The chart over time: one panel for what was admitted, one below it for what was refused, on one
// scale, so that their heights can be compared.

import LimitConsole

/// Draws a timeline in block characters.
struct Chart {
  /// Lines of the higher panel.
  static let height = 8

  private let admitted: [Int]
  private let refused: [Int]
  private let width: UInt64
  private let start: UInt64
  private let cellsPerColumn: Int
  private let unitsPerEighth: Double
  private let labelWidth: Int

  /// - Parameter width: the columns of the terminal.
  init(_ timeline: Timeline, width total: Int) {
    let peakGuess = timeline.bins.reduce(0) { $0 + $1.admitted + $1.refused }
    let room = max(10, total - grouped(peakGuess).count - 5)
    let length = Self.columnLength(timeline, columnsMax: room)
    let (bins, first) = timeline.merged(into: length)
    admitted = bins.map(\.admitted)
    refused = bins.map(\.refused)
    self.width = length
    start = first * length
    cellsPerColumn = min(8, max(1, room / max(1, bins.count)))
    let peak = max(admitted.max() ?? 0, refused.max() ?? 0, 1)
    unitsPerEighth = Double(peak) / Double(Self.height * 8)
    labelWidth = max(4, grouped(peak).count)
  }

  /// How much time a column stands for, in words.
  var columnText: String { durationText(width) }

  func lines(for terminal: Terminal) -> [String] {
    panel(admitted, .admitted, terminal) + axis(isLast: false)
      + panel(refused, .refused, terminal) + axis(isLast: true) + timeLabels()
  }

  /// Round lengths of time, in seconds where 1 is a second.
  private static let roundLengths: [UInt64] = {
    let second: UInt64 = 1_000_000_000
    let parts = [1, 2, 5, 10, 20, 50, 100, 200, 500].map { $0 * (second / 1000) }
    let seconds = [1, 2, 5, 10, 15, 20, 30].map { $0 * second }
    let minutes = [1, 2, 3, 5, 10, 15, 20, 30].map { $0 * 60 * second }
    let hours = [1, 2, 3, 4, 6, 8, 12].map { $0 * 3600 * second }
    return parts + seconds + minutes + hours
  }()

  /// The shortest round length with which the timeline fits into `columnsMax` columns.
  private static func columnLength(_ timeline: Timeline, columnsMax: Int) -> UInt64 {
    let from = timeline.firstBin * timeline.width
    let to = from + UInt64(max(1, timeline.bins.count)) * timeline.width - 1
    func fits(_ length: UInt64) -> Bool {
      length % timeline.width == 0 && to / length - from / length < UInt64(columnsMax)
    }
    if let length = roundLengths.first(where: fits) { return length }
    var length = max(timeline.width, 86_400_000_000_000)
    while !fits(length) { length += length }
    return length
  }

  private func panel(_ counts: [Int], _ style: Style, _ terminal: Terminal) -> [String] {
    let eighths = counts.map { count in
      count == 0 ? 0 : max(1, Int((Double(count) / unitsPerEighth).rounded()))
    }
    let height = max(1, ((eighths.max() ?? 0) + 7) / 8)
    return (0..<height).map { line in
      let below = (height - 1 - line) * 8
      var cells = ""
      for value in eighths {
        let part = min(max(value - below, 0), 8)
        let block: Character = part == 0 ? " " : Blocks.columns[part - 1]
        cells += String(repeating: block, count: cellsPerColumn)
      }
      while cells.last == " " { cells.removeLast() }
      let label = line == 0 ? grouped(counts.max() ?? 0) : ""
      let edge = line == 0 ? "┤" : "│"
      return "  \(padded(label)) \(edge)\(terminal.styled(cells, style))"
    }
  }

  private func axis(isLast: Bool) -> [String] {
    let line = String(repeating: "─", count: admitted.count * cellsPerColumn)
    return ["  \(padded("0")) \(isLast ? "└" : "├")\(line)"]
  }

  /// The times at which some of the columns begin, as many as fit.
  private func timeLabels() -> [String] {
    let showsDate = width * UInt64(admitted.count) > 86_400_000_000_000
    let showsSeconds = width % 60_000_000_000 != 0
    func label(_ column: Int) -> String {
      let time = CalendarTime(start + UInt64(column) * width)
      let clock = showsSeconds ? time.time : String(time.time.dropLast(3))
      return showsDate ? "\(time.date.dropFirst(5)) \(clock)" : clock
    }
    let cells = admitted.count * cellsPerColumn
    let labelLength = label(0).count
    // A label every so many columns, at least two blanks apart.
    let step = (labelLength + 6 + cellsPerColumn - 1) / cellsPerColumn
    var text = ""
    var column = 0
    while column < admitted.count {
      let place = column * cellsPerColumn
      if place > 0, place + labelLength > cells { break }
      text += String(repeating: " ", count: place - text.count) + label(column)
      column += step
    }
    return [String(repeating: " ", count: labelWidth + 4) + text]
  }

  private func padded(_ label: String) -> String {
    String(repeating: " ", count: max(0, labelWidth - label.count)) + label
  }
}
