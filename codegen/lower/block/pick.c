// The choice of the next token from a row of logits, by a block: what runtime/text/sampler.c does, bit for bit, on the
// device that has the logits. runtime/exec/pick.h is the contract, for whoever launches it.
//
// Exponentials and sums are in f64, made of additions and multiplications alone and in the host's order: over ids in
// pieces of RT_PICK_PIECE, over the likeliest in order. The likeliest RT_PICK_MOST are selected and sorted
// (select.c). Where more of them would be needed, or a vocabulary has too many pieces, the result says that it is
// open, and the host decides.
#include <math.h>

#include "codegen/lower/line.h"
#include "codegen/lower/program.h"
#include "runtime/exec/pick.h"

enum { THREADS = 1024, WARPS = THREADS / IR_WARP, MOST_PIECES = 4096 };

typedef struct {
  ir_kbuilder *b;
  const ir_kexpr *thread, *row, *vocab;
  const ir_kexpr *temperature, *top, *best;
  int logits, params, results;              // buffers
  int parts, picks, pieces, weights, sums;  // SHARED: of the extremes; its places; f64 each
  cg_select select;
} picking;

static const ir_kexpr *f64(ir_kbuilder *b, double x) { return ir_kb_const(b, IR_KT_f64, x); }
static const ir_kexpr *wide(ir_kbuilder *b, const ir_kexpr *x) { return ir_kb_cast(b, IR_KT_f64, x); }

static const ir_kexpr *param(picking *p, int nth) {
  ir_kbuilder *b = p->b;
  return ir_kb_load(b, IR_KT_f64, p->params, bk_plus(b, bk_scaled(b, p->row, RT_PICK_PARAMS), nth));
}

static void store_result(picking *p, int nth, const ir_kexpr *x) {
  ir_kbuilder *b = p->b;
  ir_kb_store(b, IR_KT_f64, p->results, bk_plus(b, bk_scaled(b, p->row, RT_PICK_RESULTS), nth), x);
}

// The logit of |id|; NaN counts as -inf.
static const ir_kexpr *score(picking *p, const ir_kexpr *id) {
  ir_kbuilder *b = p->b;
  const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, p->row, p->vocab), id);
  const ir_kexpr *x = ir_kb_let(b, "x", ir_kb_load(b, IR_KT_f32, p->logits, at));
  return ln_choose(b, ln_test(b, IR_K_eq, x, x), x, ir_kb_const(b, IR_KT_f32, -INFINITY));
}

static const ir_kexpr *key_of(void *user, const ir_kexpr *at) {
  picking *p = user;
  return cg_emit_sort_key(p->b, score(p, at), true);
}

// ---- weights

// 2 to the power |n|, a normal number.
static const ir_kexpr *power(ir_kbuilder *b, const ir_kexpr *n) {
  const ir_kexpr *bits = ln_op(b, IR_K_shl, bk_plus(b, n, 1023), bk_int(b, 52));
  return ir_kb_op(b, IR_K_bitcast, IR_KT_f64, bits, NULL, NULL);
}

// As exp_same of the sampler; the result may be subnormal, so it is scaled in two steps, of which one rounds.
static const ir_kexpr *exponential(ir_kbuilder *b, const ir_kexpr *x) {
  static const double factorials[] = {6227020800.0, 479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0,
                                      720.0,        120.0,       24.0,       6.0,       2.0,      1.0,     1.0};
  const ir_kexpr *turns = ir_kb_add(b, ir_kb_mul(b, x, f64(b, 1.4426950408889634)), f64(b, 0.5));
  const ir_kexpr *n = ir_kb_let(b, "n", ir_kb_op(b, IR_K_floor, IR_KT_f64, turns, NULL, NULL));
  const ir_kexpr *r = ir_kb_sub(b, x, ir_kb_mul(b, n, f64(b, 0x1.62e42fee00000p-1)));
  r = ir_kb_let(b, "r", ir_kb_sub(b, r, ir_kb_mul(b, n, f64(b, 0x1.a39ef35793c76p-33))));
  const ir_kexpr *sum = f64(b, 1.0 / factorials[0]);
  for (size_t i = 1; i < sizeof factorials / sizeof *factorials; i++)
    sum = ir_kb_add(b, ir_kb_mul(b, sum, r), f64(b, 1.0 / factorials[i]));
  sum = ir_kb_let(b, "sum", sum);
  const ir_kexpr *whole = ir_kb_let(b, "whole", ir_kb_cast(b, IR_KT_i64, n));
  const ir_kexpr *half = ir_kb_let(b, "half", bk_div(b, whole, 2));
  sum = ir_kb_mul(b, ir_kb_mul(b, sum, power(b, half)), power(b, ir_kb_sub(b, whole, half)));
  return ln_choose(b, ln_test(b, IR_K_gt, x, f64(b, -745.0)), sum, f64(b, 0));
}

