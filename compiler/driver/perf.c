// One run is timed twice at once: launches run one by one, which gives their wall time, and each thread notes when it
// began and ended a part of one, which tells work from waiting.
#include "compiler/driver/perf.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/exec/model.h"

enum { RUNS = 4, EVENTS = 1 << 16 };  // the first run warms up; events of one thread

// Shares of a kernel's time from which on they are the reason.
static const double OVERHEAD = 0.3, IMBALANCE = 0.2, NEAR = 60;
static const double SMALL_S = 10e-6;  // launches longer than this are worth sharing

// A launch, seen from all threads: a phase, for with |times| each is one.
typedef struct {
  int kernel, threads;  // that had a part of it
  int64_t longest_ns, sum_ns;
} launch_span;

typedef struct {
  cli_trial *trial;
  const rt_program *program;
  int threads;
  weir_trace_thread *traces;
  weir_launch_time *times;
  launch_span *spans;  // by phase; EVENTS of them
} recorder;

static int kernel_of(const rt_program *program, const char *symbol) {
  for (int k = 0; k < program->kernel_count; k++)
    if (!strcmp(program->kernels[k].symbol, symbol)) return k;
  return 0;
}

static void sum_times(const recorder *r, int time_count, cli_kernel_time *out) {
  memset(out, 0, (size_t)r->program->kernel_count * sizeof *out);
  for (int i = 0; i < time_count; i++) {
    cli_kernel_time *time = &out[kernel_of(r->program, r->times[i].kernel)];
    time->wall_s += 1e-9 * (double)r->times[i].ns;
    time->complete = true;
  }
}

// Events of one thread in one launch follow each other.
static void sum_thread(const recorder *r, const weir_trace_thread *trace) {
  for (int64_t i = 0, next; i < trace->count; i = next) {
    const weir_trace_event *event = &trace->events[i];
    int64_t ns = 0;
    for (next = i; next < trace->count && trace->events[next].phase == event->phase; next++)
      ns += trace->events[next].end_ns - trace->events[next].begin_ns;
    if (event->phase < 0 || event->phase >= EVENTS) continue;
    launch_span *span = &r->spans[event->phase];
    span->kernel = kernel_of(r->program, event->kernel);
    span->threads++;
    span->sum_ns += ns;
    if (ns > span->longest_ns) span->longest_ns = ns;
  }
}

static void sum_spans(const recorder *r, cli_kernel_time *out) {
  memset(r->spans, 0, EVENTS * sizeof *r->spans);
  bool lost = false;
  for (int t = 0; t < r->threads; t++) {
    lost |= r->traces[t].lost > 0;
    sum_thread(r, &r->traces[t]);
  }
  for (int i = 0; i < EVENTS; i++) {
    cli_kernel_time *time = &out[r->spans[i].kernel];
    time->longest_s += 1e-9 * (double)r->spans[i].longest_ns;
    time->mean_s += 1e-9 * (double)r->spans[i].sum_ns / r->threads;
    if (r->spans[i].threads == 1 && r->threads > 1) time->alone_s += 1e-9 * (double)r->spans[i].sum_ns;
  }
  for (int k = 0; lost && k < r->program->kernel_count; k++) out[k].complete = false;
}

static double total(const recorder *r, const cli_kernel_time *times) {
  double sum = 0;
  for (int k = 0; k < r->program->kernel_count; k++) sum += times[k].wall_s;
  return sum;
}

static weir_status run_all(cli *c, recorder *r, cli_kernel_time *out) {
  int launches = weir_entry_launch_count(r->trial->entry);
  cli_kernel_time *now = WEIR_NEW_ARRAY(&c->arena, cli_kernel_time, r->program->kernel_count + 1);
  for (int run = 0; run < RUNS; run++) {
    for (int t = 0; t < r->threads; t++) r->traces[t].count = r->traces[t].lost = 0;
    weir_run_options options = {.cancel = c->cancel, .times = r->times, .time_capacity = launches, .trace = r->traces};
    WEIR_TRY(cli_trial_begin(r->trial));
    WEIR_TRY(cli_trial_run(r->trial, &options));
    sum_times(r, options.time_count, now);
    sum_spans(r, now);
    if (run == 1 || (run && total(r, now) < total(r, out)))
      memcpy(out, now, (size_t)r->program->kernel_count * sizeof *out);
  }
  return WEIR_OK;
}

weir_status cli_perf_measure(cli *c, cli_trial *trial, cli_kernel_time *out) {
  recorder r = {.trial = trial, .program = rt_entry_program(trial->entry)};
  r.threads = weir_executor_threads(trial->model->executor);
  r.traces = WEIR_NEW_ARRAY(&c->arena, weir_trace_thread, r.threads);
  r.times = WEIR_NEW_ARRAY(&c->arena, weir_launch_time, weir_entry_launch_count(trial->entry) + 1);
  r.spans = calloc(EVENTS, sizeof *r.spans);
  bool ok = r.spans != NULL;
  for (int t = 0; t < r.threads; t++) {
    r.traces[t].capacity = EVENTS;
    r.traces[t].events = calloc(EVENTS, sizeof *r.traces[t].events);
    ok &= r.traces[t].events != NULL;
  }
  weir_status status = ok ? run_all(c, &r, out) : weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for events");
  for (int t = 0; t < r.threads; t++) free(r.traces[t].events);
  free(r.spans);
  return status;
}

// ---- why

const char *cli_perf_why(weir_arena *arena, const cli_kernel_cost *cost, const cli_kernel_time *time,
                         const cli_roof *roof) {
  if (time->wall_s <= 0) return "did not run";
  double overhead = time->wall_s - time->longest_s, imbalance = time->longest_s - time->mean_s;
  if (time->complete && overhead >= OVERHEAD * time->wall_s) {
    return weir_arena_printf(arena, "launch overhead: %.1f us of %.1f us a launch", 1e6 * overhead / cost->launches,
                             1e6 * time->wall_s / cost->launches);
  }
  if (time->complete && time->alone_s >= 0.5 * time->wall_s && time->wall_s < SMALL_S * cost->launches)
    return "one thread: too small to be shared out";
  if (time->complete && imbalance >= IMBALANCE * time->wall_s)
    return weir_arena_printf(arena, "imbalance: threads idle for %.0f %% of it", 100 * imbalance / time->wall_s);
  cli_shares shares = cli_cost_shares(&cost->work, roof, time->wall_s);
  double decode = 100 * cost->work.decode_flops / roof->flops_per_s / time->wall_s;
  if (cli_shares_percent(&shares) >= NEAR)
    return shares.memory_percent >= shares.compute_percent ? "bytes" : "arithmetic";
  if (decode + shares.compute_percent >= NEAR)
    return weir_arena_printf(arena, "decoding of weights: %.0f %% of the arithmetic roof", decode);
  return "instructions that are neither bytes nor the model's arithmetic, or latency";
}
