// What each limit of a policy holds for one tenant and key, for people to look at. Any thread; off
// the query path.

/// One limit's bucket at one moment.
public struct BucketReading: Hashable, Sendable {
  public var limit: LimitIndex
  /// What the bucket holds when full.
  public var capacity: UInt64
  /// Whole units that are left.
  public var remaining: UInt64
  /// What the limit itself says to the query; an unlimited tenant's and a shadow limit's denials do
  /// not count.
  public var outcome: Decision.Outcome
  public var mode: LimitMode
  /// On `deny`: the wait after which the query would be admitted, or `Decision.noWait`.
  public var retryAfter: Nanoseconds
  /// The wait until the bucket is as if never used.
  public var resetAfter: Nanoseconds
  /// What the query takes from the bucket.
  public var cost: UInt64
  /// Whether there is a bucket: one that is not is as if never used.
  public var isPresent: Bool
  /// Whether a wider bucket is used, since there was no room for the limit's own.
  public var isOverflow: Bool
  /// Whether the soft threshold is reached.
  public var isPastSoftThreshold: Bool
}

extension Engine {
  /// What each limit of the query's policy says to it, in the policy's order. Writes nothing, but may
  /// free dead slots.
  ///
  /// O(limits of the policy). The limits are read one after the other, while others decide.
  /// - Parameter scope: reads only the limits of that scope; all unless given.
  /// - Precondition: the query's tenant and policy were looked up in `policies`.
  public func readings(
    _ query: Query, of scope: Scope? = nil, under policies: PolicySet, at now: Instant
  ) -> [BucketReading] {
    policies.check(query)
    if isPastHorizon(now) { passHorizon(to: now) }
    return policies.range(of: query.policy).compactMap { entry in
      if let scope, policies.limits[Int(entry.limit.rawValue)].scope != scope { return nil }
      let rule = policies.rule(for: entry.limit, of: query.tenant)
      let cost = entry.charge(for: query.cost)
      let site = look(rule, query, cost: cost, now: now, intent: .peek)
      return BucketReading(
        limit: entry.limit, capacity: rule.pointee.capacity, remaining: site.remaining,
        outcome: site.outcome, mode: rule.pointee.mode, retryAfter: Nanoseconds(site.retryAfter),
        resetAfter: Nanoseconds(site.resetAfter), cost: cost, isPresent: site.slot != nil,
        isOverflow: site.level > 0,
        isPastSoftThreshold: rule.pointee.hasSoftThreshold
          && site.remaining <= rule.pointee.softRemaining)
    }
  }
}
