// Every entry of the list, counted and logged, then the simulator's.
#include "tests/fake-driver/fake.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/sim/driver.h"

enum {
#define CALL(field, symbol, parameters, arguments, needed) AT_##field,
#include "runtime/device/cuda/driver.def"
  CALLS
};

static const char *const symbols[] = {
#define CALL(field, symbol, parameters, arguments, needed) #symbol,
#include "runtime/device/cuda/driver.def"
};

static struct {
  pthread_mutex_t lock;
  int64_t calls, fail_at, counts[CALLS], left, overlaps;
  int code, version, devices, retained;
  bool forever;
  const char *failed;
  FILE *log;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .version = RT_CUDA_OLDEST, .devices = 1, .left = -1};

static const rt_cuda_driver *sim(void) {
  static _Thread_local rt_cuda_driver table;
  if (!table.version) rt_sim_driver(&table);
  return &table;
}

void fake_cuda_fail(int64_t nth, int code, int forever) {
  pthread_mutex_lock(&fake.lock);
  fake.calls = 0;
  fake.fail_at = nth;
  fake.code = code;
  fake.forever = forever;
  fake.failed = NULL;
  fake.left = -1;
  fake.overlaps = 0;
  memset(fake.counts, 0, sizeof fake.counts);
  pthread_mutex_unlock(&fake.lock);
}

int64_t fake_cuda_calls(void) { return fake.calls; }
const char *fake_cuda_failed(void) { return fake.failed; }
int64_t fake_cuda_left(void) { return fake.left; }
int64_t fake_cuda_overlaps(void) { return fake.overlaps; }

int64_t fake_cuda_count(const char *symbol) {
  for (int i = 0; i < CALLS; i++)
    if (!strcmp(symbols[i], symbol)) return fake.counts[i];
  return -1;
}

static void environment_read(void) {
  const char *devices = getenv("WEIR_FAKE_DEVICES"), *fail = getenv("WEIR_FAKE_FAIL"), *log = getenv("WEIR_FAKE_LOG");
  if (devices) fake.devices = atoi(devices);
  if (fail) {
    fake.fail_at = atoll(fail);
    fake.code = strchr(fail, ':') ? atoi(strchr(fail, ':') + 1) : RT_CUDA_UNKNOWN;
  }
  if (log && !fake.log) fake.log = fopen(log, "a");
}

// What gives something back is done all the same.
static bool gives_back(int at) {
  switch (at) {
    case AT_context_release:
    case AT_context_pop:
    case AT_module_unload:
    case AT_memory_free:
    case AT_memory_free_async:
    case AT_host_free:
    case AT_stream_destroy:
    case AT_event_destroy:
    case AT_graph_destroy:
    case AT_graph_free:
      return true;
    default:
      return false;
  }
}

// Asking for words is no work that could fail.
static bool is_talk(int at) { return at == AT_error_name || at == AT_error_text || at == AT_driver_version; }

// The code with which this call is to fail; 0: it is done.
static int call_begin(int at) {
  if (is_talk(at)) return RT_CUDA_OK;
  pthread_mutex_lock(&fake.lock);
  fake.calls++;
  fake.counts[at]++;
  bool chosen = fake.fail_at && (fake.calls == fake.fail_at || (fake.forever && fake.calls > fake.fail_at));
  if (chosen && !fake.failed) fake.failed = symbols[at];
  int code = chosen ? fake.code : RT_CUDA_OK;
  pthread_mutex_unlock(&fake.lock);
  return code;
}

static void call_end(int at, int code) {
  pthread_mutex_lock(&fake.lock);
  if (fake.log) fprintf(fake.log, "%s %d\n", symbols[at], code);
  if (fake.log) fflush(fake.log);
  pthread_mutex_unlock(&fake.lock);
}

// What the fake itself adds to a call, before it.
static void special(int at) {
  pthread_mutex_lock(&fake.lock);
  if (at == AT_init) environment_read();
  if (at == AT_context_retain) fake.retained++;
  if (at == AT_context_release && !--fake.retained) fake.left = rt_sim_driver_live();
  pthread_mutex_unlock(&fake.lock);
}

// Counts where a kernel may begin before another has ended.
static void overlaps_note(int at, const void *first, const void *fourth) {
  const rt_cuda_launch *launch = first;
  const rt_cuda_edge *edge = fourth;
  bool found = at == AT_graph_edges && edge && edge->type == RT_CUDA_EDGE_OVERLAP;
  for (unsigned i = 0; at == AT_launch && i < launch->attribute_count; i++)
    found |= launch->attributes[i].id == RT_CUDA_LAUNCH_OVERLAP && launch->attributes[i].value.overlap;
  pthread_mutex_lock(&fake.lock);
  fake.overlaps += found;
  pthread_mutex_unlock(&fake.lock);
}

static int replaced(int at, int code, void *out) {
  const char *version = getenv("WEIR_FAKE_VERSION");
  if (at == AT_driver_version) *(int *)out = version ? atoi(version) : fake.version;
  if (at == AT_device_count && !code) *(int *)out = fake.devices;
  return code;
}

// The address of the first out parameter, for those two that are replaced.
#define FIRST(...) FIRST_(__VA_ARGS__, 0)
#define FIRST_(first, ...) (void *)(uintptr_t)(first)
#define FOURTH(...) FOURTH_(__VA_ARGS__, 0, 0, 0, 0)
#define FOURTH_(a, b, c, fourth, ...) (void *)(uintptr_t)(fourth)

#define CALL(field, symbol, parameters, arguments, needed)          \
  FAKE_EXPORT int symbol parameters;                                \
  int symbol parameters {                                           \
    int failure_ = call_begin(AT_##field), result_ = failure_;      \
    if (!failure_ || gives_back(AT_##field)) {                      \
      special(AT_##field);                                          \
      overlaps_note(AT_##field, FIRST arguments, FOURTH arguments); \
      result_ = sim()->field arguments;                             \
      result_ = replaced(AT_##field, result_, FIRST arguments);     \
    }                                                               \
    if (failure_) result_ = failure_;                               \
    call_end(AT_##field, result_);                                  \
    return result_;                                                 \
  }
#include "runtime/device/cuda/driver.def"
