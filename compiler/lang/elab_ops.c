// Ops over tensors: what an operator of the text becomes in the graph. Here are the rules that hold for all ops: no
// promotion (`f` is a type of its own, whatever it stands for), numbers take the other side's type, shapes are equal or
// one ends the other, and a value of the last row never meets rows.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

lang_value lang_wrap(lang_frame *frame, ir_value *value, bool is_f, lang_span span) {
  lang_tensor_value *tensor = WEIR_NEW(frame->elab->arena, lang_tensor_value);
  *tensor = (lang_tensor_value){.value = value, .is_f = is_f, .span = span};
  return (lang_value){.kind = LANG_V_TENSOR, .tensor = tensor};
}

// ---- latest values

const ir_symbol *lang_latest_join(const ir_symbol *a, const ir_symbol *b) {
  if (!a || a == b) return b;
  return b ? &lang_latest_any : a;
}

static bool has_seq(lang_elab *elab, const ir_type *type, const ir_symbol *seq) {
  for (int i = 0; i < type->rank; i++) {
    if (lang_dim_seq(type->dims[i], elab->module->dims) == seq) return true;
  }
  return false;
}

// A latest value |own| meets |type|; each seq is told once, where the value first has it. False: it is latest no more.
static bool meets(lang_frame *frame, const ir_symbol *latest, const ir_type *own, const ir_type *type, lang_span span) {
  lang_elab *elab = frame->elab;
  for (int i = 0; i < type->rank; i++) {
    const ir_symbol *seq = lang_dim_seq(type->dims[i], elab->module->dims);
    if (!seq || (seq != latest && has_seq(elab, own, seq))) continue;
    lang_latest_event(frame, latest, seq, span, lang_span_text(elab, span));
    if (seq == latest) return false;
  }
  return true;
}

void lang_check_latest(lang_frame *frame, lang_tensor_value *const *operands, int count, lang_tensor_value *result,
                       lang_span span) {
  for (int i = 0; i < count; i++) {
    const ir_symbol *latest = operands[i]->latest;
    if (!latest || lang_region_meets(frame, latest, span)) continue;
    const ir_type *own = &operands[i]->value->type;
    bool still = meets(frame, latest, own, &result->value->type, span);
    for (int k = 0; k < count && still; k++) {
      bool seen = k == i || ir_type_equal(&operands[k]->value->type, &result->value->type);
      if (!seen) still = meets(frame, latest, own, &operands[k]->value->type, span);
    }
    if (still) result->latest = lang_latest_join(result->latest, latest);
  }
}

// ---- building

// The names of axes that an op keeps.
static void keep_labels(lang_tensor_value *result, lang_tensor_value *const *operands, int count) {
  const ir_value *value = result->value;
  for (int i = 0; value->def && i < value->type.rank; i++) {
    int axis = i, operand;
    if (!lang_axis_origin(value->def, &axis, &operand) || operand >= count) continue;
    if (axis < operands[operand]->value->type.rank) result->labels[i] = operands[operand]->labels[axis];
  }
}

lang_value lang_build(lang_frame *frame, ir_op op, lang_tensor_value *const *operands, int count, const ir_attr *attrs,
                      int attr_count, lang_span span) {
  if (frame->function && frame->function->index)
    return lang_index_build(frame, op, operands, count, attrs, attr_count, span);
  for (int i = 0; i < count && op != IR_OP_element; i++) lang_number_use(frame, operands[i], span);
  return lang_build_here(frame, op, operands, count, attrs, attr_count, span);
}

// Whether axes that an op takes as one are the lengths of two sequences; then that is what is said.
static bool two_lengths(lang_frame *frame, ir_op op, lang_tensor_value *const *x, int count, lang_span span) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  bool product = op == IR_OP_matmul, joins = op == IR_OP_concat || op == IR_OP_stack, attends = op == IR_OP_attend;
  for (int i = attends ? 2 : 1; i < count && (product || joins || attends); i++) {
    const ir_type *a = &x[i - 1]->value->type, *b = &x[i]->value->type;
    for (int k = 0; k < a->rank && k < b->rank; k++) {
      int from = product ? a->rank - 1 : k, to = product ? b->rank - 2 : k;
      if (to < 0) break;
      const ir_symbol *one = lang_dim_seq(a->dims[from], dims), *other = lang_dim_seq(b->dims[to], dims);
      if (!one || !other || one == other) continue;
      lang_diag *diag = lang_error(elab, LANG_W_TWO_LENGTHS, span, ir_op_get_info(op)->name,
                                   lang_tensor_text(elab->arena, x[i - 1]), lang_tensor_text(elab->arena, x[i]));
      lang_note_dim(elab, diag, frame->function, x[i - 1]->value, from, "");
      lang_note_dim(elab, diag, frame->function, x[i]->value, to, "");
      return true;
    }
    if (attends) break;
  }
  return false;
}

