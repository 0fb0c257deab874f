// Convolutions of 3 x 3 windows without stride by Winograd's F(2 x 2, 3 x 3): 16 products of transformed elements make
// four outputs, where they would take 36.
//
// One work item is a chunk of rows of tiles of 2 x 2 outputs, and a share of the panels of outputs. Its part of x is
// staged with zeros around, each 4 x 4 patch becomes B^T d B, 16 products [tiles, C] x [C, O] follow, and A^T m A gives
// the outputs. Weights lie transformed (taps.c), so that a package holds 16 numbers for 9.
//
// Error. The entries of A and B are 0, 1 and -1: an element of B^T d B is a sum of four elements of x, and an output
// adds nine sums over channels. With u = 2^-24, and |.| the sizes of the entries,
//   |error| <= (C + 9) u * sum over c of |A^T| ((|G| |w| |G^T|) . (|B^T| |x| |B|)) |A|  +  terms in u^2
// where the direct sum has 9 C u * sum |w| |x|: the sizes grow, but sums are nine times shorter. Measured against
// double on values of random signs behind a relu, the root mean square error is 0.8 times the direct sum's at 64 and
// 256 channels. F(4 x 4, 3 x 3) has entries up to 8, which is why it is not used.
//
// Bits: tiles begin at even places of the image whatever the schedule, each is computed by itself, and each sum adds
// its channels in order.
#include "codegen/lower/window_internal.h"

#include "runtime/base/checked.h"

enum {
  TAPS = CG_WINOGRAD_TAPS,
  PATCH = 4,
  TRANSFORMED = 1 << 20,  // bytes of transformed patches of an item that are aimed at
  LEAST_CHANNELS = 32,    // below that transforms take longer than they save
  LEAST_PLACES = 12,      // of a row or column: below, weights are more traffic than products are work
  FEW_ITEMS = 8,
};

typedef struct {
  cg_image_kernel k;
  int64_t out[2];          // without what fills up the last tiles
  int64_t columns, tiles;  // of a row of tiles; of an item
  int64_t all_panels, panels;
  int wide;
  int heights[6], height_count;
  const ir_kexpr *panel_lo, *panel_hi, *row_tiles, *count;  // rows of tiles, tiles of the item
  int weights, patches, sums;
} winograd;

bool cg_winograd_pays(const ir_node *node, const cg_window *g) {
  for (int i = 0; i < g->spatial; i++)
    if (g->window[i] != 3 || g->stride[i] != 1 || g->dilation[i] != 1 || g->out[i] < LEAST_PLACES) return false;
  return g->spatial == 2 && g->groups == 1 && g->channels >= LEAST_CHANNELS && g->outputs >= LEAST_CHANNELS &&
         node->results[0]->type.dtype == IR_f32;
}

static const ir_kexpr *integer(winograd *w, int64_t value) { return ir_kb_int(&w->k.e.b, value); }
static const ir_kexpr *plus(winograd *w, const ir_kexpr *x, const ir_kexpr *y) { return ir_kb_add(&w->k.e.b, x, y); }
static const ir_kexpr *times(winograd *w, const ir_kexpr *x, int64_t by) {
  return ir_kb_mul(&w->k.e.b, x, integer(w, by));
}

// ---- transforms of four values

// B^T x.
static void transform_patch(winograd *w, const ir_kexpr *const x[4], const ir_kexpr *out[4]) {
  ir_kbuilder *b = &w->k.e.b;
  out[0] = ir_kb_let(b, "t", ir_kb_sub(b, x[0], x[2]));
  out[1] = ir_kb_let(b, "t", ir_kb_add(b, x[1], x[2]));
  out[2] = ir_kb_let(b, "t", ir_kb_sub(b, x[2], x[1]));
  out[3] = ir_kb_let(b, "t", ir_kb_sub(b, x[1], x[3]));
}

// A^T x.
static void transform_sums(winograd *w, const ir_kexpr *const x[4], const ir_kexpr *out[2]) {
  ir_kbuilder *b = &w->k.e.b;
  const ir_kexpr *both = ir_kb_let(b, "t", ir_kb_add(b, x[1], x[2]));
  const ir_kexpr *other = ir_kb_let(b, "t", ir_kb_sub(b, x[1], x[2]));
  out[0] = ir_kb_let(b, "t", ir_kb_add(b, x[0], both));
  out[1] = ir_kb_let(b, "t", ir_kb_sub(b, other, x[3]));
}

