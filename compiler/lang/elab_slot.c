// Declarations of params and states: the slots of an instance, their types and initial values. All is known while
// laying out: dims are numbers; only the rows of a state come with the step that appends them.
#include <string.h>

#include "compiler/lang/elab_impl.h"

lang_space *lang_space_insert(lang_frame *frame, const lang_path *path) {
  lang_elab *elab = frame->elab;
  lang_space *at = frame->self->space;
  const lang_name *first = &path->parts.data[0];
  const lang_binding *taken = lang_scope_here(frame->self->scope, first->text);
  if (taken && !(frame->arms && path->parts.count == 1)) {
    lang_diag *diag = lang_error(elab, LANG_W_NAME_TWICE, first->span, first->text);
    lang_note_add(elab, diag, taken->span, "it is this already");
    return NULL;
  }
  for (int i = 0; i < path->parts.count; i++) {
    const lang_name *part = &path->parts.data[i];
    lang_space *child = lang_space_find(at, part->text);
    if (!lang_spend(elab, 1 + at->children.count / 64, part->span)) return NULL;
    bool last = i == path->parts.count - 1;
    if (child && (last || child->has_value || child->slot)) {
      lang_diag *diag = lang_error(elab, LANG_W_NAME_TWICE, path->span, path->text);
      lang_note_add(elab, diag, child->span, "it is this already");
      return NULL;
    }
    if (!child) {
      child = WEIR_NEW(elab->arena, lang_space);
      *child = (lang_space){.name = part->text, .owner = frame->self, .span = path->span};
      lang_space_add(elab->arena, at, child);
    }
    at = child;
  }
  return at;
}

// ---- initial values

static const char *const initialisers[] = {"normal", "uniform", "glorot", "kaiming", "zeros", "ones"};

bool lang_is_initialiser(const char *name) {
  for (size_t i = 0; i < sizeof initialisers / sizeof *initialisers; i++) {
    if (!strcmp(initialisers[i], name)) return true;
  }
  return false;
}

// An initialiser with its arguments worked out: "uniform(0.044)".
static const char *initialiser(lang_frame *frame, const lang_expr *expr) {
  lang_elab *elab = frame->elab;
  const char *name = expr->call.callee->kind == LANG_EXPR_NAME ? expr->call.callee->name : "";
  int count = (int)(sizeof initialisers / sizeof *initialisers), known = 0;
  while (known < count && strcmp(initialisers[known], name) != 0) known++;
  if (known == count) {
    lang_diag *diag = lang_error(elab, LANG_W_UNKNOWN_INITIAL, expr->span, name);
    lang_suggest(elab, diag, name, initialisers, count);
    return NULL;
  }
  lang_buffer text = {.arena = elab->arena};
  lang_buffer_add(&text, "%s(", name);
  for (int i = 0; i < expr->call.args.count; i++) {
    const lang_arg *arg = &expr->call.args.data[i];
    lang_value v = lang_eval(frame, arg->value);
    if (lang_value_void(v)) return NULL;
    lang_buffer_add(&text, "%s", i ? ", " : "");
    if (arg->kind == LANG_ARG_NAMED) lang_buffer_add(&text, "%s = ", arg->name.text);
    lang_buffer_add(&text, "%s", lang_value_print(elab->arena, v));
  }
  lang_buffer_add(&text, ")");
  return text.data;
}

static bool is_initialiser(const lang_expr *expr) {
  if (expr->kind != LANG_EXPR_CALL || expr->call.callee->kind != LANG_EXPR_NAME) return false;
  const char *name = expr->call.callee->name;
  return lang_is_initialiser(name) || !lang_builtin_find(name);
}

static const char *initial_text(lang_frame *frame, const lang_slot *slot, const lang_expr *expr) {
  if (!expr) return NULL;
  if (slot->kind == LANG_SLOT_WEIGHT && is_initialiser(expr)) return initialiser(frame, expr);
  lang_value v = lang_eval(frame, expr);
  if (lang_value_void(v)) return NULL;
  if (v.kind == LANG_V_BOOL && slot->dtype == IR_bool) return v.b ? "1" : "0";
  bool fits = v.kind == LANG_V_INT || (v.kind == LANG_V_FLOAT && ir_dtype_is_float(slot->dtype));
  if (fits) return lang_value_print(frame->elab->arena, v);
  lang_error(frame->elab, LANG_W_BAD_INITIAL, expr->span, lang_value_describe(frame->elab->arena, v));
  return NULL;
}

// ---- types

