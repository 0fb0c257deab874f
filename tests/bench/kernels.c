// kernels: the rate of one kernel shape beside the limits of this machine, measured in turns in one process.
//
//   kernels linear 512x576x1536 --storage Q4_1          rows x inputs x outputs, weights in panels
//   kernels gated  512x576x1536 --storage Q4_1          two such matrices with one input, silu(a) * b
//   kernels matmul 1024x1024x1024                       both operands computed
//   kernels FILE.ir --size T=512 --flops N              any entry without states; the operations are for the caller to
//   know
//
// With one thread the clock is that thread's CPU time and a busy machine disturbs little; with more it is the wall's.
// The least time of all rounds counts, for the kernel and for the limits alike. `--copies n` takes n different matrices
// one after another, so that they come from memory and not from a cache.
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codegen/cpu/compile.h"
#include "codegen/cpu/isa.h"
#include "codegen/lower/lower.h"
#include "ir/text_buffer.h"
#include "runtime/base/io.h"
#include "runtime/exec/model.h"
#include "tests/bench/kernels_roof.h"

enum { MAX_VIEWS = 300, MAX_SIZES = 16 };

typedef struct {
  weir_arena arena;
  const char *shape, *level, *keep;  // |keep|: folder for the shared object
  weir_storage storage;
  cg_compute compute;
  int threads, copies, rounds;
  double flops;  // of one run
  const char *sizes[MAX_SIZES];
  int size_count;
  ir_module *module;
  const ir_function *entry;
  int64_t *values;  // by symbol
  cg_module *code;
  const rt_program *program;
  void **weights;
  double bytes;  // of weights, inputs and outputs
  weir_model *model;
  weir_executor *executor;
  weir_view inputs[MAX_VIEWS], outputs[MAX_VIEWS];
} bench;

static void must(weir_status status) {
  if (!status) return;
  fprintf(stderr, "kernels: %s\n", weir_status_message(status));
  exit(1);
}

static _Noreturn void usage(void) {
  fprintf(stderr,
          "kernels linear|gated|matmul RxKxN | FILE.ir  [--storage NAME] [--compute int8|int8_row|bf16] [--level "
          "cpu:x86-64-v3] "
          "[--threads n] [--copies n]\n"
          "        [--rounds n] [--size T=512]... [--flops n] [--keep FOLDER]\n");
  exit(2);
}

// ---- modules

static void built_in(bench *b, const char *kind) {
  long long m, k, n;
  if (!b->shape || sscanf(b->shape, "%lldx%lldx%lld", &m, &k, &n) != 3 || m < 1 || k < 1 || n < 1) usage();
  ir_text t;
  ir_text_init(&t, &b->arena);
  bool gated = !strcmp(kind, "gated"), matmul = !strcmp(kind, "matmul");
  int matrices = gated ? 2 : 1, value = 1;
  ir_text_printf(&t, "module M\n\ndim T: seq in 1..=%lld\n\nentry main {\n  input %%0.x: f32[T, %lld] \"x\"\n", m, k);
  for (int i = 0; i < b->copies * matrices; i++, value++) {
    if (matmul) ir_text_printf(&t, "  input %%%d: f32[%lld, %lld] \"y%d\"\n", value, k, n, i);
    else ir_text_printf(&t, "  weight %%%d: f32[%lld, %lld] \"w%d\"\n", value, n, k, i);
  }
  ir_text results;
  ir_text_init(&results, &b->arena);
  for (int i = 0; i < b->copies; i++) {
    int first = 1 + i * matrices;
    ir_text_printf(&t, "  %%%d = %s %%0, %%%d : f32[T, %lld]\n", value++, matmul ? "matmul" : "linear", first, n);
    if (gated) {
      ir_text_printf(&t, "  %%%d = silu %%%d : f32[T, %lld]\n", value, value - 1, n);
      ir_text_printf(&t, "  %%%d = linear %%0, %%%d : f32[T, %lld]\n", value + 1, first + 1, n);
      ir_text_printf(&t, "  %%%d = mul %%%d, %%%d : f32[T, %lld]\n", value + 2, value, value + 1, n);
      value += 3;
    }
    ir_text_printf(&results, "  result %%%d \"y%d\"\n", value - 1, i);
  }
  ir_text_printf(&t, "%s}\n", results.data);
  must(ir_parse_module(&b->arena, t.data, t.length, &b->module));
  b->flops = 2.0 * (double)m * (double)k * (double)n * matrices * b->copies;
  b->sizes[b->size_count++] = weir_arena_printf(&b->arena, "T=%lld", m);
}

