// Products with packed matrices in float32: two schedules of one sum, and one for plain numbers.
//   direct   few rows: weights are decoded into registers in the inner loop. The panels of an item stand far apart, so
//            that from item to item each is read on where it ended: streams that hardware prefetches
//   staged   many rows: a slab of inputs is decoded once into thread-local memory and all rows of the chunk run over it
//   tiled    many rows of plain float32: as staged, but the panel itself is the slab
// In all, an output element is one lane's accumulator that takes fma(x[k], w[k]) for k = 0, 1, 2 ... in order, so its
// bits are the same in either, in a tile of any shape, at any number of rows and threads.
//
// Tiles of many rows have two widths: all vectors of the item where there are 32 registers, one where there are fewer.
#include "codegen/lower/block/block.h"

enum {
  DIRECT_ROWS = 4,  // up to this many rows the direct schedule runs
  MOST_ROWS = 192,  // rows of a work item of the others
  SLAB = 640,       // inputs of a slab at most, more if a block is longer
  MAX_HEIGHT = 6,
};

typedef struct {
  linear_kernel k;
  const char *key;  // of choices among schedules
  int vectors;      // of the item: matrix by matrix, panel by panel
  int64_t slab;     // inputs of a slab
  const ir_kexpr *slab_end;
  const ir_kexpr *fill;  // vector that is being decoded
  // tiles
  int widths[3], width_count, visited;
  const ir_kexpr *panel, *width;  // first panel of the tile and how many
  const ir_kexpr *vector;         // the first counted over all matrices
  ir_kvar *acc;                   // [row of the tile][vector of the tile]
} float_kernel;

static const ir_kexpr *integer(float_kernel *f, int64_t value) { return ir_kb_int(&f->k.e.b, value); }

static const ir_kexpr *load_x(linear_kernel *k, const ir_kexpr *m, const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK];
  cg_linear_row(k, m, idx);
  ir_value *x = k->linears[0]->operands[0];
  idx[x->type.rank - 1] = at;
  return cg_emit_value(&k->e, x, idx);
}

static const ir_kexpr *open_rows(linear_kernel *k) {
  return ir_kb_for(&k->e.b, IR_KR_UNROLL, "i", ir_kb_int(&k->e.b, 0), k->tile, 1);
}

// Registers to the sums in local memory or from there: |panels| panels of each matrix in the tile, from |first| on.
static void spill(float_kernel *f, int matrices, int panels, bool load) {
  linear_kernel *k = &f->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *i = open_rows(k);
  for (int v = 0; v < matrices * panels; v++) {
    const ir_kexpr *vector = ir_kb_add(b, f->vector, integer(f, v / panels * k->panels + v % panels));
    const ir_kexpr *at = cg_linear_sum_index(k, ir_kb_add(b, k->first, i), vector, k->lane), *nth = integer(f, v);
    if (load) ir_kb_set(b, f->acc, ir_kb_load(b, IR_KT_f32, k->sums, at), i, nth, NULL);
    else ir_kb_store(b, IR_KT_f32, k->sums, at, ir_kb_read(b, f->acc, i, nth, NULL));
  }
  ir_kb_end(b);
}

static void store_tile(float_kernel *f, int matrices, int panels) {
  linear_kernel *k = &f->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *i = open_rows(k);
  for (int p = 0; p < panels; p++) {
    const ir_kexpr *sums[2], *n = cg_linear_column(k, ir_kb_add(b, f->vector, integer(f, p)));
    for (int m = 0; m < matrices; m++) sums[m] = ir_kb_read(b, f->acc, i, integer(f, m * panels + p), NULL);
    cg_linear_store_row(k, ir_kb_add(b, k->first, i), ir_kb_add(b, n, k->lane), sums);
  }
  ir_kb_end(b);
}

// acc += x w for the rows of the tile and |count| vectors.
static void accumulate(float_kernel *f, const ir_kexpr *at, const ir_kexpr *const *w, int count) {
  linear_kernel *k = &f->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *i = open_rows(k), *x = ir_kb_let(b, "x", load_x(k, ir_kb_add(b, k->first, i), at));
  for (int v = 0; v < count; v++) {
    const ir_kexpr *nth = integer(f, v), *sum = ir_kb_read(b, f->acc, i, nth, NULL);
    ir_kb_set(b, f->acc, ir_kb_op(b, IR_K_fma, IR_KT_f32, x, w[v], sum), i, nth, NULL);
  }
  ir_kb_end(b);
}

