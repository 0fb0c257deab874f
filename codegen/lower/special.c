// Scalar formulas of the less common elementwise ops, over the operations that kernels have. Results are those of the
// graph's reference to a few units in the last place of f32: functions that lose digits near a point are written so
// that they do not (log1p and expm1 by Kahan's quotients, what builds on them through those).
#include <math.h>

#include "codegen/lower/internal.h"

typedef const ir_kexpr *expr;

static expr op1(emitter *e, ir_kop op, expr x) { return ir_kb_op(&e->b, op, x->type, x, NULL, NULL); }
static expr op2(emitter *e, ir_kop op, expr x, expr y) { return ir_kb_op(&e->b, op, x->type, x, y, NULL); }
static expr add(emitter *e, expr x, expr y) { return ir_kb_add(&e->b, x, y); }
static expr sub(emitter *e, expr x, expr y) { return ir_kb_sub(&e->b, x, y); }
static expr mul(emitter *e, expr x, expr y) { return ir_kb_mul(&e->b, x, y); }
static expr quotient(emitter *e, expr x, expr y) { return ir_kb_div(&e->b, x, y); }
static expr number(emitter *e, expr like, double value) { return ir_kb_const(&e->b, like->type, value); }

static expr test(emitter *e, ir_kop op, expr x, expr y) { return ir_kb_op(&e->b, op, IR_KT_bool, x, y, NULL); }
static expr choose(emitter *e, expr condition, expr x, expr y) {
  return ir_kb_op(&e->b, IR_K_select, x->type, condition, x, y);
}
static expr is(emitter *e, expr x, double value) { return test(e, IR_K_eq, x, number(e, x, value)); }

// The sign of |x| on |magnitude|, which is that of an odd function at |x|'s absolute value.
static expr signed_as(emitter *e, expr x, expr magnitude) {
  return choose(e, test(e, IR_K_lt, x, number(e, x, 0)), op1(e, IR_K_neg, magnitude), magnitude);
}

// ---- exponentials and logarithms

// (u - 1) x / log(u) with u = exp(x): the errors of numerator and denominator cancel.
static expr expm1_of(emitter *e, expr x) {
  expr u = op1(e, IR_K_exp, x), less = sub(e, u, number(e, x, 1));
  expr value = quotient(e, mul(e, less, x), op1(e, IR_K_log, u));
  value = choose(e, is(e, u, INFINITY), u, value);
  value = choose(e, is(e, less, -1), less, value);
  return choose(e, is(e, u, 1), x, value);
}

// log(u) x / (u - 1) with u = 1 + x.
static expr log1p_of(emitter *e, expr x) {
  expr u = add(e, number(e, x, 1), x);
  expr value = quotient(e, mul(e, op1(e, IR_K_log, u), x), sub(e, u, number(e, x, 1)));
  value = choose(e, is(e, u, INFINITY), u, value);
  return choose(e, is(e, u, 1), x, value);
}

static expr sinh_of(emitter *e, expr x) {
  expr u = expm1_of(e, op1(e, IR_K_abs, x));
  expr both = add(e, u, quotient(e, u, add(e, u, number(e, x, 1))));
  both = choose(e, is(e, u, INFINITY), u, both);
  return signed_as(e, x, mul(e, number(e, x, 0.5), both));
}

static expr cosh_of(emitter *e, expr x) {
  expr u = op1(e, IR_K_exp, op1(e, IR_K_abs, x));
  return mul(e, number(e, x, 0.5), add(e, u, quotient(e, number(e, x, 1), u)));
}

// log(2 x) where x^2 + 1 is x^2 and may overflow.
static expr log_twice(emitter *e, expr x) { return add(e, op1(e, IR_K_log, x), number(e, x, log(2))); }

static expr asinh_of(emitter *e, expr x) {
  expr a = op1(e, IR_K_abs, x), square = mul(e, a, a), one = number(e, x, 1);
  expr root = op1(e, IR_K_sqrt, add(e, square, one));
  expr near = log1p_of(e, add(e, a, quotient(e, square, add(e, one, root))));
  return signed_as(e, x, choose(e, test(e, IR_K_gt, a, number(e, x, 1e10)), log_twice(e, a), near));
}

