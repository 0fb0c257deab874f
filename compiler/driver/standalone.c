// Puts together what is linked: the package without its code, the kernels' objects, the static runtime.
#include "compiler/driver/standalone.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codegen/cpu/cache.h"
#include "codegen/cpu/standalone.h"
#include "codegen/package/copy.h"
#include "compiler/plan/device.h"
#include "compiler/plan/home.h"
#include "compiler/plan/parts.h"

#ifndef WEIR_LIBDIR
#define WEIR_LIBDIR "lib"
#endif

const char *cli_standalone_library(cli *c) {
  static const char *const places[] = {"", "../" WEIR_LIBDIR "/weir/", "../lib/weir/"};
  const char *given = getenv("WEIR_STANDALONE");
  char program[4096];
  if (given && *given) return weir_file_exists(given) ? given : NULL;
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0) return NULL;
  program[length] = 0;
  char *slash = strrchr(program, '/');
  if (slash) *slash = 0;
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    const char *path = weir_arena_printf(&c->arena, "%s/%slibweir_standalone.a", program, places[i]);
    if (weir_file_exists(path)) return path;
  }
  return NULL;
}

static weir_status targets_of(cli *c, const rt_package *package, const char ***out, int *out_count) {
  int count = rt_package_object_count(package);
  *out = WEIR_NEW_ARRAY(&c->arena, const char *, count + 1);
  *out_count = 0;
  for (int i = 0; i < count; i++) {
    const char *target = plan_object_target(&c->arena, rt_package_object_at(package, i));
    if (!plan_is_device_target(target)) (*out)[(*out_count)++] = target;
  }
  return *out_count ? WEIR_OK : weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the package has no code to link");
}

static weir_status levels_of(cli *c, const plan_parts *parts, cg_standalone *out) {
  cg_linked_level *levels = WEIR_NEW_ARRAY(&c->arena, cg_linked_level, parts->level_count);
  for (int i = 0; i < parts->level_count; i++) {
    levels[i] = (cg_linked_level){parts->isas[i].name, parts->isas[i].features, parts->objects[i].parts,
                                  parts->objects[i].part_count};
    if (strcmp(parts->isas[i].arch, parts->isas[0].arch))
      return weir_status_make(WEIR_CODE_UNSUPPORTED, "one program is of one architecture: %s and %s are asked for",
                              parts->isas[0].arch, parts->isas[i].arch);
  }
  out->arch = parts->isas[0].arch;
  out->levels = levels;
  out->level_count = parts->level_count;
  out->kernels = parts->kernels;
  out->kernel_count = parts->kernel_count;
  return strcmp(out->arch, cg_cpu_arch_here())
             ? weir_status_make(WEIR_CODE_UNSUPPORTED, "programs are linked for this machine's architecture, %s",
                                cg_cpu_arch_here())
             : WEIR_OK;
}

static weir_status link_in(cli *c, const rt_package *package, const plan_parts *parts, const char *folder,
                           const char *output) {
  cg_copy_options copy = {.without_code = true, .weights = CG_WEIGHTS_INSIDE, .cancel = c->cancel};
  cg_copy_result copied;
  cg_standalone what = {.folder = folder, .cancel = c->cancel, .runtime = cli_standalone_library(c)};
  if (!what.runtime)
    return weir_status_make(WEIR_CODE_NOT_FOUND,
                            "libweir_standalone.a is not here: it is built and installed with Weir where static "
                            "libraries of what it uses are there");
  WEIR_TRY(levels_of(c, parts, &what));
  what.package = weir_arena_printf(&c->arena, "%s/package.wpk", folder);
  WEIR_TRY(cg_package_copy(&c->arena, package, what.package, &copy, &copied));
  cli_progress(c, "linking the program", -1);
  return cg_standalone_link(&c->arena, &what, output);
}

static weir_status parts_of(cli *c, const cli_source *source, const rt_package *package, plan_parts *out) {
  const char **targets = NULL;
  int count = 0;
  lang_diags diags;
  lang_diags_init(&diags, &c->arena);
  WEIR_TRY(targets_of(c, package, &targets, &count));
  if (source->package) return plan_parts_of_package(&c->arena, package, &source->request, targets, count, out);
  return plan_parts_make(&c->arena, &source->request, targets, count, &diags, out);
}

weir_status cli_standalone(cli *c, const cli_source *source, const char *path, const char *output,
                           uint64_t *out_bytes) {
  rt_package *package = NULL;
  const char *folder = NULL, *objects = NULL;
  plan_parts parts;
  struct stat info;
  WEIR_TRY(rt_package_open(path, NULL, &package));
  weir_status status = parts_of(c, source, package, &parts);
  if (!status) status = plan_home_folder(&c->arena, "objects", &objects);
  if (!status) status = cg_cache_work_begin(&c->arena, objects, &folder);
  if (!status) status = link_in(c, package, &parts, folder, output);
  if (folder) cg_cache_work_end(folder);
  rt_package_close(package);
  cli_progress_end(c);
  if (!status && stat(output, &info) == 0) *out_bytes = (uint64_t)info.st_size;
  return status;
}
