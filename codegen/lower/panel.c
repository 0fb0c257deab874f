// The panel table: for each storage format the fields of a block in panel order, how to take a raw code out of a
// checkpoint block, and how to turn codes into floats. Values follow the float32 arithmetic of the format's reference:
// products of scales and codes are exact in float32, so that a fused multiply-add rounds once, as the reference's last
// addition does.
//
// A group is eight inputs in a row. Their codes lie so that a kernel can take them one by one and four at a time: as
// the bytes of two words, inputs 0 to 3 and 4 to 7. Byte codes are those two words. Of four-bit codes one word holds
// both, the first in the low halves of its bytes. Bits above the fourth lie at those bytes too: shifted by a multiple
// of their width and masked, a word of them lines up with the word of codes.
#include "codegen/lower/panel_internal.h"

#include <string.h>

#include "ir/kernel_block.h"
#include "runtime/base/checked.h"

static unsigned code_nibble(const unsigned char *q, int k) { return k < 16 ? q[k] & 15 : q[k - 16] >> 4; }
static unsigned code_q4_0(const unsigned char *b, int k) { return code_nibble(b + 2, k); }
static unsigned code_q4_1(const unsigned char *b, int k) { return code_nibble(b + 4, k); }
static unsigned code_q5_0(const unsigned char *b, int k) {
  return code_nibble(b + 6, k) | ((unsigned)(b[2 + k / 8] >> (k % 8)) & 1) << 4;
}
static unsigned code_q5_1(const unsigned char *b, int k) {
  return code_nibble(b + 8, k) | ((unsigned)(b[4 + k / 8] >> (k % 8)) & 1) << 4;
}
static unsigned code_q8_0(const unsigned char *b, int k) { return b[2 + k] ^ 0x80u; }  // signed, as code + 128
static unsigned code_w8(const unsigned char *b, int k) { return b[k] ^ 0x80u; }
static unsigned code_k4(const unsigned char *qs, int k) {
  unsigned byte = qs[k / 64 * 32 + k % 32];
  return k % 64 < 32 ? byte & 15 : byte >> 4;
}
static unsigned code_q4_k(const unsigned char *b, int k) { return code_k4(b + 16, k); }
static unsigned code_q5_k(const unsigned char *b, int k) {
  return code_k4(b + 48, k) | ((unsigned)(b[16 + k % 32] >> (k / 32)) & 1) << 4;
}
static unsigned code_q6_k(const unsigned char *b, int k) {
  int half = k / 128, e = k % 128, l = e % 32;
  unsigned low = b[half * 64 + e % 64];
  low = e < 64 ? low & 15 : low >> 4;
  return low | ((unsigned)(b[128 + half * 32 + l] >> (2 * (e / 32))) & 3) << 4;
}

static const panel_format formats[] = {
    {WEIR_STORAGE_F32, 1, 1, 0, SCALE_FLOAT, NULL, {{FIELD_COPY4, 0, 1}}},
    {WEIR_STORAGE_F16, 1, 1, 0, SCALE_FLOAT, NULL, {{FIELD_COPY2, 0, 1}}},
    {WEIR_STORAGE_BF16, 1, 1, 0, SCALE_FLOAT, NULL, {{FIELD_COPY2, 0, 1}}},
    {WEIR_STORAGE_Q8_0, 32, 32, 128, SCALE_D_OFFSET, code_q8_0, {{FIELD_COPY2, 0, 1}, {FIELD_BYTES, 0, 0}}},
    {WEIR_STORAGE_W8, 32, 32, 128, SCALE_ROW, code_w8, {{FIELD_BYTES, 0, 0}}},
    {WEIR_STORAGE_Q4_0, 32, 32, 8, SCALE_D_OFFSET, code_q4_0, {{FIELD_COPY2, 0, 1}, {FIELD_NIBBLES, 0, 0}}},
    {WEIR_STORAGE_Q4_1,
     32,
     32,
     0,
     SCALE_D_M,
     code_q4_1,
     {{FIELD_COPY2, 0, 1}, {FIELD_COPY2, 2, 1}, {FIELD_NIBBLES, 0, 0}}},
    {WEIR_STORAGE_Q5_0,
     32,
     32,
     16,
     SCALE_D_OFFSET,
     code_q5_0,
     {{FIELD_COPY2, 0, 1}, {FIELD_BITS1, 0, 0}, {FIELD_NIBBLES, 0, 0}}},
    {WEIR_STORAGE_Q5_1,
     32,
     32,
     0,
     SCALE_D_M,
     code_q5_1,
     {{FIELD_COPY2, 0, 1}, {FIELD_COPY2, 2, 1}, {FIELD_BITS1, 0, 0}, {FIELD_NIBBLES, 0, 0}}},
    {WEIR_STORAGE_Q4_K,
     256,
     32,
     0,
     SCALE_K,
     code_q4_k,
     {{FIELD_COPY2, 0, 1}, {FIELD_COPY2, 2, 1}, {FIELD_COPY4, 4, 3}, {FIELD_NIBBLES, 0, 0}}},
    {WEIR_STORAGE_Q5_K,
     256,
     32,
     0,
     SCALE_K,
     code_q5_k,
     {{FIELD_COPY2, 0, 1}, {FIELD_COPY2, 2, 1}, {FIELD_COPY4, 4, 3}, {FIELD_BITS1, 0, 0}, {FIELD_NIBBLES, 0, 0}}},
    {WEIR_STORAGE_Q6_K,
     256,
     16,
     32,
     SCALE_K6,
     code_q6_k,
     {{FIELD_COPY2, 208, 1}, {FIELD_COPY4, 192, 4}, {FIELD_BITS2, 0, 0}, {FIELD_NIBBLES, 0, 0}}},
};

