// Better schedules for the machine that builds: `weir build --tune`.
//
// Builds the unit's code with one other schedule at a time (only what changes is compiled), calls the model's entries
// with either, one beside the other, and keeps what is faster by the rule of tune_search.h. Questions are asked in the
// order of the time that their kernels take. What was tried goes into the package, and each answer into the cache,
// where the next search on such a machine finds it; builds that do not tune never look there.
#ifndef WEIR_COMPILER_PLAN_TUNE_H
#define WEIR_COMPILER_PLAN_TUNE_H

#include "compiler/plan/internal.h"
#include "runtime/exec/device.h"

// Replaces |unit->code| by code of the same weights with the schedules found. |target| as in plan_build; it must run
// here. |*out_record| is what the package's section `tuning` holds: JSON, arena text. CANCELLED where somebody asked to
// stop; what was found by then lies in the cache.
weir_status plan_tune(plan_unit *unit, const plan_packed *packed, const char *target,
                      const char **out_record) WEIR_MUST_USE;

// Before weights are packed for a search on a device: the unit's code becomes code that has all weights which any
// answer may want.
weir_status plan_tune_widen(plan_unit *unit) WEIR_MUST_USE;

// ---- tune_device.c: models on a device, of code and weights that are in no package
typedef struct {
  rt_device *device;
  const plan_packed *packed;
  uint8_t *weights;  // all of |packed|, there
  char name[128];    // what the device says of itself
} plan_tune_device;
// To be closed in any case, after its models.
weir_status plan_tune_device_open(const char *name, const plan_packed *packed, plan_tune_device *out) WEIR_MUST_USE;
void plan_tune_device_close(plan_tune_device *device);
// |code| compiled for |target|, in |arena| with what the model borrows.
weir_status plan_tune_device_model(plan_tune_device *device, weir_arena *arena, const plan_unit *unit,
                                   const cg_module *code, const char *target, weir_model **out_model) WEIR_MUST_USE;

// ---- tune_record.c

typedef struct {
  const char *machine, *features, *target, *toolchain;
  int threads;
} plan_tune_place;

// An answer of the cache for |question| at |place|; false if there is none that fits.
bool plan_tune_recall(const plan_tune_place *place, const cg_question *question, int64_t *out_value, double *out_gain);
// Puts one there. The search goes on without it where that fails.
void plan_tune_remember(const plan_tune_place *place, const cg_question *question, int64_t value, double gain);

#endif
