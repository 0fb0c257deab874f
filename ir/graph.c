// Modules, functions, nodes: building and changing. A node's types come from its rule (rules.h), never from the caller.
#include "ir/graph.h"

#include <string.h>

#include "ir/rules.h"

// ---- modules and functions

ir_module *ir_module_create(weir_arena *arena, const char *name) {
  ir_module *module = WEIR_NEW(arena, ir_module);
  module->arena = arena;
  module->dims = ir_dim_table_create(arena);
  module->name = weir_arena_strdup(arena, name);
  return module;
}

ir_function *ir_function_create(ir_module *module, ir_function_kind kind, const char *name) {
  ir_function *function = WEIR_NEW(module->arena, ir_function);
  function->kind = kind;
  function->name = weir_arena_strdup(module->arena, name);
  function->module = module;
  WEIR_PUSH(module->arena, module->functions, module->function_count, module->function_capacity, function);
  return function;
}

ir_function *ir_function_find(const ir_module *module, const char *name) {
  for (int i = 0; i < module->function_count; i++) {
    if (!strcmp(module->functions[i]->name, name)) return module->functions[i];
  }
  return NULL;
}

static ir_value *new_value(ir_function *function, const ir_type *type, ir_node *def, int result) {
  ir_value *value = WEIR_NEW(function->module->arena, ir_value);
  *value = (ir_value){.type = *type, .def = def, .result = result, .id = function->next_id++, .lo = 1, .hi = 0};
  return value;
}

ir_value *ir_function_add_param(ir_function *function, ir_param_kind kind, const char *name, ir_type type) {
  weir_arena *arena = function->module->arena;
  ir_param param = {.kind = kind, .name = weir_arena_strdup(arena, name)};
  param.value = new_value(function, &type, NULL, function->param_count);
  WEIR_PUSH(arena, function->params, function->param_count, function->param_capacity, param);
  return param.value;
}

void ir_function_add_result(ir_function *function, const char *name, ir_value *value, int state) {
  weir_arena *arena = function->module->arena;
  ir_result result = {.name = weir_arena_strdup(arena, name), .value = value, .state = state};
  WEIR_PUSH(arena, function->results, function->result_count, function->result_capacity, result);
}

// ---- building

static void link_node(ir_function *function, ir_node *node, ir_node *position) {
  node->next = position;
  node->prev = position ? position->prev : function->last;
  *(node->prev ? &node->prev->next : &function->first) = node;
  *(position ? &position->prev : &function->last) = node;
}

static ir_node *new_node(ir_function *function, ir_op op, ir_value *const *operands, int operand_count, ir_loc loc) {
  weir_arena *arena = function->module->arena;
  ir_node *node = WEIR_NEW(arena, ir_node);
  *node = (ir_node){.op = op, .operand_count = operand_count, .parent = function, .loc = loc};
  node->operands = WEIR_NEW_ARRAY(arena, ir_value *, operand_count);
  for (int i = 0; i < operand_count; i++) node->operands[i] = operands[i];
  return node;
}

// The attributes in the table's order; null with a reason where one is missing, double or foreign.
static ir_attr *order_attrs(ir_function *function, ir_op op, const ir_attr *attrs, int count, const char **out_error) {
  const ir_op_info *info = ir_op_get_info(op);
  weir_arena *arena = function->module->arena;
  ir_attr *ordered = WEIR_NEW_ARRAY(arena, ir_attr, info->attr_count);
  for (int i = 0; i < info->attr_count; i++) {
    int found = -1;
    for (int j = 0; j < count; j++) {
      if (attrs[j].name == info->attrs[i]) found = j;
    }
    if (found < 0) {
      *out_error =
          weir_arena_printf(arena, "%s: attribute '%s' is missing", info->name, ir_attr_get_name(info->attrs[i]));
      return NULL;
    }
    ordered[i] = attrs[found];
    if (ordered[i].count < 0 || ordered[i].count > IR_MAX_RANK) {
      *out_error = weir_arena_printf(arena, "%s: attribute '%s' has %d entries; %d are the most", info->name,
                                     ir_attr_get_name(info->attrs[i]), ordered[i].count, IR_MAX_RANK);
      return NULL;
    }
  }
  if (count != info->attr_count) {
    *out_error = weir_arena_printf(arena, "%s: has %d attributes, not %d", info->name, info->attr_count, count);
    return NULL;
  }
  return ordered;
}

