// Expressions: one function per kind, from tree to value. Numbers are computed here; as soon as a tensor takes part an
// op is built (elab_ops.c). Calls, construction and shapes have files of their own.
#include <math.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

// ---- numbers

static lang_value number(lang_frame *frame, const lang_expr *expr) {
  const lang_number *n = &expr->number;
  if (n->overflow) return lang_value_error();
  if (n->unit != LANG_UNIT_NONE && n->unit != LANG_UNIT_COUNT) {
    lang_error(frame->elab, LANG_W_UNIT_HERE, expr->span, n->suffix);
    return lang_value_error();
  }
  return n->is_int ? lang_value_int(n->i) : lang_value_float(n->f);
}

static lang_value overflow(lang_frame *frame, lang_span span) {
  lang_error(frame->elab, LANG_W_OVERFLOW, span);
  return lang_value_error();
}

static lang_value divide_by_zero(lang_frame *frame, lang_span span) {
  lang_error(frame->elab, LANG_W_DIVIDE_BY_ZERO, span);
  return lang_value_error();
}

static lang_value int_arithmetic(lang_frame *frame, lang_binary_op op, int64_t a, int64_t b, lang_span span) {
  int64_t r = 0;
  bool ok = true;
  if ((op == LANG_OP_DIV || op == LANG_OP_MOD) && b == 0) return divide_by_zero(frame, span);
  switch (op) {
    case LANG_OP_ADD:
      ok = weir_add_i64(a, b, &r);
      break;
    case LANG_OP_SUB:
      ok = !__builtin_sub_overflow(a, b, &r);
      break;
    case LANG_OP_MUL:
      ok = weir_mul_i64(a, b, &r);
      break;
    default:
      if (b == -1) {  // INT64_MIN / -1 leaves 64 bits
        if (op == LANG_OP_DIV) ok = !__builtin_sub_overflow((int64_t)0, a, &r);
        break;
      }
      r = op == LANG_OP_DIV ? a / b : a % b;
      if (a % b != 0 && (a % b < 0) != (b < 0)) r += op == LANG_OP_DIV ? -1 : b;
  }
  return ok ? lang_value_int(r) : overflow(frame, span);
}

static lang_value float_arithmetic(lang_binary_op op, double a, double b) {
  switch (op) {
    case LANG_OP_ADD:
      return lang_value_float(a + b);
    case LANG_OP_SUB:
      return lang_value_float(a - b);
    case LANG_OP_MUL:
      return lang_value_float(a * b);
    case LANG_OP_DIV:
      return lang_value_float(a / b);
    default:
      return lang_value_float(a - b * floor(a / b));
  }
}

static ir_dim as_dim(lang_frame *frame, lang_value v) {
  return v.kind == LANG_V_DIM ? v.dim : ir_dim_const(frame->elab->module->dims, v.i);
}

static void find_unbounded(void *user, const ir_symbol *symbol) {
  if (symbol->hi == INT64_MAX) *(bool *)user = true;
}

// Whether a size leaves 64 bits at the bounds that its dims are declared with.
static bool may_overflow(ir_dim dim) {
  int64_t lo, hi;
  bool unbounded = false;
  ir_dim_bounds(dim, &lo, &hi);
  if (hi == INT64_MAX || lo == INT64_MIN) ir_dim_visit(dim, find_unbounded, &unbounded);
  return (hi == INT64_MAX || lo == INT64_MIN) && !unbounded;
}

