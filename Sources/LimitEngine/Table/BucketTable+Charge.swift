// Rolling a sliding window on: three stores that any thread can go on with.
//
// To move a bucket from one window to the next, `current` is first frozen, so that its count is
// final. That count is then published in `previous` under the new window's expiry, and `current` is
// swung to the new window. Whoever meets a frozen window and needs more than its count finishes the
// roll. Invariants: nobody changes the count of a frozen window; `current` is swung on from it only
// while `previous` holds exactly that count. They hold because the frozen word alone says what is to
// be published and under which expiry, so that all who publish for it publish the same; and because
// `previous` is otherwise written only under the expiry of a `current` that is not frozen.

extension Slot {
  /// Rolls the window `seen` on to `next`, whose window is the one after it.
  ///
  /// - Returns: whether `current` holds `next` by this thread's doing; otherwise another thread
  ///   changed the bucket: look again.
  func roll(from seen: StateWord, to next: StateWord) -> Bool {
    let frozen = seen.frozen
    if seen != frozen && !exchangeCurrent(seen, with: frozen) { return false }
    guard let previous = loadPrevious(while: frozen) else { return false }
    let published = StateWord.window(next.head, expiry: next.tick, count: seen.count)
    if previous != published && !exchangePrevious(previous, with: published) { return false }
    return exchangeCurrent(frozen, with: next)
  }
}
