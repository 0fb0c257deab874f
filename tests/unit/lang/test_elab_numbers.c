// Numbers at run time, on the graph interpreter: casts, special values, integer division, random numbers, dropout under
// training.
#include "tests/unit/lang/session_test.h"

static elab_bench *load(const char *text, bool training) {
  elab_bench *bench = elab_open();
  lang_options options = {.float_dtype = IR_f32, .training = training};
  elab_load_text(bench, text, strlen(text));
  bench->graph = lang_elaborate(&bench->arena, bench->program, &options, &bench->diags);
  cr_assert(bench->graph, "%s", elab_messages(bench));
  return bench;
}

static void call(elab_bench *bench, const char *name, const ir_tensor *args, ir_tensor *results) {
  const ir_function *f = ir_function_find(bench->graph->module, name);
  weir_status status = ir_interpret(&bench->arena, f, args, results);
  cr_assert(!status, "%s", weir_status_message(status));
}

static void expect(const ir_tensor *got, const double *wanted, const char *what) {
  for (int64_t i = 0; i < ir_tensor_elements(got); i++) {
    bool same = got->data[i] == wanted[i] || (isnan(got->data[i]) && isnan(wanted[i]));
    cr_expect(same, "%s[%d] is %.17g, not %.17g", what, (int)i, got->data[i], wanted[i]);
  }
}

Test(elab_numbers, casts_and_special_values) {
  elab_bench *bench = load(
      "model M {D = 6} {\n"
      "  entry e(x: f32[D]) -> (a: i8[D], b: u8[D], c: bool[D], d: f16[D], h: f8e4m3[D], g: i32[D], k: i32[D], m: "
      "f32[D],\n"
      "                         n: bool[D]) {\n"
      "    i = i32(clamp(x, -1000, 1000));\n"
      "    return saturate(i, i8), u8(x), bool(i), f16(x), f8e4m3(x), i / 7, i % 7, select(x > 100, inf, select(x < "
      "-100,\n"
      "           nan, x)), fits(i, i8);\n"
      "  }\n"
      "}\n",
      false);
  double x[] = {-300, -2.5, 0, 0.3, 7.9, 300};
  ir_tensor arg = {.dtype = IR_f32, .rank = 1, .dims = {6}, .data = x}, r[9];
  call(bench, "e", &arg, r);
  expect(&r[0], (double[]){-128, -2, 0, 0, 7, 127}, "i8");
  expect(&r[1], (double[]){0, 0, 0, 0, 7, 255}, "u8");
  expect(&r[2], (double[]){1, 1, 0, 0, 1, 1}, "bool");
  expect(&r[3], (double[]){-300, -2.5, 0, 0x1.334p-2, 0x1.f98p2, 300}, "f16");
  expect(&r[4], (double[]){-288, -2.5, 0, 0.3125, 8, 288}, "f8e4m3");
  expect(&r[5], (double[]){-43, -1, 0, 0, 1, 42}, "i / 7");
  expect(&r[6], (double[]){1, 5, 0, 0, 0, 6}, "i % 7");
  expect(&r[7], (double[]){NAN, -2.5, 0, 0.3, 7.9, INFINITY}, "special");
  expect(&r[8], (double[]){0, 1, 1, 1, 1, 0}, "fits");
  elab_close(bench);
}

static void moments(const ir_tensor *t, double *mean, double *variance) {
  int64_t count = ir_tensor_elements(t);
  *mean = *variance = 0;
  for (int64_t i = 0; i < count; i++) *mean += t->data[i] / (double)count;
  for (int64_t i = 0; i < count; i++) *variance += (t->data[i] - *mean) * (t->data[i] - *mean) / (double)count;
}

Test(elab_numbers, random) {
  elab_bench *bench = load(
      "model M {D = 8192} {\n"
      "  entry e(seed: i32[]) -> (u: f32[D], n: f32[D], b: f32[D], same: f32[D], other: f32[D]) {\n"
      "    return uniform([D], seed), normal([D], seed), f32(bernoulli([D], 0.25, seed)), uniform([D], seed),\n"
      "           uniform([D], seed + 1);\n"
      "  }\n"
      "}\n",
      false);
  double seed = 42, mean, variance;
  ir_tensor arg = {.dtype = IR_i32, .data = &seed}, r[5];
  call(bench, "e", &arg, r);
  for (int i = 0; i < 8192; i++) cr_assert(r[0].data[i] >= 0 && r[0].data[i] < 1);
  moments(&r[0], &mean, &variance);
  cr_expect(fabs(mean - 0.5) < 0.02 && fabs(variance - 1.0 / 12) < 0.005, "uniform: %g %g", mean, variance);
  moments(&r[1], &mean, &variance);
  cr_expect(fabs(mean) < 0.05 && fabs(variance - 1) < 0.06, "normal: %g %g", mean, variance);
  moments(&r[2], &mean, &variance);
  cr_expect(fabs(mean - 0.25) < 0.02, "bernoulli: %g", mean);
  cr_expect(!memcmp(r[0].data, r[3].data, 8192 * sizeof(double)), "one seed, other numbers");
  cr_expect(memcmp(r[0].data, r[4].data, 8192 * sizeof(double)), "another seed, the same numbers");
  elab_close(bench);
}

static const char dropped[] =
    "use std.nn;\n"
    "model M {D = 4096} {\n"
    "  entry e(x: f32[D]) -> f32[D] { return f32(dropout(f(x), 0.25)); }\n"
    "}\n";

Test(elab_numbers, dropout_under_training) {
  for (int training = 0; training < 2; training++) {
    elab_bench *bench = load(dropped, training);
    ir_tensor arg = {.dtype = IR_f32, .rank = 1, .dims = {4096}}, r;
    arg.data = WEIR_NEW_ARRAY(&bench->arena, double, 4096);
    for (int i = 0; i < 4096; i++) arg.data[i] = 3;
    call(bench, "e", &arg, &r);
    int zeros = 0;
    for (int i = 0; i < 4096; i++) {
      zeros += r.data[i] == 0;
      cr_assert(r.data[i] == 0 || fabs(r.data[i] - (training ? 4 : 3)) < 1e-6, "%g", r.data[i]);
    }
    cr_expect(training ? abs(zeros - 1024) < 120 : zeros == 0, "%d of 4096", zeros);
    elab_close(bench);
  }
}
