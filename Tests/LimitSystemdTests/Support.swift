// What the tests share.

import Glibc
import LimitSystem
import TestSupport
import Testing

/// The suites that change the environment, one test at a time.
@Suite(.serialized) struct EnvironmentTests {}

/// A datagram socket in a folder of its own, in the place of systemd's or journald's.
final class FakeManager {
  struct Message {
    var text: String
    var descriptor: Int32?
  }

  let path: String
  private let folder: TemporaryFolder
  private let socket: Int32
  private let isInEnvironment: Bool

  /// - Parameter inEnvironment: whether NOTIFY_SOCKET names it, until `end`.
  init(inEnvironment: Bool = true) throws {
    folder = try TemporaryFolder()
    path = folder.path + "/socket"
    socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    isInEnvironment = inEnvironment
    let descriptor = socket
    try #require(SocketAddress.with(path: path) { bind(descriptor, $0, $1) } == 0)
    if inEnvironment { setenv("NOTIFY_SOCKET", path, 1) }
  }

  func end() {
    if isInEnvironment { unsetenv("NOTIFY_SOCKET") }
    close(socket)
    folder.remove()
  }

  /// The next message, with the descriptor that came with it; `nil` where there is none.
  ///
  /// - Parameter waiting: waits for one, up to ten seconds.
  func next(waiting: Bool = true) -> Message? {
    var ready = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
    guard poll(&ready, 1, waiting ? 10_000 : 0) == 1 else { return nil }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    // A header and one descriptor (cmsg(3)), as eight-byte words for their alignment.
    var control = [UInt64](repeating: 0, count: 8)
    let count = bytes.withUnsafeMutableBytes { bytes in
      control.withUnsafeMutableBytes { control in
        var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        return withUnsafeMutablePointer(to: &part) { part in
          var message = msghdr()
          message.msg_iov = part
          message.msg_iovlen = 1
          message.msg_control = control.baseAddress
          message.msg_controllen = control.count
          let count = recvmsg(socket, &message, 0)
          if message.msg_controllen == 0 { control[0] = 0 }
          return count
        }
      }
    }
    guard count >= 0 else { return nil }
    let hasDescriptor = control[0] != 0 && control[1] >> 32 == UInt64(SCM_RIGHTS)
    return Message(
      text: String(decoding: bytes.prefix(count), as: UTF8.self),
      descriptor: hasDescriptor ? Int32(truncatingIfNeeded: control[2]) : nil)
  }
}
