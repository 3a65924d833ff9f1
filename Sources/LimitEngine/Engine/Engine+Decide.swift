// A query against all limits of its policy, all or nothing.
//
// Look at every limit, then charge every limit. Looking reserves nothing: a limit can be charged
// by others in between. Each charge therefore swaps exactly the state that its decision was made
// on, and where that state has changed the limit decides anew; if it then denies, what this query
// has charged so far is given back. So no limit ever admits more than it allows, under any
// interleaving; the most that a lost race does is to deny a query that waited for its own units.

extension Engine {
  /// Decides a query and, if every limit admits it, charges every limit. Concurrency limits are
  /// looked at but hold nothing: see `acquire`.
  ///
  /// Lock-free; allocates nothing; writes only what it charges, so a denial writes nothing.
  /// O(limits of the policy).
  /// - Precondition: the query's tenant and policy were looked up in `policies`.
  public func check(_ query: Query, under policies: borrowing PolicySet, at now: Instant)
    -> Decision
  { decide(query, under: policies, at: now, intent: .check) { _, _ in } }

  /// What `check` would say, with the figures before any charge. Writes nothing.
  public func peek(_ query: Query, under policies: borrowing PolicySet, at now: Instant) -> Decision
  { decide(query, under: policies, at: now, intent: .peek) { _, _ in } }

  /// The whole of a decision.
  ///
  /// - Parameter held: told the bucket and the units of each concurrency limit that was charged,
  ///   in the policy's order.
  @inline(__always) func decide(
    _ query: Query, under policies: borrowing PolicySet, at now: Instant, intent: Intent,
    held: (Slot, UInt64) -> Void
  ) -> Decision {
    policies.check(query)
    let tag = policies.tag(of: query.policy)
    switch query.tenant.standing {
    case .limited, .unlimited: break
    case .blocked: return .withoutLimit(.deny, .blocked, query, tag: tag, at: now)
    case .unknown: return .withoutLimit(.deny, .unknownTenant, query, tag: tag, at: now)
    }
    if isPastHorizon(now) { passHorizon(to: now) }
    let entries = policies.range(of: query.policy)
    guard entries.count == 1 else {
      return decideAll(
        entries, query, tag: tag, under: policies, at: now, intent: intent, held: held)
    }
    let rule = policies.rule(for: entries[0].limit, of: query.tenant)
    let cost = entries[0].charge(for: query.cost)
    switch rule.pointee.algorithm {
    case .tokenBucket:
      if let site = quickSite(rule, query, cost, now, intent, isWindow: false) {
        return answer(site, rule, query, cost: cost, tag: tag, at: now, intent: intent)
      }
    case .slidingWindow:
      return decideWindow(rule, query, cost: cost, tag: tag, at: now, intent: intent, held: held)
    case .concurrency: break
    }
    return decideOne(rule, query, cost: cost, tag: tag, at: now, intent: intent, held: held)
  }

  /// A policy of one sliding window.
  @inline(never) private func decideWindow(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, tag: UInt32, at now: Instant,
    intent: Intent, held: (Slot, UInt64) -> Void
  ) -> Decision {
    guard let site = quickSite(rule, query, cost, now, intent, isWindow: true) else {
      return decideOne(rule, query, cost: cost, tag: tag, at: now, intent: intent, held: held)
    }
    return answer(site, rule, query, cost: cost, tag: tag, at: now, intent: intent)
  }

  /// What most queries meet: a bucket that has a slot, by the rules in force, and that nobody else
  /// charges at the same time. Looked at and charged; `nil`, and nothing done, for all others.
  ///
  /// - Parameter isWindow: whether the rule is a sliding window, else a token bucket.
  @inline(__always) private func quickSite(
    _ rule: UnsafePointer<Rule>, _ query: Query, _ cost: UInt64, _ now: Instant, _ intent: Intent,
    isWindow: Bool
  ) -> Site? {
    guard
      let found = table(rule.pointee.scope.rawValue).pointee.find(
        Self.identity(rule, query, level: 0)),
      found.current.head == rule.pointee.head
    else { return nil }
    let (slot, current) = (found.slot, found.current)
    var site: Site
    if isWindow {
      guard let previous = Self.previous(rule, slot, while: current) else { return nil }
      site = Self.window(rule, slot: slot, current, previous, cost, now, intent, level: 0)
    } else {
      site = Self.tokenBucket(rule, slot: slot, current, cost, now, intent, level: 0)
    }
    if site.outcome == .allow && cost > 0 && intent != .peek {
      guard !site.rolls, slot.exchangeCurrent(current, with: site.next) else { return nil }
      site.isCharged = true
    }
    return site
  }

  /// A policy of one limit: nothing to give back, nothing to choose between.
  @inline(never) private func decideOne(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, tag: UInt32, at now: Instant,
    intent: Intent, held: (Slot, UInt64) -> Void
  ) -> Decision {
    var site = look(rule, query, cost: cost, now: now, intent: intent)
    if site.outcome == .allow && charges(rule, cost, intent) {
      charge(&site, rule, query, cost: cost, now: now, intent: intent)
      if site.isCharged { report(site, rule, cost, intent, to: held) }
    }
    return answer(site, rule, query, cost: cost, tag: tag, at: now, intent: intent)
  }

  /// The decision of a policy's only limit.
  @inline(__always) private func answer(
    _ site: Site, _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, tag: UInt32,
    at now: Instant, intent: Intent
  ) -> Decision {
    var summary = Summary(at: now)
    let isEnforced = Self.enforces(rule, query.tenant)
    summary.add(
      site, rule, place: 0, cost: charges(rule, cost, intent) ? cost : 0, isEnforced: isEnforced)
    return summary.decision(
      site, rule, place: 0, query, tag: tag, isAdmitted: site.outcome == .allow || !isEnforced)
  }

