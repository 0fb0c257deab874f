// Random kernels, many in one compiler call: nests of ranges, branches, registers and reductions around random
// expressions, bit for bit as the interpreter has them. Every index is taken modulo the buffer, so that anything may be
// an index; every store has a place of its own.
#include "tests/unit/codegen/cpu_harness.h"

enum { KERNELS = 60, ROOM = 1024, OUT = 4096, VALUES = 24, NEST = 3 };

typedef struct {
  ir_kbuilder b;
  uint64_t state;
  int x, words, y;
  const ir_kexpr *n, *item;
  const ir_kexpr *indices[VALUES];  // i64 values in scope
  int index_count;
  const ir_kexpr *floats[VALUES];  // f32 values in scope
  int float_count;
  ir_kvar *sums[NEST + 1];  // register of each open level, null: none that may be set here
  bool in_lanes;
  int64_t next_store;
  const ir_kexpr *lane;  // variable of the open lanes range
} maker;

static int pick(maker *m, int count) { return (int)(cpu_random(&m->state) % (uint64_t)count); }
static const ir_kexpr *whole(maker *m, int64_t v) { return ir_kb_int(&m->b, v); }
static const ir_kexpr *op(maker *m, ir_kop o, ir_ktype t, const ir_kexpr *x, const ir_kexpr *y, const ir_kexpr *z) {
  return ir_kb_op(&m->b, o, t, x, y, z);
}

static const ir_kexpr *integer(maker *m, int depth);
static const ir_kexpr *word(maker *m, int depth);
static const ir_kexpr *real(maker *m, int depth);

static const ir_kexpr *place(maker *m, int depth) {
  return op(m, IR_K_mod, IR_KT_i64, integer(m, depth), whole(m, ROOM), NULL);
}

static const ir_kexpr *truth(maker *m, int depth) {
  ir_kop compare = (ir_kop)(IR_K_eq + pick(m, 6));
  switch (pick(m, 4)) {
    case 0:
      return op(m, compare, IR_KT_bool, integer(m, depth - 1), integer(m, depth - 1), NULL);
    case 1:
      return op(m, compare, IR_KT_bool, real(m, depth - 1), real(m, depth - 1), NULL);
    case 2:
      return op(m, compare, IR_KT_bool, word(m, depth - 1), word(m, depth - 1), NULL);
    default:
      return op(m, pick(m, 2) ? IR_K_and : IR_K_or, IR_KT_bool, truth(m, depth - 1), truth(m, depth - 1), NULL);
  }
}

static const ir_kexpr *integer(maker *m, int depth) {
  static const ir_kop ops[] = {IR_K_add, IR_K_sub, IR_K_mul, IR_K_add, IR_K_min, IR_K_max, IR_K_div, IR_K_mod};
  if (depth <= 0 || pick(m, 3) == 0)
    return pick(m, 3) ? m->indices[pick(m, m->index_count)] : whole(m, pick(m, 40) - 8);
  switch (pick(m, 6)) {
    case 0:
      return op(m, pick(m, 2) ? IR_K_div : IR_K_mod, IR_KT_i64, integer(m, depth - 1), whole(m, 1 << pick(m, 6)), NULL);
    case 1:
      return op(m, IR_K_mul, IR_KT_i64, integer(m, depth - 1), whole(m, pick(m, 20)), NULL);
    case 2:
      return op(m, IR_K_select, IR_KT_i64, truth(m, depth - 2), integer(m, depth - 1), integer(m, depth - 1));
    case 3:
      return ir_kb_cast(&m->b, IR_KT_i64, word(m, depth - 1));
    default:
      return op(m, ops[pick(m, 8)], IR_KT_i64, integer(m, depth - 1), integer(m, depth - 1), NULL);
  }
}

// u32, from memory of every width.
static const ir_kexpr *word(maker *m, int depth) {
  static const ir_ktype widths[] = {IR_KT_u8, IR_KT_u16, IR_KT_u32, IR_KT_i8, IR_KT_i16, IR_KT_i32};
  static const ir_kop ops[] = {IR_K_add, IR_K_mul, IR_K_xor, IR_K_and, IR_K_shr, IR_K_shl, IR_K_div, IR_K_min};
  if (depth <= 0) return ir_kb_const(&m->b, IR_KT_u32, pick(m, 33));
  if (pick(m, 2)) return op(m, ops[pick(m, 8)], IR_KT_u32, word(m, depth - 1), word(m, depth - 1), NULL);
  if (pick(m, 3) == 0) return ir_kb_cast(&m->b, IR_KT_u32, real(m, depth - 1));
  ir_ktype t = widths[pick(m, 6)];
  return ir_kb_cast(&m->b, IR_KT_u32, ir_kb_load(&m->b, t, m->words, place(m, depth - 1)));
}

