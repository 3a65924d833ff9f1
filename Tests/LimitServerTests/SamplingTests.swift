// What a worker hands to whoever monitors: sums that are right in the mean, and nobody's denials hidden by
// another's.

import DaemonSupport
import Glibc
import LimitEngine
import LimitPolicy
import LimitSystem
import Synchronization
import TestSupport
import Testing

@testable import LimitRuntime
@testable import LimitServer

/// Makes samples as a session would. One thread uses it.
private struct Sampled: ~Copyable {
  let ring = SampleRing()
  let rulebook: Rulebook
  var writer: SampleWriter

  init() throws {
    rulebook = try MemoryServer.rulebook(
      """
      limits: {few: {algorithm: token-bucket, rate: 1/s, burst: 1, scope: key}}
      policies: {few: [few]}
      tenants: {"*": {}, acme: {}, other: {}}
      """)
    writer = SampleWriter(ring)
  }

  func tenant(_ name: String) -> Tenant { rulebook.policies.tenant(named: name) }

  /// A decision, and whether it was handed over.
  @discardableResult mutating func decide(
    _ tenant: Tenant, _ name: StaticString, _ outcome: Decision.Outcome,
    _ flags: Decision.Flags = [], cost: UInt64 = 1
  ) -> Bool {
    writer.beginGroup()
    guard writer.isWanted(outcome, flags, of: tenant) else { return false }
    let bytes = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    writer.hand(
      DecisionSample(
        tenant: tenant, key: tenant.fingerprint(ofKey: bytes), at: Instant(nanoseconds: 1),
        cost: cost, retryAfter: .zero, block: 0, place: 0, outcome: outcome, reason: .limit,
        flags: flags), tenant: bytes, key: bytes)
    return true
  }

  /// What was handed over.
  func drain() -> [(sample: DecisionSample, tenant: String, key: String)] {
    var all: [(DecisionSample, String, String)] = []
    ring.drain {
      all.append(($0, String(decoding: $1, as: UTF8.self), String(decoding: $2, as: UTF8.self)))
    }
    return all
  }
}

@Suite struct SamplingTests {
  @Test("While there are few decisions each is handed over, once, with its names")
  func few() throws {
    var sampled = try Sampled()
    let acme = sampled.tenant("acme")
    for _ in 0..<20 {
      sampled.decide(acme, "acme", .allow)
      sampled.decide(acme, "acme", .deny)
    }
    let all = sampled.drain()
    #expect(all.count == 40 && all.allSatisfy { $0.sample.weight == 1 })
    #expect(all.allSatisfy { $0.tenant == "acme" && $0.key == "acme" })
    let rest = sampled.drain()
    #expect(rest.isEmpty)
  }

  @Test("Sums over samples are sums over decisions, within some percent, and few are handed over")
  func sums() throws {
    var sampled = try Sampled()
    let tenants = ["acme", "other", "guest"].map { sampled.tenant($0) }
    // Of 16 decisions, 10, 5 and 1, in an order that skips of fixed length would be fooled by.
    let pattern = (0..<16).map { $0 % 16 == 3 ? 2 : $0 % 3 == 0 ? 1 : 0 }
    for outcome in [Decision.Outcome.allow, .deny] {
      var counts: [Fingerprint: UInt64] = [:]
      var total = 0
      for round in 0..<100 {
        for number in 0..<(1000 + 500 * (round % 10)) {
          sampled.decide(tenants[pattern[number % 16]], "x", outcome)
          total += 1
        }
        for (sample, _, _) in sampled.drain() {
          counts[sample.tenant.fingerprint, default: 0] += UInt64(sample.weight)
        }
      }
      for (place, tenant) in tenants.enumerated() {
        let expected = Double(total * pattern.count { $0 == place }) / 16
        let found = Double(counts[tenant.fingerprint] ?? 0)
        #expect(abs(found - expected) < 0.25 * expected, "\(outcome) \(place): \(found)")
      }
      let found = Double(counts.values.reduce(0, +))
      #expect(abs(found - Double(total)) < 0.1 * Double(total), "\(outcome): \(found) of \(total)")
    }
    let lost = sampled.ring.lostCount
    #expect(lost == 0)
  }

