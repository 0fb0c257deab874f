// Generator of random modules. A pool holds what was computed so far; each round picks an op of the table, operands
// that may suit, and keeps the node if the op's rule accepts it. Beside the type a pool entry knows a bound of its
// magnitude and how many bits an exact value needs; these decide which ops may see it.
#include "tests/common/random_module.h"

#include <math.h>
#include <string.h>

#include "ir/rules.h"

enum { POOL_SIZE = 512, EXACT_BITS = 22, INPUT_BITS = 4, INEXACT = 1000 };
static const double TAME = 64;

typedef struct {
  ir_value *value;
  int bits;     // an exact value is a multiple of some 2^-k and fits this many bits; INEXACT where rounding happens
  double most;  // bound of the magnitude
} entry;

typedef struct {
  uint64_t state;
  ir_module *module;
  ir_function *function;
  const random_module_options *options;
  bool grows;  // T grows: no op may mix its rows
  entry pool[POOL_SIZE];
  int count;
  ir_dim T, N, past;
} maker;

static uint64_t next_random(uint64_t *state) {  // splitmix64
  uint64_t z = (*state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static int below(maker *m, int limit) { return (int)(next_random(&m->state) % (uint64_t)limit); }
static bool chance(maker *m, int percent) { return below(m, 100) < percent; }
static ir_dim number(maker *m, int64_t value) { return ir_dim_const(m->module->dims, value); }
static bool is_float(const entry *e) { return ir_dtype_is_float(e->value->type.dtype); }
static bool is_exact(const entry *e) { return e->bits <= EXACT_BITS; }

static bool mentions_rows(const maker *m, const ir_type *type) { return type->rank > 0 && type->dims[0] == m->T; }

// ---- the pool

static entry *keep(maker *m, ir_value *value, int bits, double most) {
  if (!value || m->count == POOL_SIZE) return NULL;
  m->pool[m->count] = (entry){value, bits > EXACT_BITS ? INEXACT : bits, most};
  return &m->pool[m->count++];
}

static entry pick(maker *m) {
  // Late values are picked more often, so that programs get deep.
  int a = below(m, m->count), b = below(m, m->count);
  return m->pool[a > b ? a : b];
}

static ir_value *build(maker *m, ir_op op, ir_value **operands, int count, const ir_attr *attrs, int attr_count) {
  return ir_build(m->function, op, operands, count, attrs, attr_count, (ir_loc){0}, NULL);
}

static ir_value *build1(maker *m, ir_op op, ir_value *x) { return build(m, op, &x, 1, NULL, 0); }

// |e| with a magnitude of at most |most|: itself, or squashed by a smooth function.
static entry tame(maker *m, entry e, double most) {
  if (e.most <= most || !is_float(&e)) return e;
  ir_value *squashed = build1(m, chance(m, 50) ? IR_OP_tanh : IR_OP_sin, e.value);
  return (entry){squashed, INEXACT, 1};
}

// 1 + |x|: never near zero.
static entry positive(maker *m, entry e) {
  ir_value *one = ir_build_constant(m->function, 1, e.value->type.dtype, (ir_loc){0});
  ir_value *sum[2] = {build1(m, IR_OP_abs, e.value), one};
  return (entry){build(m, IR_OP_add, sum, 2, NULL, 0), e.bits + 1, e.most + 1};
}

// ---- elementwise

static void make_unary(maker *m, ir_op op) {
  entry x = pick(m);
  unsigned flags = ir_op_get_info(op)->flags;
  bool jumps = op == IR_OP_floor || op == IR_OP_ceil || op == IR_OP_round || op == IR_OP_trunc || op == IR_OP_sign;
  bool rises = op == IR_OP_exp || op == IR_OP_exp2 || op == IR_OP_expm1 || op == IR_OP_sinh || op == IR_OP_cosh;
  if ((flags & IR_FLAG_FLOAT) && !is_float(&x)) return;
  if (jumps && !is_exact(&x)) return;
  if (rises) x = tame(m, x, 3);
  if (op == IR_OP_log || op == IR_OP_log2 || op == IR_OP_log1p || op == IR_OP_sqrt || op == IR_OP_rsqrt)
    x = positive(m, x);
  bool exact = jumps || op == IR_OP_neg || op == IR_OP_abs || op == IR_OP_relu || op == IR_OP_not;
  double most = exact || op == IR_OP_silu || op == IR_OP_gelu || op == IR_OP_gelu_tanh ? x.most + jumps : 8;
  if (rises) most = exp(x.most);
  if (op == IR_OP_softplus) most = x.most + 1;
  keep(m, build1(m, op, x.value), exact ? x.bits + jumps : INEXACT, most);
}

// There and back again through another type; exact values only, so that rounding is the same everywhere.
static void make_cast(maker *m) {
  static const ir_dtype floats[] = {IR_f16, IR_bf16, IR_f64}, ints[] = {IR_i8, IR_u8, IR_i16, IR_i64};
  entry x = pick(m);
  ir_dtype from = x.value->type.dtype, to = is_float(&x) ? IR_i32 : IR_f32;
  bool back = !m->options->only_f32 && from != IR_bool && chance(m, 40);
  if (!is_exact(&x)) return;
  if (back) to = is_float(&x) ? floats[below(m, 3)] : ints[below(m, 4)];
  ir_attr attr = ir_attr_dtype(IR_ATTR_dtype, to);
  ir_value *value = build(m, IR_OP_cast, &x.value, 1, &attr, 1);
  if (back) {
    attr = ir_attr_dtype(IR_ATTR_dtype, from);
    value = build(m, IR_OP_cast, &value, 1, &attr, 1);
  }
  bool integer = ir_dtype_is_int(value->type.dtype);
  keep(m, value, x.bits + 1, back && integer && x.most < 256 ? 256 : x.most + 1);
}

// A second operand for |x|: a pool value of suffix shape and the same dtype, else a small constant.
static entry partner(maker *m, const entry *x) {
  for (int i = 0; i < 8; i++) {
    entry y = pick(m);
    ir_type shape = {.dtype = IR_f32};
    bool fits = y.value->type.dtype == x->value->type.dtype && ir_suffix_shape(&x->value->type, &y.value->type, &shape);
    if (fits) return y;
  }
  double value = x->value->type.dtype == IR_bool ? chance(m, 50) : below(m, 9) - 4;
  if (is_float(x)) value /= 4;
  return (entry){ir_build_constant(m->function, value, x->value->type.dtype, (ir_loc){0}), INPUT_BITS, fabs(value)};
}

static void make_binary(maker *m, ir_op op) {
  entry x = pick(m), y;
  unsigned flags = ir_op_get_info(op)->flags;
  bool compares = op >= IR_OP_eq && op <= IR_OP_ge, integer = ir_dtype_is_int(x.value->type.dtype);
  if ((flags & IR_FLAG_FLOAT) && !is_float(&x)) return;
  y = partner(m, &x);
  if ((compares || op == IR_OP_mod) && (!is_exact(&x) || !is_exact(&y))) return;
  if (op == IR_OP_pow) {
    x = positive(m, tame(m, x, 3));
    y = tame(m, y, 2);
  }
  if ((op == IR_OP_div || op == IR_OP_mod || op == IR_OP_atan2) && is_float(&x)) y = positive(m, y);
  if (op == IR_OP_mod && is_float(&x) && x.bits + y.bits > 16) return;  // else x / y could round up to an integer
  if (op == IR_OP_mul && x.most * y.most > TAME) {
    x = tame(m, x, 1);
    y = tame(m, y, TAME);
  }
  if (op == IR_OP_mul && integer && x.most * y.most > 1e6) return;
  if ((op == IR_OP_add || op == IR_OP_sub) && integer && x.most + y.most > 1e6) return;
  ir_value *operands[2] = {x.value, y.value};
  if (chance(m, 30)) {
    operands[0] = y.value;
    operands[1] = x.value;
    if (op == IR_OP_pow || op == IR_OP_div || op == IR_OP_mod || op == IR_OP_atan2) return;
  }
  int bits = (x.bits > y.bits ? x.bits : y.bits) + 1;
  double most = x.most > y.most ? x.most : y.most;
  if (op == IR_OP_mul) bits = x.bits + y.bits, most = x.most * y.most;
  if (op == IR_OP_add || op == IR_OP_sub) bits++, most = x.most + y.most;
  if (op == IR_OP_div && !integer) bits = INEXACT;
  if (op == IR_OP_pow) bits = INEXACT, most = x.most * x.most;
  if (op == IR_OP_atan2) bits = INEXACT, most = 4;
  if (op == IR_OP_bit_and || op == IR_OP_bit_or || op == IR_OP_bit_xor) most = 2 * most + 1;
  if (compares || x.value->type.dtype == IR_bool) bits = 1, most = 1;
  keep(m, build(m, op, operands, 2, NULL, 0), bits, most);
}

static void make_select(maker *m) {
  entry c = pick(m);
  for (int i = 0; i < 8 && c.value->type.dtype != IR_bool; i++) c = pick(m);
  entry x = pick(m), y = partner(m, &x);
  ir_value *operands[3] = {c.value, x.value, y.value};
  if (c.value->type.dtype != IR_bool) return;
  keep(m, build(m, IR_OP_select, operands, 3, NULL, 0), (x.bits > y.bits ? x.bits : y.bits) + 1,
       x.most > y.most ? x.most : y.most);
}

// ---- reductions

static bool may_mix_rows(const maker *m) { return !m->grows && !m->options->no_seq_reduce; }

static void make_reduce(maker *m, ir_op op) {
  entry x = pick(m);
  int64_t axes[IR_MAX_RANK];
  int count = 0;
  const ir_type *type = &x.value->type;
  if ((ir_op_get_info(op)->flags & IR_FLAG_FLOAT) && !is_float(&x)) return;
  if (op == IR_OP_argmax && !is_exact(&x)) return;
  if (op == IR_OP_prod) x = tame(m, x, 1);
  if (op == IR_OP_prod && x.most > 1) return;
  if (op == IR_OP_sum || op == IR_OP_norm) x = tame(m, x, 2);
  if (op == IR_OP_logsumexp) x = tame(m, x, 8);
  if (x.most > 1e5) return;
  for (int axis = 0; axis < type->rank; axis++) {
    bool rows = type->dims[axis] == m->T;
    if (rows ? may_mix_rows(m) && chance(m, 25) : chance(m, 60)) axes[count++] = axis;
  }
  if (op == IR_OP_argmax && count > 1) axes[0] = axes[count - 1], count = 1;
  ir_attr attr = ir_attr_ints(IR_ATTR_over, axes, count);
  bool exact = op == IR_OP_sum || op == IR_OP_amax || op == IR_OP_amin || op == IR_OP_argmax;
  double most = x.most + 8;
  if (op == IR_OP_sum || op == IR_OP_norm) most = x.most * 64;
  keep(m, build(m, op, &x.value, 1, &attr, 1), exact ? x.bits + (op == IR_OP_sum ? 8 : 0) : INEXACT, most);
}

static void make_softmax(maker *m) {
  entry x = tame(m, pick(m), 16);
  const ir_type *type = &x.value->type;
  if (!is_float(&x) || type->rank == 0) return;
  int axis = below(m, type->rank);
  if (type->dims[axis] == m->T && !may_mix_rows(m)) return;
  ir_attr attr = ir_attr_int(IR_ATTR_axis, axis);
  keep(m, build(m, IR_OP_softmax, &x.value, 1, &attr, 1), INEXACT, 1);
}

// ---- along one axis

// Running values and order. Sums of rounded values could come out in another order than that of exact ones.
static void make_along(maker *m, ir_op op) {
  entry x = pick(m);
  const ir_type *type = &x.value->type;
  bool sums = op == IR_OP_cumsum, order = op == IR_OP_sort || op == IR_OP_argsort;
  if (type->rank == 0 || type->dtype == IR_bool || (order && !is_exact(&x))) return;
  if (sums) x = tame(m, x, 2);
  if (x.most > 1e5) return;
  int axis = below(m, type->rank);
  if (type->dims[axis] == m->T && !may_mix_rows(m)) return;
  ir_attr attrs[2] = {ir_attr_int(IR_ATTR_axis, axis), ir_attr_int(IR_ATTR_descending, chance(m, 50))};
  ir_value *value = build(m, op, &x.value, 1, attrs, order ? 2 : 1);
  keep(m, value, op == IR_OP_argsort ? INPUT_BITS : sums ? x.bits + 5 : x.bits, sums ? x.most * 16 : fmax(x.most, 12));
}

// ---- products

static ir_value *new_weight(maker *m, int rank, const ir_dim *dims) {
  // Parameters may be added at any time: they stand outside the list of nodes.
  const char *name = weir_arena_printf(m->module->arena, "w%d", m->function->param_count);
  return ir_function_add_param(m->function, IR_PARAM_WEIGHT, name, ir_type_make(IR_f32, rank, dims));
}

static entry make_linear_of(maker *m, entry x, int64_t outputs) {
  const ir_type *type = &x.value->type;
  ir_dim dims[2] = {number(m, outputs), type->dims[type->rank - 1]};
  int64_t inputs = 8;
  ir_dim_is_const(dims[1], &inputs);
  ir_value *operands[2] = {x.value, new_weight(m, 2, dims)};
  return (entry){build(m, IR_OP_linear, operands, 2, NULL, 0), x.bits + INPUT_BITS + 4, x.most * (double)inputs / 2};
}

static void make_linear(maker *m) {
  static const int64_t widths[] = {2, 3, 4, 8};
  entry x = tame(m, pick(m), 4);
  const ir_type *type = &x.value->type;
  if (type->dtype != IR_f32 || type->rank == 0 || type->dims[type->rank - 1] == m->T) return;
  x = make_linear_of(m, x, widths[below(m, 4)]);
  keep(m, x.value, x.bits, x.most);
}

static void make_matmul(maker *m) {
  entry a = tame(m, pick(m), 2), b = tame(m, pick(m), 2);
  for (int i = 0; i < 6 && (b.value->type.rank < 2 || mentions_rows(m, &b.value->type)); i++) b = tame(m, pick(m), 2);
  if (mentions_rows(m, &b.value->type)) return;
  ir_value *operands[2] = {a.value, b.value};
  keep(m, build(m, IR_OP_matmul, operands, 2, NULL, 0), a.bits + b.bits + 3, a.most * b.most * 8);
}

// |e| as [T, heads, size] through a linear layer.
static entry heads_of(maker *m, entry e, int64_t heads, int64_t size) {
  entry flat = make_linear_of(m, tame(m, e, 2), heads * size);
  ir_dim dims[3] = {m->T, number(m, heads), number(m, size)};
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, 3);
  flat.value = build(m, IR_OP_reshape, &flat.value, 1, &attr, 1);
  return flat;
}

// A pool value f32[T, n] into |out|; false, with |out| left alone, where none is found.
static bool pick_rows(maker *m, entry *out) {
  for (int i = 0; i < 16; i++) {
    entry e = pick(m);
    const ir_type *type = &e.value->type;
    if (type->dtype != IR_f32 || type->rank != 2 || type->dims[0] != m->T || !ir_dim_is_const(type->dims[1], NULL))
      continue;
    *out = e;
    return true;
  }
  return false;
}

static void make_rope(maker *m) {
  entry rows;
  if (!pick_rows(m, &rows)) return;
  entry x = heads_of(m, rows, 1 + below(m, 2), 4);
  ir_attr pos = ir_attr_dim(IR_ATTR_dim, m->T);
  ir_attr attrs[3] = {ir_attr_float(IR_ATTR_theta, 100), ir_attr_int(IR_ATTR_rotary, chance(m, 50) ? 4 : 2),
                      ir_attr_int(IR_ATTR_interleaved, chance(m, 50))};
  ir_value *operands[2] = {x.value, build(m, IR_OP_pos, NULL, 0, &pos, 1)};
  keep(m, build(m, IR_OP_rope, operands, 2, attrs, 3), INEXACT, 2 * x.most);
}

// Attention over this call's rows, or over the history in |keys| and |values| (null: none).
static void make_attend_of(maker *m, ir_value *keys, ir_value *values, entry rows, int64_t groups) {
  bool causal = keys || !may_mix_rows(m) || chance(m, 50);
  entry q = heads_of(m, rows, groups * (1 + below(m, 2)), 4);
  entry k = keys ? (entry){keys, INEXACT, 8} : heads_of(m, rows, groups, 4);
  entry v = values ? (entry){values, INEXACT, 8} : heads_of(m, rows, groups, 3);
  ir_attr attrs[3] = {ir_attr_int(IR_ATTR_causal, causal), ir_attr_int(IR_ATTR_window, causal && chance(m, 40) ? 3 : 0),
                      ir_attr_float(IR_ATTR_scale, 0.25)};
  ir_value *operands[3] = {q.value, k.value, v.value};
  keep(m, build(m, IR_OP_attend, operands, 3, attrs, 3), INEXACT, v.most);
}

static void make_attend(maker *m) {
  entry rows;
  if (pick_rows(m, &rows)) make_attend_of(m, NULL, NULL, rows, 1 + below(m, 2));
}

// ---- movement

static void make_gather(maker *m) {
  entry table = pick(m), index = pick(m);
  int64_t lo, hi, rows;
  if (table.value->type.rank == 0 || mentions_rows(m, &table.value->type)) return;
  if (!ir_dim_is_const(table.value->type.dims[0], &rows) || !ir_dtype_is_int(index.value->type.dtype)) return;
  if (index.value->type.dtype != IR_i32 || index.value->type.rank + table.value->type.rank > 4) return;
  if (ir_value_range(index.value, &lo, &hi) && (lo < 0 || hi >= rows)) {  // clamp(index, 0, rows - 1)
    ir_value *low[2] = {index.value, ir_build_constant(m->function, 0, IR_i32, (ir_loc){0})};
    ir_value *high[2] = {build(m, IR_OP_max, low, 2, NULL, 0),
                         ir_build_constant(m->function, (double)(rows - 1), IR_i32, (ir_loc){0})};
    index.value = build(m, IR_OP_min, high, 2, NULL, 0);
  }
  ir_value *operands[2] = {table.value, index.value};
  keep(m, build(m, IR_OP_gather, operands, 2, NULL, 0), table.bits, table.most);
}

// Merges two neighbouring dims or splits a constant one; T stays alone in front.
static void make_reshape(maker *m) {
  entry x = pick(m);
  const ir_type *type = &x.value->type;
  ir_dim dims[IR_MAX_RANK];
  int count = 0, first = mentions_rows(m, type), at = type->rank > first ? first + below(m, type->rank - first) : -1;
  int64_t size;
  if (at < 0) return;
  bool split = ir_dim_is_const(type->dims[at], &size) && size % 2 == 0 && type->rank < 4 && chance(m, 60);
  for (int i = 0; i < type->rank; i++) {
    if (i == at && split) {
      dims[count++] = number(m, 2);
      dims[count++] = number(m, size / 2);
    } else if (i == at && i + 1 < type->rank) {
      dims[count++] = ir_dim_mul(m->module->dims, type->dims[i], type->dims[i + 1]);
      i++;
    } else {
      dims[count++] = type->dims[i];
    }
  }
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, count);
  keep(m, build(m, IR_OP_reshape, &x.value, 1, &attr, 1), x.bits, x.most);
}

