// Code objects: an ELF shared object from memory becomes callable kernels.
//
// It is written to an anonymous file and opened from there, so that nothing touches the disk; with WEIR_CODE_DIR=FOLDER
// in the environment to a file of that folder, for profilers. The caller has checked its hash: code runs with all
// rights of the process.
#ifndef WEIR_RUNTIME_DEVICE_CPU_OBJECT_H
#define WEIR_RUNTIME_DEVICE_CPU_OBJECT_H

#include "runtime/base/alloc.h"
#include "runtime/exec/kernels.h"
#include "runtime/package/package.h"

#ifdef __cplusplus
extern "C" {
#endif

// INVALID_DATA: no ELF shared object of this architecture; IO: the system or the dynamic linker refused, with its
// words.
weir_status rt_object_open(const void *data, size_t bytes, const weir_allocator *allocator,
                           rt_kernel_provider *out_provider) WEIR_MUST_USE;

// Chooses the best object of |package| that this machine can run (or |isa|, if not null), checks its hash and opens it.
// UNSUPPORTED: none fits; says what the package has and the machine can.
weir_status rt_object_open_best(const rt_package *package, const char *isa, const weir_allocator *allocator,
                                rt_kernel_provider *out_provider, const char **out_isa) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
