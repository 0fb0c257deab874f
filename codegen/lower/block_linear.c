// Products with packed matrices as block kernels: what their schedules share (block.h), and the choice between them.
#include "codegen/lower/block.h"

cg_runs cg_block_runs(weir_storage storage, int64_t cols) {
  int64_t unit = cg_panel_block(storage) > CG_BLOCK_SLAB ? cg_panel_block(storage) : CG_BLOCK_SLAB;
  int64_t units = (cols + unit - 1) / unit, each = (units + CG_BLOCK_RUNS - 1) / CG_BLOCK_RUNS;
  return (cg_runs){each * unit, (int)((units + each - 1) / each)};
}

static int64_t all_panels(const block_linear *p) { return (p->k.outs + IR_LANES - 1) / IR_LANES; }

static const ir_kexpr *pieces(ir_kbuilder *b, const ir_kexpr *all, int64_t size) {
  return bk_div(b, bk_plus(b, all, size - 1), size);
}

void cg_block_begin(block_linear *p, const char *what) {
  linear_kernel *k = &p->k;
  weir_arena *arena = k->fl->low->arena;
  const char *storage = weir_storage_name(k->storage);
  const char *name = weir_arena_printf(arena, "block_linear%s_%s_%s_%dx%d", cg_linear_suffix(k), storage, what,
                                       p->panels * IR_LANES, (int)k->cols);
  const char *banner = weir_arena_printf(arena, "[rows, %d] x %d matrices %s[%d, %d], then %s; a block has %d rows",
                                         (int)k->cols, k->matrices, storage, (int)k->outs, (int)k->cols,
                                         ir_op_get_info(k->root->def->op)->name, p->rows);
  cg_linear_open(k, name, banner);
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *chunks = pieces(b, k->rows, p->rows);
  const ir_kexpr *groups = bk_int(b, (all_panels(p) + p->panels - 1) / p->panels);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, chunks, groups), "item");
  p->thread = ir_kb_set_threads(b, "t", p->threads, 0);
  chunks = ir_kb_let(b, "chunks", chunks);
  p->panel = ir_kb_let(b, "panel", cg_linear_first_panel(k, ir_kb_div(b, n, chunks)));
  p->row_lo = ir_kb_let(b, "row_lo", bk_scaled(b, ir_kb_mod(b, n, chunks), p->rows));
  p->row_count = ir_kb_let(b, "rows_here", ir_kb_min(b, bk_int(b, p->rows), ir_kb_sub(b, k->rows, p->row_lo)));
}

weir_status cg_block_finish(block_linear *p, int64_t guard_lo, int64_t guard_hi) {
  return cg_linear_finish(&p->k, guard_lo, guard_hi);
}

const ir_kexpr *cg_block_panel(block_linear *p, const ir_kexpr *nth) {
  ir_kbuilder *b = &p->k.e.b;
  const ir_kexpr *panel = ir_kb_add(b, p->panel, cg_linear_panel(&p->k, nth));
  if (all_panels(p) % p->panels == 0) return panel;
  return ir_kb_min(b, panel, bk_int(b, all_panels(p) - 1));
}

const ir_kexpr *cg_block_column(block_linear *p, const ir_kexpr *column) {
  ir_kbuilder *b = &p->k.e.b;
  if (!p->k.half) return ir_kb_add(b, bk_scaled(b, p->panel, IR_LANES), column);
  const ir_kexpr *panel = ir_kb_add(b, p->panel, cg_linear_panel(&p->k, bk_div(b, column, IR_LANES)));
  return ir_kb_add(b, bk_scaled(b, panel, IR_LANES), bk_mod(b, column, IR_LANES));
}

int cg_block_fit_panels(block_linear *p, int wanted) {
  linear_kernel *k = &p->k;
  int half = wanted / 2;
  while (k->half && half > 1 && k->half % half && half % k->half) half--;
  if (k->half) wanted = half < 1 ? 2 : 2 * half;
  k->run = k->half && wanted / 2 > k->half ? k->half : wanted / 2;
  return k->panels = p->panels = wanted;
}

const ir_kexpr *cg_block_row(block_linear *p, const ir_kexpr *nth) {
  ir_kbuilder *b = &p->k.e.b;
  return ir_kb_add(b, p->row_lo, ir_kb_min(b, nth, bk_plus(b, p->row_count, -1)));
}

int cg_block_weight(block_linear *p, int matrix) {
  return cg_emit_slot(&p->k.e, cg_info(p->k.fl, p->k.linears[matrix]->operands[1])->slot, IR_KB_IN);
}

const ir_kexpr *cg_block_input(block_linear *p, const ir_kexpr *m, const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK];
  ir_value *x = p->k.linears[0]->operands[0];
  cg_linear_row(&p->k, m, idx);
  idx[x->type.rank - 1] = at;
  return cg_emit_value(&p->k.e, x, idx);
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

