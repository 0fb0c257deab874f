// What the verifier of kernels refuses, and that its message shows where.
#include <criterion/criterion.h>
#include <string.h>

#include "ir/kernel.h"

static weir_arena arena;
static void begin(void) { weir_arena_init(&arena); }
static void end(void) { weir_arena_deinit(&arena); }

TestSuite(verify, .init = begin, .fini = end);

static ir_kernel *parse(const char *text) {
  ir_kernel *kernel = NULL;
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &kernel);
  cr_assert_null(status, "%s", weir_status_message(status));
  return kernel;
}

// A kernel with this body.
static ir_kernel *with_body(const char *body) {
  return parse(weir_arena_printf(&arena,
                                 "kernel k \"\"\nsizes N\nin x: 64 @0\nout y: 64 @1\ntable_in t @2\nlocal s: 64\n"
                                 "const c: i8[2] = 1, 2\ngrid g: N\n{\n%s}\n",
                                 body));
}

static void refused(const ir_kernel *kernel, const char *complaint) {
  weir_status status = ir_kernel_verify(kernel);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA);
  const char *message = weir_status_message(status), *line = strchr(message, '\n');
  cr_assert(line && strlen(complaint) + 10 == (size_t)(line - message) &&
                !strncmp(message + 10, complaint, strlen(complaint)),
            "got %s", message);
  cr_assert(strstr(message, weir_arena_printf(&arena, "^ %s\n", complaint)), "got %s", message);
  weir_status_release(status);
}

static void refuses(const char *body, const char *complaint) { refused(with_body(body), complaint); }

static void accepts(const char *body) {
  weir_status status = ir_kernel_verify(with_body(body));
  cr_assert_null(status, "%s", weir_status_message(status));
}

Test(verify, matdot) {
#define MATDOT(how, to, of) "matdot " how " " to "[0, 16] = " of ":u32[0, 1], x:u32[0, 16, 16] rows "
  accepts("  " MATDOT("add", "y:f32", "c") "g panels 1 words 1 step 16\n");
  accepts("  if matrix_unit() {\n    " MATDOT("set", "s:i32", "x") "1 panels 2 words g step 8\n  }\n");
  refuses("  " MATDOT("set", "y:f16", "x") "1 panels 1 words 1 step 16\n", "a matdot of f16");
  refuses("  " MATDOT("set", "x:f32", "c") "1 panels 1 words 1 step 16\n", "'x' is read only");
  refuses("  " MATDOT("set", "y:f32", "y") "1 panels 1 words 1 step 16\n", "'y' is a factor and the result");
  refuses("  " MATDOT("set", "y:f32", "t") "1 panels 1 words 1 step 16\n", "'t' is a table of requests");
  refuses("  " MATDOT("set", "y:f32", "x") "1.0 panels 1 words 1 step 16\n",
          "a place, a stride or an extent is f32, not i64");
  refuses("  lanes l in 0..16 {\n    " MATDOT("set", "y:f32", "x") "1 panels 1 words 1 step 16\n  }\n",
          "a matdot inside a lanes range");
  refuses("  " MATDOT("set", "y:f32", "x") "1 panels 1 words 1 step 16\n  " MATDOT("set", "y:f32",
                                                                                   "x") "1 panels 1 words 1 step 8\n",
          "a kernel's matdots have one type and one step");
}

