// Products with packed matrices as block kernels: what their schedules share (block.h), and the choice between them.
#include "codegen/lower/block/block.h"

cg_runs cg_block_runs(weir_storage storage, int64_t cols) {
  int64_t unit = cg_panel_block(storage) > CG_BLOCK_SLAB ? cg_panel_block(storage) : CG_BLOCK_SLAB;
  int64_t units = (cols + unit - 1) / unit, each = (units + CG_BLOCK_RUNS - 1) / CG_BLOCK_RUNS;
  return (cg_runs){each * unit, (int)((units + each - 1) / each)};
}

static int64_t all_panels(const block_linear *p) { return (p->k.outs + IR_LANES - 1) / IR_LANES; }

static const ir_kexpr *pieces(ir_kbuilder *b, const ir_kexpr *all, int64_t size) {
  return bk_div(b, bk_plus(b, all, size - 1), size);
}

// Few rows are bound by reading weights, so a block asks for the first of its own before it waits for the launches
// before.
static void begin_early(block_linear *p) {
  enum { MOST_ROWS = 16, LINE = 128, LINES = 4 };  // lines of a thread
  linear_kernel *k = &p->k;
  ir_kbuilder *b = &k->e.b;
  int64_t bytes = 4 * cg_panel_words(k->storage, k->cols), all = (bytes + LINE - 1) / LINE * p->panels;
  if (p->rows > MOST_ROWS || p->windows) return;
  for (int m = 0; m < k->matrices; m++)
    if (!cg_format_of(k->fl, cg_base(k->fl, p->w[m]))) return;
  ir_kb_launch_dependents(b);
  for (int m = 0; m < k->matrices; m++) {
    int w = cg_block_weight(p, m);
    b->kernel->buffers[w].fixed = true;
    int64_t lines = all < (int64_t)LINES * p->threads ? all : (int64_t)LINES * p->threads;
    const ir_kexpr *line = bk_for(b, "line", p->thread, bk_int(b, lines), p->threads);
    const ir_kexpr *panel = bk_scaled(b, cg_block_panel(p, bk_mod(b, line, p->panels)), bytes);
    ir_kb_prefetch(b, IR_KT_u8, w, NULL, ir_kb_add(b, panel, bk_scaled(b, bk_div(b, line, p->panels), LINE)));
    ir_kb_end(b);
  }
  ir_kb_wait_dependencies(b);
}

// Item |n| has the panels of group |*out_group| of |groups| and chunk |*out_chunk| of rows. Blocks that run at the same
// time read the same rows and panels where rows go in bands.
static void place_item(block_linear *p, const ir_kexpr *n, const ir_kexpr *chunks, const ir_kexpr *groups,
                       const ir_kexpr **out_group, const ir_kexpr **out_chunk) {
  ir_kbuilder *b = &p->k.e.b;
  if (p->band <= 0) {
    *out_group = ir_kb_div(b, n, chunks);
    *out_chunk = ir_kb_mod(b, n, chunks);
    return;
  }
  const ir_kexpr *of_band = bk_scaled(b, groups, p->band);
  const ir_kexpr *first = ir_kb_let(b, "first", bk_scaled(b, ir_kb_div(b, n, of_band), p->band));
  const ir_kexpr *width = ir_kb_let(b, "width", ir_kb_min(b, bk_int(b, p->band), ir_kb_sub(b, chunks, first)));
  const ir_kexpr *nth = ir_kb_let(b, "nth", ir_kb_mod(b, n, of_band));
  *out_group = ir_kb_div(b, nth, width);
  *out_chunk = ir_kb_add(b, first, ir_kb_mod(b, nth, width));
}