const panel_format *cg_panel_format(weir_storage storage) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (formats[i].storage == storage) return &formats[i];
  return NULL;
}

const char *cg_layout_name(cg_layout layout) {
  static const char *const names[] = {"plain", "panel", "pairs", "taps", "winograd", "taps_pairs"};
  return names[layout];
}

const char *cg_compute_name(cg_compute compute) {
  static const char *const names[] = {"f32", "bf16", "int8", "int8_row"};
  return names[compute];
}

bool cg_panel_joins_bits(weir_storage storage) { return cg_panel_high_field(cg_panel_format(storage)) != FIELD_END; }

bool cg_panel_supports(weir_storage storage) { return cg_panel_format(storage) != NULL; }
int cg_panel_block(weir_storage storage) { return cg_panel_format(storage)->block; }

bool cg_panel_bytes(weir_storage storage, int64_t rows, int64_t cols, int64_t *out_bytes) {
  int64_t row_bytes, panels;
  weir_status status = weir_storage_row_bytes(storage, cols, &row_bytes);
  if (status) {
    weir_status_release(status);
    return false;
  }
  if (rows < 0 || !weir_add_i64(rows, IR_LANES - 1, &panels)) return false;
  panels /= IR_LANES;
  return weir_mul_i64(row_bytes, IR_LANES, &row_bytes) && weir_mul_i64(row_bytes, panels, out_bytes);
}

// ---- packing

static int field_words(const panel_format *f, const field *at) {
  switch (at->kind) {
    case FIELD_COPY4:
      return at->count;
    case FIELD_NIBBLES:
      return f->block / 8;
    case FIELD_BITS1:
      return f->block / 32;
    case FIELD_BITS2:
      return f->block / 16;
    case FIELD_BYTES:
      return f->block / 4;
    default:
      return 0;
  }
}

// Bytes of one lane's share of the fields before |kind|, and whether the format has it.
int cg_panel_field(const panel_format *f, field_kind kind, int nth) {
  int offset = 0;
  for (const field *at = f->fields; at->kind != FIELD_END; at++) {
    if (at->kind == kind && nth-- == 0) return offset;
    offset += at->kind == FIELD_COPY2 ? 2 : 4 * field_words(f, at);
  }
  return -1;
}

// The field of the bits above the fourth; FIELD_END: there is none.
field_kind cg_panel_high_field(const panel_format *f) {
  if (cg_panel_field(f, FIELD_BITS1, 0) >= 0) return FIELD_BITS1;
  return cg_panel_field(f, FIELD_BITS2, 0) >= 0 ? FIELD_BITS2 : FIELD_END;
}

bool cg_panel_has_bytes(const panel_format *f) { return cg_panel_field(f, FIELD_BYTES, 0) >= 0; }

int cg_panel_block_bytes(const panel_format *f) { return (int)weir_storage_info(f->storage)->block_bytes; }

int cg_panel_field_bits(field_kind kind) {
  return kind == FIELD_NIBBLES ? 4 : kind == FIELD_BITS1 ? 1 : kind == FIELD_BITS2 ? 2 : 8;
}

// The input of a block whose code stands in the |bits| bits of |word| from bit |shift| on.
static int input_at(int bits, int word, int shift) {
  if (bits == 8) return word * 4 + shift / 8;
  int nth = shift % 8 / bits;  // of its byte: a half of a group
  return (word * (4 / bits) + nth / 2) * 8 + nth % 2 * 4 + shift / 8;
}

static uint32_t pack_word(const panel_format *f, const field *at, const unsigned char *block, int word) {
  uint32_t out = 0;
  if (at->kind == FIELD_COPY4) {
    memcpy(&out, block + at->from + 4 * word, 4);
    return out;
  }
  int bits = cg_panel_field_bits(at->kind), above = at->kind == FIELD_BITS1 || at->kind == FIELD_BITS2 ? 4 : 0;
  for (int shift = 0; shift < 32; shift += bits) {
    uint32_t code = f->code(block, input_at(bits, word, shift)) >> above;
    out |= (code & (uint32_t)((1ull << bits) - 1)) << shift;
  }
  return out;
}

static void pack_block(const panel_format *f, const unsigned char *block, int lane, unsigned char *out) {
  for (const field *at = f->fields; at->kind != FIELD_END; at++) {
    if (at->kind == FIELD_COPY2) {
      if (block) memcpy(out + 2 * lane, block + at->from, 2);
      else memset(out + 2 * lane, 0, 2);
      out += 2 * IR_LANES;
      continue;
    }
    for (int word = 0; word < field_words(f, at); word++, out += 4 * IR_LANES) {
      uint32_t value = block ? pack_word(f, at, block, word) : 0;
      memcpy(out + 4 * lane, &value, 4);
    }
  }
}

