// The limits of a device, measured on it: what memory can be copied and read, how many multiply-adds its units do from
// registers and shared memory, what a launch in a graph costs. Kernels of its own, in kernel IR, compiled for it.
#ifndef WEIR_COMPILER_PLAN_DEVICE_ROOF_H
#define WEIR_COMPILER_PLAN_DEVICE_ROOF_H

#include "ir/kernel.h"
#include "runtime/base/arena.h"

// Best of several runs. 0: the device has no unit for it.
typedef struct {
  double read_bytes_per_s;
  double copy_bytes_per_s;  // read and written bytes together
  double flops_per_s;       // float32, a multiply-add is two
  double bf16_ops_per_s, fp8_ops_per_s, int8_ops_per_s;
  double launch_s;  // of an empty kernel that waits for the one before it
  bool simulated;   // rates of the simulator, which say nothing
} plan_device_roof;

// About a second on a GPU. UNSUPPORTED: no NVRTC; else the failures of plan_probe_load and weir_run.
weir_status plan_device_roof_measure(weir_arena *arena, const char *device, const char *isa, const int *cancel,
                                     plan_device_roof *out) WEIR_MUST_USE;

// What it measures with; for tests.
weir_status plan_device_roof_kernels(weir_arena *arena, ir_kernel ***out_kernels, int *out_count) WEIR_MUST_USE;

#endif
