// Text to syntax tree. Errors are collected in |diags| and parsing goes on at the next statement.
#ifndef WEIR_COMPILER_LANG_PARSE_H
#define WEIR_COMPILER_LANG_PARSE_H

#include "compiler/lang/ast.h"
#include "compiler/lang/diag.h"

#ifdef __cplusplus
extern "C" {
#endif

// Never null. The file's |ok| says whether the tree is whole; what could not be read is left out. The source must be
// known to |diags| (lang_diags_source_add) for its errors to be shown with their lines; it and |arena| must outlive the
// tree.
lang_file *lang_parse(weir_arena *arena, const lang_source *source, lang_diags *diags);

#ifdef __cplusplus
}
#endif
#endif
