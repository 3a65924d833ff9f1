// Putting a region right that an engine has left in whatever state: one pass, before anybody decides.
//
// Every change that a decision makes is one word, so nothing in a region is torn. What a killed
// process leaves is: slots that were being filled (claimed, pending), counts that lag behind the
// slots by a step, permits whose holders are gone, a window's count that is published but not yet
// rolled to (any thread finishes that), and policies of which some limits are charged and the others
// not: they deny that much more, by no more than the query that was being decided.

import Synchronization

/// What was found in a region.
public struct Recovery: Hashable, Sendable {
  /// Buckets that live on.
  public var live = 0
  /// Buckets that were as if never used by now.
  public var dead = 0
  /// Slots that were being filled; nobody had an answer from them.
  public var halfFilled = 0
  /// Concurrency limits, whose permits are back.
  public var returned = 0
  /// Slots whose words contradict each other or the table: freed.
  public var damaged = 0
}

extension EngineStorage {
  /// Makes the region fit to decide in at `now`: frees what was being filled and what is dead, takes
  /// back all permits, drops second slots of one bucket, counts anew, and sets the horizon.
  ///
  /// O(slots + directory): about 10 ns per slot. Only before any thread decides.
  ///
  /// - Throws: `clockWentBack` where the region was swept later than `now`; nothing is changed then.
  func recover(at now: Instant) throws(RegionError) -> Recovery {
    // Readings of one clock, taken by different threads, may be out of order by some seconds.
    let slack: UInt64 = 1 << 33
    let seen = horizon
    guard let last = Horizon(rawValue: seen), last.sweptAt <= now.nanoseconds + slack else {
      throw .clockWentBack
    }
    directory.beginRecovery()
    var pass = RecoveryPass(
      sweep: Sweep(at: now, horizon: seen), parityLeftBehind: change.parityLeftBehind,
      registry: registry)
    for scope in Scope.allCases { tables[Int(scope.rawValue)].recover(&pass) }
    directory.endRecovery()
    registry.keep(pass.usedLimits)
    // Not only forward: a horizon within the slack is as good as one from `now`.
    horizonWord.pointee.store(Horizon(after: now).rawValue, ordering: .relaxed)
    return pass.recovery
  }
}

/// What a pass over the tables needs and gathers.
struct RecoveryPass {
  let sweep: Sweep
  /// Of words that are to be converted first, and so live on.
  let parityLeftBehind: UInt8?
  let registry: LimitRegistry
  var recovery = Recovery()
  var usedLimits = [Bool](repeating: false, count: LimitRegistry.places)
}

extension BucketTable {
  /// Puts right all slots, and counts them. Not while threads decide.
  func recover(_ pass: inout RecoveryPass) {
    shards.resetCounts()
    shares?.reset()
    counters.pointee.rest.pointee.store(0, ordering: .relaxed)
    for bucket in 0..<bucketCount {
      prefetchHomes(ofBucket: bucket + Self.recoveredAhead)
      for lane in 0..<Slot.perBucket {
        let slot = slot(lane, inBucket: bucket)
        let word = slot.loadCurrent()
        if fate(of: slot, word, inBucket: bucket, &pass) {
          keep(slot, word, &pass)
        } else {
          slot.wipe()
        }
      }
    }
  }

  /// How many buckets before its turn comes memory is asked for what a bucket's slots refer to.
  private static let recoveredAhead: UInt64 = 8

  private func prefetchHomes(ofBucket bucket: UInt64) {
    guard bucket < bucketCount else { return }
    for lane in 0..<Slot.perBucket {
      let tag = slot(lane, inBucket: bucket).tag.pointee.load(ordering: .relaxed) & ~Slot.mark
      if tag != 0 { prefetch(BucketID(tag: tag), withSecondLine: false) }
    }
  }

  /// Whether the slot's bucket lives on.
  private func fate(
    of slot: Slot, _ word: StateWord, inBucket bucket: UInt64, _ pass: inout RecoveryPass
  ) -> Bool {
    if word == .empty { return false }
    let tag = slot.tag.pointee.load(ordering: .relaxed) & ~Slot.mark
    if !word.isLive {
      pass.recovery.halfFilled += 1
    } else if word.isConcurrency {
      pass.recovery.returned += 1
    } else if pass.sweep.isDead(word),
      pass.sweep.isAllOutOfView || !word.isOf(parity: pass.parityLeftBehind)
    {
      pass.recovery.dead += 1
    } else if tag == 0 || !isReachable(slot, BucketID(tag: tag), inBucket: bucket) {
      pass.recovery.damaged += 1
    } else {
      pass.recovery.live += 1
      return true
    }
    return false
  }

  /// Whether `id` may stand in this bucket, and is found in this slot and in none before it.
  private func isReachable(_ slot: Slot, _ id: BucketID, inBucket bucket: UInt64) -> Bool {
    let (first, second) = (self.bucket(of: id, candidate: 0), self.bucket(of: id, candidate: 1))
    if bucket != first && bucket != second {
      let others = Self.homes..<Self.candidates
      guard others.contains(where: { self.bucket(of: id, candidate: $0) == bucket }) else {
        return false
      }
      mark(first)
      mark(second)
    }
    return find(id)?.slot == slot
  }

  private func keep(_ slot: Slot, _ word: StateWord, _ pass: inout RecoveryPass) {
    let stored = slot.loadOwner()
    let limit = pass.registry.identity(of: stored.limit) == nil ? .none : stored.limit
    let isKey = counters.pointee.scope == .key
    let tenant = directory?.recount(stored.tenant, isKey: isKey) ?? .none
    // No thread is left that could expect a word of before: nothing was lowered.
    let owner = Owner(tenant: tenant, limit: limit, isGuest: stored.isGuest)
    slot.owner.pointee.store(owner.rawValue, ordering: .relaxed)
    let previous = slot.loadPrevious()
    // A floor lies in the past; a window's second word is one, or still the floor.
    let isPlausible = previous.floor <= pass.sweep.now.nanoseconds && !previous.isConcurrencyKind
    if !isPlausible || (previous.isWindow && !word.isWindow) {
      let floor = StateWord.floor(pass.sweep.now.nanoseconds)
      slot.previous.pointee.store(floor.rawValue, ordering: .relaxed)
    }
    shards.countArrival(inBucket: bucket(of: slot))
    shares?.add(isGuest: owner.isGuest)
    if limit != .none { pass.usedLimits[Int(limit.rawValue)] = true }
  }
}

extension Slot {
  /// Leaves the slot as it was when the table was made, but for the mark. Not while threads decide.
  func wipe() {
    let mark = tag.pointee.load(ordering: .relaxed) & Slot.mark
    Self.set(tag, to: mark)
    Self.set(current, to: 0)
    Self.set(previous, to: 0)
    Self.set(owner, to: 0)
  }

  /// Pages that hold nothing stay clean.
  @inline(__always) private static func set(_ word: UnsafeMutablePointer<Word>, to value: UInt64) {
    if word.pointee.load(ordering: .relaxed) != value {
      word.pointee.store(value, ordering: .relaxed)
    }
  }
}
