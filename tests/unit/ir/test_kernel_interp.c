// The interpreter of kernels against plain C, its checks, and the order of reductions.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel.h"
#include "kernel_samples.h"
#include "runtime/base/half.h"

static weir_arena arena;
static void begin(void) { weir_arena_init(&arena); }
static void end(void) { weir_arena_deinit(&arena); }

TestSuite(interp, .init = begin, .fini = end);

static ir_kernel *parse(const char *text) {
  ir_kernel *kernel = NULL;
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &kernel);
  cr_assert_null(status, "%s", weir_status_message(status));
  return kernel;
}

static void ok(weir_status status) { cr_assert_null(status, "%s", weir_status_message(status)); }

static float noise(unsigned *seed) {
  *seed = *seed * 1664525 + 1013904223;
  return (float)((int)(*seed >> 8) - (1 << 23)) / (float)(1 << 23);
}

Test(interp, matmul) {
  enum { K = 37 };
  for (int T = 0; T <= 14; T++) {
    float x[14 * K], w[K * 48], y[14 * 40];
    unsigned seed = 7;
    for (int i = 0; i < 14 * K; i++) x[i] = noise(&seed);
    for (int i = 0; i < K * 48; i++) w[i] = noise(&seed);
    memset(y, 0xff, sizeof y);
    void *args[] = {x, w, y};
    size_t bytes[] = {sizeof x, sizeof w, (size_t)T * 160};
    int64_t sizes[] = {T, K};
    ok(ir_kernel_interpret(parse(sample_matmul), args, bytes, sizes, 0, 3));
    for (int t = 0; t < T; t++) {
      for (int n = 0; n < 40; n++) {
        double sum = 0;
        for (int k = 0; k < K; k++) sum += (double)x[t * K + k] * w[k * 48 + n];
        cr_assert_eq(y[t * 40 + n], (float)sum, "T %d row %d column %d", T, t, n);
      }
    }
  }
}

Test(interp, matmul_rounded_as_compiled_code_does) {
  enum { T = 7, K = 53 };
  float x[T * K], w[K * 48], y[T * 40];
  unsigned seed = 9;
  for (int i = 0; i < T * K; i++) x[i] = noise(&seed);
  for (int i = 0; i < K * 48; i++) w[i] = noise(&seed);
  void *args[] = {x, w, y};
  size_t bytes[] = {sizeof x, sizeof w, sizeof y};
  int64_t sizes[] = {T, K};
  const ir_kinterpret_options options = {.round_f32 = true};
  ok(ir_kernel_interpret_options(parse(sample_matmul), args, bytes, sizes, 0, 3, &options));
  for (int t = 0; t < T; t++) {
    for (int n = 0; n < 40; n++) {
      float sum = 0;
      for (int k = 0; k < K; k++) sum = fmaf(x[t * K + k], w[k * 48 + n], sum);
      cr_assert_eq(y[t * 40 + n], sum);
    }
  }
}

Test(interp, softmax) {
  enum { R = 3, N = 21 };
  float x[R * N];
  double expected[R * N];
  unsigned seed = 3;
  for (int r = 0; r < R; r++) {
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < N; i++) x[r * N + i] = 5 * noise(&seed), most = fmax(most, x[r * N + i]);
    // The kernel keeps the exponentials in memory as f32.
    for (int i = 0; i < N; i++) sum += exp(x[r * N + i] - most);
    for (int i = 0; i < N; i++) expected[r * N + i] = exp(x[r * N + i] - most) / sum;
  }
  void *args[] = {x};
  size_t bytes[] = {sizeof x};
  int64_t sizes[] = {R, N};
  ok(ir_kernel_interpret(parse(sample_softmax), args, bytes, sizes, 0, R));
  for (int i = 0; i < R * N; i++) cr_assert(fabs(x[i] - expected[i]) < 1e-7 * expected[i]);
}

