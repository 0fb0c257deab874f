// Uses: follows every expression of a program and notes which symbol each name is. Names that mean nothing declared
// (functions of the language, slips) leave no occurrence.
#include <string.h>

#include "compiler/lsp/index_internal.h"

static void walk_expr(lsp_walker *w, const lang_expr *expr);

static void walk_exprs(lsp_walker *w, const lang_exprs *exprs) {
  for (int i = 0; i < exprs->count; i++) walk_expr(w, exprs->data[i]);
}

static int declare_index(lsp_walker *w, const lang_name *name, const lang_expr *range) {
  return lsp_declare(w, w->scope,
                     &(lsp_symbol){.name = name->text,
                                   .kind = LSP_INDEX,
                                   .span = name->span,
                                   .shown = range ? lang_span_join(name->span, range->span) : name->span,
                                   .value = range});
}

// ---- names and members

static lang_span parts_span(const lang_name *parts, int count) {
  return lang_span_join(parts[0].span, parts[count - 1].span);
}

// Notes the symbols that the parts of a dotted path name, from |inside| on (null: from the scope).
static void walk_parts(lsp_walker *w, const lsp_scope *inside, const lang_name *parts, int count,
                       const lang_expr *expr) {
  for (int at = 0; at < count;) {
    int symbol = -1, length = lsp_longest(w, inside, parts + at, count - at, &symbol);
    if (!length) return;
    lsp_occur(w, symbol, parts_span(parts + at, length), at + length == count ? expr : NULL, false);
    at += length;
    if (at < count) inside = lsp_index_members(w->index, symbol);
    if (at < count && !inside) return;
  }
}

static void walk_field(lsp_walker *w, const lang_expr *expr) {
  lang_path path;
  if (lang_expr_path(w->index->arena, expr, &path)) {
    walk_parts(w, NULL, path.parts.data, path.parts.count, expr);
    return;
  }
  // A chain of names behind something else: layers[0].attn.qkv.
  lang_name names[16];
  int count = 0;
  const lang_expr *base = expr;
  while (base->kind == LANG_EXPR_FIELD && !base->parens && count < 16) {
    names[count++] = base->field.name;
    base = base->field.base;
  }
  if (!count) return;
  for (int i = 0; i < count / 2; i++) {
    lang_name swapped = names[i];
    names[i] = names[count - 1 - i];
    names[count - 1 - i] = swapped;
  }
  walk_expr(w, base);
  const lsp_scope *inside = lsp_block_of(w, base);
  if (inside) walk_parts(w, inside, names, count, expr);
}

// ---- calls

static const lang_params *params_of(const lsp_walker *w, const lang_expr *callee, const lsp_scope **out_scope) {
  int number = -1;
  lang_path path;
  *out_scope = NULL;
  if (lang_expr_path(w->index->arena, callee, &path)) {
    const lsp_scope *inside = NULL;
    for (int at = 0; at < path.parts.count;) {
      int length = lsp_longest(w, inside, path.parts.data + at, path.parts.count - at, &number);
      if (!length) return NULL;
      at += length;
      if (at < path.parts.count && !(inside = lsp_index_members(w->index, number))) return NULL;
    }
  } else if (callee->kind == LANG_EXPR_FIELD) {
    const lsp_scope *inside = lsp_block_of(w, callee->field.base);
    number = inside ? lsp_scope_find(w->index, inside, callee->field.name.text) : -1;
  }
  const lang_fn *fn = number >= 0 ? w->index->symbols.data[number].fn : NULL;
  if (fn) {
    *out_scope = w->index->symbols.data[number].inside;
    return &fn->signature.params;
  }
  *out_scope = lsp_block_of(w, callee);
  return NULL;
}

// A named argument names a symbol of the callee's scope.
static void walk_args(lsp_walker *w, const lang_args *args, const lsp_scope *callee) {
  for (int i = 0; i < args->count; i++) {
    const lang_arg *arg = &args->data[i];
    if (arg->kind == LANG_ARG_NAMED && callee)
      lsp_occur(w, lsp_scope_find(w->index, callee, arg->name.text), arg->name.span, NULL, false);
    if (arg->value) walk_expr(w, arg->value);
  }
}

