// Meaning of regions and of windows: values known by hand, errors of the program, clones, what passes may rely on.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "ir/graph.h"

static weir_arena arena;
static void setup(void) { weir_arena_init(&arena); }
static void teardown(void) { weir_arena_deinit(&arena); }
TestSuite(region, .init = setup, .fini = teardown);

static ir_module *parse(const char *text) {
  ir_module *module = NULL;
  weir_status status = ir_parse_module(&arena, text, strlen(text), &module);
  cr_assert(!status, "%s", weir_status_message(status));
  return module;
}

static ir_tensor tensor(ir_dtype dtype, double *data, int rank, int64_t d0, int64_t d1) {
  return (ir_tensor){.dtype = dtype, .rank = rank, .dims = {d0, d1}, .data = data};
}

static void run(const ir_module *module, const char *name, const ir_tensor *args, ir_tensor *results) {
  weir_status status = ir_interpret(&arena, ir_function_find(module, name), args, results);
  cr_assert(!status, "%s", weir_status_message(status));
}

static void expect(const ir_tensor *got, const double *want, int count) {
  cr_assert_eq(ir_tensor_elements(got), count);
  for (int i = 0; i < count; i++) {
    if (isnan(want[i])) cr_expect(isnan(got->data[i]), "element %d is %g", i, got->data[i]);
    else cr_expect(fabs(got->data[i] - want[i]) <= 1e-12, "element %d is %g, not %g", i, got->data[i], want[i]);
  }
}

// y[n] = sum(k: x[n + k - 1] * w[k] where 0 <= n + k - 1 < A): subscripts leave the range where the guard fails.
static const char conv[] =
    "module M\ndim A: seq in 1..=100\n"
    "region conv.fold {\n  input %0: i32[] \"k\" in 0..=2\n  input %1: i32[] \"n\"\n  input %2: f32[A] \"x\"\n"
    "  input %3: f32[3] \"w\"\n  %4 = add %0, %1 : i32[]\n  %5 = constant {value=1, dtype=i32} : i32[]\n"
    "  %6 = sub %4, %5 : i32[]\n  %7 = element %2, %6 : f32[]\n  %8 = element %3, %0 : f32[]\n"
    "  %9 = mul %7, %8 : f32[]\n  %10 = constant {value=0, dtype=i32} : i32[]\n  %11 = ge %6, %10 : bool[]\n"
    "  %12 = size {dim=A} : i32[]\n  %13 = lt %6, %12 : bool[]\n  %14 = and %11, %13 : bool[]\n"
    "  result %9 \"\"\n  result %14 \"\"\n}\n"
    "region conv.map {\n  input %0: i32[] \"n\" in 0..=99\n  input %1: f32[A] \"x\"\n  input %2: f32[3] \"w\"\n"
    "  %3 = fold conv.fold %0, %1, %2 {dims=[3], combine=sum} : f32[]\n  result %3 \"\"\n}\n"
    "entry conv {\n  input %0: f32[A] \"x\"\n  input %1: f32[3] \"w\"\n"
    "  %2 = map conv.map %0, %1 {dims=[A]} : f32[A]\n  result %2 \"y\"\n}\n";

Test(region, guards_keep_subscripts_in_range) {
  // The fold's parameters are k, then the captures n, x, w.
  ir_module *module = parse(conv);
  double x[4] = {1, 2, 3, 4}, w[3] = {10, 1, 100};
  ir_tensor result;
  run(module, "conv", (ir_tensor[]){tensor(IR_f32, x, 1, 4, 0), tensor(IR_f32, w, 1, 3, 0)}, &result);
  expect(&result, (double[]){201, 312, 423, 34}, 4);
  run(module, "conv", (ir_tensor[]){tensor(IR_f32, x, 1, 1, 0), tensor(IR_f32, w, 1, 3, 0)}, &result);
  expect(&result, (double[]){1}, 1);
}

