// Taking a slot for a bucket that has none: lock-free, and never two slots for one bucket.
//
// A slot goes through: empty or dead ──claim──▶ claimed ──announce──▶ pending ──promote──▶ live.
//
// Two threads may take two slots for the same bucket at once. Each announces its slot first (tag,
// then `pending`), then looks at all other candidates, and promotes only if no other slot carries
// its tag. Announcing and looking are sequentially consistent, so of two announcements the later
// one's look sees the earlier: never both are promoted. Where both see each other, the one in the
// lower place stays: it ends the other by pending → empty, which the other's pending → live then
// cannot follow. Anyone who finds a pending slot of the bucket it needs finishes the insertion
// itself. A thread that stops anywhere in here stops nobody: a claimed slot is passed over, a
// pending one is helped or ended.

import Synchronization

extension BucketTable {
  enum Insertion {
    /// The slot is live with the state that was given.
    case inserted(Slot)
    /// The bucket has a slot by now: look again.
    case exists
    /// All candidate places hold live buckets.
    case noRoom
  }

  /// Takes a slot for `id` and makes it live with state `charged`, as decided at `now`.
  ///
  /// - Parameters:
  ///   - owner: from `reserve`: counted out here where the bucket does not get a slot of its own.
  ///   - home: one of the bucket's homes, to be taken where it has room, without reading the state of the
  ///     other; `nil` for the better one.
  ///   - fresh: the state of an unused bucket at an instant, for finishing what another thread began.
  func insert(
    _ id: BucketID, owner: Owner, charged: StateWord, now: Instant, home: UInt64? = nil,
    fresh: (Instant) -> StateWord
  ) -> Insertion {
    // Lock-free: every further turn means that another thread took or used the slot first.
    while true {
      switch home.flatMap({ place(for: id, inHome: $0, at: now) }) ?? place(for: id, at: now) {
      case .live:
        release(owner)
        return .exists
      case .pending(let slot, let word):
        release(owner)
        let born = Instant(nanoseconds: min(slot.loadPrevious().floor, Instant.max.nanoseconds))
        promote(slot, from: word, to: fresh(born), id)
        return .exists
      case .none:
        release(owner)
        return .noRoom
      case .free(let slot, let bucket, let seen):
        guard let nonce = claim(slot, inBucket: bucket, seen: seen, at: now) else { continue }
        shards.countArrival(inBucket: bucket)
        announce(slot, id, owner: owner, floor: now, nonce: nonce)
        return promote(slot, from: .pending(nonce: nonce), to: charged, id)
          ? .inserted(slot) : .exists
      }
    }
  }

  /// Claims a slot that was found free, and counts its past owner out; `nil` where another thread
  /// was first, or where the slot turns out to have held words from `now` on.
  func claim(_ slot: Slot, inBucket bucket: UInt64, seen: StateWord, at now: Instant) -> UInt64? {
    let nonce = shards.nextNonce(inBucket: bucket)
    guard slot.exchangeCurrent(seen, with: .claimed(nonce: nonce)) else { return nil }
    // What made the slot free was read before the claim; the same state word may have been left
    // and come back since.
    let owner = slot.loadOwner()
    let latest = seen == .empty ? slot.loadPrevious().floor : owner.tallest + 1
    if seen != .empty { countDeparture(of: owner, inBucket: bucket) }
    guard latest <= now.nanoseconds else {
      slot.abandon(floor: latest)
      return nil
    }
    return nonce
  }

  // MARK: Choosing a slot

  private enum Place {
    case live
    case pending(Slot, StateWord)
    case free(Slot, bucket: UInt64, seen: StateWord)
    case none
  }

  /// What the candidates of `id` hold: its bucket, or the best slot for it. The first home wins as
  /// long as two of its slots are free, then the emptier one; an empty slot before a dead one.
  private func place(for id: BucketID, at now: Instant) -> Place {
    let first = bucket(of: id, candidate: 0)
    let second = bucket(of: id, candidate: 1)
    let one = survey(first, for: id, at: now)
    let two = survey(second, for: id, at: now)
    if let known = one.known ?? two.known { return known }
    let outside = isMarked(first) && isMarked(second)
    if outside, let known = knownOutsideHomes(id, at: now) { return known }
    let prefersFirst = one.freeCount >= 2 || one.freeCount >= two.freeCount
    if let free = prefersFirst ? one.free : two.free { return free }
    // Both homes are full. Marking them before announcing elsewhere lets searchers know. The
    // marks are sequentially consistent for the sake of the look that follows the announcement.
    mark(first)
    mark(second)
    for number in Self.homes..<Self.candidates {
      if let free = survey(bucket(of: id, candidate: number), for: id, at: now).free { return free }
    }
    return .none
  }

  /// As `place`, of one home; `nil` where all its slots hold other live buckets. That the bucket stands
  /// elsewhere comes out before its slot is made live (`promote`).
  private func place(for id: BucketID, inHome bucket: UInt64, at now: Instant) -> Place? {
    let survey = survey(bucket, for: id, at: now)
    return survey.known ?? survey.free
  }

