// Items that count arrivals, on several threads: what one thread stores of a row and another goes on with. A decoder
// layer, again and again, for few rows and for many, all requests together and each alone: the bits must be equal.
// Without Criterion, so that it runs under the thread sanitizer, with which its kernels are compiled then, too.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/compile.h"
#include "tests/common/lowered_case.h"

enum { THREADS = 4, CASES = 8, TURNS = 3, ARRIVING = 4 };

#if defined(__SANITIZE_THREAD__)
static const char optimize[] = "-O1 -fsanitize=thread";
#else
static const char optimize[] = "-O1";
#endif

#define NORM(x, scale, n)                                                              \
  "  %" n "0 = mul %" x ", %" x " : f32[T, 64]\n  %" n "1 = mean %" n                  \
  "0 {over=[1]} : f32[T]\n"                                                            \
  "  %" n "2 = add %" n "1, %90 : f32[T]\n  %" n "3 = rsqrt %" n                       \
  "2 : f32[T]\n"                                                                       \
  "  %" n "4 = broadcast %" n "3 {dims=[64, T]} : f32[64, T]\n  %" n "5 = permute %" n \
  "4 {perm=[1, 0]} : f32[T, 64]\n"                                                     \
  "  %" n "6 = mul %" x ", %" n "5 : f32[T, 64]\n  %" n "7 = mul %" n "6, %" scale " : f32[T, 64]\n"

static const char layer[] =
    "module M\n\ndim T: seq in 1..=1000\ndim T.past: seq in 0..=1000 before T\n\nstep next {\n"
    "  input %0.x: f32[T, 64] \"x\"\n  weight %1: f32[64] \"n1\"\n  weight %2: f32[64] \"n2\"\n"
    "  weight %3: f32[64, 64] \"q\"\n  weight %4: f32[32, 64] \"k\"\n  weight %5: f32[32, 64] \"v\"\n"
    "  weight %6: f32[64, 64] \"o\"\n  weight %7: f32[96, 64] \"gate\"\n  weight %8: f32[96, 64] \"up\"\n"
    "  weight %9: f32[64, 96] \"down\"\n"
    "  state %10: f32[T.past, 1, 32] \"keys\" rows\n  state %11: f32[T.past, 1, 32] \"values\" rows\n"
    "  %90 = constant {value=1e-05, dtype=f32} : f32[]\n" NORM("0", "1", "2")
    "  %30 = linear %27, %3 : f32[T, 64]\n  %31 = linear %27, %4 : f32[T, 32]\n  %32 = linear %27, %5 : f32[T, 32]\n"
    "  %33 = reshape %30 {dims=[T, 2, 32]} : f32[T, 2, 32]\n  %34 = reshape %31 {dims=[T, 1, 32]} : f32[T, 1, 32]\n"
    "  %35 = reshape %32 {dims=[T, 1, 32]} : f32[T, 1, 32]\n  %36 = pos {dim=T} : i32[T]\n"
    "  %37 = rope %33, %36 {theta=10000.0, rotary=32, interleaved=false} : f32[T, 2, 32]\n"
    "  %38 = rope %34, %36 {theta=10000.0, rotary=32, interleaved=false} : f32[T, 1, 32]\n"
    "  %39 = append %10, %38 : f32[T + T.past, 1, 32]\n  %40 = append %11, %35 : f32[T + T.past, 1, 32]\n"
    "  %41 = attend %37, %39, %40 {causal=true, window=0, scale=0.25} : f32[T, 2, 32]\n"
    "  %42 = reshape %41 {dims=[T, 64]} : f32[T, 64]\n  %43 = linear %42, %6 : f32[T, 64]\n"
    "  %44 = add %0, %43 : f32[T, 64]\n" NORM("44", "2", "5")
    "  %60 = linear %57, %7 : f32[T, 96]\n  %61 = silu %60 : f32[T, 96]\n  %62 = linear %57, %8 : f32[T, 96]\n"
    "  %63 = mul %61, %62 : f32[T, 96]\n  %64 = linear %63, %9 : f32[T, 64]\n  %65 = add %44, %64 : f32[T, 64]\n"
    "  result %65 \"y\"\n  result %39 \"keys\" of %10\n  result %40 \"values\" of %11\n}\n";

static void must(weir_status status) {
  if (!status) return;
  fprintf(stderr, "%s\n", weir_status_message(status));
  exit(1);
}

static weir_status find_symbol(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  void *symbol = dlsym(context, kernel->symbol);
  if (!symbol) return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel '%s'", kernel->symbol);
  memcpy(&out_entry->native, &symbol, sizeof symbol);
  return WEIR_OK;
}

static void *compile(weir_arena *arena, const cg_module *code, const char *folder) {
  cg_cpu_options options = {.cache_dir = folder, .optimize = optimize};
  cg_cpu_isa isa;
  cg_cpu_object object;
  must(cg_cpu_isa_find(arena, "cpu", &isa));
  must(cg_cpu_compile(arena, (const ir_kernel *const *)code->kernels, code->kernel_count, &isa, 1, &options, &object));
  void *library = dlopen(object.path, RTLD_NOW);
  if (library) return library;
  fprintf(stderr, "%s\n", dlerror());
  exit(1);
}

// Products with a norm or positions behind them, and attention in pieces.
static int arriving(weir_arena *arena, const cg_module *code) {
  int count = 0;
  for (int i = 0; i < code->kernel_count; i++)
    count += strstr(ir_kernel_print(arena, code->kernels[i]), "  arrive ") != NULL;
  return count;
}

int main(void) {
  weir_arena arena;
  ir_module *module;
  void *library = NULL;
  char folder[] = "/tmp/weir-arrival-XXXXXX";
  int wrong = 0;
  weir_arena_init(&arena);
  must(ir_parse_module(&arena, layer, strlen(layer), &module));
  if (!mkdtemp(folder)) return 1;
  for (int i = 0; i < CASES; i++) {
    lowered_case c;
    must(lowered_case_make(&arena, module->functions[0], (uint64_t)i, 3, true, &c));
    if (!library) library = compile(&arena, c.code, folder);
    if (arriving(&arena, c.code) < ARRIVING) return 1;
    const rt_kernel_provider provider = {.context = library, .lookup = find_symbol};
    for (int turn = 0; turn < TURNS; turn++) {
      const char *what = lowered_case_check_run(&c, provider, THREADS, 1e-4);
      if (what) fprintf(stderr, "case %d: %s\n", i, what);
      wrong += what != NULL;
    }
  }
  dlclose(library);
  weir_arena_deinit(&arena);
  char command[64];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  if (system(command) || wrong) return 1;
  printf("%d calls of %d threads agree\n", CASES * TURNS, THREADS);
  return 0;
}