// Of a token with the logit |x|, relative to the likeliest.
static const ir_kexpr *weight(picking *p, const ir_kexpr *x, const ir_kexpr *temperature) {
  ir_kbuilder *b = p->b;
  const ir_kexpr *far = ir_kb_op(b, IR_K_div, IR_KT_f64, ir_kb_sub(b, wide(b, x), wide(b, p->top)), temperature, NULL);
  const ir_kexpr *same = ln_test(b, IR_K_eq, x, p->top);
  return ir_kb_let(b, "weight", ln_choose(b, same, f64(b, 1), exponential(b, ir_kb_let(b, "far", far))));
}

// ---- the likeliest

static void keep_better(picking *p, ir_kvar *top, ir_kvar *best, const ir_kexpr *x, const ir_kexpr *id) {
  ir_kbuilder *b = p->b;
  const ir_kexpr *same = bk_and(b, ln_test(b, IR_K_eq, x, ln_read(b, top)), bk_less(b, id, ln_read(b, best)));
  ir_kb_if(b, ln_op(b, IR_K_or, ln_test(b, IR_K_gt, x, ln_read(b, top)), same));
  ln_set(b, top, x);
  ln_set(b, best, id);
  ir_kb_end(b);
}

// The largest logit and the first id that has it, in all threads.
static void find_best(picking *p) {
  ir_kbuilder *b = p->b;
  ir_kvar *top = ln_reg(b, "top", ir_kb_const(b, IR_KT_f32, -INFINITY)),
          *best = ln_reg(b, "best", ln_i32(b, INT32_MAX));
  const ir_kexpr *i = bk_for(b, "i", p->thread, p->vocab, THREADS);
  const ir_kexpr *x = ir_kb_let(b, "s", score(p, i));
  ir_kb_if(b, ln_test(b, IR_K_gt, x, ln_read(b, top)));
  ln_set(b, top, x);
  ln_set(b, best, ir_kb_cast(b, IR_KT_i32, i));
  ir_kb_end(b);
  ir_kb_end(b);
  for (int d = IR_WARP / 2; d; d /= 2) {
    x = ir_kb_let(b, "far", ir_kb_shuffle_xor(b, ir_kb_let(b, "mine", ln_read(b, top)), d));
    const ir_kexpr *id = ir_kb_let(b, "id", ir_kb_shuffle_xor(b, ir_kb_let(b, "mine", ln_read(b, best)), d));
    keep_better(p, top, best, x, id);
  }
  ir_kb_if(b, ln_test(b, IR_K_eq, bk_mod(b, p->thread, IR_WARP), bk_int(b, 0)));
  ir_kb_store(b, IR_KT_f32, p->parts, bk_div(b, p->thread, IR_WARP), ln_read(b, top));
  ir_kb_store(b, IR_KT_i32, p->picks, bk_div(b, p->thread, IR_WARP), ln_read(b, best));
  ir_kb_end(b);
  ir_kb_barrier(b);
  const ir_kexpr *w = bk_for(b, "w", bk_int(b, 0), bk_int(b, WARPS), 1);
  keep_better(p, top, best, ir_kb_let(b, "x", ir_kb_load(b, IR_KT_f32, p->parts, w)),
              ir_kb_let(b, "id", ir_kb_load(b, IR_KT_i32, p->picks, w)));
  ir_kb_end(b);
  p->top = ir_kb_let(b, "top", ln_read(b, top));
  p->best = ir_kb_let(b, "best", ln_read(b, best));
}

// ---- sums over all ids, in pieces

static const ir_kexpr *piece_count(picking *p) {
  return bk_div(p->b, bk_plus(p->b, p->vocab, RT_PICK_PIECE - 1), RT_PICK_PIECE);
}

