// Histories of one bucket, recorded from real threads: is there an order of the calls, true to
// which ended before which began, in which one thread alone would have got the same answers?
//
// Source: Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe's memory of states
// already seen.

import Glibc
import LimitSystem
import Synchronization
import TestSupport
import Testing

@testable import LimitEngine

extension RealThreads {
  @Suite struct LinearizabilityTests {
    enum Call: Hashable { case check(UInt64), peek(UInt64), settle(Int) }

    struct Event: Sendable {
      var call: Call
      var outcome: Decision.Outcome
      var remaining: UInt64
      /// When the call began and ended, on a clock that all threads count on.
      var began: Int
      var ended: Int
    }

    @Test(
      "Every history of a hot bucket is linearizable",
      arguments: ["token bucket", "sliding window"]) func historiesAreLinearizable(
        _ algorithm: String
      )
    {
      let wanted = 500 / scale
      var overlapping = 0
      var round: UInt64 = 0
      // Only histories in which calls overlapped say anything: go on until there were enough.
      while overlapping < wanted && round < 50_000 {
        let settings =
          algorithm == "token bucket"
          ? tokenBucket(every: day, burst: 6) : slidingWindow(limit: 6, window: day)
        let fixture = Fixture([(.key, settings)], keySlots: 16)
        let events = Self.record(fixture, seed: testSeed &+ round)
        if Self.haveOverlap(events) { overlapping += 1 }
        if !Self.isLinearizable(events, capacity: 6) {
          Issue.record("seed \(testSeed), round \(round): \(events)")
          return
        }
        round += 1
      }
      #expect(overlapping == wanted, "the calls hardly ever overlapped")
    }

    @Test("The checker refuses a history that no order explains") func checkerCanFail() {
      let first = Event(call: .check(4), outcome: .allow, remaining: 2, began: 0, ended: 1)
      var second = Event(call: .check(4), outcome: .allow, remaining: 2, began: 0, ended: 2)
      #expect(!Self.isLinearizable([first, second], capacity: 6))
      second.outcome = .deny
      #expect(Self.isLinearizable([first, second], capacity: 6))
      // A denial that ended before the only charge began.
      second.began = -2
      second.ended = -1
      #expect(!Self.isLinearizable([first, second], capacity: 6))
    }

    private static func record(_ fixture: Fixture, seed: UInt64) -> [Event] {
      let clock = Atomic(0)
      let all = Locked<[Event]>([])
      runThreads(3) { thread in
        var random = SeededGenerator(seed: seed &+ UInt64(thread) &* 7_919)
        var mine: [Event] = []
        var receipts: [Receipt] = []
        for _ in 0..<6 {
          let cost = 1 + random.next() % 3
          let query = fixture.query(cost: cost)
          let now = Instant(nanoseconds: second)
          let choice = random.next() % 6
          let began = clock.add(1, ordering: .sequentiallyConsistent).newValue
          // Lets another thread's call come between, also where there is one processor.
          if random.chance(1, in: 3) { sched_yield() }
          let decision: Decision
          let call: Call
          if choice == 0, let receipt = receipts.popLast() {
            let actual = random.next() % (2 * receipt.cost)
            _ = fixture.engine.settle(
              query, receipt, actual: actual, under: fixture.policies, at: now)
            decision = .withoutLimit(.allow, .limit, query, tag: 0, at: now)
            call = .settle(Int(actual) - Int(receipt.cost))
          } else if choice == 1 {
            decision = fixture.engine.peek(query, under: fixture.policies, at: now)
            call = .peek(cost)
          } else {
            decision = fixture.engine.markedCheck(query, under: fixture.policies, at: now)
            call = .check(cost)
            if decision.outcome == .allow { receipts.append(decision.receipt) }
          }
          let ended = clock.add(1, ordering: .sequentiallyConsistent).newValue
          mine.append(
            Event(
              call: call, outcome: decision.outcome, remaining: decision.remaining, began: began,
              ended: ended))
        }
        let list = mine
        all.withLock { $0 += list }
      }
      return all.withLock { $0 }
    }

    private static func haveOverlap(_ events: [Event]) -> Bool {
      let sorted = events.sorted { $0.began < $1.began }
      return zip(sorted, sorted.dropFirst()).contains { $1.began < $0.ended }
    }

    private struct State: Hashable {
      var done: UInt64
      /// Below 0 where settling booked more than there was.
      var left: Int
    }

    static func isLinearizable(_ events: [Event], capacity: Int) -> Bool {
      var seen: Set<State> = []
      func search(_ state: State) -> Bool {
        if state.done == (1 << UInt64(events.count)) - 1 { return true }
        guard seen.insert(state).inserted else { return false }
        let waiting = events.indices.filter { state.done & 1 << UInt64($0) == 0 }
        let firstEnd = waiting.map { events[$0].ended }.min()!
        for place in waiting where events[place].began < firstEnd {
          guard let left = apply(events[place], left: state.left, capacity: capacity) else {
            continue
          }
          if search(State(done: state.done | 1 << UInt64(place), left: left)) { return true }
        }
        return false
      }
      return search(State(done: 0, left: capacity))
    }

    /// What is left after the call, or `nil` if it would have answered otherwise.
    private static func apply(_ event: Event, left: Int, capacity: Int) -> Int? {
      switch event.call {
      case .check(let cost):
        let after = left - Int(cost)
        if after < 0 {
          return event.outcome == .deny && event.remaining == max(0, left) ? left : nil
        }
        return event.outcome == .allow && event.remaining == after ? after : nil
      case .peek(let cost):
        let outcome: Decision.Outcome = Int(cost) > left ? .deny : .allow
        return event.outcome == outcome && event.remaining == max(0, left) ? left : nil
      case .settle(let more): return min(capacity, left - more)
      }
    }
  }
}
