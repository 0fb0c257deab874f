// Attention of a tile of rows over one piece of the keys: scores, the piece's softmax, values, merge.
//
// Rows run a few at a time. Scores: a register has the same element of sixteen keys, so that a score is one lane's sum
// over the elements in order, whatever runs beside it. Values: a register has sixteen elements of one key, and an
// output is one lane's sum over the row's keys in order. A row's arithmetic touches its own visible keys only: the
// lanes of others are computed and not used.
#include <math.h>

#include "codegen/lower/attend_internal.h"

enum {
  VALUES_AHEAD = 64,       // rows of values that are asked for before their turn,
  VALUES_ROW_BYTES = 1024  // where they stand so far apart that machines do not foresee them
};

// ---- scores

typedef struct {
  const ir_kexpr *first, *size;  // panels of the piece
  const ir_kexpr *lane;
  ir_kvar *acc;
} score_tile;

int cg_attend_word_elements(const attend_kernel *a) {
  return a->panels ? cg_panel_word_elements(a->panels->type.dtype, a->key_heads * a->depth) : 1;
}

// Element |u| of words |bits|: of bf16, or of a float of one byte.
static const ir_kexpr *word_element(attend_kernel *a, const ir_kexpr *bits, int u) {
  ir_kbuilder *b = &a->e.b;
  ir_dtype dtype = a->panels->type.dtype;
  const ir_kexpr *x;
  if (dtype == IR_bf16) {  // the upper half of an f32
    // No mask: the tile's accumulators leave no register for one.
    const ir_kexpr *half = ir_kb_const(b, IR_KT_u32, 16);
    x = u ? ir_kb_op(b, IR_K_shr, IR_KT_u32, bits, half, NULL) : bits;
    x = ir_kb_op(b, IR_K_shl, IR_KT_u32, x, half, NULL);
    return ir_kb_op(b, IR_K_bitcast, IR_KT_f32, x, NULL, NULL);
  }
  x = u ? ir_kb_op(b, IR_K_shr, IR_KT_u32, bits, ir_kb_const(b, IR_KT_u32, u * 8), NULL) : bits;
  x = ir_kb_op(b, IR_K_and, IR_KT_u32, x, ir_kb_const(b, IR_KT_u32, 0xff), NULL);
  x = ir_kb_cast(b, IR_KT_u8, x);
  return ir_kb_cast(b, a->type, ir_kb_op(b, IR_K_bitcast, (ir_ktype)dtype, x, NULL, NULL));
}

const ir_kexpr *cg_attend_panel_line(attend_kernel *a, const ir_kexpr *lane, const ir_kexpr *panel,
                                     const ir_kexpr *word) {
  ir_kbuilder *b = &a->e.b;
  int64_t words = a->depth / cg_attend_word_elements(a);
  const ir_kexpr *rows = at_int(a, RT_PANEL_ROWS);
  panel = at_add(a, panel, at_sub(a, ir_kb_div(b, a->piece, rows), ir_kb_div(b, a->origin, rows)));
  const ir_kexpr *line = at_local(a, panel, a->key_heads * words, at_local(a, a->head, words, word));
  return at_local(a, line, RT_PANEL_ROWS, lane);
}

const ir_kexpr *cg_attend_panel_key(attend_kernel *a, const ir_kexpr *panel, const ir_kexpr *lane, const ir_kexpr *word,
                                    int u) {
  ir_kbuilder *b = &a->e.b;
  int buffer = cg_emit_slot(&a->e, cg_info(a->fl, a->panels)->slot, IR_KB_IN);
  const ir_kexpr *request = cg_emit_request(&a->e), *line = cg_attend_panel_line(a, lane, panel, word);
  bool whole = cg_attend_word_elements(a) == 1;
  ir_ktype type = whole ? (ir_ktype)a->panels->type.dtype : IR_KT_u32;
  const ir_kexpr *bits = ir_kb_load_table(b, type, buffer, request, line);
  return whole ? ir_kb_cast(b, a->type, bits) : word_element(a, bits, u);
}

// Element |u| of word |word| of these keys.
static const ir_kexpr *key_element(attend_kernel *a, const score_tile *t, const ir_kexpr *panel, const ir_kexpr *word,
                                   int u) {
  if (a->panels) return cg_attend_panel_key(a, panel, t->lane, word, u);
  return at_load(a, a->lk, at_local(a, at_local(a, panel, a->depth, word), IR_LANES, t->lane));
}

