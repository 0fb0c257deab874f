// The table of architectures.
#include "codegen/cuda/arch.h"

#include <string.h>

#include "ir/kernel_block.h"

static const cg_cuda_arch archs[] = {
#define ARCH(name, option, capability, holds) {name, option, capability, holds, false},
#include "codegen/cuda/arch.def"
#undef ARCH
};
enum { COUNT = sizeof archs / sizeof *archs };
_Static_assert(sizeof archs / sizeof *archs <= 8, "room for all architectures: CG_CUDA_MAX_ARCHS");

weir_status cg_cuda_archs_find(const char *target, cg_cuda_arch out_archs[CG_CUDA_MAX_ARCHS], int *out_count) {
  const char *name = !strncmp(target, "cuda:", 5) ? target + 5 : NULL;
  *out_count = 0;
  for (int i = 0; i < COUNT; i++) {
    if (name ? strcmp(archs[i].name, name) != 0 : strcmp(target, "cuda") != 0) continue;
    out_archs[*out_count] = archs[i];
    out_archs[(*out_count)++].ptx = !strcmp(archs[i].name, "ptx");
  }
  if (*out_count) return WEIR_OK;
  char names[160] = "";
  for (int i = 0; i < COUNT; i++) {
    strncat(names, i ? ", " : "", sizeof names - strlen(names) - 1);
    strncat(names, archs[i].name, sizeof names - strlen(names) - 1);
  }
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT,
                          "there is no target '%s'; write 'cuda' for all architectures or "
                          "'cuda:NAME' with one of %s",
                          target, names);
}

bool cg_cuda_arch_holds(const cg_cuda_arch *arch, unsigned needs) {
  const unsigned special = IR_KNEEDS_SM_89 | IR_KNEEDS_SM_90A | IR_KNEEDS_CLUSTER;
  return !(needs & special & ~arch->holds);
}
