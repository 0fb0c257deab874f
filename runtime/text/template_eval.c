// Evaluation of expressions. Failures are sticky: once env->status is set everything returns undefined, and callers
// need not look before they hand a value on.
#include <math.h>
#include <string.h>

#include "runtime/text/template_syntax.h"
#include "runtime/text/utf8.h"

enum { NESTING = 512 };

static const text_view nameless = {"", 0};

// ---- names, attributes, items

static text_value eval_name(text_env *env, const text_node *node) {
  for (const text_scope *scope = env->scope; scope; scope = scope->parent) {
    const text_value *found = text_dict_find(env, &scope->names, node->name);
    if (found) return *found;
  }
  if (text_is_builtin(node->name)) return (text_value){TEXT_BUILTIN, {.text = node->name}};
  return text_undefined(node->name);
}

static text_value make_method(text_env *env, text_value self, text_view name) {
  text_method *method = text_env_alloc(env, sizeof *method);
  if (!method) return text_undefined(name);
  *method = (text_method){self, name};
  return (text_value){TEXT_METHOD, {.method = method}};
}

static text_value look_into_undefined(text_env *env, text_value value) {
  return text_fail(env, WEIR_CODE_INVALID_DATA, "'%.*s' is undefined",
                   (int)(value.text.size < 60 ? value.text.size : 60), value.text.bytes);
}

text_value text_get_attr(text_env *env, text_value value, text_view name) {
  if (value.kind == TEXT_UNDEFINED) return look_into_undefined(env, value);
  if (value.kind == TEXT_LOOP) {
    return text_view_is(name, "cycle") ? make_method(env, value, name) : text_loop_attr(env, value.loop, name);
  }
  if (value.kind != TEXT_NAMESPACE && text_has_method(value, name)) return make_method(env, value, name);
  if (!text_is_dict(value)) return text_undefined(name);
  const text_value *found = text_dict_find(env, value.dict, name);
  return found ? *found : text_undefined(name);
}

static text_value item_of_sequence(text_value value, int64_t index, text_view name) {
  if (text_is_list(value)) {
    int64_t count = (int64_t)value.list->count;
    if (index < 0) index += count;
    return index < 0 || index >= count ? text_undefined(name) : value.list->items[index];
  }
  int64_t count = (int64_t)text_count_chars(value.text);
  if (index < 0) index += count;
  if (index < 0 || index >= count) return text_undefined(name);
  size_t at = text_char_offset(value.text, (size_t)index);
  return text_string(value.text.bytes + at, text_utf8_next(value.text.bytes + at, value.text.size - at).size);
}

text_value text_get_item(text_env *env, text_value value, text_value key) {
  text_view name = key.kind == TEXT_STRING ? key.text : nameless;
  if (value.kind == TEXT_UNDEFINED) return look_into_undefined(env, value);
  if (value.kind == TEXT_DICT) {
    const text_value *found = text_dict_get(env, value.dict, key);
    if (found) return *found;
  }
  if ((text_is_list(value) || value.kind == TEXT_STRING) && (key.kind == TEXT_INT || key.kind == TEXT_BOOL)) {
    if (value.kind == TEXT_STRING && !text_charge(env, value.text.size / 64)) return text_undefined(name);
    return item_of_sequence(value, key.kind == TEXT_BOOL ? key.boolean : key.integer, name);
  }
  return key.kind == TEXT_STRING ? text_get_attr(env, value, name) : text_undefined(name);
}

text_value text_get_path(text_env *env, text_value value, text_value path) {
  if (path.kind != TEXT_STRING) return text_get_item(env, value, path);
  for (size_t at = 0; at <= path.text.size && !env->status;) {
    const char *part = path.text.bytes + at, *dot = memchr(part, '.', path.text.size - at);
    size_t size = dot ? (size_t)(dot - part) : path.text.size - at;
    int64_t number = 0;
    bool digits = size > 0 && size < 10;
    for (size_t i = 0; i < size; i++) {
      digits &= part[i] >= '0' && part[i] <= '9';
      if (digits) number = number * 10 + part[i] - '0';
    }
    value = text_get_item(env, value, digits ? text_int(number) : text_string(part, size));
    at += size + 1;
  }
  return value;
}

