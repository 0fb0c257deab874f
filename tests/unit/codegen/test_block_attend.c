// Attention as block kernels over many keys, by the kernel interpreter: the rows at the end of a sequence have the same
// bits whether they come alone, which is the schedule over pieces, or with rows before them, in tiles; and they are
// what a float64 softmax gives. Groups, sizes that fill no vector, windows. The text on sim gives the same.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "codegen/lower/lower.h"
#include "ir/program_interp.h"
#include "tests/unit/codegen/sim_launches.h"

enum { ROWS = 23, KEYS = 600, MOST = 65536 };

typedef struct {
  int heads, key_heads, depth, width, window;
  bool causal;
} attend_case;

static const attend_case cases[] = {
    {3, 1, 16, 16, 0, true}, {4, 2, 20, 24, 0, true},   {2, 2, 16, 40, 0, false},
    {10, 1, 8, 8, 0, true},  {2, 1, 16, 16, 300, true},
};
enum { CASES = sizeof cases / sizeof *cases };

static void must(weir_status status) {
  if (status) cr_assert_fail("%s", weir_status_message(status));
}

static const char *module_text(weir_arena *arena, const attend_case *c) {
  return weir_arena_printf(arena,
                           "module M\ndim T: seq in 1..=100\ndim S: seq in 1..=1000\nentry main {\n"
                           "  input %%0.q: f32[T, %d, %d] \"q\"\n  input %%1.k: f32[S, %d, %d] \"k\"\n"
                           "  input %%2.v: f32[S, %d, %d] \"v\"\n"
                           "  %%3 = attend %%0, %%1, %%2 {causal=%s, window=%d, scale=0.5} : f32[T, %d, %d]\n"
                           "  result %%3 \"y\"\n}\n",
                           c->heads, c->depth, c->key_heads, c->depth, c->key_heads, c->width,
                           c->causal ? "true" : "false", c->window, c->heads, c->width);
}

static void fill(float *x, int count, uint64_t seed) {
  for (int i = 0; i < count; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    x[i] = (float)(seed >> 33) / (float)(1u << 30) - 1;
  }
}

static float q[MOST], k[MOST], v[MOST];

// The last |rows| of ROWS rows; |sim|: on sim.
static void run(const cg_module *code, const attend_case *c, int rows, sim_launches *sim, float *y) {
  const rt_program *program = code->programs[0];
  const ir_kernel *kernels[8];
  for (int n = 0; n < program->kernel_count; n++)
    for (int i = 0; i < code->kernel_count; i++)
      if (!strcmp(code->kernels[i]->name, program->kernels[n].symbol)) kernels[n] = code->kernels[i];
  int64_t values[2];
  for (int s = 0; s < 2; s++) values[s] = program->symbols[s].name[0] == 'T' ? rows : KEYS;
  const void *inputs[] = {q + (ROWS - rows) * c->heads * c->depth, k, v};
  size_t bytes[] = {(size_t)(4 * rows * c->heads * c->depth), (size_t)(4 * KEYS * c->key_heads * c->depth),
                    (size_t)(4 * KEYS * c->key_heads * c->width)};
  void *outputs[] = {y};
  size_t out = (size_t)(4 * rows * c->heads * c->width);
  ir_program_call call = {.requests = 1,
                          .values = values,
                          .inputs = inputs,
                          .input_bytes = bytes,
                          .outputs = outputs,
                          .output_bytes = &out,
                          .launch = sim ? sim_launches_run : NULL,
                          .user = sim};
  ir_kinterpret_options options = {.round_f32 = true};
  must(ir_program_interpret(program, kernels, &call, &options));
}

static double score(const attend_case *c, int row, int head, int key) {
  double sum = 0;
  for (int d = 0; d < c->depth; d++)
    sum += (double)q[(row * c->heads + head) * c->depth + d] *
           k[(key * c->key_heads + head / (c->heads / c->key_heads)) * c->depth + d];
  return 0.5 * sum;
}