Test(verify, types) {
  refuses("  let a: f32 = x:f32[0] + 1\n", "operands of add are f32 and i64");
  refuses("  let a: f32 = f32(x:f16[0] + x:f16[1])\n", "add of f16: cast to f32 first");
  refuses("  let a: f16 = x:f16[0]\n", "a value of type f16: cast to f32 first");
  refuses("  let a: bool = true + false\n", "add of bool");
  refuses("  let a: f32 = not(x:f32[0])\n", "not of f32");
  refuses("  let a: f32 = x:f32[0] << x:f32[0]\n", "shl of f32");
  refuses("  let a: i64 = sqrt(g)\n", "sqrt of i64");
  refuses("  let a: i64 = fma(g, g, g)\n", "fma of i64");
  refuses("  let a: f32 = select(g, 1.0, 2.0)\n", "the condition of select is i64");
  refuses("  let a: i64 = select(true, g, 2.0)\n", "operands of select are i64 and f32");
  refuses("  let a: i32 = bitcast:i32(g)\n", "bitcast of i64 to i32");
  refuses("  let a: i32 = dot4(1:i32, 2:i32, 3:i32)\n", "operand 0 of dot4 is i32, not u32");
  refuses("  let a: i32 = dot4_7(1:u32, 2:i32, 3.0)\n", "operand 2 of dot4_7 is f32, not i32");
  refuses("  let a: f32 = dot2(1:u32, 2:i32, 3.0)\n", "operand 1 of dot2 is i32, not u32");
  refuses("  let a: bool = matrix_unit() + false\n", "add of bool");
  refuses("  let a: u32 = pack2(1.0, 2:u32)\n", "operand 1 of pack2 is u32, not f32");
  refuses("  let a: f32 = x:f32[x:i32[0]]\n", "the index is i32, not i64");
  refuses("  store y:f32[0] = g\n", "the value is i64, not f32");
  refuses("  if g {\n  }\n", "the value is i64, not bool");
  refuses("  for i in 0..1.0 {\n  }\n", "the upper bound is f32, not i64");
  refuses("  reg a: f16 = f16(1.0)\n", "a register of type f16");
  refuses("  reg a: f32 = 1\n", "the value is i64, not f32");
  refuses("  let a: f32 = f32(1.5:f16)\n", "a literal of type f16");
}

Test(verify, buffers) {
  refuses("  store x:f32[0] = 1.0\n", "'x' is read only");
  refuses("  store c:i8[0] = 1:i8\n", "'c' is read only");
  refuses("  store t:f32[0; 0] = 1.0\n", "'t' is read only");
  refuses("  let a: f32 = t:f32[0]\n", "'t' is a table of requests");
  refuses("  let a: f32 = x:f32[0; 1]\n", "'x' is no table of requests");
  refused(parse("kernel k \"\"\nlocal s: 0\ngrid: 1\n{\n}\n"),
          "local and literal data are constants, of 67108864 bytes together at most");
  refused(parse("kernel k \"\"\nsizes N\nlocal s: N\ngrid: 1\n{\n}\n"),
          "local and literal data are constants, of 67108864 bytes together at most");
  refused(parse("kernel k \"\"\nin x: 4 @0\nin y: x:i64[0] @1\ngrid: 1\n{\n}\n"), "only sizes may stand here");
  refused(parse("kernel k \"\"\nin x: 4 @0\ngrid: x:i64[0]\n{\n}\n"), "only sizes may stand here");
}

Test(verify, ranges) {
  refuses("  tiles i, n in 0..N by 4, 4, 1 {\n  }\n", "tiles do not descend");
  refuses("  tiles i, n in 0..N by 4, 2 {\n  }\n", "the last tile is not 1");
  refuses("  unroll i in 0..N {\n  }\n", "bounds of unroll are not constant after tiling");
  refuses("  unroll i in 0..5000 {\n  }\n", "unroll of more than 4096");
  refuses("  lanes i in 0..16 step 2 {\n  }\n", "step 2");
  accepts(
      "  tiles i, n in 0..N by 4, 1 {\n    unroll u in 0..n {\n      unroll v in u..n * 2 {\n      }\n    }\n  }\n");
}

Test(verify, registers) {
  refuses("  reg a: f32[4] = 0.0\n  for i in 0..4 {\n    set a[i] = 1.0\n  }\n",
          "an index of 'a' is not constant after unrolling");
  refuses("  reg a: f32[4] = 0.0\n  set a[4] = 1.0\n", "index 0 of 'a' is outside");
  refuses("  reg a: f32[4] = 0.0\n  set a = 1.0\n", "'a' has 1 indices, not 0");
  refuses("  reg a: f32[64, 64, 2] = 0.0\n", "'a' has too many elements");
  accepts("  reg a: f32[4] = 0.0\n  unroll i in 0..4 {\n    set a[i] = a[3 - i]\n  }\n");
}

