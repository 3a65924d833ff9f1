// Who is decided on and denied most. Values: any thread.

/// `GET /v1/top`.
public struct TopList: Codable, Equatable, Sendable {
  /// A tenant, or one of its keys.
  public struct Entry: Codable, Equatable, Sendable {
    public var tenant: String
    /// `nil`: all of the tenant's.
    public var key: String?
    /// Estimates; exact while there are few decisions.
    public var allowed: UInt64
    public var denied: UInt64

    public init(tenant: String, key: String?, allowed: UInt64, denied: UInt64) {
      self.tenant = tenant
      self.key = key
      self.allowed = allowed
      self.denied = denied
    }
  }

  /// A limit, and the queries that it decided. Exact.
  public struct LimitEntry: Codable, Equatable, Sendable {
    public var limit: String
    public var allowed: UInt64
    public var denied: UInt64

    public init(limit: String, allowed: UInt64, denied: UInt64) {
      self.limit = limit
      self.allowed = allowed
      self.denied = denied
    }
  }

  public var format = "limitd-top/1"
  /// How long all of it is about: the last one or two minutes.
  public var overSeconds: Double
  /// Queries decided since the start, peeks included.
  public var decisions: UInt64
  /// In that time, exact.
  public var allowed: UInt64
  public var denied: UInt64
  public var tenants: [Entry]
  public var keys: [Entry]
  public var limits: [LimitEntry]

  public init(
    overSeconds: Double, decisions: UInt64, allowed: UInt64, denied: UInt64, tenants: [Entry],
    keys: [Entry], limits: [LimitEntry]
  ) {
    self.overSeconds = overSeconds
    self.decisions = decisions
    self.allowed = allowed
    self.denied = denied
    self.tenants = tenants
    self.keys = keys
    self.limits = limits
  }
}