static void from_file(bench *b, const char *path) {
  char *text;
  size_t size;
  must(weir_file_read(path, 1 << 20, &text, &size));
  must(ir_parse_module(&b->arena, text, size, &b->module));
}

static void set_sizes(bench *b) {
  b->entry = ir_function_find(b->module, "main");
  if (!b->entry) must(weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the module has no entry 'main'"));
  b->values = WEIR_NEW_ARRAY(&b->arena, int64_t, ir_symbol_count(b->module->dims) + 1);
  for (int i = 0; i < b->size_count; i++) {
    const char *equals = strchr(b->sizes[i], '=');
    if (!equals) usage();
    const char *name = weir_arena_strndup(&b->arena, b->sizes[i], (size_t)(equals - b->sizes[i]));
    const ir_symbol *symbol = ir_symbol_find(b->module->dims, name);
    if (!symbol) must(weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the module has no dim '%s'", name));
    b->values[symbol->index] = strtoll(equals + 1, NULL, 10);
  }
}

// ---- code

static weir_storage storage_of(void *user, const char *path) {
  const bench *b = user;
  for (int p = 0; p < b->entry->param_count; p++)
    if (!strcmp(b->entry->params[p].name, path) && b->entry->params[p].value->type.rank < 2) return WEIR_STORAGE_F32;
  return b->storage;
}

static cg_compute compute_of(void *user, const char *path) {
  (void)path;
  return ((const bench *)user)->compute;
}

static weir_status find_symbol(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry) {
  void *symbol = dlsym(context, kernel->symbol);
  if (!symbol) return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernel '%s'", kernel->symbol);
  memcpy(&out_entry->native, &symbol, sizeof symbol);
  return WEIR_OK;
}

static void *compile(bench *b) {
  cg_lower_options options = {.storage_of = storage_of, .compute_of = compute_of, .user = b};
  must(cg_lower(&b->arena, b->module, &options, &b->code));
  b->program = b->code->programs[0];
  char folder[] = "/tmp/kernels-XXXXXX";
  if (!b->keep && !mkdtemp(folder)) must(weir_status_errno(errno, "cannot make a folder"));
  cg_cpu_options how = {.cache_dir = b->keep ? b->keep : folder};
  cg_cpu_isa isa;
  cg_cpu_object object;
  must(cg_cpu_isa_find(&b->arena, b->level, &isa));
  if (!cg_cpu_isa_runs_here(&isa))
    must(weir_status_make(WEIR_CODE_UNSUPPORTED, "this machine does not run '%s'", b->level));
  must(cg_cpu_compile(&b->arena, (const ir_kernel *const *)b->code->kernels, b->code->kernel_count, &isa, 1, &how,
                      &object));
  void *library = dlopen(object.path, RTLD_NOW | RTLD_LOCAL);
  if (!library) must(weir_status_make(WEIR_CODE_IO, "%s", dlerror()));
  printf("%s, compiled in %.2f s: %s\n", b->level, object.seconds, object.path);
  if (!b->keep) {
    unlink(object.path);
    rmdir(folder);
  }
  return library;
}

// ---- data

static float random_float(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

static void *room(size_t bytes) {
  void *data = aligned_alloc(4096, (bytes + 4096) / 4096 * 4096);
  if (!data) must(weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory"));
  memset(data, 0, bytes);
  return data;
}

// Sixteen random rows, again and again: what a row holds does not matter to the rate.
static void *make_weight(const cg_weight *w) {
  char *out = room((size_t)w->bytes);
  uint64_t state = 7;
  if (w->format.layout == CG_LAYOUT_PLAIN) {
    for (int64_t i = 0; w->format.storage == WEIR_STORAGE_F32 && i < w->bytes / 4; i++)
      ((float *)(void *)out)[i] = random_float(&state);
    return out;
  }
  int64_t cols = w->dims[w->rank - 1], row_bytes;
  must(weir_storage_row_bytes(w->format.storage, cols, &row_bytes));
  float *row = room((size_t)cols * sizeof *row);
  char *packed = room((size_t)row_bytes * IR_LANES);
  const void *rows[IR_LANES];
  for (int i = 0; i < IR_LANES; i++) {
    for (int64_t k = 0; k < cols; k++) row[k] = random_float(&state);
    if (weir_storage_info(w->format.storage)->can_encode)
      must(weir_storage_encode(w->format.storage, row, cols, packed + i * row_bytes));
    else memset(packed + i * row_bytes, 0x21 + i, (size_t)row_bytes);  // small numbers
    rows[i] = packed + i * row_bytes;
  }
  int64_t panel = row_bytes * IR_LANES;
  if (w->format.layout == CG_LAYOUT_PAIRS) cg_panel_pack_pairs(rows, cols, out);
  else cg_panel_pack(w->format.storage, rows, cols, out);
  for (int64_t at = panel; at + panel <= w->bytes; at += panel) memcpy(out + at, out, (size_t)panel);
  free(packed);
  free(row);
  return out;
}

static weir_status find_weight(void *context, const char *path, int64_t bytes, const void **out_data) {
  const bench *b = context;
  (void)bytes;
  for (int i = 0; i < b->code->weight_count; i++)
    if (!strcmp(b->code->weights[i].key, path)) *out_data = b->weights[i];
  return WEIR_OK;
}

static weir_view view_of(bench *b, const ir_type *type) {
  uint64_t state = 11;
  int64_t count = 1;
  weir_view view = {.dtype = (weir_dtype)type->dtype, .rank = type->rank};
  for (int i = 0; i < type->rank; i++) {
    if (!ir_dim_eval(type->dims[i], b->values, &view.shape[i])) usage();
    count *= view.shape[i];
  }
  view.bytes = (size_t)(count * ir_dtype_bytes(type->dtype));
  view.data = room(view.bytes);
  for (int64_t i = 0; type->dtype == IR_f32 && i < count; i++) ((float *)view.data)[i] = random_float(&state);
  b->bytes += (double)view.bytes;
  return view;
}

static void make_model(bench *b, void *library) {
  b->weights = WEIR_NEW_ARRAY(&b->arena, void *, b->code->weight_count + 1);
  for (int i = 0; i < b->code->weight_count; i++) {
    b->weights[i] = make_weight(&b->code->weights[i]);
    b->bytes += (double)b->code->weights[i].bytes;
  }
  int inputs = 0, outputs = 0;
  for (int p = 0; p < b->entry->param_count; p++) {
    if (b->entry->params[p].kind != IR_PARAM_INPUT) continue;
    if (inputs == MAX_VIEWS) usage();
    b->inputs[inputs++] = view_of(b, &b->entry->params[p].value->type);
  }
  if (b->entry->result_count > MAX_VIEWS || b->program->step) usage();
  for (int i = 0; i < b->entry->result_count; i++)
    b->outputs[outputs++] = view_of(b, &b->entry->results[i].value->type);
  rt_model_parts parts = {.name = "kernels",
                          .isa = b->level,
                          .programs = &b->program,
                          .program_count = 1,
                          .provider = {.context = library, .lookup = find_symbol},
                          .find_weight = find_weight,
                          .weight_context = b};
  must(rt_model_create(&parts, &b->model));
  weir_executor_options options = {.threads = b->threads, .no_pin = true};
  must(weir_executor_create(b->model, &options, &b->executor));
}

// ---- measuring

static void run(bench *b, weir_run_options *options) {
  weir_request request = {.inputs = b->inputs, .outputs = b->outputs};
  must(weir_run(b->executor, weir_model_find_entry(b->model, "main"), &request, 1, options));
}

// What each kernel takes of a run, by the wall's clock: the least of all rounds.
static void name_kernels(bench *b) {
  enum { MAX_TIMES = 256 };
  weir_launch_time times[MAX_TIMES];
  double least[MAX_TIMES];
  weir_run_options options = {.times = times, .time_capacity = MAX_TIMES};
  for (int round = 0; round <= b->rounds; round++) {
    run(b, &options);
    for (int i = 0; i < options.time_count; i++) {
      double all = 0;
      for (int j = 0; j < options.time_count; j++)
        if (!strcmp(times[j].kernel, times[i].kernel)) all += 1e-6 * (double)times[j].ns;
      if (!round || all < least[i]) least[i] = all;
    }
  }
  for (int i = 0; i < options.time_count; i++) {
    bool seen = false;
    for (int j = 0; j < i; j++) seen |= !strcmp(times[j].kernel, times[i].kernel);
    if (!seen) printf("  %.4f ms %s, %lld items\n", least[i], times[i].kernel, (long long)times[i].items);
  }
}

static void measure(bench *b) {
  kernels_roof roof = {0};
  run(b, NULL);
  int repeats = 1;
  double best = 1e30;
  for (int round = 0; round < b->rounds; round++) {
    kernels_roof_measure(b->threads, &roof);
    run(b, NULL);  // which brings back what the limits took from the caches
    double start = kernels_clock(b->threads);
    for (int i = 0; i < repeats; i++) run(b, NULL);
    double took = (kernels_clock(b->threads) - start) / repeats;
    if (took < best) best = took;
    // Some milliseconds a round, or the clock is too coarse.
    if (!round && took < 4e-3) repeats = (int)(4e-3 / took) + 1;
  }
  printf("  %.4f ms; limits: %.1f GFLOP/s, %.2f GB/s", best * 1e3, roof.f32 * 1e-9, roof.read * 1e-9);
  if (roof.bf16 > 0) printf(", bf16 %.1f GFLOP/s", roof.bf16 * 1e-9);
  if (roof.int8 > 0) printf(", int8 %.1f GOP/s", roof.int8 * 1e-9);
  printf("\n");
  if (b->flops > 0) {
    printf("  %.2f GFLOP/s, %.1f %% of float32", b->flops / best * 1e-9, 100 * b->flops / best / roof.f32);
    if (roof.bf16 > 0) printf(", %.1f %% of bf16", 100 * b->flops / best / roof.bf16);
    if (roof.int8 > 0) printf(", %.1f %% of int8", 100 * b->flops / best / roof.int8);
    printf("\n");
  }
  printf("  %.2f GB/s, %.1f %% of reading memory\n", b->bytes / best * 1e-9, 100 * b->bytes / best / roof.read);
}

static const char *argument(char **argv, int *at) {
  if (!argv[*at + 1]) usage();
  return argv[++*at];
}

int main(int argc, char **argv) {
  bench b = {.level = "cpu", .storage = WEIR_STORAGE_F32, .threads = 1, .copies = 1, .rounds = 15};
  weir_arena_init(&b.arena);
  double flops = 0;
  const char *kind = argc > 1 ? argv[1] : NULL;
  if (!kind) usage();
  for (int i = 2; i < argc; i++) {
    if (argv[i][0] != '-') b.shape = argv[i];
    else if (!strcmp(argv[i], "--storage")) {
      if (!weir_storage_from_name(argument(argv, &i), &b.storage)) usage();
    } else if (!strcmp(argv[i], "--compute")) {
      const char *name = argument(argv, &i);
      while (b.compute + 1 < CG_COMPUTE_COUNT && strcmp(cg_compute_name(b.compute), name)) b.compute++;
    } else if (!strcmp(argv[i], "--level")) b.level = argument(argv, &i);
    else if (!strcmp(argv[i], "--threads")) b.threads = atoi(argument(argv, &i));
    else if (!strcmp(argv[i], "--copies")) b.copies = atoi(argument(argv, &i));
    else if (!strcmp(argv[i], "--rounds")) b.rounds = atoi(argument(argv, &i));
    else if (!strcmp(argv[i], "--flops")) flops = atof(argument(argv, &i));
    else if (!strcmp(argv[i], "--keep")) b.keep = argument(argv, &i);
    else if (!strcmp(argv[i], "--size") && b.size_count + 1 < MAX_SIZES) b.sizes[b.size_count++] = argument(argv, &i);
    else usage();
  }
  if (b.threads < 1 || b.copies < 1 || b.copies * 2 >= MAX_VIEWS || b.rounds < 1) usage();
  if (!strcmp(kind, "linear") || !strcmp(kind, "gated") || !strcmp(kind, "matmul")) built_in(&b, kind);
  else from_file(&b, kind);
  if (flops > 0) b.flops = flops;
  set_sizes(&b);
  void *library = compile(&b);
  make_model(&b, library);
  name_kernels(&b);
  measure(&b);
  weir_executor_destroy(b.executor);
  weir_model_release(b.model);
  dlclose(library);
  weir_arena_deinit(&b.arena);
  return 0;
}
