// Attention by matrix units, by the kernel interpreter and on sim. Against a softmax in float64 of the same rounded
// queries, keys and values, so that what is left is the rounding of weights; the last rows of a sequence have the same
// bits alone, which is the schedule over pieces, with rows before them, beside other requests, and with every choice.
// Keys in panels of two, four and one byte formats, in rows, and computed; groups, sizes that fill no fragment,
// windows, biases and masks.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "codegen/lower/lower.h"
#include "ir/program_interp.h"
#include "runtime/base/half.h"
#include "tests/unit/codegen/attend_module.h"
#include "tests/unit/codegen/sim_launches.h"

enum { ROWS = 70, KEYS = 600, STORED = 608, MOST = 1 << 18 };

static const attend_case cases[] = {
    {4, 1, 64, 64, 0, true, STATES, IR_bf16, NO_BIAS, 0.125},   {9, 3, 32, 32, 0, true, STATES, IR_f16, NO_BIAS, 0.2},
    {2, 1, 20, 24, 300, true, STATES, IR_bf16, NO_BIAS, 0.25},  {2, 2, 16, 40, 40, true, STATES, IR_f32, NO_BIAS, 0.5},
    {8, 1, 80, 80, 0, true, SAME, IR_bf16, NO_BIAS, 0.1},       {2, 2, 36, 20, 0, false, PLAIN, IR_f32, NO_BIAS, 0.2},
    {2, 1, 16, 144, 0, true, STATES, IR_bf16, NO_BIAS, 0.25},   {4, 2, 16, 16, 0, true, STATES, IR_bf16, ADDED, 0.25},
    {10, 1, 16, 16, 0, false, STATES, IR_f16, MASK, 0.25},      {20, 1, 16, 16, 0, true, STATES, IR_f16, NO_BIAS, 0.25},
    {2, 1, 32, 16, 0, true, STATES, IR_f8e4m3, NO_BIAS, -0.25},
};
enum { CASES = sizeof cases / sizeof *cases };

// ---- data

static float q[MOST], k[MOST], v[MOST], zeros[MOST];

static void fill(float *x, int count, uint64_t seed) {
  for (int i = 0; i < count; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    x[i] = (float)(seed >> 33) / (float)(1u << 30) - 1;
  }
}

// The byte of the nearest number.
static uint8_t f8_of(float x) {
  int best = 0;
  for (int byte = 1; byte < 256; byte++)
    if (fabsf(weir_f8e4m3_to_f32((uint8_t)byte) - x) < fabsf(weir_f8e4m3_to_f32((uint8_t)best) - x)) best = byte;
  return (uint8_t)best;
}

static float rounded(ir_dtype dtype, float x) {
  if (dtype == IR_f32) return x;
  if (dtype == IR_f16) return weir_f16_to_f32(weir_f32_to_f16(x));
  if (dtype == IR_bf16) return weir_bf16_to_f32(weir_f32_to_bf16(x));
  return weir_f8e4m3_to_f32(f8_of(x));
}

static void fill_all(const attend_case *c) {
  fill(q, ROWS * c->heads * c->depth, 3);
  fill(k, KEYS * c->key_heads * c->depth, 5);
  fill(v, KEYS * c->key_heads * c->width, 7);
  for (int i = 0; i < KEYS * c->key_heads * c->depth; i++) k[i] = rounded(c->dtype, k[i]);
  for (int i = 0; i < KEYS * c->key_heads * c->width; i++) v[i] = rounded(c->dtype, v[i]);
  if (c->kind == SAME) memcpy(v, k, sizeof k);
}

