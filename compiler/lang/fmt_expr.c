// The formatter's expressions, types and patterns. Operators stand at the start of a continued line; a list that does
// not fit has an element a line and a comma behind the last, unless its elements are short words, which fill the lines.
#include "compiler/lang/fmt_write.h"
#include "compiler/lang/text.h"

static void text(lang_fmt *w, const char *t) { lang_doc_text(&w->doc, t); }
static void add(lang_fmt *w, lang_doc_kind kind) { lang_doc_add(&w->doc, kind); }

static void fill_open(lang_fmt *w) {
  add(w, LANG_DOC_FILL);
  lang_doc_indent(&w->doc, LANG_FMT_INDENT);
}

static void fill_close(lang_fmt *w) {
  lang_doc_indent(&w->doc, -LANG_FMT_INDENT);
  add(w, LANG_DOC_CLOSE);
}

// Ends a group that fill_open began and a bracket, which stands at |offset|: a comment before it puts it on a line of
// its own.
static void bracket_close(lang_fmt *w, uint32_t offset, const char *bracket) {
  bool comments = lang_fmt_comment_waits(w, offset);
  lang_fmt_comments(w, offset);
  lang_doc_indent(&w->doc, -LANG_FMT_INDENT);
  if (comments) add(w, LANG_DOC_SOFT);
  text(w, bracket);
  add(w, LANG_DOC_CLOSE);
}

static void comma(lang_fmt *w, int i) {
  if (!i) return;
  text(w, ",");
  add(w, LANG_DOC_LINE);
}

bool lang_fmt_comment_waits(const lang_fmt *w, uint32_t offset) {
  return w->next_comment < w->file->comments.count && w->file->comments.data[w->next_comment].span.begin < offset;
}

void lang_fmt_comments(lang_fmt *w, uint32_t before) {
  while (lang_fmt_comment_waits(w, before)) {
    const lang_comment *c = &w->file->comments.data[w->next_comment++];
    if (c->own_line && c->blank_before && !w->at_start) add(w, LANG_DOC_BLANK);
    lang_doc_comment(&w->doc, c->own_line ? LANG_DOC_OWN : LANG_DOC_TRAILING, c->text);
    if (c->own_line) w->at_start = false;
  }
}

void lang_fmt_joint(lang_fmt *w, const char *sign, uint32_t next) {
  lang_fmt_comments(w, next);
  add(w, LANG_DOC_SPACE);
  text(w, sign);
  add(w, LANG_DOC_SPACE);
}

void lang_fmt_name(lang_fmt *w, const lang_name *name) {
  lang_fmt_comments(w, name->span.begin);
  text(w, name->text);
}

void lang_fmt_names(lang_fmt *w, const lang_names *names) {
  fill_open(w);
  for (int i = 0; i < names->count; i++) {
    comma(w, i);
    lang_fmt_name(w, &names->data[i]);
  }
  fill_close(w);
}

void lang_fmt_paths(lang_fmt *w, const lang_paths *paths) {
  fill_open(w);
  for (int i = 0; i < paths->count; i++) {
    comma(w, i);
    lang_fmt_comments(w, paths->data[i].span.begin);
    text(w, paths->data[i].text);
  }
  fill_close(w);
}

void lang_fmt_exprs(lang_fmt *w, const lang_exprs *exprs) {
  for (int i = 0; i < exprs->count; i++) {
    comma(w, i);
    lang_fmt_expr(w, exprs->data[i]);
  }
}

static void sub_write(lang_fmt *w, const lang_sub *sub) {
  switch (sub->kind) {
    case LANG_SUB_INDEX:
      lang_fmt_expr(w, sub->low);
      break;
    case LANG_SUB_SLICE:
      lang_fmt_comments(w, sub->span.begin);
      if (sub->low) lang_fmt_expr(w, sub->low);
      text(w, sub->inclusive ? "..=" : "..");
      if (sub->high) lang_fmt_expr(w, sub->high);
      break;
    case LANG_SUB_BINDER:
      lang_fmt_name(w, &sub->name);
      lang_fmt_joint(w, "in", 0);
      lang_fmt_expr(w, sub->low);
      break;
    case LANG_SUB_ELLIPSIS:
      lang_fmt_comments(w, sub->span.begin);
      text(w, "...");
      break;
  }
}

