// The text form of kernels: a fixed point, and clean refusals with the line.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ir/kernel.h"
#include "kernel_samples.h"

static weir_arena arena;
static void begin(void) { weir_arena_init(&arena); }
static void end(void) { weir_arena_deinit(&arena); }

TestSuite(text, .init = begin, .fini = end);

static ir_kernel *parse(const char *text) {
  ir_kernel *kernel = NULL;
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &kernel);
  cr_assert_null(status, "%s", weir_status_message(status));
  return kernel;
}

static void check_round_trip(const char *text) {
  ir_kernel *kernel = parse(text);
  weir_status status = ir_kernel_verify(kernel);
  cr_assert_null(status, "%s", weir_status_message(status));
  cr_assert_str_eq(ir_kernel_print(&arena, kernel), text);
  cr_assert(ir_kernel_equal(kernel, parse(text)));
}

Test(text, samples_are_fixed_points) {
  check_round_trip(sample_matmul);
  check_round_trip(sample_softmax);
  check_round_trip(sample_q4_1);
  check_round_trip(sample_attention);
  check_round_trip(sample_everything);
}

Test(text, what_is_built_reads_back) {
  ir_kbuilder b;
  ir_kb_init(&b, &arena, "odd name-1", "banner \"q\" \xc3\xa9");
  const ir_kexpr *n = ir_kb_add_size(&b, "T.max");
  int x = ir_kb_add_buffer(&b, IR_KB_IN, "blk.0.x", ir_kb_mul(&b, n, ir_kb_int(&b, 4)), -1);
  int y = ir_kb_add_buffer(&b, IR_KB_OUT, "", ir_kb_mul(&b, n, ir_kb_int(&b, 4)), -1);
  const double data[3] = {0.1, -3, 1e30};
  int c = ir_kb_add_const(&b, "true", IR_KT_f32, 3, data);
  const ir_kexpr *g = ir_kb_set_grid(&b, n, "T.max");
  const ir_kexpr *size;
  const ir_kexpr *i = ir_kb_tiles(&b, "i", g, ir_kb_add(&b, g, ir_kb_int(&b, 9)), (int[]){4, 1}, 2, &size);
  const ir_kexpr *u = ir_kb_for(&b, IR_KR_UNROLL, "i", ir_kb_int(&b, 0), size, 1);
  const ir_kexpr *at = ir_kb_add(&b, i, u);
  const ir_kexpr *v = ir_kb_let(&b, "i", ir_kb_load(&b, IR_KT_f32, x, at));
  ir_kb_if(&b, ir_kb_op(&b, IR_K_lt, IR_KT_bool, at, n, NULL));
  ir_kb_comment(&b, "line\nbreak");
  ir_kb_store(&b, IR_KT_f32, y, at,
              ir_kb_op(&b, IR_K_mul, IR_KT_f32, v, ir_kb_load(&b, IR_KT_f32, c, ir_kb_int(&b, 1)), NULL));
  ir_kb_else(&b);
  ir_kb_store(&b, IR_KT_f32, y, at, ir_kb_const(&b, IR_KT_f32, 0.1));
  ir_kb_end(&b);
  ir_kb_end(&b);
  ir_kb_end(&b);
  ir_kernel *kernel = ir_kb_finish(&b);
  weir_status status = ir_kernel_verify(kernel);
  cr_assert_null(status, "%s", weir_status_message(status));
  const char *text = ir_kernel_print(&arena, kernel);
  cr_assert_str_eq(text,
                   "kernel odd_name_1 \"banner \\\"q\\\" \\xc3\\xa9\"\n"
                   "sizes T.max\n"
                   "in blk.0.x: T.max * 4 @0\n"
                   "out v: T.max * 4 @1\n"
                   "const true_: f32[3] = 0.1, -3.0, 1e+30\n"
                   "grid T.max#1: T.max\n"
                   "{\n"
                   "  tiles i, i_size in T.max#1..T.max#1 + 9 by 4, 1 {\n"
                   "    unroll i#1 in 0..i_size {\n"
                   "      let i#2: f32 = blk.0.x:f32[i + i#1]\n"
                   "      if i + i#1 < T.max {\n"
                   "        // line break\n"
                   "        store v:f32[i + i#1] = i#2 * true_:f32[1]\n"
                   "      } else {\n"
                   "        store v:f32[i + i#1] = 0.1\n"
                   "      }\n"
                   "    }\n"
                   "  }\n"
                   "}\n");
  ir_kernel *again = parse(text);
  cr_assert_str_eq(ir_kernel_print(&arena, again), text);
  cr_assert_eq(ir_kernel_hash(again), ir_kernel_hash(kernel));
}

static void refuses(const char *text, const char *message) {
  ir_kernel *kernel = NULL;
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &kernel);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "%s", text);
  cr_assert_str_eq(weir_status_message(status), message);
  weir_status_release(status);
}

