// Many buckets put back, in the order of the table that they come from and in others.

import TestSupport
import Testing

@testable import LimitEngine

@Suite struct RestoreTests {
  private static let limits = [(Scope.key, tokenBucket(every: second, burst: 1_000))]
  private static let keys = 3_200
  private static let now = Instant(nanoseconds: 10 * second)

  /// 4,096 slots, or others.
  private func survivor(keySlots: Int = 4_096) -> Survivor {
    var configuration = Engine.Configuration.tiny
    configuration.keySlots = keySlots
    return Survivor(Self.limits, configuration, at: 10 * second)
  }

  /// 3,200 keys, each of which has used what its number says, and their records.
  private func filled() -> (Survivor, [BucketRecord]) {
    let survivor = survivor()
    for number in 0..<Self.keys {
      let query = survivor.fixture.query("user-\(number)", cost: UInt64(1 + number % 999))
      _ = survivor.check(query, at: 10 * second)
    }
    var records: [BucketRecord] = []
    let groups = 0..<survivor.fixture.engine.groupCount(.key)
    survivor.fixture.engine.forEachBucket(.key, inGroups: groups, at: Self.now) {
      records.append($0)
    }
    return (survivor, records)
  }

  private func count(
    _ records: [BucketRecord], into engine: Engine
  ) -> [Engine.Restoration: Int] {
    var cursor = Engine.RestoreCursor()
    var counts: [Engine.Restoration: Int] = [:]
    for record in records {
      counts[engine.restore(record, at: Self.now, &cursor), default: 0] += 1
    }
    return counts
  }

  @Test(
    "Whatever the order and the size, every bucket comes back once with what was used",
    arguments: [4_096, 4_100, 15_000], [false, true])
  func everyBucket(keySlots: Int, isShuffled: Bool) {
    var (_, records) = filled()
    var random = SeededGenerator(seed: testSeed)
    if isShuffled { records.shuffle(using: &random) }
    let next = survivor(keySlots: keySlots)
    let engine = next.fixture.engine
    #expect(count(records, into: engine) == [.restored: Self.keys], "seed \(testSeed)")
    #expect(engine.invariantViolation(at: Self.now) == nil)
    for number in 0..<Self.keys {
      let left = next.check(next.fixture.query("user-\(number)", cost: 0), at: 10 * second)
        .remaining
      guard left == UInt64(999 - number % 999) else {
        Issue.record("user-\(number) has \(left) left; seed \(testSeed)")
        return
      }
    }
    // In any other order they are all there already, in the one home or the other.
    records.shuffle(using: &random)
    #expect(count(records, into: engine) == [.exists: Self.keys], "seed \(testSeed)")
    #expect(engine.invariantViolation(at: Self.now) == nil)
  }

  @Test(
    "A walk in any pieces meets each of few buckets once, wherever they lie",
    arguments: [64, 4_096, 4_100, 15_000])
  func walked(keySlots: Int) {
    var random = SeededGenerator(seed: testSeed)
    let survivor = survivor(keySlots: keySlots)
    let engine = survivor.fixture.engine
    let groups = engine.groupCount(.key)
    for number in 0..<40 {
      var tags: [UInt64] = []
      var start = 0
      while start < groups {
        let end = Int.random(in: start + 1...groups, using: &random)
        engine.forEachBucket(.key, inGroups: start..<end, at: Self.now) { tags.append($0.tag) }
        start = end
      }
      #expect(tags.count == number && Set(tags).count == number, "seed \(testSeed)")
      _ = survivor.check(survivor.fixture.query("user-\(number)"), at: 10 * second)
    }
  }

  @Test("In the order of a table of the same size, nearly all buckets stand where they stood")
  func inOrder() {
    let (survivor, records) = filled()
    let next = self.survivor()
    _ = count(records, into: next.fixture.engine)
    func groups(_ survivor: Survivor) -> [UInt64?] {
      let table = survivor.fixture.engine.table(Scope.key.rawValue).pointee
      return records.map { record in
        table.find(BucketID(tag: record.tag)).map { table.bucket(of: $0.slot) }
      }
    }
    let same = zip(groups(survivor), groups(next)).count { $0 == $1 }
    // Not those that stand in neither home, and few whose homes lie close together.
    #expect(same > Self.keys * 93 / 100)
  }
}