Test(verify, lanes) {
  refuses("  reg a: f32 lanes = 0.0\n  set a = 1.0\n",
          "'a' has one value per lane and is used outside of a lanes range of extent 16");
  refuses("  reg a: f32 lanes = 0.0\n  lanes i in 0..N {\n    set a = 1.0\n  }\n",
          "'a' has one value per lane and is used outside of a lanes range of extent 16");
  refuses("  reg a: f32 = 0.0\n  lanes i in 0..16 {\n    set a = 1.0\n  }\n",
          "'a' has one value and is set inside a lanes range");
  refuses("  reg a: f32 lanes = 0.0\n  lanes i in 0..16 {\n    reduce add a = 1.0\n  }\n",
          "'a' has one value per lane and cannot be reduced into");
  refuses("  lanes i in 0..16 {\n    reg a: f32 = 0.0\n    reduce add a = 1.0\n  }\n",
          "'a' does not stand just outside of the innermost lanes range");
  refuses("  reg a: f32 = 0.0\n  lanes i in 0..16 {\n    reduce add a = 1.0\n    let b: f32 = a\n  }\n",
          "'a' is read inside the range that reduces into it");
  refuses("  reg a: f32 = 0.0\n  lanes i in 0..16 {\n    reduce add a = 1.0\n    reduce mul a = 1.0\n  }\n",
          "'a' is reduced by two operations in one range");
  refuses("  reg a: bool = false\n  lanes i in 0..16 {\n    reduce max a = true\n  }\n", "a reduction of bool");
  accepts(
      "  reg a: f32 lanes = 0.0\n  lanes i in g..g + 16 {\n    for k in 0..N {\n      set a = a + 1.0\n    }\n  }\n");
  accepts("  lanes i in 0..N {\n    reg a: f32 = 0.0\n    for k in 0..4 {\n      set a = a + 1.0\n    }\n  }\n");
  accepts("  reg a: f32 = 0.0\n  for i in 0..N {\n    reduce add a = 1.0\n  }\n");
}

Test(verify, scopes_of_built_kernels) {
  ir_kbuilder b;
  ir_kb_init(&b, &arena, "k", "");
  const ir_kexpr *i = ir_kb_for(&b, IR_KR_SERIAL, "i", ir_kb_int(&b, 0), ir_kb_int(&b, 4), 1);
  ir_kb_end(&b);
  ir_kb_let(&b, "late", ir_kb_add(&b, i, ir_kb_int(&b, 1)));
  refused(ir_kb_finish(&b), "'i' is not declared here");

  ir_kb_init(&b, &arena, "k", "");
  ir_kvar *reg = ir_kb_reg(&b, "r", IR_KT_f32, false, 0, NULL, ir_kb_const(&b, IR_KT_f32, 0));
  ir_kb_store(&b, IR_KT_f32, 3, ir_kb_int(&b, 0), ir_kb_read(&b, reg, NULL, NULL, NULL));
  refused(ir_kb_finish(&b), "no buffer 3");
}

Test(verify, the_message_points_at_the_line) {
  weir_status status = ir_kernel_verify(with_body("  for i in 0..N {\n    store x:f32[i] = 1.0\n  }\n"));
  cr_assert_str_eq(weir_status_message(status),
                   "kernel k: 'x' is read only\nkernel k \"\"\nsizes N\nin x: 64 @0\nout y: 64 @1\ntable_in t @2\n"
                   "local s: 64\nconst c: i8[2] = 1, 2\ngrid g: N\n{\n  for i in 0..N {\n    store x:f32[i] = 1.0\n"
                   "    ^ 'x' is read only\n  }\n}\n");
  weir_status_release(status);
}

Test(verify, arrive) {
  refuses("  reg r: i64 = 0\n  arrive r = y:i32[0] of 1\n", "'y' does not count arrivals");
  refuses("  reg r: f32 = 0.0\n  arrive r = y:i32[0] of 1\n", "arrive sets a register of i64");
  refuses("  reg r: i64 = 0\n  lanes l in 0..16 {\n    arrive r = y:i32[0] of 1\n  }\n",
          "arrive stands outside of lanes ranges");
}
