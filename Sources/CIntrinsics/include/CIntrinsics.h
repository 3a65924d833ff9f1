// Compiler intrinsics that Swift's standard library does not offer. Header only; no state, any thread.
#ifndef LIMITD_CINTRINSICS_H
#define LIMITD_CINTRINSICS_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// Asks the processor to bring the cache line at `address` near, for reading and writing soon.
/// A hint: it never faults, whatever the address, and changes nothing that a program can see.
static inline __attribute__((always_inline)) void limitd_prefetch(const void *address) {
  __builtin_prefetch(address, 1, 3);
}

// AES-128, one block (FIPS 197), by the processor's own instructions. A block and a key are two
// little-endian words: byte 0 is the lowest byte of `low`.

/// 128 bits.
typedef struct {
  uint64_t low;
  uint64_t high;
} limitd_block;

/// The eleven round keys of one key. Aligned, so that instructions take them from memory.
typedef struct {
  _Alignas(16) limitd_block rounds[11];
} limitd_aes_keys;

#if defined(__x86_64__)

/// Whether this processor has AES instructions. The functions below may be called only then.
static inline bool limitd_aes_is_available(void) { return __builtin_cpu_supports("aes"); }

#define LIMITD_AES __attribute__((target("aes,sse4.1")))

static inline LIMITD_AES __m128i limitd_aes_next_key(__m128i key, __m128i assist) {
  assist = _mm_shuffle_epi32(assist, 0xff);
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, assist);
}

/// Expands a key.
static inline LIMITD_AES limitd_aes_keys limitd_aes_expand(limitd_block key) {
  limitd_aes_keys keys;
  __m128i round = _mm_set_epi64x((long long)key.high, (long long)key.low);
  _mm_store_si128((__m128i *)&keys.rounds[0], round);
#define LIMITD_ROUND(number, constant)                                                    \
  round = limitd_aes_next_key(round, _mm_aeskeygenassist_si128(round, constant));         \
  _mm_store_si128((__m128i *)&keys.rounds[number], round);
  LIMITD_ROUND(1, 0x01)
  LIMITD_ROUND(2, 0x02)
  LIMITD_ROUND(3, 0x04)
  LIMITD_ROUND(4, 0x08)
  LIMITD_ROUND(5, 0x10)
  LIMITD_ROUND(6, 0x20)
  LIMITD_ROUND(7, 0x40)
  LIMITD_ROUND(8, 0x80)
  LIMITD_ROUND(9, 0x1b)
  LIMITD_ROUND(10, 0x36)
#undef LIMITD_ROUND
  return keys;
}

static inline LIMITD_AES __m128i limitd_aes_rounds(const limitd_aes_keys *keys, __m128i state) {
  const __m128i *rounds = (const __m128i *)keys->rounds;
  state = _mm_xor_si128(state, rounds[0]);
#pragma GCC unroll 9
  for (int number = 1; number < 10; number++) state = _mm_aesenc_si128(state, rounds[number]);
  return _mm_aesenclast_si128(state, rounds[10]);
}

/// Encrypts one block.
static inline LIMITD_AES limitd_block limitd_aes_encrypt(const limitd_aes_keys *keys,
                                                         limitd_block block) {
  __m128i state = _mm_set_epi64x((long long)block.high, (long long)block.low);
  state = limitd_aes_rounds(keys, state);
  limitd_block result;
  result.low = (uint64_t)_mm_cvtsi128_si64(state);
  result.high = (uint64_t)_mm_extract_epi64(state, 1);
  return result;
}

/// The low half of `block` encrypted under a tweak: of E(block ^ tweak) ^ tweak.
static inline LIMITD_AES uint64_t limitd_aes_tweaked_low(const limitd_aes_keys *keys,
                                                         limitd_block block, limitd_block tweak) {
  __m128i mask = _mm_set_epi64x((long long)tweak.high, (long long)tweak.low);
  __m128i state = _mm_set_epi64x((long long)block.high, (long long)block.low);
  state = limitd_aes_rounds(keys, _mm_xor_si128(state, mask));
  return (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(state, mask));
}

#else

static inline bool limitd_aes_is_available(void) { return false; }
static inline limitd_aes_keys limitd_aes_expand(limitd_block key) {
  (void)key;
  __builtin_trap();
}
static inline limitd_block limitd_aes_encrypt(const limitd_aes_keys *keys, limitd_block block) {
  (void)keys;
  (void)block;
  __builtin_trap();
}
static inline uint64_t limitd_aes_tweaked_low(const limitd_aes_keys *keys, limitd_block block,
                                              limitd_block tweak) {
  (void)keys;
  (void)block;
  (void)tweak;
  __builtin_trap();
}

#endif

#endif