static void make_permute(maker *m) {
  entry x = pick(m);
  const ir_type *type = &x.value->type;
  int64_t perm[IR_MAX_RANK], first = mentions_rows(m, type);
  for (int i = 0; i < type->rank; i++) perm[i] = i;
  for (int i = type->rank - 1; i > first; i--) {
    int j = (int)first + below(m, i - (int)first + 1);
    int64_t swap = perm[i];
    perm[i] = perm[j];
    perm[j] = swap;
  }
  if (type->rank < first + 2) return;
  ir_attr attr = ir_attr_ints(IR_ATTR_perm, perm, type->rank);
  keep(m, build(m, IR_OP_permute, &x.value, 1, &attr, 1), x.bits, x.most);
}

static void make_slice(maker *m) {
  entry x = pick(m);
  const ir_type *type = &x.value->type;
  int64_t size;
  if (type->rank == 0) return;
  int axis = below(m, type->rank);
  if (!ir_dim_is_const(type->dims[axis], &size)) return;
  int64_t start = below(m, (int)size), stop = start + 1 + below(m, (int)(size - start));
  ir_attr attrs[3] = {ir_attr_int(IR_ATTR_axis, axis), ir_attr_dim(IR_ATTR_start, number(m, start)),
                      ir_attr_dim(IR_ATTR_stop, number(m, stop))};
  keep(m, build(m, IR_OP_slice, &x.value, 1, attrs, 3), x.bits, x.most);
}

