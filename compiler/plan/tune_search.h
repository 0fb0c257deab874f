// The search for better schedules, apart from how anything is measured: which choices to try, when one is kept, when to
// stop. Whoever calls brings the measurement and the clock.
//
// One change at a time, on top of what has been kept. A change is kept if the launches that it concerns are faster in
// some case by more than 2 % and more than the spread of the pairs, and slower in none. At the end all that was kept is
// measured against the default as a whole, and dropped as a whole unless it is faster. So the result is never slower
// than the default, as far as pairs can tell.
#ifndef WEIR_COMPILER_PLAN_TUNE_SEARCH_H
#define WEIR_COMPILER_PLAN_TUNE_SEARCH_H

#include "codegen/lower/lower.h"

enum { PLAN_TUNE_CASES = 24, PLAN_TUNE_ROUNDS = 15 };

// Seconds of calls one beside the other: the same call before the change and with it.
typedef struct {
  int rounds;  // 0: the change concerns nothing that runs in this case
  double before_s[PLAN_TUNE_ROUNDS], after_s[PLAN_TUNE_ROUNDS];
} plan_tune_pairs;

typedef struct {
  int case_count;
  plan_tune_pairs cases[PLAN_TUNE_CASES];
} plan_tune_sample;

typedef struct {
  double gain;    // share of the time that is saved, of all cases that are concerned; negative: lost
  double spread;  // of the pairs' ratios, the widest of a case: half of what lies between the quartiles
  bool better;    // in some case by more than 2 % and the spread, and worse in none
  bool worse;     // in some case, by more than 1 % and the spread
} plan_tune_verdict;

plan_tune_verdict plan_tune_judge(const plan_tune_sample *sample);

typedef struct {
  cg_choice *items;
  int count;
} plan_tune_choices;

typedef struct {
  void *user;
  double (*now)(void *user);  // seconds, of a clock that only goes forward
  bool (*stop)(void *user);   // somebody asked to stop
  // Measures |after| against |before|: the launches that differ, or with |whole| all of each call.
  weir_status (*measure)(void *user, const plan_tune_choices *before, const plan_tune_choices *after, bool whole,
                         plan_tune_sample *out);
  // What an earlier search on such a machine chose for the question. False: nothing is known.
  bool (*recall)(void *user, const cg_question *question, int64_t *out_value, double *out_gain);
  // The question has been tried to its end.
  void (*remember)(void *user, const cg_question *question, int64_t value, double gain);
  void (*tell)(void *user, const cg_question *question, int64_t value, double fraction);
} plan_tune_bench;

typedef struct {
  const cg_question *question;
  int64_t value;
  double gain, spread;
  bool kept;        // on its own; what counts in the end is |kept| of the result, too
  bool remembered;  // not measured in this search
} plan_tune_trial;

typedef enum { PLAN_TUNE_COMPLETE, PLAN_TUNE_OUT_OF_TIME, PLAN_TUNE_STOPPED } plan_tune_end;

typedef struct {
  plan_tune_trial *trials;
  int trial_count, trial_capacity;
  plan_tune_choices choices;  // of the result; none if nothing was kept
  double gain;                // of the whole, measured; 0 where nothing was kept by itself
  bool dropped;               // the whole was not faster
  plan_tune_end end;
  double seconds;
} plan_tune_result;

// |questions| in the order in which they are to be tried. Ends |seconds| after the beginning, or what one measurement
// takes later. Failures are those of measure.
weir_status plan_tune_search(weir_arena *arena, const plan_tune_bench *bench, const cg_question *const *questions,
                             int question_count, double seconds, plan_tune_result *out) WEIR_MUST_USE;

#endif
