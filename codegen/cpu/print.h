// Kernel IR as C: one file of text that any gcc (12) or clang (14) compiles at every ISA level, without headers.
//
// A kernel becomes `void NAME(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch)`.
// Innermost `lanes` ranges run 16 at once on the vector types of the prelude (codegen/cpu/prelude_*.inc), with a masked
// block for what is left over; everything else is scalar. The bits of a result do not depend on tile sizes, on extents
// elsewhere or on the split of work. How to read the emitted code: docs/kernels.md.
#ifndef WEIR_CODEGEN_CPU_PRINT_H
#define WEIR_CODEGEN_CPU_PRINT_H

#include "codegen/text/scratch.h"

// Prints |count| verified kernels with different names after one prelude; |*out_source| lives in |arena|. INTERNAL,
// naming kernel and variable, if a kernel breaks its contract in a way that only expansion shows (a register index that
// is not constant, a register set from the lanes of an inner range) or a name is no
// k_... symbol (docs/kernels.md); OUT_OF_RANGE if unrolling makes more than
// 200,000 statements.
weir_status cg_cpu_print(weir_arena *arena, const ir_kernel *const *kernels, int count,
                         const char **out_source) WEIR_MUST_USE;

#endif