lang_value lang_build_here(lang_frame *frame, ir_op op, lang_tensor_value *const *operands, int count,
                           const ir_attr *attrs, int attr_count, lang_span span) {
  lang_elab *elab = frame->elab;
  const char *reason = NULL;
  if (!frame->function) {
    lang_error(elab, LANG_W_TENSOR_AT_BUILD_TIME, span, ir_op_get_info(op)->name);
    return lang_value_error();
  }
  ir_value **values = WEIR_NEW_ARRAY(elab->arena, ir_value *, count + 1);
  bool is_f = false;
  for (int i = 0; i < count; i++) {
    bool counts = operands[i]->index && op != IR_OP_element && !frame->function->index;
    if (counts) lang_length_rule(frame, operands[i]->index, span);  // a loop's t: in this call alone
    values[i] = lang_capture_value(frame, operands[i]->value);
    is_f = is_f || operands[i]->is_f;
  }
  if (!lang_spend(elab, 4 + count, span)) return lang_value_error();
  ir_value *built = ir_build(lang_here(frame), op, values, count, attrs, attr_count, lang_loc(elab, span), &reason);
  if (!built) {
    if (!two_lengths(frame, op, operands, count, span))
      lang_error(elab, LANG_W_OP_REFUSED, span, reason ? reason : ir_op_get_info(op)->name);
    return lang_value_error();
  }
  lang_value v = lang_wrap(frame, built, is_f && ir_dtype_is_float(built->type.dtype), span);
  lang_check_latest(frame, operands, count, v.tensor, span);
  keep_labels(v.tensor, operands, count);
  return v;
}

// ---- numbers beside tensors

static lang_tensor_value *constant(lang_frame *frame, double number, const lang_tensor_value *like, lang_span span) {
  ir_dtype dtype = like->value->type.dtype;
  ir_attr attrs[2] = {ir_attr_float(IR_ATTR_value, number), ir_attr_dtype(IR_ATTR_dtype, dtype)};
  lang_value v = lang_build(frame, IR_OP_constant, NULL, 0, attrs, 2, span);
  if (v.kind != LANG_V_TENSOR) return NULL;
  v.tensor->is_f = like->is_f;
  return v.tensor;
}

static lang_tensor_value *size_of(lang_frame *frame, ir_dim dim, const lang_tensor_value *like, lang_span span) {
  ir_attr attr = ir_attr_dim(IR_ATTR_dim, dim);
  lang_length_rule(frame, dim, span);
  lang_value v = lang_build(frame, IR_OP_size, NULL, 0, &attr, 1, span);
  if (v.kind == LANG_V_TENSOR && like) v = lang_cast(frame, v, like->value->type.dtype, like->is_f, span);
  return v.kind == LANG_V_TENSOR ? v.tensor : NULL;
}

lang_tensor_value *lang_tensor_of(lang_frame *frame, lang_value value, const lang_tensor_value *like, lang_span span) {
  lang_elab *elab = frame->elab;
  if (value.kind == LANG_V_TENSOR) return value.tensor;
  if (lang_value_void(value)) return NULL;
  if (value.kind == LANG_V_DIM) return size_of(frame, value.dim, like, span);
  if (value.kind == LANG_V_BOOL && like && like->value->type.dtype == IR_bool)
    return constant(frame, value.b, like, span);
  if (lang_value_is_number(value) && like && lang_number_fits(value, like->value->type.dtype)) {
    return constant(frame, lang_value_number(value), like, span);
  }
  if (lang_value_is_number(value) && like) {
    lang_error(elab, LANG_W_NUMBER_MISFIT, span, lang_value_print(elab->arena, value),
               like->is_f ? "f" : ir_dtype_name(like->value->type.dtype));
  } else {
    lang_error(elab, LANG_W_WANTS_TENSOR, span, "the operand", lang_value_describe(elab->arena, value));
  }
  return NULL;
}

// ---- elementwise

