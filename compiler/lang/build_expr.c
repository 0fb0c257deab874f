// Builders of expressions. Each sets the node's height from its children's; a node that would be too high stops the
// reading, so that no walk over a tree can run out of stack.
#include "compiler/lang/build.h"

static int higher(int height, const lang_expr *expr) { return expr && expr->height > height ? expr->height : height; }

static int exprs_height(int height, const lang_exprs *exprs) {
  for (int i = 0; i < exprs->count; i++) height = higher(height, exprs->data[i]);
  return height;
}

static int args_height(int height, const lang_args *args) {
  for (int i = 0; i < args->count; i++) height = higher(height, args->data[i].value);
  return height;
}

static int subs_height(int height, const lang_subs *subs) {
  for (int i = 0; i < subs->count; i++) height = higher(higher(height, subs->data[i].low), subs->data[i].high);
  return height;
}

static lang_expr *expr_make(lang_reader *reader, lang_expr_kind kind, lang_span span, int children_height) {
  lang_expr *expr = WEIR_NEW(reader->arena, lang_expr);
  expr->kind = kind;
  expr->span = span;
  expr->height = (uint16_t)(children_height + 1);
  if (children_height >= LANG_MAX_HEIGHT) {
    lang_reader_too_deep(reader, span);
    expr->kind = LANG_EXPR_ERROR;
    expr->height = 1;
  }
  return expr;
}

// Members of the union may be written only when expr_make has not made an error of it.
static bool whole(const lang_expr *expr) { return expr->kind != LANG_EXPR_ERROR; }

lang_expr *lang_build_name(lang_reader *reader, lang_name name) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_NAME, name.span, 0);
  expr->name = name.text;
  return expr;
}

lang_expr *lang_build_number(lang_reader *reader, lang_span span, lang_number number) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_NUMBER, span, 0);
  expr->number = number;
  return expr;
}

lang_expr *lang_build_string(lang_reader *reader, lang_span span, lang_text text) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_STRING, span, 0);
  expr->string.text = text.text;
  expr->string.length = text.length;
  return expr;
}

lang_expr *lang_build_parens(lang_expr *expr) {
  expr->parens++;
  return expr;
}

lang_expr *lang_build_list(lang_reader *reader, lang_span span, const lang_exprs *values) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_LIST, span, values ? exprs_height(0, values) : 0);
  if (values && whole(expr)) expr->list.values = *values;
  return expr;
}

lang_expr *lang_build_comprehension(lang_reader *reader, lang_span span, lang_names names, lang_expr *range,
                                    lang_expr *value) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_COMPREHENSION, span, higher(range->height, value));
  if (!whole(expr)) return expr;
  expr->comprehension.names = names;
  expr->comprehension.range = range;
  expr->comprehension.value = value;
  return expr;
}

lang_expr *lang_build_unary(lang_reader *reader, lang_span span, lang_span op, lang_unary_op kind, lang_expr *operand) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_UNARY, span, operand->height);
  if (!whole(expr)) return expr;
  expr->op_span = op;
  expr->unary.op = kind;
  expr->unary.operand = operand;
  return expr;
}

lang_expr *lang_build_binary(lang_reader *reader, lang_span span, lang_span op, lang_binary_op kind, lang_expr *left,
                             lang_expr *right) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_BINARY, span, higher(left->height, right));
  if (!whole(expr)) return expr;
  expr->op_span = op;
  expr->binary.op = kind;
  expr->binary.left = left;
  expr->binary.right = right;
  return expr;
}

// A comparison of a comparison without parentheses goes on with its chain.
lang_expr *lang_build_compare(lang_reader *reader, lang_span span, lang_span op, lang_compare_op kind, lang_expr *left,
                              lang_expr *right) {
  bool chained = left->kind == LANG_EXPR_COMPARE && !left->parens;
  lang_expr *expr =
      expr_make(reader, LANG_EXPR_COMPARE, span, higher(chained ? left->height - 1 : left->height, right));
  if (!whole(expr)) return expr;
  expr->op_span = op;
  if (chained) {
    expr->op_span = left->op_span;
    expr->compare.operands = left->compare.operands;
    expr->compare.ops = left->compare.ops;
  } else {
    LANG_PUSH(reader->arena, &expr->compare.operands, left);
  }
  LANG_PUSH(reader->arena, &expr->compare.operands, right);
  LANG_PUSH(reader->arena, &expr->compare.ops, kind);
  return expr;
}

lang_expr *lang_build_field(lang_reader *reader, lang_span span, lang_expr *base, lang_name name) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_FIELD, span, base->height);
  if (!whole(expr)) return expr;
  expr->op_span = name.span;
  expr->field.base = base;
  expr->field.name = name;
  return expr;
}

lang_expr *lang_build_index(lang_reader *reader, lang_span span, lang_expr *base, const lang_subs *subs) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_INDEX, span, subs_height(base->height, subs));
  if (!whole(expr)) return expr;
  expr->index.base = base;
  expr->index.subs = *subs;
  return expr;
}

