// Block kernels against plain C: shuffles, matrix fragments of every kind, copies, counters, and whole products.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel_block.h"
#include "kernel_block_samples.h"
#include "runtime/base/half.h"

static weir_arena arena;
static void begin(void) { weir_arena_init(&arena); }
static void end(void) { weir_arena_deinit(&arena); }

TestSuite(block_run, .init = begin, .fini = end);

static void ok(weir_status status) { cr_assert_null(status, "%s", weir_status_message(status)); }

static ir_kernel *parse(const char *text) {
  ir_kernel *kernel = NULL;
  ok(ir_kernel_parse(&arena, text, strlen(text), &kernel));
  return kernel;
}

static void run(const ir_kernel *kernel, void *x, size_t x_bytes, void *y, size_t y_bytes, int64_t items) {
  void *args[] = {x, y};
  size_t bytes[] = {x_bytes, y_bytes};
  int64_t sizes[] = {3};
  ok(ir_kernel_interpret(kernel, args, bytes, sizes, 0, items));
}

// A kernel of one item over x and y.
static ir_kernel *one_block(int threads, const char *head, const char *body) {
  return parse(weir_arena_printf(&arena,
                                 "kernel k \"\"\nsizes N\nin x: 4096 @0\ninout y: 4096 @1\n%s\ngrid g: 1\n"
                                 "threads t: %d\n{\n%s\n}\n",
                                 head, threads, body));
}

Test(block_run, threads_of_a_warp) {
  float x[1024], y[1024] = {0};
  for (int i = 0; i < 1024; i++) x[i] = (float)(i * i % 37);
  run(one_block(64, "",
                "  let v: f32 = x:f32[t]\n"
                "  store y:f32[t] = shuffle_xor(v, 5)\n"
                "  store y:f32[t + 64] = shuffle_down(v, 3)\n"
                "  store y:f32[t + 128] = shuffle(v, t * 7)\n"
                "  store y:f32[t + 192] = select(any(v == 36.0), 1.0, 0.0)\n"
                "  store y:f32[t + 256] = select(all(v < 36.0), 1.0, 0.0)\n"
                "  store y:f32[t + 320] = exp2(v * 0.25)\n"
                "  for i in t..N * 20 step 2 {\n"
                "    if i % 3 == 0 {\n"
                "      store y:f32[t + 384] = y:f32[t + 384] + v\n"
                "    } else {\n"
                "      store y:f32[t + 448] = y:f32[t + 448] + 1.0\n"
                "    }\n"
                "  }"),
      x, sizeof x, y, sizeof y, 1);
  for (int t = 0; t < 64; t++) {
    int base = t / 32 * 32, lane = t % 32, any = 0, all = 1;
    for (int l = 0; l < 32; l++) any |= x[base + l] == 36, all &= x[base + l] < 36;
    cr_assert_eq(y[t], x[t ^ 5]);
    cr_assert_eq(y[64 + t], x[lane + 3 < 32 ? t + 3 : t]);
    cr_assert_eq(y[128 + t], x[base + t * 7 % 32]);
    cr_assert_eq(y[192 + t], any);
    cr_assert_eq(y[256 + t], all);
    cr_assert_eq(y[320 + t], (float)exp2(x[t] * 0.25));
    float sum = 0, count = 0;
    for (int i = t; i < 60; i += 2) i % 3 == 0 ? (sum += x[t]) : (count += 1);
    cr_assert_eq(y[384 + t], sum);
    cr_assert_eq(y[448 + t], count);
  }
}

Test(block_run, words) {
  uint32_t x[1024], y[1024] = {0};
  for (int i = 0; i < 1024; i++) x[i] = (uint32_t)i * 0x9e3779b1u;
  run(one_block(32, "",
                "  let a: f32 = f32(t) * 0.3\n"
                "  let p: u32 = pack2(a, 2.0)\n"
                "  let q: u32 = pack2_f16(a, 2.0)\n"
                "  store y:u32[t] = permute(x:u32[t], x:u32[t + 32], x:u32[t + 64])\n"
                "  store y:u32[t + 32] = q\n"
                "  store y:u32[t + 64] = fma2(p, p, p)\n"
                "  store y:u32[t + 96] = fma2_f16(q, q, q)"),
      x, sizeof x, y, sizeof y, 1);
  for (int t = 0; t < 32; t++) {
    uint8_t bytes[8], *out = (uint8_t *)&y[t];
    memcpy(bytes, &x[t], 4), memcpy(bytes + 4, &x[t + 32], 4);
    for (int i = 0; i < 4; i++) cr_assert_eq(out[i], bytes[x[t + 64] >> 4 * i & 7]);
    double a = t * (double)0.3f;
    float half = weir_f16_to_f32(weir_f32_to_f16((float)a)), bf = weir_bf16_to_f32(weir_f32_to_bf16((float)a));
    cr_assert_eq(y[t + 32], weir_f32_to_f16((float)a) | 0x4000u << 16);
    cr_assert_eq(y[t + 64], weir_f32_to_bf16(fmaf(bf, bf, bf)) | (uint32_t)weir_f32_to_bf16(6) << 16);
    cr_assert_eq(y[t + 96], weir_f32_to_f16(fmaf(half, half, half)) | (uint32_t)weir_f32_to_f16(6) << 16);
  }
}

