// The CUDA device layer without a GPU: over the simulator, and over a driver that fails where it is told to.
#include "tests/unit/runtime/loop_cases.h"

#include "tests/unit/codegen/device_fixture.h"

static fixture f;
static const char *package;

static void setup(void) {
  static char path[128];
  scratch_make();
  fixture_init(&f);
  f.programs[0]->symbols[0].hi = f.programs[1]->symbols[0].hi = 2000;
  snprintf(path, sizeof path, "%s", scratch_path("m.wpk"));
  package = path;
  sim_package_write(package, &f, "");
}

static void teardown(void) {
  fixture_deinit(&f);
  scratch_remove();
}

TestSuite(device, .init = setup, .fini = teardown);

// What a test tells the fake driver.
static struct {
  void (*fail)(int64_t, int, int);
  int64_t (*calls)(void), (*count)(const char *), (*left)(void), (*overlaps)(void);
  const char *(*failed)(void);
} fake;

static void fake_use(const char *path) {
  cr_assert_eq(setenv("WEIR_CUDA_DRIVER", path, 1), 0);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  cr_assert(library, "%s", dlerror());
  *(void **)&fake.fail = dlsym(library, "fake_cuda_fail");
  *(void **)&fake.calls = dlsym(library, "fake_cuda_calls");
  *(void **)&fake.count = dlsym(library, "fake_cuda_count");
  *(void **)&fake.left = dlsym(library, "fake_cuda_left");
  *(void **)&fake.failed = dlsym(library, "fake_cuda_failed");
  *(void **)&fake.overlaps = dlsym(library, "fake_cuda_overlaps");
  cr_assert(fake.fail && fake.calls && fake.count && fake.left && fake.failed && fake.overlaps);
  fake.fail(0, 0, 0);
}

Test(device, sim_answers_as_the_host_does) {
  life host, sim;
  OK(life_run(package, NULL, NULL, &host));
  OK(life_run(package, "sim", NULL, &sim));
  cr_assert(host.count > 20);
  life_compare(&host, &sim);
}

// Call |n| of a first step fails, or none; whether it was that which makes a map.
static bool map_fails_at(int64_t n) {
  weir_model *model;
  weir_executor *x;
  life l = {.count = 0};
  OK(weir_model_load(package, &(weir_load_options){.device = "cuda"}, &model));
  OK(weir_executor_create(model, NULL, &x));
  const weir_entry *score = weir_model_find_entry(model, "score");
  fake.fail(n, 1, 0);
  weir_status status = life_step(&l, x, score, NULL, (int[]){5}, 1, NULL);
  bool found = fake.failed() && !strcmp(fake.failed(), "cuTensorMapEncodeTiled");
  if (found) {
    bool again = getenv("WEIR_CHECK_LAUNCHES")[0] == '0';  // a graph is tried once more, without overlaps
    cr_assert_eq(weir_status_code(status), again ? WEIR_CODE_OK : WEIR_CODE_UNSUPPORTED);
    cr_assert(again || strstr(weir_status_message(status), "kernel 'embed'"), "%s", weir_status_message(status));
    fake.fail(0, 0, 0);
    OK(life_step(&l, x, score, NULL, (int[]){5}, 1, NULL));
  }
  weir_status_release(status);
  weir_executor_destroy(x);
  weir_model_release(model);
  return found;
}

// A map that the driver refuses is told with its kernel, and costs nothing but the call.
Test(device, a_map_that_fails_is_told) {
  static const char *const one_by_one[] = {"0", "1"};
  for (int i = 0; i < 2; i++) {
    int64_t n = 1;
    setenv("WEIR_CHECK_LAUNCHES", one_by_one[i], 1);
    fake_use(WEIR_FAKE_CUDA);
    while (!map_fails_at(n)) cr_assert_lt(n++, 100);
  }
  unsetenv("WEIR_CHECK_LAUNCHES");
}

Test(device, a_driver_is_the_same_code_path) {
  life host, cuda;
  fake_use(WEIR_FAKE_CUDA);
  OK(life_run(package, "cpu", NULL, &host));
  OK(life_run(package, "cuda:0", NULL, &cuda));
  life_compare(&host, &cuda);
  cr_assert_eq(fake.left(), 0);
  cr_assert(fake.count("cuGraphLaunch") > 0);
  cr_assert_eq(fake.count("cuGraphInstantiateWithFlags"), 2, "one graph for each list of launches");
  cr_assert_eq(fake.count("cuLaunchKernelEx"), 0);
  int64_t maps = fake.count("cuTensorMapEncodeTiled");
  cr_assert(maps >= 2 && maps < fake.count("cuGraphLaunch"), "%ld maps", (long)maps);
  cr_assert_eq(fake.count("cuGraphInstantiateWithFlags"), fake.count("cuGraphExecDestroy"));
  cr_assert_eq(fake.count("cuMemAlloc_v2"), fake.count("cuMemFree_v2"));
}

