// Sessions: capacity, growth, truncation, forks, and their bytes.
#include "tests/unit/runtime/fixture.h"

static fixture f;
static weir_model *model;
static weir_executor *executor;

static void setup(void) {
  fixture_init(&f);
  model = fixture_model(&f, NULL);
  OK(weir_executor_create(model, &(weir_executor_options){.threads = 1}, &executor));
}

static void teardown(void) {
  weir_executor_destroy(executor);
  weir_model_release(model);
  fixture_deinit(&f);
}

TestSuite(session, .init = setup, .fini = teardown);

static float step(weir_session *session, const int32_t *tokens, int64_t count) {
  float out[2];
  weir_view input = tokens_view(tokens, count), output = room_view(out, 2);
  OK(weir_run(executor, weir_model_find_entry(model, "next"), &(weir_request){session, &input, &output}, 1, NULL));
  return out[1];
}

static const int32_t tokens[8] = {1, 2, 3, 4, 5, 6, 7, 8};

Test(session, capacity_is_the_symbols_bound_or_what_is_asked) {
  weir_session *session;
  OK(weir_session_open(model, NULL, 0, &session));
  cr_assert_eq(weir_session_capacity(session, "T"), 64);
  cr_assert_eq(weir_session_rows(session, "T"), 0);
  cr_assert_eq(weir_session_rows(session, "S"), -1);
  weir_session_close(session);
  OK(weir_session_open(model, (weir_capacity[]){{"T", 5}}, 1, &session));
  cr_assert_eq(weir_session_capacity(session, NULL), 5);
  weir_session_close(session);
  FAILS(weir_session_open(model, (weir_capacity[]){{"T", 65}}, 1, &session), WEIR_CODE_INVALID_ARGUMENT, "at most 64");
  FAILS(weir_session_open(model, (weir_capacity[]){{"N", 5}}, 1, &session), WEIR_CODE_INVALID_ARGUMENT, "'N'");
}

Test(session, growing_keeps_rows) {
  weir_session *a, *b;
  OK(weir_session_open(model, (weir_capacity[]){{"T", 4}}, 1, &a));
  OK(weir_session_open(model, NULL, 0, &b));
  step(a, tokens, 4);
  step(b, tokens, 4);
  OK(weir_session_grow(a, "T", 9));
  cr_assert_eq(weir_session_capacity(a, "T"), 9);
  OK(weir_session_grow(a, "T", 3));
  cr_assert_eq(weir_session_capacity(a, "T"), 9);
  cr_assert_eq(step(a, tokens + 4, 4), step(b, tokens + 4, 4));
  weir_session_close(a);
  weir_session_close(b);
}

Test(session, forks_go_their_own_way) {
  weir_session *a, *b;
  OK(weir_session_open(model, NULL, 0, &a));
  step(a, tokens, 3);
  OK(weir_session_fork(a, &b));
  float one = step(a, tokens + 3, 2), other = step(b, tokens + 3, 2);
  cr_assert_eq(one, other);
  step(b, tokens, 1);
  cr_assert_eq(weir_session_rows(a, "T"), 5);
  cr_assert_eq(weir_session_rows(b, "T"), 6);
  weir_session_close(a);
  weir_session_close(b);
}

Test(session, fixed_states_can_only_start_anew) {
  weir_session *a;
  OK(weir_session_open(model, NULL, 0, &a));
  float first = step(a, tokens, 3);
  FAILS(weir_session_truncate(a, "T", 1), WEIR_CODE_UNSUPPORTED, "start anew");
  FAILS(weir_session_truncate(a, "T", 4), WEIR_CODE_OUT_OF_RANGE, "there are 3");
  OK(weir_session_truncate(a, "T", 3));
  OK(weir_session_truncate(a, NULL, 0));
  cr_assert_eq(weir_session_rows(a, "T"), 0);
  cr_assert_eq(step(a, tokens, 3), first);
  size_t size;
  uint8_t once[512], twice[512];
  OK(weir_session_export(a, once, sizeof once, &size));
  OK(weir_session_truncate(a, NULL, 0));
  step(a, tokens, 3);
  OK(weir_session_export(a, twice, sizeof twice, &size));
  cr_assert_arr_eq(once, twice, size);
  weir_session_close(a);
}

