// Methods of strings, dicts, lists and loops, as Python has them. What would change its object (append, update, pop) is
// not here: Hugging Face runs templates in a sandbox that forbids it.
#include <string.h>
#include <utf8proc.h>

#include "runtime/text/template_syntax.h"
#include "runtime/text/utf8.h"

static const text_value absent = {TEXT_NONE, {0}};

text_value text_arg_get(text_args args, size_t index, const char *name, text_value none_given) {
  for (size_t i = 0; i < args.count; i++) {
    if (args.items[i].name.size ? name && text_view_is(args.items[i].name, name) : i == index)
      return args.items[i].value;
  }
  return none_given;
}

static bool is_listed(text_view name, const char *names) {
  for (const char *at = names; *at;) {
    size_t size = strcspn(at, " ");
    if (size == name.size && !memcmp(at, name.bytes, size)) return true;
    at += size + (at[size] == ' ');
  }
  return false;
}

bool text_args_check(text_env *env, const char *what, text_args args, size_t least, size_t most, const char *names) {
  size_t positional = 0;
  for (size_t i = 0; i < args.count; i++) {
    text_view name = args.items[i].name;
    if (!name.size) positional++;
    if (name.size && !is_listed(name, names)) {
      text_fail(env, WEIR_CODE_INVALID_DATA, "%s takes no argument '%.*s'", what,
                (int)(name.size < 60 ? name.size : 60), name.bytes);
    }
  }
  if (positional > most || args.count < least)
    text_fail(env, WEIR_CODE_INVALID_DATA, "%s with %zu arguments", what, args.count);
  return !env->status;
}

static text_view want_text(text_env *env, const char *what, text_value value) {
  if (value.kind == TEXT_STRING) return value.text;
  text_fail(env, WEIR_CODE_INVALID_DATA, "%s wants a string, not a %s", what, text_kind_name(value));
  return (text_view){"", 0};
}

// ---- strings

static text_value strip_method(text_env *env, text_view self, text_args args, int sides) {
  text_value chars = text_arg_get(args, 0, NULL, absent);
  if (chars.kind == TEXT_NONE) return text_strip(env, self, NULL, sides);
  text_view set = want_text(env, "strip", chars);
  return text_strip(env, self, &set, sides);
}
static text_value string_strip(text_env *env, text_view self, text_args args) {
  return strip_method(env, self, args, 3);
}
static text_value string_lstrip(text_env *env, text_view self, text_args args) {
  return strip_method(env, self, args, 1);
}
static text_value string_rstrip(text_env *env, text_view self, text_args args) {
  return strip_method(env, self, args, 2);
}

static size_t space_size(text_view text, size_t at) {
  text_char c = text_utf8_next(text.bytes + at, text.size - at);
  return text_is_white_space(c.code) || (c.code >= 0x1C && c.code <= 0x1F) ? c.size : 0;
}

// Without a separator: words between runs of white space.
static void split_words(text_env *env, text_view self, int64_t most, text_list *out) {
  size_t at = 0;
  while (at < self.size && text_charge(env, 1)) {
    size_t space = space_size(self, at), start = at;
    if (space) {
      at += space;
      continue;
    }
    if (most >= 0 && (int64_t)out->count == most) {
      text_list_push(env, out, text_strip(env, (text_view){self.bytes + at, self.size - at}, NULL, 2));
      return;
    }
    while (at < self.size && !space_size(self, at) && text_charge(env, 0))
      at += text_utf8_next(self.bytes + at, self.size - at).size;
    text_list_push(env, out, text_string(self.bytes + start, at - start));
  }
}

static text_value string_split(text_env *env, text_view self, text_args args) {
  text_value separator = text_arg_get(args, 0, "sep", absent), most = text_arg_get(args, 1, "maxsplit", text_int(-1));
  text_value list = text_make_list(env, TEXT_LIST);
  int64_t limit = most.kind == TEXT_INT ? most.integer : -1;
  if (env->status || !text_charge(env, self.size / 64)) return list;
  if (separator.kind == TEXT_NONE) {
    split_words(env, self, limit, list.list);
    return list;
  }
  text_view by = want_text(env, "split", separator);
  if (!by.size) return text_fail(env, WEIR_CODE_INVALID_DATA, "split by an empty string");
  size_t start = 0;
  while ((limit < 0 || (int64_t)list.list->count < limit) && text_charge(env, 1)) {
    const char *found = memmem(self.bytes + start, self.size - start, by.bytes, by.size);
    if (!found) break;
    text_list_push(env, list.list, text_string(self.bytes + start, (size_t)(found - self.bytes) - start));
    start = (size_t)(found - self.bytes) + by.size;
  }
  text_list_push(env, list.list, text_string(self.bytes + start, self.size - start));
  return list;
}

