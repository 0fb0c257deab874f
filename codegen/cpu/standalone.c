// One static program: tables as C, the package by .incbin, then compilers, objcopy and the linker.
//
// Names of temporary files are in no output, so equal inputs give equal programs.
#include "codegen/cpu/standalone.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codegen/cpu/process.h"
#include "runtime/base/io.h"

enum { MAX_MESSAGE_BYTES = 4000 };

typedef struct {
  weir_arena *arena;
  const cg_standalone *what;
  const char **compiler;
  int compiler_count;
  const char **names;  // of kernels, sorted
} linking;

static const char *place(linking *l, const char *name) {
  return weir_arena_printf(l->arena, "%s/%s", l->what->folder, name);
}

// ---- running

static weir_status run(linking *l, const char *what, const char **words) {
  const char *messages = place(l, "messages");
  cg_process process = {.args = words, .message_path = messages};
  cg_process_options options = {.at_once = 1, .cancel = l->what->cancel};
  WEIR_TRY(cg_processes_run(&process, 1, &options));
  if (!process.exit_code) return WEIR_OK;
  char *text = NULL;
  size_t size = 0;
  weir_status_release(weir_file_read(messages, 1 << 20, &text, &size));
  if (text && size > MAX_MESSAGE_BYTES) text[MAX_MESSAGE_BYTES] = 0;
  weir_status status = weir_status_make(WEIR_CODE_INTERNAL, "%s of the program fails:\n%s", what, text ? text : "");
  free(text);
  return status;
}

// The compiler's words, then |words|, then |more|; both end with a null.
static const char **command(linking *l, const char *const *words, const char *const *more) {
  const char **out = NULL;
  int count = 0, capacity = 0;
  for (int i = 0; i < l->compiler_count; i++) WEIR_PUSH(l->arena, out, count, capacity, l->compiler[i]);
  for (; words && *words; words++) WEIR_PUSH(l->arena, out, count, capacity, *words);
  for (; more && *more; more++) WEIR_PUSH(l->arena, out, count, capacity, *more);
  WEIR_PUSH(l->arena, out, count, capacity, NULL);
  return out;
}

// binutils' objcopy: $OBJCOPY, else the one on PATH.
static weir_status objcopy_find(linking *l, const char **out) {
  const char *chosen = getenv("OBJCOPY"), *path = getenv("PATH");
  bool here = !strcmp(l->what->arch, cg_cpu_arch_here());
  const char *name = here ? "objcopy" : weir_arena_printf(l->arena, "%s-linux-gnu-objcopy", l->what->arch);
  if (chosen && *chosen) name = chosen;
  if (strchr(name, '/')) {
    *out = name;
    return WEIR_OK;
  }
  for (const char *at = path; at && *at;) {
    size_t length = strcspn(at, ":");
    const char *file = weir_arena_printf(l->arena, "%.*s/%s", (int)length, at, name);
    if (access(file, X_OK) == 0 && !weir_is_dir(file)) {
      *out = file;
      return WEIR_OK;
    }
    at += length + (at[length] == ':');
  }
  return weir_status_make(WEIR_CODE_UNSUPPORTED, "no '%s' on PATH: install binutils", name);
}

// ---- texts

typedef struct {
  FILE *file;
  char *text;
  size_t bytes;
} writing;

static weir_status text_begin(writing *w) {
  w->file = open_memstream(&w->text, &w->bytes);
  return w->file ? WEIR_OK : weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory to link a program");
}

static weir_status text_end(writing *w, const char *path) {
  bool failed = fclose(w->file) != 0;
  weir_status status = failed ? weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory to link a program")
                              : weir_file_write_atomic(path, w->text, w->bytes);
  free(w->text);
  return status;
}

static weir_status level_write(linking *l, int level, const char *path) {
  writing w;
  int count = l->what->kernel_count;
  WEIR_TRY(text_begin(&w));
  for (int i = 0; i < count; i++) fprintf(w.file, "extern void %s(void);\n", l->names[i]);
  fprintf(w.file, "const char *const weir_names_%d[] = {", level);
  for (int i = 0; i < count; i++) fprintf(w.file, "\n  \"%s\",", l->names[i]);
  fprintf(w.file, " 0};\nvoid (*const weir_functions_%d[])(void) = {", level);
  for (int i = 0; i < count; i++) fprintf(w.file, "\n  %s,", l->names[i]);
  fprintf(w.file, " 0};\n");
  return text_end(&w, path);
}

// Large data has a place of its own on x86-64, so that code and data stay near each other; it is found through a
// pointer that holds any address.
static const char *package_section(const char *arch) {
  return strcmp(arch, "x86_64") ? ".rodata.weir_package,\\\"a\\\"" : ".lrodata.weir_package,\\\"al\\\"";
}

static void put_quoted(FILE *file, const char *path) {
  for (; *path; path++) {
    if (*path == '"' || *path == '\\') fputs("\\\\\\", file);
    fputc(*path, file);
  }
}