void cg_block_begin(block_linear *p, const char *what) {
  linear_kernel *k = &p->k;
  weir_arena *arena = k->fl->low->arena;
  const char *storage = weir_storage_name(k->storage);
  const char *name = weir_arena_printf(arena, "block_%s%s_%s_%s_%dx%d", p->route.experts ? "route" : "linear",
                                       cg_linear_suffix(k), storage, what, p->panels * IR_LANES, (int)k->cols);
  const char *banner = weir_arena_printf(arena, "[rows, %d] x %d matrices %s[%d, %d], then %s; a block has %d rows",
                                         (int)k->cols, k->matrices, storage, (int)k->outs, (int)k->cols,
                                         ir_op_get_info(k->root->def->op)->name, p->rows);
  if (p->windows) cg_windows_open(p, what);
  else cg_linear_open(k, name, banner);
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *chunks = p->route.experts ? cg_route_tiles(p) : pieces(b, k->rows, p->rows);
  const ir_kexpr *groups = bk_int(b, (all_panels(p) + p->panels - 1) / p->panels);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, chunks, groups), "item");
  p->thread = ir_kb_set_threads(b, "t", p->threads, p->resident);
  const ir_kexpr *group, *chunk;
  place_item(p, n, ir_kb_let(b, "chunks", chunks), groups, &group, &chunk);
  p->panel = ir_kb_let(b, "panel", cg_linear_first_panel(k, group));
  if (p->route.experts) {
    cg_route_begin(p, chunk);
    return;
  }
  p->row_lo = ir_kb_let(b, "row_lo", bk_scaled(b, chunk, p->rows));
  p->row_count = ir_kb_let(b, "rows_here", ir_kb_min(b, bk_int(b, p->rows), ir_kb_sub(b, k->rows, p->row_lo)));
  begin_early(p);
}

weir_status cg_block_finish(block_linear *p, int64_t guard_lo, int64_t guard_hi) {
  p->k.fl->low->choice_key = p->key;
  if (p->route.experts) ir_kb_end(&p->k.e.b);
  if (p->library && guard_hi > p->library) guard_hi = p->library > guard_lo ? p->library : guard_lo;
  return cg_linear_finish(&p->k, guard_lo, guard_hi);
}

const ir_kexpr *cg_block_panel(block_linear *p, const ir_kexpr *nth) {
  ir_kbuilder *b = &p->k.e.b;
  const ir_kexpr *panel = ir_kb_add(b, p->panel, cg_linear_panel(&p->k, nth));
  if (all_panels(p) % p->panels) panel = ir_kb_min(b, panel, bk_int(b, all_panels(p) - 1));
  return p->route.experts ? ir_kb_add(b, p->route.panel, panel) : panel;
}

const ir_kexpr *cg_block_column(block_linear *p, const ir_kexpr *column) {
  ir_kbuilder *b = &p->k.e.b;
  if (!p->k.half) return ir_kb_add(b, bk_scaled(b, p->panel, IR_LANES), column);
  const ir_kexpr *panel = ir_kb_add(b, p->panel, cg_linear_panel(&p->k, bk_div(b, column, IR_LANES)));
  return ir_kb_add(b, bk_scaled(b, panel, IR_LANES), bk_mod(b, column, IR_LANES));
}

int cg_block_fit_panels(block_linear *p, int wanted) {
  linear_kernel *k = &p->k;
  if (p->windows) wanted = cg_windows_fit_panels(p, wanted);
  int half = wanted / 2;
  while (k->half && half > 1 && k->half % half && half % k->half) half--;
  if (k->half) wanted = half < 1 ? 2 : 2 * half;
  k->run = k->half && wanted / 2 > k->half ? k->half : wanted / 2;
  return k->panels = p->panels = wanted;
}

const ir_kexpr *cg_block_row(block_linear *p, const ir_kexpr *nth) {
  ir_kbuilder *b = &p->k.e.b;
  if (p->route.experts) return cg_block_place(p, nth);  // those beyond the last stand there, too
  return ir_kb_add(b, p->row_lo, ir_kb_min(b, nth, bk_plus(b, p->row_count, -1)));
}