Test(block_run, vectors_convert) {
  uint16_t x[2048], y[2048] = {0};
  for (int i = 0; i < 2048; i++) x[i] = weir_f32_to_bf16((float)(i - 900) / 8);
  run(one_block(64, "shared s: 4096",
                "  reg v: f32[8] = 0.0\n"
                "  reg w: u32[4] = 0:u32\n"
                "  read v[0] x 8 = x:bf16[t * 8] stream\n"
                "  write s:f16[t * 8] = v[0] x 8\n"
                "  read w[0] x 4 = s:u32[t * 4]\n"
                "  write y:u32[t * 4] = w[0] x 4 keep"),
      x, sizeof x, y, sizeof y, 1);
  for (int i = 0; i < 512; i++) cr_assert_eq(y[i], weir_f32_to_f16(weir_bf16_to_f32(x[i])));
}

// ---- fragments: y = c + a b, by one warp that loads every element where the layout says it is.
static double number(ir_kmma kind, int i) {
  static const int spread[IR_KMMA_COUNT] = {31, 31, 63, 255, 13};
  int n = i * 7919 % spread[kind] - spread[kind] / 2;
  return kind == IR_KMMA_s8 ? n : n / 4.0;
}

static void put(ir_kmma kind, void *at, int i, double value) {
  switch (kind) {
    case IR_KMMA_bf16:
      ((uint16_t *)at)[i] = weir_f32_to_bf16((float)value);
      break;
    case IR_KMMA_f16:
      ((uint16_t *)at)[i] = weir_f32_to_f16((float)value);
      break;
    case IR_KMMA_tf32:
      ((float *)at)[i] = (float)value;
      break;
    case IR_KMMA_s8:
      ((int8_t *)at)[i] = (int8_t)value;
      break;
    default:
      for (int bits = 0; bits < 256; bits++)
        if (weir_f8e4m3_to_f32((uint8_t)bits) == (float)value) ((uint8_t *)at)[i] = (uint8_t)bits;
      break;
  }
}

Test(block_run, mma) {
  for (int kind = 0; kind < IR_KMMA_COUNT; kind++) {
    int k = ir_kmma_k((ir_kmma)kind), words = 8;  // of a row along k, whatever the type
    char x[4096] = {0};
    float y[1024] = {0};
    double a[16][32], b[32][8];
    // A is [16][k] from byte 0, B is [8][k] from byte 512 on.
    for (int i = 0; i < 16 * k; i++) put((ir_kmma)kind, x, i, a[i / k][i % k] = number((ir_kmma)kind, i));
    for (int i = 0; i < 8 * k; i++) put((ir_kmma)kind, x + 512, i, b[i % k][i / k] = number((ir_kmma)kind, i + 3));
    bool exact = kind == IR_KMMA_s8;
    const char *body = weir_arena_printf(
        &arena,
        "  let r: i64 = t / 4\n  let q: i64 = t %% 4\n  reg a: u32[4] = 0:u32\n  reg b: u32[2] = 0:u32\n"
        "  reg c: %s[4] = %s\n"
        "  unroll i in 0..4 {\n    set a[i] = x:u32[(r + i %% 2 * 8) * %d + q + i / 2 * 4]\n  }\n"
        "  unroll i in 0..2 {\n    set b[i] = x:u32[128 + r * %d + q + i * 4]\n  }\n"
        "  mma %s c[0], a[0], b[0]\n  mma %s c[0], a[0], b[0]\n"
        "  unroll i in 0..4 {\n    store y:f32[(r + i / 2 * 8) * 8 + q * 2 + i %% 2] = f32(c[i])\n  }",
        exact ? "i32" : "f32", exact ? "1:i32" : "1.0", words, words, ir_kmma_name((ir_kmma)kind),
        ir_kmma_name((ir_kmma)kind));
    run(one_block(32, "", body), x, sizeof x, y, sizeof y, 1);
    for (int i = 0; i < 128; i++) {
      double sum = 0;
      for (int n = 0; n < k; n++) sum += a[i / 8][n] * b[n][i % 8];
      cr_assert_eq(y[i], (float)(1 + 2 * sum), "%s at %d: %g, not %g", ir_kmma_name((ir_kmma)kind), i, (double)y[i],
                   1 + 2 * sum);
    }
  }
}

