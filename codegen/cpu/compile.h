// Kernels to shared objects: prints each to a C file, runs the system C compiler on all files and ISA levels in
// parallel, links one object per level, and keeps object code and objects in a cache named by content.
//
// A file holds one kernel, or a few small ones; which, depends on the kernels alone. The code of a file is kept under
// the BLAKE2b hash of its text, the prelude, the flags and the compiler's version line, so a changed kernel costs the
// compilation of its own file and a link. What comes out depends on none of: the state of the cache, the number of
// cores, the order in which compilers end.
//
// The compiler is $CC (its first word; further words are arguments), else cc, gcc or clang, whichever is found first on
// PATH; for another architecture it is a cross compiler (process.h). It is started directly, without a shell.
#ifndef WEIR_CODEGEN_CPU_COMPILE_H
#define WEIR_CODEGEN_CPU_COMPILE_H

#include "codegen/cpu/isa.h"
#include "ir/kernel.h"

typedef struct {
  const char *cache_dir;   // made if missing
  int jobs;                // compilers at once; 0: the number of cores
  const char *optimize;    // null: "-O2"
  const int *cancel;       // stops when it becomes non-zero; may be null
  int64_t cache_bytes;     // what may lie in the cache after this call; 0: 256 MiB
  const char *source_dir;  // not null: objects get line numbers; their C files are kept in this folder. Made if missing
  bool want_parts;         // |parts| of the objects are to be there, even if the objects are cached
  // After each file that was compiled: its first kernel and how many of |total| are done. May be null.
  void (*progress)(void *user, const char *kernel, int done, int total);
  void *user;
} cg_cpu_options;

typedef struct {
  const char *path;          // the shared object in the cache; arena
  const char *toolchain;     // the compiler's version line, for the package's record; arena
  const char *const *parts;  // of want_parts: the relocatable objects it is linked from, position independent; arena
  int part_count;
  int64_t bytes;
  bool cached;     // found, not linked
  int compiled;    // parts that were compiled for it
  double seconds;  // wall time spent on this call for all levels together
} cg_cpu_object;

// |out_objects[i]| belongs to |isas[i]|. The kernels are verified and have different names; every kernel is an exported
// symbol. No kernels give an object without symbols. UNSUPPORTED without a C compiler; INTERNAL with the compiler's
// messages and the path of the kept source if it refuses ours; CANCELLED; IO for the rest. On failure the cache keeps
// what was compiled, and the source that was refused.
weir_status cg_cpu_compile(weir_arena *arena, const ir_kernel *const *kernels, int kernel_count, const cg_cpu_isa *isas,
                           int isa_count, const cg_cpu_options *options, cg_cpu_object *out_objects) WEIR_MUST_USE;
// The same for what cg_cpu_print has printed, as one file.
weir_status cg_cpu_compile_text(weir_arena *arena, const char *text, size_t bytes, const cg_cpu_isa *isas,
                                int isa_count, const cg_cpu_options *options, cg_cpu_object *out_objects) WEIR_MUST_USE;

#endif
