// The package's own memory plan says what calls need (weir_memory_predict); a model of it without code and weights is
// asked. Weights of other formats are counted by the layout that they would have.
#include "compiler/driver/fit.h"

#include <stdlib.h>
#include <string.h>

#include "codegen/lower/panel.h"
#include "compiler/driver/lm.h"
#include "compiler/plan/example.h"
#include "runtime/device/cuda/device.h"
#include "runtime/exec/from_package.h"
#include "runtime/exec/model.h"

enum { PIECE = 512, USUAL_CONTEXT = 2048, MOST_SYMBOLS = 32 };
static const weir_storage formats[] = {WEIR_STORAGE_BF16, WEIR_STORAGE_Q8_0, WEIR_STORAGE_Q5_0, WEIR_STORAGE_Q4_0};
enum { FORMATS = sizeof formats / sizeof *formats };

typedef struct {
  cli *c;
  rt_package *package;
  weir_model *model;
  weir_executor *executor;
  const weir_entry *entry;  // the step of a language model, else the first entry
  bool language;
  bool *used;  // weights that the device's programs name
  int64_t bound, left;
} fit;

// ---- a model that is only asked

static int never_runs(void *context, void *const *args, const int64_t *dims, int64_t begin, int64_t end,
                      void *scratch) {
  (void)context, (void)args, (void)dims, (void)begin, (void)end, (void)scratch;
  return 1;
}

static weir_status no_kernel(void *context, const rt_kernel *kernel, rt_kernel_entry *out) {
  (void)context, (void)kernel;
  *out = (rt_kernel_entry){.run = never_runs};
  return WEIR_OK;
}

// Programs are those of the architecture, whose name it takes for the code's.
static weir_status no_code(void *context, const rt_package *package, const char *isa, const weir_allocator *allocator,
                           rt_kernel_provider *out_provider, const char **out_isa) {
  (void)package, (void)isa, (void)allocator;
  *out_provider = (rt_kernel_provider){.lookup = no_kernel};
  *out_isa = context;
  return WEIR_OK;
}

static const char *best_arch(weir_arena *arena, const rt_package *package, const char *own) {
  const char *best = own;
  int rank = 0;
  for (int i = 0; i < rt_package_object_count(package); i++) {
    const char *isa = rt_package_object_at(package, i)->isa;
    if (rt_cuda_arch_rank(own, isa) <= rank) continue;
    rank = rt_cuda_arch_rank(own, isa);
    best = weir_arena_strdup(arena, isa);
  }
  return best;
}

static weir_status fit_open(fit *f, const char *path) {
  rt_package *again = NULL;  // the model closes its own
  rt_cuda_facts facts;
  weir_load_options load = {0};
  weir_executor_options options = {.threads = 1, .no_pin = true};
  WEIR_TRY(rt_cuda_describe_named(cli_text(f->c, "device"), &facts));
  WEIR_TRY(rt_package_open(path, NULL, &f->package));
  const char *arch = best_arch(&f->c->arena, f->package, facts.arch);
  const rt_code_source code = {.open = no_code, .context = (void *)(uintptr_t)arch, .family = rt_cuda_family};
  WEIR_TRY(rt_package_open(path, NULL, &again));
  WEIR_TRY(rt_model_from_package(again, &load, &code, &f->model));
  WEIR_TRY(weir_executor_create(f->model, &options, &f->executor));
  f->used = WEIR_NEW_ARRAY(&f->c->arena, bool, rt_package_weight_count(f->package) + 1);
  for (int i = 0; i < weir_model_entry_count(f->model); i++) {
    const rt_program *program = rt_entry_program(weir_model_entry(f->model, i));
    for (int k = 0; k < program->weight_count; k++) {
      const rt_package_weight *w = rt_package_weight_find(f->package, program->weights[k].path);
      if (w) f->used[w - rt_package_weight_at(f->package, 0)] = true;
    }
  }
  f->language = cli_is_lm(f->model);
  f->entry = weir_model_entry(f->model, 0);
  for (int i = 0; f->language && i < weir_model_entry_count(f->model); i++) {
    f->entry = weir_model_entry(f->model, i);
    if (weir_entry_describe(f->entry).step) break;
  }
  f->bound = f->language ? weir_entry_symbol(f->entry, 0).hi : 0;
  return WEIR_OK;
}

static void fit_close(fit *f) {
  weir_executor_destroy(f->executor);
  weir_model_release(f->model);
  rt_package_close(f->package);
}

// ---- what is needed

// Bytes of the matrix in another format; as it is where that does not work or is no gain.
static int64_t weight_bytes(const rt_package_weight *w, weir_storage storage) {
  long long rows, cols;
  int64_t bytes;
  char rest;
  bool matrix = strcmp(w->layout, cg_layout_name(CG_LAYOUT_PANEL)) == 0 ||
                strcmp(w->layout, cg_layout_name(CG_LAYOUT_PAIRS)) == 0;
  if (!matrix || sscanf(w->dims, "%lldx%lld%c", &rows, &cols, &rest) != 2) return w->bytes;
  return cg_panel_bytes(storage, rows, cols, &bytes) && bytes < w->bytes ? bytes : w->bytes;
}

