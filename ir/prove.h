// The prover of dim facts: what must hold for every request, decided before anything runs.
//
// It knows expressions (integer polynomials in the normal form of ir/dim.h, over symbols and index variables) and
// facts: the bounds and divisors of symbols, the ranges of index variables, whatever is assumed (a `where`, a guard).
// It answers e >= 0, a == b, k divides e, and in which interval e lies. "Yes" is certain for every value that obeys the
// facts; "no" only means that no proof was found. Work is bounded, whatever the text. docs/language/prover.md says what
// it can and cannot prove.
//
//   ir_prover *p = ir_prover_create(arena);
//   ir_dim A = ir_prover_import(p, module_dim), K = ir_dim_const(ir_prover_dims(p), 3);
//   ir_dim n = ir_prover_index(p, "n", ir_dim_const(ir_prover_dims(p), 0), ir_dim_sub(ir_prover_dims(p), A, K));
//   if (!ir_prove_compare(p, IR_PROVE_LT, ir_dim_add(ir_prover_dims(p), n, K), A)) ... ir_prove_missing(...)
//
// Expressions belong to the prover's own table (builders of ir/dim.h over ir_prover_dims) and live in its arena. A null
// expression (an overflow) is never proved and never assumed, so builders' results may be passed on unchecked.
#ifndef WEIR_IR_PROVE_H
#define WEIR_IR_PROVE_H

#include "ir/dim.h"

typedef struct ir_prover ir_prover;

ir_prover *ir_prover_create(weir_arena *arena);
// The table whose builders make expressions.
ir_dim_table *ir_prover_dims(ir_prover *prover);
// A dim of a module as an expression: symbols keep name, bounds and divisor. Null as the builders.
ir_dim ir_prover_import(ir_prover *prover, ir_dim dim);
// A new integer variable, low <= i < high, apart from all others of that name. An end may be null: not bounded there.
ir_dim ir_prover_index(ir_prover *prover, const char *name, ir_dim low, ir_dim high);
// A new integer of which only an interval is known: the element of an index tensor. INT64_MIN and INT64_MAX: no bound.
ir_dim ir_prover_unknown(ir_prover *prover, const char *name, int64_t lo, int64_t hi);

typedef enum { IR_PROVE_EQ, IR_PROVE_NE, IR_PROVE_LT, IR_PROVE_LE, IR_PROVE_GT, IR_PROVE_GE } ir_prove_relation;

// ---- assuming; a guard is assumed between a mark and its release
void ir_prover_assume(ir_prover *prover, ir_prove_relation relation, ir_dim a, ir_dim b);  // NE says nothing
void ir_prover_assume_multiple(ir_prover *prover, ir_dim e, int64_t by);                   // by > 0 divides e
int ir_prover_mark(const ir_prover *prover);
void ir_prover_release(ir_prover *prover, int mark);

// ---- asking
bool ir_prove_compare(ir_prover *prover, ir_prove_relation relation, ir_dim a, ir_dim b);
bool ir_prove_nonnegative(ir_prover *prover, ir_dim e);
bool ir_prove_multiple(ir_prover *prover, ir_dim e, int64_t by);
// 1 it holds, 0 its opposite holds, -1 neither is proved.
int ir_prove_decide(ir_prover *prover, ir_prove_relation relation, ir_dim a, ir_dim b);
// The interval of |e|; INT64_MIN or INT64_MAX where no bound is found.
void ir_prove_bounds(ir_prover *prover, ir_dim e, int64_t *out_lo, int64_t *out_hi);
// 0 <= e < size, as every subscript must.
bool ir_prove_inside(ir_prover *prover, ir_dim e, ir_dim size);
// After a proof failed: the simplest fact known to be enough, as a `where` of the text would say it: "T % 2 == 0",
// "n + k < A", "T >= 4"; null where no fact can help.
const char *ir_prove_missing(ir_prover *prover, weir_arena *arena, ir_prove_relation relation, ir_dim a, ir_dim b);
// The expression as text; index variables by the names they were made with.
const char *ir_prove_text(const ir_prover *prover, weir_arena *arena, ir_dim e);

// ---- dims of a module, from the facts of its symbols alone
// Its prover; the table's arena keeps it.
ir_prover *ir_dim_prover(ir_dim_table *table);
int ir_dim_decide(ir_dim_table *table, ir_prove_relation relation, ir_dim a, ir_dim b);  // as ir_prove_decide
const char *ir_dim_missing(ir_dim_table *table, weir_arena *arena, ir_prove_relation relation, ir_dim a, ir_dim b);

#endif
