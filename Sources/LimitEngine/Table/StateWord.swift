// The encodings of a slot's two state words.
//
// A slot holds one bucket's state in one 64-bit word, `current`; a sliding window adds a second,
// `previous`. Each word tells by itself what it is and when it stops mattering, so that a slot can
// be recognised as dead, and reused, by a thread that knows nothing of its owner's limit.
//
//     63  62  61  60  59 ...... 35  34 ............... 0
//      0   0  ├──────────────── all zero ─────────────┤   empty
//      0   1   g  ├────────── TAT modulo 2^61 ────────┤   token bucket
//      1   0   g   f  ├─ expiry ──┤  ├──── count ─────┤   sliding window; f: frozen, see below
//      1   1   0   0  ├─ since ───┤  ├──── held ──────┤   concurrency
//      1   1  ├────── nonce ──────┤  all ones, or − 1     claimed, or pending (slot being filled)
//      0  ├─────────────── instant + 1 ───────────────┤   floor; only in `previous`
//
// g is the parity of the rules that the word was written under (`Rule.head`): a time or a count of
// a window means nothing without the interval or length that it was written by. A frozen window is
// about to be rolled on: its count no longer changes.
//
// Ticks are 2^29 ns (0.54 s), counted modulo 2^25 (208 days), times of token buckets are counted
// modulo 73 years; both are compared by signed distance. The engine sweeps old words away before that
// could mislead (`Engine.passHorizon`).
//
// Why the order of times matters: a slot is reused only when its word, and every word that was
// lowered (`Owner.tallest`), lies strictly before the reuser's `now`, and every word that the new
// owner ever stores lies at or after it. A
// thread that stalled with the old owner's word can therefore never swap it for its own again (no
// ABA). Words of former rules need not lie before: nobody stores one once all are converted
// (`Engine.convert`).

/// A count of ticks of 2^29 ns, modulo 2^25.
struct Tick: Equatable {
  static let bits: UInt64 = 25
  static let mask: UInt64 = (1 << bits) - 1
  /// Nanoseconds per tick, as a shift.
  static let shift: UInt64 = 29

  let value: UInt64

  /// The tick in which `nanoseconds` lies.
  @inline(__always) init(containing nanoseconds: UInt64) {
    value = (nanoseconds >> Self.shift) & Self.mask
  }

  /// The first tick that starts at or after `nanoseconds`.
  @inline(__always) init(atOrAfter nanoseconds: UInt64) {
    value = ((nanoseconds &+ ((1 << Self.shift) - 1)) >> Self.shift) & Self.mask
  }

  @inline(__always) init(value: UInt64) { self.value = value & Self.mask }

  /// How far this tick lies after `other`, in ticks: negative where it lies before. Right for ticks
  /// less than 104 days apart.
  @inline(__always) func distance(after other: Tick) -> Int64 {
    let difference = (value &- other.value) & Self.mask
    // Moves bit 24 into the sign bit and back: sign extension from 25 bits.
    return Int64(bitPattern: difference << (64 - Self.bits)) >> (64 - Self.bits)
  }

  /// The start of this tick in ns, taken for the one that is nearest to `now`; 0 where that would
  /// lie before the epoch.
  func start(near now: UInt64) -> UInt64 {
    let today = Int64(now >> Self.shift)
    return UInt64(max(0, today + distance(after: Tick(containing: now)))) << Self.shift
  }
}

/// One state word, and what it says.
struct StateWord: Equatable {
  let rawValue: UInt64

  @inline(__always) init(rawValue: UInt64) { self.rawValue = rawValue }

  static let countBits: UInt64 = 35
  static let countMask: UInt64 = (1 << countBits) - 1
  /// The most that a sliding window or a concurrency limit counts: two values are taken for slots
  /// that are being filled. Twice the largest limit, so that what settling books beyond a limit has
  /// room.
  static let countMax: UInt64 = countMask - 2
  /// The longest debt that a token bucket keeps, in ns: 36 years. Some 18 minutes less than what
  /// `distance` tells from the past, so that a thread whose `now` is behind reads it rightly.
  static let debtMax: UInt64 = (1 << 60) - (1 << 40)

  private static let kindMask: UInt64 = 0b11 << 62
  private static let windowKind: UInt64 = 0b10 << 62
  private static let concurrencyKind: UInt64 = 0b11 << 62
  private static let frozenBit: UInt64 = 1 << 60
  private static let timeMask: UInt64 = (1 << 61) - 1
  private static let nonceMask: UInt64 = (1 << 27) - 1

  // MARK: Making words

  /// No bucket: a slot that nobody owns, or a window that has not been rolled.
  static let empty = StateWord(rawValue: 0)

  /// A token bucket whose theoretical arrival time is `tat` ns.
  ///
  /// - Parameter head: `Rule.head` of the rule that it is written by.
  @inline(__always) static func tokenBucket(_ head: UInt8, tat: UInt64) -> StateWord {
    StateWord(rawValue: UInt64(head) << 61 | tat & timeMask)
  }

  @inline(__always) static func window(_ head: UInt8, expiry: Tick, count: UInt64) -> StateWord {
    StateWord(rawValue: UInt64(head) << 61 | expiry.value << countBits | count)
  }

