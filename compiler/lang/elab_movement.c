// Functions that move elements: permute, concat, split, unstack, repeat, spread, last.
//
// `repeat(x, n)` puts a new first dim of n in front, `spread(x, n)` a new last one behind (what a value per row needs
// to meet the row: shapes broadcast by suffix only), `repeat(x, n, over = d)` repeats each element along a dim that is
// there.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

static ir_dim size_arg(lang_frame *frame, lang_value v, lang_span span) {
  if (v.kind == LANG_V_DIM) return v.dim;
  if (v.kind == LANG_V_INT && v.i >= 0) return ir_dim_const(frame->elab->module->dims, v.i);
  lang_error(frame->elab, LANG_W_BAD_DIM, span, lang_value_describe(frame->elab->arena, v));
  return NULL;
}

static lang_value slice(lang_frame *frame, lang_tensor_value *x, int axis, ir_dim start, ir_dim stop, lang_span span) {
  ir_attr attrs[3] = {ir_attr_int(IR_ATTR_axis, axis), ir_attr_dim(IR_ATTR_start, start),
                      ir_attr_dim(IR_ATTR_stop, stop)};
  return lang_build(frame, IR_OP_slice, &x, 1, attrs, 3, span);
}

static lang_value reshape(lang_frame *frame, lang_tensor_value *x, const ir_dim *dims, int rank, lang_span span) {
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, rank);
  return lang_build(frame, IR_OP_reshape, &x, 1, &attr, 1, span);
}

static int over_axis(lang_frame *frame, const lang_tensor_value *x, const lang_call *call, int fallback) {
  const lang_expr *expr;
  lang_value over = lang_call_named(call, "over", &expr);
  if (over.kind != LANG_V_NONE) return lang_axis(frame, x, expr, over);
  int axis = fallback < 0 ? fallback + x->value->type.rank : fallback;
  if (axis >= 0 && axis < x->value->type.rank) return axis;
  lang_error(frame->elab, LANG_W_NO_AXIS, call->expr->span, "the last axis", lang_tensor_text(frame->elab->arena, x));
  return -1;
}

// ---- permute

lang_value lang_builtin_permute(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_elab *elab = frame->elab;
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  lang_value order = call->positional[1];
  const lang_expr *expr = call->exprs[1];
  if (!x) return lang_value_error();
  int rank = x->value->type.rank;
  if (order.kind != LANG_V_LIST || order.list.count != rank) {
    lang_error(elab, LANG_W_BAD_PERMUTE, expr->span, lang_tensor_text(elab->arena, x));
    return lang_value_error();
  }
  int64_t perm[IR_MAX_RANK];
  unsigned seen = 0;
  const char *labels[IR_MAX_RANK] = {NULL};
  for (int i = 0; i < rank; i++) {
    const lang_expr *item = expr->kind == LANG_EXPR_LIST ? expr->list.values.data[i] : NULL;
    int axis = lang_axis(frame, x, item, order.list.items[i]);
    if (axis < 0) return lang_value_error();
    perm[i] = axis;
    seen |= 1u << axis;
    labels[i] = x->labels[axis];
  }
  if (seen != (1u << rank) - 1) {
    lang_error(elab, LANG_W_BAD_PERMUTE, expr->span, lang_tensor_text(elab->arena, x));
    return lang_value_error();
  }
  for (int i = 0; i < rank; i++) {
    if (perm[i] == i || !lang_dim_batch(x->value->type.dims[perm[i]])) continue;
    lang_error(elab, LANG_W_BATCH_MOVES, call->expr->span, ir_dim_print(elab->arena, x->value->type.dims[perm[i]]));
    return lang_value_error();
  }
  ir_attr attr = ir_attr_ints(IR_ATTR_perm, perm, rank);
  lang_value v = lang_build(frame, IR_OP_permute, &x, 1, &attr, 1, call->expr->span);
  if (v.kind == LANG_V_TENSOR) memcpy(v.tensor->labels, labels, sizeof labels);
  return v;
}

// ---- concat, split, unstack

