// Inlining: a call is replaced by its callee's nodes where the callee is small and calls nothing, or where it is called
// from one place only. So the parts of a layer (projections, norms, attention) melt into it and can be fused, while the
// layer itself, called thirty times, stays one function that is lowered once.
//
// Callees stand before callers, so that a callee is done when its callers are looked at and one walk suffices.
#include <string.h>

#include "compiler/passes/pass.h"
#include "ir/rules.h"

enum { SMALL = 24 };

typedef struct {
  int nodes, inner_calls;  // in its body and its regions'
  int callers;             // calls of it in the whole module
} facts;

// The module's functions as the pass found them: cloned regions come on top of those.
typedef struct {
  ir_function **functions;
  int count;
  facts *all;
} survey;

static facts *facts_of(const survey *s, const ir_function *function) {
  for (int i = 0; i < s->count; i++) {
    if (s->functions[i] == function) return &s->all[i];
  }
  return NULL;
}

static void count_body(const survey *s, const ir_function *function, facts *out) {
  out->nodes = out->inner_calls = 0;
  for (const ir_node *node = function->first; node; node = node->next) {
    const ir_function *parts[2] = {node->callee, node->second};
    out->nodes++;
    out->inner_calls += node->op == IR_OP_call || node->op == IR_OP_route;
    for (int i = 0; i < 2 && ir_op_get_info(node->op)->flags & IR_FLAG_REGION; i++) {
      const facts *inner = parts[i] ? facts_of(s, parts[i]) : NULL;
      if (inner) out->nodes += inner->nodes;
      if (inner) out->inner_calls += inner->inner_calls;
    }
  }
}

static bool is_wanted(const facts *callee) {
  return callee && (callee->callers == 1 || (callee->nodes <= SMALL && callee->inner_calls == 0));
}

// `pos` counts from the rows before T, or before what a window keeps. It means the same in the caller if it begins at
// the same number there; in an entry nothing was before.
static bool keeps_position(const ir_node *call, ir_dim dim, const ir_dim *map) {
  ir_dim_table *dims = call->parent->module->dims;
  ir_dim before = ir_dim_substitute(dims, ir_dim_first_position(dims, dim), map);
  ir_dim moved = ir_dim_substitute(dims, dim, map);
  ir_dim after = moved ? ir_dim_first_position(dims, moved) : NULL;
  if (!before || !after || before == after) return before && after;
  if (call->parent->kind != IR_FUNCTION_ENTRY) return false;
  ir_dim zero = ir_dim_const(dims, 0);
  ir_dim *start = WEIR_NEW_ARRAY(call->parent->module->arena, ir_dim, ir_symbol_count(dims));
  for (int i = 0; i < ir_symbol_count(dims); i++) {
    const ir_symbol *symbol = ir_symbol_at(dims, i);
    if (symbol->kept_of) start[i] = zero;
    if (symbol->past) start[symbol->past->index] = zero;
  }
  return ir_dim_substitute(dims, before, start) == zero && ir_dim_substitute(dims, after, start) == zero;
}

static bool keeps_positions(const ir_node *call, const ir_function *body, const ir_dim *map) {
  for (const ir_node *node = body->first; node; node = node->next) {
    const ir_function *parts[2] = {node->callee, node->second};
    if (node->op == IR_OP_pos && !keeps_position(call, node->attrs[0].dim, map)) return false;
    for (int i = 0; i < 2; i++) {
      if (parts[i] && parts[i]->kind == IR_FUNCTION_REGION && !keeps_positions(call, parts[i], map)) return false;
    }
  }
  return true;
}

static bool inline_call(ir_node *call) {
  ir_function *caller = call->parent, *callee = call->callee;
  weir_arena *arena = caller->module->arena;
  const char *error;
  ir_dim *map = WEIR_NEW_ARRAY(arena, ir_dim, ir_symbol_count(caller->module->dims));
  if (!ir_call_bind(callee, call->operands, call->operand_count, map, &error) || !keeps_positions(call, callee, map))
    return false;
  ir_value **values = WEIR_NEW_ARRAY(arena, ir_value *, callee->next_id);
  for (int i = 0; i < callee->param_count; i++) values[callee->params[i].value->id] = call->operands[i];
  ir_node *before = call->prev;
  for (const ir_node *inner = callee->first; inner; inner = inner->next) {
    if (ir_node_clone(caller, call, inner, map, values)) continue;
    while (call->prev != before) ir_node_remove(call->prev);
    return false;
  }
  for (int i = 0; i < callee->result_count; i++) {
    ir_value *result = values[callee->results[i].value->id];
    if (result->def && call->results[i]->name) result->name = call->results[i]->name;
    ir_value_replace(caller, call->results[i], result);
  }
  ir_node_remove(call);
  return true;
}

static survey take_survey(const ir_module *module) {
  survey s = {.count = module->function_count};
  s.functions = WEIR_NEW_ARRAY(module->arena, ir_function *, s.count);
  s.all = WEIR_NEW_ARRAY(module->arena, facts, s.count);
  for (int i = 0; i < s.count; i++) s.functions[i] = module->functions[i];
  for (int i = 0; i < s.count; i++) {
    for (const ir_node *node = s.functions[i]->first; node; node = node->next) {
      if (node->op == IR_OP_call || node->op == IR_OP_route) facts_of(&s, node->callee)->callers++;
    }
  }
  return s;
}

bool pass_inline(ir_module *module) {
  survey s = take_survey(module);
  bool progress = false;
  for (int i = 0; i < s.count; i++) {
    for (ir_node *node = s.functions[i]->first, *next; node; node = next) {
      next = node->next;
      if (node->op == IR_OP_call && is_wanted(facts_of(&s, node->callee))) progress |= inline_call(node);
    }
    count_body(&s, s.functions[i], &s.all[i]);
  }
  return progress;
}
