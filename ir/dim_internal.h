// The inside of dims, shared by dim.c (table, sums, products), dim_divide.c (quotients, remainders, facts) and
// dim_text.c.
//
// A dim is a sorted list of terms; a term is a coefficient and a sorted list of atoms with powers. The order is
// structural (by names, never by creation), so printing and parsing in any order gives the same text. Work happens in
// an ir_poly on the stack; its limits bound what hostile text can cost, and passing them is reported like an overflow
// (null).
#ifndef WEIR_IR_DIM_INTERNAL_H
#define WEIR_IR_DIM_INTERNAL_H

#include "ir/dim.h"

enum { IR_DIM_MAX_TERMS = 24, IR_DIM_MAX_FACTORS = 8, IR_DIM_MAX_DEGREE = 16, IR_DIM_MAX_DEPTH = 12 };

typedef enum { IR_ATOM_SYMBOL, IR_ATOM_DIV, IR_ATOM_MOD } ir_atom_kind;

typedef struct ir_dim_atom {
  ir_atom_kind kind;
  const ir_symbol *symbol;
  ir_dim a, b;  // of DIV and MOD
  int depth;    // nesting of divisions; 0 for a symbol
  struct ir_dim_atom *next;
} ir_dim_atom;

typedef struct {
  const ir_dim_atom *atom;
  int power;
} ir_dim_factor;

typedef struct {
  int64_t coefficient;
  int count;
  ir_dim_factor factors[IR_DIM_MAX_FACTORS];
} ir_dim_term;

struct ir_dim_node {
  int count, depth;
  uint64_t hash;
  const ir_dim_term *terms;
};

typedef struct {
  int count;
  ir_dim_term terms[IR_DIM_MAX_TERMS];
} ir_poly;

weir_arena *ir_dim_table_arena(const ir_dim_table *table);
struct ir_prover **ir_dim_table_prover(ir_dim_table *table);  // where the table keeps its prover
int64_t ir_floor_div(int64_t a, int64_t b);                   // b > 0
int64_t ir_floor_mod(int64_t a, int64_t b);                   // b > 0
// Product of the factors of two terms, coefficients included. False past a limit or on overflow.
bool ir_term_mul(const ir_dim_term *a, const ir_dim_term *b, ir_dim_term *out);
// |a| / |b| where b's atoms divide a's; coefficients are left out (set to 1). False where they do not.
bool ir_term_quotient(const ir_dim_term *a, const ir_dim_term *b, ir_dim_term *out);
bool ir_poly_add_term(ir_poly *poly, const ir_dim_term *term);
// poly += scale * dim, with |scale| a term.
bool ir_poly_add_scaled(ir_poly *poly, const ir_dim_term *scale, ir_dim dim);
void ir_poly_init(ir_poly *poly, ir_dim dim);
// Brings the sum into normal form and interns it; null past a limit or on overflow.
ir_dim ir_poly_finish(ir_dim_table *table, ir_poly *poly);
// The dim that is exactly the atom kind(a, b), interned.
ir_dim ir_dim_atom_of(ir_dim_table *table, ir_atom_kind kind, ir_dim a, ir_dim b);
// Largest number known to divide the dim; 0 for the dim 0.
int64_t ir_dim_known_divisor(ir_dim dim);

#endif
