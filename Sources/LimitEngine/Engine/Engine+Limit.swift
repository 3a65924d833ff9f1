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
    default: BucketID(sharedFingerprint(rule, query, level: level), seed: rule.pointee.seed)
    }
  }

  /// Everybody's bucket of a global limit. Where tenants overflow, guests with the same period meet in
  /// one, and so do named tenants: such a bucket has its period for good.
  private static func sharedFingerprint(
    _ rule: UnsafePointer<Rule>, _ query: Query, level: UInt8
  ) -> Fingerprint {
    if level == 0 { return Fingerprint(low: 0, high: 0) }
    let kind = rule.pointee.period << 2 | (query.tenant.isNamed ? 1 : 2)
    // Multiplying by an odd constant keeps kinds apart, and puts them into places of their own.
    return Fingerprint(low: kind &* 0x9e37_79b9_7f4a_7c15, high: 0)
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
      let (slot, current) = (found.slot, found.current)
      if current.head == rule.pointee.head {
        guard let previous = Self.previous(rule, slot, while: current) else { continue }
        return Self.site(rule, slot: slot, current, previous: previous, cost, now, intent, level)
      }
      let site = lookAcrossRules(rule, slot, current, cost, now, intent, level)
      if let site { return site }
    }
    return lookAbsent(rule, query, cost: cost, now: now, intent: intent, level: level)
  }

  /// As `look`, for a bucket that has no slot: as if unused, or the next wider one where it would
  /// get none. Frees dead slots where that may help; writes nothing else.
  @inline(never) private func lookAbsent(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant, intent: Intent,
    level: UInt8
  ) -> Site {
    let scope = rule.pointee.scope.rawValue + level
    if scope < Scope.global.rawValue {
      let table = table(scope).pointee
      let (tenant, isGuest) = (query.tenant.fingerprint, !query.tenant.isNamed)
      if !table.mayReserve(for: tenant, isGuest: isGuest) {
        table.sweepForRoom(tenant, isGuest: isGuest, at: now)
        if isGuest && !directory.hasPlace(for: tenant) {
          // Tenants that are gone may hold their places by buckets in the other table.
          self.table(Scope.tenant.rawValue - scope).pointee
            .sweepForRoom(tenant, isGuest: isGuest, at: now)
        }
      }
      let id = Self.identity(rule, query, level: level)
      if !table.hasRoom(id, for: tenant, isGuest: isGuest, at: now) {
        if intent != .peek {
          let cap = table.cap(for: tenant, isGuest: isGuest)
          storages.capCounters.count(scope, cap, of: query.key)
        }
        return look(rule, query, cost: cost, now: now, intent: intent, level: level + 1)
      }
    }
    // A bucket without a slot has no second word that could change meanwhile.
    return Self.site(rule, slot: nil, .empty, previous: .empty, cost, now, intent, level)
  }

  /// A bucket's second word as it was while `current` was the first; `nil` where that is over. Only
  /// windows have one that counts.
  @inline(__always) static func previous(
    _ rule: UnsafePointer<Rule>, _ slot: Slot, while current: StateWord
  ) -> StateWord? {
    guard rule.pointee.algorithm == .slidingWindow else { return .empty }
    guard let seen = slot.loadPrevious(while: current) else { return nil }
    // Carried over to the rules that follow, beside a window that is not yet: it counts.
    if rule.pointee.isFormer, seen.isWindow, seen.tick == current.tick {
      return seen.with(head: current.head)
    }
    return seen
  }

  @inline(__always) static func tokenBucket(
    _ rule: UnsafePointer<Rule>, slot: Slot?, _ current: StateWord, _ cost: UInt64, _ now: Instant,
    _ intent: Intent, level: UInt8
  ) -> Site {
    let verdict = TokenBucket.decide(
      current, head: rule.pointee.head, interval: rule.pointee.divisor,
      burst: rule.pointee.capacity, now: now.nanoseconds, cost: cost, intent: intent)
    return Site(slot, current, previous: .empty, verdict, level: level)
  }

  /// What a bucket's words say. The token bucket is inlined; the others would only crowd it.
  @inline(__always) static func site(
    _ rule: UnsafePointer<Rule>, slot: Slot?, _ current: StateWord, previous: StateWord,
    _ cost: UInt64, _ now: Instant, _ intent: Intent, _ level: UInt8
  ) -> Site {
    rule.pointee.algorithm == .tokenBucket
      ? tokenBucket(rule, slot: slot, current, cost, now, intent, level: level)
      : otherSite(rule, slot: slot, current, previous, cost, now, intent, level)
  }

  @inline(never) private static func otherSite(
    _ rule: UnsafePointer<Rule>, slot: Slot?, _ current: StateWord, _ previous: StateWord,
    _ cost: UInt64, _ now: Instant, _ intent: Intent, _ level: UInt8
  ) -> Site {
    if rule.pointee.algorithm == .slidingWindow {
      return window(rule, slot: slot, current, previous, cost, now, intent, level: level)
    }
    let verdict = Concurrency.decide(
      current, limit: rule.pointee.capacity, now: now.nanoseconds, cost: cost, intent: intent)
    return Site(slot, current, previous: .empty, verdict, level: level)
  }

  @inline(__always) static func window(
    _ rule: UnsafePointer<Rule>, slot: Slot?, _ current: StateWord, _ previous: StateWord,
    _ cost: UInt64, _ now: Instant, _ intent: Intent, level: UInt8
  ) -> Site {
    let window = rule.pointee.divisor
    let view = SlidingWindow.view(
      current: current, previous: previous, window: window, now: now.nanoseconds)
    let verdict = SlidingWindow.decide(
      view, head: rule.pointee.head, limit: rule.pointee.capacity, window: window.value, cost: cost,
      intent: intent)
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
