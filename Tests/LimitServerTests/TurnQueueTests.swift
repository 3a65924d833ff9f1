// Whose turn it is: the order, not the time.

import TestSupport
import Testing

@testable import LimitServer

@Suite struct TurnQueueTests {
  /// User 7 with connections from place 0 on that all have something to do.
  private func busyQueue(_ count: Int) -> TurnQueue {
    var queue = TurnQueue()
    for place in 0..<count {
      queue.join(place, of: 7)
      queue.add(place)
    }
    return queue
  }

  private func turns(_ queue: inout TurnQueue, _ count: Int) -> [Int] {
    (0..<count).compactMap { _ in queue.next() }
  }

  @Test("A user with a thousand busy connections delays another by one turn")
  func users() {
    var queue = busyQueue(1000)
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

  @Test("Who asks now and then is next, whoever has always something to do")
  func occasional() {
    var queue = busyQueue(10)
    queue.join(10, of: 8)
    for _ in 0..<100 {
      // One turn of the other's, under way when he comes.
      if let place = queue.next() { queue.add(place) }
      queue.add(10)
      let hasOthers = queue.hasOthers(than: 7)
      #expect(hasOthers)
      #expect(queue.next() == 10)
      let has = (queue.hasOthers(than: 7), queue.hasOthers(than: 8))
      #expect(has == (false, true))
    }
  }

  @Test("However many come anew, or back again, nobody who waits is passed twice by one")
  func nobodyStarves() {
    var random = SeededGenerator(seed: testSeed)
    for _ in 0..<500 {
      var queue = TurnQueue()
      let users = Int.random(in: 2...8, using: &random)
      queue.join(0, of: 0)
      for user in 1..<users { queue.join(user, of: UInt32(user)) }
      var turnsSince = [Int](repeating: 0, count: users)
      queue.add(0)
      for _ in 0..<200 {
        let user = Int.random(in: 1..<users, using: &random)
        if random.chance(1, in: 8), turnsSince[user] == 1 {
          // He leaves, and comes back as if nothing had been.
          queue.leave(user)
          queue.join(user, of: UInt32(user))
        }
        queue.add(user)
        guard random.chance(1, in: 2), let place = queue.next() else { continue }
        if place == 0 {
          turnsSince = [Int](repeating: 0, count: users)
          queue.add(0)
        } else {
          turnsSince[place] += 1
          #expect(turnsSince[place] <= 1, "seed \(testSeed)")
        }
      }
    }
  }

  @Test("The connections of one user take turns")
  func connections() {
    var queue = busyQueue(3)
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
    // When each user had his last turn, or came with his first connection.
    var lastTurn: [UInt32: Int] = [:]
    var turnCount = 0
    for _ in 0..<200_000 {
      let place = Int.random(in: 0..<20, using: &random)
      switch Int.random(in: 0..<8, using: &random) {
      case 0 where userOf[place] == nil:
        let user = UInt32.random(in: 0..<5, using: &random)
        if !userOf.values.contains(user) { lastTurn[user] = turnCount }
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
        } else if let first = ring.first, lastTurn[user]! < lastTurn[first.user]! {
          ring.insert((user, [place]), at: 0)
        } else {
          ring.append((user, [place]))
        }
      default:
        var expected: Int?
        if !ring.isEmpty {
          var first = ring.removeFirst()
          turnCount += 1
          lastTurn[first.user] = turnCount
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
