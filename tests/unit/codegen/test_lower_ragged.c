// Ragged values in general: several ragged dims in one value, dims computed from others, histories, calls with other
// dims than the callee's own. Each graph of tests/text/lowered is run by the graph interpreter, by the kernel
// interpreter (with rows before the call), and compiled in the runtime: all requests together and each alone give the
// same bits, and so does any cut into calls where the graph says "in pieces too".
#include <criterion/criterion.h>
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/compile.h"
#include "runtime/base/io.h"
#include "tests/common/lowered_case.h"
#include "tests/common/scratch.h"

enum { MAX_GRAPHS = 200, SEEDS = 4, CUTS = 12 };
static const double tolerance = 2e-4;

typedef struct {
  const char *name;
  ir_module *module;
  bool pieces;  // its text says that any cut into calls gives the same
} graph;

static int compare_names(const void *a, const void *b) {
  return strcmp(((const graph *)a)->name, ((const graph *)b)->name);
}

// Files of the folder, in order of names; modules are separated by lines "----".
static int read_graphs(weir_arena *arena, graph *out) {
  const char *folder = WEIR_SOURCE_DIR "/tests/text/lowered";
  DIR *dir = opendir(folder);
  int count = 0;
  cr_assert(dir);
  for (struct dirent *e; (e = readdir(dir));) {
    size_t length = strlen(e->d_name);
    if (length < 4 || strcmp(e->d_name + length - 4, ".txt") != 0) continue;
    FILE *file = fopen(weir_arena_printf(arena, "%s/%s", folder, e->d_name), "r");
    cr_assert(file);
    char *text = weir_arena_alloc(arena, 1 << 18);
    size_t size = fread(text, 1, (1 << 18) - 1, file);
    fclose(file);
    text[size] = 0;
    int number = 0;
    for (char *at = text; at && *at; number++) {
      char *end = strstr(at, "\n----\n");
      size_t part = end ? (size_t)(end - at) + 1 : strlen(at);
      graph *g = &out[count++];
      cr_assert_lt(count, MAX_GRAPHS);
      g->name = weir_arena_printf(arena, "%s:%02d", e->d_name, number);
      weir_status status = ir_parse_module(arena, at, part, &g->module);
      cr_assert(!status, "%s: %s", g->name, weir_status_message(status));
      const char *said = strstr(at, "in pieces too");
      g->pieces = said && said < at + part;
      at = end ? end + 6 : NULL;
    }
  }
  closedir(dir);
  qsort(out, (size_t)count, sizeof *out, compare_names);
  return count;
}

static const ir_function *main_of(const ir_module *module) { return module->functions[module->function_count - 1]; }

static bool make(weir_arena *arena, const graph *g, uint64_t seed, bool fresh, lowered_case *c) {
  weir_status status =
      lowered_case_make(arena, main_of(g->module), seed, 1 + (int)(seed % CASE_MAX_REQUESTS), fresh, c);
  cr_expect(!status, "%s: %s", g->name, weir_status_message(status));
  bool ok = !status;
  weir_status_release(status);
  return ok;
}

Test(lower, ragged_graphs_mean_the_same_as_kernels) {
  weir_arena arena;
  weir_arena_init(&arena);
  graph graphs[MAX_GRAPHS];
  int count = read_graphs(&arena, graphs);
  for (int i = 0; i < count; i++) {
    for (uint64_t seed = 0; seed < 2 * SEEDS; seed++) {
      lowered_case c;
      if (!make(&arena, &graphs[i], seed, false, &c)) break;
      const char *wrong = lowered_case_check_interpreted(&c, tolerance);
      cr_expect(!wrong, "%s, seed %d: %s", graphs[i].name, (int)seed, wrong);
      if (wrong) break;
    }
  }
  weir_arena_deinit(&arena);
}

static weir_status find_symbol(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  void *symbol = dlsym(context, kernel->symbol);
  if (!symbol) return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel '%s'", kernel->symbol);
  memcpy(&out_entry->native, &symbol, sizeof symbol);
  return WEIR_OK;
}

