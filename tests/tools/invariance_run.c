// Making and judging single calls: outputs, sessions, memory predicted and measured, bits compared.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/invariance.h"

void open_suite(suite *s, const char *path, uint64_t seed) {
  *s = (suite){.random = seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull};
  const weir_load_options where = {.device = getenv("INVARIANCE_DEVICE")};
  must(weir_model_load(path, &where, &s->model), path);
  for (int i = 0; i < MAX_THREADS; i++) {
    weir_executor_options options = {.threads = i + 1, .no_pin = true};
    must(weir_executor_create(s->model, &options, &s->executors[i]), "executor");
  }
}

void close_suite(suite *s) {
  for (int r = 0; r < s->run_count; r++) {
    run *done = &s->runs[r];
    for (int k = 0; k <= done->before_count; k++) {
      call *c = k < done->before_count ? &done->before[k] : &done->main;
      for (int i = 0; i < MAX_TENSORS; i++) free(c->inputs[i].data);
    }
    free_outputs(done->main.entry, done->outputs);
    free(done->kept);
  }
  for (int i = 0; i < MAX_THREADS; i++) weir_executor_destroy(s->executors[i]);
  weir_model_release(s->model);
}

int below(suite *s, int64_t limit) {
  s->random ^= s->random << 13;
  s->random ^= s->random >> 7;
  s->random ^= s->random << 17;
  return (int)((s->random >> 20) % (uint64_t)limit);
}

void die(const char *what, weir_status status) {
  fprintf(stderr, "%s: %s\n", what, status ? weir_status_message(status) : "failed");
  exit(1);
}

void must(weir_status status, const char *what) {
  if (status) die(what, status);
}

size_t view_bytes(const weir_view *v) {
  size_t bytes = weir_dtype_bytes(v->dtype);
  for (int i = 0; i < v->rank; i++) bytes *= (size_t)v->shape[i];
  return bytes;
}

// The text of axis |axis| in "T, 576"; false if it is not exactly |symbol|.
static bool axis_is(const char *dims, int axis, const char *symbol) {
  for (; axis > 0 && dims; axis--) {
    dims = strchr(dims, ',');
    if (dims) dims += strspn(dims, ", ");
  }
  size_t length = strlen(symbol);
  return dims && !strncmp(dims, symbol, length) && (!dims[length] || dims[length] == ',');
}

const char *growing(const weir_entry *entry) {
  weir_entry_info info = weir_entry_describe(entry);
  for (int i = 0; i < info.symbol_count; i++) {
    weir_symbol_info symbol = weir_entry_symbol(entry, i);
    if (symbol.grows) return symbol.name;
  }
  return NULL;
}

bool has_rows(weir_tensor_info info, const char *symbol) {
  return symbol && info.rank > 0 && axis_is(info.dims, 0, symbol);
}

// ---- calls

void make_outputs(const weir_entry *entry, weir_request *requests, int count, weir_view (*outputs)[MAX_TENSORS]) {
  int output_count = weir_entry_describe(entry).output_count;
  for (int r = 0; r < count; r++) {
    memset(outputs[r], 0, sizeof outputs[r]);
    requests[r].outputs = outputs[r];
  }
  must(weir_output_shapes(entry, requests, count), weir_entry_describe(entry).name);
  for (int r = 0; r < count; r++) {
    for (int i = 0; i < output_count; i++) {
      outputs[r][i].bytes = view_bytes(&outputs[r][i]);
      outputs[r][i].data = malloc(outputs[r][i].bytes + 64);
      memset(outputs[r][i].data, 0xCD, outputs[r][i].bytes);
    }
  }
}

void free_outputs(const weir_entry *entry, weir_view *outputs) {
  for (int i = 0; i < weir_entry_describe(entry).output_count; i++) free(outputs[i].data);
}

// The value that a request's inputs give a symbol; -1 where no input has it as a dim of its own.
static int64_t symbol_value(const weir_entry *entry, const weir_request *request, const char *symbol) {
  for (int i = 0; i < weir_entry_describe(entry).input_count; i++) {
    weir_tensor_info info = weir_entry_input(entry, i);
    for (int d = 0; d < info.rank; d++)
      if (axis_is(info.dims, d, symbol)) return request->inputs[i].shape[d];
  }
  return -1;
}

// False where the inputs do not say the values of all symbols by themselves.
static bool predict(suite *s, const weir_executor *executor, const weir_entry *entry, const weir_request *requests,
                    int count, weir_memory *out) {
  int64_t values[MAX_RUNS * 3][MAX_TENSORS];
  weir_extent extents[MAX_RUNS * 3];
  int symbols = weir_entry_describe(entry).symbol_count;
  if (symbols > MAX_TENSORS || count > MAX_RUNS * 3) return false;
  for (int r = 0; r < count; r++) {
    extents[r] = (weir_extent){.values = values[r], .session = requests[r].session};
    for (int i = 0; i < symbols; i++) {
      weir_symbol_info symbol = weir_entry_symbol(entry, i);
      values[r][i] = symbol.lo == symbol.hi ? symbol.lo : symbol_value(entry, &requests[r], symbol.name);
      if (values[r][i] < 0 && !symbol.stored) return false;
    }
  }
  must(weir_memory_predict(executor, entry, extents, count, out), "predicting memory");
  s->predictions++;
  return true;
}

