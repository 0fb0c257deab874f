// The state of the parser and its small tools, shared by the files for expressions and for statements.
// Internal to runtime/text.
//
// Recursion is bounded: every way into a nested expression or statement passes enter(). After a failure every lexeme
// looks like the end, so that loops stop.
#ifndef WEIR_RUNTIME_TEXT_TEMPLATE_PARSER_H
#define WEIR_RUNTIME_TEXT_TEMPLATE_PARSER_H

#include <string.h>

#include "runtime/text/template_syntax.h"

enum { TEXT_PARSE_NESTING = 100 };

typedef struct {
  text_env *env;
  const text_lexeme *at;
  int depth;
  int loops;  // for statements around
} text_parser;

// One expression, or several with commas between: a tuple. Without |conditional| an "if" behind it is left alone.
text_node *text_parse_expressions(text_parser *p, bool conditional);
text_node *text_parse_expression(text_parser *p);
// A name, a literal, or something in brackets.
text_node *text_parse_primary(text_parser *p);
// A filter's name and arguments, applied to |input|.
text_node *text_parse_filter(text_parser *p, text_node *input);

static inline void *parse_fail(text_parser *p, const char *what) {
  p->env->line = p->at->line;
  text_view text = p->at->text;
  text_fail(p->env, WEIR_CODE_INVALID_DATA, "%s%s%.*s%s", what, text.size ? " at '" : "",
            (int)(text.size < 40 ? text.size : 40), text.bytes ? text.bytes : "", text.size ? "'" : "");
  return NULL;
}

static inline bool parse_enter(text_parser *p) {
  if (p->env->status) return false;
  if (++p->depth <= TEXT_PARSE_NESTING) return true;
  parse_fail(p, "the template is nested too deeply");
  return false;
}

static inline text_node *parse_node(text_parser *p, text_node_kind kind) {
  text_node *node = text_env_alloc(p->env, sizeof *node);
  if (!node) return NULL;
  node->kind = kind;
  node->line = p->at->line;
  return node;
}

static inline text_node *parse_pair(text_parser *p, text_node_kind kind, text_node *a, text_node *b) {
  text_node *node = parse_node(p, kind);
  if (!node) return NULL;
  node->a = a;
  node->b = b;
  return node;
}

static inline void parse_add(text_parser *p, text_node *node, text_node *item) {
  if (!node || p->env->status) return;
  if (node->count == node->capacity) {
    size_t larger = node->capacity ? 2 * node->capacity : 4;
    text_node **items = text_env_alloc(p->env, larger * sizeof *items);
    if (!items) return;
    if (node->count) memcpy(items, node->items, node->count * sizeof *items);
    node->items = items;
    node->capacity = larger;
  }
  node->items[node->count++] = item;
}

static inline bool at_kind(const text_parser *p, text_lexeme_kind kind) {
  return !p->env->status && p->at->kind == kind;
}
static inline bool at_op(const text_parser *p, const char *op) {
  return at_kind(p, TEXT_TOK_OPERATOR) && text_view_is(p->at->text, op);
}
static inline bool at_word(const text_parser *p, const char *word) {
  return at_kind(p, TEXT_TOK_NAME) && text_view_is(p->at->text, word);
}

static inline void parse_skip(text_parser *p) {
  if (p->at->kind != TEXT_TOK_END) p->at++;
}

static inline bool take_op(text_parser *p, const char *op) {
  if (!at_op(p, op)) return false;
  parse_skip(p);
  return true;
}

static inline bool take_word(text_parser *p, const char *word) {
  if (!at_word(p, word)) return false;
  parse_skip(p);
  return true;
}

static inline void want_op(text_parser *p, const char *op) {
  char what[32] = "expected '";
  if (take_op(p, op)) return;
  strcat(what, op);
  parse_fail(p, strcat(what, "'"));
}

static inline text_view want_name(text_parser *p) {
  text_view name = p->at->text;
  if (!at_kind(p, TEXT_TOK_NAME)) {
    parse_fail(p, "expected a name");
    return (text_view){"", 0};
  }
  parse_skip(p);
  return name;
}

#endif
