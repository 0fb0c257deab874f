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
// A step that several others use: expressions are trees where they are walked.
static expr step(emitter *e, const char *name, expr x) { return ir_kb_let(&e->b, name, x); }
static expr is(emitter *e, expr x, double value) { return test(e, IR_K_eq, x, number(e, x, value)); }

// An odd function at |x| from its |magnitude| at the absolute value; zeros keep their sign.
static expr signed_as(emitter *e, expr x, expr magnitude) {
  expr turned = choose(e, test(e, IR_K_lt, x, number(e, x, 0)), op1(e, IR_K_neg, magnitude), magnitude);
  return choose(e, is(e, x, 0), x, turned);
}

// ---- exponentials and logarithms

// (u - 1) x / log(u) with u = exp(x): the errors of numerator and denominator cancel.
static expr expm1_of(emitter *e, expr x) {
  expr u = step(e, "u", op1(e, IR_K_exp, x)), less = step(e, "less", sub(e, u, number(e, x, 1)));
  expr value = mul(e, less, quotient(e, x, op1(e, IR_K_log, u)));
  value = choose(e, is(e, u, INFINITY), u, value);
  value = choose(e, is(e, less, -1), less, value);
  return choose(e, is(e, u, 1), x, value);
}

// log(u) x / (u - 1) with u = 1 + x.
const ir_kexpr *cg_emit_log1p(emitter *e, const ir_kexpr *x) {
  expr u = step(e, "u", add(e, number(e, x, 1), x));
  expr value = mul(e, op1(e, IR_K_log, u), quotient(e, x, sub(e, u, number(e, x, 1))));
  value = choose(e, is(e, u, INFINITY), u, value);
  return choose(e, is(e, u, 1), x, value);
}

// exp(a) / 2 where exp(a) may overflow, else |value|.
static expr half_exp_beyond(emitter *e, expr a, expr value) {
  expr half = number(e, a, 0.5), root = step(e, "root", op1(e, IR_K_exp, mul(e, half, a)));
  expr far = test(e, IR_K_gt, a, number(e, a, a->type == IR_KT_f64 ? 700 : 80));
  return choose(e, far, mul(e, mul(e, half, root), root), value);
}

static expr sinh_of(emitter *e, expr x) {
  expr a = op1(e, IR_K_abs, x), u = step(e, "u", expm1_of(e, a));
  expr both = add(e, u, quotient(e, u, add(e, u, number(e, x, 1))));
  return signed_as(e, x, half_exp_beyond(e, a, mul(e, number(e, x, 0.5), both)));
}

static expr cosh_of(emitter *e, expr x) {
  expr a = op1(e, IR_K_abs, x), u = step(e, "u", op1(e, IR_K_exp, a));
  return half_exp_beyond(e, a, mul(e, number(e, x, 0.5), add(e, u, quotient(e, number(e, x, 1), u))));
}

// log(2 x) where x^2 + 1 is x^2 and may overflow.
static expr log_twice(emitter *e, expr x) { return add(e, op1(e, IR_K_log, x), number(e, x, log(2))); }

static expr asinh_of(emitter *e, expr x) {
  expr a = op1(e, IR_K_abs, x), square = mul(e, a, a), one = number(e, x, 1);
  expr root = op1(e, IR_K_sqrt, add(e, square, one));
  expr near = cg_emit_log1p(e, step(e, "t", add(e, a, quotient(e, square, add(e, one, root)))));
  return signed_as(e, x, choose(e, test(e, IR_K_gt, a, number(e, x, 1e10)), log_twice(e, a), near));
}

static expr acosh_of(emitter *e, expr x) {
  expr t = sub(e, x, number(e, x, 1));
  expr root = op1(e, IR_K_sqrt, mul(e, t, add(e, t, number(e, x, 2))));
  expr value = choose(e, test(e, IR_K_gt, x, number(e, x, 1e10)), log_twice(e, x),
                      cg_emit_log1p(e, step(e, "t", add(e, t, root))));
  return choose(e, test(e, IR_K_lt, x, number(e, x, 1)), number(e, x, NAN), value);
}

static expr atanh_of(emitter *e, expr x) {
  expr a = op1(e, IR_K_abs, x);
  expr value = cg_emit_log1p(e, step(e, "t", quotient(e, mul(e, number(e, x, 2), a), sub(e, number(e, x, 1), a))));
  return signed_as(e, x, mul(e, number(e, x, 0.5), value));
}

static expr polynomial(emitter *e, expr z, const double *c, int count) {
  expr sum = number(e, z, c[0]);
  for (int i = 1; i < count; i++) sum = add(e, mul(e, sum, z), number(e, z, c[i]));
  return sum;
}

// exp(-a^2) without the error of a^2: a = m + d, m so short that its square is exact.
static expr exp_of_square(emitter *e, expr a) {
  expr m = step(e, "m", mul(e, op1(e, IR_K_round, mul(e, a, number(e, a, 16))), number(e, a, 0.0625)));
  expr d = step(e, "d", sub(e, a, m));
  expr rest = mul(e, d, add(e, add(e, m, m), d));
  return mul(e, op1(e, IR_K_exp, op1(e, IR_K_neg, mul(e, m, m))), op1(e, IR_K_exp, op1(e, IR_K_neg, rest)));
}

