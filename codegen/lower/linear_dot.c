// Products with packed matrices in lower precision, as a plan asks for them: dot products of bytes (activations int8)
// or of pairs of bfloat16 (compute bf16). Rows are packed once by pack.c.
//
// int8: the codes of a sub-block of weights times those of 32 or 16 inputs add up in an integer, exactly, from minus
// the offset of the format times the sum of the input's codes. Then for each sub-block in order
//   acc = fma(float(sum) * weight scale, input scale, acc), and where the format has minima
//   acc = fma(minus minimum, scaled sum of codes, acc).
// bf16: acc = dot2(weights, inputs, acc) for pairs of inputs in order; weights that are not bf16 are rounded to it.
// Either is one lane's accumulator, so an element's bits are the same in a tile of any height and in any schedule.
//
// Where a level has a matrix unit, all of bf16 and int8 for more than a few rows go there (linear_matrix.c): the bits
// of int8 are the same, those of bf16 are the unit's, for any number of rows.
//
// int8_row (linear_int8_row.c): one integer sum over all inputs, then the two scales.
//
// int8 decodes into registers always, which is a few integer operations for many rows; few rows take more panels at a
// time, to read memory in more places at once. bf16: pairs of the package are read as they are; weights in blocks are
// decoded into registers for few rows, into a slab of pairs for more.
#include "codegen/lower/linear_internal.h"

enum {
  FEW_ROWS = 4,   // up to this many rows run the schedule for few
  FEW_PAIRS = 2,  // the same of bf16: decoding into pairs takes registers
  SLAB = 128,     // inputs decoded at a time by the staged schedule, more if a block is longer
};

cg_compute cg_linear_compute(const function_lowering *fl, const ir_node *node) {
  const ir_value *w = node->operands[1], *x = node->operands[0];
  if (w->def || fl->function->params[w->result].kind != IR_PARAM_WEIGHT) return CG_COMPUTE_F32;
  const cg_weight_format *format = &fl->out->formats[w->result];
  const value_info *in = cg_info(fl, x), *out = cg_info(fl, node->results[0]);
  bool rows = (in->cls == CLASS_PACKED || in->cls == CLASS_REQUEST) && out->cls == in->cls &&
              !(in->ragged >> (x->type.rank - 1) & 1) && !(out->ragged >> (x->type.rank - 1) & 1);
  bool floats = cg_compute_type(x->type.dtype) == IR_KT_f32 && cg_compute_type(out->value->type.dtype) == IR_KT_f32;
  return cg_is_panel(*format) && rows && floats ? format->compute : CG_COMPUTE_F32;
}

typedef struct {
  linear_kernel k;
  const char *key;  // of choices among schedules
  cg_weight_format format;
  packed_rows x;
  ir_kvar *sum;                             // int8: i32, for each row of the tile and vector
  const ir_kexpr *even[2 * CG_MAX_PANELS];  // bf16 of blocks: weights of the even input before
} dot_kernel;

const ir_kexpr *cg_linear_packed_place(linear_kernel *k, ir_value *value, const ir_kexpr *m, const ir_kexpr *at) {
  const ir_kexpr *idx[IR_MAX_RANK];
  cg_linear_row(k, m, idx);
  idx[value->type.rank - 1] = at;
  return cg_emit_place_of(&k->e, value, idx);
}

const ir_kexpr *cg_linear_packed(linear_kernel *k, ir_value *value, ir_ktype type, const ir_kexpr *m,
                                 const ir_kexpr *at) {
  int buffer = cg_emit_slot(&k->e, cg_info(k->fl, value)->slot, IR_KB_IN);
  return ir_kb_load(&k->e.b, type, buffer, cg_linear_packed_place(k, value, m, at));
}

// Element |at| of row |i| of the tile.
static const ir_kexpr *load_x(dot_kernel *d, ir_value *value, ir_ktype type, const ir_kexpr *i, const ir_kexpr *at) {
  return cg_linear_packed(&d->k, value, type, ir_kb_add(&d->k.e.b, d->k.first, i), at);
}

