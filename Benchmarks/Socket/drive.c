// Drives the echo server or limitd with the same code, so that what differs is the server.
//
//     drive echo SOCKET CONNECTIONS ROUNDS PER_WRITE REQUEST_BYTES REPLY_BYTES
//     drive limitd SOCKET CONNECTIONS ROUNDS PER_WRITE KEYS POLICY [TENANTS]
//
// Each connection writes PER_WRITE requests at once, waits for all their replies, and begins anew; ROUNDS
// times in all; with ROUNDS 0 until it is told to end by SIGTERM, after it has printed `ready` as the clock
// starts. Prints `rounds per second, requests per second, p50 and p99 of a round in microseconds`,
// and for limitd the part of the rounds whose first request was allowed, and how many were charged to a
// bucket that several share. One connection is a blocking loop, several
// are one thread over epoll.
//
// limitd is asked for checks of 32 bytes with keys of 16, each of KEYS once in a scattered order before
// any comes again, for the tenants "bench-0" to "bench-<TENANTS - 1>" in turn (1 unless given); its
// replies have 72 bytes. PER_WRITE above 1 with limitd sends one batch frame (26 bytes an item, 64 bytes
// an answer). The requests are made before the clock starts, as many as there are keys. Where the keys are
// many, each is sent once before, in batches and without being counted, so that every key is live.

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
  REPLY_BYTES = 1 << 20,
  CONNECTIONS_MAX = 8192,
  EVENTS = 256,
  // Keys beyond which each is sent once before the clock starts, and how many at once.
  KEYS_MANY = 1 << 17,
  BATCH = 256,
  // Where nobody says how many.
  ROUNDS_MAX = 10 * 1000 * 1000,
  WARM_UP = 6000,
};

// Requests made beforehand; a round takes the next of them.
static uint8_t *pool, reply[REPLY_BYTES];
static size_t pool_writes, next_write;

