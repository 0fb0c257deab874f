// Dims: questions about one (constant, symbol, role), the interval of its values, its value for given sizes.
#include "ir/dim_internal.h"

#include "runtime/base/checked.h"

bool ir_dim_is_const(ir_dim dim, int64_t *out_value) {
  if (dim->count > 1 || (dim->count == 1 && dim->terms[0].count)) return false;
  if (out_value) *out_value = dim->count ? dim->terms[0].coefficient : 0;
  return true;
}

const ir_symbol *ir_dim_as_symbol(ir_dim dim) {
  if (dim->count != 1 || dim->terms[0].coefficient != 1 || dim->terms[0].count != 1) return NULL;
  const ir_dim_factor *factor = &dim->terms[0].factors[0];
  return factor->power == 1 && factor->atom->kind == IR_ATOM_SYMBOL ? factor->atom->symbol : NULL;
}

ir_dim ir_dim_first_position(ir_dim_table *table, ir_dim dim) {
  const ir_symbol *whole = ir_dim_as_symbol(dim);
  if (whole && whole->past) return ir_dim_symbol(table, whole->past);
  for (int i = 0; i < ir_symbol_count(table); i++) {
    const ir_symbol *keep = ir_symbol_at(table, i);
    if (!keep->kept_of || !keep->kept_of->past || !ir_dim_mentions(dim, keep)) continue;
    ir_dim kept = ir_dim_symbol(table, keep);
    if (dim != ir_dim_add(table, ir_dim_symbol(table, keep->kept_of), kept)) continue;
    return ir_dim_sub(table, ir_dim_symbol(table, keep->kept_of->past), kept);
  }
  return ir_dim_const(table, 0);
}

void ir_dim_visit(ir_dim dim, void (*visit)(void *user, const ir_symbol *symbol), void *user) {
  for (int i = 0; i < dim->count; i++) {
    for (int j = 0; j < dim->terms[i].count; j++) {
      const ir_dim_atom *atom = dim->terms[i].factors[j].atom;
      if (atom->kind == IR_ATOM_SYMBOL) {
        visit(user, atom->symbol);
      } else {
        ir_dim_visit(atom->a, visit, user);
        ir_dim_visit(atom->b, visit, user);
      }
    }
  }
}

static void visit_role(void *user, const ir_symbol *symbol) {
  ir_role *role = user;
  if (symbol->role == IR_ROLE_SEQ || (symbol->role == IR_ROLE_BATCH && *role == IR_ROLE_PLAIN)) *role = symbol->role;
}

ir_role ir_dim_role(ir_dim dim) {
  ir_role role = IR_ROLE_PLAIN;
  ir_dim_visit(dim, visit_role, &role);
  return role;
}

typedef struct {
  const ir_symbol *symbol;
  bool found;
} mention;

static void visit_mention(void *user, const ir_symbol *symbol) {
  mention *search = user;
  search->found |= symbol == search->symbol;
}

bool ir_dim_mentions(ir_dim dim, const ir_symbol *symbol) {
  mention search = {symbol, false};
  ir_dim_visit(dim, visit_mention, &search);
  return search.found;
}

// ---- intervals; the ends of 64 bits stand for no bound and stay there

typedef struct {
  int64_t lo, hi;
} interval;

static bool is_end(int64_t x) { return x == INT64_MIN || x == INT64_MAX; }

static int64_t saturate(__int128 x) {
  if (x >= INT64_MAX) return INT64_MAX;
  return x <= INT64_MIN ? INT64_MIN : (int64_t)x;
}

static int64_t add_ends(int64_t a, int64_t b) {
  if (is_end(a)) return a;
  return is_end(b) ? b : saturate((__int128)a + b);
}

static int64_t mul_ends(int64_t a, int64_t b) {
  if (a == 0 || b == 0) return 0;
  if (is_end(a) || is_end(b)) return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
  return saturate((__int128)a * b);
}

