// Where kernels come from: a code object of the package, functions of a test, or the interpreter of the kernel IR.
//
// The executor resolves each symbol once, when a model is made, and then calls plain function pointers.
#ifndef WEIR_RUNTIME_EXEC_KERNELS_H
#define WEIR_RUNTIME_EXEC_KERNELS_H

#include "runtime/base/program.h"
#include "runtime/base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// Exactly one of |native| and |run| is set. Both may be called by several threads at once, for different items of one
// launch.
typedef struct rt_kernel_entry {
  rt_kernel_fn native;
  // Non-zero fails the whole call with INTERNAL, naming the kernel.
  int (*run)(void *context, void *const *args, const int64_t *dims, int64_t begin, int64_t end, void *scratch);
  void *context;
} rt_kernel_entry;

typedef struct rt_kernel_provider {
  void *context;
  // NOT_FOUND if there is no such kernel. |kernel| says what the program passes (argument and size counts).
  weir_status (*lookup)(void *context, const rt_kernel *kernel, rt_kernel_entry *out_entry);
  // Called once when the model goes. May be null.
  void (*destroy)(void *context);
} rt_kernel_provider;

#ifdef __cplusplus
}
#endif
#endif
