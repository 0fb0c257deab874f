// What the files that read panels share: the table of formats and the pieces of a block being decoded. panel.c packs
// and gives float weights, panel_codes.c gives the integers of quantised blocks.
#ifndef WEIR_CODEGEN_LOWER_PANEL_INTERNAL_H
#define WEIR_CODEGEN_LOWER_PANEL_INTERNAL_H

#include "codegen/lower/panel.h"

typedef enum {
  FIELD_END,
  FIELD_COPY2,    // two bytes at |from|, one per lane
  FIELD_COPY4,    // |count| words of four bytes at |from|
  FIELD_NIBBLES,  // low four bits of the codes, eight inputs a word
  FIELD_BITS1,    // bit 4 of the codes, 32 inputs a word
  FIELD_BITS2,    // bits 4 and 5, 16 inputs a word
  FIELD_BYTES,    // the codes as bytes, four inputs a word
} field_kind;

typedef struct {
  field_kind kind;
  int from, count;
} field;

// The scale of a block or sub-block: w = a * code + b.
typedef enum { SCALE_FLOAT, SCALE_D_OFFSET, SCALE_D_M, SCALE_K, SCALE_K6, SCALE_ROW } scale_kind;

typedef struct {
  weir_storage storage;
  int block, sub;  // inputs per block, inputs that share a scale
  int offset;      // SCALE_D_OFFSET, SCALE_K6, SCALE_ROW: subtracted from the code
  scale_kind scale;
  unsigned (*code)(const unsigned char *block, int k);
  field fields[6];
} panel_format;

// What was read for the four operands of a quad at once.
enum { CG_QUAD_READS = 32 };
typedef struct {
  int count;
  struct {
    int buffer;
    ir_ktype type;
    const ir_kexpr *index;
    ir_kvar *values;
  } reads[CG_QUAD_READS];
} quad_reads;

// One operand inside the loops.
typedef struct {
  const panel_format *f;
  int buffer;
  int quad;  // as of cg_panel_operand
  bool ahead;
  quad_reads *reads;             // of all quads
  const ir_kexpr *base;          // 32-bit words from the buffer's start to the block
  const ir_kexpr *front;         // the same to the scales of the panel, SCALE_ROW
  const ir_kexpr *d, *m;         // f32 scales of the block
  const ir_kexpr *a, *b;         // of the sub-block
  const ir_kexpr *k0, *k1, *k2;  // SCALE_K: the three scale words
} operand_state;

enum { CG_MAX_OPERANDS = 8 };  // of one decoding loop

const panel_format *cg_panel_format(weir_storage storage);
// Bytes of one lane's share of the fields before the |nth| one of |kind|; -1: the format has none.
int cg_panel_field(const panel_format *f, field_kind kind, int nth);
// The field of the bits above the fourth; FIELD_END: there is none.
field_kind cg_panel_high_field(const panel_format *f);
int cg_panel_field_bits(field_kind kind);
bool cg_panel_has_bytes(const panel_format *f);
int cg_panel_block_bytes(const panel_format *f);

// 32-bit words from the buffer's start to the panel, where SCALE_ROW has its scales, and to its first block.
const ir_kexpr *cg_panel_scales(ir_kbuilder *b, const panel_format *f, int64_t cols, const ir_kexpr *panel);
const ir_kexpr *cg_panel_base(ir_kbuilder *b, const panel_format *f, int64_t cols, const ir_kexpr *panel);
// An element of the operand's buffer; |index| has the lane added, of a quad that of its first operand.
const ir_kexpr *cg_panel_load(ir_kbuilder *b, const operand_state *o, ir_ktype type, const ir_kexpr *index);
// Word |word| of a field at |offset| bytes per lane, in |lane|.
const ir_kexpr *cg_panel_word(ir_kbuilder *b, const operand_state *o, int offset, const ir_kexpr *word,
                              const ir_kexpr *lane);
// Reads the scales of the block at |o->base|; then those of a sub-block, whose number |sub| is an i64. SCALE_K: |upper|
// says that it is one of the last four.
void cg_panel_begin_block(ir_kbuilder *b, operand_state *o, const ir_kexpr *lane);
void cg_panel_begin_sub(ir_kbuilder *b, operand_state *o, const ir_kexpr *sub, bool upper, const ir_kexpr *lane);

#endif
