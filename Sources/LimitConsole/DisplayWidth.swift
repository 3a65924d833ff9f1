// How many columns of a terminal text takes: two for CJK and emoji, none for marks that combine.
// Pure functions. Source: Unicode 15.1, EastAsianWidth.txt (W and F) and UTS 51.

/// Columns of a terminal that `text` takes.
package func displayWidth(_ text: String) -> Int {
  if text.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) { return text.utf8.count }
  return text.reduce(0) { $0 + displayWidth($1) }
}

/// Columns of a terminal that a character takes.
package func displayWidth(_ character: Character) -> Int {
  var width = 0
  for scalar in character.unicodeScalars {
    // The selector asks for the picture of what else would be drawn as text.
    if scalar.value == 0xFE0F { return 2 }
    width = max(width, displayWidth(scalar))
  }
  return width
}

private func displayWidth(_ scalar: Unicode.Scalar) -> Int {
  if scalar.isASCII { return 0x20...0x7E ~= scalar.value ? 1 : 0 }
  switch scalar.properties.generalCategory {
  case .nonspacingMark, .enclosingMark, .format, .control: return 0
  default: break
  }
  if scalar.properties.isEmojiPresentation { return 2 }
  return wideRanges.contains { $0.contains(scalar.value) } ? 2 : 1
}

/// Scalars of two columns that are no emoji.
private let wideRanges: [ClosedRange<UInt32>] = [
  0x1100...0x115F, 0x2329...0x232A, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF,
  0x4E00...0x9FFF, 0xA000...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF,
  0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x16FE0...0x18CFF,
  0x1AFF0...0x1B2FF, 0x1F200...0x1F320, 0x20000...0x3FFFD,
]

/// `text` in at most `width` columns, with `…` where it was cut.
package func cut(_ text: String, to width: Int) -> String {
  guard displayWidth(text) > width else { return text }
  var kept = ""
  var used = 1
  for character in text {
    used += displayWidth(character)
    if used > width { break }
    kept.append(character)
  }
  return kept + "…"
}

/// `text` with blanks behind it, `width` columns in all.
package func padded(_ text: String, to width: Int) -> String {
  text + String(repeating: " ", count: max(0, width - displayWidth(text)))
}

/// All rows' cells but the last of each padded to the width of their column, two blanks apart. A last
/// cell makes no column wider.
package func aligned(_ rows: [[String]]) -> [String] {
  let columns = rows.map(\.count).max() ?? 0
  let widths = (0..<columns).map { column in
    rows.map { $0.count > column + 1 ? displayWidth($0[column]) : 0 }.max() ?? 0
  }
  return rows.map { row in
    row.enumerated().map { column, cell in
      column == row.count - 1 ? cell : padded(cell, to: widths[column] + 2)
    }.joined()
  }
}

/// `text` in lines of at most `width` columns, broken between words; a longer word has a line of its own.
package func wrapped(_ text: String, width: Int) -> [String] {
  var lines = [""]
  for word in text.split(separator: " ", omittingEmptySubsequences: false).map(String.init) {
    let used = displayWidth(lines[lines.count - 1])
    if used > 0, used + 1 + displayWidth(word) > width { lines.append("") }
    lines[lines.count - 1] += (lines[lines.count - 1].isEmpty ? "" : " ") + word
  }
  return lines
}
