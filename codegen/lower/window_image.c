// What the kernels with channels in lanes share: the geometry of windows, the grid, the staged part of an image, and
// the epilogue.
//
// Where windows reach beyond the image its part is copied to local memory once, with zeros around, so that no inner
// loop looks for the border; positions in there lie channels last if the image does. Sums must not depend on whether
// they are staged: zeros are added in their place either way.
#include "codegen/lower/window_internal.h"

#include "runtime/base/checked.h"

// ---- geometry

bool cg_window_is_pool(const ir_node *node) { return node->op == IR_OP_max_pool || node->op == IR_OP_avg_pool; }

static int64_t attr_at(const ir_node *node, ir_attr_name id, int i, int64_t otherwise) {
  const ir_attr *attr = ir_node_attr(node, id);
  return attr ? attr->ints[i] : otherwise;
}

static bool all_constant(const ir_type *type, int from) {
  for (int i = from; i < type->rank; i++)
    if (i < 0 || cg_const_dim(type->dims[i]) < 1) return false;
  return true;
}

bool cg_window_read(const ir_node *node, cg_window *g) {
  const ir_type *x = &node->operands[0]->type, *y = &node->results[0]->type;
  bool pool = cg_window_is_pool(node);
  *g = (cg_window){.spatial = ir_node_attr(node, IR_ATTR_strides)->count, .groups = 1, .channels = 1, .outputs = 1};
  if (!all_constant(x, x->rank - g->spatial) || !all_constant(y, y->rank - g->spatial)) return false;
  if (!pool) {
    const ir_type *w = &node->operands[1]->type;
    if (!all_constant(w, 0)) return false;
    g->groups = ir_node_attr(node, IR_ATTR_groups)->i;
    g->channels = cg_const_dim(w->dims[1]);
    g->outputs = cg_const_dim(w->dims[0]) / g->groups;
  }
  for (int i = 0; i < g->spatial; i++) {
    g->in[i] = cg_const_dim(x->dims[x->rank - g->spatial + i]);
    g->out[i] = cg_const_dim(y->dims[y->rank - g->spatial + i]);
    g->window[i] = pool ? attr_at(node, IR_ATTR_window_dims, i, 1) : cg_const_dim(node->operands[1]->type.dims[2 + i]);
    g->stride[i] = attr_at(node, IR_ATTR_strides, i, 1);
    g->before[i] = attr_at(node, IR_ATTR_before, i, 0);
    g->dilation[i] = attr_at(node, IR_ATTR_dilations, i, 1);
    int64_t far, end;
    if (!weir_mul_i64(g->window[i] - 1, g->dilation[i], &far) || !weir_mul_i64(g->out[i] - 1, g->stride[i], &end) ||
        !weir_add_i64(end, far, &end) || !weir_add_i64(end, 1, &end))
      return false;
    g->padded = g->padded || g->before[i] > 0 || end > g->in[i];
    if (g->before[i] < 0 || end > INT32_MAX) return false;
  }
  return true;
}

int64_t cg_window_taps(const cg_window *g) {
  int64_t taps = 1;
  for (int i = 0; i < g->spatial; i++) taps *= g->window[i];
  return taps;
}

int64_t cg_window_positions(const cg_window *g) {
  int64_t count = 1;
  for (int i = 0; i < g->spatial; i++) count *= g->out[i];
  return count;
}

// ---- the kernel

static const ir_kexpr *integer(cg_image_kernel *k, int64_t value) { return ir_kb_int(&k->e.b, value); }
static const ir_kexpr *plus(cg_image_kernel *k, const ir_kexpr *x, const ir_kexpr *y) {
  return ir_kb_add(&k->e.b, x, y);
}
static const ir_kexpr *times(cg_image_kernel *k, const ir_kexpr *x, int64_t by) {
  return ir_kb_mul(&k->e.b, x, integer(k, by));
}

void cg_image_begin(cg_image_kernel *k, function_lowering *fl, ir_value *root, const ir_node *node, const char *what) {
  weir_arena *arena = fl->low->arena;
  k->fl = fl;
  k->root = root;
  k->node = node;
  k->x = node->operands[0];
  k->lead = root->type.rank - k->g.spatial - 1;
  k->slab = -1;
  k->last = cg_is_image(fl, k->x);
  const char *op = ir_op_get_info(node->op)->name;
  const char *with = node->operand_count > 1
                         ? weir_arena_printf(arena, " with %s", ir_type_print(arena, &node->operands[1]->type))
                         : "";
  const char *then =
      root->def == node ? "" : weir_arena_printf(arena, ", then %s", ir_op_get_info(root->def->op)->name);
  cg_emit_begin(
      &k->e, fl, root, weir_arena_printf(arena, "%s%dd%s", op, k->g.spatial, what),
      weir_arena_printf(arena, "%s of %s%s%s, channels in lanes", op, ir_type_print(arena, &k->x->type), with, then));
}

