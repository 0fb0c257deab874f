// Filters, by the names and rules of Jinja (and tojson as Hugging Face replaces it).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/text/template_syntax.h"
#include "runtime/text/utf8.h"

typedef text_value (*filter_fn)(text_env *env, text_value v, text_args args);

static const text_value absent = {TEXT_NONE, {0}};

static text_value arg(text_args args, size_t index, const char *name) {
  return text_arg_get(args, index, name, absent);
}

// ---- strings

static text_value do_string(text_env *env, text_value v, text_args args) {
  (void)args;
  return text_to_string(env, v);
}
static text_value change_case(text_env *env, text_value v, int mode) {
  text_value text = text_to_string(env, v);
  return env->status ? text : text_change_case(env, text.text, mode);
}
static text_value do_upper(text_env *env, text_value v, text_args args) {
  (void)args;
  return change_case(env, v, TEXT_CASE_UPPER);
}
static text_value do_lower(text_env *env, text_value v, text_args args) {
  (void)args;
  return change_case(env, v, TEXT_CASE_LOWER);
}
static text_value do_capitalize(text_env *env, text_value v, text_args args) {
  (void)args;
  return change_case(env, v, TEXT_CASE_CAPITALIZE);
}
static text_value do_title(text_env *env, text_value v, text_args args) {
  (void)args;
  return change_case(env, v, TEXT_CASE_TITLE_FILTER);
}

static text_value do_trim(text_env *env, text_value v, text_args args) {
  text_value text = text_to_string(env, v), chars = arg(args, 0, "chars");
  if (env->status) return text;
  return text_strip(env, text.text, chars.kind == TEXT_STRING ? &chars.text : NULL, 3);
}

static text_value do_replace(text_env *env, text_value v, text_args args) {
  text_value text = text_to_string(env, v), from = text_to_string(env, arg(args, 0, "old")),
             to = text_to_string(env, arg(args, 1, "new"));
  text_value count = arg(args, 2, "count");
  if (env->status) return text;
  return text_replace(env, text.text, from.text, to.text, count.kind == TEXT_INT ? count.integer : -1);
}

static text_value do_indent(text_env *env, text_value v, text_args args) {
  text_value width = text_arg_get(args, 0, "width", text_int(4)), text = text_to_string(env, v);
  bool first = text_truth(arg(args, 1, "first")), blank = text_truth(arg(args, 2, "blank"));
  text_value lines = env->status ? text : text_split_lines(env, text.text);
  if (env->status) return text;
  text_value indent = width.kind == TEXT_STRING ? width : text_string("", 0);
  if (width.kind == TEXT_INT && width.integer > 0) {
    char spaces[256];
    size_t count = width.integer > 256 ? 256 : (size_t)width.integer;
    memset(spaces, ' ', count);
    indent = text_copy_string(env, spaces, count);
  }
  text_buffer out = {0};
  bool ended = !text.text.size || text.text.bytes[text.text.size - 1] == '\n';
  for (size_t i = 0; i < lines.list->count + ended && text_charge(env, 1); i++) {
    text_view line = i < lines.list->count ? lines.list->items[i].text : (text_view){"", 0};
    if (i) text_env_put(env, &out, "\n", 1);
    if (!env->status && (i ? blank || line.size : first)) text_env_put(env, &out, indent.text.bytes, indent.text.size);
    text_env_put(env, &out, line.bytes, line.size);
  }
  text_value result = text_from_buffer(env, &out);
  text_buffer_deinit(&out);
  return result;
}

static text_value do_escape(text_env *env, text_value v, text_args args) {
  (void)args;
  text_value text = text_to_string(env, v);
  text_buffer out = {0};
  for (size_t i = 0; !env->status && i < text.text.size && text_charge(env, 1); i++) {
    char c = text.text.bytes[i];
    const char *entity = c == '&'    ? "&amp;"
                         : c == '<'  ? "&lt;"
                         : c == '>'  ? "&gt;"
                         : c == '\'' ? "&#39;"
                         : c == '"'  ? "&#34;"
                                     : NULL;
    text_env_put(env, &out, entity ? entity : &c, entity ? strlen(entity) : 1);
  }
  text_value result = text_from_buffer(env, &out);
  text_buffer_deinit(&out);
  return result;
}

static text_value do_wordcount(text_env *env, text_value v, text_args args) {
  (void)args;
  text_value text = text_to_string(env, v);
  if (env->status) return text;
  text_method split = {text, {"split", 5}};
  text_value words = text_call_method(env, &split, (text_args){NULL, 0});
  return env->status ? words : text_int((int64_t)words.list->count);
}