static void expect_fold(const char *combine, const char *type, int count, double want) {
  const char *text = weir_arena_printf(
      &arena,
      "module M\ndim N: plain in 0..=9\nregion r { input %%0: i32[] \"i\" input %%1: f32[N] \"x\"\n"
      "  %%2 = element %%1, %%0 : f32[] result %%2 \"\" }\n"
      "entry main { input %%0: f32[N] \"x\"\n  %%1 = fold r %%0 {dims=[N], combine=%s} : %s\n result %%1 \"y\" }\n",
      combine, type);
  double x[5] = {2, -1, 3, 3, -1};
  ir_tensor arg = tensor(IR_f32, x, 1, count, 0), result;
  run(parse(text), "main", &arg, &result);
  if (isnan(want)) cr_expect(isnan(result.data[0]), "%s of %d", combine, count);
  else
    cr_expect(result.data[0] == want || fabs(result.data[0] - want) < 1e-12, "%s of %d: %g", combine, count,
              result.data[0]);
}

Test(region, folds_combine) {
  expect_fold("sum", "f32[]", 5, 6);
  expect_fold("prod", "f32[]", 5, 18);
  expect_fold("max", "f32[]", 5, 3);
  expect_fold("min", "f32[]", 5, -1);
  expect_fold("mean", "f32[]", 5, 1.2);
  expect_fold("logsumexp", "f32[]", 5, log(exp(2) + 2 * exp(-1) + 2 * exp(3)));
  expect_fold("argmax", "i32[]", 5, 2);
  expect_fold("argmin", "i32[]", 5, 1);
  expect_fold("sum", "f32[]", 0, 0);
  expect_fold("prod", "f32[]", 0, 1);
  expect_fold("max", "f32[]", 0, -INFINITY);
  expect_fold("min", "f32[]", 0, INFINITY);
  expect_fold("mean", "f32[]", 0, NAN);
  expect_fold("logsumexp", "f32[]", 0, -INFINITY);
  expect_fold("argmax", "i32[]", 0, 0);
}

Test(region, an_index_outside_is_an_error) {
  ir_module *module = parse(
      "module M\nregion r { input %0: i32[] \"i\" input %1: f32[3] \"x\"\n  %2 = element %1, %0 : f32[] result %2 \"\" "
      "}\n"
      "entry main { input %0: f32[3] \"x\"\n  %1 = map r %0 {dims=[5]} : f32[5]\n result %1 \"y\" }\n");
  double x[3] = {1, 2, 3};
  ir_tensor arg = tensor(IR_f32, x, 1, 3, 0), result;
  weir_status status = ir_interpret(&arena, ir_function_find(module, "main"), &arg, &result);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_RANGE);
  cr_expect_str_eq(weir_status_message(status), "%2 = element in 'r': index 3 of axis 0 is not in 0..3");
  weir_status_release(status);
}

// Running sums with a stacked row; a while that stops; none at all.
Test(region, scans_carry_and_stop) {
  ir_module *module = parse(
      "module M\ndim T: seq in 1..=9\n"
      "region body { input %0: i32[] \"t\" input %1: f32[] \"c\" input %2: f32[T] \"x\"\n"
      "  %3 = element %2, %0 : f32[]\n  %4 = add %1, %3 : f32[]\n  result %4 \"\" result %1 \"\" }\n"
      "region step { input %0: i32[] \"t\" input %1: f32[] \"c\" input %2: i32[] \"n\" %3 = add %1, %1 : f32[]\n"
      "  %4 = cast %0 {dtype=i32} : i32[]\n  result %3 \"\" result %4 \"\" }\n"
      "region go { input %0: i32[] \"t\" input %1: f32[] \"c\" input %2: i32[] \"n\"\n"
      "  %3 = constant {value=100, dtype=f32} : f32[]\n  %4 = lt %1, %3 : bool[]\n  result %4 \"\" }\n"
      "entry main { input %0: f32[T] \"x\"\n  input %1: f32[] \"c\"\n  input %2: i32[] \"n\"\n"
      "  %3, %4 = scan body %1, %0 {dim=T, carries=1} : f32[], f32[T]\n"
      "  %5, %6 = scan step, go %1, %2 {dim=50, carries=2} : f32[], i32[]\n"
      "  result %3 \"last\" result %4 \"rows\" result %5 \"c\" result %6 \"n\" }\n");
  double x[4] = {1, 2, 3, 4}, c = 3, n = -1;
  ir_tensor args[3] = {tensor(IR_f32, x, 1, 4, 0), tensor(IR_f32, &c, 0, 0, 0), tensor(IR_i32, &n, 0, 0, 0)};
  ir_tensor results[4];
  run(module, "main", args, results);
  expect(&results[0], (double[]){13}, 1);
  expect(&results[1], (double[]){3, 4, 6, 9}, 4);
  expect(&results[2], (double[]){192}, 1);
  expect(&results[3], (double[]){5}, 1);
  c = 1000;
  run(module, "main", args, results);
  expect(&results[2], (double[]){1000}, 1);
  expect(&results[3], (double[]){-1}, 1);
}

