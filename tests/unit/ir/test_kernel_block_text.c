// Block kernels in text and from the builder: a fixed point, hashes, what kernels need.
#include <criterion/criterion.h>
#include <string.h>

#include "ir/kernel_block.h"
#include "kernel_block_samples.h"
#include "kernel_samples.h"

static weir_arena arena;
static void begin(void) { weir_arena_init(&arena); }
static void end(void) { weir_arena_deinit(&arena); }

TestSuite(block_text, .init = begin, .fini = end);

static const char *const samples[] = {block_everything, block_small, block_sm90, block_gemm, block_gemm_sm90};
enum { SAMPLES = sizeof samples / sizeof *samples };

static ir_kernel *parse(const char *text) {
  ir_kernel *kernel = NULL;
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &kernel);
  cr_assert_null(status, "%s", weir_status_message(status));
  return kernel;
}

Test(block_text, samples_are_fixed_points) {
  for (int i = 0; i < SAMPLES; i++) {
    ir_kernel *kernel = parse(samples[i]);
    weir_status status = ir_kernel_verify(kernel);
    cr_assert_null(status, "%s", weir_status_message(status));
    cr_assert_str_eq(ir_kernel_print(&arena, kernel), samples[i]);
    cr_assert(ir_kernel_equal(kernel, parse(samples[i])));
    cr_assert_eq(ir_kernel_hash(kernel), ir_kernel_hash(parse(samples[i])));
  }
}

Test(block_text, every_prefix_is_refused_cleanly) {
  for (int i = 0; i < SAMPLES; i++) {
    for (size_t length = 0; length + 2 < strlen(samples[i]); length++) {
      ir_kernel *kernel = NULL;
      weir_status status = ir_kernel_parse(&arena, samples[i], length, &kernel);
      cr_assert_not_null(status, "prefix of %zu bytes", length);
      weir_status_release(status);
    }
  }
}