static lang_value dim_arithmetic(lang_frame *frame, lang_binary_op op, lang_value a, lang_value b, lang_span span) {
  ir_dim_table *dims = frame->elab->module->dims;
  ir_dim x = as_dim(frame, a), y = as_dim(frame, b), r = NULL;
  int64_t divisor;
  if (!lang_spend(frame->elab, 16, span)) return lang_value_error();
  if ((op == LANG_OP_DIV || op == LANG_OP_MOD) && ir_dim_is_const(y, &divisor) && divisor == 0)
    return divide_by_zero(frame, span);
  switch (op) {
    case LANG_OP_ADD:
      r = ir_dim_add(dims, x, y);
      break;
    case LANG_OP_SUB:
      r = ir_dim_sub(dims, x, y);
      break;
    case LANG_OP_MUL:
      r = ir_dim_mul(dims, x, y);
      break;
    case LANG_OP_DIV:
      r = ir_dim_div(dims, x, y);
      break;
    default:
      r = ir_dim_mod(dims, x, y);
      break;
  }
  return r && !may_overflow(r) ? lang_value_of_dim(r) : overflow(frame, span);
}

static lang_value join_lists(lang_frame *frame, lang_value a, lang_value b, lang_span span) {
  if (!lang_spend(frame->elab, a.list.count + b.list.count, span)) return lang_value_error();
  lang_value r = {.kind = LANG_V_LIST, .list = {NULL, a.list.count + b.list.count}};
  r.list.items = WEIR_NEW_ARRAY(frame->elab->arena, lang_value, r.list.count ? r.list.count : 1);
  for (int64_t i = 0; i < r.list.count; i++) {
    r.list.items[i] = i < a.list.count ? a.list.items[i] : b.list.items[i - a.list.count];
  }
  return r;
}

static lang_value bad_operands(lang_frame *frame, const char *op, lang_value a, lang_value b, lang_span span) {
  weir_arena *arena = frame->elab->arena;
  lang_error(frame->elab, LANG_W_BAD_OPERANDS, span, op, lang_value_describe(arena, a), lang_value_describe(arena, b));
  return lang_value_error();
}

static bool is_size(lang_value v) { return v.kind == LANG_V_INT || v.kind == LANG_V_DIM; }
static bool is_scalar(lang_value v) {
  return lang_value_is_number(v) || v.kind == LANG_V_DIM || v.kind == LANG_V_TENSOR;
}

lang_value lang_arithmetic(lang_frame *frame, lang_binary_op op, lang_value a, lang_value b, lang_span span) {
  static const ir_op ops[] = {[LANG_OP_ADD] = IR_OP_add,
                              [LANG_OP_SUB] = IR_OP_sub,
                              [LANG_OP_MUL] = IR_OP_mul,
                              [LANG_OP_DIV] = IR_OP_div,
                              [LANG_OP_MOD] = IR_OP_mod};
  if (lang_value_void(a) || lang_value_void(b)) return lang_value_void_of(a, b);
  if (a.kind == LANG_V_INT && b.kind == LANG_V_INT) return int_arithmetic(frame, op, a.i, b.i, span);
  if (lang_value_is_number(a) && lang_value_is_number(b)) {
    return float_arithmetic(op, lang_value_number(a), lang_value_number(b));
  }
  if (is_size(a) && is_size(b)) return dim_arithmetic(frame, op, a, b, span);
  if (op == LANG_OP_ADD && a.kind == LANG_V_LIST && b.kind == LANG_V_LIST) return join_lists(frame, a, b, span);
  bool tensor = a.kind == LANG_V_TENSOR || b.kind == LANG_V_TENSOR;
  bool divides = op == LANG_OP_DIV || op == LANG_OP_MOD;
  if (divides && a.kind == LANG_V_TENSOR && ir_dtype_is_int(a.tensor->value->type.dtype) && b.kind == LANG_V_INT &&
      !b.i)
    return divide_by_zero(frame, span);
  if (tensor && is_scalar(a) && is_scalar(b)) return lang_elementwise(frame, ops[op], (lang_value[]){a, b}, 2, span);
  return bad_operands(frame, lang_binary_op_text(op), a, b, span);
}

// ---- logic

static bool is_bools(lang_value v) { return v.kind == LANG_V_TENSOR && v.tensor->value->type.dtype == IR_bool; }

