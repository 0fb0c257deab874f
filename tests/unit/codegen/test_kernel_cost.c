// What kernels cost: shared nodes once, decoding apart, conditions and tiles where they are known, block kernels by
// thread.
#include <criterion/criterion.h>
#include <string.h>

#include "codegen/lower/kernel_cost.h"
#include "tests/unit/ir/kernel_block_samples.h"
#include "tests/unit/ir/kernel_samples.h"

static int64_t element_index(void *user, int arg, int64_t index) {
  (void)user, (void)arg;
  return index;
}

static bool first_is_weight(void *user, int arg) {
  (void)user;
  return arg == 0;
}

static const cg_cost_facts facts = {.element = element_index, .is_weight = first_is_weight};

typedef struct {
  int64_t ops[CG_COST_COUNT], bytes[8];
} numbers;

static int64_t number(rt_expr e, const int64_t *sizes) {
  int64_t value = -1;
  cr_assert(rt_expr_eval(e, sizes, &value));
  return value;
}

// At |sizes|: as constants with facts, as variables without.
static numbers count_kernel(const ir_kernel *kernel, const int64_t *sizes, int64_t item, bool with_facts) {
  weir_arena arena;
  weir_arena_init(&arena);
  rt_expr exprs[IR_KERNEL_MAX_SIZES];
  for (int i = 0; i < kernel->size_count; i++)
    exprs[i] = with_facts ? rt_expr_const(&arena, sizes[i]) : rt_expr_var(&arena, i);
  cg_cost cost;
  numbers out = {0};
  cg_kernel_cost(&arena, kernel, exprs, item, with_facts ? &facts : NULL, &cost);
  for (int i = 0; i < CG_COST_COUNT; i++) out.ops[i] = number(cost.ops[i], sizes);
  for (int i = 0; i < kernel->buffer_count && i < 8; i++) out.bytes[i] = number(cost.bytes[i], sizes);
  weir_arena_deinit(&arena);
  return out;
}

static numbers count(const char *text, const int64_t *sizes, int64_t item, bool with_facts) {
  weir_arena arena;
  weir_arena_init(&arena);
  ir_kernel *kernel = NULL;
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &kernel);
  cr_assert_null(status, "%s", weir_status_message(status));
  numbers out = count_kernel(kernel, sizes, item, with_facts);
  weir_arena_deinit(&arena);
  return out;
}

Test(kernel_cost, products_of_rows) {
  const int64_t sizes[] = {13, 100};
  numbers n = count(sample_matmul, sizes, 0, true);
  cr_assert_eq(n.ops[CG_COST_FLOPS], 13 * 100 * 16 * 2);
  // x: each value for every row once; w: for each tile of rows, which are of 6, 6 and 1.
  cr_assert_eq(n.bytes[0], 13 * 100 * 4);
  cr_assert_eq(n.bytes[1], 13 * 100 * 16 * 4);
  cr_assert_eq(n.bytes[2], 13 * 16 * 4);
  numbers estimate = count(sample_matmul, sizes, 0, false);
  cr_assert_eq(estimate.ops[CG_COST_FLOPS], n.ops[CG_COST_FLOPS]);
  cr_assert_eq(estimate.bytes[0], n.bytes[0] + n.bytes[1] + n.bytes[2]);
}

Test(kernel_cost, decoding_is_apart) {
  const int64_t sizes[] = {10};
  numbers n = count(sample_q4_1, sizes, 3, true);
  cr_assert_eq(n.ops[CG_COST_FLOPS], 0);
  cr_assert_eq(n.ops[CG_COST_DECODE], 32 * 2);
  cr_assert_eq(n.ops[CG_COST_OTHER], 2 + 32);  // f16 to f32, and integers to floats
  cr_assert_eq(n.bytes[0], 2 + 2 + 16);
  cr_assert_eq(n.bytes[1], 32 * 4);
}

