// The formulas of pass_expand.c. Each builds, in front of |node|, the values that stand for its results; false where
// the node has to stay.
#ifndef WEIR_COMPILER_PASSES_EXPAND_H
#define WEIR_COMPILER_PASSES_EXPAND_H

#include "ir/graph.h"

bool expand_reduce(ir_node *node, ir_value **out);
bool expand_move(ir_node *node, ir_value **out);
bool expand_one_hot(ir_node *node, ir_value **out);
bool expand_stack(ir_node *node, ir_value **out);
bool expand_fourier(ir_node *node, ir_value **out);
bool expand_quantize(ir_node *node, ir_value **out);
bool expand_conv(ir_node *node, ir_value **out);
bool expand_conv_transpose(ir_node *node, ir_value **out);
bool expand_pool(ir_node *node, ir_value **out);
bool expand_resize_linear(ir_node *node, ir_value **out);
bool expand_attend(ir_node *node, ir_value **out);

#endif