static text_value do_tojson(text_env *env, text_value v, text_args args) {
  text_json_style style = {-1,
                           text_truth(text_arg_get(args, 0, "ensure_ascii", text_bool(false))),
                           text_truth(arg(args, 3, "sort_keys")),
                           {", ", 2},
                           {": ", 2}};
  text_value indent = arg(args, 1, "indent"), separators = arg(args, 2, "separators");
  if (indent.kind == TEXT_INT) {
    style.indent = indent.integer < 0 ? 0 : indent.integer > 64 ? 64 : (int)indent.integer;
    style.item_separator = (text_view){",", 1};
  }
  if (text_is_list(separators) && separators.list->count == 2 && separators.list->items[0].kind == TEXT_STRING &&
      separators.list->items[1].kind == TEXT_STRING) {
    style.item_separator = separators.list->items[0].text;
    style.key_separator = separators.list->items[1].text;
  }
  text_buffer out = {0};
  text_print_json(env, v, &style, &out);
  text_value result = text_from_buffer(env, &out);
  text_buffer_deinit(&out);
  return result;
}

// ---- numbers

static text_value do_int(text_env *env, text_value v, text_args args) {
  text_value fallback = text_arg_get(args, 0, "default", text_int(0));
  double real = v.kind == TEXT_FLOAT ? v.real : NAN;
  if (v.kind == TEXT_INT) return v;
  if (v.kind == TEXT_BOOL) return text_int(v.boolean);
  if (v.kind == TEXT_STRING) {
    text_value text = text_strip(env, v.text, NULL, 3);
    char digits[64], *end = digits;
    if (env->status || !text.text.size || text.text.size >= sizeof digits) return fallback;
    memcpy(digits, text.text.bytes, text.text.size);
    digits[text.text.size] = 0;
    if (strspn(digits, "+-0123456789.eE") != text.text.size) return fallback;
    long long whole = strtoll(digits, &end, 10);
    if (!*end) return text_int(whole);
    real = strtod(digits, &end);
    if (*end) return fallback;
  }
  return real >= -9.2e18 && real <= 9.2e18 ? text_int((int64_t)real) : fallback;
}

static text_value do_float(text_env *env, text_value v, text_args args) {
  text_value fallback = text_arg_get(args, 0, "default", text_real(0));
  if (v.kind == TEXT_FLOAT) return v;
  if (v.kind == TEXT_INT) return text_real((double)v.integer);
  if (v.kind == TEXT_BOOL) return text_real(v.boolean);
  if (v.kind != TEXT_STRING) return fallback;
  text_value text = text_strip(env, v.text, NULL, 3);
  char digits[64], *end = digits;
  if (env->status || !text.text.size || text.text.size >= sizeof digits) return fallback;
  memcpy(digits, text.text.bytes, text.text.size);
  digits[text.text.size] = 0;
  if (strspn(digits, "+-0123456789.eE") != text.text.size) return fallback;
  double real = strtod(digits, &end);
  return *end ? fallback : text_real(real);
}

static text_value do_abs(text_env *env, text_value v, text_args args) {
  (void)args;
  if (v.kind == TEXT_FLOAT) return text_real(fabs(v.real));
  if (v.kind != TEXT_INT && v.kind != TEXT_BOOL)
    return text_fail(env, WEIR_CODE_INVALID_DATA, "abs of a %s", text_kind_name(v));
  int64_t whole = v.kind == TEXT_BOOL ? v.boolean : v.integer;
  if (whole == INT64_MIN) return text_fail(env, WEIR_CODE_OUT_OF_RANGE, "an integer is too large");
  return text_int(whole < 0 ? -whole : whole);
}

static text_value do_round(text_env *env, text_value v, text_args args) {
  text_value precision = text_arg_get(args, 0, "precision", text_int(0)), method = arg(args, 1, "method");
  if (!text_is_number(v)) return text_fail(env, WEIR_CODE_INVALID_DATA, "round of a %s", text_kind_name(v));
  if (precision.kind != TEXT_INT || precision.integer < -300 || precision.integer > 300)
    return text_fail(env, WEIR_CODE_INVALID_DATA, "round: precision");
  double value = v.kind == TEXT_FLOAT ? v.real : v.kind == TEXT_INT ? (double)v.integer : v.boolean;
  int places = (int)precision.integer;
  double scale = pow(10, places);
  if (method.kind == TEXT_STRING && text_view_is(method.text, "ceil")) return text_real(ceil(value * scale) / scale);
  if (method.kind == TEXT_STRING && text_view_is(method.text, "floor")) return text_real(floor(value * scale) / scale);
  if (v.kind != TEXT_FLOAT && places >= 0) return v.kind == TEXT_BOOL ? text_int(v.boolean) : v;
  if (places < 0) return text_real(nearbyint(value * scale) / scale);
  char digits[700];
  snprintf(digits, sizeof digits, "%.*f", places, value);
  return text_real(strtod(digits, NULL));
}

