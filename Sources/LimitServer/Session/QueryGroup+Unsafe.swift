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

/// What is remembered of a decision until its group is sampled.
struct PendingResult: BitwiseCopyable {
  var retryAfter: Nanoseconds
  var reason: Decision.Reason
  var place: UInt8
}

/// The part of it that says whether it is looked at: two bytes, so that a group's are seen at a glance.
struct PendingMark: BitwiseCopyable {
  /// `nil`: nothing was decided; a peek, or what could not be.
  var outcome: Decision.Outcome?
  var flags: Decision.Flags

  /// 0 where the query was admitted, and nothing else is to be said of it.
  @inline(__always) fileprivate var bits: UInt16 { unsafeBitCast(self, to: UInt16.self) }
}

/// Room for a group.
struct QueryGroup: ~Copyable {
  static let capacity = 64
  /// Bytes that the replies to a full group take at most.
  static let outputBytes = capacity * DecisionReply.acquireByteCount

  private let entries = UnsafeMutablePointer<PendingQuery>.allocate(capacity: capacity)
  /// Of those that are decided; apart, so that a query stays one cache line.
  private let names = UnsafeMutablePointer<PendingNames>.allocate(capacity: capacity)
  private let marks = UnsafeMutablePointer<PendingMark>.allocate(capacity: capacity)
  private let results = UnsafeMutablePointer<PendingResult>.allocate(capacity: capacity)
  private(set) var count = 0
  /// Queries decided so far.
  var decisionCount: UInt64 = 0
  /// How many of them ask for a permit.
  private(set) var acquireCount = 0

  deinit {
    entries.deallocate()
    names.deallocate()
    marks.deallocate()
    results.deallocate()
  }

  @inline(__always) var isFull: Bool { count == Self.capacity }

  /// - Precondition: the group is not full.
  @inline(__always) mutating func append(_ query: PendingQuery, _ names: PendingNames) {
    (self.names + count).initialize(to: names)
    append(query)
  }

  /// Adds what is not decided.
  ///
  /// - Precondition: the group is not full.
  @inline(__always) mutating func append(_ query: PendingQuery) {
    (entries + count).initialize(to: query)
    count &+= 1
    if query.kind == .acquire { acquireCount &+= 1 }
  }

  @inline(__always) subscript(place: Int) -> UnsafePointer<PendingQuery> {
    UnsafePointer(entries + place)
  }

  /// Remembers the decision on the query at `place`.
  @inline(__always) func note(_ decision: Decision, of place: Int) {
    marks[place] = PendingMark(outcome: decision.outcome, flags: decision.flags)
    results[place] = PendingResult(
      retryAfter: decision.retryAfter, reason: decision.reason, place: decision.place)
  }

  /// Remembers that nothing was decided on the query at `place`.
  @inline(__always) func noteNone(of place: Int) {
    marks[place] = PendingMark(outcome: nil, flags: [])
  }

  /// Whether all were admitted, and nothing else is to be said of any.
  @inline(__always) var isPlain: Bool {
    var bits: UInt16 = 0
    for place in 0..<count { bits |= marks[place].bits }
    return bits == 0
  }

  /// Of a query that is decided.
  func names(of place: Int) -> PendingNames { names[place] }

  /// Of a query that was decided on.
  @inline(__always) func tenant(of place: Int) -> Tenant {
    entries[place].query.unsafelyUnwrapped.tenant
  }

  @inline(__always) func mark(of place: Int) -> PendingMark { marks[place] }

  /// Of a query that was decided on.
  func result(of place: Int) -> PendingResult { results[place] }

  @inline(__always) mutating func removeAll() {
    count = 0
    acquireCount = 0
  }
}