// Element i goes to partial i % 16; the partials are combined 8, 4, 2 and 1 apart, then with the register.
Test(interp, reductions_have_a_fixed_order) {
  const char *text =
      "kernel sum \"\"\nsizes N\nin x: N * 4 @0\nout y: 4 @1\ngrid g: 1\n{\n"
      "  reg acc: f32 = 3.0\n  lanes i in 0..N {\n    reduce add acc = x:f32[i]\n  }\n  store y:f32[0] = acc\n}\n";
  const ir_kinterpret_options options = {.round_f32 = true};
  for (int n = 0; n < 70; n++) {
    float x[70], y, partial[16] = {0};
    unsigned seed = 11;
    for (int i = 0; i < n; i++) x[i] = noise(&seed) * powf(10, (float)(i % 5)), partial[i % 16] += x[i];
    for (int apart = 8; apart; apart /= 2)
      for (int i = 0; i < apart; i++) partial[i] += partial[i + apart];
    void *args[] = {x, &y};
    size_t bytes[] = {sizeof x, sizeof y};
    int64_t sizes[] = {n};
    ok(ir_kernel_interpret_options(parse(text), args, bytes, sizes, 0, 1, &options));
    cr_assert_eq(y, 3 + partial[0]);
  }
}

Test(interp, reductions_by_max_min_and_mul) {
  const char *text =
      "kernel all \"\"\nin x: 80 @0\nin n: 80 @1\nout y: 12 @2\nout m: 32 @3\ngrid: 1\n{\n"
      "  reg top: f32[2] = 1.0\n  reg low: f32[2] = 1.0\n  reg nlow: i32 = 1:i32\n"
      "  reg nsum: i32 = 1:i32\n  reg nmul: i32 = 1:i32\n  reg ntop: i32 = 1:i32\n"
      "  lanes i in 0..20 {\n"
      "    reduce max top[0] = x:f32[i]\n    reduce min low[1] = x:f32[i]\n"
      "    reduce min nlow = n:i32[i]\n    reduce add nsum = n:i32[i]\n  }\n"
      "  lanes i in 0..5 {\n    reduce mul top[1] = x:f32[i]\n    reduce mul nmul = n:i32[i]\n  }\n"
      "  for i in 0..20 {\n    reduce max ntop = n:i32[i]\n  }\n"
      "  store y:f32[0] = top[0]\n  store y:f32[1] = low[1]\n  store y:f32[2] = top[1]\n"
      "  store m:i32[0] = nlow\n  store m:i32[1] = nsum\n  store m:i32[2] = nmul\n  store m:i32[3] = ntop\n}\n";
  float x[20], y[3];
  int32_t n[20], m[8];
  for (int i = 0; i < 20; i++) x[i] = (float)(i - 7) * 0.5f, n[i] = 3 * i - 50;
  void *args[] = {x, n, y, m};
  size_t bytes[] = {sizeof x, sizeof n, sizeof y, sizeof m};
  ok(ir_kernel_interpret(parse(text), args, bytes, NULL, 0, 1));
  cr_assert_eq(y[0], 6);
  cr_assert_eq(y[1], -3.5f);
  cr_assert_eq(y[2], x[0] * x[1] * x[2] * x[3] * x[4]);
  cr_assert_eq(m[0], -50);
  cr_assert_eq(m[1], 1 + 3 * 190 - 1000);
  cr_assert_eq(m[2], -50 * -47 * -44 * -41 * -38);
  cr_assert_eq(m[3], 7);
}

Test(interp, blocks_of_four_bits) {
  enum { N = 5 };
  uint8_t q[N * 20];
  float y[N * 32];
  unsigned seed = 5;
  for (int i = 0; i < N * 20; i++) noise(&seed), q[i] = (uint8_t)(seed >> 24);
  for (int n = 0; n < N; n++) {
    uint16_t d = weir_f32_to_f16(0.01f * (float)(n + 1)), m = weir_f32_to_f16(-0.3f);
    memcpy(q + n * 20, &d, 2), memcpy(q + n * 20 + 2, &m, 2);
  }
  void *args[] = {q, y};
  size_t bytes[] = {sizeof q, sizeof y};
  int64_t sizes[] = {N};
  ok(ir_kernel_interpret(parse(sample_q4_1), args, bytes, sizes, 0, N));
  for (int n = 0; n < N; n++) {
    double d = weir_f16_to_f32(weir_f32_to_f16(0.01f * (float)(n + 1))), m = weir_f16_to_f32(weir_f32_to_f16(-0.3f));
    for (int i = 0; i < 32; i++) {
      int nibble = i < 16 ? q[n * 20 + 4 + i] & 15 : q[n * 20 + 4 + i - 16] >> 4;
      cr_assert_eq(y[n * 32 + i], (float)(nibble * d + m));
    }
  }
}

