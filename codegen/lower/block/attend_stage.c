// What attention by matrix units brings to shared memory, and keys as fragments.
//
// Keys in the panels of a state are there what a fragment B holds: of bf16 a word is two elements of a key, and a
// thread reads those of two neighbouring keys at once. So in both fragments of a panel column c of half h is key 2c +
// h, and values are put in that order. Words of f16 panels are neighbouring keys; `ldmatrix.trans` makes pairs of
// elements of them, as `ldmatrix` does of rows, and columns are keys in order. Sixteen bytes go where banks differ: of
// keys in panels halves of a line of 64 (32) bytes are exchanged in every second 128; rows have MMA_PAD halves behind
// them. What lies otherwise, or is computed here, is rounded as it is staged.
#include "codegen/lower/block/attend_mma.h"

static ir_kbuilder *builder(attend_mma *f) { return am_builder(f); }

const ir_kexpr *am_element(attend_mma *f, ir_value *value, const ir_kexpr *position, const ir_kexpr *at) {
  attend_kernel *a = f->a;
  const ir_kexpr *idx[IR_MAX_RANK];
  return cg_emit_value(&a->e, value, cg_attend_place(a, at_sub(a, position, a->origin), a->head, at, idx));
}

static const ir_kexpr *not_before(attend_mma *f, const ir_kexpr *end) {
  const ir_kexpr *origin = f->a->origin;
  if (origin->op == IR_K_const && !origin->i) return ir_kb_const(builder(f), IR_KT_bool, 1);
  return ir_kb_op(builder(f), IR_K_gt, IR_KT_bool, end, origin, NULL);
}

const ir_kexpr *am_is_key(attend_mma *f, const ir_kexpr *j) {
  ir_kbuilder *b = builder(f);
  return bk_and(b, not_before(f, bk_plus(b, j, 1)), bk_less(b, j, f->a->key_end));
}

const ir_kexpr *am_is_panel(attend_mma *f, const ir_kexpr *j) {
  ir_kbuilder *b = builder(f);
  return bk_and(b, not_before(f, bk_plus(b, j, MMA_PANEL)), bk_less(b, j, f->a->key_end));
}

const ir_kexpr *am_pack(attend_mma *f, ir_kmma kind, const ir_kexpr *low, const ir_kexpr *high) {
  return ir_kb_op(builder(f), kind == IR_KMMA_f16 ? IR_K_pack2_f16 : IR_K_pack2, IR_KT_u32, low, high, NULL);
}

// Whether eight neighbouring elements of |value| are sixteen bytes of memory, in halves of type |*out|.
static bool lies_in_halves(attend_mma *f, ir_value *value, ir_ktype *out) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *first = am_element(f, value, f->a->key_end, bk_int(b, 0));
  ir_kplace place;
  bool run = cg_block_run(b, first, am_element(f, value, f->a->key_end, bk_int(b, 1)), 8, &place);
  *out = run ? place.type : IR_KT_f32;
  return run && ir_ktype_bytes(place.type) == 2;
}

void am_choose_forms(attend_mma *f) {
  attend_kernel *a = f->a;
  ir_ktype type;
  f->values_ahead = lies_in_halves(f, a->v, &type);
  f->value_kind = f->values_ahead && type == IR_KT_f16 ? IR_KMMA_f16 : IR_KMMA_bf16;
  if (a->panels) {
    ir_dtype dtype = a->panels->type.dtype;
    f->form = dtype == IR_f16 ? MMA_KEYS_HALVES : MMA_KEYS_WORDS;
    f->keys_ahead = dtype == IR_f16 || (dtype == IR_bf16 && cg_attend_word_elements(a) == 2);
    f->score_kind = dtype == IR_f16 ? IR_KMMA_f16 : IR_KMMA_bf16;
  } else {
    f->form = MMA_KEYS_ROWS;
    f->keys_ahead = lies_in_halves(f, a->k, &type);
    f->score_kind = f->keys_ahead && type == IR_KT_f16 ? IR_KMMA_f16 : IR_KMMA_bf16;
  }
}

int64_t am_key_bytes(const attend_mma *f) {
  int64_t row = f->form == MMA_KEYS_ROWS ? am_query_stride(f) : (int64_t)f->steps * 16;
  return 2 * row * f->key_tile;
}

// ---- rows of halves

