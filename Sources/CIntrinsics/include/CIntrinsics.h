// Compiler intrinsics that Swift's standard library does not offer. Header only; no state, any thread.
#ifndef LIMITD_CINTRINSICS_H
#define LIMITD_CINTRINSICS_H

/// Asks the processor to bring the cache line at `address` near, for reading and writing soon.
/// A hint: it never faults, whatever the address, and changes nothing that a program can see.
static inline __attribute__((always_inline)) void limitd_prefetch(const void *address) {
  __builtin_prefetch(address, 1, 3);
}

#endif
