// Attention: softmax(scale q k) v over packed ragged rows, with an online softmax over blocks of keys (Milakov and
// Gimelshein 2018; Dao et al. 2022). One work item is a tile of rows of one request for one key/value head, with all
// query heads of its group, so that each key and value is read once for the group. Key blocks are cut at absolute
// positions and visited in order; a row's arithmetic touches its own visible keys only. So its bits depend neither on
// the other rows of the tile nor on how the sequence was cut into calls.
#include <math.h>

#include "codegen/lower/internal.h"

enum { KEYS = 64, TILE_ROWS = 24 };

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
  int64_t window;
  double scale;
  const ir_kexpr *head;                    // key head
  const ir_kexpr *first_row;               // the tile's first q row
  const ir_kexpr *origin;                  // position of the first key in the whole sequence
  const ir_kexpr *position;                // position of the tile's first row among the keys
  const ir_kexpr *rows;                    // rows of the tile times |group|
  const ir_kexpr *key_end, *block, *keys;  // end of all keys, first position of the block, positions in it
  const ir_kexpr *key_lo;                  // the first of those that there is a key for
  int lq, ls, lo, lm;                      // LOCAL: queries, scores, outputs, maxima and sums
} attend_kernel;

static const ir_kexpr *integer(attend_kernel *a, int64_t value) { return ir_kb_int(&a->e.b, value); }
static const ir_kexpr *local(attend_kernel *a, const ir_kexpr *row, int64_t stride, const ir_kexpr *at) {
  return ir_kb_add(&a->e.b, ir_kb_mul(&a->e.b, row, integer(a, stride)), at);
}
static const ir_kexpr *load(attend_kernel *a, int buffer, const ir_kexpr *at) {
  return ir_kb_load(&a->e.b, a->type, buffer, at);
}
static void store(attend_kernel *a, int buffer, const ir_kexpr *at, const ir_kexpr *x) {
  ir_kb_store(&a->e.b, a->type, buffer, at, x);
}
static const ir_kexpr *lanes(attend_kernel *a, const char *name, const ir_kexpr *lo, const ir_kexpr *hi) {
  return ir_kb_for(&a->e.b, IR_KR_LANES, name, lo, hi, 1);
}
static const ir_kexpr *serial(attend_kernel *a, const char *name, const ir_kexpr *lo, const ir_kexpr *hi,
                              int64_t step) {
  return ir_kb_for(&a->e.b, IR_KR_SERIAL, name, lo, hi, step);
}
static void end(attend_kernel *a) { ir_kb_end(&a->e.b); }

// Element of q, in the tile's row |i| (query heads of the group run fastest).
static const ir_kexpr *query_row(attend_kernel *a, const ir_kexpr *i) {
  return ir_kb_add(&a->e.b, a->first_row, ir_kb_div(&a->e.b, i, integer(a, a->group)));
}
static const ir_kexpr *query_head(attend_kernel *a, const ir_kexpr *i) {
  ir_kbuilder *b = &a->e.b;
  return ir_kb_add(b, ir_kb_mul(b, a->head, integer(a, a->group)), ir_kb_mod(b, i, integer(a, a->group)));
}

// Fills |idx| with the item's place and (row, head, at).
static const ir_kexpr *const *place(attend_kernel *a, const ir_kexpr *row, const ir_kexpr *head, const ir_kexpr *at,
                                    const ir_kexpr **idx) {
  for (int i = 0; i < a->lead; i++) idx[i] = a->lead_idx[i];
  idx[a->lead] = row;
  idx[a->lead + 1] = head;
  idx[a->lead + 2] = at;
  return idx;
}

static const ir_kexpr *key_element(attend_kernel *a, ir_value *value, const ir_kexpr *key, const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK];
  return cg_emit_value(&a->e, value, place(a, ir_kb_sub(&a->e.b, key, a->origin), a->head, at, idx));
}

static void begin_tile(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *zero = integer(a, 0), *i = serial(a, "i", zero, a->rows, 1);
  const ir_kexpr *row = query_row(a, i), *head = query_head(a, i);
  const ir_kexpr *d = lanes(a, "d", zero, integer(a, a->depth)), *idx[IR_MAX_RANK];
  store(a, a->lq, local(a, i, a->depth, d),
        ir_kb_mul(b, cg_emit_value(&a->e, a->q, place(a, row, head, d, idx)), ir_kb_const(b, a->type, a->scale)));
  end(a);
  d = lanes(a, "d", zero, integer(a, a->width));
  store(a, a->lo, local(a, i, a->width, d), ir_kb_const(b, a->type, 0));
  end(a);
  const ir_kexpr *m = ir_kb_mul(b, i, integer(a, 2));
  store(a, a->lm, m, ir_kb_const(b, a->type, -INFINITY));
  store(a, a->lm, ir_kb_add(b, m, integer(a, 1)), ir_kb_const(b, a->type, 0));
  end(a);
}

