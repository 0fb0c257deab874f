// A packed matrix times many rows, float32: slabs of inputs in shared memory, tiles of sums in registers.
//
// A ladder of one template (choice "schedule"): 0 plain, a thread has one output and reads both factors where they lie;
// 1 tiled, a block decodes a slab of weights once for its rows; 2 pipelined, slabs are copied ahead of their use by
// asynchronous copies, as packed as they are. All add the same products in the same order.
//
// Tiled: rows stand as [row][input], a little apart, weights as [panel][input][lane] like a panel of float32. A thread
// has four lanes each of panels p and p + panels / 2, for four rows that stand a quarter of the block's rows apart, so
// that neighbouring threads read neighbouring words.
#include "codegen/lower/block/block.h"

enum {
  PLAIN,
  TILED,
  PIPELINED,
  TALL = 4,                                // rows of a thread
  WIDE = 8,                                // columns of a thread and matrix
  ROW = CG_BLOCK_SLAB + 4,                 // words from row to row
  PANEL = (CG_BLOCK_SLAB + 1) * IR_LANES,  // words from panel to panel
};

typedef struct {
  block_linear *p;
  bool ahead, fours, raw, direct;  // rows, weights are copied asynchronously; weights are multiplied as they lie
  int vectors;                     // panels of all matrices
  int inputs, weights;             // SHARED
  block_packed packed;
  const ir_kexpr *slab, *start;       // number, first input
  const ir_kexpr *length;             // inputs in it
  const ir_kexpr *quad, *pair, *row;  // of the thread: first lane, first panel, first row
  ir_kvar *acc, *total, *x, *w;
  const ir_kexpr *copied;  // slab that is being copied
  block_lane to;           // what is being decoded
} many_kernel;

static ir_kbuilder *builder(many_kernel *f) { return &f->p->k.e.b; }

static const ir_kexpr *stage_of(many_kernel *f, const ir_kexpr *slab) {
  return f->ahead ? bk_mod(builder(f), slab, CG_BLOCK_STAGES) : bk_int(builder(f), 0);
}

// ---- slabs into shared memory

// Where input |at| of row |row| of slab |slab| stands.
static const ir_kexpr *input_at(many_kernel *f, const ir_kexpr *slab, const ir_kexpr *row, const ir_kexpr *at) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *stage = bk_scaled(b, stage_of(f, slab), (int64_t)f->p->rows * ROW);
  return ir_kb_add(b, ir_kb_add(b, stage, bk_scaled(b, row, ROW)), at);
}

static const ir_kexpr *copied_at(void *user, const ir_kexpr *row, const ir_kexpr *at) {
  many_kernel *f = user;
  return input_at(f, f->copied, row, at);
}

static void stage_inputs(many_kernel *f, const ir_kexpr *slab) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  int each = f->fours ? 4 : 1, per_row = CG_BLOCK_SLAB / each, four = 4;
  const ir_kexpr *i = bk_for(b, "i", p->thread, bk_int(b, (int64_t)p->rows * per_row), p->threads);
  const ir_kexpr *row = ir_kb_let(b, "row", bk_div(b, i, per_row));
  const ir_kexpr *at = ir_kb_let(b, "at", bk_scaled(b, bk_mod(b, i, per_row), each));
  const ir_kexpr *k = ir_kb_let(b, "k", ir_kb_add(b, bk_scaled(b, slab, CG_BLOCK_SLAB), at));
  bool rest = p->k.cols % CG_BLOCK_SLAB != 0 || f->ahead;
  const ir_kexpr *some = rest ? bk_less(b, k, bk_int(b, p->k.cols)) : NULL;
  if (rest && !f->ahead) ir_kb_if(b, some);
  const ir_kexpr *x = cg_block_input(p, cg_block_row(p, row), k), *to = input_at(f, slab, row, at);
  if (f->ahead) {
    ir_kb_async(b, ir_kb_place(f->inputs, IR_KT_f32, to), ir_kb_place(x->index, IR_KT_f32, x->args[0]), 16, some,
                IR_KHINT_NONE);
  } else if (f->fours) {
    ir_kvar *values = ir_kb_reg(b, "xs", IR_KT_f32, false, 1, &four, bk_zero(b));
    ir_kregs all = ir_kb_regs(values, bk_int(b, 0), NULL, NULL);
    ir_kb_read_vector(b, all, 4, ir_kb_place(x->index, IR_KT_f32, x->args[0]), IR_KHINT_NONE);
    ir_kb_write_vector(b, ir_kb_place(f->inputs, IR_KT_f32, to), all, 4, IR_KHINT_NONE);
  } else {
    ir_kb_store(b, IR_KT_f32, f->inputs, to, x);
  }
  if (rest && !f->ahead) ir_kb_end(b);
  ir_kb_end(b);
}

