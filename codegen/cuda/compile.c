// Units through the cache and NVRTC, and sections made of them. Threads of this process compile: NVRTC's front end is
// serialised, optimiser and ptxas are not.
#include "codegen/cuda/compile.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codegen/cpu/cache.h"
#include "codegen/cuda/nvrtc.h"
#include "codegen/cuda/print.h"
#include "ir/text_buffer.h"
#include "runtime/base/io.h"
#include "runtime/device/cuda/abi.h"

enum { MAX_UNIT_BYTES = 64 << 20, MAX_MESSAGE = 3000, TRAILER = 8 + WEIR_HASH_BYTES };
static const int64_t usual_cache_bytes = (int64_t)256 << 20;
// A multiply-add is fused only where the kernel says fma; divisions and roots round as IEEE says.
static const char *const options[] = {"--std=c++17", "--fmad=false", "--prec-div=true", "--prec-sqrt=true", "-w"};
enum { OPTIONS = sizeof options / sizeof *options };

typedef struct {
  const cg_cuda_kernel *kernel;
  const cg_cuda_arch *arch;
  const char *entry, *built;  // in the cache; where it is made
  bool there;
  double work;  // processor seconds of its compilation
} unit;

// What is kept of a unit beside its code.
typedef struct {
  int64_t code_bytes;
  int32_t registers, spill_bytes, stack_bytes, shared_bytes;
} unit_head;

typedef struct {
  weir_arena *arena;
  const cg_cuda_options *options;
  cg_nvrtc library;
  const char *prelude, *folder;
  cg_cuda_kernel *kernels;
  unit *units;  // by architecture, then kernel
  int unit_count;
  unit **missing;
  int missing_count;
  // while threads run
  pthread_mutex_t lock;
  int next, done;
  weir_status status;  // the first failure
} build;

// ---- what ptxas says
static int64_t number_before(const char *log, const char *words) {
  const char *at = strstr(log, words);
  if (!at) return 0;
  while (at > log && at[-1] == ' ') at--;
  while (at > log && at[-1] >= '0' && at[-1] <= '9') at--;
  return strtoll(at, NULL, 10);
}

// The lines about the kernel itself: functions that it calls follow with lines of their own.
static const char *own_lines(const char *log, const char *name) {
  char words[160];
  snprintf(words, sizeof words, "Function properties for %s\n", name);
  const char *at = strstr(log, words);
  return at ? at + strlen(words) : log;
}

static unit_head head_of(const char *log, const char *name, size_t bytes) {
  const char *own = own_lines(log, name);
  return (unit_head){.code_bytes = (int64_t)bytes,
                     .registers = (int32_t)number_before(own, " registers"),
                     .spill_bytes = (int32_t)number_before(own, " bytes spill stores"),
                     .stack_bytes = (int32_t)number_before(own, " bytes stack frame"),
                     .shared_bytes = (int32_t)number_before(own, " bytes smem")};
}

// Null if the code is good. Sine and cosine of double keep a result in memory for arguments above 10^5.
static const char *complaint(const unit_head *head, const char *log) {
  static const char *const advisories[] = {"C7504", "C7508", "C7520", "Potential Performance Loss"};
  for (size_t i = 0; i < sizeof advisories / sizeof *advisories; i++)
    if (strstr(log, advisories[i])) return "ptxas gives up what the kernel is written for";
  if (head->spill_bytes) return "registers are spilled";
  if (head->stack_bytes && !strstr(log, "__internal_trig_reduction_slowpathd")) return "local memory is used";
  return NULL;
}

static weir_status refused(const build *b, const unit *u, const char *what, const char *log) {
  char kept[4096];
  snprintf(kept, sizeof kept, "%s/refused-%ld.cu", b->options->cache_dir, (long)getpid());
  size_t prelude = strlen(b->prelude), length = prelude + u->kernel->bytes;
  char *text = malloc(length);
  if (text) {
    memcpy(text, b->prelude, prelude);
    memcpy(text + prelude, u->kernel->text, u->kernel->bytes);
    weir_status_release(weir_file_write_atomic(kept, text, length));
    free(text);
  }
  return weir_status_make(WEIR_CODE_INTERNAL, "kernel '%s' for %s: %s (%s)\n%.*s", u->kernel->name, u->arch->name, what,
                          kept, MAX_MESSAGE, log);
}