static const ir_kexpr *open_rows(dot_kernel *d) {
  ir_kbuilder *b = &d->k.e.b;
  return ir_kb_for(b, IR_KR_UNROLL, "i", ir_kb_int(b, 0), d->k.tile, 1);
}

// ---- int8

// What the sum of a sub-block begins with.
static const ir_kexpr *sum_start(dot_kernel *d, const cg_panel_codes *codes, const ir_kexpr *i) {
  ir_kbuilder *b = &d->k.e.b;
  if (!codes->offset) return ir_kb_const(b, IR_KT_i32, 0);
  ir_value *minus = codes->inputs == 16 ? d->x.minus_16 : d->x.minus_32;
  const ir_kexpr *sum = load_x(d, minus, IR_KT_i32, i, ir_kb_div(b, codes->k, ir_kb_int(b, codes->inputs)));
  int shift = __builtin_ctz((unsigned)codes->offset);
  return ir_kb_op(b, IR_K_shl, IR_KT_i32, sum, ir_kb_const(b, IR_KT_i32, shift), NULL);
}

// Adds factor[n] * x to the accumulators of row |i|.
static void add_to_row(dot_kernel *d, const ir_kexpr *i, const ir_kexpr *const *factors, const ir_kexpr *x) {
  linear_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  for (int n = 0; n < k->matrices * k->panels; n++) {
    ir_kvar *acc = k->acc[n / k->panels];
    const ir_kexpr *panel = ir_kb_int(b, n % k->panels), *total = ir_kb_read(b, acc, i, panel, NULL);
    ir_kb_set(b, acc, ir_kb_op(b, IR_K_fma, IR_KT_f32, factors[n], x, total), i, panel, NULL);
  }
}

static void multiply_codes(void *user, const cg_panel_codes *codes) {
  dot_kernel *d = user;
  ir_kbuilder *b = &d->k.e.b;
  int count = d->k.matrices * d->k.panels;
  const ir_kexpr *word = ir_kb_div(b, codes->k, ir_kb_int(b, 4)), *group = ir_kb_div(b, codes->k, ir_kb_int(b, 32));
  const ir_kexpr *i = open_rows(d), *start = sum_start(d, codes, i), *factors[2 * CG_MAX_PANELS];
  for (int n = 0; n < count; n++) {
    ir_kb_set(b, d->sum, start, i, ir_kb_int(b, n), NULL);
    factors[n] = codes[n].b;
  }
  if (codes->b) add_to_row(d, i, factors, load_x(d, d->x.scaled_sums, IR_KT_f32, i, group));
  ir_kb_end(b);
  for (int w = 0; w < codes->inputs / 4; w++) {
    i = open_rows(d);
    const ir_kexpr *x = load_x(d, d->x.codes, IR_KT_i32, i, ir_kb_add(b, word, ir_kb_int(b, w)));
    for (int n = 0; n < count; n++) {
      const ir_kexpr *at = ir_kb_int(b, n), *sum = ir_kb_read(b, d->sum, i, at, NULL);
      ir_kop op = codes->small ? IR_K_dot4_7 : IR_K_dot4;
      ir_kb_set(b, d->sum, ir_kb_op(b, op, IR_KT_i32, codes[n].words[w], x, sum), i, at, NULL);
    }
    ir_kb_end(b);
  }
  i = open_rows(d);
  for (int n = 0; n < count; n++) {
    const ir_kexpr *sum = ir_kb_cast(b, IR_KT_f32, ir_kb_read(b, d->sum, i, ir_kb_int(b, n), NULL));
    factors[n] = ir_kb_mul(b, sum, codes[n].a);
  }
  add_to_row(d, i, factors, load_x(d, d->x.scales, IR_KT_f32, i, group));
  ir_kb_end(b);
}

// ---- bf16

static void multiply_pairs(dot_kernel *d, const ir_kexpr *pair, const ir_kexpr *const *words) {
  linear_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *i = open_rows(d), *x = load_x(d, d->x.codes, IR_KT_u32, i, pair);
  for (int n = 0; n < k->matrices * k->panels; n++) {
    ir_kvar *acc = k->acc[n / k->panels];
    const ir_kexpr *panel = ir_kb_int(b, n % k->panels), *sum = ir_kb_read(b, acc, i, panel, NULL);
    ir_kb_set(b, acc, ir_kb_op(b, IR_K_dot2, IR_KT_f32, words[n], x, sum), i, panel, NULL);
  }
  ir_kb_end(b);
}

