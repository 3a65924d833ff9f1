// Records of comma-separated values (RFC 4180), streamed: quoted fields may hold commas, doubled
// quotes and line breaks; lines end with LF or CR LF; blank lines are no records.
//
// The packages for CSV in Swift hold a whole file in memory, and a trace may not fit.

/// Reads one record after another. One thread uses a reader.
struct CSVReader: ~Copyable {
  /// The longest record: 1 MiB of text. A quote that is never closed would else swallow the file.
  static let recordLengthMax = 1 << 20

  private var input: ByteReader
  /// The fields of the current record, unquoted, one after another.
  private(set) var text: [UInt8] = []
  /// Where each field ends in `text`.
  private(set) var ends: [Int] = []
  /// The line that the current record begins on, from 1.
  private(set) var line = 0
  private var nextLine = 1
  /// Whether the file ends within the current record's line.
  private(set) var isCut = false
  private var isQuoted = false

  private enum Ending { case field, record }

  init(_ input: consuming ByteReader) { self.input = input }

  var name: String { input.name }
  var bytesRead: Int { input.bytesRead }

  /// The text of a field of the current record.
  func field(_ index: Int) -> ArraySlice<UInt8> {
    text[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
  }

  /// Reads the next record, `false` at the end. After `malformed` the next call goes on with the
  /// line behind the fault.
  mutating func next() throws(TraceError) -> Bool {
    repeat {
      text.removeAll(keepingCapacity: true)
      ends.removeAll(keepingCapacity: true)
      isQuoted = false
      line = nextLine
      isCut = true
      guard try input.peek() != nil else { return false }
      while try readField() == .field {}
    } while text.isEmpty && ends.count == 1 && !isQuoted
    return true
  }

  private mutating func readField() throws(TraceError) -> Ending {
    let ending = try input.peek() == Ascii.quote ? readQuoted() : readPlain()
    ends.append(text.count)
    return ending
  }

  private mutating func readPlain() throws(TraceError) -> Ending {
    let start = text.count
    while true {
      _ = try input.move(to: &text) {
        $0 == Ascii.comma || $0 == Ascii.lineFeed || $0 == Ascii.quote
      }
      try checkLength()
      switch try input.peek() {
      case Ascii.comma:
        input.advance()
        return .field
      case Ascii.lineFeed:
        input.advance()
        nextLine += 1
        isCut = false
        dropCarriageReturn(from: start)
        return .record
      case nil:
        dropCarriageReturn(from: start)
        return .record
      case Ascii.quote:
        throw try malformed(
          "a quote inside a field that does not begin with one; "
            + "quote the whole field and double the quotes in it"
        )
      default:
        continue
      }
    }
  }

  private mutating func readQuoted() throws(TraceError) -> Ending {
    isQuoted = true
    input.advance()
    while true {
      _ = try input.move(to: &text) { $0 == Ascii.quote || $0 == Ascii.lineFeed }
      try checkLength()
      switch try input.peek() {
      case Ascii.lineFeed:
        input.advance()
        nextLine += 1
        text.append(Ascii.lineFeed)
      case Ascii.quote:
        input.advance()
        guard try input.peek() == Ascii.quote else { return try endQuoted() }
        input.advance()
        text.append(Ascii.quote)
      case nil:
        throw try malformed("a quote opens and is never closed")
      default:
        continue
      }
    }
  }

  /// What follows a closing quote.
  private mutating func endQuoted() throws(TraceError) -> Ending {
    var next = try input.peek()
    if next == Ascii.carriageReturn {
      input.advance()
      next = try input.peek()
      if next == Ascii.comma { next = Ascii.carriageReturn }
    }
    switch next {
    case Ascii.comma:
      input.advance()
      return .field
    case Ascii.lineFeed:
      input.advance()
      nextLine += 1
      isCut = false
      return .record
    case nil:
      return .record
    default:
      throw try malformed(
        "text behind a closing quote; a comma or the end of the line belongs there"
      )
    }
  }

  private mutating func dropCarriageReturn(from start: Int) {
    if text.count > start, text.last == Ascii.carriageReturn { text.removeLast() }
  }

  private mutating func checkLength() throws(TraceError) {
    guard text.count > Self.recordLengthMax else { return }
    throw try malformed("a record of more than 1 MiB; is a quote not closed?")
  }

  /// Goes to the next line and makes the error. The line is that of the record's beginning.
  private mutating func malformed(_ what: String) throws(TraceError) -> TraceError {
    isCut = try !input.skipLine()
    nextLine += 1
    text.removeAll(keepingCapacity: false)
    return .malformed(file: name, line: line, what: what)
  }
}
