// Entering tenants and counting their buckets: lock-free, and never two places for one tenant.
//
// A place goes through: free ──▶ pending ──settle──▶ settled ──close──▶ free.
//
// Entering is what taking a slot is (BucketTable+Insert.swift): announce in a free place, look at
// all other places of the tenant, settle if none has it. Of two announcements the later one's look
// sees the earlier; where both see each other, the one in the lower place stays.
//
// A tenant counts as having a bucket from before the bucket's slot is announced until after the slot
// was claimed from it. So a slot's number always means the slot's tenant: a place is closed only
// where nothing counts, and who counts in a closed one takes that back and looks again.

import Synchronization

extension TenantDirectory {
  /// A tenant that was counted as having one more bucket.
  struct Arrival {
    let number: TenantNumber
    /// Its key buckets, with this one.
    let keys: UInt64
  }

  /// Counts one more bucket of the tenant, entering it where it is new; `nil` where there is no
  /// place for it.
  ///
  /// At most 64 turns, each of which means that another thread entered, ended or closed one of the
  /// tenant's 32 places meanwhile; then it goes without, as if there were no place.
  func arrive(_ tenant: Fingerprint, isGuest: Bool, isKey: Bool) -> Arrival? {
    let id = Self.id(tenant)
    for _ in 0..<64 {
      switch find(id) {
      case .known(let place):
        if let arrival = count(arrivalAt: place, id, isOwn: false, isKey: isKey) { return arrival }
      case .pending(let place):
        settle(place, tenant)
      case .free(let place):
        if isGuest && !takeGuestPlace() { return nil }
        let word = id | Self.pending | (isGuest ? 0 : Self.named)
        // Sequentially consistent: comes before this thread's look at the other places.
        guard
          identity(place).pointee.compareExchange(
            expected: 0, desired: word, ordering: .sequentiallyConsistent
          ).exchanged
        else {
          if isGuest { giveGuestPlace() }
          continue
        }
        guard let arrival = count(arrivalAt: place, id, isOwn: true, isKey: isKey) else {
          // Where it cannot be ended, another thread has settled it, and nobody counts there.
          if !end(place, word) { close(place) }
          continue
        }
        if settle(place, tenant) { return arrival }
        depart(arrival.number, isKey: isKey)
      case .none:
        return nil
      }
    }
    return nil
  }

  /// Counts one bucket of that number less, and frees the tenant's place if that was the last.
  func depart(_ number: TenantNumber, isKey: Bool) {
    guard number != .none else { return }
    let place = Int(number.rawValue)
    let one = Self.oneBucket + (isKey ? Self.oneKey : 0)
    // Release: what this thread did with the bucket comes before the place changes hands.
    let left = count(place).pointee.wrappingSubtract(one, ordering: .acquiringAndReleasing).newValue
    if left == 0 { close(place) }
  }

  /// Counts a bucket where the tenant was seen; `nil` if it is there no more.
  ///
  /// - Parameter isOwn: whether this thread is entering the tenant there. Only it counts where that is
  ///   not settled yet: a place that was freed and is being entered anew may come to nothing.
  private func count(arrivalAt place: Int, _ id: UInt64, isOwn: Bool, isKey: Bool) -> Arrival? {
    let one = Self.oneBucket + (isKey ? Self.oneKey : 0)
    // Acquire: pairs with the release of a closer, so that the identity below is at least as new.
    let count = count(place).pointee.wrappingAdd(one, ordering: .acquiringAndReleasing).newValue
    let number = TenantNumber(rawValue: UInt32(place))
    let seen = identity(place).pointee.load(ordering: .relaxed)
    guard count & Self.closed == 0, Self.id(ofIdentity: seen) == id,
      isOwn || seen & Self.pending == 0
    else {
      depart(number, isKey: isKey)
      return nil
    }
    return Arrival(number: number, keys: count & (Self.oneBucket - 1))
  }

  // MARK: Settling

  /// Settles the tenant in a pending place, unless another place has it. Any thread may; ends,
  /// because each rival is ended or ends this.
  ///
  /// - Returns: whether the tenant is settled in this place.
  @discardableResult private func settle(_ place: Int, _ tenant: Fingerprint) -> Bool {
    let id = Self.id(tenant)
    let word = identity(place).pointee.load(ordering: .sequentiallyConsistent)
    guard Self.id(ofIdentity: word) == id else { return false }
    guard word & Self.pending != 0 else { return true }
    for number in 0..<Self.sets {
      let first = firstPlace(of: id, set: number)
      for rival in first..<first + Self.placesPerSet where rival != place {
        guard clear(rival, for: place, id) else {
          end(place, word)
          return false
        }
      }
    }
    // Everybody who settles this tenant stores the same.
    rest(place).pointee.store(tenant.high, ordering: .relaxed)
    top(place).pointee.store(tenant.low, ordering: .relaxed)
    // Release: publishes the two.
    let (exchanged, seen) = identity(place).pointee.compareExchange(
      expected: word, desired: word & ~Self.pending, ordering: .sequentiallyConsistent)
    return exchanged || (Self.id(ofIdentity: seen) == id && seen & Self.pending == 0)
  }

