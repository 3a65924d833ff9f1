// The floor: what one round trip over a Unix socket costs at all.
//
//     echo SOCKET REQUEST_BYTES REPLY_BYTES
//
// A server over epoll that answers every REQUEST_BYTES with REPLY_BYTES and does nothing else:
// one read, one write. Ends when its standard input ends.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUFFER = 1 << 20, CONNECTIONS = 1 << 16, EVENTS = 256 };

static char input[BUFFER];
static char output[BUFFER];
// Bytes of a request that has begun, by descriptor.
static size_t begun[CONNECTIONS];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: echo SOCKET REQUEST_BYTES REPLY_BYTES\n");
    return 64;
  }
  size_t request = strtoul(argv[2], 0, 10), reply = strtoul(argv[3], 0, 10);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
  unlink(argv[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(listener, 1024) < 0) fail("listen");
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int watched[] = {listener, STDIN_FILENO};
  for (int i = 0; i < 2; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = watched[i]};
    // A standard input that cannot be watched (a file) never ends.
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, watched[i], &event) < 0 && i == 0) fail("epoll_ctl");
  }
  for (;;) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        fd = accept(listener, 0, 0);
        if (fd < 0 || fd >= CONNECTIONS) fail("accept");
        begun[fd] = 0;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
        continue;
      }
      ssize_t length = read(fd, input, fd == STDIN_FILENO ? 1 : 16384);
      if (fd == STDIN_FILENO && length <= 0) {
        unlink(argv[1]);
        return 0;
      }
      if (length <= 0) {
        close(fd);
        continue;
      }
      size_t total = begun[fd] + (size_t)length;
      begun[fd] = total % request;
      size_t left = total / request * reply;
      while (left > 0) {
        ssize_t sent = send(fd, output, left < BUFFER ? left : BUFFER, MSG_NOSIGNAL);
        if (sent < 0) break;
        left -= (size_t)sent;
      }
    }
  }
}
