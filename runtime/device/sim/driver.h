// The CUDA driver's table over the simulator (engine.h): device memory is the process's memory with guards around it,
// streams do what they are given at once, in order, and launches run the engine. One device, whose architecture is
// "sim": compute capability 0.0, by which the layer above knows what code to look for.
//
// It behaves as the driver does where that matters: handles are checked, a kernel that a check stops fails its context
// for good, and memory is only what is left. WEIR_SIM in the environment, a comma list read when the context is made,
// says more: "unchecked" (memory is accessed directly), "seed=N" (another order of threads), "memory=BYTES" (what the
// device has).
//
// As the driver is one for a process, so is this: its state is a process's, behind a lock.
#ifndef WEIR_RUNTIME_DEVICE_SIM_DRIVER_H
#define WEIR_RUNTIME_DEVICE_SIM_DRIVER_H

#include "runtime/device/cuda/driver.h"

#ifdef __cplusplus
extern "C" {
#endif

// A table that needs no closing.
void rt_sim_driver(rt_cuda_driver *out_driver);

// Blocks of device and pinned memory, modules, streams, events and graphs that are there now: tests look for leaks.
int64_t rt_sim_driver_live(void);

#ifdef __cplusplus
}
#endif
#endif
