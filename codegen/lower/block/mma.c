// Products in bf16 and int8 by matrix units: outputs are the rows of mma.sync m16n8, rows of the input its columns.
//
// Weights are words of two bf16 or four codes, as the package has them or decoded; a panel's sixteen outputs are the
// rows of a fragment, in the order 0, 2, 4 .. 14, 1, 3 .. 15, so that what a thread holds of them stands side by side
// in memory. bf16: a slab of 32 inputs is two operations, the first 16 inputs first; a run is a chain of them from
// zeros. What one operation adds up is the machine's, the same for any number of rows: one row takes a fragment of
// eight. int8: see int8.c; int8_row: integers are added up to the end of a row, then scaled once.
//
//   few   a warp has two panels for eight rows and every so manieth run; sums of runs meet in shared memory
//   many  a warp has four panels for 32 rows; slabs of both factors stand in shared memory, copied ahead where they lie
//         in one place
#include "codegen/lower/block/mma.h"

enum {
  FEW_PANELS = 2,
  FEW_ROWS = 8,
  FEW_WARPS = 16,
  WARPS_UP = 2,
  WARPS_ACROSS = 2,
};

static ir_kbuilder *builder(mma_kernel *f) { return mma_builder(f); }
static int64_t panel_words(const mma_kernel *f) { return (int64_t)f->words * IR_LANES; }
static int64_t row_stride(const mma_kernel *f) { return f->words + 4; }

static bool rows_are_contiguous(const function_lowering *fl, const ir_value *value) {
  const value_info *info = cg_info(fl, value);
  return fl->out->slots[info->slot].first == info->ragged;
}

// Both kernels are opened by this; their panels, rows and threads are chosen.
static mma_kernel begin(block_linear *p, const packed_rows *x, const char *schedule, int vectors) {
  cg_weight_format format = p->format;
  bool int8 = format.compute == CG_COMPUTE_INT8, row = format.compute == CG_COMPUTE_INT8_ROW;
  mma_kernel f = {.p = p, .x = x, .int8 = int8, .row = row, .vectors = vectors};
  f.direct = row || format.layout == CG_LAYOUT_PAIRS;
  f.words = CG_BLOCK_SLAB / (int8 || row ? 4 : 2);
  f.halves = int8 || row ? 1 : 2;
  f.subs = int8 ? CG_BLOCK_SLAB / cg_panel_sub(p->k.storage) : 0;
  cg_block_begin(p, weir_arena_printf(p->k.fl->low->arena, "%s_%s", cg_compute_name(format.compute), schedule));
  return f;
}

static int64_t input_words(const mma_kernel *f) { return f->p->k.cols / CG_BLOCK_SLAB * f->words; }

bool cg_block_mma_takes(const block_linear *p, const packed_rows *x) {
  return p->k.cols % CG_BLOCK_SLAB == 0 && rows_are_contiguous(p->k.fl, x->codes);
}

// Word |at| of row |m| of the packed rows.
static ir_kplace input_word(mma_kernel *f, const ir_kexpr *m, const ir_kexpr *at) {
  linear_kernel *k = &f->p->k;
  int buffer = cg_emit_slot(&k->e, cg_info(k->fl, f->x->codes)->slot, IR_KB_IN);
  return ir_kb_place(buffer, IR_KT_u32, cg_linear_packed_place(k, f->x->codes, m, at));
}

static void bind_thread(mma_kernel *f) {
  ir_kbuilder *b = builder(f);
  f->lane = ir_kb_let(b, "lane", bk_mod(b, f->p->thread, IR_WARP));
  f->warp = ir_kb_let(b, "warp", bk_div(b, f->p->thread, IR_WARP));
  f->group = ir_kb_let(b, "group", bk_div(b, f->lane, 4));
  f->quad = ir_kb_let(b, "quad", bk_mod(b, f->lane, 4));
}

