// Graph passes: goldens, meaning kept on random modules, the gate.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/lang/rule.h"
#include "compiler/passes/pass.h"
#include "tests/common/golden.h"
#include "tests/common/random_module.h"

// ---- goldens: the commands are "pass NAME" and "pipeline"

// The library's rules, for the pass that applies them.
static ir_rules *read_rules(weir_arena *arena) {
  lang_diags *diags = WEIR_NEW(arena, lang_diags);
  lang_program *program;
  lang_diags_init(diags, arena);
  weir_status status = lang_load(arena, WEIR_SOURCE_DIR "/models/std/rules.weir", NULL, diags, &program);
  cr_assert(!status, "%s", weir_status_message(status));
  ir_rules *rules = ir_rules_create(arena);
  lang_rules_add(rules, program, true, diags);
  return rules;
}

static const char *run_command(weir_arena *arena, const char *command, const char *input) {
  ir_module *module;
  pass_options options = {.verify = true};
  pass_context context;
  if (strncmp(command, "pass ", 5) && strcmp(command, "pipeline")) return NULL;
  weir_status status = ir_parse_module(arena, input, strlen(input), &module);
  pass_context_init(&context, &options);
  if (!status) module->rules = read_rules(arena);
  for (int i = 0; i < PASS_COUNT && !status; i++) {
    bool wanted = !strcmp(command, "pipeline") || !strcmp(command + 5, pass_get_name((pass_id)i));
    if (wanted) status = pass_run(&context, module, (pass_id)i);
  }
  const char *output =
      status ? weir_arena_printf(arena, "%s\n", weir_status_message(status)) : ir_print_module(arena, module);
  weir_status_release(status);
  return output;
}

Test(passes, goldens) {
  int failed, count = golden_check(WEIR_SOURCE_DIR "/tests/text/ir", run_command, &failed);
  cr_assert_gt(count, 4);
  cr_assert_eq(failed, 0);
}

// ---- random modules

static ir_tensor *interpret(weir_arena *arena, const ir_function *main, uint64_t seed) {
  int64_t sizes[8];
  ir_tensor *args = WEIR_NEW_ARRAY(arena, ir_tensor, main->param_count);
  ir_tensor *results = WEIR_NEW_ARRAY(arena, ir_tensor, main->result_count);
  random_module_sizes(main->module, seed, sizes);
  random_module_args(arena, main, seed, sizes, args);
  weir_status status = ir_interpret(arena, main, args, results);
  cr_assert(!status, "seed %llu: %s", (unsigned long long)seed, weir_status_message(status));
  return results;
}

static void expect_equal(const ir_tensor *a, const ir_tensor *b, uint64_t seed, const char *text) {
  cr_assert_eq(ir_tensor_elements(a), ir_tensor_elements(b));
  for (int64_t i = 0; i < ir_tensor_elements(a); i++) {
    double gap = fabs(a->data[i] - b->data[i]);
    cr_assert(gap <= 1e-9 * (1 + fabs(a->data[i])), "seed %llu: %.17g, then %.17g\n%s", (unsigned long long)seed,
              a->data[i], b->data[i], text);
  }
}

static void check_seed(uint64_t seed, const pass_options *options) {
  weir_arena arena;
  weir_arena_init(&arena);
  ir_module *module = ir_module_create(&arena, "Random");
  ir_function *main = random_module_create(module, seed, 15 + (int)seed % 40);
  const char *before = ir_print_module(&arena, module);
  ir_tensor *expected = interpret(&arena, main, seed);
  pass_context context;
  pass_context_init(&context, options);
  weir_status status = pass_pipeline(&context, module);
  cr_assert(!status, "seed %llu: %s", (unsigned long long)seed, weir_status_message(status));
  ir_tensor *got = interpret(&arena, main, seed);
  for (int i = 0; i < main->result_count; i++) expect_equal(&expected[i], &got[i], seed, before);
  weir_arena_deinit(&arena);
}

Test(passes, meaning_is_kept) {
  pass_options options = {.verify = true};
  for (uint64_t seed = 0; seed < 300; seed++) check_seed(seed, &options);
}

Test(passes, meaning_is_kept_whatever_is_skipped) {
  for (int id = 0; id < PASS_COUNT; id++) {
    pass_options options = {.verify = true};
    options.skip[id] = true;
    for (uint64_t seed = 1000; seed < 1040; seed++) check_seed(seed, &options);
  }
}

// ---- the gate

static const char small[] =
    "module M\n"
    "entry main {\n  input %0: f32[4] \"x\"\n  %1 = constant {value=0.0, dtype=f32} : f32[]\n"
    "  %2 = exp %1 : f32[]\n  %3 = reshape %0 {dims=[4]} : f32[4]\n  %4 = exp %3 : f32[4]\n"
    "  result %4 \"y\"\n}\n";

Test(passes, gate_times_dumps_and_skips) {
  weir_arena arena;
  weir_arena_init(&arena);
  char folder[] = "/tmp/weir-passes-XXXXXX";
  cr_assert(mkdtemp(folder));
  ir_module *module;
  pass_options options;
  pass_context context;
  cr_assert(!ir_parse_module(&arena, small, sizeof small - 1, &module));
  cr_assert(!pass_options_init(&options, folder, "verify,skip-cse"));
  cr_assert(options.verify && options.skip[PASS_cse] && !options.skip[PASS_dce]);
  pass_context_init(&context, &options);
  cr_assert(!pass_pipeline(&context, module));
  cr_assert_eq(context.record_count, PASS_COUNT);
  cr_assert(context.records[PASS_cse].skipped);
  cr_assert(context.records[PASS_canonicalize].progress);
  cr_assert_eq(context.records[PASS_dce].nodes_after, 1);
  cr_assert(strstr(pass_print_records(&arena, &context), "cse            skipped"));
  for (int i = -1, number = 0; i < PASS_COUNT; i++) {
    if (i == PASS_cse) continue;
    const char *name = i < 0 ? "input" : pass_get_name((pass_id)i);
    const char *path = weir_arena_printf(&arena, "%s/%03d-%s.ir", folder, number++, name);
    cr_expect_eq(unlink(path), 0, "%s was not written", path);
  }
  rmdir(folder);
  weir_arena_deinit(&arena);
}

Test(passes, unknown_flag_is_named) {
  pass_options options;
  weir_status status = pass_options_init(&options, NULL, "skip-csi");
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  cr_assert(strstr(weir_status_message(status), "'skip-csi'") && strstr(weir_status_message(status), "skip-cse"));
  weir_status_release(status);
}

Test(passes, unwritable_dump_is_an_error) {
  weir_arena arena;
  weir_arena_init(&arena);
  ir_module *module;
  pass_options options;
  pass_context context;
  cr_assert(!ir_parse_module(&arena, small, sizeof small - 1, &module));
  cr_assert(!pass_options_init(&options, "/dev/null/dump", NULL));
  pass_context_init(&context, &options);
  weir_status status = pass_pipeline(&context, module);
  cr_assert(status);
  weir_status_release(status);
  weir_arena_deinit(&arena);
}
