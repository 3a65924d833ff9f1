// Queries that wait to be decided together. One per event loop; one thread uses it.
//
// A batch of queries is read, hashed and prefetched first, then decided: so it waits for memory
// once, not once per query (Engine.prefetch).

import LimitEngine
import LimitProtocol

/// What is asked of a query of a group, and where its answer goes.
struct PendingAnswer: BitwiseCopyable {
  enum Kind: UInt8, BitwiseCopyable {
    case check, peek, acquire, batchItem
    /// An item of a batch that keeps its place without being decided. There is no query.
    case notDecided
  }

  /// The request's id; of no meaning in a batch.
  var id: UInt32
  var kind: Kind
  /// The number of the reply.
  var reply: UInt8
  /// Where the decision is counted; where there is no query, the number of the reason.
  var counters: UInt16

  /// Why there is no query.
  var error: ErrorCode { ErrorCode(rawValue: counters) ?? .malformed }

  /// Whether the decision is counted, sampled and, where it admits, marked: of all but a peek.
  @inline(__always) var isCounted: Bool { kind != .peek && kind != .notDecided }
}

/// What a query calls its tenant and its key. Both point into what the connection holds or has just sent,
/// and are valid until the query is decided.
struct PendingNames: BitwiseCopyable {
  var tenantStart: UnsafeRawPointer?
  var keyStart: UnsafeRawPointer?
  var keyLength: UInt32
  var tenantLength: UInt8

  @inline(__always) init(_ target: Target, key: UnsafeRawBufferPointer) {
    tenantStart = target.name
    tenantLength = target.nameLength
    keyStart = key.baseAddress
    keyLength = UInt32(truncatingIfNeeded: key.count)
  }

  var tenant: UnsafeRawBufferPointer { .init(start: tenantStart, count: Int(tenantLength)) }
  var key: UnsafeRawBufferPointer { .init(start: keyStart, count: Int(keyLength)) }
}

/// Room for a group.
struct QueryGroup: ~Copyable {
  static let capacity = 64
  /// Bytes that the replies to a full group take at most.
  static let outputBytes = capacity * DecisionReply.acquireByteCount

  private let answers = UnsafeMutablePointer<PendingAnswer>.allocate(capacity: capacity)
  // Of those that are decided:
  private let queries = UnsafeMutablePointer<Query>.allocate(capacity: capacity)
  private let names = UnsafeMutablePointer<PendingNames>.allocate(capacity: capacity)
  private let decisions = UnsafeMutablePointer<Decision>.allocate(capacity: capacity)
  /// The permits that were given, by number; 0 where none was. Of those that asked for one.
  private let permits = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
  private(set) var count = 0
  /// Queries decided so far.
  var decisionCount: UInt64 = 0
  /// Of those counted so far, how many were not admitted.
  private(set) var deniedCount = 0
  /// Whether one of those counted so far may be wanted as a sample for its own sake.
  private(set) var mayHaveWanted = false
  /// How many of those that wait ask for a permit.
  private(set) var acquireCount = 0

  deinit {
    answers.deallocate()
    queries.deallocate()
    names.deallocate()
    decisions.deallocate()
    permits.deallocate()
  }

  @inline(__always) var isFull: Bool { count == Self.capacity }

  /// Adds a query.
  ///
  /// - Precondition: the group is not full.
  /// - Returns: the query, whose key may still be changed.
  @inline(__always) mutating func append(
    _ query: Query, _ names: PendingNames, _ answer: PendingAnswer
  ) -> UnsafeMutablePointer<Query> {
    (queries + count).initialize(to: query)
    (self.names + count).initialize(to: names)
    if answer.kind == .acquire { acquireCount &+= 1 }
    append(answer)
    return queries + (count &- 1)
  }

  /// Adds what is not decided.
  ///
  /// - Precondition: the group is not full.
  @inline(__always) mutating func append(_ answer: PendingAnswer) {
    (answers + count).initialize(to: answer)
    count &+= 1
  }

  @inline(__always) func answer(of place: Int) -> UnsafePointer<PendingAnswer> {
    UnsafePointer(answers + place)
  }

  /// Of what is decided.
  @inline(__always) func query(of place: Int) -> UnsafePointer<Query> {
    UnsafePointer(queries + place)
  }

  /// The decision on the query at `place`: to be initialized by whoever decides it.
  @inline(__always) func decision(of place: Int) -> UnsafeMutablePointer<Decision> {
    decisions + place
  }

  /// The permit that the query at `place` was given; 0 where none was. Of one that asked.
  @inline(__always) func permit(of place: Int) -> UnsafeMutablePointer<UInt64> { permits + place }

  /// Of a query that is decided.
  func names(of place: Int) -> PendingNames { names[place] }

  /// Counts a decision that is counted.
  ///
  /// - Parameter isWanted: whether it may be wanted as a sample for its own sake.
  @inline(__always) mutating func note(isDenied: Bool, isWanted: Bool) {
    if isDenied { deniedCount &+= 1 }
    if isWanted { mayHaveWanted = true }
  }

  @inline(__always) mutating func removeAll() {
    count = 0
    acquireCount = 0
    deniedCount = 0
    mayHaveWanted = false
  }
}
