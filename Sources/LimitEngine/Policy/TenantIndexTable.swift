// The named tenants of a policy set, by fingerprint: built once, then only read.

/// An immutable open-addressing hash table, at most half full. Any thread may read it.
struct TenantIndexTable: ~Copyable, @unchecked Sendable {
  private let places: UnsafeMutableBufferPointer<Tenant?>

  /// Builds the table. Where a tenant is given twice, the first one stays.
  init(_ tenants: some Sequence<Tenant>, count: Int) {
    places = .allocate(capacity: max(2, 2 * count))
    places.initialize(repeating: nil)
    for tenant in tenants {
      let place = place(of: tenant.fingerprint)
      if places[place] == nil { places[place] = tenant }
    }
  }

  deinit { places.deallocate() }

  /// Expected O(1).
  func find(_ fingerprint: Fingerprint) -> Tenant? { places[place(of: fingerprint)] }

  /// Where `fingerprint` is, or the free place where it would go. Ends because half the places
  /// are free.
  private func place(of fingerprint: Fingerprint) -> Int {
    let count = UInt64(places.count)
    var place = Int(fingerprint.high.multipliedFullWidth(by: count).high)
    while let tenant = places[place], tenant.fingerprint != fingerprint {
      place = place + 1 == places.count ? 0 : place + 1
    }
    return place
  }
}
