// The linear system of one question: monomials are variables, rows say sum(k[i] * v[i]) + c >= 0.
//
// Rows come from what is asked and, for each monomial that occurs, from what is known about it: its interval, the range
// of an index, the meaning of a quotient and a remainder, divisors, assumptions, and for products the facts of one
// factor multiplied by the others where those are not negative. Elimination keeps every consequence that fits 64 bits
// and the limits.
#include "ir/prove_internal.h"

#include <string.h>

#include "runtime/base/checked.h"

typedef struct {
  int64_t c, k[IR_PROVE_VARS];
} row;

typedef struct ir_linear {
  ir_prover *prover;
  int var_count, row_count, combines;
  bool refuted;
  ir_dim_term vars[IR_PROVE_VARS];  // count -1: a variable that is no monomial
  int round[IR_PROVE_VARS];         // how many products it is away from the question
  int now;                          // round of what is being added
  bool used[IR_PROVE_FACTS];
  row rows[IR_PROVE_ROWS], next[IR_PROVE_ROWS];
  uint64_t hashes[IR_PROVE_ROWS];
} ir_linear;

// ---- rows

static uint64_t hash_of(const ir_linear *s, const row *r) {
  uint64_t hash = 1469598103934665603u;
  for (int i = 0; i < s->var_count; i++) hash = (hash ^ (uint64_t)r->k[i]) * 1099511628211u;
  return hash;
}

// Divides by what the coefficients share: as all variables are integers the constant is rounded down.
static bool tighten(const ir_linear *s, row *r) {
  int64_t g = 0;
  for (int i = 0; i < s->var_count; i++) {
    if (r->k[i] == INT64_MIN) return false;
    g = weir_gcd_i64(r->k[i], g);
  }
  if (g > 1) {
    for (int i = 0; i < s->var_count; i++) r->k[i] /= g;
    r->c = ir_floor_div(r->c, g);
  }
  return true;
}

// Adds to |rows|: one row for each direction, the tightest.
static void keep_row(ir_linear *s, row *rows, int *count, row *r) {
  bool empty = true;
  if (!tighten(s, r)) return;
  for (int i = 0; i < s->var_count && empty; i++) empty = r->k[i] == 0;
  if (empty) {
    if (r->c < 0) s->refuted = true;
    return;
  }
  uint64_t hash = hash_of(s, r);
  size_t bytes = (size_t)s->var_count * sizeof r->k[0];
  for (int i = 0; i < *count; i++) {
    if (s->hashes[i] != hash || memcmp(rows[i].k, r->k, bytes) != 0) continue;
    if (r->c < rows[i].c) rows[i].c = r->c;
    return;
  }
  if (*count == IR_PROVE_ROWS) return;
  s->hashes[*count] = hash;
  rows[(*count)++] = *r;
}

static void add_row(ir_linear *s, const row *r) {
  row copy = *r;
  keep_row(s, s->rows, &s->row_count, &copy);
}

static void add_negated(ir_linear *s, const row *r) {
  row copy = {.c = r->c == INT64_MIN ? INT64_MAX : -r->c};
  for (int i = 0; i < s->var_count; i++) {
    if (r->k[i] == INT64_MIN) return;
    copy.k[i] = -r->k[i];
  }
  if (r->c != INT64_MIN) keep_row(s, s->rows, &s->row_count, &copy);
}

static void add_zero(ir_linear *s, const row *r) {
  add_row(s, r);
  add_negated(s, r);
}

// ---- monomials

static bool same_factors(const ir_dim_term *a, const ir_dim_term *b) {
  if (a->count != b->count) return false;
  for (int i = 0; i < a->count; i++) {
    if (a->factors[i].atom != b->factors[i].atom || a->factors[i].power != b->factors[i].power) return false;
  }
  return true;
}

static int find_var(const ir_linear *s, const ir_dim_term *term) {
  for (int i = 0; i < s->var_count; i++) {
    if (same_factors(&s->vars[i], term)) return i;
  }
  return -1;
}

