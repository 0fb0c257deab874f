// What the files of the program form share.
#ifndef WEIR_RUNTIME_BASE_PROGRAM_INTERNAL_H
#define WEIR_RUNTIME_BASE_PROGRAM_INTERNAL_H

#include "runtime/base/program.h"

// Values that an expression may hold at once and its operations; larger ones are refused by verify.
enum { RT_EXPR_MAX_STACK = 64, RT_EXPR_MAX_OPS = 1024 };

// Exactly one result, no underflow, within the limits above, sizes below |size_count|.
bool rt_expr_well_formed(rt_expr expr, int size_count);

#endif
