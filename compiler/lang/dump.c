// The tree as s-expressions: what tests compare. It says all that a meaning could depend on (parentheses that only
// group are not said: the nesting says them) and no places or comments.
#include "compiler/lang/ast.h"
#include "compiler/lang/text.h"

static void put_expr(lang_text_out *out, const lang_expr *expr);

static void open(lang_text_out *out, const char *head) {
  lang_text_put(out, '(');
  lang_text_add(out, head);
}
static void close(lang_text_out *out) { lang_text_put(out, ')'); }

static void put_word(lang_text_out *out, const char *word) {
  lang_text_put(out, ' ');
  lang_text_add(out, word);
}

static void put_names(lang_text_out *out, const lang_names *names) {
  open(out, "names");
  for (int i = 0; i < names->count; i++) put_word(out, names->data[i].text);
  close(out);
}

static void put_paths(lang_text_out *out, const lang_paths *paths) {
  open(out, "paths");
  for (int i = 0; i < paths->count; i++) put_word(out, paths->data[i].text);
  close(out);
}

static void put_optional(lang_text_out *out, const char *head, const lang_expr *expr) {
  if (!expr) return;
  open(out, head);
  put_expr(out, expr);
  close(out);
}

static void put_exprs(lang_text_out *out, const char *head, const lang_exprs *exprs) {
  if (!exprs->count) return;
  open(out, head);
  for (int i = 0; i < exprs->count; i++) put_expr(out, exprs->data[i]);
  close(out);
}

static void put_subs(lang_text_out *out, const lang_subs *subs) {
  static const char *const heads[] = {"at", "slice", "bind", "..."};
  open(out, "subs");
  for (int i = 0; i < subs->count; i++) {
    const lang_sub *sub = &subs->data[i];
    open(out, heads[sub->kind]);
    if (sub->kind == LANG_SUB_BINDER) put_word(out, sub->name.text);
    put_optional(out, "low", sub->low);
    put_optional(out, sub->inclusive ? "high=" : "high", sub->high);
    close(out);
  }
  close(out);
}

static void put_args(lang_text_out *out, const lang_args *args) {
  for (int i = 0; i < args->count; i++) {
    const lang_arg *arg = &args->data[i];
    if (arg->kind == LANG_ARG_POSITIONAL) {
      put_expr(out, arg->value);
      continue;
    }
    open(out, arg->kind == LANG_ARG_NAMED ? "named " : "bind ");
    lang_text_add(out, arg->name.text);
    put_expr(out, arg->value);
    close(out);
  }
}

static void put_reduce(lang_text_out *out, const lang_expr *expr) {
  put_expr(out, expr->reduce.callee);
  for (int i = 0; i < expr->reduce.binders.count; i++) {
    open(out, "bind ");
    lang_text_add(out, expr->reduce.binders.data[i].name.text);
    if (expr->reduce.binders.data[i].range) put_expr(out, expr->reduce.binders.data[i].range);
    close(out);
  }
  put_expr(out, expr->reduce.body);
  put_exprs(out, "where", &expr->reduce.guards);
}

static const char *expr_head(const lang_expr *expr) {
  switch (expr->kind) {
    case LANG_EXPR_NAME:
      return "name ";
    case LANG_EXPR_NUMBER:
      return "number ";
    case LANG_EXPR_STRING:
      return "string ";
    case LANG_EXPR_LIST:
      return "list";
    case LANG_EXPR_COMPREHENSION:
      return "each";
    case LANG_EXPR_UNARY:
      return lang_unary_op_text(expr->unary.op);
    case LANG_EXPR_BINARY:
      return lang_binary_op_text(expr->binary.op);
    case LANG_EXPR_COMPARE:
      return "compare";
    case LANG_EXPR_FIELD:
      return "field ";
    case LANG_EXPR_INDEX:
      return "index";
    case LANG_EXPR_CALL:
      return "call";
    case LANG_EXPR_REDUCE:
      return "reduce";
    case LANG_EXPR_RESHAPE:
      return "as";
    case LANG_EXPR_RANGE:
      return expr->range.inclusive ? "..=" : "..";
    case LANG_EXPR_CONSTRUCT:
      return "construct ";
    case LANG_EXPR_ERROR:
      return "error";
  }
  return "";
}

