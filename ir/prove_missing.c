// What a failed proof lacks, in the words of a `where`.
//
// Rounding first: if the proof goes through once some divisions are exact, those are the facts. Else the relation
// itself is brought into its simplest form: a bound of the only symbol, or all that is subtracted moved to the other
// side.
#include <string.h>

#include "ir/prove_internal.h"
#include "ir/text_buffer.h"

// "n#12" quoted by the printer becomes the name it was made with.
const char *ir_prove_text(const ir_prover *prover, weir_arena *arena, ir_dim e) {
  ir_text out;
  const char *at = ir_dim_print(arena, e);
  ir_text_init(&out, arena);
  while (*at) {
    const char *end = *at == '"' ? strchr(at + 1, '"') : NULL;
    if (!end) {
      ir_text_printf(&out, "%c", *at++);
      continue;
    }
    const char *name = weir_arena_strndup(arena, at + 1, (size_t)(end - at - 1));
    const ir_symbol *symbol = ir_symbol_find(prover->dims, name);
    ir_text_puts(&out, symbol ? prover->symbols[symbol->index].shown : name);
    at = end + 1;
  }
  return out.data;
}

// ---- divisions that should be exact

enum { MAX_DIVISIONS = 6 };

typedef struct {
  ir_dim a[MAX_DIVISIONS];
  int64_t by[MAX_DIVISIONS];
  int count;
} divisions;

// Those of an expression and of the ranges of its indices.
static void collect(const ir_prover *prover, divisions *d, ir_dim e, int depth) {
  for (int i = 0; i < e->count; i++) {
    for (int j = 0; j < e->terms[i].count; j++) {
      const ir_dim_atom *atom = e->terms[i].factors[j].atom;
      int64_t by;
      if (atom->kind == IR_ATOM_SYMBOL) {
        const ir_prover_symbol *index = &prover->symbols[atom->symbol->index];
        if (index->low && depth < 4) collect(prover, d, index->low, depth + 1);
        if (index->high && depth < 4) collect(prover, d, index->high, depth + 1);
        continue;
      }
      collect(prover, d, atom->a, depth);
      if (!ir_dim_is_const(atom->b, &by) || by < 2) continue;
      bool known = d->count == MAX_DIVISIONS;
      for (int k = 0; k < d->count && !known; k++) known = d->a[k] == atom->a && d->by[k] == by;
      if (!known) d->a[d->count] = atom->a, d->by[d->count++] = by;
    }
  }
}

typedef struct {
  ir_prover *prover;
  weir_arena *arena;
  ir_prove_relation relation;
  ir_dim a, b;
} question;

static bool with_multiple(const question *q, ir_dim e, int64_t by) {
  int mark = ir_prover_mark(q->prover);
  ir_prover_assume_multiple(q->prover, e, by);
  bool proved = ir_prove_compare(q->prover, q->relation, q->a, q->b);
  ir_prover_release(q->prover, mark);
  return proved;
}

static const char *multiple_text(const question *q, ir_dim e, int64_t by) {
  const char *text = ir_prove_text(q->prover, q->arena, e);
  return weir_arena_printf(q->arena, strpbrk(text, " */%") ? "(%s) %% %lld == 0" : "%s %% %lld == 0", text,
                           (long long)by);
}

typedef struct {
  const question *question;
  int64_t by;
  const char *text;
} symbol_try;

static void try_symbol(void *user, const ir_symbol *symbol) {
  symbol_try *t = user;
  ir_dim e = ir_dim_symbol(t->question->prover->dims, symbol);
  if (!t->text && with_multiple(t->question, e, t->by)) t->text = multiple_text(t->question, e, t->by);
}

static const char *exact_division(const question *q) {
  divisions d = {.count = 0};
  ir_dim difference = ir_dim_sub(q->prover->dims, q->a, q->b);
  if (!difference) return NULL;
  collect(q->prover, &d, difference, 0);
  for (int i = 0; i < d.count; i++) {
    symbol_try t = {q, d.by[i], NULL};
    ir_dim_visit(d.a[i], try_symbol, &t);
    if (t.text) return t.text;
    if (with_multiple(q, d.a[i], d.by[i])) return multiple_text(q, d.a[i], d.by[i]);
  }
  int mark = ir_prover_mark(q->prover);
  const char *all = NULL;
  for (int i = 0; i < d.count; i++) {
    const char *one = multiple_text(q, d.a[i], d.by[i]);
    ir_prover_assume_multiple(q->prover, d.a[i], d.by[i]);
    all = all ? weir_arena_printf(q->arena, "%s, %s", all, one) : one;
  }
  bool proved = d.count > 1 && ir_prove_compare(q->prover, q->relation, q->a, q->b);
  ir_prover_release(q->prover, mark);
  return proved ? all : NULL;
}

