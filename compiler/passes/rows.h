// Nodes written for one row, written out for all rows at once: every value gets a leading dim of rows. What passes over
// routed blocks and over scans share.
#ifndef WEIR_COMPILER_PASSES_ROWS_H
#define WEIR_COMPILER_PASSES_ROWS_H

#include "ir/graph.h"

typedef struct {
  ir_function *function;
  ir_node *position;  // new nodes stand before it
  ir_dim rows;
  ir_value **values;  // by id of the values of one row: their stand-ins, null where there is none yet
  bool *has_rows;     // the stand-in has the leading dim; else it is one for all
} pass_rows;

// A new node of the function; null where a rule refuses it.
ir_value *pass_rows_insert(pass_rows *x, ir_op op, ir_value *const *operands, int count, const ir_attr *attrs,
                           int attr_count);
// |node| over all rows, entered into |values|. Null if an operand has no stand-in or the op has no form over rows.
// Every element keeps its operations and their order.
ir_value *pass_rows_node(pass_rows *x, const ir_node *node);

#endif
