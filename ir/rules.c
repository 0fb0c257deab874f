// Type rules: entry, sources, elementwise, reductions. Broadcasting is by suffix: shapes are equal, or one is the end
// of the other (a scalar is the end of any). Size 1 does not stretch, dtypes are not promoted.
#include "ir/rules.h"

#include <math.h>
#include <stdarg.h>

bool ir_refuse(ir_inference *in, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  const char *reason = weir_arena_vprintf(in->module->arena, fmt, args);
  va_end(args);
  in->error = weir_arena_printf(in->module->arena, "%s: %s", in->info->name, reason);
  return false;
}

static const char *show(ir_inference *in, int operand) {
  return ir_type_print(in->module->arena, &in->operands[operand]->type);
}

static bool check_dtypes(ir_inference *in) {
  for (int i = 0; i < in->operand_count; i++) {
    ir_dtype dtype = in->operands[i]->type.dtype;
    if ((in->info->flags & IR_FLAG_FLOAT) && !(in->op == IR_OP_rope && i == 1) && !ir_dtype_is_float(dtype)) {
      return ir_refuse(in, "operand %d is %s; it must be a float", i, show(in, i));
    }
    if ((in->info->flags & IR_FLAG_INTS) && !ir_dtype_is_int(dtype)) {
      return ir_refuse(in, "operand %d is %s; it must be integers", i, show(in, i));
    }
    if ((in->info->flags & IR_FLAG_BOOLS) && dtype != IR_bool) {
      return ir_refuse(in, "operand %d is %s; it must be bool", i, show(in, i));
    }
  }
  return true;
}

// Whether the fixed dims alone leave room for every size in bytes that is computed from them.
static bool is_countable(const ir_type *type) {
  int64_t elements = 1, size;
  for (int i = 0; i < type->rank; i++) {
    if (!ir_dim_is_const(type->dims[i], &size)) continue;
    if (size > 0 && elements > ((int64_t)1 << 48) / size) return false;
    elements *= size;
  }
  return true;
}

bool ir_infer(ir_inference *in) {
  static const ir_rule_fn rules[] = {
#define OP(name, operands, attrs, type, flags, cost, meaning) ir_rule_##type,
#include "ir/ops.def"
#undef OP
  };
  in->info = ir_op_get_info(in->op);
  in->lo = 1;
  in->hi = 0;
  if (in->info->operands >= 0 && in->operand_count != in->info->operands) {
    return ir_refuse(in, "takes %d operands, not %d", in->info->operands, in->operand_count);
  }
  for (int i = 0; i < in->info->attr_count; i++) {
    ir_attr_kind kind = ir_attr_get_kind(in->info->attrs[i]);
    bool missing = kind == IR_ATTR_DIM && !in->attrs[i].dim;
    for (int j = 0; kind == IR_ATTR_DIMS && j < in->attrs[i].count; j++) missing |= !in->attrs[i].dims[j];
    if (missing) return ir_refuse(in, "a dim of '%s' is missing or overflowed", ir_attr_get_name(in->info->attrs[i]));
  }
  in->results = NULL;
  if (!check_dtypes(in) || !rules[in->op](in)) return false;
  if (!in->results) {
    ir_infer_range(in);
    ir_infer_results(in, 1);
    in->results[0] = (ir_inferred){in->type, in->lo, in->hi};
  }
  for (int i = 0; i < in->result_count; i++) {
    if (!is_countable(&in->results[i].type))
      return ir_refuse(in, "gives %s, more elements than can be counted",
                       ir_type_print(in->module->arena, &in->results[i].type));
  }
  return true;
}

void ir_infer_results(ir_inference *in, int count) {
  in->result_count = count;
  in->results = WEIR_NEW_ARRAY(in->module->arena, ir_inferred, count);
  for (int i = 0; i < count; i++) in->results[i] = (ir_inferred){.lo = 1, .hi = 0};
}

// ---- sources

