// Targets of devices to objects and sections.
#include "compiler/plan/device.h"

#include <stdio.h>
#include <string.h>

#include "codegen/cuda/print.h"
#include "codegen/cuda/sim.h"
#include "compiler/plan/home.h"
#include "runtime/package/format.h"

static const char sim_sm_90a[] = "sim:sm_90a";
#define SIM_OBJECT "sim_"  // and an architecture: the object of its kernels for sim

static bool is_sim(const char *target) { return !strcmp(target, "sim") || !strcmp(target, sim_sm_90a); }

bool plan_is_sm_90a_target(const char *target) {
  return !strcmp(target, "cuda") || !strcmp(target, "cuda:sm_90a") || !strcmp(target, sim_sm_90a);
}

bool plan_is_other_device_target(const char *target) {
  return plan_is_device_target(target) && (!strcmp(target, "cuda") || !plan_is_sm_90a_target(target));
}

bool plan_is_device_target(const char *target) {
  return is_sim(target) || !strcmp(target, "cuda") || !strncmp(target, "cuda:", 5);
}

weir_status plan_check_device_target(const char *target) {
  cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
  int count;
  return is_sim(target) ? WEIR_OK : cg_cuda_archs_find(target, archs, &count);
}

const char *plan_object_target(weir_arena *arena, const rt_package_object *object) {
  size_t prefix = strlen(SIM_OBJECT);
  if (!strncmp(object->isa, SIM_OBJECT, prefix)) return weir_arena_printf(arena, "sim:%s", object->isa + prefix);
  if (!strcmp(object->features, "sim")) return "sim";
  return weir_arena_printf(arena, "%s:%s", strcmp(object->features, "cuda") ? "cpu" : "cuda", object->isa);
}

static void tell_compiled(void *user, const char *kernel, int done, int total) {
  char text[160];
  snprintf(text, sizeof text, "compiling %s for cuda", kernel);
  plan_tell(user, text, (double)done / (double)total);
}

// What |targets| ask for: each architecture once, in their order, those with the sm_90a set last.
typedef struct {
  cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
  int count, others;  // of them without that set
  bool sim, sim_sm_90a;
} wanted_code;

static void arch_add(wanted_code *w, const cg_cuda_arch *arch) {
  for (int i = 0; i < w->count; i++)
    if (!strcmp(w->archs[i].name, arch->name)) return;
  bool last = !strcmp(arch->name, "sm_90a");
  if (!last && w->count > w->others) w->archs[w->count] = w->archs[w->others];
  w->archs[last ? w->count : w->others] = *arch;
  w->count++;
  w->others += !last;
}

static weir_status wanted_collect(const char *const *targets, int target_count, wanted_code *w) {
  for (int i = 0; i < target_count; i++) {
    cg_cuda_arch found[CG_CUDA_MAX_ARCHS];
    int count = 0;
    w->sim |= !strcmp(targets[i], "sim");
    w->sim_sm_90a |= !strcmp(targets[i], sim_sm_90a);
    if (!plan_is_device_target(targets[i]) || is_sim(targets[i])) continue;
    WEIR_TRY(cg_cuda_archs_find(targets[i], found, &count));
    for (int k = 0; k < count; k++) arch_add(w, &found[k]);
  }
  return WEIR_OK;
}

static weir_status compile_archs(plan_unit *unit, const cg_module *code, const cg_cuda_arch *archs, int count,
                                 const cg_cuda_options *options, plan_device_code *out) {
  cg_cuda_built built;
  if (!count) return WEIR_OK;
  plan_tell(unit->request, "compiling kernels for cuda", -1);
  WEIR_TRY(cg_cuda_compile(unit->arena, (const ir_kernel *const *)code->kernels, code->kernel_count, archs, count,
                           options, &built));
  for (int i = 0; i < count; i++) out->objects[out->count++] = built.objects[i];
  return WEIR_OK;
}

static weir_status compile_sim(plan_unit *unit, const cg_module *code, const char *name, const cg_cuda_options *options,
                               plan_device_code *out) {
  cg_cuda_object *object = &out->objects[out->count++];
  plan_tell(unit->request, "compiling kernels for sim", -1);
  WEIR_TRY(
      cg_cuda_sim_compile(unit->arena, (const ir_kernel *const *)code->kernels, code->kernel_count, options, object));
  object->arch = name;
  return WEIR_OK;
}