void lang_fmt_subs(lang_fmt *w, const lang_subs *subs) {
  fill_open(w);
  text(w, "[");
  for (int i = 0; i < subs->count; i++) {
    comma(w, i);
    sub_write(w, &subs->data[i]);
  }
  text(w, "]");
  fill_close(w);
}

static void args_write(lang_fmt *w, const lang_args *args, const char *open, const char *close, uint32_t end) {
  fill_open(w);
  text(w, open);
  for (int i = 0; i < args->count; i++) {
    const lang_arg *arg = &args->data[i];
    comma(w, i);
    if (arg->kind != LANG_ARG_POSITIONAL) {
      lang_fmt_name(w, &arg->name);
      lang_fmt_joint(w, arg->kind == LANG_ARG_NAMED ? "=" : "in", 0);
    }
    lang_fmt_expr(w, arg->value);
  }
  bracket_close(w, end, close);
}

// A binary operator binds as tight as its level says: or, and, sum, term.
static int level(lang_binary_op op) {
  switch (op) {
    case LANG_OP_OR:
      return 0;
    case LANG_OP_AND:
      return 1;
    case LANG_OP_ADD:
    case LANG_OP_SUB:
      return 2;
    default:
      return 3;
  }
}

static bool continues(const lang_expr *expr, int of_level) {
  return expr->kind == LANG_EXPR_BINARY && !expr->parens && level(expr->binary.op) == of_level;
}

// The operands of one level share one group: they break alike.
static void chain_write(lang_fmt *w, const lang_expr *expr) {
  const lang_expr *left = expr->binary.left;
  if (continues(left, level(expr->binary.op))) chain_write(w, left);
  else lang_fmt_expr(w, left);
  lang_fmt_comments(w, expr->op_span.begin);
  add(w, LANG_DOC_LINE);
  text(w, lang_binary_op_text(expr->binary.op));
  add(w, LANG_DOC_SPACE);
  lang_fmt_expr(w, expr->binary.right);
}

static void compare_write(lang_fmt *w, const lang_expr *expr) {
  for (int i = 0; i < expr->compare.operands.count; i++) {
    if (i) {
      add(w, LANG_DOC_LINE);
      text(w, lang_compare_op_text(expr->compare.ops.data[i - 1]));
      add(w, LANG_DOC_SPACE);
    }
    lang_fmt_expr(w, expr->compare.operands.data[i]);
  }
}

static bool is_short(const lang_expr *expr) {
  if (expr->parens) return false;
  if (expr->kind == LANG_EXPR_UNARY) return expr->unary.op == LANG_OP_NEG && is_short(expr->unary.operand);
  return expr->kind == LANG_EXPR_NAME || expr->kind == LANG_EXPR_NUMBER || expr->kind == LANG_EXPR_STRING;
}

static void list_write(lang_fmt *w, const lang_expr *expr) {
  const lang_exprs *values = &expr->list.values;
  bool words = true;
  for (int i = 0; i < values->count && words; i++) words = is_short(values->data[i]);
  add(w, LANG_DOC_ALL);
  text(w, "[");
  lang_doc_indent(&w->doc, LANG_FMT_INDENT);
  if (values->count) add(w, LANG_DOC_SOFT);
  if (words) add(w, LANG_DOC_FILL);
  lang_fmt_exprs(w, values);
  if (words) add(w, LANG_DOC_CLOSE);
  if (values->count) lang_doc_if_broken(&w->doc, ",");
  bool comments = lang_fmt_comment_waits(w, expr->span.end - 1);
  lang_fmt_comments(w, expr->span.end - 1);
  lang_doc_indent(&w->doc, -LANG_FMT_INDENT);
  if (values->count || comments) add(w, LANG_DOC_SOFT);
  text(w, "]");
  add(w, LANG_DOC_CLOSE);
}

static void comprehension_write(lang_fmt *w, const lang_expr *expr) {
  fill_open(w);
  text(w, "[for ");
  lang_fmt_names(w, &expr->comprehension.names);
  lang_fmt_joint(w, "in", 0);
  lang_fmt_expr(w, expr->comprehension.range);
  text(w, ":");
  add(w, LANG_DOC_LINE);
  lang_fmt_expr(w, expr->comprehension.value);
  bracket_close(w, expr->span.end - 1, "]");
}

