// What is asked. Values: any thread may use them.

internal import LimitProtocol

/// Whom a decision is for, and what it costs.
public struct LimitQuery: Sendable, Hashable {
  /// 1 to 255 bytes.
  public var tenant: String
  /// 1 to 64 bytes.
  public var policy: String
  /// At most what the daemon's hello says, 1,024 bytes by default; may be empty.
  public var key: LimitKey
  /// Units, below 2^48. 0 charges nothing.
  public var cost: UInt64

  /// Checks nothing: a value out of its bounds fails the call with `invalidArgument`.
  ///
  /// - Parameters:
  ///   - tenant: 1 to 255 bytes.
  ///   - policy: 1 to 64 bytes.
  ///   - key: at most what the daemon's hello says, 1,024 bytes by default.
  ///   - cost: units, below 2^48.
  public init(tenant: String, policy: String, key: String = "", cost: UInt64 = 1) {
    self.init(tenant: tenant, policy: policy, key: LimitKey(key), cost: cost)
  }

  /// As above, for a key in bytes.
  public init(tenant: String, policy: String, key: LimitKey, cost: UInt64 = 1) {
    self.tenant = tenant
    self.policy = policy
    self.key = key
    self.cost = cost
  }

  /// Checks what needs no daemon.
  func validate() throws(LimitClientError) {
    try Bounds.check(tenant: tenant, policy: policy)
    try Bounds.check(cost: cost)
  }
}

/// How one call differs from what the configuration says.
public struct CallOptions: Sendable, Hashable {
  /// The most that the call may take, connecting included. Nil: the configuration's `callTimeout`.
  /// Zero or less sends nothing, and times out.
  public var timeout: Duration?
  /// What the caller gets where the daemon does not answer. Nil: the configuration's.
  public var whenAway: WhenAway?

  /// - Parameters: as the properties of these names; nil is the configuration's.
  public init(timeout: Duration? = nil, whenAway: WhenAway? = nil) {
    self.timeout = timeout
    self.whenAway = whenAway
  }
}

/// Which query.
public enum QueryOperation: Sendable, Hashable {
  /// Asks and charges.
  case check
  /// Asks, charges nothing.
  case peek
  /// Asks, charges and takes a permit.
  case acquire

  var byHandle: Operation {
    switch self {
    case .check: .check
    case .peek: .peek
    case .acquire: .acquire
    }
  }

  var byName: Operation {
    switch self {
    case .check: .checkByName
    case .peek: .peekByName
    case .acquire: .acquireByName
    }
  }
}

/// The protocol's bounds of arguments.
enum Bounds {
  static func check(tenant: String, policy: String) throws(LimitClientError) {
    guard 1...255 ~= tenant.utf8.count else {
      throw .invalidArgument("a tenant's name has 1 to 255 bytes, not \(tenant.utf8.count)")
    }
    guard 1...64 ~= policy.utf8.count else {
      throw .invalidArgument("a policy's name has 1 to 64 bytes, not \(policy.utf8.count)")
    }
  }

  static func check(cost: UInt64) throws(LimitClientError) {
    guard cost <= QueryRequest.costMax else {
      throw .invalidArgument("a cost is below 2^48, not \(cost)")
    }
  }

  static func check(keyBytes count: Int, max: Int) throws(LimitClientError) {
    guard count <= max else {
      throw .invalidArgument("a key has at most \(max) bytes here, not \(count)")
    }
  }
}
