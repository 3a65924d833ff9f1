// One connection, driven by hand: for load generators, replays, and whoever wants to decide alone
// what is on its way. Neither reconnects nor learns names by itself.

public import LimitProtocol

/// A connection that has had its hello.
///
/// Requests are queued, `flush` sends them, `nextReply` hands out the replies in the order of the
/// requests. One thread at a time. Allocates nothing per request or reply once its buffers have
/// grown, but for binds, hellos and errors.
public final class PipelinedConnection {
  private let socket: Socket
  private var session = WireSession<Void>()
  /// What the daemon said it accepts.
  public let hello: HelloReply

  private init(
    _ socket: consuming Socket, _ session: consuming WireSession<Void>, _ hello: HelloReply
  ) {
    self.socket = socket
    self.session = session
    self.hello = hello
  }

  /// Connects, and waits for the reply to hello; at most `connectTimeout`.
  public static func open(_ configuration: ClientConfiguration) throws(ClientError)
    -> PipelinedConnection
  {
    let deadline = Moment.after(configuration.connectTimeout)
    let socket = try Socket(
      connectingTo: configuration.socketPath, timeout: configuration.connectTimeout)
    var session = WireSession<Void>()
    let hello = try Greeting.perform(
      socket, &session, context: (), clientName: configuration.clientNameCut, until: deadline)
    return PipelinedConnection(socket, session, hello)
  }

  /// For the caller's own poll or epoll; non-blocking. Reading from it or writing to it directly is
  /// the caller's to keep apart from the functions here.
  public var descriptor: Int32 { socket.descriptor }

  /// Requests without a reply.
  public var outstanding: Int { session.outstanding }

  // MARK: Requests

  /// Binds a handle, and waits for the answer.
  ///
  /// - Precondition: no request is outstanding.
  /// - Throws: `refused` where the daemon does not know the names or has no such handle.
  public func bind(
    handle: UInt16, tenant: String, policy: String, timeout: Duration = .seconds(1)
  ) throws(ClientError) -> BindReply {
    precondition(outstanding == 0, "bind waits for its own reply only")
    try Bounds.check(tenant: tenant, policy: policy)
    session.requestBind(handle: handle, tenant: tenant, policy: policy, id: 0, context: ())
    try flush(timeout: timeout)
    switch try nextReply(timeout: timeout) {
    case .bound(_, let reply): return reply
    case .error(_, let error): throw ClientError(error)
    case .none: throw .timedOut
    default: throw .protocolViolation("a bind was answered by something else")
    }
  }

  /// Queues a check, peek or acquire of at most 65,535 key bytes.
  public func query(
    _ operation: QueryOperation, handle: UInt16, cost: UInt64, key: UnsafeRawBufferPointer,
    id: UInt32
  ) {
    let request = QueryRequest(subject: .handle(handle), cost: cost, key: key)
    session.request(operation.byHandle, id: id, byteCount: request.byteCount, context: ()) {
      request.encode(operation.byHandle, id: id, into: &$0)
    }
  }

  /// Queues a check, peek or acquire by name.
  ///
  /// - Precondition: the names are within their bounds.
  public func query(
    _ operation: QueryOperation, tenant: UnsafeRawBufferPointer, policy: UnsafeRawBufferPointer,
    cost: UInt64, key: UnsafeRawBufferPointer, id: UInt32
  ) {
    let request = QueryRequest(
      subject: .names(tenant: tenant, policy: policy), cost: cost, key: key)
    session.request(operation.byName, id: id, byteCount: request.byteCount, context: ()) {
      request.encode(operation.byName, id: id, into: &$0)
    }
  }

  /// Queues a request to decide what follows at that time; a daemon refuses it unless it was started
  /// for tests.
  public func setClock(nanoseconds: UInt64, id: UInt32) {
    session.request(.setClock, id: id, byteCount: NumberRequest.byteCount, context: ()) {
      NumberRequest.encode(.setClock, nanoseconds, id: id, into: &$0)
    }
  }

  // MARK: Sending and receiving

  /// Sends all that is queued, taking in replies meanwhile so that neither side waits for the other.
  public func flush(timeout: Duration) throws(ClientError) {
    let deadline = Moment.after(timeout)
    while !session.output.isEmpty {
      guard try Transfer.send(socket, &session.output) == false else { return }
      _ = try Transfer.receive(socket, &session.input)
      guard socket.wait(forWriting: true, until: deadline) else { throw .timedOut }
    }
  }

  /// The next reply; waits for it, or returns nil where none came in time. A timeout of zero takes
  /// only what is there.
  public func nextReply(timeout: Duration) throws(ClientError) -> PipelinedReply? {
    let deadline = Moment.after(timeout)
    while true {
      if let (reply, _) = try session.nextReply() { return reply }
      if try Transfer.receive(socket, &session.input) { continue }
      guard timeout > .zero, socket.wait(forWriting: false, until: deadline) else { return nil }
    }
  }
}
