// Convolutions and pooling: lanes are neighbouring positions. A tile of a convolution is six outputs by four registers
// of positions, as in a product of the weights [O, C * taps] with a matrix of windows that is never built; pooling
// takes the largest or the sum where a convolution multiplies. One work item is a chunk of positions of one image and
// group, and a chunk of outputs; of pooling, of one channel.
//
// The item's input is staged in local memory so that each tap reads consecutive elements: a row of positions is as long
// as its outputs plus how far its windows reach beyond, so that a step to the next row is the same for all taps; what
// lies outside of the image is a zero there (-inf for a largest), and columns between two rows are computed and thrown
// away. A stride s splits the rows into s planes, one for each remainder. An output element is one lane's sum over
// channels and taps in order; its bits depend on nothing else.
#include <math.h>

#include "codegen/lower/block/block.h"
#include "codegen/lower/window_internal.h"
#include "runtime/base/checked.h"

enum {
  MAX_SPATIAL = CG_MAX_SPATIAL,
  VECTORS = 4,
  BLOCK = VECTORS * IR_LANES,  // positions of a tile
  STAGED = 256 * 1024,         // bytes of staged input that are aimed at, and the most there may be
  MOST_STAGED = 8 * 1024 * 1024,
  FEW_ITEMS = 8,  // of one image: below that outputs are cut
  FEW_OUTPUTS = 48,
};

typedef struct {
  cg_window g;
  int64_t planes[MAX_SPATIAL];       // remainders of places by the stride that windows meet
  int64_t reach[MAX_SPATIAL];        // rows that a window's last tap lies behind its first, within a plane
  int64_t step[MAX_SPATIAL];         // positions from one row to the next
  int64_t positions;                 // from the first to the last output, those between rows included
  int64_t chunk, span, plane_count;  // positions of an item; staged elements of a plane; planes
  int64_t output_chunk;
  bool whole;  // one tap without stride or padding: rows join
  bool dense;  // nothing between rows of outputs
} window_plan;

typedef struct {
  emitter e;
  function_lowering *fl;
  ir_value *root, *x, *w;
  const ir_node *node;
  bool pool;  // no weights, no axis of channels
  window_plan p;
  ir_ktype type;
  double outside;  // what a window finds outside of the image
  int lead;        // axes in front of the channels, of pooling in front of the spatial ones
  const ir_kexpr *idx[IR_MAX_RANK];
  const ir_kexpr *group, *lo, *output_lo, *output_hi;
  int slab, sums;
} window_kernel;

static int64_t whole_parts(int64_t x, int64_t by) { return (x + by - 1) / by; }

static int64_t attr_at(const ir_node *node, ir_attr_name id, int i, int64_t otherwise) {
  const ir_attr *attr = ir_node_attr(node, id);
  return attr ? attr->ints[i] : otherwise;
}

// Whether each window has as many elements as the sum is divided by: an average with padding that is not counted
// varies.
static bool is_even(const ir_node *node) {
  const ir_attr *count = ir_node_attr(node, IR_ATTR_count_pad);
  for (int i = 0; count && !count->i && i < ir_node_attr(node, IR_ATTR_strides)->count; i++)
    if (attr_at(node, IR_ATTR_before, i, 0) || attr_at(node, IR_ATTR_after, i, 0)) return false;
  return true;
}

