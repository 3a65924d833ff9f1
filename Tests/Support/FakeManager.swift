// A datagram socket in the place of systemd's or journald's, in a folder of its own.

import Glibc

/// What a service tells its manager. One thread uses it; `end` it.
public final class FakeManager {
  public let path: String
  private let folder: TemporaryFolder
  private let socket: Int32
  private let isInEnvironment: Bool

  /// - Parameter inEnvironment: whether this process's NOTIFY_SOCKET names it, until `end`.
  public init(inEnvironment: Bool = true) throws {
    folder = try TemporaryFolder()
    path = folder.path + "/socket"
    socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    isInEnvironment = inEnvironment
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    precondition(bytes.count < 108, "a path fits into a socket's address")
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let descriptor = socket
    let status = withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    precondition(status == 0, "bind \(path): \(errno)")
    if inEnvironment { setenv("NOTIFY_SOCKET", path, 1) }
  }

  public func end() {
    if isInEnvironment { unsetenv("NOTIFY_SOCKET") }
    close(socket)
    folder.remove()
  }

  /// The next message; `nil` where there is none.
  ///
  /// - Parameter waiting: waits for one, up to ten seconds.
  public func next(waiting: Bool = true) -> String? {
    var ready = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    guard poll(&ready, 1, waiting ? 10_000 : 0) == 1 else { return nil }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = recv(socket, &bytes, bytes.count, 0)
    return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
  }
}
