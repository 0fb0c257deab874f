// Each case is a graph of one op, lowered once for each rung and run through an executor like any model. Rungs are what
// lowering can be asked for: on a device the item kernel, then the schedules of its block kernels, then what only its
// own chip can; on a processor the default and every other choice. Rungs that launch the same kernels are one.
//
// Operations and bytes are those of the op, not of a schedule: two for each multiply-add, every operand and result
// once. Weights come from memory: a case of few rows has as many matrices, one behind the other, as no cache holds.
#include "compiler/driver/bench_kernels.h"

#include <stdlib.h>
#include <string.h>

#include "codegen/cuda/arch.h"
#include "compiler/driver/bench_cases.h"
#include "compiler/driver/cost.h"
#include "compiler/plan/probe.h"
#include "ir/kernel_block.h"
#include "runtime/exec/model.h"

enum { MOST_RUNGS = 40, MOST_LAUNCHES = 256, MOST_SHAPES = 16, KERNELS_TEXT = 400 };

typedef struct {
  const char *name;
  unsigned blocks;
  bool library;      // where a choice says so, the product is a library's
  cg_choice choice;  // key null: none
  bool beside;       // one choice on top of the default, not a step of the ladder
} rung;

typedef struct {
  cli *c;
  const char *device;  // null: the processor
  unsigned holds;      // what block kernels of the device may need
  cli_roof roof;
  int64_t repeat;
  weir_arena arena;  // of the case
  bench_case at;
  cg_compute compute;  // of its product, as lowered
  json_t *rows;
  double before_s;  // of the rung below
  const char *seen[MOST_RUNGS];
  int seen_count;
} ladder;

static bool simulated(const ladder *l) { return l->device && !strcmp(l->device, "sim"); }

// ---- a rung

static weir_storage storage_of(void *user, const char *path) {
  return strcmp(path, "scale") ? ((const ladder *)user)->at.what->storage : WEIR_STORAGE_F32;
}

static cg_compute compute_of(void *user, const char *path) {
  (void)path;
  return ((const ladder *)user)->at.what->compute;
}

static weir_status lower(ladder *l, const rung *r, cg_module **out) {
  cg_lower_options options = {.storage_of = storage_of, .compute_of = compute_of, .user = l, .blocks = r->blocks};
  options.library = r->library;
  options.choices = &r->choice;
  options.choice_count = r->choice.key != NULL;
  return cg_lower(&l->arena, l->at.module, &options, out);
}

static void sizes_of(const ladder *l, const rt_program *program, int64_t *values) {
  for (int i = 0; i < program->symbol_count; i++)
    values[i] = strcmp(program->symbols[i].name, "S") ? l->at.size->m : l->at.size->n;
}

// The kernels that a call launches, by name.
static weir_status launched(ladder *l, const cg_module *code, const char **out) {
  int64_t values[4];
  cli_program_cost cost;
  sizes_of(l, code->programs[0], values);
  cli_call call = {.values = values, .requests = 1};
  WEIR_TRY(cli_cost_of(&l->arena, code, code->programs[0], &call, &cost));
  *out = "";
  for (int i = 0; i < code->programs[0]->kernel_count; i++) {
    if (cost.kernels[i].launches > 0)
      *out = weir_arena_printf(&l->arena, "%s%s%s", *out, **out ? ", " : "", cost.kernels[i].kernel);
  }
  return WEIR_OK;
}

static float next_float(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

static weir_status view_make(weir_arena *arena, const rt_tensor *tensor, const int64_t *values, weir_view *out) {
  int64_t count = 1;
  uint64_t state = 11;
  *out = (weir_view){.dtype = (weir_dtype)tensor->dtype, .rank = tensor->rank};
  for (int d = 0; d < tensor->rank; d++) {
    if (!rt_expr_eval(tensor->dims[d], values, &out->shape[d]))
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "a size overflows");
    count *= out->shape[d];
  }
  out->bytes = (size_t)count * (size_t)rt_dtype_bytes(tensor->dtype);
  out->data = weir_arena_alloc(arena, out->bytes + 64);
  for (int64_t i = 0; i < count; i++) {
    float value = next_float(&state);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (tensor->dtype == RT_DTYPE_f32) ((float *)out->data)[i] = value;
    else if (tensor->dtype == RT_DTYPE_bf16) ((uint16_t *)out->data)[i] = (uint16_t)(bits >> 16);
  }
  return WEIR_OK;
}

