// The inner loop of a matrix product keeps its 6 x 64 accumulators in registers: no stack traffic in the code that
// x86-64-v4 gets. Also prints the rate beside that of bare multiply-adds; rates are not asserted, since tests share
// their machine.
#include <time.h>

#include "tests/unit/codegen/cpu_harness.h"

enum { ROWS = 96, DEPTH = 576, COLUMNS = 768, TALL = 6, WIDE = 4 };

static const ir_kexpr *unroll(ir_kbuilder *b, const char *name, const ir_kexpr *count) {
  return ir_kb_for(b, IR_KR_UNROLL, name, ir_kb_int(b, 0), count, 1);
}

static void end(ir_kbuilder *b, int count) {
  while (count--) ir_kb_end(b);
}

// y[M, N] = x[M, K] w, where w holds panels of 64 columns: [N / 64, K, 64].
static ir_kernel *product(weir_arena *arena) {
  ir_kbuilder b;
  ir_kb_init(&b, arena, "k_matmul_f32_6x64", "y[M, N] = x[M, K] w[N/64, K, 64]");
  const ir_kexpr *m = ir_kb_add_size(&b, "M"), *depth = ir_kb_int(&b, DEPTH), *sixteen = ir_kb_int(&b, 16);
  int x = ir_kb_add_buffer(&b, IR_KB_IN, "x", ir_kb_mul(&b, m, ir_kb_int(&b, DEPTH * 4)), -1);
  int w = ir_kb_add_buffer(&b, IR_KB_IN, "w", ir_kb_int(&b, DEPTH * COLUMNS * 4), -1);
  int y = ir_kb_add_buffer(&b, IR_KB_OUT, "y", ir_kb_mul(&b, m, ir_kb_int(&b, COLUMNS * 4)), -1);
  const ir_kexpr *panel = ir_kb_set_grid(&b, ir_kb_int(&b, COLUMNS / 64), "panel"), *size;
  static const int tiles[] = {TALL, 4, 2, 1}, dims[] = {TALL, WIDE};
  const ir_kexpr *row = ir_kb_tiles(&b, "row", ir_kb_int(&b, 0), m, tiles, 4, &size);
  ir_kvar *acc = ir_kb_reg(&b, "acc", IR_KT_f32, true, 2, dims, ir_kb_const(&b, IR_KT_f32, 0));
  const ir_kexpr *k = ir_kb_for(&b, IR_KR_SERIAL, "k", ir_kb_int(&b, 0), depth, 1);
  const ir_kexpr *r = unroll(&b, "r", size), *c = unroll(&b, "c", ir_kb_int(&b, WIDE));
  const ir_kexpr *l = ir_kb_for(&b, IR_KR_LANES, "l", ir_kb_int(&b, 0), sixteen, 1);
  const ir_kexpr *column = ir_kb_add(&b, ir_kb_mul(&b, c, sixteen), l);
  const ir_kexpr *a = ir_kb_load(&b, IR_KT_f32, x, ir_kb_add(&b, ir_kb_mul(&b, ir_kb_add(&b, row, r), depth), k));
  const ir_kexpr *line = ir_kb_mul(&b, ir_kb_add(&b, ir_kb_mul(&b, panel, depth), k), ir_kb_int(&b, 64));
  const ir_kexpr *v = ir_kb_load(&b, IR_KT_f32, w, ir_kb_add(&b, line, column));
  ir_kb_set(&b, acc, ir_kb_op(&b, IR_K_fma, IR_KT_f32, a, v, ir_kb_read(&b, acc, r, c, NULL)), r, c, NULL);
  end(&b, 4);
  r = unroll(&b, "r", size), c = unroll(&b, "c", ir_kb_int(&b, WIDE));
  l = ir_kb_for(&b, IR_KR_LANES, "l", ir_kb_int(&b, 0), sixteen, 1);
  column = ir_kb_add(&b, ir_kb_mul(&b, panel, ir_kb_int(&b, 64)), ir_kb_add(&b, ir_kb_mul(&b, c, sixteen), l));
  const ir_kexpr *at = ir_kb_add(&b, ir_kb_mul(&b, ir_kb_add(&b, row, r), ir_kb_int(&b, COLUMNS)), column);
  ir_kb_store(&b, IR_KT_f32, y, at, ir_kb_read(&b, acc, r, c, NULL));
  end(&b, 4);
  return ir_kb_finish(&b);
}

