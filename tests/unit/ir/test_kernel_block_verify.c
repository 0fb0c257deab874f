// What the verifier refuses of block kernels.
#include <criterion/criterion.h>
#include <string.h>

#include "ir/kernel_block.h"

static weir_arena arena;
static void begin(void) { weir_arena_init(&arena); }
static void end(void) { weir_arena_deinit(&arena); }

TestSuite(block_verify, .init = begin, .fini = end);

static ir_kernel *parse(const char *text) {
  ir_kernel *kernel = NULL;
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &kernel);
  cr_assert_null(status, "%s", weir_status_message(status));
  return kernel;
}

static void refused(const ir_kernel *kernel, const char *complaint) {
  weir_status status = ir_kernel_verify(kernel);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "accepted, not: %s", complaint);
  cr_assert(strstr(weir_status_message(status), weir_arena_printf(&arena, "^ %s\n", complaint)), "got %s",
            weir_status_message(status));
  weir_status_release(status);
}

static ir_kernel *with_head(const char *head, const char *body) {
  return parse(weir_arena_printf(&arena,
                                 "kernel k \"\"\nsizes N\nin x: 4096 @0\nout y: 4096 @1\ntable_in table @2\n"
                                 "inout z: 4096 @3\nshared s: 16384\nmbarrier b: 2\n"
                                 "map m: x:f32 dims 32, 32 box 32, 8 swizzle 128\n"
                                 "map o: z:f32 dims 32, 32 box 32, 8 swizzle 128\n"
                                 "grid g: N\n%s\n{\n  reg f: f32[4, 32] = 0.0\n  reg u: u32[8] = 0:u32\n"
                                 "  reg q: i32[4] = 0:i32\n%s\n}\n",
                                 head, body));
}

static void refuses(const char *body, const char *complaint) { refused(with_head("threads t: 128", body), complaint); }

static void accepts(const char *body) {
  weir_status status = ir_kernel_verify(with_head("threads t: 128", body));
  cr_assert_null(status, "%s", weir_status_message(status));
}

Test(block_verify, the_head) {
  refused(with_head("threads t: 48", ""), "48 threads: a multiple of 32 up to 1024");
  refused(with_head("threads t: 1024 resident 3", ""), "3 blocks resident");
  refused(with_head("threads t: 128\ncluster 3", ""), "a cluster of 3 blocks: 2, 4 or 8");
  refused(with_head("", ""), "shared memory outside of a block kernel");
  refused(parse("kernel k \"\"\nshared s: 240000\ngrid: 1\nthreads t: 32\n{\n}\n"), "240000 bytes of shared memory");
  refused(parse("kernel k \"\"\nsizes N\nshared s: N\ngrid: 1\nthreads t: 32\n{\n}\n"),
          "local and literal data are constants, of 67108864 bytes together at most");
  refused(parse("kernel k \"\"\nlocal s: 64\ngrid: 1\nthreads t: 32\n{\n}\n"), "local memory in a block kernel");
#define MAP(rest) "kernel k \"\"\nsizes N\nin x: 64 @0\nshared s: 64\nmap m: " rest "\ngrid: 1\nthreads t: 32\n{\n}\n"
  refused(parse(MAP("s:f32 dims 4 box 4")), "a map of no plain argument");
  refused(parse(MAP("x:f32 dims 4 box 3")), "rows of 12 bytes");
  refused(parse(MAP("x:f32 dims 4 box 16 swizzle 128")), "rows of 64 bytes");
  refused(parse(MAP("x:f32 dims 4 box 4 swizzle 16")), "a swizzle of 16");
  refused(parse(MAP("x:f32 dims 4.0 box 4")), "a dim is f32, not i64");
  refused(parse(MAP("x:f32 dims 4, 4 strides x:i64[0] box 4, 4")), "only sizes may stand here");
}

Test(block_verify, what_belongs_to_item_kernels) {
  refuses("lanes i in 0..16 {\n}", "a lanes range in a block kernel");
  refuses("reg r: f32 lanes = 0.0", "'r' has one value per lane in a block kernel");
  refuses("reduce add f[0, 0] = 1.0", "a reduce in a block kernel");
  refuses("let a: bool = matrix_unit()", "matrix_unit in a block kernel");
  refuses("matdot set z:f32[0, 16] = x:u32[0, 1], x:u32[0, 16, 16] rows 1 panels 1 words 1 step 1",
          "a matdot in a block kernel");
#define ITEM(body) "kernel k \"\"\nin x: 64 @0\nout y: 64 @1\ngrid: 1\n{\n" body "\n}\n"
  refused(parse(ITEM("barrier")), "a block operation outside of a block kernel");
  refused(parse(ITEM("let a: f32 = shuffle_xor(1.0, 1)")), "shuffle_xor outside of a block kernel");
  refused(parse(ITEM("let a: f32 = exp2(1.0)")), "exp2 outside of a block kernel");
}

