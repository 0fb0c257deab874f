// The functions that models are made of: linear, attend, rope, gather, pos, reductions, clamp. Each checks what the
// text must hold to (types, shapes with the chain of the dim, roles) before it builds its op.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"
#include "ir/rules.h"

static bool one_type(lang_frame *frame, lang_tensor_value *const *x, int count, const lang_call *call) {
  for (int i = 0; i < count; i++) {
    ir_dtype dtype = x[i]->value->type.dtype;
    if (ir_dtype_is_float(dtype) && dtype == x[0]->value->type.dtype && x[i]->is_f == x[0]->is_f) continue;
    const char *text = lang_tensor_text(frame->elab->arena, x[i]);
    if (!ir_dtype_is_float(dtype)) {
      lang_error(frame->elab, LANG_W_BAD_ELEMENT_TYPE, call->exprs[i]->span, call->name, text, "floats");
      return false;
    }
    lang_diag *diag = lang_error(frame->elab, LANG_W_TYPES_DIFFER, call->exprs[i]->span, call->name,
                                 lang_tensor_text(frame->elab->arena, x[0]), text);
    lang_note_add(frame->elab, diag, (lang_span){0}, "cast one side: f32(x), f(x)");
    return false;
  }
  return true;
}

// ---- products

static bool linear_fits(lang_frame *frame, const lang_tensor_value *x, const lang_tensor_value *w,
                        const lang_call *call) {
  lang_elab *elab = frame->elab;
  const ir_type *a = &x->value->type, *b = &w->value->type;
  if (a->rank >= 1 && b->rank == 2 && lang_dim_equal(elab->module->dims, a->dims[a->rank - 1], b->dims[1])) return true;
  lang_diag *diag = lang_error(elab, LANG_W_LINEAR_SHAPES, call->expr->span, lang_tensor_text(elab->arena, x),
                               lang_tensor_text(elab->arena, w));
  if (a->rank >= 1) lang_note_dim(elab, diag, frame->function, x->value, a->rank - 1, "");
  if (b->rank == 2) lang_note_dim(elab, diag, frame->function, w->value, 1, "");
  return false;
}

lang_value lang_builtin_linear(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_tensor_value *x[3] = {NULL};
  for (int i = 0; i < call->count; i++) {
    x[i] = lang_tensor_arg(frame, call, i);
    if (!x[i]) return lang_value_error();
  }
  if (!one_type(frame, x, call->count, call)) return lang_value_error();
  if (self->op == IR_OP_linear && !linear_fits(frame, x[0], x[1], call)) return lang_value_error();
  const ir_type *a = &x[0]->value->type;
  if (a->rank) lang_axis_rule(frame, x[0], a->rank - 1, call->name, call->expr->span);
  if (self->op == IR_OP_matmul && x[1]->value->type.rank > 1) {
    lang_axis_rule(frame, x[1], x[1]->value->type.rank - 2, call->name, call->expr->span);
  }
  lang_value v = lang_build(frame, self->op, x, 2, NULL, 0, call->expr->span);
  if (v.kind != LANG_V_TENSOR || call->count < 3) return v;
  return lang_elementwise(frame, IR_OP_add, (lang_value[]){v, call->positional[2]}, 2, call->expr->span);
}

// ---- attention

static bool number_named(lang_frame *frame, const lang_call *call, const char *name, double *out) {
  const lang_expr *expr;
  lang_value v = lang_call_named(call, name, &expr);
  if (v.kind == LANG_V_NONE) return true;
  if (v.kind == LANG_V_BOOL) *out = v.b;
  else if (lang_value_is_number(v)) *out = lang_value_number(v);
  else {
    lang_error(frame->elab, LANG_W_NAMED_NUMBER, expr->span, name, lang_value_describe(frame->elab->arena, v));
    return false;
  }
  return true;
}

