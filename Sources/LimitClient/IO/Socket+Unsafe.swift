// A connected Unix stream socket that never blocks. One owner at a time.

internal import CLinux
internal import Glibc

/// Owns a descriptor; closes it when it goes.
struct Socket: ~Copyable {
  let descriptor: CInt

  /// What reading or writing came to; would-block is an outcome, not an error.
  enum Outcome: Equatable {
    case moved(Int)
    case wouldBlock
    /// The peer has gone: end of file, EPIPE, ECONNRESET, or whatever else ends a socket.
    case closed
  }

  /// Connects.
  ///
  /// - Parameter timeout: how long to wait while the daemon's queue of connections is full, which
  ///   unix(7) does not let poll(2) wait for; nil to fail at once instead. Blocks at most that long.
  /// - Throws: `unreachable`.
  init(connectingTo path: String, timeout: Duration?) throws(ClientError) {
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let nonBlocking = Int32(SOCK_NONBLOCK.rawValue)
    descriptor = socket(AF_UNIX, timeout == nil ? kind | nonBlocking : kind, 0)
    guard descriptor >= 0 else { throw .system(errno, "socket") }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let fits = withUnsafeMutableBytes(of: &address.sun_path) { place in
      path.withBytes { bytes in
        guard 1..<place.count ~= bytes.count, !bytes.contains(0) else { return false }
        place.copyMemory(from: bytes)
        return true
      }
    }
    guard fits else { throw .unreachable(errno: ENAMETOOLONG, why: "\(path): not a socket's path") }
    if let timeout {
      var limit = timeval(timeout)
      setsockopt(
        descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    let connected = withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        retrying { connect(descriptor, address, socklen_t(MemoryLayout<sockaddr_un>.size)) }
      }
    }
    guard connected == 0 else { throw .system(errno, path) }
    if timeout != nil { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Sends what the socket takes of `bytes`. Never raises SIGPIPE.
  borrowing func send(_ bytes: UnsafeRawBufferPointer) -> Outcome {
    let count = retrying {
      Glibc.send(descriptor, bytes.baseAddress, bytes.count, limitd_send_without_signal)
    }
    return count < 0 ? Self.outcome(ofError: errno) : .moved(count)
  }

  /// Receives what is there, at most the buffer.
  borrowing func receive(into buffer: UnsafeMutableRawBufferPointer) -> Outcome {
    let count = retrying { recv(descriptor, buffer.baseAddress, buffer.count, 0) }
    if count == 0 { return .closed }
    return count < 0 ? Self.outcome(ofError: errno) : .moved(count)
  }

  /// Waits until the socket can be read, or written where `forWriting` says so too.
  /// - Returns: false where the deadline passed first.
  borrowing func wait(forWriting: Bool, until deadline: Moment) -> Bool {
    let events = forWriting ? POLLIN | POLLOUT : POLLIN
    while true {
      var watched = pollfd(fd: descriptor, events: Int16(events), revents: 0)
      let ready = poll(&watched, 1, deadline.millisecondsFromNow())
      if ready > 0 { return true }
      if ready == 0 { return false }
      // EINTR, or ENOMEM, which passes: as long as there is time.
      if Moment.now >= deadline { return false }
    }
  }

  private static func outcome(ofError number: CInt) -> Outcome {
    number == EAGAIN || number == EWOULDBLOCK ? .wouldBlock : .closed
  }
}

/// Repeats a system call that a signal interrupted.
private func retrying<Number: SignedInteger>(_ call: () -> Number) -> Number {
  while true {
    let result = call()
    if result >= 0 || errno != EINTR { return result }
  }
}

extension timeval {
  /// At least a microsecond: nothing would mean for ever.
  fileprivate init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    let microseconds = Int(attoseconds / 1_000_000_000_000)
    self.init(
      tv_sec: Int(max(0, seconds)), tv_usec: seconds <= 0 ? max(1, microseconds) : microseconds)
  }
}

extension ClientError {
  /// A system call that failed.
  static func system(_ number: CInt, _ what: String) -> ClientError {
    .unreachable(errno: number, why: "\(what): \(String(cString: strerror(number)))")
  }
}