const ir_kexpr *cg_image_grid(cg_image_kernel *k, int64_t parts) {
  ir_kbuilder *b = &k->e.b;
  k->row_positions = 1;
  for (int i = 1; i < k->g.spatial; i++) k->row_positions *= k->g.out[i];
  const ir_kexpr *chunks = integer(k, (k->g.out[0] + k->rows - 1) / k->rows);
  const ir_kexpr *all = ir_kb_mul(b, cg_emit_images(&k->e, k->root, k->lead), times(k, chunks, parts));
  const ir_kexpr *n = ir_kb_set_grid(b, all, "n"), *rest = ir_kb_let(b, "rest", ir_kb_div(b, n, integer(k, parts)));
  const ir_kexpr *part = ir_kb_let(b, "part", ir_kb_mod(b, n, integer(k, parts)));
  k->row_lo = ir_kb_let(b, "row_lo", times(k, ir_kb_mod(b, rest, chunks), k->rows));
  k->row_hi = ir_kb_let(b, "row_hi", ir_kb_min(b, plus(k, k->row_lo, integer(k, k->rows)), integer(k, k->g.out[0])));
  cg_emit_set_image(&k->e, k->root, k->lead, ir_kb_div(b, rest, chunks), k->idx);
  return part;
}

void cg_image_split(cg_image_kernel *k, const ir_kexpr *n, const ir_kexpr **at) {
  for (int i = k->g.spatial - 1; i >= 0; i--) {
    at[i] = i ? ir_kb_mod(&k->e.b, n, integer(k, k->g.out[i])) : n;
    n = ir_kb_div(&k->e.b, n, integer(k, k->g.out[i]));
  }
}

// ---- the staged part

static void measure_slab(const cg_image_kernel *k, int64_t rows, int64_t channels, int64_t *extent, int64_t *pitch,
                         int64_t *channel_pitch, int64_t *elements) {
  const cg_window *g = &k->g;
  bool last = k->last;
  int64_t step = last ? channels : 1;
  for (int i = g->spatial - 1; i >= 0; i--) {
    int64_t outs = i ? g->out[i] : rows;
    extent[i] = (outs - 1) * g->stride[i] + (g->window[i] - 1) * g->dilation[i] + 1;
    pitch[i] = step;
    if (!weir_mul_i64(step, extent[i], &step)) step = INT64_MAX / 64;
  }
  *channel_pitch = last ? 1 : step;
  if (!last && !weir_mul_i64(step, channels, &step)) step = INT64_MAX / 64;
  *elements = step;
}

int64_t cg_image_slab_bytes(const cg_image_kernel *k, int64_t rows, int64_t channels) {
  int64_t extent[CG_MAX_SPATIAL], pitch[CG_MAX_SPATIAL], channel_pitch, elements;
  measure_slab(k, rows, channels, extent, pitch, &channel_pitch, &elements);
  return 4 * elements;
}

static void clear(cg_image_kernel *k, const ir_kexpr *from, int64_t count) {
  ir_kbuilder *b = &k->e.b;
  if (count < 1) return;
  const ir_kexpr *l = ir_kb_for(b, IR_KR_LANES, "l", integer(k, 0), integer(k, count), 1);
  ir_kb_store(b, IR_KT_f32, k->slab, plus(k, from, l), ir_kb_const(b, IR_KT_f32, 0));
  ir_kb_end(b);
}