static expr acosh_of(emitter *e, expr x) {
  expr t = sub(e, x, number(e, x, 1));
  expr root = op1(e, IR_K_sqrt, mul(e, t, add(e, t, number(e, x, 2))));
  return choose(e, test(e, IR_K_gt, x, number(e, x, 1e10)), log_twice(e, x), log1p_of(e, add(e, t, root)));
}

static expr atanh_of(emitter *e, expr x) {
  expr a = op1(e, IR_K_abs, x);
  expr value = log1p_of(e, quotient(e, mul(e, number(e, x, 2), a), sub(e, number(e, x, 1), a)));
  return signed_as(e, x, mul(e, number(e, x, 0.5), value));
}

// Chebyshev coefficients of Numerical Recipes' erfc: 1.2e-7 of the value, however small it is.
static expr erfc_of(emitter *e, expr x) {
  static const double c[] = {-1.26551223, 1.00002368,  0.37409196, 0.09678418,  -0.18628806,
                             0.27886807,  -1.13520398, 1.48851587, -0.82215223, 0.17087277};
  expr a = op1(e, IR_K_abs, x), one = number(e, x, 1);
  expr t = quotient(e, one, add(e, one, mul(e, number(e, x, 0.5), a))), sum = number(e, x, c[9]);
  for (int i = 8; i >= 0; i--) sum = add(e, mul(e, sum, t), number(e, x, c[i]));
  expr far = mul(e, t, op1(e, IR_K_exp, sub(e, sum, mul(e, a, a))));
  far = choose(e, is(e, a, INFINITY), number(e, x, 0), far);
  far = choose(e, test(e, IR_K_lt, x, number(e, x, 0)), sub(e, number(e, x, 2), far), far);
  expr near = sub(e, one, op1(e, IR_K_erf, x));
  return choose(e, test(e, IR_K_lt, a, number(e, x, 0.5)), near, far);
}

// ---- angles

static expr polynomial(emitter *e, expr z, const double *c, int count) {
  expr sum = number(e, z, c[0]);
  for (int i = 1; i < count; i++) sum = add(e, mul(e, sum, z), number(e, z, c[i]));
  return sum;
}

// Cephes' rational function on [-0.66, 0.66]; larger arguments by the identities of arctangents.
static expr atan_of(emitter *e, expr x) {
  static const double p[] = {-8.750608600031904122785e-1, -1.615753718733365076637e1, -7.500855792314704667340e1,
                             -1.228866684490136173410e2, -6.485021904942025371773e1};
  static const double q[] = {1,
                             2.485846490142306297962e1,
                             1.650270098316988542046e2,
                             4.328810604912902668951e2,
                             4.853903996359136964868e2,
                             1.945506571482613964425e2};
  expr a = op1(e, IR_K_abs, x), one = number(e, x, 1);
  expr large = test(e, IR_K_gt, a, number(e, x, 2.414213562373095)), middle = test(e, IR_K_gt, a, number(e, x, 0.66));
  expr turned = quotient(e, number(e, x, -1), a), shifted = quotient(e, sub(e, a, one), add(e, a, one));
  expr reduced = choose(e, large, turned, choose(e, middle, shifted, a));
  expr base = choose(e, large, number(e, x, M_PI / 2), choose(e, middle, number(e, x, M_PI / 4), number(e, x, 0)));
  expr z = mul(e, reduced, reduced);
  expr ratio = quotient(e, mul(e, z, polynomial(e, z, p, 5)), polynomial(e, z, q, 6));
  return signed_as(e, x, add(e, base, add(e, mul(e, reduced, ratio), reduced)));
}

static expr asin_of(emitter *e, expr x) {
  expr one = number(e, x, 1);
  return atan_of(e, quotient(e, x, op1(e, IR_K_sqrt, mul(e, sub(e, one, x), add(e, one, x)))));
}

static expr acos_of(emitter *e, expr x) {
  expr one = number(e, x, 1);
  expr half = atan_of(e, op1(e, IR_K_sqrt, quotient(e, sub(e, one, x), add(e, one, x))));
  return mul(e, number(e, x, 2), half);
}