lang_value lang_builtin_concat(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_elab *elab = frame->elab;
  const lang_value *values = call->positional;
  int64_t count = call->count;
  bool list = count == 1 && (values[0].kind == LANG_V_LIST || values[0].kind == LANG_V_TUPLE) && values[0].list.count;
  if (list) count = values[0].list.count, values = values[0].list.items;
  const lang_expr *expr;
  if (lang_call_named(call, "over", &expr).kind == LANG_V_NONE) {
    lang_error(elab, LANG_W_MISSING_ARGUMENT, call->expr->span, "concat", "over");
    return lang_value_error();
  }
  if (!lang_spend(elab, 8 * count, call->expr->span)) return lang_value_error();
  lang_tensor_value **x = WEIR_NEW_ARRAY(elab->arena, lang_tensor_value *, count);
  for (int i = 0; i < count; i++) {
    lang_span span = call->exprs[list ? 0 : i]->span;
    x[i] = list && values[i].kind == LANG_V_TENSOR ? values[i].tensor : list ? NULL : lang_tensor_arg(frame, call, i);
    if (list && !x[i] && !lang_value_void(values[i]))
      lang_error(elab, LANG_W_WANTS_TENSOR, span, "an argument of concat", lang_value_describe(elab->arena, values[i]));
    if (!x[i]) return lang_value_error();
    if (x[i]->is_f == x[0]->is_f && x[i]->value->type.dtype == x[0]->value->type.dtype) continue;
    lang_error(elab, LANG_W_TYPES_DIFFER, span, "concat", lang_tensor_text(elab->arena, x[0]),
               lang_tensor_text(elab->arena, x[i]));
    return lang_value_error();
  }
  int axis = over_axis(frame, x[0], call, 0);
  if (axis < 0) return lang_value_error();
  for (int i = 0; i < count; i++) {
    if (axis < x[i]->value->type.rank) lang_axis_rule(frame, x[i], axis, "concat", call->expr->span);
  }
  ir_attr attr = ir_attr_int(IR_ATTR_axis, axis);
  return lang_build(frame, IR_OP_concat, x, (int)count, &attr, 1, call->expr->span);
}

lang_value lang_builtin_split(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  lang_value sizes = call->positional[1];
  if (!x) return lang_value_error();
  if (sizes.kind != LANG_V_LIST) {
    lang_error(elab, LANG_W_BAD_SPLIT, call->exprs[1]->span, "a list of sizes",
               lang_value_describe(elab->arena, sizes));
    return lang_value_error();
  }
  int axis = over_axis(frame, x, call, -1);
  if (axis < 0 || !lang_spend(elab, 8 * sizes.list.count, call->expr->span)) return lang_value_error();
  lang_axis_rule(frame, x, axis, "split", call->expr->span);
  lang_value parts = lang_value_list(elab->arena, LANG_V_TUPLE, sizes.list.items, sizes.list.count);
  ir_dim at = ir_dim_const(dims, 0);
  ir_dim *stops = WEIR_NEW_ARRAY(elab->arena, ir_dim, sizes.list.count + 1);
  for (int64_t i = 0; i < sizes.list.count; i++) {
    ir_dim size = size_arg(frame, sizes.list.items[i], call->exprs[1]->span);
    at = size ? ir_dim_add(dims, at, size) : NULL;
    if (!at) return lang_value_error();
    stops[i] = at;
  }
  if (!lang_dim_equal(dims, at, x->value->type.dims[axis])) {
    lang_diag *diag = lang_error(elab, LANG_W_SPLIT_SUM, call->exprs[1]->span, ir_dim_print(elab->arena, at),
                                 ir_dim_print(elab->arena, x->value->type.dims[axis]));
    lang_note_dim(elab, diag, frame->function, x->value, axis, "");
    return lang_value_error();
  }
  for (int64_t i = 0; i < sizes.list.count; i++) {
    parts.list.items[i] = slice(frame, x, axis, i ? stops[i - 1] : ir_dim_const(dims, 0), stops[i], call->expr->span);
    if (parts.list.items[i].kind != LANG_V_TENSOR) return lang_value_error();
  }
  return parts;
}

lang_value lang_builtin_unstack(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  int axis = x ? over_axis(frame, x, call, 0) : -1;
  int64_t count;
  if (axis < 0) return lang_value_error();
  if (!ir_dim_is_const(x->value->type.dims[axis], &count)) {
    lang_error(elab, LANG_W_UNSTACK_RUN_TIME, call->expr->span, ir_dim_print(elab->arena, x->value->type.dims[axis]));
    return lang_value_error();
  }
  if (!lang_spend(elab, 8 * count, call->expr->span)) return lang_value_error();
  lang_value parts = {.kind = LANG_V_TUPLE,
                      .list = {WEIR_NEW_ARRAY(elab->arena, lang_value, count ? count : 1), count}};
  ir_dim rest[IR_MAX_RANK];
  int rank = 0;
  for (int i = 0; i < x->value->type.rank; i++) {
    if (i != axis) rest[rank++] = x->value->type.dims[i];
  }
  for (int64_t i = 0; i < count; i++) {
    lang_value v = slice(frame, x, axis, ir_dim_const(dims, i), ir_dim_const(dims, i + 1), call->expr->span);
    if (v.kind == LANG_V_TENSOR) v = reshape(frame, v.tensor, rest, rank, call->expr->span);
    if (v.kind != LANG_V_TENSOR) return lang_value_error();
    parts.list.items[i] = v;
  }
  return parts;
}