// Of norms the product is not what is measured.
static bool counts(const ladder *l, const char *kernel) {
  return l->at.what->op != BENCH_NORM || !strncmp(kernel, "k_pack", 6);
}

// The least time of a call's launches together, of one of the copies.
static weir_status call_time(ladder *l, weir_executor *x, const weir_entry *entry, weir_request *request,
                             double *out_s) {
  weir_launch_time times[MOST_LAUNCHES];
  *out_s = 0;
  for (int64_t run = 0; run <= l->repeat; run++) {  // the first one warms up
    weir_run_options options = {.cancel = l->c->cancel, .times = times, .time_capacity = MOST_LAUNCHES};
    double s = 0;
    WEIR_TRY(weir_run(x, entry, request, 1, &options));
    for (int i = 0; i < options.time_count; i++)
      if (counts(l, times[i].kernel)) s += 1e-9 * (double)times[i].ns;
    if (run == 1 || (run && s < *out_s)) *out_s = s;
  }
  *out_s /= l->at.copies;
  return WEIR_OK;
}

static weir_status run_model(ladder *l, weir_model *model, weir_arena *arena, double *out_s) {
  const weir_entry *entry = weir_model_entry(model, 0);
  const rt_program *program = rt_entry_program(entry);
  weir_view inputs[BENCH_MOST_COPIES + 3], outputs[BENCH_MOST_COPIES];
  weir_executor *executor;
  int64_t values[4], threads = 0;
  if (!cli_int(l->c, "threads", 1, 1024, &threads)) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "--threads");
  sizes_of(l, program, values);
  for (int i = 0; i < program->input_count; i++) WEIR_TRY(view_make(arena, &program->inputs[i], values, &inputs[i]));
  for (int i = 0; i < program->output_count; i++) WEIR_TRY(view_make(arena, &program->outputs[i], values, &outputs[i]));
  weir_executor_options options = {.threads = (int)threads};
  WEIR_TRY(weir_executor_create(model, &options, &executor));
  weir_request request = {.inputs = inputs, .outputs = outputs};
  weir_status status = call_time(l, executor, entry, &request, out_s);
  weir_executor_destroy(executor);
  return status;
}

static weir_status measure(ladder *l, const cg_module *code, double *out_s) {
  plan_probe probe = {.name = "kernels",
                      .device = l->device,
                      .isa = cli_text(l->c, "isa"),
                      .kernels = (const ir_kernel *const *)code->kernels,
                      .kernel_count = code->kernel_count,
                      .programs = (const rt_program *const *)code->programs,
                      .program_count = code->program_count,
                      .weights = code->weights,
                      .weight_count = code->weight_count,
                      .cancel = l->c->cancel};
  weir_model *model;
  weir_arena scratch;
  weir_arena_init(&scratch);
  weir_status status = plan_probe_load(&scratch, &probe, &model);
  if (!status) {
    status = run_model(l, model, &scratch, out_s);
    weir_model_release(model);
  }
  weir_arena_deinit(&scratch);
  return status;
}

// ---- telling

// The roof of the arithmetic: products in float32 have no unit of their own, attention on a device has that of bf16.
static void work_of(const ladder *l, cli_work *out) {
  *out = (cli_work){.bytes = l->at.bytes};
  if (l->at.what->op == BENCH_NORM) {
    out->flops = l->at.ops;
    return;
  }
  if (l->compute == CG_COMPUTE_BF16 || (l->at.what->op == BENCH_ATTEND && l->device)) out->bf16_ops = l->at.ops;
  else if (l->compute == CG_COMPUTE_F32) out->flops = l->at.ops;
  else out->int8_ops = l->at.ops;
}