static bool attend_roles(lang_frame *frame, lang_tensor_value *const *x, bool causal, const lang_call *call) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  int lead = x[0]->value->type.rank - 3;
  ir_dim rows = x[0]->value->type.dims[lead], seen = x[1]->value->type.dims[lead];
  const ir_symbol *seq = lang_dim_seq(seen, dims);
  for (int i = 0; i < 3; i++) {
    ir_dim dim = x[i]->value->type.dims[lead];
    if (!lang_dim_batch(dim)) continue;
    lang_batch_error(frame, call->exprs[i]->span, "attend", dim);
    return false;
  }
  if (causal && lang_dim_seq(rows, dims) != seq) {
    lang_error(elab, LANG_W_CAUSAL_LENGTHS, call->expr->span, ir_dim_print(elab->arena, rows),
               ir_dim_print(elab->arena, seen));
    return false;
  }
  if (!lang_dim_history(seen, dims))
    lang_event_add(frame, seq, LANG_W_ALONG_GROWING, call->expr->span, "attend without the history");
  else if (!causal) lang_event_add(frame, seq, LANG_W_NOT_CAUSAL, call->expr->span, "");
  return true;
}

// What a state over last(T, W) serves: a reach of W rows.
static bool attend_reach(lang_frame *frame, lang_tensor_value *const *x, bool causal, double window,
                         const lang_call *call) {
  for (int i = 1; i < 3; i++) {
    const ir_type *type = &x[i]->value->type;
    const ir_symbol *kept = lang_dim_kept(type->dims[type->rank - 3], frame->elab->module->dims);
    int64_t reach = kept ? kept->hi + 1 : x[i]->state ? x[i]->state->window : 0;
    bool old = lang_dim_kept(x[0]->value->type.dims[x[0]->value->type.rank - 3], frame->elab->module->dims);
    if (!reach || (!old && causal && window >= 1 && window <= (double)reach)) continue;
    lang_diag *diag = lang_error(frame->elab, LANG_W_BEHIND_WINDOW, call->expr->span,
                                 weir_arena_printf(frame->elab->arena, "%" PRId64, reach));
    lang_note_add(frame->elab, diag, (lang_span){0},
                  old ? "ask with this call's rows: what the rows before them saw may be gone"
                      : "say `causal = true, window = W` with W at most that, or keep more: `over last(T, W)`");
    return false;
  }
  return true;
}

lang_value lang_builtin_attend(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_elab *elab = frame->elab;
  lang_tensor_value *x[4];
  for (int i = 0; i < 3; i++) {
    x[i] = lang_tensor_arg(frame, call, i);
    if (!x[i]) return lang_value_error();
    if (x[i]->value->type.rank >= 3 && x[i]->value->type.rank == x[0]->value->type.rank) continue;
    lang_error(elab, LANG_W_ATTEND_RANK, call->exprs[i]->span, lang_tensor_text(elab->arena, x[i]));
    return lang_value_error();
  }
  double causal = 0, window = 0, scale = 0;
  int64_t size;
  if (!number_named(frame, call, "causal", &causal) || !number_named(frame, call, "window", &window))
    return lang_value_error();
  if (ir_dim_is_const(x[0]->value->type.dims[x[0]->value->type.rank - 1], &size) && size > 0)
    scale = 1 / sqrt((double)size);
  if (!number_named(frame, call, "scale", &scale) || !one_type(frame, x, 3, call)) return lang_value_error();
  if (!attend_roles(frame, x, causal != 0, call)) return lang_value_error();
  if (!(window >= 0 && window < 0x1p53) || window != floor(window)) {
    const lang_expr *expr;
    lang_value v = lang_call_named(call, "window", &expr);
    lang_error(elab, LANG_W_NAMED_NUMBER, expr->span, "window", lang_value_describe(elab->arena, v));
    return lang_value_error();
  }
  if (!attend_reach(frame, x, causal != 0, window, call)) return lang_value_error();
  ir_attr attrs[3] = {ir_attr_int(IR_ATTR_causal, causal != 0), ir_attr_int(IR_ATTR_window, (int64_t)window),
                      ir_attr_float(IR_ATTR_scale, scale)};
  const lang_expr *expr;
  lang_value bias = lang_call_named(call, "bias", &expr);
  if (bias.kind != LANG_V_NONE && bias.kind != LANG_V_TENSOR) {
    lang_error(elab, LANG_W_WANTS_TENSOR, expr->span, "bias", lang_value_describe(elab->arena, bias));
    return lang_value_error();
  }
  x[3] = bias.kind == LANG_V_TENSOR ? bias.tensor : NULL;
  bool mask = x[3] && x[3]->value->type.dtype == IR_bool;
  if (x[3] && !mask && (x[3]->is_f != x[0]->is_f || x[3]->value->type.dtype != x[0]->value->type.dtype)) {
    lang_error(elab, LANG_W_TYPES_DIFFER, expr->span, call->name, lang_tensor_text(elab->arena, x[0]),
               lang_tensor_text(elab->arena, x[3]));
    return lang_value_error();
  }
  lang_value v = lang_build(frame, IR_OP_attend, x, x[3] ? 4 : 3, attrs, 3, call->expr->span);
  if (v.kind == LANG_V_TENSOR) memcpy(v.tensor->labels, x[0]->labels, sizeof x[0]->labels);
  return v;
}

