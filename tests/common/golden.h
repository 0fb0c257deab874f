// Golden text files: one file holds a command, its input and the expected output.
//
//   # a comment for readers
//   --- command
//   print
//   --- input
//   ...
//   --- output
//   ...
//
// With WEIR_BLESS=1 in the environment the outputs are rewritten instead of compared; `git diff` then shows what
// changed.
#ifndef WEIR_TESTS_COMMON_GOLDEN_H
#define WEIR_TESTS_COMMON_GOLDEN_H

#include "runtime/base/arena.h"

// The output of |command| on |input|, allocated in |arena|; null for a command that belongs to another test.
typedef const char *(*golden_run)(weir_arena *arena, const char *command, const char *input);

// Runs every *.txt of |folder| in order of names; returns how many commands were ours, and in |*out_failed| how many
// outputs differ. Differences are printed.
int golden_check(const char *folder, golden_run run, int *out_failed);

#endif
