// What keeps decisions from buckets of their own: each cause is told from the others, and each decision
// counts once, whatever else happens to its buckets meanwhile.

import Synchronization
import Testing

@testable import LimitEngine

@Suite struct CapTests {
  private static let limits = [(Scope.key, tokenBucket(every: day, burst: 1_000))]

  private struct Counted: Equatable, CustomStringConvertible {
    var hits: [RoomCap: UInt64]

    init(_ hits: [RoomCap: UInt64]) { self.hits = hits.filter { $0.value > 0 } }

    init(_ engine: Engine, _ scope: Scope = .key) {
      self.init(
        Dictionary(uniqueKeysWithValues: RoomCap.allCases.map { ($0, engine.capHits(scope, $0)) }))
    }

    var description: String { "\(hits)" }
  }

  private func policies(named: [String]) -> PolicySet {
    var plan = PolicyPlan()
    plan.limits = Self.limits.map {
      LimitDefinition(name: "limit", scope: $0.0, settings: $0.1)
    }
    plan.policies = [[0]]
    plan.tenants = named.map { PolicyPlan.TenantPlan(name: $0) }
    return plan.compile(hashKey: HashKey(low: 1, high: 2))
  }

  /// Has one unit asked for of each of `keys` fresh keys; how many decisions were by a wider bucket.
  private func overflows(
    of tenants: [String], keys: Int, named: [String],
    _ change: (inout Engine.Configuration) -> Void
  ) -> (count: UInt64, counted: Counted) {
    var configuration = Engine.Configuration()
    configuration.keySlots = 1_024
    configuration.tenantSlots = 256
    configuration.tenantsMax = 64
    change(&configuration)
    let engine = Engine(configuration)
    let policies = policies(named: named)
    if !named.isEmpty { engine.setAside(for: policies) }
    var count: UInt64 = 0
    for key in 0..<keys {
      for name in tenants {
        let tenant = policies.tenant(named: name)
        let query = Query(
          tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: "\(name)-\(key)"),
          cost: 1)
        // Looking counts nothing.
        _ = engine.peek(query, under: policies, at: Instant(nanoseconds: day))
        let decision = engine.check(query, under: policies, at: Instant(nanoseconds: day))
        if decision.flags.contains(.overflow) { count += 1 }
      }
    }
    return (count, Counted(engine))
  }

  @Test("A tenant's cap, places, guests' share, named tenants' share and the table are told apart")
  func kinds() {
    let own = overflows(of: ["acme"], keys: 50, named: ["acme"]) { $0.keysPerTenantLimit = 40 }
    #expect(own.count == 10 && own.counted == Counted([.tenantKeys: 10]))
    let guests = (0..<70).map { "guest-\($0)" }
    let places = overflows(of: guests, keys: 1, named: []) { _ in }
    #expect(places.count == 6 && places.counted == Counted([.tenants: 6]))
    // Half of 1,024 for guests.
    let share = overflows(of: ["guest"], keys: 600, named: ["acme"]) {
      $0.keysPerTenantLimit = 1_024
    }
    #expect(share.count == 88 && share.counted == Counted([.guestShare: 88]))
    // 85 % of 1,024 less the guests' half are 358; of these 89 are guaranteed to each of two.
    let named = overflows(of: ["acme"], keys: 300, named: ["acme", "globex"]) {
      $0.keysPerTenantLimit = 1_024
    }
    #expect(named.count == 31 && named.counted == Counted([.namedShare: 31]), "\(named)")
    // Nobody is named, and nobody has a cap: the table itself is full.
    let full = overflows(of: ["guest"], keys: 1_100, named: []) { $0.keysPerTenantLimit = 2_048 }
    #expect(full.count >= 1_100 - 1_024)
    #expect(full.counted == Counted([.table: full.count]), "\(full)")
  }
}

extension RealThreads {
  @Suite struct Caps {
    @Test("A decision that finds no room counts once, however often its bucket changes meanwhile")
    func once() {
      for round in 0..<20 {
        let fixture = Fixture(
          [(.key, slidingWindow(limit: 100_000, window: day))], keySlots: 64, keysPerTenant: 40)
        let overflows = Atomic<UInt64>(0)
        runThreads(4) { thread in
          for number in 0..<2_000 {
            let query = fixture.query("\(thread)-\(round)-\(number % 100)")
            let decision = fixture.engine.check(
              query, under: fixture.policies, at: Instant(nanoseconds: day))
            if decision.flags.contains(.overflow) { overflows.add(1, ordering: .relaxed) }
          }
        }
        let counted = RoomCap.allCases.reduce(0) { $0 + fixture.engine.capHits(.key, $1) }
        #expect(counted == overflows.load(ordering: .relaxed), "round \(round)")
        #expect(counted > 0)
      }
    }
  }
}