static void fail(const char *what) {
  fprintf(stderr, "drive: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void send_all(int descriptor, const uint8_t *bytes, size_t count) {
  while (count > 0) {
    ssize_t sent = send(descriptor, bytes, count, MSG_NOSIGNAL);
    if (sent < 0) fail("send");
    bytes += sent;
    count -= (size_t)sent;
  }
}

static void receive_all(int descriptor, size_t count) {
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

static void expect(int descriptor, int operation, const char *what) {
  receive_all(descriptor, 8);
  size_t length = (size_t)reply[0] | (size_t)reply[1] << 8;
  if (reply[3] != operation) fail(what);
  receive_all(descriptor, length - 8);
}

// Hello, and a bind of each handle to its tenant.
static void greet(int descriptor, const char *policy, size_t tenants) {
  uint8_t frame[256];
  size_t name = strlen(policy);
  memcpy(header(frame, 16, 1), "LMTD\1\0\0\0", 8);
  send_all(descriptor, frame, 16);
  expect(descriptor, 0x81, "hello was refused");
  for (size_t handle = 0; handle < tenants; handle++) {
    char tenant[24];
    size_t length = (size_t)snprintf(tenant, sizeof tenant, "bench-%zu", handle);
    uint8_t *end = header(frame, 12 + length + name, 3);
    end = put(put(put(end, handle, 2), length, 1), name, 1);
    memcpy(end, tenant, length);
    memcpy(end + length, policy, name);
    send_all(descriptor, frame, 12 + length + name);
    expect(descriptor, 0x83, "bind was refused");
  }
}

// The keys are visited in an order that no prefetcher knows, each once before any comes again: steps of
// the golden section, made coprime to their number.
static uint64_t keys, step, position, tenants = 1, tenant;

static uint64_t divisor(uint64_t left, uint64_t right) {
  return right == 0 ? left : divisor(right, left % right);
}

static uint8_t *key(uint8_t *place) {
  static const char digits[] = "0123456789abcdef";
  position = (position + step) % keys;
  for (int i = 0; i < 16; i++) *place++ = (uint8_t)digits[position >> (4 * (15 - i)) & 15];
  return place;
}

static uint64_t handle_and_cost(void) {
  tenant = (tenant + 1) % tenants;
  return (uint64_t)1 << 16 | tenant;
}

// Writes one request, or one batch of them.
static uint8_t *fill(uint8_t *place, size_t per_write) {
  if (per_write == 1) return key(put(header(place, 32, 4), handle_and_cost(), 8));
  place = put(header(place, 12 + 26 * per_write, 9), per_write, 4);
  for (size_t i = 0; i < per_write; i++)
    place = key(put(put(place, handle_and_cost(), 8), 16, 2));
  return place;
}

static int ascending(const void *left, const void *right) {
  double l = *(const double *)left, r = *(const double *)right;
  return (l > r) - (l < r);
}

static int is_limitd;
static size_t sent, expected, per_write;
static uint64_t allowed, overflowing;

static const uint8_t *next_request(void) {
  const uint8_t *request = pool + next_write * sent;
  next_write = next_write + 1 == pool_writes ? 0 : next_write + 1;
  return request;
}

static void note(void) {
  if (is_limitd && reply[3] == 0xFF) fail("an error reply");
  if (!is_limitd) return;
  const uint8_t *record = reply + (per_write == 1 ? 8 : 16);
  allowed += record[0] == 0;
  overflowing += (record[2] & 4) != 0;
}

static volatile sig_atomic_t is_over;

static void end(int number) {
  (void)number;
  is_over = 1;
}

// Makes what is sent, `each` requests at once; the echo's are of so many bytes.
static void make_requests(size_t each, size_t request_bytes, size_t reply_bytes) {
  per_write = each;
  if (is_limitd) {
    sent = each == 1 ? 32 : 12 + 26 * each;
    expected = each == 1 ? 72 : 16 + 64 * each;
  } else {
    sent = each * request_bytes;
    expected = each * reply_bytes;
  }
  if (expected > REPLY_BYTES) fail("PER_WRITE is too large");
  // So many that caches do not know them by heart, and each key once.
  pool_writes = (8u << 20) / sent + 1;
  size_t writes_of_keys = is_limitd ? (keys + each - 1) / each : 0;
  if (writes_of_keys > pool_writes) pool_writes = writes_of_keys;
  pool = malloc(pool_writes * sent);
  if (!pool) fail("malloc");
  if (is_limitd) for (size_t i = 0; i < pool_writes; i++) fill(pool + i * sent, each);
  else memset(pool, 0, pool_writes * sent);
}

// One connection: `rounds` rounds, whose times go to `times` where that is given. How many it were.
static size_t run_one(int descriptor, size_t rounds, double *times) {
  size_t round = 0;
  for (; round < rounds && !is_over; round++) {
    double before = times ? seconds() : 0;
    send_all(descriptor, next_request(), sent);
    receive_all(descriptor, expected);
    if (times) times[round] = seconds() - before;
    note();
  }
  return round;
}

struct connection {
  int descriptor;
  size_t missing;
  double began;
};

// Several connections, each with one round on its way.
static void run_many(int epoll, struct connection *all, size_t count, size_t rounds, double *times) {
  size_t begun = 0, done = 0;
  for (size_t i = 0; i < count && begun < rounds; i++, begun++) {
    all[i].missing = expected;
    all[i].began = seconds();
    send_all(all[i].descriptor, next_request(), sent);
  }
  while (done < rounds) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(epoll, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      struct connection *one = events[i].data.ptr;
      ssize_t got = recv(one->descriptor, reply, one->missing, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) fail("recv");
      one->missing -= (size_t)got;
      if (one->missing > 0) continue;
      note();
      double now = seconds();
      if (times) times[done] = now - one->began;
      done++;
      if (begun == rounds) continue;
      begun++;
      one->missing = expected;
      one->began = now;
      send_all(one->descriptor, next_request(), sent);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 8 && argc != 9) {
    fprintf(stderr, "usage: drive echo|limitd SOCKET CONNECTIONS ROUNDS PER_WRITE …\n");
    return 64;
  }
  is_limitd = strcmp(argv[1], "limitd") == 0;
  size_t count = strtoul(argv[3], 0, 10), rounds = strtoul(argv[4], 0, 10);
  size_t each = strtoul(argv[5], 0, 10);
  if (count < 1 || count > CONNECTIONS_MAX) fail("CONNECTIONS");
  if (is_limitd) {
    keys = strtoul(argv[6], 0, 10);
    if (argc == 9) tenants = strtoul(argv[8], 0, 10);
    for (step = (uint64_t)((double)keys * 0.618) | 1; divisor(step, keys) != 1; step += 2) {}
  }
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  static struct connection all[CONNECTIONS_MAX];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, argv[2], sizeof address.sun_path - 1);
  for (size_t i = 0; i < count; i++) {
    all[i].descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(all[i].descriptor, (struct sockaddr *)&address, sizeof address) < 0) fail(argv[2]);
    if (is_limitd) greet(all[i].descriptor, argv[7], tenants);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].descriptor, &event) < 0) fail("epoll_ctl");
  }
  if (is_limitd && keys > KEYS_MANY) {
    make_requests(BATCH, 0, 0);
    run_one(all[0].descriptor, pool_writes, 0);
    free(pool);
    next_write = 0;
  }
  make_requests(each, strtoul(argv[6], 0, 10), strtoul(argv[7], 0, 10));
  int is_open = rounds == 0;
  if (is_open && count != 1) fail("ROUNDS 0 is for one connection");
  if (is_open) rounds = ROUNDS_MAX;
  double *times = calloc(rounds, sizeof *times);
  if (!times) fail("calloc");
  // Before the clock starts: caches, branch predictors, the daemon's tables.
  size_t warm_up = is_open ? WARM_UP : rounds / 10;
  if (count == 1) run_one(all[0].descriptor, warm_up, 0);
  else run_many(epoll, all, count, warm_up, 0);
  allowed = 0;
  if (is_open) {
    signal(SIGTERM, end);
    printf("ready\n");
    fflush(stdout);
  }
  double start = seconds();
  if (count == 1) rounds = run_one(all[0].descriptor, rounds, times);
  else run_many(epoll, all, count, rounds, times);
  double elapsed = seconds() - start;
  if (rounds == 0) fail("no round");
  qsort(times, rounds, sizeof *times, ascending);
  printf("%.0f %.0f %.2f %.2f", (double)rounds / elapsed, (double)(rounds * per_write) / elapsed,
         times[rounds / 2] * 1e6, times[rounds * 99 / 100] * 1e6);
  if (is_limitd)
    printf(" %.3f %.0f", (double)allowed / (double)rounds, (double)overflowing);
  printf("\n");
  return 0;
}