static expr atan2_of(emitter *e, expr y, expr x) {
  expr zero = number(e, x, 0), pi = number(e, x, M_PI);
  expr angle = atan_of(e, quotient(e, y, x));
  angle = choose(e, op2(e, IR_K_and, is(e, x, 0), is(e, y, 0)), zero, angle);
  expr turn = choose(e, test(e, IR_K_lt, y, zero), op1(e, IR_K_neg, pi), pi);
  return choose(e, test(e, IR_K_lt, x, zero), add(e, angle, turn), angle);
}

// ---- integers and bits

static expr sign_of(emitter *e, expr x) {
  expr zero = number(e, x, 0);
  expr negative = choose(e, test(e, IR_K_lt, x, zero), number(e, x, -1), x);
  return choose(e, test(e, IR_K_gt, x, zero), number(e, x, 1), negative);
}

static expr shift(emitter *e, ir_kop op, expr x, expr y) {
  int width = 8 * ir_ktype_bytes(x->type);
  expr zero = number(e, x, 0), last = number(e, x, width - 1);
  expr inside = op2(e, IR_K_and, test(e, IR_K_ge, y, zero), test(e, IR_K_le, y, last));
  expr by = op2(e, IR_K_min, op2(e, IR_K_max, y, zero), last);
  return choose(e, inside, op2(e, op, x, by), zero);
}

static double type_end(ir_dtype dtype, bool high) {
  int bits = 8 * ir_dtype_bytes(dtype);
  if (dtype == IR_u8) return high ? 255 : 0;
  return high ? ldexp(1, bits - 1) - 1 : -ldexp(1, bits - 1);
}

static expr saturate(emitter *e, expr x, ir_dtype dtype) {
  if (ir_ktype_is_float(x->type) || dtype == IR_i64) return ir_kb_cast(&e->b, (ir_ktype)dtype, x);
  expr wide = ir_kb_cast(&e->b, IR_KT_i64, x);
  wide = op2(e, IR_K_max, wide, number(e, wide, type_end(dtype, false)));
  wide = op2(e, IR_K_min, wide, number(e, wide, type_end(dtype, true)));
  return ir_kb_cast(&e->b, (ir_ktype)dtype, wide);
}

static expr fits(emitter *e, expr x, ir_dtype dtype) {
  if (!ir_ktype_is_float(x->type)) {
    if (dtype == IR_i64) return ir_kb_const(&e->b, IR_KT_bool, 1);
    expr wide = ir_kb_cast(&e->b, IR_KT_i64, x);
    return op2(e, IR_K_and, test(e, IR_K_ge, wide, number(e, wide, type_end(dtype, false))),
               test(e, IR_K_le, wide, number(e, wide, type_end(dtype, true))));
  }
  // The end itself may be no float: one beyond it is a power of two.
  double beyond = dtype == IR_u8 ? 256 : ldexp(1, 8 * ir_dtype_bytes(dtype) - 1);
  expr inside = op2(e, IR_K_and, test(e, IR_K_ge, x, number(e, x, type_end(dtype, false))),
                    test(e, IR_K_lt, x, number(e, x, beyond)));
  return op2(e, IR_K_and, inside, test(e, IR_K_eq, x, op1(e, IR_K_floor, x)));
}

static expr bitcast(emitter *e, const ir_node *node, expr x) {
  ir_dtype from = node->operands[0]->type.dtype, to = node->results[0]->type.dtype;
  bool small = from == IR_f16 || from == IR_bf16 || to == IR_f16 || to == IR_bf16;
  if (small) e->unsupported = "bitcast of f16 and bf16";
  return small ? number(e, x, 0) : ir_kb_op(&e->b, IR_K_bitcast, (ir_ktype)to, x, NULL, NULL);
}

