// Graphs of tests/text/lowered with block kernels where there are any: products, attention of whole prompts and of few
// rows over many keys, windows, bias, ragged requests. The kernel interpreter gives what the graph interpreter gives,
// and so does sim with the text for GPUs, of item kernels too.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/common/lowered_case.h"
#include "tests/common/random_module.h"
#include "tests/unit/codegen/sim_launches.h"

enum { TEXT = 1 << 18, SEEDS = 4, PROGRAMS = 150 };

static int count_blocks(const cg_module *code) {
  int count = 0;
  for (int i = 0; i < code->kernel_count; i++) count += code->kernels[i]->threads > 0;
  return count;
}

static void check_within(const char *text, const char *kernel, double tolerance) {
  weir_arena arena;
  weir_arena_init(&arena);
  ir_module *module;
  weir_status status = ir_parse_module(&arena, text, strlen(text), &module);
  cr_assert(!status, "%s", weir_status_message(status));
  for (uint64_t seed = 0; seed < 2 * SEEDS; seed++) {
    lowered_case c;
    bool found = false;
    status = lowered_case_make_blocks(&arena, module->functions[module->function_count - 1], seed,
                                      1 + (int)(seed % CASE_MAX_REQUESTS), false, &c);
    cr_assert(!status, "%s", weir_status_message(status));
    for (int i = 0; i < c.code->kernel_count; i++) found |= strstr(c.code->kernels[i]->name, kernel) != NULL;
    cr_assert(found, "no %s", kernel);
    const char *wrong = lowered_case_check_interpreted(&c, tolerance);
    cr_expect(!wrong, "%s, seed %d: %s", kernel, (int)seed, wrong);
  }
  weir_arena_deinit(&arena);
}
static void check_text(const char *text, const char *kernel) { check_within(text, kernel, 2e-4); }

// Products of two values of one of the types that matrix units take; an element may round the other way.
Test(block_graphs, products_of_halves) {
  static const char *const types[] = {"bf16", "f16", "f32"};
  for (int i = 0; i < 3; i++) {
    weir_arena arena;
    weir_arena_init(&arena);
    const char *t = types[i];
    const char *text = weir_arena_printf(
        &arena,
        "module M\ndim T: seq in 1..=90\nentry main {\n  input %%0: %s[T, 2, 40] \"x\"\n"
        "  input %%1: %s[2, 40, 72] \"y\"\n"
        "  input %%2: %s[T, 2, 40] \"z\"\n  %%3 = permute %%0 {perm=[1, 0, 2]} : %s[2, T, 40]\n"
        "  %%4 = matmul %%3, %%1 : %s[2, T, 72]\n  %%5 = permute %%2 {perm=[1, 2, 0]} : %s[2, 40, T]\n"
        "  %%6 = matmul %%3, %%5 : %s[2, T, T]\n  %%7 = matmul %%5, %%3 : %s[2, 40, 40]\n"
        "  result %%4 \"a\"\n  result %%6 \"b\"\n  result %%7 \"c\"\n}\n",
        t, t, t, t, t, t, t, t);
    check_within(text, weir_arena_printf(&arena, "block_product_%s", t), i == 0 ? 2e-2 : i == 1 ? 2e-3 : 2e-4);
    weir_arena_deinit(&arena);
  }
}

// Heads of two, four and six panels, whose halves are turned in the kernel of their product.
Test(block_graphs, rotary_positions_in_the_product) {
  for (int half = 1; half <= 3; half++) {
    weir_arena arena;
    weir_arena_init(&arena);
    int size = 32 * half;
    check_text(weir_arena_printf(&arena,
                                 "module M\ndim T: seq in 1..=50\nentry main {\n  input %%0.x: f32[T, 36] \"x\"\n"
                                 "  weight %%1: f32[%d, 36] \"w\"\n  %%2 = linear %%0, %%1 : f32[T, %d]\n"
                                 "  %%3 = neg %%2 : f32[T, %d]\n"
                                 "  %%4 = reshape %%3 {dims=[T, 3, %d]} : f32[T, 3, %d]\n  %%5 = pos {dim=T} : i32[T]\n"
                                 "  %%6 = rope %%4, %%5 {theta=10000.0, rotary=%d, interleaved=false} : f32[T, 3, %d]\n"
                                 "  result %%6 \"y\"\n}\n",
                                 3 * size, 3 * size, 3 * size, size, size, size, size),
               "block_linear_rope");
    weir_arena_deinit(&arena);
  }
}

static char *read_text(weir_arena *arena, const char *name) {
  FILE *file = fopen(weir_arena_printf(arena, "%s/tests/text/lowered/%s", WEIR_SOURCE_DIR, name), "r");
  cr_assert(file);
  char *text = weir_arena_alloc(arena, TEXT);
  text[fread(text, 1, TEXT - 1, file)] = 0;
  fclose(file);
  return text;
}

