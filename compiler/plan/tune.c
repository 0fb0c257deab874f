// Measuring schedules: models with one schedule and with another, their calls one beside the other.
#include "compiler/plan/tune.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen/cpu/compile.h"
#include "compiler/plan/home.h"
#include "compiler/plan/tune_calls.h"
#include "compiler/plan/tune_search.h"
#include "runtime/device/cpu/features.h"
#include "runtime/device/cpu/object.h"
#include "runtime/exec/model.h"

enum { LEAST_ROUNDS = 3, USUAL_ROUNDS = 9, WHOLE_ROUNDS = 5 };
static const double CALL_SHARE = 1.0 / 200;  // of the budget, that a call may take
static const double CASE_S = 1.0;            // of one case, after which few rounds are enough
static const double CLOCK_S = 1e-6;          // shorter times are not compared
static const double HOPELESS = 1.03;         // ratio of the first rounds, from which on no more are made

// The model with some schedules, and its calls.
typedef struct {
  bool open;
  weir_arena arena;
  plan_tune_choices choices;
  cg_module *code;
  plan_weights_of weights;
  weir_map object;
  weir_model *model;
  weir_executor *executor;
  plan_tune_call *calls;
  struct {
    int count;
    const char **symbols;  // of kernels that run in a case
  } ran[PLAN_TUNE_CASES];  // of the base alone
} variant;

typedef struct {
  plan_unit *unit;
  const plan_packed *packed;
  cg_cpu_isa isa;
  plan_tune_device device;  // where models run; zeros: here
  plan_tune_place place;
  plan_tune_case cases[PLAN_TUNE_CASES];
  int case_count;
  double *shares;  // by question: of the time of the case where its kernels take most
  variant base;    // kept from one measurement to the next
  weir_launch_time *times;
  int time_capacity;
} bench;

