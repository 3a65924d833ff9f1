// A YAML document as a flat tree: records in one array, texts in another.
//
//     records  ┌─────────┬───────────────┬──────────┬─────────┬────────
//              │ mapping │ scalar "plan" │ scalar … │ mapping │ …
//              └────┬────┴──┬────▲───┬──┴──────▲───┴─────────┴────────
//                   └ first ┼────┘   └── next ─┘
//                           └─▶ texts: planprolimits…
//
// Immutable once composed. 20 bytes per node, so that a file of 100,000 tenants stays in tens of
// megabytes.

import LimitEngine

/// A composed document.
final class YAMLDocument {
  enum Kind: UInt8 { case scalar, sequence, mapping, alias }

  struct Record {
    var kind: Kind
    /// A scalar without quotes, which may stand for null or a Boolean.
    var isPlain: Bool
    var position: Position
    /// Scalar: where its text starts. Sequence, mapping: the first child, or `none`. Alias: what it
    /// stands for.
    var first: UInt32
    /// Scalar: the length of its text.
    var count: UInt32
    /// The next child of the same parent, or `none`. In a mapping, keys and values alternate.
    var next: UInt32
  }

  static let none = UInt32.max

  let records: [Record]
  let texts: [UInt8]

  init(records: [Record], texts: [UInt8]) {
    self.records = records
    self.texts = texts
  }

  func node(_ number: UInt32) -> YAMLNode { YAMLNode(document: self, place: number) }
}

/// One node of a document. An alias is seen as what it stands for, where that is written.
struct YAMLNode {
  private let document: YAMLDocument
  /// Its own place among its siblings.
  private let place: UInt32
  private let record: YAMLDocument.Record

  init(document: YAMLDocument, place: UInt32) {
    self.document = document
    self.place = place
    let own = document.records[Int(place)]
    record = own.kind == .alias ? document.records[Int(own.first)] : own
  }

  var kind: YAMLDocument.Kind { record.kind }
  var position: Position { record.position }

  /// A scalar's text; `nil` for anything else, and for what YAML takes for null.
  var text: String? {
    guard record.kind == .scalar, !isNull else { return nil }
    return rawText
  }

  /// An unquoted `true` or `false`.
  var bool: Bool? {
    guard record.kind == .scalar, record.isPlain else { return nil }
    return rawText == "true" ? true : rawText == "false" ? false : nil
  }

  private var rawText: String {
    let start = Int(record.first)
    return String(decoding: document.texts[start..<start + Int(record.count)], as: UTF8.self)
  }

  /// Nothing written, `~` or `null`, without quotes.
  private var isNull: Bool {
    guard record.isPlain, record.count <= 4 else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(rawText)
  }

  /// What it is, for messages.
  var found: String {
    switch kind {
    case .mapping: return "a mapping"
    case .sequence: return "a list"
    case .scalar, .alias:
      guard let text else { return "nothing" }
      return quoted(text)
    }
  }

  /// The items of a sequence.
  var items: some Sequence<YAMLNode> {
    let document = document
    return sequence(state: record.kind == .sequence ? record.first : YAMLDocument.none) { next in
      guard next != YAMLDocument.none else { return nil }
      let node = document.node(next)
      next = document.records[Int(next)].next
      return node
    }
  }

  /// The keys and values of a mapping.
  var entries: some Sequence<(key: YAMLNode, value: YAMLNode)> {
    let document = document
    return sequence(state: record.kind == .mapping ? record.first : YAMLDocument.none) { next in
      guard next != YAMLDocument.none else { return nil }
      let value = document.records[Int(next)].next
      let entry = (key: document.node(next), value: document.node(value))
      next = document.records[Int(value)].next
      return entry
    }
  }
}

/// A text in quotes, cut where it is long, with what could upset a terminal escaped.
func quoted(_ text: String) -> String {
  let isLong = text.unicodeScalars.count > 64
  let shown = text.unicodeScalars.prefix(isLong ? 60 : 64)
  return "'" + shown.map { $0.isInvisibleControl ? $0.escaped(asASCII: true) : String($0) }.joined()
    + (isLong ? "…'" : "'")
}
