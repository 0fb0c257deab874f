// What an item of a launch costs, over the program's sizes: how the runtime weighs launches against each other when it
// shares them out, and what a second thread is worth. An estimate, which the first item makes for all.
#include "codegen/lower/kernel_cost.h"
#include "codegen/lower/program.h"

void cg_program_cost(builder *p, const ir_kernel *kernel, rt_launch *launch) {
  cg_cost cost;
  cg_kernel_cost(p->low->arena, kernel, launch->dims, 0, NULL, &cost);
  launch->flops_per_item = cost.ops[CG_COST_FLOPS];
  launch->bytes_per_item = cost.bytes[0];
}
