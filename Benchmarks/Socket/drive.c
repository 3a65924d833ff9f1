// Drives the echo server or limitd with the same code, so that what differs is the server.
//
//     drive echo SOCKET ROUNDS PER_WRITE REQUEST_BYTES REPLY_BYTES
//     drive limitd SOCKET ROUNDS PER_WRITE KEYS POLICY
//
// One connection. Writes PER_WRITE requests at once, reads all their replies, ROUNDS times; prints
// `round trips per second, requests per second, p50 and p99 of a round in microseconds`. limitd is
// asked for checks of 32 bytes with keys of 16, each of KEYS in a shuffled order, tenant "bench";
// its replies have 72 bytes. PER_WRITE above 1 with limitd sends one batch frame (26 bytes an item,
// 64 bytes an answer). The requests are made before the clock starts.

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Requests made beforehand; a round takes the next of them.
enum { POOL_BYTES = 1 << 23, REPLY_BYTES = 1 << 20 };

static int descriptor;
static uint8_t pool[POOL_BYTES], reply[REPLY_BYTES];

static void fail(const char *what) {
  fprintf(stderr, "drive: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void send_all(const uint8_t *bytes, size_t count) {
  while (count > 0) {
    ssize_t sent = send(descriptor, bytes, count, MSG_NOSIGNAL);
    if (sent < 0) fail("send");
    bytes += sent;
    count -= (size_t)sent;
  }
}

static void receive_all(size_t count) {
  for (size_t have = 0; have < count;) {
    ssize_t got = recv(descriptor, reply + have, count - have, 0);
    if (got <= 0) fail("recv");
    have += (size_t)got;
  }
}

static uint8_t *put(uint8_t *place, uint64_t number, int width) {
  memcpy(place, &number, (size_t)width);
  return place + width;
}

static uint8_t *header(uint8_t *place, size_t length, int operation) {
  return put(put(place, length | (uint64_t)operation << 24, 4), 1, 4);
}

// Hello, and a bind of handle 0 to tenant "bench".
static void greet(const char *policy) {
  size_t name = strlen(policy);
  uint8_t *end = header(pool, 16, 1);
  memcpy(end, "LMTD\1\0\0\0", 8);
  send_all(pool, 16);
  receive_all(8);
  size_t length = (size_t)reply[0] | (size_t)reply[1] << 8;
  if (reply[3] != 0x81) fail("hello was refused");
  receive_all(length - 8);
  end = header(pool, 12 + 5 + name, 3);
  end = put(put(put(end, 0, 2), 5, 1), name, 1);
  memcpy(end, "bench", 5);
  memcpy(end + 5, policy, name);
  send_all(pool, 17 + name);
  receive_all(8);
  length = (size_t)reply[0] | (size_t)reply[1] << 8;
  if (reply[3] != 0x83) fail("bind was refused");
  receive_all(length - 8);
}

// The keys are visited in an order that no prefetcher knows.
static uint64_t keys, position;

static uint8_t *key(uint8_t *place) {
  position = (position * 6364136223846793005u + 1442695040888963407u);
  static const char digits[] = "0123456789abcdef";
  uint64_t number = (position >> 33) % keys;
  for (int i = 0; i < 16; i++) *place++ = (uint8_t)digits[number >> (4 * (15 - i)) & 15];
  return place;
}

// Writes one request, or one batch of them.
static uint8_t *fill(uint8_t *place, size_t per_write) {
  if (per_write == 1) return key(put(header(place, 32, 4), (uint64_t)1 << 16, 8));
  place = put(header(place, 12 + 26 * per_write, 9), per_write, 4);
  for (size_t i = 0; i < per_write; i++) place = key(put(put(place, (uint64_t)1 << 16, 8), 16, 2));
  return place;
}

static int ascending(const void *left, const void *right) {
  double l = *(const double *)left, r = *(const double *)right;
  return (l > r) - (l < r);
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: drive echo|limitd SOCKET ROUNDS PER_WRITE …\n");
    return 64;
  }
  int is_limitd = strcmp(argv[1], "limitd") == 0;
  size_t rounds = strtoul(argv[3], 0, 10), per_write = strtoul(argv[4], 0, 10);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, argv[2], sizeof address.sun_path - 1);
  descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0) fail(argv[2]);
  size_t sent, expected;
  if (is_limitd) {
    keys = strtoul(argv[5], 0, 10);
    greet(argv[6]);
    sent = per_write == 1 ? 32 : 12 + 26 * per_write;
    expected = per_write == 1 ? 72 : 16 + 64 * per_write;
  } else {
    sent = per_write * strtoul(argv[5], 0, 10);
    expected = per_write * strtoul(argv[6], 0, 10);
  }
  if (sent > POOL_BYTES || expected > REPLY_BYTES) fail("PER_WRITE is too large");
  size_t writes = POOL_BYTES / sent;
  if (is_limitd) for (size_t i = 0; i < writes; i++) fill(pool + i * sent, per_write);
  double *times = calloc(rounds, sizeof *times);
  // A tenth more before the clock starts: caches, branch predictors, the daemon's tables.
  size_t warm_up = rounds / 10;
  double start = 0;
  uint64_t allowed = 0;
  for (size_t round = 0; round < rounds + warm_up; round++) {
    if (round == warm_up) start = seconds();
    double before = seconds();
    send_all(pool + round % writes * sent, sent);
    receive_all(expected);
    if (round >= warm_up) times[round - warm_up] = seconds() - before;
    if (is_limitd && reply[3] == 0xFF) fail("an error reply");
    if (is_limitd) allowed += reply[per_write == 1 ? 8 : 16] == 0;
  }
  double elapsed = seconds() - start;
  qsort(times, rounds, sizeof *times, ascending);
  printf("%.0f %.0f %.2f %.2f", (double)rounds / elapsed, (double)(rounds * per_write) / elapsed,
         times[rounds / 2] * 1e6, times[rounds * 99 / 100] * 1e6);
  if (is_limitd) printf(" %.3f", (double)allowed / (double)(rounds + warm_up));
  printf("\n");
  return 0;
}