const ir_kexpr *cg_block_place(block_linear *p, const ir_kexpr *row) {
  ir_kbuilder *b = &p->k.e.b;
  if (!p->route.experts) return ir_kb_add(b, p->row_lo, row);
  return ir_kb_cast(b, IR_KT_i64, ir_kb_load(b, IR_KT_i32, p->route.places, row));
}

int cg_block_weight(block_linear *p, int matrix) {
  return cg_emit_slot(&p->k.e, cg_info(p->k.fl, cg_base(p->k.fl, p->w[matrix]))->slot, IR_KB_IN);
}

const ir_kexpr *cg_block_input(block_linear *p, const ir_kexpr *m, const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK];
  if (p->windows) return cg_windows_input(p, m, at);
  cg_linear_row(&p->k, m, idx);
  idx[p->x->type.rank - 1] = at;
  return cg_emit_value(&p->k.e, p->x, idx);
}

static bool is_multiple(const ir_kexpr *e, int64_t of) {
  if (e->op == IR_K_const) return e->i % of == 0;
  if (e->op == IR_K_mul) return is_multiple(e->args[0], of) || is_multiple(e->args[1], of);
  return (e->op == IR_K_add || e->op == IR_K_sub) && is_multiple(e->args[0], of) && is_multiple(e->args[1], of);
}

static const ir_kexpr *without_casts(const ir_kexpr *e) {
  while (e->op == IR_K_cast) e = e->args[0];
  return e;
}

bool cg_block_adjoins(ir_kbuilder *b, const ir_kexpr *first, const ir_kexpr *second, int count) {
  const ir_kexpr *step = ir_kb_sub(b, second, first);
  return step->op == IR_K_const && step->i == 1 && is_multiple(first, count);
}

bool cg_block_run(ir_kbuilder *b, const ir_kexpr *first, const ir_kexpr *second, int count, ir_kplace *out) {
  first = without_casts(first), second = without_casts(second);
  if (first->op != IR_K_load || second->op != IR_K_load || first->index != second->index) return false;
  const ir_kexpr *request = first->arg_count > 1 ? first->args[1] : NULL;
  if (!cg_block_adjoins(b, first->args[0], second->args[0], count)) return false;
  *out = ir_kb_place_table(first->index, first->type, request, first->args[0]);
  return ir_ktype_is_float(first->type) && ir_ktype_bytes(first->type) <= 4;
}

bool cg_block_fours(ir_kbuilder *b, const ir_kexpr *first, const ir_kexpr *second, ir_kplace *out) {
  return cg_block_run(b, first, second, 4, out);
}

bool cg_block_reads_fours(block_linear *p) {
  ir_kbuilder *b = &p->k.e.b;
  ir_kplace place;
  if (p->k.cols % 4 || (p->windows && !cg_windows_are_rows(p))) return false;
  const ir_kexpr *first = cg_block_input(p, p->row_lo, bk_int(b, 0));
  const ir_kexpr *second = cg_block_input(p, p->row_lo, bk_int(b, 1));
  return cg_block_fours(b, first, second, &place) && first->op == IR_K_load && !place.request;
}

// Pairs that rope turns: |i| counts the columns of the block whose other half stands |run| panels behind.
static void store_turned(block_linear *p, cg_block_sum sum, void *user) {
  linear_kernel *k = &p->k;
  ir_kbuilder *b = &k->e.b;
  int64_t width = (int64_t)p->panels * IR_LANES / 2, run = (int64_t)k->run * IR_LANES;
  const ir_kexpr *i = bk_for(b, "i", p->thread, bk_scaled(b, p->row_count, width), p->threads), *sums[2];
  const ir_kexpr *row = ir_kb_let(b, "row", bk_div(b, i, width)), *nth = ir_kb_let(b, "nth", bk_mod(b, i, width));
  const ir_kexpr *column = ir_kb_add(b, bk_scaled(b, bk_div(b, nth, run), 2 * run), bk_mod(b, nth, run));
  column = ir_kb_let(b, "column", column);
  const ir_kexpr *n = ir_kb_let(b, "n", cg_block_column(p, column));
  ir_kb_if(b, bk_less(b, n, bk_int(b, k->outs)));
  for (int h = 0; h < 2; h++) sums[h] = ir_kb_let(b, "sum", sum(user, 0, row, bk_plus(b, column, h * run)));
  cg_linear_store_pair(k, cg_block_place(p, row), n, sums);
  ir_kb_end(b);
  ir_kb_end(b);
}

