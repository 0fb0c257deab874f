// Random programs in the language, through the whole front end and all passes, at three levels: graph interpreter,
// kernel interpreter, compiled code in the runtime (requests together and alone; steps also in pieces). A program that
// fails is made smaller first.
//
// WEIR_RANDOM_PROGRAMS and WEIR_RANDOM_SEED ask for more of them or for others: tests/random-programs.
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/compile.h"
#include "compiler/plan/build.h"
#include "runtime/base/io.h"
#include "tests/common/lowered_case.h"
#include "tests/common/random_text.h"
#include "tests/common/scratch.h"

enum { BATCH = 50, SHRINK_ATTEMPTS = 400, SHOWN = 5 };

static long setting(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text ? strtol(text, NULL, 10) : otherwise;
}

typedef struct {
  weir_arena arena;
  plan_unit unit;
  lang_diags diags;
  plan_request request;
  lowered_case cases[2];  // any rows before; fresh
  double tolerance;
  bool made;
} program;

static void close_program(program *p) {
  plan_close(&p->unit);
  weir_arena_deinit(&p->arena);
}

// Null, or what the front end, the lowering or the graph interpreter says against |text|.
static const char *open_program(program *p, const char *folder, const char *text, uint64_t seed) {
  memset(p, 0, sizeof *p);
  p->tolerance = random_text_tolerance(text);
  weir_arena_init(&p->arena);
  lang_diags_init(&p->diags, &p->arena);
  const char *path = weir_arena_printf(&p->arena, "%s/random.weir", folder);
  weir_status status = weir_file_write_atomic(path, text, strlen(text));
  p->request = (plan_request){.text = path, .random = true, .seed = seed, .models_folder = WEIR_SOURCE_DIR "/models"};
  if (!status) status = plan_read(&p->arena, &p->request, &p->diags, &p->unit);
  if (!status) status = plan_front(&p->unit);
  const ir_module *module = status ? NULL : p->unit.graph->module;
  const ir_function *function = module ? ir_function_find(module, "main") : NULL;
  for (int fresh = 0; fresh < 2 && !status; fresh++)
    status = lowered_case_make(&p->arena, function, seed + (uint64_t)fresh, 3, fresh, &p->cases[fresh]);
  if (!status) return NULL;
  const char *said = weir_arena_printf(&p->arena, "%s", weir_status_message(status));
  weir_status_release(status);
  if (p->diags.error_count) said = lang_diags_render(&p->diags, &p->arena, false);
  return said;
}

static const char *interpreted(program *p) {
  for (int fresh = 0; fresh < 2; fresh++) {
    const char *wrong = lowered_case_check_interpreted(&p->cases[fresh], p->tolerance);
    if (wrong) return weir_arena_printf(&p->arena, "%s: %s", fresh ? "fresh" : "with rows before", wrong);
  }
  return NULL;
}

// ---- compiled

static weir_status find_symbol(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  void *symbol = dlsym(context, kernel->symbol);
  if (!symbol) return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel '%s'", kernel->symbol);
  memcpy(&out_entry->native, &symbol, sizeof symbol);
  return WEIR_OK;
}

static void ok(weir_status status) { cr_assert(!status, "%s", weir_status_message(status)); }

// One shared object for the kernels of all programs.
static void *compile(program *programs, int count) {
  weir_arena arena;
  weir_arena_init(&arena);
  const ir_kernel **kernels = NULL;
  int kernel_count = 0, kernel_capacity = 0;
  for (int i = 0; i < count; i++) {
    const cg_module *code = programs[i].made ? programs[i].cases[1].code : NULL;
    for (int k = 0; code && k < code->kernel_count; k++) {
      bool known = false;
      for (int j = 0; j < kernel_count && !known; j++) known = !strcmp(kernels[j]->name, code->kernels[k]->name);
      if (!known) WEIR_PUSH(&arena, kernels, kernel_count, kernel_capacity, code->kernels[k]);
    }
  }
  cg_cpu_options options = {.cache_dir = KEPT_OBJECTS, .cache_bytes = KEPT_BYTES, .optimize = "-O1"};
  cg_cpu_isa isa;
  cg_cpu_object object;
  ok(cg_cpu_isa_find(&arena, "cpu", &isa));
  ok(cg_cpu_compile(&arena, kernels, kernel_count, &isa, 1, &options, &object));
  void *library = dlopen(object.path, RTLD_NOW);
  cr_assert(library, "%s", dlerror());
  weir_arena_deinit(&arena);
  return library;
}

