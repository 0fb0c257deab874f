// The range of an index that does not say one: the dim that it subscripts bare somewhere on the right. All places must
// agree. Looks at the text before anything of it is evaluated, so only names, members and elements of lists are
// followed as what is subscripted; elsewhere an index says its range itself.
#include <string.h>

#include "compiler/lang/elab_index.h"

typedef struct {
  lang_frame *frame;
  const lang_name *name;
  ir_dim dim;
  const char *label;
  lang_span span;
  bool failed;
} search;

static void look(search *s, const lang_expr *expr);

static void look_all(search *s, const lang_exprs *exprs) {
  for (int i = 0; i < exprs->count; i++) look(s, exprs->data[i]);
}

// A name, a member of one, an element of a list: what can be evaluated without building anything.
static bool is_path(const lang_expr *expr) {
  while (expr->kind == LANG_EXPR_FIELD || expr->kind == LANG_EXPR_INDEX) {
    if (expr->kind == LANG_EXPR_INDEX) {
      const lang_subs *subs = &expr->index.subs;
      bool number = subs->count == 1 && subs->data[0].kind == LANG_SUB_INDEX &&
                    (subs->data[0].low->kind == LANG_EXPR_NUMBER || subs->data[0].low->kind == LANG_EXPR_NAME);
      if (!number) return false;
      expr = expr->index.base;
    } else {
      expr = expr->field.base;
    }
  }
  return expr->kind == LANG_EXPR_NAME;
}

static bool is_bare(const search *s, const lang_sub *sub) {
  return sub->kind == LANG_SUB_INDEX && sub->low->kind == LANG_EXPR_NAME && !strcmp(sub->low->name, s->name->text);
}

static void found(search *s, const lang_tensor_value *x, int axis, lang_span span) {
  lang_elab *elab = s->frame->elab;
  ir_dim dim = x->value->type.dims[axis];
  if (s->dim && !lang_dim_equal(elab->module->dims, s->dim, dim)) {
    if (!s->failed) {
      lang_diag *diag = lang_error(elab, LANG_W_INDEX_RANGES, span, s->name->text, ir_dim_print(elab->arena, dim),
                                   ir_dim_print(elab->arena, s->dim));
      lang_note_add(elab, diag, s->span, "here it runs over %s", ir_dim_print(elab->arena, s->dim));
      lang_note_add(elab, diag, (lang_span){0}, "an index that says its range, `%s in %s`, is proved at each place",
                    s->name->text, ir_dim_print(elab->arena, s->dim));
    }
    s->failed = true;
    return;
  }
  if (s->dim) return;
  s->dim = dim;
  s->label = x->labels[axis];
  s->span = span;
}

static void look_index(search *s, const lang_expr *expr) {
  const lang_subs *subs = &expr->index.subs;
  bool bare = false;
  for (int i = 0; i < subs->count; i++) bare = bare || is_bare(s, &subs->data[i]);
  if (bare && is_path(expr->index.base)) {
    lang_value base = lang_eval(s->frame, expr->index.base);
    if (lang_value_void(base)) s->failed = true;  // reported where it was made
    int rank = base.kind == LANG_V_TENSOR ? base.tensor->value->type.rank : 0;
    int dots = -1;
    for (int i = 0; i < subs->count; i++) dots = subs->data[i].kind == LANG_SUB_ELLIPSIS ? i : dots;
    int extra = rank - (subs->count - (dots >= 0));
    if (base.kind == LANG_V_TENSOR && extra < 0) {
      lang_error(s->frame->elab, LANG_W_TOO_MANY_SUBSCRIPTS, expr->span,
                 lang_tensor_text(s->frame->elab->arena, base.tensor));
      s->failed = true;
    }
    for (int i = 0, axis = 0; extra >= 0 && i < subs->count; i++) {
      if (i == dots) axis += extra;
      else if (is_bare(s, &subs->data[i])) found(s, base.tensor, axis++, subs->data[i].span);
      else axis++;
    }
  } else if (!is_path(expr->index.base)) {
    look(s, expr->index.base);
  }
  for (int i = 0; i < subs->count; i++) {
    if (subs->data[i].low) look(s, subs->data[i].low);
    if (subs->data[i].high) look(s, subs->data[i].high);
  }
}

static bool binds(const search *s, const lang_expr *expr) {
  for (int i = 0; i < expr->reduce.binders.count; i++) {
    if (!strcmp(expr->reduce.binders.data[i].name.text, s->name->text)) return true;
  }
  return false;
}

static void look(search *s, const lang_expr *expr) {
  if (s->failed || !lang_spend(s->frame->elab, 1, expr->span)) return;
  switch (expr->kind) {
    case LANG_EXPR_UNARY:
      look(s, expr->unary.operand);
      return;
    case LANG_EXPR_BINARY:
      look(s, expr->binary.left);
      look(s, expr->binary.right);
      return;
    case LANG_EXPR_COMPARE:
      look_all(s, &expr->compare.operands);
      return;
    case LANG_EXPR_LIST:
      look_all(s, &expr->list.values);
      return;
    case LANG_EXPR_FIELD:
      look(s, expr->field.base);
      return;
    case LANG_EXPR_INDEX:
      look_index(s, expr);
      return;
    case LANG_EXPR_CALL:
      look(s, expr->call.callee);
      for (int i = 0; i < expr->call.args.count; i++) look(s, expr->call.args.data[i].value);
      return;
    case LANG_EXPR_RESHAPE:
      look(s, expr->reshape.base);
      return;
    case LANG_EXPR_REDUCE:
      if (binds(s, expr)) return;
      look(s, expr->reduce.body);
      look_all(s, &expr->reduce.guards);
      return;
    default:
      return;
  }
}

bool lang_index_find_range(lang_frame *frame, const lang_name *name, const lang_expr *expr, ir_dim *out,
                           const char **out_label) {
  search s = {.frame = frame, .name = name, .dim = *out, .label = *out_label, .span = name->span};
  look(&s, expr);
  *out = s.dim;
  *out_label = s.label;
  return !s.failed;
}
