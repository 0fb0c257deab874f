// The sim engine: item kernels, order of threads, parallel blocks, objects, and each check on a seeded fault.
#include "runtime/base/alloc.h"
#include "tests/unit/runtime/sim_harness.h"

#define K(name, threads) "K(" name ", " threads ") "
static const char kernels[] =
    // Every kernel has the struct of sim_params; X and Y are its first pointers.
    "#define K(name, threads) struct name##_params { void *args[4]; i64 dims[4]; i64 items; void *scratch; i64 "
    "scratch_stride; };"
    " KERNEL(name, threads, 1)\n"
    "#define IN(n) f32 *x = (f32 *)p.args[0]; EXTENT(x, n, 0)\n"
    "#define OUT(n) f32 *y = (f32 *)p.args[1]; EXTENT(y, n, 1)\n"
    "#line 1\n"
    // Sums of rows: a team of sixteen an item, two teams a warp.
    "K(k_rows, 64) {\n"
    "  IN(p.items * p.dims[0] * 4); OUT(p.items * 4);\n"
    "  const i32 me = THREAD % 16, team = THREAD / 16;\n"
    "  for (i64 item = (i64)BLOCK * 4 + team; item < p.items; item += (i64)GRID * 4) {\n"
    "    f32 sum = 0;\n"
    "    for (i64 i = me; i < p.dims[0]; i += 16) sum += ld_f32(x, item * p.dims[0] + i);\n"
    "    for (int n = 8; n; n /= 2) sum += TEAM_XOR_f32(sum, n, 16);\n"
    "    if (me == 0) st_f32(y, item, sum);\n"
    "  }\n"
    "}\n"
    // Reverses a row through shared memory.
    "K(k_reverse, 128) {\n"
    "  IN(512); OUT(512);\n"
    "  SHARED(f32, s, 512);\n"
    "  sts_f32(s, THREAD, ld_f32(x, THREAD));\n"
    "  if (p.dims[0]) BARRIER();\n"
    "  st_f32(y, THREAD, lds_f32(s, 127 - THREAD));\n"
    "}\n"
    // One team hands a value to itself, with a fence where dims[0].
    "K(k_groups, 32) { SHARED(f32, s, 128); if (p.dims[0] || !BLOCK) sts_f32(s, THREAD, 1); lds_f32(s, THREAD); }\n"
    "K(k_fence, 32) {\n"
    "  OUT(128);\n"
    "  SHARED(f32, s, 128);\n"
    "  sts_f32(s, THREAD, THREAD);\n"
    "  if (p.dims[0]) TEAM_FENCE(16);\n"
    "  st_f32(y, THREAD, lds_f32(s, THREAD ^ p.dims[1]));\n"
    "}\n"
    "K(k_bounds, 32) { IN(128); OUT(128); st_f32(y, THREAD, ld_f32(x, THREAD + p.dims[0])); }\n"
    "K(k_bounds_write, 32) { OUT(128); st_f32(y, THREAD - p.dims[0], 1); }\n"
    "K(k_read_only, 32) { IN(128); st_f32(x, THREAD, 1); }\n"
    "K(k_table, 32) { void *const *t = (void *const *)p.args[0]; EXTENT(t, 16, 0); OUT(128);\n"
    "  f32 *row = (f32 *)ld_pointer(t, p.dims[0]); st_f32(y, THREAD, ld_f32(row, THREAD + p.dims[1])); }\n"
    "K(k_shared_bounds, 32) { SHARED(f32, s, 128); SHARED(f32, other, 128); sts_f32(s, THREAD + p.dims[0], 1); }\n"
    "K(k_index, 32) { OUT(128); f32 r[4] = {1, 2, 3, 4}; st_f32(y, THREAD, r[INDEX(THREAD % 4 + p.dims[0], 4)]); }\n"
    "CONST_DATA(f32, table, 4) = {1, 2, 3, 4};\n"
    "K(k_const, 32) { OUT(128); st_f32(y, THREAD, ldk_f32(table, THREAD % 4 + p.dims[0])); }\n"
    "K(k_uninitialised, 32) { OUT(128); SHARED(f32, s, 128); if (THREAD != p.dims[0]) sts_f32(s, THREAD, 1);\n"
    "  BARRIER(); st_f32(y, THREAD, lds_f32(s, THREAD)); }\n"
    "K(k_misaligned, 32) { IN(1024); OUT(1024); u32 a, b, c, d; ldw4(a, b, c, d, x, 4 * THREAD + p.dims[0]);\n"
    "  stw4(y, 4 * THREAD, a, b, c, d); }\n"
    "K(k_race_global, 64) { OUT(256); st_f32(y, THREAD / (p.dims[0] ? 2 : 1), 1); }\n"
    "K(k_race_blocks, 32) { OUT(4096); st_f32(y, p.dims[0] ? THREAD : BLOCK * 32 + THREAD, 1); }\n"
    "K(k_race_bytes, 32) { u8 *y = (u8 *)p.args[1]; EXTENT(y, 128, 1); st_u8(y, THREAD / (p.dims[0] ? 2 : 1), 1); }\n"
    "K(k_read_write, 32) { OUT(128); f32 v = ld_f32(y, (THREAD + 1) % 32); if (p.dims[0]) WARP_FENCE();\n"
    "  st_f32(y, THREAD, v); }\n"
    "K(k_write, 32) { OUT(128); if (p.dims[0]) GRID_WAIT(); st_f32(y, THREAD, 1); GRID_WAIT(); }\n"
    "K(k_early, 32) { IN(128); OUT(128); const f32 v = p.dims[0] ? 0 : ld_f32(y, THREAD), w = ld_f32(x, THREAD);\n"
    "  if (p.dims[1]) GRID_WAIT(); if (p.dims[1]) st_f32(y, THREAD, v + w + ld_f32(y, THREAD)); }\n"
    "K(k_half_barrier, 64) { if (THREAD < 32 || p.dims[0]) BARRIER(); }\n"
    "K(k_other_barrier, 64) {\n"
    "  if (THREAD < 32) BARRIER();\n"
    "  else BARRIER();\n"
    "}\n"
    "K(k_half_shuffle, 32) { OUT(128); f32 v = 1; if (THREAD < 16 || p.dims[0]) v = SHFL_XOR_f32(v, 1); st_f32(y, "
    "THREAD, v); }\n"
    "K(k_mixed_shuffle, 32) { f32 v = 1; if (THREAD < 16) SHFL_XOR_f32(v, 1); else ANY(1); }\n"
    "K(k_steps, 32) { IN(128); for (;;) ld_f32(x, 0); }\n"
    // The last block sums what all have written; the fence is left out where dims[0] is 0.
    "K(k_last, 32) {\n"
    "  OUT(4 * GRID + 4); u32 *n = (u32 *)p.args[2]; EXTENT(n, 4, 1);\n"
    "  if (THREAD) return;\n"
    "  st_f32(y, BLOCK, BLOCK);\n"
    "  if (p.dims[0]) FENCE();\n"
    "  if (ATOMIC_add_u32(n, 0, 1) != (u32)GRID - 1) return;\n"
    "  f32 sum = 0;\n"
    "  for (i64 i = 0; i < GRID; i++) sum += ld_f32(y, i);\n"
    "  st_f32(y, GRID, sum);\n"
    "}\n"
    "K(k_named, 96) {\n"
    "  OUT(4 * 96); SHARED(f32, s, 4 * 96);\n"
    "  sts_f32(s, THREAD, THREAD);\n"
    "  if (THREAD < 64) { BARRIER_ID(1, 64); st_f32(y, THREAD, lds_f32(s, 63 - THREAD)); }\n"
    "  else st_f32(y, THREAD, lds_f32(s, p.dims[0] ? THREAD : 5));\n"
    "}\n"
    "K(k_producer, 64) {\n"
    "  OUT(128); SHARED(f32, s, 128);\n"
    "  if (THREAD < 32) { sts_f32(s, THREAD, THREAD); BARRIER_ARRIVE(1, 64); }\n"
    "  else { BARRIER_ID(1, 64); st_f32(y, THREAD - 32, lds_f32(s, 63 - THREAD)); }\n"
    "}\n"
    "K(k_scratch, 32) {\n"
    "  OUT(128 * GRID); f32 *t = (f32 *)((u8 *)p.scratch + BLOCK * p.scratch_stride); EXTENT_SCRATCH(t, "
    "p.scratch_stride);\n"
    "  st_f32(t, THREAD, THREAD); WARP_FENCE(); st_f32(y, BLOCK * 32 + THREAD, ld_f32(t, 31 - THREAD + p.dims[0]));\n"
    "}\n"
    "K(k_votes, 32) {\n"
    "  i32 *y = (i32 *)p.args[1]; EXTENT(y, 128, 1);\n"
    "  i32 v = ANY(THREAD == 7) + 2 * ALL(THREAD < 31) + 4 * ALL(THREAD < 32) + 8 * SHFL_DOWN_i32(THREAD, 4) + 1024 * "
    "SHFL_i32(THREAD, 33);\n"
    "  st_i32(y, THREAD, v + 65536 * (i32)TEAM_XOR_f64((f64)THREAD, 3, 16));\n"
    "}\n"
    "K(k_banks, 32) { SHARED(f32, s, 4096); sts_f32(s, THREAD * p.dims[0], 1); }\n"
    "K(k_sectors, 32) { IN(16384); ld_f32(x, THREAD * p.dims[0]); }\n";

