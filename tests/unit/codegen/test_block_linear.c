// Products with packed matrices as block kernels, by the kernel interpreter, against float64 sums of the decoded
// weights: every format, sizes that fill no tile, two matrices in one kernel. The bits of a row are the same at any
// number of rows, so in every schedule, and for every choice that lowering offers. The text of all of them on sim gives
// the same.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "codegen/cuda/compile.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/cuda/compile.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/lower/lower.h"
#include "ir/kernel_block.h"
#include "ir/program_interp.h"
#include "runtime/base/blocks.h"
#include "runtime/base/half.h"
#include "tests/unit/codegen/sim_launches.h"

enum { ROWS = 70, OUTS = 40, MAX_COLS = 768, EXPERTS = 37 };

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
    {WEIR_STORAGE_Q4_K, CG_COMPUTE_BF16, 512},  {WEIR_STORAGE_Q5_K, CG_COMPUTE_BF16, 256},
    {WEIR_STORAGE_BF16, CG_COMPUTE_BF16, 192},  {WEIR_STORAGE_Q5_1, CG_COMPUTE_BF16, 128},
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

static void make_rows(const linear_case *c, weir_storage storage, uint64_t state, unsigned char *rows,
                      int64_t row_bytes, float *values) {
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

static void pack(const cg_weight *weight, const unsigned char *rows, int64_t row_bytes, int cols, char *out) {
  for (int first = 0; first < OUTS; first += IR_LANES) {
    const void *of_panel[IR_LANES];
    for (int i = 0; i < IR_LANES; i++) of_panel[i] = first + i < OUTS ? rows + (first + i) * row_bytes : NULL;
    if (weight->format.layout == CG_LAYOUT_PAIRS) cg_panel_pack_pairs(of_panel, cols, out + first * row_bytes);
    else cg_panel_pack(weight->format.storage, of_panel, cols, out + first * row_bytes);
  }
}

// ---- one module

typedef struct {
  weir_arena arena;
  const linear_case *c;
  const ir_module *module;
  cg_module *code;
  bool gated, routed;
  sim_launches *sim;  // runs launches; null: the interpreter
  float w[EXPERTS * OUTS * MAX_COLS];
  float *x;
  int32_t *index;  // routed: of each row
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

static unsigned family = IR_KNEEDS_BLOCK;  // what kernels may need
enum { WITH_WGMMA = IR_KNEEDS_BLOCK | IR_KNEEDS_SM_90A };

// Each row has one of EXPERTS matrices.
static const char *routed_text(weir_arena *arena, int cols) {
  const char *weights = "", *all = "";
  for (int e = 0; e < EXPERTS; e++) {
    weights = weir_arena_printf(arena, "%s  weight %%%d: f32[%d, %d] \"w%d\"\n", weights, e + 2, OUTS, cols, e);
    all = weir_arena_printf(arena, "%s%s%%%d", all, e ? ", " : "", e + 2);
  }
  return weir_arena_printf(arena,
                           "module M\n\ndim T: seq in 1..=1000\n\nblock Linear {\n  input %%0: f32[%d] \"x\"\n"
                           "  weight %%1: f32[%d, %d] \"w\"\n  %%2 = linear %%0, %%1 : f32[%d]\n"
                           "  result %%2 \"\"\n}\n\n"
                           "entry main {\n  input %%0: f32[T, %d] \"x\"\n  input %%1: i32[T] \"i\" in 0..=%d\n%s"
                           "  %%%d = stack %s : f32[%d, %d, %d]\n  %%%d = route Linear %%1, %%0, %%%d : f32[T, %d]\n"
                           "  result %%%d \"y\"\n}\n",
                           cols, OUTS, cols, OUTS, cols, EXPERTS - 1, weights, EXPERTS + 2, all, EXPERTS, OUTS, cols,
                           EXPERTS + 3, EXPERTS + 2, OUTS, EXPERTS + 3);
}

static void lower(rig *r, const cg_choice *choice) {
  cg_lower_options options = {.storage_of = storage_of,
                              .compute_of = compute_of,
                              .user = (void *)(uintptr_t)r->c,
                              .choices = choice,
                              .choice_count = choice ? 1 : 0,
                              .blocks = family};
  must(cg_lower(&r->arena, r->module, &options, &r->code));
}

static void init(rig *r, const linear_case *c, bool gated) {
  weir_arena_init(&r->arena);
  r->c = c;
  r->gated = gated;
  r->sim = NULL;
  const char *text = r->routed ? routed_text(&r->arena, c->cols) : module_text(&r->arena, c->cols, gated);
  ir_module *module;
  must(ir_parse_module(&r->arena, text, strlen(text), &module));
  r->module = module;
  lower(r, NULL);
  const cg_weight *weight = &r->code->weights[0];
  int64_t row_bytes;
  must(weir_storage_row_bytes(weight->format.storage, c->cols, &row_bytes));
  unsigned char *rows = weir_arena_alloc(&r->arena, (size_t)(OUTS * row_bytes));
  r->weight = room(&r->arena, weight->bytes);
  int count = r->routed ? EXPERTS : 1;
  for (int e = 0; e < count; e++) {
    make_rows(c, weight->format.storage, 5 + (uint64_t)e, rows, row_bytes, r->w + e * OUTS * c->cols);
    pack(weight, rows, row_bytes, c->cols, (char *)r->weight + weight->bytes / count * e);
  }
  r->index = room(&r->arena, 4 * ROWS);
  for (int m = 0; m < ROWS; m++) r->index[m] = m < ROWS / 2 ? m * 5 % 7 : (m * m + 11) % EXPERTS;  // some have none
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
  const void *inputs[] = {r->x, r->index}, *weights[] = {r->weight, r->weight};
  void *outputs[] = {y};
  size_t in[] = {(size_t)4 * (size_t)rows * (size_t)r->c->cols, (size_t)4 * (size_t)rows};
  size_t out = (size_t)4 * (size_t)rows * OUTS;
  ir_program_call call = {.requests = 1,
                          .values = values,
                          .inputs = inputs,
                          .input_bytes = in,
                          .outputs = outputs,
                          .output_bytes = &out,
                          .weights = weights,
                          .launch = r->sim ? sim_launches_run : NULL,
                          .user = r->sim};
  ir_kinterpret_options options = {.round_f32 = true};
  must(ir_program_interpret(program, kernels, &call, &options));
}

static bool has_kernel(const rig *r, const char *word) {
  for (int i = 0; i < r->code->kernel_count; i++)
    if (strstr(r->code->kernels[i]->name, word)) return true;
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
        int row = (r->routed ? r->index[m] * OUTS : 0) + n;
        double product = rounded(r, r->w[row * r->c->cols + k]) * input(r, m, k);
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

static void check_form(const linear_case *c, bool gated, bool routed) {
  static rig r;
  static float all[ROWS * OUTS], some[ROWS * OUTS];
  r.routed = routed;
  init(&r, c, gated);
  const char *word = family == WITH_WGMMA ? "wgmma_many" : routed ? "block_route" : "block_linear";
  cr_assert(has_kernel(&r, word), "%s", weir_storage_name(c->storage));
  run(&r, ROWS, all);
  check_values(&r, all);
  for (int i = 0; i < COUNTS; i++) {
    run(&r, row_counts[i], some);
    cr_assert(!memcmp(all, some, (size_t)row_counts[i] * OUTS * 4), "%s %s: bits of %d rows",
              weir_storage_name(c->storage), cg_compute_name(c->compute), row_counts[i]);
  }
  weir_arena_deinit(&r.arena);
}

static void check(const linear_case *c, bool gated) { check_form(c, gated, false); }

static const linear_case routed_cases[] = {
    {WEIR_STORAGE_F32, CG_COMPUTE_F32, 72},   {WEIR_STORAGE_F32, CG_COMPUTE_F32, 21},
    {WEIR_STORAGE_Q4_1, CG_COMPUTE_F32, 96},  {WEIR_STORAGE_Q6_K, CG_COMPUTE_F32, 256},
    {WEIR_STORAGE_W8, CG_COMPUTE_F32, 64},    {WEIR_STORAGE_F32, CG_COMPUTE_BF16, 96},
    {WEIR_STORAGE_Q4_0, CG_COMPUTE_BF16, 64}, {WEIR_STORAGE_Q8_0, CG_COMPUTE_BF16, 96},
    {WEIR_STORAGE_W8, CG_COMPUTE_BF16, 64},   {WEIR_STORAGE_Q4_K, CG_COMPUTE_BF16, 256},
};
enum { ROUTED = sizeof routed_cases / sizeof *routed_cases };

Test(block_linear, matrices_chosen_at_run_time) {
  for (int i = 0; i < ROUTED; i++) check_form(&routed_cases[i], false, true);
}

Test(block_linear, every_format_and_number_of_rows) {
  for (int i = 0; i < CASES; i++) check(&cases[i], false);
}

// Where there is wgmma, rows enough for a tile of many, too.
Test(block_linear, every_format_by_wgmma) {
  family = WITH_WGMMA;
  for (int i = 0; i < CASES; i++)
    if (cases[i].compute == CG_COMPUTE_BF16 || cases[i].compute == CG_COMPUTE_INT8_ROW) check(&cases[i], false);
}

Test(block_linear, two_matrices_in_one_kernel) {
  static const linear_case gated[] = {
      {WEIR_STORAGE_Q4_1, CG_COMPUTE_F32, 64},    {WEIR_STORAGE_F32, CG_COMPUTE_F32, 40},
      {WEIR_STORAGE_Q4_0, CG_COMPUTE_BF16, 64},   {WEIR_STORAGE_Q5_1, CG_COMPUTE_INT8, 64},
      {WEIR_STORAGE_W8, CG_COMPUTE_INT8_ROW, 64}, {WEIR_STORAGE_F32, CG_COMPUTE_BF16, 64}};
  for (size_t i = 0; i < sizeof gated / sizeof *gated; i++) check(&gated[i], true);
}

// The rungs of the ladder, tiles of other sizes, other limits between few and many rows.
static void check_choices(const linear_case *chosen, size_t chosen_count) {
  static rig r;
  static float all[ROWS * OUTS], some[ROWS * OUTS];
  for (size_t i = 0; i < 2 * chosen_count; i++) {
    r.routed = i % 2 && chosen[i / 2].compute < CG_COMPUTE_INT8;
    init(&r, &chosen[i / 2], false);
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

Test(block_linear, choices_change_no_bit) {
  static const linear_case chosen[] = {{WEIR_STORAGE_Q4_1, CG_COMPUTE_F32, 96},
                                       {WEIR_STORAGE_F32, CG_COMPUTE_F32, 72},
                                       {WEIR_STORAGE_Q4_K, CG_COMPUTE_F32, 256},
                                       {WEIR_STORAGE_Q4_1, CG_COMPUTE_BF16, 64},
                                       {WEIR_STORAGE_Q6_K, CG_COMPUTE_INT8, 256}};
  check_choices(chosen, sizeof chosen / sizeof *chosen);
}

Test(block_linear, choices_of_wgmma_change_no_bit) {
  static const linear_case chosen[] = {{WEIR_STORAGE_Q4_1, CG_COMPUTE_BF16, 64},
                                       {WEIR_STORAGE_W8, CG_COMPUTE_INT8_ROW, 96}};
  family = WITH_WGMMA;
  check_choices(chosen, 2);
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

static void check_on_sim_form(const linear_case *list, int count, bool gated, bool routed, const cg_choice *rung) {
  rig *rigs = calloc((size_t)count, sizeof *rigs);
  sim_launches sim;
  cr_assert(rigs);
  sim_launches_init(&sim);
  for (int i = 0; i < count; i++) {
    rigs[i].routed = routed;
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

static void check_on_sim(const linear_case *list, int count, bool gated, const cg_choice *rung) {
  check_on_sim_form(list, count, gated, false, rung);
}

Test(block_linear, routed_on_sim) { check_on_sim_form(routed_cases, ROUTED, false, true, NULL); }
Test(block_linear, formats_on_sim) { check_on_sim(cases, CASES / 2, false, NULL); }
Test(block_linear, more_formats_on_sim) { check_on_sim(cases + CASES / 2, CASES - CASES / 2, false, NULL); }
// The cases that wgmma takes, and two matrices.
Test(block_linear, wgmma_on_sim) {
  linear_case list[CASES];
  int count = 0;
  family = WITH_WGMMA;
  for (int i = 0; i < CASES; i++)
    if (cases[i].compute == CG_COMPUTE_BF16 || cases[i].compute == CG_COMPUTE_INT8_ROW) list[count++] = cases[i];
  check_on_sim(list, count, false, NULL);
  check_on_sim(&gated_on_sim[1], 1, true, NULL);
}
Test(block_linear, two_matrices_on_sim) {
  check_on_sim(gated_on_sim, sizeof gated_on_sim / sizeof *gated_on_sim, true, NULL);
}
Test(block_linear, rungs_on_sim) {
  static const linear_case chosen[] = {{WEIR_STORAGE_Q4_1, CG_COMPUTE_F32, 96}, {WEIR_STORAGE_F32, CG_COMPUTE_F32, 72}};
  for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++) check_on_sim(chosen, 2, false, &rungs[i]);
}

// ---- for sm_90a: no spill, no wgmma that is serialised

Test(block_linear, wgmma_compiles, .timeout = 600) {
  weir_arena arena;
  weir_arena_init(&arena);
  cg_nvrtc library;
  weir_status status = cg_nvrtc_open(&arena, &library);
  if (status) {
    printf("skipped: %s\n", weir_status_message(status));
    weir_status_release(status);
    weir_arena_deinit(&arena);
    return;
  }
  static rig rigs[CASES];
  const ir_kernel *kernels[CASES * 4];
  int count = 0, found;
  family = WITH_WGMMA;
  for (int i = 0; i < CASES; i++) {
    if (cases[i].compute != CG_COMPUTE_BF16 && cases[i].compute != CG_COMPUTE_INT8_ROW) continue;
    init(&rigs[i], &cases[i], false);
    for (int k = 0; k < rigs[i].code->kernel_count; k++)
      if (strstr(rigs[i].code->kernels[k]->name, "wgmma")) kernels[count++] = rigs[i].code->kernels[k];
  }
  cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
  cg_cuda_options options = {.cache_dir = WEIR_CUDA_CACHE, .cache_bytes = (int64_t)512 << 20};
  cg_cuda_built built;
  must(cg_cuda_archs_find("cuda:sm_90a", archs, &found));
  must(cg_cuda_compile(&arena, kernels, count, archs, 1, &options, &built));
  cr_assert_eq(built.objects[0].units, count);
  cr_assert_gt(count, 20);
  for (int i = 0; i < CASES; i++)
    if (rigs[i].code) weir_arena_deinit(&rigs[i].arena);
  weir_arena_deinit(&arena);
}

// ---- as machine code: spills are errors of the compilation

Test(block_linear, routed_and_coded_ones_compile) {
  enum { KERNELS = 32 };
  static const linear_case chosen[] = {{WEIR_STORAGE_Q4_1, CG_COMPUTE_F32, 512},
                                       {WEIR_STORAGE_Q4_0, CG_COMPUTE_BF16, 512},
                                       {WEIR_STORAGE_Q6_K, CG_COMPUTE_BF16, 512}};
  static rig rigs[3];
  const ir_kernel *kernels[KERNELS];
  cg_cuda_arch archs[2], found[CG_CUDA_MAX_ARCHS];
  cg_nvrtc library;
  cg_cuda_built built;
  int count = 0, one;
  char folder[] = "/tmp/weir-cuda-XXXXXX";
  for (int i = 0; i < 3; i++) {
    rigs[i].routed = true;
    init(&rigs[i], &chosen[i], false);
    for (int k = 0; k < rigs[i].code->kernel_count; k++)
      if (strstr(rigs[i].code->kernels[k]->name, "route") && count < KERNELS &&
          (!i || !strstr(rigs[i].code->kernels[k]->name, "order")))
        kernels[count++] = rigs[i].code->kernels[k];
  }
  weir_status status = cg_nvrtc_open(&rigs->arena, &library);
  if (status) {
    printf("skipped: %s\n", weir_status_message(status));
    weir_status_release(status);
  } else {
    cr_assert(mkdtemp(folder));
    cg_cuda_options options = {.cache_dir = folder};
    must(cg_cuda_archs_find("cuda:sm_80", found, &one));
    archs[0] = *found;
    must(cg_cuda_archs_find("cuda:sm_90a", found, &one));
    archs[1] = *found;
    status = cg_cuda_compile(&rigs->arena, kernels, count, archs, 2, &options, &built);
    cr_assert_eq(system(weir_arena_printf(&rigs->arena, "rm -rf '%s'", folder)), 0);
    must(status);
  }
  for (int i = 0; i < 3; i++) weir_arena_deinit(&rigs[i].arena);
}
