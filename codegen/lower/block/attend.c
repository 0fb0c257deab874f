// Attention of a tile of rows over one piece of the keys, by a block of threads: the inner part of both schedules of
// attend.c (cg_block_attend_*).
//
// Keys, then values, of 64 positions stand in shared memory for all rows of the block. A warp has every fourth row, and
// all of that row's arithmetic: a thread the scores of two keys, each a sum over the elements in order; shuffles give
// the row's maximum and sum; weights go back through shared memory; then a thread has every 32nd output, a sum over the
// keys in order. Inside a piece the 64 positions are taken in order with a running maximum (Milakov and Gimelshein;
// Dao et al.), and pieces are merged in order as in attend_tile.c. Positions are absolute, and what a row does not see
// leaves its numbers as they are, so its bits depend neither on other rows nor on the schedule.
#include <math.h>

#include "codegen/lower/attend_internal.h"
#include "codegen/lower/block/block.h"

enum { KEYS = 64, WARPS = CG_ATTEND_THREADS / IR_WARP, PAD = 4 };

static ir_kbuilder *builder(block_attend *p) { return &p->a->e.b; }
static const ir_kexpr *zero(block_attend *p) { return bk_zero(builder(p)); }

static int64_t up_to(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
static int64_t key_stride(const attend_kernel *a) {
  int64_t depth = up_to(a->depth, 4), width = up_to(a->width, IR_WARP);
  return (depth > width ? depth : width) + PAD;
}
static int64_t query_stride(const attend_kernel *a) { return up_to(a->depth, 4) + PAD; }
static int columns_of(const attend_kernel *a) { return (int)up_to(a->width, IR_WARP) / IR_WARP; }

int cg_block_attend_rows(const attend_kernel *a) {
  return a->width > 128 ? CG_ATTEND_BLOCK_ROWS / 2 : CG_ATTEND_BLOCK_ROWS;
}

bool cg_block_attend_takes(const attend_kernel *a) {
  return a->fl->low->options->blocks && a->type == IR_KT_f32 && a->group <= cg_block_attend_rows(a) &&
         a->depth <= 256 && a->width <= 256;
}

// ---- shared memory

static const ir_kexpr *element(block_attend *p, ir_value *value, const ir_kexpr *row, const ir_kexpr *head,
                               const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK];
  return cg_emit_value(&p->a->e, value, cg_attend_place(p->a, row, head, at, idx));
}

static void stage_queries(block_attend *p) {
  attend_kernel *a = p->a;
  ir_kbuilder *b = builder(p);
  int64_t stride = query_stride(a), width = stride - PAD;
  const ir_kexpr *n = bk_for(b, "i", p->thread, bk_scaled(b, a->rows, width), CG_ATTEND_THREADS);
  const ir_kexpr *i = ir_kb_let(b, "row", bk_div(b, n, width)), *d = ir_kb_let(b, "d", bk_mod(b, n, width));
  const ir_kexpr *to = ir_kb_add(b, bk_scaled(b, i, stride), d);
  if (width > a->depth) {  // zeros behind the last element
    ir_kb_if(b, bk_less(b, d, bk_int(b, a->depth)));
  }
  const ir_kexpr *q = element(p, a->q, cg_attend_query_row(a, i), cg_attend_query_head(a, i), d);
  ir_kb_store(b, IR_KT_f32, p->queries, to, ir_kb_mul(b, q, at_const(a, a->scale)));
  if (width > a->depth) {
    ir_kb_else(b);
    ir_kb_store(b, IR_KT_f32, p->queries, to, zero(p));
    ir_kb_end(b);
  }
  ir_kb_end(b);
}

// Whether position |j| of the piece has a key that some row sees.
static const ir_kexpr *is_key(block_attend *p, const ir_kexpr *j) {
  ir_kbuilder *b = builder(p);
  const ir_kexpr *in = bk_less(b, j, p->a->keys);
  return bk_and(b, ir_kb_op(b, IR_K_ge, IR_KT_bool, j, p->a->key_lo, NULL), in);
}

static const ir_kexpr *key_at(block_attend *p, const ir_kexpr *j, const ir_kexpr *d) {
  ir_kbuilder *b = builder(p);
  return ir_kb_add(b, bk_scaled(b, j, key_stride(p->a)), d);
}

