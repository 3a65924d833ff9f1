// Requests to bytes, bytes to replies, matched in order: what all clients share. No socket, no
// clock, no names. One owner at a time.

internal import LimitProtocol

/// A connection's frames. Each request leaves behind what is expected of its reply, with whatever
/// `Context` its owner wants to have back with it.
struct WireSession<Context>: ~Copyable {
  /// To be sent.
  var output = ByteQueue()
  /// Received.
  var input = ByteQueue()
  private var expected = RingQueue<Expected>()

  private struct Expected {
    var id: UInt32
    var operation: Operation
    /// Where its frame began in all that was ever put out.
    var start: UInt64
    var context: Context
  }

  /// The longest reply that is believed: a batch of 65,535 items, or a later version's hello.
  static var replyBytesMax: Int { BatchReply.byteCount(0xFFFF) }

  /// Requests without a reply.
  var outstanding: Int { expected.count }

  /// Queues a request of `byteCount` bytes, which `encode` writes with the id given.
  mutating func request(
    _ operation: Operation, id: UInt32, byteCount: Int, context: Context,
    _ encode: (inout WireWriter) -> Void
  ) {
    expected.append(
      Expected(id: id, operation: operation, start: output.appendedTotal, context: context))
    output.append(byteCount: byteCount, encode)
  }

  /// The oldest request whose reply has not come.
  var oldest: Context? { expected.first?.context }

  /// Takes the oldest request, when the connection is over.
  ///
  /// - Returns: its context, and whether any of its bytes were sent.
  mutating func abandonFirst() -> (Context, wasSent: Bool)? {
    guard let first = expected.popFirst() else { return nil }
    return (first.context, output.consumedTotal > first.start)
  }

  /// The next whole reply in `input`, or nil. O(1), and O(bytes) for bind, hello and errors.
  ///
  /// - Throws: `protocolViolation` for what no request or no version explains, after which nothing
  ///   that follows can be read; `refused` for an error that answers no request, after which the
  ///   daemon closes.
  mutating func nextReply() throws(ClientError) -> (PipelinedReply, Context)? {
    switch Framing.next(in: input.bytes, lengthMax: Self.replyBytesMax) {
    case .incomplete: return nil
    case .unreadable(let header):
      throw .protocolViolation("a frame of \(header.length) bytes")
    case .frame(let header, let body):
      // The bytes stay where they are until the next time that room is reserved for more.
      input.consume(header.length)
      return try take(header, body)
    }
  }

  private mutating func take(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer
  ) throws(ClientError) -> (PipelinedReply, Context) {
    if header.operation == Operation.error, header.id == 0 {
      throw ClientError(try Self.decode { () throws(ProtocolError) in try ErrorReply(body) })
    }
    guard let request = expected.popFirst() else {
      throw .protocolViolation("a reply to nothing, with id \(header.id)")
    }
    guard header.id == request.id else {
      throw .protocolViolation("a reply with id \(header.id) where \(request.id) was next")
    }
    if header.operation == Operation.error {
      let error = try Self.decode { () throws(ProtocolError) in try ErrorReply(body) }
      return (.error(id: header.id, error), request.context)
    }
    guard header.operation == request.operation.replyNumber else {
      throw .protocolViolation("operation \(header.operation) in reply to \(request.operation)")
    }
    return (try PipelinedReply(request.operation, id: header.id, body), request.context)
  }

  private static func decode<Body>(
    _ body: () throws(ProtocolError) -> Body
  ) throws(ClientError) -> Body {
    do { return try body() } catch { throw .protocolViolation(error.text) }
  }
}