// One kernel of three waits for what is before it by itself: its node's edges say so, and its launches, where they go
// one by one; nobody else's do.
Test(device, a_kernel_that_waits_may_begin_early) {
  static const char *const one_by_one[] = {"0", "1"};
  for (int i = 0; i < 2; i++) {
    life host, cuda;
    setenv("WEIR_CHECK_LAUNCHES", one_by_one[i], 1);
    fake_use(WEIR_FAKE_CUDA);
    OK(life_run(package, "cpu", NULL, &host));
    OK(life_run(package, "cuda", NULL, &cuda));
    life_compare(&host, &cuda);
    int64_t launches = fake.count("cuLaunchKernelEx"), edges = fake.count("cuGraphAddDependencies_v2");
    cr_assert_eq(launches > 0, i == 1);
    cr_assert_eq(edges > 0, i == 0);
    cr_assert_gt(fake.overlaps(), 0);
    if (i) cr_assert_lt(fake.overlaps(), launches);
    else cr_assert_eq(fake.overlaps(), edges);
  }
  unsetenv("WEIR_CHECK_LAUNCHES");
}

// A kernel of which the facts say that it waits, and which does not: what it reads may not be there yet.
Test(device, a_kernel_that_does_not_wait_is_found) {
  weir_model *model;
  weir_executor *x;
  weir_session *s;
  life l = {.count = 0};
  sim_package_write(package, &f, "-DHASTY");
  OK(weir_model_load(package, &(weir_load_options){.device = "sim"}, &model));
  OK(weir_executor_create(model, NULL, &x));
  OK(weir_session_open(model, NULL, 0, &s));
  FAILS(life_step(&l, x, weir_model_find_entry(model, "next"), &s, (int[]){5}, 1, NULL), WEIR_CODE_DEVICE_LOST,
        "which a launch before has written");
  weir_session_close(s);
  weir_executor_destroy(x);
  weir_model_release(model);
  // Launches that do not overlap have no reason to.
  setenv("WEIR_OVERLAP", "0", 1);
  life host, sim;
  OK(life_run(package, "cpu", NULL, &host));
  OK(life_run(package, "sim", NULL, &sim));
  life_compare(&host, &sim);
  unsetenv("WEIR_OVERLAP");
}

// Every call of the driver fails once: a status that says so, everything is let go, and no wrong answer.
static void every_call_fails(int code, int forever) {
  life host, cuda;
  counting c = {0};
  weir_allocator allocator = counting_allocator(&c);
  OK(life_run(package, "cpu", NULL, &host));
  int64_t n = 0;
  for (bool done = false; !done; n++) {
    fake.fail(n + 1, code, forever);
    weir_status status = life_run(package, "cuda", &allocator, &cuda);
    done = !fake.failed();
    cr_assert_eq(c.live, 0, "call %ld, %s: %ld blocks are left", (long)n, fake.failed(), (long)c.live);
    if (!status) {
      life_compare(&host, &cuda);
      continue;
    }
    cr_assert(fake.failed(), "call %ld: %s", (long)n, weir_status_message(status));
    weir_code got = weir_status_code(status);
    cr_assert(got == WEIR_CODE_DEVICE_LOST || got == WEIR_CODE_OUT_OF_MEMORY || got == WEIR_CODE_UNSUPPORTED,
              "call %ld, %s: %s", (long)n, fake.failed(), weir_status_message(status));
    // A context that is gone cannot be entered to free what was in it.
    bool entered = strcmp(fake.failed(), "cuCtxPushCurrent_v2") && !forever;
    cr_assert(!entered || fake.left() <= 0, "call %ld, %s: %ld objects are left", (long)n, fake.failed(),
              (long)fake.left());
    weir_status_release(status);
  }
  cr_assert(n > 200, "%ld calls", (long)n);
}

Test(device, every_call_may_say_that_there_is_no_memory) {
  fake_use(WEIR_FAKE_CUDA);
  every_call_fails(2, 0);
}

Test(device, every_call_may_fail) {
  fake_use(WEIR_FAKE_CUDA);
  every_call_fails(999, 0);
}