static const int heights[] = {6, 4, 2, 1};

typedef struct {
  const ir_kexpr *first, *size, *lane;
  ir_kvar *acc;
} tile;

static tile open_tile(attend_kernel *a, int vectors) {
  ir_kbuilder *b = &a->e.b;
  tile t;
  int dims[2] = {heights[0], vectors};
  t.first = ir_kb_tiles(b, "m", integer(a, 0), a->rows, heights, 4, &t.size);
  t.lane = lanes(a, "l", integer(a, 0), integer(a, IR_LANES));
  t.acc = ir_kb_reg(b, "acc", a->type, true, 2, dims, ir_kb_const(b, a->type, 0));
  return t;
}

static const ir_kexpr *unroll(attend_kernel *a, const tile *t) {
  return ir_kb_for(&a->e.b, IR_KR_UNROLL, "i", integer(a, 0), t->size, 1);
}

static const ir_kexpr *vector_at(attend_kernel *a, const tile *t, int p) {
  return ir_kb_add(&a->e.b, t->lane, integer(a, p * IR_LANES));
}

// The score of row |i| and |key| with its bias; -inf where a mask leaves the pair out.
static const ir_kexpr *biased(attend_kernel *a, const ir_kexpr *i, const ir_kexpr *key, const ir_kexpr *score) {
  if (!a->bias) return score;
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *idx[3] = {query_head(a, i), query_row(a, i), ir_kb_sub(b, key, a->origin)};
  const ir_kexpr *bias = cg_emit_value(&a->e, a->bias, idx + (3 - a->bias->type.rank));
  if (bias->type != IR_KT_bool) return ir_kb_add(b, score, bias);
  return ir_kb_op(b, IR_K_select, a->type, bias, score, ir_kb_const(b, a->type, -INFINITY));
}

// Scores of all rows of the tile and all keys of the block, those that a row does not see included. A key is read once
// for the group; dot products run in lanes over the last dim, so keys are used as they lie in the cache.
static void scores(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *j = serial(a, "j", a->key_lo, a->keys, 1), *key = ir_kb_add(b, a->block, j);
  const ir_kexpr *i = serial(a, "i", integer(a, 0), a->rows, 1);
  ir_kvar *dot = ir_kb_reg(b, "dot", a->type, false, 0, NULL, ir_kb_const(b, a->type, 0));
  const ir_kexpr *d = lanes(a, "d", integer(a, 0), integer(a, a->depth));
  ir_kb_reduce(b, IR_K_add, dot, ir_kb_mul(b, load(a, a->lq, local(a, i, a->depth, d)), key_element(a, a->k, key, d)));
  end(a);
  store(a, a->ls, local(a, i, KEYS, j), biased(a, i, key, ir_kb_read(b, dot, NULL, NULL, NULL)));
  end(a);
  end(a);
}

static void fill_zero(attend_kernel *a, const ir_kexpr *row, const ir_kexpr *lo, const ir_kexpr *hi) {
  const ir_kexpr *j = lanes(a, "j", lo, hi);
  store(a, a->ls, local(a, row, KEYS, j), ir_kb_const(&a->e.b, a->type, 0));
  end(a);
}

// Where row |i| of the tile stands among the keys of the block.
static const ir_kexpr *row_place(attend_kernel *a, const ir_kexpr *i) {
  ir_kbuilder *b = &a->e.b;
  return ir_kb_sub(b, ir_kb_add(b, a->position, ir_kb_div(b, i, integer(a, a->group))), a->block);
}

