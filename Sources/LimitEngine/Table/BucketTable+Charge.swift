// Rolling a sliding window on: two stores that any thread can finish.
//
// To move a bucket from one window to the next, its count is first published in `previous` under
// the new window's expiry, and then `current` is swung to the new window. Invariant: `current` is
// swung only while `previous` holds, under the new expiry, at least the count that the swing
// expects. A charge that comes between makes the swing fail, and the next try raises what was
// published; it is never lowered before the swing, so a slow thread cannot undercount a rival's.

extension BucketTable {
  /// Publishes `count` as the previous window's count under `expiry`.
  ///
  /// - Parameter seen: `previous` as it was when the roll was decided, read together with `current`.
  /// - Returns: whether at least `count` stands there; otherwise look again.
  static func publish(
    _ count: UInt64, under expiry: Tick, in slot: Slot, seen: StateWord
  ) -> Bool {
    if seen.isWindow {
      if seen.tick == expiry && seen.count >= count { return true }
      // Another thread is ahead of this one.
      if seen.tick.distance(after: expiry) > 0 { return false }
    }
    // A failed exchange means that another thread published, and costs one look.
    return slot.exchangePrevious(seen, with: .window(expiry: expiry, count: count))
  }
}