void cg_panel_pack(weir_storage storage, const void *const rows[IR_LANES], int64_t cols, void *out) {
  const panel_format *f = cg_panel_format(storage);
  int bytes = cg_panel_block_bytes(f);
  size_t front = weir_storage_info(storage)->row_bytes;
  for (int lane = 0; front && lane < IR_LANES; lane++) {
    if (rows[lane]) memcpy((char *)out + front * (size_t)lane, rows[lane], front);
    else memset((char *)out + front * (size_t)lane, 0, front);
  }
  out = (char *)out + front * IR_LANES;
  for (int64_t block = 0; block < cols / f->block; block++) {
    unsigned char *to = (unsigned char *)out + block * bytes * IR_LANES;
    for (int lane = 0; lane < IR_LANES; lane++) {
      const unsigned char *from = rows[lane];
      pack_block(f, from ? from + front + block * bytes : NULL, lane, to);
    }
  }
}

void cg_panel_pack_pairs(const void *const rows[IR_LANES], int64_t cols, void *out) {
  uint16_t *to = out;
  for (int64_t k = 0; k < cols; k++) {
    uint16_t *word = to + k / 2 * 2 * IR_LANES + k % 2;
    for (int lane = 0; lane < IR_LANES; lane++) {
      word[2 * lane] = 0;
      if (rows[lane]) memcpy(&word[2 * lane], (const char *)rows[lane] + 2 * k, 2);
    }
  }
}

// ---- emission

static const ir_kexpr *u32(ir_kbuilder *b, int64_t value) { return ir_kb_const(b, IR_KT_u32, (double)value); }
static const ir_kexpr *and_u32(ir_kbuilder *b, const ir_kexpr *x, int64_t mask) {
  return ir_kb_op(b, IR_K_and, IR_KT_u32, x, u32(b, mask), NULL);
}
static const ir_kexpr *shr_u32(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *by) {
  return ir_kb_op(b, IR_K_shr, IR_KT_u32, x, by, NULL);
}
static const ir_kexpr *float_of_u32(ir_kbuilder *b, const ir_kexpr *x) {
  return ir_kb_cast(b, IR_KT_f32, ir_kb_op(b, IR_K_bitcast, IR_KT_i32, x, NULL, NULL));
}
static const ir_kexpr *fma_f32(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *y, const ir_kexpr *z) {
  return ir_kb_op(b, IR_K_fma, IR_KT_f32, x, y, z);
}

// A quad's first operand reads for all four, at this place; the others find it.
const ir_kexpr *cg_panel_load(ir_kbuilder *b, const operand_state *o, ir_ktype type, const ir_kexpr *index) {
  if (!o->quad) return ir_kb_load(b, type, o->buffer, index);
  int four = 4, at = 0;
  quad_reads *r = o->reads;
  while (at < r->count &&
         (r->reads[at].buffer != o->buffer || r->reads[at].type != type || r->reads[at].index != index))
    at++;
  if (at == r->count) {
    if (r->count == CG_QUAD_READS) at = r->count = 0;
    ir_ktype held = ir_kregs_type(type);
    ir_kvar *values = ir_kb_reg(b, "quad", held, false, 1, &four, ir_kb_const(b, held, 0));
    ir_kb_read_vector(b, ir_kb_regs(values, ir_kb_int(b, 0), NULL, NULL), 4, ir_kb_place(o->buffer, type, index),
                      IR_KHINT_STREAM);
    r->reads[r->count].buffer = o->buffer, r->reads[r->count].type = type;
    r->reads[r->count].index = index, r->reads[r->count++].values = values;
  }
  return ir_kb_read(b, r->reads[at].values, ir_kb_int(b, o->quad - 1), NULL, NULL);
}

// Word |word| of a field at |offset| bytes per lane, in |lane|.
const ir_kexpr *cg_panel_word(ir_kbuilder *b, const operand_state *o, int offset, const ir_kexpr *word,
                              const ir_kexpr *lane) {
  const ir_kexpr *index = ir_kb_add(b, o->base, ir_kb_int(b, offset * IR_LANES / 4));
  index = ir_kb_add(b, index, ir_kb_mul(b, word, ir_kb_int(b, IR_LANES)));
  return cg_panel_load(b, o, IR_KT_u32, ir_kb_add(b, index, lane));
}

static const ir_kexpr *load_scale(ir_kbuilder *b, const operand_state *o, int nth, const ir_kexpr *lane) {
  const ir_kexpr *index = ir_kb_mul(b, o->base, ir_kb_int(b, 2));
  index = ir_kb_add(b, index, ir_kb_int(b, cg_panel_field(o->f, FIELD_COPY2, nth) * IR_LANES / 2));
  return ir_kb_cast(b, IR_KT_f32, cg_panel_load(b, o, IR_KT_f16, ir_kb_add(b, index, lane)));
}

static void offset_scale(ir_kbuilder *b, operand_state *o) {
  o->a = o->d;
  o->b = ir_kb_let(b, "m", ir_kb_mul(b, o->d, ir_kb_const(b, IR_KT_f32, -o->f->offset)));
}

