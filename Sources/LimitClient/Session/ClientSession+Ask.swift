// Questions to requests. One owner at a time.

internal import LimitProtocol

extension ClientSession {
  /// Queues a question.
  ///
  /// - Precondition: `isReady`; the question's names and costs are within their bounds.
  /// - Returns: the number of its request.
  /// - Throws: `invalidArgument` for a key that the daemon does not take, `overloaded` where too
  ///   much waits to be sent. Nothing was queued then.
  mutating func ask(_ question: Question, _ waiter: Waiter) throws(LimitClientError)
    -> UInt64
  {
    guard wire.hasRoom else {
      throw LimitClientError(.overloaded, "too many requests wait to be sent to limitd")
    }
    switch question {
    case .query(let operation, let query): return try ask(operation, query, waiter)
    case .settle(let receipt, let actual): return try settle(receipt, actual, waiter)
    case .ping:
      return request(.ping, FrameHeader.byteCount, waiter, .other) { id, writer in
        EmptyFrame.encode(Operation.ping.rawValue, id: id, into: &writer)
      }
    case .limits(let tenant, let policy): return try limits(tenant, policy, waiter)
    }
  }

  /// Queues a query, by its handle where the daemon has confirmed it, else by its names.
  mutating func ask(_ operation: QueryOperation, _ query: LimitQuery, _ waiter: Waiter)
    throws(LimitClientError) -> UInt64
  {
    let keyBytesMax = keyBytesMax
    return try query.key.withBytes { key throws(LimitClientError) in
      try Bounds.check(keyBytes: key.count, max: keyBytesMax)
      guard let binding = bindingForUse(tenant: query.tenant, policy: query.policy) else {
        return askByName(operation, query, key, nil, waiter)
      }
      guard binding.state == .confirmed else {
        return askByName(operation, query, key, binding, waiter)
      }
      let frame = QueryRequest(subject: .handle(binding.handle), cost: query.cost, key: key)
      return request(operation.byHandle, frame.byteCount, waiter, .query, binding) { id, writer in
        frame.encode(operation.byHandle, id: id, into: &writer)
      }
    }
  }

  private mutating func askByName(
    _ operation: QueryOperation, _ query: LimitQuery, _ key: UnsafeRawBufferPointer,
    _ binding: Binding?, _ waiter: Waiter
  ) -> UInt64 {
    query.withNames { names in
      let frame = QueryRequest(subject: names, cost: query.cost, key: key)
      return request(operation.byName, frame.byteCount, waiter, .query, binding) { id, writer in
        frame.encode(operation.byName, id: id, into: &writer)
      }
    }
  }

  private var keyBytesMax: Int { Int(hello?.keyBytesMax ?? 0) }

  /// The binding of these names; queues its bind where the daemon was not asked yet.
  mutating func bindingForUse(tenant: String, policy: String) -> Binding? {
    let binding = handles.binding(tenant: tenant, policy: policy)
    if let binding, binding.state == .unbound { queueBind(binding, waiter: nil) }
    return binding
  }

  mutating func queueBind(_ binding: Binding, waiter: Waiter?) {
    if binding.state != .confirmed { binding.state = .asked }
    wire.requestBind(
      handle: binding.handle, tenant: binding.tenant, policy: binding.policy, id: wire.nextID,
      context: Expectation(waiter: waiter, purpose: .bind, binding: binding))
  }

  /// Always asks, so that a reload is never missed.
  private mutating func limits(_ tenant: String, _ policy: String, _ waiter: Waiter)
    throws(LimitClientError) -> UInt64
  {
    guard let binding = handles.binding(tenant: tenant, policy: policy) else {
      throw LimitClientError(.refused, "limitd has no handles for this connection")
    }
    let sequence = wire.nextSequence
    queueBind(binding, waiter: waiter)
    return sequence
  }

  private mutating func settle(_ receipt: LimitReceipt, _ actual: UInt64, _ waiter: Waiter)
    throws(LimitClientError) -> UInt64
  {
    let keyBytesMax = keyBytesMax
    return try receipt.query.key.withBytes { key throws(LimitClientError) in
      try Bounds.check(keyBytes: key.count, max: keyBytesMax)
      return receipt.query.withNames { names in
        let frame = SettleRequest(
          subject: names, cost: receipt.query.cost, actual: actual, receipt: receipt.wire, key: key)
        return request(.settleByName, frame.byteCount, waiter, .other) { id, writer in
          frame.encode(id: id, into: &writer)
        }
      }
    }
  }

  @inline(__always) mutating func request(
    _ operation: Operation, _ byteCount: Int, detail: UInt16 = 0, _ waiter: Waiter,
    _ purpose: Purpose, _ binding: Binding? = nil, _ encode: (UInt32, inout WireWriter) -> Void
  ) -> UInt64 {
    let sequence = wire.nextSequence
    let id = wire.nextID
    wire.request(
      operation, id: id, detail: detail, byteCount: byteCount,
      context: Expectation(waiter: waiter, purpose: purpose, binding: binding)
    ) { encode(id, &$0) }
    return sequence
  }
}

extension LimitQuery {
  func withNames<Result>(_ body: (QuerySubject) -> Result) -> Result {
    tenant.withBytes { tenant in
      policy.withBytes { policy in body(.names(tenant: tenant, policy: policy)) }
    }
  }
}