// One element at a time, so that a register has the query's for all panels of the tile.
static void add_scores(attend_kernel *a, const attend_rows *r, const score_tile *t) {
  ir_kbuilder *b = &a->e.b;
  int per = cg_attend_word_elements(a);
  const ir_kexpr *word = at_serial(a, "d", at_int(a, 0), at_int(a, a->depth / per), 1);
  for (int u = 0; u < per; u++) {
    const ir_kexpr *at = at_add(a, ir_kb_mul(b, word, at_int(a, per)), at_int(a, u)), *p = at_unroll(a, "p", t->size);
    const ir_kexpr *k = ir_kb_let(b, "k", key_element(a, t, at_add(a, t->first, p), word, u));
    const ir_kexpr *i = at_unroll(a, "i", r->size);
    const ir_kexpr *q = at_load(a, a->lq, at_local(a, at_add(a, r->first, i), a->depth, at));
    ir_kb_set(b, t->acc, ir_kb_op(b, IR_K_fma, a->type, q, k, ir_kb_read(b, t->acc, i, p, NULL)), i, p, NULL);
    at_end(a);
    at_end(a);
  }
  at_end(a);
}

static void scores(attend_kernel *a, const attend_rows *r, const ir_kexpr *lo, const ir_kexpr *hi) {
  // Of words with several elements more registers are in flight: three panels leave room for them.
  static const int fours[] = {4, 2, 1}, threes[] = {3, 1};
  bool words = cg_attend_word_elements(a) > 1;
  ir_kbuilder *b = &a->e.b;
  score_tile t;
  int dims[2] = {ATTEND_ROWS, ATTEND_VECTORS};
  t.first = ir_kb_tiles(b, "panel", lo, hi, words ? threes : fours, words ? 2 : 3, &t.size);
  t.lane = at_lanes(a, "l", at_int(a, 0), at_int(a, IR_LANES));
  t.acc = ir_kb_reg(b, "acc", a->type, true, 2, dims, at_const(a, 0));
  add_scores(a, r, &t);
  const ir_kexpr *i = at_unroll(a, "i", r->size), *p = at_unroll(a, "p", t.size);
  const ir_kexpr *at = at_local(a, at_add(a, t.first, p), IR_LANES, t.lane);
  at_store(a, a->ls, at_local(a, i, ATTEND_PIECE, at), ir_kb_read(b, t.acc, i, p, NULL));
  at_end(a);
  at_end(a);
  at_end(a);
  at_end(a);
}

// ---- softmax of a row

static const ir_kexpr *row_place(attend_kernel *a, const ir_kexpr *i) {
  ir_kbuilder *b = &a->e.b;
  return at_sub(a, at_add(a, a->position, ir_kb_div(b, i, at_int(a, a->group))), a->piece);
}

void cg_attend_visible(attend_kernel *a, const ir_kexpr *i, const ir_kexpr **from, const ir_kexpr **to) {
  ir_kbuilder *b = &a->e.b;
  *from = a->key_lo;
  *to = a->keys;
  const ir_kexpr *at = row_place(a, i);
  if (a->causal) {
    const ir_kexpr *limit = at_max(a, at_add(a, at, at_int(a, 1)), at_int(a, 0));
    *to = ir_kb_let(b, "to", ir_kb_min(b, a->keys, limit));
  }
  if (a->window) {
    const ir_kexpr *start = at_add(a, at, at_int(a, 1 - a->window));
    *from = ir_kb_let(b, "from", ir_kb_min(b, *to, at_max(a, start, a->key_lo)));
  }
}

static void fill_scores(attend_kernel *a, const ir_kexpr *i, const ir_kexpr *lo, const ir_kexpr *hi) {
  const ir_kexpr *j = at_lanes(a, "j", lo, hi);
  at_store(a, a->ls, at_local(a, i, ATTEND_PIECE, j), at_const(a, -INFINITY));
  at_end(a);
}

