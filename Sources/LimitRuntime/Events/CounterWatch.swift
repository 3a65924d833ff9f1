// Which tenants with counters of their own were denied, or went past a soft threshold, since the last look at
// them: these miss nothing, where samples are some of many. A value; whoever has the monitor's lock uses it.

import LimitEngine

struct CounterWatch {
  /// How often it looks, in ns.
  static let period: UInt64 = 1_000_000_000

  /// What was counted of one tenant under one policy since the last look.
  struct Change {
    var block: CounterRegistry.Block
    /// The limits that denied.
    var limits: [String]
    var isBlocked: Bool
    var isSoft: Bool
  }

  /// The words of each block with a tenant, in the registry's order, in which more are only appended.
  private var seen: [[UInt64]] = []
  private var decisionCount: UInt64 = 0
  private var time: UInt64 = 0

  /// O(blocks × workers), if anything was decided; at most once per `period`.
  ///
  /// - Parameter now: CLOCK_BOOTTIME, in ns.
  mutating func changes(in runtime: Runtime, at now: UInt64) -> [Change] {
    guard now >= time + Self.period else { return [] }
    time = now
    let count = runtime.decisionCount
    guard count != decisionCount else { return [] }
    decisionCount = count
    var changes: [Change] = []
    for (number, (block, words)) in runtime.counters(where: { $0.tenant != nil }).enumerated() {
      let isKnown = number < seen.count
      let before =
        isKnown ? seen[number] : [UInt64](repeating: 0, count: DecisionCounters.blockWords)
      if isKnown { seen[number] = words } else { seen.append(words) }
      guard words != before else { continue }
      let limits = block.limits.indices.filter { place in
        Self.denied(place, words) != Self.denied(place, before)
      }
      let change = Change(
        block: block, limits: limits.map { block.limits[$0] },
        isBlocked: DecisionCounters.blocked(in: words) != DecisionCounters.blocked(in: before),
        isSoft: DecisionCounters.softThreshold(in: words)
          != DecisionCounters.softThreshold(in: before))
      if !change.limits.isEmpty || change.isBlocked || change.isSoft { changes.append(change) }
    }
    return changes
  }

  private static func denied(_ place: Int, _ words: [UInt64]) -> UInt64 {
    DecisionCounters.decided(place: place, .deny, in: words)
      &+ DecisionCounters.decided(place: place, .never, in: words)
  }
}
