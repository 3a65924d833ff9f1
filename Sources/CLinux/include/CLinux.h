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

static const uint32_t limitd_epoll_in = EPOLLIN;
static const uint32_t limitd_epoll_out = EPOLLOUT;
static const uint32_t limitd_epoll_hang_up = EPOLLHUP;
static const uint32_t limitd_epoll_error = EPOLLERR;
static const uint32_t limitd_epoll_peer_closed = EPOLLRDHUP;

#endif
