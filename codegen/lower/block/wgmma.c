// Products in bf16, and of bytes with one scale a row, by wgmma: outputs are its 64 rows, rows of the input its
// columns.
//
// A block has a producer and some consumers, warpgroups of 128 threads. One thread of the producer copies ahead, into a
// ring of stages: a box of packed rows, swizzled as the second factor is read, and the weights of the same inputs, as
// they lie in the package. A consumer has four panels, one for each warp: their weights are the first factor, from
// registers, so that any format is decoded on the way there. An mbarrier for each stage says that it is filled, another
// that it is free.
//
// Sums are those of mma.c: runs of cg_block_runs, each a chain of operations of 16 inputs from zeros, added in
// order. What one operation adds up is the unit's, the same for any number of columns; so few rows go through it too.
//   few   consumers have the same panels and every so manieth run, with a ring for each; runs meet in shared memory
//   many  consumers have panels of their own and go through all runs with a second set of sums
#include "codegen/lower/block/block.h"
#include "codegen/lower/block/codes.h"

enum {
  GROUP = 128,       // threads of a warpgroup
  OWN = 4,           // panels of a consumer
  STAGES = 4,        // of a ring
  FEW_GROUPS = 4,    // consumers for few rows
  FEW_BLOCKS = 132,  // that few rows should be spread over
  MANY_GROUPS = 2,
  MANY_ROWS = 128,
  MIDDLE_ROWS = 64,
  BAND = 8,
  DEPTH = 32,         // bytes of a row that an operation takes
  REGISTERS = 65536,  // of a multiprocessor
  LEFT = 40,          // registers of a producer's thread
  MOST = 240,         // of a consumer's
  ROOM = 225 * 1024,  // shared memory of a block
  SWIZZLE = 64,       // of weights: bytes of sixteen words
};

typedef struct {
  block_linear *p;
  const packed_rows *x;
  bool row, direct, slabs;  // codes with a scale a row; weights are multiplied as they lie; copied ahead as they lie
  bool split;               // consumers share panels and have runs of their own
  int groups, rings, stages;
  int step, words, inputs;                         // bytes of a row that a stage has; words of a lane; inputs
  int vectors;                                     // panels of all matrices
  int64_t run, runs, steps;                        // stages of a run, runs, stages in all
  int64_t rows_bytes, w_bytes;                     // of a stage
  int rows, weights, decoded, parts, full, empty;  // SHARED and MBARRIER
  int x_map, w_map[2];
  const ir_kexpr *lane, *warp, *group, *vector;   // in the warpgroup; the consumer; its warp's panel
  const ir_kexpr *ring, *nth, *place;             // the ring, the stage counted from its first, its place among all
  const ir_kexpr *at;                             // the stage counted from the first of all runs
  const ir_kexpr *line;                           // where a thread's weights begin in a panel's stage, in words
  const ir_kexpr *even, *first, *base, *to_lane;  // of what is being decoded
  cg_codes codes;                                 // slabs: of the panel at hand
  ir_kvar *a, *acc, *total;
} wgmma_kernel;

static ir_kbuilder *builder(wgmma_kernel *f) { return &f->p->k.e.b; }
static ir_ktype sum_type(const wgmma_kernel *f) { return f->row ? IR_KT_i32 : IR_KT_f32; }
static int64_t panel_words(const wgmma_kernel *f) { return (int64_t)f->words * IR_LANES; }
static bool has_rest(const wgmma_kernel *f) { return f->vectors % OWN != 0; }  // warps without a panel of their own

static const ir_kexpr *is(ir_kbuilder *b, const ir_kexpr *x, int64_t value) {
  return ir_kb_op(b, IR_K_eq, IR_KT_bool, x, bk_int(b, value), NULL);
}

bool cg_block_wgmma_takes(const block_linear *p, cg_compute compute) {
  return (compute == CG_COMPUTE_BF16 || compute == CG_COMPUTE_INT8_ROW) && !p->route.experts;
}

