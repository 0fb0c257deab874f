// Declarations and look-up. A file's level is the program's table of names; bodies are scopes of their own. A block's
// body is declared as a whole before any use is followed, since a namespace has no order.
#include "compiler/lsp/index.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/lsp/index_internal.h"

// ---- scopes and symbols

lsp_scope *lsp_scope_push(lsp_walker *w, lang_span span) {
  lsp_scope *scope = WEIR_NEW(w->index->arena, lsp_scope);
  scope->parent = w->scope;
  scope->file = w->file;
  scope->span = span;
  w->scope = scope;
  LANG_PUSH(w->index->arena, &w->index->scopes, scope);
  return scope;
}

void lsp_scope_pop(lsp_walker *w) { w->scope = w->scope->parent; }

static uint32_t hash(const char *text) {
  uint32_t h = 2166136261u;
  for (; *text; text++) h = (h ^ (unsigned char)*text) * 16777619u;
  return h;
}

static int *bucket_of(const lsp_index *index, const lsp_scope *scope, const char *name) {
  for (uint32_t i = hash(name);; i++) {
    int *at = &scope->buckets[i & (uint32_t)(scope->bucket_count - 1)];
    if (!*at || !strcmp(index->symbols.data[scope->symbols.data[*at - 1]].name, name)) return at;
  }
}

int lsp_scope_find(const lsp_index *index, const lsp_scope *scope, const char *name) {
  if (!scope || !scope->bucket_count) return -1;
  int at = *bucket_of(index, scope, name);
  return at ? scope->symbols.data[at - 1] : -1;
}

static void scope_add(lsp_index *index, lsp_scope *scope, int number) {
  LANG_PUSH(index->arena, &scope->symbols, number);
  if (2 * scope->symbols.count <= scope->bucket_count) {
    *bucket_of(index, scope, index->symbols.data[number].name) = scope->symbols.count;
    return;
  }
  scope->bucket_count = scope->bucket_count ? 2 * scope->bucket_count : 16;
  scope->buckets = WEIR_NEW_ARRAY(index->arena, int, scope->bucket_count);
  for (int i = 0; i < scope->symbols.count; i++)
    *bucket_of(index, scope, index->symbols.data[scope->symbols.data[i]].name) = i + 1;
}

void lsp_occur(lsp_walker *w, int symbol, lang_span span, const lang_expr *expr, bool definition) {
  lsp_occurrence occurrence = {span, symbol, expr, definition};
  if (symbol >= 0 && span.file) LANG_PUSH(w->index->arena, &w->index->occurrences, occurrence);
}

int lsp_declare(lsp_walker *w, lsp_scope *scope, const lsp_symbol *symbol) {
  int found = lsp_scope_find(w->index, scope, symbol->name);
  if (found >= 0) {
    lsp_occur(w, found, symbol->span, NULL, false);
    return found;
  }
  int number = w->index->symbols.count;
  LANG_PUSH(w->index->arena, &w->index->symbols, *symbol);
  w->index->symbols.data[number].file = w->file;
  w->index->symbols.data[number].home = scope;
  if (scope) scope_add(w->index, scope, number);
  else LANG_PUSH(w->index->arena, &w->index->items, number);  // in the order of the program's own table
  lsp_occur(w, number, symbol->span, NULL, true);
  return number;
}

int lsp_index_resolve(const lsp_index *index, const lsp_scope *scope, const lang_file *file, const char *name) {
  for (; scope; scope = scope->parent) {
    int found = lsp_scope_find(index, scope, name);
    if (found >= 0) return found;
  }
  const lang_symbol *symbol = lang_program_find_dim(index->program, file, name);
  if (!symbol) symbol = lang_program_find(index->program, file, name);
  int place = symbol ? (int)(symbol - index->program->symbols) : index->items.count;
  return place < index->items.count ? index->items.data[place] : -1;
}

// ---- what a name is an instance of

static const lsp_scope *block_named(const lsp_walker *w, const lang_file *file, const char *name) {
  const lang_symbol *symbol = lang_program_find(w->index->program, file, name);
  if (!symbol || (symbol->item->kind != LANG_ITEM_BLOCK && symbol->item->kind != LANG_ITEM_MODEL)) return NULL;
  int place = (int)(symbol - w->index->program->symbols);
  return place < w->index->items.count ? w->index->symbols.data[w->index->items.data[place]].inside : NULL;
}

