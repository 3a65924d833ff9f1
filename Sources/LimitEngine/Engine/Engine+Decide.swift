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

  /// Asks for the memory that a decision on this query will need. Whoever has several queries at
  /// hand does this for each as soon as its key is hashed, then decides them all: so the batch
  /// waits for memory once.
  @inline(__always) public func prefetch(_ query: Query, under policies: borrowing PolicySet) {
    for entry in policies.range(of: query.policy) {
      let rule = policies.rule(for: entry.limit, of: query.tenant)
      table(rule.pointee.scope.rawValue).pointee.prefetch(Self.identity(rule, query, level: 0))
    }
  }

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
    var decision =
      entries.count == 1
      ? decideOne(entries[0], query, tag: tag, under: policies, at: now, intent: intent, held: held)
      : decideAll(entries, query, tag: tag, under: policies, at: now, intent: intent, held: held)
    if decision.outcome == .allow && intent != .peek { policies.mark(&decision.receipt, of: query) }
    return decision
  }

  /// A policy of one limit: nothing to give back, nothing to choose between.
  @inline(__always) private func decideOne(
    _ entry: PolicyEntry, _ query: Query, tag: UInt32, under policies: borrowing PolicySet,
    at now: Instant, intent: Intent, held: (Slot, UInt64) -> Void
  ) -> Decision {
    let rule = policies.rule(for: entry.limit, of: query.tenant)
    let cost = entry.charge(for: query.cost)
    var site = look(rule, query, cost: cost, now: now, intent: intent)
    if site.outcome == .allow && charges(rule, cost, intent) {
      charge(&site, rule, query, cost: cost, now: now, intent: intent)
      if site.isCharged { report(site, rule, cost, intent, to: held) }
    }
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
      let sites = sites.baseAddress!
      var isAdmitted = true
      for place in 0..<entries.count {
        let entry = entries[place]
        let rule = policies.rule(for: entry.limit, of: query.tenant)
        (sites + place).initialize(
          to: look(rule, query, cost: entry.charge(for: query.cost), now: now, intent: intent))
        if sites[place].outcome != .allow && Self.enforces(rule, query.tenant) {
          isAdmitted = false
        }
      }
      if isAdmitted {
        isAdmitted = chargeAll(sites, entries, query, under: policies, at: now, intent: intent)
      }
      var summary = Summary(at: now)
      var deciding = 0
      var rank = Rank.lowest
      for place in 0..<entries.count {
        let entry = entries[place]
        let rule = policies.rule(for: entry.limit, of: query.tenant)
        let isEnforced = Self.enforces(rule, query.tenant)
        let cost = entry.charge(for: query.cost)
        summary.add(
          sites[place], rule, place: place, cost: charges(rule, cost, intent) ? cost : 0,
          isEnforced: isEnforced)
        let candidate = Rank(sites[place], rule, isEnforced: isEnforced, isAdmitted: isAdmitted)
        if place == 0 || rank < candidate { (rank, deciding) = (candidate, place) }
        guard sites[place].isCharged else { continue }
        report(sites[place], rule, cost, intent, to: held)
      }
      return summary.decision(
        sites[deciding], policies.rule(for: entries[deciding].limit, of: query.tenant),
        place: deciding, query, tag: tag, isAdmitted: isAdmitted)
    }
  }

  /// Charges every limit that admits, or none. Token buckets come last, since taking back a charge
  /// is exact for the others (see `uncharge`).
  @inline(__always) private func chargeAll(
    _ sites: UnsafeMutablePointer<Site>, _ entries: UnsafeBufferPointer<PolicyEntry>,
    _ query: Query, under policies: borrowing PolicySet, at now: Instant, intent: Intent
  ) -> Bool {
    for chargesTokenBuckets in [false, true] {
      for place in 0..<entries.count {
        let entry = entries[place]
        let rule = policies.rule(for: entry.limit, of: query.tenant)
        let cost = entry.charge(for: query.cost)
        guard (rule.pointee.algorithm == .tokenBucket) == chargesTokenBuckets,
          sites[place].outcome == .allow, charges(rule, cost, intent)
        else { continue }
        charge(&sites[place], rule, query, cost: cost, now: now, intent: intent)
        if sites[place].outcome != .allow && Self.enforces(rule, query.tenant) {
          undo(sites, entries, query, under: policies, at: now)
          return false
        }
      }
    }
    return true
  }

  /// Gives back what was charged before another limit refused.
  @inline(never) private func undo(
    _ sites: UnsafeMutablePointer<Site>, _ entries: UnsafeBufferPointer<PolicyEntry>,
    _ query: Query, under policies: borrowing PolicySet, at now: Instant
  ) {
    for place in 0..<entries.count where sites[place].isCharged {
      let rule = policies.rule(for: entries[place].limit, of: query.tenant)
      uncharge(sites[place], rule, query, cost: entries[place].charge(for: query.cost), now: now)
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
