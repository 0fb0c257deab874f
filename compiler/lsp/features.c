// Diagnostics, definition, references, rename, outline, tokens, formatting: what follows from the index alone.
#include "compiler/lsp/features.h"

#include <ctype.h>
#include <string.h>

#include "compiler/lang/fmt.h"

static json_t *location(const lsp_analysis *a, lang_span span) {
  const lang_source *source = lsp_source(a, span.file);
  if (!source) return json_null();
  return json_pack("{s:o,s:o}", "uri", lsp_uri_of_path(source->path), "range", lsp_range(source, span));
}

static const lsp_occurrence *occurrence_at(const lsp_analysis *a, size_t offset) {
  return a->index ? lsp_index_at(a->index, 1, (uint32_t)offset) : NULL;
}

// ---- diagnostics

static json_t *notes_json(const lsp_analysis *a, const lang_diag *diag) {
  json_t *list = json_array();
  for (int i = 0; i < diag->note_count; i++) {
    const lang_note *note = &diag->notes[i];
    lang_span span = note->span.file ? note->span : diag->span;
    if (!lsp_source(a, span.file)) continue;
    json_array_append_new(
        list, json_pack("{s:o,s:s%}", "location", location(a, span), "message", note->message, strlen(note->message)));
  }
  return list;
}

json_t *lsp_diagnostics(const lsp_analysis *a) {
  json_t *list = json_array();
  for (int i = 0; i < a->diags.count; i++) {
    const lang_diag *diag = a->diags.data[i];
    // What is wrong in a used file is shown at the top here and where it is when that file is open.
    bool here = diag->span.file <= 1;
    const lang_source *source = lsp_source(a, 1);
    if (!here && lang_diag_severity(diag->code) != LANG_SEVERITY_ERROR) continue;
    json_t *item = json_pack("{s:o,s:i,s:s,s:s,s:s}", "range", lsp_range(source, here ? diag->span : (lang_span){0}),
                             "severity", lang_diag_severity(diag->code) == LANG_SEVERITY_ERROR ? 1 : 2, "code",
                             lang_diag_text(diag->code), "source", "weir", "message", diag->message);
    if (!item) continue;  // a message that is no UTF-8
    json_t *notes = notes_json(a, diag);
    if (!here)
      json_array_insert_new(notes, 0,
                            json_pack("{s:o,s:s}", "location", location(a, diag->span), "message", "in this file"));
    json_object_set_new(item, "relatedInformation", notes);
    json_array_append_new(list, item);
  }
  return list;
}

// ---- definition and references

// The file that a `use` at the offset names.
static const lang_file *used_file(lsp_analysis *a, size_t offset) {
  const lang_file *root = a->program->files[0];
  for (int i = 0; i < root->items.count; i++) {
    const lang_item *item = root->items.data[i];
    if (item->kind != LANG_ITEM_USE || offset < item->use.span.begin || offset > item->use.span.end) continue;
    const char *tail = item->use.file;
    if (item->use.is_path) {
      char *path = weir_arena_printf(&a->arena, "/%s.weir", item->use.path.text);
      for (char *p = path; p + 5 < path + strlen(path); p++) *p = *p == '.' ? '/' : *p;
      tail = path;
    }
    for (int k = 1; tail && k < a->program->file_count; k++) {
      const char *path = a->program->files[k]->source->path;
      size_t length = strlen(path), wanted = strlen(tail);
      if (length >= wanted && !strcmp(path + length - wanted, tail)) return a->program->files[k];
    }
  }
  return NULL;
}

json_t *lsp_definition(lsp_analysis *a, size_t offset) {
  const lsp_occurrence *o = occurrence_at(a, offset);
  if (o) return location(a, a->index->symbols.data[o->symbol].span);
  const lang_file *file = a->index ? used_file(a, offset) : NULL;
  return file ? location(a, lang_source_span(file->source, 0, 0)) : json_null();
}

json_t *lsp_references(lsp_analysis *a, size_t offset, bool with_declaration) {
  const lsp_occurrence *o = occurrence_at(a, offset);
  if (!o) return json_null();
  json_t *list = json_array();
  for (int i = 0; i < a->index->occurrences.count; i++) {
    const lsp_occurrence *other = &a->index->occurrences.data[i];
    if (other->symbol != o->symbol || (other->definition && !with_declaration)) continue;
    json_array_append_new(list, location(a, other->span));
  }
  return list;
}