typedef struct {
  ir_value *value;
  const ir_kexpr *row, *head;  // of the value
  int64_t width;
  ir_kmma kind;
} row_source;

static const ir_kexpr *row_element(attend_mma *f, const row_source *from, const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK];
  return cg_emit_value(&f->a->e, from->value, cg_attend_place(f->a, from->row, from->head, at, idx));
}

// The largest f16 for what is larger.
static const ir_kexpr *within(attend_mma *f, ir_kmma kind, const ir_kexpr *x) {
  enum { LARGEST = 65504 };
  if (kind != IR_KMMA_f16) return x;
  x = ir_kb_op(builder(f), IR_K_min, IR_KT_f32, x, at_const(f->a, LARGEST), NULL);
  return at_max(f->a, x, at_const(f->a, -LARGEST));
}

// Elements |at| .. |at| + 3 of a row, rounded, as halves |to| of |buffer|; zeros where |is| does not hold.
static void put_four(attend_mma *f, const row_source *from, const ir_kexpr *is, const ir_kexpr *at, int buffer,
                     const ir_kexpr *to) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *x[4], *zero = bk_int(b, 0);
  ir_kplace place;
  ir_kb_if(b, bk_and(b, is, bk_less(b, at, bk_int(b, from->width))));
  for (int n = 0; n < 4; n++) x[n] = row_element(f, from, bk_plus(b, at, n));
  bool fours = from->width % 4 == 0 && cg_block_fours(b, x[0], x[1], &place);
  if (fours) ir_kb_read_vector(b, ir_kb_regs(f->four, zero, NULL, NULL), 4, place, IR_KHINT_NONE);
  for (int n = 0; n < 4 && !fours; n++) {
    if (from->width % 4) ir_kb_if(b, bk_less(b, bk_plus(b, at, n), bk_int(b, from->width)));
    ir_kb_set(b, f->four, x[n], bk_int(b, n), NULL, NULL);
    if (from->width % 4) {
      ir_kb_else(b);
      ir_kb_set(b, f->four, bk_zero(b), bk_int(b, n), NULL, NULL);
      ir_kb_end(b);
    }
  }
  ir_kb_else(b);
  for (int n = 0; n < 4; n++) ir_kb_set(b, f->four, bk_zero(b), bk_int(b, n), NULL, NULL);
  ir_kb_end(b);
  for (int n = 0; n < 2; n++) {
    const ir_kexpr *low = ir_kb_read(b, f->four, bk_int(b, 2 * n), NULL, NULL);
    const ir_kexpr *high = ir_kb_read(b, f->four, bk_int(b, 2 * n + 1), NULL, NULL);
    const ir_kexpr *word = am_pack(f, from->kind, within(f, from->kind, low), within(f, from->kind, high));
    ir_kb_set(b, f->pair, word, bk_int(b, n), NULL, NULL);
  }
  ir_kb_write_vector(b, ir_kb_place(buffer, IR_KT_u32, bk_div(b, to, 2)), ir_kb_regs(f->pair, zero, NULL, NULL), 2,
                     IR_KHINT_NONE);
}

void am_stage_queries(attend_mma *f) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = builder(f);
  int64_t fours = (int64_t)f->steps * 4, rows = (int64_t)MMA_ROWS * f->high * (f->split ? 1 : f->warps / f->sides);
  const ir_kexpr *n = bk_for(b, "i", f->thread, bk_int(b, rows * fours), am_threads(f));
  const ir_kexpr *i = ir_kb_let(b, "row", bk_div(b, n, fours));
  const ir_kexpr *at = bk_scaled(b, ir_kb_let(b, "nth", bk_mod(b, n, fours)), 4);
  row_source from = {a->q, cg_attend_query_row(a, i), cg_attend_query_head(a, i), a->depth, f->score_kind};
  put_four(f, &from, bk_less(b, i, a->rows), at, f->queries, ir_kb_add(b, bk_scaled(b, i, am_query_stride(f)), at));
  ir_kb_end(b);
}

enum { COPIES = 8 };  // of a thread that are written out

// A loop over |rows| rows of |pieces| pieces, shared out over the threads. Where they come out even a thread's numbers
// are those of its first piece, plus those of the copy.
typedef struct {
  const ir_kexpr *row, *piece;
  const ir_kexpr *own;   // the row of the first copy
  const ir_kexpr *copy;  // null: no copies
  int64_t each;          // rows from copy to copy, or copies from row to row where a row is longer
  bool long_rows;
} shared_out;

