// The parser of statements: the text between tags, {{ }} and {% %}.
#include "runtime/text/template_parser.h"

static text_node *statements(text_parser *p, const char *const *ends);

static void end_tag(text_parser *p) {
  if (at_kind(p, TEXT_TOK_BLOCK_END)) {
    parse_skip(p);
  } else {
    parse_fail(p, "expected the end of the tag");
  }
}

// True at {% word.
static bool at_tag(const text_parser *p, const char *word) {
  return at_kind(p, TEXT_TOK_BLOCK_BEGIN) && p->at[1].kind == TEXT_TOK_NAME && text_view_is(p->at[1].text, word);
}

// Takes {% word, up to what follows the word.
static bool take_tag(text_parser *p, const char *word) {
  if (!at_tag(p, word)) return false;
  parse_skip(p);
  parse_skip(p);
  return true;
}

// Behind the opening tag of a statement: its body and {% end %}.
static text_node *body_until(text_parser *p, const char *end) {
  const char *const ends[] = {end, NULL};
  end_tag(p);
  text_node *body = statements(p, ends);
  if (!take_tag(p, end)) parse_fail(p, "a block has no end");
  end_tag(p);
  return body;
}

// ---- assignment

static bool can_assign(const text_node *target, bool attributes) {
  if (!target) return false;
  if (target->kind == TEXT_NODE_NAME) return true;
  if (target->kind == TEXT_NODE_ATTR) return attributes && target->a->kind == TEXT_NODE_NAME;
  if (target->kind != TEXT_NODE_TUPLE || !target->count) return false;
  for (size_t i = 0; i < target->count; i++) {
    if (!can_assign(target->items[i], attributes)) return false;
  }
  return true;
}

// name, name.attribute (set only), or several with commas.
static text_node *one_target(text_parser *p) {
  text_node *target = text_parse_primary(p);
  if (target && target->kind == TEXT_NODE_NAME && take_op(p, ".")) {
    text_node *attr = parse_pair(p, TEXT_NODE_ATTR, target, NULL);
    text_view name = want_name(p);
    if (attr) attr->name = name;
    return attr;
  }
  return target;
}

static text_node *assign_target(text_parser *p, bool attributes) {
  text_node *target = one_target(p);
  if (at_op(p, ",")) {
    text_node *tuple = parse_node(p, TEXT_NODE_TUPLE);
    parse_add(p, tuple, target);
    while (take_op(p, ",") && !at_word(p, "in") && !at_op(p, "=")) parse_add(p, tuple, one_target(p));
    target = tuple;
  }
  if (!p->env->status && !can_assign(target, attributes)) parse_fail(p, "cannot assign to this");
  return target;
}

// Filters of a set or filter block: |a|b(x), the first without its bar. Null if there are none.
static text_node *block_filters(text_parser *p, bool bar_first) {
  text_node *chain = NULL;
  if (!bar_first) chain = text_parse_filter(p, NULL);
  while (take_op(p, "|")) chain = text_parse_filter(p, chain);
  return chain;
}

static text_node *set_statement(text_parser *p) {
  text_node *node = parse_node(p, TEXT_NODE_SET), *target = assign_target(p, true);
  if (!node) return NULL;
  node->a = target;
  if (take_op(p, "=")) {
    node->b = text_parse_expressions(p, true);
    end_tag(p);
  } else {
    node->kind = TEXT_NODE_SET_BLOCK;
    node->b = block_filters(p, true);
    node->body = body_until(p, "endset");
  }
  return node;
}

// ---- control flow

static text_node *if_statement(text_parser *p) {
  static const char *const ends[] = {"elif", "else", "endif", NULL};
  text_node *node = parse_node(p, TEXT_NODE_IF);
  do {
    parse_add(p, node, text_parse_expressions(p, false));
    end_tag(p);
    parse_add(p, node, statements(p, ends));
  } while (take_tag(p, "elif"));
  if (take_tag(p, "else")) {
    text_node *otherwise = body_until(p, "endif");
    if (node) node->orelse = otherwise;
  } else {
    if (!take_tag(p, "endif")) parse_fail(p, "an if has no endif");
    end_tag(p);
  }
  return node;
}

static text_node *for_statement(text_parser *p) {
  static const char *const ends[] = {"else", "endfor", NULL};
  text_node *node = parse_node(p, TEXT_NODE_FOR), *target = assign_target(p, false);
  if (!node) return NULL;
  node->a = target;
  if (!take_word(p, "in")) parse_fail(p, "expected 'in'");
  node->b = text_parse_expressions(p, false);
  if (take_word(p, "if")) node->c = text_parse_expression(p);
  if (at_word(p, "recursive")) parse_fail(p, "recursive loops are not supported");
  end_tag(p);
  p->loops++;
  node->body = statements(p, ends);
  p->loops--;
  if (take_tag(p, "else")) {
    node->orelse = body_until(p, "endfor");
  } else {
    if (!take_tag(p, "endfor")) parse_fail(p, "a for has no endfor");
    end_tag(p);
  }
  return node;
}