Test(device, every_call_may_be_the_last) {
  fake_use(WEIR_FAKE_CUDA);
  every_call_fails(719, 1);
}

Test(device, a_broken_kernel_loses_the_device_and_nothing_else) {
  weir_model *model, *again;
  weir_executor *x;
  weir_session *s;
  life l = {.count = 0};
  sim_package_write(package, &f, "-DBROKEN");
  OK(weir_model_load(package, &(weir_load_options){.device = "sim"}, &model));
  OK(weir_executor_create(model, NULL, &x));
  OK(weir_session_open(model, NULL, 0, &s));
  const weir_entry *next = weir_model_find_entry(model, "next"), *score = weir_model_find_entry(model, "score");
  OK(life_step(&l, x, score, NULL, (int[]){5}, 1, NULL));
  FAILS(life_step(&l, x, next, &s, (int[]){5}, 1, NULL), WEIR_CODE_DEVICE_LOST, "sum");
  cr_assert_eq(weir_session_rows(s, NULL), 0);
  FAILS(life_step(&l, x, score, NULL, (int[]){5}, 1, NULL), WEIR_CODE_DEVICE_LOST, "was lost: ");
  FAILS(weir_session_open(model, NULL, 0, &s), WEIR_CODE_DEVICE_LOST, "sum");
  weir_session_close(s);
  weir_executor_destroy(x);
  weir_model_release(model);
  // The last one has gone: a new context is a new start.
  sim_package_write(package, &f, "");
  OK(weir_model_load(package, &(weir_load_options){.device = "sim"}, &again));
  weir_model_release(again);
}

// Two packages side by side: each has its own code, and one kernel's fault is the whole device's.
Test(device, two_models_share_a_device) {
  weir_model *good, *bad;
  weir_executor *x;
  weir_session *s;
  life l = {.count = 0};
  OK(weir_model_load(package, &(weir_load_options){.device = "sim"}, &good));
  sim_package_write(package, &f, "-DBROKEN");
  OK(weir_model_load(package, &(weir_load_options){.device = "sim"}, &bad));
  OK(weir_executor_create(good, NULL, &x));
  OK(weir_session_open(good, NULL, 0, &s));
  OK(life_step(&l, x, weir_model_find_entry(good, "next"), &s, (int[]){5}, 1, NULL));
  weir_executor *y;
  weir_session *t;
  OK(weir_executor_create(bad, NULL, &y));
  OK(weir_session_open(bad, NULL, 0, &t));
  FAILS(life_step(&l, y, weir_model_find_entry(bad, "next"), &t, (int[]){5}, 1, NULL), WEIR_CODE_DEVICE_LOST, "sum");
  FAILS(life_step(&l, x, weir_model_find_entry(good, "next"), &s, (int[]){5}, 1, NULL), WEIR_CODE_DEVICE_LOST, "sum");
  cr_assert_eq(weir_session_rows(s, NULL), 5);
  weir_session_close(s);
  weir_session_close(t);
  weir_executor_destroy(x);
  weir_executor_destroy(y);
  weir_model_release(good);
  weir_model_release(bad);
}

Test(device, a_device_may_be_absent_or_too_old) {
  life l;
  FAILS(life_run(package, "tpu", NULL, &l), WEIR_CODE_UNSUPPORTED, "device 'tpu'");
  FAILS(life_run(package, "cuda:x", NULL, &l), WEIR_CODE_UNSUPPORTED, "device 'cuda:x'");
  setenv("WEIR_CUDA_DRIVER", "/none/libcuda.so", 1);
  FAILS(life_run(package, "cuda", NULL, &l), WEIR_CODE_NOT_FOUND, "no CUDA driver");
  fake_use(WEIR_FAKE_CUDA_LACKING);
  FAILS(life_run(package, "cuda", NULL, &l), WEIR_CODE_UNSUPPORTED, "has no 'cuGraphLaunch'");
  fake_use(WEIR_FAKE_CUDA);
  FAILS(life_run(package, "cuda:1", NULL, &l), WEIR_CODE_UNSUPPORTED, "no device 'cuda:1': there is 1");
  setenv("WEIR_FAKE_VERSION", "11080", 1);
  FAILS(life_run(package, "cuda", NULL, &l), WEIR_CODE_UNSUPPORTED, "is of CUDA 11.8: Weir needs 12.0");
  unsetenv("WEIR_FAKE_VERSION");
  setenv("WEIR_FAKE_DEVICES", "0", 1);
  FAILS(life_run(package, "cuda", NULL, &l), WEIR_CODE_UNSUPPORTED, "sees no device");
}

