// Kernels as C files for the compiler: which kernel goes to which file.
#ifndef WEIR_CODEGEN_CPU_SOURCES_H
#define WEIR_CODEGEN_CPU_SOURCES_H

#include "ir/kernel.h"

typedef struct {
  const char *name;  // of the first kernel
  const char *text;  // prelude and kernels
  size_t bytes;
} cg_source;

// In an order, and with contents, that depend on the kernels alone; at least one file. A file holds one kernel, or
// neighbours by name that are small: a prelude costs more than they do. Where a file of small ones ends is said by
// their texts, so that a changed kernel leaves all files but its own as they were.
weir_status cg_sources_make(weir_arena *arena, const ir_kernel *const *kernels, int count, cg_source **out_sources,
                            int *out_count) WEIR_MUST_USE;

#endif