// ---- single values

static text_value do_default(text_env *env, text_value v, text_args args) {
  (void)env;
  bool falsy = text_truth(arg(args, 1, "boolean"));
  bool missing = v.kind == TEXT_UNDEFINED || (falsy && !text_truth(v));
  return missing ? text_arg_get(args, 0, "default_value", text_string("", 0)) : v;
}

static text_value do_length(text_env *env, text_value v, text_args args) {
  (void)args;
  if (text_is_list(v)) return text_int((int64_t)v.list->count);
  if (v.kind == TEXT_DICT) return text_int((int64_t)v.dict->count);
  if (v.kind == TEXT_UNDEFINED) return text_int(0);
  if (v.kind != TEXT_STRING) return text_fail(env, WEIR_CODE_INVALID_DATA, "a %s has no length", text_kind_name(v));
  return text_charge(env, v.text.size / 64) ? text_int((int64_t)text_count_chars(v.text)) : absent;
}

static text_value do_same(text_env *env, text_value v, text_args args) {
  (void)env;
  (void)args;
  return v;
}

// ---- sequences

static text_value do_list(text_env *env, text_value v, text_args args) {
  (void)args;
  return text_to_list(env, v);
}

static text_value end_of(text_env *env, text_value v, bool last) {
  text_value list = text_to_list(env, v);
  if (env->status || !list.list->count) return text_undefined((text_view){last ? "last" : "first", last ? 4 : 5});
  return list.list->items[last ? list.list->count - 1 : 0];
}
static text_value do_first(text_env *env, text_value v, text_args args) {
  (void)args;
  return end_of(env, v, false);
}
static text_value do_last(text_env *env, text_value v, text_args args) {
  (void)args;
  return end_of(env, v, true);
}

static text_value do_reverse(text_env *env, text_value v, text_args args) {
  (void)args;
  text_value list = text_to_list(env, v), result = text_make_list(env, TEXT_LIST);
  for (size_t i = env->status ? 0 : list.list->count; i > 0 && text_charge(env, 1); i--)
    text_list_push(env, result.list, list.list->items[i - 1]);
  if (v.kind != TEXT_STRING || env->status) return result;
  return text_join(env, (text_view){"", 0}, result, absent);
}

static text_value do_join(text_env *env, text_value v, text_args args) {
  text_value separator = text_to_string(env, text_arg_get(args, 0, "d", text_string("", 0)));
  return env->status ? separator : text_join(env, separator.text, v, arg(args, 1, "attribute"));
}

static text_value do_items(text_env *env, text_value v, text_args args) {
  if (v.kind == TEXT_UNDEFINED) return text_make_list(env, TEXT_LIST);
  if (v.kind != TEXT_DICT) return text_fail(env, WEIR_CODE_INVALID_DATA, "items of a %s", text_kind_name(v));
  text_method items = {v, {"items", 5}};
  return text_call_method(env, &items, args);
}

// What an item is sorted or compared by: its attribute, in lower case unless |exact|.
static text_value sort_key(text_env *env, text_value item, text_value attribute, bool exact) {
  if (attribute.kind != TEXT_NONE) item = text_get_path(env, item, attribute);
  return item.kind == TEXT_STRING && !exact && !env->status ? text_change_case(env, item.text, TEXT_CASE_LOWER) : item;
}

// Sorts pairs of (key, item) by key, stably.
static void merge_sort(text_env *env, text_pair *pairs, text_pair *spare, size_t count, bool down) {
  if (count < 2 || env->status) return;
  size_t half = count / 2, left = 0, right = half;
  merge_sort(env, pairs, spare, half, down);
  merge_sort(env, pairs + half, spare, count - half, down);
  for (size_t i = 0; i < count; i++) {
    bool take_right = left == half;
    if (left < half && right < count) {
      int order = text_compare(env, pairs[right].key, pairs[left].key);
      take_right = down ? order > 0 : order < 0;
    }
    spare[i] = pairs[take_right ? right++ : left++];
  }
  memcpy(pairs, spare, count * sizeof *pairs);
}

