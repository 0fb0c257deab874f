// The integers of quantised blocks, four to a word, for dot products of bytes: no code becomes a float. Which bits
// stand where is told in panel.c; here words of them are shifted and masked into bytes.
#include "codegen/lower/panel_internal.h"

static const ir_kexpr *u32(ir_kbuilder *b, int64_t value) { return ir_kb_const(b, IR_KT_u32, (double)value); }
static const ir_kexpr *masked(ir_kbuilder *b, const ir_kexpr *x, int64_t byte) {
  return ir_kb_op(b, IR_K_and, IR_KT_u32, x, u32(b, byte * 0x01010101), NULL);
}

// |x| moved to the left by |by| bits, to the right if that is negative.
static const ir_kexpr *shifted(ir_kbuilder *b, const ir_kexpr *x, int by) {
  if (by >= 0) return ir_kb_op(b, IR_K_shl, IR_KT_u32, x, u32(b, by), NULL);
  return ir_kb_op(b, IR_K_shr, IR_KT_u32, x, u32(b, -by), NULL);
}

int cg_panel_sub(weir_storage storage) { return cg_panel_format(storage)->sub; }

cg_panel_sums cg_panel_sums_of(weir_storage storage) {
  const panel_format *f = cg_panel_format(storage);
  return !f->offset ? CG_SUMS_SCALED : f->sub == 16 ? CG_SUMS_16 : CG_SUMS_32;
}

typedef struct {
  ir_kbuilder *b;
  operand_state states[CG_MAX_OPERANDS];
  int count;
  const ir_kexpr *lane, *k_block;
  cg_panel_codes_visit visit;
  void *user;
} codes_context;

// The words of the |groups| groups from |from| on.
static void code_words(ir_kbuilder *b, const operand_state *o, const ir_kexpr *from, int groups, const ir_kexpr *lane,
                       const ir_kexpr **out) {
  const panel_format *f = o->f;
  if (cg_panel_has_bytes(f)) {
    int offset = cg_panel_field(f, FIELD_BYTES, 0);
    for (int i = 0; i < 2 * groups; i++) {
      const ir_kexpr *word = ir_kb_add(b, ir_kb_mul(b, from, ir_kb_int(b, 2)), ir_kb_int(b, i));
      out[i] = ir_kb_let(b, "q", cg_panel_word(b, o, offset, word, lane));
    }
    return;
  }
  field_kind high = cg_panel_high_field(f);
  int bits = high == FIELD_END ? 0 : cg_panel_field_bits(high);
  const ir_kexpr *above = NULL;
  if (bits) {  // as many groups as a sub-block has share a word
    const ir_kexpr *word = ir_kb_div(b, from, ir_kb_int(b, groups));
    above = ir_kb_let(b, "h", cg_panel_word(b, o, cg_panel_field(f, high, 0), word, lane));
  }
  for (int i = 0; i < groups; i++) {
    const ir_kexpr *at = ir_kb_add(b, from, ir_kb_int(b, i));
    const ir_kexpr *q = ir_kb_let(b, "q", cg_panel_word(b, o, cg_panel_field(f, FIELD_NIBBLES, 0), at, lane));
    for (int half = 0; half < 2; half++) {
      const ir_kexpr *code = masked(b, shifted(b, q, -4 * half), 15);
      if (bits) {
        const ir_kexpr *up = masked(b, shifted(b, above, 4 - bits * (2 * i + half)), ((1 << bits) - 1) << 4);
        code = ir_kb_op(b, IR_K_or, IR_KT_u32, code, up, NULL);
      }
      out[2 * i + half] = ir_kb_let(b, "c", code);
    }
  }
}

static void emit_sub(codes_context *c, const ir_kexpr *sub, bool upper) {
  ir_kbuilder *b = c->b;
  const panel_format *f = c->states->f;
  int groups = f->sub / 8;
  cg_panel_codes all[CG_MAX_OPERANDS];
  for (int i = 0; i < c->count; i++) {
    operand_state *o = &c->states[i];
    cg_panel_begin_sub(b, o, sub, upper, c->lane);
    cg_panel_codes *codes = &all[i];
    *codes = (cg_panel_codes){.inputs = f->sub, .a = o->a, .b = f->offset ? NULL : o->b, .offset = f->offset};
    codes->k = ir_kb_add(b, c->k_block, ir_kb_mul(b, sub, ir_kb_int(b, f->sub)));
    codes->small = !cg_panel_has_bytes(f);
    code_words(b, o, ir_kb_mul(b, sub, ir_kb_int(b, groups)), groups, c->lane, codes->words);
  }
  c->visit(c->user, all);
}

