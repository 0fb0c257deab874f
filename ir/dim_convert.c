// Dims in another algebra: kernel expressions, size expressions of a program.
#include "ir/dim_internal.h"

static const void *convert_atom(const ir_dim_atom *atom, const ir_dim_algebra *algebra) {
  if (atom->kind == IR_ATOM_SYMBOL) return algebra->symbol(algebra->user, atom->symbol);
  const void *a = ir_dim_convert(atom->a, algebra), *b = ir_dim_convert(atom->b, algebra);
  return a && b ? algebra->binary(algebra->user, atom->kind == IR_ATOM_DIV ? '/' : '%', a, b) : NULL;
}

static const void *convert_term(const ir_dim_term *term, const ir_dim_algebra *algebra) {
  const void *product =
      term->coefficient == 1 && term->count > 0 ? NULL : algebra->constant(algebra->user, term->coefficient);
  for (int i = 0; i < term->count; i++) {
    const void *atom = convert_atom(term->factors[i].atom, algebra);
    if (!atom) return NULL;
    for (int power = 0; power < term->factors[i].power; power++)
      product = product ? algebra->binary(algebra->user, '*', product, atom) : atom;
  }
  return product;
}

const void *ir_dim_convert(ir_dim dim, const ir_dim_algebra *algebra) {
  if (dim->count == 0) return algebra->constant(algebra->user, 0);
  const void *sum = NULL;
  for (int i = 0; i < dim->count; i++) {
    const void *term = convert_term(&dim->terms[i], algebra);
    if (!term) return NULL;
    sum = sum ? algebra->binary(algebra->user, '+', sum, term) : term;
  }
  return sum;
}
