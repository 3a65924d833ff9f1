// What the monitor makes events of: samples, which have names and keys, and the counters, which miss
// nothing. For whoever has the monitor's lock.

import LimitEngine

/// Tenants that a round's samples show past a soft threshold, each once under a policy.
struct SoftSights {
  struct Sight {
    var sample: DecisionSample
    var tenant: String
    var key: String
  }

  private struct Pair: Hashable {
    var tenant: Fingerprint
    var block: UInt16
  }

  /// Of a round: each costs a look at the buckets.
  private static let most = 128

  private var known: Set<Pair> = []
  private(set) var sights: [Sight] = []

  mutating func add(
    _ sample: DecisionSample, tenant: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer
  ) {
    guard sights.count < Self.most,
      known.insert(Pair(tenant: sample.tenant.fingerprint, block: sample.block)).inserted
    else { return }
    sights.append(
      Sight(
        sample: sample, tenant: String(decoding: tenant, as: UTF8.self),
        key: String(decoding: key, as: UTF8.self)))
  }
}

extension DecisionMonitor {
  /// A denial that was sampled.
  func note(
    _ denial: Denial, _ sample: DecisionSample, _ tenant: UnsafeRawBufferPointer,
    _ moment: Moment, _ state: inout State, _ found: inout [Event]
  ) {
    let sight = TenantWatch.Sight(
      matter: .denied, tenant: sample.tenant.fingerprint, isNamed: sample.tenant.isNamed,
      limit: denial.limit, reason: sample.reason, policy: denial.policy, key: denial.key)
    let event = state.watch.note(sight, at: moment.boot) {
      String(decoding: tenant, as: UTF8.self)
    }
    if let event { found.append(event) }
  }

  /// A query past a soft threshold: of which limits, the buckets say.
  func note(
    _ sight: SoftSights.Sight, _ moment: Moment, _ state: inout State, _ found: inout [Event]
  ) {
    let policies = runtime.rulebook.policies
    let name = runtime.counterRegistry.block(sight.sample.block).policy
    let tenant = policies.tenant(named: sight.tenant)
    guard let name, let policy = policies.policy(named: name),
      tenant.fingerprint == sight.sample.tenant.fingerprint, tenant.standing == .limited
    else { return }
    let readings = runtime.engine.readings(
      Query(tenant: tenant, policy: policy, key: sight.sample.key), under: policies,
      at: moment.engine)
    for reading in readings where reading.isPastSoftThreshold {
      let event = state.watch.note(
        TenantWatch.Sight(
          matter: .soft, tenant: tenant.fingerprint, isNamed: tenant.isNamed,
          limit: policies.limits[Int(reading.limit.rawValue)].name, policy: name, key: sight.key),
        at: moment.boot
      ) { sight.tenant }
      if let event { found.append(event) }
    }
  }

  /// What the counters show, of tenants of which no sample was seen too.
  func noteCounted(_ moment: Moment, _ state: inout State, _ found: inout [Event]) {
    let changes = state.counters.changes(in: runtime, at: moment.boot)
    guard !changes.isEmpty else { return }
    let policies = runtime.rulebook.policies
    for change in changes {
      guard let name = change.block.tenant else { continue }
      let tenant = policies.tenant(named: name)
      var sight = TenantWatch.Sight(
        matter: .denied, tenant: tenant.fingerprint, isNamed: tenant.isNamed,
        policy: change.block.policy)
      func note() {
        if let event = state.watch.note(sight, at: moment.boot, name: { name }) {
          found.append(event)
        }
      }
      for limit in change.limits {
        sight.limit = limit
        note()
      }
      sight.limit = nil
      if change.isBlocked {
        sight.reason = .blocked
        note()
      }
      if change.isSoft, !state.watch.isSoft(tenant.fingerprint) {
        (sight.matter, sight.reason) = (.soft, .limit)
        note()
      }
    }
  }
}
