// One item of a batch, and what all queries have in common. Values: any thread may use them.

internal import LimitProtocol

/// One check of a batch.
public struct LimitCheck: Sendable, Hashable {
  /// 1 to 255 bytes.
  public var tenant: String
  /// 1 to 64 bytes.
  public var policy: String
  /// At most what the daemon's hello says, 1,024 bytes by default; may be empty.
  public var key: String
  /// Units, below 2^48. 0 charges nothing.
  public var cost: UInt64

  public init(tenant: String, policy: String, key: String, cost: UInt64 = 1) {
    self.tenant = tenant
    self.policy = policy
    self.key = key
    self.cost = cost
  }
}

/// A key in one of the forms in which callers have it.
enum QueryKey {
  case text(String)
  case array([UInt8])
  /// Must outlive the call.
  case pointer(UnsafeRawBufferPointer)

  func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    switch self {
    case .text(let text): text.withBytes(body)
    case .array(let bytes): bytes.withBytes(body)
    case .pointer(let bytes): body(bytes)
    }
  }

  /// For a receipt.
  var stored: StoredKey {
    switch self {
    case .text(let text): .text(text)
    case .array(let bytes): .long(bytes)
    case .pointer(let bytes): StoredKey(copying: bytes)
    }
  }
}

/// What check, peek and acquire have in common.
struct Query {
  var operation: QueryOperation
  var tenant: String
  var policy: String
  var key: QueryKey
  var cost: UInt64

  /// Checks what needs no daemon: the names and the cost.
  func validate() throws(ClientError) {
    try Bounds.check(tenant: tenant, policy: policy)
    guard cost <= QueryRequest.costMax else {
      throw .invalidArgument("a cost is below 2^48, not \(cost)")
    }
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
  static func check(tenant: String, policy: String) throws(ClientError) {
    guard 1...255 ~= tenant.utf8.count else {
      throw .invalidArgument("a tenant's name has 1 to 255 bytes, not \(tenant.utf8.count)")
    }
    guard 1...64 ~= policy.utf8.count else {
      throw .invalidArgument("a policy's name has 1 to 64 bytes, not \(policy.utf8.count)")
    }
  }
}