void cg_panel_begin_block(ir_kbuilder *b, operand_state *o, const ir_kexpr *lane) {
  const panel_format *f = o->f;
  bool row = f->scale == SCALE_ROW;
  o->d =
      ir_kb_let(b, "d", row ? cg_panel_load(b, o, IR_KT_f32, ir_kb_add(b, o->front, lane)) : load_scale(b, o, 0, lane));
  switch (f->scale) {
    case SCALE_D_OFFSET:
    case SCALE_ROW:
      offset_scale(b, o);
      break;
    case SCALE_D_M:
      o->a = o->d;
      o->b = ir_kb_let(b, "m", load_scale(b, o, 1, lane));
      break;
    case SCALE_K: {
      int offset = cg_panel_field(f, FIELD_COPY4, 0);
      o->m = ir_kb_let(b, "dmin", load_scale(b, o, 1, lane));
      o->k0 = ir_kb_let(b, "s0", cg_panel_word(b, o, offset, ir_kb_int(b, 0), lane));
      o->k1 = ir_kb_let(b, "s1", cg_panel_word(b, o, offset, ir_kb_int(b, 1), lane));
      o->k2 = ir_kb_let(b, "s2", cg_panel_word(b, o, offset, ir_kb_int(b, 2), lane));
      break;
    }
    default:
      break;
  }
}

// The 6-bit scale and minimum of sub-block |sub| (i64): bytes of the 12 scale bytes, packed differently for the first
// and last four.
static void k_scale(ir_kbuilder *b, operand_state *o, const ir_kexpr *sub, bool upper) {
  const ir_kexpr *shift =
      ir_kb_cast(b, IR_KT_u32, ir_kb_mul(b, upper ? ir_kb_sub(b, sub, ir_kb_int(b, 4)) : sub, ir_kb_int(b, 8)));
  const ir_kexpr *scale, *minimum;
  if (!upper) {
    scale = and_u32(b, shr_u32(b, o->k0, shift), 63);
    minimum = and_u32(b, shr_u32(b, o->k1, shift), 63);
  } else {
    const ir_kexpr *low = shr_u32(b, o->k2, shift);
    const ir_kexpr *four = u32(b, 4), *high_shift = ir_kb_add(b, shift, u32(b, 6));
    const ir_kexpr *high_scale =
        ir_kb_op(b, IR_K_shl, IR_KT_u32, and_u32(b, shr_u32(b, o->k0, high_shift), 3), four, NULL);
    const ir_kexpr *high_min =
        ir_kb_op(b, IR_K_shl, IR_KT_u32, and_u32(b, shr_u32(b, o->k1, high_shift), 3), four, NULL);
    scale = ir_kb_op(b, IR_K_or, IR_KT_u32, and_u32(b, low, 15), high_scale, NULL);
    minimum = ir_kb_op(b, IR_K_or, IR_KT_u32, and_u32(b, shr_u32(b, low, four), 15), high_min, NULL);
  }
  o->a = ir_kb_let(b, "a", ir_kb_mul(b, o->d, float_of_u32(b, scale)));
  o->b = ir_kb_let(b, "b", ir_kb_op(b, IR_K_neg, IR_KT_f32, ir_kb_mul(b, o->m, float_of_u32(b, minimum)), NULL, NULL));
}

static const ir_kexpr *signed_byte(ir_kbuilder *b, const ir_kexpr *word, const ir_kexpr *left) {
  const ir_kexpr *x = ir_kb_op(b, IR_K_bitcast, IR_KT_i32, word, NULL, NULL);
  x = ir_kb_op(b, IR_K_shl, IR_KT_i32, x, left, NULL);
  return ir_kb_op(b, IR_K_shr, IR_KT_i32, x, ir_kb_const(b, IR_KT_i32, 24), NULL);
}

// |sub| (i64) is the number of the sub-block in its block.
void cg_panel_begin_sub(ir_kbuilder *b, operand_state *o, const ir_kexpr *sub, bool upper, const ir_kexpr *lane) {
  if (o->f->scale == SCALE_K) k_scale(b, o, sub, upper);
  if (o->f->scale != SCALE_K6) return;
  const ir_kexpr *four = ir_kb_int(b, 4);
  const ir_kexpr *word = cg_panel_word(b, o, cg_panel_field(o->f, FIELD_COPY4, 0), ir_kb_div(b, sub, four), lane);
  const ir_kexpr *left = ir_kb_sub(b, ir_kb_int(b, 24), ir_kb_mul(b, ir_kb_mod(b, sub, four), ir_kb_int(b, 8)));
  const ir_kexpr *scale = signed_byte(b, word, ir_kb_cast(b, IR_KT_i32, left));
  o->a = ir_kb_let(b, "a", ir_kb_mul(b, o->d, ir_kb_cast(b, IR_KT_f32, scale)));
  o->b = ir_kb_let(b, "b", ir_kb_mul(b, o->a, ir_kb_const(b, IR_KT_f32, -o->f->offset)));
}

