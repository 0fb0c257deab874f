// Builders of statements. Members, assignments and calls begin alike, so the grammar reads expressions there and this
// file narrows them.
#include "compiler/lang/build.h"

static lang_stmt *stmt_make(lang_reader *reader, lang_stmt_kind kind, lang_span span) {
  lang_stmt *stmt = WEIR_NEW(reader->arena, lang_stmt);
  stmt->kind = kind;
  stmt->span = span;
  return stmt;
}

lang_stmt *lang_build_let(lang_reader *reader, lang_span span, const lang_let *let) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_LET, span);
  stmt->let = *let;
  return stmt;
}

lang_stmt *lang_build_dim_stmt(lang_reader *reader, lang_span span, const lang_dim *dim) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_DIM, span);
  stmt->dim = *dim;
  return stmt;
}

lang_stmt *lang_build_fn_stmt(lang_reader *reader, lang_span span, const lang_fn *fn) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_FN, span);
  stmt->fn = *fn;
  return stmt;
}

lang_stmt *lang_build_param(lang_reader *reader, lang_span span, lang_paths paths, lang_type *type, lang_expr *value) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_PARAM, span);
  stmt->param.paths = paths;
  stmt->param.type = type;
  stmt->param.value = value;
  return stmt;
}

lang_stmt *lang_build_state(lang_reader *reader, lang_span span, lang_paths paths, lang_type *type, lang_expr *over,
                            lang_expr *value) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_STATE, span);
  stmt->state.paths = paths;
  stmt->state.type = type;
  stmt->state.over = over;
  stmt->state.value = value;
  return stmt;
}

lang_stmt *lang_build_member(lang_reader *reader, lang_span span, const lang_exprs *names, lang_expr *value) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_MEMBER, span);
  for (int i = 0; i < names->count; i++) {
    lang_path path;
    if (lang_expr_path(reader->arena, names->data[i], &path)) LANG_PUSH(reader->arena, &stmt->member.paths, path);
    else lang_diag_add(&reader->diags, LANG_W_BAD_MEMBER_NAME, names->data[i]->span);
  }
  stmt->member.value = value;
  return stmt->member.paths.count == names->count ? stmt : NULL;
}

static bool target_narrow(lang_reader *reader, const lang_expr *expr, lang_target *out_target) {
  *out_target = (lang_target){.span = expr->span};
  if (expr->kind != LANG_EXPR_INDEX || expr->parens) return lang_expr_path(reader->arena, expr, &out_target->path);
  out_target->indexed = true;
  out_target->subs = expr->index.subs;
  return lang_expr_path(reader->arena, expr->index.base, &out_target->path);
}

lang_stmt *lang_build_assign(lang_reader *reader, lang_span span, const lang_exprs *targets, lang_exprs values) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_ASSIGN, span);
  for (int i = 0; i < targets->count; i++) {
    lang_target target;
    if (target_narrow(reader, targets->data[i], &target)) LANG_PUSH(reader->arena, &stmt->assign.targets, target);
    else lang_diag_add(&reader->diags, LANG_W_BAD_TARGET, targets->data[i]->span);
  }
  stmt->assign.values = values;
  return stmt->assign.targets.count == targets->count ? stmt : NULL;
}

lang_stmt *lang_build_call_stmt(lang_reader *reader, lang_span span, lang_expr *call) {
  if (call->kind != LANG_EXPR_CALL || call->parens) {
    if (call->kind != LANG_EXPR_ERROR) lang_diag_add(&reader->diags, LANG_W_NOT_A_CALL, call->span);
    return NULL;
  }
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_CALL, span);
  stmt->call.call = call;
  return stmt;
}

lang_stmt *lang_build_return(lang_reader *reader, lang_span span, lang_exprs values) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_RETURN, span);
  stmt->ret.values = values;
  return stmt;
}

lang_stmt *lang_build_for(lang_reader *reader, lang_span span, lang_names names, lang_expr *range, lang_body body) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_FOR, span);
  stmt->loop.names = names;
  stmt->loop.range = range;
  stmt->loop.body = body;
  return stmt;
}

lang_stmt *lang_build_if(lang_reader *reader, lang_span span, lang_expr *condition, lang_body body) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_IF, span);
  LANG_PUSH(reader->arena, &stmt->branch.arms, ((lang_arm){condition, body}));
  return stmt;
}

lang_stmt *lang_build_else_if(lang_reader *reader, lang_span span, lang_stmt *branch, lang_expr *condition,
                              lang_body body) {
  LANG_PUSH(reader->arena, &branch->branch.arms, ((lang_arm){condition, body}));
  branch->span = span;
  return branch;
}

lang_stmt *lang_build_else(lang_reader *reader, lang_span span, lang_stmt *branch, lang_body body) {
  (void)reader;
  branch->branch.has_else = true;
  branch->branch.otherwise = body;
  branch->span = span;
  return branch;
}

lang_stmt *lang_build_scan(lang_reader *reader, lang_span span, lang_name name, lang_expr *range, lang_names carries,
                           lang_expr *condition, lang_body body) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_SCAN, span);
  stmt->scan.name = name;
  stmt->scan.range = range;
  stmt->scan.carries = carries;
  stmt->scan.condition = condition;
  stmt->scan.body = body;
  return stmt;
}

lang_stmt *lang_build_cond(lang_reader *reader, lang_span span, lang_expr *condition, lang_body body,
                           lang_body otherwise) {
  lang_stmt *stmt = stmt_make(reader, LANG_STMT_COND, span);
  stmt->cond.condition = condition;
  stmt->cond.body = body;
  stmt->cond.otherwise = otherwise;
  return stmt;
}
