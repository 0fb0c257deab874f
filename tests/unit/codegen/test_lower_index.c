// Loops of index notation: what a guard becomes, and what is checked of a request's indices. That the numbers are right
// is seen in tests/text/lowered/index.txt, which test_lower_ragged runs.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/common/lowered_case.h"

static const char window[] =
    "module Window\n\n"
    "dim T: seq in 1..=64\n\n"
    "region sum.fold0 {\n"
    "  input %0.k: i32[] \"k\"\n"
    "  input %1.t: i32[] \"t\"\n"
    "  input %2.d: i32[] \"d\"\n"
    "  input %3.x: f32[T, 24] \"x\"\n"
    "  %4 = add %1.t, %0.k : i32[]\n"
    "  %5 = constant {value=2, dtype=i32} : i32[]\n"
    "  %6 = sub %4, %5 : i32[]\n"
    "  %7 = element %3.x, %6, %2.d : f32[]\n"
    "  %8 = constant {value=0, dtype=i32} : i32[]\n"
    "  %9 = le %8, %6 : bool[]\n"
    "  %10 = size {dim=T} : i32[]\n"
    "  %11 = lt %6, %10 : bool[]\n"
    "  %12 = and %9, %11 : bool[]\n"
    "  result %7 \"\"\n"
    "  result %12 \"\"\n"
    "}\n\n"
    "region sum.map0 {\n"
    "  input %0.t: i32[] \"t\"\n"
    "  input %1.d: i32[] \"d\"\n"
    "  input %2.x: f32[T, 24] \"x\"\n"
    "  %3 = fold sum.fold0 %0.t, %1.d, %2.x {dims=[5], combine=sum} : f32[]\n"
    "  result %3 \"\"\n"
    "}\n\n"
    "entry sum {\n"
    "  input %0.x: f32[T, 24] \"x\"\n"
    "  %1 = map sum.map0 %0.x {dims=[T, 24]} : f32[T, 24]\n"
    "  %2 = relu %1 : f32[T, 24]\n"
    "  result %2 \"\"\n"
    "}\n";

static const char edges[] =
    "module Edges\n\n"
    "dim N: seq in 1..=16\n"
    "dim E: seq in 4..=16\n\n"
    "entry up {\n"
    "  input %0.x: f32[N, 3] \"x\"\n"
    "  input %1.to: i32[E] \"to\" in 0..=15 below [N]\n"
    "  %2 = gather %0.x, %1.to : f32[E, 3]\n"
    "  %3 = scatter %1.to, %2 {dim=N, combine=sum} : f32[N, 3]\n"
    "  result %3 \"\"\n"
    "}\n";

static ir_function *read(weir_arena *arena, const char *text) {
  ir_module *module;
  weir_status status = ir_parse_module(arena, text, strlen(text), &module);
  cr_assert(!status, "%s", weir_status_message(status));
  cr_assert_str_eq(ir_print_module(arena, module), text);
  return module->functions[module->function_count - 1];
}

static void make(weir_arena *arena, const char *text, lowered_case *c) {
  weir_status status = lowered_case_make(arena, read(arena, text), 7, 3, true, c);
  cr_assert(!status, "%s", weir_status_message(status));
  const char *wrong = lowered_case_check_interpreted(c, 1e-5);
  cr_assert(!wrong, "%s", wrong);
}

// The guard of a window bounds its loop, which stands inside of lanes; the elementwise consumer is in the same kernel.
Test(lower_index, guards_narrow_loops) {
  weir_arena arena;
  weir_arena_init(&arena);
  lowered_case c;
  make(&arena, window, &c);
  cr_assert_eq(c.code->kernel_count, 1);
  const char *text = ir_kernel_print(&arena, c.code->kernels[0]);
  const char *lanes = strstr(text, "lanes "), *loop = strstr(text, "for k in max(0,");
  cr_expect(lanes && loop && lanes < loop, "%s", text);
  cr_expect(!strstr(text, "if "), "%s", text);
  weir_arena_deinit(&arena);
}

// An index below a size of the request is one for each request, however large others are.
Test(lower_index, indices_are_below_their_own_size) {
  weir_arena arena;
  weir_arena_init(&arena);
  lowered_case c;
  make(&arena, edges, &c);
  const ir_tensor *x = &c.args[0][0], *to = &c.args[0][1];
  for (int64_t i = 0; i < to->dims[0]; i++) cr_expect_lt(to->data[i], (double)x->dims[0]);
  to->data[2] = (double)x->dims[0];
  ir_tensor results[1];
  weir_status status = ir_interpret(&arena, c.function, c.args[0], results);
  cr_assert(status);
  cr_expect_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  cr_expect(strstr(weir_status_message(status), "element 2"), "%s", weir_status_message(status));
  weir_status_release(status);
  weir_arena_deinit(&arena);
}
