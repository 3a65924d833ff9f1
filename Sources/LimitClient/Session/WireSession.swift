// Requests to bytes, bytes to replies, matched in order: what all clients share. No socket, no
// clock, no names. One owner at a time.

internal import LimitProtocol

/// A connection's frames. Each request leaves behind what is expected of its reply, with whatever
/// `Context` its owner wants to have back with it. Requests are known by their sequence numbers,
/// which count from 1.
struct WireSession<Context>: ~Copyable {
  /// Bytes that may wait to be sent before `hasRoom` says no.
  static var outputBytesMax: Int { 1 << 20 }
  /// The longest reply that is believed: a batch of 65,535 items, or a later version's hello.
  static var replyBytesMax: Int { BatchReply.byteCount(0xFFFF) }

  /// To be sent.
  private(set) var output = ByteQueue()
  /// Received.
  var input = ByteQueue()
  private var expected = RingQueue<Expected>()
  private var firstSequence = Self.helloSequence
  /// The first request is hello.
  private static var helloSequence: UInt64 { 1 }
  /// Bytes that were ever put out, and that the kernel ever took.
  private var (queuedTotal, sentTotal): (UInt64, UInt64) = (0, 0)
  /// Where the bytes end that the kernel has taken or may be taking now.
  private var offeredTotal: UInt64 = 0

  private struct Expected {
    var id: UInt32
    var operation: Operation
    /// The handle of a bind, or the number of items of a batch.
    var detail: UInt16
    /// Where its frame began in all that was ever put out.
    var start: UInt64
    var context: Context
  }

  /// Requests without a reply.
  var outstanding: Int { expected.count }

  /// The number of the next request.
  var nextSequence: UInt64 { firstSequence + UInt64(expected.count) }

  var hasRoom: Bool { output.count < Self.outputBytesMax }

  /// Queues a request of `byteCount` bytes, which `encode` writes.
  ///
  /// - Parameters:
  ///   - id: not 0.
  ///   - detail: the handle of a bind, or the number of items of a batch.
  @inline(__always) mutating func request(
    _ operation: Operation, id: UInt32, detail: UInt16 = 0, byteCount: Int,
    context: consuming Context, _ encode: (inout WireWriter) -> Void
  ) {
    expected.append(
      Expected(
        id: id, operation: operation, detail: detail, start: queuedTotal, context: context))
    output.append(byteCount: byteCount, encode)
    queuedTotal += UInt64(byteCount)
  }

  /// Queues a batch of the items that `encode` writes; none: nothing is queued.
  ///
  /// - Parameters:
  ///   - byteCountMax: of the frame; `encode` finds room for no more.
  ///   - encode: writes items behind one another, and returns how many, 65,535 at most.
  ///   - context: for that many.
  /// - Returns: how many items.
  @inline(__always) mutating func requestBatch(
    id: UInt32, byteCountMax: Int, _ encode: (inout WireWriter) -> Int, context: (Int) -> Context
  ) -> Int {
    let start = BatchRequest.overheadByteCount
    guard byteCountMax > start else { return 0 }
    let room = output.reserve(byteCountMax)
    var items = WireWriter(UnsafeMutableRawBufferPointer(rebasing: room[start..<byteCountMax]))
    let count = encode(&items)
    guard count > 0 else { return 0 }
    var head = WireWriter(room)
    BatchRequest.encodeStart(
      count: count, keyBytes: items.count - count * BatchItem.overheadByteCount, id: id,
      into: &head)
    expected.append(
      Expected(
        id: id, operation: .batch, detail: UInt16(count), start: queuedTotal,
        context: context(count)))
    output.commit(start + items.count)
    queuedTotal += UInt64(start + items.count)
    return count
  }

  /// An id for the next request that no request shares with it for 2^32 requests.
  var nextID: UInt32 { UInt32(truncatingIfNeeded: nextSequence % 0xFFFF_FFFF) + 1 }

  /// The context of a request without a reply; nil for any other.
  func context(of sequence: UInt64) -> Context? {
    guard let offset = offset(of: sequence) else { return nil }
    return expected[offset].context
  }

  mutating func setContext(of sequence: UInt64, _ context: Context) {
    guard let offset = offset(of: sequence) else { return }
    expected[offset].context = context
  }

  /// Calls `body` with every request without a reply, oldest first. O(n).
  func forEachOutstanding(_ body: (UInt64, Context) -> Void) {
    for offset in 0..<expected.count {
      body(firstSequence + UInt64(offset), expected[offset].context)
    }
  }

