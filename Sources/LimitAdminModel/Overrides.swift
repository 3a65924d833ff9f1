// What administrators set at run time, and how they ask for it. Values: any thread.

/// One parameter of one limit, in a policy file's words.
public struct OverrideSetting: Codable, Equatable, Sendable {
  public var limit: String
  public var parameter: String
  public var value: String

  public init(limit: String, parameter: String, value: String) {
    self.limit = limit
    self.parameter = parameter
    self.value = value
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case limit, parameter, value }

  public init(from decoder: any Decoder) throws {
    try decoder.refuseMembers(besides: CodingKeys.allCases)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    limit = try members.decode(String.self, forKey: .limit)
    parameter = try members.decode(String.self, forKey: .parameter)
    value = try members.decode(String.self, forKey: .value)
  }
}

/// A tenant that is denied everything.
public struct TenantBlock: Codable, Equatable, Sendable {
  public var reason: String
  /// When it ends by itself, RFC 3339; `nil`: when it is lifted.
  public var until: String?

  public init(reason: String, until: String?) {
    self.reason = reason
    self.until = until
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case reason, until }

  public init(from decoder: any Decoder) throws {
    try decoder.refuseMembers(besides: CodingKeys.allCases)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    reason = try members.decode(String.self, forKey: .reason)
    until = try members.decodeIfPresent(String.self, forKey: .until)
  }
}

/// All that is set at run time for one tenant.
public struct TenantOverrides: Codable, Equatable, Sendable {
  public var tenant: String
  public var plan: String?
  public var settings: [OverrideSetting]
  public var block: TenantBlock?

  public init(
    tenant: String, plan: String?, settings: [OverrideSetting], block: TenantBlock?
  ) {
    self.tenant = tenant
    self.plan = plan
    self.settings = settings
    self.block = block
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case tenant, plan, settings, block }

  public init(from decoder: any Decoder) throws {
    try decoder.refuseMembers(besides: CodingKeys.allCases)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    tenant = try members.decode(String.self, forKey: .tenant)
    plan = try members.decodeIfPresent(String.self, forKey: .plan)
    settings = try members.decodeIfPresent([OverrideSetting].self, forKey: .settings) ?? []
    block = try members.decodeIfPresent(TenantBlock.self, forKey: .block)
  }
}

// MARK: - Requests

/// `PATCH /v1/tenants/{tenant}`.
public struct TenantEdit: Codable, Equatable, Sendable {
  /// One parameter, or all of a limit's.
  public struct Setting: Codable, Equatable, Sendable {
    public var limit: String
    /// `nil`: all that are set of this limit; then there is no value.
    public var parameter: String?
    /// `nil`: as in the policy file again.
    public var value: String?

    public init(limit: String, parameter: String?, value: String?) {
      self.limit = limit
      self.parameter = parameter
      self.value = value
    }

    private enum CodingKeys: String, CodingKey, CaseIterable { case limit, parameter, value }

    public init(from decoder: any Decoder) throws {
      try decoder.refuseMembers(besides: CodingKeys.allCases)
      let members = try decoder.container(keyedBy: CodingKeys.self)
      limit = try members.decode(String.self, forKey: .limit)
      parameter = try members.decodeIfPresent(String.self, forKey: .parameter)
      value = try members.decodeIfPresent(String.self, forKey: .value)
    }
  }

  /// `nil`: left as it is; `.some(nil)`, in JSON `null`: as in the policy file again.
  public var plan: String??
  public var settings: [Setting]
  public var dryRun: Bool

  public init(plan: String?? = nil, settings: [Setting] = [], dryRun: Bool = false) {
    self.plan = plan
    self.settings = settings
    self.dryRun = dryRun
  }

  private enum CodingKeys: String, CodingKey, CaseIterable { case plan, settings, dryRun }

  public init(from decoder: any Decoder) throws {
    try decoder.refuseMembers(besides: CodingKeys.allCases)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    plan =
      members.contains(.plan)
      ? .some(try members.decodeIfPresent(String.self, forKey: .plan)) : nil
    settings = try members.decodeIfPresent([Setting].self, forKey: .settings) ?? []
    dryRun = try members.decodeIfPresent(Bool.self, forKey: .dryRun) ?? false
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    if let plan { try members.encode(plan, forKey: .plan) }
    try members.encode(settings, forKey: .settings)
    try members.encode(dryRun, forKey: .dryRun)
  }
}

/// `PUT /v1/tenants/{tenant}/block`.
public struct BlockRequest: Codable, Equatable, Sendable {
  public var reason: String
  /// RFC 3339. At most one of this and `forSeconds`.
  public var until: String?
  public var forSeconds: Int?
  public var dryRun: Bool

  public init(reason: String, until: String?, forSeconds: Int?, dryRun: Bool) {
    self.reason = reason
    self.until = until
    self.forSeconds = forSeconds
    self.dryRun = dryRun
  }

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case reason, until, forSeconds, dryRun
  }

  public init(from decoder: any Decoder) throws {
    try decoder.refuseMembers(besides: CodingKeys.allCases)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    reason = try members.decode(String.self, forKey: .reason)
    until = try members.decodeIfPresent(String.self, forKey: .until)
    forSeconds = try members.decodeIfPresent(Int.self, forKey: .forSeconds)
    dryRun = try members.decodeIfPresent(Bool.self, forKey: .dryRun) ?? false
  }
}

// MARK: - Answers

/// What a change at run time did, or would do.
public struct ChangeAnswer: Codable, Equatable, Sendable {
  public typealias Difference = ReloadAnswer.Difference

  public var format = "limitd-change/1"
  /// Whether it is on the disk and in force now.
  public var isInForce: Bool
  /// How many tenants and limits have something else set than before.
  public var differenceCount: Int
  /// The first of them: what is set at run time, before and after.
  public var differences: [Difference]
  /// What else to know of it.
  public var notes: [String]

  public init(
    isInForce: Bool, differenceCount: Int, differences: [Difference], notes: [String]
  ) {
    self.isInForce = isInForce
    self.differenceCount = differenceCount
    self.differences = differences
    self.notes = notes
  }
}

/// One change that was made.
public struct AuditRecord: Codable, Equatable, Sendable {
  /// Counts up.
  public var number: Int
  /// RFC 3339.
  public var time: String
  /// `nil`: no user asked for it, but time, or a signal.
  public var uid: Int?
  public var pid: Int?
  /// The user's name then, or what it was that changed something.
  public var author: String
  public var action: String
  public var tenant: String?
  public var limit: String?
  /// `nil`: there was nothing.
  public var from: String?
  public var to: String?

  public init(
    number: Int, time: String, uid: Int?, pid: Int?, author: String, action: String,
    tenant: String?, limit: String?, from: String?, to: String?
  ) {
    self.number = number
    self.time = time
    self.uid = uid
    self.pid = pid
    self.author = author
    self.action = action
    self.tenant = tenant
    self.limit = limit
    self.from = from
    self.to = to
  }
}

/// `GET /v1/audit`: the newest first, some at a time.
public struct AuditPage: Codable, Equatable, Sendable {
  public var format = "limitd-audit/1"
  public var entries: [AuditRecord]
  /// What `before` is for the next page; `nil`: there is none.
  public var nextBefore: Int?

  public init(entries: [AuditRecord], nextBefore: Int?) {
    self.entries = entries
    self.nextBefore = nextBefore
  }
}
