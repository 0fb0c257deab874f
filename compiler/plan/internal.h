// Shared by the files of compiler/plan only.
#ifndef WEIR_COMPILER_PLAN_INTERNAL_H
#define WEIR_COMPILER_PLAN_INTERNAL_H

#include "codegen/package/writer.h"
#include "compiler/plan/build.h"

void plan_tell(const plan_request *request, const char *what, double fraction);
// CANCELLED if somebody asked to stop.
weir_status plan_check_cancel(const plan_request *request) WEIR_MUST_USE;

// ---- front.c: without a checkpoint every weight must have an initial value; random ones are not made up unless they
// are asked for.
weir_status plan_check_initial_values(const plan_unit *unit) WEIR_MUST_USE;
// Lowers the unit's graph once more with these schedules; all is in |arena|, which may be shorter-lived than the
// unit's.
weir_status plan_lower(plan_unit *unit, weir_arena *arena, const cg_choice *choices, int choice_count,
                       cg_module **out_code) WEIR_MUST_USE;

// Of a package for devices alone: the code of the devices, already lowered, becomes the unit's.
void plan_code_alone(plan_unit *unit, bool sm_90a);
// Puts |code| where the unit's is.
void plan_code_replace(plan_unit *unit, cg_module *code);

// ---- rules.c: reads and tests the rules of the library and of the model, once a text; hands them to the module;
// complains about those that never came to an end, after the passes.
weir_status plan_read_rules(plan_unit *unit) WEIR_MUST_USE;
void plan_use_rules(plan_unit *unit);
weir_status plan_check_rules(plan_unit *unit) WEIR_MUST_USE;

// ---- stores.c: after lowering: fills |unit->kept| and warns.
void plan_check_stores(plan_unit *unit);

// ---- computes.c: after lowering: warns of products that are not computed as the plan says.
void plan_check_computes(plan_unit *unit);

// ---- package.c: writes the whole package to |path|.
weir_status plan_write_package(plan_unit *unit, const char *path, const char *const *targets, int target_count,
                               plan_result *result) WEIR_MUST_USE;

// ---- weights.c: every weight of the unit's code, for processors and for devices, in the layout of its kernels. Those
// of the code for processors come first, in its order.
typedef struct {
  const cg_weight *weights;
  int count;
  uint8_t *data;  // a mapping of an unnamed file: dirty pages go to disk when memory is short
  size_t bytes;
  int64_t *offsets;  // of each weight; multiples of 64
} plan_packed;
// |packed| is to be released in any case.
weir_status plan_pack_weights(plan_unit *unit, plan_packed *out_packed) WEIR_MUST_USE;
weir_status plan_write_weights(const plan_unit *unit, const plan_packed *packed,
                               cg_package_writer *writer) WEIR_MUST_USE;
void plan_packed_release(plan_packed *packed);
// The weights of a module as rt_model_parts wants them; |context| is a plan_weights_of.
typedef struct {
  const cg_module *code;
  const plan_packed *packed;
} plan_weights_of;
weir_status plan_packed_find(void *context, const char *key, int64_t bytes, const void **out_data) WEIR_MUST_USE;

// ---- source.c: what a bind says about a weight, as numbers.
typedef struct {
  weir_storage storage;
  int rank;
  int64_t dims[IMPORT_MAX_RANK];
  bool raw;  // its rows are rows of the checkpoint's tensors, unchanged
} plan_source_shape;
// INVALID_DATA if the checkpoint lacks a tensor or shapes do not fit together.
weir_status plan_source_inspect(const import_checkpoint *checkpoint, const lang_tensor_source *source,
                                plan_source_shape *out_shape) WEIR_MUST_USE;
// Row |row| of a raw source: its bytes in the checkpoint.
const uint8_t *plan_source_row(const import_checkpoint *checkpoint, const lang_tensor_source *source, int64_t row);
// All elements as float32, row-major; memory from malloc, the caller frees it.
weir_status plan_source_decode(const import_checkpoint *checkpoint, const lang_tensor_source *source,
                               float **out_data) WEIR_MUST_USE;

#endif
