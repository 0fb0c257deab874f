// Folding of integer expressions as they are built: constants, identities, and the division of sums that index maps
// leave behind.
//
// Reshapes and splits turn into (i*64 + j)/64 and the like. A sum is taken apart into terms coefficient * atom; terms
// divisible by a constant divisor leave the division, and what remains vanishes where its interval shows it (facts:
// kernel_facts.c). The other way, (x/c)*c + x%c is x again. Floats are never folded: their rounding belongs to the
// machine that runs the kernel.
#include <string.h>

#include "ir/kernel_internal.h"
#include "runtime/base/checked.h"

enum { MAX_TERMS = 24 };

typedef struct {
  const ir_kexpr *atom;
  int64_t coef;
} term;

typedef struct {
  term terms[MAX_TERMS];
  int count;
  int64_t constant;
} sum;

static const ir_kexpr *int_const(ir_kbuilder *b, ir_ktype type, int64_t value) {
  return ir_kb_int_const(b, type, value);
}

static const ir_kexpr *add(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_add, x->type, x, y, NULL);
}
static const ir_kexpr *mul_const(ir_kbuilder *b, const ir_kexpr *x, int64_t c) {
  return ir_kb_op(b, IR_K_mul, x->type, x, int_const(b, x->type, c), NULL);
}

// ---- sums
// Adds coef * e to |s|. False if it does not fit.
static bool sum_add(sum *s, const ir_kexpr *e, int64_t coef, int depth) {
  ir_kfacts f = ir_kx_facts(e);
  int64_t c, product;
  if (ir_kx_is_const(e, &c))
    return !__builtin_mul_overflow(c, coef, &product) && !__builtin_add_overflow(s->constant, product, &s->constant);
  if (!f.wraps && depth < 32) {
    if (e->op == IR_K_add) return sum_add(s, e->args[0], coef, depth + 1) && sum_add(s, e->args[1], coef, depth + 1);
    if (e->op == IR_K_sub && coef != INT64_MIN)
      return sum_add(s, e->args[0], coef, depth + 1) && sum_add(s, e->args[1], -coef, depth + 1);
    if (e->op == IR_K_mul && ir_kx_is_const(e->args[1], &c))
      return !__builtin_mul_overflow(c, coef, &product) && sum_add(s, e->args[0], product, depth + 1);
  }
  for (int i = 0; i < s->count; i++)
    if (s->terms[i].atom == e) return !__builtin_add_overflow(s->terms[i].coef, coef, &s->terms[i].coef);
  if (s->count == MAX_TERMS) return false;
  s->terms[s->count++] = (term){e, coef};
  return true;
}

static const ir_kexpr *sum_build(ir_kbuilder *b, const sum *s, ir_ktype type) {
  const ir_kexpr *r = NULL;
  for (int i = 0; i < s->count; i++) {
    if (s->terms[i].coef == 0) continue;
    const ir_kexpr *t = mul_const(b, s->terms[i].atom, s->terms[i].coef);
    r = r ? ir_kb_raw(b, IR_K_add, type, r, t, NULL) : t;
  }
  if (!r) return int_const(b, type, s->constant);
  return s->constant ? ir_kb_raw(b, IR_K_add, type, r, int_const(b, type, s->constant), NULL) : r;
}

// Splits |s| into multiples of g (divided by it, in |out_high|) and the rest with a constant in [0, g).
static void sum_split(const sum *s, int64_t g, sum *out_high, sum *out_low) {
  out_high->count = out_low->count = 0;
  for (int i = 0; i < s->count; i++) {
    term t = s->terms[i];
    if (t.coef == 0) continue;
    if (t.coef % g == 0) out_high->terms[out_high->count++] = (term){t.atom, t.coef / g};
    else out_low->terms[out_low->count++] = t;
  }
  out_high->constant = ir_k_floor_div(s->constant, g);
  out_low->constant = ir_k_floor_mod(s->constant, g);
}

// ---- division and remainder by a positive constant
typedef struct {
  const ir_kexpr *quotient, *remainder;
} quot_rem;

