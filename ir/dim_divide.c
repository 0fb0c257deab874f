// Dims: floor division and remainder.
//
// a / b is split as q + r / b with q a polynomial: for a constant b every coefficient gives its multiple of b and what
// is known to be divisible (a symbol's declared divisor) leaves as a term of its own; for a symbolic b only what
// divides as polynomials leaves. What stays becomes an atom, unless its interval decides it. Coefficients that stay lie
// in [0, b), so (T - 1) / 2 + 1 and (T + 1) / 2 are one dim.
#include "ir/dim_internal.h"

#include <stdlib.h>

#include "runtime/base/checked.h"

// ---- divisor facts

static int64_t atom_divisor(const ir_dim_atom *atom) {
  if (atom->kind == IR_ATOM_SYMBOL) return atom->symbol->divisor > 0 ? atom->symbol->divisor : 1;
  int64_t by, whole = ir_dim_known_divisor(atom->a);
  if (!ir_dim_is_const(atom->b, &by) || by <= 0) return 1;
  if (atom->kind == IR_ATOM_MOD) return weir_gcd_i64(whole, by);
  return whole % by == 0 && whole ? whole / by : 1;
}

static int64_t factors_divisor(const ir_dim_term *term) {
  int64_t product = 1;
  for (int i = 0; i < term->count; i++) {
    int64_t one = atom_divisor(term->factors[i].atom);
    for (int k = 0; k < term->factors[i].power; k++) {
      if (!weir_mul_i64(product, one, &product)) return product;
    }
  }
  return product;
}

int64_t ir_dim_known_divisor(ir_dim dim) {
  int64_t all = 0;
  for (int i = 0; i < dim->count; i++) {
    int64_t one = factors_divisor(&dim->terms[i]), coefficient = dim->terms[i].coefficient;
    if (coefficient == INT64_MIN || !weir_mul_i64(one, llabs(coefficient), &one)) one = 1;
    all = weir_gcd_i64(all, one);
  }
  return all;
}

// ---- by a constant

static ir_dim div_const(ir_dim_table *table, ir_dim a, int64_t by);
static ir_dim mod_const(ir_dim_table *table, ir_dim a, int64_t by);

// Splits |a| into by * whole + exact + rest: |out_rest| has coefficients in [0, by); a term known to be divisible goes
// into |exact| when |keep_exact|, else (for a remainder) nowhere.
static bool split_const(ir_dim_table *table, ir_dim a, int64_t by, ir_poly *whole, ir_poly *rest, bool keep_exact) {
  for (int i = 0; i < a->count; i++) {
    ir_dim_term term = a->terms[i], quotient = a->terms[i];
    quotient.coefficient = ir_floor_div(term.coefficient, by);
    term.coefficient = ir_floor_mod(term.coefficient, by);
    if (!ir_poly_add_term(whole, &quotient)) return false;
    if (term.coefficient == 0) continue;
    int64_t common = weir_gcd_i64(term.coefficient, by);
    if (term.count == 0 || factors_divisor(&term) % (by / common)) {
      if (!ir_poly_add_term(rest, &term)) return false;
      continue;
    }
    if (!keep_exact) continue;
    ir_dim_term scale = {.coefficient = term.coefficient / common};
    ir_poly alone = {.count = 1, .terms = {term}};
    alone.terms[0].coefficient = 1;
    ir_dim factors = ir_poly_finish(table, &alone);
    ir_dim exact = factors ? ir_dim_atom_of(table, IR_ATOM_DIV, factors, ir_dim_const(table, by / common)) : NULL;
    if (!exact || !ir_poly_add_scaled(whole, &scale, exact)) return false;
  }
  return true;
}

// Divisor common to |by| and all coefficients of |rest| but the constant.
static int64_t common_divisor(const ir_poly *rest, int64_t by) {
  for (int i = 0; i < rest->count; i++) {
    if (rest->terms[i].count) by = weir_gcd_i64(by, rest->terms[i].coefficient);
  }
  return by;
}