static const char *op_text(ir_op op) {
  switch (op) {
    case IR_OP_add:
      return "+";
    case IR_OP_sub:
    case IR_OP_neg:
      return "-";
    case IR_OP_mul:
      return "*";
    case IR_OP_div:
      return "/";
    case IR_OP_mod:
      return "%";
    default:
      return ir_op_get_info(op)->name;
  }
}

static bool check_types(lang_frame *frame, ir_op op, lang_tensor_value *const *x, int count, lang_span span) {
  weir_arena *arena = frame->elab->arena;
  unsigned flags = ir_op_get_info(op)->flags;
  for (int i = op == IR_OP_select; i < count; i++) {
    const lang_tensor_value *first = x[op == IR_OP_select];
    ir_dtype dtype = x[i]->value->type.dtype;
    if (dtype != first->value->type.dtype || x[i]->is_f != first->is_f) {
      lang_diag *diag = lang_error(frame->elab, LANG_W_TYPES_DIFFER, span, op_text(op), lang_tensor_text(arena, first),
                                   lang_tensor_text(arena, x[i]));
      lang_note_add(frame->elab, diag, (lang_span){0}, "cast one side: f32(x), f(x)");
      return false;
    }
    bool wrong =
        ((flags & IR_FLAG_FLOAT) && !ir_dtype_is_float(dtype)) || ((flags & IR_FLAG_BOOLS) != 0 && dtype != IR_bool) ||
        (dtype == IR_bool && !(flags & IR_FLAG_BOOLS) && op != IR_OP_select && op != IR_OP_eq && op != IR_OP_ne);
    if (!wrong) continue;
    lang_error(frame->elab, LANG_W_BAD_ELEMENT_TYPE, span, op_text(op), lang_tensor_text(arena, x[i]),
               flags & IR_FLAG_BOOLS   ? "bool"
               : flags & IR_FLAG_FLOAT ? "floats"
                                       : "numbers");
    return false;
  }
  return true;
}

// The first axis from the end in which they differ, counted from the end; -1 if one ends the other.
static int clash(lang_elab *elab, const ir_type *a, const ir_type *b) {
  int shared = a->rank < b->rank ? a->rank : b->rank;
  for (int i = 1; i <= shared; i++) {
    if (!lang_dim_equal(elab->module->dims, a->dims[a->rank - i], b->dims[b->rank - i])) return i;
  }
  return -1;
}

static void report_clash(lang_frame *frame, ir_op op, const lang_tensor_value *a, const lang_tensor_value *b,
                         int from_end, lang_span span) {
  lang_elab *elab = frame->elab;
  const ir_type *x = &a->value->type, *y = &b->value->type;
  ir_dim p = x->dims[x->rank - from_end], q = y->dims[y->rank - from_end];
  const ir_symbol *left = lang_dim_seq(p, elab->module->dims), *right = lang_dim_seq(q, elab->module->dims);
  lang_diag_code code = left && right ? LANG_W_TWO_LENGTHS : LANG_W_SHAPES_DIFFER;
  lang_diag *diag =
      lang_error(elab, code, span, op_text(op), lang_tensor_text(elab->arena, a), lang_tensor_text(elab->arena, b));
  int64_t one;
  if ((ir_dim_is_const(p, &one) && one == 1) || (ir_dim_is_const(q, &one) && one == 1)) {
    lang_note_add(elab, diag, (lang_span){0}, "size 1 does not stretch");
  }
  if (left && right)
    lang_note_add(elab, diag, (lang_span){0}, "reduce one side over its own rows: x + mean(m, over = S)");
  if (lang_dim_seq(p, elab->module->dims) == right) lang_note_missing(elab, diag, LANG_OP_EQ, p, q);
  lang_note_dim(elab, diag, frame->function, a->value, x->rank - from_end, "");
  lang_note_dim(elab, diag, frame->function, b->value, y->rank - from_end, "");
}

static bool check_shapes(lang_frame *frame, ir_op op, lang_tensor_value *const *x, int count, lang_span span) {
  int longest = 0;
  for (int i = 1; i < count; i++) {
    if (x[i]->value->type.rank > x[longest]->value->type.rank) longest = i;
  }
  for (int i = 0; i < count; i++) {
    int from_end = clash(frame->elab, &x[longest]->value->type, &x[i]->value->type);
    if (from_end < 0) continue;
    bool swap = i < longest;
    report_clash(frame, op, x[swap ? i : longest], x[swap ? longest : i], from_end, span);
    return false;
  }
  return true;
}

