// Names: from a name in a body to its value. The order: the body's scopes, the members and fns of the instance, the
// file and what it uses, the built-in names. A slot becomes a parameter of the graph function in which it is first
// read.
#include <string.h>

#include "compiler/lang/elab_impl.h"

const lang_fn *lang_body_fn(const lang_body *body, const char *name) {
  for (int i = 0; i < body->stmts.count; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    if (stmt->kind == LANG_STMT_FN && !strcmp(stmt->fn.name.text, name)) return &stmt->fn;
  }
  return NULL;
}

static lang_value callable(lang_elab *elab, const lang_fn *decl, const lang_builtin *builtin, const lang_file *file,
                           lang_instance *self) {
  lang_callable *fn = WEIR_NEW(elab->arena, lang_callable);
  *fn = (lang_callable){decl, builtin, file, self};
  return (lang_value){.kind = LANG_V_FN, .fn = fn};
}

// ---- slots

lang_usage *lang_slot_use(lang_frame *frame, lang_slot *slot) {
  lang_function *function = frame->function;
  if (slot->seen == function) return &function->uses.data[slot->seen_index];
  slot->seen = function;
  lang_spend(frame->elab, 1, slot->span);
  uint64_t hash = (uint64_t)(uintptr_t)slot * 0x9E3779B97F4A7C15u >> 20;
  int cursor = 0, at;
  while ((at = lang_table_next(&function->used, hash, &cursor)) >= 0) {
    if (function->uses.data[at].slot != slot) continue;
    slot->seen_index = at;
    return &function->uses.data[at];
  }
  lang_usage use = {.slot = slot};
  slot->seen_index = function->uses.count;
  lang_table_add(frame->elab->arena, &function->used, hash, slot->seen_index);
  LANG_PUSH(frame->elab->arena, &function->uses, use);
  return &function->uses.data[slot->seen_index];
}

static lang_value weight_read(lang_frame *frame, lang_slot *slot, lang_span span) {
  lang_usage *use = lang_slot_use(frame, slot);
  if (!use->param) {
    ir_type type = ir_type_make(slot->dtype, slot->rank, slot->dims);
    use->param = ir_function_add_param(frame->function->ir, IR_PARAM_WEIGHT, slot->path, type);
    frame->function->ir->params[frame->function->ir->param_count - 1].init = slot->init;
  }
  lang_value v = lang_wrap(frame, use->param, slot->is_f, span);
  int lead = slot->rank - slot->type->subs.count;
  for (int i = 0; v.kind == LANG_V_TENSOR && lead == 0 && i < slot->rank; i++) {
    const lang_expr *sub = slot->type->subs.data[i].low;
    v.tensor->labels[i] = sub && sub->kind == LANG_EXPR_NAME ? sub->name : NULL;
  }
  return v;
}

lang_value lang_slot_read(lang_frame *frame, lang_slot *slot, lang_span span) {
  if (frame->structure) return lang_value_later();
  if (!frame->function) {
    lang_error(frame->elab, LANG_W_TENSOR_AT_BUILD_TIME, span, slot->path);
    return lang_value_error();
  }
  if (slot->kind == LANG_SLOT_WEIGHT) return weight_read(frame, slot, span);
  lang_tensor_value *current = lang_state_read(frame, slot, span);
  if (!current) return lang_value_error();
  lang_usage *use = lang_slot_use(frame, slot);
  if (!slot->over && use->kind == LANG_USE_READ && !use->before && !lang_region_carries(frame, slot)) {
    use->before = true;
    use->before_span = span;
  }
  lang_tensor_value *copy = WEIR_NEW(frame->elab->arena, lang_tensor_value);
  *copy = *current;
  copy->state = slot;
  copy->span = span;
  return (lang_value){.kind = LANG_V_TENSOR, .tensor = copy};
}

// ---- members

static lang_value space_value(lang_frame *frame, lang_space *space, lang_span span) {
  if (space->slot) return lang_slot_read(frame, space->slot, span);
  if (space->has_value) return space->value;
  return (lang_value){.kind = LANG_V_SPACE, .space = space};
}

