// What can be said of a declaration alone, without an instance: every name means something, roles are roles, entries
// never say `f`, members stand outside of loops, and what this version gives no meaning is refused at its place. All
// files of a program are checked, also what no model uses; elaboration stays silent about names that were reported
// here.
#include <string.h>

#include "compiler/lang/elab_names.h"

// ---- types and signatures

static ir_role role_of(lang_checker *c, const char *name) {
  ir_role role = IR_ROLE_PLAIN;
  for (int i = 0; c->model && i < c->model->body.stmts.count; i++) {
    const lang_stmt *stmt = c->model->body.stmts.data[i];
    for (int k = 0; stmt->kind == LANG_STMT_DIM && k < stmt->dim.names.count; k++) {
      if (strcmp(stmt->dim.names.data[k].text, name) != 0) continue;
      if (stmt->dim.role.text) lang_role_find(stmt->dim.role.text, &role);
      return role;
    }
  }
  const lang_symbol *symbol = lang_program_find_dim(c->elab->program, c->file, name);
  if (symbol && symbol->item->dim.role.text) lang_role_find(symbol->item->dim.role.text, &role);
  return role;
}

static void check_roles(lang_checker *c, const lang_type *type) {
  bool seq = false, batch = false;
  for (int i = 0; i < type->subs.count; i++) {
    const lang_sub *sub = &type->subs.data[i];
    if (sub->kind != LANG_SUB_INDEX || sub->low->kind != LANG_EXPR_NAME) continue;
    ir_role role = role_of(c, sub->low->name);
    seq = seq || role == IR_ROLE_SEQ;
    batch = batch || role == IR_ROLE_BATCH;
    if (role == IR_ROLE_BATCH && i > 0) lang_error(c->elab, LANG_W_BATCH_NOT_FIRST, sub->span, sub->low->name);
  }
  if (seq && batch) lang_error(c->elab, LANG_W_SEQ_AND_BATCH, type->span, lang_span_text(c->elab, type->span));
}

static void check_type(lang_checker *c, const lang_type *type) {
  if (!type) return;
  if (type->kind == LANG_TYPE_LIST) {
    check_type(c, type->element);
  } else if (type->kind == LANG_TYPE_TENSOR) {
    check_roles(c, type);
    lang_check_subs(c, &type->subs, true);
  }
}

// New dims of a signature: bare names that mean nothing else.
static void add_fresh_dims(lang_checker *c, const lang_type *type) {
  if (!type || type->kind != LANG_TYPE_TENSOR) return;
  for (int i = 0; i < type->subs.count; i++) {
    const lang_sub *sub = &type->subs.data[i];
    if (sub->kind != LANG_SUB_INDEX || sub->low->kind != LANG_EXPR_NAME || !strcmp(sub->low->name, "_")) continue;
    const char *name = sub->low->name;
    if (lang_known_find(c->scope, name) || lang_program_find_dim(c->elab->program, c->file, name)) continue;
    if (!lang_program_find(c->elab->program, c->file, name)) lang_known_add(c, c->scope, name, sub->span, true);
  }
}

static void check_params(lang_checker *c, const lang_params *params, bool entry) {
  for (int i = 0; i < params->count; i++) {
    const lang_param *param = &params->data[i];
    check_type(c, param->type);
    if (entry && lang_type_is_tensor(param->type) && !strcmp(param->type->name.text, "f")) {
      lang_error(c->elab, LANG_W_ENTRY_F, param->type->name.span);
    }
    if (param->range) lang_check_expr(c, param->range);
    if (param->value) lang_check_value(c, param->value);
  }
}

static void check_twice(lang_checker *c, const lang_params *params) {
  lang_known_names *seen = lang_known_push(c);
  for (int i = 0; i < params->count; i++) {
    const lang_name *name = &params->data[i].name;
    if (lang_known_here(seen, name->text)) lang_error(c->elab, LANG_W_NAME_TWICE, name->span, name->text);
    lang_known_add(c, seen, name->text, name->span, false);
  }
  lang_known_pop(c);
}

static void check_signature(lang_checker *c, const lang_signature *signature, bool entry) {
  check_twice(c, &signature->params);
  for (int i = 0; i < signature->params.count; i++) add_fresh_dims(c, signature->params.data[i].type);
  for (int i = 0; i < signature->params.count; i++) {
    const lang_name *name = &signature->params.data[i].name;
    lang_known_add(c, c->scope, name->text, name->span, false);
  }
  check_params(c, &signature->params, entry);
  check_type(c, signature->type);
  if (entry && lang_type_is_tensor(signature->type) && !strcmp(signature->type->name.text, "f")) {
    lang_error(c->elab, LANG_W_ENTRY_F, signature->type->name.span);
  }
  if (signature->range) lang_check_expr(c, signature->range);
  check_params(c, &signature->results, entry);
}

