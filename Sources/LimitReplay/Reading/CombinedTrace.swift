// Traces from access logs in the combined format of Apache and nginx:
//
//     host ident user [17/May/2015:10:05:03 +0000] "request" status bytes "referer" "agent"
//
// Logs hold what clients sent, so only the fields that a run needs are looked at: a cut line or a
// request that is no HTTP is a row like any other while its time, tenant and key can be read.

/// Where the combined format's rows get a name from.
package enum LogField: Hashable {
  case host, user, path
}

/// Reads the rows of one access log. One thread uses a reader.
package struct CombinedTrace: RowReader, ~Copyable {
  /// How a line becomes a row.
  package struct Mapping: Hashable {
    package var policy: String
    /// `nil`: all rows are of `tenantConstant`.
    package var tenant: LogField?
    package var tenantConstant: String
    package var key: LogField

    package init(
      policy: String, tenant: LogField?, tenantConstant: String = "", key: LogField
    ) {
      self.policy = policy
      self.tenant = tenant
      self.tenantConstant = tenantConstant
      self.key = key
    }
  }

  /// The longest line: 1 MiB.
  static let lineLengthMax = 1 << 20

  private static let expectation =
    "a line in combined format is: host ident user [time] \"request\" status bytes …"

  private var input: ByteReader
  private let mapping: Mapping
  private let policy: ArraySlice<UInt8>
  private let tenantConstant: ArraySlice<UInt8>
  private var line: [UInt8] = []
  private var lineNumber = 0

  var name: String { input.name }
  var bytesRead: Int { input.bytesRead }

  init(_ input: consuming ByteReader, mapping: Mapping) {
    self.input = input
    self.mapping = mapping
    policy = ArraySlice(mapping.policy.utf8)
    tenantConstant = ArraySlice(mapping.tenantConstant.utf8)
  }

  mutating func next(into row: inout TraceRow) throws(TraceError) -> Bool {
    repeat {
      guard try readLine() else { return false }
    } while line.isEmpty
    row.line = lineNumber
    do throws(Malformed) {
      try fill(&row)
    } catch {
      throw .malformed(file: name, line: lineNumber, what: error.what)
    }
    return true
  }

  /// Reads a line without its end. `false` at the end of the file.
  private mutating func readLine() throws(TraceError) -> Bool {
    line.removeAll(keepingCapacity: true)
    guard try input.peek() != nil else { return false }
    lineNumber += 1
    while try input.peek() != nil {
      _ = try input.move(to: &line) { $0 == Ascii.lineFeed }
      guard line.count <= Self.lineLengthMax else {
        try input.skipLine()
        line.removeAll(keepingCapacity: false)
        throw .malformed(file: name, line: lineNumber, what: "a line of more than 1 MiB")
      }
      if try input.peek() == Ascii.lineFeed {
        input.advance()
        break
      }
    }
    if line.last == Ascii.carriageReturn { line.removeLast() }
    return true
  }

  private func fill(_ row: inout TraceRow) throws(Malformed) {
    var cursor = ByteCursor(line, 0..<line.count)
    guard let host = word(&cursor), word(&cursor) != nil, let bracket = timeBracket(from: cursor),
      let close = line[bracket...].firstIndex(of: UInt8(ascii: "]"))
    else { throw Malformed("no time in brackets; \(Self.expectation)") }
    guard !host.isEmpty, cursor.position < bracket - 1 else {
      throw Malformed("no host or user; \(Self.expectation)")
    }
    let user = cursor.position..<bracket - 1
    row.time = try TraceTime.parseLogTime(line, bracket + 1..<close)
    row.cost = 1
    let fields = Fields(host: host, user: user, afterTime: close + 1)
    row.setText(
      tenant: try mapping.tenant.map { (field) throws(Malformed) in try text(of: field, fields) }
        ?? tenantConstant,
      policy: policy,
      key: try text(of: mapping.key, fields)
    )
  }

  private struct Fields {
    var host: Range<Int>
    var user: Range<Int>
    var afterTime: Int
  }

  private func text(of field: LogField, _ fields: Fields) throws(Malformed) -> ArraySlice<UInt8> {
    switch field {
    case .host: line[fields.host]
    case .user: line[fields.user]
    case .path: try path(from: fields.afterTime)
    }
  }

  /// A run of bytes other than spaces, and the space behind it.
  private func word(_ cursor: inout ByteCursor) -> Range<Int>? {
    let start = cursor.position
    while let byte = cursor.next, byte != Ascii.space { cursor.advance() }
    let end = cursor.position
    return cursor.take(Ascii.space) ? start..<end : nil
  }

  /// Where the time's bracket is. User names may hold spaces, so it is looked for by its
  /// surroundings: ` [dd/`.
  private func timeBracket(from cursor: ByteCursor) -> Int? {
    var place = cursor.position
    while place + 4 < line.count {
      if line[place] == UInt8(ascii: "["), line[place - 1] == Ascii.space,
        line[place + 3] == UInt8(ascii: "/")
      {
        return place
      }
      // A quote begins the request: behind it a client could write a time of its own choosing.
      if line[place] == Ascii.quote { return nil }
      place += 1
    }
    return nil
  }

  /// The path of the request, without its query. A request that is no HTTP is its own path.
  private func path(from start: Int) throws(Malformed) -> ArraySlice<UInt8> {
    var place = start
    while place < line.count, line[place] == Ascii.space { place += 1 }
    guard place < line.count, line[place] == Ascii.quote else {
      throw Malformed("no request in quotes behind the time; \(Self.expectation)")
    }
    let request = line[(place + 1)..<endOfQuoted(from: place + 1)]
    guard let space = request.firstIndex(of: Ascii.space) else { return request }
    let target = request[(space + 1)...].prefix { $0 != Ascii.space }
    return target.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
  }

  /// Where a quoted text ends: at a quote that no backslash stands before, or with the line.
  private func endOfQuoted(from start: Int) -> Int {
    var place = start
    while place < line.count, line[place] != Ascii.quote {
      place += line[place] == Ascii.backslash ? 2 : 1
    }
    return min(place, line.count)
  }
}
