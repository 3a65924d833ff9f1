// Shows some of a group's decisions to whoever monitors, when all of them are made: apart from deciding,
// whose registers are all taken.

import LimitEngine
import LimitRuntime

extension Turn {
  /// Before the decisions of a group are noted.
  @inline(__always) mutating func beginSamples() {
    // Once in a round of the reader's, which may have given tenants blocks of their own.
    if samples.beginGroup() { learnBlocks() }
  }

  /// Notes a decision that is counted, so that a group of which nothing is wanted need not be gone through again.
  @inline(__always) mutating func note(
    _ decision: UnsafePointer<Decision>, of query: UnsafePointer<Query>
  ) {
    let isDenied = decision.pointee.outcome != .allow
    group.note(
      isDenied: isDenied,
      isWanted: isDenied
        ? samples.hasRoom(forDenialOf: query.pointee.tenant) : !decision.pointee.flags.isEmpty)
  }

  /// Hands over what is wanted of the group, whose decisions are noted.
  @inline(never) mutating func sampleGroup(at now: Instant) {
    let denied = group.deniedCount
    if !group.mayHaveWanted, samples.passOver(admitted: group.count &- denied, denied: denied) {
      return
    }
    for place in 0..<group.count where group.answer(of: place).pointee.isCounted {
      let decision = group.decision(of: place)
      let tenant = group.query(of: place).pointee.tenant
      if samples.isWanted(decision.pointee.outcome, decision.pointee.flags, of: tenant) {
        hand(place, at: now)
      }
    }
  }

  @inline(never) private mutating func hand(_ place: Int, at now: Instant) {
    let (query, decision) = (group.query(of: place).pointee, group.decision(of: place).pointee)
    let names = group.names(of: place)
    samples.hand(
      DecisionSample(
        tenant: query.tenant, key: query.key, at: now, cost: query.cost,
        retryAfter: decision.retryAfter, block: group.answer(of: place).pointee.counters,
        place: decision.place,
        outcome: decision.outcome, reason: decision.reason, flags: decision.flags),
      tenant: names.tenant, key: names.key)
  }
}
