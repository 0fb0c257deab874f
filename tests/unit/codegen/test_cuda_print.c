// Kernels as CUDA C: the text of small ones, fences of a team, and what NVRTC makes of them.
#include <stdlib.h>

#include "codegen/cuda/compile.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/cuda/print.h"
#include "codegen/lower/lower.h"
#include "ir/text_buffer.h"
#include "tests/unit/codegen/cpu_harness.h"
#include "tests/unit/ir/kernel_block_samples.h"

static const char softmax[] =
    "kernel k_softmax \"each row of [R, N]\"\n"
    "sizes R, N\n"
    "inout x: R * N * 4 @0\n"
    "grid row: R\n"
    "{\n"
    "  reg most: f32 = -inf\n"
    "  lanes i in 0..N {\n"
    "    reduce max most = x:f32[row * N + i]\n"
    "  }\n"
    "  reg sum: f32 = 0.0\n"
    "  lanes i in 0..N {\n"
    "    let e: f32 = exp(x:f32[row * N + i] - most)\n"
    "    reduce add sum = e\n"
    "    store x:f32[row * N + i] = e\n"
    "  }\n"
    "  lanes i in 0..N {\n"
    "    store x:f32[row * N + i] = x:f32[row * N + i] / sum\n"
    "  }\n"
    "}\n";

static const char serial[] =
    "kernel k_serial \"running sums\"\n"
    "sizes R\n"
    "in x: R * 32 @0\n"
    "out y: R * 32 @1\n"
    "grid r: R\n"
    "{\n"
    "  reg sum: f32 = 0.0\n"
    "  for i in 0..8 {\n"
    "    set sum = sum + x:f32[r * 8 + i]\n"
    "    store y:f32[r * 8 + i] = sum\n"
    "  }\n"
    "}\n";

static const char staged[] =
    "kernel k_staged \"a row through scratch, backwards\"\n"
    "sizes R\n"
    "in x: R * 64 @0\n"
    "out y: R * 64 @1\n"
    "local s: 64\n"
    "const c: f32[16] = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
    "grid r: R\n"
    "{\n"
    "  lanes i in 0..16 {\n"
    "    store s:f32[i] = x:f32[r * 16 + i] + c:f32[i]\n"
    "  }\n"
    "  lanes i in 0..16 {\n"
    "    store y:f32[r * 16 + i] = s:f32[15 - i]\n"
    "  }\n"
    "}\n";

static const char last_one[] =
    "kernel k_last \"rows doubled, and by the last of them their sum\"\n"
    "sizes R\n"
    "in x: R * 64 @0\n"
    "inout y: R * 64 @1\n"
    "inout arrived: 4 @2\n"
    "out all: 64 @3\n"
    "grid r: R\n"
    "{\n"
    "  lanes i in 0..16 {\n"
    "    store y:f32[r * 16 + i] = x:f32[r * 16 + i] * 2.0\n"
    "  }\n"
    "  reg last: i64 = 0\n"
    "  arrive last = arrived:i32[0] of R\n"
    "  if last != 0 {\n"
    "    lanes i in 0..16 {\n"
    "      reg sum: f32 = 0.0\n"
    "      for n in 0..R {\n"
    "        set sum = sum + y:f32[n * 16 + i]\n"
    "      }\n"
    "      store all:f32[i] = sum\n"
    "    }\n"
    "  }\n"
    "}\n";

static cg_cuda_kernel print_text(weir_arena *arena, const char *text, cg_cuda_prelude_kind prelude) {
  ir_kernel *kernel;
  cg_cuda_kernel printed;
  cg_cuda_print_options options = {.prelude = prelude};
  cpu_must(ir_kernel_parse(arena, text, strlen(text), &kernel));
  cpu_must(ir_kernel_verify(kernel));
  cpu_must(cg_cuda_print(arena, kernel, &options, &printed));
  return printed;
}

static int count_of(const char *text, const char *word) {
  int count = 0;
  for (; (text = strstr(text, word)); text += strlen(word)) count++;
  return count;
}

