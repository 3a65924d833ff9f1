// Buckets as if they had never been used, because a person says so. Off the query path.

import Synchronization

extension Engine {
  /// Makes a tenant's buckets as if never used: its own and those of all of its keys. Permits that are
  /// held stay held; buckets that others share stay as they are.
  ///
  /// Decides race with it as with any decision: one that is made meanwhile counts or does not. O(slots),
  /// some 10 ms per million; any thread.
  ///
  /// - Parameters:
  ///   - limit: only this one's; `nil`: all.
  ///   - isDryRun: whether only to count what that would be.
  /// - Returns: how many buckets had been used.
  /// - Precondition: `policies` is in force, and what was written before is converted.
  @discardableResult public func reset(
    _ tenant: Tenant, limit: LimitIndex?, under policies: PolicySet, at now: Instant,
    isDryRun: Bool = false
  ) -> Int {
    guard case .known(let place) = directory.find(TenantDirectory.id(tenant.fingerprint)) else {
      return 0
    }
    let number = TenantNumber(rawValue: UInt32(place))
    let pass = ConversionPass(policies, registry: registry, directory: directory)
    var count = 0
    for scope in [Scope.key, .tenant] {
      let table = table(scope.rawValue).pointee
      table.forEachUsedBucket(in: 0..<table.bucketCount) { bucket in
        for lane in 0..<Slot.perBucket {
          let slot = table.slot(lane, inBucket: bucket)
          let word = slot.loadCurrent()
          let owner = slot.loadOwner()
          guard word.isTokenBucket || word.isWindow, owner.tenant == number,
            case .rule(let rule, _) = pass.fate(of: owner, word, in: scope),
            limit == nil || rule.pointee.limit == limit
          else { continue }
          let wasUsed = reset(slot, as: rule, at: now, isDryRun) {
            $0.tenant == number && $0.limit == owner.limit
          }
          if wasUsed { count += 1 }
        }
      }
    }
    return count
  }

  /// Makes the buckets of one key as if never used. O(limits).
  ///
  /// - Parameters:
  ///   - query: its tenant and key count; the policy and cost do not.
  ///   - limit: only this one's; `nil`: those of all limits that have one per key.
  ///   - isDryRun: whether only to count what that would be.
  /// - Returns: how many buckets had been used.
  /// - Precondition: as above.
  @discardableResult public func reset(
    keyOf query: Query, limit: LimitIndex?, under policies: PolicySet, at now: Instant,
    isDryRun: Bool = false
  ) -> Int {
    let limits = limit.map { [$0] } ?? policies.limits.indices.map { LimitIndex(UInt16($0)) }
    return limits.count { limit in
      let rule = policies.rule(for: limit, of: query.tenant)
      guard rule.pointee.scope == .key, rule.pointee.algorithm != .concurrency else { return false }
      let id = Self.identity(rule, query, level: 0)
      guard let found = table(Scope.key.rawValue).pointee.find(id) else { return false }
      let owner = found.slot.loadOwner()
      return reset(found.slot, as: rule, at: now, isDryRun) {
        $0.tenant == owner.tenant && $0.limit == owner.limit
      }
    }
  }

  /// Gives all back that a bucket's words count, the window before this one's included. Whether there was
  /// anything.
  ///
  /// Lock-free: a further turn means that another thread changed the bucket, or that this one has
  /// finished a roll, or converted a word.
  /// - Parameters:
  ///   - isDryRun: whether only to look; words of former rules are converted all the same.
  ///   - isWanted: whether the slot still belongs to whom it did.
  private func reset(
    _ slot: Slot, as rule: UnsafePointer<Rule>, at now: Instant, _ isDryRun: Bool,
    _ isWanted: (Owner) -> Bool
  ) -> Bool {
    let window = rule.pointee.period
    var charges = [SlidingWindow.Charge(at: now, window: window)]
    if rule.pointee.algorithm == .slidingWindow, now.nanoseconds >= window {
      charges.append(
        .init(at: Instant(nanoseconds: now.nanoseconds - window), window: window))
    }
    var wasUsed = false
    for charge in charges {
      var isDone = false
      while !isDone {
        let current = slot.loadCurrent()
        guard (rule.pointee.algorithm == .tokenBucket ? current.isTokenBucket : current.isWindow),
          isWanted(slot.loadOwner())
        else { return wasUsed }
        guard current.head == rule.pointee.head else {
          adopt(slot, current, to: rule, isShared: false, at: now)
          continue
        }
        guard let previous = slot.loadPrevious(while: current) else { continue }
        if current.isTokenBucket {
          // Not below the floor, as in `giveBack`.
          let next = TokenBucket.giveBack(
            current, head: rule.pointee.head, interval: rule.pointee.period,
            now: max(now.nanoseconds, previous.floor), cost: .max)
          if isDryRun || next == current { return next != current }
          slot.noteLowering(of: current, at: now)
          isDone = slot.exchangeCurrent(current, with: next)
          wasUsed = isDone
        } else {
          let counted = current.count + (previous.isWindow ? previous.count : 0)
          if isDryRun { return counted > 0 }
          isDone = giveBack(
            .max, from: charge, slot, current, previous: previous, window: window, now)
          wasUsed = wasUsed || isDone && counted > 0
        }
      }
    }
    return wasUsed
  }
}