// Where one factor g of |c| divides some terms and the rest lies in [0, g): (g*X + s)/c is X/(c/g), the remainder (X %
// (c/g))*g + s.
static bool divide_by_factor(ir_kbuilder *b, const sum *s, int64_t c, ir_ktype type, quot_rem *out) {
  for (int i = 0; i < s->count; i++) {
    int64_t g = weir_gcd_i64(c, s->terms[i].coef);
    if (g <= 1 || g == c) continue;
    sum high, low;
    sum_split(s, g, &high, &low);
    const ir_kexpr *small = sum_build(b, &low, type);
    ir_kfacts f = ir_kx_facts(small);
    if (f.lo < 0 || f.hi >= g || f.wraps) continue;
    const ir_kexpr *x = sum_build(b, &high, type), *rest = int_const(b, type, c / g);
    out->quotient = ir_kb_op(b, IR_K_div, type, x, rest, NULL);
    out->remainder = add(b, mul_const(b, ir_kb_op(b, IR_K_mod, type, x, rest, NULL), g), small);
    return true;
  }
  return false;
}

// |x| / |c| and |x| % |c| where |x| has no terms divisible by |c|; nulls where nothing is known.
static quot_rem divide_rest(ir_kbuilder *b, const ir_kexpr *x, int64_t c) {
  ir_kfacts f = ir_kx_facts(x);
  ir_ktype type = x->type;
  quot_rem r = {NULL, NULL};
  int64_t inner, q = ir_k_floor_div(f.lo, c);
  if (f.lo != INT64_MIN && f.hi != INT64_MAX && q == ir_k_floor_div(f.hi, c)) {
    r.quotient = int_const(b, type, q);
    r.remainder = q == 0 ? x : add(b, x, int_const(b, type, -q * c));
    return r;
  }
  if (x->op == IR_K_div && ir_kx_is_const(x->args[1], &inner) && inner > 0) {
    int64_t product, lo, hi;
    ir_ktype_limits(type, &lo, &hi);
    if (!__builtin_mul_overflow(inner, c, &product) && product <= hi)
      r.quotient = ir_kb_op(b, IR_K_div, type, x->args[0], int_const(b, type, product), NULL);
  } else if (x->op == IR_K_mod && ir_kx_is_const(x->args[1], &inner) && inner > 0 && inner % c == 0) {
    const ir_kexpr *by = int_const(b, type, c);
    const ir_kexpr *y = ir_kb_op(b, IR_K_div, type, x->args[0], by, NULL);
    r.quotient = ir_kb_op(b, IR_K_mod, type, y, int_const(b, type, inner / c), NULL);
    r.remainder = ir_kb_op(b, IR_K_mod, type, x->args[0], by, NULL);
  }
  return r;
}

static quot_rem divide(ir_kbuilder *b, const ir_kexpr *x, int64_t c) {
  sum s = {.count = 0}, high, low;
  ir_kfacts f = ir_kx_facts(x);
  bool splits = !f.wraps && (x->op == IR_K_add || x->op == IR_K_sub || x->op == IR_K_mul) && sum_add(&s, x, 1, 0);
  if (!splits) return divide_rest(b, x, c);
  quot_rem known = divide_rest(b, x, c);
  if (known.quotient && known.remainder) return known;
  sum_split(&s, c, &high, &low);
  bool nothing = high.count == 0 && high.constant == 0;
  const ir_kexpr *rest = nothing ? x : sum_build(b, &low, x->type);
  quot_rem r = divide_rest(b, rest, c);
  if (!r.quotient && !r.remainder) divide_by_factor(b, &low, c, x->type, &r);
  if (nothing) return r;
  const ir_kexpr *by = int_const(b, x->type, c);
  if (!r.quotient) r.quotient = ir_kb_raw(b, IR_K_div, x->type, rest, by, NULL);
  if (!r.remainder) r.remainder = ir_kb_raw(b, IR_K_mod, x->type, rest, by, NULL);
  r.quotient = add(b, sum_build(b, &high, x->type), r.quotient);
  return r;
}

