// Several executors of one model on one device, in threads of their own: answers are those of one alone, and a fault
// that one meets is what all the others are told. Without Criterion, so that it runs under the thread sanitizer.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define FIXTURE_CHECK(condition, ...)                                 \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      fprintf(stderr, __VA_ARGS__);                                   \
      exit(1);                                                        \
    }                                                                 \
  } while (0)
#define cr_assert(condition, ...) FIXTURE_CHECK(condition, "\n" __VA_ARGS__)
#define cr_assert_eq(a, b, ...) FIXTURE_CHECK((a) == (b), "\n" __VA_ARGS__)

#include "tests/unit/codegen/device_fixture.h"

enum { THREADS = 3 };

static weir_model *model;
static life alone, lives[THREADS];
static weir_code codes[THREADS];

static void *live(void *argument) {
  int i = (int)(intptr_t)argument;
  weir_executor *x = NULL;
  weir_session *sessions[LIFE_REQUESTS] = {NULL};
  weir_status status = weir_executor_create(model, NULL, &x);
  if (!status) status = life_sessions(&lives[i], model, x, sessions);
  for (int r = 0; r < LIFE_REQUESTS; r++) weir_session_close(sessions[r]);
  weir_executor_destroy(x);
  codes[i] = weir_status_code(status);
  weir_status_release(status);
  return NULL;
}

static void all_live(const char *path) {
  pthread_t threads[THREADS];
  memset(lives, 0, sizeof lives);
  OK(weir_model_load(path, &(weir_load_options){.device = "sim"}, &model));
  for (intptr_t i = 0; i < THREADS; i++) cr_assert_eq(pthread_create(&threads[i], NULL, live, (void *)i), 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  weir_model_release(model);
}

int main(void) {
  fixture f;
  scratch_make();
  fixture_init(&f);
  char path[128];
  snprintf(path, sizeof path, "%s", scratch_path("m.wpk"));
  sim_package_write(path, &f, "");
  OK(life_run(path, "cpu", NULL, &alone));
  all_live(path);
  for (int i = 0; i < THREADS; i++) {
    cr_assert_eq(codes[i], WEIR_CODE_OK);
    life_compare(&alone, &lives[i]);
  }
  sim_package_write(path, &f, "-DBROKEN");
  all_live(path);
  for (int i = 0; i < THREADS; i++) cr_assert_eq(codes[i], WEIR_CODE_DEVICE_LOST);
  fixture_deinit(&f);
  scratch_remove();
  puts("device threads: as they should be");
  return 0;
}