static void make_concat(maker *m) {
  entry x = pick(m), y = chance(m, 30) ? x : pick(m);
  int rank = x.value->type.rank, first = mentions_rows(m, &x.value->type);
  if (rank <= first) return;
  ir_attr attr = ir_attr_int(IR_ATTR_axis, first + below(m, rank - first));
  ir_value *operands[3] = {x.value, y.value, x.value};
  keep(m, build(m, IR_OP_concat, operands, 2 + chance(m, 20), &attr, 1), (x.bits > y.bits ? x.bits : y.bits) + 1,
       x.most > y.most ? x.most : y.most);
}

static void make_broadcast(maker *m) {
  entry x = pick(m);
  const ir_type *type = &x.value->type;
  ir_dim dims[IR_MAX_RANK];
  if (type->rank > 2 || mentions_rows(m, type)) return;
  ir_dim leads[4] = {m->T, m->N, number(m, 2), number(m, 3)};
  dims[0] = leads[below(m, 4)];
  for (int i = 0; i < type->rank; i++) dims[i + 1] = type->dims[i];
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, type->rank + 1);
  keep(m, build(m, IR_OP_broadcast, &x.value, 1, &attr, 1), x.bits, x.most);
}

static void make_last(maker *m) {
  entry x = pick(m);
  if (mentions_rows(m, &x.value->type) && !m->grows) keep(m, build1(m, IR_OP_last, x.value), x.bits, x.most);
}

