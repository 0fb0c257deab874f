// The builder of kernels: folding of index arithmetic, sharing of equal expressions, content hashes.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "ir/kernel.h"

static weir_arena arena;
static ir_kbuilder b;
static int out;

static void begin(void) {
  weir_arena_init(&arena);
  ir_kb_init(&b, &arena, "test", "a test");
  out = ir_kb_add_buffer(&b, IR_KB_OUT, "out", ir_kb_int(&b, 8), -1);
}
static void end(void) { weir_arena_deinit(&arena); }

TestSuite(fold, .init = begin, .fini = end);

// The text of |e|.
static const char *text(const ir_kexpr *e) {
  ir_kbuilder saved = b;
  ir_kstmt **place = b.ends[b.depth - 1];
  ir_kb_store(&b, e->type, out, ir_kb_int(&b, 0), e);
  const char *all = ir_kernel_print(&arena, b.kernel);
  *place = NULL;
  b.ends[b.depth - 1] = place;
  (void)saved;
  const char *at = strstr(all, "[0] = ");
  cr_assert_not_null(at);
  return weir_arena_strndup(&arena, at + 6, strcspn(at + 6, "\n"));
}

#define SAYS(e, expected) cr_assert_str_eq(text(e), expected)

static const ir_kexpr *num(int64_t v) { return ir_kb_int(&b, v); }
static const ir_kexpr *add(const ir_kexpr *x, const ir_kexpr *y) { return ir_kb_add(&b, x, y); }
static const ir_kexpr *sub(const ir_kexpr *x, const ir_kexpr *y) { return ir_kb_sub(&b, x, y); }
static const ir_kexpr *mul(const ir_kexpr *x, const ir_kexpr *y) { return ir_kb_mul(&b, x, y); }
static const ir_kexpr *div_(const ir_kexpr *x, const ir_kexpr *y) { return ir_kb_div(&b, x, y); }
static const ir_kexpr *mod(const ir_kexpr *x, const ir_kexpr *y) { return ir_kb_mod(&b, x, y); }
static const ir_kexpr *range(const char *name, int64_t lo, int64_t hi) {
  return ir_kb_for(&b, IR_KR_SERIAL, name, num(lo), num(hi), 1);
}

Test(fold, constants) {
  SAYS(add(num(2), num(3)), "5");
  SAYS(div_(num(-7), num(2)), "-4");
  SAYS(mod(num(-7), num(2)), "1");
  SAYS(div_(num(7), num(0)), "0");
  SAYS(mod(num(7), num(0)), "0");
  SAYS(div_(num(INT64_MIN), num(-1)), "-9223372036854775808");
  SAYS(ir_kb_op(&b, IR_K_add, IR_KT_i8, ir_kb_const(&b, IR_KT_i8, 100), ir_kb_const(&b, IR_KT_i8, 100), NULL),
       "-56:i8");
  SAYS(ir_kb_op(&b, IR_K_shl, IR_KT_u16, ir_kb_const(&b, IR_KT_u16, 3), ir_kb_const(&b, IR_KT_u16, 15), NULL),
       "32768:u16");
  SAYS(ir_kb_op(&b, IR_K_lt, IR_KT_bool, num(1), num(2), NULL), "true");
}

Test(fold, identities) {
  const ir_kexpr *n = ir_kb_add_size(&b, "N");
  SAYS(add(n, num(0)), "N");
  SAYS(add(num(0), n), "N");
  SAYS(mul(num(1), n), "N");
  SAYS(mul(n, num(0)), "0");
  SAYS(div_(n, num(1)), "N");
  SAYS(mod(n, num(1)), "0");
  SAYS(sub(n, n), "0");
  SAYS(sub(n, num(3)), "N + -3");
  SAYS(add(add(n, num(2)), num(3)), "N + 5");
  SAYS(add(add(n, num(2)), num(-2)), "N");
  SAYS(mul(mul(n, num(2)), num(3)), "N * 6");
  SAYS(mul(add(n, num(2)), num(3)), "N * 3 + 6");
  SAYS(sub(add(n, num(7)), n), "7");
}

Test(fold, division_of_sums) {
  const ir_kexpr *i = range("i", 0, 10), *j = range("j", 0, 64), *n = ir_kb_add_size(&b, "N");
  const ir_kexpr *flat = add(mul(i, num(64)), j);
  SAYS(div_(flat, num(64)), "i");
  SAYS(mod(flat, num(64)), "j");
  SAYS(div_(flat, num(640)), "0");
  SAYS(mod(flat, num(640)), "i * 64 + j");
  SAYS(div_(flat, num(32)), "i * 2 + j / 32");
  SAYS(mod(flat, num(32)), "j % 32");
  SAYS(div_(flat, num(128)), "i / 2");
  SAYS(mod(flat, num(128)), "i % 2 * 64 + j");
  SAYS(div_(add(mul(n, num(64)), j), num(64)), "N");
  SAYS(div_(add(mul(n, num(4)), num(9)), num(4)), "N + 2");
  SAYS(mod(add(mul(n, num(4)), num(9)), num(4)), "1");
  SAYS(div_(add(mul(n, num(64)), n), num(64)), "(N * 64 + N) / 64");
  SAYS(div_(div_(n, num(4)), num(8)), "N / 32");
  SAYS(mod(mod(n, num(64)), num(8)), "N % 8");
  SAYS(div_(mod(n, num(64)), num(8)), "N / 8 % 8");
  SAYS(mod(j, num(64)), "j");
}

