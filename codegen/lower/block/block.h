// Block kernels (ir/kernel_block.h): templates for devices whose work item is a block of threads with shared memory.
// With cg_lower_options.blocks a product, and attention, becomes one of them where a template takes it; everything else
// stays the item kernel that it is. docs/adr says how that is chosen and why no bit depends on the schedule.
//
// Fixed by the graph and the matrix alone, never by rows, grid or choices: into which runs the inputs of a sum are cut
// (cg_block_runs). Inside a run one accumulator takes its inputs in order; the sums of runs are added in order, from 0.
// All schedules of one product keep to that, so their bits are equal.
//
// A template opens its kernel with cg_block_begin, stages what it reads, and gives finished sums to cg_block_store:
// what follows on them is the epilogue of the item kernels (cg_linear_store_row), written once per kernel.
#ifndef WEIR_CODEGEN_LOWER_BLOCK_BLOCK_H
#define WEIR_CODEGEN_LOWER_BLOCK_BLOCK_H

#include "codegen/lower/linear_internal.h"
#include "ir/kernel_block.h"

enum {
  CG_BLOCK_SLAB = 32,   // inputs that are staged at a time
  CG_BLOCK_RUNS = 32,   // runs of a sum at most
  CG_BLOCK_STAGES = 3,  // slabs in flight where copies are asynchronous
};

typedef struct {
  int64_t length;  // inputs of a run, a multiple of CG_BLOCK_SLAB and of the format's block; the last may be shorter
  int count;
} cg_runs;
cg_runs cg_block_runs(weir_storage storage, int64_t cols);

// Rows that choose their matrix at run time (route.c). |experts| matrices lie one behind the other; 0: none are
// chosen. |order|: rows by their choice, each |lead| rows of the input; |starts|: where those of each matrix begin.
typedef struct {
  ir_value *order, *starts;
  int64_t experts, lead;
  int places;             // SHARED: where the block's rows stand among all
  const ir_kexpr *panel;  // the first of its matrix
} cg_route;

struct cg_window;   // of window_internal.h
struct cg_windows;  // of window.c

// A product with packed matrices under construction. |k| has root, linears, matrices, storage, cols and outs.
typedef struct {
  linear_kernel k;
  ir_value *x, *w[2];  // input and matrices
  cg_weight_format format;
  cg_route route;
  struct cg_windows *windows;  // rows are windows of the image |x|; null: rows of |x|
  const char *key;             // of choices among schedules
  cg_runs runs;
  int panels, rows, threads;  // of a block: panels of each matrix, rows of the input
  int resident;               // blocks that a multiprocessor should hold; 0: no wish
  int band;                   // chunks of rows whose blocks follow each other for one panel after another; 0: all
  int64_t library;            // rows from which on a library does it; 0: never
  int algorithm;              // which of those that the library proposes
  bool part_stores;           // |thread| of |threads| store, which meet at barrier 1; else all of the block
  const ir_kexpr *thread;
  const ir_kexpr *panel;   // the block's first
  const ir_kexpr *row_lo;  // its first row, and how many it has
  const ir_kexpr *row_count;
  int tile;  // SHARED
} block_linear;

// Opens the kernel with a block for each |panels| panels and |rows| rows; blocks with the same panels follow each
// other.
void cg_block_begin(block_linear *p, const char *what);
weir_status cg_block_finish(block_linear *p, int64_t guard_lo, int64_t guard_hi);
// How many panels of each matrix a block has: |wanted|, fewer where both halves of a head are turned in it;
// linear_rope.c says which panels those are.
int cg_block_fit_panels(block_linear *p, int wanted);
// Panel |nth| of the block, no farther than the last; the output that column |column| of the block is.
const ir_kexpr *cg_block_panel(block_linear *p, const ir_kexpr *nth);
// Row |nth| of the block among all rows, no farther than the last; |row|, which the block has.
const ir_kexpr *cg_block_row(block_linear *p, const ir_kexpr *nth);
const ir_kexpr *cg_block_place(block_linear *p, const ir_kexpr *row);
const ir_kexpr *cg_block_column(block_linear *p, const ir_kexpr *column);
int cg_block_weight(block_linear *p, int matrix);  // the buffer
// Element |at| of row |m| of the input.
const ir_kexpr *cg_block_input(block_linear *p, const ir_kexpr *m, const ir_kexpr *at);
// Whether four elements of a row from a multiple of four on can be read at once.
bool cg_block_reads_fours(block_linear *p);