Test(interp, attention_over_tables) {
  enum { R = 2, ROWS = 40 };
  float q[R * 16], y[R * 16];
  static uint16_t keys[R][ROWS * 16], values[R][ROWS * 16];
  int32_t past[R] = {0, 30};
  unsigned seed = 1;
  for (int i = 0; i < R * 16; i++) q[i] = noise(&seed);
  for (int r = 0; r < R; r++) {
    for (int i = 0; i < ROWS * 16; i++) {
      keys[r][i] = weir_f32_to_f16(noise(&seed));
      values[r][i] = weir_f32_to_bf16(noise(&seed));
    }
  }
  void *key_table[] = {keys[0], keys[1]}, *value_table[] = {values[0], values[1]};
  void *args[] = {q, key_table, value_table, past, y};
  size_t bytes[] = {sizeof q, sizeof keys[0], sizeof values[0], sizeof past, sizeof y};
  int64_t sizes[] = {R, ROWS};
  ok(ir_kernel_interpret(parse(sample_attention), args, bytes, sizes, 0, R));
  const double bias[2] = {0.5, -1.5};
  for (int r = 0; r < R; r++) {
    int rows = past[r] + 1;
    double score[ROWS], most = -INFINITY, total = 0, acc[16] = {0};
    for (int t = 0; t < rows; t++) {
      double dot = 0;
      for (int d = 0; d < 16; d++) dot += (double)q[r * 16 + d] * weir_f16_to_f32(keys[r][t * 16 + d]);
      score[t] = dot * 0.25 + bias[t % 2];
      most = fmax(most, score[t]);
    }
    for (int t = 0; t < rows; t++) {
      double p = exp(score[t] - most);
      total += p;
      for (int d = 0; d < 16; d++) acc[d] += p * weir_bf16_to_f32(values[r][t * 16 + d]);
    }
    for (int d = 0; d < 16; d++) {
      cr_assert(fabs(y[r * 16 + d] - acc[d] / total) < 1e-6);
      cr_assert(fabs(weir_bf16_to_f32(values[r][rows * 16 + d]) - acc[d]) <= fabs(acc[d]) / 256);
    }
  }
}

// ---- one expression on one set of bytes
static uint64_t evaluate(const char *type, const char *expr, const void *input, size_t input_bytes) {
  char text[600], in[64] = {0};
  memcpy(in, input, input_bytes);
  snprintf(text, sizeof text, "kernel e \"\"\nin i: 64 @0\nout o: 8 @1\ngrid: 1\n{\n  store o:%s[0] = %s\n}\n", type,
           expr);
  uint64_t out = 0;
  void *args[] = {in, &out};
  size_t bytes[] = {sizeof in, sizeof out};
  ok(ir_kernel_interpret(parse(text), args, bytes, NULL, 0, 1));
  return out;
}

static double float_value(const char *expr, double x, double y) {
  double in[2] = {x, y}, value;
  uint64_t bits = evaluate("f64", expr, in, sizeof in);
  memcpy(&value, &bits, 8);
  return value;
}

#define F(expr, x, y, expected)                                                               \
  do {                                                                                        \
    double got = float_value(expr, x, y), want = (expected);                                  \
    cr_assert((isnan(got) && isnan(want)) || (got == want && signbit(got) == signbit(want)),  \
              "%s of %g, %g is %.17g, not %.17g", expr, (double)(x), (double)(y), got, want); \
  } while (0)

