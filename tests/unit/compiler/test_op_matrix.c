// Every op of the table on every dtype that its rule takes, on odd shapes (empty, one, ragged) and on special values:
// what the graph interpreter says of it must come out of the lowered program, under the kernel interpreter and
// compiled, several requests together and each alone (tests/common/op_cases.h). Of each op one dtype also as the code
// for GPUs, with block kernels where there are any, on the simulator.
//
// Integers, bools and moved elements must be equal; a float may be off by what the row's case says. NaN is NaN whatever
// its payload; the sign of a zero counts where elements are only moved.
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <math.h>
#include <string.h>

#include "codegen/cpu/compile.h"
#include "compiler/passes/pass.h"
#include "ir/eval.h"
#include "ir/kernel_block.h"
#include "tests/common/lowered_case.h"
#include "tests/common/op_cases.h"
#include "tests/common/scratch.h"
#include "tests/unit/codegen/sim_launches.h"

enum { MAX_PROGRAMS = 2000, MAX_REASONS = 32 };

typedef struct {
  const op_case *which;
  ir_dtype dtype;
  double scale;                        // OP_SCALE
  ir_tensor *sums[CASE_MAX_REQUESTS];  // OP_SUMS: results of absolute values, per request
} yardstick;

typedef struct {
  lowered_case runs[OP_CASE_RUNS];
  yardstick yards[OP_CASE_RUNS];
  int run_count;
} op_program;

typedef struct {
  weir_arena arena;
  op_program *programs;
  int program_count, case_count, skipped, refused;
  const ir_kernel **kernels;
  int kernel_count, kernel_capacity;
  bool sim;  // for the simulator: not interpreted
  const char *reasons[MAX_REASONS];
  int reason_counts[MAX_REASONS], reason_count;
} matrix;

// ---- comparing

// The distance of neighbours at |x| in |dtype|.
static double ulp_of(ir_dtype dtype, double x) {
  int digits = dtype == IR_f64      ? 53
               : dtype == IR_f16    ? 11
               : dtype == IR_bf16   ? 8
               : dtype == IR_f8e4m3 ? 4
               : dtype == IR_f8e5m2 ? 3
                                    : 24;
  int least = dtype == IR_f64 ? -1022 : dtype == IR_f16 || dtype == IR_f8e5m2 ? -14 : dtype == IR_f8e4m3 ? -6 : -126;
  int exponent;
  frexp(x, &exponent);
  if (x == 0 || exponent - 1 < least) exponent = least + 1;
  return ldexp(1, exponent - digits);
}

// What is smaller than the least normal number may be lost by functions of several steps.
static bool is_narrow(ir_dtype dtype) { return ir_dtype_bytes(dtype) < 4; }

static double allowed(const yardstick *y, int request, int result, int64_t index, ir_dtype dtype, double want) {
  ir_dtype computed = dtype == IR_f64 ? IR_f64 : IR_f32;
  double size = fabs(want);
  if (y->which->ulps == 0) return 0;
  if (y->which->measure == OP_SCALE) size = fmax(size, y->scale);
  if (y->which->measure == OP_SUMS) size = fmax(size, fabs(y->sums[request][result].data[index]));
  if (!isfinite(size)) size = fabs(want);
  double least = y->which->ulps > 1 ? ldexp(1, computed == IR_f64 ? -1022 : -126) : 0;
  return y->which->ulps * ulp_of(computed, size) + (is_narrow(dtype) ? ulp_of(dtype, want) : 0) + least;
}

static const char *compare(lowered_case *c, int request, int result, int64_t index, double got, double want) {
  const yardstick *y = c->user;
  ir_dtype dtype = c->expected[request][result].dtype;
  double rounded = ir_dtype_is_float(dtype) ? ir_round_to(dtype, want) : want;
  bool moved = (ir_op_get_info(op_case_op(y->which))->flags & IR_FLAG_MOVE) != 0;
  bool same = (isnan(got) && isnan(rounded)) || (got == rounded && (!moved || !signbit(got) == !signbit(rounded)));
  if (!same && ir_dtype_is_float(dtype) && !isnan(want)) {
    double most = allowed(y, request, result, index, dtype, want);
    same = fabs(got - want) <= most;
    // Beside the edge of overflow: the one may be infinite where the other is not yet.
    if (most > 0 && isfinite(want) && (isinf(rounded) || isnan(rounded) || isinf(got) || isnan(got))) {
      double inside = ir_round_to(dtype, want - copysign(2 * most, want)),
             outside = ir_round_to(dtype, want + copysign(2 * most, want));
      same |= got == inside || (!isfinite(outside) && !isfinite(got) && (isnan(got) == isnan(outside)));
    }
  }
  if (same) return NULL;
  return weir_arena_printf(c->arena, "request %d, result %d, element %lld: %.17g instead of %.17g", request, result,
                           (long long)index, got, rounded);
}

