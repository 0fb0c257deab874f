// Functions along one axis (running sums, order, repetition), on bits and random numbers, signals and quantised
// numbers; and the table of all functions of elab_more_ops.h.
#include <math.h>
#include <string.h>

#include "compiler/lang/elab_more_ops.h"

// ---- settings

lang_value lang_more_setting(const lang_call *call, const char *name, int position, const lang_expr **out_expr) {
  if (position >= 0 && position < call->count) {
    if (out_expr) *out_expr = call->exprs[position];
    return call->positional[position];
  }
  return lang_call_named(call, name, out_expr);
}

bool lang_more_ints(lang_frame *frame, const lang_call *call, const char *name, int position, int64_t fallback,
                    int count, int64_t *out) {
  const lang_expr *expr = call->expr;
  lang_value v = lang_more_setting(call, name, position, &expr);
  bool list = v.kind == LANG_V_LIST && v.list.count == count;
  for (int i = 0; i < count; i++) {
    lang_value each = list ? v.list.items[i] : v;
    out[i] = v.kind == LANG_V_NONE ? fallback : each.i;
    if (v.kind == LANG_V_NONE || each.kind == LANG_V_INT) continue;
    lang_error(frame->elab, LANG_W_NAMED_NUMBER, expr->span, name, lang_value_describe(frame->elab->arena, v));
    return false;
  }
  return true;
}

bool lang_more_flag(lang_frame *frame, const lang_call *call, const char *name, bool *out) {
  const lang_expr *expr;
  lang_value v = lang_call_named(call, name, &expr);
  if (v.kind == LANG_V_NONE) return true;
  if (v.kind == LANG_V_BOOL) {
    *out = v.b;
    return true;
  }
  lang_error(frame->elab, LANG_W_NAMED_NUMBER, expr->span, name, lang_value_describe(frame->elab->arena, v));
  return false;
}

int lang_more_axis(lang_frame *frame, const lang_tensor_value *x, const lang_call *call, int fallback) {
  const lang_expr *expr;
  lang_value over = lang_call_named(call, "over", &expr);
  int axis = fallback < 0 ? fallback + x->value->type.rank : fallback;
  if (over.kind != LANG_V_NONE) {
    axis = lang_axis(frame, x, expr, over);
    if (axis < 0) return -1;
  }
  if (axis < 0 || axis >= x->value->type.rank) {
    lang_error(frame->elab, LANG_W_NO_AXIS, call->expr->span, "the axis", lang_tensor_text(frame->elab->arena, x));
    return -1;
  }
  lang_axis_rule(frame, x, axis, call->name, call->expr->span);
  return axis;
}

static lang_value keep_labels(lang_value v, const lang_tensor_value *x) {
  if (v.kind == LANG_V_TENSOR && v.tensor->value->type.rank == x->value->type.rank)
    memcpy(v.tensor->labels, x->labels, sizeof x->labels);
  return v;
}

// All results of the node that made |v|; |x| are its operands.
static lang_value results_of(lang_frame *frame, lang_value v, lang_tensor_value *const *x, int count, lang_span span) {
  if (v.kind != LANG_V_TENSOR || v.tensor->value->def->result_count == 1) return v;
  const ir_node *node = v.tensor->value->def;
  lang_value *items = WEIR_NEW_ARRAY(frame->elab->arena, lang_value, node->result_count);
  items[0] = v;
  for (int i = 1; i < node->result_count; i++) {
    bool is_f = v.tensor->is_f && ir_dtype_is_float(node->results[i]->type.dtype);
    items[i] = lang_wrap(frame, node->results[i], is_f, span);
    lang_check_latest(frame, x, count, items[i].tensor, span);
  }
  return lang_value_list(frame->elab->arena, LANG_V_TUPLE, items, node->result_count);
}

// ---- along an axis

// One attribute: the axis.
static lang_value along(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  int axis = x ? lang_more_axis(frame, x, call, -1) : -1;
  if (axis < 0) return lang_value_error();
  ir_attr attr = ir_attr_int(IR_ATTR_axis, axis);
  return keep_labels(lang_build(frame, self->op, &x, 1, &attr, 1, call->expr->span), x);
}

static lang_value ordered(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  int axis = x ? lang_more_axis(frame, x, call, -1) : -1;
  bool descending = false;
  if (axis < 0 || !lang_more_flag(frame, call, "descending", &descending)) return lang_value_error();
  ir_attr attrs[2] = {ir_attr_int(IR_ATTR_axis, axis), ir_attr_int(IR_ATTR_descending, descending)};
  return keep_labels(lang_build(frame, self->op, &x, 1, attrs, 2, call->expr->span), x);
}

