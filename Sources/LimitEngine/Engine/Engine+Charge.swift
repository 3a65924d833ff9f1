// One limit of a query: take what was found to be there, and put it back.

extension Engine {
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
      site = chargeSlowly(rule, query, cost: cost, now: now, intent: intent, level: site.level)
    }
  }

  /// Looks anew and charges what it finds, until one attempt succeeds or the limit refuses. It looks
  /// again even where nothing has changed, such as for a bucket's first charge: taking over what was
  /// seen would make each decision put that into memory.
  ///
  /// Lock-free: a further turn means that another thread changed the bucket, or that this one has
  /// converted it, finished a roll or gone a scope wider, of which there are three.
  @inline(never) private func chargeSlowly(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant, intent: Intent,
    level: UInt8
  ) -> Site {
    var level = level
    while true {
      var site = look(rule, query, cost: cost, now: now, intent: intent, level: level)
      guard site.outcome == .allow else { return site }
      level = site.level
      if attempt(&site, &level, rule, query, now: now) {
        site.isCharged = true
        return site
      }
      guard rule.pointee.scope.rawValue + level <= Scope.global.rawValue else {
        site.outcome = .deny
        return site
      }
    }
  }

  /// One attempt to store `site.next`.
  func attempt(
    _ site: inout Site, _ level: inout UInt8, _ rule: UnsafePointer<Rule>, _ query: Query,
    now: Instant
  ) -> Bool {
    if let slot = site.slot {
      if site.isOlder {
        adopt(
          slot, site.current, to: rule, isShared: Self.isShared(rule, level: level), at: now)
        return false
      }
      return site.rolls
        ? slot.roll(from: site.current, to: site.next)
        : slot.exchangeCurrent(site.current, with: site.next)
    }
    let scope = rule.pointee.scope.rawValue + level
    let table = table(scope).pointee
    guard
      let owner = table.reserve(
        query.tenant.fingerprint, isGuest: !query.tenant.isNamed,
        limit: registry.number(of: rule.pointee.seed))
    else {
      // There was room when it was looked at.
      let cap = table.cap(for: query.tenant.fingerprint, isGuest: !query.tenant.isNamed)
      storages.capCounters.count(scope, cap, of: query.key)
      level += 1
      return false
    }
    let inserted = table.insert(
      Self.identity(rule, query, level: level), owner: owner,
      charged: site.next, now: now,
      fresh: { rule.pointee.unusedState(at: $0) })
    switch inserted {
    case .inserted(let slot):
      site.slot = slot
      return true
    case .exists: return false
    case .noRoom:
      storages.capCounters.count(scope, .table, of: query.key)
      level += 1
      return false
    }
  }

  // MARK: Taking back

  /// Takes back a charge that this query has just made, as if it had not been.
  ///
  /// Windows and permits are counts, from which any part can be taken out again. A token bucket is
  /// not: charges by others since then may have found it full but for this one, and given back now
  /// its units would be there twice. So it is put back only if nobody came between; else the units
  /// stay taken, which denies early and never admits too much.
  func uncharge(
    _ site: Site, _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, now: Instant
  ) {
    // Charged by rules that have changed since: its units stay taken.
    guard let slot = site.slot, site.next.head == rule.pointee.head else { return }
    switch rule.pointee.algorithm {
    case .slidingWindow:
      let charge = SlidingWindow.Charge(
        expiring: site.next.tick, window: rule.pointee.period, near: now.nanoseconds)
      giveBack(rule, query, cost: cost, level: site.level, from: charge, now: now)
    case .concurrency:
      giveBack(
        rule, query, cost: cost, level: site.level,
        from: SlidingWindow.Charge(at: now, window: 1), now: now)
    case .tokenBucket:
      // A slot that was taken for this charge is left to die as soon as it can.
      let debt = site.next.debt(at: now.nanoseconds) - cost * rule.pointee.period
      let before =
        site.current == .empty
        ? StateWord.tokenBucket(rule.pointee.head, tat: now.nanoseconds + debt) : site.current
      slot.noteLowering(of: site.next, at: now)
      _ = slot.exchangeCurrent(site.next, with: before)
    }
  }
}
