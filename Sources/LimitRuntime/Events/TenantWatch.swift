// Who is denied, and who is past a soft threshold, from one moment to the next: makes events of what begins
// and of what is over. A value; whoever has the monitor's lock uses it.

import LimitEngine

/// What goes on, by tenant and limit, in bounded memory.
struct TenantWatch {
  enum Matter: Hashable { case denied, soft }

  /// What was seen of a tenant.
  struct Sight {
    var matter: Matter
    var tenant: Fingerprint
    var isNamed: Bool
    /// `nil`: none, or it is not known which.
    var limit: String?
    var reason = Decision.Reason.limit
    var policy: String?
    var key: String?
  }

  /// How long nothing is seen before it is over, in ns.
  static let quiet: UInt64 = 10_000_000_000
  /// What goes on at once, with named tenants and with others; of more nothing is told.
  static let namedMax = 4096
  static let guestsMax = 256

  private struct Key: Hashable {
    var matter: Matter
    var tenant: Fingerprint
    var limit: String?
    var reason: Decision.Reason
  }

  private struct Entry {
    var tenant: EventTenant
    var policy: String?
    /// CLOCK_BOOTTIME, in ns.
    var since: UInt64
    var last: UInt64
  }

  private var entries: [Key: Entry] = [:]
  private var namedCount = 0
  /// How many limits each tenant is past the soft threshold of.
  private var softCounts: [Fingerprint: Int] = [:]
  /// The time of the last `settle`.
  private var settledAt: UInt64 = 0

  /// Takes note of what was seen.
  ///
  /// - Parameters:
  ///   - now: CLOCK_BOOTTIME, in ns; likewise below.
  ///   - name: the tenant's; asked for where something begins.
  /// - Returns: what to tell; `nil` where it went on already.
  mutating func note(_ sight: Sight, at now: UInt64, name: () -> String) -> Event? {
    let key = Key(
      matter: sight.matter, tenant: sight.tenant, limit: sight.limit, reason: sight.reason)
    if entries[key] != nil {
      entries[key]?.last = now
      return nil
    }
    let hasRoom =
      sight.isNamed
      ? namedCount < Self.namedMax : entries.count - namedCount < Self.guestsMax
    guard hasRoom else { return nil }
    if sight.isNamed { namedCount += 1 }
    if sight.matter == .soft { softCounts[sight.tenant, default: 0] += 1 }
    let tenant = EventTenant(
      name: name(), fingerprint: sight.tenant, isNamed: sight.isNamed)
    entries[key] = Entry(tenant: tenant, policy: sight.policy, since: now, last: now)
    var event = Event(
      sight.matter == .denied ? .denialStarted : .softThreshold, tenant: tenant, limit: sight.limit)
    event.policy = sight.policy
    event.key = sight.key
    if sight.matter == .denied { event.reason = sight.reason }
    return event
  }

  /// Whether a tenant is known to be past some limit's soft threshold.
  func isSoft(_ tenant: Fingerprint) -> Bool { softCounts[tenant] != nil }

  /// Ends what was not seen for a while. O(entries), once a second.
  ///
  /// - Returns: what to tell.
  mutating func settle(at now: UInt64) -> [Event] {
    guard now >= settledAt + 1_000_000_000 else { return [] }
    settledAt = now
    var events: [Event] = []
    for (key, entry) in entries where now - min(now, entry.last) >= Self.quiet {
      entries[key] = nil
      if entry.tenant.isNamed { namedCount -= 1 }
      guard key.matter == .denied else {
        let left = softCounts[key.tenant, default: 1] - 1
        softCounts[key.tenant] = left == 0 ? nil : left
        continue
      }
      var event = Event(.denialStopped, tenant: entry.tenant, limit: key.limit)
      event.policy = entry.policy
      event.reason = key.reason
      event.duration = Nanoseconds(entry.last - entry.since)
      events.append(event)
    }
    return events
  }
}
