// Random programs at three levels: the graph interpreter, the lowered program under the kernel interpreter, and
// compiled code in the runtime.
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <string.h>

#include "codegen/cpu/compile.h"
#include "tests/common/lowered_case.h"
#include "tests/common/scratch.h"
#include "tests/common/random_module.h"

enum { PROGRAMS = 200 };
// Values stay below 64 (random_module.h), so a stored float32 is off by at most 4e-6; the programs amplify that by no
// more than some tens.
static const double tolerance = 1e-4;

static ir_function *make_program(weir_arena *arena, uint64_t seed) {
  return random_module_create(ir_module_create(arena, "Random"), seed, 6 + (int)(seed % 30));
}

static int requests_of(uint64_t seed) { return 1 + (int)(seed % CASE_MAX_REQUESTS); }

// Programs that have no lowering are counted; anything else that fails is a failure.
static bool lower(weir_arena *arena, uint64_t seed, bool fresh, lowered_case *c) {
  weir_status status = lowered_case_make(arena, make_program(arena, seed), seed, requests_of(seed), fresh, c);
  bool made = !status;
  if (status && weir_status_code(status) != WEIR_CODE_UNSUPPORTED)
    cr_expect(false, "seed %d: %s", (int)seed, weir_status_message(status));
  else if (status) printf("seed %d: %s\n", (int)seed, weir_status_message(status));
  weir_status_release(status);
  return made;
}

Test(lower, random_programs_mean_the_same_as_kernels) {
  int lowered = 0;
  for (uint64_t seed = 0; seed < PROGRAMS; seed++) {
    weir_arena arena;
    weir_arena_init(&arena);
    lowered_case c;
    if (lower(&arena, seed, false, &c)) {
      const char *wrong = lowered_case_check_interpreted(&c, tolerance);
      cr_expect(!wrong, "seed %d: %s\n%s", (int)seed, wrong, ir_print_module(&arena, c.function->module));
      lowered++;
    }
    weir_arena_deinit(&arena);
  }
  cr_assert_gt(lowered, PROGRAMS * 9 / 10);
}

static weir_status find_symbol(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  void *symbol = dlsym(context, kernel->symbol);
  if (!symbol) return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel '%s'", kernel->symbol);
  memcpy(&out_entry->native, &symbol, sizeof symbol);
  return WEIR_OK;
}

Test(lower, random_programs_mean_the_same_compiled) {
  static lowered_case cases[PROGRAMS];
  static bool made[PROGRAMS];
  weir_arena arena;
  weir_arena_init(&arena);
  const ir_kernel **kernels = NULL;
  int kernel_count = 0, kernel_capacity = 0;
  for (uint64_t seed = 0; seed < PROGRAMS; seed++) {
    made[seed] = lower(&arena, seed, true, &cases[seed]);
    for (int i = 0; made[seed] && i < cases[seed].code->kernel_count; i++) {
      const ir_kernel *kernel = cases[seed].code->kernels[i];
      bool known = false;
      for (int k = 0; k < kernel_count && !known; k++) known = strcmp(kernels[k]->name, kernel->name) == 0;
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
  for (int seed = 0; seed < PROGRAMS; seed++) {
    if (!made[seed]) continue;
    const char *wrong = lowered_case_check_run(&cases[seed], provider, 1 + seed % 3, tolerance);
    cr_expect(!wrong, "seed %d: %s\n%s", seed, wrong, ir_print_module(&arena, cases[seed].function->module));
  }
  dlclose(library);
  weir_arena_deinit(&arena);
}
