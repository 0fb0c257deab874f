// Convolutions with channels in lanes: a product of windows and weights in taps, whose matrix of windows is never
// built.
//
// One work item is a chunk of rows and a share of the panels of outputs. A tile is a few positions by up to four panels
// of 16 outputs: a weight register serves all positions, an element of x all panels. Without padding x is read where it
// is, whatever the stride; with padding from local memory (window_image.c). An output element is one lane's accumulator
// that takes fma(w, x) over taps, and over channels within a tap, in order: its bits depend on nothing else.
#include "codegen/lower/window_internal.h"

#include "runtime/base/checked.h"

enum {
  STAGED = 384 * 1024,    // bytes of x for an item that are aimed at
  MOST_STAGED = 8 << 20,  // and the most there may be
  FEW_ITEMS = 8,          // of one image, where there is enough to do
  FEW_PRODUCTS = 1 << 18,
  MAX_HEIGHTS = 6,
  MAX_WIDE = 4,
  WAY_BYTES = 4096,
  GROUP = 256 * 1024,  // bytes of weights that stay in a cache
  FEW_STEPS = 32,      // of taps and channels, below which all are written out
};

typedef struct {
  cg_image_kernel k;
  const char *key;                                // of choices among schedules
  int64_t inputs;                                 // of a row of weights
  int64_t all_panels, panels;                     // of all outputs, of an item
  int wide;                                       // panels of a tile
  int64_t group;                                  // panels whose weights stay in a cache while all positions go by
  int heights[MAX_HEIGHTS], height_count;         // positions of a tile
  const ir_kexpr *panel_lo, *panel_hi, *lo, *hi;  // panels and positions of the item
  int weights;
} direct_kernel;

static bool is_depthwise(const cg_window *g) { return g->channels == 1 && g->outputs == 1 && g->groups > 1; }

bool cg_conv_takes_taps(const ir_node *node, cg_layout *out_layout) {
  cg_window g;
  if (node->op != IR_OP_conv || cg_compute_type(node->results[0]->type.dtype) != IR_KT_f32) return false;
  const ir_value *w = node->operands[1];
  if (w->def || node->parent->params[w->result].kind == IR_PARAM_STATE || !cg_window_read(node, &g)) return false;
  if (g.groups > 1 && !is_depthwise(&g)) return false;
  int64_t bytes = 8 * g.channels * g.groups;
  for (int i = 0; i < g.spatial; i++) {
    int64_t far = (g.window[i] - 1) * g.dilation[i] + 1, size = i ? (g.out[i] - 1) * g.stride[i] + far : far;
    if (!weir_mul_i64(bytes, size, &bytes)) return false;
  }
  *out_layout = cg_winograd_pays(node, &g) ? CG_LAYOUT_WINOGRAD : CG_LAYOUT_TAPS;
  return bytes <= MOST_STAGED;
}

bool cg_conv_takes_groups(const ir_node *node) {
  cg_window g;
  if (node->op != IR_OP_conv || cg_compute_type(node->results[0]->type.dtype) != IR_KT_f32) return false;
  const ir_value *w = node->operands[1];
  if (w->def || node->parent->params[w->result].kind == IR_PARAM_STATE || !cg_window_read(node, &g)) return false;
  return g.groups > 1 && g.outputs % (2 * IR_LANES) == 0;
}

static const ir_kexpr *integer(direct_kernel *d, int64_t value) { return ir_kb_int(&d->k.e.b, value); }

// ---- the plan