static const ir_kexpr *real(maker *m, int depth) {
  static const ir_kop two[] = {IR_K_add, IR_K_sub, IR_K_mul, IR_K_min, IR_K_max, IR_K_div},
                      one[] = {IR_K_neg, IR_K_abs, IR_K_floor, IR_K_round, IR_K_ceil, IR_K_sqrt};
  static const ir_ktype small[] = {IR_KT_f16, IR_KT_bf16, IR_KT_f8e5m2, IR_KT_f8e4m3};
  if (depth <= 0 || pick(m, 5) == 0) {
    if (m->float_count && pick(m, 2)) return m->floats[pick(m, m->float_count)];
    return ir_kb_const(&m->b, IR_KT_f32, pick(m, 64) * 0.25 - 4);
  }
  switch (pick(m, 9)) {
    case 0:
      return op(m, one[pick(m, 6)], IR_KT_f32, real(m, depth - 1), NULL, NULL);
    case 1:
      return op(m, IR_K_fma, IR_KT_f32, real(m, depth - 1), real(m, depth - 1), real(m, depth - 1));
    case 2:
      return op(m, IR_K_select, IR_KT_f32, truth(m, depth - 1), real(m, depth - 1), real(m, depth - 1));
    case 3:
      return ir_kb_cast(&m->b, IR_KT_f32, integer(m, depth - 1));
    case 4:
      return ir_kb_cast(&m->b, IR_KT_f32, ir_kb_cast(&m->b, small[pick(m, 4)], real(m, depth - 1)));
    case 5:
      return ir_kb_cast(&m->b, IR_KT_f32, word(m, depth - 1));
    case 6:
      return op(m, two[pick(m, 6)], IR_KT_f32, real(m, depth - 1), real(m, depth - 1), NULL);
    default:
      return ir_kb_load(&m->b, IR_KT_f32, m->x, place(m, depth - 1));
  }
}

static void statements(maker *m, int level, int count);

static void store(maker *m) {
  // In lanes each lane has an element; elsewhere the last iteration wins, in the interpreter as in the code.
  const ir_kexpr *at = whole(m, m->next_store);
  if (m->in_lanes) at = ir_kb_add(&m->b, at, m->lane);
  at = ir_kb_add(&m->b, at, ir_kb_mul(&m->b, m->item, whole(m, OUT / 2)));
  m->next_store += m->in_lanes ? 40 : 1;
  ir_kb_store(&m->b, IR_KT_f32, m->y, at, real(m, 4));
}

static void range(maker *m, int level) {
  static const ir_krange kinds[] = {IR_KR_SERIAL, IR_KR_LANES, IR_KR_LANES, IR_KR_UNROLL};
  ir_krange kind = m->in_lanes ? (pick(m, 2) ? IR_KR_SERIAL : IR_KR_UNROLL) : kinds[pick(m, 4)];
  int extents[] = {16, 32, 5, 21};
  const ir_kexpr *lo = whole(m, kind == IR_KR_LANES ? 0 : pick(m, 3)),
                 *hi = whole(m, kind == IR_KR_LANES ? extents[pick(m, 4)] : 1 + pick(m, 4));
  if (kind == IR_KR_LANES && pick(m, 2)) hi = m->n;
  if (kind == IR_KR_SERIAL && pick(m, 2)) hi = op(m, IR_K_mod, IR_KT_i64, integer(m, 2), whole(m, 5), NULL);
  int indices = m->index_count, floats = m->float_count;
  bool lanes = kind == IR_KR_LANES;
  const ir_kexpr *v = ir_kb_for(&m->b, kind, "i", lo, hi, kind == IR_KR_SERIAL ? 1 + pick(m, 2) : 1);
  if (lanes) m->in_lanes = true, m->lane = v;
  m->indices[m->index_count++] = v;
  statements(m, level + 1, 2 + pick(m, 2));
  if (lanes && m->sums[level]) ir_kb_reduce(&m->b, pick(m, 2) ? IR_K_add : IR_K_max, m->sums[level], real(m, 3));
  ir_kb_end(&m->b);
  if (lanes) m->in_lanes = false, m->lane = NULL;
  m->index_count = indices, m->float_count = floats;
}

static void branch(maker *m, int level) {
  int floats = m->float_count, indices = m->index_count;
  ir_kb_if(&m->b, truth(m, 3));
  statements(m, level + 1, 1);
  m->float_count = floats, m->index_count = indices;
  if (pick(m, 2)) {
    ir_kb_else(&m->b);
    statements(m, level + 1, 1);
    m->float_count = floats, m->index_count = indices;
  }
  ir_kb_end(&m->b);
}

