// Choices at run time: `cond` becomes a node that owns two regions (docs/design/regions.md). The two bodies are read
// one after the other from the same values; what both set, or one changes, comes out. What both append is appended
// behind it; other appends and rows assigned whole are refused where they stand (elab_state.c).
#include <string.h>

#include "compiler/lang/elab_control.h"

typedef struct {
  lang_slot *slot;
  lang_tensor_value *value;
} change;
typedef LANG_LIST(change) change_list;

typedef struct {
  lang_region *region;
  lang_scope *scope;
  change_list changes;
} branch;

// Runs one body from |before| and gives the states back as they were.
static void run_branch(lang_frame *frame, const lang_stmt *stmt, const lang_body *body, const lang_usage *before,
                       int count, branch *out) {
  lang_function *function = frame->function;
  out->region = lang_region_open(frame, LANG_REGION_COND);
  out->region->choice = stmt;
  lang_outer was = lang_body_enter(frame, out->region);
  out->scope = frame->scope;
  lang_run_body(frame, body);
  lang_body_leave(frame, was);
  lang_region_close(frame, out->region);
  for (int i = 0; i < function->uses.count; i++) {
    lang_usage *use = &function->uses.data[i];
    lang_tensor_value *current = i < count ? before[i].current : NULL;
    if (use->slot->kind != LANG_SLOT_STATE) continue;
    if (use->kind != LANG_USE_READ && use->current && use->current != current) {
      change c = {use->slot, use->current};
      LANG_PUSH(frame->elab->arena, &out->changes, c);
    }
    if (i < count) use->current = current, use->kind = before[i].kind, use->span = before[i].span;
    else if (use->kind != LANG_USE_READ) use->current = NULL, use->kind = LANG_USE_READ;
  }
}

typedef struct {
  lang_frame *frame;
  const lang_stmt *stmt;
  lang_tensor_value *condition;
  branch arms[2];
  LANG_LIST(lang_tensor_value *) values[2];  // what comes out, as each arm has it
  LANG_LIST(lang_name) names;                // of locals;
  LANG_LIST(lang_slot *) slots;              // of states, behind them
  bool failed;
} cond;

static lang_tensor_value *in_arm(cond *c, int arm, lang_value value, lang_value other, const lang_name *name) {
  lang_frame *frame = c->frame;
  lang_region *outside = frame->function->region;
  ir_value type = {.type = {.dtype = IR_f32}};
  lang_tensor_value real = {.value = &type};
  lang_tensor_value *like = other.kind == LANG_V_TENSOR ? other.tensor : other.kind == LANG_V_FLOAT ? &real : NULL;
  lang_region_enter(frame, c->arms[arm].region);
  lang_tensor_value *tensor = lang_carried_tensor(frame, value, like, name->text, name->span);
  lang_region_enter(frame, outside);
  return tensor;
}

// A local that both arms give: two values of one type, or one number.
static void give_local(cond *c, const lang_name *name, lang_value a, lang_value b) {
  lang_frame *frame = c->frame;
  if (lang_value_void(a) || lang_value_void(b)) {
    lang_set_local(frame, name, lang_value_error());
    return;
  }
  if (a.kind != LANG_V_TENSOR && b.kind != LANG_V_TENSOR && lang_value_equal(a, b)) {
    lang_set_local(frame, name, a);
    return;
  }
  lang_tensor_value *x = in_arm(c, 0, a, b, name), *y = in_arm(c, 1, b, a, name);
  if (x && y && !lang_carried_same(x, y)) {
    lang_diag *diag = lang_error(frame->elab, LANG_W_COND_TYPES, name->span, name->text,
                                 lang_tensor_text(frame->elab->arena, x), lang_tensor_text(frame->elab->arena, y));
    lang_note_add(frame->elab, diag, x->span, "it is %s here", lang_tensor_text(frame->elab->arena, x));
    lang_note_add(frame->elab, diag, y->span, "it is %s here", lang_tensor_text(frame->elab->arena, y));
    x = NULL;
  }
  if (!x || !y) {
    lang_set_local(frame, name, lang_value_error());
    return;
  }
  LANG_PUSH(frame->elab->arena, &c->names, *name);
  LANG_PUSH(frame->elab->arena, &c->values[0], x);
  LANG_PUSH(frame->elab->arena, &c->values[1], y);
}