static text_value sorted(text_env *env, text_value list, text_value attribute, bool exact, bool down) {
  size_t count = env->status ? 0 : list.list->count;
  text_pair *pairs = text_env_alloc(env, count * sizeof *pairs), *spare = text_env_alloc(env, count * sizeof *pairs);
  for (size_t i = 0; i < count && text_charge(env, 1); i++) {
    pairs[i] = (text_pair){sort_key(env, list.list->items[i], attribute, exact), list.list->items[i]};
  }
  merge_sort(env, pairs, spare, env->status ? 0 : count, down);
  text_value result = text_make_list(env, TEXT_LIST);
  for (size_t i = 0; i < count && !env->status; i++) text_list_push(env, result.list, pairs[i].value);
  return result;
}

static text_value do_sort(text_env *env, text_value v, text_args args) {
  text_value list = text_to_list(env, v);
  return sorted(env, list, arg(args, 2, "attribute"), text_truth(arg(args, 1, "case_sensitive")),
                text_truth(arg(args, 0, "reverse")));
}

static text_value do_dictsort(text_env *env, text_value v, text_args args) {
  text_value by = arg(args, 1, "by"), items = do_items(env, v, (text_args){NULL, 0});
  int64_t column = by.kind == TEXT_STRING && text_view_is(by.text, "value");
  return sorted(env, items, text_int(column), text_truth(arg(args, 0, "case_sensitive")),
                text_truth(arg(args, 2, "reverse")));
}

static text_value do_unique(text_env *env, text_value v, text_args args) {
  text_value list = text_to_list(env, v), result = text_make_list(env, TEXT_LIST),
             seen = text_make_list(env, TEXT_LIST);
  bool exact = text_truth(arg(args, 0, "case_sensitive"));
  for (size_t i = 0; !env->status && i < list.list->count; i++) {
    text_value key = sort_key(env, list.list->items[i], arg(args, 1, "attribute"), exact);
    if (env->status || text_contains(env, seen, key)) continue;
    text_list_push(env, seen.list, key);
    text_list_push(env, result.list, list.list->items[i]);
  }
  return result;
}

static text_value extreme(text_env *env, text_value v, text_args args, int wanted) {
  text_value list = text_to_list(env, v), best = text_undefined((text_view){"", 0}), best_key = best;
  bool exact = text_truth(arg(args, 0, "case_sensitive"));
  for (size_t i = 0; !env->status && i < list.list->count; i++) {
    text_value key = sort_key(env, list.list->items[i], arg(args, 1, "attribute"), exact);
    if (i && text_compare(env, key, best_key) != wanted) continue;
    best = list.list->items[i];
    best_key = key;
  }
  return best;
}
static text_value do_min(text_env *env, text_value v, text_args args) { return extreme(env, v, args, -1); }
static text_value do_max(text_env *env, text_value v, text_args args) { return extreme(env, v, args, 1); }

static text_value do_sum(text_env *env, text_value v, text_args args) {
  text_value list = text_to_list(env, v), attribute = arg(args, 0, "attribute"),
             total = text_arg_get(args, 1, "start", text_int(0));
  for (size_t i = 0; !env->status && i < list.list->count; i++) {
    text_value item =
        attribute.kind == TEXT_NONE ? list.list->items[i] : text_get_path(env, list.list->items[i], attribute);
    text_node left = {.kind = TEXT_NODE_CONST, .line = env->line, .value = total};
    text_node right = {.kind = TEXT_NODE_CONST, .line = env->line, .value = item};
    text_node sum = {.kind = TEXT_NODE_BINARY, .op = TEXT_OP_ADD, .line = env->line, .a = &left, .b = &right};
    total = text_eval(env, &sum);
  }
  return total;
}

// ---- filters over items

static text_value do_map(text_env *env, text_value v, text_args args) {
  text_value list = text_to_list(env, v), result = text_make_list(env, TEXT_LIST),
             attribute = text_arg_get(args, SIZE_MAX, "attribute", absent);
  bool by_filter = args.count && !args.items[0].name.size;
  if (env->status) return result;
  if (by_filter ? args.items[0].value.kind != TEXT_STRING : attribute.kind == TEXT_NONE) {
    return text_fail(env, WEIR_CODE_INVALID_DATA, "map wants the name of a filter or an attribute");
  }
  text_value fallback = text_arg_get(args, SIZE_MAX, "default", absent);
  for (size_t i = 0; i < list.list->count && text_charge(env, 1); i++) {
    text_value item = list.list->items[i];
    if (by_filter) {
      item = text_call_filter(env, args.items[0].value.text, item, (text_args){args.items + 1, args.count - 1});
    } else {
      item = text_get_path(env, item, attribute);
      if (item.kind == TEXT_UNDEFINED && fallback.kind != TEXT_NONE) item = fallback;
    }
    text_list_push(env, result.list, item);
  }
  return result;
}

