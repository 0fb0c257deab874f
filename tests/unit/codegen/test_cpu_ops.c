// Every operation on every type it takes: vector code gives the bits of scalar code, both give what the interpreter
// gives, and nothing is written past the end, for extents around the width of a vector and operands full of special
// values.
#include "tests/unit/codegen/cpu_harness.h"

enum { MAX_EXTENT = 67, KERNELS = 600 };
static const int extents[] = {0, 1, 15, 16, 17, 33, 67};

typedef struct {
  ir_kernel *kernel;
  ir_ktype in, out;
  int ulps;  // allowed distance from the interpreter
} op_case;

static const ir_kexpr *operand(ir_kbuilder *b, const op_case *c, int buffer, const ir_kexpr *i) {
  return ir_kb_load(b, c->in, buffer, i);
}

// out[i] = op(x[i], y[i], z[i]) once over lanes, then once more into |serial| one by one.
static ir_kernel *op_kernel(weir_arena *arena, const char *name, const op_case *c, ir_kop op, int arity) {
  ir_kbuilder b;
  ir_kb_init(&b, arena, name, "one operation, sixteen lanes at once and one by one");
  const ir_kexpr *n = ir_kb_add_size(&b, "n");
  int buffers[3], out[2];
  for (int i = 0; i < 3; i++) {
    const ir_kexpr *bytes = ir_kb_mul(&b, n, ir_kb_int(&b, ir_ktype_bytes(c->in)));
    buffers[i] = ir_kb_add_buffer(&b, IR_KB_IN, weir_arena_printf(arena, "%c", "xyz"[i]), bytes, -1);
  }
  for (int i = 0; i < 2; i++) {
    const ir_kexpr *bytes = ir_kb_mul(&b, n, ir_kb_int(&b, ir_ktype_bytes(c->out)));
    out[i] = ir_kb_add_buffer(&b, IR_KB_OUT, i ? "serial" : "lanes", bytes, -1);
  }
  ir_kb_set_grid(&b, ir_kb_int(&b, 1), "item");
  for (int i = 0; i < 2; i++) {
    const ir_kexpr *at = ir_kb_for(&b, i ? IR_KR_SERIAL : IR_KR_LANES, "i", ir_kb_int(&b, 0), n, 1);
    const ir_kexpr *args[3] = {NULL};
    for (int a = 0; a < arity; a++) args[a] = operand(&b, c, buffers[a], at);
    if (op == IR_K_select) args[0] = ir_kb_op(&b, IR_K_lt, IR_KT_bool, args[0], args[1], NULL);
    ir_kb_store(&b, c->out, out[i], at, ir_kb_op(&b, op, c->out, args[0], args[1], args[2]));
    ir_kb_end(&b);
  }
  return ir_kb_finish(&b);
}

// ---- operands
static void put(ir_ktype type, void *at, double value, uint64_t bits) {
  switch (type) {
    case IR_KT_f32: {
      float f = (float)value;
      memcpy(at, &f, 4);
      return;
    }
    case IR_KT_f64:
      memcpy(at, &value, 8);
      return;
    case IR_KT_bool:
      *(uint8_t *)at = bits & 1;
      return;
    default:
      memcpy(at, &bits, (size_t)ir_ktype_bytes(type));
      return;
  }
}