// ---- slices

// One end of a slice as Python clips it: |lower| and |upper| are the outermost positions.
static int64_t slice_end(text_env *env, const text_node *node, int64_t count, int64_t absent, int64_t lower,
                         int64_t upper) {
  if (!node) return absent;
  text_value v = text_eval(env, node);
  if (v.kind == TEXT_NONE) return absent;
  if (v.kind != TEXT_INT) text_fail(env, WEIR_CODE_INVALID_DATA, "a slice wants integers");
  int64_t at = v.kind == TEXT_INT ? v.integer : 0;
  if (at < 0) at = at < -count ? lower : at + count;
  return at < lower ? lower : at > upper ? upper : at;
}

static text_value slice_string(text_env *env, text_view text, int64_t start, int64_t stop, int64_t step) {
  if (step == 1) {
    if (start >= stop) return text_string("", 0);
    size_t from = text_char_offset(text, (size_t)start);
    text_view rest = {text.bytes + from, text.size - from};
    return text_string(rest.bytes, text_char_offset(rest, (size_t)(stop - start)));
  }
  text_value chars = text_to_list(env, text_string(text.bytes, text.size));
  text_buffer buffer = {0};
  for (int64_t i = start; !env->status && (step > 0 ? i < stop : i > stop); i += step)
    text_print(env, chars.list->items[i], &buffer);
  text_value result = text_from_buffer(env, &buffer);
  text_buffer_deinit(&buffer);
  return result;
}

static text_value eval_slice(text_env *env, text_value value, const text_node *slice) {
  if (value.kind == TEXT_UNDEFINED) return look_into_undefined(env, value);
  if (!text_is_list(value) && value.kind != TEXT_STRING) {
    return text_fail(env, WEIR_CODE_INVALID_DATA, "a %s cannot be sliced", text_kind_name(value));
  }
  if (value.kind == TEXT_STRING && !text_charge(env, value.text.size / 64)) return text_none();
  int64_t count = (int64_t)(text_is_list(value) ? value.list->count : text_count_chars(value.text));
  text_value by = slice->c ? text_eval(env, slice->c) : text_int(1);
  int64_t step = by.kind == TEXT_INT ? by.integer : by.kind == TEXT_NONE ? 1 : 0;
  if (!step) return text_fail(env, WEIR_CODE_INVALID_DATA, "a slice wants a step that is not zero");
  if (step > count) step = count + 1;
  if (step < -count) step = -count - 1;
  int64_t lower = step > 0 ? 0 : -1, upper = step > 0 ? count : count - 1;
  int64_t start = slice_end(env, slice->a, count, step > 0 ? lower : upper, lower, upper);
  int64_t stop = slice_end(env, slice->b, count, step > 0 ? upper : lower, lower, upper);
  if (env->status) return text_none();
  if (value.kind == TEXT_STRING) return slice_string(env, value.text, start, stop, step);
  text_value result = text_make_list(env, value.kind);
  for (int64_t i = start; !env->status && text_charge(env, 1) && (step > 0 ? i < stop : i > stop); i += step) {
    text_list_push(env, result.list, value.list->items[i]);
  }
  return result;
}

// ---- arithmetic

static text_value no_operator(text_env *env, text_op op, text_value a, text_value b) {
  static const char *const signs[] = {"+", "-", "*", "/", "//", "%", "**"};
  if (a.kind == TEXT_UNDEFINED) return look_into_undefined(env, a);
  if (b.kind == TEXT_UNDEFINED) return look_into_undefined(env, b);
  return text_fail(env, WEIR_CODE_INVALID_DATA, "%s %s %s has no meaning", text_kind_name(a), signs[op],
                   text_kind_name(b));
}

