// One limit of a query: which bucket it is, and what the limit says. Engine+Charge takes from it.

import Synchronization

extension Engine {
  /// Which bucket `rule` uses for a query, `level` scopes wider than its own.
  @inline(__always) static func identity(_ rule: UnsafePointer<Rule>, _ query: Query, level: UInt8)
    -> BucketID
  {
    switch rule.pointee.scope.rawValue &+ level {
    case Scope.key.rawValue: BucketID(query.key, seed: rule.pointee.seed)
    case Scope.tenant.rawValue: BucketID(query.tenant.fingerprint, seed: rule.pointee.seed)
    // Everybody's bucket. Where tenants overflow into it, only those with the same period meet.
    default:
      BucketID(
        Fingerprint(low: level == 0 ? 0 : rule.pointee.period, high: 0), seed: rule.pointee.seed)
    }
  }

  // MARK: Looking

  /// What `rule` says to a query that takes `cost` from it. Writes nothing.
  ///
  /// - Parameter level: how many scopes wider than the rule's own to look, at least.
  @inline(__always) func look(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant, intent: Intent,
    level: UInt8 = 0
  ) -> Site {
    let id = Self.identity(rule, query, level: level)
    let scope = rule.pointee.scope.rawValue &+ level
    // Lock-free: a further turn means that another thread changed the bucket in between.
    while let found = table(scope).pointee.find(id) {
      if let site = Self.site(rule, slot: found.slot, found.current, cost, now, intent, level) {
        return site
      }
    }
    return lookAbsent(rule, query, cost: cost, now: now, intent: intent, level: level)
  }

  /// As `look`, for a bucket that has no slot: as if unused, or the tenant's own where the tenant
  /// may have no more keys.
  @inline(never) private func lookAbsent(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant, intent: Intent,
    level: UInt8
  ) -> Site {
    let scope = rule.pointee.scope.rawValue + level
    if scope == Scope.key.rawValue {
      let tenant = query.tenant.fingerprint
      // Some of the buckets that fill its share may be dead.
      if !directory.hasRoom(for: tenant) { table(scope).pointee.sweepSome(at: now) }
      if !directory.hasRoom(for: tenant) {
        return look(rule, query, cost: cost, now: now, intent: intent, level: level + 1)
      }
    }
    // A bucket without a slot has no second word that could change meanwhile.
    return Self.site(rule, slot: nil, .empty, cost, now, intent, level)!
  }

  /// Evaluates a bucket's words; `nil` where they changed while being read. The token bucket is
  /// inlined into the query path; the others would only crowd it.
  @inline(__always) private static func site(
    _ rule: UnsafePointer<Rule>, slot: Slot?, _ current: StateWord, _ cost: UInt64, _ now: Instant,
    _ intent: Intent, _ level: UInt8
  ) -> Site? {
    guard rule.pointee.algorithm == .tokenBucket else {
      return otherSite(rule, slot: slot, current, cost, now, intent, level)
    }
    let verdict = TokenBucket.decide(
      current, head: rule.pointee.head, interval: rule.pointee.divisor,
      burst: rule.pointee.capacity, now: now.nanoseconds, cost: cost, intent: intent)
    return Site(slot, current, previous: .empty, verdict, level: level)
  }

  @inline(never) private static func otherSite(
    _ rule: UnsafePointer<Rule>, slot: Slot?, _ current: StateWord, _ cost: UInt64, _ now: Instant,
    _ intent: Intent, _ level: UInt8
  ) -> Site? {
    let capacity = rule.pointee.capacity
    if rule.pointee.algorithm == .concurrency {
      let verdict = Concurrency.decide(
        current, limit: capacity, now: now.nanoseconds, cost: cost, intent: intent)
      return Site(slot, current, previous: .empty, verdict, level: level)
    }
    let window = rule.pointee.period
    var previous = StateWord.empty
    if let slot {
      guard let seen = slot.loadPrevious(while: current) else { return nil }
      previous = seen
    }
    let view = SlidingWindow.view(
      current: current, previous: previous, window: window, now: now.nanoseconds)
    let verdict = SlidingWindow.decide(
      view, head: rule.pointee.head, limit: capacity, window: window, cost: cost, intent: intent)
    return Site(
      slot, current, previous: previous, verdict, level: level, rolls: view.rolls,
      isAhead: view.isAhead)
  }
}

extension Rule {
  /// The state word of this limit's bucket if it is unused at `now`.
  func unusedState(at now: Instant) -> StateWord {
    switch algorithm {
    case .tokenBucket: return .tokenBucket(head, tat: now.nanoseconds)
    case .slidingWindow:
      let start = now.nanoseconds - now.nanoseconds % period
      return .window(head, expiry: Tick(atOrAfter: start + 2 * period), count: 0)
    case .concurrency: return .concurrency(since: Tick(containing: now.nanoseconds), held: 0)
    }
  }
}