// Of all weights; |format| below 0: as they are.
static int64_t weights_bytes(const fit *f, int format) {
  int64_t sum = 0;
  for (int i = 0; i < rt_package_weight_count(f->package); i++) {
    const rt_package_weight *w = rt_package_weight_at(f->package, i);
    if (f->used[i]) sum += format < 0 ? w->bytes : weight_bytes(w, formats[format]);
  }
  return sum;
}

// What a call needs beside the weights; of a language model the last piece of a prompt of |context| tokens. -1 where it
// cannot be said.
static int64_t call_bytes(const fit *f, int64_t context) {
  int64_t values[MOST_SYMBOLS], past[MOST_SYMBOLS] = {0};
  weir_memory memory;
  int count = weir_entry_describe(f->entry).symbol_count;
  if (count > MOST_SYMBOLS) return -1;
  for (int i = 0; i < count; i++) values[i] = plan_example_size(f->entry, i, 128);
  if (f->language) {
    values[0] = context < PIECE ? context : PIECE;
    past[0] = context - values[0];
  }
  weir_extent extent = {.values = values, .past = past};
  weir_status status = weir_memory_predict(f->executor, f->entry, &extent, 1, &memory);
  int64_t bytes = status ? -1 : memory.total_bytes - memory.weights_bytes;
  weir_status_release(status);
  return bytes;
}

// The longest context for which there is room beside such weights; 0: none.
static int64_t context_of(const fit *f, int64_t weights) {
  int64_t lo = 0, hi = f->bound;
  while (lo < hi) {
    int64_t middle = lo + (hi - lo + 1) / 2, bytes = call_bytes(f, middle);
    if (bytes >= 0 && weights + bytes <= f->left) lo = middle;
    else hi = middle - 1;
  }
  return lo;
}

static bool fits(const fit *f, int64_t weights, int64_t *out_context) {
  int64_t usual = f->bound < USUAL_CONTEXT ? f->bound : USUAL_CONTEXT;
  *out_context = f->language ? context_of(f, weights) : 0;
  if (f->language) return *out_context >= usual;
  int64_t bytes = call_bytes(f, 0);
  return bytes >= 0 && weights + bytes <= f->left;
}

// ---- saying it

static const char *lower_case(weir_arena *arena, const char *text) {
  char *out = weir_arena_strdup(arena, text);
  for (char *at = out; *at; at++) *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
  return out;
}

static const char *room_text(fit *f, int64_t context) {
  return f->language ? weir_arena_printf(&f->c->arena, ", with room for %lld tokens of context", (long long)context)
                     : "";
}

// The first format with room for a usual call, else the smallest with room for any.
static const char *format_advice(fit *f, int64_t weights) {
  weir_arena *arena = &f->c->arena;
  int64_t least = weights, context, room = 0;
  int best = -1;
  bool whole = false;
  for (int i = 0; i < FORMATS && !whole; i++) {
    int64_t bytes = weights_bytes(f, i);
    if (bytes >= least) continue;
    least = bytes;
    whole = fits(f, bytes, &context);
    if (!whole && !context) continue;
    best = i;
    room = context;
  }
  if (best < 0)
    return weir_arena_printf(arena, "no format of weights makes it fit: the smallest has %s",
                             cli_bytes(arena, (double)least));
  return weir_arena_printf(arena, "a plan with `store **: %s;` has %s of weights and fits%s",
                           lower_case(arena, weir_storage_name(formats[best])), cli_bytes(arena, (double)least),
                           room_text(f, room));
}

static const char *advice(fit *f) {
  weir_arena *arena = &f->c->arena;
  int64_t weights = weights_bytes(f, -1), context;
  const char *text = weir_arena_printf(arena, "%s are for it, its weights have %s", cli_bytes(arena, (double)f->left),
                                       cli_bytes(arena, (double)weights));
  if (fits(f, weights, &context)) return weir_arena_printf(arena, "%s and fit%s", text, room_text(f, context));
  if (context > 0) text = weir_arena_printf(arena, "%s and fit%s", text, room_text(f, context));
  return weir_arena_printf(arena, "%s; %s", text, format_advice(f, weights));
}

weir_status cli_fit_annotate(cli *c, const char *path, const weir_model *model, weir_status status) {
  fit f = {.c = c};
  if (!status || weir_status_code(status) != WEIR_CODE_OUT_OF_MEMORY || !path) return status;
  const char *device = cli_text(c, "device");
  int64_t total;
  if (!device || !strcmp(device, "cpu")) return status;
  weir_status other = rt_cuda_memory_named(device, &f.left, &total);
  if (!other) other = fit_open(&f, path);
  if (!other) {
    if (model) f.left += weights_bytes(&f, -1);
    const char *text = advice(&f);
    weir_status full = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "%s; %s", weir_status_message(status), text);
    weir_status_release(status);
    status = full;
  }
  weir_status_release(other);
  fit_close(&f);
  return status;
}
