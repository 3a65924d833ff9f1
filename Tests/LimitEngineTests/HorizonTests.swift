// Hosts that are up for months: ticks count modulo 208 days, and nothing is mistaken for old.

import Synchronization
import TestSupport
import Testing

@testable import LimitEngine

@Suite struct HorizonTests {
  @Test("A fresh region's horizon comes from the clock: no decision sweeps, however late it is")
  func freshRegion() {
    for days in [0, 150, 250, 3_650] as [UInt64] {
      let survivor = Survivor([(.key, tokenBucket(every: 1, burst: 1))], at: days * day)
      let engine = survivor.fixture.engine
      #expect(!engine.isPastHorizon(Instant(nanoseconds: days * day)))
      #expect(!engine.isPastHorizon(Instant(nanoseconds: (days + 26) * day)))
      #expect(engine.isPastHorizon(Instant(nanoseconds: (days + 27) * day)))
    }
    // In memory of its own, it is the first decision's.
    let fixture = Fixture([(.key, tokenBucket(every: 1, burst: 1))])
    _ = fixture.check(fixture.query(cost: 0), at: 250 * day)
    #expect(!fixture.engine.isPastHorizon(Instant(nanoseconds: 276 * day)))
  }

  @Test("A sweep that a much later one has overtaken stops, and frees nothing that lives")
  func overtakenSweep() {
    let fixture = Fixture([(.key, slidingWindow(limit: 10, window: second))])
    fixture.engine.sweep(at: Instant(nanoseconds: day))
    let table = fixture.engine.table(Scope.key.rawValue).pointee
    // Two sweeps that have read the horizon, and stall: at the time, and after long quiet.
    let horizon = fixture.engine.storages.horizon
    let stalled = [
      Sweep(at: Instant(nanoseconds: 30 * day), horizon: horizon),
      Sweep(at: Instant(nanoseconds: 240 * day), horizon: horizon),
    ]
    // Others go on 150 days later, where the first one's `now` seems to lie ahead of their windows.
    fixture.engine.sweep(at: Instant(nanoseconds: 240 * day))
    for key in 0..<50 {
      let now = key % 2 == 0 ? 240 * day : 180 * day
      #expect(fixture.check(fixture.query("\(key)"), at: now).outcome == .allow)
    }
    for sweep in stalled {
      var freed = 0
      #expect(!table.sweep(sweep, freed: &freed))
      #expect(freed == 0)
    }
    #expect(fixture.engine.occupancy(.key).live == 50)
  }

  @Test("A permit that is held for a year is a permit, and its bucket goes when it is returned")
  func heldForAYear() {
    let fixture = Fixture([(.tenant, concurrency(limit: 2))])
    var acquisition = fixture.engine.acquire(
      fixture.query(), under: fixture.policies, at: Instant(nanoseconds: day))
    guard let permit = acquisition.takePermit() else {
      Issue.record("there was a permit to take")
      return
    }
    for days in stride(from: 20, to: 365, by: 20) as StrideTo<UInt64> {
      fixture.engine.sweep(at: Instant(nanoseconds: days * day))
      #expect(fixture.check(fixture.query(cost: 0), at: days * day).remaining == 1)
    }
    fixture.engine.release(permit)
    fixture.engine.sweep(at: Instant(nanoseconds: 400 * day))
    #expect(fixture.engine.occupancy(.tenant).live == 0)
  }
}

extension RealThreads {
  @Suite struct HorizonRaces {
    private static func limits(unitEvery interval: UInt64) -> [(Scope, LimitSettings)] {
      [
        (.key, tokenBucket(every: interval, burst: 900)),
        (.key, slidingWindow(limit: 900, window: day)),
      ]
    }

    /// That threads which start together are admitted as much of three unused keys' two limits as they
    /// ask for, 300 units of each, or all there is.
    private func expectExact(
      _ fixture: Fixture, at now: UInt64, threads: Int, _ what: String
    ) {
      let admitted = Atomic(0)
      runThreads(threads) { thread in
        for turn in 0..<900 {
          for policy in 1...2 {
            let query = fixture.query("user-\(turn % 3)", policy: policy)
            if fixture.check(query, at: now).outcome == .allow {
              admitted.add(1, ordering: .relaxed)
            }
          }
        }
      }
      let total = admitted.load(ordering: .relaxed)
      #expect(total == 6 * min(900, 300 * threads), "\(what)")
    }