  /// Whether `rival` does not stand in the way of `place`, if need be by ending it. A further turn
  /// means that the rival was settled, ended or closed.
  private func clear(_ rival: Int, for place: Int, _ id: UInt64) -> Bool {
    while true {
      let seen = identity(rival).pointee.load(ordering: .sequentiallyConsistent)
      guard Self.id(ofIdentity: seen) == id else { return true }
      if seen & Self.pending == 0 || rival < place { return false }
      if end(rival, seen) { return true }
    }
  }

  /// Ends a pending place. Whoever does it gives back the guest's place.
  @discardableResult private func end(_ place: Int, _ word: UInt64) -> Bool {
    let isEnded = identity(place).pointee.compareExchange(
      expected: word, desired: 0, ordering: .sequentiallyConsistent
    ).exchanged
    if isEnded && word & Self.named == 0 { giveGuestPlace() }
    return isEnded
  }

  /// Frees a place that nothing counts in. A further turn means that another thread settled a tenant
  /// there meanwhile, for whom nobody counts any more.
  private func close(_ place: Int) {
    repeat {
      guard
        count(place).pointee.compareExchange(
          expected: 0, desired: Self.closed, ordering: .acquiringAndReleasing
        ).exchanged
      else { return }
      let seen = identity(place).pointee.load(ordering: .relaxed)
      if Self.isSettled(seen),
        identity(place).pointee.compareExchange(
          expected: seen, desired: 0, ordering: .acquiringAndReleasing
        ).exchanged, seen & Self.named == 0
      {
        giveGuestPlace()
      }
      // Release: who counts here from now on sees the identity. Who counted meanwhile takes it back,
      // and closes the place anew if need be.
      let left = count(place).pointee.wrappingSubtract(
        Self.closed, ordering: .acquiringAndReleasing
      ).newValue
      if left != 0 { return }
    } while Self.isSettled(identity(place).pointee.load(ordering: .acquiring))
  }

  // MARK: Naming

  /// Keeps a place for a tenant that the rules name, whatever becomes of its buckets; `nil` where
  /// there is none. One thread at a time.
  func name(_ tenant: Fingerprint) -> TenantNumber? {
    guard let arrival = arrive(tenant, isGuest: false, isKey: false) else { return nil }
    let old = identity(Int(arrival.number.rawValue)).pointee.bitwiseOr(
      Self.named, ordering: .acquiringAndReleasing
    ).oldValue
    if old & Self.named == 0 { giveGuestPlace() }
    return arrival.number
  }

  /// Lets go of a place that `name` kept: the tenant is a guest, and has it as long as a bucket.
  func unname(_ number: TenantNumber) {
    // More than its share, perhaps, until a guest's place comes back.
    addGuestPlace()
    identity(Int(number.rawValue)).pointee.bitwiseAnd(
      ~Self.named, ordering: .acquiringAndReleasing)
    depart(number, isKey: false)
  }

  // MARK: Recovering

  /// Forgets all counts, and what was being entered. Not while threads decide.
  func beginRecovery() {
    for place in 0..<placeCount {
      count(place).pointee.store(0, ordering: .relaxed)
      let seen = identity(place).pointee.load(ordering: .relaxed)
      if seen & Self.pending != 0 { identity(place).pointee.store(0, ordering: .relaxed) }
    }
    // What is not found where it stands, or not first, would be counted and never found.
    for place in 0..<placeCount {
      let seen = identity(place).pointee.load(ordering: .relaxed)
      guard seen != 0 else { continue }
      if case .known(place) = find(Self.id(ofIdentity: seen)) { continue }
      identity(place).pointee.store(0, ordering: .relaxed)
    }
  }

  /// Counts a bucket that was found; the number to go on with.
  func recount(_ number: TenantNumber, isKey: Bool) -> TenantNumber {
    guard fingerprint(of: number) != nil else { return .none }
    let one = Self.oneBucket + (isKey ? Self.oneKey : 0)
    count(Int(number.rawValue)).pointee.wrappingAdd(one, ordering: .relaxed)
    return number
  }

  /// Frees the places of tenants without buckets; the others are guests until they are named.
  func endRecovery() {
    var guests = 0
    for place in 0..<placeCount {
      let word = identity(place)
      if buckets(at: place) == 0 {
        word.pointee.store(0, ordering: .relaxed)
      } else {
        word.pointee.bitwiseAnd(~Self.named, ordering: .relaxed)
        guests += 1
      }
    }
    resetGuestCount(to: guests)
  }
}
