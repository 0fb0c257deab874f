// Programs: size expressions, the text form, what is refused.
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "program_sample.h"
#include "runtime/base/program.h"

static weir_arena arena;
static void begin(void) { weir_arena_init(&arena); }
static void end(void) { weir_arena_deinit(&arena); }

TestSuite(program, .init = begin, .fini = end);

static rt_program *parse(const char *text) {
  rt_program *program = NULL;
  weir_status status = rt_program_parse(&arena, text, strlen(text), &program);
  cr_assert_null(status, "%s", weir_status_message(status));
  return program;
}

Test(program, text_is_a_fixed_point) {
  rt_program *p = parse(program_sample);
  cr_assert_str_eq(rt_program_print(&arena, p), program_sample);
  cr_assert_str_eq(p->name, "lm \"step\" \\ \xc3\xa9");
  cr_assert(p->step && p->symbol_count == 3 && p->launch_count == 4 && p->loop_count == 2);
  cr_assert(p->symbols[0].size == 1 && p->symbols[0].size_max == 2 && p->symbols[0].size_all_max == 3);
  cr_assert(p->inputs[1].rank == 0 && p->inputs[1].lo > p->inputs[1].hi);
  cr_assert_eq(p->states[1].initial, -0.5);
  cr_assert(p->launches[3].sync && p->launches[3].args[2].kind == RT_ARG_STARTS);
  cr_assert_eq(p->launches[3].guard_lo, -5);
  cr_assert(p->loops[0].first == 1 && p->loops[0].last == 2 && p->loops[0].flags == 1);
  cr_assert(p->loops[1].first == 1 && p->loops[1].last == 1 && p->loops[1].flags == -1);
}

static rt_expr num(int64_t v) { return rt_expr_const(&arena, v); }
static rt_expr var(int v) { return rt_expr_var(&arena, v); }
static rt_expr bin(rt_size_code code, rt_expr a, rt_expr b) { return rt_expr_binary(&arena, code, a, b); }

static int64_t value(rt_expr e, int64_t x, int64_t y) {
  const int64_t sizes[] = {x, y};
  int64_t out = 0;
  cr_assert(rt_expr_eval(e, sizes, &out));
  return out;
}

Test(program, expressions_evaluate) {
  cr_assert_eq(value(bin(RT_SIZE_ADD, bin(RT_SIZE_MUL, num(4), var(0)), var(1)), 10, 3), 43);
  cr_assert_eq(value(bin(RT_SIZE_DIV, var(0), var(1)), -7, 2), -4);
  cr_assert_eq(value(bin(RT_SIZE_MOD, var(0), var(1)), -7, 2), 1);
  cr_assert_eq(value(bin(RT_SIZE_MOD, var(0), var(1)), 7, -2), -1);
  cr_assert_eq(value(bin(RT_SIZE_MIN, var(0), var(1)), 7, 2), 2);
  cr_assert_eq(value(bin(RT_SIZE_MAX, var(0), bin(RT_SIZE_SUB, var(1), num(9))), 7, 20), 11);
}

Test(program, expressions_fold) {
  cr_assert_eq(bin(RT_SIZE_MUL, num(4), num(5)).op_count, 1);
  cr_assert_eq(bin(RT_SIZE_ADD, var(0), num(0)).op_count, 1);
  cr_assert_eq(bin(RT_SIZE_ADD, num(0), var(0)).op_count, 1);
  cr_assert_eq(bin(RT_SIZE_MUL, num(1), var(0)).op_count, 1);
  cr_assert_eq(bin(RT_SIZE_DIV, var(0), num(1)).op_count, 1);
  cr_assert_eq(bin(RT_SIZE_SUB, num(0), var(0)).op_count, 3);
  // What fails stays to fail.
  cr_assert_eq(bin(RT_SIZE_DIV, num(1), num(0)).op_count, 3);
  cr_assert_eq(bin(RT_SIZE_MUL, num(INT64_MAX), num(2)).op_count, 3);
}

Test(program, evaluation_is_checked) {
  const int64_t sizes[] = {INT64_MAX, INT64_MIN, 0, -1};
  int64_t out = 5;
  cr_assert(!rt_expr_eval(bin(RT_SIZE_ADD, var(0), num(1)), sizes, &out));
  cr_assert(!rt_expr_eval(bin(RT_SIZE_SUB, var(1), num(1)), sizes, &out));
  cr_assert(!rt_expr_eval(bin(RT_SIZE_MUL, var(0), num(2)), sizes, &out));
  cr_assert(!rt_expr_eval(bin(RT_SIZE_DIV, var(0), var(2)), sizes, &out));
  cr_assert(!rt_expr_eval(bin(RT_SIZE_MOD, var(0), var(2)), sizes, &out));
  cr_assert(!rt_expr_eval(bin(RT_SIZE_DIV, var(1), var(3)), sizes, &out));
  cr_assert(!rt_expr_eval((rt_expr){0, NULL}, sizes, &out));
  const rt_size_op lone[] = {{RT_SIZE_ADD, 0}};
  cr_assert(!rt_expr_eval((rt_expr){1, lone}, sizes, &out));
  cr_assert_eq(out, 5);
}

Test(program, dtypes) {
  cr_assert_str_eq(rt_dtype_name(RT_DTYPE_bf16), "bf16");
  cr_assert_eq(rt_dtype_bytes(RT_DTYPE_f8e4m3), 1);
  cr_assert_eq(rt_dtype_bytes(RT_DTYPE_i64), 8);
}

