// Products of bytes with one scale for each row of both sides (compute int8_row; weights W8): the codes of a row of
// inputs times those of an output add up in one integer over all inputs, exactly, and then
//   y = (float(sum) * scale of the output) * scale of the row
// A sum begins with -128 times the sum of the row's codes, which takes back the 128 that the codes of weights are
// stored with (dot4 wants one side without a sign). Wrapping on the way does not matter: what counts is that the end
// fits 32 bits, for which rows have CG_INT8_ROW_INPUTS inputs at most.
//
// The inner loop is nothing but dot products from words of the package: one schedule serves any number of rows. No
// order of additions is to be kept, so an element has the same bits in every tile, on every level and in tiles of a
// matrix unit (linear_matrix.c).
#include "codegen/lower/linear_internal.h"

enum { WORDS = 4 };  // of each vector in a turn of the inner loop; rows have whole blocks of 8

void cg_linear_row_scales(linear_kernel *k, const cg_panel_operand *operands, int count, const ir_kexpr **out) {
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *words = ir_kb_int(b, cg_panel_words(k->storage, k->cols));
  for (int n = 0; n < count; n++) {
    const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, operands[n].panel, words), k->lane);
    out[n] = ir_kb_let(b, "scale", ir_kb_load(b, IR_KT_f32, operands[n].buffer, at));
  }
}

const ir_kexpr *cg_linear_row_total(linear_kernel *k, const ir_kexpr *sum, const ir_kexpr *weight_scale,
                                    const ir_kexpr *scale) {
  ir_kbuilder *b = &k->e.b;
  return ir_kb_mul(b, ir_kb_mul(b, ir_kb_cast(b, IR_KT_f32, sum), weight_scale), scale);
}

typedef struct {
  linear_kernel *k;
  const packed_rows *x;
  cg_panel_operand operands[2 * CG_MAX_PANELS];
  int count;
  ir_kvar *sum;  // i32, [row of the tile][operand]
} row_kernel;

static const ir_kexpr *open_rows(row_kernel *r) {
  ir_kbuilder *b = &r->k->e.b;
  return ir_kb_for(b, IR_KR_UNROLL, "i", ir_kb_int(b, 0), r->k->tile, 1);
}

static const ir_kexpr *load_x(row_kernel *r, ir_value *value, ir_ktype type, const ir_kexpr *i, const ir_kexpr *at) {
  return cg_linear_packed(r->k, value, type, ir_kb_add(&r->k->e.b, r->k->first, i), at);
}

static void start_sums(row_kernel *r) {
  ir_kbuilder *b = &r->k->e.b;
  const ir_kexpr *i = open_rows(r), *start = load_x(r, r->x->starts, IR_KT_i32, i, ir_kb_int(b, 0));
  for (int n = 0; n < r->count; n++) ir_kb_set(b, r->sum, start, i, ir_kb_int(b, n), NULL);
  ir_kb_end(b);
}

static void multiply(row_kernel *r) {
  linear_kernel *k = r->k;
  ir_kbuilder *b = &k->e.b;
  int64_t panel = cg_panel_words(k->storage, k->cols);
  const ir_kexpr *first = ir_kb_for(b, IR_KR_SERIAL, "k", ir_kb_int(b, 0), ir_kb_int(b, k->cols / 4), WORDS);
  for (int j = 0; j < WORDS; j++) {
    const ir_kexpr *word = ir_kb_add(b, first, ir_kb_int(b, j)), *words[2 * CG_MAX_PANELS];
    const ir_kexpr *inside = ir_kb_add(b, ir_kb_mul(b, word, ir_kb_int(b, IR_LANES)), k->lane);
    inside = ir_kb_add(b, inside, ir_kb_int(b, cg_panel_front(k->storage)));
    for (int n = 0; n < r->count; n++) {
      const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, r->operands[n].panel, ir_kb_int(b, panel)), inside);
      words[n] = ir_kb_let(b, "w", ir_kb_load(b, IR_KT_u32, r->operands[n].buffer, at));
    }
    const ir_kexpr *i = open_rows(r), *x = load_x(r, r->x->codes, IR_KT_i32, i, word);
    for (int n = 0; n < r->count; n++) {
      const ir_kexpr *nth = ir_kb_int(b, n), *sum = ir_kb_read(b, r->sum, i, nth, NULL);
      ir_kb_set(b, r->sum, ir_kb_op(b, IR_K_dot4, IR_KT_i32, words[n], x, sum), i, nth, NULL);
    }
    ir_kb_end(b);
  }
  ir_kb_end(b);
}

// The finished elements of a tile, through the epilogue to their place, or to the sums in local memory.
static void store_tile(row_kernel *r, bool memory) {
  linear_kernel *k = r->k;
  ir_kbuilder *b = &k->e.b;
  const ir_kexpr *scales[2 * CG_MAX_PANELS];
  cg_linear_row_scales(k, r->operands, r->count, scales);
  const ir_kexpr *i = open_rows(r), *scale = load_x(r, r->x->scales, IR_KT_f32, i, ir_kb_int(b, 0));
  const ir_kexpr *row = ir_kb_add(b, k->first, i);
  for (int p = 0; p < k->panels; p++) {
    const ir_kexpr *totals[2];
    for (int m = 0; m < k->matrices; m++) {
      int n = m * k->panels + p;
      const ir_kexpr *nth = ir_kb_int(b, n), *sum = ir_kb_read(b, r->sum, i, nth, NULL);
      totals[m] = cg_linear_row_total(k, sum, scales[n], scale);
      if (memory) ir_kb_store(b, IR_KT_f32, k->sums, cg_linear_sum_index(k, row, nth, k->lane), totals[m]);
    }
    if (memory) continue;
    const ir_kexpr *column = ir_kb_add(b, cg_linear_column(k, ir_kb_int(b, p)), k->lane);
    cg_linear_store_row(k, row, column, totals);
  }
  ir_kb_end(b);
}

void cg_linear_int8_row(linear_kernel *k, const packed_rows *x, const int *heights, int count) {
  ir_kbuilder *b = &k->e.b;
  bool memory = cg_linear_meets_in_memory(k);
  row_kernel r = {.k = k, .x = x};
  if (memory) cg_linear_add_sums(k);
  cg_linear_open_tile(k, heights, count);
  r.count = cg_linear_operands(k, r.operands);
  int dims[2] = {heights[0], r.count};
  r.sum = ir_kb_reg(b, "sum", IR_KT_i32, true, 2, dims, ir_kb_const(b, IR_KT_i32, 0));
  start_sums(&r);
  multiply(&r);
  store_tile(&r, memory);
  cg_linear_close_tile(k);
  if (memory) cg_linear_store_sums(k);
}
