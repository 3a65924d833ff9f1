// One connection: a socket, its session, and what waits to be read or written.

import CLinux
import Glibc
import LimitEngine
import LimitProtocol

/// A connection of one event loop. One thread uses it.
struct Connection: ~Copyable {
  /// What a connection has limited time for.
  enum Wait { case nothing, hello, frame, stall }

  let socket: Descriptor
  var session: Session
  /// Input that is not served yet: the beginning of a frame, or what waits for `unsent`.
  var unserved = ByteStash()
  /// Replies that the socket did not take yet. While there are any, nothing is read.
  var unsent = ByteStash()
  /// Nothing more is to be read; the connection closes when `unsent` is empty.
  var isEnding = false
  /// What the poller reports now.
  var interest: Poller.Events = .input
  var wait = Wait.nothing
  /// When the wait has lasted too long; of no meaning for `nothing`.
  var deadline = UInt64.max

  init(_ socket: consuming Descriptor, _ session: consuming Session) {
    self.socket = socket
    self.session = session
  }
}

/// What became of a read or a write on a socket.
enum Transfer {
  /// That many bytes; on a read, more may be there.
  case bytes(Int)
  case wouldBlock
  /// The peer is gone, or writes no more.
  case ended
}

extension Descriptor {
  @inline(__always) borrowing func receive(into memory: UnsafeMutableRawBufferPointer) -> Transfer {
    while true {
      let count = recv(number, memory.baseAddress, memory.count, 0)
      if count > 0 { return .bytes(count) }
      if count == 0 { return .ended }
      if errno == EINTR { continue }
      return errno == EAGAIN ? .wouldBlock : .ended
    }
  }

  @inline(__always) borrowing func transmit(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    while true {
      let count = send(number, bytes.baseAddress, bytes.count, limitd_send_without_signal)
      if count >= 0 { return .bytes(count) }
      if errno == EINTR { continue }
      return errno == EAGAIN ? .wouldBlock : .ended
    }
  }
}
