// Running entries: packed ragged batches, steps, everything that a caller can get wrong, memory, cancelling, failures.
#include "tests/unit/runtime/fixture.h"

static fixture f;
static counting memory;
static weir_allocator allocator;
static weir_model *model;
static weir_executor *executor;
static const weir_entry *next, *score, *blocks;

static void start(int threads, bool native) {
  fixture_init(&f);
  f.native = native;
  memory = (counting){0};
  allocator = counting_allocator(&memory);
  model = fixture_model(&f, &allocator);
  OK(weir_executor_create(model, &(weir_executor_options){.threads = threads}, &executor));
  next = weir_model_find_entry(model, "next");
  score = weir_model_find_entry(model, "score");
  blocks = weir_model_find_entry(model, "blocks");
}

static void setup(void) { start(2, false); }

static void teardown(void) {
  weir_executor_destroy(executor);
  weir_model_release(model);
  fixture_deinit(&f);
  cr_assert_eq(memory.live, 0, "%ld blocks are left", (long)memory.live);
}

TestSuite(exec, .init = setup, .fini = teardown);

static weir_status score_one(const int32_t *tokens, int64_t count, float *out) {
  weir_view input = tokens_view(tokens, count), output = room_view(out, (size_t)count * 2);
  return weir_run(executor, score, &(weir_request){NULL, &input, &output}, 1, NULL);
}

static weir_status step(weir_session *session, const int32_t *tokens, int64_t count, float *out,
                        weir_run_options *options) {
  weir_view input = tokens_view(tokens, count), output = room_view(out, 2);
  return weir_run(executor, next, &(weir_request){session, &input, &output}, 1, options);
}

Test(exec, describes_entries) {
  cr_assert_eq(weir_model_entry_count(model), 3);
  cr_assert_null(weir_model_find_entry(model, "none"));
  weir_entry_info info = weir_entry_describe(next);
  cr_assert(info.step && info.state_count == 2 && info.input_count == 1);
  cr_assert_str_eq(weir_entry_input(blocks, 0).dims, "2 * N, W");
  cr_assert_str_eq(weir_entry_output(score, 0).dims, "T, 2");
  cr_assert_str_eq(weir_entry_state(next, 0).symbol, "T");
  cr_assert_null(weir_entry_state(next, 1).symbol);
  cr_assert_eq(weir_entry_symbol(next, 0).hi, 64);
}

// Bit for bit what one request at a time gives, wherever the tensors lie.
Test(exec, ragged_batch_equals_single_requests) {
  enum { REQUESTS = 5 };
  static const int64_t lengths[REQUESTS] = {3, 1, 7, 2, 64};
  int32_t tokens[REQUESTS][64];
  float alone[REQUESTS][128], together[REQUESTS][128], packed[77 * 2];
  int32_t packed_tokens[77];
  weir_view inputs[REQUESTS], outputs[REQUESTS], in_row[REQUESTS], out_row[REQUESTS];
  weir_request requests[REQUESTS], rows[REQUESTS];
  int64_t begin = 0;
  for (int r = 0; r < REQUESTS; r++) {
    for (int i = 0; i < 64; i++) tokens[r][i] = (r * 7 + i * 3) % 10;
    OK(score_one(tokens[r], lengths[r], alone[r]));
    inputs[r] = tokens_view(tokens[r], lengths[r]);
    outputs[r] = room_view(together[r], 128);
    requests[r] = (weir_request){NULL, &inputs[r], &outputs[r]};
    memcpy(packed_tokens + begin, tokens[r], (size_t)lengths[r] * 4);
    in_row[r] = tokens_view(packed_tokens + begin, lengths[r]);
    out_row[r] = room_view(packed + begin * 2, (size_t)lengths[r] * 2);
    rows[r] = (weir_request){NULL, &in_row[r], &out_row[r]};
    begin += lengths[r];
  }
  OK(weir_run(executor, score, requests, REQUESTS, NULL));
  OK(weir_run(executor, score, rows, REQUESTS, NULL));
  begin = 0;
  for (int r = 0; r < REQUESTS; r++) {
    size_t bytes = (size_t)lengths[r] * 8;
    cr_assert_eq(outputs[r].rank, 2);
    cr_assert_eq(outputs[r].shape[0], lengths[r]);
    cr_assert_eq(outputs[r].dtype, WEIR_DTYPE_F32);
    cr_assert_arr_eq(together[r], alone[r], bytes);
    cr_assert_arr_eq(packed + begin * 2, alone[r], bytes);
    begin += lengths[r];
  }
}

