// Ops of the table all the way down: what pass_expand writes means the same as the op, and the lowered program gives
// what the graph interpreter gives, for several ragged requests at once.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "compiler/passes/pass.h"
#include "tests/common/lowered_case.h"
#include "tests/common/random_module.h"

// The body behind the inputs x: f32[T, 8], y: f32[4, 6, 7], i: i32[T] in 0..=6, b: bool[T, 8] and the weights w: f32[4,
// 8], k: f32[6, 2, 3]; ends with %9 of the given type (and %10).
typedef struct {
  const char *body, *type;
} op_text;

static const op_text texts[] = {
    {"%9 = tan %0", "f32[T, 8]"},
    {"%9 = atan %0", "f32[T, 8]"},
    {"%8 = tanh %0 : f32[T, 8]\n%9 = asin %8", "f32[T, 8]"},
    {"%8 = tanh %0 : f32[T, 8]\n%9 = acos %8", "f32[T, 8]"},
    {"%8 = sin %0 : f32[T, 8]\n%9 = atan2 %8, %0", "f32[T, 8]"},
    {"%9 = sinh %0", "f32[T, 8]"},
    {"%9 = cosh %0", "f32[T, 8]"},
    {"%9 = asinh %0", "f32[T, 8]"},
    {"%8 = cosh %0 : f32[T, 8]\n%9 = acosh %8", "f32[T, 8]"},
    {"%8 = tanh %0 : f32[T, 8]\n%9 = atanh %8", "f32[T, 8]"},
    {"%9 = exp2 %0", "f32[T, 8]"},
    {"%8 = exp %0 : f32[T, 8]\n%9 = log2 %8", "f32[T, 8]"},
    {"%8 = exp %0 : f32[T, 8]\n%9 = log1p %8", "f32[T, 8]"},
    {"%9 = expm1 %0", "f32[T, 8]"},
    {"%9 = erfc %0", "f32[T, 8]"},
    {"%9 = sign %0", "f32[T, 8]"},
    {"%9 = trunc %0", "f32[T, 8]"},
    {"%8 = log %0 : f32[T, 8]\n%9 = is_nan %8", "bool[T, 8]"},
    {"%8 = log %0 : f32[T, 8]\n%9 = is_inf %8", "bool[T, 8]"},
    {"%8 = not %3 : bool[T, 8]\n%9 = xor %3, %8", "bool[T, 8]"},
    {"%9 = bit_not %2", "i32[T]"},
    {"%8 = constant {value=5, dtype=i32} : i32[]\n%9 = bit_and %2, %8", "i32[T]"},
    {"%8 = constant {value=5, dtype=i32} : i32[]\n%9 = bit_or %2, %8", "i32[T]"},
    {"%8 = constant {value=-5, dtype=i32} : i32[]\n%9 = bit_xor %2, %8", "i32[T]"},
    {"%8 = constant {value=-77, dtype=i32} : i32[]\n%9 = shift_right %8, %2", "i32[T]"},
    {"%8 = constant {value=40, dtype=i32} : i32[]\n%7 = mul %2, %8 : i32[T]\n%9 = shift_left %8, %7", "i32[T]"},
    {"%8 = constant {value=40, dtype=i32} : i32[]\n%7 = mul %2, %8 : i32[T]\n%9 = saturate %7 {dtype=i8}", "i8[T]"},
    {"%8 = constant {value=40, dtype=i32} : i32[]\n%7 = mul %2, %8 : i32[T]\n%9 = fits %7 {dtype=i8}", "bool[T]"},
    {"%9 = fits %0 {dtype=i32}", "bool[T, 8]"},
    {"%9 = bitcast %0 {dtype=i32}", "i32[T, 8]"},
    {"%8 = constant {value=7, dtype=i32} : i32[]\n%9 = random %8, %2", "f32[T]"},
    {"%8 = exp %0 : f32[T, 8]\n%9 = with_grad %0, %8", "f32[T, 8]"},
    {"%9 = any %3 {over=[1]}", "bool[T]"},
    {"%9 = all %3 {over=[0]}", "bool[8]"},
    {"%9 = any %3 {over=[0, 1]}", "bool[]"},
    {"%9 = argmin %0 {over=[1]}", "i32[T]"},
    {"%9 = argmin %0 {over=[0]}", "i32[8]"},
    {"%9 = cumsum %0 {axis=1}", "f32[T, 8]"},
    {"%9 = cumsum %0 {axis=0}", "f32[T, 8]"},
    {"%9 = cumsum %2 {axis=0}", "i32[T]"},
    {"%9 = cumprod %0 {axis=0}", "f32[T, 8]"},
    {"%9 = cummax %0 {axis=0}", "f32[T, 8]"},
    {"%9 = cummin %0 {axis=1}", "f32[T, 8]"},
    {"%9 = cumlogsumexp %0 {axis=0}", "f32[T, 8]"},
    {"%9 = sort %0 {axis=1, descending=false}", "f32[T, 8]"},
    {"%9 = sort %0 {axis=0, descending=true}", "f32[T, 8]"},
    {"%9 = argsort %0 {axis=0, descending=false}", "i32[T, 8]"},
    {"%9 = argsort %2 {axis=0, descending=true}", "i32[T]"},
    {"%9, %10 = top_k %0 {axis=1, k=3}", "f32[T, 3], i32[T, 3]"},
    {"%9, %10 = top_k %0 {axis=0, k=1}", "f32[1, 8], i32[1, 8]"},
    {"%9 = reverse %0 {axis=0}", "f32[T, 8]"},
    {"%9 = roll %0 {axis=0, shift=3}", "f32[T, 8]"},
    {"%9 = roll %0 {axis=1, shift=-3}", "f32[T, 8]"},
    {"%9 = tile %0 {axis=1, times=2}", "f32[T, 16]"},
    {"%9 = repeat %0 {axis=0, times=2}", "f32[2*T, 8]"},
    {"%9 = pad %0 {before=[1, 2], after=[2, 0], value=-1.5}", "f32[T + 3, 10]"},
    {"%9 = pad_edge %0 {before=[1, 2], after=[2, 0]}", "f32[T + 3, 10]"},
    {"%9 = pad_reflect %0 {before=[0, 2], after=[0, 7]}", "f32[T, 17]"},
    {"%9 = one_hot %2 {dim=5, dtype=f32}", "f32[T, 5]"},
    {"%8 = neg %0 : f32[T, 8]\n%9 = stack %0, %8", "f32[2, T, 8]"},
    {"%9 = resize_nearest %1 {dims=[9, 3]}", "f32[4, 9, 3]"},
    {"%9 = resize_linear %1 {dims=[9, 3], corners=false}", "f32[4, 9, 3]"},
    {"%9 = resize_linear %1 {dims=[3, 9], corners=true}", "f32[4, 3, 9]"},
    {"%9 = conv %1, %5 {strides=[2], before=[1], after=[2], dilations=[1], groups=3}", "f32[4, 6, 4]"},
    {"%8 = reshape %5 {dims=[6, 2, 3, 1]} : f32[6, 2, 3, 1]\n%7 = reshape %1 {dims=[2, 2, 6, 7]} : f32[2, 2, 6, 7]\n"
     "%9 = conv %7, %8 {strides=[1, 2], before=[2, 0], after=[0, 0], dilations=[2, 1], groups=1}",
     "f32[2, 6, 4, 4]"},
    {"%9 = conv_transpose %1, %5 {strides=[2], before=[1], after=[0], dilations=[1], groups=2, extra=[1]}",
     "f32[4, 4, 15]"},
    {"%9 = max_pool %1 {window_dims=[3, 2], strides=[2, 1], before=[1, 0], after=[1, 1], dilations=[1, 1]}",
     "f32[4, 3, 7]"},
    {"%9 = max_pool %2 {window_dims=[3], strides=[1], before=[1], after=[1], dilations=[1]}", "i32[T]"},
    {"%9 = avg_pool %1 {window_dims=[3, 2], strides=[2, 2], before=[1, 1], after=[1, 0], count_pad=false}",
     "f32[4, 3, 4]"},
    {"%9 = avg_pool %1 {window_dims=[2], strides=[1], before=[1], after=[0], count_pad=true}", "f32[4, 6, 7]"},
    {"%9, %10 = dft %0, %0 {inverse=false}", "f32[T, 8], f32[T, 8]"},
    {"%9, %10 = dft %0, %0 {inverse=true}", "f32[T, 8], f32[T, 8]"},
    {"%9, %10 = rfft %1", "f32[4, 6, 4], f32[4, 6, 4]"},
    {"%9 = irfft %1, %1 {dim=13}", "f32[4, 6, 13]"},
    {"%8 = constant {value=0.25, dtype=f32} : f32[]\n%7 = constant {value=3, dtype=i8} : i8[]\n"
     "%6 = quantize %0, %8, %7 {axis=0} : i8[T, 8]\n%9 = dequantize %6, %8, %7 {axis=0}",
     "f32[T, 8]"},
    {"%8 = reshape %1 {dims=[2, 6, 2, 7]} : f32[2, 6, 2, 7]\n%7 = slice %8 {axis=2, start=0, stop=1} : f32[2, 6, 1, "
     "7]\n"
     "%9 = attend %8, %7, %7 {causal=true, window=2, scale=0.5}",
     "f32[2, 6, 2, 7]"},
    {"%8 = slice %1 {axis=1, start=0, stop=2} : f32[4, 2, 7]\n%7 = slice %4 {axis=1, start=0, stop=4} : f32[4, 4]\n"
     "%9 = attend %8, %8, %8, %7 {causal=false, window=0, scale=0.5}",
     "f32[4, 2, 7]"},
};

