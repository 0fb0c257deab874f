// Kernels to code for GPUs: prints each, has NVRTC compile it for every architecture in parallel, and keeps the code in
// a cache named by content (codegen/cpu/cache.h).
//
// A unit is one kernel of one architecture: a cubin of its own, so that a changed kernel costs its own compilation.
// What comes out depends on the kernels and the library's version alone. A kernel whose code loses what it was written
// for is refused with its name and place: spills, local memory, and ptxas' advisories of serialised wgmma or an ignored
// setmaxnreg. A kernel that needs more than an architecture has is left out there.
#ifndef WEIR_CODEGEN_CUDA_COMPILE_H
#define WEIR_CODEGEN_CUDA_COMPILE_H

#include "codegen/cuda/arch.h"
#include "ir/kernel.h"

typedef struct {
  const char *cache_dir;  // made if missing
  int jobs;               // compilations at once; 0: the number of cores
  const int *cancel;      // stops when it becomes non-zero; may be null
  int64_t cache_bytes;    // what may lie in the cache after this call; 0: 256 MiB
  void (*progress)(void *user, const char *kernel, int done, int total);  // after each compilation; may be null
  void *user;
} cg_cuda_options;

typedef struct {
  const char *arch;
  const uint8_t *data;  // a section object/ARCH: runtime/device/cuda/abi.h; arena
  size_t bytes;
  const char *facts;  // a section object/ARCH.facts; arena
  int units;          // kernels that the architecture holds
  int compiled;       // of them, those that were not in the cache
  double seconds;     // its share of the call's wall time
} cg_cuda_object;

typedef struct {
  cg_cuda_object *objects;  // by architecture
  const char *toolchain;    // "NVRTC 13.0"
  double seconds;           // wall time
} cg_cuda_built;

// The kernels are verified and have different names. UNSUPPORTED without NVRTC; INTERNAL with the compiler's messages
// if it refuses emitted code or the code is no good; CANCELLED; IO for the cache.
weir_status cg_cuda_compile(weir_arena *arena, const ir_kernel *const *kernels, int kernel_count,
                            const cg_cuda_arch *archs, int arch_count, const cg_cuda_options *options,
                            cg_cuda_built *out) WEIR_MUST_USE;

#endif