static lang_value instance_fn(lang_frame *frame, lang_instance *self, const char *name) {
  const lang_fn *fn = lang_body_fn(self->body, name);
  return fn ? callable(frame->elab, fn, NULL, self->file, self) : lang_value_none();
}

static void suggest_member(lang_elab *elab, lang_diag *diag, const lang_space *space, const lang_body *body,
                           const char *name) {
  LANG_LIST(const char *) names = {0};
  for (int i = 0; i < space->children.count && i < 1000; i++)
    LANG_PUSH(elab->arena, &names, space->children.data[i]->name);
  for (int i = 0; body && i < body->stmts.count; i++) {
    if (body->stmts.data[i]->kind == LANG_STMT_FN) LANG_PUSH(elab->arena, &names, body->stmts.data[i]->fn.name.text);
  }
  lang_suggest(elab, diag, name, names.data, names.count);
}

static lang_value instance_field(lang_frame *frame, lang_instance *instance, const lang_expr *expr) {
  const char *name = expr->field.name.text;
  if (instance->failed) return lang_value_error();
  lang_space *child = lang_space_find(instance->space, name);
  if (child && child->slot && child->slot->kind == LANG_SLOT_STATE && instance != frame->self) {
    lang_error(frame->elab, LANG_W_FOREIGN_STATE, expr->field.name.span, name);
    return lang_value_error();
  }
  if (child) return space_value(frame, child, expr->span);
  lang_value fn = instance_fn(frame, instance, name);
  if (fn.kind == LANG_V_FN) return fn;
  lang_diag *diag = lang_error(frame->elab, LANG_W_NO_MEMBER, expr->field.name.span, instance->name, name);
  suggest_member(frame->elab, diag, instance->space, instance->body, name);
  return lang_value_error();
}

lang_value lang_field(lang_frame *frame, lang_value base, const lang_expr *expr) {
  const char *name = expr->field.name.text;
  if (lang_value_void(base)) return base;
  if (base.kind == LANG_V_INSTANCE) return instance_field(frame, base.instance, expr);
  if (base.kind == LANG_V_SPACE) {
    lang_space *child = lang_space_find(base.space, name);
    if (child) return space_value(frame, child, expr->span);
    lang_diag *diag = lang_error(frame->elab, LANG_W_NO_MEMBER, expr->field.name.span, base.space->name, name);
    suggest_member(frame->elab, diag, base.space, NULL, name);
    return lang_value_error();
  }
  lang_error(frame->elab, LANG_W_NO_FIELDS, expr->field.name.span, lang_value_describe(frame->elab->arena, base), name);
  return lang_value_error();
}

// ---- file level

static lang_value eval_file_let(lang_frame *frame, const lang_symbol *symbol, const char *name) {
  lang_elab *elab = frame->elab;
  int at = 0;
  while (at < elab->let_count && elab->lets[at].item != symbol->item) at++;
  if (at == elab->let_count) {
    typeof(*elab->lets) fresh = {symbol->item, lang_scope_create(elab->arena, NULL), true};
    WEIR_PUSH(elab->arena, elab->lets, elab->let_count, elab->let_capacity, fresh);
    lang_frame inner = {.elab = elab, .file = symbol->file, .scope = lang_scope_create(elab->arena, NULL)};
    inner.locals = inner.scope;
    lang_let_run(&inner, &symbol->item->let, elab->lets[at].scope);
    elab->lets[at].busy = false;
  }
  if (elab->lets[at].busy) {
    lang_error(elab, LANG_W_CONTAINS_ITSELF, symbol->span, name);
    return lang_value_error();
  }
  lang_binding *found = lang_scope_here(elab->lets[at].scope, name);
  return found ? found->value : lang_value_error();
}

static lang_value file_value(lang_frame *frame, const lang_symbol *symbol, const char *name, lang_span span) {
  switch (symbol->item->kind) {
    case LANG_ITEM_LET:
      return eval_file_let(frame, symbol, name);
    case LANG_ITEM_FN:
      return callable(frame->elab, &symbol->item->fn, NULL, symbol->file, NULL);
    default:
      lang_error(frame->elab, LANG_W_NOT_A_VALUE, span, name);
      return lang_value_error();
  }
}

