// What type rules refuse, with their reasons; what they know of results: dims over symbols, ranges.
#include <criterion/criterion.h>
#include <string.h>

#include "ir/rules.h"

static weir_arena arena;
static void setup(void) { weir_arena_init(&arena); }
static void teardown(void) { weir_arena_deinit(&arena); }
TestSuite(rules, .init = setup, .fini = teardown);

// An entry with the operands |types| and one node |op|.
static weir_status parse(const char *op, const char *result, const char *const *types, ir_module **out_module) {
  const char *text = "module M\ndim T: seq in 1..=100\ndim N: plain in 0..=9\nentry main {\n";
  for (int i = 0; i < 4 && types[i]; i++)
    text = weir_arena_printf(&arena, "%sinput %%%d: %s \"x%d\"\n", text, i, types[i], i);
  text = weir_arena_printf(&arena, "%s%%8%s = %s : %s\nresult %%8 \"y\"\n}\n", text,
                           strstr(result, "], ") ? ", %9" : "", op, result);
  return ir_parse_module(&arena, text, strlen(text), out_module);
}

typedef struct {
  const char *op, *reason, *types[4];
} refusal;

#define CONV " {strides=[1], before=[0], after=[0], dilations=[1], groups=1}"

static const refusal refusals[] = {
    {"is_nan %0", "operand 0 is i32[2]; it must be a float", {"i32[2]"}},
    {"bit_and %0, %1", "operand 0 is f32[2]; it must be integers", {"f32[2]", "f32[2]"}},
    {"bit_and %0, %1", "operands are i32[2] and i8[2]; cast one", {"i32[2]", "i8[2]"}},
    {"xor %0, %1", "it must be bool", {"i32[2]", "i32[2]"}},
    {"saturate %0 {dtype=f32}", "'dtype' must be an integer type", {"i32[2]"}},
    {"fits %0 {dtype=i8}", "the operand is bool; cast it", {"bool[2]"}},
    {"bitcast %0 {dtype=i16}", "f32[2] has not the bits of i16", {"f32[2]"}},
    {"bitcast %0 {dtype=i64}", "f64[2] has not the bits of i64", {"f64[2]"}},
    {"random %0, %1", "operand 1 is i8[], not i32", {"i32[]", "i8[]"}},
    {"any %0 {over=[0]}", "it must be bool", {"f32[2]"}},
    {"argmin %0 {over=[0]}", "the axis may be empty", {"f32[N]"}},
    {"cumsum %0 {axis=1}", "axis 1 is not in f32[2]", {"f32[2]"}},
    {"cumsum %0 {axis=0}", "the operand is bool; cast it", {"bool[2]"}},
    {"cumlogsumexp %0 {axis=0}", "it must be a float", {"i32[2]"}},
    {"sort %0 {axis=-1, descending=false}", "axis -1 is not in f32[2]", {"f32[2]"}},
    {"top_k %0 {axis=0, k=3}", "dim 2 is not proved to have 3 elements", {"f32[2]"}},
    {"top_k %0 {axis=0, k=2}", "dim T is not proved to have 2 elements", {"f32[T]"}},
    {"top_k %0 {axis=0, k=-1}", "-1 elements", {"f32[2]"}},
    {"tile %0 {axis=0, times=0}", "'times' is at least 1", {"f32[2]"}},
    {"tile %0 {axis=0, times=9000000000000000000}", "the axis overflows", {"f32[2]"}},
    {"one_hot %0 {dim=3, dtype=f32}", "it must be integers", {"f32[2]"}},
    {"one_hot %0 {dim=N - 3, dtype=f32}", "dim N - 3 may be negative", {"i32[2]"}},
    {"conv %0, %1" CONV, "are [..., C, one dim] of one dtype", {"f32[3]", "f32[1, 3, 2]"}},
    {"conv %0, %1" CONV, "are [..., C, one dim] of one dtype", {"f32[3, 4]", "f16[1, 3, 2]"}},
    {"conv %0, %1" CONV, "f32[3, 4] has 3 channels", {"f32[3, 4]", "f32[1, 2, 2]"}},
    {"conv %0, %1" CONV, "may be negative", {"f32[3, 1]", "f32[1, 3, 3]"}},
    {"conv %0, %1" CONV, "the window f32[1, 3, N] may be empty", {"f32[3, 9]", "f32[1, 3, N]"}},
    {"conv %0, %1 {strides=[0], before=[0], after=[0], dilations=[1], groups=1}",
     "'strides' has 0, which is not in 1..=",
     {"f32[3, 4]", "f32[1, 3, 2]"}},
    {"conv %0, %1 {strides=[1], before=[0, 1], after=[0], dilations=[1], groups=1}",
     "'before' has 2 entries, not 1",
     {"f32[3, 4]", "f32[1, 3, 2]"}},
    {"conv %0, %1 {strides=[1], before=[0], after=[0], dilations=[1], groups=2}",
     "3 outputs do not fall into 2 groups",
     {"f32[4, 4]", "f32[3, 2, 2]"}},
    {"conv %0, %1 {strides=[1], before=[0], after=[0], dilations=[1], groups=0}",
     "there is at least one group",
     {"f32[4, 4]", "f32[3, 2, 2]"}},
    {"conv %0, %1 {strides=[1, 1, 1, 1], before=[0], after=[0], dilations=[1], groups=1}",
     "there are 1 to 3 spatial dims, not 4",
     {"f32[4, 4]", "f32[3, 2, 2]"}},
    {"conv_transpose %0, %1 {strides=[1], before=[0], after=[0], dilations=[1], groups=1, extra=[1]}",
     "'extra' must be below the stride or the dilation",
     {"f32[4, 4]", "f32[4, 2, 2]"}},
    {"conv_transpose %0, %1 {strides=[1], before=[0], after=[0], dilations=[1], groups=1, extra=[0]}",
     "has 4 channels, the window f32[3, 2, 2] takes 3",
     {"f32[4, 4]", "f32[3, 2, 2]"}},
    {"conv_transpose %0, %1 {strides=[1], before=[0], after=[0], dilations=[1], groups=1, extra=[0]}",
     "spatial dim N may be empty",
     {"f32[4, N]", "f32[4, 2, 2]"}},
    {"max_pool %0 {window_dims=[2], strides=[1], before=[2], after=[0], dilations=[1]}",
     "padding as wide as the window",
     {"f32[4]"}},
    {"max_pool %0 {window_dims=[2, 2], strides=[1], before=[0], after=[0], dilations=[1]}",
     "windows of 2 dims do not fit f32[4]",
     {"f32[4]"}},
    {"avg_pool %0 {window_dims=[2], strides=[1], before=[0], after=[0], count_pad=true}",
     "it must be a float",
     {"i32[4]"}},
    {"resize_nearest %0 {dims=[4]}", "dim N may be empty", {"f32[N]"}},
    {"resize_linear %0 {dims=[4, 4], corners=true}", "2 new sizes for f32[3]", {"f32[3]"}},
    {"pad %0 {before=[1], after=[1], value=0.5}", "0.5 is no i8", {"i8[3]"}},
    {"pad %0 {before=[1], after=[1], value=300.0}", "300 is no i8", {"i8[3]"}},
    {"pad %0 {before=[1], after=[-1], value=0.0}", "'after' has -1", {"f32[3]"}},
    {"pad_edge %0 {before=[1], after=[1]}", "dim N may have no edge", {"f32[N]"}},
    {"pad_reflect %0 {before=[1], after=[3]}", "too short to mirror 3 elements", {"f32[3]"}},
    {"dft %0, %1 {inverse=false}", "real part f32[2] and imaginary part f32[3] differ", {"f32[2]", "f32[3]"}},
    {"rfft %0", "f16[2] is neither f32 nor f64", {"f16[2]"}},
    {"rfft %0", "a scalar has no last dim", {"f32[]"}},
    {"irfft %0, %1 {dim=6}", "is no transform of 6 numbers", {"f32[3]", "f32[3]"}},
    {"quantize %0, %1, %2 {axis=0}", "the zero point f32[] is no integer", {"f32[2]", "f32[]", "f32[]"}},
    {"quantize %0, %1, %2 {axis=1}", "are not one for each of 3", {"f32[2, 3]", "f32[2]", "i8[2]"}},
    {"dequantize %0, %1, %2 {axis=0}", "have not one dtype", {"i8[2]", "f32[]", "u8[]"}},
    {"attend %0, %1 {causal=false, window=0, scale=1.0}",
     "takes 3 or 4 operands, not 2",
     {"f32[1, 1, 1]", "f32[1, 1, 1]"}},
    {"attend %0, %1, %2, %3 {causal=false, window=0, scale=1.0}",
     "the bias f32[2, 1] is neither [1, 2] nor [4, 1, 2]",
     {"f32[1, 4, 8]", "f32[2, 1, 8]", "f32[2, 1, 3]", "f32[2, 1]"}},
    {"attend %0, %1, %2 {causal=false, window=0, scale=1.0}",
     "differ in front of rows, heads and size",
     {"f32[5, 1, 4, 8]", "f32[6, 2, 1, 8]", "f32[6, 2, 1, 3]"}},
    {"scatter %0, %1 {dim=3, combine=mean}", "mean combines floats, not i32", {"i32[2]", "i32[2]"}},
    {"scatter %0, %1 {dim=3, combine=sum}", "are not one for each of", {"i32[2]", "f32[3]"}},
    {"stack %0, %1", "f32[2] and f32[3] differ", {"f32[2]", "f32[3]"}},
    {"element %0, %1, %2", "f32[2] takes 1 indices, not 2", {"f32[2]", "i32[]", "i32[]"}},
    {"element %0, %1", "the index i8[] is no i32[]", {"f32[2]", "i8[]"}},
};