// The first |rows| rows of |x| in the storage of |state|.
static void *store(weir_arena *arena, const rt_state *state, ir_dtype dtype, const float *x, int elements, int rows) {
  size_t bytes = (size_t)state->row_bytes * STORED;
  char *to = weir_arena_alloc(arena, bytes + 64);
  to += (64 - (uintptr_t)to % 64) % 64;
  memset(to, 0xff, bytes);
  int size = ir_dtype_bytes(dtype), per = state->panel ? rt_state_word(state->dtype, state->row_bytes) / size : 1;
  for (int p = 0; p < rows; p++)
    for (int e = 0; e < elements; e++) {
      int at = state->panel ? p / 16 * 16 * elements + e / per * 16 * per + p % 16 * per + e % per : p * elements + e;
      float value = x[p * elements + e];
      if (dtype == IR_f32) memcpy(to + at * 4, &value, 4);
      else if (size == 1) ((uint8_t *)to)[at] = f8_of(value);
      else ((uint16_t *)to)[at] = dtype == IR_f16 ? weir_f32_to_f16(value) : weir_f32_to_bf16(value);
    }
  return to;
}

enum { MOST_REQUESTS = 3 };

// Requests of the last rows[r] of ROWS rows each; |y|: one behind the other. |sim|: on sim.
static void run(const cg_module *code, const attend_case *c, int requests, const int *rows, sim_launches *sim,
                float *y) {
  const rt_program *program = code->programs[0];
  const ir_kernel *kernels[24];
  weir_arena arena;
  weir_arena_init(&arena);
  cr_assert_leq(program->kernel_count, 24);
  for (int n = 0; n < program->kernel_count; n++)
    for (int i = 0; i < code->kernel_count; i++)
      if (!strcmp(code->kernels[i]->name, program->kernels[n].symbol)) kernels[n] = code->kernels[i];
  int row_sizes[3] = {c->heads * c->depth, c->key_heads * c->depth, c->key_heads * c->width}, total = 0;
  const float *from[3] = {q, k, v};
  int64_t values[MOST_REQUESTS * 2], past[MOST_REQUESTS * 2];
  size_t bytes[4] = {0};
  char *inputs[4];
  for (int i = 0; i < 3; i++) inputs[i] = weir_arena_alloc(&arena, sizeof(float) * MOST);
  inputs[3] = (char *)zeros;
  for (int r = 0; r < requests; r++) {
    total += rows[r];
    for (int s = 0; s < program->symbol_count; s++) {
      values[r * program->symbol_count + s] = program->symbols[s].name[0] == 'T' ? rows[r] : KEYS;
      past[r * program->symbol_count + s] = program->symbols[s].grows ? KEYS - rows[r] : 0;
    }
    for (int i = 0; i < 3; i++) {
      bool whole = i && c->kind == PLAIN;
      size_t size = sizeof(float) * (size_t)(whole ? KEYS : rows[r]) * (size_t)row_sizes[i];
      memcpy(inputs[i] + bytes[i], from[i] + (whole ? 0 : ((i ? KEYS : ROWS) - rows[r]) * row_sizes[i]), size);
      bytes[i] += size;
    }
  }
  bytes[3] = sizeof(float) * (size_t)total * INPUTS;
  void *outputs[] = {y, weir_arena_alloc(&arena, sizeof(float) * (size_t)total * OUTS)};
  size_t out[] = {sizeof(float) * (size_t)(total * c->heads * c->width), sizeof(float) * (size_t)total * OUTS};
  void **states[2];
  size_t state_bytes[2];
  for (int s = 0; s < program->state_count; s++) {
    const rt_state *state = &program->states[s];
    bool keys = !strcmp(state->path, "keys");
    state_bytes[s] = (size_t)state->row_bytes * STORED;
    states[s] = weir_arena_alloc(&arena, sizeof(void *) * MOST_REQUESTS);
    for (int r = 0; r < requests; r++)
      states[s][r] = store(&arena, state, c->dtype, keys ? k : v, row_sizes[keys ? 1 : 2], KEYS - rows[r]);
  }
  const void *weights[] = {zeros};
  ir_program_call call = {.requests = requests,
                          .values = values,
                          .past = past,
                          .inputs = (const void *const *)inputs,
                          .input_bytes = bytes,
                          .outputs = outputs,
                          .output_bytes = out,
                          .weights = weights,
                          .states = (void *const *const *)states,
                          .state_bytes = state_bytes,
                          .launch = sim ? sim_launches_run : NULL,
                          .user = sim};
  if (sim) sim->requests = requests;
  ir_kinterpret_options options = {.round_f32 = true};
  must(ir_program_interpret(program, kernels, &call, &options));
  weir_arena_deinit(&arena);
}