static const char *compiled(program *p, void *library, int threads) {
  rt_kernel_provider provider = {.context = library, .lookup = find_symbol};
  const char *wrong = lowered_case_check_run(&p->cases[1], provider, threads, p->tolerance);
  if (wrong || !p->cases[1].program->step) return wrong;
  return lowered_case_check_pieces(&p->cases[1], provider, threads, p->request.seed);
}

// ---- failures

typedef struct {
  const char *folder;
  uint64_t seed;
  bool refused;  // fails means: is refused
  bool compile;  // the failure is one of compiled code
} shrinking;

static bool fails(void *user, const char *text) {
  shrinking *s = user;
  program *p = calloc(1, sizeof *p);
  const char *said = open_program(p, s->folder, text, s->seed);
  bool failed = s->refused ? said != NULL : !said && interpreted(p);
  if (!said && !failed && s->compile) {
    p->made = true;
    void *library = compile(p, 1);
    failed = compiled(p, library, 1) != NULL;
    dlclose(library);
  }
  close_program(p);
  free(p);
  return failed;
}

static void report(uint64_t seed, const random_choices *choices, const char *folder, const char *said, bool refused,
                   bool after_compiling) {
  static int shown = 0;
  weir_arena arena;
  weir_arena_init(&arena);
  shrinking s = {folder, seed, refused, after_compiling};
  const char *smallest = "";
  if (shown++ < SHOWN) {
    smallest = random_text_shrink(&arena, choices, fails, &s, after_compiling ? SHRINK_ATTEMPTS / 8 : SHRINK_ATTEMPTS);
  }
  cr_expect(false, "program %d: %s\n%s", (int)seed, said, smallest);
  weir_arena_deinit(&arena);
}

// ---- the test

static random_choices choices_of(uint64_t seed) {
  return (random_choices){.random = seed * 0x9E3779B97F4A7C15ull + 0x2545F4914F6CDD1Dull};
}

static void check_batch(uint64_t first, int count, const char *folder) {
  program *programs = calloc((size_t)count, sizeof *programs);
  random_choices *choices = calloc((size_t)count, sizeof *choices);
  weir_arena texts;
  weir_arena_init(&texts);
  for (int i = 0; i < count; i++) {
    choices[i] = choices_of(first + (uint64_t)i);
    const char *said = open_program(&programs[i], folder, random_text(&texts, &choices[i]), first + (uint64_t)i);
    const char *wrong = said ? NULL : interpreted(&programs[i]);
    programs[i].made = !said && !wrong;
    if (said || wrong) report(first + (uint64_t)i, &choices[i], folder, said ? said : wrong, said != NULL, false);
  }
  void *library = compile(programs, count);
  for (int i = 0; i < count; i++) {
    const char *wrong = programs[i].made ? compiled(&programs[i], library, 1 + i % 3) : NULL;
    if (wrong) report(first + (uint64_t)i, &choices[i], folder, wrong, false, true);
    close_program(&programs[i]);
  }
  dlclose(library);
  weir_arena_deinit(&texts);
  free(programs);
  free(choices);
}

Test(random_text, programs_mean_the_same_at_every_level, .timeout = 36000) {
  char folder[SCRATCH_BYTES];
  scratch_make(folder);
  long count = setting("WEIR_RANDOM_PROGRAMS", 150), seed = setting("WEIR_RANDOM_SEED", 1);
  for (long i = 0; i < count; i += BATCH)
    check_batch((uint64_t)(seed + i), (int)(count - i < BATCH ? count - i : BATCH), folder);
  scratch_remove(folder);
}
