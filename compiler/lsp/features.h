// What a language server answers, each a JSON result for one analysed text and a place in it. Null JSON where there is
// nothing to say. None changes anything; all take texts with errors.
#ifndef WEIR_COMPILER_LSP_FEATURES_H
#define WEIR_COMPILER_LSP_FEATURES_H

#include "compiler/lsp/analysis.h"

json_t *lsp_diagnostics(const lsp_analysis *analysis);
json_t *lsp_hover(lsp_analysis *analysis, size_t offset);
json_t *lsp_definition(lsp_analysis *analysis, size_t offset);
json_t *lsp_references(lsp_analysis *analysis, size_t offset, bool with_declaration);
json_t *lsp_highlights(lsp_analysis *analysis, size_t offset);
json_t *lsp_completion(lsp_analysis *analysis, const lsp_document *doc, size_t offset);
json_t *lsp_symbols(lsp_analysis *analysis);
json_t *lsp_tokens(lsp_analysis *analysis);
json_t *lsp_formatting(lsp_analysis *analysis, const lsp_document *doc);
// The range that would be renamed, or null.
json_t *lsp_prepare_rename(lsp_analysis *analysis, size_t offset, const char *models);
// A WorkspaceEdit; or null and |*out_error| (static or in the analysis' arena).
json_t *lsp_rename(lsp_analysis *analysis, size_t offset, const char *name, const char *models, const char **out_error);

// The legend of lsp_tokens.
json_t *lsp_token_types(void);

#endif