static shared_out open_pieces(attend_mma *f, int64_t rows, int64_t pieces, bool ahead) {
  ir_kbuilder *b = builder(f);
  int64_t threads = am_threads(f), all = rows * pieces;
  shared_out s = {0};
  if (all % threads == 0 && (pieces % threads == 0 || threads % pieces == 0)) {
    s.long_rows = pieces % threads == 0;
    s.each = s.long_rows ? pieces / threads : threads / pieces;
    s.own = ir_kb_let(b, "row", bk_div(b, f->thread, pieces));
    s.piece = ir_kb_let(b, "nth", bk_mod(b, f->thread, pieces));
    int64_t copies = all / threads;
    s.copy = ahead && copies <= COPIES ? bk_unroll(b, "i", copies) : bk_for(b, "i", bk_int(b, 0), bk_int(b, copies), 1);
    if (s.long_rows) {
      s.row = bk_div(b, s.copy, s.each);
      s.piece = ir_kb_add(b, f->thread, bk_scaled(b, bk_mod(b, s.copy, s.each), threads));
    } else {
      s.row = ir_kb_add(b, s.own, bk_scaled(b, s.copy, s.each));
    }
    return s;
  }
  const ir_kexpr *n = bk_for(b, "i", f->thread, bk_int(b, all), threads);
  s.row = ir_kb_let(b, "row", bk_div(b, n, pieces));
  s.piece = ir_kb_let(b, "nth", bk_mod(b, n, pieces));
  return s;
}

// The key that stands in row |row| of a panel, or of several.
static const ir_kexpr *turn(attend_mma *f, const ir_kexpr *row) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *key =
      ir_kb_add(b, bk_scaled(b, bk_div(b, row, MMA_PANEL), MMA_PANEL), bk_scaled(b, bk_mod(b, row, 8), 2));
  return ir_kb_add(b, key, bk_mod(b, bk_div(b, row, 8), 2));
}

static const ir_kexpr *turned_row(attend_mma *f, const shared_out *s) {
  ir_kbuilder *b = builder(f);
  if (!s->copy || s->long_rows || s->each % 8) return turn(f, s->row);
  // The thread's row is below |each|, so that its bits and the copy's do not mix.
  const ir_kexpr *copy = bk_scaled(b, s->copy, s->each);
  if (s->each % MMA_PANEL == 0) return ir_kb_add(b, turn(f, s->own), copy);
  const ir_kexpr *key = bk_scaled(b, bk_div(b, copy, MMA_PANEL), MMA_PANEL);
  return ir_kb_add(b, ir_kb_add(b, bk_scaled(b, s->own, 2), key), bk_mod(b, bk_div(b, copy, 8), 2));
}

// |rows| rows from position |at| on. |turned|: in the order in which fragments of words have keys.
static void stage_rows(attend_mma *f, ir_value *value, int64_t width, ir_kmma kind, bool ahead, bool turned,
                       const ir_kexpr *at, int rows, int64_t stride, int buffer, const ir_kexpr *first_half) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = builder(f);
  int64_t each = ahead ? 8 : 4, pieces = (stride - MMA_PAD) / each;
  shared_out s = open_pieces(f, rows, pieces, ahead);
  const ir_kexpr *row = s.row, *key = turned ? turned_row(f, &s) : row, *e = bk_scaled(b, s.piece, each);
  const ir_kexpr *j = ir_kb_let(b, "j", ir_kb_add(b, at, key)), *is = am_is_key(f, j);
  const ir_kexpr *to = ir_kb_add(b, first_half, ir_kb_add(b, bk_scaled(b, row, stride), e));
  if (ahead) {
    ir_kplace from;
    if (pieces * each > width) is = bk_and(b, is, bk_less(b, e, bk_int(b, width)));
    bool run = cg_block_run(b, am_element(f, value, j, e), am_element(f, value, j, bk_plus(b, e, 1)), 8, &from);
    if (!run) a->e.unsupported = "attention over rows that lie in no order";
    else ir_kb_async(b, ir_kb_place(buffer, from.type, to), from, 16, is, f->split ? IR_KHINT_STREAM : IR_KHINT_NONE);
  } else {
    row_source from = {value, at_sub(a, j, a->origin), a->head, width, kind};
    put_four(f, &from, is, e, buffer, to);
  }
  ir_kb_end(b);
}

