// What was denied lately. Values: any thread.

/// `GET /v1/tenants/{tenant}/denials`.
public struct DenialList: Codable, Equatable, Sendable {
  /// One query that was not admitted.
  public struct Denial: Codable, Equatable, Sendable {
    /// RFC 3339, UTC.
    public var time: String
    public var policy: String?
    /// `nil` where no limit was looked at.
    public var limit: String?
    public var key: String
    public var cost: UInt64
    /// `deny` or `never`.
    public var outcome: String
    /// `limit`, `blocked` or `unknown_tenant`.
    public var reason: String
    /// What the caller was told; `nil` where no wait was known to help.
    public var retryAfterSeconds: Double?
    /// How long ago it was.
    public var ageSeconds: Double

    public init(
      time: String, policy: String?, limit: String?, key: String, cost: UInt64, outcome: String,
      reason: String, retryAfterSeconds: Double?, ageSeconds: Double
    ) {
      self.time = time
      self.policy = policy
      self.limit = limit
      self.key = key
      self.cost = cost
      self.outcome = outcome
      self.reason = reason
      self.retryAfterSeconds = retryAfterSeconds
      self.ageSeconds = ageSeconds
    }
  }

  public var format = "limitd-denials/1"
  public var tenant: String
  public var isNamed: Bool
  /// `limited`, `unlimited`, `blocked` or `unknown`.
  public var standing: String
  /// `nil` where the tenant is counted with the others.
  public var counts: Counts?
  /// The last ones that are known, newest first.
  public var denials: [Denial]

  public init(
    tenant: String, isNamed: Bool, standing: String, counts: Counts?, denials: [Denial]
  ) {
    self.tenant = tenant
    self.isNamed = isNamed
    self.standing = standing
    self.counts = counts
    self.denials = denials
  }
}
