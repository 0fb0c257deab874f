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

// ---- running values: fold over the elements up to this one

bool expand_running(ir_node *node, ir_value **out) {
  int axis = (int)ir_node_attr(node, IR_ATTR_axis)->i;
  const ir_type *x = &node->operands[0]->type;
  static const struct {
    ir_op op;
    ir_combine combine;
  } kinds[] = {{IR_OP_cumsum, IR_COMBINE_sum},
               {IR_OP_cumprod, IR_COMBINE_prod},
               {IR_OP_cummax, IR_COMBINE_max},
               {IR_OP_cummin, IR_COMBINE_min},
               {IR_OP_cumlogsumexp, IR_COMBINE_logsumexp}};
  ir_combine combine = IR_COMBINE_sum;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kinds[i].op == node->op) combine = kinds[i].combine;
  notation n, f;
  ir_value *outer[IR_MAX_RANK], *idx[IR_MAX_RANK];
  ir_dtype wide = x->dtype == IR_f16 || x->dtype == IR_bf16 ? IR_f32 : x->dtype;
  over_result(node, 0, &n);
  note_inside(&f, &n, "fold", &x->dims[axis], 1, outer);
  for (int i = 0; i < x->rank; i++) idx[i] = i == axis ? f.idx[0] : outer[i];
  ir_value *element = note_cast(&f, note_element(&f, f.seen[0], idx, x->rank), wide);
  ir_value *guard = note_op(&f, IR_OP_le, f.idx[0], outer[axis]);
  *out = finish(node, &n, note_cast(&n, note_fold(&f, n.function, NULL, combine, element, guard), x->dtype));
  return *out;
}

// ---- order: an element's rank is the number of those before it

static ir_value *logical(notation *n, ir_op op, ir_value *x, ir_value *y) { return note_op(n, op, x, y); }

// Whether element |u| stands before element |i|: equals by index, NaN last.
static ir_value *stands_before(notation *n, ir_value *xu, ir_value *xi, ir_value *u, ir_value *i, bool descending) {
  ir_value *tie = note_op(n, IR_OP_lt, u, i);
  ir_value *before = logical(n, IR_OP_or, note_op(n, descending ? IR_OP_gt : IR_OP_lt, xu, xi),
                             logical(n, IR_OP_and, note_op(n, IR_OP_eq, xu, xi), tie));
  if (!ir_dtype_is_float(xu->type.dtype)) return before;
  ir_value *u_is = note_op(n, IR_OP_eq, xu, xu), *i_nan = note_op(n, IR_OP_ne, xi, xi);
  return logical(n, IR_OP_or, before, logical(n, IR_OP_and, i_nan, logical(n, IR_OP_or, u_is, tie)));
}

// i32 of the operand's shape.
static ir_value *ranks(ir_node *node, int axis, bool descending) {
  const ir_type *x = &node->operands[0]->type;
  notation n, f;
  ir_value *outer[IR_MAX_RANK], *idx[IR_MAX_RANK];
  note_open(&n, node->parent, "ranks", node->loc, x->dims, x->rank, node->operands, 1);
  note_inside(&f, &n, "fold", &x->dims[axis], 1, outer);
  for (int i = 0; i < x->rank; i++) idx[i] = i == axis ? f.idx[0] : outer[i];
  ir_value *xu = note_element(&f, f.seen[0], idx, x->rank), *xi = note_element(&f, f.seen[0], outer, x->rank);
  ir_value *before = stands_before(&f, xu, xi, f.idx[0], outer[axis], descending);
  ir_value *one = note_cast(&f, before, IR_i32);
  return note_map(&n, node->parent, node, note_fold(&f, n.function, NULL, IR_COMBINE_sum, one, NULL));
}

// The one element whose rank is the place in the result, or its index.
static ir_value *at_rank(ir_node *node, int result, ir_value *rank, int axis, bool index) {
  const ir_type *y = &node->results[result]->type, *x = &node->operands[0]->type;
  notation n, f;
  ir_value *outer[IR_MAX_RANK], *idx[IR_MAX_RANK], *captures[2] = {node->operands[0], rank};
  note_open(&n, node->parent, ir_op_get_info(node->op)->name, node->loc, y->dims, y->rank, captures, 2);
  note_inside(&f, &n, "fold", &x->dims[axis], 1, outer);
  for (int i = 0; i < x->rank; i++) idx[i] = i == axis ? f.idx[0] : outer[i];
  ir_value *value =
      index ? note_op(&f, IR_OP_add, f.idx[0], note_int(&f, 0)) : note_element(&f, f.seen[0], idx, x->rank);
  ir_value *guard = note_op(&f, IR_OP_eq, note_element(&f, f.seen[1], idx, x->rank), outer[axis]);
  ir_value *found = note_fold(&f, n.function, NULL, IR_COMBINE_max, value, guard);
  if (found && index) found = note_clamp(&n, found, x->dims[axis]);
  return note_map(&n, node->parent, node, found);
}

bool expand_order(ir_node *node, ir_value **out) {
  int axis = (int)ir_node_attr(node, IR_ATTR_axis)->i;
  const ir_attr *descending = ir_node_attr(node, IR_ATTR_descending);
  ir_value *rank = ranks(node, axis, !descending || descending->i);
  if (!rank) return false;
  out[0] = at_rank(node, 0, rank, axis, node->op == IR_OP_argsort);
  out[1] = node->op == IR_OP_top_k ? at_rank(node, 1, rank, axis, true) : out[0];
  return out[0] && out[1];
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

// Padding of a dim that may be empty has no element to read in its place.
static bool may_be_empty(const ir_node *node) {
  const ir_type *x = &node->operands[0]->type;
  for (int i = 0; i < x->rank; i++) {
    int64_t lo, hi;
    ir_dim_bounds(x->dims[i], &lo, &hi);
    if (lo < 1) return true;
  }
  return false;
}

bool expand_move(ir_node *node, ir_value **out) {
  notation n;
  ir_value *idx[IR_MAX_RANK], *inside = NULL;
  const ir_type *x = &node->operands[0]->type;
  if (node->op == IR_OP_pad && may_be_empty(node)) return false;
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
