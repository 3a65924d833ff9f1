// A reply as it came, checked against its request. Values; a batch's decisions point into a
// connection's memory, and belong to the thread that has that connection.

public import LimitProtocol

/// A reply.
public enum PipelinedReply {
  /// To check and peek; to acquire, with the permit, 0 where none was given.
  case decision(id: UInt32, DecisionRecord, permit: UInt64)
  /// To ping, release, settle and set-clock, by handle or by name.
  case empty(id: UInt32, operation: Operation)
  /// To bind.
  case bound(id: UInt32, BindReply)
  /// To batch.
  case batch(id: UInt32, BatchDecisions)
  /// To hello. `PipelinedConnection` keeps this one to itself.
  case hello(id: UInt32, HelloReply)
  /// To any request: it could not be answered.
  case error(id: UInt32, ErrorReply)

  /// The request's id.
  public var id: UInt32 {
    switch self {
    case .decision(let id, _, _), .empty(let id, _), .bound(let id, _), .batch(let id, _),
      .hello(let id, _), .error(let id, _):
      id
    }
  }

  /// The body of a reply to `operation`.
  ///
  /// - Parameter detail: the handle of a bind, or the number of items of a batch.
  @inline(__always) init(
    _ operation: Operation, id: UInt32, detail: UInt16, _ body: UnsafeRawBufferPointer
  ) throws(LimitClientError) {
    switch operation {
    case .check, .peek, .checkByName, .peekByName:
      var reader = WireReader(body)
      self = .decision(id: id, try DecisionRecord(checked: &reader), permit: 0)
    default:
      do throws(ProtocolError) {
        self = try Self.other(operation, id: id, detail: detail, body)
      } catch { throw .violation(error.text) }
    }
  }

  @inline(never) private static func other(
    _ operation: Operation, id: UInt32, detail: UInt16, _ body: UnsafeRawBufferPointer
  ) throws(ProtocolError) -> PipelinedReply {
    switch operation {
    case .check, .peek, .checkByName, .peekByName, .acquire, .acquireByName:
      return try acquired(id: id, body)
    case .batch:
      var reader = WireReader(body)
      guard BatchReply.decodeStart(&reader) == Int(detail) else {
        throw ProtocolError(.malformed, "a batch of \(detail) was answered with another number")
      }
      return .batch(id: id, BatchDecisions(reader, count: Int(detail)))
    case .bind:
      let reply = try BindReply(body)
      guard reply.handle == detail else {
        throw ProtocolError(.malformed, "a bind of \(detail) was answered for \(reply.handle)")
      }
      return .bound(id: id, reply)
    case .hello: return .hello(id: id, try HelloReply(body))
    case .ping, .release, .settle, .settleByName, .setClock:
      return .empty(id: id, operation: operation)
    }
  }

  private static func acquired(id: UInt32, _ body: UnsafeRawBufferPointer) throws(ProtocolError)
    -> PipelinedReply
  {
    var reader = WireReader(body)
    guard let record = DecisionRecord(&reader), record.isAnswer,
      let permit = reader.read(UInt64.self), permit == 0 || record.outcome == .allow
    else { throw ProtocolError(.malformed, "a reply to acquire that is none") }
    return .decision(id: id, record, permit: permit)
  }
}

extension DecisionRecord {
  /// Whether this answers a query.
  @inline(__always) var isAnswer: Bool { outcome.rawValue <= DecisionOutcome.never.rawValue }

  @inline(__always) fileprivate init(checked reader: inout WireReader) throws(LimitClientError) {
    guard let record = DecisionRecord(&reader), record.isAnswer else {
      throw .violation("a decision that is none")
    }
    self = record
  }
}

/// The decisions of a batch, in the order of its items.
///
/// Points into the connection's memory: read it before anything is received again.
public struct BatchDecisions: Sequence, IteratorProtocol {
  private var reader: WireReader
  /// How many are left.
  public private(set) var count: Int

  init(_ reader: WireReader, count: Int) {
    self.reader = reader
    self.count = count
  }

  /// Those that are left, as they came.
  var bytes: UnsafeRawBufferPointer {
    var reader = reader
    return reader.readBytes(count * DecisionRecord.byteCount)
      ?? UnsafeRawBufferPointer(start: nil, count: 0)
  }

  /// The next decision, nil at the end. An item that was not decided has outcome
  /// `DecisionOutcome.notDecided`. O(1), no allocation.
  @inline(__always) public mutating func next() -> DecisionRecord? {
    guard count > 0, let record = DecisionRecord(&reader) else { return nil }
    count -= 1
    return record
  }
}