// The variable of a monomial, a new one if there is room; -1 else. |term| null: one that is no monomial.
static int var_of(ir_linear *s, const ir_dim_term *term) {
  int at = term ? find_var(s, term) : -1;
  if (at >= 0) return at;
  if (s->var_count == IR_PROVE_VARS || s->now > IR_PROVE_ROUNDS) return -1;
  at = s->var_count++;
  if (term) s->vars[at] = *term;
  else s->vars[at].count = -1;
  s->vars[at].coefficient = 1;
  s->round[at] = s->now;
  for (int i = 0; i < s->row_count; i++) s->hashes[i] = hash_of(s, &s->rows[i]);
  return at;
}

static bool add_to(ir_linear *s, row *r, ir_dim e, int64_t scale) {
  for (int i = 0; i < e->count; i++) {
    int64_t k;
    int at = e->terms[i].count ? var_of(s, &e->terms[i]) : -1;
    if (e->terms[i].count && at < 0) return false;
    int64_t *to = at < 0 ? &r->c : &r->k[at];
    if (!weir_mul_i64(e->terms[i].coefficient, scale, &k) || !weir_add_i64(*to, k, to)) return false;
  }
  return true;
}

static void add_nonnegative(ir_linear *s, ir_dim e) {
  row r = {0};
  if (e && add_to(s, &r, e, 1)) add_row(s, &r);
}

static ir_dim dim_of(ir_linear *s, const ir_dim_term *term) {
  ir_poly poly = {.count = 1, .terms = {*term}};
  poly.terms[0].coefficient = 1;
  return ir_poly_finish(s->prover->dims, &poly);
}

static void add_interval(ir_linear *s, int var, ir_dim e) {
  int64_t lo, hi;
  ir_dim_bounds(e, &lo, &hi);
  row low = {0}, high = {0};
  low.k[var] = 1;
  high.k[var] = -1;
  if (lo != INT64_MIN && lo != INT64_MAX) low.c = -lo, add_row(s, &low);
  if (hi != INT64_MAX && hi != INT64_MIN) high.c = hi, add_row(s, &high);
}

// ---- what is known about an atom, multiplied by |by|, which is not negative (null: 1)

static ir_dim times(ir_linear *s, ir_dim e, ir_dim by) { return by && e ? ir_dim_mul(s->prover->dims, e, by) : e; }

static bool raw_product(ir_linear *s, row *r, const ir_dim_term *a, const ir_dim_term *b, int64_t scale) {
  ir_dim_term product;
  if (!ir_term_mul(a, b, &product) || !weir_mul_i64(product.coefficient, scale, &scale)) return false;
  int at = product.count ? var_of(s, &product) : -1;
  int64_t *to = at < 0 ? &r->c : &r->k[at];
  return (at >= 0 || !product.count) && weir_add_i64(*to, scale, to);
}

// q = a / b: 0 <= a - b * q < b.
static void quotient_rows(ir_linear *s, const ir_dim_atom *atom, const ir_dim_term *var, ir_dim by) {
  ir_dim_table *t = s->prover->dims;
  int64_t lo, hi, whole;
  ir_dim_bounds(atom->b, &lo, &hi);
  if (lo < 1 || atom->b->count != 1) return;
  row low = {0}, high = {0};
  ir_dim a = times(s, atom->a, by), rest = times(s, ir_dim_sub(t, atom->b, ir_dim_const(t, 1)), by);
  bool exact = ir_dim_is_const(atom->b, &whole) && ir_prove_residue(s->prover, atom->a, whole);
  if (!a || !rest || !add_to(s, &low, a, 1) || !raw_product(s, &low, var, &atom->b->terms[0], -1)) return;
  if (exact) {
    add_zero(s, &low);
    return;
  }
  add_row(s, &low);
  if (add_to(s, &high, a, -1) && add_to(s, &high, rest, 1) && raw_product(s, &high, var, &atom->b->terms[0], 1))
    add_row(s, &high);
}