// Opens tiles of |panels| panels, of all of them, of two or of one: the first that leaves enough registers at a level.
// What follows is emitted for each width, between open_width and its ends.
static void open_panels(float_kernel *f, int panels, int widest, bool pairs) {
  f->width_count = 0;
  f->widths[f->width_count++] = widest;
  if (pairs && widest > 2) f->widths[f->width_count++] = 2;
  if (widest > 1) f->widths[f->width_count++] = 1;
  f->panel = ir_kb_tiles(&f->k.e.b, "v", integer(f, 0), integer(f, panels), f->widths, f->width_count, &f->width);
}

static void open_width(float_kernel *f, int matrices, int panels) {
  ir_kbuilder *b = &f->k.e.b;
  ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, f->width, integer(f, panels), NULL));
  f->k.lane = ir_kb_for(b, IR_KR_LANES, "l", integer(f, 0), integer(f, IR_LANES), 1);
  int dims[2] = {MAX_HEIGHT, matrices * panels};
  f->acc = ir_kb_reg(b, "acc", IR_KT_f32, true, 2, dims, ir_kb_const(b, IR_KT_f32, 0));
}

static void end(float_kernel *f, int count) {
  while (count--) ir_kb_end(&f->k.e.b);
}

// ---- direct

static void visit_direct(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  float_kernel *f = user;
  accumulate(f, at, w, f->visited);
}

// Tiles of the rows at hand over the panels |all|, |widest| of them at once at most.
static void direct_tiles(float_kernel *f, const cg_panel_operand *all, int widest) {
  linear_kernel *k = &f->k;
  ir_kbuilder *b = &k->e.b;
  cg_panel_operand ops[2 * CG_MAX_PANELS];
  open_panels(f, k->panels, widest, true);
  f->vector = f->panel;
  for (int w = 0; w < f->width_count; w++) {
    int panels = f->widths[w];
    open_width(f, k->matrices, panels);
    f->visited = k->matrices * panels;
    for (int v = 0; v < f->visited; v++) {
      const cg_panel_operand *first = &all[v / panels * k->panels];
      const ir_kexpr *at = cg_linear_panel(k, ir_kb_add(b, f->panel, integer(f, v % panels)));
      ops[v] = (cg_panel_operand){.buffer = first->buffer, .panel = ir_kb_add(b, first->panel, at)};
    }
    cg_panel_emit(b, k->storage, k->cols, ops, f->visited, k->lane, integer(f, 0), integer(f, k->cols), visit_direct,
                  f);
    if (k->outs % IR_LANES) spill(f, k->matrices, panels, false);
    else store_tile(f, k->matrices, panels);
    end(f, 2);
  }
  end(f, 1);
}

static void emit_direct(float_kernel *f) {
  linear_kernel *k = &f->k;
  ir_kbuilder *b = &k->e.b;
  static const int heights[] = {DIRECT_ROWS, 2, 1};
  bool blocks = weir_storage_has_codes(k->storage);
  if (k->outs % IR_LANES) cg_linear_add_sums(k);
  cg_panel_operand all[2 * CG_MAX_PANELS];
  cg_linear_operands(k, all);
  // Four rows take the registers that decoding needs, or find too few panels to share them with.
  int skip = cg_panel_joins_bits(k->storage) || (blocks && k->panels == 1);
  k->first = ir_kb_tiles(b, "m", k->lo, k->hi, heights + skip, 3 - skip, &k->tile);
  // Decoding needs registers too: with many rows it is for fewer panels at once.
  int most = 8 / DIRECT_ROWS / k->matrices;
  if (blocks && !skip && k->panels > most) {
    ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, k->tile, integer(f, DIRECT_ROWS), NULL));
    direct_tiles(f, all, most);
    ir_kb_else(b);
    direct_tiles(f, all, k->panels);
    end(f, 1);
  } else {
    direct_tiles(f, all, k->panels);
  }
  end(f, 1);
  if (k->outs % IR_LANES) cg_linear_store_sums(k);
}

