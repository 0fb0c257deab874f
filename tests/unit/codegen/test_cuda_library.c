// Products by a library: lowered with choices that say so, run on sim and through the driver of the tests with the
// library of the tests, against float64 sums. Without a library, with one too old, and with every call of it failing,
// the answers are right all the same, or the failure is told; nothing is left behind. What this program declares of the
// library is compared with the header of the toolkit, where that is.
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "codegen/cuda/arch.h"
#include "codegen/cuda/compile.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/cuda/sim.h"
#include "codegen/lower/lower.h"
#include "ir/kernel_block.h"
#include "runtime/base/half.h"
#include "runtime/device/cuda/device.h"
#include "runtime/device/cuda/library.h"
#include "runtime/exec/model.h"
#include "tests/fake-driver/fake.h"
#include "tests/unit/runtime/fixture.h"

enum { ROWS = 70, FROM = 32, OUTS = 40, COLS = 96 };

// Two matrices with an epilogue of their own, and one whose sums are the result of a function.
static const char text[] =
    "module M\n\ndim T: seq in 1..=1000\n\nentry main {\n  input %0.x: f32[T, 96] \"x\"\n  weight %1: f32[40, 96] "
    "\"w\"\n"
    "  weight %2: f32[40, 96] \"v\"\n  %3 = linear %0, %1 : f32[T, 40]\n  %4 = neg %3 : f32[T, 40]\n"
    "  %5 = linear %0, %2 : f32[T, 40]\n  %6 = mul %4, %5 : f32[T, 40]\n  result %6 \"y\"\n}\n";

static weir_storage storage_of(void *user, const char *path) {
  (void)user, (void)path;
  return WEIR_STORAGE_F32;
}
static cg_compute compute_of(void *user, const char *path) {
  (void)user, (void)path;
  return CG_COMPUTE_BF16;
}

static weir_arena arena;
static const ir_module *module;
static cg_module *code;
static cg_cuda_object object;
static float w[2][OUTS * COLS], x[ROWS * COLS];
static char folder[] = "/tmp/weir-library-XXXXXX";
static uint8_t *packed[8];
static rt_device *device;

static struct {
  void (*fail)(int64_t, int);
  int64_t (*calls)(void), (*live)(void), (*products)(int);
  int (*failed)(void);
} fake;

static cg_module *lower(const cg_choice *choices, int count, bool library) {
  const cg_lower_options options = {.storage_of = storage_of,
                                    .compute_of = compute_of,
                                    .choices = choices,
                                    .choice_count = count,
                                    .blocks = IR_KNEEDS_BLOCK,
                                    .library = library};
  cg_module *out;
  OK(cg_lower(&arena, module, &options, &out));
  return out;
}

static const char *key(void) {
  const cg_module *all = lower(NULL, 0, true);
  for (int i = 0; i < all->question_count; i++)
    if (!strcmp(all->questions[i].parameter, "library.rows")) return all->questions[i].key;
  cr_assert_fail("nobody asks for a library");
  return NULL;
}

static void make_code(int64_t algorithm) {
  const char *name = key();
  const cg_choice choices[] = {{name, "library.rows", FROM}, {name, "library.algorithm", algorithm}};
  cg_cuda_options options = {.cache_dir = folder};
  code = lower(choices, 2, true);
  OK(cg_cuda_sim_compile(&arena, (const ir_kernel *const *)code->kernels, code->kernel_count, &options, &object));
}

static uint8_t *pack(const cg_weight *weight) {
  const float *values = w[strncmp(weight->path, "w", 1) != 0];
  uint8_t *out = weir_arena_array(&arena, (size_t)weight->bytes + 64, 1);
  out += -(uintptr_t)out % 64;
  uint16_t *rows = WEIR_NEW_ARRAY(&arena, uint16_t, (OUTS + IR_LANES) * COLS);
  for (int i = 0; i < OUTS * COLS; i++) rows[i] = weir_f32_to_bf16(values[i]);
  if (weight->format.layout == CG_LAYOUT_PLAIN) {
    cr_assert_eq(weight->bytes, 2 * OUTS * COLS);
    memcpy(out, rows, (size_t)weight->bytes);
    return out;
  }
  for (int first = 0; first < OUTS; first += IR_LANES) {
    const void *of_panel[IR_LANES];
    for (int i = 0; i < IR_LANES; i++) of_panel[i] = first + i < OUTS ? rows + (first + i) * COLS : NULL;
    cg_panel_pack_pairs(of_panel, COLS, out + (size_t)first * 2 * COLS);
  }
  return out;
}