// ---- positions

static lang_value positions(lang_frame *frame, ir_op op, ir_dim dim, lang_span span) {
  if (lang_dim_batch(dim)) {
    lang_batch_error(frame, span, ir_op_get_info(op)->name, dim);
    return lang_value_error();
  }
  // Of a dim that is computed from one that grows there is no position in the whole sequence.
  const ir_symbol *seq = lang_dim_seq(dim, frame->elab->module->dims);
  if (op == IR_OP_pos && seq != ir_dim_as_symbol(dim) && !lang_dim_history(dim, frame->elab->module->dims))
    lang_event_add(frame, seq, LANG_W_ALONG_GROWING, span, "pos of this size");
  ir_attr attr = ir_attr_dim(IR_ATTR_dim, dim);
  return lang_build(frame, op, NULL, 0, &attr, 1, span);
}

lang_value lang_builtin_pos(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_value v = call->positional[0];
  bool number = self->op == IR_OP_pos && v.kind == LANG_V_TENSOR;
  if (number && frame->function && frame->function->index) return lang_index_pos(frame, v.tensor, call->expr->span);
  if (number && v.tensor->index) return lang_pos_of(frame, v.tensor, call->expr->span);
  ir_dim dim = v.kind == LANG_V_DIM ? v.dim : NULL;
  if (v.kind == LANG_V_INT && v.i >= 0) dim = ir_dim_const(frame->elab->module->dims, v.i);
  if (!dim) {
    lang_error(frame->elab, LANG_W_BAD_DIM, call->exprs[0]->span, lang_value_describe(frame->elab->arena, v));
    return lang_value_error();
  }
  if (self->op == IR_OP_iota) lang_length_rule(frame, dim, call->expr->span);
  return positions(frame, self->op, dim, call->expr->span);
}

// x: [T, ..., H], the axes between as one.
static lang_value as_heads(lang_frame *frame, lang_tensor_value *x, lang_span span) {
  ir_dim_table *table = frame->elab->module->dims;
  const ir_type *type = &x->value->type;
  if (type->rank == 3) return (lang_value){.kind = LANG_V_TENSOR, .tensor = x};
  ir_dim heads = ir_dim_const(table, 1);
  for (int i = 1; heads && i < type->rank - 1; i++) heads = ir_dim_mul(table, heads, type->dims[i]);
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, (ir_dim[]){type->dims[0], heads, type->dims[type->rank - 1]}, 3);
  return lang_build(frame, IR_OP_reshape, &x, 1, &attr, 1, span);
}