// roll(x, n), tile(x, n), top_k(x, k): the axis and a number.
static lang_value counted(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  int axis = x ? lang_more_axis(frame, x, call, -1) : -1;
  int64_t number;
  ir_attr_name name = ir_op_get_info(self->op)->attrs[1];
  if (axis < 0 || !lang_more_ints(frame, call, ir_attr_get_name(name), 1, 1, 1, &number)) return lang_value_error();
  ir_attr attrs[2] = {ir_attr_int(IR_ATTR_axis, axis), ir_attr_int(name, number)};
  lang_value v = lang_build(frame, self->op, &x, 1, attrs, 2, call->expr->span);
  return self->op == IR_OP_top_k ? results_of(frame, v, &x, 1, call->expr->span) : keep_labels(v, x);
}

// The mean of squared distances from the mean: the reduced axes are brought to the front, where the mean broadcasts.
static lang_value variance(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_value m = lang_builtin_reduce(frame, self, call);
  if (m.kind != LANG_V_TENSOR) return m;
  lang_tensor_value *x = call->positional[0].tensor;
  const ir_attr *over = ir_node_attr(m.tensor->value->def, IR_ATTR_over);
  int64_t perm[IR_MAX_RANK], front[IR_MAX_RANK];
  int rank = x->value->type.rank, count = over->count;
  for (int i = 0; i < count; i++) {
    perm[i] = over->ints[i];
    front[i] = i;
  }
  for (int axis = 0, next = count; axis < rank; axis++) {
    bool reduced = false;
    for (int i = 0; i < count; i++) reduced |= over->ints[i] == axis;
    if (!reduced) perm[next++] = axis;
  }
  lang_span span = call->expr->span;
  ir_attr order = ir_attr_ints(IR_ATTR_perm, perm, rank), axes = ir_attr_ints(IR_ATTR_over, front, count);
  lang_value moved = lang_build(frame, IR_OP_permute, &x, 1, &order, 1, span);
  lang_value gap = lang_elementwise(frame, IR_OP_sub, (lang_value[]){moved, m}, 2, span);
  lang_value square = lang_elementwise(frame, IR_OP_mul, (lang_value[]){gap, gap}, 2, span);
  if (square.kind != LANG_V_TENSOR) return square;
  return lang_build(frame, IR_OP_mean, &square.tensor, 1, &axes, 1, span);
}

// Rows of a new first dim; one list is its elements.
static bool same_elements(lang_frame *frame, const lang_tensor_value *a, const lang_tensor_value *b,
                          const lang_call *call) {
  if (a->is_f == b->is_f && a->value->type.dtype == b->value->type.dtype) return true;
  lang_error(frame->elab, LANG_W_TYPES_DIFFER, call->expr->span, call->name, lang_tensor_text(frame->elab->arena, a),
             lang_tensor_text(frame->elab->arena, b));
  return false;
}

static lang_value stack(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  const lang_value *values = call->positional;
  int64_t count = call->count;
  if (count == 1 && (values[0].kind == LANG_V_LIST || values[0].kind == LANG_V_TUPLE)) {
    count = values[0].list.count;
    values = values[0].list.items;
  }
  if (!lang_spend(frame->elab, 8 * count, call->expr->span)) return lang_value_error();
  lang_tensor_value **x = WEIR_NEW_ARRAY(frame->elab->arena, lang_tensor_value *, count + 1);
  for (int64_t i = 0; i < count; i++) {
    x[i] = values[i].kind == LANG_V_TENSOR ? values[i].tensor : NULL;
    if (x[i] && !same_elements(frame, x[0], x[i], call)) return lang_value_error();
    if (x[i]) continue;
    lang_error(frame->elab, LANG_W_WANTS_TENSOR, call->expr->span, "an argument of stack",
               lang_value_describe(frame->elab->arena, values[i]));
    return lang_value_error();
  }
  return lang_build(frame, self->op, x, (int)count, NULL, 0, call->expr->span);
}

// ---- element types

static bool dtype_arg(lang_frame *frame, const lang_call *call, int position, lang_value *out) {
  *out = lang_more_setting(call, "dtype", position, NULL);
  if (out->kind == LANG_V_DTYPE) return true;
  lang_error(frame->elab, LANG_W_BAD_ELEMENT_TYPE, call->expr->span, call->name,
             lang_value_describe(frame->elab->arena, *out), "a type of elements, such as i8");
  return false;
}

