// Which of many decisions are looked at: all while there are few, fewer and fewer the more there are, and
// each that is stands for as many as it should, so that sums over samples are sums over decisions in the
// mean (a Horvitz–Thompson estimate; skips as in Vitter's "Faster Methods for Random Sampling", 1984).
// A value; one thread uses it.

import Glibc

/// Decides by counting down to the next one.
@frozen public struct SkipSampler: BitwiseCopyable, Sendable {
  /// Samples of one weight in a round; then the weight grows.
  static let samplesPerWeight: UInt32 = 32
  static let weightGrowth: UInt32 = 4
  static let weightMax: UInt32 = 4096

  /// Decisions until the next sample, it included.
  @usableFromInline var left: UInt32 = 1
  /// What that one stands for.
  private var weight: UInt32 = 1
  private var taken: UInt32 = 0

  init() {}

  /// Counts a decision; whether it is a sample. Then `take` comes next.
  @inlinable @inline(__always) mutating func isDue() -> Bool {
    left &-= 1
    return left == 0
  }

  /// What the sample at hand stands for; chooses the next one.
  ///
  /// - Parameter random: 64 fresh bits.
  mutating func take(random: UInt64) -> UInt32 {
    let current = weight
    taken += 1
    if taken == Self.samplesPerWeight, weight < Self.weightMax {
      taken = 0
      weight *= Self.weightGrowth
    }
    left = Self.skip(weight: weight, random: random)
    return current
  }

  /// A geometric number with mean `weight`: each decision is a sample with probability 1 / weight,
  /// whatever was before. So a round that ends amid a skip distorts nothing.
  static func skip(weight: UInt32, random: UInt64) -> UInt32 {
    guard weight > 1 else { return 1 }
    // In (0, 1).
    let uniform = (Double(random >> 11) + 0.5) * 0x1p-53
    return UInt32(1 + (log(uniform) / log(1 - 1 / Double(weight))).rounded(.down))
  }
}
