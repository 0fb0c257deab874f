// The functions that a code object exports: names and sizes, from its dynamic symbol table. Reads the file's bytes
// alone: nothing is loaded, and any machine's objects can be read.
#ifndef WEIR_CODEGEN_PACKAGE_SYMBOLS_H
#define WEIR_CODEGEN_PACKAGE_SYMBOLS_H

#include "runtime/base/arena.h"

typedef struct {
  const char *name;
  uint64_t bytes;
} cg_symbol;

// Sorted by name; |arena| holds the list and the names. INVALID_DATA for what is no 64-bit little-endian ELF file with
// such a table inside its bounds.
weir_status cg_object_symbols(weir_arena *arena, const void *data, size_t bytes, cg_symbol **out_symbols,
                              int *out_count) WEIR_MUST_USE;

#endif
