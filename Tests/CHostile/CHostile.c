// fork(2) and system calls that act on one thread, which Swift cannot reach.

#define _GNU_SOURCE
#include "CHostile.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct errand {
  const struct limitd_launch *launch;
  int result;
  sem_t done;
};

static int limit(int what, uint64_t soft, uint64_t hard) {
  struct rlimit bound;
  if (getrlimit(what, &bound) < 0) return -1;
  if (hard != 0) bound.rlim_max = hard;
  if (soft != 0) bound.rlim_cur = soft;
  if (bound.rlim_cur > bound.rlim_max) bound.rlim_cur = bound.rlim_max;
  return setrlimit(what, &bound);
}

// The child's side: only calls that are safe after fork in a process with threads.
static void become_program(const struct limitd_launch *launch) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, 0);
  if (dup2(launch->standard_error, 2) < 0) _exit(126);
  syscall(SYS_close_range, 3u, ~0u, 0u);
  if (limit(RLIMIT_NOFILE, launch->descriptors_soft, launch->descriptors_hard) < 0) _exit(126);
  if (launch->address_space != 0 &&
      limit(RLIMIT_AS, launch->address_space, launch->address_space) < 0)
    _exit(126);
  if (launch->user >= 0) {
    uint32_t user = (uint32_t)launch->user;
    if (syscall(SYS_setgroups, 0, 0) < 0 || syscall(SYS_setresgid, user, user, user) < 0 ||
        syscall(SYS_setresuid, user, user, user) < 0)
      _exit(126);
  }
  // Changing the user clears this.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  execv(launch->arguments[0], launch->arguments);
  _exit(127);
}

// PR_SET_PDEATHSIG goes by the thread that forked, so that one lives as long as the child.
static void *run_errand(void *argument) {
  struct errand *errand = argument;
  pid_t child = fork();
  if (child == 0) become_program(errand->launch);
  errand->result = child < 0 ? -errno : child;
  sem_post(&errand->done);
  siginfo_t end;
  if (child > 0)
    while (waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT) < 0 && errno == EINTR) continue;
  return 0;
}

int limitd_launch(const struct limitd_launch *launch) {
  struct errand errand = {.launch = launch};
  pthread_t thread;
  sem_init(&errand.done, 0, 0);
  int status = pthread_create(&thread, 0, run_errand, &errand);
  if (status != 0) return -status;
  pthread_detach(thread);
  while (sem_wait(&errand.done) < 0) continue;
  return errand.result;
}

int limitd_become(uint32_t user) {
  // glibc's own function would change every thread of the process.
  return (int)syscall(SYS_setresuid, (uid_t)-1, (uid_t)user, (uid_t)-1);
}

ssize_t limitd_pass_descriptors(int socket, int descriptor, int count, uint8_t byte) {
  int copies[253];
  if (count < 1 || count > 253) {
    errno = EINVAL;
    return -1;
  }
  for (int copy = 0; copy < count; copy++) copies[copy] = descriptor;
  size_t length = sizeof(int) * (size_t)count;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof copies)];
  memset(control, 0, sizeof control);
  struct iovec data = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = CMSG_SPACE(length)};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(length);
  memcpy(CMSG_DATA(header), copies, length);
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}
