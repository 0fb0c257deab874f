// A package as the source of a build: its texts instead of files, its weights instead of a checkpoint. Private to
// compiler/plan; upgrade.h is what others use.
#ifndef WEIR_COMPILER_PLAN_FROM_PACKAGE_H
#define WEIR_COMPILER_PLAN_FROM_PACKAGE_H

#include <jansson.h>

#include "compiler/plan/internal.h"
#include "runtime/package/package.h"

// Loads the program of |unit| from the package's `source/` sections. INVALID_DATA where they are not what their `use`
// lines ask for, naming the section.
weir_status plan_package_texts(plan_unit *unit, const rt_package *package, const lang_search *search) WEIR_MUST_USE;
// Makes |unit->checkpoint| of the package's weights, under the paths that they have in the model. UNSUPPORTED names a
// weight in a layout of which there is no way back.
weir_status plan_package_weights(plan_unit *unit, const rt_package *package) WEIR_MUST_USE;
// Fills |unit->sources|: each weight is the tensor of its own path. INVALID_DATA names one that the package lacks.
weir_status plan_package_bind(plan_unit *unit) WEIR_MUST_USE;
// What `f` means in the package; false if it does not say.
bool plan_package_float(const rt_package *package, ir_dtype *out_dtype);
// What the new manifest takes from the old one. INVALID_DATA where parameters of the model came out otherwise: then it
// was built with others than its manifest can tell.
weir_status plan_package_manifest(const rt_package *package, json_t *manifest) WEIR_MUST_USE;
// The manifest as JSON, for the caller to release; null if there is no memory.
json_t *plan_package_manifest_read(const rt_package *package);

#endif
