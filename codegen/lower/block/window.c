// Convolutions as products of thread blocks: a row of the product is the window of one place of the result, all places
// of all images one behind the other, and its inputs are taps and channels in the order of the packed weights. The
// matrix of windows is never built: slabs of it are gathered into shared memory, with zeros for what lies outside of
// the image, and what multiplies them is few.c and many.c. So runs, schedules and bits are those of a
// product; a window of one place without stride is a row as it lies in memory.
//
// Groups whose outputs are whole pairs of panels are products side by side: a block has panels of one group.
//
// Where x lies in memory as floats, copies are asynchronous. A thread copies the same rows of every slab, so what
// belongs to a row (where its window begins) is found once, and what belongs to an input (tap and channel) once for
// all of the thread's rows.
#include "codegen/lower/block/window.h"

enum {
  GATHER_ROWS = 8,  // a warp copies single elements of so many rows, whose places are neighbours
  GATHER_INPUTS = IR_WARP / GATHER_ROWS,
  FEW_ROWS = 16,
};

static ir_kbuilder *builder(block_linear *p) { return &p->k.e.b; }

// ---- places

// Row |m|: its image becomes the current one, |idx| are the indices in front of the channels, |at| its place.
static void split_row(block_linear *p, const ir_kexpr *m, const ir_kexpr **idx, const ir_kexpr **at) {
  ir_kbuilder *b = builder(p);
  const struct cg_windows *w = p->windows;
  const ir_kexpr *rest = bk_mod(b, m, w->positions);
  cg_emit_set_image(&p->k.e, p->k.root, w->lead, bk_div(b, m, w->positions), idx);
  for (int i = w->g.spatial - 1; i >= 0; i--) {
    at[i] = i ? bk_mod(b, rest, w->g.out[i]) : rest;
    rest = bk_div(b, rest, w->g.out[i]);
  }
}

// Input |k|: channel |*out_channel| of its group at |tap|.
static void split_input(block_linear *p, const ir_kexpr *k, const ir_kexpr **tap, const ir_kexpr **out_channel) {
  ir_kbuilder *b = builder(p);
  const cg_window *g = &p->windows->g;
  const ir_kexpr *rest = bk_div(b, k, g->channels);
  *out_channel = bk_mod(b, k, g->channels);
  for (int i = g->spatial - 1; i >= 0; i--) {
    tap[i] = i ? bk_mod(b, rest, g->window[i]) : rest;
    rest = bk_div(b, rest, g->window[i]);
  }
}

// The first channel of the block's group.
static const ir_kexpr *first_channel(block_linear *p) {
  const cg_window *g = &p->windows->g;
  if (g->groups == 1) return bk_int(builder(p), 0);
  return bk_scaled(builder(p), bk_div(builder(p), p->panel, g->outputs / IR_LANES), g->channels);
}

// Where the window of place |at| of axis |i| begins.
static const ir_kexpr *window_first(block_linear *p, int i, const ir_kexpr *at) {
  const cg_window *g = &p->windows->g;
  return bk_plus(builder(p), bk_scaled(builder(p), at, g->stride[i]), -g->before[i]);
}

static const ir_kexpr *both(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y) { return x ? bk_and(b, x, y) : y; }

// Whether place |place| of axis |i| is inside of the image, beside |inside| (null: nothing).
static const ir_kexpr *is_inside(block_linear *p, int i, const ir_kexpr *place, const ir_kexpr *inside) {
  ir_kbuilder *b = builder(p);
  const cg_window *g = &p->windows->g;
  if (!g->padded) return inside;
  const ir_kexpr *zero = ir_kb_const(b, place->type, 0), *end = ir_kb_const(b, place->type, (double)g->in[i]);
  if (g->before[i] > 0) inside = both(b, inside, ir_kb_op(b, IR_K_ge, IR_KT_bool, place, zero, NULL));
  return both(b, inside, bk_less(b, place, end));
}

// ---- what linear.c asks of rows

void cg_windows_open(block_linear *p, const char *what) {
  linear_kernel *k = &p->k;
  weir_arena *arena = k->fl->low->arena;
  const struct cg_windows *w = p->windows;
  const char *banner =
      weir_arena_printf(arena, "conv of %s with %s, %s weights, then %s; a block has %d places",
                        ir_type_print(arena, &p->x->type), ir_type_print(arena, &p->w[0]->type),
                        weir_storage_name(k->storage), ir_op_get_info(k->root->def->op)->name, p->rows);
  const char *name = weir_arena_printf(arena, "block_conv%dd_%s_%s_%dx%d", w->g.spatial, weir_storage_name(k->storage),
                                       what, p->panels * IR_LANES, (int)k->cols);
  cg_emit_begin(&k->e, k->fl, k->root, name, banner);
  k->leading = ir_kb_int(&k->e.b, 1);
  k->rows = bk_scaled(&k->e.b, cg_emit_images(&k->e, k->root, w->lead), w->positions);
}