  /// Whether `place` would find the bucket or a slot for it. Writes nothing.
  func hasPlace(for id: BucketID, at now: Instant) -> Bool {
    for number in 0..<Self.candidates {
      let survey = survey(bucket(of: id, candidate: number), for: id, at: now)
      if survey.free != nil || survey.known != nil { return true }
    }
    return false
  }

  private func knownOutsideHomes(_ id: BucketID, at now: Instant) -> Place? {
    for number in Self.homes..<Self.candidates {
      let bucket = bucket(of: id, candidate: number)
      if let known = survey(bucket, for: id, at: now).known { return known }
    }
    return nil
  }

  private struct Survey {
    var known: Place?
    var free: Place?
    var freeCount = 0
  }

  private func survey(_ bucket: UInt64, for id: BucketID, at now: Instant) -> Survey {
    var survey = Survey()
    var freeIsEmpty = false
    for lane in 0..<Slot.perBucket {
      let slot = slot(lane, inBucket: bucket)
      let word = slot.loadCurrent()
      if slot.tag.pointee.load(ordering: .relaxed) & ~Slot.mark == id.tag {
        if word.isLive { survey.known = .live }
        if word.isPending { survey.known = .pending(slot, word) }
      }
      guard slot.isFree(word, at: now, counters.pointee.change) else { continue }
      survey.freeCount += 1
      if survey.free == nil || (word == .empty && !freeIsEmpty) {
        survey.free = .free(slot, bucket: bucket, seen: word)
        freeIsEmpty = word == .empty
      }
    }
    return survey
  }

  // MARK: Announcing and promoting

  /// Fills a claimed slot, which only its claimer may write, and announces it.
  private func announce(_ slot: Slot, _ id: BucketID, owner: Owner, floor: Instant, nonce: UInt64) {
    slot.owner.pointee.store(owner.rawValue, ordering: .relaxed)
    // Release: whoever reads this floor and then `current` sees the claim (`loadPrevious(while:)`).
    slot.previous.pointee.store(
      StateWord.floor(floor.nanoseconds).rawValue, ordering: .releasing)
    slot.replaceTag(by: id.tag)
    // Sequentially consistent: comes before this thread's look at the other candidates. As a
    // release it publishes the three words above.
    slot.current.pointee.store(
      StateWord.pending(nonce: nonce).rawValue, ordering: .sequentiallyConsistent)
  }

  /// Makes a pending slot live, unless another slot of the same bucket comes first. Ends: each rival
  /// is ended or ends this.
  @discardableResult private func promote(
    _ slot: Slot, from pending: StateWord, to word: StateWord, _ id: BucketID
  ) -> Bool {
    // Sequentially consistent, for a helper: puts its look after the announcement that it saw.
    guard slot.current.pointee.load(ordering: .sequentiallyConsistent) == pending.rawValue else {
      return false
    }
    let marked = isMarked(bucket(of: id, candidate: 0)) && isMarked(bucket(of: id, candidate: 1))
    for number in 0..<(marked ? Self.candidates : Self.homes) {
      let bucket = bucket(of: id, candidate: number)
      for lane in 0..<Slot.perBucket {
        let rival = self.slot(lane, inBucket: bucket)
        guard rival != slot, !clear(rival, for: slot, id) else { continue }
        end(slot, pending)
        return false
      }
    }
    return slot.exchangeCurrent(pending, with: word)
  }

  /// Ends a pending slot. Whoever does it counts the bucket out.
  @discardableResult private func end(_ slot: Slot, _ pending: StateWord) -> Bool {
    // Read before the exchange, which succeeds only if the slot is still this bucket's; after it,
    // the slot may change hands at once. Relaxed: the slot was announced with it.
    let owner = slot.loadOwner()
    guard slot.exchangeCurrent(pending, with: .empty) else { return false }
    countDeparture(of: owner, inBucket: bucket(of: slot))
    return true
  }

  /// Whether `rival` does not stand in the way of `slot`, if need be by ending it. Lock-free: a further
  /// turn means that another thread ended or promoted the rival.
  private func clear(_ rival: Slot, for slot: Slot, _ id: BucketID) -> Bool {
    while true {
      // Sequentially consistent, tag before state: the look that follows an announcement.
      let tag = rival.tag.pointee.load(ordering: .sequentiallyConsistent) & ~Slot.mark
      guard tag == id.tag else { return true }
      let word = StateWord(rawValue: rival.current.pointee.load(ordering: .sequentiallyConsistent))
      if word.isLive { return false }
      guard word.isPending else { return true }
      if rival.base < slot.base { return false }
      if end(rival, word) { return true }
    }
  }

  // MARK: Counting

  func bucket(of slot: Slot) -> UInt64 { UInt64((slot.base - words) / Slot.wordsPerBucket) }

  func countDeparture(of owner: Owner, inBucket bucket: UInt64) {
    shards.countDeparture(inBucket: bucket)
    release(owner)
  }
}
