// What is kept for the tenants that the rules name, whoever else comes.
//
// Named tenants have their places in the directory, a bucket in the tenant table for each limit they
// may meet, and a guaranteed number of key buckets. All other tenants together, the guests, have at
// most their share of each table; where they find no room they share buckets among themselves. So
// no stream of invented names changes what a named tenant is told. Nothing is moved or freed for it:
// bounds change, and counts follow as buckets die.

import Synchronization

/// The tenants whose places are kept, by their fingerprints.
///
/// Only the thread that puts rules in force touches it.
final class NamedTenants: @unchecked Sendable {
  var numbers: [Fingerprint: TenantNumber] = [:]
  /// How many the directory had no place for.
  var missing = 0
}

extension Engine {
  /// What could not be kept for the named tenants, because the tables are too small for them.
  public struct Shortage: Hashable, Sendable {
    /// Tenants without a place of their own: treated as if it were full.
    public var tenants = 0
    /// Slots of the tenant table that are missing, for all their buckets at once.
    public var tenantSlots = 0

    public var isNone: Bool { tenants == 0 && tenantSlots == 0 }
  }

  /// Of a table, what is surely found when it is looked for: at this load, one insert in 200,000
  /// finds its sixteen places full (docs/decisions/0003-sixteen-places.md).
  private static let fullPercent: UInt64 = 85

  /// Keeps places for the tenants that `policies` names, and sets what the others may have. Call it
  /// before these rules decide, at start as at each reload; one thread at a time, also while others
  /// decide. O(named tenants).
  @discardableResult public func setAside(for policies: PolicySet) -> Shortage {
    var shortage = Shortage()
    var kept: [Fingerprint: TenantNumber] = [:]
    policies.forEachNamedTenant { tenant in
      guard Self.isKept(tenant.standing) else { return }
      if let number = namedTenants.numbers.removeValue(forKey: tenant.fingerprint) {
        kept[tenant.fingerprint] = number
      } else if let number = directory.name(tenant.fingerprint) {
        kept[tenant.fingerprint] = number
      } else {
        shortage.tenants += 1
      }
    }
    for number in namedTenants.numbers.values { directory.unname(number) }
    namedTenants.numbers = kept
    namedTenants.missing = shortage.tenants
    shortage.tenantSlots = setShares(policies)
    return shortage
  }

  /// As `setAside(for:)`, where `policies` differs from the set before in nothing but these tenants.
  /// O(these tenants), unless some have no place.
  public func setAside(for policies: PolicySet, changed names: [String]) -> Shortage {
    guard namedTenants.missing == 0 else { return setAside(for: policies) }
    for name in names {
      let tenant = policies.tenant(named: name)
      let number = namedTenants.numbers[tenant.fingerprint]
      let isKept = tenant.isNamed && Self.isKept(tenant.standing)
      if let number, !isKept {
        directory.unname(number)
        namedTenants.numbers[tenant.fingerprint] = nil
      } else if number == nil, isKept {
        guard let number = directory.name(tenant.fingerprint) else {
          return setAside(for: policies)
        }
        namedTenants.numbers[tenant.fingerprint] = number
      }
    }
    return Shortage(tenantSlots: setShares(policies))
  }

  /// Whether a named tenant may have buckets.
  private static func isKept(_ standing: Standing) -> Bool {
    standing == .limited || standing == .unlimited
  }

  /// Sets the bounds of what guests may have; the slots that are missing in the tenant table.
  private func setShares(_ policies: PolicySet) -> Int {
    let named = UInt64(namedTenants.numbers.count + namedTenants.missing)
    let places = UInt64(configuration.tenantsMax)
    directory.guestPlacesMax.pointee.store(
      named == 0 ? places : min(share(of: places), places - min(named, places)),
      ordering: .relaxed)
    return setShares(named: named, policies)
  }

  private func share(of whole: UInt64) -> UInt64 {
    // In this order, since a table may have more than 2^57 hundredths.
    whole / 100 * UInt64(configuration.guestPercent)
      + whole % 100 * UInt64(configuration.guestPercent) / 100
  }

  /// Sets the bounds of both tables; the slots that are missing in the tenant table.
  private func setShares(named: UInt64, _ policies: PolicySet) -> Int {
    let keys = table(Scope.key.rawValue).pointee
    let tenants = table(Scope.tenant.rawValue).pointee
    guard named > 0 else {
      keys.shares?.set(Shares.Bounds())
      tenants.shares?.set(Shares.Bounds())
      return 0
    }
    // A bucket for each limit of its own, and for each key limit that overflows.
    let limits = UInt64(policies.limits.count { $0.scope != .global })
    let tenantRoom = UInt64(tenants.slotCount) * Self.fullPercent / 100
    tenants.shares?.set(
      Shares.Bounds(
        guests: min(
          share(of: UInt64(tenants.slotCount)), tenantRoom - min(tenantRoom, named * limits))))

    let keyShare = share(of: UInt64(keys.slotCount))
    let keyRoom = UInt64(keys.slotCount) * Self.fullPercent / 100
    let rest = keyRoom - min(keyRoom, keyShare)
    // Half of what guests cannot have is divided among the named tenants; for the other half the
    // first to come have it: whoever goes beyond its own part leaves room for the parts of all others.
    let guaranteed = min(rest / (2 * named), directory.keysPerTenantMax)
    keys.shares?.set(
      Shares.Bounds(
        guests: keyShare, named: rest - guaranteed * (named - 1), guaranteed: guaranteed))
    return Int(named * limits) - min(Int(named * limits), Int(tenantRoom))
  }
}
