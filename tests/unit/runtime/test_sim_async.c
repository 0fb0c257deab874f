// The sim engine: asynchronous copies, fragments of mma, mbarriers, tensor copies, wgmma, clusters; and their checks.
#include "runtime/base/half.h"
#include "tests/unit/runtime/sim_harness.h"

typedef struct {
  void *args[4];
  int64_t dims[4];
  int64_t items;
  void *scratch;
  int64_t scratch_stride;
  _Alignas(64) uint8_t maps[3][RT_SIM_MAP_BYTES];
} map_params;

static const char kernels[] =
    "#define K(name, threads) struct name##_params { void *args[4]; i64 dims[4]; i64 items; void *scratch; i64 "
    "scratch_stride;"
    " TENSOR_MAP maps[3]; }; KERNEL(name, threads, 1)\n"
    "#define IN(n) f32 *x = (f32 *)p.args[0]; EXTENT(x, n, 0)\n"
    "#define OUT(n) f32 *y = (f32 *)p.args[1]; EXTENT(y, n, 1)\n"
    "#line 1\n"
    // dims: 0 right, 1 no wait, 2 no barrier for others, 3 nobody waits at all, 4 the source is not read
    "K(k_async, 64) {\n"
    "  IN(p.dims[0] == 4 ? 0 : 256); OUT(256); SHARED(f32, s, 256);\n"
    "  CP_ASYNC(s + THREAD, x + THREAD, 4, p.dims[0] != 4, none); CP_COMMIT();\n"
    "  if (p.dims[0] == 3) return;\n"
    "  if (p.dims[0] != 1) CP_WAIT(0);\n"
    "  if (p.dims[0] != 2) BARRIER();\n"
    "  st_f32(y, THREAD, lds_f32(s, THREAD / 2));\n"
    "  if (p.dims[0] == 1) CP_WAIT(0);\n"
    "}\n"
    // Two groups; only the first is waited for. dims[0]: reads the second.
    "K(k_groups, 32) {\n"
    "  IN(1024); OUT(1024); SHARED(f32, s, 1024); u32 a, b, c, d;\n"
    "  CP_ASYNC(s + 4 * THREAD, x + 4 * THREAD, 16, 1, keep); CP_COMMIT();\n"
    "  CP_ASYNC(s + 128 + 4 * THREAD, x + 128 + 4 * THREAD, 16, 1, stream); CP_COMMIT();\n"
    "  CP_WAIT(1);\n"
    "  ldws4(a, b, c, d, s, 4 * THREAD + 128 * p.dims[0]);\n"
    "  stw4(y, 4 * THREAD, a, b, c, d);\n"
    "  CP_WAIT(0);\n"
    "}\n"
    // dims[0]: plain, transposed; dims[1]: rows at odd places
    "K(k_ldmatrix, 32) {\n"
    "  IN(1024); u32 *y = (u32 *)p.args[1]; EXTENT(y, 1024, 1); SHARED(u16, s, 1024); SHARED(u16, t, 512);\n"
    "  for (int i = THREAD; i < 256; i += 32) sts_u16(s, i, (u16)i);\n"
    "  WARP_FENCE();\n"
    "  u32 a, b, c, d;\n"
    "  if (p.dims[0]) LDMATRIX_T_4(a, b, c, d, s + 8 * THREAD + p.dims[1]);\n"
    "  else LDMATRIX_4(a, b, c, d, s + 8 * THREAD + p.dims[1]);\n"
    "  stw4(y, 4 * THREAD, a, b, c, d);\n"
    "  if (p.dims[0]) STMATRIX_T_4(t + 8 * THREAD, a, b, c, d); else STMATRIX_4(t + 8 * THREAD, a, b, c, d);\n"
    "  WARP_FENCE();\n"
    "  for (int i = THREAD; i < 128; i += 32) st_u32(y, 128 + i, lds_u32((u32 *)t, i));\n"
    "}\n"
    "#define FRAGMENT(name, R, how) K(name, 32) { \\\n"
    "  u32 *x = (u32 *)p.args[0]; EXTENT(x, 32 * 24, 0); R *y = (R *)p.args[1]; EXTENT(y, 512, 1); \\\n"
    "  u32 a[4], b[2]; R c[4]; \\\n"
    "  for (int i = 0; i < 4; i++) a[i] = ld_u32(x, THREAD * 6 + i), c[i] = (R)(THREAD + i); \\\n"
    "  for (int i = 0; i < 2; i++) b[i] = ld_u32(x, THREAD * 6 + 4 + i); \\\n"
    "  how(c[0], c[1], c[2], c[3], a[0], a[1], a[2], a[3], b[0], b[1]); \\\n"
    "  for (int i = 0; i < 4; i++) st_##R(y, THREAD * 4 + i, c[i]); \\\n"
    "}\n"
    "FRAGMENT(k_mma_bf16, f32, MMA_bf16)\n"
    "FRAGMENT(k_mma_f16, f32, MMA_f16)\n"
    "FRAGMENT(k_mma_tf32, f32, MMA_tf32)\n"
    "FRAGMENT(k_mma_s8, i32, MMA_s8)\n"
    "FRAGMENT(k_mma_e4m3, f32, MMA_e4m3)\n"
    "K(k_mma_part, 32) { f32 c = 0; if (THREAD) MMA_bf16(c, c, c, c, 0, 0, 0, 0, 0, 0); }\n"
    // A box of 8 x 32 f32 from map 0 at dims[1], dims[2], written to map 1 from shared memory as it is.
    // dims[0]: 0 right, 1 reads without waiting, 2 nobody expects the bytes, 3 no fence before the store, 4 no wait for
    // it, 5 the mbarrier is not initialised, 6 a place of no multiple of 128, 7 over the count, 8 one more box is
    // expected
    "K(k_box, 64) {\n"
    "  IN(4096); OUT(4096); SHARED(f32, s, 2048); MBARRIERS(bar, 1);\n"
    "  if (THREAD == 0 && p.dims[0] != 5) MBAR_INIT(bar, 1);\n"
    "  BARRIER();\n"
    "  if (THREAD == 0) {\n"
    "    if (p.dims[0] != 2) MBAR_EXPECT(bar, p.dims[0] == 8 ? 2048 : 1024);\n"
    "    if (p.dims[0] == 7) MBAR_ARRIVE(bar);\n"
    "    TMA_2(s + (p.dims[0] == 6 ? 4 : 0), &p.maps[0], bar, none, (i32)p.dims[1], (i32)p.dims[2]);\n"
    "  }\n"
    "  if (p.dims[0] != 1 || THREAD) MBAR_WAIT(bar, 0);\n"
    "  for (int i = THREAD; i < 256; i += 64) sts_f32(s, 256 + i, lds_f32(s, i));\n"
    "  if (p.dims[0] != 3) PROXY_FENCE();\n"
    "  BARRIER();\n"
    "  if (THREAD == 0) { TMA_STORE_2(&p.maps[1], s + 256, 0, 0); TMA_COMMIT(); if (p.dims[0] != 4) TMA_WAIT(0); }\n"
    "}\n"
    // Producer and consumer with a ring of two boxes of one row each.
    "K(k_ring, 64) {\n"
    "  IN(4096); OUT(2048); SHARED(f32, s, 1024); MBARRIERS(full, 2); MBARRIERS(empty, 2);\n"
    "  if (THREAD == 0) for (int i = 0; i < 2; i++) { MBAR_INIT(full + i, 1); MBAR_INIT(empty + i, 32); }\n"
    "  BARRIER();\n"
    "  if (THREAD < 32) {\n"
    "    if (THREAD == 0) for (int i = 0; i < 16; i++) {\n"
    "      if (i >= 2 && !p.dims[0]) MBAR_WAIT(empty + i % 2, i / 2 + 1);\n"
    "      MBAR_EXPECT(full + i % 2, 128);\n"
    "      BULK(s + i % 2 * 32, x + i * 32, 128, full + i % 2);\n"
    "    }\n"
    "  } else for (int i = 0; i < 16; i++) {\n"
    "    MBAR_WAIT(full + i % 2, i / 2);\n"
    "    st_f32(y, i * 32 + THREAD - 32, lds_f32(s, i % 2 * 32 + THREAD - 32));\n"
    "    MBAR_ARRIVE(empty + i % 2);\n"
    "  }\n"
    "}\n"
    // 64 x 16 = A (64 x 32 bf16, map 0) times B (16 x 32, map 1), swizzle 64, two steps of 16.
    // dims[0]: 0 right, 1 no fence, 2 no wait, 3 the accumulator is written under way, 4 a factor is, 5 a warp stays
    // away
    "K(k_wgmma, 128) {\n"
    "  OUT(4096); SHARED(u16, a, 4096); SHARED(u16, b, 1024); MBARRIERS(bar, 1);\n"
    "  if (THREAD == 0) MBAR_INIT(bar, 1);\n"
    "  BARRIER();\n"
    "  if (THREAD == 0) { MBAR_EXPECT(bar, 5120); TMA_2(a, &p.maps[0], bar, none, 0, 0); TMA_2(b, &p.maps[1], bar, "
    "none, 0, 0); }\n"
    "  MBAR_WAIT(bar, 0);\n"
    "  f32 c0 = 0, c1 = 0, c2 = 0, c3 = 0, c4 = 0, c5 = 0, c6 = 0, c7 = 0;\n"
    "  f32 *r[8] = {&c0, &c1, &c2, &c3, &c4, &c5, &c6, &c7};\n"
    "  if (p.dims[0] != 1) WGMMA_FENCE();\n"
    "  if (p.dims[0] == 5 && THREAD < 32) return;\n"
    "  SIM_WGMMA(WGMMA_KIND_bf16, 16, r, 0, a, 0, 64, 0, 0, b, 64, 0, 0);\n"
    "  SIM_WGMMA(WGMMA_KIND_bf16, 16, r, 1, a + 16, 0, 64, 0, 0, b + 16, 64, 0, 0);\n"
    "  WGMMA_COMMIT();\n"
    "  if (p.dims[0] == 3) c3 = 1;\n"
    "  if (p.dims[0] == 4) sts_u16(a, THREAD, 0);\n"
    "  if (p.dims[0] != 2) WGMMA_WAIT(0);\n"
    "  const int row = THREAD / 32 * 16 + THREAD % 32 / 4, column = THREAD % 4 * 2;\n"
    "  st_f32(y, row * 16 + column, c0); st_f32(y, row * 16 + column + 1, c1);\n"
    "  st_f32(y, (row + 8) * 16 + column, c2); st_f32(y, (row + 8) * 16 + column + 1, c3);\n"
    "  st_f32(y, row * 16 + column + 8, c4); st_f32(y, row * 16 + column + 9, c5);\n"
    "  st_f32(y, (row + 8) * 16 + column + 8, c6); st_f32(y, (row + 8) * 16 + column + 9, c7);\n"
    "}\n"
    // Two blocks; block 0 loads for both, each writes what it got; block 1 tells block 0.
    "K(k_cluster, 32) {\n"
    "  IN(4096); OUT(2048); SHARED(f32, s, 1024); MBARRIERS(bar, 2);\n"
    "  const i32 rank = BLOCK % 2;\n"
    "  if (THREAD == 0) { MBAR_INIT(bar, 1); MBAR_INIT(bar + 1, 2); }\n"
    "  if (p.dims[0] != 1) CLUSTER_BARRIER();\n"
    "  if (THREAD == 0) {\n"
    "    MBAR_EXPECT(bar, 1024);\n"
    "    if (rank == 0) TMA_MULTI_2(s, &p.maps[0], bar, none, 3, 0, 0);\n"
    "  }\n"
    "  WARP_FENCE();\n"
    "  MBAR_WAIT(bar, 0);\n"
    "  for (int i = THREAD; i < 256; i += 32) st_f32(y, rank * 256 + i, lds_f32(s, i));\n"
    "  if (THREAD == 0) MBAR_ARRIVE_AT(bar + 1, 0);\n"
    "  if (rank == 0) MBAR_WAIT(bar + 1, 0);\n"
    "  CLUSTER_BARRIER();\n"
    "}\n";

