// Ranges, registers, reductions and memory of emitted kernels against the interpreter, bit for bit where the machine
// fuses multiply-add.
#include "tests/unit/codegen/cpu_harness.h"

enum { ROOM = 8192 };

// A kernel with float buffers x (in), y (out) and sizes n, m; what is between is the test's.
typedef struct {
  ir_kbuilder b;
  const ir_kexpr *n, *m, *item;
  int x, y;
} frame;

static void frame_open(frame *f, weir_arena *arena, const char *name, ir_ktype type) {
  ir_kb_init(&f->b, arena, name, "a test");
  f->n = ir_kb_add_size(&f->b, "n");
  f->m = ir_kb_add_size(&f->b, "m");
  const ir_kexpr *bytes = ir_kb_int(&f->b, ROOM * ir_ktype_bytes(type));
  f->x = ir_kb_add_buffer(&f->b, IR_KB_IN, "x", bytes, -1);
  f->y = ir_kb_add_buffer(&f->b, IR_KB_OUT, "y", bytes, -1);
  f->item = ir_kb_set_grid(&f->b, f->m, "item");
}

static const ir_kexpr *num(frame *f, int64_t v) { return ir_kb_int(&f->b, v); }
static const ir_kexpr *add(frame *f, const ir_kexpr *x, const ir_kexpr *y) { return ir_kb_add(&f->b, x, y); }
static const ir_kexpr *mul(frame *f, const ir_kexpr *x, const ir_kexpr *y) { return ir_kb_mul(&f->b, x, y); }
static const ir_kexpr *load(frame *f, const ir_kexpr *i) { return ir_kb_load(&f->b, IR_KT_f32, f->x, i); }
static const ir_kexpr *real(frame *f, double v) { return ir_kb_const(&f->b, IR_KT_f32, v); }
static const ir_kexpr *lanes(frame *f, const char *name, const ir_kexpr *lo, const ir_kexpr *hi) {
  return ir_kb_for(&f->b, IR_KR_LANES, name, lo, hi, 1);
}

static float *input(void) {
  float *x = malloc(ROOM * sizeof *x);
  uint64_t state = 7;
  for (int i = 0; i < ROOM; i++) x[i] = cpu_random_float(&state) * 4;
  return x;
}

// Runs |k| for n in |sizes| and compares every byte of y, untouched ones included.
static void compare(cpu_rig *rig, const ir_kernel *k, size_t element, const int64_t *sizes, int size_count, int64_t m) {
  float *x = input();
  uint8_t *expected = malloc(ROOM * element), *got = malloc(ROOM * element);
  for (int s = 0; s < size_count; s++) {
    memset(expected, 0x5A, ROOM * element);
    void *args[] = {x, expected};
    size_t bytes[] = {ROOM * sizeof *x, ROOM * element};
    int64_t dims[] = {sizes[s], m};
    ir_kinterpret_options options = {.round_f32 = true};
    cpu_must(ir_kernel_interpret_options(k, args, bytes, dims, 0, m, &options));
    for (int level = 0; level < rig->level_count; level++) {
      memset(got, 0x5A, ROOM * element);
      args[1] = got;
      cpu_run(rig, level, k, args, dims, 0, m);
      for (size_t i = 0; i < ROOM; i++) {
        if (!memcmp(got + i * element, expected + i * element, element)) continue;
        float g = 0, e = 0;
        if (element == 4) memcpy(&g, got + i * 4, 4), memcpy(&e, expected + i * 4, 4);
        if (isnan(g) && isnan(e)) continue;  // which NaN is the machine's affair
        cr_assert_fail("%s at %s, n = %d: element %zu is %a, not %a", k->name, rig->levels[level].name, (int)sizes[s],
                       i, (double)g, (double)e);
      }
    }
  }
  free(x), free(expected), free(got);
}

static const int64_t odd_sizes[] = {0, 1, 15, 16, 17, 31, 33, 48, 100};
enum { ODD_COUNT = sizeof odd_sizes / sizeof *odd_sizes };

