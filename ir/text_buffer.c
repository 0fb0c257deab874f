// The printers' growing text.
#include "ir/text_buffer.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 32 };  // most texts are a dim or a type

void ir_text_init(ir_text *text, weir_arena *arena) {
  *text = (ir_text){.arena = arena, .data = weir_arena_alloc(arena, FIRST_BYTES), .capacity = FIRST_BYTES};
}

// Makes room for |more| bytes and the zero behind them.
static void reserve(ir_text *text, size_t more) {
  if (text->length + more < text->capacity) return;
  size_t capacity = 2 * text->capacity + more;
  text->data = weir_arena_grow(text->arena, text->data, text->length + 1, capacity, 1);
  text->capacity = capacity;
}

void ir_text_puts(ir_text *text, const char *string) {
  size_t length = strlen(string);
  reserve(text, length);
  memcpy(text->data + text->length, string, length + 1);
  text->length += length;
}

void ir_text_printf(ir_text *text, const char *fmt, ...) {
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  if (length > 0) {
    reserve(text, (size_t)length);
    vsnprintf(text->data + text->length, (size_t)length + 1, fmt, again);
    text->length += (size_t)length;
  }
  va_end(again);
}

void ir_text_quoted(ir_text *text, const char *string) {
  ir_text_puts(text, "\"");
  for (const unsigned char *c = (const unsigned char *)string; *c; c++) {
    if (*c == '\n') {
      ir_text_puts(text, "\\n");
    } else if (*c == '"' || *c == '\\') {
      ir_text_printf(text, "\\%c", *c);
    } else if (*c < 32 || *c > 126) {
      ir_text_printf(text, "\\x%02x", *c);
    } else {
      ir_text_printf(text, "%c", *c);
    }
  }
  ir_text_puts(text, "\"");
}

void ir_text_double(ir_text *text, double value) {
  if (isnan(value)) {
    ir_text_puts(text, "nan");
    return;
  }
  if (isinf(value)) {
    ir_text_puts(text, value < 0 ? "-inf" : "inf");
    return;
  }
  char digits[64];
  int precision = 1;
  for (; precision < 17; precision++) {
    snprintf(digits, sizeof digits, "%.*e", precision - 1, value);
    if (strtod(digits, NULL) == value) break;
  }
  snprintf(digits, sizeof digits, "%.*e", precision - 1, value);
  int exponent = atoi(strchr(digits, 'e') + 1), decimals = precision - 1 - exponent;
  if (exponent >= -4 && exponent < 16) snprintf(digits, sizeof digits, "%.*f", decimals > 1 ? decimals : 1, value);
  ir_text_puts(text, digits);
}

bool ir_text_is_name(const char *string) {
  if (!string || (!isalpha((unsigned char)*string) && *string != '_')) return false;
  for (const char *c = string; *c; c++) {
    bool inner_dot = *c == '.' && (isalnum((unsigned char)c[1]) || c[1] == '_');
    if (!isalnum((unsigned char)*c) && *c != '_' && !inner_dot) return false;
  }
  return true;
}