static rt_sim *sim;
static rt_sim_object *object;
static _Alignas(128) float x[4096];
static _Alignas(128) float y[4096];

static void setup(void) {
  OK(rt_sim_create(&sim));
  object = sim_compile(kernels);
  for (int i = 0; i < 4096; i++) x[i] = (float)(i % 1000);
  memset(y, 0, sizeof(y));
}

static void teardown(void) {
  rt_sim_destroy(sim);
  rt_sim_object_unload(object);
}

TestSuite(sim_async, .init = setup, .fini = teardown);

static map_params params(int64_t a, int64_t b, int64_t c) {
  return (map_params){.args = {x, y}, .dims = {a, b, c}, .items = 1};
}

static rt_sim_report launch(const char *name, const map_params *p, rt_sim_launch_options options) {
  return sim_run(sim, object, name, (const sim_params *)(const void *)p, options);
}

static void run(const char *name, int64_t a, int64_t b, rt_sim_check check) {
  const map_params p = params(a, b, 0);
  rt_sim_report r = launch(name, &p, (rt_sim_launch_options){0});
  cr_assert_eq(r.check, check, "%s(%d): %s", name, (int)a, r.check ? r.text : "no fault");
}

Test(sim_async, copies) {
  run("k_async", 0, 0, RT_SIM_none);
  cr_assert_eq(y[5], 2);
  run("k_async", 1, 0, RT_SIM_async_pending);
  run("k_async", 2, 0, RT_SIM_race);
  run("k_async", 3, 0, RT_SIM_async_pending);
  run("k_async", 4, 0, RT_SIM_none);
  cr_assert_eq(y[5], 0);
  run("k_groups", 0, 0, RT_SIM_none);
  cr_assert_eq(y[77], 77);
  run("k_groups", 1, 0, RT_SIM_async_pending);
}

