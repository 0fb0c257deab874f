// The search for schedules with a clock and measurements that the test makes up: what is tried, what is kept, when it
// ends; and the answers that the cache gives.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/plan/tune.h"
#include "compiler/plan/tune_search.h"
#include "tests/common/scratch.h"

// ---- the rule

static plan_tune_sample sample_of(int cases, const double ratios[][5]) {
  plan_tune_sample sample = {.case_count = cases};
  for (int i = 0; i < cases; i++) {
    for (int k = 0; k < 5 && ratios[i][k] > 0; k++) {
      sample.cases[i].before_s[k] = 2;
      sample.cases[i].after_s[k] = 2 * ratios[i][k];
      sample.cases[i].rounds++;
    }
  }
  return sample;
}

Test(tune_rule, faster_by_more_than_the_spread) {
  plan_tune_sample sample = sample_of(1, (const double[][5]){{0.90, 0.91, 0.89, 0.90, 0.95}});
  plan_tune_verdict verdict = plan_tune_judge(&sample);
  cr_assert(verdict.better && !verdict.worse);
  cr_assert_float_eq(verdict.gain, 0.10, 1e-9);
}

Test(tune_rule, a_little_faster_is_not_kept) {
  plan_tune_sample sample = sample_of(1, (const double[][5]){{0.985, 0.985, 0.985, 0.985, 0.985}});
  cr_assert(!plan_tune_judge(&sample).better);
}

Test(tune_rule, noise_is_not_kept) {
  plan_tune_sample sample = sample_of(1, (const double[][5]){{0.7, 0.8, 0.97, 1.3, 1.4}});
  plan_tune_verdict verdict = plan_tune_judge(&sample);
  cr_assert(!verdict.better && !verdict.worse);
}

Test(tune_rule, slower_in_one_case_is_not_kept) {
  plan_tune_sample sample =
      sample_of(3, (const double[][5]){{0.5, 0.5, 0.5, 0.5, 0.5}, {0}, {1.05, 1.05, 1.05, 1.05, 1.05}});
  plan_tune_verdict verdict = plan_tune_judge(&sample);
  cr_assert(!verdict.better && verdict.worse);
}

Test(tune_rule, nothing_concerned_and_nonsense) {
  plan_tune_sample none = sample_of(1, (const double[][5]){{0}});
  cr_assert(!plan_tune_judge(&none).better && !plan_tune_judge(&none).worse);
  plan_tune_sample endless = sample_of(1, (const double[][5]){{INFINITY, 0.5, 0.5, INFINITY, INFINITY}});
  cr_assert(!plan_tune_judge(&endless).better && plan_tune_judge(&endless).worse);
}

// ---- the search

typedef struct {
  double clock, cost;   // of a measurement
  double ratios[2][3];  // by question and value - 1: the change alone
  double whole;         // of all that was kept
  int measured, whole_measured, remembered;
  int64_t answers[2], known;  // remembered; what the cache knows of the second question, 0: nothing
  int stop_after;             // measurements; 0: never
  bool fails;
} fake;

static const int64_t candidates[] = {1, 2, 3};
static const cg_question questions[2] = {
    {.key = "a", .parameter = "rows", .otherwise = 4, .candidates = candidates, .candidate_count = 3},
    {.key = "b", .parameter = "rows", .otherwise = 4, .candidates = candidates, .candidate_count = 3}};
static const cg_question *const list[2] = {&questions[0], &questions[1]};

static double fake_now(void *user) { return ((fake *)user)->clock; }

static bool fake_stop(void *user) {
  fake *f = user;
  return f->stop_after && f->measured >= f->stop_after;
}

static weir_status fake_measure(void *user, const plan_tune_choices *before, const plan_tune_choices *after, bool whole,
                                plan_tune_sample *out) {
  fake *f = user;
  f->clock += f->cost;
  if (f->fails) return weir_status_make(WEIR_CODE_INTERNAL, "no");
  if (whole) cr_assert_eq(before->count, 0);
  else cr_assert_eq(after->count, before->count + 1, "one change at a time");
  f->measured += !whole;
  f->whole_measured += whole;
  const cg_choice *last = &after->items[after->count - 1];
  double ratio = whole ? f->whole : f->ratios[*last->key - 'a'][last->value - 1];
  *out = sample_of(1, (const double[][5]){{ratio, ratio, ratio, ratio, ratio}});
  return WEIR_OK;
}

static bool fake_recall(void *user, const cg_question *question, int64_t *out_value, double *out_gain) {
  fake *f = user;
  *out_value = f->known, *out_gain = 0.25;
  return *question->key == 'b' && f->known;
}

static void fake_remember(void *user, const cg_question *question, int64_t value, double gain) {
  fake *f = user;
  cr_assert(gain >= 0);
  f->answers[*question->key - 'a'] = value;
  f->remembered++;
}

static void fake_tell(void *user, const cg_question *question, int64_t value, double fraction) {
  (void)user;
  cr_assert(question && value > 0 && fraction >= 0 && fraction <= 1);
}

