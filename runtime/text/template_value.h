// Values of the template language and the memory they live in. Internal to runtime/text.
//
// Memory of one template, or of one rendering, comes from a pool: a bump allocator with a limit, freed as a whole.
// Values are immutable (except namespaces), so they share freely. Strings are valid UTF-8, counted in bytes.
#ifndef WEIR_RUNTIME_TEXT_TEMPLATE_VALUE_H
#define WEIR_RUNTIME_TEXT_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/text/tokenizer.h"

// ---- pool

typedef struct text_pool_block text_pool_block;
typedef struct {
  text_pool_block *head;
  size_t used, limit;
} text_pool;

// Zeroed, 16-byte aligned; null when the limit or the system's memory is reached.
void *text_pool_alloc(text_pool *pool, size_t bytes);
// Makes room for |more| bytes behind |bytes| of |size|: in place if they are the last ones given out, else a copy. A
// string that grows by appending thus costs linear time and memory. Null as above.
char *text_pool_extend(text_pool *pool, const char *bytes, size_t size, size_t more);
void text_pool_deinit(text_pool *pool);

// ---- values

typedef enum {
  TEXT_UNDEFINED,  // |text| is what was looked up
  TEXT_NONE,
  TEXT_BOOL,
  TEXT_INT,
  TEXT_FLOAT,
  TEXT_STRING,
  TEXT_LIST,
  TEXT_TUPLE,
  TEXT_DICT,
  TEXT_NAMESPACE,
  TEXT_LOOP,
  TEXT_MACRO,
  TEXT_BUILTIN,  // |text| is its name
  TEXT_METHOD,   // of a string, dict, list or loop
} text_value_kind;

typedef struct text_list text_list;
typedef struct text_dict text_dict;
typedef struct text_loop text_loop;
typedef struct text_macro text_macro;
typedef struct text_method text_method;

typedef struct {
  text_value_kind kind;
  union {
    bool boolean;
    int64_t integer;
    double real;
    text_view text;
    text_list *list;
    text_dict *dict;
    text_loop *loop;
    text_macro *macro;
    const text_method *method;
  };
} text_value;

struct text_list {
  text_value *items;
  size_t count, capacity;
};

typedef struct {
  text_value key, value;
} text_pair;

struct text_dict {  // in order of insertion
  text_pair *pairs;
  size_t count, capacity;
};

struct text_method {
  text_value self;
  text_view name;
};

static inline text_value text_bool(bool b) { return (text_value){TEXT_BOOL, {.boolean = b}}; }
static inline text_value text_int(int64_t i) { return (text_value){TEXT_INT, {.integer = i}}; }
static inline text_value text_real(double d) { return (text_value){TEXT_FLOAT, {.real = d}}; }
static inline text_value text_none(void) { return (text_value){TEXT_NONE, {0}}; }
static inline text_value text_string(const char *bytes, size_t size) {
  return (text_value){TEXT_STRING, {.text = {bytes, size}}};
}
static inline text_value text_undefined(text_view name) { return (text_value){TEXT_UNDEFINED, {.text = name}}; }
static inline bool text_is_list(text_value v) { return v.kind == TEXT_LIST || v.kind == TEXT_TUPLE; }
static inline bool text_is_dict(text_value v) { return v.kind == TEXT_DICT || v.kind == TEXT_NAMESPACE; }
static inline bool text_is_number(text_value v) {
  return v.kind == TEXT_BOOL || v.kind == TEXT_INT || v.kind == TEXT_FLOAT;
}
bool text_view_is(text_view view, const char *text);

// ---- a rendering

typedef struct text_scope text_scope;
struct text_scope {
  text_scope *parent;
  text_dict names;
};

typedef struct {
  text_pool pool;
  text_pool strings;    // strings made by appending, alone so that the last one can grow in place
  size_t memory_limit;  // of both pools together
  text_buffer *out;
  text_scope *scope;
  size_t steps, max_steps, max_bytes;  // max_bytes: of the output, and of any captured text
  unsigned depth;
  int line;  // of the node at work
  int64_t now_unix;
  weir_status status;  // the first failure; everything returns quickly once it is set
} text_env;

// Notes a failure at the current line unless there is one already. Returns undefined for the caller to hand on.
text_value text_fail(text_env *env, weir_code code, const char *fmt, ...) WEIR_PRINTF(3, 4);
// Takes |count| steps; false (and a failure) when they are used up or something failed before.
bool text_charge(text_env *env, size_t count);
void *text_env_alloc(text_env *env, size_t bytes);  // null sets the failure
// a + b; null sets the failure. Linear in b when a is the last string made this way.
text_value text_append(text_env *env, text_view a, text_view b);
void text_env_put(text_env *env, text_buffer *buffer, const char *bytes, size_t size);

text_value text_make_list(text_env *env, text_value_kind kind);  // TEXT_LIST or TEXT_TUPLE
void text_list_push(text_env *env, text_list *list, text_value item);
text_value text_make_dict(text_env *env, text_value_kind kind);
void text_dict_set(text_env *env, text_dict *dict, text_value key, text_value value);
// Null if the key is not there.
text_value *text_dict_get(text_env *env, const text_dict *dict, text_value key);
text_value *text_dict_find(text_env *env, const text_dict *dict, text_view key);
text_value text_copy_string(text_env *env, const char *bytes, size_t size);
text_value text_from_buffer(text_env *env, const text_buffer *buffer);
// Characters of a string: their number, and the byte offset of the |index|th one.
size_t text_count_chars(text_view text);
size_t text_char_offset(text_view text, size_t index);

const char *text_kind_name(text_value value);
bool text_truth(text_value value);
bool text_equal(text_env *env, text_value a, text_value b);
// Below, equal, above: -1, 0, 1. Values without an order fail.
int text_compare(text_env *env, text_value a, text_value b);
bool text_contains(text_env *env, text_value container, text_value item);
// The items of a list, keys of a dict, characters of a string, nothing of undefined; else a failure.
text_value text_to_list(text_env *env, text_value value);

// Appends what {{ value }} prints: Python's str().
void text_print(text_env *env, text_value value, text_buffer *out);
text_value text_to_string(text_env *env, text_value value);

typedef struct {
  int indent;  // < 0: one line
  bool ascii, sort_keys;
  text_view item_separator, key_separator;
} text_json_style;
void text_print_json(text_env *env, text_value value, const text_json_style *style, text_buffer *out);

#endif
