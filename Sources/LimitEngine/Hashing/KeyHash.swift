// The hash of a key within a tenant, which most decisions begin with: a MAC by chaining blocks.
//
//     U₀ = secret      Uᵢ = A₀(Uᵢ₋₁ ⊕ Bᵢ)      hash = A₁(Uₙ₋₁ ⊕ Bₙ) ⊕ secret, where Bₙ is a whole block
//                                                     A₂(Uₙ₋₁ ⊕ Bₙ) ⊕ secret, where it is padded (10…0)
//
// A₀, A₁ and A₂ are AES-128 under three public keys: permutations that nobody chose. With the tenant's
// secret before and behind it each is a block cipher (Even and Mansour), E(x) = A(x ⊕ secret) ⊕ secret;
// between neighbours the secrets cancel out. What the drawing shows is then the MAC FCBC of these three
// ciphers. Taken for independent random permutations, with D blocks hashed (of all tenants) and T tried by
// an attacker himself, all that tells it from a random function has a chance of some D·(D + T) / 2^128.
// Buckets keep 63 bits of it (`BucketID`).
// A key of up to 16 bytes takes one block, some 40 instructions, where SipHash-1-3 takes 146 (decision
// 0023). Every processor makes the same of a key: what is kept can be moved.
//
// Sources: Even and Mansour, "A construction of a cipher from a single pseudorandom permutation" (1997);
// Dunkelman, Keller and Shamir, "Minimalism in cryptography: the Even-Mansour scheme revisited" (2012);
// Black and Rogaway, "CBC MACs for arbitrary-length messages: the three-key constructions" (2000);
// FIPS 197. Pure; any thread.

public import CIntrinsics

@usableFromInline enum KeyHash {
  /// The hash of `bytes` under a tenant's secret. O(bytes).
  @inlinable @inline(__always) static func hash(
    _ bytes: UnsafeRawBufferPointer, under secret: Fingerprint
  ) -> Fingerprint {
    let block = limitd_aes_hash(
      bytes.baseAddress, bytes.count, limitd_block(low: secret.low, high: secret.high))
    return Fingerprint(low: block.low, high: block.high)
  }
}
