// One connection's side of the protocol, without its socket: bytes in, bytes out.
//
//     receive ─▶ Framing.next ─┬─▶ query: gather it (Session+Queries), decide groups of 64
//                              ├─▶ batch: the same for its items, in as many turns as it takes
//                              └─▶ anything else: decide what is gathered, then serve it
//                                  (Session+Requests)
//
// A session is used by one thread, its event loop's. It knows nothing of descriptors, deadlines or
// other sessions, so it is tested and fuzzed alone.

import LimitEngine
import LimitProtocol
import LimitRuntime

/// What a connection has said so far, and what it holds.
struct Session: ~Copyable {
  /// Bytes that any reply but a batch's fits in.
  static let replyBytesMax = 4096
  /// Bytes that a writer must have room for before a session is given input: a full group's
  /// replies and another's, whatever it is.
  static let outputBytesMin = QueryGroup.outputBytes + replyBytesMax

  enum Phase { case awaitingHello, ready }

  /// Why `receive` returned.
  enum Pause {
    /// All whole frames are served; more input is needed.
    case input
    /// The writer has no room for the next reply.
    case output
    /// The turn's units are used up.
    case units
    /// Nothing more is to be read: send what was written, then close.
    case close
  }

  struct Progress {
    /// Bytes of the input that are served, and not to be given again.
    var consumed: Int
    var pause: Pause
  }

  let peer: Peer
  let account: UserAccount
  var phase = Phase.awaitingHello
  var access: PeerAccess
  /// The turn's, as of which `access` and what bindings say are.
  var generation: UInt32
  var bindings: BindingTable
  var permits: PermitTable
  /// Items of a batch that are still to be decided: the input goes on with them.
  var batchItemsLeft = 0
  /// What the client set the clock to, where it may.
  var clock: Instant?

  init(_ peer: Peer, _ account: UserAccount, _ turn: borrowing Turn) {
    self.peer = peer
    self.account = account
    generation = turn.generation
    access = turn.rulebook.access.resolve(peer)
    bindings = BindingTable(countMax: turn.limits.handles)
    permits = PermitTable(countMax: turn.limits.permits)
  }

  deinit {
    account.giveBack(bindings.byteCount + permits.byteCount)
  }

  /// Whether the replies written so far end amid a frame, so that nothing else may be sent.
  var isAmidReply: Bool { batchItemsLeft > 0 }

  /// Serves the frames at the front of `input`, in order, and writes their replies.
  ///
  /// Allocates nothing for queries by handle or by name.
  /// - Parameter turn: its `now` read after the input arrived, its `output` with room for
  ///   `outputBytesMin`, or this returns at once.
  mutating func receive(_ input: UnsafeRawBufferPointer, _ turn: inout Turn) -> Progress {
    if generation != turn.generation { adopt(&turn) }
    var consumed = 0
    while true {
      guard turn.output.room >= Self.outputBytesMin else { return pause(.output, consumed, &turn) }
      guard turn.unitsLeft > 0 else { return pause(.units, consumed, &turn) }
      let rest = UnsafeRawBufferPointer(rebasing: input[consumed...])
      if batchItemsLeft > 0 {
        consumed &+= gatherItems(rest, &turn)
      } else if let end = serveFrames(rest, &consumed, &turn) {
        return pause(end, consumed, &turn)
      }
      if turn.group.isFull { decideGathered(&turn) }
    }
  }

  /// Serves frames until the group is full, the turn's units are used up, or a frame was served that
  /// is no check by handle.
  ///
  /// - Precondition: the group is not full.
  /// - Returns: why the input is not to be read on, if it is not.
  @inline(__always) private mutating func serveFrames(
    _ input: UnsafeRawBufferPointer, _ consumed: inout Int, _ turn: inout Turn
  ) -> Pause? {
    var start = 0
    defer { consumed &+= start }
    repeat {
      let rest = UnsafeRawBufferPointer(rebasing: input[start...])
      switch Framing.next(in: rest, lengthMax: turn.limits.frameBytes) {
      case .incomplete: return .input
      case .unreadable(let header):
        decideGathered(&turn)
        refuse(header, &turn)
        return .close
      case .frame(let header, let body):
        start &+= header.length
        do throws(ProtocolError) {
          if header.operation == Operation.check.rawValue, phase == .ready {
            // The path that must be quick; `serveOther` has the rest.
            try gather(QueryRequest(byHandle: body), .check, header, &turn)
            continue
          }
          try serveOther(header, body, &turn)
          // The items of a batch are served one by one, from the input.
          if batchItemsLeft > 0 { start &-= body.count &- BatchRequest.countByteCount }
          return nil
        } catch {
          return answer(error, header, &turn) ? nil : .close
        }
      }
    } while !turn.group.isFull && turn.unitsLeft > 0
    return nil
  }

  /// Answers a request that cannot be served.
  ///
  /// - Returns: whether the connection goes on.
  @inline(never) private mutating func answer(
    _ error: ProtocolError, _ header: FrameHeader, _ turn: inout Turn
  ) -> Bool {
    turn.unitsLeft &-= Turn.slowRequestUnits
    decideGathered(&turn)
    turn.loopCounters.countRefusal(error.code.rawValue)
    ErrorReply(error).encode(id: header.id, into: &turn.output)
    return error.code != .helloExpected
  }

  /// Decides what is gathered, and returns.
  @inline(__always) private mutating func pause(
    _ pause: Pause, _ consumed: Int, _ turn: inout Turn
  ) -> Progress {
    decideGathered(&turn)
    return Progress(consumed: consumed, pause: pause)
  }

  @inline(never) private mutating func adopt(_ turn: inout Turn) {
    access = turn.rulebook.access.resolve(peer)
    generation = turn.generation
  }

  /// Answers a frame that makes everything behind it unreadable.
  @inline(never) private func refuse(_ header: FrameHeader, _ turn: inout Turn) {
    let error =
      header.length < FrameHeader.byteCount
      ? ProtocolError(.malformed, "a frame has at least \(FrameHeader.byteCount) bytes")
      : ProtocolError(.tooLarge, "a frame has at most \(turn.limits.frameBytes) bytes here")
    turn.loopCounters.countRefusal(error.code.rawValue)
    ErrorReply(error).encode(id: header.id, into: &turn.output)
  }

  /// Ends the session: its permits return to the engine at once.
  mutating func end(_ turn: borrowing Turn) { permits.releaseAll(to: turn.engine) }
}