static void setup(void) {
  ir_module *parsed;
  uint64_t state = 7;
  weir_arena_init(&arena);
  cr_assert(mkdtemp(folder));
  OK(ir_parse_module(&arena, text, strlen(text), &parsed));
  module = parsed;
  float *const all[] = {w[0], w[1], x};
  for (int k = 0; k < 3; k++) {
    for (int i = 0; i < (k < 2 ? OUTS : ROWS) * COLS; i++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      all[k][i] = (float)(state >> 33) / (float)(1u << 30) - 1;
    }
  }
  setenv("WEIR_CUBLASLT", WEIR_FAKE_BLASLT, 1);
  void *library = dlopen(WEIR_FAKE_BLASLT, RTLD_NOW | RTLD_LOCAL);
  cr_assert(library, "%s", dlerror());
  *(void **)&fake.fail = dlsym(library, "fake_blaslt_fail");
  *(void **)&fake.calls = dlsym(library, "fake_blaslt_calls");
  *(void **)&fake.live = dlsym(library, "fake_blaslt_live");
  *(void **)&fake.products = dlsym(library, "fake_blaslt_products");
  *(void **)&fake.failed = dlsym(library, "fake_blaslt_failed");
  cr_assert(fake.fail && fake.calls && fake.live && fake.products && fake.failed);
  fake.fail(0, 0);
}

static void teardown(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  cr_assert_eq(system(command), 0);
  weir_arena_deinit(&arena);
}

TestSuite(library, .init = setup, .fini = teardown);

static weir_status find(void *context, const char *path, int64_t bytes, const void **out) {
  (void)context;
  for (int i = 0; i < code->weight_count; i++) {
    if (strcmp(code->weights[i].key, path) || code->weights[i].bytes != bytes) continue;
    WEIR_TRY(device->ops->alloc(device, (size_t)bytes, &packed[i]));
    WEIR_TRY(device->ops->upload(device, &(rt_piece){packed[i], pack(&code->weights[i]), (size_t)bytes}, 1));
    *out = packed[i];
    return WEIR_OK;
  }
  return weir_status_make(WEIR_CODE_NOT_FOUND, "no weight '%s'", path);
}

static weir_status call(weir_executor *executor, weir_model *model, int rows, float *y) {
  weir_view in = {.data = x, .dtype = WEIR_DTYPE_F32, .rank = 2, .shape = {rows, COLS}};
  weir_view out = {.data = y, .bytes = (size_t)rows * OUTS * 4};
  weir_request request = {.inputs = &in, .outputs = &out};
  return weir_run(executor, weir_model_find_entry(model, "main"), &request, 1, NULL);
}

// A life on |name|: two calls of ROWS rows and one of FROM - 1, into |y|.
static weir_status live(const char *name, float *y, float *few) {
  weir_model *model = NULL;
  weir_executor *executor = NULL;
  OK(rt_cuda_device_named(name, weir_allocator_system(), &device));
  memset(packed, 0, sizeof packed);
  rt_model_parts parts = {.name = "m",
                          .isa = "sim",
                          .programs = (const rt_program *const *)code->programs,
                          .program_count = code->program_count,
                          .device = device,
                          .find_weight = find};
  weir_status status = rt_cuda_code_from(device, object.data, object.bytes, object.facts, &parts.provider);
  if (!status) status = rt_model_create(&parts, &model);
  if (!status) status = weir_executor_create(model, NULL, &executor);
  for (int i = 0; i < 2 && !status; i++) status = call(executor, model, ROWS, y);
  if (!status) status = call(executor, model, FROM - 1, few);
  weir_executor_destroy(executor);
  weir_model_release(model);
  for (int i = 0; i < 8; i++) device->ops->free(device, packed[i], 0);
  device->ops->destroy(device);
  return status;
}

static double rounded(float value) { return weir_bf16_to_f32(weir_f32_to_bf16(value)); }

static void check(const float *y, int rows) {
  for (int m = 0; m < rows; m++) {
    for (int n = 0; n < OUTS; n++) {
      double sums[2] = {0, 0};
      for (int i = 0; i < 2; i++)
        for (int k = 0; k < COLS; k++) sums[i] += rounded(w[i][n * COLS + k]) * rounded(x[m * COLS + k]);
      double want = -sums[0] * sums[1];
      cr_assert(fabs(y[m * OUTS + n] - want) <= 1e-4 * (fabs(want) + 1), "row %d, column %d: %g instead of %g", m, n,
                y[m * OUTS + n], want);
    }
  }
}

