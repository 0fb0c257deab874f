// A value line by line along one of its axes, and what the threads of a block do together on a line: scans, sorting and
// the choice of the first few in an order. order.c has an item for each line; block/running.c and block/order.c have a
// block, or a thread of one.
//
// Whatever is added up here has an order that follows from places in the line and from the number of threads of the
// kernel, which follows from the graph.
#ifndef WEIR_CODEGEN_LOWER_LINE_H
#define WEIR_CODEGEN_LOWER_LINE_H

#include "codegen/lower/block/block.h"

typedef struct {
  emitter e;
  ir_value *x;
  int axis;
  const ir_kexpr *idx[IR_MAX_RANK];  // of the line; null along the axis
  const ir_kexpr *size;
  bool descending;
  int threads;
  const ir_kexpr *thread;  // of block kernels
} cg_line;

// How lines become items. By a thread: an `if` stays open, for the threads that have a line.
typedef enum { CG_LINE_ITEM, CG_LINE_BLOCK, CG_LINE_THREAD } cg_line_form;
// Opens the kernel of |root|; |threads| of a block.
void cg_line_open(cg_line *l, function_lowering *fl, ir_value *root, ir_value *x, int axis, cg_line_form form,
                  int threads);
// Elements at a place of the line.
const ir_kexpr *cg_line_load(cg_line *l, ir_value *value, const ir_kexpr *at);
void cg_line_store(cg_line *l, const ir_value *value, const ir_kexpr *at, const ir_kexpr *expr);
const ir_kexpr *cg_line_load_index(cg_line *l, ir_value *value, const ir_kexpr *at);
// Memory that the kernel writes and reads.
void cg_line_use_both_ways(cg_line *l, const ir_value *value);
// Elements of the line that |type| promises, -1 where that is not known.
int64_t cg_line_most(const ir_type *type, int axis);
// Whether neighbours of a line are neighbours in memory.
bool cg_line_is_contiguous(const function_lowering *fl, const ir_value *x, int axis);

// ---- threads of a block together

// What a scan goes over: up to two registers a thread. |combine| sets |out| to what |a| and |b|, in this order, give.
typedef struct {
  int count;
  ir_ktype type;
  double identity[2];
  void (*combine)(void *user, const ir_kexpr *const *a, const ir_kexpr *const *b, const ir_kexpr **out);
  void *user;
} cg_block_scan;

// |own| of each thread becomes |out_before|, what stands before it, and |out_all|, of the whole block. All threads take
// part; |shared| has room for CG_SCAN_BYTES.
enum { CG_SCAN_BYTES = 2 * 4 * 32 };
void cg_emit_block_scan(ir_kbuilder *b, const cg_block_scan *scan, const ir_kexpr *thread, int threads, int shared,
                        const ir_kexpr *const *own, const ir_kexpr **out_before, const ir_kexpr **out_all);

// Sorts pairs of a u32 and an i32 in shared memory, 1 << |levels| of them.
typedef struct {
  ir_kbuilder *b;
  const ir_kexpr *thread;
  int threads;
  int keys, indices;  // SHARED
} cg_pairs;
void cg_emit_pairs_sort(const cg_pairs *p, const ir_kexpr *levels);
// The number of levels for |count| pairs, at most |most|.
const ir_kexpr *cg_emit_levels(ir_kbuilder *b, const ir_kexpr *count, int most);
int cg_levels_of(int64_t count);

// The |k| elements of a line that come first by key and, of equals, by place: as pairs in order, the rest of 1 <<
// levels of k being filled with the largest. A histogram of the keys' digits says in which of them the last lies, digit
// by digit of keys, then of places.
typedef struct {
  cg_pairs pairs;
  const ir_kexpr *size, *k;  // 1 <= k <= size, and at most |most|
  int most;
  const ir_kexpr *(*key)(void *user, const ir_kexpr *at);  // u32
  void *user;
  int histogram, words;  // SHARED
} cg_select;
void cg_select_add_shared(cg_select *s);  // and that of pairs
void cg_emit_select(cg_select *s);
// A number's place in the order of such keys; NaN behind all, zeros alike. |x|: f32, or integers of 32 bit at most.
const ir_kexpr *cg_emit_sort_key(ir_kbuilder *b, const ir_kexpr *x, bool descending);
bool cg_has_sort_key(ir_dtype dtype);

// ---- block/running.c, block/order.c: false: the item kernel is for it.
bool cg_block_running(function_lowering *fl, ir_node *node, weir_status *out_status);
bool cg_block_sorted(function_lowering *fl, ir_node *node, weir_status *out_status);

// ---- short forms
static inline const ir_kexpr *ln_read(ir_kbuilder *b, ir_kvar *reg) { return ir_kb_read(b, reg, NULL, NULL, NULL); }
static inline void ln_set(ir_kbuilder *b, ir_kvar *reg, const ir_kexpr *x) { ir_kb_set(b, reg, x, NULL, NULL, NULL); }
static inline ir_kvar *ln_reg(ir_kbuilder *b, const char *name, const ir_kexpr *start) {
  return ir_kb_reg(b, name, start->type, false, 0, NULL, start);
}
static inline const ir_kexpr *ln_op(ir_kbuilder *b, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, op, x->type, x, y, NULL);
}
static inline const ir_kexpr *ln_test(ir_kbuilder *b, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, op, IR_KT_bool, x, y, NULL);
}
static inline const ir_kexpr *ln_choose(ir_kbuilder *b, const ir_kexpr *condition, const ir_kexpr *x,
                                        const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_select, x->type, condition, x, y);
}
static inline const ir_kexpr *ln_not(ir_kbuilder *b, const ir_kexpr *x) {
  return ir_kb_op(b, IR_K_not, x->type, x, NULL, NULL);
}
static inline const ir_kexpr *ln_u32(ir_kbuilder *b, uint32_t x) { return ir_kb_const(b, IR_KT_u32, x); }
static inline const ir_kexpr *ln_i32(ir_kbuilder *b, int32_t x) { return ir_kb_const(b, IR_KT_i32, x); }

#endif
