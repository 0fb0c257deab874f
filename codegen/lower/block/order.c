// Sorting and the k largest, a line by a block.
//
// Up to CHUNK elements are sorted in shared memory. Longer lines are sorted in such pieces, which are then merged, run
// by run, between two places in memory: a thread looks up by bisection where its part of a merged run begins in both.
// The k largest of a longer line are selected (select.c), and only they are sorted. A line has one block however
// long it is.
#include "codegen/lower/line.h"

enum {
  CHUNK = 2048,
  FIRST = 2048,  // of top_k by selection
  SMALL = 1024,  // lines up to here are sorted for any k
  MOST_THREADS = 512,
  SELECT_THREADS = 1024,
  PART = 16,  // of a merged run, by a thread
  BISECTIONS = 32,
  MAX_PAIRS = 10  // pairs of passes: runs of CHUNK * 4^10 are longer than any line
};

typedef struct {
  cg_line l;
  cg_pairs pairs;
  const ir_kexpr *k;         // how many are wanted in order; null: all
  ir_value *first, *second;  // results
  ir_value *order, *other;   // of lines of more than CHUNK: places in order, and where they are merged to
  ir_value *keys, *other_keys;
  bool indices;  // |first| is for places
} sorting;

static const ir_kexpr *key_at(void *user, const ir_kexpr *at) {
  sorting *s = user;
  return cg_emit_sort_key(&s->l.e.b, cg_line_load(&s->l, s->l.x, at), s->l.descending);
}

static const ir_kexpr *bits(ir_kbuilder *b, ir_ktype type, const ir_kexpr *x) {
  return ir_kb_op(b, IR_K_bitcast, type, x, NULL, NULL);
}

// ---- results

// The |at|-th in order comes from |from|, an i32.
static void store_result(sorting *s, const ir_kexpr *at, const ir_kexpr *from) {
  ir_kbuilder *b = &s->l.e.b;
  const ir_kexpr *place = ir_kb_let(b, "from", ir_kb_cast(b, IR_KT_i64, from));
  cg_line_store(&s->l, s->first, at, s->indices ? from : cg_line_load(&s->l, s->l.x, place));
  if (s->second) cg_line_store(&s->l, s->second, at, from);
}

static void store_pairs(sorting *s, const ir_kexpr *count) {
  ir_kbuilder *b = &s->l.e.b;
  const ir_kexpr *i = bk_for(b, "i", s->l.thread, count, s->l.threads);
  store_result(s, i, ir_kb_let(b, "index", ir_kb_load(b, IR_KT_i32, s->pairs.indices, i)));
  ir_kb_end(b);
}

// ---- pieces in shared memory

// Sorts |count| elements from |base| on, no more than |most|.
static void sort_piece(sorting *s, const ir_kexpr *base, const ir_kexpr *count, int64_t most) {
  ir_kbuilder *b = &s->l.e.b;
  const ir_kexpr *levels = cg_emit_levels(b, count, cg_levels_of(most));
  const ir_kexpr *i = bk_for(b, "i", s->l.thread, ln_op(b, IR_K_shl, bk_int(b, 1), levels), s->l.threads);
  const ir_kexpr *at = ir_kb_let(b, "at", ir_kb_add(b, base, i));
  ir_kb_if(b, bk_less(b, i, count));
  ir_kb_store(b, IR_KT_u32, s->pairs.keys, i, key_at(s, at));
  ir_kb_store(b, IR_KT_i32, s->pairs.indices, i, ir_kb_cast(b, IR_KT_i32, at));
  ir_kb_else(b);
  ir_kb_store(b, IR_KT_u32, s->pairs.keys, i, ln_u32(b, UINT32_MAX));
  ir_kb_store(b, IR_KT_i32, s->pairs.indices, i, ln_i32(b, INT32_MAX));
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_barrier(b);
  cg_emit_pairs_sort(&s->pairs, levels);
}

static void sort_pieces(sorting *s) {
  ir_kbuilder *b = &s->l.e.b;
  const ir_kexpr *base = bk_for(b, "base", bk_int(b, 0), s->l.size, CHUNK);
  const ir_kexpr *count = ir_kb_let(b, "count", ir_kb_min(b, ir_kb_sub(b, s->l.size, base), bk_int(b, CHUNK)));
  sort_piece(s, base, count, CHUNK);
  const ir_kexpr *i = bk_for(b, "i", s->l.thread, count, s->l.threads), *at = ir_kb_add(b, base, i);
  cg_line_store(&s->l, s->order, at, ir_kb_load(b, IR_KT_i32, s->pairs.indices, i));
  cg_line_store(&s->l, s->keys, at, bits(b, IR_KT_i32, ir_kb_load(b, IR_KT_u32, s->pairs.keys, i)));
  ir_kb_end(b);
  ir_kb_barrier(b);
  ir_kb_end(b);
}

