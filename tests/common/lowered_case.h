// One program in all its forms: a graph function, its lowered program, weights and requests with what the graph
// interpreter says of each. Tests run the program on the packed requests, with the kernel interpreter or with compiled
// code, and compare.
#ifndef WEIR_TESTS_COMMON_LOWERED_CASE_H
#define WEIR_TESTS_COMMON_LOWERED_CASE_H

#include "codegen/lower/lower.h"
#include "runtime/exec/model.h"

enum { CASE_MAX_REQUESTS = 4 };

typedef struct lowered_case lowered_case;
// Null if |got| is good enough for element |index| of a result, else what is wrong (arena of the case).
typedef const char *(*case_compare)(lowered_case *c, int request, int result, int64_t index, double got, double want);

struct lowered_case {
  weir_arena *arena;
  const ir_function *function;
  cg_module *code;
  const rt_program *program;
  int requests;
  int64_t *sizes[CASE_MAX_REQUESTS];       // by symbol of the module
  ir_tensor *args[CASE_MAX_REQUESTS];      // in parameter order
  ir_tensor *expected[CASE_MAX_REQUESTS];  // in result order
  void **weights;                          // in the program's order, packed
  case_compare compare;                    // null: by the tolerance that a check is given
  void *user;                              // of |compare|
  // What runs launches of lowered_case_check_interpreted, as in ir_program_call; null: the interpreter.
  weir_status (*launch)(void *user, const ir_kernel *kernel, void *const *args, const size_t *bytes,
                        const int64_t *dims, int64_t grid);
  void *launch_user;
};

// Lowers the module of |function| (weights are F32) and interprets the graph for |requests| requests with random
// arguments. |fresh|: no rows before the call and states at their initial values, as a new session has them.
weir_status lowered_case_make(weir_arena *arena, const ir_function *function, uint64_t seed, int requests, bool fresh,
                              lowered_case *out);
// The same with block kernels, for a device that has them.
weir_status lowered_case_make_blocks(weir_arena *arena, const ir_function *function, uint64_t seed, int requests,
                                     bool fresh, lowered_case *out);
// The same for a module that was lowered and requests whose sizes and args are set already.
weir_status lowered_case_finish(lowered_case *c);
// Runs the program through the kernel interpreter. Null if every result is within |tolerance| (integers: equal), else
// what differs.
const char *lowered_case_check_interpreted(lowered_case *c, double tolerance);
// The same through the runtime (fresh cases only), with kernels of |provider| (borrowed) and |threads| threads, on all
// requests at once and on each alone: the bits must be equal.
const char *lowered_case_check_run(lowered_case *c, rt_kernel_provider provider, int threads, double tolerance);

// Of a step whose T grows (others pass): each request in one call, and its rows in random pieces from |seed|. Null if
// what the pieces give has the bits of the whole.
const char *lowered_case_check_pieces(lowered_case *c, rt_kernel_provider provider, int threads, uint64_t seed);

#endif
