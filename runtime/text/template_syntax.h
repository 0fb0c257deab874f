// Tokens and the tree of the template language, and how a source becomes a tree. Internal to runtime/text.
#ifndef WEIR_RUNTIME_TEXT_TEMPLATE_SYNTAX_H
#define WEIR_RUNTIME_TEXT_TEMPLATE_SYNTAX_H

#include "runtime/text/template_value.h"

// ---- tokens

typedef enum {
  TEXT_TOK_END,
  TEXT_TOK_DATA,         // text between tags, white space control applied
  TEXT_TOK_BLOCK_BEGIN,  // {%
  TEXT_TOK_BLOCK_END,
  TEXT_TOK_PRINT_BEGIN,  // {{
  TEXT_TOK_PRINT_END,
  TEXT_TOK_NAME,
  TEXT_TOK_STRING,  // escapes resolved
  TEXT_TOK_INT,
  TEXT_TOK_FLOAT,
  TEXT_TOK_OPERATOR,
} text_lexeme_kind;

typedef struct {
  text_lexeme_kind kind;
  int line;
  text_view text;
  int64_t integer;
  double real;
} text_lexeme;

typedef struct {
  text_lexeme *items;
  size_t count, capacity;
} text_lexemes;

// Lexemes of |source| (valid UTF-8, line ends normalised, in the pool), ended by one of kind END. Strings point into
// the source or the pool. env carries the pool and takes the failure.
void text_lex(text_env *env, text_view source, text_lexemes *out);

// ---- tree

typedef enum {
  // Expressions. a, b, c are operands; items are arguments, keyword arguments being KEYWORD nodes.
  TEXT_NODE_CONST,   // value
  TEXT_NODE_NAME,    // name
  TEXT_NODE_LIST,    // items
  TEXT_NODE_TUPLE,   // items
  TEXT_NODE_DICT,    // items: key, value, key, value, ...
  TEXT_NODE_ATTR,    // a.name
  TEXT_NODE_ITEM,    // a[b]
  TEXT_NODE_SLICE,   // a:b:c, each may be null; only as b of ITEM
  TEXT_NODE_CALL,    // a(items)
  TEXT_NODE_FILTER,  // a|name(items); a is null in a set or filter block: the captured text
  TEXT_NODE_TEST,    // a is name(items)
  TEXT_NODE_NOT,
  TEXT_NODE_NEGATE,
  TEXT_NODE_PLUS,
  TEXT_NODE_AND,
  TEXT_NODE_OR,
  TEXT_NODE_BINARY,   // a op b
  TEXT_NODE_CONCAT,   // items joined as strings
  TEXT_NODE_COMPARE,  // a, then items: BINARY nodes with op and b
  TEXT_NODE_COND,     // b if a else c (c may be null)
  TEXT_NODE_KEYWORD,  // name = a; in a macro's parameters a is the default or null
  // Statements. body and orelse are BLOCK nodes.
  TEXT_NODE_DATA,          // value
  TEXT_NODE_PRINT,         // a
  TEXT_NODE_BLOCK,         // items
  TEXT_NODE_IF,            // items: condition, body, condition, body, ...; orelse
  TEXT_NODE_FOR,           // for a in b if c; body, orelse
  TEXT_NODE_SET,           // a = b
  TEXT_NODE_SET_BLOCK,     // a = text of body, through the filters b (or null)
  TEXT_NODE_FILTER_BLOCK,  // text of body through the filters b
  TEXT_NODE_WITH,          // items: target, value, ...; body
  TEXT_NODE_MACRO,         // name(items); body
  TEXT_NODE_BREAK,
  TEXT_NODE_CONTINUE,
} text_node_kind;

typedef enum {
  TEXT_OP_ADD,
  TEXT_OP_SUB,
  TEXT_OP_MUL,
  TEXT_OP_DIV,
  TEXT_OP_FLOORDIV,
  TEXT_OP_MOD,
  TEXT_OP_POW,
  TEXT_OP_EQ,
  TEXT_OP_NE,
  TEXT_OP_LT,
  TEXT_OP_LE,
  TEXT_OP_GT,
  TEXT_OP_GE,
  TEXT_OP_IN,
  TEXT_OP_NOT_IN,
} text_op;

typedef struct text_node text_node;
struct text_node {
  text_node_kind kind;
  text_op op;
  int line;
  text_view name;
  text_value value;
  text_node *a, *b, *c;
  text_node *body, *orelse;
  text_node **items;
  size_t count, capacity;
};

// The tree of |source| (valid UTF-8), all of it in env's pool; null and a failure in env if it has none.
text_node *text_parse_template(text_env *env, text_view source);

// ---- evaluation, for the files that share it

typedef struct {
  text_view name;  // empty for a positional argument
  text_value value;
} text_arg;

typedef struct {
  const text_arg *items;
  size_t count;
} text_args;

// The argument |name|, or the |index|th positional one; |absent| if there is none.
text_value text_arg_get(text_args args, size_t index, const char *name, text_value absent);
// Fails unless there are at least |least| and at most |most| positional arguments and all keywords are in |names|
// (space separated).
bool text_args_check(text_env *env, const char *what, text_args args, size_t least, size_t most, const char *names);

struct text_macro {
  const text_node *node;
  text_scope *scope;  // where it was defined
};

struct text_loop {
  const text_list *items;
  size_t index;
};

text_value text_eval(text_env *env, const text_node *node);
// The arguments of a call, filter or test, in the pool.
text_args text_eval_args(text_env *env, const text_node *node);
void text_exec_template(text_env *env, const text_node *root);
text_value text_call_macro(text_env *env, const text_macro *macro, text_args args);
text_value text_call_method(text_env *env, const text_method *method, text_args args);
text_value text_call_builtin(text_env *env, text_view name, text_args args);
bool text_is_builtin(text_view name);
text_value text_call_filter(text_env *env, text_view name, text_value input, text_args args);
bool text_call_test(text_env *env, text_view name, text_value input, text_args args);
// value.name (methods first) and value[key] (items first); undefined if there is none.
text_value text_get_attr(text_env *env, text_value value, text_view name);
text_value text_get_item(text_env *env, text_value value, text_value key);
// By a path of attributes and indices with dots between, as filters take it.
text_value text_get_path(text_env *env, text_value value, text_value path);
bool text_has_method(text_value value, text_view name);
text_value text_loop_attr(text_env *env, const text_loop *loop, text_view name);

// String work that filters and methods share. |chars| empty: white space. sides: 1 left, 2 right.
text_value text_strip(text_env *env, text_view text, const text_view *chars, int sides);
text_value text_replace(text_env *env, text_view text, text_view from, text_view to, int64_t count);
text_value text_change_case(text_env *env, text_view text, int mode);
enum { TEXT_CASE_LOWER, TEXT_CASE_UPPER, TEXT_CASE_CAPITALIZE, TEXT_CASE_TITLE_METHOD, TEXT_CASE_TITLE_FILTER };
text_value text_join(text_env *env, text_view separator, text_value items, text_value attribute);
// str.splitlines without the line ends.
text_value text_split_lines(text_env *env, text_view text);

#endif
