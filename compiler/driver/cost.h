// What a program costs at given sizes: per kernel, from the compiler's own counts.
#ifndef WEIR_COMPILER_DRIVER_COST_H
#define WEIR_COMPILER_DRIVER_COST_H

#include "compiler/driver/roof.h"
#include "runtime/base/program.h"

typedef struct {
  const char *kernel;
  int launches;
  double items, flops, bytes;
  double measured_s;  // 0: not measured
} cli_kernel_cost;

typedef struct {
  const rt_program *program;
  int64_t *sizes;  // of the program, in its order
  int64_t arena_bytes, weights_bytes;
  cli_kernel_cost *kernels;  // kernel_count of the program, in its order
} cli_program_cost;

// |values|: a size for each symbol, of one request; all |requests| are alike. OUT_OF_RANGE if something overflows.
weir_status cli_cost_of(weir_arena *arena, const rt_program *program, const int64_t *values, int requests,
                        cli_program_cost *out) WEIR_MUST_USE;
// The least time that the roof allows.
double cli_cost_predict(const cli_kernel_cost *cost, const cli_roof *roof);

#endif
