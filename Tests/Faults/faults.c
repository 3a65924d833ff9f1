// A library to preload that makes calls fail as a bad disk's do.
//
// The file that LIMITD_FAULTS names is read at each call; its lines are CALL KIND [PART]. CALL is open
// (for writing), write, pwrite, pread, fsync, rename, posix_fallocate or mmap; or clock, whose KIND is by
// how many seconds the wall clock is off. KIND is an error's number, `short` (a few bytes at a time),
// `interrupted` (every second call ends with EINTR), `slow` (20 ms), or `hang`: until the line is gone,
// with a file beside, LIMITD_FAULTS.hanging, as a sign. Only files with PART, else LIMITD_FAULTS_OF, in
// their path are meant; `$` at its end is the path's end. Any thread.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_uint calls;

static int is(const char *kind, const char *word) { return !strcmp(kind, word); }

static int matches(const char *path, char *part) {
  size_t length = strlen(part), path_length = strlen(path);
  if (!length || part[length - 1] != '$') return strstr(path, part) != NULL;
  part[--length] = 0;
  return path_length >= length && !strcmp(path + path_length - length, part);
}

// The kind of the fault that `call` has now; false: none.
static int find(const char *call, const char *path, char kind[32]) {
  const char *control = getenv("LIMITD_FAULTS"), *of = getenv("LIMITD_FAULTS_OF");
  if (!control || !of) return 0;
  // By the kernel's own calls: those of the library are ours.
  int file = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
  if (file < 0) return 0;
  char text[256] = {0}, *rest = text, *line;
  long count = syscall(SYS_read, file, text, sizeof text - 1);
  syscall(SYS_close, file);
  while (count > 0 && (line = strsep(&rest, "\n"))) {
    char name[32], part[64] = {0};
    if (sscanf(line, "%31s %31s %63s", name, kind, part) < 2 || !is(name, call)) continue;
    if (!part[0]) snprintf(part, sizeof part, "%s", of);
    if (!path[0] || matches(path, part)) return 1;
  }
  return 0;
}

// The same, after the waits that the fault asks for; false: the call goes on.
static int fault(const char *call, const char *path, char kind[32]) {
  if (!find(call, path, kind)) return 0;
  if (is(kind, "slow")) return usleep(20000), 0;
  if (!is(kind, "hang")) return 1;
  char sign[4096];
  snprintf(sign, sizeof sign, "%s.hanging", getenv("LIMITD_FAULTS"));
  syscall(SYS_close, (int)syscall(SYS_openat, AT_FDCWD, sign, O_WRONLY | O_CREAT, 0600));
  while (find(call, path, kind) && is(kind, "hang")) usleep(5000);
  return 0;
}

static int fault_of(const char *call, int descriptor, char kind[32]) {
  char link[64], path[4096] = {0};
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  return readlink(link, path, sizeof path - 1) > 0 && fault(call, path, kind);
}

static int open_at(int folder, const char *path, int flags, int mode) {
  char kind[32];
  if (flags & (O_WRONLY | O_RDWR | O_CREAT) && fault("open", path, kind))
    return errno = atoi(kind), -1;
  return (int)syscall(SYS_openat, folder, path, flags, mode);
}

static int mode_in(int flags, va_list rest) {
  return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  int mode = mode_in(flags, rest);
  va_end(rest);
  return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  int mode = mode_in(flags, rest);
  va_end(rest);
  return open_at(folder, path, flags, mode);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
  char kind[32];
  if (fault_of("write", descriptor, kind)) {
    if (is(kind, "short")) {
      if (count > 1000) count = 1000;
    } else if (is(kind, "interrupted")) {
      if (atomic_fetch_add(&calls, 1) % 2) return errno = EINTR, -1;
    } else {
      return errno = atoi(kind), -1;
    }
  }
  return syscall(SYS_write, descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
  char kind[32];
  if (fault_of("pwrite", descriptor, kind)) return errno = atoi(kind), -1;
  return syscall(SYS_pwrite64, descriptor, bytes, count, offset);
}

ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset) {
  char kind[32];
  if (fault_of("pread", descriptor, kind)) return errno = atoi(kind), -1;
  return syscall(SYS_pread64, descriptor, bytes, count, offset);
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

int clock_gettime(clockid_t clock, struct timespec *time) {
  int status = (int)syscall(SYS_clock_gettime, clock, time);
  char kind[32];
  if (clock == CLOCK_REALTIME && find("clock", "", kind)) time->tv_sec += atoi(kind);
  return status;
}