// Codes become floats where they stand: a code masked out at bit s is 2^s times its number, and a divided by 2^s makes
// up for it, exactly. So most weights cost a mask, a conversion and a multiply-add.
enum { MAX_OPERANDS = 8, MAX_PLACES = 4 };

// The words that hold inputs group * 8 .. group * 8 + 7 of a block, codes of |bits| bits.
typedef struct {
  const ir_kexpr *words[2];
  int bits;
} group_words;

// a / 2^s for the places s at which this format's codes are masked out.
typedef struct {
  const ir_kexpr *a[MAX_PLACES];
} placed_scales;

static int place_step(const panel_format *f) { return cg_panel_has_bytes(f) || cg_panel_high_field(f) ? 8 : 4; }

static placed_scales place_scales(ir_kbuilder *b, const operand_state *o) {
  placed_scales p = {{o->a}};
  int step = place_step(o->f);
  for (int i = 1; i < (step == 8 ? 3 : MAX_PLACES); i++)
    p.a[i] = ir_kb_let(b, "a", ir_kb_mul(b, o->a, ir_kb_const(b, IR_KT_f32, 1.0 / (1 << step * i))));
  return p;
}

// A half of a group of four-bit codes with |high| above them, as bytes.
static const ir_kexpr *joined_bytes(ir_kbuilder *b, const ir_kexpr *low, const ir_kexpr *high, int bits, int half) {
  const ir_kexpr *up = ir_kb_op(b, IR_K_shl, IR_KT_u32, high, u32(b, 4 - bits * half), NULL);
  const ir_kexpr *code = and_u32(b, half ? shr_u32(b, low, u32(b, 4)) : low, 0x0f0f0f0f);
  return ir_kb_op(b, IR_K_or, IR_KT_u32, code, and_u32(b, up, ((1 << bits) - 1) * 0x10101010LL), NULL);
}

static group_words begin_group(ir_kbuilder *b, const operand_state *o, const ir_kexpr *group, const ir_kexpr *lane) {
  const panel_format *f = o->f;
  if (cg_panel_has_bytes(f)) {
    const ir_kexpr *first = ir_kb_mul(b, group, ir_kb_int(b, 2)), *second = ir_kb_add(b, first, ir_kb_int(b, 1));
    int offset = cg_panel_field(f, FIELD_BYTES, 0);
    const ir_kexpr *q = ir_kb_let(b, "q", cg_panel_word(b, o, offset, first, lane));
    return (group_words){{q, ir_kb_let(b, "r", cg_panel_word(b, o, offset, second, lane))}, 8};
  }
  const ir_kexpr *q = ir_kb_let(b, "q", cg_panel_word(b, o, cg_panel_field(f, FIELD_NIBBLES, 0), group, lane));
  field_kind high = cg_panel_high_field(f);
  if (high == FIELD_END) return (group_words){{q, ir_kb_let(b, "r", shr_u32(b, q, u32(b, 16)))}, 4};
  int bits = cg_panel_field_bits(high);
  const ir_kexpr *groups = ir_kb_int(b, 4 / bits);  // of a word
  const ir_kexpr *word = cg_panel_word(b, o, cg_panel_field(f, high, 0), ir_kb_div(b, group, groups), lane);
  const ir_kexpr *shift = ir_kb_mul(b, ir_kb_mod(b, group, groups), ir_kb_int(b, 2 * bits));
  const ir_kexpr *h = ir_kb_let(b, "h", shr_u32(b, word, ir_kb_cast(b, IR_KT_u32, shift)));
  group_words w = {.bits = 8};
  for (int half = 0; half < 2; half++) w.words[half] = ir_kb_let(b, "c", joined_bytes(b, q, h, bits, half));
  return w;
}

// The weight of input |j| of a group.
static const ir_kexpr *group_weight(ir_kbuilder *b, const operand_state *o, const placed_scales *scales,
                                    const group_words *w, int j) {
  // Of four-bit codes the second word has what stands in the upper half of the first.
  int shift = w->bits == 8 ? 8 * (j % 4) : 8 * (j % 2) + 4 * (j / 4), nth = w->bits == 8 ? j / 4 : j / 2 % 2;
  const ir_kexpr *word = w->words[nth];
  if (shift + w->bits == 32) return fma_f32(b, o->a, float_of_u32(b, shr_u32(b, word, u32(b, shift))), o->b);
  const ir_kexpr *code = float_of_u32(b, and_u32(b, word, ((1LL << w->bits) - 1) << shift));
  return fma_f32(b, scales->a[shift / place_step(o->f)], code, o->b);
}

int cg_panel_front(weir_storage storage) { return (int)weir_storage_info(storage)->row_bytes * IR_LANES / 4; }

int64_t cg_panel_words(weir_storage storage, int64_t cols) {
  const panel_format *f = cg_panel_format(storage);
  return cols / f->block * cg_panel_block_bytes(f) * IR_LANES / 4 + cg_panel_front(storage);
}

const ir_kexpr *cg_panel_scales(ir_kbuilder *b, const panel_format *f, int64_t cols, const ir_kexpr *panel) {
  return ir_kb_mul(b, panel, ir_kb_int(b, cg_panel_words(f->storage, cols)));
}

