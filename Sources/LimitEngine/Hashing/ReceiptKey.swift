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

  /// Marks a receipt for a query's key.
  ///
  /// - Parameters:
  ///   - key: the key's fingerprint (`Tenant.fingerprint(ofKey:)`).
  ///   - list: the secret of the policy's list of limits.
  @inline(__always) func mark(_ receipt: inout Receipt, key: Fingerprint, list: Fingerprint) {
    let secret = limitd_block(low: key.low ^ list.low, high: key.high ^ list.high)
    guard receipt.cost >> 48 | UInt64(receipt.escalated) | UInt64(receipt.shadow) == 0 else {
      Self.markRarely(&receipt, under: secret, keys)
      return
    }
    let message = limitd_block(
      low: receipt.decidedAt.nanoseconds, high: receipt.cost | UInt64(receipt.charged) << 48)
    limitd_aes_mark(keys, message, secret, &receipt.mac)
  }

  /// Out of the way, so that the usual mark needs no stack.
  @inline(never) private static func markRarely(
    _ receipt: inout Receipt, under secret: limitd_block, _ keys: UnsafePointer<limitd_aes_keys>
  ) {
    // Bits above 2^48 of the cost are part of the rest.
    let high = receipt.cost & 0xFFFF_FFFF_FFFF | UInt64(receipt.charged) << 48
    let rest =
      UInt64(receipt.escalated) | UInt64(receipt.shadow) << 32 | (receipt.cost >> 48) << 48
    let block = limitd_aes_encrypt(keys, limitd_block(low: rest, high: .max))
    limitd_aes_mark(
      keys, limitd_block(low: receipt.decidedAt.nanoseconds, high: high), limitd_xor(secret, block),
      &receipt.mac)
  }

  /// Whether `receipt` is what this key marked. In constant time.
  func isGenuine(_ receipt: Receipt, key: Fingerprint, list: Fingerprint) -> Bool {
    var marked = receipt
    mark(&marked, key: key, list: list)
    return marked.mac ^ receipt.mac == 0
  }
}
