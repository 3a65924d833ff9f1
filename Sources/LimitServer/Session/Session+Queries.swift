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
    _ request: QueryRequest, _ kind: PendingAnswer.Kind, _ header: FrameHeader, _ turn: inout Turn
  ) throws(ProtocolError) {
    guard request.key.count <= turn.limits.keyBytes else { throw .keyTooLong(turn.limits) }
    let target = try resolve(request.subject, for: .query, &turn)
    if kind == .acquire { try makeRoomForPermit(&turn) }
    append(
      target, key: request.key, cost: request.cost, kind, id: header.id,
      reply: header.operation | Operation.reply, &turn)
  }

  @inline(__always) private func append(
    _ target: Target, key: UnsafeRawBufferPointer, cost: UInt64, _ kind: PendingAnswer.Kind,
    id: UInt32, reply: UInt8, _ turn: inout Turn
  ) {
    turn.unitsLeft &-= Int(target.limitCount)
    // The key last: its hash is a call, and what is in memory before needs no register meanwhile.
    let query = turn.group.append(
      Query(
        tenant: target.tenant, policy: target.policy, key: Fingerprint(low: 0, high: 0), cost: cost),
      PendingNames(target, key: key),
      PendingAnswer(id: id, kind: kind, reply: reply, counters: target.counters))
    query.pointee.key = query.pointee.tenant.fingerprint(ofKey: key)
    turn.engine.prefetch(query, under: turn.policies)
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

  /// Decides all, then marks all receipts, then writes all replies. A charge lets the processor begin
  /// nothing else that reads memory until it is done, and a mark is a chain of steps that wait for each
  /// other: one by one between charges the marks would be waited for, together they overlap. A decision is
  /// also read long after it was written, which a processor does quicker than at once.
  @inline(never) private mutating func decideGroup(at now: Instant, _ turn: inout Turn) {
    for place in 0..<turn.group.count { decide(place, at: now, &turn) }
    for place in 0..<turn.group.count { Self.mark(place, turn) }
    turn.beginSamples()
    for place in 0..<turn.group.count { Self.answer(place, &turn) }
    turn.sampleGroup(at: now)
    turn.group.removeAll()
  }

  @inline(__always) private mutating func decide(
    _ place: Int, at now: Instant, _ turn: inout Turn
  ) {
    let (query, decision) = (turn.group.query(of: place), turn.group.decision(of: place))
    switch turn.group.answer(of: place).pointee.kind {
    case .check, .batchItem:
      turn.engine.check(query, under: turn.policies, at: now, into: decision)
    case .peek:
      decision.initialize(to: turn.engine.peek(query.pointee, under: turn.policies, at: now))
    case .acquire: acquire(place, at: now, &turn)
    case .notDecided: return
    }
    turn.group.decisionCount &+= 1
  }

  @inline(never) private mutating func acquire(_ place: Int, at now: Instant, _ turn: inout Turn) {
    var acquisition = turn.engine.acquire(
      turn.group.query(of: place).pointee, under: turn.policies, at: now)
    turn.group.decision(of: place).initialize(to: acquisition.decision)
    var number: UInt64 = 0
    // One that holds nothing takes no place.
    if let permit = acquisition.takePermit(), permit.count > 0 { number = permits.insert(permit) }
    turn.group.permit(of: place).initialize(to: number)
  }

  @inline(__always) private static func mark(_ place: Int, _ turn: borrowing Turn) {
    let decision = turn.group.decision(of: place)
    guard turn.group.answer(of: place).pointee.isCounted, decision.pointee.outcome == .allow else {
      return
    }
    let query = turn.group.query(of: place)
    turn.policies.mark(
      &decision.pointee.receipt, ofKey: query.pointee.key, under: query.pointee.policy)
  }

  /// Counts the decision at `place`, and writes the reply.
  @inline(__always) private static func answer(_ place: Int, _ turn: inout Turn) {
    let answer = turn.group.answer(of: place)
    if answer.pointee.kind == .notDecided {
      return DecisionRecord(notDecided: answer.pointee.error).encode(into: &turn.output)
    }
    let decision = turn.group.decision(of: place)
    if answer.pointee.isCounted {
      turn.counters.count(
        decision.pointee, cost: turn.group.query(of: place).pointee.cost,
        in: answer.pointee.counters)
      turn.note(decision, of: turn.group.query(of: place))
    }
    let isAcquire = answer.pointee.kind == .acquire
    if answer.pointee.kind != .batchItem {
      DecisionReply.encodeStart(
        operation: answer.pointee.reply, id: answer.pointee.id, hasPermit: isAcquire,
        into: &turn.output)
    }
    DecisionRecord(decision.pointee).encode(into: &turn.output)
    if isAcquire { turn.output.write(turn.group.permit(of: place).pointee) }
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
      turn.group.append(
        PendingAnswer(id: 0, kind: .notDecided, reply: 0, counters: error.code.rawValue))
    }
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
