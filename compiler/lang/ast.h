// The syntax tree of a Weir file: what lang_parse makes and what the formatter and the elaborator read.
//
// One tagged struct per class of node: item (file level), stmt (bodies), expr (expressions and values), sub (what
// stands in brackets), arg (what stands in a call or a construction), type, signature, pattern. Switch on |kind| and
// read the member of the same name. Everything lives in the arena given to lang_parse and is immutable afterwards;
// lists are {data, count}. Strings are NUL-terminated and never null unless a comment says so. Every node has a span. A
// pointer is null only where "or null" is said.
//
// The parser has already narrowed what its grammar takes too widely: members have paths, assignments have targets, a
// call statement is a call, reducers have binders, the atoms of a pattern's segment touch. So the tree holds nothing
// the language page does not allow, except LANG_EXPR_ERROR, which stands for something that has been reported already:
// say nothing about it.
//
// Recursion over the tree is safe: brackets nest at most LANG_MAX_NESTING deep and no expression is higher than
// LANG_MAX_HEIGHT.
#ifndef WEIR_COMPILER_LANG_AST_H
#define WEIR_COMPILER_LANG_AST_H

#include "compiler/lang/source.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LANG_MAX_NESTING 256
#define LANG_MAX_HEIGHT 512

// A list that grows in an arena; push with LANG_PUSH.
#define LANG_LIST(type)  \
  struct {               \
    type *data;          \
    int count, capacity; \
  }
// Most lists of a tree are short, and there are many: they begin with room for two.
#define LANG_PUSH(arena, list, value)                                                    \
  do {                                                                                   \
    if (!(list)->capacity) {                                                             \
      (list)->capacity = 2;                                                              \
      (list)->data = weir_arena_grow((arena), (list)->data, 0, 2, sizeof *(list)->data); \
    }                                                                                    \
    WEIR_PUSH(arena, (list)->data, (list)->count, (list)->capacity, value);              \
  } while (0)

typedef struct lang_expr lang_expr;
typedef struct lang_type lang_type;
typedef struct lang_stmt lang_stmt;
typedef struct lang_item lang_item;

typedef struct {
  const char *text;
  lang_span span;
} lang_name;
typedef LANG_LIST(lang_name) lang_names;

// A dotted name: attn.qkv. |text| has the dots.
typedef struct {
  const char *text;
  lang_names parts;  // one or more
  lang_span span;
} lang_path;
typedef LANG_LIST(lang_path) lang_paths;

typedef LANG_LIST(lang_expr *) lang_exprs;

// ---- comments

typedef struct {
  const char *text;  // with its slashes, without the newline and without white space at its end
  lang_span span;
  bool doc;           // begins with exactly three slashes
  bool own_line;      // nothing but white space before it on its line
  bool blank_before;  // at least one empty line above it
} lang_comment;
typedef LANG_LIST(lang_comment) lang_comments;

// Comments around a node, as ranges of lang_file.comments. Leading: on lines of their own, directly before it.
// Trailing: behind it on its last line. Comments within a node (between the elements of a list, say) belong to no
// trivia; they are in lang_file.comments by offset.
typedef struct {
  int leading, leading_count;
  int trailing, trailing_count;
  bool blank_before;  // an empty line before the node (before its leading comments, if it has any)
  const char *doc;    // the text of its `///` lines, joined by newlines, without slashes; or null
} lang_trivia;

// ---- expressions

typedef enum {
  LANG_UNIT_NONE,
  LANG_UNIT_COUNT,             // k M G, by 1000
  LANG_UNIT_BYTES,             // B KB MB GB TB by 1000, KiB MiB GiB by 1024
  LANG_UNIT_BYTES_PER_SECOND,  // KB/s MB/s GB/s TB/s
  LANG_UNIT_SECONDS,           // ns us ms s min h
  LANG_UNIT_WATTS,             // W
} lang_unit;

// A number as written and what it is worth. Whole digits (with a unit by which the value stays whole) are integers, all
// others floats.
typedef struct {
  const char *text;    // the digits as written, without the unit
  const char *suffix;  // the unit as written; "" without one
  lang_unit unit;
  bool is_int;    // |i| and |f| are set; else only |f|
  bool overflow;  // digits that fit neither int64 (then |i| is INT64_MAX) nor a finite double; reported already
  int64_t i;      // in the base unit: ones, bytes, seconds ...
  double f;       // the same as a double
} lang_number;

