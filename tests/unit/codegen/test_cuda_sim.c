// Item kernels as CUDA C on the sim device: each gives what the interpreter gives, in any order of threads, for any
// grid, and no check fires.
#include <math.h>

#include "codegen/cuda/print.h"
#include "ir/kernel.h"
#include "tests/unit/runtime/sim_harness.h"

static const char *const texts[] = {
    "kernel k_matmul \"rows of six\"\nsizes T, K\nin x: T * K * 4 @0\nin w: K * 192 @1\nin b: 192 @2\nout y: T * 192 "
    "@3\n"
    "grid g: 3\n{\n  tiles m, r in 0..T by 6, 4, 2, 1 {\n    reg acc: f32[6] lanes = 0.0\n    for k in 0..K {\n"
    "      unroll u in 0..r {\n        let a: f32 = x:f32[(m + u) * K + k]\n        lanes j in 0..16 {\n"
    "          set acc[u] = fma(a, w:f32[k * 48 + g * 16 + j], acc[u])\n        }\n      }\n    }\n    unroll u in "
    "0..r {\n"
    "      lanes j in 0..16 {\n        store y:f32[(m + u) * 48 + g * 16 + j] = acc[u] + b:f32[g * 16 + j]\n      }\n  "
    "  }\n"
    "  }\n}\n",
    "kernel k_softmax \"each row\"\nsizes T, K\ninout x: T * K * 4 @0\ngrid row: T\n{\n  reg most: f32 = -inf\n"
    "  lanes i in 0..K {\n    reduce max most = x:f32[row * K + i]\n  }\n  reg sum: f32 = 0.0\n  lanes i in 0..K {\n"
    "    let e: f32 = exp(x:f32[row * K + i] - most)\n    reduce add sum = e\n    store x:f32[row * K + i] = e\n  }\n"
    "  let scale: f32 = 1.0 / sum\n  lanes i in 0..K {\n    store x:f32[row * K + i] = x:f32[row * K + i] * scale\n  "
    "}\n}\n",
    "kernel k_turned \"through a local buffer, backwards\"\nsizes T, K\nin x: T * K * 4 @0\nout y: T * K * 4 @1\n"
    "local s: 1024\ngrid row: T\n{\n  lanes i in 0..K {\n    store s:f32[i] = x:f32[row * K + i] * 2.0\n  }\n"
    "  lanes i in 0..K {\n    store y:f32[row * K + i] = s:f32[K - 1 - i]\n  }\n}\n",
    "kernel k_large \"a local buffer above what fits\"\nsizes T, K\nin x: T * K * 4 @0\nout y: T * K * 4 @1\n"
    "local s: 65536\ngrid row: T\n{\n  lanes i in 0..K {\n    store s:f32[i * 7] = x:f32[row * K + i]\n  }\n"
    "  reg sum: f32 = 0.0\n  for i in 0..K {\n    set sum = sum + s:f32[i * 7]\n    store y:f32[row * K + i] = sum\n  "
    "}\n}\n",
    "kernel k_last \"rows, and by the last of them the sum of all\"\nsizes T, K\nin x: T * K * 4 @0\n"
    "inout y: T * K * 4 @1\ninout arrived: 4 @2\nout all: K * 4 @3\ngrid row: T\n{\n  lanes i in 0..K {\n"
    "    store y:f32[row * K + i] = x:f32[row * K + i] * 2.0\n  }\n  reg last: i64 = 0\n"
    "  arrive last = arrived:i32[0] of T\n  if last != 0 {\n    lanes i in 0..K {\n      reg sum: f32 = 0.0\n"
    "      for n in 0..T {\n        set sum = sum + y:f32[n * K + i]\n      }\n      store all:f32[i] = sum\n    }\n"
    "  }\n}\n",
};

enum { TEXTS = sizeof(texts) / sizeof(*texts), MOST = 160, FLOATS = 4096 };

typedef struct {
  weir_arena arena;
  const ir_kernel *kernels[MOST];
  cg_cuda_kernel printed[MOST];
  int count;
} cases;