static void give_locals(cond *c) {
  lang_frame *frame = c->frame;
  for (int arm = 0; arm < 2; arm++) {
    const lang_scope *scope = c->arms[arm].scope;
    for (int i = 0; i < scope->count; i++) {
      const lang_binding *mine = &scope->data[i];
      if (mine->kind != LANG_BINDING_LOCAL) continue;
      const lang_binding *theirs = lang_scope_here(c->arms[!arm].scope, mine->name);
      if (theirs && arm) continue;
      if (!theirs) theirs = lang_scope_find(frame->scope, mine->name);
      if (!theirs || theirs->kind != LANG_BINDING_LOCAL) continue;
      lang_name name = {mine->name, mine->span};
      if (arm) give_local(c, &name, theirs->value, mine->value);
      else give_local(c, &name, mine->value, theirs->value);
    }
  }
}

static lang_tensor_value *changed(const branch *arm, const lang_slot *slot) {
  for (int i = 0; i < arm->changes.count; i++) {
    if (arm->changes.data[i].slot == slot) return arm->changes.data[i].value;
  }
  return NULL;
}

static void give_state(cond *c, lang_slot *slot) {
  lang_frame *frame = c->frame;
  lang_tensor_value *values[2] = {changed(&c->arms[0], slot), changed(&c->arms[1], slot)};
  for (int arm = 0; arm < 2; arm++) {
    if (values[arm]) continue;
    values[arm] = lang_state_initial(frame, slot, c->stmt->span);
    lang_usage *use = lang_slot_use(frame, slot);
    if (use->kind == LANG_USE_READ && !lang_region_carries(frame, slot))
      use->before = true, use->before_span = c->stmt->span;
  }
  if (!values[0] || !values[1]) return;
  LANG_PUSH(frame->elab->arena, &c->slots, slot);
  LANG_PUSH(frame->elab->arena, &c->values[0], values[0]);
  LANG_PUSH(frame->elab->arena, &c->values[1], values[1]);
}

static void give_states(cond *c) {
  for (int i = 0; i < c->arms[0].changes.count; i++) give_state(c, c->arms[0].changes.data[i].slot);
  for (int i = 0; i < c->arms[1].changes.count; i++) {
    lang_slot *slot = c->arms[1].changes.data[i].slot;
    if (!changed(&c->arms[0], slot)) give_state(c, slot);
  }
}

static ir_node *build_cond(cond *c) {
  lang_frame *frame = c->frame;
  lang_region *outside = frame->function->region;
  for (int arm = 0; arm < 2; arm++) {
    lang_region_enter(frame, c->arms[arm].region);
    for (int i = 0; i < c->values[arm].count; i++)
      ir_function_add_result(c->arms[arm].region->ir, "", lang_capture_value(frame, c->values[arm].data[i]->value), -1);
  }
  lang_region_enter(frame, outside);
  if (!c->values[0].count) return NULL;
  return lang_region_build(frame, IR_OP_cond, c->arms[0].region, c->arms[1].region, &c->condition->value, 1, NULL, 0,
                           c->stmt->span);
}

static void put_results(cond *c, ir_node *node) {
  lang_frame *frame = c->frame;
  for (int i = 0; i < c->values[0].count; i++) {
    lang_tensor_value *operands[3] = {c->condition, c->values[0].data[i], c->values[1].data[i]};
    lang_tensor_value *out =
        node ? lang_carried_wrap(frame, node->results[i], operands[1], c->stmt->span) : operands[1];
    if (node) lang_check_latest(frame, operands, 3, out, c->stmt->cond.condition->span);
    if (i < c->names.count) {
      lang_set_local(frame, &c->names.data[i], node ? lang_of_tensor(out) : lang_value_error());
      continue;
    }
    lang_slot *slot = c->slots.data[i - c->names.count];
    lang_usage *use = lang_slot_use(frame, slot);
    use->current = out;
    if (!lang_region_carries(frame, slot)) use->current->latest = &lang_latest_any;
    use->kind = LANG_USE_WRITE;
    use->span = c->stmt->span;
  }
}

// ---- rows that both arms append

bool lang_is_append(const lang_expr *expr) {
  return expr->kind == LANG_EXPR_CALL && expr->call.callee->kind == LANG_EXPR_NAME &&
         !strcmp(expr->call.callee->name, "append");
}