static lang_value build_rope(lang_frame *frame, lang_tensor_value *x, const double *settings, lang_span span) {
  const ir_type *type = &x->value->type;
  lang_value pos = positions(frame, IR_OP_pos, type->dims[0], span), heads = as_heads(frame, x, span);
  if (pos.kind != LANG_V_TENSOR || heads.kind != LANG_V_TENSOR) return lang_value_error();
  ir_attr attrs[3] = {ir_attr_float(IR_ATTR_theta, settings[0]), ir_attr_int(IR_ATTR_rotary, (int64_t)settings[1]),
                      ir_attr_int(IR_ATTR_interleaved, settings[2] != 0)};
  lang_value v = lang_build(frame, IR_OP_rope, (lang_tensor_value *[]){heads.tensor, pos.tensor}, 2, attrs, 3, span);
  if (v.kind != LANG_V_TENSOR || type->rank == 3) return v;
  ir_attr back = ir_attr_dims(IR_ATTR_dims, type->dims, type->rank);
  return lang_build(frame, IR_OP_reshape, &v.tensor, 1, &back, 1, span);
}

lang_value lang_builtin_rope(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_elab *elab = frame->elab;
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  int64_t size = 0;
  if (!x || !one_type(frame, &x, 1, call)) return lang_value_error();
  const ir_type *type = &x->value->type;
  if (type->rank < 2 || !ir_dim_is_const(type->dims[type->rank - 1], &size)) {
    lang_error(elab, LANG_W_ROPE_SHAPE, call->exprs[0]->span, lang_tensor_text(elab->arena, x));
    return lang_value_error();
  }
  double settings[3] = {0, (double)size, 0};
  if (!lang_value_is_number(call->positional[1])) {
    lang_error(elab, LANG_W_NAMED_NUMBER, call->exprs[1]->span, "theta",
               lang_value_describe(elab->arena, call->positional[1]));
    return lang_value_error();
  }
  settings[0] = lang_value_number(call->positional[1]);
  if (!number_named(frame, call, "rotary", &settings[1]) || !number_named(frame, call, "interleaved", &settings[2])) {
    return lang_value_error();
  }
  if (!(settings[0] > 0) || !(settings[1] >= 0 && settings[1] <= (double)size) || fmod(settings[1], 2) != 0) {
    lang_error(elab, LANG_W_ROPE_SETTINGS, call->expr->span, weir_arena_printf(elab->arena, "%g", settings[0]),
               weir_arena_printf(elab->arena, "%g", settings[1]), weir_arena_printf(elab->arena, "%" PRId64, size));
    return lang_value_error();
  }
  lang_value v = build_rope(frame, x, settings, call->expr->span);
  if (v.kind == LANG_V_TENSOR) memcpy(v.tensor->labels, x->labels, sizeof x->labels);
  return v;
}

// ---- gather

lang_value lang_builtin_gather(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  lang_elab *elab = frame->elab;
  lang_tensor_value *x[2] = {lang_tensor_arg(frame, call, 0), lang_tensor_arg(frame, call, 1)};
  if (!x[0] || !x[1]) return lang_value_error();
  const ir_type *table = &x[0]->value->type;
  if (table->rank < 1 || !ir_dtype_is_int(x[1]->value->type.dtype)) {
    lang_error(elab, LANG_W_GATHER_TYPES, call->expr->span, lang_tensor_text(elab->arena, x[0]),
               lang_tensor_text(elab->arena, x[1]));
    return lang_value_error();
  }
  lang_axis_rule(frame, x[0], 0, "gather", call->expr->span);
  if (!ir_value_below(x[1]->value, table->dims[0])) {
    lang_diag *diag =
        lang_error(elab, LANG_W_UNPROVED_INDEX, call->exprs[1]->span, ir_dim_print(elab->arena, table->dims[0]));
    if (x[1]->value->lo <= x[1]->value->hi) {
      lang_note_add(elab, diag, x[1]->span, "it is known to be in %" PRId64 "..=%" PRId64, x[1]->value->lo,
                    x[1]->value->hi);
    }
    lang_note_add(elab, diag, (lang_span){0},
                  "an argument says its range, `tokens: i32[T] in 0..V`; or clamp(i, 0, n - 1)");
    return lang_value_error();
  }
  return lang_build(frame, IR_OP_gather, x, 2, NULL, 0, call->expr->span);
}