// Whether |first| and |second|, values of neighbouring elements, the first at a multiple of four, are elements of
// memory that can be read four at once from |*out|; the values are those of its floats, widened.
bool cg_block_fours(ir_kbuilder *b, const ir_kexpr *first, const ir_kexpr *second, ir_kplace *out);
// The same of |count| elements from a multiple of |count| on, without a word of how many can be read at once.
bool cg_block_run(ir_kbuilder *b, const ir_kexpr *first, const ir_kexpr *second, int count, ir_kplace *out);
// Whether index |second| is the one behind |first|, which is a multiple of |count|.
bool cg_block_adjoins(ir_kbuilder *b, const ir_kexpr *first, const ir_kexpr *second, int count);

// Stores the epilogue of the block's |rows| x |panels| * 16 sums of each matrix. |sum| gives, after a barrier, that of
// row |row| and column |column| of the block.
typedef const ir_kexpr *(*cg_block_sum)(void *user, int matrix, const ir_kexpr *row, const ir_kexpr *column);
void cg_block_store(block_linear *p, cg_block_sum sum, void *user);

// Slabs of packed weights in shared memory, CG_BLOCK_STAGES of them, as they lie in the package:
// [stage][matrix][panel].
typedef struct {
  int buffer;           // SHARED
  int64_t panel_bytes;  // of a panel's slab
  int64_t stride;       // bytes from panel to panel
  bool exchanged;  // rows of sixteen words are stored with the halves of every second two of them exchanged, so that
                   // fragments of mma are read without conflicts
} block_packed;
bool cg_block_has_slabs(weir_storage storage);  // whether a slab lies in one place of a panel, scales and all
void cg_block_add_packed(block_linear *p, block_packed *packed, int64_t apart);  // |apart|: bytes between panels
// Copies the block's panels of |slab| there, asynchronously.
void cg_block_stage_packed(block_linear *p, const block_packed *packed, const ir_kexpr *slab, const ir_kexpr *stage);
// Decodes the slab, a lane of a panel to each thread: |visit| takes its inputs in order, or |codes|, if not null, its
// sub-blocks. |packed| null: from memory.
typedef struct {
  const ir_kexpr *vector, *lane;  // the panel, counted over all matrices, and the lane
  const ir_kexpr *first;          // what the inputs are counted from
} block_lane;
void cg_block_decode(block_linear *p, const block_packed *packed, const ir_kexpr *slab, const ir_kexpr *stage,
                     block_lane *out_lane, cg_panel_visit visit, cg_panel_codes_visit codes, void *user);

// Whether |value| is computed in its reader's kernel by loops of its own, which item kernels alone have.
bool cg_block_in_steps(const function_lowering *fl, const ir_value *value);
// Whether products in float32 with the epilogue |root| are for these templates.
bool cg_block_takes(const function_lowering *fl, const ir_value *root, ir_node *const *linears);
// ---- templates. False: the item kernel is for it, nothing has been emitted.
bool cg_block_linear(function_lowering *fl, ir_value *root, ir_node **linears, int count, weir_status *out_status);

// ---- window.c: convolutions
// Whether the convolution |node| is a product of blocks whose weights lie in taps, and its sizes.
bool cg_block_takes_conv(const function_lowering *fl, const ir_value *root, const ir_node *node, struct cg_window *out);
weir_status cg_block_conv(function_lowering *fl, ir_value *root, const ir_node *node, const struct cg_window *g);
void cg_windows_open(block_linear *p, const char *name);
const ir_kexpr *cg_windows_input(block_linear *p, const ir_kexpr *m, const ir_kexpr *k);
void cg_windows_store(block_linear *p, const ir_kexpr *m, const ir_kexpr *n, const ir_kexpr *sum);
bool cg_windows_are_rows(const block_linear *p);       // as they lie in memory
bool cg_windows_follow_places(const block_linear *p);  // the result's channels are far apart
int cg_windows_fit_panels(const block_linear *p, int wanted);
// Finds what the thread copies of each slab; false if x is not floats in memory, and nothing was emitted. Then copies
// of a slab, asynchronously: input |at| of row |row| of the block goes to float |place|.
typedef const ir_kexpr *(*cg_block_place_of)(void *user, const ir_kexpr *row, const ir_kexpr *at);
bool cg_windows_bind(block_linear *p);
void cg_windows_copy(block_linear *p, int buffer, const ir_kexpr *slab, cg_block_place_of place, void *user);

// ---- places.c: depthwise convolutions with weights in taps, and pooling, of values that lie channels last
bool cg_block_takes_places(const function_lowering *fl, const ir_value *root, const ir_node *node);
weir_status cg_block_depthwise(function_lowering *fl, ir_value *root, const ir_node *node);
weir_status cg_block_pool(function_lowering *fl, ir_value *root, const ir_node *node);