static void make_source(maker *m, ir_op op) {
  ir_dim dims[3] = {m->N, number(m, 4), m->T};
  int count = op == IR_OP_pos || (op == IR_OP_iota && m->grows) ? 1 : 2;
  ir_attr attr = ir_attr_dim(IR_ATTR_dim, op == IR_OP_pos ? m->T : dims[below(m, count)]);
  keep(m, build(m, op, NULL, 0, &attr, 1), 6, 20);
}

// ---- one round: an op of the table

bool random_module_makes(ir_op op) {
  static const ir_op others[] = {IR_OP_constant, IR_OP_pos,     IR_OP_iota,   IR_OP_size,   IR_OP_softmax,
                                 IR_OP_linear,   IR_OP_matmul,  IR_OP_attend, IR_OP_rope,   IR_OP_gather,
                                 IR_OP_reshape,  IR_OP_permute, IR_OP_slice,  IR_OP_concat, IR_OP_broadcast,
                                 IR_OP_last,     IR_OP_append,  IR_OP_call,   IR_OP_cumsum, IR_OP_cummax,
                                 IR_OP_cummin,   IR_OP_sort,    IR_OP_argsort};
  // Poles and edges, bits of floats, attributes of their own, no kernels before pass_expand.
  static const ir_op never[] = {IR_OP_tan,        IR_OP_asin,       IR_OP_acos,    IR_OP_acosh,    IR_OP_atanh,
                                IR_OP_is_nan,     IR_OP_is_inf,     IR_OP_bit_not, IR_OP_saturate, IR_OP_fits,
                                IR_OP_bitcast,    IR_OP_random,     IR_OP_any,     IR_OP_all,      IR_OP_argmin,
                                IR_OP_shift_left, IR_OP_shift_right};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    if (others[i] == op) return true;
  }
  for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
    if (never[i] == op) return false;
  }
  return ir_op_get_info(op)->flags & (IR_FLAG_REDUCE | IR_FLAG_EW);
}

