// The kernel that chooses tokens: what text_sampler_next chooses, by the kernel interpreter and on sim. Greedy, ties,
// temperatures, top-k, top-p, min-p and all together, few logits and many, NaN and infinities among them, several
// requests of one launch with choices of their own; what it must leave open, and nothing else.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "codegen/cuda/compile.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/lower/program.h"
#include "runtime/text/sampler.h"
#include "tests/common/scratch.h"
#include "tests/unit/codegen/sim_launches.h"

enum { ROWS = 4, DRAWS = 3, MOST = 3000 };

typedef struct {
  double temperature, top_p, min_p;
  int top_k, vocab;
  double spread;  // of the logits
  bool open;      // may stay open
} pick_case;

static const pick_case cases[] = {
    {0, 1, 0, 0, 1, 4, false},         {0, 1, 0, 0, 3000, 4, false},          {0.7, 1, 0, 0, 3000, 4, false},
    {1e-3, 1, 0, 0, 700, 4, false},    {1, 1, 0, 40, 3000, 4, false},         {0.9, 0.9, 0, 0, 2500, 6, false},
    {1, 1, 0.05, 0, 2500, 4, false},   {1.3, 0.8, 0.01, 100, 3000, 3, false}, {1, 1, 0, 5, 3, 4, false},
    {1, 0.999, 0, 0, 3000, 0.1, true}, {1, 0.5, 0, 2000, 3000, 0.1, true},    {2, 0.95, 0, 0, 65, 2, false},
};
enum { CASES = sizeof cases / sizeof *cases };

static uint64_t state;
static double random_unit(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 33) / (double)(1u << 31);
}

// The second row has few values, the third special ones.
static void fill(const pick_case *c, float *logits) {
  for (int i = 0; i < ROWS * c->vocab; i++) {
    double x = (random_unit() + random_unit() + random_unit() - 1.5) * c->spread;
    int row = i / c->vocab;
    logits[i] = row == 1 ? (float)floor(x) : (float)x;
    if (row == 2 && i % 7 == 0) logits[i] = i % 2 ? NAN : -INFINITY;
    if (row == 3 && c->vocab < 100) logits[i] = i % 2 ? NAN : -INFINITY;
  }
}

// Runs the kernel on the interpreter or |sim|.
static void launch(const ir_kernel *kernel, const pick_case *c, sim_launches *sim, const float *logits,
                   const rt_pick *asked, double *results) {
  static double params[ROWS * RT_PICK_PARAMS];
  for (int r = 0; r < ROWS; r++) memcpy(params + r * RT_PICK_PARAMS, asked[r].params, sizeof asked[r].params);
  void *args[] = {(void *)(uintptr_t)logits, params, results};
  size_t bytes[] = {sizeof(float) * (size_t)(ROWS * c->vocab), sizeof params, 8 * ROWS * RT_PICK_RESULTS};
  int64_t dims[] = {ROWS, c->vocab};
  ir_kinterpret_options options = {.round_f32 = true};
  weir_status status = sim ? sim_launches_run(sim, kernel, args, bytes, dims, ROWS)
                           : ir_kernel_interpret_options(kernel, args, bytes, dims, 0, ROWS, &options);
  cr_assert(!status, "%s", weir_status_message(status));
}

static void check(const ir_kernel *kernel, const pick_case *c, sim_launches *sim) {
  static float logits[ROWS * MOST];
  text_sampler_config config;
  text_sampler *samplers[ROWS];
  rt_pick asked[ROWS];
  double results[ROWS * RT_PICK_RESULTS];
  text_sampler_config_init(&config);
  config.temperature = (float)c->temperature;
  config.top_p = (float)c->top_p;
  config.min_p = (float)c->min_p;
  config.top_k = c->top_k;
  state = 11;
  for (int r = 0; r < ROWS; r++) {
    config.seed = (uint64_t)r;
    OK(text_sampler_create(&config, c->vocab, &samplers[r]));
  }
  for (int draw = 0; draw < DRAWS; draw++) {
    fill(c, logits);
    for (int r = 0; r < ROWS; r++) {
      cr_assert(text_sampler_ask(samplers[r], &asked[r]));
      asked[r].params[RT_PICK_SUMS] = r % 2;
    }
    launch(kernel, c, sim, logits, asked, results);
    for (int r = 0; r < ROWS; r++) {
      const float *row = logits + r * c->vocab;
      const double *got = results + r * RT_PICK_RESULTS;
      int32_t want = RT_PICK_NONE, id = (int32_t)got[RT_PICK_ID];
      weir_status status = text_sampler_next(samplers[r], row, &want);
      weir_status_release(status);
      if (id == RT_PICK_OPEN) {
        cr_expect(c->open, "case %d, row %d: open", (int)(c - cases), r);
        continue;
      }
      cr_expect_eq(id, want, "case %d, row %d, draw %d: %d instead of %d", (int)(c - cases), r, draw, id, want);
      if (id < 0) continue;
      cr_expect_eq(got[RT_PICK_LOGIT], row[id]);
      double logprob = got[RT_PICK_LOGIT] - got[RT_PICK_TOP] - log(got[RT_PICK_SUM]);
      if (r % 2) cr_expect_eq(logprob, text_logits_logprob(row, c->vocab, id), "case %d, row %d", (int)(c - cases), r);
    }
  }
  for (int r = 0; r < ROWS; r++) text_sampler_release(samplers[r]);
}

static const ir_kernel *make(weir_arena *arena) {
  ir_kernel *kernel;
  weir_arena_init(arena);
  OK(cg_make_pick(arena, &kernel));
  return kernel;
}

Test(block_pick, chooses_as_the_sampler) {
  weir_arena arena;
  const ir_kernel *kernel = make(&arena);
  for (int n = 0; n < CASES; n++) check(kernel, &cases[n], NULL);
  weir_arena_deinit(&arena);
}

Test(block_pick, on_sim) {
  weir_arena arena;
  sim_launches sim;
  sim_launches_init(&sim);
  ir_kernel *kernel = (ir_kernel *)(uintptr_t)make(&arena);
  sim_launches_add(&sim, &(cg_module){.kernels = &kernel, .kernel_count = 1});
  sim_launches_compile(&sim);
  for (int n = 0; n < CASES; n++) check(kernel, &cases[n], &sim);
  sim_launches_deinit(&sim);
  weir_arena_deinit(&arena);
}

Test(block_pick, nvrtc_compiles_it, .timeout = 60) {
  weir_arena arena;
  cg_nvrtc library;
  const ir_kernel *kernel = make(&arena);
  weir_status status = cg_nvrtc_open(&arena, &library);
  if (status) {
    printf("skipped: %s\n", weir_status_message(status));
    weir_status_release(status);
    weir_arena_deinit(&arena);
    return;
  }
  char folder[SCRATCH_BYTES];
  cg_cuda_arch archs[2], found[CG_CUDA_MAX_ARCHS];
  cg_cuda_built built;
  int one;
  OK(cg_cuda_archs_find("cuda:sm_80", found, &one));
  archs[0] = found[0];
  OK(cg_cuda_archs_find("cuda:sm_90a", found, &one));
  archs[1] = found[0];
  scratch_make(folder);
  cg_cuda_options options = {.cache_dir = folder};
  status = cg_cuda_compile(&arena, &kernel, 1, archs, 2, &options, &built);
  scratch_remove(folder);
  cr_assert(!status, "%s", weir_status_message(status));
  for (int i = 0; i < 2; i++) cr_expect_eq(built.objects[i].units, 1);
  weir_arena_deinit(&arena);
}
