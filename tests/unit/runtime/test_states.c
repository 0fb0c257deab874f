// Sessions with every kind of state: a window that slides, rows replaced as a whole whose number the session says, a
// fixed block without an initial value. Programs in text, kernels in C. All of it with rows one behind the other, and
// with rows in panels.
#include "tests/unit/runtime/fixture.h"

enum { WINDOW = 4, MOST = 300, PANEL = RT_PANEL_ROWS };

static bool panels;  // how rows lie: two words each, the second what the first is not

// The place of word |word| of row |row|; |first|: the position of the first row of the storage that counts.
static float *row_word(float *data, int first, int row, int word) {
  if (!panels) return data + 2 * row + word;
  row += first % PANEL;
  return data + row / PANEL * 2 * PANEL + word * PANEL + row % PANEL;
}

static void put_row(float *data, int first, int row, float x) {
  *row_word(data, first, row, 0) = x;
  *row_word(data, first, row, 1) = -x;
}

static float get_row(float *data, int first, int row) {
  float x = *row_word(data, first, row, 0);
  cr_assert_eq(*row_word(data, first, row, 1), -x);
  return x;
}

static const char encode_text[] =
    "program \"encode\" step\n"
    "sizes R, A, A.max, S, S.max\n"
    "symbol A seq 1..64\n"
    "volume S count (A + 1)/2\n"
    "input \"m\" f32[A] ragged A bytes 4*A\n"
    "state \"memory\" f32 bytes 8 whole S%s writes\n"
    "state \"gain\" f32 bytes 4 unset writes\n"
    "kernel 0 \"encode\" args 5 dims 0\n"
    "launch 0 grid R args in0, starts(A), starts(S), state0, state1\n"
    "arena 0\n";

static const char next_text[] =
    "program \"next\" step\n"
    "sizes R, T, T.max, T.all.max, S, S.max\n"
    "symbol T seq 1..300 grows\n"
    "symbol S seq 1..32 stored\n"
    "input \"x\" f32[T] ragged T bytes 4*T\n"
    "output \"y\" f32[T] ragged T bytes 4*T\n"
    "state \"memory\" f32 bytes 8 whole S%s reads\n"
    "state \"gain\" f32 bytes 4 unset reads\n"
    "state \"last\" f32 bytes 8 rows T%s window 4\n"
    "kernel 0 \"append\" args 4 dims 0\n"
    "kernel 1 \"look\" args 7 dims 0\n"
    "launch 0 grid R args in0, starts(T), past(T), state2\n"
    "launch 1 grid R args starts(T), past(T), state2, starts(S), state0, state1, out0 sync\n"
    "arena 0\n";

// memory[s] = m[2 s], gain = the number of rows
static void run_encode(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  const float *m = args[0];
  const int32_t *from = args[1], *to = args[2];
  (void)dims, (void)scratch;
  for (int64_t r = begin; r < end; r++) {
    float *memory = ((float **)args[3])[r];
    for (int s = 0; s < to[r + 1] - to[r]; s++) put_row(memory, 0, s, m[from[r] + 2 * s]);
    ((float **)args[4])[r][0] = (float)(from[r + 1] - from[r]);
  }
}

static int kept(int past) { return past < WINDOW - 1 ? past : WINDOW - 1; }

static void run_append(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  const float *x = args[0];
  const int32_t *starts = args[1], *past = args[2];
  (void)dims, (void)scratch;
  for (int64_t r = begin; r < end; r++)
    for (int t = starts[r]; t < starts[r + 1]; t++)
      put_row(((float **)args[3])[r], past[r] - kept(past[r]), kept(past[r]) + t - starts[r], x[t]);
}

// y[t] = sum of the last WINDOW rows + gain * sum of the memory
static void run_look(void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch) {
  const int32_t *starts = args[0], *past = args[1], *rows = args[3];
  float *y = args[6];
  (void)dims, (void)scratch;
  for (int64_t r = begin; r < end; r++) {
    float *last = ((float **)args[2])[r], *memory = ((float **)args[4])[r];
    float sum = 0;
    for (int s = 0; s < rows[r + 1] - rows[r]; s++) sum += get_row(memory, 0, s);
    for (int t = starts[r]; t < starts[r + 1]; t++) {
      int at = kept(past[r]) + t - starts[r];
      y[t] = ((float **)args[5])[r][0] * sum;
      for (int i = at < WINDOW ? 0 : at - WINDOW + 1; i <= at; i++) y[t] += get_row(last, past[r] - kept(past[r]), i);
    }
  }
}