// Weights come one input at a time: every second one completes a word.
static bool complete_words(dot_kernel *d, const ir_kexpr *const *w, const ir_kexpr **words) {
  ir_kbuilder *b = &d->k.e.b;
  int count = d->k.matrices * d->k.panels;
  bool complete = d->even[0] != NULL;
  for (int n = 0; n < count; n++) {
    if (complete) words[n] = ir_kb_let(b, "w", ir_kb_op(b, IR_K_pack2, IR_KT_u32, d->even[n], w[n], NULL));
    d->even[n] = complete ? NULL : w[n];
  }
  return complete;
}

static void multiply_decoded(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  dot_kernel *d = user;
  const ir_kexpr *words[2 * CG_MAX_PANELS];
  if (complete_words(d, w, words)) multiply_pairs(d, ir_kb_div(&d->k.e.b, at, ir_kb_int(&d->k.e.b, 2)), words);
}

static const ir_kexpr *slab_index(dot_kernel *d, const ir_kexpr *pair, int operand) {
  linear_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  int64_t stride = (int64_t)k->matrices * k->panels * IR_LANES;
  const ir_kexpr *first = ir_kb_div(b, k->slab_start, ir_kb_int(b, 2));
  const ir_kexpr *index = ir_kb_mul(b, ir_kb_sub(b, pair, first), ir_kb_int(b, stride));
  return ir_kb_add(b, ir_kb_add(b, index, ir_kb_int(b, (int64_t)operand * IR_LANES)), k->lane);
}

static void fill_slab(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  dot_kernel *d = user;
  ir_kbuilder *b = &d->k.e.b;
  const ir_kexpr *words[2 * CG_MAX_PANELS], *pair = ir_kb_div(b, at, ir_kb_int(b, 2));
  if (!complete_words(d, w, words)) return;
  for (int n = 0; n < d->k.matrices * d->k.panels; n++)
    ir_kb_store(b, IR_KT_u32, d->k.slab, slab_index(d, pair, n), words[n]);
}

// Words of pairs as the package has them.
static void emit_pairs(dot_kernel *d) {
  linear_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  cg_panel_operand ops[2 * CG_MAX_PANELS];
  int count = cg_linear_operands(k, ops);
  int64_t pairs = k->cols / 2;
  int step = pairs % 4 == 0 ? 4 : pairs % 2 == 0 ? 2 : 1;
  const ir_kexpr *first = ir_kb_for(b, IR_KR_SERIAL, "k", ir_kb_int(b, 0), ir_kb_int(b, pairs), step);
  for (int j = 0; j < step; j++) {
    const ir_kexpr *pair = ir_kb_add(b, first, ir_kb_int(b, j)), *words[2 * CG_MAX_PANELS];
    for (int n = 0; n < count; n++) {
      const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, ops[n].panel, ir_kb_int(b, pairs)), pair);
      at = ir_kb_add(b, ir_kb_mul(b, at, ir_kb_int(b, IR_LANES)), k->lane);
      words[n] = ir_kb_let(b, "w", ir_kb_load(b, IR_KT_u32, ops[n].buffer, at));
    }
    multiply_pairs(d, pair, words);
  }
  ir_kb_end(b);
}

// ---- schedules

static const char *key_of(function_lowering *fl, const linear_part *part) {
  const ir_value *w = part->linears[0]->operands[1];
  const cg_weight_format *format = &fl->out->formats[w->result];
  return cg_linear_key(fl, format->storage, cg_compute_name(format->compute), part->matrices, &w->type);
}

