// What an item of a kernel costs, counted by one abstract run of its kernel IR: integers are computed, floats counted.
//
// The only count there is: the runtime's estimates (program_cost.c) and the reports of `explain` and `bench` are made
// of it. An item of a block kernel is a block of threads.
#ifndef WEIR_CODEGEN_LOWER_KERNEL_COST_H
#define WEIR_CODEGEN_LOWER_KERNEL_COST_H

#include "ir/kernel.h"
#include "runtime/base/program.h"

typedef enum {
  CG_COST_FLOPS,   // the model's float arithmetic; a multiply-add is two
  CG_COST_DECODE,  // float arithmetic on weights alone: the price of how they are stored
  CG_COST_BF16,    // of products of bf16 and f16 pairs
  CG_COST_INT8,    // of products of bytes
  CG_COST_OTHER,   // conversions and selections of floats, reductions of integers
  CG_COST_COUNT
} cg_cost_kind;

// What is known of a launch beside its sizes.
typedef struct {
  // What element |index| of argument |arg| is, where it decides how much is done (tables of requests and positions); 0
  // for the rest.
  int64_t (*element)(void *user, int arg, int64_t index);
  bool (*is_weight)(void *user, int arg);
  void *user;
} cg_cost_facts;

// Expressions over what |sizes| are over; constants where those are.
typedef struct {
  rt_expr ops[CG_COST_COUNT];
  rt_expr *bytes;  // read and written, by buffer of the kernel; 0 for those that are no arguments
} cg_cost;

// Ranges count as their first iteration times how many there are; what is read again in another iteration counts again,
// but not for each lane. With |facts| conditions and tiles are followed, an item at a time. Without (null) it is an
// estimate for any item: both sides of a condition count, tiles are steps of one, a range that ends where only a table
// knows counts 64 times, all operations are ops[CG_COST_FLOPS] and all bytes bytes[0]. |sizes|: of the kernel, in its
// order. The result lives in |arena|.
void cg_kernel_cost(weir_arena *arena, const ir_kernel *kernel, const rt_expr *sizes, int64_t item,
                    const cg_cost_facts *facts, cg_cost *out);

#endif
