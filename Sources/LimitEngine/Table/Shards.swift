// Counters of a table, split by region so that no two threads need meet in one.

import Synchronization

/// Per shard: how many buckets live there, and how often a slot was claimed.
///
/// A shard is a run of neighbouring buckets; each has a pair of cache lines to itself.
///
/// | word | legal values | written by | publishes |
/// |---|---|---|---|
/// | live | 0 ... slots of the shard, and briefly off by one per thread at work | whoever promotes or claims a slot, after it did | nothing: a statistic |
/// | claims | counts up, wraps after 2^64 | claimers, before they claim | nothing: makes the words of one claim differ from another's; 0 means that no slot of the shard ever held anything |
struct Shards: @unchecked Sendable {
  static let count = 64
  private static let wordsPerShard = 16

  private let words: UnsafeMutablePointer<Word>
  private let bucketsPerShard: UInt64

  /// - Parameter words: `wordCount` zeroed words that outlive this view.
  init(words: UnsafeMutablePointer<Word>, bucketCount: Int) {
    self.words = words
    bucketsPerShard = UInt64(max(1, (bucketCount + Self.count - 1) / Self.count))
  }

  static var wordCount: Int { count * wordsPerShard }

  private func live(_ bucket: UInt64) -> UnsafeMutablePointer<Word> {
    words + Int(bucket / bucketsPerShard) * Self.wordsPerShard
  }

  func countArrival(inBucket bucket: UInt64) {
    live(bucket).pointee.wrappingAdd(1, ordering: .relaxed)
  }

  func countDeparture(inBucket bucket: UInt64) {
    live(bucket).pointee.wrappingSubtract(1, ordering: .relaxed)
  }

  /// A number that the last 2^27 claims in this shard did not have.
  func nextNonce(inBucket bucket: UInt64) -> UInt64 {
    (live(bucket) + 1).pointee.wrappingAdd(1, ordering: .relaxed).newValue
  }

  /// The shard that the bucket is in, of which the last may end behind the table; and whether a slot of it
  /// was ever claimed.
  func shard(with bucket: UInt64) -> (buckets: Range<UInt64>, isUsed: Bool) {
    let start = bucket - bucket % bucketsPerShard
    // Relaxed: whoever claims has counted before. Who knows of that claim by another thread's word sees
    // the count, too.
    let claims = (live(bucket) + 1).pointee.load(ordering: .relaxed)
    return (start..<start + bucketsPerShard, claims > 0)
  }

  /// How many buckets live in the table. Exact when no thread is at work.
  var liveCount: Int {
    (0..<Self.count).reduce(0) { sum, shard in
      sum
        + Int(
          Int64(bitPattern: (words + shard * Self.wordsPerShard).pointee.load(ordering: .relaxed)))
    }
  }

  /// Sets all live counts to zero, to be counted anew. Not while threads decide.
  func resetCounts() {
    for shard in 0..<Self.count {
      (words + shard * Self.wordsPerShard).pointee.store(0, ordering: .relaxed)
    }
  }
}
