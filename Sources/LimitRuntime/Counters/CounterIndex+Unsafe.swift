// Which block of counters a query belongs to, found without a lock: an open-addressing table of the tenants'
// blocks that this worker knows of, which only grows, up to the registry's bound. One thread uses it.
//
// A tenant that it does not find is counted with the others of its policy. Where that is out of date, since
// the tenant was given a block meanwhile, it goes on until the worker learns of it: the decision is counted
// once in either case, and neither block ever goes back.

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
  private static let capacity = 16_384

  private let registry: CounterRegistry
  private let entries: UnsafeMutablePointer<Entry>
  private var policies: [Policy] = []
  /// How many of the registry's tenants' blocks were learnt of, in its order.
  private var learntCount = 0

  package init(_ registry: CounterRegistry, _ rulebook: Rulebook) {
    precondition(Self.capacity >= 2 * CounterRegistry.ownedMax, "a free place ends every search")
    self.registry = registry
    guard let memory = calloc(Self.capacity, MemoryLayout<Entry>.stride) else {
      fatalError("no memory for the counters")
    }
    entries = memory.bindMemory(to: Entry.self, capacity: Self.capacity)
    adopt(rulebook)
  }

  deinit { free(entries) }

  /// Goes over to other rules. O(policies), and as `learn`: a tenant that has lost its name to them is
  /// counted where it was, by every worker.
  package mutating func adopt(_ rulebook: Rulebook) {
    let set = rulebook.policies
    policies = set.policyNames.enumerated().map { place, name in
      let key = CounterRegistry.key(ofPolicy: name, tag: set.tag(of: PolicyIndex(UInt16(place))))
      let others = registry.number(for: key) { Self.block(tenant: nil, place, set) }
      return Policy(key: key, others: others ?? CounterRegistry.last)
    }
    learn()
  }

  /// Takes note of the blocks that tenants were given since the last time. O(these); one load where there are
  /// none.
  ///
  /// - Returns: whether one of them was given for its use: to a tenant whose queries are counted with the
  ///   others' by what this has said of it before.
  @discardableResult package mutating func learn() -> Bool {
    guard registry.ownedCount != learntCount else { return false }
    let owned = registry.owned(from: learntCount)
    learntCount += owned.count
    for one in owned { insert(one.key, one.number) }
    return owned.contains { $0.claim == .use }
  }

  /// The block of a query. Expected O(1); allocates where a named tenant is met for the first time.
  ///
  /// - Parameters:
  ///   - policy: of the rulebook in force.
  ///   - name: the tenant's.
  package mutating func number(
    for tenant: Tenant, _ policy: PolicyIndex, in set: PolicySet, name: UnsafeRawBufferPointer
  ) -> UInt16 {
    let known = policies[Int(policy.rawValue)]
    let key = CounterRegistry.key(of: tenant.fingerprint, under: known.key)
    let place = place(of: key)
    if entries[place].number != 0 { return entries[place].number }
    guard tenant.isNamed else { return known.others }
    return meet(key, known, Int(policy.rawValue), set, name)
  }

  /// The block of a named tenant that this worker does not know of.
  @inline(never) private mutating func meet(
    _ key: Fingerprint, _ known: Policy, _ policy: Int, _ set: PolicySet,
    _ name: UnsafeRawBufferPointer
  ) -> UInt16 {
    if registry.isFull {
      // Whoever has a block for its name is learnt of here. So from here on nobody waits for the registry's
      // lock, unless there is something to learn.
      learn()
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

  /// Adds what may be there already.
  private func insert(_ key: Fingerprint, _ number: UInt16) {
    entries[place(of: key)] = Entry(key: key, number: number)
  }

  /// Where a key is, or the free place where it would go. Ends since half of all places are free.
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
