// Taps: how the weights of a convolution lie in a package. Rows are outputs, and 16 of them make a panel as those of a
// matrix do (panel.h); only the inputs of a row have another order than the tensor's.
//
//   taps      [O, C, window...] as a matrix [O, window... * C]: all channels of the first tap, of the next ...
//   winograd  [O, C, 3, 3] as [O, 16 * C]: all channels of the first of 16 transformed taps G w G^T, of the next ...
//             (window_winograd.c)
//   taps_pairs  taps of bf16 as the pairs of panel.h, for products of thread blocks in bf16; an even number of inputs
#ifndef WEIR_CODEGEN_LOWER_TAPS_H
#define WEIR_CODEGEN_LOWER_TAPS_H

#include "codegen/lower/panel.h"

enum { CG_WINOGRAD_TAPS = 16 };

static inline bool cg_is_taps(cg_weight_format format) {
  return format.layout == CG_LAYOUT_TAPS || format.layout == CG_LAYOUT_WINOGRAD ||
         format.layout == CG_LAYOUT_TAPS_PAIRS;
}
// How its panels lie, apart from the order of inputs.
static inline cg_weight_format cg_taps_panels(cg_weight_format format) {
  format.layout = format.layout == CG_LAYOUT_TAPS_PAIRS ? CG_LAYOUT_PAIRS : CG_LAYOUT_PANEL;
  return format;
}

// Inputs of a row of a weight of |rank| dims, and the bytes of all panels; false on overflow. |dims| are at least 1.
bool cg_taps_cols(cg_layout layout, int rank, const int64_t *dims, int64_t *out_cols);
bool cg_taps_bytes(cg_weight_format format, int rank, const int64_t *dims, int64_t *out_bytes);
// Row |row| of the tensor in the order of |layout|: cg_taps_cols elements.
void cg_taps_row(cg_layout layout, int rank, const int64_t *dims, const float *row, float *out);

#endif
