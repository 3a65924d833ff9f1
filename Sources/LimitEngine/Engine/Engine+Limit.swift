// One limit of a query: look at its bucket, charge it, give back.

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
      current, interval: rule.pointee.divisor, burst: rule.pointee.capacity, now: now.nanoseconds,
      cost: cost, intent: intent)
    return Site(slot, current, previous: .empty, verdict, level: level, rolls: false)
  }

  @inline(never) private static func otherSite(
    _ rule: UnsafePointer<Rule>, slot: Slot?, _ current: StateWord, _ cost: UInt64, _ now: Instant,
    _ intent: Intent, _ level: UInt8
  ) -> Site? {
    let capacity = rule.pointee.capacity
    if rule.pointee.algorithm == .concurrency {
      let verdict = Concurrency.decide(
        current, limit: capacity, now: now.nanoseconds, cost: cost, intent: intent)
      return Site(slot, current, previous: .empty, verdict, level: level, rolls: false)
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
      view, limit: capacity, window: window, cost: cost, intent: intent)
    return Site(slot, current, previous: previous, verdict, level: level, rolls: view.rolls)
  }

  // MARK: Charging

  /// Takes what `look` found to be there. On a lost race looks again, and may then be refused:
  /// afterwards either `site.isCharged`, or `site.outcome` says why not.
  ///
  /// Lock-free: a turn that does not finish means that another thread changed this bucket.
  @inline(__always) func charge(
    _ site: inout Site, _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant,
    intent: Intent
  ) {
    if let slot = site.slot, !site.rolls, slot.exchangeCurrent(site.current, with: site.next) {
      site.isCharged = true
    } else {
      site = chargeSlowly(site, rule, query, cost: cost, now: now, intent: intent)
    }
  }

  @inline(never) private func chargeSlowly(
    _ seen: Site, _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant,
    intent: Intent
  ) -> Site {
    var site = seen
    var level = site.level
    // A bucket that has a slot and does not roll was tried by `charge`, and has changed.
    var isFresh = site.slot == nil || site.rolls
    while site.outcome == .allow {
      if isFresh, attempt(&site, &level, rule, query, now: now) {
        site.isCharged = true
        break
      }
      guard rule.pointee.scope.rawValue + level <= Scope.global.rawValue else {
        site.outcome = .deny
        break
      }
      site = look(rule, query, cost: cost, now: now, intent: intent, level: level)
      level = site.level
      isFresh = true
    }
    return site
  }

  /// One attempt to store `site.next`.
  private func attempt(
    _ site: inout Site, _ level: inout UInt8, _ rule: UnsafePointer<Rule>, _ query: Query,
    now: Instant
  ) -> Bool {
    if let slot = site.slot {
      if site.rolls {
        let isPublished = BucketTable.publish(
          site.current.count, under: site.next.tick, in: slot, seen: site.previous)
        guard isPublished else { return false }
      }
      return slot.exchangeCurrent(site.current, with: site.next)
    }
    let scope = rule.pointee.scope.rawValue + level
    let tenant =
      scope == Scope.global.rawValue ? .none : directory.number(of: query.tenant.fingerprint)
    let inserted = table(scope).pointee.insert(
      Self.identity(rule, query, level: level),
      owner: Owner(tenant: tenant, limit: registry.number(of: rule.pointee.seed)),
      charged: site.next, now: now,
      fresh: { rule.pointee.unusedState(at: $0) })
    switch inserted {
    case .inserted(let slot):
      site.slot = slot
      return true
    case .exists: return false
    case .noRoom:
      level += 1
      return false
    }
  }

  // MARK: Giving back

  /// Gives `cost` units back to the bucket that a decision took them from, where that still
  /// matters. Never fills a bucket above full.
  ///
  /// Lock-free, like `charge`.
  func giveBack(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, level: UInt8,
    from charge: SlidingWindow.Charge, now: Instant
  ) {
    let id = Self.identity(rule, query, level: level)
    let scope = rule.pointee.scope.rawValue + level
    guard scope <= Scope.global.rawValue else { return }
    // A bucket without a slot is full already.
    while let found = table(scope).pointee.find(id) {
      let (slot, current) = (found.slot, found.current)
      guard let previous = slot.loadPrevious(while: current) else { continue }
      switch rule.pointee.algorithm {
      case .tokenBucket:
        // Not below the floor, which is there as long as no window is: a receipt can be older than
        // the slot's bucket, and `now` older than the thread that took the slot.
        let next = TokenBucket.refund(
          current, interval: rule.pointee.period, now: max(now.nanoseconds, previous.floor),
          cost: cost)
        if next == current { return }
        slot.noteLowering(of: current)
        if slot.exchangeCurrent(current, with: next) { return }
      case .concurrency:
        if slot.exchangeCurrent(current, with: Concurrency.release(current, cost: cost)) { return }
      case .slidingWindow:
        switch SlidingWindow.place(
          of: charge, current: current, previous: previous,
          window: rule.pointee.period)
        {
        case .outOfView: return
        case .current:
          let next = SlidingWindow.refund(current, cost: cost)
          if slot.exchangeCurrent(current, with: next) { return }
        case .previous:
          // Only ever lowers what was published for a window already swung to, so it cannot undo
          // what a roll relies on. If the window rolls on meanwhile, the exchange fails.
          if slot.exchangePrevious(previous, with: SlidingWindow.refund(previous, cost: cost)) {
            return
          }
        }
      }
    }
  }

  /// Takes back a charge that this query has just made, as if it had not been.
  ///
  /// Windows and permits are counts, from which any part can be taken out again. A token bucket is
  /// not: charges by others since then may have found it full but for this one, and given back now
  /// its units would be there twice. So it is put back only if nobody came between; else the units
  /// stay taken, which denies early and never admits too much.
  func uncharge(
    _ site: Site, _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant
  ) {
    guard let slot = site.slot else { return }
    switch rule.pointee.algorithm {
    case .slidingWindow:
      giveBack(
        rule, query, cost: cost, level: site.level, from: .expiring(site.next.tick), now: now)
    case .concurrency:
      giveBack(rule, query, cost: cost, level: site.level, from: .decided(at: now), now: now)
    case .tokenBucket:
      // A slot that was taken for this charge is left to die as soon as it can.
      let before =
        site.current == .empty
        ? StateWord.tokenBucket(tat: site.next.tat - cost * rule.pointee.period) : site.current
      slot.noteLowering(of: site.next)
      _ = slot.exchangeCurrent(site.next, with: before)
    }
  }
}

extension Rule {
  /// The state word of this limit's bucket if it is unused at `now`.
  func unusedState(at now: Instant) -> StateWord {
    switch algorithm {
    case .tokenBucket: return .tokenBucket(tat: now.nanoseconds)
    case .slidingWindow:
      let start = now.nanoseconds - now.nanoseconds % period
      return .window(expiry: Tick(atOrAfter: start + 2 * period), count: 0)
    case .concurrency: return .concurrency(since: Tick(containing: now.nanoseconds), held: 0)
    }
  }
}
