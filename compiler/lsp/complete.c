// Completion. What stands before the cursor is read as text, since it is mostly not yet a sentence of the language: a
// chain of names with dots asks for members; an open parenthesis or brace asks for the callee's named arguments; else
// all that is in sight.
#include <ctype.h>
#include <string.h>

#include "compiler/lsp/features.h"

typedef struct {
  lsp_analysis *a;
  json_t *items;
} writer;

static bool is_letter(char c) { return isalnum((unsigned char)c) || c == '_'; }

// Kinds of the protocol's CompletionItemKind.
static int item_kind(lsp_symbol_kind kind) {
  static const int kinds[] = {7, 9, 3, 2, 2, 9, 9, 9, 21, 25, 6, 6, 5, 10, 5, 6, 6};
  return kinds[kind];
}

static void item_add(writer *w, const char *label, int kind, const char *detail, const char *doc, const char *insert) {
  json_t *item = json_pack("{s:s,s:i}", "label", label, "kind", kind);
  if (!item) return;
  if (detail) json_object_set_new(item, "detail", json_string(detail));
  if (doc) json_object_set_new(item, "documentation", json_string(doc));
  if (insert) json_object_set_new(item, "insertText", json_string(insert));
  json_array_append_new(w->items, item);
}

static const char *detail_of(writer *w, const lsp_symbol *symbol) {
  const lang_source *source = lsp_source(w->a, symbol->shown.file);
  if (!source || symbol->shown.end > source->length) return NULL;
  const char *text = source->text + symbol->shown.begin;
  size_t length = symbol->shown.end - symbol->shown.begin, line = 0;
  while (line < length && line < 160 && text[line] != '\n') line++;
  return weir_arena_strndup(&w->a->arena, text, line);
}

static void symbol_add(writer *w, const lsp_symbol *symbol, const char *label) {
  item_add(w, label, item_kind(symbol->kind), detail_of(w, symbol), symbol->doc, NULL);
}

// ---- members

// Names of |scope| that begin with |prefix| and go on behind it: the next part of each.
static void members_add(writer *w, const lsp_scope *scope, const char *prefix, bool outside) {
  const lsp_index *index = w->a->index;
  size_t skip = strlen(prefix);
  for (int i = 0; scope && i < scope->symbols.count; i++) {
    const lsp_symbol *symbol = &index->symbols.data[scope->symbols.data[i]];
    bool seen =
        symbol->kind == LSP_MEMBER || symbol->kind == LSP_WEIGHT || symbol->kind == LSP_FN || symbol->kind == LSP_STATE;
    if (outside && (!seen || symbol->kind == LSP_STATE)) continue;
    if (strncmp(symbol->name, prefix, skip)) continue;
    const char *rest = symbol->name + skip;
    size_t part = strcspn(rest, ".");
    symbol_add(w, symbol, weir_arena_strndup(&w->a->arena, rest, part));
  }
}

// The chain of names that ends before the dot at |end|: "model.layers" of `model.layers[0].`. Brackets are skipped.
static const char *chain_before(writer *w, const char *text, size_t end) {
  const char *chain = "";
  size_t at = end;
  for (int parts = 0; parts < 16; parts++) {
    while (at && text[at - 1] == ']') {
      int depth = 0;
      do {
        at--;
        depth += (text[at] == ']') - (text[at] == '[');
      } while (at && depth > 0);
      if (depth) return NULL;
    }
    size_t stop = at;
    while (at && is_letter(text[at - 1])) at--;
    if (at == stop) return NULL;
    const char *part = weir_arena_strndup(&w->a->arena, text + at, stop - at);
    chain = *chain ? weir_arena_printf(&w->a->arena, "%s.%s", part, chain) : part;
    if (!at || text[at - 1] != '.') return chain;
    at--;
  }
  return NULL;
}

// The members that a chain of names leads to; |*out_prefix|: the beginning of dotted names that is left.
static const lsp_scope *chain_scope(writer *w, const lsp_scope *scope, const char *chain, const char **out_prefix,
                                    bool *out_outside) {
  const lsp_index *index = w->a->index;
  const lang_file *file = w->a->program->files[0];
  *out_prefix = "";
  *out_outside = false;
  while (*chain) {
    int symbol = -1;
    size_t length = strlen(chain);
    for (; length; length--) {
      if (chain[length] && chain[length] != '.') continue;
      const char *name = weir_arena_strndup(&w->a->arena, chain, length);
      symbol = *out_outside ? lsp_scope_find(index, scope, name) : lsp_index_resolve(index, scope, file, name);
      if (symbol >= 0) break;
    }
    if (symbol < 0) {  // the beginning of dotted names
      *out_prefix = weir_arena_printf(&w->a->arena, "%s.", chain);
      while (scope && !*out_outside && !scope->body) scope = scope->parent;
      return scope;
    }
    scope = lsp_index_members(index, symbol);
    if (!scope) return NULL;
    *out_outside = true;
    chain += length + (chain[length] == '.');
  }
  return scope;
}