Test(device, memory_that_is_missing_is_counted) {
  life l;
  setenv("WEIR_SIM", "memory=200", 1);
  FAILS(life_run(package, "sim", NULL, &l), WEIR_CODE_OUT_OF_MEMORY, "56 are missing");
}

Test(device, code_is_chosen_by_architecture) {
  cr_assert_gt(rt_cuda_arch_rank("sm_90", "sm_90a"), rt_cuda_arch_rank("sm_90", "sm_90"));
  cr_assert_gt(rt_cuda_arch_rank("sm_90", "sm_90"), rt_cuda_arch_rank("sm_90", "ptx"));
  cr_assert_gt(rt_cuda_arch_rank("sm_89", "sm_86"), rt_cuda_arch_rank("sm_89", "sm_80"));
  cr_assert_gt(rt_cuda_arch_rank("sm_89", "sm_80"), rt_cuda_arch_rank("sm_89", "ptx"));
  static const char *const never[][2] = {{"sm_80", "sm_86"}, {"sm_90", "sm_80"}, {"sm_100", "sm_90a"},
                                         {"sm_90", "sim"},   {"sim", "sm_90"},   {"sm_80", "portable"},
                                         {"sim", "ptx"},     {"sm_90", "sm_90b"}};
  for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
    cr_assert_eq(rt_cuda_arch_rank(never[i][0], never[i][1]), 0, "%s on %s", never[i][1], never[i][0]);
  cr_assert_gt(rt_cuda_arch_rank("sim", "sim"), 0);
}

// Storage of rows begins small: sessions grow past it, and past what was asked for at first.
Test(device, sessions_grow) {
  enum { STEPS = 70 };
  static const char *const devices[] = {"cpu", "sim"};
  life seen[2];
  for (int d = 0; d < 2; d++) {
    weir_model *model;
    weir_executor *x;
    weir_session *s;
    memset(&seen[d], 0, sizeof seen[d]);
    OK(weir_model_load(package, &(weir_load_options){.device = devices[d]}, &model));
    OK(weir_executor_create(model, NULL, &x));
    OK(weir_session_open(model, &(weir_capacity){"T", 600}, 1, &s));
    const weir_entry *next = weir_model_find_entry(model, "next");
    for (int i = 0; i < STEPS; i++) {
      if (i == 60) OK(weir_session_grow(s, "T", 700));
      OK(life_step(&seen[d], x, next, &s, (int[]){10}, 1, NULL));
    }
    FAILS(life_step(&seen[d], x, next, &s, (int[]){1}, 1, NULL), WEIR_CODE_OUT_OF_RANGE, "more rows of T");
    OK(weir_session_export(s, seen[d].session, LIFE_BYTES, &seen[d].session_bytes));
    weir_session_close(s);
    weir_executor_destroy(x);
    weir_model_release(model);
  }
  life_compare(&seen[0], &seen[1]);
}

Test(device, memory_is_what_was_predicted) {
  weir_model *model;
  weir_executor *x;
  weir_memory predicted, measured;
  life l = {.count = 0};
  OK(weir_model_load(package, &(weir_load_options){.device = "sim"}, &model));
  OK(weir_executor_create(model, &(weir_executor_options){.no_growth = true}, &x));
  const weir_entry *score = weir_model_find_entry(model, "score");
  const weir_extent extents[] = {{.values = (int64_t[]){5}}, {.values = (int64_t[]){2}}};
  FAILS(life_step(&l, x, score, NULL, (int[]){5, 2}, 2, NULL), WEIR_CODE_OUT_OF_RANGE, "reserved");
  OK(weir_reserve(x, score, extents, 2));
  OK(weir_memory_predict(x, score, extents, 2, &predicted));
  OK(life_step(&l, x, score, NULL, (int[]){5, 2}, 2, NULL));
  weir_memory_measured(x, &measured);
  cr_assert(!memcmp(&predicted, &measured, sizeof measured));
  cr_assert(measured.scratch_bytes > 0 && measured.packing_bytes > 0);
  weir_executor_destroy(x);
  weir_model_release(model);
}

