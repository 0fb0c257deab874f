// Known ranges of integer values: what makes `gather` safe. A range is inclusive; where nothing is known beyond the
// dtype none is stored.
#include "ir/prove.h"
#include "ir/rules.h"

#include "runtime/base/checked.h"

typedef struct {
  int64_t lo, hi;
} range;

void ir_dtype_range(ir_dtype dtype, int64_t *out_lo, int64_t *out_hi) {
  int bits = 8 * ir_dtype_bytes(dtype);
  bool is_signed = dtype != IR_u8;
  *out_hi = bits == 64 ? INT64_MAX : ((int64_t)1 << (bits - is_signed)) - 1;
  *out_lo = is_signed ? -*out_hi - 1 : 0;
}

bool ir_value_range(const ir_value *value, int64_t *out_lo, int64_t *out_hi) {
  if (!ir_dtype_is_int(value->type.dtype)) return false;
  if (value->lo <= value->hi) {
    *out_lo = value->lo;
    *out_hi = value->hi;
  } else {
    ir_dtype_range(value->type.dtype, out_lo, out_hi);
  }
  return true;
}

static const ir_value *through_moves(const ir_value *value) {
  while (value->def && value->def->operand_count == 1) {
    ir_op op = value->def->op;
    bool moves =
        op == IR_OP_reshape || op == IR_OP_permute || op == IR_OP_slice || op == IR_OP_broadcast || op == IR_OP_last;
    if (!moves) break;
    value = value->def->operands[0];
  }
  return value;
}

static bool fits(const ir_node *def, ir_prove_relation relation, ir_dim a, ir_dim b) {
  return a == b ? relation == IR_PROVE_LE : ir_dim_decide(def->parent->module->dims, relation, a, b) == 1;
}

static bool is_number(const ir_value *value, int64_t *out) {
  value = through_moves(value);
  if (!value->def || value->def->op != IR_OP_constant) return false;
  *out = (int64_t)value->def->attrs[0].f;
  return true;
}

// |size| + |by|; null where that is no dim.
static ir_dim shifted(const ir_node *def, ir_dim size, int64_t by) {
  ir_dim_table *dims = def->parent->module->dims;
  return ir_dim_add(dims, size, ir_dim_const(dims, by));
}

static bool under(const ir_value *value, ir_dim size, int depth);

// j + 1 is below T + 1 where j is below T.
static bool moved_under(const ir_node *def, ir_dim size, int depth) {
  for (int i = 0; i < 2; i++) {
    int64_t by;
    bool add = def->op == IR_OP_add;
    if ((!add && i == 0) || !is_number(def->operands[i], &by) || by < INT32_MIN || by > INT32_MAX) continue;
    ir_dim rest = shifted(def, size, add ? -by : by);
    return rest && under(def->operands[1 - i], rest, depth + 1);
  }
  return false;
}