// False if a number does not fit.
static bool place_rows(window_plan *p, int64_t *out_reach) {
  int64_t step = 1, last = 0, reach = 0, planes = 1;
  p->whole = p->dense = true;
  for (int i = p->g.spatial - 1; i >= 0; i--) {
    int64_t far, part;
    if (!weir_mul_i64(p->g.window[i] - 1, p->g.dilation[i], &far)) return false;
    p->planes[i] = far + 1 < p->g.stride[i] ? far + 1 : p->g.stride[i];
    p->reach[i] = far / p->g.stride[i];
    p->step[i] = step;
    p->whole = p->whole && p->g.window[i] == 1 && p->g.in[i] == p->g.out[i];
    if (i > 0) p->dense = p->dense && p->reach[i] == 0;
    if (!weir_mul_i64(p->g.out[i] - 1, step, &part) || !weir_add_i64(last, part, &last)) return false;
    if (!weir_mul_i64(p->reach[i], step, &part) || !weir_add_i64(reach, part, &reach)) return false;
    if (!weir_mul_i64(planes, p->planes[i], &planes) || !weir_mul_i64(step, p->g.out[i] + p->reach[i], &step))
      return false;
  }
  p->positions = last + 1;
  p->plane_count = planes;
  *out_reach = reach;
  return last < INT32_MAX && reach < INT32_MAX && planes < INT32_MAX;
}

static void cut(window_plan *p, int64_t reach, int bytes) {
  int64_t room = STAGED / (p->g.channels * p->plane_count * bytes) - reach;
  int64_t most = room < BLOCK ? BLOCK : room / BLOCK * BLOCK, chunks = whole_parts(p->positions, most);
  p->chunk = whole_parts(whole_parts(p->positions, chunks), IR_LANES) * IR_LANES;
  if (chunks > 1) p->chunk = whole_parts(p->chunk, BLOCK) * BLOCK;
  // An odd number of cache lines, so that planes do not fall into the same places of a cache.
  p->span = (whole_parts(p->chunk + reach, IR_LANES) | 1) * IR_LANES;
  int64_t items = whole_parts(p->positions, p->chunk) * p->g.groups, parts = whole_parts(FEW_ITEMS, items);
  if (parts > whole_parts(p->g.outputs, FEW_OUTPUTS)) parts = whole_parts(p->g.outputs, FEW_OUTPUTS);
  p->output_chunk = whole_parts(whole_parts(p->g.outputs, parts), 6) * 6;
}

static bool make_plan(const ir_node *node, window_plan *p) {
  ir_ktype type = cg_compute_type(node->results[0]->type.dtype);
  *p = (window_plan){.whole = false};
  int64_t reach, bytes;
  if (!ir_ktype_is_float(type) || !is_even(node) || !cg_window_read(node, &p->g)) return false;
  if (!place_rows(p, &reach)) return false;
  if (!weir_mul_i64(p->g.channels, p->plane_count, &bytes) || !weir_mul_i64(bytes, reach + 2 * BLOCK, &bytes))
    return false;
  if (bytes > MOST_STAGED / ir_ktype_bytes(type)) return false;
  cut(p, reach, ir_ktype_bytes(type));
  return true;
}

bool cg_window_has_kernel(const ir_node *node) {
  window_plan plan;
  return make_plan(node, &plan);
}

static const ir_kexpr *integer(window_kernel *k, int64_t value) { return ir_kb_int(&k->e.b, value); }
static const ir_kexpr *plus(window_kernel *k, const ir_kexpr *x, const ir_kexpr *y) { return ir_kb_add(&k->e.b, x, y); }
static const ir_kexpr *times(window_kernel *k, const ir_kexpr *x, int64_t by) {
  return ir_kb_mul(&k->e.b, x, integer(k, by));
}
static const ir_kexpr *serial(window_kernel *k, const char *name, const ir_kexpr *lo, const ir_kexpr *hi) {
  return ir_kb_for(&k->e.b, IR_KR_SERIAL, name, lo, hi, 1);
}
static const ir_kexpr *lanes(window_kernel *k, const ir_kexpr *lo, const ir_kexpr *hi) {
  return ir_kb_for(&k->e.b, IR_KR_LANES, "l", lo, hi, 1);
}
static const ir_kexpr *least(window_kernel *k, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_min(&k->e.b, x, y);
}
static const ir_kexpr *most(window_kernel *k, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_op(&k->e.b, IR_K_max, IR_KT_i64, x, y, NULL);
}
static void end(window_kernel *k, int count) {
  while (count--) ir_kb_end(&k->e.b);
}

