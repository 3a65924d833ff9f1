// No tenant can hurt another: hostile keys, full tables, caps and what is charged beyond them.

import TestSupport
import Testing

@testable import LimitEngine

@Suite struct IsolationTests {
  @Test("A tenant that floods the table with keys changes no other tenant's decision")
  func floodChangesNothing() {
    let limits: [(Scope, LimitSettings)] = [
      (.key, tokenBucket(every: 1_000_000, burst: 5)), (.tenant, tokenBucket(every: 50, burst: 40)),
      (.key, slidingWindow(limit: 7, window: second)),
    ]
    let flooded = Fixture(limits, keySlots: 4_096)
    let quiet = Fixture(limits, keySlots: 4_096)
    var random = SeededGenerator(seed: testSeed)
    var now = second
    var overflowed = 0
    for step in 0..<(60_000 / scale) {
      now += random.next() % 20_000
      for _ in 0..<20 {
        let hostile = flooded.query("\(random.next())", tenant: "hostile")
        if flooded.check(hostile, at: now).flags.contains(.overflow) { overflowed += 1 }
      }
      let key = "user-\(random.next() % 30)"
      let cost = random.next() % 3
      let expected = quiet.check(quiet.query(key, cost: cost), at: now)
      let actual = flooded.check(flooded.query(key, cost: cost), at: now)
      if actual != expected {
        Issue.record("seed \(testSeed), step \(step): \(expected) became \(actual)")
        return
      }
    }
    #expect(overflowed > 10_000 / scale, "the flood never came to its cap")
    let hostile = flooded.policies.tenant(named: "hostile")
    #expect(flooded.engine.liveKeys(of: hostile) <= 1_024)
    #expect(flooded.engine.occupancy(.key).slots == 4_096)
  }

