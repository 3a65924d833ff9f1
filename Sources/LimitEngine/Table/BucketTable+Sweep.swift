// Freeing slots whose bucket is dead, so that counts of live buckets are true and inserts find
// empty slots. Nothing depends on it for correctness: inserts take dead slots themselves.

import Synchronization

extension BucketTable {
  /// Frees the dead slots of the whole table. O(slots); any thread, at any time, also several.
  ///
  /// - Returns: how many slots were freed.
  func sweep(at now: Instant) -> Int {
    (0..<bucketCount).reduce(0) { $0 + sweep(bucket: $1, at: now) }
  }

  /// Frees dead slots of the next few buckets, from where the last such call left off, until one
  /// was freed: what a tenant that has come to its cap may wait for.
  func sweepSome(at now: Instant) {
    for _ in 0..<min(32, bucketCount) {
      // Relaxed: where to look next, no more.
      let turn = counters.pointee.hand.pointee.wrappingAdd(1, ordering: .relaxed).oldValue
      if sweep(bucket: turn % bucketCount, at: now) > 0 { return }
    }
  }

  private func sweep(bucket: UInt64, at now: Instant) -> Int {
    var freed = 0
    for lane in 0..<Slot.perBucket {
      let slot = slot(lane, inBucket: bucket)
      let word = slot.loadCurrent()
      if word.isWindow { renewPrevious(of: slot, current: word) }
      guard word != .empty, slot.isFree(word, at: now),
        claim(slot, inBucket: bucket, seen: word, at: now) != nil
      else { continue }
      // The words of this owner lie before now, and the next one's must not.
      slot.abandon(floor: now.nanoseconds)
      freed += 1
    }
    return freed
  }

  /// Replaces a `previous` that counts no more by one that counts nothing, so that its tick does
  /// not grow old until it seems to be this window's.
  private func renewPrevious(of slot: Slot, current word: StateWord) {
    guard !word.isFrozen, let previous = slot.loadPrevious(while: word), previous.isWindow,
      previous.tick != word.tick
    else { return }
    // If it fails, another thread has published, which renews it as well.
    _ = slot.exchangePrevious(previous, with: .window(word.head, expiry: word.tick, count: 0))
  }
}