static ir_op pick_op(maker *m) {
  ir_op ops[IR_OP_COUNT];
  int count = 0;
  for (int op = 0; op < IR_OP_COUNT; op++) {
    if (random_module_makes((ir_op)op)) ops[count++] = (ir_op)op;
  }
  return ops[below(m, count)];
}

static void make_node(maker *m) {
  ir_op op = pick_op(m);
  const ir_op_info *info = ir_op_get_info(op);
  switch (op) {
    case IR_OP_constant: {
      double value = (below(m, 17) - 8) / 4.0;
      keep(m, ir_build_constant(m->function, value, IR_f32, (ir_loc){0}), INPUT_BITS, fabs(value));
      break;
    }
    case IR_OP_pos:
    case IR_OP_iota:
    case IR_OP_size:
      make_source(m, op);
      break;
    case IR_OP_cast:
      make_cast(m);
      break;
    case IR_OP_select:
      make_select(m);
      break;
    case IR_OP_softmax:
      make_softmax(m);
      break;
    case IR_OP_cumsum:
    case IR_OP_cummax:
    case IR_OP_cummin:
    case IR_OP_sort:
    case IR_OP_argsort:
      make_along(m, op);
      break;
    case IR_OP_linear:
      make_linear(m);
      break;
    case IR_OP_matmul:
      make_matmul(m);
      break;
    case IR_OP_attend:
      make_attend(m);
      break;
    case IR_OP_rope:
      make_rope(m);
      break;
    case IR_OP_gather:
      make_gather(m);
      break;
    case IR_OP_reshape:
      make_reshape(m);
      break;
    case IR_OP_permute:
      make_permute(m);
      break;
    case IR_OP_slice:
      make_slice(m);
      break;
    case IR_OP_concat:
      make_concat(m);
      break;
    case IR_OP_broadcast:
      make_broadcast(m);
      break;
    case IR_OP_last:
      make_last(m);
      break;
    default:
      if (info->flags & IR_FLAG_REDUCE) make_reduce(m, op);
      else if ((info->flags & IR_FLAG_EW) && info->operands == 1) make_unary(m, op);
      else if (info->flags & IR_FLAG_EW) make_binary(m, op);
  }
}