static void fill(ir_ktype type, void *data, int count, uint64_t seed) {
  static const double specials[] = {
      0.0,    -0.0,         INFINITY,      -INFINITY,    NAN,          1.0,      -1.0,    0.5,     1.5,     2.5,
      -2.5,   -0.5,         1e-40,         -1e-45,       3e38,         -3e38,    1e-30,   100.25,  -100.75, 88.8,
      -104.5, 2147483648.0, -2147483648.0, 2147483520.0, 4294967296.0, 9.3e18,   -9.3e18, 254.6,   255.5,   127.5,
      -128.5, 32767.5,      65535.5,       448.0,        464.0,        465.0,    61439.0, 61440.0, 65519.0, 65520.0,
      1e-7,   0.3,          7.0,           1e5,          8388609.0,    4194304.5};
  static const int64_t integers[] = {0,   1,     -1,     2,     7,         127,       -128,       128,       255,
                                     256, 32767, -32768, 65535, INT32_MAX, INT32_MIN, UINT32_MAX, INT64_MAX, INT64_MIN,
                                     31,  32,    33,     63,    64,        -7,        1000003};
  uint64_t state = seed;
  for (int i = 0; i < count; i++) {
    uint64_t r = cpu_random(&state), pick = cpu_random(&state);
    double value = (double)cpu_random_float(&state) * exp((double)cpu_random_float(&state) * 5);
    if (r % 3 == 0) value = specials[pick % (sizeof specials / sizeof *specials)];
    uint64_t bits = r % 5 < 2    ? (uint64_t)integers[pick % (sizeof integers / sizeof *integers)]
                    : r % 5 == 2 ? pick % 41
                                 : pick;
    put(type, (char *)data + i * ir_ktype_bytes(type), value, bits);
  }
}

// ---- comparison
static bool is_nan_at(ir_ktype type, const void *at) {
  uint16_t h;
  float f;
  double d;
  switch (type) {
    case IR_KT_f16:
      memcpy(&h, at, 2);
      return isnan(weir_f16_to_f32(h));
    case IR_KT_bf16:
      memcpy(&h, at, 2);
      return isnan(weir_bf16_to_f32(h));
    case IR_KT_f8e4m3:
      return isnan(weir_f8e4m3_to_f32(*(const uint8_t *)at));
    case IR_KT_f8e5m2:
      return isnan(weir_f8e5m2_to_f32(*(const uint8_t *)at));
    case IR_KT_f32:
      memcpy(&f, at, 4);
      return isnan(f);
    case IR_KT_f64:
      memcpy(&d, at, 8);
      return isnan(d);
    default:
      return false;
  }
}

// Distance in units of the last place of f32 or f64; 0 for equal bits and for two NaN.
static double distance(ir_ktype type, const void *a, const void *b) {
  size_t bytes = (size_t)ir_ktype_bytes(type);
  if (!memcmp(a, b, bytes) || (is_nan_at(type, a) && is_nan_at(type, b))) return 0;
  if (type == IR_KT_f32) {
    float x, y;
    memcpy(&x, a, 4), memcpy(&y, b, 4);
    if (x == y) return 0;
    if (!isfinite(x) || !isfinite(y)) return INFINITY;
    return fabs((double)x - y) / fmax(fabs((double)nextafterf(y, INFINITY) - y), 0x1p-149);
  }
  if (type == IR_KT_f64) {
    double x, y;
    memcpy(&x, a, 8), memcpy(&y, b, 8);
    if (x == y) return 0;
    return isfinite(x) && isfinite(y) ? fabs(x - y) / (nextafter(fabs(y), INFINITY) - fabs(y)) : INFINITY;
  }
  return INFINITY;
}

