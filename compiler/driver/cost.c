// Sums over the launches of a program.
#include "compiler/driver/cost.h"

#include <string.h>

#include "compiler/driver/kernel_cost.h"

enum { CLI_MAX_SYMBOLS = 64 };

// Elements that one request has of volume |index|; 0 where that overflows.
static int64_t volume_rows(const rt_program *program, const cli_call *call, int index) {
  int64_t values[2 * CLI_MAX_SYMBOLS], count = 0;
  if (program->symbol_count > CLI_MAX_SYMBOLS) return 0;
  for (int i = 0; i < program->symbol_count; i++) {
    values[i] = call->values[i];
    values[program->symbol_count + i] = program->symbols[i].grows ? call->past : 0;
  }
  return rt_expr_eval(program->volumes[index].count, values, &count) ? count : 0;
}

static void bind_sizes(const rt_program *program, const cli_call *call, int64_t *sizes) {
  for (int i = 0; i < program->size_count; i++) {
    if (!strcmp(program->sizes[i], "R")) sizes[i] = call->requests;
  }
  for (int i = 0; i < program->symbol_count; i++) {
    const rt_symbol *symbol = &program->symbols[i];
    int64_t value = call->values[i];
    sizes[symbol->size] = symbol->role == RT_ROLE_PLAIN ? value : value * call->requests;
    if (symbol->size_max >= 0) sizes[symbol->size_max] = value;
    if (symbol->size_all_max >= 0) sizes[symbol->size_all_max] = value + call->past;
  }
  for (int i = 0; i < program->volume_count; i++) {
    int64_t count = volume_rows(program, call, i);
    sizes[program->volumes[i].size] = count * call->requests;
    sizes[program->volumes[i].size_max] = count;
  }
}

static weir_status overflow(const rt_program *program) {
  return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "entry %s: a size overflows for these values", program->name);
}

// A launch as the kernel counter sees it.
typedef struct {
  const rt_program *program;
  const rt_launch *launch;
  const cli_call *call;
  int64_t *sizes;  // with those of the loops
} launch_view;

static int64_t rows_of(const launch_view *v, int symbol) {
  int volume = symbol - v->program->symbol_count;
  if (volume >= 0 && volume < v->program->volume_count) return volume_rows(v->program, v->call, volume);
  return symbol >= 0 && symbol < v->program->symbol_count ? v->call->values[symbol] : 1;
}

static int64_t element(void *user, int arg, int64_t index) {
  const launch_view *v = user;
  rt_arg a = v->launch->args[arg];
  int64_t rows = rows_of(v, a.index);
  switch (a.kind) {
    case RT_ARG_STARTS:
      return index * rows;
    case RT_ARG_REQUESTS:
      return rows > 0 ? index / rows : 0;
    case RT_ARG_POSITIONS:
      return v->call->past + (rows > 0 ? index % rows : 0);
    case RT_ARG_PAST:
      return v->call->past;
    default:
      return 0;
  }
}

static int64_t extent(void *user, int arg) {
  const launch_view *v = user;
  rt_arg a = v->launch->args[arg];
  const rt_program *program = v->program;
  int64_t bytes = -1;
  switch (a.kind) {
    case RT_ARG_BUFFER:
      return rt_expr_eval(program->buffers[a.index].bytes, v->sizes, &bytes) ? bytes : -1;
    case RT_ARG_WEIGHT:
      return program->weights[a.index].bytes;
    case RT_ARG_INPUT:
      return rt_expr_eval(program->inputs[a.index].bytes, v->sizes, &bytes) ? bytes : -1;
    case RT_ARG_OUTPUT:
      return rt_expr_eval(program->outputs[a.index].bytes, v->sizes, &bytes) ? bytes : -1;
    case RT_ARG_STATE: {
      const rt_state *state = &program->states[a.index];
      int64_t past = state->whole ? 0 : v->call->past;
      if (state->window && past > state->window - 1) past = state->window - 1;
      int64_t rows = state->rows ? past + rows_of(v, state->symbol) : 1;
      return state->row_bytes * rows * v->call->requests;
    }
    case RT_ARG_STARTS:
    case RT_ARG_PAST:
      return (int64_t)sizeof(int32_t) * (v->call->requests + 1);
    case RT_ARG_REQUESTS:
    case RT_ARG_POSITIONS:
      return (int64_t)sizeof(int32_t) * rows_of(v, a.index) * v->call->requests;
    default:
      return -1;
  }
}

static bool is_weight(void *user, int arg) {
  const launch_view *v = user;
  return v->launch->args[arg].kind == RT_ARG_WEIGHT;
}

static void work_add(cli_work *sum, const cli_work *work, double times) {
  sum->flops += times * work->flops;
  sum->decode_flops += times * work->decode_flops;
  sum->bf16_ops += times * work->bf16_ops;
  sum->int8_ops += times * work->int8_ops;
  sum->bytes += times * work->bytes;
}

static const ir_kernel *find_kernel(const cg_module *code, const char *name) {
  for (int i = 0; i < code->kernel_count; i++) {
    if (!strcmp(code->kernels[i]->name, name)) return code->kernels[i];
  }
  return NULL;
}

