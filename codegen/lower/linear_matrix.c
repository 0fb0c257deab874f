// Products in lower precision by a matrix unit (matdot): rows as pack.c leaves them times panels, into sums in local
// memory.
//
// bf16: pairs of the package are multiplied as they lie; weights in blocks are decoded into a slab of pairs, some
// inputs at a time. The order of additions is that of matdot, whatever the number of rows, so that few rows go this way
// too. int8: the codes of some sub-blocks go into a slab, with their scales; for each sub-block there is a product of
// integers, which is exact, and then the same steps for each element as in linear_dot.c, so the bits are the same.
//
// All rows of the item are multiplied at once: the printer cuts them into tiles. Nothing here may depend on their
// number.
#include "codegen/lower/linear_internal.h"

enum {
  PAIR_STEP = 16,     // words of a step of whole rows; the order of additions of bf16 depends on it
  PAIR_INPUTS = 128,  // inputs decoded at a time, more if a block is longer
  CODE_INPUTS = 256,
};

typedef struct {
  linear_kernel *k;
  const cg_weight_format *format;
  const packed_rows *x;
  int vectors;                        // of all matrices
  int sub;                            // int8: inputs that share a scale
  const ir_kexpr *from, *to;          // inputs in the slab
  int codes, scales, minima, offset;  // int8: LOCAL buffers, and what the format subtracts
  bool has_minima;
  const ir_kexpr *even[2 * CG_MAX_PANELS];
} matrix_kernel;

static bool rows_are_contiguous(const linear_kernel *k, const ir_value *value) {
  const value_info *info = cg_info(k->fl, value);
  return k->fl->out->slots[info->slot].first == info->ragged;
}

static int buffer_of(matrix_kernel *p, ir_value *value) {
  return cg_emit_slot(&p->k->e, cg_info(p->k->fl, value)->slot, IR_KB_IN);
}

static const ir_kexpr *open_lanes(linear_kernel *k) {
  ir_kbuilder *b = &k->e.b;
  return k->lane = ir_kb_for(b, IR_KR_LANES, "l", ir_kb_int(b, 0), ir_kb_int(b, IR_LANES), 1);
}

// What all products here have in common: the item's rows times words from |word| of x on, into vectors of |c|.
static ir_kmatdot begin_product(matrix_kernel *p, int c, const ir_kexpr *word, const ir_kexpr *words, int step) {
  ir_kbuilder *b = &p->k->e.b;
  ir_kmatdot d = {.c = c, .a = buffer_of(p, p->x->codes), .panels = p->vectors, .step = step};
  d.at[IR_KM_AT_C] = ir_kb_int(b, 0);
  d.at[IR_KM_ROW_C] = ir_kb_int(b, (int64_t)p->vectors * IR_LANES);
  d.at[IR_KM_AT_A] = cg_linear_packed_place(p->k, p->x->codes, p->k->lo, word);
  d.at[IR_KM_ROW_A] = ir_kb_int(b, cg_const_dim(p->x->codes->type.dims[p->x->codes->type.rank - 1]));
  d.at[IR_KM_ROWS] = ir_kb_sub(b, p->k->hi, p->k->lo);
  d.at[IR_KM_WORDS] = words;
  return d;
}

// ---- bf16

// Pairs as the package has them: all inputs at once.
static void multiply_package(matrix_kernel *p) {
  linear_kernel *k = p->k;
  ir_kbuilder *b = &k->e.b;
  cg_panel_operand ops[2 * CG_MAX_PANELS];
  cg_linear_operands(k, ops);
  int64_t pairs = k->cols / 2;
  int run = k->spread || k->half ? 1 : k->panels;  // panels that stand side by side
  for (int n = 0; n < p->vectors; n += run) {
    ir_kmatdot d = begin_product(p, k->sums, ir_kb_int(b, 0), ir_kb_int(b, pairs), PAIR_STEP);
    d.b = ops[n].buffer;
    d.panels = run;
    d.at[IR_KM_AT_C] = ir_kb_int(b, (int64_t)n * IR_LANES);
    d.at[IR_KM_AT_B] = ir_kb_mul(b, ops[n].panel, ir_kb_int(b, pairs * IR_LANES));
    d.at[IR_KM_ROW_B] = ir_kb_int(b, IR_LANES);
    d.at[IR_KM_PANEL_B] = ir_kb_int(b, pairs * IR_LANES);
    ir_kb_matdot(b, IR_KT_f32, &d);
  }
}