// ---- kernels
static ir_kernel *kernel_sum(weir_arena *a, const char *name, ir_kop combine, bool two_ranges) {
  frame f;
  frame_open(&f, a, name, IR_KT_f32);
  ir_kvar *acc = ir_kb_reg(&f.b, "acc", IR_KT_f32, false, 0, NULL, real(&f, combine == IR_K_mul ? 1 : -0.25));
  for (int r = 0; r < (two_ranges ? 2 : 1); r++) {
    const ir_kexpr *i = lanes(&f, "i", num(&f, r), f.n);
    ir_kb_reduce(&f.b, combine, acc, load(&f, add(&f, mul(&f, f.item, f.n), i)));
    ir_kb_end(&f.b);
  }
  ir_kb_store(&f.b, IR_KT_f32, f.y, f.item, ir_kb_read(&f.b, acc, NULL, NULL, NULL));
  return ir_kb_finish(&f.b);
}

// Softmax of each row: two reductions and an exponential-free normalisation, so that bits are comparable.
static ir_kernel *kernel_normalise(weir_arena *a) {
  frame f;
  frame_open(&f, a, "k_normalise", IR_KT_f32);
  const ir_kexpr *row = ir_kb_let(&f.b, "row", mul(&f, f.item, f.n));
  ir_kvar *top = ir_kb_reg(&f.b, "top", IR_KT_f32, false, 0, NULL, real(&f, -INFINITY));
  const ir_kexpr *i = lanes(&f, "i", num(&f, 0), f.n);
  ir_kb_reduce(&f.b, IR_K_max, top, load(&f, add(&f, row, i)));
  ir_kb_end(&f.b);
  ir_kvar *sum = ir_kb_reg(&f.b, "sum", IR_KT_f32, false, 0, NULL, real(&f, 0));
  i = lanes(&f, "i", num(&f, 0), f.n);
  const ir_kexpr *d =
      ir_kb_let(&f.b, "d", ir_kb_sub(&f.b, load(&f, add(&f, row, i)), ir_kb_read(&f.b, top, NULL, NULL, NULL)));
  ir_kb_reduce(&f.b, IR_K_add, sum, ir_kb_mul(&f.b, d, d));
  ir_kb_store(&f.b, IR_KT_f32, f.y, add(&f, row, i), d);
  ir_kb_end(&f.b);
  ir_kb_comment(&f.b, "what was stored is read again");
  const ir_kexpr *scale = ir_kb_let(
      &f.b, "scale", ir_kb_op(&f.b, IR_K_sqrt, IR_KT_f32, ir_kb_read(&f.b, sum, NULL, NULL, NULL), NULL, NULL));
  i = lanes(&f, "i", num(&f, 0), f.n);
  const ir_kexpr *at = add(&f, row, i);
  ir_kb_store(&f.b, IR_KT_f32, f.y, at, ir_kb_div(&f.b, ir_kb_load(&f.b, IR_KT_f32, f.y, at), scale));
  ir_kb_end(&f.b);
  return ir_kb_finish(&f.b);
}

