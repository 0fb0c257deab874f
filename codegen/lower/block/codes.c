// A packed matrix of codes times few rows in bf16, by mma.sync: bound by reading the matrix, so the decoding has to be
// cheap and the reading far ahead.
//
// A warp has some panels for eight rows or sixteen and every so manieth run, with a ring of its own: blocks of its
// panels are copied to shared memory as they lie, three stages ahead of their use, and no other warp is waited for.
// From there codes become fragments in registers: two words of a lane have the codes that a thread needs, a permutation
// brings them into one word, and another makes numbers of its bytes. Two ways, of equal values:
//   f32      a byte under the exponent of 2^23 is 2^23 plus the code; less that, times the scale, rounded to pairs
//   halves   four-bit codes with a float16 scale and no minimum: a byte under the exponent of 128 is a bf16. The scale
//            is the sum of two bf16, the second of three bits, so that its products are exact and the sum rounds once
// Runs and operations are those of mma.c, whose kernel this is in the place of.
#include "codegen/lower/block/codes.h"

#include "codegen/lower/block/mma.h"

static const ir_kexpr *word(ir_kbuilder *b, uint32_t value) { return ir_kb_const(b, IR_KT_u32, (double)value); }
static const ir_kexpr *permuted(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y, const ir_kexpr *which) {
  return ir_kb_op(b, IR_K_permute, IR_KT_u32, x, y, which);
}
static const ir_kexpr *shifted_right(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *by) {
  return ir_kb_op(b, IR_K_shr, IR_KT_u32, x, by, NULL);
}

void cg_codes_begin(ir_kbuilder *b, weir_storage storage, const ir_kexpr *quad, cg_codes *out) {
  const ir_kexpr *odd = ir_kb_op(b, IR_K_eq, IR_KT_bool, bk_mod(b, quad, 2), bk_int(b, 1), NULL);
  *out = (cg_codes){.format = cg_panel_format(storage)};
  out->half = ir_kb_let(b, "of_group", bk_div(b, quad, 2));
  out->shift = ir_kb_let(b, "shift", ir_kb_cast(b, IR_KT_u32, out->half));
  out->pick = ir_kb_op(b, IR_K_select, IR_KT_u32, odd, word(b, 0x7632), word(b, 0x5410));
  out->pick = ir_kb_let(b, "pick", out->pick);
}

// Word |nth| of the field at |offset| bytes a lane, of both lanes.
static ir_kvar *read_lanes(ir_kbuilder *b, const cg_codes *c, int offset, const ir_kexpr *nth) {
  int two = 2;
  ir_kvar *words = ir_kb_reg(b, "q", IR_KT_u32, false, 1, &two, word(b, 0));
  const ir_kexpr *at = ir_kb_add(b, bk_plus(b, c->base, offset * IR_LANES / 4), bk_scaled(b, nth, IR_LANES));
  ir_kb_read_vector(b, ir_kb_regs(words, bk_int(b, 0), NULL, NULL), 2,
                    ir_kb_place(c->buffer, IR_KT_u32, ir_kb_add(b, at, c->lane)), IR_KHINT_NONE);
  return words;
}

static const ir_kexpr *of_lane(ir_kbuilder *b, ir_kvar *words, int lane) {
  return ir_kb_read(b, words, bk_int(b, lane), NULL, NULL);
}

// What operation |h| of the part has of both lanes: the words that the thread's codes are in, low bits and high ones.
typedef struct {
  ir_kvar *low[2], *high[2];
} code_words;

