// Building: type rules, ranges, calls, changing a function.
#include <criterion/criterion.h>
#include <string.h>

#include "ir/graph.h"
#include "ir/text_buffer.h"

static weir_arena arena;
static ir_module *module;
static ir_function *function;
static ir_dim T;
static const ir_loc nowhere = {0};

static void setup(void) {
  weir_arena_init(&arena);
  module = ir_module_create(&arena, "M");
  function = ir_function_create(module, IR_FUNCTION_BLOCK, "f");
  ir_symbol *symbol = ir_symbol_get(module->dims, "T");
  symbol->role = IR_ROLE_SEQ;
  symbol->hi = 100;
  T = ir_dim_symbol(module->dims, symbol);
}

static void teardown(void) { weir_arena_deinit(&arena); }
TestSuite(build, .init = setup, .fini = teardown);

// A parameter of the type that |text| says: "f32[T, 4]".
static ir_value *param(const char *text) {
  ir_type type = {0};
  char name[16] = {0};
  size_t length = strcspn(text, "[");
  memcpy(name, text, length);
  cr_assert(ir_dtype_find(name, &type.dtype));
  const char *cursor = text + length + 1;
  while (*cursor != ']') {
    type.dims[type.rank++] = ir_dim_parse(module->dims, &cursor, true);
    cr_assert(type.dims[type.rank - 1]);
    cursor += *cursor == ',';
  }
  return ir_function_add_param(function, IR_PARAM_INPUT, "p", type);
}

static ir_value *ranged(const char *text, int64_t lo, int64_t hi) {
  ir_value *value = param(text);
  value->lo = lo;
  value->hi = hi;
  return value;
}

static void expect_type(const ir_value *value, const char *type, const char *error) {
  cr_assert(value, "%s", error);
  cr_expect_str_eq(ir_type_print(&arena, &value->type), type);
}

static void expect_range(const ir_value *value, int64_t lo, int64_t hi) {
  cr_assert(value);
  cr_expect(value->lo == lo && value->hi == hi, "%lld..=%lld", (long long)value->lo, (long long)value->hi);
}

static ir_value *integer(double value) { return ir_build_constant(function, value, IR_i32, nowhere); }

Test(build, broadcasting_is_by_suffix) {
  const char *error = NULL;
  ir_value *a = param("f32[T, 4]"), *b = param("f32[4]"), *c = param("f32[1]"), *d = param("f32[T]"),
           *h = param("f16[4]");
  expect_type(ir_build2(function, IR_OP_add, a, b, nowhere, &error), "f32[T, 4]", error);
  expect_type(ir_build2(function, IR_OP_lt, b, a, nowhere, &error), "bool[T, 4]", error);
  cr_assert_null(ir_build2(function, IR_OP_add, a, c, nowhere, &error));
  cr_assert_null(ir_build2(function, IR_OP_add, a, d, nowhere, &error));
  cr_expect(strstr(error, "neither is the end of the other"));
  cr_assert_null(ir_build2(function, IR_OP_add, b, h, nowhere, &error));
  cr_expect_str_eq(error, "add: operands are f32[4] and f16[4]; cast one of them");
  cr_assert_null(ir_build2(function, IR_OP_add, NULL, h, nowhere, &error));
  cr_expect_str_eq(error, "add: operand 0 is missing");
  cr_assert_null(ir_build1(function, IR_OP_add, a, nowhere, NULL));
}

Test(build, dtypes_are_checked) {
  ir_value *i = param("i32[4]"), *b = param("bool[4]");
  cr_assert_null(ir_build1(function, IR_OP_exp, i, nowhere, NULL));
  cr_assert_null(ir_build1(function, IR_OP_neg, b, nowhere, NULL));
  cr_assert_null(ir_build1(function, IR_OP_not, i, nowhere, NULL));
  cr_assert_null(ir_build2(function, IR_OP_lt, b, b, nowhere, NULL));
  cr_assert(ir_build2(function, IR_OP_eq, b, b, nowhere, NULL));
  cr_assert_null(ir_build_constant(function, 0.5, IR_i32, nowhere));
  cr_assert_null(ir_build_constant(function, 256, IR_u8, nowhere));
  cr_assert_null(ir_build_constant(function, 2, IR_bool, nowhere));
  cr_assert_null(ir_build_constant(function, 1e300, IR_i64, nowhere));
}

