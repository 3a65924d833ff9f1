// A compiled policy set: immutable, shared by every thread, read without locks or counting.
//
// The tables live in memory of its own and are laid out for the query path:
//
//     entries[policy's range] ─▶ limit ─▶ rows[tenant's row][limit] ─▶ rules[…]
//
// Those that grow with the tenants go from set to set (PolicyTables).
//
// A reload builds a new set after the old one; buckets are found through names, so the new set goes on
// with the old one's buckets. It has every rule twice: as it was in the old set, and as it is now.
// Until `Engine.putInForce` it decides by the former ones. So threads may go over to it at moments of
// their own, and yet the rules change for all of them at one instant, from which on state that was
// written by the former rules is converted (Conversion.swift).

import CIntrinsics
import Synchronization

/// Every limit, policy and tenant that the engine knows, ready to decide with.
///
/// Immutable after `PolicySetBuilder.build`, but for the moment at which its rules come into force;
/// any thread may read it.
public final class PolicySet: @unchecked Sendable {
  /// The limits as defined, by `LimitIndex`.
  public let limits: [LimitDefinition]
  /// The names of the policies, by `PolicyIndex`.
  public let policyNames: [String]
  /// How many tenants are named.
  public let namedTenantCount: Int
  /// What tenants that are not named get.
  public let anyTenant: PolicySetBuilder.Treatment?
  /// `PolicySetBuilder.modes`.
  let modes: [LimitIndex: LimitMode]

  /// Tells this set from others, and, cut to 16 bits, its tenants from those of others, whose rows mean
  /// something else.
  private let number: UInt64
  private var edition: UInt16 { UInt16(truncatingIfNeeded: number) }
  /// Counts the sets made by this process. Publishes nothing.
  private static let numbers = Atomic<UInt64>(0)

  /// Counts the sets that followed each other; its parity is in every state word.
  public let generation: UInt32
  /// `PolicySetBuilder.source`.
  public let source: UInt64
  let hashKey: HashKey

  /// Limits that the set before does not have: whatever has their name and was written by its rules is
  /// another limit's.
  let freshLimits: Set<LimitIndex>

  private let tables: PolicyTables
  /// Where tables are left for the set after the next one, and come from.
  private let stock: TableStock
  /// The set that this one was made from by changing some tenants and modes, and whose; `nil`: it was
  /// compiled.
  private let revision: (of: UInt64, changed: PolicyTables.Parts)?
  /// `formers` until the set is put in force, then `rules` for good. Written by `putInForce`;
  /// publishes when the rules changed (`Engine.rulesChangedAt`).
  private let inForce: Atomic<UnsafeMutablePointer<Rule>>
  private let entries: UnsafeMutablePointer<PolicyEntry>
  private let policies: UnsafeMutablePointer<PolicyRange>
  private let policyCount: UInt16
  private let namedPolicies: FingerprintTable<NamedPolicy>
  private let policyHashKey: HashKey
  /// Tenants that the set before named and this one does not: they keep what they have used.
  private let leavers: FingerprintTable<NamedTenant>
  private let tenantHashKey: HashKey
  private let receiptKeys: UnsafeMutablePointer<limitd_aes_keys>
  private let receiptKey: ReceiptKey