static void tell(ladder *l, const rung *r, const char *kernels, double seconds, const char *problem) {
  cli_work work;
  work_of(l, &work);
  cli_shares shares = {0};
  bool rates = cli_roof_counts(&l->roof) && seconds > 0;
  if (rates) shares = cli_cost_shares(&work, &l->roof, seconds);
  double gain = l->before_s > 0 && seconds > 0 ? l->before_s / seconds : 0;
  const bench_shape *s = l->at.size;
  json_t *row = json_pack("{s:s,s:[I,I,I],s:s,s:s,s:s,s:f,s:f,s:b}", "template", l->at.what->name, "shape",
                          (json_int_t)s->m, (json_int_t)s->n, (json_int_t)s->k, "of", s->of, "rung", r->name, "kernels",
                          kernels, "operations", l->at.ops, "bytes", l->at.bytes, "beside", r->beside);
  if (problem) json_object_set_new(row, "problem", json_string(problem));
  if (rates) {
    json_object_set_new(row, "seconds", json_real(seconds));
    json_object_set_new(row, "roof_percent", json_real(cli_shares_percent(&shares)));
    json_object_set_new(row, "binds", json_string(cli_shares_binds(&shares)));
    if (gain > 0) json_object_set_new(row, "gain", json_real(gain));
  }
  json_array_append_new(l->rows, row);
  if (l->c->json) return;
  printf("  %s%-20s", r->beside ? "  " : "", r->name);
  if (problem) printf(" %s", problem);
  if (rates) printf(" %9.4f ms %5.1f%% %-7s", 1e3 * seconds, cli_shares_percent(&shares), cli_shares_binds(&shares));
  if (rates && gain > 0) printf(" %6.2fx", gain);
  else if (rates) printf("        ");
  printf(" %.*s\n", KERNELS_TEXT, problem ? "" : kernels);
}

static bool is_seen(ladder *l, const char *kernels) {
  for (int i = 0; i < l->seen_count; i++)
    if (!strcmp(l->seen[i], kernels)) return true;
  if (l->seen_count < MOST_RUNGS) l->seen[l->seen_count++] = kernels;
  return false;
}

// One more rung, unless it launches what another did. A kernel that the device cannot hold is told, and passed over.
static weir_status climb(ladder *l, const rung *r, cg_module **out_code) {
  const char *kernels;
  double seconds = 0;
  *out_code = NULL;
  WEIR_TRY(lower(l, r, out_code));
  WEIR_TRY(launched(l, *out_code, &kernels));
  if (is_seen(l, kernels)) return WEIR_OK;
  cg_compute compute = CG_COMPUTE_F32;
  for (int i = 0; i < (*out_code)->weight_count; i++) compute = (*out_code)->weights[i].format.compute;
  l->compute = compute;
  cli_progress(l->c, r->name, -1);
  weir_status status = measure(l, *out_code, &seconds);
  cli_progress_end(l->c);
  weir_code reason = status ? weir_status_code(status) : WEIR_CODE_OK;
  if (reason == WEIR_CODE_CANCELLED || reason == WEIR_CODE_DEVICE_LOST || reason == WEIR_CODE_INVALID_DATA)
    return status;
  tell(l, r, kernels, seconds, status ? weir_arena_strdup(&l->arena, weir_status_message(status)) : NULL);
  weir_status_release(status);
  if (!r->beside && seconds > 0) l->before_s = seconds;
  return WEIR_OK;
}

// ---- the ladder of a case

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

// Whether an answer to the question changes what is launched.
static weir_status matters(ladder *l, const cg_question *q, unsigned blocks, bool *out) {
  const char *first = NULL, *kernels;
  *out = false;
  for (int i = -1; i < q->candidate_count; i++) {
    rung r = {.blocks = blocks, .choice = {q->key, q->parameter, i < 0 ? q->otherwise : q->candidates[i]}};
    cg_module *code;
    WEIR_TRY(lower(l, &r, &code));
    WEIR_TRY(launched(l, code, &kernels));
    *out |= first && strcmp(first, kernels);
    first = kernels;
  }
  return WEIR_OK;
}

