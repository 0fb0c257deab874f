// Values as text: what {{ value }} prints (Python's str and repr), and JSON as Python's json.dumps writes it.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/text/template_value.h"
#include "runtime/text/utf8.h"

enum { NESTING = 64 };

static void put(text_env *env, text_buffer *out, const char *text) { text_env_put(env, out, text, strlen(text)); }

// The shortest decimal that reads back as the same double, laid out as Python does.
static void put_real(text_env *env, double value, text_buffer *out) {
  char digits[40], plain[400];
  if (isnan(value) || isinf(value)) {
    put(env, out, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    return;
  }
  int precision = 0;
  do snprintf(digits, sizeof digits, "%.*e", precision, value);
  while (precision++ < 17 && strtod(digits, NULL) != value);
  int exponent = atoi(strchr(digits, 'e') + 1), mantissa = precision - 1;
  if (exponent >= -4 && exponent < 16) {
    int decimals = mantissa - exponent;
    snprintf(plain, sizeof plain, "%.*f", decimals > 0 ? decimals : 1, value);
    put(env, out, plain);
    return;
  }
  *strchr(digits, 'e') = 0;
  snprintf(plain, sizeof plain, "%se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent));
  put(env, out, plain);
}

static void put_integer(text_env *env, int64_t value, text_buffer *out) {
  char digits[24];
  snprintf(digits, sizeof digits, "%lld", (long long)value);
  put(env, out, digits);
}

// Python's repr of a string; characters from U+00A0 on stand for themselves.
static void put_quoted(text_env *env, text_view text, text_buffer *out) {
  bool single = memchr(text.bytes, '\'', text.size), twofold = memchr(text.bytes, '"', text.size);
  char quote = single && !twofold ? '"' : '\'', escape[12];
  text_env_put(env, out, &quote, 1);
  for (size_t at = 0; at < text.size && !env->status;) {
    text_char c = text_utf8_next(text.bytes + at, text.size - at);
    const char *named = c.code == '\n'   ? "\\n"
                        : c.code == '\r' ? "\\r"
                        : c.code == '\t' ? "\\t"
                        : c.code == '\\' ? "\\\\"
                                         : NULL;
    if (named) {
      put(env, out, named);
    } else if (c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0)) {
      snprintf(escape, sizeof escape, "\\x%02x", c.code);
      put(env, out, escape);
    } else {
      if (c.code == (unsigned char)quote) put(env, out, "\\");
      text_env_put(env, out, text.bytes + at, c.size);
    }
    at += c.size;
  }
  text_env_put(env, out, &quote, 1);
}

static void print_repr(text_env *env, text_value v, text_buffer *out, int depth);

static void print_list(text_env *env, text_value v, text_buffer *out, int depth) {
  put(env, out, v.kind == TEXT_LIST ? "[" : "(");
  for (size_t i = 0; i < v.list->count && !env->status; i++) {
    if (i) put(env, out, ", ");
    print_repr(env, v.list->items[i], out, depth + 1);
  }
  if (v.kind == TEXT_TUPLE && v.list->count == 1) put(env, out, ",");
  put(env, out, v.kind == TEXT_LIST ? "]" : ")");
}

static void print_dict(text_env *env, const text_dict *dict, text_buffer *out, int depth) {
  put(env, out, "{");
  for (size_t i = 0; i < dict->count && !env->status; i++) {
    if (i) put(env, out, ", ");
    print_repr(env, dict->pairs[i].key, out, depth + 1);
    put(env, out, ": ");
    print_repr(env, dict->pairs[i].value, out, depth + 1);
  }
  put(env, out, "}");
}

static void print_repr(text_env *env, text_value v, text_buffer *out, int depth) {
  if (depth > NESTING) text_fail(env, WEIR_CODE_OUT_OF_RANGE, "values are nested too deeply to print");
  if (!text_charge(env, 1)) return;
  switch (v.kind) {
    case TEXT_UNDEFINED:
      put(env, out, "Undefined");
      break;
    case TEXT_NONE:
      put(env, out, "None");
      break;
    case TEXT_BOOL:
      put(env, out, v.boolean ? "True" : "False");
      break;
    case TEXT_INT:
      put_integer(env, v.integer, out);
      break;
    case TEXT_FLOAT:
      put_real(env, v.real, out);
      break;
    case TEXT_STRING:
      put_quoted(env, v.text, out);
      break;
    case TEXT_LIST:
    case TEXT_TUPLE:
      print_list(env, v, out, depth);
      break;
    case TEXT_DICT:
      print_dict(env, v.dict, out, depth);
      break;
    case TEXT_NAMESPACE:
      put(env, out, "<Namespace ");
      print_dict(env, v.dict, out, depth);
      put(env, out, ">");
      break;
    default:
      put(env, out, "<");
      put(env, out, text_kind_name(v));
      put(env, out, ">");
  }
}

void text_print(text_env *env, text_value v, text_buffer *out) {
  if (v.kind == TEXT_UNDEFINED) return;
  if (v.kind == TEXT_STRING) {
    text_env_put(env, out, v.text.bytes, v.text.size);
  } else {
    print_repr(env, v, out, 0);
  }
}

text_value text_to_string(text_env *env, text_value v) {
  if (v.kind == TEXT_STRING) return v;
  text_buffer buffer = {0};
  text_print(env, v, &buffer);
  text_value result = text_from_buffer(env, &buffer);
  text_buffer_deinit(&buffer);
  return result;
}

// ---- JSON

static void json_string_text(text_env *env, text_view text, bool ascii, text_buffer *out) {
  char escape[16];
  put(env, out, "\"");
  for (size_t at = 0; at < text.size && !env->status;) {
    text_char c = text_utf8_next(text.bytes + at, text.size - at);
    const char *bytes = text.bytes + at,
               *found = c.code && c.code < 0x80 ? strchr("\"\\\n\r\t\b\f", (int)c.code) : NULL;
    at += c.size;
    if (found) {
      escape[0] = '\\';
      escape[1] = "\"\\nrtbf"[found - "\"\\\n\r\t\b\f"];
      text_env_put(env, out, escape, 2);
    } else if (c.code < 0x20 || (ascii && c.code >= 0x7F && c.code < 0x10000)) {
      if (c.code == 0x7F) {
        text_env_put(env, out, bytes, 1);
        continue;
      }
      snprintf(escape, sizeof escape, "\\u%04x", c.code);
      put(env, out, escape);
    } else if (ascii && c.code >= 0x10000) {
      uint32_t rest = c.code - 0x10000;
      snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD800 | rest >> 10, 0xDC00 | (rest & 0x3FF));
      put(env, out, escape);
    } else {
      text_env_put(env, out, bytes, c.size);
    }
  }
  put(env, out, "\"");
}

