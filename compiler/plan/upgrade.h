// Old packages to new ones: the whole pipeline again, over the package's own texts, plan, weights and tokenizer.
#ifndef WEIR_COMPILER_PLAN_UPGRADE_H
#define WEIR_COMPILER_PLAN_UPGRADE_H

#include "compiler/plan/build.h"
#include "runtime/package/package.h"

// Fills |request| with what the package says of itself: its model, plan and parameters. Of |request| the folder of
// models, cancel and progress are the caller's. Strings live in |arena| and in the package.
weir_status plan_package_request(weir_arena *arena, const rt_package *package, plan_request *request) WEIR_MUST_USE;

// |package| was opened with |any_version| and must outlive the call; |path| gets the new package, for the targets of
// the old one. UNSUPPORTED names what has no way into the current format.
weir_status plan_upgrade(weir_arena *arena, const rt_package *package, const plan_request *request, const char *path,
                         lang_diags *diags, plan_result *out_result) WEIR_MUST_USE;

#endif