// ---- staging

static const ir_kexpr *outside(window_kernel *k) { return ir_kb_const(&k->e.b, k->type, k->outside); }

// Element |place| of a channel where |inside| holds (null: always), else what lies outside.
static const ir_kexpr *input(window_kernel *k, const ir_kexpr *channel, const ir_kexpr *const *place,
                             const ir_kexpr *inside) {
  const ir_kexpr *idx[IR_MAX_RANK];
  for (int i = 0; i < k->lead; i++) idx[i] = k->idx[i];
  if (!k->pool) idx[k->lead] = plus(k, times(k, k->group, k->p.g.channels), channel);
  for (int i = 0; i < k->p.g.spatial; i++) idx[k->x->type.rank - k->p.g.spatial + i] = place[i];
  const ir_kexpr *x = cg_emit_value(&k->e, k->x, idx);
  return inside ? ir_kb_op(&k->e.b, IR_K_select, k->type, inside, x, outside(k)) : x;
}

static const ir_kexpr *both(window_kernel *k, const ir_kexpr *a, const ir_kexpr *b) {
  return !a ? b : !b ? a : ir_kb_op(&k->e.b, IR_K_and, IR_KT_bool, a, b, NULL);
}

// Where row |row| of a plane lies along axis |i|, and whether the image has it (may stay null).
static const ir_kexpr *place_of(window_kernel *k, int i, const ir_kexpr *row, const ir_kexpr *rest,
                                const ir_kexpr **inside) {
  ir_kbuilder *b = &k->e.b;
  const window_plan *p = &k->p;
  const ir_kexpr *at = plus(k, plus(k, times(k, row, p->g.stride[i]), rest), integer(k, -p->g.before[i]));
  if (p->g.before[i] > 0) *inside = both(k, *inside, ir_kb_op(b, IR_K_ge, IR_KT_bool, at, integer(k, 0), NULL));
  *inside = both(k, *inside, ir_kb_op(b, IR_K_lt, IR_KT_bool, at, integer(k, p->g.in[i]), NULL));
  return at;
}

static void fill(window_kernel *k, const ir_kexpr *base, const ir_kexpr *from, const ir_kexpr *to) {
  const ir_kexpr *column = lanes(k, from, to);
  ir_kb_store(&k->e.b, k->type, k->slab, plus(k, base, column), outside(k));
  end(k, 1);
}

// The positions |from|..|to| of position's row |row| (null: there is but one), staged at |base|.
static void stage_row(window_kernel *k, const ir_kexpr *channel, const ir_kexpr *row, const ir_kexpr *const *rest,
                      const ir_kexpr *base, const ir_kexpr *from, const ir_kexpr *to) {
  ir_kbuilder *b = &k->e.b;
  const window_plan *p = &k->p;
  int last = p->g.spatial - 1;
  const ir_kexpr *place[MAX_SPATIAL], *inside = NULL, *left = row;
  for (int i = last - 1; i >= 0; i--) {
    const ir_kexpr *size = integer(k, p->g.out[i] + p->reach[i]);
    place[i] = place_of(k, i, i ? ir_kb_mod(b, left, size) : left, rest[i], &inside);
    left = ir_kb_div(b, left, size);
  }
  if (p->g.stride[last] == 1) {
    const ir_kexpr *column = lanes(k, from, to);
    place[last] = place_of(k, last, column, rest[last], &inside);
    ir_kb_store(b, k->type, k->slab, plus(k, base, column), input(k, channel, place, inside));
    end(k, 1);
    return;
  }
  // Every s-th element is read well where there is no mask: the columns inside of the image by themselves.
  const ir_kexpr *ahead = ir_kb_sub(b, integer(k, p->g.before[last] + p->g.stride[last] - 1), rest[last]);
  const ir_kexpr *stride = integer(k, p->g.stride[last]);
  const ir_kexpr *lo = ir_kb_let(b, "inside", least(k, to, most(k, from, ir_kb_div(b, ahead, stride))));
  const ir_kexpr *stop = ir_kb_div(b, plus(k, ahead, integer(k, p->g.in[last])), stride);
  const ir_kexpr *hi = ir_kb_let(b, "beyond", most(k, lo, least(k, to, stop)));
  if (inside) hi = ir_kb_let(b, "beyond", ir_kb_op(b, IR_K_select, IR_KT_i64, inside, hi, lo));
  fill(k, base, from, lo);
  const ir_kexpr *column = lanes(k, lo, hi), *none = NULL;
  place[last] = place_of(k, last, column, rest[last], &none);
  ir_kb_store(b, k->type, k->slab, plus(k, base, column), input(k, channel, place, NULL));
  end(k, 1);
  fill(k, base, hi, to);
}

