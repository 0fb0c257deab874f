// Every op of the table against values known by hand.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "ir/eval.h"

#define INF INFINITY

typedef struct {
  const char *op;      // text of the node's right side; operands are %0, %1, %2, %3
  const char *result;  // its type, or its types
  const char *types[4];
  double data[4][16];
  double expected[16];  // of all results
} op_case;

static const op_case cases[] = {
    {"constant {value=2.5, dtype=f32}", "f32[]", {0}, {{0}}, {2.5}},
    {"iota {dim=4}", "i32[4]", {0}, {{0}}, {0, 1, 2, 3}},
    {"pos {dim=3}", "i32[3]", {0}, {{0}}, {0, 1, 2}},
    {"size {dim=2*3}", "i32[]", {0}, {{0}}, {6}},
    {"neg %0", "f32[2]", {"f32[2]"}, {{1, -2}}, {-1, 2}},
    {"neg %0", "i8[2]", {"i8[2]"}, {{-128, 5}}, {-128, -5}},
    {"abs %0", "f32[2]", {"f32[2]"}, {{1, -2}}, {1, 2}},
    {"exp %0", "f32[2]", {"f32[2]"}, {{0, 1}}, {1, M_E}},
    {"log %0", "f32[3]", {"f32[3]"}, {{1, M_E, 0}}, {0, 1, -INF}},
    {"sqrt %0", "f32[2]", {"f32[2]"}, {{4, 2}}, {2, M_SQRT2}},
    {"rsqrt %0", "f32[2]", {"f32[2]"}, {{4, 0.25}}, {0.5, 2}},
    {"sin %0", "f32[2]", {"f32[2]"}, {{0, M_PI / 6}}, {0, 0.5}},
    {"cos %0", "f32[2]", {"f32[2]"}, {{0, M_PI / 3}}, {1, 0.5}},
    {"tanh %0", "f32[2]", {"f32[2]"}, {{0, 1}}, {0, 0.76159415595576488812}},
    {"erf %0", "f32[2]", {"f32[2]"}, {{0, 1}}, {0, 0.84270079294971486934}},
    {"sigmoid %0", "f32[3]", {"f32[3]"}, {{0, 1, -1000}}, {0.5, 0.73105857863000487926, 0}},
    {"relu %0", "f32[3]", {"f32[3]"}, {{-1, 2, NAN}}, {0, 2, NAN}},
    {"silu %0", "f32[2]", {"f32[2]"}, {{1, -1}}, {0.73105857863000487926, -0.26894142136999512074}},
    {"gelu %0", "f32[2]", {"f32[2]"}, {{1, -1}}, {0.84134474606854294859, -0.15865525393145705141}},
    {"gelu_tanh %0", "f32[2]", {"f32[2]"}, {{1, -1}}, {0.84119199060827670478, -0.15880800939172329522}},
    {"softplus %0", "f32[3]", {"f32[3]"}, {{0, 1000, -1000}}, {M_LN2, 1000, 0}},
    {"floor %0", "f32[3]", {"f32[3]"}, {{1.5, -1.5, 2}}, {1, -2, 2}},
    {"ceil %0", "f32[3]", {"f32[3]"}, {{1.5, -1.5, 2}}, {2, -1, 2}},
    {"round %0", "f32[5]", {"f32[5]"}, {{0.5, 1.5, 2.5, -0.5, 1.4}}, {0, 2, 2, 0, 1}},
    {"not %0", "bool[2]", {"bool[2]"}, {{0, 1}}, {1, 0}},
    {"cast %0 {dtype=i32}",
     "i32[6]",
     {"f32[6]"},
     {{1.9, -1.9, NAN, 1e10, -1e10, INF}},
     {1, -1, 0, 2147483647, -2147483648.0, 2147483647}},
    {"cast %0 {dtype=u8}", "u8[3]", {"f32[3]"}, {{-1, 300, 254.9}}, {0, 255, 254}},
    {"cast %0 {dtype=i8}", "i8[3]", {"i32[3]"}, {{128, -129, 5}}, {-128, 127, 5}},
    {"cast %0 {dtype=bool}", "bool[3]", {"f32[3]"}, {{0, 0.5, -1}}, {0, 1, 1}},
    {"cast %0 {dtype=f32}", "f32[2]", {"bool[2]"}, {{0, 1}}, {0, 1}},
    {"cast %0 {dtype=f32}", "f32[1]", {"f64[1]"}, {{0.1}}, {0.100000001490116119384765625}},
    {"cast %0 {dtype=bf16}", "bf16[4]", {"f32[4]"}, {{1.00390625, 1.01171875, 3.4e38, 1}}, {1, 1.015625, INF, 1}},
    {"cast %0 {dtype=f16}",
     "f16[5]",
     {"f32[5]"},
     {{65519, 65520, 6e-8, 1e-9, 0.1}},
     {65504, INF, 5.9604644775390625e-8, 0, 0.0999755859375}},
    {"cast %0 {dtype=f8e4m3}", "f8e4m3[4]", {"f32[4]"}, {{448, 500, 17, 0.001953125}}, {448, NAN, 16, 0.001953125}},
    {"cast %0 {dtype=f8e5m2}", "f8e5m2[3]", {"f32[3]"}, {{57344, 1e6, 9}}, {57344, INF, 8}},
    {"add %0, %1", "f32[2, 2]", {"f32[2, 2]", "f32[2]"}, {{1, 2, 3, 4}, {10, 20}}, {11, 22, 13, 24}},
    {"add %0, %1", "f32[2, 2]", {"f32[]", "f32[2, 2]"}, {{1}, {1, 2, 3, 4}}, {2, 3, 4, 5}},
    {"add %0, %1", "u8[2]", {"u8[2]", "u8[2]"}, {{250, 1}, {10, 1}}, {4, 2}},
    {"sub %0, %1", "f32[2]", {"f32[2]", "f32[2]"}, {{1, 2}, {10, 20}}, {-9, -18}},
    {"mul %0, %1", "f32[2]", {"f32[2]", "f32[2]"}, {{1, 2}, {10, 20}}, {10, 40}},
    {"mul %0, %1", "i32[1]", {"i32[1]", "i32[1]"}, {{65536}, {65537}}, {65536}},
    {"div %0, %1", "f32[2]", {"f32[2]", "f32[2]"}, {{1, -1}, {4, 0}}, {0.25, -INF}},
    {"div %0, %1", "i32[5]", {"i32[5]", "i32[5]"}, {{7, -7, 7, -7, 7}, {2, 2, -2, -2, 0}}, {3, -4, -4, 3, 0}},
    {"mod %0, %1", "f32[3]", {"f32[3]", "f32[3]"}, {{7.5, -7.5, 7.5}, {2, 2, -2}}, {1.5, 0.5, -0.5}},
    {"mod %0, %1", "i32[5]", {"i32[5]", "i32[5]"}, {{7, -7, 7, -7, 7}, {2, 2, -2, -2, 0}}, {1, 1, -1, -1, 0}},
    {"pow %0, %1", "f32[3]", {"f32[3]", "f32[3]"}, {{2, 4, 5}, {10, 0.5, 0}}, {1024, 2, 1}},
    {"max %0, %1", "f32[4]", {"f32[4]", "f32[4]"}, {{1, 5, NAN, 1}, {2, 4, 1, NAN}}, {2, 5, NAN, NAN}},
    {"min %0, %1", "f32[4]", {"f32[4]", "f32[4]"}, {{1, 5, NAN, 1}, {2, 4, 1, NAN}}, {1, 4, NAN, NAN}},
    {"eq %0, %1", "bool[3]", {"f32[3]", "f32[3]"}, {{1, 2, NAN}, {1, 3, NAN}}, {1, 0, 0}},
    {"ne %0, %1", "bool[3]", {"f32[3]", "f32[3]"}, {{1, 2, NAN}, {1, 3, NAN}}, {0, 1, 1}},
    {"lt %0, %1", "bool[3]", {"i32[3]", "i32[]"}, {{1, 2, 3}, {2}}, {1, 0, 0}},
    {"le %0, %1", "bool[3]", {"i32[3]", "i32[]"}, {{1, 2, 3}, {2}}, {1, 1, 0}},
    {"gt %0, %1", "bool[3]", {"i32[3]", "i32[]"}, {{1, 2, 3}, {2}}, {0, 0, 1}},
    {"ge %0, %1", "bool[3]", {"i32[3]", "i32[]"}, {{1, 2, 3}, {2}}, {0, 1, 1}},
    {"and %0, %1", "bool[4]", {"bool[4]", "bool[4]"}, {{0, 0, 1, 1}, {0, 1, 0, 1}}, {0, 0, 0, 1}},
    {"or %0, %1", "bool[4]", {"bool[4]", "bool[4]"}, {{0, 0, 1, 1}, {0, 1, 0, 1}}, {0, 1, 1, 1}},
    {"select %0, %1, %2", "f32[2, 2]", {"bool[2]", "f32[2, 2]", "f32[]"}, {{1, 0}, {1, 2, 3, 4}, {9}}, {1, 9, 3, 9}},
    {"sum %0 {over=[0]}", "f32[3]", {"f32[2, 3]"}, {{1, 2, 3, 4, 5, 6}}, {5, 7, 9}},
    {"sum %0 {over=[0, 2]}", "f32[2]", {"f32[2, 2, 2]"}, {{1, 2, 3, 4, 5, 6, 7, 8}}, {14, 22}},
    {"sum %0 {over=[0]}", "i8[]", {"i8[3]"}, {{100, 100, 100}}, {44}},
    {"mean %0 {over=[1]}", "f32[2]", {"f32[2, 3]"}, {{1, 2, 3, 4, 5, 6}}, {2, 5}},
    {"prod %0 {over=[1]}", "f32[2]", {"f32[2, 3]"}, {{1, 2, 3, 4, 5, 6}}, {6, 120}},
    {"amax %0 {over=[1]}", "f32[2]", {"f32[2, 3]"}, {{1, 3, 2, -4, NAN, -6}}, {3, NAN}},
    {"amax %0 {over=[0]}", "i32[]", {"i32[0]"}, {{0}}, {-2147483648.0}},
    {"amin %0 {over=[1]}", "f32[2]", {"f32[2, 3]"}, {{1, 3, 2, -4, -5, -6}}, {1, -6}},
    {"amin %0 {over=[0]}", "f32[]", {"f32[0]"}, {{0}}, {INF}},
    {"norm %0 {over=[0]}", "f32[]", {"f32[2]"}, {{3, 4}}, {5}},
    {"logsumexp %0 {over=[0]}", "f32[]", {"f32[2]"}, {{1000, 1000}}, {1000 + M_LN2}},
    {"logsumexp %0 {over=[0]}", "f32[]", {"f32[0]"}, {{0}}, {-INF}},
    {"argmax %0 {over=[1]}", "i32[3]", {"f32[3, 3]"}, {{1, 5, 5, 9, 2, 1, 0, NAN, 7}}, {1, 0, 1}},
    {"softmax %0 {axis=0}", "f32[2, 2]", {"f32[2, 2]"}, {{0, 1000, M_LN2, 1000}}, {1.0 / 3, 0.5, 2.0 / 3, 0.5}},
    {"linear %0, %1", "f32[2, 3]", {"f32[2, 2]", "f32[3, 2]"}, {{1, 2, 3, 4}, {1, 0, 0, 1, 1, 1}}, {1, 2, 3, 3, 4, 7}},
    {"linear %0, %1",
     "f32[1]",
     {"f32[9]", "f32[1, 9]"},
     {{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 1, 1, 1, 1, 1, 1, 2}},
     {54}},
    {"matmul %0, %1", "f32[2, 1, 2]", {"f32[2, 1, 2]", "f32[2, 2]"}, {{1, 2, 3, 4}, {1, 2, 3, 4}}, {7, 10, 15, 22}},
    {"attend %0, %1, %2 {causal=false, window=0, scale=1.0}",
     "f32[1, 2, 1]",
     {"f32[1, 2, 1]", "f32[2, 1, 1]", "f32[2, 1, 1]"},
     {{0, M_LN2}, {0, 1}, {3, 9}},
     {6, 7}},
    {"attend %0, %1, %2 {causal=true, window=0, scale=1.0}",
     "f32[2, 1, 1]",
     {"f32[2, 1, 1]", "f32[3, 1, 1]", "f32[3, 1, 1]"},
     {{0, 0}, {1, 2, 3}, {3, 9, 15}},
     {6, 9}},
    {"attend %0, %1, %2 {causal=true, window=1, scale=1.0}",
     "f32[2, 1, 1]",
     {"f32[2, 1, 1]", "f32[3, 1, 1]", "f32[3, 1, 1]"},
     {{0, 0}, {1, 2, 3}, {3, 9, 15}},
     {9, 15}},
    {"gather %0, %1", "f32[2, 2]", {"f32[3, 2]", "i32[2]"}, {{1, 2, 3, 4, 5, 6}, {2, 0}}, {5, 6, 1, 2}},
    {"reshape %0 {dims=[3, 2]}", "f32[3, 2]", {"f32[2, 3]"}, {{1, 2, 3, 4, 5, 6}}, {1, 2, 3, 4, 5, 6}},
    {"permute %0 {perm=[1, 0]}", "f32[3, 2]", {"f32[2, 3]"}, {{1, 2, 3, 4, 5, 6}}, {1, 4, 2, 5, 3, 6}},
    {"permute %0 {perm=[2, 0, 1]}", "f32[2, 1, 3]", {"f32[1, 3, 2]"}, {{1, 2, 3, 4, 5, 6}}, {1, 3, 5, 2, 4, 6}},
    {"slice %0 {axis=1, start=1, stop=3}", "f32[2, 2]", {"f32[2, 3]"}, {{1, 2, 3, 4, 5, 6}}, {2, 3, 5, 6}},
    {"concat %0, %1 {axis=1}", "f32[2, 3]", {"f32[2, 1]", "f32[2, 2]"}, {{1, 2}, {3, 4, 5, 6}}, {1, 3, 4, 2, 5, 6}},
    {"broadcast %0 {dims=[3, 2]}", "f32[3, 2]", {"f32[2]"}, {{1, 2}}, {1, 2, 1, 2, 1, 2}},
    {"last %0", "f32[2]", {"f32[3, 2]"}, {{1, 2, 3, 4, 5, 6}}, {5, 6}},
    {"rope %0, %1 {theta=100.0, rotary=4, interleaved=false}",
     "f32[1, 1, 5]",
     {"f32[1, 1, 5]", "i32[1]"},
     {{1, 2, 3, 4, 5}, {2}},
     {-3.1440391170241875, 1.1654558325022384, -0.33914308281574557, 4.317604972955089, 5}},
    {"rope %0, %1 {theta=100.0, rotary=2, interleaved=true}",
     "f32[1, 1, 2]",
     {"f32[1, 1, 2]", "i32[1]"},
     {{1, 0}, {1}},
     {0.54030230586813976, 0.84147098480789651}},
    {"stack %0, %1", "f32[2, 2]", {"f32[2]", "f32[2]"}, {{1, 2}, {3, 4}}, {1, 2, 3, 4}},
    {"scatter %0, %1 {dim=2, combine=sum}", "f32[2]", {"i32[4]", "f32[4]"}, {{1, 1, 5, -1}, {1, 2, 3, 4}}, {0, 3}},
    {"scatter %0, %1 {dim=2, combine=max}", "i8[2]", {"i32[2]", "i8[2]"}, {{1, 1}, {1, 2}}, {-128, 2}},
    {"scatter %0, %1 {dim=2, combine=any}", "bool[2]", {"i32[2]", "bool[2]"}, {{1, 1}, {0, 1}}, {0, 1}},
    {"element %0, %1, %2", "f32[]", {"f32[2, 2]", "i32[]", "i32[]"}, {{1, 2, 3, 4}, {1}, {0}}, {3}},
    {"append %0, %1", "f32[3, 1]", {"f32[2, 1]", "f32[1, 1]"}, {{1, 2}, {3}}, {1, 2, 3}},
};