// ---- the shape

static int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

// A stage has as many inputs as a swizzle's row, and runs have whole stages.
static wgmma_kernel shape_of(block_linear *p, const packed_rows *x, int groups, bool split) {
  wgmma_kernel f = {.p = p, .x = x, .groups = groups, .split = split, .rings = split ? groups : 1, .stages = STAGES};
  int64_t bytes, run;
  f.row = x->compute == CG_COMPUTE_INT8_ROW;
  f.direct = f.row || p->format.layout == CG_LAYOUT_PAIRS;
  f.slabs = !f.direct && cg_block_has_slabs(p->k.storage);
  bytes = p->k.cols * (f.row ? 1 : 2);
  run = f.row || p->runs.length > p->k.cols ? bytes : 2 * p->runs.length;
  f.step = (int)gcd(128, gcd(bytes, run));
  f.words = f.step / 4;
  f.inputs = f.row ? f.step : f.step / 2;
  f.run = run / f.step;
  f.steps = bytes / f.step;
  f.runs = f.row ? 1 : p->runs.count;
  return f;
}

static int64_t panel_bytes(const wgmma_kernel *f) {
  if (f->direct) return 4 * panel_words(f);
  int64_t slab = 4 * (cg_panel_words(f->p->k.storage, CG_BLOCK_SLAB) - cg_panel_front(f->p->k.storage));
  return f->slabs ? slab * (f->inputs / CG_BLOCK_SLAB) : 0;
}

static int64_t sum_width(const wgmma_kernel *f) { return (int64_t)f->vectors * IR_LANES + 4; }

// Bytes of rows in flight, or of the sums that lie over them at the end.
static int64_t rows_room(const wgmma_kernel *f) {
  int64_t ring = f->rings * f->stages * f->p->rows * (int64_t)f->step, sums = 4 * f->p->rows * sum_width(f);
  return !f->split && sums > ring ? sums : ring;
}

static int64_t room_of(const wgmma_kernel *f) {
  int64_t weights = f->rings * f->stages * f->vectors * panel_bytes(f);
  int64_t decoded = f->direct || f->slabs ? 0 : 4 * f->groups * OWN * panel_words(f);
  return rows_room(f) + weights + decoded + (f->split ? 4 * f->runs * f->p->rows * sum_width(f) : 0) + 4 * 1024;
}

// ---- memory

static void add_maps(wgmma_kernel *f) {
  linear_kernel *k = &f->p->k;
  ir_kbuilder *b = builder(f);
  ir_kmap x = {.name = "rows",
               .buffer = cg_emit_slot(&k->e, cg_info(k->fl, f->x->codes)->slot, IR_KB_IN),
               .type = f->row ? IR_KT_i8 : IR_KT_bf16,
               .rank = 2,
               .dims = {bk_int(b, k->cols), k->rows},
               .box = {f->inputs, f->p->rows},
               .swizzle = f->step};
  f->x_map = ir_kb_add_map(b, &x);
  int64_t front = cg_panel_front(k->storage), words = cg_panel_words(k->storage, k->cols) - front;
  int64_t panels = (k->outs + IR_LANES - 1) / IR_LANES;
  for (int m = 0; f->direct && m < k->matrices; m++) {
    ir_kmap w = {.name = "weights",
                 .buffer = cg_block_weight(f->p, m),
                 .type = IR_KT_u32,
                 .rank = 3,
                 .offset = front ? bk_int(b, 4 * front) : NULL,
                 .dims = {bk_int(b, IR_LANES), bk_int(b, words / IR_LANES), bk_int(b, panels)},
                 .strides = {NULL, bk_int(b, IR_LANES), bk_int(b, front + words)},
                 .box = {IR_LANES, f->words, k->half ? k->run : f->p->panels},
                 .swizzle = SWIZZLE};
    f->w_map[m] = ir_kb_add_map(b, &w);
  }
}

