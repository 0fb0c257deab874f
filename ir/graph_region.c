// Copies of nodes and regions under other dims, and the removal of regions that nobody owns any more.
//
// A region has the dims of its owner, so a pass that moves an owner to other dims moves its regions with it: nothing
// here binds symbols. Recursion is as deep as regions are nested, which the verifier bounds.
#include <stdlib.h>
#include <string.h>

#include "ir/graph.h"

static ir_function *clone_of(ir_module *module, const ir_function *region, const ir_dim *map) {
  return region && region->kind == IR_FUNCTION_REGION ? ir_region_clone(module, region, map) : (ir_function *)region;
}

static ir_node *copy_with_functions(ir_function *function, ir_node *position, const ir_node *node, const ir_dim *map,
                                    ir_value *const *operands, const ir_attr *attrs) {
  ir_module *module = function->module;
  ir_function *first = clone_of(module, node->callee, map), *second = clone_of(module, node->second, map);
  if (!first || (node->second && !second)) return NULL;
  return ir_insert_region(function, position, node->op, first, second, operands, node->operand_count, attrs,
                          node->attr_count, node->loc, NULL);
}

ir_node *ir_node_clone(ir_function *function, ir_node *position, const ir_node *node, const ir_dim *map,
                       ir_value **values) {
  ir_module *module = function->module;
  ir_value **operands = WEIR_NEW_ARRAY(module->arena, ir_value *, node->operand_count);
  ir_attr attrs[IR_MAX_ATTRS];
  ir_node *copy;
  for (int i = 0; i < node->operand_count; i++) operands[i] = values[node->operands[i]->id];
  for (int i = 0; i < node->attr_count; i++)
    attrs[i] = map ? ir_attr_substitute(module->dims, &node->attrs[i], map) : node->attrs[i];
  if (node->op == IR_OP_call)
    copy = ir_insert_call(function, position, node->callee, operands, node->operand_count, node->loc, NULL);
  else if (node->callee) copy = copy_with_functions(function, position, node, map, operands, attrs);
  else
    copy = ir_insert(function, position, node->op, operands, node->operand_count, attrs, node->attr_count, node->loc,
                     NULL);
  if (!copy) return NULL;
  for (int i = 0; i < copy->result_count; i++) {
    const ir_value *was = node->results[i];
    ir_value *now = copy->results[i];
    now->name = was->name;
    if (was->lo <= was->hi && (now->lo > now->hi || was->lo > now->lo)) now->lo = was->lo;
    if (was->lo <= was->hi && (now->lo > now->hi || was->hi < now->hi)) now->hi = was->hi;
    values[was->id] = now;
  }
  return copy;
}

// "relu.map0" and its clones "relu.map0.c1", "relu.map0.c2" ...
const char *ir_module_fresh_name(ir_module *module, const char *name) {
  size_t length = strlen(name), digits = 0;
  while (digits < length && name[length - digits - 1] >= '0' && name[length - digits - 1] <= '9') digits++;
  bool cloned = digits && length >= digits + 2 && !strncmp(name + length - digits - 2, ".c", 2);
  int base = (int)(cloned ? length - digits - 2 : length);
  const char *fresh;
  do fresh = weir_arena_printf(module->arena, "%.*s.c%d", base, name, ++module->clone_count);
  while (ir_function_find(module, fresh));
  return fresh;
}

ir_function *ir_region_clone(ir_module *module, const ir_function *region, const ir_dim *map) {
  weir_arena *arena = module->arena;
  ir_value **values = WEIR_NEW_ARRAY(arena, ir_value *, region->next_id);
  ir_function *copy = ir_function_create(module, IR_FUNCTION_REGION, ir_module_fresh_name(module, region->name));
  copy->loc = region->loc;
  for (int i = 0; i < region->param_count; i++) {
    const ir_param *param = &region->params[i];
    ir_type type = param->value->type;
    for (int j = 0; map && j < type.rank; j++) {
      type.dims[j] = ir_dim_substitute(module->dims, type.dims[j], map);
      if (!type.dims[j]) return NULL;
    }
    ir_value *value = ir_function_add_param(copy, param->kind, param->name, type);
    value->name = param->value->name;
    value->lo = param->value->lo;
    value->hi = param->value->hi;
    value->below = param->value->below;
    if (map && value->below) value->below = ir_dim_substitute(module->dims, value->below, map);
    values[param->value->id] = value;
  }
  for (const ir_node *node = region->first; node; node = node->next) {
    if (!ir_node_clone(copy, NULL, node, map, values)) return NULL;
  }
  for (int i = 0; i < region->result_count; i++)
    ir_function_add_result(copy, region->results[i].name, values[region->results[i].value->id], -1);
  return copy;
}

static int function_index(const ir_module *module, const ir_function *function) {
  int i = 0;
  while (i < module->function_count && module->functions[i] != function) i++;
  return i;
}

// Owners stand behind their regions, so that one walk from the end meets each owner first.
bool ir_module_drop_regions(ir_module *module) {
  int count = module->function_count, kept = 0;
  bool any = false, *owned = WEIR_NEW_ARRAY(module->arena, bool, count + 1);
  for (int i = count - 1; i >= 0; i--) {
    const ir_function *function = module->functions[i];
    if (function->kind == IR_FUNCTION_REGION && !owned[i]) continue;
    for (const ir_node *node = function->first; node; node = node->next) {
      if (node->callee) owned[function_index(module, node->callee)] = true;
      if (node->second) owned[function_index(module, node->second)] = true;
    }
  }
  for (int i = 0; i < count; i++) {
    bool orphan = module->functions[i]->kind == IR_FUNCTION_REGION && !owned[i];
    any |= orphan;
    if (!orphan) module->functions[kept++] = module->functions[i];
  }
  module->function_count = kept;
  return any;
}
