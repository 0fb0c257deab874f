// What the interpreter of block kernels refuses while it runs: each check, with the words of its message.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel_block.h"

static weir_arena arena;
static void begin(void) { weir_arena_init(&arena); }
static void end(void) { weir_arena_deinit(&arena); }

TestSuite(block_faults, .init = begin, .fini = end);

static weir_status run(const char *head, const char *body) {
  static float x[1024], y[1024], rows[64];
  const char *text = weir_arena_printf(&arena,
                                       "kernel k \"\"\nsizes N, R\nin x: 4096 @0\ninout y: 4096 @1\ntable_in table @2\n"
                                       "shared s: 8192\nshared p: 2048\nmbarrier b: 2\n"
                                       "map m: x:f32 dims 32, 32 box 32, 8 swizzle 128\n"
                                       "map o: y:f32 dims 32, 32 box 32, 8 swizzle 128\n"
                                       "grid g: 8\n%s\n{\n  reg f: f32[32] = 0.0\n  reg u: u32[8] = 0:u32\n%s\n}\n",
                                       head, body);
  ir_kernel *kernel = NULL;
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &kernel);
  cr_assert_null(status, "%s", weir_status_message(status));
  void *table[2] = {rows, rows}, *args[] = {x, y, table};
  size_t bytes[] = {sizeof x, sizeof y, sizeof rows};
  int64_t sizes[] = {64, 2};
  return ir_kernel_interpret(kernel, args, bytes, sizes, 0, 8);
}

static void fails_in(const char *head, const char *body, const char *message) {
  weir_status status = run(head, body);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "no failure: %s", message);
  cr_assert(strstr(weir_status_message(status), message), "wanted %s\ngot %s", message, weir_status_message(status));
  weir_status_release(status);
}

static void fails(const char *body, const char *message) { fails_in("threads t: 128", body, message); }

static void passes(const char *body) {
  weir_status status = run("threads t: 128", body);
  cr_assert_null(status, "%s", weir_status_message(status));
}

Test(block_faults, bounds_and_alignment) {
  fails("let a: f32 = x:f32[t * 8 + 8]",
        "thread 127: access outside of 'x' (4096 bytes) at f32 element 1024 in: let a");
  fails("store s:f32[t - 5] = 1.0", "thread 0: access outside of 's' (8192 bytes) at f32 element -5 in: store");
  fails("let a: f32 = table:f32[t; 0]", "thread 2: access outside of 'table' (256 bytes) at request 2, f32 element 0");
  fails("read f[0] x 4 = x:f32[t * N]", "thread 16: access outside of 'x' (4096 bytes) at f32 element 1024");
  fails("read f[0] x 4 = x:f32[t * (N - 63)]", "thread 1: access to 'x' at byte 4, which is no multiple of 16");
  fails("async s:f32[t * (N - 63)] = x:f32[0] bytes 8", "thread 1: access to 's' at byte 4, which is no multiple of 8");
  fails("atomic add y:u32[N * 16] = 1:u32", "access outside of 'y'");
  passes("let a: f32 = select(t < 4, x:f32[t * 256], 0.0)");
  passes("async s:f32[t * 4] = x:f32[t * 4 + 4096 * N] bytes 16 when N < 0");
  fails("tiles i, n in 0..N / 16 by 4, 1 {\n    unroll v in 0..n {\n      set f[n * v * 3] = 1.0\n    }\n  }",
        "register index 36 is outside");
}

Test(block_faults, shared_memory_is_written_first) {
  fails("let a: f32 = s:f32[t]", "thread 0 reads 's' at byte 0, which is not written in: let a: f32 = s:f32[t]");
  fails("if t < 100 {\n    store s:f32[t] = 1.0\n  }\n  barrier\n  read f[0] x 4 = s:f32[t / 4 * 4]",
        "thread 100 reads 's' at byte 400, which is not written");
  fails("store p:f32[t] = 1.0\n  barrier\n  atomic add p:u32[t + 128] = 1:u32",
        "reads 'p' at byte 896, which is not written");
}

