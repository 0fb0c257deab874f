// Shared by the files of attention alone: attend.c says what an item is and how items are cut, attend_tile.c is the
// arithmetic of a tile of rows over one piece of the keys.
#ifndef WEIR_CODEGEN_LOWER_ATTEND_INTERNAL_H
#define WEIR_CODEGEN_LOWER_ATTEND_INTERNAL_H

#include "codegen/lower/internal.h"

// Keys are cut at multiples of ATTEND_PIECE positions. Each piece is a softmax of its own, and pieces are merged in
// order: the same arithmetic whether one item runs over all pieces or many items over one each.
enum { ATTEND_PIECE = 256, ATTEND_ROWS = 6, ATTEND_VECTORS = 4 };

typedef struct {
  emitter e;
  function_lowering *fl;
  ir_value *root, *q, *k, *v, *bias;       // bias: null if there is none
  ir_ktype type;                           // of the arithmetic
  int lead;                                // dims in front of rows, heads and size
  const ir_kexpr *lead_idx[IR_MAX_RANK];   // where the item stands in them
  int64_t group, key_heads, depth, width;  // query heads per key head; last dims of q and v
  int64_t tile;                            // rows of q per item
  bool causal;
  ir_value *panels;  // the keys as they lie in the panels of a state; null elsewhere
  bool split;        // there is a schedule for few rows, too
  int64_t window;
  double scale;
  int heights[4], height_count;
  const ir_kexpr *head;          // key head
  const ir_kexpr *first_row;     // the tile's first q row
  const ir_kexpr *origin;        // position of the first key in the whole sequence
  const ir_kexpr *position;      // position of the tile's first row among the keys
  const ir_kexpr *here;          // rows of the tile
  const ir_kexpr *rows;          // the same times |group|
  const ir_kexpr *key_end;       // end of all keys that some row of the tile sees
  const ir_kexpr *piece, *keys;  // first position of the piece, positions in it
  const ir_kexpr *key_lo;        // the first of those that there is a key for
  int lq, lk, ls, lw;            // LOCAL: queries, keys in panels, scores, weights of the merge
  int lo, lm;                    // LOCAL: outputs; maxima and sums
  int64_t few;                   // rows of a request up to which the split schedule runs
  bool block;                    // items are blocks of threads
  bool matrix;                   // and they multiply by matrix units
} attend_kernel;

// ---- block/attend.c: the inner part of an item that is a block of CG_ATTEND_THREADS threads
enum {
  CG_ATTEND_THREADS = 128,
  CG_ATTEND_BLOCK_ROWS = 32
};  // rows: at most of a tile, query heads of the group counted

typedef struct {
  attend_kernel *a;
  const ir_kexpr *thread, *warp, *lane;
  int queries, staged, weights;  // SHARED
  int tall;                      // rows of a warp at most, every fourth
  const ir_kexpr *first;         // first of the 64 positions at hand, from the piece's first on
  // Of the piece, and of all before: [row of the warp], outputs [row][every 32nd column]
  ir_kvar *out, *largest, *sum, *all_out, *all_largest, *all_sum;
  ir_kvar *score, *key, *query, *weight, *four;
} block_attend;

bool cg_block_attend_takes(const attend_kernel *a);
// Rows of a tile: half as many where values are wide, so that a thread's outputs stay in registers.
int cg_block_attend_rows(const attend_kernel *a);
// Once in a kernel, with the tile bound: shared memory, and the tile's queries there.
void cg_block_attend_open(block_attend *p, attend_kernel *a, const ir_kexpr *thread);
// For tiles of at most 4 |tall| rows. |merges|: sums over pieces are wanted.
void cg_block_attend_begin(block_attend *p, int tall, bool merges);
void cg_block_attend_piece(block_attend *p);                                         // the piece that is bound
void cg_block_attend_merge(block_attend *p);                                         // adds it to those before
void cg_block_attend_store(block_attend *p);                                         // the outputs of all pieces
void cg_block_attend_store_part(block_attend *p, int parts, const ir_kexpr *place);  // what the piece gave

// ---- block/attend_mma.c: the same by matrix units
bool cg_attend_mma_takes(const attend_kernel *a);
int64_t cg_attend_mma_tile(const attend_kernel *a);                 // rows of q a block
int64_t cg_attend_mma_few(const attend_kernel *a, int64_t wanted);  // rows up to which the split schedule runs
int cg_attend_mma_threads(const attend_kernel *a, bool split);
// The inside of an item, the tile bound: over all keys, or over one piece, which goes to |parts|.
void cg_attend_mma_whole(attend_kernel *a, const ir_kexpr *thread);
void cg_attend_mma_piece(attend_kernel *a, const ir_kexpr *thread, const ir_kexpr *piece, int parts,
                         const ir_kexpr *place);
