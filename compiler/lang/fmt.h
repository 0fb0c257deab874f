// The formatter: one layout for everybody. Two spaces, 120 columns, comments kept, at most one empty line in a row.
// A fixed point: formatting its result changes nothing, and the tree is the same.
#ifndef WEIR_COMPILER_LANG_FMT_H
#define WEIR_COMPILER_LANG_FMT_H

#include "compiler/lang/ast.h"

#ifdef __cplusplus
extern "C" {
#endif

// The whole file as text that ends with a newline (empty for an empty file), in |arena|. The file must be ok.
char *lang_format(weir_arena *arena, const lang_file *file);

#ifdef __cplusplus
}
#endif
#endif