static weir_status tables_write(linking *l, const char *path) {
  const cg_standalone *s = l->what;
  writing w;
  WEIR_TRY(text_begin(&w));
  for (int i = 0; i < s->level_count; i++)
    fprintf(w.file, "extern const char *const weir_names_%d[];\nextern void (*const weir_functions_%d[])(void);\n", i,
            i);
  fprintf(w.file, "const int weir_linked_levels = %d;\nconst char *const weir_linked_isas[] = {", s->level_count);
  for (int i = 0; i < s->level_count; i++) fprintf(w.file, "\"%s\", ", s->levels[i].isa);
  fprintf(w.file, "0};\nconst char *const weir_linked_features[] = {");
  for (int i = 0; i < s->level_count; i++) fprintf(w.file, "\"%s\", ", s->levels[i].features);
  fprintf(w.file, "0};\nconst int weir_linked_counts[] = {");
  for (int i = 0; i < s->level_count; i++) fprintf(w.file, "%d, ", s->kernel_count);
  fprintf(w.file, "0};\nconst char *const *const weir_linked_names[] = {");
  for (int i = 0; i < s->level_count; i++) fprintf(w.file, "weir_names_%d, ", i);
  fprintf(w.file, "0};\nvoid (*const *const weir_linked_functions[])(void) = {");
  for (int i = 0; i < s->level_count; i++) fprintf(w.file, "weir_functions_%d, ", i);
  fprintf(w.file, "0};\n__asm__(\".pushsection %s,@progbits\\n.balign 4096\\nweir_package_begin:\\n.incbin \\\"",
          package_section(s->arch));
  put_quoted(w.file, s->package);
  fprintf(w.file,
          "\\\"\\nweir_package_end:\\n.balign 64\\n.popsection\\n"
          ".pushsection .data.rel.ro.weir_linked,\\\"aw\\\",@progbits\\n.balign 8\\n"
          ".globl weir_linked_package\\nweir_linked_package: .quad weir_package_begin\\n"
          ".globl weir_linked_package_bytes\\nweir_linked_package_bytes: .quad weir_package_end - weir_package_begin\\n"
          ".popsection\\n\");\n");
  return text_end(&w, path);
}

// ---- steps

// The kernels of a level and its tables as one object that shows the tables alone.
static weir_status level_join(linking *l, int level, const char *objcopy, const char *path) {
  const cg_linked_level *of = &l->what->levels[level];
  const char *source = place(l, "kernels.c"), *tables = place(l, "kernels.o"), *joined = place(l, "joined.o");
  WEIR_TRY(level_write(l, level, source));
  const char *compile[] = {"-std=gnu11", "-O1", "-w", "-c", "-o", tables, source, NULL};
  WEIR_TRY(run(l, "compiling the tables", command(l, compile, NULL)));
  const char **parts = WEIR_NEW_ARRAY(l->arena, const char *, of->part_count + 1);
  for (int i = 0; i < of->part_count; i++) parts[i] = of->parts[i];
  const char *join[] = {"-r", "-nostdlib", "-Wl,--build-id=none", "-o", joined, tables, NULL};
  WEIR_TRY(run(l, "joining the kernels", command(l, join, parts)));
  const char *words[] = {objcopy,
                         weir_arena_printf(l->arena, "--keep-global-symbol=weir_names_%d", level),
                         weir_arena_printf(l->arena, "--keep-global-symbol=weir_functions_%d", level),
                         joined,
                         path,
                         NULL};
  return run(l, "hiding names", words);
}

// Puts what the linker made, which the owner's umask says who may run, at its final place.
static weir_status program_keep(const char *made, const char *path) {
  weir_map map;
  weir_atomic_file file;
  struct stat info;
  if (stat(made, &info) != 0) return weir_status_errno(errno, "cannot find '%s'", made);
  WEIR_TRY(weir_map_open(made, &map));
  weir_status status = weir_atomic_file_open(path, &file);
  if (!status) {
    status = weir_atomic_file_write(&file, map.data, map.size);
    if (!status && fchmod(file.fd, info.st_mode & 0777) != 0)
      status = weir_status_errno(errno, "cannot make '%s' executable", path);
    if (status) weir_atomic_file_discard(&file);
    else status = weir_atomic_file_commit(&file);
  }
  weir_map_close(&map);
  return status;
}

static weir_status link_all(linking *l, const char *const *objects, const char *path) {
  const char *source = place(l, "tables.c"), *tables = place(l, "tables.o"), *made = place(l, "program");
  WEIR_TRY(tables_write(l, source));
  const char *compile[] = {"-std=gnu11", "-O1", "-w", "-c", "-o", tables, source, NULL};
  WEIR_TRY(run(l, "compiling the tables", command(l, compile, NULL)));
  const char *begin[] = {"-static", "-Wl,--build-id=none", "-Wl,--gc-sections", "-o", made, tables, NULL};
  const char **end = NULL;
  int count = 0, capacity = 0;
  for (; *objects; objects++) WEIR_PUSH(l->arena, end, count, capacity, *objects);
  WEIR_PUSH(l->arena, end, count, capacity, l->what->runtime);
  WEIR_PUSH(l->arena, end, count, capacity, "-lm");
  WEIR_PUSH(l->arena, end, count, capacity, "-lpthread");
  WEIR_PUSH(l->arena, end, count, capacity, NULL);
  WEIR_TRY(run(l, "linking", command(l, begin, end)));
  return program_keep(made, path);
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

weir_status cg_standalone_link(weir_arena *arena, const cg_standalone *what, const char *path) {
  linking l = {.arena = arena, .what = what};
  const char *objcopy = NULL;
  l.names = WEIR_NEW_ARRAY(arena, const char *, what->kernel_count + 1);
  for (int i = 0; i < what->kernel_count; i++) l.names[i] = what->kernels[i];
  if (what->kernel_count) qsort(l.names, (size_t)what->kernel_count, sizeof *l.names, by_text);
  WEIR_TRY(cg_compiler_find(arena, what->arch, &l.compiler, &l.compiler_count));
  WEIR_TRY(objcopy_find(&l, &objcopy));
  const char **objects = WEIR_NEW_ARRAY(arena, const char *, what->level_count + 1);
  for (int i = 0; i < what->level_count; i++) {
    objects[i] = weir_arena_printf(arena, "%s/level-%d.o", what->folder, i);
    WEIR_TRY(level_join(&l, i, objcopy, objects[i]));
  }
  return link_all(&l, objects, path);
}