// Makes |piece| the piece at hand (attend.c).
void cg_attend_bind_piece(attend_kernel *a, const ir_kexpr *piece);

// Of keys in the panels of a state: elements of a word; element |u| of a word of the key in lane |lane| of a panel of
// the piece.
int cg_attend_word_elements(const attend_kernel *a);
// Where word |word| of the key in lane |lane| of a panel of the piece is, in words of the state's storage.
const ir_kexpr *cg_attend_panel_line(attend_kernel *a, const ir_kexpr *lane, const ir_kexpr *panel,
                                     const ir_kexpr *word);
const ir_kexpr *cg_attend_panel_key(attend_kernel *a, const ir_kexpr *panel, const ir_kexpr *lane, const ir_kexpr *word,
                                    int u);

// Rows of the tile that are computed together.
typedef struct {
  const ir_kexpr *first, *size;
  const ir_kexpr *lo, *hi;          // the keys of the piece that some of them see
  const ir_kexpr *all_lo, *all_hi;  // that all of them see
} attend_rows;

// Scores, softmax and values of all rows of the tile for the piece. |parts|: a buffer that takes each row's outputs,
// maximum and sum from |place| on, ATTEND_PART elements a row; -1: they are merged into the tile's own.
void cg_attend_piece(attend_kernel *a, int parts, const ir_kexpr *place);
// Elements of a row's part, and where its maximum is; the sum stands behind it.
int64_t cg_attend_part(const attend_kernel *a);
int64_t cg_attend_part_largest(const attend_kernel *a);
// Merges a part with the largest score |m| and |sum| into the row's maximum and sum. |out|: what outputs so far and
// those of the part are multiplied with.
void cg_attend_merge_row(attend_kernel *a, const ir_kexpr *row, const ir_kexpr *m, const ir_kexpr *sum,
                         const ir_kexpr **out_old, const ir_kexpr **out_new);
// Keys of the piece that row |i| of the tile sees: from, to.
void cg_attend_visible(attend_kernel *a, const ir_kexpr *i, const ir_kexpr **from, const ir_kexpr **to);
// Fills |idx| with the item's place and (row, head, at).
const ir_kexpr *const *cg_attend_place(attend_kernel *a, const ir_kexpr *row, const ir_kexpr *head, const ir_kexpr *at,
                                       const ir_kexpr **idx);
// Row and head of q of the tile's row |i| (query heads of the group run fastest).
const ir_kexpr *cg_attend_query_row(attend_kernel *a, const ir_kexpr *i);
const ir_kexpr *cg_attend_query_head(attend_kernel *a, const ir_kexpr *i);

// Short forms.
static inline const ir_kexpr *at_int(attend_kernel *a, int64_t value) { return ir_kb_int(&a->e.b, value); }
static inline const ir_kexpr *at_add(attend_kernel *a, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_add(&a->e.b, x, y);
}
static inline const ir_kexpr *at_sub(attend_kernel *a, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_sub(&a->e.b, x, y);
}
static inline const ir_kexpr *at_max(attend_kernel *a, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&a->e.b, IR_K_max, x->type, x, y, NULL);
}
static inline const ir_kexpr *at_op(attend_kernel *a, ir_kop op, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&a->e.b, op, a->type, x, y, NULL);
}
static inline const ir_kexpr *at_const(attend_kernel *a, double value) { return ir_kb_const(&a->e.b, a->type, value); }
// Element |at| of row |row| of |stride| elements each.
static inline const ir_kexpr *at_local(attend_kernel *a, const ir_kexpr *row, int64_t stride, const ir_kexpr *at) {
  return at_add(a, ir_kb_mul(&a->e.b, row, at_int(a, stride)), at);
}
static inline const ir_kexpr *at_load(attend_kernel *a, int buffer, const ir_kexpr *at) {
  return ir_kb_load(&a->e.b, a->type, buffer, at);
}
static inline void at_store(attend_kernel *a, int buffer, const ir_kexpr *at, const ir_kexpr *x) {
  ir_kb_store(&a->e.b, a->type, buffer, at, x);
}
static inline const ir_kexpr *at_lanes(attend_kernel *a, const char *name, const ir_kexpr *lo, const ir_kexpr *hi) {
  return ir_kb_for(&a->e.b, IR_KR_LANES, name, lo, hi, 1);
}
static inline const ir_kexpr *at_serial(attend_kernel *a, const char *name, const ir_kexpr *lo, const ir_kexpr *hi,
                                        int64_t step) {
  return ir_kb_for(&a->e.b, IR_KR_SERIAL, name, lo, hi, step);
}
static inline const ir_kexpr *at_unroll(attend_kernel *a, const char *name, const ir_kexpr *hi) {
  return ir_kb_for(&a->e.b, IR_KR_UNROLL, name, at_int(a, 0), hi, 1);
}
static inline void at_end(attend_kernel *a) { ir_kb_end(&a->e.b); }

#endif