static weir_status measure(lowered_case *c, yardstick *y) {
  const ir_function *function = c->function;
  ir_tensor *absolute = WEIR_NEW_ARRAY(c->arena, ir_tensor, function->param_count);
  for (int r = 0; r < c->requests; r++) {
    for (int p = 0; p < function->param_count; p++) {
      int64_t count = ir_tensor_elements(&c->args[r][p]);
      absolute[p] = c->args[r][p];
      if (!ir_dtype_is_float(absolute[p].dtype)) continue;
      absolute[p].data = WEIR_NEW_ARRAY(c->arena, double, count);
      for (int64_t i = 0; i < count; i++) {
        double x = absolute[p].data[i] = fabs(c->args[r][p].data[i]);
        if (isfinite(x)) y->scale = fmax(y->scale, x);
      }
    }
    if (y->which->measure != OP_SUMS) continue;
    y->sums[r] = WEIR_NEW_ARRAY(c->arena, ir_tensor, function->result_count);
    WEIR_TRY(ir_interpret(c->arena, function, absolute, y->sums[r]));
  }
  return WEIR_OK;
}

// ---- making

static void count_reason(matrix *m, const char *reason) {
  int at = 0;
  while (at < m->reason_count && strcmp(m->reasons[at], reason) != 0) at++;
  if (at == MAX_REASONS) return;
  if (at == m->reason_count) m->reasons[m->reason_count++] = weir_arena_strdup(&m->arena, reason);
  m->reason_counts[at]++;
}

static weir_storage plain_f32(void *user, const char *path) {
  (void)user, (void)path;
  return WEIR_STORAGE_F32;
}

static weir_status lower(weir_arena *arena, ir_module *module, bool sim, cg_module **out) {
  pass_options options = {.verify = true};
  pass_context context;
  pass_context_init(&context, &options);
  WEIR_TRY(pass_run(&context, module, PASS_route));
  WEIR_TRY(pass_run(&context, module, PASS_expand));
  cg_lower_options lowering = {.storage_of = plain_f32, .blocks = sim ? IR_KNEEDS_BLOCK : 0};
  return cg_lower(arena, module, &lowering, out);
}

static void add_kernels(matrix *m, const cg_module *code) {
  for (int i = 0; i < code->kernel_count; i++) {
    bool known = false;
    for (int k = 0; k < m->kernel_count && !known; k++)
      known = strcmp(m->kernels[k]->name, code->kernels[i]->name) == 0;
    if (!known) WEIR_PUSH(&m->arena, m->kernels, m->kernel_count, m->kernel_capacity, code->kernels[i]);
  }
}

// One run of a program: sizes, arguments, what the graph interpreter says, what the kernel interpreter makes of it.
static bool make_run(matrix *m, op_program *p, const op_case *which, ir_dtype dtype, int run,
                     const ir_function *function, cg_module *code) {
  weir_arena *arena = &m->arena;
  lowered_case *c = &p->runs[p->run_count];
  yardstick *y = &p->yards[p->run_count];
  *c = (lowered_case){.arena = arena, .function = function, .code = code, .program = code->programs[0]};
  *y = (yardstick){.which = which, .dtype = dtype};
  for (int i = 0; i < code->program_count; i++)
    if (!strcmp(code->programs[i]->name, "main")) c->program = code->programs[i];
  for (int r = 0; r < CASE_MAX_REQUESTS; r++) {
    c->sizes[r] = WEIR_NEW_ARRAY(arena, int64_t, ir_symbol_count(function->module->dims));
    c->args[r] = WEIR_NEW_ARRAY(arena, ir_tensor, function->param_count);
  }
  c->requests = op_case_sizes(function->module, run, c->sizes);
  if (c->requests == 0) return true;
  for (int r = 0; r < c->requests; r++) op_case_args(arena, which, function, run, r, c->sizes[r], c->args[r]);
  c->compare = compare;
  c->user = y;
  weir_status status = lowered_case_finish(c);
  if (!status) status = measure(c, y);
  const char *wrong = status ? weir_status_message(status) : m->sim ? NULL : lowered_case_check_interpreted(c, 0);
  cr_expect(!wrong, "%s of %s, run %d, interpreted: %s", which->node, ir_dtype_name(dtype), run, wrong);
  bool good = !wrong;
  weir_status_release(status);
  p->run_count += good;
  m->case_count++;
  return good;
}