static code_words read_codes(ir_kbuilder *b, const cg_codes *c, const ir_kexpr *part, int h) {
  const panel_format *f = c->format;
  code_words w = {{NULL}, {NULL}};
  bool bytes = cg_panel_has_bytes(f);
  int offset = cg_panel_field(f, bytes ? FIELD_BYTES : FIELD_NIBBLES, 0);
  for (int n = 0; n < 2; n++) {
    const ir_kexpr *nth = bk_plus(b, bk_scaled(b, part, bytes ? 8 : 4), bytes ? 4 * h + 2 * n : 2 * h + n);
    w.low[n] = read_lanes(b, c, offset, bytes ? ir_kb_add(b, nth, c->half) : nth);
  }
  field_kind high = cg_panel_high_field(f);
  if (high == FIELD_END) return w;
  const ir_kexpr *nth = high == FIELD_BITS1 ? part : bk_plus(b, bk_scaled(b, part, 2), h);
  w.high[0] = read_lanes(b, c, cg_panel_field(f, high, 0), nth);
  return w;
}

// Four codes of a lane as bytes: inputs 2q, 2q + 1, 2q + 8 and 2q + 9 of operation |h|.
static const ir_kexpr *four_codes(ir_kbuilder *b, const cg_codes *c, const code_words *w, int h, int lane) {
  const ir_kexpr *four = permuted(b, of_lane(b, w->low[0], lane), of_lane(b, w->low[1], lane), c->pick);
  if (cg_panel_has_bytes(c->format)) return ir_kb_let(b, "codes", four);
  const ir_kexpr *by = ir_kb_op(b, IR_K_shl, IR_KT_u32, c->shift, word(b, 2), NULL);
  four = ir_kb_op(b, IR_K_and, IR_KT_u32, shifted_right(b, four, by), word(b, 0x0f0f0f0f), NULL);
  if (w->high[0]) {
    field_kind kind = cg_panel_high_field(c->format);
    int bits = cg_panel_field_bits(kind), first = kind == FIELD_BITS1 ? 4 * h : 0;
    const ir_kexpr *all = of_lane(b, w->high[0], lane), *up[2];
    for (int n = 0; n < 2; n++) {
      const ir_kexpr *of_half = ir_kb_mul(b, c->shift, word(b, (uint32_t)bits));
      up[n] = shifted_right(b, all, ir_kb_add(b, of_half, word(b, (uint32_t)(first + 2 * bits * n))));
    }
    const ir_kexpr *above = permuted(b, up[0], up[1], c->pick);
    above = ir_kb_op(b, IR_K_and, IR_KT_u32, above, word(b, ((1u << bits) - 1) * 0x01010101u), NULL);
    above = ir_kb_op(b, IR_K_shl, IR_KT_u32, above, word(b, 4), NULL);
    four = ir_kb_op(b, IR_K_or, IR_KT_u32, four, above, NULL);
  }
  return ir_kb_let(b, "codes", four);
}

static bool in_halves(const panel_format *f) {
  return f->scale == SCALE_D_OFFSET && !cg_panel_has_bytes(f) && cg_panel_high_field(f) == FIELD_END;
}

// The scale as two pairs of bf16 whose sum it is.
static void split_scale(ir_kbuilder *b, const ir_kexpr *d, const ir_kexpr **out_first, const ir_kexpr **out_rest) {
  const ir_kexpr *first = ir_kb_let(b, "d2", ir_kb_op(b, IR_K_pack2, IR_KT_u32, d, d, NULL));
  const ir_kexpr *bits = ir_kb_op(b, IR_K_and, IR_KT_u32, first, word(b, 0xffff0000u), NULL);
  const ir_kexpr *rest = ir_kb_sub(b, d, ir_kb_op(b, IR_K_bitcast, IR_KT_f32, bits, NULL, NULL));
  rest = ir_kb_let(b, "rest", rest);
  *out_first = first;
  *out_rest = ir_kb_let(b, "rest2", ir_kb_op(b, IR_K_pack2, IR_KT_u32, rest, rest, NULL));
}

// Codes |2 t| and |2 t + 1| of four as a pair of weights.
static const ir_kexpr *pair_in_halves(ir_kbuilder *b, const ir_kexpr *codes, int t, const ir_kexpr *const *scale) {
  const ir_kexpr *x = permuted(b, codes, word(b, 0x43434343), word(b, t ? 0x4342 : 0x4140));
  x = ir_kb_let(b, "n", ir_kb_op(b, IR_K_fma2, IR_KT_u32, x, word(b, 0x3f803f80), word(b, 0xc308c308u)));
  const ir_kexpr *rest = ir_kb_op(b, IR_K_fma2, IR_KT_u32, x, scale[1], word(b, 0x80008000u));
  return ir_kb_op(b, IR_K_fma2, IR_KT_u32, x, scale[0], rest);
}

