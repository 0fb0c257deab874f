// Reducers as ops over whole tensors. A sum of a product whose two sides share the summed indices is a matrix product,
// whatever order their axes have; any other reducer without a guard reduces the axes of its body; a guard that says
// `idx[e] == n`, with n an index of the result, scatters. A reducer with another guard is left to a map, whose loops
// the guard narrows.
#include <math.h>
#include <string.h>

#include "compiler/lang/elab_index.h"

// The indices that a fold runs over.
static void indices_of(const lang_emit *m, const ir_node *fold, lang_vec *out) {
  *out = (lang_vec){0};
  for (int i = 0; i < fold->attrs[0].count; i++)
    out->axes[out->rank++] = lang_index_of(m->scope, fold->callee->params[i].value);
}

// ---- products

typedef struct {
  lang_vec batch, left, right, summed;  // axes only
} sides;

static void sort_axes(const lang_vec *a, const lang_vec *b, const lang_vec *summed, sides *out) {
  *out = (sides){0};
  for (int i = 0; i < a->rank; i++) {
    lang_vec *to = lang_vec_axis(summed, a->axes[i]) >= 0 ? &out->summed
                   : lang_vec_axis(b, a->axes[i]) >= 0    ? &out->batch
                                                          : &out->left;
    to->axes[to->rank++] = a->axes[i];
  }
  for (int i = 0; i < b->rank; i++) {
    if (lang_vec_axis(a, b->axes[i]) < 0) out->right.axes[out->right.rank++] = b->axes[i];
  }
}

static bool all_plain(const lang_vec *axes) {
  for (int i = 0; i < axes->rank; i++) {
    if (ir_dim_role(axes->axes[i]->size) != IR_ROLE_PLAIN) return false;
  }
  return true;
}

static bool one_axis(const lang_vec *axes) { return axes->rank == 1 || all_plain(axes); }

// Groups of axes after one another; each with |merge| as one dim.
static ir_value *grouped(lang_emit *m, lang_vec *x, const lang_vec *const *groups, const bool *merge, int count) {
  ir_dim_table *table = m->frame->elab->module->dims;
  ir_dim dims[IR_MAX_RANK + 1];
  lang_ix *order[IR_MAX_RANK];
  int rank = 0, axes = 0;
  for (int g = 0; g < count; g++) {
    ir_dim all = ir_dim_const(table, 1);
    for (int i = 0; i < groups[g]->rank; i++) {
      order[axes++] = groups[g]->axes[i];
      if (merge[g]) all = all ? ir_dim_mul(table, all, groups[g]->axes[i]->size) : NULL;
      else dims[rank++] = groups[g]->axes[i]->size;
    }
    if (merge[g]) dims[rank++] = all;
    if (!all || rank > IR_MAX_RANK) return NULL;
  }
  if (!lang_emit_align(m, x, order, axes)) return NULL;
  return lang_emit_reshape(m, x->value, dims, rank);
}

static void append_axes(lang_vec *out, const lang_vec *more) {
  memcpy(out->axes + out->rank, more->axes, (size_t)more->rank * sizeof *more->axes);
  out->rank += more->rank;
}

// Back from merged dims to one axis for each index of |out|.
static bool ungroup(lang_emit *m, lang_vec *out) {
  ir_dim dims[IR_MAX_RANK];
  for (int i = 0; i < out->rank; i++) dims[i] = out->axes[i]->size;
  out->value = out->value ? lang_emit_reshape(m, out->value, dims, out->rank) : NULL;
  return out->value != NULL;
}

// Made of parameters alone.
static bool is_weight(const lang_emit *m, ir_value *value, int depth) {
  value = lang_index_origin(m->scope, value);
  const ir_function *ir = m->frame->function->ir;
  if (!value->def)
    return value->result < ir->param_count && ir->params[value->result].value == value &&
           ir->params[value->result].kind == IR_PARAM_WEIGHT;
  bool element = value->def->op == IR_OP_element || value->def->op == IR_OP_cast;
  return element && depth < 8 && is_weight(m, value->def->operands[0], depth + 1);
}

// x: [left ..., K], w: [right, K] -> [left ..., right]
static bool by_linear(lang_emit *m, lang_vec *x, lang_vec *w, const sides *s, lang_vec *out) {
  const lang_vec *of_x[] = {&s->left, &s->summed}, *of_w[] = {&s->right, &s->summed};
  ir_value *a = grouped(m, x, of_x, (bool[]){false, true}, 2), *b = grouped(m, w, of_w, (bool[]){true, true}, 2);
  if (!a || !b) return false;
  *out = s->left;
  append_axes(out, &s->right);
  out->value = lang_emit_op(m, IR_OP_linear, (ir_value *[]){a, b}, 2, NULL, 0);
  return ungroup(m, out);
}