static void put_expr(lang_text_out *out, const lang_expr *expr) {
  open(out, expr_head(expr));
  switch (expr->kind) {
    case LANG_EXPR_NAME:
      lang_text_add(out, expr->name);
      break;
    case LANG_EXPR_NUMBER:
      lang_text_printf(out, "%s%s", expr->number.text, expr->number.suffix);
      break;
    case LANG_EXPR_STRING:
      lang_text_quote(out, expr->string.text, expr->string.length);
      break;
    case LANG_EXPR_LIST:
      put_exprs(out, "values", &expr->list.values);
      break;
    case LANG_EXPR_COMPREHENSION:
      put_names(out, &expr->comprehension.names);
      put_expr(out, expr->comprehension.range);
      put_expr(out, expr->comprehension.value);
      break;
    case LANG_EXPR_UNARY:
      put_expr(out, expr->unary.operand);
      break;
    case LANG_EXPR_BINARY:
      put_expr(out, expr->binary.left);
      put_expr(out, expr->binary.right);
      break;
    case LANG_EXPR_COMPARE:
      for (int i = 0; i < expr->compare.operands.count; i++) {
        if (i) put_word(out, lang_compare_op_text(expr->compare.ops.data[i - 1]));
        put_expr(out, expr->compare.operands.data[i]);
      }
      break;
    case LANG_EXPR_FIELD:
      lang_text_add(out, expr->field.name.text);
      put_expr(out, expr->field.base);
      break;
    case LANG_EXPR_INDEX:
      put_expr(out, expr->index.base);
      put_subs(out, &expr->index.subs);
      break;
    case LANG_EXPR_CALL:
      put_expr(out, expr->call.callee);
      put_args(out, &expr->call.args);
      break;
    case LANG_EXPR_REDUCE:
      put_reduce(out, expr);
      break;
    case LANG_EXPR_RESHAPE:
      put_expr(out, expr->reshape.base);
      put_subs(out, &expr->reshape.subs);
      break;
    case LANG_EXPR_RANGE:
      put_expr(out, expr->range.low);
      put_expr(out, expr->range.high);
      break;
    case LANG_EXPR_CONSTRUCT:
      lang_text_add(out, expr->construct.name.text);
      put_args(out, &expr->construct.args);
      put_exprs(out, "counts", &expr->construct.counts);
      break;
    case LANG_EXPR_ERROR:
      break;
  }
  close(out);
}

static void put_type(lang_text_out *out, const lang_type *type) {
  if (!type) return;
  open(out, type->kind == LANG_TYPE_LIST ? "type-list" : "type ");
  if (type->kind == LANG_TYPE_LIST) {
    put_type(out, type->element);
  } else {
    lang_text_add(out, type->name.text);
    if (type->kind == LANG_TYPE_TENSOR) put_subs(out, &type->subs);
  }
  close(out);
}

static void put_params(lang_text_out *out, const char *head, const lang_params *params) {
  open(out, head);
  for (int i = 0; i < params->count; i++) {
    const lang_param *param = &params->data[i];
    open(out, param->name.text);
    put_type(out, param->type);
    put_optional(out, "in", param->range);
    put_optional(out, "=", param->value);
    close(out);
  }
  close(out);
}

static void put_signature(lang_text_out *out, const lang_signature *signature) {
  put_params(out, "params", &signature->params);
  if (signature->result == LANG_RESULT_NAMED) put_params(out, "results", &signature->results);
  put_type(out, signature->type);
  put_optional(out, "in", signature->range);
}

static void put_dim(lang_text_out *out, const lang_dim *dim) {
  put_names(out, &dim->names);
  if (dim->role.text) put_word(out, dim->role.text);
  put_optional(out, "in", dim->range);
  put_optional(out, "=", dim->value);
  put_exprs(out, "where", &dim->wheres);
}

static void put_stmt(lang_text_out *out, const lang_stmt *stmt);

