// What came of a trace's rows, in memory that does not grow with the trace: tenants up to a cap,
// keys in a sketch of fixed size, time in a fixed number of bins.

import LimitEngine

/// How many rows came to what end.
struct OutcomeCounts: Equatable {
  var rows = 0
  var admitted = 0
  /// Denied by a limit, or because the tenant is blocked or unknown.
  var denied = 0
  var never = 0
  /// A shadow limit would have denied.
  var shadowDenied = 0
  /// Rows of unlimited tenants that a limit would have denied, and their cost.
  var beyond = 0
  var beyondCost: UInt128 = 0
  var softThreshold = 0
  /// Decided on a wider bucket because the table or the tenant's part of it was full.
  var overflow = 0
  /// The costs of the admitted rows, and of all others.
  var admittedCost: UInt128 = 0
  var refusedCost: UInt128 = 0

  /// Denied or never: what the caller was refused.
  var refused: Int { denied + never }

  mutating func count(_ decision: borrowing Decision, cost: UInt64, isUnlimited: Bool) {
    rows += 1
    switch decision.outcome {
    case .allow: admitted += 1
    case .deny: denied += 1
    case .never: never += 1
    }
    if decision.outcome == .allow {
      admittedCost += UInt128(cost)
    } else {
      refusedCost += UInt128(cost)
    }
    if decision.flags.isEmpty { return }
    if decision.flags.contains(.shadowDenied) {
      if isUnlimited {
        beyond += 1
        beyondCost += UInt128(cost)
      } else {
        shadowDenied += 1
      }
    }
    if decision.flags.contains(.softThreshold) { softThreshold += 1 }
    if decision.flags.contains(.overflow) { overflow += 1 }
  }
}

/// One tenant's part.
struct TenantTally: Equatable {
  /// Cut to `Tally.nameBytesMax`.
  let name: [UInt8]
  var standing: Standing
  var counts = OutcomeCounts()
}

/// One limit's part.
struct LimitTally: Equatable {
  let name: String
  /// Rows whose policy lists the limit and whose tenant limits decide for.
  var rows = 0
  /// Of these, how many were admitted, by this limit and every other.
  var admitted = 0
  /// Of these, how many this limit denied: the one with the longest wait.
  var denied = 0
  var never = 0
  /// Of the admitted, how many found this limit the one with the least left.
  var tightest = 0
  /// Rows that this limit, which is in the shadow, would have denied.
  var shadowDenied = 0
  /// Rows of unlimited tenants that this limit would have denied.
  var beyond = 0
}

/// Adds up decisions. One thread uses a tally.
struct Tally {
  /// The most tenants that are counted by name; rows of others are added up in `others`.
  static let tenantsMax = 100_000
  /// How much of a name is kept.
  static let nameBytesMax = 200

  private(set) var totals = OutcomeCounts()
  private(set) var blocked = 0
  private(set) var unknownTenant = 0
  private(set) var tenants: [TenantTally] = []
  /// Tenants that were first seen when `tenantsMax` others had been.
  private(set) var others = OutcomeCounts()
  private(set) var refusedKeys = HeavyHitters()
  private(set) var timeline = Timeline()

  private let tenantsMax: Int
  private var tenantPlaces: [Fingerprint: Int] = [:]
  private var lastTenant: (fingerprint: Fingerprint, place: Int)?
  /// The limits of each policy, in its order, by policy.
  let policyLimits: [[LimitIndex]]
  /// Per policy: rows that limits decided, and how many of them were admitted.
  private var policyRows: [(rows: Int, admitted: Int)]
  /// Per limit, what it decided, or would have; `rows` and `admitted` are its policies' to know.
  private var decided: [LimitTally]

  init(_ policies: PolicySet, tenantsMax: Int = Self.tenantsMax) {
    self.tenantsMax = tenantsMax
    policyLimits = policies.policyNames.map { policies.limits(of: policies.policy(named: $0)!) }
    policyRows = policyLimits.map { _ in (0, 0) }
    decided = policies.limits.map { LimitTally(name: $0.name) }
  }