  /// A policy of several limits.
  @inline(never) private func decideAll(
    _ entries: UnsafeBufferPointer<PolicyEntry>, _ query: Query, tag: UInt32,
    under policies: borrowing PolicySet, at now: Instant, intent: Intent,
    held: (Slot, UInt64) -> Void
  ) -> Decision {
    withUnsafeTemporaryAllocation(of: Site.self, capacity: PolicySetBuilder.limitsPerPolicyMax) {
      sites in
      withUnsafeTemporaryAllocation(of: Term.self, capacity: PolicySetBuilder.limitsPerPolicyMax) {
        terms in
        decideAll(
          entries, query, tag: tag, under: policies, at: now, intent: intent, held: held,
          sites.baseAddress!, terms.baseAddress!)
      }
    }
  }

  @inline(__always) private func decideAll(
    _ entries: UnsafeBufferPointer<PolicyEntry>, _ query: Query, tag: UInt32,
    under policies: borrowing PolicySet, at now: Instant, intent: Intent,
    held: (Slot, UInt64) -> Void, _ sites: UnsafeMutablePointer<Site>,
    _ terms: UnsafeMutablePointer<Term>
  ) -> Decision {
    let count = entries.count
    var isAdmitted = true
    for place in 0..<count {
      let rule = policies.rule(for: entries[place].limit, of: query.tenant)
      let cost = entries[place].charge(for: query.cost)
      let isEnforced = Self.enforces(rule, query.tenant)
      (terms + place).initialize(
        to: Term(
          rule: rule, cost: cost, isEnforced: isEnforced, isCharging: charges(rule, cost, intent)))
      (sites + place).initialize(to: look(rule, query, cost: cost, now: now, intent: intent))
      if sites[place].outcome != .allow && isEnforced { isAdmitted = false }
    }
    if isAdmitted { isAdmitted = chargeAll(sites, terms, count, query, at: now, intent: intent) }
    var summary = Summary(at: now)
    var deciding = 0
    var rank = Rank.lowest
    for place in 0..<count {
      let term = terms[place]
      summary.add(
        sites[place], term.rule, place: place, cost: term.isCharging ? term.cost : 0,
        isEnforced: term.isEnforced)
      let candidate = Rank(
        sites[place], term.rule, isEnforced: term.isEnforced, isAdmitted: isAdmitted)
      if place == 0 || rank < candidate { (rank, deciding) = (candidate, place) }
      guard sites[place].isCharged else { continue }
      report(sites[place], term.rule, term.cost, intent, to: held)
    }
    return summary.decision(
      sites[deciding], terms[deciding].rule, place: deciding, query, tag: tag,
      isAdmitted: isAdmitted)
  }

  /// Charges every limit that admits, or none. Token buckets come last, since taking back a charge
  /// is exact for the others (see `uncharge`).
  @inline(__always) private func chargeAll(
    _ sites: UnsafeMutablePointer<Site>, _ terms: UnsafePointer<Term>, _ count: Int,
    _ query: Query, at now: Instant, intent: Intent
  ) -> Bool {
    var chargesTokenBuckets = false
    repeat {
      for place in 0..<count {
        let term = terms[place]
        guard (term.rule.pointee.algorithm == .tokenBucket) == chargesTokenBuckets,
          sites[place].outcome == .allow, term.isCharging
        else { continue }
        charge(&sites[place], term.rule, query, cost: term.cost, now: now, intent: intent)
        if sites[place].outcome != .allow && term.isEnforced {
          undo(sites, terms, count, query, at: now)
          return false
        }
      }
      chargesTokenBuckets.toggle()
    } while chargesTokenBuckets
    return true
  }

  /// Gives back what was charged before another limit refused.
  @inline(never) private func undo(
    _ sites: UnsafeMutablePointer<Site>, _ terms: UnsafePointer<Term>, _ count: Int,
    _ query: Query, at now: Instant
  ) {
    for place in 0..<count where sites[place].isCharged {
      uncharge(sites[place], terms[place].rule, query, cost: terms[place].cost, now: now)
      sites[place].isCharged = false
    }
  }

  /// Whether a denial by this limit denies the query.
  @inline(__always) private static func enforces(_ rule: UnsafePointer<Rule>, _ tenant: Tenant)
    -> Bool
  { rule.pointee.mode == .enforce && tenant.standing == .limited }

  /// Whether an admitted query writes to this limit's bucket.
  @inline(__always) private func charges(
    _ rule: UnsafePointer<Rule>, _ cost: UInt64, _ intent: Intent
  ) -> Bool {
    switch intent {
    case .peek: false
    case .check: cost > 0 && rule.pointee.algorithm != .concurrency
    case .acquire: cost > 0
    }
  }

  @inline(__always) private func report(
    _ site: Site, _ rule: UnsafePointer<Rule>, _ cost: UInt64, _ intent: Intent,
    to held: (Slot, UInt64) -> Void
  ) {
    guard intent == .acquire, rule.pointee.algorithm == .concurrency, let slot = site.slot else {
      return
    }
    held(slot, cost)
  }
}

/// One limit of a policy, as one query meets it: by the rule that was in force when it was looked at,
/// also where that changes meanwhile.
private struct Term: BitwiseCopyable {
  var rule: UnsafePointer<Rule>
  /// What the query takes from the limit.
  var cost: UInt64
  /// Whether a denial by it denies the query.
  var isEnforced: Bool
  /// Whether the query, once admitted, writes to its bucket.
  var isCharging: Bool
}