static void stage_whole(window_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  const window_plan *p = &k->p;
  const ir_kexpr *channel = serial(k, "c", integer(k, 0), integer(k, p->g.channels)), *place[MAX_SPATIAL];
  const ir_kexpr *there =
      ir_kb_let(b, "there", least(k, integer(k, p->chunk), ir_kb_sub(b, integer(k, p->positions), k->lo)));
  const ir_kexpr *base = times(k, channel, p->span), *at = lanes(k, integer(k, 0), there), *left = plus(k, k->lo, at);
  for (int i = p->g.spatial - 1; i >= 0; i--) {
    place[i] = i ? ir_kb_mod(b, left, integer(k, p->g.out[i])) : left;
    left = ir_kb_div(b, left, integer(k, p->g.out[i]));
  }
  ir_kb_store(b, k->type, k->slab, plus(k, base, at), input(k, channel, place, NULL));
  end(k, 1);
  at = lanes(k, there, integer(k, p->chunk));
  ir_kb_store(b, k->type, k->slab, plus(k, base, at), outside(k));
  end(k, 2);
}

static void stage(window_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  const window_plan *p = &k->p;
  if (p->whole) {
    stage_whole(k);
    return;
  }
  const ir_kexpr *channel = serial(k, "c", integer(k, 0), integer(k, p->g.channels)), *plane = channel;
  const ir_kexpr *rest[MAX_SPATIAL], *hi = ir_kb_let(b, "hi", plus(k, k->lo, integer(k, p->span)));
  int opened = 1;
  for (int i = 0; i < p->g.spatial; i++) {
    rest[i] = integer(k, 0);
    if (p->planes[i] > 1) {
      rest[i] = serial(k, "rest", integer(k, 0), integer(k, p->planes[i]));
      opened++;
    }
    plane = plus(k, times(k, plane, p->planes[i]), rest[i]);
  }
  const ir_kexpr *base = ir_kb_let(b, "base", ir_kb_sub(b, times(k, plane, p->span), k->lo));
  if (p->g.spatial == 1) {
    stage_row(k, channel, NULL, rest, base, k->lo, hi);
  } else {
    const ir_kexpr *length = integer(k, p->step[p->g.spatial - 2]);
    const ir_kexpr *last = ir_kb_div(b, plus(k, hi, ir_kb_sub(b, length, integer(k, 1))), length);
    const ir_kexpr *row = serial(k, "row", ir_kb_div(b, k->lo, length), last);
    const ir_kexpr *start = ir_kb_let(b, "start", ir_kb_mul(b, row, length));
    const ir_kexpr *from = ir_kb_let(b, "from", most(k, integer(k, 0), ir_kb_sub(b, k->lo, start)));
    const ir_kexpr *to = ir_kb_let(b, "to", least(k, length, ir_kb_sub(b, hi, start)));
    stage_row(k, channel, row, rest, plus(k, base, start), from, to);
    end(k, 1);
  }
  end(k, opened);
}

