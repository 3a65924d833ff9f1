// Names without end: what named tenants are told while invented ones come, and what the invented
// ones share.

import Synchronization
import TestSupport
import Testing

@testable import LimitEngine

@Suite struct GuaranteeTests {
  /// An engine that was told of the rules, which name `acme` and `globex` and have limits for any.
  private struct Named {
    let engine: Engine
    let policies: PolicySet

    init(
      _ limits: [(Scope, LimitSettings)], named: [String] = ["acme", "globex"],
      _ change: (inout Engine.Configuration) -> Void = { _ in }
    ) {
      var configuration = Engine.Configuration()
      configuration.keySlots = 4_096
      configuration.tenantSlots = 1_024
      configuration.tenantsMax = 512
      change(&configuration)
      engine = Engine(configuration)
      policies = Self.policies(limits, named: named)
      engine.setAside(for: policies)
    }

    static func policies(_ limits: [(Scope, LimitSettings)], named: [String]) -> PolicySet {
      var plan = PolicyPlan()
      for (number, limit) in limits.enumerated() {
        plan.limits.append(
          LimitDefinition(name: "limit-\(number)", scope: limit.0, settings: limit.1))
      }
      plan.policies = [Array(limits.indices)]
      plan.tenants = named.map { PolicyPlan.TenantPlan(name: $0) }
      return plan.compile(hashKey: HashKey(low: 1, high: 2))
    }

    func query(_ tenant: String, _ key: String = "user", cost: UInt64 = 1) -> Query {
      let tenant = policies.tenant(named: tenant)
      return Query(
        tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: key), cost: cost)
    }

    func check(_ tenant: String, _ key: String = "user", cost: UInt64 = 1, at now: UInt64)
      -> Decision
    {
      engine.check(
        query(tenant, key, cost: cost), under: policies, at: Instant(nanoseconds: now))
    }

    func peek(_ tenant: String, _ key: String = "user", cost: UInt64 = 1, at now: UInt64)
      -> Decision
    {
      engine.peek(query(tenant, key, cost: cost), under: policies, at: Instant(nanoseconds: now))
    }

