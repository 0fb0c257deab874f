// Code of a package for devices beside the CPU: targets "cuda", "cuda:sm_90a" ..., "sim" and "sim:sm_90a". Those with
// the sm_90a set have kernels of their own, in unit->sm_90a_code; the others' are in unit->device_code.
#ifndef WEIR_COMPILER_PLAN_DEVICE_H
#define WEIR_COMPILER_PLAN_DEVICE_H

#include <jansson.h>

#include "codegen/cuda/compile.h"
#include "compiler/plan/internal.h"
#include "runtime/package/package.h"

typedef struct {
  cg_cuda_object *objects;  // |seconds| of sim too
  int count;
} plan_device_code;

// Whether |target| is one of these.
bool plan_is_device_target(const char *target);
// Whether code for it is that of GPUs with the sm_90a set, and of others; "cuda" has both.
bool plan_is_sm_90a_target(const char *target);
bool plan_is_other_device_target(const char *target);
// INVALID_ARGUMENT if there is no such target.
weir_status plan_check_device_target(const char *target) WEIR_MUST_USE;
// The target that |object| of a package was built for, as on the command line.
const char *plan_object_target(weir_arena *arena, const rt_package_object *object);
// Compiles the unit's kernels for devices (lowered for all that |targets| ask for) for those of |targets| that are
// devices'. UNSUPPORTED without NVRTC.
weir_status plan_device_compile(plan_unit *unit, const char *const *targets, int target_count,
                                plan_device_code *out) WEIR_MUST_USE;
// The kernels of |code| for |target|, of one architecture; in |arena|.
weir_status plan_device_compile_one(const plan_request *request, weir_arena *arena, const cg_module *code,
                                    const char *target, cg_cuda_object *out) WEIR_MUST_USE;
// What it took, by object; in |arena|.
plan_target_time *plan_device_times(weir_arena *arena, const plan_device_code *code, int *out_count);
// Adds what the manifest says of the code, and the sections.
void plan_device_manifest(const plan_device_code *code, json_t *objects);
weir_status plan_device_sections(const plan_unit *unit, const plan_device_code *code,
                                 cg_package_writer *writer) WEIR_MUST_USE;
// The text of all kernels for GPUs that have been lowered, each once; in the unit's arena.
weir_status plan_device_text(const plan_unit *unit, const char **out_text) WEIR_MUST_USE;

#endif
