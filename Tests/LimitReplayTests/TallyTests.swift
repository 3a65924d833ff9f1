// Counting in bounded memory: exact while there is room, and honest beyond.

import LimitConsole
import LimitEngine
import TestSupport
import Testing

@testable import LimitReplay

@Suite struct HeavyHittersTests {
  private func add(_ number: Int, to sketch: inout HeavyHitters) {
    let text = Array("k\(number)".utf8)[...]
    sketch.add(Fingerprint(low: UInt64(number), high: 1), tenant: [0x74], key: text)
  }

  @Test func countsAreExactUntilItIsFull() {
    var sketch = HeavyHitters(capacity: 100)
    for number in 0..<100 { for _ in 0...number { add(number, to: &sketch) } }
    #expect(sketch.error == 0)
    #expect(sketch.count == 100)
    #expect(sketch.top(2).map(\.count) == [100, 99])
    #expect(String(decoding: sketch.top(1)[0].key, as: UTF8.self) == "k99")
  }

  /// Every key's true count lies between its count and its count plus the error, and keys that are
  /// missing were added at most `error` times.
  @Test func theErrorBoundHolds() {
    let seed: UInt64 = 9
    var generator = SeededGenerator(seed: seed)
    var sketch = HeavyHitters(capacity: 64)
    var truth: [Int: Int] = [:]
    for _ in 0..<200_000 {
      // Skewed: low numbers come often.
      let number = Int(Double(5000) * pow4(Double.random(in: 0..<1, using: &generator)))
      truth[number, default: 0] += 1
      add(number, to: &sketch)
      #expect(sketch.count <= 64)
    }
    #expect(sketch.error > 0 && sketch.error <= 2 * 200_000 / 64)
    var missing = truth
    for entry in sketch.top(64) {
      let number = Int(String(decoding: entry.key.dropFirst(), as: UTF8.self))!
      missing[number] = nil
      #expect(
        (entry.count...entry.count + sketch.error).contains(truth[number]!),
        "seed \(seed)"
      )
    }
    #expect(missing.values.allSatisfy { $0 <= sketch.error }, "seed \(seed)")
    #expect(String(decoding: sketch.top(1)[0].key, as: UTF8.self) == "k0")
  }

  private func pow4(_ number: Double) -> Double { number * number * number * number }

  @Test func longNamesAreCut() {
    var sketch = HeavyHitters()
    let long = [UInt8](repeating: 0x61, count: 1 << 16)[...]
    sketch.add(Fingerprint(low: 1, high: 1), tenant: long, key: long)
    #expect(sketch.top(1)[0].key.count == Tally.nameBytesMax)
    #expect(sketch.top(1)[0].tenant.count == Tally.nameBytesMax)
  }
}

@Suite struct TimelineTests {
  private let second: UInt64 = 1_000_000_000

  @Test func everyWidthDividesTheNext() {
    for (width, wider) in zip(Timeline.widths, Timeline.widths.dropFirst()) {
      #expect(wider % width == 0 && wider > width)
    }
    // The last width spans every time that replay reads.
    #expect(Timeline.widths.last! > (1 << 62) / UInt64(Timeline.binsMax - 1))
  }

  @Test func binsWidenAndLoseNothing() {
    let seed: UInt64 = 13
    var generator = SeededGenerator(seed: seed)
    var timeline = Timeline(binsMax: 64)
    var time: UInt64 = 1_772_442_000 * second
    var times: [UInt64] = []
    for _ in 0..<5000 {
      time += UInt64.random(in: 0..<30 * second, using: &generator)
      times.append(time)
      timeline.count(times.count % 3 == 0 ? .deny : .allow, at: time)
      #expect(timeline.bins.count <= 64)
    }
    #expect(timeline.bins.reduce(0) { $0 + $1.admitted } == 5000 - 5000 / 3)
    #expect(timeline.bins.reduce(0) { $0 + $1.denied } == 5000 / 3)
    for (place, bin) in timeline.bins.enumerated() {
      let start = (timeline.firstBin + UInt64(place)) * timeline.width
      let expected = times.count { (start..<start + timeline.width).contains($0) }
      #expect(bin.admitted + bin.denied == expected, "seed \(seed)")
    }
    #expect(timeline.first == times.first)
    #expect(timeline.last == times.last)
  }

  @Test func aTraceFrom1970To2116Fits() {
    var timeline = Timeline()
    timeline.count(.never, at: 0)
    timeline.count(.allow, at: Instant.max.nanoseconds)
    #expect(timeline.bins.count <= Timeline.binsMax)
    #expect(timeline.bins.first?.never == 1)
    #expect(timeline.bins.last?.admitted == 1)
    #expect(Chart(timeline, width: 80).lines(for: Terminal()).allSatisfy { $0.count <= 80 })
  }
}

@Suite struct TallyTests {
  @Test func tenantsBeyondTheCapAreAddedUp() {
    let policies = policySet(tokenBucket(1, per: .second, burst: 1))
    let engine = Engine()
    var tally = Tally(policies, tenantsMax: 2)
    for name in ["a", "b", "c", "d", "a", "c"] {
      let tenant = policies.tenant(named: name)
      let key = Fingerprint(low: 0, high: 0)
      let policy = policies.policy(named: "p")!
      let decision = engine.check(
        Query(tenant: tenant, policy: policy, key: key),
        under: policies,
        at: Instant(nanoseconds: 0)
      )
      var row = TraceRow()
      row.setText(tenant: Array(name.utf8)[...], policy: [], key: [])
      tally.count(decision, of: row, tenant: tenant, key: key, policy: policy)
    }
    #expect(tally.tenants.map { String(decoding: $0.name, as: UTF8.self) } == ["a", "b"])
    #expect(tally.tenants.map(\.counts.rows) == [2, 1])
    #expect(tally.others.rows == 3)
    #expect(tally.others.admitted == 2)
    #expect(tally.others.denied == 1)
    #expect(tally.totals.rows == 6)
  }

  @Test func costsAddUpBeyond64Bits() {
    let policies = policySet(tokenBucket(1, per: .second, burst: 1))
    var counts = OutcomeCounts()
    let decision = Engine().check(
      Query(
        tenant: policies.tenant(named: "a"),
        policy: policies.policy(named: "p")!,
        key: Fingerprint(low: 0, high: 0),
        cost: CSVTrace.costMax
      ),
      under: policies,
      at: Instant(nanoseconds: 0)
    )
    for _ in 0..<4 { counts.count(decision, cost: CSVTrace.costMax, isUnlimited: false) }
    #expect(counts.never == 4)
    #expect(counts.refusedCost == UInt128(1) << 65)
  }
}
