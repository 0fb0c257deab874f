// Dims: the table and the normal form of sums and products.
//
// Interning makes equality a pointer comparison. The one rewrite that normal form needs beyond collecting equal terms:
// a multiple of b * (a / b) becomes a - a % b, so that quotient and remainder add up again and an exact quotient
// cancels.
#include "ir/dim_internal.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/checked.h"

enum { QUOTIENT_BUCKETS = 256 };

struct ir_dim_table {
  weir_arena *arena;
  ir_symbol **symbols;
  int symbol_count, symbol_capacity;
  ir_dim_atom **symbol_atoms;  // one for each symbol
  int atom_count, atom_capacity;
  ir_dim_atom **quotients;  // DIV and MOD atoms, QUOTIENT_BUCKETS lists by hash; null before the first
  ir_dim *slots;            // open addressing, a power of two
  size_t slot_count, used;
  struct ir_prover *prover;  // made by the first question (prove.c)
};

weir_arena *ir_dim_table_arena(const ir_dim_table *table) { return table->arena; }
struct ir_prover **ir_dim_table_prover(ir_dim_table *table) {
  return &table->prover;
}

// ---- symbols

ir_dim_table *ir_dim_table_create(weir_arena *arena) {
  ir_dim_table *table = WEIR_NEW(arena, ir_dim_table);
  table->arena = arena;
  table->slot_count = 64;
  table->slots = WEIR_NEW_ARRAY(arena, ir_dim, table->slot_count);
  return table;
}

ir_symbol *ir_symbol_find(const ir_dim_table *table, const char *name) {
  for (int i = 0; i < table->symbol_count; i++) {
    if (!strcmp(table->symbols[i]->name, name)) return table->symbols[i];
  }
  return NULL;
}

ir_symbol *ir_symbol_get(ir_dim_table *table, const char *name) {
  ir_symbol *symbol = ir_symbol_find(table, name);
  if (symbol) return symbol;
  symbol = WEIR_NEW(table->arena, ir_symbol);
  *symbol = (ir_symbol){.name = weir_arena_strdup(table->arena, name),
                        .role = IR_ROLE_PLAIN,
                        .lo = 1,
                        .hi = INT64_MAX,
                        .divisor = 1,
                        .index = table->symbol_count};
  WEIR_PUSH(table->arena, table->symbols, table->symbol_count, table->symbol_capacity, symbol);
  ir_dim_atom *atom = WEIR_NEW(table->arena, ir_dim_atom);
  *atom = (ir_dim_atom){.kind = IR_ATOM_SYMBOL, .symbol = symbol};
  WEIR_PUSH(table->arena, table->symbol_atoms, table->atom_count, table->atom_capacity, atom);
  return symbol;
}

ir_symbol *ir_symbol_past(ir_dim_table *table, ir_symbol *symbol) {
  if (symbol->past) return table->symbols[symbol->past->index];
  ir_symbol *past = ir_symbol_get(table, weir_arena_printf(table->arena, "%s.past", symbol->name));
  past->role = IR_ROLE_SEQ;
  past->lo = 0;
  past->hi = symbol->hi;
  symbol->past = past;
  return past;
}

ir_symbol *ir_symbol_before(const ir_dim_table *table, const ir_symbol *past) {
  for (int i = 0; i < table->symbol_count; i++) {
    if (table->symbols[i]->past == past) return table->symbols[i];
  }
  return NULL;
}

ir_symbol *ir_symbol_keep(ir_dim_table *table, ir_symbol *symbol, int64_t window) {
  int64_t most = window > 1 ? window - 1 : 0;
  ir_symbol_past(table, symbol);
  ir_symbol *keep = ir_symbol_get(table, weir_arena_printf(table->arena, "%s.keep%lld", symbol->name, (long long)most));
  keep->role = IR_ROLE_SEQ;
  keep->lo = 0;
  keep->hi = most;
  keep->kept_of = symbol;
  return keep;
}