Test(cuda_print, reduction_by_a_warp) {
  weir_arena arena;
  weir_arena_init(&arena);
  cg_cuda_kernel k = print_text(&arena, softmax, CG_CUDA_PTX);
  cr_assert_eq(k.team, 32);
  cr_assert_eq(k.items_per_block, 4);
  cr_assert_eq(count_of(k.text, "TEAM_XOR_f32"), 2, "%s", k.text);
  // What the second range wrote is read by the third; the first read what the second writes.
  cr_assert_eq(count_of(k.text, "TEAM_FENCE(32)"), 2, "%s", k.text);
  cr_assert(strstr(k.text, "for (i64 row = (i64)BLOCK * 4 + team; row < p.items; row += (i64)GRID * 4) {"), "%s",
            k.text);
  weir_arena_deinit(&arena);
}

Test(cuda_print, without_lanes_a_thread_has_an_item) {
  weir_arena arena;
  weir_arena_init(&arena);
  cg_cuda_kernel k = print_text(&arena, serial, CG_CUDA_PTX);
  cr_assert_eq(k.team, 1);
  cr_assert_eq(k.items_per_block, 128);
  cr_assert_not(strstr(k.text, "FENCE"), "%s", k.text);
  cr_assert_not(strstr(k.text, "me == 0"), "%s", k.text);
  weir_arena_deinit(&arena);
}

Test(cuda_print, scratch_in_shared_memory) {
  weir_arena arena;
  weir_arena_init(&arena);
  cg_cuda_kernel k = print_text(&arena, staged, CG_CUDA_PTX);
  cr_assert_eq(k.team, 16);
  cr_assert_eq(k.shared_bytes, 8 * 64);
  cr_assert_eq(k.scratch_bytes, 0);
  cr_assert_eq(count_of(k.text, "TEAM_FENCE(16)"), 2, "between the ranges, and before the next item: %s", k.text);
  cr_assert(strstr(k.text, "CONST_DATA(f32, k_staged_c, 16)"), "%s", k.text);
  cr_assert(strstr(k.text, "sts_f32(s, "), "%s", k.text);
  cr_assert_str_eq(k.text, print_text(&arena, staged, CG_CUDA_SIM).text, "one text for both preludes");
  weir_arena_deinit(&arena);
}

// ---- NVRTC
static const char many[] =
    "module M\n\ndim T: seq in 1..=1000\n\nentry main {\n"
    "  input %0.x: f32[T, 512] \"x\"\n"
    "  weight %1: f32[384, 512] \"a\"\n"
    "  %2 = linear %0, %1 : f32[T, 384]\n  %3 = silu %2 : f32[T, 384]\n"
    "  %4 = exp %3 : f32[T, 384]\n  %5 = sin %4 : f32[T, 384]\n  %6 = erf %5 : f32[T, 384]\n"
    "  %7 = tanh %6 : f32[T, 384]\n  %8 = mul %7, %2 : f32[T, 384]\n"
    "  result %8 \"y\"\n}\n";

static weir_storage storage_of(void *user, const char *path) {
  (void)user, (void)path;
  return WEIR_STORAGE_Q8_0;
}

static bool nvrtc_is_here(weir_arena *arena) {
  cg_nvrtc library;
  weir_status status = cg_nvrtc_open(arena, &library);
  if (status) printf("skipped: %s\n", weir_status_message(status));
  weir_status_release(status);
  return status == NULL;
}

