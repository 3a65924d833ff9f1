// The memory of a bucket table: where every word lies. The memory itself is the region's
// (Region/RegionStorage.swift).
//
// Four slots share a bucket of 128 bytes, laid out by word rather than by slot, so that finding a
// key and charging a token bucket touches one cache line; the second line holds what sliding
// windows and the reuse of slots need.
//
//     byte    0        8        16       24       32       40       48       56
//     line 0  tag 0    tag 1    tag 2    tag 3    current0 current1 current2 current3
//     line 1  previous previous previous previous owner 0  owner 1  owner 2  owner 3
//
// All words are atomic, also where only one thread may write, so that no access is a data race.

import Synchronization

typealias Word = Atomic<UInt64>

/// One slot: a pointer to its tag word, with the other words at fixed distances.
///
/// | word | bits and legal values | written by | publishes |
/// |---|---|---|---|
/// | `tag` | 0–62: 63 bits of the owner's hash, 0 for none; 63: the bucket's mark (slot 0 only): set once this bucket has turned a bucket away, never cleared | the claimer; the mark: any inserter | the claim before it; a match is confirmed by reading it again after `current` |
/// | `current` | `StateWord`: empty, live, claimed, pending | chargers (live → live), inserters (empty or dead → claimed → pending → live), sweeper (dead → claimed → empty), rivals (pending → empty) | the other three words of the slot |
/// | `previous` | `StateWord`: a window once one was rolled on; before, and in every slot that is empty, claimed or pending, a floor: the instant before which the slot's past owners lie | rollers; the claimer; the sweeper | for windows: the count that `current` may be swung away from |
/// | `owner` | `Owner` | the claimer; whoever lowers a word raises its `tallest` | nothing |
///
/// Invariant: at most one live slot in a table carries a given tag among that tag's candidates.
struct Slot: Equatable {
  static let perBucket = 4
  static let wordsPerBucket = 16
  static let bytes = 32

  let base: UnsafeMutablePointer<Word>

  @inline(__always) var tag: UnsafeMutablePointer<Word> { base }
  @inline(__always) var current: UnsafeMutablePointer<Word> { base + 4 }
  @inline(__always) var previous: UnsafeMutablePointer<Word> { base + 8 }
  @inline(__always) var owner: UnsafeMutablePointer<Word> { base + 12 }

  static let mark: UInt64 = 1 << 63

  /// Acquire: pairs with the release of whoever stored the word, so that the slot's other words
  /// are at least as new as it.
  @inline(__always) func loadCurrent() -> StateWord {
    StateWord(rawValue: current.pointee.load(ordering: .acquiring))
  }

  /// Only for the claimer of a slot, and for whoever goes on to exchange the pending word that it
  /// saw before: that exchange fails if the slot has been taken anew. Relaxed: `loadCurrent` made
  /// it at least as new as that word.
  func loadPrevious() -> StateWord {
    StateWord(rawValue: previous.pointee.load(ordering: .relaxed))
  }

  /// `previous` as it was while `current` held `word`, or `nil` if that is over.
  ///
  /// Words do not come back once a slot has changed hands, so a `previous` read between two
  /// readings of the same `current` belongs to the same bucket. Acquire: keeps the second reading
  /// of `current` after it, and pairs with the release of the thread that published it.
  @inline(__always) func loadPrevious(while word: StateWord) -> StateWord? {
    let seen = StateWord(rawValue: previous.pointee.load(ordering: .acquiring))
    return current.pointee.load(ordering: .relaxed) == word.rawValue ? seen : nil
  }

  /// Swaps `current` if it still is `expected`. Release: publishes what this thread stored in the
  /// slot before; acquire: a claimer sees what the past owner stored.
  @inline(__always) func exchangeCurrent(_ expected: StateWord, with desired: StateWord) -> Bool {
    current.pointee.compareExchange(
      expected: expected.rawValue, desired: desired.rawValue, ordering: .acquiringAndReleasing
    ).exchanged
  }
}

extension Slot {
  /// Swaps `previous` if it still is `expected`. Release: pairs with the acquire of whoever reads a
  /// `current` that was swung after this; acquire: as for `current`.
  func exchangePrevious(_ expected: StateWord, with desired: StateWord) -> Bool {
    previous.pointee.compareExchange(
      expected: expected.rawValue, desired: desired.rawValue, ordering: .acquiringAndReleasing
    ).exchanged
  }
}

