// The prover: expressions, facts, and the questions that normal forms and residues answer. The rest is a linear system
// (prove_linear.c).
#include "ir/prove_internal.h"

#include <string.h>

#include "runtime/base/checked.h"

ir_prover *ir_prover_create(weir_arena *arena) {
  ir_prover *prover = WEIR_NEW(arena, ir_prover);
  prover->arena = arena;
  prover->dims = ir_dim_table_create(arena);
  return prover;
}

ir_dim_table *ir_prover_dims(ir_prover *prover) { return prover->dims; }

// ---- symbols

static ir_symbol *new_symbol(ir_prover *prover, const char *name, const ir_symbol *source) {
  const char *unique = name;
  for (int i = 2; ir_symbol_find(prover->dims, unique); i++)
    unique = weir_arena_printf(prover->arena, "%s#%d", name, i + prover->symbol_count);
  ir_symbol *symbol = ir_symbol_get(prover->dims, unique);
  ir_prover_symbol row = {.source = source, .shown = weir_arena_strdup(prover->arena, name)};
  WEIR_PUSH(prover->arena, prover->symbols, prover->symbol_count, prover->symbol_capacity, row);
  return symbol;
}

static const void *import_constant(void *user, int64_t value) {
  ir_prover *prover = user;
  return ir_dim_const(prover->dims, value);
}

// Normal forms depend on bounds and divisors: a source whose facts have changed since is another symbol.
static const void *import_symbol(void *user, const ir_symbol *source) {
  ir_prover *prover = user;
  for (int i = prover->symbol_count - 1; i >= 0; i--) {
    ir_symbol *known = ir_symbol_at(prover->dims, i);
    if (prover->symbols[i].source != source) continue;
    if (known->lo == source->lo && known->hi == source->hi && known->divisor == source->divisor)
      return ir_dim_symbol(prover->dims, known);
    break;
  }
  ir_symbol *symbol = new_symbol(prover, source->name, source);
  symbol->role = source->role;
  symbol->lo = source->lo;
  symbol->hi = source->hi;
  symbol->divisor = source->divisor > 0 ? source->divisor : 1;
  return ir_dim_symbol(prover->dims, symbol);
}

static const void *import_binary(void *user, char op, const void *a, const void *b) {
  ir_prover *prover = user;
  switch (op) {
    case '+':
      return ir_dim_add(prover->dims, a, b);
    case '-':
      return ir_dim_sub(prover->dims, a, b);
    case '*':
      return ir_dim_mul(prover->dims, a, b);
    case '/':
      return ir_dim_div(prover->dims, a, b);
    default:
      return ir_dim_mod(prover->dims, a, b);
  }
}

ir_dim ir_prover_import(ir_prover *prover, ir_dim dim) {
  ir_dim_algebra algebra = {prover, import_constant, import_symbol, import_binary};
  return dim ? ir_dim_convert(dim, &algebra) : NULL;
}

ir_dim ir_prover_index(ir_prover *prover, const char *name, ir_dim low, ir_dim high) {
  ir_symbol *symbol = new_symbol(prover, name, NULL);
  int64_t lo = INT64_MIN, hi = INT64_MAX, ignored;
  if (low) ir_dim_bounds(low, &lo, &ignored);
  if (high) ir_dim_bounds(high, &ignored, &hi);
  if (hi != INT64_MAX && hi != INT64_MIN) hi--;
  symbol->lo = lo;
  symbol->hi = hi < lo ? lo : hi;  // an empty range: whatever is said of its elements holds
  prover->symbols[symbol->index].low = low;
  prover->symbols[symbol->index].high = high;
  return ir_dim_symbol(prover->dims, symbol);
}

ir_dim ir_prover_unknown(ir_prover *prover, const char *name, int64_t lo, int64_t hi) {
  ir_symbol *symbol = new_symbol(prover, name, NULL);
  symbol->lo = lo;
  symbol->hi = hi < lo ? lo : hi;
  return ir_dim_symbol(prover->dims, symbol);
}

// ---- assuming