// The line along the last axis of what |place| says of the other axes, at |to|: of all channels, or of |channel|.
static void stage_line(cg_image_kernel *k, int64_t channels, const ir_kexpr *channel, const ir_kexpr **place,
                       const ir_kexpr *to) {
  ir_kbuilder *b = &k->e.b;
  const cg_window *g = &k->g;
  int last = g->spatial - 1, rank = k->x->type.rank;
  int64_t width = channel ? 1 : channels, before = g->before[last];
  int64_t stop = before + g->in[last] < k->extent[last] ? before + g->in[last] : k->extent[last];
  if (before > stop) before = stop;
  const ir_kexpr *idx[IR_MAX_RANK];
  for (int i = 0; i < k->lead; i++) idx[i] = k->idx[i];
  for (int i = 0; i < last; i++) idx[rank - g->spatial + i] = place[i];
  clear(k, to, before * width);
  const ir_kexpr *l = ir_kb_for(b, IR_KR_LANES, "l", integer(k, 0), integer(k, (stop - before) * width), 1);
  idx[k->lead] = channel ? channel : ir_kb_mod(b, l, integer(k, channels));
  idx[rank - 1] = channel ? l : ir_kb_div(b, l, integer(k, channels));
  ir_kb_store(b, IR_KT_f32, k->slab, plus(k, to, plus(k, l, integer(k, before * width))),
              cg_emit_value(&k->e, k->x, idx));
  ir_kb_end(b);
  clear(k, plus(k, to, integer(k, stop * width)), (k->extent[last] - stop) * width);
}

// Of one axis alone: places are counted from the item's first, and lines are single places.
static void stage_places(cg_image_kernel *k, int64_t channels) {
  ir_kbuilder *b = &k->e.b;
  const cg_window *g = &k->g;
  bool last = k->last;
  const ir_kexpr *rows = ir_kb_sub(b, k->row_hi, k->row_lo), *one = integer(k, 1);
  const ir_kexpr *count =
      plus(k, times(k, ir_kb_sub(b, rows, one), g->stride[0]), integer(k, (g->window[0] - 1) * g->dilation[0] + 1));
  const ir_kexpr *start =
      ir_kb_let(b, "start", ir_kb_sub(b, times(k, k->row_lo, g->stride[0]), integer(k, g->before[0])));
  const ir_kexpr *outer = ir_kb_for(b, IR_KR_SERIAL, "o", integer(k, 0), last ? count : integer(k, channels), 1);
  const ir_kexpr *inner = ir_kb_for(b, IR_KR_LANES, "l", integer(k, 0), last ? integer(k, channels) : count, 1);
  const ir_kexpr *place = plus(k, start, last ? outer : inner), *channel = last ? inner : outer, *idx[IR_MAX_RANK];
  for (int i = 0; i < k->lead; i++) idx[i] = k->idx[i];
  idx[k->lead] = channel;
  idx[k->lead + 1] = place;
  const ir_kexpr *inside =
      ir_kb_op(b, IR_K_and, IR_KT_bool, ir_kb_op(b, IR_K_ge, IR_KT_bool, place, integer(k, 0), NULL),
               ir_kb_op(b, IR_K_lt, IR_KT_bool, place, integer(k, g->in[0]), NULL), NULL);
  const ir_kexpr *x =
      ir_kb_op(b, IR_K_select, IR_KT_f32, inside, cg_emit_value(&k->e, k->x, idx), ir_kb_const(b, IR_KT_f32, 0));
  const ir_kexpr *to = plus(k, times(k, last ? outer : inner, k->pitch[0]), times(k, channel, k->channel_pitch));
  ir_kb_store(b, IR_KT_f32, k->slab, to, x);
  ir_kb_end(b);
  ir_kb_end(b);
}

static void stage_lines(cg_image_kernel *k, int64_t channels) {
  ir_kbuilder *b = &k->e.b;
  const cg_window *g = &k->g;
  const ir_kexpr *channel = NULL, *place[CG_MAX_SPATIAL], *inside = NULL, *to = integer(k, 0);
  int opened = 0;
  if (!k->last) {
    channel = ir_kb_for(b, IR_KR_SERIAL, "c", integer(k, 0), integer(k, channels), 1);
    to = times(k, channel, k->channel_pitch);
    opened++;
  }
  for (int i = 0; i + 1 < g->spatial; i++) {
    const ir_kexpr *count = integer(k, k->extent[i]), *first = integer(k, -g->before[i]);
    if (i == 0) {
      const ir_kexpr *rows = ir_kb_sub(b, ir_kb_sub(b, k->row_hi, k->row_lo), integer(k, 1));
      count = plus(k, times(k, rows, g->stride[0]), integer(k, (g->window[0] - 1) * g->dilation[0] + 1));
      first = plus(k, first, times(k, k->row_lo, g->stride[0]));
    }
    const ir_kexpr *j = ir_kb_for(b, IR_KR_SERIAL, "j", integer(k, 0), count, 1);
    opened++;
    place[i] = ir_kb_let(b, "place", plus(k, first, j));
    to = plus(k, to, times(k, j, k->pitch[i]));
    const ir_kexpr *in =
        ir_kb_op(b, IR_K_and, IR_KT_bool, ir_kb_op(b, IR_K_ge, IR_KT_bool, place[i], integer(k, 0), NULL),
                 ir_kb_op(b, IR_K_lt, IR_KT_bool, place[i], integer(k, g->in[i]), NULL), NULL);
    inside = inside ? ir_kb_op(b, IR_K_and, IR_KT_bool, inside, in, NULL) : in;
  }
  to = ir_kb_let(b, "to", to);
  ir_kb_if(b, inside);
  stage_line(k, channels, channel, place, to);
  ir_kb_else(b);
  clear(k, to, k->extent[g->spatial - 1] * (channel ? 1 : channels));
  ir_kb_end(b);
  while (opened--) ir_kb_end(b);
}