static void reduce_write(lang_fmt *w, const lang_expr *expr) {
  lang_fmt_expr(w, expr->reduce.callee);
  fill_open(w);
  text(w, "(");
  for (int i = 0; i < expr->reduce.binders.count; i++) {
    const lang_binder *binder = &expr->reduce.binders.data[i];
    comma(w, i);
    lang_fmt_name(w, &binder->name);
    if (!binder->range) continue;
    lang_fmt_joint(w, "in", 0);
    lang_fmt_expr(w, binder->range);
  }
  text(w, ":");
  add(w, LANG_DOC_SPACE);
  lang_fmt_expr(w, expr->reduce.body);
  if (expr->reduce.guards.count) {
    lang_fmt_comments(w, lang_fmt_first_word(expr->reduce.guards.data[0]));
    add(w, LANG_DOC_LINE);
    text(w, "where ");
    lang_fmt_exprs(w, &expr->reduce.guards);
  }
  bracket_close(w, expr->span.end - 1, ")");
}

static void construct_write(lang_fmt *w, const lang_expr *expr) {
  lang_fmt_name(w, &expr->construct.name);
  bool counts = expr->construct.counts.count > 0;
  args_write(w, &expr->construct.args, "{", "}", counts ? 0 : expr->span.end - 1);
  for (int i = 0; i < expr->construct.counts.count; i++) {
    text(w, "[");
    lang_fmt_expr(w, expr->construct.counts.data[i]);
    text(w, "]");
  }
}

static const char *quoted(lang_fmt *w, const char *string, size_t length) {
  lang_text_out out = {.arena = w->doc.arena};
  lang_text_quote(&out, string, length);
  return lang_text_take(&out);
}

static void bare_write(lang_fmt *w, const lang_expr *expr) {
  switch (expr->kind) {
    case LANG_EXPR_NAME:
      text(w, expr->name);
      break;
    case LANG_EXPR_NUMBER:
      text(w, weir_arena_printf(w->doc.arena, "%s%s", expr->number.text, expr->number.suffix));
      break;
    case LANG_EXPR_STRING:
      text(w, quoted(w, expr->string.text, expr->string.length));
      break;
    case LANG_EXPR_LIST:
      list_write(w, expr);
      break;
    case LANG_EXPR_COMPREHENSION:
      comprehension_write(w, expr);
      break;
    case LANG_EXPR_UNARY:
      text(w, expr->unary.op == LANG_OP_NEG ? "-" : "not ");
      lang_fmt_expr(w, expr->unary.operand);
      break;
    case LANG_EXPR_BINARY:
      fill_open(w);
      chain_write(w, expr);
      fill_close(w);
      break;
    case LANG_EXPR_COMPARE:
      fill_open(w);
      compare_write(w, expr);
      fill_close(w);
      break;
    case LANG_EXPR_FIELD:
      lang_fmt_expr(w, expr->field.base);
      text(w, ".");
      lang_fmt_name(w, &expr->field.name);
      break;
    case LANG_EXPR_INDEX:
      lang_fmt_expr(w, expr->index.base);
      lang_fmt_subs(w, &expr->index.subs);
      break;
    case LANG_EXPR_CALL:
      lang_fmt_expr(w, expr->call.callee);
      args_write(w, &expr->call.args, "(", ")", expr->span.end - 1);
      break;
    case LANG_EXPR_REDUCE:
      reduce_write(w, expr);
      break;
    case LANG_EXPR_RESHAPE:
      lang_fmt_expr(w, expr->reshape.base);
      text(w, " as ");
      lang_fmt_subs(w, &expr->reshape.subs);
      break;
    case LANG_EXPR_RANGE:
      lang_fmt_expr(w, expr->range.low);
      text(w, expr->range.inclusive ? "..=" : "..");
      lang_fmt_expr(w, expr->range.high);
      break;
    case LANG_EXPR_CONSTRUCT:
      construct_write(w, expr);
      break;
    case LANG_EXPR_ERROR:
      break;
  }
}