static void push_fact(ir_prover *prover, ir_fact_kind kind, ir_dim e, int64_t by) {
  ir_fact fact = {kind, e, by};
  if (!e || ir_dim_is_const(e, NULL)) return;
  WEIR_PUSH(prover->arena, prover->facts, prover->fact_count, prover->fact_capacity, fact);
}

// The expression that is not negative where the relation (not EQ, NE) holds; null on overflow.
static ir_dim slack(ir_prover *prover, ir_prove_relation relation, ir_dim a, ir_dim b) {
  ir_dim_table *t = prover->dims;
  ir_dim one = ir_dim_const(t, 1);
  switch (relation) {
    case IR_PROVE_LT:
      return ir_dim_sub(t, ir_dim_sub(t, b, a), one);
    case IR_PROVE_LE:
      return ir_dim_sub(t, b, a);
    case IR_PROVE_GT:
      return ir_dim_sub(t, ir_dim_sub(t, a, b), one);
    default:
      return ir_dim_sub(t, a, b);
  }
}

void ir_prover_assume(ir_prover *prover, ir_prove_relation relation, ir_dim a, ir_dim b) {
  if (relation == IR_PROVE_NE || !a || !b) return;
  if (relation == IR_PROVE_EQ) push_fact(prover, IR_FACT_ZERO, ir_dim_sub(prover->dims, a, b), 0);
  else push_fact(prover, IR_FACT_NONNEGATIVE, slack(prover, relation, a, b), 0);
}

void ir_prover_assume_multiple(ir_prover *prover, ir_dim e, int64_t by) {
  if (by > 1) push_fact(prover, IR_FACT_MULTIPLE, e, by);
}

int ir_prover_mark(const ir_prover *prover) { return prover->fact_count; }
void ir_prover_release(ir_prover *prover, int mark) { prover->fact_count = mark; }

// ---- residues

// x with x * c == d modulo |by|, or -1.
static int64_t solve(int64_t c, int64_t d, int64_t by) {
  int64_t g = weir_gcd_i64(c, by);
  if (g == 0 || d % g) return -1;
  int64_t m = by / g;
  __int128 r0 = m, r1 = (c / g) % m, t0 = 0, t1 = 1;
  while (r1) {
    __int128 q = r0 / r1, r = r0 - q * r1, t = t0 - q * t1;
    r0 = r1, r1 = r, t0 = t1, t1 = t;
  }
  __int128 x = t0 % m * ((d / g) % m) % m;
  return (int64_t)(x < 0 ? x + m : x);
}

static void reduce_coefficients(ir_poly *poly, int64_t by) {
  for (int i = 0; i < poly->count; i++) {
    poly->terms[i].coefficient = ir_floor_mod(poly->terms[i].coefficient, by);
    if (poly->terms[i].coefficient) continue;
    poly->terms[i--] = poly->terms[--poly->count];
  }
}

// Takes one term of |poly| away with a multiple of the fact; false where it has none to take.
static bool reduce_by(ir_poly *poly, const ir_fact *fact, int64_t by) {
  int64_t known = fact->kind == IR_FACT_ZERO ? by : weir_gcd_i64(fact->by, by), scale = by / known;
  const ir_dim_term *lead = NULL;
  for (int i = 0; i < fact->e->count && !lead; i++) {
    if (fact->e->terms[i].count) lead = &fact->e->terms[i];
  }
  for (int i = 0; lead && i < poly->count; i++) {
    ir_dim_term factor;
    if (!ir_term_quotient(&poly->terms[i], lead, &factor)) continue;
    __int128 c = (__int128)ir_floor_mod(lead->coefficient, by) * scale % by;
    int64_t x = solve((int64_t)c, poly->terms[i].coefficient, by);
    if (x <= 0 || !weir_mul_i64(x, scale, &factor.coefficient)) continue;
    factor.coefficient = -(factor.coefficient % by);
    if (!ir_poly_add_scaled(poly, &factor, fact->e)) return false;
    reduce_coefficients(poly, by);
    return true;
  }
  return false;
}

