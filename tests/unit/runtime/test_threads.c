// Threads: the team alone, and executors that share a model. A plain program, because Criterion's do not run under the
// thread sanitizer (build with -DWEIR_THREAD_SANITIZE=ON); it ends with the first thing that is wrong.
#include <pthread.h>
#include <sched.h>
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
#include "tests/unit/runtime/phase_cases.h"

#define CHECK(condition) FIXTURE_CHECK(condition, "not so: %s", #condition)

static void rest(long ns) {
  struct timespec t = {0, ns};
  nanosleep(&t, NULL);
}

// ---- the team

enum { MOST = 16, PHASES = 200, CELLS = 600 };

// Phases of changing numbers of chunks; each chunk adds what a chunk of the phase before has left in another place.
typedef struct {
  rt_team *team;
  int phases;
  bool delays;
  int phase;  // from here on: plain memory, ordered by the team alone
  int chunks;
  long cells[2][CELLS];
  int busy[MOST];  // a thread is one at a time
  atomic_long done;
} shared;

static int chunks_of_phase(const shared *s, int phase) {
  int limit = rt_team_chunk_limit(s->team), chunks = 1 + phase * 37 % CELLS;
  return chunks < limit ? chunks : limit;
}

static rt_team_phase shared_next(void *context, int thread) {
  shared *s = context;
  if (s->delays && s->phase % 7 == thread % 7) rest(1 + s->phase % 5 * 20000);
  if (s->phase) {
    for (int i = 0; i < s->chunks; i++) CHECK(s->cells[s->phase % 2][i] == s->phase);
  }
  if (s->phase++ == s->phases) return (rt_team_phase){0, 0};
  s->chunks = chunks_of_phase(s, s->phase);
  return (rt_team_phase){s->chunks, s->phase % 3};
}

static void shared_work(void *context, int thread, int begin, int end) {
  shared *s = context;
  CHECK(!s->busy[thread]++ && begin < end && begin >= 0 && end <= s->chunks);
  for (int i = begin; i < end; i++) {
    CHECK(s->cells[s->phase % 2][i] < s->phase);
    s->cells[s->phase % 2][i] = s->phase;
    if (s->delays && (i * 31 + s->phase * 17) % 97 == 0) rest((i + s->phase) % 4 * 30000);
  }
  atomic_fetch_add(&s->done, end - begin);
  s->busy[thread]--;
}

static void run_shared(shared *s, int phases, bool delays) {
  long expected_chunks = 0;
  memset(s->cells, 0, sizeof s->cells);
  s->phases = phases;
  s->delays = delays;
  s->phase = 0;
  atomic_store(&s->done, 0);
  rt_team_run(s->team, &(rt_team_job){shared_next, shared_work, s});
  for (int p = 1; p <= phases; p++) expected_chunks += chunks_of_phase(s, p);
  CHECK(atomic_load(&s->done) == expected_chunks);
}

static void every_chunk_is_done_once_and_in_its_phase(void) {
  static const int sizes[] = {1, 2, 3, 8, 16};
  static shared s;
  for (int i = 0; i < 5; i++) {
    memset(&s, 0, sizeof s);
    OK(rt_team_create(sizes[i], i % 2, weir_allocator_system(), &s.team));
    CHECK(rt_team_thread_count(s.team) == sizes[i]);
    for (int run = 0; run < 4; run++) {
      run_shared(&s, PHASES, false);
      if (run % 2) rest(2000000);  // long enough for everybody to fall asleep
    }
    run_shared(&s, 0, false);
    run_shared(&s, PHASES / 4, true);
    rt_team_destroy(s.team);
  }
}

static void *spin_main(void *argument) {
  while (!atomic_load_explicit((atomic_int *)argument, memory_order_relaxed)) continue;
  return NULL;
}

// Threads lose their cores all the time: to two others that never rest.
static void teams_work_beside_busy_threads(void) {
  static shared s;
  atomic_int stop = 0;
  pthread_t handles[2];
  cpu_set_t before, after;
  CHECK(!sched_getaffinity(0, sizeof before, &before));
  OK(rt_team_create(2, true, weir_allocator_system(), &s.team));
  for (int i = 0; i < 2; i++) CHECK(!pthread_create(&handles[i], NULL, spin_main, &stop));
  for (int run = 0; run < 40; run++) {
    run_shared(&s, PHASES, run % 4 == 3);
    CHECK(!sched_getaffinity(0, sizeof after, &after) && CPU_EQUAL(&before, &after));
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < 2; i++) pthread_join(handles[i], NULL);
  rt_team_destroy(s.team);
}

// Whatever the threads were just doing.
static void teams_end_at_any_time(void) {
  static shared s;
  for (int i = 0; i < 2000; i++) {
    OK(rt_team_create(2 + i % 3, false, weir_allocator_system(), &s.team));
    for (int run = 0; run < i % 4; run++) run_shared(&s, 1 + i % 5, false);
    rt_team_destroy(s.team);
  }
}

static void touch(void *context, int part, int parts) {
  int *counts = context;
  counts[part] += parts;
}

static void what_threads_wrote_is_seen_after_the_run(void) {
  rt_team *team;
  int counts[2] = {0, 0};
  OK(rt_team_create(2, false, weir_allocator_system(), &team));
  for (int i = 1; i <= 1000; i++) {
    rt_team_split(team, touch, counts);
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
  every_chunk_is_done_once_and_in_its_phase();
  teams_end_at_any_time();
  teams_work_beside_busy_threads();
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
  phases_run_in_order();
  puts("threads: as they should be");
  return 0;
}
