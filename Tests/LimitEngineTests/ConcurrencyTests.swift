// Real threads on shared buckets: totals are exact, nothing is ever over-admitted, and the threads
// did meet. Run under ThreadSanitizer as well.

import LimitSystem
import Synchronization
import TestSupport
import Testing

@testable import LimitEngine

/// One at a time, so that the threads of a test meet each other and not those of another.
@Suite(.serialized) enum RealThreads {}

extension RealThreads {
  @Suite struct ConcurrencyTests {
    /// The results of threads that each fill a list of their own.
    private final class Lists: Sendable {
      private let lists = Locked<[Int: [UInt64]]>([:])
      func set(_ list: [UInt64], of thread: Int) { lists.withLock { $0[thread] = list } }
      var all: [Int: [UInt64]] { lists.withLock { $0 } }
    }

    @Test("A hot key admits exactly its burst, and each admission sees a remainder of its own")
    func hotKeyIsExact() {
      var burst: UInt64 = 40_000 / UInt64(scale)
      var turns = 0
      // Threads that ran one after the other have shown nothing: try until they met, and with more to
      // do, since on a busy machine one may be done before the next has a processor.
      for attempt in 0..<40 where turns < 50 {
        if attempt > 0, burst < 2_000_000 { burst *= 2 }
        let burst = burst
        let fixture = Fixture([(.key, tokenBucket(every: second, burst: burst))])
        let query = fixture.query()
        let remainders = Lists()
        runThreads(4) { thread in
          var mine: [UInt64] = []
          for _ in 0..<burst {
            let decision = fixture.check(query, at: 5)
            if decision.outcome == .allow { mine.append(decision.remaining) }
          }
          remainders.set(mine, of: thread)
        }
        let all = remainders.all
        let ranked = all.flatMap { thread, list in list.map { ($0, thread) } }.sorted {
          $0.0 > $1.0
        }
        #expect(ranked.map(\.0) == (0..<burst).reversed().map { $0 })
        for list in all.values { #expect(list == list.sorted(by: >)) }
        // In the order of admission, how often the turn went from one thread to another.
        turns = max(turns, zip(ranked, ranked.dropFirst()).count { $0.1 != $1.1 })
      }
      #expect(turns >= 50, "the threads never contended")
    }

    @Test("Twenty-five concurrent calls on a limit of n admit n") func limitOfNAdmitsN() {
      for limit in [1, 2, 7, 24] as [UInt64] {
        for settings in [
          tokenBucket(every: day, burst: limit), slidingWindow(limit: limit, window: day),
        ] {
          let fixture = Fixture([(.tenant, settings)])
          let admitted = Atomic(0)
          runThreads(25) { _ in
            if fixture.check(fixture.query(), at: second).outcome == .allow {
              admitted.add(1, ordering: .relaxed)
            }
          }
          #expect(admitted.load(ordering: .relaxed) == Int(limit))
        }
      }
    }

    @Test("Windows that roll on under four threads admit in each what the model allows")
    func rollingWindowsAreExact() {
      let window = 2 * second
      let fixture = Fixture([(.tenant, slidingWindow(limit: 60, window: window))])
      let query = fixture.query()
      var model = SlidingWindowModel(limit: 60, window: window)
      var random = SeededGenerator(seed: testSeed)
      var now = 100 * second
      for round in 0..<(3_000 / scale) {
        // Mostly into the next window, where all threads roll at once; at times the same or beyond.
        now += random.next() % (random.chance(1, in: 4) ? 3 * window : window)
        let expected = model.look(cost: 1, now: now).remaining
        let admitted = Atomic(0)
        let time = now
        runThreads(4) { _ in
          for _ in 0..<30 where fixture.check(query, at: time).outcome == .allow {
            admitted.add(1, ordering: .relaxed)
          }
        }
        let total = UInt64(admitted.load(ordering: .relaxed))
        #expect(total == min(expected, 120), "seed \(testSeed), round \(round)")
        guard total == min(expected, 120) else { return }
        model.charge(cost: total, now: now)
      }
    }

    @Test("Buckets that come, die and are replaced under four threads are never doubled")
    func reusedSlotsAreExact() {
      // 64 slots, 16 keys a round out of very many: every round takes slots that others have left.
      let fixture = Fixture(
        [(.key, tokenBucket(every: 1_000, burst: 3))], keySlots: 64, keysPerTenant: .max)
      var random = SeededGenerator(seed: testSeed)
      var now = second
      for round in 0..<(4_000 / scale) {
        let keys = (0..<16).map { _ in "key-\(random.next() % 5_000)" }
        let queries = Set(keys).map { fixture.query($0) }
        let counts = Counts(queries.count)
        let time = now
        let seed = random.next()
        runThreads(4) { thread in
          var random = SeededGenerator(seed: seed &+ UInt64(thread))
          for place in queries.indices.shuffled(using: &random) {
            for _ in 0..<2 where fixture.check(queries[place], at: time).outcome == .allow {
              counts.add(at: place)
            }
          }
        }
        let all = counts.all
        #expect(all.allSatisfy { $0 == 3 }, "seed \(testSeed), round \(round): \(all)")
        guard all.allSatisfy({ $0 == 3 }) else { return }
        now += 3_000 + random.next() % 2_000
      }
      #expect(fixture.engine.invariantViolation(at: Instant(nanoseconds: now)) == nil)
    }

    @Test(
      "With clocks out of step, sweeps and refunds, no bucket is doubled and every count is true")
    func tablesStaySound() {
      let fixture = Fixture(
        [
          (.key, tokenBucket(every: 500, burst: 2)),
          (.key, slidingWindow(limit: 9, window: second)), (.key, concurrency(limit: 3)),
          (.tenant, tokenBucket(every: 50, burst: 40)),
        ], keySlots: 32, keysPerTenant: 20)
      let clock = Atomic<UInt64>(second)
      runThreads(4) { thread in
        var random = SeededGenerator(seed: testSeed &+ UInt64(thread))
        for _ in 0..<(200_000 / scale) {
          let step = random.chance(1, in: 40) ? 400_000_000 : random.next() % 600
          let read = clock.add(step, ordering: .relaxed).newValue
          // A reading that the thread sat on for a while.
          let now = Instant(nanoseconds: read - min(read, random.next() % 3_000))
          let query = fixture.query(
            "key-\(random.next() % 60)", tenant: "tenant-\(random.next() % 3)",
            policy: Int(random.next() % 5), cost: random.next() % 3)
          switch random.next() % 16 {
          case 0: fixture.engine.sweep(at: now)
          case 1, 2:
            let decision = fixture.engine.markedCheck(query, under: fixture.policies, at: now)
            _ = fixture.engine.settle(
              query, decision.receipt, actual: random.next() % 4, under: fixture.policies,
              at: Instant(nanoseconds: clock.load(ordering: .relaxed)))
          case 3, 4:
            var acquisition = fixture.engine.acquire(query, under: fixture.policies, at: now)
            if let permit = acquisition.takePermit() { fixture.engine.release(permit) }
          default: _ = fixture.engine.check(query, under: fixture.policies, at: now)
          }
        }
      }
      let end = Instant(nanoseconds: clock.load(ordering: .relaxed) + 10 * day)
      #expect(fixture.engine.invariantViolation(at: end) == nil, "seed \(testSeed)")
      fixture.engine.sweep(at: end)
      #expect(fixture.engine.occupancy(.key).live == 0)
      for tenant in 0..<3 {
        let known = fixture.policies.tenant(named: "tenant-\(tenant)")
        #expect(fixture.engine.liveKeys(of: known) == 0)
      }
    }

    @Test(
      "A policy of several limits admits no more than its tightest, and gives all back on a denial")
    func mixedPoliciesAreExact() {
      var random = SeededGenerator(seed: testSeed)
      for round in 0..<(300 / scale) {
        let tight = 5 + random.next() % 40
        let fixture = Fixture([
          (.key, concurrency(limit: 1 << 20)), (.tenant, slidingWindow(limit: tight, window: day)),
          (.global, slidingWindow(limit: tight + random.next() % 3, window: day)),
          (.key, tokenBucket(every: day, burst: 1_000)),
        ])
        let query = fixture.query()
        let admitted = Atomic(0)
        runThreads(4) { _ in
          for _ in 0..<tight where fixture.check(query, at: second).outcome == .allow {
            admitted.add(1, ordering: .relaxed)
          }
        }
        let total = UInt64(admitted.load(ordering: .relaxed))
        #expect(total <= tight, "seed \(testSeed), round \(round)")
        // Whatever races gave back is there: alone, the rest is admitted to the last unit.
        var rest: UInt64 = 0
        while fixture.check(query, at: second).outcome == .allow { rest += 1 }
        #expect(total + rest == tight, "seed \(testSeed), round \(round)")
        let spent = fixture.engine.peek(
          fixture.query(policy: 4, cost: 0), under: fixture.policies,
          at: Instant(nanoseconds: second))
        #expect(spent.remaining == 1_000 - tight, "seed \(testSeed), round \(round)")
      }
    }

    @Test("Permits in use never exceed the limit, and all come back") func permitsAreExact() {
      let fixture = Fixture([
        (.tenant, concurrency(limit: 3)), (.key, tokenBucket(every: 1, burst: 1 << 30)),
      ])
      let query = fixture.query()
      let inUse = Atomic(0)
      let most = Atomic(0)
      runThreads(4) { _ in
        for _ in 0..<(50_000 / scale) {
          var acquisition = fixture.engine.acquire(
            query, under: fixture.policies, at: Instant(nanoseconds: second))
          guard let permit = acquisition.takePermit() else { continue }
          most.max(inUse.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
          inUse.subtract(1, ordering: .relaxed)
          fixture.engine.release(permit)
        }
      }
      #expect((1...3).contains(most.load(ordering: .relaxed)))
      #expect(fixture.check(fixture.query(policy: 1), at: second).remaining == 3)
    }
  }
}

/// A count per place, for several threads.
private final class Counts: @unchecked Sendable {
  private let counts: UnsafeMutableBufferPointer<Atomic<Int>>

  init(_ places: Int) {
    counts = .allocate(capacity: places)
    for place in 0..<places { (counts.baseAddress! + place).initialize(to: Atomic(0)) }
  }

  deinit { counts.deallocate() }

  func add(at place: Int) { counts[place].add(1, ordering: .relaxed) }

  var all: [Int] { counts.indices.map { counts[$0].load(ordering: .relaxed) } }
}
