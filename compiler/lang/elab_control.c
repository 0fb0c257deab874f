// Loops at run time: `scan` becomes a node that owns a region (docs/design/regions.md); and what it shares with `cond`.
//
// The body is read once, in a region whose parameters are the variable and what is carried: locals by name, states, and
// all fixed-shape states of a carried instance. While it is read those names mean the parameters; at its end they give
// the carries of the next turn. A row `y[t] = e` is kept in the body's scope under the name "y[t]", which no text can
// write, so that it passes through a cond like any local; the scan collects these.
#include <string.h>

#include "compiler/lang/elab_control.h"

// ---- values that enter or leave a region

lang_tensor_value *lang_carried_tensor(lang_frame *frame, lang_value value, const lang_tensor_value *like,
                                       const char *name, lang_span span) {
  if (value.kind == LANG_V_TENSOR) {
    lang_number_use(frame, value.tensor, span);
    return value.tensor;
  }
  if (lang_value_void(value)) return NULL;
  ir_value type = {.type = {.dtype = value.kind == LANG_V_FLOAT  ? IR_f32
                                     : value.kind == LANG_V_BOOL ? IR_bool
                                                                 : IR_i32}};
  lang_tensor_value own = {.value = &type};
  bool number = lang_value_is_number(value) || value.kind == LANG_V_BOOL || value.kind == LANG_V_DIM;
  if (number) return lang_tensor_of(frame, value, like ? like : &own, span);
  lang_error(frame->elab, LANG_W_NOT_CARRIED_VALUE, span, name, lang_value_describe(frame->elab->arena, value));
  return NULL;
}

bool lang_carried_same(const lang_tensor_value *a, const lang_tensor_value *b) {
  return ir_type_equal(&a->value->type, &b->value->type) && a->is_f == b->is_f;
}

lang_tensor_value *lang_carried_wrap(lang_frame *frame, ir_value *value, const lang_tensor_value *like,
                                     lang_span span) {
  lang_tensor_value *tensor = lang_wrap(frame, value, like->is_f, span).tensor;
  memcpy(tensor->labels, like->labels, sizeof tensor->labels);
  tensor->latest = like->latest;
  return tensor;
}

lang_outer lang_body_enter(lang_frame *frame, lang_region *region) {
  lang_outer was = {frame->scope, frame->locals, frame->region};
  frame->scope = frame->locals = lang_scope_create(frame->elab->arena, frame->scope);
  frame->region = region;
  return was;
}

void lang_body_leave(lang_frame *frame, lang_outer was) {
  frame->scope = was.scope;
  frame->locals = was.locals;
  frame->region = was.region;
}

// ---- scan: what is carried

typedef struct {
  const lang_name *name;  // of a local, else null
  lang_slot *slot;        // of a state, else null
  lang_span span;
  lang_tensor_value *initial, *inner, *final;
} carry;
typedef LANG_LIST(carry) carry_list;

typedef struct {
  lang_frame *frame;
  const lang_stmt *stmt;
  ir_dim dim;               // turns
  int64_t low;              // the variable's first value
  const ir_symbol *symbol;  // seq that it runs over, or null
  carry_list carries;
  const ir_symbol *spread;  // of latest values that decide on turns, or enter a carry in the body; or null
  lang_span spread_span;
  bool failed;
} scan;

static void carry_state(scan *s, lang_slot *slot, lang_span span) {
  for (int i = 0; i < s->carries.count; i++) {
    if (s->carries.data[i].slot != slot) continue;
    lang_error(s->frame->elab, LANG_W_CARRIED_TWICE, span, slot->path);
    s->failed = true;
    return;
  }
  if (!lang_state_may_change(s->frame, slot, false, span)) {
    s->failed = true;
    return;
  }
  carry c = {.slot = slot, .span = span, .initial = lang_state_initial(s->frame, slot, span)};
  if (!c.initial) s->failed = true;
  LANG_PUSH(s->frame->elab->arena, &s->carries, c);
}

