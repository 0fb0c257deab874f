// Kernels to cached shared objects. All files of all levels whose code is not in the cache run as one pool of
// compilers, the largest first, then one linker per level. Work happens in a folder of its own below the cache and
// appears there by rename, each file as soon as it is done.
#include "codegen/cpu/compile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codegen/cpu/cache.h"
#include "codegen/cpu/process.h"
#include "codegen/cpu/sources.h"
#include "runtime/base/io.h"

enum { MAX_MESSAGE_BYTES = 4000 };
static const int64_t usual_cache_bytes = (int64_t)256 << 20;

// What the language of kernels needs: wrapping integers, untyped memory, no contraction but where asked, values of
// every float kept.
static const char common_flags[] =
    "-std=gnu11 -w -fPIC -fwrapv -fno-strict-aliasing -ffp-contract=off -fno-math-errno -fno-trapping-math "
    "-fno-stack-protector -fno-asynchronous-unwind-tables -pipe";
static const char x86_flags[] = "-fcf-protection=none";
static const char source_flags[] = "-g -fno-omit-frame-pointer";
static const char link_flags[] = "-shared -nostdlib -Wl,--build-id=none -Wl,--as-needed";

typedef struct {
  const char **words;
  int count;
  const char *version;
} toolchain;

typedef struct {
  int level, source;
  size_t source_bytes;
  const char *entry;  // in the cache
  const char *built;  // where the compiler writes it
  bool there;
} part;

typedef struct {
  weir_arena *arena;
  const cg_cpu_options *options;
  const char *folder;  // where the work happens
  const char *optimize;
  int jobs;
  const cg_cpu_isa *isas;
  int isa_count;
  toolchain *toolchains;  // by level
  cg_source *sources;
  const char **source_paths;  // null: not written yet
  int source_count;
  part *parts;  // by level, then source
  cg_cpu_object *objects;
  // while compilers run
  part **running;
  int running_count, done;
  cg_process *processes;
  weir_status status;  // the first failure of keeping what they made
} build;

// ---- the compiler
static const char **words_of(build *b, const toolchain *tool, const char *const *texts, int text_count,
                             const char *const *tail, int tail_count) {
  const char **words = NULL;
  int count = 0, capacity = 0;
  for (int i = 0; i < tool->count; i++) WEIR_PUSH(b->arena, words, count, capacity, tool->words[i]);
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

static weir_status toolchain_find(build *b, const char *arch, toolchain *out) {
  WEIR_TRY(cg_compiler_find(b->arena, arch, &out->words, &out->count));
  const char *ask[] = {"--version"};
  const char *path = weir_arena_printf(b->arena, "%s/version", b->folder);
  cg_process p = {.args = words_of(b, out, ask, 1, NULL, 0),
                  .output_path = path,
                  .message_path = weir_arena_printf(b->arena, "%s/version.err", b->folder)};
  cg_process_options options = {.at_once = 1, .cancel = b->options->cancel};
  WEIR_TRY(cg_processes_run(&p, 1, &options));
  if (p.exit_code) return weir_status_make(WEIR_CODE_UNSUPPORTED, "'%s --version' fails: no C compiler", out->words[0]);
  char *text;
  size_t size;
  WEIR_TRY(weir_file_read(path, 1 << 16, &text, &size));
  out->version = weir_arena_strndup(b->arena, text, strcspn(text, "\n"));
  free(text);
  return WEIR_OK;
}

static weir_status toolchains_find(build *b) {
  b->toolchains = WEIR_NEW_ARRAY(b->arena, toolchain, b->isa_count);
  for (int i = 0; i < b->isa_count; i++) {
    for (int k = 0; k < i && !b->toolchains[i].version; k++)
      if (!strcmp(b->isas[k].arch, b->isas[i].arch)) b->toolchains[i] = b->toolchains[k];
    if (!b->toolchains[i].version) WEIR_TRY(toolchain_find(b, b->isas[i].arch, &b->toolchains[i]));
  }
  return WEIR_OK;
}

static const char *flags_of(build *b, int level) {
  const cg_cpu_isa *isa = &b->isas[level];
  return weir_arena_printf(b->arena, "%s %s %s %s %s -c -o", b->optimize, common_flags,
                           strcmp(isa->arch, "x86_64") ? "" : x86_flags, isa->flags,
                           b->options->source_dir ? source_flags : "");
}

// ---- names of what is made
static void key_begin(weir_hasher *hasher, const char *kind, const toolchain *tool, const char *flags) {
  weir_hasher_init(hasher);
  weir_hasher_add_text(hasher, kind);
  weir_hasher_add_text(hasher, tool->version);
  for (int i = 0; i < tool->count; i++) weir_hasher_add_text(hasher, tool->words[i]);
  weir_hasher_add_text(hasher, flags);
}

// Names the parts of a level and its object, whose key is made of theirs.
static void level_name(build *b, int level) {
  const toolchain *tool = &b->toolchains[level];
  const char *flags = flags_of(b, level), *folder = b->options->cache_dir;
  weir_hasher whole, one;
  weir_hash key;
  key_begin(&whole, "weir kernels 2", tool, link_flags);
  for (int i = 0; i < b->source_count; i++) {
    const cg_source *source = &b->sources[i];
    key_begin(&one, "weir kernel 1", tool, flags);
    weir_hasher_add_text(&one, b->options->source_dir ? b->options->source_dir : "");
    weir_hasher_add_text(&one, source->name);
    weir_hasher_add(&one, source->text, source->bytes);
    weir_hasher_finish(&one, &key);
    weir_hasher_add(&whole, key.bytes, sizeof key.bytes);
    b->parts[level * b->source_count + i] =
        (part){.level = level,
               .source = i,
               .source_bytes = source->bytes,
               .entry = cg_cache_path(b->arena, folder, &key, "o"),
               .built = weir_arena_printf(b->arena, "%s/%d-%d.o", b->folder, level, i)};
  }
  weir_hasher_finish(&whole, &key);
  b->objects[level] = (cg_cpu_object){.path = cg_cache_path(b->arena, folder, &key, "so"), .toolchain = tool->version};
}

// ---- sources
// Where the compiler finds file |index|: its name is in the object, so nothing of this run may be in the name.
static weir_status source_write(build *b, int index) {
  if (b->source_paths[index]) return WEIR_OK;
  const cg_source *source = &b->sources[index];
  const char *path = weir_arena_printf(b->arena, "%s/%s.c", b->folder, source->name);
  if (b->options->source_dir) {
    weir_hash hash;
    char hex[WEIR_HASH_HEX_BYTES];
    weir_hash_bytes(source->text, source->bytes, &hash);
    weir_hash_hex(&hash, hex);
    path = weir_arena_printf(b->arena, "%s/%s-%.12s.c", b->options->source_dir, source->name, hex);
    WEIR_TRY(weir_make_dirs(b->options->source_dir));
  }
  if (!b->options->source_dir || !weir_file_exists(path))
    WEIR_TRY(weir_file_write_atomic(path, source->text, source->bytes));
  b->source_paths[index] = path;
  return WEIR_OK;
}

// ---- running
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
  const char *kept = weir_arena_printf(b->arena, "%s/refused-%ld.c", b->options->cache_dir, (long)getpid());
  if (source && rename(source, kept)) kept = "not kept";
  return weir_status_make(WEIR_CODE_INTERNAL, "the C compiler refuses emitted code (%s):\n%s",
                          source ? kept : "linking", text);
}

