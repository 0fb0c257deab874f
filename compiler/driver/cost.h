// What a program costs at given sizes, kernel by kernel.
#ifndef WEIR_COMPILER_DRIVER_COST_H
#define WEIR_COMPILER_DRIVER_COST_H

#include "codegen/lower/lower.h"
#include "compiler/driver/kernel_cost.h"
#include "compiler/driver/roof.h"
#include "runtime/base/program.h"

typedef struct {
  const char *kernel;
  double launches;  // in a loop, for each iteration
  double items;
  cli_work work;
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
  cli_work work;             // of all kernels
  cli_kernel_cost *kernels;  // kernel_count of the program, in its order
} cli_program_cost;

// |code| has the kernels of |program|. OUT_OF_RANGE if something overflows.
weir_status cli_cost_of(weir_arena *arena, const cg_module *code, const rt_program *program, const cli_call *call,
                        cli_program_cost *out) WEIR_MUST_USE;
// How near work that took a time came to the machine's limits: that of memory, by the bytes that must be read and
// written, and that of arithmetic, by the model's own operations. The larger share is the limit that binds.
typedef struct {
  double memory_percent, compute_percent;
} cli_shares;

// The least time that the roof allows, decoding of weights included.
double cli_cost_predict(const cli_work *work, const cli_roof *roof);
cli_shares cli_cost_shares(const cli_work *work, const cli_roof *roof, double seconds);
// "memory" or "compute".
const char *cli_shares_binds(const cli_shares *shares);
double cli_shares_percent(const cli_shares *shares);  // of what binds

#endif
