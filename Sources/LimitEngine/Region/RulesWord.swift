// The word that says which rules are in force, and vouches for the three that belong to it: a start
// that read words by the wrong rules would forgive, or deny, without a sign.
//
//     63 ────── 33    32         31 ───────── 0
//     check           changing   generation
//
// The check is over all four words. 0 vouches for nothing: a fresh region, or a process that was killed
// while it wrote them. Pure; any thread.

/// `RegionHeader.rulesWord`, taken apart.
enum RulesWord {
  private static let changingBit: UInt64 = 1 << 32
  private static let meaning: UInt64 = 0x1_ffff_ffff
  /// In two bytes of the check, so that no one byte makes 0 of it.
  private static let checkMark: UInt64 = 1 << 63 | 1 << 40

  static func generation(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word) }

  /// Whether words of the generation before may be left.
  static func isChanging(_ word: UInt64) -> Bool { word & changingBit != 0 }

  /// The same, vouching for nothing.
  static func unchecked(_ word: UInt64) -> UInt64 { word & meaning }

  /// - Parameters:
  ///   - changedAt: as in the region's header, in ns.
  ///   - sources: of generations of even, and of odd number.
  static func word(
    _ generation: UInt32, isChanging: Bool, changedAt: UInt64, sources: (UInt64, UInt64)
  ) -> UInt64 {
    let word = UInt64(generation) | (isChanging ? changingBit : 0)
    var words = (word, changedAt, sources.0, sources.1)
    let hash = withUnsafeBytes(of: &words) {
      SipHash.hash($0, key: HashKey(low: RegionHeader.magic, high: 1)).low
    }
    return hash & ~meaning | checkMark | word
  }

  /// Whether it is one that was stored beside these.
  static func isSound(_ word: UInt64, changedAt: UInt64, sources: (UInt64, UInt64)) -> Bool {
    let whole = Self.word(
      generation(word), isChanging: isChanging(word), changedAt: changedAt, sources: sources)
    return word == whole || word == unchecked(word)
  }
}
