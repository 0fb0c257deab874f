// Accuracy of the elementwise functions in compiled f32 code: numbers of every exponent and sign against the float64
// reference, within the bounds of ir/accuracy.def. Arguments of sine and cosine are reduced exactly however large they
// are, so that their bound is that of all other arguments.
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <math.h>
#include <string.h>

#include "codegen/cpu/compile.h"
#include "tests/common/lowered_case.h"
#include "tests/common/scratch.h"

enum { MANTISSAS = 64, COUNT = 512 * MANTISSAS };

typedef struct {
  const char *op;
  double ulps;
  bool of_operand;
  double worst, at;  // the largest error met, and where
} accuracy;

static accuracy table[] = {
#define RESULT false
#define OPERAND true
#define ACCURACY(op, ulps, of) {#op, ulps, of, 0, 0},
#include "ir/accuracy.def"
#undef ACCURACY
};
enum { OPS = sizeof table / sizeof *table };

static double ulp_of(double x) {
  int exponent;
  frexp(x, &exponent);
  return ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

// Notes the error; says what is wrong of results that are no numbers where they should be.
static const char *compare(lowered_case *c, int request, int result, int64_t index, double got, double want) {
  accuracy *a = c->user;
  double x = c->args[request][0].data[index], rounded = (float)want;
  (void)result;
  if ((isnan(got) && isnan(want)) || got == rounded) return NULL;
  double error = fabs(got - want) / ulp_of(a->of_operand && fabs(x) > fabs(want) ? x : want);
  double least = strcmp(a->op, "silu") ? 0x1p-126 : 0x1p-126 * fmax(1, fabs(x));
  bool small = fabs(want) < least && fabs(got) <= least;
  bool edge = isinf(rounded) && fabs(got) > 0x1.fffff0p127;  // at the end of the numbers one may be infinite
  edge |= isinf(got) && fabs(want) > 0x1.fffff0p127;
  if (small || edge) return NULL;
  if (isfinite(error) && error > a->worst) a->worst = error, a->at = x;
  if (isfinite(error)) return NULL;
  return weir_arena_printf(c->arena, "%s(%a) is %a, not %a", a->op, x, got, want);
}

static void fill(double *x) {
  uint64_t state = 5;
  for (int i = 0; i < COUNT; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint32_t m = (uint32_t)(i % MANTISSAS), random = (uint32_t)(state >> 41);
    uint32_t bits = (uint32_t)(i / MANTISSAS) << 23 | (m == 0 ? 0 : m == 1 ? 0x7fffff : m == 2 ? 1 : random);
    float value;
    memcpy(&value, &bits, sizeof value);
    x[i] = (double)value;
  }
}

static weir_storage no_storage(void *user, const char *path) {
  (void)user, (void)path;
  return WEIR_STORAGE_F32;
}

static void make_case(weir_arena *arena, lowered_case *c, accuracy *a, ir_tensor *arg) {
  const char *text = weir_arena_printf(arena,
                                       "module M\nentry main {\n  input %%0: f32[%d] \"x\"\n  %%1 = %s %%0 : f32[%d]\n"
                                       "  result %%1 \"y\"\n}\n",
                                       COUNT, a->op, COUNT);
  ir_module *module;
  cg_lower_options options = {.storage_of = no_storage};
  *c = (lowered_case){.arena = arena, .requests = 1, .compare = compare, .user = a};
  weir_status status = ir_parse_module(arena, text, strlen(text), &module);
  if (!status) status = cg_lower(arena, module, &options, &c->code);
  cr_assert(!status, "%s", weir_status_message(status));
  c->function = module->functions[0];
  c->program = c->code->programs[0];
  c->sizes[0] = WEIR_NEW_ARRAY(arena, int64_t, 1);
  c->args[0] = arg;
  status = lowered_case_finish(c);
  cr_assert(!status, "%s", weir_status_message(status));
}

static weir_status find_symbol(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  void *symbol = dlsym(context, kernel->symbol);
  if (!symbol) return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel '%s'", kernel->symbol);
  memcpy(&out_entry->native, &symbol, sizeof symbol);
  return WEIR_OK;
}

Test(op_accuracy, elementwise_functions_are_within_their_bounds) {
  weir_arena arena;
  weir_arena_init(&arena);
  static lowered_case cases[OPS];
  static double x[COUNT];
  ir_tensor arg = {.dtype = IR_f32, .rank = 1, .dims = {COUNT}, .data = x};
  const ir_kernel *kernels[OPS];
  fill(x);
  for (int i = 0; i < OPS; i++) {
    make_case(&arena, &cases[i], &table[i], &arg);
    cr_assert_eq(cases[i].code->kernel_count, 1);
    kernels[i] = cases[i].code->kernels[0];
  }
  cg_cpu_options options = {.cache_dir = KEPT_OBJECTS, .cache_bytes = KEPT_BYTES, .optimize = "-O1"};
  cg_cpu_isa isa;
  cg_cpu_object object;
  weir_status status = cg_cpu_isa_find(&arena, "cpu", &isa);
  if (!status) status = cg_cpu_compile(&arena, kernels, OPS, &isa, 1, &options, &object);
  cr_assert(!status, "%s", weir_status_message(status));
  void *library = dlopen(object.path, RTLD_NOW);
  cr_assert(library, "%s", dlerror());
  for (int i = 0; i < OPS; i++) {
    const char *wrong =
        lowered_case_check_run(&cases[i], (rt_kernel_provider){.context = library, .lookup = find_symbol}, 1, 0);
    cr_expect(!wrong, "%s", wrong);
    cr_expect(table[i].worst <= table[i].ulps, "%s is off by %.3f ulp at %a, not by at most %g", table[i].op,
              table[i].worst, table[i].at, table[i].ulps);
    fprintf(stderr, "%-10s %.3f ulp at %a\n", table[i].op, table[i].worst, table[i].at);
  }
  dlclose(library);
  weir_arena_deinit(&arena);
}