const ir_kexpr *cg_mma_weight_at(mma_kernel *f, const ir_kexpr *vector, const ir_kexpr *pair, const ir_kexpr *lane) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *half = bk_scaled(b, bk_mod(b, bk_div(b, pair, 2), 2), 8);
  const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, vector, panel_words(f)), bk_scaled(b, pair, IR_LANES));
  if (f->base) at = ir_kb_add(b, f->base, at);
  return ir_kb_add(b, at, ir_kb_op(b, IR_K_xor, IR_KT_i64, lane, half, NULL));
}

// Every second input completes a word.
static void store_pair(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  mma_kernel *f = user;
  ir_kbuilder *b = builder(f);
  if (!f->even) {
    f->even = w[0];
    return;
  }
  const ir_kexpr *pair = bk_div(b, ir_kb_sub(b, at, f->to.first), 2);
  ir_kb_store(b, IR_KT_u32, f->weights, cg_mma_weight_at(f, f->to.vector, pair, f->to.lane),
              ir_kb_op(b, IR_K_pack2, IR_KT_u32, f->even, w[0], NULL));
  f->even = NULL;
}

static ir_ktype sum_type(const mma_kernel *f) { return f->row ? IR_KT_i32 : IR_KT_f32; }

// Words of a fragment from |from| on. Codes of whole bytes lose the 128 that they are stored with.
static void read_words(mma_kernel *f, const ir_kexpr *i, int at, ir_kplace from, ir_khint hint) {
  ir_kbuilder *b = builder(f);
  ir_kb_read_vector(b, ir_kb_regs(f->a, i, bk_int(b, at), NULL), 2, from, hint);
  for (int n = at; f->row && n < at + 2; n++) {
    const ir_kexpr *word = ir_kb_read(b, f->a, i, bk_int(b, n), NULL);
    word = ir_kb_op(b, IR_K_xor, IR_KT_u32, word, ir_kb_const(b, IR_KT_u32, 0x80808080u), NULL);
    ir_kb_set(b, f->a, word, i, bk_int(b, n), NULL);
  }
}

// The fragment of operation |half| of the slab for panel |vector|, from shared memory.
static void read_weights(mma_kernel *f, int buffer, const ir_kexpr *i, const ir_kexpr *vector, const ir_kexpr *half) {
  ir_kbuilder *b = builder(f);
  for (int n = 0; n < 2; n++) {
    const ir_kexpr *pair = ir_kb_add(b, bk_plus(b, f->quad, 4 * n), bk_scaled(b, half, 8));
    const ir_kexpr *at = cg_mma_weight_at(f, vector, pair, bk_scaled(b, f->group, 2));
    read_words(f, i, 2 * n, ir_kb_place(buffer, IR_KT_u32, at), IR_KHINT_NONE);
  }
}

// Adds the fragment of panel |vector|, at hand, times that of eight |j| of rows, registers |from|, to accumulator |at|.
static void multiply(mma_kernel *f, const ir_kexpr *vector, const ir_kexpr *j, const ir_kexpr *at,
                     const ir_kexpr *from) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *zero = bk_int(b, 0);
  if (f->int8) cg_int8_multiply(f, vector, j, at);
  else
    ir_kb_mma(b, f->row ? IR_KMMA_s8 : IR_KMMA_bf16, ir_kb_regs(f->acc, at, zero, NULL),
              ir_kb_regs(f->a, zero, zero, NULL), ir_kb_regs(f->b, j, from, NULL));
}

// ---- few rows

// The fragment from the package, whose words are multiplied as they are.
static void read_package(mma_kernel *f, int matrix, int nth, const ir_kexpr *half) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *panel = bk_scaled(b, cg_block_panel(p, bk_int(b, nth)), cg_panel_words(p->k.storage, p->k.cols));
  panel = bk_plus(b, panel, cg_panel_front(p->k.storage));
  for (int n = 0; n < 2; n++) {
    const ir_kexpr *pair = ir_kb_add(b, bk_plus(b, f->quad, 4 * n), bk_scaled(b, half, 8));
    pair = ir_kb_add(b, pair, bk_scaled(b, f->slab, f->words));
    const ir_kexpr *at = ir_kb_add(b, panel, ir_kb_add(b, bk_scaled(b, pair, IR_LANES), bk_scaled(b, f->group, 2)));
    read_words(f, bk_int(b, 0), 2 * n, ir_kb_place(cg_block_weight(p, matrix), IR_KT_u32, at), IR_KHINT_STREAM);
  }
}