typedef enum {
  // primaries
  LANG_EXPR_NAME,
  LANG_EXPR_NUMBER,
  LANG_EXPR_STRING,
  LANG_EXPR_LIST,           // [a, b]
  LANG_EXPR_COMPREHENSION,  // [for i in r: v]
  // operators
  LANG_EXPR_UNARY,
  LANG_EXPR_BINARY,
  LANG_EXPR_COMPARE,  // a < b <= c: a chain, all hold
  // postfix
  LANG_EXPR_FIELD,    // a.b
  LANG_EXPR_INDEX,    // a[subs]
  LANG_EXPR_CALL,     // a(args)
  LANG_EXPR_REDUCE,   // sum(i, j in r: e where g)
  LANG_EXPR_RESHAPE,  // a as [subs]
  // values: never operands, only where a value may stand (and ranges after `in`)
  LANG_EXPR_RANGE,      // a..b  a..=b
  LANG_EXPR_CONSTRUCT,  // Linear{args}[n]
  LANG_EXPR_ERROR,      // reported already
} lang_expr_kind;

typedef enum { LANG_OP_NEG, LANG_OP_NOT } lang_unary_op;
typedef enum {
  LANG_OP_ADD,
  LANG_OP_SUB,
  LANG_OP_MUL,
  LANG_OP_DIV,
  LANG_OP_MOD,
  LANG_OP_AND,
  LANG_OP_OR
} lang_binary_op;
typedef enum { LANG_OP_LT, LANG_OP_GT, LANG_OP_LE, LANG_OP_GE, LANG_OP_EQ, LANG_OP_NE } lang_compare_op;
typedef LANG_LIST(lang_compare_op) lang_compare_ops;

// What stands between brackets: of an index, a type or a reshape.
typedef enum {
  LANG_SUB_INDEX,     // e: |low|
  LANG_SUB_SLICE,     // a..b  a..=b  a..  ..b  .. : |low| and |high|, each or null
  LANG_SUB_BINDER,    // n in N: |name|, and the range in |low|
  LANG_SUB_ELLIPSIS,  // ...
} lang_sub_kind;

typedef struct {
  lang_sub_kind kind;
  lang_span span;
  lang_name name;
  lang_expr *low, *high;
  bool inclusive;  // of a slice: ..=
} lang_sub;
typedef LANG_LIST(lang_sub) lang_subs;

typedef enum {
  LANG_ARG_POSITIONAL,  // |value|
  LANG_ARG_NAMED,       // name = value
  LANG_ARG_BINDER,      // name in range: the range is in |value|
} lang_arg_kind;

typedef struct {
  lang_arg_kind kind;
  lang_span span;
  lang_name name;
  lang_expr *value;
} lang_arg;
typedef LANG_LIST(lang_arg) lang_args;

// An index bound by a reducer.
typedef struct {
  lang_name name;
  lang_expr *range;  // or null: from the subscripts
} lang_binder;
typedef LANG_LIST(lang_binder) lang_binders;

struct lang_expr {
  lang_expr_kind kind;
  uint16_t height;  // 1 for a leaf
  uint16_t parens;  // pairs of parentheses around it in the text; the span is without them
  lang_span span;
  lang_span op_span;  // of an operator: its sign (the first one of a chain); of a field: the name; else no place
  union {
    const char *name;
    lang_number number;
    struct {
      const char *text;
      size_t length;
    } string;  // unescaped
    struct {
      lang_exprs values;
    } list;
    struct {
      lang_names names;
      lang_expr *range, *value;
    } comprehension;
    struct {
      lang_unary_op op;
      lang_expr *operand;
    } unary;
    struct {
      lang_binary_op op;
      lang_expr *left, *right;
    } binary;
    struct {
      lang_exprs operands;
      lang_compare_ops ops;
    } compare;  // one op less than operands
    struct {
      lang_expr *base;
      lang_name name;
    } field;
    struct {
      lang_expr *base;
      lang_subs subs;
    } index;
    struct {
      lang_expr *callee;
      lang_args args;
    } call;
    struct {
      lang_expr *callee;
      lang_binders binders;
      lang_expr *body;
      lang_exprs guards;
    } reduce;
    struct {
      lang_expr *base;
      lang_subs subs;
    } reshape;
    struct {
      lang_expr *low, *high;
      bool inclusive;
    } range;
    struct {
      lang_name name;
      lang_args args;
      lang_exprs counts;
    } construct;  // counts: of each [n] behind it, in order
  };
};

// ---- types

typedef enum {
  LANG_TYPE_NAMED,   // int, bool, fn, block ...: build time
  LANG_TYPE_TENSOR,  // name[subs]: run time
  LANG_TYPE_LIST,    // [type]
} lang_type_kind;

