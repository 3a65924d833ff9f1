// One connection's side of the protocol, without its socket: bytes in, bytes out.
//
//     receive ─▶ Framing.next ─┬─▶ query: gather it (Session+Queries), decide groups of 64
//                              └─▶ anything else: decide what is gathered, then serve it
//                                  (Session+Requests)
//
// A session is used by one thread, its event loop's. It knows nothing of descriptors, deadlines or
// other sessions, so it is tested and fuzzed alone.

import LimitEngine
import LimitProtocol

/// What a connection has said so far, and what it holds.
struct Session: ~Copyable {
  /// Bytes that any reply but a batch's fits in.
  static let replyBytesMax = 4096

  enum Phase { case awaitingHello, ready }

  /// Why `receive` returned.
  enum Pause {
    /// All whole frames are served; more input is needed.
    case input
    /// The writer has no room for the next reply.
    case output
    /// Nothing more is to be read: send what was written, then close.
    case close
  }

  struct Progress {
    /// Bytes of the input that are served, and not to be given again.
    var consumed: Int
    var pause: Pause
  }

  let peer: Peer
  var phase = Phase.awaitingHello
  var access: PeerAccess
  /// The rulebook that `access` is from.
  var generation: UInt32
  var bindings: BindingTable
  var permits: PermitTable
  /// What the client set the clock to, where it may.
  var clock: Instant?

  init(peer: Peer, in work: borrowing Workplace) {
    self.peer = peer
    generation = work.rulebook.generation
    access = work.rulebook.access.resolve(peer)
    bindings = BindingTable(countMax: work.limits.handles)
    permits = PermitTable(countMax: work.limits.permits)
  }

  /// Serves the frames at the front of `input`, in order, and writes their replies.
  ///
  /// Allocates nothing for queries by handle or by name.
  /// - Parameters:
  ///   - now: read after the input arrived.
  ///   - output: with room for `SessionLimits.outputBytesMin`, or this returns at once.
  mutating func receive(
    _ input: UnsafeRawBufferPointer, at now: Instant, into output: inout WireWriter,
    gathering group: inout QueryGroup,
    in work: borrowing Workplace
  ) -> Progress {
    if generation != work.rulebook.generation { adopt(work.rulebook) }
    var consumed = 0
    while true {
      let rest = UnsafeRawBufferPointer(rebasing: input[consumed...])
      switch Framing.next(in: rest, lengthMax: work.limits.frameBytes) {
      case .incomplete:
        decideGathered(at: now, into: &output, gathering: &group, in: work)
        return Progress(consumed: consumed, pause: .input)
      case .unreadable(let header):
        decideGathered(at: now, into: &output, gathering: &group, in: work)
        guard output.room >= Self.replyBytesMax else {
          return Progress(consumed: consumed, pause: .output)
        }
        refuse(header, limits: work.limits, into: &output)
        return Progress(consumed: consumed, pause: .close)
      case .frame(let header, let body):
        guard makeRoom(for: header, body, at: now, in: &output, &group, work) else {
          return Progress(consumed: consumed, pause: .output)
        }
        consumed &+= header.length
        guard serve(header, body, at: now, into: &output, gathering: &group, in: work) else {
          return Progress(consumed: consumed, pause: .close)
        }
      }
    }
  }

  /// Sees to room for the reply to a frame and to everything gathered before it, deciding that
  /// first where it must.
  @inline(__always) private mutating func makeRoom(
    for header: FrameHeader, _ body: UnsafeRawBufferPointer, at now: Instant,
    in output: inout WireWriter, _ group: inout QueryGroup, _ work: borrowing Workplace
  ) -> Bool {
    if group.isFull { decideGathered(at: now, into: &output, gathering: &group, in: work) }
    if header.operation == Operation.batch.rawValue {
      decideGathered(at: now, into: &output, gathering: &group, in: work)
      return output.room >= work.limits.outputBytesMin
    }
    return output.room >= QueryGroup.outputBytes + Self.replyBytesMax || group.count > 0
  }

  /// Serves one frame.
  ///
  /// - Returns: whether the connection goes on.
  @inline(__always) private mutating func serve(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer, at now: Instant,
    into output: inout WireWriter, gathering group: inout QueryGroup,
    in work: borrowing Workplace
  ) -> Bool {
    do throws(ProtocolError) {
      if header.operation == Operation.check.rawValue, phase == .ready {
        // The path that must be quick; `serveOther` has the rest.
        try gather(QueryRequest(byHandle: body), .check, header, gathering: &group, in: work)
        return true
      }
      return try serveOther(header, body, at: now, into: &output, gathering: &group, in: work)
    } catch {
      decideGathered(at: now, into: &output, gathering: &group, in: work)
      ErrorReply(error).encode(id: header.id, into: &output)
      return error.code != .helloExpected
    }
  }

  @inline(never) private mutating func adopt(_ rulebook: Rulebook) {
    access = rulebook.access.resolve(peer)
    generation = rulebook.generation
  }

  /// Answers a frame that makes everything behind it unreadable.
  @inline(never) private func refuse(
    _ header: FrameHeader, limits: SessionLimits, into output: inout WireWriter
  ) {
    let error =
      header.length < FrameHeader.byteCount
      ? ProtocolError(.malformed, "a frame has at least \(FrameHeader.byteCount) bytes")
      : ProtocolError(.tooLarge, "a frame has at most \(limits.frameBytes) bytes here")
    ErrorReply(error).encode(id: header.id, into: &output)
  }

  /// Ends the session: its permits return to the engine at once.
  mutating func end(in work: borrowing Workplace) { permits.releaseAll(to: work.engine) }
}
