// Statements. A body is read twice: once to lay out its instance (declarations only, lang_layout_body), and once for
// each graph function that it becomes (lang_run_body). `for` and `if` are decided here and leave nothing behind in the
// graph.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

// ---- lists of values

bool lang_unpack(lang_frame *frame, lang_value value, int count, lang_value *out, lang_span span) {
  if (count == 1 || lang_value_void(value)) {
    for (int i = 0; i < count; i++) out[i] = value;
    return true;
  }
  bool parts = value.kind == LANG_V_TUPLE || value.kind == LANG_V_LIST;
  if (!parts || value.list.count != count) {
    weir_arena *arena = frame->elab->arena;
    lang_error(frame->elab, LANG_W_VALUE_COUNT, span, weir_arena_printf(arena, "%d", count),
               parts ? weir_arena_printf(arena, "%" PRId64, value.list.count) : lang_value_describe(arena, value));
    return false;
  }
  memcpy(out, value.list.items, (size_t)count * sizeof *out);
  return true;
}

int64_t lang_iterations(lang_frame *frame, lang_value value, lang_span span) {
  if (value.kind == LANG_V_LIST) return value.list.count;
  int64_t count;
  if (value.kind == LANG_V_RANGE && value.list.items[0].kind == LANG_V_INT && value.list.items[1].kind == LANG_V_INT &&
      !__builtin_sub_overflow(value.list.items[1].i, value.list.items[0].i, &count)) {
    return count < 0 ? 0 : count;
  }
  bool size = value.kind == LANG_V_RANGE || value.kind == LANG_V_DIM;
  lang_error(frame->elab, size ? LANG_W_RUN_TIME_LOOP : LANG_W_NOT_ITERABLE, span,
             lang_value_describe(frame->elab->arena, value));
  return -1;
}

bool lang_iterate(lang_frame *frame, lang_value value, int64_t index, lang_value *out) {
  (void)frame;
  *out = value.kind == LANG_V_LIST ? value.list.items[index] : lang_value_int(value.list.items[0].i + index);
  return true;
}

void lang_let_run(lang_frame *frame, const lang_let *let, lang_scope *scope) {
  lang_value *parts = WEIR_NEW_ARRAY(frame->elab->arena, lang_value, let->names.count);
  lang_value value = lang_eval(frame, let->value);
  if (value.kind == LANG_V_LATER) return;
  if (value.kind == LANG_V_TENSOR || value.kind == LANG_V_TUPLE || value.kind == LANG_V_NONE) {
    lang_error(frame->elab, LANG_W_LET_RUN_TIME, let->value->span, lang_value_describe(frame->elab->arena, value));
    value = lang_value_error();
  }
  if (!lang_unpack(frame, value, let->names.count, parts, let->value->span)) {
    for (int i = 0; i < let->names.count; i++) parts[i] = lang_value_error();
  }
  for (int i = 0; i < let->names.count; i++) {
    const lang_name *name = &let->names.data[i];
    if (lang_scope_here(scope, name->text)) lang_error(frame->elab, LANG_W_NAME_TWICE, name->span, name->text);
    lang_spend(frame->elab, 1 + scope->count / 64, name->span);
    lang_scope_add(frame->elab->arena, scope, name->text, parts[i], LANG_BINDING_CONST, name->span);
  }
}

// ---- laying out

static void declare_dims(lang_frame *frame, const lang_dim *dim) {
  lang_elab *elab = frame->elab;
  if (frame->self && lang_model_dim(frame->self, dim->names.data[0].text)) return;  // comes with each call
  for (int i = 0; i < dim->names.count; i++) {
    const lang_name *name = &dim->names.data[i];
    lang_value value;
    if (dim->value) {
      value = lang_dim_derive(frame, name->text, dim);
      if (value.kind == LANG_V_LATER) continue;
    } else if (frame->self && frame->self->model) {
      value =
          lang_value_of_dim(ir_dim_symbol(elab->module->dims, lang_dim_declare(frame, name->text, dim, name->span)));
    } else {
      lang_error(elab, LANG_W_DIM_IN_BLOCK, name->span, name->text);
      value = lang_value_error();
    }
    if (lang_scope_here(frame->scope, name->text)) lang_error(elab, LANG_W_NAME_TWICE, name->span, name->text);
    lang_scope_add(elab->arena, frame->scope, name->text, value, LANG_BINDING_CONST, name->span);
  }
}