static void add_memory(wgmma_kernel *f) {
  ir_kbuilder *b = builder(f);
  int64_t places = (int64_t)f->rings * f->stages;
  f->rows_bytes = f->p->rows * (int64_t)f->step;
  f->w_bytes = f->vectors * panel_bytes(f);
  f->rows = ir_kb_add_shared(b, "rows", rows_room(f));
  if (f->w_bytes) f->weights = ir_kb_add_shared(b, "weights", places * f->w_bytes);
  if (!f->direct && !f->slabs) f->decoded = ir_kb_add_shared(b, "decoded", 4 * f->groups * OWN * panel_words(f));
  f->parts = f->split ? ir_kb_add_shared(b, "parts", 4 * f->runs * f->p->rows * sum_width(f)) : f->rows;
  f->full = ir_kb_add_mbarriers(b, "full", (int)places);
  f->empty = ir_kb_add_mbarriers(b, "empty", (int)places);
}

static void init_mbarriers(wgmma_kernel *f) {
  ir_kbuilder *b = builder(f);
  ir_kb_if(b, is(b, f->p->thread, 0));
  const ir_kexpr *i = bk_unroll(b, "i", (int64_t)f->rings * f->stages);
  ir_kb_mbarrier_init(b, f->full, i, bk_int(b, 1));
  ir_kb_mbarrier_init(b, f->empty, i, bk_int(b, (f->split ? 1 : f->groups) * OWN));
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_barrier(b);
}

// ---- stages in order: those of the ring's runs, one after the other; two ranges stay open

static const ir_kexpr *open_run(wgmma_kernel *f) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *count = bk_int(b, f->runs);
  if (f->split) count = bk_div(b, ir_kb_sub(b, bk_int(b, f->runs + f->rings - 1), f->ring), f->rings);
  const ir_kexpr *j = bk_for(b, "j", bk_int(b, 0), count, 1);
  return j;
}

static const ir_kexpr *run_of(wgmma_kernel *f, const ir_kexpr *j) {
  ir_kbuilder *b = builder(f);
  return f->split ? ir_kb_let(b, "run", ir_kb_add(b, bk_scaled(b, j, f->rings), f->ring)) : j;
}

static const ir_kexpr *open_stage(wgmma_kernel *f, const ir_kexpr *j, const ir_kexpr *run) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *length = bk_int(b, f->run);
  if (f->run * f->runs != f->steps)
    length = ir_kb_min(b, length, ir_kb_sub(b, bk_int(b, f->steps), bk_scaled(b, run, f->run)));
  const ir_kexpr *s = bk_for(b, "s", bk_int(b, 0), length, 1);
  f->nth = ir_kb_let(b, "nth", ir_kb_add(b, bk_scaled(b, j, f->run), s));
  f->at = f->split ? ir_kb_let(b, "at", ir_kb_add(b, bk_scaled(b, run, f->run), s)) : f->nth;
  const ir_kexpr *place = bk_mod(b, f->nth, f->stages);
  if (f->split) place = ir_kb_add(b, bk_scaled(b, f->ring, f->stages), place);
  f->place = ir_kb_let(b, "place", place);
  return s;
}

static const ir_kexpr *parity(wgmma_kernel *f, int64_t ahead) {
  ir_kbuilder *b = builder(f);
  return bk_mod(b, bk_plus(b, bk_div(b, f->nth, f->stages), ahead), 2);
}

// ---- the producer