// The variable of a / b for a number b, one without a name if the quotient does not occur; -1 if there is no room.
static int quotient_of(ir_linear *s, const ir_dim_atom *atom) {
  for (int i = 0; i < s->var_count; i++) {
    const ir_dim_term *var = &s->vars[i];
    const ir_dim_atom *other = var->count == 1 && var->factors[0].power == 1 ? var->factors[0].atom : NULL;
    if (other && other->kind == IR_ATOM_DIV && other->a == atom->a && other->b == atom->b) return i;
  }
  return ir_dim_is_const(atom->b, NULL) ? var_of(s, NULL) : -1;
}

// m = a % b: 0 <= m < b, m <= a where a is not negative, and for a number b m == a - b * q.
static void remainder_rows(ir_linear *s, const ir_dim_atom *atom, const ir_dim_term *var, ir_dim by) {
  ir_dim_table *t = s->prover->dims;
  int64_t lo, hi, whole;
  ir_dim_bounds(atom->b, &lo, &hi);
  if (lo < 1) return;
  int at = var_of(s, var);
  if (at < 0) return;
  row r = {0};
  r.k[at] = -1;
  if (ir_dim_is_const(atom->b, &whole) && ir_prove_residue(s->prover, atom->a, whole)) {
    add_row(s, &r);
    return;
  }
  ir_dim most = times(s, ir_dim_sub(t, atom->b, ir_dim_const(t, 1)), by);
  if (most && add_to(s, &r, most, 1)) add_row(s, &r);
  ir_dim_bounds(atom->a, &lo, &hi);
  row below = {0};
  below.k[at] = -1;
  if (lo >= 0 && add_to(s, &below, times(s, atom->a, by), 1)) add_row(s, &below);
  int quotient = by ? -1 : quotient_of(s, atom);
  row same = {0};
  if (quotient < 0 || !ir_dim_is_const(atom->b, &whole) || !add_to(s, &same, atom->a, 1)) return;
  same.k[at] = -1;
  same.k[quotient] = -whole;
  add_zero(s, &same);
}

static void symbol_rows(ir_linear *s, const ir_symbol *symbol, ir_dim by) {
  ir_dim_table *t = s->prover->dims;
  const ir_prover_symbol *known = &s->prover->symbols[symbol->index];
  ir_dim self = ir_dim_symbol(t, symbol), one = ir_dim_const(t, 1);
  if (known->low) add_nonnegative(s, times(s, ir_dim_sub(t, self, known->low), by));
  if (known->high) add_nonnegative(s, times(s, ir_dim_sub(t, ir_dim_sub(t, known->high, one), self), by));
  if (by && symbol->lo != INT64_MIN && symbol->lo != INT64_MAX)
    add_nonnegative(s, times(s, ir_dim_sub(t, self, ir_dim_const(t, symbol->lo)), by));
  if (by && symbol->hi != INT64_MAX && symbol->hi != INT64_MIN)
    add_nonnegative(s, times(s, ir_dim_sub(t, ir_dim_const(t, symbol->hi), self), by));
  if (symbol->divisor <= 1 || by) return;
  row r = {0};
  int at = var_of(s, NULL);
  if (at < 0 || !add_to(s, &r, self, 1)) return;
  r.k[at] = -symbol->divisor;
  add_zero(s, &r);
}

static void atom_rows(ir_linear *s, const ir_dim_atom *atom, const ir_dim_term *var, ir_dim by) {
  if (atom->kind == IR_ATOM_SYMBOL) symbol_rows(s, atom->symbol, by);
  else if (atom->kind == IR_ATOM_DIV) quotient_rows(s, atom, var, by);
  else remainder_rows(s, atom, var, by);
}

// ---- assumptions

