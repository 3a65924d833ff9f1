// Queries: gathered with their memory on its way, then decided together, in order.

import LimitEngine
import LimitPolicy
import LimitProtocol
import LimitRuntime

extension Session {
  /// Adds a query to the group.
  ///
  /// - Precondition: the group is not full.
  @inline(__always) mutating func gather(
    _ request: QueryRequest, _ kind: PendingQuery.Kind, _ header: FrameHeader, _ turn: inout Turn
  ) throws(ProtocolError) {
    guard request.key.count <= turn.limits.keyBytes else { throw .keyTooLong(turn.limits) }
    let target = try resolve(request.subject, for: .query, &turn)
    if kind == .acquire { try makeRoomForPermit(&turn) }
    append(
      target, key: request.key, cost: request.cost, kind, id: header.id,
      reply: header.operation | Operation.reply, &turn)
  }

  @inline(__always) private func append(
    _ target: Target, key: UnsafeRawBufferPointer, cost: UInt64, _ kind: PendingQuery.Kind,
    id: UInt32, reply: UInt8, _ turn: inout Turn
  ) {
    let query = Query(
      tenant: target.tenant, policy: target.policy, key: target.tenant.fingerprint(ofKey: key),
      cost: cost)
    turn.engine.prefetch(query, under: turn.policies)
    turn.unitsLeft &-= Int(target.limitCount)
    turn.group.append(
      PendingQuery(query: query, id: id, kind: kind, reply: reply, counters: target.counters),
      PendingNames(target, key: key))
  }

  /// Sees to a place for one more permit than the connection holds and has asked for.
  @inline(never) private mutating func makeRoomForPermit(
    _ turn: inout Turn
  ) throws(ProtocolError) {
    let wanted = permits.count + turn.group.acquireCount + 1
    guard wanted <= turn.limits.permits else {
      throw ProtocolError(
        .limitReached, "this connection holds \(turn.limits.permits) permits, the most it may")
    }
    guard permits.reserve(wanted, account) else { throw .noMemory }
  }

  /// Decides the gathered queries in order, and writes their replies.
  @inline(__always) mutating func decideGathered(_ turn: inout Turn) {
    if turn.group.count > 0 { decideGroup(at: clock ?? turn.now, &turn) }
  }

  @inline(never) private mutating func decideGroup(at now: Instant, _ turn: inout Turn) {
    let count = turn.group.count
    var decisionCount = count
    for place in 0..<count {
      let pending = turn.group[place]
      guard let query = pending.pointee.query else {
        DecisionRecord(notDecided: pending.pointee.error).encode(into: &turn.output)
        turn.group.noteNone(of: place)
        decisionCount &-= 1
        continue
      }
      switch pending.pointee.kind {
      case .check, .batchItem: break
      case .peek:
        Self.peek(query, place, at: now, &turn)
        continue
      case .acquire:
        acquire(query, place, at: now, &turn)
        continue
      }
      var decision = turn.engine.check(query, under: turn.policies, at: now)
      // Before anything else reads the decision: so it stays where it is, and a call less spills it.
      if decision.outcome == .allow { turn.policies.mark(&decision.receipt, of: query) }
      turn.counters.count(decision, cost: query.cost, in: pending.pointee.counters)
      turn.group.note(decision, of: place)
      let record = DecisionRecord(decision)
      if pending.pointee.kind == .batchItem {
        record.encode(into: &turn.output)
      } else {
        DecisionReply.encode(
          record, permit: nil, operation: pending.pointee.reply, id: pending.pointee.id,
          into: &turn.output)
      }
    }
    turn.group.decisionCount &+= UInt64(decisionCount)
    turn.sampleGroup(at: now)
    turn.group.removeAll()
  }

  @inline(never) private static func peek(
    _ query: Query, _ place: Int, at now: Instant, _ turn: inout Turn
  ) {
    let pending = turn.group[place]
    let decision = turn.engine.peek(query, under: turn.policies, at: now)
    turn.group.noteNone(of: place)
    DecisionReply.encode(
      DecisionRecord(decision), permit: nil, operation: pending.pointee.reply,
      id: pending.pointee.id, into: &turn.output)
  }

  @inline(never) private mutating func acquire(
    _ query: Query, _ place: Int, at now: Instant, _ turn: inout Turn
  ) {
    let pending = turn.group[place]
    var acquisition = turn.engine.acquire(query, under: turn.policies, at: now)
    var decision = acquisition.decision
    turn.counters.count(decision, cost: query.cost, in: pending.pointee.counters)
    turn.group.note(decision, of: place)
    if decision.outcome == .allow { turn.policies.mark(&decision.receipt, of: query) }
    var number: UInt64 = 0
    // One that holds nothing takes no place.
    if let permit = acquisition.takePermit(), permit.count > 0 { number = permits.insert(permit) }
    DecisionReply.encode(
      DecisionRecord(decision), permit: number,
      operation: pending.pointee.reply, id: pending.pointee.id, into: &turn.output)
  }

  // MARK: Batches

  /// Begins the reply to a batch; its items are gathered from the input.
  ///
  /// - Precondition: nothing is gathered.
  mutating func beginBatch(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer, _ turn: inout Turn
  ) throws(ProtocolError) {
    let batch = try BatchRequest(body)
    guard batch.count <= turn.limits.batchItems else {
      throw ProtocolError(.tooLarge, "a batch has at most \(turn.limits.batchItems) items here")
    }
    BatchReply.encodeStart(count: batch.count, id: header.id, into: &turn.output)
    batchItemsLeft = batch.count
  }

  /// Adds the items at the front of `input` to the group: until it is full, the turn's units are
  /// used up, or there are no more.
  ///
  /// - Precondition: the group is not full, and the items are there, as `beginBatch` has seen.
  /// - Returns: the items' bytes.
  mutating func gatherItems(_ input: UnsafeRawBufferPointer, _ turn: inout Turn) -> Int {
    var reader = WireReader(input)
    repeat {
      guard let item = BatchItem(&reader) else {
        preconditionFailure("the bytes of a batch stay until it is served")
      }
      batchItemsLeft &-= 1
      gather(item, &turn)
    } while batchItemsLeft > 0 && !turn.group.isFull && turn.unitsLeft > 0
    return input.count &- reader.count
  }

  @inline(__always) private mutating func gather(_ item: BatchItem, _ turn: inout Turn) {
    do throws(ProtocolError) {
      guard item.key.count <= turn.limits.keyBytes else { throw .keyTooLong(turn.limits) }
      let target = try resolve(.handle(item.handle), for: .query, &turn)
      append(target, key: item.key, cost: item.cost, .batchItem, id: 0, reply: 0, &turn)
    } catch {
      turn.unitsLeft &-= 1
      turn.loopCounters.countRefusal(error.code.rawValue)
      turn.group.append(.notDecided(error.code))
    }
  }
}

extension PendingQuery {
  /// An item of a batch that keeps its place without being decided.
  fileprivate static func notDecided(_ error: ErrorCode) -> PendingQuery {
    PendingQuery(query: nil, id: 0, kind: .batchItem, reply: 0, counters: error.rawValue)
  }
}

extension ProtocolError {
  @inline(never) static func keyTooLong(_ limits: SessionLimits) -> ProtocolError {
    ProtocolError(.tooLarge, "a key has at most \(limits.keyBytes) bytes here")
  }

  @inline(never) static var noMemory: ProtocolError {
    ProtocolError(.limitReached, "this user's connections hold all the memory that they may")
  }
}
