// What memory looks like after each instruction that changes it: what a process that is killed there
// leaves in a shared mapping. Tests only.
#ifndef LIMITD_CSTORES_H
#define LIMITD_CSTORES_H

#include <stddef.h>
#include <stdint.h>

/// Runs `body(context)` and copies `memory` after each instruction of the calling thread that changed
/// it. Nobody else may use `memory` meanwhile. One caller at a time; others wait.
///
/// - memory: begins at a page; readable and writable.
/// - bytes: its size, a multiple of a page.
/// - copies: room for `capacity` times `bytes`; more are counted, and not kept.
/// - returns: how often it changed; -1 where the processor cannot be stepped (not x86-64).
int64_t limitd_states_during(void (*body)(void *), void *context, void *memory, size_t bytes,
                             uint8_t *copies, int64_t capacity);

#endif