Test(build, reshape_decides_by_polynomials) {
  const char *error = NULL;
  ir_value *x = param("f32[T, 6]");
  ir_dim dims[3] = {T, ir_dim_const(module->dims, 2), ir_dim_const(module->dims, 3)};
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, 3);
  expect_type(ir_build(function, IR_OP_reshape, &x, 1, &attr, 1, nowhere, &error), "f32[T, 2, 3]", error);
  dims[0] = ir_dim_div(module->dims, T, ir_dim_const(module->dims, 2));
  dims[1] = ir_dim_const(module->dims, 12);
  attr = ir_attr_dims(IR_ATTR_dims, dims, 2);
  cr_assert_null(ir_build(function, IR_OP_reshape, &x, 1, &attr, 1, nowhere, &error));  // right for even T only
  cr_expect_str_eq(error, "reshape: f32[T, 6] has 6*T elements, f32[T/2, 12] has 6*T - 6*(T%2)");
}

Test(build, slices_are_proved) {
  const char *error = NULL;
  ir_value *x = param("f32[T, 6]");
  ir_dim zero = ir_dim_const(module->dims, 0), one = ir_dim_const(module->dims, 1);
  ir_attr attrs[3] = {ir_attr_int(IR_ATTR_axis, 0), ir_attr_dim(IR_ATTR_start, zero), ir_attr_dim(IR_ATTR_stop, one)};
  expect_type(ir_build(function, IR_OP_slice, &x, 1, attrs, 3, nowhere, &error), "f32[1, 6]", error);
  attrs[1].dim = ir_dim_sub(module->dims, T, one);
  attrs[2].dim = T;
  expect_type(ir_build(function, IR_OP_slice, &x, 1, attrs, 3, nowhere, &error), "f32[1, 6]", error);
  attrs[2].dim = ir_dim_add(module->dims, T, one);
  cr_assert_null(ir_build(function, IR_OP_slice, &x, 1, attrs, 3, nowhere, &error));
  cr_expect_str_eq(error, "slice: 0 <= T - 1 <= T + 1 <= T is not proved");
}

Test(build, products) {
  const char *error = NULL;
  expect_type(ir_build2(function, IR_OP_linear, param("f32[T, 6]"), param("f32[8, 6]"), nowhere, &error), "f32[T, 8]",
              error);
  expect_type(ir_build2(function, IR_OP_linear, param("f32[6]"), param("f32[8, 6]"), nowhere, &error), "f32[8]", error);
  cr_assert_null(ir_build2(function, IR_OP_linear, param("f32[T, 6]"), param("f32[6, 8]"), nowhere, &error));
  expect_type(ir_build2(function, IR_OP_matmul, param("f32[3, T, 6]"), param("f32[6, 2]"), nowhere, &error),
              "f32[3, T, 2]", error);
  cr_assert_null(ir_build2(function, IR_OP_matmul, param("f32[3, T, 6]"), param("f32[2, 6, 2]"), nowhere, &error));
  ir_value *operands[3] = {param("f32[T, 9, 4]"), param("f32[T + T.past, 3, 4]"), param("f32[T + T.past, 3, 5]")};
  ir_attr attrs[3] = {ir_attr_int(IR_ATTR_causal, 1), ir_attr_int(IR_ATTR_window, 0), ir_attr_float(IR_ATTR_scale, 1)};
  expect_type(ir_build(function, IR_OP_attend, operands, 3, attrs, 3, nowhere, &error), "f32[T, 9, 5]", error);
  operands[0] = param("f32[T, 8, 4]");
  cr_assert_null(ir_build(function, IR_OP_attend, operands, 3, attrs, 3, nowhere, &error));
}

Test(build, attributes_are_those_of_the_table) {
  const char *error = NULL;
  ir_value *x = param("f32[T, 6]");
  ir_attr axis = ir_attr_int(IR_ATTR_axis, 1), bad = ir_attr_int(IR_ATTR_axis, 2);
  ir_attr two[2] = {axis, axis};
  cr_assert(ir_build(function, IR_OP_softmax, &x, 1, &axis, 1, nowhere, &error));
  cr_assert_null(ir_build(function, IR_OP_softmax, &x, 1, &bad, 1, nowhere, &error));
  cr_expect_str_eq(error, "softmax: axis 2 is not in f32[T, 6]");
  cr_assert_null(ir_build(function, IR_OP_softmax, &x, 1, NULL, 0, nowhere, &error));
  cr_assert_null(ir_build(function, IR_OP_softmax, &x, 1, two, 2, nowhere, &error));
  int64_t axes[2] = {1, 0};
  ir_attr over = ir_attr_ints(IR_ATTR_over, axes, 2);
  cr_assert_null(ir_build(function, IR_OP_sum, &x, 1, &over, 1, nowhere, &error));
  cr_expect_str_eq(error, "sum: axes of 'over' must rise");
  ir_attr dim = ir_attr_dim(IR_ATTR_dim, NULL);
  cr_assert_null(ir_build(function, IR_OP_iota, NULL, 0, &dim, 1, nowhere, &error));
}

