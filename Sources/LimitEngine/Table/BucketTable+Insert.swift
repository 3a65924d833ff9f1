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
  /// - Parameter fresh: an unused bucket's state word at an instant, for finishing what another
  ///   thread began.
  func insert(
    _ id: BucketID, owner: Owner, charged: StateWord, now: Instant,
    fresh: (Instant) -> StateWord
  ) -> Insertion {
    // Lock-free: every further turn means that another thread took or used the slot first.
    while true {
      switch place(for: id, at: now) {
      case .live: return .exists
      case .pending(let slot, let word):
        promote(slot, from: word, to: fresh(floor(of: slot)), id)
        return .exists
      case .none: return .noRoom
      case .free(let slot, let bucket, let seen):
        let nonce = shards.nextNonce(inBucket: bucket)
        guard slot.exchangeCurrent(seen, with: .claimed(nonce: nonce)) else { continue }
        if seen != .empty { countDeparture(slot, inBucket: bucket) }
        // A past owner's words lie before the floor, and ours must not: a clock reading older
        // than that makes an unused bucket as of the floor, which the caller then charges.
        let floor = seen == .empty ? max(now, self.floor(of: slot)) : now
        announce(slot, id, owner: owner, floor: floor, nonce: nonce)
        let word = floor == now ? charged : fresh(floor)
        let promoted = promote(slot, from: .pending(nonce: nonce), to: word, id)
        return promoted && floor == now ? .inserted(slot) : .exists
      }
    }
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
    for home in [first, second] {
      _ = slot(0, inBucket: home).tag.pointee.bitwiseOr(
        Slot.mark, ordering: .sequentiallyConsistent)
    }
    for number in Self.homes..<Self.candidates {
      if let free = survey(bucket(of: id, candidate: number), for: id, at: now).free {
        return free
      }
    }
    return .none
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
      guard word.isDead(at: now) else { continue }
      survey.freeCount += 1
      if survey.free == nil || (word == .empty && !freeIsEmpty) {
        survey.free = .free(slot, bucket: bucket, seen: word)
        freeIsEmpty = word == .empty
      }
    }
    return survey
  }

  // MARK: Announcing and promoting

  /// The instant before which the words of a slot's past owners lie. Only for a slot that is
  /// empty, claimed or pending.
  private func floor(of slot: Slot) -> Instant {
    Instant(nanoseconds: min(slot.loadPrevious().floor, Instant.max.nanoseconds))
  }

  /// Fills a claimed slot, which only its claimer may write, and announces it.
  private func announce(
    _ slot: Slot, _ id: BucketID, owner: Owner, floor: Instant, nonce: UInt64
  ) {
    slot.owner.pointee.store(owner.rawValue, ordering: .relaxed)
    slot.previous.pointee.store(
      StateWord.tokenBucket(tat: floor.nanoseconds).rawValue, ordering: .relaxed)
    setTag(of: slot, to: id.tag)
    // Sequentially consistent: comes before this thread's look at the other candidates. As a
    // release it publishes the three words above.
    slot.current.pointee.store(
      StateWord.pending(nonce: nonce).rawValue, ordering: .sequentiallyConsistent)
  }

  /// Replaces the tag of a claimed slot. The exclusive-or keeps the mark, which others may set.
  func setTag(of slot: Slot, to tag: UInt64) {
    let old = slot.tag.pointee.load(ordering: .relaxed) & ~Slot.mark
    _ = slot.tag.pointee.bitwiseXor(old ^ tag, ordering: .sequentiallyConsistent)
  }

  /// Makes a pending slot live, unless another slot of the same bucket comes first. Whoever does
  /// it counts the arrival. Ends: each rival is ended or ends this.
  @discardableResult
  private func promote(
    _ slot: Slot, from pending: StateWord, to word: StateWord, _ id: BucketID
  ) -> Bool {
    let marked =
      isMarked(bucket(of: id, candidate: 0)) && isMarked(bucket(of: id, candidate: 1))
    for number in 0..<(marked ? Self.candidates : Self.homes) {
      let bucket = bucket(of: id, candidate: number)
      for lane in 0..<Slot.perBucket {
        let rival = self.slot(lane, inBucket: bucket)
        guard rival != slot, !clear(rival, for: slot, id) else { continue }
        _ = slot.exchangeCurrent(pending, with: .empty)
        return false
      }
    }
    // Read before the exchange, which succeeds only if the slot is still this bucket's; after it,
    // the slot may die and change hands at once. Relaxed: the slot was announced with it.
    let owner = Owner(rawValue: slot.owner.pointee.load(ordering: .relaxed))
    guard slot.exchangeCurrent(pending, with: word) else { return false }
    countArrival(of: owner, inBucket: bucket(of: slot))
    return true
  }

  /// Whether `rival` does not stand in the way of `slot`, if need be by ending it.
  private func clear(_ rival: Slot, for slot: Slot, _ id: BucketID) -> Bool {
    while true {
      // Sequentially consistent, tag before state: the look that follows an announcement.
      let tag = rival.tag.pointee.load(ordering: .sequentiallyConsistent) & ~Slot.mark
      guard tag == id.tag else { return true }
      let word = StateWord(
        rawValue: rival.current.pointee.load(ordering: .sequentiallyConsistent))
      if word.isLive { return false }
      guard word.isPending else { return true }
      if rival.base < slot.base { return false }
      if rival.exchangeCurrent(word, with: .empty) { return true }
    }
  }

  // MARK: Counting

  private func bucket(of slot: Slot) -> UInt64 {
    UInt64((slot.base - words) / Slot.wordsPerBucket)
  }

  private func countArrival(of owner: Owner, inBucket bucket: UInt64) {
    shards.countArrival(inBucket: bucket)
    directory?.countArrival(of: owner.tenant)
  }

  /// Counts a slot's past owner out. Only for the thread that has just claimed it.
  func countDeparture(_ slot: Slot, inBucket bucket: UInt64) {
    shards.countDeparture(inBucket: bucket)
    directory?.countDeparture(
      of: Owner(rawValue: slot.owner.pointee.load(ordering: .relaxed)).tenant)
  }
}