  @Test("A tenant at its cap is held to one bucket of its own for all further keys")
  func capUsesTheTenantsBucket() {
    let fixture = Fixture([(.key, tokenBucket(every: second, burst: 2))], keysPerTenant: 3)
    for key in ["a", "b", "c"] { #expect(fixture.check(fixture.query(key), at: 1).flags == []) }
    // Two units for all other keys together.
    let charged = fixture.check(fixture.query("d"), at: 1)
    #expect(charged.outcome == .allow)
    #expect(charged.flags == .overflow)
    #expect(fixture.check(fixture.query("e"), at: 1).flags == .overflow)
    #expect(fixture.check(fixture.query("f"), at: 1).outcome == .deny)
    // Its own keys go on, and so do another tenant's.
    #expect(fixture.check(fixture.query("a"), at: 1).outcome == .allow)
    #expect(fixture.check(fixture.query("f", tenant: "globex"), at: 1).flags == [])
    #expect(fixture.engine.liveKeys(of: fixture.policies.tenant(named: "acme")) == 3)
    // Settling finds the bucket that was charged.
    let settlement = fixture.engine.settle(
      fixture.query("d"), charged.receipt, actual: 0, under: fixture.policies,
      at: Instant(nanoseconds: 1))
    #expect(settlement == .settled)
    #expect(fixture.check(fixture.query("g"), at: 1).outcome == .allow)
    #expect(fixture.check(fixture.query("h"), at: 1).outcome == .deny)
  }

  @Test("Keys that are done with make room under the cap without anybody sweeping")
  func deadKeysMakeRoom() {
    let fixture = Fixture(
      [(.key, tokenBucket(every: 1_000, burst: 1))], keySlots: 256, keysPerTenant: 64)
    var overflowed = 0
    for number in 0..<20_000 as Range<UInt64> {
      // 50 keys are live at a time; thousands have come and gone.
      let decision = fixture.check(fixture.query("\(number)"), at: second + number * 20)
      #expect(decision.outcome == .allow)
      if decision.flags.contains(.overflow) { overflowed += 1 }
    }
    #expect(overflowed == 0)
  }

  @Test("A full table charges the tenant's bucket; a live bucket is never evicted") func fullTable()
  {
    let fixture = Fixture(
      [(.key, tokenBucket(every: day, burst: 5))], keySlots: 64, keysPerTenant: .max)
    var known: [String] = []
    for number in 0..<500 {
      let key = "key-\(number)"
      if !fixture.check(fixture.query(key), at: 1).flags.contains(.overflow) { known.append(key) }
    }
    #expect((56...64).contains(known.count))
    for key in known { #expect(fixture.check(fixture.query(key), at: 1).remaining == 3) }
    #expect(fixture.engine.invariantViolation(at: Instant(nanoseconds: 1)) == nil)
  }

  @Test("At 82 % load every bucket has a place, and takes at most 40 bytes, counters included")
  func bytesPerBucket() {
    let slots = 1 << 18
    let fixture = Fixture(
      [(.key, tokenBucket(every: day, burst: 5))], keySlots: slots, keysPerTenant: .max)
    let tenant = fixture.policies.tenant(named: "acme")
    let count = UInt64(slots) * 82 / 100
    var overflowed = 0
    for number in 0..<count {
      var bytes = number
      let key = withUnsafeBytes(of: &bytes) { tenant.fingerprint(ofKey: $0) }
      let decision = fixture.check(
        Query(tenant: tenant, policy: PolicyIndex(0), key: key).self, at: 1)
      if decision.flags.contains(.overflow) { overflowed += 1 }
    }
    #expect(overflowed == 0)
    #expect(fixture.engine.occupancy(.key).live == Int(count))
    #expect(fixture.engine.liveKeys(of: tenant) == Int(count))
    let bytes = fixture.engine.occupancy(.key).slots * Slot.bytes + Engine.countersBytes
    #expect(Double(bytes) / Double(count) <= 40)
  }

  @Test("A bucket's places are spread: many, and as often in one part of the table as in another")
  func placesAreSpread() {
    let fixture = Fixture([(.key, tokenBucket(every: day, burst: 1))], keySlots: 4 * 16)
    let table = fixture.engine.table(Scope.key.rawValue).pointee
    var random = SeededGenerator(seed: testSeed)
    var perBucket = [Int](repeating: 0, count: 16)
    var fewest = BucketTable.candidates
    for _ in 0..<20_000 {
      let id = BucketID(
        Fingerprint(low: random.next(), high: random.next()), seed: Fingerprint(low: 0, high: 0))
      let places = (0..<BucketTable.candidates).map { table.bucket(of: id, candidate: $0) }
      fewest = min(fewest, Set(places).count)
      for place in places { perBucket[Int(place)] += 1 }
    }
    // Sixteen even choices among sixteen buckets give ten different ones on average.
    #expect(fewest >= 4, "seed \(testSeed)")
    #expect(perBucket.allSatisfy { abs($0 - 20_000) < 1_500 }, "seed \(testSeed): \(perBucket)")
  }

  @Test("Keys chosen to meet under one secret are spread under another") func hashFlood() {
    let (known, secret) = (HashKey(low: 1, high: 2), HashKey(low: 3, high: 4))
    let limits: [(Scope, LimitSettings)] = [(.key, tokenBucket(every: day, burst: 1))]
    let attacked = Fixture(limits, keySlots: 4_096, keysPerTenant: .max, hashKey: known)
    let safe = Fixture(limits, keySlots: 4_096, keysPerTenant: .max, hashKey: secret)
    // Keys whose position lies in the first hundredth of the table, under the known secret.
    func seed(_ fixture: Fixture) -> Fingerprint {
      let tenant = fixture.policies.tenant(named: "acme")
      return fixture.policies.rule(for: LimitIndex(0), of: tenant).pointee.seed
    }
    let attackedSeed = seed(attacked)
    let chosen = (0..<200_000).map { "\($0)" }.filter {
      BucketID(attacked.query($0).key, seed: attackedSeed).position < UInt64.max / 100
    }
    #expect(chosen.count > 1_500)
    // By hundredths of the table: all in the first, or everywhere.
    func spread(_ fixture: Fixture) -> [UInt64: Int] {
      let places = chosen.map { key in
        BucketID(fixture.query(key).key, seed: seed(fixture)).position / (UInt64.max / 100)
      }
      return Dictionary(places.map { ($0, 1) }, uniquingKeysWith: +)
    }
    #expect(spread(attacked).count == 1)
    #expect(spread(safe).count >= 100)
    #expect(spread(safe).values.max()! < chosen.count / 100 * 3)
    let overflowed = chosen.count { safe.check(safe.query($0), at: 1).flags.contains(.overflow) }
    #expect(overflowed == 0)
  }

  @Test("Tenants that find no place in the directory share their buckets one scope wider")
  func directoryIsFull() {
    let fixture = Fixture([(.key, tokenBucket(every: second, burst: 100))])
    var own = 0
    for number in 0..<200 {
      let decision = fixture.check(fixture.query("k", tenant: "tenant-\(number)"), at: 1)
      #expect(decision.outcome == .allow)
      #expect(decision.remaining == 99)
      if !decision.flags.contains(.overflow) { own += 1 }
    }
    #expect(own == 64)
  }
}
