// One limit of a query: look at its bucket, charge it, give back.

import Synchronization

extension Engine {
  /// Which bucket `rule` uses for a query, `level` scopes wider than its own.
  @inline(__always)
  static func identity(_ rule: UnsafePointer<Rule>, _ query: Query, level: UInt8) -> BucketID {
    switch rule.pointee.scope.rawValue &+ level {
    case Scope.key.rawValue: BucketID(query.key, seed: rule.pointee.seed)
    case Scope.tenant.rawValue: BucketID(query.tenant.fingerprint, seed: rule.pointee.seed)
    default: BucketID(Fingerprint(low: 0, high: 0), seed: rule.pointee.seed)
    }
  }

  // MARK: Looking

  /// What `rule` says to a query that takes `cost` from it. Writes nothing.
  ///
  /// - Parameter level: how many scopes wider than the rule's own to look, at least.
  @inline(__always)
  func look(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant, intent: Intent,
    level: UInt8 = 0
  ) -> Site {
    let id = Self.identity(rule, query, level: level)
    let scope = rule.pointee.scope.rawValue &+ level
    if let found = table(Int(scope)).pointee.find(id) {
      return Self.site(rule, slot: found.slot, found.current, cost, now, intent, level)
    }
    return lookAbsent(rule, query, cost: cost, now: now, intent: intent, level: level)
  }

  /// As `look`, for a bucket that has no slot: as if unused, or the tenant's own where the tenant
  /// may have no more keys.
  @inline(never)
  private func lookAbsent(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant, intent: Intent,
    level: UInt8
  ) -> Site {
    let scope = rule.pointee.scope.rawValue + level
    if scope == Scope.key.rawValue {
      let tenant = directory.number(of: query.tenant.fingerprint)
      if !directory.hasRoom(for: tenant) {
        return look(rule, query, cost: cost, now: now, intent: intent, level: level + 1)
      }
    }
    return Self.site(rule, slot: nil, .empty, cost, now, intent, level)
  }

  /// Evaluates a bucket's words.
  @inline(__always)
  private static func site(
    _ rule: UnsafePointer<Rule>, slot: Slot?, _ current: StateWord, _ cost: UInt64, _ now: Instant,
    _ intent: Intent, _ level: UInt8
  ) -> Site {
    let now = now.nanoseconds
    let rule = rule.pointee
    var previous = StateWord.empty
    var rolls = false
    let verdict: Verdict
    switch rule.algorithm {
    case .tokenBucket:
      verdict = TokenBucket.decide(
        current, interval: rule.period, burst: rule.capacity, now: now, cost: cost, intent: intent)
    case .slidingWindow:
      if let slot { previous = slot.loadPrevious() }
      let view = SlidingWindow.view(
        current: current, previous: previous, window: rule.period, now: now)
      rolls = view.rolls
      verdict = SlidingWindow.decide(
        view, limit: rule.capacity, window: rule.period, cost: cost, intent: intent)
    case .concurrency:
      verdict = Concurrency.decide(
        current, limit: rule.capacity, now: now, cost: cost, intent: intent)
    }
    return Site(
      slot: slot, current: current, previous: previous, next: verdict.next,
      remaining: verdict.remaining, retryAfter: verdict.retryAfter, resetAfter: verdict.resetAfter,
      outcome: verdict.outcome, level: level, rolls: rolls, isCharged: false)
  }

  // MARK: Charging

  /// Takes what `look` found to be there. On a lost race looks again, and may then be refused.
  ///
  /// Lock-free: a turn that does not finish means that another thread changed this bucket.
  /// - Returns: whether the bucket was charged; `site` says what it was charged for, or why not.
  @inline(__always)
  func charge(
    _ site: inout Site, _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant,
    intent: Intent
  ) -> Bool {
    if let slot = site.slot, !site.rolls, slot.exchangeCurrent(site.current, with: site.next) {
      site.isCharged = true
      return true
    }
    return chargeSlowly(&site, rule, query, cost: cost, now: now, intent: intent)
  }

  @inline(never)
  private func chargeSlowly(
    _ site: inout Site, _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant,
    intent: Intent
  ) -> Bool {
    var level = site.level
    // The first turn of a bucket that has a slot and does not roll has just failed.
    var isSeen = site.slot == nil || site.rolls
    while site.outcome == .allow {
      if isSeen, attempt(&site, &level, rule, query, now: now) {
        site.isCharged = true
        return true
      }
      guard level + rule.pointee.scope.rawValue <= Scope.global.rawValue else {
        site.outcome = .deny
        return false
      }
      site = look(rule, query, cost: cost, now: now, intent: intent, level: level)
      level = site.level
      isSeen = true
    }
    return false
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
      scope == Scope.key.rawValue ? directory.number(of: query.tenant.fingerprint) : .none
    let inserted = table(Int(scope)).pointee.insert(
      Self.identity(rule, query, level: level),
      owner: Owner(tenant: tenant, limit: rule.pointee.limit), charged: site.next, now: now,
      fresh: { rule.pointee.unusedState(at: $0) })
    switch inserted {
    case .inserted(let slot):
      site.slot = slot
      return true
    case .exists:
      return false
    case .noRoom:
      level += 1
      return false
    }
  }

  // MARK: Giving back

  /// Gives `cost` units back to the bucket that a decision at `decidedAt` took them from, where
  /// that still matters. Never fills a bucket above full.
  ///
  /// Lock-free, like `charge`.
  func giveBack(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, level: UInt8, decidedAt: Instant,
    now: Instant
  ) {
    let id = Self.identity(rule, query, level: level)
    let scope = rule.pointee.scope.rawValue + level
    guard scope <= Scope.global.rawValue else { return }
    // A bucket without a slot is full already.
    while let found = table(Int(scope)).pointee.find(id) {
      let slot = found.slot
      let current = found.current
      switch rule.pointee.algorithm {
      case .tokenBucket:
        let next = TokenBucket.refund(
          current, interval: rule.pointee.period, now: now.nanoseconds, cost: cost)
        if next == current || slot.exchangeCurrent(current, with: next) { return }
      case .concurrency:
        if slot.exchangeCurrent(current, with: Concurrency.release(current, cost: cost)) { return }
      case .slidingWindow:
        let previous = slot.loadPrevious()
        let place = SlidingWindow.place(
          of: decidedAt.nanoseconds, current: current, previous: previous,
          window: rule.pointee.period)
        switch place {
        case .outOfView: return
        case .current:
          let next = SlidingWindow.refund(current, cost: cost)
          if slot.exchangeCurrent(current, with: next) { return }
        case .previous:
          // Only ever lowers what was published for a window already swung to, so it cannot undo
          // what a roll relies on. If the window rolls on meanwhile, the exchange fails.
          let next = SlidingWindow.refund(previous, cost: cost)
          let isStored = slot.previous.pointee.compareExchange(
            expected: previous.rawValue, desired: next.rawValue, ordering: .acquiringAndReleasing
          ).exchanged
          if isStored { return }
        }
      }
    }
  }
}

extension Rule {
  /// The state word of this limit's bucket if it is unused at `now`.
  func unusedState(at now: Instant) -> StateWord {
    switch algorithm {
    case .tokenBucket:
      return .tokenBucket(tat: now.nanoseconds)
    case .slidingWindow:
      let start = now.nanoseconds - now.nanoseconds % period
      return .window(expiry: Tick(atOrAfter: start + 2 * period), count: 0)
    case .concurrency:
      return .concurrency(since: Tick(containing: now.nanoseconds), held: 0)
    }
  }
}
