// Whose turn it is: the order, not the time.

import TestSupport
import Testing

@testable import LimitServer

@Suite struct TurnQueueTests {
  private func turns(_ queue: inout TurnQueue, _ count: Int) -> [Int] {
    (0..<count).compactMap { _ in queue.next() }
  }

  @Test("A user with a thousand busy connections delays another by one turn")
  func users() {
    var queue = TurnQueue()
    for place in 0..<1000 {
      queue.join(place, of: 7)
      queue.add(place)
    }
    queue.join(1000, of: 8)
    #expect(turns(&queue, 3) == [0, 1, 2])
    queue.add(1000)
    #expect(turns(&queue, 2).contains(1000))
    // Busy again after each turn, the two users alternate.
    var ofEight = 0
    for _ in 0..<100 {
      guard let place = queue.next() else { break }
      ofEight += place == 1000 ? 1 : 0
      queue.add(place)
      queue.add(1000)
    }
    #expect(49...51 ~= ofEight)
  }

  @Test("The connections of one user take turns")
  func connections() {
    var queue = TurnQueue()
    for place in 0..<3 {
      queue.join(place, of: 7)
      queue.add(place)
    }
    var order: [Int] = []
    for _ in 0..<9 {
      let place = queue.next()!
      order.append(place)
      queue.add(place)
    }
    #expect(order == [0, 1, 2, 0, 1, 2, 0, 1, 2])
  }

  @Test("Chance: as a model of lists has it, joins and departures included")
  func model() {
    var random = SeededGenerator(seed: testSeed)
    var queue = TurnQueue()
    var userOf: [Int: UInt32] = [:]
    var ring: [(user: UInt32, places: [Int])] = []
    for _ in 0..<200_000 {
      let place = Int.random(in: 0..<20, using: &random)
      switch Int.random(in: 0..<8, using: &random) {
      case 0 where userOf[place] == nil:
        let user = UInt32.random(in: 0..<5, using: &random)
        userOf[place] = user
        queue.join(place, of: user)
      case 1 where userOf[place] != nil:
        userOf[place] = nil
        queue.leave(place)
        for entry in ring.indices { ring[entry].places.removeAll { $0 == place } }
        ring.removeAll { $0.places.isEmpty }
      case 2...4:
        guard let user = userOf[place], !ring.contains(where: { $0.places.contains(place) }) else {
          continue
        }
        queue.add(place)
        if let entry = ring.firstIndex(where: { $0.user == user }) {
          ring[entry].places.append(place)
        } else {
          ring.append((user, [place]))
        }
      default:
        var expected: Int?
        if !ring.isEmpty {
          var first = ring.removeFirst()
          expected = first.places.removeFirst()
          if !first.places.isEmpty { ring.append(first) }
        }
        let next = queue.next()
        guard next == expected else {
          Issue.record("seed \(testSeed): \(next as Any), not \(expected as Any)")
          return
        }
      }
      #expect(queue.isEmpty == ring.isEmpty)
      #expect(queue.userCount == Set(userOf.values).count)
      #expect(queue.count == ring.reduce(0) { $0 + $1.places.count })
    }
  }
}
