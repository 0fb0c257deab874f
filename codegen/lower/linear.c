// Products with a packed matrix: y = epilogue(x w^T), one or two matrices of equal form sharing x.
//
// One work item computes a block of columns (up to four panels of 16) for a chunk of rows. Two schedules of the same
// sum:
//   direct   weights are decoded into registers in the inner loop and used for a tile of rows at once; for plain
//   numbers always, for
//            quantised blocks while there are few rows
//   staged   a slab of inputs is decoded once into thread-local memory and all rows of the chunk run over it
// In both, an output element is one lane's accumulator that takes fma(x[k], w[k]) for k = 0, 1, 2 ... in order, so its
// bits are the same in either, in a tile of any height, at any number of rows and threads.
#include "codegen/lower/internal.h"

enum {
  DIRECT_ROWS = 4,  // quantised: up to this many rows the direct schedule runs
  CHUNK_ROWS = 96,  // rows of a work item
  SLAB = 64,        // inputs decoded at a time by the staged schedule, more if a block is longer
  MAX_PANELS = 4,
};

typedef struct {
  emitter e;
  function_lowering *fl;
  ir_value *root;
  ir_node **linears;
  int matrices, panels;  // per item and matrix
  weir_storage storage;
  int64_t cols, outs;       // inputs, outputs of a matrix
  const ir_kexpr *leading;  // rows of x per row of the domain
  const ir_kexpr *rows;     // leading * rows of the domain
  const ir_kexpr *column;   // first output of the item
  const ir_kexpr *lo, *hi;  // rows of the item
  const ir_kexpr *lane;
  // inside a tile
  const ir_kexpr *first, *tile;
  ir_kvar *acc[2];
  int slab;  // LOCAL buffers
  int sums;
  const ir_kexpr *slab_start;
} linear_kernel;

// Indices along all axes but the last for row |m| of the flattened rows; makes it the current row.
static void row_indices(linear_kernel *k, const ir_kexpr *m, const ir_kexpr **idx) {
  ir_kbuilder *b = &k->e.b;
  const value_info *info = cg_info(k->fl, k->root);
  const ir_kexpr *rest = ir_kb_mod(b, m, k->leading);
  cg_emit_set_row(&k->e, k->root, ir_kb_div(b, m, k->leading), idx);
  int last = k->root->type.rank - 1;
  for (int i = last - 1; i >= 0; i--) {
    if (info->ragged >> i & 1) continue;
    const ir_kexpr *dim = cg_dim_expr(&k->e, k->root->type.dims[i]);
    idx[i] = ir_kb_mod(b, rest, dim);
    rest = ir_kb_div(b, rest, dim);
  }
}

static const ir_kexpr *load_x(linear_kernel *k, const ir_kexpr *m, const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK];
  row_indices(k, m, idx);
  ir_value *x = k->linears[0]->operands[0];
  idx[x->type.rank - 1] = at;
  return cg_emit_value(&k->e, x, idx);
}

// Multiplies the weights of one input into the accumulators of the tile.
static void accumulate(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  linear_kernel *k = user;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", ir_kb_int(b, 0), k->tile, 1);
  const ir_kexpr *x = ir_kb_let(b, "x", load_x(k, ir_kb_add(b, k->first, i), at));
  for (int m = 0; m < k->matrices; m++) {
    for (int p = 0; p < k->panels; p++) {
      const ir_kexpr *panel = ir_kb_int(b, p);
      const ir_kexpr *sum = ir_kb_read(b, k->acc[m], i, panel, NULL);
      ir_kb_set(b, k->acc[m], ir_kb_op(b, IR_K_fma, IR_KT_f32, x, w[m * k->panels + p], sum), i, panel, NULL);
    }
  }
  ir_kb_end(b);
}

static void begin_registers(linear_kernel *k, int height) {
  int dims[2] = {height, k->panels};
  for (int m = 0; m < k->matrices; m++)
    k->acc[m] = ir_kb_reg(&k->e.b, m ? "acc2" : "acc", IR_KT_f32, true, 2, dims, ir_kb_const(&k->e.b, IR_KT_f32, 0));
}

static int operands(linear_kernel *k, cg_panel_operand *out) {
  ir_kbuilder *b = &k->e.b;
  int count = 0;
  for (int m = 0; m < k->matrices; m++) {
    int buffer = cg_emit_slot(&k->e, cg_info(k->fl, k->linears[m]->operands[1])->slot, IR_KB_IN);
    const ir_kexpr *first = ir_kb_div(b, k->column, ir_kb_int(b, IR_LANES));
    for (int p = 0; p < k->panels; p++) out[count++] = (cg_panel_operand){buffer, ir_kb_add(b, first, ir_kb_int(b, p))};
  }
  return count;
}