Test(lower, ragged_graphs_mean_the_same_compiled) {
  weir_arena arena;
  weir_arena_init(&arena);
  graph graphs[MAX_GRAPHS];
  int count = read_graphs(&arena, graphs), kernel_count = 0, kernel_capacity = 0;
  static lowered_case cases[MAX_GRAPHS][SEEDS];
  bool made[MAX_GRAPHS];
  const ir_kernel **kernels = NULL;
  for (int i = 0; i < count; i++) {
    made[i] = true;
    for (int seed = 0; seed < SEEDS && made[i]; seed++)
      made[i] = make(&arena, &graphs[i], (uint64_t)seed, true, &cases[i][seed]);
    for (int k = 0; made[i] && k < cases[i][0].code->kernel_count; k++) {
      const ir_kernel *kernel = cases[i][0].code->kernels[k];
      bool known = false;
      for (int n = 0; n < kernel_count && !known; n++) known = strcmp(kernels[n]->name, kernel->name) == 0;
      if (!known) WEIR_PUSH(&arena, kernels, kernel_count, kernel_capacity, kernel);
    }
  }
  cg_cpu_options options = {.cache_dir = KEPT_OBJECTS, .cache_bytes = KEPT_BYTES, .optimize = "-O1"};
  cg_cpu_isa isa;
  weir_status status = cg_cpu_isa_find(&arena, "cpu", &isa);
  cr_assert(!status, "%s", weir_status_message(status));
  cg_cpu_object object;
  status = cg_cpu_compile(&arena, kernels, kernel_count, &isa, 1, &options, &object);
  cr_assert(!status, "%s", weir_status_message(status));
  void *library = dlopen(object.path, RTLD_NOW);
  cr_assert(library, "%s", dlerror());
  rt_kernel_provider provider = {.context = library, .lookup = find_symbol};
  for (int i = 0; i < count; i++) {
    for (int seed = 0; seed < SEEDS && made[i]; seed++) {
      const char *wrong = lowered_case_check_run(&cases[i][seed], provider, 1 + seed % 3, tolerance);
      cr_expect(!wrong, "%s, seed %d: %s", graphs[i].name, seed, wrong);
      for (uint64_t cut = 0; cut < CUTS && !wrong && graphs[i].pieces; cut++) {
        wrong = lowered_case_check_pieces(&cases[i][seed], provider, 2, 100 * cut);
        cr_expect(!wrong, "%s, seed %d, cut %d: %s", graphs[i].name, seed, (int)cut, wrong);
      }
    }
  }
  dlclose(library);
  weir_arena_deinit(&arena);
}

// ---- a product of ragged dims that passes 2^31

static weir_status any_kernel(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  (void)kernel;
  memcpy(&out_entry->native, &context, sizeof context);
  return WEIR_OK;
}

Test(lower, too_many_elements_along_ragged_dims_are_refused) {
  static const char text[] =
      "module M\ndim T: seq in 1..=100000\ndim S: seq in 1..=100000\nentry main {\n"
      "  input %0.x: f32[T] \"x\"\n  input %1.y: f32[S] \"y\"\n"
      "  %2 = broadcast %1 {dims=[T, S]} : f32[T, S]\n  %3 = softmax %2 {axis=0} : f32[T, S]\n"
      "  %4 = sum %3 {over=[0, 1]} : f32[]\n  %5 = add %0, %4 : f32[T]\n  result %5 \"z\"\n}\n";
  weir_arena arena;
  weir_arena_init(&arena);
  ir_module *module;
  cg_module *code;
  weir_model *model;
  weir_executor *executor;
  cg_lower_options options = {0};
  cr_assert(!ir_parse_module(&arena, text, strlen(text), &module));
  cr_assert(!cg_lower(&arena, module, &options, &code));
  const rt_program *programs[] = {code->programs[0]};
  cr_assert_gt(programs[0]->volume_count, 0);
  rt_model_parts parts = {.name = "m",
                          .isa = "test",
                          .programs = programs,
                          .program_count = 1,
                          .provider = {.context = &arena, .lookup = any_kernel}};
  cr_assert(!rt_model_create(&parts, &model));
  weir_executor_options one = {.threads = 1, .no_pin = true};
  cr_assert(!weir_executor_create(model, &one, &executor));
  weir_memory memory;
  int64_t small[2] = {40000, 40000}, large[2] = {60000, 60000};
  weir_extent extents[2] = {{.values = small}, {.values = small}};
  const weir_entry *entry = weir_model_entry(model, 0);
  cr_assert(!weir_memory_predict(executor, entry, extents, 1, &memory));
  weir_status status = weir_memory_predict(executor, entry, extents, 2, &memory);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_RANGE, "%s", weir_status_message(status));
  weir_status_release(status);
  extents[0].values = large;
  status = weir_memory_predict(executor, entry, extents, 1, &memory);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_RANGE, "%s", weir_status_message(status));
  weir_status_release(status);
  weir_executor_destroy(executor);
  weir_model_release(model);
  weir_arena_deinit(&arena);
}