static int function_index(const ir_module *module, const ir_function *function) {
  int i = 0;
  while (i < module->function_count && module->functions[i] != function) i++;
  return i;
}

// Moves a region, and those in it, in front of its owner.
static void move_before(ir_function *region, const ir_function *owner) {
  ir_module *module = owner->module;
  int from = function_index(module, region), to = function_index(module, owner);
  if (region->kind != IR_FUNCTION_REGION || from < to || from == module->function_count) return;
  memmove(module->functions + to + 1, module->functions + to, (size_t)(from - to) * sizeof *module->functions);
  module->functions[to] = region;
  for (const ir_node *node = region->first; node; node = node->next) {
    if (node->callee) move_before(node->callee, region);
    if (node->second) move_before(node->second, region);
  }
}

// What a new node is made from.
typedef struct {
  ir_op op;
  ir_function *callee, *second;
  ir_value *const *operands;
  int operand_count;
  const ir_attr *attrs;
  int attr_count;
  ir_loc loc;
} node_parts;

static ir_node *insert_node(ir_function *function, ir_node *position, const node_parts *parts, const char **out_error) {
  weir_arena *arena = function->module->arena;
  for (int i = 0; i < parts->operand_count; i++) {
    if (parts->operands[i]) continue;
    *out_error = weir_arena_printf(arena, "%s: operand %d is missing", ir_op_get_info(parts->op)->name, i);
    return NULL;
  }
  ir_attr *ordered = order_attrs(function, parts->op, parts->attrs, parts->attr_count, out_error);
  if (!ordered) return NULL;
  ir_inference inference = {.module = function->module,
                            .op = parts->op,
                            .operands = parts->operands,
                            .operand_count = parts->operand_count,
                            .attrs = ordered,
                            .callee = parts->callee,
                            .second = parts->second};
  if (!ir_infer(&inference)) {
    *out_error = inference.error;
    return NULL;
  }
  ir_node *node = new_node(function, parts->op, parts->operands, parts->operand_count, parts->loc);
  node->attrs = ordered;
  node->attr_count = parts->attr_count;
  node->callee = parts->callee;
  node->second = parts->second;
  node->results = WEIR_NEW_ARRAY(arena, ir_value *, inference.result_count);
  node->result_count = inference.result_count;
  for (int i = 0; i < node->result_count; i++) {
    const ir_inferred *result = &inference.results[i];
    node->results[i] = new_value(function, &result->type, node, i);
    node->results[i]->lo = result->lo;
    node->results[i]->hi = result->hi;
  }
  link_node(function, node, position);
  return node;
}

ir_node *ir_insert(ir_function *function, ir_node *position, ir_op op, ir_value *const *operands, int operand_count,
                   const ir_attr *attrs, int attr_count, ir_loc loc, const char **out_error) {
  const char *ignored;
  node_parts parts = {op, NULL, NULL, operands, operand_count, attrs, attr_count, loc};
  return insert_node(function, position, &parts, out_error ? out_error : &ignored);
}

ir_node *ir_insert_region(ir_function *function, ir_node *position, ir_op op, ir_function *first, ir_function *second,
                          ir_value *const *operands, int operand_count, const ir_attr *attrs, int attr_count,
                          ir_loc loc, const char **out_error) {
  const char *ignored;
  node_parts parts = {op, first, second, operands, operand_count, attrs, attr_count, loc};
  ir_node *node = insert_node(function, position, &parts, out_error ? out_error : &ignored);
  if (!node) return NULL;
  if (first) move_before(first, function);
  if (second) move_before(second, function);
  return node;
}

ir_node *ir_build_region(ir_function *function, ir_op op, ir_function *first, ir_function *second,
                         ir_value *const *operands, int operand_count, const ir_attr *attrs, int attr_count, ir_loc loc,
                         const char **out_error) {
  return ir_insert_region(function, NULL, op, first, second, operands, operand_count, attrs, attr_count, loc,
                          out_error);
}

ir_value *ir_build(ir_function *function, ir_op op, ir_value *const *operands, int operand_count, const ir_attr *attrs,
                   int attr_count, ir_loc loc, const char **out_error) {
  ir_node *node = ir_insert(function, NULL, op, operands, operand_count, attrs, attr_count, loc, out_error);
  return node ? node->results[0] : NULL;
}