static int node_total(const ir_function *function) {
  int count = 0;
  for (const ir_node *node = function->first; node; node = node->next) count++;
  return count;
}

static void make_nodes(maker *m, int node_count) {
  for (int round = 0; round < 40 * node_count && node_total(m->function) < node_count; round++) make_node(m);
}

// ---- functions

static void add_input(maker *m, const char *name, ir_dtype dtype, int rank, ir_dim a, ir_dim b) {
  ir_dim dims[2] = {a, b};
  ir_value *value = ir_function_add_param(m->function, IR_PARAM_INPUT, name, ir_type_make(dtype, rank, dims));
  value->name = weir_arena_strdup(m->module->arena, name);
  if (dtype == IR_i32) {
    value->lo = 0;
    value->hi = 6;
  }
  keep(m, value, INPUT_BITS, dtype == IR_i32 ? 6 : 2);
}

static void add_weight(maker *m, int64_t rows, int64_t columns) {
  ir_dim dims[2] = {number(m, rows), number(m, columns)};
  keep(m, new_weight(m, 2, dims), INPUT_BITS, 0.5);
}

// A block (x: f32[T, 8]) -> f32[T, 4] of a few nodes.
static ir_function *make_block(maker *m, int index) {
  m->function = ir_function_create(m->module, IR_FUNCTION_BLOCK, weir_arena_printf(m->module->arena, "Block%d", index));
  m->count = 0;
  add_input(m, "x", IR_f32, 2, m->T, number(m, 8));
  add_weight(m, 3, 8);
  make_nodes(m, 3 + below(m, 8));
  entry rows = m->pool[0];
  pick_rows(m, &rows);
  ir_function_add_result(m->function, "", make_linear_of(m, tame(m, rows, 2), 4).value, -1);
  return m->function;
}