// Every second input completes a word of each operand.
static void fill_pairs(void *user, const ir_kexpr *at, const ir_kexpr *const *w) {
  matrix_kernel *p = user;
  ir_kbuilder *b = &p->k->e.b;
  bool complete = p->even[0] != NULL;
  const ir_kexpr *two = ir_kb_int(b, 2), *row = ir_kb_sub(b, ir_kb_div(b, at, two), ir_kb_div(b, p->from, two));
  for (int n = 0; n < p->vectors; n++) {
    if (complete) {
      const ir_kexpr *index = ir_kb_mul(b, row, ir_kb_int(b, (int64_t)p->vectors * IR_LANES));
      index = ir_kb_add(b, ir_kb_add(b, index, ir_kb_int(b, (int64_t)n * IR_LANES)), p->k->lane);
      ir_kb_store(b, IR_KT_u32, p->codes, index, ir_kb_op(b, IR_K_pack2, IR_KT_u32, p->even[n], w[n], NULL));
    }
    p->even[n] = complete ? NULL : w[n];
  }
}

static void open_slab(matrix_kernel *p, int64_t inputs) {
  ir_kbuilder *b = &p->k->e.b;
  p->from = ir_kb_for(b, IR_KR_SERIAL, "ks", ir_kb_int(b, 0), ir_kb_int(b, p->k->cols), inputs);
  p->to = ir_kb_min(b, ir_kb_add(b, p->from, ir_kb_int(b, inputs)), ir_kb_int(b, p->k->cols));
}

static void multiply_decoded(matrix_kernel *p) {
  linear_kernel *k = p->k;
  ir_kbuilder *b = &k->e.b;
  cg_panel_operand ops[2 * CG_MAX_PANELS];
  int block = cg_panel_step(k->storage, k->cols), vectors = p->vectors;
  int64_t inputs = (PAIR_INPUTS + block - 1) / block * block;
  p->codes = cg_linear_local(k, "pairs", 2 * inputs * vectors * IR_LANES);
  open_slab(p, inputs);
  open_lanes(k);
  int count = cg_linear_operands(k, ops);
  cg_panel_emit(b, k->storage, k->cols, ops, count, k->lane, p->from, p->to, fill_pairs, p);
  ir_kb_end(b);
  const ir_kexpr *two = ir_kb_int(b, 2), *words = ir_kb_div(b, ir_kb_sub(b, p->to, p->from), two);
  ir_kmatdot d = begin_product(p, k->sums, ir_kb_div(b, p->from, two), words, PAIR_STEP);
  d.b = p->codes;
  d.at[IR_KM_AT_B] = ir_kb_int(b, 0);
  d.at[IR_KM_ROW_B] = ir_kb_int(b, (int64_t)vectors * IR_LANES);
  d.at[IR_KM_PANEL_B] = ir_kb_int(b, IR_LANES);
  d.adds = true;
  ir_kb_matdot(b, IR_KT_f32, &d);
  ir_kb_end(b);
}

// ---- int8

// The vectors of sub-block |sub| of the slab, of which each has |each| for a vector.
static const ir_kexpr *slab_index(matrix_kernel *p, const ir_kexpr *sub, int each, int n) {
  ir_kbuilder *b = &p->k->e.b;
  const ir_kexpr *index = ir_kb_mul(b, sub, ir_kb_int(b, (int64_t)each * p->vectors * IR_LANES));
  return ir_kb_add(b, ir_kb_add(b, index, ir_kb_int(b, (int64_t)n * IR_LANES)), p->k->lane);
}

static void fill_codes(void *user, const cg_panel_codes *codes) {
  matrix_kernel *p = user;
  ir_kbuilder *b = &p->k->e.b;
  const ir_kexpr *sub = ir_kb_div(b, ir_kb_sub(b, codes->k, p->from), ir_kb_int(b, p->sub));
  int words = p->sub / 4;
  p->offset = codes->offset;
  p->has_minima = codes->b != NULL;
  for (int n = 0; n < p->vectors; n++) {
    for (int w = 0; w < words; w++)
      ir_kb_store(b, IR_KT_u32, p->codes, slab_index(p, sub, words, w * p->vectors + n), codes[n].words[w]);
    ir_kb_store(b, IR_KT_f32, p->scales, slab_index(p, sub, 1, n), codes[n].a);
    if (codes->b) ir_kb_store(b, IR_KT_f32, p->minima, slab_index(p, sub, 1, n), codes[n].b);
  }
}

