// weir trace: what every thread did in a call, as a timeline in the trace event format that Perfetto and Chrome read.
//
// One process, one track for each thread of the executor, and a track with the calls. A launch is a complete event
// named by the kernel, its block and op among the arguments; what lies between them is a wait: for other threads, or
// for work.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "compiler/driver/trial.h"
#include "runtime/exec/model.h"

enum { MOST_SYMBOLS = 64, MOST_CALLS = 4096, CALLS_TRACK = 0, WAIT_NS = 200 };

// A call, as an event of the first track.
typedef struct {
  int64_t begin_ns, end_ns, rows;
} call_span;

typedef struct {
  cli *c;
  cli_model model;
  cli_trial trial;
  int64_t requests, past, gen, events;
  int64_t values[MOST_SYMBOLS];
  int threads, call_count;
  weir_trace_thread *traces;
  call_span *calls;
} tracer;

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);  // the clock of the events
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static weir_status call(tracer *t, int64_t rows) {
  weir_run_options options = {.cancel = t->c->cancel, .trace = t->traces};
  call_span *span = &t->calls[t->call_count++];
  *span = (call_span){.begin_ns = now_ns(), .rows = rows};
  WEIR_TRY(cli_trial_run(&t->trial, &options));
  span->end_ns = now_ns();
  return WEIR_OK;
}

static int64_t rows_of(const tracer *t) {
  for (int i = 0; i < t->trial.info.symbol_count; i++)
    if (weir_entry_symbol(t->trial.entry, i).grows) return t->values[i];
  return 0;
}

static weir_status record(tracer *t) {
  WEIR_TRY(cli_trial_run(&t->trial, NULL));  // warms up
  WEIR_TRY(cli_trial_begin(&t->trial));
  WEIR_TRY(call(t, rows_of(t)));
  if (!t->gen) return WEIR_OK;
  for (int i = 0; i < t->trial.info.symbol_count; i++) {
    weir_symbol_info symbol = weir_entry_symbol(t->trial.entry, i);
    if (symbol.grows) t->values[i] = symbol.divisor > 1 ? symbol.divisor : 1;
  }
  WEIR_TRY(cli_trial_resize(&t->trial, t->values));
  for (int64_t i = 0; i < t->gen; i++) WEIR_TRY(call(t, rows_of(t)));
  return WEIR_OK;
}

// ---- the file

static double micro(int64_t ns) { return 1e-3 * (double)ns; }

static json_t *name_event(int track, const char *name, const char *kind) {
  return json_pack("{s:s,s:s,s:i,s:i,s:{s:s}}", "ph", "M", "name", kind, "pid", 1, "tid", track, "args", "name", name);
}

static json_t *complete_event(int track, const char *name, const char *category, int64_t begin, int64_t end,
                              json_t *args) {
  return json_pack("{s:s,s:s,s:s,s:i,s:i,s:f,s:f,s:o}", "ph", "X", "name", name, "cat", category, "pid", 1, "tid",
                   track, "ts", micro(begin), "dur", micro(end > begin ? end - begin : 0), "args", args);
}

static json_t *launch_event(int track, const weir_trace_event *e, int64_t start) {
  json_t *args =
      json_pack("{s:s,s:I,s:I}", "note", e->note, "items", (json_int_t)e->items, "phase", (json_int_t)e->phase);
  return complete_event(track, e->kernel, "launch", e->begin_ns - start, e->end_ns - start, args);
}

static void add_wait(json_t *out, int track, int64_t begin, int64_t end) {
  if (end - begin >= WAIT_NS)
    json_array_append_new(out, complete_event(track, "wait", "wait", begin, end, json_object()));
}

// A thread's launches, and its waits: what lies between them, and between them and the ends of the call.
static void add_thread(tracer *t, int k, json_t *out) {
  const weir_trace_thread *trace = &t->traces[k];
  int64_t start = t->calls[0].begin_ns, at = 0;
  json_array_append_new(out, name_event(k + 1, weir_arena_printf(&t->c->arena, "thread %d", k), "thread_name"));
  for (int i = 0; i < t->call_count; i++) {
    int64_t last = t->calls[i].begin_ns;
    for (; at < trace->count && trace->events[at].begin_ns < t->calls[i].end_ns; at++) {
      add_wait(out, k + 1, last - start, trace->events[at].begin_ns - start);
      json_array_append_new(out, launch_event(k + 1, &trace->events[at], start));
      last = trace->events[at].end_ns;
    }
    if (!trace->lost) add_wait(out, k + 1, last - start, t->calls[i].end_ns - start);
  }
}