static void add(cases *c, const ir_kernel *kernel) {
  cr_assert(c->count < MOST);
  OK(ir_kernel_verify(kernel));
  const cg_cuda_print_options options = {.prelude = CG_CUDA_SIM};
  weir_status status = cg_cuda_print(&c->arena, kernel, &options, &c->printed[c->count]);
  cr_assert(!status, "%s: %s", kernel->name, weir_status_message(status));
  c->kernels[c->count++] = kernel;
}

// y[i] = op of x[i], z[i], w[i] over lanes and, behind it, one by one.
static const ir_kernel *operation(cases *c, ir_kop op, int arity, ir_ktype in, ir_ktype out) {
  ir_kbuilder b;
  const char *name =
      weir_arena_printf(&c->arena, "k_op_%s_%s_%s", ir_kop_name(op), ir_ktype_name(in), ir_ktype_name(out));
  ir_kb_init(&b, &c->arena, name, "one operation");
  ir_kb_add_size(&b, "T");
  const ir_kexpr *n = ir_kb_add_size(&b, "K");
  int x = ir_kb_add_buffer(&b, IR_KB_IN, "x", ir_kb_mul(&b, n, ir_kb_int(&b, 3 * ir_ktype_bytes(in))), -1);
  int y = ir_kb_add_buffer(&b, IR_KB_OUT, "y", ir_kb_mul(&b, n, ir_kb_int(&b, 2 * ir_ktype_bytes(out))), -1);
  ir_kb_set_grid(&b, ir_kb_int(&b, 1), "item");
  for (int part = 0; part < 2; part++) {
    const ir_kexpr *i = ir_kb_for(&b, part ? IR_KR_SERIAL : IR_KR_LANES, "i", ir_kb_int(&b, 0), n, 1),
                   *args[3] = {NULL};
    for (int a = 0; a < arity; a++) {
      args[a] = ir_kb_load(&b, in, x, ir_kb_add(&b, i, ir_kb_mul(&b, n, ir_kb_int(&b, a))));
    }
    if (op == IR_K_select) args[0] = ir_kb_op(&b, IR_K_lt, IR_KT_bool, args[0], args[1], NULL);
    const ir_kexpr *at = part ? ir_kb_add(&b, i, n) : i;
    ir_kb_store(&b, out, y, at, ir_kb_op(&b, op, out, args[0], args[1], args[2]));
    ir_kb_end(&b);
  }
  return ir_kb_finish(&b);
}

static void add_operations(cases *c) {
  static const struct {
    ir_kop op;
    int arity;
    bool integers;
  } ops[] = {{IR_K_add, 2, true},   {IR_K_sub, 2, true},    {IR_K_mul, 2, true},   {IR_K_div, 2, true},
             {IR_K_mod, 2, true},   {IR_K_min, 2, true},    {IR_K_max, 2, true},   {IR_K_neg, 1, true},
             {IR_K_abs, 1, true},   {IR_K_fma, 3, false},   {IR_K_sqrt, 1, false}, {IR_K_rsqrt, 1, false},
             {IR_K_exp, 1, false},  {IR_K_log, 1, false},   {IR_K_sin, 1, false},  {IR_K_cos, 1, false},
             {IR_K_tanh, 1, false}, {IR_K_erf, 1, false},   {IR_K_pow, 2, false},  {IR_K_floor, 1, false},
             {IR_K_ceil, 1, false}, {IR_K_round, 1, false}, {IR_K_select, 3, true}};
  for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
    add(c, operation(c, ops[i].op, ops[i].arity, IR_KT_f32, IR_KT_f32));
    if (ops[i].integers) add(c, operation(c, ops[i].op, ops[i].arity, IR_KT_i32, IR_KT_i32));
  }
  static const ir_kop words[] = {IR_K_and, IR_K_or, IR_K_xor, IR_K_shl, IR_K_shr};
  for (size_t i = 0; i < 5; i++) add(c, operation(c, words[i], 2, IR_KT_i32, IR_KT_i32));
  for (ir_kop op = IR_K_eq; op <= IR_K_ge; op++) add(c, operation(c, op, 2, IR_KT_f32, IR_KT_bool));
  static const ir_ktype types[] = {IR_KT_f16, IR_KT_bf16, IR_KT_f8e4m3, IR_KT_f8e5m2, IR_KT_i8,
                                   IR_KT_i16, IR_KT_i32,  IR_KT_i64,    IR_KT_u8,     IR_KT_u16};
  for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
    add(c, operation(c, IR_K_cast, 1, IR_KT_f32, types[i]));
    add(c, operation(c, IR_K_cast, 1, types[i], IR_KT_f32));
  }
}