static void declare_members(lang_frame *frame, const lang_stmt *stmt) {
  for (int i = 0; i < stmt->member.paths.count; i++) {
    const lang_path *path = &stmt->member.paths.data[i];
    lang_value value = lang_eval(frame, stmt->member.value);
    lang_space *space = lang_space_insert(frame, path);
    if (!space) continue;
    space->has_value = true;
    space->value = value;
    const char *prefix = frame->self->path;
    lang_place(frame->elab, value,
               *prefix ? weir_arena_printf(frame->elab->arena, "%s.%s", prefix, path->text) : path->text,
               stmt->member.value->span);
    bool member = value.kind == LANG_V_INSTANCE || value.kind == LANG_V_LIST;
    if (!member) space->value = lang_value_error();
  }
}

static const lang_body *chosen_arm(lang_frame *frame, const lang_stmt *stmt, bool *out_decided) {
  *out_decided = true;
  for (int i = 0; i < stmt->branch.arms.count; i++) {
    bool truth;
    *out_decided = lang_truth(frame, stmt->branch.arms.data[i].condition, &truth);
    if (!*out_decided) return NULL;
    if (truth) return &stmt->branch.arms.data[i].body;
  }
  return stmt->branch.has_else ? &stmt->branch.otherwise : NULL;
}

void lang_layout_body(lang_frame *frame, const lang_body *body) {
  if (!lang_enter(frame->elab, body->span)) return;
  for (int i = 0; i < body->stmts.count && !frame->elab->exhausted; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    bool decided;
    switch (stmt->kind) {
      case LANG_STMT_LET:
        lang_let_run(frame, &stmt->let, frame->scope);
        break;
      case LANG_STMT_DIM:
        declare_dims(frame, &stmt->dim);
        break;
      case LANG_STMT_PARAM:
      case LANG_STMT_STATE:
        lang_slots_declare(frame, stmt);
        break;
      case LANG_STMT_MEMBER:
        declare_members(frame, stmt);
        break;
      case LANG_STMT_IF: {
        const lang_body *arm = chosen_arm(frame, stmt, &decided);
        frame->arms++;
        if (arm) lang_layout_body(frame, arm);
        frame->arms--;
        break;
      }
      default:
        break;
    }
  }
  lang_leave(frame->elab);
}

// ---- assignment

// Whether the name belongs to the body that is run; else it lies outside of the region.
static bool is_inside(const lang_frame *frame, const char *name) {
  for (lang_scope *scope = frame->scope; scope; scope = scope->parent) {
    if (lang_scope_here(scope, name)) return true;
    if (scope == frame->locals) return false;
  }
  return false;
}

void lang_set_local(lang_frame *frame, const lang_name *name, lang_value value) {
  lang_binding *bound = lang_scope_find(frame->scope, name->text);
  lang_elab *elab = frame->elab;
  if (value.kind == LANG_V_TENSOR && !value.tensor->value->name && value.tensor->value->def) {
    value.tensor->value->name = name->text;
  }
  bool outside = frame->region && bound && bound->kind == LANG_BINDING_LOCAL && !is_inside(frame, name->text);
  if (outside && frame->region->kind == LANG_REGION_SCAN) {
    lang_diag *diag = lang_error(elab, LANG_W_NOT_CARRIED, name->span, name->text);
    lang_note_add(elab, diag, bound->span, "it has a value from here");
    return;
  }
  if (bound && bound->kind == LANG_BINDING_LOCAL && !outside) {
    bound->value = value;
    return;
  }
  if (bound && !outside) {
    lang_diag *diag = lang_error(elab, LANG_W_NOT_ASSIGNABLE, name->span, name->text);
    lang_note_add(elab, diag, bound->span, "declared here");
    return;
  }
  lang_spend(elab, 1 + frame->locals->count / 64, name->span);
  lang_scope_add(elab->arena, frame->locals, name->text, value, LANG_BINDING_LOCAL, name->span);
}

