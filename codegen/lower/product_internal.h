// Products of two values: product.c has the item kernels, block/product.c the block kernels; here is what they share.
#ifndef WEIR_CODEGEN_LOWER_PRODUCT_INTERNAL_H
#define WEIR_CODEGEN_LOWER_PRODUCT_INTERNAL_H

#include "codegen/lower/internal.h"

typedef struct product_kernel {
  emitter e;
  function_lowering *fl;
  ir_value *root, *x, *y;
  bool linear;  // y: [columns, k], else [..., k, columns]
  ir_ktype type;
  int lead;                          // axes in front of rows and columns
  bool has_rows;                     // false for a linear of one row
  int64_t chunk_rows, pack_rows;     // chosen: of a work item at most; from how many on the second operand is packed
  const ir_kexpr *idx[IR_MAX_RANK];  // of the result: the leading axes
  const ir_kexpr *depth;             // k
  const ir_kexpr *row_lo, *row_hi, *column_lo, *column_hi;
  // inside a tile
  const ir_kexpr *first, *height, *vector, *lane;  // first row and number of rows, first register, lane
  ir_kvar *acc;
  int slab, sums;  // LOCAL buffers
  const ir_kexpr *slab_lo, *slab_hi;
} product_kernel;

// Elements of the operands in the current place of the leading axes; the result's is stored.
const ir_kexpr *cg_product_x(product_kernel *p, const ir_kexpr *row, const ir_kexpr *k);
const ir_kexpr *cg_product_y(product_kernel *p, const ir_kexpr *k, const ir_kexpr *column);
void cg_product_store(product_kernel *p, const ir_kexpr *row, const ir_kexpr *column, const ir_kexpr *value);
// Whether elements of |value|, an operand, that differ along |axis| stand side by side in memory.
bool cg_product_is_inner(const product_kernel *p, const ir_value *value, int axis);

// ---- block/product.c: true if it is a block kernel; |*out_status| says how that went. Down to |has_rows| all is set.
bool cg_block_product(product_kernel *p, weir_status *out_status);

#endif
