// Values: making them, truth, equality, order, membership.
#include "runtime/text/template_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/text/utf8.h"

enum { NESTING = 64 };  // of containers in a comparison

bool text_view_is(text_view view, const char *text) {
  return view.size == strlen(text) && !memcmp(view.bytes, text, view.size);
}

text_value text_fail(text_env *env, weir_code code, const char *fmt, ...) {
  if (!env->status) {
    char message[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    env->status = weir_status_make(code, "chat template, line %d: %s", env->line, message);
  }
  return text_undefined((text_view){"", 0});
}

bool text_charge(text_env *env, size_t count) {
  if (env->status) return false;
  if (count <= env->max_steps - env->steps) {
    env->steps += count;
    return true;
  }
  text_fail(env, WEIR_CODE_OUT_OF_RANGE, "more than %zu steps", env->max_steps);
  return false;
}

static text_value out_of_memory(text_env *env) {
  return text_fail(env, WEIR_CODE_OUT_OF_RANGE, "more than %zu bytes of values", env->memory_limit);
}

void *text_env_alloc(text_env *env, size_t bytes) {
  if (env->status) return NULL;
  env->pool.limit = env->memory_limit - env->strings.used;
  void *memory = text_pool_alloc(&env->pool, bytes);
  if (!memory) out_of_memory(env);
  return memory;
}

text_value text_append(text_env *env, text_view a, text_view b) {
  if (!a.size || !b.size) return a.size ? text_string(a.bytes, a.size) : text_string(b.bytes, b.size);
  if (a.size > env->max_bytes || b.size > env->max_bytes - a.size) {
    return text_fail(env, WEIR_CODE_OUT_OF_RANGE, "more than %zu bytes of text", env->max_bytes);
  }
  env->strings.limit = env->memory_limit - env->pool.used;
  char *joined = text_pool_extend(&env->strings, a.bytes, a.size, b.size);
  if (!joined) return out_of_memory(env);
  memcpy(joined + a.size, b.bytes, b.size);
  return text_string(joined, a.size + b.size);
}

void text_env_put(text_env *env, text_buffer *buffer, const char *bytes, size_t size) {
  if (env->status) return;
  if (size > env->max_bytes || buffer->size > env->max_bytes - size) {
    text_fail(env, WEIR_CODE_OUT_OF_RANGE, "more than %zu bytes of text", env->max_bytes);
    return;
  }
  env->status = text_buffer_append(buffer, bytes, size);
}

// ---- containers

text_value text_make_list(text_env *env, text_value_kind kind) {
  text_list *list = text_env_alloc(env, sizeof *list);
  return list ? (text_value){kind, {.list = list}} : text_undefined((text_view){"", 0});
}

// Doubles an array of the pool; false when memory is out.
static bool grow(text_env *env, void **data, size_t count, size_t *capacity, size_t item) {
  if (count < *capacity) return true;
  size_t larger = *capacity ? 2 * *capacity : 4;
  void *moved = larger > SIZE_MAX / item / 4 ? NULL : text_env_alloc(env, larger * item);
  if (!moved) return false;
  if (count) memcpy(moved, *data, count * item);
  *data = moved;
  *capacity = larger;
  return true;
}

void text_list_push(text_env *env, text_list *list, text_value item) {
  void *items = env->status ? NULL : list->items;
  if (env->status || !grow(env, &items, list->count, &list->capacity, sizeof item)) return;
  list->items = items;
  list->items[list->count++] = item;
}

text_value text_make_dict(text_env *env, text_value_kind kind) {
  text_dict *dict = text_env_alloc(env, sizeof *dict);
  return dict ? (text_value){kind, {.dict = dict}} : text_undefined((text_view){"", 0});
}

text_value *text_dict_get(text_env *env, const text_dict *dict, text_value key) {
  if (!text_charge(env, dict->count / 16)) return NULL;
  for (size_t i = 0; i < dict->count; i++) {
    if (text_equal(env, dict->pairs[i].key, key)) return &dict->pairs[i].value;
  }
  return NULL;
}

text_value *text_dict_find(text_env *env, const text_dict *dict, text_view key) {
  return text_dict_get(env, dict, text_string(key.bytes, key.size));
}

void text_dict_set(text_env *env, text_dict *dict, text_value key, text_value value) {
  if (env->status) return;
  text_value *old = text_dict_get(env, dict, key);
  if (old) {
    *old = value;
    return;
  }
  void *pairs = dict->pairs;
  if (!grow(env, &pairs, dict->count, &dict->capacity, sizeof *dict->pairs)) return;
  dict->pairs = pairs;
  dict->pairs[dict->count++] = (text_pair){key, value};
}

// ---- strings

text_value text_copy_string(text_env *env, const char *bytes, size_t size) {
  char *copy = text_env_alloc(env, size);
  if (!copy) return text_undefined((text_view){"", 0});
  if (size) memcpy(copy, bytes, size);
  return text_string(copy, size);
}

text_value text_from_buffer(text_env *env, const text_buffer *buffer) {
  return text_copy_string(env, buffer->data, buffer->size);
}

size_t text_count_chars(text_view text) {
  size_t count = 0;
  for (size_t i = 0; i < text.size; i++) count += ((unsigned char)text.bytes[i] & 0xC0) != 0x80;
  return count;
}

size_t text_char_offset(text_view text, size_t index) {
  size_t at = 0;
  while (at < text.size && index--) at += text_utf8_next(text.bytes + at, text.size - at).size;
  return at;
}

// ---- facts

const char *text_kind_name(text_value value) {
  static const char *const names[] = {
      [TEXT_UNDEFINED] = "undefined", [TEXT_NONE] = "none",           [TEXT_BOOL] = "boolean", [TEXT_INT] = "integer",
      [TEXT_FLOAT] = "float",         [TEXT_STRING] = "string",       [TEXT_LIST] = "list",    [TEXT_TUPLE] = "tuple",
      [TEXT_DICT] = "dict",           [TEXT_NAMESPACE] = "namespace", [TEXT_LOOP] = "loop",    [TEXT_MACRO] = "macro",
      [TEXT_BUILTIN] = "function",    [TEXT_METHOD] = "method"};
  return names[value.kind];
}

bool text_truth(text_value v) {
  switch (v.kind) {
    case TEXT_UNDEFINED:
    case TEXT_NONE:
      return false;
    case TEXT_BOOL:
      return v.boolean;
    case TEXT_INT:
      return v.integer != 0;
    case TEXT_FLOAT:
      return v.real != 0;
    case TEXT_STRING:
      return v.text.size != 0;
    case TEXT_LIST:
    case TEXT_TUPLE:
      return v.list->count != 0;
    case TEXT_DICT:
      return v.dict->count != 0;
    default:
      return true;
  }
}

static double as_real(text_value v) {
  return v.kind == TEXT_FLOAT ? v.real : v.kind == TEXT_BOOL ? (double)v.boolean : (double)v.integer;
}

static int compare_numbers(text_value a, text_value b) {
  if (a.kind == TEXT_FLOAT || b.kind == TEXT_FLOAT) {
    double x = as_real(a), y = as_real(b);
    return (x > y) - (x < y);
  }
  int64_t x = a.kind == TEXT_BOOL ? a.boolean : a.integer, y = b.kind == TEXT_BOOL ? b.boolean : b.integer;
  return (x > y) - (x < y);
}

static bool equal_at(text_env *env, text_value a, text_value b, int depth);

static bool equal_dicts(text_env *env, const text_dict *a, const text_dict *b, int depth) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    text_value *other = text_dict_get(env, b, a->pairs[i].key);
    if (!other || !equal_at(env, a->pairs[i].value, *other, depth + 1)) return false;
  }
  return true;
}

