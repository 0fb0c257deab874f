// Kernels and programs that belong to no model, made runnable on a device: for measuring machines and templates.
//
// They go the way of every model: compiled for the device, written as a package, loaded, run by executors. The package
// lies in the cache's folder only until it has been mapped.
#ifndef WEIR_COMPILER_PLAN_PROBE_H
#define WEIR_COMPILER_PLAN_PROBE_H

#include "codegen/lower/lower.h"
#include "runtime/weir.h"

typedef struct {
  const char *name;    // of the model
  const char *device;  // "cuda:0", "sim"; null or "cpu": the processor
  const char *isa;     // code to make and run; null: the best for the device
  const ir_kernel *const *kernels;
  int kernel_count;
  const rt_program *const *programs;
  int program_count;
  const cg_weight *weights;  // random numbers, the same for every probe
  int weight_count;
  const int *cancel;  // may be null
} plan_probe;

// The code of |arena|'s device as a target: "cuda:sm_90a", "sim". NOT_FOUND, UNSUPPORTED: no such device.
weir_status plan_device_target(weir_arena *arena, const char *device, const char *isa,
                               const char **out_target) WEIR_MUST_USE;

// Kernels that the device's architecture cannot hold are left out: programs that launch them fail to load, as
// UNSUPPORTED or NOT_FOUND. Else the failures of cg_cpu_compile, cg_cuda_compile and weir_model_load.
weir_status plan_probe_load(weir_arena *arena, const plan_probe *probe, weir_model **out_model) WEIR_MUST_USE;

#endif