int ir_symbol_count(const ir_dim_table *table) { return table->symbol_count; }
ir_symbol *ir_symbol_at(const ir_dim_table *table, int index) { return table->symbols[index]; }

// ---- order: by structure, highest degree first, the constant last

static int compare_dims(ir_dim a, ir_dim b);

static int compare_atoms(const ir_dim_atom *a, const ir_dim_atom *b) {
  if (a == b) return 0;
  if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
  if (a->kind == IR_ATOM_SYMBOL) return strcmp(a->symbol->name, b->symbol->name);
  int order = compare_dims(a->a, b->a);
  return order ? order : compare_dims(a->b, b->b);
}

static int term_degree(const ir_dim_term *term) {
  int degree = 0;
  for (int i = 0; i < term->count; i++) degree += term->factors[i].power;
  return degree;
}

static int compare_terms(const ir_dim_term *a, const ir_dim_term *b) {
  int da = term_degree(a), db = term_degree(b);
  if (da != db) return da > db ? -1 : 1;
  for (int i = 0; i < a->count && i < b->count; i++) {
    int order = compare_atoms(a->factors[i].atom, b->factors[i].atom);
    if (order) return order;
    if (a->factors[i].power != b->factors[i].power) return a->factors[i].power > b->factors[i].power ? -1 : 1;
  }
  return a->count - b->count;
}

static int compare_dims(ir_dim a, ir_dim b) {
  if (a == b) return 0;
  for (int i = 0; i < a->count && i < b->count; i++) {
    int order = compare_terms(&a->terms[i], &b->terms[i]);
    if (order) return order;
    if (a->terms[i].coefficient != b->terms[i].coefficient) {
      return a->terms[i].coefficient < b->terms[i].coefficient ? -1 : 1;
    }
  }
  return a->count - b->count;
}

static int compare_for_sort(const void *a, const void *b) { return compare_terms(a, b); }

// ---- terms and sums

int64_t ir_floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
int64_t ir_floor_mod(int64_t a, int64_t b) { return a % b < 0 ? a % b + b : a % b; }

bool ir_term_mul(const ir_dim_term *a, const ir_dim_term *b, ir_dim_term *out) {
  ir_dim_term r = {0};
  if (!weir_mul_i64(a->coefficient, b->coefficient, &r.coefficient)) return false;
  int i = 0, j = 0;
  while (i < a->count || j < b->count) {
    int order = i == a->count ? 1 : j == b->count ? -1 : compare_atoms(a->factors[i].atom, b->factors[j].atom);
    ir_dim_factor factor = order <= 0 ? a->factors[i] : b->factors[j];
    if (order == 0) factor.power += b->factors[j].power;
    if (order <= 0) i++;
    if (order >= 0) j++;
    if (r.count == IR_DIM_MAX_FACTORS) return false;
    r.factors[r.count++] = factor;
  }
  if (term_degree(&r) > IR_DIM_MAX_DEGREE) return false;
  *out = r;
  return true;
}

bool ir_term_quotient(const ir_dim_term *a, const ir_dim_term *b, ir_dim_term *out) {
  ir_dim_term r = {.coefficient = 1};
  int j = 0;
  for (int i = 0; i < a->count; i++) {
    ir_dim_factor factor = a->factors[i];
    if (j < b->count && b->factors[j].atom == factor.atom) factor.power -= b->factors[j++].power;
    if (factor.power < 0) return false;
    if (factor.power > 0) r.factors[r.count++] = factor;
  }
  if (j < b->count) return false;
  *out = r;
  return true;
}

bool ir_poly_add_term(ir_poly *poly, const ir_dim_term *term) {
  if (term->coefficient == 0) return true;
  for (int i = 0; i < poly->count; i++) {
    ir_dim_term *mine = &poly->terms[i];
    if (compare_terms(mine, term)) continue;
    if (!weir_add_i64(mine->coefficient, term->coefficient, &mine->coefficient)) return false;
    if (mine->coefficient == 0) *mine = poly->terms[--poly->count];
    return true;
  }
  if (poly->count == IR_DIM_MAX_TERMS) return false;
  poly->terms[poly->count++] = *term;
  return true;
}

