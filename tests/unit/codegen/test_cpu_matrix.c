// Products of matrices (matdot) on every level give the interpreter's bits: rows and words around all tiles, with and
// without what stood there before, several steps. Level `amx` runs natively or with its tiles emulated; the others have
// the same meaning in plain C, whose multiply-adds must be fused for floats to agree.
//
// In the machine code of `amx` the inner loop has four accumulators for four loads, and nothing but what moves it on.
#include "tests/unit/codegen/cpu_harness.h"

enum { ROWS = 70, WORDS = 48, PANELS = 3, COLUMNS = 16 * PANELS, FORMS = 5 };

typedef struct {
  const char *type;
  int step;
} form;

static const form forms[FORMS] = {{"i32", 8}, {"i32", 4}, {"i32", 16}, {"f32", 16}, {"f32", 5}};

static const ir_kernel *make_kernel(cpu_rig *rig, const form *f) {
  ir_kernel *kernel = NULL;
  char *text = weir_arena_printf(&rig->arena,
                                 "kernel k_matrix_%s_%d \"\"\nsizes R, W\nin a: %d @0\nin b: %d @1\nout y: %d @2\n"
                                 "out unit: 4 @3\ngrid g: 2\n{\n"
                                 "  matdot set y:%s[g * %d, 48] = a:u32[0, 48], b:u32[0, 48, 16] rows R panels 3 "
                                 "words W step %d\n"
                                 "  matdot add y:%s[g * %d + 16, 48] = a:u32[g, 48], b:u32[16, 48, 16] rows R panels 2 "
                                 "words W - g step %d\n"
                                 "  if matrix_unit() {\n    store unit:i32[0] = 1:i32\n  } else {\n"
                                 "    store unit:i32[0] = 0:i32\n  }\n}\n",
                                 f->type, f->step, ROWS * WORDS * 4, WORDS * COLUMNS * 4, 2 * ROWS * COLUMNS * 4,
                                 f->type, ROWS * COLUMNS, f->step, f->type, ROWS * COLUMNS, f->step);
  cpu_must(ir_kernel_parse(&rig->arena, text, strlen(text), &kernel));
  const char *printed = ir_kernel_print(&rig->arena, kernel);
  cr_assert_str_eq(printed, text);
  return kernel;
}

static void make_words(bool floats, uint32_t *words, int count, uint64_t *state) {
  for (int i = 0; i < count; i++) {
    words[i] = (uint32_t)cpu_random(state);
    if (!floats) continue;
    uint16_t low = weir_f32_to_bf16(cpu_random_float(state) * 8), high = weir_f32_to_bf16(cpu_random_float(state) * 8);
    words[i] = low | (uint32_t)high << 16;
  }
}

static void check_kernel(const cpu_rig *rig, const ir_kernel *k, const form *f, int rows, int words) {
  static uint32_t a[ROWS * WORDS], b[WORDS * COLUMNS], want[2 * ROWS * COLUMNS], got[2 * ROWS * COLUMNS];
  uint64_t state = (uint64_t)(rows * 100 + words);
  bool floats = f->type[0] == 'f';
  int32_t unit = 0, said = 7;
  make_words(floats, a, ROWS * WORDS, &state);
  make_words(floats, b, WORDS * COLUMNS, &state);
  memset(want, 0x5A, sizeof want);
  void *args[] = {a, b, want, &unit};
  const size_t bytes[] = {sizeof a, sizeof b, sizeof want, sizeof unit};
  const int64_t dims[] = {rows, words};
  ir_kinterpret_options options = {.round_f32 = true};
  cpu_must(ir_kernel_interpret_options(k, args, bytes, dims, 0, 2, &options));
  args[2] = got, args[3] = &said;
  for (int level = 0; level < rig->level_count; level++) {
    if (floats && !cpu_is_fused(&rig->levels[level])) continue;
    memset(got, 0x5A, sizeof got);
    cpu_run(rig, level, k, args, dims, 0, 2);
    const char *name = rig->levels[level].name;
    for (int i = 0; i < 2 * ROWS * COLUMNS; i++)
      cr_assert_eq(got[i], want[i], "%s at %s, %d rows, %d words: element %d is %#x, not %#x", k->name, name, rows,
                   words, i, got[i], want[i]);
    cr_assert_eq(said, strstr(rig->levels[level].features, "amx-tile") != NULL, "%s", name);
    cr_assert(!amx_emulator_is_open());
  }
}