// Strides, reversals, shuffles and guarded windows in one kernel.
static ir_kernel *kernel_indices(weir_arena *a) {
  frame f;
  frame_open(&f, a, "k_indices", IR_KT_f32);
  const ir_kexpr *i = lanes(&f, "i", num(&f, 0), f.n);
  const ir_kexpr *one = num(&f, 1), *three = num(&f, 3), *back = ir_kb_sub(&f.b, ir_kb_sub(&f.b, f.n, one), i);
  const ir_kexpr *pair = add(&f, mul(&f, ir_kb_div(&f.b, i, num(&f, 2)), num(&f, 2)),
                             ir_kb_sub(&f.b, one, ir_kb_mod(&f.b, i, num(&f, 2))));
  const ir_kexpr *values[] = {
      load(&f, mul(&f, i, three)),
      load(&f, back),
      load(&f, pair),
      load(&f, mul(&f, i, f.m)),
      load(&f, add(&f, ir_kb_div(&f.b, i, num(&f, 32)), mul(&f, ir_kb_mod(&f.b, i, num(&f, 32)), num(&f, 5)))),
      load(&f, ir_kb_min(&f.b, i, num(&f, 20))),
      load(&f, f.item)};
  const ir_kexpr *sum = values[0];
  for (size_t v = 1; v < sizeof values / sizeof *values; v++)
    sum = ir_kb_add(&f.b, ir_kb_mul(&f.b, sum, real(&f, 0.5)), values[v]);
  // Left of the row reads nothing.
  const ir_kexpr *left = ir_kb_sub(&f.b, i, num(&f, 4));
  const ir_kexpr *inside = ir_kb_op(&f.b, IR_K_ge, IR_KT_bool, left, num(&f, 0), NULL);
  sum = ir_kb_add(&f.b, sum, ir_kb_op(&f.b, IR_K_select, IR_KT_f32, inside, load(&f, left), real(&f, 8)));
  const ir_kexpr *odd = ir_kb_op(&f.b, IR_K_eq, IR_KT_bool, i, num(&f, 5), NULL);
  sum = ir_kb_op(&f.b, IR_K_select, IR_KT_f32, odd, ir_kb_cast(&f.b, IR_KT_f32, i), sum);
  ir_kb_store(&f.b, IR_KT_f32, f.y, add(&f, mul(&f, f.item, num(&f, 512)), i), sum);
  ir_kb_store(&f.b, IR_KT_f32, f.y, add(&f, add(&f, mul(&f, f.item, num(&f, 512)), num(&f, 4096)), mul(&f, i, three)),
              sum);
  ir_kb_end(&f.b);
  return ir_kb_finish(&f.b);
}

// A condition and a loop bound that differ between lanes, and an accumulator per lane.
static ir_kernel *kernel_divergent(weir_arena *a) {
  frame f;
  frame_open(&f, a, "k_divergent", IR_KT_f32);
  const ir_kexpr *i = lanes(&f, "i", num(&f, 0), f.n);
  ir_kvar *acc = ir_kb_reg(&f.b, "acc", IR_KT_f32, false, 0, NULL, real(&f, 0.125));
  const ir_kexpr *value = load(&f, i);
  ir_kb_if(&f.b, ir_kb_op(&f.b, IR_K_gt, IR_KT_bool, value, real(&f, 0), NULL));
  ir_kb_set(&f.b, acc, ir_kb_mul(&f.b, value, real(&f, 2)), NULL, NULL, NULL);
  ir_kb_if(&f.b, ir_kb_op(&f.b, IR_K_gt, IR_KT_bool, value, real(&f, 2), NULL));
  ir_kb_store(&f.b, IR_KT_f32, f.y, add(&f, i, num(&f, 4096)), value);
  ir_kb_end(&f.b);
  ir_kb_else(&f.b);
  ir_kb_set(&f.b, acc, ir_kb_add(&f.b, value, ir_kb_read(&f.b, acc, NULL, NULL, NULL)), NULL, NULL, NULL);
  ir_kb_end(&f.b);
  const ir_kexpr *last = ir_kb_mod(&f.b, i, num(&f, 7));
  const ir_kexpr *k = ir_kb_for(&f.b, IR_KR_SERIAL, "k", f.item, last, 2);
  ir_kb_set(&f.b, acc,
            ir_kb_op(&f.b, IR_K_fma, IR_KT_f32, load(&f, k), load(&f, add(&f, i, k)),
                     ir_kb_read(&f.b, acc, NULL, NULL, NULL)),
            NULL, NULL, NULL);
  ir_kb_end(&f.b);
  ir_kb_store(&f.b, IR_KT_f32, f.y, add(&f, mul(&f, f.item, num(&f, 256)), i), ir_kb_read(&f.b, acc, NULL, NULL, NULL));
  ir_kb_end(&f.b);
  return ir_kb_finish(&f.b);
}