static lang_value logic(lang_frame *frame, const lang_expr *expr) {
  bool is_and = expr->binary.op == LANG_OP_AND;
  lang_value a = lang_eval(frame, expr->binary.left);
  if (a.kind == LANG_V_BOOL && a.b != is_and) return a;
  lang_value b = lang_eval(frame, expr->binary.right);
  if (lang_value_void(a) || lang_value_void(b)) return lang_value_void_of(a, b);
  if (a.kind == LANG_V_BOOL && b.kind == LANG_V_BOOL) return b;
  // What is known while laying out decides, or leaves the other side.
  if (a.kind == LANG_V_BOOL && is_bools(b)) return b;
  if (b.kind == LANG_V_BOOL && is_bools(a)) return b.b == is_and ? a : b;
  if (a.kind == LANG_V_TENSOR && b.kind == LANG_V_TENSOR) {
    return lang_elementwise(frame, is_and ? IR_OP_and : IR_OP_or, (lang_value[]){a, b}, 2, expr->op_span);
  }
  return bad_operands(frame, lang_binary_op_text(expr->binary.op), a, b, expr->op_span);
}

static lang_value binary(lang_frame *frame, const lang_expr *expr) {
  if (expr->binary.op == LANG_OP_AND || expr->binary.op == LANG_OP_OR) return logic(frame, expr);
  lang_value a = lang_eval(frame, expr->binary.left);
  lang_value b = lang_eval(frame, expr->binary.right);
  return lang_arithmetic(frame, expr->binary.op, a, b, expr->op_span);
}

static lang_value unary(lang_frame *frame, const lang_expr *expr) {
  lang_value v = lang_eval(frame, expr->unary.operand);
  if (lang_value_void(v)) return v;
  if (expr->unary.op == LANG_OP_NOT) {
    if (v.kind == LANG_V_BOOL) return lang_value_bool(!v.b);
    if (v.kind == LANG_V_TENSOR) return lang_elementwise(frame, IR_OP_not, &v, 1, expr->span);
  } else {
    if (v.kind == LANG_V_FLOAT) return lang_value_float(-v.f);
    if (is_size(v)) return lang_arithmetic(frame, LANG_OP_SUB, lang_value_int(0), v, expr->span);
    if (v.kind == LANG_V_TENSOR) return lang_elementwise(frame, IR_OP_neg, &v, 1, expr->span);
  }
  lang_error(frame->elab, LANG_W_BAD_OPERAND, expr->span, lang_unary_op_text(expr->unary.op),
             lang_value_describe(frame->elab->arena, v));
  return lang_value_error();
}

// ---- comparisons

static bool holds(lang_compare_op op, double a, double b) {
  switch (op) {
    case LANG_OP_LT:
      return a < b;
    case LANG_OP_GT:
      return a > b;
    case LANG_OP_LE:
      return a <= b;
    case LANG_OP_GE:
      return a >= b;
    case LANG_OP_EQ:
      return a == b;
    default:
      return a != b;
  }
}

static bool int_holds(lang_compare_op op, int64_t a, int64_t b) { return holds(op, a < b ? -1 : a > b, 0); }

static lang_value undecided(lang_frame *frame, lang_compare_op op, const lang_expr *expr, lang_value a, lang_value b) {
  lang_elab *elab = frame->elab;
  bool demanded = elab->demand.file != 0;
  lang_diag *diag =
      lang_error(elab, LANG_W_UNDECIDED, demanded ? elab->demand : expr->span, lang_span_text(elab, expr->span));
  if (demanded) lang_note_add(elab, diag, expr->span, "demanded here");
  lang_note_add(elab, diag, (lang_span){0}, "left is %s, right is %s", lang_value_print(elab->arena, a),
                lang_value_print(elab->arena, b));
  lang_note_missing(elab, diag, op, as_dim(frame, a), as_dim(frame, b));
  return lang_value_error();
}

