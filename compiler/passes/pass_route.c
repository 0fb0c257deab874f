// Run-time choice of a block becomes choices of matrices: the body of a routed block is written out over all rows at
// once, each of its products a route of its own that chooses among matrices, every other weight gathered by the index.
//
// Exact: rows do not see each other in a routed block, and every element keeps its operations. A block with an op that
// has no form over rows stays as it is.
#include <string.h>

#include "compiler/passes/pass.h"
#include "compiler/passes/rows.h"

typedef struct {
  ir_module *module;
  ir_node *route;
  pass_rows rows;
} expansion;

static const ir_param *weight_of(const ir_function *callee, const ir_value *value) {
  bool weight = !value->def && callee->params[value->result].kind == IR_PARAM_WEIGHT;
  return weight ? &callee->params[value->result] : NULL;
}

static bool is_routed_linear(const ir_function *callee) {
  const ir_node *node = callee->first;
  return node && !node->next && node->op == IR_OP_linear && callee->param_count == 2 && callee->result_count == 1 &&
         callee->results[0].value == node->results[0] && node->operands[0] == callee->params[0].value &&
         weight_of(callee, node->operands[1]) == &callee->params[1];
}

static bool is_constant_type(const ir_type *type) {
  int64_t number;
  for (int i = 0; i < type->rank; i++)
    if (!ir_dim_is_const(type->dims[i], &number)) return false;
  return true;
}

// The block that is one product of these types; made once, before all others.
static ir_function *linear_block(ir_module *module, const ir_type *x, const ir_type *w) {
  const char *name = weir_arena_printf(module->arena, "route.linear %s %s", ir_type_print(module->arena, x),
                                       ir_type_print(module->arena, w));
  ir_function *block = ir_function_find(module, name);
  if (block) return block;
  block = ir_function_create(module, IR_FUNCTION_BLOCK, name);
  ir_value *operands[2] = {ir_function_add_param(block, IR_PARAM_INPUT, "x", *x),
                           ir_function_add_param(block, IR_PARAM_WEIGHT, "weight", *w)};
  ir_value *y = ir_build(block, IR_OP_linear, operands, 2, NULL, 0, (ir_loc){0}, NULL);
  ir_function_add_result(block, "", y, -1);
  memmove(module->functions + 1, module->functions, (size_t)(module->function_count - 1) * sizeof *module->functions);
  module->functions[0] = block;
  return block;
}

static ir_value *expand_linear(expansion *x, const ir_node *node) {
  const ir_function *callee = x->route->callee;
  const ir_param *weight = weight_of(callee, node->operands[1]);
  const ir_type *in = &node->operands[0]->type, *w = &node->operands[1]->type;
  int from = node->operands[0]->id, to = node->results[0]->id;
  if (!weight || !x->rows.has_rows[from] || !is_constant_type(in) || !is_constant_type(w)) return NULL;
  ir_value *operands[3] = {x->route->operands[0], x->rows.values[from],
                           x->route->operands[1 + (weight - callee->params)]};
  ir_function *block = linear_block(x->module, in, w);
  ir_node *made =
      ir_insert_region(x->rows.function, x->route, IR_OP_route, block, NULL, operands, 3, NULL, 0, x->route->loc, NULL);
  x->rows.has_rows[to] = true;
  return x->rows.values[to] = made ? made->results[0] : NULL;
}

// A value of the callee over all rows; weights are gathered where something other than a product needs them.
static ir_value *value_at(expansion *x, const ir_value *value) {
  const ir_param *weight = weight_of(x->route->callee, value);
  if (weight && !x->rows.values[value->id]) {
    ir_value *operands[2] = {x->route->operands[1 + (weight - x->route->callee->params)], x->route->operands[0]};
    x->rows.values[value->id] = pass_rows_insert(&x->rows, IR_OP_gather, operands, 2, NULL, 0);
    x->rows.has_rows[value->id] = true;
  }
  return x->rows.values[value->id];
}

static ir_value *expand_node(expansion *x, const ir_node *node) {
  if (node->op == IR_OP_linear) return expand_linear(x, node);
  for (int i = 0; i < node->operand_count; i++)
    if (!value_at(x, node->operands[i])) return NULL;
  return pass_rows_node(&x->rows, node);
}

// Writes the body out before the route. False where something has no form: then what was written is used by nobody.
static bool expand(expansion *x) {
  const ir_function *callee = x->route->callee;
  for (int i = 0; i < callee->param_count; i++) {
    if (callee->params[i].kind != IR_PARAM_INPUT) continue;
    x->rows.values[callee->params[i].value->id] = x->route->operands[i + 1];
    x->rows.has_rows[callee->params[i].value->id] = true;
  }
  for (const ir_node *node = callee->first; node; node = node->next)
    if (!expand_node(x, node)) return false;
  for (int i = 0; i < callee->result_count; i++) {
    const ir_value *result = callee->results[i].value;
    ir_value *made = value_at(x, result);
    if (!made || !x->rows.has_rows[result->id] || !ir_type_equal(&made->type, &x->route->results[i]->type))
      return false;
  }
  for (int i = 0; i < callee->result_count; i++)
    ir_value_replace(x->rows.function, x->route->results[i], value_at(x, callee->results[i].value));
  ir_node_remove(x->route);
  return true;
}

bool pass_route(ir_module *module) {
  bool progress = false;
  for (int i = 0; i < module->function_count; i++) {
    ir_function *function = module->functions[i];
    for (ir_node *node = function->first, *next; node; node = next) {
      next = node->next;
      if (node->op != IR_OP_route || is_routed_linear(node->callee)) continue;
      int count = node->callee->next_id, functions = module->function_count;
      expansion x = {.module = module,
                     .route = node,
                     .rows = {.function = function,
                              .position = node,
                              .rows = node->operands[0]->type.dims[0],
                              .values = WEIR_NEW_ARRAY(module->arena, ir_value *, count),
                              .has_rows = WEIR_NEW_ARRAY(module->arena, bool, count)}};
      progress |= expand(&x);
      i += module->function_count - functions;  // blocks of products stand before all others
    }
  }
  return progress;
}
