// Convolutions as block kernels: strides, padding, dilations, groups, one to three axes, channels first and last, with
// epilogues, by the kernel interpreter and on sim, against the graph interpreter. Errors stay below the bound of a sum
// of so many products. Bits are the same for every choice that lowering offers, in every batch, and on sim.
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "ir/kernel_block.h"
#include "tests/common/lowered_case.h"
#include "tests/unit/codegen/sim_launches.h"

enum { REQUESTS = 2, MOST = 1 << 16, TEXT = 1 << 18 };

// One layer: |before| channels are mixed into C by a convolution of single places, so that values lie channels last
// (0: the input has them, in the order of dims), then O outputs with their bias and relu.
typedef struct {
  int before, channels, outputs, groups;
  const char *in, *out, *window, *attributes;
} layer;

#define PLAIN2 "strides=[1, 1], before=[1, 1], after=[1, 1], dilations=[1, 1]"
static const layer layers[] = {
    {0, 3, 40, 1, "9, 11", "5, 6", "3, 3", "strides=[2, 2], before=[1, 1], after=[1, 1], dilations=[1, 1]"},
    {0, 5, 18, 1, "40", "13", "5", "strides=[3], before=[2], after=[0], dilations=[1]"},
    {0, 2, 33, 1, "4, 5, 6", "4, 3, 6", "2, 3, 3",
     "strides=[1, 2, 1], before=[1, 1, 1], after=[0, 1, 1], dilations=[1, 1, 1]"},
    {3, 36, 33, 1, "5, 7", "5, 7", "3, 3", "strides=[1, 1], before=[2, 2], after=[2, 2], dilations=[2, 2]"},
    {3, 64, 64, 1, "7, 6", "4, 3", "3, 3", "strides=[2, 2], before=[1, 1], after=[1, 1], dilations=[1, 1]"},
    {3, 32, 40, 1, "5, 7", "5, 7", "3, 3", PLAIN2},
    {3, 44, 70, 1, "6, 7", "6, 7", "1, 1", "strides=[1, 1], before=[0, 0], after=[0, 0], dilations=[1, 1]"},
    {3, 20, 30, 1, "7, 7", "4, 4", "1, 1", "strides=[2, 2], before=[0, 0], after=[0, 0], dilations=[1, 1]"},
    {3, 100, 24, 1, "1, 1", "1, 1", "1, 1", "strides=[1, 1], before=[0, 0], after=[0, 0], dilations=[1, 1]"},
    {3, 24, 64, 2, "5, 4", "5, 4", "3, 3", PLAIN2},
    {0, 15, 96, 3, "8, 5", "8, 5", "3, 3", PLAIN2},
    {3, 20, 20, 20, "6, 7", "6, 7", "3, 3", PLAIN2},
    {3, 36, 36, 36, "9, 8", "4, 3", "4, 3", "strides=[2, 3], before=[1, 2], after=[0, 1], dilations=[1, 2]"},
};
enum { LAYERS = sizeof layers / sizeof *layers };

static int axes_of(const layer *l) {
  int axes = 1;
  for (const char *at = l->in; *at; at++) axes += *at == ',';
  return axes;
}

static const char *text_of(weir_arena *arena, const layer *l) {
  static const char *const ones[] = {"1", "1, 1", "1, 1, 1"}, *const zeros[] = {"0", "0, 0", "0, 0, 0"};
  static const char *const perms[] = {"0, 2, 1", "0, 3, 1, 2", "0, 4, 1, 2, 3"};
  int axes = axes_of(l), O = l->outputs, C = l->channels;
  const char *one = ones[axes - 1], *zero = zeros[axes - 1], *first = "";
  const char *type = weir_arena_printf(arena, "f32[B, %d, %s]", O, l->out);
  const char *last = weir_arena_printf(arena, "[B, %s, %d]", l->out, O);
  if (l->before)
    first =
        weir_arena_printf(arena,
                          "  weight %%3: f32[%d, %d, %s] \"mix\"\n  %%4 = conv %%0, %%3 {strides=[%s], before=[%s], "
                          "after=[%s], dilations=[%s], groups=1} : f32[B, %d, %s]\n",
                          C, l->before, one, one, zero, zero, one, C, l->in);
  return weir_arena_printf(arena,
                           "module M\ndim B: batch in 1..=3\nentry main {\n  input %%0.x: f32[B, %d, %s] \"x\"\n"
                           "  weight %%1: f32[%d, %d, %s] \"w\"\n  weight %%2: f32[%d] \"bias\"\n%s"
                           "  %%5 = conv %%%d, %%1 {%s, groups=%d} : %s\n"
                           "  %%6 = broadcast %%2 {dims=%s} : f32%s\n  %%7 = permute %%6 {perm=[%s]} : %s\n"
                           "  %%8 = add %%5, %%7 : %s\n  %%9 = relu %%8 : %s\n  result %%9 \"y\"\n}\n",
                           l->before ? l->before : C, l->in, O, C / l->groups, l->window, O, first, l->before ? 4 : 0,
                           l->attributes, l->groups, type, last, last, perms[axes - 1], type, type, type);
}

