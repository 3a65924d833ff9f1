// The workers' counters added up by what people ask for. A value, made from one reading of them.

import LimitAdminModel
import LimitEngine
import LimitRuntime

/// Sums over blocks. O(blocks × limits).
struct CountTotals {
  /// What one limit of one policy decided for a tenant, or for all that have no block.
  struct Series: Hashable {
    /// `nil`: the others.
    var tenant: String?
    var policy: String?
    /// `nil`: the tenant's standing decided.
    var limit: String?
  }

  /// What stands for those that have no block, where a name must stand: whoever is called so is
  /// counted with them.
  static let others = "_other"

  private(set) var byTenant: [String: Counts] = [:]
  private(set) var byLimit: [String: Counts] = [:]
  /// In the order in which they were first met.
  private(set) var byPolicy: [(series: Series, counts: Counts)] = []
  private(set) var bySeries: [(series: Series, counts: Counts)] = []
  private(set) var overflow: UInt64 = 0

  init(_ counters: [(block: CounterRegistry.Block, words: [UInt64])]) {
    var policyPlaces: [Series: Int] = [:]
    var seriesPlaces: [Series: Int] = [:]
    for (block, words) in counters {
      var whole = Counts()
      let tenant = block.tenant == Self.others ? nil : block.tenant
      let policy = block.policy == Self.others ? nil : block.policy
      for (place, limit) in block.limits.enumerated() {
        let counts = Self.counts(ofPlace: place, words)
        whole.add(counts)
        byLimit[limit, default: Counts()].add(counts)
        let series = Series(tenant: tenant, policy: policy, limit: limit)
        Self.add(counts, series, to: &bySeries, &seriesPlaces)
      }
      whole.blocked = DecisionCounters.blocked(in: words)
      whole.denied &+= DecisionCounters.unknownTenant(in: words)
      whole.units = DecisionCounters.units(in: words)
      whole.softThreshold = DecisionCounters.softThreshold(in: words)
      whole.shadowDenied = DecisionCounters.shadowDenied(in: words)
      overflow &+= DecisionCounters.overflow(in: words)
      let series = Series(tenant: tenant, policy: policy, limit: nil)
      Self.add(whole, series, to: &byPolicy, &policyPlaces)
      var standing = Counts()
      standing.blocked = DecisionCounters.blocked(in: words)
      standing.denied = DecisionCounters.unknownTenant(in: words)
      Self.add(standing, series, to: &bySeries, &seriesPlaces)
      if let tenant = block.tenant { byTenant[tenant, default: Counts()].add(whole) }
    }
  }

  private static func counts(ofPlace place: Int, _ words: [UInt64]) -> Counts {
    var counts = Counts()
    counts.allowed = DecisionCounters.decided(place: place, .allow, in: words)
    counts.denied = DecisionCounters.decided(place: place, .deny, in: words)
    counts.never = DecisionCounters.decided(place: place, .never, in: words)
    return counts
  }

  private static func add(
    _ counts: Counts, _ series: Series, to list: inout [(series: Series, counts: Counts)],
    _ places: inout [Series: Int]
  ) {
    if let place = places[series] {
      list[place].counts.add(counts)
    } else {
      places[series] = list.count
      list.append((series, counts))
    }
  }
}

extension Counts {
  mutating func add(_ other: Counts) {
    allowed &+= other.allowed
    denied &+= other.denied
    never &+= other.never
    blocked &+= other.blocked
    units &+= other.units
    softThreshold &+= other.softThreshold
    shadowDenied &+= other.shadowDenied
  }
}
