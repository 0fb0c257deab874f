// A package of the runtime tests' model with code for the CPU and for sim, and what is done with it.
#ifndef WEIR_TESTS_UNIT_CODEGEN_DEVICE_FIXTURE_H
#define WEIR_TESTS_UNIT_CODEGEN_DEVICE_FIXTURE_H

#include <dlfcn.h>

#include "runtime/device/cuda/device.h"
#include "tests/fake-driver/fake.h"
#include "tests/unit/codegen/package_fixture.h"

static const char sim_prelude[] =
#include "codegen/cuda/prelude_sim.inc"
    ;

#define DEVICE_MANIFEST                                                                       \
  "{\"format\": 2, \"model\": \"fixture\", \"entries\": [\"next\", \"score\", \"blocks\"],\n" \
  " \"objects\": [{\"isa\": \"portable\"}, {\"isa\": \"sim\"}]}\n"

// The fixture's kernels behind the prelude as an object of sim; the caller frees it.
static inline char *sim_build(const char *flags, size_t *out_bytes) {
  char command[512], *data, *kernel_text;
  size_t bytes;
  OK(weir_file_read(WEIR_SOURCE_DIR "/tests/unit/codegen/device_kernels.inc", 1 << 20, &kernel_text, &bytes));
  FILE *file = fopen(scratch_path("sim.c"), "w");
  cr_assert(file);
  fputs(sim_prelude, file);
  fwrite(kernel_text, 1, bytes, file);
  fclose(file);
  free(kernel_text);
  snprintf(command, sizeof command, "cc -std=gnu11 -O1 -w -Wno-psabi -shared -fPIC %s '%s' -o '%s' -lm", flags,
           scratch_path("sim.c"), scratch_path("sim.so"));
  cr_assert_eq(system(command), 0);
  OK(weir_file_read(scratch_path("sim.so"), 1 << 24, &data, out_bytes));
  return data;
}

static const char *facts_text;  // null: the right facts

static inline void sim_package_write(const char *path, fixture *f, const char *flags) {
  cg_package_writer *w;
  char facts[2048] = "";
  size_t host_bytes, sim_bytes;
  char *host = object_build(&host_bytes), *sim = sim_build(flags, &sim_bytes);
  for (int i = 0; i < KERNELS; i++) {
    snprintf(facts + strlen(facts), sizeof facts - strlen(facts),
             "%s unit=0 threads=32 items=32 shared=0 dynamic=0 scratch=%d registers=32 spills=0 occupancy=2 maps=%d "
             "cluster=0 block=0 pdl=%d%s\n",
             kernels[i].symbol, i ? 0 : 128, !i, i == 1, i ? "" : " map=0:1:0:80:0:$0,40,*");
  }
  OK(cg_package_create(path, &w));
  OK(cg_package_add(w, RT_SECTION_MANIFEST, DEVICE_MANIFEST, strlen(DEVICE_MANIFEST)));
  for (int i = 0; i < 3; i++) {
    char name[64];
    const char *text = rt_program_print(&f->arena, f->programs[i]);
    snprintf(name, sizeof name, RT_SECTION_PROGRAM "%s", f->programs[i]->name);
    OK(cg_package_add(w, name, text, strlen(text)));
    if (i) continue;
    snprintf(name, sizeof name, RT_SECTION_PROGRAM "cuda/%s", f->programs[i]->name);
    OK(cg_package_add(w, name, text, strlen(text)));
  }
  OK(cg_package_add(w, RT_SECTION_OBJECT "portable", host, host_bytes));
  OK(cg_package_add(w, RT_SECTION_OBJECT "sim", sim, sim_bytes));
  if (facts_text) snprintf(facts, sizeof facts, "%s", facts_text);
  OK(cg_package_add(w, RT_SECTION_OBJECT "sim.facts", facts, strlen(facts)));
  OK(cg_package_weights_begin(w));
  OK(cg_package_weight(w, "bias", "f32", "plain", "-", "abcd", 4));
  OK(cg_package_weight(w, "table", "f32", "plain", "10x2", table, sizeof table));
  OK(cg_package_weights_end(w));
  OK(cg_package_commit(w, NULL, NULL));
  free(host);
  free(sim);
}

static inline void loop_package_write(const char *path, const char *program) {
  static const char manifest[] =
      "{\"format\": 2, \"model\": \"loops\", \"entries\": [\"sums\"], \"objects\": [{\"isa\": \"sim\"}]}\n";
  static const char *const names[] = {"loop_init", "loop_add", "loop_mark", "loop_count"};
  cg_package_writer *w;
  char facts[2048] = "";
  size_t bytes;
  char *sim = sim_build("", &bytes);
  for (int i = 0; i < 4; i++) {
    snprintf(facts + strlen(facts), sizeof facts - strlen(facts),
             "%s unit=0 threads=32 items=32 shared=0 dynamic=0 scratch=0 registers=32 spills=0 occupancy=2 maps=0 "
             "cluster=0 block=0 pdl=0\n",
             names[i]);
  }
  OK(cg_package_create(path, &w));
  OK(cg_package_add(w, RT_SECTION_MANIFEST, manifest, strlen(manifest)));
  OK(cg_package_add(w, RT_SECTION_PROGRAM "sums", program, strlen(program)));
  OK(cg_package_add(w, RT_SECTION_OBJECT "sim", sim, bytes));
  OK(cg_package_add(w, RT_SECTION_OBJECT "sim.facts", facts, strlen(facts)));
  OK(cg_package_commit(w, NULL, NULL));
  free(sim);
}

