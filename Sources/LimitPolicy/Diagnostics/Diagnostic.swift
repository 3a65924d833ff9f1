// What is wrong, or doubtful, in a policy file, and where. Values: any thread may hold them.

/// A place in a file. Lines and columns count from 1; columns count Unicode scalars.
struct Position: Hashable, Comparable, Sendable {
  var line: UInt32
  var column: UInt32

  /// Where something is reported that has no place of its own.
  static let start = Position(line: 1, column: 1)

  static func < (left: Position, right: Position) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }
}

/// One error or warning about a policy file.
public struct Diagnostic: Hashable, Sendable, CustomStringConvertible {
  public enum Severity: String, Sendable {
    /// The file cannot be used.
    case error
    /// The file can be used, and does something that its author may not have meant.
    case warning
  }

  public let severity: Severity
  /// The file, as its path was given.
  public let path: String
  /// From 1.
  public let line: Int
  /// From 1, in Unicode scalars.
  public let column: Int
  /// What is wrong, and what would be right.
  public let message: String

  public init(severity: Severity, path: String, line: Int, column: Int, message: String) {
    self.severity = severity
    self.path = path
    self.line = line
    self.column = column
    self.message = message
  }

  init(_ severity: Severity, _ path: String, _ position: Position, _ message: String) {
    self.init(
      severity: severity,
      path: path,
      line: Int(position.line),
      column: Int(position.column),
      message: message
    )
  }

  /// `file:line:column: message`; a warning says that it is one before its message.
  public var description: String {
    let kind = severity == .warning ? "warning: " : ""
    return "\(path):\(line):\(column): \(kind)\(message)"
  }
}

/// A file that cannot be used: everything that is wrong with it.
public struct PolicyFileError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Errors and warnings in the order of the file; at least one error.
  public let diagnostics: [Diagnostic]

  public init(diagnostics: [Diagnostic]) { self.diagnostics = diagnostics }

  /// How many diagnostics `description` tells one by one.
  public static let diagnosticsTold = 20

  /// One line per diagnostic, as far as the first ones, and how many more there are.
  public var description: String {
    var lines = diagnostics.prefix(Self.diagnosticsTold).map(\.description)
    let more = diagnostics.count - lines.count
    if more > 0 {
      let path = diagnostics[0].path
      lines.append("\(path): and \(more) more; mend these first, they may follow from them")
    }
    return lines.joined(separator: "\n")
  }
}
