// Ops without kernels of their own become index notation (map, fold) or ops that have kernels, so that every target
// that lowers those runs them. The formulas are those of the reference in ir/eval_*.c; what runs is a plain loop nest.
//
// Small floats are added up in f32. An op that cannot be expanded stays, and lowering says so.
#include <math.h>

#include "compiler/passes/expand.h"
#include "compiler/passes/pass.h"

// The values that stand for the node's results, in |out|; false where the node stays.
typedef bool (*expand_fn)(ir_node *node, ir_value **out);

static const expand_fn table[IR_OP_COUNT] = {
    [IR_OP_any] = expand_reduce,
    [IR_OP_all] = expand_reduce,
    [IR_OP_argmin] = expand_reduce,
    [IR_OP_conv] = expand_conv,
    [IR_OP_conv_transpose] = expand_conv_transpose,
    [IR_OP_max_pool] = expand_pool,
    [IR_OP_avg_pool] = expand_pool,
    [IR_OP_resize_nearest] = expand_move,
    [IR_OP_resize_linear] = expand_resize_linear,
    [IR_OP_pad] = expand_move,
    [IR_OP_pad_edge] = expand_move,
    [IR_OP_pad_reflect] = expand_move,
    [IR_OP_reverse] = expand_move,
    [IR_OP_roll] = expand_move,
    [IR_OP_tile] = expand_move,
    [IR_OP_repeat] = expand_move,
    [IR_OP_one_hot] = expand_one_hot,
    [IR_OP_stack] = expand_stack,
    [IR_OP_dft] = expand_fourier,
    [IR_OP_rfft] = expand_fourier,
    [IR_OP_irfft] = expand_fourier,
    [IR_OP_quantize] = expand_quantize,
    [IR_OP_dequantize] = expand_quantize,
    [IR_OP_attend] = expand_attend,
};

static bool expand(ir_function *function, ir_node *node) {
  ir_value *results[2] = {NULL};
  if (!table[node->op] || !table[node->op](node, results)) return false;
  for (int i = 0; i < node->result_count; i++) {
    if (results[i]->def && !results[i]->name) results[i]->name = node->results[i]->name;
    ir_value_replace(function, node->results[i], results[i]);
  }
  ir_node_remove(node);
  return true;
}

// Functions are gathered first: expanding adds regions in front of them.
bool pass_expand(ir_module *module) {
  int count = module->function_count;
  ir_function **functions = WEIR_NEW_ARRAY(module->arena, ir_function *, count);
  bool progress = false;
  for (int i = 0; i < count; i++) functions[i] = module->functions[i];
  for (int i = 0; i < count; i++) {
    for (ir_node *node = functions[i]->first, *next; node; node = next) {
      next = node->next;
      progress |= expand(functions[i], node);
    }
  }
  return progress;
}