Test(block_run, ldmatrix) {
  uint16_t x[2048], y[2048] = {0};
  for (int i = 0; i < 2048; i++) x[i] = (uint16_t)(i * 31);
  run(one_block(32, "shared s: 1024",
                "  reg w: u32[4] = 0:u32\n"
                "  read w[0] x 4 = x:u32[t * 4]\n"
                "  write s:u32[t * 4] = w[0] x 4\n"
                "  barrier\n"
                "  ldmatrix w[0] x 4 = s:u16[t * 8]\n"
                "  write y:u32[t * 4] = w[0] x 4\n"
                "  ldmatrix.trans w[0] x 4 = s:u16[t * 8]\n"
                "  write y:u32[t * 4 + 128] = w[0] x 4\n"
                "  barrier\n"
                "  stmatrix.trans s:u16[t * 8 + 256] = w[0] x 4\n"
                "  barrier_warp\n"
                "  read w[0] x 4 = s:u32[t * 4 + 128]\n"
                "  write y:u32[t * 4 + 256] = w[0] x 4"),
      x, sizeof x, y, sizeof y, 1);
  for (int l = 0; l < 32; l++)
    for (int i = 0; i < 4; i++)
      for (int half = 0; half < 2; half++) {
        cr_assert_eq(y[l * 8 + i * 2 + half], x[i * 64 + l / 4 * 8 + l % 4 * 2 + half]);
        cr_assert_eq(y[256 + l * 8 + i * 2 + half], x[i * 64 + (l % 4 * 2 + half) * 8 + l / 4]);
      }
  cr_assert_eq(memcmp(y + 512, x, 512), 0);
}

Test(block_run, the_last_block_sums) {
  float x[1024];
  double sum = 0;
  for (int i = 0; i < 1024; i++) sum += x[i] = (float)(i % 19);
  char y[4096] = {0};
  run(parse(
          "kernel k \"\"\nsizes N\nin x: 4096 @0\ninout y: 4096 @1\nshared s: 128\nshared flag: 16\ngrid g: 16\n"
          "threads t: 64\n{\n"
          "  reg v: f32 = x:f32[g * 64 + t]\n"
          "  unroll i in 0..5 {\n    set v = v + shuffle_xor(v, 16)\n    set v = shuffle(v, t * 2 + t / 16 % 2)\n  }\n"
          "  if t % 32 == 0 {\n    store s:f32[t / 32] = v\n  }\n  barrier\n"
          "  if t == 0 {\n    store y:f32[16 + g] = s:f32[0] + s:f32[1]\n    fence\n"
          "    let old: u32 = atomic_add(y:u32[0], 1:u32)\n    store flag:u32[0] = old\n  }\n  barrier\n"
          "  if flag:u32[0] == 15:u32 & t == 0 {\n    reg all: f32 = 0.0\n"
          "    for i in 0..16 {\n      set all = all + y:f32[16 + i]\n    }\n    store y:f32[1] = all\n  }\n}\n"),
      x, sizeof x, y, sizeof y, 16);
  float total;
  memcpy(&total, y + 4, 4);
  cr_assert_eq(total, (float)sum);
}