static const ir_kexpr *pair_of_floats(ir_kbuilder *b, const cg_codes *c, const ir_kexpr *codes, int t,
                                      const operand_state *o) {
  enum { LARGE = 1 << 23 };
  const ir_kexpr *w[2], *offset = ir_kb_const(b, IR_KT_f32, -(double)(LARGE + c->format->offset));
  for (int j = 0; j < 2; j++) {
    const ir_kexpr *x = permuted(b, codes, word(b, 0x4b000000), word(b, 0x7440 + (uint32_t)(2 * t + j)));
    x = ir_kb_add(b, ir_kb_op(b, IR_K_bitcast, IR_KT_f32, x, NULL, NULL), offset);
    w[j] = c->format->offset ? ir_kb_mul(b, o->a, x) : ir_kb_op(b, IR_K_fma, IR_KT_f32, o->a, x, o->b);
  }
  return ir_kb_op(b, IR_K_pack2, IR_KT_u32, w[0], w[1], NULL);
}

void cg_codes_fragments(ir_kbuilder *b, const cg_codes *c, const ir_kexpr *part, bool upper, ir_kvar *a, int at) {
  const panel_format *f = c->format;
  operand_state o[2];
  const ir_kexpr *scale[2][2], *lanes[2];
  for (int n = 0; n < 2; n++) {
    lanes[n] = bk_plus(b, c->lane, n);
    o[n] = (operand_state){.f = f, .buffer = c->buffer, .base = c->base, .a = c->scales[n]};
    if (f->scale != SCALE_ROW) cg_panel_begin_block(b, &o[n], lanes[n]);
    if (f->scale == SCALE_K) cg_panel_begin_sub(b, &o[n], part, upper, lanes[n]);
    if (in_halves(f)) split_scale(b, o[n].d, &scale[n][0], &scale[n][1]);
  }
  for (int h = 0; h < 2; h++) {
    code_words w = read_codes(b, c, part, h);
    for (int n = 0; n < 2; n++) {
      if (f->scale == SCALE_K6) cg_panel_begin_sub(b, &o[n], bk_plus(b, bk_scaled(b, part, 2), h), false, lanes[n]);
      const ir_kexpr *codes = four_codes(b, c, &w, h, n);
      for (int t = 0; t < 2; t++) {
        const ir_kexpr *pair =
            in_halves(f) ? pair_in_halves(b, codes, t, scale[n]) : pair_of_floats(b, c, codes, t, &o[n]);
        ir_kb_set(b, a, pair, bk_int(b, at + h), bk_int(b, n + 2 * t), NULL);
      }
    }
  }
}

// ---- the kernel

enum {
  PANELS = 2,       // of a warp, of formats with short blocks and one matrix
  MOST_BLOCKS = 4,  // of them in a stage
  WARPS = 16,
  STAGES = 4,
  LEAST_WARPS = 8,  // before stages get shorter
  ROOM = 96 << 10,  // shared memory that every device has
  ROW_WORDS = CG_BLOCK_SLAB / 2,
  MOST_COPIES = 16,
};

typedef struct {
  block_linear *p;
  const packed_rows *x;
  cg_codes codes;
  int unit, vectors, eights, warps, stages;  // inputs of a stage; panels of all matrices; eights of rows
  int64_t panel_bytes, length, all;          // of a stage; units of a run and of a row
  int ring, parts;                           // SHARED
  const ir_kexpr *lane, *warp, *group, *quad;
  const ir_kexpr *to[2][MOST_COPIES], *from[2][MOST_COPIES];  // of the thread's copies, by matrix; bytes
  const ir_kexpr *rows[2];                                    // words in front of the thread's rows
  ir_kvar *acc, *a, *b, *scales;
} codes_kernel;

