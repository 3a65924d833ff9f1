// The encodings of a slot's two state words.
//
// A slot holds one bucket's state in one 64-bit word, `current`; a sliding window adds a second,
// `previous`. Each word tells by itself what it is and when it stops mattering, so that a slot can
// be recognised as dead, and reused, by a thread that knows nothing of its owner's limit.
//
//     63  62  61 ........ 34  33 ............... 0
//      0  ├──────────── TAT + 1 ────────────────┤   token bucket; the whole word 0 is "empty"
//      1   0  ├─ expiry ───┤  ├──── count ──────┤   sliding window
//      1   1  ├─ since ────┤  ├──── held ───────┤   concurrency
//      1   1  ├─ nonce ────┤  all ones, or − 1      claimed, or pending (slot being filled)
//
// Ticks are 2^26 ns (67 ms), counted modulo 2^28 (208 days) and compared by signed distance; the
// engine sweeps old words away before that could mislead (`Engine.passHorizon`).
//
// Why the order of times matters: a slot is reused only when its word, and every word that a refund
// lowered (`Owner.tallest`), lies strictly before the reuser's `now`, and every word that the new
// owner ever stores lies at or after it. A thread that
// stalled with the old owner's word can therefore never swap it for its own again (no ABA).

/// A count of ticks of 2^26 ns, modulo 2^28.
struct Tick: Equatable {
  static let bits: UInt64 = 28
  static let mask: UInt64 = (1 << bits) - 1
  /// Nanoseconds per tick, as a shift.
  static let shift: UInt64 = 26

  let value: UInt64

  /// The tick in which `nanoseconds` lies.
  @inline(__always) init(containing nanoseconds: UInt64) {
    value = (nanoseconds >> Self.shift) & Self.mask
  }

  /// The first tick that starts at or after `nanoseconds`.
  @inline(__always) init(atOrAfter nanoseconds: UInt64) {
    value = ((nanoseconds + (1 << Self.shift) - 1) >> Self.shift) & Self.mask
  }

  @inline(__always) init(value: UInt64) { self.value = value & Self.mask }

  /// How far this tick lies after `other`, in ticks: negative where it lies before. Right for ticks
  /// less than 104 days apart.
  @inline(__always) func distance(after other: Tick) -> Int64 {
    let difference = (value &- other.value) & Self.mask
    // Moves bit 27 into the sign bit and back: sign extension from 28 bits.
    return Int64(bitPattern: difference << (64 - Self.bits)) >> (64 - Self.bits)
  }
}

/// One state word, and what it says.
struct StateWord: Equatable {
  let rawValue: UInt64

  @inline(__always) init(rawValue: UInt64) { self.rawValue = rawValue }

  static let countBits: UInt64 = 34
  static let countMask: UInt64 = (1 << countBits) - 1
  /// The most that a sliding window or a concurrency limit counts: two values are taken for slots
  /// that are being filled.
  static let countMax: UInt64 = countMask - 2

  private static let windowKind: UInt64 = 0b10 << 62
  private static let concurrencyKind: UInt64 = 0b11 << 62
  private static let kindMask: UInt64 = 0b11 << 62

  // MARK: Making words

  /// No bucket: a slot that nobody owns, or a window that has not been rolled.
  static let empty = StateWord(rawValue: 0)

  /// A token bucket whose theoretical arrival time is `tat` ns, below 2^63 − 1.
  @inline(__always) static func tokenBucket(tat: UInt64) -> StateWord {
    StateWord(rawValue: tat + 1)
  }

  @inline(__always) static func window(expiry: Tick, count: UInt64) -> StateWord {
    StateWord(rawValue: windowKind | expiry.value << countBits | count)
  }

  @inline(__always) static func concurrency(since: Tick, held: UInt64) -> StateWord {
    StateWord(rawValue: concurrencyKind | since.value << countBits | held)
  }

  /// A slot that one thread has taken, whose tag does not yet say what for.
  static func claimed(nonce: UInt64) -> StateWord {
    StateWord(rawValue: concurrencyKind | (nonce & Tick.mask) << countBits | countMask)
  }

  /// A slot whose tag announces a new bucket that nobody has charged yet.
  static func pending(nonce: UInt64) -> StateWord {
    StateWord(rawValue: concurrencyKind | (nonce & Tick.mask) << countBits | (countMask - 1))
  }

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

  /// The theoretical arrival time of a token bucket, in ns; 0 for an empty word.
  @inline(__always) var tat: UInt64 { rawValue == 0 ? 0 : rawValue - 1 }

  /// The floor that `previous` holds while a slot has no bucket, in ns; 0 where there is none.
  var floor: UInt64 { Int64(bitPattern: rawValue) > 0 ? rawValue - 1 : 0 }

  /// A concurrency limit's word, or that of a slot that is being filled.
  var isConcurrencyKind: Bool { rawValue & Self.kindMask == Self.concurrencyKind }

  var isConcurrency: Bool { isConcurrencyKind && isLive }

  @inline(__always) var isWindow: Bool { rawValue & Self.kindMask == Self.windowKind }

  /// A window's expiry, or the tick since which a concurrency bucket has been there.
  @inline(__always) var tick: Tick { Tick(value: rawValue >> Self.countBits) }

  /// A window's count, or the units held of a concurrency limit.
  @inline(__always) var count: UInt64 { rawValue & Self.countMask }

  /// Whether this word says nothing any more: the bucket is full again, no window is in view and
  /// no permit is out. A dead word lies strictly before `now`.
  func isDead(at now: Instant) -> Bool {
    if Int64(bitPattern: rawValue) >= 0 { return rawValue == 0 || tat < now.nanoseconds }
    guard isLive else { return false }
    if !isWindow && count > 0 { return false }
    return tick.distance(after: Tick(containing: now.nanoseconds)) < 0
  }
}