Test(block_faults, races) {
  fails("store s:f32[t] = 1.0\n  let a: f32 = s:f32[(t + 32) % 128]",
        "thread 0 reads 's' at byte 128, which is not written");
  fails("store s:f32[t] = 1.0\n  let a: f32 = s:f32[t ^ 1]",
        "thread 0 reads 's' at byte 4, which thread 1 wrote with no barrier between in: let a: f32 = s:f32[t ^ 1]");
  fails("store s:f32[t] = 1.0\n  barrier\n  let a: f32 = s:f32[127 - t]\n  store s:f32[t] = 2.0",
        "thread 0 reads 's' at byte 508, which thread 127 wrote with no barrier between");
  fails("store s:f32[0] = 1.0", "thread 1 writes 's' at byte 0, which thread 0 wrote with no barrier between");
  fails("store s:f32[t] = 1.0\n  barrier\n  let a: f32 = s:f32[0]\n  if t == 0 {\n    store s:f32[0] = a\n  }",
        "thread 0 writes 's' at byte 0, which thread 31 read with no barrier between");
  fails("store s:f32[t] = 1.0\n  barrier\n  let a: f32 = s:f32[0]\n  if t == 31 {\n    store s:f32[0] = a\n  }",
        "thread 31 writes 's' at byte 0, which others of its warp read with no barrier between");
  fails(
      "store s:f32[t] = 1.0\n  barrier\n  let a: f32 = s:f32[0]\n  barrier_warp\n  if t == 40 {\n    store s:f32[0] = "
      "a\n  }",
      "thread 40 writes 's' at byte 0, which thread 31 read with no barrier between");
  fails(
      "if t / 32 == 0 {\n    store s:f32[t] = 1.0\n    barrier_named 1, 64\n  }\n  if t / 32 == 1 {\n"
      "    barrier_named 1, 64\n    let a: f32 = s:f32[t - 32]\n  }\n  if t / 32 == 2 {\n    let v: f32 = s:f32[t - "
      "64]\n  }",
      "thread 64 reads 's' at byte 0, which thread 0 wrote with no barrier between");
  passes("store s:f32[t] = 1.0\n  barrier\n  let a: f32 = s:f32[127 - t]\n  barrier\n  store s:f32[t] = 2.0");
  passes("store s:f32[t] = 1.0\n  barrier_warp\n  let a: f32 = s:f32[t ^ 1]\n  barrier_warp\n  store s:f32[t] = 2.0");
  passes(
      "store s:f32[t] = 1.0\n  barrier\n  let a: f32 = s:f32[0]\n  barrier\n  if t == 0 {\n    store s:f32[0] = a\n  "
      "}");
  passes(
      "if t / 32 == 0 {\n    store s:f32[t] = 1.0\n    barrier_arrive 1, 64\n  }\n  if t / 32 == 1 {\n"
      "    barrier_named 1, 64\n    let a: f32 = s:f32[t - 32]\n  }");
  passes(
      "if t == 0 {\n    store s:u32[0] = 0:u32\n  }\n  barrier\n  atomic add s:u32[0] = 1:u32\n  barrier\n  set u[0] = "
      "s:u32[0]");
  fails("if t == 0 {\n    store s:u32[0] = 0:u32\n  }\n  barrier\n  atomic add s:u32[0] = 1:u32\n  set u[0] = s:u32[0]",
        "thread 96 reads 's' at byte 0, which thread 127 wrote with no barrier between");
  passes("store s:u8[t] = 1:u8\n  store p:u16[t] = 1:u16");
}

