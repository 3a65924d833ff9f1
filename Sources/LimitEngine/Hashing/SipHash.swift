// SipHash-1-3 with 128 bits of output: a keyed hash that an attacker without the key cannot steer.
//
// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with the 128-bit
// finish of their reference implementation. 1-3 are the rounds that Rust and CPython use for hash
// tables. Pure; any thread.

/// 128 bits that stand for a name.
///
/// Buckets keep 63 bits of `low` (`BucketID`); names are told apart by all of it.
public struct Fingerprint: Hashable, Sendable, BitwiseCopyable {
  public let low: UInt64
  public let high: UInt64

  @inlinable public init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }
}

@frozen @usableFromInline struct SipHash {
  @usableFromInline var v0: UInt64
  @usableFromInline var v1: UInt64
  @usableFromInline var v2: UInt64
  @usableFromInline var v3: UInt64

  @inlinable @inline(__always) init(key: HashKey) {
    v0 = key.low ^ 0x736f_6d65_7073_6575
    v1 = key.high ^ 0x646f_7261_6e64_6f6d ^ 0xee
    v2 = key.low ^ 0x6c79_6765_6e65_7261
    v3 = key.high ^ 0x7465_6462_7974_6573
  }

  @inlinable @inline(__always) mutating func rounds(_ count: Int) {
    for _ in 0..<count {
      v0 &+= v1
      v1 = v1 << 13 | v1 >> 51
      v1 ^= v0
      v0 = v0 << 32 | v0 >> 32
      v2 &+= v3
      v3 = v3 << 16 | v3 >> 48
      v3 ^= v2
      v0 &+= v3
      v3 = v3 << 21 | v3 >> 43
      v3 ^= v0
      v2 &+= v1
      v1 = v1 << 17 | v1 >> 47
      v1 ^= v2
      v2 = v2 << 32 | v2 >> 32
    }
  }

  @inlinable @inline(__always) mutating func compress(_ word: UInt64, rounds count: Int) {
    v3 ^= word
    rounds(count)
    v0 ^= word
  }

  /// The hash of `bytes` under `key`. `compression` and `finalization` are the rounds; the tests
  /// hold 2-4 against the published vectors and 1-3 against an independent implementation.
  @inlinable @inline(__always) static func hash(
    _ bytes: UnsafeRawBufferPointer, key: HashKey, compression: Int = 1, finalization: Int = 3
  ) -> Fingerprint {
    var state = SipHash(key: key)
    let count = bytes.count
    let whole = count & ~7
    var offset = 0
    while offset < whole {
      state.compress(
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
        rounds: compression)
      offset += 8
    }
    let tail = lastBytes(of: bytes, from: whole) | UInt64(truncatingIfNeeded: count) << 56
    state.compress(tail, rounds: compression)
    state.v2 ^= 0xee
    state.rounds(finalization)
    let low = state.v0 ^ state.v1 ^ state.v2 ^ state.v3
    state.v1 ^= 0xdd
    state.rounds(finalization)
    return Fingerprint(low: low, high: state.v0 ^ state.v1 ^ state.v2 ^ state.v3)
  }

  /// The 0 to 7 bytes from `offset` on, as the low end of a word.
  @inlinable @inline(__always) static func lastBytes(
    of bytes: UnsafeRawBufferPointer, from offset: Int
  ) -> UInt64 {
    let count = bytes.count
    let left = count & 7
    if left == 0 { return 0 }
    if count >= 8 {
      // One load that overlaps bytes already hashed, shifted so that only the last ones stay.
      let last = bytes.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
      return UInt64(littleEndian: last) >> UInt64(8 &* (8 &- left))
    }
    var word: UInt64 = 0
    var index = 0
    while index < left {
      word |= UInt64(bytes[offset &+ index]) << UInt64(8 &* index)
      index &+= 1
    }
    return word
  }
}

extension HashKey {
  /// A key for one purpose, so that names of different kinds never share a hash.
  func derived(for purpose: StaticString) -> HashKey {
    let fingerprint = SipHash.hash(
      UnsafeRawBufferPointer(start: purpose.utf8Start, count: purpose.utf8CodeUnitCount), key: self)
    return HashKey(low: fingerprint.low, high: fingerprint.high)
  }

  func fingerprint(of name: String) -> Fingerprint {
    var name = name
    return name.withUTF8 { SipHash.hash(UnsafeRawBufferPointer($0), key: self) }
  }
}
