// How many events are kept of one tenant: so that none fills the log, and hides another's. A value;
// whoever has the log's lock uses it.

import LimitEngine

/// Token buckets: one for each tenant that the rules name, one for all others together, and one for what is
/// about no tenant.
struct EventRates {
  static let ofTenant = SuppressingBucket.Bound(burst: 20, period: 3_000_000_000)
  static let ofOthers = SuppressingBucket.Bound(burst: 60, period: 1_000_000_000)
  /// Tenants that are told apart; of more, those that nothing was heard of for longest begin anew.
  static let tenantsMax = 4096

  private var named = RecencyTable<SuppressingBucket>(capacity: tenantsMax)
  private var guests: SuppressingBucket
  private var general: SuppressingBucket

  init(at now: UInt64) {
    guests = SuppressingBucket(Self.ofOthers, at: now)
    general = guests
  }

  /// Whether an event may be kept: `nil` where not, else how many were not since the one before.
  ///
  /// - Parameter now: CLOCK_BOOTTIME, in ns.
  mutating func admit(_ tenant: EventTenant?, at now: UInt64) -> UInt64? {
    guard let tenant else { return general.take(at: now) }
    guard tenant.isNamed else { return guests.take(at: now) }
    var admitted: UInt64?
    named.update(tenant.fingerprint, else: { SuppressingBucket(Self.ofTenant, at: now) }) {
      admitted = $0.take(at: now)
    }
    return admitted
  }
}