static void stage_ahead(many_kernel *f, const ir_kexpr *slab) {
  ir_kbuilder *b = builder(f);
  f->copied = slab;
  if (f->p->windows) cg_windows_copy(f->p, f->inputs, slab, copied_at, f);
  else stage_inputs(f, slab);
  if (f->raw) cg_block_stage_packed(f->p, &f->packed, slab, stage_of(f, slab));
  ir_kb_commit(b);
}

// Word of input |at| of the slab, panel |panel| of all, in |lane|.
static const ir_kexpr *weight_at(many_kernel *f, const ir_kexpr *panel, const ir_kexpr *at, const ir_kexpr *lane) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *word = ir_kb_add(b, bk_scaled(b, panel, PANEL), bk_scaled(b, at, IR_LANES));
  if (f->direct) word = ir_kb_add(b, bk_scaled(b, stage_of(f, f->slab), (int64_t)f->vectors * PANEL), word);
  return ir_kb_add(b, word, lane);
}

static void store_decoded(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  many_kernel *f = user;
  const block_lane *to = &f->to;
  ir_kb_store(builder(f), IR_KT_f32, f->weights,
              weight_at(f, to->vector, ir_kb_sub(builder(f), at, to->first), to->lane), w[0]);
}

// ---- sums

static void read_four(many_kernel *f, ir_kvar *to, const ir_kexpr *i, int64_t at, int buffer, const ir_kexpr *from) {
  ir_kbuilder *b = builder(f);
  ir_kregs regs = i ? ir_kb_regs(to, i, bk_int(b, at), NULL) : ir_kb_regs(to, bk_int(b, at), NULL, NULL);
  ir_kb_read_vector(b, regs, 4, ir_kb_place(buffer, IR_KT_f32, from), IR_KHINT_NONE);
}

static const ir_kexpr *thread_row(many_kernel *f, const ir_kexpr *i) {
  ir_kbuilder *b = builder(f);
  return ir_kb_add(b, f->row, bk_scaled(b, i, f->p->rows / TALL));
}

static void multiply_slab(many_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  int step = p->k.cols % 4 == 0 ? 4 : 1;
  const ir_kexpr *k = bk_for(b, "k", bk_int(b, 0), f->length, step), *i = bk_unroll(b, "i", TALL);
  const ir_kexpr *from = input_at(f, f->slab, thread_row(f, i), k);
  if (step == 4) read_four(f, f->x, i, 0, f->inputs, from);
  else ir_kb_set(b, f->x, ir_kb_load(b, IR_KT_f32, f->inputs, from), i, bk_int(b, 0), NULL);
  ir_kb_end(b);
  const ir_kexpr *u = bk_unroll(b, "u", step);
  for (int m = 0; m < p->k.matrices; m++) {
    for (int half = 0; half < 2; half++) {
      const ir_kexpr *panel = bk_plus(b, f->pair, (int64_t)m * p->panels + half * (p->panels / 2));
      read_four(f, f->w, NULL, 4 * half, f->direct ? f->packed.buffer : f->weights,
                weight_at(f, panel, ir_kb_add(b, k, u), f->quad));
    }
    i = bk_unroll(b, "i", TALL);
    const ir_kexpr *j = bk_unroll(b, "j", WIDE), *at = bk_plus(b, j, m * WIDE);
    const ir_kexpr *x = ir_kb_read(b, f->x, i, u, NULL), *w = ir_kb_read(b, f->w, j, NULL, NULL);
    ir_kb_set(b, f->acc, ir_kb_op(b, IR_K_fma, IR_KT_f32, x, w, ir_kb_read(b, f->acc, i, at, NULL)), i, at, NULL);
    ir_kb_end(b);
    ir_kb_end(b);
  }
  ir_kb_end(b);
  ir_kb_end(b);
}

