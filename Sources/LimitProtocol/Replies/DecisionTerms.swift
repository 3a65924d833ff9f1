// What a decision says in numbers, with names. Open sets: a later daemon may send values that this
// module does not know, so they are structures and not enumerations. Values: any thread may use them.

/// Whether a query was admitted.
@frozen public struct DecisionOutcome: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  @inlinable public static var allow: DecisionOutcome { DecisionOutcome(rawValue: 0) }
  /// Not now.
  @inlinable public static var deny: DecisionOutcome { DecisionOutcome(rawValue: 1) }
  /// The cost is more than a limit can ever hold.
  @inlinable public static var never: DecisionOutcome { DecisionOutcome(rawValue: 2) }
  /// An item of a batch that could not be decided.
  @inlinable public static var notDecided: DecisionOutcome { DecisionOutcome(rawValue: 255) }
}

/// What decided. Of an item that was not decided, an `ErrorCode` instead.
@frozen public struct DecisionReason: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  @inlinable public static var limit: DecisionReason { DecisionReason(rawValue: 0) }
  /// The tenant is blocked.
  @inlinable public static var blocked: DecisionReason { DecisionReason(rawValue: 1) }
  /// Nobody knows the tenant.
  @inlinable public static var unknownTenant: DecisionReason { DecisionReason(rawValue: 2) }
  /// The tenant is not limited.
  @inlinable public static var unlimited: DecisionReason { DecisionReason(rawValue: 3) }
}

/// What else is worth knowing of a decision.
@frozen public struct DecisionFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
  public let rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Past a soft threshold.
  @inlinable public static var softThreshold: DecisionFlags { DecisionFlags(rawValue: 1) }
  /// A shadow limit would have denied; the receipt's `shadow` says which.
  @inlinable public static var shadowDenied: DecisionFlags { DecisionFlags(rawValue: 2) }
  /// Charged to a wider bucket, for want of one of its own.
  @inlinable public static var overflow: DecisionFlags { DecisionFlags(rawValue: 4) }
}