static const ir_kexpr *piece_end(picking *p, const ir_kexpr *first) {
  return ir_kb_min(p->b, bk_plus(p->b, first, RT_PICK_PIECE), p->vocab);
}

// Leaves the sums of pieces in shared memory; the sum of these is in all threads.
static const ir_kexpr *sum_all(picking *p, const ir_kexpr *temperature) {
  ir_kbuilder *b = p->b;
  const ir_kexpr *pieces = ir_kb_let(b, "pieces", piece_count(p));
  const ir_kexpr *piece = bk_for(b, "piece", p->thread, pieces, THREADS);
  const ir_kexpr *first = ir_kb_let(b, "first", bk_scaled(b, piece, RT_PICK_PIECE));
  ir_kvar *sum = ln_reg(b, "sum", f64(b, 0));
  const ir_kexpr *i = bk_for(b, "i", first, piece_end(p, first), 1);
  ln_set(b, sum, ir_kb_add(b, ln_read(b, sum), weight(p, ir_kb_let(b, "s", score(p, i)), temperature)));
  ir_kb_end(b);
  ir_kb_store(b, IR_KT_f64, p->pieces, piece, ln_read(b, sum));
  ir_kb_end(b);
  ir_kb_barrier(b);
  ir_kb_if(b, ln_test(b, IR_K_eq, p->thread, bk_int(b, 0)));
  ir_kvar *total = ln_reg(b, "total", f64(b, 0));
  piece = bk_for(b, "piece", bk_int(b, 0), pieces, 1);
  ln_set(b, total, ir_kb_add(b, ln_read(b, total), ir_kb_load(b, IR_KT_f64, p->pieces, piece)));
  ir_kb_end(b);
  ir_kb_store(b, IR_KT_f64, p->sums, bk_int(b, 0), ln_read(b, total));
  ir_kb_end(b);
  ir_kb_barrier(b);
  const ir_kexpr *all = ir_kb_let(b, "all", ir_kb_load(b, IR_KT_f64, p->sums, bk_int(b, 0)));
  ir_kb_barrier(b);
  return all;
}

// By one thread: the piece in which the sum passes |target|, or else the last that has anything; then the id in it.
static const ir_kexpr *draw_from_all(picking *p, const ir_kexpr *target) {
  ir_kbuilder *b = p->b;
  ir_kvar *base = ln_reg(b, "base", f64(b, 0)), *before = ln_reg(b, "before", f64(b, 0));
  ir_kvar *piece = ln_reg(b, "piece", bk_int(b, 0)), *going = ln_reg(b, "going", ln_i32(b, 1));
  const ir_kexpr *on = ln_i32(b, 1), *off = ln_i32(b, 0);
  const ir_kexpr *n = bk_for(b, "n", bk_int(b, 0), piece_count(p), 1);
  const ir_kexpr *part = ir_kb_let(b, "part", ir_kb_load(b, IR_KT_f64, p->pieces, n));
  ir_kb_if(b, bk_and(b, ln_test(b, IR_K_eq, ln_read(b, going), on), ln_test(b, IR_K_gt, part, f64(b, 0))));
  const ir_kexpr *old = ir_kb_let(b, "old", ln_read(b, base));
  ln_set(b, before, old);
  ln_set(b, piece, n);
  ln_set(b, base, ir_kb_add(b, old, part));
  ir_kb_if(b, ln_test(b, IR_K_gt, ln_read(b, base), target));
  ln_set(b, going, off);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kvar *chosen = ln_reg(b, "chosen", ln_i32(b, RT_PICK_NONE)), *sum = ln_reg(b, "sum", f64(b, 0));
  const ir_kexpr *first = ir_kb_let(b, "first", bk_scaled(b, ln_read(b, piece), RT_PICK_PIECE));
  ln_set(b, going, on);
  const ir_kexpr *i = bk_for(b, "i", first, piece_end(p, first), 1);
  const ir_kexpr *w = weight(p, ir_kb_let(b, "s", score(p, i)), p->temperature);
  ir_kb_if(b, bk_and(b, ln_test(b, IR_K_eq, ln_read(b, going), on), ln_test(b, IR_K_gt, w, f64(b, 0))));
  ln_set(b, chosen, ir_kb_cast(b, IR_KT_i32, i));
  ln_set(b, sum, ir_kb_add(b, ln_read(b, sum), w));
  ir_kb_if(b, ln_test(b, IR_K_gt, ir_kb_add(b, ln_read(b, before), ln_read(b, sum)), target));
  ln_set(b, going, off);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  return ir_kb_let(b, "chosen", ln_read(b, chosen));
}