// At the end of a run its sums are added to those before.
static void end_run(many_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  if (!f->total) return;
  const ir_kexpr *end = bk_plus(b, f->start, CG_BLOCK_SLAB);
  const ir_kexpr *whole = ir_kb_op(b, IR_K_eq, IR_KT_bool, bk_mod(b, end, p->runs.length), bk_int(b, 0), NULL);
  const ir_kexpr *last = ir_kb_op(b, IR_K_ge, IR_KT_bool, end, bk_int(b, p->k.cols), NULL);
  ir_kb_if(b, ir_kb_op(b, IR_K_or, IR_KT_bool, whole, last, NULL));
  const ir_kexpr *i = bk_unroll(b, "i", TALL), *j = bk_unroll(b, "j", (int64_t)WIDE * p->k.matrices);
  const ir_kexpr *sum = ir_kb_add(b, ir_kb_read(b, f->total, i, j, NULL), ir_kb_read(b, f->acc, i, j, NULL));
  ir_kb_set(b, f->total, sum, i, j, NULL);
  ir_kb_set(b, f->acc, bk_zero(b), i, j, NULL);
  for (int n = 0; n < 3; n++) ir_kb_end(b);
}

// Sums lie over the slabs: [row][matrix][column], rows four words more apart.
static const ir_kexpr *sum_at(many_kernel *f, int matrix, const ir_kexpr *row, const ir_kexpr *column) {
  ir_kbuilder *b = builder(f);
  int64_t width = (int64_t)f->p->panels * IR_LANES;
  const ir_kexpr *at = bk_scaled(b, row, width * f->p->k.matrices + 4);
  return ir_kb_add(b, bk_plus(b, at, matrix * width), column);
}

static const ir_kexpr *sum_of(void *user, int matrix, const ir_kexpr *row, const ir_kexpr *column) {
  many_kernel *f = user;
  return ir_kb_load(builder(f), IR_KT_f32, f->inputs, sum_at(f, matrix, row, column));
}

static void store_sums(many_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  ir_kb_barrier(b);
  const ir_kexpr *i = bk_unroll(b, "i", TALL);
  for (int m = 0; m < p->k.matrices; m++) {
    for (int half = 0; half < 2; half++) {
      const ir_kexpr *panel = bk_plus(b, f->pair, half * (p->panels / 2));
      const ir_kexpr *column = ir_kb_add(b, bk_scaled(b, panel, IR_LANES), f->quad);
      ir_kregs sums = ir_kb_regs(f->total ? f->total : f->acc, i, bk_int(b, m * WIDE + 4 * half), NULL);
      ir_kb_write_vector(b, ir_kb_place(f->inputs, IR_KT_f32, sum_at(f, m, thread_row(f, i), column)), sums, 4,
                         IR_KHINT_NONE);
    }
  }
  ir_kb_end(b);
  cg_block_store(p, sum_of, f);
}

static void bind_thread(many_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  int across = p->panels / 2 * 4;  // threads side by side
  f->quad = ir_kb_let(b, "quad", bk_scaled(b, bk_mod(b, p->thread, 4), 4));
  f->pair = ir_kb_let(b, "pair", bk_mod(b, bk_div(b, p->thread, 4), p->panels / 2));
  f->row = ir_kb_let(b, "row0", bk_div(b, p->thread, across));
  int acc[2] = {TALL, WIDE * p->k.matrices}, x[2] = {TALL, 4}, wide = WIDE;
  f->acc = ir_kb_reg(b, "acc", IR_KT_f32, false, 2, acc, bk_zero(b));
  f->total = p->runs.count > 1 ? ir_kb_reg(b, "total", IR_KT_f32, false, 2, acc, bk_zero(b)) : NULL;
  f->x = ir_kb_reg(b, "x", IR_KT_f32, false, 2, x, bk_zero(b));
  f->w = ir_kb_reg(b, "w", IR_KT_f32, false, 1, &wide, bk_zero(b));
}

static void add_shared(many_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  int64_t stages = f->ahead ? CG_BLOCK_STAGES : 1;
  int64_t inputs = 4 * stages * p->rows * ROW;
  int64_t sums = 4 * (int64_t)p->rows * (p->panels * IR_LANES * p->k.matrices + 4);
  f->inputs = ir_kb_add_shared(b, "inputs", inputs > sums ? inputs : sums);
  if (!f->direct) f->weights = ir_kb_add_shared(b, "weights", (int64_t)4 * f->vectors * PANEL);
  if (f->raw) cg_block_add_packed(p, &f->packed, f->direct ? 4 * IR_LANES : 0);
}