// A compiler came to its end.
static void keep(void *user, int index) {
  build *b = user;
  const part *p = b->running[index];
  if (b->status || b->processes[index].exit_code) return;
  int64_t bytes;
  b->status = cg_cache_write(p->built, p->entry, &bytes);
  b->objects[p->level].compiled++;
  b->done++;
  if (b->options->progress)
    b->options->progress(b->options->user, b->sources[p->source].name, b->done, b->running_count);
}

static int by_size(const void *a, const void *b) {
  const part *x = *(part *const *)a, *y = *(part *const *)b;
  if (x->source_bytes != y->source_bytes) return x->source_bytes < y->source_bytes ? 1 : -1;
  return x < y ? -1 : x > y;
}

static weir_status compile_missing(build *b) {
  if (!b->running_count) return WEIR_OK;
  b->processes = WEIR_NEW_ARRAY(b->arena, cg_process, b->running_count);
  qsort(b->running, (size_t)b->running_count, sizeof(part *), by_size);
  for (int i = 0; i < b->running_count; i++) {
    const part *p = b->running[i];
    WEIR_TRY(source_write(b, p->source));
    const char *flags[] = {flags_of(b, p->level)}, *tail[] = {p->built, b->source_paths[p->source]};
    b->processes[i] = (cg_process){.args = words_of(b, &b->toolchains[p->level], flags, 1, tail, 2),
                                   .message_path = weir_arena_printf(b->arena, "%s.err", p->built)};
  }
  cg_process_options options = {.at_once = b->jobs, .cancel = b->options->cancel, .ended = keep, .user = b};
  weir_status status = cg_processes_run(b->processes, b->running_count, &options);
  if (!status) status = b->status;
  else weir_status_release(b->status);
  WEIR_TRY(status);
  for (int i = 0; i < b->running_count; i++)
    if (b->processes[i].exit_code) return refused(b, &b->processes[i], b->source_paths[b->running[i]->source]);
  return WEIR_OK;
}

