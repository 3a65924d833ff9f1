// A run of replay: files in, decisions and a report out.
//
//     file ─▶ reader ─▶ policy, order ─▶ (reorder buffer) ─▶ side ─▶ tally, CSV output
//
// One thread, one pass. Time is the rows' own, the hash key is fixed and nothing else decides, so
// the same input always gives the same output.

package import LimitConsole
package import LimitEngine

/// What ends a run early.
package enum ReplayError: Error {
  case trace(TraceError)
  case output(OutputError)
  case live(LiveError)
  /// Options that do not go with what a trace turned out to be.
  case usage(String)

  /// What to tell; nothing where a reader of the output has gone.
  package var message: String? {
    switch self {
    case .trace(let error): "\(error)"
    case .output(let error): error.isBrokenPipe ? nil : error.message
    case .live(let error): "\(error)"
    case .usage(let what): what
    }
  }
}

/// Runs traces through one policy set, or through two side by side.
package struct ReplayRun: ~Copyable {
  /// How many malformed rows are told one by one when they are skipped.
  static let badRowsTold = 5

  let options: ReplayOptions
  private(set) var sides: [ReplaySide]
  /// Decides in place of the first side.
  private var live: LiveDecider?
  private(set) var badRows = 0
  /// Files that end within a line, which could not be read.
  private(set) var cutLines = 0
  /// Formats that were recognised.
  private var formats: [String] = []
  private var failure: ReplayError?
  private var comparison: Comparison?
  /// The row that leaves the buffer.
  private var waiting = TraceRow()
  private var directory: PolicyDirectory
  private var buffer: ReorderBuffer
  private var progress: ProgressBar
  private let terminal: Terminal
  private let tell: (String) -> Void

  /// - Parameters:
  ///   - policies: the policy file's, then that of the file it is compared with.
  ///   - tell: shows one line to the person at the terminal.
  package init(
    _ options: ReplayOptions,
    policies: [PolicySet],
    terminal: Terminal = Terminal(),
    progress: ProgressBar = .off,
    live: consuming LiveDecider? = nil,
    tell: @escaping (String) -> Void
  ) {
    precondition((1...2).contains(policies.count), "a run has one policy set or two")
    self.options = options
    self.terminal = terminal
    self.progress = progress
    self.tell = tell
    self.live = live
    sides = policies.map { ReplaySide($0, keySlots: options.keySlots) }
    let files = [options.config, options.other ?? ""]
    comparison = policies.count > 1 ? Comparison(policies) : nil
    directory = PolicyDirectory(zip(files, policies).map { (file: $0, policies: $1) })
    buffer = ReorderBuffer(horizon: 0, memoryMax: options.reorderMemory)
  }

  /// What there is to report so far.
  var summary: ReplaySummary {
    ReplaySummary(
      options: options,
      tally: sides[0].tally,
      concurrencyLimits: sides[0].concurrencyLimits,
      otherTally: sides.count > 1 ? sides[1].tally : nil,
      comparison: comparison,
      badRows: badRows,
      cutLines: cutLines,
      formats: formats,
      failure: failure?.message
    )
  }

  /// Reads every trace to its end, and writes what the format asks for. What was decided before an
  /// error is written too, and reported.
  package mutating func run(to output: inout Output) throws(ReplayError) {
    if options.format == .csv { output.append(DecisionWriter.header) }
    do throws(ReplayError) {
      for path in options.traces { try replay(path, to: &output) }
    } catch {
      progress.clear()
      failure = error
    }
    try finish(&output)
    progress.clear()
    tellBadRows()
    switch options.format {
    case .csv: break
    case .json: output.append(JSONReport(summary).text)
    case .report: output.append(TextReport(summary, terminal: terminal).text)
    }
    try Self.flush(&output)
    if let failure { throw failure }
  }

  /// Decides what still waits, unless nobody decides or reads any more.
  private mutating func finish(_ output: inout Output) throws(ReplayError) {
    switch failure {
    case nil, .trace: break
    case .output(let error): throw .output(error)
    case .live, .usage: return
    }
    do throws(ReplayError) {
      buffer.drain()
      try release(to: &output)
      try finishLive(&output)
    } catch {
      if case .output = error { throw error }
      failure = failure ?? error
    }
  }

  private func tellBadRows() {
    if badRows > Self.badRowsTold { tell("… and \(grouped(badRows - Self.badRowsTold)) more") }
    if badRows > 0 { tell("\(counted(badRows, "malformed row")) skipped") }
  }

  // MARK: Reading

  private mutating func replay(_ path: String, to output: inout Output) throws(ReplayError) {
    progress.begin(file: path)
    var input = try Self.opening { () throws(TraceError) in try ByteReader.open(path) }
    let format = try format(of: &input)
    buffer.horizon = max(buffer.horizon, options.reorder(for: format))
    switch format {
    case .csv:
      let constants = try usage { () throws(Malformed) in try options.constants() }
      var rows = try CSVTrace.opened(input, columns: options.columns, constants: constants)
      try consume(&rows, to: &output)
    case .accessLog(let log):
      let mapping = try usage { () throws(Malformed) in try options.mapping() }
      var rows = try AccessLogTrace.opened(input, format: log, mapping: mapping)
      try consume(&rows, to: &output)
    }
  }

  /// The format that is asked for, or the one that the first line tells.
  private mutating func format(of input: inout ByteReader) throws(ReplayError) -> TraceFormat {
    let name = input.name
    let line = try Self.opening { () throws(TraceError) in try input.firstLine() }
    if let format = options.input {
      if case .accessLog(let log) = format, log == .combined || log == .named("common"),
        (try? TraceFormat.recognised(by: line)) == .accessLog(.vhostCombined)
      {
        let why = "each line begins with a virtual host; read it with --input vhost-combined"
        throw .trace(.unreadable(file: name, why: why))
      }
      return format
    }
    let format: TraceFormat
    do throws(Malformed) {
      format = try .recognised(by: line)
    } catch {
      throw .trace(.unreadable(file: name, why: error.what))
    }
    if case .accessLog = format, !formats.contains(format.name) {
      formats.append(format.name)
      tell("\(name) is \(format.name)")
    }
    return format
  }

  private static func opening<Value>(
    _ body: () throws(TraceError) -> Value
  ) throws(ReplayError) -> Value where Value: ~Copyable {
    do { return try body() } catch { throw .trace(error) }
  }

  private func usage<Value>(
    _ body: () throws(Malformed) -> Value
  ) throws(ReplayError) -> Value {
    do { return try body() } catch { throw .usage(error.what) }
  }

  private mutating func consume(
    _ rows: inout some RowReader & ~Copyable,
    to output: inout Output
  ) throws(ReplayError) {
    var row = TraceRow()
    while try readRow(&rows, into: &row) {
      if buffer.horizon == 0 {
        try decide(row, to: &output)
      } else {
        buffer.insert(row)
        try release(to: &output)
      }
      progress.advance(bytesRead: rows.bytesRead)
    }
  }

  /// Reads the next good row, `false` at the end of the file.
  private mutating func readRow(
    _ rows: inout some RowReader & ~Copyable,
    into row: inout TraceRow
  ) throws(ReplayError) -> Bool {
    while true {
      do throws(TraceError) {
        guard try rows.next(into: &row) else { return false }
        try place(&row, of: rows.name)
        return true
      } catch {
        guard case .malformed(let file, let line, _) = error else { throw .trace(error) }
        if rows.isCut {
          cutLines += 1
          progress.clear()
          tell("\(file):\(line): the last line is cut off; it is counted, not decided")
          return false
        }
        guard options.skipsBadRows else { throw .trace(error) }
        badRows += 1
        if badRows <= Self.badRowsTold {
          progress.clear()
          tell("\(error)")
        }
      }
    }
  }

  /// Finds the row's policy and its place in time, within the bounds that the daemon has.
  private mutating func place(_ row: inout TraceRow, of file: String) throws(TraceError) {
    do throws(Malformed) {
      row.policy = try directory.number(of: row.text[row.policyRange])
      try checkNames(of: row)
      try buffer.admit(row.time)
    } catch {
      throw .malformed(file: file, line: row.line, what: error.what)
    }
  }

  private func checkNames(of row: borrowing TraceRow) throws(Malformed) {
    let isName = row.text.withUnsafeBytes {
      TenantName.isValid(UnsafeRawBufferPointer(rebasing: $0[row.tenantRange]))
    }
    guard isName else {
      throw Malformed(
        "'\(readable(row.text[row.tenantRange]))' is no tenant: a tenant's name is 1 to 255 bytes of "
          + "UTF-8 without white space and control characters")
    }
    guard row.keyRange.count <= options.keyBytesMax else {
      throw Malformed(
        "a key has at most \(options.keyBytesMax) bytes here, not \(row.keyRange.count) "
          + "(daemon.limits.key-bytes of the policy file)")
    }
  }

  // MARK: Deciding

  /// Decides the rows that the reorder buffer lets go.
  private mutating func release(to output: inout Output) throws(ReplayError) {
    var row = TraceRow()
    swap(&row, &waiting)
    defer { swap(&row, &waiting) }
    while buffer.next(into: &row) { try decide(row, to: &output) }
  }

  private mutating func decide(
    _ row: borrowing TraceRow,
    to output: inout Output
  ) throws(ReplayError) {
    guard live == nil else { return try askLive(row, &output) }
    let decision = sides[0].decide(row, policy: directory.index(row.policy, side: 0))
    if sides.count > 1 {
      let other = sides[1].decide(row, policy: directory.index(row.policy, side: 1))
      comparison?.count(decision, other, of: row)
    }
    try write(decision, of: row, to: &output)
  }

  private func write(
    _ decision: borrowing Decision, of row: borrowing TraceRow, to output: inout Output
  ) throws(ReplayError) {
    guard options.format == .csv else { return }
    let policy = directory.index(row.policy, side: 0)
    DecisionWriter.write(
      decision, of: row, limitNames: sides[0].limitNames,
      policyLimits: sides[0].policyLimits[Int(policy.rawValue)], to: &output)
    do { try output.flushIfLarge() } catch { throw .output(error) }
  }

  // MARK: Live

  private mutating func askLive(_ row: borrowing TraceRow, _ output: inout Output)
    throws(ReplayError)
  {
    let policy = directory.index(row.policy, side: 0)
    var decided: [(TraceRow, Decision)] = []
    do throws(LiveError) {
      try live?.submit(row, policy: policy) { decided.append(($0, $1)) }
    } catch {
      throw .live(error)
    }
    try record(decided, &output)
  }

  private mutating func finishLive(_ output: inout Output) throws(ReplayError) {
    var decided: [(TraceRow, Decision)] = []
    do throws(LiveError) {
      try live?.finish { decided.append(($0, $1)) }
    } catch {
      throw .live(error)
    }
    try record(decided, &output)
  }

  private mutating func record(_ decided: [(TraceRow, Decision)], _ output: inout Output)
    throws(ReplayError)
  {
    for (row, decision) in decided {
      sides[0].count(decision, of: row, policy: directory.index(row.policy, side: 0))
      try write(decision, of: row, to: &output)
    }
  }

  private static func flush(_ output: inout Output) throws(ReplayError) {
    do { try output.flush() } catch { throw .output(error) }
  }
}

extension CSVTrace {
  fileprivate static func opened(
    _ input: consuming ByteReader, columns: ColumnMap, constants: Constants
  ) throws(ReplayError) -> CSVTrace {
    do {
      return try CSVTrace.open(input, columns: columns, constants: constants)
    } catch {
      throw .trace(error)
    }
  }
}

extension AccessLogTrace {
  fileprivate static func opened(
    _ input: consuming ByteReader, format: LogFormat, mapping: Mapping
  ) throws(ReplayError) -> AccessLogTrace {
    do { return try AccessLogTrace(input, format: format, mapping: mapping) } catch {
      throw .trace(error)
    }
  }
}