// As many multiply-adds on 16 registers, without memory.
static ir_kernel *roof(weir_arena *arena) {
  ir_kbuilder b;
  ir_kb_init(&b, arena, "k_roof_f32", "multiply-adds in registers");
  const ir_kexpr *n = ir_kb_add_size(&b, "n");
  int y = ir_kb_add_buffer(&b, IR_KB_OUT, "y", ir_kb_int(&b, 1024), -1);
  ir_kb_set_grid(&b, ir_kb_int(&b, 1), "item");
  static const int dims[] = {16};
  ir_kvar *acc = ir_kb_reg(&b, "acc", IR_KT_f32, true, 1, dims, ir_kb_const(&b, IR_KT_f32, 1));
  // Different numbers, or the compiler sees that all registers are one.
  const ir_kexpr *r = unroll(&b, "r", ir_kb_int(&b, 16));
  ir_kb_for(&b, IR_KR_LANES, "l", ir_kb_int(&b, 0), ir_kb_int(&b, 16), 1);
  ir_kb_set(&b, acc, ir_kb_cast(&b, IR_KT_f32, r), r, NULL, NULL);
  end(&b, 2);
  ir_kb_for(&b, IR_KR_SERIAL, "k", ir_kb_int(&b, 0), n, 1);
  r = unroll(&b, "r", ir_kb_int(&b, 16));
  ir_kb_for(&b, IR_KR_LANES, "l", ir_kb_int(&b, 0), ir_kb_int(&b, 16), 1);
  const ir_kexpr *old = ir_kb_read(&b, acc, r, NULL, NULL);
  ir_kb_set(&b, acc,
            ir_kb_op(&b, IR_K_fma, IR_KT_f32, old, ir_kb_const(&b, IR_KT_f32, 0.5), ir_kb_const(&b, IR_KT_f32, 0.25)),
            r, NULL, NULL);
  end(&b, 3);
  r = unroll(&b, "r", ir_kb_int(&b, 16));
  const ir_kexpr *l = ir_kb_for(&b, IR_KR_LANES, "l", ir_kb_int(&b, 0), ir_kb_int(&b, 16), 1);
  ir_kb_store(&b, IR_KT_f32, y, ir_kb_add(&b, ir_kb_mul(&b, r, ir_kb_int(&b, 16)), l),
              ir_kb_read(&b, acc, r, NULL, NULL));
  end(&b, 2);
  return ir_kb_finish(&b);
}

// ---- the code
typedef struct {
  long address, target;  // |target|: of a jump, else -1
  bool fma, spills;
} line;

static int disassemble(const char *object, const char *function, line *lines, int capacity) {
  char command[512], text[512];
  snprintf(command, sizeof command, "objdump -d --no-show-raw-insn --disassemble=%s '%s'", function, object);
  FILE *pipe = popen(command, "r");
  cr_assert(pipe != NULL);
  int count = 0;
  while (count < capacity && fgets(text, sizeof text, pipe)) {
    char *colon = strchr(text, ':'), *rest = colon ? colon + 1 : text;
    if (!colon || text[0] != ' ') continue;
    line *l = &lines[count++];
    *l = (line){.address = strtol(text, NULL, 16), .target = -1};
    rest += strspn(rest, " \t");
    if (*rest == 'j') l->target = strtol(rest + strcspn(rest, " \t"), NULL, 16);
    l->fma = !strncmp(rest, "vfmadd", 6);
    bool vector = strstr(rest, "%zmm") || strstr(rest, "%ymm");
    const char *memory = strchr(rest, '(');
    // A store, or anything of the stack.
    l->spills = vector && memory &&
                (strstr(memory, "%rsp") || (memory > strchr(rest, '%') && memory[strcspn(memory, ")") + 1] == '\n'));
  }
  cr_assert_eq(pclose(pipe), 0);
  return count;
}