static ir_kbuilder *builder(codes_kernel *f) { return &f->p->k.e.b; }

bool cg_block_codes_takes(const block_linear *p) {
  return p->format.compute == CG_COMPUTE_BF16 && p->format.layout == CG_LAYOUT_PANEL &&
         weir_storage_has_codes(p->format.storage);
}

static int64_t stage_bytes(const codes_kernel *f) { return f->vectors * f->panel_bytes; }
static int copies_of(const codes_kernel *f) {  // of a thread and matrix
  return (int)((f->p->panels * f->panel_bytes / 16 + IR_WARP - 1) / IR_WARP);
}

static void bind_thread(codes_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  f->lane = ir_kb_let(b, "lane", bk_mod(b, p->thread, IR_WARP));
  f->warp = ir_kb_let(b, "warp", bk_div(b, p->thread, IR_WARP));
  f->group = ir_kb_let(b, "group", bk_div(b, f->lane, 4));
  f->quad = ir_kb_let(b, "quad", bk_mod(b, f->lane, 4));
  cg_codes_begin(b, p->k.storage, f->quad, &f->codes);
  f->codes.buffer = f->ring;
  f->codes.lane = ir_kb_let(b, "lanes", bk_scaled(b, f->group, 2));
  for (int e = 0; e < f->eights; e++) {
    const ir_kexpr *m = ir_kb_let(b, "m", cg_block_row(p, bk_plus(b, f->group, 8 * e)));
    f->rows[e] = ir_kb_let(b, "row", cg_linear_packed_place(&p->k, f->x->codes, m, bk_int(b, 0)));
  }
  int acc[2] = {f->vectors * f->eights, 4}, a[2] = {2, 4}, in[2] = {f->eights, 4}, scales[2] = {f->vectors, 2};
  f->acc = ir_kb_reg(b, "acc", IR_KT_f32, false, 2, acc, bk_zero(b));
  f->a = ir_kb_reg(b, "a", IR_KT_u32, false, 2, a, word(b, 0));
  f->b = ir_kb_reg(b, "b", IR_KT_u32, false, 2, in, word(b, 0));
  if (cg_panel_format(p->k.storage)->scale == SCALE_ROW)
    f->scales = ir_kb_reg(b, "scales", IR_KT_f32, false, 2, scales, bk_zero(b));
}

// Where the thread's copies of a stage come from and go to, but for the unit and the stage.
static void bind_copies(codes_kernel *f) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  int64_t pieces = f->panel_bytes / 16, row = 4 * cg_panel_words(p->k.storage, p->k.cols);
  for (int m = 0; m < p->k.matrices; m++) {
    for (int i = 0; i < copies_of(f); i++) {
      const ir_kexpr *nth = ir_kb_min(b, bk_plus(b, f->lane, (int64_t)i * IR_WARP), bk_int(b, pieces * p->panels - 1));
      const ir_kexpr *panel = ir_kb_let(b, "of_panel", bk_div(b, nth, pieces));
      const ir_kexpr *piece = bk_scaled(b, bk_mod(b, nth, pieces), 16);
      piece = ir_kb_let(b, "piece", piece);
      const ir_kexpr *from = bk_plus(b, bk_scaled(b, cg_block_panel(p, panel), row), 4 * cg_panel_front(p->k.storage));
      f->from[m][i] = ir_kb_let(b, "from", ir_kb_add(b, from, piece));
      const ir_kexpr *to = bk_scaled(b, bk_plus(b, panel, (int64_t)m * p->panels), f->panel_bytes);
      to = ir_kb_add(b, bk_scaled(b, f->warp, f->stages * stage_bytes(f)), ir_kb_add(b, to, piece));
      f->to[m][i] = ir_kb_let(b, "to", to);
    }
    for (int v = 0; f->scales && v < p->panels; v++) {
      const ir_kexpr *at = bk_scaled(b, cg_block_panel(p, bk_int(b, v)), row / 4);
      for (int n = 0; n < 2; n++)
        ir_kb_set(b, f->scales,
                  ir_kb_load(b, IR_KT_f32, cg_block_weight(p, m), ir_kb_add(b, at, bk_plus(b, f->codes.lane, n))),
                  bk_int(b, m * p->panels + v), bk_int(b, n), NULL);
    }
  }
}