// The keys of the block that row |i| sees: from, to.
static void visible(attend_kernel *a, const ir_kexpr *i, const ir_kexpr **from, const ir_kexpr **to) {
  ir_kbuilder *b = &a->e.b;
  *from = a->key_lo;
  *to = a->keys;
  const ir_kexpr *at = row_place(a, i);
  if (a->causal) {
    const ir_kexpr *limit = ir_kb_op(b, IR_K_max, IR_KT_i64, ir_kb_add(b, at, integer(a, 1)), integer(a, 0), NULL);
    *to = ir_kb_let(b, "to", ir_kb_min(b, a->keys, limit));
  }
  if (a->window) {
    const ir_kexpr *start = ir_kb_add(b, at, integer(a, 1 - a->window));
    *from = ir_kb_let(b, "from", ir_kb_min(b, *to, ir_kb_op(b, IR_K_max, IR_KT_i64, start, a->key_lo, NULL)));
  }
}

static void soften_row(attend_kernel *a, const ir_kexpr *i) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *from, *to;
  visible(a, i, &from, &to);
  ir_kb_if(b, ir_kb_op(b, IR_K_gt, IR_KT_bool, to, from, NULL));
  const ir_kexpr *m_at = ir_kb_mul(b, i, integer(a, 2)), *l_at = ir_kb_add(b, m_at, integer(a, 1));
  ir_kvar *largest = ir_kb_reg(b, "largest", a->type, false, 0, NULL, ir_kb_const(b, a->type, -INFINITY));
  const ir_kexpr *j = lanes(a, "j", from, to);
  ir_kb_reduce(b, IR_K_max, largest, load(a, a->ls, local(a, i, KEYS, j)));
  end(a);
  const ir_kexpr *old = ir_kb_let(b, "old", load(a, a->lm, m_at));
  const ir_kexpr *m =
      ir_kb_let(b, "m", ir_kb_op(b, IR_K_max, a->type, old, ir_kb_read(b, largest, NULL, NULL, NULL), NULL));
  const ir_kexpr *shift = m;
  if (a->bias) {  // where nothing was seen so far, exp(-inf - shift) is to be 0
    const ir_kexpr *none = ir_kb_op(b, IR_K_eq, IR_KT_bool, m, ir_kb_const(b, a->type, -INFINITY), NULL);
    shift = ir_kb_let(b, "shift", ir_kb_op(b, IR_K_select, a->type, none, ir_kb_const(b, a->type, 0), m));
  }
  const ir_kexpr *decay = ir_kb_let(b, "decay", ir_kb_op(b, IR_K_exp, a->type, ir_kb_sub(b, old, shift), NULL, NULL));
  ir_kvar *sum = ir_kb_reg(b, "sum", a->type, false, 0, NULL, ir_kb_const(b, a->type, 0));
  j = lanes(a, "j", from, to);
  const ir_kexpr *s_at = local(a, i, KEYS, j);
  const ir_kexpr *p =
      ir_kb_let(b, "p", ir_kb_op(b, IR_K_exp, a->type, ir_kb_sub(b, load(a, a->ls, s_at), shift), NULL, NULL));
  store(a, a->ls, s_at, p);
  ir_kb_reduce(b, IR_K_add, sum, p);
  end(a);
  store(a, a->lm, m_at, m);
  const ir_kexpr *total =
      ir_kb_op(b, IR_K_fma, a->type, load(a, a->lm, l_at), decay, ir_kb_read(b, sum, NULL, NULL, NULL));
  store(a, a->lm, l_at, total);
  const ir_kexpr *d = lanes(a, "d", integer(a, 0), integer(a, a->width)), *o_at = local(a, i, a->width, d);
  store(a, a->lo, o_at, ir_kb_mul(b, load(a, a->lo, o_at), decay));
  end(a);
  ir_kb_end(b);
  fill_zero(a, i, integer(a, 0), from);
  fill_zero(a, i, to, a->keys);
}

// |x| within |lo|..|hi|.
static const ir_kexpr *within(attend_kernel *a, const char *name, const ir_kexpr *x, const ir_kexpr *lo,
                              const ir_kexpr *hi) {
  ir_kbuilder *b = &a->e.b;
  return ir_kb_let(b, name, ir_kb_op(b, IR_K_max, IR_KT_i64, ir_kb_min(b, x, hi), lo, NULL));
}

// Cuts the keys of the block that some row of the tile sees: those from |out[1]| to |out[2]| are seen by all of them.
static void cut_keys(attend_kernel *a, const tile *t, const ir_kexpr **out) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *one = integer(a, 1), *behind = integer(a, 1 - a->window);
  const ir_kexpr *first = row_place(a, t->first),
                 *last = row_place(a, ir_kb_sub(b, ir_kb_add(b, t->first, t->size), one));
  out[0] = out[1] = a->key_lo;
  out[2] = out[3] = a->keys;
  if (a->window) {
    out[0] = within(a, "some", ir_kb_add(b, first, behind), a->key_lo, a->keys);
    out[1] = within(a, "all", ir_kb_add(b, last, behind), out[0], a->keys);
  }
  if (!a->causal) return;
  out[2] = within(a, "all_end", ir_kb_add(b, first, one), out[1], a->keys);
  out[3] = within(a, "some_end", ir_kb_add(b, last, one), out[2], a->keys);
}