static json_t *events_of(tracer *t, int64_t *lost) {
  json_t *out = json_array();
  int64_t start = t->calls[0].begin_ns;
  const char *entry = t->trial.info.name;
  json_array_append_new(out, name_event(CALLS_TRACK, weir_model_name(t->model.model), "process_name"));
  json_array_append_new(out, name_event(CALLS_TRACK, "calls", "thread_name"));
  for (int i = 0; i < t->call_count; i++) {
    json_t *args = json_pack("{s:I,s:I}", "rows", (json_int_t)t->calls[i].rows, "requests", (json_int_t)t->requests);
    json_array_append_new(out, complete_event(CALLS_TRACK, entry, "call", t->calls[i].begin_ns - start,
                                              t->calls[i].end_ns - start, args));
  }
  for (int k = 0; k < t->threads; k++) {
    *lost += t->traces[k].lost;
    add_thread(t, k, out);
  }
  return out;
}

// By rename, so that a reader never sees half a file.
static int write_file(cli *c, const char *path, const json_t *document) {
  const char *temporary = weir_arena_printf(&c->arena, "%s.tmp-%ld", path, (long)getpid());
  bool ok = !json_dump_file(document, temporary, JSON_COMPACT) && !rename(temporary, path);
  int reason = errno;
  if (!ok) unlink(temporary);
  return ok ? CLI_DONE : cli_fail(c, weir_status_make(WEIR_CODE_IO, "cannot write '%s': %s", path, strerror(reason)));
}

static int write_trace(tracer *t, const char *path) {
  cli *c = t->c;
  int64_t lost = 0, count = 0;
  for (int k = 0; k < t->threads; k++) count += t->traces[k].count;
  json_t *events = events_of(t, &lost);
  json_t *document = json_pack("{s:o,s:s,s:{s:s,s:i,s:I}}", "traceEvents", events, "displayTimeUnit", "ns", "otherData",
                               "isa", weir_model_isa(t->model.model), "threads", t->threads, "lost", (json_int_t)lost);
  int code = write_file(c, path, document);
  json_decref(document);
  if (code) return code;
  if (lost) cli_note(c, "%lld events did not fit: --events keeps more", (long long)lost);
  double seconds = 1e-9 * (double)(t->calls[t->call_count - 1].end_ns - t->calls[0].begin_ns);
  if (c->json)
    return cli_json(c,
                    json_pack("{s:s,s:s,s:I,s:I,s:i,s:f}", "file", path, "entry", t->trial.info.name, "events",
                              (json_int_t)count, "lost", (json_int_t)lost, "threads", t->threads, "seconds", seconds));
  printf("%s: %lld events on %d threads, %.3f ms\n", path, (long long)count, t->threads, 1e3 * seconds);
  return CLI_DONE;
}

// ---- all of it

static int make_room(tracer *t) {
  cli *c = t->c;
  t->threads = weir_executor_threads(t->model.executor);
  t->traces = WEIR_NEW_ARRAY(&c->arena, weir_trace_thread, t->threads);
  t->calls = WEIR_NEW_ARRAY(&c->arena, call_span, t->gen + 1);
  for (int k = 0; k < t->threads; k++) {
    t->traces[k].events = calloc((size_t)t->events, sizeof *t->traces[k].events);
    if (!t->traces[k].events) return cli_fail(c, weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for events"));
    t->traces[k].capacity = t->events;
  }
  return CLI_DONE;
}

static int trace(tracer *t, const char *path) {
  cli *c = t->c;
  const weir_entry *entry;
  int code = cli_model_open(c, c->arguments[0], false, &t->model);
  if (!code) code = cli_entry_find(c, &t->model, cli_text(c, "entry"), "next", &entry);
  if (code) return code;
  const rt_program *program = rt_entry_program(entry);
  if ((t->past || t->gen) && !(program->step && cli_entry_grows(entry)))
    return cli_usage(c, "--past and --gen are for steps that add rows to a session; %s does not", program->name);
  if (program->symbol_count > MOST_SYMBOLS) return cli_error(c, "entry %s has too many sizes", program->name);
  code = cli_sizes_check(c, &program, 1);
  if (!code) code = cli_sizes_read(c, program, t->values);
  if (!code) code = make_room(t);
  if (code) return code;
  weir_status status =
      cli_trial_open(&c->arena, &t->model, entry, t->values, 0, (int)t->requests, t->past, t->gen, &t->trial);
  if (!status) status = record(t);
  code = cli_fail(c, status);
  return code ? code : write_trace(t, path);
}

int cmd_trace(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  tracer t = {.c = c, .requests = 1, .events = 100000};
  const char *path = cli_text(c, "output");
  if (!path) return cli_usage(c, "where to? -o trace.json");
  if (!cli_int(c, "requests", 1, 4096, &t.requests) || !cli_int(c, "past", 0, INT32_MAX, &t.past) ||
      !cli_int(c, "gen", 0, MOST_CALLS, &t.gen) || !cli_int(c, "events", 1, 1 << 24, &t.events)) {
    return CLI_USAGE;
  }
  int code = cli_check_output(c, path);
  if (!code) code = trace(&t, path);
  cli_trial_close(&t.trial);
  for (int k = 0; t.traces && k < t.threads; k++) free(t.traces[k].events);
  cli_model_close(&t.model);
  return code;
}