// Threefry-2x32 with 20 rounds, as ir/eval_bits.c has it.
static expr random_of(emitter *e, expr key, expr counter) {
  static const int rotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  ir_kbuilder *b = &e->b;
  expr zero = ir_kb_const(b, IR_KT_u32, 0), first = ir_kb_cast(b, IR_KT_u32, key);
  expr keys[3] = {first, zero, op2(e, IR_K_xor, first, ir_kb_const(b, IR_KT_u32, 0x1BD11BDA))};
  expr x = add(e, ir_kb_cast(b, IR_KT_u32, counter), keys[0]), y = keys[1];
  for (int round = 0; round < 20; round++) {
    int by = rotations[round % 8];
    x = add(e, x, y);
    expr turned = op2(e, IR_K_or, op2(e, IR_K_shl, y, ir_kb_const(b, IR_KT_u32, by)),
                      op2(e, IR_K_shr, y, ir_kb_const(b, IR_KT_u32, 32 - by)));
    y = ir_kb_let(b, "y", op2(e, IR_K_xor, turned, x));
    x = ir_kb_let(b, "x", x);
    if (round % 4 != 3) continue;
    int inject = round / 4 + 1;
    x = add(e, x, keys[inject % 3]);
    y = add(e, add(e, y, keys[(inject + 1) % 3]), ir_kb_const(b, IR_KT_u32, inject));
  }
  expr bits = ir_kb_cast(b, IR_KT_i32, op2(e, IR_K_shr, x, ir_kb_const(b, IR_KT_u32, 8)));
  return mul(e, ir_kb_cast(b, IR_KT_f32, bits), ir_kb_const(b, IR_KT_f32, 0x1p-24));
}

// ---- the table

const ir_kexpr *cg_emit_special(emitter *e, const ir_node *node, const ir_kexpr *const *x) {
  const ir_attr *dtype = ir_node_attr(node, IR_ATTR_dtype);
  switch (node->op) {
    case IR_OP_tan:
      return quotient(e, op1(e, IR_K_sin, x[0]), op1(e, IR_K_cos, x[0]));
    case IR_OP_asin:
      return asin_of(e, x[0]);
    case IR_OP_acos:
      return acos_of(e, x[0]);
    case IR_OP_atan:
      return atan_of(e, x[0]);
    case IR_OP_atan2:
      return atan2_of(e, x[0], x[1]);
    case IR_OP_sinh:
      return sinh_of(e, x[0]);
    case IR_OP_cosh:
      return cosh_of(e, x[0]);
    case IR_OP_asinh:
      return asinh_of(e, x[0]);
    case IR_OP_acosh:
      return acosh_of(e, x[0]);
    case IR_OP_atanh:
      return atanh_of(e, x[0]);
    case IR_OP_exp2:
      return op2(e, IR_K_pow, number(e, x[0], 2), x[0]);
    case IR_OP_log2:
      return mul(e, op1(e, IR_K_log, x[0]), number(e, x[0], 1 / log(2)));
    case IR_OP_log1p:
      return log1p_of(e, x[0]);
    case IR_OP_expm1:
      return expm1_of(e, x[0]);
    case IR_OP_erfc:
      return erfc_of(e, x[0]);
    case IR_OP_sign:
      return sign_of(e, x[0]);
    case IR_OP_trunc:
      return choose(e, test(e, IR_K_lt, x[0], number(e, x[0], 0)), op1(e, IR_K_ceil, x[0]), op1(e, IR_K_floor, x[0]));
    case IR_OP_is_nan:
      return test(e, IR_K_ne, x[0], x[0]);
    case IR_OP_is_inf:
      return is(e, op1(e, IR_K_abs, x[0]), INFINITY);
    case IR_OP_bit_not:
      return op1(e, IR_K_not, x[0]);
    case IR_OP_bit_and:
      return op2(e, IR_K_and, x[0], x[1]);
    case IR_OP_bit_or:
      return op2(e, IR_K_or, x[0], x[1]);
    case IR_OP_xor:
    case IR_OP_bit_xor:
      return op2(e, IR_K_xor, x[0], x[1]);
    case IR_OP_shift_left:
      return shift(e, IR_K_shl, x[0], x[1]);
    case IR_OP_shift_right:
      return shift(e, IR_K_shr, x[0], x[1]);
    case IR_OP_saturate:
      return saturate(e, x[0], dtype->dtype);
    case IR_OP_fits:
      return fits(e, x[0], dtype->dtype);
    case IR_OP_bitcast:
      return bitcast(e, node, x[0]);
    case IR_OP_random:
      return random_of(e, x[0], x[1]);
    case IR_OP_with_grad:
      return x[0];
    default:
      return NULL;
  }
}