bool ir_poly_add_scaled(ir_poly *poly, const ir_dim_term *scale, ir_dim dim) {
  for (int i = 0; i < dim->count; i++) {
    ir_dim_term product;
    if (!ir_term_mul(scale, &dim->terms[i], &product) || !ir_poly_add_term(poly, &product)) return false;
  }
  return true;
}

void ir_poly_init(ir_poly *poly, ir_dim dim) {
  poly->count = dim ? dim->count : 0;
  for (int i = 0; i < poly->count; i++) poly->terms[i] = dim->terms[i];
}

// Finds a term that is a multiple of b * (a / b); |out_scale| is the rest of it.
static bool find_multiple(const ir_poly *poly, int *out_index, const ir_dim_atom **out_atom, ir_dim_term *out_scale) {
  for (int i = 0; i < poly->count; i++) {
    const ir_dim_term *term = &poly->terms[i];
    for (int j = 0; j < term->count; j++) {
      const ir_dim_atom *atom = term->factors[j].atom;
      if (atom->kind != IR_ATOM_DIV || atom->b->count != 1) continue;
      const ir_dim_term *divisor = &atom->b->terms[0];
      ir_dim_term quotient = {.coefficient = 1, .count = 1, .factors = {{atom, 1}}}, whole;
      if (!ir_term_mul(&quotient, divisor, &whole) || !ir_term_quotient(term, &whole, out_scale)) continue;
      if (term->coefficient == INT64_MIN || term->coefficient % divisor->coefficient) continue;
      out_scale->coefficient = term->coefficient / divisor->coefficient;
      *out_index = i;
      *out_atom = atom;
      return true;
    }
  }
  return false;
}

static bool cancel_quotients(ir_dim_table *table, ir_poly *poly) {
  int index;
  const ir_dim_atom *atom;
  ir_dim_term scale;
  for (int round = 0; find_multiple(poly, &index, &atom, &scale); round++) {
    if (round == IR_DIM_MAX_TERMS) return false;
    poly->terms[index] = poly->terms[--poly->count];
    ir_dim exact = ir_dim_sub(table, atom->a, ir_dim_mod(table, atom->a, atom->b));
    if (!exact || !ir_poly_add_scaled(poly, &scale, exact)) return false;
  }
  return true;
}

// Where b divides a, the only term of |atom|'s dividend, a is b * (a / b): |index| has the quotient as a factor, and
// the term with a in its place is the same unknown. Both become one, of a if it is whole, else of the quotient.
static bool join_exact(ir_dim_table *table, ir_poly *poly, int index, const ir_dim_atom *atom, bool *out_joined) {
  int64_t by = atom->b->terms[0].coefficient, total;
  ir_dim_term quotient = {.coefficient = 1, .count = 1, .factors = {{atom, 1}}}, rest, whole;
  ir_dim remainder = ir_dim_mod(table, atom->a, atom->b);
  if (!remainder || remainder->count) return remainder != NULL;
  if (!ir_term_quotient(&poly->terms[index], &quotient, &rest) || !ir_term_mul(&rest, &atom->a->terms[0], &whole))
    return true;
  for (int i = 0; i < poly->count; i++) {
    if (compare_terms(&poly->terms[i], &whole)) continue;
    if (!weir_mul_i64(poly->terms[i].coefficient, by, &total) ||
        !weir_add_i64(total, poly->terms[index].coefficient, &total))
      return false;
    bool is_whole = total % by == 0;
    int keep = is_whole ? i : index, drop = is_whole ? index : i;
    poly->terms[keep].coefficient = is_whole ? total / by : total;
    poly->terms[drop] = poly->terms[--poly->count];
    *out_joined = true;
    return true;
  }
  return true;
}