// ---- sums

static const ir_kexpr *weight(window_kernel *k, const ir_kexpr *output, const ir_kexpr *channel,
                              const ir_kexpr *const *tap) {
  const ir_kexpr *idx[2 + MAX_SPATIAL] = {plus(k, times(k, k->group, k->p.g.outputs), output), channel};
  const cg_weight_format *format = cg_format_of(k->fl, k->w);
  if (format && cg_is_taps(*format)) {  // groups whose images have reductions in their kernel
    const ir_kexpr *flat = integer(k, 0);
    for (int i = 0; i < k->p.g.spatial; i++) flat = plus(k, times(k, flat, k->p.g.window[i]), tap[i]);
    return cg_weight_element(
        &k->e.b, cg_taps_panels(*format), cg_emit_slot(&k->e, cg_info(k->fl, k->w)->slot, IR_KB_IN),
        k->p.g.channels * cg_window_taps(&k->p.g), idx[0], plus(k, times(k, flat, k->p.g.channels), channel));
  }
  for (int i = 0; i < k->p.g.spatial; i++) idx[2 + i] = tap[i];
  return cg_emit_value(&k->e, k->w, idx);
}

// Opens the loops over taps; the staged element that the first position of the chunk takes.
static const ir_kexpr *open_taps(window_kernel *k, const ir_kexpr *channel, const ir_kexpr **tap, int *opened) {
  ir_kbuilder *b = &k->e.b;
  const window_plan *p = &k->p;
  const ir_kexpr *offset = integer(k, 0), *plane = channel;
  int64_t taps = 1;
  for (int i = 0; i < p->g.spatial; i++) taps *= p->g.window[i];
  // With one output a tap is too little work for a loop.
  ir_krange range = p->g.outputs == 1 && taps <= 32 ? IR_KR_UNROLL : IR_KR_SERIAL;
  for (int i = 0; i < p->g.spatial; i++) {
    tap[i] = integer(k, 0);
    if (p->g.window[i] > 1) {
      tap[i] = ir_kb_for(b, range, "t", integer(k, 0), integer(k, p->g.window[i]), 1);
      ++*opened;
    }
    const ir_kexpr *far = times(k, tap[i], p->g.dilation[i]), *stride = integer(k, p->g.stride[i]);
    offset = plus(k, offset, times(k, ir_kb_div(b, far, stride), p->step[i]));
    plane = plus(k, times(k, plane, p->planes[i]), ir_kb_mod(b, far, stride));
  }
  return plus(k, times(k, plane, p->span), offset);
}

// Where position |n| of the whole image stands along each spatial axis.
static void split_position(window_kernel *k, const ir_kexpr *n, const ir_kexpr **at) {
  for (int i = k->p.g.spatial - 1; i >= 0; i--) {
    at[i] = i ? ir_kb_mod(&k->e.b, n, integer(k, k->p.g.out[i])) : n;
    n = ir_kb_div(&k->e.b, n, integer(k, k->p.g.out[i]));
  }
}

static double elements(const window_plan *p) {
  double count = 1;
  for (int i = 0; i < p->g.spatial; i++) count *= (double)p->g.window[i];
  return count;
}

static void store(window_kernel *k, const ir_kexpr *output, const ir_kexpr *const *at, const ir_kexpr *sum) {
  const ir_kexpr *idx[IR_MAX_RANK];
  ir_value *product = k->node->results[0];
  for (int i = 0; i < k->lead; i++) idx[i] = k->idx[i];
  if (!k->pool) idx[k->lead] = plus(k, times(k, k->group, k->p.g.outputs), output);
  for (int i = 0; i < k->p.g.spatial; i++) idx[k->root->type.rank - k->p.g.spatial + i] = at[i];
  if (k->node->op == IR_OP_avg_pool) sum = ir_kb_div(&k->e.b, sum, ir_kb_const(&k->e.b, k->type, elements(&k->p)));
  int bound = k->e.bound_count;
  if (product != k->root) cg_bind(&k->e, product, idx, 0, sum);
  const ir_kexpr *value = product == k->root ? sum : cg_emit_value(&k->e, k->root, idx);
  cg_emit_store(&k->e, k->root, cg_info(k->fl, k->root)->slot, idx, value);
  k->e.bound_count = bound;
}

