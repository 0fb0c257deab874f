// The parser of expressions: recursive descent in the order of Jinja's own grammar, so that precedences agree (a filter
// binds tighter than an operator, not tighter than a sign; a ~ b is between + and *).
#include "runtime/text/template_parser.h"

static text_node *or_expression(text_parser *p);
static text_node *unary(text_parser *p, bool with_filter);

static text_node *constant(text_parser *p, text_value value) {
  text_node *node = parse_node(p, TEXT_NODE_CONST);
  if (node) node->value = value;
  return node;
}

// ---- primaries

// (a, b), or (a): a tuple if there is a comma.
static text_node *parenthesised(text_parser *p) {
  text_node *tuple = parse_node(p, TEXT_NODE_TUPLE);
  bool comma = false;
  want_op(p, "(");
  while (!p->env->status && !at_op(p, ")")) {
    parse_add(p, tuple, text_parse_expression(p));
    if (!take_op(p, ",")) break;
    comma = true;
  }
  want_op(p, ")");
  if (p->env->status) return NULL;
  return comma || !tuple->count ? tuple : tuple->items[0];
}

static text_node *list_literal(text_parser *p) {
  text_node *list = parse_node(p, TEXT_NODE_LIST);
  want_op(p, "[");
  while (!p->env->status && !at_op(p, "]")) {
    parse_add(p, list, text_parse_expression(p));
    if (!take_op(p, ",")) break;
  }
  want_op(p, "]");
  return list;
}

static text_node *dict_literal(text_parser *p) {
  text_node *dict = parse_node(p, TEXT_NODE_DICT);
  want_op(p, "{");
  while (!p->env->status && !at_op(p, "}")) {
    parse_add(p, dict, text_parse_expression(p));
    want_op(p, ":");
    parse_add(p, dict, text_parse_expression(p));
    if (!take_op(p, ",")) break;
  }
  want_op(p, "}");
  return dict;
}

// Strings that stand side by side are one.
static text_node *string_literal(text_parser *p) {
  text_view text = p->at->text;
  parse_skip(p);
  while (at_kind(p, TEXT_TOK_STRING)) {
    text = text_append(p->env, text, p->at->text).text;
    parse_skip(p);
  }
  return constant(p, text_string(text.bytes, text.size));
}

static text_node *name_or_constant(text_parser *p) {
  static const char *const words[] = {"true", "True", "false", "False", "none", "None"};
  for (size_t i = 0; i < 6; i++) {
    if (take_word(p, words[i])) return constant(p, i < 4 ? text_bool(i < 2) : text_none());
  }
  text_node *node = parse_node(p, TEXT_NODE_NAME);
  if (node) node->name = p->at->text;
  parse_skip(p);
  return node;
}

text_node *text_parse_primary(text_parser *p) {
  text_node *node = NULL;
  if (!parse_enter(p)) return NULL;
  if (at_kind(p, TEXT_TOK_NAME)) {
    node = name_or_constant(p);
  } else if (at_kind(p, TEXT_TOK_STRING)) {
    node = string_literal(p);
  } else if (at_kind(p, TEXT_TOK_INT) || at_kind(p, TEXT_TOK_FLOAT)) {
    node = constant(p, p->at->kind == TEXT_TOK_INT ? text_int(p->at->integer) : text_real(p->at->real));
    parse_skip(p);
  } else if (at_op(p, "(")) {
    node = parenthesised(p);
  } else if (at_op(p, "[")) {
    node = list_literal(p);
  } else if (at_op(p, "{")) {
    node = dict_literal(p);
  } else {
    parse_fail(p, "expected an expression");
  }
  p->depth--;
  return node;
}

// ---- postfix: attributes, items, calls, filters, tests

static void call_arguments(text_parser *p, text_node *call) {
  bool keywords = false;
  want_op(p, "(");
  while (!p->env->status && !at_op(p, ")")) {
    if (at_kind(p, TEXT_TOK_NAME) && p->at[1].kind == TEXT_TOK_OPERATOR && text_view_is(p->at[1].text, "=")) {
      text_node *keyword = parse_node(p, TEXT_NODE_KEYWORD);
      text_view name = want_name(p);
      want_op(p, "=");
      text_node *value = text_parse_expression(p);
      if (!keyword) return;
      keyword->name = name;
      keyword->a = value;
      keywords = true;
      parse_add(p, call, keyword);
    } else if (keywords) {
      parse_fail(p, "a positional argument behind a keyword argument");
    } else {
      parse_add(p, call, text_parse_expression(p));
    }
    if (!take_op(p, ",")) break;
  }
  want_op(p, ")");
}