bool ir_prove_residue(ir_prover *prover, ir_dim e, int64_t by) {
  int64_t value;
  ir_dim rest = e && by > 0 ? ir_dim_mod(prover->dims, e, ir_dim_const(prover->dims, by)) : NULL;
  if (!rest) return false;
  if (ir_dim_is_const(rest, &value)) return value == 0;
  ir_poly poly;
  ir_poly_init(&poly, e);
  reduce_coefficients(&poly, by);
  int first = prover->fact_count > IR_PROVE_FACTS ? prover->fact_count - IR_PROVE_FACTS : 0;
  for (int i = prover->fact_count - 1; i >= first; i--) {
    const ir_fact *fact = &prover->facts[i];
    if (fact->kind == IR_FACT_NONNEGATIVE) continue;
    for (int round = 0; round < IR_DIM_MAX_TERMS && reduce_by(&poly, fact, by); round++) {
    }
  }
  rest = ir_poly_finish(prover->dims, &poly);
  rest = rest ? ir_dim_mod(prover->dims, rest, ir_dim_const(prover->dims, by)) : NULL;
  return rest && ir_dim_is_const(rest, &value) && value == 0;
}

// ---- quotients by an unknown: a / b is 0 and a % b is a where 0 <= a < b is proved

static bool by_unknown(ir_dim e) {
  for (int i = 0; i < e->count; i++) {
    for (int j = 0; j < e->terms[i].count; j++) {
      const ir_dim_atom *atom = e->terms[i].factors[j].atom;
      if (atom->kind == IR_ATOM_SYMBOL) continue;
      if (!ir_dim_is_const(atom->b, NULL) || by_unknown(atom->a)) return true;
    }
  }
  return false;
}

static const void *settle_symbol(void *user, const ir_symbol *symbol) {
  ir_prover *prover = user;
  return ir_dim_symbol(prover->dims, symbol);
}

static const void *settle_binary(void *user, char op, const void *a, const void *b) {
  ir_prover *prover = user;
  bool quotient = (op == '/' || op == '%') && a && b && !ir_dim_is_const(b, NULL);
  if (quotient && ir_prove_inside(prover, a, b)) return op == '%' ? a : ir_dim_const(prover->dims, 0);
  return import_binary(user, op, a, b);
}

static ir_dim settle(ir_prover *prover, ir_dim e) {
  ir_dim_algebra algebra = {prover, import_constant, settle_symbol, settle_binary};
  if (!e || !by_unknown(e)) return e;
  ir_dim settled = ir_dim_convert(e, &algebra);
  return settled ? settled : e;
}

// ---- asking

bool ir_prove_multiple(ir_prover *prover, ir_dim e, int64_t by) {
  if (!e || by <= 0) return false;
  if (by == 1 || ir_prove_residue(prover, e, by)) return true;
  ir_dim rest = ir_dim_mod(prover->dims, e, ir_dim_const(prover->dims, by));
  return rest && ir_linear_nonnegative(prover, ir_dim_sub(prover->dims, ir_dim_const(prover->dims, 0), rest));
}

bool ir_prove_nonnegative(ir_prover *prover, ir_dim e) {
  int64_t lo, hi;
  if (!e) return false;
  ir_dim_bounds(e, &lo, &hi);
  if (lo >= 0) return true;
  if (hi < 0 && !prover->fact_count) return false;
  return ir_linear_nonnegative(prover, settle(prover, e));
}

bool ir_prove_compare(ir_prover *prover, ir_prove_relation relation, ir_dim a, ir_dim b) {
  if (!a || !b) return false;
  if (relation == IR_PROVE_EQ) {
    if (a == b) return true;
    return ir_prove_nonnegative(prover, slack(prover, IR_PROVE_GE, a, b)) &&
           ir_prove_nonnegative(prover, slack(prover, IR_PROVE_LE, a, b));
  }
  if (relation == IR_PROVE_NE) {
    if (a == b) return false;
    return ir_prove_nonnegative(prover, slack(prover, IR_PROVE_LT, a, b)) ||
           ir_prove_nonnegative(prover, slack(prover, IR_PROVE_GT, a, b));
  }
  return ir_prove_nonnegative(prover, slack(prover, relation, a, b));
}

