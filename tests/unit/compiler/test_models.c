// Every model of the zoo, small and with random weights, at three levels: graph interpreter, kernel interpreter,
// compiled code in the runtime.
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/compile.h"
#include "compiler/plan/build.h"
#include "tests/common/lowered_case.h"
#include "tests/common/scratch.h"

static weir_status find_symbol(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  void *symbol = dlsym(context, kernel->symbol);
  if (!symbol) return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel '%s'", kernel->symbol);
  memcpy(&out_entry->native, &symbol, sizeof symbol);
  return WEIR_OK;
}

static void ok(weir_status status, const char *what) {
  cr_assert(!status, "%s: %s", what, weir_status_message(status));
}

static void *compile(weir_arena *arena, const cg_module *code) {
  cg_cpu_options options = {.cache_dir = KEPT_OBJECTS, .cache_bytes = KEPT_BYTES, .optimize = "-O1"};
  cg_cpu_isa isa;
  cg_cpu_object object;
  ok(cg_cpu_isa_find(arena, "cpu", &isa), "isa");
  ok(cg_cpu_compile(arena, (const ir_kernel *const *)code->kernels, code->kernel_count, &isa, 1, &options, &object),
     "compile");
  void *library = dlopen(object.path, RTLD_NOW);
  cr_assert(library, "%s", dlerror());
  return library;
}

static void check_model(const char *file, const char *const *overrides, int override_count) {
  weir_arena arena;
  weir_arena_init(&arena);
  lang_diags diags;
  lang_diags_init(&diags, &arena);
  plan_request request = {.text = weir_arena_printf(&arena, WEIR_SOURCE_DIR "/models/%s", file),
                          .random = true,
                          .overrides = overrides,
                          .override_count = override_count,
                          .models_folder = WEIR_SOURCE_DIR "/models"};
  plan_unit unit;
  ok(plan_read(&arena, &request, &diags, &unit), file);
  ok(plan_front(&unit), file);
  const ir_module *module = unit.graph->module;
  void *library = NULL;
  for (int i = 0; i < module->function_count; i++) {
    if (module->functions[i]->kind == IR_FUNCTION_BLOCK) continue;
    for (int fresh = 0; fresh < 2; fresh++) {
      lowered_case c;
      ok(lowered_case_make(&arena, module->functions[i], (uint64_t)(11 * i + fresh), 3, fresh, &c),
         module->functions[i]->name);
      const char *wrong = lowered_case_check_interpreted(&c, 1e-5);
      cr_expect(!wrong, "%s, %s, kernel interpreter: %s", file, c.function->name, wrong);
      if (!library) library = compile(&arena, c.code);
      rt_kernel_provider provider = {.context = library, .lookup = find_symbol};
      wrong = fresh ? lowered_case_check_run(&c, provider, 2, 1e-5) : NULL;
      cr_expect(!wrong, "%s, %s, compiled: %s", file, c.function->name, wrong);
    }
  }
  if (library) dlclose(library);
  plan_close(&unit);
  weir_arena_deinit(&arena);
}

static const char *const small_decoder[] = {"layers=2", "D=48", "F=80", "heads=6", "kv_heads=2", "V=100"};
static const char *const small_encoder[] = {"layers=2", "D=48", "F=80", "heads=4", "V=100"};

Test(models, smollm2) { check_model("smollm2.weir", small_decoder, 6); }
Test(models, llama) { check_model("llama.weir", small_decoder, 6); }
Test(models, qwen2) { check_model("qwen2.weir", small_decoder, 6); }
Test(models, minilm) { check_model("minilm.weir", small_encoder, 5); }