static void check_row(const attend_case *c, int row, int head, const float *y) {
  int at = KEYS - ROWS + row, end = c->causal ? at + 1 : KEYS,
      begin = c->window && at >= c->window ? at - c->window + 1 : 0;
  double most = -INFINITY, sum = 0, want[64] = {0};
  for (int key = begin; key < end; key++) most = fmax(most, score(c, row, head, key));
  for (int key = begin; key < end; key++) {
    double weight = exp(score(c, row, head, key) - most);
    sum += weight;
    for (int d = 0; d < c->width; d++)
      want[d] += weight * v[(key * c->key_heads + head / (c->heads / c->key_heads)) * c->width + d];
  }
  for (int d = 0; d < c->width; d++)
    cr_assert(fabs(y[d] - want[d] / sum) < 1e-5, "%d heads, row %d, head %d: %.9g instead of %.9g", c->heads, row, head,
              y[d], want[d] / sum);
}

static cg_module *lowered(weir_arena *arena, const attend_case *c) {
  const char *text = module_text(arena, c);
  ir_module *module;
  cg_module *code;
  must(ir_parse_module(arena, text, strlen(text), &module));
  cg_lower_options options = {.blocks = true};
  must(cg_lower(arena, module, &options, &code));
  return code;
}

static void fill_all(const attend_case *c) {
  fill(q, ROWS * c->heads * c->depth, 3);
  fill(k, KEYS * c->key_heads * c->depth, 5);
  fill(v, KEYS * c->key_heads * c->width, 7);
}

static void check(const attend_case *c) {
  static const int counts[] = {1, 2, 3, 4, 5, 11};
  static float all[MOST], some[MOST];
  weir_arena arena;
  weir_arena_init(&arena);
  const cg_module *code = lowered(&arena, c);
  int blocks = 0;
  for (int i = 0; i < code->kernel_count; i++) blocks += code->kernels[i]->threads > 0;
  cr_assert_geq(blocks, c->window && c->window <= 256 ? 1 : 2);
  fill_all(c);
  run(code, c, ROWS, NULL, all);
  int width = c->heads * c->width;
  for (int row = 0; row < ROWS; row++)
    for (int head = 0; head < c->heads; head++) check_row(c, row, head, all + row * width + head * c->width);
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    run(code, c, counts[i], NULL, some);
    cr_assert(!memcmp(some, all + (ROWS - counts[i]) * width, (size_t)(4 * counts[i] * width)),
              "%d heads: bits of %d rows", c->heads, counts[i]);
  }
  weir_arena_deinit(&arena);
}

Test(block_attend, few_rows_have_the_bits_of_many) {
  for (int i = 0; i < CASES; i++) check(&cases[i]);
}

// Pieces and the whole, with their merge; rows of one call have the bits of fewer on sim too.
Test(block_attend, on_sim) {
  static float want[MOST], all[MOST], some[MOST];
  static const int counts[] = {1, 3, 11};
  weir_arena arena;
  sim_launches sim;
  const cg_module *code[CASES];
  weir_arena_init(&arena);
  sim_launches_init(&sim);
  for (int i = 0; i < CASES; i++) sim_launches_add(&sim, code[i] = lowered(&arena, &cases[i]));
  sim_launches_compile(&sim);
  for (int i = 0; i < CASES; i++) {
    const attend_case *c = &cases[i];
    int width = c->heads * c->width;
    fill_all(c);
    run(code[i], c, ROWS, NULL, want);
    run(code[i], c, ROWS, &sim, all);
    for (int n = 0; n < ROWS * width; n++)
      cr_assert(fabsf(want[n] - all[n]) <= 2e-6f, "case %d, element %d: %.9g on sim, %.9g interpreted", i, n, all[n],
                want[n]);
    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
      run(code[i], c, counts[n], &sim, some);
      cr_assert(!memcmp(some, all + (ROWS - counts[n]) * width, (size_t)(4 * counts[n] * width)),
                "case %d: bits of %d rows", i, counts[n]);
    }
  }
  cr_assert_gt(sim.blocks, 0);
  sim_launches_deinit(&sim);
  weir_arena_deinit(&arena);
}
