#include "compiler/lsp/document.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- URIs

static int hex(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

// From malloc.
static char *path_of_uri(const char *uri) {
  const char *at = uri;
  if (!strncmp(uri, "file://", 7)) {
    at = strchr(uri + 7, '/');
    if (!at) at = uri + 7;
  }
  char *path = calloc(1, strlen(at) + 1);
  for (size_t n = 0; path && *at; at++) {
    bool coded = at != uri && *at == '%' && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2]);
    int byte = coded ? 16 * hex(at[1]) + hex(at[2]) : (unsigned char)*at;
    if (coded) at += 2;
    if (byte) path[n++] = (char)byte;
  }
  return path;
}

json_t *lsp_uri_of_path(const char *path) {
  char whole[PATH_MAX];
  if (strstr(path, "://") || !strncmp(path, "untitled:", 9)) return json_string(path);
  if (*path != '/' && realpath(path, whole)) path = whole;
  char *uri = malloc(3 * strlen(path) + 8), *at = uri;
  if (!uri) return NULL;
  at = stpcpy(at, "file://");
  for (; *path; path++) {
    unsigned char byte = (unsigned char)*path;
    if (isalnum(byte) || strchr("/-._~", byte)) *at++ = (char)byte;
    else at += sprintf(at, "%%%02X", byte);
  }
  *at = '\0';
  json_t *result = json_string(uri);
  free(uri);
  return result;
}

// ---- positions

// Bytes of the character at |text|, and its UTF-16 units. A byte that is no UTF-8 counts as one.
static size_t character(const char *text, size_t left, int *out_units) {
  size_t bytes = lang_utf8_length(text, left);
  *out_units = bytes == 4 ? 2 : 1;
  return bytes ? bytes : 1;
}

size_t lsp_offset(const char *text, size_t length, const json_t *position) {
  json_int_t line = json_integer_value(json_object_get(position, "line"));
  json_int_t units = json_integer_value(json_object_get(position, "character"));
  size_t at = 0;
  for (; line > 0; line--) {
    const char *newline = memchr(text + at, '\n', length - at);
    if (!newline) return length;
    at = (size_t)(newline - text) + 1;
  }
  while (at < length && text[at] != '\n' && units > 0) {
    int n;
    at += character(text + at, length - at, &n);
    units -= n;
  }
  return at;
}

json_t *lsp_position(const char *text, size_t length, size_t offset) {
  json_int_t line = 0, units = 0;
  size_t start = 0;
  if (offset > length) offset = length;
  for (size_t i = 0; i < offset; i++) {
    if (text[i] != '\n') continue;
    line++;
    start = i + 1;
  }
  while (start < offset) {
    int n;
    start += character(text + start, length - start, &n);
    units += n;
  }
  return json_pack("{s:I,s:I}", "line", line, "character", units);
}

// A span has its line; only the units are counted anew.
static json_t *place(const lang_source *source, int32_t line, uint32_t offset) {
  size_t length;
  const char *text = lang_source_line(source, line, &length);
  size_t begin = (size_t)(text - source->text), at = 0;
  size_t wanted = offset > begin ? offset - begin : 0;
  json_int_t units = 0;
  while (at < wanted && at < length) {
    int n;
    at += character(text + at, length - at, &n);
    units += n;
  }
  return json_pack("{s:I,s:I}", "line", (json_int_t)(line > 0 ? line - 1 : 0), "character", units);
}

json_t *lsp_range(const lang_source *source, lang_span span) {
  if (!span.file || !source || span.first_line < 1) {
    return json_pack("{s:{s:i,s:i},s:{s:i,s:i}}", "start", "line", 0, "character", 0, "end", "line", 0, "character", 0);
  }
  return json_pack("{s:o,s:o}", "start", place(source, span.first_line, span.begin), "end",
                   place(source, span.last_line, span.end));
}

// ---- documents

static void document_free(lsp_document *doc) {
  if (!doc) return;
  free(doc->uri);
  free(doc->path);
  free(doc->text);
  free(doc);
}

void lsp_documents_deinit(lsp_documents *docs) {
  for (int i = 0; i < docs->count; i++) document_free(docs->data[i]);
  free(docs->data);
  *docs = (lsp_documents){0};
}

lsp_document *lsp_documents_find(const lsp_documents *docs, const char *uri) {
  for (int i = 0; uri && i < docs->count; i++) {
    if (!strcmp(docs->data[i]->uri, uri)) return docs->data[i];
  }
  return NULL;
}

// Replaces the bytes [begin, end).
static bool splice(lsp_document *doc, size_t begin, size_t end, const char *text, size_t length) {
  size_t tail = doc->length - end, total = begin + length + tail;
  char *fresh = malloc(total + 1);
  if (!fresh) return false;
  if (begin) memcpy(fresh, doc->text, begin);
  if (length) memcpy(fresh + begin, text, length);
  if (tail) memcpy(fresh + begin + length, doc->text + end, tail);
  fresh[total] = '\0';
  free(doc->text);
  doc->text = fresh;
  doc->length = total;
  doc->stale = true;
  return true;
}

lsp_document *lsp_documents_open(lsp_documents *docs, const char *uri, const char *text, size_t length) {
  lsp_document *doc = lsp_documents_find(docs, uri);
  if (doc) return splice(doc, 0, doc->length, text, length) ? doc : NULL;
  if (docs->count == docs->capacity) {
    int capacity = docs->capacity ? 2 * docs->capacity : 8;
    lsp_document **data = realloc(docs->data, (size_t)capacity * sizeof *data);
    if (!data) return NULL;
    docs->data = data;
    docs->capacity = capacity;
  }
  doc = calloc(1, sizeof *doc);
  if (!doc) return NULL;
  doc->uri = strdup(uri);
  doc->path = path_of_uri(uri);
  if (!doc->uri || !doc->path || !splice(doc, 0, 0, text, length)) {
    document_free(doc);
    return NULL;
  }
  docs->data[docs->count++] = doc;
  return doc;
}

void lsp_documents_close(lsp_documents *docs, const char *uri) {
  for (int i = 0; uri && i < docs->count; i++) {
    if (strcmp(docs->data[i]->uri, uri)) continue;
    document_free(docs->data[i]);
    docs->data[i] = docs->data[--docs->count];
    return;
  }
}

bool lsp_document_change(lsp_document *doc, const json_t *change) {
  const json_t *text = json_object_get(change, "text"), *range = json_object_get(change, "range");
  if (!json_is_string(text)) return false;
  size_t begin = 0, end = doc->length;
  if (json_is_object(range)) {
    begin = lsp_offset(doc->text, doc->length, json_object_get(range, "start"));
    end = lsp_offset(doc->text, doc->length, json_object_get(range, "end"));
    if (end < begin) end = begin;
  }
  return splice(doc, begin, end, json_string_value(text), json_string_length(text));
}
