// Attention by matrix units over one piece of the keys (attend_mma.c): a warp has some of its keys, then some of
// the columns.
#include "codegen/lower/block/attend_mma.h"

static void score_split(attend_mma *f) {
  ir_kbuilder *b = am_builder(f);
  int count = am_loaded(f);
  const ir_kexpr *tile = ir_kb_add(b, f->a->piece, f->tile);
  const ir_kexpr *first = bk_for(b, "step", am_num(f, 0), am_num(f, f->steps), count);
  const ir_kexpr *i = bk_unroll(b, "i", count), *panel = bk_unroll(b, "panel", am_panels(f));
  am_load_keys(f, ir_kb_add(b, tile, bk_scaled(b, panel, MMA_PANEL)), ir_kb_add(b, first, i), i, panel);
  ir_kb_end(b);
  ir_kb_end(b);
  i = bk_unroll(b, "i", count);
  for (int m = 0; m < f->high; m++) {
    am_open_fragment(f, m);
    am_read_queries(f, m, ir_kb_add(b, first, i));
    panel = bk_unroll(b, "panel", am_panels(f));
    am_multiply_keys(f, m, i, panel);
    ir_kb_end(b);
    am_close_fragment(f, m);
  }
  ir_kb_end(b);
  ir_kb_end(b);
}

// What a lane keeps of tile |tile| and fragment |m| in |maxima| or |sums|: two floats.
static ir_kplace lane_place(attend_mma *f, int buffer, const ir_kexpr *tile, int m) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, bk_plus(b, bk_scaled(b, tile, f->high), m), IR_WARP), f->lane);
  return ir_kb_place(buffer, IR_KT_f32, bk_scaled(b, at, 2));
}

static void put_lane(attend_mma *f, int buffer, int m, const ir_kexpr *const *x) {
  for (int h = 0; h < 2; h++) am_set(f, f->four, x[h], am_num(f, h), NULL, NULL);
  ir_kb_write_vector(am_builder(f), lane_place(f, buffer, f->warp, m), ir_kb_regs(f->four, am_num(f, 0), NULL, NULL), 2,
                     IR_KHINT_NONE);
}

static void get_lane(attend_mma *f, int buffer, int tile, int m, const ir_kexpr **x) {
  ir_kb_read_vector(am_builder(f), ir_kb_regs(f->four, am_num(f, 0), NULL, NULL), 2,
                    lane_place(f, buffer, am_num(f, tile), m), IR_KHINT_NONE);
  for (int h = 0; h < 2; h++) x[h] = ir_kb_let(am_builder(f), "x", am_get(f, f->four, am_num(f, h), NULL, NULL));
}

// Fragment A of panel |panel| of the piece: four words a lane.
static ir_kplace weight_place(attend_mma *f, int m, const ir_kexpr *panel) {
  ir_kbuilder *b = am_builder(f);
  const ir_kexpr *at = bk_plus(b, panel, (int64_t)m * ATTEND_PIECE / MMA_PANEL);
  return ir_kb_place(f->weights, IR_KT_u32, bk_scaled(b, ir_kb_add(b, bk_scaled(b, at, IR_WARP), f->lane), 4));
}

// The references of the piece's tiles in order; |losses|: registers for what the warp's own tile loses.
static void raise_all(attend_mma *f, ir_kvar *losses) {
  ir_kbuilder *b = am_builder(f);
  for (int tile = 0; tile < ATTEND_PIECE / f->key_tile; tile++) {
    ir_kb_if(b, am_is_seen(f, am_num(f, (int64_t)tile * f->key_tile)));
    for (int m = 0; m < f->high; m++) {
      const ir_kexpr *most[2], *kept;
      am_open_fragment(f, m);
      get_lane(f, f->maxima, tile, m, most);
      for (int h = 0; h < 2; h++) {
        const ir_kexpr *loss = am_raise(f, m, h, most[h], &kept), *own = am_equal(f, f->warp, am_num(f, tile));
        am_set(f, f->kept, kept, am_num(f, tile), am_num(f, m), am_num(f, h));
        am_set(f, losses, am_select(f, own, loss, am_get(f, losses, am_num(f, m), am_num(f, h), NULL)), am_num(f, m),
               am_num(f, h), NULL);
      }
      am_close_fragment(f, m);
    }
    ir_kb_end(b);
  }
}

static void score_tile(attend_mma *f) {
  ir_kbuilder *b = am_builder(f);
  ir_kb_if(b, am_is_seen(f, f->tile));
  score_split(f);
  for (int m = 0; m < f->high; m++) {
    const ir_kexpr *most[2];
    am_open_fragment(f, m);
    am_finish_scores(f, m);
    for (int h = 0; h < 2; h++) most[h] = am_largest(f, m, h);
    put_lane(f, f->maxima, m, most);
    am_close_fragment(f, m);
  }
  ir_kb_end(b);
}