void cg_block_store(block_linear *p, cg_block_sum sum, void *user) {
  linear_kernel *k = &p->k;
  ir_kbuilder *b = &k->e.b;
  int64_t width = (int64_t)p->panels * IR_LANES;
  if (p->part_stores) ir_kb_barrier_named(b, bk_int(b, 1), p->threads);
  else ir_kb_barrier(b);
  if (k->half) {
    store_turned(p, sum, user);
    return;
  }
  bool down = p->windows && cg_windows_follow_places(p);  // neighbours in memory are neighbouring rows
  const ir_kexpr *count = bk_scaled(b, down ? bk_int(b, p->rows) : p->row_count, width), *sums[2];
  const ir_kexpr *i = bk_for(b, "i", p->thread, count, p->threads);
  const ir_kexpr *row = ir_kb_let(b, "row", down ? bk_mod(b, i, p->rows) : bk_div(b, i, width));
  const ir_kexpr *column = ir_kb_let(b, "column", down ? bk_div(b, i, p->rows) : bk_mod(b, i, width));
  const ir_kexpr *n = ir_kb_let(b, "n", cg_block_column(p, column));
  bool partial = down || k->outs % width != 0;
  const ir_kexpr *have = bk_less(b, n, bk_int(b, k->outs));
  if (partial) ir_kb_if(b, down ? bk_and(b, have, bk_less(b, row, p->row_count)) : have);
  for (int m = 0; m < k->matrices; m++) sums[m] = ir_kb_let(b, "sum", sum(user, m, row, column));
  if (p->windows) cg_windows_store(p, cg_block_place(p, row), n, sums[0]);
  else cg_linear_store_row(k, cg_block_place(p, row), n, sums);
  if (partial) ir_kb_end(b);
  ir_kb_end(b);
}

// ---- packed weights in shared memory

bool cg_block_has_slabs(weir_storage storage) {
  return cg_panel_block(storage) <= CG_BLOCK_SLAB && !cg_panel_front(storage);
}

void cg_block_add_packed(block_linear *p, block_packed *packed, int64_t apart) {
  packed->panel_bytes = 4 * (cg_panel_words(p->k.storage, CG_BLOCK_SLAB) - cg_panel_front(p->k.storage));
  packed->stride = packed->panel_bytes + apart;
  int64_t bytes = packed->stride * p->panels * p->k.matrices;
  packed->buffer = ir_kb_add_shared(&p->k.e.b, "packed", CG_BLOCK_STAGES * bytes);
}

void cg_block_stage_packed(block_linear *p, const block_packed *packed, const ir_kexpr *slab, const ir_kexpr *stage) {
  linear_kernel *k = &p->k;
  ir_kbuilder *b = &k->e.b;
  int64_t pieces = packed->panel_bytes / 16, row_bytes = 4 * cg_panel_words(k->storage, k->cols);
  int64_t front = 4 * cg_panel_front(k->storage);
  for (int m = 0; m < k->matrices; m++) {
    const ir_kexpr *i = bk_for(b, "i", p->thread, bk_int(b, pieces * p->panels), p->threads);
    const ir_kexpr *panel = ir_kb_let(b, "nth", bk_div(b, i, pieces));
    const ir_kexpr *piece = ir_kb_let(b, "piece", bk_mod(b, i, pieces)), *put = piece;
    const ir_kexpr *at =
        ir_kb_let(b, "at", ir_kb_add(b, bk_scaled(b, slab, packed->panel_bytes), bk_scaled(b, piece, 16)));
    if (packed->exchanged)
      put = ir_kb_op(b, IR_K_xor, IR_KT_i64, piece, bk_scaled(b, bk_mod(b, bk_div(b, piece, 8), 2), 2), NULL);
    const ir_kexpr *to = bk_scaled(b, stage, packed->stride * p->panels * k->matrices);
    to = ir_kb_add(b, to, bk_scaled(b, bk_plus(b, panel, (int64_t)m * p->panels), packed->stride));
    const ir_kexpr *from = ir_kb_add(b, bk_plus(b, bk_scaled(b, cg_block_panel(p, panel), row_bytes), front), at);
    const ir_kexpr *inside = bk_less(b, at, bk_int(b, row_bytes - front));
    ir_kb_async(b, ir_kb_place(packed->buffer, IR_KT_u8, ir_kb_add(b, to, bk_scaled(b, put, 16))),
                ir_kb_place(cg_block_weight(p, m), IR_KT_u8, from), 16, inside, IR_KHINT_NONE);
    ir_kb_end(b);
  }
}

