// Golden answers: small requests to every entry, and what the build answered. A package carries them so that any
// machine can check that it computes the same.
//
// The section is JSON: for each entry the sizes, and for each output the count, the sum and some elements. Inputs are
// made from the sizes by a fixed rule, so they need not be stored. Numbers are compared with a tolerance: machines with
// and without fused multiply-add round differently.
#ifndef WEIR_COMPILER_PLAN_GOLDEN_H
#define WEIR_COMPILER_PLAN_GOLDEN_H

#include "runtime/package/package.h"
#include "runtime/text/buffer.h"
#include "runtime/weir.h"

typedef struct {
  int entries;
  double largest_error;  // relative to the largest element of the output
} plan_golden_report;

// Runs every entry on its golden request and appends the section to |out|.
weir_status plan_golden_make(weir_model *model, weir_executor *executor, text_buffer *out) WEIR_MUST_USE;
// Runs them again and compares. INVALID_DATA names the entry and output that differs. A package without golden answers
// is fine.
weir_status plan_golden_check(const rt_package *package, weir_executor *executor, weir_model *model,
                              plan_golden_report *out_report) WEIR_MUST_USE;

#endif
