// What the tests of the CPU target share: kernels are compiled for every level that this machine runs, itself or under
// an emulator, started on poisoned outputs and compared with the interpreter.
#ifndef WEIR_TESTS_CPU_HARNESS_H
#define WEIR_TESTS_CPU_HARNESS_H

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/compile.h"
#include "codegen/cpu/isa.h"
#include "codegen/cpu/print.h"
#include "ir/kernel.h"
#include "runtime/base/half.h"
#include "runtime/base/program.h"
#include "tests/common/scratch.h"
#include "tests/tools/amx_emulator.h"
#include "tests/unit/codegen/cpu_remote.h"

enum { CPU_MAX_LEVELS = 12 };

typedef struct {
  weir_arena arena;
  int level_count;
  cg_cpu_isa levels[CPU_MAX_LEVELS];
  void *objects[CPU_MAX_LEVELS];  // null: emulated
  cpu_remote remotes[CPU_MAX_LEVELS];
  runner_arg tables;  // of every table argument, for emulated levels: pointers, and bytes behind each
  cg_cpu_object info[CPU_MAX_LEVELS];
  char cache[SCRATCH_BYTES];  // for objects; empty: those of all tests
  const char *optimize;       // null: as shipped
  bool traps;                 // tiles are emulated instruction by instruction: code that has some is loaded here
} cpu_rig;

static inline void cpu_must(weir_status status) {
  if (status) cr_assert_fail("%s", weir_status_message(status));
}

static inline void cpu_rig_init_levels(cpu_rig *rig, const char *const *names) {
  memset(rig, 0, sizeof *rig);
  weir_arena_init(&rig->arena);
  for (const char *const *name = names; *name; name++) {
    cg_cpu_isa *isa = &rig->levels[rig->level_count];
    cpu_must(cg_cpu_isa_find(&rig->arena, weir_arena_printf(&rig->arena, "cpu:%s", *name), isa));
    if (cg_cpu_isa_runs_here(isa) || cpu_remote_processor(isa)) rig->level_count++;
    else fprintf(stderr, "skipped: this machine does not run '%s', and no emulator is set up\n", *name);
  }
  cr_assert_gt(rig->level_count, 0);
}

// Adds level `amx`, whose instructions are emulated where there is no AMX; the rest of it must be here. False if not.
static inline bool cpu_rig_add_amx(cpu_rig *rig) {
  cg_cpu_isa *isa = &rig->levels[rig->level_count], rest;
  cpu_must(cg_cpu_isa_find(&rig->arena, "cpu:x86-64-v4-bf16", &rest));
  if (!cg_cpu_isa_runs_here(&rest)) return false;
  cpu_must(cg_cpu_isa_find(&rig->arena, "cpu:amx", isa));
  fprintf(stderr, "'amx' runs %s\n", cg_cpu_isa_runs_here(isa) ? "natively" : "with its tiles emulated");
  amx_emulator_install();
  rig->traps = true;
  rig->level_count++;
  return true;
}

// Levels that differ in more than dot products.
static inline void cpu_rig_init(cpu_rig *rig) {
  static const char *const names[] = {"portable", "x86-64-v3", "x86-64-v4", "aarch64", "native", NULL};
  cpu_rig_init_levels(rig, names);
}

static inline void cpu_rig_compile(cpu_rig *rig, const ir_kernel *const *kernels, int count) {
  for (int i = 0; i < count; i++) cpu_must(ir_kernel_verify(kernels[i]));
  cg_cpu_options options = {
      .cache_dir = rig->cache[0] ? rig->cache : KEPT_OBJECTS, .cache_bytes = KEPT_BYTES, .optimize = rig->optimize};
  cpu_must(cg_cpu_compile(&rig->arena, kernels, count, rig->levels, rig->level_count, &options, rig->info));
  for (int i = 0; i < rig->level_count; i++) {
    bool emulated = rig->traps && strstr(rig->levels[i].features, "amx-tile");
    if (!emulated && !cg_cpu_isa_runs_here(&rig->levels[i])) {
      cr_assert(cpu_remote_start(&rig->remotes[i], &rig->levels[i], rig->info[i].path));
      continue;
    }
    rig->objects[i] = dlopen(rig->info[i].path, RTLD_NOW | RTLD_LOCAL);
    cr_assert(rig->objects[i] != NULL, "%s", dlerror());
  }
}

static inline void cpu_run(const cpu_rig *rig, int level, const ir_kernel *k, void *const *args, const int64_t *dims,
                           int64_t begin, int64_t end) {
  int64_t bytes;
  cpu_must(cg_scratch_bytes(k, &bytes));
  if (!rig->objects[level]) {
    cpu_remote remote = rig->remotes[level];
    cr_assert(cpu_remote_run(&remote, k, args, dims, begin, end, bytes, &rig->tables), "%s fails in emulation of '%s'",
              k->name, rig->levels[level].name);
    return;
  }
  rt_kernel_fn fn;
  void *symbol = dlsym(rig->objects[level], k->name);
  cr_assert(symbol != NULL, "%s is not exported", k->name);
  memcpy(&fn, &symbol, sizeof fn);
  void *scratch = aligned_alloc(64, (size_t)bytes + 64);
  memset(scratch, 0xAB, (size_t)bytes + 64);
  fn(args, dims, begin, end, scratch);
  for (int i = 0; i < 64; i++)
    cr_assert_eq(((uint8_t *)scratch)[bytes + i], 0xAB, "%s writes past its scratch", k->name);
  free(scratch);
}

// Whether the level's fma rounds once, as the interpreter's does.
static inline bool cpu_is_fused(const cg_cpu_isa *isa) {
  return !strcmp(isa->arch, "aarch64") || strstr(isa->features, "fma");
}

static inline void cpu_rig_deinit(cpu_rig *rig) {
  for (int i = 0; i < rig->level_count; i++) {
    if (rig->objects[i]) dlclose(rig->objects[i]);
    cpu_remote_stop(&rig->remotes[i]);
  }
  weir_arena_deinit(&rig->arena);
}

// A deterministic stream of bits.
static inline uint64_t cpu_random(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}
static inline float cpu_random_float(uint64_t *state) {
  return (float)((double)(cpu_random(state) >> 11) * 0x1p-52 - 1.0);
}

#endif