// |sum| with the value of a key added, or as it was where the row does not see the key: 0 times a value would be NaN
// where that is infinite.
static const ir_kexpr *add_seen(attend_kernel *a, const ir_kexpr *seen, const ir_kexpr *weight, const ir_kexpr *value,
                                const ir_kexpr *sum) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *added = ir_kb_op(b, IR_K_fma, a->type, weight, value, sum);
  return seen ? ir_kb_op(b, IR_K_select, a->type, seen, added, sum) : added;
}

// Null where the weight itself does not say that a bias hides the key.
static const ir_kexpr *not_hidden(attend_kernel *a, const ir_kexpr *weight) {
  ir_kbuilder *b = &a->e.b;
  return a->bias ? ir_kb_op(b, IR_K_ne, IR_KT_bool, weight, ir_kb_const(b, a->type, 0), NULL) : NULL;
}

// Whether row |i| sees key |j| of the block, which others of its tile see.
static const ir_kexpr *sees(attend_kernel *a, const ir_kexpr *i, const ir_kexpr *j) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *at = row_place(a, i), *seen = ir_kb_op(b, IR_K_le, IR_KT_bool, j, at, NULL);
  if (!a->window) return seen;
  const ir_kexpr *near = ir_kb_op(b, IR_K_gt, IR_KT_bool, ir_kb_add(b, j, integer(a, a->window)), at, NULL);
  return ir_kb_op(b, IR_K_and, IR_KT_bool, seen, near, NULL);
}

// Adds the values of the keys |lo|..|hi| of the block to the tile's accumulators; |cut|: not all rows see all of them.
static void add_keys(attend_kernel *a, const tile *t, const ir_kexpr *group, int vectors, const ir_kexpr *lo,
                     const ir_kexpr *hi, bool cut) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *j = serial(a, "j", lo, hi, 1), *v[4];
  for (int p = 0; p < vectors; p++)
    v[p] = ir_kb_let(b, "v", key_element(a, a->v, ir_kb_add(b, a->block, j), ir_kb_add(b, group, vector_at(a, t, p))));
  const ir_kexpr *i = unroll(a, t), *row = ir_kb_add(b, t->first, i);
  const ir_kexpr *weight = ir_kb_let(b, "p", load(a, a->ls, local(a, row, KEYS, j)));
  const ir_kexpr *seen = not_hidden(a, weight);
  if (cut) {
    const ir_kexpr *here = sees(a, row, j);
    seen = ir_kb_let(b, "seen", seen ? ir_kb_op(b, IR_K_and, IR_KT_bool, here, seen, NULL) : here);
  }
  for (int p = 0; p < vectors; p++) {
    const ir_kexpr *at = integer(a, p), *sum = ir_kb_read(b, t->acc, i, at, NULL);
    ir_kb_set(b, t->acc, add_seen(a, seen, weight, v[p], sum), i, at, NULL);
  }
  end(a);
  end(a);
}

static void add_values(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  int vectors = a->width % 64 == 0 ? 4 : a->width % 32 == 0 ? 2 : 1;
  const ir_kexpr *group = serial(a, "e", integer(a, 0), integer(a, a->width), (int64_t)vectors * IR_LANES);
  tile t = open_tile(a, vectors);
  const ir_kexpr *i = unroll(a, &t);
  for (int p = 0; p < vectors; p++) {
    const ir_kexpr *at = local(a, ir_kb_add(b, t.first, i), a->width, ir_kb_add(b, group, vector_at(a, &t, p)));
    ir_kb_set(b, t.acc, load(a, a->lo, at), i, integer(a, p), NULL);
  }
  end(a);
  const ir_kexpr *cut[4];
  cut_keys(a, &t, cut);
  if (a->window) add_keys(a, &t, group, vectors, cut[0], cut[1], true);
  add_keys(a, &t, group, vectors, cut[1], cut[2], false);
  if (a->causal) add_keys(a, &t, group, vectors, cut[2], cut[3], true);
  i = unroll(a, &t);
  for (int p = 0; p < vectors; p++) {
    const ir_kexpr *at = local(a, ir_kb_add(b, t.first, i), a->width, ir_kb_add(b, group, vector_at(a, &t, p)));
    store(a, a->lo, at, ir_kb_read(b, t.acc, i, integer(a, p), NULL));
  }
  end(a);
  end(a);
  end(a);
  end(a);
}