static void emit_tiles(many_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  int64_t slabs = (p->k.cols + CG_BLOCK_SLAB - 1) / CG_BLOCK_SLAB;
  add_shared(f);
  bind_thread(f);
  if (f->ahead)
    for (int s = 0; s < CG_BLOCK_STAGES - 1; s++) stage_ahead(f, bk_int(b, s));
  f->slab = bk_for(b, "slab", bk_int(b, 0), bk_int(b, slabs), 1);
  f->start = ir_kb_let(b, "start", bk_scaled(b, f->slab, CG_BLOCK_SLAB));
  f->length = bk_int(b, CG_BLOCK_SLAB);
  if (p->k.cols % CG_BLOCK_SLAB)
    f->length = ir_kb_let(b, "length", ir_kb_min(b, f->length, ir_kb_sub(b, bk_int(b, p->k.cols), f->start)));
  if (f->ahead) ir_kb_wait(b, CG_BLOCK_STAGES - 2);
  ir_kb_barrier(b);
  if (f->ahead) stage_ahead(f, bk_plus(b, f->slab, CG_BLOCK_STAGES - 1));
  else stage_inputs(f, f->slab);
  if (!f->direct) {
    cg_block_decode(p, f->raw ? &f->packed : NULL, f->slab, stage_of(f, f->slab), &f->to, store_decoded, NULL, f);
    ir_kb_barrier(b);
  }
  multiply_slab(f);
  end_run(f);
  ir_kb_end(b);
  if (f->ahead) ir_kb_wait(b, 0);
  store_sums(f);
}

// ---- the plain rung

static const ir_kexpr *plain_sum(void *user, int matrix, const ir_kexpr *row, const ir_kexpr *column) {
  many_kernel *f = user;
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  ir_kvar *total = ir_kb_reg(b, "total", IR_KT_f32, false, 0, NULL, bk_zero(b));
  const ir_kexpr *lo = bk_for(b, "run", bk_int(b, 0), bk_int(b, p->k.cols), p->runs.length);
  ir_kvar *acc = ir_kb_reg(b, "acc", IR_KT_f32, false, 0, NULL, bk_zero(b));
  const ir_kexpr *k = bk_for(b, "k", lo, ir_kb_min(b, bk_plus(b, lo, p->runs.length), bk_int(b, p->k.cols)), 1);
  const ir_kexpr *x = ir_kb_let(b, "x", cg_block_input(p, cg_block_place(p, row), k));
  const ir_kexpr *n = cg_block_column(p, column);
  if (p->route.experts) n = ir_kb_add(b, bk_scaled(b, p->route.panel, IR_LANES), n);
  const ir_kexpr *w = ir_kb_let(b, "w", cg_weight_element(b, p->format, cg_block_weight(p, matrix), p->k.cols, n, k));
  const ir_kexpr *sum = ir_kb_op(b, IR_K_fma, IR_KT_f32, x, w, ir_kb_read(b, acc, NULL, NULL, NULL));
  ir_kb_set(b, acc, sum, NULL, NULL, NULL);
  ir_kb_end(b);
  sum = ir_kb_add(b, ir_kb_read(b, total, NULL, NULL, NULL), ir_kb_read(b, acc, NULL, NULL, NULL));
  ir_kb_set(b, total, sum, NULL, NULL, NULL);
  ir_kb_end(b);
  return ir_kb_read(b, total, NULL, NULL, NULL);
}

// ---- the choice

static void choose(block_linear *p, int64_t *out_schedule) {
  static const int64_t schedules[] = {PLAIN, TILED}, panels[] = {2, 8}, rows[] = {32, 128};
  lowering *low = p->k.fl->low;
  *out_schedule = cg_schedule_choice(low, p->key, "schedule", PIPELINED, schedules, 2);
  int64_t wanted = cg_schedule_choice(low, p->key, "many.panels", p->k.outs <= 2 * IR_LANES ? 2 : 4, panels, 2);
  cg_block_fit_panels(p, (int)wanted);
  p->rows = (int)cg_schedule_choice(low, p->key, "many.rows", 64, rows, 2);
  p->threads = p->panels / 2 * 4 * (p->rows / TALL);
}

weir_status cg_block_many(block_linear *p, int64_t few_rows) {
  static const char *const names[] = {"plain", "tiled", "pipelined"};
  int64_t schedule;
  choose(p, &schedule);
  cg_block_begin(p, names[schedule]);
  many_kernel f = {.p = p, .vectors = p->k.matrices * p->panels};
  f.fours = cg_block_reads_fours(p);
  f.ahead = schedule == PIPELINED && (p->windows ? cg_windows_bind(p) : f.fours);
  f.raw = f.ahead && cg_block_has_slabs(p->k.storage);
  f.direct = f.raw && p->k.storage == WEIR_STORAGE_F32;
  if (schedule == PLAIN) cg_block_store(p, plain_sum, &f);
  else emit_tiles(&f);
  return cg_block_finish(p, few_rows + 1, INT64_MAX);
}
