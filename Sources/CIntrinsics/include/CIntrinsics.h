// Compiler intrinsics that Swift's standard library does not offer. No state, any thread.
#ifndef LIMITD_CINTRINSICS_H
#define LIMITD_CINTRINSICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/// Asks the processor to bring the cache line at `address` near, for reading and writing soon.
/// A hint: it never faults, whatever the address, and changes nothing that a program can see.
static inline __attribute__((always_inline)) void limitd_prefetch(const void *address) {
  __builtin_prefetch(address, 1, 3);
}

// AES-128, one block (FIPS 197): by the processor's own instructions where it has them, and else by tables
// (CIntrinsics.c), some forty times slower. A block and a key are two little-endian words: byte 0 is the
// lowest byte of `low`.

/// 128 bits.
typedef struct {
  uint64_t low;
  uint64_t high;
} limitd_block;

/// The eleven round keys of one key. Aligned, so that instructions take them from memory.
typedef struct {
  _Alignas(16) limitd_block rounds[11];
} limitd_aes_keys;

/// The first 48 bytes of pi's fraction, as three keys, expanded: no secrets, but three permutations
/// that nobody chose. Every program reads the same, so that what they hash can be kept.
extern const limitd_aes_keys limitd_aes_public_keys[3];

/// Whether this processor has AES instructions. Written once, before `main`.
extern bool limitd_aes_is_fast;

/// Expands a key.
limitd_aes_keys limitd_aes_expand(limitd_block key);

/// Encrypts one block, on any processor.
limitd_block limitd_aes_encrypt_by_tables(const limitd_aes_keys *keys, limitd_block block);

/// As `limitd_aes_mark`, on any processor.
void limitd_aes_mark_by_tables(
    const limitd_aes_keys *keys, limitd_block message, limitd_block secret, uint64_t *mark);

/// A hash of `count` bytes under a secret, on any processor: what `limitd_aes_hash` is, too.
limitd_block limitd_aes_hash_by_tables(const void *bytes, size_t count, limitd_block secret);

#define LIMITD_INLINE static inline __attribute__((always_inline))

LIMITD_INLINE limitd_block limitd_xor(limitd_block left, limitd_block right) {
  limitd_block result = {left.low ^ right.low, left.high ^ right.high};
  return result;
}

LIMITD_INLINE limitd_block limitd_load(const uint8_t *bytes) {
  limitd_block block;
  memcpy(&block, bytes, sizeof block);
  return block;
}

/// The last 0 to 15 bytes of a message as a block: a bit 1 behind them, then bits 0. Reads no other byte.
LIMITD_INLINE limitd_block limitd_last_block(const uint8_t *bytes, size_t count) {
  limitd_block block = {0, 0};
  if (count >= 8) {
    memcpy(&block.low, bytes, 8);
    if (count > 8) {
      memcpy(&block.high, bytes + count - 8, 8);
      block.high >>= 8 * (16 - count);
    }
    block.high |= 0x80ull << 8 * (count - 8);
  } else {
    if (count >= 4) {
      uint32_t first, last;
      memcpy(&first, bytes, 4);
      memcpy(&last, bytes + count - 4, 4);
      block.low = first | (uint64_t)last << 8 * (count - 4);
    } else if (count > 0) {
      block.low = bytes[0] | (uint64_t)bytes[count / 2] << 8 * (count / 2) |
                  (uint64_t)bytes[count - 1] << 8 * (count - 1);
    }
    block.low |= 0x80ull << 8 * count;
  }
  return block;
}

/// A hash of `count` bytes under a secret: a MAC by chaining blocks, which KeyHash.swift draws.
LIMITD_INLINE limitd_block limitd_chain(
    const void *bytes, size_t count, limitd_block secret,
    limitd_block (*encrypt)(const limitd_aes_keys *keys, limitd_block block)) {
  const uint8_t *next = (const uint8_t *)bytes;
  limitd_block state = secret;
  for (; count > 16; count -= 16, next += 16) {
    state = encrypt(&limitd_aes_public_keys[0], limitd_xor(state, limitd_load(next)));
  }
  // The last block, whole or not, goes through a permutation of its own.
  if (count == 16) {
    state = encrypt(&limitd_aes_public_keys[1], limitd_xor(state, limitd_load(next)));
  } else {
    state = encrypt(&limitd_aes_public_keys[2], limitd_xor(state, limitd_last_block(next, count)));
  }
  return limitd_xor(state, secret);
}

