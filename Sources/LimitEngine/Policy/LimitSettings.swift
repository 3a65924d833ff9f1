// What one limit is: the parts an admin writes down.
//
// A limit's identity (name, algorithm, scope, unit) is fixed in its definition. Its settings
// (parameters, soft threshold, mode) may differ per plan and per tenant; buckets are kept by
// identity, never by settings, so a changed setting is in force at the next query and forgives
// nobody.

/// Whose bucket a limit charges.
public enum Scope: UInt8, Sendable, BitwiseCopyable, CaseIterable {
  /// One bucket per tenant and key.
  case key = 0
  /// One bucket per tenant.
  case tenant = 1
  /// One bucket for everybody.
  case global = 2
}

/// The rule by which a bucket admits.
public enum Algorithm: UInt8, Sendable, BitwiseCopyable, CaseIterable {
  case tokenBucket = 0
  case slidingWindow = 1
  case concurrency = 2
}

/// Whether a limit's denial counts.
public enum LimitMode: UInt8, Sendable, BitwiseCopyable {
  /// A denial denies the query.
  case enforce = 0
  /// The limit is evaluated and charged, and says so when it would have denied; it never denies.
  case shadow = 1
}

/// The parameters of one limit's algorithm.
public enum LimitParameters: Hashable, Sendable {
  case tokenBucket(TokenBucket.Parameters)
  case slidingWindow(SlidingWindow.Parameters)
  case concurrency(Concurrency.Parameters)

  public var algorithm: Algorithm {
    switch self {
    case .tokenBucket: .tokenBucket
    case .slidingWindow: .slidingWindow
    case .concurrency: .concurrency
    }
  }

  /// The most units that the limit ever holds: burst, limit or number of permits.
  public var capacity: UInt64 {
    switch self {
    case .tokenBucket(let parameters): parameters.burst
    case .slidingWindow(let parameters): parameters.limit
    case .concurrency(let parameters): parameters.limit
    }
  }
}

/// What may differ between plans and tenants.
public struct LimitSettings: Hashable, Sendable {
  public var parameters: LimitParameters
  /// From how many units in use a reply carries the soft-threshold flag, 1 ... capacity; `nil`: never.
  public var softThreshold: UInt64?
  public var mode: LimitMode
  /// Whether `mode` counts also where another one is in force for everybody (`PolicySetBuilder.modes`).
  public var isModeOwn: Bool

  public init(
    parameters: LimitParameters, softThreshold: UInt64? = nil, mode: LimitMode = .enforce,
    isModeOwn: Bool = false
  ) {
    self.parameters = parameters
    self.softThreshold = softThreshold
    self.mode = mode
    self.isModeOwn = isModeOwn
  }
}

/// One named limit with its base settings.
public struct LimitDefinition: Hashable, Sendable {
  /// The unit of limits that count queries: what a limit counts unless it says otherwise.
  public static let requests = "requests"

  public var name: String
  public var scope: Scope
  /// What is counted, such as `requests`, `tokens` or `bytes`.
  public var unit: String
  public var settings: LimitSettings

  public init(
    name: String, scope: Scope, unit: String = LimitDefinition.requests, settings: LimitSettings
  ) {
    self.name = name
    self.scope = scope
    self.unit = unit
    self.settings = settings
  }
}

/// A limit's place in its policy set's list of limits.
@frozen public struct LimitIndex: Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt16

  @inlinable public init(_ rawValue: UInt16) { self.rawValue = rawValue }

  /// Stands for "no limit decided".
  @inlinable public static var none: LimitIndex { LimitIndex(.max) }
}

/// A policy's place in its policy set's list of policies.
@frozen public struct PolicyIndex: Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt16

  @inlinable public init(_ rawValue: UInt16) { self.rawValue = rawValue }
}

/// How a policy set treats a tenant before any limit is looked at.
public enum Standing: UInt8, Sendable, BitwiseCopyable {
  /// Its limits decide.
  case limited = 0
  /// Counted, never denied: every limit acts as a shadow limit.
  case unlimited = 1
  /// Every query is denied.
  case blocked = 2
  /// Not named in the policy set, which has no rule for others: every query is denied.
  case unknown = 3
}
