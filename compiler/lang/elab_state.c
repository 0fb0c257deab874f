// States: what a name of a state stands for, appending, assigning. A state is a fixed shape, or rows: appended over a T
// that grows (all of them, or the last W), or assigned whole over an S that does not.
//
// In a step the value before this call is a parameter: of fixed shape; f[T.past, ...] of rows, f[T.keepN, ...] of the
// last W = N + 1; f[S, ...] of what another step assigned whole. Appending gives the history, T rows longer; the new
// value is a result. In an entry a state starts empty and is dropped: rows appended are the rows themselves, a fixed
// shape begins with its initial value, and graph functions have no states, but where one call reads what another has
// written (lang_function.threaded). Nothing here knows regions but lang_state_may_change: values from outside are
// captured where they are used.
//
// A plan's `cache` may keep appended rows in fewer bytes (lang_slot.kept). They are rounded when they are appended and
// read as the declared type: in a call that appends them as in all later ones, in an entry as in a step.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

static ir_param *add_param(lang_frame *frame, lang_slot *slot, ir_type type) {
  ir_function *ir = frame->function->ir;
  lang_usage *use = lang_slot_use(frame, slot);
  use->param = ir_function_add_param(ir, IR_PARAM_STATE, slot->path, type);
  return &ir->params[ir->param_count - 1];
}

static lang_tensor_value *fixed_param(lang_frame *frame, lang_slot *slot, lang_span span) {
  lang_usage *use = lang_slot_use(frame, slot);
  if (!use->param) add_param(frame, slot, ir_type_make(slot->dtype, slot->rank, slot->dims))->init = slot->init;
  return lang_wrap(frame, lang_slot_use(frame, slot)->param, slot->is_f, span).tensor;
}

lang_tensor_value *lang_state_rows_param(lang_frame *frame, lang_slot *slot, ir_type type, lang_span span) {
  if (!lang_slot_use(frame, slot)->param) {
    ir_param *param = add_param(frame, slot, type);
    param->rows = true;
    param->window = slot->window;
  }
  return lang_wrap(frame, lang_slot_use(frame, slot)->param, slot->is_f, span).tensor;
}

// The initial value as a tensor, for an entry; built outside of all regions, since any of them may ask for it.
static lang_tensor_value *fixed_constant(lang_frame *frame, lang_slot *slot, lang_span span) {
  if (!slot->init) {
    lang_error(frame->elab, LANG_W_NO_INITIAL, span, slot->path);
    return NULL;
  }
  ir_attr attrs[2] = {ir_attr_float(IR_ATTR_value, strtod(slot->init, NULL)),
                      ir_attr_dtype(IR_ATTR_dtype, slot->dtype)};
  lang_region *inside = lang_region_leave(frame);
  lang_value v = lang_build_here(frame, IR_OP_constant, NULL, 0, attrs, 2, span);
  if (v.kind == LANG_V_TENSOR && slot->rank) {
    ir_attr dims = ir_attr_dims(IR_ATTR_dims, slot->dims, slot->rank);
    v = lang_build_here(frame, IR_OP_broadcast, &v.tensor, 1, &dims, 1, span);
  }
  lang_region_enter(frame, inside);
  if (v.kind != LANG_V_TENSOR) return NULL;
  v.tensor->is_f = slot->is_f;
  return v.tensor;
}

// ---- rows that were assigned whole

static ir_type rows_type(const lang_slot *slot, ir_dtype dtype, ir_dim rows) {
  ir_type type = {.dtype = dtype, .rank = slot->rank + 1};
  type.dims[0] = rows;
  memcpy(type.dims + 1, slot->dims, (size_t)slot->rank * sizeof *slot->dims);
  return type;
}

// The dim that the rows run over, as this application has it; null where nothing says it.
static ir_dim over_dim(lang_frame *frame, const lang_slot *slot) {
  const lang_binding *bound = lang_scope_find(frame->scope, slot->over->name);
  if (bound && bound->value.kind == LANG_V_INT) return ir_dim_const(frame->elab->module->dims, bound->value.i);
  return bound && bound->value.kind == LANG_V_DIM ? bound->value.dim : NULL;
}

