// A compiled policy set: immutable, shared by every thread, read without locks or counting.
//
// The tables live in memory of its own and are laid out for the query path:
//
//     entries[policy's range] ─▶ limit ─▶ rows[tenant's row][limit] ─▶ rules[…]
//
// A reload builds a new set and swaps the reference; buckets are found through names, so the new
// set goes on with the old one's buckets.

import CIntrinsics
import Synchronization

/// Every limit, policy and tenant that the engine knows, ready to decide with.
///
/// Immutable after `PolicySetBuilder.build`; any thread may read it.
public final class PolicySet: @unchecked Sendable {
  /// The limits as defined, by `LimitIndex`.
  public let limits: [LimitDefinition]
  /// The names of the policies, by `PolicyIndex`.
  public let policyNames: [String]
  /// How many tenants are named.
  public let namedTenantCount: Int
  /// What tenants that are not named get.
  public let anyTenant: PolicySetBuilder.Treatment?

  /// Tells this set's tenants from those of other sets, whose rows mean something else.
  private let edition: UInt16
  /// Counts the sets made by this process; wraps. Publishes nothing.
  private static let editions = Atomic<UInt16>(0)

  private let rules: UnsafeMutablePointer<Rule>
  /// Row-major: `width` rule numbers per row.
  private let rows: UnsafeMutablePointer<UInt32>
  private let width: Int
  private let entries: UnsafeMutablePointer<PolicyEntry>
  private let policies: UnsafeMutablePointer<PolicyRange>
  private let policyCount: UInt16
  private let namedPolicies: FingerprintTable<NamedPolicy>
  private let policyHashKey: HashKey
  private let tenants: FingerprintTable<Tenant>
  private let tenantHashKey: HashKey
  private let receiptKeys: UnsafeMutablePointer<limitd_aes_keys>?
  private let receiptKey: ReceiptKey

  init(_ builder: consuming PolicySetBuilder, hashKey: HashKey) {
    var builder = builder
    limits = builder.limits
    width = builder.limits.count
    let edition = Self.editions.wrappingAdd(1, ordering: .relaxed).newValue
    self.edition = edition
    policyNames = builder.policies.map(\.name)
    policyCount = UInt16(builder.policies.count)
    namedTenantCount = builder.tenants.count
    anyTenant = builder.anyTenant
    policyHashKey = hashKey.derived(for: "policy")
    tenantHashKey = hashKey.derived(for: "tenant")
    receiptKeys = ReceiptKey.expand(hashKey.derived(for: "receipt")).map { Self.copy([$0]) }
    receiptKey = ReceiptKey(receiptKeys)
    (rules, rows) = Self.compileRules(&builder, hashKey: hashKey.derived(for: "limit"))
    (entries, policies) = Self.compilePolicies(
      builder, tagKey: hashKey.derived(for: "tag"), secretKey: hashKey.derived(for: "list"))
    let (policyKey, tenantKey) = (policyHashKey, tenantHashKey)
    namedPolicies = FingerprintTable(
      builder.policies.enumerated().lazy.map { number, policy in
        NamedPolicy(
          fingerprint: policyKey.fingerprint(of: policy.name), index: PolicyIndex(UInt16(number)))
      }, count: builder.policies.count)
    tenants = FingerprintTable(
      builder.tenants.lazy.map { name, treatment in
        Tenant(
          fingerprint: tenantKey.fingerprint(of: name), standing: treatment.standing,
          isNamed: true, edition: edition, row: UInt32(treatment.row.index))
      }, count: builder.tenants.count)
  }

  deinit {
    rules.deallocate()
    rows.deallocate()
    entries.deallocate()
    policies.deallocate()
    receiptKeys?.deallocate()
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
    if let tenant = tenants.find(fingerprint) { return tenant }
    guard let anyTenant else {
      return Tenant(
        fingerprint: fingerprint, standing: .unknown, isNamed: false, edition: edition, row: 0)
    }
    return Tenant(
      fingerprint: fingerprint, standing: anyTenant.standing, isNamed: false,
      edition: edition, row: UInt32(anyTenant.row.index))
  }

  /// The tenant of that name, named in the set or not.
  public func tenant(named name: String) -> Tenant {
    var name = name
    return name.withUTF8 { tenant(named: UnsafeRawBufferPointer($0)) }
  }

  /// The limits of a policy, in its order.
  public func limits(of policy: PolicyIndex) -> [LimitIndex] { range(of: policy).map(\.limit) }

  /// How many limits a policy has, 1 ... 16. O(1).
  public func limitCount(of policy: PolicyIndex) -> Int { range(of: policy).count }

