// The Unix socket that clients connect to: made so that it is never open wider than it should be,
// and never taken from a daemon that lives.

import CLinux
import Glibc
import LimitPolicy
import LimitSystem

/// A listening socket and its file. The file goes with its owner.
///
/// A lock on `PATH.lock`, held by the kernel as long as the daemon lives, tells a dead daemon's
/// socket from a live one's.
struct ListeningSocket: ~Copyable {
  private let socket: Descriptor
  private let lock: Descriptor
  private let path: String
  /// Which file the socket is: by the time of its removal another may stand there.
  private let file: (device: UInt64, inode: UInt64)

  /// Connections that wait to be accepted.
  private static let backlog: Int32 = 1024

  var descriptor: Int32 { socket.number }

  init(_ settings: DaemonSettings.Socket) throws(ServerError) {
    let lock = try Self.lock(settings.path)
    try Self.clear(settings.path)
    let socket = try Self.makeSocket()
    file = try Self.open(socket.number, settings)
    path = settings.path
    self.lock = lock
    self.socket = socket
  }

  private static func makeSocket() throws(ServerError) -> Descriptor {
    do throws(SystemError) {
      return try Descriptor(Glibc.socket(AF_UNIX, Int32(socketType), 0))
    } catch {
      throw .system(doing: "make a socket", error)
    }
  }

  private static let socketType =
    SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue

  deinit {
    var status = stat()
    if lstat(path, &status) == 0, file == (UInt64(status.st_dev), UInt64(status.st_ino)) {
      unlink(path)
    }
    // The lock's file stays: removing it would let two daemons lock two files of one name.
  }

  /// Takes the lock that says whose the path is.
  private static func lock(_ path: String) throws(ServerError) -> Descriptor {
    let lock = try openLock("\(path).lock")
    guard flock(lock.number, LOCK_EX | LOCK_NB) == 0 else {
      let error = SystemError.last()
      if error.number == EWOULDBLOCK { throw .alreadyServed(path: path) }
      throw .system(doing: "lock \(path).lock", error)
    }
    return lock
  }

  private static func openLock(_ path: String) throws(ServerError) -> Descriptor {
    do throws(SystemError) {
      return try Descriptor(Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600))
    } catch {
      throw .system(doing: "open \(path)", error)
    }
  }

  /// Removes the socket of a daemon that is gone. Anything else in the way is an error.
  private static func clear(_ path: String) throws(ServerError) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw .system(doing: "look at \(path)", .last())
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .inTheWay(path: path) }
    // Whoever listens there does not know of our lock, but lives.
    if isAnswered(path) { throw .alreadyServed(path: path) }
    guard unlink(path) == 0 else {
      throw .system(doing: "remove the dead socket \(path)", .last())
    }
  }

  private static func isAnswered(_ path: String) -> Bool {
    let probe = Glibc.socket(AF_UNIX, Int32(socketType), 0)
    guard probe >= 0 else { return false }
    defer { close(probe) }
    let status = SocketAddress.with(path: path) { connect(probe, $0, $1) }
    return status == 0 || errno == EAGAIN
  }

  /// Binds, and opens the file to its users only when it belongs to the right group. Until
  /// `listen`, nobody can connect at all.
  private static func open(_ socket: Int32, _ settings: DaemonSettings.Socket)
    throws(ServerError) -> (UInt64, UInt64)
  {
    let path = settings.path
    let mask = umask(0o177)
    let status = SocketAddress.with(path: path) { bind(socket, $0, $1) }
    let failure = SystemError.last()
    umask(mask)
    guard status == 0 else { throw .system(doing: "make the socket \(path)", failure) }
    do throws(ServerError) {
      if let name = settings.group {
        guard let group = Access.groupID(named: name) ?? UInt32(name) else {
          throw .system(doing: "find the group '\(name)' of \(path)", SystemError(number: ENOENT))
        }
        guard chown(path, uid_t.max, group) == 0 else {
          throw .system(doing: "give \(path) to the group '\(name)'", .last())
        }
      }
      guard chmod(path, settings.mode) == 0 else {
        throw .system(doing: "set the mode of \(path)", .last())
      }
      guard listen(socket, backlog) == 0 else { throw .system(doing: "listen on \(path)", .last()) }
    } catch {
      unlink(path)
      throw error
    }
    var made = stat()
    lstat(path, &made)
    return (UInt64(made.st_dev), UInt64(made.st_ino))
  }
}
