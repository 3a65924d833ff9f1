// A connected Unix stream socket that never blocks. Any thread may use it; its users see to it that
// one sends and one receives at a time.

internal import CLinux
internal import Glibc
internal import LimitSystem

/// Closes when its last user lets go, so that no thread ever uses a descriptor of others.
final class ClientSocket: Sendable {
  private let descriptor: Descriptor

  /// What an attempt to connect came to.
  enum Attempt {
    case connected(ClientSocket)
    /// The daemon's queue of connections is full, and unix(7) lets nobody wait for it.
    case queueIsFull
  }

  /// - Parameter descriptor: of a connected socket that does not block.
  init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

  /// Connects to a path. Does not block.
  static func connect(to path: String) throws(LimitClientError) -> Attempt {
    do throws(SystemError) {
      let flags = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
      let descriptor = try Descriptor(socket(AF_UNIX, flags, 0))
      let status = SocketAddress.with(path: path) { address, length in
        retrying { Glibc.connect(descriptor.number, address, length) }
      }
      if status == 0 { return .connected(ClientSocket(descriptor)) }
      let error = SystemError.last()
      if error.number == EAGAIN { return .queueIsFull }
      throw error
    } catch {
      throw .unreachable("\(path): \(error)", systemError: error.number)
    }
  }

  var number: Int32 { descriptor.number }

  /// Sends what the socket takes of `bytes`. Never raises SIGPIPE.
  func send(_ bytes: UnsafeRawBufferPointer) -> Transfer { descriptor.transmit(bytes) }

  /// Receives what is there, at most the buffer.
  func receive(into buffer: UnsafeMutableRawBufferPointer) -> Reception {
    descriptor.receive(into: buffer)
  }

  /// Ends the connection for both sides now, though others still use this value.
  func shutDown() { _ = shutdown(descriptor.number, CInt(SHUT_RDWR)) }

  /// Waits until the socket can be read, or written where `forWriting` says so too.
  ///
  /// - Returns: false where the deadline passed first.
  func wait(forWriting: Bool, until deadline: Moment) -> Bool {
    let events = forWriting ? POLLIN | POLLOUT : POLLIN
    while true {
      var watched = pollfd(fd: descriptor.number, events: Int16(events), revents: 0)
      let ready = poll(&watched, 1, deadline.millisecondsFromNow())
      if ready > 0 { return true }
      if ready == 0 { return false }
      // EINTR, or ENOMEM, which passes: as long as there is time.
      if Moment.now >= deadline { return false }
    }
  }
}
