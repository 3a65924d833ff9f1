// Settling: a decision's cost is corrected to what its query turned out to take.
//
// Lower gives back, never above full. Higher is booked whether or not it fits, as of now: a debt that
// is carried until time has paid it. The engine keeps nothing per query; the receipt says what was
// taken, and bears a mark without which nothing is done (ReceiptKey).

/// What became of a receipt.
public enum Settlement: Sendable, BitwiseCopyable {
  case settled
  /// The receipt is none of this installation's for this tenant, key and list of limits, or was of
  /// a decision that took nothing. Nothing has changed.
  case stale
}

extension Engine {
  /// Corrects a decision to what its query turned out to take, on every limit that it was charged
  /// to. A limit that counts queries, in a policy whose cost is in another unit, keeps its one.
  ///
  /// A permit that `acquire` took is not part of it: that is returned through `release`. The caller
  /// vouches that a receipt is settled once; whoever does it twice corrects twice, never above full.
  ///
  /// Lock-free; allocates nothing. O(limits of the policy).
  ///
  /// - Parameters:
  ///   - query: the tenant, policy and key that were decided, looked up in `policies`. Its cost is
  ///     of no meaning here.
  ///   - receipt: that decision's receipt.
  ///   - actual: what the query took; 0 gives all back.
  ///   - now: read after the decision was made.
  public func settle(
    _ query: Query, _ receipt: Receipt, actual: UInt64, under policies: borrowing PolicySet,
    at now: Instant
  ) -> Settlement {
    policies.check(query)
    guard policies.isGenuine(receipt, of: query) else { return .stale }
    if isPastHorizon(now) { passHorizon(to: now) }
    let entries = policies.range(of: query.policy)
    // A cost of 0 charges nothing, and yet every limit admitted it but for those in the shadow.
    let settled = receipt.cost == 0 ? ~receipt.shadow : receipt.charged
    for place in 0..<entries.count where settled & 1 << UInt16(place) != 0 {
      let entry = entries[place]
      let rule = policies.rule(for: entry.limit, of: query.tenant)
      guard rule.pointee.algorithm != .concurrency else { continue }
      let level = UInt8(receipt.escalated >> UInt32(2 * place) & 3)
      let taken = entry.charge(for: receipt.cost)
      let wanted = entry.countsQueries ? max(taken, min(actual, 1)) : actual
      if wanted > taken {
        book(rule, query, cost: wanted - taken, level: level, now: now)
      } else if wanted < taken {
        guard let charge = windowOfCharge(rule, receipt.decidedAt) else { continue }
        giveBack(rule, query, cost: taken - wanted, level: level, from: charge, now: now)
      }
    }
    return .settled
  }

  // MARK: Lower

  /// The window in which a charge of `decidedAt` is counted; `nil` where it is out of view. Where the
  /// length has changed since, what was in view then counts in the window that lay there.
  private func windowOfCharge(_ rule: UnsafePointer<Rule>, _ decidedAt: Instant)
    -> SlidingWindow.Charge?
  {
    let changedAt = rulesChangedAt
    guard let former = rule.pointee.counterpart, !rule.pointee.isFormer,
      former.pointee.period != rule.pointee.period, decidedAt.nanoseconds < changedAt
    else { return SlidingWindow.Charge(at: decidedAt, window: rule.pointee.period) }
    let length = former.pointee.period
    let end = decidedAt.nanoseconds - decidedAt.nanoseconds % length + 2 * length
    guard rule.pointee.algorithm != .slidingWindow || end > changedAt else { return nil }
    return SlidingWindow.Charge(
      at: Instant(nanoseconds: changedAt), window: rule.pointee.period)
  }

  /// Gives `cost` units back to the bucket that a decision took them from, where that still
  /// matters. Never fills a bucket above full.
  ///
  /// Lock-free: a further turn means that another thread changed the bucket, or that this one has
  /// finished a roll.
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
      guard current.head == rule.pointee.head else {
        // The rules have changed since this began: too little is given back, never too much.
        if rule.pointee.isFormer { return }
        adopt(slot, current, to: rule, isShared: Self.isShared(rule, level: level), at: now)
        continue
      }
      guard let previous = slot.loadPrevious(while: current) else { continue }
      switch rule.pointee.algorithm {
      case .tokenBucket:
        // Not below the floor, which is there as long as no window is: a receipt can be older than
        // the slot's bucket, and `now` older than the thread that took the slot.
        let next = TokenBucket.giveBack(
          current, head: rule.pointee.head, interval: rule.pointee.period,
          now: max(now.nanoseconds, previous.floor), cost: cost)
        if next == current { return }
        slot.noteLowering(of: current, at: now)
        if slot.exchangeCurrent(current, with: next) { return }
      case .concurrency:
        if slot.exchangeCurrent(current, with: Concurrency.release(current, cost: cost)) { return }
      case .slidingWindow:
        let done = giveBack(
          cost, from: charge, slot, current, previous: previous, window: rule.pointee.period, now)
        if done { return }
      }
    }
  }

  /// One attempt to give units back to the window that they were taken from.
  func giveBack(
    _ cost: UInt64, from charge: SlidingWindow.Charge, _ slot: Slot, _ current: StateWord,
    previous: StateWord, window: UInt64, _ now: Instant
  ) -> Bool {
    switch SlidingWindow.place(of: charge, current: current, previous: previous) {
    case .outOfView: return true
    case .current:
      return slot.exchangeCurrent(current, with: SlidingWindow.giveBack(current, cost: cost))
    case .previous:
      // If the window rolls on meanwhile, the exchange fails.
      return slot.exchangePrevious(previous, with: SlidingWindow.giveBack(previous, cost: cost))
    case .rolling:
      // To the window after the one that is frozen, like everybody: the receipt may be older than it.
      let following = SlidingWindow.following(current.tick, window: window, near: now.nanoseconds)
      _ = slot.roll(from: current, to: .window(current.head, expiry: following, count: 0))
      return false
    }
  }

  // MARK: Higher

  /// Takes `cost` units now, whether they are there or not.
  ///
  /// Lock-free: a further turn means that another thread changed the bucket, or that there was no
  /// room for one of this scope.
  private func book(
    _ rule: UnsafePointer<Rule>, _ query: Query, cost: UInt64, level: UInt8, now: Instant
  ) {
    var level = level
    while rule.pointee.scope.rawValue + level <= Scope.global.rawValue {
      var site = look(rule, query, cost: 0, now: now, intent: .peek, level: level)
      level = site.level
      if site.slot != nil, site.current.head != rule.pointee.head {
        if rule.pointee.isFormer, let newer = rule.pointee.counterpart {
          // The rules have changed since this began.
          return book(newer, query, cost: cost, level: level, now: now)
        }
        _ = attempt(&site, &level, rule, query, now: now)
        continue
      }
      if rule.pointee.algorithm == .slidingWindow {
        let view = SlidingWindow.view(
          current: site.current, previous: site.previous, window: rule.pointee.divisor,
          now: now.nanoseconds)
        site.next = SlidingWindow.book(view, head: rule.pointee.head, cost: cost)
      } else {
        site.next = TokenBucket.book(
          site.current, head: rule.pointee.head, interval: rule.pointee.period,
          now: now.nanoseconds, cost: cost)
      }
      if attempt(&site, &level, rule, query, now: now) { return }
    }
  }
}