json_t *lsp_highlights(lsp_analysis *a, size_t offset) {
  const lsp_occurrence *o = occurrence_at(a, offset);
  if (!o) return json_null();
  json_t *list = json_array();
  for (int i = 0; i < a->index->occurrences.count; i++) {
    const lsp_occurrence *other = &a->index->occurrences.data[i];
    if (other->symbol != o->symbol || other->span.file != 1) continue;
    json_array_append_new(list, json_pack("{s:o,s:i}", "range", lsp_range(lsp_source(a, 1), other->span), "kind",
                                          other->definition ? 3 : 2));
  }
  return list;
}

// ---- rename

static bool in_library(const lsp_analysis *a, const lsp_symbol *symbol, const char *models) {
  const lang_source *source = lsp_source(a, symbol->span.file);
  size_t length = models ? strlen(models) : 0;
  return symbol->span.file != 1 && length && source && !strncmp(source->path, models, length);
}

json_t *lsp_prepare_rename(lsp_analysis *a, size_t offset, const char *models) {
  const lsp_occurrence *o = occurrence_at(a, offset);
  if (!o || in_library(a, &a->index->symbols.data[o->symbol], models)) return json_null();
  return lsp_range(lsp_source(a, 1), o->span);
}

// One name, or for a member names with dots; none reserved.
static bool good_name(const char *name, bool dots) {
  const char *word = name;
  for (const char *p = name;; p++) {
    if (isalnum((unsigned char)*p) || *p == '_') {
      if (p == word && isdigit((unsigned char)*p)) return false;
      continue;
    }
    if (p == word || (*p && (*p != '.' || !dots))) return false;
    for (int i = 0; lang_reserved_words[i]; i++) {
      if (strlen(lang_reserved_words[i]) == (size_t)(p - word) &&
          !strncmp(lang_reserved_words[i], word, (size_t)(p - word)))
        return false;
    }
    if (!*p) return true;
    word = p + 1;
  }
}

// A symbol that already has the new name where the old one is seen.
static bool taken(const lsp_analysis *a, const lsp_symbol *symbol, const char *name) {
  if (symbol->home) return lsp_scope_find(a->index, symbol->home, name) >= 0;
  return lsp_index_resolve(a->index, NULL, symbol->file, name) >= 0;
}

json_t *lsp_rename(lsp_analysis *a, size_t offset, const char *name, const char *models, const char **out_error) {
  const lsp_occurrence *o = occurrence_at(a, offset);
  *out_error = NULL;
  const lsp_symbol *symbol = o ? &a->index->symbols.data[o->symbol] : NULL;
  if (!symbol) *out_error = "nothing that is declared here stands at this place";
  else if (in_library(a, symbol, models)) *out_error = "a name of the library keeps its name";
  else if (!good_name(name, symbol->kind == LSP_MEMBER || symbol->kind == LSP_WEIGHT || symbol->kind == LSP_STATE))
    *out_error = "this is no name, or a word that is reserved";
  else if (taken(a, symbol, name)) *out_error = "the name is declared already";
  if (*out_error) return NULL;
  json_t *changes = json_object();
  for (int i = 0; i < a->index->occurrences.count; i++) {
    const lsp_occurrence *other = &a->index->occurrences.data[i];
    const lang_source *source = lsp_source(a, other->span.file);
    if (other->symbol != o->symbol || !source) continue;
    json_t *uri = lsp_uri_of_path(source->path), *edits = json_object_get(changes, json_string_value(uri));
    if (!edits) {
      edits = json_array();
      json_object_set_new(changes, json_string_value(uri), edits);
    }
    json_array_append_new(edits, json_pack("{s:o,s:s}", "range", lsp_range(source, other->span), "newText", name));
    json_decref(uri);
  }
  return json_pack("{s:o}", "changes", changes);
}

// ---- outline

// Kinds of the protocol's SymbolKind.
static int outline_kind(lsp_symbol_kind kind) {
  switch (kind) {
    case LSP_BLOCK:
      return 5;  // class
    case LSP_MODEL:
      return 2;  // module
    case LSP_FN:
      return 12;  // function
    case LSP_ENTRY:
    case LSP_STEP:
      return 6;  // method
    case LSP_WEIGHT:
    case LSP_MEMBER:
      return 8;  // field
    case LSP_STATE:
      return 7;  // property
    case LSP_DIM:
      return 26;  // type parameter
    case LSP_LET:
      return 14;  // constant
    default:
      return 3;  // namespace: rules, binds, sections
  }
}