// Where tap |tap| of tile |tile| has channel |channel|.
static const ir_kexpr *patch_at(winograd *w, const ir_kexpr *tap, const ir_kexpr *tile, const ir_kexpr *channel) {
  return plus(w, times(w, plus(w, times(w, tap, w->tiles), tile), w->k.g.channels), channel);
}

static const ir_kexpr *sum_at(winograd *w, const ir_kexpr *tap, const ir_kexpr *tile, const ir_kexpr *panel,
                              const ir_kexpr *lane) {
  const ir_kexpr *at = plus(w, times(w, plus(w, times(w, tap, w->tiles), tile), w->wide), panel);
  return plus(w, times(w, at, IR_LANES), lane);
}

static void transform_input(winograd *w) {
  cg_image_kernel *k = &w->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *zero = integer(w, 0), *tap[2] = {zero, zero}, *at[2], *d[PATCH][PATCH], *t[PATCH][PATCH];
  const ir_kexpr *row = ir_kb_for(b, IR_KR_SERIAL, "row", zero, w->row_tiles, 1);
  const ir_kexpr *column = ir_kb_for(b, IR_KR_SERIAL, "column", zero, integer(w, w->columns), 1);
  const ir_kexpr *c = ir_kb_for(b, IR_KR_LANES, "c", zero, integer(w, k->g.channels), 1);
  for (int y = 0; y < PATCH; y++)
    for (int x = 0; x < PATCH; x++) {
      at[0] = plus(w, k->row_lo, plus(w, times(w, row, 2), integer(w, y)));
      at[1] = plus(w, times(w, column, 2), integer(w, x));
      d[y][x] = ir_kb_let(b, "d", cg_image_staged(k, at, tap, c));
    }
  for (int x = 0; x < PATCH; x++) {
    const ir_kexpr *of[PATCH] = {d[0][x], d[1][x], d[2][x], d[3][x]}, *made[PATCH];
    transform_patch(w, of, made);
    for (int y = 0; y < PATCH; y++) t[y][x] = made[y];
  }
  const ir_kexpr *tile = plus(w, times(w, row, w->columns), column);
  for (int y = 0; y < PATCH; y++) {
    const ir_kexpr *made[PATCH];
    transform_patch(w, t[y], made);
    for (int x = 0; x < PATCH; x++)
      ir_kb_store(b, IR_KT_f32, w->patches, patch_at(w, integer(w, y * PATCH + x), tile, c), made[x]);
  }
  for (int i = 0; i < 3; i++) ir_kb_end(b);
}

// The sums of |wide| panels from |panel| on, of all taps and tiles.
static void multiply(winograd *w, const ir_kexpr *panel, int wide) {
  ir_kbuilder *b = &w->k.e.b;
  int dims[2] = {w->heights[0], wide}, step = w->k.g.channels % 4 == 0 ? 4 : 1;
  int64_t channels = w->k.g.channels;
  const ir_kexpr *zero = integer(w, 0), *size, *i;
  const ir_kexpr *tap = ir_kb_for(b, IR_KR_SERIAL, "tap", zero, integer(w, TAPS), 1);
  const ir_kexpr *first = ir_kb_tiles(b, "m", zero, w->count, w->heights, w->height_count, &size);
  const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", zero, integer(w, IR_LANES), 1);
  ir_kvar *acc = ir_kb_reg(b, "acc", IR_KT_f32, true, 2, dims, ir_kb_const(b, IR_KT_f32, 0));
  const ir_kexpr *c = ir_kb_for(b, IR_KR_SERIAL, "c", zero, integer(w, channels), step);
  for (int j = 0; j < step; j++) {
    const ir_kexpr *channel = plus(w, c, integer(w, j)), *u[2];
    for (int p = 0; p < wide; p++) {
      const ir_kexpr *row =
          plus(w, times(w, plus(w, times(w, plus(w, panel, integer(w, p)), TAPS), tap), channels), channel);
      u[p] = ir_kb_let(b, "w", ir_kb_load(b, IR_KT_f32, w->weights, plus(w, times(w, row, IR_LANES), lane)));
    }
    i = ir_kb_for(b, IR_KR_UNROLL, "u", zero, size, 1);
    const ir_kexpr *x =
        ir_kb_let(b, "x", ir_kb_load(b, IR_KT_f32, w->patches, patch_at(w, tap, plus(w, first, i), channel)));
    for (int p = 0; p < wide; p++) {
      const ir_kexpr *sum = ir_kb_read(b, acc, i, integer(w, p), NULL);
      ir_kb_set(b, acc, ir_kb_op(b, IR_K_fma, IR_KT_f32, u[p], x, sum), i, integer(w, p), NULL);
    }
    ir_kb_end(b);
  }
  ir_kb_end(b);
  i = ir_kb_for(b, IR_KR_UNROLL, "u", zero, size, 1);
  for (int p = 0; p < wide; p++) {
    const ir_kexpr *sum = ir_kb_read(b, acc, i, integer(w, p), NULL);
    ir_kb_store(b, IR_KT_f32, w->sums, sum_at(w, tap, plus(w, first, i), integer(w, p), lane), sum);
  }
  for (int n = 0; n < 4; n++) ir_kb_end(b);
}