// Positional arguments come first, and only reducers bind.
static void args_check(lang_reader *reader, const lang_args *args) {
  bool named = false;
  for (int i = 0; i < args->count; i++) {
    const lang_arg *arg = &args->data[i];
    if (arg->kind == LANG_ARG_BINDER) lang_diag_add(&reader->diags, LANG_W_STRAY_BINDER, arg->span);
    if (arg->kind == LANG_ARG_POSITIONAL && named) lang_diag_add(&reader->diags, LANG_W_BAD_NAMED_ARG, arg->span);
    named |= arg->kind == LANG_ARG_NAMED;
  }
}

lang_expr *lang_build_call(lang_reader *reader, lang_span span, lang_expr *callee, const lang_args *args) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_CALL, span, args_height(callee->height, args));
  if (!whole(expr)) return expr;
  args_check(reader, args);
  expr->call.callee = callee;
  expr->call.args = *args;
  return expr;
}

lang_expr *lang_build_reduce(lang_reader *reader, lang_span span, lang_expr *callee, const lang_args *args,
                             lang_expr *body, const lang_exprs *guards) {
  int height = exprs_height(higher(args_height(callee->height, args), body), guards);
  lang_expr *expr = expr_make(reader, LANG_EXPR_REDUCE, span, height);
  if (!whole(expr)) return expr;
  for (int i = 0; i < args->count; i++) {
    const lang_arg *arg = &args->data[i];
    bool bare = arg->kind == LANG_ARG_POSITIONAL && arg->value->kind == LANG_EXPR_NAME && !arg->value->parens;
    if (arg->kind == LANG_ARG_BINDER)
      LANG_PUSH(reader->arena, &expr->reduce.binders, ((lang_binder){arg->name, arg->value}));
    else if (bare)
      LANG_PUSH(reader->arena, &expr->reduce.binders, ((lang_binder){{arg->value->name, arg->span}, NULL}));
    else lang_diag_add(&reader->diags, LANG_W_BAD_BINDER, arg->span);
  }
  expr->reduce.callee = callee;
  expr->reduce.body = body;
  expr->reduce.guards = *guards;
  return expr;
}

lang_expr *lang_build_reshape(lang_reader *reader, lang_span span, lang_span op, lang_expr *base,
                              const lang_subs *subs) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_RESHAPE, span, subs_height(base->height, subs));
  if (!whole(expr)) return expr;
  lang_build_check_dims(reader, subs);
  expr->op_span = op;
  expr->reshape.base = base;
  expr->reshape.subs = *subs;
  return expr;
}

lang_expr *lang_build_range(lang_reader *reader, lang_span span, lang_expr *low, lang_expr *high, bool inclusive) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_RANGE, span, higher(low->height, high));
  if (!whole(expr)) return expr;
  expr->range.low = low;
  expr->range.high = high;
  expr->range.inclusive = inclusive;
  return expr;
}

lang_expr *lang_build_construct(lang_reader *reader, lang_span span, lang_name name, const lang_args *args) {
  lang_expr *expr = expr_make(reader, LANG_EXPR_CONSTRUCT, span, args_height(0, args));
  if (!whole(expr)) return expr;
  args_check(reader, args);
  expr->construct.name = name;
  expr->construct.args = *args;
  return expr;
}

// The construction grows in place: counts are a list, not levels of a tree.
lang_expr *lang_build_construct_count(lang_reader *reader, lang_span span, lang_expr *construct, lang_expr *count) {
  if (!whole(construct)) return construct;
  lang_expr *expr = expr_make(reader, LANG_EXPR_CONSTRUCT, span, higher(construct->height - 1, count));
  if (!whole(expr)) return expr;
  expr->construct.name = construct->construct.name;
  expr->construct.args = construct->construct.args;
  expr->construct.counts = construct->construct.counts;
  LANG_PUSH(reader->arena, &expr->construct.counts, count);
  return expr;
}

lang_sub lang_build_sub(lang_span span, lang_expr *range) {
  if (range->kind != LANG_EXPR_RANGE || range->parens)
    return (lang_sub){.kind = LANG_SUB_INDEX, .low = range, .span = span};
  return (lang_sub){.kind = LANG_SUB_SLICE,
                    .low = range->range.low,
                    .high = range->range.high,
                    .inclusive = range->range.inclusive,
                    .span = span};
}

void lang_build_check_dims(lang_reader *reader, const lang_subs *subs) {
  for (int i = 0; i < subs->count; i++) {
    lang_sub_kind kind = subs->data[i].kind;
    if (kind == LANG_SUB_SLICE || kind == LANG_SUB_BINDER)
      lang_diag_add(&reader->diags, LANG_W_NOT_A_DIM, subs->data[i].span);
  }
}