// Stores |width| positions from |n| on of |count| outputs from |first| on, whose sums are in local memory.
static void store_tile(window_kernel *k, const ir_kexpr *first, const ir_kexpr *count, const ir_kexpr *n, int width) {
  ir_kbuilder *b = &k->e.b;
  const window_plan *p = &k->p;
  const ir_kexpr *i = serial(k, "i", integer(k, 0), count), *output = plus(k, first, i), *at[MAX_SPATIAL];
  const ir_kexpr *hi = ir_kb_let(b, "end", least(k, plus(k, n, integer(k, width)), integer(k, p->positions)));
  const ir_kexpr *base = ir_kb_sub(b, times(k, i, BLOCK), n);
  if (p->dense) {
    const ir_kexpr *m = lanes(k, n, hi);
    split_position(k, m, at);
    store(k, output, at, ir_kb_load(b, k->type, k->sums, plus(k, base, m)));
    end(k, 2);
    return;
  }
  int last = p->g.spatial - 1;
  const ir_kexpr *length = integer(k, p->step[last - 1]), *one = integer(k, 1);
  const ir_kexpr *row =
      serial(k, "row", ir_kb_div(b, n, length), plus(k, ir_kb_div(b, ir_kb_sub(b, hi, one), length), one));
  const ir_kexpr *start = ir_kb_let(b, "start", ir_kb_mul(b, row, length)), *left = row, *inside = NULL;
  const ir_kexpr *from = ir_kb_let(b, "from", most(k, integer(k, 0), ir_kb_sub(b, n, start)));
  const ir_kexpr *to = ir_kb_let(b, "to", least(k, integer(k, p->g.out[last]), ir_kb_sub(b, hi, start)));
  for (int a = last - 1; a >= 0; a--) {
    const ir_kexpr *size = integer(k, p->g.out[a] + p->reach[a]);
    at[a] = a ? ir_kb_mod(b, left, size) : left;
    if (a) inside = both(k, inside, ir_kb_op(b, IR_K_lt, IR_KT_bool, at[a], integer(k, p->g.out[a]), NULL));
    left = ir_kb_div(b, left, size);
  }
  if (inside) ir_kb_if(b, inside);
  at[last] = lanes(k, from, to);
  store(k, output, at, ir_kb_load(b, k->type, k->sums, plus(k, plus(k, base, start), at[last])));
  end(k, inside ? 4 : 3);
}

// Takes one tap's elements |x| into the tile, whose outputs are |size| from |first| on.
static void take(window_kernel *k, ir_kvar *acc, const ir_kexpr *first, const ir_kexpr *size, const ir_kexpr *channel,
                 const ir_kexpr *const *tap, const ir_kexpr *const *x, int vectors) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", integer(k, 0), size, 1), *w = NULL;
  if (!k->pool) w = ir_kb_let(b, "w", weight(k, plus(k, first, i), channel, tap));
  for (int v = 0; v < vectors; v++) {
    const ir_kexpr *at = integer(k, v), *sum = ir_kb_read(b, acc, i, at, NULL);
    if (w) sum = ir_kb_op(b, IR_K_fma, k->type, w, x[v], sum);
    else sum = ir_kb_op(b, k->node->op == IR_OP_max_pool ? IR_K_max : IR_K_add, k->type, sum, x[v], NULL);
    ir_kb_set(b, acc, sum, i, at, NULL);
  }
  end(k, 1);
}