static rt_sim *sim;
static rt_sim_object *object;
static float x[4096], y[4096];
static uint32_t words[4];

static void setup(void) {
  OK(rt_sim_create(&sim));
  object = sim_compile(kernels);
  for (int i = 0; i < 4096; i++) x[i] = (float)(i % 97);
  memset(y, 0, sizeof(y));
}

static void teardown(void) {
  rt_sim_destroy(sim);
  rt_sim_object_unload(object);
}

TestSuite(sim, .init = setup, .fini = teardown);

static sim_params params(int64_t a, int64_t b) {
  return (sim_params){.args = {x, y, words}, .dims = {a, b}, .items = 1};
}

static rt_sim_report run(const char *name, int64_t a, int64_t b) {
  const sim_params p = params(a, b);
  return sim_run(sim, object, name, &p, (rt_sim_launch_options){.seed = 0});
}

// The kernel passes with |good| and has the fault with |bad|.
static rt_sim_report expect(const char *name, int64_t good, int64_t bad, rt_sim_check check) {
  rt_sim_report r = run(name, good, 0);
  cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
  r = run(name, bad, 0);
  cr_assert_eq(r.check, check, "%s: %s", name, r.check ? r.text : "no fault");
  cr_assert(strstr(r.text, name), "%s", r.text);
  return r;
}