static void emit_direct(dot_kernel *d, const int *heights, int count) {
  linear_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  bool partial = cg_linear_meets_in_memory(k);
  if (partial) cg_linear_add_sums(k);
  cg_linear_open_tile(k, heights, count);
  cg_panel_operand ops[2 * CG_MAX_PANELS];
  if (d->format.compute == CG_COMPUTE_INT8) {
    int dims[2] = {heights[0], k->matrices * k->panels};
    d->sum = ir_kb_reg(b, "sum", IR_KT_i32, true, 2, dims, ir_kb_const(b, IR_KT_i32, 0));
    int op_count = cg_linear_operands(k, ops);
    cg_panel_emit_codes(b, k->storage, k->cols, ops, op_count, k->lane, ir_kb_int(b, 0), ir_kb_int(b, k->cols),
                        multiply_codes, d);
  } else if (d->format.layout == CG_LAYOUT_PAIRS) {
    emit_pairs(d);
  } else {
    int op_count = cg_linear_operands(k, ops);
    cg_panel_emit(b, k->storage, k->cols, ops, op_count, k->lane, ir_kb_int(b, 0), ir_kb_int(b, k->cols),
                  multiply_decoded, d);
  }
  if (partial) cg_linear_spill(k, false);
  else cg_linear_store_registers(k);
  cg_linear_close_tile(k);
  if (partial) cg_linear_store_sums(k);
}

static void emit_staged(dot_kernel *d, const int *heights, int count) {
  linear_kernel *k = &d->k;
  ir_kbuilder *b = &k->e.b;
  int step = cg_panel_step(k->storage, k->cols), vectors = k->matrices * k->panels;
  static const int64_t slabs[] = {64, 256, 512};
  int64_t wanted = cg_schedule_choice(k->fl->low, d->key, "slab", SLAB, slabs, 3);
  int64_t slab = (wanted + step - 1) / step * step;
  cg_linear_add_sums(k);
  k->slab = cg_linear_local(k, "slab", 2 * slab * vectors * IR_LANES);
  cg_linear_clear_sums(k);
  k->slab_start = ir_kb_for(b, IR_KR_SERIAL, "ks", ir_kb_int(b, 0), ir_kb_int(b, k->cols), slab);
  const ir_kexpr *end = ir_kb_min(b, ir_kb_add(b, k->slab_start, ir_kb_int(b, slab)), ir_kb_int(b, k->cols));
  k->lane = ir_kb_for(b, IR_KR_LANES, "l", ir_kb_int(b, 0), ir_kb_int(b, IR_LANES), 1);
  cg_panel_operand ops[2 * CG_MAX_PANELS];
  int op_count = cg_linear_operands(k, ops);
  cg_panel_emit(b, k->storage, k->cols, ops, op_count, k->lane, k->slab_start, end, fill_slab, d);
  ir_kb_end(b);
  cg_linear_open_tile(k, heights, count);
  cg_linear_spill(k, true);
  const ir_kexpr *two = ir_kb_int(b, 2), *words[2 * CG_MAX_PANELS];
  const ir_kexpr *pair = ir_kb_for(b, IR_KR_SERIAL, "k", ir_kb_div(b, k->slab_start, two), ir_kb_div(b, end, two), 1);
  for (int n = 0; n < vectors; n++)
    words[n] = ir_kb_let(b, "w", ir_kb_load(b, IR_KT_u32, k->slab, slab_index(d, pair, n)));
  multiply_pairs(d, pair, words);
  ir_kb_end(b);
  cg_linear_spill(k, false);
  cg_linear_close_tile(k);
  ir_kb_end(b);
  cg_linear_store_sums(k);
}

// Whether words of the package are multiplied as they lie, which is one schedule for any number of rows.
static bool takes_package(const cg_weight_format *format) {
  return format->layout == CG_LAYOUT_PAIRS || format->compute == CG_COMPUTE_INT8_ROW;
}

// The schedule of a part: panels of an item, and what it is called.
static void choose_schedule(dot_kernel *d, function_lowering *fl, const linear_part *part, const packed_rows *x,
                            bool few) {
  linear_kernel *k = &d->k;
  *d = (dot_kernel){.x = *x};
  cg_linear_init(k, fl, part);
  d->format = fl->out->formats[part->linears[0]->operands[1]->result];
  d->key = key_of(fl, part);
  bool int8 = d->format.compute == CG_COMPUTE_INT8;
  k->panels = (int)cg_schedule_divisor(fl->low, d->key, few ? "few.panels" : "many.panels",
                                       cg_linear_panels(k->outs, (int8 && !few ? 2 : CG_MAX_PANELS) / k->matrices),
                                       (k->outs + IR_LANES - 1) / IR_LANES, CG_MAX_PANELS / k->matrices);
  cg_linear_fit_root(k);
}