  @Test("A flood of denials hides no other named tenant's, whoever sends it")
  func floods() throws {
    var sampled = try Sampled()
    let (acme, other) = (sampled.tenant("acme"), sampled.tenant("other"))
    try #require(SampleWriter.group(of: acme) != SampleWriter.group(of: other))
    let guests = (0..<1000).map { sampled.tenant("guest-\($0)") }
    for round in 0..<10 {
      for number in 0..<5000 {
        sampled.decide(acme, "acme", .deny)
        sampled.decide(guests[number % 1000], "guest", .deny)
        // Its own first denials are handed over in each round.
        if number % 1000 == 999 {
          let isHanded = sampled.decide(other, "other", .deny)
          #expect(isHanded)
        }
      }
      let all = sampled.drain()
      #expect(all.count { $0.tenant == "other" } == 5, "round \(round)")
      // None of it for ever more: some hundred samples, and each group's first ones.
      #expect(all.count < 700)
    }
    let lost = sampled.ring.lostCount
    #expect(lost == 0)
  }

  @Test("Decided in groups, as they come in batches, decisions are sampled as one by one")
  func groups() throws {
    let ring = SampleRing()
    let server = try MemoryServer(
      """
      limits:
        few: {algorithm: token-bucket, rate: 1/1d, burst: 1, scope: key}
        many: {algorithm: token-bucket, rate: 1M/s, burst: 1M, scope: key}
      policies: {few: [few], many: [many]}
      tenants: {acme: {}, other: {}}
      """)
    let tenants = ["acme", "other"].map { server.rulebook.policies.tenant(named: $0) }
    try #require(SampleWriter.group(of: tenants[0]) != SampleWriter.group(of: tenants[1]))
    let now = Instant(nanoseconds: 1 << 40)
    var peer = try MemoryPeer(server, worker: (DecisionCounters(), ring, CounterRegistry()))
    peer.send(
      Request.hello() + Request.bind(0, "acme", "few") + Request.bind(1, "acme", "many")
        + Request.bind(2, "other", "few") + Request.query(handle: 0, key: "k")
        + Request.query(handle: 2, key: "k"), at: now)
    ring.drain { _, _, _ in }
    // Of 256 decisions, 192 deny, and of some one is another tenant's.
    let batch = (0..<256).map { Request.Item($0 % 4 == 3 ? 1 : 0, key: "k") }
    let last = Array(batch.dropLast()) + [Request.Item(2, key: "k")]
    var (denied, admitted, rounds) = (0 as UInt64, 0 as UInt64, 0)
    for _ in 0..<100 {
      for _ in 0..<9 { peer.send(Request.batch(batch), at: now) }
      peer.send(Request.batch(last), at: now)
      var isOtherSeen = false
      ring.drain { sample, tenant, _ in
        if String(decoding: tenant, as: UTF8.self) == "other" { isOtherSeen = true }
        if sample.outcome == .allow {
          admitted += UInt64(sample.weight)
        } else {
          denied += UInt64(sample.weight)
        }
      }
      rounds += isOtherSeen ? 1 : 0
      _ = peer.takeReplies()
    }
    #expect(rounds == 100 && ring.lostCount == 0)
    for (found, expected) in [(denied, 192_100), (admitted, 63_900)] as [(UInt64, Double)] {
      #expect(abs(Double(found) - expected) < 0.1 * expected, "\(found) of \(expected)")
    }
  }

  @Test("A soft threshold that is passed is handed over once per round, however rare it is")
  func softThreshold() throws {
    var sampled = try Sampled()
    let (acme, other) = (sampled.tenant("acme"), sampled.tenant("other"))
    for _ in 0..<3 {
      for number in 0..<5000 {
        sampled.decide(acme, "acme", .allow)
        if number >= 4990 { sampled.decide(other, "other", .allow, .softThreshold) }
      }
      let found = sampled.drain().filter { $0.tenant == "other" }
      // For its own sake, unless the first of them is one of the samples anyway.
      let isSample = found.first.map { $0.sample.weight > 0 } ?? false
      #expect(found.count { $0.sample.weight == 0 } == (isSample ? 0 : 1))
      #expect(found.allSatisfy { $0.sample.flags == .softThreshold })
    }
  }