// |text| with the first |from| replaced.
static const char *with(const char *text, const char *from, const char *to) {
  const char *at = strstr(text, from);
  cr_assert_not_null(at, "no %s", from);
  return weir_arena_printf(&arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

Test(block_text, every_part_counts_in_the_hash) {
  static const char *const changes[][2] = {
      {"threads i: 64", "threads i: 96"},
      {"resident 4", "resident 5"},
      {"bytes 16 when i < 32", "bytes 8 when i < 32"},
      {"when i < 32", "when i < 31"},
      {"bytes 4 keep", "bytes 4 stream"},
      {"wait 0", "wait 1"},
      {"barrier_named 1, 64", "barrier_named 2, 64"},
      {"barrier_named 1, 64", "barrier_named 1, 32"},
      {"barrier\n", "barrier_warp\n"},
      {"ldmatrix.trans", "ldmatrix"},
      {"mma bf16", "mma f16"},
      {"v[u, 0], w[0], w[4 + u * 2]", "v[u, 0], w[2], w[4 + u * 2]"},
      {"atomic max", "atomic min"},
      {"read h[0] x 8 = x:bf16", "read h[0] x 8 = x:f16"},
      {"shuffle_xor(v[0, 1], 16)", "shuffle_xor(v[0, 1], 8)"},
  };
  uint64_t hash = ir_kernel_hash(parse(block_everything));
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
    cr_assert_neq(ir_kernel_hash(parse(with(block_everything, changes[i][0], changes[i][1]))), hash, "%s",
                  changes[i][1]);
  static const char *const later[][2] = {
      {"cluster 2", "cluster 4"},
      {"box 64, 64 swizzle 128", "box 64, 32 swizzle 128"},
      {"swizzle 128\nmap mb", "swizzle 64\nmap mb"},
      {"strides N, K * N", "strides N, N"},
      {"multicast 1 << g % 2", "multicast 3"},
      {"full[1] at 0", "full[1] at 1"},
      {"adds false", "adds true"},
      {"trans 8192", "trans 4096"},
      {"registers up 232", "registers down 232"},
  };
  hash = ir_kernel_hash(parse(block_sm90));
  for (size_t i = 0; i < sizeof later / sizeof *later; i++)
    cr_assert_neq(ir_kernel_hash(parse(with(block_sm90, later[i][0], later[i][1]))), hash, "%s", later[i][1]);
}

Test(block_text, needs) {
  cr_assert_eq(ir_kernel_needs(parse(sample_softmax)), 0);
  cr_assert_eq(ir_kernel_needs(parse(block_gemm)), IR_KNEEDS_BLOCK);
  cr_assert_eq(ir_kernel_needs(parse(block_everything)), IR_KNEEDS_BLOCK | IR_KNEEDS_SM_89 | IR_KNEEDS_PDL);
  cr_assert_eq(ir_kernel_needs(parse(block_gemm_sm90)), IR_KNEEDS_BLOCK | IR_KNEEDS_SM_90A | IR_KNEEDS_MAPS);
  cr_assert_eq(ir_kernel_needs(parse(block_sm90)),
               IR_KNEEDS_BLOCK | IR_KNEEDS_SM_90A | IR_KNEEDS_MAPS | IR_KNEEDS_CLUSTER);
  cr_assert_eq(ir_kernel_shared_bytes(parse(block_everything)), 4096 + 1024);
  cr_assert_eq(ir_kernel_shared_bytes(parse(block_gemm_sm90)), 3 * 16384 + 32);
}

// The builder's calls give the text one expects of them.
Test(block_text, what_is_built_reads_back) {
  ir_kbuilder b;
  ir_kb_init(&b, &arena, "built", "");
  const ir_kexpr *n = ir_kb_add_size(&b, "N"), *zero = ir_kb_int(&b, 0), *one = ir_kb_int(&b, 1);
  int x = ir_kb_add_buffer(&b, IR_KB_INOUT, "x", ir_kb_mul(&b, n, ir_kb_int(&b, 4)), -1);
  int s = ir_kb_add_shared(&b, "s", 32768), bar = ir_kb_add_mbarriers(&b, "bar", 2);
  int map = ir_kb_add_map(&b, &(ir_kmap){.name = "m",
                                         .buffer = x,
                                         .type = IR_KT_bf16,
                                         .rank = 2,
                                         .dims = {ir_kb_int(&b, 64), n},
                                         .box = {64, 64},
                                         .swizzle = 128});
  ir_kb_set_grid(&b, n, "g");
  const ir_kexpr *t = ir_kb_set_threads(&b, "t", 128, 0);
  ir_kb_set_cluster(&b, 2);
  ir_kvar *c = ir_kb_reg(&b, "c", IR_KT_f32, false, 1, (int[]){32}, ir_kb_const(&b, IR_KT_f32, 0));
  ir_kvar *w = ir_kb_reg(&b, "w", IR_KT_u32, false, 1, (int[]){8}, ir_kb_const(&b, IR_KT_u32, 0));
  ir_kregs rc = ir_kb_regs(c, zero, NULL, NULL), rw = ir_kb_regs(w, zero, NULL, NULL);
  ir_kplace shared = ir_kb_place(s, IR_KT_bf16, zero), global = ir_kb_place(x, IR_KT_bf16, zero);
  ir_kplace word = ir_kb_place(x, IR_KT_u32, one);
  const ir_kexpr *coords[2] = {zero, one};
  ir_kb_barrier(&b), ir_kb_barrier_named(&b, one, 64), ir_kb_barrier_arrive(&b, one, 64), ir_kb_barrier_warp(&b);
  ir_kb_barrier_cluster(&b);
  ir_kb_async(&b, shared, global, 16, ir_kb_op(&b, IR_K_lt, IR_KT_bool, t, n, NULL), IR_KHINT_KEEP);
  ir_kb_commit(&b), ir_kb_wait(&b, 1);
  ir_kb_read_vector(&b, rw, 4, ir_kb_place(x, IR_KT_u32, zero), IR_KHINT_STREAM);
  ir_kb_write_vector(&b, global, rc, 8, IR_KHINT_NONE);
  ir_kb_ldmatrix(&b, rw, 4, shared, true), ir_kb_stmatrix(&b, shared, rw, 2, false);
  ir_kb_mma(&b, IR_KMMA_f16, rc, rw, ir_kb_regs(w, ir_kb_int(&b, 4), NULL, NULL));
  ir_kb_atomic(&b, IR_K_max, word, ir_kb_const(&b, IR_KT_u32, 3));
  const ir_kexpr *old = ir_kb_atomic_old(&b, "old", IR_K_add, word, ir_kb_const(&b, IR_KT_u32, 1));
  ir_kb_set(&b, w, old, zero, NULL, NULL);
  ir_kb_set(&b, w, ir_kb_shuffle(&b, ir_kb_shuffle_down(&b, ir_kb_shuffle_xor(&b, old, 2), 3), t), one, NULL, NULL);
  const ir_kexpr *flag = ir_kb_op(&b, IR_K_eq, IR_KT_bool, old, ir_kb_const(&b, IR_KT_u32, 7), NULL);
  ir_kb_let(&b, "both", ir_kb_op(&b, IR_K_and, IR_KT_bool, ir_kb_any(&b, flag), ir_kb_all(&b, flag), NULL));
  ir_kb_fence(&b), ir_kb_launch_dependents(&b), ir_kb_wait_dependencies(&b), ir_kb_fence_async(&b);
  ir_kb_mbarrier_init(&b, bar, zero, one), ir_kb_mbarrier_expect(&b, bar, zero, ir_kb_int(&b, 8192));
  ir_kb_mbarrier_arrive(&b, bar, one, NULL), ir_kb_mbarrier_arrive(&b, bar, one, one);
  ir_kb_mbarrier_wait(&b, bar, zero, one);
  ir_kb_bulk(&b, shared, global, ir_kb_int(&b, 64), bar, one);
  ir_kb_tma(&b, shared, map, coords, bar, zero, ir_kb_int(&b, 3), IR_KHINT_NONE);
  ir_kb_tma_store(&b, map, coords, shared), ir_kb_tma_commit(&b), ir_kb_tma_wait(&b, 0);
  ir_kwgmma rows = {shared, 128, false, 0}, columns = {shared, 128, true, 8192};
  ir_kb_wgmma(&b, IR_KMMA_bf16, 64, rc, NULL, NULL, &rows, &columns);
  ir_kb_wgmma(&b, IR_KMMA_bf16, 64, rc, ir_kb_const(&b, IR_KT_bool, 0), &rw, NULL, &rows);
  ir_kb_wgmma_fence(&b), ir_kb_wgmma_commit(&b), ir_kb_wgmma_wait(&b, 2), ir_kb_registers(&b, true, 240);
  ir_kernel *kernel = ir_kb_finish(&b);
  weir_status status = ir_kernel_verify(kernel);
  cr_assert_null(status, "%s", weir_status_message(status));
  const char *text = ir_kernel_print(&arena, kernel);
  cr_assert_str_eq(text,
                   "kernel built \"\"\nsizes N\ninout x: N * 4 @0\nshared s: 32768\nmbarrier bar: 2\n"
                   "map m: x:bf16 dims 64, N box 64, 64 swizzle 128\ngrid g: N\nthreads t: 128\ncluster 2\n{\n"
                   "  reg c: f32[32] = 0.0\n  reg w: u32[8] = 0:u32\n"
                   "  barrier\n  barrier_named 1, 64\n  barrier_arrive 1, 64\n  barrier_warp\n  barrier_cluster\n"
                   "  async s:bf16[0] = x:bf16[0] bytes 16 when t < N keep\n  commit\n  wait 1\n"
                   "  read w[0] x 4 = x:u32[0] stream\n  write x:bf16[0] = c[0] x 8\n"
                   "  ldmatrix.trans w[0] x 4 = s:bf16[0]\n  stmatrix s:bf16[0] = w[0] x 2\n"
                   "  mma f16 c[0], w[0], w[4]\n  atomic max x:u32[1] = 3:u32\n"
                   "  let old: u32 = atomic_add(x:u32[1], 1:u32)\n  set w[0] = old\n"
                   "  set w[1] = shuffle(shuffle_down(shuffle_xor(old, 2), 3), t)\n"
                   "  let both: bool = any(old == 7:u32) & all(old == 7:u32)\n"
                   "  fence\n  launch_dependents\n  wait_dependencies\n  fence_async\n"
                   "  mbarrier init bar[0], 1\n  mbarrier expect bar[0], 8192\n  mbarrier arrive bar[1]\n"
                   "  mbarrier arrive bar[1] at 1\n  mbarrier wait bar[0], 1\n"
                   "  bulk s:bf16[0] = x:bf16[0] bytes 64 signal bar[1]\n"
                   "  tma s:bf16[0] = m[0, 1] signal bar[0] multicast 3\n"
                   "  tma_store m[0, 1] = s:bf16[0]\n  tma_commit\n  tma_wait 0\n"
                   "  wgmma bf16 n 64 c[0] = s:bf16[0] swizzle 128, s:bf16[0] swizzle 128 trans 8192\n"
                   "  wgmma bf16 n 64 c[0] adds false = w[0], s:bf16[0] swizzle 128\n"
                   "  wgmma fence\n  wgmma commit\n  wgmma wait 2\n  registers up 240\n}\n");
  cr_assert(ir_kernel_equal(kernel, parse(text)));
}

static void refuses(const char *body, const char *message) {
  const char *text = weir_arena_printf(&arena,
                                       "kernel k \"\"\nin x: 64 @0\nshared s: 64\nmbarrier b: 1\n"
                                       "map m: x:f32 dims 4, 4 box 4, 4\ngrid g: 1\nthreads t: 32\n{\n"
                                       "reg r: u32[8] = 0:u32\n%s\n}\n",
                                       body);
  ir_kernel *kernel = NULL;
  weir_status status = ir_kernel_parse(&arena, text, strlen(text), &kernel);
  cr_assert_not_null(status, "%s", body);
  cr_assert_str_eq(weir_status_message(status), message);
  weir_status_release(status);
}

Test(block_text, refusals) {
  refuses("mma i4 r[0], r[0], r[0]", "line 10: no matrix operation on 'i4'");
  refuses("mma bf16 s[0], r[0], r[0]", "line 10: no register 's'");
  refuses("read r[0] = x:u32[0]", "line 10: expected 'x'");
  refuses("read r[0] x 17 = x:u32[0]", "line 10: 17 is out of range");
  refuses("wait 64", "line 10: 64 is out of range");
  refuses("mbarrier b[0]", "line 10: expected init, expect, arrive or wait");
  refuses("atomic mul x:u32[0] = 1:u32", "line 10: no atomic operation 'mul'");
  refuses("let a: i32 = atomic_add(x:u32[0], 1:u32)", "line 10: the value is u32");
  refuses("tma s:f32[0] = m[0] signal b[0]", "line 10: 'm' has 2 dims");
  refuses("tma s:f32[0] = x[0] signal b[0]", "line 10: no map 'x'");
  refuses("let a: i64 = m", "line 10: 'm' is a map");
  refuses("async s:f32[0] = x:f32[0]", "line 10: expected 'bytes'");
  refuses("registers 40", "line 10: expected 'down'");
  refuses("wgmma bf16 n 8 r[0] = s:bf16[0], s:bf16[0]", "line 10: expected 'swizzle'");
}
