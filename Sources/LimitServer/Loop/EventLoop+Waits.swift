// What connections wait for: room to send, deadlines, the end.

import Glibc
import LimitEngine
import LimitProtocol
import LimitSystem
import Synchronization

extension EventLoop {
  /// How often deadlines are looked at while there are any.
  static var lookMilliseconds: Int32 { 50 }

  // MARK: Sending

  /// Sends replies; what the socket does not take becomes `unsent`.
  ///
  /// - Precondition: nothing is unsent.
  /// - Returns: whether the peer is still there.
  @inline(__always) mutating func send(
    _ bytes: UnsafeRawBufferPointer, to connection: UnsafeMutablePointer<Connection>,
    at now: Instant
  ) -> Bool {
    guard !bytes.isEmpty else { return true }
    switch connection.pointee.socket.transmit(bytes) {
    case .bytes(bytes.count): return true
    case .bytes(let count):
      connection.pointee.unsent.replace(with: UnsafeRawBufferPointer(rebasing: bytes[count...]))
    case .wouldBlock: connection.pointee.unsent.replace(with: bytes)
    case .ended: return false
    }
    begin(.stall, connection, at: now)
    return true
  }

  /// Sends what is unsent, as far as the socket takes it.
  ///
  /// - Returns: whether the peer is still there.
  mutating func sendUnsent(_ connection: UnsafeMutablePointer<Connection>) -> Bool {
    switch connection.pointee.socket.transmit(connection.pointee.unsent.bytes) {
    case .bytes(let count):
      connection.pointee.unsent.removeFirst(count)
      begin(.stall, connection, at: Instant.now())
      return true
    case .wouldBlock: return true
    case .ended: return false
    }
  }

  /// Sends an error that answers no request, if there is room for it; the end follows.
  mutating func say(_ code: ErrorCode, to connection: UnsafeMutablePointer<Connection>) {
    guard connection.pointee.unsent.isEmpty else { return }
    var writer = WireWriter(output)
    ErrorReply(code: code.rawValue, text: code.name).encode(id: 0, into: &writer)
    _ = connection.pointee.socket.transmit(writer.bytes)
  }

  // MARK: What a connection waits for

  /// After a turn: closes a connection that has nothing left to do, or has the poller report what
  /// it goes on with.
  @inline(__always) mutating func settle(
    _ connection: UnsafeMutablePointer<Connection>, _ token: UInt64
  ) {
    let isSent = connection.pointee.unsent.isEmpty
    if isSent && connection.pointee.isEnding { return end(token) }
    let interest: Poller.Events = isSent ? .input : .output
    guard connection.pointee.interest != interest else { return }
    connection.pointee.interest = interest
    poller.change(connection.pointee.socket.number, interest, token: token)
  }

  /// Starts the deadline of a wait, in place of the one before. A hello's goes on until it came.
  @inline(__always) mutating func begin(
    _ wait: Connection.Wait, _ connection: UnsafeMutablePointer<Connection>, at now: Instant
  ) {
    let before = connection.pointee.wait
    if before == .hello && connection.pointee.session.phase == .awaitingHello { return }
    let length: UInt64
    switch wait {
    case .nothing: length = 0
    case .hello: length = deadlines.hello
    case .frame: length = deadlines.frame
    case .stall: length = deadlines.stall
    }
    if before == .nothing { waitCount += 1 }
    if wait == .nothing { waitCount -= 1 }
    connection.pointee.wait = wait
    connection.pointee.deadline = now.nanoseconds + length
  }

  /// Ends the connections that have had their time. Looks at most every `lookMilliseconds`.
  mutating func endOverdueWaits() {
    let now = Clock.bootNanoseconds()
    guard now >= lookedAt + UInt64(Self.lookMilliseconds) * 1_000_000 else { return }
    lookedAt = now
    let isOver = drainDeadline.map { now >= $0 } ?? false
    for token in connections.tokens {
      guard let connection = connections[token] else { continue }
      let isOverdue = connection.pointee.wait != .nothing && now >= connection.pointee.deadline
      guard isOverdue || isOver else { continue }
      say(isOver ? .shuttingDown : .timeout, to: connection)
      end(token)
    }
  }

  /// Closes a connection; its permits return at once.
  mutating func end(_ token: UInt64) {
    guard let connection = connections[token] else { return }
    connection.pointee.session.end(in: work)
    if connection.pointee.wait != .nothing { waitCount -= 1 }
    census.leave(connection.pointee.session.peer.userID)
    // Relaxed: see the counter.
    handle.connectionCount.subtract(1, ordering: .relaxed)
    connections.remove(token)
  }

  // MARK: The end of the loop

  /// Stops listening to the peers. What they have sent is read and answered; then each connection
  /// reads an end, and closes.
  mutating func drain() {
    drainDeadline = Clock.bootNanoseconds() + deadlines.drain
    for token in connections.tokens {
      if let connection = connections[token] { drain(connection) }
    }
  }

  /// What has arrived stays readable; what the peer sends from now on fails there (EPIPE), so that
  /// it knows what was not received.
  func drain(_ connection: UnsafeMutablePointer<Connection>) {
    shutdown(connection.pointee.socket.number, Int32(SHUT_RD))
  }
}
