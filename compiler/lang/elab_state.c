// States: reading, appending, writing. In an entry a state starts empty and is dropped: rows appended are the rows
// themselves, a fixed shape begins with its initial value, and the graph function has no state parameters. In a step
// the rows before this call are a parameter over T.past, appending gives T.past + T rows, and the new value is a
// result.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

static lang_tensor_value *fixed_param(lang_frame *frame, lang_slot *slot, lang_usage *use, lang_span span) {
  ir_function *ir = frame->function->ir;
  use->param = ir_function_add_param(ir, IR_PARAM_STATE, slot->path, ir_type_make(slot->dtype, slot->rank, slot->dims));
  ir->params[ir->param_count - 1].init = slot->init;
  return lang_wrap(frame, use->param, slot->is_f, span).tensor;
}

// The initial value as a tensor, for an entry.
static lang_tensor_value *fixed_constant(lang_frame *frame, lang_slot *slot, lang_span span) {
  if (!slot->init) {
    lang_error(frame->elab, LANG_W_NO_INITIAL, span, slot->path);
    return NULL;
  }
  ir_attr attrs[2] = {ir_attr_float(IR_ATTR_value, strtod(slot->init, NULL)),
                      ir_attr_dtype(IR_ATTR_dtype, slot->dtype)};
  lang_value v = lang_build(frame, IR_OP_constant, NULL, 0, attrs, 2, span);
  if (v.kind == LANG_V_TENSOR && slot->rank) {
    ir_attr dims = ir_attr_dims(IR_ATTR_dims, slot->dims, slot->rank);
    v = lang_build(frame, IR_OP_broadcast, &v.tensor, 1, &dims, 1, span);
  }
  if (v.kind != LANG_V_TENSOR) return NULL;
  v.tensor->is_f = slot->is_f;
  return v.tensor;
}

lang_tensor_value *lang_state_initial(lang_frame *frame, lang_slot *slot, lang_span span) {
  lang_usage *use = lang_slot_use(frame, slot);
  if (use->current) return use->current;
  if (slot->over) {
    const char *dot = strrchr(slot->path, '.');
    bool whole = lang_assigned_whole(slot->owner->body, dot ? dot + 1 : slot->path);
    if (!whole) lang_error(frame->elab, LANG_W_READ_BEFORE_APPEND, span, slot->path);
    return NULL;
  }
  lang_tensor_value *value =
      frame->function->step ? fixed_param(frame, slot, use, span) : fixed_constant(frame, slot, span);
  use = lang_slot_use(frame, slot);
  use->current = value;
  return value;
}

// ---- append

// The arguments of `s = append(s, rows)`: the rows, or void after a report.
static lang_value rows_of(lang_frame *frame, const lang_slot *slot, const lang_expr *expr) {
  const lang_args *args = &expr->call.args;
  lang_path path;
  bool named =
      args->count == 2 && args->data[0].kind == LANG_ARG_POSITIONAL && args->data[1].kind == LANG_ARG_POSITIONAL;
  if (!named || !lang_expr_path(frame->elab->arena, args->data[0].value, &path)) {
    lang_error(frame->elab, LANG_W_APPEND_FORM, expr->span);
    return lang_value_error();
  }
  size_t length = strlen(slot->path), tail = strlen(path.text);
  bool same = tail <= length && !strcmp(slot->path + length - tail, path.text);
  if (!same || (tail < length && slot->path[length - tail - 1] != '.')) {
    lang_error(frame->elab, LANG_W_APPEND_OTHER, args->data[0].span, path.text, slot->path);
    return lang_value_error();
  }
  return lang_eval(frame, args->data[1].value);
}

static bool rows_fit(lang_frame *frame, const lang_slot *slot, const lang_tensor_value *rows, ir_dim over,
                     lang_span span) {
  lang_elab *elab = frame->elab;
  ir_type wanted = {.dtype = slot->dtype, .rank = slot->rank + 1};
  if (wanted.rank > IR_MAX_RANK) return false;
  wanted.dims[0] = over;
  memcpy(wanted.dims + 1, slot->dims, (size_t)slot->rank * sizeof *slot->dims);
  const ir_type *got = &rows->value->type;
  bool fits = got->dtype == slot->dtype && rows->is_f == slot->is_f && got->rank == wanted.rank;
  int axis = -1;
  for (int i = 0; fits && i < wanted.rank; i++) {
    if (!lang_dim_equal(elab->module->dims, got->dims[i], wanted.dims[i])) axis = i;
  }
  if (fits && axis < 0) return true;
  lang_diag *diag = lang_error(elab, LANG_W_STATE_ROWS, span, lang_tensor_text(elab->arena, rows), slot->path,
                               lang_type_text(elab->arena, &wanted, slot->is_f));
  lang_note_add(elab, diag, slot->span, "declared here");
  if (axis >= 0) lang_note_dim(elab, diag, frame->function, rows->value, axis, "");
  return false;
}

