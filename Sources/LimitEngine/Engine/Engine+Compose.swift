// From what each limit said to one answer.

extension Engine {
  /// The decision that the limits' answers add up to: which limit decided, with its figures, and
  /// what the others have to add as flags.
  @inline(__always)
  func compose(
    _ sites: UnsafeMutablePointer<Site>, _ entries: UnsafeBufferPointer<PolicyEntry>,
    _ query: Query, under policies: borrowing PolicySet, at now: Instant, isAdmitted: Bool
  ) -> Decision {
    var flags: Decision.Flags = []
    var charged: UInt16 = 0
    var escalated: UInt32 = 0
    var deciding = 0
    var rank = Rank.lowest
    for place in 0..<entries.count {
      let rule = policies.rule(for: entries[place].limit, of: query.tenant)
      let site = sites + place
      let isEnforced = rule.pointee.mode == .enforce && query.tenant.standing == .limited
      if rule.pointee.hasSoftThreshold && site.pointee.remaining <= rule.pointee.softRemaining {
        flags.insert(.softThreshold)
      }
      if !isEnforced && site.pointee.outcome != .allow { flags.insert(.shadowDenied) }
      if site.pointee.level > 0 {
        flags.insert(.overflow)
        escalated |= UInt32(site.pointee.level) << UInt32(2 &* place)
      }
      if site.pointee.isCharged { charged |= 1 << UInt16(place) }
      let candidate = Rank(
        site.pointee, capacity: rule.pointee.capacity, isEnforced: isEnforced,
        isAdmitted: isAdmitted)
      if place == 0 || rank < candidate {
        deciding = place
        rank = candidate
      }
    }
    let rule = policies.rule(for: entries[deciding].limit, of: query.tenant)
    let site = sites + deciding
    return Decision(
      outcome: isAdmitted ? .allow : site.pointee.outcome, reason: .limit, flags: flags,
      limit: rule.pointee.limit, capacity: rule.pointee.capacity,
      remaining: site.pointee.remaining,
      retryAfter: Nanoseconds(isAdmitted ? 0 : site.pointee.retryAfter),
      resetAfter: Nanoseconds(site.pointee.resetAfter),
      receipt: Receipt(
        decidedAt: now, cost: query.cost, charged: charged, escalated: escalated))
  }
}

/// How much a limit has to say in a decision; the highest decides, the first among equals.
private struct Rank {
  /// Enforced before shadow; on a denial `never` before `deny` before `allow`.
  let standing: UInt8
  /// Denied: the retry.
  let retryAfter: UInt64
  let remaining: UInt64
  let capacity: UInt64

  static let lowest = Rank(standing: 0, retryAfter: 0, remaining: 0, capacity: 1)

  private init(standing: UInt8, retryAfter: UInt64, remaining: UInt64, capacity: UInt64) {
    self.standing = standing
    self.retryAfter = retryAfter
    self.remaining = remaining
    self.capacity = capacity
  }

  @inline(__always)
  init(_ site: Site, capacity: UInt64, isEnforced: Bool, isAdmitted: Bool) {
    self.capacity = capacity
    remaining = site.remaining
    retryAfter = isAdmitted ? 0 : site.retryAfter
    standing = isEnforced ? 4 + (isAdmitted ? 0 : site.outcome.rawValue) : 0
  }

  /// Allowed: the one with the least fraction left, compared exactly. Denied: the longest retry.
  @inline(__always)
  static func < (left: Rank, right: Rank) -> Bool {
    if left.standing != right.standing { return left.standing < right.standing }
    if left.retryAfter != right.retryAfter { return left.retryAfter < right.retryAfter }
    let mine = left.remaining.multipliedFullWidth(by: right.capacity)
    let other = right.remaining.multipliedFullWidth(by: left.capacity)
    return (other.high, other.low) < (mine.high, mine.low)
  }
}