static void make_program(matrix *m, const op_case *which, ir_dtype dtype) {
  const char *error = NULL;
  ir_module *module = op_case_module(&m->arena, which, dtype, &error), *copy;
  cg_module *code = NULL;
  if (!module) {
    m->refused++;
    if (getenv("WEIR_OPS_REFUSED")) fprintf(stderr, "%s of %s: %s\n", which->node, ir_dtype_name(dtype), error);
    return;
  }
  copy = op_case_module(&m->arena, which, dtype, &error);
  weir_status status = lower(&m->arena, copy, m->sim, &code);
  if (status) {
    bool unsupported = weir_status_code(status) == WEIR_CODE_UNSUPPORTED;
    if (unsupported) count_reason(m, weir_status_message(status));
    cr_expect(unsupported, "%s of %s: %s", which->node, ir_dtype_name(dtype), weir_status_message(status));
    if (getenv("WEIR_OPS_REFUSED"))
      fprintf(stderr, "%s of %s: %s\n", which->node, ir_dtype_name(dtype), weir_status_message(status));
    weir_status_release(status);
    m->skipped++;
    return;
  }
  op_program *p = &m->programs[m->program_count];
  cr_assert(++m->program_count < MAX_PROGRAMS);
  if (!m->sim) add_kernels(m, code);
  for (int run = 0; run < OP_CASE_RUNS; run++)
    if (!make_run(m, p, which, dtype, run, ir_function_find(module, "main"), code)) return;
}

// ---- running

static weir_status find_symbol(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  void *symbol = dlsym(context, kernel->symbol);
  if (!symbol) return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel '%s'", kernel->symbol);
  memcpy(&out_entry->native, &symbol, sizeof symbol);
  return WEIR_OK;
}

static void run_compiled(matrix *m) {
  cg_cpu_options options = {.cache_dir = KEPT_OBJECTS, .cache_bytes = KEPT_BYTES, .optimize = "-O1"};
  cg_cpu_isa isa;
  cg_cpu_object object;
  weir_status status = cg_cpu_isa_find(&m->arena, "cpu", &isa);
  cr_assert(!status, "%s", weir_status_message(status));
  status = cg_cpu_compile(&m->arena, m->kernels, m->kernel_count, &isa, 1, &options, &object);
  cr_assert(!status, "%s", weir_status_message(status));
  void *library = dlopen(object.path, RTLD_NOW);
  cr_assert(library, "%s", dlerror());
  rt_kernel_provider provider = {.context = library, .lookup = find_symbol};
  for (int i = 0; i < m->program_count; i++) {
    op_program *p = &m->programs[i];
    for (int run = 0; run < p->run_count; run++) {
      yardstick *y = &p->yards[run];
      const char *wrong = lowered_case_check_run(&p->runs[run], provider, 1 + run % 2, 0);
      cr_expect(!wrong, "%s of %s, run %d, compiled: %s", y->which->node, ir_dtype_name(y->dtype), run, wrong);
    }
  }
  fprintf(stderr, "%d kernels compiled in %.1f s\n", m->kernel_count, object.seconds);
  dlclose(library);
}

static bool varies(const op_case *which) {
  bool any = strchr(which->result, '$') || strchr(which->node, '$');
  for (int p = 0; p < OP_CASE_OPERANDS && which->types[p]; p++) any |= strchr(which->types[p], '$') != NULL;
  return any;
}

