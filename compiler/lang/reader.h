// Private to the front end: the state shared by scanner, parser and builders while one file is read.
//
// The scanner keeps the stack of open brackets. It limits nesting, and after a syntax error it lets the parser find its
// place again: a statement remembers how many brackets were open around it, and recovery skips to where that many are
// open. A ';' closes all brackets in which no ';' can stand, so one slip does not shift the rest of the file by a
// brace.
//
// When only a ';' is missing, the pass is given up and the file read again with a ';' put in at that place (|inserts|):
// so the report is at the right place and nothing behind it is lost.
#ifndef WEIR_COMPILER_LANG_READER_H
#define WEIR_COMPILER_LANG_READER_H

#include "compiler/lang/ast.h"
#include "compiler/lang/diag.h"

#define LANG_MAX_INSERTS 16

typedef struct {
  char open;     // ( [ {
  bool in_line;  // a brace in which no ';' can stand: construction, parameters, alternatives
  lang_span span;
} lang_bracket;

typedef struct {
  weir_arena *arena;
  const lang_source *source;
  size_t length;     // bytes that are read; less than the source's when its tail is not text
  lang_diags diags;  // of this pass
  lang_file *file;
  void *scanner;

  lang_span at;      // what the scanner matched last, white space and comments too
  lang_span token;   // the token the parser got last
  lang_span before;  // the one before it

  lang_bracket brackets[LANG_MAX_NESTING];
  int depth;
  lang_span unclosed;    // the innermost bracket that the token read last shows to be open by mistake; or no place
  lang_span parameters;  // the brace of a block's or model's parameters while they are read; or no place
  int skip_depth;        // skip tokens until so few brackets are open; -1 when not skipping

  bool stopped;  // the rest of the file is not read: the scanner says end, and later errors are silent
  bool restart;  // the pass is given up for an insertion
  uint32_t inserts[LANG_MAX_INSERTS];  // byte offsets, ascending
  int insert_count, insert_next;
  bool can_insert;
} lang_reader;

// Stops reading with one TOO_DEEP error.
void lang_reader_too_deep(lang_reader *reader, lang_span span);
// After a syntax error: leave the brackets that were opened since |depth| were open.
void lang_reader_resume(lang_reader *reader, int depth);
// The brace opened last holds no statements.
void lang_reader_brace_inline(lang_reader *reader);

// Starts the scanner over the first |length| bytes of the source.
void lang_scan_begin(lang_reader *reader);

// Token values (number.c). |text| is the token.
lang_number lang_number_read(lang_reader *reader, const char *text, size_t length, lang_span span);
// The unescaped text between the quotes.
char *lang_string_read(lang_reader *reader, const char *text, size_t length, lang_span span, size_t *out_length);

// Attaches comments to items, statements, lines and settings (trivia.c).
void lang_trivia_attach(weir_arena *arena, lang_file *file);

#endif