// saturate(x, i8), fits(x, i8), bitcast(x, i32).
static lang_value converted(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  lang_value dtype;
  if (!x || !dtype_arg(frame, call, 1, &dtype)) return lang_value_error();
  ir_attr attr = ir_attr_dtype(IR_ATTR_dtype, dtype.dtype.type);
  lang_value v = lang_build(frame, self->op, &x, 1, &attr, 1, call->expr->span);
  if (v.kind == LANG_V_TENSOR && self->op != IR_OP_fits) v.tensor->is_f = dtype.dtype.is_f;
  return keep_labels(v, x);
}

// one_hot(index, n, dtype = f32).
static lang_value one_hot(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_elab *elab = frame->elab;
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  lang_value size = call->positional[1], dtype = {.kind = LANG_V_DTYPE, .dtype = {IR_f32, false}};
  if (!x) return lang_value_error();
  ir_dim dim = size.kind == LANG_V_DIM ? size.dim : NULL;
  if (size.kind == LANG_V_INT && size.i >= 0) dim = ir_dim_const(elab->module->dims, size.i);
  if (!dim) {
    lang_error(elab, LANG_W_BAD_DIM, call->exprs[1]->span, lang_value_describe(elab->arena, size));
    return lang_value_error();
  }
  lang_length_rule(frame, dim, call->expr->span);
  bool given = call->count > 2 || lang_call_named(call, "dtype", NULL).kind != LANG_V_NONE;
  if (given && !dtype_arg(frame, call, 2, &dtype)) return lang_value_error();
  ir_attr attrs[2] = {ir_attr_dim(IR_ATTR_dim, dim), ir_attr_dtype(IR_ATTR_dtype, dtype.dtype.type)};
  lang_value v = lang_build(frame, self->op, &x, 1, attrs, 2, call->expr->span);
  if (v.kind == LANG_V_TENSOR) v.tensor->is_f = dtype.dtype.is_f;
  return v;
}

// ---- two operands, element by element

static lang_value pair(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_value values[2] = {call->positional[0], call->positional[1]};
  for (int i = 0; i < 2 && self->op == IR_OP_random; i++) {  // a key and a counter may be numbers
    if (values[i].kind == LANG_V_INT) values[i] = lang_cast(frame, values[i], IR_i32, false, call->exprs[i]->span);
  }
  return lang_elementwise(frame, self->op, values, 2, call->expr->span);
}

// ---- signals: the last dim

static lang_value transform(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_tensor_value *x[2] = {NULL};
  int parts = self->op == IR_OP_rfft ? 1 : 2, attrs = self->op != IR_OP_rfft;
  for (int i = 0; i < parts; i++) {
    x[i] = lang_tensor_arg(frame, call, i);
    if (!x[i] || lang_more_axis(frame, x[i], call, -1) < 0) return lang_value_error();
    if (!same_elements(frame, x[0], x[i], call)) return lang_value_error();
  }
  ir_attr attr = ir_attr_int(IR_ATTR_inverse, !strcmp(self->name, "idft"));
  if (self->op == IR_OP_irfft) {
    int64_t size = 0;
    lang_value v = call->positional[2];
    if (v.kind != LANG_V_DIM && !lang_more_ints(frame, call, "n", 2, 0, 1, &size)) return lang_value_error();
    attr = ir_attr_dim(IR_ATTR_dim, v.kind == LANG_V_DIM ? v.dim : ir_dim_const(frame->elab->module->dims, size));
  }
  lang_value v = lang_build(frame, self->op, x, parts, &attr, attrs, call->expr->span);
  return results_of(frame, v, x, parts, call->expr->span);
}

// ---- quantised numbers: x, scale, zero

static lang_value quantized(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_tensor_value *x[3];
  const lang_expr *expr;
  lang_value over = lang_call_named(call, "over", &expr);
  int axis = 0;
  for (int i = 0; i < 3; i++) {
    x[i] = lang_tensor_arg(frame, call, i);
    if (!x[i]) return lang_value_error();
  }
  if (over.kind != LANG_V_NONE) axis = lang_axis(frame, x[0], expr, over);
  else if (x[1]->value->type.rank == 1) axis = x[0]->value->type.rank - 1;
  if (axis < 0) return lang_value_error();
  ir_attr attr = ir_attr_int(IR_ATTR_axis, axis);
  lang_value v = lang_build(frame, self->op, x, 3, &attr, 1, call->expr->span);
  if (v.kind == LANG_V_TENSOR) v.tensor->is_f = self->op == IR_OP_dequantize && x[1]->is_f;
  return keep_labels(v, x[0]);
}

// ---- the table