Test(sim, rows) {
  for (uint64_t seed = 0; seed < 4; seed++) {
    sim_params p = params(37, 0);
    p.items = 19;
    memset(y, 0, sizeof(y));
    rt_sim_report r = sim_run(sim, object, "k_rows", &p, (rt_sim_launch_options){.grid = 3, .seed = seed});
    cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
    for (int i = 0; i < 19; i++) {
      float sum = 0;
      for (int k = 0; k < 37; k++) sum += x[i * 37 + k];
      cr_assert_float_eq(y[i], sum, 1e-3f, "row %d: %f, not %f", i, (double)y[i], (double)sum);
    }
    cr_assert(r.accesses > 0 && r.warp_operations > 0 && r.blocks == 3);
  }
}

Test(sim, team_runs_blocks) {
  rt_team *team = NULL;
  OK(rt_team_create(4, false, weir_allocator_system(), &team));
  sim_params p = params(37, 0);
  p.items = 100;
  for (int round = 0; round < 20; round++) {
    memset(y, 0, sizeof(y));
    rt_sim_report r = sim_run(sim, object, "k_rows", &p, (rt_sim_launch_options){.grid = 25, .seed = 3, .team = team});
    cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
    cr_assert_eq(r.blocks, 25);
    cr_assert(y[99] > 0);
  }
  p = params(1, 0);
  rt_sim_report r = sim_run(sim, object, "k_race_blocks", &p, (rt_sim_launch_options){.grid = 32, .team = team});
  cr_assert_eq(r.check, RT_SIM_race, "%s", r.text);
  rt_team_destroy(team);
}