const ir_kexpr *cg_panel_base(ir_kbuilder *b, const panel_format *f, int64_t cols, const ir_kexpr *panel) {
  int front = cg_panel_front(f->storage);
  const ir_kexpr *start = cg_panel_scales(b, f, cols, panel);
  return front ? ir_kb_add(b, start, ir_kb_int(b, front)) : start;
}

static int float_step(int64_t cols) { return cols % 8 == 0 ? 8 : cols % 4 == 0 ? 4 : cols % 2 == 0 ? 2 : 1; }

int cg_panel_step(weir_storage storage, int64_t cols) {
  const panel_format *f = cg_panel_format(storage);
  return f->scale == SCALE_FLOAT ? float_step(cols) : f->block;
}

static const ir_kexpr *float_weight(ir_kbuilder *b, const operand_state *o, const ir_kexpr *index) {
  weir_storage storage = o->f->storage;
  ir_ktype type = storage == WEIR_STORAGE_F32 ? IR_KT_f32 : storage == WEIR_STORAGE_F16 ? IR_KT_f16 : IR_KT_bf16;
  return ir_kb_cast(b, IR_KT_f32, cg_panel_load(b, o, type, index));
}

static void emit_float(ir_kbuilder *b, const panel_format *f, int64_t cols, const cg_panel_operand *operands, int count,
                       const ir_kexpr *lane, const ir_kexpr *lo, const ir_kexpr *hi, cg_panel_visit visit, void *user) {
  int step = float_step(cols);
  quad_reads reads = {0};
  const ir_kexpr *k0 = ir_kb_for(b, IR_KR_SERIAL, "k", lo, hi, step);
  for (int j = 0; j < step; j++) {
    const ir_kexpr *k = ir_kb_add(b, k0, ir_kb_int(b, j)), *w[MAX_OPERANDS];
    for (int i = 0; i < count; i++) {
      const ir_kexpr *at = ir_kb_mul(b, operands[i].panel, ir_kb_int(b, cols * IR_LANES));
      at = ir_kb_add(b, ir_kb_add(b, at, ir_kb_mul(b, k, ir_kb_int(b, IR_LANES))), lane);
      operand_state o = {.f = f, .buffer = operands[i].buffer, .quad = operands[i].quad, .reads = &reads};
      w[i] = float_weight(b, &o, at);  // read where it is used: fewer live at a time
    }
    visit(user, k, w);
  }
  ir_kb_end(b);
}

typedef struct {
  ir_kbuilder *b;
  operand_state *states;
  int count;
  const ir_kexpr *lane, *k_block;  // first input of the block
  cg_panel_visit visit;
  void *user;
} block_context;

// |count| groups of the block, from |from| on, share the current scales.
static void emit_groups(const block_context *c, const ir_kexpr *from, int count) {
  ir_kbuilder *b = c->b;
  // As registers, so that they count among those of a tile.
  bool lanes = !b->kernel->threads;
  ir_kvar *a = ir_kb_reg(b, "scale", IR_KT_f32, lanes, 1, &c->count, ir_kb_const(b, IR_KT_f32, 0));
  ir_kvar *offset = ir_kb_reg(b, "offset", IR_KT_f32, lanes, 1, &c->count, ir_kb_const(b, IR_KT_f32, 0));
  operand_state states[MAX_OPERANDS];
  placed_scales scales[MAX_OPERANDS];
  for (int i = 0; i < c->count; i++) {
    const ir_kexpr *at = ir_kb_int(b, i);
    states[i] = c->states[i];
    scales[i] = place_scales(b, &states[i]);
    ir_kb_set(b, a, states[i].a, at, NULL, NULL);
    ir_kb_set(b, offset, states[i].b, at, NULL, NULL);
    states[i].a = scales[i].a[0] = ir_kb_read(b, a, at, NULL, NULL);
    states[i].b = ir_kb_read(b, offset, at, NULL, NULL);
  }
  bool ahead = c->states->ahead;
  const ir_kexpr *zero = ir_kb_int(b, 0), *length = ir_kb_int(b, count), *group;
  if (ahead) group = ir_kb_add(b, from, ir_kb_for(b, IR_KR_UNROLL, "g", zero, length, 1));
  else group = ir_kb_for(b, IR_KR_SERIAL, "g", from, ir_kb_add(b, from, length), 1);
  group_words words[MAX_OPERANDS];
  for (int i = 0; i < c->count; i++) words[i] = begin_group(b, &states[i], group, c->lane);
  for (int j = 0; j < 8; j++) {
    const ir_kexpr *w[MAX_OPERANDS];
    for (int i = 0; i < c->count; i++) w[i] = ir_kb_let(b, "w", group_weight(b, &states[i], &scales[i], &words[i], j));
    const ir_kexpr *k = ir_kb_add(b, c->k_block, ir_kb_add(b, ir_kb_mul(b, group, ir_kb_int(b, 8)), ir_kb_int(b, j)));
    c->visit(c->user, k, w);
  }
  ir_kb_end(b);
}