Test(region, cond_runs_one_branch) {
  ir_module *module = parse(
      "module M\nregion yes { input %0: f32[2] \"x\" input %1: i32[] \"i\" %2 = element %0, %1 : f32[] result %2 \"\" "
      "}\n"
      "region no { input %0: f32[2] \"x\" input %1: i32[] \"i\" %2 = sum %0 {over=[0]} : f32[] result %2 \"\" }\n"
      "entry main { input %0: bool[] \"p\" input %1: f32[2] \"x\" input %2: i32[] \"i\"\n"
      "  %3 = cond yes, no %0, %1, %2 : f32[] result %3 \"y\" }\n");
  double p = 0, x[2] = {3, 4}, i = 7;
  ir_tensor args[3] = {tensor(IR_bool, &p, 0, 0, 0), tensor(IR_f32, x, 1, 2, 0), tensor(IR_i32, &i, 0, 0, 0)}, result;
  run(module, "main", args, &result);
  expect(&result, (double[]){7}, 1);
  p = 1;
  i = 1;
  run(module, "main", args, &result);
  expect(&result, (double[]){4}, 1);
}

Test(region, scatter_and_route) {
  ir_module *module = parse(
      "module M\ndim E: seq in 0..=9\nblock expert { input %0: f32[2] \"x\" weight %1: f32[] \"w\"\n"
      "  %2 = mul %0, %1 : f32[2] result %2 \"y\" }\n"
      "entry main { input %0: f32[E, 2] \"x\" input %1: i32[E] \"to\" input %2: i32[E] \"expert\" in 0..=1\n"
      "  weight %3: f32[] \"a\" weight %4: f32[] \"b\"\n  %5 = stack %3, %4 : f32[2]\n"
      "  %6 = route expert %2, %0, %5 : f32[E, 2]\n  %7 = scatter %1, %6 {dim=3, combine=sum} : f32[3, 2]\n"
      "  %8 = scatter %1, %6 {dim=3, combine=argmax} : i32[3, 2]\n"
      "  result %6 \"y\" result %7 \"sums\" result %8 \"best\" }\n");
  double x[6] = {1, 2, 3, 4, 5, 6}, to[3] = {2, -1, 2}, expert[3] = {1, 0, 0}, a = 10, b = 100;
  ir_tensor args[5] = {tensor(IR_f32, x, 2, 3, 2), tensor(IR_i32, to, 1, 3, 0), tensor(IR_i32, expert, 1, 3, 0),
                       tensor(IR_f32, &a, 0, 0, 0), tensor(IR_f32, &b, 0, 0, 0)};
  ir_tensor results[3];
  run(module, "main", args, results);
  expect(&results[0], (double[]){100, 200, 30, 40, 50, 60}, 6);
  expect(&results[1], (double[]){0, 0, 0, 0, 150, 260}, 6);
  expect(&results[2], (double[]){0, 0, 0, 0, 0, 0}, 6);
  args[0].dims[0] = args[1].dims[0] = args[2].dims[0] = 0;
  run(module, "main", args, results);
  expect(&results[1], (double[6]){0}, 6);
}

