// The first page of a region: what it is, and the few words that belong to all of it.
//
//     word   0 magic          4 tenant buckets      8 hash-key check    16 horizon
//            1 version        5 global buckets      9 checksum          17 rules
//            2 byte count     6 directory places                        18 rules changed at
//            3 key buckets    7 registry places                         19, 20 rules' sources
//                                                                       24 … 31 the store's
//
// Words 0 to 9 are written once, before the region is in use, the magic last; the checksum is over
// 1 to 8. The others change one by one, so each must make sense by itself.

import Synchronization

/// A view of the header of a region in memory.
///
/// | word | legal values | written by | publishes |
/// |---|---|---|---|
/// | 0–9 | as the drawing says; never change | whoever formats | magic: that the others are there |
/// | horizon | `Horizon`: 26 days after some sweep; only grows | whoever sweeps, after it has swept | nothing: there are days to spare |
/// | rules | `RulesWord`: generation of those in force, whether words of the one before may be left, a check | whoever puts rules in force, before and after the next three; `convert` | those three |
/// | rules changed at | an instant in ns; 0 at first | whoever puts rules in force | nothing |
/// | rules' sources | `PolicySet.source` of the generations of even and of odd number; 0: not known | whoever puts rules in force, that of the other parity than the words' | nothing |
/// | the store's | any; 0 at first | the store | nothing here: the engine never reads them |
struct RegionHeader: @unchecked Sendable {
  let words: UnsafeMutablePointer<Word>

  /// "limitd" and its region, in native byte order: a region of the other order is not one.
  static let magic: UInt64 = 0x6c69_6d69_7464_5247
  static let storeWords = 24..<32
  private static let fixedWords = 1..<9
  private static let checksumWord = 9

  private func load(_ word: Int) -> UInt64 {
    (words + word).pointee.load(ordering: .relaxed)
  }

  private func store(_ value: UInt64, _ word: Int) {
    (words + word).pointee.store(value, ordering: .relaxed)
  }

  // MARK: What never changes

  static func check(of hashKey: HashKey) -> UInt64 { hashKey.derived(for: "region").low }

  private var checksum: UInt64 {
    var fixed = Self.fixedWords.map(load)
    return fixed.withUnsafeMutableBytes {
      SipHash.hash(UnsafeRawBufferPointer($0), key: HashKey(low: Self.magic, high: 0)).low
    }
  }

  /// Writes the header of a region whose memory is zero.
  func format(_ layout: RegionLayout, hashKey: HashKey) {
    let fixed: [UInt64] = [
      RegionLayout.version, UInt64(layout.byteCount), UInt64(layout.keyBuckets),
      UInt64(layout.tenantBuckets), UInt64(layout.globalBuckets), UInt64(layout.directoryPlaces),
      UInt64(LimitRegistry.places), Self.check(of: hashKey),
    ]
    for (word, value) in zip(Self.fixedWords, fixed) { store(value, word) }
    store(checksum, Self.checksumWord)
    // Release: who finds the magic finds the rest. A process killed before this leaves no region.
    words.pointee.store(Self.magic, ordering: .releasing)
  }

  /// The layout that the header describes, once everything that never changes has been checked.
  func layout(hashKey: HashKey, byteCount: Int) throws(RegionError) -> RegionLayout {
    // Acquire: pairs with `format`.
    guard words.pointee.load(ordering: .acquiring) == Self.magic else { throw .notARegion }
    guard load(1) == RegionLayout.version else { throw .otherVersion(load(1)) }
    guard load(Self.checksumWord) == checksum else { throw .damaged }
    guard load(8) == Self.check(of: hashKey) else { throw .otherHashKey }
    guard load(7) == UInt64(LimitRegistry.places),
      let layout = RegionLayout(
        keyBuckets: Int(clamping: load(3)), tenantBuckets: Int(clamping: load(4)),
        globalBuckets: Int(clamping: load(5)), directoryPlaces: Int(clamping: load(6))),
      load(2) == UInt64(layout.byteCount)
    else { throw .damaged }
    guard byteCount >= layout.byteCount else { throw .truncated(needed: layout.byteCount) }
    guard Horizon(rawValue: load(16)) != nil,
      RulesWord.isSound(load(17), changedAt: load(18), sources: (load(19), load(20)))
    else { throw .damaged }
    return layout
  }

  // MARK: What changes

  var horizonWord: UnsafeMutablePointer<Word> { words + 16 }
  var rulesWord: UnsafeMutablePointer<Word> { words + 17 }
  var rulesChangedAtWord: UnsafeMutablePointer<Word> { words + 18 }
  /// Two: of generations of even, and of odd number.
  var rulesSourceWords: UnsafeMutablePointer<Word> { words + 19 }

  func storeWord(_ number: Int) -> UnsafeMutablePointer<Word> {
    precondition((0..<Self.storeWords.count).contains(number), "the store has eight words")
    return words + (Self.storeWords.lowerBound + number)
  }
}

/// The instant from which ticks could be misread unless the tables are swept first: 26 days after
/// a sweep, as a word that tells by itself whether it is whole.
///
///     63 ──────────── 16  15 ──── 0
///     instant / 2^16 ns   check
///
/// Compared as a number it is the instant, to 66 µs.
struct Horizon: Equatable {
  let rawValue: UInt64

  /// 26 days, in ns. With the 62 days that a window's expiry may lie ahead, and the age that a
  /// word may have by then, that is within the 104 days that ticks can compare.
  static let distance: UInt64 = 1 << 51
  private static let checkBits: UInt64 = 16

  /// The horizon of a sweep at `now`.
  init(after now: Instant) {
    let units = (now.nanoseconds + Self.distance) >> Self.checkBits
    rawValue = units << Self.checkBits | Self.check(of: units)
  }

  /// `nil` where the word is not one that was stored.
  init?(rawValue: UInt64) {
    let units = rawValue >> Self.checkBits
    guard rawValue & ((1 << Self.checkBits) - 1) == Self.check(of: units),
      rawValue >= Self.distance, rawValue - Self.distance <= Instant.max.nanoseconds
    else { return nil }
    self.rawValue = rawValue
  }

  /// The instant of the sweep that it was set after, rounded down.
  var sweptAt: UInt64 { ((rawValue >> Self.checkBits) << Self.checkBits) - Self.distance }

  private static func check(of units: UInt64) -> UInt64 {
    // Multiplying by an odd constant moves every bit into the upper ones; never 0 for 0.
    ((units &+ 1) &* 0x9e37_79b9_7f4a_7c15) >> (64 - checkBits)
  }
}
