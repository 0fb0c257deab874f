// Every kernel that the zoo needs on a GPU, through NVRTC: the small models of tests/data/zoo as they are tested, and
// every text of models/ at its own size. Each distinct kernel, also of the programs for sm_90a, is compiled for sm_80
// and sm_90a as far as they hold it; a spill, local memory or an advisory of ptxas is a failure
// (codegen/cuda/compile.h). Of kernels at their own size whose texts differ in numbers alone, one is compiled, another
// one each day. No weights are made, so this costs the compiler alone; what was compiled stays in the build folder for
// the next run.
#include <criterion/criterion.h>
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen/cuda/compile.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/cuda/print.h"
#include "compiler/plan/build.h"
#include "compiler/plan/device_roof.h"

enum { MOST = 8192, MOST_SETTINGS = 64 };
static const int64_t cache_bytes = (int64_t)512 << 20;

typedef struct {
  weir_arena arena;
  const ir_kernel *kernels[MOST];
  uint64_t families[MOST];
  int count, small, seen, models, blocks, distinct;
} collection;

static void ok(weir_status status, const char *what) {
  cr_assert(!status, "%s: %s", what, weir_status_message(status));
}

// Names end in a hash of what the kernel is.
static bool is_new(const collection *c, const ir_kernel *kernel) {
  for (int i = 0; i < c->count; i++)
    if (!strcmp(c->kernels[i]->name, kernel->name)) return false;
  return true;
}

// A hash of the text without its numbers and its name.
static uint64_t family_of(const ir_kernel *kernel) {
  weir_arena arena;
  weir_arena_init(&arena);
  cg_cuda_print_options options = {.prelude = CG_CUDA_PTX};
  cg_cuda_kernel printed;
  ok(cg_cuda_print(&arena, kernel, &options, &printed), kernel->name);
  uint64_t hash = 14695981039346656037u;
  size_t name = strlen(kernel->name);
  for (const char *at = printed.text; *at; at++) {
    bool named = !strncmp(at, kernel->name, name);
    if (named) at += name - 1;
    hash = (hash ^ (uint64_t)(named ? '@' : *at >= '0' && *at <= '9' ? '0' : *at)) * 1099511628211u;
    if (!named && *at >= '0' && *at <= '9')
      while (at[1] >= '0' && at[1] <= '9') at++;
  }
  weir_arena_deinit(&arena);
  return hash;
}

// Keeps one of each family behind the small models' kernels.
static void sample(collection *c) {
  uint64_t day = (uint64_t)time(NULL) / 86400;
  int count = c->small;
  c->distinct = c->count;
  for (int i = c->small; i < c->count; i++) {
    uint64_t members = 0, number = 0;
    bool known = false;
    for (int k = 0; k < c->count; k++) {
      if (c->families[k] != c->families[i]) continue;
      known |= k < c->small && !c->kernels[i]->threads;
      number += k >= c->small && k < i;
      members += k >= c->small;
    }
    if (!known && number == day % members) c->kernels[count++] = c->kernels[i];
  }
  c->count = count;
}

static void collect_kernels(collection *c, const cg_module *code) {
  for (int i = 0; i < code->kernel_count; i++) {
    const ir_kernel *kernel = code->kernels[i];
    c->seen++;
    if (!is_new(c, kernel)) continue;
    cr_assert_lt(c->count, MOST);
    c->families[c->count] = family_of(kernel);
    c->kernels[c->count++] = kernel;
  }
}

static void collect(collection *c, const char *text, const char *plan, const char *const *overrides, int count) {
  lang_diags diags;
  lang_diags_init(&diags, &c->arena);
  plan_request *request = WEIR_NEW(&c->arena, plan_request);
  *request = (plan_request){.text = text,
                            .random = true,
                            .plan = plan,
                            .overrides = overrides,
                            .override_count = count,
                            .models_folder = WEIR_SOURCE_DIR "/models"};
  plan_unit unit;
  weir_status status = plan_read(&c->arena, request, &diags, &unit);
  if (!status) status = plan_front(&unit);
  if (!status) status = plan_lower_device(&unit);
  if (!status) status = plan_lower_sm_90a(&unit);
  cr_assert(!status, "%s: %s\n%s", text, weir_status_message(status), lang_diags_render(&diags, &c->arena, false));
  collect_kernels(c, unit.device_code);
  collect_kernels(c, unit.sm_90a_code);
  c->models++;
  plan_close(&unit);
}

