// Tests (x is defined) and global functions (range, namespace, ...).
#include <string.h>
#include <time.h>

#include "runtime/text/template_syntax.h"

enum { RANGE_LIMIT = 100000 };  // as the sandbox of Hugging Face

static const text_value absent = {TEXT_NONE, {0}};

typedef struct {
  const char *name;
  bool (*holds)(text_env *env, text_value v, text_value other);
  bool argument;
} test_row;

static bool is_undefined(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_UNDEFINED;
}
static bool is_defined(text_env *env, text_value v, text_value o) { return !is_undefined(env, v, o); }
static bool is_none(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_NONE;
}
static bool is_string(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_STRING;
}
static bool is_mapping(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_DICT;
}
static bool is_boolean(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_BOOL;
}
static bool is_integer(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_INT;
}
static bool is_float(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_FLOAT;
}
static bool is_number(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return text_is_number(v);
}
static bool is_true(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_BOOL && v.boolean;
}
static bool is_false(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_BOOL && !v.boolean;
}
static bool is_sequence(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_STRING || text_is_list(v) || v.kind == TEXT_DICT || v.kind == TEXT_UNDEFINED;
}
static bool is_callable(text_env *env, text_value v, text_value o) {
  (void)env;
  (void)o;
  return v.kind == TEXT_MACRO || v.kind == TEXT_BUILTIN || v.kind == TEXT_METHOD;
}

// True if the remainder is not zero exactly when |wanted|.
static bool remainder_is(text_env *env, text_value v, int64_t by, bool wanted) {
  if (v.kind != TEXT_INT && v.kind != TEXT_BOOL) {
    text_fail(env, WEIR_CODE_INVALID_DATA, "the test wants an integer, not a %s", text_kind_name(v));
    return false;
  }
  int64_t value = v.kind == TEXT_BOOL ? v.boolean : v.integer;
  return (by != -1 && value % by != 0) == wanted;
}
static bool is_even(text_env *env, text_value v, text_value o) {
  (void)o;
  return remainder_is(env, v, 2, false);
}
static bool is_odd(text_env *env, text_value v, text_value o) {
  (void)o;
  return remainder_is(env, v, 2, true);
}
static bool is_divisible(text_env *env, text_value v, text_value o) {
  if (o.kind != TEXT_INT || o.integer == 0) {
    text_fail(env, WEIR_CODE_INVALID_DATA, "divisibleby wants an integer that is not zero");
    return false;
  }
  return remainder_is(env, v, o.integer, false);
}

static bool is_equal(text_env *env, text_value v, text_value o) { return text_equal(env, v, o); }
static bool is_unequal(text_env *env, text_value v, text_value o) { return !text_equal(env, v, o); }
static bool is_less(text_env *env, text_value v, text_value o) { return text_compare(env, v, o) < 0; }
static bool is_at_most(text_env *env, text_value v, text_value o) { return text_compare(env, v, o) <= 0; }
static bool is_greater(text_env *env, text_value v, text_value o) { return text_compare(env, v, o) > 0; }
static bool is_at_least(text_env *env, text_value v, text_value o) { return text_compare(env, v, o) >= 0; }
static bool is_in(text_env *env, text_value v, text_value o) { return text_contains(env, o, v); }
static bool is_same(text_env *env, text_value v, text_value o) { return v.kind == o.kind && text_equal(env, v, o); }

static bool has_case(text_env *env, text_value v, const char *method) {
  text_value text = text_to_string(env, v);
  if (env->status) return false;
  text_method bound = {text, {method, strlen(method)}};
  return text_truth(text_call_method(env, &bound, (text_args){NULL, 0}));
}
static bool is_lower(text_env *env, text_value v, text_value o) {
  (void)o;
  return has_case(env, v, "islower");
}
static bool is_upper(text_env *env, text_value v, text_value o) {
  (void)o;
  return has_case(env, v, "isupper");
}

static const test_row tests[] = {{"defined", is_defined, false},
                                 {"undefined", is_undefined, false},
                                 {"none", is_none, false},
                                 {"string", is_string, false},
                                 {"mapping", is_mapping, false},
                                 {"iterable", is_sequence, false},
                                 {"sequence", is_sequence, false},
                                 {"boolean", is_boolean, false},
                                 {"integer", is_integer, false},
                                 {"float", is_float, false},
                                 {"number", is_number, false},
                                 {"true", is_true, false},
                                 {"false", is_false, false},
                                 {"callable", is_callable, false},
                                 {"even", is_even, false},
                                 {"odd", is_odd, false},
                                 {"divisibleby", is_divisible, true},
                                 {"lower", is_lower, false},
                                 {"upper", is_upper, false},
                                 {"eq", is_equal, true},
                                 {"equalto", is_equal, true},
                                 {"==", is_equal, true},
                                 {"ne", is_unequal, true},
                                 {"!=", is_unequal, true},
                                 {"lt", is_less, true},
                                 {"lessthan", is_less, true},
                                 {"<", is_less, true},
                                 {"le", is_at_most, true},
                                 {"<=", is_at_most, true},
                                 {"gt", is_greater, true},
                                 {"greaterthan", is_greater, true},
                                 {">", is_greater, true},
                                 {"ge", is_at_least, true},
                                 {">=", is_at_least, true},
                                 {"in", is_in, true},
                                 {"sameas", is_same, true}};