Test(sim, unchecked_and_many_launches) {
  // More than the 255 numbers of launches: what stands from long ago is no race.
  for (int i = 0; i < 600; i++) {
    sim_params p = params(1, 0);
    rt_sim_report r =
        sim_run(sim, object, "k_reverse", &p, (rt_sim_launch_options){.seed = (uint64_t)i, .unchecked = i % 2});
    cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
    cr_assert_eq(y[3], x[124]);
  }
}

Test(sim, shared_memory_is_of_one_block) {
  sim_params p = params(1, 0);
  rt_sim_report r = sim_run(sim, object, "k_groups", &p, (rt_sim_launch_options){.grid = 5});
  cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
  p = params(0, 0);  // nothing is left of the block before
  r = sim_run(sim, object, "k_groups", &p, (rt_sim_launch_options){.grid = 5});
  cr_assert(r.check == RT_SIM_uninitialised && r.block == 1, "%s", r.text);
}

Test(sim, bounds) {
  rt_sim_report r = expect("k_bounds", 0, 1, RT_SIM_bounds);
  cr_assert(r.index == 32 && r.thread == 31 && r.block == 0 && !strcmp(r.buffer, "x"), "%s", r.text);
  r = expect("k_bounds_write", 0, 1, RT_SIM_bounds);
  cr_assert(r.index == -1 && r.thread == 0, "%s", r.text);
  r = expect("k_shared_bounds", 0, 1, RT_SIM_bounds);
  cr_assert(!strcmp(r.buffer, "s"), "%s", r.text);
  r = run("k_read_only", 0, 0);
  cr_assert_eq(r.check, RT_SIM_read_only, "%s", r.text);
  r = expect("k_index", 0, 1, RT_SIM_local_index);
  r = expect("k_const", 0, 1, RT_SIM_local_index);
}

Test(sim, allocations) {
  float *rows[2] = {x, x + 64};
  sim_params p = {.args = {rows, y}, .dims = {1, 0}};
  rt_sim_report r = sim_run(sim, object, "k_table", &p, (rt_sim_launch_options){0});
  cr_assert_eq(r.check, RT_SIM_bounds, "%s", r.text);  // nobody knows the row
  OK(rt_sim_register(sim, x + 64, 128));
  r = sim_run(sim, object, "k_table", &p, (rt_sim_launch_options){0});
  cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
  p.dims[1] = 1;
  r = sim_run(sim, object, "k_table", &p, (rt_sim_launch_options){0});
  cr_assert_eq(r.check, RT_SIM_bounds, "%s", r.text);
  rt_sim_require_registered(sim, true);
  r = run("k_bounds", 0, 0);
  cr_assert_eq(r.check, RT_SIM_bounds, "%s", r.text);
  OK(rt_sim_register(sim, x, 64));
  OK(rt_sim_register(sim, y, sizeof(y)));
  r = run("k_bounds", 0, 0);  // the allocation is shorter than the extent
  cr_assert(r.check == RT_SIM_bounds && r.index == 16, "%s", r.text);
  weir_status status = rt_sim_register(sim, x + 8, 8);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  weir_status_release(status);
  OK(rt_sim_unregister(sim, x));
  status = rt_sim_unregister(sim, x);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_NOT_FOUND);
  weir_status_release(status);
}