Test(device, launches_are_timed_traced_and_cancelled) {
  weir_model *model;
  weir_executor *x;
  weir_launch_time times[8];
  weir_trace_event events[2];
  weir_trace_thread trace = {.events = events, .capacity = 2};
  int stop = 1;
  life plain = {.count = 0}, timed = {.count = 0};
  OK(weir_model_load(package, &(weir_load_options){.device = "sim"}, &model));
  OK(weir_executor_create(model, NULL, &x));
  cr_assert_eq(weir_executor_threads(x), 1);
  const weir_entry *score = weir_model_find_entry(model, "score");
  weir_run_options options = {.times = times, .time_capacity = 8, .trace = &trace};
  OK(life_step(&plain, x, score, NULL, (int[]){5, 2}, 2, NULL));
  OK(life_step(&timed, x, score, NULL, (int[]){5, 2}, 2, &options));
  life_compare(&plain, &timed);
  cr_assert_eq(options.time_count, 3);
  cr_assert_str_eq(times[1].kernel, "append");
  cr_assert(times[1].ns >= 0 && times[1].items == 7);
  cr_assert_eq(trace.count, 2);
  cr_assert_eq(trace.lost, 1);
  options = (weir_run_options){.cancel = &stop};
  FAILS(life_step(&plain, x, score, NULL, (int[]){5, 2}, 2, &options), WEIR_CODE_CANCELLED, "cancelled");
  weir_executor_destroy(x);
  weir_model_release(model);
}

// Flags are read back before each iteration, sizes follow the loops.
Test(device, loops_run_as_written) {
  static const int64_t ragged[] = {3, 0, 20, 1, 9}, none[] = {0, 0, 0, 0, 0};
  weir_model *model;
  weir_executor *x;
  loop_package_write(package, weir_arena_printf(&f.arena, loop_text, 1, 1, 1, 1, 1));
  OK(weir_model_load(package, &(weir_load_options){.device = "sim"}, &model));
  OK(weir_executor_create(model, NULL, &x));
  const weir_entry *entry = weir_model_find_entry(model, "sums");
  loop_check(x, entry, ragged, 1);
  loop_check(x, entry, ragged, 2);
  loop_check(x, entry, ragged, 3);  // timed
  loop_check(x, entry, none, 1);
  weir_executor_destroy(x);
  weir_model_release(model);
  loops_run_as_written();  // on the host, as they stand there
}

#define EMBED_WITH_MAP                                                                                               \
  "embed unit=0 threads=32 items=32 shared=0 dynamic=0 scratch=0 registers=1 spills=0 occupancy=1 maps=1 cluster=0 " \
  "block=0 pdl=0"

// What facts and objects say is not believed.
Test(device, what_is_wrong_in_the_code_is_refused) {
  static const char *const wrong[] = {
      "",
      "embed\n",
      "embed unit=0 threads=32\n",
      "embed unit=1 threads=32 items=32 shared=0 dynamic=0 scratch=0 registers=1 spills=0 occupancy=1 maps=0 cluster=0 "
      "block=0 pdl=0\n",
      "embed unit=0 threads=2000 items=32 shared=0 dynamic=0 scratch=0 registers=1 spills=0 occupancy=1 maps=0 "
      "cluster=0 block=0 pdl=0\n",
      "embed unit=0 threads=32 items=32 shared=0 dynamic=0 scratch=99999999999999999999 registers=1 spills=0 "
      "occupancy=1 maps=0 cluster=0 block=0 pdl=0\n",
      "embed unit=0 threads=32 items=0 shared=0 dynamic=0 scratch=0 registers=1 spills=0 occupancy=1 maps=0 cluster=0 "
      "block=0 pdl=0\n",
      EMBED_WITH_MAP "\n",                      // no map
      EMBED_WITH_MAP " map=0:1:0:80:0\n",       // no dims
      EMBED_WITH_MAP " map=0:1:0:80:0:80,*\n",  // an operation without operands
      EMBED_WITH_MAP " map=0:1:0:80:0:80,1\n",  // two values
      EMBED_WITH_MAP " map=9:1:0:80:0:80\n",    // no such argument
      EMBED_WITH_MAP " map=0:1:0:80:0:$9\n",    // no such size
      EMBED_WITH_MAP " map=0:3:0:80:0:80\n",    // no such element
      EMBED_WITH_MAP " map=0:1:0:1,1,1,1,1,1:0:1:1:1:1:1:1:1:1:1:1:1\n"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    facts_text = wrong[i];
    sim_package_write(package, &f, "");
    life l;
    weir_status status = life_run(package, "sim", NULL, &l);
    weir_code code = weir_status_code(status);
    cr_assert(code == WEIR_CODE_INVALID_DATA || (!i && code == WEIR_CODE_NOT_FOUND), "%zu: %s", i,
              weir_status_message(status));
    weir_status_release(status);
  }
}
