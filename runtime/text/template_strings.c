// String work shared by filters and methods: stripping, replacing, case, joining, lines. Case is mapped character by
// character (and ß to SS); mappings that depend on context, as that of the final sigma, are left out.
#include <string.h>
#include <utf8proc.h>

#include "runtime/text/template_syntax.h"
#include "runtime/text/utf8.h"

// Python's isspace.
static bool is_space(uint32_t code) { return text_is_white_space(code) || (code >= 0x1C && code <= 0x1F); }

static bool is_stripped(uint32_t code, const text_view *chars) {
  if (!chars) return is_space(code);
  for (size_t at = 0; at < chars->size;) {
    text_char c = text_utf8_next(chars->bytes + at, chars->size - at);
    if (c.code == code) return true;
    at += c.size;
  }
  return false;
}

text_value text_strip(text_env *env, text_view text, const text_view *chars, int sides) {
  if (!text_charge(env, text.size / 64)) return text_none();
  while ((sides & 1) && text.size) {
    text_char c = text_utf8_next(text.bytes, text.size);
    if (!is_stripped(c.code, chars)) break;
    text = (text_view){text.bytes + c.size, text.size - c.size};
  }
  while ((sides & 2) && text.size) {
    size_t start = text.size - 1;
    while (start > 0 && ((unsigned char)text.bytes[start] & 0xC0) == 0x80) start--;
    if (!is_stripped(text_utf8_next(text.bytes + start, text.size - start).code, chars)) break;
    text.size = start;
  }
  return text_string(text.bytes, text.size);
}

text_value text_replace(text_env *env, text_view text, text_view from, text_view to, int64_t count) {
  text_buffer buffer = {0};
  size_t at = 0;
  while (at <= text.size && count != 0 && text_charge(env, 1)) {
    const char *found = from.size ? memmem(text.bytes + at, text.size - at, from.bytes, from.size) : text.bytes + at;
    if (!found) break;
    size_t start = (size_t)(found - text.bytes);
    text_env_put(env, &buffer, text.bytes + at, start - at);
    text_env_put(env, &buffer, to.bytes, to.size);
    at = start + from.size;
    if (!from.size) {  // between all characters
      size_t step = at < text.size ? text_utf8_next(text.bytes + at, text.size - at).size : 1;
      if (at < text.size) text_env_put(env, &buffer, text.bytes + at, step);
      at += step;
    }
    if (count > 0) count--;
  }
  if (at < text.size) text_env_put(env, &buffer, text.bytes + at, text.size - at);
  text_value result = text_charge(env, text.size / 64) ? text_from_buffer(env, &buffer) : text_none();
  text_buffer_deinit(&buffer);
  return result;
}

static void put_code(text_env *env, text_buffer *out, uint32_t code) {
  char bytes[4];
  text_env_put(env, out, bytes, text_utf8_put(code, bytes));
}

static void put_upper(text_env *env, text_buffer *out, uint32_t code) {
  if (code == 0xDF) {
    text_env_put(env, out, "SS", 2);
  } else {
    put_code(env, out, (uint32_t)utf8proc_toupper((utf8proc_int32_t)code));
  }
}

static void put_lower(text_env *env, text_buffer *out, uint32_t code) {
  uint32_t codes[2];
  size_t count = text_lower(code, codes);
  for (size_t i = 0; i < count; i++) put_code(env, out, codes[i]);
}

static bool is_cased(uint32_t code) {
  utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
}

text_value text_change_case(text_env *env, text_view text, int mode) {
  text_buffer buffer = {0};
  bool start = true;  // of a word
  for (size_t at = 0; at < text.size && text_charge(env, 1);) {
    text_char c = text_utf8_next(text.bytes + at, text.size - at);
    at += c.size;
    if (mode == TEXT_CASE_UPPER || (mode != TEXT_CASE_LOWER && start)) {
      put_upper(env, &buffer, c.code);
    } else {
      put_lower(env, &buffer, c.code);
    }
    if (mode == TEXT_CASE_TITLE_METHOD) {
      start = !is_cased(c.code);
    } else if (mode == TEXT_CASE_TITLE_FILTER) {
      start = is_space(c.code) || (c.code && c.code < 0x80 && strchr("-({[<", (int)c.code));
    } else {
      start = false;
    }
  }
  text_value result = text_from_buffer(env, &buffer);
  text_buffer_deinit(&buffer);
  return result;
}

text_value text_join(text_env *env, text_view separator, text_value items, text_value attribute) {
  text_value list = text_to_list(env, items);
  text_buffer buffer = {0};
  for (size_t i = 0; !env->status && i < list.list->count && text_charge(env, 1); i++) {
    text_value item = list.list->items[i];
    if (i) text_env_put(env, &buffer, separator.bytes, separator.size);
    if (attribute.kind != TEXT_NONE) item = text_get_path(env, item, attribute);
    if (!env->status) text_print(env, item, &buffer);
  }
  text_value result = text_from_buffer(env, &buffer);
  text_buffer_deinit(&buffer);
  return result;
}

static bool ends_line(uint32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 ||
         code == 0x2029;
}

text_value text_split_lines(text_env *env, text_view text) {
  text_value lines = text_make_list(env, TEXT_LIST);
  size_t start = 0;
  for (size_t at = 0; at < text.size && text_charge(env, 1);) {
    text_char c = text_utf8_next(text.bytes + at, text.size - at);
    size_t end = at;
    at += c.size;
    if (!ends_line(c.code)) continue;
    if (c.code == '\r' && at < text.size && text.bytes[at] == '\n') at++;
    text_list_push(env, lines.list, text_string(text.bytes + start, end - start));
    start = at;
  }
  if (start < text.size && !env->status)
    text_list_push(env, lines.list, text_string(text.bytes + start, text.size - start));
  return lines;
}
