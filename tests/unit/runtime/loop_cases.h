// Loops of programs as the executor runs them: sums over ragged rows with a condition for each request, a loop in a
// loop whose grid changes, and stopping. Checked against plain C for several numbers of threads, with launches said to
// be long (all threads, barriers) and short (thread 0 alone).
#ifndef WEIR_TESTS_UNIT_RUNTIME_LOOP_CASES_H
#define WEIR_TESTS_UNIT_RUNTIME_LOOP_CASES_H

#include "tests/unit/runtime/fixture.h"

// %d: cost of an item.
static const char loop_text[] =
    "program \"sums\"\n"
    "sizes R, T, T.max, t, u\n"
    "symbol T seq 0..1000\n"
    "input \"x\" f32[T] ragged T bytes 4*T\n"
    "output \"sum\" f32[] bytes 4*R\n"
    "output \"steps\" i32[] bytes 4*R\n"
    "buffer 0 \"flags\" bytes R at 0\n"
    "buffer 1 \"grid\" bytes 4*R*(T.max + 1) at (R + 63)/64*64\n"
    "kernel 0 \"loop_init\" args 4 dims 0\n"
    "kernel 1 \"loop_add\" args 4 dims 1\n"
    "kernel 2 \"loop_mark\" args 1 dims 3\n"
    "kernel 3 \"loop_count\" args 2 dims 2\n"
    "launch 0 grid R args starts(T), b0, out0, b1 cost %d, 0\n"
    "loop t trips T.max + 5 while b0\n"
    "launch 1 grid R args in0, starts(T), out0, b0 dims t sync cost %d, 0\n"
    "loop u trips 2\n"
    "launch 2 grid R*t args b1 dims R, t, u sync when u in 0..2 cost %d, 0\n"
    "end\n"
    "launch 2 grid R args b1 dims R, t, u sync when t in 3..4 cost %d, 0\n"
    "end\n"
    "launch 3 grid R args b1, out1 dims R, T.max sync cost %d, 0\n"
    "arena (R + 63)/64*64 + 4*R*(T.max + 1)\n";

static const float loop_limit = 20;
static int loop_cancel_at = -1, loop_cancel;

static void loop_init(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  const int32_t *starts = args[0];
  (void)dims, (void)scratch;
  for (int64_t r = begin; r < end; r++) {
    ((uint8_t *)args[1])[r] = starts[r + 1] > starts[r];
    ((float *)args[2])[r] = 0;
    ((int32_t *)args[3])[r] = 0;
  }
}

// sum += x[t] while there are rows and the sum is small
static void loop_add(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  const float *x = args[0];
  const int32_t *starts = args[1];
  float *sum = args[2];
  uint8_t *flags = args[3];
  int64_t t = dims[0];
  (void)scratch;
  if (t == loop_cancel_at) __atomic_store_n(&loop_cancel, 1, __ATOMIC_RELAXED);
  for (int64_t r = begin; r < end; r++) {
    if (!flags[r]) continue;
    sum[r] += x[starts[r] + t];
    flags[r] = starts[r] + t + 1 < starts[r + 1] && sum[r] < loop_limit;
  }
}

// R * t items, of which the first R write: t in the first iteration of u, 1000 in the second.
static void loop_mark(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  int32_t *marks = args[0];
  (void)scratch;
  for (int64_t i = begin; i < end && i < dims[0]; i++) marks[i] += dims[2] == 0 ? (int32_t)dims[1] : 1000;
}

static void loop_count(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  (void)dims, (void)scratch;
  for (int64_t r = begin; r < end; r++) ((int32_t *)args[1])[r] = ((int32_t *)args[0])[r];
}

static weir_status loop_lookup(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  static const struct {
    const char *symbol;
    rt_kernel_fn fn;
  } table_of[] = {
      {"loop_init", loop_init}, {"loop_add", loop_add}, {"loop_mark", loop_mark}, {"loop_count", loop_count}};
  (void)context;
  for (int i = 0; i < 4; i++)
    if (!strcmp(table_of[i].symbol, kernel->symbol)) *out_entry = (rt_kernel_entry){.native = table_of[i].fn};
  return WEIR_OK;
}

enum { LOOP_REQUESTS = 5 };

