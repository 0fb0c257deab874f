// Models on a device for a search: the weights are there once, for all schedules that are tried.
#include <stdio.h>
#include <string.h>

#include "compiler/plan/device.h"
#include "compiler/plan/tune.h"
#include "runtime/device/cuda/device.h"
#include "runtime/exec/model.h"

weir_status plan_tune_device_open(const char *name, const plan_packed *packed, plan_tune_device *out) {
  rt_cuda_facts facts;
  *out = (plan_tune_device){.packed = packed};
  WEIR_TRY(rt_cuda_describe_named(name, &facts));
  snprintf(out->name, sizeof out->name, "%s", facts.name);
  WEIR_TRY(rt_cuda_device_named(name, weir_allocator_system(), &out->device));
  if (!packed->bytes) return WEIR_OK;
  const rt_device_ops *ops = out->device->ops;
  WEIR_TRY(ops->alloc(out->device, packed->bytes, &out->weights));
  return ops->upload(out->device, &(rt_piece){out->weights, packed->data, packed->bytes}, 1);
}

void plan_tune_device_close(plan_tune_device *device) {
  if (!device->device) return;
  const rt_device_ops *ops = device->device->ops;
  if (device->weights) ops->free(device->device, device->weights, device->packed->bytes);
  ops->destroy(device->device);
  *device = (plan_tune_device){0};
}

static weir_status find(void *context, const char *key, int64_t bytes, const void **out_data) {
  const plan_tune_device *d = context;
  for (int i = 0; i < d->packed->count; i++) {
    if (strcmp(d->packed->weights[i].key, key) || d->packed->weights[i].bytes != bytes) continue;
    *out_data = d->weights + d->packed->offsets[i];
    return WEIR_OK;
  }
  return weir_status_make(WEIR_CODE_INTERNAL, "weight '%s' was not packed", key);
}

weir_status plan_tune_device_model(plan_tune_device *d, weir_arena *arena, const plan_unit *unit, const cg_module *code,
                                   const char *target, weir_model **out_model) {
  cg_cuda_object *object = WEIR_NEW(arena, cg_cuda_object);
  rt_model_parts parts = {.name = unit->graph->name,
                          .isa = target,
                          .programs = (const rt_program *const *)code->programs,
                          .program_count = code->program_count,
                          .device = d->device,
                          .find_weight = find,
                          .weight_context = d};
  WEIR_TRY(plan_device_compile_one(unit->request, arena, code, target, object));
  WEIR_TRY(rt_cuda_code_from(d->device, object->data, object->bytes, object->facts, &parts.provider));
  return rt_model_create(&parts, out_model);
}