Test(sim, races) {
  rt_sim_report r = run("k_reverse", 0, 0);  // what it reads early has not been written
  cr_assert_eq(r.check, RT_SIM_uninitialised, "%s", r.text);
  expect("k_race_global", 0, 1, RT_SIM_race);
  expect("k_race_bytes", 0, 1, RT_SIM_race);
  expect("k_read_write", 1, 0, RT_SIM_race);
  sim_params p = params(0, 0);
  r = sim_run(sim, object, "k_race_blocks", &p, (rt_sim_launch_options){.grid = 4});
  cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
  p = params(1, 0);
  r = sim_run(sim, object, "k_race_blocks", &p, (rt_sim_launch_options){.grid = 4});
  cr_assert_eq(r.check, RT_SIM_race, "%s", r.text);
}

static rt_sim_check early(const char *name, int64_t a, int64_t b, bool overlaps) {
  sim_params p = params(a, b);
  return sim_run(sim, object, name, &p, (rt_sim_launch_options){.grid = 1, .overlaps = overlaps}).check;
}

// What a launch does before it waits for those before, back to the last that overlaps with none.
Test(sim, launches_overlap) {
  OK(rt_sim_register(sim, y, sizeof(y)));  // what a launch has written is known of memory that stays
  cr_assert_eq(early("k_write", 1, 0, false), RT_SIM_none);
  cr_assert_eq(early("k_early", 0, 1, true), RT_SIM_early, "reads what the launch before writes");
  cr_assert_eq(early("k_early", 1, 1, true), RT_SIM_none, "reads what nobody writes");
  cr_assert_eq(early("k_early", 1, 0, true), RT_SIM_early, "ends without waiting");
  cr_assert_eq(early("k_early", 1, 0, false), RT_SIM_none);
  cr_assert_eq(early("k_early", 0, 1, true), RT_SIM_none, "the writing launch has ended");
  cr_assert_eq(early("k_write", 0, 0, true), RT_SIM_early, "writes");
  cr_assert_eq(early("k_write", 0, 0, false), RT_SIM_none);
  cr_assert_eq(early("k_early", 1, 1, true), RT_SIM_none);
  cr_assert_eq(early("k_early", 0, 1, true), RT_SIM_early, "one of two launches back");
  OK(rt_sim_unregister(sim, y));
}

Test(sim, fences_order_teams) {
  rt_sim_report r = run("k_fence", 1, 5);
  cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
  r = run("k_fence", 0, 5);
  cr_assert(r.check == RT_SIM_race || r.check == RT_SIM_uninitialised, "%s", r.text);
  r = run("k_fence", 1, 16);  // another team
  cr_assert(r.check == RT_SIM_race || r.check == RT_SIM_uninitialised, "%s", r.text);
  r = run("k_named", 1, 0);
  cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
  cr_assert_eq(y[3], 60);
  r = run("k_named", 0, 0);
  cr_assert_eq(r.check, RT_SIM_race, "%s", r.text);
  for (uint64_t seed = 0; seed < 6; seed++) {
    const sim_params p = params(0, 0);
    r = sim_run(sim, object, "k_producer", &p, (rt_sim_launch_options){.seed = seed});
    cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
    cr_assert_eq(y[3], 28);
  }
}

Test(sim, last_block) {
  for (uint64_t seed = 0; seed < 4; seed++) {
    words[0] = 0;
    sim_params p = params(1, 0);
    rt_sim_report r = sim_run(sim, object, "k_last", &p, (rt_sim_launch_options){.grid = 10, .seed = seed});
    cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
    cr_assert_eq(y[10], 45);
  }
  words[0] = 0;
  sim_params p = params(0, 0);
  rt_sim_report r = sim_run(sim, object, "k_last", &p, (rt_sim_launch_options){.grid = 10});
  cr_assert_eq(r.check, RT_SIM_race, "%s", r.text);
}

