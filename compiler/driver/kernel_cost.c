// Some items of a launch, each counted by lowering's abstract run, stand for all.
#include "compiler/driver/kernel_cost.h"

#include "codegen/lower/kernel_cost.h"

enum { SAMPLES = 8 };

// Of constants, as all sizes are.
static double number(rt_expr e) {
  int64_t value = 0;
  return rt_expr_eval(e, NULL, &value) ? (double)value : 0;
}

static double bytes_of(const ir_kernel *kernel, const cli_kernel_launch *launch, const double *touched, int arg) {
  double bytes = 0;
  for (int i = 0; i < kernel->buffer_count; i++) bytes += kernel->buffers[i].arg == arg ? touched[i] : 0;
  int64_t extent = bytes > 0 ? launch->extent(launch->user, arg) : 0;
  return extent >= 0 && bytes > (double)extent ? (double)extent : bytes;
}

static void add_item(const ir_kernel *kernel, const cg_cost *cost, double times, double *touched, cli_work *work) {
  work->flops += times * number(cost->ops[CG_COST_FLOPS]);
  work->decode_flops += times * number(cost->ops[CG_COST_DECODE]);
  work->bf16_ops += times * number(cost->ops[CG_COST_BF16]);
  work->int8_ops += times * number(cost->ops[CG_COST_INT8]);
  for (int i = 0; i < kernel->buffer_count; i++) touched[i] += times * number(cost->bytes[i]);
}

void cli_kernel_count(const ir_kernel *kernel, const cli_kernel_launch *launch, cli_work *work) {
  weir_arena scratch;
  weir_arena_init(&scratch);
  cg_cost_facts facts = {.element = launch->element, .is_weight = launch->is_weight, .user = launch->user};
  double *touched = WEIR_NEW_ARRAY(&scratch, double, kernel->buffer_count + 1);
  rt_expr sizes[IR_KERNEL_MAX_SIZES];
  for (int i = 0; i < kernel->size_count; i++) sizes[i] = rt_expr_const(&scratch, launch->sizes[i]);
  int64_t items = launch->items, samples = items < SAMPLES ? items : SAMPLES;
  for (int64_t i = 0; i < samples; i++) {
    cg_cost cost;
    cg_kernel_cost(&scratch, kernel, sizes, samples > 1 ? (items - 1) * i / (samples - 1) : 0, &facts, &cost);
    add_item(kernel, &cost, (double)items / (double)samples, touched, work);
  }
  // What is touched again, and scratch, stays in a cache.
  for (int arg = 0; arg < kernel->arg_count; arg++) work->bytes += bytes_of(kernel, launch, touched, arg);
  weir_arena_deinit(&scratch);
}