static void copy_weights(wgmma_kernel *f) {
  block_linear *p = f->p;
  linear_kernel *k = &p->k;
  ir_kbuilder *b = builder(f);
  int64_t words = panel_words(f), bytes = panel_bytes(f);
  const ir_kexpr *zero = bk_int(b, 0), *first = bk_scaled(b, f->place, f->w_bytes);
  for (int m = 0; f->direct && m < k->matrices; m++) {
    int each = k->half ? k->run : p->panels;
    for (int n = 0; n < p->panels; n += each) {
      const ir_kexpr *panel = ir_kb_add(b, p->panel, cg_linear_panel(k, bk_int(b, n)));
      const ir_kexpr *coords[] = {zero, bk_scaled(b, f->at, f->words), panel};
      const ir_kexpr *to = bk_plus(b, bk_div(b, first, 4), (m * p->panels + n) * words);
      ir_kb_tma(b, ir_kb_place(f->weights, IR_KT_u32, to), f->w_map[m], coords, f->full, f->place, NULL,
                f->split ? IR_KHINT_STREAM : IR_KHINT_NONE);
    }
  }
  int64_t row = 4 * cg_panel_words(k->storage, k->cols);
  for (int m = 0; f->slabs && m < k->matrices; m++) {
    const ir_kexpr *n = bk_unroll(b, "n", p->panels);
    const ir_kexpr *from = ir_kb_add(b, bk_scaled(b, cg_block_panel(p, n), row), bk_scaled(b, f->at, bytes));
    const ir_kexpr *to = ir_kb_add(b, first, bk_scaled(b, bk_plus(b, n, (int64_t)m * p->panels), bytes));
    ir_kb_bulk(b, ir_kb_place(f->weights, IR_KT_u8, to), ir_kb_place(cg_block_weight(p, m), IR_KT_u8, from),
               bk_int(b, bytes), f->full, f->place);
    ir_kb_end(b);
  }
}

static void produce(wgmma_kernel *f) {
  ir_kbuilder *b = builder(f);
  f->ring = ir_kb_let(b, "ring", bk_div(b, f->p->thread, IR_WARP));
  const ir_kexpr *one = is(b, bk_mod(b, f->p->thread, IR_WARP), 0);
  ir_kb_if(b, f->split ? bk_and(b, one, bk_less(b, f->ring, bk_int(b, f->rings))) : is(b, f->p->thread, 0));
  const ir_kexpr *j = open_run(f);
  open_stage(f, j, run_of(f, j));
  ir_kb_mbarrier_wait(b, f->empty, f->place, parity(f, 1));
  ir_kb_mbarrier_expect(b, f->full, f->place, bk_int(b, f->rows_bytes + f->w_bytes));
  const ir_kexpr *coords[] = {bk_scaled(b, f->at, f->inputs), f->p->row_lo};
  ir_ktype type = f->row ? IR_KT_i8 : IR_KT_bf16;
  const ir_kexpr *to = bk_scaled(b, f->place, f->rows_bytes / ir_ktype_bytes(type));
  ir_kb_tma(b, ir_kb_place(f->rows, type, to), f->x_map, coords, f->full, f->place, NULL, IR_KHINT_NONE);
  copy_weights(f);
  for (int n = 0; n < 3; n++) ir_kb_end(b);
}

// ---- consumers: weights to registers

// Every second input completes a word, which stands where a swizzled copy would put it.
static void store_pair(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  wgmma_kernel *f = user;
  ir_kbuilder *b = builder(f);
  if (!f->even) {
    f->even = w[0];
    return;
  }
  const ir_kexpr *pair = bk_div(b, ir_kb_sub(b, at, f->first), 2);
  const ir_kexpr *chunk = bk_scaled(b, bk_mod(b, bk_div(b, pair, 2), 4), 4);
  const ir_kexpr *lane = ir_kb_op(b, IR_K_xor, IR_KT_i64, f->to_lane, chunk, NULL);
  ir_kb_store(b, IR_KT_u32, f->decoded, ir_kb_add(b, f->base, ir_kb_add(b, bk_scaled(b, pair, IR_LANES), lane)),
              ir_kb_op(b, IR_K_pack2, IR_KT_u32, f->even, w[0], NULL));
  f->even = NULL;
}