// ---- the likeliest in order

// By one thread: how many of the |count| first are kept, with their sum; |open| where the rest of the |limit| would
// count too. |all|: the limit is all tokens.
typedef struct {
  ir_kvar *kept, *sum, *open;
} cut;

static cut keep_some(picking *p, const ir_kexpr *count, const ir_kexpr *limit, const ir_kexpr *all,
                     const ir_kexpr *total) {
  ir_kbuilder *b = p->b;
  cut c = {ln_reg(b, "kept", bk_int(b, 0)), ln_reg(b, "sum", f64(b, 0)), ln_reg(b, "open", ln_i32(b, 1))};
  const ir_kexpr *least = ir_kb_let(b, "min_p", param(p, RT_PICK_MIN_P)),
                 *top_p = ir_kb_let(b, "top_p", param(p, RT_PICK_TOP_P));
  const ir_kexpr *wanted = ir_kb_let(b, "wanted", ir_kb_mul(b, top_p, total)), *off = ln_i32(b, 0);
  const ir_kexpr *i = bk_for(b, "i", bk_int(b, 0), count, 1);
  ir_kb_if(b, ln_test(b, IR_K_ne, ln_read(b, c.open), off));
  const ir_kexpr *w = ir_kb_let(b, "w", ir_kb_load(b, IR_KT_f64, p->weights, i));
  ir_kb_if(b, bk_and(b, ln_test(b, IR_K_gt, i, bk_int(b, 0)), bk_less(b, w, least)));
  ln_set(b, c.open, off);
  ir_kb_else(b);
  ln_set(b, c.sum, ir_kb_add(b, ln_read(b, c.sum), w));
  ln_set(b, c.kept, bk_plus(b, i, 1));
  ir_kb_if(b, bk_and(b, bk_less(b, top_p, f64(b, 1)), ln_test(b, IR_K_ge, ln_read(b, c.sum), wanted)));
  ln_set(b, c.open, off);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_if(b, ln_test(b, IR_K_ge, count, limit));
  ln_set(b, c.open, off);
  ir_kb_else(b);
  ir_kb_if(b, ln_not(b, all));  // |total| is not that of the limit
  ln_set(b, c.open, ln_i32(b, 1));
  ir_kb_end(b);
  ir_kb_end(b);
  return c;
}

static const ir_kexpr *draw_from_best(picking *p, const cut *c) {
  ir_kbuilder *b = p->b;
  ir_kvar *chosen = ln_reg(b, "chosen", ln_i32(b, RT_PICK_NONE)), *so_far = ln_reg(b, "so_far", f64(b, 0));
  ir_kvar *going = ln_reg(b, "going", ln_i32(b, 1));
  const ir_kexpr *target = ir_kb_let(b, "target", ir_kb_mul(b, param(p, RT_PICK_DRAW), ln_read(b, c->sum)));
  const ir_kexpr *i = bk_for(b, "i", bk_int(b, 0), ir_kb_let(b, "kept", ln_read(b, c->kept)), 1);
  const ir_kexpr *w = ir_kb_let(b, "w", ir_kb_load(b, IR_KT_f64, p->weights, i));
  ir_kb_if(b, bk_and(b, ln_test(b, IR_K_eq, ln_read(b, going), ln_i32(b, 1)), ln_test(b, IR_K_gt, w, f64(b, 0))));
  ln_set(b, chosen, ir_kb_load(b, IR_KT_i32, p->select.pairs.indices, i));
  ln_set(b, so_far, ir_kb_add(b, ln_read(b, so_far), w));
  ir_kb_if(b, ln_test(b, IR_K_gt, ln_read(b, so_far), target));
  ln_set(b, going, ln_i32(b, 0));
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  const ir_kexpr *open = ln_test(b, IR_K_ne, ln_read(b, c->open), ln_i32(b, 0));
  return ir_kb_let(b, "chosen", ln_choose(b, open, ln_i32(b, RT_PICK_OPEN), ln_read(b, chosen)));
}