// ---- merging

static const ir_kexpr *key_of(sorting *s, ir_value *keys, const ir_kexpr *at) {
  return bits(&s->l.e.b, IR_KT_u32, cg_line_load(&s->l, keys, at));
}

// How many of the first |way| of a merged run come from its left half, from |lo| on; the right one is |mid|..|hi|.
static const ir_kexpr *left_share(sorting *s, ir_value *keys, const ir_kexpr *lo, const ir_kexpr *mid,
                                  const ir_kexpr *hi, const ir_kexpr *way) {
  ir_kbuilder *b = &s->l.e.b;
  const ir_kexpr *zero = bk_int(b, 0), *one = bk_int(b, 1);
  ir_kvar *least = ln_reg(b, "least", bk_max(b, zero, ir_kb_sub(b, way, ir_kb_sub(b, hi, mid))));
  ir_kvar *most = ln_reg(b, "most", ir_kb_min(b, way, ir_kb_sub(b, mid, lo)));
  bk_for(b, "bisection", zero, bk_int(b, BISECTIONS), 1);
  const ir_kexpr *x = ir_kb_let(b, "x", ln_read(b, least)), *y = ir_kb_let(b, "y", ln_read(b, most));
  ir_kb_if(b, bk_less(b, x, y));
  const ir_kexpr *half = ir_kb_let(b, "half", bk_div(b, ir_kb_add(b, x, y), 2));
  const ir_kexpr *left = ir_kb_let(b, "left", key_of(s, keys, ir_kb_add(b, lo, half)));
  const ir_kexpr *back = ir_kb_sub(b, ir_kb_sub(b, ir_kb_add(b, mid, way), half), one);
  ir_kb_if(b, ln_test(b, IR_K_le, left, ir_kb_let(b, "right", key_of(s, keys, back))));
  ln_set(b, least, ir_kb_add(b, half, one));
  ir_kb_else(b);
  ln_set(b, most, half);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  return ir_kb_let(b, "share", ln_read(b, least));
}

// Merges runs of |width| of |from| into runs twice as long of |to|.
static void merge(sorting *s, ir_value *const *from, ir_value *const *to, const ir_kexpr *width) {
  cg_line *l = &s->l;
  ir_kbuilder *b = &l->e.b;
  const ir_kexpr *one = bk_int(b, 1), *twice = ir_kb_let(b, "twice", ir_kb_add(b, width, width));
  const ir_kexpr *out = bk_for(b, "out", bk_scaled(b, l->thread, PART), l->size, (int64_t)l->threads * PART);
  const ir_kexpr *lo = ir_kb_let(b, "lo", ir_kb_mul(b, ir_kb_div(b, out, twice), twice));
  const ir_kexpr *mid = ir_kb_let(b, "mid", ir_kb_min(b, ir_kb_add(b, lo, width), l->size));
  const ir_kexpr *hi = ir_kb_let(b, "hi", ir_kb_min(b, ir_kb_add(b, lo, twice), l->size));
  const ir_kexpr *way = ir_kb_let(b, "way", ir_kb_sub(b, out, lo));
  const ir_kexpr *share = left_share(s, from[1], lo, mid, hi, way);
  ir_kvar *left = ln_reg(b, "i", ir_kb_add(b, lo, share));
  ir_kvar *right = ln_reg(b, "j", ir_kb_sub(b, ir_kb_add(b, mid, way), share));
  const ir_kexpr *o = bk_for(b, "o", out, ir_kb_min(b, bk_plus(b, out, PART), hi), 1);
  const ir_kexpr *i = ir_kb_let(b, "at", ln_read(b, left)), *j = ir_kb_let(b, "at", ln_read(b, right));
  const ir_kexpr *more = bk_less(b, i, mid);
  const ir_kexpr *x = ir_kb_let(b, "x", key_of(s, from[1], ln_choose(b, more, i, lo)));
  const ir_kexpr *y = ir_kb_let(b, "y", key_of(s, from[1], ln_choose(b, bk_less(b, j, hi), j, lo)));
  const ir_kexpr *sooner = ln_op(b, IR_K_or, bk_less(b, y, x), ln_not(b, more));
  const ir_kexpr *take = ir_kb_let(b, "take", bk_and(b, bk_less(b, j, hi), sooner));
  cg_line_store(l, to[0], o, cg_line_load(l, from[0], ir_kb_let(b, "source", ln_choose(b, take, j, i))));
  cg_line_store(l, to[1], o, bits(b, IR_KT_i32, ln_choose(b, take, y, x)));
  ln_set(b, left, ln_choose(b, take, i, ir_kb_add(b, i, one)));
  ln_set(b, right, ln_choose(b, take, ir_kb_add(b, j, one), j));
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_barrier(b);
}