/// Who a slot is counted for, and how far ahead its past words lie.
///
///     63 ─────── 36  35 ── 25   24    23 ───── 0
///     tallest word   limit     guest  tenant
///
/// `limit` is the number of the limit in the region's registry, which no reload changes. `guest` is
/// set where the bucket is counted among those of tenants that are not named.
///
/// Giving back lowers a token bucket's word, so the last word need not be the tallest: `tallest` is at
/// least every word that was lowered, in 2^35 ns (34 s), rounded up. A slot is reused only after
/// that, too; otherwise a word that a stalled thread still expects could come again.
struct Owner: Equatable {
  private(set) var rawValue: UInt64

  private static let guestBit: UInt64 = 1 << 24
  private static let limitShift: UInt64 = 25
  private static let tallestShift: UInt64 = 36
  /// Nanoseconds per unit of `tallest`, as a shift.
  static let unitShift: UInt64 = 35

  init(tenant: TenantNumber, limit: LimitNumber, isGuest: Bool = false) {
    rawValue =
      UInt64(tenant.rawValue) | UInt64(limit.rawValue) << Self.limitShift
      | (isGuest ? Self.guestBit : 0)
  }

  init(rawValue: UInt64) { self.rawValue = rawValue }

  var tenant: TenantNumber {
    TenantNumber(
      rawValue: UInt32(truncatingIfNeeded: rawValue & UInt64(TenantNumber.none.rawValue)))
  }

  var isGuest: Bool { rawValue & Self.guestBit != 0 }

  var limit: LimitNumber {
    LimitNumber(
      rawValue: UInt16(
        truncatingIfNeeded: rawValue >> Self.limitShift & UInt64(LimitNumber.none.rawValue)))
  }

  /// The instant, in ns, that no word lies after which was lowered.
  var tallest: UInt64 { (rawValue >> Self.tallestShift) << Self.unitShift }

  /// The same owner, having lowered a word of `nanoseconds`, which lies below 2^63.
  func raised(to nanoseconds: UInt64) -> Owner {
    guard nanoseconds > tallest else { return self }
    let units = (nanoseconds + (1 << Self.unitShift) - 1) >> Self.unitShift
    let rest = rawValue & ((1 << Self.tallestShift) - 1)
    return Owner(rawValue: rest | units << Self.tallestShift)
  }
}

extension Slot {
  /// Relaxed is enough for whoever has claimed the slot or goes on to exchange `current`.
  func loadOwner() -> Owner { Owner(rawValue: owner.pointee.load(ordering: .relaxed)) }

  /// Notes that `word`, a token bucket's, is about to be replaced by a lower one, at `now`. Lock-free.
  /// If the slot has changed hands meanwhile, its next reuse waits for nothing; the exchange of
  /// `current` then fails.
  func noteLowering(of word: StateWord, at now: Instant) {
    while true {
      let seen = loadOwner()
      let raised = seen.raised(to: word.tat(near: now.nanoseconds))
      if raised == seen { return }
      // Release, with the exchange of `current` that follows: whoever reads the lower word sees it.
      let isStored = owner.pointee.compareExchange(
        expected: seen.rawValue, desired: raised.rawValue, ordering: .acquiringAndReleasing
      ).exchanged
      if isStored { return }
    }
  }

  /// Whether an inserter or a sweeper at `now` may claim this slot, whose state was `word`: nothing
  /// that is or was in it lies at or after `now`.
  func isFree(_ word: StateWord, at now: Instant, _ change: RulesChange) -> Bool {
    if word == .empty { return loadPrevious().floor <= now.nanoseconds }
    return word.isDead(at: now) && loadOwner().tallest < now.nanoseconds
      && change.allowsEnd(of: word)
  }

  /// Leaves a slot that the caller has claimed empty for others, to be reused from `floor` on.
  func abandon(floor: UInt64) {
    // Release: whoever reads it and then `current` sees the claim (`loadPrevious(while:)`).
    previous.pointee.store(StateWord.floor(floor).rawValue, ordering: .releasing)
    replaceTag(by: 0)
    // Release: the next claimer sees the floor.
    current.pointee.store(StateWord.empty.rawValue, ordering: .releasing)
  }

  /// Replaces the tag of a claimed slot. The exclusive-or keeps the mark, which others may set.
  func replaceTag(by new: UInt64) {
    let old = tag.pointee.load(ordering: .relaxed) & ~Slot.mark
    _ = tag.pointee.bitwiseXor(old ^ new, ordering: .sequentiallyConsistent)
  }
}