int lsp_longest(const lsp_walker *w, const lsp_scope *inside, const lang_name *parts, int count, int *out_symbol) {
  for (int length = count < 8 ? count : 8; length > 0; length--) {
    const char *name = parts[0].text;
    for (int i = 1; i < length; i++) name = weir_arena_printf(w->index->arena, "%s.%s", name, parts[i].text);
    int found = inside ? lsp_scope_find(w->index, inside, name) : lsp_index_resolve(w->index, w->scope, w->file, name);
    if (found < 0) continue;
    *out_symbol = found;
    return length;
  }
  return 0;
}

static const lsp_scope *block_of(const lsp_walker *w, const lang_expr *expr, int depth);

static const lsp_scope *block_of_symbol(const lsp_walker *w, int number, int depth) {
  const lsp_symbol *symbol = &w->index->symbols.data[number];
  if (!symbol->value || depth > 16) return NULL;
  lsp_walker there = *w;
  there.file = symbol->file;
  there.scope = symbol->home;
  if (symbol->kind == LSP_INDEX && there.scope) there.scope = there.scope->parent;
  return block_of(&there, symbol->value, depth + 1);
}

// Follows a.b.c from |expr| down: the block of the whole chain.
static const lsp_scope *block_of_path(const lsp_walker *w, const lang_expr *expr, int depth) {
  lang_path path;
  const lsp_scope *inside = NULL;
  if (!lang_expr_path(w->index->arena, expr, &path)) {
    if (expr->kind != LANG_EXPR_FIELD) return NULL;
    inside = block_of(w, expr->field.base, depth + 1);
    int member = inside ? lsp_scope_find(w->index, inside, expr->field.name.text) : -1;
    return member < 0 ? NULL : block_of_symbol(w, member, depth);
  }
  for (int at = 0; at < path.parts.count;) {
    int symbol = -1, length = lsp_longest(w, inside, path.parts.data + at, path.parts.count - at, &symbol);
    if (!length) return NULL;
    at += length;
    inside = block_of_symbol(w, symbol, depth);
    if (!inside) return NULL;
  }
  return inside;
}

static const lsp_scope *block_of(const lsp_walker *w, const lang_expr *expr, int depth) {
  if (!expr || depth > 16) return NULL;
  switch (expr->kind) {
    case LANG_EXPR_CONSTRUCT:
      return block_named(w, w->file, expr->construct.name.text);
    case LANG_EXPR_NAME:
    case LANG_EXPR_FIELD:
      return block_of_path(w, expr, depth);
    case LANG_EXPR_INDEX:
      return block_of(w, expr->index.base, depth + 1);
    case LANG_EXPR_COMPREHENSION:
      return block_of(w, expr->comprehension.value, depth + 1);
    case LANG_EXPR_LIST:
      return expr->list.values.count ? block_of(w, expr->list.values.data[0], depth + 1) : NULL;
    default:
      return NULL;
  }
}

const lsp_scope *lsp_block_of(const lsp_walker *w, const lang_expr *expr) { return block_of(w, expr, 0); }

const lsp_scope *lsp_index_members(const lsp_index *index, int symbol) {
  lsp_walker w = {.index = (lsp_index *)index, .file = index->symbols.data[symbol].file};
  return block_of_symbol(&w, symbol, 0);
}

// ---- declarations

void lsp_declare_params(lsp_walker *w, const lang_params *params, lsp_symbol_kind kind) {
  for (int i = 0; i < params->count; i++) {
    const lang_param *param = &params->data[i];
    lsp_declare(w, w->scope,
                &(lsp_symbol){.name = param->name.text,
                              .kind = kind,
                              .span = param->name.span,
                              .shown = param->span,
                              .doc = param->doc,
                              .value = param->value});
  }
}

static void declare_paths(lsp_walker *w, const lang_stmt *stmt, const lang_paths *paths, lsp_symbol_kind kind,
                          const lang_expr *value) {
  for (int i = 0; i < paths->count; i++) {
    lsp_declare(w, w->scope,
                &(lsp_symbol){.name = paths->data[i].text,
                              .kind = kind,
                              .span = paths->data[i].span,
                              .shown = stmt->span,
                              .doc = stmt->trivia.doc,
                              .value = value});
  }
}