// All cases of the ops |first|..|last|.
static void check_ops(ir_op first, ir_op last) {
  static op_program programs[MAX_PROGRAMS];
  int count;
  const op_case *all = op_cases(&count);
  const char *only = getenv("WEIR_OPS_ONLY");
  matrix m = {.programs = programs};
  weir_arena_init(&m.arena);
  for (int i = 0; i < count; i++) {
    ir_op op = op_case_op(&all[i]);
    int before = m.program_count + m.skipped;
    if (op < first || op > last) continue;
    if (only && !strstr(all[i].node, only)) continue;
    for (int dtype = 0; dtype < (varies(&all[i]) ? IR_DTYPE_COUNT : 1); dtype++)
      make_program(&m, &all[i], (ir_dtype)dtype);
    cr_expect(m.program_count + m.skipped > before, "no dtype fits '%s'", all[i].node);
  }
  run_compiled(&m);
  fprintf(stderr, "%s to %s: %d programs, %d cases of op, dtype and sizes; %d without lowering; %d dtypes refused\n",
          ir_op_get_info(first)->name, ir_op_get_info(last)->name, m.program_count, m.case_count, m.skipped, m.refused);
  for (int i = 0; i < m.reason_count; i++) fprintf(stderr, "  %d: %s\n", m.reason_counts[i], m.reasons[i]);
  weir_arena_deinit(&m.arena);
}

// float32, or the first dtype that the op takes. Compiling is most of the time.
static void check_on_sim(int part, int parts) {
  static const ir_dtype order[] = {IR_f32, IR_i32, IR_bool, IR_f64, IR_u8, IR_i64};
  static op_program programs[MAX_PROGRAMS];
  int count, cases = 0;
  const op_case *all = op_cases(&count);
  matrix m = {.programs = programs, .sim = true};
  sim_launches sim;
  weir_arena_init(&m.arena);
  sim_launches_init(&sim);
  sim.optimize = "-O0";
  for (int i = part; i < count; i += parts) {
    int before = m.program_count + m.skipped;
    for (int k = 0; k < (varies(&all[i]) ? 6 : 1) && m.program_count + m.skipped == before; k++)
      make_program(&m, &all[i], order[k]);
  }
  for (int i = 0; i < m.program_count; i++)
    if (m.programs[i].run_count) sim_launches_add(&sim, m.programs[i].runs[0].code);
  sim_launches_compile(&sim);
  for (int i = 0; i < m.program_count; i++) {
    op_program *p = &m.programs[i];
    for (int run = 0; run < p->run_count; run++, cases++) {
      lowered_case *c = &p->runs[run];
      c->launch = sim_launches_run;
      c->launch_user = &sim;
      sim.requests = c->requests;
      const char *wrong = lowered_case_check_interpreted(c, 0);
      cr_expect(!wrong, "%s of %s, run %d, on sim: %s", p->yards[run].which->node, ir_dtype_name(p->yards[run].dtype),
                run, wrong);
    }
  }
  fprintf(stderr, "on sim: %d programs, %d cases, %d launches of block kernels\n", m.program_count, cases, sim.blocks);
  cr_assert_gt(m.program_count, count / parts * 8 / 10);
  sim_launches_deinit(&sim);
  weir_arena_deinit(&m.arena);
}

Test(op_matrix, on_sim_one_half) { check_on_sim(0, 2); }
Test(op_matrix, on_sim_the_other_half) { check_on_sim(1, 2); }

Test(op_matrix, every_op_has_a_case) {
  int count;
  const op_case *all = op_cases(&count);
  bool found[IR_OP_COUNT + 1] = {false};
  for (int i = 0; i < count; i++) found[op_case_op(&all[i])] = true;
  cr_expect(!found[IR_OP_COUNT], "a case names no op");
  for (int op = 0; op < IR_OP_COUNT; op++) cr_expect(found[op], "no case for '%s'", ir_op_get_info((ir_op)op)->name);
}

Test(op_matrix, elementwise_of_one_operand) { check_ops(IR_OP_constant, IR_OP_bit_not); }
Test(op_matrix, conversions) { check_ops(IR_OP_cast, IR_OP_bitcast); }
Test(op_matrix, elementwise_of_more_operands) { check_ops(IR_OP_add, IR_OP_select); }
Test(op_matrix, reductions_and_products) { check_ops(IR_OP_sum, IR_OP_attend); }
Test(op_matrix, along_an_axis) { check_ops(IR_OP_cumsum, IR_OP_top_k); }
Test(op_matrix, windows) { check_ops(IR_OP_conv, IR_OP_resize_linear); }
Test(op_matrix, movement) { check_ops(IR_OP_gather, IR_OP_scatter); }
Test(op_matrix, signals_regions_and_states) { check_ops(IR_OP_dft, IR_OP_call); }