  init(
    _ builder: consuming PolicySetBuilder, hashKey: HashKey, after predecessor: Predecessor,
    generation: UInt32
  ) {
    let previous = predecessor.set
    stock = previous?.stock ?? TableStock()
    revision = nil
    limits = builder.limits
    number = Self.numbers.wrappingAdd(1, ordering: .relaxed).newValue
    self.generation = generation
    self.hashKey = hashKey
    source = builder.source
    policyNames = builder.policies.map(\.name)
    policyCount = UInt16(builder.policies.count)
    namedTenantCount = builder.tenants.count
    anyTenant = builder.anyTenant
    modes = builder.modes
    policyHashKey = hashKey.derived(for: "policy")
    tenantHashKey = hashKey.derived(for: "tenant")
    receiptKeys = Self.copy([ReceiptKey.expand(hashKey.derived(for: "receipt"))])
    receiptKey = ReceiptKey(receiptKeys)
    var compiler = RuleCompiler(
      builder, hashKey: hashKey.derived(for: "limit"), after: predecessor, generation: generation)
    let tenantKey = tenantHashKey
    // In the order of their table, in which the set that follows goes through them: so it reads this
    // one's rows and rules as they lie in memory.
    let treatments = builder.tenants.map { (tenantKey.fingerprint(of: $0.name), $0.treatment) }
      .sorted { $0.0.high < $1.0.high }
    let named = treatments.map { fingerprint, treatment in
      NamedTenant(
        fingerprint: fingerprint, standing: treatment.standing,
        row: compiler.row(treatment.row, after: previous?.lastingRow(of: fingerprint)))
    }
    let anyRow = builder.anyTenant.map {
      compiler.row($0.row, after: previous?.lastingRow(of: nil))
    }
    var left: [NamedTenant] = []
    if let previous {
      let any = builder.anyTenant ?? PolicySetBuilder.Treatment(standing: .unknown)
      let names = Set(named.map(\.fingerprint))
      previous.tables.tenants.forEach { tenant in
        guard !names.contains(tenant.fingerprint) else { return }
        left.append(
          NamedTenant(
            fingerprint: tenant.fingerprint, standing: any.standing,
            row: compiler.row(any.row, after: tenant.row)))
      }
    }
    leavers = FingerprintTable(left, capacity: left.count)
    freshLimits = compiler.freshLimits
    let (rules, formers, rows, rowCount) = compiler.compile()
    tables = PolicyTables(
      rules: rules, formers: formers, rows: rows, rowCount: rowCount, width: builder.limits.count,
      tenants: named, anyRow: anyRow, room: 0)
    inForce = Atomic(tables.formers ?? tables.rules)
    (entries, policies) = Self.compilePolicies(
      builder, tagKey: hashKey.derived(for: "tag"), secretKey: hashKey.derived(for: "list"))
    let policyKey = policyHashKey
    namedPolicies = FingerprintTable(
      builder.policies.enumerated().lazy.map { number, policy in
        NamedPolicy(
          fingerprint: policyKey.fingerprint(of: policy.name), index: PolicyIndex(UInt16(number)))
      }, capacity: builder.policies.count)
  }

  /// A set that follows `previous` and differs from it in what becomes of some tenants, and in modes: see
  /// `changing(_:modes:source:)`.
  init(
    _ changes: [TenantChange], modes: [LimitIndex: LimitMode], source: UInt64,
    after previous: PolicySet
  ) {
    number = Self.numbers.wrappingAdd(1, ordering: .relaxed).newValue
    stock = previous.stock
    limits = previous.limits
    generation = previous.generation &+ 1
    hashKey = previous.hashKey
    self.source = source
    policyNames = previous.policyNames
    policyCount = previous.policyCount
    anyTenant = previous.anyTenant
    self.modes = modes
    policyHashKey = previous.policyHashKey
    tenantHashKey = previous.tenantHashKey
    receiptKeys = Self.copy([ReceiptKey.expand(hashKey.derived(for: "receipt"))])
    receiptKey = ReceiptKey(receiptKeys)
    let numbered = FingerprintTable(numbering: changes, by: tenantHashKey)
    defer { numbered.deallocate() }
    var (tables, outdated) = previous.tablesForNext(changing: changes.count)
    let revision = RuleRevision(of: previous, parity: UInt8(generation & 1), modes)
    // Who changed in the sets before and does not now.
    for fingerprint in outdated.tenants where numbered.find(fingerprint) == nil {
      revision.keep(fingerprint, in: &tables)
    }
    var left: [NamedTenant] = []
    var changed = PolicyTables.Parts()
    numbered.forEach { change in
      changed.tenants.insert(change.fingerprint)
      let leaver = revision.write(
        change.fingerprint, changes[change.number].treatment, in: &tables)
      if let leaver { left.append(leaver) }
    }
    changed.modes.formUnion(
      limits.indices.map { LimitIndex(UInt16($0)) }.filter {
        modes[$0] != previous.modes[$0]
      })
    tables.useModes(
      modes, after: previous.modes, ofLimits: changed.modes.union(outdated.modes))
    self.revision = (previous.number, changed)
    freshLimits = []
    self.tables = tables
    namedTenantCount = tables.tenants.count
    leavers = FingerprintTable(left, capacity: left.count)
    inForce = Atomic(tables.formers ?? tables.rules)
    policies = Self.copy(
      Array(UnsafeBufferPointer(start: previous.policies, count: Int(policyCount))))
    let entryCount = (0..<Int(policyCount)).reduce(0) { $0 + Int(previous.policies[$1].count) }
    entries = Self.copy(Array(UnsafeBufferPointer(start: previous.entries, count: entryCount)))
    var policyPlaces: [NamedPolicy] = []
    previous.namedPolicies.forEach { policyPlaces.append($0) }
    namedPolicies = FingerprintTable(policyPlaces, capacity: policyPlaces.count)
  }