Test(interp, float_operations) {
  const double values[] = {0.0, -0.0, 1, -1, 0.5, 2.5, -2.5, 3.5, 1e-310, 1e300, INFINITY, -INFINITY, NAN, 1e10, -7.25};
  enum { N = sizeof values / sizeof *values };
  for (int a = 0; a < N; a++) {
    double x = values[a];
    F("neg(i:f64[0])", x, 0, -x);
    F("abs(i:f64[0])", x, 0, fabs(x));
    F("sqrt(i:f64[0])", x, 0, sqrt(x));
    F("rsqrt(i:f64[0])", x, 0, 1 / sqrt(x));
    F("exp(i:f64[0])", x, 0, exp(x));
    F("log(i:f64[0])", x, 0, log(x));
    F("sin(i:f64[0])", x, 0, sin(x));
    F("cos(i:f64[0])", x, 0, cos(x));
    F("tanh(i:f64[0])", x, 0, tanh(x));
    F("erf(i:f64[0])", x, 0, erf(x));
    F("floor(i:f64[0])", x, 0, floor(x));
    F("ceil(i:f64[0])", x, 0, ceil(x));
    F("round(i:f64[0])", x, 0, nearbyint(x));
    F("f64(f32(i:f64[0]))", x, 0, (float)x);
    for (int b = 0; b < N; b++) {
      double y = values[b];
      F("i:f64[0] + i:f64[1]", x, y, x + y);
      F("i:f64[0] - i:f64[1]", x, y, x - y);
      F("i:f64[0] * i:f64[1]", x, y, x * y);
      F("i:f64[0] / i:f64[1]", x, y, x / y);
      F("fma(i:f64[0], i:f64[1], i:f64[0])", x, y, x * y + x);
      F("pow(i:f64[0], i:f64[1])", x, y, pow(x, y));
      bool nan = isnan(x) || isnan(y);
      if (x != 0 || y != 0) {
        F("min(i:f64[0], i:f64[1])", x, y, nan ? NAN : fmin(x, y));
        F("max(i:f64[0], i:f64[1])", x, y, nan ? NAN : fmax(x, y));
      }
      F("select(i:f64[0] < i:f64[1], 1.0:f64, 0.0:f64)", x, y, x < y);
      F("select(i:f64[0] == i:f64[1], 1.0:f64, 0.0:f64)", x, y, x == y);
      F("select(i:f64[0] != i:f64[1], 1.0:f64, 0.0:f64)", x, y, x != y);
      F("select(i:f64[0] >= i:f64[1], 1.0:f64, 0.0:f64)", x, y, x >= y);
    }
  }
  F("i:f64[0] % i:f64[1]", 5.5, 2, 1.5);
  F("i:f64[0] % i:f64[1]", -5.5, 2, 0.5);
  F("i:f64[0] % i:f64[1]", 5.5, -2, -0.5);
  F("i:f64[0] % i:f64[1]", 1, 0, NAN);
}

#define I(type, expr, expected, ...)                                                      \
  do {                                                                                    \
    int64_t in[] = {__VA_ARGS__};                                                         \
    uint64_t got = evaluate(type, expr, in, sizeof in);                                   \
    cr_assert_eq(got, (uint64_t)(expected), "%s is %llx", expr, (unsigned long long)got); \
  } while (0)

Test(interp, integer_operations) {
  I("i64", "i:i64[0] / i:i64[1]", -4, -7, 2);
  I("i64", "i:i64[0] % i:i64[1]", 1, -7, 2);
  I("i64", "i:i64[0] / i:i64[1]", -4, 7, -2);
  I("i64", "i:i64[0] % i:i64[1]", -1, 7, -2);
  I("i64", "i:i64[0] / i:i64[1]", 0, 7, 0);
  I("i64", "i:i64[0] % i:i64[1]", 0, 7, 0);
  I("i64", "i:i64[0] / i:i64[1]", INT64_MIN, INT64_MIN, -1);
  I("i64", "i:i64[0] * i:i64[1]", -2, INT64_MAX, 2);
  I("i64", "abs(i:i64[0]) + neg(i:i64[1])", -2, -3, 5);
  I("i64", "min(i:i64[0], i:i64[1])", -3, -3, 5);
  I("i64", "max(i:i64[0], i:i64[1])", 5, -3, 5);
  I("i64", "i:i64[0] << 63", INT64_MIN, 1);
  I("i64", "i:i64[0] << 64", 0, 1);
  I("i64", "i:i64[0] >> 100", -1, -5);
  I("i64", "i:i64[0] >> 1", -3, -5);
  I("i64", "not(i:i64[0])", ~5, 5);
  I("i64", "(i:i64[0] ^ i:i64[1]) | 8", 14, 5, 3);
  I("i8", "i:i8[0] + i:i8[8]", (uint8_t)-56, 100, 100);
  I("i8", "i:i8[0] * i:i8[8]", 0x10, 100, 100);
  I("u8", "i:u8[0] - i:u8[8]", 0xff, 1, 2);
  I("u16", "i:u16[0] << 12:u16", 0xf000, 0x1f);
  I("u32", "i:u32[0] / i:u32[2]", 0x7fffffff, 0xffffffff, 2);
  I("i32", "i:i32[0] >> 4:i32", 0xffffffff, 0xfffffff0);
  I("i32", "i32(i:i64[0])", 0x9abcdef0, 0x123456789abcdef0);
  I("i64", "i64(i:i32[0])", -1, 0xffffffff);
  I("i64", "i64(i:u32[0])", 0xffffffff, 0xffffffff);
  I("i64", "i64(i:bool[0])", 1, 77);
  I("bool", "bool(i:i64[0])", 1, 256);
  I("bool", "not(i:bool[0])", 0, 1);
  I("bool", "i:bool[0] & i:bool[8] | not(i:bool[8])", 1, 1, 0);
  I("i32", "bitcast:i32(f32(i:i64[0]))", 0x3f800000, 1);
  I("u16", "bitcast:u16(f16(f32(i:i64[0])))", 0x3c00, 1);
}

