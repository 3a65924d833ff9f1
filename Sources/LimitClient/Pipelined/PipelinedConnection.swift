// One connection, driven by hand: for load generators, replays, and whoever wants to decide alone
// what is on its way. Neither reconnects nor learns names by itself.

public import LimitProtocol
internal import LimitSystem

/// A connection that has had its hello.
///
/// Requests are queued, `flush` sends them, `nextReply` hands out the replies in the order of the
/// requests. One thread at a time. Allocates nothing per request or reply once its buffers have
/// grown, but for binds, hellos and errors.
///
/// Every request has an id of the caller's choice, which its reply repeats; not 0, which is the
/// daemon's.
public final class PipelinedConnection {
  private static let receiveBytes = 1 << 16

  private let socket: ClientSocket
  // Unchecked: nothing here calls its caller back, so one thread at a time is all there is to check,
  // and the checks take 18 % of a load generator's time (docs/PERFORMANCE.md).
  @exclusivity(unchecked) private var session = WireSession<Void>()
  @exclusivity(unchecked) private var outgoing = ByteQueue()
  /// What the daemon said it accepts.
  @exclusivity(unchecked) public private(set) var hello: HelloReply

  private init(_ socket: ClientSocket) {
    self.socket = socket
    hello = HelloReply(
      version: .current, capabilities: 0, frameBytesMax: 0, batchItemsMax: 0, keyBytesMax: 0,
      handlesMax: 0, permitsMax: 0, roles: [], daemonVersion: "")
  }

  /// Connects, and waits for the reply to hello; at most `connectTimeout`.
  ///
  /// - Throws: `unreachable`, `unsupportedVersion`, `connectionLost`, `timedOut` or `protocolViolation`.
  @available(*, noasync)
  public static func open(_ configuration: ClientConfiguration) throws(LimitClientError)
    -> PipelinedConnection
  {
    let deadline = Moment.after(configuration.connectTimeout)
    while true {
      switch try ClientSocket.connect(to: configuration.socketPath) {
      case .connected(let socket):
        let connection = PipelinedConnection(socket)
        try connection.greet(configuration.clientNameCut, until: deadline)
        return connection
      case .queueIsFull:
        guard Moment.now < deadline else {
          throw .unreachable("its queue of connections is full")
        }
        Moment.sleep(until: .after(.milliseconds(2)))
      }
    }
  }

  private func greet(_ name: String, until deadline: Moment) throws(LimitClientError) {
    session.requestHello(clientName: name, context: ())
    do throws(LimitClientError) {
      try flush(until: deadline)
    } catch {
      // A daemon that takes nothing has said why, and that is still there to be read.
      guard error.code == .connectionLost else { throw error }
    }
    switch try nextReply(until: deadline) {
    case .hello(_, let reply):
      guard reply.version.major == ProtocolVersion.current.major else {
        throw LimitClientError(
          .unsupportedVersion, "limitd speaks protocol \(reply.version)")
      }
      hello = reply
    case .error(_, let error): throw .notGreeted(error)
    case .none: throw .unreachable("no answer to hello in time")
    default: throw .violation("hello was answered by something else")
    }
  }

  /// For the caller's own poll or epoll; non-blocking. Reading from it or writing to it directly is
  /// the caller's to keep apart from the functions here.
  public var descriptor: Int32 { socket.number }

  /// Requests without a reply.
  public var outstanding: Int { session.outstanding }

  // MARK: Requests

  /// Binds a handle, and waits for the answer.
  ///
  /// - Parameters:
  ///   - handle: below what the daemon's hello says (`hello.handlesMax`, 1,024 by default).
  ///   - tenant: 1 to 255 bytes.
  ///   - policy: 1 to 64 bytes.
  /// - Throws: `refused` where the daemon does not know the names or has no such handle;
  ///   `invalidArgument` where a request is outstanding, or a name is out of its bounds; `timedOut`,
  ///   `connectionLost` or `protocolViolation` where the answer is none.
  @available(*, noasync)
  public func bind(
    handle: UInt16, tenant: String, policy: String, timeout: Duration = .seconds(1)
  ) throws(LimitClientError) -> BindReply {
    guard outstanding == 0 else {
      throw .invalidArgument(
        "bind waits for its own reply only, and \(outstanding) are on their way")
    }
    try Bounds.check(tenant: tenant, policy: policy)
    let deadline = Moment.after(timeout)
    session.requestBind(
      handle: handle, tenant: tenant, policy: policy, id: session.nextID, context: ())
    try flush(until: deadline)
    switch try nextReply(until: deadline) {
    case .bound(_, let reply): return reply
    case .error(_, let error): throw .refused(error)
    case .none: throw .timedOut(mayHaveBeenDecided: true)
    default: throw .violation("a bind was answered by something else")
    }
  }

  /// Queues a check, peek or acquire.
  ///
  /// - Throws: `invalidArgument` for a cost, key or id out of bounds; nothing is queued then.
  public func query(
    _ operation: QueryOperation, handle: UInt16, cost: UInt64, key: UnsafeRawBufferPointer,
    id: UInt32
  ) throws(LimitClientError) {
    try check(id: id, cost: cost, key: key)
    let request = QueryRequest(subject: .handle(handle), cost: cost, key: key)
    session.request(operation.byHandle, id: id, byteCount: request.byteCount, context: ()) {
      request.encode(operation.byHandle, id: id, into: &$0)
    }
  }