uint32_t lang_fmt_first_word(const lang_expr *expr) {
  for (;;) {
    switch (expr->kind) {
      case LANG_EXPR_BINARY:
        expr = expr->binary.left;
        break;
      case LANG_EXPR_COMPARE:
        expr = expr->compare.operands.data[0];
        break;
      case LANG_EXPR_FIELD:
        expr = expr->field.base;
        break;
      case LANG_EXPR_INDEX:
        expr = expr->index.base;
        break;
      case LANG_EXPR_CALL:
        expr = expr->call.callee;
        break;
      case LANG_EXPR_REDUCE:
        expr = expr->reduce.callee;
        break;
      case LANG_EXPR_RESHAPE:
        expr = expr->reshape.base;
        break;
      case LANG_EXPR_RANGE:
        expr = expr->range.low;
        break;
      default:
        return expr->span.begin;
    }
  }
}

void lang_fmt_expr(lang_fmt *w, const lang_expr *expr) {
  lang_fmt_comments(w, lang_fmt_first_word(expr));
  for (int i = 0; i < expr->parens; i++) text(w, "(");
  bare_write(w, expr);
  for (int i = 0; i < expr->parens; i++) text(w, ")");
}

void lang_fmt_type(lang_fmt *w, const lang_type *type) {
  lang_fmt_comments(w, type->span.begin);
  if (type->kind == LANG_TYPE_LIST) {
    text(w, "[");
    lang_fmt_type(w, type->element);
    text(w, "]");
    return;
  }
  text(w, type->name.text);
  if (type->kind == LANG_TYPE_TENSOR) lang_fmt_subs(w, &type->subs);
}

static void param_write(lang_fmt *w, const lang_param *param) {
  lang_fmt_name(w, &param->name);
  if (param->type) {
    text(w, ": ");
    lang_fmt_type(w, param->type);
  }
  if (param->range) {
    lang_fmt_joint(w, "in", 0);
    lang_fmt_expr(w, param->range);
  }
  if (param->value) {
    lang_fmt_joint(w, "=", 0);
    lang_fmt_expr(w, param->value);
  }
}

void lang_fmt_params(lang_fmt *w, const lang_params *params, const char *open, const char *close) {
  fill_open(w);
  text(w, open);
  for (int i = 0; i < params->count; i++) {
    comma(w, i);
    param_write(w, &params->data[i]);
  }
  bracket_close(w, params->close, close);
}

void lang_fmt_signature(lang_fmt *w, const lang_signature *signature) {
  lang_fmt_comments(w, signature->span.begin);
  lang_fmt_params(w, &signature->params, "(", ")");
  if (signature->result == LANG_RESULT_NONE) return;
  lang_fmt_joint(w, "->", 0);
  if (signature->result == LANG_RESULT_NAMED) {
    lang_fmt_params(w, &signature->results, "(", ")");
    return;
  }
  lang_fmt_type(w, signature->type);
  if (!signature->range) return;
  lang_fmt_joint(w, "in", 0);
  lang_fmt_expr(w, signature->range);
}

static void atom_add(lang_text_out *out, const lang_atom *atom) {
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
      for (int i = 0; i < atom->names.count; i++)
        lang_text_printf(out, "%s%s", i ? "," : "{", atom->names.data[i].text);
      lang_text_add(out, "}");
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

static const char *pattern_text(lang_fmt *w, const lang_pattern *pattern) {
  lang_text_out out = {.arena = w->doc.arena};
  for (int i = 0; i < pattern->segments.count; i++) {
    if (i) lang_text_put(&out, '.');
    const lang_segment *segment = &pattern->segments.data[i];
    for (int j = 0; j < segment->atoms.count; j++) atom_add(&out, &segment->atoms.data[j]);
  }
  return lang_text_take(&out);
}

void lang_fmt_patterns(lang_fmt *w, const lang_patterns *patterns) {
  fill_open(w);
  for (int i = 0; i < patterns->count; i++) {
    comma(w, i);
    lang_fmt_comments(w, patterns->data[i].span.begin);
    text(w, pattern_text(w, &patterns->data[i]));
  }
  fill_close(w);
}