// ---- the relation itself

static const char *bound_text(const question *q, ir_dim e) {
  if (e->count < 1 || e->count > 2 || e->terms[0].count != 1 || (e->count == 2 && e->terms[1].count)) return NULL;
  const ir_dim_factor *factor = &e->terms[0].factors[0];
  int64_t k = e->terms[0].coefficient, c = e->count == 2 ? e->terms[1].coefficient : 0;
  if (factor->power != 1 || factor->atom->kind != IR_ATOM_SYMBOL || k == INT64_MIN || c == INT64_MIN) return NULL;
  const char *name = q->prover->symbols[factor->atom->symbol->index].shown;
  if (k > 0) return weir_arena_printf(q->arena, "%s >= %lld", name, (long long)-ir_floor_div(c, k));
  return weir_arena_printf(q->arena, "%s <= %lld", name, (long long)ir_floor_div(c, -k));
}

// e >= 0 with what is subtracted on the left.
static const char *moved_text(const question *q, ir_dim e) {
  ir_dim_table *t = q->prover->dims;
  ir_poly left = {.count = 0}, right = {.count = 0};
  int64_t c = 0;
  for (int i = 0; i < e->count; i++) {
    ir_dim_term term = e->terms[i];
    if (term.coefficient == INT64_MIN) return NULL;
    if (!term.count) c = term.coefficient;
    else if (term.coefficient > 0) ir_poly_add_term(&right, &term);
    else term.coefficient = -term.coefficient, ir_poly_add_term(&left, &term);
  }
  bool strict = c < 0 && left.count;
  int64_t shift = strict ? -(c + 1) : c < 0 ? -c : c;
  ir_dim low = ir_poly_finish(t, &left), high = ir_poly_finish(t, &right), more = ir_dim_const(t, shift);
  if (!low || !high || !more) return NULL;
  if (!left.count)
    return weir_arena_printf(q->arena, "%s >= %lld", ir_prove_text(q->prover, q->arena, high), (long long)shift);
  if (c < 0) low = ir_dim_add(t, low, more);
  else high = ir_dim_add(t, high, more);
  if (!low || !high) return NULL;
  return weir_arena_printf(q->arena, "%s %s %s", ir_prove_text(q->prover, q->arena, low),
                           strict ? "<" : "<=", ir_prove_text(q->prover, q->arena, high));
}

const char *ir_prove_missing(ir_prover *prover, weir_arena *arena, ir_prove_relation relation, ir_dim a, ir_dim b) {
  question q = {prover, arena, relation, a, b};
  ir_dim_table *t = prover->dims;
  ir_dim e = NULL, one = ir_dim_const(t, 1);
  if (!a || !b) return NULL;
  const char *exact = exact_division(&q);
  if (exact) return exact;
  if (relation == IR_PROVE_EQ || relation == IR_PROVE_NE) {
    int64_t lo, hi;
    e = ir_dim_sub(t, a, b);
    if (!e) return NULL;
    ir_dim_bounds(e, &lo, &hi);
    if (lo > 0 || hi < 0) return NULL;
    return weir_arena_printf(arena, "%s %s %s", ir_prove_text(prover, arena, a),
                             relation == IR_PROVE_EQ ? "==" : "!=", ir_prove_text(prover, arena, b));
  }
  if (relation == IR_PROVE_LT || relation == IR_PROVE_LE) e = ir_dim_sub(t, b, a);
  else e = ir_dim_sub(t, a, b);
  if (relation == IR_PROVE_LT || relation == IR_PROVE_GT) e = ir_dim_sub(t, e, one);
  int64_t lo, hi;
  if (!e) return NULL;
  ir_dim_bounds(e, &lo, &hi);
  if (hi < 0) return NULL;
  const char *bound = bound_text(&q, e);
  return bound ? bound : moved_text(&q, e);
}
