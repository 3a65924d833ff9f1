// The Unix socket that clients connect to: made so that it is never open wider than it should be,
// and never taken from a daemon that lives; or handed in by whoever started the daemon.

import CLinux
import Glibc
package import LimitPolicy
import LimitRuntime
import LimitSystem

/// A listening socket and, where it made one, its file, which goes with its owner.
///
/// A lock on `PATH.lock`, held by the kernel as long as the daemon lives, tells a dead daemon's
/// socket from a live one's. Made before the process has threads: the mode mask is the process's.
package struct ListeningSocket: ~Copyable {
  private let socket: Descriptor
  private let file: SocketFile?

  /// Connections that wait to be accepted.
  static let backlog: Int32 = 1024

  package var descriptor: Int32 { socket.number }

  /// Where it was made; `nil` for one that was handed in.
  package let path: String?

  /// Whether it was made here. One that was handed in goes on listening when the daemon ends.
  var isOwn: Bool { path != nil }

  /// Binds a socket. Nobody can connect until `listen`.
  package init(_ settings: DaemonSettings.Socket) throws(ServerError) {
    let path = settings.path
    let lock = try Self.lock(path)
    try Self.clear(path)
    let socket = try Self.makeSocket()
    _ = limitd_refuse_descriptors(socket.number)
    let file = try Self.bind(socket.number, settings)
    self.path = path
    self.file = SocketFile(lock: lock, path: path, file: file)
    self.socket = socket
  }

  /// Takes over a socket that listens already, whose file is somebody else's.
  ///
  /// - Throws: where it is no listening Unix stream socket.
  package init(adopting descriptor: Int32) throws(ServerError) {
    var isListening: Int32 = 0
    var kind: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    let what = "listen on the socket that was handed in as \(descriptor)"
    let socket = try doing(what) { () throws(SystemError) in try Descriptor(descriptor) }
    try doing(what) { () throws(SystemError) in
      guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &length) == 0,
        getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &kind, &length) == 0
      else { throw SystemError.last() }
      guard isListening != 0, kind == Int32(SOCK_STREAM.rawValue) else {
        throw SystemError(number: EINVAL)
      }
      guard fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0,
        fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0
      else { throw .last() }
    }
    // Of whoever has connected already, some may be on their way.
    _ = limitd_refuse_descriptors(descriptor)
    self.socket = socket
    file = nil
    path = nil
  }

  /// Lets peers connect. Once somebody answers.
  package func listen() throws(ServerError) {
    // One that was handed in listens already, with a queue as long as its owner wants it.
    guard isOwn else { return }
    guard Glibc.listen(socket.number, Self.backlog) == 0 else {
      throw .system(doing: "listen", .last())
    }
  }

  private static func makeSocket() throws(ServerError) -> Descriptor {
    try doing("make a socket") { () throws(SystemError) in
      try Descriptor(Glibc.socket(AF_UNIX, socketType, 0))
    }
  }

  private static let socketType =
    Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)

  /// Takes the lock that says whose the path is.
  private static func lock(_ path: String) throws(ServerError) -> Descriptor {
    let name = "\(path).lock"
    // Never another's file through a link, and never a pipe that nobody serves.
    let number = Glibc.open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0o600)
    if number < 0, errno == ELOOP || errno == ENXIO { throw .notAFile(path: name) }
    let lock = try doing("open \(name)") { () throws(SystemError) in try Descriptor(number) }
    var status = stat()
    guard fstat(lock.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .notAFile(path: name)
    }
    guard flock(lock.number, LOCK_EX | LOCK_NB) == 0 else {
      let error = SystemError.last()
      if error.number == EWOULDBLOCK { throw .alreadyServed(path: path) }
      throw .system(doing: "lock \(name)", error)
    }
    return lock
  }

  /// Removes the socket of a daemon that is gone. Anything else in the way is an error.
  private static func clear(_ path: String) throws(ServerError) {
    var status = stat()
    guard lstat(path, &status) == 0 else {
      if errno == ENOENT { return }
      throw .system(doing: "look at \(path)", .last())
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .inTheWay(path: path) }
    let probe = try makeSocket()
    let isConnected = SocketAddress.with(path: path) { connect(probe.number, $0, $1) } == 0
    // A queue that is full is a daemon too, which does not know of our lock.
    if isConnected || errno == EAGAIN { throw .alreadyServed(path: path) }
    // Refused: nobody has it open. Whatever else (another kind of socket, no right to connect)
    // may be alive.
    guard errno == ECONNREFUSED else { throw .inTheWay(path: path) }
    guard unlink(path) == 0 else {
      throw .system(doing: "remove the dead socket \(path)", .last())
    }
  }

  /// Binds. The socket's mode becomes its file's (less the process's mask), so the file is never
  /// there with another; the owner is set through a descriptor of the file, never through the path.
  private static func bind(_ socket: Int32, _ settings: DaemonSettings.Socket)
    throws(ServerError) -> (UInt64, UInt64)
  {
    let path = settings.path
    let group = try settings.group.map { name throws(ServerError) in
      guard let group = Access.groupID(named: name) ?? UInt32(name) else {
        throw ServerError.system(
          doing: "find the group '\(name)' of \(path)", SystemError(number: ENOENT))
      }
      return group
    }
    guard fchmod(socket, settings.mode) == 0 else {
      throw .system(doing: "set the mode of \(path)", .last())
    }
    let mask = umask(0)
    let status = SocketAddress.with(path: path) { Glibc.bind(socket, $0, $1) }
    let failure = SystemError.last()
    umask(mask)
    guard status == 0 else { throw .system(doing: "make the socket \(path)", failure) }
    do throws(SystemError) {
      let file = try Descriptor(Glibc.open(path, limitd_open_path | O_NOFOLLOW | O_CLOEXEC))
      var made = stat()
      guard fstat(file.number, &made) == 0 else { throw .last() }
      guard made.st_mode & S_IFMT == S_IFSOCK, made.st_uid == geteuid() else {
        throw SystemError(number: ESTALE)
      }
      if let group, made.st_gid != group {
        guard fchownat(file.number, "", uid_t.max, group, limitd_empty_path) == 0 else {
          throw .last()
        }
      }
      return (UInt64(made.st_dev), UInt64(made.st_ino))
    } catch {
      unlink(path)
      throw .system(
        doing: "give \(path) to the group '\(settings.group ?? "")'", error)
    }
  }
}

/// The file that was made for a socket, and the lock that says whose it is.
struct SocketFile: ~Copyable {
  let lock: Descriptor
  let path: String
  /// Which file the socket is: by the time of its removal another may stand there.
  let file: (device: UInt64, inode: UInt64)

  deinit {
    var status = stat()
    if lstat(path, &status) == 0, file == (UInt64(status.st_dev), UInt64(status.st_ino)) {
      unlink(path)
    }
    // The lock's file stays: removing it would let two daemons lock two files of one name.
  }
}
