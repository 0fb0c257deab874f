// Pooling with channels in lanes: a position at a time, up to four registers of channels.
//
// Windows are cut to the image: what is outside adds nothing to a sum and is never the largest. An output element takes
// the elements of its window in order.
#include <math.h>

#include "codegen/lower/window_internal.h"

enum { PANELS = 4, FEW_ITEMS = 8 };

static const ir_kexpr *integer(cg_image_kernel *k, int64_t value) { return ir_kb_int(&k->e.b, value); }

// Opens loops over the taps of the window at |at| that are inside of the image; returns how many.
static int open_taps(cg_image_kernel *k, const ir_kexpr *const *at, const ir_kexpr **place) {
  ir_kbuilder *b = &k->e.b;
  const cg_window *g = &k->g;
  for (int i = 0; i < g->spatial; i++) {
    const ir_kexpr *first = ir_kb_sub(b, ir_kb_mul(b, at[i], integer(k, g->stride[i])), integer(k, g->before[i]));
    const ir_kexpr *step = integer(k, g->dilation[i]), *zero = integer(k, 0), *lo = zero,
                   *hi = integer(k, g->window[i]);
    const ir_kexpr *up = integer(k, g->dilation[i] - 1);
    if (g->before[i] > 0) {
      const ir_kexpr *missing = ir_kb_op(b, IR_K_max, IR_KT_i64, ir_kb_sub(b, zero, first), zero, NULL);
      lo = ir_kb_let(b, "lo", ir_kb_div(b, ir_kb_add(b, missing, up), step));
    }
    if (g->padded) {
      const ir_kexpr *left = ir_kb_sub(b, integer(k, g->in[i]), first);
      hi = ir_kb_let(b, "hi", ir_kb_min(b, hi, ir_kb_div(b, ir_kb_add(b, left, up), step)));
    }
    const ir_kexpr *t = g->window[i] > 1 || g->padded ? ir_kb_for(b, IR_KR_SERIAL, "t", lo, hi, 1) : NULL;
    place[i] = t ? ir_kb_add(b, first, ir_kb_mul(b, t, step)) : first;
  }
  int opened = 0;
  for (int i = 0; i < g->spatial; i++) opened += g->window[i] > 1 || g->padded;
  return opened;
}

static void emit_block(cg_image_kernel *k, const ir_kexpr *const *at, int64_t from, int64_t channels, int panels) {
  ir_kbuilder *b = &k->e.b;
  const cg_window *g = &k->g;
  bool largest = k->node->op == IR_OP_max_pool;
  const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", integer(k, 0), integer(k, IR_LANES), 1);
  const ir_kexpr *idx[IR_MAX_RANK], *place[CG_MAX_SPATIAL];
  int dims[1] = {panels};
  ir_kvar *acc = ir_kb_reg(b, "acc", IR_KT_f32, true, 1, dims, ir_kb_const(b, IR_KT_f32, largest ? -INFINITY : 0));
  int opened = open_taps(k, at, place);
  for (int i = 0; i < k->lead; i++) idx[i] = k->idx[i];
  for (int i = 0; i < g->spatial; i++) idx[k->lead + 1 + i] = place[i];
  for (int p = 0; p < panels; p++) {
    bool masked = from + (p + 1) * IR_LANES > channels;
    idx[k->lead] = ir_kb_add(b, integer(k, from + p * IR_LANES), lane);
    if (masked) ir_kb_if(b, ir_kb_op(b, IR_K_lt, IR_KT_bool, idx[k->lead], integer(k, channels), NULL));
    const ir_kexpr *n = integer(k, p), *sum = ir_kb_read(b, acc, n, NULL, NULL), *x = cg_emit_value(&k->e, k->x, idx);
    ir_kb_set(b, acc, ir_kb_op(b, largest ? IR_K_max : IR_K_add, IR_KT_f32, sum, x, NULL), n, NULL, NULL);
    if (masked) ir_kb_end(b);
  }
  while (opened--) ir_kb_end(b);
  for (int p = 0; p < panels; p++) {
    const ir_kexpr *sum = ir_kb_read(b, acc, integer(k, p), NULL, NULL);
    if (!largest) sum = ir_kb_div(b, sum, ir_kb_const(b, IR_KT_f32, (double)cg_window_taps(g)));
    const ir_kexpr *channel = ir_kb_add(b, integer(k, from + p * IR_LANES), lane);
    cg_image_store(k, channel, channels, from + (p + 1) * IR_LANES > channels, at, sum);
  }
  ir_kb_end(b);
}

weir_status cg_lower_image_pool(function_lowering *fl, ir_value *root, const ir_node *node) {
  cg_image_kernel k = {.slab = -1};
  if (!cg_window_read(node, &k.g)) return cg_unsupported(fl->function, node->loc, "pooling of unknown sizes");
  const cg_window *g = &k.g;
  cg_image_begin(&k, fl, root, node, "");
  ir_kbuilder *b = &k.e.b;
  k.rows = (g->out[0] + FEW_ITEMS - 1) / FEW_ITEMS;
  cg_image_grid(&k, 1);
  const ir_kexpr *at[CG_MAX_SPATIAL];
  for (int i = 0; i < g->spatial; i++)
    at[i] = ir_kb_for(b, IR_KR_SERIAL, "at", i ? integer(&k, 0) : k.row_lo, i ? integer(&k, g->out[i]) : k.row_hi, 1);
  int64_t channels = cg_const_dim(root->type.dims[k.lead]), blocks = (channels + IR_LANES - 1) / IR_LANES;
  for (int64_t p = 0; p < blocks; p += PANELS)
    emit_block(&k, at, p * IR_LANES, channels, blocks - p < PANELS ? (int)(blocks - p) : PANELS);
  for (int i = 0; i < g->spatial; i++) ir_kb_end(b);
  return cg_emit_finish(&k.e);
}