lang_value lang_compare(lang_frame *frame, lang_compare_op op, lang_value a, lang_value b, const lang_expr *expr) {
  static const ir_op ops[] = {[LANG_OP_LT] = IR_OP_lt, [LANG_OP_GT] = IR_OP_gt, [LANG_OP_LE] = IR_OP_le,
                              [LANG_OP_GE] = IR_OP_ge, [LANG_OP_EQ] = IR_OP_eq, [LANG_OP_NE] = IR_OP_ne};
  if (lang_value_void(a) || lang_value_void(b)) return lang_value_void_of(a, b);
  if (a.kind == LANG_V_INT && b.kind == LANG_V_INT) return lang_value_bool(int_holds(op, a.i, b.i));
  if (lang_value_is_number(a) && lang_value_is_number(b)) {
    return lang_value_bool(holds(op, lang_value_number(a), lang_value_number(b)));
  }
  if (is_size(a) && is_size(b)) {
    int decided = lang_dim_decide(frame->elab->module->dims, op, as_dim(frame, a), as_dim(frame, b));
    return decided < 0 ? undecided(frame, op, expr, a, b) : lang_value_bool(decided);
  }
  if ((a.kind == LANG_V_TENSOR || b.kind == LANG_V_TENSOR) && is_scalar(a) && is_scalar(b)) {
    return lang_elementwise(frame, ops[op], (lang_value[]){a, b}, 2, expr->op_span);
  }
  bool comparable = a.kind == b.kind && (a.kind == LANG_V_BOOL || a.kind == LANG_V_STRING || a.kind == LANG_V_DTYPE ||
                                         a.kind == LANG_V_LIST);
  if (comparable && (op == LANG_OP_EQ || op == LANG_OP_NE)) {
    if (a.kind == LANG_V_LIST && !lang_spend(frame->elab, a.list.count, expr->span)) return lang_value_error();
    return lang_value_bool(lang_value_equal(a, b) == (op == LANG_OP_EQ));
  }
  return bad_operands(frame, lang_compare_op_text(op), a, b, expr->op_span);
}

static lang_value compare_chain(lang_frame *frame, const lang_expr *expr) {
  lang_value left = lang_eval(frame, expr->compare.operands.data[0]), all = lang_value_bool(true);
  for (int i = 0; i < expr->compare.ops.count; i++) {
    lang_value right = lang_eval(frame, expr->compare.operands.data[i + 1]);
    lang_value one = lang_compare(frame, expr->compare.ops.data[i], left, right, expr);
    if (lang_value_void(one) || (one.kind == LANG_V_BOOL && !one.b)) return one;
    if (one.kind == LANG_V_TENSOR) {
      all = all.kind == LANG_V_TENSOR ? lang_elementwise(frame, IR_OP_and, (lang_value[]){all, one}, 2, expr->op_span)
                                      : one;
    }
    left = right;
  }
  return all;
}

// ---- lists and ranges

static lang_value list(lang_frame *frame, const lang_expr *expr) {
  lang_value r = {.kind = LANG_V_LIST, .list = {NULL, expr->list.values.count}};
  r.list.items = WEIR_NEW_ARRAY(frame->elab->arena, lang_value, r.list.count ? r.list.count : 1);
  lang_value bad = {.kind = LANG_V_NONE};
  for (int64_t i = 0; i < r.list.count; i++) {
    r.list.items[i] = lang_eval(frame, expr->list.values.data[i]);
    const lang_value *item = &r.list.items[i];
    if (item->kind == LANG_V_TENSOR && item->tensor->state) {
      lang_error(frame->elab, LANG_W_STATE_SECOND_NAME, expr->list.values.data[i]->span, item->tensor->state->path);
      r.list.items[i] = lang_value_error();
    }
    if (lang_value_void(r.list.items[i]) && bad.kind != LANG_V_ERROR) bad = r.list.items[i];
  }
  return bad.kind == LANG_V_NONE ? r : bad;
}