// ---- a life: what a program does with a model from load to release

enum { LIFE_REQUESTS = 3, LIFE_FLOATS = 2048, LIFE_BYTES = 1 << 16 };

// All that it saw.
typedef struct {
  float values[LIFE_FLOATS];
  int count;
  uint8_t session[LIFE_BYTES];
  size_t session_bytes;
} life;

static inline void life_note(life *l, const float *values, int count) {
  for (int i = 0; i < count && l->count < LIFE_FLOATS; i++) l->values[l->count++] = values[i];
}

// |lengths| tokens for each of so many sessions in one call.
static inline weir_status life_step(life *l, weir_executor *x, const weir_entry *entry, weir_session **sessions,
                                    const int *lengths, int count, weir_run_options *options) {
  static const int32_t tokens[] = {1, 2, 3, 5, 8, 9, 0, 4, 7, 6, 1, 1, 2, 9};
  weir_view inputs[LIFE_REQUESTS], outputs[LIFE_REQUESTS];
  weir_request requests[LIFE_REQUESTS];
  float sums[LIFE_REQUESTS][32];
  int step = sessions != NULL;
  for (int r = 0; r < count; r++) {
    inputs[r] = tokens_view(tokens + r, lengths[r]);
    outputs[r] = room_view(sums[r], 32);
    requests[r] = (weir_request){step ? sessions[r] : NULL, &inputs[r], &outputs[r]};
  }
  WEIR_TRY(weir_run(x, entry, requests, count, options));
  for (int r = 0; r < count; r++) life_note(l, sums[r], step ? 2 : 2 * lengths[r]);
  return WEIR_OK;
}

static inline weir_status life_sessions(life *l, weir_model *model, weir_executor *x, weir_session **s) {
  const weir_entry *next = weir_model_find_entry(model, "next"), *score = weir_model_find_entry(model, "score");
  for (int r = 0; r < LIFE_REQUESTS - 1; r++) WEIR_TRY(weir_session_open(model, NULL, 0, &s[r]));
  WEIR_TRY(life_step(l, x, next, s, (int[]){3, 1}, 2, NULL));
  for (int i = 0; i < 3; i++) WEIR_TRY(life_step(l, x, next, s, (int[]){1, 1}, 2, NULL));
  WEIR_TRY(life_step(l, x, score, NULL, (int[]){5, 2, 7}, 3, NULL));
  WEIR_TRY(life_step(l, x, next, s + 1, (int[]){4}, 1, NULL));
  WEIR_TRY(weir_session_fork(s[1], &s[2]));
  WEIR_TRY(life_step(l, x, next, s, (int[]){2, 6, 1}, 3, NULL));
  WEIR_TRY(weir_session_export(s[0], l->session, LIFE_BYTES, &l->session_bytes));
  WEIR_TRY(weir_session_import(s[2], l->session, l->session_bytes));
  WEIR_TRY(weir_session_truncate(s[1], NULL, 0));
  return life_step(l, x, next, s + 1, (int[]){2, 2}, 2, NULL);
}

// From load to release on |device|; everything is let go also where it fails.
static inline weir_status life_run(const char *path, const char *device, const weir_allocator *allocator, life *l) {
  weir_model *model = NULL;
  weir_executor *x = NULL;
  weir_session *sessions[LIFE_REQUESTS] = {NULL};
  memset(l, 0, sizeof *l);
  weir_status status = weir_model_load(path, &(weir_load_options){.device = device, .allocator = allocator}, &model);
  if (!status) status = weir_executor_create(model, &(weir_executor_options){.threads = 1}, &x);
  if (!status) status = life_sessions(l, model, x, sessions);
  for (int r = 0; r < LIFE_REQUESTS; r++) weir_session_close(sessions[r]);
  weir_executor_destroy(x);
  weir_model_release(model);
  return status;
}

static inline void life_compare(const life *a, const life *b) {
  cr_assert_eq(a->count, b->count);
  for (int i = 0; i < a->count; i++)
    cr_assert(a->values[i] == b->values[i], "value %d: %g, %g", i, a->values[i], b->values[i]);
  cr_assert_eq(a->session_bytes, b->session_bytes);
  cr_assert(!memcmp(a->session, b->session, a->session_bytes), "the sessions differ");
}

#endif
