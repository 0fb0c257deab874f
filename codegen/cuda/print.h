// Kernel IR as CUDA C: text that NVRTC compiles for a GPU and gcc for `sim`, without headers.
//
// A kernel becomes a parameter struct and one function that works off items (README.md says how, and lists the
// prelude's names). Item kernels run in teams of threads; block kernels are printed as they stand. The text is the same
// for both preludes but for the definitions of wgmma forms. Results do not depend on the grid.
#ifndef WEIR_CODEGEN_CUDA_PRINT_H
#define WEIR_CODEGEN_CUDA_PRINT_H

#include "ir/kernel.h"

typedef enum { CG_CUDA_PTX, CG_CUDA_SIM } cg_cuda_prelude_kind;

typedef struct {
  const char *name;  // of the kernel; arena
  const char *text;  // banner, struct, function; without the prelude
  size_t bytes;
  int threads;          // of a block
  int team;             // threads an item
  int items_per_block;  // at a time
  int args, dims, maps;
  const char *map_facts;  // words about the maps, or of a library's product, behind all others of the kernel's facts
  int cluster;            // blocks, 0: none
  int64_t shared_bytes;   // static
  int64_t dynamic_bytes;  // shared memory to ask for at launch
  int64_t scratch_bytes;  // of global memory a team, a multiple of 64
  bool block;             // a block kernel: the grid is the number of items
  bool pdl;        // waits for the launches before itself, where the machine lets it begin before they have ended
  unsigned needs;  // ir_kernel_needs
} cg_cuda_kernel;

typedef struct {
  cg_cuda_prelude_kind prelude;
  bool with_ir;  // the kernel IR as a comment
} cg_cuda_print_options;

// Prints a verified kernel. Failures as cg_cpu_print; OUT_OF_RANGE too if its shared memory or parameters exceed what a
// launch may have.
weir_status cg_cuda_print(weir_arena *arena, const ir_kernel *kernel, const cg_cuda_print_options *options,
                          cg_cuda_kernel *out) WEIR_MUST_USE;
// Kernels with different names behind one prelude.
const char *cg_cuda_file(weir_arena *arena, cg_cuda_prelude_kind prelude, const cg_cuda_kernel *kernels, int count);

#endif
