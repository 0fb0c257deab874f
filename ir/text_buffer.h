// A growing text in an arena: what the printers of the IRs write into. One thread.
#ifndef WEIR_IR_TEXT_BUFFER_H
#define WEIR_IR_TEXT_BUFFER_H

#include "runtime/base/arena.h"

typedef struct {
  weir_arena *arena;
  char *data;  // zero-terminated once something was written
  size_t length, capacity;
} ir_text;

void ir_text_init(ir_text *text, weir_arena *arena);
void ir_text_printf(ir_text *text, const char *fmt, ...) WEIR_PRINTF(2, 3);
void ir_text_puts(ir_text *text, const char *string);
// In double quotes; quotes, backslashes and bytes outside printable ASCII as \" \\ \n \xNN.
void ir_text_quoted(ir_text *text, const char *string);
// The shortest digits that read back as the same double, with a point or exponent; inf, -inf, nan.
void ir_text_double(ir_text *text, double value);
// True for a letter or _ followed by letters, digits, _ and inner dots.
bool ir_text_is_name(const char *string);

#endif
