// Private to the front end: text that grows in an arena.
#ifndef WEIR_COMPILER_LANG_TEXT_H
#define WEIR_COMPILER_LANG_TEXT_H

#include "runtime/base/arena.h"

typedef struct {
  weir_arena *arena;
  char *data;  // |count| bytes; a NUL only after lang_text_take
  size_t count, capacity;
} lang_text_out;

void lang_text_put(lang_text_out *out, char c);
void lang_text_add(lang_text_out *out, const char *text);
void lang_text_printf(lang_text_out *out, const char *fmt, ...) WEIR_PRINTF(2, 3);
// A string as the language writes it: with quotes and escapes.
void lang_text_quote(lang_text_out *out, const char *text, size_t length);
// Ends the text with a NUL and gives it away.
char *lang_text_take(lang_text_out *out);

#endif