static bool in_outline(lsp_symbol_kind kind) {
  return kind != LSP_PARAMETER && kind != LSP_ARGUMENT && kind != LSP_LOCAL && kind != LSP_INDEX;
}

static json_t *outline(const lsp_analysis *a, const lsp_symbol *symbol) {
  const lang_source *source = lsp_source(a, 1);
  lang_span whole = symbol->item ? symbol->item->span : lang_span_join(symbol->shown, symbol->span);
  if (symbol->fn) whole = lang_span_join(whole, symbol->fn->body.span);
  json_t *children = json_array();
  for (int i = 0; symbol->inside && symbol->inside->body && i < symbol->inside->symbols.count; i++) {
    const lsp_symbol *member = &a->index->symbols.data[symbol->inside->symbols.data[i]];
    if (in_outline(member->kind)) json_array_append_new(children, outline(a, member));
  }
  return json_pack("{s:s,s:i,s:o,s:o,s:o}", "name", symbol->name, "kind", outline_kind(symbol->kind), "range",
                   lsp_range(source, whole), "selectionRange", lsp_range(source, symbol->span), "children", children);
}

json_t *lsp_symbols(lsp_analysis *a) {
  json_t *list = json_array();
  for (int i = 0; a->index && i < a->index->items.count; i++) {
    const lsp_symbol *symbol = &a->index->symbols.data[a->index->items.data[i]];
    if (symbol->span.file == 1) json_array_append_new(list, outline(a, symbol));
  }
  return list;
}

// ---- tokens

static const char *const token_names[] = {"class",     "namespace", "function",     "variable",
                                          "parameter", "property",  "typeParameter"};

json_t *lsp_token_types(void) {
  json_t *list = json_array();
  for (size_t i = 0; i < sizeof token_names / sizeof *token_names; i++)
    json_array_append_new(list, json_string(token_names[i]));
  return list;
}

static int token_type(lsp_symbol_kind kind) {
  switch (kind) {
    case LSP_BLOCK:
      return 0;
    case LSP_MODEL:
    case LSP_RULE:
    case LSP_BIND:
    case LSP_SECTION:
      return 1;
    case LSP_FN:
    case LSP_ENTRY:
    case LSP_STEP:
      return 2;
    case LSP_LET:
    case LSP_LOCAL:
    case LSP_INDEX:
      return 3;
    case LSP_PARAMETER:
    case LSP_ARGUMENT:
      return 4;
    case LSP_WEIGHT:
    case LSP_STATE:
    case LSP_MEMBER:
      return 5;
    case LSP_DIM:
      return 6;
  }
  return 3;
}

json_t *lsp_tokens(lsp_analysis *a) {
  json_t *data = json_array();
  json_int_t line = 0, column = 0;
  for (int i = 0; a->index && i < a->index->occurrences.count; i++) {
    const lsp_occurrence *o = &a->index->occurrences.data[i];
    if (o->span.file != 1 || o->span.first_line != o->span.last_line) continue;
    json_t *range = lsp_range(lsp_source(a, 1), o->span);
    const json_t *start = json_object_get(range, "start"), *end = json_object_get(range, "end");
    json_int_t at_line = json_integer_value(json_object_get(start, "line"));
    json_int_t at = json_integer_value(json_object_get(start, "character"));
    json_int_t length = json_integer_value(json_object_get(end, "character")) - at;
    json_decref(range);
    json_array_append_new(data, json_integer(at_line - line));
    json_array_append_new(data, json_integer(at_line == line ? at - column : at));
    json_array_append_new(data, json_integer(length));
    json_array_append_new(data, json_integer(token_type(a->index->symbols.data[o->symbol].kind)));
    json_array_append_new(data, json_integer(o->definition));
    line = at_line;
    column = at;
  }
  return json_pack("{s:o}", "data", data);
}

// ---- formatting

json_t *lsp_formatting(lsp_analysis *a, const lsp_document *doc) {
  const lang_file *file = a->program ? a->program->files[0] : NULL;
  if (!file || !file->ok) return json_null();
  const char *text = lang_format(&a->arena, file);
  json_t *edits = json_array();
  if (strlen(text) != doc->length || memcmp(text, doc->text, doc->length)) {
    json_t *range = json_pack("{s:{s:i,s:i},s:o}", "start", "line", 0, "character", 0, "end",
                              lsp_position(doc->text, doc->length, doc->length));
    json_array_append_new(edits, json_pack("{s:o,s:s}", "range", range, "newText", text));
  }
  return edits;
}