const ir_kexpr *cg_windows_input(block_linear *p, const ir_kexpr *m, const ir_kexpr *k) {
  ir_kbuilder *b = builder(p);
  const struct cg_windows *w = p->windows;
  const ir_kexpr *idx[IR_MAX_RANK], *at[CG_MAX_SPATIAL], *tap[CG_MAX_SPATIAL], *channel, *inside = NULL;
  split_row(p, m, idx, at);
  split_input(p, k, tap, &channel);
  idx[w->lead] = ir_kb_add(b, first_channel(p), channel);
  for (int i = 0; i < w->g.spatial; i++) {
    const ir_kexpr *place = ir_kb_add(b, window_first(p, i, at[i]), bk_scaled(b, tap[i], w->g.dilation[i]));
    idx[w->lead + 1 + i] = place;
    inside = is_inside(p, i, place, inside);
  }
  const ir_kexpr *x = cg_emit_value(&p->k.e, p->x, idx);
  return inside ? ir_kb_op(b, IR_K_select, IR_KT_f32, inside, x, bk_zero(b)) : x;
}

void cg_windows_store(block_linear *p, const ir_kexpr *m, const ir_kexpr *n, const ir_kexpr *sum) {
  linear_kernel *k = &p->k;
  const struct cg_windows *w = p->windows;
  const ir_kexpr *idx[IR_MAX_RANK], *at[CG_MAX_SPATIAL];
  ir_value *product = w->node->results[0];
  split_row(p, m, idx, at);
  idx[w->lead] = n;
  for (int i = 0; i < w->g.spatial; i++) idx[w->lead + 1 + i] = at[i];
  int bound = k->e.bound_count;
  if (product != k->root) cg_bind(&k->e, product, idx, 0, sum);
  const ir_kexpr *value = product == k->root ? sum : cg_emit_value(&k->e, k->root, idx);
  cg_emit_store(&k->e, k->root, cg_info(k->fl, k->root)->slot, idx, value);
  k->e.bound_count = bound;
}

bool cg_windows_are_rows(const block_linear *p) { return p->windows->whole && cg_is_image(p->k.fl, p->x); }

bool cg_windows_follow_places(const block_linear *p) {
  const ir_value *root = p->k.root;
  return p->k.fl->out->slots[cg_info(p->k.fl, root)->slot].first != cg_image_axes(&root->type, p->windows->g.spatial);
}

int cg_windows_fit_panels(const block_linear *p, int wanted) {
  const cg_window *g = &p->windows->g;
  while (wanted > 2 && wanted / 2 * IR_LANES >= p->k.outs) wanted /= 2;
  while (g->groups > 1 && g->outputs / IR_LANES % wanted) wanted /= 2;
  return wanted;
}

// ---- slabs in shared memory

// The element of x at |idx| if it lies in memory as it is copied, else null.
static const ir_kexpr *element(block_linear *p, const ir_kexpr *const *idx) {
  const ir_kexpr *x = cg_emit_value(&p->k.e, p->x, idx);
  return x->op == IR_K_load && x->type == p->windows->type && x->arg_count == 1 ? x : NULL;
}

// Elements from |first| to |second|; false if that is no constant.
static bool apart(ir_kbuilder *b, const ir_kexpr *first, const ir_kexpr *second, int64_t *out) {
  const ir_kexpr *step = ir_kb_sub(b, second->args[0], first->args[0]);
  *out = step->i;
  return step->op == IR_K_const;
}

// How many elements a copy has, and the steps from element to element along channels and spatial axes.
static void find_steps(block_linear *p) {
  ir_kbuilder *b = builder(p);
  struct cg_windows *w = p->windows;
  const ir_kexpr *idx[IR_MAX_RANK], *at[CG_MAX_SPATIAL];
  split_row(p, p->row_lo, idx, at);
  for (int i = 0; i <= w->g.spatial; i++) idx[w->lead + i] = bk_int(b, 0);
  const ir_kexpr *first = element(p, idx);
  w->each = 0;
  if (!first) return;
  for (int i = 0; i <= w->g.spatial; i++) {
    idx[w->lead + i] = bk_int(b, 1);
    if (!apart(b, first, element(p, idx), i ? &w->step[i - 1] : &w->channel_step)) return;
    idx[w->lead + i] = bk_int(b, 0);
  }
  w->buffer = first->index;
  w->each = w->g.channels % 4 == 0 && w->channel_step == 1 ? 4 : 1;
}

