// Small facts about the tree: the spelling of its operators and what counts as a path.
#include "compiler/lang/ast.h"

#include <string.h>

const char *lang_unary_op_text(lang_unary_op op) { return op == LANG_OP_NEG ? "-" : "not"; }

const char *lang_binary_op_text(lang_binary_op op) {
  static const char *const texts[] = {"+", "-", "*", "/", "%", "and", "or"};
  return texts[op];
}

const char *lang_compare_op_text(lang_compare_op op) {
  static const char *const texts[] = {"<", ">", "<=", ">=", "==", "!="};
  return texts[op];
}

const char *lang_section_text(lang_section_kind kind) {
  static const char *const texts[] = {"plan", "train", "search", "cluster"};
  return texts[kind];
}

const char *lang_fn_text(lang_fn_kind kind) {
  static const char *const texts[] = {"fn", "entry", "step"};
  return texts[kind];
}

static const char *path_text(weir_arena *arena, const lang_names *parts) {
  size_t length = 0;
  for (int i = 0; i < parts->count; i++) length += strlen(parts->data[i].text) + 1;
  char *text = weir_arena_alloc(arena, length), *to = text;
  for (int i = 0; i < parts->count; i++) {
    if (i) *to++ = '.';
    to = stpcpy(to, parts->data[i].text);
  }
  return text;
}

bool lang_expr_path(weir_arena *arena, const lang_expr *expr, lang_path *out_path) {
  int count = 1;
  for (const lang_expr *e = expr; e->parens == 0 && e->kind == LANG_EXPR_FIELD; e = e->field.base) count++;
  lang_names parts = {WEIR_NEW_ARRAY(arena, lang_name, count), count, count};
  const lang_expr *e = expr;
  for (int i = count - 1; i > 0; i--, e = e->field.base) parts.data[i] = e->field.name;
  if (e->parens || e->kind != LANG_EXPR_NAME) return false;
  parts.data[0] = (lang_name){e->name, e->span};
  *out_path = (lang_path){path_text(arena, &parts), parts, expr->span};
  return true;
}