// Elements |at| .. |at| + 3 of position |j| of |value| to |to|, read at once where they lie so.
static void stage_four(block_attend *p, ir_value *value, const ir_kexpr *j, const ir_kexpr *at, int64_t width,
                       const ir_kexpr *to) {
  attend_kernel *a = p->a;
  ir_kbuilder *b = builder(p);
  const ir_kexpr *x[4], *key = at_sub(a, at_add(a, a->piece, j), a->origin);
  ir_kplace from;
  for (int n = 0; n < 4; n++) x[n] = element(p, value, key, a->head, bk_plus(b, at, n));
  bool fours = width % 4 == 0 && cg_block_fours(b, x[0], x[1], &from);
  ir_kregs four = ir_kb_regs(p->four, bk_int(b, 0), NULL, NULL);
  if (fours) ir_kb_read_vector(b, four, 4, from, IR_KHINT_NONE);
  for (int n = 0; n < 4 && !fours; n++) {
    if (width % 4) ir_kb_if(b, bk_less(b, bk_plus(b, at, n), bk_int(b, width)));
    ir_kb_set(b, p->four, x[n], bk_int(b, n), NULL, NULL);
    if (width % 4) {
      ir_kb_else(b);
      ir_kb_set(b, p->four, zero(p), bk_int(b, n), NULL, NULL);
      ir_kb_end(b);
    }
  }
  ir_kb_write_vector(b, ir_kb_place(p->staged, IR_KT_f32, to), four, 4, IR_KHINT_NONE);
}

// Elements of |value|, |width| a position, of the 64 positions from |p->first| on; zeros where there are none.
static void stage_rows(block_attend *p, ir_value *value, int64_t width) {
  attend_kernel *a = p->a;
  ir_kbuilder *b = builder(p);
  int64_t fours = up_to(width, value == a->v ? IR_WARP : 4) / 4;
  const ir_kexpr *n = bk_for(b, "i", p->thread, bk_int(b, KEYS * fours), CG_ATTEND_THREADS);
  const ir_kexpr *i = ir_kb_let(b, "key", bk_div(b, n, fours)), *nth = ir_kb_let(b, "nth", bk_mod(b, n, fours));
  const ir_kexpr *at = bk_scaled(b, nth, 4), *to = key_at(p, i, at);
  const ir_kexpr *j = ir_kb_let(b, "j", ir_kb_add(b, p->first, i)), *is = is_key(p, j);
  if (fours * 4 > width) is = bk_and(b, is, bk_less(b, at, bk_int(b, width)));
  ir_kb_if(b, is);
  stage_four(p, value, j, at, width, to);
  ir_kb_else(b);
  for (int u = 0; u < 4; u++) ir_kb_set(b, p->four, zero(p), bk_int(b, u), NULL, NULL);
  ir_kb_write_vector(b, ir_kb_place(p->staged, IR_KT_f32, to), ir_kb_regs(p->four, bk_int(b, 0), NULL, NULL), 4,
                     IR_KHINT_NONE);
  ir_kb_end(b);
  ir_kb_end(b);
}

// Keys from the panels of a state: neighbouring threads have neighbouring positions.
static void stage_panels(block_attend *p) {
  attend_kernel *a = p->a;
  ir_kbuilder *b = builder(p);
  int per = cg_attend_word_elements(a);
  int64_t words = a->depth / per;
  const ir_kexpr *n = bk_for(b, "i", p->thread, bk_int(b, KEYS * words), CG_ATTEND_THREADS);
  const ir_kexpr *i = ir_kb_let(b, "key", bk_mod(b, n, KEYS)), *word = ir_kb_let(b, "word", bk_div(b, n, KEYS));
  const ir_kexpr *j = ir_kb_let(b, "j", ir_kb_add(b, p->first, i)), *at = bk_scaled(b, word, per);
  ir_kb_if(b, is_key(p, j));
  const ir_kexpr *panel = bk_div(b, j, IR_LANES), *lane = bk_mod(b, j, IR_LANES);
  for (int u = 0; u < per; u++)
    ir_kb_store(b, IR_KT_f32, p->staged, key_at(p, i, bk_plus(b, at, u)), cg_attend_panel_key(a, panel, lane, word, u));
  ir_kb_else(b);
  for (int u = 0; u < per; u++) ir_kb_store(b, IR_KT_f32, p->staged, key_at(p, i, bk_plus(b, at, u)), zero(p));
  ir_kb_end(b);
  ir_kb_end(b);
  int64_t whole = up_to(a->depth, 4);
  if (whole == a->depth) return;
  i = bk_for(b, "i", p->thread, bk_int(b, KEYS), CG_ATTEND_THREADS);
  const ir_kexpr *d = bk_for(b, "d", bk_int(b, a->depth), bk_int(b, whole), 1);
  ir_kb_store(b, IR_KT_f32, p->staged, key_at(p, i, d), zero(p));
  ir_kb_end(b);
  ir_kb_end(b);
}

