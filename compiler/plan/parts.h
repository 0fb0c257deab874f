// The code of a model as relocatable objects, for programs that link it.
#ifndef WEIR_COMPILER_PLAN_PARTS_H
#define WEIR_COMPILER_PLAN_PARTS_H

#include "codegen/cpu/compile.h"
#include "compiler/plan/build.h"
#include "runtime/package/package.h"

typedef struct {
  cg_cpu_isa *isas;
  cg_cpu_object *objects;  // with parts, in the cache of objects: to be linked at once
  int level_count;
  const char **kernels;  // names
  int kernel_count;
} plan_parts;

// What plan_build compiled for |targets|, from the cache where it still is. Structures live in |arena|.
weir_status plan_parts_make(weir_arena *arena, const plan_request *request, const char *const *targets,
                            int target_count, lang_diags *diags, plan_parts *out_parts) WEIR_MUST_USE;

// The same from a package alone: its C text is compiled again. INVALID_DATA where that is refused, or is not there. Of
// |request| cancel and progress count.
weir_status plan_parts_of_package(weir_arena *arena, const rt_package *package, const plan_request *request,
                                  const char *const *targets, int target_count, plan_parts *out_parts) WEIR_MUST_USE;

#endif