// Tiles hold up to 24 registers of sums, and as many panels as divide all of them. Neighbours that lie multiples of the
// way size of a first-level cache apart would push each other out: then few positions by many panels.
static void choose_tile(direct_kernel *d, int64_t positions) {
  static const int fits[5][MAX_HEIGHTS] = {
      {0}, {12, 8, 6, 4, 2, 1}, {12, 8, 4, 3, 2, 1}, {8, 4, 3, 2, 1}, {6, 4, 3, 2, 1}};
  const cg_image_kernel *k = &d->k;
  bool apart = k->last && k->g.channels * k->g.stride[k->g.spatial - 1] * 4 % WAY_BYTES == 0;
  d->wide = d->all_panels % 2 == 0 ? 2 : d->all_panels % 3 == 0 ? 3 : d->all_panels == 1 ? 1 : 2;
  if ((positions < 3 || apart) && d->all_panels % 4 == 0) d->wide = 4;
  static const int64_t others[] = {1, 2, 3, 4};
  d->wide = (int)cg_schedule_choice(k->fl->low, d->key, "panels", d->wide, others,
                                    (int)(d->all_panels < MAX_WIDE ? d->all_panels : MAX_WIDE));
  for (int i = 0; i < MAX_HEIGHTS; i++)
    if (fits[d->wide][i] && (fits[d->wide][i] <= positions || fits[d->wide][i] == 1))
      d->heights[d->height_count++] = fits[d->wide][i];
}

// Steps of |positions| by the tiles that there are; a tile of few registers waits for its own sums.
static int64_t steps_of(const direct_kernel *d, int64_t positions) {
  enum { LATENCY = 4 };
  int64_t steps = 0;
  for (int i = 0; i < d->height_count; i++) {
    int each = d->heights[i] * d->wide;
    steps += positions / d->heights[i] * (each < LATENCY ? LATENCY : each);
    positions %= d->heights[i];
  }
  return steps;
}

// As many rows as local memory has room for, or somewhat fewer where tiles fit better.
static void choose_rows(direct_kernel *d) {
  cg_image_kernel *k = &d->k;
  int64_t all = k->g.out[0], most = all, row = 1, best = INT64_MAX;
  for (int i = 1; i < k->g.spatial; i++) row *= k->g.out[i];
  while (most > 1 && cg_image_slab_bytes(k, most, k->g.channels) > STAGED) most--;
  for (int64_t rows = most; rows > 0 && rows >= most / 3; rows--) {
    int64_t chunks = all / rows, steps = chunks * steps_of(d, rows * row) + steps_of(d, all % rows * row);
    steps += (chunks + 1) * (steps / 64);
    if (steps < best) best = steps, k->rows = rows;
  }
}

static void choose_items(direct_kernel *d) {
  const cg_window *g = &d->k.g;
  choose_rows(d);
  int64_t rows[] = {(d->k.rows + 1) / 2, (d->k.rows + 3) / 4, 2 * d->k.rows};
  bool more = rows[2] <= g->out[0] && cg_image_slab_bytes(&d->k, rows[2], g->channels) <= MOST_STAGED;
  d->k.rows = cg_schedule_choice(d->k.fl->low, d->key, "rows", d->k.rows, rows, more ? 3 : 2);
  d->group = GROUP / (d->inputs * IR_LANES * 4) / d->wide * d->wide;
  if (d->group < d->wide) d->group = d->wide;
  d->panels = d->all_panels;
  if (d->inputs * d->all_panels * IR_LANES * cg_window_positions(g) < FEW_PRODUCTS) return;
  int64_t items = (g->out[0] + d->k.rows - 1) / d->k.rows;
  while (items * ((d->all_panels + d->panels - 1) / d->panels) < FEW_ITEMS && d->panels >= 4 * d->wide)
    d->panels = ((d->panels + 1) / 2 + d->wide - 1) / d->wide * d->wide;
}

// ---- sums

// A tile: |wide| panels from |panel| on, |size| positions from |first| on.
typedef struct {
  int wide;
  const ir_kexpr *panel, *first, *size, *lane;
  ir_kvar *acc;
} direct_tile;

static const ir_kexpr *weight(direct_kernel *d, const direct_tile *t, int panel, const ir_kexpr *input) {
  cg_image_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *row = ir_kb_add(b, t->panel, integer(d, panel));
  const cg_weight_format *format = cg_format_of(k->fl, k->node->operands[1]);
  if (format->layout == CG_LAYOUT_TAPS_PAIRS) {
    const ir_kexpr *output = ir_kb_add(b, ir_kb_mul(b, row, integer(d, IR_LANES)), t->lane);
    return ir_kb_let(b, "w", cg_weight_element(b, cg_taps_panels(*format), d->weights, d->inputs, output, input));
  }
  row = ir_kb_add(b, ir_kb_mul(b, row, integer(d, d->inputs)), input);
  const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, row, integer(d, IR_LANES)), t->lane);
  return ir_kb_let(b, "w", ir_kb_cast(b, IR_KT_f32, ir_kb_load(b, cg_taps_type(k), d->weights, at)));
}