static void emit_sub(const block_context *c, const ir_kexpr *sub, bool upper) {
  ir_kbuilder *b = c->b;
  int groups = c->states->f->sub / 8;
  for (int i = 0; i < c->count; i++) cg_panel_begin_sub(b, &c->states[i], sub, upper, c->lane);
  const ir_kexpr *from = ir_kb_mul(b, sub, ir_kb_int(b, groups));
  emit_groups(c, from, groups);
}

static void emit_subs(const block_context *c, const ir_kexpr *first, const ir_kexpr *last, bool upper) {
  emit_sub(c, ir_kb_for(c->b, IR_KR_SERIAL, "s", first, last, 1), upper);
  ir_kb_end(c->b);
}

static void begin_block(ir_kbuilder *b, operand_state *o, quad_reads *reads, const panel_format *f, int64_t cols,
                        const cg_panel_operand *operand, const ir_kexpr *block, const ir_kexpr *lane) {
  const ir_kexpr *base = cg_panel_base(b, f, cols, operand->panel);
  base = ir_kb_add(b, base, ir_kb_mul(b, block, ir_kb_int(b, (int64_t)cg_panel_block_bytes(f) * IR_LANES / 4)));
  *o = (operand_state){.f = f, .buffer = operand->buffer, .base = base};
  o->quad = operand->quad, o->ahead = operand->ahead, o->reads = reads;
  o->front = cg_panel_scales(b, f, cols, operand->panel);
  cg_panel_begin_block(b, o, lane);
}

void cg_panel_emit(ir_kbuilder *b, weir_storage storage, int64_t cols, const cg_panel_operand *operands,
                   int operand_count, const ir_kexpr *lane, const ir_kexpr *lo, const ir_kexpr *hi,
                   cg_panel_visit visit, void *user) {
  const panel_format *f = cg_panel_format(storage);
  if (f->scale == SCALE_FLOAT) {
    emit_float(b, f, cols, operands, operand_count, lane, lo, hi, visit, user);
    return;
  }
  operand_state states[MAX_OPERANDS];
  quad_reads reads = {0};
  const ir_kexpr *size = ir_kb_int(b, f->block);
  const ir_kexpr *block = ir_kb_for(b, IR_KR_SERIAL, "kb", ir_kb_div(b, lo, size), ir_kb_div(b, hi, size), 1);
  for (int i = 0; i < operand_count; i++) begin_block(b, &states[i], &reads, f, cols, &operands[i], block, lane);
  block_context c = {b, states, operand_count, lane, ir_kb_mul(b, block, size), visit, user};
  int subs = f->block / f->sub;
  if (f->scale == SCALE_K) {
    emit_subs(&c, ir_kb_int(b, 0), ir_kb_int(b, subs / 2), false);
    emit_subs(&c, ir_kb_int(b, subs / 2), ir_kb_int(b, subs), true);
  } else if (f->scale == SCALE_K6) {
    emit_subs(&c, ir_kb_int(b, 0), ir_kb_int(b, subs), false);
  } else {
    emit_groups(&c, ir_kb_int(b, 0), f->block / 8);
  }
  ir_kb_end(b);
}

void cg_panel_emit_part(ir_kbuilder *b, weir_storage storage, int64_t cols, const cg_panel_operand *operand,
                        const ir_kexpr *lane, const ir_kexpr *part, const ir_kexpr *hi, cg_panel_visit visit,
                        void *user) {
  const panel_format *f = cg_panel_format(storage);
  const ir_kexpr *size = ir_kb_int(b, CG_PANEL_PART), *lo = ir_kb_mul(b, part, size);
  if (f->scale == SCALE_FLOAT) {
    emit_float(b, f, cols, operand, 1, lane, lo, ir_kb_min(b, ir_kb_add(b, lo, size), hi), visit, user);
    return;
  }
  operand_state state;
  quad_reads reads = {0};
  const ir_kexpr *parts = ir_kb_int(b, f->block / CG_PANEL_PART), *block = ir_kb_div(b, part, parts);
  begin_block(b, &state, &reads, f, cols, operand, block, lane);
  block_context c = {b, &state, 1, lane, ir_kb_mul(b, block, ir_kb_int(b, f->block)), visit, user};
  const ir_kexpr *nth = ir_kb_mod(b, part, parts), *two = ir_kb_int(b, 2);
  if (f->scale == SCALE_K) {
    const ir_kexpr *half = ir_kb_int(b, f->block / f->sub / 2);
    ir_kb_if(b, ir_kb_op(b, IR_K_lt, IR_KT_bool, nth, half, NULL));
    emit_sub(&c, ir_kb_min(b, nth, ir_kb_sub(b, half, ir_kb_int(b, 1))), false);
    ir_kb_else(b);
    reads.count = 0;
    emit_sub(&c, ir_kb_op(b, IR_K_max, IR_KT_i64, nth, half, NULL), true);
    ir_kb_end(b);
  } else if (f->scale == SCALE_K6) {
    emit_subs(&c, ir_kb_mul(b, nth, two), ir_kb_add(b, ir_kb_mul(b, nth, two), two), false);
  } else {
    emit_groups(&c, ir_kb_int(b, 0), f->block / 8);
  }
}

// ---- single elements

