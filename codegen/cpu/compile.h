// Kernels to shared objects: splits them over C files, runs the system C compiler on all files and ISA levels in
// parallel, links one object per level, and keeps the results in a cache named by content.
//
// The compiler is $CC (its first word; further words are arguments), else cc, gcc or clang, whichever is found first on
// PATH; it is started directly, without a shell. A cache entry is named by the BLAKE2b hash of source, flags and the
// compiler's version line; it appears by rename, carries its own hash and is rebuilt if that does not match. Deleting
// the cache is always safe and processes may share it.
#ifndef WEIR_CODEGEN_CPU_COMPILE_H
#define WEIR_CODEGEN_CPU_COMPILE_H

#include "codegen/cpu/isa.h"
#include "ir/kernel.h"

typedef struct {
  const char *cache_dir;  // made if missing
  int jobs;               // compilers at once; 0: the number of cores
  const char *optimize;   // null: "-O2"
  const int *cancel;      // stops when it becomes non-zero; may be null
} cg_cpu_options;

typedef struct {
  const char *path;       // the shared object in the cache; arena
  const char *toolchain;  // the compiler's version line, for the package's record; arena
  int64_t bytes;
  bool cached;     // found, not compiled
  double seconds;  // wall time spent on this call for all levels together
} cg_cpu_object;

// |out_objects[i]| belongs to |isas[i]|. The kernels are verified and have different names; every kernel is an exported
// symbol. No kernels give an object without symbols. UNSUPPORTED without a C compiler; INTERNAL with the compiler's
// messages and the path of the kept source if it refuses ours; CANCELLED; IO for the rest. Nothing is left behind in
// the cache on failure but that source.
weir_status cg_cpu_compile(weir_arena *arena, const ir_kernel *const *kernels, int kernel_count, const cg_cpu_isa *isas,
                           int isa_count, const cg_cpu_options *options, cg_cpu_object *out_objects) WEIR_MUST_USE;

#endif
