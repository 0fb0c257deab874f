// What an elaboration was worth, expression by expression, kept for whoever asks later. Values are kept as they are and
// turned into text on demand, since an elaboration has many and an editor asks for few.
#include "compiler/lang/service.h"

#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"
#include "compiler/lang/text.h"

struct lang_watched {
  const lang_expr *expr;  // null: free
  lang_value value;
  bool varies;
};

// ---- collecting

static size_t place_of(const lang_watch *watch, const lang_expr *expr) {
  size_t mask = (size_t)watch->capacity - 1, at = ((uintptr_t)expr >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20;
  for (at &= mask; watch->data[at].expr && watch->data[at].expr != expr; at = (at + 1) & mask) continue;
  return at;
}

static void grow(lang_watch *watch) {
  struct lang_watched *old = watch->data;
  int count = watch->capacity;
  watch->capacity = count ? 2 * count : 256;
  watch->data = WEIR_NEW_ARRAY(watch->arena, struct lang_watched, watch->capacity);
  for (int i = 0; i < count; i++) {
    if (old[i].expr) watch->data[place_of(watch, old[i].expr)] = old[i];
  }
}

// Whether two values look different to a reader. Sizes of modules differ in their symbols, so names count.
static bool differs(const lang_value *a, const lang_value *b) {
  if (a->kind != b->kind) return true;
  if (a->kind != LANG_V_TENSOR) return a->kind == LANG_V_INT && a->i != b->i;
  const ir_type *x = &a->tensor->value->type, *y = &b->tensor->value->type;
  return x->rank != y->rank || x->dtype != y->dtype || memcmp(x->dims, y->dims, (size_t)x->rank * sizeof *x->dims) != 0;
}

static void see(lang_observer *self, const lang_expr *expr, const lang_value *value) {
  lang_watch *watch = (lang_watch *)self;
  if (lang_value_void(*value) || value->kind == LANG_V_NONE) return;
  if (2 * watch->count >= watch->capacity) grow(watch);
  struct lang_watched *found = &watch->data[place_of(watch, expr)];
  if (found->expr) {
    found->varies = found->varies || differs(&found->value, value);
    return;
  }
  *found = (struct lang_watched){expr, *value, false};
  watch->count++;
}

void lang_watch_init(lang_watch *watch, weir_arena *arena) { *watch = (lang_watch){.observer = {see}, .arena = arena}; }

static const struct lang_watched *find(const lang_watch *watch, const lang_expr *expr) {
  if (!watch->capacity || !expr) return NULL;
  const struct lang_watched *found = &watch->data[place_of(watch, expr)];
  return found->expr ? found : NULL;
}

// ---- telling

const char *lang_watch_text(const lang_watch *watch, const lang_expr *expr, bool *out_varies) {
  const struct lang_watched *found = find(watch, expr);
  *out_varies = found && found->varies;
  if (!found) return NULL;
  const lang_value *v = &found->value;
  switch (v->kind) {
    case LANG_V_TENSOR:
      return lang_tensor_text(watch->arena, v->tensor);
    case LANG_V_FN:
    case LANG_V_TUPLE:
    case LANG_V_INSTANCE:
    case LANG_V_SPACE:
      return lang_value_describe(watch->arena, *v);
    case LANG_V_LIST:
      if (v->list.count && v->list.items[0].kind == LANG_V_INSTANCE)
        return weir_arena_printf(watch->arena, "%" PRId64 " instances of %s", v->list.count,
                                 v->list.items[0].instance->name);
      return lang_value_print(watch->arena, *v);
    default:
      return lang_value_print(watch->arena, *v);
  }
}

typedef struct {
  lang_text_out out;
  const ir_symbol *said[IR_MAX_RANK * 4];
  int count;
} fact_writer;

static void put_symbol(void *user, const ir_symbol *symbol) {
  fact_writer *w = user;
  static const char *const roles[] = {"plain", "batch", "seq"};
  for (int i = 0; i < w->count; i++) {
    if (w->said[i] == symbol) return;
  }
  if (w->count == (int)(sizeof w->said / sizeof *w->said)) return;
  w->said[w->count++] = symbol;
  lang_text_printf(&w->out, "%s%s: %s, ", w->out.count ? "\n" : "", symbol->name, roles[symbol->role]);
  if (symbol->hi == INT64_MAX) lang_text_printf(&w->out, "%" PRId64 " or more", symbol->lo);
  else lang_text_printf(&w->out, "%" PRId64 " to %" PRId64, symbol->lo, symbol->hi);
  if (symbol->divisor > 1) lang_text_printf(&w->out, ", a multiple of %" PRId64, symbol->divisor);
}

const char *lang_watch_facts(const lang_watch *watch, const lang_expr *expr) {
  const struct lang_watched *found = find(watch, expr);
  if (!found) return NULL;
  fact_writer w = {.out = {.arena = watch->arena}};
  const lang_value *v = &found->value;
  if (v->kind == LANG_V_DIM) ir_dim_visit(v->dim, put_symbol, &w);
  if (v->kind == LANG_V_TENSOR) {
    const ir_value *value = v->tensor->value;
    for (int i = 0; i < value->type.rank; i++) {
      if (value->type.dims[i]) ir_dim_visit(value->type.dims[i], put_symbol, &w);
    }
    if (ir_dtype_is_int(value->type.dtype) && value->lo <= value->hi)
      lang_text_printf(&w.out, "%svalues in %" PRId64 "..=%" PRId64, w.out.count ? "\n" : "", value->lo, value->hi);
  }
  return w.out.count ? lang_text_take(&w.out) : NULL;
}

// ---- names of the language

static void entry_add(weir_arena *arena, lang_builtin_entry **list, int *count, int *capacity, const char *name,
                      lang_builtin_kind kind) {
  ir_op op;
  lang_builtin_entry entry = {.name = name, .kind = kind};
  if (kind == LANG_BUILTIN_FUNCTION && ir_op_find(name, &op)) entry.doc = ir_op_get_info(op)->meaning;
  const lang_builtin *builtin = kind == LANG_BUILTIN_FUNCTION ? lang_builtin_find(name) : NULL;
  if (builtin) entry.named = builtin->named;
  WEIR_PUSH(arena, *list, *count, *capacity, entry);
}

int lang_builtin_list(weir_arena *arena, lang_builtin_entry **out) {
  int count = 0, capacity = 0;
  lang_names names = {0};
  ir_dtype dtype;
  *out = NULL;
  lang_builtin_names(arena, &names);
  for (int i = 0; i < names.count; i++) {
    const char *name = names.data[i].text;
    lang_builtin_kind kind = LANG_BUILTIN_CONSTANT;
    if (!strcmp(name, "f") || ir_dtype_find(name, &dtype)) kind = LANG_BUILTIN_TYPE;
    else if (lang_builtin_find(name)) kind = LANG_BUILTIN_FUNCTION;
    entry_add(arena, out, &count, &capacity, name, kind);
  }
  static const char *const types[] = {"int", "float", "bool", "str", "dtype", "block", NULL};
  for (int i = 0; types[i]; i++) entry_add(arena, out, &count, &capacity, types[i], LANG_BUILTIN_TYPE);
  for (int i = 0; lang_reserved_words[i]; i++)
    entry_add(arena, out, &count, &capacity, lang_reserved_words[i], LANG_BUILTIN_KEYWORD);
  for (int i = 0; lang_declaration_words[i]; i++)
    entry_add(arena, out, &count, &capacity, lang_declaration_words[i], LANG_BUILTIN_KEYWORD);
  return count;
}
