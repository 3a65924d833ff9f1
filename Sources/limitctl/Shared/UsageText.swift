// Usage, and the help of one argument, are one line of ArgumentParser's, however long. Pure functions.

import LimitConsole

/// Breaks them into lines of the terminal's width.
enum UsageText {
  /// The message, its lines `USAGE: …`, `Usage: …` and `Help: …` broken between words or options, what
  /// follows indented.
  static func wrapped(_ message: String, width: Int = Terminal.standardOutput().width) -> String {
    message.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      guard isWrapped(line), displayWidth(String(line)) > width else {
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

  private static func isWrapped(_ line: Substring) -> Bool {
    let start = line.prefix(6).lowercased()
    return start == "usage:" || start == "help: "
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