Test(cuda_compile, sections_and_cache, .timeout = 120) {
  weir_arena arena;
  weir_arena_init(&arena);
  if (!nvrtc_is_here(&arena)) {
    weir_arena_deinit(&arena);
    return;
  }
  ir_module *module;
  cg_module *code;
  cpu_must(ir_parse_module(&arena, many, strlen(many), &module));
  cg_lower_options lower = {.storage_of = storage_of};
  cpu_must(cg_lower(&arena, module, &lower, &code));
  int count = code->kernel_count;
  const ir_kernel **kernels = WEIR_NEW_ARRAY(&arena, const ir_kernel *, count + 4);
  for (int i = 0; i < count; i++) kernels[i] = code->kernels[i];
  const char *const texts[] = {softmax, serial, staged, last_one};
  for (int i = 0; i < 4; i++) {
    ir_kernel *kernel;
    cpu_must(ir_kernel_parse(&arena, texts[i], strlen(texts[i]), &kernel));
    kernels[count++] = kernel;
  }
  char folder[] = "/tmp/weir-cuda-XXXXXX";
  cr_assert(mkdtemp(folder));
  cg_cuda_options options = {.cache_dir = folder};
  cg_cuda_arch archs[2], found[CG_CUDA_MAX_ARCHS];
  int one;
  cpu_must(cg_cuda_archs_find("cuda:sm_80", found, &one));
  archs[0] = found[0];
  cpu_must(cg_cuda_archs_find("cuda:sm_90a", found, &one));
  archs[1] = found[0];
  for (int again = 0; again < 2; again++) {
    cg_cuda_built built;
    cpu_must(cg_cuda_compile(&arena, kernels, count, archs, 2, &options, &built));
    for (int a = 0; a < 2; a++) {
      cr_assert_eq(built.objects[a].compiled, again ? 0 : count);
      cr_assert_eq(memcmp(built.objects[a].data, "WEIRCUDA", 8), 0);
      cr_assert_eq(count_of(built.objects[a].facts, " spills=0 "), count, "%s", built.objects[a].facts);
    }
  }
  char *command = weir_arena_printf(&arena, "rm -rf '%s'", folder);
  cr_assert_eq(system(command), 0);
  weir_arena_deinit(&arena);
}

// Every operation of block kernels is accepted, with nothing that ptxas complains of.
Test(cuda_compile, block_kernels, .timeout = 120) {
  weir_arena arena;
  weir_arena_init(&arena);
  if (!nvrtc_is_here(&arena)) {
    weir_arena_deinit(&arena);
    return;
  }
  const char *const texts[] = {block_everything, block_small, block_sm90, block_gemm, block_gemm_sm90};
  enum { COUNT = sizeof texts / sizeof *texts };
  const ir_kernel *kernels[COUNT];
  for (int i = 0; i < COUNT; i++) {
    ir_kernel *kernel;
    cpu_must(ir_kernel_parse(&arena, texts[i], strlen(texts[i]), &kernel));
    kernel->name = weir_arena_printf(&arena, "k_%s", kernel->name);
    kernels[i] = kernel;
  }
  char folder[] = "/tmp/weir-cuda-XXXXXX";
  cr_assert(mkdtemp(folder));
  cg_cuda_options options = {.cache_dir = folder};
  cg_cuda_arch found[CG_CUDA_MAX_ARCHS];
  cg_cuda_built built;
  int one;
  cpu_must(cg_cuda_archs_find("cuda:sm_90a", found, &one));
  cpu_must(cg_cuda_compile(&arena, kernels, COUNT, found, 1, &options, &built));
  cr_assert_eq(count_of(built.objects[0].facts, " block=1 "), COUNT, "%s", built.objects[0].facts);
  cpu_must(cg_cuda_archs_find("cuda:sm_80", found, &one));
  cpu_must(cg_cuda_compile(&arena, kernels, COUNT, found, 1, &options, &built));
  cr_assert_lt(count_of(built.objects[0].facts, " block=1 "), COUNT, "%s", built.objects[0].facts);
  cr_assert_eq(system(weir_arena_printf(&arena, "rm -rf '%s'", folder)), 0);
  weir_arena_deinit(&arena);
}

Test(cuda_compile, absent_library) {
  weir_arena arena;
  cg_nvrtc library;
  weir_arena_init(&arena);
  setenv("WEIR_CUDA_HOME", "/nowhere", 1);
  weir_status status = cg_nvrtc_open(&arena, &library);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_UNSUPPORTED);
  cr_assert(strstr(weir_status_message(status), "pip install"));
  weir_status_release(status);
  weir_arena_deinit(&arena);
}

Test(cuda_archs, names) {
  cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
  int count;
  cpu_must(cg_cuda_archs_find("cuda", archs, &count));
  cr_assert_eq(count, 7);
  weir_status status = cg_cuda_archs_find("cuda:sm_70", archs, &count);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  cr_assert(strstr(weir_status_message(status), "sm_90a"));
  weir_status_release(status);
}
