// Folding of scalar nodes, and of ramps: i64 values that grow evenly with the lane.
//
// i64 sums and products with constants are kept as one ordered sum: terms by the depth of their home, outermost first,
// the constant last. So the part of an index that a loop does not change is one node outside it, and the constant ends
// up in the address.
#include "codegen/text/code.h"

enum { MAX_TERMS = 16 };

typedef struct {
  cg_node *nodes[MAX_TERMS];
  int64_t scales[MAX_TERMS];
  int count;
  int64_t constant;
} sum;

// ---- sums. Arithmetic wraps, as i64 of the kernel IR does.
static int64_t wrap_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t wrap_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

static bool sum_add_term(sum *s, cg_node *node, int64_t scale) {
  for (int i = 0; i < s->count; i++) {
    if (s->nodes[i] != node) continue;
    s->scales[i] = wrap_add(s->scales[i], scale);
    return true;
  }
  if (s->count == MAX_TERMS) return false;
  s->nodes[s->count] = node;
  s->scales[s->count++] = scale;
  return true;
}

// False if there are too many terms. Sums are left-nested and short, so the recursion is too.
static bool sum_add(sum *s, cg_node *n, int64_t scale) {
  int64_t value;
  if (cg_is_int(n, &value)) {
    s->constant = wrap_add(s->constant, wrap_mul(value, scale));
    return true;
  }
  if (n->once) return sum_add_term(s, n, scale);
  switch (n->op) {
    case IR_K_add:
      return sum_add(s, n->args[0], scale) && sum_add(s, n->args[1], scale);
    case IR_K_sub:
      return sum_add(s, n->args[0], scale) && sum_add(s, n->args[1], wrap_mul(scale, -1));
    case IR_K_neg:
      return sum_add(s, n->args[0], wrap_mul(scale, -1));
    case IR_K_mul:
      if (cg_is_int(n->args[1], &value)) return sum_add(s, n->args[0], wrap_mul(scale, value));
      return sum_add_term(s, n, scale);
    default:
      return sum_add_term(s, n, scale);
  }
}

static cg_node *scaled(cg_code *c, cg_node *node, int64_t scale) {
  if (scale == 1) return node;
  return cg_raw(c, IR_K_mul, IR_KT_i64, false, node, cg_const_int(c, IR_KT_i64, scale), NULL);
}

static void sum_sort(sum *s) {
  for (int i = 1; i < s->count; i++) {
    for (int k = i; k > 0 && s->nodes[k]->home->depth < s->nodes[k - 1]->home->depth; k--) {
      cg_node *node = s->nodes[k];
      int64_t scale = s->scales[k];
      s->nodes[k] = s->nodes[k - 1], s->scales[k] = s->scales[k - 1];
      s->nodes[k - 1] = node, s->scales[k - 1] = scale;
    }
  }
}

static cg_node *sum_node(cg_code *c, sum *s) {
  sum_sort(s);
  cg_node *r = NULL;
  for (int i = 0; i < s->count; i++) {
    int64_t scale = s->scales[i];
    if (!scale) continue;
    bool minus = scale < 0 && scale != INT64_MIN;
    cg_node *term = scaled(c, s->nodes[i], minus ? -scale : scale);
    if (r) r = cg_raw(c, minus ? IR_K_sub : IR_K_add, IR_KT_i64, false, r, term, NULL);
    else r = minus ? cg_raw(c, IR_K_neg, IR_KT_i64, false, term, NULL, NULL) : term;
  }
  if (!r) return cg_const_int(c, IR_KT_i64, s->constant);
  if (!s->constant) return r;
  return cg_raw(c, IR_K_add, IR_KT_i64, false, r, cg_const_int(c, IR_KT_i64, s->constant), NULL);
}

static cg_node *fold_sum(cg_code *c, int op, cg_node *x, cg_node *y) {
  sum s = {.count = 0};
  int64_t value;
  bool fits;
  if (op == IR_K_mul) {
    if (!cg_is_int(y, &value)) {
      if (!cg_is_int(x, &value)) return NULL;
      x = y;
    }
    fits = sum_add(&s, x, value);
  } else {
    fits = sum_add(&s, x, op == IR_K_neg ? -1 : 1) && (op == IR_K_neg || sum_add(&s, y, op == IR_K_sub ? -1 : 1));
  }
  return fits ? sum_node(c, &s) : NULL;
}