// Panels of an item. The more, the better latencies are hidden, but items should come out even for two threads.
static int direct_panels(int64_t outs, int matrices) {
  static const int worth[CG_MAX_PANELS + 1] = {0, 60, 90, 98, 100};  // by vectors
  int64_t all = (outs + IR_LANES - 1) / IR_LANES, best_worth = 0;
  int best = 1;
  for (int panels = CG_MAX_PANELS / matrices; panels >= 1; panels--) {
    if (all % panels) continue;
    int64_t items = all / panels, even = items > 1 ? (items + 1) / 2 * 2 : 1;
    int64_t value = 1000 * worth[panels * matrices] * items / even;
    if (value > best_worth) best_worth = value, best = panels;
  }
  return best;
}

// ---- tiles of many rows

// One register behind the other, a line apart from each other's place in the cache.
static const ir_kexpr *slab_at(float_kernel *f, const ir_kexpr *vector, const ir_kexpr *at) {
  ir_kbuilder *b = &f->k.e.b;
  const ir_kexpr *index = ir_kb_mul(b, vector, integer(f, (f->slab + 1) * IR_LANES));
  index = ir_kb_add(b, index, ir_kb_mul(b, ir_kb_sub(b, at, f->k.slab_start), integer(f, IR_LANES)));
  return ir_kb_add(b, index, f->k.lane);
}

static void fill_slab(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  float_kernel *f = user;
  ir_kb_store(&f->k.e.b, IR_KT_f32, f->k.slab, slab_at(f, f->fill, at), w[0]);
}

static void decode_slab(float_kernel *f) {
  linear_kernel *k = &f->k;
  ir_kbuilder *b = &k->e.b;
  cg_panel_operand ops[2 * CG_MAX_PANELS];
  cg_linear_operands(k, ops);
  for (int m = 0; m < k->matrices; m++) {
    const ir_kexpr *p = ir_kb_for(b, IR_KR_SERIAL, "p", integer(f, 0), integer(f, k->panels), 1);
    const cg_panel_operand *first = &ops[m * k->panels];
    cg_panel_operand op = {.buffer = first->buffer, .panel = ir_kb_add(b, first->panel, cg_linear_panel(k, p))};
    f->fill = ir_kb_add(b, integer(f, m * k->panels), p);
    k->lane = ir_kb_for(b, IR_KR_LANES, "l", integer(f, 0), integer(f, IR_LANES), 1);
    cg_panel_emit(b, k->storage, k->cols, &op, 1, k->lane, k->slab_start, f->slab_end, fill_slab, f);
    ir_kb_end(b);
    ir_kb_end(b);
  }
}

// The inner loop over the inputs of the slab; plain numbers are read where the panels |op| lie.
static void multiply(float_kernel *f, const cg_panel_operand *op, int wide) {
  linear_kernel *k = &f->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *at = ir_kb_for(b, IR_KR_SERIAL, "k", k->slab_start, f->slab_end, 1), *w[CG_MAX_PANELS];
  for (int v = 0; v < wide; v++) {
    const ir_kexpr *index, *nth = integer(f, v);
    if (op) {
      index =
          ir_kb_mul(b, ir_kb_add(b, op->panel, cg_linear_panel(k, ir_kb_add(b, f->panel, nth))), integer(f, k->cols));
      index = ir_kb_add(b, ir_kb_mul(b, ir_kb_add(b, index, at), integer(f, IR_LANES)), k->lane);
    } else {
      index = slab_at(f, ir_kb_add(b, f->vector, nth), at);
    }
    w[v] = ir_kb_let(b, "w", ir_kb_load(b, IR_KT_f32, op ? op->buffer : k->slab, index));
  }
  accumulate(f, at, w, wide);
  ir_kb_end(b);
}

