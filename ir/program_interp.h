// Runs a whole program with the kernel interpreter in the place of compiled code: the meaning of a program, and what an
// executor and compiled kernels are compared with.
//
// Launches run in order, one item after the other. Temporaries live in one block of exactly the program's arena, filled
// with NaN patterns before the run, so that reading what was never written shows. One thread; nothing is kept between
// calls.
#ifndef WEIR_IR_PROGRAM_INTERP_H
#define WEIR_IR_PROGRAM_INTERP_H

#include "ir/kernel.h"
#include "runtime/base/program.h"

// What one call runs on. Arrays over inputs, outputs, weights and states are in the program's order; all memory is the
// caller's.
typedef struct {
  int64_t requests;       // R, at least 1
  const int64_t *values;  // [request][symbol]: rows of a seq or batch symbol, the common value of a plain one
  const int64_t *past;    // [request][symbol]: rows before this call; null: none
  const void *const *inputs;
  const size_t *input_bytes;
  void *const *outputs;
  const size_t *output_bytes;
  const void *const *weights;  // each of rt_weight.bytes
  void *const *const *states;  // [state][request]: storage of |state_bytes[state]| bytes
  const size_t *state_bytes;
  // In the interpreter's place, for each launch; null: the interpreter. |bytes| are those of the arguments, of a table
  // those of each of its pointers' memory.
  weir_status (*launch)(void *user, const ir_kernel *kernel, void *const *args, const size_t *bytes,
                        const int64_t *dims, int64_t grid);
  void *user;
} ir_program_call;

// |kernels[i]| stands for the program's kernel i. INVALID_ARGUMENT if the call does not fit the program, INVALID_DATA
// if a kernel or a launch goes wrong, with the launch. Outputs hold NaN patterns where no launch wrote.
weir_status ir_program_interpret(const rt_program *program, const ir_kernel *const *kernels,
                                 const ir_program_call *call, const ir_kinterpret_options *options);

// The program's sizes for |call|, in |out_sizes| of size_count elements: R, sums, greatest rows, greatest rows with the
// past.
weir_status ir_program_sizes(const rt_program *program, const ir_program_call *call, int64_t *out_sizes);

#endif
