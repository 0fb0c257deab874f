// Products in lower precision against a float64 reference that rounds the same things: rows are packed as pack.c says,
// weights are what their storage holds, and what may be missing is half a unit in the last place of each step that
// rounds, of what stands there after it. For every format, numbers of rows
// around all tiles and schedules, threads, and every level of this machine.
//
// An element's bits must depend neither on the number of rows nor on threads, nor, where multiply-adds are fused, on
// the level: dot products of bytes are exact, those of pairs are two multiply-adds everywhere (there are no denormals
// here).
#include "codegen/lower/lower.h"
#include "runtime/base/blocks.h"
#include "runtime/exec/model.h"
#include "tests/unit/codegen/cpu_harness.h"

enum { MAX_ROWS = 200, COLS = 512, OUTS = 120 };

typedef struct {
  weir_storage storage;
  cg_compute compute;
} dot_case;

static const dot_case cases[] = {
    {WEIR_STORAGE_Q4_0, CG_COMPUTE_INT8}, {WEIR_STORAGE_Q4_1, CG_COMPUTE_INT8}, {WEIR_STORAGE_Q5_0, CG_COMPUTE_INT8},
    {WEIR_STORAGE_Q5_1, CG_COMPUTE_INT8}, {WEIR_STORAGE_Q8_0, CG_COMPUTE_INT8}, {WEIR_STORAGE_Q4_K, CG_COMPUTE_INT8},
    {WEIR_STORAGE_Q5_K, CG_COMPUTE_INT8}, {WEIR_STORAGE_Q6_K, CG_COMPUTE_INT8}, {WEIR_STORAGE_F32, CG_COMPUTE_BF16},
    {WEIR_STORAGE_Q4_1, CG_COMPUTE_BF16}, {WEIR_STORAGE_W8, CG_COMPUTE_INT8},   {WEIR_STORAGE_W8, CG_COMPUTE_INT8_ROW},
};
enum { CASES = sizeof cases / sizeof *cases };
static const int row_counts[] = {1, 2, 3, 4, 5, 6, 7, 16, 17, 32, 96, 97, 100, MAX_ROWS};

static const char module_text[] =
    "module M\n\ndim T: seq in 1..=1000\n\nentry main {\n  input %0.x: f32[T, 512] \"x\"\n"
    "  weight %1: f32[120, 512] \"w\"\n  %2 = linear %0, %1 : f32[T, 120]\n  result %2 \"y\"\n}\n";

// Two matrices that share an item; both have the same weights here.
static const char gated_text[] =
    "module M\n\ndim T: seq in 1..=1000\n\nentry main {\n  input %0.x: f32[T, 512] \"x\"\n"
    "  weight %1: f32[120, 512] \"w\"\n  weight %2: f32[120, 512] \"v\"\n  %3 = linear %0, %1 : f32[T, 120]\n"
    "  %4 = silu %3 : f32[T, 120]\n  %5 = linear %0, %2 : f32[T, 120]\n  %6 = mul %4, %5 : f32[T, 120]\n"
    "  result %6 \"y\"\n}\n";

static weir_storage storage_of(void *user, const char *path) {
  (void)path;
  return ((const dot_case *)user)->storage;
}

static cg_compute compute_of(void *user, const char *path) {
  (void)path;
  return ((const dot_case *)user)->compute;
}

// The levels that do dot products in different ways; the machine's own is one of them, and the portable one is left to
// test_cpu_dot.c. The quicker optimisation gives the same bits.
static void init_rig(cpu_rig *rig) {
  static const char *const names[] = {"x86-64-v3", "x86-64-v4", "x86-64-v4-bf16", "native", NULL};
  cpu_rig_init_levels(rig, names);
  rig->optimize = "-O1";
  if (rig->level_count > 1) rig->level_count--;
}

// Vectors, on machines with AMX too, then tiles.
static bool init_amx_rig(cpu_rig *rig) {
  static const char *const names[] = {"native", NULL};
  cpu_rig_init_levels(rig, names);
  rig->optimize = "-O1";
  bool loads = cpu_rig_add_amx(rig);
  if (loads) cpu_must(cg_cpu_isa_find(&rig->arena, "cpu:x86-64-v4-bf16", &rig->levels[0]));
  else cpu_rig_deinit(rig);
  return loads;
}

// ---- data

static float random_value(uint64_t *state) { return cpu_random_float(state); }

