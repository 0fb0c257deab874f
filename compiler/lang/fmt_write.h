// Private to the formatter: the state of turning a tree into a document, and the parts that statements share with
// expressions.
//
// Comments are placed by offset: before anything that stands at an offset is written, the comments before that offset
// are. So none is lost and none changes its order, whatever it stands next to.
#ifndef WEIR_COMPILER_LANG_FMT_WRITE_H
#define WEIR_COMPILER_LANG_FMT_WRITE_H

#include "compiler/lang/ast.h"
#include "compiler/lang/doc.h"

#define LANG_FMT_COLUMNS 120
#define LANG_FMT_INDENT 2

typedef struct {
  lang_doc doc;
  const lang_file *file;
  int next_comment;
  int indent;     // columns of the statement that is written
  bool at_start;  // nothing has been written since a brace opened: an empty line here is dropped
} lang_fmt;

void lang_fmt_comments(lang_fmt *w, uint32_t before);
// The next comment stands before |offset|.
bool lang_fmt_comment_waits(const lang_fmt *w, uint32_t offset);

// Where the first word of an expression stands, behind all parentheses: comments among those go before them, and are
// found there again.
uint32_t lang_fmt_first_word(const lang_expr *expr);
// A sign between two parts with a space on each side; the comments before offset |next|, where the second part begins,
// come first.
void lang_fmt_joint(lang_fmt *w, const char *sign, uint32_t next);

void lang_fmt_name(lang_fmt *w, const lang_name *name);
void lang_fmt_names(lang_fmt *w, const lang_names *names);
void lang_fmt_paths(lang_fmt *w, const lang_paths *paths);
void lang_fmt_expr(lang_fmt *w, const lang_expr *expr);
void lang_fmt_exprs(lang_fmt *w, const lang_exprs *exprs);  // a, b: breaks between them belong to the group around it
void lang_fmt_subs(lang_fmt *w, const lang_subs *subs);     // with brackets
void lang_fmt_type(lang_fmt *w, const lang_type *type);
void lang_fmt_params(lang_fmt *w, const lang_params *params, const char *open, const char *close);
void lang_fmt_signature(lang_fmt *w, const lang_signature *signature);
void lang_fmt_patterns(lang_fmt *w, const lang_patterns *patterns);

#endif
