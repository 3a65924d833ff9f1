// Queries: gathered with their memory on its way, then decided together, in order.

import LimitEngine
import LimitProtocol

extension Session {
  /// Adds a query to the group.
  ///
  /// - Precondition: the group is not full.
  @inline(__always) mutating func gather(
    _ request: QueryRequest, _ kind: PendingQuery.Kind, _ header: FrameHeader,
    gathering group: inout QueryGroup,
    in work: borrowing Workplace
  ) throws(ProtocolError) {
    guard request.key.count <= work.limits.keyBytes else { throw .keyTooLong(work.limits) }
    if kind == .acquire, !permits.hasRoom(for: group.acquireCount + 1) {
      throw ProtocolError(
        .limitReached, "this connection holds \(work.limits.permits) permits, the most it may")
    }
    let target = try resolve(request.subject, for: .query, in: work)
    append(
      target, key: request.key, cost: request.cost, kind, id: header.id,
      reply: header.operation | Operation.reply, gathering: &group, in: work)
  }

  @inline(__always) private func append(
    _ target: Target, key: UnsafeRawBufferPointer, cost: UInt64, _ kind: PendingQuery.Kind,
    id: UInt32, reply: UInt8, gathering group: inout QueryGroup,
    in work: borrowing Workplace
  ) {
    let query = Query(
      tenant: target.tenant, policy: target.policy, key: target.tenant.fingerprint(ofKey: key),
      cost: cost)
    work.engine.prefetch(query, under: work.policies)
    group.append(
      PendingQuery(query: query, id: id, kind: kind, reply: reply))
  }

  /// Decides the gathered queries in order, and writes their replies.
  ///
  /// - Precondition: the writer has room for them.
  @inline(__always) mutating func decideGathered(
    at now: Instant, into output: inout WireWriter, gathering group: inout QueryGroup,
    in work: borrowing Workplace
  ) {
    if group.count > 0 {
      decideGroup(
        at: clock ?? now, &group, into: &output, in: work)
    }
  }

  @inline(never) private mutating func decideGroup(
    at now: Instant, _ group: inout QueryGroup, into output: inout WireWriter,
    in work: borrowing Workplace
  ) {
    let count = group.count
    for place in 0..<count {
      let pending = group[place]
      guard let query = pending.pointee.query else {
        DecisionRecord(notDecided: pending.pointee.error).encode(into: &output)
        continue
      }
      let decision: Decision
      switch pending.pointee.kind {
      case .check, .batchItem: decision = work.engine.check(query, under: work.policies, at: now)
      case .peek: decision = work.engine.peek(query, under: work.policies, at: now)
      case .acquire:
        acquire(query, pending, at: now, into: &output, in: work)
        continue
      }
      let record = DecisionRecord(decision)
      if pending.pointee.kind == .batchItem {
        record.encode(into: &output)
      } else {
        DecisionReply.encode(
          record, permit: nil, operation: pending.pointee.reply, id: pending.pointee.id,
          into: &output)
      }
    }
    group.decisionCount &+= UInt64(count)
    group.removeAll()
  }

  @inline(never) private mutating func acquire(
    _ query: Query, _ pending: UnsafePointer<PendingQuery>, at now: Instant,
    into output: inout WireWriter, in work: borrowing Workplace
  ) {
    var acquisition = work.engine.acquire(query, under: work.policies, at: now)
    var number: UInt64 = 0
    if let permit = acquisition.takePermit() { number = permits.insert(permit) }
    DecisionReply.encode(
      DecisionRecord(acquisition.decision), permit: number,
      operation: pending.pointee.reply, id: pending.pointee.id, into: &output)
  }

  /// Decides a batch and writes its reply.
  ///
  /// - Precondition: nothing is gathered, and the writer has room for the whole reply.
  @inline(never) mutating func serveBatch(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer, at now: Instant,
    into output: inout WireWriter, gathering group: inout QueryGroup,
    in work: borrowing Workplace
  ) throws(ProtocolError) {
    var batch = try BatchRequest(body)
    guard batch.count <= work.limits.batchItems else {
      throw ProtocolError(.tooLarge, "a batch has at most \(work.limits.batchItems) items here")
    }
    BatchReply.encodeStart(count: batch.count, id: header.id, into: &output)
    while let item = batch.next() {
      if group.isFull { decideGathered(at: now, into: &output, gathering: &group, in: work) }
      do throws(ProtocolError) {
        guard item.key.count <= work.limits.keyBytes else { throw .keyTooLong(work.limits) }
        let target = try resolve(.handle(item.handle), for: .query, in: work)
        append(
          target, key: item.key, cost: item.cost, .batchItem, id: 0, reply: 0, gathering: &group,
          in: work)
      } catch {
        group.append(.notDecided(error.code))
      }
    }
    decideGathered(at: now, into: &output, gathering: &group, in: work)
  }
}

extension PendingQuery {
  /// An item of a batch that keeps its place without being decided.
  fileprivate static func notDecided(_ error: ErrorCode) -> PendingQuery {
    PendingQuery(query: nil, id: 0, kind: .batchItem, reply: 0, error: error)
  }
}

extension ProtocolError {
  @inline(never) static func keyTooLong(_ limits: SessionLimits) -> ProtocolError {
    ProtocolError(.tooLarge, "a key has at most \(limits.keyBytes) bytes here")
  }
}

extension DecisionRecord {
  /// The engine's decision as it goes on the wire.
  @inline(__always) init(_ decision: Decision) {
    let receipt = decision.receipt
    self.init(
      outcome: DecisionOutcome(rawValue: decision.outcome.rawValue),
      reason: DecisionReason(rawValue: decision.reason.rawValue),
      flags: DecisionFlags(rawValue: decision.flags.rawValue), place: decision.place,
      receipt: WireReceipt(
        tag: receipt.tag, decidedAt: receipt.decidedAt.nanoseconds, charged: receipt.charged,
        shadow: receipt.shadow, escalated: receipt.escalated, mac: receipt.mac),
      capacity: decision.capacity, remaining: decision.remaining,
      retryAfter: decision.retryAfter.count, resetAfter: decision.resetAfter.count)
  }
}
