// Bytes between a connection's queues and its socket. One owner at a time.

internal import LimitProtocol

enum Transfer {
  /// Most bytes received at once.
  private static let receiveBytes = 1 << 16

  /// Sends from the front of the queue.
  ///
  /// - Returns: whether all of it was sent; false where the socket takes no more now.
  static func send(_ socket: borrowing Socket, _ output: inout ByteQueue) throws(ClientError)
    -> Bool
  {
    while !output.isEmpty {
      switch socket.send(output.bytes) {
      case .moved(let count): output.consume(count)
      case .wouldBlock: return false
      case .closed: throw .connectionLost
      }
    }
    return true
  }

  /// Receives once.
  ///
  /// - Returns: whether anything came; false where nothing is there now.
  static func receive(_ socket: borrowing Socket, _ input: inout ByteQueue) throws(ClientError)
    -> Bool
  {
    switch socket.receive(into: input.reserve(receiveBytes)) {
    case .moved(let count):
      input.commit(count)
      return true
    case .wouldBlock: return false
    case .closed: throw .connectionLost
    }
  }
}

/// The first exchange of a connection.
enum Greeting {
  /// Says hello, and waits for the answer.
  static func perform<Context>(
    _ socket: borrowing Socket, _ session: inout WireSession<Context>, context: Context,
    clientName: String, until deadline: Moment
  ) throws(ClientError) -> HelloReply {
    let request = HelloRequest(clientName: clientName)
    session.request(.hello, id: 0, byteCount: request.byteCount, context: context) {
      request.encode(id: 0, into: &$0)
    }
    while true {
      _ = try Transfer.send(socket, &session.output)
      if let (reply, _) = try session.nextReply() {
        switch reply {
        case .hello(_, let hello): return hello
        case .error(_, let error): throw ClientError(error)
        default: throw .protocolViolation("hello was answered by something else")
        }
      }
      if try Transfer.receive(socket, &session.input) { continue }
      guard socket.wait(forWriting: !session.output.isEmpty, until: deadline) else {
        throw .unreachable(errno: 0, why: "no answer to hello in time")
      }
    }
  }
}

extension WireSession {
  mutating func requestBind(
    handle: UInt16, tenant: String, policy: String, id: UInt32, context: Context
  ) {
    tenant.withBytes { tenant in
      policy.withBytes { policy in
        let request = BindRequest(handle: handle, tenant: tenant, policy: policy)
        self.request(.bind, id: id, byteCount: request.byteCount, context: context) {
          request.encode(id: id, into: &$0)
        }
      }
    }
  }
}
