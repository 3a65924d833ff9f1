// Who is given counters for its use: whoever is seen again and again, and no stream of names.

import LimitEngine
import TestSupport
import Testing

@testable import LimitRuntime

@Suite struct BusyPairsTests {
  private func tenant(_ number: Int) -> Fingerprint {
    Fingerprint(low: UInt64(number) &* 0x9E37_79B9_7F4A_7C15, high: UInt64(number))
  }

  private func time(_ seconds: Int) -> UInt64 { UInt64(1000 + seconds) * 1_000_000_000 }

  /// Shows tenants once in each of some seconds, up to when they are due: then they are counted by themselves.
  ///
  /// - Returns: the second in which each was due.
  private func show(
    _ tenants: Range<Int>, under others: UInt16 = 1, in seconds: some Sequence<Int>,
    _ busy: inout BusyPairs
  ) -> [Int: Int] {
    var due: [Int: Int] = [:]
    for second in seconds {
      for number in tenants
      where due[number] == nil && busy.isDue(tenant(number), under: others, at: time(second)) {
        due[number] = second
      }
    }
    return due
  }

  @Test("Names that are used once, or a few times in a moment, are never due, however many")
  func once() {
    var busy = BusyPairs(at: time(0))
    for second in 0..<100 {
      let due = show(second * 3000..<second * 3000 + 5000, in: [second], &busy)
      #expect(due.isEmpty, "second \(second)")
    }
    for _ in 0..<100 {
      let due = show(0..<10, in: 200..<203, &busy)
      #expect(due.isEmpty)
    }
  }

  @Test("A tenant is due once it was seen in four of the last 64 seconds, and then is not again")
  func seconds() {
    for (step, expected) in [(1, 3), (20, 60), (21, 63)] {
      var busy = BusyPairs(at: time(0))
      let due = show(0..<1, in: stride(from: 0, through: 3 * step, by: step), &busy)
      #expect(due == [0: expected], "each \(step) s")
      let again = show(0..<1, in: [3 * step, 3 * step + 1, 3 * step + 2], &busy)
      #expect(again.isEmpty, "each \(step) s")
    }
    for step in [22, 64, 1000] {
      var busy = BusyPairs(at: time(0))
      let due = show(0..<1, in: stride(from: 0, through: 300 * step, by: step), &busy)
      #expect(due.isEmpty, "each \(step) s")
    }
    var busy = BusyPairs(at: time(0))
    // A clock that is read in another order does no harm.
    let due = show(0..<1, in: [100, 3, 99, 101, 102, 103], &busy)
    #expect(due == [0: 103])
  }

  @Test("Sixteen are due at once, then one a second")
  func pace() {
    var busy = BusyPairs(at: time(0))
    let due = show(0..<200, in: 0..<54, &busy)
    let bySecond = Dictionary(grouping: due.values, by: { $0 }).mapValues(\.count)
    #expect(bySecond[3] == 16)
    #expect((4..<54).allSatisfy { bySecond[$0] == 1 } && due.count == 66)
  }

  /// Gives places to tenants that are seen all the time until `count` are given.
  private func fill(_ count: Int, under others: UInt16, _ busy: inout BusyPairs) -> Int {
    var (given, second) = (0, 0)
    while given < count {
      // Each of them for as long as it takes, at most.
      given += show(given..<given + 1, under: others, in: second..<second + 64, &busy).count
      second += 64
    }
    return second
  }

  @Test("The more places are given, the longer it takes")
  func bar() {
    for places in [0, 32, 480] {
      var busy = BusyPairs(at: time(0))
      let start = fill(places, under: 1, &busy) + 100
      let due = show(5000..<5001, under: 2, in: start..<start + 64, &busy)
      #expect(due[5000] == start + 3 + places / 32, "after \(places)")
    }
  }

  @Test("A policy has no more places than it leaves to all others")
  func shares() {
    var busy = BusyPairs(at: time(0))
    var start = 0
    for (others, share) in [(1, 512), (2, 256), (3, 128), (1, 0)] as [(UInt16, Int)] {
      let due = show(0..<1000, under: others, in: start..<start + 700, &busy)
      #expect(due.count == share, "policy \(others)")
      start += 700
    }
  }

  @Test("Of many tenants those that are used much are found first, in seconds")
  func busiest() {
    var random = SeededGenerator(seed: testSeed)
    var busy = BusyPairs(at: time(0))
    var due: [Int: Int] = [:]
    // Twenty have three of a hundred queries each; 20,000 share the rest.
    for second in 0..<14 {
      for _ in 0..<2000 {
        let number =
          random.chance(6, in: 10)
          ? Int.random(in: 0..<20, using: &random) : Int.random(in: 20..<20_020, using: &random)
        guard due[number] == nil else { continue }
        if busy.isDue(tenant(number), under: 1, at: time(second)) { due[number] = second }
      }
    }
    #expect((0..<20).allSatisfy { due[$0] != nil }, "seed \(testSeed): \(due)")
  }
}