static void report_single_uses(lang_checker *c, const lang_known_names *scope) {
  for (int i = 0; i < scope->count; i++) {
    const lang_known *dim = &scope->data[i];
    if (dim->fresh && dim->uses == 1) lang_error(c->elab, LANG_W_DIM_USED_ONCE, dim->span, dim->name);
  }
}

// ---- bodies

static void collect_shared(lang_checker *c, lang_known_names *set, const lang_body *body);

static void collect_stmt(lang_checker *c, lang_known_names *set, const lang_stmt *stmt) {
  const lang_paths *paths = stmt->kind == LANG_STMT_PARAM   ? &stmt->param.paths
                            : stmt->kind == LANG_STMT_STATE ? &stmt->state.paths
                                                            : &stmt->member.paths;
  switch (stmt->kind) {
    case LANG_STMT_LET:
      for (int i = 0; i < stmt->let.names.count; i++)
        lang_known_add(c, set, stmt->let.names.data[i].text, stmt->let.names.data[i].span, false);
      return;
    case LANG_STMT_DIM:
      for (int i = 0; i < stmt->dim.names.count; i++)
        lang_known_add(c, set, stmt->dim.names.data[i].text, stmt->dim.names.data[i].span, false);
      return;
    case LANG_STMT_FN:
      lang_known_add(c, set, stmt->fn.name.text, stmt->fn.name.span, false);
      lang_known_here(set, stmt->fn.name.text)->node = lang_mention_node(c->elab);
      return;
    case LANG_STMT_PARAM:
    case LANG_STMT_STATE:
    case LANG_STMT_MEMBER:
      for (int i = 0; i < paths->count; i++)
        lang_known_add(c, set, paths->data[i].parts.data[0].text, paths->data[i].span, false);
      return;
    case LANG_STMT_FOR:
      collect_shared(c, set, &stmt->loop.body);
      return;
    case LANG_STMT_IF:
      for (int i = 0; i < stmt->branch.arms.count; i++) collect_shared(c, set, &stmt->branch.arms.data[i].body);
      if (stmt->branch.has_else) collect_shared(c, set, &stmt->branch.otherwise);
      return;
    default:
      return;
  }
}

// Names that the whole body and its fns see: members, states, params, lets, dims, fns.
static void collect_shared(lang_checker *c, lang_known_names *set, const lang_body *body) {
  for (int i = 0; i < body->stmts.count; i++) collect_stmt(c, set, body->stmts.data[i]);
}

// A fn, an entry or a step of the body keeps its name.
static void assign_known(lang_checker *c, lang_known_names *set, const lang_name *name) {
  const lang_known *known = lang_known_find(c->scope, name->text);
  if (known && known->node < 0) return;
  if (known) {
    lang_diag *diag = lang_error(c->elab, LANG_W_NOT_ASSIGNABLE, name->span, name->text);
    lang_note_add(c->elab, diag, known->span, "this is '%s' already: give the local another name", name->text);
  }
  lang_known_add(c, set, name->text, name->span, false);
}

// Names that are assigned somewhere in the body.
static void collect_locals(lang_checker *c, lang_known_names *set, const lang_body *body) {
  for (int i = 0; i < body->stmts.count; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    switch (stmt->kind) {
      case LANG_STMT_ASSIGN:
        for (int k = 0; k < stmt->assign.targets.count; k++)
          assign_known(c, set, &stmt->assign.targets.data[k].path.parts.data[0]);
        break;
      case LANG_STMT_FOR:
        collect_locals(c, set, &stmt->loop.body);
        break;
      case LANG_STMT_SCAN:
        collect_locals(c, set, &stmt->scan.body);
        break;
      case LANG_STMT_COND:
        collect_locals(c, set, &stmt->cond.body);
        collect_locals(c, set, &stmt->cond.otherwise);
        break;
      case LANG_STMT_IF:
        for (int k = 0; k < stmt->branch.arms.count; k++) collect_locals(c, set, &stmt->branch.arms.data[k].body);
        if (stmt->branch.has_else) collect_locals(c, set, &stmt->branch.otherwise);
        break;
      default:
        break;
    }
  }
}

static void check_body(lang_checker *c, const lang_body *body);

