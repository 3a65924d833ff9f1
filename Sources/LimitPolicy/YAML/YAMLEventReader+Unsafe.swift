// YAML events, straight from libyaml, which Yams carries with it.
//
// Yams' own trees cost too much here: a file of 100,000 tenants took `Yams.compose` 4.4 s and
// 311 MB, and its events 0.2 s. Yams also stops at the first duplicate key and gives it no place.
// So this file, the only one that touches libyaml's memory, hands out events as values, and
// `YAMLComposer` makes a flat tree of them. One reader belongs to one thread.

import CYaml

/// What stopped the reading of a YAML text.
struct YAMLProblem: Error {
  let position: Position
  let message: String
}

/// One step through a YAML text.
struct YAMLEvent {
  enum Kind {
    case streamStart, streamEnd, documentStart, documentEnd
    case alias, scalar, sequenceStart, sequenceEnd, mappingStart, mappingEnd
  }

  var kind: Kind
  var position: Position
  /// The name that a node is given (`&name`) or, for an alias, that it refers to (`*name`).
  var anchor: String?
  /// A tag that is written out (`!tag`).
  var tag: String?
  /// A scalar written without quotes.
  var isPlain = false
  /// Scalar: its place in the caller's text store.
  var text: Range<Int> = 0..<0
}

/// Reads a UTF-8 text event by event.
struct YAMLEventReader: ~Copyable {
  /// On the heap because libyaml keeps pointers into it.
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let input: UnsafeBufferPointer<UInt8>

  /// - Parameter input: valid UTF-8, without byte order mark; must outlive the reader.
  init(_ input: UnsafeBufferPointer<UInt8>) throws(YAMLProblem) {
    let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    parser.initialize(to: yaml_parser_t())
    guard yaml_parser_initialize(parser) == 1 else {
      parser.deallocate()
      throw YAMLProblem(position: .start, message: "there is not enough memory to read the file")
    }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, input.baseAddress, input.count)
    self.parser = parser
    self.input = input
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
  }

  /// The next event. A scalar's text is appended to `store`.
  mutating func next(storingTextIn store: inout [UInt8]) throws(YAMLProblem) -> YAMLEvent {
    var event = yaml_event_t()
    guard yaml_parser_parse(parser, &event) == 1 else { throw problem() }
    defer { yaml_event_delete(&event) }
    var result = YAMLEvent(
      kind: .streamEnd,
      position: Position(
        line: UInt32(event.start_mark.line + 1),
        column: UInt32(event.start_mark.column + 1)
      )
    )
    switch event.type {
    case YAML_STREAM_START_EVENT: result.kind = .streamStart
    case YAML_DOCUMENT_START_EVENT: result.kind = .documentStart
    case YAML_DOCUMENT_END_EVENT: result.kind = .documentEnd
    case YAML_SEQUENCE_END_EVENT: result.kind = .sequenceEnd
    case YAML_MAPPING_END_EVENT: result.kind = .mappingEnd
    case YAML_ALIAS_EVENT:
      result.kind = .alias
      result.anchor = string(event.data.alias.anchor)
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      result.kind = .scalar
      result.anchor = string(scalar.anchor)
      result.tag = string(scalar.tag)
      result.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
      let start = store.count
      store.append(contentsOf: UnsafeBufferPointer(start: scalar.value, count: scalar.length))
      result.text = start..<store.count
    case YAML_SEQUENCE_START_EVENT:
      result.kind = .sequenceStart
      result.anchor = string(event.data.sequence_start.anchor)
      result.tag = string(event.data.sequence_start.tag)
    case YAML_MAPPING_START_EVENT:
      result.kind = .mappingStart
      result.anchor = string(event.data.mapping_start.anchor)
      result.tag = string(event.data.mapping_start.tag)
    default: result.kind = .streamEnd
    }
    return result
  }

  private func string(_ text: UnsafePointer<UInt8>?) -> String? {
    text.map { String(cString: $0) }
  }

  /// What libyaml says about where it stopped.
  private func problem() -> YAMLProblem {
    let text = parser.pointee.problem.map { String(cString: $0) } ?? "the text ends unexpectedly"
    let context = parser.pointee.context.map { " " + String(cString: $0) } ?? ""
    switch parser.pointee.error {
    case YAML_MEMORY_ERROR:
      return YAMLProblem(
        position: .start,
        message: "there is not enough memory to read the file"
      )
    case YAML_READER_ERROR:
      // The only kind that comes with an offset in bytes instead of a place.
      return YAMLProblem(
        position: position(ofByte: Int(parser.pointee.problem_offset), in: input),
        message: "not valid YAML: \(text); remove the character, or write it as an escape in "
          + "double quotes"
      )
    default:
      let mark = parser.pointee.problem_mark
      return YAMLProblem(
        position: Position(line: UInt32(mark.line + 1), column: UInt32(mark.column + 1)),
        message: "not valid YAML: \(text)\(context); \(advice(for: text, at: Int(mark.index)))"
      )
    }
  }

  /// What to write instead, for the slips that policy files invite.
  private func advice(for problem: String, at index: Int) -> String {
    if problem.contains("did not find expected alphabetic or numeric character") {
      return "'*' and '&' have a meaning in YAML: quote a name that begins with one, as in \"*\""
    }
    if problem.contains("cannot start any token") {
      return "indent with spaces, not tabs, and quote text that begins with @, ` or %"
    }
    if problem.contains("expected ',' or") { return "separate with commas and close the bracket" }
    if problem.contains("mapping values are not allowed") || problem.contains("':'") {
      return "write 'name: value', and give all names of one mapping the same indentation"
    }
    return "check indentation, brackets and quotes here and just before"
  }
}

/// Line and column of a byte of a UTF-8 text.
func position(ofByte offset: Int, in text: UnsafeBufferPointer<UInt8>) -> Position {
  var position = Position.start
  for byte in text.prefix(offset) {
    if byte == UInt8(ascii: "\n") {
      position = Position(line: position.line + 1, column: 1)
    } else if byte & 0xC0 != 0x80 {
      position.column += 1
    }
  }
  return position
}
