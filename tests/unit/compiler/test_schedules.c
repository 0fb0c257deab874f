// Sessions of every kind of state, through hundreds of random schedules: cut, packed with others, forked, moved as
// bytes, taken back, grown, refused, cancelled, on one to three threads (tests/tools/invariance_schedule.c). And bytes
// of sessions that somebody has meddled with; calls that are too large; calls that are given up inside a loop.
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compiler/plan/build.h"
#include "runtime/base/hash.h"
#include "tests/tools/invariance.h"

enum { SCHEDULES = 40, FLIPS = 2000, LONG = 30000 };

// The package of the model with random weights; text in |arena|.
static const char *build(weir_arena *arena, const char *file, const char *const *overrides) {
  lang_diags diags;
  plan_result result;
  int count = 0;
  while (overrides[count]) count++;
  lang_diags_init(&diags, arena);
  plan_request request = {.text = weir_arena_printf(arena, WEIR_SOURCE_DIR "/%s", file),
                          .random = true,
                          .seed = 5,
                          .overrides = overrides,
                          .override_count = count,
                          .models_folder = WEIR_SOURCE_DIR "/models"};
  must(plan_build(arena, &request, NULL, 0, plan_targets_here(), &diags, &result), file);
  return result.path;
}

static void open_model(suite *s, const char *file, const char *const *overrides) {
  weir_arena arena;
  weir_arena_init(&arena);
  open_suite(s, build(&arena, file, overrides), 7);
  random_runs(s);
  weir_arena_deinit(&arena);
}

static suite s;

static void check(const char *file, const char *const *overrides) {
  open_model(&s, file, overrides);
  int schedules = run_all(&s, SCHEDULES);
  cr_assert(schedules >= SCHEDULES && s.predictions > schedules);
  cr_expect_eq(s.failures, 0);
  cr_expect(s.forks && s.moves && s.truncations && s.restores && s.growths && s.cancels);
  close_suite(&s);
}

#define MODEL(name, file, ...) \
  Test(schedules, name) { check(file, (const char *const[]){__VA_ARGS__, NULL}); }

MODEL(rows, "models/smollm2.weir", "layers=1", "D=32", "F=48", "heads=4", "kv_heads=2", "V=64")
MODEL(windows, "models/sliding.weir", "layers=1", "D=24", "heads=4", "kv_heads=2", "W=5", "V=64", "context=64")
MODEL(windows_and_scans, "models/mamba.weir", "layers=1", "M=16", "V=64")
MODEL(carried_cells, "models/lstm.weir", "layers=1", "D=16", "V=64")
MODEL(whole_and_rows, "models/t5.weir", "layers=1", "D=16", "F=32", "heads=2", "H=8", "V=64", "context=64")
MODEL(whole_of_a_derived_dim, "models/whisper.weir", "layers=1", "D=16", "F=32", "heads=2", "mels=4", "V=64", "P=64",
      "frames=64")
MODEL(all_together, "tests/data/streaming.weir", "D=12")
MODEL(scan_in_a_scan, "tests/data/nested.weir", "D=6")

// ---- bytes that are not what was exported

static void step_anyhow(weir_session *session) {
  const run *r = &s.runs[s.run_count - 1];
  weir_view outputs[MAX_TENSORS] = {0};
  weir_request request = {.session = session, .inputs = r->main.inputs, .outputs = outputs};
  weir_status status = weir_output_shapes(r->main.entry, &request, 1);
  if (!status) {
    make_outputs(r->main.entry, &request, 1, &outputs);
    status = weir_run(s.executors[1], r->main.entry, &request, 1, NULL);
    free_outputs(r->main.entry, outputs);
  }
  weir_status_release(status);
}

static void refused(weir_session *session, const uint8_t *bytes, size_t count) {
  size_t before, after;
  uint8_t *a = export_session(session, &before);
  weir_status status = weir_session_import(session, bytes, count);
  cr_assert(status);
  weir_status_release(status);
  uint8_t *b = export_session(session, &after);
  cr_assert(before == after && !memcmp(a, b, before), "a refused import has changed the session");
  free(a);
  free(b);
}