static void declare_names(lsp_walker *w, lang_span shown, const char *doc, const lang_names *names,
                          lsp_symbol_kind kind, const lang_expr *value) {
  for (int i = 0; i < names->count; i++) {
    lsp_declare(w, w->scope,
                &(lsp_symbol){.name = names->data[i].text,
                              .kind = kind,
                              .span = names->data[i].span,
                              .shown = shown,
                              .doc = doc,
                              .value = value});
  }
}

// From the start of a declaration to its body, without the white space between.
static lang_span head_of(const lang_file *file, lang_span whole, lang_span body) {
  uint32_t end = body.begin;
  while (end > whole.begin && strchr(" \n\t\r{", file->source->text[end - 1])) end--;
  return lang_source_span(file->source, whole.begin, end);
}

static void declare_fn(lsp_walker *w, const lang_stmt *stmt) {
  static const lsp_symbol_kind kinds[] = {LSP_FN, LSP_ENTRY, LSP_STEP};
  const lang_fn *fn = &stmt->fn;
  lsp_declare(w, w->scope,
              &(lsp_symbol){.name = fn->name.text,
                            .kind = kinds[fn->kind],
                            .span = fn->name.span,
                            .shown = head_of(w->file, stmt->span, fn->body.span),
                            .doc = stmt->trivia.doc,
                            .fn = fn});
}

void lsp_declare_body(lsp_walker *w, const lang_body *body) {
  for (int i = 0; i < body->stmts.count; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    switch (stmt->kind) {
      case LANG_STMT_DIM:
        declare_names(w, stmt->span, stmt->trivia.doc, &stmt->dim.names, LSP_DIM, NULL);
        break;
      case LANG_STMT_LET:
        declare_names(w, stmt->span, stmt->trivia.doc, &stmt->let.names, LSP_LET, stmt->let.value);
        break;
      case LANG_STMT_FN:
        declare_fn(w, stmt);
        break;
      case LANG_STMT_PARAM:
        declare_paths(w, stmt, &stmt->param.paths, LSP_WEIGHT, NULL);
        break;
      case LANG_STMT_STATE:
        declare_paths(w, stmt, &stmt->state.paths, LSP_STATE, NULL);
        break;
      case LANG_STMT_MEMBER:
        declare_paths(w, stmt, &stmt->member.paths, LSP_MEMBER, stmt->member.value);
        break;
      case LANG_STMT_IF:
        for (int k = 0; k < stmt->branch.arms.count; k++) lsp_declare_body(w, &stmt->branch.arms.data[k].body);
        if (stmt->branch.has_else) lsp_declare_body(w, &stmt->branch.otherwise);
        break;
      default:
        break;
    }
  }
}

static lsp_symbol item_symbol(const lang_item *item, lsp_symbol_kind kind, const lang_name *name, lang_span shown) {
  return (lsp_symbol){
      .name = name->text, .kind = kind, .span = name->span, .shown = shown, .doc = item->trivia.doc, .item = item};
}

static void declare_block(lsp_walker *w, const lang_item *item) {
  const lang_block *block = &item->block;
  lsp_symbol symbol = item_symbol(item, LSP_BLOCK, &block->name, head_of(w->file, item->span, block->body.span));
  symbol.inside = lsp_scope_push(w, item->span);
  symbol.inside->body = symbol.inside->locals = true;
  lsp_declare_params(w, &block->params, LSP_PARAMETER);
  if (block->has_signature) lsp_declare_params(w, &block->signature.params, LSP_ARGUMENT);
  lsp_declare_body(w, &block->body);
  lsp_scope_pop(w);
  lsp_declare(w, NULL, &symbol);
}

static void declare_model(lsp_walker *w, const lang_item *item) {
  const lang_model *model = &item->model;
  lsp_symbol symbol = item_symbol(item, LSP_MODEL, &model->name, head_of(w->file, item->span, model->body.span));
  symbol.inside = lsp_scope_push(w, item->span);
  symbol.inside->body = symbol.inside->locals = true;
  lsp_declare_params(w, &model->params, LSP_PARAMETER);
  lsp_declare_body(w, &model->body);
  lsp_scope_pop(w);
  lsp_declare(w, NULL, &symbol);
}

static void declare_names_of_item(lsp_walker *w, const lang_item *item, const lang_names *names, lsp_symbol_kind kind,
                                  const lang_expr *value) {
  for (int i = 0; i < names->count; i++) {
    lsp_symbol symbol = item_symbol(item, kind, &names->data[i], item->span);
    symbol.value = value;
    lsp_declare(w, NULL, &symbol);
  }
}