static void check_level(const cpu_rig *rig, int level, const op_case *c, void *const inputs[3], const uint8_t *expected,
                        int n) {
  size_t bytes = (size_t)ir_ktype_bytes(c->out);
  static uint8_t lanes[MAX_EXTENT * 8 + 64], serial[MAX_EXTENT * 8 + 64];
  memset(lanes, 0x5A, sizeof lanes);
  memset(serial, 0x5A, sizeof serial);
  void *args[] = {inputs[0], inputs[1], inputs[2], lanes, serial};
  int64_t dims[] = {n};
  cpu_run(rig, level, c->kernel, args, dims, 0, 1);
  for (size_t i = (size_t)n * bytes; i < sizeof lanes; i++)
    cr_assert(lanes[i] == 0x5A && serial[i] == 0x5A, "%s of %d at %s writes past the end", c->kernel->name, n,
              rig->levels[level].name);
  for (int i = 0; i < n; i++) {
    const uint8_t *l = lanes + (size_t)i * bytes, *s = serial + (size_t)i * bytes, *e = expected + (size_t)i * bytes;
    bool same = !memcmp(l, s, bytes) || (is_nan_at(c->out, l) && is_nan_at(c->out, s));
    uint64_t got = 0, want = 0, one = 0, in[3] = {0};
    memcpy(&got, l, bytes), memcpy(&want, e, bytes), memcpy(&one, s, bytes);
    for (int a = 0; a < 3; a++)
      memcpy(&in[a], (char *)inputs[a] + i * ir_ktype_bytes(c->in), (size_t)ir_ktype_bytes(c->in));
    cr_assert(same && distance(c->out, l, e) <= c->ulps,
              "%s at %s, element %d of %d: (%#lx %#lx %#lx) gives %#lx, one by one %#lx, expected %#lx",
              c->kernel->name, rig->levels[level].name, i, n, (long)in[0], (long)in[1], (long)in[2], (long)got,
              (long)one, (long)want);
  }
}

static void check_case(const cpu_rig *rig, const op_case *c, bool fused) {
  size_t in_bytes = (size_t)ir_ktype_bytes(c->in), out_bytes = (size_t)ir_ktype_bytes(c->out);
  for (size_t x = 0; x < sizeof extents / sizeof *extents; x++) {
    int n = extents[x];
    void *inputs[3];
    for (int i = 0; i < 3; i++) {
      // Exactly as long as the kernel may read, at the end of the block.
      inputs[i] = malloc((size_t)n * in_bytes + 1);
      fill(c->in, inputs[i], n, (uint64_t)(x * 3) + (uint64_t)i + c->kernel->name[2]);
    }
    static uint8_t expected[MAX_EXTENT * 8 + 1], twin[MAX_EXTENT * 8 + 1];
    void *args[] = {inputs[0], inputs[1], inputs[2], expected, twin};
    size_t bytes[] = {(size_t)n * in_bytes, (size_t)n * in_bytes, (size_t)n * in_bytes, (size_t)n * out_bytes,
                      (size_t)n * out_bytes};
    int64_t dims[] = {n};
    ir_kinterpret_options options = {.round_f32 = true};
    cpu_must(ir_kernel_interpret_options(c->kernel, args, bytes, dims, 0, 1, &options));
    for (int level = 0; level < rig->level_count; level++) {
      // A level without a fused multiply-add rounds twice.
      if (fused && !strstr(rig->levels[level].features, "fma")) continue;
      check_level(rig, level, c, inputs, expected, n);
    }
    for (int i = 0; i < 3; i++) free(inputs[i]);
  }
}

static int allowed_ulps(ir_kop op, ir_ktype type) {
  switch (op) {
    case IR_K_exp:
    case IR_K_log:
    case IR_K_sin:
    case IR_K_cos:
    case IR_K_tanh:
    case IR_K_erf:
    case IR_K_rsqrt:
    case IR_K_pow:
      return type == IR_KT_f32 ? 2 : 1;
    // The interpreter's float64 rounds twice here.
    case IR_K_fma:
      return type == IR_KT_f64 ? 1 << 30 : 0;
    default:
      return 0;
  }
}

static int arity_of(ir_kop op) {
#define KOP(name, operands, meaning) [IR_K_##name] = operands,
  static const int arities[IR_K_COUNT] = {IR_KERNEL_OPS(KOP)};
#undef KOP
  return arities[op];
}

static bool takes(ir_kop op, ir_ktype type) {
  bool is_float = ir_ktype_is_float(type), is_bool = type == IR_KT_bool;
  if (op == IR_K_select || (op >= IR_K_eq && op <= IR_K_ge)) return true;
  if (op >= IR_K_and && op <= IR_K_not) return !is_float;
  if (op == IR_K_shl || op == IR_K_shr) return !is_float && !is_bool;
  if ((op >= IR_K_add && op <= IR_K_max) || op == IR_K_neg || op == IR_K_abs) return !is_bool;
  return is_float;
}

