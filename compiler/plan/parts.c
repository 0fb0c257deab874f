// The front half once more, and the compilers where the cache has forgotten.
#include "compiler/plan/parts.h"

#include "compiler/plan/home.h"
#include "compiler/plan/internal.h"

static weir_status compile(plan_unit *unit, const char *const *targets, int target_count, plan_parts *out) {
  weir_arena *arena = unit->arena;
  const cg_module *code = unit->code;
  cg_cpu_options options = {.cancel = unit->request->cancel, .want_parts = true};
  out->level_count = target_count;
  out->isas = WEIR_NEW_ARRAY(arena, cg_cpu_isa, target_count);
  out->objects = WEIR_NEW_ARRAY(arena, cg_cpu_object, target_count);
  out->kernel_count = code->kernel_count;
  out->kernels = WEIR_NEW_ARRAY(arena, const char *, code->kernel_count + 1);
  for (int i = 0; i < code->kernel_count; i++) out->kernels[i] = code->kernels[i]->name;
  for (int i = 0; i < target_count; i++) WEIR_TRY(cg_cpu_isa_find(arena, targets[i], &out->isas[i]));
  WEIR_TRY(plan_home_folder(arena, "objects", &options.cache_dir));
  plan_tell(unit->request, "compiling kernels", -1);
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