lang_value lang_elementwise(lang_frame *frame, ir_op op, const lang_value *values, int count, lang_span span) {
  lang_tensor_value *x[3] = {NULL}, *like = NULL;
  for (int i = 0; i < count; i++) {
    if (lang_value_void(values[i])) return values[i];
    if (values[i].kind == LANG_V_TENSOR && !like && !(op == IR_OP_select && i == 0)) like = values[i].tensor;
  }
  if (frame->structure) return lang_value_later();
  for (int i = 0; i < count; i++) {
    x[i] = lang_tensor_of(frame, values[i], like, span);
    if (!x[i]) return lang_value_error();
  }
  if (!check_types(frame, op, x, count, span) || !check_shapes(frame, op, x, count, span)) return lang_value_error();
  lang_value v = lang_build(frame, op, x, count, NULL, 0, span);
  for (int i = 0; v.kind == LANG_V_TENSOR && i < count; i++) {
    if (x[i]->value->type.rank != v.tensor->value->type.rank) continue;
    memcpy(v.tensor->labels, x[i]->labels, sizeof v.tensor->labels);
    break;
  }
  return v;
}

// ---- axes and roles

// Only training may look along a batch, with ops that make one value of many or put them in order.
static bool trains(const lang_elab *elab, const char *op) {
  lang_value training;
  const lang_builtin *builtin = lang_builtin_find(op);
  bool looks = builtin && (ir_op_get_info(builtin->op)->flags & (IR_FLAG_REDUCE | IR_FLAG_ROW));
  return looks && lang_builtin_constant(elab, "training", &training) && training.b;
}

static void note_alone(lang_elab *elab, lang_diag *diag, ir_dim dim) {
  lang_note_add(elab, diag, (lang_span){0},
                "each example is computed alone: work along the other dims, as in x[.., 0] "
                "or `over = D`; statistics over %s belong under `if training`",
                ir_dim_print(elab->arena, dim));
}

void lang_batch_error(lang_frame *frame, lang_span span, const char *what, ir_dim dim) {
  lang_elab *elab = frame->elab;
  note_alone(elab, lang_error(elab, LANG_W_ALONG_BATCH, span, what, ir_dim_print(elab->arena, dim)), dim);
}

void lang_axis_rule(lang_frame *frame, const lang_tensor_value *x, int axis, const char *op, lang_span span) {
  lang_elab *elab = frame->elab;
  ir_dim dim = x->value->type.dims[axis];
  if (lang_dim_batch(dim) && !trains(elab, op)) {
    lang_diag *diag = lang_error(elab, LANG_W_ALONG_BATCH, span, op, ir_dim_print(elab->arena, dim));
    lang_note_add(elab, diag, x->span, "this is %s", lang_tensor_text(elab->arena, x));
    lang_note_dim(elab, diag, frame->function, x->value, axis, "");
    note_alone(elab, diag, dim);
  } else if (x->labels[axis] && !strcmp(x->labels[axis], "...")) {
    lang_diag *diag = lang_error(elab, LANG_W_ALONG_MAPPED, span, op, ir_dim_print(elab->arena, dim));
    lang_note_add(elab, diag, (lang_span){0}, "name the dim in the signature to work along it: f[N, D]");
  }
  lang_event_along(frame, x, axis, LANG_W_ALONG_GROWING, span, op);
}

// Whether a state keeps all rows of |seq| between calls.
static bool is_kept_whole(const lang_elab *elab, const ir_symbol *seq) {
  for (int i = 0; i < elab->slots.count; i++) {
    if (elab->slots.data[i]->whole && elab->slots.data[i]->symbol == seq) return true;
  }
  return false;
}

// Rows that grow are paired with a history alone: not with each other, and not with a sequence that comes whole.
void lang_pair_rule(lang_frame *frame, const ir_dim *sizes, int count, const char *op, lang_span span) {
  ir_dim_table *dims = frame->elab->module->dims;
  for (int i = 1; i < count; i++) {
    const ir_symbol *one = lang_dim_seq(sizes[i], dims);
    for (int k = 0; one && k < i; k++) {
      const ir_symbol *other = lang_dim_seq(sizes[k], dims);
      if (!other || lang_dim_history(sizes[i], dims) || lang_dim_history(sizes[k], dims)) continue;
      if (one == other) {
        lang_event_add(frame, one, LANG_W_ROWS_BY_ROWS, span, op);
        continue;
      }
      if (!is_kept_whole(frame->elab, other)) lang_event_add(frame, one, LANG_W_ROWS_BY_WHOLE, span, op);
      if (!is_kept_whole(frame->elab, one)) lang_event_add(frame, other, LANG_W_ROWS_BY_WHOLE, span, op);
    }
  }
}