  /// Stands for a policy's list of limits: their names, algorithms, scopes and units, in order.
  /// Receipts and places refer to that list, so they mean the same in every set of one
  /// installation in which the policy has the same tag. O(1).
  public func tag(of policy: PolicyIndex) -> UInt32 { policies[Int(policy.rawValue)].tag }

  // MARK: The query path

  /// Marks the receipt of a decision on `query` as this installation's.
  @inline(__always) func mark(_ receipt: inout Receipt, of query: Query) {
    receipt.mac = receiptKey.mark(
      receipt, key: query.key, list: policies[Int(query.policy.rawValue)].secret)
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
    let number = rows[Int(row) &* width &+ Int(limit.rawValue)]
    return UnsafePointer(rules + Int(number))
  }
}

// MARK: - Compilation

extension PolicySetBuilder {
  /// Compiles what was collected. O(rows × limits + tenants).
  ///
  /// - Parameter hashKey: the installation's secret; the same key finds the same buckets.
  public consuming func build(hashKey: HashKey) -> PolicySet { PolicySet(self, hashKey: hashKey) }
}

extension PolicySet {
  private typealias RuleTables = (
    rules: UnsafeMutablePointer<Rule>, rows: UnsafeMutablePointer<UInt32>
  )

  private struct RuleIdentity: Hashable {
    let limit: LimitIndex
    let settings: LimitSettings
  }

  /// Lays out the rules, each distinct one once, and the rows of rule numbers.
  private static func compileRules(_ builder: inout PolicySetBuilder, hashKey: HashKey)
    -> RuleTables
  {
    let width = builder.limits.count
    let rowCount = builder.rows.count + 1
    let seeds = builder.limits.map { limit in
      hashKey.fingerprint(of: "\(limit.settings.parameters.algorithm.rawValue)\(limit.name)")
    }
    var rules: [Rule] = []
    var numbers: [RuleIdentity: UInt32] = [:]
    func number(_ limit: LimitIndex, _ settings: LimitSettings) -> UInt32 {
      let identity = RuleIdentity(limit: limit, settings: settings)
      if let known = numbers[identity] { return known }
      let place = Int(limit.rawValue)
      rules.append(
        Rule(
          limit: limit, definition: builder.limits[place], settings: settings, seed: seeds[place]))
      numbers[identity] = UInt32(rules.count - 1)
      return UInt32(rules.count - 1)
    }

    let rows = UnsafeMutablePointer<UInt32>.allocate(capacity: max(1, rowCount * width))
    rows.initialize(repeating: 0, count: rowCount * width)
    for (place, limit) in builder.limits.enumerated() {
      rows[place] = number(LimitIndex(UInt16(place)), limit.settings)
    }
    for (offset, row) in builder.rows.enumerated() {
      let start = (offset + 1) * width
      for place in 0..<width { rows[start + place] = rows[row.basedOn * width + place] }
      for (limit, settings) in row.overrides {
        rows[start + Int(limit.rawValue)] = number(limit, settings)
      }
    }
    return (copy(rules), rows)
  }

  /// The elements in memory of their own, which the caller frees.
  private static func copy<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafeMutablePointer<
    Element
  > {
    let memory = UnsafeMutableBufferPointer<Element>.allocate(capacity: max(1, elements.count))
    _ = memory.initialize(from: elements)
    return memory.baseAddress!
  }

  private static func compilePolicies(
    _ builder: borrowing PolicySetBuilder, tagKey: HashKey, secretKey: HashKey
  ) -> (UnsafeMutablePointer<PolicyEntry>, UnsafeMutablePointer<PolicyRange>) {
    var entries: [PolicyEntry] = []
    var ranges: [PolicyRange] = []
    for (_, list) in builder.policies {
      let units = list.map { builder.limits[Int($0.rawValue)].unit }
      let isMixed = units.contains { $0 != LimitDefinition.requests }
      let identities = list.map { number in
        let limit = builder.limits[Int(number.rawValue)]
        let algorithm = limit.settings.parameters.algorithm.rawValue
        return "\(algorithm) \(limit.scope.rawValue) \(limit.name) \(limit.unit)"
      }
      let identity = tagKey.fingerprint(of: identities.joined(separator: "\n"))
      let secret = secretKey.fingerprint(of: identities.joined(separator: "\n"))
      ranges.append(
        PolicyRange(
          start: UInt32(entries.count), count: UInt32(list.count),
          tag: UInt32(truncatingIfNeeded: identity.low), secret: secret))
      for (limit, unit) in zip(list, units) {
        entries.append(
          PolicyEntry(limit: limit, countsQueries: isMixed && unit == LimitDefinition.requests))
      }
    }
    return (copy(entries), copy(ranges))
  }
}
