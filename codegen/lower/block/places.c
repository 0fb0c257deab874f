// Windows of single channels in thread blocks: depthwise convolutions and pooling of values that lie channels last. A
// thread has one channel of a few neighbouring places; neighbouring threads have neighbouring channels, so a warp reads
// and writes whole lines. What windows share is read by the thread once where its copies of the text meet (the printer
// reads an element once), and by its neighbours from the first-level cache: there are no more than a few bytes of x in
// use, and nothing is gained by a tile of it in shared memory, which would be written and read once more.
//
// An output element takes the elements of its window in order: fma(w, x) from 0, the largest, or the sum. Outside of
// the image there are zeros, or nothing that is the largest.
#include <math.h>

#include "codegen/lower/block/block.h"
#include "codegen/lower/window_internal.h"

enum {
  THREADS = 256,
  STRIP = 4,      // places of a thread along the last axis
  FEW_TAPS = 25,  // that are all written out
};

typedef struct {
  cg_image_kernel k;
  int64_t channels;
  int strip;
  const ir_kexpr *channel, *at[CG_MAX_SPATIAL];  // of the thread; its first place
  ir_kvar *acc;                                  // [strip]
} places_kernel;

static ir_kbuilder *builder(places_kernel *p) { return &p->k.e.b; }

// Opens the kernel, and an `if` around the threads that have something.
static void open_places(places_kernel *p, const char *what) {
  cg_image_kernel *k = &p->k;
  const cg_window *g = &k->g;
  int last = g->spatial - 1;
  int64_t strips = (g->out[last] + p->strip - 1) / p->strip, inner = p->channels * strips;
  cg_image_begin(k, k->fl, k->root, k->node, what);
  ir_kbuilder *b = builder(p);
  for (int i = 0; i < last; i++) inner *= g->out[i];
  const ir_kexpr *all = bk_scaled(b, cg_emit_images(&k->e, k->root, k->lead), inner);
  const ir_kexpr *n = ir_kb_set_grid(b, bk_div(b, bk_plus(b, all, THREADS - 1), THREADS), "n");
  const ir_kexpr *t = ir_kb_set_threads(b, "t", THREADS, 0);
  const ir_kexpr *rest = ir_kb_let(b, "own", ir_kb_add(b, bk_scaled(b, n, THREADS), t));
  ir_kb_if(b, bk_less(b, rest, all));
  p->channel = ir_kb_let(b, "channel", bk_mod(b, rest, p->channels));
  rest = ir_kb_let(b, "rest", bk_div(b, rest, p->channels));
  p->at[last] = ir_kb_let(b, "at", bk_scaled(b, bk_mod(b, rest, strips), p->strip));
  rest = ir_kb_let(b, "rest", bk_div(b, rest, strips));
  for (int i = last - 1; i >= 0; i--) {
    p->at[i] = ir_kb_let(b, "at", bk_mod(b, rest, g->out[i]));
    rest = bk_div(b, rest, g->out[i]);
  }
  cg_emit_set_image(&k->e, k->root, k->lead, ir_kb_let(b, "image", rest), k->idx);
}

// Opens the loops over taps; |*flat| counts them. Returns how many loops.
static int open_taps(places_kernel *p, const ir_kexpr **tap, const ir_kexpr **flat) {
  ir_kbuilder *b = builder(p);
  const cg_window *g = &p->k.g;
  bool few = cg_window_taps(g) <= FEW_TAPS;
  int opened = 0;
  *flat = bk_int(b, 0);
  for (int i = 0; i < g->spatial; i++) {
    bool copies = few || (i == g->spatial - 1 && g->window[i] <= FEW_TAPS);
    tap[i] = bk_int(b, 0);
    if (g->window[i] > 1) {
      tap[i] = ir_kb_for(b, copies ? IR_KR_UNROLL : IR_KR_SERIAL, "tap", bk_int(b, 0), bk_int(b, g->window[i]), 1);
      opened++;
    }
    *flat = ir_kb_add(b, bk_scaled(b, *flat, g->window[i]), tap[i]);
  }
  return opened;
}

// The element at |tap| of the window of the thread's place |u|; |outside| where the image has none.
static const ir_kexpr *element(places_kernel *p, const ir_kexpr *const *tap, const ir_kexpr *u, double outside) {
  ir_kbuilder *b = builder(p);
  cg_image_kernel *k = &p->k;
  const cg_window *g = &k->g;
  const ir_kexpr *idx[IR_MAX_RANK], *inside = NULL;
  for (int i = 0; i < k->lead; i++) idx[i] = k->idx[i];
  idx[k->lead] = p->channel;
  for (int i = 0; i < g->spatial; i++) {
    const ir_kexpr *at = i == g->spatial - 1 ? ir_kb_add(b, p->at[i], u) : p->at[i];
    const ir_kexpr *place = ir_kb_add(b, bk_scaled(b, at, g->stride[i]), bk_scaled(b, tap[i], g->dilation[i]));
    place = bk_plus(b, place, -g->before[i]);
    idx[k->lead + 1 + i] = place;
    bool beyond = i == g->spatial - 1 && g->out[i] % p->strip != 0;  // places that there are not
    if (!g->padded && !beyond) continue;
    const ir_kexpr *in = bk_less(b, place, bk_int(b, g->in[i]));
    if (g->before[i] > 0) in = bk_and(b, ir_kb_op(b, IR_K_ge, IR_KT_bool, place, bk_int(b, 0), NULL), in);
    inside = inside ? bk_and(b, inside, in) : in;
  }
  const ir_kexpr *x = cg_emit_value(&k->e, k->x, idx);
  return inside ? ir_kb_op(b, IR_K_select, IR_KT_f32, inside, x, ir_kb_const(b, IR_KT_f32, outside)) : x;
}

