// Tables for a terminal: names to the left, figures to the right, aligned and cut to the width.

/// Lays out rows of text. The first column is a name; it gives way where the width is short.
package struct TextTable {
  /// Names are not cut shorter than this.
  private static let nameWidthMin = 12

  private let headings: [String]
  /// How many leading columns are names, aligned left.
  private let nameColumns: Int
  private var rows: [(cells: [String], styles: [Style?])] = []

  package init(_ headings: [String], nameColumns: Int = 1) {
    self.headings = headings
    self.nameColumns = nameColumns
  }

  package mutating func add(_ cells: [String], styles: [Style?] = []) {
    precondition(cells.count == headings.count, "a cell for every heading")
    rows.append((cells, styles))
  }

  /// The least columns that the table takes.
  package var widthMin: Int {
    let widths = headings.indices.map { column in
      let width = max(
        displayWidth(headings[column]), rows.map { displayWidth($0.cells[column]) }.max() ?? 0)
      return column < nameColumns ? min(width, Self.nameWidthMin) : width
    }
    return widths.reduce(0, +) + 2 * widths.count
  }

  package var isEmpty: Bool { rows.isEmpty }

  package func lines(for terminal: Terminal) -> [String] {
    let widths = columnWidths(terminal.width)
    var lines = [
      terminal.styled("  " + line(headings, widths) { text, _ in text }, .faint)
    ]
    for row in rows {
      lines.append(
        "  "
          + line(row.cells, widths) { text, column in
            guard column < row.styles.count, let style = row.styles[column] else { return text }
            return terminal.styled(text, style)
          }
      )
    }
    return lines
  }

  private func columnWidths(_ total: Int) -> [Int] {
    var widths = headings.indices.map { column in
      max(displayWidth(headings[column]), rows.map { displayWidth($0.cells[column]) }.max() ?? 0)
    }
    var excess = 2 + widths.reduce(0, +) + 2 * (widths.count - 1) - total
    // The widest name gives way first, down to a width that still tells names apart.
    while excess > 0 {
      let names = (0..<nameColumns).filter { widths[$0] > Self.nameWidthMin }
      guard let widest = names.max(by: { widths[$0] < widths[$1] }) else { break }
      widths[widest] -= 1
      excess -= 1
    }
    return widths
  }

  private func line(
    _ cells: [String],
    _ widths: [Int],
    style: (String, Int) -> String
  ) -> String {
    var parts: [String] = []
    for (column, cell) in cells.enumerated() {
      let text = cut(cell, to: widths[column])
      let blank = String(repeating: " ", count: widths[column] - displayWidth(text))
      let styled = style(text, column)
      let isLast = column == cells.count - 1
      parts.append(column < nameColumns ? styled + (isLast ? "" : blank) : blank + styled)
    }
    var line = parts.joined(separator: "  ")
    while line.last == " " { line.removeLast() }
    return line
  }
}
