// Some files, as many compilers at a time as there are cores, one object, one entry of the cache.
#include "codegen/cuda/sim.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codegen/cpu/cache.h"
#include "codegen/cpu/isa.h"
#include "codegen/cpu/process.h"
#include "codegen/cuda/internal.h"
#include "codegen/cuda/print.h"
#include "ir/text_buffer.h"
#include "runtime/base/io.h"

static const char *const flags[] = {"-std=gnu11",
                                    "-O1",
                                    "-w",
                                    "-fPIC",
                                    "-shared",
                                    "-fwrapv",
                                    "-fno-strict-aliasing",
                                    "-ffp-contract=off",
                                    "-fno-math-errno",
                                    "-fno-trapping-math",
                                    "-fno-stack-protector",
                                    "-fcf-protection=none",
                                    "-Wl,--build-id=none"};
enum { FLAGS = sizeof flags / sizeof *flags, TRAILER = 8 + WEIR_HASH_BYTES, MAX_BYTES = 256 << 20, MAX_MESSAGE = 3000 };
enum { MAX_FILES = 16, FILE_BYTES = 24 << 10 };

static weir_status refused(weir_arena *arena, const cg_process *p) {
  char *text = NULL;
  size_t size = 0;
  weir_status_release(weir_file_read(p->message_path, 1 << 20, &text, &size));
  const char *message = text ? weir_arena_strndup(arena, text, size < MAX_MESSAGE ? size : MAX_MESSAGE) : "";
  free(text);
  return weir_status_make(p->exit_code < 0 ? WEIR_CODE_IO : WEIR_CODE_INTERNAL,
                          "the C compiler refuses kernels for sim: %s", message);
}

// The words of one call of the compiler, |more| at the end, which has a null after the last.
static const char **compiler_args(weir_arena *arena, const char **words, int word_count, const char *const *more) {
  const char **args = WEIR_NEW_ARRAY(arena, const char *, word_count + FLAGS + MAX_FILES + 8);
  int n = 0;
  for (int i = 0; i < word_count; i++) args[n++] = words[i];
  for (int i = 0; i < FLAGS; i++) args[n++] = flags[i];
#if defined(__x86_64__)
  args[n++] = "-march=x86-64-v3";
#endif
  while (*more) args[n++] = *more++;
  return args;
}

static int lines_of(const char *text, size_t bytes) {
  int lines = 0;
  for (size_t i = 0; i < bytes; i++) lines += text[i] == '\n';
  return lines;
}

// Kernels of about the same number of bytes in each file, every file behind the prelude. Lines are counted as if all
// were one file.
static int split(weir_arena *arena, const cg_cuda_kernel *kernels, int count, int most, const char **out_texts) {
  ir_text text;
  size_t total = 0, done = 0;
  for (int i = 0; i < count; i++) total += kernels[i].bytes;
  int files = (int)(total / FILE_BYTES) + 1, made = 0, line = 1;
  if (files > most) files = most;
  for (int i = 0; i < count || !made; made++) {
    ir_text_init(&text, arena);
    cg_cuda_prelude(&text, CG_CUDA_SIM);
    if (!made) line += lines_of(text.data, strlen(text.data));
    ir_text_printf(&text, "#line %d\n", line);
    for (; i < count && done < total * ((size_t)made + 1) / (size_t)files; i++) {
      ir_text_puts(&text, kernels[i].text);
      line += lines_of(kernels[i].text, kernels[i].bytes);
      done += kernels[i].bytes;
    }
    out_texts[made] = text.data;
  }
  return made;
}