// ---- division by a constant
static int64_t floor_div(int64_t a, int64_t b) { return a / b - ((a % b != 0) & ((a < 0) != (b < 0))); }

// Multiples of |d| plus a constant: exact.
static cg_node *fold_division(cg_code *c, bool remainder, cg_node *x, int64_t d) {
  if (d == 1) return remainder ? cg_const_int(c, IR_KT_i64, 0) : x;
  sum s = {.count = 0};
  if (!sum_add(&s, x, 1)) return NULL;
  for (int i = 0; i < s.count; i++)
    if (s.scales[i] % d) return NULL;
  int64_t quotient = floor_div(s.constant, d);
  if (remainder) return cg_const_int(c, IR_KT_i64, s.constant - quotient * d);
  for (int i = 0; i < s.count; i++) s.scales[i] /= d;
  s.constant = quotient;
  return sum_node(c, &s);
}

// ---- constants
static cg_node *fold_logic(cg_code *c, int op, cg_node *x, cg_node *y) {
  int64_t a, b;
  bool xc = cg_is_int(x, &a), yc = y && cg_is_int(y, &b);
  if (op == IR_K_not && xc) return cg_const_int(c, IR_KT_bool, !a);
  if (op != IR_K_and && op != IR_K_or) return NULL;
  if (!xc && !yc) return NULL;
  cg_node *other = xc ? y : x;
  bool value = xc ? a : b;
  return value == (op == IR_K_and) ? other : cg_const_int(c, IR_KT_bool, value);
}

static cg_node *fold_i64(cg_code *c, int op, cg_node *x, cg_node *y) {
  int64_t a, b;
  bool xc = cg_is_int(x, &a), yc = y && cg_is_int(y, &b);
  switch (op) {
    case IR_K_add:
    case IR_K_sub:
    case IR_K_mul:
    case IR_K_neg:
      return fold_sum(c, op, x, y);
    case IR_K_div:
    case IR_K_mod:
      return yc && b > 0 ? fold_division(c, op == IR_K_mod, x, b) : NULL;
    case IR_K_min:
      return xc && yc ? (a < b ? x : y) : x == y ? x : NULL;
    case IR_K_max:
      return xc && yc ? (a > b ? x : y) : x == y ? x : NULL;
    default:
      return NULL;
  }
}

cg_node *cg_fold(cg_code *c, int op, ir_ktype type, cg_node *x, cg_node *y, cg_node *z) {
  int64_t a, b, r;
  if (op == IR_K_select) return cg_is_int(x, &a) ? (a ? y : z) : y == z ? y : NULL;
  if (!x || ir_ktype_is_float(x->type)) return NULL;
  if (op == IR_K_cast) {
    if (!cg_is_int(x, &a)) return NULL;
    if (type == IR_KT_i64) return cg_const_int(c, type, a);
    return type == IR_KT_i32 && a >= INT32_MIN && a <= INT32_MAX ? cg_const_int(c, type, a) : NULL;
  }
  if (y && cg_is_int(x, &a) && cg_is_int(y, &b) && cg_is_compare(op) && ir_k_int_op((ir_kop)op, x->type, a, b, &r))
    return cg_const_int(c, IR_KT_bool, r);
  if (x->type == IR_KT_bool) return fold_logic(c, op, x, y);
  return x->type == IR_KT_i64 && type == IR_KT_i64 ? fold_i64(c, op, x, y) : NULL;
}

// ---- ramps
static bool ramp_parts(cg_code *c, cg_node *n, cg_node **out_base, cg_node **out_step) {
  if (n->vector && n->op != CG_RAMP) return false;
  *out_base = n->vector ? n->args[0] : n;
  *out_step = n->vector ? n->args[1] : cg_const_int(c, IR_KT_i64, 0);
  return true;
}

// base / d where all lanes, or whole groups of |step|, have the same quotient; the remainder likewise.
static cg_node *ramp_divide(cg_code *c, bool remainder, cg_node *base, int64_t step, int64_t d) {
  cg_node *divisor = cg_const_int(c, IR_KT_i64, d);
  if (step % d == 0) {
    cg_node *r = cg_op(c, remainder ? IR_K_mod : IR_K_div, IR_KT_i64, base, divisor, NULL);
    return remainder ? r : cg_ramp(c, r, cg_const_int(c, IR_KT_i64, step / d));
  }
  int64_t width = step > 0 && step < 1 << 20 ? step * IR_LANES : 0;
  if (!width || d % width || base->divisor % width) return NULL;
  cg_node *r = cg_op(c, remainder ? IR_K_mod : IR_K_div, IR_KT_i64, base, divisor, NULL);
  return remainder ? cg_ramp(c, r, cg_const_int(c, IR_KT_i64, step)) : r;
}