static uint64_t cast_of(const char *type, double value) {
  char expr[40];
  snprintf(expr, sizeof expr, "%s(i:f64[0])", type);
  return evaluate(type, expr, &value, sizeof value);
}

Test(interp, casts_of_floats) {
  cr_assert_eq(cast_of("i8", 300), 127);
  cr_assert_eq(cast_of("i8", -300), 0x80);
  cr_assert_eq(cast_of("u8", -1), 0);
  cr_assert_eq(cast_of("u16", 1e9), 0xffff);
  cr_assert_eq(cast_of("i32", -2.9), 0xfffffffe);
  cr_assert_eq(cast_of("i32", NAN), 0);
  cr_assert_eq(cast_of("i64", INFINITY), INT64_MAX);
  cr_assert_eq(cast_of("i64", -1e30), (uint64_t)INT64_MIN);
  cr_assert_eq(cast_of("bool", 0.25), 1);
  cr_assert_eq(cast_of("bool", NAN), 1);
  cr_assert_eq(cast_of("f16", 65520), 0x7c00);
  cr_assert_eq(cast_of("f16", 65519.9), 0x7bff);
  cr_assert_eq(cast_of("f16", 0x1p-25), 0);
  cr_assert_eq(cast_of("f16", 0x1.8p-25), 1);
  cr_assert_eq(cast_of("bf16", 1.00390625), 0x3f80);
  cr_assert_eq(cast_of("bf16", 1.00390626), 0x3f81);
  cr_assert_eq(cast_of("f8e4m3", 448), 0x7e);
  cr_assert_eq(cast_of("f8e4m3", -0.001953125), 0x81);
  cr_assert_eq(cast_of("f8e4m3", 1000) & 0x7f, 0x7f);
  cr_assert_eq(cast_of("f8e5m2", 1), 0x3c);
  cr_assert_eq(cast_of("f8e5m2", 1e9), 0x7c);
}

// Every bit pattern of the small types comes back from a load and a store.
Test(interp, small_floats_survive) {
  const char *text =
      "kernel c \"\"\nin i: 131072 @0\nout o: 131072 @1\ngrid: 1\n{\n"
      "  for k in 0..65536 {\n    store o:%s[k] = i:%s[k]\n  }\n}\n";
  static uint16_t in[65536], out[65536];
  for (int i = 0; i < 65536; i++) in[i] = (uint16_t)i;
  const char *types[] = {"f16", "bf16"};
  for (int t = 0; t < 2; t++) {
    void *args[] = {in, out};
    size_t bytes[] = {sizeof in, sizeof out};
    ok(ir_kernel_interpret(parse(weir_arena_printf(&arena, text, types[t], types[t])), args, bytes, NULL, 0, 1));
    for (int i = 0; i < 65536; i++) {
      bool nan = t == 0 ? (i & 0x7fff) > 0x7c00 : (i & 0x7fff) > 0x7f80;
      if (!nan) cr_assert_eq(out[i], in[i], "%s %x", types[t], (unsigned)i);
    }
  }
  for (int i = 0; i < 256; i++) {
    uint64_t v = (uint64_t)i;
    if ((i & 0x7f) < 0x7f) cr_assert_eq(evaluate("f8e4m3", "i:f8e4m3[0]", &v, 8), v);
    if ((i & 0x7f) <= 0x7c) cr_assert_eq(evaluate("f8e5m2", "i:f8e5m2[0]", &v, 8), v);
  }
}