struct lang_type {
  lang_type_kind kind;
  lang_span span;
  lang_name name;      // of NAMED and TENSOR; "fn" for a function
  lang_subs subs;      // of TENSOR
  lang_type *element;  // of LIST
};

typedef struct {
  lang_name name;
  lang_type *type;   // or null
  lang_expr *range;  // after `in`; or null
  lang_expr *value;  // after `=`; or null
  lang_span span;
  const char *doc;  // or null
} lang_param;
typedef struct {
  lang_param *data;
  int count, capacity;
  uint32_t close;  // the byte offset of the bracket behind them
} lang_params;

typedef enum {
  LANG_RESULT_NONE,
  LANG_RESULT_TYPE,   // -> f[T, D]
  LANG_RESULT_NAMED,  // -> (nll: f32[], count: i32[])
} lang_result_kind;

typedef struct {
  lang_params params;
  lang_result_kind result;
  lang_type *type;      // of RESULT_TYPE, else null
  lang_expr *range;     // of RESULT_TYPE, after `in`; or null
  lang_params results;  // of RESULT_NAMED
  lang_span span;
} lang_signature;

// ---- declarations

typedef LANG_LIST(lang_stmt *) lang_stmts;

typedef struct {
  lang_stmts stmts;
  lang_span span;  // with its braces
} lang_body;

typedef struct {
  lang_names names;
  lang_expr *value;
} lang_let;

typedef struct {
  lang_names names;
  lang_name role;    // |text| null without one
  lang_expr *range;  // after `in`; or null
  lang_expr *value;  // after `=`; or null
  lang_exprs wheres;
} lang_dim;

typedef enum { LANG_FN_PLAIN, LANG_FN_ENTRY, LANG_FN_STEP } lang_fn_kind;

typedef struct {
  lang_fn_kind kind;
  lang_name name;
  lang_signature signature;
  lang_exprs wheres;
  lang_body body;
} lang_fn;

// ---- statements

typedef enum {
  LANG_STMT_LET,
  LANG_STMT_DIM,
  LANG_STMT_FN,  // fn, entry, step
  LANG_STMT_PARAM,
  LANG_STMT_STATE,
  LANG_STMT_MEMBER,
  LANG_STMT_ASSIGN,
  LANG_STMT_CALL,
  LANG_STMT_RETURN,
  LANG_STMT_FOR,
  LANG_STMT_IF,
  LANG_STMT_SCAN,
  LANG_STMT_COND,
} lang_stmt_kind;

// Left of `=`: a name (which may have dots), or index notation.
typedef struct {
  lang_path path;
  bool indexed;  // has brackets, empty ones too
  lang_subs subs;
  lang_span span;
} lang_target;
typedef LANG_LIST(lang_target) lang_targets;

typedef struct {
  lang_expr *condition;
  lang_body body;
} lang_arm;
typedef LANG_LIST(lang_arm) lang_arms;

struct lang_stmt {
  lang_stmt_kind kind;
  lang_span span;
  lang_trivia trivia;
  union {
    lang_let let;
    lang_dim dim;
    lang_fn fn;
    struct {
      lang_paths paths;
      lang_type *type;
      lang_expr *value;
    } param;  // value or null
    struct {
      lang_paths paths;
      lang_type *type;
      lang_expr *over, *value;
    } state;  // over, value or null
    struct {
      lang_paths paths;
      lang_expr *value;
    } member;
    struct {
      lang_targets targets;
      lang_exprs values;
    } assign;
    struct {
      lang_expr *call;
    } call;  // a LANG_EXPR_CALL
    struct {
      lang_exprs values;
    } ret;
    struct {
      lang_names names;
      lang_expr *range;
      lang_body body;
    } loop;  // FOR
    struct {
      lang_arms arms;
      bool has_else;
      lang_body otherwise;
    } branch;  // IF: one or more arms
    struct {
      lang_name name;
      lang_expr *range;
      lang_names carries;
      lang_expr *condition;
      lang_body body;
    } scan;  // condition or null
    struct {
      lang_expr *condition;
      lang_body body, otherwise;
    } cond;
  };
};

// ---- patterns

typedef enum {
  LANG_ATOM_NAME,          // |name|
  LANG_ATOM_STAR,          // *: any characters within a segment
  LANG_ATOM_STARSTAR,      // **: any depth; alone in its segment
  LANG_ATOM_ALTERNATIVES,  // {a,b,1}: |names|
  LANG_ATOM_ANY,           // [*]
  LANG_ATOM_CAPTURE,       // [i]: |name|
  LANG_ATOM_NUMBER,        // [3]: |low|
  LANG_ATOM_RANGE,         // [0..2]: |low|, |high|; without |high| itself
} lang_atom_kind;