static void walk_call(lsp_walker *w, const lang_expr *expr) {
  const lsp_scope *callee = NULL;
  walk_expr(w, expr->call.callee);
  (void)params_of(w, expr->call.callee, &callee);
  walk_args(w, &expr->call.args, callee);
}

static void walk_construct(lsp_walker *w, const lang_expr *expr) {
  const lang_name *name = &expr->construct.name;
  int symbol = lsp_index_resolve(w->index, NULL, w->file, name->text);
  lsp_occur(w, symbol, name->span, expr, false);
  walk_args(w, &expr->construct.args, symbol >= 0 ? w->index->symbols.data[symbol].inside : NULL);
  walk_exprs(w, &expr->construct.counts);
}

// ---- brackets

static void walk_subs(lsp_walker *w, const lang_subs *subs) {
  for (int i = 0; i < subs->count; i++) {
    const lang_sub *sub = &subs->data[i];
    if (sub->low) walk_expr(w, sub->low);
    if (sub->high) walk_expr(w, sub->high);
  }
}

static void walk_reduce(lsp_walker *w, const lang_expr *expr) {
  walk_expr(w, expr->reduce.callee);
  lsp_scope_push(w, expr->span);
  for (int i = 0; i < expr->reduce.binders.count; i++) {
    const lang_binder *binder = &expr->reduce.binders.data[i];
    if (binder->range) walk_expr(w, binder->range);
    declare_index(w, &binder->name, binder->range);
  }
  walk_expr(w, expr->reduce.body);
  walk_exprs(w, &expr->reduce.guards);
  lsp_scope_pop(w);
}

static void walk_comprehension(lsp_walker *w, const lang_expr *expr) {
  walk_expr(w, expr->comprehension.range);
  lsp_scope_push(w, expr->span);
  for (int i = 0; i < expr->comprehension.names.count; i++)
    declare_index(w, &expr->comprehension.names.data[i], expr->comprehension.range);
  walk_expr(w, expr->comprehension.value);
  lsp_scope_pop(w);
}

static void walk_expr(lsp_walker *w, const lang_expr *expr) {
  switch (expr->kind) {
    case LANG_EXPR_NAME:
      lsp_occur(w, lsp_index_resolve(w->index, w->scope, w->file, expr->name), expr->span, expr, false);
      return;
    case LANG_EXPR_LIST:
      walk_exprs(w, &expr->list.values);
      return;
    case LANG_EXPR_COMPREHENSION:
      walk_comprehension(w, expr);
      return;
    case LANG_EXPR_UNARY:
      walk_expr(w, expr->unary.operand);
      return;
    case LANG_EXPR_BINARY:
      walk_expr(w, expr->binary.left);
      walk_expr(w, expr->binary.right);
      return;
    case LANG_EXPR_COMPARE:
      walk_exprs(w, &expr->compare.operands);
      return;
    case LANG_EXPR_FIELD:
      walk_field(w, expr);
      return;
    case LANG_EXPR_INDEX:
      walk_expr(w, expr->index.base);
      walk_subs(w, &expr->index.subs);
      return;
    case LANG_EXPR_CALL:
      walk_call(w, expr);
      return;
    case LANG_EXPR_REDUCE:
      walk_reduce(w, expr);
      return;
    case LANG_EXPR_RESHAPE:
      walk_expr(w, expr->reshape.base);
      walk_subs(w, &expr->reshape.subs);
      return;
    case LANG_EXPR_RANGE:
      walk_expr(w, expr->range.low);
      walk_expr(w, expr->range.high);
      return;
    case LANG_EXPR_CONSTRUCT:
      walk_construct(w, expr);
      return;
    case LANG_EXPR_NUMBER:
    case LANG_EXPR_STRING:
    case LANG_EXPR_ERROR:
      return;
  }
}

// ---- types and signatures