static lang_value range(lang_frame *frame, const lang_expr *expr) {
  lang_value ends[2] = {lang_eval(frame, expr->range.low), lang_eval(frame, expr->range.high)};
  if (lang_value_void(ends[0]) || lang_value_void(ends[1])) return lang_value_void_of(ends[0], ends[1]);
  if (!is_size(ends[0]) || !is_size(ends[1])) return bad_operands(frame, "..", ends[0], ends[1], expr->span);
  if (expr->range.inclusive) ends[1] = lang_arithmetic(frame, LANG_OP_ADD, ends[1], lang_value_int(1), expr->span);
  return lang_value_void(ends[1]) ? ends[1] : lang_value_list(frame->elab->arena, LANG_V_RANGE, ends, 2);
}

static lang_value comprehension(lang_frame *frame, const lang_expr *expr) {
  lang_elab *elab = frame->elab;
  lang_value over = lang_eval(frame, expr->comprehension.range);
  if (lang_value_void(over)) return over;
  int64_t count = lang_iterations(frame, over, expr->comprehension.range->span);
  if (count < 0 || !lang_spend(elab, count, expr->span)) return lang_value_error();
  lang_value r = {.kind = LANG_V_LIST, .list = {WEIR_NEW_ARRAY(elab->arena, lang_value, count ? count : 1), count}};
  lang_scope *outer = frame->scope;
  const lang_names *names = &expr->comprehension.names;
  lang_value bad = {.kind = LANG_V_NONE}, item;
  for (int64_t i = 0; i < count && bad.kind == LANG_V_NONE; i++) {
    frame->scope = lang_scope_create(elab->arena, outer);
    lang_value *parts = WEIR_NEW_ARRAY(elab->arena, lang_value, names->count);
    bool ok = lang_iterate(frame, over, i, &item) &&
              lang_unpack(frame, item, names->count, parts, expr->comprehension.range->span);
    for (int k = 0; ok && k < names->count; k++) {
      lang_scope_add(elab->arena, frame->scope, names->data[k].text, parts[k], LANG_BINDING_CONST, names->data[k].span);
    }
    r.list.items[i] = ok ? lang_eval(frame, expr->comprehension.value) : lang_value_error();
    if (lang_value_void(r.list.items[i])) bad = r.list.items[i];
  }
  frame->scope = outer;
  return bad.kind == LANG_V_NONE ? r : bad;
}

// ---- all kinds

static lang_value dispatch(lang_frame *frame, const lang_expr *expr) {
  switch (expr->kind) {
    case LANG_EXPR_NAME:
      return lang_lookup(frame, expr->name, expr->span);
    case LANG_EXPR_NUMBER:
      return number(frame, expr);
    case LANG_EXPR_STRING:
      return (lang_value){.kind = LANG_V_STRING, .s = expr->string.text};
    case LANG_EXPR_LIST:
      return list(frame, expr);
    case LANG_EXPR_COMPREHENSION:
      return comprehension(frame, expr);
    case LANG_EXPR_UNARY:
      return unary(frame, expr);
    case LANG_EXPR_BINARY:
      return binary(frame, expr);
    case LANG_EXPR_COMPARE:
      return compare_chain(frame, expr);
    case LANG_EXPR_FIELD:
      return lang_field(frame, lang_eval(frame, expr->field.base), expr);
    case LANG_EXPR_INDEX:
      return lang_index(frame, expr);
    case LANG_EXPR_CALL:
      return lang_eval_call(frame, expr);
    case LANG_EXPR_REDUCE:
      return lang_index_reduce(frame, expr);
    case LANG_EXPR_RESHAPE:
      return lang_reshape(frame, expr);
    case LANG_EXPR_RANGE:
      return range(frame, expr);
    case LANG_EXPR_CONSTRUCT:
      return lang_construct(frame, expr);
    case LANG_EXPR_ERROR:
      return lang_value_error();
  }
  return lang_value_error();
}

