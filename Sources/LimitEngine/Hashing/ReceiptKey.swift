// What makes a receipt the engine's own word: a keyed mark (MAC) over everything that it says, for
// one tenant and key of one installation.
//
// By a tweakable block cipher on one block (the XEX or LRW2 construction):
//
//     mark = low half of E(message ⊕ Δ) ⊕ Δ      Δ = key's fingerprint ⊕ list's secret ⊕ rest
//
// E is AES-128 under a key of the installation. The message is the time and cost of the decision and
// which limits were charged. Δ is what an outsider cannot know: the fingerprint is a keyed hash of
// tenant and key, the list's secret one of the policy's list of limits. What is nearly always zero
// (escalated, shadow, a cost beyond the wire's) comes in as an encrypted block of its own. One block
// takes some 40 instructions, where SipHash takes 110 and would be more than a twelfth of a batch.
//
// Sources: Liskov, Rivest and Wagner, "Tweakable block ciphers" (2002); Rogaway, "Efficient
// instantiations of tweakable blockciphers" (2004); FIPS 197. Pure; any thread.

import CIntrinsics

/// Marks receipts, and tells those that it marked from others.
struct ReceiptKey: BitwiseCopyable {
  /// Outlives this view.
  private let keys: UnsafePointer<limitd_aes_keys>

  /// - Parameter keys: what `expand` made.
  init(_ keys: UnsafePointer<limitd_aes_keys>) { self.keys = keys }

  /// Makes the keys of an installation.
  static func expand(_ key: HashKey) -> limitd_aes_keys {
    limitd_aes_expand(limitd_block(low: key.low, high: key.high))
  }

  /// The mark of a receipt for a query's key.
  ///
  /// - Parameters:
  ///   - key: the key's fingerprint (`Tenant.fingerprint(ofKey:)`).
  ///   - list: the secret of the policy's list of limits.
  @inline(__always) func mark(_ receipt: Receipt, key: Fingerprint, list: Fingerprint) -> UInt64 {
    let low = receipt.decidedAt.nanoseconds
    // Bits above 2^48 of the cost are part of the rest.
    let high = receipt.cost & 0xFFFF_FFFF_FFFF | UInt64(receipt.charged) << 48
    let rest =
      UInt64(receipt.escalated) | UInt64(receipt.shadow) << 32 | (receipt.cost >> 48) << 48
    let secret = Fingerprint(low: key.low ^ list.low, high: key.high ^ list.high)
    guard rest == 0 else { return Self.rarely(low, high, rest, under: secret, keys) }
    return Self.mark(low, high, under: secret, keys)
  }

  @inline(__always) private static func mark(
    _ low: UInt64, _ high: UInt64, under secret: Fingerprint, _ keys: UnsafePointer<limitd_aes_keys>
  ) -> UInt64 {
    let block = limitd_block(low: low ^ secret.low, high: high ^ secret.high)
    return limitd_aes_encrypt(keys, block).low ^ secret.low
  }

  /// Out of the way, so that the usual mark needs no stack.
  @inline(never) private static func rarely(
    _ low: UInt64, _ high: UInt64, _ rest: UInt64, under secret: Fingerprint,
    _ keys: UnsafePointer<limitd_aes_keys>
  ) -> UInt64 {
    let block = limitd_aes_encrypt(keys, limitd_block(low: rest, high: .max))
    let mixed = Fingerprint(low: secret.low ^ block.low, high: secret.high ^ block.high)
    return mark(low, high, under: mixed, keys)
  }

  /// Whether `receipt` is what this key marked. In constant time.
  func isGenuine(_ receipt: Receipt, key: Fingerprint, list: Fingerprint) -> Bool {
    mark(receipt, key: key, list: list) ^ receipt.mac == 0
  }
}
