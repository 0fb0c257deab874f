// Attention by matrix units over all keys that a tile of rows sees (attend_mma.c): a warp has sixteen rows.
#include <math.h>

#include "codegen/lower/block/attend_mma.h"

static void score_whole(attend_mma *f, const ir_kexpr *stage) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *zero = am_num(f, 0), *step = bk_unroll(b, "step", f->steps);
  am_read_queries(f, 0, step);
  const ir_kexpr *panel = bk_unroll(b, "panel", am_panels(f));
  am_read_keys(f, stage, panel, step, zero, zero);
  am_multiply_keys(f, 0, zero, panel);
  ir_kb_end(b);
  ir_kb_end(b);
}

static void soften_whole(attend_mma *f) {
  const ir_kexpr *loss[2], *kept[2], *parts[2];
  am_finish_scores(f, 0);
  for (int h = 0; h < 2; h++) loss[h] = am_raise(f, 0, h, am_largest(f, 0, h), &kept[h]);
  am_weigh(f, 0, loss, parts);
  for (int h = 0; h < 2; h++) am_add_sum(f, 0, h, kept[h], parts[h]);
  am_scale_outputs(f, 0, kept);
}

static void values_whole(attend_mma *f, const ir_kexpr *stage) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *panel = bk_unroll(b, "panel", am_panels(f));
  am_add_values(f, ir_kb_add(b, bk_scaled(b, stage, f->key_tile), bk_scaled(b, panel, MMA_PANEL)), panel);
  ir_kb_end(b);
}

// As cg_attend_merge_row and merge_part of attend.c.
static void merge(attend_mma *f) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *zero = am_num(f, 0), *kept[2], *added[2];
  for (int h = 0; h < 2; h++) {
    const ir_kexpr *m = am_piece_largest(f, 0, h), *sum = am_piece_sum(f, 0, h), *i = am_num(f, h);
    const ir_kexpr *before = ir_kb_let(b, "before", am_get(f, f->all_largest, i, NULL, NULL));
    const ir_kexpr *now = ir_kb_let(b, "now", at_max(a, before, m));
    const ir_kexpr *shift =
        ir_kb_let(b, "shift", am_select(f, am_equal(f, now, at_const(a, -INFINITY)), bk_zero(b), now));
    // A piece of which nothing is seen changes nothing: -0 leaves a sum's sign.
    const ir_kexpr *none = am_equal(f, sum, bk_zero(b));
    kept[h] =
        ir_kb_let(b, "kept", am_select(f, none, at_const(a, 1), am_exp(f, IR_K_exp, ir_kb_sub(b, before, shift))));
    added[h] =
        ir_kb_let(b, "added", am_select(f, none, at_const(a, -0.0), am_exp(f, IR_K_exp, ir_kb_sub(b, m, shift))));
    am_set(f, f->all_largest, now, i, NULL, NULL);
    am_set(f, f->all_sum, am_fma(f, sum, added[h], ir_kb_mul(b, am_get(f, f->all_sum, i, NULL, NULL), kept[h])), i,
           NULL, NULL);
    am_set(f, f->largest, at_const(a, -INFINITY), zero, i, NULL);
    am_set(f, f->sum, bk_zero(b), zero, i, NULL);
  }
  const ir_kexpr *n = bk_unroll(b, "n", 2 * f->mine);
  for (int i = 0; i < 4; i++) {
    const ir_kexpr *left = ir_kb_mul(b, am_get(f, f->all_out, n, am_num(f, i), NULL), kept[i / 2]);
    am_set(f, f->all_out, am_fma(f, am_get(f, f->out, zero, n, am_num(f, i)), added[i / 2], left), n, am_num(f, i),
           NULL);
    am_set(f, f->out, bk_zero(b), zero, n, am_num(f, i));
  }
  ir_kb_end(b);
}

static void store_outputs(attend_mma *f) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = am_builder(f);
  int to = cg_info(a->fl, a->root)->slot;
  for (int h = 0; h < 2; h++) {
    const ir_kexpr *row = ir_kb_let(b, "row", ir_kb_add(b, f->first_row, bk_plus(b, f->group, 8 * h))), *column;
    const ir_kexpr *sum = am_get(f, f->all_sum, am_num(f, h), NULL, NULL), *inverse = ir_kb_div(b, at_const(a, 1), sum);
    inverse = ir_kb_let(b, "inverse", am_select(f, am_equal(f, sum, bk_zero(b)), bk_zero(b), inverse));
    ir_kb_if(b, bk_less(b, row, a->rows));
    const ir_kexpr *n = am_open_columns(f, &column), *idx[2][IR_MAX_RANK], *x[2];
    for (int i = 0; i < 2; i++) {
      cg_attend_place(a, cg_attend_query_row(a, row), cg_attend_query_head(a, row), bk_plus(b, column, i), idx[i]);
      x[i] = ir_kb_mul(b, am_get(f, f->all_out, n, am_num(f, 2 * h + i), NULL), inverse);
    }
    ir_kplace first = cg_emit_store_place(&a->e, a->root, to, idx[0]);
    ir_kplace second = cg_emit_store_place(&a->e, a->root, to, idx[1]);
    if (first.type == IR_KT_f32 && a->width % 2 == 0 && cg_block_adjoins(b, first.index, second.index, 2)) {
      for (int i = 0; i < 2; i++) am_set(f, f->four, x[i], am_num(f, i), NULL, NULL);
      ir_kb_write_vector(b, first, ir_kb_regs(f->four, am_num(f, 0), NULL, NULL), 2, IR_KHINT_NONE);
    } else {
      cg_emit_store(&a->e, a->root, to, idx[0], x[0]);
      if (a->width % 2) ir_kb_if(b, bk_less(b, bk_plus(b, column, 1), am_num(f, a->width)));
      cg_emit_store(&a->e, a->root, to, idx[1], x[1]);
      if (a->width % 2) ir_kb_end(b);
    }
    for (int end = 0; end < 3; end++) ir_kb_end(b);
  }
}