// floor(rest / g) for a |rest| whose coefficients but the constant are multiples of |g|; the constant's remainder goes
// to |out_left|.
static ir_dim shrink(ir_dim_table *table, const ir_poly *rest, int64_t g, int64_t *out_left) {
  ir_poly small = *rest;
  int zero = -1;
  *out_left = 0;
  for (int i = 0; i < small.count; i++) {
    if (!small.terms[i].count) *out_left = small.terms[i].coefficient % g;
    small.terms[i].coefficient /= g;
    if (small.terms[i].coefficient == 0) zero = i;
  }
  if (zero >= 0) small.terms[zero] = small.terms[--small.count];
  return ir_poly_finish(table, &small);
}

// (x / a + k) / by == (x + k * a) / (a * by).
static ir_dim div_nested(ir_dim_table *table, ir_dim rest, int64_t by) {
  const ir_dim_term *first = &rest->terms[0];
  int64_t inner, offset = 0, product;
  if (rest->count > 2 || first->coefficient != 1 || first->count != 1 || first->factors[0].power != 1) return NULL;
  const ir_dim_atom *atom = first->factors[0].atom;
  if (atom->kind != IR_ATOM_DIV || !ir_dim_is_const(atom->b, &inner) || inner <= 0) return NULL;
  if (rest->count == 2 && rest->terms[1].count) return NULL;
  if (rest->count == 2 && !weir_mul_i64(rest->terms[1].coefficient, inner, &offset)) return NULL;
  if (!weir_mul_i64(inner, by, &product)) return NULL;
  return div_const(table, ir_dim_add(table, atom->a, ir_dim_const(table, offset)), product);
}

static ir_dim div_const(ir_dim_table *table, ir_dim a, int64_t by) {
  if (!a || by == 1) return a;
  ir_poly whole = {.count = 0}, rest = {.count = 0};
  if (!split_const(table, a, by, &whole, &rest, true)) return NULL;
  int64_t left, g = common_divisor(&rest, by);
  ir_dim small = shrink(table, &rest, g, &left), quotient = ir_poly_finish(table, &whole);
  if (!small || !quotient) return NULL;
  if (g > 1) return ir_dim_add(table, quotient, div_const(table, small, by / g));
  int64_t lo, hi;
  ir_dim_bounds(small, &lo, &hi);
  if (lo != INT64_MIN && hi != INT64_MAX && ir_floor_div(lo, by) == ir_floor_div(hi, by)) {
    return ir_dim_add(table, quotient, ir_dim_const(table, ir_floor_div(lo, by)));
  }
  ir_dim nested = div_nested(table, small, by);
  if (!nested) nested = ir_dim_atom_of(table, IR_ATOM_DIV, small, ir_dim_const(table, by));
  return ir_dim_add(table, quotient, nested);
}

static ir_dim mod_const(ir_dim_table *table, ir_dim a, int64_t by) {
  if (!a || by == 1) return a ? ir_dim_const(table, 0) : NULL;
  ir_poly whole = {.count = 0}, rest = {.count = 0};
  if (!split_const(table, a, by, &whole, &rest, false)) return NULL;
  int64_t left, g = common_divisor(&rest, by);
  ir_dim small = shrink(table, &rest, g, &left);
  if (!small) return NULL;
  if (g > 1) {
    ir_dim inner = ir_dim_mul(table, ir_dim_const(table, g), mod_const(table, small, by / g));
    return ir_dim_add(table, inner, ir_dim_const(table, left));
  }
  int64_t lo, hi;
  ir_dim_bounds(small, &lo, &hi);
  if (lo != INT64_MIN && hi != INT64_MAX && ir_floor_div(lo, by) == ir_floor_div(hi, by)) {
    int64_t shift = lo - ir_floor_mod(lo, by);
    return ir_dim_sub(table, small, ir_dim_const(table, shift));
  }
  return ir_dim_atom_of(table, IR_ATOM_MOD, small, ir_dim_const(table, by));
}

// ---- by a symbolic dim