static void make_x(float *x) {
  uint64_t state = 17;
  for (int i = 0; i < MAX_ROWS * COLS; i++) x[i] = random_value(&state) * (i / 32 % 7 == 0 ? 30.0f : 1.0f);
  for (int i = 0; i < 32; i++) x[3 * COLS + 64 + i] = 0;     // a group of zeros
  for (int i = 0; i < 32; i++) x[4 * COLS + i] = 0x1p-110f;  // one that counts as such
}

// Where the codes of a block begin, in formats with minima; 0: the others.
static int codes_after_minima(weir_storage storage) {
  if (storage == WEIR_STORAGE_Q4_1 || storage == WEIR_STORAGE_Q5_1) return 4;
  return storage == WEIR_STORAGE_Q4_K || storage == WEIR_STORAGE_Q5_K ? 16 : 0;
}

static void decode_rows(weir_storage storage, const unsigned char *rows, int64_t row_bytes, double *out) {
  for (int r = 0; r < OUTS; r++) cpu_must(weir_storage_decode_f64(storage, rows + r * row_bytes, COLS, out + r * COLS));
}

// What codes of 0 mean: the minimum of the sub-block.
static void decode_minima(weir_storage storage, const unsigned char *rows, int64_t row_bytes, double *out) {
  int from = codes_after_minima(storage), block_bytes = (int)weir_storage_info(storage)->block_bytes;
  memset(out, 0, OUTS * COLS * sizeof *out);
  if (!from) return;
  unsigned char *zeroed = malloc((size_t)(OUTS * row_bytes));
  memcpy(zeroed, rows, (size_t)(OUTS * row_bytes));
  for (int64_t at = 0; at < OUTS * row_bytes; at++)
    if (at % block_bytes >= from) zeroed[at] = 0;
  decode_rows(storage, zeroed, row_bytes, out);
  free(zeroed);
}

// Rows of the storage.
static void make_w(weir_storage storage, unsigned char *rows, int64_t row_bytes) {
  uint64_t state = 5;
  float row[COLS];
  bool encodes = weir_storage_info(storage)->can_encode;
  int64_t block_bytes = weir_storage_info(storage)->block_bytes;
  for (int r = 0; r < OUTS; r++) {
    unsigned char *to = rows + r * row_bytes;
    for (int k = 0; k < COLS; k++) row[k] = random_value(&state);
    if (encodes) {
      cpu_must(weir_storage_encode(storage, row, COLS, to));
      continue;
    }
    for (int64_t i = 0; i < row_bytes; i++) to[i] = (unsigned char)cpu_random(&state);
    for (unsigned char *block = to; block < to + row_bytes; block += block_bytes) {
      uint16_t d = weir_f32_to_f16(0.002f), dmin = weir_f32_to_f16(0.004f);
      memcpy(storage == WEIR_STORAGE_Q6_K ? block + 208 : block, &d, 2);
      if (storage != WEIR_STORAGE_Q6_K) memcpy(block + 2, &dmin, 2);
    }
  }
}

static void *room(weir_arena *arena, int64_t bytes) {
  uintptr_t at = (uintptr_t)weir_arena_alloc(arena, (size_t)bytes + 64);
  return (void *)((at + 63) & ~(uintptr_t)63);
}

static void *pack(weir_arena *arena, const cg_weight *weight, const unsigned char *rows, int64_t row_bytes) {
  char *out = room(arena, weight->bytes);
  bool pairs = weight->format.layout == CG_LAYOUT_PAIRS;
  for (int first = 0; first < OUTS; first += IR_LANES) {
    const void *of_panel[IR_LANES];
    for (int i = 0; i < IR_LANES; i++) of_panel[i] = first + i < OUTS ? rows + (first + i) * row_bytes : NULL;
    char *to = out + first * row_bytes;
    if (pairs) cg_panel_pack_pairs(of_panel, COLS, to);
    else cg_panel_pack(weight->format.storage, of_panel, COLS, to);
  }
  return out;
}

// ---- reference

// A row as the product sees it.
static void round_row(cg_compute compute, const float *x, double *out) {
  int group = compute == CG_COMPUTE_INT8_ROW ? COLS : 32;
  for (int g = 0; g < COLS; g += group) {
    float most = 0;
    for (int k = g; k < g + group; k++) most = fmaxf(most, fabsf(x[k]));
    float scale = most < 0x1p-100f ? 0 : most * (1.0f / 127), inverse = most < 0x1p-100f ? 0 : 127 / most;
    for (int k = g; k < g + group; k++)
      out[k] = compute == CG_COMPUTE_BF16 ? weir_bf16_to_f32(weir_f32_to_bf16(x[k]))
                                          : (double)scale * (fmaf(x[k], inverse, 0x1.8p23f) - 0x1.8p23f);
  }
}

