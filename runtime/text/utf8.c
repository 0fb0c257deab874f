// UTF-8 decoding by the table of well-formed byte sequences (Unicode standard, table 3-7). A broken piece is a maximal
// subpart: the longest start of a well-formed sequence, or one byte.
#include "runtime/text/utf8.h"

#include <utf8proc.h>

// Range of the second byte and length by first byte.
static unsigned lead(unsigned char c, unsigned char *low, unsigned char *high) {
  *low = 0x80;
  *high = 0xBF;
  if (c < 0xC2 || c > 0xF4) return 0;
  if (c < 0xE0) return 2;
  if (c == 0xE0) *low = 0xA0;
  if (c == 0xED) *high = 0x9F;
  if (c < 0xF0) return 3;
  if (c == 0xF0) *low = 0x90;
  if (c == 0xF4) *high = 0x8F;
  return 4;
}

text_char text_utf8_next(const char *text, size_t size) {
  const unsigned char *p = (const unsigned char *)text;
  if (p[0] < 0x80) return (text_char){p[0], 1, TEXT_UTF8_VALID};
  unsigned char low, high;
  unsigned length = lead(p[0], &low, &high);
  if (!length) return (text_char){0xFFFD, 1, TEXT_UTF8_BROKEN};
  uint32_t code = p[0] & (0xFFu >> (length + 1));
  for (unsigned i = 1; i < length; i++) {
    if (i == size) return (text_char){0xFFFD, (uint8_t)i, TEXT_UTF8_PARTIAL};
    if (p[i] < low || p[i] > high) return (text_char){0xFFFD, (uint8_t)i, TEXT_UTF8_BROKEN};
    code = code << 6 | (p[i] & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return (text_char){code, (uint8_t)length, TEXT_UTF8_VALID};
}

size_t text_utf8_put(uint32_t code, char out[4]) {
  return (size_t)utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)out);
}

size_t text_utf8_valid_prefix(const char *p, size_t size) {
  size_t at = 0;
  while (at < size) {
    text_char c = text_utf8_next(p + at, size - at);
    if (c.state != TEXT_UTF8_VALID) break;
    at += c.size;
  }
  return at;
}

bool text_is_white_space(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

size_t text_trim_end(const char *p, size_t size) {
  while (size) {
    size_t start = size - 1;
    while (start > 0 && size - start < 4 && ((unsigned char)p[start] & 0xC0) == 0x80) start--;
    text_char c = text_utf8_next(p + start, size - start);
    if (c.state != TEXT_UTF8_VALID || start + c.size != size || !text_is_white_space(c.code)) break;
    size = start;
  }
  return size;
}

size_t text_skip_space(const char *p, size_t size) {
  size_t at = 0;
  while (at < size) {
    text_char c = text_utf8_next(p + at, size - at);
    if (c.state != TEXT_UTF8_VALID || !text_is_white_space(c.code)) break;
    at += c.size;
  }
  return at;
}

size_t text_lower(uint32_t code, uint32_t out[2]) {
  if (code == 0x130) {  // the one character whose full lower-case form has two code points
    out[0] = 'i';
    out[1] = 0x307;
    return 2;
  }
  out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
  return 1;
}