static void call_block(maker *m, ir_function *callee) {
  entry rows;
  ir_value *operands[64];
  if (!pick_rows(m, &rows) || callee->param_count > 64) return;
  rows = tame(m, rows, 2);
  operands[0] = make_linear_of(m, rows, 8).value;
  operands[0] = build1(m, IR_OP_tanh, operands[0]);
  for (int i = 1; i < callee->param_count; i++) {
    const ir_type *type = &callee->params[i].value->type;
    operands[i] = new_weight(m, type->rank, type->dims);
  }
  ir_node *node = ir_build_call(m->function, callee, operands, callee->param_count, (ir_loc){0}, NULL);
  if (node) keep(m, node->results[0], INEXACT, 16);
}

// Keys and values over the rows so far, attended to; and a state of fixed shape.
static void make_states(maker *m) {
  int64_t groups = 1 + below(m, 2);
  entry rows;
  if (!pick_rows(m, &rows)) return;
  ir_value *histories[2];
  for (int i = 0; i < 2; i++) {
    entry fresh = heads_of(m, rows, groups, i ? 3 : 4);
    ir_dim dims[3] = {m->past, number(m, groups), number(m, i ? 3 : 4)};
    ir_value *state =
        ir_function_add_param(m->function, IR_PARAM_STATE, i ? "values" : "keys", ir_type_make(IR_f32, 3, dims));
    int index = m->function->param_count - 1;
    m->function->params[index].rows = true;
    ir_value *operands[2] = {state, fresh.value};
    histories[i] = build(m, IR_OP_append, operands, 2, NULL, 0);
    ir_function_add_result(m->function, i ? "values" : "keys", histories[i], index);
  }
  make_attend_of(m, histories[0], histories[1], rows, groups);
  ir_dim four = number(m, 4);
  ir_value *carry = ir_function_add_param(m->function, IR_PARAM_STATE, "carry", ir_type_make(IR_f32, 1, &four));
  int index = m->function->param_count - 1;
  m->function->params[index].init = "0";
  ir_value *sum[2] = {carry, build1(m, IR_OP_last, make_linear_of(m, tame(m, rows, 2), 4).value)};
  ir_value *next = build1(m, IR_OP_tanh, build(m, IR_OP_add, sum, 2, NULL, 0));
  ir_function_add_result(m->function, "carry", next, index);
}

// The values nobody used yet, up to four, the latest first.
static void add_results(maker *m) {
  int count = 0;
  for (int i = m->count - 1; i >= 0 && count < 4; i--) {
    ir_value *value = m->pool[i].value;
    if (!value->def || ir_value_use_count(m->function, value)) continue;
    ir_function_add_result(m->function, weir_arena_printf(m->module->arena, "y%d", count++), value, -1);
  }
  if (!count) ir_function_add_result(m->function, "y0", m->pool[m->count - 1].value, -1);
}

static void make_symbols(maker *m, bool grows) {
  ir_symbol *T = ir_symbol_get(m->module->dims, "T"), *N = ir_symbol_get(m->module->dims, "N");
  T->role = IR_ROLE_SEQ;
  T->hi = grows ? 18 : 12;
  N->hi = 5;
  m->T = ir_dim_symbol(m->module->dims, T);
  m->N = ir_dim_symbol(m->module->dims, N);
  if (grows) m->past = ir_dim_symbol(m->module->dims, ir_symbol_past(m->module->dims, T));
}

