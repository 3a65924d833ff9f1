// One policy file at work: its policy set, an engine, and what came of the rows so far.

package import LimitEngine

/// Decides rows under one policy set. One thread uses a side.
package struct ReplaySide {
  /// The hash key of every run: no secret is at stake in a replay, and a fixed one makes the same
  /// input print the same output.
  package static let hashKey = HashKey(low: 0x6C69_6D69_7463_746C, high: 0x7265_706C_6179_2031)

  /// The least trace time between two sweeps of a table that had no room.
  private static let overflowSweepInterval = Nanoseconds.second.count

  let policies: PolicySet
  private let engine: Engine
  private(set) var tally: Tally
  /// The trace time of the last sweep.
  private var sweptAt: UInt64 = 0
  /// The limit's name as the CSV output writes it, by limit.
  let limitNames: [[UInt8]]
  /// The limits of each policy, in its order, by policy.
  let policyLimits: [[LimitIndex]]

  init(_ policies: PolicySet, keySlots: Int) {
    self.policies = policies
    var configuration = Engine.Configuration()
    configuration.keySlots = keySlots
    configuration.tenantSlots = max(configuration.tenantSlots, keySlots / 4)
    configuration.tenantsMax = max(configuration.tenantsMax, keySlots / 8)
    engine = Engine(configuration)
    engine.setAside(for: policies)
    tally = Tally(policies)
    limitNames = policies.limits.map { Array($0.name.utf8) }
    policyLimits = tally.policyLimits
  }

  /// The concurrency limits that rows were decided against: a trace says nothing of how long work
  /// took, so these were looked at and nothing was held.
  var concurrencyLimits: [String] {
    tally.usedLimits.map { policies.limits[Int($0.rawValue)] }
      .filter { $0.settings.parameters.algorithm == .concurrency }.map(\.name).sorted()
  }

  /// Decides a row at its own time, and counts it.
  mutating func decide(_ row: borrowing TraceRow, policy: PolicyIndex) -> Decision {
    let (tenant, key) = subject(of: row)
    let query = Query(tenant: tenant, policy: policy, key: key, cost: row.cost)
    let decision = engine.check(query, under: policies, at: Instant(nanoseconds: row.time))
    if decision.flags.contains(.overflow) { makeRoom(at: row.time) }
    tally.count(decision, of: row, tenant: tenant, key: key, policy: policy)
    return decision
  }

  /// Counts a row that somebody else decided.
  mutating func count(
    _ decision: borrowing Decision, of row: borrowing TraceRow, policy: PolicyIndex
  ) {
    let (tenant, key) = subject(of: row)
    tally.count(decision, of: row, tenant: tenant, key: key, policy: policy)
  }

  private func subject(of row: borrowing TraceRow) -> (Tenant, Fingerprint) {
    row.text.withUnsafeBytes { text in
      let tenant = policies.tenant(named: UnsafeRawBufferPointer(rebasing: text[row.tenantRange]))
      let key = UnsafeRawBufferPointer(rebasing: text[row.keyRange])
      return (tenant, tenant.fingerprint(ofKey: key))
    }
  }

  /// Frees dead buckets after one found no room. When depends on the trace alone, so that the
  /// output does too.
  private mutating func makeRoom(at time: UInt64) {
    guard time - sweptAt >= Self.overflowSweepInterval else { return }
    engine.sweep(at: Instant(nanoseconds: time))
    sweptAt = time
  }
}
