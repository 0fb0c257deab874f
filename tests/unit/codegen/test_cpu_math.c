// Accuracy of the float32 functions of emitted code: every exponent and sign, many mantissas, against float64 of the C
// library.
#include "tests/unit/codegen/cpu_harness.h"

enum { MANTISSAS = 96, COUNT = 512 * MANTISSAS + 16 };

typedef struct {
  ir_kop op;
  double (*reference)(double);
  double ulps;  // bound; the worst over all floats is 0.1 to 0.4 below with a fused multiply-add
} function;

static const function functions[] = {{IR_K_exp, exp, 1.25}, {IR_K_log, log, 1.0}, {IR_K_tanh, tanh, 1.5},
                                     {IR_K_erf, erf, 1.25}, {IR_K_sin, sin, 1.6}, {IR_K_cos, cos, 1.6}};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static ir_kernel *function_kernel(weir_arena *arena, ir_kop op, ir_krange range) {
  ir_kbuilder b;
  ir_kb_init(&b, arena, weir_arena_printf(arena, "k_%s_%s", ir_kop_name(op), range == IR_KR_LANES ? "lanes" : "one"),
             "y = f(x)");
  const ir_kexpr *n = ir_kb_add_size(&b, "n"), *bytes = ir_kb_mul(&b, n, ir_kb_int(&b, 4));
  int x = ir_kb_add_buffer(&b, IR_KB_IN, "x", bytes, -1), y = ir_kb_add_buffer(&b, IR_KB_OUT, "y", bytes, -1);
  ir_kb_set_grid(&b, ir_kb_int(&b, 1), "item");
  const ir_kexpr *i = ir_kb_for(&b, range, "i", ir_kb_int(&b, 0), n, 1);
  ir_kb_store(&b, IR_KT_f32, y, i, ir_kb_op(&b, op, IR_KT_f32, ir_kb_load(&b, IR_KT_f32, x, i), NULL, NULL));
  ir_kb_end(&b);
  return ir_kb_finish(&b);
}

static void check(const function *f, const char *level, const float *x, const float *lanes, const float *one) {
  double worst = 0;
  for (int i = 0; i < COUNT; i++) {
    double exact = f->reference(x[i]);
    float rounded = (float)exact;
    bool same = !memcmp(&lanes[i], &one[i], 4) || (isnan(lanes[i]) && isnan(one[i]));
    cr_assert(same, "%s at %s: %a gives %a in lanes, %a alone", ir_kop_name(f->op), level, (double)x[i],
              (double)lanes[i], (double)one[i]);
    if (!isfinite(rounded) || !isfinite(lanes[i])) {
      // At the edge of overflow the neighbour may still be finite.
      bool edge = isinf(rounded) && !isinf(exact) && (double)fabsf(lanes[i]) > 3.4028e38;
      cr_assert((isnan(rounded) && isnan(lanes[i])) || rounded == lanes[i] || edge, "%s at %s: %a gives %a, not %a",
                ir_kop_name(f->op), level, (double)x[i], (double)lanes[i], exact);
      continue;
    }
    cr_assert(rounded != 0 || exact != 0 || signbit(rounded) == signbit(lanes[i]), "%s(%a): sign of zero",
              ir_kop_name(f->op), (double)x[i]);
    int exponent;
    frexp((double)rounded, &exponent);
    double ulp = ldexp(1, exponent - 24 > -149 ? exponent - 24 : -149), error = fabs(lanes[i] - exact) / ulp;
    if (error > worst) worst = error;
    cr_assert_leq(error, f->ulps, "%s at %s: %a gives %a, %.3f ulp from %a", ir_kop_name(f->op), level, (double)x[i],
                  (double)lanes[i], error, exact);
  }
  fprintf(stderr, "%-5s %-10s %.3f ulp\n", ir_kop_name(f->op), level, worst);
}

Test(cpu_math, functions_are_within_their_bounds_for_every_exponent) {
  cpu_rig rig;
  cpu_rig_init(&rig);
  const ir_kernel *kernels[2 * FUNCTIONS];
  for (int i = 0; i < FUNCTIONS; i++) {
    kernels[2 * i] = function_kernel(&rig.arena, functions[i].op, IR_KR_LANES);
    kernels[2 * i + 1] = function_kernel(&rig.arena, functions[i].op, IR_KR_SERIAL);
  }
  cpu_rig_compile(&rig, kernels, 2 * FUNCTIONS);
  static float x[COUNT], lanes[COUNT], one[COUNT];
  uint64_t state = 3;
  for (int i = 0; i < 512 * MANTISSAS; i++) {
    uint32_t random = (uint32_t)cpu_random(&state) & 0x7fffff, m = (uint32_t)(i % MANTISSAS);
    uint32_t bits = (uint32_t)(i / MANTISSAS) << 23 | (m == 0 ? 0 : m == 1 ? 0x7fffff : m == 2 ? 1 : random);
    memcpy(&x[i], &bits, 4);
  }
  static const float edges[16] = {88.72283f,   88.72284f,   -87.33654f, -103.97f,    -103.98f,    -104.f,
                                  0.34657359f, 0.70710677f, 1.4142135f, 0.625f,      0.92773438f, 1.5707964f,
                                  1048576.f,   1048577.f,   3.1415927f, -0.78539819f};
  memcpy(x + 512 * MANTISSAS, edges, sizeof edges);
  for (int level = 0; level < rig.level_count; level++) {
    for (int i = 0; i < FUNCTIONS; i++) {
      int64_t dims[] = {COUNT};
      void *args[] = {x, lanes};
      cpu_run(&rig, level, kernels[2 * i], args, dims, 0, 1);
      args[1] = one;
      cpu_run(&rig, level, kernels[2 * i + 1], args, dims, 0, 1);
      check(&functions[i], rig.levels[level].name, x, lanes, one);
    }
  }
  cpu_rig_deinit(&rig);
}