// Positions |lo|..|hi| of the chunk (counted in it, a multiple of |vectors| registers) for all outputs of the item.
static void emit_block(window_kernel *k, int vectors, const ir_kexpr *lo, const ir_kexpr *hi) {
  static const int heights[] = {6, 4, 2, 1};
  ir_kbuilder *b = &k->e.b;
  int skip = 0, width = vectors * IR_LANES, opened = 0;
  while (heights[skip] > k->p.g.outputs) skip++;
  int dims[2] = {heights[skip], vectors};
  const ir_kexpr *n = ir_kb_for(b, IR_KR_SERIAL, "n", lo, hi, width), *size, *x[VECTORS], *tap[MAX_SPATIAL];
  const ir_kexpr *first = ir_kb_tiles(b, "m", k->output_lo, k->output_hi, heights + skip, 4 - skip, &size);
  const ir_kexpr *lane = lanes(k, integer(k, 0), integer(k, IR_LANES));
  double start = k->node->op == IR_OP_max_pool ? -INFINITY : 0;
  ir_kvar *acc = ir_kb_reg(b, "acc", k->type, true, 2, dims, ir_kb_const(b, k->type, start));
  const ir_kexpr *channel = integer(k, 0);
  if (k->p.g.channels > 1) {
    channel = serial(k, "c", integer(k, 0), integer(k, k->p.g.channels));
    opened++;
  }
  const ir_kexpr *from = plus(k, open_taps(k, channel, tap, &opened), n);
  for (int v = 0; v < vectors; v++)
    x[v] = ir_kb_let(b, "x", ir_kb_load(b, k->type, k->slab, plus(k, plus(k, from, integer(k, v * IR_LANES)), lane)));
  take(k, acc, first, size, channel, tap, x, vectors);
  end(k, opened);
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", integer(k, 0), size, 1);
  for (int v = 0; v < vectors; v++) {
    const ir_kexpr *at = plus(k, plus(k, times(k, i, BLOCK), integer(k, v * IR_LANES)), lane);
    ir_kb_store(b, k->type, k->sums, at, ir_kb_read(b, acc, i, integer(k, v), NULL));
  }
  end(k, 2);
  store_tile(k, first, size, plus(k, k->lo, n), width);
  end(k, 2);
}

static void bind_item(window_kernel *k) {
  emitter *e = &k->e;
  ir_kbuilder *b = &e->b;
  const window_plan *p = &k->p;
  const ir_kexpr *chunks = integer(k, whole_parts(p->positions, p->chunk)), *groups = integer(k, p->g.groups);
  const ir_kexpr *parts = integer(k, whole_parts(p->g.outputs, p->output_chunk));
  const ir_kexpr *all =
      ir_kb_mul(b, ir_kb_mul(b, cg_emit_images(e, k->root, k->lead), groups), ir_kb_mul(b, parts, chunks));
  const ir_kexpr *n = ir_kb_set_grid(b, all, "n"), *rest = ir_kb_let(b, "rest", ir_kb_div(b, n, parts));
  k->output_lo = ir_kb_let(b, "output_lo", times(k, ir_kb_mod(b, n, parts), p->output_chunk));
  k->output_hi =
      ir_kb_let(b, "output_hi", least(k, plus(k, k->output_lo, integer(k, p->output_chunk)), integer(k, p->g.outputs)));
  k->lo = ir_kb_let(b, "lo", times(k, ir_kb_mod(b, rest, chunks), p->chunk));
  rest = ir_kb_let(b, "rest", ir_kb_div(b, rest, chunks));
  k->group = ir_kb_let(b, "group", ir_kb_mod(b, rest, groups));
  cg_emit_set_image(e, k->root, k->lead, ir_kb_div(b, rest, groups), k->idx);
}

// Whether the weight of the convolution lies as the kernels with channels in lanes read it.
static bool in_taps(const function_lowering *fl, const ir_node *node) {
  cg_layout layout;
  bool takes = cg_conv_takes_taps(node, &layout) || cg_conv_takes_groups(node);
  const cg_weight_format *format = takes ? cg_format_of(fl, node->operands[1]) : NULL;
  return format && cg_is_taps(*format);
}

