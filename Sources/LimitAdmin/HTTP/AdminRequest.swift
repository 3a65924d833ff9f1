// One request, whole, with its path and query taken apart. A value, made on the event loop and read by
// the thread that answers.

import LimitAdminModel
import LimitEngine
import LimitRuntime
import NIOHTTP1

/// Who asks.
enum Caller: Sendable {
  /// A process of this host, as the kernel says.
  case peer(Peer)
  /// Whoever can open the metrics listener: no role at all.
  case anyone

  var peer: Peer? { if case .peer(let peer) = self { peer } else { nil } }
}

struct AdminRequest: Sendable {
  /// Parts of a query string that are looked at.
  private static let parametersMax = 16

  let method: HTTPMethod
  /// Percent-decoded.
  let path: [String]
  /// The first of each name.
  let parameters: [String: String]
  let body: [UInt8]

  /// - Throws: where the target is no path, or its escapes are none.
  init(_ head: HTTPRequestHead, body: [UInt8]) throws(Problem) {
    method = head.method
    self.body = body
    let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    guard let target = parts.first, target.hasPrefix("/") else {
      throw .badRequest("the request's target is a path, such as /v1/status")
    }
    var path: [String] = []
    for segment in target.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      path.append(try Self.decoded(segment))
    }
    self.path = path
    var parameters: [String: String] = [:]
    if parts.count == 2, !parts[1].isEmpty {
      let pairs = parts[1].split(separator: "&")
      guard pairs.count <= Self.parametersMax else {
        throw .badRequest("a query string has at most \(Self.parametersMax) parameters")
      }
      for pair in pairs {
        let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = try Self.decoded(halves[0])
        guard parameters[name] == nil else {
          throw .badRequest("the parameter '\(name.shown)' is given twice")
        }
        parameters[name] = try halves.count == 2 ? Self.decoded(halves[1]) : ""
      }
    }
    self.parameters = parameters
  }

  /// Text without percent escapes (RFC 3986).
  private static func decoded(_ text: Substring) throws(Problem) -> String {
    guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = rest.prefix(2)
      guard digits.count == 2, digits.allSatisfy(\.isHexDigit),
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
      else { throw .badRequest("a % is followed by two hexadecimal digits") }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .badRequest("escaped bytes are UTF-8")
    }
    return text
  }

  /// Refuses a parameter that the endpoint does not know.
  func refuseParameters(besides known: [String]) throws(Problem) {
    if let other = parameters.keys.first(where: { !known.contains($0) }) {
      let all = known.isEmpty ? "it takes none" : "it takes \(known.joined(separator: ", "))"
      throw .badRequest("there is no parameter '\(other.shown)' here; \(all)")
    }
  }

  /// A number among the parameters.
  func number(_ name: String, in range: ClosedRange<Int>, else usual: Int) throws(Problem) -> Int {
    guard let text = parameters[name] else { return usual }
    guard let number = Int(text), range.contains(number) else {
      throw .badRequest("\(name) is a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }
}

extension UInt8 {
  fileprivate var isHexDigit: Bool {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
      UInt8(ascii: "A")...UInt8(ascii: "F"):
      true
    default: false
    }
  }
}

extension String {
  /// The beginning of a text of somebody else's, without what could move a terminal's cursor.
  var shown: String {
    String(
      String.UnicodeScalarView(
        unicodeScalars.prefix(64).map { $0.isInvisibleControl ? "\u{FFFD}" : $0 }))
  }
}
