// Attention by matrix units: the arithmetic of a warp's rows over a tile of keys, which both schedules share
// (attend_mma.c says what it is).
#include <math.h>

#include "codegen/lower/block/attend_mma.h"

static const double rises_above = 8;  // powers of two

// ---- scores

void am_clear_scores(attend_mma *f) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *m = bk_unroll(b, "m", f->high), *n = bk_unroll(b, "n", 2 * am_panels(f)), *i = bk_unroll(b, "i", 4);
  am_set(f, f->score, bk_zero(b), m, n, i);
  for (int end = 0; end < 3; end++) ir_kb_end(b);
}

void am_read_queries(attend_mma *f, int m, const ir_kexpr *step) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *at = bk_plus(b, ir_kb_add(b, f->query_at, bk_scaled(b, step, 16)), MMA_ROWS * m * am_query_stride(f));
  ir_kb_ldmatrix(b, ir_kb_regs(f->a_words, am_num(f, 0), NULL, NULL), 4, ir_kb_place(f->queries, IR_KT_u16, at), false);
}

// Multiplies the queries at hand with the keys of panel |panel| in b_words[i].
void am_multiply_keys(attend_mma *f, int m, const ir_kexpr *i, const ir_kexpr *panel) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *zero = am_num(f, 0), *from = f->split ? panel : zero;
  for (int half = 0; half < 2; half++) {
    const ir_kexpr *n = bk_plus(b, bk_scaled(b, panel, 2), half);
    ir_kb_mma(b, f->score_kind, ir_kb_regs(f->score, am_num(f, m), n, zero), ir_kb_regs(f->a_words, zero, NULL, NULL),
              ir_kb_regs(f->b_words, i, from, am_num(f, 2 * half)));
  }
}

static const ir_kexpr *with_bias(attend_mma *f, const ir_kexpr *row, const ir_kexpr *j, const ir_kexpr *score) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *key = at_sub(a, at_add(a, a->piece, j), a->origin);
  const ir_kexpr *idx[3] = {cg_attend_query_head(a, row), cg_attend_query_row(a, row), key};
  const ir_kexpr *bias = cg_emit_value(&a->e, a->bias, idx + (3 - a->bias->type.rank));
  if (bias->type != IR_KT_bool) return ir_kb_add(b, score, bias);
  return am_select(f, bias, score, at_const(a, -INFINITY));
}

// The columns of fragment |n| of scores, |i|: a key, counted from the tile's first and am_key_base.
static int key_of(const attend_mma *f, int n, int i) { return n / 2 * MMA_PANEL + am_key_of(f, n % 2, i); }

static void scale_scores(attend_mma *f, int m) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *n = bk_unroll(b, "n", 2 * am_panels(f)), *i = bk_unroll(b, "i", 4);
  const ir_kexpr *scaled = ir_kb_mul(b, am_get(f, f->score, am_num(f, m), n, i), at_const(f->a, f->a->scale));
  am_set(f, f->score, scaled, am_num(f, m), n, i);
  ir_kb_end(b);
  ir_kb_end(b);
}

// Whether the fragment's column |key| behind |base| is one that row |h| sees.
static const ir_kexpr *sees(attend_mma *f, int m, int h, const ir_kexpr *base, int key) {
  ir_kbuilder *b = am_builder(f);
  const attend_kernel *a = f->a;
  const ir_kexpr *j = ir_kb_add(b, base, ir_kb_const(b, IR_KT_i32, key)), *before = bk_less(b, j, f->to[m][h]);
  if (!a->window && a->key_lo->op == IR_K_const) return before;
  return bk_and(b, ir_kb_op(b, IR_K_ge, IR_KT_bool, j, f->from[m][h], NULL), before);
}

static void add_bias(attend_mma *f, int m, int h, const ir_kexpr *base, int key, const ir_kexpr *n, const ir_kexpr *i) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *j = bk_plus(b, ir_kb_cast(b, IR_KT_i64, base), key), *at = am_num(f, m);
  ir_kb_if(b, sees(f, m, h, base, key));
  am_set(f, f->score, with_bias(f, f->rows[m][h], j, am_get(f, f->score, at, n, i)), at, n, i);
  ir_kb_else(b);
  am_set(f, f->score, at_const(f->a, -INFINITY), at, n, i);
  ir_kb_end(b);
}