static void store_tile(winograd *w, const ir_kexpr *channel, const ir_kexpr *row, const ir_kexpr *column,
                       const ir_kexpr *const out[2][2]) {
  cg_image_kernel *k = &w->k;
  ir_kbuilder *b = &k->e.b;
  for (int y = 0; y < 2; y++)
    for (int x = 0; x < 2; x++) {
      const ir_kexpr *at[2] = {plus(w, k->row_lo, plus(w, times(w, row, 2), integer(w, y))),
                               plus(w, times(w, column, 2), integer(w, x))};
      int opened = 0;
      for (int i = 0; i < 2; i++) {
        if (!(i ? x : y) || w->out[i] % 2 == 0) continue;  // fills up the last tile
        ir_kb_if(b, ir_kb_op(b, IR_K_lt, IR_KT_bool, at[i], integer(w, w->out[i]), NULL));
        opened++;
      }
      cg_image_store(k, channel, k->g.outputs, k->g.outputs % IR_LANES != 0, at, out[y][x]);
      while (opened--) ir_kb_end(b);
    }
}

static void transform_output(winograd *w, const ir_kexpr *panel, int wide) {
  cg_image_kernel *k = &w->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *zero = integer(w, 0), *t[2][PATCH], *out[2][2];
  const ir_kexpr *row = ir_kb_for(b, IR_KR_SERIAL, "row", zero, w->row_tiles, 1);
  const ir_kexpr *column = ir_kb_for(b, IR_KR_SERIAL, "column", zero, integer(w, w->columns), 1);
  const ir_kexpr *p = ir_kb_for(b, IR_KR_SERIAL, "p", zero, integer(w, wide), 1);
  const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", zero, integer(w, IR_LANES), 1);
  const ir_kexpr *tile = plus(w, times(w, row, w->columns), column);
  for (int x = 0; x < PATCH; x++) {
    const ir_kexpr *of[PATCH], *made[2];
    for (int y = 0; y < PATCH; y++)
      of[y] = ir_kb_let(b, "m", ir_kb_load(b, IR_KT_f32, w->sums, sum_at(w, integer(w, y * PATCH + x), tile, p, lane)));
    transform_sums(w, of, made);
    t[0][x] = made[0];
    t[1][x] = made[1];
  }
  for (int y = 0; y < 2; y++) transform_sums(w, t[y], out[y]);
  store_tile(w, plus(w, times(w, plus(w, panel, p), IR_LANES), lane), row, column, (const ir_kexpr *const(*)[2])out);
  for (int i = 0; i < 4; i++) ir_kb_end(b);
}

static void emit_panels(winograd *w, const ir_kexpr *from, const ir_kexpr *to, int wide) {
  const ir_kexpr *panel = ir_kb_for(&w->k.e.b, IR_KR_SERIAL, "panel", from, to, wide);
  multiply(w, panel, wide);
  transform_output(w, panel, wide);
  ir_kb_end(&w->k.e.b);
}

// ---- the plan