// Whether every element is below |size|, from how it is made: clamp(i, 0, T - 1) is below T whatever i is.
static bool under(const ir_value *value, ir_dim size, int depth) {
  int64_t lo, hi, size_lo, size_hi;
  value = through_moves(value);
  if (depth > 12 || !ir_value_range(value, &lo, &hi)) return false;
  ir_dim_bounds(size, &size_lo, &size_hi);
  const ir_node *def = value->def;
  if (hi < size_lo || (value->below && value->below == size)) return true;
  if (!def) return false;
  switch (def->op) {
    case IR_OP_iota:
      return fits(def, IR_PROVE_LE, def->attrs[0].dim, size);
    case IR_OP_size:
      return fits(def, IR_PROVE_LT, def->attrs[0].dim, size);
    case IR_OP_argmax:
    case IR_OP_argmin:
      return fits(def, IR_PROVE_LE, def->operands[0]->type.dims[def->attrs[0].ints[0]], size);
    case IR_OP_min:
      return under(def->operands[0], size, depth + 1) || under(def->operands[1], size, depth + 1);
    case IR_OP_max:
      return under(def->operands[0], size, depth + 1) && under(def->operands[1], size, depth + 1);
    case IR_OP_relu:
      return size_lo > 0 && under(def->operands[0], size, depth + 1);
    case IR_OP_select:
      return under(def->operands[1], size, depth + 1) && under(def->operands[2], size, depth + 1);
    case IR_OP_gather:
    case IR_OP_element:
    case IR_OP_add:
    case IR_OP_sub:
      return value->lo <= value->hi && moved_under(def, size, depth);  // a known range: it does not wrap
    case IR_OP_sort:
    case IR_OP_reverse:
    case IR_OP_roll:
    case IR_OP_tile:
    case IR_OP_repeat:
    case IR_OP_with_grad:
      return under(def->operands[0], size, depth + 1);
    case IR_OP_argsort:
      return fits(def, IR_PROVE_LE, def->operands[0]->type.dims[def->attrs[0].i], size);
    case IR_OP_top_k:
      if (value->result == 0) return under(def->operands[0], size, depth + 1);
      return fits(def, IR_PROVE_LE, def->operands[0]->type.dims[def->attrs[0].i], size);
    case IR_OP_concat:
    case IR_OP_stack:
      for (int i = 0; i < def->operand_count; i++) {
        if (!under(def->operands[i], size, depth + 1)) return false;
      }
      return true;
    case IR_OP_cast:
      return ir_dtype_is_int(def->operands[0]->type.dtype) && under(def->operands[0], size, depth + 1);
    default:
      return false;
  }
}

bool ir_value_below(const ir_value *value, ir_dim size) {
  int64_t lo, hi;
  return ir_value_range(value, &lo, &hi) && lo >= 0 && under(value, size, 0);
}

// ---- one function per kind of op; each gives false where nothing is known

