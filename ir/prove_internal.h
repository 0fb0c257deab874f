// The inside of the prover: prove.c (facts, questions), prove_linear.c (the linear system), prove_missing.c (texts).
//
// A question becomes a system of inequalities, linear in the monomials of the expressions: what is known about each
// monomial is added as a row, then the variables are eliminated one by one (Fourier-Motzkin, with rows tightened to
// integers). Limits bound the work; a row that does not fit is left out, which loses proofs and never invents one.
#ifndef WEIR_IR_PROVE_INTERNAL_H
#define WEIR_IR_PROVE_INTERNAL_H

#include "ir/dim_internal.h"
#include "ir/prove.h"

enum {
  IR_PROVE_VARS = 28,        // monomials of one question
  IR_PROVE_ROWS = 160,       // inequalities of one question
  IR_PROVE_COMBINES = 6000,  // pairs of rows combined for one question
  IR_PROVE_FACTS = 64,       // assumptions that one question looks at, the newest first
  IR_PROVE_ROUNDS = 3,       // monomials of products of products ... that are looked at
};

typedef enum { IR_FACT_NONNEGATIVE, IR_FACT_ZERO, IR_FACT_MULTIPLE } ir_fact_kind;

typedef struct {
  ir_fact_kind kind;
  ir_dim e;
  int64_t by;  // MULTIPLE
} ir_fact;

// What the prover knows about a symbol of its table.
typedef struct {
  const ir_symbol *source;  // of the module, or null for a variable of its own
  const char *shown;
  ir_dim low, high;  // of an index variable: low <= i < high; or null
} ir_prover_symbol;

struct ir_prover {
  weir_arena *arena;
  ir_dim_table *dims;
  ir_prover_symbol *symbols;  // by the index of the symbol
  int symbol_count, symbol_capacity;
  ir_fact *facts;
  int fact_count, fact_capacity;
  struct ir_linear *linear;  // room for one question
};

// Whether e <= -1 contradicts what is known.
bool ir_linear_nonnegative(ir_prover *prover, ir_dim e);
void ir_linear_bounds(ir_prover *prover, ir_dim e, int64_t *out_lo, int64_t *out_hi);
// Divisibility from normal forms and assumed multiples alone.
bool ir_prove_residue(ir_prover *prover, ir_dim e, int64_t by);

#endif
