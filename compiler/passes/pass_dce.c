// Dead code: nodes whose results nobody uses (states are values, so a call has no other effect), and blocks that no
// entry or step reaches. In a module without entries and steps every function stays. Signatures stay as they are.
#include "compiler/passes/pass.h"

static bool is_used(const ir_node *node, const bool *used) {
  for (int i = 0; i < node->result_count; i++) {
    if (used[node->results[i]->id]) return true;
  }
  return false;
}

static bool drop_nodes(ir_function *function) {
  bool *used = WEIR_NEW_ARRAY(function->module->arena, bool, function->next_id);
  bool progress = false;
  for (int i = 0; i < function->result_count; i++) used[function->results[i].value->id] = true;
  for (ir_node *node = function->last, *prev; node; node = prev) {
    prev = node->prev;
    if (is_used(node, used)) {
      for (int i = 0; i < node->operand_count; i++) used[node->operands[i]->id] = true;
    } else {
      ir_node_remove(node);
      progress = true;
    }
  }
  return progress;
}

static int function_index(const ir_module *module, const ir_function *function) {
  int i = 0;
  while (module->functions[i] != function) i++;
  return i;
}

static bool drop_functions(ir_module *module) {
  bool *reached = WEIR_NEW_ARRAY(module->arena, bool, module->function_count), any = false;
  for (int i = module->function_count - 1; i >= 0; i--) {  // callers stand behind callees
    const ir_function *function = module->functions[i];
    if (function->kind == IR_FUNCTION_ENTRY || function->kind == IR_FUNCTION_STEP) any = reached[i] = true;
    for (const ir_node *node = function->first; node && reached[i]; node = node->next) {
      if (node->callee) reached[function_index(module, node->callee)] = true;
      if (node->second) reached[function_index(module, node->second)] = true;
    }
  }
  int kept = 0, before = module->function_count;
  for (int i = 0; i < before && any; i++) {
    if (reached[i]) module->functions[kept++] = module->functions[i];
  }
  if (any) module->function_count = kept;
  return module->function_count < before;
}

bool pass_dce(ir_module *module) {
  bool progress = false;
  for (int i = 0; i < module->function_count; i++) progress |= drop_nodes(module->functions[i]);
  return drop_functions(module) || progress;
}