// [batch ..., left, K] and [batch ..., K, right] -> [batch ..., left, right]
static bool by_matmul(lang_emit *m, lang_vec *x, lang_vec *y, const sides *s, lang_vec *out) {
  const lang_vec *of_x[] = {&s->batch, &s->left, &s->summed}, *of_y[] = {&s->batch, &s->summed, &s->right};
  bool merge[] = {false, true, true};
  ir_value *a = grouped(m, x, of_x, merge, 3), *b = grouped(m, y, of_y, merge, 3);
  if (!a || !b) return false;
  *out = s->batch;
  append_axes(out, &s->left);
  append_axes(out, &s->right);
  out->value = lang_emit_op(m, IR_OP_matmul, (ir_value *[]){a, b}, 2, NULL, 0);
  return ungroup(m, out);
}

// Whether the sum of |a| * |b| is a product, and then builds it.
static bool product(lang_emit *m, ir_value *a, ir_value *b, const lang_vec *summed, lang_vec *out) {
  lang_vec x, y;
  sides s;
  if (!ir_dtype_is_float(a->type.dtype) || !lang_emit_vec(m, a, &x) || !lang_emit_vec(m, b, &y)) return false;
  bool first_weight = is_weight(m, a, 0) && !is_weight(m, b, 0);
  if (first_weight) {
    lang_vec swap = x;
    ir_value *other = a;
    x = y, y = swap;
    a = b, b = other;
  }
  sort_axes(&y, &x, summed, &s);  // the order of the second's axes, which may be a stored matrix
  lang_vec inner = s.summed;
  sort_axes(&x, &y, summed, &s);
  if (inner.rank != summed->rank || s.summed.rank != summed->rank || !all_plain(&inner)) return false;
  s.summed = inner;
  *out = s.batch;
  if (s.batch.rank + s.left.rank + s.right.rank > IR_MAX_RANK) return false;
  append_axes(out, &s.left);
  append_axes(out, &s.right);
  bool linear = !s.batch.rank && s.right.rank && all_plain(&s.right) && is_weight(m, b, 0);
  bool matmul =
      s.left.rank && s.right.rank && one_axis(&s.left) && one_axis(&s.right) && s.batch.rank + 2 <= IR_MAX_RANK;
  if (m->dry || !(linear || matmul)) return linear || matmul;
  return linear ? by_linear(m, &x, &y, &s, out) : by_matmul(m, &x, &y, &s, out);
}

// ---- windows

static int64_t elements_of(const lang_vec *axes) {
  int64_t all = 1, size;
  for (int i = 0; i < axes->rank; i++) {
    if (!ir_dim_is_const(axes->axes[i]->size, &size) || !weir_mul_i64(all, size, &all)) return 0;
  }
  return all;
}

enum { WORTH_ROWS = 8, WORTH_COLUMNS = 8 };  // a matrix that a product is faster with than a loop for each element

// The sum over a window, sum(k, i: x[n + k, i] * w[k, i, o] where g): what the window sees, 0 where the guard fails, is
// written out once for all o, and then it is a product with a matrix of parameters.
static bool window(lang_emit *m, const ir_node *fold, ir_value *a, ir_value *b, const lang_vec *summed, lang_vec *out) {
  const ir_function *region = fold->callee;
  ir_value *guard = region->result_count > 1 ? region->results[1].value : NULL;
  sides s = {0};
  lang_vec w, x;
  if (m->replaced || !ir_dtype_is_float(a->type.dtype)) return false;
  if (is_weight(m, a, 0)) {
    ir_value *other = a;
    a = b, b = other;
  }
  if (is_weight(m, a, 0) || !is_weight(m, b, 0) || !lang_emit_vec(m, b, &w)) return false;
  for (int i = 0; i < w.rank; i++) {
    lang_vec *to = lang_vec_axis(summed, w.axes[i]) >= 0 ? &s.summed : &s.right;
    to->axes[to->rank++] = w.axes[i];
  }
  if (s.summed.rank != summed->rank || !all_plain(&s.summed) || !all_plain(&s.right)) return false;
  if (!lang_emit_depends(m, a, summed, &s.left) || (guard && !lang_emit_depends(m, guard, summed, &s.left)))
    return false;
  for (int i = 0; i < s.left.rank; i++) {
    if (lang_vec_axis(&w, s.left.axes[i]) >= 0) return false;
  }
  if (!s.left.rank || s.left.rank + s.summed.rank > IR_MAX_RANK || s.left.rank + s.right.rank > IR_MAX_RANK)
    return false;
  if (elements_of(&s.right) < WORTH_ROWS || elements_of(&s.summed) < WORTH_COLUMNS) return false;
  *out = s.left;
  append_axes(out, &s.right);
  if (m->dry) return true;
  x = s.left;
  append_axes(&x, &s.summed);
  x.value = guard ? lang_emit_guarded(m, fold, a, x.axes, x.rank) : lang_emit_tensor(m, a, x.axes, x.rank);
  return x.value && by_linear(m, &x, &w, &s, out);
}