// How many rows a state has that another step assigned: the seq of the model that has the name.
static ir_dim whole_rows(lang_frame *frame, const lang_slot *slot) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  ir_dim here = over_dim(frame, slot);
  if (here && ir_dim_as_symbol(here)) return here;
  if (slot->symbol) return ir_dim_symbol(dims, slot->symbol);
  const lang_binding *bound = lang_scope_find(elab->model->scope, slot->over->name);
  ir_dim named = bound && bound->value.kind == LANG_V_DIM ? bound->value.dim : here;
  if (named && ir_dim_as_symbol(named)) return named;
  ir_symbol *symbol = ir_symbol_get(dims, slot->over->name);
  symbol->role = IR_ROLE_SEQ;
  if (symbol->divisor < 1) symbol->divisor = 1;
  if (named) ir_dim_bounds(named, &symbol->lo, &symbol->hi);
  return ir_dim_symbol(dims, symbol);
}

static lang_tensor_value *whole_read(lang_frame *frame, lang_slot *slot, lang_span span) {
  if (!frame->function->step && !frame->function->threaded) {
    lang_error(frame->elab, LANG_W_READ_BEFORE_WRITE, span, slot->path);
    return NULL;
  }
  ir_dim rows = whole_rows(frame, slot);
  slot->symbol = ir_dim_as_symbol(rows);
  if (!slot->symbol) {
    lang_error(frame->elab, LANG_W_STATE_OVER, span, slot->path, ir_dim_print(frame->elab->arena, rows));
    return NULL;
  }
  return lang_state_rows_param(frame, slot, rows_type(slot, slot->dtype, rows), span);
}

lang_tensor_value *lang_state_initial(lang_frame *frame, lang_slot *slot, lang_span span) {
  lang_usage *use = lang_slot_use(frame, slot);
  lang_function *function = frame->function;
  if (use->current) return use->current;
  if (slot->over && !slot->whole) {
    if (!use->failed) lang_error(frame->elab, LANG_W_READ_BEFORE_APPEND, span, slot->path);
    return NULL;
  }
  if (use->kind != LANG_USE_READ) {  // an entry's call that kept its states to itself
    lang_diag *diag = lang_error(frame->elab, LANG_W_APPLIED_TWICE, span, slot->owner->name, slot->path);
    lang_note_add(frame->elab, diag, use->span, "the first time is here");
    return NULL;
  }
  lang_tensor_value *value = slot->over                             ? whole_read(frame, slot, span)
                             : function->step || function->threaded ? fixed_param(frame, slot, span)
                                                                    : fixed_constant(frame, slot, span);
  lang_slot_use(frame, slot)->current = value;
  return value;
}

// ---- where a state may change

bool lang_state_may_change(lang_frame *frame, const lang_slot *slot, bool rows, lang_span span) {
  lang_elab *elab = frame->elab;
  for (const lang_region *region = frame->function->region; region; region = region->parent) {
    bool allowed = region->kind == LANG_REGION_COND;
    for (int i = 0; i < region->carried.count && region->kind == LANG_REGION_SCAN; i++)
      allowed = allowed || region->carried.data[i] == slot;
    if (!rows && allowed) continue;
    lang_diag_code code = rows && region->kind == LANG_REGION_COND ? LANG_W_APPEND_ON_PATH
                          : rows                                   ? LANG_W_APPEND_IN_LOOP
                                                                   : LANG_W_STATE_NOT_CARRIED;
    lang_diag *diag = lang_error(elab, code, span, slot->path);
    lang_note_add(elab, diag, slot->span, "declared here");
    return false;
  }
  return true;
}

// ---- as it is kept, and as it is declared

static lang_tensor_value *cast(lang_frame *frame, lang_tensor_value *x, ir_dtype dtype, bool is_f, lang_span span) {
  if (x->value->type.dtype == dtype) return x;
  ir_attr attr = ir_attr_dtype(IR_ATTR_dtype, dtype);
  lang_value v = lang_build_here(frame, IR_OP_cast, &x, 1, &attr, 1, span);
  if (v.kind != LANG_V_TENSOR) return NULL;
  v.tensor->is_f = is_f;
  return v.tensor;
}

