// What attacks on a daemon need and Swift cannot do: starting a process as another user under
// limits of its own, connecting as another user, and passing descriptors. Tests only.

#ifndef LIMITD_CHOSTILE_H
#define LIMITD_CHOSTILE_H

#include <stdint.h>
#include <sys/types.h>

// How to start a program. Numbers that are 0 leave what this process has; `user` is -1 for that.
struct limitd_launch {
  // Ends with a null pointer; the first is the program's path.
  char *const *arguments;
  int standard_error;
  int64_t user;
  uint64_t descriptors_soft;
  uint64_t descriptors_hard;
  // Bytes of address space (RLIMIT_AS).
  uint64_t address_space;
};

// Starts a program that ends with this process, whatever ends that. The caller waits for it.
// Returns its id, or the negative error number.
int limitd_launch(const struct limitd_launch *launch);

// Changes the effective user of the calling thread alone, so that what it connects to sees that
// user (SO_PEERCRED). Needs root; pass 0 to be root again. Returns 0 or -1 with errno.
int limitd_become(uint32_t user);

// Sends `count` copies of `descriptor` with one byte of data (SCM_RIGHTS, at most 253). Returns what
// sendmsg(2) returns.
ssize_t limitd_pass_descriptors(int socket, int descriptor, int count, uint8_t byte);

#endif