// The first tile that some row of the block sees something of.
static const ir_kexpr *first_tile(attend_mma *f) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *from = a->origin;
  if (a->window) from = at_max(a, at_add(a, a->position, at_int(a, 1 - a->window)), from);
  return ir_kb_let(b, "first_tile", bk_scaled(b, bk_div(b, from, f->key_tile), f->key_tile));
}

static void copy_next(attend_mma *f, const ir_kexpr *at, const ir_kexpr *stage, bool values) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *next = bk_plus(b, at, f->key_tile);
  ir_kb_if(b, bk_less(b, next, f->a->key_end));
  am_stage_keys(f, next, stage);
  if (values) am_stage_values(f, next, f->key_tile, stage);
  ir_kb_end(b);
  ir_kb_commit(b);
}

// A tile of keys and values, one of each in shared memory: values come while scores are computed, and the next keys
// while they are added.
static void tile_once(attend_mma *f, const ir_kexpr *at, const ir_kexpr *active) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *zero = am_num(f, 0);
  am_arrive(f);
  am_stage_values(f, at, f->key_tile, zero);
  ir_kb_commit(b);
  ir_kb_if(b, active);
  am_clear_scores(f);
  score_whole(f, zero);
  soften_whole(f);
  ir_kb_end(b);
  am_arrive(f);
  copy_next(f, at, zero, false);
  ir_kb_if(b, active);
  values_whole(f, zero);
  ir_kb_end(b);
}

// With two of each the next tile comes meanwhile.
static void tile_twice(attend_mma *f, const ir_kexpr *at, const ir_kexpr *active) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *stage = ir_kb_let(b, "stage", bk_mod(b, bk_div(b, at, f->key_tile), 2));
  am_arrive(f);
  copy_next(f, at, ir_kb_sub(b, am_num(f, 1), stage), true);
  ir_kb_if(b, active);
  am_clear_scores(f);
  score_whole(f, stage);
  soften_whole(f);
  values_whole(f, stage);
  ir_kb_end(b);
}

void cg_attend_mma_whole(attend_kernel *a, const ir_kexpr *thread) {
  attend_mma f;
  am_open(&f, a, thread, false);
  ir_kbuilder *b = am_builder(&f);
  f.all_out = am_reg(&f, "outputs", IR_KT_f32, 2 * f.mine, 4, 0, 0);
  f.all_largest = am_reg(&f, "maxima", IR_KT_f32, 2, 0, 0, -INFINITY);
  f.all_sum = am_reg(&f, "sums", IR_KT_f32, 2, 0, 0, 0);
  const ir_kexpr *first = first_tile(&f), *stage = bk_mod(b, bk_div(b, first, f.key_tile), f.stages);
  am_stage_keys(&f, first, stage);
  if (f.stages > 1) am_stage_values(&f, first, f.key_tile, stage);
  ir_kb_commit(b);
  const ir_kexpr *at = bk_for(b, "at", first, a->key_end, f.key_tile);
  const ir_kexpr *piece = ir_kb_let(b, "piece", bk_scaled(b, bk_div(b, at, ATTEND_PIECE), ATTEND_PIECE));
  cg_attend_bind_piece(a, piece);
  am_bind_seen(&f);
  f.tile = ir_kb_let(b, "tile", ir_kb_sub(b, at, piece));
  const ir_kexpr *active = bk_and(b, bk_less(b, f.first_row, a->rows), am_is_seen(&f, f.tile));
  active = ir_kb_let(b, "active", active);
  if (f.stages > 1) tile_twice(&f, at, active);
  else tile_once(&f, at, active);
  const ir_kexpr *last = ir_kb_op(b, IR_K_eq, IR_KT_bool, f.tile, am_num(&f, ATTEND_PIECE - f.key_tile), NULL);
  const ir_kexpr *end = ir_kb_op(b, IR_K_ge, IR_KT_bool, bk_plus(b, at, f.key_tile), a->key_end, NULL);
  ir_kb_if(b, ir_kb_op(b, IR_K_or, IR_KT_bool, last, end, NULL));
  merge(&f);
  ir_kb_end(b);
  ir_kb_end(b);
  store_outputs(&f);
}