// Stores the epilogue of row |m|, column |n|, with the products' values as given.
static void store_row(linear_kernel *k, const ir_kexpr *m, const ir_kexpr *n, const ir_kexpr *const *sums) {
  const ir_kexpr *idx[IR_MAX_RANK];
  row_indices(k, m, idx);
  idx[k->root->type.rank - 1] = n;
  int bound = k->e.bound_count;
  for (int j = 0; j < k->matrices; j++)
    if (k->linears[j]->results[0] != k->root) cg_bind(&k->e, k->linears[j]->results[0], idx, 0, sums[j]);
  const ir_kexpr *value = k->linears[0]->results[0] == k->root ? sums[0] : cg_emit_value(&k->e, k->root, idx);
  cg_emit_store(&k->e, k->root, cg_info(k->fl, k->root)->slot, idx, value);
  k->e.bound_count = bound;
}

static void store_registers(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", ir_kb_int(b, 0), k->tile, 1);
  for (int p = 0; p < k->panels; p++) {
    const ir_kexpr *panel = ir_kb_int(b, p), *sums[2];
    for (int m = 0; m < k->matrices; m++) sums[m] = ir_kb_read(b, k->acc[m], i, panel, NULL);
    const ir_kexpr *n = ir_kb_add(b, ir_kb_add(b, k->column, ir_kb_int(b, p * IR_LANES)), k->lane);
    store_row(k, ir_kb_add(b, k->first, i), n, sums);
  }
  ir_kb_end(b);
}

// ---- sums in local memory: [row of the chunk][matrix][panel][lane]

static const ir_kexpr *sum_index(linear_kernel *k, const ir_kexpr *row, int matrix, int panel, const ir_kexpr *lane) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *at =
      ir_kb_mul(b, ir_kb_sub(b, row, k->lo), ir_kb_int(b, (int64_t)k->matrices * k->panels * IR_LANES));
  return ir_kb_add(b, ir_kb_add(b, at, ir_kb_int(b, (int64_t)(matrix * k->panels + panel) * IR_LANES)), lane);
}

static void spill_registers(linear_kernel *k, bool load) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", ir_kb_int(b, 0), k->tile, 1);
  for (int m = 0; m < k->matrices; m++) {
    for (int p = 0; p < k->panels; p++) {
      const ir_kexpr *at = sum_index(k, ir_kb_add(b, k->first, i), m, p, k->lane), *panel = ir_kb_int(b, p);
      if (load) ir_kb_set(b, k->acc[m], ir_kb_load(b, IR_KT_f32, k->sums, at), i, panel, NULL);
      else ir_kb_store(b, IR_KT_f32, k->sums, at, ir_kb_read(b, k->acc[m], i, panel, NULL));
    }
  }
  ir_kb_end(b);
}

// Epilogue of the whole chunk from local memory; the last panel may have fewer columns than lanes.
static void store_sums(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *row = ir_kb_for(b, IR_KR_SERIAL, "m", k->lo, k->hi, 1);
  for (int p = 0; p < k->panels; p++) {
    const ir_kexpr *first = ir_kb_add(b, k->column, ir_kb_int(b, p * IR_LANES));
    const ir_kexpr *width = ir_kb_int(b, IR_LANES);
    if (k->outs % IR_LANES != 0) width = ir_kb_min(b, width, ir_kb_sub(b, ir_kb_int(b, k->outs), first));
    const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", ir_kb_int(b, 0), width, 1), *sums[2];
    for (int m = 0; m < k->matrices; m++) sums[m] = ir_kb_load(b, IR_KT_f32, k->sums, sum_index(k, row, m, p, lane));
    store_row(k, row, ir_kb_add(b, first, lane), sums);
    ir_kb_end(b);
  }
  ir_kb_end(b);
}

static void add_sums(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  int64_t count = (int64_t)CHUNK_ROWS * k->matrices * k->panels * IR_LANES;
  k->sums = ir_kb_add_buffer(b, IR_KB_LOCAL, "sums", ir_kb_int(b, 4 * count), -1);
}

// ---- schedules

// Heights of row tiles such that the accumulators of |vectors| registers a row fit into 32 registers.
static int tile_heights(int vectors, int limit, int *out) {
  static const int heights[] = {6, 4, 2, 1};
  int count = 0;
  for (int i = 0; i < 4; i++)
    if (heights[i] <= limit && heights[i] * vectors <= 24) out[count++] = heights[i];
  return count;
}