Test(exec, steps_continue_their_sessions) {
  static const int32_t tokens[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2};
  float whole[24], out[3][2];
  weir_session *sessions[3];
  OK(score_one(tokens, 12, whole));
  weir_view inputs[3], outputs[3];
  weir_request requests[3];
  for (int s = 0; s < 3; s++) OK(weir_session_open(model, NULL, 0, &sessions[s]));
  // The same tokens in three rhythms, in the same calls.
  static const int64_t rhythm[4][3] = {{1, 6, 3}, {5, 1, 3}, {2, 2, 3}, {4, 3, 3}};
  for (int call = 0; call < 4; call++) {
    for (int s = 0; s < 3; s++) {
      int64_t done = weir_session_rows(sessions[s], "T");
      inputs[s] = tokens_view(tokens + done, rhythm[call][s]);
      outputs[s] = room_view(out[s], 2);
      requests[s] = (weir_request){sessions[s], &inputs[s], &outputs[s]};
    }
    OK(weir_run(executor, next, requests, 3, NULL));
    for (int s = 0; s < 3; s++) {
      int64_t done = weir_session_rows(sessions[s], NULL);
      cr_assert_arr_eq(out[s], whole + (done - 1) * 2, 8);
    }
  }
  for (int s = 0; s < 3; s++) {
    cr_assert_eq(weir_session_rows(sessions[s], "T"), 12);
    weir_session_close(sessions[s]);
  }
}