static text_value repeat(text_env *env, text_value value, int64_t times) {
  if (value.kind == TEXT_STRING) {
    text_value result = text_string("", 0);
    for (int64_t i = 0; i < times && text_charge(env, 1); i++) result = text_append(env, result.text, value.text);
    return result;
  }
  text_value result = text_make_list(env, value.kind);
  for (int64_t i = 0; i < times && text_charge(env, 1); i++) {
    for (size_t k = 0; k < value.list->count && text_charge(env, 1); k++)
      text_list_push(env, result.list, value.list->items[k]);
  }
  return result;
}

static text_value join_lists(text_env *env, const text_value *a, const text_value *b) {
  text_value result = text_make_list(env, a->kind);
  const text_value *const both[] = {a, b};
  for (int side = 0; side < 2; side++) {
    for (size_t i = 0; i < both[side]->list->count && text_charge(env, 1); i++)
      text_list_push(env, result.list, both[side]->list->items[i]);
  }
  return result;
}

static text_value real_operator(text_env *env, text_op op, double a, double b) {
  if (b == 0 && (op == TEXT_OP_DIV || op == TEXT_OP_FLOORDIV || op == TEXT_OP_MOD)) {
    return text_fail(env, WEIR_CODE_INVALID_DATA, "division by zero");
  }
  double rest;
  switch (op) {
    case TEXT_OP_ADD:
      return text_real(a + b);
    case TEXT_OP_SUB:
      return text_real(a - b);
    case TEXT_OP_MUL:
      return text_real(a * b);
    case TEXT_OP_DIV:
      return text_real(a / b);
    case TEXT_OP_FLOORDIV:
      return text_real(floor(a / b));
    case TEXT_OP_MOD:
      rest = fmod(a, b);
      return text_real(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
    default:
      return text_real(pow(a, b));
  }
}

static text_value integer_power(text_env *env, int64_t base, int64_t exponent) {
  int64_t result = 1;
  if (exponent < 0) return text_real(pow((double)base, (double)exponent));
  for (; exponent > 0; exponent--) {
    if (!text_charge(env, 1)) return text_none();
    if (__builtin_mul_overflow(result, base, &result))
      return text_fail(env, WEIR_CODE_OUT_OF_RANGE, "an integer is too large");
  }
  return text_int(result);
}

static text_value integer_operator(text_env *env, text_op op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == TEXT_OP_DIV) return real_operator(env, op, (double)a, (double)b);
  if (op == TEXT_OP_POW) return integer_power(env, a, b);
  if (op == TEXT_OP_FLOORDIV || op == TEXT_OP_MOD) {
    if (b == 0) return text_fail(env, WEIR_CODE_INVALID_DATA, "division by zero");
    if (b == -1) return op == TEXT_OP_MOD ? text_int(0) : integer_operator(env, TEXT_OP_SUB, 0, a);
    int64_t rest = a % b, up = rest != 0 && (rest < 0) != (b < 0);
    return text_int(op == TEXT_OP_MOD ? rest + up * b : a / b - up);
  }
  if (op == TEXT_OP_ADD) overflow = __builtin_add_overflow(a, b, &result);
  if (op == TEXT_OP_SUB) overflow = __builtin_sub_overflow(a, b, &result);
  if (op == TEXT_OP_MUL) overflow = __builtin_mul_overflow(a, b, &result);
  return overflow ? text_fail(env, WEIR_CODE_OUT_OF_RANGE, "an integer is too large") : text_int(result);
}

static int64_t whole(text_value v) { return v.kind == TEXT_BOOL ? v.boolean : v.integer; }
static double real(text_value v) { return v.kind == TEXT_FLOAT ? v.real : (double)whole(v); }

