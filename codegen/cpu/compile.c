// Kernels to cached shared objects. Every level compiles the same C files; all files of all levels that are not in the
// cache run as one pool of compilers, then one linker per level. Work happens in a folder of its own below the cache
// and appears there by rename.
//
// A cache entry is the shared object followed by 40 bytes, which loaders ignore: a mark and the BLAKE2b hash of what is
// before it.
#include "codegen/cpu/compile.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "codegen/cpu/code.h"
#include "codegen/cpu/process.h"
#include "runtime/base/hash.h"
#include "runtime/base/io.h"

static const char mark[8] = "WEIRKSUM";
enum {
  TRAILER_BYTES = 8 + WEIR_HASH_BYTES,
  MAX_OBJECT_BYTES = 1 << 30,
  MAX_MESSAGE_BYTES = 4000,
  STALE_SECONDS = 3600
};

// What the language of kernels needs: wrapping integers, untyped memory, no contraction but where asked, values of
// every float kept.
static const char common_flags[] =
    "-std=gnu11 -w -fPIC -fwrapv -fno-strict-aliasing -ffp-contract=off -fno-math-errno -fno-trapping-math "
    "-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -pipe";
static const char link_flags[] = "-shared -nostdlib -Wl,--build-id=none -Wl,--as-needed";

typedef struct {
  weir_arena *arena;
  const char *cache_dir, *folder;  // |folder|: where the work happens, null before it is needed
  const char **compiler;
  int compiler_count;
  const char *version;
  int jobs;
  const int *cancel;
  const char **sources;  // texts of the C files
  const char **source_paths;
  int file_count;
} build;

// ---- files
static void remove_tree(const char *path) {
  DIR *dir = opendir(path);
  if (dir) {
    weir_arena arena;
    weir_arena_init(&arena);
    for (struct dirent *e; (e = readdir(dir));)
      if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
        unlink(weir_arena_printf(&arena, "%s/%s", path, e->d_name));
    weir_arena_deinit(&arena);
    closedir(dir);
  }
  rmdir(path);
}

// Folders that killed processes left behind.
static void remove_stale(build *b) {
  DIR *dir = opendir(b->cache_dir);
  if (!dir) return;
  for (struct dirent *e; (e = readdir(dir));) {
    struct stat info;
    if (strncmp(e->d_name, "build-", 6)) continue;
    const char *path = weir_arena_printf(b->arena, "%s/%s", b->cache_dir, e->d_name);
    if (!lstat(path, &info) && S_ISDIR(info.st_mode) && info.st_mtime + STALE_SECONDS < time(NULL)) remove_tree(path);
  }
  closedir(dir);
}

static weir_status folder_make(build *b) {
  if (b->folder) return WEIR_OK;
  char *folder = weir_arena_printf(b->arena, "%s/build-XXXXXX", b->cache_dir);
  if (!mkdtemp(folder)) return weir_status_errno(errno, "cannot make a folder in '%s'", b->cache_dir);
  b->folder = folder;
  return WEIR_OK;
}

// ---- the compiler
static const char **words_of(build *b, const char *const *texts, int text_count, const char *const *tail,
                             int tail_count) {
  const char **words = NULL;
  int count = 0, capacity = 0;
  for (int i = 0; i < b->compiler_count; i++) WEIR_PUSH(b->arena, words, count, capacity, b->compiler[i]);
  for (int i = 0; i < text_count; i++) {
    for (const char *p = texts[i]; *p;) {
      size_t length = strcspn(p, " ");
      if (length) WEIR_PUSH(b->arena, words, count, capacity, weir_arena_strndup(b->arena, p, length));
      p += length + (p[length] == ' ');
    }
  }
  for (int i = 0; i < tail_count; i++) WEIR_PUSH(b->arena, words, count, capacity, tail[i]);
  WEIR_PUSH(b->arena, words, count, capacity, NULL);
  return words;
}

