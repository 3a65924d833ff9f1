// One row of a trace, and what can be wrong with one.
//
// A row owns its text, so that it can wait in the reorder buffer while the readers go on. The
// readers fill the same row again and again, which then allocates nothing.

/// One query of a trace.
struct TraceRow {
  /// Unix time in nanoseconds, below 2^62.
  var time: UInt64 = 0
  var cost: UInt64 = 1
  /// The line of its file that the row begins on.
  var line = 0
  /// The policy's place in the run's `PolicyDirectory`.
  var policy = 0
  /// The text of tenant, policy and key, one after another.
  private(set) var text: [UInt8] = []
  private var tenantEnd = 0
  private var policyEnd = 0

  var tenantRange: Range<Int> { 0..<tenantEnd }
  var policyRange: Range<Int> { tenantEnd..<policyEnd }
  var keyRange: Range<Int> { policyEnd..<text.count }

  /// Replaces the row's text.
  mutating func setText(
    tenant: ArraySlice<UInt8>,
    policy: ArraySlice<UInt8>,
    key: ArraySlice<UInt8>
  ) {
    text.removeAll(keepingCapacity: true)
    text.append(contentsOf: tenant)
    tenantEnd = text.count
    text.append(contentsOf: policy)
    policyEnd = text.count
    text.append(contentsOf: key)
  }

  /// Replaces the row's text by that of another.
  mutating func setText(_ whole: ArraySlice<UInt8>, tenantEnd: Int, policyEnd: Int) {
    text.removeAll(keepingCapacity: true)
    text.append(contentsOf: whole)
    self.tenantEnd = tenantEnd
    self.policyEnd = policyEnd
  }

  /// A copy that shares no memory with this row, whose reader goes on writing into its own.
  func detached() -> TraceRow {
    var copy = self
    copy.text = text.withUnsafeBytes { Array($0) }
    return copy
  }
}

/// A stream of rows from one file.
protocol RowReader: ~Copyable {
  /// The file's name, as given.
  var name: String { get }
  /// Bytes read of the file so far.
  var bytesRead: Int { get }
  /// Whether the file ends within the line that was read last.
  var isCut: Bool { get }
  /// Reads the next row, `false` at the end. After `malformed` the next call goes on behind it.
  mutating func next(into row: inout TraceRow) throws(TraceError) -> Bool
}

/// What keeps a trace from being read.
package enum TraceError: Error, Equatable, CustomStringConvertible {
  /// One row cannot be understood; the rows behind it can be read.
  case malformed(file: String, line: Int, what: String)
  /// The file as a whole cannot be read.
  case unreadable(file: String, why: String)

  package var description: String {
    switch self {
    case .malformed(let file, let line, let what): "\(file):\(line): \(what)"
    case .unreadable(let file, let why): "\(file): \(why)"
    }
  }
}

/// What is wrong with a part of a row, before it is known which row of which file it is.
package struct Malformed: Error, Equatable {
  package let what: String

  init(_ what: String) { self.what = what }
}