void am_stage_values(attend_mma *f, const ir_kexpr *at, int rows, const ir_kexpr *stage) {
  ir_kbuilder *b = builder(f);
  int64_t stride = am_value_stride(f);
  stage_rows(f, f->a->v, f->a->width, f->value_kind, f->values_ahead, f->form == MMA_KEYS_WORDS, at, rows, stride,
             f->values, bk_scaled(b, stage, rows * stride));
}

// ---- keys in panels

// Sixteen bytes a time, as they lie.
static void stage_panels_ahead(attend_mma *f, const ir_kexpr *at, const ir_kexpr *stage) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = builder(f);
  bool words = f->form == MMA_KEYS_WORDS;
  int64_t pieces = (int64_t)f->steps * 32, unit = words ? 4 : 8;
  shared_out s = open_pieces(f, am_panels(f), pieces, true);
  const ir_kexpr *panel = s.row, *piece = s.piece;
  const ir_kexpr *is = am_is_panel(f, ir_kb_add(b, at, bk_scaled(b, panel, MMA_PANEL)));
  if (pieces > 2 * a->depth) is = bk_and(b, is, bk_less(b, piece, bk_int(b, 2 * a->depth)));
  const ir_kexpr *line = cg_attend_panel_line(a, bk_int(b, 0), panel, bk_int(b, 0));
  // Sixteen divides the number of threads, so that the bits of a copy do not matter to what is exchanged.
  const ir_kexpr *own = s.long_rows ? f->thread : piece;
  const ir_kexpr *other = bk_scaled(b, bk_mod(b, bk_div(b, own, 8), 2), words ? 2 : 1);
  const ir_kexpr *put = ir_kb_op(b, IR_K_xor, IR_KT_i64, own, other, NULL);
  if (s.long_rows) put = ir_kb_add(b, put, ir_kb_sub(b, piece, own));
  put = ir_kb_add(b, put, bk_scaled(b, ir_kb_add(b, panel, bk_scaled(b, stage, am_panels(f))), pieces));
  int buffer = cg_emit_slot(&a->e, cg_info(a->fl, a->panels)->slot, IR_KB_IN);
  ir_ktype type = words ? IR_KT_u32 : IR_KT_f16;
  ir_kplace from =
      ir_kb_place_table(buffer, type, cg_emit_request(&a->e), ir_kb_add(b, line, bk_scaled(b, piece, unit)));
  ir_kb_async(b, ir_kb_place(f->keys, type, bk_scaled(b, put, unit)), from, 16, is, IR_KHINT_NONE);
  ir_kb_end(b);
}

// Elements that are words, or smaller than halves: a thread has two of a key, or a word of them.
static void stage_panels(attend_mma *f, const ir_kexpr *at, const ir_kexpr *stage) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = builder(f);
  int per = cg_attend_word_elements(a), unit = per > 2 ? per : 2;
  int64_t units = (int64_t)f->steps * 16 / unit, pairs = (int64_t)f->steps * 8;
  const ir_kexpr *n = bk_for(b, "i", f->thread, bk_int(b, f->key_tile * units), am_threads(f));
  const ir_kexpr *lane = ir_kb_let(b, "key", bk_mod(b, n, MMA_PANEL));
  const ir_kexpr *nth = ir_kb_let(b, "nth", bk_mod(b, bk_div(b, n, MMA_PANEL), units));
  const ir_kexpr *panel = ir_kb_let(b, "panel", bk_div(b, n, MMA_PANEL * units));
  const ir_kexpr *is = am_is_key(f, ir_kb_add(b, at, ir_kb_add(b, bk_scaled(b, panel, MMA_PANEL), lane)));
  is = ir_kb_let(b, "is", bk_and(b, is, bk_less(b, bk_scaled(b, nth, unit), bk_int(b, a->depth))));
  const ir_kexpr *lines = bk_scaled(b, ir_kb_add(b, panel, bk_scaled(b, stage, am_panels(f))), pairs), *x[2];
  for (int p = 0; p < unit / 2; p++) {
    const ir_kexpr *pair = bk_plus(b, bk_scaled(b, nth, unit / 2), p);
    for (int u = 0; u < 2; u++) {
      int e = 2 * p + u;
      const ir_kexpr *word = bk_plus(b, bk_scaled(b, nth, unit / per), e / per);
      x[u] = cg_attend_panel_key(a, panel, lane, word, e % per);
    }
    const ir_kexpr *half = bk_scaled(b, bk_mod(b, bk_div(b, pair, 2), 2), 8);
    const ir_kexpr *to = bk_scaled(b, ir_kb_add(b, lines, pair), MMA_PANEL);
    to = ir_kb_add(b, to, ir_kb_op(b, IR_K_xor, IR_KT_i64, lane, half, NULL));
    ir_kb_if(b, is);
    ir_kb_store(b, IR_KT_u32, f->keys, to, am_pack(f, IR_KMMA_bf16, x[0], x[1]));
    ir_kb_else(b);
    ir_kb_store(b, IR_KT_u32, f->keys, to, ir_kb_const(b, IR_KT_u32, 0));
    ir_kb_end(b);
  }
  ir_kb_end(b);
}

