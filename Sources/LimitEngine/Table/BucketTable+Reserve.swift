// Who may have a bucket: asked before its slot is taken, and counted from then on.
//
// A bucket is counted, for its tenant and for the named tenants or the guests, from before its slot
// is announced until its slot is claimed from it or given up: so no count is ever too low, and the
// bounds hold exactly. Whoever ends a slot's life counts it out, once.

import Synchronization

extension BucketTable {
  /// Counts a bucket that is about to be taken; `nil` where there may be none: the tenant has no
  /// place in the directory, or is at its cap, or guests (or the named tenants, beyond what each is
  /// guaranteed) have their share of the table.
  ///
  /// - Returns: what its slot is to be announced with, by `insert`, which takes over the counting.
  func reserve(_ tenant: Fingerprint, isGuest: Bool, limit: LimitNumber) -> Owner? {
    guard let directory, let shares else { return Owner(tenant: .none, limit: limit) }
    let isKey = counters.pointee.scope == .key
    guard let arrival = directory.arrive(tenant, isGuest: isGuest, isKey: isKey) else {
      return nil
    }
    guard !isKey || arrival.keys <= directory.keysPerTenantMax,
      shares.take(isGuest: isGuest, keys: arrival.keys)
    else {
      directory.depart(arrival.number, isKey: isKey)
      return nil
    }
    return Owner(tenant: arrival.number, limit: limit, isGuest: isGuest)
  }

  /// As `reserve`, whatever the bounds: for a bucket that existed before.
  func reserveInAnyCase(_ tenant: Fingerprint?, isGuest: Bool, limit: LimitNumber) -> Owner {
    guard let directory, let shares else { return Owner(tenant: .none, limit: limit) }
    shares.add(isGuest: isGuest)
    let isKey = counters.pointee.scope == .key
    let arrival = tenant.flatMap { directory.arrive($0, isGuest: isGuest, isKey: isKey) }
    return Owner(tenant: arrival?.number ?? .none, limit: limit, isGuest: isGuest)
  }

  /// Counts out a bucket that was reserved and has no slot, or no more.
  func release(_ owner: Owner) {
    shares?.give(isGuest: owner.isGuest)
    directory?.depart(owner.tenant, isKey: counters.pointee.scope == .key)
  }

  /// Whether `reserve` would count a bucket for the tenant, and `insert` find a slot for it. Writes
  /// nothing.
  func hasRoom(_ id: BucketID, for tenant: Fingerprint, isGuest: Bool, at now: Instant) -> Bool {
    mayReserve(for: tenant, isGuest: isGuest) && hasPlace(for: id, at: now)
  }

  /// Whether `reserve` would. Writes nothing.
  func mayReserve(for tenant: Fingerprint, isGuest: Bool) -> Bool {
    guard let directory, let shares else { return true }
    let isKey = counters.pointee.scope == .key
    guard directory.hasRoom(for: tenant, isGuest: isGuest, isKey: isKey) else { return false }
    let keys = isKey && !isGuest ? directory.liveCount(of: tenant) : 0
    return shares.hasRoom(isGuest: isGuest, keys: UInt64(keys))
  }

  /// How many buckets the tenant, or all that share with it, may have, where that is what keeps it
  /// from one more.
  func bindingBound(for tenant: Fingerprint, isGuest: Bool) -> UInt64 {
    guard let directory, let shares else { return UInt64(slotCount) }
    if counters.pointee.scope == .key,
      UInt64(directory.liveCount(of: tenant)) >= directory.keysPerTenantMax
    {
      return directory.keysPerTenantMax
    }
    let places = directory.guestPlacesMax.pointee.load(ordering: .relaxed)
    return min(UInt64(slotCount), shares.bound(ofGuests: isGuest), isGuest ? places : .max)
  }
}