// ---- one unit
static weir_status unit_keep(const unit *u, const unit_head *head, const cg_nvrtc_result *result) {
  size_t length = sizeof *head + result->bytes;
  char *data = malloc(length);
  if (!data) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %zu bytes of code", length);
  memcpy(data, head, sizeof *head);
  memcpy(data + sizeof *head, result->code, result->bytes);
  weir_status status = weir_file_write_atomic(u->built, data, length);
  free(data);
  int64_t bytes;
  return status ? status : cg_cache_write(u->built, u->entry, &bytes);
}

static double seconds_of(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static weir_status unit_compile(const build *b, unit *u) {
  double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  const char *words[OPTIONS + 3] = {u->arch->option, "--ptxas-options=-v"};
  memcpy(words + 2, options, sizeof options);
  int word_count = OPTIONS + 2;
  if (b->library.major >= 13) words[word_count++] = "--minimal";  // no declarations of the CUDA runtime: 5 ms a kernel
  size_t prelude = strlen(b->prelude);
  char *source = malloc(prelude + u->kernel->bytes + 1);
  if (!source) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a source text");
  memcpy(source, b->prelude, prelude);
  memcpy(source + prelude, u->kernel->text, u->kernel->bytes);
  source[prelude + u->kernel->bytes] = 0;
  cg_nvrtc_result result;
  weir_status status = cg_nvrtc_compile(&b->library, source, "kernel.cu", words, word_count, u->arch->ptx, &result);
  free(source);
  if (!status) {
    unit_head head = head_of(result.log, u->kernel->name, result.bytes);
    const char *bad = result.code ? complaint(&head, result.log) : "NVRTC refuses the text";
    status = bad ? refused(b, u, bad, result.log) : unit_keep(u, &head, &result);
  }
  cg_nvrtc_result_release(&result);
  u->work = seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
  return status;
}

// ---- all units
static bool cancelled(const build *b) {
  return b->options->cancel && __atomic_load_n(b->options->cancel, __ATOMIC_RELAXED);
}

static void *worker(void *argument) {
  build *b = argument;
  pthread_mutex_lock(&b->lock);
  while (b->next < b->missing_count && !b->status && !cancelled(b)) {
    unit *u = b->missing[b->next++];
    pthread_mutex_unlock(&b->lock);
    weir_status status = unit_compile(b, u);
    pthread_mutex_lock(&b->lock);
    b->done++;
    if (b->status) weir_status_release(status);
    else b->status = status;
    if (b->options->progress && !b->status)
      b->options->progress(b->options->user, u->kernel->name, b->done, b->missing_count);
  }
  pthread_mutex_unlock(&b->lock);
  return NULL;
}

static int by_size(const void *a, const void *b) {
  const unit *x = *(unit *const *)a, *y = *(unit *const *)b;
  if (x->kernel->bytes != y->kernel->bytes) return x->kernel->bytes < y->kernel->bytes ? 1 : -1;
  return x < y ? -1 : x > y;
}

static weir_status compile_missing(build *b) {
  enum { MOST = 64 };
  pthread_t threads[MOST];
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  int jobs = b->options->jobs > 0 ? b->options->jobs : cores > 0 ? (int)cores : 1, started = 0;
  if (!b->missing_count) return WEIR_OK;
  if (jobs > MOST) jobs = MOST;
  if (jobs > b->missing_count) jobs = b->missing_count;
  qsort(b->missing, (size_t)b->missing_count, sizeof *b->missing, by_size);
  pthread_mutex_init(&b->lock, NULL);
  while (started < jobs - 1 && !pthread_create(&threads[started], NULL, worker, b)) started++;
  worker(b);
  for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
  pthread_mutex_destroy(&b->lock);
  if (!b->status && cancelled(b)) return weir_status_make(WEIR_CODE_CANCELLED, "interrupted");
  return b->status;
}

static void units_name(build *b, const cg_cuda_arch *archs, int arch_count, int kernel_count) {
  weir_hasher hasher;
  weir_hash key;
  for (int a = 0; a < arch_count; a++) {
    for (int i = 0; i < kernel_count; i++) {
      const cg_cuda_kernel *k = &b->kernels[i];
      if (!cg_cuda_arch_holds(&archs[a], k->needs)) continue;
      unit *u = &b->units[b->unit_count];
      weir_hasher_init(&hasher);
      weir_hasher_add_text(&hasher, "weir cuda 1");
      weir_hasher_add_text(&hasher, b->library.version);
      weir_hasher_add_text(&hasher, archs[a].option);
      for (int o = 0; o < OPTIONS; o++) weir_hasher_add_text(&hasher, options[o]);
      weir_hasher_add_text(&hasher, b->prelude);
      weir_hasher_add(&hasher, k->text, k->bytes);
      weir_hasher_finish(&hasher, &key);
      *u = (unit){.kernel = k,
                  .arch = &archs[a],
                  .entry = cg_cache_path(b->arena, b->options->cache_dir, &key, archs[a].ptx ? "ptx" : "cubin"),
                  .built = weir_arena_printf(b->arena, "%s/%d", b->folder, b->unit_count)};
      int64_t bytes;
      u->there = cg_cache_check(u->entry, &bytes);
      if (!u->there) b->missing[b->missing_count++] = u;
      b->unit_count++;
    }
  }
}

// ---- sections
// Blocks of 65,536 registers and 64 warps; shared memory by what such a machine has (100 KB and up).
static int occupancy(const cg_cuda_kernel *k, const unit_head *head, const cg_cuda_arch *arch) {
  int warps = (k->threads + 31) / 32, registers = (head->registers + 7) / 8 * 8, blocks = 64 / warps;
  int64_t shared = k->shared_bytes + k->dynamic_bytes + 1024;
  int64_t memory = arch->capability == 80                             ? 164 * 1024
                   : arch->capability >= 90 && arch->capability < 120 ? 228 * 1024
                                                                      : 100 * 1024;
  if (registers && 65536 / (registers * 32 * warps) < blocks) blocks = 65536 / (registers * 32 * warps);
  if (memory / shared < blocks) blocks = (int)(memory / shared);
  return blocks > 32 ? 32 : blocks;
}

static void facts_add(ir_text *facts, const unit *u, const unit_head *head, int number) {
  const cg_cuda_kernel *k = u->kernel;
  ir_text_printf(facts,
                 "%s unit=%d threads=%d items=%d shared=%lld dynamic=%lld scratch=%lld registers=%d spills=%d "
                 "occupancy=%d maps=%d cluster=%d block=%d pdl=%d%s\n",
                 k->name, number, k->threads, k->items_per_block, (long long)k->shared_bytes,
                 (long long)k->dynamic_bytes, (long long)k->scratch_bytes, head->registers, head->spill_bytes,
                 occupancy(k, head, u->arch), k->maps, k->cluster, k->block, k->pdl && u->arch->capability >= 90,
                 k->map_facts);
}

static weir_status section_make(const build *b, const cg_cuda_arch *arch, cg_cuda_object *out) {
  weir_arena *arena = b->arena;
  int count = 0;
  for (int i = 0; i < b->unit_count; i++) count += b->units[i].arch == arch;
  char **files = WEIR_NEW_ARRAY(arena, char *, count + 1);
  size_t at = sizeof(rt_cuda_object_head) + (size_t)count * sizeof(rt_cuda_unit);
  rt_cuda_unit *index = WEIR_NEW_ARRAY(arena, rt_cuda_unit, count + 1);
  ir_text facts;
  ir_text_init(&facts, arena);
  weir_status status = WEIR_OK;
  int n = 0;
  for (int i = 0; i < b->unit_count && !status; i++) {
    if (b->units[i].arch != arch) continue;
    size_t size;
    status = weir_file_read(b->units[i].entry, MAX_UNIT_BYTES, &files[n], &size);
    if (status) break;
    unit_head head = {0};
    if (size > sizeof head) memcpy(&head, files[n], sizeof head);
    if (head.code_bytes <= 0 || (size_t)head.code_bytes != size - sizeof head - TRAILER) {
      status = weir_status_make(WEIR_CODE_IO, "the cache changed while it was read: '%s'", b->units[i].entry);
      break;
    }
    at = (at + 63) / 64 * 64;
    index[n] = (rt_cuda_unit){at, (uint64_t)head.code_bytes};
    at += (size_t)head.code_bytes;
    facts_add(&facts, &b->units[i], &head, n++);
  }
  if (!status) {
    uint8_t *data = weir_arena_array(arena, at, 1);
    rt_cuda_object_head top = {.version = 1, .units = (uint32_t)count};
    memcpy(top.magic, rt_cuda_object_magic, sizeof top.magic);
    memcpy(top.arch, arch->name, strlen(arch->name));
    memcpy(data, &top, sizeof top);
    memcpy(data + sizeof top, index, (size_t)count * sizeof *index);
    for (int i = 0; i < count; i++) memcpy(data + index[i].offset, files[i] + sizeof(unit_head), index[i].bytes);
    *out = (cg_cuda_object){
        .arch = arch->name, .data = data, .bytes = at, .facts = facts.data ? facts.data : "", .units = count};
  }
  for (int i = 0; i < count; i++) free(files[i]);
  return status;
}

static weir_status build_all(build *b, const ir_kernel *const *kernels, int kernel_count, const cg_cuda_arch *archs,
                             int arch_count, cg_cuda_built *out) {
  cg_cuda_print_options print = {.prelude = CG_CUDA_PTX};
  b->kernels = WEIR_NEW_ARRAY(b->arena, cg_cuda_kernel, kernel_count);
  for (int i = 0; i < kernel_count; i++) WEIR_TRY(cg_cuda_print(b->arena, kernels[i], &print, &b->kernels[i]));
  b->prelude = cg_cuda_file(b->arena, CG_CUDA_PTX, NULL, 0);
  b->units = WEIR_NEW_ARRAY(b->arena, unit, kernel_count * arch_count + 1);
  b->missing = WEIR_NEW_ARRAY(b->arena, unit *, kernel_count * arch_count + 1);
  units_name(b, archs, arch_count, kernel_count);
  WEIR_TRY(compile_missing(b));
  out->objects = WEIR_NEW_ARRAY(b->arena, cg_cuda_object, arch_count);
  for (int a = 0; a < arch_count; a++) {
    cg_cuda_object *object = &out->objects[a];
    WEIR_TRY(section_make(b, &archs[a], object));
    for (int i = 0; i < b->missing_count; i++) {
      if (b->missing[i]->arch != &archs[a]) continue;
      object->compiled++;
      object->seconds += b->missing[i]->work;
    }
  }
  return WEIR_OK;
}

// The wall time, by the work that each architecture made; evenly where none did.
static void share_time(double seconds, int arch_count, cg_cuda_built *out) {
  double work = 0;
  out->seconds = seconds;
  for (int a = 0; a < arch_count; a++) work += out->objects[a].seconds;
  for (int a = 0; a < arch_count; a++)
    out->objects[a].seconds = work > 0 ? seconds * out->objects[a].seconds / work : seconds / arch_count;
}

weir_status cg_cuda_compile(weir_arena *arena, const ir_kernel *const *kernels, int kernel_count,
                            const cg_cuda_arch *archs, int arch_count, const cg_cuda_options *compile_options,
                            cg_cuda_built *out) {
  double start = seconds_of(CLOCK_MONOTONIC);
  build b = {.arena = arena, .options = compile_options};
  WEIR_TRY(cg_nvrtc_open(arena, &b.library));
  WEIR_TRY(weir_make_dirs(compile_options->cache_dir));
  WEIR_TRY(cg_cache_work_begin(arena, compile_options->cache_dir, &b.folder));
  weir_status status = build_all(&b, kernels, kernel_count, archs, arch_count, out);
  cg_cache_work_end(b.folder);
  if (b.missing_count)
    cg_cache_trim(compile_options->cache_dir,
                  compile_options->cache_bytes ? compile_options->cache_bytes : usual_cache_bytes);
  out->toolchain = b.library.version;
  if (!status) share_time(seconds_of(CLOCK_MONOTONIC) - start, arch_count, out);
  return status;
}