static void meddle(const char *file, const char *const *overrides) {
  size_t count;
  weir_hash hash;
  int taken = 0;
  open_model(&s, file, overrides);
  run *r = &s.runs[s.run_count - 1];
  weir_session *session = open_session(&s, r, 0), *other = open_session(&s, r, 0);
  step_anyhow(session);
  uint8_t *bytes = export_session(session, &count), *copy = malloc(count);
  for (size_t k = 0; k < count; k += 1 + k / 64) {
    memcpy(copy, bytes, k);
    refused(other, copy, k);
  }
  for (int k = 0; k < FLIPS; k++) {
    memcpy(copy, bytes, count);
    for (int flips = 1 + below(&s, 3); flips > 0; flips--)
      copy[below(&s, (int64_t)count)] ^= (uint8_t)(1 << below(&s, 8));
    if (!memcmp(copy, bytes, count)) continue;
    if (k % 2) {
      refused(other, copy, count);
      continue;
    }
    // With a hash that fits: another session, or none, but nothing that harms.
    weir_hash_bytes(copy, count - WEIR_HASH_BYTES, &hash);
    memcpy(copy + count - WEIR_HASH_BYTES, hash.bytes, WEIR_HASH_BYTES);
    weir_status status = weir_session_import(other, copy, count);
    taken += !status;
    weir_status_release(status);
    step_anyhow(other);
  }
  cr_expect(taken > 0);
  free(bytes);
  free(copy);
  weir_session_close(session);
  weir_session_close(other);
  close_suite(&s);
}

Test(schedules, damaged_bytes_of_whole_states) {
  meddle("models/t5.weir",
         (const char *const[]){"layers=1", "D=16", "F=32", "heads=2", "H=8", "V=64", "context=64", NULL});
}

Test(schedules, damaged_bytes_of_all_others) {
  meddle("tests/data/streaming.weir", (const char *const[]){"D=12", NULL});
}

// ---- calls that are too large

enum { MOST_BYTES = 64 << 20 };

// The system's memory, but no block of more than MOST_BYTES.
static void *small_alloc(void *context, size_t bytes, size_t alignment) {
  (void)context;
  const weir_allocator *system = weir_allocator_system();
  return bytes > MOST_BYTES ? NULL : system->alloc(system->context, bytes, alignment);
}

static void small_free(void *context, void *memory, size_t bytes) {
  (void)context;
  const weir_allocator *system = weir_allocator_system();
  system->free(system->context, memory, bytes);
}

static weir_status encode(weir_executor *executor, weir_session *session, int32_t *source, int64_t rows) {
  const weir_entry *entry = weir_model_find_entry(s.model, "encode");
  weir_view input = {.data = source, .dtype = WEIR_DTYPE_I32, .rank = 1, .shape = {rows}};
  weir_request request = {.session = session, .inputs = &input};
  weir_memory memory;
  weir_extent extent = {.values = &rows, .session = session};
  weir_status status = weir_memory_predict(executor, entry, &extent, 1, &memory), ran = NULL;
  cr_assert(status || memory.arena_bytes > 4 * rows * rows);
  ran = weir_run(executor, entry, &request, 1, NULL);
  if (status) cr_assert_eq(weir_status_code(status), weir_status_code(ran));
  weir_status_release(status);
  return ran;
}