bool text_call_test(text_env *env, text_view name, text_value input, text_args args) {
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
    if (!text_view_is(name, tests[i].name)) continue;
    size_t count = tests[i].argument;
    if (!text_args_check(env, tests[i].name, args, count, count, "")) return false;
    return tests[i].holds(env, input, count ? args.items[0].value : absent);
  }
  text_fail(env, WEIR_CODE_INVALID_DATA, "there is no test '%.*s'", (int)(name.size < 60 ? name.size : 60), name.bytes);
  return false;
}

// ---- functions

static text_value call_range(text_env *env, text_args args) {
  int64_t bounds[3] = {0, 0, 1};
  if (!text_args_check(env, "range", args, 1, 3, "")) return text_none();
  for (size_t i = 0; i < args.count; i++) {
    if (args.items[i].value.kind != TEXT_INT) return text_fail(env, WEIR_CODE_INVALID_DATA, "range wants integers");
    bounds[args.count == 1 ? 1 : i] = args.items[i].value.integer;
  }
  if (!bounds[2]) return text_fail(env, WEIR_CODE_INVALID_DATA, "range with a step of zero");
  text_value list = text_make_list(env, TEXT_LIST);
  for (int64_t at = bounds[0]; (bounds[2] > 0 ? at < bounds[1] : at > bounds[1]) && text_charge(env, 1);) {
    if (list.list->count == RANGE_LIMIT)
      return text_fail(env, WEIR_CODE_OUT_OF_RANGE, "a range of more than %d items", RANGE_LIMIT);
    text_list_push(env, list.list, text_int(at));
    if (__builtin_add_overflow(at, bounds[2], &at)) break;
  }
  return list;
}

// namespace(a=1), dict(a=1), or of a dict.
static text_value call_dict(text_env *env, text_args args, text_value_kind kind) {
  text_value dict = text_make_dict(env, kind);
  for (size_t i = 0; i < args.count && !env->status; i++) {
    text_arg arg = args.items[i];
    if (arg.name.size) {
      text_dict_set(env, dict.dict, text_string(arg.name.bytes, arg.name.size), arg.value);
    } else if (arg.value.kind == TEXT_DICT) {
      const text_dict *from = arg.value.dict;
      for (size_t k = 0; k < from->count && !env->status; k++)
        text_dict_set(env, dict.dict, from->pairs[k].key, from->pairs[k].value);
    } else {
      text_fail(env, WEIR_CODE_INVALID_DATA, "a %s cannot become a dict", text_kind_name(arg.value));
    }
  }
  return dict;
}

static text_value call_raise(text_env *env, text_args args) {
  text_value message = text_to_string(env, text_arg_get(args, 0, "message", text_string("", 0)));
  if (env->status) return message;
  return text_fail(env, WEIR_CODE_INVALID_DATA, "%.*s", (int)(message.text.size < 400 ? message.text.size : 400),
                   message.text.bytes);
}

static text_value call_strftime(text_env *env, text_args args) {
  char format[256], out[512];
  text_value pattern = text_arg_get(args, 0, "format", absent);
  if (!text_args_check(env, "strftime_now", args, 1, 1, "format")) return absent;
  if (pattern.kind != TEXT_STRING || pattern.text.size >= sizeof format ||
      memchr(pattern.text.bytes, 0, pattern.text.size)) {
    return text_fail(env, WEIR_CODE_INVALID_DATA, "strftime_now wants a short format");
  }
  memcpy(format, pattern.text.bytes, pattern.text.size);
  format[pattern.text.size] = 0;
  time_t now = (time_t)env->now_unix;
  struct tm parts;
  if (!gmtime_r(&now, &parts)) return text_fail(env, WEIR_CODE_OUT_OF_RANGE, "strftime_now: no such time");
  return text_copy_string(env, out, strftime(out, sizeof out, format, &parts));
}

bool text_is_builtin(text_view name) {
  static const char *const names[] = {"range", "namespace", "dict", "raise_exception", "strftime_now"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (text_view_is(name, names[i])) return true;
  }
  return false;
}

text_value text_call_builtin(text_env *env, text_view name, text_args args) {
  if (text_view_is(name, "range")) return call_range(env, args);
  if (text_view_is(name, "namespace")) return call_dict(env, args, TEXT_NAMESPACE);
  if (text_view_is(name, "dict")) return call_dict(env, args, TEXT_DICT);
  if (text_view_is(name, "strftime_now")) return call_strftime(env, args);
  return call_raise(env, args);
}