static void put_body(lang_text_out *out, const lang_body *body) {
  open(out, "body");
  for (int i = 0; i < body->stmts.count; i++) put_stmt(out, body->stmts.data[i]);
  close(out);
}

static void put_fn(lang_text_out *out, const lang_fn *fn) {
  put_word(out, fn->name.text);
  put_signature(out, &fn->signature);
  put_exprs(out, "where", &fn->wheres);
  put_body(out, &fn->body);
}

static void put_targets(lang_text_out *out, const lang_targets *targets) {
  for (int i = 0; i < targets->count; i++) {
    open(out, "target ");
    lang_text_add(out, targets->data[i].path.text);
    if (targets->data[i].indexed) put_subs(out, &targets->data[i].subs);
    close(out);
  }
}

static const char *stmt_head(const lang_stmt *stmt) {
  static const char *const heads[] = {"let",    "dim",    "fn",  "param", "state", "member", "assign",
                                      "effect", "return", "for", "if",    "scan",  "cond"};
  return stmt->kind == LANG_STMT_FN ? lang_fn_text(stmt->fn.kind) : heads[stmt->kind];
}

static void put_stmt(lang_text_out *out, const lang_stmt *stmt) {
  open(out, stmt_head(stmt));
  switch (stmt->kind) {
    case LANG_STMT_LET:
      put_names(out, &stmt->let.names);
      put_expr(out, stmt->let.value);
      break;
    case LANG_STMT_DIM:
      put_dim(out, &stmt->dim);
      break;
    case LANG_STMT_FN:
      put_fn(out, &stmt->fn);
      break;
    case LANG_STMT_PARAM:
      put_paths(out, &stmt->param.paths);
      put_type(out, stmt->param.type);
      put_optional(out, "=", stmt->param.value);
      break;
    case LANG_STMT_STATE:
      put_paths(out, &stmt->state.paths);
      put_type(out, stmt->state.type);
      put_optional(out, "over", stmt->state.over);
      put_optional(out, "=", stmt->state.value);
      break;
    case LANG_STMT_MEMBER:
      put_paths(out, &stmt->member.paths);
      put_expr(out, stmt->member.value);
      break;
    case LANG_STMT_ASSIGN:
      put_targets(out, &stmt->assign.targets);
      put_exprs(out, "values", &stmt->assign.values);
      break;
    case LANG_STMT_CALL:
      put_expr(out, stmt->call.call);
      break;
    case LANG_STMT_RETURN:
      put_exprs(out, "values", &stmt->ret.values);
      break;
    case LANG_STMT_FOR:
      put_names(out, &stmt->loop.names);
      put_expr(out, stmt->loop.range);
      put_body(out, &stmt->loop.body);
      break;
    case LANG_STMT_IF:
      for (int i = 0; i < stmt->branch.arms.count; i++) {
        put_expr(out, stmt->branch.arms.data[i].condition);
        put_body(out, &stmt->branch.arms.data[i].body);
      }
      if (stmt->branch.has_else) put_body(out, &stmt->branch.otherwise);
      break;
    case LANG_STMT_SCAN:
      put_word(out, stmt->scan.name.text);
      put_expr(out, stmt->scan.range);
      put_names(out, &stmt->scan.carries);
      put_optional(out, "while", stmt->scan.condition);
      put_body(out, &stmt->scan.body);
      break;
    case LANG_STMT_COND:
      put_expr(out, stmt->cond.condition);
      put_body(out, &stmt->cond.body);
      put_body(out, &stmt->cond.otherwise);
      break;
  }
  close(out);
}

static void put_atom(lang_text_out *out, const lang_atom *atom) {
  switch (atom->kind) {
    case LANG_ATOM_NAME:
      lang_text_add(out, atom->name);
      break;
    case LANG_ATOM_STAR:
      lang_text_add(out, "*");
      break;
    case LANG_ATOM_STARSTAR:
      lang_text_add(out, "**");
      break;
    case LANG_ATOM_ALTERNATIVES:
      put_names(out, &atom->names);
      break;
    case LANG_ATOM_ANY:
      lang_text_add(out, "[*]");
      break;
    case LANG_ATOM_CAPTURE:
      lang_text_printf(out, "[%s]", atom->name);
      break;
    case LANG_ATOM_NUMBER:
      lang_text_printf(out, "[%lld]", (long long)atom->low);
      break;
    case LANG_ATOM_RANGE:
      lang_text_printf(out, "[%lld..%lld]", (long long)atom->low, (long long)atom->high);
      break;
  }
}

