// Products with packed matrices as block kernels, by the kernel interpreter, against float64 sums of the decoded
// weights: every format, sizes that fill no tile, two matrices in one kernel. The bits of a row are the same at any
// number of rows, so in every schedule, and for every choice that lowering offers. The text of all of them on sim gives
// the same.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "codegen/lower/lower.h"
#include "ir/program_interp.h"
#include "runtime/base/blocks.h"
#include "runtime/base/half.h"
#include "tests/unit/codegen/sim_launches.h"

enum { ROWS = 70, OUTS = 40, MAX_COLS = 768 };

typedef struct {
  weir_storage storage;
  cg_compute compute;
  int cols;
} linear_case;

static const linear_case cases[] = {
    {WEIR_STORAGE_F32, CG_COMPUTE_F32, 72},     {WEIR_STORAGE_F32, CG_COMPUTE_F32, 21},
    {WEIR_STORAGE_F16, CG_COMPUTE_F32, 100},    {WEIR_STORAGE_BF16, CG_COMPUTE_F32, 64},
    {WEIR_STORAGE_Q8_0, CG_COMPUTE_F32, 96},    {WEIR_STORAGE_Q4_0, CG_COMPUTE_F32, 64},
    {WEIR_STORAGE_Q4_1, CG_COMPUTE_F32, 160},   {WEIR_STORAGE_Q5_0, CG_COMPUTE_F32, 64},
    {WEIR_STORAGE_Q5_1, CG_COMPUTE_F32, 32},    {WEIR_STORAGE_Q4_K, CG_COMPUTE_F32, 512},
    {WEIR_STORAGE_Q5_K, CG_COMPUTE_F32, 256},   {WEIR_STORAGE_Q6_K, CG_COMPUTE_F32, 256},
    {WEIR_STORAGE_F32, CG_COMPUTE_BF16, 96},    {WEIR_STORAGE_Q4_1, CG_COMPUTE_BF16, 64},
    {WEIR_STORAGE_Q8_0, CG_COMPUTE_BF16, 32},   {WEIR_STORAGE_Q6_K, CG_COMPUTE_BF16, 256},
    {WEIR_STORAGE_W8, CG_COMPUTE_F32, 64},      {WEIR_STORAGE_W8, CG_COMPUTE_BF16, 96},
    {WEIR_STORAGE_Q4_0, CG_COMPUTE_INT8, 64},   {WEIR_STORAGE_Q4_1, CG_COMPUTE_INT8, 96},
    {WEIR_STORAGE_Q5_0, CG_COMPUTE_INT8, 32},   {WEIR_STORAGE_Q5_1, CG_COMPUTE_INT8, 64},
    {WEIR_STORAGE_Q8_0, CG_COMPUTE_INT8, 96},   {WEIR_STORAGE_Q4_K, CG_COMPUTE_INT8, 512},
    {WEIR_STORAGE_Q5_K, CG_COMPUTE_INT8, 256},  {WEIR_STORAGE_Q6_K, CG_COMPUTE_INT8, 256},
    {WEIR_STORAGE_W8, CG_COMPUTE_INT8_ROW, 96},
};
enum { CASES = sizeof cases / sizeof *cases };
static const int row_counts[] = {1, 2, 4, 5, 8, 9, 16, 17, 40, ROWS};
enum { COUNTS = sizeof row_counts / sizeof *row_counts };

static void must(weir_status status) {
  if (status) cr_assert_fail("%s", weir_status_message(status));
}

static uint64_t next(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}
static float random_value(uint64_t *state) { return (float)next(state) / (float)(1u << 30) - 1; }

static weir_storage storage_of(void *user, const char *path) {
  (void)path;
  return ((const linear_case *)user)->storage;
}
static cg_compute compute_of(void *user, const char *path) {
  (void)path;
  return ((const linear_case *)user)->compute;
}

// ---- data

static void make_rows(const linear_case *c, weir_storage storage, unsigned char *rows, int64_t row_bytes,
                      float *values) {
  uint64_t state = 5;
  float row[MAX_COLS];
  int64_t block_bytes = weir_storage_info(storage)->block_bytes;
  for (int r = 0; r < OUTS; r++) {
    unsigned char *to = rows + r * row_bytes;
    for (int k = 0; k < c->cols; k++) row[k] = random_value(&state);
    if (weir_storage_info(storage)->can_encode) {
      must(weir_storage_encode(storage, row, c->cols, to));
      continue;
    }
    for (int64_t i = 0; i < row_bytes; i++) to[i] = (unsigned char)next(&state);
    for (unsigned char *block = to; block < to + row_bytes; block += block_bytes) {
      uint16_t d = weir_f32_to_f16(0.002f), dmin = weir_f32_to_f16(0.004f);
      memcpy(storage == WEIR_STORAGE_Q6_K ? block + 208 : block, &d, 2);
      if (storage != WEIR_STORAGE_Q6_K) memcpy(block + 2, &dmin, 2);
    }
  }
  for (int r = 0; r < OUTS; r++)
    must(weir_storage_decode(storage, rows + r * row_bytes, c->cols, values + r * c->cols));
}

