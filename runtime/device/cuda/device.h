// A CUDA device under executors: rt_device_ops over the driver's table, for a GPU and for the simulator alike.
//
// An executor's queue is a stream. A call whose launches have no loops around them is one graph, made once for each set
// of launches that run together and patched from call to call; others, and calls that are timed, are launched one by
// one. With WEIR_CHECK_LAUNCHES=1 in the environment each launch is waited for, so that a fault names its kernel.
//
// A fault of a kernel, or any failure that leaves it open what has been done, loses the device for this process: later
// calls say DEVICE_LOST and why, nothing crashes, and all of the model can still be let go. When the last model on the
// device has gone, the driver makes a new context for the next one.
#ifndef WEIR_RUNTIME_DEVICE_CUDA_DEVICE_H
#define WEIR_RUNTIME_DEVICE_CUDA_DEVICE_H

#include "runtime/device/cuda/driver.h"
#include "runtime/exec/device.h"
#include "runtime/exec/from_package.h"

#ifdef __cplusplus
extern "C" {
#endif

// Opens "cuda", "cuda:N" or "sim" and makes a model of |package| on it (taken, on failure too). UNSUPPORTED: no such
// device, a driver too old, no code in the package for it; NOT_FOUND: no driver; OUT_OF_MEMORY: how much is missing.
weir_status rt_cuda_model(const char *device, rt_package *package, const weir_load_options *options,
                          weir_model **out_model) WEIR_MUST_USE;

// Device |ordinal| of the driver, which is taken, on failure too.
weir_status rt_cuda_device_open(const rt_cuda_driver *driver, int ordinal, const weir_allocator *allocator,
                                rt_device **out_device) WEIR_MUST_USE;

// What a device says of itself, for `weir doctor` and for tables of results.
typedef struct {
  char name[128], arch[16];  // "sm_90"
  int64_t memory;
} rt_cuda_facts;
weir_status rt_cuda_describe(const rt_cuda_driver *driver, int ordinal, rt_cuda_facts *out_facts) WEIR_MUST_USE;
// The same of a device by its name, as rt_cuda_model takes it.
weir_status rt_cuda_describe_named(const char *device, rt_cuda_facts *out_facts) WEIR_MUST_USE;

// How well code for |arch| ("sm_80", "sm_90a", "ptx", "sim") runs on a device of |own|: 0 not at all, else the larger
// the better: exact with all features, exact, made for an older one of the family, PTX.
int rt_cuda_arch_rank(const char *own, const char *arch);

#ifdef __cplusplus
}
#endif
#endif