static weir_status run_compiler(weir_arena *arena, const char *folder, const char *const *texts, int count,
                                const cg_cuda_options *options, const char **words, int word_count, const char *built) {
  cg_process compilers[MAX_FILES], linker;
  const char *linked[MAX_FILES + 4] = {"-o", built};
  cg_process_options how = {.at_once = options->jobs > 0 ? options->jobs : (int)sysconf(_SC_NPROCESSORS_ONLN),
                            .cancel = options->cancel};
  for (int i = 0; i < count; i++) {
    const char *path = weir_arena_printf(arena, "%s/kernels-%d.c", folder, i);
    linked[i + 2] = weir_arena_printf(arena, "%s/kernels-%d.o", folder, i);
    WEIR_TRY(weir_file_write_atomic(path, texts[i], strlen(texts[i])));
    compilers[i] = (cg_process){
        .args = compiler_args(arena, words, word_count, (const char *[]){"-c", "-o", linked[i + 2], path, NULL}),
        .message_path = weir_arena_printf(arena, "%s/messages-%d", folder, i)};
  }
  WEIR_TRY(cg_processes_run(compilers, count, &how));
  for (int i = 0; i < count; i++)
    if (compilers[i].exit_code) return refused(arena, &compilers[i]);
  linked[count + 2] = "-lm";
  linker = (cg_process){.args = compiler_args(arena, words, word_count, linked),
                        .message_path = weir_arena_printf(arena, "%s/messages", folder)};
  WEIR_TRY(cg_processes_run(&linker, 1, &how));
  return linker.exit_code ? refused(arena, &linker) : WEIR_OK;
}

static weir_status object_get(weir_arena *arena, const cg_cuda_kernel *kernels, int kernel_count,
                              const cg_cuda_options *options, cg_cuda_object *out) {
  const char *source = cg_cuda_file(arena, CG_CUDA_SIM, kernels, kernel_count), *texts[MAX_FILES];
  const char **words;
  int word_count;
  weir_hasher hasher;
  weir_hash key;
  WEIR_TRY(cg_compiler_find(arena, cg_cpu_arch_here(), &words, &word_count));
  weir_hasher_init(&hasher);
  weir_hasher_add_text(&hasher, "weir sim 2");
  for (int i = 0; i < word_count; i++) weir_hasher_add_text(&hasher, words[i]);
  for (int i = 0; i < FLAGS; i++) weir_hasher_add_text(&hasher, flags[i]);
  weir_hasher_add_text(&hasher, source);
  weir_hasher_finish(&hasher, &key);
  const char *entry = cg_cache_path(arena, options->cache_dir, &key, "so"), *folder;
  int64_t bytes;
  if (!cg_cache_check(entry, &bytes)) {
    WEIR_TRY(cg_cache_work_begin(arena, options->cache_dir, &folder));
    const char *built = weir_arena_printf(arena, "%s/sim.so", folder);
    int files = split(arena, kernels, kernel_count, MAX_FILES, texts);
    weir_status status = run_compiler(arena, folder, texts, files, options, words, word_count, built);
    if (!status) status = cg_cache_write(built, entry, &bytes);
    cg_cache_work_end(folder);
    WEIR_TRY(status);
    out->compiled = out->units;
  }
  char *data;
  size_t size;
  WEIR_TRY(weir_file_read(entry, MAX_BYTES, &data, &size));
  uint8_t *copy = weir_arena_array(arena, size, 1);
  memcpy(copy, data, size);
  free(data);
  out->data = copy;
  out->bytes = size - TRAILER;
  return WEIR_OK;
}

weir_status cg_cuda_sim_compile(weir_arena *arena, const ir_kernel *const *kernels, int kernel_count,
                                const cg_cuda_options *options, cg_cuda_object *out) {
  cg_cuda_print_options print = {.prelude = CG_CUDA_SIM};
  cg_cuda_kernel *list = WEIR_NEW_ARRAY(arena, cg_cuda_kernel, kernel_count + 1);
  ir_text facts;
  ir_text_init(&facts, arena);
  *out = (cg_cuda_object){.arch = "sim", .units = kernel_count};
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (int i = 0; i < kernel_count; i++) {
    cg_cuda_kernel *k = &list[i];
    WEIR_TRY(cg_cuda_print(arena, kernels[i], &print, k));
    ir_text_printf(&facts,
                   "%s unit=0 threads=%d items=%d shared=%lld dynamic=%lld scratch=%lld registers=0 spills=0 "
                   "occupancy=1 maps=%d cluster=%d block=%d pdl=%d%s\n",
                   k->name, k->threads, k->items_per_block, (long long)k->shared_bytes, (long long)k->dynamic_bytes,
                   (long long)k->scratch_bytes, k->maps, k->cluster, k->block, k->pdl, k->map_facts);
  }
  out->facts = facts.data ? facts.data : "";
  WEIR_TRY(weir_make_dirs(options->cache_dir));
  WEIR_TRY(object_get(arena, list, kernel_count, options, out));
  clock_gettime(CLOCK_MONOTONIC, &to);
  out->seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
  return WEIR_OK;
}