// ---- rows of the warp

// Row |i| of the warp's in the tile; one that is none is the last again.
static const ir_kexpr *tile_row(block_attend *p, const ir_kexpr *i) {
  ir_kbuilder *b = builder(p);
  return ir_kb_min(b, ir_kb_add(b, p->warp, bk_scaled(b, i, WARPS)), bk_plus(b, p->a->rows, -1));
}

static const ir_kexpr *get(block_attend *p, ir_kvar *var, const ir_kexpr *i, const ir_kexpr *j) {
  return ir_kb_read(builder(p), var, i, j, NULL);
}
static void set(block_attend *p, ir_kvar *var, const ir_kexpr *i, const ir_kexpr *j, const ir_kexpr *x) {
  ir_kb_set(builder(p), var, x, i, j, NULL);
}
static const ir_kexpr *rows(block_attend *p) { return bk_unroll(builder(p), "i", p->tall); }
static const ir_kexpr *exp_of(block_attend *p, const ir_kexpr *x, const ir_kexpr *shift) {
  ir_kbuilder *b = builder(p);
  return ir_kb_op(b, IR_K_exp, IR_KT_f32, ir_kb_sub(b, x, shift), NULL, NULL);
}

// What is taken from scores before exp: 0 where nothing was seen.
static const ir_kexpr *shift_of(block_attend *p, const ir_kexpr *most) {
  ir_kbuilder *b = builder(p);
  const ir_kexpr *none = ir_kb_op(b, IR_K_eq, IR_KT_bool, most, at_const(p->a, -INFINITY), NULL);
  return ir_kb_let(b, "shift", ir_kb_op(b, IR_K_select, IR_KT_f32, none, zero(p), most));
}

static void read_four(block_attend *p, ir_kregs to, int buffer, const ir_kexpr *at) {
  ir_kb_read_vector(builder(p), to, 4, ir_kb_place(buffer, IR_KT_f32, at), IR_KHINT_NONE);
}

static void scores(block_attend *p) {
  ir_kbuilder *b = builder(p);
  attend_kernel *a = p->a;
  const ir_kexpr *i = rows(p);
  for (int n = 0; n < 2; n++) set(p, p->score, i, bk_int(b, n), zero(p));
  ir_kb_end(b);
  const ir_kexpr *d = bk_for(b, "d", bk_int(b, 0), bk_int(b, up_to(a->depth, 4)), 4), *at = bk_int(b, 0);
  for (int n = 0; n < 2; n++)
    read_four(p, ir_kb_regs(p->key, bk_int(b, n), at, NULL), p->staged, key_at(p, bk_plus(b, p->lane, n * IR_WARP), d));
  i = rows(p);
  read_four(p, ir_kb_regs(p->query, at, NULL, NULL), p->queries,
            ir_kb_add(b, bk_scaled(b, tile_row(p, i), query_stride(a)), d));
  const ir_kexpr *n = bk_unroll(b, "n", 2), *u = bk_unroll(b, "u", 4);
  const ir_kexpr *q = get(p, p->query, u, NULL), *k = get(p, p->key, n, u);
  set(p, p->score, i, n, ir_kb_op(b, IR_K_fma, IR_KT_f32, q, k, get(p, p->score, i, n)));
  for (int end = 0; end < 4; end++) ir_kb_end(b);
}

static const ir_kexpr *with_bias(block_attend *p, const ir_kexpr *row, const ir_kexpr *j, const ir_kexpr *score) {
  attend_kernel *a = p->a;
  ir_kbuilder *b = builder(p);
  const ir_kexpr *key = at_sub(a, at_add(a, a->piece, j), a->origin);
  const ir_kexpr *idx[3] = {cg_attend_query_head(a, row), cg_attend_query_row(a, row), key};
  const ir_kexpr *bias = cg_emit_value(&a->e, a->bias, idx + (3 - a->bias->type.rank));
  if (bias->type != IR_KT_bool) return ir_kb_add(b, score, bias);
  return ir_kb_op(b, IR_K_select, IR_KT_f32, bias, score, at_const(a, -INFINITY));
}