Test(kernel_cost, a_shared_node_counts_once) {
  weir_arena arena;
  weir_arena_init(&arena);
  ir_kbuilder b;
  ir_kb_init(&b, &arena, "shared_nodes", "");
  const ir_kexpr *count = ir_kb_add_size(&b, "N"), *bytes = ir_kb_mul(&b, count, ir_kb_int(&b, 8));
  ir_kb_add_buffer(&b, IR_KB_IN, "w", bytes, -1);
  int x = ir_kb_add_buffer(&b, IR_KB_IN, "x", bytes, -1), y = ir_kb_add_buffer(&b, IR_KB_OUT, "y", bytes, -1);
  const ir_kexpr *i = ir_kb_set_grid(&b, count, "i"), *at = ir_kb_mul(&b, i, ir_kb_int(&b, 2));
  const ir_kexpr *value = ir_kb_op(&b, IR_K_exp, IR_KT_f32, ir_kb_load(&b, IR_KT_f32, x, i), NULL, NULL);
  ir_kb_store(&b, IR_KT_f32, y, at, ir_kb_mul(&b, value, value));
  ir_kb_store(&b, IR_KT_f32, y, ir_kb_add(&b, at, ir_kb_int(&b, 1)), value);
  const int64_t sizes[] = {10};
  numbers n = count_kernel(ir_kb_finish(&b), sizes, 3, true);
  cr_assert_eq(n.ops[CG_COST_FLOPS], 10 + 1);
  cr_assert_eq(n.bytes[x], 4);
  cr_assert_eq(n.bytes[y], 8);
  weir_arena_deinit(&arena);
}

Test(kernel_cost, conditions_by_item) {
  static const char text[] =
      "kernel sides \"\"\n"
      "sizes N\n"
      "in w: N * 4 @0\n"
      "in x: N * 4 @1\n"
      "out y: N * 4 @2\n"
      "grid i: N\n"
      "{\n"
      "  if i < 2 {\n"
      "    store y:f32[i] = x:f32[i] + 1.0\n"
      "  } else {\n"
      "    for k in i..N {\n"
      "      store y:f32[i] = x:f32[k] * 2.0 + 1.0\n"
      "    }\n"
      "  }\n"
      "}\n";
  const int64_t sizes[] = {10};
  cr_assert_eq(count(text, sizes, 1, true).ops[CG_COST_FLOPS], 1);
  cr_assert_eq(count(text, sizes, 7, true).ops[CG_COST_FLOPS], 3 * 2);
  cr_assert_eq(count(text, sizes, 0, false).ops[CG_COST_FLOPS], 1 + 10 * 2);  // both sides
}

Test(kernel_cost, threads_of_a_block) {
  const int64_t sizes[] = {0};
  numbers n = count(block_small, sizes, 0, true);
  // 64 threads: a sum and two steps of a shuffled one; of the first 16 the last loop, by what the first of a warp and
  // its neighbour do.
  cr_assert_eq(n.bytes[0], 64 * 2 * 4);
  cr_assert_eq(n.bytes[1], 32 * 4);  // the second warp stores nothing
  cr_assert_eq(n.ops[CG_COST_DECODE], 64 * 3 + 32 * 4);
  cr_assert_eq(n.ops[CG_COST_OTHER], 64 * 2);
}

Test(kernel_cost, products_of_warps) {
  static const char text[] =
      "kernel products \"\"\n"
      "sizes N\n"
      "in x: N * 4 @0\n"
      "out y: N * 4 @1\n"
      "shared s: 4096\n"
      "grid g: N / 128\n"
      "threads t: 128\n"
      "{\n"
      "  reg c: f32[4] = 0.0\n"
      "  reg w: u32[8] = 0:u32\n"
      "  async s:f32[t * 4] = x:f32[g * 128 + t % 32 * 4] bytes 16 when t < 64\n"
      "  commit\n"
      "  wait 0\n"
      "  barrier\n"
      "  for k in 0..N {\n"
      "    mma bf16 c[0], w[0], w[4]\n"
      "  }\n"
      "  write y:f32[g * 128 + t * 4] = c[0] x 4\n"
      "}\n";
  const int64_t sizes[] = {512};
  numbers n = count(text, sizes, 0, true), estimate = count(text, sizes, 0, false);
  cr_assert_eq(n.ops[CG_COST_BF16], 4 * 512 * 2 * 16 * 8 * 16);  // four warps
  cr_assert_eq(n.bytes[0], 64 * 16);
  cr_assert_eq(n.bytes[1], 128 * 16);
  cr_assert_eq(estimate.ops[CG_COST_FLOPS], n.ops[CG_COST_BF16]);
}

Test(kernel_cost, every_form) {
  const int64_t sizes[] = {512, 512, 512};
  for (int with = 0; with < 2; with++) {
    cr_assert_gt(count(block_everything, sizes, 0, with).ops[CG_COST_FLOPS], 0);
    numbers n = count(block_sm90, sizes, 0, with);
    cr_assert_gt(n.ops[with ? CG_COST_BF16 : CG_COST_FLOPS], 0);
    cr_assert_gt(n.bytes[0], 0);
  }
}