// Integer products of sub-block |sub|, then what linear_dot.c does with each.
static void multiply_sub(matrix_kernel *p, const ir_kexpr *sub, int products) {
  linear_kernel *k = p->k;
  ir_kbuilder *b = &k->e.b;
  int words = p->sub / 4;
  const ir_kexpr *input = ir_kb_add(b, p->from, ir_kb_mul(b, sub, ir_kb_int(b, p->sub)));
  const ir_kexpr *group = ir_kb_div(b, input, ir_kb_int(b, 32));
  ir_kmatdot d = begin_product(p, products, ir_kb_div(b, input, ir_kb_int(b, 4)), ir_kb_int(b, words), words);
  d.b = p->codes;
  d.at[IR_KM_AT_B] = ir_kb_mul(b, sub, ir_kb_int(b, (int64_t)words * p->vectors * IR_LANES));
  d.at[IR_KM_ROW_B] = ir_kb_int(b, (int64_t)p->vectors * IR_LANES);
  d.at[IR_KM_PANEL_B] = ir_kb_int(b, IR_LANES);
  ir_kb_matdot(b, IR_KT_i32, &d);

  open_lanes(k);
  const ir_kexpr *scales[2 * CG_MAX_PANELS], *minima[2 * CG_MAX_PANELS];
  for (int n = 0; n < p->vectors; n++) {
    const ir_kexpr *at = slab_index(p, sub, 1, n);
    scales[n] = ir_kb_let(b, "scale", ir_kb_load(b, IR_KT_f32, p->scales, at));
    if (p->has_minima) minima[n] = ir_kb_let(b, "minimum", ir_kb_load(b, IR_KT_f32, p->minima, at));
  }
  const ir_kexpr *m = ir_kb_for(b, IR_KR_SERIAL, "m", k->lo, k->hi, 1), *start = NULL, *scaled = NULL;
  if (p->offset) {
    ir_value *minus = p->sub == 16 ? p->x->minus_16 : p->x->minus_32;
    start = cg_linear_packed(k, minus, IR_KT_i32, m, ir_kb_div(b, input, ir_kb_int(b, p->sub)));
    int shift = __builtin_ctz((unsigned)p->offset);
    start = ir_kb_op(b, IR_K_shl, IR_KT_i32, start, ir_kb_const(b, IR_KT_i32, shift), NULL);
  }
  if (p->has_minima) scaled = cg_linear_packed(k, p->x->scaled_sums, IR_KT_f32, m, group);
  const ir_kexpr *scale = cg_linear_packed(k, p->x->scales, IR_KT_f32, m, group);
  for (int n = 0; n < p->vectors; n++) {
    const ir_kexpr *at = cg_linear_sum_index(k, m, ir_kb_int(b, n), k->lane);
    const ir_kexpr *total = ir_kb_load(b, IR_KT_f32, k->sums, at), *sum = ir_kb_load(b, IR_KT_i32, products, at);
    if (start) sum = ir_kb_add(b, sum, start);
    if (scaled) total = ir_kb_op(b, IR_K_fma, IR_KT_f32, minima[n], scaled, total);
    const ir_kexpr *factor = ir_kb_mul(b, ir_kb_cast(b, IR_KT_f32, sum), scales[n]);
    ir_kb_store(b, IR_KT_f32, k->sums, at, ir_kb_op(b, IR_K_fma, IR_KT_f32, factor, scale, total));
  }
  ir_kb_end(b);
  ir_kb_end(b);
}

