// The hash of keys against another implementation.

import CIntrinsics
import Testing

@testable import LimitEngine

@Suite struct KeyHashTests {
  private static let secret = Fingerprint(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)

  private static func hash(_ bytes: [UInt8], under secret: Fingerprint = secret) -> Fingerprint {
    bytes.withUnsafeBytes { KeyHash.hash($0, under: secret) }
  }

  /// Made by a few lines of Python around `openssl enc -aes-128-ecb`: bytes 0, 1, 2 … hashed.
  @Test("It is the MAC that its drawing shows, at every length class")
  func vectors() {
    let vectors: [Int: (UInt64, UInt64)] = [
      0: (0xeef1_0a05_b35d_7912, 0x28b9_12ab_4618_17b6),
      1: (0x66c8_aaec_990b_3873, 0xdb82_4f56_76bd_2708),
      2: (0x62df_e58d_33e0_2dc1, 0xedc5_648e_226f_b030),
      3: (0x755c_e8cc_97c4_ecf9, 0x872e_11f8_b2fa_218e),
      4: (0x72ad_432b_158d_26ce, 0xe5d9_d915_0d85_ca3e),
      5: (0x0a73_f92d_4150_3ea9, 0xd75f_2c8f_4262_2b33),
      7: (0x0cdc_2802_94fa_c8e0, 0x757d_e9ed_94eb_04ca),
      8: (0x6d48_63e6_3e6d_dc2b, 0xeb2f_9dbf_2f92_0ff6),
      9: (0x84f4_9c4a_0b1c_c250, 0x8e32_7749_0bb2_6b20),
      12: (0x8366_dd54_b646_b770, 0x317d_c1e2_271d_f6de),
      15: (0x3d2f_7712_c54c_e2e6, 0x91ea_880d_a59c_8d16),
      16: (0x46c5_7592_e72f_2f48, 0x4cde_0eab_8444_b9dc),
      17: (0xff8b_2e34_86c8_94ab, 0xf8e0_bb79_5adc_f811),
      31: (0xfd30_bd35_9796_2e51, 0xf4be_7fd5_7b36_38fb),
      32: (0xd5d1_0a08_046d_82b5, 0xada7_07a6_43b6_c3d5),
      33: (0x21d9_102f_9459_090d, 0x4bbe_b6e6_9f6a_70d6),
      48: (0x7f33_d55b_c528_755a, 0x39fa_af78_5197_6e90),
      63: (0x8771_721e_3097_0cbd, 0x4028_8752_a7ae_5f2b),
      64: (0xd79f_edaa_fe6a_59ba, 0x14da_7823_d484_954f),
      255: (0x73f6_5267_7fa5_d395, 0xb5d7_d107_9dad_9805),
    ]
    for (count, vector) in vectors {
      #expect(
        Self.hash((0..<count).map { UInt8($0) }) == Fingerprint(low: vector.0, high: vector.1),
        "\(count) bytes")
    }
  }

  @Test("Processors without AES instructions make the same of it, and of a block") func byTables() {
    let secret = limitd_block(low: Self.secret.low, high: Self.secret.high)
    for count in 0...100 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 83 + 5) }
      let block = bytes.withUnsafeBytes {
        limitd_aes_hash_by_tables($0.baseAddress, $0.count, secret)
      }
      #expect(Self.hash(bytes) == Fingerprint(low: block.low, high: block.high), "\(count) bytes")
    }
    var keys = limitd_aes_expand(secret)
    var (fast, byTables) = (secret, secret)
    for _ in 0..<1000 {
      fast = limitd_aes_encrypt(&keys, fast)
      byTables = limitd_aes_encrypt_by_tables(&keys, byTables)
      #expect(fast.low == byTables.low && fast.high == byTables.high)
      keys = limitd_aes_expand(fast)
    }
  }

  @Test("The public keys are pi's, expanded")
  func publicKeys() {
    let pi: [(UInt64, UInt64)] = [
      (0xd308_a385_886a_3f24, 0x4473_7003_2e8a_1913),
      (0xd031_9f29_2238_09a4, 0x896c_4eec_98fa_2e08),
      (0x7713_d038_e621_2845, 0x6c0c_e934_cf66_54be),
    ]
    let tables = limitd_aes_public_keys
    for (table, (low, high)) in zip([tables.0, tables.1, tables.2], pi) {
      let expanded = limitd_aes_expand(limitd_block(low: low, high: high))
      withUnsafeBytes(of: expanded) { expanded in
        withUnsafeBytes(of: table) { #expect($0.elementsEqual(expanded)) }
      }
    }
  }

  @Test("Keys that are parts of others, or differ in one bit, have hashes far from each other")
  func differences() {
    var seen: Set<Fingerprint> = []
    var count = 0
    for length in 0...70 {
      let bytes = [UInt8](repeating: 0, count: length)
      var variants = [bytes]
      for place in 0..<length * 8 {
        variants.append(bytes)
        variants[variants.count - 1][place / 8] ^= 1 << (place % 8)
      }
      // The padding of a shorter key is no key.
      if length > 0 { variants.append(Array(bytes.dropLast()) + [0x80]) }
      for variant in Set(variants) {
        count += 1
        seen.insert(Self.hash(variant))
      }
    }
    #expect(seen.count == count)
    let flips = (0..<128).map { place in
      var bytes = [UInt8](repeating: 7, count: 16)
      bytes[place / 8] ^= 1 << (place % 8)
      let (one, other) = (Self.hash(bytes), Self.hash([UInt8](repeating: 7, count: 16)))
      return (one.low ^ other.low).nonzeroBitCount + (one.high ^ other.high).nonzeroBitCount
    }
    // Of 128 bits each flips half, 64 with a standard deviation of 5.7.
    #expect(flips.allSatisfy { (30...98).contains($0) })
    #expect((60...68).contains(Double(flips.reduce(0, +)) / Double(flips.count)))
  }

  @Test("Another secret is another hash, whichever of its bits differs") func secrets() {
    let bytes = Array("user-12345".utf8)
    var seen: Set<Fingerprint> = [Self.hash(bytes)]
    for bit in 0..<64 {
      let mask = UInt64(1) << UInt64(bit)
      seen.insert(
        Self.hash(bytes, under: Fingerprint(low: Self.secret.low ^ mask, high: Self.secret.high)))
      seen.insert(
        Self.hash(bytes, under: Fingerprint(low: Self.secret.low, high: Self.secret.high ^ mask)))
    }
    #expect(seen.count == 129)
  }

  @Test("No byte before a key or behind it is read into its hash") func bounds() {
    let key = (0..<48).map { UInt8(truncatingIfNeeded: $0 * 37 + 1) }
    for count in 0...40 {
      let alone = Self.hash(Array(key[..<count]))
      for filler in [UInt8(0), 0xFF] {
        let around = [filler, filler, filler] + key[..<count] + [filler, filler]
        let amid = around.withUnsafeBytes {
          KeyHash.hash(UnsafeRawBufferPointer(rebasing: $0[3..<3 + count]), under: Self.secret)
        }
        #expect(amid == alone, "\(count) bytes")
      }
    }
  }
}
