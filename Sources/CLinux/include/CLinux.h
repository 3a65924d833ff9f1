// What Linux offers and Swift's Glibc module does not: epoll, eventfd, accept4, peer credentials.
//
// Headers only. _GNU_SOURCE is not defined here, since it would change the types of sockaddr
// parameters for whoever imports this; what needs it is declared by hand.

#ifndef LIMITD_CLINUX_H
#define LIMITD_CLINUX_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

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

// MSG_NOSIGNAL: a peer that is gone is an error of the call, not a signal to the process.
static const int limitd_send_without_signal = MSG_NOSIGNAL;

// sched_getaffinity(2): how many processors this process may use; at least 1.
extern int sched_getaffinity(int process, unsigned long size, void *mask);

static inline int limitd_processor_count(void) {
  uint64_t mask[128] = {0};
  int count = 0;
  if (sched_getaffinity(0, sizeof mask, mask) < 0) return 1;
  for (int word = 0; word < 128; word++) count += __builtin_popcountll(mask[word]);
  return count > 0 ? count : 1;
}

// pthread_setname_np(3): at most 15 bytes.
extern int pthread_setname_np(unsigned long thread, const char *name);

static const uint32_t limitd_epoll_in = EPOLLIN;
static const uint32_t limitd_epoll_out = EPOLLOUT;
static const uint32_t limitd_epoll_hang_up = EPOLLHUP;
static const uint32_t limitd_epoll_edge = EPOLLET;
static const uint32_t limitd_epoll_one_shot = EPOLLONESHOT;
static const uint32_t limitd_epoll_error = EPOLLERR;
static const uint32_t limitd_epoll_peer_closed = EPOLLRDHUP;

#endif
