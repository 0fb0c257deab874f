// Golden texts of lowering: a graph, and its fusion decisions, kernels or program. WEIR_BLESS=1 rewrites the expected
// outputs.
#include <criterion/criterion.h>
#include <string.h>

#include "codegen/lower/lower.h"
#include "tests/common/golden.h"

static weir_storage storage_of(void *user, const char *path) {
  (void)user;
  return strstr(path, "q4") ? WEIR_STORAGE_Q4_1 : WEIR_STORAGE_F32;
}

static const char *append(weir_arena *arena, const char *text, const char *more) {
  return weir_arena_printf(arena, "%s%s", text, more);
}

static const char *decisions(weir_arena *arena, const cg_module *code) {
  const char *text = "";
  for (int i = code->decision_count - 1; i >= 0; i--) {
    const cg_decision *d = &code->decisions[i];
    text = append(arena, text,
                  weir_arena_printf(arena, "%s: %s -> %s: %s, %s\n", d->function, d->producer,
                                    *d->consumer ? d->consumer : "result", d->fused ? "fused" : "apart", d->reason));
  }
  return text;
}

static const char *run(weir_arena *arena, const char *command, const char *input) {
  bool blocks = strcmp(command, "blocks") == 0;  // block kernels
  bool kernels = blocks || strcmp(command, "kernels") == 0, program = strcmp(command, "program") == 0;
  if (!kernels && !program && strcmp(command, "fusion") != 0) return NULL;
  ir_module *module;
  cg_module *code;
  cg_lower_options options = {.storage_of = storage_of, .blocks = blocks};
  weir_status status = ir_parse_module(arena, input, strlen(input), &module);
  if (!status) status = cg_lower(arena, module, &options, &code);
  if (status) {
    const char *text = weir_arena_printf(arena, "%s\n", weir_status_message(status));
    weir_status_release(status);
    return text;
  }
  if (!kernels && !program) return decisions(arena, code);
  const char *text = "";
  for (int i = 0; kernels && i < code->kernel_count; i++)
    text = append(arena, text, ir_kernel_print(arena, code->kernels[i]));
  for (int i = 0; program && i < code->program_count; i++)
    text = append(arena, text, rt_program_print(arena, code->programs[i]));
  return text;
}

Test(lower, golden_texts) {
  int failed = 0, count = golden_check(WEIR_SOURCE_DIR "/tests/text/lower", run, &failed);
  cr_assert_gt(count, 0);
  cr_assert_eq(failed, 0, "%d of %d differ", failed, count);
}