static text_node *macro_statement(text_parser *p) {
  text_node *node = parse_node(p, TEXT_NODE_MACRO);
  text_view name = want_name(p);
  bool defaults = false;
  want_op(p, "(");
  while (!p->env->status && !at_op(p, ")")) {
    text_node *parameter = parse_node(p, TEXT_NODE_KEYWORD);
    text_view parameter_name = want_name(p);
    text_node *value = take_op(p, "=") ? text_parse_expression(p) : NULL;
    if (!parameter) return NULL;
    parameter->name = parameter_name;
    parameter->a = value;
    if (defaults && !value) parse_fail(p, "a parameter without a default behind one with a default");
    defaults = value != NULL;
    parse_add(p, node, parameter);
    if (!take_op(p, ",")) break;
  }
  want_op(p, ")");
  int loops = p->loops;
  p->loops = 0;
  text_node *body = body_until(p, "endmacro");
  p->loops = loops;
  if (!node) return NULL;
  node->name = name;
  node->body = body;
  return node;
}

static text_node *with_statement(text_parser *p) {
  text_node *node = parse_node(p, TEXT_NODE_WITH);
  while (!p->env->status && !at_kind(p, TEXT_TOK_BLOCK_END)) {
    parse_add(p, node, assign_target(p, false));
    want_op(p, "=");
    parse_add(p, node, text_parse_expression(p));
    if (!take_op(p, ",")) break;
  }
  text_node *body = body_until(p, "endwith");
  if (node) node->body = body;
  return node;
}

static text_node *filter_statement(text_parser *p) {
  text_node *node = parse_node(p, TEXT_NODE_FILTER_BLOCK), *chain = block_filters(p, false),
            *body = body_until(p, "endfilter");
  if (!node) return NULL;
  node->b = chain;
  node->body = body;
  return node;
}

// The marks around an answer for training have no effect on the text.
static text_node *generation_statement(text_parser *p) { return body_until(p, "endgeneration"); }

static text_node *jump_statement(text_parser *p, text_node_kind kind) {
  if (!p->loops) parse_fail(p, "break and continue stand in a loop only");
  text_node *node = parse_node(p, kind);
  end_tag(p);
  return node;
}
static text_node *break_statement(text_parser *p) { return jump_statement(p, TEXT_NODE_BREAK); }
static text_node *continue_statement(text_parser *p) { return jump_statement(p, TEXT_NODE_CONTINUE); }

// Behind {%.
static text_node *statement(text_parser *p) {
  static const struct {
    const char *word;
    text_node *(*parse)(text_parser *p);
  } rows[] = {{"if", if_statement},       {"for", for_statement},           {"set", set_statement},
              {"macro", macro_statement}, {"with", with_statement},         {"filter", filter_statement},
              {"break", break_statement}, {"continue", continue_statement}, {"generation", generation_statement}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (take_word(p, rows[i].word)) return rows[i].parse(p);
  }
  return parse_fail(p, "no such statement");
}

static text_node *print_statement(text_parser *p) {
  text_node *node = parse_pair(p, TEXT_NODE_PRINT, text_parse_expressions(p, true), NULL);
  if (!at_kind(p, TEXT_TOK_PRINT_END)) return parse_fail(p, "expected }}");
  parse_skip(p);
  return node;
}

static bool at_any_tag(const text_parser *p, const char *const *words) {
  for (size_t i = 0; words[i]; i++) {
    if (at_tag(p, words[i])) return true;
  }
  return false;
}

// Statements up to one of the tags of |ends|, which is left, or to the end of the source.
static text_node *statements(text_parser *p, const char *const *ends) {
  text_node *block = parse_node(p, TEXT_NODE_BLOCK);
  if (!parse_enter(p)) return NULL;
  while (!p->env->status && p->at->kind != TEXT_TOK_END && !at_any_tag(p, ends)) {
    text_node *node = NULL;
    if (at_kind(p, TEXT_TOK_DATA)) {
      node = parse_node(p, TEXT_NODE_DATA);
      if (node) node->value = text_string(p->at->text.bytes, p->at->text.size);
      parse_skip(p);
    } else if (at_kind(p, TEXT_TOK_PRINT_BEGIN)) {
      parse_skip(p);
      node = print_statement(p);
    } else {
      parse_skip(p);
      node = statement(p);
    }
    parse_add(p, block, node);
  }
  p->depth--;
  return block;
}

text_node *text_parse_template(text_env *env, text_view source) {
  static const char *const none[] = {NULL};
  text_lexemes lexemes = {0};
  text_lex(env, source, &lexemes);
  if (env->status) return NULL;
  text_parser p = {.env = env, .at = lexemes.items};
  text_node *root = statements(&p, none);
  return env->status ? NULL : root;
}