static text_value eval_binary(text_env *env, const text_node *node) {
  text_value a = text_eval(env, node->a), b = text_eval(env, node->b);
  text_op op = node->op;
  if (env->status) return text_none();
  if (text_is_number(a) && text_is_number(b)) {
    bool reals = a.kind == TEXT_FLOAT || b.kind == TEXT_FLOAT;
    return reals ? real_operator(env, op, real(a), real(b)) : integer_operator(env, op, whole(a), whole(b));
  }
  if (op == TEXT_OP_ADD && a.kind == TEXT_STRING && b.kind == TEXT_STRING) return text_append(env, a.text, b.text);
  if (op == TEXT_OP_ADD && text_is_list(a) && a.kind == b.kind) return join_lists(env, &a, &b);
  if (op == TEXT_OP_MUL && b.kind == TEXT_INT && (a.kind == TEXT_STRING || text_is_list(a)))
    return repeat(env, a, b.integer);
  if (op == TEXT_OP_MUL && a.kind == TEXT_INT && (b.kind == TEXT_STRING || text_is_list(b)))
    return repeat(env, b, a.integer);
  return no_operator(env, op, a, b);
}

static text_value eval_sign(text_env *env, const text_node *node) {
  text_value v = text_eval(env, node->a);
  if (!text_is_number(v)) {
    if (v.kind == TEXT_UNDEFINED && !env->status) return look_into_undefined(env, v);
    return text_fail(env, WEIR_CODE_INVALID_DATA, "a sign before a %s", text_kind_name(v));
  }
  bool minus = node->kind == TEXT_NODE_NEGATE;
  if (v.kind == TEXT_FLOAT) return text_real(minus ? -v.real : v.real);
  return integer_operator(env, minus ? TEXT_OP_SUB : TEXT_OP_ADD, 0, whole(v));
}

// ---- comparison

static bool holds(text_env *env, text_op op, text_value a, text_value b) {
  switch (op) {
    case TEXT_OP_EQ:
      return text_equal(env, a, b);
    case TEXT_OP_NE:
      return !text_equal(env, a, b);
    case TEXT_OP_IN:
      return text_contains(env, b, a);
    case TEXT_OP_NOT_IN:
      return !text_contains(env, b, a);
    case TEXT_OP_LT:
      return text_compare(env, a, b) < 0;
    case TEXT_OP_LE:
      return text_compare(env, a, b) <= 0;
    case TEXT_OP_GT:
      return text_compare(env, a, b) > 0;
    default:
      return text_compare(env, a, b) >= 0;
  }
}

static text_value eval_compare(text_env *env, const text_node *node) {
  text_value left = text_eval(env, node->a);
  for (size_t i = 0; i < node->count && !env->status; i++) {
    text_value right = text_eval(env, node->items[i]->b);
    if (env->status || !holds(env, node->items[i]->op, left, right)) return text_bool(false);
    left = right;
  }
  return text_bool(true);
}

// ---- containers, calls

static text_value eval_list(text_env *env, const text_node *node) {
  text_value list = text_make_list(env, node->kind == TEXT_NODE_LIST ? TEXT_LIST : TEXT_TUPLE);
  for (size_t i = 0; i < node->count && !env->status; i++)
    text_list_push(env, list.list, text_eval(env, node->items[i]));
  return list;
}

static text_value eval_dict(text_env *env, const text_node *node) {
  text_value dict = text_make_dict(env, TEXT_DICT);
  for (size_t i = 0; i + 1 < node->count && !env->status; i += 2) {
    text_value key = text_eval(env, node->items[i]), value = text_eval(env, node->items[i + 1]);
    if (text_is_list(key) || key.kind >= TEXT_DICT)
      text_fail(env, WEIR_CODE_INVALID_DATA, "a %s cannot be a key", text_kind_name(key));
    text_dict_set(env, dict.dict, key, value);
  }
  return dict;
}

static text_value eval_concat(text_env *env, const text_node *node) {
  text_value result = text_string("", 0);
  for (size_t i = 0; i < node->count && !env->status; i++) {
    text_value part = text_to_string(env, text_eval(env, node->items[i]));
    if (!env->status) result = text_append(env, result.text, part.text);
  }
  return result;
}