lang_value lang_eval(lang_frame *frame, const lang_expr *expr) {
  if (!lang_spend(frame->elab, 1, expr->span) || !lang_enter(frame->elab, expr->span)) return lang_value_error();
  lang_value value = dispatch(frame, expr);
  lang_leave(frame->elab);
  lang_observer *observer = frame->elab->options->observer;
  if (observer) observer->value(observer, expr, &value);
  return value;
}

// ---- what a place wants

ir_dim lang_eval_dim(lang_frame *frame, const lang_expr *expr, bool *out_later) {
  lang_value v = lang_eval(frame, expr);
  if (out_later) *out_later = v.kind == LANG_V_LATER;
  if (lang_value_void(v)) return NULL;
  if (v.kind == LANG_V_DIM) return v.dim;
  if (v.kind == LANG_V_INT && v.i >= 0) return ir_dim_const(frame->elab->module->dims, v.i);
  lang_error(frame->elab, LANG_W_BAD_DIM, expr->span, lang_value_describe(frame->elab->arena, v));
  return NULL;
}

bool lang_eval_int(lang_frame *frame, const lang_expr *expr, int64_t *out) {
  lang_value v = lang_eval(frame, expr);
  if (lang_value_void(v)) return false;
  if (v.kind == LANG_V_INT) {
    *out = v.i;
    return true;
  }
  lang_error(frame->elab, LANG_W_WANTS_INT, expr->span, lang_value_describe(frame->elab->arena, v));
  return false;
}

static bool truth_of(lang_frame *frame, const lang_expr *expr, lang_value v, bool *out) {
  if (lang_value_void(v)) return false;
  if (v.kind == LANG_V_BOOL) {
    *out = v.b;
    return true;
  }
  lang_error(frame->elab, v.kind == LANG_V_TENSOR ? LANG_W_RUN_TIME_CONDITION : LANG_W_WANTS_BOOL, expr->span,
             lang_value_describe(frame->elab->arena, v));
  return false;
}

bool lang_truth(lang_frame *frame, const lang_expr *expr, bool *out) {
  return truth_of(frame, expr, lang_eval(frame, expr), out);
}

static void note_names(lang_frame *frame, lang_diag *diag, const lang_expr *expr, int *left) {
  if (*left <= 0) return;
  switch (expr->kind) {
    case LANG_EXPR_NAME: {
      const lang_binding *bound = lang_scope_find(frame->scope, expr->name);
      if (!bound || lang_value_void(bound->value)) return;
      --*left;
      lang_note_add(frame->elab, diag, bound->span, "%s is %s", expr->name,
                    lang_value_print(frame->elab->arena, bound->value));
      return;
    }
    case LANG_EXPR_UNARY:
      note_names(frame, diag, expr->unary.operand, left);
      return;
    case LANG_EXPR_BINARY:
      note_names(frame, diag, expr->binary.left, left);
      note_names(frame, diag, expr->binary.right, left);
      return;
    case LANG_EXPR_COMPARE:
      for (int i = 0; i < expr->compare.operands.count; i++)
        note_names(frame, diag, expr->compare.operands.data[i], left);
      return;
    default:
      return;
  }
}

bool lang_prove(lang_frame *frame, const lang_exprs *wheres, lang_span use) {
  bool all = true;
  for (int i = 0; i < wheres->count; i++) {
    const lang_expr *where = wheres->data[i];
    bool truth;
    lang_span outer = frame->elab->demand;
    frame->elab->demand = use;
    lang_value value = lang_eval(frame, where);
    frame->elab->demand = outer;
    if (value.kind == LANG_V_LATER) continue;
    bool decided = truth_of(frame, where, value, &truth);
    if (decided && truth) continue;
    all = false;
    if (!decided) continue;
    lang_diag *diag = lang_error(frame->elab, LANG_W_WHERE_FAILS, use.file ? use : where->span,
                                 lang_span_text(frame->elab, where->span));
    if (use.file) lang_note_add(frame->elab, diag, where->span, "demanded here");
    int left = 4;
    note_names(frame, diag, where, &left);
  }
  return all;
}