bool ir_rule_constant(ir_inference *in) {
  double value = in->attrs[0].f;
  ir_dtype dtype = in->attrs[1].dtype;
  if (dtype == IR_bool && value != 0 && value != 1) return ir_refuse(in, "a bool is 0 or 1");
  if (ir_dtype_is_int(dtype)) {
    int64_t lo, hi;
    ir_dtype_range(dtype, &lo, &hi);
    if (!(fabs(value) <= 0x1p53) || value != floor(value)) {
      return ir_refuse(in, "%g is not an integer up to 2^53", value);
    }
    if (value < (double)lo || value > (double)hi)
      return ir_refuse(in, "%g does not fit %s", value, ir_dtype_name(dtype));
  }
  in->type = ir_type_make(dtype, 0, NULL);
  return true;
}

static bool countable(ir_inference *in) {
  int64_t lo, hi;
  ir_dim_bounds(in->attrs[0].dim, &lo, &hi);
  if (lo < 0) return ir_refuse(in, "dim %s may be negative", ir_dim_print(in->module->arena, in->attrs[0].dim));
  return true;
}

bool ir_rule_iota(ir_inference *in) {
  in->type = ir_type_make(IR_i32, 1, &in->attrs[0].dim);
  return countable(in);
}

bool ir_rule_pos(ir_inference *in) { return ir_rule_iota(in); }

// A request's rows are counted in i32, which the runtime checks; what is computed from them must fit.
bool ir_rule_size(ir_inference *in) {
  ir_dim dim = in->attrs[0].dim;
  int64_t lo, hi;
  in->type = ir_type_make(IR_i32, 0, NULL);
  ir_dim_bounds(dim, &lo, &hi);
  if (hi > INT32_MAX && hi < INT64_MAX && !ir_dim_as_symbol(dim))
    return ir_refuse(in, "%s may not fit i32 as a number", ir_dim_print(in->module->arena, dim));
  return countable(in);
}

// ---- elementwise

bool ir_suffix_shape(const ir_type *a, const ir_type *b, ir_type *out) {
  const ir_type *longer = a->rank >= b->rank ? a : b, *shorter = longer == a ? b : a;
  int lead = longer->rank - shorter->rank;
  for (int i = 0; i < shorter->rank; i++) {
    if (longer->dims[lead + i] != shorter->dims[i]) return false;
  }
  ir_type shape = *longer;
  shape.dtype = out->dtype;
  *out = shape;
  return true;
}

// The common shape of all operands into in->type; its dtype is left as it is.
static bool broadcast_shape(ir_inference *in) {
  ir_type shape = in->operands[0]->type;
  int longest = 0;
  for (int i = 1; i < in->operand_count; i++) {
    if (!ir_suffix_shape(&shape, &in->operands[i]->type, &shape)) {
      return ir_refuse(in, "shapes %s and %s differ and neither is the end of the other", show(in, longest),
                       show(in, i));
    }
    if (in->operands[i]->type.rank == shape.rank) longest = i;
  }
  shape.dtype = in->type.dtype;
  in->type = shape;
  return true;
}

static bool same_dtype(ir_inference *in, int a, int b) {
  if (in->operands[a]->type.dtype == in->operands[b]->type.dtype) return true;
  return ir_refuse(in, "operands are %s and %s; cast one of them", show(in, a), show(in, b));
}

bool ir_rule_same(ir_inference *in) {
  ir_dtype dtype = in->operands[0]->type.dtype;
  if (!(in->info->flags & IR_FLAG_BOOLS) && dtype == IR_bool) return ir_refuse(in, "operands are bool; cast them");
  for (int i = 1; i < in->operand_count; i++) {
    if (!same_dtype(in, 0, i)) return false;
  }
  if (in->op == IR_OP_softmax && (in->attrs[0].i < 0 || in->attrs[0].i >= in->operands[0]->type.rank)) {
    return ir_refuse(in, "axis %lld is not in %s", (long long)in->attrs[0].i, show(in, 0));
  }
  in->type.dtype = dtype;
  return broadcast_shape(in);
}