// From the right: at most maxsplit cuts, the last ones.
static text_value string_rsplit(text_env *env, text_view self, text_args args) {
  text_value separator = text_arg_get(args, 0, "sep", absent), most = text_arg_get(args, 1, "maxsplit", text_int(-1));
  text_arg all[] = {{{"", 0}, separator}};
  text_value parts = string_split(env, self, (text_args){all, 1});
  if (env->status || most.kind != TEXT_INT || most.integer < 0 || (int64_t)parts.list->count <= most.integer + 1)
    return parts;
  size_t cut = parts.list->count - (size_t)most.integer - 1;  // the parts 0 .. cut stay one
  text_value list = text_make_list(env, TEXT_LIST);
  text_view last = parts.list->items[cut].text;
  text_value head = text_string(self.bytes, (size_t)(last.bytes + last.size - self.bytes));
  text_list_push(env, list.list, separator.kind == TEXT_NONE ? text_strip(env, head.text, NULL, 1) : head);
  for (size_t i = cut + 1; i < parts.list->count && !env->status; i++)
    text_list_push(env, list.list, parts.list->items[i]);
  return list;
}

static bool has_affix(text_env *env, text_view self, text_value affix, bool front) {
  if (affix.kind == TEXT_TUPLE) {
    for (size_t i = 0; i < affix.list->count && text_charge(env, 1); i++) {
      if (affix.list->items[i].kind == TEXT_STRING && has_affix(env, self, affix.list->items[i], front)) return true;
    }
    return false;
  }
  text_view text = want_text(env, "startswith", affix);
  if (text.size > self.size) return false;
  return !memcmp(front ? self.bytes : self.bytes + self.size - text.size, text.bytes, text.size);
}
static text_value string_startswith(text_env *env, text_view self, text_args args) {
  return text_bool(has_affix(env, self, text_arg_get(args, 0, NULL, absent), true));
}
static text_value string_endswith(text_env *env, text_view self, text_args args) {
  return text_bool(has_affix(env, self, text_arg_get(args, 0, NULL, absent), false));
}
static text_value string_removeprefix(text_env *env, text_view self, text_args args) {
  text_value affix = text_arg_get(args, 0, NULL, absent);
  size_t cut = affix.kind == TEXT_STRING && has_affix(env, self, affix, true) ? affix.text.size : 0;
  return text_string(self.bytes + cut, self.size - cut);
}
static text_value string_removesuffix(text_env *env, text_view self, text_args args) {
  text_value affix = text_arg_get(args, 0, NULL, absent);
  size_t cut = affix.kind == TEXT_STRING && has_affix(env, self, affix, false) ? affix.text.size : 0;
  return text_string(self.bytes, self.size - cut);
}

static text_value string_upper(text_env *env, text_view self, text_args args) {
  (void)args;
  return text_change_case(env, self, TEXT_CASE_UPPER);
}
static text_value string_lower(text_env *env, text_view self, text_args args) {
  (void)args;
  return text_change_case(env, self, TEXT_CASE_LOWER);
}
static text_value string_title(text_env *env, text_view self, text_args args) {
  (void)args;
  return text_change_case(env, self, TEXT_CASE_TITLE_METHOD);
}
static text_value string_capitalize(text_env *env, text_view self, text_args args) {
  (void)args;
  return text_change_case(env, self, TEXT_CASE_CAPITALIZE);
}
static text_value string_splitlines(text_env *env, text_view self, text_args args) {
  (void)args;
  return text_split_lines(env, self);
}

static text_value string_replace(text_env *env, text_view self, text_args args) {
  text_value count = text_arg_get(args, 2, "count", text_int(-1));
  text_view from = want_text(env, "replace", text_arg_get(args, 0, NULL, absent)),
            to = want_text(env, "replace", text_arg_get(args, 1, NULL, absent));
  return env->status ? text_none() : text_replace(env, self, from, to, count.kind == TEXT_INT ? count.integer : -1);
}