bool cg_block_fours(ir_kbuilder *b, const ir_kexpr *first, const ir_kexpr *second, ir_kplace *out) {
  first = without_casts(first), second = without_casts(second);
  if (first->op != IR_K_load || second->op != IR_K_load || first->index != second->index) return false;
  const ir_kexpr *request = first->arg_count > 1 ? first->args[1] : NULL;
  const ir_kexpr *step = ir_kb_sub(b, second->args[0], first->args[0]);
  if (step->op != IR_K_const || step->i != 1 || !is_multiple(first->args[0], 4)) return false;
  *out = ir_kb_place_table(first->index, first->type, request, first->args[0]);
  return ir_ktype_is_float(first->type) && ir_ktype_bytes(first->type) <= 4;
}

bool cg_block_reads_fours(block_linear *p) {
  ir_kbuilder *b = &p->k.e.b;
  ir_kplace place;
  if (p->k.cols % 4) return false;
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
  cg_linear_store_pair(k, ir_kb_add(b, p->row_lo, row), n, sums);
  ir_kb_end(b);
  ir_kb_end(b);
}

void cg_block_store(block_linear *p, cg_block_sum sum, void *user) {
  linear_kernel *k = &p->k;
  ir_kbuilder *b = &k->e.b;
  int64_t width = (int64_t)p->panels * IR_LANES;
  ir_kb_barrier(b);
  if (k->half) {
    store_turned(p, sum, user);
    return;
  }
  const ir_kexpr *i = bk_for(b, "i", p->thread, bk_scaled(b, p->row_count, width), p->threads), *sums[2];
  const ir_kexpr *row = ir_kb_let(b, "row", bk_div(b, i, width));
  const ir_kexpr *column = ir_kb_let(b, "column", bk_mod(b, i, width));
  const ir_kexpr *n = ir_kb_let(b, "n", cg_block_column(p, column));
  bool partial = k->outs % width != 0;
  if (partial) ir_kb_if(b, bk_less(b, n, bk_int(b, k->outs)));
  for (int m = 0; m < k->matrices; m++) sums[m] = ir_kb_let(b, "sum", sum(user, m, row, column));
  cg_linear_store_row(k, ir_kb_add(b, p->row_lo, row), n, sums);
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
  p.k.storage = fl->out->formats[w->result].storage;
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

// Whether |value| is computed in its reader's kernel by loops of its own, which item kernels alone have.
static bool is_computed_in_steps(const function_lowering *fl, const ir_value *value) {
  if (cg_info(fl, value)->fate != FATE_INLINE || !value->def) return false;
  if (cg_has_steps(value->def->op)) return true;
  for (int i = 0; i < value->def->operand_count; i++)
    if (is_computed_in_steps(fl, value->def->operands[i])) return true;
  return false;
}

bool cg_block_takes(const function_lowering *fl, const ir_value *root, ir_node *const *linears) {
  bool ahead = cg_reduces_ahead(fl, root) || is_computed_in_steps(fl, linears[0]->operands[0]);
  return fl->low->options->blocks && !ahead && !cg_linear_compute(fl, linears[0]);
}

bool cg_block_linear(function_lowering *fl, ir_value *root, ir_node **linears, int count, weir_status *out_status) {
  enum { FEW_ROWS = 16, FEW_MMA_ROWS = 8 };
  static const int64_t limits[] = {4, 8, 32}, mma_limits[] = {16, 32};
  cg_compute compute = cg_linear_compute(fl, linears[0]);
  ir_value *x = linears[0]->operands[0];
  if (!compute && !cg_block_takes(fl, root, linears)) return false;
  if (!fl->low->options->blocks || cg_reduces_ahead(fl, root) || compute > CG_COMPUTE_INT8_ROW) return false;
  block_linear few = product_of(fl, root, linears, count, compute), many;
  if (compute) {
    packed_rows packed;
    if ((*out_status = cg_pack_rows(fl, x, compute, &packed))) return true;
    if (!cg_block_mma_takes(&few, &packed)) return false;
    many = few;
    int64_t rows = cg_schedule_choice(fl->low, few.key, "few.rows", FEW_MMA_ROWS, mma_limits, 2);
    *out_status = cg_block_mma_few(&few, &packed, rows);
    if (!*out_status) *out_status = cg_block_mma_many(&many, &packed, rows);
    return true;
  }
  many = few;
  int64_t rows = cg_schedule_choice(fl->low, few.key, "few.rows", FEW_ROWS, limits, 3);
  *out_status = cg_block_few(&few, rows);
  if (!*out_status) *out_status = cg_block_many(&many, rows);
  return true;
}