static void fact_rows(ir_linear *s, const ir_fact *fact, ir_dim by) {
  row r = {0};
  ir_dim e = times(s, fact->e, by);
  if (!e || !add_to(s, &r, e, 1)) return;
  if (fact->kind == IR_FACT_NONNEGATIVE) {
    add_row(s, &r);
    return;
  }
  if (fact->kind == IR_FACT_MULTIPLE) {
    int at = var_of(s, NULL);
    if (at < 0) return;
    r.k[at] = -fact->by;
  }
  add_zero(s, &r);
}

static bool has_term(ir_dim e, const ir_dim_term *term) {
  for (int i = 0; i < e->count; i++) {
    if (same_factors(&e->terms[i], term)) return true;
  }
  return false;
}

static void all_facts(ir_linear *s, const ir_dim_term *term, ir_dim by) {
  const ir_prover *p = s->prover;
  int first = p->fact_count > IR_PROVE_FACTS ? p->fact_count - IR_PROVE_FACTS : 0;
  for (int i = first; i < p->fact_count; i++) {
    if (!has_term(p->facts[i].e, term) || (!by && s->used[i - first])) continue;
    if (by && p->facts[i].kind == IR_FACT_MULTIPLE) continue;
    if (!by) s->used[i - first] = true;
    fact_rows(s, &p->facts[i], by);
  }
}

// ---- all that is known about variable |var|

static void product_rows(ir_linear *s, const ir_dim_term *term) {
  for (int i = 0; i < term->count; i++) {
    ir_dim_term alone = {.coefficient = 1, .count = 1, .factors = {{term->factors[i].atom, 1}}}, rest;
    int64_t lo, hi;
    ir_dim by = ir_term_quotient(term, &alone, &rest) ? dim_of(s, &rest) : NULL;
    if (!by) continue;
    ir_dim_bounds(by, &lo, &hi);
    if (lo < 0) continue;
    atom_rows(s, alone.factors[0].atom, term, by);
    all_facts(s, &alone, by);
  }
}

static void var_rows(ir_linear *s, int var) {
  ir_dim_term term = s->vars[var];
  if (term.count < 0) return;
  ir_dim e = dim_of(s, &term);
  if (!e) return;
  s->now = s->round[var];
  add_interval(s, var, e);
  s->now++;
  all_facts(s, &term, NULL);
  if (term.count == 1 && term.factors[0].power == 1) atom_rows(s, term.factors[0].atom, &term, NULL);
  else product_rows(s, &term);
}

// ---- elimination

static bool combine(const ir_linear *s, const row *a, const row *b, int var, row *out) {
  int64_t g = weir_gcd_i64(a->k[var], b->k[var]), ma = -b->k[var] / g, mb = a->k[var] / g;
  __int128 c = (__int128)a->c * ma + (__int128)b->c * mb;
  if (c > INT64_MAX || c <= INT64_MIN) return false;
  *out = (row){.c = (int64_t)c};
  for (int i = 0; i < s->var_count; i++) {
    __int128 k = (__int128)a->k[i] * ma + (__int128)b->k[i] * mb;
    if (k > INT64_MAX || k <= INT64_MIN) return false;
    out->k[i] = (int64_t)k;
  }
  return true;
}

// The variable whose elimination makes the fewest rows, but not |spare|; -1 when none is left. First come those whose
// elimination loses nothing over the integers: all coefficients of one sign are 1.
static int cheapest(const ir_linear *s, int spare) {
  int best = -1;
  long fewest = 0;
  for (int v = 0; v < s->var_count; v++) {
    long above = 0, below = 0;
    bool units[2] = {true, true};
    for (int i = 0; i < s->row_count; i++) {
      int64_t k = s->rows[i].k[v];
      if (k > 0) above++, units[0] = units[0] && k == 1;
      if (k < 0) below++, units[1] = units[1] && k == -1;
    }
    if (v == spare || above + below == 0) continue;
    long cost = above * below - above - below;
    if (!units[0] && !units[1]) cost += IR_PROVE_ROWS * IR_PROVE_ROWS;
    if (best >= 0 && cost >= fewest) continue;
    best = v;
    fewest = cost;
  }
  return best;
}

