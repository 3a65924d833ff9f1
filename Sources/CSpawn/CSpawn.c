// A child that ends with its parent. In C, since Swift has no fork(2).
#define _GNU_SOURCE
#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int limitd_spawn_bound(char *const arguments[], const sigset_t *mask, int *error) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    *error = errno;
    return -1;
  }
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) {
    // Between fork and exec only what signal-safety(7) lists.
    int failure = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 ? 0 : errno;
    // The parent may have ended before the kernel was asked.
    if (failure == 0 && getppid() != parent) _exit(127);
    sigprocmask(SIG_SETMASK, mask, NULL);
    if (failure == 0) {
      execvp(arguments[0], arguments);
      failure = errno;
    }
    (void)!write(report[1], &failure, sizeof failure);
    _exit(127);
  }
  int failure = child < 0 ? errno : 0;
  close(report[1]);
  if (child > 0) {
    ssize_t count;
    // Nothing comes where exec closed the other end.
    do count = read(report[0], &failure, sizeof failure);
    while (count < 0 && errno == EINTR);
    if (count != sizeof failure) failure = 0;
    if (failure != 0) waitpid(child, NULL, 0);
  }
  close(report[0]);
  *error = failure;
  return failure == 0 ? child : -1;
}