// ---- the reference

static float query(const attend_case *c, int at) { return rounded(c->dtype == IR_f16 ? IR_f16 : IR_bf16, q[at]); }
static float stored(const attend_case *c, float x) { return c->dtype == IR_f16 ? x : rounded(IR_bf16, x); }

static double score(const attend_case *c, int row, int head, int key) {
  double sum = 0;
  for (int d = 0; d < c->depth; d++)
    sum += (double)query(c, (row * c->heads + head) * c->depth + d) *
           stored(c, k[(key * c->key_heads + head / (c->heads / c->key_heads)) * c->depth + d]);
  sum *= c->scale;
  if (c->bias == ADDED) sum += 0.01 * key;
  return c->bias == MASK && key % 3 == 0 ? -INFINITY : sum;
}

static void check_row(const attend_case *c, int number, int row, int head, const float *y) {
  static double scores[KEYS];
  int at = KEYS - ROWS + row, end = c->causal ? at + 1 : KEYS,
      begin = c->window && at >= c->window ? at - c->window + 1 : 0;
  double most = -INFINITY, sum = 0, want[256] = {0}, sizes[256] = {0};
  for (int key = begin; key < end; key++) most = fmax(most, scores[key] = score(c, row, head, key));
  for (int key = begin; key < end; key++) {
    double weight = exp(scores[key] - most);
    sum += weight;
    for (int d = 0; d < c->width; d++) {
      double value = stored(c, v[(key * c->key_heads + head / (c->heads / c->key_heads)) * c->width + d]);
      want[d] += weight * value;
      sizes[d] += weight * fabs(value);
    }
  }
  // Half a unit of a bf16 (f16 has more bits) for each weight, and what float32 loses.
  for (int d = 0; d < c->width; d++)
    cr_assert(fabs(y[d] - want[d] / sum) < 0x1p-9 * sizes[d] / sum + 1e-5,
              "case %d, row %d, head %d, element %d: %.9g instead of %.9g", number, row, head, d, y[d], want[d] / sum);
}

static int count_kernels(const cg_module *code, const char *name) {
  int count = 0;
  for (int i = 0; i < code->kernel_count; i++) count += strstr(code->kernels[i]->name, name) != NULL;
  return count;
}

static void same(const attend_case *c, const float *some, const float *all, int rows, const char *what) {
  int width = c->heads * c->width;
  cr_assert(!memcmp(some, all + (ROWS - rows) * width, sizeof(float) * (size_t)(rows * width)),
            "case %d, %s: bits of %d rows", (int)(c - cases), what, rows);
}

static void check(int number) {
  static const int counts[] = {1, 2, 4, 5, 17}, mixed[][MOST_REQUESTS] = {{1, 3, 2}, {1, 9, 4}};
  static float all[MOST], some[MOST];
  const attend_case *c = &cases[number];
  weir_arena arena;
  weir_arena_init(&arena);
  const cg_module *code = lowered(&arena, c, NULL);
  cr_assert_eq(count_kernels(code, "block_mma_attend"), c->window && c->window <= 256 ? 1 : 2);
  fill_all(c);
  int rows = ROWS, width = c->heads * c->width;
  run(code, c, 1, &rows, NULL, all);
  for (int row = 0; row < ROWS; row += 1 + row % 7)
    for (int head = 0; head < c->heads; head++) check_row(c, number, row, head, all + row * width + head * c->width);
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    run(code, c, 1, &counts[i], NULL, some);
    same(c, some, all, counts[i], "alone");
  }
  for (size_t i = 0; i < sizeof mixed / sizeof *mixed; i++) {
    run(code, c, MOST_REQUESTS, mixed[i], NULL, some);
    for (int r = 0, at = 0; r < MOST_REQUESTS; at += mixed[i][r++])
      same(c, some + at * width, all, mixed[i][r], "mixed");
  }
  weir_arena_deinit(&arena);
}