// Unit |nth| of the warp's is this of the row.
static const ir_kexpr *unit_of(codes_kernel *f, const ir_kexpr *nth, const ir_kexpr **out_run) {
  ir_kbuilder *b = builder(f);
  *out_run = ir_kb_let(b, "run", ir_kb_add(b, f->warp, bk_scaled(b, bk_div(b, nth, f->length), f->warps)));
  return ir_kb_let(b, "unit", ir_kb_add(b, bk_scaled(b, *out_run, f->length), bk_mod(b, nth, f->length)));
}

static void stage(codes_kernel *f, const ir_kexpr *nth) {
  block_linear *p = f->p;
  ir_kbuilder *b = builder(f);
  const ir_kexpr *run, *unit = unit_of(f, nth, &run),
                       *inside = ir_kb_let(b, "inside", bk_less(b, unit, bk_int(b, f->all)));
  const ir_kexpr *place = ir_kb_let(b, "place", bk_scaled(b, bk_mod(b, nth, f->stages), stage_bytes(f)));
  const ir_kexpr *behind = ir_kb_let(b, "behind", bk_scaled(b, unit, f->panel_bytes));
  int64_t pieces = p->panels * f->panel_bytes / 16;
  for (int m = 0; m < p->k.matrices; m++) {
    for (int i = 0; i < copies_of(f); i++) {
      bool some = (i + 1) * IR_WARP > pieces;
      if (some) ir_kb_if(b, bk_less(b, f->lane, bk_int(b, pieces - (int64_t)i * IR_WARP)));
      ir_kb_async(b, ir_kb_place(f->ring, IR_KT_u8, ir_kb_add(b, f->to[m][i], place)),
                  ir_kb_place(cg_block_weight(p, m), IR_KT_u8, ir_kb_add(b, f->from[m][i], behind)), 16, inside,
                  IR_KHINT_STREAM);
      if (some) ir_kb_end(b);
    }
  }
  ir_kb_commit(b);
}

// Eight |e| of rows, if the block has it.
static void open_eight(codes_kernel *f, int e) {
  ir_kbuilder *b = builder(f);
  if (e) ir_kb_if(b, bk_less(b, bk_int(b, 8 * e), f->p->row_count));
}

// Part |part| of the block at word |base|, whose first slab is |slab|.
static void multiply_part(codes_kernel *f, const ir_kexpr *base, const ir_kexpr *slab, const ir_kexpr *part,
                          bool upper) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *zero = bk_int(b, 0);
  slab = ir_kb_add(b, slab, part);
  const ir_kexpr *first = ir_kb_let(b, "first", ir_kb_add(b, bk_scaled(b, slab, ROW_WORDS), f->quad));
  int buffer = cg_emit_slot(&f->p->k.e, cg_info(f->p->k.fl, f->x->codes)->slot, IR_KB_IN);
  for (int e = 0; e < f->eights; e++) {
    open_eight(f, e);
    for (int i = 0; i < 4; i++)
      ir_kb_set(b, f->b, ir_kb_load(b, IR_KT_u32, buffer, ir_kb_add(b, f->rows[e], bk_plus(b, first, 4 * i))),
                bk_int(b, e), bk_int(b, i), NULL);
    if (e) ir_kb_end(b);
  }
  for (int v = 0; v < f->vectors; v++) {
    f->codes.base = bk_plus(b, base, v * f->panel_bytes / 4);
    for (int n = 0; f->scales && n < 2; n++)
      f->codes.scales[n] = ir_kb_read(b, f->scales, bk_int(b, v), bk_int(b, n), NULL);
    cg_codes_fragments(b, &f->codes, part, upper, f->a, 0);
    for (int e = 0; e < f->eights; e++) {
      open_eight(f, e);
      for (int h = 0; h < 2; h++)
        ir_kb_mma(b, IR_KMMA_bf16, ir_kb_regs(f->acc, bk_int(b, v * f->eights + e), zero, NULL),
                  ir_kb_regs(f->a, bk_int(b, h), zero, NULL), ir_kb_regs(f->b, bk_int(b, e), bk_int(b, 2 * h), NULL));
      if (e) ir_kb_end(b);
    }
  }
}

