// Which steps of a session come before which: a step reads what another has to write first.
#ifndef WEIR_COMPILER_PLAN_STEPS_H
#define WEIR_COMPILER_PLAN_STEPS_H

#include "runtime/weir.h"

enum { PLAN_MOST_STEPS = 9 };

typedef struct {
  const weir_entry *entries[PLAN_MOST_STEPS];  // the last one is the step itself
  int count;
} plan_steps;

// The steps that write what |entry| reads, and what those read, in an order that works. UNSUPPORTED where there is
// none.
weir_status plan_steps_order(const weir_model *model, const weir_entry *entry, plan_steps *out) WEIR_MUST_USE;
// A new session with room for all steps, whose growing sizes are about |wanted| rows in each.
weir_status plan_steps_open(weir_model *model, const plan_steps *steps, int64_t wanted,
                            weir_session **out) WEIR_MUST_USE;
// Runs all steps but the last on example inputs, with sizes near |wanted|.
weir_status plan_steps_before(weir_executor *executor, const plan_steps *steps, int64_t wanted,
                              weir_session *session) WEIR_MUST_USE;

#endif
