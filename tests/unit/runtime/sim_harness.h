// Kernels by hand for sim: their text is put behind the prelude, compiled by the system compiler, loaded and launched.
//
// Lines in reports count from the first line of the kernels' text.
#ifndef WEIR_TESTS_UNIT_RUNTIME_SIM_HARNESS_H
#define WEIR_TESTS_UNIT_RUNTIME_SIM_HARNESS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/device/sim/engine.h"

static const char sim_prelude[] __attribute__((unused)) =
#include "codegen/cuda/prelude_sim.inc"
#include "codegen/text/prelude_scalar.inc"
    ;

#define OK(expr)                                                \
  do {                                                          \
    weir_status ok_ = (expr);                                   \
    cr_assert(!ok_, "%s: %s", #expr, weir_status_message(ok_)); \
  } while (0)

// Parameters of every kernel here: four pointers, four numbers.
typedef struct {
  void *args[4];
  int64_t dims[4];
  int64_t items;
  void *scratch;
  int64_t scratch_stride;
} sim_params;

// The struct of a kernel, and its opening.
#define SIM_STRUCT(name) \
  "struct " name "_params { void *args[4]; i64 dims[4]; i64 items; void *scratch; i64 scratch_stride; };\n"

// A whole file, prelude and all.
static inline rt_sim_object *sim_compile_file_as(const char *text, const char *optimize) {
  char folder[] = "/tmp/weir-sim-XXXXXX", source[64], object[64], command[512];
  cr_assert(mkdtemp(folder));
  snprintf(source, sizeof(source), "%s/k.c", folder);
  snprintf(object, sizeof(object), "%s/k.so", folder);
  FILE *file = fopen(source, "w");
  cr_assert(file);
  fputs(text, file);
  fclose(file);
  const char *cc = getenv("CC");
  snprintf(command, sizeof(command),
           "%s -std=gnu11 %s -w -Wno-psabi -fPIC -shared -fvisibility=hidden -fwrapv -ffp-contract=off -o %s %s -lm",
           cc ? cc : "cc", optimize, object, source);
  cr_assert_eq(system(command), 0, "%s", command);
  rt_sim_object *loaded = NULL;
  OK(rt_sim_object_load(object, &loaded));
  unlink(source);
  unlink(object);
  rmdir(folder);
  return loaded;
}

static inline rt_sim_object *sim_compile_file(const char *text) { return sim_compile_file_as(text, "-O1"); }

static inline rt_sim_object *sim_compile(const char *text) {
  char *all = malloc(sizeof(sim_prelude) + strlen(text) + 32);
  cr_assert(all);
  sprintf(all, "%s\n#line 1\n%s", sim_prelude, text);
  rt_sim_object *object = sim_compile_file(all);
  free(all);
  return object;
}

// Launches |name| and gives the report; a fault is in it.
static inline rt_sim_report sim_run(rt_sim *sim, const rt_sim_object *object, const char *name,
                                    const sim_params *params, rt_sim_launch_options options) {
  const rt_sim_kernel *kernel = NULL;
  rt_sim_report report;
  OK(rt_sim_object_find(object, name, &kernel));
  options.params = params;
  if (!options.grid) options.grid = 1;
  weir_status status = rt_sim_launch(sim, kernel, &options, &report);
  cr_assert_eq(!status, report.check == RT_SIM_none, "%s: %s", name, weir_status_message(status));
  weir_status_release(status);
  return report;
}

#endif
