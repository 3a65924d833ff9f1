// How many files and sockets the process may have open, and what that means for connections.

import CLinux
import LimitAdmin
import LimitPolicy
import LimitSystem
import Logging

enum DescriptorLimit {
  /// Descriptors that are not connections: loops and their wake-ups, standard streams, the files of
  /// a reload, connections that are only told that they are too many, and those of administrators.
  private static let countSetAside = 72 + AdminServer.connectionsMax
  private static let countPerWorker = 3

  /// Raises the soft limit to the hard one and, where `connections` do not fit even so, lowers them
  /// with a warning: connections that cannot be accepted would wait unanswered.
  ///
  /// - Throws: where not even one fits.
  static func fit(_ limits: inout DaemonSettings.Limits, _ log: Logger) throws {
    let most = limitd_raise_descriptor_limit()
    guard most >= 0 else { throw SystemError.last() }
    let room = most - countSetAside - countPerWorker * 64
    guard room > 0 else { throw TooFewDescriptors(limit: most) }
    guard limits.connections > room else { return }
    log.warning(
      "the limit of open files is below daemon.limits.connections",
      metadata: ["files": "\(most)", "connections": "\(limits.connections)", "used": "\(room)"])
    limits.connections = room
  }
}

/// The process may open too few files to serve anybody.
struct TooFewDescriptors: Error, CustomStringConvertible {
  var limit: Int

  var description: String {
    "this process may open \(limit) files, too few to serve; raise its limit (ulimit -n 4096, or "
      + "LimitNOFILE= in the unit)"
  }
}