static void *room(weir_arena *arena, int64_t bytes) {
  uintptr_t at = (uintptr_t)weir_arena_alloc(arena, (size_t)bytes + 64);
  return (void *)((at + 63) & ~(uintptr_t)63);
}

static void *pack(weir_arena *arena, const cg_weight *weight, const unsigned char *rows, int64_t row_bytes, int cols) {
  char *out = room(arena, weight->bytes);
  for (int first = 0; first < OUTS; first += IR_LANES) {
    const void *of_panel[IR_LANES];
    for (int i = 0; i < IR_LANES; i++) of_panel[i] = first + i < OUTS ? rows + (first + i) * row_bytes : NULL;
    if (weight->format.layout == CG_LAYOUT_PAIRS) cg_panel_pack_pairs(of_panel, cols, out + first * row_bytes);
    else cg_panel_pack(weight->format.storage, of_panel, cols, out + first * row_bytes);
  }
  return out;
}

// ---- one module

typedef struct {
  weir_arena arena;
  const linear_case *c;
  const ir_module *module;
  cg_module *code;
  bool gated;
  sim_launches *sim;  // runs launches; null: the interpreter
  float w[OUTS * MAX_COLS];
  float *x;
  void *weight;
} rig;

static const char *module_text(weir_arena *arena, int cols, bool gated) {
  const char *head = weir_arena_printf(arena,
                                       "module M\n\ndim T: seq in 1..=1000\n\nentry main {\n"
                                       "  input %%0.x: f32[T, %d] \"x\"\n  weight %%1: f32[%d, %d] \"w\"\n",
                                       cols, OUTS, cols);
  if (!gated)
    return weir_arena_printf(arena, "%s  %%2 = linear %%0, %%1 : f32[T, %d]\n  result %%2 \"y\"\n}\n", head, OUTS);
  return weir_arena_printf(arena,
                           "%s  weight %%2: f32[%d, %d] \"v\"\n  %%3 = linear %%0, %%1 : f32[T, %d]\n"
                           "  %%4 = neg %%3 : f32[T, %d]\n  %%5 = linear %%0, %%2 : f32[T, %d]\n"
                           "  %%6 = mul %%4, %%5 : f32[T, %d]\n  result %%6 \"y\"\n}\n",
                           head, OUTS, cols, OUTS, OUTS, OUTS, OUTS);
}

static void lower(rig *r, const cg_choice *choice) {
  cg_lower_options options = {.storage_of = storage_of,
                              .compute_of = compute_of,
                              .user = (void *)(uintptr_t)r->c,
                              .choices = choice,
                              .choice_count = choice ? 1 : 0,
                              .blocks = true};
  must(cg_lower(&r->arena, r->module, &options, &r->code));
}

static void init(rig *r, const linear_case *c, bool gated) {
  weir_arena_init(&r->arena);
  r->c = c;
  r->gated = gated;
  r->sim = NULL;
  const char *text = module_text(&r->arena, c->cols, gated);
  ir_module *module;
  must(ir_parse_module(&r->arena, text, strlen(text), &module));
  r->module = module;
  lower(r, NULL);
  const cg_weight *weight = &r->code->weights[0];
  int64_t row_bytes;
  must(weir_storage_row_bytes(weight->format.storage, c->cols, &row_bytes));
  unsigned char *rows = weir_arena_alloc(&r->arena, (size_t)(OUTS * row_bytes));
  make_rows(c, weight->format.storage, rows, row_bytes, r->w);
  r->weight = pack(&r->arena, weight, rows, row_bytes, c->cols);
  r->x = room(&r->arena, (int64_t)4 * ROWS * c->cols);
  uint64_t state = 17;
  for (int i = 0; i < ROWS * c->cols; i++) r->x[i] = random_value(&state);
}

