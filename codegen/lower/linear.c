// Products with a packed matrix: y = epilogue(x w^T), one or two matrices of equal form sharing x. Here is what the
// schedules share (linear_float.c, linear_dot.c) and the choice between them.
//
// One work item computes a block of columns (up to four panels of 16) for a chunk of rows. Whatever the schedule, an
// output element is one lane's accumulator that takes its inputs in order, so its bits are the same in a tile of any
// height, at any number of rows and threads.
#include <string.h>

#include "codegen/lower/block/block.h"

void cg_linear_row(linear_kernel *k, const ir_kexpr *m, const ir_kexpr **idx) {
  ir_kbuilder *b = &k->e.b;
  const value_info *info = cg_info(k->fl, k->domain);
  const ir_kexpr *rest = ir_kb_mod(b, m, k->leading);
  cg_emit_set_row(&k->e, k->domain, ir_kb_div(b, m, k->leading), idx);
  int last = k->domain->type.rank - 1;
  for (int i = last - 1; i >= 0; i--) {
    if (info->ragged >> i & 1) continue;
    const ir_kexpr *dim = cg_dim_expr(&k->e, k->domain->type.dims[i]);
    idx[i] = ir_kb_mod(b, rest, dim);
    rest = ir_kb_div(b, rest, dim);
  }
}

static void begin_registers(linear_kernel *k, int height) {
  int dims[2] = {height, k->panels};
  for (int m = 0; m < k->matrices; m++)
    k->acc[m] = ir_kb_reg(&k->e.b, m ? "acc2" : "acc", IR_KT_f32, true, 2, dims, ir_kb_const(&k->e.b, IR_KT_f32, 0));
}

const ir_kexpr *cg_linear_column(linear_kernel *k, const ir_kexpr *panel) {
  ir_kbuilder *b = &k->e.b;
  return ir_kb_add(b, k->column, ir_kb_mul(b, cg_linear_panel(k, panel), ir_kb_int(b, IR_LANES)));
}

static const ir_kexpr *panel_column(linear_kernel *k, int p) { return cg_linear_column(k, ir_kb_int(&k->e.b, p)); }

int cg_linear_operands(linear_kernel *k, cg_panel_operand *out) {
  ir_kbuilder *b = &k->e.b;
  int count = 0;
  for (int m = 0; m < k->matrices; m++) {
    int buffer = cg_emit_slot(&k->e, cg_info(k->fl, k->linears[m]->operands[1])->slot, IR_KB_IN);
    const ir_kexpr *first = ir_kb_div(b, k->column, ir_kb_int(b, IR_LANES));
    for (int p = 0; p < k->panels; p++)
      out[count++] =
          (cg_panel_operand){.buffer = buffer, .panel = ir_kb_add(b, first, cg_linear_panel(k, ir_kb_int(b, p)))};
  }
  return count;
}

void cg_linear_store_row(linear_kernel *k, const ir_kexpr *m, const ir_kexpr *n, const ir_kexpr *const *sums) {
  const ir_kexpr *idx[IR_MAX_RANK];
  cg_linear_row(k, m, idx);
  idx[k->root->type.rank - 1] = n;
  int bound = k->e.bound_count;
  for (int j = 0; j < k->matrices; j++)
    if (k->linears[j]->results[0] != k->root) cg_bind(&k->e, k->linears[j]->results[0], idx, 0, sums[j]);
  const ir_kexpr *value = k->linears[0]->results[0] == k->root ? sums[0] : cg_emit_value(&k->e, k->root, idx);
  cg_emit_store(&k->e, k->root, cg_info(k->fl, k->root)->slot, idx, value);
  k->e.bound_count = bound;
}

void cg_linear_store_registers(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", ir_kb_int(b, 0), k->tile, 1);
  for (int p = 0; p < k->panels; p++) {
    const ir_kexpr *panel = ir_kb_int(b, p), *sums[2];
    for (int m = 0; m < k->matrices; m++) sums[m] = ir_kb_read(b, k->acc[m], i, panel, NULL);
    cg_linear_store_row(k, ir_kb_add(b, k->first, i), ir_kb_add(b, panel_column(k, p), k->lane), sums);
  }
  ir_kb_end(b);
}

// ---- sums in local memory: [row of the chunk][matrix][panel][lane]