// Scores of an encoder are [heads, S, S]: their number passes 2^31, or what memory there is, long before S does.
Test(schedules, too_large_is_said_before_anything_is_touched) {
  weir_arena arena;
  weir_executor *executor;
  weir_session *session;
  size_t before, after;
  weir_allocator allocator = {.alloc = small_alloc, .free = small_free};
  int32_t *source = calloc(60000, sizeof *source);
  weir_arena_init(&arena);
  const char *path =
      build(&arena, "models/t5.weir",
            (const char *const[]){"layers=1", "D=16", "F=32", "heads=2", "H=8", "V=64", "context=60000", NULL});
  must(weir_model_load(path, &(weir_load_options){.allocator = &allocator}, &s.model), path);
  must(weir_executor_create(s.model, &(weir_executor_options){.threads = 2, .no_pin = true}, &executor), "executor");
  must(weir_session_open(s.model, NULL, 0, &session), "session");
  must(encode(executor, session, source, 40), "encode");
  uint8_t *a = export_session(session, &before);
  static const struct {
    int64_t rows;
    weir_code code;
  } cases[] = {{60000, WEIR_CODE_OUT_OF_RANGE},
               {50000, WEIR_CODE_OUT_OF_RANGE},
               {40000, WEIR_CODE_OUT_OF_MEMORY},
               {60001, WEIR_CODE_INVALID_ARGUMENT}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    weir_status status = encode(executor, session, source, cases[i].rows);
    cr_expect_eq(weir_status_code(status), cases[i].code, "%lld rows: %s", (long long)cases[i].rows,
                 status ? weir_status_message(status) : "no failure");
    weir_status_release(status);
    uint8_t *b = export_session(session, &after);
    cr_expect(before == after && !memcmp(a, b, before), "the session has changed");
    free(b);
  }
  must(encode(executor, session, source, 64), "encode");
  free(a);
  free(source);
  weir_session_close(session);
  weir_executor_destroy(executor);
  weir_model_release(s.model);
  weir_arena_deinit(&arena);
}

// ---- calls that are given up

typedef struct {
  int flag, delay_us;
} giving_up;

static void *give_up(void *context) {
  giving_up *g = context;
  nanosleep(&(struct timespec){.tv_nsec = 1000L * g->delay_us}, NULL);
  __atomic_store_n(&g->flag, 1, __ATOMIC_RELAXED);
  return NULL;
}

// A long scan, cancelled somewhere inside: the session is as it was, and goes on to the same bits.
Test(schedules, cancelled_inside_a_loop) {
  weir_arena arena;
  weir_session *session;
  float wanted[64], got[64];
  int cancelled = 0;
  size_t before, after;
  int32_t *tokens = calloc(LONG, sizeof *tokens);
  weir_arena_init(&arena);
  open_suite(&s, build(&arena, "models/lstm.weir", (const char *const[]){"layers=1", "D=16", "V=64", NULL}), 3);
  const weir_entry *next = weir_model_find_entry(s.model, "next");
  for (int i = 0; i < LONG; i++) tokens[i] = below(&s, 64);
  weir_view few = {.data = tokens, .dtype = WEIR_DTYPE_I32, .rank = 1, .shape = {9}}, many = few;
  many.shape[0] = LONG;
  weir_view output = {.data = got, .bytes = sizeof got};
  weir_request request = {.inputs = &few, .outputs = &output};
  must(weir_session_open(s.model, NULL, 0, &session), "session");
  request.session = session;
  must(weir_run(s.executors[0], next, &request, 1, NULL), "a start");
  uint8_t *a = export_session(session, &before);
  must(weir_run(s.executors[0], next, &request, 1, NULL), "a start");
  memcpy(wanted, got, sizeof got);
  must(weir_session_import(session, a, before), "import");
  for (int k = 0; k < 24; k++) {
    giving_up g = {.delay_us = below(&s, 3000)};
    weir_run_options options = {.cancel = &g.flag};
    pthread_t thread;
    request.inputs = &many;
    cr_assert_eq(pthread_create(&thread, NULL, give_up, &g), 0);
    weir_status status = weir_run(s.executors[k % MAX_THREADS], next, &request, 1, &options);
    pthread_join(thread, NULL);
    if (status) {
      cr_assert_eq(weir_status_code(status), WEIR_CODE_CANCELLED);
      weir_status_release(status);
      cancelled++;
    } else {
      must(weir_session_import(session, a, before), "import");
    }
    uint8_t *b = export_session(session, &after);
    cr_assert(before == after && !memcmp(a, b, before), "the session has changed");
    free(b);
  }
  cr_expect(cancelled > 0);
  request.inputs = &few;
  must(weir_run(s.executors[2], next, &request, 1, NULL), "going on");
  cr_expect_eq(memcmp(wanted, got, sizeof got), 0);
  free(a);
  free(tokens);
  weir_session_close(session);
  close_suite(&s);
  weir_arena_deinit(&arena);
}
