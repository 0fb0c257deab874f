// Type rules of windows over the last dims: convolutions, pooling, resizing; padding of any dim.
#include "ir/rules.h"

enum { MAX_SPATIAL = 3, MAX_COUNT = 1 << 30 };

static const char *show(ir_inference *in, int operand) {
  return ir_type_print(in->module->arena, &in->operands[operand]->type);
}

static const char *show_dim(ir_inference *in, ir_dim dim) { return ir_dim_print(in->module->arena, dim); }

static bool check_dim(ir_inference *in, ir_dim dim) {
  int64_t lo, hi;
  if (!dim) return ir_refuse(in, "a dim of the result overflows");
  ir_dim_bounds(dim, &lo, &hi);
  return lo >= 0 || ir_refuse(in, "dim %s of the result may be negative", show_dim(in, dim));
}

// Attribute |index| has |count| entries from |least| on.
static bool check_ints(ir_inference *in, int index, int count, int64_t least) {
  const ir_attr *attr = &in->attrs[index];
  const char *name = ir_attr_get_name(attr->name);
  if (attr->count != count) return ir_refuse(in, "'%s' has %d entries, not %d", name, attr->count, count);
  for (int i = 0; i < count; i++) {
    if (attr->ints[i] < least || attr->ints[i] > MAX_COUNT)
      return ir_refuse(in, "'%s' has %lld, which is not in %lld..=%d", name, (long long)attr->ints[i], (long long)least,
                       MAX_COUNT);
  }
  return true;
}

// (size - 1) * scale + 1: what a window of |size| elements covers.
static ir_dim extent(ir_dim_table *dims, ir_dim size, int64_t scale) {
  ir_dim one = ir_dim_const(dims, 1);
  return ir_dim_add(dims, ir_dim_mul(dims, ir_dim_sub(dims, size, one), ir_dim_const(dims, scale)), one);
}

static ir_dim add_int(ir_dim_table *dims, ir_dim dim, int64_t value) {
  return ir_dim_add(dims, dim, ir_dim_const(dims, value));
}

// How many windows of |window| stand in |size| elements.
static ir_dim windows(ir_dim_table *dims, ir_dim size, ir_dim window, int64_t stride, int64_t before, int64_t after) {
  ir_dim room = ir_dim_sub(dims, add_int(dims, add_int(dims, size, before), after), window);
  return add_int(dims, ir_dim_div(dims, room, ir_dim_const(dims, stride)), 1);
}

// ---- convolutions: strides, before, after, dilations, groups

static bool divides(ir_inference *in, ir_dim dim, int64_t by) {
  ir_dim rest = ir_dim_mod(in->module->dims, dim, ir_dim_const(in->module->dims, by));
  return rest && rest == ir_dim_const(in->module->dims, 0);
}

static bool check_conv(ir_inference *in, int *out_spatial) {
  const ir_type *x = &in->operands[0]->type, *w = &in->operands[1]->type;
  int n = in->attrs[0].count;
  if (n < 1 || n > MAX_SPATIAL) return ir_refuse(in, "there are 1 to %d spatial dims, not %d", MAX_SPATIAL, n);
  if (x->rank < n + 1 || w->rank != n + 2 || x->dtype != w->dtype)
    return ir_refuse(in, "%s does not go through a window %s; they are [..., C, %s] of one dtype and two more dims",
                     show(in, 0), show(in, 1),
                     n == 1   ? "one dim"
                     : n == 2 ? "two dims"
                              : "three dims");
  if (!check_ints(in, 0, n, 1) || !check_ints(in, 1, n, 0) || !check_ints(in, 2, n, 0) || !check_ints(in, 3, n, 1))
    return false;
  if (in->attrs[4].i < 1) return ir_refuse(in, "there is at least one group");
  for (int i = 0; i < n; i++) {
    int64_t lo, hi;
    ir_dim_bounds(w->dims[i + 2], &lo, &hi);
    if (lo < 1) return ir_refuse(in, "the window %s may be empty", show(in, 1));
  }
  *out_spatial = n;
  return true;
}

bool ir_rule_conv(ir_inference *in) {
  int n;
  if (!check_conv(in, &n)) return false;
  ir_dim_table *dims = in->module->dims;
  const ir_type *x = &in->operands[0]->type, *w = &in->operands[1]->type;
  int channel = x->rank - n - 1;
  int64_t groups = in->attrs[4].i;
  if (ir_dim_mul(dims, w->dims[1], ir_dim_const(dims, groups)) != x->dims[channel])
    return ir_refuse(in, "%s has %s channels, the window %s in %lld groups takes other ones", show(in, 0),
                     show_dim(in, x->dims[channel]), show(in, 1), (long long)groups);
  if (!divides(in, w->dims[0], groups))
    return ir_refuse(in, "%s outputs do not fall into %lld groups", show_dim(in, w->dims[0]), (long long)groups);
  in->type = *x;
  in->type.dims[channel] = w->dims[0];
  for (int i = 0; i < n; i++) {
    ir_dim *dim = &in->type.dims[channel + 1 + i];
    ir_dim window = extent(dims, w->dims[i + 2], in->attrs[3].ints[i]);
    *dim = windows(dims, *dim, window, in->attrs[0].ints[i], in->attrs[1].ints[i], in->attrs[2].ints[i]);
    if (!check_dim(in, *dim)) return false;
  }
  return true;
}

