#include "compiler/lsp/analysis.h"

#include <stdlib.h>
#include <string.h>

lsp_analysis *lsp_analysis_create(const lsp_documents *docs, const lsp_document *doc, const char *models) {
  lsp_analysis *a = calloc(1, sizeof *a);
  if (!a) return NULL;
  weir_arena_init(&a->arena);
  lang_diags_init(&a->diags, &a->arena);
  lang_watch_init(&a->watch, &a->arena);
  lang_overlay *overlays = WEIR_NEW_ARRAY(&a->arena, lang_overlay, docs->count + 1);
  for (int i = 0; i < docs->count; i++)
    overlays[i] = (lang_overlay){docs->data[i]->path, docs->data[i]->text, docs->data[i]->length};
  lang_search search = {
      .folders = &models, .count = models ? 1 : 0, .overlays = overlays, .overlay_count = docs->count};
  weir_status status = lang_load_text(&a->arena, doc->path, doc->text, doc->length, &search, &a->diags, &a->program);
  if (status) {
    weir_status_release(status);
    a->program = NULL;
    return a;
  }
  lang_check_observed(&a->arena, a->program, &a->watch.observer, &a->diags);
  lang_diags_sort(&a->diags);
  a->index = lsp_index_create(&a->arena, a->program);
  return a;
}

void lsp_analysis_free(lsp_analysis *analysis) {
  if (!analysis) return;
  weir_arena_deinit(&analysis->arena);
  free(analysis);
}

const lang_source *lsp_source(const lsp_analysis *analysis, int32_t file) {
  return lang_diags_source(&analysis->diags, file);
}