static void decode_part(wgmma_kernel *f, int matrix, const ir_kexpr *part) {
  linear_kernel *k = &f->p->k;
  ir_kbuilder *b = builder(f);
  int64_t parts = f->inputs / CG_BLOCK_SLAB;
  cg_panel_operand op = {.buffer = f->weights};
  op.buffer = cg_block_weight(f->p, matrix);
  op.panel = ir_kb_let(b, "from", cg_block_panel(f->p, bk_plus(b, f->vector, -(int64_t)matrix * f->p->panels)));
  const ir_kexpr *slab = ir_kb_let(b, "slab", ir_kb_add(b, bk_scaled(b, f->at, parts), part));
  f->first = bk_scaled(b, slab, CG_BLOCK_SLAB);
  cg_panel_emit_part(b, k->storage, k->cols, &op, f->to_lane, slab, bk_int(b, k->cols), store_pair, f);
}

// A thread decodes 32 inputs of a lane of its warp's panel.
static void decode(wgmma_kernel *f) {
  ir_kbuilder *b = builder(f);
  bool whole = f->inputs == 2 * CG_BLOCK_SLAB, two = f->p->k.matrices == 2;
  const ir_kexpr *part = whole ? ir_kb_let(b, "part", bk_div(b, f->lane, IR_LANES)) : bk_int(b, 0);
  f->to_lane = ir_kb_let(b, "to", bk_mod(b, f->lane, IR_LANES));
  const ir_kexpr *base = bk_scaled(b, ir_kb_add(b, bk_scaled(b, f->group, OWN), f->warp), panel_words(f));
  f->base = ir_kb_let(b, "base", ir_kb_add(b, base, bk_scaled(b, part, CG_BLOCK_SLAB / 2 * IR_LANES)));
  ir_kb_barrier_warp(b);
  if (!whole) ir_kb_if(b, bk_less(b, f->lane, bk_int(b, IR_LANES)));
  if (two) ir_kb_if(b, bk_less(b, f->vector, bk_int(b, f->p->panels)));
  decode_part(f, 0, part);
  if (two) ir_kb_else(b);
  if (two) decode_part(f, 1, part);
  if (two) ir_kb_end(b);
  if (!whole) ir_kb_end(b);
  ir_kb_barrier_warp(b);
}

// Fragment row g is lane L of the panel and g + 8 lane L + 1, where L is such that four neighbouring g and four q read
// all banks of shared memory at once.
static const ir_kexpr *fragment_lane(wgmma_kernel *f) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *g = bk_div(b, f->lane, 4), *at = bk_scaled(b, bk_mod(b, g, 2), 2);
  at = ir_kb_add(b, at, bk_scaled(b, bk_mod(b, bk_div(b, g, 2), 2), 8));
  return ir_kb_add(b, at, bk_scaled(b, bk_div(b, g, 4), 4));
}

// Codes of the stage straight to fragments (codes.h).
static void decode_slabs(wgmma_kernel *f) {
  ir_kbuilder *b = builder(f);
  int parts = f->inputs / CG_BLOCK_SLAB;
  const ir_kexpr *panel = ir_kb_add(b, bk_scaled(b, f->place, f->vectors), f->vector);
  const ir_kexpr *base = ir_kb_let(b, "base", bk_scaled(b, panel, panel_bytes(f) / 4));
  for (int part = 0; part < parts; part++) {
    f->codes.base = bk_plus(b, base, panel_bytes(f) / 4 / parts * part);
    cg_codes_fragments(b, &f->codes, bk_int(b, 0), false, f->a, 2 * part);
  }
}