Test(rules, refuse_with_a_reason) {
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    ir_module *module;
    weir_status status = parse(refusals[i].op, "f32[]", refusals[i].types, &module);
    cr_expect_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "%s", refusals[i].op);
    cr_expect(status && strstr(weir_status_message(status), refusals[i].reason), "%s: %s", refusals[i].op,
              weir_status_message(status));
    weir_status_release(status);
  }
}

typedef struct {
  const char *op, *result, *types[4];
  int64_t lo, hi;  // of the last result; lo > hi: none is known
} acceptance;

static const acceptance acceptances[] = {
    {"conv %0, %1 {strides=[2], before=[1], after=[1], dilations=[1], groups=1}",
     "f32[8, (T - 1)/2 + 1]",
     {"f32[4, T]", "f32[8, 4, 3]"},
     1,
     0},
    {"conv %0, %1 {strides=[1], before=[2], after=[2], dilations=[2], groups=4}",
     "f32[2, 4, T]",
     {"f32[2, 4, T]", "f32[4, 1, 3]"},
     1,
     0},
    {"conv_transpose %0, %1 {strides=[2], before=[1], after=[1], dilations=[1], groups=1, extra=[1]}",
     "f32[8, 2*T]",
     {"f32[4, T]", "f32[4, 8, 3]"},
     1,
     0},
    {"max_pool %0 {window_dims=[3], strides=[2], before=[1], after=[1], dilations=[1]}",
     "f32[(T - 1)/2 + 1]",
     {"f32[T]"},
     1,
     0},
    {"rfft %0", "f32[N/2 + 1], f32[N/2 + 1]", {"f32[N]"}, 1, 0},
    {"top_k %0 {axis=0, k=1}", "f32[1], i32[1]", {"f32[T]"}, 0, 99},
    {"argsort %0 {axis=0, descending=true}", "i32[T]", {"f32[T]"}, 0, 99},
    {"argmin %0 {over=[0]}", "i32[]", {"f32[T]"}, 0, 99},
    {"sign %0", "i32[3]", {"i32[3]"}, -1, 1},
    {"saturate %0 {dtype=i8}", "i8[3]", {"i32[3] \"x\" in 0..=9 //"}, 0, 9},
    {"tile %0 {axis=0, times=2}", "i32[2*T]", {"i32[T] \"x\" in 0..=9 //"}, 0, 9},
    {"pad %0 {before=[1], after=[1], value=-1.0}", "i32[T + 2]", {"i32[T] \"x\" in 0..=9 //"}, -1, 9},
    {"scatter %0, %1 {dim=N, combine=argmax}", "i32[N]", {"i32[T]", "f32[T]"}, 0, 99},
    {"with_grad %0, %1", "f32[T]", {"f32[T]", "f32[T]"}, 1, 0},
};