// Which rows and inputs of each slab the thread copies.
static const ir_kexpr *own_row(block_linear *p, const ir_kexpr *nth) {
  ir_kbuilder *b = builder(p);
  const struct cg_windows *w = p->windows;
  int across = w->slab / 4, warps = p->threads / IR_WARP, chunks = p->rows / GATHER_ROWS;
  if (w->each == 4) return ir_kb_add(b, bk_div(b, p->thread, across), bk_scaled(b, nth, p->threads / across));
  const ir_kexpr *warp = bk_div(b, p->thread, IR_WARP);
  if (chunks < warps) warp = bk_mod(b, warp, chunks);
  const ir_kexpr *chunk = ir_kb_add(b, warp, bk_scaled(b, nth, warps));
  return ir_kb_add(b, bk_scaled(b, chunk, GATHER_ROWS), bk_mod(b, p->thread, GATHER_ROWS));
}

static void share_out(block_linear *p) {
  ir_kbuilder *b = builder(p);
  struct cg_windows *w = p->windows;
  int warps = p->threads / IR_WARP, chunks = p->rows / GATHER_ROWS;
  if (w->each == 4) {
    w->rows = p->rows * (w->slab / 4) / p->threads;
    w->inputs = 1;
    w->input = ir_kb_let(b, "input", bk_scaled(b, bk_mod(b, p->thread, w->slab / 4), 4));
    return;
  }
  int side = chunks < warps ? warps / chunks : 1;  // warps that share rows
  const ir_kexpr *first = bk_mod(b, bk_div(b, p->thread, GATHER_ROWS), GATHER_INPUTS);
  if (side > 1) first = ir_kb_add(b, first, bk_scaled(b, bk_div(b, p->thread, IR_WARP * chunks), GATHER_INPUTS));
  w->rows = chunks < warps ? 1 : chunks / warps;
  w->input_step = GATHER_INPUTS * side;
  w->inputs = w->slab / w->input_step;
  w->input = ir_kb_let(b, "input", first);
}

bool cg_windows_bind(block_linear *p) {
  ir_kbuilder *b = builder(p);
  struct cg_windows *w = p->windows;
  find_steps(p);
  if (!w->each) return false;
  share_out(p);
  int dims[2] = {w->rows, w->g.spatial};
  w->base = ir_kb_reg(b, "base", IR_KT_i64, false, 1, dims, bk_int(b, 0));
  if (w->g.padded) w->first = ir_kb_reg(b, "place", IR_KT_i32, false, 2, dims, ir_kb_const(b, IR_KT_i32, 0));
  const ir_kexpr *nth = bk_unroll(b, "r", w->rows), *idx[IR_MAX_RANK], *at[CG_MAX_SPATIAL];
  split_row(p, ir_kb_let(b, "m", cg_block_row(p, own_row(p, nth))), idx, at);
  for (int i = 0; i < w->g.spatial; i++) at[i] = window_first(p, i, at[i]);
  idx[w->lead] = first_channel(p);
  for (int i = 0; i < w->g.spatial; i++) {
    idx[w->lead + 1 + i] = at[i];
    if (w->g.padded) ir_kb_set(b, w->first, ir_kb_cast(b, IR_KT_i32, at[i]), nth, bk_int(b, i), NULL);
  }
  ir_kb_set(b, w->base, element(p, idx)->args[0], nth, NULL, NULL);
  ir_kb_end(b);
  return true;
}