static void run(rig *r, int rows, float *y) {
  const rt_program *program = r->code->programs[0];
  const ir_kernel *kernels[16];
  for (int k = 0; k < program->kernel_count; k++)
    for (int i = 0; i < r->code->kernel_count; i++)
      if (!strcmp(r->code->kernels[i]->name, program->kernels[k].symbol)) kernels[k] = r->code->kernels[i];
  int64_t values[1] = {rows};
  const void *inputs[] = {r->x}, *weights[] = {r->weight, r->weight};
  void *outputs[] = {y};
  size_t in = (size_t)4 * (size_t)rows * (size_t)r->c->cols, out = (size_t)4 * (size_t)rows * OUTS;
  ir_program_call call = {.requests = 1,
                          .values = values,
                          .inputs = inputs,
                          .input_bytes = &in,
                          .outputs = outputs,
                          .output_bytes = &out,
                          .weights = weights,
                          .launch = r->sim ? sim_launches_run : NULL,
                          .user = r->sim};
  ir_kinterpret_options options = {.round_f32 = true};
  must(ir_program_interpret(program, kernels, &call, &options));
}

static bool has_blocks(const rig *r) {
  for (int i = 0; i < r->code->kernel_count; i++)
    if (strstr(r->code->kernels[i]->name, "block_linear")) return true;
  return false;
}

static double rounded(const rig *r, float x) {
  return r->c->compute == CG_COMPUTE_BF16 ? weir_bf16_to_f32(weir_f32_to_bf16(x)) : x;
}

// Input |k| of row |m| as the product sees it.
static double input(const rig *r, int m, int k) {
  const float *x = r->x + m * r->c->cols;
  if (r->c->compute < CG_COMPUTE_INT8) return rounded(r, x[k]);
  bool row = r->c->compute == CG_COMPUTE_INT8_ROW;
  float most = 0;
  int first = row ? 0 : k / 32 * 32, last = row ? r->c->cols : first + 32;
  for (int g = first; g < last; g++) most = fmaxf(most, fabsf(x[g]));
  float scale = most * (1.0f / 127), inverse = 127 / most;
  return (double)scale * (fmaf(x[k], inverse, 0x1.8p23f) - 0x1.8p23f);
}

static void check_values(const rig *r, const float *y) {
  for (int m = 0; m < ROWS; m++) {
    for (int n = 0; n < OUTS; n++) {
      double sum = 0, size = 0;
      for (int k = 0; k < r->c->cols; k++) {
        double product = rounded(r, r->w[n * r->c->cols + k]) * input(r, m, k);
        sum += product, size += fabs(product);
      }
      double want = r->gated ? -sum * sum : sum,
             slack =
                 (r->c->compute >= CG_COMPUTE_INT8 ? 4e-6 : 1e-6) * size * (r->gated ? 2 * fabs(sum) + 1 : 1) + 1e-7;
      cr_assert(fabs(y[m * OUTS + n] - want) <= slack, "%s %s, row %d, column %d: %.9g instead of %.9g",
                weir_storage_name(r->c->storage), cg_compute_name(r->c->compute), m, n, y[m * OUTS + n], want);
    }
  }
}

static void check(const linear_case *c, bool gated) {
  static rig r;
  static float all[ROWS * OUTS], some[ROWS * OUTS];
  init(&r, c, gated);
  cr_assert(has_blocks(&r), "%s", weir_storage_name(c->storage));
  run(&r, ROWS, all);
  check_values(&r, all);
  for (int i = 0; i < COUNTS; i++) {
    run(&r, row_counts[i], some);
    cr_assert(!memcmp(all, some, (size_t)row_counts[i] * OUTS * 4), "%s %s: bits of %d rows",
              weir_storage_name(c->storage), cg_compute_name(c->compute), row_counts[i]);
  }
  weir_arena_deinit(&r.arena);
}

Test(block_linear, every_format_and_number_of_rows) {
  for (int i = 0; i < CASES; i++) check(&cases[i], false);
}

Test(block_linear, two_matrices_in_one_kernel) {
  static const linear_case gated[] = {
      {WEIR_STORAGE_Q4_1, CG_COMPUTE_F32, 64},    {WEIR_STORAGE_F32, CG_COMPUTE_F32, 40},
      {WEIR_STORAGE_Q4_0, CG_COMPUTE_BF16, 64},   {WEIR_STORAGE_Q5_1, CG_COMPUTE_INT8, 64},
      {WEIR_STORAGE_W8, CG_COMPUTE_INT8_ROW, 64}, {WEIR_STORAGE_F32, CG_COMPUTE_BF16, 64}};
  for (size_t i = 0; i < sizeof gated / sizeof *gated; i++) check(&gated[i], true);
}