static void run_cases(cpu_rig *rig, const op_case *cases, int count, ir_kop only_fused) {
  const ir_kernel *kernels[KERNELS];
  for (int i = 0; i < count; i++) kernels[i] = cases[i].kernel;
  cpu_rig_compile(rig, kernels, count);
  char fused_name[32];
  snprintf(fused_name, sizeof fused_name, "k_%s_", ir_kop_name(only_fused));
  for (int i = 0; i < count; i++)
    check_case(rig, &cases[i], !strncmp(cases[i].kernel->name, fused_name, strlen(fused_name)));
}

Test(cpu_ops, every_operation_on_every_type) {
  static const ir_ktype types[] = {IR_KT_f32, IR_KT_f64, IR_KT_i8,  IR_KT_i16, IR_KT_i32,
                                   IR_KT_i64, IR_KT_u8,  IR_KT_u16, IR_KT_u32, IR_KT_bool};
  cpu_rig rig;
  cpu_rig_init(&rig);
  // The machine's own level is one of the others with flags that these kernels do not use.
  rig.level_count--;
  // Hundreds of kernels: the quicker optimisation; the shipped one is tested by the other files.
  rig.optimize = "-O1";
  static op_case cases[KERNELS];
  int count = 0;
  for (int op = IR_K_add; op < IR_K_cast; op++) {
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
      if (!takes((ir_kop)op, types[t])) continue;
      bool compares = op >= IR_K_eq && op <= IR_K_ge;
      op_case *c = &cases[count++];
      *c = (op_case){
          .in = types[t], .out = compares ? IR_KT_bool : types[t], .ulps = allowed_ulps((ir_kop)op, types[t])};
      const char *name = weir_arena_printf(&rig.arena, "k_%s_%s", ir_kop_name((ir_kop)op), ir_ktype_name(types[t]));
      c->kernel = op_kernel(&rig.arena, name, c, (ir_kop)op, arity_of((ir_kop)op));
    }
  }
  run_cases(&rig, cases, count, IR_K_fma);
  fprintf(stderr, "%d kernels, %d levels: %.2f s of compiling\n", count, rig.level_count, rig.info[0].seconds);
  cpu_rig_deinit(&rig);
}

Test(cpu_ops, every_cast_and_bitcast) {
  cpu_rig rig;
  cpu_rig_init(&rig);
  // The machine's own level is one of the others with flags that these kernels do not use.
  rig.level_count--;
  // Hundreds of kernels: the quicker optimisation; the shipped one is tested by the other files.
  rig.optimize = "-O1";
  static op_case cases[KERNELS];
  int count = 0;
  for (int from = 0; from < IR_KT_COUNT; from++) {
    for (int to = 0; to < IR_KT_COUNT; to++) {
      for (int bits = 0; bits < 2; bits++) {
        bool fits =
            from != IR_KT_bool && to != IR_KT_bool && ir_ktype_bytes((ir_ktype)from) == ir_ktype_bytes((ir_ktype)to);
        if (from == to || (bits && !fits)) continue;
        op_case *c = &cases[count++];
        *c = (op_case){.in = (ir_ktype)from, .out = (ir_ktype)to};
        const char *name = weir_arena_printf(&rig.arena, "k_%s_%s_%s", bits ? "bitcast" : "cast", ir_ktype_name(c->in),
                                             ir_ktype_name(c->out));
        c->kernel = op_kernel(&rig.arena, name, c, bits ? IR_K_bitcast : IR_K_cast, 1);
      }
    }
  }
  run_cases(&rig, cases, count, IR_K_fma);
  cpu_rig_deinit(&rig);
}