// y is known to lie in [0, c).
static bool lies_below(const ir_kexpr *y, const ir_kexpr *c) {
  ir_kfacts f = ir_kx_facts(y);
  return f.lo >= 0 && (f.below == c || (f.hi != INT64_MAX && f.hi < ir_kx_facts(c).lo));
}

// Division by an expression: y/c, and (x*c + y)/c, where y lies in [0, c), which also shows that c is not 0.
static quot_rem divide_by_expr(const ir_kexpr *x, const ir_kexpr *c, ir_kbuilder *b) {
  quot_rem r = {NULL, NULL};
  if (lies_below(x, c)) return (quot_rem){int_const(b, x->type, 0), x};
  if (x->op == IR_K_mod && x->args[1] == c) return (quot_rem){int_const(b, x->type, 0), x};
  if (x->op != IR_K_add || ir_kx_facts(x).wraps) return r;
  for (int i = 0; i < 2; i++) {
    const ir_kexpr *m = x->args[i], *y = x->args[1 - i];
    if (m->op != IR_K_mul || ir_kx_facts(m).wraps || !lies_below(y, c)) continue;
    if (m->args[1] == c) return (quot_rem){m->args[0], y};
    if (m->args[0] == c) return (quot_rem){m->args[1], y};
  }
  return r;
}

static const ir_kexpr *fold_div_mod(ir_kbuilder *b, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  int64_t c;
  quot_rem r;
  if (ir_kx_is_const(y, &c)) {
    if (c == 0) return y;
    if (c == 1) return op == IR_K_div ? x : int_const(b, x->type, 0);
    if (c < 0) return NULL;
    r = divide(b, x, c);
  } else {
    r = divide_by_expr(x, y, b);
  }
  return op == IR_K_div ? r.quotient : r.remainder;
}

// ---- addition
static bool is_pair(const ir_kexpr *e, ir_kop op, const ir_kexpr **out_x, int64_t *out_c) {
  if (e->op != op || !ir_kx_is_const(e->args[1], out_c) || *out_c <= 0) return false;
  *out_x = e->args[0];
  return true;
}

// The terms hi_coef * hi and lo_coef * lo as one: (x/c)*c + x%c is x, (x/c % d)*c + x%c is x % (c*d).
static bool join(ir_kbuilder *b, term high, term low, term *out) {
  const ir_kexpr *x, *y;
  int64_t c, d, product;
  if (!is_pair(low.atom, IR_K_mod, &x, &c)) return false;
  if (__builtin_mul_overflow(low.coef, c, &product) || product != high.coef) return false;
  const ir_kexpr *div = high.atom;
  if (is_pair(high.atom, IR_K_mod, &y, &d)) div = y;
  else d = 0;
  // Division folds deeper than the remainder does: build x/c and compare.
  const ir_kexpr *quotient = ir_kb_op(b, IR_K_div, x->type, x, low.atom->args[1], NULL);
  *out = (term){x, low.coef};
  if (d == 0 || high.atom == quotient) return high.atom == quotient;
  if (div != quotient || __builtin_mul_overflow(c, d, &product)) return false;
  out->atom = ir_kb_op(b, IR_K_mod, x->type, x, int_const(b, x->type, product), NULL);
  return true;
}

static bool has_mod(const ir_kexpr *e) {
  while (e->op == IR_K_mul) e = e->args[0];
  return e->op == IR_K_mod;
}

// Joins a division and a remainder of one value that meet in the sum x + y.
static const ir_kexpr *fold_join(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  if (!has_mod(x) && !has_mod(y) && !(x->op == IR_K_add && has_mod(x->args[1]))) return NULL;
  sum s = {.count = 0};
  if (!sum_add(&s, x, 1, 0) || !sum_add(&s, y, 1, 0)) return NULL;
  for (int i = 0; i < s.count; i++) {
    for (int k = 0; k < s.count; k++) {
      term joined;
      if (i == k || !join(b, s.terms[i], s.terms[k], &joined)) continue;
      int keep = i < k ? i : k, drop = i < k ? k : i;
      s.terms[keep] = joined;
      memmove(&s.terms[drop], &s.terms[drop + 1], (size_t)(s.count - drop - 1) * sizeof s.terms[0]);
      s.count--;
      return sum_build(b, &s, x->type);
    }
  }
  return NULL;
}