ir_function *random_module_create_with(ir_module *module, uint64_t seed, int node_count,
                                       const random_module_options *options) {
  maker *m = WEIR_NEW(module->arena, maker);
  *m = (maker){.state = seed, .module = module, .options = options};
  m->grows = !options->no_states && below(m, 3) == 0;
  make_symbols(m, m->grows);
  ir_function *blocks[2] = {NULL, NULL};
  for (int i = 0; i < 1 + below(m, 2) && !options->no_calls; i++) blocks[i] = make_block(m, i);
  m->function = ir_function_create(module, m->grows ? IR_FUNCTION_STEP : IR_FUNCTION_ENTRY, "main");
  m->count = 0;
  add_input(m, "x", IR_f32, 2, m->T, number(m, 8));
  add_input(m, "y", IR_f32, 2, m->T, number(m, 4));
  add_input(m, "tokens", IR_i32, 1, m->T, NULL);
  add_input(m, "extra", IR_f32, 2, m->N, number(m, 4));
  add_weight(m, 7, 8);
  add_weight(m, 8, 4);
  make_nodes(m, node_count / 2);
  for (int i = 0; i < 2; i++) {
    for (int calls = 1 + below(m, 2); blocks[i] && calls; calls--) call_block(m, blocks[i]);
  }
  if (m->grows) make_states(m);
  make_nodes(m, node_count);
  add_results(m);
  ir_function_renumber(m->function);
  for (int i = 0; i < 2; i++) {
    if (blocks[i]) ir_function_renumber(blocks[i]);
  }
  return m->function;
}

ir_function *random_module_create(ir_module *module, uint64_t seed, int node_count) {
  random_module_options options = {0};
  return random_module_create_with(module, seed, node_count, &options);
}

// ---- arguments

void random_module_keep(const ir_module *module, int64_t *sizes) {
  for (int i = 0; i < ir_symbol_count(module->dims); i++) {
    const ir_symbol *symbol = ir_symbol_at(module->dims, i);
    if (!symbol->kept_of) continue;
    int64_t past = sizes[symbol->kept_of->past->index];
    sizes[i] = past < symbol->hi ? past : symbol->hi;
  }
}

void random_module_sizes(const ir_module *module, uint64_t seed, int64_t *sizes) {
  uint64_t state = seed ^ 0xA5A5A5A5u;
  for (int i = 0; i < ir_symbol_count(module->dims); i++) {
    const ir_symbol *symbol = ir_symbol_at(module->dims, i);
    bool past = strstr(symbol->name, ".past") != NULL;
    int64_t hi = past ? 6 : symbol->hi > 12 ? 12 : symbol->hi;
    sizes[i] = symbol->lo + (int64_t)(next_random(&state) % (uint64_t)(hi - symbol->lo + 1));
    sizes[i] -= sizes[i] % symbol->divisor;
  }
  random_module_keep(module, sizes);
}

void random_module_args(weir_arena *arena, const ir_function *function, uint64_t seed, const int64_t *sizes,
                        ir_tensor *args) {
  uint64_t state = seed ^ 0x5A5A5A5Au;
  for (int i = 0; i < function->param_count; i++) {
    const ir_param *param = &function->params[i];
    const ir_type *type = &param->value->type;
    args[i] = (ir_tensor){.dtype = type->dtype, .rank = type->rank};
    int64_t count = 1;
    for (int j = 0; j < type->rank; j++) {
      if (!ir_dim_eval(type->dims[j], sizes, &args[i].dims[j])) return;
      count *= args[i].dims[j];
    }
    args[i].data = WEIR_NEW_ARRAY(arena, double, count);
    int64_t most = param->value->hi, below;
    if (param->value->below && ir_dim_eval(param->value->below, sizes, &below) && below <= most) most = below - 1;
    for (int64_t j = 0; j < count; j++) {
      int64_t draw = (int64_t)(next_random(&state) >> 8);
      if (type->dtype == IR_bool) args[i].data[j] = (double)(draw % 2);
      else if (ir_dtype_is_int(type->dtype) && param->value->lo > most) args[i].data[j] = (double)(draw % 17 - 8);
      else if (ir_dtype_is_int(type->dtype))
        args[i].data[j] = (double)(param->value->lo + draw % (most - param->value->lo + 1));
      else if (param->kind == IR_PARAM_WEIGHT) args[i].data[j] = (double)(draw % 9 - 4) / 8;
      else args[i].data[j] = (double)(draw % 17 - 8) / 4;
    }
  }
}