// Local memory, literal data, narrow elements, a uniform branch and an unrolled range.
static ir_kernel *kernel_memory(weir_arena *a) {
  frame f;
  frame_open(&f, a, "k_memory", IR_KT_f32);
  int local = ir_kb_add_buffer(&f.b, IR_KB_LOCAL, "half", num(&f, 100 * 2), -1);
  int wide = ir_kb_add_buffer(&f.b, IR_KB_LOCAL, "wide", num(&f, 128 * 4), -1);
  static const double table[] = {1, -2, 0.5, 4, 0.0625, -1, 3, 7, 9, 1.5, 2, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5};
  int data = ir_kb_add_const(&f.b, "table", IR_KT_f32, 17, table);
  const ir_kexpr *i = lanes(&f, "i", num(&f, 0), num(&f, 100));
  ir_kb_store(&f.b, IR_KT_f16, local, i, ir_kb_cast(&f.b, IR_KT_f16, load(&f, add(&f, f.item, i))));
  ir_kb_end(&f.b);
  const ir_kexpr *u = ir_kb_for(&f.b, IR_KR_UNROLL, "u", num(&f, 0), num(&f, 3), 1);
  i = lanes(&f, "i", num(&f, 0), num(&f, 32));
  const ir_kexpr *h =
      ir_kb_cast(&f.b, IR_KT_f32, ir_kb_load(&f.b, IR_KT_f16, local, add(&f, mul(&f, u, num(&f, 32)), i)));
  const ir_kexpr *t = ir_kb_load(&f.b, IR_KT_f32, data, ir_kb_mod(&f.b, add(&f, i, u), num(&f, 17)));
  ir_kb_store(&f.b, IR_KT_f32, wide, add(&f, mul(&f, u, num(&f, 32)), i), ir_kb_mul(&f.b, h, t));
  ir_kb_end(&f.b);
  ir_kb_end(&f.b);
  ir_kb_if(&f.b, ir_kb_op(&f.b, IR_K_lt, IR_KT_bool, f.item, num(&f, 2), NULL));
  i = lanes(&f, "i", num(&f, 0), num(&f, 96));
  ir_kb_store(&f.b, IR_KT_f32, f.y, add(&f, mul(&f, f.item, num(&f, 128)), i), ir_kb_load(&f.b, IR_KT_f32, wide, i));
  ir_kb_end(&f.b);
  ir_kb_else(&f.b);
  ir_kb_store(&f.b, IR_KT_f32, f.y, mul(&f, f.item, num(&f, 128)), ir_kb_load(&f.b, IR_KT_f32, wide, num(&f, 95)));
  ir_kb_end(&f.b);
  return ir_kb_finish(&f.b);
}

