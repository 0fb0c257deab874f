// Counting the work of a kernel at given sizes, from its kernel IR: floating point operations and bytes read and
// written.
#ifndef WEIR_COMPILER_DRIVER_KERNEL_COST_H
#define WEIR_COMPILER_DRIVER_KERNEL_COST_H

#include "ir/kernel.h"

typedef struct {
  const int64_t *sizes;  // of the kernel
  int64_t items;         // of the launch
  // What element |index| of argument |arg| is, where it decides how much is done (tables of requests and positions); 0
  // for the rest.
  int64_t (*element)(void *user, int arg, int64_t index);
  // Bytes behind argument |arg|: what is read again comes from a cache. Below 0: unknown.
  int64_t (*extent)(void *user, int arg);
  void *user;
} cli_kernel_launch;

// Adds to |*flops| and |*bytes|. Items are sampled, loops are counted by their first iteration: an estimate, exact
// where iterations are equal.
void cli_kernel_count(const ir_kernel *kernel, const cli_kernel_launch *launch, double *flops, double *bytes);

#endif
