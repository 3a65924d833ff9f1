// Which block of counters a query belongs to, found without a lock: an open-addressing table of what
// this worker has met, which only grows, up to the registry's bound. One thread uses it.

import Glibc
package import LimitEngine

/// A worker's way from tenant and policy to a block of counters.
package struct CounterIndex: ~Copyable {
  private struct Entry: BitwiseCopyable {
    var key: Fingerprint
    /// 0 where the place is free.
    var number: UInt16
  }

  /// What is known of a policy of the rulebook in force.
  private struct Policy {
    var key: Fingerprint
    /// The block of tenants without one of their own.
    var others: UInt16
  }

  /// At most half full.
  private static let capacity = 8192

  private let registry: CounterRegistry
  private let entries: UnsafeMutablePointer<Entry>
  private var policies: [Policy] = []
  /// Whether every block that a named tenant has, or ever will, is in the table.
  private var hasAll = false

  package init(_ registry: CounterRegistry, _ rulebook: Rulebook) {
    precondition(Self.capacity >= 2 * CounterRegistry.namedMax, "a free place ends every search")
    self.registry = registry
    guard let memory = calloc(Self.capacity, MemoryLayout<Entry>.stride) else {
      fatalError("no memory for the counters")
    }
    entries = memory.bindMemory(to: Entry.self, capacity: Self.capacity)
    adopt(rulebook)
  }

  deinit { free(entries) }

  /// Goes over to other rules. O(policies).
  package mutating func adopt(_ rulebook: Rulebook) {
    let set = rulebook.policies
    policies = set.policyNames.enumerated().map { place, name in
      let key = CounterRegistry.key(ofPolicy: name, tag: set.tag(of: PolicyIndex(UInt16(place))))
      let others = registry.number(for: key) { Self.block(tenant: nil, place, set) }
      return Policy(key: key, others: others ?? CounterRegistry.last)
    }
  }

  /// The block of a query. Expected O(1); allocates where a tenant is met for the first time.
  ///
  /// - Parameters:
  ///   - policy: of the rulebook in force.
  ///   - name: the tenant's.
  package mutating func number(
    for tenant: Tenant, _ policy: PolicyIndex, in set: PolicySet, name: UnsafeRawBufferPointer
  ) -> UInt16 {
    let known = policies[Int(policy.rawValue)]
    guard tenant.isNamed else { return known.others }
    let key = Fingerprint(
      low: tenant.fingerprint.low &+ known.key.low, high: tenant.fingerprint.high ^ known.key.high)
    let place = place(of: key)
    if entries[place].number != 0 { return entries[place].number }
    return meet(key, known, Int(policy.rawValue), set, name)
  }

  /// The block of a tenant that this worker has not met.
  @inline(never) private mutating func meet(
    _ key: Fingerprint, _ known: Policy, _ policy: Int, _ set: PolicySet,
    _ name: UnsafeRawBufferPointer
  ) -> UInt16 {
    if hasAll { return known.others }
    if registry.isFull {
      // The last ones that there are. From here on nobody waits for the registry's lock.
      for (key, number) in registry.numbersOfNamed { insert(key, number) }
      hasAll = true
      let found = entries[place(of: key)].number
      return found != 0 ? found : known.others
    }
    let number = registry.number(for: key) {
      Self.block(tenant: String(decoding: name, as: UTF8.self), policy, set)
    }
    guard let number else { return known.others }
    insert(key, number)
    return number
  }

  private func insert(_ key: Fingerprint, _ number: UInt16) {
    entries[place(of: key)] = Entry(key: key, number: number)
  }

  /// Where a key is, or the free place where it would go.
  private func place(of key: Fingerprint) -> Int {
    var place = Int(truncatingIfNeeded: key.low) & (Self.capacity - 1)
    while entries[place].number != 0, entries[place].key != key {
      place = (place + 1) & (Self.capacity - 1)
    }
    return place
  }

  private static func block(tenant: String?, _ policy: Int, _ set: PolicySet)
    -> CounterRegistry.Block
  {
    CounterRegistry.Block(
      tenant: tenant, policy: set.policyNames[policy],
      limits: set.limits(of: PolicyIndex(UInt16(policy))).map {
        set.limits[Int($0.rawValue)].name
      })
  }
}
