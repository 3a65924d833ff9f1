// Putting a snapshot's buckets into an engine, by as many threads as serve: most of the time goes into
// waiting for memory.
//
//     BlockSource ─▶ a block, whole ─▶ records ─▶ Engine.restore        each thread, until none is left

import LimitEngine
import LimitSystem

/// What came of putting a snapshot's buckets into an engine.
package struct SnapshotRestore: Sendable {
  package private(set) var restored = 0
  /// As if never used by now.
  package private(set) var dead = 0
  /// No room, or there already.
  package private(set) var dropped = 0
  /// Words that no bucket can have.
  package private(set) var damaged = 0
  /// From the snapshot until now, in ns.
  package let elapsed: UInt64

  /// How many records before its turn comes memory is asked for a record's places.
  private static let ahead = 16

  private init(elapsed: UInt64) { self.elapsed = elapsed }

  private var count: Int { restored + dead + dropped + damaged }

  /// Restores every bucket. O(buckets). Only before anybody decides.
  ///
  /// - Parameters:
  ///   - bucketsPerTelling: how many are restored from one call of `progress` to the next, at least.
  ///   - progress: called on this thread, with how many are done, and of how many.
  /// - Throws: where the file, which was whole a moment ago, is not so any more. The engine has some
  ///   of the buckets then, and is of no use.
  init(
    _ snapshot: FoundSnapshot, _ dating: SnapshotDating, into engine: Engine, at now: Instant,
    tellingEvery bucketsPerTelling: Int, _ progress: (Int, Int) -> Void
  ) throws(SnapshotError) {
    self.init(elapsed: dating.elapsed)
    let reader = try SnapshotReader(snapshot.path)
    guard reader.info == snapshot.info else { throw .damaged(offset: 0) }
    let total = snapshot.contents.bucketCount
    let source = BlockSource(reader)
    let sum = Locked(SnapshotRestore(elapsed: dating.elapsed))
    withoutActuallyEscaping(progress) { progress in
      let teller = Teller(progress)
      Thread.concurrently(TableMemory.threadsMax, named: "limitd-restore") { number in
        var told = 0
        while let records = source.next() {
          var part = SnapshotRestore(elapsed: 0)
          part.restore(records, dating, into: engine, at: now)
          let done = sum.withLock { sum in
            sum.add(part)
            return sum.count
          }
          guard number == 0, done - told >= bucketsPerTelling else { continue }
          told = done
          teller.tell(done, total)
        }
      }
    }
    if let error = source.error { throw error }
    add(sum.withLock { $0 })
    guard count == total else { throw .damaged(offset: 0) }
    if total >= bucketsPerTelling { progress(total, total) }
  }

  private mutating func add(_ other: SnapshotRestore) {
    restored += other.restored
    dead += other.dead
    dropped += other.dropped
    damaged += other.damaged
  }

  private mutating func restore(
    _ records: [BucketRecord], _ dating: SnapshotDating, into engine: Engine, at now: Instant
  ) {
    var cursor = Engine.RestoreCursor()
    for (place, record) in records.enumerated() {
      if place + Self.ahead < records.count { engine.prefetch(records[place + Self.ahead]) }
      if dating.isOver(record) {
        dead += 1
        continue
      }
      switch engine.restore(record, at: now, &cursor) {
      case .restored: restored += 1
      case .dead: dead += 1
      case .noRoom, .exists: dropped += 1
      case .damaged: damaged += 1
      }
    }
  }
}

/// Hands a snapshot's blocks to threads, each to one of them.
private final class BlockSource: @unchecked Sendable {
  /// Only under the lock, all three.
  private var reader: SnapshotReader
  private var isOver = false
  private var failure: SnapshotError?
  private let lock = Locked(())

  init(_ reader: consuming SnapshotReader) { self.reader = reader }

  /// Why not all blocks were handed out.
  var error: SnapshotError? { lock.withLock { _ in failure } }

  /// The records of the next block of buckets; `nil` where there are no more, or none can be read.
  func next() -> [BucketRecord]? {
    while let (block, words) = nextBlock() {
      guard block.kind == .buckets else { continue }
      var records: [BucketRecord] = []
      records.reserveCapacity(block.records)
      _ = SnapshotFormat.forEachRecord(words, block) { records.append($0) }
      return records
    }
    return nil
  }

  private func nextBlock() -> (block: SnapshotFormat.Block, words: [UInt64])? {
    lock.withLock { _ in
      guard !isOver else { return nil }
      do throws(SnapshotError) {
        if let found = try reader.next() { return found }
      } catch {
        failure = error
      }
      isOver = true
      return nil
    }
  }
}

/// Carries a closure to the thread that it came from.
private struct Teller: @unchecked Sendable {
  let tell: (Int, Int) -> Void
  init(_ tell: @escaping (Int, Int) -> Void) { self.tell = tell }
}
