// The calls that a search for schedules measures: for each entry of a model some sizes that stand for its use.
//
// A step that makes rows is called with one row behind a history, with a few, with many and with a long prompt. Beside
// one another entry is called with many rows, else with some and with many; one without sizes once. Inputs are examples
// (example.h).
#ifndef WEIR_COMPILER_PLAN_TUNE_CALLS_H
#define WEIR_COMPILER_PLAN_TUNE_CALLS_H

#include "compiler/plan/steps.h"
#include "runtime/base/arena.h"

typedef struct {
  const char *name;  // "next T=1 past 128"; arena
  int entry;
  int64_t rows, past;
  int calls;    // that follow each other, in one session
  bool warmed;  // the first of them is not to be counted
} plan_tune_case;

// The cases that run on |executor|, at most |capacity|; how many calls each has follows from how long one takes. Those
// whose calls take longer than |slow_s| get fewer rows.
int plan_tune_cases(weir_arena *arena, weir_model *model, weir_executor *executor, double slow_s, int capacity,
                    plan_tune_case *out);

// A case made ready on one executor.
typedef struct {
  const plan_tune_case *what;
  const weir_entry *entry;
  weir_entry_info info;
  weir_executor *executor;
  plan_steps steps;
  weir_session *session;
  weir_view *inputs, *outputs, *past_inputs, *past_outputs;
} plan_tune_call;

// To be closed in any case.
weir_status plan_tune_call_open(weir_arena *arena, weir_model *model, weir_executor *executor,
                                const plan_tune_case *what, plan_tune_call *out) WEIR_MUST_USE;
// The state in which the case's calls begin.
weir_status plan_tune_call_begin(plan_tune_call *call) WEIR_MUST_USE;
weir_status plan_tune_call_run(plan_tune_call *call, weir_run_options *options) WEIR_MUST_USE;
// Whether both have the same bits in their outputs; |inexact|: floats that are close to each other.
bool plan_tune_calls_agree(const plan_tune_call *a, const plan_tune_call *b, bool inexact);
void plan_tune_call_close(plan_tune_call *call);

#endif