// The member or slot that a target names, or null.
static lang_space *target_space(lang_frame *frame, const lang_path *path) {
  if (!frame->self || !frame->self->space || lang_scope_find(frame->scope, path->parts.data[0].text)) return NULL;
  lang_space *at = frame->self->space;
  for (int i = 0; at && i < path->parts.count; i++) at = lang_space_find(at, path->parts.data[i].text);
  return at;
}

static void assign_one(lang_frame *frame, const lang_target *target, lang_value value, lang_span span) {
  lang_elab *elab = frame->elab;
  const lang_space *space = target_space(frame, &target->path);
  if (value.kind == LANG_V_NONE) {
    lang_error(elab, LANG_W_NO_RESULT, span);
    value = lang_value_error();
  }
  if (value.kind == LANG_V_TENSOR && value.tensor->state) {
    lang_error(elab, LANG_W_STATE_SECOND_NAME, span, value.tensor->state->path);
    value = lang_value_error();
  }
  if (space && space->slot && space->slot->kind == LANG_SLOT_STATE) {
    lang_state_write(frame, space->slot, value, span);
  } else if (space && space->slot) {
    lang_error(elab, LANG_W_PARAM_ASSIGNED, target->span, target->path.text);
  } else if (space && space->has_value && space->value.kind == LANG_V_ERROR) {
    return;  // a state that was reported where it is declared
  } else if (space) {
    lang_diag *diag = lang_error(elab, LANG_W_NOT_ASSIGNABLE, target->span, target->path.text);
    lang_note_add(elab, diag, space->span, "declared here");
  } else if (target->path.parts.count > 1) {
    lang_error(elab, LANG_W_NOT_ASSIGNABLE, target->span, target->path.text);
  } else {
    lang_set_local(frame, &target->path.parts.data[0], value);
  }
}

static void poison_target(lang_frame *frame, const lang_target *target) {
  const char *variable =
      target->indexed && target->subs.count ? lang_scan_variable(frame, target->subs.data[0].low) : NULL;
  if (variable) {
    lang_scan_row(frame, &target->path.parts.data[0], variable, lang_value_error(), target->span);
    return;
  }
  if (target->path.parts.count > 1 || target_space(frame, &target->path)) return;
  lang_binding *bound = lang_scope_find(frame->scope, target->path.text);
  if (bound && bound->kind == LANG_BINDING_LOCAL) bound->value = lang_value_error();
  if (!bound) {
    lang_scope_add(frame->elab->arena, frame->locals, target->path.text, lang_value_error(), LANG_BINDING_LOCAL,
                   target->span);
  }
}

// Value |i|; as index notation where its target has subscripts, which goes with one target for each value only.
static lang_value assigned_value(lang_frame *frame, const lang_targets *targets, const lang_exprs *values, int i) {
  const lang_expr *expr = values->data[i];
  if (values->count == targets->count && targets->data[i].indexed)
    return lang_index_value(frame, targets->data[i].subs.data, targets->data[i].subs.count, expr, expr->span);
  for (int k = 0; values->count != targets->count && k < targets->count; k++) {
    if (!targets->data[k].indexed) continue;
    lang_error(frame->elab, LANG_W_INDEX_TARGETS, targets->data[k].span);
    return lang_value_error();
  }
  return lang_eval(frame, expr);
}