// ---- reductions

static bool reduction_op(ir_combine combine, ir_op *out) {
  static const ir_op ops[IR_COMBINE_COUNT] = {
      [IR_COMBINE_sum] = IR_OP_sum,      [IR_COMBINE_prod] = IR_OP_prod,           [IR_COMBINE_max] = IR_OP_amax,
      [IR_COMBINE_min] = IR_OP_amin,     [IR_COMBINE_mean] = IR_OP_mean,           [IR_COMBINE_any] = IR_OP_COUNT,
      [IR_COMBINE_all] = IR_OP_COUNT,    [IR_COMBINE_logsumexp] = IR_OP_logsumexp, [IR_COMBINE_argmax] = IR_OP_argmax,
      [IR_COMBINE_argmin] = IR_OP_COUNT,
  };
  *out = ops[combine];
  return *out != IR_OP_COUNT;
}

// |x| reduced over |axes|, all of which it has.
static bool reduce_axes(lang_emit *m, lang_vec *x, const lang_vec *axes, ir_op op, lang_vec *out) {
  int64_t over[IR_MAX_RANK];
  int count = 0;
  *out = (lang_vec){0};
  for (int i = 0; i < x->rank; i++) {
    if (lang_vec_axis(axes, x->axes[i]) >= 0) over[count++] = i;
    else out->axes[out->rank++] = x->axes[i];
  }
  if (m->dry) return true;
  ir_attr attr = ir_attr_ints(IR_ATTR_over, over, count);
  out->value = count ? lang_emit_op(m, op, &x->value, 1, &attr, 1) : x->value;
  return out->value != NULL;
}

static bool reduction(lang_emit *m, ir_value *body, ir_combine combine, const lang_vec *axes, lang_vec *out) {
  ir_op op;
  lang_vec x, both[2], wide;
  if (!reduction_op(combine, &op) || (op == IR_OP_argmax && axes->rank > 1) || !lang_emit_vec(m, body, &x))
    return false;
  both[0] = x;
  both[1] = *axes;
  if (!lang_emit_union(both, 2, &wide)) return false;
  if (wide.rank != x.rank && !lang_emit_align(m, &x, wide.axes, wide.rank)) return false;
  return reduce_axes(m, &x, axes, op, out);
}

// ---- scatter

// Whether |value| depends on no index but those of |axes|.
static bool only_on(const lang_emit *m, ir_value *value, const lang_vec *axes, int depth) {
  value = lang_index_origin(m->scope, value);
  const lang_ix *ix = lang_index_of(m->scope, value);
  if (ix) return lang_vec_axis(axes, ix) >= 0;
  if (!lang_index_inner(m->scope, value)) return true;
  if (value->def->callee || depth > 64) return false;
  for (int i = 0; i < value->def->operand_count; i++) {
    if (!only_on(m, value->def->operands[i], axes, depth + 1)) return false;
  }
  return true;
}

typedef struct {
  lang_ix *to;      // the index of the result
  ir_value *index;  // where a row goes
  ir_value *rest[16];
  int rest_count;  // what else the guard asks for
} target;

static bool find_target(const lang_emit *m, ir_value *guard, const lang_vec *axes, target *out, int depth) {
  guard = lang_index_origin(m->scope, guard);
  const ir_node *node = guard->def;
  if (node && node->op == IR_OP_and && depth < 16)
    return find_target(m, node->operands[0], axes, out, depth + 1) &&
           find_target(m, node->operands[1], axes, out, depth + 1);
  for (int side = 0; node && node->op == IR_OP_eq && !out->to && side < 2; side++) {
    lang_ix *to = lang_index_of(m->scope, node->operands[side]);
    if (!to || to == m->replaced || lang_vec_axis(axes, to) >= 0) continue;
    if (!only_on(m, node->operands[1 - side], axes, 0)) continue;
    out->to = to;
    out->index = node->operands[1 - side];
    return true;
  }
  if (out->rest_count == 16) return false;
  out->rest[out->rest_count++] = guard;
  return true;
}