int ir_prove_decide(ir_prover *prover, ir_prove_relation relation, ir_dim a, ir_dim b) {
  static const ir_prove_relation opposite[] = {
      [IR_PROVE_EQ] = IR_PROVE_NE, [IR_PROVE_NE] = IR_PROVE_EQ, [IR_PROVE_LT] = IR_PROVE_GE,
      [IR_PROVE_LE] = IR_PROVE_GT, [IR_PROVE_GT] = IR_PROVE_LE, [IR_PROVE_GE] = IR_PROVE_LT};
  if (ir_prove_compare(prover, relation, a, b)) return 1;
  return ir_prove_compare(prover, opposite[relation], a, b) ? 0 : -1;
}

void ir_prove_bounds(ir_prover *prover, ir_dim e, int64_t *out_lo, int64_t *out_hi) {
  *out_lo = INT64_MIN;
  *out_hi = INT64_MAX;
  if (!e) return;
  ir_dim_bounds(e, out_lo, out_hi);
  if (*out_lo == *out_hi) return;
  int64_t lo, hi;
  ir_linear_bounds(prover, settle(prover, e), &lo, &hi);
  if (lo > *out_lo) *out_lo = lo;
  if (hi < *out_hi) *out_hi = hi;
}

bool ir_prove_inside(ir_prover *prover, ir_dim e, ir_dim size) {
  return ir_prove_nonnegative(prover, e) && ir_prove_compare(prover, IR_PROVE_LT, e, size);
}

// ---- dims of a module

ir_prover *ir_dim_prover(ir_dim_table *table) {
  ir_prover **slot = ir_dim_table_prover(table);
  if (!*slot) *slot = ir_prover_create(ir_dim_table_arena(table));
  return *slot;
}

// The interval of a sum of different symbols is exact: no proof could say more.
static bool is_plain_sum(ir_dim e) {
  for (int i = 0; i < e->count; i++) {
    const ir_dim_term *term = &e->terms[i];
    if (term->count > 1) return false;
    if (term->count && (term->factors[0].power > 1 || term->factors[0].atom->kind != IR_ATOM_SYMBOL ||
                        term->factors[0].atom->symbol->divisor > 1))
      return false;
  }
  return true;
}

static int from_interval(ir_prove_relation relation, int64_t lo, int64_t hi) {
  switch (relation) {
    case IR_PROVE_EQ:
      return lo == 0 && hi == 0 ? 1 : lo > 0 || hi < 0 ? 0 : -1;
    case IR_PROVE_NE:
      return lo == 0 && hi == 0 ? 0 : lo > 0 || hi < 0 ? 1 : -1;
    case IR_PROVE_LT:
      return hi < 0 ? 1 : lo >= 0 ? 0 : -1;
    case IR_PROVE_LE:
      return hi <= 0 ? 1 : lo > 0 ? 0 : -1;
    case IR_PROVE_GT:
      return lo > 0 ? 1 : hi <= 0 ? 0 : -1;
    default:
      return lo >= 0 ? 1 : hi < 0 ? 0 : -1;
  }
}

int ir_dim_decide(ir_dim_table *table, ir_prove_relation relation, ir_dim a, ir_dim b) {
  int64_t lo, hi;
  ir_dim difference = a && b ? ir_dim_sub(table, a, b) : NULL;
  if (!difference) return -1;
  ir_dim_bounds(difference, &lo, &hi);
  int decided = from_interval(relation, lo, hi);
  ir_prover *prover = ir_dim_prover(table);
  if (decided >= 0 || (!prover->fact_count && is_plain_sum(difference))) return decided;
  return ir_prove_decide(prover, relation, ir_prover_import(prover, a), ir_prover_import(prover, b));
}

const char *ir_dim_missing(ir_dim_table *table, weir_arena *arena, ir_prove_relation relation, ir_dim a, ir_dim b) {
  ir_prover *prover = ir_dim_prover(table);
  return ir_prove_missing(prover, arena, relation, ir_prover_import(prover, a), ir_prover_import(prover, b));
}
