// Instances: construction, their place in the model, the tree of their members, and the list of slots below one.
//
// A construction makes instances without a place. A member gives them one, and only then is the body read for its
// declarations: their paths depend on it. Equal constructions stay separate instances; what they have in common is the
// graph function (elab_apply.c).
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

// ---- construction

static lang_instance *create(lang_frame *frame, const lang_file *file, const char *name, lang_span span) {
  lang_instance *instance = WEIR_NEW(frame->elab->arena, lang_instance);
  instance->name = name;
  instance->file = file;
  instance->span = span;
  instance->owner = frame->self;
  instance->depth = frame->self ? frame->self->depth + 1 : 0;
  instance->scope = lang_scope_create(frame->elab->arena, NULL);
  instance->space = WEIR_NEW(frame->elab->arena, lang_space);
  instance->space->owner = instance;
  instance->space->name = name;
  return instance;
}

static bool bind_instance(lang_elab *elab, lang_instance *instance, const lang_call *call) {
  lang_frame callee = {.elab = elab, .file = instance->file, .scope = instance->scope, .locals = instance->scope};
  instance->args = WEIR_NEW_ARRAY(elab->arena, lang_value, instance->params->count + 1);
  instance->arg_spans = WEIR_NEW_ARRAY(elab->arena, lang_span, instance->params->count + 1);
  instance->failed = !lang_bind_params(&callee, instance->params, call, instance->args, instance->arg_spans);
  return !instance->failed;
}

static bool nested_well(lang_frame *frame, const lang_symbol *symbol, lang_span span) {
  int depth = 0;
  bool model = symbol->item->kind == LANG_ITEM_MODEL;
  for (const lang_instance *owner = frame->self; owner; owner = owner->owner, depth++) {
    if (model ? owner->model != &symbol->item->model : owner->block != &symbol->item->block) continue;
    lang_error(frame->elab, LANG_W_CONTAINS_ITSELF, span, symbol->name);
    return false;
  }
  if (depth < LANG_BLOCK_LIMIT) return true;
  lang_error(frame->elab, LANG_W_TOO_DEEP_CALLS, span);
  return false;
}

static lang_value construct_one(lang_frame *frame, const lang_symbol *symbol, const lang_expr *expr,
                                const lang_call *call) {
  if (!lang_spend(frame->elab, 32, expr->span)) return lang_value_error();
  lang_instance *instance = create(frame, symbol->file, symbol->name, expr->span);
  if (symbol->item->kind == LANG_ITEM_MODEL) {
    instance->model = &symbol->item->model;
    instance->params = &instance->model->params;
    instance->body = &instance->model->body;
  } else {
    instance->block = &symbol->item->block;
    instance->params = &instance->block->params;
    instance->body = &instance->block->body;
  }
  if (!bind_instance(frame->elab, instance, call)) return lang_value_error();
  return (lang_value){.kind = LANG_V_INSTANCE, .instance = instance};
}

// Layer{D}[n][m]: n lists of m.
static lang_value construct_many(lang_frame *frame, const lang_symbol *symbol, const lang_expr *expr,
                                 const lang_call *call, const int64_t *counts, int levels) {
  if (!levels) return construct_one(frame, symbol, expr, call);
  if (!lang_spend(frame->elab, counts[0], expr->span)) return lang_value_error();
  lang_value v = {.kind = LANG_V_LIST, .list = {NULL, counts[0]}};
  v.list.items = WEIR_NEW_ARRAY(frame->elab->arena, lang_value, counts[0] ? counts[0] : 1);
  for (int64_t i = 0; i < counts[0]; i++) {
    v.list.items[i] = construct_many(frame, symbol, expr, call, counts + 1, levels - 1);
    if (lang_value_void(v.list.items[i])) return v.list.items[i];
  }
  return v;
}

static const lang_symbol *find_block(lang_frame *frame, const lang_expr *expr) {
  lang_elab *elab = frame->elab;
  const lang_name *name = &expr->construct.name;
  const lang_symbol *symbol = lang_program_find(elab->program, frame->file, name->text);
  if (symbol && (symbol->item->kind == LANG_ITEM_BLOCK || symbol->item->kind == LANG_ITEM_MODEL)) return symbol;
  if (symbol) lang_error(elab, LANG_W_NOT_A_BLOCK, name->span, name->text);
  else if (!lang_reported(elab, LANG_W_UNKNOWN_BLOCK, name->span))
    lang_error(elab, LANG_W_UNKNOWN_BLOCK, name->span, name->text);
  return NULL;
}