// ---- what is refused while running
static void faults(const char *body, const char *message) {
  const char *text = weir_arena_printf(&arena,
                                       "kernel k \"\"\nsizes R\nin x: 16 @0\nout y: 16 @1\ntable_in t @2\nlocal s: 16\n"
                                       "grid g: 2\n{\n%s}\n",
                                       body);
  float x[4] = {1, 2, 3, 4}, y[4];
  void *table[2] = {x, NULL}, *args[] = {x, y, table};
  size_t bytes[] = {16, 16, 16};
  int64_t sizes[] = {2};
  weir_status status = ir_kernel_interpret(parse(text), args, bytes, sizes, 0, 2);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA);
  cr_assert_str_eq(weir_status_message(status), message);
  weir_status_release(status);
}

Test(interp, accesses_are_checked) {
  faults("  store y:f32[0] = x:f32[g + 4]\n",
         "kernel k: access outside of 'x' (16 bytes) at f32 element 4 in: store y:f32[0] = x:f32[g + 4]");
  faults("  store y:i8[g - 1] = 1:i8\n",
         "kernel k: access outside of 'y' (16 bytes) at i8 element -1 in: store y:i8[g - 1] = 1:i8");
  faults("  store y:f32[0] = t:f32[g; 0]\n",
         "kernel k: access outside of 't' (16 bytes) at request 1, f32 element 0 in: store y:f32[0] = t:f32[g; 0]");
  faults("  store y:f32[0] = t:f32[2; 0]\n",
         "kernel k: access outside of 't' (16 bytes) at request 2, f32 element 0 in: store y:f32[0] = t:f32[2; 0]");
  faults("  if g == 0 {\n    store s:f32[0] = 1.0\n  }\n  let v: f32 = s:f32[0]\n",
         "kernel k: unwritten local memory 's' (16 bytes) at f32 element 0 in: let v: f32 = s:f32[0]");
  faults("  store s:i16[0] = 1:i16\n  let v: f32 = s:f32[0]\n",
         "kernel k: unwritten local memory 's' (16 bytes) at f32 element 0 in: let v: f32 = s:f32[0]");
  faults("  tiles i, n in 0..9 by 4, 1 {\n    reg a: f32[2] = 0.0\n    set a[n - 1] = 1.0\n  }\n",
         "kernel k: register index 3 is outside in: set a[n - 1] = 1.0");
}

Test(interp, untaken_loads_are_not_performed) {
  const char *text =
      "kernel k \"\"\nin x: 16 @0\nout y: 16 @1\ngrid g: 4\n{\n"
      "  let far: i64 = g * 1000\n"
      "  store y:f32[g] = select(g < 1, x:f32[far] + x:f32[g], select(g < 2, 7.0, 2.0)) + x:f32[g]\n}\n";
  float x[4] = {1, 2, 3, 4}, y[4];
  void *args[] = {x, y};
  size_t bytes[] = {16, 16};
  ok(ir_kernel_interpret(parse(text), args, bytes, NULL, 0, 4));
  cr_assert_eq(y[0], 3);
  cr_assert_eq(y[1], 9);
  cr_assert_eq(y[2], 5);
  cr_assert_eq(y[3], 6);
}

Test(interp, arguments_and_steps_are_checked) {
  ir_kernel *kernel = parse(sample_matmul);
  float x[4], y[40];
  void *args[] = {x, x, y};
  size_t bytes[] = {16, 16, sizeof y};
  int64_t sizes[] = {1, 4};
  weir_status status = ir_kernel_interpret(kernel, args, bytes, sizes, 0, 3);
  cr_assert_str_eq(weir_status_message(status), "kernel matmul: 'w' needs 768 bytes and has 16");
  weir_status_release(status);
  sizes[1] = 0;
  status = ir_kernel_interpret(kernel, args, bytes, sizes, 0, 4);
  cr_assert_str_eq(weir_status_message(status), "kernel matmul: items 0..4 of 3");
  weir_status_release(status);
  kernel = parse("kernel long \"\"\ngrid g: 1\n{\n  for i in 0..1000000000000 {\n  }\n}\n");
  status = ir_kernel_interpret_options(kernel, NULL, NULL, NULL, 0, 1, &(ir_kinterpret_options){.step_limit = 1000});
  cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_RANGE);
  weir_status_release(status);
}

