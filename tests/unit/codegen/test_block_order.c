// Running values, sorting and the k largest as block kernels: the graph interpreter's results by the kernel interpreter
// and on sim, for short lines and long ones, lines of packed requests, along axes that lie apart in memory, with many
// equals and NaN, and in every form of the templates.
#include <criterion/criterion.h>
#include <string.h>

#include "codegen/cuda/compile.h"
#include "codegen/cuda/nvrtc.h"
#include "tests/common/lowered_case.h"
#include "tests/common/scratch.h"
#include "tests/unit/codegen/sim_launches.h"

typedef struct {
  const char *type;  // of the input
  const char *node, *out;
  bool numbers;  // the input becomes few numbers, NaN among them
} order_case;

static const order_case cases[] = {
    {"f32[3, 1000]", "cumsum %x {axis=1}", "f32[3, 1000]", false},
    {"f32[T]", "cumsum %x {axis=0}", "f32[T]", false},
    {"f32[2, 4500]", "cumsum %x {axis=1}", "f32[2, 4500]", false},
    {"f32[70, 3]", "cumsum %x {axis=0}", "f32[70, 3]", false},
    {"f32[T, 5]", "cumsum %x {axis=1}", "f32[T, 5]", false},
    {"f32[T, 130]", "cumsum %x {axis=0}", "f32[T, 130]", false},
    {"f32[2, 300]", "cumprod %x {axis=1}", "f32[2, 300]", false},
    {"f32[2, 300]", "cummax %x {axis=1}", "f32[2, 300]", true},
    {"i32[T, 300]", "cummin %x {axis=1}", "i32[T, 300]", false},
    {"f32[2, 1100]", "cumlogsumexp %x {axis=1}", "f32[2, 1100]", false},
    {"f32[T]", "cumlogsumexp %x {axis=0}", "f32[T]", false},
    {"f64[2, 300]", "cumsum %x {axis=1}", "f64[2, 300]", false},
    {"f32[T, 7]", "sort %x {axis=1, descending=false}", "f32[T, 7]", true},
    {"f32[T, 100]", "argsort %x {axis=1, descending=true}", "i32[T, 100]", true},
    {"f32[T, 3]", "argsort %x {axis=0, descending=false}", "i32[T, 3]", true},
    {"f32[2, 9000]", "argsort %x {axis=1, descending=false}", "i32[2, 9000]", true},
    {"f32[5000]", "sort %x {axis=0, descending=true}", "f32[5000]", true},
    {"i32[2, 3000]", "sort %x {axis=1, descending=false}", "i32[2, 3000]", false},
    {"f16[2, 33]", "sort %x {axis=1, descending=true}", "f16[2, 33]", false},
    {"f64[2, 33]", "sort %x {axis=1, descending=true}", "f64[2, 33]", false},
    {"f32[T, 64]", "top_k %x {axis=1, k=8}", "f32[T, 8], i32[T, 8]", true},
    {"f32[2, 6000]", "top_k %x {axis=1, k=40}", "f32[2, 40], i32[2, 40]", true},
    {"f32[2, 6000]", "top_k %x {axis=1, k=1}", "f32[2, 1], i32[2, 1]", false},
    {"f32[6000]", "top_k %x {axis=0, k=2048}", "f32[2048], i32[2048]", false},
    {"f32[6000]", "top_k %x {axis=0, k=3000}", "f32[3000], i32[3000]", true},
    {"i32[2, 1500]", "top_k %x {axis=1, k=1500}", "i32[2, 1500], i32[2, 1500]", false},
};
enum { CASES = sizeof cases / sizeof *cases, SEEDS = 3 };

static const char *text_of(weir_arena *arena, const order_case *c) {
  char node[128];
  const char *at = strchr(c->node, '%');
  snprintf(node, sizeof node, "%.*s%%%d%s", (int)(at - c->node), c->node, c->numbers ? 4 : 0, at + 2);
  const char *made = c->numbers ? weir_arena_printf(arena,
                                                    "  %%1 = sqrt %%0 : %s\n  %%2 = add %%1, %%1 : %s\n"
                                                    "  %%3 = add %%2, %%1 : %s\n  %%4 = floor %%3 : %s\n",
                                                    c->type, c->type, c->type, c->type)
                                : "";
  bool two = strstr(c->out, "], ") != NULL;
  return weir_arena_printf(arena,
                           "module M\ndim T: seq in 1..=50\nentry main {\n  input %%0.x: %s \"x\"\n%s"
                           "  %%5%s = %s : %s\n  result %%5 \"y\"\n%s}\n",
                           c->type, made, two ? ", %6" : "", node, c->out, two ? "  result %6 \"z\"\n" : "");
}