// Hides what row |i| does not see; the scores' maximum over the warp.
static const ir_kexpr *hide_unseen(block_attend *p, const ir_kexpr *i, const ir_kexpr *row) {
  attend_kernel *a = p->a;
  ir_kbuilder *b = builder(p);
  const ir_kexpr *from, *to, *none = at_const(a, -INFINITY), *most = NULL;
  cg_attend_visible(a, row, &from, &to);
  for (int n = 0; n < 2; n++) {
    const ir_kexpr *j = ir_kb_let(b, "j", ir_kb_add(b, p->first, bk_plus(b, p->lane, n * IR_WARP)));
    const ir_kexpr *seen = bk_and(b, ir_kb_op(b, IR_K_ge, IR_KT_bool, j, from, NULL), bk_less(b, j, to));
    const ir_kexpr *score = get(p, p->score, i, bk_int(b, n));
    if (a->bias) {
      ir_kb_if(b, seen);
      set(p, p->score, i, bk_int(b, n), with_bias(p, row, j, score));
      ir_kb_else(b);
      set(p, p->score, i, bk_int(b, n), none);
      ir_kb_end(b);
    } else {
      set(p, p->score, i, bk_int(b, n), ir_kb_op(b, IR_K_select, IR_KT_f32, seen, score, none));
    }
    most = most ? at_max(a, most, get(p, p->score, i, bk_int(b, n))) : get(p, p->score, i, bk_int(b, n));
  }
  for (int distance = IR_WARP / 2; distance; distance /= 2) {
    most = ir_kb_let(b, "most", most);
    most = at_max(a, most, ir_kb_shuffle_xor(b, most, distance));
  }
  return ir_kb_let(b, "most", most);
}

// Scores become weights in shared memory; the row's maximum and sum, and outputs so far, are brought up to date.
static void soften(block_attend *p) {
  ir_kbuilder *b = builder(p);
  attend_kernel *a = p->a;
  const ir_kexpr *i = rows(p), *row = ir_kb_let(b, "row", tile_row(p, i)), *most = hide_unseen(p, i, row), *sum = NULL;
  const ir_kexpr *before = ir_kb_let(b, "before", get(p, p->largest, i, NULL));
  most = ir_kb_let(b, "now", at_max(a, before, most));
  const ir_kexpr *shift = shift_of(p, most), *kept = ir_kb_let(b, "kept", exp_of(p, before, shift));
  set(p, p->largest, i, NULL, most);
  for (int n = 0; n < 2; n++) {
    const ir_kexpr *w = ir_kb_let(b, "weight", exp_of(p, get(p, p->score, i, bk_int(b, n)), shift));
    const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, p->warp, p->tall), i);
    at = ir_kb_add(b, bk_scaled(b, at, KEYS), bk_plus(b, p->lane, n * IR_WARP));
    ir_kb_store(b, IR_KT_f32, p->weights, at, w);
    sum = sum ? ir_kb_add(b, sum, w) : w;
  }
  for (int distance = IR_WARP / 2; distance; distance /= 2) {
    sum = ir_kb_let(b, "sum", sum);
    sum = ir_kb_add(b, sum, ir_kb_shuffle_xor(b, sum, distance));
  }
  set(p, p->sum, i, NULL, ir_kb_op(b, IR_K_fma, IR_KT_f32, get(p, p->sum, i, NULL), kept, ir_kb_let(b, "sum", sum)));
  const ir_kexpr *c = bk_unroll(b, "c", columns_of(a));
  set(p, p->out, i, c, ir_kb_mul(b, get(p, p->out, i, c), kept));
  ir_kb_end(b);
  ir_kb_end(b);
}

