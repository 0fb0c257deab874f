// Operands for every row of ir/ops.def: what a test needs to try an op on all dtypes, shapes and values.
//
// A case is the text of one node with `$` for a dtype, the types of its operands and of what it gives. A type may say
// more behind a `#`: the range of an integer (`i32[T]#in 0..=4`) or how it is filled (`$[]#scale`). Dims: T, S (ragged,
// from 0), L (ragged, from 1), N (plain, from 0), K (plain, from 1). A case is tried with every dtype; those that the
// op's rule refuses are no part of the matrix. An op without a case fails the test that uses the table.
#ifndef WEIR_TESTS_COMMON_OP_CASES_H
#define WEIR_TESTS_COMMON_OP_CASES_H

#include "ir/graph.h"

enum { OP_CASE_OPERANDS = 5, OP_CASE_RUNS = 5, OP_CASE_REQUESTS = 4 };

// Values of the last run: which of NaN, infinities, zeros of both signs, denormals and the ends of the type an op can
// be compared on. Elementwise ops see all pairs of them, others have them strewn among tame numbers.
typedef enum {
  OP_SPECIAL_ALL,    // everything
  OP_SPECIAL_MILD,   // no numbers so large that the order of sums decides whether they overflow
  OP_SPECIAL_PLAIN,  // no denormals either: products of several would be lost in other places
  OP_SPECIAL_NONE,
} op_special;

// How far a float may be from the float64 reference, in units in the last place of the type it is computed in.
typedef enum {
  OP_NEAR,   // |ulps| of the result; 0: equal
  OP_SUMS,   // |ulps| of the same op's result on absolute values: sums of products in any order
  OP_SCALE,  // |ulps| of the largest operand: differences
} op_measure;

typedef struct {
  const char *node;                     // "add %0, %1"
  const char *types[OP_CASE_OPERANDS];  // of the operands; "state $[...]": a state of rows
  const char *result;                   // its type, or two
  double ulps;
  op_measure measure;
  op_special special;
  const char *before;  // functions in front of the entry that the node names
} op_case;

const op_case *op_cases(int *out_count);
// The op of a case's node.
ir_op op_case_op(const op_case *c);
// A module of the case with |dtype|; null where a rule refuses it, the reason in |*out_error|.
ir_module *op_case_module(weir_arena *arena, const op_case *c, ir_dtype dtype, const char **out_error);

// Sizes of run |run| by symbol for each request; returns how many requests it has, 0 if the module's dims make it the
// same as an earlier one. The last run holds the special values.
int op_case_sizes(const ir_module *module, int run, int64_t *sizes[OP_CASE_REQUESTS]);
// Arguments of one request.
void op_case_args(weir_arena *arena, const op_case *c, const ir_function *function, int run, int request,
                  const int64_t *sizes, ir_tensor *args);

#endif