static void statements(maker *m, int level, int count) {
  ir_kvar *sum = ir_kb_reg(&m->b, "sum", IR_KT_f32, false, 0, NULL, real(m, 1));
  m->sums[level] = sum;
  for (int i = 0; i < count; i++) {
    switch (level < NEST ? pick(m, 6) : pick(m, 3)) {
      case 0:
        if (m->float_count < VALUES) m->floats[m->float_count++] = ir_kb_let(&m->b, "t", real(m, 4));
        break;
      case 1:
        ir_kb_set(&m->b, sum, op(m, IR_K_add, IR_KT_f32, real(m, 3), ir_kb_read(&m->b, sum, NULL, NULL, NULL), NULL),
                  NULL, NULL, NULL);
        break;
      case 2:
        store(m);
        break;
      case 3:
        branch(m, level);
        break;
      default:
        range(m, level);
        break;
    }
  }
  const ir_kexpr *at = whole(m, m->next_store);
  if (m->in_lanes) at = ir_kb_add(&m->b, at, m->lane);
  at = ir_kb_add(&m->b, at, ir_kb_mul(&m->b, m->item, whole(m, OUT / 2)));
  m->next_store += m->in_lanes ? 40 : 1;
  ir_kb_store(&m->b, IR_KT_f32, m->y, at, ir_kb_read(&m->b, sum, NULL, NULL, NULL));
  m->sums[level] = NULL;
}

static ir_kernel *random_kernel(weir_arena *arena, uint64_t seed) {
  maker m = {.state = seed};
  ir_kb_init(&m.b, arena, weir_arena_printf(arena, "k_random_%d", (int)seed), "random");
  m.n = ir_kb_add_size(&m.b, "n");
  m.x = ir_kb_add_buffer(&m.b, IR_KB_IN, "x", whole(&m, ROOM * 4), -1);
  m.words = ir_kb_add_buffer(&m.b, IR_KB_IN, "words", whole(&m, ROOM * 4), -1);
  m.y = ir_kb_add_buffer(&m.b, IR_KB_OUT, "y", whole(&m, OUT * 4), -1);
  m.item = ir_kb_set_grid(&m.b, whole(&m, 2), "item");
  m.indices[m.index_count++] = m.item;
  m.indices[m.index_count++] = m.n;
  statements(&m, 0, 5);
  return ir_kb_finish(&m.b);
}

static void check(const cpu_rig *rig, const ir_kernel *k, int64_t n, void *const inputs[2]) {
  static float expected[OUT], got[OUT];
  memset(expected, 0x5A, sizeof expected);
  void *args[] = {inputs[0], inputs[1], expected};
  size_t bytes[] = {ROOM * 4, ROOM * 4, sizeof expected};
  int64_t dims[] = {n};
  ir_kinterpret_options options = {.round_f32 = true};
  cpu_must(ir_kernel_interpret_options(k, args, bytes, dims, 0, 2, &options));
  for (int level = 0; level < rig->level_count; level++) {
    if (!cpu_is_fused(&rig->levels[level])) continue;
    memset(got, 0x5A, sizeof got);
    args[2] = got;
    cpu_run(rig, level, k, args, dims, 0, 2);
    for (int i = 0; i < OUT; i++) {
      bool same = !memcmp(&got[i], &expected[i], 4) || (isnan(got[i]) && isnan(expected[i]));
      cr_assert(same, "%s at %s, n = %d: element %d is %a, not %a\n%s", k->name, rig->levels[level].name, (int)n, i,
                (double)got[i], (double)expected[i], ir_kernel_print((weir_arena *)&rig->arena, k));
    }
  }
}

Test(cpu_random, kernels_give_the_bits_of_the_interpreter) {
  cpu_rig rig;
  cpu_rig_init(&rig);
  const ir_kernel *k[KERNELS];
  int first = getenv("CPU_RANDOM_SEED") ? atoi(getenv("CPU_RANDOM_SEED")) : 1;
  for (int i = 0; i < KERNELS; i++) k[i] = random_kernel(&rig.arena, (uint64_t)(first + i));
  cpu_rig_compile(&rig, k, KERNELS);
  float x[ROOM];
  uint32_t words[ROOM];
  uint64_t state = 11;
  for (int i = 0; i < ROOM; i++)
    x[i] = cpu_random_float(&state) * 8, words[i] = (uint32_t)cpu_random(&state) >> (i % 4 * 8);
  void *inputs[] = {x, words};
  static const int64_t sizes[] = {0, 1, 15, 16, 17, 39};
  for (int i = 0; i < KERNELS; i++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) check(&rig, k[i], sizes[s], inputs);
  cpu_rig_deinit(&rig);
}