#include "tests/unit/ir/op_cases_more.h"

// A module of one node; |text| is allocated in |arena|.
static ir_function *make_function(weir_arena *arena, const op_case *c) {
  const char *text = "module M\nentry main {\n";
  bool two = strstr(c->result, "], ");
  for (int i = 0; i < 4 && c->types[i]; i++) {
    bool index = !strncmp(c->op, "gather", 6) && i == 1;
    text = weir_arena_printf(arena, "%sinput %%%d: %s \"x%d\"%s\n", text, i, c->types[i], i, index ? " in 0..=2" : "");
  }
  text = weir_arena_printf(arena, "%s%%9%s = %s : %s\nresult %%9 \"y\"\n%s}\n", text, two ? ", %10" : "", c->op,
                           c->result, two ? "result %10 \"z\"\n" : "");
  ir_module *module;
  weir_status status = ir_parse_module(arena, text, strlen(text), &module);
  cr_assert(!status, "%s\n%s", weir_status_message(status), text);
  return module->functions[0];
}

static ir_tensor make_tensor(const ir_type *type, const double *data) {
  ir_tensor tensor = {.dtype = type->dtype, .rank = type->rank, .data = (double *)data};
  for (int i = 0; i < type->rank; i++) ir_dim_is_const(type->dims[i], &tensor.dims[i]);
  return tensor;
}