// Four-bit weights with a half scale per 32, as a lane range over the whole row: the scale is one load per block.
static ir_kernel *kernel_blocks(weir_arena *a) {
  frame f;
  frame_open(&f, a, "k_blocks", IR_KT_f32);
  ir_kvar *acc = ir_kb_reg(&f.b, "acc", IR_KT_f32, false, 0, NULL, real(&f, 0));
  const ir_kexpr *i = lanes(&f, "i", num(&f, 0), num(&f, 256));
  const ir_kexpr *block = ir_kb_div(&f.b, i, num(&f, 32)), *in = ir_kb_mod(&f.b, i, num(&f, 32));
  const ir_kexpr *byte = add(&f, mul(&f, block, num(&f, 18)), add(&f, num(&f, 2), ir_kb_mod(&f.b, in, num(&f, 16))));
  const ir_kexpr *packed = ir_kb_cast(&f.b, IR_KT_u32, ir_kb_load(&f.b, IR_KT_u8, f.x, add(&f, byte, f.item)));
  const ir_kexpr *shift = ir_kb_cast(&f.b, IR_KT_u32, mul(&f, ir_kb_div(&f.b, in, num(&f, 16)), num(&f, 4)));
  const ir_kexpr *nibble = ir_kb_op(&f.b, IR_K_and, IR_KT_u32, ir_kb_op(&f.b, IR_K_shr, IR_KT_u32, packed, shift, NULL),
                                    ir_kb_const(&f.b, IR_KT_u32, 15), NULL);
  const ir_kexpr *scale = ir_kb_cast(&f.b, IR_KT_f32, ir_kb_load(&f.b, IR_KT_bf16, f.x, mul(&f, block, num(&f, 9))));
  const ir_kexpr *weight = ir_kb_mul(&f.b, scale, ir_kb_sub(&f.b, ir_kb_cast(&f.b, IR_KT_f32, nibble), real(&f, 8)));
  ir_kb_reduce(&f.b, IR_K_add, acc, ir_kb_mul(&f.b, weight, load(&f, i)));
  ir_kb_end(&f.b);
  ir_kb_store(&f.b, IR_KT_f32, f.y, f.item, ir_kb_read(&f.b, acc, NULL, NULL, NULL));
  return ir_kb_finish(&f.b);
}

// Rows of a product in tiles; |tile| rows at most, so that different kernels walk the same rows differently.
static ir_kernel *kernel_tiles(weir_arena *a, int tile, int64_t depth) {
  frame f;
  frame_open(&f, a, weir_arena_printf(a, "k_tiles_%d_%d", tile, (int)depth), IR_KT_f32);
  int tiles[] = {tile, 2, 1}, dims[] = {tile, 2};
  const ir_kexpr *size, *row = ir_kb_tiles(&f.b, "row", num(&f, 0), f.n, tile > 2 ? tiles : tiles + (tile == 1 ? 2 : 1),
                                           tile > 2 ? 3 : tile, &size);
  ir_kvar *acc = ir_kb_reg(&f.b, "acc", IR_KT_f32, true, 2, dims, real(&f, 0));
  const ir_kexpr *k = ir_kb_for(&f.b, IR_KR_SERIAL, "k", num(&f, 0), num(&f, depth), 1);
  const ir_kexpr *r = ir_kb_for(&f.b, IR_KR_UNROLL, "r", num(&f, 0), size, 1),
                 *c = ir_kb_for(&f.b, IR_KR_UNROLL, "c", num(&f, 0), num(&f, 2), 1);
  const ir_kexpr *l = lanes(&f, "l", num(&f, 0), num(&f, 16));
  const ir_kexpr *column = add(&f, mul(&f, c, num(&f, 16)), l);
  const ir_kexpr *p = ir_kb_op(
      &f.b, IR_K_fma, IR_KT_f32, load(&f, add(&f, mul(&f, add(&f, row, r), num(&f, depth)), k)),
      load(&f, add(&f, add(&f, num(&f, 4096), mul(&f, k, num(&f, 32))), column)), ir_kb_read(&f.b, acc, r, c, NULL));
  ir_kb_set(&f.b, acc, p, r, c, NULL);
  for (int e = 0; e < 4; e++) ir_kb_end(&f.b);
  r = ir_kb_for(&f.b, IR_KR_UNROLL, "r", num(&f, 0), size, 1),
  c = ir_kb_for(&f.b, IR_KR_UNROLL, "c", num(&f, 0), num(&f, 2), 1);
  l = lanes(&f, "l", num(&f, 0), num(&f, 16));
  ir_kb_store(&f.b, IR_KT_f32, f.y, add(&f, mul(&f, add(&f, row, r), num(&f, 32)), add(&f, mul(&f, c, num(&f, 16)), l)),
              ir_kb_read(&f.b, acc, r, c, NULL));
  for (int e = 0; e < 4; e++) ir_kb_end(&f.b);
  return ir_kb_finish(&f.b);
}