// The tiles over |vectors| vectors of the slab from |base| on. |direct|: the last slab's sums are stored from
// registers.
static void emit_tiles(float_kernel *f, const cg_panel_operand *op, int vectors, int base, bool direct) {
  linear_kernel *k = &f->k;
  ir_kbuilder *b = &k->e.b;
  static const int heights[] = {MAX_HEIGHT, 4, 2, 1};
  bool slabs = k->cols > f->slab;
  k->first = ir_kb_tiles(b, "m", k->lo, k->hi, heights, 4, &k->tile);
  open_panels(f, vectors, vectors, false);
  f->vector = ir_kb_add(b, f->panel, integer(f, base));
  for (int w = 0; w < f->width_count; w++) {
    int wide = f->widths[w];
    open_width(f, 1, wide);
    if (slabs) {
      ir_kb_if(b, ir_kb_op(b, IR_K_gt, IR_KT_bool, k->slab_start, integer(f, 0), NULL));
      spill(f, 1, wide, true);
      end(f, 1);
    }
    multiply(f, op, wide);
    if (direct && slabs) ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, f->slab_end, integer(f, k->cols), NULL));
    if (direct) store_tile(f, 1, wide);
    if (direct && slabs) ir_kb_else(b);
    if (!direct || slabs) spill(f, 1, wide, false);
    end(f, direct && slabs ? 3 : 2);
  }
  end(f, 2);
}

// Slabs of even size, so that none is short.
static int64_t slab_inputs(const linear_kernel *k, int64_t wanted) {
  int64_t step = cg_panel_step(k->storage, k->cols), most = wanted / step * step;
  if (most < step) most = step;
  int64_t slabs = (k->cols + most - 1) / most;
  return ((k->cols + slabs - 1) / slabs + step - 1) / step * step;
}

static void emit_staged(float_kernel *f) {
  linear_kernel *k = &f->k;
  ir_kbuilder *b = &k->e.b;
  static const int64_t slabs[] = {256, 384, 1024};
  f->slab = slab_inputs(k, cg_schedule_choice(k->fl->low, f->key, "slab", SLAB, slabs, k->cols > slabs[0] ? 3 : 0));
  // Sums of two matrices meet in memory, and those of a last panel that is not full.
  bool direct = k->matrices == 1 && !cg_linear_meets_in_memory(k);
  if (!direct || k->cols > f->slab) cg_linear_add_sums(k);
  k->slab = cg_linear_local(k, "slab", 4 * f->vectors * (f->slab + 1) * IR_LANES);
  k->slab_start = ir_kb_for(b, IR_KR_SERIAL, "ks", integer(f, 0), integer(f, k->cols), f->slab);
  f->slab_end = ir_kb_min(b, ir_kb_add(b, k->slab_start, integer(f, f->slab)), integer(f, k->cols));
  decode_slab(f);
  emit_tiles(f, NULL, f->vectors, 0, direct);
  ir_kb_end(b);
  if (!direct) cg_linear_store_sums(k);
}

static void emit_tiled(float_kernel *f) {
  linear_kernel *k = &f->k;
  cg_panel_operand ops[2 * CG_MAX_PANELS];
  cg_linear_operands(k, ops);
  bool direct = k->matrices == 1 && !cg_linear_meets_in_memory(k);
  if (!direct) cg_linear_add_sums(k);
  f->slab = k->cols;
  k->slab_start = integer(f, 0);
  f->slab_end = integer(f, k->cols);
  for (int m = 0; m < k->matrices; m++) emit_tiles(f, &ops[m * k->panels], k->panels, m * k->panels, direct);
  if (!direct) cg_linear_store_sums(k);
}

typedef enum { DIRECT, STAGED, TILED } schedule;

// Panels and rows of an item.
static void choose_item(float_kernel *f, schedule how) {
  static const int64_t rows[] = {96, 144, 384};
  linear_kernel *k = &f->k;
  lowering *low = k->fl->low;
  int64_t all = (k->outs + IR_LANES - 1) / IR_LANES, most = CG_MAX_PANELS / k->matrices;
  k->spread = how == DIRECT;
  if (how == DIRECT) {
    k->panels = (int)cg_schedule_divisor(low, f->key, "few.panels", direct_panels(k->outs, k->matrices), all, most);
    return;
  }
  k->panels = (int)cg_schedule_divisor(low, f->key, "many.panels", cg_linear_panels(k->outs, (int)most), all, most);
  k->most_rows = (int)cg_schedule_choice(low, f->key, "many.rows", MOST_ROWS, rows, 3);
}