static weir_status version_find(build *b) {
  WEIR_TRY(cg_compiler_find(b->arena, &b->compiler, &b->compiler_count));
  WEIR_TRY(folder_make(b));
  const char *ask[] = {"--version"};
  const char *path = weir_arena_printf(b->arena, "%s/version", b->folder);
  cg_process p = {.args = words_of(b, ask, 1, NULL, 0),
                  .output_path = path,
                  .message_path = weir_arena_printf(b->arena, "%s/version.err", b->folder)};
  WEIR_TRY(cg_processes_run(&p, 1, 1, b->cancel));
  if (p.exit_code)
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "'%s --version' fails: no C compiler", b->compiler[0]);
  char *text;
  size_t size;
  WEIR_TRY(weir_file_read(path, 1 << 16, &text, &size));
  b->version = weir_arena_strndup(b->arena, text, strcspn(text, "\n"));
  free(text);
  return WEIR_OK;
}

// ---- splitting
static int by_size(const void *a, const void *b) {
  const cg_printed *x = *(const cg_printed *const *)a, *y = *(const cg_printed *const *)b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  return strcmp(x->text, y->text);
}

// The largest kernels first, each to the file that is smallest so far.
static void split(build *b, const cg_printed **kernels, int count) {
  b->file_count = count < b->jobs ? (count ? count : 1) : b->jobs;
  qsort(kernels, (size_t)count, sizeof *kernels, by_size);
  const cg_printed **file = WEIR_NEW_ARRAY(b->arena, const cg_printed *, count + 1);
  int *owner = WEIR_NEW_ARRAY(b->arena, int, count + 1);
  size_t *sizes = WEIR_NEW_ARRAY(b->arena, size_t, b->file_count);
  for (int i = 0; i < count; i++) {
    int least = 0;
    for (int f = 1; f < b->file_count; f++)
      if (sizes[f] < sizes[least]) least = f;
    owner[i] = least;
    sizes[least] += kernels[i]->bytes;
  }
  b->sources = WEIR_NEW_ARRAY(b->arena, const char *, b->file_count);
  b->source_paths = WEIR_NEW_ARRAY(b->arena, const char *, b->file_count);
  for (int f = 0; f < b->file_count; f++) {
    int members = 0;
    for (int i = 0; i < count; i++)
      if (owner[i] == f) file[members++] = kernels[i];
    b->sources[f] = cg_print_file(b->arena, file, members);
  }
}

static weir_status sources_make(build *b, const ir_kernel *const *kernels, int count) {
  cg_printed *printed = WEIR_NEW_ARRAY(b->arena, cg_printed, count);
  const cg_printed **list = WEIR_NEW_ARRAY(b->arena, const cg_printed *, count);
  for (int i = 0; i < count; i++) {
    WEIR_TRY(cg_print_kernel(b->arena, kernels[i], &printed[i]));
    list[i] = &printed[i];
  }
  split(b, list, count);
  return WEIR_OK;
}

static weir_status sources_write(build *b) {
  for (int f = 0; f < b->file_count; f++) {
    if (b->source_paths[f]) continue;
    const char *path = weir_arena_printf(b->arena, "%s/k%d.c", b->folder, f);
    WEIR_TRY(weir_file_write_atomic(path, b->sources[f], strlen(b->sources[f])));
    b->source_paths[f] = path;
  }
  return WEIR_OK;
}

// ---- the cache
static const char *entry_path(build *b, const cg_cpu_isa *isa, const char *optimize) {
  weir_hasher hasher;
  weir_hasher_init(&hasher);
  weir_hasher_add_text(&hasher, "weir kernels 1");
  weir_hasher_add_text(&hasher, b->version);
  for (int i = 0; i < b->compiler_count; i++) weir_hasher_add_text(&hasher, b->compiler[i]);
  weir_hasher_add_text(&hasher, common_flags);
  weir_hasher_add_text(&hasher, link_flags);
  weir_hasher_add_text(&hasher, isa->flags);
  weir_hasher_add_text(&hasher, optimize);
  for (int f = 0; f < b->file_count; f++) weir_hasher_add_text(&hasher, b->sources[f]);
  weir_hash hash;
  char hex[WEIR_HASH_HEX_BYTES];
  weir_hasher_finish(&hasher, &hash);
  weir_hash_hex(&hash, hex);
  return weir_arena_printf(b->arena, "%s/%s.so", b->cache_dir, hex);
}

