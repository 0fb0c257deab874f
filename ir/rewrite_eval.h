// Evaluating the two sides of a rule: as the machine would, and as real numbers with a bound of the error. What the two
// mean for `exact` and `inexact` is told in docs/language/rules.md.
#ifndef WEIR_IR_REWRITE_EVAL_H
#define WEIR_IR_REWRITE_EVAL_H

#include "ir/graph.h"

// |function| on |args| (one for each parameter), every dim of it a number. Every op's result is rounded to its element
// type. What no standard fixes to the bit is fixed by a pseudo-random choice between neighbours: functions such as exp
// by op and argument; sums by the sequence of their terms; products and everything else by op, operands and place. So
// two sides agree in every bit only if they agree whatever an implementation does there. UNSUPPORTED where a node owns
// a region or calls a function, and beyond a few million operations. |*out_work| tells how many there were.
weir_status ir_rewrite_eval_rounded(weir_arena *arena, const ir_function *function, const ir_tensor *args,
                                    ir_tensor *out_result, double *out_work);

// The same in float64 without rounding, casts between floats included, and for every element of the result a bound of
// the error that float64 itself may have made: each op adds a few units of its result's last place and hands on the
// errors of its operands, measured at their ends. Infinite where nothing can be said (at an edge of a domain, or where
// a comparison may turn over).
weir_status ir_rewrite_eval_bounded(weir_arena *arena, const ir_function *function, const ir_tensor *args,
                                    ir_tensor *out_result, double **out_errors);

#endif