static range of(const ir_inference *in, int operand) {
  range r = {1, 0};
  ir_value_range(in->operands[operand], &r.lo, &r.hi);
  return r;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static bool add_range(range a, range b, range *out) {
  return weir_add_i64(a.lo, b.lo, &out->lo) && weir_add_i64(a.hi, b.hi, &out->hi);
}

static bool sub_range(range a, range b, range *out) {
  return !__builtin_sub_overflow(a.lo, b.hi, &out->lo) && !__builtin_sub_overflow(a.hi, b.lo, &out->hi);
}

static bool mul_range(range a, range b, range *out) {
  int64_t corners[4];
  if (!weir_mul_i64(a.lo, b.lo, &corners[0]) || !weir_mul_i64(a.lo, b.hi, &corners[1]) ||
      !weir_mul_i64(a.hi, b.lo, &corners[2]) || !weir_mul_i64(a.hi, b.hi, &corners[3])) {
    return false;
  }
  *out = (range){corners[0], corners[0]};
  for (int i = 1; i < 4; i++) *out = (range){smaller(out->lo, corners[i]), larger(out->hi, corners[i])};
  return true;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// By a positive divisor.
static bool div_range(range a, range b, range *out) {
  if (b.lo < 1) return false;
  out->lo = floor_div(a.lo, a.lo < 0 ? b.lo : b.hi);
  out->hi = floor_div(a.hi, a.hi < 0 ? b.hi : b.lo);
  return true;
}

static bool mod_range(range a, range b, range *out) {
  if (b.lo < 1) return false;
  *out = a.lo >= 0 && a.hi < b.lo ? a : (range){0, b.hi - 1};
  return true;
}

static bool abs_range(range a, range *out) {
  if (a.lo == INT64_MIN) return false;
  *out = a.lo >= 0 ? a : a.hi <= 0 ? (range){-a.hi, -a.lo} : (range){0, larger(-a.lo, a.hi)};
  return true;
}

static bool cast_range(const ir_inference *in, range *out) {
  if (in->operands[0]->type.dtype == IR_bool) *out = (range){0, 1};
  else if (ir_dtype_is_int(in->operands[0]->type.dtype)) *out = of(in, 0);
  else return false;
  return true;
}

static range join(range a, range b) { return (range){smaller(a.lo, b.lo), larger(a.hi, b.hi)}; }

static range join_all(const ir_inference *in) {
  range r = of(in, 0);
  for (int i = 1; i < in->operand_count; i++) r = join(r, of(in, i));
  return r;
}

// 0 .. dim - 1. Positions count the rows before this call too, so that the bound is the whole sequence's: a history P +
// T, all of it or a window's, counts as T.
static bool count_range(const ir_inference *in, range *out) {
  ir_dim dim = in->attrs[0].dim;
  ir_dim_bounds(dim, &out->lo, &out->hi);
  for (int i = 0; in->op == IR_OP_pos && i < ir_symbol_count(in->module->dims); i++) {
    const ir_symbol *before = ir_symbol_at(in->module->dims, i);
    const ir_symbol *whole = before->kept_of ? before->kept_of : ir_symbol_before(in->module->dims, before);
    if (!whole || !ir_dim_mentions(dim, before)) continue;
    ir_dim history =
        ir_dim_add(in->module->dims, ir_dim_symbol(in->module->dims, whole), ir_dim_symbol(in->module->dims, before));
    if (dim == history) out->hi = whole->hi;
  }
  out->hi = larger(out->hi - (out->hi != INT64_MAX), 0);
  out->lo = 0;
  return true;
}

// The number of elements that a sum adds.
static bool sum_range(const ir_inference *in, range *out) {
  range count = {1, 1};
  for (int i = 0; i < in->attrs[0].count; i++) {
    range size;
    ir_dim_bounds(in->operands[0]->type.dims[in->attrs[0].ints[i]], &size.lo, &size.hi);
    if (size.hi == INT64_MAX || !mul_range(count, size, &count)) return false;
  }
  return mul_range(of(in, 0), count, out);
}

static bool argmax_range(const ir_inference *in, range *out) {
  ir_dim_bounds(in->operands[0]->type.dims[in->attrs[0].ints[0]], &out->lo, &out->hi);
  *out = (range){0, out->hi == INT64_MAX ? INT64_MAX : out->hi - 1};
  return true;
}

static bool saturate_range(const ir_inference *in, range *out) {
  range all, r;
  if (!ir_dtype_is_int(in->operands[0]->type.dtype)) return false;
  r = of(in, 0);
  ir_dtype_range(in->type.dtype, &all.lo, &all.hi);
  *out = (range){smaller(larger(r.lo, all.lo), all.hi), larger(smaller(r.hi, all.hi), all.lo)};
  return true;
}

// With a side that is never negative the result has no bits beyond it.
static bool bit_and_range(range a, range b, range *out) {
  if (a.lo < 0 && b.lo < 0) return false;
  *out = (range){0, a.lo < 0 ? b.hi : b.lo < 0 ? a.hi : smaller(a.hi, b.hi)};
  return true;
}

static bool is_never_empty(const ir_inference *in) {
  for (int i = 0; i < in->attrs[0].count; i++) {
    int64_t lo, hi;
    ir_dim_bounds(in->operands[0]->type.dims[in->attrs[0].ints[i]], &lo, &hi);
    if (lo < 1) return false;
  }
  return true;
}

// An index of the fold's row-major order; of the rows that a scatter combines.
static bool combine_range(const ir_inference *in, range *out) {
  range count = {1, 1};
  ir_combine combine = in->attrs[1].combine;
  if (combine != IR_COMBINE_argmax && combine != IR_COMBINE_argmin) return false;
  if (in->op == IR_OP_scatter) {
    ir_dim_bounds(in->operands[0]->type.dims[0], &count.lo, &count.hi);
  }
  for (int i = 0; in->op == IR_OP_fold && i < in->attrs[0].count; i++) {
    range size;
    ir_dim_bounds(in->attrs[0].dims[i], &size.lo, &size.hi);
    if (size.hi == INT64_MAX || !mul_range(count, size, &count)) return false;
  }
  *out = (range){0, count.hi > INT32_MAX ? INT32_MAX : larger(count.hi - 1, 0)};
  return true;
}

static bool op_range(const ir_inference *in, range *out) {
  switch (in->op) {
    case IR_OP_constant:
      *out = (range){(int64_t)in->attrs[0].f, (int64_t)in->attrs[0].f};
      return true;
    case IR_OP_pos:
    case IR_OP_iota:
      return count_range(in, out);
    case IR_OP_size:
      ir_dim_bounds(in->attrs[0].dim, &out->lo, &out->hi);
      return true;
    case IR_OP_neg:
      return sub_range((range){0, 0}, of(in, 0), out);
    case IR_OP_abs:
      return abs_range(of(in, 0), out);
    case IR_OP_relu:
      *out = (range){larger(of(in, 0).lo, 0), larger(of(in, 0).hi, 0)};
      return true;
    case IR_OP_cast:
      return cast_range(in, out);
    case IR_OP_add:
      return add_range(of(in, 0), of(in, 1), out);
    case IR_OP_sub:
      return sub_range(of(in, 0), of(in, 1), out);
    case IR_OP_mul:
      return mul_range(of(in, 0), of(in, 1), out);
    case IR_OP_div:
      return div_range(of(in, 0), of(in, 1), out);
    case IR_OP_mod:
      return mod_range(of(in, 0), of(in, 1), out);
    case IR_OP_max:
      *out = (range){larger(of(in, 0).lo, of(in, 1).lo), larger(of(in, 0).hi, of(in, 1).hi)};
      return true;
    case IR_OP_min:
      *out = (range){smaller(of(in, 0).lo, of(in, 1).lo), smaller(of(in, 0).hi, of(in, 1).hi)};
      return true;
    case IR_OP_select:
      *out = join(of(in, 1), of(in, 2));
      return true;
    case IR_OP_sum:
      return sum_range(in, out);
    case IR_OP_amax:
    case IR_OP_amin:
      *out = of(in, 0);
      return is_never_empty(in);
    case IR_OP_argsort:
      ir_dim_bounds(in->type.dims[in->attrs[0].i], &out->lo, &out->hi);
      *out = (range){0, out->hi > INT32_MAX ? INT32_MAX : larger(out->hi - 1, 0)};
      return true;
    case IR_OP_one_hot:
      *out = (range){0, 1};
      return true;
    case IR_OP_sign:
      *out = (range){-1, 1};
      return true;
    case IR_OP_saturate:
      return saturate_range(in, out);
    case IR_OP_bit_and:
      return bit_and_range(of(in, 0), of(in, 1), out);
    case IR_OP_pad:
      *out = join(of(in, 0), (range){(int64_t)in->attrs[2].f, (int64_t)in->attrs[2].f});
      return true;
    case IR_OP_argmax:
    case IR_OP_argmin:
      return argmax_range(in, out);
    case IR_OP_fold:
    case IR_OP_scatter:
      return combine_range(in, out);
    case IR_OP_gather:
    case IR_OP_reshape:
    case IR_OP_permute:
    case IR_OP_slice:
    case IR_OP_broadcast:
    case IR_OP_last:
    case IR_OP_element:
    case IR_OP_sort:
    case IR_OP_reverse:
    case IR_OP_roll:
    case IR_OP_tile:
    case IR_OP_repeat:
    case IR_OP_pad_edge:
    case IR_OP_pad_reflect:
    case IR_OP_resize_nearest:
    case IR_OP_with_grad:
      *out = of(in, 0);
      return true;
    case IR_OP_concat:
    case IR_OP_append:
    case IR_OP_stack:
      *out = join_all(in);
      return true;
    default:
      return false;
  }
}

void ir_infer_range(ir_inference *in) {
  range r, all;
  in->lo = 1;
  in->hi = 0;
  if (!ir_dtype_is_int(in->type.dtype) || !op_range(in, &r)) return;
  ir_dtype_range(in->type.dtype, &all.lo, &all.hi);
  bool counted = in->op == IR_OP_pos || in->op == IR_OP_iota || in->op == IR_OP_size || in->op == IR_OP_argmax ||
                 in->op == IR_OP_argmin;
  if (counted) r = (range){smaller(r.lo, all.hi), smaller(r.hi, all.hi)};
  if (r.lo < all.lo || r.hi > all.hi || (r.lo == all.lo && r.hi == all.hi)) return;
  in->lo = r.lo;
  in->hi = r.hi;
}