Test(build, ranges_follow_values) {
  ir_value *x = ranged("i32[T]", 0, 9);
  ir_attr dim = ir_attr_dim(IR_ATTR_dim, T);
  expect_range(ir_build2(function, IR_OP_add, x, integer(5), nowhere, NULL), 5, 14);
  expect_range(ir_build2(function, IR_OP_sub, integer(5), x, nowhere, NULL), -4, 5);
  expect_range(ir_build2(function, IR_OP_mul, x, integer(-2), nowhere, NULL), -18, 0);
  expect_range(ir_build2(function, IR_OP_div, x, integer(4), nowhere, NULL), 0, 2);
  expect_range(ir_build2(function, IR_OP_mod, x, integer(4), nowhere, NULL), 0, 3);
  expect_range(ir_build1(function, IR_OP_neg, x, nowhere, NULL), -9, 0);
  expect_range(ir_build1(function, IR_OP_last, x, nowhere, NULL), 0, 9);
  expect_range(ir_build(function, IR_OP_iota, NULL, 0, &dim, 1, nowhere, NULL), 0, 99);
  expect_range(ir_build(function, IR_OP_pos, NULL, 0, &dim, 1, nowhere, NULL), 0, 99);
  expect_range(ir_build(function, IR_OP_size, NULL, 0, &dim, 1, nowhere, NULL), 1, 100);
  ir_value *any = param("i32[T]");
  cr_assert_gt(any->lo, any->hi);
  ir_value *low = ir_build2(function, IR_OP_max, any, integer(0), nowhere, NULL);
  expect_range(low, 0, INT32_MAX);
  expect_range(ir_build2(function, IR_OP_min, low, integer(6), nowhere, NULL), 0, 6);
  ir_value *wrapped = ir_build2(function, IR_OP_add, low, integer(1), nowhere, NULL);
  cr_assert_gt(wrapped->lo, wrapped->hi);  // may wrap
}

Test(build, gather_needs_a_proved_index) {
  const char *error = NULL;
  ir_value *table = param("f32[7, 4]"), *rows = param("f32[T, 4]");
  ir_attr dim = ir_attr_dim(IR_ATTR_dim, T);
  expect_type(ir_build2(function, IR_OP_gather, table, ranged("i32[T]", 0, 6), nowhere, &error), "f32[T, 4]", error);
  cr_assert_null(ir_build2(function, IR_OP_gather, table, ranged("i32[T]", -1, 6), nowhere, &error));
  cr_assert_null(ir_build2(function, IR_OP_gather, table, ranged("i32[T]", 0, 7), nowhere, &error));
  cr_assert_null(ir_build2(function, IR_OP_gather, table, param("i32[T]"), nowhere, &error));
  cr_assert(ir_build2(function, IR_OP_gather, rows, ranged("i32[]", 0, 0), nowhere, &error));
  cr_assert(ir_build2(function, IR_OP_gather, rows, ir_build(function, IR_OP_iota, NULL, 0, &dim, 1, nowhere, NULL),
                      nowhere, &error));
  cr_assert_null(ir_build2(function, IR_OP_gather, rows, ranged("i32[]", 0, 1), nowhere, &error));
}