Test(block_verify, expressions) {
  refuses("let a: i64 = shuffle_xor(t, 1)", "shuffle_xor of i64");
  refuses("let a: f32 = shuffle_xor(f[0, 0], t)", "the distance of shuffle_xor is no constant from 1 to 31");
  refuses("let a: f32 = shuffle_down(f[0, 0], 32)", "the distance of shuffle_down is no constant from 1 to 31");
  refuses("let a: f32 = shuffle(f[0, 0], 1:i32)", "the thread of shuffle is no i64");
  refuses("let a: f32 = any(f[0, 0])", "any of f32");
  refuses("let a: u32 = fma2(u[0], u[1], q[0])", "operand 2 of fma2 is i32, not u32");
  refuses("let a: u32 = pack2_f16(u[0], u[1])", "operand 0 of pack2_f16 is u32, not f32");
  refuses("let a: f64 = exp2(1.0:f64)", "operand 0 of exp2 is f64, not f32");
  refuses("let a: i64 = b:i64[0]", "'b' holds mbarriers");
}

Test(block_verify, copies) {
  refuses("async s:f32[0] = x:f32[0] bytes 12", "an async copy of 12 bytes");
  refuses("async y:f32[0] = x:f32[0] bytes 4", "'y' is not in shared memory");
  refuses("async s:f32[0] = s:f32[0] bytes 4", "'s' is not in global memory");
  refuses("async s:f32[0] = x:u32[0] bytes 4", "the types do not fit");
  refuses("async s:f32[0] = x:f32[0] bytes 4 when 1", "the value is i64, not bool");
  refuses("async s:f32[t * 4 + 2] = x:f32[0] bytes 16", "'s' is accessed at a place that is no multiple of 16 bytes");
  accepts("async s:f32[t * 4] = table:f32[g; t * N] bytes 16");
  refuses("async s:f32[t * 4] = table:f32[t] bytes 16", "'table' is a table of requests");
  refuses("read f[0, 0] x 3 = x:f32[0]", "12 bytes at once");
  refuses("read f[0, 0] x 8 = x:f32[0]", "32 bytes at once");
  refuses("read u[0] x 4 = x:f32[0]", "'u' is u32, not f32");
  refuses("read f[0, 30] x 4 = x:f32[0]", "4 registers of 'f' from here on are outside");
  refuses("read f[0, 0] x 4 = x:f32[t * 2 + 1]", "'x' is accessed at a place that is no multiple of 16 bytes");
  refuses("write x:f32[0] = f[0, 0] x 4", "'x' is read only");
  refuses("for i in 0..4 {\n    read u[i] x 1 = x:u32[0]\n  }", "an index of 'u' is not constant after unrolling");
  accepts("read f[3, 28] x 4 = table:f32[0; t * 4]\n  write s:bf16[t * 8] = f[0, 0] x 8");
}

Test(block_verify, matrices) {
  refuses("ldmatrix u[0] x 3 = s:u16[0]", "3 matrices");
  refuses("ldmatrix u[6] x 4 = s:u16[0]", "4 registers of 'u' from here on are outside");
  refuses("ldmatrix f[0, 0] x 4 = s:u16[0]", "'f' is f32, not u32");
  refuses("ldmatrix u[0] x 4 = x:u16[0]", "'x' is not in shared memory");
  refuses("ldmatrix u[0] x 4 = s:u16[t * 8 + 4]", "'s' is accessed at a place that is no multiple of 16 bytes");
  refuses("mma bf16 q[0], u[0], u[4]", "'q' is i32, not f32");
  refuses("mma s8 f[0, 0], u[0], u[4]", "'f' is f32, not i32");
  refuses("mma tf32 f[0, 0], u[0], u[7]", "2 registers of 'u' from here on are outside");
  refuses("mma tf32 f[0, 30], u[0], u[0]", "4 registers of 'f' from here on are outside");
}

Test(block_verify, atomics) {
  refuses("atomic add z:f32[0] = 1.0", "an atomic operation on f32");
  refuses("atomic add x:i32[0] = 1:i32", "'x' is read only");
  refuses("atomic add z:i32[0] = 1:u32", "the value is u32, not i32");
  refuses("if t < 3 {\n    let old: u32 = atomic_add(z:u32[0], 1:u32)\n  }\n  let old: u32 = atomic_add(z:u32[0], 1.0)",
          "the value is f32, not u32");
}