static weir_status link_missing(build *b) {
  cg_process *linkers = WEIR_NEW_ARRAY(b->arena, cg_process, b->isa_count);
  int *levels = WEIR_NEW_ARRAY(b->arena, int, b->isa_count), count = 0;
  for (int i = 0; i < b->isa_count; i++) {
    if (b->objects[i].cached) continue;
    const char **tail = WEIR_NEW_ARRAY(b->arena, const char *, b->source_count + 2), *flags[] = {link_flags, "-o"};
    tail[0] = weir_arena_printf(b->arena, "%s/l%d.so", b->folder, i);
    for (int s = 0; s < b->source_count; s++) tail[s + 1] = b->parts[i * b->source_count + s].entry;
    tail[b->source_count + 1] = "-lm";
    levels[count] = i;
    linkers[count++] = (cg_process){.args = words_of(b, &b->toolchains[i], flags, 2, tail, b->source_count + 2),
                                    .message_path = weir_arena_printf(b->arena, "%s.err", tail[0])};
  }
  cg_process_options options = {.at_once = b->jobs, .cancel = b->options->cancel};
  WEIR_TRY(cg_processes_run(linkers, count, &options));
  for (int i = 0; i < count; i++) {
    cg_cpu_object *object = &b->objects[levels[i]];
    if (linkers[i].exit_code) return refused(b, &linkers[i], NULL);
    WEIR_TRY(
        cg_cache_write(weir_arena_printf(b->arena, "%s/l%d.so", b->folder, levels[i]), object->path, &object->bytes));
  }
  return WEIR_OK;
}

// ---- the whole
// Looks what is there and collects the parts to compile.
static void levels_check(build *b) {
  b->parts = WEIR_NEW_ARRAY(b->arena, part, b->isa_count * b->source_count);
  b->running = WEIR_NEW_ARRAY(b->arena, part *, b->isa_count * b->source_count + 1);
  for (int i = 0; i < b->isa_count; i++) {
    level_name(b, i);
    cg_cpu_object *object = &b->objects[i];
    object->cached = cg_cache_check(object->path, &object->bytes);
    if (object->cached && !b->options->want_parts) continue;
    const char **paths = WEIR_NEW_ARRAY(b->arena, const char *, b->source_count);
    for (int s = 0; s < b->source_count; s++) {
      part *p = &b->parts[i * b->source_count + s];
      int64_t bytes;
      p->there = cg_cache_check(p->entry, &bytes);
      if (!p->there) b->running[b->running_count++] = p;
      paths[s] = p->entry;
    }
    object->parts = paths;
    object->part_count = b->source_count;
  }
}

static weir_status build_all(build *b) {
  WEIR_TRY(toolchains_find(b));
  b->source_paths = WEIR_NEW_ARRAY(b->arena, const char *, b->source_count);
  levels_check(b);
  WEIR_TRY(compile_missing(b));
  return link_missing(b);
}

static double seconds_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static weir_status compile_sources(weir_arena *arena, cg_source *sources, int source_count, const cg_cpu_isa *isas,
                                   int isa_count, const cg_cpu_options *options, cg_cpu_object *out_objects) {
  double start = seconds_now();
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  build b = {.arena = arena,
             .options = options,
             .isas = isas,
             .isa_count = isa_count,
             .objects = out_objects,
             .sources = sources,
             .source_count = source_count};
  b.jobs = options->jobs > 0 ? options->jobs : cores < 1 ? 1 : cores > 256 ? 256 : (int)cores;
  b.optimize = options->optimize ? options->optimize : "-O2";
  WEIR_TRY(weir_make_dirs(options->cache_dir));
  WEIR_TRY(cg_cache_work_begin(arena, options->cache_dir, &b.folder));
  weir_status status = build_all(&b);
  cg_cache_work_end(b.folder);
  bool grew = b.running_count > 0;
  for (int i = 0; i < isa_count && !status; i++) {
    out_objects[i].seconds = seconds_now() - start;
    grew |= !out_objects[i].cached;
  }
  int64_t most_bytes = options->cache_bytes ? options->cache_bytes : usual_cache_bytes;
  if (grew) cg_cache_trim(options->cache_dir, most_bytes);
  if (grew && options->source_dir) cg_cache_trim(options->source_dir, most_bytes);
  return status;
}

weir_status cg_cpu_compile(weir_arena *arena, const ir_kernel *const *kernels, int kernel_count, const cg_cpu_isa *isas,
                           int isa_count, const cg_cpu_options *options, cg_cpu_object *out_objects) {
  cg_source *sources = NULL;
  int count = 0;
  WEIR_TRY(cg_sources_make(arena, kernels, kernel_count, &sources, &count));
  return compile_sources(arena, sources, count, isas, isa_count, options, out_objects);
}

weir_status cg_cpu_compile_text(weir_arena *arena, const char *text, size_t bytes, const cg_cpu_isa *isas,
                                int isa_count, const cg_cpu_options *options, cg_cpu_object *out_objects) {
  cg_source source = {"kernels", text, bytes};
  return compile_sources(arena, &source, 1, isas, isa_count, options, out_objects);
}
