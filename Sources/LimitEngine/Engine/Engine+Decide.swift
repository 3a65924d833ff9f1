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
  /// - Parameter policies: a set in which the query's tenant and policy were looked up.
  public func check(_ query: Query, under policies: borrowing PolicySet, at now: Instant)
    -> Decision
  {
    decide(query, under: policies, at: now, intent: .check) { _, _ in }
  }

  /// What `check` would say, with the figures before any charge. Writes nothing.
  public func peek(_ query: Query, under policies: borrowing PolicySet, at now: Instant) -> Decision
  {
    decide(query, under: policies, at: now, intent: .peek) { _, _ in }
  }

  /// Asks for the memory that a decision on this query will need. A batch does this for all of its
  /// queries before it decides the first, and so waits for memory once.
  @inline(__always)
  public func prefetch(_ query: Query, under policies: borrowing PolicySet) {
    for entry in policies.range(of: query.policy) {
      let rule = policies.rule(for: entry.limit, of: query.tenant)
      table(Int(rule.pointee.scope.rawValue)).pointee.prefetch(
        Self.identity(rule, query, level: 0))
    }
  }

  /// Decides `queries` in order, as `check` does, into `decisions`.
  ///
  /// - Precondition: `decisions` has room for as many as there are queries.
  public func checkBatch(
    _ queries: UnsafeBufferPointer<Query>, under policies: borrowing PolicySet, at now: Instant,
    into decisions: UnsafeMutableBufferPointer<Decision>
  ) {
    precondition(decisions.count >= queries.count, "a batch needs a place for each decision")
    for query in queries { prefetch(query, under: policies) }
    for (index, query) in queries.enumerated() {
      (decisions.baseAddress! + index).initialize(to: check(query, under: policies, at: now))
    }
  }

  /// The whole of a decision. `charged` is told the bucket and the cost of each concurrency limit
  /// that was charged, in the policy's order.
  @inline(__always)
  func decide(
    _ query: Query, under policies: borrowing PolicySet, at now: Instant, intent: Intent,
    held: (Slot, UInt64) -> Void
  ) -> Decision {
    switch query.tenant.standing {
    case .limited, .unlimited: break
    case .blocked: return .withoutLimit(.deny, .blocked, at: now)
    case .unknown: return .withoutLimit(.deny, .unknownTenant, at: now)
    }
    let entries = policies.range(of: query.policy)
    return withUnsafeTemporaryAllocation(
      of: Site.self, capacity: PolicySetBuilder.limitsPerPolicyMax
    ) { sites in
      let sites = sites.baseAddress!
      var isAdmitted = true
      for place in 0..<entries.count {
        let entry = entries[place]
        let rule = policies.rule(for: entry.limit, of: query.tenant)
        (sites + place).initialize(
          to: look(
            rule, query, cost: entry.charge(for: query.cost), now: now, intent: intent))
        if sites[place].outcome != .allow && enforces(rule, query.tenant) { isAdmitted = false }
      }
      if isAdmitted && intent != .peek && query.cost > 0 {
        isAdmitted = chargeAll(sites, entries, query, under: policies, at: now, intent: intent)
        if isAdmitted && intent == .acquire {
          for place in 0..<entries.count where sites[place].isCharged {
            let rule = policies.rule(for: entries[place].limit, of: query.tenant)
            guard rule.pointee.algorithm == .concurrency, let slot = sites[place].slot
            else { continue }
            held(slot, entries[place].charge(for: query.cost))
          }
        }
      }
      return compose(sites, entries, query, under: policies, at: now, isAdmitted: isAdmitted)
    }
  }

  /// Whether a denial by this limit denies the query.
  @inline(__always)
  private func enforces(_ rule: UnsafePointer<Rule>, _ tenant: Tenant) -> Bool {
    rule.pointee.mode == .enforce && tenant.standing == .limited
  }

  /// Charges every limit that admits, or none.
  @inline(__always)
  private func chargeAll(
    _ sites: UnsafeMutablePointer<Site>, _ entries: UnsafeBufferPointer<PolicyEntry>,
    _ query: Query, under policies: borrowing PolicySet, at now: Instant, intent: Intent
  ) -> Bool {
    for place in 0..<entries.count {
      let entry = entries[place]
      let rule = policies.rule(for: entry.limit, of: query.tenant)
      let isLookedAtOnly = rule.pointee.algorithm == .concurrency && intent != .acquire
      guard sites[place].outcome == .allow, !isLookedAtOnly else { continue }
      let isCharged = charge(
        &sites[place], rule, query, cost: entry.charge(for: query.cost), now: now, intent: intent)
      if !isCharged && enforces(rule, query.tenant) {
        undo(sites, entries, before: place, query, under: policies, at: now)
        return false
      }
    }
    return true
  }

  /// Gives back what was charged before another limit refused.
  @inline(never)
  private func undo(
    _ sites: UnsafeMutablePointer<Site>, _ entries: UnsafeBufferPointer<PolicyEntry>,
    before end: Int, _ query: Query, under policies: borrowing PolicySet, at now: Instant
  ) {
    for place in 0..<end where sites[place].isCharged {
      let rule = policies.rule(for: entries[place].limit, of: query.tenant)
      giveBack(
        rule, query, cost: entries[place].charge(for: query.cost), level: sites[place].level,
        decidedAt: now, now: now)
      sites[place].isCharged = false
    }
  }
}
