// Queries that wait to be decided together. One per event loop; one thread uses it.
//
// A batch of queries is read, hashed and prefetched first, then decided: so it waits for memory
// once, not once per query (Engine.prefetch).

import LimitEngine
import LimitProtocol

/// One query of a group, and where its answer goes.
struct PendingQuery: BitwiseCopyable {
  enum Kind: UInt8, BitwiseCopyable { case check, peek, acquire, batchItem }

  /// `nil` where an item of a batch is not decided.
  var query: Query?
  /// The request's id; of no meaning in a batch.
  var id: UInt32
  var kind: Kind
  /// The number of the reply.
  var reply: UInt8
  /// Where the decision is counted; where there is no query, the number of the reason. A field of its
  /// own would take the value beyond a cache line.
  var counters: UInt16

  /// Why there is no query.
  var error: ErrorCode { ErrorCode(rawValue: counters) ?? .malformed }
}

/// Room for a group.
struct QueryGroup: ~Copyable {
  static let capacity = 64
  /// Bytes that the replies to a full group take at most.
  static let outputBytes = capacity * DecisionReply.acquireByteCount

  private let entries = UnsafeMutablePointer<PendingQuery>.allocate(capacity: capacity)
  private(set) var count = 0
  /// Queries decided so far.
  var decisionCount: UInt64 = 0
  /// How many of them ask for a permit.
  private(set) var acquireCount = 0

  deinit { entries.deallocate() }

  @inline(__always) var isFull: Bool { count == Self.capacity }

  /// - Precondition: the group is not full.
  @inline(__always) mutating func append(_ query: PendingQuery) {
    (entries + count).initialize(to: query)
    count &+= 1
    if query.kind == .acquire { acquireCount &+= 1 }
  }

  @inline(__always) subscript(place: Int) -> UnsafePointer<PendingQuery> {
    UnsafePointer(entries + place)
  }

  @inline(__always) mutating func removeAll() {
    count = 0
    acquireCount = 0
  }
}
