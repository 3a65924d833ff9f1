// The memory is made read-only, so that a store faults. The handler allows writing and has the
// processor trap after that one instruction (the trap flag; Intel SDM, volume 3, 18.3.1.4); the trap's
// handler copies what has changed and makes the memory read-only again. Everything between two stores
// runs at full speed.

#define _GNU_SOURCE
#include "CStores.h"

#if defined(__x86_64__)

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { trap_flag = 0x100 };

static struct {
  uint8_t *memory;
  size_t bytes;
  // As of the last copy.
  uint8_t *last;
  uint8_t *copies;
  int64_t count, capacity;
  struct sigaction old_fault, old_trap;
} watch;

static void on_fault(int signal, siginfo_t *info, void *context) {
  uint8_t *address = info->si_addr;
  if (address < watch.memory || address >= watch.memory + watch.bytes) {
    // Not ours: it faults again, and means what it meant before.
    sigaction(signal, &watch.old_fault, NULL);
    return;
  }
  mprotect(watch.memory, watch.bytes, PROT_READ | PROT_WRITE);
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= trap_flag;
}

static void on_trap(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)trap_flag;
  if (memcmp(watch.last, watch.memory, watch.bytes) != 0) {
    memcpy(watch.last, watch.memory, watch.bytes);
    if (watch.count < watch.capacity)
      memcpy(watch.copies + (size_t)watch.count * watch.bytes, watch.memory, watch.bytes);
    watch.count++;
  }
  mprotect(watch.memory, watch.bytes, PROT_READ);
}

int64_t limitd_states_during(void (*body)(void *), void *context, void *memory, size_t bytes,
                             uint8_t *copies, int64_t capacity) {
  static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&one_at_a_time);
  watch.memory = memory;
  watch.bytes = bytes;
  watch.copies = copies;
  watch.count = 0;
  watch.capacity = capacity;
  watch.last = malloc(bytes);
  if (!watch.last) abort();
  memcpy(watch.last, memory, bytes);
  struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &fault, &watch.old_fault);
  sigaction(SIGTRAP, &trap, &watch.old_trap);
  mprotect(memory, bytes, PROT_READ);
  body(context);
  mprotect(memory, bytes, PROT_READ | PROT_WRITE);
  sigaction(SIGTRAP, &watch.old_trap, NULL);
  sigaction(SIGSEGV, &watch.old_fault, NULL);
  free(watch.last);
  int64_t count = watch.count;
  pthread_mutex_unlock(&one_at_a_time);
  return count;
}

#else

int64_t limitd_states_during(void (*body)(void *), void *context, void *memory, size_t bytes,
                             uint8_t *copies, int64_t capacity) {
  (void)memory, (void)bytes, (void)copies, (void)capacity;
  body(context);
  return -1;
}

#endif