  mutating func count(
    _ decision: borrowing Decision,
    of row: borrowing TraceRow,
    tenant: Tenant,
    key: Fingerprint,
    policy: PolicyIndex
  ) {
    totals.count(decision, cost: row.cost, isUnlimited: tenant.standing == .unlimited)
    timeline.count(decision.outcome, at: row.time)
    countTenant(decision, row, tenant)
    countLimit(decision, policy)
    if decision.outcome != .allow {
      refusedKeys.add(key, tenant: row.text[row.tenantRange], key: row.text[row.keyRange])
    }
  }

  private mutating func countTenant(
    _ decision: borrowing Decision,
    _ row: borrowing TraceRow,
    _ tenant: Tenant
  ) {
    let place: Int
    if let lastTenant, lastTenant.fingerprint == tenant.fingerprint {
      place = lastTenant.place
    } else if let known = tenantPlaces[tenant.fingerprint] {
      place = known
    } else if tenants.count < tenantsMax {
      place = tenants.count
      tenantPlaces[tenant.fingerprint] = place
      let name = Array(row.text[row.tenantRange].prefix(Self.nameBytesMax))
      tenants.append(TenantTally(name: name, standing: tenant.standing))
    } else {
      return others.count(
        decision, cost: row.cost, isUnlimited: tenant.standing == .unlimited)
    }
    lastTenant = (tenant.fingerprint, place)
    tenants[place].counts.count(
      decision, cost: row.cost, isUnlimited: tenant.standing == .unlimited)
  }

  private mutating func countLimit(_ decision: borrowing Decision, _ policy: PolicyIndex) {
    switch decision.reason {
    case .blocked: blocked += 1
    case .unknownTenant: unknownTenant += 1
    case .limit, .unlimited:
      let isAdmitted = decision.outcome == .allow
      policyRows[Int(policy.rawValue)].rows += 1
      policyRows[Int(policy.rawValue)].admitted += isAdmitted ? 1 : 0
      if decision.receipt.shadow != 0 { countSpared(decision, policy) }
      guard decision.limit != .none else { return }
      let limit = Int(decision.limit.rawValue)
      switch decision.outcome {
      case .allow: decided[limit].tightest += 1
      case .deny: decided[limit].denied += 1
      case .never: decided[limit].never += 1
      }
    }
  }

  /// Counts limits that may not deny, and would have.
  private mutating func countSpared(_ decision: borrowing Decision, _ policy: PolicyIndex) {
    let limits = policyLimits[Int(policy.rawValue)]
    for place in limits.indices where decision.receipt.shadow >> UInt16(place) & 1 == 1 {
      let limit = Int(limits[place].rawValue)
      if decision.reason == .unlimited {
        decided[limit].beyond += 1
      } else {
        decided[limit].shadowDenied += 1
      }
    }
  }

  /// Per limit, in the policy file's order. O(policies × their limits).
  var limits: [LimitTally] {
    var tallies = decided
    for (limits, counts) in zip(policyLimits, policyRows) {
      for limit in limits {
        tallies[Int(limit.rawValue)].rows += counts.rows
        tallies[Int(limit.rawValue)].admitted += counts.admitted
      }
    }
    return tallies
  }

  /// The limits that rows were decided against.
  var usedLimits: Set<LimitIndex> {
    Set(zip(policyLimits, policyRows).filter { $1.rows > 0 }.flatMap(\.0))
  }

  /// Tenants, those with the most refusals first, then those with the most rows, then by name.
  var tenantsByRefusals: [TenantTally] {
    tenants.sorted {
      if $0.counts.refused != $1.counts.refused { return $0.counts.refused > $1.counts.refused }
      if $0.counts.rows != $1.counts.rows { return $0.counts.rows > $1.counts.rows }
      return $0.name.lexicographicallyPrecedes($1.name)
    }
  }
}