static const ir_kexpr *fold_add(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  int64_t c, d;
  if (ir_kx_is_const(x, &c) && !ir_kx_is_const(y, &d)) return ir_kb_op(b, IR_K_add, x->type, y, x, NULL);
  if (ir_kx_is_const(y, &c)) {
    if (c == 0) return x;
    if (x->op == IR_K_add && ir_kx_is_const(x->args[1], &d))
      return add(b, x->args[0], int_const(b, x->type, (int64_t)((uint64_t)c + (uint64_t)d)));
    return NULL;
  }
  // Constants move out to the right.
  if (x->op == IR_K_add && x->args[1]->op == IR_K_const) return add(b, add(b, x->args[0], y), x->args[1]);
  if (y->op == IR_K_add && y->args[1]->op == IR_K_const) return add(b, add(b, x, y->args[0]), y->args[1]);
  if (y->op == IR_K_sub && y->args[1] == x) return y->args[0];
  if (x->op == IR_K_sub && x->args[1] == y) return x->args[0];
  return fold_join(b, x, y);
}

static const ir_kexpr *fold_sub(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  int64_t c;
  if (x == y) return int_const(b, x->type, 0);
  if (ir_kx_is_const(y, &c)) return add(b, x, int_const(b, x->type, (int64_t)(0 - (uint64_t)c)));
  if (x->op == IR_K_add && x->args[1] == y) return x->args[0];
  if (x->op == IR_K_add && x->args[0] == y) return x->args[1];
  if (x->op == IR_K_add && x->args[1]->op == IR_K_const)
    return add(b, ir_kb_op(b, IR_K_sub, x->type, x->args[0], y, NULL), x->args[1]);
  return NULL;
}

static const ir_kexpr *fold_mul(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  int64_t c, d;
  if (ir_kx_is_const(x, &c) && !ir_kx_is_const(y, &d)) return ir_kb_op(b, IR_K_mul, x->type, y, x, NULL);
  if (!ir_kx_is_const(y, &c)) return NULL;
  if (c == 0) return y;
  if (c == 1) return x;
  bool has_const = (x->op == IR_K_mul || x->op == IR_K_add) && ir_kx_is_const(x->args[1], &d);
  if (!has_const) return NULL;
  const ir_kexpr *product = int_const(b, x->type, (int64_t)((uint64_t)c * (uint64_t)d));
  if (x->op == IR_K_mul) return ir_kb_op(b, IR_K_mul, x->type, x->args[0], product, NULL);
  return add(b, mul_const(b, x->args[0], c), product);
}

// ---- the rest
static const ir_kexpr *fold_min_max(ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  ir_kfacts f = ir_kx_facts(x), g = ir_kx_facts(y);
  bool x_less = f.hi != INT64_MAX && g.lo != INT64_MIN && f.hi <= g.lo;
  bool y_less = g.hi != INT64_MAX && f.lo != INT64_MIN && g.hi <= f.lo;
  if (f.lo >= 0 && f.below == y) x_less = true;
  if (g.lo >= 0 && g.below == x) y_less = true;
  if (x == y || x_less) return op == IR_K_min ? x : y;
  return y_less ? (op == IR_K_min ? y : x) : NULL;
}

// 1 or 0 where the intervals decide x < y, else -1.
static int decide_less(const ir_kexpr *x, const ir_kexpr *y) {
  ir_kfacts f = ir_kx_facts(x), g = ir_kx_facts(y);
  if (x == y) return 0;
  if (f.below == y || (f.hi != INT64_MAX && g.lo != INT64_MIN && f.hi < g.lo)) return 1;
  if (g.below == x || (f.lo != INT64_MIN && g.hi != INT64_MAX && f.lo >= g.hi)) return 0;
  return -1;
}