Test(fold, division_by_sizes) {
  const ir_kexpr *n = ir_kb_add_size(&b, "N"), *h = ir_kb_add_size(&b, "H");
  const ir_kexpr *i = ir_kb_for(&b, IR_KR_SERIAL, "i", num(0), h, 1),
                 *j = ir_kb_for(&b, IR_KR_SERIAL, "j", num(0), n, 1);
  const ir_kexpr *flat = add(mul(i, n), j);
  SAYS(div_(flat, n), "i");
  SAYS(mod(flat, n), "j");
  SAYS(div_(flat, h), "(i * N + j) / H");
  SAYS(ir_kb_min(&b, j, n), "j");
  SAYS(ir_kb_op(&b, IR_K_lt, IR_KT_bool, j, n, NULL), "true");
  SAYS(ir_kb_op(&b, IR_K_ge, IR_KT_bool, j, num(0), NULL), "true");
}

Test(fold, quotient_and_remainder_meet_again) {
  const ir_kexpr *g = ir_kb_set_grid(&b, num(4096), "g");
  const ir_kexpr *row = div_(g, num(64)), *column = mod(g, num(64));
  SAYS(add(mul(row, num(64)), column), "g");
  SAYS(add(column, mul(row, num(64))), "g");
  SAYS(mul(add(mul(row, num(64)), column), num(4)), "g * 4");
  const ir_kexpr *three =
      add(add(mul(div_(g, num(256)), num(256)), mul(mod(div_(g, num(16)), num(16)), num(16))), mod(g, num(16)));
  SAYS(three, "g");
}

Test(fold, memory_may_wrap) {
  const ir_kexpr *x = ir_kb_load(&b, IR_KT_i64, out, num(0)), *byte = ir_kb_load(&b, IR_KT_u8, out, num(0));
  SAYS(div_(mul(x, num(64)), num(64)), "out:i64[0] * 64 / 64");
  SAYS(div_(mul(ir_kb_cast(&b, IR_KT_i64, byte), num(64)), num(64)), "i64(out:u8[0])");
  const ir_kexpr *low = ir_kb_op(&b, IR_K_and, IR_KT_u8, byte, ir_kb_const(&b, IR_KT_u8, 15), NULL);
  SAYS(div_(ir_kb_cast(&b, IR_KT_i64, low), num(16)), "0");
}

Test(fold, selects_casts_and_bits) {
  const ir_kexpr *yes = ir_kb_const(&b, IR_KT_bool, 1), *x = ir_kb_load(&b, IR_KT_f32, out, num(0));
  const ir_kexpr *zero = ir_kb_const(&b, IR_KT_f32, 0);
  SAYS(ir_kb_op(&b, IR_K_select, IR_KT_f32, yes, x, zero), "out:f32[0]");
  SAYS(ir_kb_cast(&b, IR_KT_f32, num(3)), "3.0");
  SAYS(ir_kb_cast(&b, IR_KT_i32, ir_kb_const(&b, IR_KT_f32, -2.75)), "-2:i32");
  SAYS(ir_kb_cast(&b, IR_KT_u8, ir_kb_const(&b, IR_KT_f32, 300)), "255:u8");
  SAYS(ir_kb_cast(&b, IR_KT_f16, zero), "f16(0.0)");
  cr_assert_eq(ir_kb_cast(&b, IR_KT_f32, x), x);
  SAYS(ir_kb_op(&b, IR_K_and, IR_KT_bool, yes, ir_kb_op(&b, IR_K_lt, IR_KT_bool, x, zero, NULL), NULL),
       "out:f32[0] < 0.0");
  // Floats are left alone.
  SAYS(add(x, zero), "out:f32[0] + 0.0");
  SAYS(add(zero, zero), "0.0 + 0.0");
}

Test(fold, equal_expressions_are_one_node) {
  const ir_kexpr *i = range("i", 0, 10), *n = ir_kb_add_size(&b, "N");
  cr_assert_eq(ir_kb_add_size(&b, "N"), n);
  cr_assert_eq(add(mul(i, n), num(5)), add(mul(i, n), num(5)));
  cr_assert_neq(ir_kb_load(&b, IR_KT_f32, out, i), ir_kb_load(&b, IR_KT_f32, out, i));
  cr_assert_eq(ir_kb_read(&b, i->var, NULL, NULL, NULL), i);
  // Constants of different types and signed zeros differ.
  cr_assert_neq(ir_kb_const(&b, IR_KT_f32, 0.0), ir_kb_const(&b, IR_KT_f32, -0.0));
  cr_assert_neq(ir_kb_const(&b, IR_KT_i32, 1), num(1));
}

