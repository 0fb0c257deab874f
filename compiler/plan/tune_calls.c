// Example calls of a model's entries, to be repeated.
#include "compiler/plan/tune_calls.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compiler/plan/example.h"

enum { MAX_SYMBOLS = 16, MOST_CALLS = 16, SOME = 16, MANY = 128, LONG = 512 };
static const double LONG_S = 0.02;    // needs no other to warm up
static const double ROUND_S = 0.004;  // of repeated calls

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// ---- one call

// Views for a call with |growing| rows of what grows and |rows| of everything else.
static weir_status make_views(const plan_tune_call *call, int64_t rows, int64_t growing, weir_view *inputs,
                              weir_view *outputs) {
  int64_t values[MAX_SYMBOLS];
  if (call->info.symbol_count > MAX_SYMBOLS)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "entry %s has too many sizes", call->info.name);
  for (int i = 0; i < call->info.symbol_count; i++)
    values[i] = plan_example_size(call->entry, i, weir_entry_symbol(call->entry, i).grows ? growing : rows);
  weir_request request = {.session = call->session, .inputs = inputs, .outputs = outputs};
  WEIR_TRY(plan_example_inputs(call->entry, values, inputs));
  WEIR_TRY(weir_output_shapes(call->entry, &request, 1));
  for (int i = 0; i < call->info.output_count; i++) WEIR_TRY(plan_example_room(&outputs[i]));
  return WEIR_OK;
}

static weir_status run(plan_tune_call *call, const weir_view *inputs, weir_view *outputs, weir_run_options *options) {
  weir_request request = {.session = call->session, .inputs = inputs, .outputs = outputs};
  return weir_run(call->executor, call->entry, &request, 1, options);
}

weir_status plan_tune_call_begin(plan_tune_call *call) {
  if (!call->info.step) return WEIR_OK;
  WEIR_TRY(weir_session_truncate(call->session, NULL, 0));
  WEIR_TRY(plan_steps_before(call->executor, &call->steps, call->what->rows, call->session));
  return call->what->past ? run(call, call->past_inputs, call->past_outputs, NULL) : WEIR_OK;
}

weir_status plan_tune_call_run(plan_tune_call *call, weir_run_options *options) {
  return run(call, call->inputs, call->outputs, options);
}

weir_status plan_tune_call_open(weir_arena *arena, weir_model *model, weir_executor *executor,
                                const plan_tune_case *what, plan_tune_call *out) {
  const weir_entry *entry = weir_model_entry(model, what->entry);
  weir_entry_info info = weir_entry_describe(entry);
  *out = (plan_tune_call){.what = what, .entry = entry, .info = info, .executor = executor};
  out->inputs = WEIR_NEW_ARRAY(arena, weir_view, info.input_count + 1);
  out->outputs = WEIR_NEW_ARRAY(arena, weir_view, info.output_count + 1);
  out->past_inputs = WEIR_NEW_ARRAY(arena, weir_view, info.input_count + 1);
  out->past_outputs = WEIR_NEW_ARRAY(arena, weir_view, info.output_count + 1);
  if (info.step) {
    WEIR_TRY(plan_steps_order(model, entry, &out->steps));
    WEIR_TRY(plan_steps_open(model, &out->steps, what->past + what->calls * what->rows, &out->session));
    WEIR_TRY(plan_steps_before(executor, &out->steps, what->rows, out->session));
  }
  if (what->past) WEIR_TRY(make_views(out, what->rows, what->past, out->past_inputs, out->past_outputs));
  return make_views(out, what->rows, what->rows, out->inputs, out->outputs);
}

static bool are_close(const weir_view *a, const weir_view *b) {
  static const double SHARE = 0.05;  // of the largest magnitude
  double most = 0, apart = 0;
  if (a->dtype != WEIR_DTYPE_F32) return true;  // what follows from floats by comparing them
  const float *x = a->data, *y = b->data;
  for (size_t i = 0; i < a->bytes / sizeof *x; i++) {
    double difference = fabs((double)x[i] - y[i]);
    if (isnan(x[i]) != isnan(y[i])) return false;
    if (fabs(x[i]) > most) most = fabs(x[i]);
    if (difference > apart) apart = difference;
  }
  return apart <= SHARE * most;
}

bool plan_tune_calls_agree(const plan_tune_call *a, const plan_tune_call *b, bool inexact) {
  for (int i = 0; i < a->info.output_count; i++) {
    const weir_view *x = &a->outputs[i], *y = &b->outputs[i];
    if (x->bytes != y->bytes) return false;
    if (inexact ? !are_close(x, y) : memcmp(x->data, y->data, x->bytes) != 0) return false;
  }
  return true;
}

static void free_views(weir_view *views, int count) {
  for (int i = 0; views && i < count; i++) free(views[i].data);
}