Test(sim, divergence) {
  rt_sim_report r = expect("k_half_barrier", 1, 0, RT_SIM_divergent_barrier);
  r = run("k_other_barrier", 0, 0);
  cr_assert_eq(r.check, RT_SIM_divergent_barrier, "%s", r.text);
  r = expect("k_half_shuffle", 1, 0, RT_SIM_divergent_warp);
  r = run("k_mixed_shuffle", 0, 0);
  cr_assert_eq(r.check, RT_SIM_divergent_warp, "%s", r.text);
}

Test(sim, other_checks) {
  expect("k_uninitialised", -1, 5, RT_SIM_uninitialised);
  rt_sim_report r = expect("k_misaligned", 0, 1, RT_SIM_misaligned);
  const sim_params p = params(0, 0);
  r = sim_run(sim, object, "k_steps", &p, (rt_sim_launch_options){.steps = 100000});
  cr_assert_eq(r.check, RT_SIM_steps, "%s", r.text);
  sim_params scratch = params(0, 0);
  scratch.scratch = x + 1024;
  scratch.scratch_stride = 128;
  r = sim_run(sim, object, "k_scratch", &scratch, (rt_sim_launch_options){.grid = 3});
  cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
  cr_assert_eq(y[70], 25);
  scratch.dims[0] = 1;
  r = sim_run(sim, object, "k_scratch", &scratch, (rt_sim_launch_options){.grid = 3});
  cr_assert_eq(r.check, RT_SIM_bounds, "%s", r.text);
}

Test(sim, votes_and_shuffles) {
  rt_sim_report r = run("k_votes", 0, 0);
  cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
  for (int i = 0; i < 32; i++) {
    int32_t got;
    memcpy(&got, y + i, 4);
    cr_assert_eq(got, 1 + 4 + 8 * (i < 28 ? i + 4 : i) + 1024 + 65536 * (i ^ 3));
  }
}

Test(sim, counters) {
  static const struct {
    int64_t step;
    uint64_t conflicts, extra;
  } cases[] = {{1, 0, 0}, {2, 1, 4}, {32, 31, 28}, {0, 0, 0}};
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    sim_params p = params(cases[i].step, 0);
    rt_sim_report r;
    if (cases[i].step) {
      r = sim_run(sim, object, "k_banks", &p, (rt_sim_launch_options){.count = true});
      cr_assert_eq(r.check, RT_SIM_none, "%s", r.text);
      cr_assert_eq(r.bank_conflicts, cases[i].conflicts, "step %d: %llu", (int)cases[i].step,
                   (unsigned long long)r.bank_conflicts);
    }
    r = sim_run(sim, object, "k_sectors", &p, (rt_sim_launch_options){.count = true});
    cr_assert_eq(r.extra_sectors, cases[i].extra, "step %d: %llu of %llu", (int)cases[i].step,
                 (unsigned long long)r.extra_sectors, (unsigned long long)r.sectors);
  }
}

Test(sim, objects_and_options) {
  const rt_sim_kernel *kernel = NULL;
  weir_status status = rt_sim_object_find(object, "k_none", &kernel);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_NOT_FOUND);
  weir_status_release(status);
  rt_sim_object *bad = NULL;
  status = rt_sim_object_load_bytes("no object", 9, &bad);
  cr_assert(weir_status_code(status) == WEIR_CODE_IO && !bad);
  weir_status_release(status);
  OK(rt_sim_object_find(object, "k_rows", &kernel));
  cr_assert(kernel->threads == 64 && kernel->param_bytes == sizeof(sim_params));
  const sim_params p = params(1, 0);
  const rt_sim_launch_options wrong[] = {{.grid = 0, .params = &p},
                                         {.grid = 1, .threads = 65, .params = &p},
                                         {.grid = 3, .cluster = 2, .params = &p},
                                         {.grid = 1, .dynamic_bytes = 1 << 20, .params = &p},
                                         {.grid = 1}};
  for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
    status = rt_sim_launch(sim, kernel, &wrong[i], NULL);
    cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
    weir_status_release(status);
  }
}