Test(block_verify, divergence) {
  refuses("if t < 64 {\n    barrier\n  }", "a barrier that thread 0 reaches and thread 64 does not");
  refuses("if t < 64 {\n  } else {\n    barrier\n  }", "a barrier that thread 0 does not reach and thread 64 does");
  refuses("let warp: i64 = t / 32\n  if warp == 1 {\n    if N > 4 {\n      barrier\n    }\n  }",
          "a barrier that thread 0 does not reach and thread 32 does");
  accepts("if t < 128 {\n    barrier\n  }");
  accepts("if N > 3 {\n    barrier\n  }");
  accepts("if t < 64 {\n    barrier_named 1, 64\n    barrier_warp\n  }");
  refuses("if t % 32 < 16 {\n    barrier_named 1, 64\n  }",
          "a named barrier that thread 0 reaches and thread 16 does not");
  refuses("if t < 16 {\n    barrier_warp\n  }", "a barrier that thread 0 reaches and thread 16 does not");
  refuses("if t < 16 {\n    set f[0, 0] = shuffle_xor(f[0, 0], 1)\n  }",
          "a shuffle or vote that thread 0 reaches and thread 16 does not");
  refuses("if t == 3 {\n    if any(t > 4) {\n    }\n  }",
          "a shuffle or vote that thread 0 does not reach and thread 3 does");
  refuses("if t < 16 {\n    mma bf16 f[0, 0], u[0], u[4]\n  }", "mma that thread 0 reaches and thread 16 does not");
  refuses("if t < 16 {\n    ldmatrix u[0] x 4 = s:u16[0]\n  }",
          "ldmatrix that thread 0 reaches and thread 16 does not");
  refuses(
      "if t < 32 {\n    wgmma fence\n    wgmma bf16 n 64 f[0, 0] = s:bf16[0] swizzle 128, s:bf16[0] swizzle 128\n  }",
      "wgmma that thread 0 reaches and thread 32 does not");
  refuses("barrier_named 0, 64", "a named barrier has a number from 1 to 15");
  refuses("barrier_named t / 32 + 16, 64", "a named barrier has a number from 1 to 15");
  refuses("barrier_named 1, 48", "a barrier of 48 threads");
  refuses("barrier_named 1, 256", "a barrier of 256 threads");
}

Test(block_verify, sm90) {
  refuses("mbarrier init s[0], 1", "no mbarrier is named here");
  refuses("mbarrier init b[2], 1", "no such mbarrier of 'b'");
  refuses("mbarrier init b[0], 0", "the value of the mbarrier operation is out of range");
  refuses("mbarrier wait b[0], 2", "the value of the mbarrier operation is out of range");
  refuses("mbarrier arrive b[0] at 1", "an arrival at another block without a cluster");
  refuses("tma s:f32[8] = m[0, 0] signal b[0]", "'s' is accessed at a place that is no multiple of 128 bytes");
  refuses("tma y:f32[0] = m[0, 0] signal b[0]", "'y' is not in shared memory");
  refuses("tma s:f32[0] = m[0, 0] signal b[0] multicast 3", "multicast without a cluster");
  refuses("tma s:f32[0] = m[0, 0.0] signal b[0]", "a coordinate is f32, not i64");
  refuses("tma_store m[0, 0] = s:f32[0]", "'x' is read only");
  accepts("tma_store o[0, 0] = s:f32[0]");
  refuses("bulk s:f32[1] = x:f32[0] bytes 16 signal b[0]",
          "'s' is accessed at a place that is no multiple of 16 bytes");
#define B ", s:bf16[0] swizzle 128"
  refuses("wgmma bf16 n 12 f[0, 0] = s:bf16[0] swizzle 128" B, "a wgmma of 12 columns");
  refuses("wgmma bf16 n 64 f[0, 1] = s:bf16[0] swizzle 128" B, "32 registers of 'f' from here on are outside");
  refuses("wgmma bf16 n 64 f[0, 0] = s:bf16[0] swizzle 16" B, "a factor of swizzle 16");
  refuses("wgmma bf16 n 64 f[0, 0] = s:f32[0] swizzle 128" B, "a factor of f32 in wgmma bf16");
  refuses("wgmma bf16 n 64 f[0, 0] = u[6]" B, "4 registers of 'u' from here on are outside");
  refuses("wgmma e4m3 n 64 f[0, 0] = u[0], s:u8[0] swizzle 128 trans 16", "wgmma e4m3 transposed");
  refuses("wgmma bf16 n 64 f[0, 0] = u[0], s:bf16[0] swizzle 128 trans 8", "a factor of stride 8");
  refuses("wgmma bf16 n 64 f[0, 0] adds 1 = u[0]" B, "the value is i64, not bool");
  refuses("registers up 36", "36 registers");
  refused(with_head("threads t: 96", "registers up 40"), "registers without whole warpgroups");
}