// Behind [: an index or a slice.
static text_node *subscript(text_parser *p) {
  text_node *parts[3] = {NULL, NULL, NULL};
  int colons = 0;
  for (int i = 0; i < 3 && !p->env->status; i++) {
    if (!at_op(p, ":") && !at_op(p, "]")) parts[i] = text_parse_expression(p);
    if (i == 2 || !take_op(p, ":")) break;
    colons++;
  }
  if (!colons) return parts[0] ? parts[0] : parse_fail(p, "an index is missing");
  text_node *slice = parse_pair(p, TEXT_NODE_SLICE, parts[0], parts[1]);
  if (slice) slice->c = parts[2];
  return slice;
}

static text_node *attribute(text_parser *p, text_node *value) {
  if (at_kind(p, TEXT_TOK_INT)) {
    text_node *item = parse_pair(p, TEXT_NODE_ITEM, value, constant(p, text_int(p->at->integer)));
    parse_skip(p);
    return item;
  }
  text_node *attr = parse_pair(p, TEXT_NODE_ATTR, value, NULL);
  text_view name = want_name(p);
  if (attr) attr->name = name;
  return attr;
}

static text_node *call(text_parser *p, text_node *function) {
  text_node *node = parse_pair(p, TEXT_NODE_CALL, function, NULL);
  call_arguments(p, node);
  return node;
}

static text_node *postfix(text_parser *p, text_node *node) {
  while (!p->env->status) {
    if (take_op(p, ".")) {
      node = attribute(p, node);
    } else if (take_op(p, "[")) {
      node = parse_pair(p, TEXT_NODE_ITEM, node, subscript(p));
      want_op(p, "]");
    } else if (at_op(p, "(")) {
      node = call(p, node);
    } else {
      break;
    }
  }
  return node;
}

text_node *text_parse_filter(text_parser *p, text_node *input) {
  text_node *node = parse_pair(p, TEXT_NODE_FILTER, input, NULL);
  text_view name = want_name(p);
  if (node) node->name = name;
  if (at_op(p, "(")) call_arguments(p, node);
  return node;
}

// Behind "is". The one argument may stand without parentheses: x is divisibleby 3.
static text_node *test(text_parser *p, text_node *input) {
  bool negated = take_word(p, "not");
  text_node *node = parse_pair(p, TEXT_NODE_TEST, input, NULL);
  text_view name = want_name(p);
  if (node) node->name = name;
  if (at_op(p, "(")) {
    call_arguments(p, node);
  } else if (at_kind(p, TEXT_TOK_NAME) || at_kind(p, TEXT_TOK_STRING) || at_kind(p, TEXT_TOK_INT) ||
             at_kind(p, TEXT_TOK_FLOAT) || at_op(p, "[") || at_op(p, "{")) {
    bool other = at_word(p, "else") || at_word(p, "or") || at_word(p, "and");
    // What follows a test without an argument belongs to the statement around it.
    if (!other && !at_word(p, "if") && !at_word(p, "is") && !at_word(p, "in") && !at_word(p, "not"))
      parse_add(p, node, postfix(p, text_parse_primary(p)));
  }
  return negated ? parse_pair(p, TEXT_NODE_NOT, node, NULL) : node;
}

static text_node *filters_and_tests(text_parser *p, text_node *node) {
  while (!p->env->status) {
    if (take_op(p, "|")) {
      node = text_parse_filter(p, node);
    } else if (take_word(p, "is")) {
      node = test(p, node);
    } else if (at_op(p, "(")) {
      node = call(p, node);
    } else {
      break;
    }
  }
  return node;
}

// ---- operators

static text_node *unary(text_parser *p, bool with_filter) {
  text_node *node;
  if (!parse_enter(p)) return NULL;
  if (take_op(p, "-")) {
    node = parse_pair(p, TEXT_NODE_NEGATE, unary(p, false), NULL);
  } else if (take_op(p, "+")) {
    node = parse_pair(p, TEXT_NODE_PLUS, unary(p, false), NULL);
  } else {
    node = text_parse_primary(p);
  }
  node = postfix(p, node);
  if (with_filter) node = filters_and_tests(p, node);
  p->depth--;
  return node;
}

typedef struct {
  const char *text;
  text_op op;
} operator_row;

static text_node *binary(text_parser *p, text_op op, text_node *left, text_node *right) {
  text_node *node = parse_pair(p, TEXT_NODE_BINARY, left, right);
  if (node) node->op = op;
  return node;
}