// Adds the bias to the scores of the keys |from|..|to|; -inf where a mask leaves the pair out.
static void add_bias(attend_kernel *a, const ir_kexpr *i, const ir_kexpr *row, const ir_kexpr *from,
                     const ir_kexpr *to) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *j = at_lanes(a, "j", from, to), *at = at_local(a, i, ATTEND_PIECE, j);
  const ir_kexpr *key = at_sub(a, at_add(a, a->piece, j), a->origin);
  const ir_kexpr *idx[3] = {cg_attend_query_head(a, row), cg_attend_query_row(a, row), key};
  const ir_kexpr *bias = cg_emit_value(&a->e, a->bias, idx + (3 - a->bias->type.rank)), *score = at_load(a, a->ls, at);
  if (bias->type != IR_KT_bool) score = at_op(a, IR_K_add, score, bias);
  else score = ir_kb_op(b, IR_K_select, a->type, bias, score, at_const(a, -INFINITY));
  at_store(a, a->ls, at, score);
  at_end(a);
}

// What is taken from scores before exp: |largest|, but 0 where nothing was seen at all, so that exp gives 0 there.
static const ir_kexpr *safe_shift(attend_kernel *a, const ir_kexpr *largest) {
  ir_kbuilder *b = &a->e.b;
  if (!a->bias) return largest;
  const ir_kexpr *none = ir_kb_op(b, IR_K_eq, IR_KT_bool, largest, at_const(a, -INFINITY), NULL);
  return ir_kb_let(b, "shift", ir_kb_op(b, IR_K_select, a->type, none, at_const(a, 0), largest));
}

void cg_attend_merge_row(attend_kernel *a, const ir_kexpr *row, const ir_kexpr *m, const ir_kexpr *sum,
                         const ir_kexpr **out_old, const ir_kexpr **out_new) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *m_at = ir_kb_mul(b, row, at_int(a, 2)), *l_at = at_add(a, m_at, at_int(a, 1));
  const ir_kexpr *before = ir_kb_let(b, "before", at_load(a, a->lm, m_at));
  const ir_kexpr *most = ir_kb_let(b, "most", at_op(a, IR_K_max, before, m)), *shift = safe_shift(a, most);
  *out_old = ir_kb_let(b, "old", at_op(a, IR_K_exp, at_op(a, IR_K_sub, before, shift), NULL));
  *out_new = ir_kb_let(b, "new", at_op(a, IR_K_exp, at_op(a, IR_K_sub, m, shift), NULL));
  const ir_kexpr *kept = ir_kb_let(b, "kept", at_op(a, IR_K_mul, at_load(a, a->lm, l_at), *out_old));
  at_store(a, a->lm, m_at, most);
  at_store(a, a->lm, l_at, ir_kb_op(b, IR_K_fma, a->type, sum, *out_new, kept));
}

// The scores |first|..|last| of row |i| become weights; |out|: the largest score and their sum.
static void soften(attend_kernel *a, const ir_kexpr *i, const ir_kexpr *first, const ir_kexpr *last,
                   const ir_kexpr **out_largest, const ir_kexpr **out_sum) {
  ir_kbuilder *b = &a->e.b;
  ir_kvar *largest = ir_kb_reg(b, "largest", a->type, false, 0, NULL, at_const(a, -INFINITY));
  const ir_kexpr *j = at_lanes(a, "j", first, last);
  ir_kb_reduce(b, IR_K_max, largest, at_load(a, a->ls, at_local(a, i, ATTEND_PIECE, j)));
  at_end(a);
  *out_largest = ir_kb_let(b, "m", ir_kb_read(b, largest, NULL, NULL, NULL));
  const ir_kexpr *shift = safe_shift(a, *out_largest);
  ir_kvar *total = ir_kb_reg(b, "total", a->type, false, 0, NULL, at_const(a, 0));
  j = at_lanes(a, "j", first, last);
  const ir_kexpr *at = at_local(a, i, ATTEND_PIECE, j);
  const ir_kexpr *p = ir_kb_let(b, "p", at_op(a, IR_K_exp, at_op(a, IR_K_sub, at_load(a, a->ls, at), shift), NULL));
  at_store(a, a->ls, at, p);
  ir_kb_reduce(b, IR_K_add, total, p);
  at_end(a);
  *out_sum = ir_kb_let(b, "sum", ir_kb_read(b, total, NULL, NULL, NULL));
}

