// Freeing slots whose bucket is dead, so that counts of live buckets are true and inserts find
// empty slots. Nothing depends on it for correctness: inserts take dead slots themselves.

import Synchronization

extension BucketTable {
  /// Frees the dead slots of shard after shard. O(slots); any thread, at any time, also several.
  ///
  /// - Returns: how many slots were freed.
  func sweep(at now: Instant) -> Int {
    var freed = 0
    for bucket in 0..<bucketCount {
      for lane in 0..<Slot.perBucket {
        let slot = slot(lane, inBucket: bucket)
        let word = slot.loadCurrent()
        guard word != .empty, word.isDead(at: now) else { continue }
        let nonce = shards.nextNonce(inBucket: bucket)
        guard slot.exchangeCurrent(word, with: .claimed(nonce: nonce)) else { continue }
        countDeparture(slot, inBucket: bucket)
        // The floor for the next owner: the words of this one lie before it.
        slot.previous.pointee.store(
          StateWord.tokenBucket(tat: now.nanoseconds).rawValue, ordering: .relaxed)
        setTag(of: slot, to: 0)
        // Release: the next claimer sees the floor.
        slot.current.pointee.store(StateWord.empty.rawValue, ordering: .releasing)
        freed += 1
      }
    }
    return freed
  }
}