static void check_case(const op_case *c) {
  weir_arena arena;
  weir_arena_init(&arena);
  const ir_function *function = make_function(&arena, c);
  ir_tensor args[4], results[2];
  int at = 0;
  for (int i = 0; i < function->param_count; i++) args[i] = make_tensor(&function->params[i].value->type, c->data[i]);
  weir_status status = ir_interpret(&arena, function, args, results);
  cr_assert(!status, "%s: %s", c->op, weir_status_message(status));
  for (int r = 0; r < function->result_count; r++) {
    for (int64_t i = 0; i < ir_tensor_elements(&results[r]); i++, at++) {
      double got = results[r].data[i], expected = c->expected[at];
      double most = 1e-14 * (fabs(expected) < 1e-10 ? 1e-30 + fabs(expected) : 1 + fabs(expected));
      if (expected == 0) most = 1e-14;
      bool same = isnan(expected) ? isnan(got) : got == expected || fabs(got - expected) <= most;
      cr_expect(same, "%s: element %d is %.17g, not %.17g", c->op, at, got, expected);
    }
  }
  weir_arena_deinit(&arena);
}

Test(ops, known_values) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
  for (size_t i = 0; i < sizeof more_cases / sizeof *more_cases; i++) check_case(&more_cases[i]);
}

