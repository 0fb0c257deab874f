// Attention by matrix units for heads of the sizes that models have, through NVRTC: no spills and no local memory, with
// keys of each form, and where registers are fewest.
#include <criterion/criterion.h>

#include "codegen/cuda/compile.h"
#include "codegen/cuda/nvrtc.h"
#include "tests/unit/codegen/attend_module.h"

static const attend_case wide[] = {
    {32, 8, 128, 128, 0, true, STATES, IR_bf16, NO_BIAS, 0.0884},
    {9, 3, 64, 64, 0, true, STATES, IR_bf16, NO_BIAS, 0.125},
    {8, 4, 256, 256, 0, true, STATES, IR_bf16, NO_BIAS, 0.0625},
    {12, 12, 80, 80, 0, false, PLAIN, IR_f32, NO_BIAS, 0.1},
    {32, 2, 128, 128, 0, true, STATES, IR_f16, ADDED, 0.125},
    {32, 2, 128, 128, 2048, true, STATES, IR_f32, NO_BIAS, 0.0884},
};
enum { WIDE = sizeof wide / sizeof *wide };

Test(cuda_attend, compiles_for_gpus, .timeout = 300) {
  static const char *const targets[] = {"cuda:sm_80", "cuda:sm_90a"};
  const ir_kernel *kernels[4 * WIDE];
  weir_arena arena;
  cg_nvrtc library;
  cg_cuda_built built;
  cg_cuda_arch archs[2], found[CG_CUDA_MAX_ARCHS];
  int count = 0;
  weir_arena_init(&arena);
  weir_status status = cg_nvrtc_open(&arena, &library);
  if (status) {
    printf("skipped: %s\n", weir_status_message(status));
    weir_status_release(status);
    weir_arena_deinit(&arena);
    return;
  }
  for (int i = 0; i < WIDE; i++) {
    const cg_module *code = lowered(&arena, &wide[i], NULL);
    for (int n = 0; n < code->kernel_count; n++)
      if (strstr(code->kernels[n]->name, "block_mma_attend")) kernels[count++] = code->kernels[n];
  }
  for (int i = 0, one; i < 2; i++) {
    must(cg_cuda_archs_find(targets[i], found, &one));
    archs[i] = found[0];
  }
  cg_cuda_options options = {.cache_dir = WEIR_CUDA_CACHE, .cache_bytes = (int64_t)512 << 20};
  must(cg_cuda_compile(&arena, kernels, count, archs, 2, &options, &built));
  for (int i = 0; i < 2; i++) cr_assert_eq(built.objects[i].units, count);
  weir_arena_deinit(&arena);
}