// |declares|: names that mean nothing yet are new dims.
static void walk_type(lsp_walker *w, const lang_type *type, bool declares) {
  for (; type && type->kind == LANG_TYPE_LIST; type = type->element) continue;
  if (!type || type->kind != LANG_TYPE_TENSOR) return;
  lsp_occur(w, lsp_index_resolve(w->index, w->scope, w->file, type->name.text), type->name.span, NULL, false);
  for (int i = 0; i < type->subs.count; i++) {
    const lang_expr *low = type->subs.data[i].low;
    bool bare = low && low->kind == LANG_EXPR_NAME && strcmp(low->name, "_");
    if (declares && bare && lsp_index_resolve(w->index, w->scope, w->file, low->name) < 0)
      lsp_declare(w, w->scope,
                  &(lsp_symbol){.name = low->name, .kind = LSP_DIM, .span = low->span, .shown = type->span});
    else if (low) walk_expr(w, low);
  }
}

static void walk_params(lsp_walker *w, const lang_params *params, bool declares) {
  for (int i = 0; i < params->count; i++) {
    const lang_param *param = &params->data[i];
    walk_type(w, param->type, declares);
    if (param->range) walk_expr(w, param->range);
    if (param->value) walk_expr(w, param->value);
  }
}

static void walk_signature(lsp_walker *w, const lang_signature *signature) {
  walk_params(w, &signature->params, true);
  walk_type(w, signature->type, false);
  if (signature->range) walk_expr(w, signature->range);
  walk_params(w, &signature->results, false);
}

// ---- statements

static void walk_body(lsp_walker *w, const lang_body *body);

static void walk_fn(lsp_walker *w, const lang_fn *fn, lang_span whole, int symbol) {
  lsp_scope *scope = lsp_scope_push(w, whole);
  scope->locals = true;
  if (symbol >= 0) w->index->symbols.data[symbol].inside = scope;
  lsp_declare_params(w, &fn->signature.params, LSP_ARGUMENT);
  walk_signature(w, &fn->signature);
  walk_exprs(w, &fn->wheres);
  lsp_declare_body(w, &fn->body);
  walk_body(w, &fn->body);
  lsp_scope_pop(w);
}

static lsp_scope *locals_of(lsp_walker *w) {
  lsp_scope *scope = w->scope;
  while (scope && !scope->locals) scope = scope->parent;
  return scope;
}

// Index notation: subscripts that are new names are indices of the statement.
static void bind_subs(lsp_walker *w, const lang_subs *subs) {
  for (int i = 0; i < subs->count; i++) {
    const lang_sub *sub = &subs->data[i];
    const lang_expr *low = sub->low;
    if (sub->kind == LANG_SUB_BINDER) {
      if (low) walk_expr(w, low);
      declare_index(w, &sub->name, low);
    } else if (sub->kind == LANG_SUB_INDEX && low && low->kind == LANG_EXPR_NAME &&
               lsp_index_resolve(w->index, w->scope, w->file, low->name) < 0) {
      declare_index(w, &(lang_name){low->name, low->span}, NULL);
    } else if (low) {
      walk_expr(w, low);
    }
  }
}

static void walk_assign(lsp_walker *w, const lang_stmt *stmt) {
  const lang_targets *targets = &stmt->assign.targets;
  bool one = targets->count == 1 && stmt->assign.values.count == 1;
  lsp_scope_push(w, stmt->span);
  for (int i = 0; i < targets->count; i++)
    if (targets->data[i].indexed) bind_subs(w, &targets->data[i].subs);
  walk_exprs(w, &stmt->assign.values);
  lsp_scope_pop(w);
  for (int i = 0; i < targets->count; i++) {
    const lang_path *path = &targets->data[i].path;
    int symbol = -1;
    if (lsp_longest(w, NULL, path->parts.data, path->parts.count, &symbol) &&
        w->index->symbols.data[symbol].file == w->file) {
      walk_parts(w, NULL, path->parts.data, path->parts.count, NULL);
      continue;
    }
    lsp_scope *scope = locals_of(w);
    if (!scope) continue;
    lsp_declare(w, scope,
                &(lsp_symbol){.name = path->text,
                              .kind = LSP_LOCAL,
                              .span = path->span,
                              .shown = stmt->span,
                              .value = one && !targets->data[i].indexed ? stmt->assign.values.data[0] : NULL});
  }
}