// ---- windows

static const char windowed[] =
    "module M\ndim T: seq in 1..=50\ndim T.past: seq in 0..=50 before T\ndim T.keep2: seq in 0..=2 kept T\n"
    "block B { input %0: f32[T] \"x\"\n  state %1: f32[T.keep2] \"rows\" rows window 3\n"
    "  %2 = append %1, %0 : f32[T + T.keep2]\n  %3 = pos {dim=T + T.keep2} : i32[T + T.keep2]\n"
    "  result %3 \"p\" result %2 \"rows\" of %1 }\n"
    "step next { input %0: f32[T] \"x\"\n  state %1: f32[T.keep2] \"rows\" rows window 3\n"
    "  %2, %3 = call B %0, %1 : i32[T + T.keep2], f32[T + T.keep2]\n  result %2 \"p\" result %3 \"rows\" of %1 }\n";

Test(region, windows_are_cut) {
  ir_module *module = parse(windowed);
  const ir_function *next = ir_function_find(module, "next");
  double x[4] = {1, 2, 3, 4};
  ir_tensor empty = tensor(IR_f32, x, 1, 0, 0), one = tensor(IR_f32, x, 1, 1, 0), all = tensor(IR_f32, x, 1, 4, 0);
  ir_tensor first[2], second[2], third[2];
  run(module, "next", (ir_tensor[]){one, empty}, first);
  expect(&first[0], (double[]){0}, 1);
  expect(&first[1], (double[]){1}, 1);
  run(module, "next", (ir_tensor[]){all, first[1]}, second);  // one row kept: T.past is 1
  expect(&second[0], (double[]){0, 1, 2, 3, 4}, 5);
  expect(&second[1], (double[]){3, 4}, 2);
  ir_tensor args[2] = {one, second[1]};
  weir_status status = ir_interpret(&arena, next, args, third);
  cr_expect_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  cr_expect(strstr(weir_status_message(status), "give T.past"), "%s", weir_status_message(status));
  weir_status_release(status);
  ir_symbol_value past = {ir_symbol_find(module->dims, "T.past"), 5};
  ir_interpret_options options = {.symbols = &past, .symbol_count = 1};
  cr_assert(!ir_interpret_with(&arena, next, &options, args, third));
  expect(&third[0], (double[]){3, 4, 5}, 3);
  expect(&third[1], (double[]){4, 1}, 2);
  past.value = 1;  // one row cannot leave two
  status = ir_interpret_with(&arena, next, &options, args, third);
  cr_expect_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  weir_status_release(status);
}

Test(region, kept_rows_are_a_symbol) {
  ir_module *module = ir_module_create(&arena, "M");
  ir_symbol *T = ir_symbol_get(module->dims, "T");
  T->role = IR_ROLE_SEQ;
  T->hi = 40;
  ir_symbol *keep = ir_symbol_keep(module->dims, T, 4);
  cr_assert_str_eq(keep->name, "T.keep3");
  cr_assert_eq(keep, ir_symbol_keep(module->dims, T, 4));
  cr_assert(keep->lo == 0 && keep->hi == 3 && keep->role == IR_ROLE_SEQ && keep->kept_of == T && T->past);
  ir_dim t = ir_dim_symbol(module->dims, T), kept = ir_dim_symbol(module->dims, keep);
  ir_dim past = ir_dim_symbol(module->dims, T->past);
  cr_expect_eq(ir_dim_first_position(module->dims, t), past);
  cr_expect_eq(ir_dim_first_position(module->dims, ir_dim_add(module->dims, kept, t)),
               ir_dim_sub(module->dims, past, kept));
  cr_expect_eq(ir_dim_first_position(module->dims, ir_dim_add(module->dims, past, t)), ir_dim_const(module->dims, 0));
}

// ---- building, cloning, cost