#if defined(__x86_64__)

#define LIMITD_AES static inline __attribute__((target("aes,sse4.1")))

LIMITD_AES limitd_block limitd_aes_encrypt_fast(const limitd_aes_keys *keys, limitd_block block) {
  const __m128i *rounds = (const __m128i *)keys->rounds;
  __m128i state = _mm_set_epi64x((long long)block.high, (long long)block.low);
  state = _mm_xor_si128(state, rounds[0]);
#pragma GCC unroll 9
  for (int number = 1; number < 10; number++) state = _mm_aesenc_si128(state, rounds[number]);
  state = _mm_aesenclast_si128(state, rounds[10]);
  limitd_block result;
  result.low = (uint64_t)_mm_cvtsi128_si64(state);
  result.high = (uint64_t)_mm_extract_epi64(state, 1);
  return result;
}

#elif defined(__aarch64__)

#define LIMITD_AES static inline __attribute__((target("aes")))

LIMITD_AES limitd_block limitd_aes_encrypt_fast(const limitd_aes_keys *keys, limitd_block block) {
  const uint8_t *rounds = (const uint8_t *)keys->rounds;
  uint8x16_t state = vcombine_u8(vcreate_u8(block.low), vcreate_u8(block.high));
#pragma GCC unroll 9
  for (int number = 0; number < 9; number++) {
    state = vaesmcq_u8(vaeseq_u8(state, vld1q_u8(rounds + 16 * number)));
  }
  state = veorq_u8(vaeseq_u8(state, vld1q_u8(rounds + 144)), vld1q_u8(rounds + 160));
  uint64x2_t words = vreinterpretq_u64_u8(state);
  limitd_block result = {vgetq_lane_u64(words, 0), vgetq_lane_u64(words, 1)};
  return result;
}

#else

#define LIMITD_AES static inline

LIMITD_AES limitd_block limitd_aes_encrypt_fast(const limitd_aes_keys *keys, limitd_block block) {
  return limitd_aes_encrypt_by_tables(keys, block);
}

#endif

LIMITD_AES limitd_block limitd_aes_hash_fast(const void *bytes, size_t count, limitd_block secret) {
  return limitd_chain(bytes, count, secret, limitd_aes_encrypt_fast);
}

/// Encrypts one block.
static inline limitd_block limitd_aes_encrypt(const limitd_aes_keys *keys, limitd_block block) {
  return limitd_aes_is_fast ? limitd_aes_encrypt_fast(keys, block)
                            : limitd_aes_encrypt_by_tables(keys, block);
}

LIMITD_AES void limitd_aes_mark_fast(
    const limitd_aes_keys *keys, limitd_block message, limitd_block secret, uint64_t *mark) {
  *mark = limitd_aes_encrypt_fast(keys, limitd_xor(message, secret)).low ^ secret.low;
}

/// The low half of a block under a tweak that nobody outside knows: see ReceiptKey.swift. It is stored here,
/// so that a jump, and not a call, leads from who marks to the AES instructions.
static inline void limitd_aes_mark(
    const limitd_aes_keys *keys, limitd_block message, limitd_block secret, uint64_t *mark) {
  if (limitd_aes_is_fast) {
    limitd_aes_mark_fast(keys, message, secret, mark);
  } else {
    limitd_aes_mark_by_tables(keys, message, secret, mark);
  }
}

/// A hash of `count` bytes under a secret, the same on every processor: see KeyHash.swift.
static inline limitd_block limitd_aes_hash(const void *bytes, size_t count, limitd_block secret) {
  return limitd_aes_is_fast ? limitd_aes_hash_fast(bytes, count, secret)
                            : limitd_aes_hash_by_tables(bytes, count, secret);
}

#endif