static weir_status lookup(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  (void)context;
  rt_kernel_fn fn = !strcmp(kernel->symbol, "encode")   ? run_encode
                    : !strcmp(kernel->symbol, "append") ? run_append
                                                        : run_look;
  *out_entry = (rt_kernel_entry){.native = fn};
  return WEIR_OK;
}

static weir_arena arena;
static weir_model *model;
static weir_executor *executor;

static void setup(void) {
  rt_program *programs[2];
  const char *words = panels ? " panel 16" : "";
  weir_arena_init(&arena);
  const char *encode = weir_arena_printf(&arena, encode_text, words);
  const char *next = weir_arena_printf(&arena, next_text, words, words);
  OK(rt_program_parse(&arena, encode, strlen(encode), &programs[0]));
  OK(rt_program_parse(&arena, next, strlen(next), &programs[1]));
  cr_assert_str_eq(rt_program_print(&arena, programs[0]), encode);
  cr_assert_str_eq(rt_program_print(&arena, programs[1]), next);
  rt_model_parts parts = {.name = "states",
                          .isa = "test",
                          .programs = (const rt_program *const *)programs,
                          .program_count = 2,
                          .provider = {.lookup = lookup}};
  OK(rt_model_create(&parts, &model));
  OK(weir_executor_create(model, &(weir_executor_options){.threads = 1}, &executor));
}

static void setup_panels(void) {
  panels = true;
  setup();
}

static void teardown(void) {
  weir_executor_destroy(executor);
  weir_model_release(model);
  weir_arena_deinit(&arena);
}

TestSuite(states, .init = setup, .fini = teardown);
TestSuite(panels, .init = setup_panels, .fini = teardown);

#define BOTH(name)               \
  static void name(void);        \
  Test(states, name) { name(); } \
  Test(panels, name) { name(); } \
  static void name(void)

static weir_view rows_view(float *rows, int64_t count) {
  return (weir_view){.data = rows, .bytes = (size_t)count * 4, .dtype = WEIR_DTYPE_F32, .rank = 1, .shape = {count}};
}

static weir_status encode(weir_session *session, int count, float first) {
  float m[64];
  for (int i = 0; i < count; i++) m[i] = first + (float)i;
  weir_view input = rows_view(m, count);
  return weir_run(executor, weir_model_find_entry(model, "encode"), &(weir_request){session, &input, NULL}, 1, NULL);
}

static weir_status next(weir_session *session, int from, int count, float *y) {
  float x[MOST];
  for (int i = 0; i < count; i++) x[i] = (float)((from + i) * 7 % 11);
  weir_view input = rows_view(x, count), output = rows_view(y, count);
  return weir_run(executor, weir_model_find_entry(model, "next"), &(weir_request){session, &input, &output}, 1, NULL);
}

static float expected(int t, int count, float first) {
  float sum = 0, y = 0;
  for (int s = 0; s < (count + 1) / 2; s++) sum += first + (float)(2 * s);
  for (int i = t < WINDOW ? 0 : t - WINDOW + 1; i <= t; i++) y += (float)(i * 7 % 11);
  return y + (float)count * sum;
}

static void check(weir_session *session, int from, int count, int encoded, float first) {
  float y[MOST];
  OK(next(session, from, count, y));
  for (int i = 0; i < count; i++) cr_assert_eq(y[i], expected(from + i, encoded, first), "row %d", from + i);
}

BOTH(order_is_held) {
  weir_session *session;
  float y[4];
  OK(weir_session_open(model, NULL, 0, &session));
  FAILS(next(session, 0, 2, y), WEIR_CODE_INVALID_ARGUMENT, "state 'memory' has no value yet: run 'encode' first");
  OK(encode(session, 9, 1));
  check(session, 0, 2, 9, 1);
  OK(encode(session, 2, 5));  // replaces what was read before
  check(session, 2, 3, 2, 5);
  OK(encode(session, 64, -1));
  check(session, 5, 1, 64, -1);
  OK(weir_session_truncate(session, NULL, 0));
  FAILS(next(session, 0, 2, y), WEIR_CODE_INVALID_ARGUMENT, "no value yet");
  weir_session_close(session);
}

BOTH(windows_slide_through_any_cuts) {
  for (int seed = 1; seed < 40; seed++) {
    weir_session *session;
    unsigned random = (unsigned)seed;
    OK(weir_session_open(model, NULL, 0, &session));
    OK(encode(session, 5, 2));
    for (int at = 0; at < MOST;) {
      random = random * 1103515245 + 12345;
      int count = 1 + (int)(random >> 16) % (seed % 3 ? 5 : 150);
      if (count > MOST - at) count = MOST - at;
      check(session, at, count, 5, 2);
      at += count;
      if (random % 7 == 0) {
        weir_session *fork;
        OK(weir_session_fork(session, &fork));
        weir_session_close(session);
        session = fork;
      }
    }
    cr_assert_eq(weir_session_rows(session, "T"), MOST);
    weir_session_close(session);
  }
}

