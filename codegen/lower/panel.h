// Panels: how the matrix of a linear layer lies in a package, and how kernels read it.
//
// A matrix w: [O, I] is cut into panels of 16 rows (outputs). Inside a panel the 16 rows' blocks stand side by side,
// field by field: first the 16 scales (in front of all blocks, where a row has one), then the quants in 32-bit words,
// lane by lane, so that one vector register always holds 16 different outputs for the same inputs. A block keeps its
// bytes: nothing is requantised and a panel is as large as its 16 rows (missing rows of the last panel are zeros).
// Output elements then accumulate over inputs strictly in order, in one lane each: their bits depend on nothing else.
//
// The same table drives packing (bytes), emission (kernel IR that decodes a block) and single-element access (embedding
// look-ups).
#ifndef WEIR_CODEGEN_LOWER_PANEL_H
#define WEIR_CODEGEN_LOWER_PANEL_H

#include "ir/kernel.h"
#include "runtime/base/blocks.h"

typedef enum {
  CG_LAYOUT_PLAIN,  // row-major elements of the logical type
  CG_LAYOUT_PANEL,
  CG_LAYOUT_PAIRS,  // a panel of bf16 whose words have two inputs of a row each, the even one low
  CG_LAYOUT_TAPS,   // of a convolution, see taps.h
  CG_LAYOUT_WINOGRAD,
  CG_LAYOUT_TAPS_PAIRS,  // taps of bf16, two inputs a word
} cg_layout;

// In what a linear multiplies: see docs/kernels.md.
typedef enum {
  CG_COMPUTE_F32,
  CG_COMPUTE_BF16,
  CG_COMPUTE_INT8,      // inputs have a scale for each 32
  CG_COMPUTE_INT8_ROW,  // one for each row, and so have the weights
  CG_COMPUTE_COUNT,
} cg_compute;

typedef struct {
  weir_storage storage;
  cg_layout layout;
  cg_compute compute;
} cg_weight_format;

// Inputs of a row of int8_row at most: 127 * 127 of each, and 128 * 127 before the first, fit 32 bits.
enum { CG_INT8_ROW_INPUTS = 1 << 17 };

static inline bool cg_is_panel(cg_weight_format format) {
  return format.layout == CG_LAYOUT_PANEL || format.layout == CG_LAYOUT_PAIRS;
}
const char *cg_compute_name(cg_compute compute);

const char *cg_layout_name(cg_layout layout);

// Whether kernels can decode |storage|; others are stored as F32.
bool cg_panel_supports(weir_storage storage);
// Elements of a row must be a multiple of this.
int cg_panel_block(weir_storage storage);
// Bytes of all panels of a [rows, cols] matrix; false on overflow or if a row is no whole number of blocks.
bool cg_panel_bytes(weir_storage storage, int64_t rows, int64_t cols, int64_t *out_bytes);
// Packs one panel of |cols| columns. |rows|[i] points at the blocks of row i, null for zeros. |out|:
// cg_panel_bytes(storage, 16, cols).
void cg_panel_pack(weir_storage storage, const void *const rows[IR_LANES], int64_t cols, void *out);

// The same of bf16 rows into pairs; |cols| is even.
void cg_panel_pack_pairs(const void *const rows[IR_LANES], int64_t cols, void *out);

// What an emitter does with the weights of one input: |k| is its index (i64), w[i] the f32 weight of operand i in the
// current lane.
typedef void (*cg_panel_visit)(void *user, const ir_kexpr *k, const ir_kexpr *const *w);
typedef struct {
  int buffer;             // the weight's buffer in the kernel
  const ir_kexpr *panel;  // panel number
  // Block kernels: 0, or 1 to 4: of four operands of one panel, the lanes |lane| .. |lane| + 3, which are read at once.
  int quad;
  bool ahead;  // of a quad: what a block or sub-block has is read all at once, in copies of the text
} cg_panel_operand;
// Emits loops over the inputs |lo|..|hi| (multiples of cg_panel_step) that decode the operands' weights and visit each
// input in order. Must stand inside a `lanes` range of 16 whose variable is |lane|. All operands have |cols| columns
// and |storage|.
void cg_panel_emit(ir_kbuilder *b, weir_storage storage, int64_t cols, const cg_panel_operand *operands,
                   int operand_count, const ir_kexpr *lane, const ir_kexpr *lo, const ir_kexpr *hi,
                   cg_panel_visit visit, void *user);
// Inputs |part| * 32 to |part| * 32 + 31 alone, in a block kernel; |hi|: where the row ends. Inputs are counted from
// the row's first.
enum { CG_PANEL_PART = 32 };
void cg_panel_emit_part(ir_kbuilder *b, weir_storage storage, int64_t cols, const cg_panel_operand *operand,
                        const ir_kexpr *lane, const ir_kexpr *part, const ir_kexpr *hi, cg_panel_visit visit,
                        void *user);
// Whether decoding joins codes from two fields, which takes registers.
bool cg_panel_joins_bits(weir_storage storage);
// Inputs per step of that loop.
int cg_panel_step(weir_storage storage, int64_t cols);
// The integers of a sub-block of one operand: weight = a * code + b, or a * (code - offset) where |b| is null.
typedef struct {
  const ir_kexpr *k;  // the first input, an i64
  int inputs;         // 16 or 32
  const ir_kexpr *a, *b;
  int offset;
  const ir_kexpr *words[8];  // u32, codes of four inputs each as bytes
  bool small;                // all codes are below 128
} cg_panel_codes;
typedef void (*cg_panel_codes_visit)(void *user, const cg_panel_codes *codes);  // of every operand
// As cg_panel_emit for block formats: visits the sub-blocks of inputs |lo|..|hi|, multiples of a block, in order.
void cg_panel_emit_codes(ir_kbuilder *b, weir_storage storage, int64_t cols, const cg_panel_operand *operands,
                         int operand_count, const ir_kexpr *lane, const ir_kexpr *lo, const ir_kexpr *hi,
                         cg_panel_codes_visit visit, void *user);
// Of a format with a scale for each row: words of a panel of |cols| columns, and of its scales in front of the codes.
int64_t cg_panel_words(weir_storage storage, int64_t cols);
int cg_panel_front(weir_storage storage);
// cg_panel_emit_codes of inputs |part| * 32 to |part| * 32 + 31 alone, in a block kernel.
void cg_panel_emit_codes_part(ir_kbuilder *b, weir_storage storage, int64_t cols, const cg_panel_operand *operand,
                              const ir_kexpr *lane, const ir_kexpr *part, cg_panel_codes_visit visit, void *user);
// Inputs that share a scale in |storage|, a block format.
int cg_panel_sub(weir_storage storage);
// What sums of inputs go with the integers of |storage| (panel_codes.c): codes of x are summed over so many inputs, to
// be subtracted, or to be multiplied by b.
typedef enum { CG_SUMS_32, CG_SUMS_16, CG_SUMS_SCALED } cg_panel_sums;
cg_panel_sums cg_panel_sums_of(weir_storage storage);

// The f32 value of element [row, k] in |layout|.
const ir_kexpr *cg_weight_element(ir_kbuilder *b, cg_weight_format format, int buffer, int64_t cols,
                                  const ir_kexpr *row, const ir_kexpr *k);

#endif