void cg_block_decode(block_linear *p, const block_packed *packed, const ir_kexpr *slab, const ir_kexpr *stage,
                     block_lane *out_lane, cg_panel_visit visit, cg_panel_codes_visit codes, void *user) {
  linear_kernel *k = &p->k;
  ir_kbuilder *b = &k->e.b;
  for (int m = 0; m < k->matrices; m++) {
    const ir_kexpr *i = bk_for(b, "i", p->thread, bk_int(b, (int64_t)p->panels * IR_LANES), p->threads);
    const ir_kexpr *nth = ir_kb_let(b, "nth", bk_div(b, i, IR_LANES)),
                   *lane = ir_kb_let(b, "lane", bk_mod(b, i, IR_LANES));
    *out_lane = (block_lane){.vector = bk_plus(b, nth, (int64_t)m * p->panels), .lane = lane};
    if (packed) {
      const ir_kexpr *panel = ir_kb_add(b, bk_scaled(b, stage, (int64_t)p->panels * k->matrices), out_lane->vector);
      const ir_kexpr *left = ir_kb_sub(b, bk_int(b, k->cols), bk_scaled(b, slab, CG_BLOCK_SLAB));
      const ir_kexpr *length = k->cols % CG_BLOCK_SLAB ? left : bk_int(b, CG_BLOCK_SLAB);
      cg_panel_operand op = {.buffer = packed->buffer, .panel = panel};
      out_lane->first = bk_int(b, 0);
      if (codes) cg_panel_emit_codes_part(b, k->storage, CG_BLOCK_SLAB, &op, lane, bk_int(b, 0), codes, user);
      else cg_panel_emit_part(b, k->storage, CG_BLOCK_SLAB, &op, lane, bk_int(b, 0), length, visit, user);
    } else {
      cg_panel_operand op = {.buffer = cg_block_weight(p, m), .panel = ir_kb_let(b, "from", cg_block_panel(p, nth))};
      out_lane->first = bk_scaled(b, slab, CG_BLOCK_SLAB);
      if (codes) cg_panel_emit_codes_part(b, k->storage, k->cols, &op, lane, slab, codes, user);
      else cg_panel_emit_part(b, k->storage, k->cols, &op, lane, slab, bk_int(b, k->cols), visit, user);
    }
    ir_kb_end(b);
  }
}

// ---- the choice

static block_linear product_of(function_lowering *fl, ir_value *root, ir_node **linears, int matrices,
                               cg_compute compute) {
  const ir_value *w = linears[0]->operands[1];
  block_linear p = {.k = {.fl = fl, .root = root, .domain = root, .linears = linears, .matrices = matrices}};
  p.x = linears[0]->operands[0];
  for (int m = 0; m < matrices; m++) p.w[m] = linears[m]->operands[1];
  p.format = fl->out->formats[w->result];
  p.k.storage = p.format.storage;
  p.k.outs = cg_const_dim(w->type.dims[0]);
  p.k.cols = cg_const_dim(w->type.dims[1]);
  p.key =
      weir_arena_printf(fl->low->arena, "block_%s",
                        cg_linear_key(fl, p.k.storage, compute ? cg_compute_name(compute) : "", matrices, &w->type));
  p.runs = cg_block_runs(p.k.storage, p.k.cols);
  ir_value *turned = cg_rope_product(fl, root);
  if (turned) {
    p.k.domain = turned;
    p.k.half = (int)(cg_const_dim(root->type.dims[2]) / 2 / IR_LANES);
  }
  return p;
}

