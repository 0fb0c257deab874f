// Formulas over windows: convolutions and pooling as folds over the window whose guard keeps to what is there, linear
// resizing, and attention with leading dims or a bias as products and a softmax.
#include <math.h>

#include "codegen/lower/lower.h"
#include "compiler/passes/expand.h"
#include "compiler/passes/notation.h"

static ir_value *scaled(notation *n, ir_value *x, int64_t by) {
  return by == 1 ? x : note_op(n, IR_OP_mul, x, note_int(n, by));
}

static ir_value *plus(notation *n, ir_value *x, int64_t by) {
  return by == 0 ? x : note_op(n, IR_OP_add, x, note_int(n, by));
}

static ir_dtype sum_type(ir_dtype dtype) { return ir_dtype_is_float(dtype) && dtype != IR_f64 ? IR_f32 : dtype; }

static void over_result(ir_node *node, notation *n) {
  const ir_type *type = &node->results[0]->type;
  note_open(n, node->parent, ir_op_get_info(node->op)->name, node->loc, type->dims, type->rank, node->operands,
            node->operand_count);
}

// ---- convolutions

// Element of x times element of w, in the type of the sum.
static ir_value *product(notation *f, ir_value *const *x_idx, int x_rank, ir_value *const *w_idx, int w_rank) {
  ir_value *x = note_element(f, f->seen[0], x_idx, x_rank), *w = note_element(f, f->seen[1], w_idx, w_rank);
  ir_dtype wide = sum_type(f->seen[0]->type.dtype);  // both sides have one type, or the left is the wide one
  return note_op(f, IR_OP_mul, note_cast(f, x, wide), note_cast(f, w, wide));
}

static bool add_up(ir_node *node, notation *n, notation *f, ir_value *value, ir_value *guard, ir_value **out) {
  ir_value *sum = note_fold(f, n->function, NULL, IR_COMBINE_sum, value, guard);
  *out = note_map(n, node->parent, node, note_cast(n, sum, node->results[0]->type.dtype));
  return *out;
}

// Where the window of result element |at| has its element |k|, and whether there is one.
static ir_value *window_at(notation *f, const ir_node *node, int i, ir_value *at, ir_value *k, ir_dim size,
                           ir_value **guard) {
  int64_t stride = ir_node_attr(node, IR_ATTR_strides)->ints[i], before = ir_node_attr(node, IR_ATTR_before)->ints[i];
  const ir_attr *dilations = ir_node_attr(node, IR_ATTR_dilations);
  ir_value *step = scaled(f, k, dilations ? dilations->ints[i] : 1);
  ir_value *place = plus(f, note_op(f, IR_OP_add, scaled(f, at, stride), step), -before);
  if (before || ir_node_attr(node, IR_ATTR_after)->ints[i]) *guard = note_inside_of(f, place, size, *guard);
  return place;
}

bool expand_conv(ir_node *node, ir_value **out) {
  const ir_type *x = &node->operands[0]->type, *w = &node->operands[1]->type;
  ir_dim_table *dims = node->parent->module->dims;
  int spatial = w->rank - 2, channel = x->rank - spatial - 1;
  int64_t groups = ir_node_attr(node, IR_ATTR_groups)->i;
  notation n, f;
  ir_value *outer[IR_MAX_RANK], *x_idx[IR_MAX_RANK], *w_idx[IR_MAX_RANK], *guard = NULL;
  if (cg_window_has_kernel(node)) return false;
  over_result(node, &n);
  note_inside(&f, &n, "fold", w->dims + 1, spatial + 1, outer);
  for (int i = 0; i < channel; i++) x_idx[i] = outer[i];
  x_idx[channel] = f.idx[0];
  if (groups > 1) {
    ir_dim share = ir_dim_div(dims, w->dims[0], ir_dim_const(dims, groups));
    ir_value *group = note_op(&f, IR_OP_div, outer[channel], note_size(&f, share));
    x_idx[channel] = note_op(&f, IR_OP_add, note_op(&f, IR_OP_mul, group, note_size(&f, w->dims[1])), f.idx[0]);
  }
  w_idx[0] = outer[channel];
  w_idx[1] = f.idx[0];
  for (int i = 0; i < spatial; i++) {
    w_idx[2 + i] = f.idx[1 + i];
    x_idx[channel + 1 + i] =
        window_at(&f, node, i, outer[channel + 1 + i], f.idx[1 + i], x->dims[channel + 1 + i], &guard);
  }
  return add_up(node, &n, &f, product(&f, x_idx, x->rank, w_idx, w->rank), guard, out);
}

