// Usage as ArgumentParser has it is one line, however long. Pure functions.

import LimitConsole

/// Breaks the usage in a message into lines of the terminal's width.
enum UsageText {
  /// The message, its line `USAGE: …` or `Usage: …` broken between options, what follows indented.
  static func wrapped(_ message: String, width: Int = Terminal.standardOutput().width) -> String {
    message.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      guard line.lowercased().hasPrefix("usage: "), displayWidth(String(line)) > width else {
        return String(line)
      }
      var lines = [""]
      for (place, word) in words(of: line).enumerated() {
        let isFull = displayWidth(lines[lines.count - 1]) + 1 + displayWidth(word) > width
        if isFull { lines.append("        ") }
        lines[lines.count - 1] += (place == 0 || isFull ? "" : " ") + word
      }
      return lines.joined(separator: "\n")
    }.joined(separator: "\n")
  }

  /// Words, where what stands in brackets is one.
  private static func words(of line: Substring) -> [String] {
    var words = [""]
    var depth = 0
    for character in line {
      if character == " ", depth == 0 {
        words.append("")
        continue
      }
      if character == "[" { depth += 1 }
      if character == "]" { depth -= 1 }
      words[words.count - 1].append(character)
    }
    return words
  }
}