text_args text_eval_args(text_env *env, const text_node *node) {
  text_arg *items = text_env_alloc(env, (node->count + 1) * sizeof *items);
  if (!items) return (text_args){NULL, 0};
  for (size_t i = 0; i < node->count && !env->status; i++) {
    const text_node *arg = node->items[i];
    bool keyword = arg->kind == TEXT_NODE_KEYWORD;
    items[i] = (text_arg){keyword ? arg->name : nameless, text_eval(env, keyword ? arg->a : arg)};
  }
  return (text_args){items, node->count};
}

static text_value eval_call(text_env *env, const text_node *node) {
  text_value function = text_eval(env, node->a);
  text_args args = text_eval_args(env, node);
  if (env->status) return text_none();
  env->line = node->line;
  switch (function.kind) {
    case TEXT_MACRO:
      return text_call_macro(env, function.macro, args);
    case TEXT_METHOD:
      return text_call_method(env, function.method, args);
    case TEXT_BUILTIN:
      return text_call_builtin(env, function.text, args);
    case TEXT_UNDEFINED:
      return look_into_undefined(env, function);
    default:
      return text_fail(env, WEIR_CODE_INVALID_DATA, "a %s cannot be called", text_kind_name(function));
  }
}

static text_value eval_filter(text_env *env, const text_node *node) {
  text_value input = text_eval(env, node->a);
  text_args args = text_eval_args(env, node);
  if (env->status) return text_none();
  env->line = node->line;
  return text_call_filter(env, node->name, input, args);
}

static text_value eval_test(text_env *env, const text_node *node) {
  text_value input = text_eval(env, node->a);
  text_args args = text_eval_args(env, node);
  if (env->status) return text_none();
  env->line = node->line;
  return text_bool(text_call_test(env, node->name, input, args));
}

static text_value eval_inner(text_env *env, const text_node *node) {
  text_value v;
  switch (node->kind) {
    case TEXT_NODE_CONST:
      return node->value;
    case TEXT_NODE_NAME:
      return eval_name(env, node);
    case TEXT_NODE_LIST:
    case TEXT_NODE_TUPLE:
      return eval_list(env, node);
    case TEXT_NODE_DICT:
      return eval_dict(env, node);
    case TEXT_NODE_ATTR:
      v = text_eval(env, node->a);
      return env->status ? v : text_get_attr(env, v, node->name);
    case TEXT_NODE_ITEM:
      v = text_eval(env, node->a);
      if (env->status) return v;
      return node->b->kind == TEXT_NODE_SLICE ? eval_slice(env, v, node->b)
                                              : text_get_item(env, v, text_eval(env, node->b));
    case TEXT_NODE_CALL:
      return eval_call(env, node);
    case TEXT_NODE_FILTER:
      return eval_filter(env, node);
    case TEXT_NODE_TEST:
      return eval_test(env, node);
    case TEXT_NODE_NOT:
      return text_bool(!text_truth(text_eval(env, node->a)));
    case TEXT_NODE_NEGATE:
    case TEXT_NODE_PLUS:
      return eval_sign(env, node);
    case TEXT_NODE_AND:
      v = text_eval(env, node->a);
      return text_truth(v) ? text_eval(env, node->b) : v;
    case TEXT_NODE_OR:
      v = text_eval(env, node->a);
      return text_truth(v) ? v : text_eval(env, node->b);
    case TEXT_NODE_BINARY:
      return eval_binary(env, node);
    case TEXT_NODE_CONCAT:
      return eval_concat(env, node);
    case TEXT_NODE_COMPARE:
      return eval_compare(env, node);
    case TEXT_NODE_COND:
      if (text_truth(text_eval(env, node->a))) return text_eval(env, node->b);
      return node->c ? text_eval(env, node->c) : text_undefined(nameless);
    default:
      return text_fail(env, WEIR_CODE_INTERNAL, "a statement where an expression belongs");
  }
}

text_value text_eval(text_env *env, const text_node *node) {
  if (!text_charge(env, 1)) return text_undefined(nameless);
  if (env->depth >= NESTING) return text_fail(env, WEIR_CODE_OUT_OF_RANGE, "an expression is nested too deeply");
  env->line = node->line;
  env->depth++;
  text_value v = eval_inner(env, node);
  env->depth--;
  return v;
}