Test(sim_async, matrices_of_a_warp) {
  for (int trans = 0; trans < 2; trans++) {
    run("k_ldmatrix", trans, 0, RT_SIM_none);
    const uint32_t *got = (const uint32_t *)(const void *)y;
    for (int lane = 0; lane < 32; lane++) {
      for (int m = 0; m < 4; m++) {
        uint32_t low = (uint32_t)(64 * m + (trans ? lane % 4 * 2 * 8 + lane / 4 : lane / 4 * 8 + lane % 4 * 2));
        cr_assert_eq(got[4 * lane + m], low | (low + (trans ? 8 : 1)) << 16);
      }
    }
    for (uint32_t i = 0; i < 128; i++) cr_assert_eq(got[128 + i], 2 * i | (2 * i + 1) << 16);
  }
  run("k_ldmatrix", 0, 1, RT_SIM_misaligned);
  run("k_mma_part", 0, 0, RT_SIM_divergent_warp);
}

// Small values that every type has exactly.
static int value_a(int row, int k) { return (row * 5 + k * 3) % 7 - 3; }
static int value_b(int k, int column) { return (k * 2 + column * 3) % 5 - 2; }

static uint32_t coded(int kind, int value) {
  static const uint8_t e4m3[] = {0, 0x38, 0x40, 0x44};
  switch (kind) {
    case 0:
      return weir_f32_to_bf16((float)value);
    case 1:
      return weir_f32_to_f16((float)value);
    case 2:
      return weir_f32_bits((float)value);
    case 3:
      return (uint8_t)value;
    default:
      return (uint32_t)(e4m3[abs(value)] | (value < 0 ? 0x80 : 0));
  }
}

