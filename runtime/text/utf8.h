// UTF-8, one character at a time, strict: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef WEIR_RUNTIME_TEXT_UTF8_H
#define WEIR_RUNTIME_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
  TEXT_UTF8_VALID,
  TEXT_UTF8_BROKEN,   // |size| bytes that no character can hold (a maximal subpart); |code| is U+FFFD
  TEXT_UTF8_PARTIAL,  // the text ends inside a character that was fine so far
} text_utf8_state;

typedef struct {
  uint32_t code;
  uint8_t size;  // 1 .. 4
  text_utf8_state state;
} text_char;

// The character at |p|, of |size| >= 1 bytes.
text_char text_utf8_next(const char *p, size_t size);
// Writes |code| (a scalar value) to |out|, returns the number of bytes, 1 .. 4.
size_t text_utf8_put(uint32_t code, char out[4]);
// How many bytes from |p| on are valid UTF-8.
size_t text_utf8_valid_prefix(const char *p, size_t size);
// The property White_Space.
bool text_is_white_space(uint32_t code);
// Sizes without the white space at the end; the number of bytes of white space at the beginning. Broken bytes are not
// space.
size_t text_trim_end(const char *p, size_t size);
size_t text_skip_space(const char *p, size_t size);
// The full lower-case mapping without context: writes 1 or 2 code points, returns how many.
size_t text_lower(uint32_t code, uint32_t out[2]);

#endif