Test(block_faults, barriers) {
  fails("if x:f32[t] == 0.0 & t * N < 640 {\n    barrier\n  }",
        "thread 10 does not come where thread 0 is in: barrier");
  fails("if t * N < 64 * N {\n    barrier\n  }", "thread 0 waits for thread 64, which does not come in: barrier");
  fails("if t * N < 64 * N {\n    barrier\n  } else {\n    barrier\n  }",
        "a barrier that others do not come to, as they are in: barrier");
  fails("barrier_named 1, 64\n  barrier_named 1, 96", "the barrier was begun by 96 threads");
  fails("barrier_named N, 128", "barrier number 64");
  fails("if t * N < 32 * N {\n    barrier_named 3, 64\n  }", "thread 0 waits for thread 32, which does not come");
  fails("if t * N < 8 * N {\n    set f[0] = shuffle_xor(f[0], 1)\n  }", "thread 8 does not take part in shuffle_xor");
  fails("if t * N < 8 * N {\n    mma bf16 f[0], u[0], u[4]\n  }", "thread 8 does not come where thread 0 is in: mma");
  fails("for i in 0..t * N {\n    if any(i < 3) {\n    }\n  }", "thread 0 does not take part in any");
  fails("let v: f32 = select(t < N, x:f32[t] + shuffle_xor(f[0], 1), 0.0)",
        "thread 64 does not take part in shuffle_xor");
}

Test(block_faults, copies) {
  fails("async s:f32[t] = x:f32[t] bytes 4\n  let a: f32 = s:f32[t]",
        "thread 0 reads 's' at byte 0 before the copy into it is complete");
  fails("async s:f32[t] = x:f32[t] bytes 4\n  wait 0\n  let a: f32 = s:f32[t]",
        "thread 0 reads 's' at byte 0 before the copy into it is complete");
  fails(
      "async s:f32[t] = x:f32[t] bytes 4\n  commit\n  async p:f32[t] = x:f32[t] bytes 4\n  commit\n  wait 1\n"
      "  let a: f32 = s:f32[t]\n  let v: f32 = p:f32[t]",
      "thread 0 reads 'p' at byte 0 before the copy into it is complete");
  fails("async s:f32[t] = x:f32[t] bytes 4\n  commit\n  wait 0\n  let a: f32 = s:f32[127 - t]",
        "thread 0 reads 's' at byte 508, which is not written");
  fails("async s:f32[t] = x:f32[t] bytes 4\n  commit\n  wait 0\n  let a: f32 = s:f32[t ^ 1]",
        "thread 0 reads 's' at byte 4, which thread 1 wrote with no barrier between");
  fails("store s:f32[t] = 1.0\n  barrier\n  let a: f32 = s:f32[127 - t]\n  async s:f32[t] = x:f32[t] bytes 4",
        "thread 0 reads 's' at byte 508 before the copy into it is complete");
  fails("store s:f32[t] = 1.0\n  barrier\n  let a: f32 = s:f32[t / 2]\n  async s:f32[t] = x:f32[t] bytes 4",
        "thread 0 writes 's' at byte 0, which thread 1 read with no barrier between");
  fails("async s:f32[t] = x:f32[t] bytes 4\n  async s:f32[t] = x:f32[t] bytes 4",
        "thread 0 writes 's' at byte 0 before the copy into it is complete");
  passes(
      "async s:f32[t] = x:f32[t] bytes 4\n  commit\n  wait 0\n  let a: f32 = s:f32[t]\n  barrier\n  let c: f32 = "
      "s:f32[127 - t]");
}

#define INIT "if t == 0 {\n    mbarrier init b[0], 1\n  }\n  barrier\n"
#define FETCH "if t == 0 {\n    mbarrier expect b[0], 1024\n    tma s:f32[0] = m[0, 0] signal b[0]\n  }\n"