// All states of fixed shape below an instance or a list of them. False if the value is neither.
static bool carry_instance(scan *s, lang_value value, lang_span span) {
  lang_elab *elab = s->frame->elab;
  lang_listing listing = {0};
  lang_buffer ignored = {.arena = elab->arena};
  if (value.kind != LANG_V_INSTANCE && value.kind != LANG_V_LIST) return false;
  lang_list_begin(elab);
  lang_list_value(elab, value, NULL, &listing, &ignored);
  bool any = false;
  for (int i = 0; i < listing.slots.count; i++) {
    lang_slot *slot = listing.slots.data[i];
    if (slot->kind != LANG_SLOT_STATE || slot->over) continue;
    carry_state(s, slot, span);
    any = true;
  }
  if (!any && listing.slots.count) {
    lang_error(elab, LANG_W_NOTHING_TO_CARRY, span, lang_value_print(elab->arena, value));
    s->failed = true;
  }
  return true;
}

static void carry_local(scan *s, const lang_name *name, lang_value value) {
  carry c = {.name = name, .span = name->span};
  c.initial = lang_carried_tensor(s->frame, value, NULL, name->text, name->span);
  if (!c.initial) s->failed = true;
  if (value.kind == LANG_V_TENSOR && value.tensor->state) {
    lang_error(s->frame->elab, LANG_W_STATE_SECOND_NAME, name->span, value.tensor->state->path);
    s->failed = true;
  }
  LANG_PUSH(s->frame->elab->arena, &s->carries, c);
}

static void carry_name(scan *s, const lang_name *name) {
  lang_frame *frame = s->frame;
  const lang_binding *bound = lang_scope_find(frame->scope, name->text);
  lang_space *space =
      !bound && frame->self && frame->self->space ? lang_space_find(frame->self->space, name->text) : NULL;
  if (bound && bound->kind == LANG_BINDING_LOCAL) {
    carry_local(s, name, bound->value);
  } else if (space && space->slot && space->slot->kind == LANG_SLOT_STATE && !space->slot->over) {
    carry_state(s, space->slot, name->span);
  } else if (bound && lang_value_void(bound->value)) {
    s->failed = true;
  } else if (!(bound && carry_instance(s, bound->value, name->span)) &&
             !(space && space->has_value && carry_instance(s, space->value, name->span))) {
    lang_diag *diag = lang_error(frame->elab, LANG_W_BAD_CARRY, name->span, name->text);
    if (space && space->slot && space->slot->over)
      lang_note_add(frame->elab, diag, space->span, "it has rows: append to it outside of the scan");
    else if (space) lang_note_add(frame->elab, diag, space->span, "declared here");
    s->failed = true;
  }
}

// ---- scan: its range

static bool read_range(scan *s) {
  lang_frame *frame = s->frame;
  lang_elab *elab = frame->elab;
  const lang_expr *expr = s->stmt->scan.range;
  lang_value v = lang_eval(frame, expr);
  if (lang_value_void(v)) return false;
  if (v.kind == LANG_V_RANGE && v.list.items[0].kind == LANG_V_INT) {
    s->low = v.list.items[0].i;
    v = lang_arithmetic(frame, LANG_OP_SUB, v.list.items[1], v.list.items[0], expr->span);
    if (v.kind == LANG_V_INT && v.i < 0) v.i = 0;
  }
  if (lang_value_void(v)) return false;
  if (v.kind == LANG_V_INT && v.i >= 0) s->dim = ir_dim_const(elab->module->dims, v.i);
  if (v.kind == LANG_V_DIM) s->dim = v.dim;
  int64_t turns = 0, end;
  bool fits = s->low == (int32_t)s->low &&
              (!s->dim || !ir_dim_is_const(s->dim, &turns) || (weir_add_i64(s->low, turns, &end) && end <= INT32_MAX));
  if (!s->dim || !fits) {
    lang_error(elab, LANG_W_SCAN_RANGE, expr->span, lang_value_describe(elab->arena, v));
    return false;
  }
  if (lang_dim_batch(s->dim)) lang_batch_error(frame, expr->span, "scan", s->dim);
  s->symbol = lang_dim_seq(s->dim, elab->module->dims);
  return true;
}

