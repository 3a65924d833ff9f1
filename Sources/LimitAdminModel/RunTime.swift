// What is set at run time, as a whole, and the rules that it makes with the policy file. Values: any
// thread.

/// `GET /v1/overrides`: what is set at run time, by tenant, some at a time.
public struct OverridesPage: Codable, Equatable, Sendable {
  /// A limit's mode for everybody.
  public struct Mode: Codable, Equatable, Sendable {
    public var limit: String
    public var mode: String

    public init(limit: String, mode: String) {
      self.limit = limit
      self.mode = mode
    }
  }

  public var format = "limitd-overrides/1"
  /// How many tenants something is set for.
  public var total: Int
  /// How many came before this page.
  public var offset: Int
  /// By the bytes of their names.
  public var tenants: [TenantOverrides]
  /// All of them, on every page.
  public var limits: [Mode]

  public init(total: Int, offset: Int, tenants: [TenantOverrides], limits: [Mode]) {
    self.total = total
    self.offset = offset
    self.tenants = tenants
    self.limits = limits
  }
}

/// `POST /v1/overrides`: all that is set for these tenants is what is given here.
public struct OverridesImport: Codable, Equatable, Sendable {
  public var tenants: [TenantOverrides]
  public var dryRun: Bool

  public init(tenants: [TenantOverrides], dryRun: Bool) {
    self.tenants = tenants
    self.dryRun = dryRun
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case tenants, dryRun }

  public init(from decoder: any Decoder) throws {
    try decoder.refuseMembers(besides: CodingKeys.allCases)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    tenants = try members.decode([TenantOverrides].self, forKey: .tenants)
    dryRun = try members.decodeIfPresent(Bool.self, forKey: .dryRun) ?? false
  }

  /// The largest body that such a request may have, in bytes.
  public static let bodyBytesMax = 16 << 20
}

/// `PUT /v1/limits/{limit}/mode`.
public struct ModeRequest: Codable, Equatable, Sendable {
  /// `enforce` or `shadow`.
  public var mode: String
  public var dryRun: Bool

  public init(mode: String, dryRun: Bool) {
    self.mode = mode
    self.dryRun = dryRun
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case mode, dryRun }

  public init(from decoder: any Decoder) throws {
    try decoder.refuseMembers(besides: CodingKeys.allCases)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    mode = try members.decode(String.self, forKey: .mode)
    dryRun = try members.decodeIfPresent(Bool.self, forKey: .dryRun) ?? false
  }
}

/// `POST /v1/tenants/{tenant}/reset`.
public struct ResetRequest: Codable, Equatable, Sendable {
  /// `nil`: all.
  public var limit: String?
  /// `nil`: the tenant's own buckets, and those of all of its keys.
  public var key: String?
  /// Whether only to count what that would be.
  public var dryRun = false

  public init(limit: String?, key: String?, dryRun: Bool) {
    self.limit = limit
    self.key = key
    self.dryRun = dryRun
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case limit, key, dryRun }

  public init(from decoder: any Decoder) throws {
    try decoder.refuseMembers(besides: CodingKeys.allCases)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    limit = try members.decodeIfPresent(String.self, forKey: .limit)
    key = try members.decodeIfPresent(String.self, forKey: .key)
    dryRun = try members.decodeIfPresent(Bool.self, forKey: .dryRun) ?? false
  }
}

public struct ResetAnswer: Codable, Equatable, Sendable {
  public var format = "limitd-reset/1"
  public var tenant: String
  /// How many buckets had been used.
  public var buckets: Int
  /// Whether they are reset; else they were only counted.
  public var isInForce: Bool

  public init(tenant: String, buckets: Int, isInForce: Bool) {
    self.tenant = tenant
    self.buckets = buckets
    self.isInForce = isInForce
  }
}

/// One limit, policy, plan or tenant as it is in force.
public struct EffectiveEntry: Codable, Equatable, Sendable {
  public struct Value: Codable, Equatable, Sendable {
    /// Parameters of plans and tenants are `LIMIT.PARAMETER`.
    public var name: String
    public var value: String
    /// `file` or `run time`.
    public var source: String
    /// Of the policy file.
    public var line: Int?

    public init(name: String, value: String, line: Int?) {
      self.name = name
      self.value = value
      source = line == nil ? "run time" : "file"
      self.line = line
    }
  }

  /// `limit`, `policy`, `plan` or `tenant`.
  public var kind: String
  public var name: String
  /// `file` or `run time`.
  public var source: String
  public var line: Int?
  public var values: [Value]

  public init(kind: String, name: String, line: Int?, values: [Value]) {
    self.kind = kind
    self.name = name
    source = line == nil ? "run time" : "file"
    self.line = line
    self.values = values
  }
}

/// `GET /v1/rules`: the rules in force, some at a time.
public struct EffectiveRules: Codable, Equatable, Sendable {
  public var format = "limitd-rules/1"
  public var configPath: String
  /// How many entries there are.
  public var total: Int
  public var offset: Int
  /// Limits, policies, plans, `"*"`, tenants.
  public var entries: [EffectiveEntry]

  public init(configPath: String, total: Int, offset: Int, entries: [EffectiveEntry]) {
    self.configPath = configPath
    self.total = total
    self.offset = offset
    self.entries = entries
  }
}