Test(sim_async, products_of_a_warp) {
  static const char *const names[] = {"k_mma_bf16", "k_mma_f16", "k_mma_tf32", "k_mma_s8", "k_mma_e4m3"};
  for (int kind = 0; kind < 5; kind++) {
    const int parts = kind == 2 ? 1 : kind < 2 ? 2 : 4, bits = 32 / parts, depth = 8 * parts;
    uint32_t words[32 * 6] = {0};
    for (int l = 0; l < 32; l++) {
      for (int i = 0; i < 4; i++) {
        for (int e = 0; e < parts; e++) {
          words[l * 6 + i] |= coded(kind, value_a(l / 4 + 8 * (i % 2), parts * (l % 4) + 4 * parts * (i / 2) + e))
                              << bits * e;
          if (i < 2)
            words[l * 6 + 4 + i] |= coded(kind, value_b(parts * (l % 4) + 4 * parts * i + e, l / 4)) << bits * e;
        }
      }
    }
    map_params p = params(0, 0, 0);
    p.args[0] = words;
    rt_sim_report r = launch(names[kind], &p, (rt_sim_launch_options){0});
    cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
    for (int l = 0; l < 32; l++) {
      for (int i = 0; i < 4; i++) {
        int sum = l + i, row = l / 4 + 8 * (i / 2), column = l % 4 * 2 + i % 2;
        for (int k = 0; k < depth; k++) sum += value_a(row, k) * value_b(k, column);
        int32_t as_int;
        memcpy(&as_int, &y[l * 4 + i], 4);
        cr_assert_eq(kind == 3 ? as_int : (int)y[l * 4 + i], sum, "%s, lane %d, %d", names[kind], l, i);
      }
    }
  }
}