Test(block_run, tma_with_swizzle_and_edges) {
  float x[1024], y[1024] = {0};
  for (int i = 0; i < 1024; i++) x[i] = (float)i;
  // A box of 8 x 32 at column -4, row 28 of a tensor of 32 x 30: what is outside is zero; the store leaves it out.
  run(one_block(64,
                "shared s: 1024\nmbarrier b: 1\nmap m: x:f32 dims 30, 32 strides 32 box 32, 8 swizzle 128\n"
                "map o: y:f32 dims 30, 32 strides 32 box 32, 8 swizzle 128",
                "  if t == 0 {\n    mbarrier init b[0], 1\n  }\n  barrier\n"
                "  if t == 0 {\n    mbarrier expect b[0], 1024\n    tma s:f32[0] = m[-4, 28] signal b[0]\n  }\n"
                "  mbarrier wait b[0], 0\n"
                "  if t < 8 {\n    // element [2][12] of the box\n"
                "    store y:f32[t] = s:f32[(2 * 128 + (48 ^ 2 * 16)) / 4]\n  }\n"
                "  barrier\n"
                "  if t == 32 {\n    tma_store o[4, 26] = s:f32[0]\n    tma_commit\n    tma_wait 0\n  }"),
      x, sizeof x, y, sizeof y, 1);
  cr_assert_eq(y[0], x[30 * 32 + 8]);
  for (int r = 0; r < 8; r++)
    for (int c = 0; c < 32; c++) {
      int from_row = 28 + r, from = c - 4, row = 26 + r, column = 4 + c;
      bool inside = from >= 0 && from < 30 && from_row < 32;
      if (row < 32 && column < 30) cr_assert_eq(y[row * 32 + column], inside ? x[from_row * 32 + from] : 0);
    }
}

Test(block_run, a_cluster_shares_a_copy) {
  float x[1024], y[1024] = {0};
  for (int i = 0; i < 1024; i++) x[i] = (float)i;
  run(parse("kernel k \"\"\nsizes N\nin x: 4096 @0\ninout y: 4096 @1\nshared s: 1024\nmbarrier b: 2\n"
            "map m: x:f32 dims 32, 32 box 32, 8\ngrid g: 4\nthreads t: 64\ncluster 2\n{\n"
            "  if t == 0 {\n    mbarrier init b[0], 1\n    mbarrier init b[1], 2\n  }\n  barrier_cluster\n"
            "  if t == 0 {\n    mbarrier expect b[0], 1024\n    mbarrier arrive b[1] at 0\n    if g % 2 == 0 {\n"
            "      mbarrier wait b[1], 0\n      tma s:f32[0] = m[0, g / 2 * 8] signal b[0] multicast 3\n    }\n  }\n"
            "  mbarrier wait b[0], 0\n"
            "  unroll i in 0..2 {\n    store y:f32[g * 128 + t * 2 + i] = s:f32[g % 2 * 128 + t * 2 + i]\n  }\n"
            "  barrier_cluster\n}\n"),
      x, sizeof x, y, sizeof y, 4);
  for (int i = 0; i < 512; i++) cr_assert_eq(y[i], x[i]);
}

// ---- products
enum { M = 70, N = 128, K = 192 };

static void check_product(const char *sample, bool transposed, bool narrow, int cases) {
  static uint16_t x[M * K], w[N * K];
  static float y[M * N];
  for (int i = 0; i < M * K; i++) x[i] = weir_f32_to_bf16((float)(i * 7919 % 31 - 15) / 8);
  for (int i = 0; i < N * K; i++) w[i] = weir_f32_to_bf16((float)(i * 1047 % 29 - 14) / 16);
  memset(y, 0xff, sizeof y);
  void *args[] = {x, w, y};
  size_t bytes[] = {sizeof x, sizeof w, sizeof y};
  int64_t sizes[] = {M, N, K};
  for (int round = 0; round < cases; round++) {
    const ir_kinterpret_options options = {.round_f32 = round};
    ok(ir_kernel_interpret_options(parse(sample), args, bytes, sizes, 0, (M + 63) / 64 * (N / 64), &options));
    for (int i = 0; i < M * N; i++) {
      double sum = 0;
      for (int k = 0; k < K; k++) {
        int at = transposed ? k * N + i % N : i % N * K + k;
        sum += (double)weir_bf16_to_f32(x[i / N * K + k]) * weir_bf16_to_f32(w[at]);
      }
      // Sums of multiples of 1/128 below 2^16 are exact.
      if (narrow) cr_assert_eq(((uint16_t *)y)[i], weir_f32_to_bf16((float)sum), "at %d", i);
      else cr_assert_eq(y[i], (float)sum, "at %d", i);
    }
  }
}

Test(block_run, gemm_with_async_copies_and_mma) { check_product(block_gemm, false, true, 2); }
Test(block_run, gemm_with_tma_and_wgmma) { check_product(block_gemm_sm90, true, false, 2); }