// A level of left-associative operators; the table ends with a null text.
static text_node *level(text_parser *p, const operator_row *rows, text_node *(*inner)(text_parser *p)) {
  text_node *left = inner(p);
  for (size_t i = 0; rows[i].text && !p->env->status; i++) {
    if (!take_op(p, rows[i].text)) continue;
    left = binary(p, rows[i].op, left, inner(p));
    i = (size_t)-1;
  }
  return left;
}

static text_node *filtered_unary(text_parser *p) { return unary(p, true); }

static text_node *power(text_parser *p) {
  static const operator_row rows[] = {{"**", TEXT_OP_POW}, {NULL, 0}};
  return level(p, rows, filtered_unary);
}

static text_node *product(text_parser *p) {
  static const operator_row rows[] = {
      {"*", TEXT_OP_MUL}, {"//", TEXT_OP_FLOORDIV}, {"/", TEXT_OP_DIV}, {"%", TEXT_OP_MOD}, {NULL, 0}};
  return level(p, rows, power);
}

static text_node *concat(text_parser *p) {
  text_node *first = product(p);
  if (!at_op(p, "~")) return first;
  text_node *node = parse_node(p, TEXT_NODE_CONCAT);
  parse_add(p, node, first);
  while (take_op(p, "~")) parse_add(p, node, product(p));
  return node;
}

static text_node *sum(text_parser *p) {
  static const operator_row rows[] = {{"+", TEXT_OP_ADD}, {"-", TEXT_OP_SUB}, {NULL, 0}};
  return level(p, rows, concat);
}

static bool take_comparison(text_parser *p, text_op *op) {
  static const operator_row rows[] = {{"==", TEXT_OP_EQ}, {"!=", TEXT_OP_NE}, {"<=", TEXT_OP_LE},
                                      {"<", TEXT_OP_LT},  {">=", TEXT_OP_GE}, {">", TEXT_OP_GT}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    *op = rows[i].op;
    if (take_op(p, rows[i].text)) return true;
  }
  *op = TEXT_OP_IN;
  if (take_word(p, "in")) return true;
  *op = TEXT_OP_NOT_IN;
  if (!at_word(p, "not") || p->at[1].kind != TEXT_TOK_NAME || !text_view_is(p->at[1].text, "in")) return false;
  parse_skip(p);
  parse_skip(p);
  return true;
}

static text_node *comparison(text_parser *p) {
  text_node *first = sum(p), *node = NULL;
  text_op op;
  while (take_comparison(p, &op)) {
    if (!node) node = parse_pair(p, TEXT_NODE_COMPARE, first, NULL);
    parse_add(p, node, binary(p, op, NULL, sum(p)));
  }
  return node ? node : first;
}

static text_node *not_expression(text_parser *p) {
  if (!take_word(p, "not")) return comparison(p);
  if (!parse_enter(p)) return NULL;
  text_node *node = parse_pair(p, TEXT_NODE_NOT, not_expression(p), NULL);
  p->depth--;
  return node;
}

static text_node *and_expression(text_parser *p) {
  text_node *left = not_expression(p);
  while (take_word(p, "and")) left = parse_pair(p, TEXT_NODE_AND, left, not_expression(p));
  return left;
}

static text_node *or_expression(text_parser *p) {
  text_node *left = and_expression(p);
  while (take_word(p, "or")) left = parse_pair(p, TEXT_NODE_OR, left, and_expression(p));
  return left;
}

text_node *text_parse_expression(text_parser *p) {
  if (!parse_enter(p)) return NULL;
  text_node *value = or_expression(p);
  while (take_word(p, "if")) {
    text_node *node = parse_pair(p, TEXT_NODE_COND, or_expression(p), value);
    text_node *otherwise = take_word(p, "else") ? text_parse_expression(p) : NULL;
    if (!node) break;
    node->c = otherwise;
    value = node;
  }
  p->depth--;
  return value;
}

text_node *text_parse_expressions(text_parser *p, bool conditional) {
  text_node *first = conditional ? text_parse_expression(p) : or_expression(p);
  if (!at_op(p, ",")) return first;
  text_node *tuple = parse_node(p, TEXT_NODE_TUPLE);
  parse_add(p, tuple, first);
  while (take_op(p, ",")) {
    if (at_kind(p, TEXT_TOK_BLOCK_END) || at_kind(p, TEXT_TOK_PRINT_END) || at_op(p, "=")) break;
    parse_add(p, tuple, conditional ? text_parse_expression(p) : or_expression(p));
  }
  return tuple;
}