Test(fold, values_keep_their_interval) {
  const ir_kexpr *i = range("i", 0, 10), *n = ir_kb_add_size(&b, "N");
  const ir_kexpr *v = ir_kb_let(&b, "v", add(i, mul(i, num(3))));
  cr_assert_eq(v->op, IR_K_var);
  SAYS(div_(add(mul(n, num(64)), v), num(64)), "N");
  // A constant, a size or a variable needs no value of its own.
  cr_assert_eq(ir_kb_let(&b, "w", n), n);
  cr_assert_eq(ir_kb_let(&b, "w", i), i);
}

// Folded and unfolded forms agree on numbers, whatever was folded: random index expressions over three ranges.
static const ir_kexpr *random_expr(unsigned *seed, const ir_kexpr **vars, int depth, int64_t *values,
                                   int64_t *out_value) {
  unsigned r = *seed = *seed * 1664525 + 1013904223;
  if (depth == 0 || r >> 28 < 2) {
    if (r >> 26 & 1) {
      int64_t c = (int64_t)(r >> 16 & 63);
      *out_value = c;
      return num(c);
    }
    int v = (int)(r >> 20 & 255) % 3;
    *out_value = values[v];
    return vars[v];
  }
  int64_t x, y;
  const ir_kexpr *a = random_expr(seed, vars, depth - 1, values, &x),
                 *c = random_expr(seed, vars, depth - 1, values, &y);
  switch (r >> 24 & 7) {
    case 0:
    case 1:
      *out_value = x + y;
      return add(a, c);
    case 2:
      *out_value = x - y;
      return sub(a, c);
    case 3:
      *out_value = x * 12;
      return mul(a, num(12));
    case 4:
      *out_value = (x - ((x % 4) + 4) % 4) / 4;
      return div_(a, num(4));
    case 5:
      *out_value = ((x % 12) + 12) % 12;
      return mod(a, num(12));
    case 6:
      *out_value = x < y ? x : y;
      return ir_kb_min(&b, a, c);
    default:
      *out_value = ((x % 48) + 48) % 48 * 4;
      return mul(mod(a, num(48)), num(4));
  }
}

// The value of a folded expression, straight from its nodes.
static int64_t eval(const ir_kexpr *e, const ir_kexpr **vars, const int64_t *values) {
  if (e->op == IR_K_const) return e->i;
  for (int i = 0; i < 3; i++)
    if (e == vars[i]) return values[i];
  int64_t x = eval(e->args[0], vars, values), y = eval(e->args[1], vars, values);
  switch (e->op) {
    case IR_K_add:
      return x + y;
    case IR_K_sub:
      return x - y;
    case IR_K_mul:
      return x * y;
    case IR_K_div:
      return (x - ((x % y) + y) % y) / y;
    case IR_K_mod:
      return ((x % y) + y) % y;
    case IR_K_min:
      return x < y ? x : y;
    default:
      cr_assert_fail("unexpected %s", ir_kop_name(e->op));
      return 0;
  }
}

Test(fold, random_expressions_keep_their_values) {
  const ir_kexpr *vars[3] = {range("i", 0, 12), range("j", 0, 4), range("k", 3, 100)};
  for (unsigned trial = 0; trial < 20000; trial++) {
    unsigned seed = trial * 7919 + 1;
    for (int point = 0; point < 4; point++) {
      unsigned again = seed, where = seed + (unsigned)point * 77777;
      int64_t values[3] = {where % 12, where / 12 % 4, 3 + where / 48 % 97}, expected;
      const ir_kexpr *e = random_expr(&again, vars, 4, values, &expected);
      int64_t got = eval(e, vars, values);
      cr_assert_eq(got, expected, "trial %u: %s is %ld, not %ld", trial, text(e), (long)got, (long)expected);
    }
  }
}

static ir_kernel *small_kernel(const char *name, const char *x_name, int step) {
  ir_kbuilder k;
  ir_kb_init(&k, &arena, name, name);
  const ir_kexpr *n = ir_kb_add_size(&k, "N");
  int x = ir_kb_add_buffer(&k, IR_KB_IN, x_name, ir_kb_mul(&k, n, ir_kb_int(&k, 4)), -1);
  int y = ir_kb_add_buffer(&k, IR_KB_OUT, "y", ir_kb_mul(&k, n, ir_kb_int(&k, 4)), -1);
  const ir_kexpr *i = ir_kb_for(&k, IR_KR_SERIAL, "i", ir_kb_int(&k, 0), n, step);
  ir_kb_comment(&k, "copies %s", x_name);
  ir_kb_store(&k, IR_KT_f32, y, i, ir_kb_load(&k, IR_KT_f32, x, i));
  ir_kb_end(&k);
  return ir_kb_finish(&k);
}

Test(fold, hashes_ignore_names) {
  ir_kernel *a = small_kernel("a", "x", 1), *c = small_kernel("c", "blk.1.x", 1), *d = small_kernel("d", "x", 2);
  cr_assert_eq(ir_kernel_hash(a), ir_kernel_hash(c));
  cr_assert(ir_kernel_equal(a, c));
  cr_assert_neq(ir_kernel_hash(a), ir_kernel_hash(d));
  cr_assert(!ir_kernel_equal(a, d));
}