lang_value lang_construct(lang_frame *frame, const lang_expr *expr) {
  lang_value none = lang_value_error();
  lang_call call;
  const lang_symbol *symbol = find_block(frame, expr);
  bool ok = lang_call_make(frame, expr, &expr->construct.args, expr->construct.name.text, &call, &none);
  int levels = expr->construct.counts.count;
  int64_t *counts = WEIR_NEW_ARRAY(frame->elab->arena, int64_t, levels + 1);
  for (int i = 0; i < levels; i++) {
    const lang_expr *count = expr->construct.counts.data[i];
    lang_value v = lang_eval(frame, count);
    if (v.kind == LANG_V_INT && v.i >= 0) {
      counts[i] = v.i;
      continue;
    }
    if (!lang_value_void(v)) {
      lang_error(frame->elab, LANG_W_BAD_COUNT, count->span, lang_value_describe(frame->elab->arena, v));
      v = lang_value_error();
    }
    none = ok ? lang_value_void_of(v, v) : none;
    ok = false;
  }
  if (!symbol || !nested_well(frame, symbol, expr->span)) return lang_value_error();
  return ok ? construct_many(frame, symbol, expr, &call, counts, levels) : none;
}

// ---- models as members

const lang_dim *lang_model_dim(const lang_instance *self, const char *name) {
  if (!self || !self->model || !self->path || !*self->path) return NULL;
  for (int i = 0; i < self->body->stmts.count; i++) {
    const lang_stmt *stmt = self->body->stmts.data[i];
    for (int k = 0; stmt->kind == LANG_STMT_DIM && k < stmt->dim.names.count; k++) {
      if (!strcmp(stmt->dim.names.data[k].text, name)) return &stmt->dim;
    }
  }
  return NULL;
}

// What the model promises itself about its dims holds for those that stand for them.
bool lang_model_dims_hold(lang_frame *callee, lang_span use) {
  lang_elab *elab = callee->elab;
  bool all = true;
  if (!callee->self || !callee->self->model) return true;
  for (int i = 0; i < callee->self->body->stmts.count; i++) {
    const lang_stmt *stmt = callee->self->body->stmts.data[i];
    if (stmt->kind != LANG_STMT_DIM || stmt->dim.value) continue;
    for (int k = 0; k < stmt->dim.names.count; k++) {
      const lang_binding *bound = lang_scope_here(callee->scope, stmt->dim.names.data[k].text);
      int64_t lo, hi, least, most;
      if (!bound || bound->value.kind != LANG_V_DIM || !stmt->dim.range) continue;
      if (!lang_range_bounds(callee, stmt->dim.range, &least, &most)) continue;
      ir_dim_bounds(bound->value.dim, &lo, &hi);
      if (lo >= least && hi <= most) continue;
      lang_diag *diag =
          lang_error(elab, LANG_W_OUT_OF_RANGE, use, bound->name, ir_dim_print(elab->arena, bound->value.dim));
      lang_note_add(elab, diag, stmt->dim.range->span, "the model declares this");
      all = false;
    }
    bool bound = lang_scope_here(callee->scope, stmt->dim.names.data[0].text) != NULL;
    if (bound) all = lang_prove(callee, &stmt->dim.wheres, use) && all;
  }
  return all;
}

// ---- places

static const char *child_name(const void *list, int place) {
  return ((const lang_space *)list)->children.data[place]->name;
}

lang_space *lang_space_find(lang_space *space, const char *name) {
  int place = lang_name_table_find(&space->table, name, child_name, space);
  return place < 0 ? NULL : space->children.data[place];
}

void lang_space_add(weir_arena *arena, lang_space *space, lang_space *child) {
  LANG_PUSH(arena, &space->children, child);
  lang_name_table_put(arena, &space->table, child->name, space->children.count - 1, child_name, space);
}

static const char *join(weir_arena *arena, const char *path, const char *name) {
  return *path ? weir_arena_printf(arena, "%s.%s", path, name) : name;
}

static void alias_space(lang_elab *elab, const lang_space *space, const char *path);

static void alias_value(lang_elab *elab, lang_value value, const char *path) {
  if (value.kind == LANG_V_INSTANCE) {
    alias_space(elab, value.instance->space, path);
  } else if (value.kind == LANG_V_LIST) {
    for (int64_t i = 0; i < value.list.count; i++) {
      alias_value(elab, value.list.items[i], weir_arena_printf(elab->arena, "%s.%" PRId64, path, i));
    }
  }
}