static bool floats_out(const ir_kernel *k) { return strncmp(k->name, "k_op_", 5) || strstr(k->name, "_f32_f32"); }

static void fill(float *x, uint64_t seed, bool small) {
  for (int i = 0; i < FLOATS; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    int32_t bits = (int32_t)(seed >> 33) % 2000;
    if (small) memcpy(&x[i], &bits, 4);
    else x[i] = (float)((double)(seed >> 40) / (1 << 24) * 3 + 0.01);
  }
}

static void check(rt_sim *sim, const rt_sim_object *object, const ir_kernel *k, const cg_cuda_kernel *printed,
                  int64_t rows, int64_t columns, uint64_t seed) {
  static float data[2][8][FLOATS], scratch[1 << 20];
  void *args[2][8];
  size_t bytes[8];
  const int64_t sizes[2] = {rows, columns};
  for (int a = 0; a < 8; a++) {
    fill(data[0][a], seed + (uint64_t)a, strstr(k->name, "_i32_") || strstr(k->name, "_cast_i"));
    if (!strcmp(k->name, "k_last") && a == 2) data[0][a][0] = 0;  // the counter
    memcpy(data[1][a], data[0][a], sizeof(data[0][a]));
    args[0][a] = data[0][a];
    args[1][a] = data[1][a];
    bytes[a] = sizeof(data[0][a]);
  }
  const int64_t items = !strcmp(k->name, "k_matmul") ? 3 : strncmp(k->name, "k_op_", 5) ? rows : 1;
  OK(ir_kernel_interpret(k, args[0], bytes, sizes, 0, items));
  uint64_t params[32] = {0};
  int at = 0;
  for (int a = 0; a < printed->args; a++) memcpy(&params[at++], &args[1][a], 8);
  for (int i = 0; i < printed->dims; i++) params[at++] = (uint64_t)sizes[i];
  params[at++] = (uint64_t)items;
  params[at++] = (uint64_t)(uintptr_t)scratch;
  params[at++] = (uint64_t)printed->scratch_bytes;
  rt_sim_launch_options options = {
      .grid = (int64_t)(1 + seed % 3), .seed = seed, .dynamic_bytes = (size_t)printed->dynamic_bytes};
  rt_sim_report r = sim_run(sim, object, printed->name, (const sim_params *)(const void *)params, options);
  cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
  for (int a = 0; a < printed->args; a++) {
    for (int i = 0; i < FLOATS; i++) {
      float want = data[0][a][i], got = data[1][a][i];
      if (!memcmp(&want, &got, 4)) continue;
      bool close = floats_out(k) && fabs((double)want - (double)got) <= 2e-5 * fmax(1, fabs((double)want));
      cr_assert(close || (want != want && got != got), "%s, argument %d, %d: %g, not %g", k->name, a, i, (double)got,
                (double)want);
    }
  }
}

Test(cuda_sim, item_kernels) {
  static cases c;
  weir_arena_init(&c.arena);
  for (int i = 0; i < TEXTS; i++) {
    ir_kernel *kernel = NULL;
    OK(ir_kernel_parse(&c.arena, texts[i], strlen(texts[i]), &kernel));
    add(&c, kernel);
  }
  add_operations(&c);
  rt_sim_object *object = sim_compile_file(cg_cuda_file(&c.arena, CG_CUDA_SIM, c.printed, c.count));
  rt_sim *sim = NULL;
  OK(rt_sim_create(&sim));
  static const int64_t shapes[][2] = {{1, 1}, {5, 16}, {7, 33}, {13, 67}};
  for (int i = 0; i < c.count; i++) {
    for (uint64_t s = 0; s < 4; s++) check(sim, object, c.kernels[i], &c.printed[i], shapes[s][0], shapes[s][1], s);
  }
  rt_sim_destroy(sim);
  rt_sim_object_unload(object);
  weir_arena_deinit(&c.arena);
}