static void loop_expect(const int64_t *lengths, float x, float *sums, int32_t *marks) {
  int iterations = 0;
  for (int r = 0; r < LOOP_REQUESTS; r++) {
    int steps = 0;
    for (sums[r] = 0; steps < lengths[r] && (!steps || sums[r] < loop_limit); steps++) sums[r] += x;
    iterations = steps > iterations ? steps : iterations;
  }
  for (int r = 0; r < LOOP_REQUESTS; r++) {
    marks[r] = 0;
    for (int t = 1; t < iterations; t++) marks[r] += t + 1000;  // u = 0, u = 1
    if (iterations > 3) marks[r] += 3;                          // the launch guarded by t
  }
}

static weir_status loop_run(weir_executor *executor, const weir_entry *entry, const int64_t *lengths, float x,
                            float *sums, int32_t *marks, const int *cancel) {
  float rows[1000];
  weir_view inputs[LOOP_REQUESTS], outputs[LOOP_REQUESTS][2];
  weir_request requests[LOOP_REQUESTS];
  weir_launch_time times[8];
  weir_run_options options = {.cancel = cancel, .times = x > 2 ? times : NULL, .time_capacity = 8};
  for (int i = 0; i < 1000; i++) rows[i] = x;
  for (int r = 0; r < LOOP_REQUESTS; r++) {
    inputs[r] = (weir_view){.data = rows, .dtype = WEIR_DTYPE_F32, .rank = 1, .shape = {lengths[r]}};
    outputs[r][0] = (weir_view){.data = sums + r, .bytes = 4};
    outputs[r][1] = (weir_view){.data = marks + r, .bytes = 4};
    requests[r] = (weir_request){NULL, &inputs[r], outputs[r]};
  }
  weir_status status = weir_run(executor, entry, requests, LOOP_REQUESTS, &options);
  if (!status && options.times) FIXTURE_CHECK(options.time_count == 5, "%d launches timed", options.time_count);
  return status;
}

static void loop_check(weir_executor *executor, const weir_entry *entry, const int64_t *lengths, float x) {
  float sums[LOOP_REQUESTS], want[LOOP_REQUESTS];
  int32_t marks[LOOP_REQUESTS], want_marks[LOOP_REQUESTS];
  OK(loop_run(executor, entry, lengths, x, sums, marks, NULL));
  loop_expect(lengths, x, want, want_marks);
  for (int r = 0; r < LOOP_REQUESTS; r++) {
    FIXTURE_CHECK(sums[r] == want[r], "request %d: sum %g instead of %g", r, sums[r], want[r]);
    FIXTURE_CHECK(marks[r] == want_marks[r], "request %d: %d marks instead of %d", r, marks[r], want_marks[r]);
  }
}

static void loop_case(int threads, int cost) {
  static const int64_t ragged[] = {3, 0, 70, 1, 9}, none[] = {0, 0, 0, 0, 0}, one[] = {1, 0, 0, 0, 0};
  weir_arena arena;
  rt_program *program;
  weir_model *model;
  weir_executor *executor;
  weir_arena_init(&arena);
  const char *text = weir_arena_printf(&arena, loop_text, cost, cost, cost, cost, cost);
  OK(rt_program_parse(&arena, text, strlen(text), &program));
  const rt_program *programs[] = {program};
  rt_model_parts parts = {
      .name = "loops", .isa = "test", .programs = programs, .program_count = 1, .provider = {.lookup = loop_lookup}};
  OK(rt_model_create(&parts, &model));
  OK(weir_executor_create(model, &(weir_executor_options){.threads = threads, .no_pin = true}, &executor));
  const weir_entry *entry = weir_model_find_entry(model, "sums");
  for (int i = 0; i < 3; i++) {
    loop_check(executor, entry, ragged, 1);
    loop_check(executor, entry, ragged, 0.25f);
    loop_check(executor, entry, ragged, 3);  // timed
    loop_check(executor, entry, none, 1);
    loop_check(executor, entry, one, 1);
  }
  float sums[LOOP_REQUESTS];
  int32_t marks[LOOP_REQUESTS];
  loop_cancel_at = 5;
  FAILS(loop_run(executor, entry, ragged, 0.25f, sums, marks, &loop_cancel), WEIR_CODE_CANCELLED, "cancelled");
  loop_cancel_at = -1;
  loop_cancel = 0;
  loop_check(executor, entry, ragged, 1);
  weir_executor_destroy(executor);
  weir_model_release(model);
  weir_arena_deinit(&arena);
}

static void loops_run_as_written(void) {
  for (int threads = 1; threads <= 3; threads++) {
    loop_case(threads, 100000);
    loop_case(threads, 1);
  }
}

#endif
