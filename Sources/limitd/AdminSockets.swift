// Where the admin interface's sockets come from: systemd, where it passes them, else the policy file's
// paths. They are no condition of a start: without them the daemon decides as ever, and says that it
// cannot be asked.

import Glibc
import LimitAdmin
import LimitPolicy
import LimitServer
import LimitSystem
import LimitSystemd
import Logging

/// The sockets, open. The one that was made here goes with this value.
struct AdminSockets: ~Copyable {
  /// What systemd calls them: the names in our units, and those of units without a name.
  private static let adminNames = ["admin", "limitd-admin.socket"]
  private static let metricsNames = ["metrics", "limitd-metrics.socket"]

  private let admin: ListeningSocket?
  private let metrics: [Int32]

  /// Takes what systemd passes, makes an admin socket where it passes none, and a TCP socket for metrics
  /// where the policy file asks for one.
  init(_ settings: DaemonSettings, _ passed: inout PassedDescriptors, _ log: Logger) {
    var metrics = Self.metricsNames.flatMap { passed.take(named: $0) }
    if let address = settings.metricsListener {
      do throws(LoopbackSocketError) {
        metrics.append(try LoopbackSocket.open(address))
      } catch {
        log.error(
          "no metrics by TCP; decisions are served without them",
          metadata: ["address": "\(address)", "error": "\(error)", "remedy": "\(error.remedy)"])
      }
    }
    self.metrics = metrics
    let descriptors = Self.adminNames.flatMap { passed.take(named: $0) }
    do {
      admin = try Self.open(settings, descriptors)
    } catch {
      admin = nil
      log.error(
        "no admin socket; decisions are served without it", metadata: ["error": "\(error)"])
    }
  }

  private static func open(
    _ settings: DaemonSettings, _ descriptors: [Int32]
  ) throws -> ListeningSocket {
    if let first = descriptors.first {
      for further in descriptors.dropFirst() { close(further) }
      return try ListeningSocket(adopting: first)
    }
    var socket = settings.adminSocket
    socket.path = settings.adminSocketPath
    return try .make(socket, named: "admin socket", flag: "--admin-socket")
  }

  /// Where the admin socket was made; `nil` where there is none, or it was handed in.
  var path: String? {
    switch admin {
    case .some(let admin): admin.path
    case .none: nil
    }
  }

  /// Lets peers connect: the listeners, with descriptors of their own.
  func listeners() throws -> [AdminListener] {
    var listeners: [AdminListener] = []
    switch admin {
    case .some(let admin):
      try admin.listen()
      let copy = fcntl(admin.descriptor, F_DUPFD_CLOEXEC, 0)
      guard copy >= 0 else { throw SystemError.last() }
      listeners.append(AdminListener(.admin, descriptor: copy))
    case .none: break
    }
    return listeners + metrics.map { AdminListener(.metrics, descriptor: $0) }
  }
}
