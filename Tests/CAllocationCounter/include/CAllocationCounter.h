// Counts the calling thread's heap allocations, by standing in front of glibc's malloc.
#ifndef LIMITD_CALLOCATIONCOUNTER_H
#define LIMITD_CALLOCATIONCOUNTER_H

#include <stdint.h>

/// How often the calling thread has asked for memory since it began; -1 where counting is
/// impossible because a sanitizer owns malloc.
int64_t limitd_allocations_of_this_thread(void);

/// The same for all threads together.
int64_t limitd_allocations_of_all_threads(void);

/// Bytes that the calling thread has asked for since it began; -1 where counting is impossible.
int64_t limitd_allocated_bytes_of_this_thread(void);

#endif