static void assign(lang_frame *frame, const lang_stmt *stmt) {
  const lang_targets *targets = &stmt->assign.targets;
  const lang_exprs *values = &stmt->assign.values;
  const lang_subs *subs = &targets->data[0].subs;
  const char *variable = targets->count == 1 && values->count == 1 && subs->count > 0 &&
                                 subs->data[0].kind == LANG_SUB_INDEX && targets->data[0].path.parts.count == 1
                             ? lang_scan_variable(frame, subs->data[0].low)
                             : NULL;
  if (variable) {
    lang_value row = subs->count > 1 ? lang_index_value(frame, subs->data + 1, subs->count - 1, values->data[0],
                                                        values->data[0]->span)
                                     : lang_eval(frame, values->data[0]);
    lang_scan_row(frame, &targets->data[0].path.parts.data[0], variable, row, values->data[0]->span);
    return;
  }
  if (targets->count == 1 && values->count == 1 && lang_is_append(values->data[0])) {
    const lang_space *space = target_space(frame, &targets->data[0].path);
    if (space && space->slot && space->slot->kind == LANG_SLOT_STATE) {
      if (!lang_cond_append(frame, space->slot, targets->data[0].path.text, values->data[0]))
        lang_state_append(frame, space->slot, values->data[0]);
      return;
    }
  }
  lang_value *parts = WEIR_NEW_ARRAY(frame->elab->arena, lang_value, targets->count + values->count);
  for (int i = 0; i < values->count; i++) parts[i] = assigned_value(frame, targets, values, i);
  lang_span span = values->data[0]->span;
  if (values->count == targets->count) {
    for (int i = 0; i < targets->count; i++) assign_one(frame, &targets->data[i], parts[i], values->data[i]->span);
    return;
  }
  lang_value whole =
      values->count == 1 ? parts[0] : lang_value_list(frame->elab->arena, LANG_V_TUPLE, parts, values->count);
  if (!lang_unpack(frame, whole, targets->count, parts, span)) {
    for (int i = 0; i < targets->count; i++) parts[i] = lang_value_error();
  }
  for (int i = 0; i < targets->count; i++) assign_one(frame, &targets->data[i], parts[i], span);
}

// What cannot be run leaves its names behind without a value that anybody complains about.
void lang_poison_body(lang_frame *frame, const lang_body *body) {
  for (int i = 0; i < body->stmts.count; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    if (stmt->kind == LANG_STMT_ASSIGN) {
      for (int k = 0; k < stmt->assign.targets.count; k++) poison_target(frame, &stmt->assign.targets.data[k]);
    } else if (stmt->kind == LANG_STMT_IF) {
      for (int k = 0; k < stmt->branch.arms.count; k++) lang_poison_body(frame, &stmt->branch.arms.data[k].body);
      if (stmt->branch.has_else) lang_poison_body(frame, &stmt->branch.otherwise);
    } else if (stmt->kind == LANG_STMT_FOR) {
      lang_poison_body(frame, &stmt->loop.body);
    } else if (stmt->kind == LANG_STMT_SCAN) {
      lang_poison_body(frame, &stmt->scan.body);
    } else if (stmt->kind == LANG_STMT_COND) {
      lang_poison_body(frame, &stmt->cond.body);
      lang_poison_body(frame, &stmt->cond.otherwise);
    }
  }
}

// ---- control

static void run_for(lang_frame *frame, const lang_stmt *stmt) {
  lang_elab *elab = frame->elab;
  lang_value over = lang_eval(frame, stmt->loop.range), item;
  int64_t count = lang_value_void(over) ? -1 : lang_iterations(frame, over, stmt->loop.range->span);
  if (count < 0) {
    lang_poison_body(frame, &stmt->loop.body);
    return;
  }
  const lang_names *names = &stmt->loop.names;
  lang_scope *outer = frame->scope;
  lang_value *parts = WEIR_NEW_ARRAY(elab->arena, lang_value, names->count);
  frame->loops++;
  for (int64_t i = 0; i < count && !frame->returned; i++) {
    if (!lang_spend(elab, 1, stmt->span)) break;
    frame->scope = lang_scope_create(elab->arena, outer);
    lang_iterate(frame, over, i, &item);
    if (!lang_unpack(frame, item, names->count, parts, stmt->loop.range->span)) break;
    for (int k = 0; k < names->count; k++) {
      lang_scope_add(elab->arena, frame->scope, names->data[k].text, parts[k], LANG_BINDING_CONST, names->data[k].span);
    }
    lang_run_body(frame, &stmt->loop.body);
  }
  frame->loops--;
  frame->scope = outer;
}