// Element |at| of the result takes from element q of x, where q * stride + k * dilation is at + before.
bool expand_conv_transpose(ir_node *node, ir_value **out) {
  const ir_type *x = &node->operands[0]->type, *w = &node->operands[1]->type;
  ir_dim_table *dims = node->parent->module->dims;
  int spatial = w->rank - 2, channel = x->rank - spatial - 1;
  int64_t groups = ir_node_attr(node, IR_ATTR_groups)->i;
  ir_dim fold_dims[4] = {ir_dim_div(dims, w->dims[0], ir_dim_const(dims, groups))};
  notation n, f;
  ir_value *outer[IR_MAX_RANK], *x_idx[IR_MAX_RANK], *w_idx[IR_MAX_RANK], *guard = NULL;
  for (int i = 0; i < spatial; i++) fold_dims[1 + i] = w->dims[2 + i];
  over_result(node, &n);
  note_inside(&f, &n, "fold", fold_dims, spatial + 1, outer);
  for (int i = 0; i < channel; i++) x_idx[i] = outer[i];
  x_idx[channel] = w_idx[0] = f.idx[0];
  w_idx[1] = outer[channel];
  if (groups > 1) {
    ir_value *group = note_op(&f, IR_OP_div, outer[channel], note_size(&f, w->dims[1]));
    x_idx[channel] = w_idx[0] =
        note_op(&f, IR_OP_add, note_op(&f, IR_OP_mul, group, note_size(&f, fold_dims[0])), f.idx[0]);
    w_idx[1] = note_op(&f, IR_OP_mod, outer[channel], note_size(&f, w->dims[1]));
  }
  for (int i = 0; i < spatial; i++) {
    int64_t stride = ir_node_attr(node, IR_ATTR_strides)->ints[i];
    ir_value *step = scaled(&f, f.idx[1 + i], ir_node_attr(node, IR_ATTR_dilations)->ints[i]);
    ir_value *place =
        note_op(&f, IR_OP_sub, plus(&f, outer[channel + 1 + i], ir_node_attr(node, IR_ATTR_before)->ints[i]), step);
    ir_value *q = stride == 1 ? place : note_op(&f, IR_OP_div, place, note_int(&f, stride));
    guard = note_inside_of(&f, q, x->dims[channel + 1 + i], guard);
    if (stride > 1) {
      ir_value *rest = note_op(&f, IR_OP_mod, place, note_int(&f, stride));
      guard = note_op(&f, IR_OP_and, guard, note_op(&f, IR_OP_eq, rest, note_int(&f, 0)));
    }
    x_idx[channel + 1 + i] = q;
    w_idx[2 + i] = f.idx[1 + i];
  }
  return add_up(node, &n, &f, product(&f, x_idx, x->rank, w_idx, w->rank), guard, out);
}

// ---- pooling

bool expand_pool(ir_node *node, ir_value **out) {
  const ir_type *x = &node->operands[0]->type;
  const ir_attr *window = ir_node_attr(node, IR_ATTR_window_dims), *count = ir_node_attr(node, IR_ATTR_count_pad);
  ir_dim dims[3];
  int spatial = window->count, first = x->rank - spatial;
  double elements = 1;
  notation n, f;
  ir_value *outer[IR_MAX_RANK], *idx[IR_MAX_RANK], *guard = NULL;
  if (cg_window_has_kernel(node)) return false;
  for (int i = 0; i < spatial; i++) {
    dims[i] = ir_dim_const(node->parent->module->dims, window->ints[i]);
    elements *= (double)window->ints[i];
  }
  over_result(node, &n);
  note_inside(&f, &n, "fold", dims, spatial, outer);
  for (int i = 0; i < x->rank; i++)
    idx[i] = i < first ? outer[i] : window_at(&f, node, i - first, outer[i], f.idx[i - first], x->dims[i], &guard);
  ir_dtype wide = sum_type(x->dtype);
  ir_value *value = note_cast(&f, note_element(&f, f.seen[0], idx, x->rank), wide);
  bool padded = count && count->i;
  ir_combine combine = !count ? IR_COMBINE_max : padded ? IR_COMBINE_sum : IR_COMBINE_mean;
  value = note_fold(&f, n.function, NULL, combine, value, guard);
  if (value && padded) value = note_op(&n, IR_OP_div, value, note_number(&n, elements, wide));
  *out = note_map(&n, node->parent, node, note_cast(&n, value, x->dtype));
  return *out;
}

// ---- linear resizing

typedef struct {
  ir_value *low, *high, *part;
} neighbours;