weir_status run_call(suite *s, const weir_entry *entry, weir_request *requests, int count, weir_run_options *options) {
  weir_executor *executor = s->executors[below(s, MAX_THREADS)];
  weir_memory predicted, measured;
  bool known = predict(s, executor, entry, requests, count, &predicted);
  weir_status status = weir_run(executor, entry, requests, count, options);
  weir_memory_measured(executor, &measured);
  if (status || !known || !memcmp(&predicted, &measured, sizeof measured)) return status;
  s->failures++;
  printf(
      "differs: memory of a call of %s with %d requests: states %lld, temporaries %lld, %lld in all; predicted were "
      "%lld, %lld, %lld\n",
      weir_entry_describe(entry).name, count, (long long)measured.state_bytes, (long long)measured.arena_bytes,
      (long long)measured.total_bytes, (long long)predicted.state_bytes, (long long)predicted.arena_bytes,
      (long long)predicted.total_bytes);
  return WEIR_OK;
}

// ---- sessions

void take_before(suite *s, const run *r, weir_session *session) {
  for (int i = 0; i < r->before_count; i++) {
    weir_view outputs[1][MAX_TENSORS];
    weir_request request = {.session = session, .inputs = r->before[i].inputs};
    make_outputs(r->before[i].entry, &request, 1, outputs);
    must(run_call(s, r->before[i].entry, &request, 1, NULL), "a step before");
    free_outputs(r->before[i].entry, outputs[0]);
  }
}

weir_session *open_session(suite *s, const run *r, int64_t room) {
  weir_session *session;
  weir_capacity capacity = {growing(r->main.entry), room};
  must(weir_session_open(s->model, &capacity, room > 0, &session), "opening a session");
  take_before(s, r, session);
  return session;
}

uint8_t *export_session(const weir_session *session, size_t *out_bytes) {
  must(weir_session_export(session, NULL, 0, out_bytes), "exporting");
  uint8_t *bytes = malloc(*out_bytes);
  must(weir_session_export(session, bytes, *out_bytes, out_bytes), "exporting");
  return bytes;
}

// ---- judging

void failure(suite *s, int number, const char *what) {
  s->failures++;
  printf("differs: run %d (%s): %s\n", number, weir_entry_describe(s->runs[number].main.entry).name, what);
}

void compare(suite *s, int number, const char *how, int output, const void *got, size_t bytes) {
  const run *r = &s->runs[number];
  const weir_view *wanted = &r->outputs[output];
  if (bytes == view_bytes(wanted) && !memcmp(got, wanted->data, bytes)) return;
  s->failures++;
  size_t at = 0;
  while (at < bytes && at < view_bytes(wanted) && ((const char *)got)[at] == ((const char *)wanted->data)[at]) at++;
  printf("differs: run %d (%s), output %s, %s, at byte %zu of %zu\n", number, weir_entry_describe(r->main.entry).name,
         weir_entry_output(r->main.entry, output).name, how, at, view_bytes(wanted));
}

void compare_session(suite *s, int number, const char *how, const weir_session *session) {
  const run *r = &s->runs[number];
  size_t bytes, at = 0;
  if (!session) return;
  uint8_t *got = export_session(session, &bytes);
  if (bytes != r->kept_bytes || memcmp(got, r->kept, bytes)) {
    while (at < bytes && at < r->kept_bytes && got[at] == r->kept[at]) at++;
    s->failures++;
    printf("differs: run %d (%s), the session afterwards, %s, at byte %zu of %zu\n", number,
           weir_entry_describe(r->main.entry).name, how, at, r->kept_bytes);
  }
  free(got);
}

// ---- runs

static void run_alone(suite *s, run *r) {
  weir_view outputs[1][MAX_TENSORS];
  bool step = weir_entry_describe(r->main.entry).step;
  weir_request request = {.session = step ? open_session(s, r, 0) : NULL, .inputs = r->main.inputs};
  make_outputs(r->main.entry, &request, 1, outputs);
  must(run_call(s, r->main.entry, &request, 1, NULL), weir_entry_describe(r->main.entry).name);
  memcpy(r->outputs, outputs[0], sizeof r->outputs);
  if (step) r->kept = export_session(request.session, &r->kept_bytes);
  weir_session_close(request.session);
}

// All runs of |entry| in one call.
static void run_packed(suite *s, const weir_entry *entry) {
  weir_request requests[MAX_RUNS];
  weir_view outputs[MAX_RUNS][MAX_TENSORS];
  int numbers[MAX_RUNS], count = 0;
  bool step = weir_entry_describe(entry).step;
  for (int i = s->run_count - 1; i >= 0; i--) {  // another order than alone
    if (s->runs[i].main.entry != entry) continue;
    requests[count] =
        (weir_request){.session = step ? open_session(s, &s->runs[i], 0) : NULL, .inputs = s->runs[i].main.inputs};
    numbers[count++] = i;
  }
  make_outputs(entry, requests, count, outputs);
  must(run_call(s, entry, requests, count, NULL), "packed");
  for (int r = 0; r < count; r++) {
    for (int i = 0; i < weir_entry_describe(entry).output_count; i++)
      compare(s, numbers[r], "packed", i, outputs[r][i].data, view_bytes(&outputs[r][i]));
    compare_session(s, numbers[r], "packed", requests[r].session);
    free_outputs(entry, outputs[r]);
    weir_session_close(requests[r].session);
  }
}

int run_all(suite *s, int cuts) {
  int schedules = 0;
  for (int i = 0; i < s->run_count; i++) run_alone(s, &s->runs[i]);
  for (int e = 0; e < weir_model_entry_count(s->model); e++) {
    const weir_entry *entry = weir_model_entry(s->model, e);
    int count = 0;
    for (int i = 0; i < s->run_count; i++) count += s->runs[i].main.entry == entry;
    if (!count) continue;
    run_packed(s, entry);
    if (!weir_entry_describe(entry).step || !growing(entry)) continue;
    for (int i = 0; i < cuts; i++, schedules++) run_cut(s, entry, growing(entry));
  }
  return schedules;
}
