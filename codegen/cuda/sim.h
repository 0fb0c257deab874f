// Kernels for sim: the emitted CUDA C behind prelude_sim.inc, made a shared object by the system's C compiler.
#ifndef WEIR_CODEGEN_CUDA_SIM_H
#define WEIR_CODEGEN_CUDA_SIM_H

#include "codegen/cuda/compile.h"

// Fills |out| with a section object/sim, an ELF file, and its facts, whose unit is 0 and whose registers are not known.
// Failures as cg_cpu_compile.
weir_status cg_cuda_sim_compile(weir_arena *arena, const ir_kernel *const *kernels, int kernel_count,
                                const cg_cuda_options *options, cg_cuda_object *out) WEIR_MUST_USE;

#endif