// A thread decodes one lane of the warp's two panels.
static void decode_few(mma_kernel *f, int matrix) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *nth = bk_div(b, f->lane, IR_LANES);
  cg_panel_operand op = {.buffer = cg_block_weight(p, matrix), .panel = ir_kb_let(b, "from", cg_block_panel(p, nth))};
  f->to = (block_lane){bk_plus(b, nth, FEW_PANELS * matrix), bk_mod(b, f->lane, IR_LANES),
                       bk_scaled(b, f->slab, CG_BLOCK_SLAB)};
  if (f->int8) cg_panel_emit_codes_part(b, p->k.storage, p->k.cols, &op, f->to.lane, f->slab, cg_int8_visit, f);
  else cg_panel_emit_part(b, p->k.storage, p->k.cols, &op, f->to.lane, f->slab, bk_int(b, p->k.cols), store_pair, f);
}

static void multiply_few(mma_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *zero = bk_int(b, 0), *m = cg_block_row(p, f->group);
  if (!f->direct) {
    for (int n = 0; n < p->k.matrices; n++) decode_few(f, n);
    ir_kb_barrier_warp(b);
  }
  if (f->int8) {
    const ir_kexpr *rows[2];
    for (int r = 0; r < 2; r++) rows[r] = ir_kb_let(b, "m", cg_block_row(p, cg_mma_row_of(f, r)));
    cg_int8_read_rows(f, zero, rows);
  }
  const ir_kexpr *half = bk_unroll(b, "half", f->halves);
  for (int n = 0; n < 2; n++) {
    const ir_kexpr *at = ir_kb_add(b, bk_plus(b, f->quad, 4 * n), bk_scaled(b, half, 8));
    ir_kplace from = input_word(f, m, ir_kb_add(b, at, bk_scaled(b, f->slab, f->words)));
    ir_kb_set(b, f->b, ir_kb_load(b, IR_KT_u32, from.buffer, from.index), zero, bk_int(b, n), NULL);
  }
  for (int v = 0; v < FEW_PANELS * p->k.matrices; v++) {
    if (f->direct) read_package(f, v / FEW_PANELS, v % FEW_PANELS, half);
    else read_weights(f, f->weights, zero, bk_int(b, v), half);
    multiply(f, bk_int(b, v), zero, bk_int(b, v), zero);
  }
  ir_kb_end(b);
  if (!f->direct) ir_kb_barrier_warp(b);
}

// [run][row][matrix][column], four words between rows.
static const ir_kexpr *part_at(mma_kernel *f, const ir_kexpr *run, const ir_kexpr *row, const ir_kexpr *column) {
  ir_kbuilder *b = builder(f);
  int64_t width = FEW_PANELS * IR_LANES * f->p->k.matrices + 4;
  return ir_kb_add(b, bk_scaled(b, ir_kb_add(b, bk_scaled(b, run, FEW_ROWS), row), width), column);
}

const ir_kexpr *cg_block_finished(block_linear *p, const packed_rows *x, int matrix, const ir_kexpr *row,
                                  const ir_kexpr *column, const ir_kexpr *sum) {
  ir_kbuilder *b = &p->k.e.b;
  if (x->compute != CG_COMPUTE_INT8_ROW) return sum;
  const ir_kexpr *n = cg_block_column(p, column), *words = bk_int(b, cg_panel_words(p->k.storage, p->k.cols));
  const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, bk_div(b, n, IR_LANES), words), bk_mod(b, n, IR_LANES));
  const ir_kexpr *of_weight = ir_kb_load(b, IR_KT_f32, cg_block_weight(p, matrix), at);
  const ir_kexpr *m = cg_block_place(p, row);
  const ir_kexpr *of_row = cg_linear_packed(&p->k, x->scales, IR_KT_f32, m, bk_int(b, 0));
  return cg_linear_row_total(&p->k, sum, of_weight, of_row);
}

