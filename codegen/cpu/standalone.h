// Linking a program that needs nothing: kernels, the runtime and a package in one static ELF file, by the system
// compiler and binutils' objcopy.
//
// Kernels of all levels have the same names. Each level's objects are joined into one relocatable object in which the
// level's tables alone are visible; the tables are what compiler/standalone/linked.h declares.
#ifndef WEIR_CODEGEN_CPU_STANDALONE_H
#define WEIR_CODEGEN_CPU_STANDALONE_H

#include "codegen/cpu/compile.h"

typedef struct {
  const char *isa, *features;
  const char *const *parts;  // relocatable objects (cg_cpu_options.want_parts)
  int part_count;
} cg_linked_level;

typedef struct {
  const char *arch;  // of all levels
  const cg_linked_level *levels;
  int level_count;
  const char *const *kernels;  // names, the same in every level; any order
  int kernel_count;
  const char *package;  // path; embedded as it is, page aligned
  const char *runtime;  // path of the static library with `main`
  const char *folder;   // for work in progress; what is written there is the caller's to remove
  const int *cancel;    // may be null
} cg_standalone;

// Writes the program to |path|, which appears when it is complete. UNSUPPORTED without a compiler or objcopy;
// INTERNAL with the linker's words if it refuses; CANCELLED; IO.
weir_status cg_standalone_link(weir_arena *arena, const cg_standalone *what, const char *path) WEIR_MUST_USE;

#endif
