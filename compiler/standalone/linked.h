// Kernels that are linked into the program instead of loaded: the tables that `weir build --standalone` generates
// (codegen/cpu/standalone.c), as a source of code.
#ifndef WEIR_COMPILER_STANDALONE_LINKED_H
#define WEIR_COMPILER_STANDALONE_LINKED_H

#include "runtime/exec/from_package.h"

#ifdef __cplusplus
extern "C" {
#endif

// Generated. One element for each level; kernels of a level are sorted by name.
extern const int weir_linked_levels;
extern const char *const weir_linked_isas[];
extern const char *const weir_linked_features[];
extern const int weir_linked_counts[];
extern const char *const *const weir_linked_names[];
extern void (*const *const weir_linked_functions[])(void);
// Generated. The package, without code, page aligned.
extern const unsigned char *const weir_linked_package;
extern const unsigned long weir_linked_package_bytes;

// The best level that this machine can run, or the one that is asked for. UNSUPPORTED: none.
extern const rt_code_source rt_linked_code;

#ifdef __cplusplus
}
#endif
#endif