// One scale a row: the codes of the package, all inputs at once.
static void multiply_rows(matrix_kernel *p) {
  linear_kernel *k = p->k;
  ir_kbuilder *b = &k->e.b;
  cg_panel_operand ops[2 * CG_MAX_PANELS];
  int count = cg_linear_operands(k, ops), run = k->spread || k->half ? 1 : k->panels;
  int64_t words = cg_panel_words(k->storage, k->cols), rows = k->most_rows ? k->most_rows : CG_CHUNK_ROWS;
  int products = cg_linear_local(k, "products", 4 * rows * p->vectors * IR_LANES);
  for (int n = 0; n < p->vectors; n += run) {
    ir_kmatdot d = begin_product(p, products, ir_kb_int(b, 0), ir_kb_int(b, k->cols / 4), PAIR_STEP);
    d.b = ops[n].buffer;
    d.panels = run;
    d.at[IR_KM_AT_C] = ir_kb_int(b, (int64_t)n * IR_LANES);
    d.at[IR_KM_AT_B] =
        ir_kb_add(b, ir_kb_mul(b, ops[n].panel, ir_kb_int(b, words)), ir_kb_int(b, cg_panel_front(k->storage)));
    d.at[IR_KM_ROW_B] = ir_kb_int(b, IR_LANES);
    d.at[IR_KM_PANEL_B] = ir_kb_int(b, words);
    ir_kb_matdot(b, IR_KT_i32, &d);
  }
  open_lanes(k);
  const ir_kexpr *scales[2 * CG_MAX_PANELS], *zero = ir_kb_int(b, 0);
  cg_linear_row_scales(k, ops, count, scales);
  const ir_kexpr *m = ir_kb_for(b, IR_KR_SERIAL, "m", k->lo, k->hi, 1);
  const ir_kexpr *start = cg_linear_packed(k, p->x->starts, IR_KT_i32, m, zero);
  const ir_kexpr *scale = cg_linear_packed(k, p->x->scales, IR_KT_f32, m, zero);
  for (int n = 0; n < count; n++) {
    const ir_kexpr *at = cg_linear_sum_index(k, m, ir_kb_int(b, n), k->lane);
    const ir_kexpr *sum = ir_kb_add(b, ir_kb_load(b, IR_KT_i32, products, at), start);
    ir_kb_store(b, IR_KT_f32, k->sums, at, cg_linear_row_total(k, sum, scales[n], scale));
  }
  ir_kb_end(b);
  ir_kb_end(b);
}

static void multiply_codes(matrix_kernel *p) {
  linear_kernel *k = p->k;
  ir_kbuilder *b = &k->e.b;
  cg_panel_operand ops[2 * CG_MAX_PANELS];
  int block = cg_panel_block(k->storage);
  int64_t inputs = (CODE_INPUTS + block - 1) / block * block, row = (int64_t)p->vectors * IR_LANES;
  p->sub = cg_panel_sub(k->storage);
  p->codes = cg_linear_local(k, "codes", inputs * row);
  p->scales = cg_linear_local(k, "scales", 4 * inputs / p->sub * row);
  p->minima = cg_linear_local(k, "minima", 4 * inputs / p->sub * row);
  int products = cg_linear_local(k, "products", 4 * CG_CHUNK_ROWS * row);
  open_slab(p, inputs);
  open_lanes(k);
  int count = cg_linear_operands(k, ops);
  cg_panel_emit_codes(b, k->storage, k->cols, ops, count, k->lane, p->from, p->to, fill_codes, p);
  ir_kb_end(b);
  const ir_kexpr *subs = ir_kb_div(b, ir_kb_sub(b, p->to, p->from), ir_kb_int(b, p->sub));
  multiply_sub(p, ir_kb_for(b, IR_KR_SERIAL, "s", ir_kb_int(b, 0), subs, 1), products);
  ir_kb_end(b);
  ir_kb_end(b);
}

bool cg_linear_matrix(linear_kernel *k, const cg_weight_format *format, const packed_rows *x) {
  ir_kbuilder *b = &k->e.b;
  matrix_kernel p = {.k = k, .format = format, .x = x, .vectors = k->matrices * k->panels};
  if (!rows_are_contiguous(k, x->codes)) return false;
  ir_kb_if(b, ir_kb_matrix_unit(b));
  cg_linear_add_sums(k);
  bool package = format->layout == CG_LAYOUT_PAIRS, rows = format->compute == CG_COMPUTE_INT8_ROW;
  if (!package && !rows) cg_linear_clear_sums(k);
  if (package) multiply_package(&p);
  else if (rows) multiply_rows(&p);
  else if (format->compute == CG_COMPUTE_INT8) multiply_codes(&p);
  else multiply_decoded(&p);
  cg_linear_store_sums(k);
  ir_kb_else(b);
  return true;
}