lang_tensor_value *lang_state_read(lang_frame *frame, lang_slot *slot, lang_span span) {
  lang_tensor_value *current = lang_state_initial(frame, slot, span);
  if (!current || current->value->type.dtype == slot->dtype) return current;
  lang_usage *use = lang_slot_use(frame, slot);
  if (use->read) return use->read;
  lang_region *inside = lang_region_leave(frame);  // others may read it, too
  lang_tensor_value *read = cast(frame, current, slot->dtype, slot->is_f, span);
  lang_region_enter(frame, inside);
  lang_slot_use(frame, slot)->read = read;
  return read;
}

// ---- append

lang_value lang_state_append_args(lang_frame *frame, const lang_slot *slot, const lang_expr *expr) {
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
  if (slot->rank + 1 > IR_MAX_RANK) return false;
  ir_type wanted = rows_type(slot, slot->dtype, over);
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
  ir_symbol *found = ir_symbol_find(dims, symbol->name);
  ir_symbol *past = slot->window ? ir_symbol_keep(dims, found, slot->window) : ir_symbol_past(dims, found);
  ir_type type = rows_type(slot, slot->kept, ir_dim_symbol(dims, past));
  lang_tensor_value *before = lang_state_rows_param(frame, slot, type, span);
  lang_growth growth = {symbol, span, false};
  LANG_PUSH(elab->arena, &frame->function->grown, growth);
  lang_value v = lang_build(frame, IR_OP_append, (lang_tensor_value *[]){before, rows}, 2, NULL, 0, span);
  return v.kind == LANG_V_TENSOR ? v.tensor : NULL;
}

// Whether rows may be appended to the state here and now.
static bool may_append(lang_frame *frame, lang_slot *slot, lang_span span) {
  lang_elab *elab = frame->elab;
  const lang_usage *use = lang_slot_use(frame, slot);
  if (!slot->over || slot->whole) {
    lang_error(elab, slot->over ? LANG_W_APPEND_WHOLE : LANG_W_APPEND_FIXED, span, slot->path);
    return false;
  }
  if (use->kind != LANG_USE_READ) {
    lang_diag *diag = lang_error(elab, LANG_W_APPENDED_TWICE, span, slot->path);
    lang_note_add(elab, diag, use->span, "the first time is here");
    return false;
  }
  return lang_state_may_change(frame, slot, true, span);
}

void lang_state_append(lang_frame *frame, lang_slot *slot, const lang_expr *expr) {
  lang_state_append_rows(frame, slot, lang_state_append_args(frame, slot, expr), expr->span);
}

void lang_state_append_rows(lang_frame *frame, lang_slot *slot, lang_value v, lang_span span) {
  lang_elab *elab = frame->elab;
  if (frame->function) lang_slot_use(frame, slot)->failed = true;
  if (lang_value_void(v) || !frame->function || !may_append(frame, slot, span)) return;
  if (v.kind != LANG_V_TENSOR) {
    lang_error(elab, LANG_W_WANTS_TENSOR, span, "what is appended", lang_value_describe(elab->arena, v));
    return;
  }
  ir_dim over = slot->over->kind == LANG_EXPR_NAME ? over_dim(frame, slot) : NULL;
  if (!over && slot->over->kind == LANG_EXPR_NAME) {
    const lang_binding *bound = lang_scope_find(frame->scope, slot->over->name);
    if (!bound || !lang_value_void(bound->value))
      lang_error(elab, LANG_W_DIM_NOT_FIXED, slot->over->span, slot->over->name);
  }
  if (!over || !rows_fit(frame, slot, v.tensor, over, span)) return;
  lang_tensor_value *history = cast(frame, v.tensor, slot->kept, false, span);
  if (history && frame->function->step) history = append_in_step(frame, slot, history, over, span);
  if (!history) return;
  lang_usage *use = lang_slot_use(frame, slot);
  use->current = WEIR_NEW(elab->arena, lang_tensor_value);
  *use->current = *history;
  use->current->latest = NULL;
  use->kind = LANG_USE_APPEND;
  use->span = span;
}

