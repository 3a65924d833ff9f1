// Which tenants have series, and what they have left of the limits that they share among their keys: read from
// the buckets when somebody asks, so that it costs no decision anything.

import LimitEngine
import LimitRuntime

extension Endpoints {
  private struct Left {
    var tenant: String
    var limit: String
    var remaining: UInt64
    var capacity: UInt64
  }

  /// How many tenants, each under a policy, have counters of their own.
  func addCountedPairs(to text: inout MetricsText) {
    let claims = CounterRegistry.Claim.allCases
    text.begin(
      "limitd_counted_pairs", .gauge,
      "Pairs of tenant and policy with series of their own, by what they have them for.")
    for claim in claims {
      text.add(source.runtime.counterRegistry.count(claim), [("by", claim.rawValue)])
    }
    text.begin("limitd_counted_pairs_max", .gauge, "How many of them there may be.")
    for claim in claims { text.add(claim.blocksMax, [("by", claim.rawValue)]) }
  }

  /// O(blocks × limits of their policies).
  func addTenants(to text: inout MetricsText, _ rulebook: Rulebook) {
    let left = left(under: rulebook)
    text.begin(
      "limitd_tenant_remaining", .gauge, "Units that a tenant has left of a limit of scope tenant.")
    for one in left { text.add(one.remaining, [("tenant", one.tenant), ("limit", one.limit)]) }
    text.begin(
      "limitd_tenant_capacity", .gauge, "Units that a tenant has of it where it is not used.")
    for one in left { text.add(one.capacity, [("tenant", one.tenant), ("limit", one.limit)]) }
  }

  /// Of the tenants that have counters of their own, under the policies that they were asked about.
  private func left(under rulebook: Rulebook) -> [Left] {
    let policies = rulebook.policies
    let now = EngineClock.now()
    // By the policies in force: what a policy had before a reload is of no interest.
    let concerned = policies.policyNames.indices.map { number in
      policies.limits(of: PolicyIndex(UInt16(number))).contains {
        policies.limits[Int($0.rawValue)].scope == .tenant
      }
    }
    var all: [Left] = []
    var known: Set<Key> = []
    for block in source.runtime.counterRegistry.blocks {
      guard let name = block.tenant, let policyName = block.policy,
        let policy = policies.policy(named: policyName), concerned[Int(policy.rawValue)]
      else { continue }
      let tenant = policies.tenant(named: name)
      guard tenant.standing == .limited || tenant.standing == .unlimited else { continue }
      let query = Query(tenant: tenant, policy: policy, key: tenant.fingerprint, cost: 0)
      for reading in source.runtime.engine.readings(query, of: .tenant, under: policies, at: now)
      where known.insert(Key(tenant: tenant.fingerprint, limit: reading.limit)).inserted {
        all.append(
          Left(
            tenant: name, limit: policies.limits[Int(reading.limit.rawValue)].name,
            remaining: reading.remaining, capacity: reading.capacity))
      }
    }
    return all
  }

  /// Under several policies a tenant has one bucket of a limit.
  private struct Key: Hashable {
    var tenant: Fingerprint
    var limit: LimitIndex
  }
}
