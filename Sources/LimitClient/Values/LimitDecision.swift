// The answer to a query, with what a reply's headers need. A value: any thread may use it.

internal import LimitProtocol

/// The answer to one query.
public struct LimitDecision: Sendable, Hashable {
  /// Whether the caller may go on.
  public enum Outcome: UInt8, Sendable {
    case allow = 0
    /// Not now; `retryAfter` says when.
    case deny = 1
    /// The cost is more than a limit can ever hold.
    case never = 2
  }

  /// Why. Reasons may be added: a `switch` needs a `default`.
  public struct Reason: Hashable, Sendable, CustomStringConvertible {
    private let number: UInt16
    private init(_ number: UInt16) { self.number = number }
    init(wire: UInt8) { number = UInt16(wire) }

    /// A limit decided.
    public static let limit = Reason(0)
    /// The tenant is blocked.
    public static let blocked = Reason(1)
    /// Nobody knows the tenant.
    public static let unknownTenant = Reason(2)
    /// The tenant is not limited.
    public static let unlimited = Reason(3)
    /// The daemon did not answer: the outcome is what `WhenAway` says.
    public static let daemonAway = Reason(0x100)

    /// As in `Reason.unknownTenant`: "unknownTenant"; of a later version "reason" and its number.
    public var description: String {
      switch self {
      case .limit: "limit"
      case .blocked: "blocked"
      case .unknownTenant: "unknownTenant"
      case .unlimited: "unlimited"
      case .daemonAway: "daemonAway"
      default: "reason \(number)"
      }
    }
  }

  /// What else is worth knowing. Flags may be added.
  public struct Flags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Past a soft threshold.
    public static let softThreshold = Flags(rawValue: 1)
    /// A limit that may not deny would have: see `wouldHaveDenied`.
    public static let shadowDenied = Flags(rawValue: 2)
    /// Charged to a wider bucket, for want of one of its own.
    public static let overflow = Flags(rawValue: 4)
  }

  /// Whether the caller may go on.
  public var outcome: Outcome
  /// Who or what decided.
  public var reason: Reason
  /// What else is worth knowing.
  public var flags: Flags
  /// The name of the limit that decided: on allow, the one with the least fraction left; on deny,
  /// the one with the longest wait. Nil where none did, or where its name could not be learnt in
  /// time.
  public var limit: String?
  /// What that limit counts.
  public var limitUnit: String?
  /// The names of the limits that may not deny, and would have (flag `shadowDenied`): those in the
  /// shadow, or any of a tenant that is not limited. In the policy's order; empty where names could
  /// not be learnt in time.
  public var wouldHaveDenied: [String]
  /// What that limit holds when full, in its unit.
  public var capacity: UInt64
  /// What remains in it.
  public var remaining: UInt64
  /// On deny: nanoseconds until the same cost would be admitted if nothing else came; nil where no
  /// wait helps or none is known: never, a blocked or unknown tenant, a full concurrency limit. On
  /// allow 0.
  public var retryAfterNanoseconds: UInt64?
  /// Nanoseconds until the limit is as if never used.
  public var resetAfterNanoseconds: UInt64
  /// What settle and refund need.
  public var receipt: LimitReceipt

  /// A decision as the daemon would make it, for tests of code that asks.
  ///
  /// - Parameters: as the properties of these names. On allow, `retryAfterNanoseconds` is 0 unless given.
  public init(
    _ outcome: Outcome, reason: Reason = .limit, flags: Flags = [], limit: String? = nil,
    limitUnit: String? = nil, wouldHaveDenied: [String] = [], capacity: UInt64 = 0,
    remaining: UInt64 = 0,
    retryAfterNanoseconds: UInt64? = nil, resetAfterNanoseconds: UInt64 = 0,
    receipt: LimitReceipt = .nothing
  ) {
    self.outcome = outcome
    self.reason = reason
    self.flags = flags
    self.limit = limit
    self.limitUnit = limitUnit
    self.wouldHaveDenied = wouldHaveDenied
    self.capacity = capacity
    self.remaining = remaining
    self.retryAfterNanoseconds = retryAfterNanoseconds ?? (outcome == .allow ? 0 : nil)
    self.resetAfterNanoseconds = resetAfterNanoseconds
    self.receipt = receipt
  }
}

extension LimitDecision: CustomStringConvertible {
  /// A line for people, without the key and the receipt: "allow, 9 of 10 left of per-user", "deny, 0 of 10
  /// left of per-user, again in 2 s", "deny (blocked)".
  public var description: String {
    var parts = [reason == .limit ? "\(outcome)" : "\(outcome) (\(reason))"]
    if let limit { parts.append("\(remaining) of \(capacity) left of \(limit)") }
    if outcome != .allow, let seconds = retryAfterSeconds { parts.append("again in \(seconds) s") }
    return parts.joined(separator: ", ")
  }
}

extension LimitDecision {
  /// Whether the caller may go on.
  public var isAllowed: Bool { outcome == .allow }

  /// `retryAfterNanoseconds` as a duration.
  public var retryAfter: Duration? { retryAfterNanoseconds.map { Duration(unsigned: $0) } }
  /// `resetAfterNanoseconds` as a duration.
  public var resetAfter: Duration { Duration(unsigned: resetAfterNanoseconds) }

  /// Whole seconds, rounded up, as the `Retry-After` header wants them; nil: leave it out.
  public var retryAfterSeconds: UInt64? { retryAfterNanoseconds.map(Self.secondsRoundedUp) }
  /// Whole seconds, rounded up.
  public var resetAfterSeconds: UInt64 { Self.secondsRoundedUp(resetAfterNanoseconds) }

  private static func secondsRoundedUp(_ nanoseconds: UInt64) -> UInt64 {
    let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return rest == 0 ? seconds : seconds + 1
  }
}

extension LimitDecision {
  /// A decision as it came, with the name of its limit.
  ///
  /// - Parameters:
  ///   - query: what was asked. A batch has many, of which none is copied but for its receipt.
  ///   - names: of the policy's limits; nil where they are not known.
  init(_ record: DecisionRecord, of query: @autoclosure () -> LimitQuery, names: PolicyNames?) {
    // The session lets nothing else through.
    outcome = Outcome(rawValue: record.outcome.rawValue) ?? .deny
    reason = Reason(wire: record.reason.rawValue)
    flags = Flags(rawValue: record.flags.rawValue)
    let decided = names?.limit(at: record.place)
    limit = decided?.name
    limitUnit = decided?.unit
    wouldHaveDenied =
      record.receipt.shadow == 0 ? [] : names?.limits(in: record.receipt.shadow) ?? []
    capacity = record.capacity
    remaining = record.remaining
    retryAfterNanoseconds = record.retryAfter == DecisionRecord.noWait ? nil : record.retryAfter
    resetAfterNanoseconds = record.resetAfter
    receipt =
      record.receipt.charged == 0 ? .nothing : LimitReceipt(query: query(), wire: record.receipt)
  }
}

extension Duration {
  /// Nanoseconds; what is beyond 292 years counts as that.
  init(unsigned nanoseconds: UInt64) { self = .nanoseconds(Int64(clamping: nanoseconds)) }

  /// Nanoseconds, from 0 to 2^63 − 1.
  var unsignedNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    guard seconds < 9_223_372_036 else { return UInt64(Int64.max) }
    return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
  }
}