static float y[ROWS * OUTS], other[ROWS * OUTS], few[ROWS * OUTS];

Test(library, nobody_asks_unless_the_plan_allows_it) {
  const cg_module *plain = lower(NULL, 0, false), *allowed = lower(NULL, 0, true);
  for (int i = 0; i < plain->question_count; i++) cr_assert(strncmp(plain->questions[i].parameter, "library", 7));
  int asked = 0;
  for (int i = 0; i < allowed->question_count; i++) asked += allowed->questions[i].inexact;
  cr_assert_eq(asked, 2, "from how many rows on, and how");
  cr_assert_eq(plain->kernel_count, allowed->kernel_count, "without an answer nothing changes");
  cr_assert_eq(plain->weight_count, allowed->weight_count);
  for (int i = 0; i < plain->kernel_count; i++) cr_assert(ir_kernel_equal(plain->kernels[i], allowed->kernels[i]));
}

Test(library, products_are_its_own_from_a_number_of_rows_on) {
  static const char *const devices[] = {"sim", "cuda"};
  setenv("WEIR_CUDA_DRIVER", WEIR_FAKE_CUDA, 1);
  for (int algorithm = 0; algorithm < 3; algorithm++) {
    make_code(algorithm);
    cr_assert_eq(code->weight_count, 4, "both matrices once more, in rows");
    for (int d = 0; d < 2; d++) {
      fake.fail(0, 0);
      OK(live(devices[d], y, few));
      check(y, ROWS);
      check(few, FROM - 1);
      cr_assert_eq(fake.products(-1), 4, "two matrices in two calls");
      cr_assert_eq(fake.products(algorithm), 4);
      cr_assert_eq(fake.live(), 0);
    }
  }
}

static void without(const char *why) {
  fake.fail(0, 0);
  OK(live("sim", other, few));
  check(other, ROWS);
  cr_assert_eq(fake.products(-1), 0, "%s", why);
  cr_assert_eq(fake.live(), 0);
}

Test(library, without_it_the_kernels_run) {
  make_code(0);
  setenv("WEIR_FAKE_BLASLT_VERSION", "110500", 1);
  without("too old");
  unsetenv("WEIR_FAKE_BLASLT_VERSION");
  setenv("WEIR_CUBLASLT", "/there/is/none.so", 1);
  without("absent");
  setenv("WEIR_CUBLASLT", "libm.so.6", 1);
  without("something else");
  unsetenv("WEIR_CUBLASLT");
  without("not for the simulator unless it is named");
  setenv("WEIR_CUBLASLT", WEIR_FAKE_BLASLT, 1);
  OK(live("sim", y, few));
  cr_assert_eq(fake.products(-1), 4);
}

Test(library, every_call_fails) {
  static const int codes[] = {RT_CUDA_LIBRARY_NO_MEMORY, RT_CUDA_LIBRARY_NOT_SUPPORTED,
                              RT_CUDA_LIBRARY_EXECUTION_FAILED};
  make_code(1);
  int lost = 0;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    bool done = false;
    for (int64_t n = 1; !done; n++) {
      fake.fail(n, codes[i]);
      weir_status status = live("sim", y, few);
      done = !fake.failed();
      cr_assert_eq(fake.live(), 0, "call %ld", (long)n);
      if (status) {
        cr_assert_eq(weir_status_code(status), WEIR_CODE_DEVICE_LOST, "%s", weir_status_message(status));
        cr_assert(strstr(weir_status_message(status), "cuBLASLt's product failed (13)"));
        weir_status_release(status);
        lost++;
        continue;
      }
      check(y, ROWS);
      check(few, FROM - 1);
      cr_assert_lt(n, 200);
    }
  }
  cr_assert_eq(lost, 4, "each product, where nobody knows what has been done");
}

