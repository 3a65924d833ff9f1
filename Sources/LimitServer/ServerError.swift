// Why a server does not start, or does not take a new configuration.

public import LimitSystem

/// An operating failure, in words for the person who can put it right.
public enum ServerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A name in the configuration file that this host does not know.
  case unknownName(_ path: String, _ line: Int, _ column: Int, _ what: String)
  /// Another daemon serves the socket.
  case alreadyServed(path: String)
  /// What stands at the socket's path is no socket of a dead daemon.
  case inTheWay(path: String)
  /// A system call failed.
  case system(doing: String, SystemError)

  public var description: String {
    switch self {
    case .unknownName(let path, let line, let column, let what):
      "\(path):\(line):\(column): \(what)"
    case .alreadyServed(let path):
      "another daemon is serving \(path); stop it first, or give this one another --socket"
    case .inTheWay(let path):
      "\(path) is there and is not a socket; move it away, or give another --socket"
    case .system(let doing, let error): "cannot \(doing): \(error)"
    }
  }

  /// Whether the configuration is at fault, not the host's state.
  public var isConfiguration: Bool {
    if case .unknownName = self { return true }
    return false
  }
}