static text_value string_join(text_env *env, text_view self, text_args args) {
  return text_join(env, self, text_arg_get(args, 0, NULL, absent), text_none());
}

static text_value string_find(text_env *env, text_view self, text_args args) {
  text_view part = want_text(env, "find", text_arg_get(args, 0, NULL, absent));
  if (env->status || !text_charge(env, self.size / 64)) return text_none();
  const char *found = part.size ? memmem(self.bytes, self.size, part.bytes, part.size) : self.bytes;
  return text_int(found ? (int64_t)text_count_chars((text_view){self.bytes, (size_t)(found - self.bytes)}) : -1);
}

static text_value string_count(text_env *env, text_view self, text_args args) {
  text_view part = want_text(env, "count", text_arg_get(args, 0, NULL, absent));
  if (env->status || !part.size) return text_int((int64_t)text_count_chars(self) + 1);
  int64_t count = 0;
  for (const char *at = self.bytes, *end = self.bytes + self.size; text_charge(env, 1); at += part.size, count++) {
    at = memmem(at, (size_t)(end - at), part.bytes, part.size);
    if (!at) break;
  }
  return text_charge(env, self.size / 64) ? text_int(count) : text_none();
}

typedef bool (*char_test)(uint32_t code);
static utf8proc_category_t category_of(uint32_t code) { return utf8proc_category((utf8proc_int32_t)code); }
static bool is_alpha(uint32_t code) {
  return category_of(code) >= UTF8PROC_CATEGORY_LU && category_of(code) <= UTF8PROC_CATEGORY_LO;
}
static bool is_decimal(uint32_t code) { return category_of(code) == UTF8PROC_CATEGORY_ND; }
static bool is_alnum(uint32_t code) {
  return is_alpha(code) || (category_of(code) >= UTF8PROC_CATEGORY_ND && category_of(code) <= UTF8PROC_CATEGORY_NO);
}
static bool is_blank(uint32_t code) { return text_is_white_space(code) || (code >= 0x1C && code <= 0x1F); }

static text_value all_chars(text_env *env, text_view self, char_test holds) {
  bool result = self.size > 0;
  for (size_t at = 0; at < self.size && result && text_charge(env, 1);) {
    text_char c = text_utf8_next(self.bytes + at, self.size - at);
    result = holds(c.code);
    at += c.size;
  }
  return text_bool(result);
}
static text_value string_isalpha(text_env *env, text_view self, text_args args) {
  (void)args;
  return all_chars(env, self, is_alpha);
}
static text_value string_isdigit(text_env *env, text_view self, text_args args) {
  (void)args;
  return all_chars(env, self, is_decimal);
}
static text_value string_isalnum(text_env *env, text_view self, text_args args) {
  (void)args;
  return all_chars(env, self, is_alnum);
}
static text_value string_isspace(text_env *env, text_view self, text_args args) {
  (void)args;
  return all_chars(env, self, is_blank);
}

static text_value one_case(text_env *env, text_view self, utf8proc_category_t wanted, utf8proc_category_t other) {
  bool found = false;
  for (size_t at = 0; at < self.size && text_charge(env, 1);) {
    text_char c = text_utf8_next(self.bytes + at, self.size - at);
    utf8proc_category_t category = category_of(c.code);
    if (category == other || category == UTF8PROC_CATEGORY_LT) return text_bool(false);
    found |= category == wanted;
    at += c.size;
  }
  return text_bool(found);
}
static text_value string_islower(text_env *env, text_view self, text_args args) {
  (void)args;
  return one_case(env, self, UTF8PROC_CATEGORY_LL, UTF8PROC_CATEGORY_LU);
}
static text_value string_isupper(text_env *env, text_view self, text_args args) {
  (void)args;
  return one_case(env, self, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LL);
}

typedef struct {
  const char *name;
  text_value (*call)(text_env *env, text_view self, text_args args);
  size_t least, most;
  const char *keywords;
} string_method;