// Bits of the code of input |k| of the block, from one word of a field: the inverse of input_at.
static const ir_kexpr *element_bits(ir_kbuilder *b, const operand_state *o, field_kind kind, const ir_kexpr *k,
                                    const ir_kexpr *lane) {
  int bits = cg_panel_field_bits(kind);
  const ir_kexpr *four = ir_kb_int(b, 4);
  const ir_kexpr *quad = ir_kb_div(b, k, four), *word = quad;
  const ir_kexpr *shift = ir_kb_mul(b, ir_kb_mod(b, k, four), ir_kb_int(b, 8));
  if (bits < 8) {
    const ir_kexpr *quads = ir_kb_int(b, 8 / bits);  // of a word
    word = ir_kb_div(b, quad, quads);
    shift = ir_kb_add(b, shift, ir_kb_mul(b, ir_kb_mod(b, quad, quads), ir_kb_int(b, bits)));
  }
  word = cg_panel_word(b, o, cg_panel_field(o->f, kind, 0), word, lane);
  return and_u32(b, shr_u32(b, word, ir_kb_cast(b, IR_KT_u32, shift)), (1 << bits) - 1);
}

static const ir_kexpr *panel_element(ir_kbuilder *b, const panel_format *f, int buffer, int64_t cols,
                                     const ir_kexpr *row, const ir_kexpr *k) {
  const ir_kexpr *lanes = ir_kb_int(b, IR_LANES), *panel = ir_kb_div(b, row, lanes), *lane = ir_kb_mod(b, row, lanes);
  if (f->scale == SCALE_FLOAT) {
    const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, panel, ir_kb_int(b, cols * IR_LANES)), ir_kb_mul(b, k, lanes));
    return float_weight(b, &(operand_state){.f = f, .buffer = buffer}, ir_kb_add(b, at, lane));
  }
  const ir_kexpr *size = ir_kb_int(b, f->block), *block = ir_kb_div(b, k, size), *at = ir_kb_mod(b, k, size);
  const ir_kexpr *base = ir_kb_mul(b, block, ir_kb_int(b, (int64_t)cg_panel_block_bytes(f) * IR_LANES / 4));
  operand_state o = {.f = f, .buffer = buffer, .base = ir_kb_add(b, cg_panel_base(b, f, cols, panel), base)};
  o.front = cg_panel_scales(b, f, cols, panel);
  cg_panel_begin_block(b, &o, lane);
  const ir_kexpr *sub = ir_kb_div(b, at, ir_kb_int(b, f->sub));
  if (f->scale == SCALE_K) {
    operand_state upper = o;
    k_scale(b, &o, ir_kb_min(b, sub, ir_kb_int(b, 3)), false);
    k_scale(b, &upper, ir_kb_op(b, IR_K_max, IR_KT_i64, sub, ir_kb_int(b, 4), NULL), true);
    const ir_kexpr *is_upper = ir_kb_op(b, IR_K_ge, IR_KT_bool, sub, ir_kb_int(b, 4), NULL);
    o.a = ir_kb_op(b, IR_K_select, IR_KT_f32, is_upper, upper.a, o.a);
    o.b = ir_kb_op(b, IR_K_select, IR_KT_f32, is_upper, upper.b, o.b);
  } else {
    cg_panel_begin_sub(b, &o, sub, false, lane);
  }
  const ir_kexpr *code = element_bits(b, &o, cg_panel_has_bytes(f) ? FIELD_BYTES : FIELD_NIBBLES, at, lane);
  field_kind high = cg_panel_high_field(f);
  if (high != FIELD_END) {
    const ir_kexpr *bits = element_bits(b, &o, high, at, lane);
    code = ir_kb_op(b, IR_K_or, IR_KT_u32, code, ir_kb_op(b, IR_K_shl, IR_KT_u32, bits, u32(b, 4), NULL), NULL);
  }
  return fma_f32(b, o.a, float_of_u32(b, code), o.b);
}

const ir_kexpr *cg_weight_element(ir_kbuilder *b, cg_weight_format format, int buffer, int64_t cols,
                                  const ir_kexpr *row, const ir_kexpr *k) {
  const panel_format *f = cg_panel_format(format.storage);
  if (format.layout == CG_LAYOUT_PAIRS) {
    const ir_kexpr *lanes = ir_kb_int(b, IR_LANES), *two = ir_kb_int(b, 2);
    const ir_kexpr *word =
        ir_kb_add(b, ir_kb_mul(b, ir_kb_div(b, row, lanes), ir_kb_int(b, cols / 2)), ir_kb_div(b, k, two));
    word = ir_kb_add(b, ir_kb_mul(b, word, lanes), ir_kb_mod(b, row, lanes));
    const ir_kexpr *half = ir_kb_add(b, ir_kb_mul(b, word, two), ir_kb_mod(b, k, two));
    return float_weight(b, &(operand_state){.f = f, .buffer = buffer}, half);
  }
  if (format.layout == CG_LAYOUT_PANEL) return panel_element(b, f, buffer, cols, row, k);
  const ir_kexpr *at = ir_kb_add(b, ir_kb_mul(b, row, ir_kb_int(b, cols)), k);
  return float_weight(b, &(operand_state){.f = f, .buffer = buffer}, at);
}