Test(rules, give_types_and_ranges) {
  for (size_t i = 0; i < sizeof acceptances / sizeof *acceptances; i++) {
    const acceptance *a = &acceptances[i];
    ir_module *module;
    weir_status status = parse(a->op, a->result, a->types, &module);
    cr_assert(!status, "%s: %s", a->op, weir_status_message(status));
    const ir_node *node = module->functions[0]->last;
    const ir_value *value = node->results[node->result_count - 1];
    bool known = value->lo <= value->hi;
    cr_expect(known == (a->lo <= a->hi) && (!known || (value->lo == a->lo && value->hi == a->hi)), "%s: %lld..=%lld",
              a->op, (long long)value->lo, (long long)value->hi);
  }
}

// The costs that are computed: convolution, window, transform, attention.
Test(rules, costs_count_operations) {
  static const struct {
    const char *op, *result, *types[4];
    double flops;
  } costs[] = {
      {"conv %0, %1" CONV, "f32[8, 2]", {"f32[4, 4]", "f32[8, 4, 3]"}, 2 * 16 * 12},
      {"max_pool %0 {window_dims=[2, 2], strides=[2, 2], before=[0, 0], after=[0, 0], dilations=[1, 1]}",
       "f32[2, 2]",
       {"f32[4, 4]"},
       16},
      {"rfft %0", "f32[5], f32[5]", {"f32[8]"}, 120},
      {"attend %0, %1, %2 {causal=false, window=0, scale=1.0}",
       "f32[2, 3, 4, 8]",
       {"f32[2, 3, 4, 8]", "f32[2, 5, 1, 8]", "f32[2, 5, 1, 8]"},
       2 * 3 * 5 * 4 * 42},
      {"scatter %0, %1 {dim=3, combine=sum}", "f32[3, 2]", {"i32[7]", "f32[7, 2]"}, 14},
  };
  int64_t sizes[2] = {1, 1};
  for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
    ir_module *module;
    double flops, bytes;
    weir_status status = parse(costs[i].op, costs[i].result, costs[i].types, &module);
    cr_assert(!status, "%s", weir_status_message(status));
    ir_node_cost(module->functions[0]->last, sizes, &flops, &bytes);
    cr_expect_eq(flops, costs[i].flops, "%s: %g", costs[i].op, flops);
    cr_expect(bytes > 0);
  }
}