Test(block_run, the_example_of_the_page) {
  FILE *file = fopen(WEIR_SOURCE_DIR "/docs/kernel-ir.md", "rb");
  cr_assert_not_null(file);
  static char page[1 << 16];
  page[fread(page, 1, sizeof page - 1, file)] = 0;
  fclose(file);
  char *text = strstr(page, "kernel tiled "), *stop = text ? strstr(text, "```") : NULL;
  cr_assert_not_null(stop);
  *stop = 0;
  enum { ROWS = 64, COLUMNS = 96, INNER = 64 };
  static float x[ROWS * INNER], w[INNER * COLUMNS], y[ROWS * COLUMNS];
  for (int i = 0; i < ROWS * INNER; i++) x[i] = (float)(i * 31 % 17 - 8);
  for (int i = 0; i < INNER * COLUMNS; i++) w[i] = (float)(i * 13 % 11 - 5);
  void *args[] = {x, w, y};
  size_t bytes[] = {sizeof x, sizeof w, sizeof y};
  int64_t sizes[] = {ROWS, COLUMNS, INNER};
  ok(ir_kernel_interpret(parse(text), args, bytes, sizes, 0, ROWS / 32 * (COLUMNS / 32)));
  for (int i = 0; i < ROWS * COLUMNS; i++) {
    float sum = 0;
    for (int k = 0; k < INNER; k++) sum += x[i / COLUMNS * INNER + k] * w[k * COLUMNS + i % COLUMNS];
    cr_assert_eq(y[i], sum);
  }
}

Test(block_run, wgmma_reads_factors_from_registers_and_other_swizzles) {
  // C = A B of 64 x 16 x 16: A in registers, B with rows of 64 bytes along n (32 halves) and along k (swizzle 32).
  static uint16_t x[2048];
  static float y[64 * 16 * 2];
  for (int i = 0; i < 2048; i++) x[i] = weir_f32_to_bf16((float)(i * 37 % 23 - 11));
  const char *text =
      "kernel k \"\"\nsizes N\nin x: 4096 @0\ninout y: 8192 @1\nshared along_k: 512\nshared along_n: 1024\n"
      "mbarrier b: 1\nmap mk: x:bf16 at 2048 dims 16, 16 box 16, 16 swizzle 32\n"
      "map mn: x:bf16 at 2560 dims 32, 16 box 32, 16 swizzle 64\ngrid g: 1\nthreads t: 128\n{\n"
      "  if t == 0 {\n    mbarrier init b[0], 1\n  }\n  barrier\n"
      "  if t == 0 {\n    mbarrier expect b[0], 1536\n    tma along_k:bf16[0] = mk[0, 0] signal b[0]\n"
      "    tma along_n:bf16[0] = mn[0, 0] signal b[0]\n  }\n  mbarrier wait b[0], 0\n"
      "  reg a: u32[4] = 0:u32\n  reg c: f32[8] = 0.0\n  reg d: f32[8] = 0.0\n  let lane: i64 = t % 32\n"
      "  unroll i in 0..4 {\n"
      "    set a[i] = x:u32[(t / 32 * 16 + lane / 4 + i % 2 * 8) * 8 + lane % 4 + i / 2 * 4]\n  }\n"
      "  wgmma fence\n"
      "  wgmma bf16 n 16 c[0] = a[0], along_k:bf16[0] swizzle 32\n"
      "  wgmma bf16 n 16 d[0] adds false = a[0], along_n:bf16[0] swizzle 64 trans 1024\n"
      "  wgmma commit\n  wgmma wait 0\n"
      "  unroll i in 0..8 {\n"
      "    let at: i64 = (t / 32 * 16 + lane / 4 + i / 2 % 2 * 8) * 16 + i / 4 * 8 + lane % 4 * 2 + i % 2\n"
      "    store y:f32[at] = c[i]\n    store y:f32[at + 1024] = d[i]\n  }\n}\n";
  run(parse(text), x, sizeof x, y, sizeof y, 1);
  for (int i = 0; i < 64 * 16; i++) {
    float c = 0, d = 0;
    for (int k = 0; k < 16; k++) {
      float a = weir_bf16_to_f32(x[i / 16 * 16 + k]);
      c += a * weir_bf16_to_f32(x[1024 + i % 16 * 16 + k]);
      d += a * weir_bf16_to_f32(x[1280 + k * 32 + i % 16]);
    }
    cr_assert_eq(y[i], c);
    cr_assert_eq(y[i + 1024], d);
  }
}
