// The bucket table: a fixed number of slots, found by a keyed hash, shared by every thread without
// locks. This file finds; +Insert takes slots, +Sweep frees them, +Charge swaps state words.
//
// A bucket may stand in sixteen places: its first home, its second home where that is emptier and the
// first is nearly full, and, once both homes have been full, fourteen more. A home that turned a bucket
// away is marked for good, and only where both homes are marked are the other fourteen looked at. At
// 80 % load 18 % live in their second home and 2.5 % outside.

import CIntrinsics
import Synchronization

/// Where a bucket is to be found: made from a fingerprint and a limit's seed.
///
/// The tag is all there is, and slots keep it: where a bucket may stand follows from what is stored
/// of it, so that a table can be copied into one of another size. Two buckets are confused only
/// where 63 bits of a keyed hash agree: among ten million live ones once in 185,000 tables
/// (docs/decisions/0020-one-region.md).
struct BucketID: Equatable {
  /// 63 bits that tell buckets apart; never 0.
  let tag: UInt64
  /// What chooses the candidate places: the tag's bits, from the top. Without the lowest, so that it
  /// need not wait for 0 to be told from 1.
  let position: UInt64

  @inline(__always) init(_ fingerprint: Fingerprint, seed: Fingerprint) {
    let bits = fingerprint.low ^ seed.low
    position = bits << 1 & ~2
    let tag = bits & ~Slot.mark
    self.tag = tag == 0 ? 1 : tag
  }

  /// - Precondition: a tag that was stored: not 0, without the mark.
  init(tag: UInt64) {
    self.tag = tag
    position = tag << 1 & ~2
  }
}

/// How a table counts what lives in it.
struct TableCounters {
  let shards: Shards
  let scope: Scope
  /// Who may have how much of it; not for the table of global buckets.
  let shares: Shares?
  /// Counts live buckets per tenant; not for the table of global buckets.
  let directory: TenantDirectory?
  /// Where the next piecemeal sweep begins: counts buckets, wraps. Written by sweepers; publishes
  /// nothing.
  let hand: UnsafeMutablePointer<Word>
  /// Before which instant, in ns, no decision sweeps for itself (`sweepForRoom`). Written by those
  /// who did; publishes nothing.
  let rest: UnsafeMutablePointer<Word>
  /// The region's horizon (`RegionHeader`): read by sweeps, to know when they are over.
  let horizon: UnsafeMutablePointer<Word>
  /// Which words are left to be converted.
  let change: RulesChange
}

/// A view of a table's memory; copied freely, valid as long as the region behind it.
struct BucketTable: @unchecked Sendable {
  static let homes = 2
  static let candidates = 16

  let words: UnsafeMutablePointer<Word>
  let bucketCount: UInt64
  /// What only taking and freeing slots needs, kept apart so that finding one loads two words.
  let counters: UnsafePointer<TableCounters>

  init(
    words: UnsafeMutablePointer<Word>, bucketCount: Int, counters: UnsafePointer<TableCounters>
  ) {
    self.words = words
    self.bucketCount = UInt64(bucketCount)
    self.counters = counters
  }

  var shards: Shards { counters.pointee.shards }
  var shares: Shares? { counters.pointee.shares }
  var directory: TenantDirectory? { counters.pointee.directory }

  var slotCount: Int { Int(bucketCount) * Slot.perBucket }

  @inline(__always) func slot(_ lane: Int, inBucket bucket: UInt64) -> Slot {
    // A bucket's number is far below 2^63.
    Slot(base: words + (Int(truncatingIfNeeded: bucket) &* Slot.wordsPerBucket &+ lane))
  }

  /// Calls `body` with each of these buckets of which a slot is not empty when it is looked at; what is
  /// claimed later may be missed. Most of a table that is not full is passed over: four empty slots at
  /// once, and whole shards in which nothing was ever claimed.
  @inline(__always) func forEachUsedBucket(in buckets: Range<UInt64>, _ body: (UInt64) -> Void) {
    var rest = buckets
    while !rest.isEmpty {
      let (shard, isUsed) = shards.shard(with: rest.lowerBound)
      let part = rest.clamped(to: shard)
      rest = part.upperBound..<rest.upperBound
      guard isUsed else { continue }
      for bucket in part where !isEmpty(bucket) { body(bucket) }
    }
  }

  @inline(__always) private func isEmpty(_ bucket: UInt64) -> Bool {
    var words: UInt64 = 0
    for lane in 0..<Slot.perBucket {
      words |= slot(lane, inBucket: bucket).loadCurrent().rawValue
    }
    return words == StateWord.empty.rawValue
  }