static neighbours find_neighbours(notation *n, ir_value *at, ir_dim from, ir_dim to, bool corners, ir_dtype dtype) {
  ir_value *i = note_cast(n, at, dtype), *zero = note_number(n, 0, dtype), *one = note_number(n, 1, dtype);
  ir_value *size = note_cast(n, note_size(n, from), dtype), *wanted = note_cast(n, note_size(n, to), dtype), *place;
  ir_value *last = note_op(n, IR_OP_sub, size, one);
  if (corners) {
    ir_value *gaps = note_op(n, IR_OP_max, note_op(n, IR_OP_sub, wanted, one), one);
    place = note_op(n, IR_OP_mul, i, note_op(n, IR_OP_div, last, gaps));
  } else {
    ir_value *half = note_number(n, 0.5, dtype);
    place = note_op(n, IR_OP_mul, note_op(n, IR_OP_add, i, half), note_op(n, IR_OP_div, size, wanted));
    place = note_op(n, IR_OP_sub, place, half);
  }
  place = note_op(n, IR_OP_min, note_op(n, IR_OP_max, place, zero), last);
  ir_value *whole = note_op(n, IR_OP_floor, place, NULL), *low = note_clamp(n, note_cast(n, whole, IR_i32), from);
  return (neighbours){low, note_clamp(n, note_op(n, IR_OP_add, low, note_int(n, 1)), from),
                      note_op(n, IR_OP_sub, place, whole)};
}

bool expand_resize_linear(ir_node *node, ir_value **out) {
  const ir_type *x = &node->operands[0]->type, *y = &node->results[0]->type;
  int count = ir_node_attr(node, IR_ATTR_dims)->count, first = x->rank - count;
  bool corners = ir_node_attr(node, IR_ATTR_corners)->i;
  ir_dtype wide = sum_type(x->dtype);
  notation n;
  neighbours near[IR_MAX_RANK];
  ir_value *sum = NULL;
  if (count > 3 || !ir_dtype_is_float(wide)) return false;
  over_result(node, &n);
  for (int d = 0; d < count; d++)
    near[d] = find_neighbours(&n, n.idx[first + d], x->dims[first + d], y->dims[first + d], corners, wide);
  for (int corner = 0; corner < 1 << count; corner++) {
    ir_value *idx[IR_MAX_RANK], *weight = note_number(&n, 1, wide);
    for (int i = 0; i < first; i++) idx[i] = n.idx[i];
    for (int d = 0; d < count; d++) {
      bool up = corner >> d & 1;
      ir_value *share = up ? near[d].part : note_op(&n, IR_OP_sub, note_number(&n, 1, wide), near[d].part);
      weight = note_op(&n, IR_OP_mul, weight, share);
      idx[first + d] = up ? near[d].high : near[d].low;
    }
    ir_value *value = note_op(&n, IR_OP_mul, weight, note_cast(&n, note_element(&n, n.seen[0], idx, x->rank), wide));
    sum = sum ? note_op(&n, IR_OP_add, sum, value) : value;
  }
  *out = note_map(&n, node->parent, node, note_cast(&n, sum, x->dtype));
  return *out;
}

// ---- attention with leading dims or a bias: scores, weights, values, each a map

// The scores [..., Hq, T, S] in the type of sums; -inf where a pair does not count.
static ir_value *scores(ir_node *node, const ir_dim *dims, int rank) {
  const ir_type *q = &node->operands[0]->type, *k = &node->operands[1]->type;
  int lead = q->rank - 3;
  ir_dim_table *table = node->parent->module->dims;
  ir_dim share = ir_dim_div(table, q->dims[lead + 1], k->dims[lead + 1]);
  ir_dtype wide = sum_type(q->dtype);
  bool biased = node->operand_count == 4, causal = ir_node_attr(node, IR_ATTR_causal)->i;
  int64_t window = ir_node_attr(node, IR_ATTR_window)->i;
  notation n, f;
  ir_value *outer[IR_MAX_RANK], *q_idx[IR_MAX_RANK], *k_idx[IR_MAX_RANK], *seen = NULL;
  ir_value *captures[3] = {node->operands[0], node->operands[1], biased ? node->operands[3] : NULL};
  note_open(&n, node->parent, "scores", node->loc, dims, rank, captures, biased ? 3 : 2);
  note_inside(&f, &n, "fold", &q->dims[lead + 2], 1, outer);
  for (int i = 0; i < lead; i++) q_idx[i] = k_idx[i] = outer[i];
  q_idx[lead] = outer[lead + 1];
  q_idx[lead + 1] = outer[lead];
  k_idx[lead] = outer[lead + 2];
  k_idx[lead + 1] = note_op(&f, IR_OP_div, outer[lead], note_size(&f, share));
  q_idx[lead + 2] = k_idx[lead + 2] = f.idx[0];
  ir_value *dot = note_fold(&f, n.function, NULL, IR_COMBINE_sum, product(&f, q_idx, q->rank, k_idx, k->rank), NULL);
  ir_value *t = n.idx[lead + 1], *s = n.idx[lead + 2];
  ir_value *score = note_op(&n, IR_OP_mul, dot, note_number(&n, ir_node_attr(node, IR_ATTR_scale)->f, wide));
  if (biased) {
    ir_value *idx[3] = {n.idx[lead], t, s};
    int planes = node->operands[3]->type.rank == 3;
    ir_value *bias = note_element(&n, n.seen[2], planes ? idx : idx + 1, planes ? 3 : 2);
    if (bias->type.dtype == IR_bool) seen = bias;
    else score = note_op(&n, IR_OP_add, score, note_cast(&n, bias, wide));
  }
  if (causal) {  // row t sees rows up to S - T + t
    ir_value *more = note_op(&n, IR_OP_sub, note_size(&n, dims[lead + 2]), note_size(&n, dims[lead + 1]));
    ir_value *last = note_op(&n, IR_OP_add, t, more), *early = note_op(&n, IR_OP_le, s, last);
    seen = seen ? note_op(&n, IR_OP_and, seen, early) : early;
    if (window) {
      ir_value *near = note_op(&n, IR_OP_gt, note_op(&n, IR_OP_add, s, note_int(&n, window)), last);
      seen = note_op(&n, IR_OP_and, seen, near);
    }
  }
  if (seen) score = note_select(&n, seen, score, note_number(&n, -INFINITY, wide));
  return note_map(&n, node->parent, node, score);
}