Test(exec, symbols_are_solved_and_shared) {
  float a[2][32], out[2][4], b_sum;
  uint8_t b[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
  weir_view inputs[2][2], outputs[2];
  weir_request requests[2];
  for (int r = 0; r < 2; r++) {
    for (int i = 0; i < 32; i++) a[r][i] = (float)(r * 100 + i);
    inputs[r][0] = (weir_view){.data = a[r], .dtype = WEIR_DTYPE_F32, .rank = 2, .shape = {r ? 8 : 4, 2}};
    inputs[r][1] = (weir_view){.data = b[r], .dtype = WEIR_DTYPE_U8, .rank = 1, .shape = {r ? 4 : 2}};
    outputs[r] = room_view(out[r], 4);
    requests[r] = (weir_request){NULL, inputs[r], &outputs[r]};
  }
  OK(weir_run(executor, blocks, requests, 2, NULL));
  b_sum = 0 + 1 + 2 + 3 + 1;
  cr_assert_eq(out[0][0], b_sum);
  cr_assert_eq(out[1][3], 8 + 112 + 113 + 114 + 115);
  inputs[1][0].shape[1] = 4, inputs[1][0].shape[0] = 8;
  FAILS(weir_run(executor, blocks, requests, 2, NULL), WEIR_CODE_INVALID_ARGUMENT,
        "request 1: W is 4, but 2 in request 0");
  inputs[1][0].shape[1] = 2, inputs[1][0].shape[0] = 7;
  FAILS(weir_run(executor, blocks, requests, 2, NULL), WEIR_CODE_INVALID_ARGUMENT, "request 1, input 'a': dim 0 is 7");
  inputs[0][0].shape[0] = 6, inputs[0][1].shape[0] = 3;
  FAILS(weir_run(executor, blocks, requests, 1, NULL), WEIR_CODE_INVALID_ARGUMENT, "N is 3, must be a multiple of 2");
  inputs[0][0].shape[0] = 4, inputs[0][1].shape[0] = 2, b[0][1] = 201;
  FAILS(weir_run(executor, blocks, requests, 1, NULL), WEIR_CODE_INVALID_ARGUMENT,
        "request 0, input 'b': element 1 is 201, must be from 0 to 200");
}

Test(exec, wrong_calls_are_refused) {
  int32_t tokens[70] = {0};
  float out[140];
  weir_session *session;
  OK(weir_session_open(model, (weir_capacity[]){{"T", 10}}, 1, &session));
  tokens[4] = 10;
  FAILS(score_one(tokens, 6, out), WEIR_CODE_INVALID_ARGUMENT, "element 4 is 10, must be from 0 to 9");
  tokens[4] = -1;
  FAILS(score_one(tokens, 6, out), WEIR_CODE_INVALID_ARGUMENT, "element 4 is -1");
  tokens[4] = 0;
  FAILS(score_one(tokens, 65, out), WEIR_CODE_INVALID_ARGUMENT, "T is 65, must be from 1 to 64");
  FAILS(score_one(tokens, 0, out), WEIR_CODE_INVALID_ARGUMENT, "T is 0");
  FAILS(score_one(tokens, -3, out), WEIR_CODE_INVALID_ARGUMENT, "negative");
  FAILS(score_one(NULL, 3, out), WEIR_CODE_INVALID_ARGUMENT, "no data");
  FAILS(score_one((int32_t *)((char *)tokens + 2), 3, out), WEIR_CODE_INVALID_ARGUMENT, "not aligned");
  weir_view input = tokens_view(tokens, 3), output = room_view(out, 5);
  weir_request request = {NULL, &input, &output};
  FAILS(weir_run(executor, score, &request, 1, NULL), WEIR_CODE_OUT_OF_RANGE, "room for 20 bytes, needs 24");
  output = room_view(NULL, 6);
  FAILS(weir_run(executor, score, &request, 1, NULL), WEIR_CODE_INVALID_ARGUMENT, "no memory given");
  output = room_view(out, 6);
  input.bytes = 8;
  FAILS(weir_run(executor, score, &request, 1, NULL), WEIR_CODE_INVALID_ARGUMENT, "its shape needs 12");
  input.bytes = 0, input.dtype = WEIR_DTYPE_F32;
  FAILS(weir_run(executor, score, &request, 1, NULL), WEIR_CODE_INVALID_ARGUMENT, "has type f32, must be i32");
  input.dtype = WEIR_DTYPE_I32, input.rank = 2;
  FAILS(weir_run(executor, score, &request, 1, NULL), WEIR_CODE_INVALID_ARGUMENT, "has 2 dims, must have 1");
  input.rank = 1;
  FAILS(weir_run(executor, score, &request, 0, NULL), WEIR_CODE_INVALID_ARGUMENT, "0 requests");
  FAILS(weir_run(executor, next, &request, 1, NULL), WEIR_CODE_INVALID_ARGUMENT, "none is given");
  request.session = session;
  FAILS(weir_run(executor, score, &request, 1, NULL), WEIR_CODE_INVALID_ARGUMENT, "keeps nothing");
  weir_request twice[2] = {request, request};
  FAILS(weir_run(executor, next, twice, 2, NULL), WEIR_CODE_INVALID_ARGUMENT, "request 1: the session is in use");
  OK(step(session, tokens, 6, out, NULL));
  FAILS(step(session, tokens, 5, out, NULL), WEIR_CODE_OUT_OF_RANGE, "5 more rows of T, the session has 6 of 10");
  cr_assert_eq(weir_session_rows(session, "T"), 6);
  OK(step(session, tokens, 4, out, NULL));
  OK(weir_session_grow(session, "T", 64));
  FAILS(step(session, tokens, 55, out, NULL), WEIR_CODE_INVALID_ARGUMENT, "T is 65 in all");
  OK(step(session, tokens, 54, out, NULL));
  weir_session_close(session);
}

Test(exec, output_shapes_come_before_the_run) {
  static const int32_t tokens[3] = {1, 2, 3};
  weir_view input = tokens_view(tokens, 3), output = {0};
  OK(weir_output_shapes(score, &(weir_request){NULL, &input, &output}, 1));
  cr_assert(output.rank == 2 && output.shape[0] == 3 && output.shape[1] == 2 && output.dtype == WEIR_DTYPE_F32);
}

static void memory_equal(const weir_entry *entry, weir_request *requests, const weir_extent *extents, int count) {
  weir_memory predicted, measured;
  OK(weir_memory_predict(executor, entry, extents, count, &predicted));
  OK(weir_run(executor, entry, requests, count, NULL));
  weir_memory_measured(executor, &measured);
  cr_assert_arr_eq(&predicted, &measured, sizeof predicted);
  cr_assert_eq(measured.total_bytes, measured.weights_bytes + measured.arena_bytes + measured.state_bytes +
                                         measured.table_bytes + measured.scratch_bytes + measured.packing_bytes);
}

Test(exec, memory_is_known_beforehand) {
  int32_t tokens[64] = {0};
  float out[3][128];
  weir_session *session;
  OK(weir_session_open(model, NULL, 0, &session));
  weir_view inputs[3], outputs[3];
  weir_request requests[3];
  weir_extent extents[3];
  static const int64_t lengths[3] = {5, 33, 9};
  for (int r = 0; r < 3; r++) {
    inputs[r] = tokens_view(tokens, lengths[r]);
    outputs[r] = room_view(out[r], 128);
    requests[r] = (weir_request){NULL, &inputs[r], &outputs[r]};
    extents[r] = (weir_extent){.values = &lengths[r]};
  }
  memory_equal(score, requests, extents, 1);
  memory_equal(score, requests, extents, 3);
  requests[0].session = session;
  memory_equal(next, requests, extents, 1);
  extents[0].past = (int64_t[]){5};
  memory_equal(next, requests, extents, 1);
  weir_memory m;
  weir_memory_measured(executor, &m);
  cr_assert_eq(m.state_bytes, 10 * 8 + 4);
  cr_assert_eq(m.weights_bytes, (int64_t)sizeof table);
  cr_assert_eq(m.arena_bytes, 128);
  cr_assert_eq(m.packing_bytes, 0);
  FAILS(weir_memory_predict(executor, score, &(weir_extent){.values = (int64_t[]){65}}, 1, &m),
        WEIR_CODE_INVALID_ARGUMENT, "T is 65");
  weir_session_close(session);
}

Test(exec, reserved_calls_allocate_nothing) {
  int32_t tokens[64] = {0};
  float out[2][2];
  weir_session *sessions[2];
  static const int64_t most = 32;
  for (int s = 0; s < 2; s++) OK(weir_session_open(model, NULL, 0, &sessions[s]));
  OK(weir_reserve(executor, next, (weir_extent[]){{.values = &most}, {.values = &most}}, 2));
  long calls = memory.calls;
  weir_launch_time times[8];
  weir_run_options options = {.times = times, .time_capacity = 8};
  for (int64_t k = 0; k < 16; k++) {
    weir_view inputs[2], outputs[2];
    weir_request requests[2];
    for (int s = 0; s < 2; s++) {
      inputs[s] = tokens_view(tokens, 1 + (k * (s + 1)) % 4);
      outputs[s] = room_view(out[s], 2);
      requests[s] = (weir_request){sessions[s], &inputs[s], &outputs[s]};
    }
    OK(weir_run(executor, next, requests, 1 + (k & 1), &options));
    cr_assert_eq(options.time_count, 4);
    cr_assert_str_eq(times[3].kernel, "sum");
  }
  cr_assert_eq(memory.calls, calls);
  for (int s = 0; s < 2; s++) weir_session_close(sessions[s]);
}

// Every item of every launch is in some thread's events, in order of time; what has no room is counted.
Test(exec, traces_hold_every_item_once) {
  enum { MOST_THREADS = 64, EVENTS = 256 };
  static weir_trace_event events[MOST_THREADS][EVENTS];
  weir_trace_thread threads[MOST_THREADS];
  int32_t tokens[64] = {0};
  float out[128];
  weir_view input = tokens_view(tokens, 24), output = room_view(out, 48);
  weir_request request = {.inputs = &input, .outputs = &output};
  int count = weir_executor_threads(executor);
  cr_assert_leq(count, MOST_THREADS);
  for (int64_t capacity = EVENTS; capacity >= 0; capacity -= EVENTS) {
    weir_launch_time times[8];
    for (int t = 0; t < count; t++) threads[t] = (weir_trace_thread){.events = events[t], .capacity = capacity};
    weir_run_options options = {.times = times, .time_capacity = 8, .trace = threads};
    OK(weir_run(executor, score, &request, 1, &options));
    int64_t wanted = 0, seen = 0, lost = 0;
    for (int i = 0; i < options.time_count; i++) wanted += times[i].items;
    for (int t = 0; t < count; t++) {
      lost += threads[t].lost;
      for (int64_t i = 0; i < threads[t].count; i++) {
        const weir_trace_event *event = &events[t][i];
        seen += event->items;
        cr_assert(event->kernel && event->note && event->begin_ns <= event->end_ns);
        if (i) cr_assert(event[-1].end_ns <= event->begin_ns && event[-1].phase <= event->phase);
      }
    }
    cr_assert_eq(seen, capacity ? wanted : 0);
    cr_assert_eq(lost > 0, !capacity);
  }
}

Test(exec, fixed_memory_does_not_grow) {
  weir_executor *fixed;
  int32_t tokens[64] = {0};
  float out[128];
  static const int64_t most = 16;
  OK(weir_executor_create(model, &(weir_executor_options){.threads = 1, .no_growth = true}, &fixed));
  OK(weir_reserve(fixed, score, &(weir_extent){.values = &most}, 1));
  weir_view input = tokens_view(tokens, 16), output = room_view(out, 128);
  weir_request request = {NULL, &input, &output};
  OK(weir_run(fixed, score, &request, 1, NULL));
  input.shape[0] = 40;
  FAILS(weir_run(fixed, score, &request, 1, NULL), WEIR_CODE_OUT_OF_RANGE, "more memory than was reserved");
  weir_executor_destroy(fixed);
}

// A step that fails or is cancelled in the middle leaves rows and fixed states as they were.
Test(exec, broken_steps_leave_sessions_alone) {
  static const int32_t tokens[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  float expected[2], out[2];
  weir_session *plain, *shaken;
  OK(weir_session_open(model, NULL, 0, &plain));
  OK(weir_session_open(model, NULL, 0, &shaken));
  OK(step(plain, tokens, 3, out, NULL));
  OK(step(shaken, tokens, 3, out, NULL));
  f.how.refuse = "sum";
  FAILS(step(shaken, tokens + 3, 2, out, NULL), WEIR_CODE_INTERNAL, "kernel 'sum' refused (sum)");
  f.how.refuse = NULL;
  f.how.raise = "mean";
  weir_run_options options = {.cancel = &f.how.flag};
  FAILS(step(shaken, tokens + 3, 2, out, &options), WEIR_CODE_CANCELLED, "cancelled");
  f.how.raise = NULL;
  FAILS(step(shaken, tokens + 3, 2, out, &options), WEIR_CODE_CANCELLED, "cancelled");
  f.how.flag = 0;
  cr_assert_eq(weir_session_rows(shaken, "T"), 3);
  OK(step(plain, tokens + 3, 5, expected, NULL));
  OK(step(shaken, tokens + 3, 5, out, &options));
  cr_assert_arr_eq(out, expected, 8);
  size_t size[2];
  uint8_t bytes[2][1024];
  OK(weir_session_export(plain, bytes[0], 1024, &size[0]));
  OK(weir_session_export(shaken, bytes[1], 1024, &size[1]));
  cr_assert(size[0] == size[1] && !memcmp(bytes[0], bytes[1], size[0]));
  weir_session_close(plain);
  weir_session_close(shaken);
}

Test(exec, models_outlive_their_release) {
  float out[2];
  static const int32_t token = 1;
  weir_session *session;
  OK(weir_session_open(model, NULL, 0, &session));
  weir_model_release(model);
  OK(step(session, &token, 1, out, NULL));
  weir_model_retain(model);
  weir_session_close(session);
}

// Every allocation of a whole life fails once: a clean status each time, and nothing is left behind.
Test(exec_faults, every_allocation_may_fail) {
  static const int32_t tokens[8] = {1, 2, 3};
  for (long n = 1;; n++) {
    counting c = {.fail_at = n};
    weir_allocator failing = counting_allocator(&c);
    fixture local;
    fixture_init(&local);
    rt_model_parts parts = fixture_parts(&local, &failing);
    weir_model *m = NULL;
    weir_executor *x = NULL;
    weir_session *s = NULL, *copy = NULL;
    float out[2];
    weir_view input = tokens_view(tokens, 3), output = room_view(out, 2);
    weir_status status = rt_model_create(&parts, &m);
    if (!status) status = weir_executor_create(m, &(weir_executor_options){.threads = 2}, &x);
    if (!status) status = weir_session_open(m, (weir_capacity[]){{"T", 4}}, 1, &s);
    if (!status) status = weir_run(x, weir_model_find_entry(m, "next"), &(weir_request){s, &input, &output}, 1, NULL);
    if (!status) status = weir_session_grow(s, "T", 8);
    if (!status) status = weir_session_fork(s, &copy);
    bool done = !status;
    if (status) cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_MEMORY, "%s", weir_status_message(status));
    weir_status_release(status);
    weir_session_close(s);
    weir_session_close(copy);
    weir_executor_destroy(x);
    weir_model_release(m);
    fixture_deinit(&local);
    cr_assert_eq(c.live, 0, "failure %ld leaves %ld blocks", n, (long)c.live);
    if (done) {
      cr_assert_gt(n, 30);
      break;
    }
  }
}

// Native kernels, many threads on few cores, many steps: for the thread sanitizer.
Test(exec_threads, many_threads_give_the_same) {
  start(7, true);
  int32_t tokens[64];
  float first[128], again[128];
  for (int i = 0; i < 64; i++) tokens[i] = i % 10;
  OK(score_one(tokens, 64, first));
  for (int k = 0; k < 50; k++) {
    memset(again, 0xff, sizeof again);
    OK(score_one(tokens, 64, again));
    cr_assert_arr_eq(again, first, sizeof first);
  }
  teardown();
}