void am_stage_keys(attend_mma *f, const ir_kexpr *at, const ir_kexpr *stage) {
  attend_kernel *a = f->a;
  const ir_kexpr *piece = a->piece;
  a->piece = at;  // panels are counted from it
  if (f->form == MMA_KEYS_ROWS)
    stage_rows(f, a->k, a->depth, f->score_kind, f->keys_ahead, false, at, f->key_tile, am_query_stride(f), f->keys,
               bk_scaled(builder(f), stage, f->key_tile * am_query_stride(f)));
  else if (f->keys_ahead) stage_panels_ahead(f, at, stage);
  else stage_panels(f, at, stage);
  a->piece = piece;
}

// ---- fragments of keys

int am_key_of(const attend_mma *f, int half, int i) { return f->form == MMA_KEYS_WORDS ? 2 * i + half : 8 * half + i; }

const ir_kexpr *am_key_base(attend_mma *f) { return bk_scaled(builder(f), f->quad, f->form == MMA_KEYS_WORDS ? 4 : 2); }

static void set_word(attend_mma *f, const ir_kexpr *i, const ir_kexpr *j, int n, const ir_kexpr *x) {
  ir_kb_set(builder(f), f->b_words, x, i, j, bk_int(builder(f), n));
}

// The two words of |f->pair|, of neighbouring keys, are register |n| of both fragments.
static void set_pair(attend_mma *f, const ir_kexpr *i, const ir_kexpr *j, int n) {
  ir_kbuilder *b = builder(f);
  for (int half = 0; half < 2; half++)
    set_word(f, i, j, 2 * half + n, ir_kb_read(b, f->pair, bk_int(b, half), NULL, NULL));
}

void am_read_keys(attend_mma *f, const ir_kexpr *stage, const ir_kexpr *panel, const ir_kexpr *step, const ir_kexpr *i,
                  const ir_kexpr *j) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *zero = bk_int(b, 0), *in_stage = ir_kb_add(b, panel, bk_scaled(b, stage, am_panels(f)));
  ir_kregs to = ir_kb_regs(f->b_words, i, j, zero);
  if (f->form == MMA_KEYS_ROWS) {
    const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, in_stage, MMA_PANEL * am_query_stride(f)), bk_scaled(b, step, 16));
    ir_kb_ldmatrix(b, to, 4, ir_kb_place(f->keys, IR_KT_u16, ir_kb_add(b, at, f->key_at)), false);
    return;
  }
  const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, in_stage, f->steps), step);
  if (f->form == MMA_KEYS_HALVES) {
    at = ir_kb_add(b, bk_scaled(b, at, 16 * MMA_PANEL), f->key_at);
    ir_kb_ldmatrix(b, to, 4, ir_kb_place(f->keys, IR_KT_u16, at), true);
    return;
  }
  at = ir_kb_add(b, bk_scaled(b, at, 8 * MMA_PANEL), f->key_at);
  for (int n = 0; n < 2; n++) {
    ir_kplace from = ir_kb_place(f->keys, IR_KT_u32, bk_plus(b, at, n * 4 * MMA_PANEL));
    ir_kb_read_vector(b, ir_kb_regs(f->pair, zero, NULL, NULL), 2, from, IR_KHINT_NONE);
    set_pair(f, i, j, n);
  }
}