// Every schedule of the question, from the simplest on.
static weir_status climb_schedules(ladder *l, const cg_question *q, unsigned blocks) {
  static const char *const names[] = {"plain", "tiled", "pipelined"};
  int64_t values[MOST_RUNGS];
  int count = 0;
  cg_module *code;
  for (int i = 0; i < q->candidate_count && count + 1 < MOST_RUNGS; i++) values[count++] = q->candidates[i];
  values[count++] = q->otherwise;
  qsort(values, (size_t)count, sizeof *values, by_value);
  for (int i = 0; i < count; i++) {
    rung r = {.blocks = blocks, .choice = {q->key, q->parameter, values[i]}};
    r.name = values[i] >= 0 && values[i] < 3 ? names[values[i]]
                                             : weir_arena_printf(&l->arena, "schedule %lld", (long long)values[i]);
    WEIR_TRY(climb(l, &r, &code));
  }
  return WEIR_OK;
}

static const cg_question *question_named(const cg_module *code, const char *parameter) {
  for (int i = 0; i < code->question_count; i++)
    if (!strcmp(code->questions[i].parameter, parameter)) return &code->questions[i];
  return NULL;
}

// Every other answer to every question, each by itself.
static weir_status climb_choices(ladder *l, const cg_module *code, unsigned blocks) {
  cg_module *other;
  for (int i = 0; i < code->question_count; i++) {
    const cg_question *q = &code->questions[i];
    for (int k = 0; k < q->candidate_count; k++) {
      rung r = {.blocks = blocks, .choice = {q->key, q->parameter, q->candidates[k]}, .beside = true};
      r.name = weir_arena_printf(&l->arena, "%s=%lld", q->parameter, (long long)q->candidates[k]);
      WEIR_TRY(climb(l, &r, &other));
    }
  }
  return WEIR_OK;
}

// The product by the maker's library, where lowering offers it. Sums have another order then.
static weir_status climb_library(ladder *l) {
  rung r = {.name = "library", .blocks = IR_KNEEDS_BLOCK | l->holds, .library = true};
  cg_module *code;
  WEIR_TRY(lower(l, &r, &code));
  const cg_question *q = question_named(code, "library.rows");
  int64_t from = 0;
  for (int i = 0; q && i < q->candidate_count; i++)
    if (q->candidates[i] > 0 && q->candidates[i] <= l->at.size->m) from = q->candidates[i];
  if (!from) return WEIR_OK;
  r.choice = (cg_choice){q->key, q->parameter, from};
  return climb(l, &r, &code);
}

static weir_status climb_device(ladder *l, cg_module **out_top) {
  rung item = {.name = "item kernel"}, block = {.name = "blocks", .blocks = IR_KNEEDS_BLOCK},
       own = {.name = "of the chip", .blocks = IR_KNEEDS_BLOCK | l->holds};
  cg_module *code;
  bool several = false;
  WEIR_TRY(climb(l, &item, &code));
  WEIR_TRY(lower(l, &block, &code));
  const cg_question *schedules = question_named(code, "schedule");
  if (schedules) WEIR_TRY(matters(l, schedules, block.blocks, &several));
  if (several) WEIR_TRY(climb_schedules(l, schedules, block.blocks));
  else WEIR_TRY(climb(l, &block, &code));
  WEIR_TRY(climb(l, &own, out_top));
  return simulated(l) ? WEIR_OK : climb_library(l);
}

static weir_status climb_all(ladder *l) {
  cg_module *top;
  rung plain = {.name = (char[]){"default"}};
  if (l->device) WEIR_TRY(climb_device(l, &top));
  else WEIR_TRY(climb(l, &plain, &top));
  if (l->device && !cli_has(l->c, "choices")) return WEIR_OK;
  return climb_choices(l, top, l->device ? IR_KNEEDS_BLOCK | l->holds : 0);
}

