// Private to the formatter: a document is a flat list of text and places where a line may break; lang_doc_print chooses
// the breaks.
//
// Groups nest. A group that fits on the line is flat: its breaks are spaces or nothing. One that does not fit either
// breaks at all of its own breaks (LANG_DOC_ALL) or only where the next piece does not fit (LANG_DOC_FILL). A hard
// break or a comment keeps the groups around it from being flat. White space is written late, just before the text
// behind it, so a comment may take the place of a break.
#ifndef WEIR_COMPILER_LANG_DOC_H
#define WEIR_COMPILER_LANG_DOC_H

#include "compiler/lang/ast.h"

typedef enum {
  LANG_DOC_TEXT,
  LANG_DOC_SPACE,
  LANG_DOC_LINE,       // a space, or a new line
  LANG_DOC_SOFT,       // nothing, or a new line
  LANG_DOC_HARD,       // a new line
  LANG_DOC_BLANK,      // an empty line
  LANG_DOC_IF_BROKEN,  // text, unless its group is flat
  LANG_DOC_ALL,        // opens a group
  LANG_DOC_FILL,       // opens a group
  LANG_DOC_CLOSE,
  LANG_DOC_INDENT,    // by |amount| from here on, which may be negative
  LANG_DOC_TRAILING,  // a comment behind what stands on the line
  LANG_DOC_OWN,       // a comment on a line of its own
} lang_doc_kind;

typedef struct {
  lang_doc_kind kind;
  const char *text;
  int bytes, columns;  // of the text
  int amount;
  int end;  // of a group: its close; of a line or a soft: the next break of its group, or the group's close
} lang_doc_op;

typedef struct {
  weir_arena *arena;
  LANG_LIST(lang_doc_op) ops;
} lang_doc;

void lang_doc_add(lang_doc *doc, lang_doc_kind kind);
void lang_doc_text(lang_doc *doc, const char *text);
void lang_doc_if_broken(lang_doc *doc, const char *text);
void lang_doc_indent(lang_doc *doc, int amount);
void lang_doc_comment(lang_doc *doc, lang_doc_kind kind, const char *text);

// Columns of the ops [begin, end) when flat; a large number when they cannot be.
#define LANG_DOC_TOO_WIDE (1 << 28)
int lang_doc_width(const lang_doc *doc, int begin, int end);

// The text, each line without white space at its end, with a newline at its own end unless it is empty.
char *lang_doc_print(lang_doc *doc, int columns);

#endif
