// Limits and tenants as the rules in force have them. Values: any thread.

/// One parameter that the rules write, such as `rate` and `100/s`.
public struct RuleParameter: Codable, Equatable, Sendable {
  public var name: String
  public var value: String

  public init(name: String, value: String) {
    self.name = name
    self.value = value
  }
}

/// What the workers have counted for a tenant since it has counters of its own.
public struct Counts: Codable, Equatable, Sendable {
  public var allowed: UInt64 = 0
  public var denied: UInt64 = 0
  /// Cost above what a limit can hold.
  public var never: UInt64 = 0
  /// Denied since the tenant is blocked.
  public var blocked: UInt64 = 0
  /// Units of the queries that were allowed.
  public var units: UInt64 = 0
  public var softThreshold: UInt64 = 0
  public var shadowDenied: UInt64 = 0

  public init() {}
}

/// One of `GET /v1/limits`.
public struct LimitSummary: Codable, Equatable, Sendable {
  public var limit: String
  public var algorithm: String
  public var scope: String
  public var unit: String
  /// `enforce` or `shadow`.
  public var mode: String
  public var parameters: [RuleParameter]
  public var policies: [String]
  /// Plans that write something of their own about it.
  public var plans: [String]
  /// Tenants that do.
  public var tenants: Int
  /// Queries that this limit decided.
  public var allowed: UInt64
  public var denied: UInt64
  public var never: UInt64

  public init(
    limit: String, algorithm: String, scope: String, unit: String, mode: String,
    parameters: [RuleParameter], policies: [String], plans: [String], tenants: Int,
    allowed: UInt64, denied: UInt64, never: UInt64
  ) {
    self.limit = limit
    self.algorithm = algorithm
    self.scope = scope
    self.unit = unit
    self.mode = mode
    self.parameters = parameters
    self.policies = policies
    self.plans = plans
    self.tenants = tenants
    self.allowed = allowed
    self.denied = denied
    self.never = never
  }
}

/// `GET /v1/limits`.
public struct LimitList: Codable, Equatable, Sendable {
  public var format = "limitd-limits/1"
  public var limits: [LimitSummary]

  public init(limits: [LimitSummary]) { self.limits = limits }
}

/// One of `GET /v1/tenants`.
public struct TenantSummary: Codable, Equatable, Sendable {
  public var tenant: String
  /// `limited`, `unlimited`, `blocked` or `unknown`.
  public var standing: String
  public var plan: String?
  /// How many parameters the tenant has of its own.
  public var overrides: Int

  public init(tenant: String, standing: String, plan: String?, overrides: Int) {
    self.tenant = tenant
    self.standing = standing
    self.plan = plan
    self.overrides = overrides
  }
}

/// `GET /v1/tenants`: those that are named, some at a time.
public struct TenantPage: Codable, Equatable, Sendable {
  public var format = "limitd-tenants/1"
  /// How many there are, of those that were asked for.
  public var total: Int
  /// How many came before this page.
  public var offset: Int
  public var tenants: [TenantSummary]

  public init(total: Int, offset: Int, tenants: [TenantSummary]) {
    self.total = total
    self.offset = offset
    self.tenants = tenants
  }
}

/// `GET /v1/tenants/{tenant}`.
public struct TenantDetail: Codable, Equatable, Sendable {
  /// One limit as it holds for the tenant.
  public struct Limit: Codable, Equatable, Sendable {
    public var limit: String
    public var algorithm: String
    public var scope: String
    public var unit: String
    public var mode: String
    public var parameters: [SourcedParameter]
    /// The tenant's own bucket; `nil` of limits that have one per key.
    public var bucket: BucketState?

    public init(
      limit: String, algorithm: String, scope: String, unit: String, mode: String,
      parameters: [SourcedParameter], bucket: BucketState?
    ) {
      self.limit = limit
      self.algorithm = algorithm
      self.scope = scope
      self.unit = unit
      self.mode = mode
      self.parameters = parameters
      self.bucket = bucket
    }
  }

  public var format = "limitd-tenant/1"
  public var tenant: String
  public var isNamed: Bool
  public var standing: String
  public var plan: String?
  /// The line of the policy file that the tenant falls under; `nil` where it is unknown, or made known
  /// at run time.
  public var line: Int?
  /// Key buckets that the tenant has live.
  public var liveKeys: Int
  /// `nil` where the tenant is counted with the others.
  public var counts: Counts?
  public var limits: [Limit]
  /// What is set at run time; `nil`: nothing.
  public var overrides: TenantOverrides?

  public init(
    tenant: String, isNamed: Bool, standing: String, plan: String?, line: Int?, liveKeys: Int,
    counts: Counts?, limits: [Limit], overrides: TenantOverrides?
  ) {
    self.tenant = tenant
    self.isNamed = isNamed
    self.standing = standing
    self.plan = plan
    self.line = line
    self.liveKeys = liveKeys
    self.counts = counts
    self.limits = limits
    self.overrides = overrides
  }
}

/// A parameter in force, and where it was written.
public struct SourcedParameter: Codable, Equatable, Sendable {
  public var name: String
  public var value: String
  /// What it comes to, where that is not plain.
  public var note: String?
  /// `base`, `plan NAME`, `tenant NAME`, `run time` or `default`.
  public var source: String
  public var line: Int?

  public init(name: String, value: String, note: String?, source: String, line: Int?) {
    self.name = name
    self.value = value
    self.note = note
    self.source = source
    self.line = line
  }
}
