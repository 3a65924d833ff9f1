// A hostile client of limitd: many connections that each keep as many checks on their way as the
// daemon takes, and read the replies only to make room for more.
//
//     flood SOCKET CONNECTIONS POLICY SECONDS [UID]
//
// Connects as UID where that is given (needs root). Prints how many replies came per second. Replies
// to the hello and the bind are read like any other.

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CHECKS = 512, CHECK_BYTES = 32, TOTAL_BYTES = CHECKS * CHECK_BYTES, EVENTS = 256 };

static uint8_t start[256], checks[TOTAL_BYTES + 1], sink[1 << 18];

static void fail(const char *what) {
  fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint8_t *put(uint8_t *place, uint64_t number, int width) {
  memcpy(place, &number, (size_t)width);
  return place + width;
}

static uint8_t *header(uint8_t *place, size_t length, int operation) {
  return put(put(place, length | (uint64_t)operation << 24, 4), 1, 4);
}

// Hello, and a bind of handle 0 to tenant "flood".
static size_t make_start(const char *policy) {
  size_t name = strlen(policy);
  uint8_t *end = header(start, 16, 1);
  memcpy(end, "LMTD\1\0\0\0", 8);
  end = header(end + 8, 12 + 5 + name, 3);
  end = put(put(put(end, 0, 2), 5, 1), name, 1);
  memcpy(end, "flood", 5);
  memcpy(end + 5, policy, name);
  return (size_t)(end + 5 + name - start);
}

static int open_connection(const char *path, const struct sockaddr_un *address, size_t greeting) {
  int socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) fail("socket");
  if (connect(socket_, (const struct sockaddr *)address, sizeof *address) < 0) fail(path);
  if (send(socket_, start, greeting, MSG_NOSIGNAL) != (ssize_t)greeting) fail("hello");
  if (fcntl(socket_, F_SETFL, O_NONBLOCK) < 0) fail("fcntl");
  return socket_;
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: flood SOCKET CONNECTIONS POLICY SECONDS [UID]\n");
    return 64;
  }
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (argc > 5 && (setgid((gid_t)atoi(argv[5])) < 0 || setuid((uid_t)atoi(argv[5])) < 0))
    fail("become that user");
  int count = atoi(argv[2]);
  size_t greeting = make_start(argv[3]);
  for (int i = 0; i < CHECKS; i++) {
    uint8_t *end = put(header(checks + i * CHECK_BYTES, CHECK_BYTES, 4), (uint64_t)1 << 16, 8);
    snprintf((char *)end, 17, "%016d", i);
    // The terminator goes where the next check is written.
  }
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
  int poller = epoll_create1(EPOLL_CLOEXEC);
  // How far each connection is in the checks: a frame may be sent in parts.
  size_t *place = calloc((size_t)count, sizeof *place);
  int *sockets = calloc((size_t)count, sizeof *sockets);
  for (int i = 0; i < count; i++) {
    sockets[i] = open_connection(argv[1], &address, greeting);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data = {.u32 = (uint32_t)i}};
    epoll_ctl(poller, EPOLL_CTL_ADD, sockets[i], &event);
  }
  printf("flooding\n");
  fflush(stdout);
  struct epoll_event events[EVENTS];
  uint64_t received = 0;
  double begun = seconds(), end = begun + atof(argv[4]);
  while (seconds() < end) {
    int ready = epoll_wait(poller, events, EVENTS, 100);
    for (int i = 0; i < ready; i++) {
      uint32_t number = events[i].data.u32;
      if (events[i].events & EPOLLIN) {
        ssize_t got = recv(sockets[number], sink, sizeof sink, 0);
        if (got > 0) received += (uint64_t)got;
      }
      if (events[i].events & (EPOLLHUP | EPOLLERR)) fail("the daemon closed a connection");
      if (events[i].events & EPOLLOUT) {
        ssize_t sent = send(sockets[number], checks + place[number], TOTAL_BYTES - place[number],
                            MSG_NOSIGNAL);
        if (sent > 0) place[number] = (place[number] + (size_t)sent) % TOTAL_BYTES;
      }
    }
  }
  printf("%.0f replies per second\n", (double)received / 72 / (seconds() - begun));
  return 0;
}
