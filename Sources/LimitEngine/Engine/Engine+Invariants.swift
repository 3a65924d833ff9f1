// What must hold of the tables whenever no thread is at work; run by tests.

import Synchronization

extension Engine {
  /// The first broken invariant, in words, or `nil`. O(slots). Not for use while threads decide.
  package func invariantViolation(at now: Instant) -> String? {
    var buckets: [UInt32: Int] = [:]
    for scope in Scope.allCases {
      if let violation = table(scope.rawValue).pointee.invariantViolation(&buckets) {
        return "table of \(scope) buckets: \(violation)"
      }
    }
    return directory.invariantViolation(buckets, named: namedTenants.numbers)
  }
}

extension BucketTable {
  /// Checks that no slot is half filled, that no tag is live twice, and that the counts of live
  /// buckets, per shard, per share and per tenant, are those of the slots.
  ///
  /// - Parameter buckets: counts the buckets of each tenant in all tables.
  func invariantViolation(_ buckets: inout [UInt32: Int]) -> String? {
    var seen: Set<UInt64> = []
    var live = 0
    var guests: UInt64 = 0
    var keys: [UInt32: Int] = [:]
    for bucket in 0..<bucketCount {
      for lane in 0..<Slot.perBucket {
        let slot = slot(lane, inBucket: bucket)
        let word = slot.loadCurrent()
        if word.isClaimed || word.isPending { return "slot \(bucket).\(lane) is half filled" }
        guard word.isLive else { continue }
        live += 1
        let tag = slot.tag.pointee.load(ordering: .relaxed) & ~Slot.mark
        if tag == 0 { return "slot \(bucket).\(lane) is live without a tag" }
        if !seen.insert(tag).inserted { return "tag \(tag) is live twice" }
        let owner = slot.loadOwner()
        if owner.isGuest { guests += 1 }
        if directory != nil && owner.tenant != .none {
          keys[owner.tenant.rawValue, default: 0] += 1
        }
      }
    }
    if live != shards.liveCount { return "\(live) live buckets, \(shards.liveCount) counted" }
    buckets.merge(keys, uniquingKeysWith: +)
    guard let shares else { return nil }
    let counted = (shares.count(ofGuests: true), shares.count(ofGuests: false))
    if counted != (guests, UInt64(live) - guests) {
      return "\(guests) of \(live) are guests' buckets, \(counted) counted"
    }
    guard let directory, counters.pointee.scope == .key else { return nil }
    for (tenant, count) in keys where directory.keys(at: Int(tenant)) != count {
      return "tenant \(tenant) has \(count) keys, \(directory.keys(at: Int(tenant))) counted"
    }
    return nil
  }
}

extension TenantDirectory {
  /// Checks that each tenant has one place, that it counts what it has, and that none is kept for
  /// nothing.
  func invariantViolation(_ buckets: [UInt32: Int], named: [Fingerprint: TenantNumber]) -> String? {
    let named = Set(named.values.map(\.rawValue))
    var seen: Set<UInt64> = []
    var guests: UInt64 = 0
    for place in 0..<placeCount {
      let word = identity(place).pointee.load(ordering: .relaxed)
      let expected = buckets[UInt32(place), default: 0] + (named.contains(UInt32(place)) ? 1 : 0)
      if self.buckets(at: place) != expected {
        return "place \(place) has \(expected) buckets, \(self.buckets(at: place)) counted"
      }
      if word == 0 && expected > 0 { return "place \(place) has buckets and no tenant" }
      if word == 0 { continue }
      if expected == 0 { return "place \(place) is kept for nothing" }
      if word & Self.pending != 0 { return "place \(place) is half entered" }
      if word & Self.named == 0 { guests += 1 }
      if !seen.insert(Self.id(ofIdentity: word)).inserted { return "a tenant has two places" }
    }
    return guests == guestCount ? nil : "\(guests) guests, \(guestCount) counted"
  }
}