static plan_tune_result run(weir_arena *arena, fake *f, double seconds) {
  plan_tune_bench bench = {f, fake_now, fake_stop, fake_measure, fake_recall, fake_remember, fake_tell};
  plan_tune_result result;
  weir_arena_init(arena);
  weir_status status = plan_tune_search(arena, &bench, list, 2, seconds, &result);
  cr_assert(!status);
  return result;
}

static fake usual(void) { return (fake){.cost = 1, .ratios = {{0.95, 0.90, 1.2}, {0.99, 1, 1.01}}, .whole = 0.93}; }

Test(tune_search, the_best_is_kept) {
  weir_arena arena;
  fake f = usual();
  plan_tune_result result = run(&arena, &f, 100);
  cr_assert_eq(result.end, PLAN_TUNE_COMPLETE);
  cr_assert_eq(f.measured, 6);
  cr_assert_eq(f.whole_measured, 1);
  cr_assert_eq(result.choices.count, 1);
  cr_assert_str_eq(result.choices.items[0].key, "a");
  cr_assert_eq(result.choices.items[0].value, 2);
  cr_assert_float_eq(result.gain, 0.07, 1e-9);
  cr_assert(f.answers[0] == 2 && f.answers[1] == 4, "the default is an answer too");
  cr_assert_eq(result.trial_count, 6);
  cr_assert(result.trials[1].kept && !result.trials[0].kept);
  weir_arena_deinit(&arena);
}

Test(tune_search, dropped_where_the_whole_is_not_faster) {
  for (int i = 0; i < 2; i++) {
    weir_arena arena;
    fake f = usual();
    f.whole = i ? 1.2 : 1;
    plan_tune_result result = run(&arena, &f, 100);
    cr_assert(result.dropped);
    cr_assert_eq(result.choices.count, 0);
    weir_arena_deinit(&arena);
  }
}

Test(tune_search, nothing_faster_is_not_measured_as_a_whole) {
  weir_arena arena;
  fake f = usual();
  f.ratios[0][0] = f.ratios[0][1] = 1;
  plan_tune_result result = run(&arena, &f, 100);
  cr_assert_eq(f.whole_measured, 0);
  cr_assert(!result.dropped && !result.choices.count);
  weir_arena_deinit(&arena);
}

Test(tune_search, ends_in_time_and_remembers_only_what_it_finished) {
  weir_arena arena;
  fake f = usual();
  plan_tune_result result = run(&arena, &f, 6);  // 1.5 s are for the whole: five measurements begin
  cr_assert_eq(result.end, PLAN_TUNE_OUT_OF_TIME);
  cr_assert_eq(f.measured, 5);
  cr_assert_eq(f.remembered, 1);
  cr_assert_eq(result.choices.count, 1, "what was found by then is kept");
  cr_assert_eq(f.whole_measured, 1);
  weir_arena_deinit(&arena);
}

Test(tune_search, stops_when_asked) {
  weir_arena arena;
  fake f = usual();
  f.stop_after = 2;
  plan_tune_result result = run(&arena, &f, 100);
  cr_assert_eq(result.end, PLAN_TUNE_STOPPED);
  cr_assert_eq(f.measured, 2);
  cr_assert_eq(f.remembered, 0);
  cr_assert_eq(f.whole_measured, 0);
  weir_arena_deinit(&arena);
}

Test(tune_search, known_answers_are_not_measured) {
  weir_arena arena;
  fake f = usual();
  f.known = 3;
  plan_tune_result result = run(&arena, &f, 100);
  cr_assert_eq(f.measured, 3);
  cr_assert_eq(f.whole_measured, 1, "the whole always is");
  cr_assert_eq(result.choices.count, 2);
  cr_assert_eq(result.choices.items[1].value, 3);
  cr_assert(result.trials[3].remembered && result.trials[3].kept);
  weir_arena_deinit(&arena);
}

Test(tune_search, failures_come_through) {
  weir_arena arena;
  fake f = usual();
  plan_tune_bench bench = {&f, fake_now, fake_stop, fake_measure, fake_recall, fake_remember, fake_tell};
  plan_tune_result result;
  f.fails = true;
  weir_arena_init(&arena);
  weir_status status = plan_tune_search(&arena, &bench, list, 2, 100, &result);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INTERNAL);
  weir_status_release(status);
  weir_arena_deinit(&arena);
}

// ---- the cache

Test(tune_record, answers_belong_to_question_and_machine) {
  char home[SCRATCH_BYTES];
  scratch_make(home);
  setenv("WEIR_HOME", home, 1);
  plan_tune_place here = {"machine", "avx2", "cpu:native", "cc 12", 2}, there = here;
  int64_t value = 0;
  double gain = 0;
  there.machine = "another";
  cr_assert(!plan_tune_recall(&here, &questions[0], &value, &gain));
  plan_tune_remember(&here, &questions[0], 2, 0.125);
  cr_assert(plan_tune_recall(&here, &questions[0], &value, &gain));
  cr_assert(value == 2 && gain == 0.125);
  cr_assert(!plan_tune_recall(&there, &questions[0], &value, &gain));
  cr_assert(!plan_tune_recall(&here, &questions[1], &value, &gain));
  plan_tune_remember(&here, &questions[1], 77, 0);
  cr_assert(!plan_tune_recall(&here, &questions[1], &value, &gain), "a value that nobody asked for");
  scratch_remove(home);
}