  deinit {
    // What tenants that it changed had before is written in them, too.
    stock.put(
      tables.noting(
        like: number, outdated: revision?.changed ?? .init(), hasOtherFormers: revision == nil))
    leavers.deallocate()
    namedPolicies.deallocate()
    entries.deallocate()
    policies.deallocate()
    receiptKeys.deallocate()
  }

  // MARK: The set that follows

  /// Sees to it that tables lie ready for the next set that is made by `changing(_:modes:source:)`, so that
  /// this is quick. Mostly they do, once the set before this one has ended. Else O(rows × limits + tenants), as
  /// building is.
  ///
  /// For whoever makes the sets that follow this one.
  public func prepareChange() {
    if let (tables, _) = readyTables(forChanging: Self.preparedChanges) {
      stock.put(tables)
    } else {
      let tables = RuleRevision.copy(of: self, room: Self.preparedChanges)
      stock.put(tables.noting(like: number, outdated: .init()))
    }
  }

  /// For how many tenants `prepareChange` sees to room.
  private static let preparedChanges = 16

  /// Tables in which the set that follows writes whom it changes, and `outdated`.
  private func tablesForNext(changing count: Int) -> (
    tables: PolicyTables, outdated: PolicyTables.Parts
  ) {
    readyTables(forChanging: count) ?? (RuleRevision.copy(of: self, room: count), .init())
  }

  /// The tables of the stock, if they serve for the set that follows.
  private func readyTables(forChanging count: Int) -> (
    tables: PolicyTables, outdated: PolicyTables.Parts
  )? {
    guard var tables = stock.take() else { return nil }
    var outdated: PolicyTables.Parts?
    if tables.likeSet == number {
      outdated = tables.outdated
    } else if let revision, tables.likeSet == revision.of {
      outdated = tables.outdated.union(revision.changed)
    }
    guard let outdated, tables.hasRoom(for: outdated.tenants.count + count) else {
      tables.deallocate()
      return nil
    }
    // The tables are those of the set before this one, so their rules have the parity of the one to come.
    if tables.hasOtherFormers { tables.renewFormers(parity: UInt8(generation & 1)) }
    return (tables, outdated)
  }

  // MARK: Names

  /// The policy of that name. Expected O(1), allocates nothing.
  public func policy(named name: UnsafeRawBufferPointer) -> PolicyIndex? {
    namedPolicies.find(SipHash.hash(name, key: policyHashKey))?.index
  }

  /// The policy of that name, which is compared by its UTF-8 bytes.
  public func policy(named name: String) -> PolicyIndex? {
    var name = name
    return name.withUTF8 { policy(named: UnsafeRawBufferPointer($0)) }
  }

  /// The tenant of that name, named in the set or not. O(1), allocates nothing.
  public func tenant(named name: UnsafeRawBufferPointer) -> Tenant {
    let fingerprint = SipHash.hash(name, key: tenantHashKey)
    if let tenant = tables.tenants.find(fingerprint) {
      return Tenant(
        fingerprint: fingerprint, standing: tenant.standing, isNamed: true, edition: edition,
        row: tenant.row)
    }
    if leavers.count > 0, let tenant = leavers.find(fingerprint) {
      return Tenant(
        fingerprint: fingerprint, standing: tenant.standing, isNamed: false, edition: edition,
        row: tenant.row)
    }
    guard let anyTenant, let anyRow = tables.anyRow else {
      return Tenant(
        fingerprint: fingerprint, standing: .unknown, isNamed: false, edition: edition, row: 0)
    }
    return Tenant(
      fingerprint: fingerprint, standing: anyTenant.standing, isNamed: false,
      edition: edition, row: anyRow)
  }

  /// The row of settings by which a tenant's buckets are kept: of one that is unknown, or of whom
  /// nobody knows the name, that of tenants without a name, else that of the limits as defined.
  func lastingRow(of fingerprint: Fingerprint?) -> UInt32 {
    fingerprint.flatMap { named($0)?.row ?? leavers.find($0)?.row } ?? tables.anyRow ?? 0
  }

