// Why a server does not start.

package import LimitSystem

/// Calls the system, and says what for where that fails.
func doing<Value: ~Copyable>(_ what: String, _ call: () throws(SystemError) -> Value)
  throws(ServerError) -> Value
{
  do throws(SystemError) {
    return try call()
  } catch {
    throw .system(doing: what, error)
  }
}

/// An operating failure, in words for the person who can put it right.
package enum ServerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Another daemon serves the socket.
  case alreadyServed(path: String)
  /// What stands at the socket's path is no socket of a dead daemon.
  case inTheWay(path: String)
  /// A file that the daemon needs is a link or no file.
  case notAFile(path: String)
  /// A system call failed.
  case system(doing: String, SystemError)

  package var description: String {
    switch self {
    case .alreadyServed(let path):
      "another daemon is serving \(path); stop it first, or give this one another --socket"
    case .inTheWay(let path):
      "\(path) is there and is not the socket of a limitd that is gone; move it away, or give "
        + "another --socket"
    case .notAFile(let path):
      "\(path) is a link or something else that is not a file; remove it"
    case .system(let doing, let error): "cannot \(doing): \(error)"
    }
  }
}