// Rows of tiles of an item: as many as fit, or somewhat fewer where tiles of products are used better.
static int64_t choose_rows(const winograd *w) {
  int64_t all = (w->out[0] + 1) / 2, most = TRANSFORMED / (4 * TAPS * w->k.g.channels * w->columns), best = INT64_MAX;
  if (most > all) most = all;
  if (most < 1) most = 1;
  int64_t chosen = most;
  for (int64_t rows = most; rows > 0 && rows >= most / 2; rows--) {
    int64_t chunks = (all + rows - 1) / rows, count = rows * w->columns,
            last = (all - (chunks - 1) * rows) * w->columns;
    int64_t whole = (count + w->heights[0] - 1) / w->heights[0], rest = (last + w->heights[0] - 1) / w->heights[0];
    int64_t cost = ((chunks - 1) * whole + rest) * 32 + chunks * 8;
    if (cost < best) best = cost, chosen = rows;
  }
  return chosen;
}

static void make_plan(winograd *w) {
  static const int narrow[6] = {12, 8, 4, 3, 2, 1};
  cg_image_kernel *k = &w->k;
  for (int i = 0; i < 2; i++) {
    w->out[i] = k->g.out[i];
    k->g.out[i] = (k->g.out[i] + 1) / 2 * 2;
  }
  w->columns = k->g.out[1] / 2;
  w->all_panels = (k->g.outputs + IR_LANES - 1) / IR_LANES;
  w->wide = w->all_panels > 1 ? 2 : 1;
  w->height_count = 6;
  for (int i = 0; i < 6; i++) w->heights[i] = narrow[i];
  int64_t rows = choose_rows(w), chunks = (k->g.out[0] / 2 + rows - 1) / rows;
  k->rows = 2 * rows;
  w->tiles = rows * w->columns;
  w->panels = w->all_panels;
  while (chunks * ((w->all_panels + w->panels - 1) / w->panels) < FEW_ITEMS && w->panels >= 4 * w->wide)
    w->panels = ((w->panels + 1) / 2 + w->wide - 1) / w->wide * w->wide;
}

weir_status cg_lower_conv_winograd(function_lowering *fl, ir_value *root, const ir_node *node) {
  winograd w = {.weights = -1};
  cg_image_kernel *k = &w.k;
  if (!cg_window_read(node, &k->g)) return cg_unsupported(fl->function, node->loc, "a convolution of unknown sizes");
  cg_image_begin(k, fl, root, node, "_winograd");
  ir_kbuilder *b = &k->e.b;
  k->last = true;
  make_plan(&w);
  const ir_kexpr *part = cg_image_grid(k, (w.all_panels + w.panels - 1) / w.panels);
  w.panel_lo = ir_kb_let(b, "panel_lo", times(&w, part, w.panels));
  w.panel_hi =
      ir_kb_let(b, "panel_hi", ir_kb_min(b, plus(&w, w.panel_lo, integer(&w, w.panels)), integer(&w, w.all_panels)));
  w.row_tiles = ir_kb_let(b, "rows", ir_kb_div(b, ir_kb_sub(b, k->row_hi, k->row_lo), integer(&w, 2)));
  w.count = ir_kb_let(b, "count", times(&w, w.row_tiles, w.columns));
  w.weights = cg_emit_slot(&k->e, cg_info(fl, node->operands[1])->slot, IR_KB_IN);
  cg_image_stage(k, k->g.channels);
  w.patches = ir_kb_add_buffer(b, IR_KB_LOCAL, "patches", integer(&w, 4 * TAPS * w.tiles * k->g.channels), -1);
  w.sums = ir_kb_add_buffer(b, IR_KB_LOCAL, "sums", integer(&w, 4 * TAPS * w.tiles * w.wide * IR_LANES), -1);
  transform_input(&w);
  const ir_kexpr *wide = integer(&w, w.wide), *middle = w.panel_hi;
  if (w.all_panels % w.wide)
    middle = plus(&w, w.panel_lo, ir_kb_mul(b, ir_kb_div(b, ir_kb_sub(b, w.panel_hi, w.panel_lo), wide), wide));
  emit_panels(&w, w.panel_lo, middle, w.wide);
  if (w.all_panels % w.wide) emit_panels(&w, middle, w.panel_hi, 1);
  return cg_emit_finish(&k->e);
}