  private func offset(of sequence: UInt64) -> Int? {
    guard sequence >= firstSequence, sequence < nextSequence else { return nil }
    return Int(sequence - firstSequence)
  }

  // MARK: Sending

  /// Moves what is to be sent into an empty queue. Whoever sends from there reports it by `sent`.
  mutating func takeOutput(_ outgoing: inout ByteQueue) {
    precondition(outgoing.isEmpty, "what was taken before is sent first")
    swap(&output, &outgoing)
  }

  /// The kernel is about to be given `count` bytes. Until `sent` says how many it took, any of them
  /// may be with the daemon, which may have answered or closed before the sender comes back.
  mutating func offer(_ count: Int) { offeredTotal = sentTotal + UInt64(count) }

  /// The kernel has taken `count` more bytes, and no others.
  mutating func sent(_ count: Int) {
    sentTotal += UInt64(count)
    offeredTotal = sentTotal
  }

  /// Takes the newest request, if nothing of it was sent.
  mutating func abandonLastUnsent() -> Context? {
    guard let last = expected.last, last.start >= offeredTotal else { return nil }
    return expected.popLast()?.context
  }

  /// Takes the oldest request, when the connection is over.
  ///
  /// - Returns: its context, and whether any of its bytes were sent, or may have been.
  mutating func abandonFirst() -> (Context, wasSent: Bool)? {
    guard let first = expected.popFirst() else { return nil }
    firstSequence += 1
    return (first.context, first.start < offeredTotal)
  }

  // MARK: Receiving

  /// The next whole reply in `input`, or nil. O(1), and O(bytes) for bind, hello and errors.
  ///
  /// - Throws: what no request or no version explains, after which nothing that follows can be
  ///   read; or an error that answers no request, after which the daemon closes: where it answers no hello, it
  ///   refuses the connection.
  @inline(__always) mutating func nextReply() throws(LimitClientError) -> (
    reply: PipelinedReply, context: Context, sequence: UInt64
  )? {
    switch Framing.next(in: input.bytes, lengthMax: Self.replyBytesMax) {
    case .incomplete: return nil
    case .unreadable(let header): throw .violation("a frame of \(header.length) bytes")
    case .frame(let header, let body):
      // The bytes stay where they are until the next time that room is reserved for more.
      input.consume(header.length)
      return try take(header, body)
    }
  }

  @inline(__always) private mutating func take(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer
  ) throws(LimitClientError) -> (PipelinedReply, Context, UInt64) {
    if header.operation == Operation.error, header.id == 0 {
      let error = try Self.error(body)
      // Also where the daemon has closed before it could be sent.
      throw firstSequence == Self.helloSequence ? .notGreeted(error) : .ended(error)
    }
    guard !expected.isEmpty else { throw .violation("a reply to nothing, with id \(header.id)") }
    let request = expected[0]
    guard header.id == request.id else {
      throw .violation("a reply with id \(header.id) where \(request.id) was next")
    }
    let reply: PipelinedReply
    if header.operation == Operation.error {
      reply = .error(id: header.id, try Self.error(body))
    } else {
      guard header.operation == request.operation.replyNumber else {
        throw .violation("operation \(header.operation) in reply to \(request.operation)")
      }
      reply = try PipelinedReply(request.operation, id: header.id, detail: request.detail, body)
    }
    // Only now: a reply that is none leaves its request among those that fail.
    _ = expected.popFirst()
    firstSequence += 1
    return (reply, request.context, firstSequence - 1)
  }

  @inline(never) private static func error(_ body: UnsafeRawBufferPointer) throws(LimitClientError)
    -> ErrorReply
  {
    do { return try ErrorReply(body) } catch { throw .violation(error.text) }
  }
}

extension WireSession {
  /// Queues a hello.
  mutating func requestHello(clientName: String, context: Context) {
    let request = HelloRequest(clientName: clientName)
    let id = nextID
    self.request(.hello, id: id, byteCount: request.byteCount, context: context) {
      request.encode(id: id, into: &$0)
    }
  }

  /// Queues a bind. The names are within their bounds.
  mutating func requestBind(
    handle: UInt16, tenant: String, policy: String, id: UInt32, context: Context
  ) {
    tenant.withBytes { tenant in
      policy.withBytes { policy in
        let request = BindRequest(handle: handle, tenant: tenant, policy: policy)
        self.request(
          .bind, id: id, detail: handle, byteCount: request.byteCount, context: context
        ) { request.encode(id: id, into: &$0) }
      }
    }
  }
}