static void multiply_unit(codes_kernel *f, const ir_kexpr *nth, const ir_kexpr *unit) {
  ir_kbuilder *b = builder(f);
  const panel_format *format = f->codes.format;
  int parts = f->unit / CG_BLOCK_SLAB, halves = format->scale == SCALE_K ? 2 : 1;
  const ir_kexpr *base = bk_scaled(b, f->warp, f->stages * stage_bytes(f) / 4);
  base = ir_kb_add(b, base, bk_scaled(b, bk_mod(b, nth, f->stages), stage_bytes(f) / 4));
  base = ir_kb_let(b, "base", base);
  if (format->block == CG_BLOCK_SLAB) {
    for (int i = 0; i < parts; i++) {
      const ir_kexpr *block = bk_plus(b, base, (int64_t)i * cg_panel_block_bytes(format) * IR_LANES / 4);
      multiply_part(f, block, bk_plus(b, bk_scaled(b, unit, parts), i), bk_int(b, 0), false);
    }
    return;
  }
  for (int h = 0; h < halves; h++) {
    int first = parts / halves * h;
    multiply_part(f, base, bk_scaled(b, unit, parts),
                  bk_for(b, "part", bk_int(b, first), bk_int(b, first + parts / halves), 1), h);
    ir_kb_end(b);
  }
}

// [run][row][matrix][column], four words between rows.
static const ir_kexpr *part_at(codes_kernel *f, const ir_kexpr *run, const ir_kexpr *row, const ir_kexpr *column) {
  ir_kbuilder *b = builder(f);
  const ir_kexpr *line = ir_kb_add(b, bk_scaled(b, run, 8 * f->eights), row);
  return ir_kb_add(b, bk_scaled(b, line, (int64_t)f->vectors * IR_LANES + 4), column);
}

static void end_run(codes_kernel *f, const ir_kexpr *run) {
  ir_kbuilder *b = builder(f);
  for (int v = 0; v < f->vectors; v++)
    for (int e = 0; e < f->eights; e++) {
      const ir_kexpr *at = bk_int(b, v * f->eights + e);
      for (int i = 0; i < 4; i++) {
        const ir_kexpr *row = bk_plus(b, bk_scaled(b, f->quad, 2), 8 * e + i % 2);
        const ir_kexpr *column = bk_plus(b, f->codes.lane, v * IR_LANES + i / 2);
        ir_kb_store(b, IR_KT_f32, f->parts, part_at(f, run, row, column),
                    ir_kb_read(b, f->acc, at, bk_int(b, i), NULL));
        ir_kb_set(b, f->acc, bk_zero(b), at, bk_int(b, i), NULL);
      }
    }
}

static const ir_kexpr *sum_of(void *user, int matrix, const ir_kexpr *row, const ir_kexpr *column) {
  codes_kernel *f = user;
  ir_kbuilder *b = builder(f);
  ir_kvar *total = ir_kb_reg(b, "total", IR_KT_f32, false, 0, NULL, bk_zero(b));
  const ir_kexpr *run = bk_for(b, "run", bk_int(b, 0), bk_int(b, f->p->runs.count), 1);
  const ir_kexpr *at = part_at(f, run, row, bk_plus(b, column, (int64_t)matrix * f->p->panels * IR_LANES));
  const ir_kexpr *sum = ir_kb_add(b, ir_kb_read(b, total, NULL, NULL, NULL), ir_kb_load(b, IR_KT_f32, f->parts, at));
  ir_kb_set(b, total, sum, NULL, NULL, NULL);
  ir_kb_end(b);
  return ir_kb_read(b, total, NULL, NULL, NULL);
}