static void add_values(block_attend *p, bool hidden) {
  ir_kbuilder *b = builder(p);
  const ir_kexpr *j = bk_for(b, "j", bk_int(b, 0), bk_int(b, KEYS), 4), *i = rows(p), *at = bk_int(b, 0);
  const ir_kexpr *line = bk_scaled(b, ir_kb_add(b, bk_scaled(b, p->warp, p->tall), i), KEYS);
  read_four(p, ir_kb_regs(p->weight, i, at, NULL), p->weights, ir_kb_add(b, line, j));
  ir_kb_end(b);
  const ir_kexpr *u = bk_unroll(b, "u", 4), *c = bk_unroll(b, "c", columns_of(p->a));
  const ir_kexpr *column = ir_kb_add(b, bk_scaled(b, c, IR_WARP), p->lane);
  const ir_kexpr *v = ir_kb_let(b, "v", ir_kb_load(b, IR_KT_f32, p->staged, key_at(p, ir_kb_add(b, j, u), column)));
  i = rows(p);
  const ir_kexpr *w = get(p, p->weight, i, u), *sum = get(p, p->out, i, c);
  const ir_kexpr *more = ir_kb_op(b, IR_K_fma, IR_KT_f32, w, v, sum);
  // 0 times a value that a row does not see would be NaN where that is infinite.
  if (hidden) more = ir_kb_op(b, IR_K_select, IR_KT_f32, ir_kb_op(b, IR_K_ne, IR_KT_bool, w, zero(p), NULL), more, sum);
  set(p, p->out, i, c, more);
  for (int end = 0; end < 4; end++) ir_kb_end(b);
}

static void reg(block_attend *p, ir_kvar **out, const char *name, int rank, int rows_of, int columns, double initial) {
  int dims[2] = {rows_of, columns};
  *out = ir_kb_reg(builder(p), name, IR_KT_f32, false, rank, dims, at_const(p->a, initial));
}

// ---- what attend.c calls

void cg_block_attend_open(block_attend *p, attend_kernel *a, const ir_kexpr *thread) {
  *p = (block_attend){.a = a, .thread = thread};
  ir_kbuilder *b = builder(p);
  int64_t most = a->tile * a->group;
  p->queries = ir_kb_add_shared(b, "queries", 4 * most * query_stride(a));
  p->staged = ir_kb_add_shared(b, "staged", 4 * KEYS * key_stride(a));
  p->weights = ir_kb_add_shared(b, "weights", (int64_t)4 * cg_block_attend_rows(a) * KEYS);
  p->warp = ir_kb_let(b, "warp", bk_div(b, thread, IR_WARP));
  p->lane = ir_kb_let(b, "lane", bk_mod(b, thread, IR_WARP));
  stage_queries(p);
}

void cg_block_attend_begin(block_attend *p, int tall, bool merges) {
  int columns = columns_of(p->a);
  p->tall = tall;
  if (merges) {
    reg(p, &p->all_out, "outputs", 2, tall, columns, 0);
    reg(p, &p->all_largest, "maxima", 1, tall, 0, -INFINITY);
    reg(p, &p->all_sum, "sums", 1, tall, 0, 0);
  }
}

void cg_block_attend_piece(block_attend *p) {
  attend_kernel *a = p->a;
  ir_kbuilder *b = builder(p);
  reg(p, &p->out, "out", 2, p->tall, columns_of(a), 0);
  reg(p, &p->largest, "largest", 1, p->tall, 0, -INFINITY);
  reg(p, &p->sum, "sum", 1, p->tall, 0, 0);
  reg(p, &p->score, "score", 2, p->tall, 2, 0);
  reg(p, &p->key, "key", 2, 2, 4, 0);
  reg(p, &p->query, "query", 1, 4, 0, 0);
  reg(p, &p->weight, "weight", 2, p->tall, 4, 0);
  reg(p, &p->four, "four", 1, 4, 0, 0);
  const ir_kexpr *from = bk_scaled(b, bk_div(b, a->key_lo, KEYS), KEYS);
  p->first = bk_for(b, "first", from, a->keys, KEYS);
  ir_kb_barrier(b);
  if (a->panels) stage_panels(p);
  else stage_rows(p, a->k, a->depth);
  ir_kb_barrier(b);
  scores(p);
  soften(p);
  ir_kb_barrier(b);
  stage_rows(p, a->v, a->width);
  ir_kb_barrier(b);
  add_values(p, a->causal || a->window || a->bias);
  ir_kb_end(b);
}

