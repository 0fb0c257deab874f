// Which comments belong to which node. Comments are in order and so are the nodes of a list, so one walk with a cursor
// places all of them: a comment behind a node on its last line trails it, one before a node leads it, and one within a
// node (between the elements of a list) is left to the formatter, which goes by offsets.
#include <string.h>

#include "compiler/lang/reader.h"

typedef struct {
  weir_arena *arena;
  const lang_file *file;
  int next;  // the first comment that is not placed
} walk;

// The `///` lines among comments [first, first + count), as one text; null without one.
static const char *doc_text(walk *w, int first, int count) {
  const char *text = NULL;
  for (int i = first; i < first + count; i++) {
    const lang_comment *c = &w->file->comments.data[i];
    if (!c->doc || !c->own_line) continue;
    const char *line = c->text + 3;
    if (*line == ' ') line++;
    text = text ? weir_arena_printf(w->arena, "%s\n%s", text, line) : line;
  }
  return text;
}

static void leading(walk *w, lang_span span, lang_trivia *trivia) {
  const lang_comments *all = &w->file->comments;
  trivia->leading = w->next;
  while (w->next < all->count && all->data[w->next].span.begin < span.begin) w->next++;
  trivia->leading_count = w->next - trivia->leading;
  uint32_t top = trivia->leading_count ? all->data[trivia->leading].span.begin : span.begin;
  trivia->blank_before = lang_source_blank_above(w->file->source, top);
  trivia->doc = doc_text(w, trivia->leading, trivia->leading_count);
}

static void trailing(walk *w, lang_span span, lang_trivia *trivia) {
  const lang_comments *all = &w->file->comments;
  while (w->next < all->count && all->data[w->next].span.begin < span.end) w->next++;  // those within the node
  trivia->trailing = w->next;
  while (w->next < all->count && all->data[w->next].span.first_line == span.last_line && !all->data[w->next].own_line)
    w->next++;
  trivia->trailing_count = w->next - trivia->trailing;
}

static void params_attach(walk *w, lang_params *params) {
  for (int i = 0; i < params->count; i++) {
    lang_trivia trivia;
    leading(w, params->data[i].span, &trivia);
    params->data[i].doc = trivia.doc;
    trailing(w, params->data[i].span, &trivia);
  }
}

static void signature_attach(walk *w, lang_signature *signature) {
  params_attach(w, &signature->params);
  params_attach(w, &signature->results);
}

static void body_attach(walk *w, lang_body *body);

static void fn_attach(walk *w, lang_fn *fn) {
  signature_attach(w, &fn->signature);
  body_attach(w, &fn->body);
}

static void stmt_attach(walk *w, lang_stmt *stmt) {
  leading(w, stmt->span, &stmt->trivia);
  switch (stmt->kind) {
    case LANG_STMT_FN:
      fn_attach(w, &stmt->fn);
      break;
    case LANG_STMT_FOR:
      body_attach(w, &stmt->loop.body);
      break;
    case LANG_STMT_IF:
      for (int i = 0; i < stmt->branch.arms.count; i++) body_attach(w, &stmt->branch.arms.data[i].body);
      if (stmt->branch.has_else) body_attach(w, &stmt->branch.otherwise);
      break;
    case LANG_STMT_SCAN:
      body_attach(w, &stmt->scan.body);
      break;
    case LANG_STMT_COND:
      body_attach(w, &stmt->cond.body);
      body_attach(w, &stmt->cond.otherwise);
      break;
    default:
      break;
  }
  trailing(w, stmt->span, &stmt->trivia);
}

// Comments between the header and the first statement that stand on the brace's line stay with the brace, not with the
// statement.
static void open_brace(walk *w, lang_span braces) {
  const lang_comments *all = &w->file->comments;
  while (w->next < all->count && all->data[w->next].span.begin < braces.begin) w->next++;
  while (w->next < all->count && all->data[w->next].span.first_line == braces.first_line &&
         all->data[w->next].span.begin < braces.end)
    w->next++;
}

static void body_attach(walk *w, lang_body *body) {
  open_brace(w, body->span);
  for (int i = 0; i < body->stmts.count; i++) stmt_attach(w, body->stmts.data[i]);
}

static void item_attach(walk *w, lang_item *item) {
  leading(w, item->span, &item->trivia);
  switch (item->kind) {
    case LANG_ITEM_FN:
      fn_attach(w, &item->fn);
      break;
    case LANG_ITEM_BLOCK:
      params_attach(w, &item->block.params);
      signature_attach(w, &item->block.signature);
      body_attach(w, &item->block.body);
      break;
    case LANG_ITEM_MODEL:
      params_attach(w, &item->model.params);
      body_attach(w, &item->model.body);
      break;
    case LANG_ITEM_BIND:
      open_brace(w, item->bind.braces);
      for (int i = 0; i < item->bind.lines.count; i++) {
        leading(w, item->bind.lines.data[i].span, &item->bind.lines.data[i].trivia);
        trailing(w, item->bind.lines.data[i].span, &item->bind.lines.data[i].trivia);
      }
      break;
    case LANG_ITEM_SECTION:
      open_brace(w, item->section.braces);
      for (int i = 0; i < item->section.settings.count; i++) {
        leading(w, item->section.settings.data[i].span, &item->section.settings.data[i].trivia);
        trailing(w, item->section.settings.data[i].span, &item->section.settings.data[i].trivia);
      }
      break;
    default:
      break;
  }
  trailing(w, item->span, &item->trivia);
}

void lang_trivia_attach(weir_arena *arena, lang_file *file) {
  walk w = {arena, file, 0};
  for (int i = 0; i < file->comments.count; i++)
    file->comments.data[i].blank_before = lang_source_blank_above(file->source, file->comments.data[i].span.begin);
  for (int i = 0; i < file->items.count; i++) item_attach(&w, file->items.data[i]);
}
