// Attention by matrix units, shared by its files: attend_mma.c opens a kernel, attend_stage.c brings
// queries, keys and values to shared memory, attend_soft.c is the arithmetic, attend_whole.c and
// attend_piece.c are the two schedules.
//
// Fragments are those of mma.sync m16n8k16 (ir/kernel_block.h). A warp has sixteen rows of the tile. Of a panel of
// sixteen keys scores are two fragments C, side by side; as weights, rounded, their registers are one fragment A of the
// product with the panel's values.
#ifndef WEIR_CODEGEN_LOWER_BLOCK_ATTEND_MMA_H
#define WEIR_CODEGEN_LOWER_BLOCK_ATTEND_MMA_H

#include "codegen/lower/attend_internal.h"
#include "codegen/lower/block/block.h"

enum {
  MMA_ROWS = 16,   // of a fragment
  MMA_PANEL = 16,  // keys of a panel
  MMA_PAD = 8,     // halves behind a row in shared memory: rows that a matrix is read from begin in different banks
};

// How keys stand in shared memory, panel after panel or row after row.
typedef enum {
  MMA_KEYS_WORDS,   // [pair of elements][16 keys], words: fragments B as they are
  MMA_KEYS_HALVES,  // [element][16 keys], halves: turned as they are read
  MMA_KEYS_ROWS,    // [key][element], halves
} mma_key_form;

typedef struct {
  attend_kernel *a;
  bool split;              // the block has one piece, its warps some of the keys each; else they have rows
  int warps, sides;        // warps of a block; so many beside each other have the same rows, and some columns each
  int high;                // fragments of sixteen rows of a warp
  int key_tile;            // keys that are taken at a time: fixes the order of sums
  int steps;               // operations of a score, sixteen elements each
  int pairs, apart, mine;  // sixteens of columns; a warp has every |apart|-th, |mine| at most
  int stages;              // tiles of keys and values in shared memory: 1, 2
  int value_rows;          // split: values that stand there at a time
  bool folded;             // the scale is part of the exponent's factor
  double factor;           // from scores to exponents of 2
  mma_key_form form;
  bool keys_ahead, values_ahead;  // they are copied asynchronously, as they lie
  ir_kmma score_kind, value_kind;
  const ir_kexpr *thread, *warp, *lane, *group, *quad;  // of the thread: lane / 4, lane % 4
  const ir_kexpr *first_row;                            // the warp's first row in the tile
  const ir_kexpr *side;                                 // its first sixteen of columns
  const ir_kexpr *query_at, *key_at,
      *value_at;               // where the thread reads fragments, in halves (words of keys: in words)
  const ir_kexpr *tile;        // where the tile at hand begins in the piece
  const ir_kexpr *rows[2][2];  // [fragment][half]: the thread's rows, no farther than the last
  // Keys of the piece that a row sees; that some row of the warp sees, and that all see.
  const ir_kexpr *from[2][2], *to[2][2], *some_from, *some_to, *all_from, *all_to;
  int queries, keys, values, weights, maxima, sums;  // SHARED
  ir_kvar *score, *out, *largest, *sum;              // [fragment][..][4]; [fragment][half]
  ir_kvar *all_out, *all_largest, *all_sum;          // of the pieces before
  ir_kvar *kept;                                     // split: [tile][fragment][half]
  ir_kvar *weight, *a_words, *b_words, *pair, *four;
} attend_mma;

static inline ir_kbuilder *am_builder(attend_mma *f) { return &f->a->e.b; }
static inline int am_panels(const attend_mma *f) { return f->key_tile / MMA_PANEL; }
static inline int64_t am_query_stride(const attend_mma *f) { return (int64_t)f->steps * 16 + MMA_PAD; }
static inline int64_t am_value_stride(const attend_mma *f) { return (int64_t)f->pairs * 16 + MMA_PAD; }
static inline int am_threads(const attend_mma *f) { return f->warps * IR_WARP; }

// Element |at| of position |position|, counted in the whole sequence, of keys or values.
const ir_kexpr *am_element(attend_mma *f, ir_value *value, const ir_kexpr *position, const ir_kexpr *at);
// How keys and values are stored says how they are staged and multiplied. With the tile bound.
void am_choose_forms(attend_mma *f);
int64_t am_key_bytes(const attend_mma *f);  // of a tile of keys
// Two values, rounded, as the halves of a word.
const ir_kexpr *am_pack(attend_mma *f, ir_kmma kind, const ir_kexpr *low, const ir_kexpr *high);
// Whether position |j|, of the whole sequence, has a key.
const ir_kexpr *am_is_key(attend_mma *f, const ir_kexpr *j);
// Whether the panel that begins at position |j| has some.
const ir_kexpr *am_is_panel(attend_mma *f, const ir_kexpr *j);