void cg_block_attend_merge(block_attend *p) {
  ir_kbuilder *b = builder(p);
  attend_kernel *a = p->a;
  const ir_kexpr *i = rows(p), *m = get(p, p->largest, i, NULL), *sum = get(p, p->sum, i, NULL);
  const ir_kexpr *before = ir_kb_let(b, "before", get(p, p->all_largest, i, NULL));
  const ir_kexpr *most = ir_kb_let(b, "now", at_max(a, before, m)), *shift = shift_of(p, most);
  // A piece of which nothing is seen changes nothing: -0 leaves a sum's sign.
  const ir_kexpr *none = ir_kb_op(b, IR_K_eq, IR_KT_bool, sum, zero(p), NULL);
  const ir_kexpr *kept = ir_kb_op(b, IR_K_select, IR_KT_f32, none, at_const(a, 1), exp_of(p, before, shift));
  const ir_kexpr *added = ir_kb_op(b, IR_K_select, IR_KT_f32, none, at_const(a, -0.0), exp_of(p, m, shift));
  kept = ir_kb_let(b, "kept", kept);
  added = ir_kb_let(b, "added", added);
  set(p, p->all_largest, i, NULL, most);
  const ir_kexpr *left = ir_kb_mul(b, get(p, p->all_sum, i, NULL), kept);
  set(p, p->all_sum, i, NULL, ir_kb_op(b, IR_K_fma, IR_KT_f32, sum, added, left));
  const ir_kexpr *c = bk_unroll(b, "c", columns_of(a));
  left = ir_kb_mul(b, get(p, p->all_out, i, c), kept);
  set(p, p->all_out, i, c, ir_kb_op(b, IR_K_fma, IR_KT_f32, get(p, p->out, i, c), added, left));
  ir_kb_end(b);
  ir_kb_end(b);
}

// Opens loops over what the thread has of the warp's rows; |*row| of the tile, |*column|. Three to close.
static const ir_kexpr *open_outputs(block_attend *p, const ir_kexpr **row, const ir_kexpr **column,
                                    const ir_kexpr **c) {
  ir_kbuilder *b = builder(p);
  const ir_kexpr *i = rows(p);
  *row = ir_kb_let(b, "row", ir_kb_add(b, p->warp, bk_scaled(b, i, WARPS)));
  ir_kb_if(b, bk_less(b, *row, p->a->rows));
  *c = bk_unroll(b, "c", columns_of(p->a));
  *column = ir_kb_add(b, bk_scaled(b, *c, IR_WARP), p->lane);
  return i;
}

void cg_block_attend_store(block_attend *p) {
  attend_kernel *a = p->a;
  ir_kbuilder *b = builder(p);
  const ir_kexpr *row, *column, *c, *idx[IR_MAX_RANK], *i = open_outputs(p, &row, &column, &c);
  const ir_kexpr *sum = get(p, p->all_sum, i, NULL), *none = ir_kb_op(b, IR_K_eq, IR_KT_bool, sum, zero(p), NULL);
  const ir_kexpr *inverse = ir_kb_div(b, at_const(a, 1), sum);
  inverse = ir_kb_let(b, "inverse", ir_kb_op(b, IR_K_select, IR_KT_f32, none, zero(p), inverse));
  ir_kb_if(b, bk_less(b, column, bk_int(b, a->width)));
  cg_attend_place(a, cg_attend_query_row(a, row), cg_attend_query_head(a, row), column, idx);
  cg_emit_store(&a->e, a->root, cg_info(a->fl, a->root)->slot, idx, ir_kb_mul(b, get(p, p->all_out, i, c), inverse));
  for (int end = 0; end < 4; end++) ir_kb_end(b);
}

void cg_block_attend_store_part(block_attend *p, int parts, const ir_kexpr *place) {
  attend_kernel *a = p->a;
  ir_kbuilder *b = builder(p);
  const ir_kexpr *row, *column, *c, *i = open_outputs(p, &row, &column, &c);
  const ir_kexpr *part = at_local(a, row, cg_attend_part(a), place);
  ir_kb_if(b, bk_less(b, column, bk_int(b, a->width)));
  at_store(a, parts, at_add(a, part, column), get(p, p->out, i, c));
  ir_kb_end(b);
  ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, column, bk_int(b, 0), NULL));
  const ir_kexpr *m_at = at_add(a, part, at_int(a, cg_attend_part_largest(a)));
  at_store(a, parts, m_at, get(p, p->largest, i, NULL));
  at_store(a, parts, at_add(a, m_at, at_int(a, 1)), get(p, p->sum, i, NULL));
  for (int end = 0; end < 4; end++) ir_kb_end(b);
}