// The lanes of base + lane for which the comparison with 0 holds.
static cg_node *ramp_compare(cg_code *c, int op, cg_node *base) {
  cg_node *one = cg_const_int(c, IR_KT_i64, 1);
  cg_node *below = cg_raw(c, CG_FIRST, IR_KT_bool, true, cg_op(c, IR_K_neg, IR_KT_i64, base, NULL, NULL), NULL, NULL);
  cg_node *up_to = cg_raw(c, CG_FIRST, IR_KT_bool, true, cg_op(c, IR_K_sub, IR_KT_i64, one, base, NULL), NULL, NULL);
  switch (op) {
    case IR_K_lt:
      return below;
    case IR_K_le:
      return up_to;
    case IR_K_gt:
      return cg_raw(c, IR_K_not, IR_KT_bool, true, up_to, NULL, NULL);
    case IR_K_ge:
      return cg_raw(c, IR_K_not, IR_KT_bool, true, below, NULL, NULL);
    case IR_K_eq:
      return cg_raw(c, IR_K_xor, IR_KT_bool, true, below, up_to, NULL);
    case IR_K_ne:
      return cg_raw(c, IR_K_not, IR_KT_bool, true, cg_raw(c, IR_K_xor, IR_KT_bool, true, below, up_to, NULL), NULL,
                    NULL);
    default:
      return NULL;
  }
}

cg_node *cg_fold_ramp(cg_code *c, int op, ir_ktype type, cg_node *x, cg_node *y) {
  cg_node *xb, *xs, *yb = NULL, *ys = NULL;
  if (!ramp_parts(c, x, &xb, &xs) || (y && !ramp_parts(c, y, &yb, &ys))) return NULL;
  int64_t a, b;
  bool known = cg_is_int(xs, &a), uniform = y && cg_is_int(ys, &b) && b == 0;
  switch (op) {
    case IR_K_add:
    case IR_K_sub:
      return cg_ramp(c, cg_op(c, op, type, xb, yb, NULL), cg_op(c, op, type, xs, ys, NULL));
    case IR_K_neg:
      return cg_ramp(c, cg_op(c, op, type, xb, NULL, NULL), cg_op(c, op, type, xs, NULL, NULL));
    case IR_K_mul:
      if (uniform) return cg_ramp(c, cg_op(c, op, type, xb, yb, NULL), cg_op(c, op, type, xs, yb, NULL));
      if (known && a == 0) return cg_ramp(c, cg_op(c, op, type, xb, yb, NULL), cg_op(c, op, type, xb, ys, NULL));
      return NULL;
    case IR_K_div:
    case IR_K_mod:
      return uniform && known && cg_is_int(yb, &b) && b > 0 ? ramp_divide(c, op == IR_K_mod, xb, a, b) : NULL;
    case IR_K_cast:
      if (type == IR_KT_i64) return x;
      if (type != IR_KT_i32) return NULL;
      return cg_raw(c, CG_RAMP, type, true, cg_op(c, op, type, xb, NULL, NULL), cg_op(c, op, type, xs, NULL, NULL),
                    NULL);
    default:
      break;
  }
  if (type != IR_KT_bool || !y) return NULL;
  cg_node *base = cg_op(c, IR_K_sub, IR_KT_i64, xb, yb, NULL), *step = cg_op(c, IR_K_sub, IR_KT_i64, xs, ys, NULL);
  if (!cg_is_int(step, &a)) return NULL;
  if (a == 0) return cg_op(c, op, type, xb, yb, NULL);
  if (a == 1) return ramp_compare(c, op, base);
  static const int mirrored[IR_K_COUNT] = {[IR_K_eq] = IR_K_eq, [IR_K_ne] = IR_K_ne, [IR_K_lt] = IR_K_gt,
                                           [IR_K_le] = IR_K_ge, [IR_K_gt] = IR_K_lt, [IR_K_ge] = IR_K_le};
  return a == -1 ? ramp_compare(c, mirrored[op], cg_op(c, IR_K_neg, IR_KT_i64, base, NULL, NULL)) : NULL;
}