// A second path of all slots below: a tie.
static void alias_space(lang_elab *elab, const lang_space *space, const char *path) {
  if (!lang_spend(elab, 1, space->span)) return;
  if (space->slot) LANG_PUSH(elab->arena, &space->slot->aliases, path);
  if (space->has_value) alias_value(elab, space->value, path);
  for (int i = 0; i < space->children.count; i++) {
    alias_space(elab, space->children.data[i], join(elab->arena, path, space->children.data[i]->name));
  }
}

static void layout(lang_elab *elab, lang_instance *instance) {
  lang_frame frame = {.elab = elab, .file = instance->file, .self = instance, .structure = true, .main = true};
  frame.scope = frame.locals = instance->scope;
  const char *what =
      *instance->path ? weir_arena_printf(elab->arena, "in %s (%s), constructed here", instance->path, instance->name)
                      : weir_arena_printf(elab->arena, "in the model %s", instance->name);
  lang_site *outer = lang_site_push(elab, what, instance->span);
  const lang_exprs *wheres = instance->block ? &instance->block->wheres : &instance->model->wheres;
  instance->refused = !lang_prove(&frame, wheres, *instance->path ? instance->span : (lang_span){0});
  lang_layout_body(&frame, instance->body);
  lang_error_flush(elab);
  elab->site = outer;
}

void lang_place(lang_elab *elab, lang_value value, const char *path, lang_span span) {
  if (!lang_spend(elab, 8 + (int64_t)strlen(path) / 8, span) || value.kind == LANG_V_ERROR) return;
  switch (value.kind) {
    case LANG_V_INSTANCE:
      if (value.instance->path) {
        alias_value(elab, value, path);
        return;
      }
      value.instance->path = path;
      layout(elab, value.instance);
      return;
    case LANG_V_LIST:
      for (int64_t i = 0; i < value.list.count; i++) {
        lang_place(elab, value.list.items[i], weir_arena_printf(elab->arena, "%s.%" PRId64, path, i), span);
      }
      return;
    case LANG_V_LATER:
      lang_error(elab, LANG_W_MEMBER_LATER, span, path);
      return;
    default:
      lang_error(elab, LANG_W_NOT_A_MEMBER, span, path, lang_value_describe(elab->arena, value));
      return;
  }
}

// ---- the model

// "[1, [2, 3]]", numbers, true and false; what is none of these is a text. |depth| bounds the brackets.
static lang_value override_value(weir_arena *arena, const char *text, int depth);

static bool override_list(weir_arena *arena, const char *text, size_t length, int depth, lang_value *out) {
  LANG_LIST(lang_value) items = {0};
  int open = 0;
  for (size_t at = 1, from = 1; at < length; at++) {
    open += (text[at] == '[') - (text[at] == ']');
    bool end = at == length - 1;
    if (open < -end) return false;
    if (!end && (text[at] != ',' || open)) continue;
    while (from < at && text[from] == ' ') from++;
    if (from == at && !end) return false;
    if (from < at) {
      lang_value item = override_value(arena, weir_arena_strndup(arena, text + from, at - from), depth - 1);
      LANG_PUSH(arena, &items, item);
    }
    from = at + 1;
  }
  *out = lang_value_list(arena, LANG_V_LIST, items.data, items.count);
  return open == -1;
}

static lang_value override_value(weir_arena *arena, const char *text, int depth) {
  char *end;
  size_t length = strlen(text);
  lang_value list;
  if (!strcmp(text, "true") || !strcmp(text, "false")) return lang_value_bool(*text == 't');
  if (depth > 0 && length >= 2 && *text == '[' && text[length - 1] == ']' &&
      override_list(arena, text, length, depth, &list))
    return list;
  long long i = strtoll(text, &end, 10);
  if (*text && !*end) return lang_value_int(i);
  double f = strtod(text, &end);
  if (*text && !*end) return lang_value_float(f);
  return (lang_value){.kind = LANG_V_STRING, .s = text};
}