static void emit_subs(codes_context *c, int first, int last, bool upper) {
  ir_kbuilder *b = c->b;
  bool several = c->states->f->block > c->states->f->sub;
  const ir_kexpr *sub = ir_kb_int(b, 0);
  if (several) sub = ir_kb_for(b, IR_KR_SERIAL, "s", ir_kb_int(b, first), ir_kb_int(b, last), 1);
  emit_sub(c, sub, upper);
  if (several) ir_kb_end(b);
}

static void begin_block(codes_context *c, int i, int64_t cols, const cg_panel_operand *operand, const ir_kexpr *block) {
  ir_kbuilder *b = c->b;
  operand_state *o = &c->states[i];
  const ir_kexpr *base = cg_panel_base(b, o->f, cols, operand->panel);
  base = ir_kb_add(b, base, ir_kb_mul(b, block, ir_kb_int(b, (int64_t)cg_panel_block_bytes(o->f) * IR_LANES / 4)));
  o->buffer = operand->buffer;
  o->base = base;
  o->front = cg_panel_scales(b, o->f, cols, operand->panel);
  cg_panel_begin_block(b, o, c->lane);
}

void cg_panel_emit_codes(ir_kbuilder *b, weir_storage storage, int64_t cols, const cg_panel_operand *operands,
                         int operand_count, const ir_kexpr *lane, const ir_kexpr *lo, const ir_kexpr *hi,
                         cg_panel_codes_visit visit, void *user) {
  const panel_format *f = cg_panel_format(storage);
  codes_context c = {.b = b, .count = operand_count, .lane = lane, .visit = visit, .user = user};
  const ir_kexpr *inputs = ir_kb_int(b, f->block);
  const ir_kexpr *block = ir_kb_for(b, IR_KR_SERIAL, "kb", ir_kb_div(b, lo, inputs), ir_kb_div(b, hi, inputs), 1);
  c.k_block = ir_kb_mul(b, block, ir_kb_int(b, f->block));
  for (int i = 0; i < operand_count; i++) {
    c.states[i] = (operand_state){.f = f};
    begin_block(&c, i, cols, &operands[i], block);
  }
  int subs = f->block / f->sub;
  if (f->scale == SCALE_K) {
    emit_subs(&c, 0, subs / 2, false);
    emit_subs(&c, subs / 2, subs, true);
  } else {
    emit_subs(&c, 0, subs, false);
  }
  ir_kb_end(b);
}

void cg_panel_emit_codes_part(ir_kbuilder *b, weir_storage storage, int64_t cols, const cg_panel_operand *operand,
                              const ir_kexpr *lane, const ir_kexpr *part, cg_panel_codes_visit visit, void *user) {
  const panel_format *f = cg_panel_format(storage);
  codes_context c = {.b = b, .count = 1, .lane = lane, .visit = visit, .user = user, .states = {{.f = f}}};
  const ir_kexpr *parts = ir_kb_int(b, f->block / CG_PANEL_PART), *block = ir_kb_div(b, part, parts);
  c.k_block = ir_kb_mul(b, block, ir_kb_int(b, f->block));
  begin_block(&c, 0, cols, operand, block);
  int subs = CG_PANEL_PART / f->sub;
  const ir_kexpr *nth = ir_kb_mul(b, ir_kb_mod(b, part, parts), ir_kb_int(b, subs));
  if (f->scale != SCALE_K) {
    for (int i = 0; i < subs; i++) emit_sub(&c, ir_kb_add(b, nth, ir_kb_int(b, i)), false);
    return;
  }
  const ir_kexpr *half = ir_kb_int(b, f->block / f->sub / 2);
  ir_kb_if(b, ir_kb_op(b, IR_K_lt, IR_KT_bool, nth, half, NULL));
  emit_sub(&c, ir_kb_min(b, nth, ir_kb_sub(b, half, ir_kb_int(b, 1))), false);
  ir_kb_else(b);
  emit_sub(&c, ir_kb_op(b, IR_K_max, IR_KT_i64, nth, half, NULL), true);
  ir_kb_end(b);
}