typedef struct {
  double sum, size;  // what has been added up, and all that a step rounded, half a unit of which may be missing
} rounded_sum;

static void add(rounded_sum *s, double term) {
  s->sum += term;
  s->size += fabs(s->sum);
}

// Sub-blocks in order: a product of the integer with its scale, which rounds, and a multiply-add with the input's; with
// minima a sum of inputs times its scale, and a multiply-add, before.
static rounded_sum int8_sum(weir_storage storage, const double *w, const double *minima, const double *x) {
  rounded_sum s = {0};
  int sub = storage == WEIR_STORAGE_Q6_K ? 16 : 32;
  for (int g = 0; g < COLS; g += sub) {
    double product = 0, minimum = 0;
    for (int k = g; k < g + sub; k++) {
      product += (w[k] - minima[k]) * x[k];
      minimum += minima[k] * x[k];
    }
    s.size += fabs(product) + fabs(minimum);
    if (codes_after_minima(storage)) add(&s, minimum);
    add(&s, product);
  }
  return s;
}

// Pairs, the odd input first; a matrix unit sums odd and even inputs of sixteen pairs apart, from nothing.
static rounded_sum bf16_sum(const double *w, const double *x, bool unit) {
  rounded_sum s = {0};
  for (int k = 0; k < COLS; k += unit ? 32 : 2) {
    rounded_sum low = {0}, high = {0};
    for (int i = k; unit && i < k + 32; i += 2) {
      add(&low, w[i] * x[i]);
      add(&high, w[i + 1] * x[i + 1]);
    }
    if (unit) {
      s.size += low.size + high.size + fabs(low.sum + high.sum);
      add(&s, low.sum + high.sum);
    } else {
      add(&s, w[k + 1] * x[k + 1]);
      add(&s, w[k] * x[k]);
    }
  }
  return s;
}

// One exact sum, then two products that round; its conversion is exact for so few inputs.
static rounded_sum row_sum(const double *w, const double *x) {
  rounded_sum s = {0};
  for (int k = 0; k < COLS; k++) s.sum += w[k] * x[k];
  s.size = 2 * fabs(s.sum);
  return s;
}

// The products of one row and how far each may be off. The roundings of a step see what those before have left, hence a
// little more than half a unit.
static void reference(const dot_case *c, const double *w, const double *minima, const double *x, bool unit, double *y,
                      double *slack) {
  for (int o = 0; o < OUTS; o++) {
    const double *row = w + o * COLS;
    rounded_sum s = c->compute == CG_COMPUTE_BF16   ? bf16_sum(row, x, unit)
                    : c->compute == CG_COMPUTE_INT8 ? int8_sum(c->storage, row, minima + o * COLS, x)
                                                    : row_sum(row, x);
    y[o] = s.sum;
    slack[o] = 0x1p-24 * 1.001 * s.size;
  }
}

// ---- running

typedef struct {
  void *weight, *library;
} held;

static weir_status find_symbol(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  void *symbol = dlsym(((held *)context)->library, kernel->symbol);
  cr_assert(symbol != NULL, "no kernel '%s'", kernel->symbol);
  memcpy(&out_entry->native, &symbol, sizeof symbol);
  return WEIR_OK;
}

static weir_status find_weight(void *context, const char *path, int64_t bytes, const void **out_data) {
  (void)path;
  (void)bytes;
  *out_data = ((held *)context)->weight;
  return WEIR_OK;
}

static void run(const rt_program *program, held *h, int threads, const float *x, int rows, float *y) {
  weir_model *model = NULL;
  weir_executor *executor = NULL;
  rt_model_parts parts = {.name = "dot",
                          .isa = "test",
                          .programs = &program,
                          .program_count = 1,
                          .provider = {.context = h, .lookup = find_symbol},
                          .find_weight = find_weight,
                          .weight_context = h};
  cpu_must(rt_model_create(&parts, &model));
  weir_executor_options options = {.threads = threads, .no_pin = true};
  cpu_must(weir_executor_create(model, &options, &executor));
  weir_view in = {.dtype = WEIR_DTYPE_F32, .rank = 2, .shape = {rows, COLS}, .bytes = (size_t)rows * COLS * 4};
  weir_view out = {.dtype = WEIR_DTYPE_F32, .rank = 2, .shape = {rows, OUTS}, .bytes = (size_t)rows * OUTS * 4};
  in.data = (void *)(uintptr_t)x;
  out.data = y;
  weir_request request = {.inputs = &in, .outputs = &out};
  weir_run_options how = {0};
  cpu_must(weir_run(executor, weir_model_find_entry(model, "main"), &request, 1, &how));
  weir_executor_destroy(executor);
  weir_model_release(model);
}