  /// The bucket of candidate `number`, 0 ..< `candidates`; the first two are the homes.
  ///
  /// The high product maps a position evenly to a bucket, whatever their number (Lemire, "Fast
  /// random integer generation in an interval"). Multiplying by an odd constant, and turning by a
  /// different count for each candidate, makes positions of which none follows from two others.
  @inline(__always) func bucket(of id: BucketID, candidate number: Int) -> UInt64 {
    let golden: UInt64 = 0x9e37_79b9_7f4a_7c15
    var position = id.position
    if number > 0 {
      let turn = UInt64(truncatingIfNeeded: 4 &* (number &- 1))
      position = (position << turn | position >> (64 &- turn)) &* golden
    }
    return position.multipliedFullWidth(by: bucketCount).high
  }

  /// Asks the processor to fetch both homes of `id`, so that a batch waits for memory once.
  ///
  /// - Parameter withSecondLine: whether a bucket's second line will be needed, too. That of the first home
  ///   is fetched, where most stand.
  @inline(__always) func prefetch(_ id: BucketID, withSecondLine: Bool) {
    let first = slot(0, inBucket: bucket(of: id, candidate: 0))
    limitd_prefetch(first.base)
    if withSecondLine { limitd_prefetch(first.previous) }
    limitd_prefetch(slot(0, inBucket: bucket(of: id, candidate: 1)).base)
  }

  /// The home of `id` that lies at `bucket` or within 1/256 of the table after it: the one that it stood
  /// in, where buckets come in the order of a table, of this size or another.
  func home(of id: BucketID, soonAfter bucket: UInt64) -> UInt64? {
    let (first, second) = (self.bucket(of: id, candidate: 0), self.bucket(of: id, candidate: 1))
    let nearer = first &- bucket < second &- bucket ? first : second
    return nearer &- bucket < bucketCount / 256 ? nearer : nil
  }

  /// A live slot and the state word it was seen with.
  struct Found {
    let slot: Slot
    let current: StateWord
  }

  /// The live slot of `id`, if there is one. O(1), wait-free: at most sixteen buckets are read, each
  /// once.
  ///
  /// In which of a bucket's four slots it is depends on the key alone: a branch on that would be
  /// guessed wrong most times. The four tags are compared without branches, and the branch that is
  /// left, found in the first home or not, is guessed right five times in six.
  @inline(__always) func find(_ id: BucketID) -> Found? {
    let first = bucket(of: id, candidate: 0)
    let second = bucket(of: id, candidate: 1)
    limitd_prefetch(slot(0, inBucket: second).base)
    if let found = find(id, inBucket: first) { return found }
    return findOutsideFirst(id)
  }

  @inline(never) private func findOutsideFirst(_ id: BucketID) -> Found? {
    let first = bucket(of: id, candidate: 0)
    let second = bucket(of: id, candidate: 1)
    if let found = find(id, inBucket: second) { return found }
    guard isMarked(first) && isMarked(second) else { return nil }
    for number in Self.homes..<Self.candidates {
      if let found = find(id, inBucket: bucket(of: id, candidate: number)) { return found }
    }
    return nil
  }

  @inline(__always) private func find(_ id: BucketID, inBucket bucket: UInt64) -> Found? {
    let first = slot(0, inBucket: bucket)
    var hits: UInt32 = 0
    var lane: UInt32 = 0
    while lane < Slot.perBucket {
      // Acquire: pairs with `replaceTag`, so that the state that `confirm` reads is at least as new
      // as the claim that came before the tag. Relaxed, it might be the one before, read early: a
      // charge by it would fail, but a denial by another bucket's state would stand. Doubling drops
      // the mark.
      let difference =
        ((first.base + Int(truncatingIfNeeded: lane)).pointee.load(ordering: .acquiring) ^ id.tag)
        &* 2
      hits |= (difference == 0 ? 1 : 0) << lane
      lane &+= 1
    }
    while hits != 0 {
      let slot = Slot(base: first.base + hits.trailingZeroBitCount)
      if let found = confirm(id, slot) { return found }
      hits &= hits &- 1
    }
    return nil
  }

  /// The slot with its state, if it is live and carries the tag of `id` before and after the state
  /// was read.
  @inline(__always) private func confirm(_ id: BucketID, _ slot: Slot) -> Found? {
    let current = slot.loadCurrent()
    // The acquire in loadCurrent keeps this reading after that one. A tag that is the same before
    // and after may have gone and come back in between; then the state word has changed for good,
    // and no exchange that expects it can succeed (StateWord explains why).
    guard current.isLive, slot.tag.pointee.load(ordering: .relaxed) & ~Slot.mark == id.tag else {
      return nil
    }
    return Found(slot: slot, current: current)
  }

  /// Notes that a bucket has turned one away. Sequentially consistent, as below.
  func mark(_ bucket: UInt64) {
    _ = slot(0, inBucket: bucket).tag.pointee.bitwiseOr(
      Slot.mark, ordering: .sequentiallyConsistent)
  }

  /// Sequentially consistent: see `BucketTable.insert` on why a searcher that misses a mark is
  /// seen by the inserter that set it.
  @inline(__always) func isMarked(_ bucket: UInt64) -> Bool {
    slot(0, inBucket: bucket).tag.pointee.load(ordering: .sequentiallyConsistent) & Slot.mark != 0
  }
}
