// Random well-typed programs in the language: what people write, not what the compiler makes of it. They use blocks,
// fns, states of every kind, index notation, scan, cond, ragged and batch dims, all element types and most ops.
//
// A program follows from a stream of choices. While it is made the stream records them, so that a failing program can
// be made smaller: leave choices out or set them to 0 (the simplest form everywhere), make the program again, and keep
// what still fails (random_text_shrink).
//
// Values are kept tame, so that results of different precision can be compared: magnitudes stay below 64, and ops with
// jumps (floor, comparisons, argmax, sorting) only see values that float32 computes exactly from the arguments of
// random_module_args (multiples of 1/4 in [-2, 2]).
#ifndef WEIR_TESTS_COMMON_RANDOM_TEXT_H
#define WEIR_TESTS_COMMON_RANDOM_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/arena.h"

typedef struct {
  uint32_t *data;
  int count, capacity;
  int next;         // the next one to take
  uint64_t random;  // behind the end of data: where new ones come from; 0: they are 0
} random_choices;

// A model "Random" with an entry or a step "main", and a step "remember" before it where it reads what that one writes.
// |choices| is read from its start; new ones are added to it (arena).
const char *random_text(weir_arena *arena, random_choices *choices);

// How far results may differ between levels, by the coarsest type that the program computes in.
double random_text_tolerance(const char *program);

// Whether the program that |text| is still fails; called with texts that may be refused, which are no failures.
typedef bool (*random_text_fails)(void *user, const char *text);
// The smallest program found in |attempts| that still fails, beginning with that of |choices|, which fails.
const char *random_text_shrink(weir_arena *arena, const random_choices *choices, random_text_fails fails, void *user,
                               int attempts);

#endif