static void make(weir_arena *arena, const order_case *c, uint64_t seed, int requests, lowered_case *out) {
  ir_module *module;
  const char *text = text_of(arena, c);
  weir_status status = ir_parse_module(arena, text, strlen(text), &module);
  cr_assert(!status, "%s\n%s", text, weir_status_message(status));
  status = lowered_case_make_blocks(arena, module->functions[0], seed, requests, false, out);
  cr_assert(!status, "%s\n%s", text, weir_status_message(status));
}

static int count_blocks(const cg_module *code) {
  int count = 0;
  for (int i = 0; i < code->kernel_count; i++) count += code->kernels[i]->threads > 0;
  return count;
}

Test(block_order, give_what_the_graph_says) {
  for (int n = 0; n < CASES; n++) {
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
      weir_arena arena;
      weir_arena_init(&arena);
      lowered_case c;
      make(&arena, &cases[n], seed, 1 + (int)seed % CASE_MAX_REQUESTS, &c);
      bool wide = !strncmp(cases[n].type, "f64", 3) && strstr(cases[n].node, "sort");
      cr_expect(wide || count_blocks(c.code), "%s", cases[n].node);
      const char *wrong = lowered_case_check_interpreted(&c, 2e-4);
      cr_expect(!wrong, "%s of %s, seed %d: %s", cases[n].node, cases[n].type, (int)seed, wrong);
      weir_arena_deinit(&arena);
    }
  }
}

Test(block_order, on_sim) {
  static weir_arena arenas[CASES];
  static lowered_case made[CASES];
  sim_launches sim;
  sim_launches_init(&sim);
  for (int n = 0; n < CASES; n++) {
    weir_arena_init(&arenas[n]);
    make(&arenas[n], &cases[n], 7 + (uint64_t)n, 1 + n % 3, &made[n]);
    sim_launches_add(&sim, made[n].code);
  }
  sim_launches_compile(&sim);
  for (int n = 0; n < CASES; n++) {
    made[n].launch = sim_launches_run;
    made[n].launch_user = &sim;
    sim.requests = made[n].requests;
    const char *wrong = lowered_case_check_interpreted(&made[n], 2e-4);
    cr_expect(!wrong, "%s of %s: %s", cases[n].node, cases[n].type, wrong);
    weir_arena_deinit(&arenas[n]);
  }
  cr_assert_gt(sim.blocks, 0);
  sim_launches_deinit(&sim);
}

// Every form once: no spills, no arrays in local memory.
Test(block_order, nvrtc_compiles_them, .timeout = 120) {
  static const int chosen[] = {0, 5, 9, 13, 15, 20, 21};
  enum { COUNT = sizeof chosen / sizeof *chosen, MOST = 4 * COUNT };
  weir_arena arena;
  cg_nvrtc library;
  weir_arena_init(&arena);
  weir_status status = cg_nvrtc_open(&arena, &library);
  if (status) {
    printf("skipped: %s\n", weir_status_message(status));
    weir_status_release(status);
    weir_arena_deinit(&arena);
    return;
  }
  const ir_kernel *kernels[MOST];
  int count = 0;
  for (int n = 0; n < COUNT; n++) {
    lowered_case c;
    make(&arena, &cases[chosen[n]], 1, 1, &c);
    for (int i = 0; i < c.code->kernel_count; i++)
      if (c.code->kernels[i]->threads && count < MOST) kernels[count++] = c.code->kernels[i];
  }
  cg_cuda_arch archs[2], found[CG_CUDA_MAX_ARCHS];
  int one;
  OK(cg_cuda_archs_find("cuda:sm_80", found, &one));
  archs[0] = found[0];
  OK(cg_cuda_archs_find("cuda:sm_90a", found, &one));
  archs[1] = found[0];
  cg_cuda_built built;
  char folder[SCRATCH_BYTES];
  scratch_make(folder);
  cg_cuda_options options = {.cache_dir = folder};
  status = cg_cuda_compile(&arena, kernels, count, archs, 2, &options, &built);
  scratch_remove(folder);
  cr_expect(!status, "%s", weir_status_message(status));
  for (int i = 0; !status && i < 2; i++) cr_expect_eq(built.objects[i].units, count);
  weir_arena_deinit(&arena);
}