static void walk_loop(lsp_walker *w, const lang_stmt *stmt) {
  walk_expr(w, stmt->loop.range);
  lsp_scope_push(w, stmt->span);
  for (int i = 0; i < stmt->loop.names.count; i++) declare_index(w, &stmt->loop.names.data[i], stmt->loop.range);
  lsp_declare_body(w, &stmt->loop.body);
  walk_body(w, &stmt->loop.body);
  lsp_scope_pop(w);
}

static void walk_scan(lsp_walker *w, const lang_stmt *stmt) {
  walk_expr(w, stmt->scan.range);
  for (int i = 0; i < stmt->scan.carries.count; i++) {
    const lang_name *name = &stmt->scan.carries.data[i];
    lsp_occur(w, lsp_index_resolve(w->index, w->scope, w->file, name->text), name->span, NULL, false);
  }
  lsp_scope_push(w, stmt->span);
  declare_index(w, &stmt->scan.name, stmt->scan.range);
  if (stmt->scan.condition) walk_expr(w, stmt->scan.condition);
  lsp_declare_body(w, &stmt->scan.body);
  walk_body(w, &stmt->scan.body);
  lsp_scope_pop(w);
}

static void walk_dim(lsp_walker *w, const lang_dim *dim) {
  if (dim->range) walk_expr(w, dim->range);
  if (dim->value) walk_expr(w, dim->value);
  walk_exprs(w, &dim->wheres);
}

static void walk_branches(lsp_walker *w, const lang_stmt *stmt) {
  for (int i = 0; i < stmt->branch.arms.count; i++) {
    walk_expr(w, stmt->branch.arms.data[i].condition);
    walk_body(w, &stmt->branch.arms.data[i].body);
  }
  if (stmt->branch.has_else) walk_body(w, &stmt->branch.otherwise);
}

static void walk_stmt(lsp_walker *w, const lang_stmt *stmt) {
  switch (stmt->kind) {
    case LANG_STMT_LET:
      walk_expr(w, stmt->let.value);
      return;
    case LANG_STMT_DIM:
      walk_dim(w, &stmt->dim);
      return;
    case LANG_STMT_FN:
      walk_fn(w, &stmt->fn, stmt->span, lsp_scope_find(w->index, w->scope, stmt->fn.name.text));
      return;
    case LANG_STMT_PARAM:
      walk_type(w, stmt->param.type, false);
      if (stmt->param.value) walk_expr(w, stmt->param.value);
      return;
    case LANG_STMT_STATE:
      walk_type(w, stmt->state.type, false);
      if (stmt->state.over) walk_expr(w, stmt->state.over);
      if (stmt->state.value) walk_expr(w, stmt->state.value);
      return;
    case LANG_STMT_MEMBER:
      walk_expr(w, stmt->member.value);
      return;
    case LANG_STMT_ASSIGN:
      walk_assign(w, stmt);
      return;
    case LANG_STMT_CALL:
      walk_expr(w, stmt->call.call);
      return;
    case LANG_STMT_RETURN:
      walk_exprs(w, &stmt->ret.values);
      return;
    case LANG_STMT_FOR:
      walk_loop(w, stmt);
      return;
    case LANG_STMT_IF:
      walk_branches(w, stmt);
      return;
    case LANG_STMT_SCAN:
      walk_scan(w, stmt);
      return;
    case LANG_STMT_COND:
      walk_expr(w, stmt->cond.condition);
      walk_body(w, &stmt->cond.body);
      walk_body(w, &stmt->cond.otherwise);
      return;
  }
}

static void walk_body(lsp_walker *w, const lang_body *body) {
  for (int i = 0; i < body->stmts.count; i++) walk_stmt(w, body->stmts.data[i]);
}

// ---- binds and sections

