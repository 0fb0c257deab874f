// Long concats become trees of short ones: a kernel reads a bounded number of values (codegen/lower), and a concat is
// never cut later.
#include "compiler/passes/pass.h"

enum { MAX_OPERANDS = 8 };

static ir_node *split(ir_function *function, ir_node *node) {
  const ir_attr *axis = ir_node_attr(node, IR_ATTR_axis);
  ir_value *parts[MAX_OPERANDS];
  int share = (node->operand_count + MAX_OPERANDS - 1) / MAX_OPERANDS, count = 0;
  for (int from = 0; from < node->operand_count; from += share) {
    int length = node->operand_count - from < share ? node->operand_count - from : share;
    ir_node *part =
        length == 1 ? NULL
                    : ir_insert(function, node, IR_OP_concat, node->operands + from, length, axis, 1, node->loc, NULL);
    parts[count++] = part ? part->results[0] : node->operands[from];
  }
  ir_node *whole = ir_insert(function, node, IR_OP_concat, parts, count, axis, 1, node->loc, NULL);
  ir_value_replace(function, node->results[0], whole->results[0]);
  ir_node_remove(node);
  return whole;
}

bool pass_split_concat(ir_module *module) {
  bool progress = false;
  for (int i = 0; i < module->function_count; i++) {
    ir_function *function = module->functions[i];
    for (ir_node *node = function->first, *next; node; node = next) {
      next = node->next;
      if (node->op != IR_OP_concat || node->operand_count <= MAX_OPERANDS) continue;
      ir_node *before = node->prev;
      split(function, node);
      next = before ? before->next : function->first;  // the parts may be long themselves
      progress = true;
    }
  }
  return progress;
}
