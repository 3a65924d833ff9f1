// From what each limit said to one answer.

/// What the limits of a policy add up to besides the one that decides.
struct Summary {
  private var flags: Decision.Flags = []
  private var charged: UInt16 = 0
  private var shadow: UInt16 = 0
  private var escalated: UInt32 = 0
  /// The engine time as of which the limits were charged: not before any window that was.
  private var asOf: UInt64

  @inline(__always) init(at now: Instant) { asOf = now.nanoseconds }

  /// Adds the limit at `place` of the policy.
  ///
  /// - Parameter cost: what the query takes from this limit where it is charged; its figures are
  ///   those after that, also where another limit has kept it from being charged.
  @inline(__always) mutating func add(
    _ site: Site, _ rule: UnsafePointer<Rule>, place: Int, cost: UInt64, isEnforced: Bool
  ) {
    if rule.pointee.hasSoftThreshold {
      let isSpared = site.outcome == .allow && !site.isCharged
      let remaining = site.remaining &+ (isSpared ? cost : 0)
      if remaining <= rule.pointee.softRemaining { flags.insert(.softThreshold) }
    }
    if !isEnforced && site.outcome != .allow {
      flags.insert(.shadowDenied)
      shadow |= 1 << UInt16(place)
    }
    if site.level > 0 {
      flags.insert(.overflow)
      escalated |= UInt32(site.level) << UInt32(2 &* place)
    }
    if site.isCharged {
      charged |= 1 << UInt16(place)
      if site.isAhead { asOf = Self.start(of: site.next, rule, near: asOf) }
    }
  }

  /// A window that a later clock reading had begun was charged: as of its start. Not a method of the
  /// value, which would then have to lie in memory.
  @inline(never) private static func start(
    of word: StateWord, _ rule: UnsafePointer<Rule>, near asOf: UInt64
  ) -> UInt64 {
    max(asOf, SlidingWindow.start(of: word.tick, window: rule.pointee.period, near: asOf))
  }

  /// The answer, with the figures of the limit that decided.
  @inline(__always) func decision(
    _ site: Site, _ rule: UnsafePointer<Rule>, place: Int, _ query: Query, tag: UInt32,
    isAdmitted: Bool
  ) -> Decision {
    Decision(
      outcome: isAdmitted ? .allow : site.outcome,
      reason: query.tenant.standing == .unlimited ? .unlimited : .limit, flags: flags,
      limit: rule.pointee.limit, place: UInt8(truncatingIfNeeded: place),
      capacity: rule.pointee.capacity, remaining: site.remaining,
      retryAfter: Nanoseconds(isAdmitted ? 0 : site.retryAfter),
      resetAfter: Nanoseconds(site.resetAfter),
      receipt: Receipt(
        tag: tag, decidedAt: Instant(nanoseconds: asOf), cost: query.cost, charged: charged,
        shadow: shadow, escalated: escalated))
  }
}

/// How much a limit has to say in a decision; the highest decides, the first among equals.
struct Rank {
  /// Enforced before shadow; on a denial `never` before `deny` before `allow`.
  private let standing: UInt8
  /// Denied: the retry.
  private let retryAfter: UInt64
  private let remaining: UInt64
  private let capacity: UInt64

  static let lowest = Rank(standing: 0, retryAfter: 0, remaining: 0, capacity: 1)

  private init(standing: UInt8, retryAfter: UInt64, remaining: UInt64, capacity: UInt64) {
    self.standing = standing
    self.retryAfter = retryAfter
    self.remaining = remaining
    self.capacity = capacity
  }

  @inline(__always) init(
    _ site: Site, _ rule: UnsafePointer<Rule>, isEnforced: Bool, isAdmitted: Bool
  ) {
    // Among limits that can never hold the cost, the first decides.
    let isNever = !isAdmitted && site.outcome == .never
    capacity = isNever ? 1 : rule.pointee.capacity
    remaining = isNever ? 0 : site.remaining
    retryAfter = isAdmitted ? 0 : site.retryAfter
    standing = isEnforced ? (isAdmitted ? 4 : 4 + site.outcome.rawValue) : 0
  }

  /// Allowed: the one with the least fraction left, compared exactly. Denied: the longest retry.
  @inline(__always) static func < (left: Rank, right: Rank) -> Bool {
    if left.standing != right.standing { return left.standing < right.standing }
    if left.retryAfter != right.retryAfter { return left.retryAfter < right.retryAfter }
    let mine = left.remaining.multipliedFullWidth(by: right.capacity)
    let other = right.remaining.multipliedFullWidth(by: left.capacity)
    return (other.high, other.low) < (mine.high, mine.low)
  }
}