  @inline(__always) static func concurrency(since: Tick, held: UInt64) -> StateWord {
    StateWord(rawValue: concurrencyKind | since.value << countBits | held)
  }

  /// A slot that one thread has taken, whose tag does not yet say what for.
  static func claimed(nonce: UInt64) -> StateWord {
    StateWord(rawValue: concurrencyKind | (nonce & nonceMask) << countBits | countMask)
  }

  /// A slot whose tag announces a new bucket that nobody has charged yet.
  static func pending(nonce: UInt64) -> StateWord {
    StateWord(rawValue: concurrencyKind | (nonce & nonceMask) << countBits | (countMask - 1))
  }

  /// The instant, in ns, before which a slot's past owners lie. Below 2^63 − 1.
  static func floor(_ nanoseconds: UInt64) -> StateWord { StateWord(rawValue: nanoseconds + 1) }

  // MARK: Reading words

  /// A word that a bucket's owner stored: not empty, not claimed, not pending.
  @inline(__always) var isLive: Bool {
    Int64(bitPattern: rawValue) > 0
      || (Int64(bitPattern: rawValue) < 0
        && (rawValue & Self.kindMask == Self.windowKind
          || rawValue & Self.countMask <= Self.countMax))
  }

  var isPending: Bool {
    rawValue & Self.kindMask == Self.concurrencyKind
      && rawValue & Self.countMask == Self.countMask - 1
  }

  var isClaimed: Bool {
    rawValue & Self.kindMask == Self.concurrencyKind && rawValue & Self.countMask == Self.countMask
  }

  /// What live words of an algorithm's buckets begin with.
  ///
  /// - Parameter parity: of the rules' generation, 0 or 1.
  static func head(of algorithm: Algorithm, parity: UInt8) -> UInt8 {
    switch algorithm {
    case .tokenBucket: 0b010 | parity
    case .slidingWindow: 0b100 | parity
    // A count of permits means the same under any rules.
    case .concurrency: 0b110
    }
  }

  /// What a live word is of, and under which rules: compare with `Rule.head`.
  @inline(__always) var head: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 61) }

  @inline(__always) var isTokenBucket: Bool { rawValue >> 62 == 0b01 }

  @inline(__always) var isWindow: Bool { rawValue & Self.kindMask == Self.windowKind }

  /// How long after `now` a token bucket's TAT lies, in ns: negative where it lies before. Right
  /// for times less than 36 years apart.
  @inline(__always) func distance(after now: UInt64) -> Int64 {
    // Moves bit 60 into the sign bit and back: sign extension from 61 bits.
    Int64(bitPattern: (rawValue &- now) << 3) >> 3
  }

  /// The time, in ns, for which a token bucket owes at `now`; 0 where it is full. `empty` owes
  /// nothing.
  @inline(__always) func debt(at now: UInt64) -> UInt64 {
    rawValue == 0 ? 0 : UInt64(bitPattern: max(0, distance(after: now)))
  }

  /// The theoretical arrival time of a token bucket in ns, taken for the one that is nearest to
  /// `now`.
  func tat(near now: UInt64) -> UInt64 {
    UInt64(max(0, Int64(bitPattern: now) + distance(after: now)))
  }

  /// The floor that `previous` holds while a slot has no bucket, in ns; 0 where there is none.
  var floor: UInt64 { Int64(bitPattern: rawValue) > 0 ? rawValue - 1 : 0 }

  /// Whether this window is about to be rolled on, and its count for good what it is.
  @inline(__always) var isFrozen: Bool { rawValue & Self.frozenBit != 0 }

  /// The same window, frozen.
  var frozen: StateWord { StateWord(rawValue: rawValue | Self.frozenBit) }

  /// A concurrency limit's word, or that of a slot that is being filled.
  var isConcurrencyKind: Bool { rawValue & Self.kindMask == Self.concurrencyKind }

  var isConcurrency: Bool { isConcurrencyKind && isLive }

  /// A window's expiry, or the tick since which a concurrency bucket has been there.
  @inline(__always) var tick: Tick { Tick(value: rawValue >> Self.countBits) }

  /// A window's count, or the units held of a concurrency limit.
  @inline(__always) var count: UInt64 { rawValue & Self.countMask }

  /// The same state as one that was written by other rules.
  func with(head: UInt8) -> StateWord {
    StateWord(rawValue: rawValue & ((1 << 61) - 1) | UInt64(head) << 61)
  }

  /// The same window or concurrency bucket with another count, at most `countMax`.
  func with(count: UInt64) -> StateWord {
    StateWord(rawValue: rawValue & ~Self.countMask | count)
  }

  /// Whether `other` is a window of the same expiry and rules, neither of them frozen: what a
  /// `previous` must be to count.
  @inline(__always) func isSameWindow(as other: StateWord) -> Bool {
    (rawValue ^ other.rawValue) >> Self.countBits == 0
  }

  /// Whether this word says nothing any more: the bucket is full again, no window is in view and
  /// no permit is out. A dead word lies strictly before `now`.
  func isDead(at now: Instant) -> Bool {
    if Int64(bitPattern: rawValue) >= 0 {
      return rawValue == 0 || distance(after: now.nanoseconds) < 0
    }
    guard isLive else { return false }
    if !isWindow && count > 0 { return false }
    return tick.distance(after: Tick(containing: now.nanoseconds)) < 0
  }
}
