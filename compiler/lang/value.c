// Values: making, comparing and printing them, and the scopes that hold them. Knows nothing of evaluation.
#include "compiler/lang/value.h"

#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

lang_value lang_value_of_dim(ir_dim dim) {
  int64_t constant;
  if (!dim) return lang_value_error();
  if (ir_dim_is_const(dim, &constant)) return lang_value_int(constant);
  return (lang_value){.kind = LANG_V_DIM, .dim = dim};
}

lang_value lang_value_list(weir_arena *arena, lang_value_kind kind, const lang_value *items, int64_t count) {
  lang_value v = {.kind = kind, .list = {NULL, count}};
  v.list.items = WEIR_NEW_ARRAY(arena, lang_value, count ? count : 1);
  if (count) memcpy(v.list.items, items, (size_t)count * sizeof *items);
  return v;
}

const char *lang_value_describe(weir_arena *arena, lang_value v) {
  switch (v.kind) {
    case LANG_V_ERROR:
      return "an error";
    case LANG_V_LATER:
      return "a value of run time";
    case LANG_V_NONE:
      return "nothing";
    case LANG_V_INT:
      return weir_arena_printf(arena, "the integer %" PRId64, v.i);
    case LANG_V_FLOAT:
      return weir_arena_printf(arena, "the number %g", v.f);
    case LANG_V_BOOL:
      return v.b ? "true" : "false";
    case LANG_V_STRING:
      return "a string";
    case LANG_V_DTYPE:
      return "an element type";
    case LANG_V_DIM:
      return weir_arena_printf(arena, "the run-time size %s", ir_dim_print(arena, v.dim));
    case LANG_V_RANGE:
      return "a range";
    case LANG_V_LIST:
      return "a list";
    case LANG_V_TUPLE:
      return weir_arena_printf(arena, "%" PRId64 " values", v.list.count);
    case LANG_V_FN:
      return "a function";
    case LANG_V_INSTANCE:
      return weir_arena_printf(arena, "an instance of %s", v.instance->name);
    case LANG_V_SPACE:
      return "the beginning of a dotted name";
    case LANG_V_TENSOR:
      return weir_arena_printf(arena, "a tensor %s", lang_tensor_text(arena, v.tensor));
  }
  return "";
}

static const char *print_list(weir_arena *arena, lang_value v) {
  const char *text = "[";
  for (int64_t i = 0; i < v.list.count; i++) {
    if (i == 8 && v.list.count > 10) return weir_arena_printf(arena, "%s, ...]", text);
    text = weir_arena_printf(arena, "%s%s%s", text, i ? ", " : "", lang_value_print(arena, v.list.items[i]));
  }
  return weir_arena_printf(arena, "%s]", text);
}

// The shortest decimal that reads back as the same double, always with a sign that it is a float.
static const char *print_float(weir_arena *arena, double f) {
  for (int digits = 1; digits <= 17; digits++) {
    const char *text = weir_arena_printf(arena, "%.*g", digits, f);
    if (strtod(text, NULL) != f && digits < 17) continue;
    return strpbrk(text, ".en") ? text : weir_arena_printf(arena, "%s.0", text);
  }
  return "";
}

const char *lang_value_print(weir_arena *arena, lang_value v) {
  switch (v.kind) {
    case LANG_V_INT:
      return weir_arena_printf(arena, "%" PRId64, v.i);
    case LANG_V_FLOAT:
      return print_float(arena, v.f);
    case LANG_V_STRING:
      return weir_arena_printf(arena, "\"%s\"", v.s);
    case LANG_V_DTYPE:
      return v.dtype.is_f ? "f" : ir_dtype_name(v.dtype.type);
    case LANG_V_DIM:
      return ir_dim_print(arena, v.dim);
    case LANG_V_LIST:
      return print_list(arena, v);
    case LANG_V_FN:
      return v.fn->decl ? v.fn->decl->name.text : lang_builtin_name(v.fn->builtin);
    case LANG_V_INSTANCE:
      return v.instance->path ? v.instance->path : v.instance->name;
    default:
      return lang_value_describe(arena, v);
  }
}