static const string_method string_methods[] = {{"strip", string_strip, 0, 1, ""},
                                               {"lstrip", string_lstrip, 0, 1, ""},
                                               {"rstrip", string_rstrip, 0, 1, ""},
                                               {"split", string_split, 0, 2, "sep maxsplit"},
                                               {"rsplit", string_rsplit, 0, 2, "sep maxsplit"},
                                               {"splitlines", string_splitlines, 0, 0, ""},
                                               {"startswith", string_startswith, 1, 1, ""},
                                               {"endswith", string_endswith, 1, 1, ""},
                                               {"removeprefix", string_removeprefix, 1, 1, ""},
                                               {"removesuffix", string_removesuffix, 1, 1, ""},
                                               {"upper", string_upper, 0, 0, ""},
                                               {"lower", string_lower, 0, 0, ""},
                                               {"title", string_title, 0, 0, ""},
                                               {"capitalize", string_capitalize, 0, 0, ""},
                                               {"replace", string_replace, 2, 3, "count"},
                                               {"join", string_join, 1, 1, ""},
                                               {"find", string_find, 1, 1, ""},
                                               {"count", string_count, 1, 1, ""},
                                               {"isalpha", string_isalpha, 0, 0, ""},
                                               {"isdigit", string_isdigit, 0, 0, ""},
                                               {"isalnum", string_isalnum, 0, 0, ""},
                                               {"isspace", string_isspace, 0, 0, ""},
                                               {"islower", string_islower, 0, 0, ""},
                                               {"isupper", string_isupper, 0, 0, ""}};

static const string_method *find_string_method(text_view name) {
  for (size_t i = 0; i < sizeof string_methods / sizeof string_methods[0]; i++) {
    if (text_view_is(name, string_methods[i].name)) return &string_methods[i];
  }
  return NULL;
}

// ---- dicts, lists, loops

static text_value dict_items(text_env *env, const text_dict *dict, bool keys, bool values) {
  text_value list = text_make_list(env, TEXT_LIST);
  for (size_t i = 0; i < dict->count && text_charge(env, 1); i++) {
    text_value item = keys ? dict->pairs[i].key : dict->pairs[i].value;
    if (keys && values) {
      item = text_make_list(env, TEXT_TUPLE);
      if (env->status) break;
      text_list_push(env, item.list, dict->pairs[i].key);
      text_list_push(env, item.list, dict->pairs[i].value);
    }
    text_list_push(env, list.list, item);
  }
  return list;
}

static text_value call_dict_method(text_env *env, const text_dict *dict, text_view name, text_args args) {
  if (!text_view_is(name, "get")) {
    if (!text_args_check(env, "a dict's method", args, 0, 0, "")) return text_none();
    return dict_items(env, dict, !text_view_is(name, "values"), !text_view_is(name, "keys"));
  }
  if (!text_args_check(env, "get", args, 1, 2, "")) return text_none();
  const text_value *found = text_dict_get(env, dict, text_arg_get(args, 0, NULL, absent));
  return found ? *found : text_arg_get(args, 1, NULL, absent);
}

static text_value call_list_method(text_env *env, text_value self, text_view name, text_args args) {
  if (!text_args_check(env, "a list's method", args, 1, 1, "")) return text_none();
  int64_t count = 0;
  for (size_t i = 0; i < self.list->count && text_charge(env, 1); i++) {
    if (!text_equal(env, self.list->items[i], args.items[0].value)) continue;
    if (text_view_is(name, "index")) return text_int((int64_t)i);
    count++;
  }
  if (text_view_is(name, "index")) return text_fail(env, WEIR_CODE_INVALID_DATA, "index: the item is not in the list");
  return text_int(count);
}

static text_value call_cycle(text_env *env, const text_loop *loop, text_args args) {
  if (!text_args_check(env, "cycle", args, 1, SIZE_MAX, "")) return text_none();
  return args.items[loop->index % args.count].value;
}

bool text_has_method(text_value value, text_view name) {
  if (value.kind == TEXT_STRING) return find_string_method(name) != NULL;
  if (value.kind == TEXT_DICT) return is_listed(name, "items keys values get");
  return text_is_list(value) && is_listed(name, "index count");
}

text_value text_call_method(text_env *env, const text_method *method, text_args args) {
  if (method->self.kind == TEXT_DICT) return call_dict_method(env, method->self.dict, method->name, args);
  if (method->self.kind == TEXT_LOOP) return call_cycle(env, method->self.loop, args);
  if (text_is_list(method->self)) return call_list_method(env, method->self, method->name, args);
  const string_method *row = find_string_method(method->name);
  if (!row || !text_args_check(env, row->name, args, row->least, row->most, row->keywords)) return text_none();
  return row->call(env, method->self.text, args);
}