// What holds only where the seq grows, and whether it does so here.
static void check_growth(scan *s) {
  lang_frame *frame = s->frame;
  lang_function *function = frame->function;
  const lang_span span = s->stmt->scan.range->span;
  bool states = false;
  for (int i = 0; i < s->carries.count; i++) {
    const carry *c = &s->carries.data[i];
    states = states || c->slot;
    if (c->name) lang_event_add(frame, s->symbol, LANG_W_LOCAL_CARRIED, c->span, c->name->text);
    else if (c->initial && c->initial->latest)
      lang_event_add(frame, s->symbol, LANG_W_LATEST_MEETS_ROWS, c->span, c->slot->path);
  }
  if (s->stmt->scan.condition) lang_event_add(frame, s->symbol, LANG_W_WHILE_GROWS, s->stmt->scan.condition->span, "");
  if (!states || !s->symbol || !function->step) return;
  if (ir_dim_as_symbol(s->dim) != s->symbol || lang_dim_history(s->dim, frame->elab->module->dims)) {
    lang_error(frame->elab, LANG_W_SCAN_DERIVED, span, ir_dim_print(frame->elab->arena, s->dim));
    return;
  }
  ir_symbol_past(frame->elab->module->dims, ir_symbol_find(frame->elab->module->dims, s->symbol->name));
  lang_growth growth = {s->symbol, s->stmt->span, true};
  LANG_PUSH(frame->elab->arena, &function->grown, growth);
}

// ---- scan: its body

static void index_range(ir_value *value, ir_dim dim) {
  int64_t lo, hi;
  ir_dim_bounds(dim, &lo, &hi);
  value->lo = 0;
  value->hi = hi > INT32_MAX ? INT32_MAX : hi > 0 ? hi - 1 : 0;
}

static void bind_variable(scan *s, ir_value *param) {
  lang_frame *frame = s->frame;
  ir_dim_table *dims = frame->elab->module->dims;
  const lang_name *name = &s->stmt->scan.name;
  lang_value v = lang_wrap(frame, param, false, name->span);
  if (s->low) v = lang_elementwise(frame, IR_OP_add, (lang_value[]){v, lang_value_int(s->low)}, 2, name->span);
  if (v.kind == LANG_V_TENSOR && s->low >= 0)
    v.tensor->index = s->low ? ir_dim_add(dims, s->dim, ir_dim_const(dims, s->low)) : s->dim;
  lang_scope_add(frame->elab->arena, frame->scope, name->text, v, LANG_BINDING_CONST, name->span);
}

// Opens a region with the variable and the carries under their names.
static lang_region *open_body(scan *s, lang_region_kind kind, lang_outer *was) {
  lang_frame *frame = s->frame;
  lang_elab *elab = frame->elab;
  lang_region *region = lang_region_open(frame, kind);
  ir_value *variable = lang_region_param(region, s->stmt->scan.name.text, ir_type_make(IR_i32, 0, NULL));
  region->over = s->symbol;
  region->variable = s->stmt->scan.name.text;
  index_range(variable, s->dim);
  int64_t size;
  if (!ir_dim_is_const(s->dim, &size)) variable->below = s->dim;
  *was = lang_body_enter(frame, region);
  for (int i = 0; i < s->carries.count; i++) {
    carry *c = &s->carries.data[i];
    const char *dot = c->slot ? strrchr(c->slot->path, '.') : NULL;
    const char *name = c->name ? c->name->text : dot ? dot + 1 : c->slot->path;
    ir_value *param = lang_region_param(region, name, c->initial->value->type);
    c->inner = lang_carried_wrap(frame, param, c->initial, c->span);
    if (c->name) {
      lang_scope_add(elab->arena, frame->scope, name, lang_of_tensor(c->inner), LANG_BINDING_LOCAL, c->span);
      continue;
    }
    c->inner->latest = NULL;
    lang_usage *use = lang_slot_use(frame, c->slot);
    use->current = c->inner;
    use->kind = LANG_USE_READ;
    LANG_PUSH(elab->arena, &region->carried, c->slot);
  }
  bind_variable(s, variable);
  return region;
}

static lang_region *read_condition(scan *s) {
  lang_frame *frame = s->frame;
  lang_outer was;
  const lang_expr *expr = s->stmt->scan.condition;
  lang_region *region = open_body(s, LANG_REGION_INDEX, &was);
  lang_value v = lang_eval(frame, expr);
  ir_value like_value = {.type = {.dtype = IR_bool}};
  lang_tensor_value like = {.value = &like_value}, *flag = NULL;
  if (!lang_value_void(v)) flag = v.kind == LANG_V_TENSOR ? v.tensor : lang_tensor_of(frame, v, &like, expr->span);
  if (flag && (flag->value->type.dtype != IR_bool || flag->value->type.rank)) {
    lang_error(frame->elab, LANG_W_RUN_TIME_BOOL, expr->span, lang_tensor_text(frame->elab->arena, flag));
    flag = NULL;
  }
  if (flag) ir_function_add_result(region->ir, "", lang_capture_value(frame, flag->value), -1);
  else s->failed = true;
  if (flag && flag->latest && flag->latest != s->symbol) {
    s->spread = flag->latest;
    s->spread_span = expr->span;
  }
  lang_body_leave(frame, was);
  lang_region_close(frame, region);
  return region;
}