typedef struct {
  const cg_module *code;
  double *w, *minima;
  held h;
} lowered_dot;

static void lower_case(weir_arena *arena, const ir_module *module, const dot_case *c, lowered_dot *out) {
  cg_lower_options options = {.storage_of = storage_of, .compute_of = compute_of, .user = (void *)(uintptr_t)c};
  cg_module *code;
  cpu_must(cg_lower(arena, module, &options, &code));
  out->code = code;
  cr_assert_geq(code->weight_count, 1);
  cr_assert_eq(code->weights[0].format.compute, c->compute);
  weir_storage storage = code->weights[0].format.storage;
  int64_t row_bytes;
  cpu_must(weir_storage_row_bytes(storage, COLS, &row_bytes));
  unsigned char *rows = weir_arena_alloc(arena, (size_t)(OUTS * row_bytes));
  out->w = WEIR_NEW_ARRAY(arena, double, OUTS *COLS);
  out->minima = WEIR_NEW_ARRAY(arena, double, OUTS *COLS);
  make_w(storage, rows, row_bytes);
  decode_rows(storage, rows, row_bytes, out->w);
  decode_minima(storage, rows, row_bytes, out->minima);
  for (int i = 0; c->compute == CG_COMPUTE_BF16 && i < OUTS * COLS; i++)
    out->w[i] = weir_bf16_to_f32(weir_f32_to_bf16((float)out->w[i]));
  out->h.weight = pack(arena, &code->weights[0], rows, row_bytes);
}

static void check_level(const cpu_rig *rig, int level, const dot_case *c, lowered_dot *d, const float *x,
                        float *first) {
  static float all[MAX_ROWS * OUTS], some[MAX_ROWS * OUTS];
  const rt_program *program = d->code->programs[0];
  const char *name = weir_storage_name(c->storage), *isa = rig->levels[level].name;
  d->h.library = rig->objects[level];
  run(program, &d->h, 1, x, MAX_ROWS, all);
  double rounded[COLS], want[OUTS], slack[OUTS], worst = 0;
  for (int r = 0; r < MAX_ROWS; r++) {
    round_row(c->compute, x + r * COLS, rounded);
    reference(c, d->w, d->minima, rounded, !strcmp(isa, "amx"), want, slack);
    for (int o = 0; o < OUTS; o++) {
      double error = fabs(all[r * OUTS + o] - want[o]);
      worst = fmax(worst, slack[o] > 0 ? error / slack[o] : 0);
      cr_assert(error <= slack[o], "%s %s at %s, row %d, column %d: %.9g instead of %.9g (+- %.3g)", name,
                cg_compute_name(c->compute), isa, r, o, all[r * OUTS + o], want[o], slack[o]);
    }
  }
  for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++)
    for (int threads = 1; threads <= 2; threads++) {
      memset(some, 0x5A, sizeof some);
      run(program, &d->h, threads, x, row_counts[i], some);
      cr_assert(!memcmp(some, all, (size_t)row_counts[i] * OUTS * 4), "%s %s at %s: bits of %d rows, %d threads", name,
                cg_compute_name(c->compute), isa, row_counts[i], threads);
    }
  if (first[0] != first[0]) memcpy(first, all, sizeof all);
  cr_assert(!memcmp(first, all, sizeof all), "%s %s: bits at %s differ", name, cg_compute_name(c->compute), isa);
  fprintf(stderr, "%s %s at %s: largest error %.3f of what is allowed\n", name, cg_compute_name(c->compute), isa,
          worst);
}

