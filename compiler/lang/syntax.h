// Private to the front end: words for a syntax error.
#ifndef WEIR_COMPILER_LANG_SYNTAX_H
#define WEIR_COMPILER_LANG_SYNTAX_H

#include "compiler/lang/reader.h"

// Reports the token |token| (its name in the grammar; null if unknown) at |span| where one of |expected| may stand; or
// gives the pass up when a ';' put in would help. Silent once reading has stopped.
void lang_syntax_error(lang_reader *reader, const char *token, lang_span span, const char *const *expected, int count);

#endif
