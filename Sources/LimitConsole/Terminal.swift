// What is known of the place that output goes to.

import Glibc

/// Width and colours.
package struct Terminal {
  /// Columns to draw in, 60 ... 200.
  package var width = 80
  package var hasColour = false

  package init(width: Int = 80, hasColour: Bool = false) {
    self.width = min(max(width, 60), 200)
    self.hasColour = hasColour
  }

  /// Standard output: COLUMNS if it is set, else what the terminal says, else 80 columns. Colours
  /// on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is a dumb one.
  package static func standardOutput() -> Terminal {
    let isTerminal = isatty(STDOUT_FILENO) == 1
    let colour = isTerminal && (variable("NO_COLOR") ?? "").isEmpty && variable("TERM") != "dumb"
    return Terminal(width: columns(isTerminal) ?? 80, hasColour: colour)
  }

  private static func columns(_ isTerminal: Bool) -> Int? {
    if let columns = variable("COLUMNS").flatMap({ Int($0) }), columns > 0 { return columns }
    guard isTerminal else { return nil }
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }
}

/// How text is set off, where there are colours.
package enum Style: String {
  case heading = "1"
  case faint = "2"
  case admitted = "32"
  case refused = "31"
  case never = "35"
}

extension Terminal {
  package func styled(_ text: String, _ style: Style) -> String {
    hasColour && !text.isEmpty ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }
}
