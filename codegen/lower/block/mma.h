// Shared by the products of block kernels that use matrix units: mma.c has their schedules, int8.c what is
// special to codes of one byte.
#ifndef WEIR_CODEGEN_LOWER_BLOCK_MMA_H
#define WEIR_CODEGEN_LOWER_BLOCK_MMA_H

#include "codegen/lower/block/block.h"

enum { CG_MMA_HIGH = 4, CG_MMA_WIDE = 4 };  // panels of all matrices and eights of rows of a warp

typedef struct {
  block_linear *p;
  const packed_rows *x;
  bool int8;            // codes with a scale for each sub-block (int8.c)
  bool row;             // codes with a scale for each row: integers are added up to the end
  bool direct;          // weights are multiplied as they lie: pairs, or codes of |row|
  bool ahead;           // weights are copied asynchronously
  int words, halves;    // of a slab: words of a row, operations
  int high;             // many rows: panels of each matrix a warp
  int vectors;          // panels of all matrices, of the block (few: of the warp)
  int inputs, weights;  // SHARED
  block_packed packed;
  const ir_kexpr *lane, *warp, *group, *quad;  // of the thread: in its warp; lane / 4, lane % 4
  const ir_kexpr *slab, *copied;               // at hand; being copied
  const ir_kexpr *base;                        // words in front of the weights
  block_lane to;                               // what is being decoded
  const ir_kexpr *even;                        // bf16: weight of the even input before
  ir_kvar *acc, *total, *a, *b;
  // int8. Scales of weights and their minima stand behind the words of |weights|: [vector][sub-block][lane].
  int subs, offset;  // sub-blocks of a slab; what the format subtracts from a code
  bool minima;
  const ir_kexpr *scale_base;
  ir_kvar *sum, *part;                // i32 sums of a fragment; the half of a fragment that a sub-block has
  ir_kvar *scales, *scaled, *starts;  // of the thread's rows: [eight of rows][two rows], starts: [..][2 sub + row]
} mma_kernel;

static inline ir_kbuilder *mma_builder(mma_kernel *f) { return &f->p->k.e.b; }

// Where word |word| of the slab stands for lane |lane| of panel |vector|: halves are exchanged in every second two
// rows, so that the four rows that a fragment reads at once are in different banks.
const ir_kexpr *cg_mma_weight_at(mma_kernel *f, const ir_kexpr *vector, const ir_kexpr *word, const ir_kexpr *lane);
// Element |i| of fragment c: which row of the input, counted from the first of eight, and which lane of the panel.
const ir_kexpr *cg_mma_row_of(mma_kernel *f, int i);
const ir_kexpr *cg_mma_lane_of(mma_kernel *f, int i);

// ---- int8.c
// Registers for |eights| eights of rows; words of scales that |copies| warps' weights need behind their codes.
void cg_int8_registers(mma_kernel *f, int eights);
int64_t cg_int8_scale_words(const mma_kernel *f);
void cg_int8_visit(void *user, const cg_panel_codes *codes);  // stores a sub-block in the place |f->to|
// Scales and sums of the thread's rows |m|[2] of eight |j| in the slab.
void cg_int8_read_rows(mma_kernel *f, const ir_kexpr *j, const ir_kexpr *const *m);
// Multiplies the fragment in |a| of panel |vector| with eight |j| of rows and adds to accumulator |at|.
void cg_int8_multiply(mma_kernel *f, const ir_kexpr *vector, const ir_kexpr *j, const ir_kexpr *at);

#endif