static void weigh_tile(attend_mma *f, ir_kvar *losses) {
  ir_kbuilder *b = am_builder(f);
  ir_kb_if(b, am_is_seen(f, f->tile));
  for (int m = 0; m < f->high; m++) {
    const ir_kexpr *loss[2], *parts[2];
    am_open_fragment(f, m);
    for (int h = 0; h < 2; h++) loss[h] = am_get(f, losses, am_num(f, m), am_num(f, h), NULL);
    am_weigh(f, m, loss, parts);
    put_lane(f, f->sums, m, parts);
    const ir_kexpr *panel = bk_unroll(b, "panel", am_panels(f));
    ir_kb_write_vector(b, weight_place(f, m, ir_kb_add(b, bk_scaled(b, f->warp, am_panels(f)), panel)),
                       ir_kb_regs(f->weight, am_num(f, m), panel, am_num(f, 0)), 4, IR_KHINT_NONE);
    ir_kb_end(b);
    am_close_fragment(f, m);
  }
  ir_kb_end(b);
}

static void values_of_tile(attend_mma *f, int tile) {
  ir_kbuilder *b = am_builder(f);
  int first = tile * f->key_tile;
  for (int m = 0; m < f->high; m++) {
    const ir_kexpr *parts[2], *kept[2];
    am_open_fragment(f, m);
    get_lane(f, f->sums, tile, m, parts);
    for (int h = 0; h < 2; h++) {
      kept[h] = am_get(f, f->kept, am_num(f, tile), am_num(f, m), am_num(f, h));
      am_add_sum(f, m, h, kept[h], parts[h]);
    }
    am_scale_outputs(f, m, kept);
    am_close_fragment(f, m);
  }
  const ir_kexpr *panel = bk_unroll(b, "panel", am_panels(f));
  for (int m = 0; m < f->high; m++) {
    am_open_fragment(f, m);
    ir_kb_read_vector(b, ir_kb_regs(f->weight, am_num(f, m), panel, am_num(f, 0)), 4,
                      weight_place(f, m, bk_plus(b, panel, first / MMA_PANEL)), IR_KHINT_NONE);
    am_close_fragment(f, m);
  }
  am_add_values(f, bk_plus(b, bk_scaled(b, panel, MMA_PANEL), first % f->value_rows), panel);
  ir_kb_end(b);
}

// The values of all keys in order, so many at a time as shared memory holds.
static void values_split(attend_mma *f) {
  ir_kbuilder *b = am_builder(f);
  am_arrive(f);
  for (int tile = 0; tile < ATTEND_PIECE / f->key_tile; tile++) {
    int first = tile * f->key_tile;
    if (first && first % f->value_rows == 0) {
      ir_kb_barrier(b);
      am_stage_values(f, bk_plus(b, f->a->piece, first), f->value_rows, am_num(f, 0));
      ir_kb_commit(b);
      am_arrive(f);
    }
    ir_kb_if(b, am_is_seen(f, am_num(f, first)));
    values_of_tile(f, tile);
    ir_kb_end(b);
  }
}

static void store_part(attend_mma *f, int parts, const ir_kexpr *place) {
  attend_kernel *a = f->a;
  ir_kbuilder *b = am_builder(f);
  for (int m = 0; m < f->high; m++) {
    am_open_fragment(f, m);
    for (int h = 0; h < 2; h++) {
      const ir_kexpr *row = ir_kb_let(b, "row", bk_plus(b, f->group, MMA_ROWS * m + 8 * h)), *column;
      const ir_kexpr *part = at_local(a, row, cg_attend_part(a), place);
      const ir_kexpr *largest = am_piece_largest(f, m, h), *sum = am_piece_sum(f, m, h);
      ir_kb_if(b, bk_less(b, row, a->rows));
      const ir_kexpr *n = am_open_columns(f, &column);
      ir_kb_write_vector(b, ir_kb_place(parts, IR_KT_f32, at_add(a, part, column)),
                         ir_kb_regs(f->out, am_num(f, m), n, am_num(f, 2 * h)), 2, IR_KHINT_NONE);
      ir_kb_end(b);
      ir_kb_end(b);
      ir_kb_if(b, bk_less(b, ir_kb_add(b, f->warp, f->quad), am_num(f, 1)));
      const ir_kexpr *at = at_add(a, part, at_int(a, cg_attend_part_largest(a)));
      at_store(a, parts, at, largest);
      at_store(a, parts, at_add(a, at, at_int(a, 1)), sum);
      ir_kb_end(b);
      ir_kb_end(b);
    }
    am_close_fragment(f, m);
  }
}

void cg_attend_mma_piece(attend_kernel *a, const ir_kexpr *thread, const ir_kexpr *piece, int parts,
                         const ir_kexpr *place) {
  attend_mma f;
  cg_attend_bind_piece(a, piece);
  am_open(&f, a, thread, true);
  ir_kbuilder *b = am_builder(&f);
  ir_kb_barrier(b);
  am_bind_seen(&f);
  f.tile = ir_kb_let(b, "tile", bk_scaled(b, f.warp, f.key_tile));
  f.kept = am_reg(&f, "kept", IR_KT_f32, ATTEND_PIECE / f.key_tile, f.high, 2, 1);
  ir_kvar *losses = am_reg(&f, "losses", IR_KT_f32, f.high, 2, 0, 0);
  score_tile(&f);
  ir_kb_barrier(b);
  raise_all(&f, losses);
  weigh_tile(&f, losses);
  values_split(&f);
  store_part(&f, parts, place);
}