static bool join_quotients(ir_dim_table *table, ir_poly *poly) {
  for (int i = 0; i < poly->count; i++) {
    bool joined = false;
    for (int j = 0; j < poly->terms[i].count && !joined; j++) {
      const ir_dim_atom *atom = poly->terms[i].factors[j].atom;
      bool simple = atom->kind == IR_ATOM_DIV && atom->b->count == 1 && !atom->b->terms[0].count &&
                    atom->a->count == 1 && atom->a->terms[0].coefficient == 1;
      if (simple && !join_exact(table, poly, i, atom, &joined)) return false;
    }
    if (joined) i = -1;  // fewer terms than before
  }
  for (int i = 0; i < poly->count; i++) {
    if (poly->terms[i].coefficient == 0) poly->terms[i--] = poly->terms[--poly->count];
  }
  return true;
}

static uint64_t hash_terms(const ir_poly *poly) {
  uint64_t hash = 1469598103934665603u;
  for (int i = 0; i < poly->count; i++) {
    hash = (hash ^ (uint64_t)poly->terms[i].coefficient) * 1099511628211u;
    for (int j = 0; j < poly->terms[i].count; j++) {
      hash = (hash ^ ((uintptr_t)poly->terms[i].factors[j].atom >> 4)) * 1099511628211u;
      hash = (hash ^ (uint64_t)poly->terms[i].factors[j].power) * 1099511628211u;
    }
    hash ^= hash >> 29;
  }
  return hash;
}

static bool same_terms(ir_dim dim, const ir_poly *poly) {
  if (dim->count != poly->count) return false;
  for (int i = 0; i < dim->count; i++) {
    if (dim->terms[i].coefficient != poly->terms[i].coefficient) return false;
    if (compare_terms(&dim->terms[i], &poly->terms[i])) return false;
  }
  return true;
}

static void grow_slots(ir_dim_table *table) {
  size_t count = table->slot_count * 2;
  ir_dim *slots = WEIR_NEW_ARRAY(table->arena, ir_dim, count);
  for (size_t i = 0; i < table->slot_count; i++) {
    if (!table->slots[i]) continue;
    size_t at = table->slots[i]->hash & (count - 1);
    while (slots[at]) at = (at + 1) & (count - 1);
    slots[at] = table->slots[i];
  }
  table->slots = slots;
  table->slot_count = count;
}

ir_dim ir_poly_finish(ir_dim_table *table, ir_poly *poly) {
  if (!cancel_quotients(table, poly) || !join_quotients(table, poly)) return NULL;
  qsort(poly->terms, (size_t)poly->count, sizeof poly->terms[0], compare_for_sort);
  uint64_t hash = hash_terms(poly);
  size_t at = hash & (table->slot_count - 1);
  for (; table->slots[at]; at = (at + 1) & (table->slot_count - 1)) {
    if (table->slots[at]->hash == hash && same_terms(table->slots[at], poly)) return table->slots[at];
  }
  int depth = 0;
  for (int i = 0; i < poly->count; i++) {
    for (int j = 0; j < poly->terms[i].count; j++) {
      if (poly->terms[i].factors[j].atom->depth > depth) depth = poly->terms[i].factors[j].atom->depth;
    }
  }
  ir_dim_node *dim = WEIR_NEW(table->arena, ir_dim_node);
  ir_dim_term *terms = WEIR_NEW_ARRAY(table->arena, ir_dim_term, poly->count);
  if (poly->count) memcpy(terms, poly->terms, (size_t)poly->count * sizeof *terms);
  *dim = (ir_dim_node){.count = poly->count, .depth = depth, .hash = hash, .terms = terms};
  table->slots[at] = dim;
  if (++table->used * 2 > table->slot_count) grow_slots(table);
  return dim;
}

// ---- builders

ir_dim ir_dim_const(ir_dim_table *table, int64_t value) {
  ir_poly poly = {.count = value != 0};
  poly.terms[0] = (ir_dim_term){.coefficient = value};
  return ir_poly_finish(table, &poly);
}

