// What an administrator asks the daemon to do, and what came of it. Values: any thread.

/// `POST /v1/reload`.
public struct ReloadRequest: Codable, Equatable, Sendable {
  /// Whether only to say what would change.
  public var dryRun: Bool

  public init(dryRun: Bool) { self.dryRun = dryRun }

  private enum CodingKeys: String, CodingKey, CaseIterable { case dryRun }

  public init(from decoder: any Decoder) throws {
    try decoder.refuseMembers(besides: CodingKeys.allCases)
    let members = try decoder.container(keyedBy: CodingKeys.self)
    dryRun = try members.decodeIfPresent(Bool.self, forKey: .dryRun) ?? false
  }
}

public struct ReloadAnswer: Codable, Equatable, Sendable {
  /// One thing that differs between the rules in force and the file.
  public struct Difference: Codable, Equatable, Sendable {
    /// `limit`, `policy`, `plan` or `tenant`.
    public var kind: String
    public var name: String
    /// `nil`: it was not there.
    public var before: String?
    /// `nil`: it goes.
    public var after: String?

    public init(kind: String, name: String, before: String?, after: String?) {
      self.kind = kind
      self.name = name
      self.before = before
      self.after = after
    }
  }

  public var format = "limitd-reload/1"
  public var configPath: String
  /// Whether the file's rules are in force now.
  public var isInForce: Bool
  /// How many things differed before.
  public var differenceCount: Int
  /// The first of them.
  public var differences: [Difference]
  public var warnings: [String]

  public init(
    configPath: String, isInForce: Bool, differenceCount: Int, differences: [Difference],
    warnings: [String]
  ) {
    self.configPath = configPath
    self.isInForce = isInForce
    self.differenceCount = differenceCount
    self.differences = differences
    self.warnings = warnings
  }
}

/// `POST /v1/snapshot`.
public struct SnapshotAnswer: Codable, Equatable, Sendable {
  public var format = "limitd-snapshot/1"
  public var directory: String
  public var buckets: Int
  public var bytes: Int
  public var tookSeconds: Double

  public init(directory: String, buckets: Int, bytes: Int, tookSeconds: Double) {
    self.directory = directory
    self.buckets = buckets
    self.bytes = bytes
    self.tookSeconds = tookSeconds
  }
}