static const char *write_text(weir_arena *arena, const op_text *op) {
  bool two = strstr(op->type, "], ");
  return weir_arena_printf(
      arena,
      "module M\ndim T: seq in 1..=12\nentry main {\n  input %%0: f32[T, 8] \"x\"\n  input %%1: f32[4, 6, 7] \"y\"\n"
      "  input %%2: i32[T] \"i\" in 0..=6\n  input %%3: bool[T, 8] \"b\"\n  weight %%4: f32[4, 8] \"w\"\n"
      "  weight %%5: f32[6, 2, 3] \"k\"\n  %s : %s\n  result %%9 \"a\"\n%s}\n",
      op->body, op->type, two ? "  result %10 \"b\"\n" : "");
}

static bool close_to(double a, double b) {
  return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= 1e-9 * (1 + fabs(a));
}

// The expanded module gives what the op gives.
static void check_meaning(weir_arena *arena, const op_text *op, const ir_module *before, const ir_module *after) {
  const ir_function *a = ir_function_find(before, "main"), *b = ir_function_find(after, "main");
  for (uint64_t seed = 1; seed < 4; seed++) {
    int64_t sizes[4];
    ir_tensor args[6], x[2], y[2];
    random_module_sizes(before, seed, sizes);
    random_module_args(arena, a, seed, sizes, args);
    weir_status status = ir_interpret(arena, a, args, x);
    if (!status) status = ir_interpret(arena, b, args, y);
    cr_assert(!status, "%s: %s", op->body, weir_status_message(status));
    for (int r = 0; r < a->result_count; r++) {
      cr_assert_eq(ir_tensor_elements(&x[r]), ir_tensor_elements(&y[r]));
      for (int64_t i = 0; i < ir_tensor_elements(&x[r]); i++)
        cr_assert(close_to(x[r].data[i], y[r].data[i]), "%s: element %d of result %d is %.17g, then %.17g\n%s",
                  op->body, (int)i, r, x[r].data[i], y[r].data[i], ir_print_module(arena, after));
    }
  }
}

