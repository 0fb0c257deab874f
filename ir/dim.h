// Dims: the sizes of tensors as polynomials over symbols, in one normal form, interned in a module.
//
// A dim is an integer polynomial with 64-bit coefficients over atoms. An atom is a symbol (a run-time size such as T)
// or a floor division or remainder of two dims that does not divide out. Equal polynomials are the same pointer, so `a
// == b` decides equality of normal forms; what that cannot decide (2 * (T / 2) == T) needs a declared fact. All
// builders return null when a coefficient would leave 64 bits; a caller reports that. Memory: the table's arena. One
// thread at a time.
#ifndef WEIR_IR_DIM_H
#define WEIR_IR_DIM_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/arena.h"

typedef struct ir_dim_node ir_dim_node;
typedef const ir_dim_node *ir_dim;
typedef struct ir_dim_table ir_dim_table;

typedef enum {
  IR_ROLE_PLAIN,  // a size; requests are stacked when theirs are equal
  IR_ROLE_BATCH,  // independent examples, first dim of all that has it
  IR_ROLE_SEQ,    // ragged: the text is for one sequence, requests are packed
} ir_role;

// A run-time size. Created once per module and name.
typedef struct ir_symbol {
  const char *name;  // "T"; the rows before this call are "T.past"
  ir_role role;
  int64_t lo, hi;                // inclusive bounds; hi is INT64_MAX where none is declared
  int64_t divisor;               // known divisor, 1 if none
  const struct ir_symbol *past;  // of a seq that grows in a step: the symbol of the rows before this call, else null
  // Of the rows that a window keeps between calls ("T.keep3"): the seq T whose last |hi| earlier rows they are, else
  // null. Its value is always min(T.past, hi).
  const struct ir_symbol *kept_of;
  int index;  // position in the table
} ir_symbol;

ir_dim_table *ir_dim_table_create(weir_arena *arena);
// Finds or makes the symbol |name|. Bounds of an existing one are left alone; a new one is plain, 1.., divisor 1. Set
// facts before dims are divided by or over it: normal forms use them.
ir_symbol *ir_symbol_get(ir_dim_table *table, const char *name);
ir_symbol *ir_symbol_find(const ir_dim_table *table, const char *name);  // null if absent
// The symbol "NAME.past" (seq, from 0 to |symbol|'s upper bound), made on first use and linked from |symbol|->past.
ir_symbol *ir_symbol_past(ir_dim_table *table, ir_symbol *symbol);
// The symbol "NAME.keepN", N = |window| - 1 (seq, in 0..=N), made on first use with |symbol|'s past, linked by kept_of.
ir_symbol *ir_symbol_keep(ir_dim_table *table, ir_symbol *symbol, int64_t window);
// The seq that |past| stands before; null if none.
ir_symbol *ir_symbol_before(const ir_dim_table *table, const ir_symbol *past);
int ir_symbol_count(const ir_dim_table *table);
ir_symbol *ir_symbol_at(const ir_dim_table *table, int index);

ir_dim ir_dim_const(ir_dim_table *table, int64_t value);
ir_dim ir_dim_symbol(ir_dim_table *table, const ir_symbol *symbol);
ir_dim ir_dim_add(ir_dim_table *table, ir_dim a, ir_dim b);
ir_dim ir_dim_sub(ir_dim_table *table, ir_dim a, ir_dim b);
ir_dim ir_dim_mul(ir_dim_table *table, ir_dim a, ir_dim b);
ir_dim ir_dim_div(ir_dim_table *table, ir_dim a,
                  ir_dim b);  // floor; exact where the polynomial or a divisor fact shows it; null if b is 0
ir_dim ir_dim_mod(ir_dim_table *table, ir_dim a, ir_dim b);

bool ir_dim_is_const(ir_dim dim, int64_t *out_value);  // |out_value| may be null
const ir_symbol *ir_dim_as_symbol(ir_dim dim);         // the symbol if the dim is exactly one, else null
ir_role ir_dim_role(ir_dim dim);  // seq if any symbol in it is seq, else batch if any is, else plain
bool ir_dim_mentions(ir_dim dim, const ir_symbol *symbol);
// Interval of the values it can take, from the symbols' bounds (saturating at the ends of 64 bits).
void ir_dim_bounds(ir_dim dim, int64_t *out_lo, int64_t *out_hi);
// |values|[symbol->index] is the size of each symbol. False on overflow or division by zero.
bool ir_dim_eval(ir_dim dim, const int64_t *values, int64_t *out);
// The dim with map[symbol->index] in place of each symbol; null entries stay. Null where a builder gives null.
ir_dim ir_dim_substitute(ir_dim_table *table, ir_dim dim, const ir_dim *map);
// Where counting along |dim| begins: T.past for a T that grows, T.past - T.keepN for T + T.keepN, else 0.
ir_dim ir_dim_first_position(ir_dim_table *table, ir_dim dim);
// Calls |visit| for each symbol in it.
void ir_dim_visit(ir_dim dim, void (*visit)(void *user, const ir_symbol *symbol), void *user);
// "2*T + 1", "(T - 1)/2 + 1": readable, parses back with ir_dim_parse.
const char *ir_dim_print(weir_arena *arena, ir_dim dim);
// Parses the printed form at |*cursor|, which is moved behind it; unknown names are null unless |create|. Null on a
// malformed text.
ir_dim ir_dim_parse(ir_dim_table *table, const char **cursor, bool create);

// Rebuilds a dim in another algebra. Operators are + * / %, division and remainder are floor; null from any callback
// ends it with null.
typedef struct {
  void *user;
  const void *(*constant)(void *user, int64_t value);
  const void *(*symbol)(void *user, const ir_symbol *symbol);
  const void *(*binary)(void *user, char op, const void *a, const void *b);
} ir_dim_algebra;
const void *ir_dim_convert(ir_dim dim, const ir_dim_algebra *algebra);

#endif
