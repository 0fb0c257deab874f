// Fuzzing without a fuzzing compiler: a file that defines LLVMFuzzerTestOneInput and fuzz_seed and includes this header
// is a program that mutates its seeds from a fixed random state, so that a run can be repeated.
//
//   fuzz_X [iterations [state [seed files...]]]      default: 20000 iterations, state 1
//
// Inputs lie at the end of their own allocation: built with -DWEIR_SANITIZE=ON a read past the end is found. An input
// that takes longer than ten seconds ends the program (SIGALRM). On a crash, run again with a debugger and the printed
// state and iteration count. With clang, -fsanitize=fuzzer -DWEIR_FUZZ_ENGINE leaves out main, and the same file serves
// libFuzzer.
#ifndef WEIR_TESTS_FUZZ_HARNESS_H
#define WEIR_TESTS_FUZZ_HARNESS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
// Writes seed |index| to |buffer| and returns its size; 0 past the last seed.
size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity);

#ifndef WEIR_FUZZ_ENGINE
enum { FUZZ_CAPACITY = 1 << 16, FUZZ_MAX_SEEDS = 64 };

typedef struct {
  uint8_t *data;
  size_t size;
} fuzz_input;

// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016.
static uint64_t fuzz_random(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C(2685821657736338717);
}

static size_t fuzz_below(uint64_t *state, size_t limit) {
  return limit ? (size_t)(fuzz_random(state) >> 11) % limit : 0;
}

// Overwrites 1, 2, 4 or 8 bytes with a number that breaks careless arithmetic.
static void fuzz_number(uint64_t *state, fuzz_input *input) {
  static const uint64_t numbers[] = {0,
                                     1,
                                     2,
                                     7,
                                     8,
                                     31,
                                     32,
                                     64,
                                     127,
                                     128,
                                     255,
                                     256,
                                     65535,
                                     65536,
                                     INT32_MAX,
                                     UINT32_MAX,
                                     (uint64_t)UINT32_MAX + 1,
                                     INT64_MAX,
                                     (uint64_t)INT64_MAX + 1,
                                     UINT64_MAX - 7,
                                     UINT64_MAX};
  const size_t width = (size_t)1 << fuzz_below(state, 4);
  if (input->size < width) return;
  const uint64_t number = numbers[fuzz_below(state, sizeof numbers / sizeof *numbers)];
  memcpy(input->data + fuzz_below(state, input->size - width + 1), &number, width);
}

// Copies a piece of |from| into |input|, over what is there or between.
static void fuzz_copy(uint64_t *state, fuzz_input *input, const fuzz_input *from) {
  if (!from->size) return;
  const size_t start = fuzz_below(state, from->size);
  size_t length = 1 + fuzz_below(state, from->size - start < 64 ? from->size - start : 64);
  const size_t at = fuzz_below(state, input->size + 1);
  if (fuzz_below(state, 2) == 0) {
    if (length > input->size - at) length = input->size - at;
    memmove(input->data + at, from->data + start, length);
    return;
  }
  if (input->size + length > FUZZ_CAPACITY) return;
  uint8_t piece[64];
  memcpy(piece, from->data + start, length);
  memmove(input->data + at + length, input->data + at, input->size - at);
  memcpy(input->data + at, piece, length);
  input->size += length;
}

static void fuzz_cut(uint64_t *state, fuzz_input *input) {
  const size_t at = fuzz_below(state, input->size), length = fuzz_below(state, input->size - at + 1);
  memmove(input->data + at, input->data + at + length, input->size - at - length);
  input->size -= length;
}

static void fuzz_mutate(uint64_t *state, fuzz_input *input, const fuzz_input *other) {
  switch (fuzz_below(state, 8)) {
    case 0:
    case 1:
      if (input->size) input->data[fuzz_below(state, input->size)] ^= (uint8_t)(1 << fuzz_below(state, 8));
      break;
    case 2:
      if (input->size) input->data[fuzz_below(state, input->size)] = (uint8_t)fuzz_random(state);
      break;
    case 3:
    case 4:
      fuzz_number(state, input);
      break;
    case 5:
      fuzz_copy(state, input, input);
      break;
    case 6:
      fuzz_copy(state, input, other);
      break;
    default:
      if (fuzz_below(state, 4) == 0) fuzz_cut(state, input);
  }
}

static void fuzz_once(const fuzz_input *input) {
  uint8_t *exact = malloc(input->size ? input->size : 1);
  if (!exact) return;
  memcpy(exact, input->data, input->size);
  alarm(10);
  LLVMFuzzerTestOneInput(exact, input->size);
  alarm(0);
  free(exact);
}

static int fuzz_load(int argc, char **argv, fuzz_input *seeds) {
  int count = 0;
  uint8_t *buffer = malloc(FUZZ_CAPACITY);
  for (int i = 0; buffer && count < FUZZ_MAX_SEEDS; i++) {
    size_t size = 0;
    if (i < argc) {
      FILE *file = fopen(argv[i], "rb");
      if (!file) continue;
      size = fread(buffer, 1, FUZZ_CAPACITY, file);
      fclose(file);
    } else if ((size = fuzz_seed(i - argc, buffer, FUZZ_CAPACITY)) == 0) {
      break;
    }
    seeds[count].data = malloc(FUZZ_CAPACITY);
    if (!seeds[count].data) break;
    memcpy(seeds[count].data, buffer, size);
    seeds[count++].size = size;
  }
  free(buffer);
  return count;
}

int main(int argc, char **argv) {
  const long iterations = argc > 1 ? atol(argv[1]) : 20000;
  const uint64_t first_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  uint64_t state = first_state ? first_state : 1;
  static fuzz_input seeds[FUZZ_MAX_SEEDS];
  const int count = fuzz_load(argc > 3 ? argc - 3 : 0, argv + 3, seeds);
  fuzz_input input = {malloc(FUZZ_CAPACITY), 0};
  if (!count || !input.data) return 2;
  for (int i = 0; i < count; i++) fuzz_once(&seeds[i]);
  for (long i = 0; i < iterations; i++) {
    const fuzz_input *seed = &seeds[fuzz_below(&state, (size_t)count)],
                     *other = &seeds[fuzz_below(&state, (size_t)count)];
    memcpy(input.data, seed->data, seed->size);
    input.size = seed->size;
    for (size_t rounds = 1 + fuzz_below(&state, 6); rounds; rounds--) fuzz_mutate(&state, &input, other);
    fuzz_once(&input);
  }
  printf("%d seeds, %ld mutations, state %llu: no crash\n", count, iterations, (unsigned long long)first_state);
  for (int i = 0; i < count; i++) free(seeds[i].data);
  free(input.data);
  return 0;
}
#endif
#endif