// Input |at| of the slab that begins with |start|, for the thread's rows.
static void copy_input(block_linear *p, int buffer, const ir_kexpr *start, const ir_kexpr *input,
                       cg_block_place_of place, void *user) {
  ir_kbuilder *b = builder(p);
  const struct cg_windows *w = p->windows;
  const ir_kexpr *tap[CG_MAX_SPATIAL], *channel, *k = ir_kb_let(b, "k", ir_kb_add(b, start, input));
  split_input(p, k, tap, &channel);
  const ir_kexpr *far = bk_scaled(b, channel, w->channel_step);
  for (int i = 0; i < w->g.spatial; i++) {
    tap[i] = ir_kb_let(b, "tap", bk_scaled(b, tap[i], w->g.dilation[i]));
    far = ir_kb_add(b, far, bk_scaled(b, tap[i], w->step[i]));
    if (w->g.padded) tap[i] = ir_kb_let(b, "tap", ir_kb_cast(b, IR_KT_i32, tap[i]));
  }
  far = ir_kb_let(b, "far", far);
  const ir_kexpr *there = ir_kb_let(b, "there", bk_less(b, k, bk_int(b, w->cols)));
  const ir_kexpr *nth = bk_unroll(b, "r", w->rows), *inside = there;
  for (int i = 0; w->g.padded && i < w->g.spatial; i++)
    inside = is_inside(p, i, ir_kb_add(b, ir_kb_read(b, w->first, nth, bk_int(b, i), NULL), tap[i]), inside);
  const ir_kexpr *from = ir_kb_add(b, ir_kb_read(b, w->base, nth, NULL, NULL), far);
  ir_kb_async(b, ir_kb_place(buffer, w->type, place(user, own_row(p, nth), input)),
              ir_kb_place(w->buffer, w->type, from), 4 * w->each, inside, IR_KHINT_NONE);
  ir_kb_end(b);
}

void cg_windows_copy(block_linear *p, int buffer, const ir_kexpr *slab, cg_block_place_of place, void *user) {
  ir_kbuilder *b = builder(p);
  const struct cg_windows *w = p->windows;
  const ir_kexpr *start = ir_kb_let(b, "start", bk_scaled(b, slab, w->slab)), *input = w->input;
  if (w->inputs > 1) input = ir_kb_add(b, input, bk_for(b, "far", bk_int(b, 0), bk_int(b, w->slab), w->input_step));
  copy_input(p, buffer, start, input, place, user);
  if (w->inputs > 1) ir_kb_end(b);
}

// ---- the choice

static const char *key_of(const function_lowering *fl, const block_linear *p) {
  weir_arena *arena = fl->low->arena;
  const cg_window *g = &p->windows->g;
  const char *text = weir_arena_printf(arena, "block_conv_%s_%lldx%lldx%lld", weir_storage_name(p->k.storage),
                                       (long long)g->groups, (long long)g->outputs, (long long)g->channels);
  for (int i = 0; i < g->spatial; i++)
    text = weir_arena_printf(arena, "%s_%lldby%lld.%lld.%lld", text, (long long)g->out[i], (long long)g->window[i],
                             (long long)g->stride[i], (long long)g->dilation[i]);
  return text;
}

static bool is_whole(const cg_window *g) {
  for (int i = 0; i < g->spatial; i++)
    if (g->window[i] != 1 || g->stride[i] != 1 || g->in[i] != g->out[i]) return false;
  return !g->padded;
}

bool cg_block_takes_conv(const function_lowering *fl, const ir_value *root, const ir_node *node, cg_window *out) {
  if (!fl->low->options->blocks || !cg_window_read(node, out)) return false;
  if (out->groups > 1 && out->outputs % (2 * IR_LANES)) return false;
  return cg_is_taps(*cg_format_of(fl, node->operands[1])) && !cg_reduces_ahead(fl, root) &&
         !cg_block_in_steps(fl, node->operands[0]);
}

weir_status cg_block_conv(function_lowering *fl, ir_value *root, const ir_node *node, const cg_window *g) {
  static const int64_t limits[] = {4, 8, 32};
  struct cg_windows w = {.g = *g, .node = node, .positions = cg_window_positions(g), .whole = is_whole(g)};
  const cg_weight_format *format = cg_format_of(fl, node->operands[1]);
  block_linear p = {.k = {.fl = fl, .root = root, .domain = root, .matrices = 1}, .windows = &w};
  w.lead = root->type.rank - g->spatial - 1;
  p.x = node->operands[0], p.w[0] = node->operands[1];
  p.format = cg_taps_panels(*format);
  p.k.storage = p.format.storage;
  p.k.outs = g->groups * g->outputs;
  p.k.cols = g->channels * cg_window_taps(g);
  p.key = key_of(fl, &p);
  p.runs = cg_block_runs(p.k.storage, p.k.cols);
  w.type = IR_KT_f32, w.cols = p.k.cols, w.slab = CG_BLOCK_SLAB;
  if (format->compute == CG_COMPUTE_BF16) return cg_block_conv_mma(&p);
  block_linear many = p;
  int64_t rows = 0;
  if (w.positions <= FEW_ROWS) {
    rows = cg_schedule_choice(fl->low, p.key, "few.rows", FEW_ROWS, limits, 3);
    WEIR_TRY(cg_block_few(&p, rows));
  }
  return cg_block_many(&many, rows);
}
