// Architectures of the CUDA target: rows of arch.def.
#ifndef WEIR_CODEGEN_CUDA_ARCH_H
#define WEIR_CODEGEN_CUDA_ARCH_H

#include <stdbool.h>

#include "runtime/base/status.h"

enum { CG_CUDA_MAX_ARCHS = 8 };

typedef struct {
  const char *name;    // as in a target and a section: "sm_90a", "ptx"
  const char *option;  // for NVRTC
  int capability;
  unsigned holds;  // bits of ir_kernel_needs beyond an sm_80 that its code may have
  bool ptx;
} cg_cuda_arch;

// |target| is "cuda" (all) or "cuda:NAME". INVALID_ARGUMENT lists the names if there is no such one.
weir_status cg_cuda_archs_find(const char *target, cg_cuda_arch out_archs[CG_CUDA_MAX_ARCHS],
                               int *out_count) WEIR_MUST_USE;
// Whether code of |arch| can hold a kernel that needs |needs|.
bool cg_cuda_arch_holds(const cg_cuda_arch *arch, unsigned needs);

#endif