Test(region, builder_moves_regions_in_front) {
  ir_module *module = ir_module_create(&arena, "M");
  ir_type scalar = ir_type_make(IR_i32, 0, NULL);
  ir_dim three = ir_dim_const(module->dims, 3);
  ir_function *owner = ir_function_create(module, IR_FUNCTION_BLOCK, "owner");
  ir_function *outer = ir_function_create(module, IR_FUNCTION_REGION, "outer");
  ir_function *inner = ir_function_create(module, IR_FUNCTION_REGION, "inner");
  ir_function_add_result(inner, "", ir_function_add_param(inner, IR_PARAM_INPUT, "i", scalar), -1);
  ir_function_add_param(outer, IR_PARAM_INPUT, "j", scalar);
  const char *error = NULL;
  ir_attr fold[2] = {ir_attr_dims(IR_ATTR_dims, &three, 1), ir_attr_combine(IR_ATTR_combine, IR_COMBINE_sum)};
  ir_attr map = ir_attr_dims(IR_ATTR_dims, &three, 1);
  ir_node *sum = ir_build_region(outer, IR_OP_fold, inner, NULL, NULL, 0, fold, 2, (ir_loc){0}, &error);
  cr_assert(sum, "%s", error);
  cr_assert(!ir_build_region(owner, IR_OP_map, outer, NULL, NULL, 0, &map, 1, (ir_loc){0}, &error));
  cr_assert_str_eq(error, "map: region 'outer' must have one scalar result");
  ir_function_add_result(outer, "", sum->results[0], -1);
  ir_node *node = ir_build_region(owner, IR_OP_map, outer, NULL, NULL, 0, &map, 1, (ir_loc){0}, &error);
  cr_assert(node, "%s", error);
  ir_function_add_result(owner, "y", node->results[0], -1);
  cr_assert(module->functions[0] == inner && module->functions[1] == outer && module->functions[2] == owner);
  cr_assert(!ir_verify(module));
  double flops, bytes;
  ir_node_cost(node, NULL, &flops, &bytes);
  cr_expect_eq(flops, 9);
  cr_expect_eq(bytes, 12);
  ir_tensor result;
  cr_assert(!ir_interpret(&arena, owner, NULL, &result));
  expect(&result, (double[]){3, 3, 3}, 3);
}

Test(region, clones_take_other_dims) {
  ir_module *module = parse(conv);
  ir_symbol *A = ir_symbol_find(module->dims, "A");
  ir_dim *map = WEIR_NEW_ARRAY(&arena, ir_dim, ir_symbol_count(module->dims));
  map[A->index] = ir_dim_const(module->dims, 4);
  int before = module->function_count;
  ir_function *copy = ir_region_clone(module, ir_function_find(module, "conv.map"), map);
  cr_assert(copy);
  cr_assert_str_eq(copy->name, "conv.map.c1");
  cr_assert_eq(copy->params[1].value->type.dims[0], map[A->index]);
  cr_assert_eq(module->function_count, before + 2);
  cr_assert_neq(copy->first->callee, ir_function_find(module, "conv.fold"));
  weir_status status = ir_verify(module);
  cr_assert(strstr(weir_status_message(status), "has no owner"));
  weir_status_release(status);
  cr_assert(ir_module_drop_regions(module));
  cr_assert_eq(module->function_count, before);
  cr_assert(!ir_verify(module));
}

Test(region, deep_nesting_is_refused) {
  const char *text = "module M\nregion r0 { input %0: i32[] \"i\" result %0 \"\" }\n";
  for (int i = 1; i < 60; i++) {
    text = weir_arena_printf(&arena,
                             "%sregion r%d { input %%0: i32[] \"i\" %%1 = fold r%d {dims=[1], combine=sum} : i32[]\n"
                             "  result %%1 \"\" }\n",
                             text, i, i - 1);
  }
  text = weir_arena_printf(&arena, "%sblock b { %%0 = map r59 {dims=[1]} : i32[1] result %%0 \"\" }\n", text);
  ir_module *module;
  weir_status status = ir_parse_module(&arena, text, strlen(text), &module);
  cr_assert(strstr(weir_status_message(status), "more than 32 deep"), "%s", weir_status_message(status));
  weir_status_release(status);
}