// i64 and f64 lanes, integer reductions, an outer lanes range, reductions in an inner serial range.
static ir_kernel *kernel_wide(weir_arena *a) {
  frame f;
  frame_open(&f, a, "k_wide", IR_KT_f32);
  const ir_kexpr *o = lanes(&f, "o", num(&f, 0), num(&f, 3));
  ir_kvar *best = ir_kb_reg(&f.b, "best", IR_KT_i64, false, 0, NULL, num(&f, -3));
  ir_kvar *small = ir_kb_reg(&f.b, "small", IR_KT_u8, false, 0, NULL, ir_kb_const(&f.b, IR_KT_u8, 250));
  ir_kvar *total = ir_kb_reg(&f.b, "total", IR_KT_f64, false, 0, NULL, ir_kb_const(&f.b, IR_KT_f64, 1));
  const ir_kexpr *i = lanes(&f, "i", num(&f, 0), f.n);
  const ir_kexpr *v = load(&f, add(&f, i, o));
  const ir_kexpr *as_int = ir_kb_cast(&f.b, IR_KT_i64, ir_kb_mul(&f.b, v, real(&f, 1000)));
  ir_kb_reduce(&f.b, IR_K_max, best, ir_kb_op(&f.b, IR_K_xor, IR_KT_i64, as_int, i, NULL));
  ir_kb_reduce(&f.b, IR_K_add, small, ir_kb_cast(&f.b, IR_KT_u8, as_int));
  const ir_kexpr *k = ir_kb_for(&f.b, IR_KR_SERIAL, "k", num(&f, 0), num(&f, 3), 1);
  ir_kb_reduce(&f.b, IR_K_add, total, ir_kb_cast(&f.b, IR_KT_f64, load(&f, add(&f, k, i))));
  ir_kb_end(&f.b);
  ir_kb_end(&f.b);
  const ir_kexpr *at = mul(&f, add(&f, mul(&f, f.item, num(&f, 3)), o), num(&f, 4));
  ir_kb_store(&f.b, IR_KT_f32, f.y, at, ir_kb_cast(&f.b, IR_KT_f32, ir_kb_read(&f.b, best, NULL, NULL, NULL)));
  ir_kb_store(&f.b, IR_KT_f32, f.y, add(&f, at, num(&f, 1)),
              ir_kb_cast(&f.b, IR_KT_f32, ir_kb_read(&f.b, small, NULL, NULL, NULL)));
  ir_kb_store(&f.b, IR_KT_f32, f.y, add(&f, at, num(&f, 2)),
              ir_kb_cast(&f.b, IR_KT_f32, ir_kb_read(&f.b, total, NULL, NULL, NULL)));
  ir_kb_end(&f.b);
  return ir_kb_finish(&f.b);
}

Test(cpu_lanes, ranges_registers_and_memory_as_the_interpreter_has_them) {
  cpu_rig rig;
  cpu_rig_init(&rig);
  weir_arena *a = &rig.arena;
  const ir_kernel *k[] = {kernel_sum(a, "k_sum", IR_K_add, false),
                          kernel_sum(a, "k_max", IR_K_max, false),
                          kernel_sum(a, "k_min", IR_K_min, true),
                          kernel_sum(a, "k_mul", IR_K_mul, false),
                          kernel_sum(a, "k_twice", IR_K_add, true),
                          kernel_normalise(a),
                          kernel_indices(a),
                          kernel_memory(a),
                          kernel_blocks(a),
                          kernel_wide(a),
                          kernel_divergent(a),
                          kernel_tiles(a, 6, 29),
                          kernel_tiles(a, 2, 29),
                          kernel_tiles(a, 1, 29),
                          kernel_tiles(a, 4, 1)};
  enum { COUNT = sizeof k / sizeof *k, FIRST_FUSED = 10 };
  cpu_rig_compile(&rig, k, COUNT);
  static const int64_t rows[] = {0, 1, 2, 5, 6, 7, 13, 40};
  for (int i = 0; i < COUNT; i++) {
    // Without a fused multiply-add a level has bits of its own.
    cpu_rig fused = rig;
    for (int level = fused.level_count - 1; level >= 0 && i >= FIRST_FUSED; level--) {
      if (cpu_is_fused(&fused.levels[level])) continue;
      for (int next = level; next + 1 < fused.level_count; next++) {
        fused.levels[next] = fused.levels[next + 1];
        fused.objects[next] = fused.objects[next + 1];
        fused.remotes[next] = fused.remotes[next + 1];
      }
      fused.level_count--;
    }
    bool tiles = !strncmp(k[i]->name, "k_tiles", 7);
    compare(&fused, k[i], 4, tiles ? rows : odd_sizes, tiles ? 8 : ODD_COUNT, tiles ? 1 : 3);
  }
  cpu_rig_deinit(&rig);
}