// select, reject, selectattr, rejectattr: |skip| arguments name the attribute.
static text_value choose(text_env *env, text_value v, text_args args, size_t skip, bool wanted) {
  text_value list = text_to_list(env, v), result = text_make_list(env, TEXT_LIST);
  if (args.count < skip) return text_fail(env, WEIR_CODE_INVALID_DATA, "selectattr wants an attribute");
  for (size_t i = 0; !env->status && i < list.list->count && text_charge(env, 1); i++) {
    text_value item = skip ? text_get_path(env, list.list->items[i], args.items[0].value) : list.list->items[i];
    bool passes = text_truth(item);
    if (args.count > skip) {
      text_value name = args.items[skip].value;
      if (name.kind != TEXT_STRING) return text_fail(env, WEIR_CODE_INVALID_DATA, "select wants the name of a test");
      if (!env->status)
        passes = text_call_test(env, name.text, item, (text_args){args.items + skip + 1, args.count - skip - 1});
    }
    if (passes == wanted) text_list_push(env, result.list, list.list->items[i]);
  }
  return result;
}
static text_value do_select(text_env *env, text_value v, text_args args) { return choose(env, v, args, 0, true); }
static text_value do_reject(text_env *env, text_value v, text_args args) { return choose(env, v, args, 0, false); }
static text_value do_selectattr(text_env *env, text_value v, text_args args) { return choose(env, v, args, 1, true); }
static text_value do_rejectattr(text_env *env, text_value v, text_args args) { return choose(env, v, args, 1, false); }

// ---- the table

enum { ANY = 64 };

static const struct {
  const char *name;
  filter_fn call;
  size_t least, most;
  const char *keywords;
} filters[] = {
    {"abs", do_abs, 0, 0, ""},
    {"capitalize", do_capitalize, 0, 0, ""},
    {"count", do_length, 0, 0, ""},
    {"d", do_default, 0, 2, "default_value boolean"},
    {"default", do_default, 0, 2, "default_value boolean"},
    {"dictsort", do_dictsort, 0, 3, "case_sensitive by reverse"},
    {"e", do_escape, 0, 0, ""},
    {"escape", do_escape, 0, 0, ""},
    {"first", do_first, 0, 0, ""},
    {"float", do_float, 0, 1, "default"},
    {"indent", do_indent, 0, 3, "width first blank"},
    {"int", do_int, 0, 2, "default base"},
    {"items", do_items, 0, 0, ""},
    {"join", do_join, 0, 2, "d attribute"},
    {"last", do_last, 0, 0, ""},
    {"length", do_length, 0, 0, ""},
    {"list", do_list, 0, 0, ""},
    {"lower", do_lower, 0, 0, ""},
    {"map", do_map, 0, ANY, "attribute default"},
    {"max", do_max, 0, 2, "case_sensitive attribute"},
    {"min", do_min, 0, 2, "case_sensitive attribute"},
    {"reject", do_reject, 0, ANY, ""},
    {"rejectattr", do_rejectattr, 1, ANY, ""},
    {"replace", do_replace, 2, 3, "old new count"},
    {"reverse", do_reverse, 0, 0, ""},
    {"round", do_round, 0, 2, "precision method"},
    {"safe", do_same, 0, 0, ""},
    {"select", do_select, 0, ANY, ""},
    {"selectattr", do_selectattr, 1, ANY, ""},
    {"sort", do_sort, 0, 3, "reverse case_sensitive attribute"},
    {"string", do_string, 0, 0, ""},
    {"sum", do_sum, 0, 2, "attribute start"},
    {"title", do_title, 0, 0, ""},
    {"tojson", do_tojson, 0, 4, "ensure_ascii indent separators sort_keys"},
    {"trim", do_trim, 0, 1, "chars"},
    {"unique", do_unique, 0, 2, "case_sensitive attribute"},
    {"upper", do_upper, 0, 0, ""},
    {"wordcount", do_wordcount, 0, 0, ""},
};

text_value text_call_filter(text_env *env, text_view name, text_value input, text_args args) {
  for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
    if (!text_view_is(name, filters[i].name)) continue;
    if (!text_args_check(env, filters[i].name, args, filters[i].least, filters[i].most, filters[i].keywords))
      return absent;
    return filters[i].call(env, input, args);
  }
  return text_fail(env, WEIR_CODE_INVALID_DATA, "there is no filter '%.*s'", (int)(name.size < 60 ? name.size : 60),
                   name.bytes);
}
