// A library to preload that makes calls fail as a bad disk's do.
//
// The file that LIMITD_FAULTS names is read at each call: CALL KIND. CALL is write, fsync, rename,
// posix_fallocate or mmap; KIND is an error's number, `short` (a few bytes at a time), `interrupted`
// (every second call ends with EINTR), `slow` (20 ms) or `hung` (a minute). Only files with LIMITD_FAULTS_OF in their
// path are meant. Any thread.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_uint calls;

// The kind of the fault that `call` has now; false: none.
static int fault(const char *call, const char *path, char kind[32]) {
  const char *control = getenv("LIMITD_FAULTS"), *of = getenv("LIMITD_FAULTS_OF");
  if (!control || !of || !strstr(path, of)) return 0;
  // By the kernel's own calls: those of the library are ours.
  int file = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
  if (file < 0) return 0;
  char text[64] = {0}, name[32];
  long count = syscall(SYS_read, file, text, sizeof text - 1);
  syscall(SYS_close, file);
  return count > 0 && sscanf(text, "%31s %31s", name, kind) == 2 && !strcmp(name, call);
}

static int fault_of(const char *call, int descriptor, char kind[32]) {
  char link[64], path[4096] = {0};
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  return readlink(link, path, sizeof path - 1) > 0 && fault(call, path, kind);
}

static int is(const char *kind, const char *word) { return !strcmp(kind, word); }

ssize_t write(int descriptor, const void *bytes, size_t count) {
  char kind[32];
  if (fault_of("write", descriptor, kind)) {
    if (is(kind, "short")) {
      if (count > 1000) count = 1000;
    } else if (is(kind, "slow")) {
      usleep(20000);
    } else if (is(kind, "hung")) {
      sleep(60);
    } else if (is(kind, "interrupted")) {
      if (atomic_fetch_add(&calls, 1) % 2) return errno = EINTR, -1;
    } else {
      return errno = atoi(kind), -1;
    }
  }
  return syscall(SYS_write, descriptor, bytes, count);
}

int fsync(int descriptor) {
  char kind[32];
  if (fault_of("fsync", descriptor, kind)) return errno = atoi(kind), -1;
  return (int)syscall(SYS_fsync, descriptor);
}

int rename(const char *from, const char *to) {
  char kind[32];
  if (fault("rename", from, kind)) return errno = atoi(kind), -1;
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int posix_fallocate(int descriptor, off_t offset, off_t count) {
  char kind[32];
  if (fault_of("posix_fallocate", descriptor, kind)) return atoi(kind);
  int (*real)(int, off_t, off_t) = dlsym(RTLD_NEXT, "posix_fallocate");
  return real(descriptor, offset, count);
}

void *mmap(void *at, size_t count, int protection, int flags, int descriptor, off_t offset) {
  char kind[32];
  if (descriptor >= 0 && fault_of("mmap", descriptor, kind)) return errno = atoi(kind), MAP_FAILED;
  return (void *)syscall(SYS_mmap, at, count, protection, flags, descriptor, offset);
}
