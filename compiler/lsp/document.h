// Open texts, and places in them as editors count: lines and UTF-16 units from 0.
#ifndef WEIR_COMPILER_LSP_DOCUMENT_H
#define WEIR_COMPILER_LSP_DOCUMENT_H

#include <jansson.h>

#include "compiler/lang/source.h"

typedef struct {
  char *uri, *path;  // own memory; a URI that is no file is its own path
  char *text;        // |length| bytes and a NUL
  size_t length;
  int64_t version;
  bool stale;  // its diagnostics are older than its text
} lsp_document;

typedef struct {
  lsp_document **data;
  int count, capacity;
} lsp_documents;

void lsp_documents_deinit(lsp_documents *docs);
lsp_document *lsp_documents_find(const lsp_documents *docs, const char *uri);
// Opens or replaces. Null when there is no memory.
lsp_document *lsp_documents_open(lsp_documents *docs, const char *uri, const char *text, size_t length);
void lsp_documents_close(lsp_documents *docs, const char *uri);
// Applies one element of contentChanges; a range beyond the text is clamped. False when it has no text.
bool lsp_document_change(lsp_document *doc, const json_t *change);

// The byte offset of a position of a text; clamped.
size_t lsp_offset(const char *text, size_t length, const json_t *position);
// {"line", "character"} of a byte offset.
json_t *lsp_position(const char *text, size_t length, size_t offset);
// {"start", "end"} of a span of a source; of its beginning for no place.
json_t *lsp_range(const lang_source *source, lang_span span);

json_t *lsp_uri_of_path(const char *path);

#endif