bool cg_block_in_steps(const function_lowering *fl, const ir_value *value) {
  if (cg_info(fl, value)->fate != FATE_INLINE || !value->def) return false;
  if (cg_has_steps(value->def->op)) return true;
  for (int i = 0; i < value->def->operand_count; i++)
    if (cg_block_in_steps(fl, value->def->operands[i])) return true;
  return false;
}

bool cg_block_takes(const function_lowering *fl, const ir_value *root, ir_node *const *linears) {
  bool ahead = cg_reduces_ahead(fl, root) || cg_block_in_steps(fl, linears[0]->operands[0]);
  return fl->low->options->blocks && !ahead && !cg_linear_compute(fl, linears[0]);
}

// By matrix units. Where there is wgmma all rows of a product in bf16 go through it, since what it adds up at once need
// not be what mma does; integers have one sum.
static weir_status multiply_packed(block_linear *few, const packed_rows *x, cg_compute compute) {
  enum { FEW_ROWS = 8, MIDDLE_ROWS = 64 };
  static const int64_t limits[] = {16, 32}, more[] = {32, 128};
  lowering *low = few->k.fl->low;
  block_linear middle = *few, many = *few;
  int64_t rows = cg_schedule_choice(low, few->key, "few.rows", FEW_ROWS, limits, 2);
  if (!(low->options->blocks & IR_KNEEDS_SM_90A) || !cg_block_wgmma_takes(few, compute)) {
    WEIR_TRY(cg_block_mma_few(few, x, rows));
    return cg_block_mma_many(&many, x, rows);
  }
  int64_t middle_rows = cg_schedule_choice(low, few->key, "middle.rows", MIDDLE_ROWS, more, 2);
  WEIR_TRY(compute == CG_COMPUTE_BF16 ? cg_block_wgmma_few(few, x, rows) : cg_block_mma_few(few, x, rows));
  if (middle_rows > rows) WEIR_TRY(cg_block_wgmma_many(&middle, x, rows + 1, middle_rows));
  return cg_block_wgmma_many(&many, x, (middle_rows > rows ? middle_rows : rows) + 1, INT64_MAX - 1);
}

bool cg_block_linear(function_lowering *fl, ir_value *root, ir_node **linears, int count, weir_status *out_status) {
  enum { FEW_ROWS = 16 };
  static const int64_t limits[] = {4, 8, 32};
  cg_compute compute = cg_linear_compute(fl, linears[0]);
  ir_value *x = linears[0]->operands[0];
  if (!compute && !cg_block_takes(fl, root, linears)) return false;
  if (!fl->low->options->blocks || cg_reduces_ahead(fl, root) || compute > CG_COMPUTE_INT8_ROW) return false;
  block_linear few = product_of(fl, root, linears, count, compute), many;
  if (compute) {
    packed_rows packed;
    if ((*out_status = cg_pack_rows(fl, x, compute, &packed))) return true;
    if (!cg_block_mma_takes(&few, &packed)) return false;
    few.library = cg_block_library_rows(&few);
    many = few;
    *out_status = multiply_packed(&few, &packed, compute);
    if (!*out_status && many.library) *out_status = cg_block_library(&many, &packed, many.library);
    return true;
  }
  many = few;
  int64_t rows = cg_schedule_choice(fl->low, few.key, "few.rows", FEW_ROWS, limits, 3);
  *out_status = cg_block_few(&few, rows);
  if (!*out_status) *out_status = cg_block_many(&many, rows);
  return true;
}