static void json_real(text_env *env, double value, text_buffer *out) {
  if (isnan(value) || isinf(value)) {
    put(env, out, isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity");
  } else {
    put_real(env, value, out);
  }
}

static void json_at(text_env *env, text_value v, const text_json_style *style, text_buffer *out, int depth);

static void new_line(text_env *env, const text_json_style *style, text_buffer *out, int depth) {
  if (style->indent < 0) return;
  put(env, out, "\n");
  for (int i = 0; i < depth * style->indent && !env->status; i++) put(env, out, " ");
}

static void json_list(text_env *env, const text_list *list, const text_json_style *style, text_buffer *out, int depth) {
  put(env, out, "[");
  for (size_t i = 0; i < list->count && !env->status; i++) {
    if (i) text_env_put(env, out, style->item_separator.bytes, style->item_separator.size);
    new_line(env, style, out, depth + 1);
    json_at(env, list->items[i], style, out, depth + 1);
  }
  if (list->count) new_line(env, style, out, depth);
  put(env, out, "]");
}

static void json_key(text_env *env, text_value key, const text_json_style *style, text_buffer *out) {
  if (key.kind == TEXT_STRING) {
    json_string_text(env, key.text, style->ascii, out);
  } else if (key.kind == TEXT_NONE || text_is_number(key)) {
    put(env, out, "\"");
    json_at(env, key, style, out, 0);
    put(env, out, "\"");
  } else {
    text_fail(env, WEIR_CODE_INVALID_DATA, "tojson: a key is a %s", text_kind_name(key));
  }
}

// The positions of a dict's pairs in the order they are to be written; null when memory is out.
static size_t *pair_order(text_env *env, const text_dict *dict, bool sorted) {
  size_t *order = text_env_alloc(env, dict->count * sizeof *order);
  for (size_t i = 0; order && i < dict->count; i++) {
    size_t at = i;
    while (sorted && at > 0 && text_compare(env, dict->pairs[i].key, dict->pairs[order[at - 1]].key) < 0) {
      order[at] = order[at - 1];
      at--;
    }
    order[at] = i;
  }
  return order;
}

static void json_dict(text_env *env, const text_dict *dict, const text_json_style *style, text_buffer *out, int depth) {
  const size_t *order = pair_order(env, dict, style->sort_keys);
  put(env, out, "{");
  for (size_t i = 0; i < dict->count && !env->status; i++) {
    if (i) text_env_put(env, out, style->item_separator.bytes, style->item_separator.size);
    new_line(env, style, out, depth + 1);
    json_key(env, dict->pairs[order[i]].key, style, out);
    text_env_put(env, out, style->key_separator.bytes, style->key_separator.size);
    json_at(env, dict->pairs[order[i]].value, style, out, depth + 1);
  }
  if (dict->count) new_line(env, style, out, depth);
  put(env, out, "}");
}

static void json_at(text_env *env, text_value v, const text_json_style *style, text_buffer *out, int depth) {
  if (depth > NESTING) text_fail(env, WEIR_CODE_OUT_OF_RANGE, "values are nested too deeply for tojson");
  if (!text_charge(env, 1)) return;
  switch (v.kind) {
    case TEXT_NONE:
      put(env, out, "null");
      break;
    case TEXT_BOOL:
      put(env, out, v.boolean ? "true" : "false");
      break;
    case TEXT_INT:
      put_integer(env, v.integer, out);
      break;
    case TEXT_FLOAT:
      json_real(env, v.real, out);
      break;
    case TEXT_STRING:
      json_string_text(env, v.text, style->ascii, out);
      break;
    case TEXT_LIST:
    case TEXT_TUPLE:
      json_list(env, v.list, style, out, depth);
      break;
    case TEXT_DICT:
      json_dict(env, v.dict, style, out, depth);
      break;
    default:
      text_fail(env, WEIR_CODE_INVALID_DATA, "tojson: a %s has no JSON form", text_kind_name(v));
  }
}

void text_print_json(text_env *env, text_value v, const text_json_style *style, text_buffer *out) {
  json_at(env, v, style, out, 0);
}