void am_stage_queries(attend_mma *f);
// The tile that begins at position |at| to |stage|. The caller commits.
void am_stage_keys(attend_mma *f, const ir_kexpr *at, const ir_kexpr *stage);
// |rows| values from position |at| on, to |stage| of so many rows.
void am_stage_values(attend_mma *f, const ir_kexpr *at, int rows, const ir_kexpr *stage);
// Fragment B, both halves of a panel, of operation |step|, into b_words[i]: keys of tile stage |stage|, or, from
// memory, of the panel that begins at position |at|.
void am_read_keys(attend_mma *f, const ir_kexpr *stage, const ir_kexpr *panel, const ir_kexpr *step, const ir_kexpr *i,
                  const ir_kexpr *j);
void am_load_keys(attend_mma *f, const ir_kexpr *at, const ir_kexpr *step, const ir_kexpr *i, const ir_kexpr *j);
// Which key of a panel is column 2 quad + |i| of half |half|, beside 4 quad or 2 quad.
int am_key_of(const attend_mma *f, int half, int i);
const ir_kexpr *am_key_base(attend_mma *f);  // 4 quad or 2 quad

// Short forms.
static inline const ir_kexpr *am_num(attend_mma *f, int64_t x) { return bk_int(am_builder(f), x); }
static inline const ir_kexpr *am_get(attend_mma *f, ir_kvar *var, const ir_kexpr *i, const ir_kexpr *j,
                                     const ir_kexpr *k) {
  return ir_kb_read(am_builder(f), var, i, j, k);
}
static inline void am_set(attend_mma *f, ir_kvar *var, const ir_kexpr *x, const ir_kexpr *i, const ir_kexpr *j,
                          const ir_kexpr *k) {
  ir_kb_set(am_builder(f), var, x, i, j, k);
}
static inline const ir_kexpr *am_fma(attend_mma *f, const ir_kexpr *x, const ir_kexpr *y, const ir_kexpr *z) {
  return ir_kb_op(am_builder(f), IR_K_fma, IR_KT_f32, x, y, z);
}
static inline const ir_kexpr *am_select(attend_mma *f, const ir_kexpr *is, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(am_builder(f), IR_K_select, IR_KT_f32, is, x, y);
}
static inline const ir_kexpr *am_equal(attend_mma *f, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(am_builder(f), IR_K_eq, IR_KT_bool, x, y, NULL);
}
static inline const ir_kexpr *am_exp(attend_mma *f, ir_kop op, const ir_kexpr *x) {
  return ir_kb_op(am_builder(f), op, IR_KT_f32, x, NULL, NULL);
}
// Until the copies of all threads are there.
static inline void am_arrive(attend_mma *f) {
  ir_kb_wait(am_builder(f), 0);
  ir_kb_barrier(am_builder(f));
}

// ---- attend_mma.c: with the tile bound, and of the split schedule the piece
void am_open(attend_mma *f, attend_kernel *a, const ir_kexpr *thread, bool split);
ir_kvar *am_reg(attend_mma *f, const char *name, ir_ktype type, int x, int y, int z, double initial);
// Operations whose keys are asked for before the first of them is done.
int am_loaded(const attend_mma *f);
void am_bind_seen(attend_mma *f);  // with the piece bound
// Whether some row of the warp sees some key of the tile that begins at |tile| of the piece.
const ir_kexpr *am_is_seen(attend_mma *f, const ir_kexpr *tile);
// Opens an `if` where fragment |m| may have no rows.
void am_open_fragment(attend_mma *f, int m);
void am_close_fragment(attend_mma *f, int m);

// ---- attend_soft.c
void am_clear_scores(attend_mma *f);
void am_read_queries(attend_mma *f, int m, const ir_kexpr *step);
// Multiplies the queries at hand with the keys of panel |panel| in b_words[i].
void am_multiply_keys(attend_mma *f, int m, const ir_kexpr *i, const ir_kexpr *panel);
void am_finish_scores(attend_mma *f, int m);  // scales and hides
const ir_kexpr *am_largest(attend_mma *f, int m, int h);
// Takes the largest score |most| of a tile into the row's reference. Returns what exponents lose; |*kept|: what sums so
// far are multiplied with.
const ir_kexpr *am_raise(attend_mma *f, int m, int h, const ir_kexpr *most, const ir_kexpr **kept);
// Scores of fragment |m| become weights, rounded, in the registers of fragments A; the thread's parts of both sums.
void am_weigh(attend_mma *f, int m, const ir_kexpr *const *loss, const ir_kexpr **out_sums);
void am_scale_outputs(attend_mma *f, int m, const ir_kexpr *const *kept);
void am_add_sum(attend_mma *f, int m, int h, const ir_kexpr *kept, const ir_kexpr *part);
// Adds the values of the panel whose rows begin at |row| of those in shared memory, weighed by weight[m][panel].
void am_add_values(attend_mma *f, const ir_kexpr *row, const ir_kexpr *panel);
// Of the finished piece: the largest score as a merge wants it, and the sum.
const ir_kexpr *am_piece_largest(attend_mma *f, int m, int h);
const ir_kexpr *am_piece_sum(attend_mma *f, int m, int h);
// Opens a loop over the warp's columns; |*column|: 2 quad behind the first of a fragment. Two to close.
const ir_kexpr *am_open_columns(attend_mma *f, const ir_kexpr **column);

#endif