// Values that do not change in a loop are computed in front of it, but not those of registers, loads or later values.
Test(interp, what_changes_is_computed_again) {
  const char *text =
      "kernel k \"\"\ninout x: 64 @0\ngrid g: 2\n{\n"
      "  reg n: i64 = 0\n"
      "  for i in 0..4 {\n"
      "    let a: i64 = n * 2\n"
      "    set n = n + 1\n"
      "    let b: i64 = n * 2 + a + i\n"
      "    for j in 0..n + 1 {\n"
      "      set n = n + 1\n"
      "    }\n"
      "    store x:i64[i] = x:i64[i] + b\n"
      "    store x:i64[i] = x:i64[i] + b + n\n"
      "  }\n"
      "  if g == 1 {\n    let c: i64 = g * 10 + x:i64[0]\n    for i in 0..2 {\n      store x:i64[4 + i] = c * 2 + i\n  "
      "  }\n  }\n"
      "}\n";
  int64_t x[8] = {0}, y[8] = {0};
  void *args[] = {x};
  size_t bytes[] = {sizeof x};
  ok(ir_kernel_interpret(parse(text), args, bytes, NULL, 0, 2));
  for (int g = 0; g < 2; g++) {
    int64_t n = 0;
    for (int i = 0; i < 4; i++) {
      int64_t a = n * 2;
      n++;
      int64_t b = n * 2 + a + i, top = n + 1;
      for (int64_t j = 0; j < top; j++) n++;
      y[i] += b;
      y[i] += b + n;
    }
    if (g == 1)
      for (int i = 0; i < 2; i++) y[4 + i] = (g * 10 + y[0]) * 2 + i;
  }
  for (int i = 0; i < 8; i++) cr_assert_eq(x[i], y[i], "%d: %ld %ld", i, (long)x[i], (long)y[i]);
}

// Tiles take as many of the first size as fit, then of the next.
Test(interp, tiles_are_greedy) {
  const char *text =
      "kernel k \"\"\nsizes N\nout y: 800 @0\ngrid: 1\n{\n  reg count: i64 = 0\n"
      "  tiles i, n in 3..N + 3 by 6, 4, 2, 1 {\n"
      "    store y:i64[count * 2] = i\n    store y:i64[count * 2 + 1] = n\n    set count = count + 1\n  }\n}\n";
  int64_t y[100];
  void *args[] = {y};
  size_t bytes[] = {sizeof y};
  for (int64_t n = 0; n < 40; n++) {
    ok(ir_kernel_interpret(parse(text), args, bytes, &n, 0, 1));
    const int tiles[] = {6, 4, 2, 1};
    int64_t at = 3, *e = y;
    for (int k = 0; k < 4; k++)
      for (; n + 3 - at >= tiles[k]; at += tiles[k], e += 2) cr_assert(e[0] == at && e[1] == tiles[k]);
  }
}

// Two rows of two words times a panel: bytes exactly, pairs in the order that kernel.h says, then what is refused.
Test(interp, matrices) {
  static const char text[] =
      "kernel k \"\"\nsizes W\nin a: 16 @0\nin b: 128 @1\nout y: 128 @2\nlocal s: 64\ngrid: 1\n{\n"
      "  matdot set y:%s[0, 16] = a:u32[0, 2], b:u32[0, 16, 0] rows 2 panels 1 words W step 16\n"
      "  if matrix_unit() {\n    matdot add s:%s[0, 16] = a:u32[0, 2], b:u32[0, 16, 0] rows 1 panels 1 words 1 step "
      "16\n"
      "  }\n}\n";
  char bytes_text[600], pairs_text[600];
  snprintf(bytes_text, sizeof bytes_text, text, "i32", "i32");
  snprintf(pairs_text, sizeof pairs_text, text, "f32", "f32");
  uint32_t a[4] = {0x80ff0102, 0x00000003, 0, 0x7f000000}, b[32], y[32];
  for (int i = 0; i < 32; i++) b[i] = i < 16 ? 0xff020104u : 0x81000005u;
  void *args[] = {a, b, y};
  size_t bytes[] = {sizeof a, sizeof b, sizeof y};
  int64_t words = 2;
  ok(ir_kernel_interpret(parse(bytes_text), args, bytes, &words, 0, 1));
  cr_assert_eq((int32_t)y[0], -128 * 255 - 2 + 1 + 8 + 15);
  cr_assert_eq((int32_t)y[31], 127 * 129);

  // Low halves: 2^24 then 1, which is lost; high halves the same with -2^24: what is left is nothing.
  uint16_t big = weir_f32_to_bf16(0x1p24f), minus = weir_f32_to_bf16(-0x1p24f), one = weir_f32_to_bf16(1);
  a[0] = big | (uint32_t)minus << 16, a[1] = one | (uint32_t)one << 16;
  for (int i = 0; i < 32; i++) b[i] = one | (uint32_t)one << 16;
  ok(ir_kernel_interpret(parse(pairs_text), args, bytes, &words, 0, 1));
  float sum;
  memcpy(&sum, y, 4);
  cr_assert_eq(sum, 0x1p24f - (0x1p24f - 1), "%g", sum);
  words = 3;
  weir_status status = ir_kernel_interpret(parse(pairs_text), args, bytes, &words, 0, 1);
  cr_assert(status && strstr(weir_status_message(status), "a matrix is outside of its buffer"));
  weir_status_release(status);
  words = INT64_MAX;
  ir_kinterpret_options few = {.step_limit = 1000}, unit = {.matrix_unit = true};
  status = ir_kernel_interpret_options(parse(pairs_text), args, bytes, &words, 0, 1, &few);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_RANGE);
  weir_status_release(status);
  words = 1;  // s was not written
  status = ir_kernel_interpret_options(parse(pairs_text), args, bytes, &words, 0, 1, &unit);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA);
  weir_status_release(status);
}

