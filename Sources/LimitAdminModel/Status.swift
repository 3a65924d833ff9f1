// What a running daemon says of itself. Values: any thread.

/// `GET /v1/status`.
public struct DaemonStatus: Codable, Equatable, Sendable {
  /// One of the engine's tables.
  public struct Table: Codable, Equatable, Sendable {
    /// Whose buckets: `key`, `tenant` or `global`.
    public var scope: String
    public var slots: Int
    /// Buckets that no sweep has freed.
    public var live: Int

    public init(scope: String, slots: Int, live: Int) {
      self.scope = scope
      self.slots = slots
      self.live = live
    }
  }

  /// What becomes of snapshots.
  public struct Snapshots: Codable, Equatable, Sendable {
    /// How long ago the last one was finished, in seconds; `nil`: none yet since the start.
    public var ageSeconds: Double?
    public var buckets: Int?
    public var bytes: Int?
    /// How long it took to write.
    public var tookSeconds: Double?
    public var failures: Int
    /// Why the last attempt failed; `nil` where it did not.
    public var trouble: String?

    public init(
      ageSeconds: Double?, buckets: Int?, bytes: Int?, tookSeconds: Double?, failures: Int,
      trouble: String?
    ) {
      self.ageSeconds = ageSeconds
      self.buckets = buckets
      self.bytes = bytes
      self.tookSeconds = tookSeconds
      self.failures = failures
      self.trouble = trouble
    }
  }

  /// What became of reloads since the start.
  public struct Reloads: Codable, Equatable, Sendable {
    public var successes: Int
    public var failures: Int
    /// How long ago the rules in force were loaded, in seconds.
    public var ageSeconds: Double
    /// Whether the last attempt succeeded.
    public var isLastGood: Bool

    public init(successes: Int, failures: Int, ageSeconds: Double, isLastGood: Bool) {
      self.successes = successes
      self.failures = failures
      self.ageSeconds = ageSeconds
      self.isLastGood = isLastGood
    }
  }

  /// The version of what this describes.
  public var format = "limitd-status/1"
  public var version: String
  public var pid: Int
  public var uptimeSeconds: Double
  public var configPath: String
  /// `nil`: passed by systemd.
  public var socketPath: String?
  public var stateDirectory: String
  public var workers: Int
  public var limits: Int
  public var policies: Int
  public var plans: Int
  public var namedTenants: Int
  /// What tenants get that are not named, in words.
  public var otherTenants: String
  /// Queries decided since the start.
  public var decisions: UInt64
  public var connections: Int
  public var connectionsMax: Int
  public var connectionsRefused: UInt64
  /// Bytes that connections hold.
  public var connectionBytes: Int
  public var tables: [Table]
  /// `nil`: none are written.
  public var snapshots: Snapshots?
  public var reloads: Reloads
  /// What the caller may do.
  public var roles: [String]

  public init(
    version: String, pid: Int, uptimeSeconds: Double, configPath: String,
    socketPath: String?, stateDirectory: String, workers: Int, limits: Int, policies: Int,
    plans: Int, namedTenants: Int, otherTenants: String, decisions: UInt64, connections: Int,
    connectionsMax: Int, connectionsRefused: UInt64, connectionBytes: Int, tables: [Table],
    snapshots: Snapshots?, reloads: Reloads, roles: [String]
  ) {
    self.version = version
    self.pid = pid
    self.uptimeSeconds = uptimeSeconds
    self.configPath = configPath
    self.socketPath = socketPath
    self.stateDirectory = stateDirectory
    self.workers = workers
    self.limits = limits
    self.policies = policies
    self.plans = plans
    self.namedTenants = namedTenants
    self.otherTenants = otherTenants
    self.decisions = decisions
    self.connections = connections
    self.connectionsMax = connectionsMax
    self.connectionsRefused = connectionsRefused
    self.connectionBytes = connectionBytes
    self.tables = tables
    self.snapshots = snapshots
    self.reloads = reloads
    self.roles = roles
  }
}