static void declare_item(lsp_walker *w, const lang_item *item) {
  lsp_symbol symbol;
  switch (item->kind) {
    case LANG_ITEM_USE:
      return;
    case LANG_ITEM_LET:
      declare_names_of_item(w, item, &item->let.names, LSP_LET, item->let.value);
      return;
    case LANG_ITEM_DIM:
      declare_names_of_item(w, item, &item->dim.names, LSP_DIM, NULL);
      return;
    case LANG_ITEM_FN:
      symbol = item_symbol(item, LSP_FN, &item->fn.name, head_of(w->file, item->span, item->fn.body.span));
      symbol.fn = &item->fn;
      break;
    case LANG_ITEM_BLOCK:
      declare_block(w, item);
      return;
    case LANG_ITEM_MODEL:
      declare_model(w, item);
      return;
    case LANG_ITEM_RULE:
      symbol = item_symbol(item, LSP_RULE, &item->rule.name, item->span);
      break;
    case LANG_ITEM_BIND:
      symbol = item_symbol(item, LSP_BIND, &item->bind.name, head_of(w->file, item->span, item->bind.braces));
      break;
    case LANG_ITEM_SECTION:
      symbol = item_symbol(item, LSP_SECTION, &item->section.name, head_of(w->file, item->span, item->section.braces));
      break;
    default:
      return;
  }
  lsp_declare(w, NULL, &symbol);
}

// ---- the whole

static int order_of(const void *left, const void *right) {
  const lsp_occurrence *a = left, *b = right;
  if (a->span.file != b->span.file) return a->span.file < b->span.file ? -1 : 1;
  if (a->span.begin != b->span.begin) return a->span.begin < b->span.begin ? -1 : 1;
  return a->definition != b->definition ? (a->definition ? -1 : 1) : a->symbol - b->symbol;
}

// One place names one thing: the first said of it, definitions before uses.
static void occurrences_sort(lsp_index *index) {
  if (!index->occurrences.count) return;
  qsort(index->occurrences.data, (size_t)index->occurrences.count, sizeof *index->occurrences.data, order_of);
  int kept = 0;
  for (int i = 0; i < index->occurrences.count; i++) {
    const lsp_occurrence *o = &index->occurrences.data[i], *last = kept ? &index->occurrences.data[kept - 1] : NULL;
    if (last && last->span.file == o->span.file && last->span.end > o->span.begin) continue;
    index->occurrences.data[kept++] = *o;
  }
  index->occurrences.count = kept;
}

lsp_index *lsp_index_create(weir_arena *arena, const lang_program *program) {
  lsp_index *index = WEIR_NEW(arena, lsp_index);
  index->arena = arena;
  index->program = program;
  for (int i = 0; i < program->file_count; i++) {
    lsp_walker w = {.index = index, .file = program->files[i]};
    for (int k = 0; k < w.file->items.count; k++) declare_item(&w, w.file->items.data[k]);
  }
  for (int i = 0, next = 0; i < program->file_count; i++) {
    lsp_walker w = {.index = index, .file = program->files[i]};
    for (int k = 0; k < w.file->items.count; k++) {
      const lang_item *item = w.file->items.data[k];
      int first = next;
      while (next < index->items.count && index->symbols.data[index->items.data[next]].item == item) next++;
      lsp_walk_item(&w, item, next > first ? index->items.data[first] : -1);
    }
  }
  occurrences_sort(index);
  return index;
}

const lsp_occurrence *lsp_index_at(const lsp_index *index, int32_t file, uint32_t offset) {
  const lsp_occurrence *found = NULL;
  for (int i = 0; i < index->occurrences.count; i++) {
    const lsp_occurrence *o = &index->occurrences.data[i];
    if (o->span.file == file && o->span.begin <= offset && offset <= o->span.end) found = o;
  }
  return found;
}

const lsp_scope *lsp_index_scope(const lsp_index *index, int32_t file, uint32_t offset) {
  const lsp_scope *best = NULL;
  for (int i = 0; i < index->scopes.count; i++) {
    const lsp_scope *scope = index->scopes.data[i];
    if (scope->span.file != file || offset < scope->span.begin || offset > scope->span.end) continue;
    if (!best || scope->span.end - scope->span.begin <= best->span.end - best->span.begin) best = scope;
  }
  return best;
}
