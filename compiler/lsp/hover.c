// Hover: the declaration as it is written, what the name is worth, what is known of its dims, its comment.
#include <string.h>

#include "compiler/lsp/features.h"

static const char *source_text(lsp_analysis *a, lang_span span) {
  const lang_source *source = lsp_source(a, span.file);
  if (!source || span.end > source->length || span.begin >= span.end) return "";
  uint32_t end = span.end - span.begin > 2000 ? span.begin + 2000 : span.end;
  return weir_arena_strndup(&a->arena, source->text + span.begin, end - span.begin);
}

// An expression that has the symbol's value: where it is read here, else what it is given, else any other use.
static const lang_expr *worth(const lsp_analysis *a, const lsp_occurrence *o) {
  bool varies;
  const lsp_symbol *symbol = &a->index->symbols.data[o->symbol];
  if (o->expr && lang_watch_text(&a->watch, o->expr, &varies)) return o->expr;
  bool given = symbol->kind == LSP_LOCAL || symbol->kind == LSP_LET || symbol->kind == LSP_MEMBER;
  if (given && symbol->value && lang_watch_text(&a->watch, symbol->value, &varies)) return symbol->value;
  for (int i = 0; i < a->index->occurrences.count; i++) {
    const lsp_occurrence *other = &a->index->occurrences.data[i];
    if (other->symbol == o->symbol && other->expr && lang_watch_text(&a->watch, other->expr, &varies))
      return other->expr;
  }
  return NULL;
}

static const char *kind_text(lsp_symbol_kind kind) {
  static const char *const texts[] = {"block",  "model",   "function", "entry", "step",      "rule",
                                      "bind",   "section", "let",      "dim",   "parameter", "argument",
                                      "weight", "state",   "member",   "local", "index"};
  return texts[kind];
}

static const char *symbol_hover(lsp_analysis *a, const lsp_occurrence *o) {
  weir_arena *arena = &a->arena;
  const lsp_symbol *symbol = &a->index->symbols.data[o->symbol];
  const char *text = weir_arena_printf(arena, "```weir\n%s\n```\n", source_text(a, symbol->shown));
  const lang_expr *expr = worth(a, o);
  bool varies = false;
  const char *value = expr ? lang_watch_text(&a->watch, expr, &varies) : NULL;
  if (value)
    text = weir_arena_printf(arena, "%s%s `%s`: `%s`%s\n", text, kind_text(symbol->kind), symbol->name, value,
                             varies ? " (the first of several)" : "");
  else text = weir_arena_printf(arena, "%s%s `%s`\n", text, kind_text(symbol->kind), symbol->name);
  const char *facts = expr ? lang_watch_facts(&a->watch, expr) : NULL;
  while (facts && *facts) {
    size_t length = strcspn(facts, "\n");
    text = weir_arena_printf(arena, "%s- %.*s\n", text, (int)length, facts);
    facts += length + (facts[length] == '\n');
  }
  if (symbol->doc) text = weir_arena_printf(arena, "%s\n%s\n", text, symbol->doc);
  return text;
}

// The word of the language at the offset.
static const char *word_hover(lsp_analysis *a, size_t offset, lang_span *out_span) {
  const lang_source *source = lsp_source(a, 1);
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  size_t begin = offset, end = offset;
  while (begin && strchr(letters, source->text[begin - 1])) begin--;
  while (end < source->length && source->text[end] && strchr(letters, source->text[end])) end++;
  if (begin == end) return NULL;
  lang_builtin_entry *entries;
  int count = lang_builtin_list(&a->arena, &entries);
  for (int i = 0; i < count; i++) {
    const lang_builtin_entry *entry = &entries[i];
    if (strlen(entry->name) != end - begin || strncmp(entry->name, source->text + begin, end - begin)) continue;
    if (entry->kind != LANG_BUILTIN_FUNCTION) return NULL;
    *out_span = lang_source_span(source, begin, end);
    return weir_arena_printf(&a->arena, "function `%s`%s%s\n%s%s%s", entry->name, entry->doc ? ": " : "",
                             entry->doc ? entry->doc : "", entry->named && *entry->named ? "\nnamed arguments:" : "",
                             entry->named ? entry->named : "", entry->named && *entry->named ? "\n" : "");
  }
  return NULL;
}

json_t *lsp_hover(lsp_analysis *a, size_t offset) {
  if (!a->index) return json_null();
  const lsp_occurrence *o = lsp_index_at(a->index, 1, (uint32_t)offset);
  lang_span span = o ? o->span : (lang_span){0};
  const char *text = o ? symbol_hover(a, o) : word_hover(a, offset, &span);
  if (!text) return json_null();
  json_t *result = json_pack("{s:{s:s,s:s},s:o}", "contents", "kind", "markdown", "value", text, "range",
                             lsp_range(lsp_source(a, 1), span));
  return result ? result : json_null();
}