  /// Queues a check, peek or acquire by name.
  ///
  /// - Throws: `invalidArgument` for names, cost, key or id out of bounds; nothing is queued then.
  public func query(
    _ operation: QueryOperation, tenant: UnsafeRawBufferPointer, policy: UnsafeRawBufferPointer,
    cost: UInt64, key: UnsafeRawBufferPointer, id: UInt32
  ) throws(LimitClientError) {
    try check(id: id, cost: cost, key: key)
    guard 1...255 ~= tenant.count, 1...64 ~= policy.count else {
      throw .invalidArgument("a tenant's name has 1 to 255 bytes, a policy's 1 to 64")
    }
    let request = QueryRequest(
      subject: .names(tenant: tenant, policy: policy), cost: cost, key: key)
    session.request(operation.byName, id: id, byteCount: request.byteCount, context: ()) {
      request.encode(operation.byName, id: id, into: &$0)
    }
  }

  /// Queues many checks in one frame.
  ///
  /// - Throws: `invalidArgument` for more items than the daemon takes, none, or an item out of its
  ///   bounds; nothing is queued then.
  public func batch(_ items: [BatchItem], id: UInt32) throws(LimitClientError) {
    guard 1...max(1, Int(hello.batchItemsMax)) ~= items.count else {
      throw .invalidArgument("a batch has 1 to \(hello.batchItemsMax) items here")
    }
    var keyBytes = 0
    for item in items {
      try check(id: id, cost: item.cost, key: item.key)
      keyBytes += item.key.count
    }
    let byteCount =
      BatchRequest.overheadByteCount + items.count * BatchItem.overheadByteCount + keyBytes
    guard byteCount <= Int(hello.frameBytesMax) else {
      throw .invalidArgument("a frame has at most \(hello.frameBytesMax) bytes here")
    }
    session.request(
      .batch, id: id, detail: UInt16(items.count), byteCount: byteCount, context: ()
    ) { writer in
      BatchRequest.encodeStart(count: items.count, keyBytes: keyBytes, id: id, into: &writer)
      for item in items { item.encode(into: &writer) }
    }
  }

  /// Queues the release of a permit. Throws `invalidArgument` where the id is 0.
  public func release(permit: UInt64, id: UInt32) throws(LimitClientError) {
    try number(.release, permit, id: id)
  }

  /// Queues a request to decide what follows at that time; a daemon refuses it unless it was started
  /// for tests. Throws `invalidArgument` where the id is 0.
  public func setClock(nanoseconds: UInt64, id: UInt32) throws(LimitClientError) {
    try number(.setClock, nanoseconds, id: id)
  }

  private func number(_ operation: Operation, _ number: UInt64, id: UInt32)
    throws(LimitClientError)
  {
    try check(id: id)
    session.request(operation, id: id, byteCount: NumberRequest.byteCount, context: ()) {
      NumberRequest.encode(operation, number, id: id, into: &$0)
    }
  }

  @inline(__always) private func check(
    id: UInt32, cost: UInt64 = 0, key: UnsafeRawBufferPointer = .init(start: nil, count: 0)
  ) throws(LimitClientError) {
    guard id != 0, cost <= QueryRequest.costMax, key.count <= Int(hello.keyBytesMax) else {
      throw Self.refusal(id, cost, keyBytes: key.count, max: Int(hello.keyBytesMax))
    }
  }

  @inline(never) private static func refusal(
    _ id: UInt32, _ cost: UInt64, keyBytes: Int, max: Int
  ) -> LimitClientError {
    do throws(LimitClientError) {
      try Bounds.check(cost: cost)
      try Bounds.check(keyBytes: keyBytes, max: max)
    } catch {
      return error
    }
    return .invalidArgument("id 0 is the daemon's")
  }

  // MARK: Sending and receiving

  /// Sends all that is queued, taking in replies meanwhile so that neither side waits for the other.
  ///
  /// - Throws: `timedOut`, after which the rest is still queued, or `connectionLost`.
  @available(*, noasync)
  public func flush(timeout: Duration) throws(LimitClientError) {
    try flush(until: .after(timeout))
  }

  private func flush(until deadline: Moment) throws(LimitClientError) {
    while true {
      if outgoing.isEmpty { session.takeOutput(&outgoing) }
      guard !outgoing.isEmpty else { return }
      switch socket.send(outgoing.bytes) {
      case .bytes(let count):
        outgoing.consume(count)
        session.sent(count)
      case .ended: throw .connectionLost(mayHaveBeenDecided: true)
      case .wouldBlock:
        if try receive() { continue }
        guard socket.wait(forWriting: true, until: deadline) else {
          throw .timedOut(mayHaveBeenDecided: true)
        }
      }
    }
  }

  /// The next reply; waits for it, or returns nil where none came in time. A timeout of zero takes
  /// only what is there.
  ///
  /// - Throws: `connectionLost` or `protocolViolation`; the connection is of no use any more.
  @available(*, noasync)
  public func nextReply(timeout: Duration) throws(LimitClientError) -> PipelinedReply? {
    if let reply = try session.nextReply() { return reply.reply }
    return try nextReply(until: timeout > .zero ? .after(timeout) : .distantPast)
  }

  private func nextReply(until deadline: Moment) throws(LimitClientError) -> PipelinedReply? {
    while true {
      if let reply = try session.nextReply() { return reply.reply }
      if try receive() { continue }
      guard deadline > .distantPast, socket.wait(forWriting: false, until: deadline) else {
        return nil
      }
    }
  }

  /// - Returns: whether anything came.
  private func receive() throws(LimitClientError) -> Bool {
    switch socket.receive(into: session.input.reserve(Self.receiveBytes)) {
    case .bytes(let count, _):
      session.input.commit(count)
      return true
    case .wouldBlock: return false
    case .ended: throw .connectionLost(mayHaveBeenDecided: true)
    }
  }
}