static bool has_case(const char *name, const op_case *all, size_t count) {
  for (size_t i = 0; i < count; i++) {
    size_t length = strcspn(all[i].op, " ");
    if (strlen(name) == length && !strncmp(all[i].op, name, length)) return true;
  }
  return false;
}

Test(ops, every_op_has_a_case) {
  for (int op = 0; op < IR_OP_COUNT; op++) {
    if (ir_op_get_info((ir_op)op)->flags & IR_FLAG_REGION || op == IR_OP_route) continue;  // test_graph_region.c
    const char *name = ir_op_get_info((ir_op)op)->name;
    bool found = op == IR_OP_call || has_case(name, cases, sizeof cases / sizeof *cases) ||
                 has_case(name, more_cases, sizeof more_cases / sizeof *more_cases);
    cr_expect(found, "'%s' has no case", name);
    cr_expect_eq(ir_op_eval((ir_op)op) == NULL, ir_op_takes_function((ir_op)op));
  }
}

// Two calls of a step give what one call over all rows gives.
Test(ops, states_and_positions_continue) {
  static const char text[] =
      "module M\ndim T: seq in 1..=8\ndim T.past: seq in 0..=8 before T\n"
      "block Attend {\n  input %0: f32[T, 1, 2] \"x\"\n  state %1: f32[T.past, 1, 2] \"k\" rows\n  %2 = pos {dim=T} : "
      "i32[T]\n"
      "  %3 = rope %0, %2 {theta=10.0, rotary=2, interleaved=false} : f32[T, 1, 2]\n  %4 = append %1, %3 : f32[T + "
      "T.past, 1, 2]\n"
      "  %5 = attend %3, %4, %4 {causal=true, window=0, scale=1.0} : f32[T, 1, 2]\n  result %5 \"\"\n  result %4 \"k\" "
      "of %1\n}\n"
      "step next {\n  input %0: f32[T, 1, 2] \"x\"\n  state %1: f32[T.past, 1, 2] \"k\" rows\n"
      "  %2, %3 = call Attend %0, %1 : f32[T, 1, 2], f32[T + T.past, 1, 2]\n  result %2 \"y\"\n  result %3 \"k\" of "
      "%1\n}\n";
  weir_arena arena;
  weir_arena_init(&arena);
  ir_module *module;
  weir_status status = ir_parse_module(&arena, text, sizeof text - 1, &module);
  cr_assert(!status, "%s", weir_status_message(status));
  const ir_function *next = ir_function_find(module, "next");
  double x[10] = {1, 2, -1, 0.5, 3, 1, 0, -2, 1, 1};
  ir_tensor empty = {.dtype = IR_f32, .rank = 3, .dims = {0, 1, 2}, .data = x}, whole[2], first[2], second[2];
  ir_tensor all = {.dtype = IR_f32, .rank = 3, .dims = {5, 1, 2}, .data = x}, head = all, tail = all;
  head.dims[0] = 2;
  tail.dims[0] = 3;
  tail.data = x + 4;
  cr_assert(!ir_interpret(&arena, next, (ir_tensor[]){all, empty}, whole));
  cr_assert(!ir_interpret(&arena, next, (ir_tensor[]){head, empty}, first));
  cr_assert(!ir_interpret(&arena, next, (ir_tensor[]){tail, first[1]}, second));
  cr_assert_eq(second[1].dims[0], 5);
  for (int i = 0; i < 10; i++) {
    cr_expect_float_eq(whole[1].data[i], second[1].data[i], 1e-15);
    cr_expect_float_eq(whole[0].data[i], i < 4 ? first[0].data[i] : second[0].data[i - 4], 1e-15);
  }
  weir_arena_deinit(&arena);
}

