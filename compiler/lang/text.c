// Growing text. Appending is one arena push a byte at worst; the texts made here are source-sized.
#include "compiler/lang/text.h"

#include <stdarg.h>

void lang_text_put(lang_text_out *out, char c) { WEIR_PUSH(out->arena, out->data, out->count, out->capacity, c); }

void lang_text_add(lang_text_out *out, const char *text) {
  for (; *text; text++) lang_text_put(out, *text);
}

void lang_text_printf(lang_text_out *out, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  lang_text_add(out, weir_arena_vprintf(out->arena, fmt, args));
  va_end(args);
}

void lang_text_quote(lang_text_out *out, const char *text, size_t length) {
  lang_text_put(out, '"');
  for (size_t i = 0; i < length; i++) {
    char c = text[i];
    char escape = c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : c == '"' || c == '\\' ? c : 0;
    if (escape) lang_text_put(out, '\\');
    lang_text_put(out, escape ? escape : c);
  }
  lang_text_put(out, '"');
}

char *lang_text_take(lang_text_out *out) {
  lang_text_put(out, '\0');
  return out->data;
}
