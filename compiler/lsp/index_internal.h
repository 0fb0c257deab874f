// What the two files of the index share: index.c declares and looks up, index_walk.c follows uses.
#ifndef WEIR_COMPILER_LSP_INDEX_INTERNAL_H
#define WEIR_COMPILER_LSP_INDEX_INTERNAL_H

#include "compiler/lsp/index.h"

typedef struct {
  lsp_index *index;
  const lang_file *file;
  lsp_scope *scope;
} lsp_walker;

lsp_scope *lsp_scope_push(lsp_walker *w, lang_span span);
void lsp_scope_pop(lsp_walker *w);
// Declares a symbol in |scope| (null: at file level) unless it is there; the index.
int lsp_declare(lsp_walker *w, lsp_scope *scope, const lsp_symbol *symbol);
void lsp_occur(lsp_walker *w, int symbol, lang_span span, const lang_expr *expr, bool definition);
// The names that an expression's value has: of the block it is an instance (or list of instances) of. Or null.
const lsp_scope *lsp_block_of(const lsp_walker *w, const lang_expr *expr);
// The longest beginning of |parts| that names a symbol: in |inside| if given, else from the walker's scope. Its number
// of parts, 0 for none.
int lsp_longest(const lsp_walker *w, const lsp_scope *inside, const lang_name *parts, int count, int *out_symbol);

// Declares the parameters, members and functions of a block or model body.
void lsp_declare_params(lsp_walker *w, const lang_params *params, lsp_symbol_kind kind);
void lsp_declare_body(lsp_walker *w, const lang_body *body);

// index_walk.c: all uses in an item whose names are declared. |symbol|: of a fn, block or model.
void lsp_walk_item(lsp_walker *w, const lang_item *item, int symbol);

#endif
