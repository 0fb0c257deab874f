// Normalisation before splitting, in this order: drop controls and turn white space into U+0020; spaces around CJK
// ideographs; Unicode normal form; drop non-spacing marks; lower case. utf8proc knows the characters.
//
// utf8proc sorts combining marks by exchange, which is quadratic in the length of a run of marks. Texts are hostile, so
// they are normalised in stretches that end before a character that no normal form joins to what is before it, or after
// 512 bytes at the latest (natural text has no run of marks of that length).
#include <stdlib.h>
#include <utf8proc.h>

#include "runtime/text/tokenizer_internal.h"
#include "runtime/text/utf8.h"

enum { CUT_AT_ASCII = 128, CUT_AT_STARTER = 256, CUT_ANYWHERE = 512 };

bool text_normalizes(const text_blob_header *h) {
  return h->kind == TEXT_KIND_WORDPIECE || h->form != TEXT_FORM_NONE || h->flags >= TEXT_FLAG_CLEAN;
}

static bool is_control(uint32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO;
}

// The ranges of the original WordPiece code, as the tokenizers library has them.
static bool is_cjk(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static weir_status put_code(text_buffer *out, uint32_t code) {
  char bytes[4];
  return text_buffer_append(out, bytes, text_utf8_put(code, bytes));
}

// First pass: broken bytes, controls, white space, ideographs.
static weir_status clean(const text_blob_header *h, const char *text, size_t size, text_buffer *out) {
  for (size_t at = 0; at < size;) {
    text_char c = text_utf8_next(text + at, size - at);
    const char *bytes = text + at;
    at += c.size;
    bool drops = h->flags & TEXT_FLAG_CLEAN;
    if (c.state != TEXT_UTF8_VALID && h->kind == TEXT_KIND_BPE) {
      WEIR_TRY(text_buffer_append(out, bytes, c.size));
    } else if (drops && (c.code == 0 || c.code == 0xFFFD || is_control(c.code))) {
      continue;
    } else if (drops && text_is_white_space(c.code)) {
      WEIR_TRY(text_buffer_put(out, ' '));
    } else if ((h->flags & TEXT_FLAG_CJK_SPACES) && is_cjk(c.code)) {
      WEIR_TRY(text_buffer_put(out, ' '));
      WEIR_TRY(put_code(out, c.code));
      WEIR_TRY(text_buffer_put(out, ' '));
    } else {
      WEIR_TRY(put_code(out, c.code));
    }
  }
  return WEIR_OK;
}

// True if no normal form moves |c| across, or joins it with, the character before it.
static bool starts_stretch(uint32_t c) {
  const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)c);
  if (property->combining_class || property->category == UTF8PROC_CATEGORY_MN ||
      property->category == UTF8PROC_CATEGORY_MC)
    return false;
  return c < 0x1100 || c > 0x11FF;  // Hangul vowels and finals join
}

// Length of the next stretch of valid text.
static size_t stretch(const char *text, size_t size) {
  size_t at = 0;
  while (at < size) {
    text_char c = text_utf8_next(text + at, size - at);
    if (at >= CUT_AT_ASCII && c.code < 0x80) break;
    if (at >= CUT_AT_STARTER && starts_stretch(c.code)) break;
    if (at >= CUT_ANYWHERE) break;
    at += c.size;
  }
  return at;
}

static weir_status put_form(text_form form, const char *text, size_t size, text_buffer *out) {
  static const int options[TEXT_FORM_COUNT] = {
      [TEXT_FORM_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
      [TEXT_FORM_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
      [TEXT_FORM_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
      [TEXT_FORM_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
  };
  if (form == TEXT_FORM_NONE) return text_buffer_append(out, text, size);
  utf8proc_uint8_t *mapped = NULL;
  utf8proc_ssize_t length =
      utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &mapped, options[form]);
  if (length < 0) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "normalisation: %s", utf8proc_errmsg(length));
  weir_status status = text_buffer_append(out, mapped, (size_t)length);
  free(mapped);
  return status;
}

// Second pass: the normal form. Broken bytes (BPE) pass through.
static weir_status compose(text_form form, const char *text, size_t size, text_buffer *out) {
  for (size_t at = 0; at < size;) {
    size_t valid = text_utf8_valid_prefix(text + at, size - at);
    for (size_t end = at + valid; at < end;) {
      size_t length = stretch(text + at, end - at);
      WEIR_TRY(put_form(form, text + at, length, out));
      at += length;
    }
    if (at < size) {
      size_t length = text_utf8_next(text + at, size - at).size;
      WEIR_TRY(text_buffer_append(out, text + at, length));
      at += length;
    }
  }
  return WEIR_OK;
}

// Third pass: marks and case.
static weir_status fold(uint32_t flags, const char *text, size_t size, text_buffer *out) {
  for (size_t at = 0; at < size;) {
    text_char c = text_utf8_next(text + at, size - at);
    uint32_t codes[2] = {c.code, 0};
    size_t count = 1;
    if (c.state != TEXT_UTF8_VALID) {
      WEIR_TRY(text_buffer_append(out, text + at, c.size));
      count = 0;
    } else if ((flags & TEXT_FLAG_STRIP_ACCENTS) &&
               utf8proc_category((utf8proc_int32_t)c.code) == UTF8PROC_CATEGORY_MN) {
      count = 0;
    } else if (flags & TEXT_FLAG_LOWERCASE) {
      count = text_lower(c.code, codes);
    }
    for (size_t i = 0; i < count; i++) WEIR_TRY(put_code(out, codes[i]));
    at += c.size;
  }
  return WEIR_OK;
}

weir_status text_normalize(const text_blob_header *h, const char *text, size_t size, text_buffer *out) {
  text_buffer cleaned = {0}, composed = {0};
  text_form form = h->flags & TEXT_FLAG_STRIP_ACCENTS ? TEXT_FORM_NFD : (text_form)h->form;
  weir_status status = clean(h, text, size, &cleaned);
  if (!status) status = compose(form, cleaned.data, cleaned.size, &composed);
  if (!status) status = fold(h->flags, composed.data, composed.size, out);
  text_buffer_deinit(&cleaned);
  text_buffer_deinit(&composed);
  return status;
}