static void read_weights(wgmma_kernel *f) {
  ir_kbuilder *b = builder(f);
  int buffer = f->direct ? f->weights : f->decoded;
  const ir_kexpr *panel = f->direct ? ir_kb_add(b, bk_scaled(b, f->place, f->vectors), f->vector)
                                    : ir_kb_add(b, bk_scaled(b, f->group, OWN), f->warp);
  const ir_kexpr *base = ir_kb_let(b, "base", bk_scaled(b, panel, panel_words(f)));
  const ir_kexpr *q = bk_mod(b, f->lane, 4);
  for (int n = 0; n < 2; n++) {
    const ir_kexpr *word = bk_plus(b, q, 4 * n), *chunk = bk_scaled(b, bk_div(b, word, 2), 4);
    const ir_kexpr *lane = ir_kb_op(b, IR_K_xor, IR_KT_i64, f->line, chunk, NULL);
    const ir_kexpr *from = ir_kb_let(b, "from", ir_kb_add(b, bk_scaled(b, word, IR_LANES), lane));
    const ir_kexpr *h = bk_unroll(b, "h", f->step / DEPTH);
    from = ir_kb_add(b, ir_kb_add(b, base, from), bk_scaled(b, h, DEPTH / 4 * IR_LANES));
    ir_kb_read_vector(b, ir_kb_regs(f->a, h, bk_int(b, 2 * n), NULL), 2, ir_kb_place(buffer, IR_KT_u32, from),
                      IR_KHINT_NONE);
    for (int i = 2 * n; f->row && i < 2 * n + 2; i++) {
      const ir_kexpr *code = ir_kb_read(b, f->a, h, bk_int(b, i), NULL);
      code = ir_kb_op(b, IR_K_xor, IR_KT_u32, code, ir_kb_const(b, IR_KT_u32, 0x80808080u), NULL);
      ir_kb_set(b, f->a, code, h, bk_int(b, i), NULL);
    }
    ir_kb_end(b);
  }
}

// ---- consumers: products

static void multiply(wgmma_kernel *f, const ir_kexpr *s) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *zero = bk_int(b, 0);
  ir_ktype type = f->row ? IR_KT_i8 : IR_KT_bf16;
  int64_t depth = DEPTH / ir_ktype_bytes(type);
  const ir_kexpr *first = bk_scaled(b, f->place, f->rows_bytes / ir_ktype_bytes(type));
  ir_kb_wgmma_fence(b);
  for (int h = 0; h < f->step / DEPTH; h++) {
    ir_kregs a = ir_kb_regs(f->a, bk_int(b, h), zero, NULL);
    ir_kwgmma x = {.at = ir_kb_place(f->rows, type, bk_plus(b, first, h * depth)), .swizzle = f->step};
    ir_kb_wgmma(b, f->row ? IR_KMMA_s8 : IR_KMMA_bf16, f->p->rows, ir_kb_regs(f->acc, zero, NULL, NULL),
                h ? NULL : bk_less(b, zero, s), &a, NULL, &x);
  }
  ir_kb_wgmma_commit(b);
  ir_kb_wgmma_wait(b, 0);
  ir_kb_barrier_warp(b);
  ir_kb_if(b, is(b, f->lane, 0));
  ir_kb_mbarrier_arrive(b, f->empty, f->place, NULL);
  ir_kb_end(b);
}

// Register 4 j + i of a sum: its row and column in the block.
static const ir_kexpr *sum_at(wgmma_kernel *f, const ir_kexpr *j, int i) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *row = bk_plus(b, ir_kb_add(b, bk_scaled(b, j, 8), bk_scaled(b, bk_mod(b, f->lane, 4), 2)), i % 2);
  const ir_kexpr *column = bk_plus(b, ir_kb_add(b, bk_scaled(b, f->vector, IR_LANES), f->line), i / 2);
  return ir_kb_add(b, bk_scaled(b, row, sum_width(f)), column);
}