static void check_fn(lang_checker *c, const lang_fn *fn, int node) {
  bool was_fn = c->in_fn, was_loop = c->in_loop;
  int was_node = c->node;
  c->node = node;
  lang_known_names *scope = lang_known_push(c);
  c->in_fn = true;
  c->in_loop = false;
  check_signature(c, &fn->signature, fn->kind != LANG_FN_PLAIN);
  collect_shared(c, scope, &fn->body);
  collect_locals(c, scope, &fn->body);
  lang_check_exprs(c, &fn->wheres);
  check_body(c, &fn->body);
  report_single_uses(c, scope);
  lang_known_pop(c);
  c->in_fn = was_fn;
  c->in_loop = was_loop;
  c->node = was_node;
}

// `y[n + 1] = ...` is refused as a whole where it is elaborated; its names are said to be indices until then.
static void add_misplaced(lang_checker *c, lang_known_names *indices, const lang_expr *expr) {
  if (expr->kind == LANG_EXPR_BINARY) {
    add_misplaced(c, indices, expr->binary.left);
    add_misplaced(c, indices, expr->binary.right);
  } else if (expr->kind == LANG_EXPR_NAME && !lang_known_find(c->scope, expr->name)) {
    lang_known_add(c, indices, expr->name, expr->span, false);
  }
}

static void check_target(lang_checker *c, const lang_target *target, lang_known_names *indices) {
  for (int i = 0; i < target->subs.count; i++) {
    const lang_sub *sub = &target->subs.data[i];
    if (sub->kind == LANG_SUB_BINDER) lang_known_add(c, indices, sub->name.text, sub->name.span, false);
    else if (sub->kind == LANG_SUB_INDEX && sub->low->kind == LANG_EXPR_NAME)
      lang_known_add(c, indices, sub->low->name, sub->span, false);
    else if (sub->kind == LANG_SUB_INDEX) add_misplaced(c, indices, sub->low);
  }
  lang_check_subs(c, &target->subs, false);
}

static bool assigns_whole(const lang_stmt *stmt, const char *name) {
  for (int k = 0; k < stmt->assign.targets.count; k++) {
    const lang_target *target = &stmt->assign.targets.data[k];
    const lang_expr *value =
        stmt->assign.values.count == stmt->assign.targets.count ? stmt->assign.values.data[k] : NULL;
    if (!target->indexed && !strcmp(target->path.text, name) && !(value && lang_is_append(value))) return true;
  }
  return false;
}

bool lang_assigned_whole(const lang_body *body, const char *name) {
  for (int i = 0; i < body->stmts.count; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    const lang_body *inner[] = {NULL, NULL};
    if (stmt->kind == LANG_STMT_ASSIGN && assigns_whole(stmt, name)) return true;
    if (stmt->kind == LANG_STMT_FN) inner[0] = &stmt->fn.body;
    if (stmt->kind == LANG_STMT_FOR) inner[0] = &stmt->loop.body;
    if (stmt->kind == LANG_STMT_SCAN) inner[0] = &stmt->scan.body;
    if (stmt->kind == LANG_STMT_COND) inner[0] = &stmt->cond.body, inner[1] = &stmt->cond.otherwise;
    if (stmt->kind == LANG_STMT_IF && stmt->branch.has_else) inner[0] = &stmt->branch.otherwise;
    for (int k = 0; k < 2; k++) {
      if (inner[k] && lang_assigned_whole(inner[k], name)) return true;
    }
    for (int k = 0; stmt->kind == LANG_STMT_IF && k < stmt->branch.arms.count; k++) {
      if (lang_assigned_whole(&stmt->branch.arms.data[k].body, name)) return true;
    }
  }
  return false;
}

static void check_assign(lang_checker *c, const lang_stmt *stmt) {
  lang_known_names *indices = lang_known_push(c);
  for (int i = 0; i < stmt->assign.targets.count; i++) check_target(c, &stmt->assign.targets.data[i], indices);
  lang_check_exprs(c, &stmt->assign.values);
  lang_known_pop(c);
}

static void check_for(lang_checker *c, const lang_stmt *stmt) {
  bool was = c->in_loop;
  lang_check_expr(c, stmt->loop.range);
  lang_known_names *scope = lang_known_push(c);
  for (int i = 0; i < stmt->loop.names.count; i++) {
    lang_known_add(c, scope, stmt->loop.names.data[i].text, stmt->loop.names.data[i].span, false);
  }
  c->in_loop = true;
  check_body(c, &stmt->loop.body);
  c->in_loop = was;
  lang_known_pop(c);
}