// ---- writing

static lang_tensor_value *of_type(lang_frame *frame, lang_slot *slot, lang_value value, const ir_type *wanted,
                                  lang_span span) {
  lang_elab *elab = frame->elab;
  ir_value like_value = {.type = *wanted};
  lang_tensor_value like = {.value = &like_value, .is_f = slot->is_f};
  lang_tensor_value *tensor = lang_tensor_of(frame, value, &like, span);
  if (tensor) lang_number_use(frame, tensor, span);
  if (!tensor || (ir_type_equal(&tensor->value->type, wanted) && tensor->is_f == slot->is_f)) return tensor;
  lang_diag *diag = lang_error(elab, LANG_W_STATE_TYPE, span, lang_tensor_text(elab->arena, tensor), slot->path,
                               lang_type_text(elab->arena, wanted, slot->is_f));
  lang_note_add(elab, diag, slot->span, "declared here");
  return NULL;
}

static void take_value(lang_frame *frame, lang_slot *slot, const lang_tensor_value *tensor, const ir_symbol *latest,
                       lang_span span) {
  lang_usage *use = lang_slot_use(frame, slot);
  use->current = WEIR_NEW(frame->elab->arena, lang_tensor_value);
  *use->current = *tensor;
  use->current->latest = latest;
  use->kind = LANG_USE_WRITE;
  use->span = span;
}

// All rows at once: over an S that arrives whole.
static void write_whole(lang_frame *frame, lang_slot *slot, lang_value value, lang_span span) {
  lang_elab *elab = frame->elab;
  lang_usage *use = lang_slot_use(frame, slot);
  if (use->current) {
    lang_diag *diag =
        lang_error(elab, use->kind == LANG_USE_READ ? LANG_W_WHOLE_AFTER_READ : LANG_W_WHOLE_TWICE, span, slot->path);
    if (use->kind != LANG_USE_READ) lang_note_add(elab, diag, use->span, "the first time is here");
    return;
  }
  if (slot->window || value.kind != LANG_V_TENSOR || !value.tensor->value->type.rank) {
    lang_error(elab, LANG_W_WHOLE_FORM, span, slot->path, lang_value_describe(elab->arena, value));
    return;
  }
  ir_dim rows = over_dim(frame, slot);
  if (!rows) rows = value.tensor->value->type.dims[0];
  const ir_symbol *seq = lang_dim_seq(rows, elab->module->dims);
  if (!seq) {
    lang_error(elab, LANG_W_STATE_OVER, span, slot->path, ir_dim_print(elab->arena, rows));
    return;
  }
  ir_type wanted = rows_type(slot, slot->dtype, rows);
  lang_tensor_value *tensor = of_type(frame, slot, value, &wanted, span);
  if (!tensor) return;
  lang_event_add(frame, seq, LANG_W_WHOLE_GROWS, span, slot->path);
  if (!slot->symbol) slot->symbol = ir_dim_as_symbol(rows);
  if (frame->function->step) {
    lang_state_rows_param(frame, slot, wanted, span);
    ir_dim_bounds(rows, &slot->least, &slot->most);
  }
  take_value(frame, slot, tensor, tensor->latest, span);
}

void lang_state_write(lang_frame *frame, lang_slot *slot, lang_value value, lang_span span) {
  if (lang_value_void(value) || !frame->function) return;
  if (!lang_state_may_change(frame, slot, slot->over != NULL, span)) return;
  if (slot->over) {
    write_whole(frame, slot, value, span);
    return;
  }
  ir_type wanted = ir_type_make(slot->dtype, slot->rank, slot->dims);
  lang_tensor_value *tensor = of_type(frame, slot, value, &wanted, span);
  if (!tensor) return;
  if (frame->function->step || frame->function->threaded) fixed_param(frame, slot, span);
  take_value(frame, slot, tensor, lang_region_carries(frame, slot) ? tensor->latest : &lang_latest_any, span);
}