static int64_t parts_bytes(const codes_kernel *f) {
  return (int64_t)4 * f->p->runs.count * 8 * f->eights * (f->vectors * IR_LANES + 4);
}

// Units of |blocks| blocks.
static void set_unit(codes_kernel *f, int blocks) {
  const panel_format *format = cg_panel_format(f->p->k.storage);
  f->unit = blocks * format->block;
  f->stages = blocks > 1 ? STAGES - 1 : STAGES;
  f->panel_bytes = (int64_t)blocks * cg_panel_block_bytes(format) * IR_LANES;
  f->length = f->p->runs.length / f->unit;
  f->all = f->p->k.cols / f->unit;
}

// As many blocks in a stage as runs allow, and as many warps as their rings leave room for.
static void choose(codes_kernel *f) {
  static const int64_t fewer[] = {1, 2};
  block_linear *p = f->p;
  int block = cg_panel_block(p->k.storage), most = block > CG_BLOCK_SLAB ? 1 : MOST_BLOCKS;
  int blocks = (int)cg_schedule_choice(p->k.fl->low, p->key, "few.blocks", most, fewer, most > 1 ? 2 : 0);
  while (p->runs.length % (blocks * block) || p->k.cols % (blocks * block)) blocks /= 2;
  set_unit(f, blocks);
  f->warps = p->runs.count < WARPS ? p->runs.count : WARPS;
  while (f->warps > 1 && f->warps * f->stages * stage_bytes(f) + parts_bytes(f) > ROOM) {
    if (f->warps > LEAST_WARPS || blocks == 1) f->warps = (f->warps + 1) / 2;
    else set_unit(f, blocks /= 2);
  }
}

weir_status cg_block_codes_few(block_linear *p, const packed_rows *x, int64_t most_rows) {
  codes_kernel f = {.p = p, .x = x, .eights = most_rows > 8 ? 2 : 1};
  bool one = cg_panel_block(p->k.storage) > CG_BLOCK_SLAB || p->k.matrices > 1;
  f.vectors = cg_block_fit_panels(p, one ? 1 : PANELS) * p->k.matrices;
  choose(&f);
  p->rows = 8 * f.eights;
  p->threads = f.warps * IR_WARP;
  cg_block_begin(p, "bf16_codes");
  ir_kbuilder *b = builder(&f);
  f.ring = ir_kb_add_shared(b, "ring", f.warps * f.stages * stage_bytes(&f));
  f.parts = ir_kb_add_shared(b, "parts", parts_bytes(&f));
  bind_thread(&f);
  bind_copies(&f);
  const ir_kexpr *runs = bk_plus(b, bk_scaled(b, f.warp, -1), p->runs.count + f.warps - 1), *run;
  const ir_kexpr *units = ir_kb_let(b, "units", bk_scaled(b, bk_div(b, runs, f.warps), f.length));
  for (int s = 0; s < f.stages - 1; s++) stage(&f, bk_int(b, s));
  const ir_kexpr *nth = bk_for(b, "nth", bk_int(b, 0), units, 1);
  ir_kb_wait(b, f.stages - 2);
  ir_kb_barrier_warp(b);
  stage(&f, bk_plus(b, nth, f.stages - 1));
  const ir_kexpr *unit = unit_of(&f, nth, &run);
  ir_kb_if(b, bk_less(b, unit, bk_int(b, f.all)));
  multiply_unit(&f, nth, unit);
  ir_kb_end(b);
  const ir_kexpr *left = bk_mod(b, bk_plus(b, nth, 1), f.length);
  ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, left, bk_int(b, 0), NULL));
  end_run(&f, run);
  ir_kb_end(b);
  ir_kb_end(b);
  ir_kb_wait(b, 0);
  cg_block_store(p, sum_of, &f);
  return cg_block_finish(p, 0, most_rows + 1);
}