Test(session, row_states_are_truncated) {
  // Without the fixed state and the launch that uses it.
  rt_program *p = f.programs[0];
  p->state_count = 1;
  p->launches[3] = p->launches[4];
  p->launch_count = 4;
  weir_model *rows_only = fixture_model(&f, NULL);
  weir_executor *x;
  weir_session *a;
  float out[2], expected[2];
  OK(weir_executor_create(rows_only, &(weir_executor_options){.threads = 1}, &x));
  OK(weir_session_open(rows_only, NULL, 0, &a));
  weir_view input = tokens_view(tokens, 5), output = room_view(out, 2);
  weir_request request = {a, &input, &output};
  OK(weir_run(x, weir_model_find_entry(rows_only, "next"), &request, 1, NULL));
  memcpy(expected, out, sizeof out);
  input = tokens_view(tokens + 5, 3);
  OK(weir_run(x, weir_model_find_entry(rows_only, "next"), &request, 1, NULL));
  OK(weir_session_truncate(a, "T", 4));
  input = tokens_view(tokens + 4, 1);
  OK(weir_run(x, weir_model_find_entry(rows_only, "next"), &request, 1, NULL));
  cr_assert_arr_eq(out, expected, sizeof out);
  weir_session_close(a);
  weir_executor_destroy(x);
  weir_model_release(rows_only);
}

Test(session, bytes_come_back) {
  weir_session *a, *b;
  uint8_t bytes[1024];
  size_t size, again;
  OK(weir_session_open(model, NULL, 0, &a));
  OK(weir_session_open(model, (weir_capacity[]){{"T", 6}}, 1, &b));
  step(a, tokens, 5);
  step(b, tokens, 2);
  OK(weir_session_export(a, NULL, 0, &size));
  FAILS(weir_session_export(a, bytes, size - 1, &again), WEIR_CODE_OUT_OF_RANGE, "room for");
  OK(weir_session_export(a, bytes, sizeof bytes, &again));
  cr_assert_eq(size, again);
  OK(weir_session_import(b, bytes, size));
  cr_assert_eq(weir_session_rows(b, "T"), 5);
  cr_assert_eq(step(a, tokens + 5, 1), step(b, tokens + 5, 1));
  weir_session_close(a);
  weir_session_close(b);
}

Test(session, damaged_bytes_change_nothing) {
  weir_session *a, *b;
  uint8_t bytes[1024], before[1024], after[1024];
  size_t size, b_size;
  OK(weir_session_open(model, NULL, 0, &a));
  OK(weir_session_open(model, (weir_capacity[]){{"T", 4}}, 1, &b));
  step(a, tokens, 5);
  OK(weir_session_export(a, bytes, sizeof bytes, &size));
  FAILS(weir_session_import(b, bytes, size), WEIR_CODE_OUT_OF_RANGE, "5 rows of T, room for 4");
  OK(weir_session_grow(b, "T", 8));
  step(b, tokens, 2);
  OK(weir_session_export(b, before, sizeof before, &b_size));
  for (size_t cut = 0; cut < size; cut++) {
    weir_status status = weir_session_import(b, bytes, cut);
    cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA);
    weir_status_release(status);
  }
  for (size_t bit = 0; bit < size * 8; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    weir_status status = weir_session_import(b, bytes, size);
    cr_assert(status, "bit %zu", bit);
    weir_status_release(status);
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  OK(weir_session_export(b, after, sizeof after, &b_size));
  cr_assert_arr_eq(before, after, b_size);
  weir_session_close(a);
  weir_session_close(b);
}

Test(session, entries_must_agree_on_states) {
  f.programs[1]->step = true;
  f.programs[1]->states[0].row_bytes = 16;
  rt_model_parts parts = fixture_parts(&f, NULL);
  weir_model *other;
  FAILS(rt_model_create(&parts, &other), WEIR_CODE_INVALID_DATA, "entry 'score': state 'rows': entries disagree");
}