// Whether a whole entry lies at |path|.
static bool entry_check(const char *path, int64_t *out_bytes) {
  weir_map map;
  weir_status status = weir_map_open(path, &map);
  if (status) {
    weir_status_release(status);
    return false;
  }
  bool whole = map.size > TRAILER_BYTES;
  if (whole) {
    const uint8_t *trailer = map.data + map.size - TRAILER_BYTES;
    weir_hash hash;
    weir_hash_bytes(map.data, map.size - TRAILER_BYTES, &hash);
    whole = !memcmp(trailer, mark, sizeof mark) && !memcmp(trailer + sizeof mark, hash.bytes, WEIR_HASH_BYTES);
    *out_bytes = (int64_t)map.size;
  }
  weir_map_close(&map);
  return whole;
}

static weir_status entry_write(const char *built, const char *path, int64_t *out_bytes) {
  char *data;
  size_t size;
  WEIR_TRY(weir_file_read(built, MAX_OBJECT_BYTES, &data, &size));
  weir_hash hash;
  weir_hash_bytes(data, size, &hash);
  weir_atomic_file file;
  weir_status status = weir_atomic_file_open(path, &file);
  if (!status) {
    status = weir_atomic_file_write(&file, data, size);
    if (!status) status = weir_atomic_file_write(&file, mark, sizeof mark);
    if (!status) status = weir_atomic_file_write(&file, hash.bytes, WEIR_HASH_BYTES);
    if (status) weir_atomic_file_discard(&file);
    else status = weir_atomic_file_commit(&file);
  }
  free(data);
  *out_bytes = (int64_t)size + TRAILER_BYTES;
  return status;
}

// ---- compiling and linking
// Whether the compiler's complaint is about our text: it names a line of one of our files, or the linker misses a
// symbol. All else (a full disk, a killed compiler, a folder that vanished) is the world's doing.
static bool names_our_source(const char *text) {
  if (strstr(text, "undefined reference")) return true;
  for (const char *at = text; (at = strstr(at, ".c:")); at += 3)
    if (at[3] >= '0' && at[3] <= '9') return true;
  return false;
}

static weir_status refused(build *b, const cg_process *p, const char *source) {
  char *message = NULL;
  size_t size = 0;
  weir_status status = weir_file_read(p->message_path, 1 << 20, &message, &size);
  weir_status_release(status);
  const char *text =
      message ? weir_arena_strndup(b->arena, message, size < MAX_MESSAGE_BYTES ? size : MAX_MESSAGE_BYTES) : "";
  free(message);
  if (p->exit_code < 0 || !names_our_source(text))
    return weir_status_make(WEIR_CODE_IO, "the C compiler was stopped: %s", text);
  const char *kept = weir_arena_printf(b->arena, "%s/refused-%ld.c", b->cache_dir, (long)getpid());
  if (source && rename(source, kept)) kept = "not kept";
  return weir_status_make(WEIR_CODE_INTERNAL, "the C compiler refuses emitted code (%s):\n%s",
                          source ? kept : "linking", text);
}

static weir_status run_all(build *b, cg_process *processes, const char *const *sources, int count) {
  WEIR_TRY(cg_processes_run(processes, count, b->jobs, b->cancel));
  for (int i = 0; i < count; i++)
    if (processes[i].exit_code) return refused(b, &processes[i], sources ? sources[i] : NULL);
  return WEIR_OK;
}

