// Randomness that a failed test can repeat: a run prints its seed, and LIMITD_TEST_SEED sets it. For
// every test target.

import Foundation

/// SplitMix64 (Steele, Lea and Flood, 2014).
@frozen public struct SeededGenerator: RandomNumberGenerator, Sendable {
  @usableFromInline var state: UInt64

  @inlinable public init(seed: UInt64) { state = seed }

  @inlinable public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// True in `numerator` of `denominator` calls.
  @inlinable public mutating func chance(_ numerator: UInt64, in denominator: UInt64) -> Bool {
    next() % denominator < numerator
  }
}

/// The seed of this run: LIMITD_TEST_SEED, or a fresh one.
public let testSeed: UInt64 = {
  let given = ProcessInfo.processInfo.environment["LIMITD_TEST_SEED"].flatMap { UInt64($0) }
  let seed = given ?? UInt64.random(in: 1...(.max))
  print("LIMITD_TEST_SEED=\(seed) repeats this run's random choices")
  return seed
}()

/// Long tests divide their steps by this: a sanitizer makes every access some twenty times slower.
#if SANITIZED
public let scale = 10
#else
public let scale = 1
#endif