// A carry that became a latest value in the body was one in every turn but the first: all that the loop gives is.
static void note_spread(scan *s, const carry *c, const char *name) {
  const ir_symbol *latest = lang_latest_join(c->inner->latest, c->final->latest);
  if (latest == c->inner->latest) return;
  if (s->symbol) lang_latest_event(s->frame, latest, s->symbol, c->span, name);
  if (latest == s->symbol) return;
  s->spread = lang_latest_join(s->spread, latest);
  s->spread_span = s->spread_span.first_line ? s->spread_span : c->span;
}

static void spread_latest(const scan *s, lang_tensor_value *out) {
  ir_value scalar = {.type = {.dtype = IR_f32}};
  lang_tensor_value by = {.value = &scalar, .latest = s->spread};
  if (s->spread) lang_check_latest(s->frame, (lang_tensor_value *[]){&by}, 1, out, s->spread_span);
}

// The value of a carry at the end of the body, of the type with which it began.
static void end_carry(scan *s, lang_region *region, carry *c) {
  lang_frame *frame = s->frame;
  lang_value v = lang_of_tensor(c->inner);
  if (c->name) v = lang_scope_here(frame->scope, c->name->text)->value;
  else if (lang_slot_use(frame, c->slot)->current) v = lang_of_tensor(lang_slot_use(frame, c->slot)->current);
  const char *name = c->name ? c->name->text : c->slot->path;
  c->final = lang_carried_tensor(frame, v, c->inner, name, c->span);
  if (!c->final) {
    s->failed = true;
  } else if (!lang_carried_same(c->final, c->inner)) {
    lang_diag *diag =
        lang_error(frame->elab, LANG_W_CARRY_TYPE, c->span, name, lang_tensor_text(frame->elab->arena, c->inner),
                   lang_tensor_text(frame->elab->arena, c->final));
    lang_note_add(frame->elab, diag, c->final->span, "it becomes this here");
    s->failed = true;
  } else {
    ir_function_add_result(region->ir, "", lang_capture_value(frame, c->final->value), -1);
    note_spread(s, c, name);
  }
}

typedef struct {
  lang_name name;
  lang_tensor_value *row;
} stacked;
typedef LANG_LIST(stacked) stacked_list;

static void end_rows(scan *s, lang_region *region, stacked_list *rows) {
  lang_frame *frame = s->frame;
  for (int i = 0; i < frame->scope->count; i++) {
    const lang_binding *bound = &frame->scope->data[i];
    const char *bracket = strchr(bound->name, '[');
    if (!bracket) continue;
    stacked y = {{weir_arena_strndup(frame->elab->arena, bound->name, (size_t)(bracket - bound->name)), bound->span},
                 NULL};
    y.row = lang_carried_tensor(frame, bound->value, NULL, y.name.text, bound->span);
    if (y.row && s->stmt->scan.condition) {
      lang_error(frame->elab, LANG_W_ROWS_WITH_WHILE, bound->span, y.name.text);
      y.row = NULL;
    }
    if (y.row && y.row->value->type.rank == IR_MAX_RANK) {
      lang_error(frame->elab, LANG_W_RANK, bound->span, weir_arena_printf(frame->elab->arena, "%d", IR_MAX_RANK));
      y.row = NULL;
    }
    if (y.row) ir_function_add_result(region->ir, "", lang_capture_value(frame, y.row->value), -1);
    else s->failed = true;
    LANG_PUSH(frame->elab->arena, rows, y);
  }
}

// ---- scan: what comes out