static weir_status run_case(ladder *l, const bench_template *what, const bench_shape *size) {
  l->at = (bench_case){.what = what, .size = size, .device = l->device != NULL, .simulated = simulated(l)};
  l->before_s = 0;
  l->seen_count = 0;
  weir_arena_init(&l->arena);
  weir_status status = bench_case_make(&l->arena, &l->at);
  if (!status && !l->c->json) {
    printf("%s %lldx%lldx%lld", what->name, (long long)size->m, (long long)size->n, (long long)size->k);
    if (size->heads) printf(", %d heads, %d of keys", size->heads, size->key_heads);
    printf("  (%s): %.4g operations, %s\n", size->of, l->at.ops, cli_bytes(&l->arena, l->at.bytes));
  }
  if (!status) status = climb_all(l);
  weir_arena_deinit(&l->arena);
  return status;
}

// ---- the command

static int shapes_given(cli *c, bench_op op, bench_shape *out, int *out_count) {
  *out_count = 0;
  for (int i = 0; i < cli_count(c, "shape"); i++) {
    const char *text = cli_text_at(c, "shape", i);
    if (*out_count == MOST_SHAPES) return cli_usage(c, "more than %d shapes", MOST_SHAPES);
    if (!bench_shape_parse(text, op, &out[(*out_count)++])) {
      return cli_usage(c, "--shape wants ROWSxOUTPUTSxINPUTS, or ROWSxKEYSxSIZE of attention, not '%s'", text);
    }
  }
  return CLI_DONE;
}

static weir_status run_template(ladder *l, const bench_template *what, const bench_shape *shapes, int count) {
  if (!count) shapes = bench_shapes(what->op, simulated(l), &count);
  for (int i = 0; i < count; i++) WEIR_TRY(run_case(l, what, &shapes[i]));
  return WEIR_OK;
}

static weir_status device_look(ladder *l) {
  cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
  const char *target;
  int count;
  l->holds = IR_KNEEDS_SM_89 | IR_KNEEDS_SM_90A | IR_KNEEDS_CLUSTER | IR_KNEEDS_PDL;
  WEIR_TRY(plan_device_target(&l->c->arena, l->device, cli_text(l->c, "isa"), &target));
  if (!strcmp(target, "sim")) return WEIR_OK;
  WEIR_TRY(cg_cuda_archs_find(target, archs, &count));
  l->holds = archs[0].holds;
  return WEIR_OK;
}

static int run_all(ladder *l, const bench_template *only) {
  cli *c = l->c;
  int64_t threads = 0;
  if (!cli_int(c, "threads", 1, 1024, &threads)) return CLI_USAGE;
  int code = l->device ? cli_fail(c, device_look(l)) : CLI_DONE;
  if (!code) code = cli_fail(c, cli_roof_measure_device(c, (int)threads, &l->roof));
  if (code) return code;
  if (!c->json) printf("roof  %s\n", cli_roof_text(&c->arena, &l->roof));
  int template_count;
  const bench_template *usual = bench_templates(&template_count);
  for (int i = 0; i < template_count && !code; i++) {
    const bench_template *what = only ? only : &usual[i];
    bench_shape shapes[MOST_SHAPES];
    int count;
    code = shapes_given(c, what->op, shapes, &count);
    if (!code) code = cli_fail(c, run_template(l, what, shapes, count));
    if (only) break;
  }
  return code;
}

int cli_bench_kernels(cli *c) {
  ladder l = {.c = c, .repeat = 5, .rows = json_array()};
  const char *device = cli_text(c, "device"), *name = c->argument_count > 1 ? c->arguments[1] : NULL;
  const bench_template *only = name ? bench_template_find(&c->arena, name) : NULL;
  l.device = device && strcmp(device, "cpu") ? device : NULL;
  int code = CLI_DONE;
  if (name && !only)
    code = cli_usage(
        c, "there is no template '%s': linear-STORAGE, linear-STORAGE-COMPUTE, matmul, attend, norm-quantise", name);
  if (!code && !cli_int(c, "repeat", 1, 100, &l.repeat)) code = CLI_USAGE;
  if (!code) code = run_all(&l, only);
  if (!code && c->json) {
    json_t *machine = cli_machine_json();
    return cli_json(c, json_pack("{s:o,s:o,s:o}", "roof", cli_roof_json(&l.roof), "rungs", l.rows, "machine", machine));
  }
  json_decref(l.rows);
  return code;
}
