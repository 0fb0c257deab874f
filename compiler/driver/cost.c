// Sums over the launches of a program.
#include "compiler/driver/cost.h"

#include <string.h>

static void bind_sizes(const rt_program *program, const int64_t *values, int requests, int64_t *sizes) {
  for (int i = 0; i < program->size_count; i++) {
    if (!strcmp(program->sizes[i], "R")) sizes[i] = requests;
  }
  for (int i = 0; i < program->symbol_count; i++) {
    const rt_symbol *symbol = &program->symbols[i];
    sizes[symbol->size] = symbol->role == RT_ROLE_PLAIN ? values[i] : values[i] * requests;
    if (symbol->size_max >= 0) sizes[symbol->size_max] = values[i];
    if (symbol->size_all_max >= 0) sizes[symbol->size_all_max] = values[i];
  }
}

static weir_status overflow(const rt_program *program) {
  return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "entry %s: a size overflows for these values", program->name);
}

static weir_status add_launch(const rt_program *program, const rt_launch *launch, const int64_t *sizes,
                              cli_kernel_cost *kernels) {
  int64_t items, guard;
  if (launch->guard.op_count) {
    if (!rt_expr_eval(launch->guard, sizes, &guard)) return overflow(program);
    if (guard < launch->guard_lo || guard >= launch->guard_hi) return WEIR_OK;
  }
  if (!rt_expr_eval(launch->grid, sizes, &items)) return overflow(program);
  cli_kernel_cost *cost = &kernels[launch->kernel];
  cost->launches++;
  cost->items += (double)items;
  cost->flops += (double)items * (double)launch->flops_per_item;
  cost->bytes += (double)items * (double)launch->bytes_per_item;
  return WEIR_OK;
}

weir_status cli_cost_of(weir_arena *arena, const rt_program *program, const int64_t *values, int requests,
                        cli_program_cost *out) {
  *out = (cli_program_cost){.program = program};
  out->sizes = WEIR_NEW_ARRAY(arena, int64_t, program->size_count + 1);
  out->kernels = WEIR_NEW_ARRAY(arena, cli_kernel_cost, program->kernel_count + 1);
  bind_sizes(program, values, requests, out->sizes);
  if (!rt_expr_eval(program->arena_bytes, out->sizes, &out->arena_bytes)) return overflow(program);
  for (int i = 0; i < program->weight_count; i++) out->weights_bytes += program->weights[i].bytes;
  for (int i = 0; i < program->kernel_count; i++) out->kernels[i].kernel = program->kernels[i].symbol;
  for (int i = 0; i < program->launch_count; i++)
    WEIR_TRY(add_launch(program, &program->launches[i], out->sizes, out->kernels));
  return WEIR_OK;
}

double cli_cost_predict(const cli_kernel_cost *cost, const cli_roof *roof) {
  double compute = cost->flops / roof->flops_per_s, memory = cost->bytes / roof->read_bytes_per_s;
  return compute > memory ? compute : memory;
}