static void check_scan(lang_checker *c, const lang_stmt *stmt) {
  bool was = c->in_region;
  lang_check_expr(c, stmt->scan.range);
  for (int i = 0; i < stmt->scan.carries.count; i++)
    lang_check_name(c, stmt->scan.carries.data[i].text, stmt->scan.carries.data[i].span, (lang_span){0});
  lang_known_names *scope = lang_known_push(c);
  lang_known_add(c, scope, stmt->scan.name.text, stmt->scan.name.span, false);
  if (stmt->scan.condition) lang_check_expr(c, stmt->scan.condition);
  c->in_region = true;
  check_body(c, &stmt->scan.body);
  c->in_region = was;
  lang_known_pop(c);
}

static void check_cond(lang_checker *c, const lang_stmt *stmt) {
  bool was = c->in_region;
  lang_check_expr(c, stmt->cond.condition);
  c->in_region = true;
  check_body(c, &stmt->cond.body);
  check_body(c, &stmt->cond.otherwise);
  c->in_region = was;
}

static void check_dim(lang_checker *c, const lang_dim *dim) {
  ir_role role;
  static const char *const roles[] = {"seq", "batch", "plain"};
  if (dim->role.text && !lang_role_find(dim->role.text, &role)) {
    lang_diag *diag = lang_error(c->elab, LANG_W_UNKNOWN_ROLE, dim->role.span, dim->role.text);
    lang_suggest(c->elab, diag, dim->role.text, roles, 3);
  }
  if (dim->range) lang_check_expr(c, dim->range);
  if (dim->value) lang_check_expr(c, dim->value);
  lang_known_names *scope = lang_known_push(c);
  for (int i = 0; i < dim->names.count; i++)
    lang_known_add(c, scope, dim->names.data[i].text, dim->names.data[i].span, false);
  lang_check_exprs(c, &dim->wheres);
  lang_known_pop(c);
}

static void check_placed(lang_checker *c, lang_span span) {
  if (c->in_region) lang_error(c->elab, LANG_W_MEMBER_IN_REGION, span);
  else if (c->in_loop) lang_error(c->elab, LANG_W_MEMBER_IN_LOOP, span);
  else if (c->in_fn) lang_error(c->elab, LANG_W_MEMBER_IN_FN, span);
}

static bool is_initialiser(const lang_expr *value) {
  return value && value->kind == LANG_EXPR_CALL && value->call.callee->kind == LANG_EXPR_NAME &&
         (lang_is_initialiser(value->call.callee->name) || !lang_builtin_find(value->call.callee->name));
}

static void check_stmt(lang_checker *c, const lang_stmt *stmt) {
  switch (stmt->kind) {
    case LANG_STMT_LET:
      lang_check_value(c, stmt->let.value);
      return;
    case LANG_STMT_DIM:
      check_dim(c, &stmt->dim);
      return;
    case LANG_STMT_FN:
      check_fn(c, &stmt->fn, lang_known_find(c->scope, stmt->fn.name.text)->node);
      return;
    case LANG_STMT_PARAM:
      check_placed(c, stmt->span);
      check_type(c, stmt->param.type);
      if (is_initialiser(stmt->param.value)) lang_check_args(c, &stmt->param.value->call.args);
      else if (stmt->param.value) lang_check_expr(c, stmt->param.value);
      return;
    case LANG_STMT_STATE:
      check_placed(c, stmt->span);
      check_type(c, stmt->state.type);
      if (stmt->state.over) lang_check_expr(c, stmt->state.over);
      if (stmt->state.value) lang_check_expr(c, stmt->state.value);
      return;
    case LANG_STMT_MEMBER:
      check_placed(c, stmt->span);
      lang_check_value(c, stmt->member.value);
      return;
    case LANG_STMT_ASSIGN:
      check_assign(c, stmt);
      return;
    case LANG_STMT_CALL:
      lang_check_expr(c, stmt->call.call);
      return;
    case LANG_STMT_RETURN:
      lang_check_exprs(c, &stmt->ret.values);
      return;
    case LANG_STMT_FOR:
      check_for(c, stmt);
      return;
    case LANG_STMT_SCAN:
      check_scan(c, stmt);
      return;
    case LANG_STMT_COND:
      check_cond(c, stmt);
      return;
    case LANG_STMT_IF:
      for (int i = 0; i < stmt->branch.arms.count; i++) {
        lang_check_expr(c, stmt->branch.arms.data[i].condition);
        check_body(c, &stmt->branch.arms.data[i].body);
      }
      if (stmt->branch.has_else) check_body(c, &stmt->branch.otherwise);
      return;
  }
}