// Input |input|, which is |channel| at |tap|: its weights times x, into the tile.
static void multiply(direct_kernel *d, const direct_tile *t, const ir_kexpr *const *tap, const ir_kexpr *channel,
                     const ir_kexpr *input) {
  cg_image_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *w[MAX_WIDE], *at[CG_MAX_SPATIAL];
  for (int p = 0; p < t->wide; p++) w[p] = weight(d, t, p, input);
  const ir_kexpr *u = ir_kb_for(b, IR_KR_UNROLL, "u", integer(d, 0), t->size, 1);
  cg_image_split(k, ir_kb_add(b, t->first, u), at);
  const ir_kexpr *x = k->slab >= 0 ? cg_image_staged(k, at, tap, channel) : cg_image_element(k, at, tap, channel);
  x = ir_kb_let(b, "x", x);
  for (int i = 0; i < t->wide; i++) {
    const ir_kexpr *p = integer(d, i);
    ir_kb_set(b, t->acc, ir_kb_op(b, IR_K_fma, IR_KT_f32, w[i], x, ir_kb_read(b, t->acc, u, p, NULL)), u, p, NULL);
  }
  ir_kb_end(b);
}

static int channel_step(int64_t channels) { return channels % 4 == 0 ? 4 : channels % 2 == 0 ? 2 : 1; }

static void emit_sums(direct_kernel *d, const direct_tile *t) {
  cg_image_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  const cg_window *g = &k->g;
  const ir_kexpr *tap[CG_MAX_SPATIAL], *flat = integer(d, 0);
  int opened = 0, last = g->spatial - 1;
  bool few = g->channels < IR_LANES && g->channels * g->window[last] <= FEW_STEPS;  // channels too few for a loop
  for (int i = 0; i < g->spatial; i++) {
    ir_krange range = few && i == last ? IR_KR_UNROLL : IR_KR_SERIAL;
    tap[i] = integer(d, 0);
    if (g->window[i] > 1) {
      tap[i] = ir_kb_for(b, range, "t", integer(d, 0), integer(d, g->window[i]), 1);
      opened++;
    }
    flat = ir_kb_add(b, ir_kb_mul(b, flat, integer(d, g->window[i])), tap[i]);
  }
  int step = few ? 1 : channel_step(g->channels);
  const ir_kexpr *c =
      ir_kb_for(b, few ? IR_KR_UNROLL : IR_KR_SERIAL, "c", integer(d, 0), integer(d, g->channels), step);
  const ir_kexpr *base = ir_kb_mul(b, flat, integer(d, g->channels));
  for (int j = 0; j < step; j++) {
    const ir_kexpr *channel = ir_kb_add(b, c, integer(d, j));
    multiply(d, t, tap, channel, ir_kb_add(b, base, channel));
  }
  ir_kb_end(b);
  while (opened--) ir_kb_end(b);
}

