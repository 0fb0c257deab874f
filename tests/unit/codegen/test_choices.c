// Choices among schedules: every candidate that lowering offers is lowered and run by the kernel interpreter, and its
// results have the bits of the default.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/common/lowered_case.h"

enum { MOST_ELEMENTS = 1 << 16 };

typedef struct {
  bool recording;
  int count;
  double seen[MOST_ELEMENTS];
} bits;

static const char *compare_bits(lowered_case *c, int request, int result, int64_t index, double got, double want) {
  bits *b = c->user;
  (void)want;
  cr_assert(b->count < MOST_ELEMENTS);
  if (b->recording) b->seen[b->count] = got;
  bool same = !memcmp(&b->seen[b->count++], &got, sizeof got);
  return same ? NULL
              : weir_arena_printf(c->arena, "request %d, result %d, element %lld differs", request, result,
                                  (long long)index);
}

static weir_storage storage_f32(void *user, const char *path) {
  (void)user;
  (void)path;
  return WEIR_STORAGE_F32;
}

// Lowers with one choice and runs that.
static void try_choice(lowered_case *c, const cg_question *question, int64_t value, bool expect_other) {
  cg_choice choice = {question->key, question->parameter, value};
  cg_lower_options options = {.storage_of = storage_f32, .choices = &choice, .choice_count = 1};
  cg_module *code;
  cr_assert(!cg_lower(c->arena, c->function->module, &options, &code));
  int64_t chosen = -1;
  for (int i = 0; i < code->question_count; i++)
    if (!strcmp(code->questions[i].key, question->key) && !strcmp(code->questions[i].parameter, question->parameter))
      chosen = code->questions[i].chosen;
  cr_assert_eq(chosen, expect_other ? value : question->otherwise, "%s %s", question->key, question->parameter);
  c->code = code;
  c->program = code->programs[0];
  ((bits *)c->user)->count = 0;
  const char *wrong = lowered_case_check_interpreted(c, 0);
  cr_expect(!wrong, "%s %s=%lld: %s", question->key, question->parameter, (long long)value, wrong);
}

// Returns how many candidates there were.
static int check(const char *text) {
  weir_arena arena;
  ir_module *module;
  lowered_case c;
  int candidates = 0;
  weir_arena_init(&arena);
  weir_status status = ir_parse_module(&arena, text, strlen(text), &module);
  cr_assert(!status, "%s", weir_status_message(status));
  status = lowered_case_make(&arena, module->functions[0], 11, 3, false, &c);
  cr_assert(!status, "%s", weir_status_message(status));
  bits *seen = WEIR_NEW(&arena, bits);
  seen->recording = true;
  c.compare = compare_bits;
  c.user = seen;
  cr_assert(!lowered_case_check_interpreted(&c, 0));
  seen->recording = false;
  const cg_module *code = c.code;
  for (int i = 0; i < code->question_count; i++) {
    const cg_question *question = &code->questions[i];
    cr_assert_eq(question->chosen, question->otherwise);
    for (int k = 0; k < question->candidate_count; k++) try_choice(&c, question, question->candidates[k], true);
    try_choice(&c, question, 12345, false);  // nobody offered it
    candidates += question->candidate_count;
  }
  weir_arena_deinit(&arena);
  return candidates;
}

Test(choices, products_with_packed_matrices) {
  int count = check(
      "module M\ndim T: seq in 1..=9\nentry main {\n  input %0.x: f32[T, 24] \"x\"\n"
      "  weight %1: f32[64, 24] \"a\"\n  weight %2: f32[64, 24] \"b\"\n  weight %3: f32[40, 64] \"c\"\n"
      "  %4 = linear %0, %1 : f32[T, 64]\n  %5 = linear %0, %2 : f32[T, 64]\n  %6 = silu %4 : f32[T, 64]\n"
      "  %7 = mul %6, %5 : f32[T, 64]\n  %8 = linear %7, %3 : f32[T, 40]\n  result %8 \"y\"\n}\n");
  cr_assert_geq(count, 8);
}

Test(choices, products_of_values) {
  int count = check(
      "module M\nentry main {\n  input %0.x: f32[30, 20] \"x\"\n  input %1.y: f32[20, 70] \"y\"\n"
      "  %2 = matmul %0, %1 : f32[30, 70]\n  result %2 \"z\"\n}\n");
  cr_assert_geq(count, 5);
}

Test(choices, attention) {
  int count = check(
      "module M\ndim T: seq in 1..=150\nentry main {\n  input %0.x: f32[T, 2, 16] \"x\"\n"
      "  %1 = attend %0, %0, %0 {causal=true, window=0, scale=0.25} : f32[T, 2, 16]\n  result %1 \"y\"\n}\n");
  cr_assert_geq(count, 4);
}

Test(choices, convolutions) {
  int count = check(
      "module M\nentry main {\n  input %0.x: f32[2, 5, 12, 12] \"x\"\n  weight %1: f32[48, 5, 5, 5] \"w\"\n"
      "  %2 = conv %0, %1 {strides=[1, 1], before=[2, 2], after=[2, 2], dilations=[1, 1], groups=1} : f32[2, 48, 12, "
      "12]\n"
      "  result %2 \"y\"\n}\n");
  cr_assert_geq(count, 4);
}