// The rungs of the ladder, tiles of other sizes, other limits between few and many rows.
Test(block_linear, choices_change_no_bit) {
  static const linear_case chosen[] = {{WEIR_STORAGE_Q4_1, CG_COMPUTE_F32, 96},
                                       {WEIR_STORAGE_F32, CG_COMPUTE_F32, 72},
                                       {WEIR_STORAGE_Q4_K, CG_COMPUTE_F32, 256},
                                       {WEIR_STORAGE_Q4_1, CG_COMPUTE_BF16, 64},
                                       {WEIR_STORAGE_Q6_K, CG_COMPUTE_INT8, 256}};
  static rig r;
  static float all[ROWS * OUTS], some[ROWS * OUTS];
  for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
    init(&r, &chosen[i], false);
    run(&r, ROWS, all);
    const cg_module *code = r.code;
    cr_assert_gt(code->question_count, 0);
    for (int q = 0; q < code->question_count; q++)
      for (int k = 0; k < code->questions[q].candidate_count; k++) {
        cg_choice choice = {code->questions[q].key, code->questions[q].parameter, code->questions[q].candidates[k]};
        lower(&r, &choice);
        for (int rows = 20; rows <= ROWS; rows += ROWS - 20) {
          run(&r, rows, some);
          cr_assert(!memcmp(all, some, (size_t)rows * OUTS * 4), "%s=%d: bits of %d rows", choice.parameter,
                    (int)choice.value, rows);
        }
      }
    weir_arena_deinit(&r.arena);
  }
}

// ---- on sim

static const linear_case gated_on_sim[] = {{WEIR_STORAGE_Q4_1, CG_COMPUTE_F32, 64},
                                           {WEIR_STORAGE_Q4_0, CG_COMPUTE_BF16, 64},
                                           {WEIR_STORAGE_Q5_1, CG_COMPUTE_INT8, 64}};
// The plain and the tiled rung.
static const cg_choice rungs[] = {{"", "schedule", 0}, {"", "schedule", 1}};

static const char *key_of(const cg_module *code, const char *parameter) {
  for (int q = 0; q < code->question_count; q++)
    if (!strcmp(code->questions[q].parameter, parameter)) return code->questions[q].key;
  return NULL;
}

// Few rows and many have the values that they have in the interpreter; float32 and integers the same bits.
static void compare_on_sim(rig *r, sim_launches *sim) {
  static float want[ROWS * OUTS], got[ROWS * OUTS];
  static const int counts[] = {1, 3, 5, 20, ROWS};
  bool exact = r->c->compute != CG_COMPUTE_BF16;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    size_t floats = (size_t)counts[i] * OUTS;
    r->sim = NULL;
    run(r, counts[i], want);
    r->sim = sim;
    run(r, counts[i], got);
    for (size_t n = 0; n < floats; n++)
      cr_assert(exact ? !memcmp(&want[n], &got[n], 4) : fabsf(want[n] - got[n]) <= 2e-6f * fmaxf(1, fabsf(want[n])),
                "%s %s, %d rows, element %d: %.9g on sim, %.9g interpreted", weir_storage_name(r->c->storage),
                cg_compute_name(r->c->compute), counts[i], (int)n, got[n], want[n]);
  }
}

static void check_on_sim(const linear_case *list, int count, bool gated, const cg_choice *rung) {
  rig *rigs = calloc((size_t)count, sizeof *rigs);
  sim_launches sim;
  cr_assert(rigs);
  sim_launches_init(&sim);
  for (int i = 0; i < count; i++) {
    init(&rigs[i], &list[i], gated);
    if (rung) {
      cg_choice choice = *rung;
      choice.key = key_of(rigs[i].code, rung->parameter);
      cr_assert(choice.key);
      lower(&rigs[i], &choice);
    }
    sim_launches_add(&sim, rigs[i].code);
  }
  sim_launches_compile(&sim);
  for (int i = 0; i < count; i++) {
    compare_on_sim(&rigs[i], &sim);
    weir_arena_deinit(&rigs[i].arena);
  }
  cr_assert_gt(sim.blocks, 0);
  sim_launches_deinit(&sim);
  free(rigs);
}

Test(block_linear, formats_on_sim) { check_on_sim(cases, CASES / 2, false, NULL); }
Test(block_linear, more_formats_on_sim) { check_on_sim(cases + CASES / 2, CASES - CASES / 2, false, NULL); }
Test(block_linear, two_matrices_on_sim) {
  check_on_sim(gated_on_sim, sizeof gated_on_sim / sizeof *gated_on_sim, true, NULL);
}
Test(block_linear, rungs_on_sim) {
  static const linear_case chosen[] = {{WEIR_STORAGE_Q4_1, CG_COMPUTE_F32, 96}, {WEIR_STORAGE_F32, CG_COMPUTE_F32, 72}};
  for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++) check_on_sim(chosen, 2, false, &rungs[i]);
}
