// The documentation page of the op table.
#ifndef WEIR_IR_PRINT_OPS_H
#define WEIR_IR_PRINT_OPS_H

#include "ir/graph.h"

// Markdown of docs/ops.md: one table a group of ops (name, operands, attributes, rule, meaning, cost), then the
// attributes.
const char *ir_print_ops_markdown(weir_arena *arena);

#endif