// Whether each way through the body appends to |path|, in a statement that belongs to no loop.
static bool appends(const lang_body *body, const char *path) {
  for (int i = 0; i < body->stmts.count; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    if (stmt->kind == LANG_STMT_COND && appends(&stmt->cond.body, path) && appends(&stmt->cond.otherwise, path))
      return true;
    if (stmt->kind != LANG_STMT_ASSIGN || stmt->assign.targets.count != 1 || stmt->assign.values.count != 1) continue;
    const lang_target *target = &stmt->assign.targets.data[0];
    if (!target->indexed && !strcmp(target->path.text, path) && lang_is_append(stmt->assign.values.data[0]))
      return true;
  }
  return false;
}

static bool keep_rows(lang_frame *frame, lang_slot *slot, const char *path, lang_value rows, lang_span span) {
  lang_joint joint = {slot, path, {weir_arena_printf(frame->elab->arena, "append(%s)", path), span}};
  for (int i = 0; i < frame->region->joints.count; i++) {
    if (frame->region->joints.data[i].slot != slot) continue;
    lang_error(frame->elab, LANG_W_APPENDED_TWICE, span, slot->path);
    return true;
  }
  LANG_PUSH(frame->elab->arena, &frame->region->joints, joint);
  lang_set_local(frame, &joint.hidden, rows);
  return true;
}

static bool is_joint(const lang_frame *frame, const char *path) {
  const lang_region *region = frame->region;
  return region && frame->function && frame->function->region == region && region->kind == LANG_REGION_COND &&
         region->choice && appends(&region->choice->cond.body, path) && appends(&region->choice->cond.otherwise, path);
}

bool lang_cond_append(lang_frame *frame, lang_slot *slot, const char *path, const lang_expr *expr) {
  if (!slot->over || slot->whole || !is_joint(frame, path)) return false;
  return keep_rows(frame, slot, path, lang_state_append_args(frame, slot, expr), expr->span);
}

// The rows that the cond has chosen are appended behind it, or wait in the arm that the cond stands in.
static void append_chosen(cond *c) {
  lang_frame *frame = c->frame;
  for (int i = 0; i < c->arms[0].region->joints.count; i++) {
    const lang_joint *joint = &c->arms[0].region->joints.data[i];
    const lang_binding *rows = lang_scope_find(frame->scope, joint->hidden.text);
    lang_value value = rows ? rows->value : lang_value_error();
    if (!is_joint(frame, joint->path)) lang_state_append_rows(frame, joint->slot, value, joint->hidden.span);
    else keep_rows(frame, joint->slot, joint->path, value, joint->hidden.span);
  }
}

static lang_tensor_value *read_choice(lang_frame *frame, const lang_expr *expr) {
  ir_value like_value = {.type = {.dtype = IR_bool}};
  lang_tensor_value like = {.value = &like_value};
  lang_value v = lang_eval(frame, expr);
  if (lang_value_void(v)) return NULL;
  if (!frame->function) {
    lang_error(frame->elab, LANG_W_TENSOR_AT_BUILD_TIME, expr->span, "cond");
    return NULL;
  }
  lang_tensor_value *flag = v.kind == LANG_V_BOOL ? lang_tensor_of(frame, v, &like, expr->span) : NULL;
  if (v.kind == LANG_V_TENSOR && v.tensor->value->type.dtype == IR_bool && !v.tensor->value->type.rank) flag = v.tensor;
  if (!flag) lang_error(frame->elab, LANG_W_RUN_TIME_BOOL, expr->span, lang_value_describe(frame->elab->arena, v));
  return flag;
}

void lang_run_cond(lang_frame *frame, const lang_stmt *stmt) {
  cond c = {.frame = frame, .stmt = stmt};
  c.condition = read_choice(frame, stmt->cond.condition);
  if (!c.condition) {
    lang_poison_body(frame, &stmt->cond.body);
    lang_poison_body(frame, &stmt->cond.otherwise);
    return;
  }
  int count = frame->function->uses.count;
  lang_usage *before = WEIR_NEW_ARRAY(frame->elab->arena, lang_usage, count + 1);
  if (count) memcpy(before, frame->function->uses.data, (size_t)count * sizeof *before);
  if (!lang_spend(frame->elab, count / 4, stmt->span)) return;
  run_branch(frame, stmt, &stmt->cond.body, before, count, &c.arms[0]);
  run_branch(frame, stmt, &stmt->cond.otherwise, before, count, &c.arms[1]);
  give_locals(&c);
  give_states(&c);
  ir_node *node = build_cond(&c);
  put_results(&c, node);
  append_chosen(&c);
  if (node) return;
  lang_function_drop(c.arms[0].region->ir);
  lang_function_drop(c.arms[1].region->ir);
}
