// What is known of one open text: its program, diagnostics, index and values. Made anew when any open text changed.
#ifndef WEIR_COMPILER_LSP_ANALYSIS_H
#define WEIR_COMPILER_LSP_ANALYSIS_H

#include "compiler/lang/service.h"
#include "compiler/lsp/document.h"
#include "compiler/lsp/index.h"

typedef struct {
  weir_arena arena;
  lang_diags diags;
  lang_program *program;  // null when the text is too long
  lsp_index *index;
  lang_watch watch;
} lsp_analysis;

// |models|: the folder of the library, or null. Never null but without memory; lsp_analysis_free in any case.
lsp_analysis *lsp_analysis_create(const lsp_documents *docs, const lsp_document *doc, const char *models);
void lsp_analysis_free(lsp_analysis *analysis);

// The text of a file of the program as it was read; null for no such file.
const lang_source *lsp_source(const lsp_analysis *analysis, int32_t file);

#endif
