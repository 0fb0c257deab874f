// What the files of the kernel IR share: facts about integer expressions, interning, and the builder's state.
//
// Every expression is made by ir_kx_make, which interns the pure ones (no loads, no register reads), so that equal
// index expressions of one builder are one pointer. A shared pointer means equal structure, evaluated anew at each
// place of use. Folding sits on top (kernel_fold.c) and is not used by the parser: a text is read as it is written.
#ifndef WEIR_IR_KERNEL_INTERNAL_H
#define WEIR_IR_KERNEL_INTERNAL_H

#include "ir/kernel.h"
#include "runtime/base/arena.h"

// Limits that keep hostile text and runaway builders within bounds.
enum { IR_K_MAX_DEPTH = 1000, IR_K_MAX_NEST = 64, IR_K_MAX_REG_ELEMENTS = 4096 };

// Facts of an expression. For integers and bool |lo|..|hi| holds every value it can take; INT64_MIN and INT64_MAX also
// stand for "no bound". Index arithmetic (sizes and ranges) is taken not to overflow; |data| marks values that come
// from memory, which may.
typedef struct ir_kfacts {
  int64_t lo, hi;
  bool data;              // depends on a load, a register or other threads of a warp
  bool wraps;             // this node itself may have wrapped
  int depth;              // of the tree below, this node included
  const ir_kexpr *below;  // a value it is known to be less than, or null
} ir_kfacts;

typedef struct ir_kx_table {
  weir_arena *arena;
  struct ir_kx_entry **buckets;
  int bucket_count, count;
} ir_kx_table;

struct ir_kb_state {
  ir_kx_table table;
  ir_kstmt **open;  // statement of each open list, null for the body of the kernel
  int open_capacity;
  int lanes_depth;         // how many open ranges are lanes
  const ir_kexpr **reads;  // by variable id: the read of a range variable or value
  int read_count, read_capacity;
};

void ir_kx_table_init(ir_kx_table *table, weir_arena *arena);
// A node like |model|, whose facts it computes; the same node for an equal pure one.
const ir_kexpr *ir_kx_make(ir_kx_table *table, const ir_kexpr *model);
// The same with facts given (range variables, values).
const ir_kexpr *ir_kx_make_with(ir_kx_table *table, const ir_kexpr *model, const ir_kfacts *facts);

// Facts of |expr|, from its operands' facts if it has none.
ir_kfacts ir_kx_facts(const ir_kexpr *expr);
// Facts of a range variable over |lo|..|hi|.
ir_kfacts ir_kx_range_facts(const ir_kexpr *lo, const ir_kexpr *hi);

// Integers of |type|: the least and the greatest, and |value| wrapped into them.
void ir_ktype_limits(ir_ktype type, int64_t *out_lo, int64_t *out_hi);
int64_t ir_ktype_wrap(ir_ktype type, int64_t value);
bool ir_ktype_is_int(ir_ktype type);  // bool is not an int
// A value of a float type that it holds exactly: rounds f32; f64 and the small ones are left alone.
double ir_ktype_round(ir_ktype type, double value);
// The cast of floats to integers: toward zero, saturating, NaN gives 0.
int64_t ir_ktype_saturate(ir_ktype type, double value);

int64_t ir_k_floor_div(int64_t a, int64_t b);  // 0 where b is 0
int64_t ir_k_floor_mod(int64_t a, int64_t b);

static inline bool ir_kx_is_const(const ir_kexpr *e, int64_t *out) {
  if (e->op != IR_K_const || ir_ktype_is_float(e->type)) return false;
  *out = e->i;
  return true;
}
static inline bool ir_kx_is_value(const ir_kexpr *e, int64_t value) {
  return e->op == IR_K_const && !ir_ktype_is_float(e->type) && e->i == value;
}

// Folding (kernel_fold.c): null where nothing is known, else the simpler expression.
const ir_kexpr *ir_k_fold(ir_kbuilder *b, ir_kop op, ir_ktype type, const ir_kexpr *x, const ir_kexpr *y,
                          const ir_kexpr *z);
// An unfolded node.
const ir_kexpr *ir_kb_raw(ir_kbuilder *b, ir_kop op, ir_ktype type, const ir_kexpr *x, const ir_kexpr *y,
                          const ir_kexpr *z);
const ir_kexpr *ir_kb_int_const(ir_kbuilder *b, ir_ktype type, int64_t value);
// A statement at the end of the open list; a value without the short cuts of ir_kb_let.
ir_kstmt *ir_kb_stmt(ir_kbuilder *b, ir_kstmt_kind kind);
const ir_kexpr *ir_kb_let_raw(ir_kbuilder *b, const char *name, const ir_kexpr *expr);
// Reads of new variables without a statement: a range variable over |lo|..|hi|, a value from memory.
const ir_kexpr *ir_kb_range_var(ir_kbuilder *b, const char *name, const ir_kexpr *lo, const ir_kexpr *hi);
const ir_kexpr *ir_kb_value_var(ir_kbuilder *b, const char *name, ir_ktype type);
// An operation of block kernels at the end of the open list; copies.
void ir_kb_block(ir_kbuilder *b, const struct ir_kblock *block);

// ---- text
// The kernel with |complaint| under the line of |mark| (a statement, or a buffer of the kernel); null marks nothing,
// and what stands before the first statement is marked by the kernel itself.
const char *ir_kernel_print_marked(weir_arena *arena, const ir_kernel *kernel, const void *mark, const char *complaint);
// The line of one statement.
const char *ir_kernel_print_stmt(weir_arena *arena, const ir_kernel *kernel, const ir_kstmt *stmt);
// Infix operators and their levels, the same for printer and parser: 1 bits and logic, 2 comparisons, 3 sums, 4
// products; 0: written as a call.
int ir_kop_level(ir_kop op);
const char *ir_kop_symbol(ir_kop op);
int ir_kop_arity(ir_kop op);  // operands; -1 where it varies

// |name| with everything outside [A-Za-z0-9_] and inner dots made '_', starting with a letter or '_', and no literal's
// name.
const char *ir_k_clean_name(weir_arena *arena, const char *name);

#endif