void cg_image_stage(cg_image_kernel *k, int64_t channels) {
  int64_t elements;
  measure_slab(k, k->rows, channels, k->extent, k->pitch, &k->channel_pitch, &elements);
  k->slab = ir_kb_add_buffer(&k->e.b, IR_KB_LOCAL, "input", integer(k, 4 * (elements + IR_LANES)), -1);
  if (k->g.spatial == 1) stage_places(k, channels);
  else stage_lines(k, channels);
  if (k->last && channels % IR_LANES) {  // behind the last row that there is
    const ir_kexpr *rows = ir_kb_sub(&k->e.b, ir_kb_sub(&k->e.b, k->row_hi, k->row_lo), integer(k, 1));
    const ir_kexpr *count =
        plus(k, times(k, rows, k->g.stride[0]), integer(k, (k->g.window[0] - 1) * k->g.dilation[0] + 1));
    clear(k, times(k, count, k->pitch[0]), IR_LANES);
  }
}

const ir_kexpr *cg_image_staged(cg_image_kernel *k, const ir_kexpr *const *at, const ir_kexpr *const *tap,
                                const ir_kexpr *channel) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *index = times(k, channel, k->channel_pitch);
  for (int i = 0; i < k->g.spatial; i++) {
    const ir_kexpr *row = i ? at[i] : ir_kb_sub(b, at[i], k->row_lo);
    const ir_kexpr *place = plus(k, times(k, row, k->g.stride[i]), times(k, tap[i], k->g.dilation[i]));
    index = plus(k, index, times(k, place, k->pitch[i]));
  }
  return ir_kb_load(b, IR_KT_f32, k->slab, index);
}

const ir_kexpr *cg_image_element(cg_image_kernel *k, const ir_kexpr *const *at, const ir_kexpr *const *tap,
                                 const ir_kexpr *channel) {
  const ir_kexpr *idx[IR_MAX_RANK];
  for (int i = 0; i < k->lead; i++) idx[i] = k->idx[i];
  idx[k->lead] = channel;
  for (int i = 0; i < k->g.spatial; i++)
    idx[k->lead + 1 + i] = plus(k, times(k, at[i], k->g.stride[i]), times(k, tap[i], k->g.dilation[i]));
  return cg_emit_value(&k->e, k->x, idx);
}

ir_ktype cg_taps_type(const cg_image_kernel *k) {
  weir_storage storage = cg_format_of(k->fl, k->node->operands[1])->storage;
  return storage == WEIR_STORAGE_F16 ? IR_KT_f16 : storage == WEIR_STORAGE_BF16 ? IR_KT_bf16 : IR_KT_f32;
}

// ---- the epilogue

void cg_image_store(cg_image_kernel *k, const ir_kexpr *channel, int64_t channels, bool masked,
                    const ir_kexpr *const *at, const ir_kexpr *sum) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *idx[IR_MAX_RANK];
  ir_value *product = k->node->results[0];
  for (int i = 0; i < k->lead; i++) idx[i] = k->idx[i];
  idx[k->lead] = channel;
  for (int i = 0; i < k->g.spatial; i++) idx[k->lead + 1 + i] = at[i];
  if (masked) ir_kb_if(b, ir_kb_op(b, IR_K_lt, IR_KT_bool, channel, integer(k, channels), NULL));
  int bound = k->e.bound_count;
  if (product != k->root) cg_bind(&k->e, product, idx, 0, sum);
  const ir_kexpr *value = product == k->root ? sum : cg_emit_value(&k->e, k->root, idx);
  cg_emit_store(&k->e, k->root, cg_info(k->fl, k->root)->slot, idx, value);
  k->e.bound_count = bound;
  if (masked) ir_kb_end(b);
}