static bool resolve_type(lang_frame *frame, lang_slot *slot, const lang_type *type) {
  lang_elab *elab = frame->elab;
  lang_tensor_type resolved;
  if (!lang_type_is_tensor(type)) {
    lang_error(elab, LANG_W_SLOT_TYPE, type->span, lang_span_text(elab, type->span));
    return false;
  }
  int errors = elab->diags->error_count;
  if (!lang_type_resolve(frame, type, false, &resolved, NULL)) {
    if (errors == elab->diags->error_count && !elab->exhausted) {
      lang_diag *diag = lang_error(elab, LANG_W_MEMBER_LATER, type->span, slot->path);
      lang_note_add(elab, diag, (lang_span){0},
                    "its sizes are numbers or parameters of the block: a dim that an argument brings comes too late");
    }
    return false;
  }
  slot->type = type;
  slot->dtype = resolved.type.dtype;
  slot->is_f = resolved.is_f;
  slot->rank = resolved.type.rank;
  int64_t elements = 1, size = 0;
  for (int i = 0; i < slot->rank; i++) {
    slot->dims[i] = resolved.type.dims[i];
    if (!slot->dims[i] || !ir_dim_is_const(slot->dims[i], &size)) {
      lang_error(elab, LANG_W_SLOT_RUN_TIME, type->span, slot->path);
      return false;
    }
    if (!weir_mul_i64(elements, size, &elements) || elements > INT64_MAX / 16) {
      lang_error(elab, LANG_W_OVERFLOW, type->span);
      return false;
    }
  }
  return true;
}

static void add_weight(lang_elab *elab, lang_slot *slot) {
  lang_weight weight = {.path = slot->path, .is_f = slot->is_f, .init = slot->init, .span = slot->span};
  weight.type = ir_type_make(slot->dtype, slot->rank, slot->dims);
  slot->index = elab->graph->weight_count;
  WEIR_PUSH(elab->arena, elab->graph->weights, elab->graph->weight_count, elab->graph->weight_capacity, weight);
}

// `over T` and `over last(T, W)`.
static void read_over(lang_frame *frame, lang_slot *slot, const lang_expr *over) {
  lang_elab *elab = frame->elab;
  bool window = over->kind == LANG_EXPR_CALL && over->call.callee->kind == LANG_EXPR_NAME &&
                !strcmp(over->call.callee->name, "last");
  slot->over = over;
  if (window) {
    const lang_args *args = &over->call.args;
    bool form =
        args->count == 2 && args->data[0].kind == LANG_ARG_POSITIONAL && args->data[1].kind == LANG_ARG_POSITIONAL;
    if (form) slot->over = args->data[0].value;
    if (form && !lang_eval_int(frame, args->data[1].value, &slot->window)) slot->window = 1;
    if (!form || slot->window < 1 || slot->window > INT32_MAX) {
      lang_error(elab, LANG_W_BAD_WINDOW, over->span);
      slot->window = 1;
    }
  }
  if (slot->over->kind != LANG_EXPR_NAME) lang_error(elab, LANG_W_BAD_OVER, over->span);
}

bool lang_slot_takes_cache(const lang_slot *slot) {
  return slot->kind == LANG_SLOT_STATE && slot->over && !slot->whole && ir_dtype_is_float(slot->dtype);
}

static void declare(lang_frame *frame, const lang_stmt *stmt, const lang_path *path) {
  lang_elab *elab = frame->elab;
  bool state = stmt->kind == LANG_STMT_STATE;
  lang_space *space = lang_space_insert(frame, path);
  if (!space) return;
  lang_slot *slot = WEIR_NEW(elab->arena, lang_slot);
  slot->kind = state ? LANG_SLOT_STATE : LANG_SLOT_WEIGHT;
  slot->path = *frame->self->path ? weir_arena_printf(elab->arena, "%s.%s", frame->self->path, path->text) : path->text;
  slot->span = path->span;
  slot->owner = frame->self;
  slot->index = -1;
  if (state && stmt->state.over) {
    read_over(frame, slot, stmt->state.over);
    slot->whole = lang_assigned_whole(frame->self->body, path->text);
    if (stmt->state.value) lang_error(elab, LANG_W_ROWS_INITIAL, stmt->state.value->span, path->text);
  }
  if (!resolve_type(frame, slot, state ? stmt->state.type : stmt->param.type)) {
    space->has_value = true;
    space->value = lang_value_error();
    return;
  }
  slot->kept = slot->dtype;
  ir_dtype kept;
  if (lang_slot_takes_cache(slot) && elab->options->plan && lang_plan_cache(elab->options->plan, slot->path, &kept) &&
      ir_dtype_bytes(kept) < ir_dtype_bytes(slot->dtype))
    slot->kept = kept;
  if (!slot->over) slot->init = initial_text(frame, slot, state ? stmt->state.value : stmt->param.value);
  space->slot = slot;
  LANG_PUSH(elab->arena, &elab->slots, slot);
  if (!state) add_weight(elab, slot);
}

void lang_slots_declare(lang_frame *frame, const lang_stmt *stmt) {
  const lang_paths *paths = stmt->kind == LANG_STMT_STATE ? &stmt->state.paths : &stmt->param.paths;
  for (int i = 0; i < paths->count; i++) declare(frame, stmt, &paths->data[i]);
}
