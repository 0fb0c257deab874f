// Functions over windows: conv1d .. conv3d and their transposes, max_pool1d .. avg_pool3d, resize, upsample, pad.
//
// The spatial dims are the last ones, channels stand before them: x [..., C, H, W]. A window looks along its spatial
// dims, so that those have the rules of `x[t + k]`: never a batch, never rows that grow.
#include <string.h>

#include "compiler/lang/elab_more_ops.h"

// The number in front of the last letter of conv2d, max_pool1d.
static int spatial_dims(const lang_builtin *self) { return self->name[strlen(self->name) - 2] - '0'; }

static bool spatial_rules(lang_frame *frame, const lang_tensor_value *x, int count, const lang_call *call) {
  int rank = x->value->type.rank;
  if (rank < count) {
    lang_error(frame->elab, LANG_W_NO_AXIS, call->exprs[0]->span,
               weir_arena_printf(frame->elab->arena, "%d spatial dims", count),
               lang_tensor_text(frame->elab->arena, x));
    return false;
  }
  for (int i = rank - count; i < rank; i++) lang_axis_rule(frame, x, i, call->name, call->expr->span);
  return true;
}

// `pad` is a number, one for each dim, or all in front and then all behind.
static bool padding(lang_frame *frame, const lang_call *call, int position, int count, int64_t *before,
                    int64_t *after) {
  lang_value v = lang_more_setting(call, "pad", position, NULL);
  if (v.kind == LANG_V_LIST && v.list.count == 2 * count) {
    int64_t both[6];
    if (!lang_more_ints(frame, call, "pad", position, 0, 2 * count, both)) return false;
    memcpy(before, both, (size_t)count * sizeof *before);
    memcpy(after, both + count, (size_t)count * sizeof *after);
    return true;
  }
  if (!lang_more_ints(frame, call, "pad", position, 0, count, before)) return false;
  memcpy(after, before, (size_t)count * sizeof *after);
  return true;
}

// ---- convolutions

// As many groups as the weights say: channels of x over channels of the window.
static int64_t groups_of(lang_frame *frame, const lang_tensor_value *x, const lang_tensor_value *w, int count) {
  int channel = x->value->type.rank - count - 1;
  int64_t groups = 1;
  if (channel < 0 || w->value->type.rank < 2) return 1;
  ir_dim ratio = ir_dim_div(frame->elab->module->dims, x->value->type.dims[channel], w->value->type.dims[1]);
  return ratio && ir_dim_is_const(ratio, &groups) && groups > 0 ? groups : 1;
}

static bool one_dtype(lang_frame *frame, lang_tensor_value *const *x, const lang_call *call) {
  weir_arena *arena = frame->elab->arena;
  if (x[0]->is_f == x[1]->is_f && x[0]->value->type.dtype == x[1]->value->type.dtype) return true;
  lang_diag *diag = lang_error(frame->elab, LANG_W_TYPES_DIFFER, call->exprs[1]->span, call->name,
                               lang_tensor_text(arena, x[0]), lang_tensor_text(arena, x[1]));
  lang_note_add(frame->elab, diag, (lang_span){0}, "cast one side: f32(x), f(x)");
  return false;
}

// x, w, stride = 1, pad = 0, dilation = 1, groups, extra = 0 (transposed).
lang_value lang_builtin_conv(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  int count = spatial_dims(self);
  lang_tensor_value *x[2] = {lang_tensor_arg(frame, call, 0), lang_tensor_arg(frame, call, 1)};
  int64_t ints[5][3], groups;
  if (!x[0] || !x[1] || !one_dtype(frame, x, call) || !spatial_rules(frame, x[0], count, call))
    return lang_value_error();
  bool transposed = self->op == IR_OP_conv_transpose;
  if (!lang_more_ints(frame, call, "stride", 2, 1, count, ints[0]) ||
      !padding(frame, call, 3, count, ints[1], ints[2]) ||
      !lang_more_ints(frame, call, "dilation", -1, 1, count, ints[3]) ||
      !lang_more_ints(frame, call, "groups", -1, transposed ? 1 : groups_of(frame, x[0], x[1], count), 1, &groups) ||
      !lang_more_ints(frame, call, "extra", -1, 0, count, ints[4]))
    return lang_value_error();
  int channel = x[0]->value->type.rank - count - 1;
  if (channel >= 0) lang_axis_rule(frame, x[0], channel, call->name, call->expr->span);
  ir_attr attrs[6] = {ir_attr_ints(IR_ATTR_strides, ints[0], count), ir_attr_ints(IR_ATTR_before, ints[1], count),
                      ir_attr_ints(IR_ATTR_after, ints[2], count),   ir_attr_ints(IR_ATTR_dilations, ints[3], count),
                      ir_attr_int(IR_ATTR_groups, groups),           ir_attr_ints(IR_ATTR_extra, ints[4], count)};
  return lang_build(frame, self->op, x, 2, attrs, transposed ? 6 : 5, call->expr->span);
}

// ---- pooling: x, size, stride = size, pad = 0, dilation = 1 or count_pad = false

