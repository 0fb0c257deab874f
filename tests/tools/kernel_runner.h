// What a test and its kernel_runner say to each other. Both are little-endian, with the same layout of these structs.
#ifndef WEIR_TESTS_TOOLS_KERNEL_RUNNER_H
#define WEIR_TESTS_TOOLS_KERNEL_RUNNER_H

#include <stdint.h>

enum { RUNNER_NAME_BYTES = 256, RUNNER_MOST = 16 };  // the most arguments, and the most sizes

// Followed by the symbol (RUNNER_NAME_BYTES), |dim_count| sizes of 8 bytes, and |arg_count| arguments.
typedef struct {
  int64_t begin, end, scratch_bytes;
  int32_t arg_count, dim_count;
} runner_call;

// Followed by |count| times |bytes|. A table is handed over as an array of |count| pointers, else count is 1.
typedef struct {
  int64_t count, bytes;
  int32_t table, unused;
} runner_arg;

#endif
