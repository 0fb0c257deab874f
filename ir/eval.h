// The reference of single ops: one ir_eval_<name> per row of ops.def, in eval_*.c. Plain loops over float64; integers
// wrap as their type does.
//
// A caller gives the operands, and the result with dtype, dims and room for its elements. Dim attributes of the node
// must be constants: the interpreter hands over a copy of the node with the run's sizes in it. The dim of `pos` is then
// the position of its first row.
#ifndef WEIR_IR_EVAL_H
#define WEIR_IR_EVAL_H

#include "ir/graph.h"

#define OP(name, operands, attrs, type, flags, cost, meaning) \
  void ir_eval_##name(const ir_node *node, const ir_tensor *operands_, ir_tensor *result);
#include "ir/ops.def"
#undef OP

// Values put together one after another: start, add each with its place, finish. |dtype| is that of the values.
typedef struct {
  ir_combine combine;
  ir_dtype dtype;
  double value, sum;
  int64_t count, index;
} ir_combiner;
void ir_combiner_start(ir_combiner *c, ir_combine combine, ir_dtype dtype);
void ir_combiner_add(ir_combiner *c, double x, int64_t index);
double ir_combiner_finish(const ir_combiner *c);

// |value| as the nearest value of |dtype| (ties to even): what `cast` does. Floats beyond the largest become infinite
// (NaN in f8e4m3, which has no infinity); integers truncate and saturate, NaN gives 0; bool is value != 0.
double ir_round_to(ir_dtype dtype, double value);
// |value| modulo two to the width of the integer |dtype|.
double ir_wrap_to(ir_dtype dtype, int64_t value);
// Element strides of a row-major tensor.
void ir_tensor_strides(const ir_tensor *tensor, int64_t *strides);
// Offset of the |index|-th element in row-major order over |dims|, at |strides|.
int64_t ir_offset_of(int64_t index, int rank, const int64_t *dims, const int64_t *strides);

#endif