weir_status cg_lower_window(function_lowering *fl, ir_value *root, const ir_node *node) {
  bool f32 = cg_compute_type(node->results[0]->type.dtype) == IR_KT_f32;
  if (cg_window_is_pool(node) && f32 && cg_is_image(fl, node->operands[0])) {
    if (cg_block_takes_places(fl, root, node)) return cg_block_pool(fl, root, node);
    return cg_lower_image_pool(fl, root, node);
  }
  if (!cg_window_is_pool(node) && in_taps(fl, node)) {
    cg_window g;
    if (cg_block_takes_conv(fl, root, node, &g)) return cg_block_conv(fl, root, node, &g);
    if (cg_format_of(fl, node->operands[1])->layout == CG_LAYOUT_WINOGRAD)
      return cg_lower_conv_winograd(fl, root, node);
    if (ir_node_attr(node, IR_ATTR_groups)->i == 1) return cg_lower_conv_direct(fl, root, node);
    if (!cg_conv_takes_groups(node)) {
      if (cg_block_takes_places(fl, root, node)) return cg_block_depthwise(fl, root, node);
      return cg_lower_conv_depthwise(fl, root, node);
    }
  }
  window_kernel k = {.fl = fl, .root = root, .node = node, .x = node->operands[0], .pool = cg_window_is_pool(node)};
  weir_arena *arena = fl->low->arena;
  if (!make_plan(node, &k.p))
    return cg_unsupported(fl->function, node->loc, "'%s' of this form has no kernel", ir_op_get_info(node->op)->name);
  const window_plan *p = &k.p;
  k.type = cg_compute_type(node->results[0]->type.dtype);
  k.outside = node->op == IR_OP_max_pool ? -INFINITY : 0;
  k.lead = root->type.rank - p->g.spatial - !k.pool;
  if (!k.pool) k.w = node->operands[1];
  const char *banner =
      weir_arena_printf(arena, "%s of %s%s%s", ir_op_get_info(node->op)->name, ir_type_print(arena, &k.x->type),
                        k.pool ? "" : " with ", k.pool ? "" : ir_type_print(arena, &k.w->type));
  cg_emit_begin(&k.e, fl, root, weir_arena_printf(arena, "%s%dd", ir_op_get_info(node->op)->name, p->g.spatial),
                banner);
  ir_kbuilder *b = &k.e.b;
  int width = ir_ktype_bytes(k.type);
  bind_item(&k);
  k.slab = ir_kb_add_buffer(b, IR_KB_LOCAL, "input", integer(&k, p->g.channels * p->plane_count * p->span * width), -1);
  k.sums = ir_kb_add_buffer(b, IR_KB_LOCAL, "sums", integer(&k, 6 * BLOCK * width), -1);
  stage(&k);
  int64_t last = p->positions % p->chunk, whole = p->chunk / BLOCK * BLOCK;
  if (last == 0) last = p->chunk;
  last = whole_parts(last, IR_LANES) * IR_LANES;
  const ir_kexpr *length = integer(&k, p->chunk), *middle = integer(&k, whole);
  if (last != p->chunk) {
    const ir_kexpr *left = ir_kb_sub(b, integer(&k, whole_parts(p->positions, IR_LANES) * IR_LANES), k.lo);
    length = ir_kb_let(b, "length", least(&k, length, left));
    middle = ir_kb_let(b, "middle", times(&k, ir_kb_div(b, length, integer(&k, BLOCK)), BLOCK));
  }
  if (whole) emit_block(&k, VECTORS, integer(&k, 0), middle);
  if (p->chunk % BLOCK || last % BLOCK) emit_block(&k, 1, middle, length);
  return cg_emit_finish(&k.e);
}