// The same for widths that are no whole number of vectors: memory instead of registers.
static void add_values_plain(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *i = serial(a, "i", integer(a, 0), a->rows, 1), *from, *to;
  visible(a, i, &from, &to);
  const ir_kexpr *j = serial(a, "j", from, to, 1);
  const ir_kexpr *weight = ir_kb_let(b, "p", load(a, a->ls, local(a, i, KEYS, j)));
  const ir_kexpr *d = lanes(a, "d", integer(a, 0), integer(a, a->width)), *at = local(a, i, a->width, d);
  const ir_kexpr *v = key_element(a, a->v, ir_kb_add(b, a->block, j), d);
  store(a, a->lo, at, add_seen(a, not_hidden(a, weight), weight, v, load(a, a->lo, at)));
  end(a);
  end(a);
  end(a);
}

static void finish_tile(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *i = serial(a, "i", integer(a, 0), a->rows, 1);
  const ir_kexpr *l = load(a, a->lm, ir_kb_add(b, ir_kb_mul(b, i, integer(a, 2)), integer(a, 1)));
  // A row that sees no key has the sum 0, and gives 0.
  const ir_kexpr *zero = ir_kb_const(b, a->type, 0), *none = ir_kb_op(b, IR_K_eq, IR_KT_bool, l, zero, NULL);
  const ir_kexpr *divided = ir_kb_div(b, ir_kb_const(b, a->type, 1), l);
  const ir_kexpr *inverse = ir_kb_let(b, "inverse", ir_kb_op(b, IR_K_select, a->type, none, zero, divided));
  const ir_kexpr *row = query_row(a, i), *head = query_head(a, i);
  const ir_kexpr *d = lanes(a, "d", integer(a, 0), integer(a, a->width)), *idx[IR_MAX_RANK];
  cg_emit_store(&a->e, a->root, cg_info(a->fl, a->root)->slot, place(a, row, head, d, idx),
                ir_kb_mul(b, load(a, a->lo, local(a, i, a->width, d)), inverse));
  end(a);
  end(a);
}

// Binds the work item: request, head, tile; opens the `if` that the tile has rows.
static void bind_item(attend_kernel *a) {
  emitter *e = &a->e;
  ir_kbuilder *b = &e->b;
  const ir_type *q = &a->q->type;
  const ir_kexpr *tile_rows = integer(a, a->tile), *heads = integer(a, a->key_heads);
  const ir_kexpr *most = cg_emit_most(e, q->dims[a->lead]);
  const ir_kexpr *tiles = ir_kb_div(b, ir_kb_add(b, most, integer(a, a->tile - 1)), tile_rows);
  const ir_kexpr *grid = ir_kb_mul(b, ir_kb_mul(b, cg_emit_images(e, a->root, a->lead), heads), tiles);
  const ir_kexpr *n = ir_kb_set_grid(b, grid, "n");
  const ir_kexpr *pair = ir_kb_let(b, "pair", ir_kb_div(b, n, tiles));
  a->head = ir_kb_let(b, "head", ir_kb_mod(b, pair, heads));
  cg_emit_set_image(e, a->root, a->lead, ir_kb_div(b, pair, heads), a->lead_idx);
  const ir_kexpr *rows = ir_kb_let(b, "length", cg_dim_expr(e, q->dims[a->lead]));
  const ir_kexpr *t0 = ir_kb_let(b, "t0", ir_kb_mul(b, ir_kb_mod(b, n, tiles), tile_rows));
  // Of rows of this call alone the first is the first; of a history it is where the history begins.
  ir_dim keys = a->k->type.dims[a->lead];
  ir_dim first = ir_dim_first_position(a->fl->low->module->dims, keys);
  a->origin = ir_dim_as_symbol(keys) ? integer(a, 0) : ir_kb_let(b, "origin", cg_dim_expr(e, first));
  const ir_kexpr *total = ir_kb_let(b, "total", ir_kb_add(b, a->origin, cg_dim_expr(e, keys)));
  const ir_kexpr *past = ir_kb_let(b, "before", ir_kb_sub(b, total, rows));
  ir_kb_if(b, ir_kb_op(b, IR_K_lt, IR_KT_bool, t0, rows, NULL));
  const ir_kexpr *here = ir_kb_let(b, "here", ir_kb_min(b, tile_rows, ir_kb_sub(b, rows, t0)));
  a->first_row = t0;
  a->position = ir_kb_let(b, "position", ir_kb_add(b, past, t0));
  a->rows = ir_kb_let(b, "rows_here", ir_kb_mul(b, here, integer(a, a->group)));
  a->key_end = ir_kb_let(b, "key_end", a->causal ? ir_kb_add(b, a->position, here) : total);
}