ir_dim ir_dim_symbol(ir_dim_table *table, const ir_symbol *symbol) {
  ir_poly poly = {.count = 1};
  poly.terms[0] = (ir_dim_term){.coefficient = 1, .count = 1, .factors = {{table->symbol_atoms[symbol->index], 1}}};
  return ir_poly_finish(table, &poly);
}

static ir_dim add_scaled(ir_dim_table *table, ir_dim a, ir_dim b, int64_t scale) {
  if (!a || !b) return NULL;
  ir_poly poly;
  ir_poly_init(&poly, a);
  ir_dim_term factor = {.coefficient = scale};
  return ir_poly_add_scaled(&poly, &factor, b) ? ir_poly_finish(table, &poly) : NULL;
}

ir_dim ir_dim_add(ir_dim_table *table, ir_dim a, ir_dim b) { return add_scaled(table, a, b, 1); }
ir_dim ir_dim_sub(ir_dim_table *table, ir_dim a, ir_dim b) { return add_scaled(table, a, b, -1); }

ir_dim ir_dim_mul(ir_dim_table *table, ir_dim a, ir_dim b) {
  if (!a || !b) return NULL;
  ir_poly poly = {.count = 0};
  for (int i = 0; i < a->count; i++) {
    if (!ir_poly_add_scaled(&poly, &a->terms[i], b)) return NULL;
  }
  return ir_poly_finish(table, &poly);
}

ir_dim ir_dim_atom_of(ir_dim_table *table, ir_atom_kind kind, ir_dim a, ir_dim b) {
  if (!table->quotients) table->quotients = WEIR_NEW_ARRAY(table->arena, ir_dim_atom *, QUOTIENT_BUCKETS);
  ir_dim_atom **bucket = &table->quotients[(a->hash * 31 + b->hash * 7 + kind) % QUOTIENT_BUCKETS], *atom = *bucket;
  while (atom && !(atom->kind == kind && atom->a == a && atom->b == b)) atom = atom->next;
  if (!atom) {
    int depth = 1 + (a->depth > b->depth ? a->depth : b->depth);
    if (depth > IR_DIM_MAX_DEPTH) return NULL;
    atom = WEIR_NEW(table->arena, ir_dim_atom);
    *atom = (ir_dim_atom){.kind = kind, .a = a, .b = b, .depth = depth, .next = *bucket};
    *bucket = atom;
  }
  ir_poly poly = {.count = 1};
  poly.terms[0] = (ir_dim_term){.coefficient = 1, .count = 1, .factors = {{atom, 1}}};
  return ir_poly_finish(table, &poly);
}

// ---- replacing symbols

static ir_dim substitute_atom(ir_dim_table *table, const ir_dim_atom *atom, const ir_dim *map) {
  if (atom->kind == IR_ATOM_SYMBOL) {
    return map[atom->symbol->index] ? map[atom->symbol->index] : ir_dim_symbol(table, atom->symbol);
  }
  ir_dim a = ir_dim_substitute(table, atom->a, map), b = ir_dim_substitute(table, atom->b, map);
  return atom->kind == IR_ATOM_DIV ? ir_dim_div(table, a, b) : ir_dim_mod(table, a, b);
}

ir_dim ir_dim_substitute(ir_dim_table *table, ir_dim dim, const ir_dim *map) {
  if (!dim) return NULL;
  ir_dim sum = ir_dim_const(table, 0);
  for (int i = 0; i < dim->count; i++) {
    ir_dim product = ir_dim_const(table, dim->terms[i].coefficient);
    for (int j = 0; j < dim->terms[i].count; j++) {
      ir_dim value = substitute_atom(table, dim->terms[i].factors[j].atom, map);
      for (int k = 0; k < dim->terms[i].factors[j].power; k++) product = ir_dim_mul(table, product, value);
    }
    sum = ir_dim_add(table, sum, product);
  }
  return sum;
}