static const char *object_path(build *b, int level, int file) {
  return weir_arena_printf(b->arena, "%s/k%d-%d.o", b->folder, level, file);
}

// Compiles and links the levels that |objects| says are not cached.
static weir_status build_missing(build *b, const cg_cpu_isa *isas, int isa_count, const char *optimize,
                                 cg_cpu_object *objects) {
  WEIR_TRY(sources_write(b));
  cg_process *compilers = WEIR_NEW_ARRAY(b->arena, cg_process, isa_count * b->file_count);
  cg_process *linkers = WEIR_NEW_ARRAY(b->arena, cg_process, isa_count);
  const char **sources = WEIR_NEW_ARRAY(b->arena, const char *, isa_count * b->file_count);
  int compiles = 0, links = 0;
  for (int i = 0; i < isa_count; i++) {
    if (objects[i].cached) continue;
    const char *flags[] = {optimize, common_flags, isas[i].flags, "-c -o"}, *link[] = {link_flags, "-o"};
    const char **parts = WEIR_NEW_ARRAY(b->arena, const char *, b->file_count + 2);
    parts[0] = weir_arena_printf(b->arena, "%s/l%d.so", b->folder, i);
    for (int f = 0; f < b->file_count; f++) {
      parts[f + 1] = object_path(b, i, f);
      const char *tail[] = {parts[f + 1], b->source_paths[f]};
      sources[compiles] = b->source_paths[f];
      compilers[compiles++] = (cg_process){.args = words_of(b, flags, 4, tail, 2),
                                           .message_path = weir_arena_printf(b->arena, "%s.err", parts[f + 1])};
    }
    parts[b->file_count + 1] = "-lm";
    linkers[links++] = (cg_process){.args = words_of(b, link, 2, parts, b->file_count + 2),
                                    .message_path = weir_arena_printf(b->arena, "%s.err", parts[0])};
  }
  WEIR_TRY(run_all(b, compilers, sources, compiles));
  WEIR_TRY(run_all(b, linkers, NULL, links));
  for (int i = 0; i < isa_count; i++)
    if (!objects[i].cached)
      WEIR_TRY(entry_write(weir_arena_printf(b->arena, "%s/l%d.so", b->folder, i), objects[i].path, &objects[i].bytes));
  return WEIR_OK;
}

static weir_status build_all(build *b, const ir_kernel *const *kernels, int kernel_count, const cg_cpu_isa *isas,
                             int isa_count, const char *optimize, cg_cpu_object *objects) {
  WEIR_TRY(weir_make_dirs(b->cache_dir));
  remove_stale(b);
  WEIR_TRY(version_find(b));
  WEIR_TRY(sources_make(b, kernels, kernel_count));
  bool missing = false;
  for (int i = 0; i < isa_count; i++) {
    objects[i] = (cg_cpu_object){.path = entry_path(b, &isas[i], optimize), .toolchain = b->version};
    objects[i].cached = entry_check(objects[i].path, &objects[i].bytes);
    missing |= !objects[i].cached;
  }
  return missing ? build_missing(b, isas, isa_count, optimize, objects) : WEIR_OK;
}

weir_status cg_cpu_compile(weir_arena *arena, const ir_kernel *const *kernels, int kernel_count, const cg_cpu_isa *isas,
                           int isa_count, const cg_cpu_options *options, cg_cpu_object *out_objects) {
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  build b = {.arena = arena, .cache_dir = options->cache_dir, .jobs = options->jobs, .cancel = options->cancel};
  if (b.jobs <= 0) b.jobs = cores < 1 ? 1 : cores > 256 ? 256 : (int)cores;
  const char *optimize = options->optimize ? options->optimize : "-O2";
  weir_status status = build_all(&b, kernels, kernel_count, isas, isa_count, optimize, out_objects);
  if (b.folder) remove_tree(b.folder);
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
  for (int i = 0; i < isa_count && !status; i++) out_objects[i].seconds = seconds;
  return status;
}