static void encode(map_params *p, int index, void *at, int bytes, uint64_t width, uint64_t height, uint32_t box0,
                   uint32_t box1, int swizzle) {
  const rt_sim_map map = {.address = at,
                          .rank = 2,
                          .element_bytes = bytes,
                          .dims = {width, height},
                          .strides = {(uint64_t)bytes * width},
                          .box = {box0, box1},
                          .swizzle = swizzle};
  OK(rt_sim_map_encode(&map, p->maps[index]));
}

Test(sim_async, boxes) {
  static const int swizzles[] = {0, 128, 64, 32};
  for (int s = 0; s < 4; s++) {
    map_params p = params(0, 16, 28);
    const uint32_t inner = swizzles[s] ? (uint32_t)swizzles[s] / 4 : 32, rows = 256 / inner;
    // A tensor of 32 rows of 32; the box begins at column 16 and row 28: most lies outside.
    encode(&p, 0, x, 4, 32, 32, inner, rows, swizzles[s]);
    encode(&p, 1, y, 4, inner, rows, inner, rows, 0);
    rt_sim_report r = launch("k_box", &p, (rt_sim_launch_options){0});
    cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t at = 4 * i;
      if (swizzles[s]) at ^= (at >> 7 & ((uint32_t)swizzles[s] / 16 - 1)) << 4;
      uint32_t row = i / inner + 28, column = i % inner + 16;
      cr_assert_eq(y[at / 4], row < 32 && column < 32 ? x[row * 32 + column] : 0, "swizzle %d, %u", swizzles[s], i);
    }
  }
}