static const ir_kexpr *fold_compare(ir_kbuilder *b, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  int xy = decide_less(x, y), yx = decide_less(y, x), known = -1;
  if (op == IR_K_lt) known = xy;
  else if (op == IR_K_gt) known = yx;
  else if (op == IR_K_ge) known = xy < 0 ? -1 : !xy;
  else if (op == IR_K_le) known = yx < 0 ? -1 : !yx;
  else if (xy == 1 || yx == 1) known = op == IR_K_ne;
  else if (x == y) known = op == IR_K_eq;
  return known < 0 ? NULL : int_const(b, IR_KT_bool, known);
}

static const ir_kexpr *fold_bits(ir_kbuilder *b, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  int64_t all = ir_ktype_wrap(x->type, x->type == IR_KT_bool ? 1 : -1);
  if (x->op == IR_K_const && y->op != IR_K_const && (op == IR_K_and || op == IR_K_or || op == IR_K_xor))
    return ir_kb_op(b, op, x->type, y, x, NULL);
  if (y->op != IR_K_const) return x == y && (op == IR_K_and || op == IR_K_or) ? x : NULL;
  if (y->i == 0) return op == IR_K_and ? y : x;  // or, xor, shl, shr leave x
  if (y->i == all && op == IR_K_and) return x;
  if (y->i == all && op == IR_K_or) return y;
  return NULL;
}

static const ir_kexpr *fold_cast(ir_kbuilder *b, ir_ktype type, const ir_kexpr *x) {
  if (x->type == type) return x;
  if (x->op != IR_K_const) return NULL;
  bool from_float = ir_ktype_is_float(x->type);
  if (type == IR_KT_f32 || type == IR_KT_f64) return ir_kb_const(b, type, from_float ? x->f : (double)x->i);
  if (ir_ktype_is_float(type)) return NULL;
  return int_const(b, type, from_float ? ir_ktype_saturate(type, x->f) : ir_ktype_wrap(type, x->i));
}

static const ir_kexpr *fold_binary(ir_kbuilder *b, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  switch (op) {
    case IR_K_add:
      return fold_add(b, x, y);
    case IR_K_sub:
      return fold_sub(b, x, y);
    case IR_K_mul:
      return fold_mul(b, x, y);
    case IR_K_div:
    case IR_K_mod:
      return fold_div_mod(b, op, x, y);
    case IR_K_min:
    case IR_K_max:
      return fold_min_max(op, x, y);
    case IR_K_eq:
    case IR_K_ne:
    case IR_K_lt:
    case IR_K_le:
    case IR_K_gt:
    case IR_K_ge:
      return fold_compare(b, op, x, y);
    case IR_K_and:
    case IR_K_or:
    case IR_K_xor:
    case IR_K_shl:
    case IR_K_shr:
      return fold_bits(b, op, x, y);
    default:
      return NULL;
  }
}

const ir_kexpr *ir_k_fold(ir_kbuilder *b, ir_kop op, ir_ktype type, const ir_kexpr *x, const ir_kexpr *y,
                          const ir_kexpr *z) {
  int64_t cx, cy, r;
  if (op == IR_K_cast) return fold_cast(b, type, x);
  if (op == IR_K_select && x && y && z) {
    if (ir_kx_is_const(x, &cx)) return cx ? y : z;
    return y == z ? y : NULL;
  }
  if (!x || z || ir_ktype_is_float(x->type)) return NULL;
  if (ir_kx_is_const(x, &cx) && (!y || ir_kx_is_const(y, &cy)) && ir_k_int_op(op, x->type, cx, y ? cy : 0, &r))
    return int_const(b, type, r);
  if (!y) {
    bool twice = (op == IR_K_not || op == IR_K_neg) && x->op == op;
    return twice ? x->args[0] : NULL;
  }
  return x->type == y->type ? fold_binary(b, op, x, y) : NULL;
}