static double now(void *user) {
  struct timespec time;
  (void)user;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// ---- variants

static void close_variant(variant *v) {
  if (!v->open) return;
  for (int i = 0; v->calls && i < PLAN_TUNE_CASES; i++) plan_tune_call_close(&v->calls[i]);
  weir_executor_destroy(v->executor);
  weir_model_release(v->model);
  weir_map_close(&v->object);
  weir_arena_deinit(&v->arena);
  *v = (variant){0};
}

static bool same_weights(const cg_module *a, const cg_module *b) {
  if (a->weight_count != b->weight_count) return false;
  for (int i = 0; i < a->weight_count; i++)
    if (strcmp(a->weights[i].key, b->weights[i].key) || a->weights[i].bytes != b->weights[i].bytes) return false;
  return true;
}

static weir_status compile_variant(bench *b, variant *v) {
  cg_cpu_options options = {.cancel = b->unit->request->cancel};
  cg_cpu_object object;
  WEIR_TRY(plan_home_folder(&v->arena, "objects", &options.cache_dir));
  WEIR_TRY(cg_cpu_compile(&v->arena, (const ir_kernel *const *)v->code->kernels, v->code->kernel_count, &b->isa, 1,
                          &options, &object));
  if (!b->place.toolchain) b->place.toolchain = weir_arena_strdup(b->unit->arena, object.toolchain);
  return weir_map_open(object.path, &v->object);
}

static weir_status make_model(bench *b, variant *v) {
  rt_model_parts parts = {
      .name = b->unit->graph->name, .isa = b->isa.name, .find_weight = plan_packed_find, .weight_context = &v->weights};
  if (b->device.device)
    return plan_tune_device_model(&b->device, &v->arena, b->unit, v->code, b->place.target, &v->model);
  if (!same_weights(b->unit->code, v->code))
    return weir_status_make(WEIR_CODE_INTERNAL, "another schedule wants other weights");
  WEIR_TRY(compile_variant(b, v));
  v->weights = (plan_weights_of){v->code, b->packed};
  parts.programs = (const rt_program *const *)v->code->programs;
  parts.program_count = v->code->program_count;
  WEIR_TRY(rt_object_open(v->object.data, v->object.size, weir_allocator_system(), &parts.provider));
  return rt_model_create(&parts, &v->model);
}

static weir_status fill_variant(bench *b, variant *v) {
  WEIR_TRY(plan_lower(b->unit, &v->arena, v->choices.items, v->choices.count, &v->code));
  WEIR_TRY(make_model(b, v));
  WEIR_TRY(weir_executor_create(v->model, NULL, &v->executor));
  v->calls = WEIR_NEW_ARRAY(&v->arena, plan_tune_call, PLAN_TUNE_CASES);
  for (int i = 0; i < b->case_count; i++)
    WEIR_TRY(plan_tune_call_open(&v->arena, v->model, v->executor, &b->cases[i], &v->calls[i]));
  return WEIR_OK;
}

// To be closed in any case.
static weir_status open_variant(bench *b, const plan_tune_choices *choices, variant *v) {
  *v = (variant){.open = true, .choices = *choices, .object = {0}};
  weir_arena_init(&v->arena);
  return fill_variant(b, v);
}

// Calls the case once: what runs, and how long.
static weir_status look_at_case(bench *b, variant *v, int nth, int *out_count) {
  plan_tune_call *call = &v->calls[nth];
  weir_run_options options = {.cancel = b->unit->request->cancel, .times = b->times, .time_capacity = b->time_capacity};
  WEIR_TRY(plan_tune_call_begin(call));
  for (int i = 0; i < 1 + call->what->warmed; i++) WEIR_TRY(plan_tune_call_run(call, &options));
  v->ran[nth].symbols = WEIR_NEW_ARRAY(&v->arena, const char *, options.time_count + 1);
  v->ran[nth].count = *out_count = options.time_count;
  for (int k = 0; k < options.time_count; k++) v->ran[nth].symbols[k] = b->times[k].kernel;
  return WEIR_OK;
}

// The base with these choices, which may be open already.
static weir_status need_base(bench *b, const plan_tune_choices *choices) {
  const plan_tune_choices *has = &b->base.choices;
  if (b->base.open && has->count == choices->count && (!has->count || has->items == choices->items)) return WEIR_OK;
  close_variant(&b->base);
  WEIR_TRY(open_variant(b, choices, &b->base));
  for (int i = 0, count; i < b->case_count; i++) WEIR_TRY(look_at_case(b, &b->base, i, &count));
  return WEIR_OK;
}

// ---- launches that differ

static const ir_kernel *kernel_named(const cg_module *code, const char *symbol) {
  for (int i = 0; i < code->kernel_count; i++)
    if (!strcmp(code->kernels[i]->name, symbol)) return code->kernels[i];
  return NULL;
}

static bool launches_differ(const variant *a, const rt_program *p, const variant *b, const rt_program *q, int i) {
  const rt_launch *x = &p->launches[i], *y = &q->launches[i];
  const ir_kernel *k = kernel_named(a->code, p->kernels[x->kernel].symbol);
  const ir_kernel *l = kernel_named(b->code, q->kernels[y->kernel].symbol);
  bool guards = x->guard.op_count == y->guard.op_count && x->guard_lo == y->guard_lo && x->guard_hi == y->guard_hi;
  return !guards || !k || !l || !ir_kernel_equal(k, l);
}

// Symbols of an entry's kernels that differ, in either variant; all of them where the programs cannot be compared.
typedef struct {
  bool all;
  int count;
  const char **symbols[2];
} difference;

static void compare(weir_arena *arena, const variant *a, const variant *b, int entry, difference *out) {
  const rt_program *p = rt_entry_program(weir_model_entry(a->model, entry));
  const rt_program *q = rt_entry_program(weir_model_entry(b->model, entry));
  *out = (difference){.all = p->launch_count != q->launch_count};
  if (out->all) return;
  for (int side = 0; side < 2; side++) out->symbols[side] = WEIR_NEW_ARRAY(arena, const char *, p->launch_count + 1);
  for (int i = 0; i < p->launch_count; i++) {
    if (!launches_differ(a, p, b, q, i)) continue;
    out->symbols[0][out->count] = p->kernels[p->launches[i].kernel].symbol;
    out->symbols[1][out->count++] = q->kernels[q->launches[i].kernel].symbol;
  }
}

static bool concerns(const difference *d, int side, const char *symbol) {
  bool found = d->all;
  for (int i = 0; i < d->count && !found; i++) found = !strcmp(d->symbols[side][i], symbol);
  return found;
}

// Whether something of |d| runs in the base's case.
static bool concerns_case(const bench *b, int nth, const difference *d) {
  bool found = false;
  for (int k = 0; k < b->base.ran[nth].count && !found; k++) found = concerns(d, 0, b->base.ran[nth].symbols[k]);
  return found;
}

// ---- one measurement

// What ran of |d| in the last call that was timed: equal numbers, equal kernels in the same order.
static uint64_t kernels_run(const bench *b, const variant *v, const difference *d, int side, int time_count) {
  uint64_t hash = 0;
  for (int k = 0; k < time_count; k++) {
    const ir_kernel *kernel = kernel_named(v->code, b->times[k].kernel);
    if (kernel && concerns(d, side, b->times[k].kernel)) hash = hash * 0x9e3779b97f4a7c15u + ir_kernel_hash(kernel);
  }
  return hash;
}

typedef struct {
  double seconds;  // of the fastest call: all of it, or launches of the difference
  uint64_t ran;
} timing;

static weir_status time_calls(bench *b, const variant *v, plan_tune_call *call, const difference *d, int side,
                              timing *out) {
  *out = (timing){.seconds = INFINITY};
  WEIR_TRY(plan_tune_call_begin(call));
  for (int i = 0; i < call->what->calls; i++) {
    weir_run_options options = {.cancel = b->unit->request->cancel};
    if (d) options.times = b->times, options.time_capacity = b->time_capacity;
    double start = now(NULL), seconds = 0;
    WEIR_TRY(plan_tune_call_run(call, &options));
    if (!d) seconds = now(NULL) - start;
    for (int k = 0; d && k < options.time_count; k++)
      if (concerns(d, side, b->times[k].kernel)) seconds += 1e-9 * (double)b->times[k].ns;
    if ((i || !call->what->warmed) && seconds < out->seconds) out->seconds = seconds;
    if (d && i + 1 == call->what->calls) out->ran = kernels_run(b, v, d, side, options.time_count);
  }
  return WEIR_OK;
}

static double middle_ratio(const plan_tune_pairs *pairs) {
  double ratios[PLAN_TUNE_ROUNDS];
  for (int i = 0; i < pairs->rounds; i++) {
    double ratio = pairs->after_s[i] / pairs->before_s[i];
    int at = i;
    for (; at > 0 && ratios[at - 1] > ratio; at--) ratios[at] = ratios[at - 1];
    ratios[at] = ratio;
  }
  return ratios[pairs->rounds / 2];
}

static bool is_enough(const plan_tune_pairs *pairs, bool whole, double seconds) {
  if (pairs->rounds >= (whole ? PLAN_TUNE_ROUNDS : USUAL_ROUNDS)) return true;
  if (whole) return pairs->rounds >= WHOLE_ROUNDS && seconds > CASE_S;
  if (pairs->rounds < LEAST_ROUNDS) return pairs->rounds == LEAST_ROUNDS - 1 && middle_ratio(pairs) > HOPELESS + 0.1;
  return middle_ratio(pairs) > HOPELESS || (pairs->rounds >= LEAST_ROUNDS + 2 && seconds > CASE_S);
}

// Whether a choice of |v| may change bits.
static bool is_inexact(const bench *b, const variant *v) {
  const cg_module *code = b->unit->code;
  for (int i = 0; i < v->choices.count; i++)
    for (int k = 0; k < code->question_count; k++)
      if (code->questions[k].inexact && !strcmp(code->questions[k].key, v->choices.items[i].key) &&
          !strcmp(code->questions[k].parameter, v->choices.items[i].parameter))
        return true;
  return false;
}

// Rounds of both variants, which of them goes first changing each time. A schedule that gives other bits is never
// taken.
static weir_status measure_case(bench *b, const variant *other, int nth, const difference *d, plan_tune_pairs *out) {
  const variant *variants[2] = {&b->base, other};
  double start = now(NULL);
  timing times[2];
  while (!is_enough(out, !d, now(NULL) - start)) {
    for (int k = 0; k < 2; k++) {
      int side = (k + out->rounds) % 2;
      WEIR_TRY(time_calls(b, variants[side], &variants[side]->calls[nth], d, side, &times[side]));
    }
    // The same kernels ran, or so little that the clock cannot tell.
    if (d && (times[0].ran == times[1].ran || times[0].seconds < CLOCK_S || times[1].seconds < CLOCK_S)) break;
    out->before_s[out->rounds] = times[0].seconds;
    out->after_s[out->rounds++] = times[1].seconds;
  }
  bool inexact = is_inexact(b, &b->base) || is_inexact(b, other);
  bool agree = plan_tune_calls_agree(&b->base.calls[nth], &other->calls[nth], inexact);
  if (!agree) *out = (plan_tune_pairs){.rounds = 1, .before_s = {1}, .after_s = {INFINITY}};
  return WEIR_OK;
}

static weir_status measure(void *user, const plan_tune_choices *before, const plan_tune_choices *after, bool whole,
                           plan_tune_sample *out) {
  bench *b = user;
  variant other = {0};
  weir_status status = need_base(b, before);
  if (!status) status = open_variant(b, after, &other);
  out->case_count = b->case_count;
  for (int i = 0; i < b->case_count && !status; i++) {
    difference d = {0};
    if (!whole) compare(&other.arena, &b->base, &other, b->cases[i].entry, &d);
    if (!whole && !concerns_case(b, i, &d)) continue;
    status = measure_case(b, &other, i, whole ? NULL : &d, &out->cases[i]);
    if (!whole && plan_tune_judge(out).worse) break;  // it will not be kept
  }
  close_variant(&other);
  if (status && plan_cancelled(b->unit->request->cancel)) {
    weir_status_release(status);
    status = plan_check_cancel(b->unit->request);
  }
  return status;
}

// ---- questions, by the time that their kernels take

static const char *key_of(const cg_module *code, const char *symbol) {
  for (int i = 0; i < code->kernel_count; i++)
    if (!strcmp(code->kernels[i]->name, symbol)) return code->kernel_keys[i];
  return NULL;
}

static weir_status weigh_case(bench *b, int nth) {
  const cg_module *code = b->base.code;
  int time_count;
  WEIR_TRY(look_at_case(b, &b->base, nth, &time_count));
  double all = 0, *sums = WEIR_NEW_ARRAY(b->unit->arena, double, code->question_count + 1);
  for (int k = 0; k < time_count; k++) {
    const char *key = key_of(code, b->times[k].kernel);
    all += (double)b->times[k].ns;
    for (int i = 0; key && i < code->question_count; i++)
      if (!strcmp(code->questions[i].key, key)) sums[i] += (double)b->times[k].ns;
  }
  for (int i = 0; i < code->question_count && all > 0; i++)
    if (sums[i] / all > b->shares[i]) b->shares[i] = sums[i] / all;
  return WEIR_OK;
}

static weir_status open_bench(bench *b) {
  plan_tune_choices none = {0};
  WEIR_TRY(need_base(b, &none));
  b->place.threads = weir_executor_threads(b->base.executor);
  for (int e = 0; e < weir_model_entry_count(b->base.model); e++) {
    int launches = weir_entry_launch_count(weir_model_entry(b->base.model, e));
    if (launches > b->time_capacity) b->time_capacity = launches;
  }
  b->times = WEIR_NEW_ARRAY(b->unit->arena, weir_launch_time, b->time_capacity + 1);
  b->shares = WEIR_NEW_ARRAY(b->unit->arena, double, b->unit->code->question_count + 1);
  double slow = b->unit->request->tune_seconds * CALL_SHARE;
  if (slow > CASE_S) slow = CASE_S;
  b->case_count = plan_tune_cases(b->unit->arena, b->base.model, b->base.executor, slow, PLAN_TUNE_CASES, b->cases);
  close_variant(&b->base);  // it has no calls yet
  WEIR_TRY(need_base(b, &none));
  for (int i = 0; i < b->case_count; i++) WEIR_TRY(weigh_case(b, i));
  return WEIR_OK;
}

// The questions by falling share; equal ones in the order in which lowering asked.
static const cg_question **order(const bench *b) {
  const cg_module *code = b->unit->code;
  const cg_question **list = WEIR_NEW_ARRAY(b->unit->arena, const cg_question *, code->question_count + 1);
  for (int i = 0; i < code->question_count; i++) {
    int at = i;
    for (; at > 0 && b->shares[list[at - 1] - code->questions] < b->shares[i]; at--) list[at] = list[at - 1];
    list[at] = &code->questions[i];
  }
  return list;
}

// ---- the bench of the search

static bool stop(void *user) { return plan_cancelled(((bench *)user)->unit->request->cancel); }

static bool recall(void *user, const cg_question *question, int64_t *out_value, double *out_gain) {
  return plan_tune_recall(&((bench *)user)->place, question, out_value, out_gain);
}

static void remember(void *user, const cg_question *question, int64_t value, double gain) {
  plan_tune_remember(&((bench *)user)->place, question, value, gain);
}

static void tell(void *user, const cg_question *question, int64_t value, double fraction) {
  const plan_unit *unit = ((bench *)user)->unit;
  plan_tell(unit->request,
            weir_arena_printf(unit->arena, "tuning %s %s=%lld", question->key, question->parameter, (long long)value),
            fraction);
}

// ---- the record

static json_t *trial_json(const bench *b, const plan_tune_trial *trial, bool dropped) {
  const cg_question *question = trial->question;
  double gain = isfinite(trial->gain) ? trial->gain : -1;
  return json_pack("{s:s,s:s,s:I,s:I,s:f,s:f,s:f,s:b,s:b}", "key", question->key, "parameter", question->parameter,
                   "default", (json_int_t)question->otherwise, "value", (json_int_t)trial->value, "share",
                   b->shares[question - b->unit->code->questions], "gain", gain, "spread", trial->spread, "kept",
                   trial->kept && !dropped, "remembered", trial->remembered);
}

static weir_status write_record(const bench *b, const plan_tune_result *result, const char **out) {
  static const char *const ends[] = {"complete", "out of time", "stopped"};
  json_t *cases = json_array(), *trials = json_array();
  for (int i = 0; i < b->case_count; i++) json_array_append_new(cases, json_string(b->cases[i].name));
  for (int i = 0; i < result->trial_count; i++)
    json_array_append_new(trials, trial_json(b, &result->trials[i], result->dropped));
  json_t *root = json_pack(
      "{s:s,s:s,s:s,s:i,s:f,s:f,s:s,s:i,s:f,s:b,s:o,s:o}", "machine", b->place.machine, "features", b->place.features,
      "target", b->place.target, "threads", b->place.threads, "budget_s", b->unit->request->tune_seconds, "spent_s",
      result->seconds, "end", ends[result->end], "questions", b->unit->code->question_count, "gain",
      isfinite(result->gain) ? result->gain : -1, "dropped", result->dropped, "cases", cases, "trials", trials);
  char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
  json_decref(root);
  *out = text ? weir_arena_strdup(b->unit->arena, text) : NULL;
  free(text);
  return *out ? WEIR_OK : weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for what was tuned");
}

// ---- all of it

static weir_status search(bench *b, const char **out_record) {
  plan_unit *unit = b->unit;
  const plan_tune_bench hooks = {
      .user = b, .now = now, .stop = stop, .measure = measure, .recall = recall, .remember = remember, .tell = tell};
  double start = now(NULL);
  plan_tune_result result;
  WEIR_TRY(open_bench(b));
  double left = unit->request->tune_seconds - (now(NULL) - start);
  WEIR_TRY(plan_tune_search(unit->arena, &hooks, order(b), unit->code->question_count, left > 0 ? left : 0, &result));
  result.seconds = now(NULL) - start;
  WEIR_TRY(plan_check_cancel(unit->request));
  WEIR_TRY(write_record(b, &result, out_record));
  if (!result.choices.count) return WEIR_OK;
  cg_module *code;
  WEIR_TRY(plan_lower(unit, unit->arena, result.choices.items, result.choices.count, &code));
  plan_code_replace(unit, code);
  return WEIR_OK;
}

weir_status plan_tune_widen(plan_unit *unit) {
  const cg_module *code = unit->code;
  cg_choice *all = WEIR_NEW_ARRAY(unit->arena, cg_choice, code->question_count + 1);
  cg_module *wide;
  int count = 0;
  for (int i = 0; i < code->question_count; i++) {
    const cg_question *q = &code->questions[i];
    if (q->inexact) all[count++] = (cg_choice){q->key, q->parameter, q->candidates[0]};
  }
  if (!count) return WEIR_OK;
  WEIR_TRY(plan_lower(unit, unit->arena, all, count, &wide));
  plan_code_replace(unit, wide);
  return WEIR_OK;
}

// Back from the code with all weights to that of the default.
static weir_status narrow(plan_unit *unit) {
  cg_module *code;
  if (!unit->request->tune_device) return WEIR_OK;
  WEIR_TRY(plan_lower(unit, unit->arena, NULL, 0, &code));
  plan_code_replace(unit, code);
  return WEIR_OK;
}

weir_status plan_tune(plan_unit *unit, const plan_packed *packed, const char *target, const char **out_record) {
  char features[RT_CPU_FEATURES_BYTES];
  const char *machine = unit->request->tune_machine;
  bench b = {.unit = unit, .packed = packed};
  rt_cpu_features(features, sizeof features);
  b.place = (plan_tune_place){.machine = machine ? machine : "", .features = features, .target = target};
  plan_tell(unit->request, "tuning: looking where the time goes", -1);
  weir_status status = WEIR_OK;
  if (unit->request->tune_device) status = plan_tune_device_open(unit->request->tune_device, packed, &b.device);
  else status = cg_cpu_isa_find(unit->arena, target, &b.isa);
  if (b.device.device) b.place.features = b.device.name, b.place.toolchain = "nvrtc";
  if (!status) status = narrow(unit);
  if (!status) status = search(&b, out_record);
  close_variant(&b.base);
  plan_tune_device_close(&b.device);
  return weir_status_annotate(status, "tuning");
}