static const ir_kexpr *few_sum(void *user, int matrix, const ir_kexpr *row, const ir_kexpr *column) {
  mma_kernel *f = user;
  ir_kbuilder *b = builder(f);
  ir_kvar *total = ir_kb_reg(b, "total", sum_type(f), false, 0, NULL, ir_kb_const(b, sum_type(f), 0));
  const ir_kexpr *run = bk_for(b, "run", bk_int(b, 0), bk_int(b, f->p->runs.count), 1);
  const ir_kexpr *at = part_at(f, run, row, bk_plus(b, column, (int64_t)matrix * FEW_PANELS * IR_LANES));
  const ir_kexpr *part = ir_kb_load(b, sum_type(f), f->inputs, at);
  ir_kb_set(b, total, ir_kb_add(b, ir_kb_read(b, total, NULL, NULL, NULL), part), NULL, NULL, NULL);
  ir_kb_end(b);
  return cg_block_finished(f->p, f->x, matrix, row, column, ir_kb_read(b, total, NULL, NULL, NULL));
}

const ir_kexpr *cg_mma_row_of(mma_kernel *f, int i) {
  ir_kbuilder *b = builder(f);
  return bk_plus(b, bk_scaled(b, f->quad, 2), i % 2);
}
const ir_kexpr *cg_mma_lane_of(mma_kernel *f, int i) {
  ir_kbuilder *b = builder(f);
  return bk_plus(b, bk_scaled(b, f->group, 2), i / 2);
}

weir_status cg_block_mma_few(block_linear *p, const packed_rows *x, int64_t most_rows) {
  if (cg_block_codes_takes(p)) return cg_block_codes_few(p, x, most_rows);
  int warps = p->runs.count < FEW_WARPS ? p->runs.count : FEW_WARPS, vectors = FEW_PANELS * p->k.matrices;
  cg_block_fit_panels(p, FEW_PANELS);
  p->rows = FEW_ROWS;
  p->threads = warps * IR_WARP;
  mma_kernel f = begin(p, x, "few", vectors);
  ir_kbuilder *b = builder(&f);
  bind_thread(&f);
  f.inputs = ir_kb_add_shared(b, "parts", (int64_t)4 * p->runs.count * FEW_ROWS * (vectors * IR_LANES + 4));
  int64_t codes = vectors * panel_words(&f), each = codes + (f.int8 ? cg_int8_scale_words(&f) : 0);
  if (!f.direct) f.weights = ir_kb_add_shared(b, "weights", 4 * warps * each);
  f.base = bk_scaled(b, f.warp, each);
  f.scale_base = bk_plus(b, f.base, codes);
  int acc[2] = {vectors, 4}, a[2] = {1, 4}, in[2] = {1, 2};
  f.a = ir_kb_reg(b, "a", IR_KT_u32, false, 2, a, ir_kb_const(b, IR_KT_u32, 0));
  f.b = ir_kb_reg(b, "b", IR_KT_u32, false, 2, in, ir_kb_const(b, IR_KT_u32, 0));
  if (f.int8) cg_int8_registers(&f, 1);
  const ir_kexpr *run = bk_for(b, "run", f.warp, bk_int(b, p->runs.count), warps);
  f.acc = ir_kb_reg(b, "acc", sum_type(&f), false, 2, acc, ir_kb_const(b, sum_type(&f), 0));
  int64_t length = p->runs.length / CG_BLOCK_SLAB;
  const ir_kexpr *first = bk_scaled(b, run, length), *end = bk_plus(b, first, length);
  f.slab = bk_for(b, "slab", first, ir_kb_min(b, end, bk_int(b, p->k.cols / CG_BLOCK_SLAB)), 1);
  multiply_few(&f);
  ir_kb_end(b);
  for (int v = 0; v < vectors; v++)
    for (int i = 0; i < 4; i++)
      ir_kb_store(b, sum_type(&f), f.inputs,
                  part_at(&f, run, cg_mma_row_of(&f, i), bk_plus(b, cg_mma_lane_of(&f, i), (int64_t)v * IR_LANES)),
                  ir_kb_read(b, f.acc, bk_int(b, v), bk_int(b, i), NULL));
  ir_kb_end(b);
  cg_block_store(p, few_sum, &f);
  return cg_block_finish(p, 0, most_rows + 1);
}