// Follows a pattern through the members as far as its segments are plain names: model.layers[i].attn.
static void walk_pattern(lsp_walker *w, const lsp_scope *inside, const lang_pattern *pattern) {
  lang_name parts[16];
  int count = 0;
  for (int i = 0; i < pattern->segments.count && count < 16 && inside; i++) {
    const lang_segment *segment = &pattern->segments.data[i];
    const lang_atom *atom = &segment->atoms.data[0];
    if (atom->kind != LANG_ATOM_NAME) return;
    for (int k = 1; k < segment->atoms.count; k++) {
      if (segment->atoms.data[k].kind < LANG_ATOM_ANY) return;
    }
    parts[count++] = (lang_name){atom->name, atom->span};
    int symbol = -1;
    if (lsp_longest(w, inside, parts, count, &symbol) != count) continue;
    lsp_occur(w, symbol, parts_span(parts, count), NULL, false);
    inside = lsp_index_members(w->index, symbol);
    count = 0;
  }
}

static void walk_patterns(lsp_walker *w, const lang_patterns *patterns, const lsp_scope *model) {
  for (int i = 0; i < patterns->count; i++) walk_pattern(w, model, &patterns->data[i]);
}

// The names of a model that a bind or a section speaks of.
static lsp_scope *target_of(lsp_walker *w, const lang_name *target) {
  int symbol = target->text ? lsp_index_resolve(w->index, NULL, w->file, target->text) : -1;
  lsp_occur(w, symbol, target->span, NULL, false);
  return symbol >= 0 ? w->index->symbols.data[symbol].inside : NULL;
}

static void walk_bind(lsp_walker *w, const lang_bind *bind) {
  lsp_scope *model = target_of(w, &bind->target);
  w->scope = model;
  for (int i = 0; i < bind->lines.count; i++) {
    walk_patterns(w, &bind->lines.data[i].patterns, model);
    walk_exprs(w, &bind->lines.data[i].values);
  }
  w->scope = NULL;
}

static void walk_section(lsp_walker *w, const lang_section *section) {
  lsp_scope *model = target_of(w, &section->target);
  w->scope = model;
  for (int i = 0; i < section->settings.count; i++) {
    walk_patterns(w, &section->settings.data[i].patterns, model);
    walk_exprs(w, &section->settings.data[i].values);
  }
  w->scope = NULL;
}

// ---- items

static void walk_block(lsp_walker *w, const lang_item *item, int symbol) {
  bool block = item->kind == LANG_ITEM_BLOCK;
  w->scope = w->index->symbols.data[symbol].inside;
  walk_params(w, block ? &item->block.params : &item->model.params, false);
  if (block && item->block.has_signature) walk_signature(w, &item->block.signature);
  walk_exprs(w, block ? &item->block.wheres : &item->model.wheres);
  walk_body(w, block ? &item->block.body : &item->model.body);
  w->scope = NULL;
}

static void walk_rule(lsp_walker *w, const lang_item *item) {
  lsp_scope_push(w, item->span);
  lsp_declare_params(w, &item->rule.params, LSP_ARGUMENT);
  walk_params(w, &item->rule.params, true);
  walk_exprs(w, &item->rule.wheres);
  walk_expr(w, item->rule.left);
  walk_expr(w, item->rule.right);
  lsp_scope_pop(w);
}

void lsp_walk_item(lsp_walker *w, const lang_item *item, int symbol) {
  switch (item->kind) {
    case LANG_ITEM_USE:
      return;
    case LANG_ITEM_LET:
      walk_expr(w, item->let.value);
      return;
    case LANG_ITEM_DIM:
      walk_dim(w, &item->dim);
      return;
    case LANG_ITEM_FN:
      walk_fn(w, &item->fn, item->span, symbol);
      return;
    case LANG_ITEM_BLOCK:
      walk_block(w, item, symbol);
      return;
    case LANG_ITEM_MODEL:
      walk_block(w, item, symbol);
      return;
    case LANG_ITEM_RULE:
      walk_rule(w, item);
      return;
    case LANG_ITEM_BIND:
      walk_bind(w, &item->bind);
      return;
    case LANG_ITEM_SECTION:
      walk_section(w, &item->section);
      return;
  }
}