static void check_lowered(weir_arena *arena, const op_text *op, const ir_module *module) {
  lowered_case c;
  weir_status status = lowered_case_make(arena, ir_function_find(module, "main"), 11, 3, true, &c);
  cr_expect(!status, "%s: %s", op->body, weir_status_message(status));
  if (!status) {
    const char *wrong = lowered_case_check_interpreted(&c, 1e-4);
    cr_expect(!wrong, "%s: %s", op->body, wrong);
  }
  weir_status_release(status);
}

Test(expand, keeps_the_meaning_and_has_kernels) {
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    weir_arena arena;
    weir_arena_init(&arena);
    const char *text = write_text(&arena, &texts[i]);
    ir_module *before, *after;
    weir_status status = ir_parse_module(&arena, text, strlen(text), &before);
    cr_assert(!status, "%s", weir_status_message(status));
    cr_assert(!ir_parse_module(&arena, text, strlen(text), &after));
    pass_options options = {.verify = true};
    pass_context context;
    pass_context_init(&context, &options);
    status = pass_run(&context, after, PASS_expand);
    cr_assert(!status, "%s: %s", texts[i].body, weir_status_message(status));
    check_meaning(&arena, &texts[i], before, after);
    check_lowered(&arena, &texts[i], after);
    weir_arena_deinit(&arena);
  }
}