static void open_tile(linear_kernel *k, const int *heights, int count) {
  ir_kbuilder *b = &k->e.b;
  k->first = ir_kb_tiles(b, "m", k->lo, k->hi, heights, count, &k->tile);
  k->lane = ir_kb_for(b, IR_KR_LANES, "l", ir_kb_int(b, 0), ir_kb_int(b, IR_LANES), 1);
  begin_registers(k, heights[0]);
}

static void close_tile(linear_kernel *k) {
  ir_kb_end(&k->e.b);
  ir_kb_end(&k->e.b);
}

static void emit_direct(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  bool quantised = weir_storage_info(k->storage)->kind == WEIR_STORAGE_CLASS_BLOCK;
  int heights[6], count = tile_heights(k->matrices * k->panels, quantised ? DIRECT_ROWS : CHUNK_ROWS, heights);
  bool partial = k->outs % IR_LANES != 0;
  if (partial) add_sums(k);
  open_tile(k, heights, count);
  cg_panel_operand ops[2 * MAX_PANELS];
  int op_count = operands(k, ops);
  cg_panel_emit(b, k->storage, k->cols, ops, op_count, k->lane, ir_kb_int(b, 0), ir_kb_int(b, k->cols), accumulate, k);
  if (partial) spill_registers(k, false);
  else store_registers(k);
  close_tile(k);
  if (partial) store_sums(k);
}

// Index of the slab's weight for the |at|-th input.
static const ir_kexpr *slab_index(linear_kernel *k, const ir_kexpr *at, int operand) {
  ir_kbuilder *b = &k->e.b;
  int64_t stride = (int64_t)k->matrices * k->panels * IR_LANES;
  const ir_kexpr *index = ir_kb_mul(b, ir_kb_sub(b, at, k->slab_start), ir_kb_int(b, stride));
  return ir_kb_add(b, ir_kb_add(b, index, ir_kb_int(b, (int64_t)operand * IR_LANES)), k->lane);
}

static void fill_slab(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  linear_kernel *k = user;
  for (int i = 0; i < k->matrices * k->panels; i++)
    ir_kb_store(&k->e.b, IR_KT_f32, k->slab, slab_index(k, at, i), w[i]);
}

static void clear_sums(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *count =
      ir_kb_mul(b, ir_kb_sub(b, k->hi, k->lo), ir_kb_int(b, (int64_t)k->matrices * k->panels * IR_LANES));
  const ir_kexpr *i = ir_kb_for(b, IR_KR_LANES, "i", ir_kb_int(b, 0), count, 1);
  ir_kb_store(b, IR_KT_f32, k->sums, i, ir_kb_const(b, IR_KT_f32, 0));
  ir_kb_end(b);
}

static void emit_staged(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  int step = cg_panel_step(k->storage, k->cols), vectors = k->matrices * k->panels;
  int64_t slab = (SLAB + step - 1) / step * step;
  add_sums(k);
  k->slab = ir_kb_add_buffer(b, IR_KB_LOCAL, "slab", ir_kb_int(b, 4 * slab * vectors * IR_LANES), -1);
  clear_sums(k);
  k->slab_start = ir_kb_for(b, IR_KR_SERIAL, "ks", ir_kb_int(b, 0), ir_kb_int(b, k->cols), slab);
  const ir_kexpr *end = ir_kb_min(b, ir_kb_add(b, k->slab_start, ir_kb_int(b, slab)), ir_kb_int(b, k->cols));
  k->lane = ir_kb_for(b, IR_KR_LANES, "l", ir_kb_int(b, 0), ir_kb_int(b, IR_LANES), 1);
  cg_panel_operand ops[2 * MAX_PANELS];
  int op_count = operands(k, ops);
  cg_panel_emit(b, k->storage, k->cols, ops, op_count, k->lane, k->slab_start, end, fill_slab, k);
  ir_kb_end(b);
  int heights[6], count = tile_heights(vectors, CHUNK_ROWS, heights);
  open_tile(k, heights, count);
  spill_registers(k, true);
  const ir_kexpr *at = ir_kb_for(b, IR_KR_SERIAL, "k", k->slab_start, end, 1), *w[2 * MAX_PANELS];
  for (int i = 0; i < vectors; i++) w[i] = ir_kb_let(b, "w", ir_kb_load(b, IR_KT_f32, k->slab, slab_index(k, at, i)));
  accumulate(k, at, w);
  ir_kb_end(b);
  spill_registers(k, false);
  close_tile(k);
  ir_kb_end(b);
  store_sums(k);
}