static void init_rig(cpu_rig *rig) {
  static const char *const names[] = {"portable", "x86-64-v3", "x86-64-v4-bf16", "aarch64", "native", NULL};
  cpu_rig_init_levels(rig, names);
  if (!cpu_rig_add_amx(rig)) fprintf(stderr, "skipped: level 'amx', the rest of which this machine does not run\n");
}

Test(cpu_matrix, all_levels_agree_with_the_interpreter) {
  static const int row_counts[] = {1, 5, 16, 17, 31, 32, 33, 49, ROWS}, word_counts[] = {1, 7, 16, 37, WORDS};
  cpu_rig rig;
  init_rig(&rig);
  const ir_kernel *kernels[FORMS];
  for (int i = 0; i < FORMS; i++) kernels[i] = make_kernel(&rig, &forms[i]);
  cpu_rig_compile(&rig, kernels, FORMS);
  for (int i = 0; i < FORMS; i++)
    for (size_t r = 0; r < sizeof row_counts / sizeof *row_counts; r++)
      for (size_t w = 0; w < sizeof word_counts / sizeof *word_counts; w++)
        check_kernel(&rig, kernels[i], &forms[i], row_counts[r], word_counts[w]);
  cpu_rig_deinit(&rig);
}

// ---- the machine code

typedef struct {
  long address, target;  // |target|: of a jump, else -1
  int accumulator;       // of a product, else -1
  bool load, moves;      // a tile is loaded; anything else touches a tile
} line;

static bool read_line(const char *text, line *out) {
  char *rest;
  long address = strtol(text, &rest, 16);
  if (*rest != ':') return false;
  while (*++rest == ' ' || *rest == '\t') {
  }
  *out = (line){.address = address, .target = -1, .accumulator = -1};
  const char *last = strrchr(rest, '%');
  bool product = !strncmp(rest, "tdp", 3);
  if (product && last) out->accumulator = last[4] - '0';
  if (rest[0] == 'j') out->target = strtol(strchr(rest, ' '), NULL, 16);
  out->load = !strncmp(rest, "tileload", 8);
  out->moves = !strncmp(rest, "tilestore", 9) || !strncmp(rest, "tilezero", 8);
  return true;
}

// Whether the loop is four loads and four products into four accumulators.
static bool is_square(const line *lines, int first, int last) {
  int loads = 0, products = 0, seen = 0;
  for (int i = first; i <= last; i++) {
    if (lines[i].moves || (lines[i].target >= 0 && i < last)) return false;
    loads += lines[i].load;
    products += lines[i].accumulator >= 0;
    if (lines[i].accumulator >= 0) seen |= 1 << lines[i].accumulator;
  }
  return loads == 4 && products == 4 && seen == 15 && last - first < 24;
}

Test(cpu_matrix, four_accumulators_for_four_loads) {
  enum { MAX_LINES = 20000 };
  static line lines[MAX_LINES];
  cpu_rig rig;
  init_rig(&rig);
  int amx = rig.level_count - 1, count = 0, squares = 0;
  if (!rig.traps) {
    cpu_rig_deinit(&rig);
    cr_skip_test("this machine does not load level 'amx'");
  }
  const ir_kernel *kernels[] = {make_kernel(&rig, &forms[0]), make_kernel(&rig, &forms[3])};
  cpu_rig_compile(&rig, kernels, 2);
  FILE *in = popen(weir_arena_printf(&rig.arena, "objdump -d --no-show-raw-insn '%s' 2>&1", rig.info[amx].path), "r");
  char text[400];
  while (in && count < MAX_LINES && fgets(text, sizeof text, in)) count += read_line(text, &lines[count]);
  if (in) pclose(in);
  for (int i = 0; i < count; i++)
    for (int k = i; lines[i].target >= 0 && lines[i].target < lines[i].address && k >= 0; k--)
      if (lines[k].address == lines[i].target) squares += is_square(lines, k, i);
  cpu_rig_deinit(&rig);
  if (!count) cr_skip_test("there is no objdump");
  cr_assert_eq(squares, 2, "%d loops of four products, not one for each kernel", squares);
}