// Returns how many kernels were block kernels.
static int check_file(const char *name) {
  weir_arena arena;
  weir_arena_init(&arena);
  char *text = read_text(&arena, name);
  int blocks = 0, number = 0;
  for (char *at = text, *end; at && *at; at = end ? end + 6 : NULL, number++) {
    end = strstr(at, "\n----\n");
    ir_module *module;
    weir_status status = ir_parse_module(&arena, at, end ? (size_t)(end - at) + 1 : strlen(at), &module);
    cr_assert(!status, "%s: %s", name, weir_status_message(status));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
      lowered_case c;
      status = lowered_case_make_blocks(&arena, module->functions[module->function_count - 1], seed,
                                        1 + (int)(seed % CASE_MAX_REQUESTS), false, &c);
      cr_assert(!status, "%s:%d: %s", name, number, weir_status_message(status));
      const char *wrong = lowered_case_check_interpreted(&c, 2e-4);
      cr_expect(!wrong, "%s:%d, seed %d: %s", name, number, (int)seed, wrong);
      blocks += count_blocks(c.code);
      if (wrong) break;
    }
  }
  weir_arena_deinit(&arena);
  return blocks;
}

Test(block_graphs, attention) { cr_assert_gt(check_file("attend.txt"), 0); }
Test(block_graphs, histories) { check_file("history.txt"); }
Test(block_graphs, windows) { cr_assert_gt(check_file("windows.txt"), 0); }
Test(block_graphs, products) { check_file("product.txt"); }
Test(block_graphs, routes) { cr_assert_gt(check_file("route.txt"), 0); }
Test(block_graphs, calls) { check_file("calls.txt"); }
Test(block_graphs, mixed) { check_file("mixed.txt"); }
Test(block_graphs, ragged) { check_file("ragged.txt"); }
Test(block_graphs, scans) { cr_assert_gt(check_file("scan.txt"), 0); }

Test(block_graphs, random_programs) {
  int blocks = 0;
  for (uint64_t seed = 0; seed < PROGRAMS; seed++) {
    weir_arena arena;
    weir_arena_init(&arena);
    lowered_case c;
    ir_function *program = random_module_create(ir_module_create(&arena, "Random"), seed, 6 + (int)(seed % 30));
    weir_status status =
        lowered_case_make_blocks(&arena, program, seed, 1 + (int)(seed % CASE_MAX_REQUESTS), false, &c);
    bool unsupported = status && weir_status_code(status) == WEIR_CODE_UNSUPPORTED;
    cr_expect(!status || unsupported, "seed %d: %s", (int)seed, weir_status_message(status));
    const char *wrong = status ? NULL : lowered_case_check_interpreted(&c, 1e-4);
    cr_expect(!wrong, "seed %d: %s", (int)seed, wrong);
    if (!status) blocks += count_blocks(c.code);
    weir_status_release(status);
    weir_arena_deinit(&arena);
  }
  cr_assert_gt(blocks, PROGRAMS / 4);
}

// ---- on sim: the kernels of many programs are one object

typedef struct {
  weir_arena arena;
  lowered_case made;
  bool fits;
} sim_program;

static void run_on_sim(sim_program *programs, int count, double tolerance) {
  sim_launches sim;
  sim_launches_init(&sim);
  for (int i = 0; i < count; i++)
    if (programs[i].fits) sim_launches_add(&sim, programs[i].made.code);
  sim_launches_compile(&sim);
  for (int i = 0; i < count; i++) {
    lowered_case *c = &programs[i].made;
    c->launch = sim_launches_run;
    c->launch_user = &sim;
    sim.requests = c->requests;
    const char *wrong = programs[i].fits ? lowered_case_check_interpreted(c, tolerance) : NULL;
    cr_expect(!wrong, "program %d: %s", i, wrong);
    weir_arena_deinit(&programs[i].arena);
  }
  cr_assert_gt(sim.blocks, 0);
  sim_launches_deinit(&sim);
}

// The texts of a file, one seed each.
static void file_on_sim(const char *name) {
  enum { MOST = 64 };
  static sim_program programs[MOST];
  weir_arena arena;
  int count = 0;
  weir_arena_init(&arena);
  char *text = read_text(&arena, name);
  for (char *at = text, *end; at && *at && count < MOST; at = end ? end + 6 : NULL, count++) {
    sim_program *p = &programs[count];
    ir_module *module;
    end = strstr(at, "\n----\n");
    weir_arena_init(&p->arena);
    OK(ir_parse_module(&p->arena, at, end ? (size_t)(end - at) + 1 : strlen(at), &module));
    OK(lowered_case_make_blocks(&p->arena, module->functions[module->function_count - 1], (uint64_t)count,
                                1 + count % CASE_MAX_REQUESTS, false, &p->made));
    p->fits = true;
  }
  run_on_sim(programs, count, 2e-4);
  weir_arena_deinit(&arena);
}

Test(block_graphs, attention_on_sim) { file_on_sim("attend.txt"); }
Test(block_graphs, histories_on_sim) { file_on_sim("history.txt"); }
Test(block_graphs, windows_on_sim) { file_on_sim("windows.txt"); }
Test(block_graphs, scans_on_sim) { file_on_sim("scan.txt"); }
Test(block_graphs, routes_on_sim) { file_on_sim("route.txt"); }
Test(block_graphs, products_on_sim) { file_on_sim("product.txt"); }
