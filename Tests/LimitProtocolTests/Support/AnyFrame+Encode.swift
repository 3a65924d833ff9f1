// Writes frames with the module's encoders, into memory that has exactly the room that they say to
// need.

import LimitProtocol

extension AnyFrame {
  /// The frame's bytes.
  func encoded() -> [UInt8] {
    let operation = Operation(rawValue: operation)
    switch body {
    case .empty:
      return written(FrameHeader.byteCount) { EmptyFrame.encode(self.operation, id: id, into: &$0) }
    case .number(let number):
      return written(NumberRequest.byteCount) {
        NumberRequest.encode(operation!, number, id: id, into: &$0)
      }
    case .hello(let hello): return written(hello.byteCount) { hello.encode(id: id, into: &$0) }
    case .bind(let handle, let tenant, let policy):
      return withNames(tenant, policy) { tenant, policy in
        let bind = BindRequest(handle: handle, tenant: tenant, policy: policy)
        return written(bind.byteCount) { bind.encode(id: id, into: &$0) }
      }
    case .query(let subject, let cost, let key):
      return withSubject(subject, key) { subject, key in
        let query = QueryRequest(subject: subject, cost: cost, key: key)
        return written(query.byteCount) { query.encode(operation!, id: id, into: &$0) }
      }
    case .settle(let subject, let cost, let actual, let receipt, let key):
      return withSubject(subject, key) { subject, key in
        let settle = SettleRequest(
          subject: subject, cost: cost, actual: actual, receipt: receipt, key: key)
        return written(settle.byteCount) { settle.encode(id: id, into: &$0) }
      }
    case .batch(let items): return encoded(items)
    case .helloReply(let reply): return written(reply.byteCount) { reply.encode(id: id, into: &$0) }
    case .bindReply(let reply): return written(reply.byteCount) { reply.encode(id: id, into: &$0) }
    case .decision(let record, let permit):
      let length = permit == nil ? DecisionReply.byteCount : DecisionReply.acquireByteCount
      return written(length) {
        DecisionReply.encode(
          record, permit: permit, operation: self.operation, id: id, into: &$0)
      }
    case .batchReply(let records):
      return written(BatchReply.byteCount(records.count)) {
        BatchReply.encodeStart(count: records.count, id: id, into: &$0)
        for record in records { record.encode(into: &$0) }
      }
    case .error(let reply):
      return written(ErrorReply.byteCountMax, isFilled: false) { reply.encode(id: id, into: &$0) }
    }
  }

  private func encoded(_ items: [Item]) -> [UInt8] {
    let keyBytes = items.reduce(0) { $0 + $1.key.count }
    let length =
      BatchRequest.overheadByteCount + items.count * BatchItem.overheadByteCount + keyBytes
    return written(length) { writer in
      BatchRequest.encodeStart(count: items.count, keyBytes: keyBytes, id: id, into: &writer)
      for item in items {
        item.key.withUnsafeBytes {
          BatchItem(handle: item.handle, cost: item.cost, key: $0).encode(into: &writer)
        }
      }
    }
  }
}

/// What `body` writes into `byteCount` bytes.
private func written(
  _ byteCount: Int, isFilled: Bool = true, _ body: (inout WireWriter) -> Void
) -> [UInt8] {
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 1)
  defer { memory.deallocate() }
  var writer = WireWriter(memory)
  body(&writer)
  precondition(!isFilled || writer.room == 0, "a frame is as long as it said")
  return Array(writer.bytes)
}

private func withNames<Result>(
  _ tenant: [UInt8], _ policy: [UInt8],
  _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Result
) -> Result {
  tenant.withUnsafeBytes { tenant in policy.withUnsafeBytes { body(tenant, $0) } }
}

private func withSubject<Result>(
  _ subject: Subject, _ key: [UInt8], _ body: (QuerySubject, UnsafeRawBufferPointer) -> Result
) -> Result {
  key.withUnsafeBytes { key in
    switch subject {
    case .handle(let handle): body(.handle(handle), key)
    case .names(let tenant, let policy):
      withNames(tenant, policy) { body(.names(tenant: $0, policy: $1), key) }
    }
  }
}