static ir_value *constant(lang_emit *m, double value, ir_dtype dtype) {
  ir_attr attrs[2] = {ir_attr_float(IR_ATTR_value, value), ir_attr_dtype(IR_ATTR_dtype, dtype)};
  return lang_emit_op(m, IR_OP_constant, NULL, 0, attrs, 2);
}

static ir_value *op2(lang_emit *m, ir_op op, ir_value *a, ir_value *b) {
  return a && b ? lang_emit_op(m, op, (ir_value *[]){a, b}, 2, NULL, 0) : NULL;
}

static ir_value *op1(lang_emit *m, ir_op op, ir_value *a) { return a ? lang_emit_op(m, op, &a, 1, NULL, 0) : NULL; }

static ir_value *scatter(lang_emit *m, ir_value *index, ir_value *rows, ir_dim dim, ir_combine combine) {
  ir_attr attrs[2] = {ir_attr_dim(IR_ATTR_dim, dim), ir_attr_combine(IR_ATTR_combine, combine)};
  return index && rows ? lang_emit_op(m, IR_OP_scatter, (ir_value *[]){index, rows}, 2, attrs, 2) : NULL;
}

// log(sum(exp(x))) from the largest of each row; a row without elements has -inf.
static ir_value *scatter_logsumexp(lang_emit *m, ir_value *index, ir_value *rows, ir_dim dim) {
  ir_dtype dtype = rows->type.dtype;
  ir_value *most = scatter(m, index, rows, dim, IR_COMBINE_max);
  ir_value *none = op2(m, IR_OP_eq, most, constant(m, -INFINITY, dtype)), *zero = constant(m, 0, dtype);
  if (!none || !zero) return NULL;
  ir_value *shift = lang_emit_op(m, IR_OP_select, (ir_value *[]){none, zero, most}, 3, NULL, 0);
  ir_value *parts = op1(m, IR_OP_exp, op2(m, IR_OP_sub, rows, op2(m, IR_OP_gather, shift, index)));
  return op2(m, IR_OP_add, op1(m, IR_OP_log, scatter(m, index, parts, dim, IR_COMBINE_sum)), shift);
}

static ir_value *scatter_mean(lang_emit *m, ir_value *index, ir_value *rows, ir_dim dim) {
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, rows->type.dims, 1);
  ir_value *one = constant(m, 1, rows->type.dtype);
  ir_value *ones = one ? lang_emit_op(m, IR_OP_broadcast, &one, 1, &attr, 1) : NULL;
  ir_value *count = scatter(m, index, ones, dim, IR_COMBINE_sum), *sum = scatter(m, index, rows, dim, IR_COMBINE_sum);
  if (!count || !sum || sum->type.rank == 1) return op2(m, IR_OP_div, sum, count);
  ir_dim dims[IR_MAX_RANK];  // [..., N], then N first
  int perm[IR_MAX_RANK], rank = sum->type.rank;
  for (int i = 0; i < rank; i++) {
    dims[i] = i < rank - 1 ? sum->type.dims[i + 1] : dim;
    perm[i] = i ? i - 1 : rank - 1;
  }
  ir_attr wide = ir_attr_dims(IR_ATTR_dims, dims, rank);
  count = lang_emit_op(m, IR_OP_broadcast, &count, 1, &wide, 1);
  return count ? op2(m, IR_OP_div, sum, lang_emit_permute(m, count, perm, rank)) : NULL;
}

static ir_value *cast(lang_emit *m, ir_value *x, ir_dtype dtype) {
  ir_attr attr = ir_attr_dtype(IR_ATTR_dtype, dtype);
  return x ? lang_emit_op(m, IR_OP_cast, &x, 1, &attr, 1) : NULL;
}

// Small floats are added up in f32 and rounded once.
static ir_value *scatter_rows(lang_emit *m, ir_value *index, ir_value *rows, ir_dim dim, ir_combine combine) {
  ir_dtype dtype = rows->type.dtype;
  if (ir_dtype_is_float(dtype) && ir_dtype_bytes(dtype) < 4)
    return cast(m, scatter_rows(m, index, cast(m, rows, IR_f32), dim, combine), dtype);
  if (combine == IR_COMBINE_logsumexp) return scatter_logsumexp(m, index, rows, dim);
  if (combine == IR_COMBINE_mean) return scatter_mean(m, index, rows, dim);
  return scatter(m, index, rows, dim, combine);
}