static ir_value *scratch(function_lowering *fl, const ir_value *like) {
  ir_type type = like->type;
  type.dtype = IR_i32;
  return cg_new_value(fl, type);
}

static void sort_long(sorting *s) {
  cg_line *l = &s->l;
  ir_kbuilder *b = &l->e.b;
  ir_value *here[2] = {s->order, s->keys}, *there[2] = {s->other, s->other_keys};
  for (int i = 0; i < 2; i++) {
    cg_line_use_both_ways(l, here[i]);
    cg_line_use_both_ways(l, there[i]);
  }
  sort_pieces(s);
  ir_kvar *width = ln_reg(b, "width", bk_int(b, CHUNK));
  bk_for(b, "pass", bk_int(b, 0), bk_int(b, MAX_PAIRS), 1);
  const ir_kexpr *w = ir_kb_let(b, "w", ln_read(b, width));
  ir_kb_if(b, bk_less(b, w, l->size));
  merge(s, here, there, w);
  merge(s, there, here, ir_kb_add(b, w, w));
  ln_set(b, width, bk_scaled(b, w, 4));
  ir_kb_end(b);
  ir_kb_end(b);
  if (s->indices) return;
  const ir_kexpr *i = bk_for(b, "i", l->thread, s->k ? s->k : l->size, l->threads);
  store_result(s, i, ir_kb_let(b, "index", cg_line_load(l, s->order, i)));
  ir_kb_end(b);
}

// ---- the choice

static int threads_of(int64_t most) {
  int64_t threads = ((int64_t)1 << cg_levels_of(most)) / 2;
  return threads > MOST_THREADS ? MOST_THREADS : threads < IR_WARP ? IR_WARP : (int)threads;
}

static void emit_short(sorting *s, int64_t most) {
  ir_kbuilder *b = &s->l.e.b;
  int64_t room = (int64_t)4 << cg_levels_of(most);
  s->pairs.keys = ir_kb_add_shared(b, "keys", room);
  s->pairs.indices = ir_kb_add_shared(b, "indices", room);
  sort_piece(s, bk_int(b, 0), s->l.size, most);
  store_pairs(s, s->k ? s->k : s->l.size);
}

static void emit_long(sorting *s) {
  ir_kbuilder *b = &s->l.e.b;
  s->pairs.keys = ir_kb_add_shared(b, "keys", 4 * CHUNK);
  s->pairs.indices = ir_kb_add_shared(b, "indices", 4 * CHUNK);
  sort_long(s);
}

static void emit_first(sorting *s, int most) {
  cg_select select = {.pairs = s->pairs, .size = s->l.size, .k = s->k, .most = most, .key = key_at, .user = s};
  cg_select_add_shared(&select);
  s->pairs = select.pairs;
  cg_emit_select(&select);
  store_pairs(s, s->k);
}

bool cg_block_sorted(function_lowering *fl, ir_node *node, weir_status *out_status) {
  ir_value *x = node->operands[0];
  const ir_attr *descending = ir_node_attr(node, IR_ATTR_descending), *k = ir_node_attr(node, IR_ATTR_k);
  int axis = (int)ir_node_attr(node, IR_ATTR_axis)->i;
  int64_t most = cg_line_most(&x->type, axis);
  if (!fl->low->options->blocks || !cg_has_sort_key(x->type.dtype) || (k && k->i == 0)) return false;
  *out_status = WEIR_OK;
  bool fits = most >= 0 && most <= CHUNK, first = k && k->i <= FIRST && (most < 0 || most > SMALL);
  sorting s = {.l = {.descending = !descending || descending->i},
               .first = node->results[0],
               .second = node->op == IR_OP_top_k ? node->results[1] : NULL,
               .indices = node->op == IR_OP_argsort};
  if (!fits && !first) {
    s.order = s.indices ? s.first : scratch(fl, x);
    s.other = scratch(fl, x);
    s.keys = scratch(fl, x);
    s.other_keys = scratch(fl, x);
  }
  cg_line_open(&s.l, fl, s.first, x, axis, CG_LINE_BLOCK,
               first  ? SELECT_THREADS
               : fits ? threads_of(most)
                      : MOST_THREADS);
  s.pairs = (cg_pairs){.b = &s.l.e.b, .thread = s.l.thread, .threads = s.l.threads};
  if (k) s.k = bk_int(&s.l.e.b, k->i);
  if (first) emit_first(&s, (int)k->i);
  else if (fits) emit_short(&s, most);
  else emit_long(&s);
  *out_status = cg_emit_finish(&s.l.e);
  return true;
}