static void run_if(lang_frame *frame, const lang_stmt *stmt) {
  bool decided;
  const lang_body *arm = chosen_arm(frame, stmt, &decided);
  if (!decided) {
    for (int k = 0; k < stmt->branch.arms.count; k++) lang_poison_body(frame, &stmt->branch.arms.data[k].body);
    if (stmt->branch.has_else) lang_poison_body(frame, &stmt->branch.otherwise);
  } else if (arm) {
    lang_scope *outer = frame->scope;
    frame->scope = lang_scope_create(frame->elab->arena, outer);
    frame->arms++;
    lang_run_body(frame, arm);
    frame->arms--;
    frame->scope = outer;
  }
}

static void run_return(lang_frame *frame, const lang_stmt *stmt) {
  const lang_exprs *values = &stmt->ret.values;
  lang_value *parts = WEIR_NEW_ARRAY(frame->elab->arena, lang_value, values->count);
  bool failed = false;
  if (frame->region) {
    lang_error(frame->elab, LANG_W_RETURN_IN_REGION, stmt->span);
    return;
  }
  for (int i = 0; i < values->count; i++) {
    parts[i] = lang_eval(frame, values->data[i]);
    failed = failed || lang_value_void(parts[i]);
  }
  frame->result = failed               ? lang_value_error()
                  : values->count == 1 ? parts[0]
                                       : lang_value_list(frame->elab->arena, LANG_V_TUPLE, parts, values->count);
  frame->result_span = lang_span_join(values->data[0]->span, values->data[values->count - 1]->span);
  frame->returned = true;
}

static bool let_is_laid_out(const lang_frame *frame, const lang_let *let) {
  return frame->main && !frame->loops && !frame->region && lang_scope_here(frame->self->scope, let->names.data[0].text);
}

static void run_stmt(lang_frame *frame, const lang_stmt *stmt) {
  switch (stmt->kind) {
    case LANG_STMT_LET:
      if (!let_is_laid_out(frame, &stmt->let)) lang_let_run(frame, &stmt->let, frame->scope);
      break;
    case LANG_STMT_DIM:
      if (!lang_scope_find(frame->scope, stmt->dim.names.data[0].text)) declare_dims(frame, &stmt->dim);
      break;
    case LANG_STMT_ASSIGN:
      assign(frame, stmt);
      break;
    case LANG_STMT_CALL:
      lang_eval(frame, stmt->call.call);
      break;
    case LANG_STMT_RETURN:
      run_return(frame, stmt);
      break;
    case LANG_STMT_FOR:
      run_for(frame, stmt);
      break;
    case LANG_STMT_IF:
      run_if(frame, stmt);
      break;
    case LANG_STMT_SCAN:
      lang_run_scan(frame, stmt);
      break;
    case LANG_STMT_COND:
      lang_run_cond(frame, stmt);
      break;
    case LANG_STMT_FN:
    case LANG_STMT_PARAM:
    case LANG_STMT_STATE:
    case LANG_STMT_MEMBER:
      break;
  }
}

void lang_run_body(lang_frame *frame, const lang_body *body) {
  if (!lang_enter(frame->elab, body->span)) return;
  for (int i = 0; i < body->stmts.count && !frame->returned && !frame->elab->exhausted; i++)
    run_stmt(frame, body->stmts.data[i]);
  lang_leave(frame->elab);
}