// exp(score - largest) over its sum; 0 where a row sees none.
static ir_value *weights(ir_node *node, ir_value *score) {
  ir_function *function = node->parent;
  const ir_type *type = &score->type;
  ir_attr over = ir_attr_ints(IR_ATTR_over, (int64_t[]){type->rank - 1}, 1);
  ir_node *total = ir_insert(function, node, IR_OP_logsumexp, &score, 1, &over, 1, node->loc, NULL);
  ir_value *captures[2] = {score, total ? total->results[0] : NULL};
  notation n;
  if (!total) return NULL;
  note_open(&n, function, "weights", node->loc, type->dims, type->rank, captures, 2);
  ir_value *sum = note_element(&n, n.seen[1], n.idx, type->rank - 1), *none = note_number(&n, -INFINITY, type->dtype);
  ir_value *gap = note_op(&n, IR_OP_sub, note_element(&n, n.seen[0], n.idx, type->rank), sum);
  ir_value *weight = note_select(&n, note_op(&n, IR_OP_eq, sum, none), note_number(&n, 0, type->dtype),
                                 note_op(&n, IR_OP_exp, gap, NULL));
  return note_map(&n, function, node, weight);
}

static bool mix(ir_node *node, ir_value *weight, ir_value **out) {
  const ir_type *v = &node->operands[2]->type, *y = &node->results[0]->type;
  int lead = y->rank - 3;
  ir_dim share = ir_dim_div(node->parent->module->dims, y->dims[lead + 1], v->dims[lead + 1]);
  notation n, f;
  ir_value *captures[2] = {weight, node->operands[2]}, *outer[IR_MAX_RANK], *w_idx[IR_MAX_RANK], *v_idx[IR_MAX_RANK];
  note_open(&n, node->parent, "attend", node->loc, y->dims, y->rank, captures, 2);
  note_inside(&f, &n, "fold", &v->dims[lead], 1, outer);
  for (int i = 0; i < lead; i++) w_idx[i] = v_idx[i] = outer[i];
  w_idx[lead] = outer[lead + 1];
  w_idx[lead + 1] = outer[lead];
  w_idx[lead + 2] = v_idx[lead] = f.idx[0];
  v_idx[lead + 1] = note_op(&f, IR_OP_div, outer[lead + 1], note_size(&f, share));
  v_idx[lead + 2] = outer[lead + 2];
  return add_up(node, &n, &f, product(&f, w_idx, y->rank, v_idx, v->rank), NULL, out);
}

bool expand_attend(ir_node *node, ir_value **out) {
  const ir_type *q = &node->operands[0]->type, *k = &node->operands[1]->type;
  int lead = q->rank - 3;
  ir_dim dims[IR_MAX_RANK];
  if (node->operand_count == 3 && lead == 0) return false;
  for (int i = 0; i < lead; i++) dims[i] = q->dims[i];
  dims[lead] = q->dims[lead + 1];
  dims[lead + 1] = q->dims[lead];
  dims[lead + 2] = k->dims[lead];
  ir_value *score = scores(node, dims, q->rank), *weight = score ? weights(node, score) : NULL;
  return weight && mix(node, weight, out);
}