static void collect_case(collection *c, const char *name) {
  const char *folder = weir_arena_printf(&c->arena, WEIR_SOURCE_DIR "/tests/data/zoo/%s", name);
  json_t *document = json_load_file(weir_arena_printf(&c->arena, "%s/case.json", folder), 0, NULL);
  if (!document) return;
  const char *key, *overrides[MOST_SETTINGS];
  json_t *value;
  int count = 0;
  json_object_foreach(json_object_get(document, "set"), key, value) {
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
    cr_assert_lt(count, MOST_SETTINGS);
    overrides[count++] = weir_arena_printf(&c->arena, "%s=%s", key, text ? text : json_string_value(value));
    free(text);
  }
  const char *model = json_string_value(json_object_get(document, "model"));
  collect(c, weir_arena_printf(&c->arena, WEIR_SOURCE_DIR "/%s", model), NULL, overrides, count);
  json_decref(document);
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

// The names in a folder, sorted.
static int list(weir_arena *arena, const char *path, const char *suffix, const char **out, int most) {
  DIR *folder = opendir(path);
  int count = 0;
  cr_assert(folder, "%s", path);
  for (struct dirent *entry; (entry = readdir(folder));) {
    size_t length = strlen(entry->d_name), tail = strlen(suffix);
    if (entry->d_name[0] == '.' || length < tail || strcmp(entry->d_name + length - tail, suffix)) continue;
    cr_assert(count < most);
    out[count++] = weir_arena_strndup(arena, entry->d_name, length);
  }
  closedir(folder);
  qsort(out, (size_t)count, sizeof *out, by_name);
  return count;
}

// What measures a device's limits.
static void collect_roofs(collection *c) {
  ir_kernel **kernels;
  int count;
  ok(plan_device_roof_kernels(&c->arena, &kernels, &count), "roofs");
  cr_assert_gt(count, 5);
  for (int i = 0; i < count; i++) {
    c->families[c->count] = family_of(kernels[i]);
    c->kernels[c->count++] = kernels[i];
  }
}

static void collect_all(collection *c) {
  enum { NAMES = 256 };
  const char *names[NAMES];
  int count = list(&c->arena, WEIR_SOURCE_DIR "/tests/data/zoo", "", names, NAMES);
  for (int i = 0; i < count; i++) collect_case(c, names[i]);
  collect_roofs(c);
  c->small = c->count;
  count = list(&c->arena, WEIR_SOURCE_DIR "/models", ".weir", names, NAMES);
  for (int i = 0; i < count; i++)
    collect(c, weir_arena_printf(&c->arena, WEIR_SOURCE_DIR "/models/%s", names[i]), NULL, NULL, 0);
  // Products by matrix units.
  static const char *const plans[] = {"bf16", "w8a8"};
  for (int i = 0; i < 2; i++) collect(c, WEIR_SOURCE_DIR "/models/smollm2.weir", plans[i], NULL, 0);
  sample(c);
  for (int i = 0; i < c->count; i++) c->blocks += c->kernels[i]->threads > 0;
}

static double processor_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// The number of kernels that were refused; each is printed, left out, and the others are compiled.
static int compile_all(collection *c, const cg_cuda_arch archs[2], cg_cuda_built *out) {
  cg_cuda_options options = {.cache_dir = WEIR_CUDA_CACHE, .cache_bytes = cache_bytes};
  enum { ENOUGH = 40 };
  for (int refused = 0;; refused++) {
    weir_status status = cg_cuda_compile(&c->arena, c->kernels, c->count, archs, 2, &options, out);
    if (!status) return refused;
    fprintf(stderr, "%s\n", weir_status_message(status));
    int left = 0, count = c->count;
    for (int i = 0; i < count; i++)
      if (!strstr(weir_status_message(status), c->kernels[i]->name)) c->kernels[left++] = c->kernels[i];
    weir_status_release(status);
    c->count = left;
    cr_assert(left < count && refused < ENOUGH, "compilation ends");
  }
}

Test(cuda_zoo, every_kernel_compiles_for_gpus, .timeout = 900) {
  static collection c;
  weir_arena_init(&c.arena);
  cg_nvrtc library;
  weir_status status = cg_nvrtc_open(&c.arena, &library);
  if (status) {
    printf("skipped: %s\n", weir_status_message(status));
    weir_status_release(status);
    weir_arena_deinit(&c.arena);
    return;
  }
  collect_all(&c);
  cr_assert_gt(c.count, 100);
  cg_cuda_arch archs[2], found[CG_CUDA_MAX_ARCHS];
  static const char *const names[] = {"cuda:sm_80", "cuda:sm_90a"};
  for (int i = 0, one; i < 2; i++) {
    ok(cg_cuda_archs_find(names[i], found, &one), names[i]);
    archs[i] = found[0];
  }
  cg_cuda_built built = {0};
  int refused = compile_all(&c, archs, &built);
  fprintf(stderr,
          "%d models, %d kernels, %d of them distinct; all %d of the small models and %d of the others, whose families "
          "are sampled; %d block kernels. Compiled %d for sm_80, %d for sm_90a in %.1f s, %.1f s of processors\n",
          c.models, c.seen, c.distinct, c.small, c.count - c.small, c.blocks, built.objects[0].compiled,
          built.objects[1].compiled, built.seconds, processor_seconds());
  cr_assert_eq(refused, 0, "%d kernels are refused", refused);
  weir_arena_deinit(&c.arena);
}
