// The text format of Prometheus (exposition formats, version 0.0.4). A value, written front to back.

/// Writes families of series.
struct MetricsText {
  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  typealias Label = (name: String, value: String)

  enum Kind: String { case counter, gauge }

  private(set) var text = ""
  private var family = ""

  /// Begins a family: what follows are its series.
  ///
  /// - Parameter name: with its unit, and `_total` where it counts.
  mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
    family = name
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
  }

  mutating func add(_ value: some FixedWidthInteger, _ labels: [Label] = []) {
    addName(labels)
    text += "\(value)\n"
  }

  mutating func add(seconds: Double) {
    addName([])
    text += "\(seconds)\n"
  }

  private mutating func addName(_ labels: [Label]) {
    text += family
    if !labels.isEmpty {
      text += "{"
      for (place, label) in labels.enumerated() {
        if place > 0 { text += "," }
        text += label.name
        text += "=\""
        addEscaped(label.value)
        text += "\""
      }
      text += "}"
    }
    text += " "
  }

  private mutating func addEscaped(_ value: String) {
    let isPlain = value.utf8.allSatisfy { $0 != 0x22 && $0 != 0x5C && $0 != 0x0A }
    if isPlain {
      text += value
      return
    }
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      default: text.unicodeScalars.append(scalar)
      }
    }
  }
}