Test(block_attend_mma, few_rows_have_the_bits_of_many) {
  for (int i = 0; i < CASES; i++) check(i);
}

Test(block_attend_mma, choices_change_no_bit) {
  static float all[MOST], other[MOST];
  int tried = 0, rows = ROWS;
  for (int i = 0; i < CASES; i += 3) {
    const attend_case *c = &cases[i];
    weir_arena arena;
    weir_arena_init(&arena);
    const cg_module *code = lowered(&arena, c, NULL);
    fill_all(c);
    run(code, c, 1, &rows, NULL, all);
    for (int n = 0; n < code->question_count; n++) {
      const cg_question *question = &code->questions[n];
      for (int m = 0; m < question->candidate_count && strstr(question->key, "attend"); m++, tried++) {
        cg_choice choice = {question->key, question->parameter, question->candidates[m]};
        run(lowered(&arena, c, &choice), c, 1, &rows, NULL, other);
        same(c, other, all, ROWS, question->parameter);
      }
    }
    weir_arena_deinit(&arena);
  }
  cr_assert_gt(tried, 4);
}

// Passes of shared memory and sectors of global memory beyond the least, of the kernels here.
typedef struct {
  uint64_t conflicts, sectors, extra;
} traffic;

static void count(void *user, const ir_kernel *kernel, const rt_sim_report *report) {
  traffic *t = user;
  if (!strstr(kernel->name, "block_mma_attend")) return;
  t->conflicts += report->bank_conflicts;
  t->sectors += report->sectors;
  t->extra += report->extra_sectors;
}

// The text on sim gives the same bits for all numbers of rows, and nearly the interpreter's. Where heads have the
// size that they mostly have no access waits for a bank, and sectors are read as a whole but for some of tables.
Test(block_attend_mma, on_sim) {
  static float want[MOST], all[MOST], some[MOST];
  static const int counts[] = {1, 11};
  weir_arena arena;
  sim_launches sim;
  static const int numbers[] = {0, 1, 2, 5, 6, 7, 9};
  enum { COUNT = sizeof numbers / sizeof *numbers };
  const cg_module *code[CASES];
  weir_arena_init(&arena);
  sim_launches_init(&sim);
  for (int n = 0; n < COUNT; n++) sim_launches_add(&sim, code[n] = lowered(&arena, &cases[numbers[n]], NULL));
  sim_launches_compile(&sim);
  for (int i = 0; i < COUNT; i++) {
    const attend_case *c = &cases[numbers[i]];
    int width = c->heads * c->width, rows = ROWS;
    traffic seen = {0};
    sim.counted = count;
    sim.counted_user = &seen;
    fill_all(c);
    run(code[i], c, 1, &rows, NULL, want);
    run(code[i], c, 1, &rows, &sim, all);
    for (int n = 0; n < ROWS * width; n++)
      cr_assert(fabsf(want[n] - all[n]) <= 2e-4f, "case %d, element %d: %.9g on sim, %.9g interpreted", i, n, all[n],
                want[n]);
    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
      run(code[i], c, 1, &counts[n], &sim, some);
      same(c, some, all, counts[n], "on sim");
    }
    if (c->depth < 64) continue;
    cr_assert_eq(seen.conflicts, 0);
    cr_assert_lt(seen.extra, seen.sectors / 100);
  }
  cr_assert_gt(sim.blocks, 0);
  sim_launches_deinit(&sim);
  weir_arena_deinit(&arena);
}