static interval mul_intervals(interval a, interval b) {
  int64_t corners[4] = {mul_ends(a.lo, b.lo), mul_ends(a.lo, b.hi), mul_ends(a.hi, b.lo), mul_ends(a.hi, b.hi)};
  interval r = {corners[0], corners[0]};
  for (int i = 1; i < 4; i++) {
    if (corners[i] < r.lo) r.lo = corners[i];
    if (corners[i] > r.hi) r.hi = corners[i];
  }
  return r;
}

static interval dim_interval(ir_dim dim);

static interval div_intervals(interval a, interval b) {
  if (b.lo <= 0) return (interval){INT64_MIN, INT64_MAX};
  int64_t low_divisor = a.lo < 0 ? b.lo : b.hi, high_divisor = a.hi < 0 ? b.hi : b.lo;
  interval r;
  r.lo = a.lo == INT64_MIN ? INT64_MIN : ir_floor_div(a.lo, low_divisor);
  r.hi = a.hi == INT64_MAX ? INT64_MAX : ir_floor_div(a.hi, high_divisor);
  return r;
}

static interval atom_interval(const ir_dim_atom *atom) {
  if (atom->kind == IR_ATOM_SYMBOL) return (interval){atom->symbol->lo, atom->symbol->hi};
  interval a = dim_interval(atom->a), b = dim_interval(atom->b);
  if (atom->kind == IR_ATOM_DIV) return div_intervals(a, b);
  if (b.lo <= 0) return (interval){INT64_MIN, INT64_MAX};
  interval r = {0, b.hi == INT64_MAX ? INT64_MAX : b.hi - 1};
  if (a.lo >= 0 && a.hi < r.hi) r.hi = a.hi;
  return r;
}

static interval dim_interval(ir_dim dim) {
  interval sum = {0, 0};
  for (int i = 0; i < dim->count; i++) {
    interval product = {dim->terms[i].coefficient, dim->terms[i].coefficient};
    for (int j = 0; j < dim->terms[i].count; j++) {
      interval one = atom_interval(dim->terms[i].factors[j].atom);
      for (int k = 0; k < dim->terms[i].factors[j].power; k++) product = mul_intervals(product, one);
    }
    sum.lo = sum.lo == INT64_MIN || product.lo == INT64_MIN ? INT64_MIN : add_ends(sum.lo, product.lo);
    sum.hi = sum.hi == INT64_MAX || product.hi == INT64_MAX ? INT64_MAX : add_ends(sum.hi, product.hi);
  }
  return sum;
}

void ir_dim_bounds(ir_dim dim, int64_t *out_lo, int64_t *out_hi) {
  interval r = dim_interval(dim);
  *out_lo = r.lo;
  *out_hi = r.hi;
}

// ---- values

static bool eval_atom(const ir_dim_atom *atom, const int64_t *values, int64_t *out) {
  if (atom->kind == IR_ATOM_SYMBOL) {
    *out = values[atom->symbol->index];
    return true;
  }
  int64_t a, b;
  if (!ir_dim_eval(atom->a, values, &a) || !ir_dim_eval(atom->b, values, &b)) return false;
  if (b == 0 || (b == -1 && a == INT64_MIN)) return false;
  int64_t quotient = a / b, rest = a % b;
  bool below = rest != 0 && (rest < 0) != (b < 0);
  *out = atom->kind == IR_ATOM_DIV ? quotient - below : (below ? rest + b : rest);
  return true;
}

bool ir_dim_eval(ir_dim dim, const int64_t *values, int64_t *out) {
  int64_t sum = 0;
  for (int i = 0; i < dim->count; i++) {
    int64_t product = dim->terms[i].coefficient, value;
    for (int j = 0; j < dim->terms[i].count; j++) {
      if (!eval_atom(dim->terms[i].factors[j].atom, values, &value)) return false;
      for (int k = 0; k < dim->terms[i].factors[j].power; k++) {
        if (!weir_mul_i64(product, value, &product)) return false;
      }
    }
    if (!weir_add_i64(sum, product, &sum)) return false;
  }
  *out = sum;
  return true;
}
