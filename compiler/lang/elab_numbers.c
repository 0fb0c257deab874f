// Numbers: which literals an element type takes, casts, random numbers, and the choice of a search that nobody has
// made.
//
// Random numbers depend on a seed and on a position alone: the counter of an element is its place in the tensor, where
// a seq counts by position in the whole sequence. So the same text gives the same numbers however a sequence is cut
// into calls and with whatever else it is packed. Distinct draws take distinct seeds.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

// ---- literals

// The largest finite value, 0 for integers.
static double largest(ir_dtype dtype) {
  switch (dtype) {
    case IR_f16:
      return 65504;
    case IR_bf16:
      return 0x1.FEp127;
    case IR_f32:
      return 0x1.FFFFFEp127;
    case IR_f64:
      return 0x1.FFFFFFFFFFFFFp1023;
    case IR_f8e4m3:
      return 448;
    case IR_f8e5m2:
      return 57344;
    default:
      return 0;
  }
}

bool lang_number_fits(lang_value v, ir_dtype dtype) {
  if (ir_dtype_is_float(dtype)) {
    double number = lang_value_number(v);
    if (isnan(number)) return true;
    return isinf(number) ? dtype != IR_f8e4m3 : fabs(number) <= largest(dtype);
  }
  if (v.kind == LANG_V_FLOAT || dtype == IR_bool) return false;
  int bits = 8 * ir_dtype_bytes(dtype);
  bool is_signed = dtype != IR_u8;
  int64_t hi = bits == 64 ? (int64_t)1 << 53 : ((int64_t)1 << (bits - is_signed)) - 1;
  return v.i <= hi && v.i >= (is_signed ? -hi - (bits < 64) : 0);
}

// ---- casts

lang_value lang_cast(lang_frame *frame, lang_value value, ir_dtype dtype, bool is_f, lang_span span) {
  ir_value like_value = {.type = {.dtype = dtype}};
  lang_tensor_value like = {.value = &like_value, .is_f = is_f};
  if (lang_value_void(value)) return value;
  if (value.kind == LANG_V_BOOL && dtype != IR_bool) value = lang_value_int(value.b);
  if (value.kind == LANG_V_FLOAT && !ir_dtype_is_float(dtype) && dtype != IR_bool && fabs(value.f) < 0x1p53)
    value = lang_value_int((int64_t)value.f);
  lang_tensor_value *x = lang_tensor_of(frame, value, value.kind == LANG_V_DIM ? NULL : &like, span);
  if (!x) return lang_value_error();
  lang_value result;
  if (x->value->type.dtype == dtype) {
    result = lang_wrap(frame, x->value, is_f, span);
    result.tensor->latest = x->latest;
  } else {
    ir_attr attr = ir_attr_dtype(IR_ATTR_dtype, dtype);
    result = lang_build(frame, IR_OP_cast, &x, 1, &attr, 1, span);
    if (result.kind != LANG_V_TENSOR) return result;
    result.tensor->is_f = is_f;
  }
  memcpy(result.tensor->labels, x->labels, sizeof x->labels);
  return result;
}

// ---- random numbers

// The shape that the first argument names: a list of sizes, or that of a tensor.
static bool shape_arg(lang_frame *frame, const lang_call *call, ir_type *out) {
  lang_elab *elab = frame->elab;
  lang_value v = call->positional[0];
  *out = (ir_type){.dtype = IR_i32};
  if (v.kind == LANG_V_TENSOR) {
    out->rank = v.tensor->value->type.rank;
    memcpy(out->dims, v.tensor->value->type.dims, sizeof out->dims);
    return true;
  }
  bool sizes = v.kind == LANG_V_LIST && v.list.count <= IR_MAX_RANK;
  for (int64_t i = 0; sizes && i < v.list.count; i++) {
    lang_value size = v.list.items[i];
    bool whole = size.kind == LANG_V_INT && size.i >= 0;
    sizes = whole || size.kind == LANG_V_DIM;
    if (sizes) out->dims[out->rank++] = whole ? ir_dim_const(elab->module->dims, size.i) : size.dim;
  }
  if (!sizes)
    lang_error(elab, LANG_W_RANDOM_SHAPE, call->exprs[0]->span, call->name, lang_value_describe(elab->arena, v));
  return sizes;
}

// Coordinates along axis |axis|, as [dims[axis], dims[axis + 1] ...].
static lang_value coordinates(lang_frame *frame, const ir_type *shape, int axis, const char *call_name,
                              lang_span span) {
  ir_dim dim = shape->dims[axis];
  const ir_symbol *seq = lang_dim_seq(dim, frame->elab->module->dims);
  ir_attr attr = ir_attr_dim(IR_ATTR_dim, dim);
  if (lang_dim_batch(dim) && !frame->elab->options->training) {
    lang_batch_error(frame, span, "a random number", dim);
    return lang_value_error();
  }
  if (seq && ir_dim_as_symbol(dim) != seq && !lang_dim_history(dim, frame->elab->module->dims))
    lang_event_add(frame, seq, LANG_W_ALONG_GROWING, span, call_name);
  lang_value v = lang_build(frame, seq ? IR_OP_pos : IR_OP_iota, NULL, 0, &attr, 1, span);
  int behind = shape->rank - 1 - axis;
  if (v.kind != LANG_V_TENSOR || !behind) return v;
  ir_dim dims[IR_MAX_RANK];
  int64_t order[IR_MAX_RANK];
  for (int i = 0; i < behind; i++) dims[i] = shape->dims[axis + 1 + i], order[i + 1] = i;
  dims[behind] = dim;
  order[0] = behind;
  attr = ir_attr_dims(IR_ATTR_dims, dims, behind + 1);
  v = lang_build(frame, IR_OP_broadcast, &v.tensor, 1, &attr, 1, span);
  attr = ir_attr_ints(IR_ATTR_perm, order, behind + 1);
  return v.kind == LANG_V_TENSOR ? lang_build(frame, IR_OP_permute, &v.tensor, 1, &attr, 1, span) : v;
}