Test(interp, dot_products) {
  static const char text[] =
      "kernel k \"\"\nin a: 16 @0\nin b: 16 @1\nout i: 8 @2\nout f: 4 @3\nout u: 4 @4\ngrid: 1\n{\n"
      "  store i:i32[0] = dot4(a:u32[0], b:i32[0], -5:i32)\n"
      "  store i:i32[1] = dot4_7(a:u32[1], b:i32[1], 2147483647:i32)\n"
      "  store f:f32[0] = dot2(a:u32[2], b:u32[2], 0.5)\n"
      "  store u:u32[0] = pack2(a:f32[3], b:f32[3])\n}\n";
  uint8_t a[16] = {255, 0, 3, 128, 127, 1, 0, 0}, b[16] = {0x80, 5, 0xff, 0x7f, 2, 3, 9, 9};
  uint16_t pairs[4] = {weir_f32_to_bf16(3), weir_f32_to_bf16(-2), weir_f32_to_bf16(0.25f), weir_f32_to_bf16(8)};
  float x = 1.00390625f, y = -NAN, f;  // halfway: to even
  int32_t i[2];
  uint32_t u;
  memcpy(a + 8, pairs, 4), memcpy(b + 8, pairs + 2, 4);
  memcpy(a + 12, &x, 4), memcpy(b + 12, &y, 4);
  void *args[] = {a, b, i, &f, &u};
  size_t bytes[] = {16, 16, 8, 4, 4};
  ok(ir_kernel_interpret(parse(text), args, bytes, NULL, 0, 1));
  cr_assert_eq(i[0], 255 * -128 - 3 + 128 * 127 - 5);
  cr_assert_eq(i[1], INT32_MIN + 127 * 2 + 3 - 1, "wraps");
  cr_assert_eq(f, 0.5f - 16 + 0.75f);
  cr_assert_eq(u & 0xffff, weir_f32_to_bf16(1.0f));
  cr_assert(isnan(weir_bf16_to_f32((uint16_t)(u >> 16))));
  a[5] = 200;
  weir_status status = ir_kernel_interpret(parse(text), args, bytes, NULL, 0, 1);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA);
  cr_assert(strstr(weir_status_message(status), "dot4_7 of 0xc87f, which has a byte above 127"), "%s",
            weir_status_message(status));
  weir_status_release(status);
}

Test(interp, arrivals) {
  static const char text[] =
      "kernel k \"\"\ninout c: 8 @0\nout y: 24 @1\ngrid n: 6\n{\n  reg last: i64 = 7\n"
      "  arrive last = c:i32[n % 2] of 3\n  store y:i32[n] = i32(last)\n}\n";
  int32_t count[2] = {0, 0}, y[6];
  void *args[] = {count, y};
  size_t bytes[] = {sizeof count, sizeof y};
  const ir_kernel *kernel = parse(text);
  cr_assert_eq(ir_kernel_hash(kernel), ir_kernel_hash(parse(ir_kernel_print(&arena, kernel))), "prints as it was");
  for (int again = 0; again < 2; again++) {
    ok(ir_kernel_interpret(kernel, args, bytes, NULL, 0, 6));
    for (int i = 0; i < 6; i++) cr_assert_eq(y[i], i >= 4, "the third of each");
    cr_assert_eq(count[0] + count[1], 0, "counting starts anew");
  }
}