static void check_levels(cpu_rig *rig) {
  ir_module *module = NULL;
  cpu_must(ir_parse_module(&rig->arena, module_text, sizeof module_text - 1, &module));
  static lowered_dot lowered[CASES];
  const ir_kernel *kernels[8 * CASES];
  int count = 0;
  for (int i = 0; i < CASES; i++) {
    lower_case(&rig->arena, module, &cases[i], &lowered[i]);
    for (int k = 0; k < lowered[i].code->kernel_count; k++) {
      bool known = false;  // packing is the same for several
      for (int j = 0; j < count; j++) known |= !strcmp(kernels[j]->name, lowered[i].code->kernels[k]->name);
      if (!known) kernels[count++] = lowered[i].code->kernels[k];
    }
  }
  cpu_rig_compile(rig, kernels, count);
  static float x[MAX_ROWS * COLS], first[MAX_ROWS * OUTS];
  make_x(x);
  for (int i = 0; i < CASES; i++) {
    first[0] = NAN;
    for (int level = 0; level < rig->level_count; level++) {
      // Pairs of bf16 add up in the order of the tiles there.
      if (!strcmp(rig->levels[level].name, "amx") && cases[i].compute == CG_COMPUTE_BF16) first[0] = NAN;
      check_level(rig, level, &cases[i], &lowered[i], x, first);
    }
  }
  cpu_rig_deinit(rig);
}

Test(linear_dot, every_format_and_number_of_rows) {
  cpu_rig rig;
  init_rig(&rig);
  check_levels(&rig);
}

// Tiles give the bits of the vectors for int8, and one order of additions for any number of rows for bf16.
Test(linear_dot, matrix_unit) {
  cpu_rig rig;
  if (!init_amx_rig(&rig)) cr_skip_test("this machine has no AVX-512 with bf16 to run the rest of 'amx'");
  check_levels(&rig);
  if (!cg_cpu_isa_runs_here(&(cg_cpu_isa){.arch = "x86_64", .features = "amx-tile,amx-int8,amx-bf16"}))
    cr_assert_gt(amx_emulator_counted().products, 0);
  cr_assert(!amx_emulator_is_open());
}

// The bits of |d| at 200 rows, which a smaller number of rows has too.
static void run_gated(const cpu_rig *rig, int level, lowered_dot *d, const float *x, float *all) {
  static const int counts[] = {1, 4, 5, 33};
  static float some[MAX_ROWS * OUTS];
  d->h.library = rig->objects[level];
  run(d->code->programs[0], &d->h, 2, x, MAX_ROWS, all);
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    run(d->code->programs[0], &d->h, 1, x, counts[i], some);
    cr_assert(!memcmp(some, all, (size_t)counts[i] * OUTS * 4), "%s: bits of %d rows", rig->levels[level].name,
              counts[i]);
  }
}

Test(linear_dot, matrix_unit_with_two_matrices) {
  static const dot_case gated[] = {{WEIR_STORAGE_Q6_K, CG_COMPUTE_INT8},
                                   {WEIR_STORAGE_W8, CG_COMPUTE_INT8_ROW},
                                   {WEIR_STORAGE_Q4_1, CG_COMPUTE_INT8},
                                   {WEIR_STORAGE_F32, CG_COMPUTE_BF16},
                                   {WEIR_STORAGE_Q4_0, CG_COMPUTE_BF16}};
  static float x[MAX_ROWS * COLS], vectors[MAX_ROWS * OUTS], tiles[MAX_ROWS * OUTS];
  make_x(x);
  for (size_t i = 0; i < sizeof gated / sizeof *gated; i++) {
    cpu_rig rig;
    if (!init_amx_rig(&rig)) cr_skip_test("this machine has no AVX-512 with bf16 to run the rest of 'amx'");
    ir_module *module = NULL;
    static lowered_dot d;
    cpu_must(ir_parse_module(&rig.arena, gated_text, sizeof gated_text - 1, &module));
    lower_case(&rig.arena, module, &gated[i], &d);
    cpu_rig_compile(&rig, (const ir_kernel *const *)d.code->kernels, d.code->kernel_count);
    run_gated(&rig, 0, &d, x, vectors);
    run_gated(&rig, 1, &d, x, tiles);
    bool exact = gated[i].compute != CG_COMPUTE_BF16;
    for (int n = 0; n < MAX_ROWS * OUTS; n++)
      cr_assert(exact ? tiles[n] == vectors[n] : fabsf(tiles[n] - vectors[n]) <= 1e-3f * (1 + fabsf(vectors[n])),
                "%s: element %d is %.9g, not %.9g", weir_storage_name(gated[i].storage), n, tiles[n], vectors[n]);
    cpu_rig_deinit(&rig);
  }
}