static void put_carry(scan *s, const carry *c, ir_value *result) {
  lang_frame *frame = s->frame;
  lang_usage *use = c->slot ? lang_slot_use(frame, c->slot) : NULL;
  lang_tensor_value *out = NULL;
  if (result) {
    out = lang_carried_wrap(frame, result, c->final, s->stmt->span);
    out->latest = lang_latest_join(out->latest, lang_latest_join(s->symbol, c->initial->latest));
    spread_latest(s, out);
  }
  if (c->name) {
    lang_set_local(frame, c->name, out ? lang_of_tensor(out) : lang_value_error());
    return;
  }
  if (lang_region_carries(frame, c->slot)) out = out ? out : c->initial;
  else if (out && !out->latest) out->latest = &lang_latest_any;
  use->current = out ? out : c->initial;
  use->kind = LANG_USE_WRITE;
  use->span = c->span;
  if (lang_region_carries(frame, c->slot)) return;
  if (s->symbol && frame->function->step) {
    if (c->slot->symbol && c->slot->symbol != s->symbol)
      lang_error(frame->elab, LANG_W_STATE_TWO_DIMS, c->span, c->slot->path, s->symbol->name, c->slot->symbol->name);
    c->slot->symbol = s->symbol;
  }
  if (s->symbol && !use->scanned) use->scanned = s->symbol;
  else if (!use->before) use->before = true, use->before_span = c->span;
}

static void put_rows(scan *s, const stacked_list *rows, ir_node *node) {
  lang_frame *frame = s->frame;
  for (int i = 0; i < rows->count; i++) {
    const stacked *y = &rows->data[i];
    lang_value v = lang_value_error();
    if (node) {
      v = lang_wrap(frame, node->results[s->carries.count + i], y->row->is_f, y->name.span);
      memcpy(v.tensor->labels + 1, y->row->labels, (IR_MAX_RANK - 1) * sizeof *y->row->labels);
      v.tensor->latest = y->row->latest;
      if (s->symbol && y->row->latest) lang_latest_event(frame, y->row->latest, s->symbol, y->name.span, y->name.text);
      if (s->symbol && y->row->latest == s->symbol) v.tensor->latest = NULL;
      spread_latest(s, v.tensor);
    }
    lang_set_local(frame, &y->name, v);
  }
}

static ir_node *build_scan(scan *s, lang_region *body, lang_region *condition) {
  lang_frame *frame = s->frame;
  int count = s->carries.count;
  if (s->failed || !body->ir->result_count) return NULL;
  ir_value **operands = WEIR_NEW_ARRAY(frame->elab->arena, ir_value *, count + 1);
  for (int i = 0; i < count; i++) operands[i] = s->carries.data[i].initial->value;
  ir_attr attrs[2] = {ir_attr_dim(IR_ATTR_dim, s->dim), ir_attr_int(IR_ATTR_carries, count)};
  return lang_region_build(frame, IR_OP_scan, body, condition, operands, count, attrs, 2, s->stmt->span);
}

// A body that gives nothing leaves nothing behind.
static void drop_body(scan *s, lang_region *body, lang_region *condition) {
  lang_function_drop(body->ir);
  if (condition) lang_function_drop(condition->ir);
  if (s->failed) lang_poison_body(s->frame, &s->stmt->scan.body);
}

void lang_run_scan(lang_frame *frame, const lang_stmt *stmt) {
  scan s = {.frame = frame, .stmt = stmt};
  lang_outer was;
  stacked_list rows = {0};
  if (!frame->function) {
    lang_error(frame->elab, LANG_W_TENSOR_AT_BUILD_TIME, stmt->span, "scan");
    s.failed = true;
  } else if (!read_range(&s)) {
    s.failed = true;
  }
  for (int i = 0; i < stmt->scan.carries.count && frame->function; i++) carry_name(&s, &stmt->scan.carries.data[i]);
  if (s.failed) {
    lang_poison_body(frame, &stmt->scan.body);
    return;
  }
  check_growth(&s);
  lang_region *condition = stmt->scan.condition ? read_condition(&s) : NULL;
  lang_region *body = open_body(&s, LANG_REGION_SCAN, &was);
  lang_run_body(frame, &stmt->scan.body);
  for (int i = 0; i < s.carries.count; i++) end_carry(&s, body, &s.carries.data[i]);
  end_rows(&s, body, &rows);
  lang_body_leave(frame, was);
  lang_region_close(frame, body);
  ir_node *node = build_scan(&s, body, condition);
  for (int i = 0; i < s.carries.count; i++) put_carry(&s, &s.carries.data[i], node ? node->results[i] : NULL);
  put_rows(&s, &rows, node);
  if (!node) drop_body(&s, body, condition);
}