// ---- named arguments

// The offset behind the name of what is called or constructed around |at|; 0 for nothing.
static size_t callee_end(const char *text, size_t at) {
  int depth = 0;
  for (size_t left = 2000; at && left; left--) {
    char c = text[--at];
    if (c == ';' && !depth) return 0;
    if (c == ')' || c == ']' || c == '}') depth++;
    if (c != '(' && c != '[' && c != '{') continue;
    if (depth--) continue;
    return (c == '(' || c == '{') && at && is_letter(text[at - 1]) ? at : 0;
  }
  return 0;
}

static void arguments_add(writer *w, const lsp_scope *inside, lsp_symbol_kind kind) {
  for (int i = 0; inside && i < inside->symbols.count; i++) {
    const lsp_symbol *symbol = &w->a->index->symbols.data[inside->symbols.data[i]];
    if (symbol->kind != kind) continue;
    const char *label = weir_arena_printf(&w->a->arena, "%s =", symbol->name);
    item_add(w, label, item_kind(symbol->kind), detail_of(w, symbol), symbol->doc,
             weir_arena_printf(&w->a->arena, "%s = ", symbol->name));
  }
}

static void builtin_arguments(writer *w, const char *name) {
  lang_builtin_entry *entries;
  int count = lang_builtin_list(&w->a->arena, &entries);
  for (int i = 0; i < count; i++) {
    if (strcmp(entries[i].name, name) || !entries[i].named) continue;
    for (const char *word = entries[i].named; *word;) {
      word += strspn(word, " ");
      size_t length = strcspn(word, " ");
      if (length)
        item_add(w, weir_arena_printf(&w->a->arena, "%.*s =", (int)length, word), 6, NULL, NULL,
                 weir_arena_printf(&w->a->arena, "%.*s = ", (int)length, word));
      word += length;
    }
    return;
  }
}

static void named_arguments(writer *w, const lsp_scope *scope, const char *text, size_t at) {
  const lsp_index *index = w->a->index;
  size_t end = callee_end(text, at);
  const char *chain = end ? chain_before(w, text, end) : NULL;
  if (!chain) return;
  bool braces = text[end] == '{';
  int symbol = lsp_index_resolve(index, scope, w->a->program->files[0], chain);
  if (symbol < 0) {
    const char *dot = strrchr(chain, '.'), *prefix;
    bool outside;
    if (!dot) {
      builtin_arguments(w, chain);
      return;
    }
    const char *base = weir_arena_strndup(&w->a->arena, chain, (size_t)(dot - chain));
    const lsp_scope *inside = chain_scope(w, scope, base, &prefix, &outside);
    symbol = inside && outside ? lsp_scope_find(index, inside, dot + 1) : -1;
    if (symbol < 0) return;
  }
  const lsp_symbol *callee = &index->symbols.data[symbol];
  const lsp_scope *inside = callee->inside ? callee->inside : lsp_index_members(index, symbol);
  arguments_add(w, inside, braces ? LSP_PARAMETER : LSP_ARGUMENT);
}

// ---- all that is in sight

static void visible_add(writer *w, const lsp_scope *scope) {
  const lsp_index *index = w->a->index;
  for (; scope; scope = scope->parent) {
    for (int i = 0; i < scope->symbols.count; i++) {
      const lsp_symbol *symbol = &index->symbols.data[scope->symbols.data[i]];
      symbol_add(w, symbol, symbol->name);
    }
  }
  for (int i = 0; i < index->items.count; i++) {
    const lsp_symbol *symbol = &index->symbols.data[index->items.data[i]];
    bool own = symbol->span.file == 1;
    bool shared =
        symbol->kind == LSP_BLOCK || symbol->kind == LSP_FN || symbol->kind == LSP_LET || symbol->kind == LSP_MODEL;
    if (own || shared) symbol_add(w, symbol, symbol->name);
  }
  static const int kinds[] = {3, 21, 25, 14};
  lang_builtin_entry *entries;
  int count = lang_builtin_list(&w->a->arena, &entries);
  for (int i = 0; i < count; i++) item_add(w, entries[i].name, kinds[entries[i].kind], NULL, entries[i].doc, NULL);
}

json_t *lsp_completion(lsp_analysis *a, const lsp_document *doc, size_t offset) {
  writer w = {a, json_array()};
  if (!a->index) return w.items;
  size_t at = offset;
  while (at && is_letter(doc->text[at - 1])) at--;
  const lsp_scope *scope = lsp_index_scope(a->index, 1, (uint32_t)at);
  if (at && doc->text[at - 1] == '.') {
    const char *prefix, *chain = chain_before(&w, doc->text, at - 1);
    bool outside;
    const lsp_scope *inside = chain ? chain_scope(&w, scope, chain, &prefix, &outside) : NULL;
    if (inside) members_add(&w, inside, prefix, outside);
    return w.items;
  }
  named_arguments(&w, scope, doc->text, at);
  visible_add(&w, scope);
  return w.items;
}