// ---- many rows

static const ir_kexpr *stage_of(mma_kernel *f, const ir_kexpr *slab) {
  return bk_mod(builder(f), slab, CG_BLOCK_STAGES);
}

static const ir_kexpr *input_at(mma_kernel *f, const ir_kexpr *slab, const ir_kexpr *row, const ir_kexpr *word) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *stage = bk_scaled(b, stage_of(f, slab), f->p->rows * row_stride(f));
  return ir_kb_add(b, ir_kb_add(b, stage, bk_scaled(b, row, row_stride(f))), word);
}

static const ir_kexpr *copied_at(void *user, const ir_kexpr *row, const ir_kexpr *word) {
  mma_kernel *f = user;
  return input_at(f, f->copied, row, word);
}

static void stage_rows(mma_kernel *f, const ir_kexpr *slab) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *i = bk_for(b, "i", p->thread, bk_int(b, (int64_t)p->rows * f->words / 4), p->threads);
  const ir_kexpr *row = ir_kb_let(b, "row", bk_div(b, i, f->words / 4));
  const ir_kexpr *word = ir_kb_let(b, "word", bk_scaled(b, bk_mod(b, i, f->words / 4), 4));
  const ir_kexpr *at = ir_kb_let(b, "at", ir_kb_add(b, bk_scaled(b, slab, f->words), word));
  ir_kb_async(b, ir_kb_place(f->inputs, IR_KT_u32, input_at(f, slab, row, word)),
              input_word(f, cg_block_row(p, row), at), 16, bk_less(b, at, bk_int(b, input_words(f))), IR_KHINT_NONE);
  ir_kb_end(b);
}

static void stage(mma_kernel *f, const ir_kexpr *slab) {
  block_linear *p = f->p;
  f->copied = slab;
  if (p->windows) cg_windows_copy(p, f->inputs, slab, copied_at, f);
  else stage_rows(f, slab);
  if (f->ahead) cg_block_stage_packed(p, &f->packed, slab, stage_of(f, slab));
  ir_kb_commit(builder(f));
}

// The warp's first panel and row.
static const ir_kexpr *warp_panel(mma_kernel *f) {
  return bk_scaled(builder(f), bk_mod(builder(f), f->warp, WARPS_UP), f->high);
}
static const ir_kexpr *warp_row(mma_kernel *f) {
  return bk_scaled(builder(f), bk_div(builder(f), f->warp, WARPS_UP), 8 * CG_MMA_WIDE);
}

// Fragments of the warp's rows; of int8 the rows' scales as well.
static void read_inputs(mma_kernel *f) {
  ir_kbuilder *b = builder(f);
  int matrices = f->words / 4;  // of eight rows and four words
  const ir_kexpr *zero = bk_int(b, 0), *j = bk_unroll(b, "j", CG_MMA_WIDE);
  const ir_kexpr *row = ir_kb_add(b, warp_row(f), bk_scaled(b, j, 8));
  const ir_kexpr *nth = bk_mod(b, bk_div(b, f->lane, 8), matrices);
  const ir_kexpr *from = input_at(f, f->slab, ir_kb_add(b, row, bk_mod(b, f->lane, 8)), bk_scaled(b, nth, 4));
  ir_kb_ldmatrix(b, ir_kb_regs(f->b, j, zero, NULL), matrices, ir_kb_place(f->inputs, IR_KT_u16, bk_scaled(b, from, 2)),
                 false);
  if (f->int8) {
    const ir_kexpr *rows[2];
    for (int r = 0; r < 2; r++) rows[r] = ir_kb_let(b, "m", cg_block_row(f->p, ir_kb_add(b, row, cg_mma_row_of(f, r))));
    cg_int8_read_rows(f, j, rows);
  }
  ir_kb_end(b);
}