// What an axis with a role may be in any tensor: a batch dim is the first and alone.
bool lang_shape_rule(lang_frame *frame, const lang_tensor_value *x, const char *op, lang_span span) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  const ir_type *type = &x->value->type;
  bool batch = false, seq = false;
  lang_pair_rule(frame, type->dims, type->rank, op, span);
  for (int i = 0; i < type->rank; i++) {
    bool here = lang_dim_batch(type->dims[i]);
    if (here && i > 0) {
      lang_diag *diag = lang_error(elab, LANG_W_BATCH_NOT_FIRST, span, ir_dim_print(elab->arena, type->dims[i]));
      lang_note_add(elab, diag, (lang_span){0}, "%s gives %s", op, lang_tensor_text(elab->arena, x));
      return false;
    }
    batch = batch || here;
    seq = seq || lang_dim_seq(type->dims[i], dims);
  }
  if (batch && seq) lang_error(elab, LANG_W_SEQ_AND_BATCH, span, lang_tensor_text(elab->arena, x));
  return !(batch && seq);
}

void lang_number_use(lang_frame *frame, const lang_tensor_value *x, lang_span span) {
  if (x->index) lang_event_add(frame, lang_dim_seq(x->index, frame->elab->module->dims), LANG_W_LENGTH_GROWS, span, "");
}

void lang_length_rule(lang_frame *frame, ir_dim dim, lang_span span) {
  lang_elab *elab = frame->elab;
  if (lang_dim_batch(dim)) lang_batch_error(frame, span, "a number", dim);
  lang_event_add(frame, lang_dim_seq(dim, elab->module->dims), LANG_W_LENGTH_GROWS, span, "");
}

static bool is_literal(const lang_expr *expr) {
  if (expr && expr->kind == LANG_EXPR_UNARY) expr = expr->unary.operand;
  return expr && expr->kind == LANG_EXPR_NUMBER;
}

static int axis_by_label(const lang_tensor_value *x, const lang_expr *expr) {
  int found = -1;
  if (!expr || expr->kind != LANG_EXPR_NAME) return -1;
  for (int i = 0; i < x->value->type.rank; i++) {
    if (!x->labels[i] || strcmp(x->labels[i], expr->name) != 0) continue;
    if (found >= 0) return -1;
    found = i;
  }
  return found;
}

static int axis_by_size(lang_frame *frame, const lang_tensor_value *x, const lang_expr *expr, ir_dim dim) {
  lang_elab *elab = frame->elab;
  const ir_type *type = &x->value->type;
  int found = -1, count = 0, labelled = axis_by_label(x, expr);
  for (int i = 0; i < type->rank; i++) {
    if (!lang_dim_equal(elab->module->dims, type->dims[i], dim)) continue;
    if (i == labelled) return i;
    found = i;
    count++;
  }
  if (count == 1) return found;
  lang_error(elab, count ? LANG_W_AMBIGUOUS_AXIS : LANG_W_NO_AXIS, expr ? expr->span : x->span,
             ir_dim_print(elab->arena, dim), lang_tensor_text(elab->arena, x));
  return -1;
}

int lang_axis(lang_frame *frame, const lang_tensor_value *x, const lang_expr *expr, lang_value value) {
  lang_elab *elab = frame->elab;
  int rank = x->value->type.rank;
  if (lang_value_void(value)) return -1;
  if (value.kind == LANG_V_DIM) return axis_by_size(frame, x, expr, value.dim);
  if (value.kind != LANG_V_INT) {
    lang_error(elab, LANG_W_BAD_AXIS, expr ? expr->span : x->span, lang_value_describe(elab->arena, value));
    return -1;
  }
  if (!is_literal(expr) && value.i >= 0) return axis_by_size(frame, x, expr, ir_dim_const(elab->module->dims, value.i));
  int64_t axis = value.i < 0 ? value.i + rank : value.i;
  if (axis >= 0 && axis < rank) return (int)axis;
  lang_error(elab, LANG_W_NO_AXIS, expr ? expr->span : x->span,
             weir_arena_printf(elab->arena, "axis %" PRId64, value.i), lang_tensor_text(elab->arena, x));
  return -1;
}