Test(cpu_lanes, a_row_has_the_same_bits_in_every_tile_and_split) {
  cpu_rig rig;
  cpu_rig_init(&rig);
  const ir_kernel *k[] = {kernel_tiles(&rig.arena, 6, 100), kernel_tiles(&rig.arena, 4, 100),
                          kernel_tiles(&rig.arena, 1, 100)};
  cpu_rig_compile(&rig, k, 3);
  float *x = input();
  static float reference[ROOM], y[ROOM];
  for (int level = 0; level < rig.level_count; level++) {
    for (int64_t rows = 1; rows <= 25; rows++) {
      int64_t dims[] = {rows, 1};
      void *args[] = {x, reference};
      cpu_run(&rig, level, k[2], args, dims, 0, 1);
      args[1] = y;
      for (int other = 0; other < 2; other++) {
        cpu_run(&rig, level, k[other], args, dims, 0, 1);
        cr_assert_eq(memcmp(y, reference, (size_t)rows * 32 * sizeof *y), 0, "%s, %d rows", rig.levels[level].name,
                     (int)rows);
      }
    }
  }
  free(x);
  cpu_rig_deinit(&rig);
}

Test(cpu_lanes, tables_of_requests) {
  cpu_rig rig;
  cpu_rig_init(&rig);
  ir_kbuilder b;
  ir_kb_init(&b, &rig.arena, "k_tables", "state of each request, twice the old plus the request's number");
  ir_kb_add_size(&b, "R");
  int t = ir_kb_add_buffer(&b, IR_KB_TABLE_INOUT, "state", NULL, -1);
  const ir_kexpr *r = ir_kb_set_grid(&b, ir_kb_add_size(&b, "R"), "request");
  const ir_kexpr *i = ir_kb_for(&b, IR_KR_LANES, "i", ir_kb_int(&b, 0), ir_kb_int(&b, 21), 1);
  const ir_kexpr *old = ir_kb_load_table(&b, IR_KT_f32, t, r, i);
  ir_kb_store_table(&b, IR_KT_f32, t, r, i, ir_kb_add(&b, ir_kb_add(&b, old, old), ir_kb_cast(&b, IR_KT_f32, r)));
  ir_kb_end(&b);
  const ir_kernel *k[] = {ir_kb_finish(&b)};
  cpu_rig_compile(&rig, k, 1);
  rig.tables = (runner_arg){.count = 3, .bytes = 22 * sizeof(float), .table = 1};
  for (int level = 0; level < rig.level_count; level++) {
    float states[3][22];
    void *table[3], *args[] = {table};
    for (int q = 0; q < 3; q++) {
      table[q] = states[q];
      for (int e = 0; e < 22; e++) states[q][e] = (float)(q * 100 + e);
    }
    int64_t dims[] = {3};
    cpu_run(&rig, level, k[0], args, dims, 0, 3);
    for (int q = 0; q < 3; q++)
      for (int e = 0; e < 22; e++)
        cr_assert_eq(states[q][e], e < 21 ? (float)(2 * (q * 100 + e) + q) : (float)(q * 100 + e));
  }
  cpu_rig_deinit(&rig);
}