// The scores of row |i| of |r| become weights. Its maximum and sum go to |parts|, or into the tile's, and then the
// weights of the merge to lw: 1 and -0 for a row that sees nothing of the piece, with which its outputs keep their
// bits. Keys of its first and last vector that it does not see weigh nothing.
static void soften_row(attend_kernel *a, const attend_rows *r, const ir_kexpr *i, int parts, const ir_kexpr *place) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *row = at_add(a, r->first, i), *from, *to, *lanes = at_int(a, IR_LANES), *m, *sum, *weights[2];
  const ir_kexpr *w_at = ir_kb_mul(b, i, at_int(a, 2)), *w_new = at_add(a, w_at, at_int(a, 1));
  cg_attend_visible(a, row, &from, &to);
  if (parts < 0) {
    at_store(a, a->lw, w_at, at_const(a, 1));
    at_store(a, a->lw, w_new, at_const(a, -0.0));
  }
  ir_kb_if(b, ir_kb_op(b, IR_K_gt, IR_KT_bool, to, from, NULL));
  const ir_kexpr *first = ir_kb_let(b, "first", ir_kb_mul(b, ir_kb_div(b, from, lanes), lanes));
  const ir_kexpr *whole = at_add(a, to, at_int(a, IR_LANES - 1));
  const ir_kexpr *last = ir_kb_let(b, "last", ir_kb_mul(b, ir_kb_div(b, whole, lanes), lanes));
  fill_scores(a, i, first, from);
  fill_scores(a, i, to, last);
  if (a->bias) add_bias(a, i, row, from, to);
  soften(a, i, first, last, &m, &sum);
  if (parts >= 0) {
    const ir_kexpr *m_at = at_add(a, at_local(a, row, cg_attend_part(a), place), at_int(a, cg_attend_part_largest(a)));
    at_store(a, parts, m_at, m);
    at_store(a, parts, at_add(a, m_at, at_int(a, 1)), sum);
  } else {
    cg_attend_merge_row(a, row, m, sum, &weights[0], &weights[1]);
    at_store(a, a->lw, w_at, weights[0]);
    at_store(a, a->lw, w_new, weights[1]);
  }
  at_end(a);
}

// ---- values

typedef struct {
  const ir_kexpr *first, *size;  // vectors of the outputs
  const ir_kexpr *lane;
  ir_kvar *acc;
} value_tile;

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
  return a->bias ? ir_kb_op(&a->e.b, IR_K_ne, IR_KT_bool, weight, at_const(a, 0), NULL) : NULL;
}

// Whether row |i| of the tile sees key |j| of the piece, which others see.
static const ir_kexpr *sees(attend_kernel *a, const ir_kexpr *i, const ir_kexpr *j) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *at = row_place(a, i), *seen = ir_kb_op(b, IR_K_le, IR_KT_bool, j, at, NULL);
  if (!a->window) return seen;
  const ir_kexpr *near = ir_kb_op(b, IR_K_gt, IR_KT_bool, at_add(a, j, at_int(a, a->window)), at, NULL);
  return ir_kb_op(b, IR_K_and, IR_KT_bool, seen, near, NULL);
}

static const ir_kexpr *value_element(attend_kernel *a, const ir_kexpr *j, const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK], *key = at_sub(a, at_add(a, a->piece, j), a->origin);
  return cg_emit_value(&a->e, a->v, cg_attend_place(a, key, a->head, at, idx));
}

// Asks for elements of values of a state, which may be far away.
static void prefetch_values(attend_kernel *a, const ir_kexpr *j, const ir_kexpr *at) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *x = value_element(a, j, at);
  while (x->op == IR_K_cast) x = x->args[0];
  if (x->op != IR_K_load || b->kernel->buffers[x->index].kind != IR_KB_TABLE_IN) return;
  if (a->key_heads * a->width * ir_ktype_bytes(x->type) < VALUES_ROW_BYTES) return;
  ir_kb_prefetch(b, x->type, x->index, x->args[1], x->args[0]);
}

// Adds the values of the keys |lo|..|hi| of the piece; |cut|: not all rows see all of them.
static void add_keys(attend_kernel *a, const attend_rows *r, const value_tile *t, const ir_kexpr *lo,
                     const ir_kexpr *hi, bool cut) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *j = at_serial(a, "j", lo, hi, 1), *p = at_unroll(a, "p", t->size);
  const ir_kexpr *at = at_local(a, at_add(a, t->first, p), IR_LANES, t->lane);
  const ir_kexpr *v = ir_kb_let(b, "v", value_element(a, j, at));
  if (!cut) prefetch_values(a, at_add(a, j, at_int(a, VALUES_AHEAD)), at);
  const ir_kexpr *i = at_unroll(a, "i", r->size), *weight = at_load(a, a->ls, at_local(a, i, ATTEND_PIECE, j));
  if (cut || a->bias) weight = ir_kb_let(b, "weight", weight);  // an arm of a select would load it with care
  const ir_kexpr *seen = not_hidden(a, weight);
  if (cut) {
    const ir_kexpr *here = sees(a, at_add(a, r->first, i), j);
    seen = seen ? ir_kb_op(b, IR_K_and, IR_KT_bool, here, seen, NULL) : here;
  }
  ir_kb_set(b, t->acc, add_seen(a, seen, weight, v, ir_kb_read(b, t->acc, i, p, NULL)), i, p, NULL);
  at_end(a);
  at_end(a);
  at_end(a);
}