// Once, at the sizes as they are, for |times| times that are alike.
static weir_status add_turn(const cg_module *code, launch_view *v, double times, cli_program_cost *out) {
  const rt_launch *launch = v->launch;
  int64_t items, guard, sizes[RT_MAX_DIMS];
  if (launch->guard.op_count) {
    if (!rt_expr_eval(launch->guard, v->sizes, &guard)) return overflow(v->program);
    if (guard < launch->guard_lo || guard >= launch->guard_hi) return WEIR_OK;
  }
  if (!rt_expr_eval(launch->grid, v->sizes, &items)) return overflow(v->program);
  for (int i = 0; i < launch->dim_count; i++) {
    if (!rt_expr_eval(launch->dims[i], v->sizes, &sizes[i])) return overflow(v->program);
  }
  cli_kernel_cost *cost = &out->kernels[launch->kernel];
  cli_kernel_launch counted = {
      .sizes = sizes, .items = items, .element = element, .extent = extent, .is_weight = is_weight, .user = v};
  const ir_kernel *kernel = find_kernel(code, cost->kernel);
  cli_work work = {0};
  if (kernel) cli_kernel_count(kernel, &counted, &work);
  cost->launches += times;
  cost->items += times * (double)items;
  work_add(&cost->work, &work, times);
  work_add(&out->work, &work, times);
  return WEIR_OK;
}

// A launch in the loops around it, of which those from |loop| on are still to be entered. Of many iterations three
// stand for all, the first, the middle and the last, weighted by Simpson's rule: exact for what grows with the
// iteration as sizes do. A loop that may end early counts in full.
static weir_status add_launch(const cg_module *code, launch_view *v, int launch, int loop, double times,
                              cli_program_cost *out) {
  const rt_program *p = v->program;
  while (loop < p->loop_count && (launch < p->loops[loop].first || launch > p->loops[loop].last)) loop++;
  if (loop == p->loop_count) return add_turn(code, v, times, out);
  const rt_loop *l = &p->loops[loop];
  int64_t trips;
  if (!rt_expr_eval(l->trips, v->sizes, &trips)) return overflow(p);
  for (int64_t i = 0; i < (trips < 3 ? trips : 3); i++) {
    v->sizes[l->size] = trips <= 3 ? i : i * (trips - 1) / 2;
    double alike = trips <= 3 ? 1 : (double)trips * (i == 1 ? 4 : 1) / 6;
    WEIR_TRY(add_launch(code, v, launch, loop + 1, times * alike, out));
  }
  v->sizes[l->size] = 0;
  return WEIR_OK;
}

weir_status cli_cost_of(weir_arena *arena, const cg_module *code, const rt_program *program, const cli_call *call,
                        cli_program_cost *out) {
  *out = (cli_program_cost){.program = program};
  out->sizes = WEIR_NEW_ARRAY(arena, int64_t, program->size_count + 1);
  out->kernels = WEIR_NEW_ARRAY(arena, cli_kernel_cost, program->kernel_count + 1);
  bind_sizes(program, call, out->sizes);
  if (!rt_expr_eval(program->arena_bytes, out->sizes, &out->arena_bytes)) return overflow(program);
  for (int i = 0; i < program->weight_count; i++) out->weights_bytes += program->weights[i].bytes;
  for (int i = 0; i < program->kernel_count; i++) out->kernels[i].kernel = program->kernels[i].symbol;
  for (int i = 0; i < program->launch_count; i++) {
    launch_view view = {program, &program->launches[i], call, out->sizes};
    WEIR_TRY(add_launch(code, &view, i, 0, 1, out));
  }
  return WEIR_OK;
}

// Seconds of the model's arithmetic at the machine's rates; what has no instruction of its own is done in float32.
static double compute_seconds(const cli_work *work, const cli_roof *roof) {
  double bf16 = roof->bf16_ops_per_s > 0 ? roof->bf16_ops_per_s : roof->flops_per_s,
         int8 = roof->int8_ops_per_s > 0 ? roof->int8_ops_per_s : roof->flops_per_s;
  return work->flops / roof->flops_per_s + work->bf16_ops / bf16 + work->int8_ops / int8;
}

double cli_cost_predict(const cli_work *work, const cli_roof *roof) {
  double compute = compute_seconds(work, roof) + work->decode_flops / roof->flops_per_s,
         memory = work->bytes / roof->read_bytes_per_s;
  return compute > memory ? compute : memory;
}

cli_shares cli_cost_shares(const cli_work *work, const cli_roof *roof, double seconds) {
  if (seconds <= 0) return (cli_shares){0};
  return (cli_shares){.memory_percent = 100 * work->bytes / roof->read_bytes_per_s / seconds,
                      .compute_percent = 100 * compute_seconds(work, roof) / seconds};
}

const char *cli_shares_binds(const cli_shares *shares) {
  return shares->memory_percent >= shares->compute_percent ? "memory" : "compute";
}

double cli_shares_percent(const cli_shares *shares) {
  return shares->memory_percent >= shares->compute_percent ? shares->memory_percent : shares->compute_percent;
}