  /// What this set says of a tenant that it names. Expected O(1).
  func named(_ fingerprint: Fingerprint) -> NamedTenant? { tables.tenants.find(fingerprint) }

  /// The tenant of that name, named in the set or not.
  public func tenant(named name: String) -> Tenant {
    var name = name
    return name.withUTF8 { tenant(named: UnsafeRawBufferPointer($0)) }
  }

  /// Calls `body` with each tenant that is named. O(tenants).
  func forEachNamedTenant(_ body: (NamedTenant) -> Void) { tables.tenants.forEach(body) }

  /// The limits of a policy, in its order.
  public func limits(of policy: PolicyIndex) -> [LimitIndex] { range(of: policy).map(\.limit) }

  /// How many limits a policy has, 1 ... 16. O(1).
  public func limitCount(of policy: PolicyIndex) -> Int { range(of: policy).count }

  /// Stands for a policy's list of limits: their names, algorithms, scopes and units, in order.
  /// Receipts and places refer to that list, so they mean the same in every set of one
  /// installation in which the policy has the same tag. O(1).
  public func tag(of policy: PolicyIndex) -> UInt32 { policies[Int(policy.rawValue)].tag }

  // MARK: The query path

  /// Marks the receipt of a decision on a query as this installation's, so that it can be settled.
  /// For whoever hands it out: only where the query was admitted, and was no peek. O(1).
  ///
  /// - Parameters:
  ///   - key: the query's.
  ///   - policy: the query's.
  /// - Precondition: the decision was made under this set, which has seen the query's tenant then.
  public func mark(_ receipt: inout Receipt, ofKey key: Fingerprint, under policy: PolicyIndex) {
    precondition(
      policy.rawValue < policyCount, "a receipt is marked by the set that decided the query")
    receiptKey.mark(&receipt, key: key, list: policies[Int(policy.rawValue)].secret)
  }

  /// Whether `receipt` is of a decision of this installation on this tenant, key and list of limits.
  func isGenuine(_ receipt: Receipt, of query: Query) -> Bool {
    let policy = policies[Int(query.policy.rawValue)]
    return receipt.tag == policy.tag
      && receiptKey.isGenuine(receipt, key: query.key, list: policy.secret)
  }

  /// Stops a query that was put together with another set, whose numbers mean something else here.
  @inline(__always) func check(_ query: Query) {
    precondition(
      query.tenant.edition == edition && query.policy.rawValue < policyCount,
      "a query's tenant and policy are looked up in the set that it is decided under")
  }

  /// - Precondition: `policy` is a policy of this set.
  @inline(__always) func range(of policy: PolicyIndex) -> UnsafeBufferPointer<PolicyEntry> {
    let range = policies[Int(policy.rawValue)]
    return UnsafeBufferPointer(start: entries + Int(range.start), count: Int(range.count))
  }

  @inline(__always) func rule(for limit: LimitIndex, of tenant: Tenant) -> UnsafePointer<Rule> {
    rule(for: limit, ofRow: tenant.row)
  }

  /// - Parameter row: of settings; 0 for those that the limit was defined with.
  @inline(__always) func rule(for limit: LimitIndex, ofRow row: UInt32) -> UnsafePointer<Rule> {
    let number = tables.rows[Int(row) &* tables.width &+ Int(limit.rawValue)]
    // Acquire: who sees the new rules sees when they came into force.
    return UnsafePointer(inForce.load(ordering: .acquiring) + Int(number))
  }

  /// The rule that will be or is in force, whatever is now.
  func newestRule(for limit: LimitIndex, ofRow row: UInt32) -> UnsafePointer<Rule> {
    UnsafePointer(tables.rules + Int(ruleNumber(for: limit, ofRow: row)))
  }

  /// The rule's place among this set's.
  func ruleNumber(for limit: LimitIndex, ofRow row: UInt32) -> UInt32 {
    tables.ruleNumber(for: limit, ofRow: row)
  }

  var ruleCount: Int { tables.ruleCount }
  var rowCount: Int { tables.rowCount }
  /// Of tenants without a name; `nil` where they are unknown.
  var anyRow: UInt32? { tables.anyRow }

  /// Ends the time in which this set decides by the rules of the one before. For `Engine.putInForce`.
  func putInForce() { inForce.store(tables.rules, ordering: .releasing) }
}
