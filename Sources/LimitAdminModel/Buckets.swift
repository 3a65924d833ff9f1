// What is in buckets now. Values: any thread.

/// One bucket.
public struct BucketState: Codable, Equatable, Sendable {
  public var capacity: UInt64
  public var remaining: UInt64
  /// Seconds until it is as if never used.
  public var resetAfterSeconds: Double
  /// Whether there is a bucket; one that is not is as if never used.
  public var isPresent: Bool
  /// Whether a wider bucket is used, since there was no room for its own.
  public var isOverflow: Bool
  public var isPastSoftThreshold: Bool

  public init(
    capacity: UInt64, remaining: UInt64, resetAfterSeconds: Double, isPresent: Bool,
    isOverflow: Bool, isPastSoftThreshold: Bool
  ) {
    self.capacity = capacity
    self.remaining = remaining
    self.resetAfterSeconds = resetAfterSeconds
    self.isPresent = isPresent
    self.isOverflow = isOverflow
    self.isPastSoftThreshold = isPastSoftThreshold
  }
}

/// `POST /v1/peek`.
public struct PeekRequest: Codable, Equatable, Sendable {
  public var tenant: String
  public var policy: String
  public var key: String
  public var cost: UInt64

  public init(tenant: String, policy: String, key: String = "", cost: UInt64 = 1) {
    self.tenant = tenant
    self.policy = policy
    self.key = key
    self.cost = cost
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case tenant, policy, key, cost }

  public init(from decoder: any Decoder) throws {
    try decoder.refuseMembers(besides: CodingKeys.allCases)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    tenant = try members.decode(String.self, forKey: .tenant)
    policy = try members.decode(String.self, forKey: .policy)
    key = try members.decodeIfPresent(String.self, forKey: .key) ?? ""
    cost = try members.decodeIfPresent(UInt64.self, forKey: .cost) ?? 1
  }
}

/// What a query would come to now, and what every limit says to it.
public struct PeekAnswer: Codable, Equatable, Sendable {
  public struct Limit: Codable, Equatable, Sendable {
    public var limit: String
    public var algorithm: String
    public var scope: String
    public var unit: String
    public var mode: String
    public var parameters: [SourcedParameter]
    /// What the query takes.
    public var cost: UInt64
    /// `allow`, `deny` or `never`: what this limit says, whether or not that counts.
    public var outcome: String
    /// Where it denies: seconds after which it would allow; `nil` where no wait is known to help.
    public var retryAfterSeconds: Double?
    public var bucket: BucketState

    public init(
      limit: String, algorithm: String, scope: String, unit: String, mode: String,
      parameters: [SourcedParameter], cost: UInt64, outcome: String, retryAfterSeconds: Double?,
      bucket: BucketState
    ) {
      self.limit = limit
      self.algorithm = algorithm
      self.scope = scope
      self.unit = unit
      self.mode = mode
      self.parameters = parameters
      self.cost = cost
      self.outcome = outcome
      self.retryAfterSeconds = retryAfterSeconds
      self.bucket = bucket
    }
  }

  public var format = "limitd-peek/1"
  public var tenant: String
  public var isNamed: Bool
  public var standing: String
  public var plan: String?
  public var policy: String
  public var key: String
  public var cost: UInt64
  /// `allow`, `deny` or `never`.
  public var outcome: String
  /// The limit that decides; `nil` where none is looked at.
  public var decidedBy: String?
  /// In the policy's order; none where the tenant is blocked or unknown.
  public var limits: [Limit]
  /// What blocks the tenant, where that was set at run time.
  public var block: TenantBlock?

  public init(
    tenant: String, isNamed: Bool, standing: String, plan: String?, policy: String, key: String,
    cost: UInt64, outcome: String, decidedBy: String?, limits: [Limit],
    block: TenantBlock?
  ) {
    self.tenant = tenant
    self.isNamed = isNamed
    self.standing = standing
    self.plan = plan
    self.policy = policy
    self.key = key
    self.cost = cost
    self.outcome = outcome
    self.decidedBy = decidedBy
    self.limits = limits
    self.block = block
  }
}