static void eliminate(ir_linear *s, int var) {
  int count = 0;
  for (int i = 0; i < s->row_count; i++) {
    row copy = s->rows[i];
    if (copy.k[var] == 0) keep_row(s, s->next, &count, &copy);
  }
  for (int i = 0; i < s->row_count && !s->refuted; i++) {
    for (int j = 0; s->rows[i].k[var] > 0 && j < s->row_count && !s->refuted; j++) {
      row r;
      if (s->rows[j].k[var] >= 0 || s->combines++ >= IR_PROVE_COMBINES) continue;
      if (combine(s, &s->rows[i], &s->rows[j], var, &r)) keep_row(s, s->next, &count, &r);
    }
  }
  memcpy(s->rows, s->next, (size_t)count * sizeof *s->rows);
  s->row_count = count;
}

static void solve_but(ir_linear *s, int spare) {
  for (int v = 0; v < s->var_count && !s->refuted; v++) var_rows(s, v);
  for (int var; !s->refuted && (var = cheapest(s, spare)) >= 0;) eliminate(s, var);
}

static ir_linear *begin(ir_prover *prover) {
  if (!prover->linear) prover->linear = WEIR_NEW(prover->arena, ir_linear);
  ir_linear *s = prover->linear;
  s->prover = prover;
  s->var_count = s->row_count = s->combines = s->now = 0;
  s->refuted = false;
  memset(s->used, 0, sizeof s->used);
  return s;
}

// What the question supposes, times the unknown divisors in it: (q - 1) * A >= 0 is what bounds q = i / A.
static void suppose_products(ir_linear *s, ir_dim e) {
  ir_dim_table *t = s->prover->dims;
  for (int i = 0; i < e->count; i++) {
    for (int j = 0; j < e->terms[i].count; j++) {
      const ir_dim_atom *atom = e->terms[i].factors[j].atom;
      int64_t lo, hi;
      row r = {0};
      if (atom->kind != IR_ATOM_DIV || ir_dim_is_const(atom->b, NULL)) continue;
      ir_dim_bounds(atom->b, &lo, &hi);
      ir_dim below = ir_dim_sub(t, ir_dim_const(t, -1), e);
      for (int k = 0; below && lo >= 0 && atom->b->count == 1 && k < below->count; k++) {
        if (!raw_product(s, &r, &below->terms[k], &atom->b->terms[0], 1)) below = NULL;
      }
      if (below && lo >= 0 && atom->b->count == 1) add_row(s, &r);
    }
  }
}

bool ir_linear_nonnegative(ir_prover *prover, ir_dim e) {
  ir_linear *s = begin(prover);
  row r = {.c = -1};
  if (!e || !add_to(s, &r, e, -1)) return false;
  add_row(s, &r);
  suppose_products(s, e);
  solve_but(s, -1);
  return s->refuted;
}

void ir_linear_bounds(ir_prover *prover, ir_dim e, int64_t *out_lo, int64_t *out_hi) {
  ir_linear *s = begin(prover);
  row r = {0};
  *out_lo = INT64_MIN;
  *out_hi = INT64_MAX;
  int value = var_of(s, NULL);
  if (!add_to(s, &r, e, -1)) return;
  r.k[value] = 1;
  add_zero(s, &r);
  solve_but(s, value);
  for (int i = 0; i < s->row_count; i++) {
    int64_t k = s->rows[i].k[value], c = s->rows[i].c;
    if (k == 0 || c == INT64_MIN) continue;
    if (k > 0 && -ir_floor_div(c, k) > *out_lo) *out_lo = -ir_floor_div(c, k);
    if (k < 0 && ir_floor_div(c, -k) < *out_hi) *out_hi = ir_floor_div(c, -k);
  }
}
