// Text of the graph IR: goldens of printing and of complaints, robustness, the verifier on broken modules.
#include <criterion/criterion.h>
#include <string.h>

#include "ir/graph.h"
#include "tests/common/golden.h"

static weir_arena arena;
static void setup(void) { weir_arena_init(&arena); }
static void teardown(void) { weir_arena_deinit(&arena); }
TestSuite(text, .init = setup, .fini = teardown);

static const char *run_command(weir_arena *memory, const char *command, const char *input) {
  ir_module *module;
  if (strcmp(command, "print")) return NULL;
  weir_status status = ir_parse_module(memory, input, strlen(input), &module);
  const char *output =
      status ? weir_arena_printf(memory, "%s\n", weir_status_message(status)) : ir_print_module(memory, module);
  weir_status_release(status);
  if (!status) {  // a fixed point
    ir_module *again;
    cr_assert(!ir_parse_module(memory, output, strlen(output), &again));
    cr_assert_str_eq(ir_print_module(memory, again), output);
  }
  return output;
}

Test(text, goldens) {
  int failed, count = golden_check(WEIR_SOURCE_DIR "/tests/text/ir", run_command, &failed);
  cr_assert_gt(count, 10);
  cr_assert_eq(failed, 0);
}

// ---- parsing hostile text

static weir_code parse_code(const char *text, size_t length) {
  ir_module *module;
  weir_status status = ir_parse_module(&arena, text, length, &module);
  weir_code code = weir_status_code(status);
  weir_status_release(status);
  return code;
}

Test(text, every_prefix_is_refused_or_whole) {
  static const char text[] =
      "module M\ndim T: seq in 1..=9 by 2\n/// doc\nentry main {\n  input %0.x: f32[T, 2*T] \"x\" \n"
      "  %1 = sum %0.x {over=[0, 1]} : f32[]\n  result %1 \"y\"\n}\n";
  cr_assert_eq(parse_code(text, sizeof text - 1), WEIR_CODE_OK);
  int whole = 0;
  for (size_t length = 0; length < sizeof text - 1; length++) whole += parse_code(text, length) == WEIR_CODE_OK;
  cr_assert_leq(whole, 20, "%d prefixes are modules", whole);
}

Test(text, zero_bytes_are_refused) {
  cr_assert_eq(parse_code("module M\n\0 ", 11), WEIR_CODE_INVALID_DATA);
  cr_assert_eq(parse_code("module M\n", 9), WEIR_CODE_OK);
  cr_assert_eq(parse_code("", 0), WEIR_CODE_INVALID_DATA);
}

Test(text, deep_nesting_and_huge_numbers_are_refused) {
  char text[4096] = "module M\ndim T: seq in 1..\nentry e { input %0: f32[";
  size_t length = strlen(text);
  memset(text + length, '(', 3000);
  cr_assert_eq(parse_code(text, length + 3000), WEIR_CODE_INVALID_DATA);
  static const char *const texts[] = {
      "module M entry e { input %99999999999: f32[] \"x\" }",
      "module M entry e { input %9999999: f32[] \"x\" }",
      "module M entry e { input %0: f32[99999999999999999999] \"x\" }",
      "module M dim T: seq in 5..=4",
      "module M dim T: seq in -5..=4",
      "module M dim T: plain in 1..=4 by 0",
      "module M dim T: plain in 1..=4 before T",
      "module M dim T: plain in 1..=4 dim T: plain in 1..=4",
      "module M entry e { %0 = constant {value=1e999999, dtype=i32} : i32[] }",
      "module M entry e { %0 = constant {value=1, dtype=f32, value=1} : f32[] }",
      "module M entry e { input %0: f32[1,1,1,1,1,1,1,1,1] \"x\" }",
      "module M entry e { } entry e { }",
      "module M entry e { call e }",
      "module M entry e { call f }",
      "module M /// doc",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    cr_expect_eq(parse_code(texts[i], strlen(texts[i])), WEIR_CODE_INVALID_DATA, "%s", texts[i]);
  }
}

// ---- the verifier

static ir_function *simple_function(ir_module **out_module) {
  static const char text[] =
      "module M\nblock B {\n  input %0.x: f32[4] \"x\"\n  %1 = exp %0.x : f32[4]\n  %2 = neg %1 : f32[4]\n  result %2 "
      "\"y\"\n}\n";
  cr_assert(!ir_parse_module(&arena, text, sizeof text - 1, out_module));
  return (*out_module)->functions[0];
}

static void expect_complaint(const ir_module *module, const char *text) {
  weir_status status = ir_verify(module);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA);
  cr_expect(strstr(weir_status_message(status), text), "got: %s", weir_status_message(status));
  weir_status_release(status);
}

Test(text, verifier_shows_the_line) {
  ir_module *module;
  ir_function *function = simple_function(&module);
  function->last->results[0]->type.dims[0] = ir_dim_const(module->dims, 5);
  weir_status status = ir_verify(module);
  cr_assert_str_eq(weir_status_message(status),
                   "result %2 is f32[5], but its operands give f32[4]\n"
                   "block B {\n"
                   "  input %0.x: f32[4] \"x\"\n"
                   "  %1 = exp %0.x : f32[4]\n"
                   "  %2 = neg %1 : f32[5]\n"
                   "  ^^^ result %2 is f32[5], but its operands give f32[4]\n"
                   "  result %2 \"y\"\n"
                   "}\n");
  weir_status_release(status);
}

Test(text, verifier_finds_broken_structure) {
  ir_module *module;
  ir_function *function = simple_function(&module);
  ir_node *exp = function->first, *neg = function->last;
  exp->operands[0] = neg->results[0];
  expect_complaint(module, "%2 is used before its definition");
  exp->operands[0] = NULL;
  expect_complaint(module, "an operand is missing");

  function = simple_function(&module);
  function->last->results[0]->id = 1;
  expect_complaint(module, "id %1 stands for two values");

  function = simple_function(&module);
  function->first->result_count = 0;
  expect_complaint(module, "'exp' has 1 results, not 0");

  function = simple_function(&module);
  function->last->prev = NULL;
  expect_complaint(module, "not linked");

  function = simple_function(&module);
  function->first->results[0]->def = function->last;
  expect_complaint(module, "does not name its definition");

  function = simple_function(&module);
  function->first->op = IR_OP_softmax;
  expect_complaint(module, "'softmax' has 1 attributes, not 0");

  function = simple_function(&module);
  function->results[0].state = 0;
  expect_complaint(module, "names no state parameter");

  function = simple_function(&module);
  function->first->op = IR_OP_call;
  function->first->callee = function;
  expect_complaint(module, "does not stand before its caller");
}