static void store_id(picking *p, const ir_kexpr *id) {
  ir_kbuilder *b = p->b;
  store_result(p, RT_PICK_ID, wide(b, id));
  const ir_kexpr *known = ln_test(b, IR_K_ge, id, ln_i32(b, 0)), *at = ir_kb_cast(b, IR_KT_i64, id);
  at = ir_kb_let(b, "at", ln_choose(b, known, at, bk_int(b, 0)));
  store_result(p, RT_PICK_LOGIT, wide(b, score(p, at)));
}

static void begin_first(picking *p) { ir_kb_if(p->b, ln_test(p->b, IR_K_eq, p->thread, bk_int(p->b, 0))); }

static void pick_from_all(picking *p) {
  ir_kbuilder *b = p->b;
  const ir_kexpr *total = sum_all(p, p->temperature);
  begin_first(p);
  store_id(p, draw_from_all(p, ir_kb_let(b, "target", ir_kb_mul(b, param(p, RT_PICK_DRAW), total))));
  ir_kb_end(b);
}

static void pick_from_best(picking *p, const ir_kexpr *top_k) {
  ir_kbuilder *b = p->b;
  const ir_kexpr *none = ln_test(b, IR_K_eq, top_k, bk_int(b, 0));
  const ir_kexpr *limit = ir_kb_let(b, "limit", ir_kb_min(b, ln_choose(b, none, p->vocab, top_k), p->vocab));
  const ir_kexpr *count = ir_kb_let(b, "count", ir_kb_min(b, limit, bk_int(b, RT_PICK_MOST)));
  p->select.k = count;
  cg_emit_select(&p->select);
  const ir_kexpr *i = bk_for(b, "i", p->thread, count, THREADS);
  const ir_kexpr *id = ir_kb_cast(b, IR_KT_i64, ir_kb_load(b, IR_KT_i32, p->select.pairs.indices, i));
  ir_kb_store(b, IR_KT_f64, p->weights, i,
              weight(p, ir_kb_let(b, "s", score(p, ir_kb_let(b, "id", id))), p->temperature));
  ir_kb_end(b);
  ir_kb_barrier(b);
  ir_kvar *total = ln_reg(b, "total", f64(b, 0));
  ir_kb_if(b, none);
  ir_kb_if(b, bk_less(b, param(p, RT_PICK_TOP_P), f64(b, 1)));
  ln_set(b, total, sum_all(p, p->temperature));
  ir_kb_end(b);
  ir_kb_else(b);
  i = bk_for(b, "i", bk_int(b, 0), count, 1);
  ln_set(b, total, ir_kb_add(b, ln_read(b, total), ir_kb_load(b, IR_KT_f64, p->weights, i)));
  ir_kb_end(b);
  ir_kb_end(b);
  begin_first(p);
  cut c = keep_some(p, count, limit, none, ir_kb_let(b, "total", ln_read(b, total)));
  store_id(p, draw_from_best(p, &c));
  ir_kb_end(b);
}

// ---- the kernel

static void emit_pick(picking *p) {
  ir_kbuilder *b = p->b;
  const ir_kexpr *minus = ir_kb_const(b, IR_KT_f32, -INFINITY), *zero = bk_int(b, 0);
  find_best(p);
  p->temperature = ir_kb_let(b, "temperature", param(p, RT_PICK_TEMPERATURE));
  const ir_kexpr *top_k = ir_kb_let(b, "top_k", ir_kb_cast(b, IR_KT_i64, param(p, RT_PICK_TOP_K)));
  const ir_kexpr *has = ir_kb_let(b, "has", ln_test(b, IR_K_gt, p->top, minus));
  const ir_kexpr *fits = ln_test(b, IR_K_le, piece_count(p), bk_int(b, MOST_PIECES));
  fits = ir_kb_let(b, "fits", fits);
  begin_first(p);
  store_result(p, RT_PICK_TOP, wide(b, p->top));
  ir_kb_end(b);
  ir_kb_if(b, bk_and(b, has, ln_test(b, IR_K_gt, p->temperature, f64(b, 0))));
  const ir_kexpr *cuts =
      ln_op(b, IR_K_or, ln_test(b, IR_K_ne, top_k, zero), bk_less(b, param(p, RT_PICK_TOP_P), f64(b, 1)));
  cuts = ln_op(b, IR_K_or, cuts, ln_test(b, IR_K_gt, param(p, RT_PICK_MIN_P), f64(b, 0)));
  ir_kb_if(b, fits);
  ir_kb_if(b, cuts);
  pick_from_best(p, top_k);
  ir_kb_else(b);
  pick_from_all(p);
  ir_kb_end(b);
  ir_kb_else(b);
  begin_first(p);
  store_id(p, ln_i32(b, RT_PICK_OPEN));
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_else(b);
  begin_first(p);
  store_id(p, ln_choose(b, has, p->best, ln_i32(b, RT_PICK_NONE)));
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_if(b, bk_and(b, bk_and(b, has, fits), ln_test(b, IR_K_ne, param(p, RT_PICK_SUMS), f64(b, 0))));
  ir_kb_barrier(b);
  const ir_kexpr *sum = sum_all(p, f64(b, 1));
  begin_first(p);
  store_result(p, RT_PICK_SUM, sum);
  ir_kb_end(b);
  ir_kb_else(b);
  begin_first(p);
  store_result(p, RT_PICK_SUM, f64(b, 0));
  ir_kb_end(b);
  ir_kb_end(b);
}