// ---- repeat, spread, last

// A new first dim.
static lang_value broadcast(lang_frame *frame, lang_tensor_value *x, ir_dim size, lang_span span) {
  ir_dim dims[IR_MAX_RANK];
  const ir_type *type = &x->value->type;
  if (type->rank == IR_MAX_RANK) {
    lang_error(frame->elab, LANG_W_RANK, span, weir_arena_printf(frame->elab->arena, "%d", IR_MAX_RANK));
    return lang_value_error();
  }
  dims[0] = size;
  memcpy(dims + 1, type->dims, (size_t)type->rank * sizeof *dims);
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, type->rank + 1);
  return lang_build(frame, IR_OP_broadcast, &x, 1, &attr, 1, span);
}

// Moves the first axis behind |axis| others.
static lang_value move_first(lang_frame *frame, lang_tensor_value *x, int axis, lang_span span) {
  int64_t perm[IR_MAX_RANK];
  for (int i = 0; i < x->value->type.rank; i++) perm[i] = i < axis ? i + 1 : i == axis ? 0 : i;
  if (axis == 0) return (lang_value){.kind = LANG_V_TENSOR, .tensor = x};
  ir_attr attr = ir_attr_ints(IR_ATTR_perm, perm, x->value->type.rank);
  return lang_build(frame, IR_OP_permute, &x, 1, &attr, 1, span);
}

static lang_value repeat_along(lang_frame *frame, lang_tensor_value *x, int axis, ir_dim times, lang_span span) {
  lang_axis_rule(frame, x, axis, "repeat", span);
  ir_type type = x->value->type;
  type.dims[axis] = ir_dim_mul(frame->elab->module->dims, type.dims[axis], times);
  if (!type.dims[axis]) {
    lang_error(frame->elab, LANG_W_OVERFLOW, span);
    return lang_value_error();
  }
  lang_value v = broadcast(frame, x, times, span);
  if (v.kind == LANG_V_TENSOR) v = move_first(frame, v.tensor, axis + 1, span);
  if (v.kind == LANG_V_TENSOR) v = reshape(frame, v.tensor, type.dims, type.rank, span);
  return v;
}

lang_value lang_builtin_repeat(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  ir_dim times = x ? size_arg(frame, call->positional[1], call->exprs[1]->span) : NULL;
  if (!times) return lang_value_error();
  if (lang_call_named(call, "over", NULL).kind == LANG_V_NONE) return broadcast(frame, x, times, call->expr->span);
  int axis = over_axis(frame, x, call, 0);
  return axis < 0 ? lang_value_error() : repeat_along(frame, x, axis, times, call->expr->span);
}

lang_value lang_builtin_spread(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  ir_dim size = x ? size_arg(frame, call->positional[1], call->exprs[1]->span) : NULL;
  if (!size) return lang_value_error();
  lang_value v = broadcast(frame, x, size, call->expr->span);
  return v.kind == LANG_V_TENSOR ? move_first(frame, v.tensor, x->value->type.rank, call->expr->span) : v;
}

lang_value lang_builtin_last(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_elab *elab = frame->elab;
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  if (!x) return lang_value_error();
  const ir_type *type = &x->value->type;
  int64_t lo = 0, hi;
  if (type->rank) ir_dim_bounds(type->dims[0], &lo, &hi);
  if (type->rank && lang_dim_batch(type->dims[0])) {
    lang_batch_error(frame, call->expr->span, "last", type->dims[0]);
    return lang_value_error();
  }
  if (!type->rank || lo < 1) {
    lang_error(elab, LANG_W_LAST_EMPTY, call->expr->span, lang_tensor_text(elab->arena, x));
    return lang_value_error();
  }
  lang_value v = lang_build(frame, IR_OP_last, &x, 1, NULL, 0, call->expr->span);
  if (v.kind == LANG_V_TENSOR && frame->function->step)
    v.tensor->latest = lang_dim_seq(type->dims[0], elab->module->dims);
  return v;
}
