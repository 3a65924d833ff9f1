// What to do about a daemon that cannot be reached, or that refuses: the next step, behind what is
// wrong.

import Glibc
import LimitConsole
import LimitPolicy
import LimitProtocol

/// Advice for people.
enum DaemonAdvice {
  /// - Parameters:
  ///   - number: what the system said, as in errno(3); 0 where it said nothing.
  static func unreachable(socket: String, systemError number: Int32) -> String {
    switch number {
    case EACCES, EPERM:
      guard let group = group(of: socket) else {
        return "ask for access to it; its folder or the socket itself keeps you out"
      }
      return "the group '\(group)' may: become a member (usermod -aG \(group) YOU) and log in again"
    case ENAMETOOLONG: return "a socket's path has at most 107 bytes"
    default:
      return "start limitd (systemctl start limitd), or say where it listens with --socket or "
        + "LIMITD_SOCKET"
    }
  }

  /// What helps against an error that the daemon answered with; `nil` where its text says it all.
  ///
  /// - Parameter query: the names that were asked for.
  static func refused(_ code: ErrorCode?, policy: String?, knownPolicies: [String]) -> String? {
    switch code {
    case .unknownPolicy:
      guard let policy else { return nil }
      let asked = "it was asked for '\(policy)'"
      if let nearest = Suggestion.nearest(to: policy, among: knownPolicies) {
        return "\(asked); did you mean '\(nearest)'?"
      }
      return knownPolicies.isEmpty
        ? "\(asked); its policy file lists them under policies"
        : "\(asked); it has \(knownPolicies.joined(separator: ", "))"
    case .limitReached:
      return "daemon.limits in its policy file says how many (connections, connections-per-uid, "
        + "permits)"
    case .notPermitted: return "daemon.access in its policy file says who may"
    default: return nil
    }
  }

  /// The group that may open the socket; `nil` where that is not what keeps a user out.
  private static func group(of socket: String) -> String? {
    var status = stat()
    guard stat(socket, &status) == 0, status.st_mode & 0o020 != 0 else { return nil }
    guard let entry = getgrgid(status.st_gid) else { return "\(status.st_gid)" }
    return String(cString: entry.pointee.gr_name)
  }
}
