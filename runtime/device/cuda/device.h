// A CUDA device under executors: rt_device_ops over the driver's table, for a GPU and for the simulator alike.
//
// An executor's queue is a stream. A call whose launches have no loops around them is one graph, made once for each set
// of launches that run together and patched from call to call; others, and calls that are timed, are launched one by
// one. Kernels that wait by themselves begin before those before have ended, unless WEIR_OVERLAP=0 is set. With
// WEIR_CHECK_LAUNCHES=1 in the environment each launch is waited for, so that a fault names its kernel.
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
// Bytes that are free now, and all that there are.
weir_status rt_cuda_memory_named(const char *device, int64_t *out_free, int64_t *out_total) WEIR_MUST_USE;

// The device alone, as rt_cuda_model takes it, for who makes models of parts; and code for it that lies in memory,
// which must stay there as long: an object's section, its facts.
weir_status rt_cuda_device_named(const char *device, const weir_allocator *allocator,
                                 rt_device **out_device) WEIR_MUST_USE;
weir_status rt_cuda_code_from(rt_device *device, const void *data, size_t bytes, const char *facts,
                              rt_kernel_provider *out_provider) WEIR_MUST_USE;

// How well code for |arch| ("sm_80", "sm_90a", "ptx", "sim") runs on a device of |own|: 0 not at all, else the larger
// the better: exact with all features, exact, made for an older one of the family, PTX.
int rt_cuda_arch_rank(const char *own, const char *arch);
// Whose programs code for |arch| goes with: RT_SECTION_SM_90A of what has wgmma, else RT_SECTION_DEVICE.
const char *rt_cuda_family(const char *arch);

#ifdef __cplusplus
}
#endif
#endif
