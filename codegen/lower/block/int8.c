// int8 in the products of mma.c. A sub-block's codes times those of the input add up in an integer, exactly, by
// mma.sync m16n8k32; then, as in linear_dot.c,
//   acc = fma(minimum, scaled sum of codes, acc) where the format has minima
//   acc = fma(float(sum) * weight scale, input scale, acc)
// Sub-blocks of 16 inputs take an operation each, with zeros for the others. The unit's bytes are signed: codes of a
// whole byte lose their 128 there, others start from minus the offset times the sum of the input's codes.
#include "codegen/lower/block/mma.h"

void cg_int8_registers(mma_kernel *f, int eights) {
  ir_kbuilder *b = mma_builder(f);
  int four = 4, rows[2] = {eights, 2}, starts[2] = {eights, 2 * f->subs};
  f->sum = ir_kb_reg(b, "sum", IR_KT_i32, false, 1, &four, ir_kb_const(b, IR_KT_i32, 0));
  f->part = ir_kb_reg(b, "half", IR_KT_u32, false, 1, &four, ir_kb_const(b, IR_KT_u32, 0));
  f->scales = ir_kb_reg(b, "scales", IR_KT_f32, false, 2, rows, bk_zero(b));
  f->scaled = ir_kb_reg(b, "scaled", IR_KT_f32, false, 2, rows, bk_zero(b));
  f->starts = ir_kb_reg(b, "starts", IR_KT_i32, false, 2, starts, ir_kb_const(b, IR_KT_i32, 0));
}

int64_t cg_int8_scale_words(const mma_kernel *f) { return (int64_t)2 * f->vectors * f->subs * IR_LANES; }

// The scale (|which| 0) or minimum (1) of sub-block |sub| of panel |vector|, in |lane|.
static const ir_kexpr *scale_at(mma_kernel *f, int which, const ir_kexpr *vector, const ir_kexpr *sub,
                                const ir_kexpr *lane) {
  ir_kbuilder *b = mma_builder(f);
  const ir_kexpr *line = ir_kb_add(b, bk_scaled(b, bk_plus(b, vector, (int64_t)which * f->vectors), f->subs), sub);
  return ir_kb_add(b, f->scale_base, ir_kb_add(b, bk_scaled(b, line, IR_LANES), lane));
}

void cg_int8_visit(void *user, const cg_panel_codes *codes) {
  mma_kernel *f = user;
  ir_kbuilder *b = mma_builder(f);
  const ir_kexpr *inside = ir_kb_sub(b, codes->k, f->to.first), *sub = bk_div(b, inside, codes->inputs);
  f->offset = codes->small ? codes->offset : 0;
  f->minima = codes->b != NULL;
  for (int w = 0; w < codes->inputs / 4; w++) {
    const ir_kexpr *word = codes->words[w], *at = bk_plus(b, bk_div(b, inside, 4), w);
    if (!codes->small) word = ir_kb_op(b, IR_K_xor, IR_KT_u32, word, ir_kb_const(b, IR_KT_u32, 0x80808080u), NULL);
    ir_kb_store(b, IR_KT_u32, f->weights, cg_mma_weight_at(f, f->to.vector, at, f->to.lane), word);
  }
  ir_kb_store(b, IR_KT_f32, f->weights, scale_at(f, 0, f->to.vector, sub, f->to.lane), codes->a);
  if (codes->b) ir_kb_store(b, IR_KT_f32, f->weights, scale_at(f, 1, f->to.vector, sub, f->to.lane), codes->b);
}