// ---- cases

// What results are, request by request.
typedef struct {
  float values[REQUESTS][MOST];
  int counts[REQUESTS];
} record;

static const char *keep(lowered_case *c, int request, int result, int64_t index, double got, double want) {
  record *r = c->user;
  (void)result, (void)index, (void)want;
  cr_assert_lt(r->counts[request], MOST);
  r->values[request][r->counts[request]++] = (float)got;
  return NULL;
}

static void run(lowered_case *c, record *out) {
  memset(out->counts, 0, sizeof out->counts);
  c->compare = keep, c->user = out;
  const char *wrong = lowered_case_check_interpreted(c, 0);
  cr_assert(!wrong, "%s", wrong);
  c->compare = NULL;
}

static void make(weir_arena *arena, const layer *l, int requests, lowered_case *c) {
  const char *text = text_of(arena, l);
  ir_module *module;
  OK(ir_parse_module(arena, text, strlen(text), &module));
  OK(lowered_case_make_blocks(arena, module->functions[0], 3, requests, false, c));
}

static int count_convs(const lowered_case *c) {
  int count = 0;
  for (int i = 0; i < c->code->kernel_count; i++) count += strstr(c->code->kernels[i]->name, "block_conv") != NULL;
  return count;
}

// Products of a sum of the last layer; and the most that its rounding and that of the layer before can make out, for
// elements below 1 in size: u = 2^-24 for each addition of a sum whose terms are below |size|.
static double products_of(const layer *l) {
  int taps = 1;
  for (const char *at = l->window; *at; at++)
    if (*at >= '0' && *at <= '9') taps *= *at - '0';
  return l->channels / l->groups * taps;
}

static double slack(const layer *l) {
  double products = products_of(l) + 34, size = 1, error = 0;
  if (l->before) size = l->before, error = products * (l->before + 2) * size;
  return (products * products * size + error) * FLT_EPSILON / 2;
}

static weir_storage storage_f32(void *user, const char *path) {
  (void)user, (void)path;
  return WEIR_STORAGE_F32;
}

static void same(const record *a, const record *b, int request, int of, const char *what, int number) {
  cr_assert_eq(a->counts[request], b->counts[of]);
  cr_assert(!memcmp(a->values[request], b->values[of], (size_t)a->counts[request] * 4), "layer %d: bits of %s", number,
            what);
}

static record all, some;

// In a batch and alone.
static void check_batches(lowered_case *c, int number) {
  lowered_case one = *c;
  for (int r = 0; r < c->requests; r++) {
    one.requests = 1;
    one.sizes[0] = c->sizes[r], one.args[0] = c->args[r], one.expected[0] = c->expected[r];
    run(&one, &some);
    same(&all, &some, r, 0, "a request alone", number);
  }
}

static void choose(lowered_case *c, const cg_choice *choice) {
  cg_lower_options options = {.storage_of = storage_f32, .choices = choice, .choice_count = 1, .blocks = 1};
  OK(cg_lower(c->arena, c->function->module, &options, &c->code));
  c->program = c->code->programs[0];
}

static void check_choices(lowered_case *c, int number) {
  const cg_module *code = c->code;
  lowered_case other = *c;
  cr_assert_gt(code->question_count, 0);
  for (int q = 0; q < code->question_count; q++)
    for (int k = 0; k < code->questions[q].candidate_count; k++) {
      cg_choice choice = {code->questions[q].key, code->questions[q].parameter, code->questions[q].candidates[k]};
      choose(&other, &choice);
      run(&other, &some);
      for (int r = 0; r < c->requests; r++) same(&all, &some, r, r, choice.parameter, number);
    }
}

Test(block_window, layers) {
  for (int i = 0; i < LAYERS; i++) {
    weir_arena arena;
    lowered_case c;
    weir_arena_init(&arena);
    make(&arena, &layers[i], REQUESTS, &c);
    cr_assert_gt(count_convs(&c), 0, "layer %d", i);
    const char *wrong = lowered_case_check_interpreted(&c, slack(&layers[i]));
    cr_assert(!wrong, "layer %d: %s", i, wrong);
    run(&c, &all);
    check_batches(&c, i);
    weir_arena_deinit(&arena);
  }
}

Test(block_window, choices_change_no_bit) {
  static const int chosen[] = {0, 3, 4, 6, 8, 11, 12};
  for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
    weir_arena arena;
    lowered_case c;
    weir_arena_init(&arena);
    make(&arena, &layers[chosen[i]], 1, &c);
    run(&c, &all);
    check_choices(&c, chosen[i]);
    weir_arena_deinit(&arena);
  }
}

// ---- bf16

static const layer halves[] = {
    {0, 8, 40, 1, "9, 8", "5, 5", "2, 2", "strides=[2, 2], before=[1, 1], after=[1, 1], dilations=[1, 1]"},
    {3, 64, 70, 1, "5, 6", "5, 6", "3, 3", PLAIN2},
    {3, 32, 64, 2, "5, 4", "5, 4", "4, 2", "strides=[1, 1], before=[2, 1], after=[1, 0], dilations=[1, 1]"},
    {3, 96, 20, 1, "5", "5", "1", "strides=[1], before=[0], after=[0], dilations=[1]"},
};
enum { HALVES = sizeof halves / sizeof *halves };

