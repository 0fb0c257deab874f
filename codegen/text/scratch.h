// Scratch memory of item kernels, counted alike by the printers.
#ifndef WEIR_CODEGEN_TEXT_SCRATCH_H
#define WEIR_CODEGEN_TEXT_SCRATCH_H

#include "ir/kernel.h"

// Bytes of scratch that a running item needs: its LOCAL buffers, each at a multiple of 64. OUT_OF_RANGE on
// overflow; INTERNAL where an extent is not constant.
weir_status cg_scratch_bytes(const ir_kernel *kernel, int64_t *out_bytes) WEIR_MUST_USE;

#endif