// Writes |sums| from |first| on, by warps that have a panel of their own.
static void write_sums(wgmma_kernel *f, ir_kvar *sums, const ir_kexpr *first) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *own = f->split ? f->warp : ir_kb_add(b, bk_scaled(b, f->group, OWN), f->warp);
  if (has_rest(f)) ir_kb_if(b, bk_less(b, own, bk_int(b, f->vectors)));
  const ir_kexpr *j = bk_unroll(b, "j", f->p->rows / 8);
  for (int i = 0; i < 4; i++) {
    const ir_kexpr *value = ir_kb_read(b, sums, bk_plus(b, bk_scaled(b, j, 4), i), NULL, NULL);
    ir_kb_store(b, sum_type(f), f->parts, ir_kb_add(b, first, sum_at(f, j, i)), value);
  }
  ir_kb_end(b);
  if (has_rest(f)) ir_kb_end(b);
}

static void end_run(wgmma_kernel *f, const ir_kexpr *run) {
  ir_kbuilder *b = builder(f);
  if (f->split) write_sums(f, f->acc, bk_scaled(b, run, f->p->rows * sum_width(f)));
  if (!f->total) return;
  const ir_kexpr *i = bk_unroll(b, "i", f->p->rows / 2);
  const ir_kexpr *sum = ir_kb_add(b, ir_kb_read(b, f->total, i, NULL, NULL), ir_kb_read(b, f->acc, i, NULL, NULL));
  ir_kb_set(b, f->total, sum, i, NULL, NULL);
  ir_kb_end(b);
}

// ---- the end

static const ir_kexpr *sum_of(void *user, int matrix, const ir_kexpr *row, const ir_kexpr *column) {
  wgmma_kernel *f = user;
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *at = bk_plus(b, column, (int64_t)matrix * p->panels * IR_LANES);
  at = ir_kb_add(b, bk_scaled(b, row, sum_width(f)), at);
  if (!f->split) return cg_block_finished(p, f->x, matrix, row, column, ir_kb_load(b, sum_type(f), f->parts, at));
  ir_kvar *total = ir_kb_reg(b, "total", IR_KT_f32, false, 0, NULL, bk_zero(b));
  const ir_kexpr *run = bk_for(b, "run", bk_int(b, 0), bk_int(b, f->runs), 1);
  at = ir_kb_add(b, bk_scaled(b, run, p->rows * sum_width(f)), at);
  const ir_kexpr *part = ir_kb_load(b, IR_KT_f32, f->parts, at);
  ir_kb_set(b, total, ir_kb_add(b, ir_kb_read(b, total, NULL, NULL, NULL), part), NULL, NULL, NULL);
  ir_kb_end(b);
  return ir_kb_read(b, total, NULL, NULL, NULL);
}

// ---- all of it

static void bind_consumer(wgmma_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  p->thread = ir_kb_let(b, "c", bk_plus(b, p->thread, -GROUP));
  p->threads = f->groups * GROUP;
  p->part_stores = true;
  f->lane = ir_kb_let(b, "lane", bk_mod(b, p->thread, IR_WARP));
  f->warp = ir_kb_let(b, "warp", bk_mod(b, bk_div(b, p->thread, IR_WARP), OWN));
  f->group = ir_kb_let(b, "group", bk_div(b, p->thread, GROUP));
  f->ring = f->split ? f->group : bk_int(b, 0);
  const ir_kexpr *own = f->split ? f->warp : ir_kb_add(b, bk_scaled(b, f->group, OWN), f->warp);
  f->vector = ir_kb_let(b, "vector", has_rest(f) ? ir_kb_min(b, own, bk_int(b, f->vectors - 1)) : own);
  f->line = ir_kb_let(b, "line", fragment_lane(f));
  if (f->slabs) {
    cg_codes_begin(b, p->k.storage, bk_mod(b, f->lane, 4), &f->codes);
    f->codes.buffer = f->weights;
    f->codes.lane = f->line;
  }
  int a[2] = {f->step / DEPTH, 4}, sums = p->rows / 2;
  f->a = ir_kb_reg(b, "a", IR_KT_u32, false, 2, a, ir_kb_const(b, IR_KT_u32, 0));
  f->acc = ir_kb_reg(b, "acc", sum_type(f), false, 1, &sums, ir_kb_const(b, sum_type(f), 0));
  if (!f->row && !f->split) f->total = ir_kb_reg(b, "total", IR_KT_f32, false, 1, &sums, bk_zero(b));
}