void plan_tune_call_close(plan_tune_call *call) {
  free_views(call->inputs, call->info.input_count);
  free_views(call->past_inputs, call->info.input_count);
  free_views(call->outputs, call->info.output_count);
  free_views(call->past_outputs, call->info.output_count);
  weir_session_close(call->session);
  *call = (plan_tune_call){0};
}

// ---- cases

// Seconds of the case's second call, or of the first if that is slow; false if it cannot be run.
static bool try_case(weir_arena *arena, weir_model *model, weir_executor *executor, plan_tune_case *what, double slow_s,
                     double *out_s) {
  plan_tune_call call;
  weir_status status = plan_tune_call_open(arena, model, executor, what, &call);
  if (!status) status = plan_tune_call_begin(&call);
  for (int i = 0; i < what->calls && i < 2 && !status; i++) {
    double start = now();
    status = plan_tune_call_run(&call, NULL);
    *out_s = now() - start;
    if (*out_s > slow_s) break;
  }
  plan_tune_call_close(&call);
  bool works = !status;
  weir_status_release(status);
  return works;
}

// Calls for which a session has room.
static int64_t room_for(const weir_entry *entry, const plan_tune_case *what) {
  int64_t calls = MOST_CALLS;
  for (int i = 0; i < weir_entry_describe(entry).symbol_count; i++) {
    weir_symbol_info symbol = weir_entry_symbol(entry, i);
    int64_t rows = plan_example_size(entry, i, what->rows);
    if (!symbol.grows || rows < 1) continue;
    int64_t past = what->past ? plan_example_size(entry, i, what->past) : 0;
    if ((symbol.hi - past) / rows < calls) calls = (symbol.hi - past) / rows;
  }
  return calls;
}

static const char *name_of(weir_arena *arena, const weir_entry *entry, const plan_tune_case *what) {
  weir_entry_info info = weir_entry_describe(entry);
  const char *name = info.name;
  for (int i = 0; i < info.symbol_count; i++)
    name = weir_arena_printf(arena, "%s %s=%lld", name, weir_entry_symbol(entry, i).name,
                             (long long)plan_example_size(entry, i, what->rows));
  return what->past ? weir_arena_printf(arena, "%s past %lld", name, (long long)what->past)
                    : weir_arena_strdup(arena, name);
}

static bool add_case(weir_arena *arena, weir_model *model, weir_executor *executor, plan_tune_case what, double slow_s,
                     plan_tune_case *out) {
  const weir_entry *entry = weir_model_entry(model, what.entry);
  double seconds = 0;
  int64_t room = room_for(entry, &what);
  if (room < 1) return false;
  what.calls = room > 1 ? 2 : 1;
  if (!try_case(arena, model, executor, &what, slow_s, &seconds)) return false;
  for (; seconds > slow_s && what.rows > SOME; what.rows /= 2) seconds /= 2;  // about
  double calls = ROUND_S / (seconds > 0 ? seconds : ROUND_S);
  room = room_for(entry, &what);
  what.warmed = seconds < LONG_S && room > 1;
  what.calls = (int)(calls < 1 ? 1 : calls > MOST_CALLS - 1 ? MOST_CALLS - 1 : calls) + what.warmed;
  if (what.calls > room) what.calls = (int)room;
  what.name = name_of(arena, entry, &what);
  *out = what;
  return true;
}

static bool entry_grows(const weir_entry *entry) {
  for (int i = 0; i < weir_entry_describe(entry).symbol_count; i++)
    if (weir_entry_symbol(entry, i).grows) return true;
  return false;
}

int plan_tune_cases(weir_arena *arena, weir_model *model, weir_executor *executor, double slow_s, int capacity,
                    plan_tune_case *out) {
  // Schedules for few rows end at four, or somewhere up to eight.
  static const plan_tune_case steps[] = {
      {.rows = 1, .past = MANY}, {.rows = 5}, {.rows = 8}, {.rows = MANY}, {.rows = LONG}};
  static const plan_tune_case sizes[] = {{.rows = SOME}, {.rows = MANY}};
  int count = 0;
  bool any_grows = false;
  for (int e = 0; e < weir_model_entry_count(model); e++) any_grows |= entry_grows(weir_model_entry(model, e));
  for (int e = 0; e < weir_model_entry_count(model); e++) {
    const weir_entry *entry = weir_model_entry(model, e);
    bool grows = entry_grows(entry), sized = weir_entry_describe(entry).symbol_count > 0;
    const plan_tune_case *list = grows ? steps : any_grows ? sizes + 1 : sizes;
    int wanted = grows ? 5 : any_grows || !sized ? 1 : 2, first = count;
    for (int k = 0; k < wanted && count < capacity; k++) {
      plan_tune_case what = list[k];
      what.entry = e;
      bool added = add_case(arena, model, executor, what, slow_s, &out[count]);
      bool again = added && count > first && !strcmp(out[count].name, out[count - 1].name);
      count += added && !again;
    }
  }
  return count;
}
