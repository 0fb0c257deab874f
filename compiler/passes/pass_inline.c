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
  int nodes, inner_calls;  // in its body
  int callers;             // calls of it in the whole module
} facts;

static int function_index(const ir_module *module, const ir_function *function) {
  int i = 0;
  while (module->functions[i] != function) i++;
  return i;
}

static void count_body(const ir_function *function, facts *out) {
  out->nodes = out->inner_calls = 0;
  for (const ir_node *node = function->first; node; node = node->next) {
    out->nodes++;
    out->inner_calls += node->callee != NULL;
  }
}

static bool is_wanted(const facts *callee) {
  return callee->callers == 1 || (callee->nodes <= SMALL && callee->inner_calls == 0);
}

// `pos` counts from the rows before T. It means the same in the caller if those rows are the ones of T's stand-in
// there.
static bool keeps_positions(const ir_node *call, const ir_dim *map) {
  ir_dim_table *dims = call->parent->module->dims;
  for (const ir_node *node = call->callee->first; node; node = node->next) {
    const ir_symbol *symbol = node->op == IR_OP_pos ? ir_dim_as_symbol(node->attrs[0].dim) : NULL;
    if (!symbol || !symbol->past) continue;
    const ir_symbol *outer = map[symbol->index] ? ir_dim_as_symbol(map[symbol->index]) : symbol;
    ir_dim past = map[symbol->past->index] ? map[symbol->past->index] : ir_dim_symbol(dims, symbol->past);
    bool from_zero =
        past == ir_dim_const(dims, 0) && (call->parent->kind == IR_FUNCTION_ENTRY || !outer || !outer->past);
    if (!from_zero && !(outer && outer->past && past == ir_dim_symbol(dims, outer->past))) return false;
  }
  return true;
}

// |attr| with the caller's dims.
static ir_attr move_attr(ir_dim_table *dims, const ir_attr *attr, const ir_dim *map) {
  ir_attr moved = *attr;
  ir_attr_kind kind = ir_attr_get_kind(attr->name);
  if (kind == IR_ATTR_DIM) moved.dim = ir_dim_substitute(dims, attr->dim, map);
  for (int i = 0; kind == IR_ATTR_DIMS && i < attr->count; i++)
    moved.dims[i] = ir_dim_substitute(dims, attr->dims[i], map);
  return moved;
}

// Copies |inner| before |call|; |values| maps the callee's value ids. False where a rule refuses it under the caller's
// dims.
static bool copy_node(ir_node *call, const ir_node *inner, const ir_dim *map, ir_value **values) {
  ir_function *caller = call->parent;
  weir_arena *arena = caller->module->arena;
  ir_value **operands = WEIR_NEW_ARRAY(arena, ir_value *, inner->operand_count);
  ir_attr attrs[4];
  for (int i = 0; i < inner->operand_count; i++) operands[i] = values[inner->operands[i]->id];
  for (int i = 0; i < inner->attr_count; i++) attrs[i] = move_attr(caller->module->dims, &inner->attrs[i], map);
  ir_node *copy = inner->callee
                      ? ir_insert_call(caller, call, inner->callee, operands, inner->operand_count, inner->loc, NULL)
                      : ir_insert(caller, call, inner->op, operands, inner->operand_count, attrs, inner->attr_count,
                                  inner->loc, NULL);
  if (!copy) return false;
  for (int i = 0; i < copy->result_count; i++) {
    const ir_value *was = inner->results[i];
    ir_value *now = copy->results[i];
    now->name = was->name;
    if (was->lo <= was->hi && (now->lo > now->hi || was->lo > now->lo)) now->lo = was->lo;
    if (was->lo <= was->hi && (now->lo > now->hi || was->hi < now->hi)) now->hi = was->hi;
    values[was->id] = now;
  }
  return true;
}

static bool inline_call(ir_node *call) {
  ir_function *caller = call->parent, *callee = call->callee;
  weir_arena *arena = caller->module->arena;
  const char *error;
  ir_dim *map = WEIR_NEW_ARRAY(arena, ir_dim, ir_symbol_count(caller->module->dims));
  if (!ir_call_bind(callee, call->operands, call->operand_count, map, &error) || !keeps_positions(call, map))
    return false;
  ir_value **values = WEIR_NEW_ARRAY(arena, ir_value *, callee->next_id);
  for (int i = 0; i < callee->param_count; i++) values[callee->params[i].value->id] = call->operands[i];
  ir_node *before = call->prev;
  for (const ir_node *inner = callee->first; inner; inner = inner->next) {
    if (copy_node(call, inner, map, values)) continue;
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

bool pass_inline(ir_module *module) {
  facts *all = WEIR_NEW_ARRAY(module->arena, facts, module->function_count);
  bool progress = false;
  for (int i = 0; i < module->function_count; i++) {
    for (const ir_node *node = module->functions[i]->first; node; node = node->next) {
      if (node->callee) all[function_index(module, node->callee)].callers++;
    }
  }
  for (int i = 0; i < module->function_count; i++) {
    for (ir_node *node = module->functions[i]->first, *next; node; node = next) {
      next = node->next;
      if (node->callee && is_wanted(&all[function_index(module, node->callee)])) progress |= inline_call(node);
    }
    count_body(module->functions[i], &all[i]);
  }
  return progress;
}