static void consume(wgmma_kernel *f) {
  ir_kbuilder *b = builder(f);
  bind_consumer(f);
  const ir_kexpr *j = open_run(f), *run = run_of(f, j), *s = open_stage(f, j, run);
  ir_kb_mbarrier_wait(b, f->full, f->place, parity(f, 0));
  if (f->slabs) {
    decode_slabs(f);
  } else {
    if (!f->direct) decode(f);
    read_weights(f);
  }
  multiply(f, s);
  ir_kb_end(b);
  end_run(f, run);
  ir_kb_end(b);
  if (!f->split) {
    ir_kb_barrier_named(b, bk_int(b, 1), f->p->threads);
    write_sums(f, f->total ? f->total : f->acc, bk_int(b, 0));
  }
  cg_block_store(f->p, sum_of, f);
}

static weir_status emit(wgmma_kernel *f, const char *what, int64_t guard_lo, int64_t guard_hi) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  int resident = p->resident ? p->resident : 1;
  p->threads = (1 + f->groups) * GROUP;
  int each = REGISTERS / (p->threads * resident) / 8 * 8;
  int most = (each * p->threads - LEFT * GROUP) / (f->groups * GROUP) / 8 * 8;
  const char *compute = cg_compute_name(f->x->compute);
  cg_block_begin(p, weir_arena_printf(p->k.fl->low->arena, "%s_wgmma_%s%d", compute, what, p->rows));
  add_memory(f);
  add_maps(f);
  init_mbarriers(f);
  ir_kb_if(b, bk_less(b, p->thread, bk_int(b, GROUP)));
  ir_kb_registers(b, false, LEFT);
  produce(f);
  ir_kb_else(b);
  ir_kb_registers(b, true, most < MOST ? most : MOST);
  consume(f);
  ir_kb_end(b);
  return cg_block_finish(p, guard_lo, guard_hi);
}

weir_status cg_block_wgmma_few(block_linear *p, const packed_rows *x, int64_t most_rows) {
  wgmma_kernel f = shape_of(p, x, FEW_GROUPS, true);
  int64_t all = (p->k.outs + IR_LANES - 1) / IR_LANES;
  int panels = OWN / p->k.matrices;
  // A warp without a panel of its own decodes another's again, which costs more than some idle multiprocessors.
  int64_t least = f.slabs ? FEW_BLOCKS * 3 / 4 : FEW_BLOCKS;
  while (panels > 1 && all / panels < least) panels /= 2;
  p->rows = 8;
  f.vectors = cg_block_fit_panels(p, panels) * p->k.matrices;
  while (room_of(&f) > ROOM && f.stages > 1) f.stages /= 2;
  return emit(&f, "few", 0, most_rows + 1);
}

weir_status cg_block_wgmma_many(block_linear *p, const packed_rows *x, int64_t least_rows, int64_t most_rows) {
  bool middle = most_rows <= MANY_ROWS;
  wgmma_kernel f = shape_of(p, x, middle ? 1 : MANY_GROUPS, false);
  p->rows = middle ? MIDDLE_ROWS : MANY_ROWS;
  p->resident = middle ? 2 : 0;
  p->band = middle ? 0 : BAND;
  f.vectors = cg_block_fit_panels(p, f.groups * OWN / p->k.matrices) * p->k.matrices;
  while (room_of(&f) > ROOM / (middle ? 2 : 1) && f.stages > 1) f.stages /= 2;
  return emit(&f, middle ? "middle" : "many", least_rows, most_rows + 1);
}