typedef struct {
  lang_atom_kind kind;
  lang_span span;
  const char *name;  // or null
  lang_names names;  // numbers as their digits
  int64_t low, high;
} lang_atom;
typedef LANG_LIST(lang_atom) lang_atoms;

typedef struct {
  lang_atoms atoms;  // one or more
  lang_span span;
} lang_segment;
typedef LANG_LIST(lang_segment) lang_segments;

typedef struct {
  lang_segments segments;  // one or more
  lang_span span;
} lang_pattern;
typedef LANG_LIST(lang_pattern) lang_patterns;

// ---- file
// level

typedef enum {
  LANG_ITEM_USE,
  LANG_ITEM_LET,
  LANG_ITEM_DIM,
  LANG_ITEM_FN,
  LANG_ITEM_BLOCK,
  LANG_ITEM_MODEL,
  LANG_ITEM_RULE,
  LANG_ITEM_BIND,
  LANG_ITEM_SECTION,
} lang_item_kind;

typedef struct {
  bool is_path;
  lang_path path;    // use std.nn;
  const char *file;  // use "layers.weir"; unescaped; null for a path
  size_t file_length;
  lang_span span;  // of the path or the string
} lang_use;

typedef struct {
  lang_name name;
  lang_params params;
  bool has_signature;
  lang_signature signature;
  lang_exprs wheres;
  lang_body body;
} lang_block;

typedef struct {
  lang_name name;
  lang_params params;
  lang_exprs wheres;
  lang_body body;
} lang_model;

typedef struct {
  lang_name name;
  lang_params params;
  bool exact;
  lang_exprs wheres;
  lang_expr *left, *right;
} lang_rule;

typedef struct {
  lang_patterns patterns;
  lang_exprs values;
  lang_span span;
  lang_trivia trivia;
} lang_bind_line;
typedef LANG_LIST(lang_bind_line) lang_bind_lines;

typedef struct {
  lang_name name;
  lang_name target;
  lang_bind_lines lines;
  lang_span braces;
} lang_bind;

typedef enum { LANG_SECTION_PLAN, LANG_SECTION_TRAIN, LANG_SECTION_SEARCH, LANG_SECTION_CLUSTER } lang_section_kind;

typedef enum {
  LANG_SETTING_SET,     // name = values;
  LANG_SETTING_SELECT,  // name patterns: values;
  LANG_SETTING_WHERE,   // where values;
} lang_setting_kind;

typedef struct {
  lang_setting_kind kind;
  lang_name name;
  lang_patterns patterns;
  lang_exprs values;
  lang_span span;
  lang_trivia trivia;
} lang_setting;
typedef LANG_LIST(lang_setting) lang_settings;

typedef struct {
  lang_section_kind kind;
  lang_name name;
  lang_name target;  // |text| null for a cluster
  lang_settings settings;
  lang_span braces;
} lang_section;

struct lang_item {
  lang_item_kind kind;
  lang_span span;
  lang_trivia trivia;
  union {
    lang_use use;
    lang_let let;
    lang_dim dim;
    lang_fn fn;
    lang_block block;
    lang_model model;
    lang_rule rule;
    lang_bind bind;
    lang_section section;
  };
};
typedef LANG_LIST(lang_item *) lang_items;

typedef struct {
  const lang_source *source;
  lang_items items;
  lang_comments comments;  // all of the file, in order
  bool ok;                 // no error while reading it: the tree is whole
} lang_file;

// ---- helpers (ast.c)

const char *lang_unary_op_text(lang_unary_op op);       // "-" "not"
const char *lang_binary_op_text(lang_binary_op op);     // "+" ... "and" "or"
const char *lang_compare_op_text(lang_compare_op op);   // "<" ...
const char *lang_section_text(lang_section_kind kind);  // "plan" ...
const char *lang_fn_text(lang_fn_kind kind);            // "fn" "entry" "step"

// A name or a chain of fields over a name as a dotted path: a.b.c. False for any other expression and within
// parentheses.
bool lang_expr_path(weir_arena *arena, const lang_expr *expr, lang_path *out_path);

// The tree as text, one s-expression per item, without spans and comments: equal texts mean equal trees.
char *lang_file_dump(weir_arena *arena, const lang_file *file);

#ifdef __cplusplus
}
#endif
#endif
