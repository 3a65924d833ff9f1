// Any frame of the protocol as a value that owns its bytes, so that tests can compare, store and
// make up frames. Decoding goes through the module's framing and decoders, as in the daemon and in
// clients.

import LimitProtocol

enum Direction: String, Decodable, Sendable, CaseIterable {
  case request
  case reply
}

/// `QuerySubject` with bytes of its own.
enum Subject: Equatable {
  case handle(UInt16)
  case names(tenant: [UInt8], policy: [UInt8])

  init(_ subject: QuerySubject) {
    switch subject {
    case .handle(let handle): self = .handle(handle)
    case .names(let tenant, let policy):
      self = .names(tenant: Array(tenant), policy: Array(policy))
    }
  }
}

/// `BatchItem` with bytes of its own.
struct Item: Equatable {
  var handle: UInt16
  var cost: UInt64
  var key: [UInt8]
}

enum Body: Equatable {
  case empty
  case number(UInt64)
  case hello(HelloRequest)
  case bind(handle: UInt16, tenant: [UInt8], policy: [UInt8])
  case query(Subject, cost: UInt64, key: [UInt8])
  case settle(Subject, cost: UInt64, actual: UInt64, WireReceipt, key: [UInt8])
  case batch([Item])
  case helloReply(HelloReply)
  case bindReply(BindReply)
  case decision(DecisionRecord, permit: UInt64?)
  case batchReply([DecisionRecord])
  case error(ErrorReply)
}

struct AnyFrame: Equatable {
  var operation: UInt8
  var id: UInt32
  var body: Body
}

extension AnyFrame {
  /// The frame at the front of `bytes`, read where an overread is noticed.
  ///
  /// - Returns: `nil` where there is no whole frame, none of a known operation, or none that its
  ///   decoder takes.
  /// - Throws: `ProtocolError`.
  static func decode(_ bytes: [UInt8], _ direction: Direction) throws -> AnyFrame? {
    try withExactMemory(bytes) { memory in
      let framing = Framing.next(in: memory, lengthMax: FrameHeader.lengthMax)
      guard case .frame(let header, let body) = framing else { return nil }
      let decoded =
        switch direction {
        case .request: try Body(requestOf: header.operation, body)
        case .reply: try Body(replyOf: header.operation, body)
        }
      return decoded.map { AnyFrame(operation: header.operation, id: header.id, body: $0) }
    }
  }
}

extension Body {
  init?(requestOf operation: UInt8, _ bytes: UnsafeRawBufferPointer) throws {
    guard let operation = Operation(rawValue: operation) else { return nil }
    switch operation {
    case .hello: self = .hello(try HelloRequest(bytes))
    case .ping:
      try EmptyFrame.decode(bytes)
      self = .empty
    case .bind:
      let bind = try BindRequest(bytes)
      self = .bind(handle: bind.handle, tenant: Array(bind.tenant), policy: Array(bind.policy))
    case .check, .peek, .acquire: self.init(try QueryRequest(byHandle: bytes))
    case .checkByName, .peekByName, .acquireByName: self.init(try QueryRequest(byName: bytes))
    case .release, .setClock: self = .number(try NumberRequest.decode(bytes))
    case .settle, .settleByName:
      let settle = try SettleRequest(bytes, isByName: operation == .settleByName)
      self = .settle(
        Subject(settle.subject), cost: settle.cost, actual: settle.actual, settle.receipt,
        key: Array(settle.key))
    case .batch:
      let batch = try BatchRequest(bytes)
      var items: [Item] = []
      var reader = WireReader(
        UnsafeRawBufferPointer(rebasing: bytes[BatchRequest.countByteCount...]))
      while let item = BatchItem(&reader) {
        items.append(Item(handle: item.handle, cost: item.cost, key: Array(item.key)))
      }
      precondition(items.count == batch.count, "a batch has the items that it counts")
      self = .batch(items)
    }
  }

  private init(_ query: QueryRequest) {
    self = .query(Subject(query.subject), cost: query.cost, key: Array(query.key))
  }

  init?(replyOf number: UInt8, _ bytes: UnsafeRawBufferPointer) throws {
    if number == Operation.error {
      self = .error(try ErrorReply(bytes))
      return
    }
    guard number >= Operation.reply, let operation = Operation(rawValue: number - Operation.reply)
    else { return nil }
    var reader = WireReader(bytes)
    switch operation {
    case .hello: self = .helloReply(try HelloReply(bytes))
    case .bind: self = .bindReply(try BindReply(bytes))
    case .ping, .release, .settle, .settleByName, .setClock: self = .empty
    case .check, .peek, .checkByName, .peekByName:
      guard let record = DecisionRecord(&reader) else { return nil }
      self = .decision(record, permit: nil)
    case .acquire, .acquireByName:
      guard let record = DecisionRecord(&reader), let permit = reader.read(UInt64.self) else {
        return nil
      }
      self = .decision(record, permit: permit)
    case .batch:
      guard let count = BatchReply.decodeStart(&reader) else { return nil }
      var records: [DecisionRecord] = []
      for _ in 0..<count {
        guard let record = DecisionRecord(&reader) else { return nil }
        records.append(record)
      }
      self = .batchReply(records)
    }
  }
}

/// Calls `body` with the bytes in a heap allocation of exactly their size, at whose ends
/// AddressSanitizer keeps watch.
func withExactMemory<Result>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws -> Result
) rethrows -> Result {
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
  defer { memory.deallocate() }
  memory.copyBytes(from: bytes)
  return try body(UnsafeRawBufferPointer(memory))
}