    func expectSound(at now: UInt64, _ location: SourceLocation = #_sourceLocation) {
      let violation = engine.invariantViolation(at: Instant(nanoseconds: now))
      #expect(violation == nil, sourceLocation: location)
    }
  }

  @Test("A million invented tenants change nothing for a named one, during the flood and after it")
  func floodOfTenants() {
    let limits: [(Scope, LimitSettings)] = [
      (.tenant, slidingWindow(limit: 100, window: day)),
      (.key, tokenBucket(every: second, burst: 5)),
    ]
    let flooded = Named(limits)
    let quiet = Named(limits)
    var random = SeededGenerator(seed: testSeed)
    var now = 3 * day
    var isSeen = false
    for number in 0..<(1_000_000 / scale) {
      now += 1_000
      _ = flooded.check("invented-\(number)", at: now)
      guard number % 500 == 499 else { continue }
      // The first query of one of them comes when the tables have long been full.
      let tenant = number > 300_000 / scale && random.chance(1, in: 2) ? "globex" : "acme"
      isSeen = isSeen || tenant == "globex"
      let key = "user-\(random.next() % 40)"
      let left = flooded.check(tenant, key, at: now)
      let right = quiet.check(tenant, key, at: now)
      guard left == right else {
        Issue.record("seed \(testSeed), \(number): \(left) is not \(right)")
        return
      }
    }
    #expect(isSeen)
    let last = flooded.check("globex", "last", cost: 0, at: now + second)
    #expect(last == quiet.check("globex", "last", cost: 0, at: now + second))
    #expect(flooded.engine.occupancy(.tenant).live <= 1_024 / 2 + 4)
    flooded.expectSound(at: now)
  }

  @Test("All guests together have their share of either table and no more")
  func sharesOfTheTables() {
    let named = Named([(.key, tokenBucket(every: day, burst: 5))]) {
      $0.keysPerTenantLimit = 1_024
    }
    // Five invented names, a thousand keys each.
    for tenant in 0..<5 {
      for key in 0..<1_000 { _ = named.check("invented-\(tenant)", "\(key)", at: day) }
    }
    #expect(named.engine.occupancy(.key).live == 2_048)
    // (4,096 × 85 % − 2,048) / 2, for two tenants: guaranteed to the one that comes last as well.
    for key in 0..<1_024 { _ = named.check("acme", "\(key)", at: day) }
    for key in 0..<358 {
      #expect(named.check("globex", "\(key)", at: day).flags == [], "key \(key)")
    }
    named.expectSound(at: day)
  }

  @Test("Permits of many connections fill the guests' share of the tenant table, not a named one's")
  func permitsOfGuests() {
    let named = Named([(.tenant, concurrency(limit: 10))]) { $0.tenantSlots = 128 }
    var permits = 0
    for number in 0..<400 {
      var acquisition = named.engine.acquire(
        named.query("invented-\(number)"), under: named.policies, at: Instant(nanoseconds: day))
      // Held until the engine ends.
      if acquisition.takePermit() != nil { permits += 1 }
    }
    // One each for the share of 64, and ten for all others.
    #expect(permits == 74)
    #expect(named.engine.occupancy(.tenant).live == 64)
    let decision = named.check("acme", at: day)
    #expect(decision.remaining == 10 && decision.flags == [])
  }

  @Test(
    "128 connections with 1,024 permits each, at the default sizes, leave named tenants theirs",
    .enabled(if: scale == 1, "under a sanitizer it takes minutes, and reads no memory of its own"))
  func permitsOfManyGuests() {
    let limits = [
      (Scope.tenant, concurrency(limit: 10)), (.key, tokenBucket(every: day, burst: 5)),
    ]
    let named = Named(limits) { $0 = Engine.Configuration() }
    var permits = 0
    for number in 0..<(128 * 1_024) {
      var acquisition = named.engine.acquire(
        named.query("invented-\(number)"), under: named.policies, at: Instant(nanoseconds: day))
      // Held until the engine ends.
      if acquisition.takePermit() != nil { permits += 1 }
    }
    // One each for the guests that have a place, which is half of 65,536, and for all others together as
    // many as the key limit's bucket has in which they meet.
    #expect(permits == 32_768 + 5)
    #expect(named.engine.occupancy(.tenant).live == 32_768)
    for tenant in ["acme", "globex"] {
      for left in (0..<10).reversed() as ReversedCollection<Range<UInt64>> {
        var acquisition = named.engine.acquire(
          named.query(tenant, "\(left)"), under: named.policies, at: Instant(nanoseconds: day))
        #expect(acquisition.decision.flags == [] && acquisition.takePermit() != nil)
      }
      #expect(named.check(tenant, cost: 0, at: day).flags == [])
    }
    named.expectSound(at: day)
  }

  @Test("As many tenants as the number says have places, and the places of the dead come back")
  func placesOfTheDead() {
    let limits: [(Scope, LimitSettings)] = [(.key, tokenBucket(every: second, burst: 5))]
    let named = Named(limits, named: []) { $0.tenantsMax = 500 }
    var now = day
    for round in 0..<5 {
      var own = 0
      for number in 0..<2_000
      where named.check("tenant-\(round)-\(number)", at: now).flags.isEmpty { own += 1 }
      #expect(own == 500, "round \(round)")
      now += 10 * second
      named.engine.sweep(at: Instant(nanoseconds: now))
      #expect(named.engine.directory.guestCount == 0)
      named.expectSound(at: now)
    }
  }

  @Test("131,072 invented tenants in 0.25 s keep nobody out, with the sizes that are the default")
  func manyGuests() {
    let named = Named([(.key, tokenBucket(every: second, burst: 5))]) {
      $0 = Engine.Configuration()
    }
    let count = 131_072 / scale
    for number in 0..<UInt64(count) {
      _ = named.check("invented-\(number)", at: day + number * 1_907)
    }
    #expect(named.engine.directory.guestCount == min(UInt64(count), 32_768))
    let end = day + second / 4
    #expect(named.check("acme", at: end).flags == [])
    // Once theirs are as if never used; nobody has swept.
    for number in 0..<1_000 {
      #expect(named.check("later-\(number)", at: end + 2 * second).flags == [])
    }
    named.expectSound(at: end + 2 * second)
  }

  @Test("Two guests in a directory for two keep nobody out, named or not, once they are gone")
  func directoryForTwo() {
    for customer in ["acme", "another-guest"] {
      let limits: [(Scope, LimitSettings)] = [(.key, tokenBucket(every: second, burst: 1))]
      let named = Named(limits, named: customer == "acme" ? ["acme"] : []) { $0.tenantsMax = 2 }
      for guest in ["a", "b"] { _ = named.check(guest, at: day) }
      // Thirty days later; nobody has swept.
      for user in ["x", "y", "z"] {
        let decision = named.check(customer, user, at: 31 * day)
        #expect(decision.outcome == .allow && decision.flags == [], "\(customer), \(user)")
      }
      named.expectSound(at: 31 * day)
    }
  }

  @Test("Named tenants have their places while guests hold all of theirs")
  func namedPlaces() {
    let names = (0..<40).map { "named-\($0)" }
    let limits: [(Scope, LimitSettings)] = [(.key, tokenBucket(every: day, burst: 5))]
    let named = Named(limits, named: names) { $0.tenantsMax = 64 }
    for number in 0..<500 { _ = named.check("guest-\(number)", at: day) }
    // 64 less 40 that are named.
    #expect(named.engine.directory.guestCount == 24)
    for name in names { #expect(named.check(name, at: day).flags == []) }
    named.expectSound(at: day)
  }

  @Test("A tenant at a small cap of a large table, whose keys are dead, gets every fresh key")
  func smallCap() {
    let fixture = Fixture(
      [(.key, tokenBucket(every: 1_000_000, burst: 1))], keySlots: 1 << 20, keysPerTenant: 100)
    var now = second
    for number in 0..<100 { _ = fixture.check(fixture.query("old-\(number)"), at: now) }
    now += second
    // All are dead; fifty fresh ones live at a time.
    var overflowed = 0
    for number in 0..<400 {
      now += 20_000
      let decision = fixture.check(fixture.query("fresh-\(number)"), at: now)
      if decision.flags.contains(.overflow) || decision.outcome != .allow { overflowed += 1 }
    }
    #expect(overflowed == 0)
    #expect(fixture.engine.liveKeys(of: fixture.policies.tenant(named: "acme")) <= 100)
  }

  @Test("A tenant at a small cap, whose keys live, does not search the table for each query")
  func searchesRest() {
    let fixture = Fixture(
      [(.key, tokenBucket(every: day, burst: 1))], keySlots: 1 << 20, keysPerTenant: 100)
    let table = fixture.engine.table(Scope.key.rawValue).pointee
    for number in 0..<2_000 { _ = fixture.check(fixture.query("\(number)"), at: second) }
    // One search of a third of the table's buckets; after it, the rest.
    let hand = table.counters.pointee.hand.pointee.load(ordering: .relaxed)
    #expect(hand > 80_000 && hand < 90_000)
  }

  @Test("A subject gets its limit from its own bucket and from the shared one at most: twice")
  func overflowBound() {
    let fixture = Fixture(
      [(.key, tokenBucket(every: 60 * second, burst: 10))], keysPerTenant: 1)
    func admitted(_ key: String, at now: UInt64) -> Int {
      (0..<50).count { _ in fixture.check(fixture.query(key), at: now).outcome == .allow }
    }
    // One unit of another key takes the only place for a minute.
    _ = fixture.check(fixture.query("other"), at: second)
    #expect(admitted("user", at: second) == 10)
    #expect(admitted("user", at: 61 * second) == 1)
    // The other key is dead: a bucket of its own, and then nothing more.
    #expect(admitted("user", at: 62 * second) == 10)
    #expect(admitted("user", at: 63 * second) == 0)
  }

  @Test("A guest's key that gets nearer by two scopes gets its limit three times at most")
  func overflowBoundOfGuests() {
    var configuration = Engine.Configuration()
    configuration.keySlots = 1_024
    configuration.tenantSlots = 256
    configuration.tenantsMax = 1
    configuration.keysPerTenantLimit = 1
    // Besides, a limit whose buckets hold the only place of a tenant, or of a key, for a second.
    let fixture = Fixture(
      [
        (.key, tokenBucket(every: day, burst: 10)), (.key, tokenBucket(every: second, burst: 1)),
      ], engine: Engine(configuration))
    func admitted(at now: UInt64) -> Int {
      (0..<50).count { _ in
        fixture.check(fixture.query("user", tenant: "guest", policy: 1), at: now).outcome == .allow
      }
    }
    // Another guest has the only place: the bucket that all guests share.
    _ = fixture.check(fixture.query("other", tenant: "another", policy: 2), at: second)
    #expect(admitted(at: second) == 10)
    // It is gone, and another key of this one's has the only key's place: the tenant's own bucket.
    _ = fixture.check(fixture.query("other", tenant: "guest", policy: 2), at: 3 * second)
    #expect(admitted(at: 3 * second) == 10)
    // That key is dead: a bucket of its own, and then nothing more.
    #expect(admitted(at: 5 * second) == 10)
    for later in 6..<100 as Range<UInt64> { #expect(admitted(at: later * second) == 0) }
  }

  @Test("Peek says what the next check says, whatever is full") func peekAtFullTables() {
    var random = SeededGenerator(seed: testSeed)
    let named = Named([
      (.key, tokenBucket(every: 50 * second, burst: 3)),
      (.tenant, slidingWindow(limit: 200, window: 100 * second)),
    ]) {
      $0.keySlots = 64
      $0.tenantSlots = 32
      $0.tenantsMax = 12
      $0.keysPerTenantLimit = 20
    }
    var now = day
    var overflowed = 0
    for step in 0..<(40_000 / scale) {
      now += random.next() % second
      let tenant = random.chance(1, in: 3) ? "acme" : "guest-\(random.next() % 20)"
      let key = "\(random.next() % 60)"
      let cost = 1 + random.next() % 3
      let peeked = named.peek(tenant, key, cost: cost, at: now)
      let decided = named.check(tenant, key, cost: cost, at: now)
      if decided.flags.contains(.overflow) { overflowed += 1 }
      let isSame =
        peeked.outcome == decided.outcome && peeked.retryAfter == decided.retryAfter
        && peeked.flags.contains(.overflow) == decided.flags.contains(.overflow)
      guard isSame else {
        Issue.record("seed \(testSeed), step \(step): \(peeked), then \(decided)")
        return
      }
    }
    #expect(overflowed > 1_000 / scale)
    named.expectSound(at: now)
  }

  @Test("Deny and peek write nothing where no slot is dead, also at full tables")
  func denyAndPeekWriteNothing() {
    let limits: [(Scope, LimitSettings)] = [(.key, tokenBucket(every: day, burst: 1))]
    let survivor = Survivor(limits, at: day)
    for key in 0..<200 { _ = survivor.check(survivor.fixture.query("\(key)"), at: day) }
    let before = survivor.memory.bytes.map { $0 }
    for key in 0..<400 {
      let query = survivor.fixture.query("\(key)", tenant: key % 2 == 0 ? "acme" : "new-\(key)")
      _ = survivor.fixture.engine.peek(
        query, under: survivor.fixture.policies, at: Instant(nanoseconds: day))
      guard key % 2 == 0 else { continue }
      #expect(survivor.check(query, at: day).outcome == .deny)
    }
    // But for where the next search for dead slots begins.
    let counters = RegionLayout(.tiny).countersOffset
    let hands = (0..<3).map { counters + $0 * RegionLayout.wordsPerTable * 8 }
    for place in before.indices where before[place] != survivor.memory.bytes[place] {
      #expect(hands.contains { $0..<$0 + 16 ~= place }, "byte \(place)")
    }
  }

  @Test("A reload that names a guest keeps its buckets, and one that names it no more as well")
  func reloads() {
    let limits: [(Scope, LimitSettings)] = [(.key, tokenBucket(every: day, burst: 9))]
    let named = Named(limits)
    for key in 0..<10 { _ = named.check("guest", "\(key)", at: day) }
    #expect(named.engine.directory.guestCount == 1)
    for names in [["guest"], ["acme"], ["guest", "acme"], []] {
      let policies = Named.policies(limits, named: names)
      #expect(named.engine.setAside(for: policies).isNone)
      named.expectSound(at: day)
      #expect(named.engine.directory.guestCount == (names.contains("guest") ? 0 : 1))
      let tenant = policies.tenant(named: "guest")
      let decision = named.engine.check(
        Query(
          tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: "3"), cost: 0),
        under: policies, at: Instant(nanoseconds: day))
      #expect(decision.remaining == 8)
    }
    named.engine.sweep(at: Instant(nanoseconds: 3 * day))
    named.expectSound(at: 3 * day)
    #expect(named.engine.directory.guestCount == 0)
  }

  @Test("Where the tables are too small for the named tenants, setting aside says by how much")
  func shortage() {
    let limits: [(Scope, LimitSettings)] = [
      (.key, tokenBucket(every: day, burst: 9)), (.tenant, tokenBucket(every: day, burst: 9)),
      (.global, tokenBucket(every: day, burst: 9)),
    ]
    let names = (0..<500).map { "named-\($0)" }
    let named = Named(limits, named: names)
    // 500 tenants meet two limits each; 85 % of 1,024 slots are counted on.
    let shortage = named.engine.setAside(for: Named.policies(limits, named: names))
    #expect(shortage.tenants == 0 && shortage.tenantSlots == 1_000 - 870)
    // Guests have none of it then.
    #expect(named.check("guest", at: day).flags == .overflow)
    #expect(named.engine.occupancy(.tenant).live == 0)
  }

  @Test("A directory that holds as many as it can finds every one, and takes no one twice")
  func directoryAtItsNumber() {
    let named = Named([(.key, tokenBucket(every: day, burst: 1))], named: []) {
      $0.tenantsMax = 20_000
      $0.keySlots = 1 << 16
    }
    for _ in 0..<2 {
      for number in 0..<20_000 { _ = named.check("tenant-\(number)", at: day) }
    }
    #expect(named.engine.directory.guestCount == 20_000)
    #expect(named.engine.occupancy(.key).live == 20_000)
    named.expectSound(at: day)
  }
}