// The place of each element: row-major, with the most that each dim can be for its size, modulo 2^32.
static lang_value places(lang_frame *frame, const ir_type *shape, const char *call_name, lang_span span) {
  uint32_t stride = 1;
  lang_value place = lang_value_int(0);
  for (int i = shape->rank - 1; i >= 0; i--) {
    int64_t lo, hi;
    lang_value v = coordinates(frame, shape, i, call_name, span);
    lang_value factor = lang_value_int((int32_t)stride);
    if (stride != 1) v = lang_elementwise(frame, IR_OP_mul, (lang_value[]){v, factor}, 2, span);
    place = place.kind == LANG_V_TENSOR ? lang_elementwise(frame, IR_OP_add, (lang_value[]){v, place}, 2, span) : v;
    if (lang_value_void(place)) return place;
    ir_dim_bounds(shape->dims[i], &lo, &hi);
    stride *= (uint32_t)(hi == INT64_MAX ? 0x7FFFFFFF : hi);
  }
  return place;
}

// The seed, mixed with |salt|: draws of one call are independent.
static lang_value key_of(lang_frame *frame, const lang_call *call, lang_value seed, uint32_t salt) {
  lang_elab *elab = frame->elab;
  const lang_span span = call->exprs[call->count - 1]->span;
  if (seed.kind == LANG_V_INT)
    return lang_cast(frame, lang_value_int((int32_t)((uint32_t)seed.i ^ salt)), IR_i32, false, span);
  bool scalar =
      seed.kind == LANG_V_TENSOR && seed.tensor->value->type.dtype == IR_i32 && !seed.tensor->value->type.rank;
  if (!scalar) {
    lang_error(elab, LANG_W_RANDOM_SEED, span, call->name, lang_value_describe(elab->arena, seed));
    return lang_value_error();
  }
  if (!salt) return seed;
  return lang_elementwise(frame, IR_OP_bit_xor, (lang_value[]){seed, lang_value_int((int32_t)salt)}, 2, span);
}

static lang_value draw(lang_frame *frame, const lang_call *call, lang_value seed, uint32_t salt, const ir_type *shape) {
  const lang_span span = call->expr->span;
  lang_value place = places(frame, shape, call->name, span), key = key_of(frame, call, seed, salt);
  if (lang_value_void(place) || lang_value_void(key)) return lang_value_error();
  if (place.kind != LANG_V_TENSOR) place = lang_cast(frame, place, IR_i32, false, span);
  if (place.kind != LANG_V_TENSOR) return place;
  return lang_build(frame, IR_OP_random, (lang_tensor_value *[]){key.tensor, place.tensor}, 2, NULL, 0, span);
}

// Box and Muller (1958): the radius from one draw, the angle from another.
static lang_value gaussian(lang_frame *frame, const lang_call *call, lang_value seed, const ir_type *shape) {
  const lang_span span = call->expr->span;
  lang_value u = draw(frame, call, seed, 0, shape), v = draw(frame, call, seed, 0x9E3779B9u, shape);
  if (lang_value_void(u) || lang_value_void(v)) return lang_value_error();
  u = lang_arithmetic(frame, LANG_OP_SUB, lang_value_int(1), u, span);
  u = lang_elementwise(frame, IR_OP_log, &u, 1, span);
  u = lang_arithmetic(frame, LANG_OP_MUL, lang_value_int(-2), u, span);
  u = lang_elementwise(frame, IR_OP_sqrt, &u, 1, span);
  v = lang_arithmetic(frame, LANG_OP_MUL, lang_value_float(6.283185307179586), v, span);
  v = lang_elementwise(frame, IR_OP_cos, &v, 1, span);
  return lang_arithmetic(frame, LANG_OP_MUL, u, v, span);
}

// uniform(shape, seed), normal(shape, seed): f32; bernoulli(shape, p, seed): bool.
lang_value lang_builtin_random(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  ir_type shape;
  bool odds = !strcmp(self->name, "bernoulli");
  if (frame->structure) return lang_value_later();
  if (!frame->function) {
    lang_error(frame->elab, LANG_W_TENSOR_AT_BUILD_TIME, call->expr->span, self->name);
    return lang_value_error();
  }
  if (!shape_arg(frame, call, &shape)) return lang_value_error();
  lang_value seed = call->positional[odds ? 2 : 1];
  if (!strcmp(self->name, "normal")) return gaussian(frame, call, seed, &shape);
  lang_value u = draw(frame, call, seed, 0, &shape);
  if (!odds || lang_value_void(u)) return u;
  return lang_elementwise(frame, IR_OP_lt, (lang_value[]){u, call->positional[1]}, 2, call->expr->span);
}

// ---- choices

// choose(a, b), choose(1..=4): a search decides; without one, the first.
lang_value lang_builtin_choose(lang_frame *frame, const lang_builtin *self, const lang_call *call) {
  (void)frame;
  (void)self;
  lang_value first = call->positional[0];
  return first.kind == LANG_V_RANGE ? first.list.items[0] : first;
}