static void multiply_slab(mma_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *zero = bk_int(b, 0);
  read_inputs(f);
  const ir_kexpr *half = bk_unroll(b, "half", f->halves);
  if (f->direct) f->base = bk_scaled(b, stage_of(f, f->slab), f->vectors * panel_words(f));
  for (int m = 0; m < p->k.matrices; m++) {
    const ir_kexpr *i = bk_unroll(b, "i", f->high);
    const ir_kexpr *vector = bk_plus(b, ir_kb_add(b, warp_panel(f), i), (int64_t)m * p->panels);
    read_weights(f, f->direct ? f->packed.buffer : f->weights, zero, vector, half);
    const ir_kexpr *j = bk_unroll(b, "j", CG_MMA_WIDE);
    const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, bk_plus(b, i, m * f->high), CG_MMA_WIDE), j);
    multiply(f, vector, j, at, bk_scaled(b, half, 2));
    ir_kb_end(b);
    ir_kb_end(b);
  }
  ir_kb_end(b);
}

static void end_run(mma_kernel *f, int tiles) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  if (!f->total) return;
  const ir_kexpr *next = bk_plus(b, f->slab, 1);
  const ir_kexpr *whole = bk_mod(b, next, p->runs.length / CG_BLOCK_SLAB), *zero = bk_int(b, 0);
  whole = ir_kb_op(b, IR_K_eq, IR_KT_bool, whole, zero, NULL);
  const ir_kexpr *last = ir_kb_op(b, IR_K_eq, IR_KT_bool, next, bk_int(b, p->k.cols / CG_BLOCK_SLAB), NULL);
  ir_kb_if(b, ir_kb_op(b, IR_K_or, IR_KT_bool, whole, last, NULL));
  const ir_kexpr *i = bk_unroll(b, "i", tiles), *j = bk_unroll(b, "j", 4);
  ir_kb_set(b, f->total, ir_kb_add(b, ir_kb_read(b, f->total, i, j, NULL), ir_kb_read(b, f->acc, i, j, NULL)), i, j,
            NULL);
  ir_kb_set(b, f->acc, bk_zero(b), i, j, NULL);
  for (int n = 0; n < 3; n++) ir_kb_end(b);
}

// Sums lie over the slabs: [row][matrix][column], rows four words more apart.
static const ir_kexpr *sum_at(mma_kernel *f, const ir_kexpr *row, const ir_kexpr *column) {
  ir_kbuilder *b = builder(f);
  return ir_kb_add(b, bk_scaled(b, row, (int64_t)f->p->panels * IR_LANES * f->p->k.matrices + 4), column);
}

static const ir_kexpr *many_sum(void *user, int matrix, const ir_kexpr *row, const ir_kexpr *column) {
  mma_kernel *f = user;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *at = sum_at(f, row, bk_plus(b, column, (int64_t)matrix * f->p->panels * IR_LANES));
  return cg_block_finished(f->p, f->x, matrix, row, column, ir_kb_load(b, sum_type(f), f->inputs, at));
}

static void store_sums(mma_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  ir_kb_barrier(b);
  for (int m = 0; m < p->k.matrices; m++) {
    const ir_kexpr *i = bk_unroll(b, "i", f->high), *j = bk_unroll(b, "j", CG_MMA_WIDE);
    const ir_kexpr *at = ir_kb_add(b, bk_scaled(b, bk_plus(b, i, m * f->high), CG_MMA_WIDE), j);
    const ir_kexpr *column = bk_scaled(b, bk_plus(b, ir_kb_add(b, warp_panel(f), i), (int64_t)m * p->panels), IR_LANES);
    const ir_kexpr *row = ir_kb_add(b, warp_row(f), bk_scaled(b, j, 8));
    for (int n = 0; n < 4; n++)
      ir_kb_store(b, sum_type(f), f->inputs,
                  sum_at(f, ir_kb_add(b, row, cg_mma_row_of(f, n)), ir_kb_add(b, column, cg_mma_lane_of(f, n))),
                  ir_kb_read(b, f->total ? f->total : f->acc, at, bk_int(b, n), NULL));
    ir_kb_end(b);
    ir_kb_end(b);
  }
  cg_block_store(p, many_sum, f);
}