static cg_compute in_bf16(void *user, const char *path) {
  (void)user;
  return strcmp(path, "w") ? CG_COMPUTE_F32 : CG_COMPUTE_BF16;
}

static void make_halves(weir_arena *arena, const layer *l, int requests, lowered_case *c) {
  cg_lower_options options = {.storage_of = storage_f32, .compute_of = in_bf16, .blocks = 1};
  make(arena, l, requests, c);
  OK(cg_lower(arena, c->function->module, &options, &c->code));
  c->program = c->code->programs[0];
  OK(lowered_case_finish(c));
  int found = 0;
  for (int i = 0; i < c->code->kernel_count; i++) found += strstr(c->code->kernels[i]->name, "_bf16_") != NULL;
  cr_assert_gt(found, 0);
}

// Inputs and weights have eight bits, so a product is off by 2^-8 of its size at most; six times what so many add up to
// where they are off by half of that.
static double slack_of_halves(const layer *l) { return 6 * sqrt(products_of(l)) * (l->before ? l->before : 1) / 512; }

Test(block_window, products_in_bf16) {
  for (int i = 0; i < HALVES; i++) {
    weir_arena arena;
    lowered_case c;
    weir_arena_init(&arena);
    make_halves(&arena, &halves[i], REQUESTS, &c);
    const char *wrong = lowered_case_check_interpreted(&c, slack_of_halves(&halves[i]));
    cr_assert(!wrong, "layer %d: %s", i, wrong);
    run(&c, &all);
    check_batches(&c, i);
    weir_arena_deinit(&arena);
  }
}

// ---- graphs

static int check_file(const char *name) {
  weir_arena arena;
  weir_arena_init(&arena);
  FILE *file = fopen(weir_arena_printf(&arena, "%s/tests/text/lowered/%s", WEIR_SOURCE_DIR, name), "r");
  cr_assert(file);
  char *text = weir_arena_alloc(&arena, TEXT);
  text[fread(text, 1, TEXT - 1, file)] = 0;
  fclose(file);
  int convs = 0, number = 0;
  for (char *at = text, *end; at && *at; at = end ? end + 6 : NULL, number++) {
    end = strstr(at, "\n----\n");
    ir_module *module;
    OK(ir_parse_module(&arena, at, end ? (size_t)(end - at) + 1 : strlen(at), &module));
    lowered_case c;
    OK(lowered_case_make_blocks(&arena, module->functions[module->function_count - 1], (uint64_t)number, 2, false, &c));
    const char *wrong = lowered_case_check_interpreted(&c, 2e-4);
    cr_expect(!wrong, "%s:%d: %s", name, number, wrong);
    convs += count_convs(&c);
  }
  weir_arena_deinit(&arena);
  return convs;
}

Test(block_window, plain_graphs) { cr_assert_gt(check_file("conv.txt"), 4); }
Test(block_window, graphs_of_images) { cr_assert_gt(check_file("images.txt"), 4); }

// ---- on sim

// Passes over shared memory beyond the least, of all warps' accesses; sectors of 32 bytes beyond the least, of all. The
// layers are small and odd: lines of 36 channels begin within sectors, results go to entries in the order of dims.
typedef struct {
  uint64_t accesses, conflicts, sectors, extra;
} traffic;

static void count(void *user, const ir_kernel *kernel, const rt_sim_report *report) {
  traffic *t = user;
  if (!strstr(kernel->name, "block_conv")) return;
  t->accesses += report->accesses / IR_WARP, t->conflicts += report->bank_conflicts;
  t->sectors += report->sectors, t->extra += report->extra_sectors;
}

Test(block_window, layers_on_sim) {
  enum { CASES = LAYERS + HALVES };
  static weir_arena arenas[CASES];
  static lowered_case cases[CASES];
  traffic all_traffic = {0};
  sim_launches sim;
  sim_launches_init(&sim);
  sim.counted = count, sim.counted_user = &all_traffic;
  for (int i = 0; i < CASES; i++) {
    weir_arena_init(&arenas[i]);
    if (i < LAYERS) make(&arenas[i], &layers[i], 2, &cases[i]);
    else make_halves(&arenas[i], &halves[i - LAYERS], 2, &cases[i]);
    sim_launches_add(&sim, cases[i].code);
  }
  sim_launches_compile(&sim);
  for (int i = 0; i < CASES; i++) {
    run(&cases[i], &all);
    cases[i].launch = sim_launches_run, cases[i].launch_user = &sim;
    sim.requests = cases[i].requests;
    run(&cases[i], &some);
    for (int r = 0; r < cases[i].requests; r++) same(&all, &some, r, r, "sim", i);
    weir_arena_deinit(&arenas[i]);
  }
  cr_assert_gt(sim.blocks, 0);
  cr_expect_lt(all_traffic.conflicts * 5, all_traffic.accesses);
  cr_expect_lt(all_traffic.extra * 3, all_traffic.sectors);
  sim_launches_deinit(&sim);
}
