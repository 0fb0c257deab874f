// Every diagnostic has an example that is refused with its code and no other, and a mend without errors.
#include "compiler/lang/diag_example.h"
#include "compiler/lang/elab.h"
#include "tests/unit/lang/lang_test.h"

// What stands behind |name| in the options; null without it.
static const char *option_value(lang_bench *bench, const lang_example_text *text, const char *name) {
  const char *options = weir_arena_strndup(&bench->arena, text->options, text->options_length);
  const char *found = strstr(options, name);
  return found ? found + strlen(name) + strspn(found + strlen(name), " ") : NULL;
}

// Checks a text as `weir check` does, or with a model and an override.
static void check(lang_bench *bench, const lang_example_text *text) {
  size_t length;
  const char *bytes = lang_example_expand(&bench->arena, text, &length);
  const char *folder = WEIR_SOURCE_DIR "/models", *model = option_value(bench, text, "--model"),
             *set = option_value(bench, text, "--set");
  lang_search search = {.folders = &folder, .count = 1};
  lang_program *program;
  cr_assert(!lang_load_text(&bench->arena, "test.weir", bytes, length, &search, &bench->diags, &program));
  if (!model && !set) {
    lang_check(&bench->arena, program, &bench->diags);
    return;
  }
  lang_options options = {.float_dtype = IR_f32, .model = model && *model ? model : NULL, .overrides = &set};
  options.override_count = set != NULL;
  (void)lang_elaborate(&bench->arena, program, &options, &bench->diags);
}

static bool only_code(const lang_diags *diags, lang_diag_code code) {
  for (int i = 0; i < diags->count; i++) {
    if (diags->data[i]->code != code) return false;
  }
  return diags->count > 0;
}

static void run_example(lang_diag_code code) {
  lang_diag_example example;
  const char *name = lang_diag_text(code);
  bool found = lang_diag_example_find(code, &example);
  cr_expect(found, "%s has no example in diag_examples.txt", name);
  if (!found) return;
  lang_bench *bench = bench_open();
  if (!option_value(bench, &example.wrong, "build")) {
    check(bench, &example.wrong);
    cr_expect(only_code(&bench->diags, code), "the example of %s gives\n%s", name,
              lang_diags_render(&bench->diags, &bench->arena, false));
  }
  bench_close(bench);
  bench = bench_open();
  check(bench, &example.mend);
  cr_expect_eq(bench->diags.count, 0, "the mend of %s gives\n%s", name,
               lang_diags_render(&bench->diags, &bench->arena, false));
  bench_close(bench);
}

Test(diag_examples, all) {
  for (int code = 0; code < LANG_W_COUNT; code++) run_example((lang_diag_code)code);
}