// The state of the own instance that is assigned whole over the dim |name|: its rows say what S is where no argument
// does.
static lang_slot *whole_over(const lang_instance *self, const lang_space *space, const char *name) {
  const lang_slot *slot = space ? space->slot : NULL;
  if (slot && slot->whole && slot->owner == self && slot->over->kind == LANG_EXPR_NAME &&
      !strcmp(slot->over->name, name))
    return space->slot;
  lang_slot *found = NULL;
  for (int i = 0; space && !found && !space->has_value && i < space->children.count; i++)
    found = whole_over(self, space->children.data[i], name);
  return found;
}

static lang_value unbound_dim(lang_frame *frame, const char *name, lang_span span) {
  if (frame->structure) return lang_value_later();
  lang_slot *slot = frame->function && frame->self ? whole_over(frame->self, frame->self->space, name) : NULL;
  if (slot) {
    lang_value rows = lang_slot_read(frame, slot, span);
    return rows.kind == LANG_V_TENSOR ? lang_value_of_dim(rows.tensor->value->type.dims[0]) : rows;
  }
  lang_error(frame->elab, LANG_W_DIM_NOT_FIXED, span, name);
  return lang_value_error();
}

// A dim of the file that names a size of others; while it is worked out it has no value itself.
static lang_value derived_dim(lang_frame *frame, const char *name, const lang_dim *dim, lang_span span) {
  lang_elab *elab = frame->elab;
  lang_scope *outer = frame->scope;
  int errors = elab->diags->error_count;
  frame->scope = lang_scope_create(elab->arena, outer);
  lang_scope_add(elab->arena, frame->scope, name, lang_value_error(), LANG_BINDING_CONST, span);
  lang_value value = lang_dim_derive(frame, name, dim);
  frame->scope = outer;
  if (value.kind == LANG_V_ERROR && elab->diags->error_count == errors)
    lang_error(elab, LANG_W_CONTAINS_ITSELF, span, name);
  return value;
}

// The names of a body have been checked as a whole (elab_names.c): what has no value here got none on this path, or was
// reported there.
static lang_value no_value(lang_frame *frame, const char *name, lang_span span) {
  if (!lang_reported(frame->elab, LANG_W_UNKNOWN_NAME, span)) lang_error(frame->elab, LANG_W_NO_VALUE, span, name);
  return lang_value_error();
}

lang_value lang_lookup(lang_frame *frame, const char *name, lang_span span) {
  lang_elab *elab = frame->elab;
  const lang_binding *bound = lang_scope_find(frame->scope, name);
  if (bound && frame->arms && frame->self && frame->self->space) {
    // A param declared in an `if` hides a flag of the same name there: `if bias { param bias: f[O]; ... }`.
    lang_space *hiding = lang_space_find(frame->self->space, name);
    if (hiding && hiding->slot) return lang_slot_read(frame, hiding->slot, span);
  }
  if (bound) return bound->value;
  if (frame->self && frame->self->space) {
    lang_space *member = lang_space_find(frame->self->space, name);
    if (member) return space_value(frame, member, span);
    lang_value fn = instance_fn(frame, frame->self, name);
    if (fn.kind == LANG_V_FN) return fn;
  }
  const lang_dim *own = lang_model_dim(frame->self, name);
  if (own && own->value) return lang_eval(frame, own->value);
  const lang_symbol *decl = lang_program_find_dim(elab->program, frame->file, name);
  if (!own && decl && decl->item->dim.value) return derived_dim(frame, name, &decl->item->dim, decl->span);
  if (own || decl) return unbound_dim(frame, name, span);
  const lang_symbol *symbol = lang_program_find(elab->program, frame->file, name);
  if (symbol) return file_value(frame, symbol, name, span);
  lang_value constant;
  if (lang_builtin_constant(elab, name, &constant)) return constant;
  const lang_builtin *builtin = lang_builtin_find(name);
  if (builtin) return callable(elab, NULL, builtin, NULL, NULL);
  if (lang_builtin_later(name)) {
    lang_error(elab, LANG_W_LATER_FUNCTION, span, name);
    return lang_value_error();
  }
  if (frame->structure) return lang_value_later();  // a dim of the signature; a wrong name is found elsewhere
  return no_value(frame, name, span);
}
