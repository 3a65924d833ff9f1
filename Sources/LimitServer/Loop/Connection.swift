// One connection: a socket, its session, and what waits to be read or written.

import CLinux
import LimitProtocol
import LimitRuntime
import LimitSystem

/// A connection of one event loop. One thread uses it.
struct Connection: ~Copyable {
  let socket: Descriptor
  /// Whether the peer can pass descriptors with its bytes.
  let mayCarryDescriptors: Bool
  var session: Session
  var state: ConnectionState
  /// Input that is not served yet: the beginning of a frame, or frames that wait for their turn.
  var unserved = ByteStash()
  /// Replies that the socket did not take yet. While there are any, nothing is read.
  var unsent = ByteStash()
  /// How many bytes of both were told to `noteWaiting`'s counters.
  private var noted: (requests: Int, replies: Int) = (0, 0)
  /// Whether the poller was asked for `writing`, or else for `reading`.
  var isWatchedForRoom = false

  /// Reported once per change, not for as long as it lasts: the loop notes it.
  static let reading: Poller.Events = [.input, .peerClosed, .edge]
  static let writing: Poller.Events = [.input, .peerClosed, .output, .edge]

  /// Bytes that a connection takes besides what it allocates: itself, and the kernel's share.
  static var byteCount: Int { 1024 }

  init(_ socket: consuming Descriptor, _ session: consuming Session, _ state: ConnectionState) {
    mayCarryDescriptors = limitd_may_carry_descriptors(socket.number) != 0
    self.socket = socket
    self.session = session
    self.state = state
  }

  deinit { session.account.giveBack(unserved.byteCount + unsent.byteCount) }

  /// Sends what is unsent, as far as the socket takes it, then `bytes`, and keeps the rest.
  ///
  /// - Precondition: `bytes` are empty where something is unsent.
  /// - Returns: how far it came; `nil` where the peer is gone, or the user has no memory left for
  ///   what it does not read.
  @inline(__always) mutating func send(_ bytes: UnsafeRawBufferPointer) -> (
    hasSent: Bool, isSent: Bool
  )? {
    guard unsent.isEmpty else { return sendUnsent() }
    guard !bytes.isEmpty else { return (false, true) }
    switch socket.transmit(bytes) {
    case .bytes(bytes.count): return (true, true)
    case .bytes(let count):
      return keep(UnsafeRawBufferPointer(rebasing: bytes[count...])) ? (true, false) : nil
    case .wouldBlock: return keep(bytes) ? (false, false) : nil
    case .ended: return nil
    }
  }

  @inline(never) private mutating func keep(_ bytes: UnsafeRawBufferPointer) -> Bool {
    unsent.replace(with: bytes, session.account)
  }

  @inline(never) private mutating func sendUnsent() -> (hasSent: Bool, isSent: Bool)? {
    switch socket.transmit(unsent.bytes) {
    case .bytes(let count):
      unsent.removeFirst(count, session.account)
      return (count > 0, unsent.isEmpty)
    case .wouldBlock: return (false, false)
    case .ended: return nil
    }
  }

  /// Tells the loop's counters how much waits here now, or at its end nothing.
  @inline(__always) mutating func noteWaiting(_ counters: LoopCounterWriter, isEnd: Bool = false) {
    let (requests, replies) = isEnd ? (0, 0) : (unserved.count, unsent.count)
    guard requests != noted.requests || replies != noted.replies else { return }
    counters.noteWaiting(requests: requests &- noted.requests, replies: replies &- noted.replies)
    noted = (requests, replies)
  }

  /// Sends an error that answers no request, where there is room for it and it would not stand amid
  /// a reply; the end follows.
  func say(_ code: ErrorCode, _ text: String, through memory: UnsafeMutableRawBufferPointer) {
    guard unsent.isEmpty, !session.isAmidReply else { return }
    var writer = WireWriter(memory)
    ErrorReply(code: code.rawValue, text: text).encode(id: 0, into: &writer)
    _ = socket.transmit(writer.bytes)
  }
}