static bool equal_at(text_env *env, text_value a, text_value b, int depth) {
  if (depth > NESTING) text_fail(env, WEIR_CODE_OUT_OF_RANGE, "values are nested too deeply to compare");
  if (!text_charge(env, 0)) return false;
  if (text_is_number(a) && text_is_number(b)) {
    bool nan = (a.kind == TEXT_FLOAT && a.real != a.real) || (b.kind == TEXT_FLOAT && b.real != b.real);
    return !nan && compare_numbers(a, b) == 0;
  }
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case TEXT_UNDEFINED:
    case TEXT_NONE:
      return true;
    case TEXT_STRING:
      return a.text.size == b.text.size && !memcmp(a.text.bytes, b.text.bytes, a.text.size);
    case TEXT_LIST:
    case TEXT_TUPLE:
      if (a.list->count != b.list->count || !text_charge(env, a.list->count)) return false;
      for (size_t i = 0; i < a.list->count; i++) {
        if (!equal_at(env, a.list->items[i], b.list->items[i], depth + 1)) return false;
      }
      return true;
    case TEXT_DICT:
      return a.dict == b.dict || (text_charge(env, a.dict->count) && equal_dicts(env, a.dict, b.dict, depth));
    case TEXT_BUILTIN:
      return a.text.bytes == b.text.bytes;
    default:
      return a.dict == b.dict;  // identity of the one pointer
  }
}