// ---- route.c: matrices chosen at run time.
// Tiles of the rows of all matrices at most; makes tile |tile| the block's, in an `if` that stays open: it may be none.
const ir_kexpr *cg_route_tiles(block_linear *p);
void cg_route_begin(block_linear *p, const ir_kexpr *tile);
// Rows in order of their index, |node|'s first operand; equals in their own order.
weir_status cg_route_order(function_lowering *fl, ir_node *node, const cg_route *route);
// Its product; |known| tells order, starts, experts and lead.
weir_status cg_block_route(function_lowering *fl, ir_node *node, const cg_route *known, const cg_weight_format *format);

// Schedules of float32. few: a quad of threads has four outputs of a panel for one run, decoded in registers. many:
// slabs of rows and decoded weights in shared memory, tiles of sums in registers.
weir_status cg_block_few(block_linear *p, int64_t most_rows);
weir_status cg_block_many(block_linear *p, int64_t few_rows);
// Those of bf16 and int8, by matrix units, for rows packed as |x|.
bool cg_block_mma_takes(const block_linear *p, const packed_rows *x);
weir_status cg_block_mma_few(block_linear *p, const packed_rows *x, int64_t most_rows);
// codes.c: cg_block_mma_few of matrices of codes in bf16.
bool cg_block_codes_takes(const block_linear *p);
weir_status cg_block_codes_few(block_linear *p, const packed_rows *x, int64_t most_rows);
weir_status cg_block_mma_many(block_linear *p, const packed_rows *x, int64_t few_rows);
// The finished sum of an element of rows packed as |x|: integers with one scale a row are scaled at last.
const ir_kexpr *cg_block_finished(block_linear *p, const packed_rows *x, int matrix, const ir_kexpr *row,
                                  const ir_kexpr *column, const ir_kexpr *sum);
// The same by wgmma, for devices with the sm_90a set (wgmma.c): bf16 for few rows and many, integers with one scale
// a row for many. Many rows are |least_rows| to |most_rows|.
bool cg_block_wgmma_takes(const block_linear *p, cg_compute compute);
weir_status cg_block_wgmma_few(block_linear *p, const packed_rows *x, int64_t most_rows);
weir_status cg_block_wgmma_many(block_linear *p, const packed_rows *x, int64_t least_rows, int64_t most_rows);

// ---- library.c: from how many rows on a library does the product, 0: it does not; then that.
int64_t cg_block_library_rows(block_linear *p);
weir_status cg_block_library(const block_linear *p, const packed_rows *x, int64_t from);

// ---- short forms
static inline const ir_kexpr *bk_int(ir_kbuilder *b, int64_t value) { return ir_kb_int(b, value); }
static inline const ir_kexpr *bk_scaled(ir_kbuilder *b, const ir_kexpr *x, int64_t by) {
  return ir_kb_mul(b, x, ir_kb_int(b, by));
}
static inline const ir_kexpr *bk_plus(ir_kbuilder *b, const ir_kexpr *x, int64_t by) {
  return ir_kb_add(b, x, ir_kb_int(b, by));
}
static inline const ir_kexpr *bk_div(ir_kbuilder *b, const ir_kexpr *x, int64_t by) {
  return ir_kb_div(b, x, ir_kb_int(b, by));
}
static inline const ir_kexpr *bk_mod(ir_kbuilder *b, const ir_kexpr *x, int64_t by) {
  return ir_kb_mod(b, x, ir_kb_int(b, by));
}
static inline const ir_kexpr *bk_less(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_lt, IR_KT_bool, x, y, NULL);
}
static inline const ir_kexpr *bk_and(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_and, IR_KT_bool, x, y, NULL);
}
static inline const ir_kexpr *bk_max(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(b, IR_K_max, x->type, x, y, NULL);
}
static inline const ir_kexpr *bk_zero(ir_kbuilder *b) { return ir_kb_const(b, IR_KT_f32, 0); }
// for NAME in |from| .. |to| step |step|, in order.
static inline const ir_kexpr *bk_for(ir_kbuilder *b, const char *name, const ir_kexpr *from, const ir_kexpr *to,
                                     int64_t step) {
  return ir_kb_for(b, IR_KR_SERIAL, name, from, to, step);
}
static inline const ir_kexpr *bk_unroll(ir_kbuilder *b, const char *name, int64_t count) {
  return ir_kb_for(b, IR_KR_UNROLL, name, ir_kb_int(b, 0), ir_kb_int(b, count), 1);
}

#endif
