// Type rules: products, movement, states.
#include "ir/prove.h"
#include "ir/rules.h"

static const char *show(ir_inference *in, int operand) {
  return ir_type_print(in->module->arena, &in->operands[operand]->type);
}

static const char *show_dim(ir_inference *in, ir_dim dim) { return ir_dim_print(in->module->arena, dim); }

// True where |dim| is never negative.
static bool never_negative(ir_dim dim) {
  int64_t lo, hi;
  if (!dim) return false;
  ir_dim_bounds(dim, &lo, &hi);
  return lo >= 0;
}

// ---- products

bool ir_rule_linear(ir_inference *in) {
  const ir_type *x = &in->operands[0]->type, *w = &in->operands[1]->type;
  if (x->rank < 1 || w->rank != 2 || x->dtype != w->dtype || x->dims[x->rank - 1] != w->dims[1]) {
    return ir_refuse(in, "%s does not go through weights %s; they are [..., I] and [O, I] of one dtype", show(in, 0),
                     show(in, 1));
  }
  in->type = *x;
  in->type.dims[x->rank - 1] = w->dims[0];
  return true;
}

bool ir_rule_matmul(ir_inference *in) {
  const ir_type *a = &in->operands[0]->type, *b = &in->operands[1]->type;
  bool fits = a->rank >= 2 && b->rank >= 2 && a->dtype == b->dtype && a->dims[a->rank - 1] == b->dims[b->rank - 2];
  if (fits) {
    ir_type left = *a, right = *b;
    left.rank -= 2;
    right.rank -= 2;
    in->type.dtype = a->dtype;
    fits = ir_suffix_shape(&left, &right, &in->type);
  }
  if (!fits)
    return ir_refuse(in, "%s and %s are not [..., M, K] and [..., K, N] of one dtype", show(in, 0), show(in, 1));
  in->type.dims[in->type.rank++] = a->dims[a->rank - 2];
  in->type.dims[in->type.rank++] = b->dims[b->rank - 1];
  return true;
}

// The fourth operand of attend: [T, S] or [Hq, T, S], numbers of q's dtype or bool.
static bool check_bias(ir_inference *in, ir_dim rows, ir_dim heads, ir_dim history) {
  const ir_type *bias = &in->operands[3]->type;
  bool fits = bias->rank == 2 || (bias->rank == 3 && bias->dims[0] == heads);
  fits = fits && bias->dims[bias->rank - 2] == rows && bias->dims[bias->rank - 1] == history;
  if (!fits)
    return ir_refuse(in, "the bias %s is neither [%s, %s] nor [%s, %s, %s]", show(in, 3), show_dim(in, rows),
                     show_dim(in, history), show_dim(in, heads), show_dim(in, rows), show_dim(in, history));
  if (bias->dtype == IR_bool || bias->dtype == in->operands[0]->type.dtype) return true;
  return ir_refuse(in, "the bias %s is neither bool nor of the queries' dtype", show(in, 3));
}

// Ranks, dtypes and leading dims.
static bool check_attend_types(ir_inference *in) {
  if (in->operand_count < 3 || in->operand_count > 4)
    return ir_refuse(in, "takes 3 or 4 operands, not %d", in->operand_count);
  const ir_type *q = &in->operands[0]->type;
  if (!ir_dtype_is_float(q->dtype)) return ir_refuse(in, "operand 0 is %s; it must be a float", show(in, 0));
  for (int i = 0; i < 3; i++) {
    const ir_type *x = &in->operands[i]->type;
    if (x->rank < 3) return ir_refuse(in, "operands must be [rows, heads, size]");
    if (x->dtype != q->dtype) return ir_refuse(in, "operands must have one dtype");
    bool same = x->rank == q->rank;
    for (int d = 0; same && d < x->rank - 3; d++) same = x->dims[d] == q->dims[d];
    if (!same) return ir_refuse(in, "%s and %s differ in front of rows, heads and size", show(in, 0), show(in, i));
  }
  return true;
}

