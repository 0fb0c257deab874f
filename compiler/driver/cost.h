// What a program costs at given sizes, kernel by kernel.
#ifndef WEIR_COMPILER_DRIVER_COST_H
#define WEIR_COMPILER_DRIVER_COST_H

#include "codegen/lower/lower.h"
#include "compiler/driver/roof.h"
#include "runtime/base/program.h"

typedef struct {
  const char *kernel;
  double launches;  // in a loop, for each iteration
  double items, flops, bytes;
  double measured_s;  // 0: not measured
} cli_kernel_cost;

// A call: all requests are alike.
typedef struct {
  const int64_t *values;  // a size for each symbol of the program
  int64_t past;           // rows of each session before the call
  int requests;
} cli_call;

typedef struct {
  const rt_program *program;
  int64_t *sizes;  // of the program, in its order
  int64_t arena_bytes, weights_bytes;
  double flops, bytes;       // of all kernels
  cli_kernel_cost *kernels;  // kernel_count of the program, in its order
} cli_program_cost;

// |code| has the kernels of |program|. OUT_OF_RANGE if something overflows.
weir_status cli_cost_of(weir_arena *arena, const cg_module *code, const rt_program *program, const cli_call *call,
                        cli_program_cost *out) WEIR_MUST_USE;
// The least time that the roof allows.
double cli_cost_predict(double flops, double bytes, const cli_roof *roof);

#endif
