// What happened, for those who follow it. Values: any thread.

/// `GET /v1/events`.
public struct EventList: Codable, Equatable, Sendable {
  /// One event.
  public struct Event: Codable, Equatable, Sendable {
    /// Ascending, also from one run of the daemon to the next.
    public var id: UInt64
    /// RFC 3339, UTC.
    public var time: String
    /// `soft_threshold`, `denial_started`, `denial_stopped`, `tenant_changed`, `limit_changed`,
    /// `reloaded`, `reload_failed` or `snapshot_failed`.
    public var kind: String
    /// `nil`: about no tenant, or about several.
    public var tenantId: String?
    public var limit: String?
    public var policy: String?
    /// The key of a query that showed it.
    public var key: String?
    /// `limit`, `blocked` or `unknown_tenant`.
    public var reason: String?
    /// How long denials went on.
    public var durationSeconds: Double?
    /// What was done, by whom, and what was set before and after.
    public var action: String?
    public var author: String?
    public var from: String?
    public var to: String?
    public var detail: String?
    /// How many events about the same tenant were not kept since the one before; `nil`: none.
    public var suppressed: UInt64?

    public init(id: UInt64, time: String, kind: String) {
      self.id = id
      self.time = time
      self.kind = kind
    }
  }

  public var format = "limitd-events/1"
  /// Oldest first.
  public var events: [Event]
  /// What to ask for the next ones after.
  public var nextAfter: UInt64
  /// How many events, whoever's, are gone that came after what was asked for.
  public var lost: UInt64

  public init(events: [Event], nextAfter: UInt64, lost: UInt64) {
    self.events = events
    self.nextAfter = nextAfter
    self.lost = lost
  }
}
