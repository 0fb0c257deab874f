// Dot products of bytes and of pairs of bf16 on every level: sixteen lanes at once and one by one give what the
// interpreter gives. Words are random, with all the extremes of a byte; pairs are no denormals, which a machine may
// flush, and where multiply-adds are not fused a pair may be off in the last place.
#include "tests/unit/codegen/cpu_harness.h"

enum { WORDS = 16 * 40, OUTPUTS = 5 };

// y[n] = op(a, b, c) over lanes, then once more one by one behind them.
static const char text[] =
    "kernel k_dots \"\"\nin a: 2560 @0\nin s: 2560 @1\nin b: 2560 @2\nin p: 2560 @3\nin q: 2560 @4\nin x: 2560 @5\n"
    "out y: 25600 @6\ngrid: 1\n{\n"
    "  lanes i in 0..640 {\n"
    "    store y:i32[i] = dot4(a:u32[i], b:i32[i], b:i32[639 - i])\n"
    "    store y:i32[640 + i] = dot4_7(s:u32[i], b:i32[i], b:i32[639 - i])\n"
    "    store y:f32[1280 + i] = dot2(p:u32[i], q:u32[i], x:f32[i])\n"
    "    store y:u32[1920 + i] = pack2(x:f32[i], x:f32[639 - i])\n"
    "    store y:i32[2560 + i] = dot4(a:u32[0], b:i32[i], 0:i32)\n"
    "  }\n"
    "  for i in 0..640 {\n"
    "    store y:i32[3200 + i] = dot4(a:u32[i], b:i32[i], b:i32[639 - i])\n"
    "    store y:i32[3840 + i] = dot4_7(s:u32[i], b:i32[i], b:i32[639 - i])\n"
    "    store y:f32[4480 + i] = dot2(p:u32[i], q:u32[i], x:f32[i])\n"
    "    store y:u32[5120 + i] = pack2(x:f32[i], x:f32[639 - i])\n"
    "    store y:i32[5760 + i] = dot4(a:u32[0], b:i32[i], 0:i32)\n"
    "  }\n}\n";

static void make_words(uint32_t a[WORDS], uint32_t s[WORDS], uint32_t b[WORDS], uint32_t p[WORDS], uint32_t q[WORDS],
                       float x[WORDS]) {
  static const uint32_t extremes[] = {0, UINT32_MAX, 0x80808080, 0x7f7f7f7f, 0x80ff7f01, 0x00ff00ff};
  uint64_t state = 11;
  for (int i = 0; i < WORDS; i++) {
    a[i] = i < 36 ? extremes[i / 6] : (uint32_t)cpu_random(&state);
    s[i] = a[i] & 0x7f7f7f7f;
    b[i] = i < 36 ? extremes[i % 6] : (uint32_t)cpu_random(&state);
    uint16_t halves[4];
    for (int h = 0; h < 4; h++) halves[h] = weir_f32_to_bf16(cpu_random_float(&state) * 8);
    p[i] = halves[0] | (uint32_t)halves[1] << 16;
    q[i] = halves[2] | (uint32_t)halves[3] << 16;
    x[i] = i == 7 ? INFINITY : i == 9 ? NAN : cpu_random_float(&state) * 100;
  }
}

Test(cpu_dot, all_levels_agree_with_the_interpreter) {
  cpu_rig rig;
  cpu_rig_init_levels(&rig, cg_cpu_isa_names());
  ir_kernel *kernel = NULL;
  cpu_must(ir_kernel_parse(&rig.arena, text, sizeof text - 1, &kernel));
  const ir_kernel *kernels[] = {kernel};
  cpu_rig_compile(&rig, kernels, 1);
  static uint32_t a[WORDS], s[WORDS], b[WORDS], p[WORDS], q[WORDS], want[2 * OUTPUTS * WORDS], got[2 * OUTPUTS * WORDS];
  static float x[WORDS];
  make_words(a, s, b, p, q, x);
  void *args[] = {a, s, b, p, q, x, want};
  size_t bytes[] = {sizeof a, sizeof s, sizeof b, sizeof p, sizeof q, sizeof x, sizeof want};
  ir_kinterpret_options options = {.round_f32 = true};
  cpu_must(ir_kernel_interpret_options(kernel, args, bytes, NULL, 0, 1, &options));
  args[6] = got;
  const int64_t dims[] = {0};
  for (int level = 0; level < rig.level_count; level++) {
    memset(got, 0x5A, sizeof got);
    cpu_run(&rig, level, kernel, args, dims, 0, 1);
    for (int i = 0; i < 2 * OUTPUTS * WORDS; i++) {
      if (got[i] == want[i]) continue;
      float g, w;
      memcpy(&g, &got[i], 4), memcpy(&w, &want[i], 4);
      bool pair = i / WORDS % OUTPUTS == 2, nan = pair && isnan(g) && isnan(w);
      bool near = pair && !cpu_is_fused(&rig.levels[level]) && fabsf(g - w) <= 1e-4f;
      cr_assert(nan || near, "%s: element %d of result %d is %#x, not %#x", rig.levels[level].name, i % WORDS,
                i / WORDS, got[i], want[i]);
    }
  }
  cpu_rig_deinit(&rig);
}
