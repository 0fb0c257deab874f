// Models from parts: for tests and for the compiler's own runs (kernels by the interpreter, programs that are in no
// package). weir_model_load is this over the sections of a package.
#ifndef WEIR_RUNTIME_EXEC_MODEL_H
#define WEIR_RUNTIME_EXEC_MODEL_H

#include "runtime/base/alloc.h"
#include "runtime/base/hash.h"
#include "runtime/base/program.h"
#include "runtime/exec/device.h"
#include "runtime/exec/kernels.h"
#include "runtime/weir.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const char *name;                   // of the model; copied
  const char *isa;                    // what weir_model_isa says; copied
  const rt_program *const *programs;  // borrowed for the model's life; each is verified again
  int program_count;
  rt_kernel_provider provider;  // taken: destroyed with the model, on failure too
  rt_device *device;            // null: the host. Borrowed likewise: |destroy_weights| may end it
  // Finds the bytes of weight |path|, in the device's memory, 64-byte aligned, |bytes| long, valid for the model's
  // life. May be null if no program has weights.
  weir_status (*find_weight)(void *context, const char *path, int64_t bytes, const void **out_data);
  void *weight_context;
  void (*destroy_weights)(void *context);  // called once when the model goes, on failure too. May be null
  weir_hash identity;                      // exported sessions fit models of the same identity
  const weir_allocator *allocator;         // null: the system's
} rt_model_parts;

// INVALID_DATA: a program that contradicts itself or another one of the model (states of one path must agree).
weir_status rt_model_create(const rt_model_parts *parts, weir_model **out_model) WEIR_MUST_USE;

const rt_program *rt_entry_program(const weir_entry *entry);

#ifdef __cplusplus
}
#endif
#endif