static const ir_kexpr *leading_rows(linear_kernel *k) {
  const value_info *info = cg_info(k->fl, k->root);
  const ir_kexpr *total = ir_kb_int(&k->e.b, 1);
  for (int i = 0; i < k->root->type.rank - 1; i++)
    if (!(info->ragged >> i & 1)) total = ir_kb_mul(&k->e.b, total, cg_dim_expr(&k->e, k->root->type.dims[i]));
  return total;
}

static weir_status emit_schedule(function_lowering *fl, ir_value *root, ir_node **linears, int matrices, bool staged,
                                 int64_t guard_lo, int64_t guard_hi) {
  linear_kernel k = {.fl = fl, .root = root, .linears = linears, .matrices = matrices};
  const ir_value *w = linears[0]->operands[1];
  k.storage = fl->out->formats[w->result].storage;
  k.outs = cg_const_dim(w->type.dims[0]);
  k.cols = cg_const_dim(w->type.dims[1]);
  bool quantised = weir_storage_info(k.storage)->kind == WEIR_STORAGE_CLASS_BLOCK;
  int wanted = (quantised && !staged ? 2 : MAX_PANELS) / matrices;
  int64_t panels = (k.outs + IR_LANES - 1) / IR_LANES;
  for (k.panels = wanted < 1 ? 1 : wanted; panels % k.panels; k.panels /= 2) {
  }
  weir_arena *arena = fl->low->arena;
  const char *storage = weir_storage_name(k.storage);
  const char *name = weir_arena_printf(arena, "linear%s_%s_%s_%dx%d", matrices > 1 ? "2" : "", storage,
                                       staged ? "staged" : "direct", k.panels * 16, (int)k.cols);
  const char *banner = weir_arena_printf(arena, "[rows, %d] x %d matrices %s[%d, %d], then %s", (int)k.cols, matrices,
                                         storage, (int)k.outs, (int)k.cols, ir_op_get_info(root->def->op)->name);
  emitter *e = &k.e;
  cg_emit_begin(e, fl, root, name, banner);
  ir_kbuilder *b = &e->b;
  k.leading = leading_rows(&k);
  k.rows = ir_kb_mul(b, cg_emit_rows(e, root), k.leading);
  const ir_kexpr *chunk = ir_kb_int(b, CHUNK_ROWS);
  const ir_kexpr *chunks = ir_kb_div(b, ir_kb_add(b, k.rows, ir_kb_int(b, CHUNK_ROWS - 1)), chunk);
  const ir_kexpr *g = ir_kb_set_grid(b, ir_kb_mul(b, chunks, ir_kb_int(b, panels / k.panels)), "item");
  k.column = ir_kb_let(b, "column", ir_kb_mul(b, ir_kb_div(b, g, chunks), ir_kb_int(b, k.panels * IR_LANES)));
  k.lo = ir_kb_let(b, "lo", ir_kb_mul(b, ir_kb_mod(b, g, chunks), chunk));
  k.hi = ir_kb_let(b, "hi", ir_kb_min(b, ir_kb_add(b, k.lo, chunk), k.rows));
  if (staged) emit_staged(&k);
  else emit_direct(&k);
  if (guard_hi) {
    e->item.guarded = true;
    e->item.guard = k.rows;
    e->item.guard_lo = guard_lo;
    e->item.guard_hi = guard_hi;
  }
  return cg_emit_finish(e);
}

weir_status cg_lower_linear(function_lowering *fl, ir_value *root, ir_node **linears, int linear_count) {
  const ir_value *w = linears[0]->operands[1];
  bool packed = !w->def && fl->function->params[w->result].kind == IR_PARAM_WEIGHT &&
                fl->out->formats[w->result].layout == CG_LAYOUT_PANEL;
  if (!packed || cg_compute_type(root->type.dtype) != IR_KT_f32) return cg_lower_product(fl, root);
  if (cg_info(fl, root)->ragged >> (root->type.rank - 1) & 1) return cg_lower_product(fl, root);
  weir_storage storage = fl->out->formats[w->result].storage;
  if (weir_storage_info(storage)->kind != WEIR_STORAGE_CLASS_BLOCK)
    return emit_schedule(fl, root, linears, linear_count, false, 0, 0);
  WEIR_TRY(emit_schedule(fl, root, linears, linear_count, false, 0, DIRECT_ROWS + 1));
  return emit_schedule(fl, root, linears, linear_count, true, DIRECT_ROWS + 1, INT64_MAX);
}
