// The front half once more, and the compilers where the cache has forgotten; or the C text of a package.
#include "compiler/plan/parts.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/plan/home.h"
#include "compiler/plan/internal.h"

// Room for |targets|, and what compilers are to be told.
static weir_status begin(weir_arena *arena, const plan_request *request, const char *const *targets, int target_count,
                         plan_parts *out, cg_cpu_options *options) {
  *out = (plan_parts){.level_count = target_count};
  out->isas = WEIR_NEW_ARRAY(arena, cg_cpu_isa, target_count);
  out->objects = WEIR_NEW_ARRAY(arena, cg_cpu_object, target_count);
  for (int i = 0; i < target_count; i++) WEIR_TRY(cg_cpu_isa_find(arena, targets[i], &out->isas[i]));
  *options = (cg_cpu_options){.cancel = request->cancel, .want_parts = true};
  plan_tell(request, "compiling kernels", -1);
  return plan_home_folder(arena, "objects", &options->cache_dir);
}

static weir_status compile(plan_unit *unit, const char *const *targets, int target_count, plan_parts *out) {
  weir_arena *arena = unit->arena;
  const cg_module *code = unit->code;
  cg_cpu_options options;
  WEIR_TRY(begin(arena, unit->request, targets, target_count, out, &options));
  out->kernel_count = code->kernel_count;
  out->kernels = WEIR_NEW_ARRAY(arena, const char *, code->kernel_count + 1);
  for (int i = 0; i < code->kernel_count; i++) out->kernels[i] = code->kernels[i]->name;
  return cg_cpu_compile(arena, (const ir_kernel *const *)code->kernels, code->kernel_count, out->isas, target_count,
                        &options, out->objects);
}

weir_status plan_parts_make(weir_arena *arena, const plan_request *request, const char *const *targets,
                            int target_count, lang_diags *diags, plan_parts *out_parts) {
  plan_unit unit = {0};
  *out_parts = (plan_parts){0};
  weir_status status = plan_read(arena, request, diags, &unit);
  if (!status) status = plan_front(&unit);
  if (!status) status = compile(&unit, targets, target_count, out_parts);
  plan_close(&unit);
  return status;
}

// ---- of a package

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

// The kernels that the programs for the CPU name, each once.
static weir_status kernels_named(weir_arena *arena, const rt_package *package, plan_parts *out) {
  int capacity = 0, kept = 0;
  for (int i = 0; i < rt_package_section_count(package); i++) {
    const rt_section *section = rt_package_section(package, i);
    rt_program *program = NULL;
    const char *entry;
    if (strncmp(section->name, RT_SECTION_PROGRAM, strlen(RT_SECTION_PROGRAM)) ||
        rt_program_family(section->name + strlen(RT_SECTION_PROGRAM), &entry))
      continue;
    WEIR_TRY(rt_package_check(package, section));
    WEIR_TRY(rt_program_parse(arena, (const char *)section->data, section->bytes, &program));
    for (int k = 0; k < program->kernel_count; k++)
      WEIR_PUSH(arena, out->kernels, out->kernel_count, capacity, program->kernels[k].symbol);
  }
  if (out->kernel_count) qsort(out->kernels, (size_t)out->kernel_count, sizeof *out->kernels, by_text);
  for (int i = 0; i < out->kernel_count; i++)
    if (!i || strcmp(out->kernels[i], out->kernels[kept - 1])) out->kernels[kept++] = out->kernels[i];
  out->kernel_count = kept;
  return WEIR_OK;
}

weir_status plan_parts_of_package(weir_arena *arena, const rt_package *package, const plan_request *request,
                                  const char *const *targets, int target_count, plan_parts *out_parts) {
  cg_cpu_options options;
  const rt_section *text = rt_package_find(package, RT_SECTION_KERNELS "cpu.c");
  WEIR_TRY(begin(arena, request, targets, target_count, out_parts, &options));
  if (!text) return weir_status_make(WEIR_CODE_INVALID_DATA, "the package has no C text of its kernels");
  WEIR_TRY(rt_package_check(package, text));
  WEIR_TRY(kernels_named(arena, package, out_parts));
  weir_status status = cg_cpu_compile_text(arena, (const char *)text->data, text->bytes, out_parts->isas, target_count,
                                           &options, out_parts->objects);
  if (weir_status_code(status) != WEIR_CODE_INTERNAL) return status;
  weir_status refused =
      weir_status_make(WEIR_CODE_INVALID_DATA, "the C text of the package's kernels: %s", weir_status_message(status));
  weir_status_release(status);
  return refused;
}