static void check_body(lang_checker *c, const lang_body *body) {
  for (int i = 0; i < body->stmts.count; i++) check_stmt(c, body->stmts.data[i]);
}

// A block or a model: what its fns see, then the body with its own names.
static void check_owner(lang_checker *c, const lang_params *params, const lang_signature *signature,
                        const lang_exprs *wheres, const lang_body *body) {
  lang_known_names *shared = lang_known_push(c);
  c->owner = body;
  check_twice(c, params);
  for (int i = 0; i < params->count; i++)
    lang_known_add(c, shared, params->data[i].name.text, params->data[i].name.span, false);
  check_params(c, params, false);
  collect_shared(c, shared, body);
  lang_known_names *own = lang_known_push(c);
  if (signature) check_signature(c, signature, false);
  collect_locals(c, own, body);
  lang_check_exprs(c, wheres);
  for (int i = 0; i < body->stmts.count; i++) {
    const lang_stmt *stmt = body->stmts.data[i];
    if (stmt->kind == LANG_STMT_FN) {
      c->scope = shared;
      if (lang_body_fn(body, stmt->fn.name.text) != &stmt->fn)
        lang_error(c->elab, LANG_W_NAME_TWICE, stmt->fn.name.span, stmt->fn.name.text);
      check_fn(c, &stmt->fn, lang_known_here(shared, stmt->fn.name.text)->node);
      c->scope = own;
    } else {
      check_stmt(c, stmt);
    }
  }
  report_single_uses(c, own);
  c->owner = NULL;
  lang_known_pop(c);
  lang_known_pop(c);
}

// The names of a rule: parameters, the dims of their types, and the conditions that only rules have.
static void check_rule(lang_checker *c, const lang_rule *rule) {
  lang_known_names *known = lang_known_push(c);
  check_twice(c, &rule->params);
  for (int i = 0; i < rule->params.count; i++)
    lang_known_add(c, known, rule->params.data[i].name.text, rule->params.data[i].name.span, false);
  for (int i = 0; i < rule->params.count; i++) add_fresh_dims(c, rule->params.data[i].type);
  check_params(c, &rule->params, false);
  lang_check_expr(c, rule->left);
  lang_check_expr(c, rule->right);
  for (int i = 0; lang_rule_condition(i); i++) {
    if (!lang_known_here(known, lang_rule_condition(i)))
      lang_known_add(c, known, lang_rule_condition(i), rule->name.span, false);
  }
  lang_check_exprs(c, &rule->wheres);
  lang_known_pop(c);
}

static int node_of(const lang_checker *c, const char *name) {
  const lang_symbol *symbol = lang_program_find(c->elab->program, c->file, name);
  return symbol ? lang_mention_symbol(c->elab, symbol) : -1;
}

void lang_names_check_blocks(lang_elab *elab, const lang_file *file, const lang_exprs *values) {
  lang_checker c = {.elab = elab, .file = file, .node = -1};
  for (int i = 0; i < values->count; i++) {
    if (values->data[i]->kind == LANG_EXPR_CONSTRUCT) lang_check_expr(&c, values->data[i]);
  }
}

void lang_names_check(lang_elab *elab, const lang_file *file) {
  lang_checker c = {.elab = elab, .file = file};
  for (int i = 0; i < file->items.count; i++) {
    const lang_item *item = file->items.data[i];
    c.model = item->kind == LANG_ITEM_MODEL ? &item->model : NULL;
    c.node = -1;
    switch (item->kind) {
      case LANG_ITEM_LET:
        lang_check_value(&c, item->let.value);
        break;
      case LANG_ITEM_DIM:
        check_dim(&c, &item->dim);
        break;
      case LANG_ITEM_FN:
        check_fn(&c, &item->fn, node_of(&c, item->fn.name.text));
        break;
      case LANG_ITEM_BLOCK:
        c.node = node_of(&c, item->block.name.text);
        check_owner(&c, &item->block.params, item->block.has_signature ? &item->block.signature : NULL,
                    &item->block.wheres, &item->block.body);
        break;
      case LANG_ITEM_MODEL:
        check_owner(&c, &item->model.params, NULL, &item->model.wheres, &item->model.body);
        break;
      case LANG_ITEM_RULE:
        check_rule(&c, &item->rule);
        break;
      case LANG_ITEM_USE:
      case LANG_ITEM_BIND:
      case LANG_ITEM_SECTION:
        break;
    }
  }
  lang_error_flush(elab);
}