const ir_kexpr *cg_linear_sum_index(linear_kernel *k, const ir_kexpr *row, const ir_kexpr *vector,
                                    const ir_kexpr *lane) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *at =
      ir_kb_mul(b, ir_kb_sub(b, row, k->lo), ir_kb_int(b, (int64_t)k->matrices * k->panels * IR_LANES));
  return ir_kb_add(b, ir_kb_add(b, at, ir_kb_mul(b, vector, ir_kb_int(b, IR_LANES))), lane);
}

static const ir_kexpr *sum_index(linear_kernel *k, const ir_kexpr *row, int matrix, int panel, const ir_kexpr *lane) {
  return cg_linear_sum_index(k, row, ir_kb_int(&k->e.b, matrix * k->panels + panel), lane);
}

void cg_linear_spill(linear_kernel *k, bool load) {
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

void cg_linear_store_sums(linear_kernel *k) {
  if (k->half) {
    cg_linear_store_turned(k);
    return;
  }
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *row = ir_kb_for(b, IR_KR_SERIAL, "m", k->lo, k->hi, 1);
  for (int p = 0; p < k->panels; p++) {
    const ir_kexpr *first = panel_column(k, p);
    const ir_kexpr *width = ir_kb_int(b, IR_LANES);
    if (k->outs % IR_LANES != 0) width = ir_kb_min(b, width, ir_kb_sub(b, ir_kb_int(b, k->outs), first));
    const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", ir_kb_int(b, 0), width, 1), *sums[2];
    for (int m = 0; m < k->matrices; m++) sums[m] = ir_kb_load(b, IR_KT_f32, k->sums, sum_index(k, row, m, p, lane));
    cg_linear_store_row(k, row, ir_kb_add(b, first, lane), sums);
    ir_kb_end(b);
  }
  ir_kb_end(b);
}

void cg_linear_add_sums(linear_kernel *k) {
  int rows = k->most_rows ? k->most_rows : CG_CHUNK_ROWS;
  int64_t count = (int64_t)rows * k->matrices * k->panels * IR_LANES;
  k->sums = cg_linear_local(k, "sums", 4 * count);
}

// ---- schedules

// Heights of row tiles such that the accumulators of |vectors| registers a row fit into 32 registers.
int cg_linear_heights(int vectors, int limit, int *out) {
  static const int heights[] = {6, 4, 2, 1};
  int count = 0;
  for (int i = 0; i < 4; i++)
    if (heights[i] <= limit && heights[i] * vectors <= 24) out[count++] = heights[i];
  return count;
}

void cg_linear_open_tile(linear_kernel *k, const int *heights, int count) {
  ir_kbuilder *b = &k->e.b;
  k->first = ir_kb_tiles(b, "m", k->lo, k->hi, heights, count, &k->tile);
  k->lane = ir_kb_for(b, IR_KR_LANES, "l", ir_kb_int(b, 0), ir_kb_int(b, IR_LANES), 1);
  begin_registers(k, heights[0]);
}

void cg_linear_close_tile(linear_kernel *k) {
  ir_kb_end(&k->e.b);
  ir_kb_end(&k->e.b);
}

void cg_linear_clear_sums(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *count =
      ir_kb_mul(b, ir_kb_sub(b, k->hi, k->lo), ir_kb_int(b, (int64_t)k->matrices * k->panels * IR_LANES));
  const ir_kexpr *i = ir_kb_for(b, IR_KR_LANES, "i", ir_kb_int(b, 0), count, 1);
  ir_kb_store(b, IR_KT_f32, k->sums, i, ir_kb_const(b, IR_KT_f32, 0));
  ir_kb_end(b);
}

static const ir_kexpr *leading_rows(linear_kernel *k) {
  const value_info *info = cg_info(k->fl, k->domain);
  const ir_kexpr *total = ir_kb_int(&k->e.b, 1);
  for (int i = 0; i < k->domain->type.rank - 1; i++)
    if (!(info->ragged >> i & 1)) total = ir_kb_mul(&k->e.b, total, cg_dim_expr(&k->e, k->domain->type.dims[i]));
  return total;
}

int cg_linear_panels(int64_t outs, int wanted) {
  int64_t all = (outs + IR_LANES - 1) / IR_LANES;
  int panels = wanted < 1 ? 1 : wanted;
  while (all % panels) panels /= 2;
  return panels;
}

const char *cg_linear_key(function_lowering *fl, weir_storage storage, const char *compute, int count,
                          const ir_type *matrix) {
  return weir_arena_printf(fl->low->arena, "linear%s_%s%s%s_%lldx%lld", count > 1 ? "2" : "",
                           weir_storage_name(storage), *compute ? "_" : "", compute,
                           (long long)cg_const_dim(matrix->dims[0]), (long long)cg_const_dim(matrix->dims[1]));
}

static const ir_kexpr *pieces(ir_kbuilder *b, const ir_kexpr *all, const ir_kexpr *size) {
  return ir_kb_div(b, ir_kb_add(b, all, ir_kb_sub(b, size, ir_kb_int(b, 1))), size);
}

// As few chunks as |most_rows| allows, two from half of that on (threads share them), of whole tiles.
static const ir_kexpr *even_chunk(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *one = ir_kb_int(b, 1), *tile = ir_kb_int(b, CG_TILE_ROWS);
  const ir_kexpr *two = ir_kb_min(b, pieces(b, k->rows, ir_kb_int(b, k->most_rows / 2)), ir_kb_int(b, 2));
  const ir_kexpr *chunks = ir_kb_op(b, IR_K_max, IR_KT_i64, pieces(b, k->rows, ir_kb_int(b, k->most_rows)), two, NULL);
  const ir_kexpr *rows = pieces(b, k->rows, ir_kb_op(b, IR_K_max, IR_KT_i64, chunks, one, NULL));
  return ir_kb_mul(b, ir_kb_op(b, IR_K_max, IR_KT_i64, pieces(b, rows, tile), one, NULL), tile);
}

void cg_linear_open(linear_kernel *k, const char *name, const char *banner) {
  cg_emit_begin(&k->e, k->fl, k->root, name, banner);
  k->leading = leading_rows(k);
  k->rows = ir_kb_mul(&k->e.b, cg_emit_rows(&k->e, k->domain), k->leading);
}

void cg_linear_init(linear_kernel *k, function_lowering *fl, const linear_part *part) {
  const ir_value *w = part->linears[0]->operands[1];
  *k = (linear_kernel){.fl = fl, .root = part->root, .linears = part->linears, .matrices = part->matrices};
  k->storage = fl->out->formats[w->result].storage;
  k->outs = cg_const_dim(w->type.dims[0]);
  k->cols = cg_const_dim(w->type.dims[1]);
  k->tail = part->tail.value ? &part->tail : cg_tail_of(fl, part->root);
}

static int64_t blocks_of(const linear_kernel *k) { return (k->outs + IR_LANES - 1) / IR_LANES / k->panels; }

void cg_linear_begin(linear_launch *launch, const char *name, const char *banner) {
  emitter *e = &launch->e;
  ir_kbuilder *b = &e->b;
  linear_kernel *first = launch->parts[0];
  if (launch->count > 1) name = weir_arena_printf(first->fl->low->arena, "%s_and%d", name, launch->count - 1);
  cg_emit_begin(e, first->fl, first->root, name, banner);
  const ir_kexpr *items = ir_kb_int(b, 0);
  for (int i = 0; i < launch->count; i++) {
    linear_kernel *k = launch->parts[i];
    k->e = *e;
    if (k->tail) cg_emit_slot(&k->e, cg_info(k->fl, k->root)->slot, IR_KB_INOUT);
    k->leading = leading_rows(k);
    k->rows = ir_kb_mul(&k->e.b, cg_emit_rows(&k->e, k->domain), k->leading);
    k->chunk = k->most_rows ? even_chunk(k) : ir_kb_int(&k->e.b, CG_CHUNK_ROWS);
    k->chunks = pieces(&k->e.b, k->rows, k->chunk);
    k->begin_item = items;
    k->end_item = items = ir_kb_add(&k->e.b, items, ir_kb_mul(&k->e.b, k->chunks, ir_kb_int(&k->e.b, blocks_of(k))));
    *e = k->e;
  }
  launch->item = ir_kb_set_grid(b, items, "item");
}

void cg_linear_open_part(linear_launch *launch, linear_kernel *k) {
  emitter *e = &k->e;
  ir_kbuilder *b = &e->b;
  *e = launch->e;
  if (++launch->opened < launch->count) ir_kb_if(b, ir_kb_op(b, IR_K_lt, IR_KT_bool, launch->item, k->end_item, NULL));
  e->root = k->root;
  e->request = NULL;
  e->fact_count = 0;
  const ir_kexpr *nth = launch->item;
  if (launch->opened > 1) nth = ir_kb_let(b, "nth", ir_kb_sub(b, nth, k->begin_item));
  if (k->most_rows) {
    k->chunk = ir_kb_let(b, "chunk", k->chunk);
    k->chunks = ir_kb_let(b, "chunks", k->chunks);
  }
  const ir_kexpr *first = cg_linear_first_panel(k, ir_kb_div(b, nth, k->chunks));
  k->column = ir_kb_let(b, "column", ir_kb_mul(b, first, ir_kb_int(b, IR_LANES)));
  k->lo = ir_kb_let(b, "lo", ir_kb_mul(b, ir_kb_mod(b, nth, k->chunks), k->chunk));
  k->hi = ir_kb_let(b, "hi", ir_kb_min(b, ir_kb_add(b, k->lo, k->chunk), k->rows));
}

// Who has the last columns of a chunk's rows goes on with what follows from whole rows.
void cg_linear_close_part(linear_launch *launch, linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  if (k->tail) {
    cg_emit_arrive(&k->e, k->tail->counters, k->lo, ir_kb_int(b, blocks_of(k)));
    cg_emit_tail_rows(&k->e, k->tail, k->lo, k->hi);
    ir_kb_end(b);
  }
  if (launch->opened < launch->count) ir_kb_else(b);
  launch->e = k->e;
}

weir_status cg_linear_finish(linear_kernel *k, int64_t guard_lo, int64_t guard_hi) {
  if (guard_hi) {
    k->e.item.guarded = true;
    k->e.item.guard = k->rows;
    k->e.item.guard_lo = guard_lo;
    k->e.item.guard_hi = guard_hi;
  }
  return cg_emit_finish(&k->e);
}

weir_status cg_linear_finish_launch(linear_launch *launch, int64_t guard_lo, int64_t guard_hi) {
  for (int i = 1; i < launch->count; i++) ir_kb_end(&launch->e.b);
  launch->parts[0]->e = launch->e;
  return cg_linear_finish(launch->parts[0], guard_lo, guard_hi);
}

int cg_linear_local(linear_kernel *k, const char *name, int64_t bytes) {
  ir_kbuilder *b = &k->e.b;
  for (int i = 0; i < b->kernel->buffer_count; i++) {
    ir_kbuffer *buffer = &b->kernel->buffers[i];
    if (buffer->kind != IR_KB_LOCAL || strcmp(buffer->name, name)) continue;
    if (buffer->bytes->i < bytes) buffer->bytes = ir_kb_int(b, bytes);
    return i;
  }
  return ir_kb_add_buffer(b, IR_KB_LOCAL, name, ir_kb_int(b, bytes), -1);
}

bool cg_is_panel_linear(const function_lowering *fl, const ir_value *root, const ir_node *linear) {
  const ir_value *w = linear->operands[1];
  bool packed =
      !w->def && fl->function->params[w->result].kind == IR_PARAM_WEIGHT && cg_is_panel(fl->out->formats[w->result]);
  return packed && cg_compute_type(root->type.dtype) == IR_KT_f32 &&
         !(cg_info(fl, root)->ragged >> (root->type.rank - 1) & 1);
}

weir_status cg_lower_linear(function_lowering *fl, ir_value *root, ir_node **linears, int linear_count) {
  if (!cg_is_panel_linear(fl, root, linears[0])) return cg_lower_product(fl, root);
  weir_status done;
  if (cg_block_linear(fl, root, linears, linear_count, &done)) return done;
  linear_part parts[CG_MAX_PARTS] = {{.root = root, .matrices = linear_count}};
  for (int i = 0; i < linear_count; i++) parts[0].linears[i] = linears[i];
  int count = cg_linear_join(fl, parts);
  cg_info(fl, root)->is_lowered = true;
  if (cg_linear_compute(fl, linears[0])) return cg_lower_linear_dot(fl, parts, count);
  return cg_lower_linear_float(fl, parts, count);
}
