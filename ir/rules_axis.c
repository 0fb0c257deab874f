// Type rules of ops along one axis (running sums, order, repetition), of Fourier transforms and of quantised numbers.
#include "ir/rules.h"

static const char *show(ir_inference *in, int operand) {
  return ir_type_print(in->module->arena, &in->operands[operand]->type);
}

static const char *show_dim(ir_inference *in, ir_dim dim) { return ir_dim_print(in->module->arena, dim); }

static bool check_axis(ir_inference *in, int64_t axis) {
  if (axis >= 0 && axis < in->operands[0]->type.rank) return true;
  return ir_refuse(in, "axis %lld is not in %s", (long long)axis, show(in, 0));
}

bool ir_rule_along(ir_inference *in) {
  in->type = in->operands[0]->type;
  if (!check_axis(in, in->attrs[0].i)) return false;
  if (in->type.dtype == IR_bool && !(in->info->flags & IR_FLAG_MOVE))
    return ir_refuse(in, "the operand is bool; cast it");
  if (in->op == IR_OP_argsort) in->type.dtype = IR_i32;
  return true;
}

bool ir_rule_top_k(ir_inference *in) {
  int64_t lo, hi, k = in->attrs[1].i;
  if (!ir_rule_along(in)) return false;
  ir_dim *dim = &in->type.dims[in->attrs[0].i];
  ir_dim_bounds(*dim, &lo, &hi);
  if (k < 0 || k > lo)
    return ir_refuse(in, "dim %s is not proved to have %lld elements", show_dim(in, *dim), (long long)k);
  *dim = ir_dim_const(in->module->dims, k);
  ir_infer_results(in, 2);
  in->results[0] = (ir_inferred){in->type, in->operands[0]->lo, in->operands[0]->hi};
  in->results[1].type = in->type;
  in->results[1].type.dtype = IR_i32;
  in->results[1].lo = 0;
  in->results[1].hi = hi > INT32_MAX ? INT32_MAX : hi > 0 ? hi - 1 : 0;
  return true;
}

bool ir_rule_times(ir_inference *in) {
  int64_t times = in->attrs[1].i;
  in->type = in->operands[0]->type;
  if (!check_axis(in, in->attrs[0].i)) return false;
  if (times < 1) return ir_refuse(in, "'times' is at least 1");
  ir_dim *dim = &in->type.dims[in->attrs[0].i];
  *dim = ir_dim_mul(in->module->dims, *dim, ir_dim_const(in->module->dims, times));
  return *dim || ir_refuse(in, "the axis overflows");
}

bool ir_rule_one_hot(ir_inference *in) {
  int64_t lo, hi;
  ir_dim dim = in->attrs[0].dim;
  in->type = in->operands[0]->type;
  in->type.dtype = in->attrs[1].dtype;
  ir_dim_bounds(dim, &lo, &hi);
  if (lo < 0) return ir_refuse(in, "dim %s may be negative", show_dim(in, dim));
  if (in->type.rank == IR_MAX_RANK) return ir_refuse(in, "the result has more than %d dims", IR_MAX_RANK);
  in->type.dims[in->type.rank++] = dim;
  return true;
}

// ---- Fourier transforms: the last dim

// Real and imaginary part, or real numbers alone, with a last dim.
static bool check_signal(ir_inference *in) {
  const ir_type *x = &in->operands[0]->type;
  if (x->rank < 1) return ir_refuse(in, "a scalar has no last dim");
  if (x->dtype != IR_f32 && x->dtype != IR_f64) return ir_refuse(in, "%s is neither f32 nor f64", show(in, 0));
  if (in->operand_count == 2 && !ir_type_equal(x, &in->operands[1]->type))
    return ir_refuse(in, "real part %s and imaginary part %s differ", show(in, 0), show(in, 1));
  return true;
}

static bool give_parts(ir_inference *in, ir_type type) {
  ir_infer_results(in, 2);
  in->results[0].type = in->results[1].type = type;
  return true;
}

bool ir_rule_dft(ir_inference *in) { return check_signal(in) && give_parts(in, in->operands[0]->type); }

// N / 2 + 1
static ir_dim half_of(ir_inference *in, ir_dim whole) {
  ir_dim_table *dims = in->module->dims;
  return ir_dim_add(dims, ir_dim_div(dims, whole, ir_dim_const(dims, 2)), ir_dim_const(dims, 1));
}

bool ir_rule_rfft(ir_inference *in) {
  if (!check_signal(in)) return false;
  ir_type type = in->operands[0]->type;
  ir_dim *dim = &type.dims[type.rank - 1];
  *dim = half_of(in, *dim);
  return *dim ? give_parts(in, type) : ir_refuse(in, "the dim overflows");
}

bool ir_rule_irfft(ir_inference *in) {
  int64_t lo, hi;
  ir_dim dim = in->attrs[0].dim;
  if (!check_signal(in)) return false;
  in->type = in->operands[0]->type;
  ir_dim_bounds(dim, &lo, &hi);
  if (lo < 1) return ir_refuse(in, "dim %s may be empty", show_dim(in, dim));
  if (half_of(in, dim) != in->type.dims[in->type.rank - 1])
    return ir_refuse(in, "%s is no transform of %s numbers, which is %s/2 + 1 long", show(in, 0), show_dim(in, dim),
                     show_dim(in, dim));
  in->type.dims[in->type.rank - 1] = dim;
  return true;
}

// ---- quantised numbers: x, scale, zero

static bool check_scales(ir_inference *in) {
  const ir_type *x = &in->operands[0]->type, *scale = &in->operands[1]->type, *zero = &in->operands[2]->type;
  if (!ir_dtype_is_float(scale->dtype)) return ir_refuse(in, "the scale %s is no float", show(in, 1));
  if (!ir_dtype_is_int(zero->dtype)) return ir_refuse(in, "the zero point %s is no integer", show(in, 2));
  if (scale->rank > 1 || zero->rank != scale->rank)
    return ir_refuse(in, "scale %s and zero point %s are not [] or [n] alike", show(in, 1), show(in, 2));
  if (scale->rank == 0) return true;
  if (!check_axis(in, in->attrs[0].i)) return false;
  ir_dim dim = x->dims[in->attrs[0].i];
  if (scale->dims[0] == dim && zero->dims[0] == dim) return true;
  return ir_refuse(in, "scale %s and zero point %s are not one for each of %s", show(in, 1), show(in, 2),
                   show_dim(in, dim));
}

bool ir_rule_quantize(ir_inference *in) {
  in->type = in->operands[0]->type;
  if (in->type.dtype != in->operands[1]->type.dtype)
    return ir_refuse(in, "%s and scale %s have not one dtype", show(in, 0), show(in, 1));
  in->type.dtype = in->operands[2]->type.dtype;
  return check_scales(in);
}

bool ir_rule_dequantize(ir_inference *in) {
  in->type = in->operands[0]->type;
  if (in->type.dtype != in->operands[2]->type.dtype)
    return ir_refuse(in, "%s and zero point %s have not one dtype", show(in, 0), show(in, 2));
  in->type.dtype = in->operands[1]->type.dtype;
  return check_scales(in);
}