static void add_local(attend_kernel *a, int *out, const char *name, int64_t count) {
  *out = ir_kb_add_buffer(&a->e.b, IR_KB_LOCAL, name, ir_kb_int(&a->e.b, ir_ktype_bytes(a->type) * count), -1);
}

static void emit_attend(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  int64_t rows = a->tile * a->group;
  bind_item(a);
  add_local(a, &a->lq, "queries", rows * a->depth);
  add_local(a, &a->ls, "scores", rows * KEYS);
  add_local(a, &a->lo, "outputs", rows * a->width);
  add_local(a, &a->lm, "sums", rows * 2);
  begin_tile(a);
  const ir_kexpr *from = a->origin;
  if (a->window)
    from = ir_kb_op(b, IR_K_max, IR_KT_i64, ir_kb_add(b, a->position, integer(a, 1 - a->window)), from, NULL);
  from = ir_kb_let(b, "from_block", ir_kb_mul(b, ir_kb_div(b, from, integer(a, KEYS)), integer(a, KEYS)));
  a->block = serial(a, "block", from, a->key_end, KEYS);
  a->key_lo = integer(a, 0);
  if (a->origin->op != IR_K_const)
    a->key_lo = ir_kb_let(b, "key_lo",
                          ir_kb_op(b, IR_K_max, IR_KT_i64, ir_kb_sub(b, a->origin, a->block), integer(a, 0), NULL));
  a->keys = ir_kb_let(b, "keys", ir_kb_min(b, integer(a, KEYS), ir_kb_sub(b, a->key_end, a->block)));
  scores(a);
  const ir_kexpr *i = serial(a, "i", integer(a, 0), a->rows, 1);
  soften_row(a, i);
  end(a);
  if (a->width % IR_LANES == 0) add_values(a);
  else add_values_plain(a);
  end(a);
  finish_tile(a);
  ir_kb_end(b);
}

weir_status cg_lower_attend(function_lowering *fl, ir_value *root) {
  const ir_node *node = root->def;
  attend_kernel a = {.fl = fl, .root = root, .q = node->operands[0], .k = node->operands[1], .v = node->operands[2]};
  const value_info *k = cg_info(fl, a.k);
  a.bias = node->operand_count > 3 ? node->operands[3] : NULL;
  a.type = cg_compute_type(root->type.dtype);
  a.lead = a.q->type.rank - 3;
  a.depth = cg_const_dim(a.q->type.dims[a.lead + 2]);
  a.width = cg_const_dim(a.v->type.dims[a.lead + 2]);
  a.key_heads = cg_const_dim(a.k->type.dims[a.lead + 1]);
  int64_t heads = cg_const_dim(a.q->type.dims[a.lead + 1]);
  if (a.depth < 0 || a.width < 0 || a.key_heads < 1 || heads < 1)
    return cg_unsupported(fl->function, node->loc, "attend whose heads or sizes are run-time dims has no lowering yet");
  a.group = heads / a.key_heads;
  a.tile = TILE_ROWS / a.group > 0 ? TILE_ROWS / a.group : 1;
  a.causal = ir_node_attr(node, IR_ATTR_causal)->i != 0;
  a.window = ir_node_attr(node, IR_ATTR_window)->i;
  a.scale = ir_node_attr(node, IR_ATTR_scale)->f;
  const char *name =
      weir_arena_printf(fl->low->arena, "attend%s%s%s_%dx%d", a.bias ? "_bias" : "", a.causal ? "_causal" : "",
                        k->cls == CLASS_HISTORY ? "_history" : "", (int)a.group, (int)a.depth);
  cg_emit_begin(&a.e, fl, root, name, "attention of a tile of rows and one key head over all keys that they see");
  emit_attend(&a);
  return cg_emit_finish(&a.e);
}
