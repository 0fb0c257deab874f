// Targets of devices to objects and sections.
#include "compiler/plan/device.h"

#include <stdio.h>
#include <string.h>

#include "codegen/cuda/print.h"
#include "codegen/cuda/sim.h"
#include "compiler/plan/home.h"
#include "runtime/package/format.h"

bool plan_is_device_target(const char *target) {
  return !strcmp(target, "sim") || !strcmp(target, "cuda") || !strncmp(target, "cuda:", 5);
}

weir_status plan_check_device_target(const char *target) {
  cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
  int count;
  return strcmp(target, "sim") ? cg_cuda_archs_find(target, archs, &count) : WEIR_OK;
}

const char *plan_object_target(weir_arena *arena, const rt_package_object *object) {
  if (!strcmp(object->features, "sim")) return "sim";
  return weir_arena_printf(arena, "%s:%s", strcmp(object->features, "cuda") ? "cpu" : "cuda", object->isa);
}

static void tell_compiled(void *user, const char *kernel, int done, int total) {
  char text[160];
  snprintf(text, sizeof text, "compiling %s for cuda", kernel);
  plan_tell(user, text, (double)done / (double)total);
}

// Each architecture once, in the order of the targets.
static weir_status archs_collect(const char *const *targets, int target_count, cg_cuda_arch *out, int *out_count,
                                 bool *out_sim) {
  *out_count = 0;
  *out_sim = false;
  for (int i = 0; i < target_count; i++) {
    cg_cuda_arch found[CG_CUDA_MAX_ARCHS];
    int count = 0;
    *out_sim |= !strcmp(targets[i], "sim");
    if (!plan_is_device_target(targets[i]) || !strcmp(targets[i], "sim")) continue;
    WEIR_TRY(cg_cuda_archs_find(targets[i], found, &count));
    for (int k = 0; k < count; k++) {
      bool known = false;
      for (int j = 0; j < *out_count; j++) known |= !strcmp(out[j].name, found[k].name);
      if (!known) out[(*out_count)++] = found[k];
    }
  }
  return WEIR_OK;
}

weir_status plan_device_compile(plan_unit *unit, const char *const *targets, int target_count, plan_device_code *out) {
  cg_cuda_arch *archs = WEIR_NEW_ARRAY(unit->arena, cg_cuda_arch, CG_CUDA_MAX_ARCHS);
  int count;
  bool sim;
  *out = (plan_device_code){NULL, 0};
  WEIR_TRY(archs_collect(targets, target_count, archs, &count, &sim));
  if (!count && !sim) return WEIR_OK;
  const ir_kernel *const *kernels = (const ir_kernel *const *)unit->device_code->kernels;
  cg_cuda_options options = {
      .cancel = unit->request->cancel, .progress = tell_compiled, .user = (void *)(uintptr_t)unit->request};
  WEIR_TRY(plan_home_folder(unit->arena, "objects", &options.cache_dir));
  out->objects = WEIR_NEW_ARRAY(unit->arena, cg_cuda_object, count + 1);
  if (count) {
    cg_cuda_built built;
    plan_tell(unit->request, "compiling kernels for cuda", -1);
    WEIR_TRY(cg_cuda_compile(unit->arena, kernels, unit->device_code->kernel_count, archs, count, &options, &built));
    for (int i = 0; i < count; i++) out->objects[out->count++] = built.objects[i];
  }
  if (!sim) return WEIR_OK;
  plan_tell(unit->request, "compiling kernels for sim", -1);
  return cg_cuda_sim_compile(unit->arena, kernels, unit->device_code->kernel_count, &options,
                             &out->objects[out->count++]);
}

plan_target_time *plan_device_times(weir_arena *arena, const plan_device_code *code, int *out_count) {
  plan_target_time *times = WEIR_NEW_ARRAY(arena, plan_target_time, code->count + 1);
  for (int i = 0; i < code->count; i++) {
    const cg_cuda_object *o = &code->objects[i];
    const char *target = strcmp(o->arch, "sim") ? weir_arena_printf(arena, "cuda:%s", o->arch) : o->arch;
    times[i] = (plan_target_time){target, o->units, o->compiled, o->seconds};
  }
  *out_count = code->count;
  return times;
}

// A feature that no processor has keeps the loader of the CPU away.
void plan_device_manifest(const plan_device_code *code, json_t *objects) {
  for (int i = 0; i < code->count; i++) {
    const char *kind = strcmp(code->objects[i].arch, "sim") ? "cuda" : "sim";
    json_array_append_new(objects,
                          json_pack("{s:s,s:s,s:s}", "isa", code->objects[i].arch, "arch", kind, "features", kind));
  }
}

weir_status plan_device_text(const plan_unit *unit, const char **out_text) {
  int count = unit->device_code->kernel_count;
  cg_cuda_print_options options = {.prelude = CG_CUDA_PTX};
  cg_cuda_kernel *list = WEIR_NEW_ARRAY(unit->arena, cg_cuda_kernel, count + 1);
  for (int i = 0; i < count; i++)
    WEIR_TRY(cg_cuda_print(unit->arena, unit->device_code->kernels[i], &options, &list[i]));
  *out_text = cg_cuda_file(unit->arena, CG_CUDA_PTX, list, count);
  return WEIR_OK;
}

weir_status plan_device_sections(const plan_unit *unit, const plan_device_code *code, cg_package_writer *writer) {
  for (int i = 0; i < code->count; i++) {
    const cg_cuda_object *o = &code->objects[i];
    const char *name = weir_arena_printf(unit->arena, RT_SECTION_OBJECT "%s", o->arch);
    WEIR_TRY(cg_package_add(writer, name, o->data, o->bytes));
    WEIR_TRY(cg_package_add(writer, weir_arena_printf(unit->arena, "%s.facts", name), o->facts, strlen(o->facts)));
  }
  if (!code->count) return WEIR_OK;
  const char *text;
  WEIR_TRY(plan_device_text(unit, &text));
  return cg_package_add(writer, RT_SECTION_KERNELS "cuda", text, strlen(text));
}