ir_value *ir_build1(ir_function *function, ir_op op, ir_value *x, ir_loc loc, const char **out_error) {
  return ir_build(function, op, &x, 1, NULL, 0, loc, out_error);
}

ir_value *ir_build2(ir_function *function, ir_op op, ir_value *x, ir_value *y, ir_loc loc, const char **out_error) {
  ir_value *operands[2] = {x, y};
  return ir_build(function, op, operands, 2, NULL, 0, loc, out_error);
}

ir_value *ir_build_constant(ir_function *function, double value, ir_dtype dtype, ir_loc loc) {
  ir_attr attrs[2] = {ir_attr_float(IR_ATTR_value, value), ir_attr_dtype(IR_ATTR_dtype, dtype)};
  return ir_build(function, IR_OP_constant, NULL, 0, attrs, 2, loc, NULL);
}

// Result |index| of a call under |map|; null with a reason where a dim overflows.
static ir_value *call_result(ir_function *function, ir_node *node, int index, const ir_dim *map,
                             const char **out_error) {
  const ir_value *inner = node->callee->results[index].value;
  ir_type type = inner->type;
  for (int i = 0; i < type.rank; i++) {
    type.dims[i] = ir_dim_substitute(function->module->dims, type.dims[i], map);
    if (!type.dims[i]) {
      *out_error = weir_arena_printf(function->module->arena, "call %s: a dim of result %d overflows",
                                     node->callee->name, index);
      return NULL;
    }
  }
  ir_value *value = new_value(function, &type, node, index);
  value->lo = inner->lo;
  value->hi = inner->hi;
  return value;
}

ir_node *ir_insert_call(ir_function *function, ir_node *position, ir_function *callee, ir_value *const *operands,
                        int operand_count, ir_loc loc, const char **out_error) {
  const char *ignored;
  if (!out_error) out_error = &ignored;
  weir_arena *arena = function->module->arena;
  ir_dim *map = WEIR_NEW_ARRAY(arena, ir_dim, ir_symbol_count(function->module->dims));
  if (!ir_call_bind(callee, operands, operand_count, map, out_error)) return NULL;
  ir_node *node = new_node(function, IR_OP_call, operands, operand_count, loc);
  node->callee = callee;
  node->result_count = callee->result_count;
  node->results = WEIR_NEW_ARRAY(arena, ir_value *, callee->result_count);
  for (int i = 0; i < callee->result_count; i++) {
    node->results[i] = call_result(function, node, i, map, out_error);
    if (!node->results[i]) return NULL;
  }
  link_node(function, node, position);
  return node;
}

ir_node *ir_build_call(ir_function *function, ir_function *callee, ir_value *const *operands, int operand_count,
                       ir_loc loc, const char **out_error) {
  return ir_insert_call(function, NULL, callee, operands, operand_count, loc, out_error);
}

// ---- changing

void ir_node_remove(ir_node *node) {
  ir_function *function = node->parent;
  *(node->prev ? &node->prev->next : &function->first) = node->next;
  *(node->next ? &node->next->prev : &function->last) = node->prev;
  node->prev = node->next = NULL;
}

void ir_value_replace(ir_function *function, ir_value *old, ir_value *with) {
  for (ir_node *node = function->first; node; node = node->next) {
    for (int i = 0; i < node->operand_count; i++) {
      if (node->operands[i] == old) node->operands[i] = with;
    }
  }
  for (int i = 0; i < function->result_count; i++) {
    if (function->results[i].value == old) function->results[i].value = with;
  }
}

int ir_value_use_count(const ir_function *function, const ir_value *value) {
  int count = 0;
  for (const ir_node *node = function->first; node; node = node->next) {
    for (int i = 0; i < node->operand_count; i++) count += node->operands[i] == value;
  }
  for (int i = 0; i < function->result_count; i++) count += function->results[i].value == value;
  return count;
}

void ir_function_renumber(ir_function *function) {
  int id = 0;
  for (int i = 0; i < function->param_count; i++) function->params[i].value->id = id++;
  for (ir_node *node = function->first; node; node = node->next) {
    for (int i = 0; i < node->result_count; i++) node->results[i]->id = id++;
  }
  function->next_id = id;
}
