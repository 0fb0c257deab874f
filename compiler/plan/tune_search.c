// Which schedules to try and which to keep.
#include "compiler/plan/tune_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double LEAST_GAIN = 0.02, LEAST_LOSS = 0.01;
static const double WHOLE_SHARE = 0.25;  // of the time, kept for the last measurement

// ---- the rule

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

// The median ratio of a case, and half of what lies between the quartiles.
static double ratio_of(const plan_tune_pairs *pairs, double *out_spread) {
  double ratios[PLAN_TUNE_ROUNDS];
  for (int i = 0; i < pairs->rounds; i++) ratios[i] = pairs->after_s[i] / pairs->before_s[i];
  qsort(ratios, (size_t)pairs->rounds, sizeof *ratios, by_size);
  *out_spread = (ratios[(3 * pairs->rounds - 1) / 4] - ratios[pairs->rounds / 4]) / 2;
  int middle = pairs->rounds / 2;
  return pairs->rounds % 2 ? ratios[middle] : (ratios[middle - 1] + ratios[middle]) / 2;
}

plan_tune_verdict plan_tune_judge(const plan_tune_sample *sample) {
  plan_tune_verdict verdict = {0};
  double logs = 0;
  int concerned = 0;
  for (int i = 0; i < sample->case_count; i++) {
    const plan_tune_pairs *pairs = &sample->cases[i];
    double spread = 0;
    if (!pairs->rounds) continue;
    double gain = 1 - ratio_of(pairs, &spread);
    if (!isfinite(gain) || !isfinite(spread)) gain = -INFINITY, spread = 0;
    verdict.better |= gain > LEAST_GAIN && gain > spread;
    verdict.worse |= -gain > LEAST_LOSS && -gain > spread;
    if (spread > verdict.spread) verdict.spread = spread;
    logs += log(1 - gain);
    concerned++;
  }
  if (concerned) verdict.gain = 1 - exp(logs / concerned);
  verdict.better = verdict.better && !verdict.worse && verdict.gain > 0;
  return verdict;
}

// ---- the search

typedef struct {
  weir_arena *arena;
  const plan_tune_bench *bench;
  double start, seconds;
  plan_tune_result *out;
} search;

static double left(const search *s) { return s->start + s->seconds - s->bench->now(s->bench->user); }

static bool may_go_on(search *s) {
  if (s->bench->stop(s->bench->user)) s->out->end = PLAN_TUNE_STOPPED;
  else if (left(s) <= 0) s->out->end = PLAN_TUNE_OUT_OF_TIME;
  return s->out->end == PLAN_TUNE_COMPLETE;
}

// What was kept so far, and |value| for |question|.
static plan_tune_choices with(search *s, const cg_question *question, int64_t value) {
  const plan_tune_choices *now = &s->out->choices;
  plan_tune_choices more = {WEIR_NEW_ARRAY(s->arena, cg_choice, now->count + 1), now->count + 1};
  if (now->count) memcpy(more.items, now->items, (size_t)now->count * sizeof *more.items);
  more.items[now->count] = (cg_choice){question->key, question->parameter, value};
  return more;
}

static void note(search *s, plan_tune_trial trial) {
  WEIR_PUSH(s->arena, s->out->trials, s->out->trial_count, s->out->trial_capacity, trial);
}

static bool recalled(search *s, const cg_question *question) {
  plan_tune_trial trial = {.question = question, .remembered = true};
  if (!s->bench->recall(s->bench->user, question, &trial.value, &trial.gain)) return false;
  trial.kept = trial.value != question->otherwise;
  if (trial.kept) s->out->choices = with(s, question, trial.value);
  note(s, trial);
  return true;
}

// Tries every candidate; the one that gains most of those that may be kept is.
static weir_status ask(search *s, const cg_question *question) {
  const plan_tune_bench *bench = s->bench;
  if (recalled(s, question)) return WEIR_OK;
  int best = -1;
  for (int i = 0; i < question->candidate_count; i++) {
    if (!may_go_on(s)) break;
    int64_t value = question->candidates[i];
    plan_tune_sample sample = {0};
    plan_tune_choices more = with(s, question, value);
    bench->tell(bench->user, question, value, 1 - left(s) / s->seconds);
    WEIR_TRY(bench->measure(bench->user, &s->out->choices, &more, false, &sample));
    plan_tune_verdict verdict = plan_tune_judge(&sample);
    note(s, (plan_tune_trial){.question = question, .value = value, .gain = verdict.gain, .spread = verdict.spread});
    if (!verdict.better) continue;
    if (best < 0 || verdict.gain > s->out->trials[best].gain) best = s->out->trial_count - 1;
  }
  int64_t value = best < 0 ? question->otherwise : s->out->trials[best].value;
  if (best >= 0) s->out->trials[best].kept = true;
  if (best >= 0) s->out->choices = with(s, question, value);
  if (s->out->end == PLAN_TUNE_COMPLETE)
    bench->remember(bench->user, question, value, best < 0 ? 0 : s->out->trials[best].gain);
  return WEIR_OK;
}

// All of it against the default.
static weir_status confirm(search *s) {
  plan_tune_sample sample = {0};
  plan_tune_choices none = {0};
  if (!s->out->choices.count) return WEIR_OK;
  WEIR_TRY(s->bench->measure(s->bench->user, &none, &s->out->choices, true, &sample));
  plan_tune_verdict verdict = plan_tune_judge(&sample);
  s->out->gain = verdict.gain;
  s->out->dropped = verdict.worse || verdict.gain <= 0;
  if (s->out->dropped) s->out->choices = none;
  return WEIR_OK;
}

weir_status plan_tune_search(weir_arena *arena, const plan_tune_bench *bench, const cg_question *const *questions,
                             int question_count, double seconds, plan_tune_result *out) {
  *out = (plan_tune_result){0};
  search s = {.arena = arena, .bench = bench, .start = bench->now(bench->user), .seconds = seconds, .out = out};
  s.seconds -= WHOLE_SHARE * seconds;
  for (int i = 0; i < question_count && may_go_on(&s); i++) WEIR_TRY(ask(&s, questions[i]));
  if (out->end != PLAN_TUNE_STOPPED) WEIR_TRY(confirm(&s));
  out->seconds = bench->now(bench->user) - s.start;
  return WEIR_OK;
}
