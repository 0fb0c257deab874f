// Shared by window.c, which makes rows of a product from windows of an image, and window_mma.c.
#ifndef WEIR_CODEGEN_LOWER_BLOCK_WINDOW_H
#define WEIR_CODEGEN_LOWER_BLOCK_WINDOW_H

#include "codegen/lower/block/block.h"
#include "codegen/lower/window_internal.h"

// Rows of a product that are windows. Elements are floats of x; of bf16, words of two channels, which |g| counts then.
struct cg_windows {
  cg_window g;
  const ir_node *node;
  int lead;  // axes in front of the channels
  int64_t positions;
  bool whole;  // the window of a place is that place
  ir_ktype type;
  int64_t cols;  // elements of a row
  int slab;      // of them that are copied at a time
  // Steps through memory along channels and the spatial axes, where |each| elements can be copied as they lie; 0: none.
  int each, buffer;
  int64_t channel_step, step[CG_MAX_SPATIAL];
  // Of the thread: its rows, of which each window begins at element |base|, place |first|[axis]; the inputs of a slab.
  int rows, inputs, input_step;
  const ir_kexpr *input;
  ir_kvar *base, *first;
};

// ---- window_mma.c: the product |p| of pairs of bf16.
weir_status cg_block_conv_mma(block_linear *p);

#endif