static void add_memory(mma_kernel *f, int tiles) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  int64_t inputs = 4 * CG_BLOCK_STAGES * p->rows * row_stride(f);
  int64_t sums = (int64_t)4 * p->rows * (f->vectors * IR_LANES + 4), codes = f->vectors * panel_words(f);
  f->inputs = ir_kb_add_shared(b, "inputs", inputs > sums ? inputs : sums);
  if (!f->direct) f->weights = ir_kb_add_shared(b, "weights", 4 * (codes + (f->int8 ? cg_int8_scale_words(f) : 0)));
  f->scale_base = bk_int(b, codes);
  if (f->ahead) cg_block_add_packed(p, &f->packed, 0);
  int acc[2] = {tiles, 4}, a[2] = {1, 4}, in[2] = {CG_MMA_WIDE, f->words / 4};
  f->acc = ir_kb_reg(b, "acc", sum_type(f), false, 2, acc, ir_kb_const(b, sum_type(f), 0));
  f->total = p->runs.count > 1 && !f->row ? ir_kb_reg(b, "total", IR_KT_f32, false, 2, acc, bk_zero(b)) : NULL;
  f->a = ir_kb_reg(b, "a", IR_KT_u32, false, 2, a, ir_kb_const(b, IR_KT_u32, 0));
  f->b = ir_kb_reg(b, "b", IR_KT_u32, false, 2, in, ir_kb_const(b, IR_KT_u32, 0));
  if (f->int8) cg_int8_registers(f, CG_MMA_WIDE);
}

weir_status cg_block_mma_many(block_linear *p, const packed_rows *x, int64_t few_rows) {
  int high = cg_block_fit_panels(p, WARPS_UP * CG_MMA_HIGH / p->k.matrices) / WARPS_UP;
  int tiles = high * CG_MMA_WIDE * p->k.matrices;
  p->rows = WARPS_ACROSS * CG_MMA_WIDE * 8;
  p->threads = WARPS_UP * WARPS_ACROSS * IR_WARP;
  mma_kernel f = begin(p, x, "pipelined", p->panels * p->k.matrices);
  ir_kbuilder *b = builder(&f);
  f.ahead = f.direct || cg_block_has_slabs(p->k.storage);
  f.packed.exchanged = f.direct;
  f.high = high;
  bind_thread(&f);
  if (p->windows && !cg_windows_bind(p)) p->k.e.unsupported = "a convolution of this image";
  add_memory(&f, tiles);
  for (int s = 0; s < CG_BLOCK_STAGES - 1; s++) stage(&f, bk_int(b, s));
  f.slab = bk_for(b, "slab", bk_int(b, 0), bk_int(b, p->k.cols / CG_BLOCK_SLAB), 1);
  ir_kb_wait(b, CG_BLOCK_STAGES - 2);
  ir_kb_barrier(b);
  stage(&f, bk_plus(b, f.slab, CG_BLOCK_STAGES - 1));
  if (!f.direct) {
    const block_packed *packed = f.ahead ? &f.packed : NULL;
    cg_block_decode(p, packed, f.slab, stage_of(&f, f.slab), &f.to, store_pair, f.int8 ? cg_int8_visit : NULL, &f);
    ir_kb_barrier(b);
  }
  multiply_slab(&f);
  end_run(&f, tiles);
  ir_kb_end(b);
  ir_kb_wait(b, 0);
  store_sums(&f);
  return cg_block_finish(p, few_rows + 1, INT64_MAX);
}