Test(cpu_gemm, no_stack_traffic_in_the_inner_loop) {
  cpu_rig rig;
  cpu_rig_init(&rig);
  const ir_kernel *k[] = {product(&rig.arena)};
  cg_cpu_isa isa;
  cg_cpu_object object;
  cpu_must(cg_cpu_isa_find(&rig.arena, "cpu:x86-64-v4", &isa));
  cg_cpu_options options = {.cache_dir = KEPT_OBJECTS, .cache_bytes = KEPT_BYTES};
  cpu_must(cg_cpu_compile(&rig.arena, k, 1, &isa, 1, &options, &object));
  static line lines[20000];
  int count = disassemble(object.path, k[0]->name, lines, 20000), loops = 0;
  for (int i = 0; i < count; i++) {
    if (lines[i].target < 0 || lines[i].target > lines[i].address) continue;
    int start = i, fmas = 0, spills = 0, jumps = 0;
    while (start > 0 && lines[start].address > lines[i].target) start--;
    for (int n = start; n <= i; n++) fmas += lines[n].fma, spills += lines[n].spills, jumps += lines[n].target >= 0;
    if (fmas < TALL * WIDE || jumps > 1) continue;
    loops++;
    cr_assert_eq(fmas, TALL * WIDE, "the loop of the full tile has %d multiply-adds", fmas);
    cr_assert_eq(spills, 0, "the loop of the full tile spills %d times", spills);
  }
  cr_assert_eq(loops, 1, "%d loops of a full tile in %d instructions", loops, count);
  cpu_rig_deinit(&rig);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

Test(cpu_gemm, product_is_right_and_its_rate) {
  cpu_rig rig;
  cpu_rig_init(&rig);
  const ir_kernel *k[] = {product(&rig.arena), roof(&rig.arena)};
  cpu_rig_compile(&rig, k, 2);
  float *x = malloc(ROWS * DEPTH * 4), *w = malloc(DEPTH * COLUMNS * 4), *y = malloc(ROWS * COLUMNS * 4), lanes[256];
  uint64_t state = 1;
  for (int i = 0; i < ROWS * DEPTH; i++) x[i] = cpu_random_float(&state);
  for (int i = 0; i < DEPTH * COLUMNS; i++) w[i] = cpu_random_float(&state);
  for (int level = 0; level < rig.level_count; level++) {
    void *args[] = {x, w, y}, *none[] = {lanes};
    int64_t dims[] = {ROWS}, n[] = {20000};
    double best = 1e9, bare = 1e9;
    for (int repeat = 0; repeat < 10; repeat++) {
      double start = seconds();
      cpu_run(&rig, level, k[0], args, dims, 0, COLUMNS / 64);
      best = fmin(best, seconds() - start);
      start = seconds();
      cpu_run(&rig, level, k[1], none, n, 0, 1);
      bare = fmin(bare, seconds() - start);
    }
    double worst = 0;
    for (int i = 0; i < ROWS; i += 5) {
      for (int j = 0; j < COLUMNS; j += 7) {
        double sum = 0;
        for (int d = 0; d < DEPTH; d++) sum += (double)x[i * DEPTH + d] * (double)w[(j / 64 * DEPTH + d) * 64 + j % 64];
        worst = fmax(worst, fabs(sum - (double)y[i * COLUMNS + j]));
      }
    }
    cr_assert_lt(worst, 1e-4);
    fprintf(stderr, "%-10s %6.1f GFLOP/s; multiply-adds alone %6.1f\n", rig.levels[level].name,
            2e-9 * ROWS * DEPTH * COLUMNS / best, 2e-9 * 16 * 16 * 20000 / bare);
  }
  free(x), free(w), free(y);
  cpu_rig_deinit(&rig);
}
