// Threads: the team alone, and executors that share a model. A plain program, because Criterion's do not run under the
// thread sanitizer (build with -DWEIR_THREAD_SANITIZE=ON); it ends with the first thing that is wrong.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/base/team.h"

#define FIXTURE_CHECK(condition, ...)                 \
  do {                                                \
    if (!(condition)) {                               \
      fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
      fprintf(stderr, __VA_ARGS__);                   \
      fputs("\n", stderr);                            \
      exit(1);                                        \
    }                                                 \
  } while (0)
#include "tests/unit/runtime/fixture.h"
#include "tests/unit/runtime/loop_cases.h"

#define CHECK(condition) FIXTURE_CHECK(condition, "not so: %s", #condition)

static void rest(long ns) {
  struct timespec t = {0, ns};
  nanosleep(&t, NULL);
}

// ---- the team

enum { MOST = 16, ROUNDS = 100 };

typedef struct {
  rt_team *team;
  int plain[MOST];  // written by one thread, read by all behind a barrier
  atomic_int calls;
} shared;

static void body(void *context, int thread, int thread_count) {
  shared *s = context;
  atomic_fetch_add(&s->calls, 1);
  for (int round = 1; round <= ROUNDS; round++) {
    s->plain[thread] = round;
    rt_team_barrier(s->team, thread);
    for (int i = 0; i < thread_count; i++) CHECK(s->plain[i] == round);
    rt_team_barrier(s->team, thread);
  }
}

static void barriers_hold_at_every_size(void) {
  static const int sizes[] = {1, 2, 3, 8};
  for (int i = 0; i < 4; i++) {
    shared s;
    memset(&s, 0, sizeof s);
    OK(rt_team_create(sizes[i], i % 2, weir_allocator_system(), &s.team));
    CHECK(rt_team_thread_count(s.team) == sizes[i]);
    for (int run = 0; run < 4; run++) {
      rt_team_run(s.team, body, &s);
      if (run % 2) rest(2000000);  // long enough for everybody to fall asleep
    }
    CHECK(atomic_load(&s.calls) == 4 * sizes[i]);
    rt_team_destroy(s.team);
  }
}

static void touch(void *context, int thread, int thread_count) {
  int *counts = context;
  counts[thread] += thread_count;
}

static void what_threads_wrote_is_seen_after_the_run(void) {
  rt_team *team;
  int counts[2] = {0, 0};
  OK(rt_team_create(2, false, weir_allocator_system(), &team));
  for (int i = 1; i <= 1000; i++) {
    rt_team_run(team, touch, counts);
    CHECK(counts[0] == 2 * i && counts[1] == 2 * i);
  }
  rt_team_destroy(team);
}

static void team_sizes_are_checked(void) {
  rt_team *team;
  FAILS(rt_team_create(-1, false, weir_allocator_system(), &team), WEIR_CODE_INVALID_ARGUMENT, "threads");
  FAILS(rt_team_create(RT_TEAM_MAX_THREADS + 1, false, weir_allocator_system(), &team), WEIR_CODE_INVALID_ARGUMENT,
        "threads");
  CHECK(rt_team_default_threads() >= 1);
  rt_team_destroy(NULL);
}

// ---- executors

static weir_model *model;
static float expected[128];
static int32_t tokens[64];

static weir_status score(weir_executor *executor, float *out, weir_run_options *options) {
  weir_view input = tokens_view(tokens, 64), output = room_view(out, 128);
  weir_request request = {NULL, &input, &output};
  return weir_run(executor, weir_model_find_entry(model, "score"), &request, 1, options);
}

static void *executor_main(void *argument) {
  int threads = *(int *)argument;
  weir_executor *executor;
  OK(weir_executor_create(model, &(weir_executor_options){.threads = threads}, &executor));
  for (int i = 0; i < 30; i++) {
    float out[128] = {0};
    OK(score(executor, out, NULL));
    CHECK(!memcmp(out, expected, sizeof out));
  }
  weir_executor_destroy(executor);
  return NULL;
}

static void executors_share_a_model(void) {
  pthread_t handles[3];
  int threads[3] = {1, 2, 5};
  for (int i = 0; i < 3; i++) CHECK(!pthread_create(&handles[i], NULL, executor_main, &threads[i]));
  for (int i = 0; i < 3; i++) pthread_join(handles[i], NULL);
}

typedef struct {
  int flag;
  atomic_int stop;
} canceller;

static void *canceller_main(void *argument) {
  canceller *c = argument;
  for (int i = 0; !atomic_load(&c->stop); i++) {
    rest(30000);
    __atomic_store_n(&c->flag, i % 2, __ATOMIC_RELAXED);
  }
  return NULL;
}

// Whenever the flag comes: the call ends with a whole result or with CANCELLED.
static void calls_are_cancelled_at_any_time(void) {
  weir_executor *executor;
  pthread_t handle;
  canceller c = {0};
  int whole = 0, cancelled = 0;
  weir_run_options options = {.cancel = &c.flag};
  OK(weir_executor_create(model, &(weir_executor_options){.threads = 3}, &executor));
  CHECK(!pthread_create(&handle, NULL, canceller_main, &c));
  for (time_t end = time(NULL) + 30; (whole < 100 || cancelled < 100) && time(NULL) < end;) {
    float out[128] = {0};
    weir_status status = score(executor, out, &options);
    CHECK(weir_status_code(status) == (status ? WEIR_CODE_CANCELLED : WEIR_CODE_OK));
    if (!status) CHECK(!memcmp(out, expected, sizeof out));
    whole += !status;
    cancelled += !!status;
    weir_status_release(status);
  }
  atomic_store(&c.stop, 1);
  pthread_join(handle, NULL);
  CHECK(cancelled > 0 && whole > 0);
  weir_executor_destroy(executor);
}

int main(void) {
  fixture f;
  weir_executor *executor;
  barriers_hold_at_every_size();
  what_threads_wrote_is_seen_after_the_run();
  team_sizes_are_checked();
  fixture_init(&f);
  f.native = true;
  model = fixture_model(&f, NULL);
  for (int i = 0; i < 64; i++) tokens[i] = i % 10;
  OK(weir_executor_create(model, &(weir_executor_options){.threads = 1}, &executor));
  OK(score(executor, expected, NULL));
  executors_share_a_model();
  calls_are_cancelled_at_any_time();
  weir_executor_destroy(executor);
  weir_model_release(model);
  fixture_deinit(&f);
  loops_run_as_written();
  puts("threads: as they should be");
  return 0;
}
