// Which turns are timed: one in eight, at random, so that no rhythm of connections is seen only in part, and
// the clock is read once more only then. A value; one thread uses it.

/// Counts turns down to the next one to be timed.
struct TurnTimer {
  private var left: UInt32 = 1
  private var random: UInt32 = 0x9E37_79B9

  /// Counts a turn; whether it is timed. The first one is.
  @inline(__always) mutating func isDue() -> Bool {
    left &-= 1
    return left == 0 && begin()
  }

  /// Skips 0 to 14 turns from here, all equally likely. xorshift32 (Marsaglia, 2003).
  @inline(never) private mutating func begin() -> Bool {
    random ^= random << 13
    random ^= random >> 17
    random ^= random << 5
    left = 1 + random % 15
    return true
  }
}