// The sample with the first |from| made |to|.
static void refuses(const char *from, const char *to, const char *message) {
  const char *at = strstr(program_sample, from);
  cr_assert_not_null(at, "%s", from);
  char *text = weir_arena_printf(&arena, "%.*s%s%s", (int)(at - program_sample), program_sample, to, at + strlen(from));
  rt_program *program = NULL;
  weir_status status = rt_program_parse(&arena, text, strlen(text), &program);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "%s", text);
  cr_assert(strstr(weir_status_message(status), message), "got: %s", weir_status_message(status));
  weir_status_release(status);
}

Test(program, refusals) {
  refuses("program", "progra", "line 1: expected 'program'");
  refuses("\\\\", "\\z", "line 1: a malformed string");
  refuses("\\xc3", "\\x00", "line 1: a malformed string");
  refuses("sizes R, T,", "sizes T,", "line 7: no size 'R'");
  refuses("sizes R,", "sizes R, R,", "size 'R' twice");
  refuses(", i, j\nsymbol", ", i, j, odd\nsymbol", "size odd belongs to no symbol, volume or loop");
  refuses("T.all.max, B", "B", "no size 'T.all.max'");
  refuses("seq 1..8192", "seq 9000..8192", "symbol T: bounds 9000..8192");
  refuses("by 2", "by 0", "line 3: 0 is out of range");
  refuses("plain 1", "sometimes 1", "line 5: expected 'plain'");
  refuses("i32[T]", "i31[T]", "line 6: no element type 'i31'");
  refuses("i32[T]", "i32[T.max]", "line 6: no symbol 'T.max'");
  refuses("ragged T", "ragged n", "cannot be packed by n");
  refuses("384 rows T", "384 rows n", "rows of no seq");
  refuses("panel 16", "panel 8", "line 9: 8 is out of range");
  refuses("bytes 384", "bytes 383", "rows of parts of elements");
  refuses("bytes 384", "bytes -1", "line 9: -1 is out of range");
  refuses("weight 1", "weight 2", "line 12: expected entry 1");
  refuses("blk.0.attn_q", "token_embd", "weight 'token_embd' twice");
  refuses("at 0", "at 7", "offset 7 is no multiple of 64");
  refuses("args 2 dims 1", "args 99 dims 1", "line 15: 99 is out of range");
  refuses("launch 0", "launch 9", "no kernel 9");
  refuses("in0, b0", "in0", "1 arguments, kernel 0 takes 2");
  refuses("in0, b0", "in0, b7", "argument 1 names entry 7 of 2");
  refuses("in0, b0", "in0, starts(n)", "n has no rows");
  refuses("in0, b0", "in0, x0", "no argument 'x0'");
  refuses("dims T cost", "dims T, T cost", "2 dims, kernel 0 takes 1");
  refuses("(T + 3)/4", "(T + 3/4", "line 17: expected ')'");
  refuses("cost 100*T", "cost 100*Z", "no size 'Z'");
  refuses("cost 100*T, 200", "cost 100*T", "expected ','");
  refuses("loop i trips", "loop n trips", "size n is taken");
  refuses("loop i trips", "loop k trips", "no size 'k'");
  refuses("while b1", "while in0", "flags are a buffer");
  refuses("while b1", "while b9", "no buffer 9");
  refuses("trips i\n", "trips i\nend\n", "an empty loop");
  refuses("sync when i in 1..9\nend\n", "\n", "a loop has no end");
  refuses("1..9\nend\n", "1..9\nend\nend\n", "there is no loop to end");
  refuses("arena", "arenas", "expected 'arena'");
  refuses("64*R)\n", "64*R)\n\n", "text behind the program");
  refuses("64*R)\n", "64*R)", "expected the end of the line");
}

Test(program, nested_loops_count_apart) {
  static const char text[] =
      "program \"p\"\nsizes R, i\nkernel 0 \"k\" args 0 dims 0\nloop i trips 2\nloop i trips 3\nlaunch 0 grid "
      "1\nend\nend\n"
      "arena 0\n";
  rt_program *program;
  weir_status status = rt_program_parse(&arena, text, sizeof text - 1, &program);
  cr_assert(strstr(weir_status_message(status), "counts in the size of the loop around it"));
  weir_status_release(status);
}

Test(program, nesting_and_length_are_bounded) {
  char *deep = weir_arena_alloc(&arena, 200001), *chain = weir_arena_alloc(&arena, 200001);
  memset(deep, '(', 200000);
  for (int i = 0; i < 200000; i += 2) memcpy(chain + i, "1+", 2);
  refuses("4*576*T + max", deep, "nested too deeply");
  refuses("4*576*T + max", weir_arena_printf(&arena, "%s max", chain), "malformed arena extent");
  // Operators to the right hold one value each.
  char *right = weir_arena_alloc(&arena, 1000);
  for (int i = 0; i < 70; i++) strcat(right, "1-(");
  refuses("4*576*T + max", right, "nested too deeply");
}

Test(program, every_prefix_is_refused) {
  for (size_t length = 0; length + 1 < sizeof program_sample; length++) {
    rt_program *program = NULL;
    weir_status status = rt_program_parse(&arena, program_sample, length, &program);
    cr_assert_not_null(status, "prefix of %zu bytes", length);
    weir_status_release(status);
  }
}

Test(program, the_page_shows_a_program) {
  FILE *file = fopen(WEIR_SOURCE_DIR "/docs/program.md", "rb");
  cr_assert_not_null(file);
  static char page[1 << 16];
  page[fread(page, 1, sizeof page - 1, file)] = 0;
  fclose(file);
  char *at = strstr(page, "```program\n") + strlen("```program\n");
  const char *text = weir_arena_strndup(&arena, at, (size_t)(strstr(at, "```") - at));
  cr_assert_str_eq(rt_program_print(&arena, parse(text)), text);
}
