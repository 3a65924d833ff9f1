// A child that ends with its parent.
#ifndef CSPAWN_H
#define CSPAWN_H

#include <signal.h>

/// Starts a program of PATH with this process's streams and the signal mask `mask`. The kernel kills it
/// when the thread that started it ends (PR_SET_PDEATHSIG), however that comes about.
///
/// Returns its process id, or -1 with the number of the error in `error`.
int limitd_spawn_bound(char *const arguments[], const sigset_t *mask, int *error);

#endif