bool ir_rule_attend(ir_inference *in) {
  if (!check_attend_types(in)) return false;
  const ir_type *q = &in->operands[0]->type, *k = &in->operands[1]->type, *v = &in->operands[2]->type;
  int lead = q->rank - 3;
  if (k->dims[lead] != v->dims[lead])
    return ir_refuse(in, "keys %s and values %s differ in rows", show(in, 1), show(in, 2));
  if (k->dims[lead + 1] != v->dims[lead + 1])
    return ir_refuse(in, "keys %s and values %s differ in heads", show(in, 1), show(in, 2));
  if (q->dims[lead + 2] != k->dims[lead + 2])
    return ir_refuse(in, "queries %s and keys %s differ in size", show(in, 0), show(in, 1));
  ir_dim rest = ir_dim_mod(in->module->dims, q->dims[lead + 1], k->dims[lead + 1]);
  int64_t left;
  if (!rest || !ir_dim_is_const(rest, &left) || left != 0) {
    return ir_refuse(in, "heads of queries %s are no multiple of heads of keys %s", show(in, 0), show(in, 1));
  }
  if (in->attrs[1].i < 0) return ir_refuse(in, "the window is negative");
  if (in->attrs[1].i > 0 && !in->attrs[0].i) return ir_refuse(in, "a window needs causal = true");
  if (in->operand_count == 4 && !check_bias(in, q->dims[lead], q->dims[lead + 1], k->dims[lead])) return false;
  in->type = *q;
  in->type.dims[lead + 2] = v->dims[lead + 2];
  return true;
}

bool ir_rule_rope(ir_inference *in) {
  const ir_type *x = &in->operands[0]->type, *pos = &in->operands[1]->type;
  if (x->rank != 3) return ir_refuse(in, "%s is not [T, heads, H]", show(in, 0));
  if (pos->rank != 1 || pos->dtype != IR_i32 || pos->dims[0] != x->dims[0]) {
    return ir_refuse(in, "positions %s are not i32[%s]", show(in, 1), show_dim(in, x->dims[0]));
  }
  int64_t rotary = in->attrs[1].i, size;
  if (!ir_dim_is_const(x->dims[2], &size) || rotary < 0 || rotary % 2 || rotary > size) {
    return ir_refuse(in, "rotary = %lld must be even and at most the last dim of %s", (long long)rotary, show(in, 0));
  }
  if (!(in->attrs[0].f > 0)) return ir_refuse(in, "theta must be above 0");
  in->type = *x;
  return true;
}

// ---- movement

bool ir_rule_gather(ir_inference *in) {
  const ir_type *table = &in->operands[0]->type, *index = &in->operands[1]->type;
  if (table->rank < 1) return ir_refuse(in, "the table %s has no rows", show(in, 0));
  if (!ir_dtype_is_int(index->dtype)) return ir_refuse(in, "the index %s is not an integer", show(in, 1));
  if (index->rank + table->rank - 1 > IR_MAX_RANK)
    return ir_refuse(in, "the result has more than %d dims", IR_MAX_RANK);
  if (!ir_value_below(in->operands[1], table->dims[0])) {
    int64_t lo, hi;
    ir_value_range(in->operands[1], &lo, &hi);
    return ir_refuse(in, "the index is in %lld..=%lld, which is not proved to lie in 0..%s", (long long)lo,
                     (long long)hi, show_dim(in, table->dims[0]));
  }
  in->type = *index;
  in->type.dtype = table->dtype;
  for (int i = 1; i < table->rank; i++) in->type.dims[in->type.rank++] = table->dims[i];
  return true;
}

bool ir_rule_product_dims(ir_module *module, const ir_dim *dims, int count, ir_dim *out) {
  ir_dim product = ir_dim_const(module->dims, 1);
  for (int i = 0; i < count; i++) product = ir_dim_mul(module->dims, product, dims[i]);
  *out = product;
  return product != NULL;
}

bool ir_rule_reshape(ir_inference *in) {
  const ir_type *x = &in->operands[0]->type;
  const ir_attr *dims = &in->attrs[0];
  ir_dim before, after;
  in->type = ir_type_make(x->dtype, dims->count, dims->dims);
  if (!ir_rule_product_dims(in->module, x->dims, x->rank, &before) ||
      !ir_rule_product_dims(in->module, dims->dims, dims->count, &after)) {
    return ir_refuse(in, "the number of elements overflows");
  }
  for (int i = 0; i < dims->count; i++) {
    if (!never_negative(dims->dims[i])) return ir_refuse(in, "dim %s may be negative", show_dim(in, dims->dims[i]));
  }
  if (before == after) return true;
  return ir_refuse(in, "%s has %s elements, %s has %s", show(in, 0), show_dim(in, before),
                   ir_type_print(in->module->arena, &in->type), show_dim(in, after));
}