static const char *key_of(function_lowering *fl, const linear_part *part) {
  const ir_value *w = part->linears[0]->operands[1];
  return cg_linear_key(fl, fl->out->formats[w->result].storage, "", part->matrices, &w->type);
}

static void begin_launch(linear_launch *launch, const linear_kernel *k, schedule how) {
  static const char *const names[] = {"direct", "staged", "tiled"};
  weir_arena *arena = k->fl->low->arena;
  const char *storage = weir_storage_name(k->storage);
  const char *name = weir_arena_printf(arena, "linear%s_%s_%s_%dx%d", cg_linear_suffix(k), storage, names[how],
                                       k->panels * 16, (int)k->cols);
  const char *banner =
      weir_arena_printf(arena, "[rows, %d] x %d matrices %s[%d, %d], then %s", (int)k->cols, k->matrices, storage,
                        (int)k->outs, (int)k->cols, ir_op_get_info(k->root->def->op)->name);
  cg_linear_begin(launch, name, banner);
}

static weir_status emit_launch(function_lowering *fl, const linear_part *parts, int count, bool few, int64_t guard_lo,
                               int64_t guard_hi) {
  float_kernel all[CG_MAX_PARTS];
  schedule how[CG_MAX_PARTS];
  linear_launch launch = {.count = count};
  for (int i = 0; i < count; i++) {
    float_kernel *f = &all[i];
    *f = (float_kernel){.key = key_of(fl, &parts[i])};
    cg_linear_init(&f->k, fl, &parts[i]);
    how[i] = few ? DIRECT : f->k.storage == WEIR_STORAGE_F32 ? TILED : STAGED;
    choose_item(f, how[i]);
    cg_linear_fit_root(&f->k);
    f->vectors = f->k.matrices * f->k.panels;
    launch.parts[i] = &f->k;
  }
  fl->low->choice_key = all[0].key;
  begin_launch(&launch, &all[0].k, how[0]);
  for (int i = 0; i < count; i++) {
    cg_linear_open_part(&launch, &all[i].k);
    if (how[i] == STAGED) emit_staged(&all[i]);
    else if (how[i] == TILED) emit_tiled(&all[i]);
    else emit_direct(&all[i]);
    cg_linear_close_part(&launch, &all[i].k);
  }
  return cg_linear_finish_launch(&launch, guard_lo, guard_hi);
}

// Few rows read weights faster in another order than that of heads: what rope turns becomes whole rows in a temporary,
// turned by who completes them.
static void turn_later(function_lowering *fl, linear_part *part) {
  ir_value *turned = cg_rope_product(fl, part->root);
  if (!turned) return;
  part->tail = (row_tail){turned, part->root, NULL, cg_add_counters(fl, turned->type.dims[0], 1)};
  part->root = turned;
  cg_info(fl, turned)->slot = cg_add_temp(fl, turned);
}

weir_status cg_lower_linear_float(function_lowering *fl, const linear_part *parts, int count) {
  static const int64_t limits[] = {8};
  // Devices of thread blocks count no arrivals.
  if (fl->low->options->blocks && cg_rope_product(fl, parts[0].root)) return emit_launch(fl, parts, count, false, 0, 0);
  int64_t few = cg_schedule_choice(fl->low, key_of(fl, &parts[0]), "few.rows", DIRECT_ROWS, limits, 1);
  linear_part rows[CG_MAX_PARTS];
  for (int i = 0; i < count; i++) {
    rows[i] = parts[i];
    turn_later(fl, &rows[i]);
  }
  for (int i = 0; i < count; i++)
    if (rows[i].tail.value) cg_info(fl, rows[i].root)->fate = FATE_ROOT;  // in this kernel
  weir_status status = emit_launch(fl, rows, count, true, 0, few + 1);
  for (int i = 0; i < count; i++)
    if (rows[i].tail.value) cg_info(fl, rows[i].root)->fate = FATE_INLINE;
  WEIR_TRY(status);
  return emit_launch(fl, parts, count, false, few + 1, INT64_MAX);
}