// All positions of the item for panels |from|..|to|, a multiple of |wide|.
static void emit_tiles(direct_kernel *d, const ir_kexpr *from, const ir_kexpr *to, int wide) {
  cg_image_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  direct_tile t = {.wide = wide};
  int dims[2] = {d->heights[0], wide};
  int64_t outputs = k->g.outputs;
  t.first = ir_kb_tiles(b, "m", d->lo, d->hi, d->heights, d->height_count, &t.size);
  t.panel = ir_kb_for(b, IR_KR_SERIAL, "panel", from, to, wide);
  t.lane = ir_kb_for(b, IR_KR_LANES, "l", integer(d, 0), integer(d, IR_LANES), 1);
  t.acc = ir_kb_reg(b, "acc", IR_KT_f32, true, 2, dims, ir_kb_const(b, IR_KT_f32, 0));
  emit_sums(d, &t);
  for (int p = 0; p < wide; p++) {
    const ir_kexpr *u = ir_kb_for(b, IR_KR_UNROLL, "u", integer(d, 0), t.size, 1), *at[CG_MAX_SPATIAL];
    cg_image_split(k, ir_kb_add(b, t.first, u), at);
    const ir_kexpr *channel =
        ir_kb_add(b, ir_kb_mul(b, ir_kb_add(b, t.panel, integer(d, p)), integer(d, IR_LANES)), t.lane);
    cg_image_store(k, channel, outputs, outputs % IR_LANES != 0, at, ir_kb_read(b, t.acc, u, integer(d, p), NULL));
    ir_kb_end(b);
  }
  for (int i = 0; i < 3; i++) ir_kb_end(b);
}

static void emit_groups(direct_kernel *d) {
  cg_image_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  d->lo = ir_kb_let(b, "lo", ir_kb_mul(b, k->row_lo, integer(d, k->row_positions)));
  d->hi = ir_kb_let(b, "hi", ir_kb_mul(b, k->row_hi, integer(d, k->row_positions)));
  const ir_kexpr *from = ir_kb_for(b, IR_KR_SERIAL, "from", d->panel_lo, d->panel_hi, d->group);
  const ir_kexpr *to = ir_kb_let(b, "to", ir_kb_min(b, ir_kb_add(b, from, integer(d, d->group)), d->panel_hi));
  bool even = d->all_panels % d->wide == 0;
  const ir_kexpr *middle = to, *wide = integer(d, d->wide);
  if (!even)
    middle = ir_kb_let(b, "middle", ir_kb_add(b, from, ir_kb_mul(b, ir_kb_div(b, ir_kb_sub(b, to, from), wide), wide)));
  emit_tiles(d, from, middle, d->wide);
  if (!even) emit_tiles(d, middle, to, 1);
  ir_kb_end(b);
}

static const char *conv_key(function_lowering *fl, const cg_window *g) {
  const char *text = weir_arena_printf(fl->low->arena, "conv_%lldx%lld", (long long)g->outputs, (long long)g->channels);
  for (int i = 0; i < g->spatial; i++)
    text = weir_arena_printf(fl->low->arena, "%s_%lldto%lldby%lld.%lld", text, (long long)g->in[i],
                             (long long)g->out[i], (long long)g->window[i], (long long)g->stride[i]);
  return text;
}

weir_status cg_lower_conv_direct(function_lowering *fl, ir_value *root, const ir_node *node) {
  direct_kernel d = {.weights = -1};
  cg_image_kernel *k = &d.k;
  if (!cg_window_read(node, &k->g)) return cg_unsupported(fl->function, node->loc, "a convolution of unknown sizes");
  cg_image_begin(k, fl, root, node, "");
  ir_kbuilder *b = &k->e.b;
  d.inputs = k->g.channels * cg_window_taps(&k->g);
  d.all_panels = (k->g.outputs + IR_LANES - 1) / IR_LANES;
  d.key = conv_key(fl, &k->g);
  choose_tile(&d, cg_window_positions(&k->g));
  choose_items(&d);
  int64_t parts = (d.all_panels + d.panels - 1) / d.panels;
  const ir_kexpr *part = cg_image_grid(k, parts);
  d.panel_lo = ir_kb_let(b, "panel_lo", ir_kb_mul(b, part, integer(&d, d.panels)));
  d.panel_hi = ir_kb_let(b, "panel_hi",
                         ir_kb_min(b, ir_kb_add(b, d.panel_lo, integer(&d, d.panels)), integer(&d, d.all_panels)));
  d.weights = cg_emit_slot(&k->e, cg_info(fl, node->operands[1])->slot, IR_KB_IN);
  if (k->g.padded || !cg_is_image(fl, k->x)) cg_image_stage(k, k->g.channels);
  emit_groups(&d);
  return cg_emit_finish(&k->e);
}
