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
    directory = PolicyDirectory(zip(files, policies).map { (file: $0, policies: $1) })
    buffer = ReorderBuffer(horizon: options.reorder)
  }

  /// What there is to report so far.
  var summary: ReplaySummary {
    ReplaySummary(
      options: options,
      tally: sides[0].tally,
      concurrencyLimits: sides[0].concurrencyLimits,
      otherTally: sides.count > 1 ? sides[1].tally : nil,
      badRows: badRows
    )
  }

  /// Reads every trace to its end, and writes what the format asks for. What was decided before an
  /// error is written too.
  package mutating func run(to output: inout Output) throws(ReplayError) {
    do throws(ReplayError) {
      if options.format == .csv { output.append(DecisionWriter.header) }
      for path in options.traces { try replay(path, to: &output) }
      buffer.drain()
      try release(to: &output)
      try finishLive(&output)
    } catch {
      progress.clear()
      if case .output = error { throw error }
      try Self.flush(&output)
      throw error
    }
    progress.clear()
    if badRows > Self.badRowsTold {
      tell("… and \(grouped(badRows - Self.badRowsTold)) more")
    }
    if badRows > 0 { tell("\(counted(badRows, "malformed row")) skipped") }
    switch options.format {
    case .csv: break
    case .json: output.append(JSONReport(summary).text)
    case .report: output.append(TextReport(summary, terminal: terminal).text)
    }
    try Self.flush(&output)
  }

  private mutating func replay(_ path: String, to output: inout Output) throws(ReplayError) {
    progress.begin(file: path)
    switch options.input {
    case .csv(let columns, let constants):
      var rows = try Self.opening { () throws(TraceError) in
        try CSVTrace.open(ByteReader.open(path), columns: columns, constants: constants)
      }
      try consume(&rows, to: &output)
    case .combined(let mapping):
      var rows = try Self.opening { () throws(TraceError) in
        CombinedTrace(try ByteReader.open(path), mapping: mapping)
      }
      try consume(&rows, to: &output)
    }
  }

  private static func opening<Rows: ~Copyable>(
    _ body: () throws(TraceError) -> Rows
  ) throws(ReplayError) -> Rows {
    do { return try body() } catch { throw .trace(error) }
  }

  private mutating func consume(
    _ rows: inout some RowReader & ~Copyable,
    to output: inout Output
  ) throws(ReplayError) {
    var row = TraceRow()
    while try readRow(&rows, into: &row) {
      if options.reorder == 0 {
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
        guard case .malformed = error, options.skipsBadRows else { throw .trace(error) }
        badRows += 1
        if badRows <= Self.badRowsTold {
          progress.clear()
          tell("\(error)")
        }
      }
    }
  }

  /// Finds the row's policy and its place in time.
  private mutating func place(_ row: inout TraceRow, of file: String) throws(TraceError) {
    do throws(Malformed) {
      row.policy = try directory.number(of: row.text[row.policyRange])
      try buffer.admit(row.time)
    } catch {
      throw .malformed(file: file, line: row.line, what: error.what)
    }
  }

  /// Decides the rows that the reorder buffer lets go.
  private mutating func release(to output: inout Output) throws(ReplayError) {
    while let row = buffer.next() { try decide(row, to: &output) }
  }

  private mutating func decide(
    _ row: borrowing TraceRow,
    to output: inout Output
  ) throws(ReplayError) {
    guard live == nil else { return try askLive(row, &output) }
    let decision = sides[0].decide(row, policy: directory.index(row.policy, side: 0))
    if sides.count > 1 {
      _ = sides[1].decide(row, policy: directory.index(row.policy, side: 1))
    }
    try write(decision, of: row, to: &output)
  }

  private func write(
    _ decision: borrowing Decision, of row: borrowing TraceRow, to output: inout Output
  ) throws(ReplayError) {
    guard options.format == .csv else { return }
    DecisionWriter.write(decision, of: row, limitNames: sides[0].limitNames, to: &output)
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
