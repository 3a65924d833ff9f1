// What Linux offers and Swift's Glibc module does not: epoll, eventfd, accept4, peer credentials.
//
// Headers only. _GNU_SOURCE is not defined here, since it would change the types of sockaddr
// parameters for whoever imports this; what needs it is declared by hand.

#ifndef LIMITD_CLINUX_H
#define LIMITD_CLINUX_H

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

// accept(2): as accept4(2), with both flags set that a server wants.
extern int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags);

static inline int limitd_accept(int listener) {
  return accept4(listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

// unix(7), SO_PEERCRED: who connected, fixed at connect.
struct limitd_peer {
  int32_t pid;
  uint32_t uid;
  uint32_t gid;
};

static inline int limitd_peer_credentials(int socket, struct limitd_peer *peer) {
  socklen_t length = sizeof *peer;
  return getsockopt(socket, SOL_SOCKET, 17 /* SO_PEERCRED */, peer, &length);
}

// SO_PEERGROUPS (Linux 4.13): the supplementary groups. Returns how many there are, filling in at
// most `capacity`; -1 with errno on failure.
static inline int limitd_peer_groups(int socket, uint32_t *groups, int capacity) {
  socklen_t length = (socklen_t)capacity * sizeof *groups;
  if (getsockopt(socket, SOL_SOCKET, 59 /* SO_PEERGROUPS */, groups, &length) < 0) return -1;
  return (int)(length / sizeof *groups);
}

// epoll_data as a number; Swift sees the union's members as one.
static inline int limitd_epoll_control(int epoll, int operation, int descriptor, uint32_t events,
                                       uint64_t data) {
  struct epoll_event event = {.events = events, .data = {.u64 = data}};
  return epoll_ctl(epoll, operation, descriptor, &event);
}

// The three calls of a round trip are made past glibc's functions for them. Those are cancellation
// points (pthreads(7)), which cost two atomic exchanges each in a process of several threads; no
// thread is cancelled here. syscall(2) is none.

// recv(2) of a stream's bytes.
static inline ssize_t limitd_receive(int socket, void *memory, size_t size) {
  return syscall(SYS_recvfrom, socket, memory, size, 0, 0, 0);
}

// SO_PASSRIGHTS (Linux 6.16): has the kernel refuse to pass descriptors to this socket, and to those that connect to
// it from now on; returns -1 where the kernel is older. And has it tell of no credentials, for whose sake reads
// would end between the bytes of two writers.
static inline int limitd_refuse_descriptors(int socket) {
  int is_allowed = 0;
  setsockopt(socket, SOL_SOCKET, 16 /* SO_PASSCRED */, &is_allowed, sizeof is_allowed);
  setsockopt(socket, SOL_SOCKET, 76 /* SO_PASSPIDFD */, &is_allowed, sizeof is_allowed);
  return setsockopt(socket, SOL_SOCKET, 83, &is_allowed, sizeof is_allowed);
}

// Whether descriptors may come with a socket's bytes.
static inline int limitd_may_carry_descriptors(int socket) {
  int is_allowed = 1;
  socklen_t length = sizeof is_allowed;
  return getsockopt(socket, SOL_SOCKET, 83, &is_allowed, &length) < 0 || is_allowed;
}

// As `limitd_receive`, where descriptors may come with the bytes: behind those a read ends (unix(7)), and the kernel
// closes them, since nobody asked for them. `has_more` is set then: more may be there although fewer
// bytes came than there was room for.
static inline ssize_t limitd_receive_among_descriptors(int socket, void *memory, size_t size,
                                                       int *has_more) {
  struct iovec place = {.iov_base = memory, .iov_len = size};
  struct msghdr message = {.msg_iov = &place, .msg_iovlen = 1};
  ssize_t count = syscall(SYS_recvmsg, socket, &message, 0);
  *has_more = (message.msg_flags & MSG_CTRUNC) != 0;
  return count;
}

// signalfd(2): blocked signals as something to read; returns the signal's number, or -1.
static inline int limitd_signal_descriptor(const sigset_t *signals) {
  return signalfd(-1, signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

static inline int limitd_take_signal(int descriptor) {
  struct signalfd_siginfo info;
  return read(descriptor, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : -1;
}

// MSG_NOSIGNAL: a peer that is gone is an error of the call, not a signal to the process.
static const int limitd_send_without_signal = MSG_NOSIGNAL;

// send(2), without a signal.
static inline ssize_t limitd_send(int socket, const void *bytes, size_t size) {
  return syscall(SYS_sendto, socket, bytes, size, MSG_NOSIGNAL, 0, 0);
}

// epoll_wait(2); epoll_pwait(2), since some processors' Linux has only that.
static inline int limitd_epoll_wait(int epoll, struct epoll_event *events, int capacity,
                                    int milliseconds) {
  return (int)syscall(SYS_epoll_pwait, epoll, events, capacity, milliseconds, 0, 8);
}

// getrlimit(2): raises the soft limit of open files to the hard one, which is what a server does
// that does not use select(2). Returns the soft limit that then holds, or -1.
static inline long limitd_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -1;
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) limit.rlim_cur = before;
  return limit.rlim_cur > 0x7FFFFFFF ? 0x7FFFFFFF : (long)limit.rlim_cur;
}

// malloc_trim(3): gives memory that was freed back to the system.
static inline void limitd_trim_memory(void) { malloc_trim(0); }

// adjtimex(2), which changes nothing here: 1 where the wall clock is kept right by somebody, 0 where not,
// -1 where the kernel does not say.
static inline int limitd_is_clock_synchronized(void) {
  struct timex state = {.modes = 0};
  if (adjtimex(&state) < 0) return -1;
  return (state.status & STA_UNSYNC) == 0;
}

// sched_getaffinity(2): how many processors this process may use; at least 1.
extern int sched_getaffinity(int process, unsigned long size, void *mask);

static inline int limitd_processor_count(void) {
  uint64_t mask[128] = {0};
  int count = 0;
  if (sched_getaffinity(0, sizeof mask, mask) < 0) return 1;
  for (int word = 0; word < 128; word++) count += __builtin_popcountll(mask[word]);
  return count > 0 ? count : 1;
}

// setpriority(2), which on Linux is about the calling thread. 0, or -1 with errno.
static inline int limitd_set_nice(int nice) { return setpriority(PRIO_PROCESS, 0, nice); }

// pthread_setname_np(3): at most 15 bytes.
extern int pthread_setname_np(unsigned long thread, const char *name);

// open(2) and fchownat(2), of a file that is named by a descriptor of itself.
static const int limitd_open_path = 010000000 /* O_PATH */;
static const int limitd_empty_path = 0x1000 /* AT_EMPTY_PATH */;

static const uint32_t limitd_epoll_in = EPOLLIN;
static const uint32_t limitd_epoll_out = EPOLLOUT;
static const uint32_t limitd_epoll_hang_up = EPOLLHUP;
static const uint32_t limitd_epoll_edge = EPOLLET;
static const uint32_t limitd_epoll_one_shot = EPOLLONESHOT;
static const uint32_t limitd_epoll_error = EPOLLERR;
static const uint32_t limitd_epoll_peer_closed = EPOLLRDHUP;

// statfs(2): 1 where the file lies in memory (tmpfs, ramfs), 0 where not, -1 with errno.
static inline int limitd_is_in_memory(int descriptor) {
  struct statfs status;
  if (fstatfs(descriptor, &status) < 0) return -1;
  return status.f_type == 0x01021994 /* TMPFS_MAGIC */ || status.f_type == 0x858458f6 /* RAMFS */;
}

#endif
