// Random well-typed graph modules: the programs on which graph interpreter, kernel interpreter and generated code must
// agree.
//
// Everything follows from the seed. Symbols: T (seq, 1..=12, always the first dim, rows of one request) and N
// (plain, 1..=5). Values are kept tame, so that results of different precision can be compared: magnitudes stay below
// about 64, and ops with jumps (floor, comparisons, casts to integers, argmax ...) only see values that f32 computes
// exactly from the arguments of random_module_args. Compare floats with an absolute tolerance of 1e-3; integers and
// bools must be equal.
#ifndef WEIR_TESTS_COMMON_RANDOM_MODULE_H
#define WEIR_TESTS_COMMON_RANDOM_MODULE_H

#include "ir/graph.h"

typedef struct {
  bool no_seq_reduce;  // no op reduces or mixes rows of T (sum, softmax, argmax over it, attention without causal)
  bool no_states;      // an entry; else about a third of the modules hold a step with states
  bool no_calls;
  bool only_f32;  // no casts to other element types than i32 and bool
} random_module_options;

// Adds one or two block functions and, last, a function "main" of about |node_count| nodes to |module|; returns main.
// The module passes ir_verify. |module| must be new.
ir_function *random_module_create(ir_module *module, uint64_t seed, int node_count);
ir_function *random_module_create_with(ir_module *module, uint64_t seed, int node_count,
                                       const random_module_options *options);

// True of the ops that random modules use.
bool random_module_makes(ir_op op);

// Random sizes by symbol index, within bounds. Rows before T (T.past) are 0..=6.
void random_module_sizes(const ir_module *module, uint64_t seed, int64_t *sizes);
// Makes T.keepN what T.past says.
void random_module_keep(const ir_module *module, int64_t *sizes);
// Arguments for these sizes: floats are multiples of 1/4 in [-2, 2] (of 1/8 in [-1/2, 1/2] for weights), integers lie
// in their range.
void random_module_args(weir_arena *arena, const ir_function *function, uint64_t seed, const int64_t *sizes,
                        ir_tensor *args);

#endif
