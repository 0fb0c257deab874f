// A model from an open package, with code that is loaded from it (load.c) or linked into the program
// (compiler/standalone).
#ifndef WEIR_RUNTIME_EXEC_FROM_PACKAGE_H
#define WEIR_RUNTIME_EXEC_FROM_PACKAGE_H

#include "runtime/exec/device.h"
#include "runtime/exec/kernels.h"
#include "runtime/package/package.h"
#include "runtime/weir.h"

#ifdef __cplusplus
extern "C" {
#endif

// Where the code of a package comes from. |isa| null: the best that this machine can run. UNSUPPORTED: none.
typedef struct {
  weir_status (*open)(void *context, const rt_package *package, const char *isa, const weir_allocator *allocator,
                      rt_kernel_provider *out_provider, const char **out_isa);
  void *context;
  rt_device *device;  // null: the host. Else taken, with the package
  // The family of devices that run code of |isa|: "cuda/" or another. Programs of the package for it are the model's,
  // else those under "cuda/". Null: programs of processors.
  const char *(*family)(const char *isa);
} rt_code_source;

// |package| and the device are taken, on failure too; the model lets go of them. Of |options| the allocator, the isa
// and the required key count.
weir_status rt_model_from_package(rt_package *package, const weir_load_options *options, const rt_code_source *code,
                                  weir_model **out_model) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