static void put_patterns(lang_text_out *out, const lang_patterns *patterns) {
  for (int i = 0; i < patterns->count; i++) {
    open(out, "pattern ");
    for (int j = 0; j < patterns->data[i].segments.count; j++) {
      if (j) lang_text_put(out, '.');
      const lang_segment *segment = &patterns->data[i].segments.data[j];
      for (int k = 0; k < segment->atoms.count; k++) put_atom(out, &segment->atoms.data[k]);
    }
    close(out);
  }
}

static void put_section(lang_text_out *out, const lang_section *section) {
  put_word(out, section->name.text);
  if (section->target.text) put_word(out, section->target.text);
  for (int i = 0; i < section->settings.count; i++) {
    const lang_setting *setting = &section->settings.data[i];
    open(out, setting->kind == LANG_SETTING_SET ? "set " : setting->kind == LANG_SETTING_SELECT ? "select " : "");
    lang_text_add(out, setting->name.text);
    put_patterns(out, &setting->patterns);
    put_exprs(out, "values", &setting->values);
    close(out);
  }
}

static void put_bind(lang_text_out *out, const lang_bind *bind) {
  put_word(out, bind->name.text);
  put_word(out, bind->target.text);
  for (int i = 0; i < bind->lines.count; i++) {
    open(out, "line");
    put_patterns(out, &bind->lines.data[i].patterns);
    put_exprs(out, "values", &bind->lines.data[i].values);
    close(out);
  }
}

static void put_item(lang_text_out *out, const lang_item *item) {
  static const char *const heads[] = {"use", "let", "dim", "fn", "block", "model", "rule", "bind", ""};
  open(out, item->kind == LANG_ITEM_SECTION ? lang_section_text(item->section.kind) : heads[item->kind]);
  switch (item->kind) {
    case LANG_ITEM_USE:
      lang_text_put(out, ' ');
      if (item->use.is_path) lang_text_add(out, item->use.path.text);
      else lang_text_printf(out, "\"%s\"", item->use.file);
      break;
    case LANG_ITEM_LET:
      put_names(out, &item->let.names);
      put_expr(out, item->let.value);
      break;
    case LANG_ITEM_DIM:
      put_dim(out, &item->dim);
      break;
    case LANG_ITEM_FN:
      put_fn(out, &item->fn);
      break;
    case LANG_ITEM_BLOCK:
      put_word(out, item->block.name.text);
      put_params(out, "braces", &item->block.params);
      if (item->block.has_signature) put_signature(out, &item->block.signature);
      put_exprs(out, "where", &item->block.wheres);
      put_body(out, &item->block.body);
      break;
    case LANG_ITEM_MODEL:
      put_word(out, item->model.name.text);
      put_params(out, "braces", &item->model.params);
      put_exprs(out, "where", &item->model.wheres);
      put_body(out, &item->model.body);
      break;
    case LANG_ITEM_RULE:
      put_word(out, item->rule.name.text);
      put_params(out, item->rule.exact ? "exact" : "inexact", &item->rule.params);
      put_exprs(out, "where", &item->rule.wheres);
      put_expr(out, item->rule.left);
      put_expr(out, item->rule.right);
      break;
    case LANG_ITEM_BIND:
      put_bind(out, &item->bind);
      break;
    case LANG_ITEM_SECTION:
      put_section(out, &item->section);
      break;
  }
  lang_text_add(out, ")\n");
}

char *lang_file_dump(weir_arena *arena, const lang_file *file) {
  lang_text_out out = {.arena = arena};
  for (int i = 0; i < file->items.count; i++) put_item(&out, file->items.data[i]);
  return lang_text_take(&out);
}