Test(library, its_kernels_compile_for_gpus) {
  static const char *const targets[] = {"cuda:sm_80", "cuda:sm_90a"};
  cg_cuda_options options = {.cache_dir = folder, .jobs = 2};
  cg_nvrtc nvrtc;
  weir_status status = cg_nvrtc_open(&arena, &nvrtc);
  if (status) {
    printf("skipped: %s\n", weir_status_message(status));
    weir_status_release(status);
    return;
  }
  make_code(0);
  for (int i = 0; i < 2; i++) {
    cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
    cg_cuda_built built;
    int count;
    OK(cg_cuda_archs_find(targets[i], archs, &count));
    OK(cg_cuda_compile(&arena, (const ir_kernel *const *)code->kernels, code->kernel_count, archs, count, &options,
                       &built));
    cr_assert(strstr(built.objects[0].facts, " outs=40 cols=96 algorithm=0\n"));
    cr_assert_eq(strstr(built.objects[0].facts, "pdl=1") != NULL, i == 1, "kernels overlap from sm_90 on");
  }
}

// ---- what is declared here, and what there is

Test(library, the_real_one_has_the_entries) {
  static const char *const paths[] = {"libcublasLt.so.13", "libcublasLt.so.12", "/usr/local/cuda/lib64/libcublasLt.so"};
  rt_cuda_library library;
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    setenv("WEIR_CUBLASLT", paths[i], 1);
    weir_status status = rt_cuda_library_open(&library);
    if (status && weir_status_code(status) == WEIR_CODE_NOT_FOUND) {
      weir_status_release(status);
      continue;
    }
    OK(status);
    cr_assert_geq(library.version, RT_CUDA_LIBRARY_OLDEST);
    cr_assert(dlopen(library.path, RTLD_NOW | RTLD_LOCAL));  // it stays: what it holds of its own would seem lost
    rt_cuda_library_close(&library);
    return;
  }
  printf("no libcublasLt here: its entries are not looked at\n");
}

Test(library, the_header_agrees) {
  static const char program[] =
      "#include <cublasLt.h>\n#include \"runtime/device/cuda/library.h\"\n"
      "_Static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(rt_cuda_algorithm), \"\");\n"
      "_Static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == sizeof(rt_cuda_proposal), \"\");\n"
      "#define AT(a, b) _Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, a) == offsetof(rt_cuda_proposal, b), "
      "\"\")\n"
      "AT(algo, algorithm); AT(workspaceSize, workspace_bytes); AT(state, state); AT(wavesCount, waves);\n"
      "#define IS(a, b) _Static_assert((int)(a) == (int)(b), \"\")\n"
      "IS(CUDA_R_32F, RT_CUDA_LIBRARY_F32); IS(CUDA_R_16BF, RT_CUDA_LIBRARY_BF16);\n"
      "IS(CUBLAS_COMPUTE_32F, RT_CUDA_LIBRARY_COMPUTE_F32); IS(CUBLAS_OP_T, RT_CUDA_LIBRARY_TRANSPOSED);\n"
      "IS(CUBLASLT_MATMUL_DESC_TRANSA, RT_CUDA_LIBRARY_DESC_TRANSA);\n"
      "IS(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, RT_CUDA_LIBRARY_WORKSPACE);\n"
      "IS(CUBLAS_STATUS_ALLOC_FAILED, RT_CUDA_LIBRARY_NO_MEMORY); IS(CUBLAS_STATUS_NOT_SUPPORTED, "
      "RT_CUDA_LIBRARY_NOT_SUPPORTED);\n"
      "IS(CUBLAS_STATUS_INVALID_VALUE, RT_CUDA_LIBRARY_INVALID_VALUE); IS(CUBLAS_STATUS_ARCH_MISMATCH, "
      "RT_CUDA_LIBRARY_ARCH_MISMATCH);\n"
      "IS(CUBLAS_STATUS_EXECUTION_FAILED, RT_CUDA_LIBRARY_EXECUTION_FAILED);\n"
      "int main(void) { return 0; }\n";
  char path[256], command[1024];
  const char *home = getenv("CUDA_HOME") ? getenv("CUDA_HOME") : "/usr/local/cuda";
  snprintf(path, sizeof path, "%s/include/cublasLt.h", home);
  if (access(path, R_OK)) {
    printf("no %s: the declarations are not compared\n", path);
    return;
  }
  snprintf(path, sizeof path, "%s/header.c", folder);
  FILE *file = fopen(path, "w");
  cr_assert(file);
  fputs(program, file);
  fclose(file);
  snprintf(command, sizeof command, "cc -std=gnu11 -w -fsyntax-only -I'%s' -I'%s/include' '%s'", WEIR_SOURCE_DIR, home,
           path);
  cr_assert_eq(system(command), 0, "cublasLt.h is another one than Weir declares");
}