// What is no number makes its own rows NaN and no others.
static void check_infinities(const dot_case *c) {
  cpu_rig rig;
  init_rig(&rig);
  ir_module *module = NULL;
  cpu_must(ir_parse_module(&rig.arena, module_text, sizeof module_text - 1, &module));
  static lowered_dot d;
  lower_case(&rig.arena, module, c, &d);
  cpu_rig_compile(&rig, (const ir_kernel *const *)d.code->kernels, d.code->kernel_count);
  static float x[8 * COLS], y[8 * OUTS], clean[8 * OUTS];
  uint64_t state = 3;
  for (int i = 0; i < 8 * COLS; i++) x[i] = random_value(&state);
  for (int level = 0; level < rig.level_count; level++) {
    d.h.library = rig.objects[level];
    x[2 * COLS + 7] = x[5 * COLS + 100] = 1;
    run(d.code->programs[0], &d.h, 1, x, 8, clean);
    x[2 * COLS + 7] = INFINITY;
    x[5 * COLS + 100] = NAN;
    run(d.code->programs[0], &d.h, 1, x, 8, y);
    for (int r = 0; r < 8; r++)
      for (int o = 0; o < OUTS; o++)
        cr_assert(r == 2 || r == 5 ? isnan(y[r * OUTS + o]) : y[r * OUTS + o] == clean[r * OUTS + o]);
  }
  cpu_rig_deinit(&rig);
}

Test(linear_dot, infinities_stay_in_their_rows) {
  check_infinities(&cases[1]);
  check_infinities(&cases[CASES - 1]);
}

// ---- one scale a row, on every level

enum { SOME_ROWS = 7, MAX_ARGS = 8 };

// Random numbers as the bits of all arguments: codes may have any.
static void fill(void *const *args, const size_t *bytes, int count) {
  uint64_t state = 23;
  for (int i = 0; i < count; i++)
    for (size_t at = 0; at + sizeof(float) <= bytes[i]; at += sizeof(float)) {
      float value = random_value(&state);
      memcpy((char *)args[i] + at, &value, sizeof value);
    }
}

static void check_kernel(const cpu_rig *rig, const ir_kernel *k) {
  int64_t dims[MAX_ARGS];
  void *want[MAX_ARGS], *got[MAX_ARGS];
  size_t bytes[MAX_ARGS];
  weir_arena arena;
  weir_arena_init(&arena);
  cr_assert(k->arg_count <= MAX_ARGS && k->size_count <= MAX_ARGS);
  for (int i = 0; i < k->size_count; i++) dims[i] = SOME_ROWS;
  for (int i = 0; i < k->arg_count; i++) {
    runner_arg shape;
    cr_assert(cpu_remote_shape(k, i, dims, &rig->tables, &shape));
    bytes[i] = (size_t)shape.bytes;
    want[i] = room(&arena, shape.bytes);
    got[i] = room(&arena, shape.bytes);
  }
  int64_t items = cpu_extent(k->grid, dims);
  cr_assert_gt(items, 0);
  fill(want, bytes, k->arg_count);
  ir_kinterpret_options options = {.round_f32 = true};
  cpu_must(ir_kernel_interpret_options(k, want, bytes, dims, 0, items, &options));
  for (int level = 0; level < rig->level_count; level++) {
    if (!cpu_is_fused(&rig->levels[level])) continue;
    fill(got, bytes, k->arg_count);
    cpu_run(rig, level, k, got, dims, 0, items);
    for (int i = 0; i < k->arg_count; i++)
      cr_assert(!memcmp(got[i], want[i], bytes[i]), "%s at %s: argument %d", k->name, rig->levels[level].name, i);
  }
  weir_arena_deinit(&arena);
}

// Packing of rows and their products give what the interpreter gives, bit for bit, wherever a multiply-add rounds once.
Test(linear_dot, int8_row_at_every_level) {
  static lowered_dot d;
  cpu_rig rig;
  cpu_rig_init_levels(&rig, cg_cpu_isa_names());
  ir_module *module = NULL;
  cpu_must(ir_parse_module(&rig.arena, module_text, sizeof module_text - 1, &module));
  lower_case(&rig.arena, module, &cases[CASES - 1], &d);
  cr_assert_eq(d.code->kernel_count, 2);
  cpu_rig_compile(&rig, (const ir_kernel *const *)d.code->kernels, 2);
  for (int i = 0; i < 2; i++) check_kernel(&rig, d.code->kernels[i]);
  fprintf(stderr, "int8_row at %d levels\n", rig.level_count);
  cpu_rig_deinit(&rig);
}