static void store_values(attend_kernel *a, const attend_rows *r, const value_tile *t, int parts,
                         const ir_kexpr *place) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *i = at_unroll(a, "i", r->size), *p = at_unroll(a, "p", t->size);
  const ir_kexpr *row = at_add(a, r->first, i), *sum = ir_kb_read(b, t->acc, i, p, NULL);
  const ir_kexpr *at = at_local(a, at_add(a, t->first, p), IR_LANES, t->lane);
  if (parts >= 0) {
    at_store(a, parts, at_add(a, at_local(a, row, cg_attend_part(a), place), at), sum);
  } else {
    const ir_kexpr *w_at = ir_kb_mul(b, i, at_int(a, 2)), *old = at_load(a, a->lw, w_at);
    const ir_kexpr *o_at = at_local(a, row, a->width, at), *kept = at_op(a, IR_K_mul, at_load(a, a->lo, o_at), old);
    const ir_kexpr *new = at_load(a, a->lw, at_add(a, w_at, at_int(a, 1)));
    at_store(a, a->lo, o_at, ir_kb_op(b, IR_K_fma, a->type, sum, new, kept));
  }
  at_end(a);
  at_end(a);
}

static void values(attend_kernel *a, const attend_rows *r, int parts, const ir_kexpr *place) {
  static const int vectors[] = {4, 2, 1};
  ir_kbuilder *b = &a->e.b;
  value_tile t;
  int dims[2] = {ATTEND_ROWS, ATTEND_VECTORS};
  t.first = ir_kb_tiles(b, "e", at_int(a, 0), at_int(a, a->width / IR_LANES), vectors, 3, &t.size);
  t.lane = at_lanes(a, "l", at_int(a, 0), at_int(a, IR_LANES));
  t.acc = ir_kb_reg(b, "acc", a->type, true, 2, dims, at_const(a, 0));
  if (a->window) add_keys(a, r, &t, r->lo, r->all_lo, true);
  add_keys(a, r, &t, r->all_lo, r->all_hi, false);
  if (a->causal) add_keys(a, r, &t, r->all_hi, r->hi, true);
  store_values(a, r, &t, parts, place);
  at_end(a);
  at_end(a);
}

// The same for the outputs that are no whole vector, one row at a time.
static void values_rest(attend_kernel *a, const attend_rows *r, int parts, const ir_kexpr *place) {
  ir_kbuilder *b = &a->e.b;
  int64_t done = a->width / IR_LANES * IR_LANES;
  if (done == a->width) return;
  const ir_kexpr *i = at_serial(a, "i", at_int(a, 0), r->size, 1), *row = at_add(a, r->first, i), *from, *to;
  cg_attend_visible(a, row, &from, &to);
  const ir_kexpr *l = at_lanes(a, "l", at_int(a, 0), at_int(a, a->width - done)), *at = at_add(a, l, at_int(a, done));
  ir_kvar *acc = ir_kb_reg(b, "acc", a->type, false, 0, NULL, at_const(a, 0));
  const ir_kexpr *j = at_serial(a, "j", from, to, 1);
  const ir_kexpr *weight = at_load(a, a->ls, at_local(a, i, ATTEND_PIECE, j)), *v = value_element(a, j, at);
  const ir_kexpr *sum = ir_kb_read(b, acc, NULL, NULL, NULL);
  ir_kb_set(b, acc, add_seen(a, not_hidden(a, weight), weight, v, sum), NULL, NULL, NULL);
  at_end(a);
  if (parts >= 0) {
    at_store(a, parts, at_add(a, at_local(a, row, cg_attend_part(a), place), at), sum);
  } else {
    const ir_kexpr *w_at = ir_kb_mul(b, i, at_int(a, 2)), *o_at = at_local(a, row, a->width, at);
    const ir_kexpr *kept = at_op(a, IR_K_mul, at_load(a, a->lo, o_at), at_load(a, a->lw, w_at));
    const ir_kexpr *new = at_load(a, a->lw, at_add(a, w_at, at_int(a, 1)));
    at_store(a, a->lo, o_at, ir_kb_op(b, IR_K_fma, a->type, sum, new, kept));
  }
  at_end(a);
  at_end(a);
}