weir_status cg_make_pick(weir_arena *arena, ir_kernel **out_kernel) {
  ir_kbuilder b;
  ir_kb_init(&b, arena, "pick", "the next token of each request, from its logits");
  const ir_kexpr *rows = ir_kb_add_size(&b, "R"), *vocab = ir_kb_add_size(&b, "V");
  picking p = {.b = &b, .vocab = vocab};
  p.logits = ir_kb_add_buffer(&b, IR_KB_IN, "logits", bk_scaled(&b, ir_kb_mul(&b, rows, vocab), 4), -1);
  p.params = ir_kb_add_buffer(&b, IR_KB_IN, "params", bk_scaled(&b, rows, 8 * RT_PICK_PARAMS), -1);
  p.results = ir_kb_add_buffer(&b, IR_KB_OUT, "results", bk_scaled(&b, rows, 8 * RT_PICK_RESULTS), -1);
  p.row = ir_kb_set_grid(&b, rows, "row");
  p.thread = ir_kb_set_threads(&b, "t", THREADS, 0);
  p.parts = ir_kb_add_shared(&b, "parts", 4 * WARPS);
  p.picks = ir_kb_add_shared(&b, "picks", 4 * WARPS);
  p.pieces = ir_kb_add_shared(&b, "pieces", 8 * MOST_PIECES);
  p.weights = ir_kb_add_shared(&b, "weights", 8 * RT_PICK_MOST);
  p.sums = ir_kb_add_shared(&b, "sums", 8);
  p.select = (cg_select){.pairs = {.b = &b, .thread = p.thread, .threads = THREADS},
                         .size = vocab,
                         .most = RT_PICK_MOST,
                         .key = key_of,
                         .user = &p};
  cg_select_add_shared(&p.select);
  emit_pick(&p);
  ir_kernel *kernel = ir_kb_finish(&b);
  WEIR_TRY(ir_kernel_verify(kernel));
  uint64_t hash = ir_kernel_hash(kernel);
  kernel->name = weir_arena_printf(arena, RT_PICK_SYMBOL "%08x", (unsigned)(hash ^ (hash >> 32)));
  *out_kernel = kernel;
  return WEIR_OK;
}

// A step whose result is one row of f32 for each request.
static bool gives_logits(const ir_function *entry) {
  const ir_value *logits = NULL;
  if (entry->kind != IR_FUNCTION_STEP) return false;
  for (int i = 0; i < entry->result_count; i++) {
    if (entry->results[i].state >= 0) continue;
    if (logits) return false;
    logits = entry->results[i].value;
  }
  return logits && logits->type.dtype == IR_f32 && logits->type.rank == 1 && cg_const_dim(logits->type.dims[0]) > 1;
}

weir_status cg_program_add_pick(builder *p) {
  ir_kernel *kernel;
  if (!p->low->options->blocks || !gives_logits(p->entry)) return WEIR_OK;
  WEIR_TRY(cg_make_pick(p->low->arena, &kernel));
  (void)cg_program_kernel(p, cg_add_kernel(p->low, kernel));
  return WEIR_OK;
}
