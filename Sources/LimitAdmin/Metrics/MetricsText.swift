// The text format of Prometheus (exposition formats, version 0.0.4). A value, written front to back.

/// Writes families of series.
struct MetricsText {
  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  typealias Label = (name: String, value: String)

  enum Kind: String { case counter, gauge, histogram }

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

  /// Adds the series of a histogram of durations.
  ///
  /// - Parameters:
  ///   - bounds: of the buckets, in ns, ascending.
  ///   - counts: of each bucket by itself, and one more for what is above all bounds.
  ///   - sum: in ns.
  mutating func add(buckets bounds: [UInt64], _ counts: [UInt64], sum: UInt64) {
    var total: UInt64 = 0
    for (place, count) in counts.enumerated() {
      total &+= count
      let bound = place < bounds.count ? "\(Double(bounds[place]) / 1e9)" : "+Inf"
      addName([("le", bound)], suffix: "_bucket")
      text += "\(total)\n"
    }
    addName([], suffix: "_sum")
    text += "\(Double(sum) / 1e9)\n"
    addName([], suffix: "_count")
    text += "\(total)\n"
  }

  private mutating func addName(_ labels: [Label], suffix: String = "") {
    text += family
    text += suffix
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
