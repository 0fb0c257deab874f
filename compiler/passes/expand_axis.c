// Formulas along an axis: reductions, running values, order, movement, transforms, quantised numbers.
#include <math.h>

#include "compiler/passes/expand.h"
#include "compiler/passes/notation.h"

static ir_value *over_result(ir_node *node, int result, notation *n) {
  const ir_type *type = &node->results[result]->type;
  note_open(n, node->parent, ir_op_get_info(node->op)->name, node->loc, type->dims, type->rank, node->operands,
            node->operand_count);
  return n->seen[0];
}

static ir_value *finish(ir_node *node, notation *n, ir_value *value) { return note_map(n, node->parent, node, value); }

// ---- reductions

bool expand_reduce(ir_node *node, ir_value **out) {
  const ir_attr *over = ir_node_attr(node, IR_ATTR_over);
  const ir_type *x = &node->operands[0]->type;
  ir_combine combine = node->op == IR_OP_any   ? IR_COMBINE_any
                       : node->op == IR_OP_all ? IR_COMBINE_all
                                               : IR_COMBINE_argmin;
  ir_dim dims[IR_MAX_RANK];
  ir_value *outer[IR_MAX_RANK], *idx[IR_MAX_RANK];
  notation n, f;
  bool whole = node->results[0]->type.rank == 0;
  for (int i = 0; i < over->count; i++) dims[i] = x->dims[over->ints[i]];
  if (whole) {
    note_open(&f, node->parent, ir_op_get_info(node->op)->name, node->loc, dims, over->count, node->operands, 1);
  } else {
    over_result(node, 0, &n);
    note_inside(&f, &n, "fold", dims, over->count, outer);
  }
  for (int axis = 0, gone = 0, kept = 0; axis < x->rank; axis++) {
    bool reduced = gone < over->count && over->ints[gone] == axis;
    idx[axis] = reduced ? f.idx[gone++] : outer[kept++];
  }
  ir_value *element = note_element(&f, f.seen[0], idx, x->rank);
  if (whole) *out = note_fold(&f, node->parent, node, combine, element, NULL);
  else *out = finish(node, &n, note_fold(&f, n.function, NULL, combine, element, NULL));
  return *out;
}

// ---- movement: each element comes from one place

static ir_value *mirrored(notation *n, ir_value *at, ir_dim size) {
  ir_value *last = note_op(n, IR_OP_sub, note_size(n, size), note_int(n, 1));
  ir_value *gap = note_op(n, IR_OP_sub, last, note_op(n, IR_OP_abs, at, NULL));
  return note_clamp(n, note_op(n, IR_OP_sub, last, note_op(n, IR_OP_abs, gap, NULL)), size);
}

// Where index |at| of |axis| comes from; |*inside| gathers whether it is padding.
static ir_value *source(notation *n, const ir_node *node, int axis, ir_value *at, ir_value **inside) {
  ir_dim size = node->operands[0]->type.dims[axis], to = node->results[0]->type.dims[axis];
  const ir_attr *along = ir_node_attr(node, IR_ATTR_axis), *before = ir_node_attr(node, IR_ATTR_before);
  if (along && along->i != axis) return at;
  switch (node->op) {
    case IR_OP_reverse:
      return note_op(n, IR_OP_sub, note_op(n, IR_OP_sub, note_size(n, size), note_int(n, 1)), at);
    case IR_OP_roll:
      return note_op(n, IR_OP_mod,
                     note_op(n, IR_OP_sub, at, note_int(n, ir_node_attr(node, IR_ATTR_shift)->i % INT32_MAX)),
                     note_size(n, size));
    case IR_OP_tile:
      return note_op(n, IR_OP_mod, at, note_size(n, size));
    case IR_OP_repeat:
      return note_op(n, IR_OP_div, at, note_int(n, ir_node_attr(node, IR_ATTR_times)->i));
    case IR_OP_resize_nearest:
      if (size == to) return at;
      return note_op(n, IR_OP_div, note_op(n, IR_OP_mul, at, note_size(n, size)), note_size(n, to));
    default:
      break;
  }
  if (size == to) return at;
  at = note_op(n, IR_OP_sub, at, note_int(n, before->ints[axis]));
  if (node->op == IR_OP_pad_reflect) return mirrored(n, at, size);
  if (node->op == IR_OP_pad) *inside = note_inside_of(n, at, size, *inside);
  return note_clamp(n, at, size);
}

// Padding of a dim that may be empty has no element to read in its place: it is written as a concat for each axis.
static bool may_be_empty(const ir_node *node) {
  const ir_type *x = &node->operands[0]->type;
  for (int i = 0; i < x->rank; i++) {
    int64_t lo, hi;
    ir_dim_bounds(x->dims[i], &lo, &hi);
    if (lo < 1) return true;
  }
  return false;
}