BOTH(capacity_bounds_a_call_where_windows_are_all) {
  weir_session *session;
  float y[MOST];
  OK(weir_session_open(model, (weir_capacity[]){{"T", 3}}, 1, &session));
  OK(encode(session, 5, 2));
  FAILS(next(session, 0, 4, y), WEIR_CODE_OUT_OF_RANGE, "4 more rows of T");
  for (int at = 0; at < MOST; at += 3) check(session, at, 3, 5, 2);
  FAILS(next(session, MOST, 1, y), WEIR_CODE_INVALID_ARGUMENT, "must be from 1 to 300");
  weir_session_close(session);
}

BOTH(truncating_reaches_as_far_as_the_window_has_rows) {
  weir_session *session;
  OK(weir_session_open(model, NULL, 0, &session));
  OK(encode(session, 5, 2));
  check(session, 0, 20, 5, 2);
  OK(weir_session_truncate(session, "T", 12));
  check(session, 12, 5, 5, 2);
  OK(weir_session_truncate(session, "T", 0));
  check(session, 0, 200, 5, 2);  // the window has moved
  FAILS(weir_session_truncate(session, "T", 150), WEIR_CODE_OUT_OF_RANGE, "can go back to 200 rows of T, or to 0");
  check(session, 200, 9, 5, 2);
  OK(weir_session_truncate(session, NULL, 203));
  check(session, 203, 2, 5, 2);
  weir_session_close(session);
}

BOTH(bytes_come_back) {
  weir_session *a, *b;
  size_t size, again;
  OK(weir_session_open(model, NULL, 0, &a));
  OK(weir_session_open(model, NULL, 0, &b));
  OK(encode(a, 7, 3));
  check(a, 0, 90, 7, 3);
  OK(weir_session_export(a, NULL, 0, &size));
  uint8_t *bytes = weir_arena_alloc(&arena, size), *twice = weir_arena_alloc(&arena, size);
  OK(weir_session_export(a, bytes, size, &size));
  OK(weir_session_import(b, bytes, size));
  OK(weir_session_export(b, twice, size, &again));
  cr_assert(again == size && !memcmp(bytes, twice, size));
  check(b, 90, 20, 7, 3);
  for (size_t bit = 0; bit < size * 8; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    weir_status status = weir_session_import(b, bytes, size);
    cr_assert(status, "bit %zu", bit);
    weir_status_release(status);
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  check(b, 110, 20, 7, 3);
  FAILS(weir_session_truncate(b, "T", 89), WEIR_CODE_OUT_OF_RANGE, "can go back to 90 rows of T, or to 0");
  weir_session_close(b);
  OK(weir_session_open(model, NULL, 0, &b));
  OK(weir_session_export(b, NULL, 0, &again));  // nothing written yet
  OK(weir_session_export(b, twice, size, &again));
  OK(weir_session_import(a, twice, again));
  float y[4];
  FAILS(next(a, 0, 1, y), WEIR_CODE_INVALID_ARGUMENT, "no value yet");
  weir_session_close(a);
  weir_session_close(b);
}

// Bytes of the rows from position |first| on, to whole panels.
static int64_t rows_bytes(int first, int count) {
  return 8 * (panels ? (first % PANEL + count + PANEL - 1) / PANEL * PANEL : count);
}

BOTH(memory_is_predicted) {
  weir_session *session;
  weir_memory predicted, measured;
  OK(weir_session_open(model, NULL, 0, &session));
  OK(encode(session, 9, 1));
  weir_memory_measured(executor, &measured);
  int64_t values[2] = {9}, past[2] = {0};
  OK(weir_memory_predict(executor, weir_model_find_entry(model, "encode"),
                         &(weir_extent){.values = values, .past = past}, 1, &predicted));
  cr_assert_eq(predicted.state_bytes, measured.state_bytes);
  cr_assert_eq(measured.state_bytes, rows_bytes(0, 5) + 4);
  for (int at = 0; at < 30; at += 10) {
    check(session, at, 10, 9, 1);
    weir_memory_measured(executor, &measured);
    values[0] = 10, values[1] = 5, past[0] = at;
    OK(weir_memory_predict(executor, weir_model_find_entry(model, "next"),
                           &(weir_extent){.values = values, .past = past}, 1, &predicted));
    cr_assert_eq(predicted.state_bytes, measured.state_bytes);
    cr_assert_eq(measured.state_bytes, rows_bytes(0, 5) + 4 + rows_bytes(at ? at - 3 : 0, at ? 13 : 10));
  }
  weir_session_close(session);
}