Test(block_faults, mbarriers) {
  fails("mbarrier arrive b[0]", "mbarrier 0 of 'b' is not initialised");
  fails("if t == 0 {\n    mbarrier init b[0], 1\n  }\n  mbarrier wait b[0], 1",
        "mbarrier 0 of 'b' was initialised with no barrier between");
  fails("if t < 2 {\n    mbarrier init b[0], 1\n  }", "the mbarrier is initialised already");
  fails("if t == 0 {\n    mbarrier init b[N], 1\n  }", "no mbarrier 64 of 'b'");
  fails(INIT "mbarrier wait b[0], 0", "thread 0 waits for ever in: mbarrier wait b[0], 0");
  fails(INIT "if t == 0 {\n    mbarrier expect b[0], 16\n    mbarrier arrive b[0]\n  }",
        "more arrivals than the mbarrier counts");
  passes(INIT "mbarrier wait b[0], 1");
  passes(INIT "if t == 0 {\n    mbarrier arrive b[0]\n  }\n  mbarrier wait b[0], 0");
  passes(
      "if t == 0 {\n    mbarrier init b[0], 32\n  }\n  barrier\n  if t / 32 == 1 {\n    store s:f32[t] = 1.0\n"
      "    mbarrier arrive b[0]\n  }\n  mbarrier wait b[0], 0\n  let a: f32 = s:f32[t % 32 + 32]");
}

Test(block_faults, tma) {
  fails(INIT FETCH "if t / 32 == 0 {\n    let a: f32 = s:f32[t]\n  }",
        "thread 0 reads 's' at byte 0 before the copy into it is complete");
  fails(INIT FETCH
        "if t / 32 == 0 {\n    mbarrier wait b[0], 0\n  }\n  if t / 32 == 1 {\n    for i in 0..40 {\n"
        "    barrier_warp\n    }\n    let a: f32 = s:f32[t]\n  }",
        "reads 's' at byte 128");
  passes(INIT FETCH "mbarrier wait b[0], 0\n  let a: f32 = s:f32[t]");
  fails(INIT "store s:f32[t] = 1.0\n  " FETCH,
        "thread 0 writes 's' at byte 4, which thread 1 wrote with no barrier between");
  fails(INIT FETCH "mbarrier wait b[0], 0\n  let a: f32 = s:f32[t]\n  " FETCH,
        "thread 0 writes 's' at byte 4, which thread 1 read with no barrier between");
  fails(INIT "if t == 0 {\n    mbarrier expect b[0], 16\n    bulk s:f32[0] = x:f32[0] bytes N - 56 signal b[0]\n  }",
        "a bulk copy of 8 bytes");
  fails(INIT "if t == 0 {\n    mbarrier expect b[0], 16\n    bulk s:f32[0] = x:f32[1020] bytes 32 signal b[0]\n  }",
        "access outside of 'x'");
  fails(INIT "if t == 0 {\n    tma s:f32[1824 + N] = m[0, 0] signal b[0]\n  }", "access outside of 's'");
#define FILL "unroll v in 0..2 {\n    store s:f32[t + v * 128] = 1.0\n  }\n  "
#define STORE "if t == 0 {\n    tma_store o[0, 0] = s:f32[0]\n    tma_commit\n  }\n  "
  fails(FILL "barrier\n  " STORE, "'s' at byte 0 was written by thread 0 without a fence_async");
  fails(FILL "fence_async\n  " STORE, "thread 0 reads 's' at byte 4, which thread 1 wrote with no barrier between");
  fails(FILL "fence_async\n  barrier\n  " STORE "barrier\n  store s:f32[t] = 2.0",
        "thread 64 writes 's' at byte 256, which a wgmma or tma_store may still read");
  passes(FILL "fence_async\n  barrier\n  " STORE "if t == 0 {\n    tma_wait 0\n  }\n  barrier\n  store s:f32[t] = 2.0");
}