// ---- arguments are checked

static void expect_refused(const char *params, const ir_tensor *args, const char *reason) {
  weir_arena arena;
  weir_arena_init(&arena);
  const char *text = weir_arena_printf(
      &arena, "module M\ndim T: seq in 1..=4\ndim E: plain in 1.. by 2\ndim U: plain in 1..\nentry main {\n%s}\n",
      params);
  ir_module *module;
  ir_tensor results[1];
  weir_status status = ir_parse_module(&arena, text, strlen(text), &module);
  cr_assert(!status, "%s", weir_status_message(status));
  status = ir_interpret(&arena, module->functions[0], args, results);
  cr_expect_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT, "%s", reason);
  cr_expect(strstr(weir_status_message(status), reason), "%s", weir_status_message(status));
  weir_status_release(status);
  weir_arena_deinit(&arena);
}

Test(ops, arguments_are_checked) {
  double data[16] = {0, 1, 7};
  ir_tensor five = {.dtype = IR_f32, .rank = 1, .dims = {5}, .data = data},
            three = {.dtype = IR_f32, .rank = 1, .dims = {3}, .data = data};
  ir_tensor ints = {.dtype = IR_i32, .rank = 1, .dims = {3}, .data = data};
  expect_refused("input %0: f32[T] \"x\"\n", &five, "T = 5 is not in 1..=4");
  expect_refused("input %0: f32[E] \"x\"\n", &five, "E = 5 is no multiple of 2");
  expect_refused("input %0: f32[4] \"x\"\n", &three, "dim 0 is 3");
  expect_refused("input %0: f32[T] \"x\"\ninput %1: f32[2*T] \"y\"\n", (ir_tensor[]){three, five},
                 "argument 'y': dim 0 is 5");
  expect_refused("input %0: i32[3] \"x\"\n", &three, "is f32");
  expect_refused("input %0: i32[3] \"x\" in 0..=6\n", &ints, "element 2 is 7, outside 0..=6");
  expect_refused("input %0: i32[3] \"x\"\n%1 = iota {dim=U} : i32[U]\n", &ints, "fixes the size U");
}