bool lang_value_equal(lang_value a, lang_value b) {
  if (lang_value_is_number(a) && lang_value_is_number(b)) {
    return a.kind == LANG_V_INT && b.kind == LANG_V_INT ? a.i == b.i : lang_value_number(a) == lang_value_number(b);
  }
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case LANG_V_BOOL:
      return a.b == b.b;
    case LANG_V_STRING:
      return !strcmp(a.s, b.s);
    case LANG_V_DTYPE:
      return a.dtype.type == b.dtype.type && a.dtype.is_f == b.dtype.is_f;
    case LANG_V_DIM:
      return a.dim == b.dim;
    case LANG_V_LIST:
      if (a.list.count != b.list.count) return false;
      for (int64_t i = 0; i < a.list.count; i++) {
        if (!lang_value_equal(a.list.items[i], b.list.items[i])) return false;
      }
      return true;
    default:
      return false;
  }
}

// ---- names of long lists

static uint32_t name_hash(const char *name) {
  uint32_t h = 2166136261u;
  for (; *name; name++) h = (h ^ (unsigned char)*name) * 16777619u;
  return h;
}

// The slot of the name, or the free one where it would be.
static int table_slot(const lang_name_table *table, uint32_t hash, const char *name,
                      const char *(*name_at)(const void *list, int place), const void *list) {
  int mask = table->size - 1, at = (int)(hash & (uint32_t)mask);
  while (table->places[at] && (table->hashes[at] != hash || strcmp(name_at(list, table->places[at] - 1), name)))
    at = (at + 1) & mask;
  return at;
}

static void table_grow(weir_arena *arena, lang_name_table *table) {
  lang_name_table old = *table;
  table->size = old.size ? 2 * old.size : 16;
  table->hashes = WEIR_NEW_ARRAY(arena, uint32_t, table->size);
  table->places = WEIR_NEW_ARRAY(arena, int, table->size);
  for (int i = 0; i < old.size; i++) {
    if (!old.places[i]) continue;
    int at = (int)(old.hashes[i] & (uint32_t)(table->size - 1));
    while (table->places[at]) at = (at + 1) & (table->size - 1);
    table->places[at] = old.places[i];
    table->hashes[at] = old.hashes[i];
  }
}

void lang_name_table_put(weir_arena *arena, lang_name_table *table, const char *name, int place,
                         const char *(*name_at)(const void *list, int place), const void *list) {
  if (2 * table->used >= table->size) table_grow(arena, table);
  uint32_t hash = name_hash(name);
  int at = table_slot(table, hash, name, name_at, list);
  table->used += !table->places[at];
  table->places[at] = place + 1;
  table->hashes[at] = hash;
}

int lang_name_table_find(const lang_name_table *table, const char *name,
                         const char *(*name_at)(const void *list, int place), const void *list) {
  if (!table->size) return -1;
  return table->places[table_slot(table, name_hash(name), name, name_at, list)] - 1;
}

// ---- scopes

static const char *binding_name(const void *list, int place) { return ((const lang_scope *)list)->data[place].name; }

lang_scope *lang_scope_create(weir_arena *arena, lang_scope *parent) {
  lang_scope *scope = WEIR_NEW(arena, lang_scope);
  scope->parent = parent;
  return scope;
}

lang_binding *lang_scope_here(lang_scope *scope, const char *name) {
  int place = lang_name_table_find(&scope->table, name, binding_name, scope);
  return place < 0 ? NULL : &scope->data[place];
}

lang_binding *lang_scope_find(lang_scope *scope, const char *name) {
  for (; scope; scope = scope->parent) {
    lang_binding *found = lang_scope_here(scope, name);
    if (found) return found;
  }
  return NULL;
}

lang_binding *lang_scope_add(weir_arena *arena, lang_scope *scope, const char *name, lang_value value,
                             lang_binding_kind kind, lang_span span) {
  lang_binding binding = {name, value, kind, span};
  WEIR_PUSH(arena, scope->data, scope->count, scope->capacity, binding);
  lang_name_table_put(arena, &scope->table, name, scope->count - 1, binding_name, scope);
  return &scope->data[scope->count - 1];
}
