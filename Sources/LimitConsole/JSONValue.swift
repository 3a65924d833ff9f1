// A JSON document to be written: members in order, numbers exact.

/// A value of a JSON document.
package indirect enum JSONValue {
  case null
  case number(Int)
  case wideNumber(UInt128)
  /// Nanoseconds, written as seconds with as many decimals as are needed.
  case seconds(UInt64)
  /// Must be finite. Written so that it reads back the same.
  case real(Double)
  case boolean(Bool)
  case string(String)
  /// Text of a trace; what is not UTF-8 in it becomes U+FFFD.
  case bytes([UInt8])
  case array([JSONValue])
  case object([(String, JSONValue)])

  /// The value over several lines; elements of arrays on a line each.
  package var text: String {
    var text = ""
    write(to: &text, depth: 0, isInline: false)
    return text
  }

  private func write(to text: inout String, depth: Int, isInline: Bool) {
    switch self {
    case .null: text += "null"
    case .number(let number): text += String(number)
    case .wideNumber(let number): text += String(number)
    case .seconds(let nanoseconds): text += LimitConsole.seconds(nanoseconds)
    case .real(let number): text += "\(number)"
    case .boolean(let isTrue): text += isTrue ? "true" : "false"
    case .string(let string): Self.writeQuoted(string, to: &text)
    case .bytes(let bytes): Self.writeQuoted(String(decoding: bytes, as: UTF8.self), to: &text)
    case .array(let values):
      Self.writeList("[", "]", values, &text, depth, isInline) { value, text in
        value.write(to: &text, depth: depth + 1, isInline: true)
      }
    case .object(let members):
      Self.writeList("{", "}", members, &text, depth, isInline) { member, text in
        Self.writeQuoted(member.0, to: &text)
        text += ": "
        member.1.write(to: &text, depth: depth + 1, isInline: isInline)
      }
    }
  }

  private static func writeList<Element>(
    _ open: String,
    _ close: String,
    _ elements: [Element],
    _ text: inout String,
    _ depth: Int,
    _ isInline: Bool,
    _ write: (Element, inout String) -> Void
  ) {
    let indentation = isInline ? "" : "\n" + String(repeating: "  ", count: depth + 1)
    text += open
    for (place, element) in elements.enumerated() {
      if place > 0 { text += isInline ? ", " : "," }
      text += indentation
      write(element, &text)
    }
    if !isInline, !elements.isEmpty { text += "\n" + String(repeating: "  ", count: depth) }
    text += close
  }

  private static func writeQuoted(_ string: String, to text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