lang_value lang_builtin_pool(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  int count = spatial_dims(self);
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  int64_t ints[5][3];
  bool count_pad = false, mean = self->op == IR_OP_avg_pool;
  if (!x || !spatial_rules(frame, x, count, call)) return lang_value_error();
  if (lang_more_setting(call, "size", 1, NULL).kind == LANG_V_NONE) {
    lang_error(frame->elab, LANG_W_MISSING_ARGUMENT, call->expr->span, self->name, "size");
    return lang_value_error();
  }
  bool own_stride = lang_more_setting(call, "stride", 2, NULL).kind != LANG_V_NONE;
  if (!lang_more_ints(frame, call, "size", 1, 1, count, ints[0]) ||
      !lang_more_ints(frame, call, "stride", 2, 1, count, ints[1]) ||
      !padding(frame, call, 3, count, ints[2], ints[3]) ||
      !lang_more_ints(frame, call, "dilation", -1, 1, count, ints[4]) ||
      !lang_more_flag(frame, call, "count_pad", &count_pad))
    return lang_value_error();
  if (!own_stride) memcpy(ints[1], ints[0], sizeof ints[0]);
  ir_attr last = mean ? ir_attr_int(IR_ATTR_count_pad, count_pad) : ir_attr_ints(IR_ATTR_dilations, ints[4], count);
  ir_attr attrs[5] = {ir_attr_ints(IR_ATTR_window_dims, ints[0], count), ir_attr_ints(IR_ATTR_strides, ints[1], count),
                      ir_attr_ints(IR_ATTR_before, ints[2], count), ir_attr_ints(IR_ATTR_after, ints[3], count), last};
  return lang_build(frame, self->op, &x, 1, attrs, 5, call->expr->span);
}

// ---- other sizes

// resize(x, [H, W], mode = "linear", corners = false): the last dims.
lang_value lang_builtin_resize(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_elab *elab = frame->elab;
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  lang_value sizes = call->positional[1], mode = lang_call_named(call, "mode", NULL);
  ir_dim dims[IR_MAX_RANK];
  bool corners = false;
  if (!x) return lang_value_error();
  if (sizes.kind != LANG_V_LIST || sizes.list.count < 1 || sizes.list.count > x->value->type.rank) {
    lang_error(elab, LANG_W_BAD_DIM, call->exprs[1]->span, lang_value_describe(elab->arena, sizes));
    return lang_value_error();
  }
  int count = (int)sizes.list.count;
  for (int i = 0; i < count; i++) {
    lang_value v = sizes.list.items[i];
    dims[i] = v.kind == LANG_V_DIM ? v.dim : v.kind == LANG_V_INT ? ir_dim_const(elab->module->dims, v.i) : NULL;
    if (dims[i]) continue;
    lang_error(elab, LANG_W_BAD_DIM, call->exprs[1]->span, lang_value_describe(elab->arena, v));
    return lang_value_error();
  }
  if (!spatial_rules(frame, x, count, call) || !lang_more_flag(frame, call, "corners", &corners))
    return lang_value_error();
  bool nearest = mode.kind == LANG_V_STRING && !strcmp(mode.s, "nearest");
  ir_attr attrs[2] = {ir_attr_dims(IR_ATTR_dims, dims, count), ir_attr_int(IR_ATTR_corners, corners)};
  return lang_build(frame, nearest ? IR_OP_resize_nearest : self->op, &x, 1, attrs, nearest ? 1 : 2, call->expr->span);
}

// upsample(x, n): each element of the last two dims n times.
lang_value lang_builtin_upsample(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  int64_t times[2];
  if (!x || !lang_more_ints(frame, call, "times", 1, 2, 2, times) || !spatial_rules(frame, x, 2, call))
    return lang_value_error();
  for (int i = 0; i < 2; i++) {
    ir_attr attrs[2] = {ir_attr_int(IR_ATTR_axis, x->value->type.rank - 2 + i), ir_attr_int(IR_ATTR_times, times[i])};
    lang_value v = lang_build(frame, self->op, &x, 1, attrs, 2, call->expr->span);
    if (v.kind != LANG_V_TENSOR) return v;
    x = v.tensor;
  }
  return (lang_value){.kind = LANG_V_TENSOR, .tensor = x};
}

// pad(x, before, after, over = axis, value = 0, mode = "constant"): one axis.
lang_value lang_builtin_pad(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  lang_tensor_value *x = lang_tensor_arg(frame, call, 0);
  int64_t before[IR_MAX_RANK] = {0}, after[IR_MAX_RANK] = {0};
  int axis = x ? lang_more_axis(frame, x, call, -1) : -1;
  const lang_expr *expr;
  lang_value mode = lang_call_named(call, "mode", NULL), value = lang_call_named(call, "value", &expr);
  if (axis < 0 || !lang_more_ints(frame, call, "before", 1, 0, 1, &before[axis]) ||
      !lang_more_ints(frame, call, "after", 2, 0, 1, &after[axis]))
    return lang_value_error();
  if (value.kind != LANG_V_NONE && !lang_value_is_number(value)) {
    lang_error(frame->elab, LANG_W_NAMED_NUMBER, expr->span, "value", lang_value_describe(frame->elab->arena, value));
    return lang_value_error();
  }
  int rank = x->value->type.rank;
  ir_attr attrs[3] = {ir_attr_ints(IR_ATTR_before, before, rank), ir_attr_ints(IR_ATTR_after, after, rank),
                      ir_attr_float(IR_ATTR_value, value.kind == LANG_V_NONE ? 0 : lang_value_number(value))};
  ir_op op = self->op;
  if (mode.kind == LANG_V_STRING && !strcmp(mode.s, "edge")) op = IR_OP_pad_edge;
  if (mode.kind == LANG_V_STRING && !strcmp(mode.s, "reflect")) op = IR_OP_pad_reflect;
  return lang_build(frame, op, &x, 1, attrs, op == IR_OP_pad ? 3 : 2, call->expr->span);
}