// Scales and hides the scores of fragment |m|.
void am_finish_scores(attend_mma *f, int m) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *end = bk_plus(b, f->tile, f->key_tile), *at = am_num(f, m);
  const ir_kexpr *before = bk_less(b, f->tile, f->all_from), *behind = bk_less(b, f->all_to, end);
  if (!f->folded) scale_scores(f, m);
  if (!a->bias) ir_kb_if(b, ir_kb_op(b, IR_K_or, IR_KT_bool, before, behind, NULL));
  const ir_kexpr *first = ir_kb_cast(b, IR_KT_i32, ir_kb_add(b, f->tile, am_key_base(f)));
  for (int n = 0; n < 2 * am_panels(f); n++) {
    // A value of this place: what follows from it is not computed sooner, nor where all is seen.
    const ir_kexpr *base = ir_kb_let(b, "key", ir_kb_add(b, first, ir_kb_const(b, IR_KT_i32, key_of(f, n, 0))));
    for (int i = 0; i < 4; i++) {
      const ir_kexpr *x = am_num(f, n), *y = am_num(f, i);
      int key = key_of(f, 0, i % 2), h = i / 2;
      if (a->bias) add_bias(f, m, h, base, key, x, y);
      else
        am_set(f, f->score,
               am_select(f, sees(f, m, h, base, key), am_get(f, f->score, at, x, y), at_const(a, -INFINITY)), at, x, y);
    }
  }
  if (!a->bias) ir_kb_end(b);
}

// ---- softmax

// Of the quad's four threads, which share a row.
static const ir_kexpr *over_quad(attend_mma *f, ir_kop op, const ir_kexpr *x) {
  ir_kbuilder *b = am_builder(f);
  for (int distance = 1; distance < 4; distance *= 2) {
    x = ir_kb_let(b, "x", x);
    x = ir_kb_op(b, op, IR_KT_f32, x, ir_kb_shuffle_xor(b, x, distance), NULL);
  }
  return ir_kb_let(b, "x", x);
}

// Two instructions less than the maximum that knows of NaN: a row that has one gets it from its weights.
static const ir_kexpr *larger(attend_mma *f, const ir_kexpr *x, const ir_kexpr *y) {
  return am_select(f, ir_kb_op(am_builder(f), IR_K_gt, IR_KT_bool, y, x, NULL), y, x);
}

// The largest score of row |h| of fragment |m|.
const ir_kexpr *am_largest(attend_mma *f, int m, int h) {
  const ir_kexpr *most = NULL;
  for (int n = 0; n < 2 * am_panels(f); n++)
    for (int i = 2 * h; i < 2 * h + 2; i++) {
      const ir_kexpr *x = am_get(f, f->score, am_num(f, m), am_num(f, n), am_num(f, i));
      most = ir_kb_let(am_builder(f), "most", most ? larger(f, most, x) : x);
    }
  return over_quad(f, IR_K_max, most);
}

// Takes the largest score |most| of a tile into the row's reference. Returns what exponents lose; |*kept|: what sums so
// far are multiplied with.
const ir_kexpr *am_raise(attend_mma *f, int m, int h, const ir_kexpr *most, const ir_kexpr **kept) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *none = at_const(a, -INFINITY), *factor = at_const(a, f->factor);
  const ir_kexpr *before = ir_kb_let(b, "before", am_get(f, f->largest, am_num(f, m), am_num(f, h), NULL));
  const ir_kexpr *above = ir_kb_mul(b, ir_kb_sub(b, most, before), factor);
  const ir_kexpr *rises = ir_kb_op(b, IR_K_gt, IR_KT_bool, above, at_const(a, rises_above), NULL);
  rises = ir_kb_let(b, "rises", rises);
  const ir_kexpr *now = ir_kb_let(b, "now", am_select(f, rises, most, before));
  am_set(f, f->largest, now, am_num(f, m), am_num(f, h), NULL);
  const ir_kexpr *loss = am_select(f, am_equal(f, now, none), bk_zero(b),
                                   ir_kb_op(b, IR_K_neg, IR_KT_f32, ir_kb_mul(b, now, factor), NULL, NULL));
  loss = ir_kb_let(b, "loss", loss);
  const ir_kexpr *same = ir_kb_op(b, IR_K_or, IR_KT_bool, ir_kb_op(b, IR_K_not, IR_KT_bool, rises, NULL, NULL),
                                  am_equal(f, before, none), NULL);
  *kept =
      ir_kb_let(b, "kept", am_select(f, same, at_const(a, 1), am_exp(f, IR_K_exp2, am_fma(f, before, factor, loss))));
  return loss;
}

