// What happened that an operator may want to know: who is denied, what was changed, what failed. Values.

package import LimitEngine

/// Whom an event is about.
package struct EventTenant: Hashable, Sendable {
  /// Bytes that are no UTF-8 are replaced.
  package var name: String
  package var fingerprint: Fingerprint
  /// Whether the rules name it.
  package var isNamed: Bool

  package init(name: String, fingerprint: Fingerprint, isNamed: Bool) {
    self.name = name
    self.fingerprint = fingerprint
    self.isNamed = isNamed
  }

  package init(_ name: String, in policies: PolicySet) {
    let tenant = policies.tenant(named: name)
    self.init(name: name, fingerprint: tenant.fingerprint, isNamed: tenant.isNamed)
  }
}

/// One event.
package struct Event: Sendable {
  package enum Kind: String, Sendable, CaseIterable {
    /// A limit of a tenant has reached its soft threshold.
    case softThreshold = "soft_threshold"
    case denialStarted = "denial_started"
    case denialStopped = "denial_stopped"
    /// What is set for a tenant at run time, a block among it.
    case tenantChanged = "tenant_changed"
    /// What is set for a limit at run time, for everybody.
    case limitChanged = "limit_changed"
    case reloaded
    case reloadFailed = "reload_failed"
    case snapshotFailed = "snapshot_failed"
  }

  /// The longest text, in characters; a longer one is cut.
  private static let textMax = 512

  /// Ascending, also from one run of the daemon to the next. `EventLog` gives it.
  package internal(set) var id: UInt64 = 0
  /// Unix time, in ns. `EventLog` gives it.
  package internal(set) var time: UInt64 = 0
  package var kind: Kind
  /// `nil`: about no tenant, or about several.
  package var tenant: EventTenant?
  package var limit: String?
  package var policy: String?
  /// The key of the query that showed it.
  package var key: String?
  /// Why queries are denied.
  package var reason: Decision.Reason?
  /// How long it lasted.
  package var duration: Nanoseconds?
  /// What was done, by whom, and what was set before and after.
  package var action: String?
  package var author: String?
  package var before: String?
  package var after: String?
  /// What else there is to say.
  package var detail: String?
  /// How many events about the same tenant were not kept since the one before: there were too many.
  package internal(set) var suppressedCount: UInt64 = 0

  package init(_ kind: Kind, tenant: EventTenant? = nil, limit: String? = nil) {
    self.kind = kind
    self.tenant = tenant
    self.limit = limit
  }

  /// With texts of bounded length.
  func cut() -> Event {
    var event = self
    func cut(_ text: inout String?) {
      if let given = text, given.utf8.count > Self.textMax {
        text = String(given.prefix(Self.textMax))
      }
    }
    cut(&event.key)
    cut(&event.before)
    cut(&event.after)
    cut(&event.detail)
    return event
  }
}