// Stores the epilogue of the thread's places; |divisor| of their sums, or 1.
static weir_status store_places(places_kernel *p, double divisor) {
  ir_kbuilder *b = builder(p);
  cg_image_kernel *k = &p->k;
  const cg_window *g = &k->g;
  int last = g->spatial - 1;
  const ir_kexpr *u = bk_unroll(b, "u", p->strip), *at[CG_MAX_SPATIAL];
  for (int i = 0; i < g->spatial; i++) at[i] = p->at[i];
  at[last] = ir_kb_add(b, at[last], u);
  bool partial = g->out[last] % p->strip != 0;
  if (partial) ir_kb_if(b, bk_less(b, at[last], bk_int(b, g->out[last])));
  const ir_kexpr *sum = ir_kb_read(b, p->acc, u, NULL, NULL);
  if (divisor != 1) sum = ir_kb_div(b, sum, ir_kb_const(b, IR_KT_f32, divisor));
  cg_image_store(k, p->channel, p->channels, false, at, sum);
  if (partial) ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_end(b);
  return cg_emit_finish(&k->e);
}

static int choose_strip(places_kernel *p, const char *what) {
  static const int64_t others[] = {1, 2, 8};
  const cg_image_kernel *k = &p->k;
  const cg_window *g = &k->g;
  weir_arena *arena = k->fl->low->arena;
  const char *key = weir_arena_printf(arena, "block_%s_%lld", what, (long long)p->channels);
  for (int i = 0; i < g->spatial; i++)
    key = weir_arena_printf(arena, "%s_%lldby%lld.%lld", key, (long long)g->out[i], (long long)g->window[i],
                            (long long)g->stride[i]);
  int64_t otherwise = g->out[g->spatial - 1] < STRIP ? 1 : STRIP;
  return (int)cg_schedule_choice(k->fl->low, key, "places", otherwise, others, 3);
}

bool cg_block_takes_places(const function_lowering *fl, const ir_value *root, const ir_node *node) {
  return fl->low->options->blocks && cg_is_image(fl, node->operands[0]) && !cg_reduces_ahead(fl, root) &&
         !cg_block_in_steps(fl, node->operands[0]);
}

weir_status cg_block_depthwise(function_lowering *fl, ir_value *root, const ir_node *node) {
  places_kernel p = {.k = {.fl = fl, .root = root, .node = node}};
  cg_image_kernel *k = &p.k;
  if (!cg_window_read(node, &k->g)) return cg_unsupported(fl->function, node->loc, "a convolution of unknown sizes");
  p.channels = k->g.groups;
  p.strip = choose_strip(&p, "depthwise");
  open_places(&p, "_depthwise");
  ir_kbuilder *b = builder(&p);
  const ir_kexpr *tap[CG_MAX_SPATIAL], *flat;
  p.acc = ir_kb_reg(b, "acc", IR_KT_f32, false, 1, &p.strip, bk_zero(b));
  int opened = open_taps(&p, tap, &flat), weights = cg_emit_slot(&k->e, cg_info(fl, node->operands[1])->slot, IR_KB_IN);
  const ir_kexpr *line = bk_scaled(b, bk_div(b, p.channel, IR_LANES), cg_window_taps(&k->g));
  const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, ir_kb_add(b, line, flat), IR_LANES), bk_mod(b, p.channel, IR_LANES));
  const ir_kexpr *w = ir_kb_let(b, "w", ir_kb_cast(b, IR_KT_f32, ir_kb_load(b, cg_taps_type(k), weights, at)));
  const ir_kexpr *u = bk_unroll(b, "u", p.strip);
  const ir_kexpr *sum = ir_kb_read(b, p.acc, u, NULL, NULL);
  ir_kb_set(b, p.acc, ir_kb_op(b, IR_K_fma, IR_KT_f32, w, element(&p, tap, u, 0), sum), u, NULL, NULL);
  for (int i = 0; i <= opened; i++) ir_kb_end(b);
  return store_places(&p, 1);
}

weir_status cg_block_pool(function_lowering *fl, ir_value *root, const ir_node *node) {
  places_kernel p = {.k = {.fl = fl, .root = root, .node = node}};
  cg_image_kernel *k = &p.k;
  bool largest = node->op == IR_OP_max_pool;
  double start = largest ? -INFINITY : 0;
  if (!cg_window_read(node, &k->g)) return cg_unsupported(fl->function, node->loc, "pooling of unknown sizes");
  p.channels = cg_const_dim(root->type.dims[root->type.rank - k->g.spatial - 1]);
  p.strip = choose_strip(&p, largest ? "max_pool" : "avg_pool");
  open_places(&p, "_places");
  ir_kbuilder *b = builder(&p);
  const ir_kexpr *tap[CG_MAX_SPATIAL], *flat;
  p.acc = ir_kb_reg(b, "acc", IR_KT_f32, false, 1, &p.strip, ir_kb_const(b, IR_KT_f32, start));
  int opened = open_taps(&p, tap, &flat);
  const ir_kexpr *u = bk_unroll(b, "u", p.strip), *x = element(&p, tap, u, start);
  const ir_kexpr *sum = ir_kb_read(b, p.acc, u, NULL, NULL);
  ir_kb_set(b, p.acc, ir_kb_op(b, largest ? IR_K_max : IR_K_add, IR_KT_f32, sum, x, NULL), u, NULL, NULL);
  for (int i = 0; i <= opened; i++) ir_kb_end(b);
  return store_places(&p, largest ? 1 : (double)cg_window_taps(&k->g));
}