bool ir_rule_permute(ir_inference *in) {
  const ir_type *x = &in->operands[0]->type;
  const ir_attr *perm = &in->attrs[0];
  unsigned seen = 0;
  if (perm->count != x->rank) return ir_refuse(in, "perm has %d axes, %s has %d", perm->count, show(in, 0), x->rank);
  in->type = *x;
  for (int i = 0; i < x->rank; i++) {
    int64_t axis = perm->ints[i];
    if (axis < 0 || axis >= x->rank || (seen >> axis & 1)) return ir_refuse(in, "perm names each axis once");
    seen |= 1u << axis;
    in->type.dims[i] = x->dims[axis];
  }
  return true;
}

static bool check_axis(ir_inference *in, int64_t axis) {
  if (axis >= 0 && axis < in->operands[0]->type.rank) return true;
  return ir_refuse(in, "axis %lld is not in %s", (long long)axis, show(in, 0));
}

bool ir_rule_slice(ir_inference *in) {
  if (!check_axis(in, in->attrs[0].i)) return false;
  ir_dim start = in->attrs[1].dim, stop = in->attrs[2].dim, *dim;
  ir_dim_table *dims = in->module->dims;
  in->type = in->operands[0]->type;
  dim = &in->type.dims[in->attrs[0].i];
  if (!never_negative(start) || ir_dim_decide(dims, IR_PROVE_LE, start, stop) != 1 ||
      ir_dim_decide(dims, IR_PROVE_LE, stop, *dim) != 1) {
    return ir_refuse(in, "0 <= %s <= %s <= %s is not proved", show_dim(in, start), show_dim(in, stop),
                     show_dim(in, *dim));
  }
  *dim = ir_dim_sub(dims, stop, start);
  return true;
}

bool ir_rule_concat(ir_inference *in) {
  if (in->operand_count < 1) return ir_refuse(in, "needs at least one operand");
  int64_t axis = in->attrs[0].i;
  if (!check_axis(in, axis)) return false;
  in->type = in->operands[0]->type;
  for (int i = 1; i < in->operand_count; i++) {
    ir_type other = in->operands[i]->type, first = in->operands[0]->type;
    if (other.rank == first.rank) other.dims[axis] = first.dims[axis];
    if (!ir_type_equal(&other, &first)) {
      return ir_refuse(in, "%s and %s differ outside axis %lld", show(in, 0), show(in, i), (long long)axis);
    }
    in->type.dims[axis] = ir_dim_add(in->module->dims, in->type.dims[axis], in->operands[i]->type.dims[axis]);
    if (!in->type.dims[axis]) return ir_refuse(in, "the axis overflows");
  }
  return true;
}

bool ir_rule_broadcast(ir_inference *in) {
  const ir_type *x = &in->operands[0]->type;
  in->type = ir_type_make(x->dtype, in->attrs[0].count, in->attrs[0].dims);
  int lead = in->type.rank - x->rank;
  bool fits = lead >= 0;
  for (int i = 0; fits && i < x->rank; i++) fits = in->type.dims[lead + i] == x->dims[i];
  if (!fits) {
    return ir_refuse(in, "%s is not the end of %s", show(in, 0), ir_type_print(in->module->arena, &in->type));
  }
  for (int i = 0; i < lead; i++) {
    if (!never_negative(in->type.dims[i]))
      return ir_refuse(in, "dim %s may be negative", show_dim(in, in->type.dims[i]));
  }
  return true;
}

bool ir_rule_last(ir_inference *in) {
  const ir_type *x = &in->operands[0]->type;
  int64_t lo = 0, hi;
  if (x->rank < 1) return ir_refuse(in, "a scalar has no rows");
  ir_dim_bounds(x->dims[0], &lo, &hi);
  if (lo < 1) return ir_refuse(in, "%s may have no rows", show(in, 0));
  in->type = ir_type_make(x->dtype, x->rank - 1, x->dims + 1);
  return true;
}

// ---- states and calls

bool ir_rule_append(ir_inference *in) {
  const ir_type *state = &in->operands[0]->type, *rows = &in->operands[1]->type;
  ir_type other = *rows;
  if (state->rank >= 1 && rows->rank == state->rank) other.dims[0] = state->dims[0];
  if (state->rank < 1 || !ir_type_equal(&other, state)) {
    return ir_refuse(in, "rows %s do not continue the state %s", show(in, 1), show(in, 0));
  }
  in->type = *state;
  in->type.dims[0] = ir_dim_add(in->module->dims, state->dims[0], rows->dims[0]);
  return in->type.dims[0] || ir_refuse(in, "the number of rows overflows");
}

bool ir_rule_call(ir_inference *in) { return ir_refuse(in, "a call is built by its own function"); }
