// Traces from the access logs of Apache and nginx: a line for each request, in a format of the
// server's choosing.

/// Reads the rows of one access log. One thread uses a reader.
package struct AccessLogTrace: RowReader, ~Copyable {
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

  private var input: ByteReader
  private let mapping: Mapping
  private let format: LogFormat
  private let matcher: LogLineMatcher
  private let policy: ArraySlice<UInt8>
  private let tenantConstant: ArraySlice<UInt8>
  private var line: [UInt8] = []
  private var lineNumber = 0
  private(set) var isCut = false

  var name: String { input.name }
  var bytesRead: Int { input.bytesRead }

  init(
    _ input: consuming ByteReader, format: LogFormat = .combined, mapping: Mapping
  ) throws(TraceError) {
    let fields = [mapping.tenant, mapping.key].compactMap { $0 }
    if let lacking = fields.first(where: { !format.has($0) }) {
      throw .unreadable(
        file: input.name,
        why: "the log format '\(format.name)' has no \(lacking.rawValue) for the tenant or the key")
    }
    self.input = input
    self.mapping = mapping
    self.format = format
    matcher = LogLineMatcher(format, fields: Set(fields))
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
    isCut = true
    while try input.peek() != nil {
      _ = try input.move(to: &line) { $0 == Ascii.lineFeed }
      guard line.count <= Self.lineLengthMax else {
        try input.skipLine()
        line.removeAll(keepingCapacity: false)
        isCut = false
        throw .malformed(file: name, line: lineNumber, what: "a line of more than 1 MiB")
      }
      if try input.peek() == Ascii.lineFeed {
        input.advance()
        isCut = false
        break
      }
    }
    if line.last == Ascii.carriageReturn { line.removeLast() }
    return true
  }

  private func fill(_ row: inout TraceRow) throws(Malformed) {
    guard let fields = matcher.match(line) else {
      throw Malformed("no line of the log format '\(format.name)': '\(readable(line[...]))'")
    }
    row.time =
      fields.isUnixTime
      ? try TraceTime.parse(line, fields.time) : try TraceTime.parseLogTime(line, fields.time)
    row.cost = 1
    row.setText(
      tenant: try mapping.tenant.map { (field) throws(Malformed) in try text(of: field, fields) }
        ?? tenantConstant,
      policy: policy,
      key: try text(of: mapping.key, fields)
    )
  }

  private func text(
    of field: LogField, _ fields: LogLineMatcher.Fields
  ) throws(Malformed) -> ArraySlice<UInt8> {
    switch field {
    case .host:
      guard let host = fields.host, !host.isEmpty else { throw Malformed("a line without a host") }
      return line[host]
    case .vhost: return fields.vhost.map { line[$0] } ?? []
    case .user:
      // A user without a name is nobody, as "-" is.
      let user = fields.user.map { line[$0] } ?? []
      return user.elementsEqual([Ascii.quote, Ascii.quote]) ? [UInt8(ascii: "-")] : user
    case .path:
      guard let request = fields.request else {
        return fields.target.map { withoutQuery(line[$0]) } ?? []
      }
      return path(of: line[request])
    }
  }

  /// The path of a request, without its query. A request that is no HTTP is its own path.
  private func path(of request: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    guard let space = request.firstIndex(of: Ascii.space) else { return request }
    return withoutQuery(request[(space + 1)...].prefix { $0 != Ascii.space })
  }

  private func withoutQuery(_ target: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    target.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
  }
}