bool ir_rule_conv_transpose(ir_inference *in) {
  int n;
  if (!check_conv(in, &n) || !check_ints(in, 5, n, 0)) return false;
  ir_dim_table *dims = in->module->dims;
  const ir_type *x = &in->operands[0]->type, *w = &in->operands[1]->type;
  int channel = x->rank - n - 1;
  int64_t groups = in->attrs[4].i;
  if (w->dims[0] != x->dims[channel])
    return ir_refuse(in, "%s has %s channels, the window %s takes %s", show(in, 0), show_dim(in, x->dims[channel]),
                     show(in, 1), show_dim(in, w->dims[0]));
  if (!divides(in, w->dims[0], groups))
    return ir_refuse(in, "%s channels do not fall into %lld groups", show_dim(in, w->dims[0]), (long long)groups);
  in->type = *x;
  in->type.dims[channel] = ir_dim_mul(dims, w->dims[1], ir_dim_const(dims, groups));
  for (int i = 0; i < n; i++) {
    ir_dim *dim = &in->type.dims[channel + 1 + i];
    int64_t lo, hi;
    ir_dim_bounds(*dim, &lo, &hi);
    if (lo < 1) return ir_refuse(in, "spatial dim %s may be empty", show_dim(in, *dim));
    if (in->attrs[5].ints[i] >= in->attrs[0].ints[i] && in->attrs[5].ints[i] >= in->attrs[3].ints[i])
      return ir_refuse(in, "'extra' must be below the stride or the dilation");
    ir_dim spread = ir_dim_mul(dims, add_int(dims, *dim, -1), ir_dim_const(dims, in->attrs[0].ints[i]));
    *dim = ir_dim_add(dims, spread, extent(dims, w->dims[i + 2], in->attrs[3].ints[i]));
    *dim = add_int(dims, *dim, in->attrs[5].ints[i] - in->attrs[1].ints[i] - in->attrs[2].ints[i]);
    if (!check_dim(in, *dim)) return false;
  }
  return true;
}

// ---- pooling: window_dims, strides, before, after, dilations (max) or count_pad (avg)

bool ir_rule_pool(ir_inference *in) {
  ir_dim_table *dims = in->module->dims;
  int n = in->attrs[0].count;
  bool dilated = in->op == IR_OP_max_pool;
  in->type = in->operands[0]->type;
  if (in->type.dtype == IR_bool) return ir_refuse(in, "the operand is bool; cast it");
  if (n < 1 || n > MAX_SPATIAL || in->type.rank < n)
    return ir_refuse(in, "windows of %d dims do not fit %s; they have 1 to %d", n, show(in, 0), MAX_SPATIAL);
  if (!check_ints(in, 0, n, 1) || !check_ints(in, 1, n, 1) || !check_ints(in, 2, n, 0) || !check_ints(in, 3, n, 0))
    return false;
  if (dilated && !check_ints(in, 4, n, 1)) return false;
  for (int i = 0; i < n; i++) {
    ir_dim *dim = &in->type.dims[in->type.rank - n + i];
    int64_t dilation = dilated ? in->attrs[4].ints[i] : 1, span = (in->attrs[0].ints[i] - 1) * dilation + 1;
    if (in->attrs[2].ints[i] >= span || in->attrs[3].ints[i] >= span)
      return ir_refuse(in, "padding as wide as the window leaves windows without elements");
    *dim =
        windows(dims, *dim, ir_dim_const(dims, span), in->attrs[1].ints[i], in->attrs[2].ints[i], in->attrs[3].ints[i]);
    if (!check_dim(in, *dim)) return false;
  }
  return true;
}

bool ir_rule_resize(ir_inference *in) {
  const ir_attr *to = &in->attrs[0];
  in->type = in->operands[0]->type;
  if (to->count < 1 || to->count > in->type.rank) return ir_refuse(in, "%d new sizes for %s", to->count, show(in, 0));
  for (int i = 0; i < to->count; i++) {
    int64_t lo, hi;
    ir_dim *dim = &in->type.dims[in->type.rank - to->count + i];
    ir_dim_bounds(*dim, &lo, &hi);
    if (lo < 1) return ir_refuse(in, "dim %s may be empty", show_dim(in, *dim));
    *dim = to->dims[i];
    if (!check_dim(in, *dim)) return false;
  }
  return true;
}

// ---- padding: before, after, value

bool ir_rule_pad(ir_inference *in) {
  in->type = in->operands[0]->type;
  int rank = in->type.rank;
  ir_dim_table *dims = in->module->dims;
  if (!check_ints(in, 0, rank, 0) || !check_ints(in, 1, rank, 0)) return false;
  for (int i = 0; i < rank; i++) {
    int64_t lo, hi, before = in->attrs[0].ints[i], after = in->attrs[1].ints[i];
    int64_t most = before > after ? before : after;
    ir_dim *dim = &in->type.dims[i];
    ir_dim_bounds(*dim, &lo, &hi);
    if (in->op == IR_OP_pad_edge && most && lo < 1)
      return ir_refuse(in, "dim %s may have no edge to repeat", show_dim(in, *dim));
    if (in->op == IR_OP_pad_reflect && most && most >= lo)
      return ir_refuse(in, "dim %s may be too short to mirror %lld elements", show_dim(in, *dim), (long long)most);
    *dim = add_int(dims, add_int(dims, *dim, before), after);
    if (!check_dim(in, *dim)) return false;
  }
  if (in->op != IR_OP_pad || ir_dtype_is_float(in->type.dtype)) return true;
  int64_t lo = 0, hi = 1;
  double value = in->attrs[2].f;
  if (in->type.dtype != IR_bool) ir_dtype_range(in->type.dtype, &lo, &hi);
  bool whole = value >= -0x1p53 && value <= 0x1p53 && (double)(int64_t)value == value;
  if (whole && value >= (double)lo && value <= (double)hi) return true;
  return ir_refuse(in, "%g is no %s", value, ir_dtype_name(in->type.dtype));
}
