// An executable's own malloc wins over glibc's; these count and pass the call on. Source: glibc
// manual, "Replacing malloc". Sanitizers replace malloc themselves, so there this stays out.

#include "CAllocationCounter.h"

#include <errno.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED

int64_t limitd_allocations_of_this_thread(void) { return -1; }
int64_t limitd_allocations_of_all_threads(void) { return -1; }
int64_t limitd_allocated_bytes_of_this_thread(void) { return -1; }

#else

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static __thread int64_t allocations;
static __thread int64_t allocated_bytes;
static int64_t all_allocations;

int64_t limitd_allocations_of_this_thread(void) { return allocations; }
int64_t limitd_allocations_of_all_threads(void) {
  return __atomic_load_n(&all_allocations, __ATOMIC_RELAXED);
}

int64_t limitd_allocated_bytes_of_this_thread(void) { return allocated_bytes; }

static void add_allocation(size_t size) {
  allocations++;
  allocated_bytes += (int64_t)size;
  __atomic_fetch_add(&all_allocations, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
  add_allocation(size);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  add_allocation(count * size);
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  add_allocation(size);
  return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
  add_allocation(size);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **result, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  void *memory = memalign(alignment, size);
  if (!memory) return ENOMEM;
  *result = memory;
  return 0;
}

void free(void *memory) { __libc_free(memory); }

#endif
