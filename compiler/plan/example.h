// Example inputs of an entry: made from sizes by a fixed rule, so that they need not be stored. For golden answers and
// benches.
#ifndef WEIR_COMPILER_PLAN_EXAMPLE_H
#define WEIR_COMPILER_PLAN_EXAMPLE_H

#include "runtime/weir.h"

// The size nearest to |wanted| that symbol |index| of the entry allows.
int64_t plan_example_size(const weir_entry *entry, int index, int64_t wanted);
// Fills in one view for each input: integers step through their range, floats are a pattern in -1..1. |values| has a
// size for each symbol. Memory from malloc; the caller frees every |data|, after a failure too (views must be zeroed
// before).
weir_status plan_example_inputs(const weir_entry *entry, const int64_t *values, weir_view *out_views) WEIR_MUST_USE;
// Memory from malloc for the type and shape that |view| has.
weir_status plan_example_room(weir_view *view) WEIR_MUST_USE;

#endif
