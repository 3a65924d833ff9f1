// The answer to a query, with what a reply's headers need. A value: any thread may use it.

internal import LimitProtocol

/// The answer to one query.
public struct LimitDecision: Sendable, Hashable {
  /// What the daemon says.
  public enum Outcome: UInt8, Sendable {
    case allow = 0
    /// Not now; `retryAfter` says when.
    case deny = 1
    /// The cost is more than a limit can ever hold.
    case never = 2
  }

  /// Why.
  public enum Reason: Sendable, Hashable {
    /// A limit decided, or the tenant has none.
    case limit
    /// The tenant is blocked.
    case blocked
    /// Nobody knows the tenant.
    case unknownTenant
    /// The daemon did not answer: the outcome is the configuration's `whenAway`.
    case daemonAway
  }

  /// What else is worth knowing.
  public struct Flags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Past a soft threshold.
    public static let softThreshold = Flags(rawValue: 1)
    /// A shadow limit would have denied.
    public static let shadowDenied = Flags(rawValue: 2)
    /// Charged to the tenant's overflow bucket, for want of one of its own.
    public static let overflow = Flags(rawValue: 4)
  }

  public var outcome: Outcome
  public var reason: Reason
  public var flags: Flags
  /// The name of the limit that decided: on allow, the one with the least fraction left; on deny,
  /// the one with the longest wait. Nil where none did, or where its name could not be learnt.
  public var limit: String?
  /// What that limit counts.
  public var limitUnit: String?
  /// What that limit holds when full, in its unit.
  public var capacity: UInt64
  /// What remains in it.
  public var remaining: UInt64
  /// On deny: nanoseconds until the same cost would be admitted if nothing else came. 0 for a
  /// concurrency limit, of which nobody knows.
  public var retryAfterNanoseconds: UInt64
  /// Nanoseconds until the limit is as if never used.
  public var resetAfterNanoseconds: UInt64
  /// What a refund needs.
  public var receipt: Receipt

  /// Whether the caller may go on.
  public var isAllowed: Bool { outcome == .allow }

  /// `retryAfterNanoseconds` as a duration.
  public var retryAfter: Duration { Duration(unsigned: retryAfterNanoseconds) }
  /// `resetAfterNanoseconds` as a duration.
  public var resetAfter: Duration { Duration(unsigned: resetAfterNanoseconds) }

  /// Whole seconds, rounded up, as the `Retry-After` header wants them.
  public var retryAfterSeconds: UInt64 { Self.secondsRoundedUp(retryAfterNanoseconds) }
  /// Whole seconds, rounded up.
  public var resetAfterSeconds: UInt64 { Self.secondsRoundedUp(resetAfterNanoseconds) }

  private static func secondsRoundedUp(_ nanoseconds: UInt64) -> UInt64 {
    let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return rest == 0 ? seconds : seconds + 1
  }

  /// What a caller gets for a daemon that did not answer.
  static func daemonAway(_ outcome: Outcome) -> LimitDecision {
    LimitDecision(
      outcome: outcome, reason: .daemonAway, flags: [], limit: nil, limitUnit: nil, capacity: 0,
      remaining: 0, retryAfterNanoseconds: 0, resetAfterNanoseconds: 0, receipt: .nothing)
  }
}

extension LimitDecision {
  /// A decision as it came, with the name of its limit.
  ///
  /// - Parameter limits: of the policy, in its order; nil where they are not known.
  /// - Throws: `protocolViolation` for an outcome or a reason that the protocol does not have.
  init(
    _ record: DecisionRecord, limits: [LimitDescription]?, receipt: Receipt
  ) throws(ClientError) {
    guard let outcome = Outcome(rawValue: record.outcome.rawValue) else {
      throw .protocolViolation("a decision has outcome \(record.outcome.rawValue)")
    }
    let place = Int(record.place)
    let limit = limits.flatMap { place < $0.count ? $0[place] : nil }
    self.init(
      outcome: outcome, reason: try Reason(wire: record.reason.rawValue),
      flags: Flags(rawValue: record.flags.rawValue & 7), limit: limit?.name, limitUnit: limit?.unit,
      capacity: record.capacity, remaining: record.remaining,
      retryAfterNanoseconds: record.retryAfter == DecisionRecord.noWait ? 0 : record.retryAfter,
      resetAfterNanoseconds: record.resetAfter,
      receipt: receipt)
  }
}

extension LimitDecision.Reason {
  init(wire: UInt8) throws(ClientError) {
    switch wire {
    case 0, 3: self = .limit
    case 1: self = .blocked
    case 2: self = .unknownTenant
    default: throw .protocolViolation("a decision has reason \(wire)")
    }
  }
}

extension Duration {
  /// Nanoseconds; what is beyond 292 years counts as that.
  init(unsigned nanoseconds: UInt64) { self = .nanoseconds(Int64(clamping: nanoseconds)) }
}

extension WhenAway {
  /// A decision in place of `error`.
  /// - Throws: the error, where it is not for us to decide.
  func decision(for error: ClientError) throws(ClientError) -> LimitDecision {
    guard error.isAway else { throw error }
    switch self {
    case .throw: throw error
    case .allow: return .daemonAway(.allow)
    case .deny: return .daemonAway(.deny)
    }
  }
}