// a == quotient * b + rest as polynomials, dividing by b's first term; false past a limit.
static bool split_symbolic(ir_dim a, ir_dim b, ir_poly *quotient, ir_poly *rest) {
  ir_poly_init(rest, a);
  const ir_dim_term *lead = &b->terms[0];
  for (int round = 0; round < 4 * IR_DIM_MAX_TERMS; round++) {
    ir_dim_term step;
    int at = 0;
    for (; at < rest->count; at++) {
      int64_t k = rest->terms[at].coefficient;
      if (k >= 0 && k < lead->coefficient) continue;
      if (ir_term_quotient(&rest->terms[at], lead, &step)) break;
    }
    if (at == rest->count) return true;
    step.coefficient = ir_floor_div(rest->terms[at].coefficient, lead->coefficient);
    if (step.coefficient == INT64_MIN || !ir_poly_add_term(quotient, &step)) return false;
    step.coefficient = -step.coefficient;
    if (!ir_poly_add_scaled(rest, &step, b)) return false;
  }
  return false;
}

// Quotient and what is left to divide; a sum as divisor only where nothing is left, since T / (T + P) is better than 1
// + -P / (T + P).
static bool divide(ir_dim_table *table, ir_dim a, ir_dim b, ir_dim *out_quotient, ir_dim *out_rest) {
  ir_poly quotient = {.count = 0}, rest;
  bool split = split_symbolic(a, b, &quotient, &rest);
  if (!split || (b->count > 1 && rest.count)) {
    *out_quotient = ir_dim_const(table, 0);
    *out_rest = a;
  } else {
    *out_quotient = ir_poly_finish(table, &quotient);
    *out_rest = ir_poly_finish(table, &rest);
  }
  if (!*out_quotient || !*out_rest) return false;
  ir_dim gap = ir_dim_sub(table, b, *out_rest);
  return gap != NULL;
}

// True where 0 <= rest < b in all cases.
static bool is_proper(ir_dim_table *table, ir_dim rest, ir_dim b) {
  int64_t lo, hi, gap_lo, gap_hi;
  ir_dim_bounds(rest, &lo, &hi);
  ir_dim_bounds(ir_dim_sub(table, b, rest), &gap_lo, &gap_hi);
  return lo >= 0 && gap_lo >= 1;
}

// Makes the divisor's first coefficient positive; floor(a / b) == floor(-a / -b).
static bool make_positive(ir_dim_table *table, ir_dim *a, ir_dim *b) {
  if (!*a || !*b || (*b)->count == 0) return false;
  if ((*b)->terms[0].coefficient > 0) return true;
  ir_dim zero = ir_dim_const(table, 0);
  *a = ir_dim_sub(table, zero, *a);
  *b = ir_dim_sub(table, zero, *b);
  return *a && *b;
}

ir_dim ir_dim_div(ir_dim_table *table, ir_dim a, ir_dim b) {
  int64_t by;
  if (!make_positive(table, &a, &b)) return NULL;
  if (ir_dim_is_const(b, &by)) return div_const(table, a, by);
  ir_dim quotient, rest;
  if (!divide(table, a, b, &quotient, &rest)) return NULL;
  if (rest->count == 0 || is_proper(table, rest, b)) return quotient;
  return ir_dim_add(table, quotient, ir_dim_atom_of(table, IR_ATOM_DIV, rest, b));
}

ir_dim ir_dim_mod(ir_dim_table *table, ir_dim a, ir_dim b) {
  int64_t by;
  bool negative = a && b && b->count && b->terms[0].coefficient < 0;
  if (!make_positive(table, &a, &b)) return NULL;
  // a mod b == -(-a mod -b)
  if (negative) return ir_dim_sub(table, ir_dim_const(table, 0), ir_dim_mod(table, a, b));
  if (ir_dim_is_const(b, &by)) return mod_const(table, a, by);
  ir_dim quotient, rest;
  if (!divide(table, a, b, &quotient, &rest)) return NULL;
  if (rest->count == 0 || is_proper(table, rest, b)) return rest;
  return ir_dim_atom_of(table, IR_ATOM_MOD, rest, b);
}