// A kernel of this body, which begins on line 4.
static void refuses_body(const char *body, const char *message) {
  refuses(weir_arena_printf(&arena, "kernel k \"\"\nin x: 64 @0\ngrid g: 1\n%s", body), message);
}

Test(text, refusals_name_the_line) {
  refuses("", "line 1: expected 'kernel'");
  refuses("kernel", "line 1: expected a name");
  refuses("kernel k \"abc", "line 1: expected '\"'");
  refuses("kernel k \"\\x00\"", "line 1: bad escape");
  refuses("kernel k \"\"\nsizes a, a\n", "line 2: 'a' is in use already");
  refuses("kernel k \"\"\nin x: 4 @99\n", "line 2: 99 is out of range");
  refuses("kernel k \"\"\nconst c: i8[2] = 1, 200\n", "line 2: element 1 is no i8");
  refuses("kernel k \"\"\nconst c: i8[2000000000] = 1\n", "line 2: 2000000000 is out of range");
  refuses_body("{\n  nonsense\n}\n", "line 5: expected a statement");
  refuses_body("{\n  let a: f32 = b\n}\n", "line 5: unknown name 'b'");
  refuses_body("{\n  let a: f32 = 1\n}\n", "line 5: the value is i64");
  refuses_body("{\n  let a: f32 = x\n}\n", "line 5: 'x' is a buffer");
  refuses_body("{\n  let a: f99 = 1\n}\n", "line 5: unknown element type 'f99'");
  refuses_body("{\n  let a: f32 = foo(1.0)\n}\n", "line 5: unknown operation 'foo'");
  refuses_body("{\n  let a: f32 = fma(1.0)\n}\n", "line 5: fma has 3 operands");
  refuses_body("{\n  let a: f32 = fma(1.0, 1.0, 1.0, 1.0)\n}\n", "line 5: too many operands");
  refuses_body("{\n  let a: i8 = 300:i8\n}\n", "line 5: 300 is out of range");
  refuses_body("{\n  let a: i64 = 99999999999999999999\n}\n", "line 5: 99999999999999999999 is out of range");
  refuses_body("{\n  set g = 1\n}\n", "line 5: no register 'g'");
  refuses_body("{\n  store nowhere:f32[0] = 1.0\n}\n", "line 5: no buffer 'nowhere'");
  refuses_body("{\n  for i in 0..4 {\n", "line 6: expected a statement");
  refuses_body("{\n}\nmore", "line 6: expected the end of the text");
  refuses_body("{\n  for g in 0..4 {\n  }\n}\n", "line 5: 'g' is in use already");
  refuses_body("{\n  tiles i, n in 0..4 by 1, 2, 3, 4, 5, 6, 7 {\n  }\n}\n", "line 5: too many tiles");
}

Test(text, nesting_is_bounded) {
  size_t count = 100000;
  char *deep = weir_arena_alloc(&arena, count + 100);
  memcpy(deep, "{ let a: i64 = ", 15);
  memset(deep + 15, '(', count);
  refuses_body(deep, "line 4: the expression is nested too deeply");
  for (size_t i = 0; i < count; i += 2) memcpy(deep + 15 + i, "1+", 2);
  refuses_body(deep, "line 4: the expression is nested too deeply");
  char *lists = weir_arena_alloc(&arena, 20 * 100 + 10);
  strcpy(lists, "{");
  for (int i = 0; i < 100; i++) strcat(lists, "if true {");
  refuses_body(lists, "line 4: statements are nested too deeply");
}

Test(text, every_prefix_is_refused_cleanly) {
  const char *samples[] = {sample_matmul, sample_softmax, sample_attention, sample_everything};
  for (size_t s = 0; s < 4; s++) {
    for (size_t length = 0; length + 2 < strlen(samples[s]); length++) {
      ir_kernel *kernel = NULL;
      weir_status status = ir_kernel_parse(&arena, samples[s], length, &kernel);
      cr_assert_not_null(status, "prefix of %zu bytes", length);
      weir_status_release(status);
    }
  }
}

Test(text, the_page_shows_kernels) {
  FILE *file = fopen(WEIR_SOURCE_DIR "/docs/kernel-ir.md", "rb");
  cr_assert_not_null(file);
  static char page[1 << 16];
  page[fread(page, 1, sizeof page - 1, file)] = 0;
  fclose(file);
  int count = 0;
  for (char *at = page; (at = strstr(at, "```kernel\n")); count++) {
    at += strlen("```kernel\n");
    char *stop = strstr(at, "```");
    check_round_trip(weir_arena_strndup(&arena, at, (size_t)(stop - at)));
    at = stop + 3;
  }
  cr_assert_eq(count, 3);
}