// ---- the piece

// Keys that do not lie in panels are put into local ones, for all rows of the tile.
static void pack_keys(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *lanes = at_int(a, IR_LANES), *zero = at_int(a, 0), *idx[IR_MAX_RANK];
  const ir_kexpr *j = at_serial(a, "j", a->key_lo, a->keys, 1), *d = at_lanes(a, "d", zero, at_int(a, a->depth));
  const ir_kexpr *key = at_sub(a, at_add(a, a->piece, j), a->origin);
  const ir_kexpr *at = at_local(a, at_local(a, ir_kb_div(b, j, lanes), a->depth, d), IR_LANES, ir_kb_mod(b, j, lanes));
  at_store(a, a->lk, at, cg_emit_value(&a->e, a->k, cg_attend_place(a, key, a->head, d, idx)));
  at_end(a);
  at_end(a);
  const ir_kexpr *first = ir_kb_mul(b, ir_kb_div(b, a->key_lo, lanes), lanes);
  const ir_kexpr *last = ir_kb_mul(b, ir_kb_div(b, at_add(a, a->keys, at_int(a, IR_LANES - 1)), lanes), lanes);
  const ir_kexpr *bounds[2][2] = {{first, a->key_lo}, {a->keys, last}};
  for (int side = 0; side < 2; side++) {
    j = at_serial(a, "j", bounds[side][0], bounds[side][1], 1);
    d = at_serial(a, "d", zero, at_int(a, a->depth), 1);
    at = at_local(a, at_local(a, ir_kb_div(b, j, lanes), a->depth, d), IR_LANES, ir_kb_mod(b, j, lanes));
    at_store(a, a->lk, at, at_const(a, 0));
    at_end(a);
    at_end(a);
  }
}

static const ir_kexpr *within(attend_kernel *a, const char *name, const ir_kexpr *x, const ir_kexpr *lo,
                              const ir_kexpr *hi) {
  return ir_kb_let(&a->e.b, name, at_max(a, ir_kb_min(&a->e.b, x, hi), lo));
}

static void cut_keys(attend_kernel *a, attend_rows *r) {
  const ir_kexpr *one = at_int(a, 1), *behind = at_int(a, 1 - a->window);
  const ir_kexpr *first = row_place(a, r->first), *last = row_place(a, at_sub(a, at_add(a, r->first, r->size), one));
  r->lo = r->all_lo = a->key_lo;
  r->hi = r->all_hi = a->keys;
  if (a->window) {
    r->lo = within(a, "some", at_add(a, first, behind), a->key_lo, a->keys);
    r->all_lo = within(a, "all", at_add(a, last, behind), r->lo, a->keys);
  }
  if (!a->causal) return;
  r->all_hi = within(a, "all_end", at_add(a, first, one), r->all_lo, a->keys);
  r->hi = within(a, "some_end", at_add(a, last, one), r->all_hi, a->keys);
}

void cg_attend_piece(attend_kernel *a, int parts, const ir_kexpr *place) {
  ir_kbuilder *b = &a->e.b;
  attend_rows r;
  if (!a->panels) pack_keys(a);
  r.first = ir_kb_tiles(b, "m", at_int(a, 0), a->rows, a->heights, a->height_count, &r.size);
  cut_keys(a, &r);
  const ir_kexpr *lanes = at_int(a, IR_LANES);
  ir_kb_if(b, ir_kb_op(b, IR_K_gt, IR_KT_bool, r.hi, r.lo, NULL));
  const ir_kexpr *lo = ir_kb_let(b, "panel_lo", ir_kb_div(b, r.lo, lanes));
  const ir_kexpr *hi = ir_kb_let(b, "panel_hi", ir_kb_div(b, at_add(a, r.hi, at_int(a, IR_LANES - 1)), lanes));
  scores(a, &r, lo, hi);
  const ir_kexpr *i = at_serial(a, "i", at_int(a, 0), r.size, 1);
  soften_row(a, &r, i, parts, place);
  at_end(a);
  values(a, &r, parts, place);
  values_rest(a, &r, parts, place);
  at_end(a);
  at_end(a);
}