static bool is_staged(const dot_kernel *d, bool few) {
  return d->format.compute != CG_COMPUTE_INT8 && !takes_package(&d->format) && !few;
}

static void begin_launch(linear_launch *launch, const dot_kernel *d, bool few) {
  const linear_kernel *k = &d->k;
  weir_arena *arena = k->fl->low->arena;
  const char *storage = weir_storage_name(k->storage), *compute = cg_compute_name(d->format.compute);
  const char *how = takes_package(&d->format) ? "" : few ? "_few" : is_staged(d, few) ? "_staged" : "";
  const char *name = weir_arena_printf(arena, "linear%s_%s_%s%s_%dx%d", cg_linear_suffix(k), storage, compute, how,
                                       k->panels * 16, (int)k->cols);
  const char *banner =
      weir_arena_printf(arena, "[rows, %d] as %s x %d matrices %s[%d, %d], then %s", (int)k->cols, compute, k->matrices,
                        storage, (int)k->outs, (int)k->cols, ir_op_get_info(k->root->def->op)->name);
  cg_linear_begin(launch, name, banner);
}

static weir_status emit_launch(function_lowering *fl, const linear_part *parts, int count, const packed_rows *x,
                               bool few, int64_t guard_lo, int64_t guard_hi) {
  dot_kernel all[CG_MAX_PARTS];
  linear_launch launch = {.count = count};
  for (int i = 0; i < count; i++) {
    choose_schedule(&all[i], fl, &parts[i], x, few);
    launch.parts[i] = &all[i].k;
  }
  fl->low->choice_key = all[0].key;
  begin_launch(&launch, &all[0], few);
  for (int i = 0; i < count; i++) {
    dot_kernel *d = &all[i];
    linear_kernel *k = &d->k;
    bool int8 = d->format.compute == CG_COMPUTE_INT8;
    // int8: a vector has a sum besides its accumulator, and scales for each 16 inputs take registers too.
    int most = few && !int8 ? FEW_PAIRS : int8 && cg_panel_sub(k->storage) == 16 ? 4 : CG_CHUNK_ROWS;
    int heights[6], height_count = cg_linear_heights(k->matrices * k->panels * (int8 ? 2 : 1), most, heights);
    cg_linear_open_part(&launch, k);
    bool units = (!int8 || !few) && cg_linear_matrix(k, &d->format, x);
    if (is_staged(d, few)) emit_staged(d, heights, height_count);
    else if (d->format.compute == CG_COMPUTE_INT8_ROW) cg_linear_int8_row(k, x, heights, height_count);
    else emit_direct(d, heights, height_count);
    if (units) ir_kb_end(&k->e.b);
    cg_linear_close_part(&launch, k);
  }
  return cg_linear_finish_launch(&launch, guard_lo, guard_hi);
}

weir_status cg_lower_linear_dot(function_lowering *fl, const linear_part *parts, int count) {
  const ir_node *linear = parts[0].linears[0];
  const cg_weight_format *format = &fl->out->formats[linear->operands[1]->result];
  packed_rows x;
  WEIR_TRY(cg_pack_rows(fl, linear->operands[0], format->compute, &x));
  if (takes_package(format)) return emit_launch(fl, parts, count, &x, false, 0, 0);
  static const int64_t limits[] = {8};
  int64_t most = format->compute == CG_COMPUTE_BF16 ? FEW_PAIRS : FEW_ROWS;
  int64_t few = cg_schedule_choice(fl->low, key_of(fl, &parts[0]), "few.rows", most, limits, 1);
  WEIR_TRY(emit_launch(fl, parts, count, &x, true, 0, few + 1));
  return emit_launch(fl, parts, count, &x, false, few + 1, INT64_MAX);
}
