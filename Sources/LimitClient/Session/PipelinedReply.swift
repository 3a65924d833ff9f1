// A reply as it came, not yet joined with names. Values; a batch's decisions point into a
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
  init(
    _ operation: Operation, id: UInt32, _ body: UnsafeRawBufferPointer
  ) throws(ClientError) {
    do throws(ProtocolError) {
      var reader = WireReader(body)
      switch operation {
      case .check, .peek, .checkByName, .peekByName:
        self = .decision(id: id, try DecisionRecord(whole: &reader), permit: 0)
      case .acquire, .acquireByName:
        let record = try DecisionRecord(whole: &reader)
        guard let permit = reader.read(UInt64.self) else {
          throw ProtocolError(.malformed, "a reply to acquire without a permit")
        }
        self = .decision(id: id, record, permit: permit)
      case .batch:
        guard let count = BatchReply.decodeStart(&reader) else {
          throw ProtocolError(.malformed, "a reply to batch ends before its items do")
        }
        self = .batch(id: id, BatchDecisions(reader, count: count))
      case .bind: self = .bound(id: id, try BindReply(body))
      case .hello: self = .hello(id: id, try HelloReply(body))
      case .ping, .release, .settle, .settleByName, .setClock:
        self = .empty(id: id, operation: operation)
      }
    } catch { throw .protocolViolation(error.text) }
  }
}

extension DecisionRecord {
  fileprivate init(whole reader: inout WireReader) throws(ProtocolError) {
    guard let record = DecisionRecord(&reader) else {
      throw ProtocolError(.malformed, "a decision is not 56 bytes, or its receipt is not one")
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

  /// The next decision, nil at the end; also where one is malformed, so compare `count` with 0. An
  /// item that was not decided has outcome `DecisionOutcome.notDecided`. O(1), no allocation.
  public mutating func next() -> DecisionRecord? {
    guard count > 0, let record = DecisionRecord(&reader) else { return nil }
    count -= 1
    return record
  }
}
