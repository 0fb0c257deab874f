// Regions built by passes: what index notation in a model's text would give. A value of a region is a scalar; a `seen`
// is a value of the function around as the region sees it.
#ifndef WEIR_COMPILER_PASSES_NOTATION_H
#define WEIR_COMPILER_PASSES_NOTATION_H

#include "ir/graph.h"

typedef struct {
  ir_function *function;  // the region
  ir_loc loc;
  const ir_dim *dims;  // of its indices
  int dim_count;
  ir_value *idx[IR_MAX_RANK];
  ir_value **outer;  // what it captures, values of the function around, in order
  ir_value **seen;   // and its parameters for them
  int outer_count;
} notation;

// Opens a region over |dims| that captures |outer|, for a node of |owner|.
void note_open(notation *n, ir_function *owner, const char *name, ir_loc loc, const ir_dim *dims, int dim_count,
               ir_value *const *outer, int outer_count);
// Ends it with |value| (and |guard|, may be null) and builds its owner before |position|: a map, or a fold by
// |combine|.
ir_value *note_map(notation *n, ir_function *owner, ir_node *position, ir_value *value);
ir_value *note_fold(notation *n, ir_function *owner, ir_node *position, ir_combine combine, ir_value *value,
                    ir_value *guard);
// Opens a fold inside of |outer|: it sees the indices of |outer| (in |out_idx|) and all that |outer| captures.
void note_inside(notation *n, const notation *outer, const char *name, const ir_dim *dims, int dim_count,
                 ir_value **out_idx);

ir_value *note_int(notation *n, int64_t value);
ir_value *note_number(notation *n, double value, ir_dtype dtype);
ir_value *note_size(notation *n, ir_dim dim);
ir_value *note_op(notation *n, ir_op op, ir_value *x, ir_value *y);  // y may be null
ir_value *note_select(notation *n, ir_value *condition, ir_value *x, ir_value *y);
ir_value *note_cast(notation *n, ir_value *x, ir_dtype dtype);
ir_value *note_element(notation *n, ir_value *x, ir_value *const *idx, int count);
// |at| kept in 0..|size|.
ir_value *note_clamp(notation *n, ir_value *at, ir_dim size);
// 0 <= |at| < |size|, and |so_far| (may be null).
ir_value *note_inside_of(notation *n, ir_value *at, ir_dim size, ir_value *so_far);

#endif
