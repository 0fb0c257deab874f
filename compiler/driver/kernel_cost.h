// The work of a kernel at given sizes, as codegen/lower/kernel_cost.h counts it: arithmetic, and bytes read and
// written.
//
// Arithmetic on nothing but weights is the price of how they are stored, not the model's: it is counted apart.
#ifndef WEIR_COMPILER_DRIVER_KERNEL_COST_H
#define WEIR_COMPILER_DRIVER_KERNEL_COST_H

#include "ir/kernel.h"

typedef struct {
  double flops;         // the model's float operations; a multiply-add is two
  double decode_flops;  // on weights alone: decoding their blocks
  double bf16_ops;      // of dot products of bf16 pairs
  double int8_ops;      // of dot products of bytes
  double bytes;         // read and written; what is touched again comes from a cache
} cli_work;

typedef struct {
  const int64_t *sizes;  // of the kernel
  int64_t items;         // of the launch
  // What element |index| of argument |arg| is, where it decides how much is done (tables of requests and positions); 0
  // for the rest.
  int64_t (*element)(void *user, int arg, int64_t index);
  // Bytes behind argument |arg|: what is read again comes from a cache. Below 0: unknown.
  int64_t (*extent)(void *user, int arg);
  bool (*is_weight)(void *user, int arg);
  void *user;
} cli_kernel_launch;

// Adds to |work|. Items are sampled, loops are counted by their first iteration: an estimate, exact where iterations
// are equal.
void cli_kernel_count(const ir_kernel *kernel, const cli_kernel_launch *launch, cli_work *work);

#endif
