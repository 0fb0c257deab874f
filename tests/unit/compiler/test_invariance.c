// The bits of an answer depend on its own request only: not on how a sequence is cut into calls, on what else is in the
// batch, or on how many threads run. Checked on a small decoder with random weights, and on the real one with its
// quantised blocks where it has been fetched.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compiler/plan/build.h"
#include "compiler/plan/home.h"
#include "runtime/weir.h"

enum { LENGTH = 48, CUTS = 12 };

static uint64_t state = 0x9E3779B97F4A7C15ull;
static int below(int limit) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (int)((state >> 33) % (uint64_t)limit);
}

static void ok(weir_status status) { cr_assert(!status, "%s", weir_status_message(status)); }

static const char *build(weir_arena *arena, plan_request *request) {
  lang_diags diags;
  lang_diags_init(&diags, arena);
  plan_result result;
  request->models_folder = WEIR_SOURCE_DIR "/models";
  weir_status status = plan_build(arena, request, NULL, 0, plan_targets_here(), &diags, &result);
  ok(status);
  return result.path;
}

typedef struct {
  weir_model *model;
  weir_executor *executor;
  const weir_entry *next;
  int vocabulary;
} decoder;

static decoder open_decoder(const char *path, int threads) {
  decoder d;
  weir_executor_options options = {.threads = threads, .no_pin = true};
  ok(weir_model_load(path, NULL, &d.model));
  ok(weir_executor_create(d.model, &options, &d.executor));
  d.next = weir_model_find_entry(d.model, "next");
  d.vocabulary = (int)weir_entry_input(d.next, 0).hi + 1;
  return d;
}

static void close_decoder(decoder *d) {
  weir_executor_destroy(d->executor);
  weir_model_release(d->model);
}

static weir_session *open_session(decoder *d) {
  weir_session *session;
  weir_capacity room = {"T", LENGTH};
  ok(weir_session_open(d->model, &room, 1, &session));
  return session;
}

// Takes |count| tokens of each sequence; the logits after the last go to |logits|[i].
static void step(decoder *d, weir_session *const *sessions, int32_t *const *tokens, const int *counts, int requests,
                 float *const *logits) {
  weir_view inputs[4], outputs[4];
  weir_request batch[4];
  for (int i = 0; i < requests; i++) {
    inputs[i] = (weir_view){.data = tokens[i], .dtype = WEIR_DTYPE_I32, .rank = 1, .shape = {counts[i]}};
    outputs[i] = (weir_view){.data = logits[i], .bytes = sizeof(float) * (size_t)d->vocabulary};
    batch[i] = (weir_request){.session = sessions[i], .inputs = &inputs[i], .outputs = &outputs[i]};
  }
  ok(weir_run(d->executor, d->next, batch, requests, NULL));
}

static void check(weir_arena *arena, const char *path) {
  decoder one = open_decoder(path, 1), two = open_decoder(path, 2);
  int32_t *sequences[3];
  float *whole[3], *got[3];
  for (int s = 0; s < 3; s++) {
    sequences[s] = WEIR_NEW_ARRAY(arena, int32_t, LENGTH);
    whole[s] = WEIR_NEW_ARRAY(arena, float, one.vocabulary);
    got[s] = WEIR_NEW_ARRAY(arena, float, one.vocabulary);
    for (int i = 0; i < LENGTH; i++) sequences[s][i] = below(one.vocabulary);
    weir_session *session = open_session(&one);
    int count = LENGTH;
    step(&one, &session, &sequences[s], &count, 1, &whole[s]);
    weir_session_close(session);
  }
  for (int cut = 0; cut < CUTS; cut++) {  // all three advance together, by other numbers of tokens in each call
    weir_session *sessions[3] = {open_session(&two), open_session(&two), open_session(&two)};
    int done[3] = {0, 0, 0};
    while (done[0] < LENGTH || done[1] < LENGTH || done[2] < LENGTH) {
      weir_session *of[3];
      int32_t *tokens[3];
      float *logits[3];
      int counts[3], requests = 0;
      for (int s = 0; s < 3; s++) {
        int left = LENGTH - done[s];
        if (left == 0 || (below(4) == 0 && requests > 0)) continue;
        counts[requests] = 1 + (below(2) ? below(left < 3 ? left : 3) : below(left));
        of[requests] = sessions[s];
        tokens[requests] = sequences[s] + done[s];
        logits[requests] = got[s];
        done[s] += counts[requests++];
      }
      if (requests) step(&two, of, tokens, counts, requests, logits);
    }
    for (int s = 0; s < 3; s++) {
      cr_assert(memcmp(got[s], whole[s], sizeof(float) * (size_t)one.vocabulary) == 0,
                "cut %d, sequence %d: other bits", cut, s);
      weir_session_close(sessions[s]);
    }
  }
  close_decoder(&one);
  close_decoder(&two);
}

Test(invariance, random_weights) {
  weir_arena arena;
  weir_arena_init(&arena);
  static const char *const overrides[] = {"layers=2", "D=64", "F=160", "heads=4", "kv_heads=2", "V=512"};
  plan_request request = {.text = WEIR_SOURCE_DIR "/models/smollm2.weir",
                          .random = true,
                          .seed = 7,
                          .overrides = overrides,
                          .override_count = 6};
  check(&arena, build(&arena, &request));
  weir_arena_deinit(&arena);
}

// Scans, windows, states of fixed shapes, experts chosen at run time.
Test(invariance, all_that_a_session_keeps) {
  weir_arena arena;
  weir_arena_init(&arena);
  plan_request request = {.text = WEIR_SOURCE_DIR "/tests/data/streaming.weir", .random = true, .seed = 11};
  check(&arena, build(&arena, &request));
  weir_arena_deinit(&arena);
}

Test(invariance, quantised_weights) {
  weir_arena arena;
  weir_arena_init(&arena);
  const char *home;
  ok(plan_home(&arena, &home));
  const char *weights = weir_arena_printf(&arena, "%s/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", home);
  struct stat info;
  if (stat(weights, &info) != 0) cr_skip_test("the weights have not been fetched (weir pull smollm2)");
  plan_request request = {.text = WEIR_SOURCE_DIR "/models/smollm2.weir", .weights = weights};
  check(&arena, build(&arena, &request));
  weir_arena_deinit(&arena);
}