// Words of a bf16 panel: those of two neighbouring keys at once.
static void load_words(attend_mma *f, const ir_kexpr *step, const ir_kexpr *i, const ir_kexpr *j) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = builder(f);
  int buffer = cg_emit_slot(&a->e, cg_info(a->fl, a->panels)->slot, IR_KB_IN);
  bool partial = a->depth % 16 != 0;
  for (int n = 0; n < 2; n++) {
    const ir_kexpr *word = ir_kb_add(b, bk_scaled(b, step, 8), bk_plus(b, f->quad, 4 * n));
    const ir_kexpr *line = cg_attend_panel_line(a, bk_scaled(b, f->group, 2), bk_int(b, 0), word);
    ir_kplace from = ir_kb_place_table(buffer, IR_KT_u32, cg_emit_request(&a->e), line);
    if (partial) ir_kb_if(b, bk_less(b, word, bk_int(b, a->depth / 2)));
    ir_kb_read_vector(b, ir_kb_regs(f->pair, bk_int(b, 0), NULL, NULL), 2, from, IR_KHINT_STREAM);
    set_pair(f, i, j, n);
    if (partial) {
      ir_kb_else(b);
      for (int half = 0; half < 2; half++) set_word(f, i, j, 2 * half + n, ir_kb_const(b, IR_KT_u32, 0));
      ir_kb_end(b);
    }
  }
}

// Elements 2 quad + |first| + u of step |step| of the key in lane |lane| of the panel at hand.
static const ir_kexpr *loaded(attend_mma *f, const ir_kexpr *lane, const ir_kexpr *step, int first, int u) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *e = ir_kb_add(b, bk_scaled(b, step, 16), bk_plus(b, bk_scaled(b, f->quad, 2), first + u));
  if (!a->panels) return am_element(f, a->k, ir_kb_add(b, a->piece, lane), e);
  int per = cg_attend_word_elements(a);
  if (per == 1) return cg_attend_panel_key(a, bk_int(b, 0), lane, e, 0);
  const ir_kexpr *word = bk_div(b, e, per), *zero = bk_int(b, 0);
  const ir_kexpr *x = cg_attend_panel_key(a, zero, lane, word, u);
  if (per == 2) return x;
  const ir_kexpr *second = ir_kb_op(b, IR_K_eq, IR_KT_bool, bk_mod(b, f->quad, 2), bk_int(b, 1), NULL);
  return ir_kb_op(b, IR_K_select, IR_KT_f32, second, cg_attend_panel_key(a, zero, lane, word, u + 2), x);
}

static void load_elements(attend_mma *f, const ir_kexpr *step, const ir_kexpr *i, const ir_kexpr *j) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = builder(f);
  for (int half = 0; half < 2; half++) {
    bool words = f->form == MMA_KEYS_WORDS;
    const ir_kexpr *lane = words ? bk_plus(b, bk_scaled(b, f->group, 2), half) : bk_plus(b, f->group, 8 * half);
    for (int n = 0; n < 2; n++) {
      const ir_kexpr *e = ir_kb_add(b, bk_scaled(b, step, 16), bk_plus(b, bk_scaled(b, f->quad, 2), 8 * n));
      const ir_kexpr *is = am_is_key(f, ir_kb_add(b, a->piece, lane));
      if (a->depth % 16) is = bk_and(b, is, bk_less(b, e, bk_int(b, a->depth)));
      ir_kb_if(b, is);
      const ir_kexpr *low = loaded(f, lane, step, 8 * n, 0), *high = loaded(f, lane, step, 8 * n, 1);
      set_word(f, i, j, 2 * half + n, am_pack(f, f->score_kind, low, high));
      ir_kb_else(b);
      set_word(f, i, j, 2 * half + n, ir_kb_const(b, IR_KT_u32, 0));
      ir_kb_end(b);
    }
  }
}

void am_load_keys(attend_mma *f, const ir_kexpr *at, const ir_kexpr *step, const ir_kexpr *i, const ir_kexpr *j) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *piece = a->piece;
  a->piece = at;
  if (f->form == MMA_KEYS_WORDS && f->keys_ahead) {
    // Where there is no panel another one stands for it: its scores are hidden, and no load waits for a branch.
    a->piece = ir_kb_min(b, at, bk_scaled(b, bk_div(b, bk_plus(b, a->key_end, -1), MMA_PANEL), MMA_PANEL));
    a->piece = at_max(a, a->piece, bk_scaled(b, bk_div(b, a->origin, MMA_PANEL), MMA_PANEL));
    load_words(f, step, i, j);
  } else {
    load_elements(f, step, i, j);
  }
  a->piece = piece;
}