Test(build, calls_bind_symbols) {
  const char *error = NULL;
  ir_symbol *N = ir_symbol_get(module->dims, "N");
  N->divisor = 2;
  ir_value *x = param("f32[N, 2*N]"), *i = ranged("i32[]", 0, 3);
  ir_function_add_result(function, "", ir_build1(function, IR_OP_exp, x, nowhere, NULL), -1);
  ir_function_add_result(function, "", i, -1);
  ir_function *callee = function;
  function = ir_function_create(module, IR_FUNCTION_ENTRY, "main");
  ir_value *operands[2] = {param("f32[4, 8]"), ranged("i32[]", 1, 2)};
  ir_node *call = ir_build_call(function, callee, operands, 2, nowhere, &error);
  cr_assert(call, "%s", error);
  expect_type(call->results[0], "f32[4, 8]", error);
  expect_range(call->results[1], 0, 3);
  operands[0] = param("f32[N, 2*N]");
  cr_assert(ir_build_call(function, callee, operands, 2, nowhere, &error), "%s", error);
  operands[0] = param("f32[4, 9]");
  cr_assert_null(ir_build_call(function, callee, operands, 2, nowhere, &error));
  cr_expect_str_eq(error, "call f: operand 0 ('p'): is f32[4, 9], not f32[N, 2*N]");
  operands[0] = param("f32[3, 6]");
  cr_assert_null(ir_build_call(function, callee, operands, 2, nowhere, &error));
  operands[0] = param("f32[T, 2*T]");
  cr_assert_null(ir_build_call(function, callee, operands, 2, nowhere, &error));
  operands[0] = param("f32[4, 8]");
  operands[1] = ranged("i32[]", 1, 4);
  cr_assert_null(ir_build_call(function, callee, operands, 2, nowhere, &error));
  cr_assert_null(ir_build_call(function, callee, operands, 1, nowhere, &error));
  cr_assert(!ir_verify(module));
}

Test(build, functions_change) {
  ir_value *x = param("f32[4]"), *a = ir_build1(function, IR_OP_exp, x, nowhere, NULL),
           *b = ir_build1(function, IR_OP_neg, a, nowhere, NULL);
  ir_function_add_result(function, "y", b, -1);
  cr_assert_eq(ir_value_use_count(function, a), 1);
  ir_node *between = ir_insert(function, b->def, IR_OP_abs, &a, 1, NULL, 0, nowhere, NULL);
  ir_value_replace(function, b, between->results[0]);
  cr_assert_eq(ir_value_use_count(function, b), 0);
  ir_node_remove(b->def);
  ir_function_renumber(function);
  cr_assert_str_eq(
      ir_print_function(&arena, function),
      "block f {\n  input %0: f32[4] \"p\"\n  %1 = exp %0 : f32[4]\n  %2 = abs %1 : f32[4]\n  result %2 \"y\"\n}\n");
  cr_assert(!ir_verify(module));
  ir_node_remove(function->first);
  cr_assert_eq(function->first, between);
  cr_assert_eq(function->last, between);
}

Test(build, costs) {
  int64_t values[4] = {10, 0, 0, 0};
  double flops, bytes;
  ir_value *x = param("f16[T, 6]"), *w = param("f16[8, 6]"),
           *y = ir_build2(function, IR_OP_linear, x, w, nowhere, NULL);
  ir_node_cost(y->def, values, &flops, &bytes);
  cr_expect_float_eq(flops, 2 * 10 * 8 * 6, 0);
  cr_expect_float_eq(bytes, 2 * (10 * 6 + 8 * 6 + 10 * 8), 0);
  ir_value *e = ir_build1(function, IR_OP_exp, y, nowhere, NULL);
  ir_node_cost(e->def, values, &flops, &bytes);
  cr_expect_float_eq(flops, 8 * 80, 0);
  cr_expect_float_eq(bytes, 2 * 160, 0);
  ir_function_add_result(function, "", e, -1);
  ir_function *callee = function;
  function = ir_function_create(module, IR_FUNCTION_ENTRY, "main");
  ir_value *operands[2] = {param("f16[T, 6]"), param("f16[8, 6]")};
  ir_node_cost(ir_build_call(function, callee, operands, 2, nowhere, NULL), values, &flops, &bytes);
  cr_expect_float_eq(flops, 2 * 10 * 8 * 6 + 8 * 80, 0);
}

Test(build, numbers_print_shortest) {
  static const struct {
    double value;
    const char *text;
  } numbers[] = {{0, "0.0"},
                 {-0.0, "-0.0"},
                 {1, "1.0"},
                 {0.1, "0.1"},
                 {1e4, "10000.0"},
                 {1e-5, "1e-05"},
                 {1e300, "1e+300"},
                 {1.0 / 3, "0.3333333333333333"},
                 {123456.75, "123456.75"},
                 {__builtin_inf(), "inf"}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    ir_text text;
    ir_text_init(&text, &arena);
    ir_text_double(&text, numbers[i].value);
    cr_expect_str_eq(text.data, numbers[i].text);
  }
}