bool text_equal(text_env *env, text_value a, text_value b) { return equal_at(env, a, b, 0); }

static int compare_at(text_env *env, text_value a, text_value b, int depth) {
  if (depth > NESTING) text_fail(env, WEIR_CODE_OUT_OF_RANGE, "values are nested too deeply to compare");
  if (!text_charge(env, 1)) return 0;
  if (text_is_number(a) && text_is_number(b)) return compare_numbers(a, b);
  if (a.kind == TEXT_STRING && b.kind == TEXT_STRING) {
    size_t shorter = a.text.size < b.text.size ? a.text.size : b.text.size;
    int order = memcmp(a.text.bytes, b.text.bytes, shorter);
    if (!order) return (a.text.size > b.text.size) - (a.text.size < b.text.size);
    return order < 0 ? -1 : 1;
  }
  if (text_is_list(a) && a.kind == b.kind) {
    for (size_t i = 0; i < a.list->count && i < b.list->count; i++) {
      int order = compare_at(env, a.list->items[i], b.list->items[i], depth + 1);
      if (order || env->status) return order;
    }
    return (a.list->count > b.list->count) - (a.list->count < b.list->count);
  }
  text_fail(env, WEIR_CODE_INVALID_DATA, "%s and %s have no order", text_kind_name(a), text_kind_name(b));
  return 0;
}

int text_compare(text_env *env, text_value a, text_value b) { return compare_at(env, a, b, 0); }

bool text_contains(text_env *env, text_value container, text_value item) {
  if (container.kind == TEXT_STRING && item.kind == TEXT_STRING) {
    if (!text_charge(env, container.text.size / 64)) return false;
    return !item.text.size || memmem(container.text.bytes, container.text.size, item.text.bytes, item.text.size);
  }
  if (container.kind == TEXT_DICT) return text_dict_get(env, container.dict, item) != NULL;
  if (text_is_list(container)) {
    for (size_t i = 0; i < container.list->count; i++) {
      if (!text_charge(env, 1)) return false;
      if (text_equal(env, container.list->items[i], item)) return true;
    }
    return false;
  }
  if (container.kind != TEXT_UNDEFINED) {
    text_fail(env, WEIR_CODE_INVALID_DATA, "%s cannot be in %s", text_kind_name(item), text_kind_name(container));
  }
  return false;
}

text_value text_to_list(text_env *env, text_value v) {
  if (text_is_list(v)) return v;
  text_value list = text_make_list(env, TEXT_LIST);
  if (list.kind != TEXT_LIST || v.kind == TEXT_UNDEFINED) return list;
  if (v.kind == TEXT_DICT) {
    for (size_t i = 0; i < v.dict->count && text_charge(env, 1); i++)
      text_list_push(env, list.list, v.dict->pairs[i].key);
  } else if (v.kind == TEXT_STRING) {
    for (size_t at = 0; at < v.text.size && text_charge(env, 1);) {
      size_t size = text_utf8_next(v.text.bytes + at, v.text.size - at).size;
      text_list_push(env, list.list, text_string(v.text.bytes + at, size));
      at += size;
    }
  } else {
    text_fail(env, WEIR_CODE_INVALID_DATA, "%s has no items", text_kind_name(v));
  }
  return list;
}