// Scores of fragment |m| become weights, rounded, in the registers of fragments A. Returns the thread's part of the sum
// of row |h|.
void am_weigh(attend_mma *f, int m, const ir_kexpr *const *loss, const ir_kexpr **out_sums) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *factor = at_const(f->a, f->factor);
  for (int h = 0; h < 2; h++) {
    const ir_kexpr *sum = NULL;
    for (int n = 0; n < 2 * am_panels(f); n++) {
      const ir_kexpr *w[2];
      for (int i = 0; i < 2; i++) {
        const ir_kexpr *x = am_get(f, f->score, am_num(f, m), am_num(f, n), am_num(f, 2 * h + i));
        w[i] = ir_kb_let(b, "w", am_exp(f, IR_K_exp2, am_fma(f, x, factor, loss[h])));
        sum = ir_kb_let(b, "part", sum ? ir_kb_add(b, sum, w[i]) : w[i]);
      }
      am_set(f, f->weight, am_pack(f, f->value_kind, w[0], w[1]), am_num(f, m), am_num(f, n / 2),
             am_num(f, n % 2 * 2 + h));
    }
    out_sums[h] = sum;
  }
}

// Multiplies the outputs of fragment |m| with what is kept of them; mostly there is nothing to do.
void am_scale_outputs(attend_mma *f, int m, const ir_kexpr *const *kept) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *one = at_const(f->a, 1), *is[2];
  for (int h = 0; h < 2; h++) is[h] = ir_kb_op(b, IR_K_ne, IR_KT_bool, kept[h], one, NULL);
  ir_kb_if(b, ir_kb_let(b, "some", ir_kb_any(b, ir_kb_op(b, IR_K_or, IR_KT_bool, is[0], is[1], NULL))));
  const ir_kexpr *n = bk_unroll(b, "n", 2 * f->mine);
  for (int i = 0; i < 4; i++)
    am_set(f, f->out, ir_kb_mul(b, am_get(f, f->out, am_num(f, m), n, am_num(f, i)), kept[i / 2]), am_num(f, m), n,
           am_num(f, i));
  ir_kb_end(b);
  ir_kb_end(b);
}

void am_add_sum(attend_mma *f, int m, int h, const ir_kexpr *kept, const ir_kexpr *part) {
  am_set(f, f->sum, am_fma(f, am_get(f, f->sum, am_num(f, m), am_num(f, h), NULL), kept, part), am_num(f, m),
         am_num(f, h), NULL);
}

// ---- values

// Adds the values of the panel whose rows begin at |row| of those in shared memory, weighed by weight[m][panel].
void am_add_values(attend_mma *f, const ir_kexpr *row, const ir_kexpr *panel) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *zero = am_num(f, 0), *p = bk_unroll(b, "p", f->mine);
  bool uneven = f->pairs % f->apart != 0;
  if (uneven) ir_kb_if(b, bk_less(b, ir_kb_add(b, f->side, bk_scaled(b, p, f->apart)), am_num(f, f->pairs)));
  const ir_kexpr *at = ir_kb_add(b, f->value_at, bk_scaled(b, row, am_value_stride(f)));
  at = ir_kb_add(b, at, bk_scaled(b, p, (int64_t)f->apart * 16));
  ir_kb_ldmatrix(b, ir_kb_regs(f->b_words, zero, zero, zero), 4, ir_kb_place(f->values, IR_KT_u16, at), true);
  for (int m = 0; m < f->high; m++) {
    am_open_fragment(f, m);
    for (int half = 0; half < 2; half++)
      ir_kb_mma(b, f->value_kind, ir_kb_regs(f->out, am_num(f, m), bk_plus(b, bk_scaled(b, p, 2), half), zero),
                ir_kb_regs(f->weight, am_num(f, m), panel, zero),
                ir_kb_regs(f->b_words, zero, zero, am_num(f, 2 * half)));
    am_close_fragment(f, m);
  }
  if (uneven) ir_kb_end(b);
  ir_kb_end(b);
}

// The largest score as the merge wants it, scaled; the sum of the row's four threads.
const ir_kexpr *am_piece_largest(attend_mma *f, int m, int h) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *x = am_get(f, f->largest, am_num(f, m), am_num(f, h), NULL);
  return ir_kb_let(b, "m", f->folded ? ir_kb_mul(b, x, at_const(f->a, f->a->scale)) : x);
}

const ir_kexpr *am_piece_sum(attend_mma *f, int m, int h) {
  return over_quad(f, IR_K_add, am_get(f, f->sum, am_num(f, m), am_num(f, h), NULL));
}

// Opens a loop over the warp's columns; |*column|: 2 quad behind the first of a fragment. Two to close.
const ir_kexpr *am_open_columns(attend_mma *f, const ir_kexpr **column) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *n = bk_unroll(b, "n", 2 * f->mine);
  const ir_kexpr *pair = ir_kb_add(b, f->side, bk_scaled(b, bk_div(b, n, 2), f->apart));
  *column = ir_kb_add(b, bk_scaled(b, pair, 16), bk_scaled(b, bk_mod(b, n, 2), 8));
  *column = ir_kb_add(b, *column, bk_scaled(b, f->quad, 2));  // no value: its being even is asked for
  ir_kb_if(b, bk_less(b, *column, am_num(f, f->a->width)));
  return n;
}
