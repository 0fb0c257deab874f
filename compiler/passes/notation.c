// Regions built by passes. Every op here has operands that its rule takes: a refusal would be a slip of the pass, and
// shows as a missing operand of what is built on it, so that the node stays as it was.
#include "compiler/passes/notation.h"

void note_open(notation *n, ir_function *owner, const char *name, ir_loc loc, const ir_dim *dims, int dim_count,
               ir_value *const *outer, int outer_count) {
  ir_module *module = owner->module;
  *n = (notation){.loc = loc, .dims = dims, .dim_count = dim_count, .outer_count = outer_count};
  n->function =
      ir_function_create(module, IR_FUNCTION_REGION,
                         ir_module_fresh_name(module, weir_arena_printf(module->arena, "%s.%s", owner->name, name)));
  n->function->loc = loc;
  n->outer = WEIR_NEW_ARRAY(module->arena, ir_value *, outer_count);
  n->seen = WEIR_NEW_ARRAY(module->arena, ir_value *, outer_count);
  for (int i = 0; i < dim_count; i++) {
    int64_t lo, hi;
    ir_dim_bounds(dims[i], &lo, &hi);
    n->idx[i] = ir_function_add_param(n->function, IR_PARAM_INPUT, "i", ir_type_make(IR_i32, 0, NULL));
    n->idx[i]->lo = 0;
    n->idx[i]->hi = hi > INT32_MAX ? INT32_MAX : hi > 0 ? hi - 1 : 0;
  }
  for (int i = 0; i < outer_count; i++) {
    n->outer[i] = outer[i];
    n->seen[i] =
        ir_function_add_param(n->function, IR_PARAM_INPUT, outer[i]->name ? outer[i]->name : "", outer[i]->type);
    n->seen[i]->lo = outer[i]->lo;
    n->seen[i]->hi = outer[i]->hi;
  }
}

void note_inside(notation *n, const notation *outer, const char *name, const ir_dim *dims, int dim_count,
                 ir_value **out_idx) {
  ir_value *all[2 * IR_MAX_RANK + 8];
  int count = 0;
  for (int i = 0; i < outer->dim_count; i++) all[count++] = outer->idx[i];
  for (int i = 0; i < outer->outer_count; i++) all[count++] = outer->seen[i];
  note_open(n, outer->function, name, outer->loc, dims, dim_count, all, count);
  for (int i = 0; i < outer->dim_count; i++) out_idx[i] = n->seen[i];
  n->seen += outer->dim_count;  // what the outer region captures has the same numbers in both
}

static ir_value *close(notation *n, ir_function *owner, ir_node *position, ir_op op, const ir_attr *attrs, int count) {
  ir_node *node =
      ir_insert_region(owner, position, op, n->function, NULL, n->outer, n->outer_count, attrs, count, n->loc, NULL);
  return node ? node->results[0] : NULL;
}

ir_value *note_map(notation *n, ir_function *owner, ir_node *position, ir_value *value) {
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, n->dims, n->dim_count);
  if (!value) return NULL;
  ir_function_add_result(n->function, "", value, -1);
  return close(n, owner, position, IR_OP_map, &attr, 1);
}

ir_value *note_fold(notation *n, ir_function *owner, ir_node *position, ir_combine combine, ir_value *value,
                    ir_value *guard) {
  ir_attr attrs[2] = {ir_attr_dims(IR_ATTR_dims, n->dims, n->dim_count), ir_attr_combine(IR_ATTR_combine, combine)};
  if (!value) return NULL;
  ir_function_add_result(n->function, "", value, -1);
  if (guard) ir_function_add_result(n->function, "", guard, -1);
  return close(n, owner, position, IR_OP_fold, attrs, 2);
}

// ---- scalars

ir_value *note_number(notation *n, double value, ir_dtype dtype) {
  return ir_build_constant(n->function, value, dtype, n->loc);
}

ir_value *note_int(notation *n, int64_t value) { return note_number(n, (double)value, IR_i32); }

ir_value *note_size(notation *n, ir_dim dim) {
  ir_attr attr = ir_attr_dim(IR_ATTR_dim, dim);
  int64_t size;
  if (ir_dim_is_const(dim, &size)) return note_int(n, size);
  return ir_build(n->function, IR_OP_size, NULL, 0, &attr, 1, n->loc, NULL);
}

ir_value *note_op(notation *n, ir_op op, ir_value *x, ir_value *y) {
  ir_value *operands[2] = {x, y};
  return ir_build(n->function, op, operands, ir_op_get_info(op)->operands, NULL, 0, n->loc, NULL);
}

ir_value *note_select(notation *n, ir_value *condition, ir_value *x, ir_value *y) {
  ir_value *operands[3] = {condition, x, y};
  return ir_build(n->function, IR_OP_select, operands, 3, NULL, 0, n->loc, NULL);
}

ir_value *note_cast(notation *n, ir_value *x, ir_dtype dtype) {
  ir_attr attr = ir_attr_dtype(IR_ATTR_dtype, dtype);
  if (!x || x->type.dtype == dtype) return x;
  return ir_build(n->function, IR_OP_cast, &x, 1, &attr, 1, n->loc, NULL);
}

ir_value *note_element(notation *n, ir_value *x, ir_value *const *idx, int count) {
  ir_value *operands[IR_MAX_RANK + 1] = {x};
  if (count == 0) return x;
  for (int i = 0; i < count; i++) operands[i + 1] = idx[i];
  return ir_build(n->function, IR_OP_element, operands, count + 1, NULL, 0, n->loc, NULL);
}

ir_value *note_clamp(notation *n, ir_value *at, ir_dim size) {
  ir_value *last = note_op(n, IR_OP_sub, note_size(n, size), note_int(n, 1));
  return note_op(n, IR_OP_max, note_op(n, IR_OP_min, at, last), note_int(n, 0));
}

ir_value *note_inside_of(notation *n, ir_value *at, ir_dim size, ir_value *so_far) {
  ir_value *above = note_op(n, IR_OP_ge, at, note_int(n, 0)), *below = note_op(n, IR_OP_lt, at, note_size(n, size));
  ir_value *both = note_op(n, IR_OP_and, above, below);
  return so_far ? note_op(n, IR_OP_and, so_far, both) : both;
}