// |count| elements of the padding along |axis| of |like|.
static ir_value *filled(ir_node *node, ir_value *number, const ir_type *like, int axis, int64_t count) {
  ir_type type = *like;
  type.dims[axis] = ir_dim_const(node->parent->module->dims, count);
  ir_attr dims = ir_attr_dims(IR_ATTR_dims, type.dims, type.rank);
  ir_node *made = ir_insert(node->parent, node, IR_OP_broadcast, &number, 1, &dims, 1, node->loc, NULL);
  return made ? made->results[0] : NULL;
}

static bool pad_by_parts(ir_node *node, ir_value **out) {
  ir_value *x = node->operands[0];
  const ir_attr *before = ir_node_attr(node, IR_ATTR_before), *after = ir_node_attr(node, IR_ATTR_after);
  ir_attr attrs[2] = {ir_attr_float(IR_ATTR_value, ir_node_attr(node, IR_ATTR_value)->f),
                      ir_attr_dtype(IR_ATTR_dtype, x->type.dtype)};
  ir_node *number = ir_insert(node->parent, node, IR_OP_constant, NULL, 0, attrs, 2, node->loc, NULL);
  for (int i = 0; number && x && i < before->count; i++) {
    ir_value *parts[3];
    int count = 0;
    if (before->ints[i]) parts[count++] = filled(node, number->results[0], &x->type, i, before->ints[i]);
    parts[count++] = x;
    if (after->ints[i]) parts[count++] = filled(node, number->results[0], &x->type, i, after->ints[i]);
    if (count == 1) continue;
    ir_attr axis = ir_attr_int(IR_ATTR_axis, i);
    ir_node *all = ir_insert(node->parent, node, IR_OP_concat, parts, count, &axis, 1, node->loc, NULL);
    x = all ? all->results[0] : NULL;
  }
  *out = number ? x : NULL;
  return *out;
}

bool expand_move(ir_node *node, ir_value **out) {
  notation n;
  ir_value *idx[IR_MAX_RANK], *inside = NULL;
  const ir_type *x = &node->operands[0]->type;
  if (node->op == IR_OP_pad && may_be_empty(node)) return pad_by_parts(node, out);
  over_result(node, 0, &n);
  for (int i = 0; i < x->rank; i++) idx[i] = source(&n, node, i, n.idx[i], &inside);
  ir_value *value = note_element(&n, n.seen[0], idx, x->rank);
  if (inside) value = note_select(&n, inside, value, note_number(&n, ir_node_attr(node, IR_ATTR_value)->f, x->dtype));
  *out = finish(node, &n, value);
  return *out;
}

bool expand_one_hot(ir_node *node, ir_value **out) {
  notation n;
  int rank = node->operands[0]->type.rank;
  over_result(node, 0, &n);
  ir_value *at = note_element(&n, n.seen[0], n.idx, rank);
  ir_value *place = note_cast(&n, n.idx[rank], at->type.dtype);
  *out = finish(node, &n, note_cast(&n, note_op(&n, IR_OP_eq, at, place), node->results[0]->type.dtype));
  return *out;
}

static bool is_weight(const ir_function *function, const ir_value *value) {
  return !value->def && function->params[value->result].kind == IR_PARAM_WEIGHT;
}

// Rows of one behind another. Weights stay a stack: lowering makes one weight of them.
bool expand_stack(ir_node *node, ir_value **out) {
  ir_module *module = node->parent->module;
  int weights = 0;
  for (int i = 0; i < node->operand_count; i++) weights += is_weight(node->parent, node->operands[i]);
  if (weights == node->operand_count) return false;
  ir_value **rows = WEIR_NEW_ARRAY(module->arena, ir_value *, node->operand_count);
  ir_type type = node->results[0]->type;
  type.dims[0] = ir_dim_const(module->dims, 1);
  ir_attr dims = ir_attr_dims(IR_ATTR_dims, type.dims, type.rank), axis = ir_attr_int(IR_ATTR_axis, 0);
  for (int i = 0; i < node->operand_count; i++) {
    ir_node *row = ir_insert(node->parent, node, IR_OP_reshape, &node->operands[i], 1, &dims, 1, node->loc, NULL);
    if (!row) return false;
    rows[i] = row->results[0];
  }
  ir_node *all = ir_insert(node->parent, node, IR_OP_concat, rows, node->operand_count, &axis, 1, node->loc, NULL);
  *out = all ? all->results[0] : NULL;
  return *out;
}

// ---- Fourier transforms

// cos or sin of 2 pi (j k mod n) / n.
static ir_value *wave(notation *n, ir_op op, ir_value *j, ir_value *k, ir_dim size, ir_dtype dtype) {
  ir_value *turn = note_op(n, IR_OP_mod, note_op(n, IR_OP_mul, j, k), note_size(n, size));
  ir_value *step = note_op(n, IR_OP_div, note_number(n, 2 * M_PI, dtype), note_cast(n, note_size(n, size), dtype));
  return note_op(n, op, note_op(n, IR_OP_mul, note_cast(n, turn, dtype), step), NULL);
}

