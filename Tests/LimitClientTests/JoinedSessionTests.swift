// The client's session and the daemon's, joined in memory: bytes are cut anywhere, delayed in either
// direction, and lost with the connection; the rules are reloaded meanwhile.

import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

@Suite struct JoinedSessionTests {
  private typealias Totals = [String: (charged: UInt64, held: UInt64)]

  /// What the tenants have been charged in all, and hold. Under both rulebooks: each has a limit of
  /// its own that counts.
  private func totals(_ world: ServerWorld) throws -> Totals {
    var totals: Totals = [:]
    for _ in 0..<2 {
      let client = try Witness(world)
      for tenant in ServerWorld.tenants {
        totals[tenant, default: (0, 0)].charged += try client.used(tenant, ServerWorld.counting)
        totals[tenant]!.held = try client.used(tenant, ServerWorld.holding)
      }
      world.reload()
    }
    return totals
  }

  @Test func everyCallIsAnsweredOnceAndNobodyElseIsCharged() throws {
    let seed = testSeed
    let world = try ServerWorld()
    let blockCount = 20
    var before = try totals(world)
    var settledCount = 0
    for block in 0..<UInt64(100_000 / scale / blockCount) {
      var (least, most): ([String: Int], [String: Int]) = ([:], [:])
      for run in 0..<UInt64(blockCount) {
        var joined = try JoinedRun(world, seed: seed &+ block &* UInt64(blockCount) &+ run)
        joined.run()
        try #require(joined.faults.isEmpty, "seed \(joined.seed): \(joined.faults)")
        settledCount += joined.settledCount
        least.merge(joined.least) { $0 + $1 }
        most.merge(joined.most) { $0 + $1 }
      }
      let after = try totals(world)
      for tenant in ServerWorld.tenants {
        let charged = Int(after[tenant]!.charged) - Int(before[tenant]!.charged)
        try #require(
          (least[tenant] ?? 0)...(most[tenant] ?? 0) ~= charged,
          "\(tenant) was charged \(charged) in block \(block) of seed \(seed)")
        try #require(after[tenant]!.held == 0, "block \(block) of seed \(seed) keeps permits")
      }
      before = after
    }
    #expect(settledCount > 0)
  }
}