Test(sim_async, box_faults) {
  static const rt_sim_check checks[] = {
      RT_SIM_none,     RT_SIM_async_pending, RT_SIM_deadlock, RT_SIM_matrix_operands, RT_SIM_async_pending,
      RT_SIM_mbarrier, RT_SIM_misaligned,    RT_SIM_mbarrier, RT_SIM_deadlock};
  for (int64_t i = 0; i < 9; i++) {
    map_params p = params(i, 0, 0);
    encode(&p, 0, x, 4, 32, 32, 32, 8, 0);
    encode(&p, 1, y, 4, 32, 32, 32, 8, 0);
    rt_sim_report r = launch("k_box", &p, (rt_sim_launch_options){0});
    cr_assert_eq(r.check, checks[i], "case %d: %s", (int)i, r.check ? r.text : "no fault");
  }
  map_params p = params(0, 0, 0);
  rt_sim_report r = launch("k_box", &p, (rt_sim_launch_options){0});
  cr_assert_eq(r.check, RT_SIM_tensor_map, "%s", r.text);
  const rt_sim_map bad = {
      .address = x, .rank = 2, .element_bytes = 4, .dims = {32, 32}, .strides = {12}, .box = {4, 4}};
  weir_status status = rt_sim_map_encode(&bad, p.maps[0]);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  weir_status_release(status);
}

Test(sim_async, ring) {
  for (uint64_t seed = 0; seed < 5; seed++) {
    map_params p = params(0, 0, 0);
    memset(y, 0, sizeof(y));
    rt_sim_report r = launch("k_ring", &p, (rt_sim_launch_options){.seed = seed});
    cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
    for (int i = 0; i < 512; i++) cr_assert_eq(y[i], x[i]);
  }
  map_params p = params(1, 0, 0);  // the producer does not wait for its consumers
  rt_sim_report r = launch("k_ring", &p, (rt_sim_launch_options){0});
  cr_assert(r.check == RT_SIM_async_pending || r.check == RT_SIM_race || r.check == RT_SIM_mbarrier, "%s", r.text);
}

Test(sim_async, warpgroup) {
  static const rt_sim_check checks[] = {
      RT_SIM_none,          RT_SIM_matrix_operands, RT_SIM_matrix_operands, RT_SIM_matrix_operands,
      RT_SIM_async_pending, RT_SIM_divergent_warp};
  static _Alignas(128) uint16_t a[64 * 32], b[16 * 32];
  for (int i = 0; i < 64 * 32; i++) a[i] = weir_f32_to_bf16((float)value_a(i / 32, i % 32));
  for (int i = 0; i < 16 * 32; i++) b[i] = weir_f32_to_bf16((float)value_b(i % 32, i / 32));
  OK(rt_sim_register(sim, a, sizeof(a)));
  OK(rt_sim_register(sim, b, sizeof(b)));
  for (int64_t i = 0; i < 6; i++) {
    map_params p = params(i, 0, 0);
    encode(&p, 0, a, 2, 32, 64, 32, 64, 64);
    encode(&p, 1, b, 2, 32, 16, 32, 16, 64);
    rt_sim_report r = launch("k_wgmma", &p, (rt_sim_launch_options){0});
    cr_assert_eq(r.check, checks[i], "case %d: %s", (int)i, r.check ? r.text : "no fault");
    for (int k = 0; !i && k < 64 * 16; k++) {
      int sum = 0;
      for (int d = 0; d < 32; d++) sum += value_a(k / 16, d) * value_b(d, k % 16);
      cr_assert_eq(y[k], sum, "%d, %d: %f, not %d", k / 16, k % 16, (double)y[k], sum);
    }
  }
}

Test(sim_async, clusters) {
  for (uint64_t seed = 0; seed < 4; seed++) {
    map_params p = params(0, 0, 0);
    encode(&p, 0, x, 4, 32, 32, 32, 8, 0);
    memset(y, 0, sizeof(y));
    rt_sim_report r = launch("k_cluster", &p, (rt_sim_launch_options){.grid = 2, .cluster = 2, .seed = seed});
    cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
    for (int i = 0; i < 512; i++) cr_assert_eq(y[i], x[i % 256]);
  }
  map_params p = params(1, 0, 0);  // the other block's mbarrier may not exist yet
  encode(&p, 0, x, 4, 32, 32, 32, 8, 0);
  rt_sim_report r = launch("k_cluster", &p, (rt_sim_launch_options){.grid = 2, .cluster = 2});
  cr_assert(r.check != RT_SIM_none);
}
