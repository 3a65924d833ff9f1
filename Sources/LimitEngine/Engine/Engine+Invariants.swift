// What must hold of the tables whenever no thread is at work; run by tests.

import Synchronization

extension Engine {
  /// The first broken invariant, in words, or `nil`. O(slots). Not for use while threads decide.
  package func invariantViolation(at now: Instant) -> String? {
    for scope in Scope.allCases {
      if let violation = table(scope.rawValue).pointee.invariantViolation() {
        return "table of \(scope) buckets: \(violation)"
      }
    }
    return nil
  }
}

extension BucketTable {
  /// Checks that no slot is half filled, that no tag is live twice, and that the counts of live
  /// buckets, per shard and per tenant, are those of the slots.
  func invariantViolation() -> String? {
    var seen: Set<UInt64> = []
    var live = 0
    var perTenant: [UInt32: Int] = [:]
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
        perTenant[owner.tenant.rawValue, default: 0] += 1
      }
    }
    if live != shards.liveCount { return "\(live) live buckets, \(shards.liveCount) counted" }
    guard let directory else { return nil }
    for (tenant, count) in perTenant {
      let counted = directory.liveCount(of: TenantNumber(rawValue: tenant))
      if tenant != TenantNumber.none.rawValue && counted != count {
        return "tenant \(tenant) has \(count) live buckets, \(counted) counted"
      }
    }
    return nil
  }
}