Test(block_faults, wgmma) {
#define AB "s:bf16[0] swizzle 128, s:bf16[0] swizzle 128\n  "
#define ZERO "for i in 0..8 {\n    write s:f32[(i * 128 + t) * 2] = f[0] x 2\n  }\n  "
#define READY ZERO "fence_async\n  barrier\n  wgmma fence\n  "
  fails("wgmma bf16 n 8 f[0] = " AB, "a register of this wgmma was set without a wgmma fence behind it");
  fails("wgmma fence\n  wgmma bf16 n 8 f[0] = " AB, "reads 's' at byte 0, which is not written");
  fails(ZERO "barrier\n  wgmma fence\n  wgmma bf16 n 8 f[0] = " AB, "was written by thread 0 without a fence_async");
  fails(READY "wgmma bf16 n 8 f[0] = " AB "wgmma commit\n  let a: f32 = f[0]",
        "a register that a wgmma uses is read before its wait");
  fails(READY "wgmma bf16 n 8 f[0] = " AB "wgmma commit\n  set f[3] = 1.0",
        "a register that a wgmma uses is set before its wait");
  fails(READY "wgmma bf16 n 8 f[0] = " AB "wgmma commit\n  barrier\n  store s:f32[t] = 1.0",
        "which a wgmma or tma_store may still read");
  fails(READY "wgmma bf16 n 8 f[0] = " AB "wgmma wait 0\n  barrier\n  store s:f32[t] = 1.0",
        "which a wgmma or tma_store may still read");
  fails(READY "wgmma bf16 n 8 f[0] = s:bf16[0] swizzle 128, s:bf16[64] swizzle 128",
        "a factor does not begin in the first row of eight");
  fails(READY "wgmma bf16 n 8 f[0] = s:bf16[0] swizzle 128, s:bf16[3584 + N * 8] swizzle 128", "access outside of 's'");
  fails(READY "wgmma bf16 n 8 f[0] adds t < 3 = " AB, "the threads of a wgmma disagree whether it adds");
  fails_in("threads t: 256",
           "if t < 128 {\n" ZERO
           "fence_async\n  }\n  barrier\n  wgmma fence\n  if t * N < 96 * N {\n  wgmma bf16 n 8 f[0] = " AB "}",
           "waits for thread");
  passes(READY "wgmma bf16 n 8 f[0] = " AB
               "wgmma bf16 n 8 f[4] = u[0], s:bf16[0] swizzle 128\n  wgmma commit\n"
               "  set f[8] = 1.0\n  wgmma wait 0\n  set f[0] = f[1] + 1.0\n  barrier\n  store s:f32[t] = 1.0");
}

Test(block_faults, clusters) {
  fails_in("threads t: 32\ncluster 2",
           "if t == 0 {\n    mbarrier init b[0], 1\n  }\n  barrier_warp\n  mbarrier arrive b[0] at N",
           "no block 64 in the cluster");
  fails_in("threads t: 32\ncluster 2",
           "if t == 0 {\n    mbarrier init b[0], 1\n  }\n  barrier\n  if t == 0 {\n"
           "    mbarrier arrive b[0] at 1 - g % 2\n  }",
           "mbarrier 0 of 'b' is not initialised");
  fails_in("threads t: 32\ncluster 2", "if g % 2 == 0 {\n    barrier_cluster\n  }",
           "thread 0 waits for thread 0, which does not come");
  fails_in("threads t: 32\ncluster 2", INIT "if t == 0 {\n    tma s:f32[0] = m[0, 0] signal b[0] multicast 4\n  }",
           "multicast to blocks 0x4");
}

Test(block_faults, a_step_limit_ends_it) {
  const char *text = "kernel k \"\"\nsizes N\ngrid g: N\nthreads t: 64\n{\n  for i in 0..N {\n  }\n}\n";
  ir_kernel *kernel = NULL;
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &kernel);
  cr_assert_null(status);
  int64_t sizes[] = {1000000000};
  const ir_kinterpret_options options = {.step_limit = 1000};
  status = ir_kernel_interpret_options(kernel, NULL, NULL, sizes, 0, 1, &options);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_RANGE);
  weir_status_release(status);
}
