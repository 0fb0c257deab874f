// Depthwise convolutions with channels in lanes: every channel by itself, a register of 16 for a few neighbours along
// the last axis at once, which share weights and, where windows overlap, elements of x.
//
// One work item is a chunk of rows of all channels. An output element is one lane's accumulator that takes fma(w, x)
// over taps in order, as in the other kernels of convolutions.
#include "codegen/lower/window_internal.h"

enum {
  STAGED = 192 * 1024,  // bytes of x for an item that are aimed at
  FEW_ITEMS = 8,
  FEW_TAPS = 25,  // that are all written out
};

static const ir_kexpr *integer(cg_image_kernel *k, int64_t value) { return ir_kb_int(&k->e.b, value); }

static void choose_rows(cg_image_kernel *k) {
  const cg_window *g = &k->g;
  k->rows = g->out[0];
  while (k->rows > 1 && (cg_image_slab_bytes(k, k->rows, g->groups) > STAGED)) k->rows = (k->rows + 1) / 2;
  while ((g->out[0] + k->rows - 1) / k->rows < FEW_ITEMS && k->rows > 2 * g->window[0]) k->rows = (k->rows + 1) / 2;
}

// Neighbours of a tile: the greatest number up to 8 that divides a line, then fewer.
static int choose_heights(int64_t line, int *out) {
  int count = 0, first = 8;
  while (line % first && first > 4) first--;
  if (line % first) first = 8;
  for (int h = first; h > 1; h = h > 4 ? 4 : h / 2)
    if (h <= line) out[count++] = h;
  out[count++] = 1;
  return count;
}

static const ir_kexpr *load_weight(cg_image_kernel *k, int weights, const ir_kexpr *panel, const ir_kexpr *tap,
                                   const ir_kexpr *lane) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *row = ir_kb_add(b, ir_kb_mul(b, panel, integer(k, cg_window_taps(&k->g))), tap);
  const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, row, integer(k, IR_LANES)), lane);
  return ir_kb_let(b, "w", ir_kb_cast(b, IR_KT_f32, ir_kb_load(b, cg_taps_type(k), weights, at)));
}

static void emit_tile(cg_image_kernel *k, int weights, const ir_kexpr *panel, const ir_kexpr **at,
                      const ir_kexpr *first, const ir_kexpr *size, int height) {
  ir_kbuilder *b = &k->e.b;
  const cg_window *g = &k->g;
  int last = g->spatial - 1, opened = 0, dims[1] = {height};
  const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", integer(k, 0), integer(k, IR_LANES), 1), *tap[CG_MAX_SPATIAL];
  ir_kvar *acc = ir_kb_reg(b, "acc", IR_KT_f32, true, 1, dims, ir_kb_const(b, IR_KT_f32, 0));
  const ir_kexpr *flat = integer(k, 0), *channel = ir_kb_add(b, ir_kb_mul(b, panel, integer(k, IR_LANES)), lane);
  bool few = cg_window_taps(g) <= FEW_TAPS;
  for (int i = 0; i < g->spatial; i++) {
    tap[i] = integer(k, 0);
    if (g->window[i] > 1) {
      ir_krange range = few || (i == last && g->window[i] <= FEW_TAPS) ? IR_KR_UNROLL : IR_KR_SERIAL;
      tap[i] = ir_kb_for(b, range, "t", integer(k, 0), integer(k, g->window[i]), 1);
      opened++;
    }
    flat = ir_kb_add(b, ir_kb_mul(b, flat, integer(k, g->window[i])), tap[i]);
  }
  const ir_kexpr *w = load_weight(k, weights, panel, flat, lane);
  const ir_kexpr *u = ir_kb_for(b, IR_KR_UNROLL, "u", integer(k, 0), size, 1);
  at[last] = ir_kb_add(b, first, u);
  const ir_kexpr *x = cg_image_staged(k, at, tap, channel);
  ir_kb_set(b, acc, ir_kb_op(b, IR_K_fma, IR_KT_f32, w, x, ir_kb_read(b, acc, u, NULL, NULL)), u, NULL, NULL);
  ir_kb_end(b);
  while (opened--) ir_kb_end(b);
  u = ir_kb_for(b, IR_KR_UNROLL, "u", integer(k, 0), size, 1);
  at[last] = ir_kb_add(b, first, u);
  cg_image_store(k, channel, g->groups, g->groups % IR_LANES != 0, at, ir_kb_read(b, acc, u, NULL, NULL));
  ir_kb_end(b);
  ir_kb_end(b);
}

weir_status cg_lower_conv_depthwise(function_lowering *fl, ir_value *root, const ir_node *node) {
  cg_image_kernel k = {.slab = -1};
  if (!cg_window_read(node, &k.g)) return cg_unsupported(fl->function, node->loc, "a convolution of unknown sizes");
  const cg_window *g = &k.g;
  cg_image_begin(&k, fl, root, node, "_depthwise");
  k.last = true;
  ir_kbuilder *b = &k.e.b;
  choose_rows(&k);
  cg_image_grid(&k, 1);
  int weights = cg_emit_slot(&k.e, cg_info(fl, node->operands[1])->slot, IR_KB_IN), heights[5], last = g->spatial - 1;
  cg_image_stage(&k, g->groups);
  const ir_kexpr *at[CG_MAX_SPATIAL], *size;
  int opened = 1;
  const ir_kexpr *panel =
      ir_kb_for(b, IR_KR_SERIAL, "panel", integer(&k, 0), integer(&k, (g->groups + IR_LANES - 1) / IR_LANES), 1);
  for (int i = 0; i < last; i++, opened++)
    at[i] = ir_kb_for(b, IR_KR_SERIAL, "row", i ? integer(&k, 0) : k.row_lo, i ? integer(&k, g->out[i]) : k.row_hi, 1);
  int count = choose_heights(g->out[last], heights);
  const ir_kexpr *lo = last ? integer(&k, 0) : k.row_lo, *hi = last ? integer(&k, g->out[last]) : k.row_hi;
  const ir_kexpr *first = ir_kb_tiles(b, "m", lo, hi, heights, count, &size);
  emit_tile(&k, weights, panel, at, first, size, heights[0]);
  ir_kb_end(b);
  while (opened--) ir_kb_end(b);
  return cg_emit_finish(&k.e);
}