static const lang_builtin table[] = {
    {"cumsum", 1, 1, " over ", along, IR_OP_cumsum},
    {"cumprod", 1, 1, " over ", along, IR_OP_cumprod},
    {"cummax", 1, 1, " over ", along, IR_OP_cummax},
    {"cummin", 1, 1, " over ", along, IR_OP_cummin},
    {"cumlogsumexp", 1, 1, " over ", along, IR_OP_cumlogsumexp},
    {"reverse", 1, 1, " over ", along, IR_OP_reverse},
    {"sort", 1, 1, " over descending ", ordered, IR_OP_sort},
    {"argsort", 1, 1, " over descending ", ordered, IR_OP_argsort},
    {"top_k", 2, 2, " over ", counted, IR_OP_top_k},
    {"roll", 2, 2, " over ", counted, IR_OP_roll},
    {"tile", 2, 2, " over ", counted, IR_OP_tile},
    {"variance", 1, 1, " over ", variance, IR_OP_mean},
    {"stack", 1, -1, "", stack, IR_OP_stack},
    {"argmin", 1, 1, " over ", lang_builtin_reduce, IR_OP_argmin},
    {"any", 1, 1, " over ", lang_builtin_reduce, IR_OP_any},
    {"all", 1, 1, " over ", lang_builtin_reduce, IR_OP_all},
    {"saturate", 2, 2, "", converted, IR_OP_saturate},
    {"fits", 2, 2, "", converted, IR_OP_fits},
    {"bitcast", 2, 2, "", converted, IR_OP_bitcast},
    {"one_hot", 2, 3, " dtype ", one_hot, IR_OP_one_hot},
    {"atan2", 2, 2, "", pair, IR_OP_atan2},
    {"xor", 2, 2, "", pair, IR_OP_xor},
    {"bit_and", 2, 2, "", pair, IR_OP_bit_and},
    {"bit_or", 2, 2, "", pair, IR_OP_bit_or},
    {"bit_xor", 2, 2, "", pair, IR_OP_bit_xor},
    {"shift_left", 2, 2, "", pair, IR_OP_shift_left},
    {"shift_right", 2, 2, "", pair, IR_OP_shift_right},
    {"random", 2, 2, "", pair, IR_OP_random},
    {"with_grad", 2, 2, "", pair, IR_OP_with_grad},
    {"conv1d", 2, 4, " stride pad dilation groups ", lang_builtin_conv, IR_OP_conv},
    {"conv2d", 2, 4, " stride pad dilation groups ", lang_builtin_conv, IR_OP_conv},
    {"conv3d", 2, 4, " stride pad dilation groups ", lang_builtin_conv, IR_OP_conv},
    {"conv_transpose1d", 2, 4, " stride pad dilation groups extra ", lang_builtin_conv, IR_OP_conv_transpose},
    {"conv_transpose2d", 2, 4, " stride pad dilation groups extra ", lang_builtin_conv, IR_OP_conv_transpose},
    {"conv_transpose3d", 2, 4, " stride pad dilation groups extra ", lang_builtin_conv, IR_OP_conv_transpose},
    {"max_pool1d", 1, 4, " size stride pad dilation ", lang_builtin_pool, IR_OP_max_pool},
    {"max_pool2d", 1, 4, " size stride pad dilation ", lang_builtin_pool, IR_OP_max_pool},
    {"max_pool3d", 1, 4, " size stride pad dilation ", lang_builtin_pool, IR_OP_max_pool},
    {"avg_pool1d", 1, 4, " size stride pad count_pad ", lang_builtin_pool, IR_OP_avg_pool},
    {"avg_pool2d", 1, 4, " size stride pad count_pad ", lang_builtin_pool, IR_OP_avg_pool},
    {"avg_pool3d", 1, 4, " size stride pad count_pad ", lang_builtin_pool, IR_OP_avg_pool},
    {"resize", 2, 2, " mode corners ", lang_builtin_resize, IR_OP_resize_linear},
    {"upsample", 2, 2, "", lang_builtin_upsample, IR_OP_repeat},
    {"pad", 3, 3, " over value mode ", lang_builtin_pad, IR_OP_pad},
    {"dft", 2, 2, "", transform, IR_OP_dft},
    {"idft", 2, 2, "", transform, IR_OP_dft},
    {"rfft", 1, 1, "", transform, IR_OP_rfft},
    {"irfft", 3, 3, "", transform, IR_OP_irfft},
    {"quantize", 3, 3, " over ", quantized, IR_OP_quantize},
    {"dequantize", 3, 3, " over ", quantized, IR_OP_dequantize},
};

const lang_builtin *lang_more_builtins(int *out_count) {
  *out_count = sizeof table / sizeof *table;
  return table;
}
