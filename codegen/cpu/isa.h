// ISA levels of the CPU target: what the C compiler is told and what the runtime must find before it uses the code.
//
// Levels are rows of isa.def. A level is named in targets as `cpu:LEVEL`; plain `cpu` is the machine's own. Code of one
// level runs on every machine that has all its features; bits may differ between levels (fused multiply-add), never
// within one.
#ifndef WEIR_CODEGEN_CPU_ISA_H
#define WEIR_CODEGEN_CPU_ISA_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef struct {
  const char *name;      // as in isa.def; "native"
  const char *arch;      // "x86_64", "aarch64"
  const char *flags;     // for the C compiler, separated by single spaces
  const char *features;  // what a machine must have: a list for rt_cpu_has_features, with commas; may be ""
} cg_cpu_isa;

// |target| is "cpu" (the same as "cpu:native") or "cpu:LEVEL". The strings live in |arena| or forever.
// INVALID_ARGUMENT lists the levels if there is no such one; UNSUPPORTED if plain `cpu` has no level for this machine.
weir_status cg_cpu_isa_find(weir_arena *arena, const char *target, cg_cpu_isa *out_isa) WEIR_MUST_USE;

// The architecture this program was compiled for.
const char *cg_cpu_arch_here(void);

// Whether the running machine has every feature that |isa| needs and lets this process use it.
bool cg_cpu_isa_runs_here(const cg_cpu_isa *isa);

// All level names in the table's order, then "native"; null after the last.
const char *const *cg_cpu_isa_names(void);

#endif