// Part |part| (0 real, 1 imaginary) of the sum over the last dim of |size| elements. |sign| is that of the sine.
static ir_value *fourier_part(ir_node *node, int part, ir_dim whole, ir_dim size, int sign) {
  const ir_type *x = &node->operands[0]->type;
  int last = x->rank - 1;
  bool back = node->op == IR_OP_irfft, real = node->op == IR_OP_rfft;
  notation n, f;
  ir_value *outer[IR_MAX_RANK], *idx[IR_MAX_RANK], *value;
  over_result(node, part, &n);
  note_inside(&f, &n, "fold", &size, 1, outer);
  for (int i = 0; i < x->rank; i++) idx[i] = i == last ? f.idx[0] : outer[i];
  ir_value *re = note_element(&f, f.seen[0], idx, x->rank);
  ir_value *im = real ? NULL : note_element(&f, f.seen[1], idx, x->rank);
  ir_value *c = wave(&f, IR_OP_cos, f.idx[0], outer[last], whole, x->dtype);
  ir_value *s = note_op(&f, IR_OP_mul, wave(&f, IR_OP_sin, f.idx[0], outer[last], whole, x->dtype),
                        note_number(&f, sign, x->dtype));
  // (re + i im)(c + i s): re c - im s, re s + im c
  value = note_op(&f, IR_OP_mul, re, part ? s : c);
  if (im) value = note_op(&f, part ? IR_OP_add : IR_OP_sub, value, note_op(&f, IR_OP_mul, im, part ? c : s));
  if (back) {  // all but the ends stand for two
    ir_value *first = note_op(&f, IR_OP_eq, f.idx[0], note_int(&f, 0));
    ir_value *twice = note_op(&f, IR_OP_mul, f.idx[0], note_int(&f, 2));
    ir_value *end = note_op(&f, IR_OP_or, first, note_op(&f, IR_OP_eq, twice, note_size(&f, whole)));
    ir_value *alone = note_op(&f, IR_OP_mul, re, c);
    value = note_select(&f, end, alone, note_op(&f, IR_OP_mul, value, note_number(&f, 2, x->dtype)));
  }
  ir_value *sum = note_fold(&f, n.function, NULL, IR_COMBINE_sum, value, NULL);
  if (sum && sign > 0) sum = note_op(&n, IR_OP_div, sum, note_cast(&n, note_size(&n, whole), x->dtype));
  return note_map(&n, node->parent, node, sum);
}

bool expand_fourier(ir_node *node, ir_value **out) {
  const ir_type *x = &node->operands[0]->type, *y = &node->results[0]->type;
  const ir_attr *inverse = ir_node_attr(node, IR_ATTR_inverse);
  ir_dim size = x->dims[x->rank - 1], whole = node->op == IR_OP_irfft ? y->dims[y->rank - 1] : size;
  int64_t lo, hi;
  ir_dim_bounds(whole, &lo, &hi);
  if (hi > 46340) return false;  // products of two indices would leave 32 bits
  int sign = node->op == IR_OP_irfft || (inverse && inverse->i) ? 1 : -1;
  for (int part = 0; part < node->result_count; part++) {
    out[part] = fourier_part(node, part, whole, size, sign);
    if (!out[part]) return false;
  }
  return true;
}

// ---- quantised numbers

bool expand_quantize(ir_node *node, ir_value **out) {
  notation n;
  const ir_type *x = &node->operands[0]->type;
  int per_axis = node->operands[1]->type.rank;
  ir_dtype dtype = node->operands[1]->type.dtype, wide = dtype == IR_f64 ? IR_f64 : IR_f32;
  over_result(node, 0, &n);
  ir_value **at = &n.idx[ir_node_attr(node, IR_ATTR_axis)->i * (per_axis > 0)];
  ir_value *value = note_cast(&n, note_element(&n, n.seen[0], n.idx, x->rank), wide);
  ir_value *scale = note_cast(&n, note_element(&n, n.seen[1], at, per_axis), wide);
  ir_value *zero = note_cast(&n, note_element(&n, n.seen[2], at, per_axis), wide);
  if (node->op == IR_OP_quantize) {
    ir_value *steps = note_op(&n, IR_OP_round, note_op(&n, IR_OP_div, value, scale), NULL);
    value = note_cast(&n, note_op(&n, IR_OP_add, steps, zero), node->results[0]->type.dtype);
  } else {
    value = note_cast(&n, note_op(&n, IR_OP_mul, note_op(&n, IR_OP_sub, value, zero), scale), dtype);
  }
  *out = finish(node, &n, value);
  return *out;
}
