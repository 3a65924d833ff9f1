// How many events are kept of one tenant: so that none fills the log, and hides another's. A value;
// whoever has the log's lock uses it.

import LimitEngine

/// Token buckets: one for each tenant that the rules name, one for all others together, and one for what is
/// about no tenant.
struct EventRates {
  /// Events at once, and the time from one to the next after that, in ns.
  struct Bound {
    let burst: UInt64
    let period: UInt64
  }

  static let ofTenant = Bound(burst: 20, period: 3_000_000_000)
  static let ofOthers = Bound(burst: 60, period: 1_000_000_000)
  /// Tenants that are told apart; of more, those that nothing was heard of for longest begin anew.
  static let tenantsMax = 4096

  private struct Bucket {
    var left: UInt64
    var since: UInt64
    var suppressedCount: UInt64 = 0

    /// Takes one: how many were refused before; `nil` where this one is.
    mutating func take(_ bound: Bound, at now: UInt64) -> UInt64? {
      let periods = (now - min(now, since)) / bound.period
      left = min(bound.burst, left + min(periods, bound.burst))
      since += periods * bound.period
      guard left > 0 else {
        suppressedCount += 1
        return nil
      }
      left -= 1
      defer { suppressedCount = 0 }
      return suppressedCount
    }
  }

  private var named = RecencyTable<Bucket>(capacity: tenantsMax)
  private var guests: Bucket
  private var general: Bucket

  init(at now: UInt64) {
    guests = Bucket(left: Self.ofOthers.burst, since: now)
    general = guests
  }

  /// Whether an event may be kept: `nil` where not, else how many were not since the one before.
  ///
  /// - Parameter now: CLOCK_BOOTTIME, in ns.
  mutating func admit(_ tenant: EventTenant?, at now: UInt64) -> UInt64? {
    guard let tenant else { return general.take(Self.ofOthers, at: now) }
    guard tenant.isNamed else { return guests.take(Self.ofOthers, at: now) }
    var admitted: UInt64?
    let bound = Self.ofTenant
    named.update(tenant.fingerprint, else: { Bucket(left: bound.burst, since: now) }) {
      admitted = $0.take(bound, at: now)
    }
    return admitted
  }
}