void cg_int8_read_rows(mma_kernel *f, const ir_kexpr *j, const ir_kexpr *const *m) {
  ir_kbuilder *b = mma_builder(f);
  linear_kernel *k = &f->p->k;
  for (int r = 0; r < 2; r++) {
    const ir_kexpr *nth = bk_int(b, r);
    ir_kb_set(b, f->scales, cg_linear_packed(k, f->x->scales, IR_KT_f32, m[r], f->slab), j, nth, NULL);
    if (f->minima)
      ir_kb_set(b, f->scaled, cg_linear_packed(k, f->x->scaled_sums, IR_KT_f32, m[r], f->slab), j, nth, NULL);
    for (int s = 0; f->offset && s < f->subs; s++) {
      ir_value *minus = f->subs == 2 ? f->x->minus_16 : f->x->minus_32;
      const ir_kexpr *at = bk_plus(b, bk_scaled(b, f->slab, f->subs), s);
      const ir_kexpr *shift = ir_kb_const(b, IR_KT_i32, __builtin_ctz((unsigned)f->offset));
      const ir_kexpr *start = cg_linear_packed(k, minus, IR_KT_i32, m[r], at);
      ir_kb_set(b, f->starts, ir_kb_op(b, IR_K_shl, IR_KT_i32, start, shift, NULL), j, bk_int(b, 2 * s + r), NULL);
    }
  }
}

// The numbers of the thread's two lanes.
static void lane_scales(mma_kernel *f, int which, const ir_kexpr *vector, int sub, const ir_kexpr **out) {
  ir_kbuilder *b = mma_builder(f);
  for (int n = 0; n < 2; n++) {
    const ir_kexpr *at = scale_at(f, which, vector, bk_int(b, sub), bk_plus(b, bk_scaled(b, f->group, 2), n));
    out[n] = ir_kb_let(b, which ? "minimum" : "scale", ir_kb_load(b, IR_KT_f32, f->weights, at));
  }
}

static void multiply_sub(mma_kernel *f, const ir_kexpr *vector, const ir_kexpr *j, const ir_kexpr *at, int sub) {
  ir_kbuilder *b = mma_builder(f);
  const ir_kexpr *zero = bk_int(b, 0), *scales[2], *minima[2];
  for (int i = 0; i < 4; i++) {
    const ir_kexpr *start = ir_kb_const(b, IR_KT_i32, 0);
    if (f->offset) start = ir_kb_read(b, f->starts, j, bk_int(b, 2 * sub + i % 2), NULL);
    ir_kb_set(b, f->sum, start, bk_int(b, i), NULL, NULL);
    bool here = f->subs == 1 || i / 2 == sub;
    const ir_kexpr *word = here ? ir_kb_read(b, f->a, zero, bk_int(b, i), NULL) : ir_kb_const(b, IR_KT_u32, 0);
    if (f->subs == 2) ir_kb_set(b, f->part, word, bk_int(b, i), NULL, NULL);
  }
  ir_kregs a = f->subs == 2 ? ir_kb_regs(f->part, zero, NULL, NULL) : ir_kb_regs(f->a, zero, zero, NULL);
  ir_kb_mma(b, IR_KMMA_s8, ir_kb_regs(f->sum, zero, NULL, NULL), a, ir_kb_regs(f->b, j, zero, NULL));
  lane_scales(f, 0, vector, sub, scales);
  if (f->minima) lane_scales(f, 1, vector, sub, minima);
  for (int i = 0; i < 4; i++) {
    const ir_kexpr *row = bk_int(b, i % 2), *nth = bk_int(b, i), *total = ir_kb_read(b, f->acc, at, nth, NULL);
    if (f->minima)
      total = ir_kb_op(b, IR_K_fma, IR_KT_f32, minima[i / 2], ir_kb_read(b, f->scaled, j, row, NULL), total);
    const ir_kexpr *sum = ir_kb_cast(b, IR_KT_f32, ir_kb_read(b, f->sum, nth, NULL, NULL));
    const ir_kexpr *factor = ir_kb_mul(b, sum, scales[i / 2]);
    total = ir_kb_op(b, IR_K_fma, IR_KT_f32, factor, ir_kb_read(b, f->scales, j, row, NULL), total);
    ir_kb_set(b, f->acc, total, at, nth, NULL);
  }
}

void cg_int8_multiply(mma_kernel *f, const ir_kexpr *vector, const ir_kexpr *j, const ir_kexpr *at) {
  for (int sub = 0; sub < f->subs; sub++) multiply_sub(f, vector, j, at, sub);
}