static void add_overrides(lang_elab *elab, const lang_instance *model, lang_call *call) {
  for (int i = 0; i < elab->options->override_count; i++) {
    const char *text = elab->options->overrides[i], *equals = strchr(text, '=');
    lang_arg arg = {.kind = LANG_ARG_NAMED, .span = model->span};
    if (!equals) {
      lang_error(elab, LANG_W_BAD_OVERRIDE, model->span, text);
      continue;
    }
    arg.name = (lang_name){weir_arena_strndup(elab->arena, text, (size_t)(equals - text)), model->span};
    LANG_PUSH(elab->arena, &call->named, arg);
    LANG_PUSH(elab->arena, &call->named_values, override_value(elab->arena, equals + 1, 8));
  }
}

lang_instance *lang_instance_model(lang_elab *elab, const lang_symbol *symbol) {
  const lang_model *decl = &symbol->item->model;
  lang_frame frame = {.elab = elab, .file = symbol->file};
  lang_instance *instance = create(&frame, symbol->file, decl->name.text, decl->name.span);
  instance->model = decl;
  instance->params = &decl->params;
  instance->body = &decl->body;
  instance->path = "";
  lang_call call = {.name = decl->name.text};
  add_overrides(elab, instance, &call);
  elab->model = instance;
  if (bind_instance(elab, instance, &call)) layout(elab, instance);
  return instance;
}

// ---- listings

void lang_list_begin(lang_elab *elab) { elab->listing++; }

static bool has_fns(const lang_body *body) {
  for (int i = 0; i < body->stmts.count; i++) {
    if (body->stmts.data[i]->kind == LANG_STMT_FN) return true;
  }
  return false;
}

static void list_slot(lang_elab *elab, lang_slot *slot, const char *path, lang_listing *listing, lang_buffer *key) {
  if (slot->mark == elab->listing) {
    lang_buffer_add(key, "=%d,", slot->order);
    return;
  }
  slot->mark = elab->listing;
  slot->order = listing->slots.count;
  LANG_PUSH(elab->arena, &listing->slots, slot);
  if (path) LANG_PUSH(elab->arena, &listing->paths, path);
  if (slot->kind == LANG_SLOT_STATE && has_fns(slot->owner->body)) listing->threads = true;
  lang_buffer_puts(key, ".");
  if (slot->kept != slot->dtype) lang_buffer_puts(key, ir_dtype_name(slot->kept));
}

static void list_space(lang_elab *elab, const lang_space *space, const char *path, lang_listing *listing,
                       lang_buffer *key) {
  if (!lang_spend(elab, 1, space->span)) return;
  if (space->slot) list_slot(elab, space->slot, path, listing, key);
  if (space->has_value) lang_list_value(elab, space->value, path, listing, key);
  for (int i = 0; i < space->children.count; i++) {
    const lang_space *child = space->children.data[i];
    list_space(elab, child, path ? join(elab->arena, path, child->name) : NULL, listing, key);
  }
}

static void list_instance(lang_elab *elab, lang_instance *instance, const char *path, lang_listing *listing,
                          lang_buffer *key) {
  if (instance->mark == elab->listing) {
    lang_buffer_add(key, "=i%d,", instance->order);
    return;
  }
  instance->mark = elab->listing;
  instance->order = (int)key->length;
  lang_buffer_add(key, "%s/%d{", instance->name, instance->file->source->id);
  for (int i = 0; i < instance->params->count; i++) {
    const char *name = instance->params->data[i].name.text;
    lang_list_value(elab, instance->args[i], path ? join(elab->arena, path, name) : NULL, listing, key);
    lang_buffer_puts(key, ",");
  }
  lang_buffer_puts(key, "}");
  list_space(elab, instance->space, path, listing, key);
}

void lang_list_value(lang_elab *elab, lang_value value, const char *path, lang_listing *listing, lang_buffer *key) {
  if (!lang_spend(elab, 1, (lang_span){0})) return;
  switch (value.kind) {
    case LANG_V_INSTANCE:
      list_instance(elab, value.instance, path, listing, key);
      return;
    case LANG_V_LIST:
      lang_buffer_puts(key, "[");
      for (int64_t i = 0; i < value.list.count; i++) {
        lang_list_value(elab, value.list.items[i], path ? weir_arena_printf(elab->arena, "%s.%" PRId64, path, i) : NULL,
                        listing, key);
        lang_buffer_puts(key, ",");
      }
      lang_buffer_puts(key, "]");
      return;
    case LANG_V_FN:
      lang_buffer_add(key, "fn:%p:%p", (const void *)value.fn->decl, (const void *)value.fn->builtin);
      return;
    default:
      lang_buffer_puts(key, lang_value_print(elab->arena, value));
      return;
  }
}