  @Test("What nobody reads is lost and counted, and the worker goes on")
  func full() throws {
    var sampled = try Sampled()
    let acme = sampled.tenant("acme")
    var handed = 0
    while sampled.ring.lostCount < 10 {
      if sampled.decide(acme, "acme", .deny) { handed += 1 }
      // The reader's rounds go on without its reading: what a reader that is too slow comes to.
      if handed % 40 == 0 { sampled.writer.renew() }
    }
    let all = sampled.drain()
    #expect(all.count == SampleRing.slots && handed == SampleRing.slots + 10)
    let isHanded = sampled.decide(acme, "acme", .deny)
    let left = sampled.drain().count
    #expect(isHanded && left == 1)
  }
}

extension RealThreads {
  @Suite struct SampleRingTests {
    @Test("Whole samples arrive in order while both sides are at work")
    func bothSides() throws {
      let ring = SampleRing()
      let acme = try MemoryServer.rulebook(
        """
        limits: {few: {algorithm: token-bucket, rate: 1/s, burst: 1, scope: key}}
        policies: {few: [few]}
        tenants: {acme: {}}
        """
      ).policies.tenant(named: "acme")
      let count = 200_000 / UInt64(scale)
      let isDone = Atomic<Bool>(false)
      let thread = try Thread(named: "writer") {
        var name: UInt64 = 0
        for number in 0..<count {
          name = number
          withUnsafeBytes(of: &name) { bytes in
            ring.writerEnd.write(
              DecisionSample(
                tenant: acme, key: acme.fingerprint, at: Instant(nanoseconds: number), cost: number,
                retryAfter: .zero, block: 0, place: 0, outcome: .deny, reason: .limit, flags: []),
              tenant: bytes, key: bytes)
          }
        }
        isDone.store(true, ordering: .releasing)
      }
      var (seen, last, isWhole) = (0 as UInt64, -1, true)
      var isOver = false
      while !isOver {
        isOver = isDone.load(ordering: .acquiring)
        ring.drain { sample, tenant, key in
          let number = tenant.loadUnaligned(as: UInt64.self)
          isWhole =
            isWhole && sample.cost == number && Int(number) > last
            && key.loadUnaligned(as: UInt64.self) == number
          last = Int(number)
          seen += 1
        }
      }
      thread.join()
      #expect(isWhole && seen + ring.lostCount == count && seen > 0)
    }
  }
}

@Suite struct SketchTests {
  private func fingerprint(_ number: UInt64) -> Fingerprint {
    Fingerprint(low: number &* 0x9E37_79B9_7F4A_7C15, high: number)
  }

  @Test(
    "Counters never fall short, are too high by no more than they say, and have what is frequent")
  func spaceSaving() {
    var generator = SystemRandomNumberGenerator()
    for capacity in [1, 7, 100] {
      var sketch = SpaceSaving<UInt64>(capacity: capacity)
      var exact: [UInt64: UInt64] = [:]
      var total: UInt64 = 0
      for _ in 0..<20_000 {
        // Few are frequent, and most are met once.
        let item =
          Bool.random(using: &generator)
          ? UInt64.random(in: 0..<4, using: &generator)
          : UInt64.random(in: 100..<1_000_000, using: &generator)
        let weight = UInt64.random(in: 1...9, using: &generator)
        sketch.add(fingerprint(item), weight: weight) { item }
        exact[item, default: 0] += weight
        total += weight
      }
      let counters = sketch.counters
      #expect(counters.count == capacity)
      #expect(counters.values.reduce(0) { $0 + $1.count } == total)
      for counter in counters.values {
        let real = exact[counter.label] ?? 0
        #expect(counter.count >= real && counter.count - counter.error <= real)
      }
      for (item, count) in exact where count > total / UInt64(capacity) {
        #expect(counters[fingerprint(item)] != nil)
      }
    }
  }

  @Test("A bounded table knows what a list by last touch knows")
  func recency() {
    var generator = SystemRandomNumberGenerator()
    for capacity in [1, 2, 5] {
      var table = RecencyTable<Int>(capacity: capacity)
      var model: [(key: UInt64, value: Int)] = []
      for step in 0..<2000 {
        let key = UInt64.random(in: 0..<8, using: &generator)
        table.update(fingerprint(key), else: { 0 }) { $0 += step }
        let value = model.first { $0.key == key }?.value ?? 0
        model.removeAll { $0.key == key }
        model.append((key, value + step))
        if model.count > capacity { model.removeFirst() }
        for key in 0..<8 as Range<UInt64> {
          #expect(table[fingerprint(key)] == model.first { $0.key == key }?.value)
        }
      }
    }
  }
}