// The index of each row; -1 where the rest of the guard fails.
static bool row_index(lang_emit *m, const target *t, lang_ix *e, lang_vec *out) {
  lang_vec rest;
  if (!lang_emit_vec(m, t->index, out)) return false;
  if (!lang_emit_align(m, out, &e, 1)) return false;
  for (int i = 0; i < t->rest_count; i++) {
    if (!lang_emit_vec(m, t->rest[i], &rest) || !lang_emit_align(m, &rest, &e, 1)) return false;
    if (m->dry) continue;
    ir_value *none = constant(m, -1, out->value->type.dtype);
    out->value = none ? lang_emit_op(m, IR_OP_select, (ir_value *[]){rest.value, out->value, none}, 3, NULL, 0) : NULL;
    if (!out->value) return false;
  }
  return true;
}

static bool mentions(const lang_emit *m, ir_value *value, const lang_ix *ix, int depth) {
  value = lang_index_origin(m->scope, value);
  if (lang_index_of(m->scope, value) == ix) return true;
  if (!lang_index_inner(m->scope, value) || !value->def) return false;
  if (value->def->callee || depth > 64) return true;
  for (int i = 0; i < value->def->operand_count; i++) {
    if (mentions(m, value->def->operands[i], ix, depth + 1)) return true;
  }
  return false;
}

// sum(e: body where idx[e] == n): the rows of the body, n standing for idx[e] in it, go where idx says.
static bool by_scatter(lang_emit *m, const ir_node *fold, ir_value *body, ir_value *guard, const lang_vec *axes,
                       lang_vec *out) {
  ir_combine combine = fold->attrs[1].combine;
  target t = {0};
  const char *missing;
  bool arg = combine == IR_COMBINE_argmax || combine == IR_COMBINE_argmin;
  if (m->replaced || axes->rank != 1 || arg || !find_target(m, guard, axes, &t, 0) || !t.to) return false;
  for (int i = 0; i < t.rest_count; i++) {
    if (!only_on(m, t.rest[i], axes, 0)) return false;
  }
  bool reads = combine == IR_COMBINE_logsumexp || mentions(m, body, t.to, 0);  // what its row has
  if (reads && (t.rest_count || !lang_index_inside(m->frame, m->scope, t.index, t.to->size, &missing))) return false;
  lang_emit inner = {.frame = m->frame, .scope = m->scope, .span = m->span, .dry = m->dry, .depth = m->depth};
  lang_vec index, rows, wide = {0};
  inner.replaced = t.to;
  inner.replacement = t.index;
  if (!row_index(&inner, &t, axes->axes[0], &index) || !lang_emit_vec(&inner, body, &rows)) return false;
  wide.axes[wide.rank++] = axes->axes[0];
  for (int i = 0; i < rows.rank; i++) {
    if (rows.axes[i] == t.to) return false;
    if (rows.axes[i] != axes->axes[0]) wide.axes[wide.rank++] = rows.axes[i];
  }
  if (!lang_emit_align(&inner, &rows, wide.axes, wide.rank)) return false;
  *out = wide;
  out->axes[0] = t.to;
  if (m->dry) return true;
  out->value = scatter_rows(m, index.value, rows.value, t.to->size, combine);
  return out->value != NULL;
}

// ---- all of them

bool lang_emit_fold(lang_emit *m, ir_node *fold, lang_vec *out) {
  const ir_function *region = fold->callee;
  ir_value *body = lang_index_origin(m->scope, region->results[0].value);
  lang_vec axes;
  indices_of(m, fold, &axes);
  bool products = fold->attrs[1].combine == IR_COMBINE_sum && axes.rank && lang_index_inner(m->scope, body) &&
                  body->def && body->def->op == IR_OP_mul;
  ir_value *const *sides_of = products ? body->def->operands : NULL;
  bool guarded = region->result_count > 1;
  if (guarded && by_scatter(m, fold, body, region->results[1].value, &axes, out)) return true;
  if (guarded) return products && window(m, fold, sides_of[0], sides_of[1], &axes, out);
  if (products && product(m, sides_of[0], sides_of[1], &axes, out)) return true;
  return reduction(m, body, fold->attrs[1].combine, &axes, out) ||
         (products && window(m, fold, sides_of[0], sides_of[1], &axes, out));
}