// Cephes' rational functions: the first serves f32 throughout, f64 from 1 to 8.
static expr erfc_of(emitter *e, expr x) {
  static const double p[] = {2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687,
                             4.86371970985681366614e1,   1.96520832956077098242e2,  5.26445194995477358631e2,
                             9.34528527171957607540e2,   1.02755188689515710272e3,  5.57535335369399327526e2};
  static const double q[] = {1,
                             1.32281951154744992508e1,
                             8.67072140885989742329e1,
                             3.54937778887819891062e2,
                             9.75708501743205489753e2,
                             1.82390916687909736289e3,
                             2.24633760818710981792e3,
                             1.65666309194161350182e3,
                             5.57535340817727675546e2};
  static const double r[] = {5.64189583547755073984e-1, 1.27536670759978104416, 5.01905042251180477414,
                             6.16021097993053585195,    7.40974269950448939160, 2.97886665372100240670};
  static const double s[] = {1,
                             2.26052863220117276590,
                             9.39603524938001434673,
                             1.20489539808096656605e1,
                             1.70814450747565897222e1,
                             9.60896809063285878198,
                             3.36907645100081516050};
  bool wide = x->type == IR_KT_f64;
  expr a = op1(e, IR_K_abs, x), one = number(e, x, 1), in = op2(e, IR_K_min, a, number(e, x, wide ? 28 : 11));
  expr ratio = quotient(e, polynomial(e, in, p, 9), polynomial(e, in, q, 9));
  if (wide) {
    expr beyond = quotient(e, polynomial(e, in, r, 6), polynomial(e, in, s, 7));
    ratio = choose(e, test(e, IR_K_ge, in, number(e, x, 8)), beyond, ratio);
  }
  expr far = step(e, "far", mul(e, exp_of_square(e, in), ratio));
  far = choose(e, test(e, IR_K_lt, x, number(e, x, 0)), sub(e, number(e, x, 2), far), far);
  expr near = sub(e, one, op1(e, IR_K_erf, x));
  return choose(e, test(e, IR_K_lt, a, number(e, x, wide ? 1 : 0.5)), near, far);
}

// ---- angles

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
  expr reduced = step(e, "reduced", choose(e, large, turned, choose(e, middle, shifted, a)));
  expr base = choose(e, large, number(e, x, M_PI / 2), choose(e, middle, number(e, x, M_PI / 4), number(e, x, 0)));
  expr z = step(e, "z", mul(e, reduced, reduced));
  expr ratio = quotient(e, mul(e, z, polynomial(e, z, p, 5)), polynomial(e, z, q, 6));
  return signed_as(e, x, step(e, "angle", add(e, base, add(e, mul(e, reduced, ratio), reduced))));
}

static expr asin_of(emitter *e, expr x) {
  expr one = number(e, x, 1);
  return atan_of(e, step(e, "t", quotient(e, x, op1(e, IR_K_sqrt, mul(e, sub(e, one, x), add(e, one, x))))));
}

static expr acos_of(emitter *e, expr x) {
  expr one = number(e, x, 1);
  expr half = atan_of(e, step(e, "t", op1(e, IR_K_sqrt, quotient(e, sub(e, one, x), add(e, one, x)))));
  return mul(e, number(e, x, 2), half);
}

static expr is_negative(emitter *e, expr x) {
  expr below = test(e, IR_K_lt, x, number(e, x, 0)), inverse = quotient(e, number(e, x, 1), x);
  return op2(e, IR_K_or, below, op2(e, IR_K_and, is(e, x, 0), test(e, IR_K_lt, inverse, number(e, x, 0))));
}

// The angle in the first octant, turned into the point's own; both zero is angle 0, both infinite a diagonal.
static expr atan2_of(emitter *e, expr y, expr x) {
  expr a = op1(e, IR_K_abs, x), b = op1(e, IR_K_abs, y), steep = test(e, IR_K_gt, b, a);
  expr least = step(e, "least", op2(e, IR_K_min, a, b)), most = step(e, "most", op2(e, IR_K_max, a, b));
  expr ratio = choose(e, is(e, most, 0), number(e, x, 0), quotient(e, least, most));
  ratio = step(e, "ratio", choose(e, is(e, least, INFINITY), number(e, x, 1), ratio));
  expr angle = step(e, "angle", atan_of(e, ratio));
  angle = step(e, "angle", choose(e, steep, sub(e, number(e, x, M_PI / 2), angle), angle));
  angle = step(e, "angle", choose(e, is_negative(e, x), sub(e, number(e, x, M_PI), angle), angle));
  return choose(e, is_negative(e, y), op1(e, IR_K_neg, angle), angle);
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
  expr bits = ir_kb_op(&e->b, IR_K_bitcast, (ir_ktype)to, ir_kb_cast(&e->b, (ir_ktype)from, x), NULL, NULL);
  return ir_kb_cast(&e->b, cg_compute_type(to), bits);
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

bool cg_has_steps(ir_op op) {
  bool inverse = op >= IR_OP_asin && op <= IR_OP_atanh;  // and sinh, cosh
  return inverse || op == IR_OP_atan2 || op == IR_OP_log1p || op == IR_OP_expm1 || op == IR_OP_erfc ||
         op == IR_OP_softplus || op == IR_OP_random;
}

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
      return cg_emit_log1p(e, x[0]);
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