// ---- reductions

static int compare_axes(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static int reduced_axes(lang_frame *frame, const lang_tensor_value *x, const lang_call *call, int64_t *out) {
  const lang_expr *expr;
  lang_value over = lang_call_named(call, "over", &expr);
  int count = 0;
  if (over.kind != LANG_V_LIST) {
    int axis = lang_axis(frame, x, expr, over);
    out[0] = axis;
    return axis < 0 ? -1 : 1;
  }
  for (int64_t i = 0; i < over.list.count && count < IR_MAX_RANK; i++) {
    int axis = lang_axis(frame, x, expr->kind == LANG_EXPR_LIST ? expr->list.values.data[i] : NULL, over.list.items[i]);
    if (axis < 0) return -1;
    out[count++] = axis;
  }
  qsort(out, (size_t)count, sizeof *out, compare_axes);
  bool twice = false;
  for (int i = 1; i < count; i++) twice = twice || out[i] == out[i - 1];
  if (count && !twice) return count;
  lang_error(frame->elab, LANG_W_BAD_AXIS, expr->span, "an empty list or an axis twice");
  return -1;
}

lang_value lang_builtin_reduce(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_elab *elab = frame->elab;
  bool extreme = self->op == IR_OP_amax || self->op == IR_OP_amin;
  if (extreme && call->count > 1) return lang_value_error();
  if (lang_call_named(call, "over", NULL).kind == LANG_V_NONE) {
    lang_error(elab, LANG_W_MISSING_ARGUMENT, call->expr->span, self->name, "over");
    return lang_value_error();
  }
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  int64_t axes[IR_MAX_RANK];
  int count = x ? reduced_axes(frame, x, call, axes) : -1;
  if (count < 0) return lang_value_error();
  ir_dtype dtype = x->value->type.dtype;
  bool floats = (ir_op_get_info(self->op)->flags & IR_FLAG_FLOAT) != 0;
  bool bools = (ir_op_get_info(self->op)->flags & IR_FLAG_BOOLS) != 0;
  if ((dtype == IR_bool) != bools || (floats && !ir_dtype_is_float(dtype))) {
    lang_error(elab, LANG_W_BAD_ELEMENT_TYPE, call->exprs[0]->span, self->name, lang_tensor_text(elab->arena, x),
               bools    ? "bool"
               : floats ? "floats"
                        : "numbers");
    return lang_value_error();
  }
  bool single = self->op == IR_OP_softmax || self->op == IR_OP_argmax || self->op == IR_OP_argmin;
  if (single && count > 1) {
    lang_error(elab, LANG_W_BAD_AXIS, call->expr->span, "several axes");
    return lang_value_error();
  }
  for (int i = 0; i < count; i++) lang_axis_rule(frame, x, (int)axes[i], self->name, call->expr->span);
  ir_attr attr =
      self->op == IR_OP_softmax ? ir_attr_int(IR_ATTR_axis, axes[0]) : ir_attr_ints(IR_ATTR_over, axes, count);
  lang_value v = lang_build(frame, self->op, &x, 1, &attr, 1, call->expr->span);
  if (v.kind == LANG_V_TENSOR && self->op == IR_OP_softmax) memcpy(v.tensor->labels, x->labels, sizeof x->labels);
  return v;
}

lang_value lang_builtin_clamp(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)self;
  if (!lang_tensor_arg(frame, call, 0)) return lang_value_error();
  lang_value low[2] = {call->positional[0], call->positional[1]};
  lang_value v = lang_elementwise(frame, IR_OP_max, low, 2, call->expr->span);
  return lang_elementwise(frame, IR_OP_min, (lang_value[]){v, call->positional[2]}, 2, call->expr->span);
}