weir_status plan_device_compile(plan_unit *unit, const char *const *targets, int target_count, plan_device_code *out) {
  wanted_code *w = WEIR_NEW(unit->arena, wanted_code);
  cg_cuda_options options = {
      .cancel = unit->request->cancel, .progress = tell_compiled, .user = (void *)(uintptr_t)unit->request};
  *out = (plan_device_code){NULL, 0};
  WEIR_TRY(wanted_collect(targets, target_count, w));
  if (!w->count && !w->sim && !w->sim_sm_90a) return WEIR_OK;
  WEIR_TRY(plan_home_folder(unit->arena, "objects", &options.cache_dir));
  out->objects = WEIR_NEW_ARRAY(unit->arena, cg_cuda_object, w->count + 2);
  WEIR_TRY(compile_archs(unit, unit->device_code, w->archs, w->others, &options, out));
  WEIR_TRY(compile_archs(unit, unit->sm_90a_code, w->archs + w->others, w->count - w->others, &options, out));
  if (w->sim) WEIR_TRY(compile_sim(unit, unit->device_code, "sim", &options, out));
  if (w->sim_sm_90a) WEIR_TRY(compile_sim(unit, unit->sm_90a_code, SIM_OBJECT "sm_90a", &options, out));
  return WEIR_OK;
}

weir_status plan_device_compile_one(const plan_request *request, weir_arena *arena, const cg_module *code,
                                    const char *target, cg_cuda_object *out) {
  const ir_kernel *const *kernels = (const ir_kernel *const *)code->kernels;
  cg_cuda_options options = {.cancel = request->cancel};
  cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
  cg_cuda_built built;
  int count;
  WEIR_TRY(plan_home_folder(arena, "objects", &options.cache_dir));
  if (is_sim(target)) return cg_cuda_sim_compile(arena, kernels, code->kernel_count, &options, out);
  WEIR_TRY(cg_cuda_archs_find(target, archs, &count));
  WEIR_TRY(cg_cuda_compile(arena, kernels, code->kernel_count, archs, 1, &options, &built));
  *out = built.objects[0];
  return WEIR_OK;
}

static bool is_sim_object(const char *arch) {
  return !strcmp(arch, "sim") || !strncmp(arch, SIM_OBJECT, strlen(SIM_OBJECT));
}

plan_target_time *plan_device_times(weir_arena *arena, const plan_device_code *code, int *out_count) {
  plan_target_time *times = WEIR_NEW_ARRAY(arena, plan_target_time, code->count + 1);
  for (int i = 0; i < code->count; i++) {
    const cg_cuda_object *o = &code->objects[i];
    const char *kind = is_sim_object(o->arch) ? "sim" : "cuda";
    const char *target = plan_object_target(arena, &(rt_package_object){.isa = o->arch, .features = kind});
    times[i] = (plan_target_time){target, o->units, o->compiled, o->seconds};
  }
  *out_count = code->count;
  return times;
}

// A feature that no processor has keeps the loader of the CPU away.
void plan_device_manifest(const plan_device_code *code, json_t *objects) {
  for (int i = 0; i < code->count; i++) {
    const char *kind = is_sim_object(code->objects[i].arch) ? "sim" : "cuda";
    json_array_append_new(objects,
                          json_pack("{s:s,s:s,s:s}", "isa", code->objects[i].arch, "arch", kind, "features", kind));
  }
}

// Names have a hash of all that a kernel is.
static bool is_among(const cg_module *code, const char *name) {
  for (int i = 0; code && i < code->kernel_count; i++)
    if (!strcmp(code->kernels[i]->name, name)) return true;
  return false;
}

weir_status plan_device_text(const plan_unit *unit, const char **out_text) {
  const cg_module *const all[] = {unit->device_code, unit->sm_90a_code};
  cg_cuda_print_options options = {.prelude = CG_CUDA_PTX};
  cg_cuda_kernel *list = NULL;
  int count = 0, capacity = 0;
  for (int m = 0; m < 2; m++) {
    for (int i = 0; all[m] && i < all[m]->kernel_count; i++) {
      cg_cuda_kernel printed;
      if (m && is_among(all[0], all[m]->kernels[i]->name)) continue;
      WEIR_TRY(cg_cuda_print(unit->arena, all[m]->kernels[i], &options, &printed));
      WEIR_PUSH(unit->arena, list, count, capacity, printed);
    }
  }
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
