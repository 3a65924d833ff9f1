// Shows some of a group's decisions to whoever monitors, when all of them are made: apart from deciding,
// whose registers are all taken.

import LimitEngine
import LimitRuntime

extension Turn {
  /// Goes through the group, whose queries are decided, and hands over what is wanted of it.
  @inline(never) mutating func sampleGroup(at now: Instant) {
    // Once in a round of the reader's, which may have given tenants blocks of their own.
    if samples.beginGroup() { learnBlocks() }
    if group.isPlain, samples.passOver(admitted: group.count) { return }
    for place in 0..<group.count {
      let mark = group.mark(of: place)
      guard let outcome = mark.outcome else { continue }
      if samples.isWanted(outcome, mark.flags, of: group.tenant(of: place)) {
        hand(place, outcome, mark.flags, at: now)
      }
    }
  }

  @inline(never) private mutating func hand(
    _ place: Int, _ outcome: Decision.Outcome, _ flags: Decision.Flags, at now: Instant
  ) {
    let (pending, result, names) = (group[place], group.result(of: place), group.names(of: place))
    guard let query = pending.pointee.query else { return }
    samples.hand(
      DecisionSample(
        tenant: query.tenant, key: query.key, at: now, cost: query.cost,
        retryAfter: result.retryAfter, block: pending.pointee.counters, place: result.place,
        outcome: outcome, reason: result.reason, flags: flags),
      tenant: names.tenant, key: names.key)
  }
}
