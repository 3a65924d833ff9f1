// Freeing slots whose bucket is dead, so that counts of live buckets are true and inserts find
// empty slots. Nothing depends on it for correctness but one thing: ticks count modulo 208 days, so
// words must not grow old unswept (`Engine.passHorizon`).

import Synchronization

/// At what instant slots are judged, and how long that judgement holds.
///
/// Words are read rightly as long as their ticks lie less than 104 days from `now`. A word in the
/// table was live at the last sweep, and was stored before the horizon of its time; its tick lies at
/// most 62 days after it was stored. So, with the horizon 26 days after a sweep:
///
/// - up to 89 days after the last sweep, every tick is compared rightly;
/// - later, every window is out of view, and every concurrency limit that holds nothing is dead.
///
/// A sweep that is slow goes on while others decide at later readings. Their words may lie so far
/// ahead that they seem to lie behind. But they are stored only after a horizon beyond them was set:
/// so the horizon is read after each word, and where it has moved too far, the sweep is over.
struct Sweep {
  let now: Instant
  private let horizon: UInt64
  /// Whether all that was stored before the horizon that this sweep found has left view.
  let isAllOutOfView: Bool

  /// Since a sweep: 26 days of decisions, two of the longest windows, and a day for rounding.
  private static let viewMax = Horizon.distance + 63 * Nanoseconds.day.count
  /// From `now` to the horizon: 39 days, with 62 more for a window's expiry.
  private static let aheadMax = Horizon.distance + Horizon.distance / 2

  /// - Parameter horizon: as it was read before any word is.
  init(at now: Instant, horizon: UInt64) {
    self.now = now
    self.horizon = horizon
    // The horizon lies one distance after the sweep that set it.
    let viewed = horizon + (Self.viewMax - Horizon.distance)
    isAllOutOfView = now.nanoseconds > viewed
  }

  /// Whether a word that was read just before may be one that this sweep would misread.
  ///
  /// Relaxed, after the acquire that read the word: whoever stored that word had read a horizon
  /// beyond its reading before, and this reads that one or a later one.
  func isOver(_ horizonWord: UnsafeMutablePointer<Word>) -> Bool {
    let seen = horizonWord.pointee.load(ordering: .relaxed)
    return isAllOutOfView ? seen != horizon : seen > now.nanoseconds + Self.aheadMax
  }

  /// Whether the bucket with this word is as if never used.
  func isDead(_ word: StateWord) -> Bool {
    if isAllOutOfView, word.isLive, Int64(bitPattern: word.rawValue) < 0 {
      return word.isWindow || word.count == 0
    }
    return word.isDead(at: now)
  }
}

extension BucketTable {
  /// Frees the dead slots of the whole table. O(slots); any thread, at any time, also several.
  ///
  /// - Parameter freed: counts the slots that were freed.
  /// - Returns: whether the sweep came to its end (`Sweep.isOver`).
  func sweep(_ sweep: Sweep, freed: inout Int) -> Bool {
    for bucket in 0..<bucketCount {
      guard self.sweep(bucket: bucket, sweep, freed: &freed) else { return false }
    }
    return true
  }

  /// Frees dead slots from where the last such call left off, until there may be one more bucket for
  /// the tenant: what a tenant waits for that has come to its cap, or whose share of the table is
  /// used up.
  ///
  /// Looks at enough of the table to meet one of as many dead buckets as the bound has in it, all
  /// but surely: 32 slots for each that there are in the table to one within the bound. That is 128
  /// buckets for a bound of a quarter, and 84,000 (0.7 ms) for 100 keys in a million slots. So that
  /// nobody keeps a thread busy with it, all rest after a long search: as long as it took if it found
  /// something in its second half, eight times that if it found nothing.
  func sweepForRoom(_ tenant: Fingerprint, isGuest: Bool, at now: Instant) {
    let rest = counters.pointee.rest
    // Relaxed: when to look next, no more. Moved far ahead, by another clock, it counts for nothing.
    let until = rest.pointee.load(ordering: .relaxed)
    guard now.nanoseconds >= until || until - now.nanoseconds > Nanoseconds.second.count else {
      return
    }
    let sweep = Sweep(at: now, horizon: counters.pointee.horizon.pointee.load(ordering: .relaxed))
    let bound = max(1, bindingBound(for: tenant, isGuest: isGuest))
    let most = min(bucketCount, max(128, 8 * (UInt64(slotCount) / bound)))
    var looked: UInt64 = 0
    var freed = 0
    var isFound = false
    while looked < most && !isFound {
      // Relaxed: where to look next, no more. 32 buckets at a time, so that threads do not meet.
      let turn = counters.pointee.hand.pointee.wrappingAdd(32, ordering: .relaxed).oldValue
      let before = freed
      for step in 0..<32 as Range<UInt64> {
        guard self.sweep(bucket: (turn &+ step) % bucketCount, sweep, freed: &freed) else { return }
      }
      looked += 32
      isFound = freed > before && mayReserve(for: tenant, isGuest: isGuest)
    }
    guard looked > 1_024, !isFound || 2 * looked > most else { return }
    let time = looked * Self.nanosecondsPerBucket
    rest.pointee.store(now.nanoseconds + (isFound ? time : 8 * time), ordering: .relaxed)
  }

  /// What sweeping takes, about.
  private static let nanosecondsPerBucket: UInt64 = 8

  private func sweep(bucket: UInt64, _ sweep: Sweep, freed: inout Int) -> Bool {
    for lane in 0..<Slot.perBucket {
      let slot = slot(lane, inBucket: bucket)
      let word = slot.loadCurrent()
      guard !sweep.isOver(counters.pointee.horizon) else { return false }
      renew(slot, word, at: sweep.now)
      guard word != .empty, sweep.isDead(word), slot.loadOwner().tallest < sweep.now.nanoseconds,
        sweep.isAllOutOfView || counters.pointee.change.allowsEnd(of: word),
        claim(slot, inBucket: bucket, seen: word, at: sweep.now) != nil
      else { continue }
      // The words of this owner lie before now, and the next one's must not.
      slot.abandon(floor: sweep.now.nanoseconds)
      freed += 1
    }
    return true
  }

  /// Keeps what lives on from growing so old that it seems to lie ahead: a `previous` that counts
  /// no more, and permits that are held for months.
  private func renew(_ slot: Slot, _ word: StateWord, at now: Instant) {
    guard Int64(bitPattern: word.rawValue) < 0, word.isLive else { return }
    if word.isWindow {
      guard !word.isFrozen, let previous = slot.loadPrevious(while: word), previous.isWindow,
        previous.tick != word.tick
      else { return }
      // If it fails, another thread has published, which renews it as well.
      _ = slot.exchangePrevious(previous, with: .window(word.head, expiry: word.tick, count: 0))
    } else if word.count > 0 {
      let today = Tick(containing: now.nanoseconds)
      let age = today.distance(after: word.tick)
      guard age > Int64(Horizon.distance >> Tick.shift) else { return }
      // If it fails, a permit was taken, which renews it, or returned: the next sweep looks again.
      _ = slot.exchangeCurrent(word, with: .concurrency(since: today, held: word.count))
    }
  }
}