bool ir_rule_cast(ir_inference *in) {
  in->type = in->operands[0]->type;
  in->type.dtype = in->attrs[0].dtype;
  return true;
}

bool ir_rule_test(ir_inference *in) {
  in->type = in->operands[0]->type;
  in->type.dtype = IR_bool;
  return true;
}

bool ir_rule_to_int(ir_inference *in) {
  if (in->operands[0]->type.dtype == IR_bool) return ir_refuse(in, "the operand is bool; cast it");
  if (!ir_dtype_is_int(in->attrs[0].dtype)) return ir_refuse(in, "'dtype' must be an integer type");
  in->type = in->operands[0]->type;
  in->type.dtype = in->op == IR_OP_fits ? IR_bool : in->attrs[0].dtype;
  return true;
}

static bool has_words(ir_dtype dtype) {
  return dtype != IR_f64 && dtype != IR_i64 && dtype != IR_f8e4m3 && dtype != IR_f8e5m2 && dtype != IR_bool;
}

bool ir_rule_bitcast(ir_inference *in) {
  ir_dtype from = in->operands[0]->type.dtype, to = in->attrs[0].dtype;
  if (!has_words(from) || !has_words(to) || ir_dtype_bytes(from) != ir_dtype_bytes(to))
    return ir_refuse(in, "%s has not the bits of %s", show(in, 0), ir_dtype_name(to));
  in->type = in->operands[0]->type;
  in->type.dtype = to;
  return true;
}

bool ir_rule_random(ir_inference *in) {
  for (int i = 0; i < 2; i++) {
    if (in->operands[i]->type.dtype != IR_i32) return ir_refuse(in, "operand %d is %s, not i32", i, show(in, i));
  }
  in->type.dtype = IR_f32;
  return broadcast_shape(in);
}

bool ir_rule_compare(ir_inference *in) {
  bool ordered = in->op != IR_OP_eq && in->op != IR_OP_ne;
  if (!same_dtype(in, 0, 1)) return false;
  if (ordered && in->operands[0]->type.dtype == IR_bool) return ir_refuse(in, "bools have no order");
  in->type.dtype = IR_bool;
  return broadcast_shape(in);
}

bool ir_rule_select(ir_inference *in) {
  if (in->operands[0]->type.dtype != IR_bool) return ir_refuse(in, "the condition is %s; it must be bool", show(in, 0));
  if (!same_dtype(in, 1, 2)) return false;
  in->type.dtype = in->operands[1]->type.dtype;
  return broadcast_shape(in);
}

// ---- reductions

bool ir_rule_reduce(ir_inference *in) {
  const ir_type *x = &in->operands[0]->type;
  const ir_attr *over = &in->attrs[0];
  bool gone[IR_MAX_RANK] = {false};
  if (x->dtype == IR_bool && !(in->info->flags & IR_FLAG_BOOLS)) return ir_refuse(in, "the operand is bool; cast it");
  if (over->count == 0) return ir_refuse(in, "'over' is empty");
  for (int i = 0; i < over->count; i++) {
    int64_t axis = over->ints[i];
    if (axis < 0 || axis >= x->rank) return ir_refuse(in, "axis %lld is not in %s", (long long)axis, show(in, 0));
    if (i && axis <= over->ints[i - 1]) return ir_refuse(in, "axes of 'over' must rise");
    gone[axis] = true;
  }
  in->type = (ir_type){.dtype = x->dtype};
  for (int i = 0; i < x->rank; i++) {
    if (!gone[i]) in->type.dims[in->type.rank++] = x->dims[i];
  }
  return true;
}

bool ir_rule_argmax(ir_inference *in) {
  if (!ir_rule_reduce(in)) return false;
  if (in->attrs[0].count != 1) return ir_refuse(in, "'over' must be one axis");
  int64_t lo, hi;
  ir_dim_bounds(in->operands[0]->type.dims[in->attrs[0].ints[0]], &lo, &hi);
  if (lo < 1) return ir_refuse(in, "the axis may be empty in %s", show(in, 0));
  in->type.dtype = IR_i32;
  return true;
}