// The dim that the rows run over, as this application has it.
static ir_dim over_dim(lang_frame *frame, const lang_slot *slot, lang_span span) {
  lang_elab *elab = frame->elab;
  const lang_binding *bound = lang_scope_find(frame->scope, slot->over->name);
  if (bound && lang_value_void(bound->value)) return NULL;
  if (bound && bound->value.kind == LANG_V_INT) return ir_dim_const(elab->module->dims, bound->value.i);
  if (bound && bound->value.kind == LANG_V_DIM) return bound->value.dim;
  lang_error(elab, LANG_W_DIM_NOT_FIXED, slot->over->span, slot->over->name);
  (void)span;
  return NULL;
}

static lang_tensor_value *append_in_step(lang_frame *frame, lang_slot *slot, lang_tensor_value *rows, ir_dim over,
                                         lang_span span) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  const ir_symbol *symbol = ir_dim_as_symbol(over);
  if (!symbol || symbol->role != IR_ROLE_SEQ || lang_dim_seq(over, dims) != symbol) {
    lang_error(elab, LANG_W_STATE_OVER, span, slot->path, ir_dim_print(elab->arena, over));
    return NULL;
  }
  if (slot->symbol && slot->symbol != symbol) {
    lang_error(elab, LANG_W_STATE_TWO_DIMS, span, slot->path, slot->symbol->name, symbol->name);
    return NULL;
  }
  slot->symbol = symbol;
  ir_symbol *past = ir_symbol_past(dims, ir_symbol_find(dims, symbol->name));
  ir_type type = {.dtype = slot->dtype, .rank = slot->rank + 1};
  type.dims[0] = ir_dim_symbol(dims, past);
  memcpy(type.dims + 1, slot->dims, (size_t)slot->rank * sizeof *slot->dims);
  lang_usage *use = lang_slot_use(frame, slot);
  ir_function *ir = frame->function->ir;
  use->param = ir_function_add_param(ir, IR_PARAM_STATE, slot->path, type);
  ir->params[ir->param_count - 1].rows = true;
  lang_growth growth = {symbol, span};
  LANG_PUSH(elab->arena, &frame->function->grown, growth);
  lang_tensor_value *before = lang_wrap(frame, use->param, slot->is_f, span).tensor;
  lang_value v = lang_build(frame, IR_OP_append, (lang_tensor_value *[]){before, rows}, 2, NULL, 0, span);
  return v.kind == LANG_V_TENSOR ? v.tensor : NULL;
}

void lang_state_append(lang_frame *frame, lang_slot *slot, const lang_expr *expr) {
  lang_elab *elab = frame->elab;
  lang_value v = rows_of(frame, slot, expr);
  if (lang_value_void(v) || !frame->function) return;
  lang_usage *use = lang_slot_use(frame, slot);
  if (!slot->over) {
    lang_error(elab, LANG_W_APPEND_FIXED, expr->span, slot->path);
    return;
  }
  if (use->kind != LANG_USE_READ) {
    lang_diag *diag = lang_error(elab, LANG_W_APPENDED_TWICE, expr->span, slot->path);
    lang_note_add(elab, diag, use->span, "the first time is here");
    return;
  }
  ir_dim over = slot->over->kind == LANG_EXPR_NAME ? over_dim(frame, slot, expr->span) : NULL;
  if (v.kind != LANG_V_TENSOR) {
    lang_error(elab, LANG_W_WANTS_TENSOR, expr->span, "what is appended", lang_value_describe(elab->arena, v));
    return;
  }
  if (!over || !rows_fit(frame, slot, v.tensor, over, expr->span)) return;
  lang_tensor_value *history = v.tensor;
  if (frame->function->step) history = append_in_step(frame, slot, v.tensor, over, expr->span);
  if (!history) return;
  use = lang_slot_use(frame, slot);
  use->current = WEIR_NEW(elab->arena, lang_tensor_value);
  *use->current = *history;
  use->current->latest = NULL;
  use->kind = LANG_USE_APPEND;
  use->span = expr->span;
}

// ---- writing

void lang_state_write(lang_frame *frame, lang_slot *slot, lang_value value, lang_span span) {
  lang_elab *elab = frame->elab;
  if (slot->over) {
    return;  // refused at its place by the check of names
  }
  if (lang_value_void(value)) return;
  ir_type wanted = ir_type_make(slot->dtype, slot->rank, slot->dims);
  ir_value like_value = {.type = wanted};
  lang_tensor_value like = {.value = &like_value, .is_f = slot->is_f};
  lang_tensor_value *tensor = lang_tensor_of(frame, value, &like, span);
  if (!tensor) return;
  if (!ir_type_equal(&tensor->value->type, &wanted) || tensor->is_f != slot->is_f) {
    lang_diag *diag = lang_error(elab, LANG_W_STATE_TYPE, span, lang_tensor_text(elab->arena, tensor), slot->path,
                                 lang_type_text(elab->arena, &wanted, slot->is_f));
    lang_note_add(elab, diag, slot->span, "declared here");
    return;
  }
  lang_usage *use = lang_slot_use(frame, slot);
  if (frame->function->step && !use->param) {
    fixed_param(frame, slot, use, span);
    use = lang_slot_use(frame, slot);
  }
  use->current = WEIR_NEW(elab->arena, lang_tensor_value);
  *use->current = *tensor;
  use->current->latest = &lang_latest_any;
  use->kind = LANG_USE_WRITE;
  use->span = span;
}