    @Test(
      "On a host that has been up for months, threads that start together admit the limit exactly",
      arguments: [(150, 4), (250, 2), (250, 4)] as [(UInt64, Int)])
    func longUptime(days: UInt64, threads: Int) {
      for round in 0..<(30 / min(scale, 3)) {
        // Fresh, or last used when the host was young.
        let fixture = Fixture(Self.limits(unitEvery: day), keySlots: 1 << 15)
        if round % 2 == 1 {
          for key in 0..<500 { _ = fixture.check(fixture.query("old-\(key)"), at: day) }
        }
        expectExact(
          fixture, at: days * day + UInt64(round), threads: threads, "round \(round)")
      }
    }

    @Test(
      "So they do with tables restored from long before, in which those very keys were used up",
      arguments: [(131, 4), (150, 2), (208, 4), (250, 4)] as [(UInt64, Int)])
    func restoredTables(days: UInt64, threads: Int) throws {
      var configuration = Engine.Configuration.tiny
      configuration.keySlots = 1 << 15
      for round in 0..<(30 / min(scale, 3)) {
        let young = Survivor(Self.limits(unitEvery: day / 900), configuration, at: day)
        let keys = (0..<500).map { "old-\($0)" } + (0..<3).map { "user-\($0)" }
        for key in keys {
          for policy in 1...2 {
            let query = young.fixture.query(key, policy: policy, cost: 900)
            #expect(young.check(query, at: day + UInt64(round)).outcome == .allow)
          }
        }
        // Taken up at once, and left alone for as long; or taken up only then.
        let taken = round % 2 == 0 ? day + second : days * day
        let restored = try young.recovered(at: taken)
        #expect(restored.recovery.damaged == 0)
        #expect(restored.recovery.live + restored.recovery.dead == 2 * keys.count)
        expectExact(
          restored.fixture, at: days * day + UInt64(round), threads: threads,
          "round \(round), \(days) days")
      }
    }

    @Test("Tenants that come and go under four threads have one place each, and leave none behind")
    func placesComeAndGo() {
      let fixture = Fixture(
        [(.key, tokenBucket(every: 300, burst: 2)), (.tenant, tokenBucket(every: 200, burst: 3))],
        keySlots: 256)
      let clock = Atomic<UInt64>(second)
      runThreads(4) { thread in
        var random = SeededGenerator(seed: testSeed &+ UInt64(thread))
        for _ in 0..<(100_000 / scale) {
          let now = clock.add(random.next() % 200, ordering: .relaxed).newValue
          let query = fixture.query(
            "\(random.next() % 3)", tenant: "tenant-\(random.next() % 90)",
            policy: Int(random.next() % 3))
          _ = fixture.check(query, at: now)
          if random.chance(1, in: 200) { fixture.engine.sweep(at: Instant(nanoseconds: now)) }
        }
      }
      let end = Instant(nanoseconds: clock.load(ordering: .relaxed) + day)
      #expect(fixture.engine.invariantViolation(at: end) == nil, "seed \(testSeed)")
      fixture.engine.sweep(at: end)
      #expect(fixture.engine.invariantViolation(at: end) == nil, "seed \(testSeed)")
      #expect(fixture.engine.directory.guestCount == 0)
    }

    @Test("Shares hold exactly while four threads fill a table and rules are put in force")
    func sharesAreExact() {
      var configuration = Engine.Configuration()
      configuration.keySlots = 2_048
      configuration.tenantSlots = 512
      configuration.tenantsMax = 200
      let engine = Engine(configuration)
      let named = Fixture([(.key, tokenBucket(every: day, burst: 2))], engine: engine)
      var plan = PolicyPlan()
      plan.limits = [
        LimitDefinition(
          name: "limit-0", scope: .key, settings: tokenBucket(every: day, burst: 2))
      ]
      plan.policies = [[0]]
      plan.tenants = [PolicyPlan.TenantPlan(name: "acme")]
      let rules = plan.compile(hashKey: testHashKey)
      engine.setAside(for: rules)
      let most = Atomic<UInt64>(0)
      runThreads(4) { thread in
        var random = SeededGenerator(seed: testSeed &+ UInt64(thread))
        for step in 0..<(30_000 / scale) {
          let query = named.query(
            "\(random.next() % 400)", tenant: "guest-\(random.next() % 300)")
          _ = named.check(query, at: day)
          most.max(engine.directory.guestCount, ordering: .relaxed)
          if thread == 0 && step % 1_000 == 0 { engine.setAside(for: rules) }
        }
      }
      #expect(engine.occupancy(.key).live == 1_024)
      // The bound, and one more for each thread that finds out.
      #expect(most.load(ordering: .relaxed) <= 104)
      #expect(engine.invariantViolation(at: Instant(nanoseconds: day)) == nil)
    }
  }
}
