// Reshape and indexing: the two forms of syntax that change shapes, and what they may do to a dim with a role. `as`
// keeps every seq and batch dim in its place; an index or a slice along a seq must be proved in range and is refused
// where the seq grows.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

// ---- reshape

// Whether dim |b| of the new shape may be what became of |a|, which has a role.
static bool same_role_symbol(lang_elab *elab, ir_dim a, ir_dim b) {
  ir_dim_table *dims = elab->module->dims;
  const ir_symbol *seq = lang_dim_seq(a, dims);
  if (seq) return lang_dim_seq(b, dims) == seq && lang_dim_history(a, dims) == lang_dim_history(b, dims);
  return lang_dim_batch(b);
}

static ir_dim product(lang_elab *elab, const ir_type *type, int count) {
  ir_dim_table *dims = elab->module->dims;
  ir_dim all = ir_dim_const(dims, 1);
  for (int i = 0; all && i < count; i++) all = ir_dim_mul(dims, all, type->dims[i]);
  return all;
}

static void count_seq(void *user, const ir_symbol *symbol) {
  unsigned *seen = user;
  if (symbol->role == IR_ROLE_SEQ) *seen |= 1u << (symbol->index % 31);
}

static int seqs_in(ir_dim dim) {
  unsigned seen = 0;
  ir_dim_visit(dim, count_seq, &seen);
  return __builtin_popcount(seen);
}

static const char *shape_text(weir_arena *arena, const ir_type *type) {
  const char *text = ir_type_print(arena, type), *bracket = strchr(text, '[');
  return bracket ? bracket : text;
}

// One axis with a role: where it went and whether it may.
static bool keeps_role(lang_frame *frame, const lang_tensor_value *x, int axis, const ir_type *to, lang_span span) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  const ir_type *from = &x->value->type;
  ir_dim dim = from->dims[axis];
  const ir_symbol *seq = lang_dim_seq(dim, dims);
  if (!seq && !lang_dim_batch(dim)) return true;
  const char *name = ir_dim_print(elab->arena, dim), *shape = shape_text(elab->arena, to);
  ir_dim before = product(elab, from, axis);
  int at = -1;
  bool in_place = false;
  for (int i = 0; i < to->rank && !in_place; i++) {
    ir_dim after = product(elab, to, i);
    if (!same_role_symbol(elab, dim, to->dims[i])) continue;
    if (at < 0) at = i;
    in_place = before && after && lang_dim_equal(dims, before, after);
    if (in_place) at = i;
  }
  if (at < 0) {
    lang_diag *diag = lang_error(elab, LANG_W_RESHAPE_LOSES, span, name, shape);
    lang_note_dim(elab, diag, frame->function, x->value, axis, "");
    if (seq)
      lang_note_add(elab, diag, (lang_span){0}, "its size is that of each request: name it, `x as [%s, ...]`", name);
    return false;
  }
  bool same = lang_dim_equal(dims, dim, to->dims[at]);
  if (!seq && !(same && in_place)) {
    lang_diag *diag = lang_error(elab, LANG_W_RESHAPE_BATCH, span, name, shape);
    lang_note_add(elab, diag, (lang_span){0}, "ops map over leading dims by themselves: leave %s out of the reshape",
                  name);
    return false;
  }
  if (!in_place) {
    lang_diag *diag = lang_error(elab, LANG_W_RESHAPE_MOVES, span, name, shape);
    lang_note_add(elab, diag, (lang_span){0}, "permute(x as [%s, ...], [...]) moves a dim", name);
    return false;
  }
  if (seqs_in(to->dims[at]) > seqs_in(dim)) {
    lang_error(elab, LANG_W_RESHAPE_LOSES, span, name, shape);
    return false;
  }
  if (!same) lang_event_along(frame, x, axis, LANG_W_ALONG_GROWING, span, "this reshape");
  return true;
}

static bool same_count(lang_frame *frame, const lang_tensor_value *x, const ir_type *to, lang_span span) {
  lang_elab *elab = frame->elab;
  ir_dim before = product(elab, &x->value->type, x->value->type.rank), after = product(elab, to, to->rank);
  if (!before || !after) {
    lang_error(elab, LANG_W_OVERFLOW, span);
    return false;
  }
  if (lang_dim_equal(elab->module->dims, before, after)) return true;
  lang_diag *diag =
      lang_error(elab, LANG_W_RESHAPE_COUNT, span, lang_tensor_text(elab->arena, x), ir_dim_print(elab->arena, before),
                 shape_text(elab->arena, to), ir_dim_print(elab->arena, after));
  lang_note_missing(elab, diag, LANG_OP_EQ, before, after);
  for (int i = x->value->type.rank - 1; i >= 0; i--) {
    if (i < to->rank && !lang_dim_equal(elab->module->dims, x->value->type.dims[i], to->dims[i])) {
      lang_note_dim(elab, diag, frame->function, x->value, i, "");
      break;
    }
  }
  return false;
}

lang_value lang_reshape(lang_frame *frame, const lang_expr *expr) {
  lang_elab *elab = frame->elab;
  lang_value base = lang_eval(frame, expr->reshape.base);
  lang_type type = {
      .kind = LANG_TYPE_TENSOR, .span = expr->span, .name = {"f32", expr->span}, .subs = expr->reshape.subs};
  lang_tensor_type to;
  const char *labels[IR_MAX_RANK] = {NULL};
  bool resolved = lang_type_resolve(frame, &type, false, &to, labels);
  if (lang_value_void(base)) return base;
  if (base.kind != LANG_V_TENSOR) {
    lang_error(elab, LANG_W_WANTS_TENSOR, expr->reshape.base->span, "what is reshaped",
               lang_value_describe(elab->arena, base));
    return lang_value_error();
  }
  if (!resolved) return lang_value_error();
  for (int i = 0; i < to.type.rank; i++) {
    if (to.type.dims[i]) continue;
    lang_error(elab, LANG_W_BAD_DIM, expr->span, "_");
    return lang_value_error();
  }
  lang_tensor_value *x = base.tensor;
  for (int i = 0; i < x->value->type.rank; i++) {
    if (!keeps_role(frame, x, i, &to.type, expr->span)) return lang_value_error();
  }
  if (!same_count(frame, x, &to.type, expr->span)) return lang_value_error();
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, to.type.dims, to.type.rank);
  lang_value v = lang_build(frame, IR_OP_reshape, &x, 1, &attr, 1, expr->span);
  if (v.kind != LANG_V_TENSOR) return v;
  memcpy(v.tensor->labels, labels, sizeof labels);
  return v;
}

// ---- lists

static lang_value list_index(lang_frame *frame, lang_value list, const lang_expr *expr) {
  lang_elab *elab = frame->elab;
  const lang_subs *subs = &expr->index.subs;
  int64_t low = 0, high = list.list.count;
  const lang_sub *sub = subs->count == 1 ? &subs->data[0] : NULL;
  if (!sub || (sub->kind != LANG_SUB_INDEX && sub->kind != LANG_SUB_SLICE)) {
    lang_error(elab, LANG_W_LIST_INDEX, expr->span);
    return lang_value_error();
  }
  lang_value v = sub->low ? lang_eval(frame, sub->low) : lang_value_int(0);
  if (v.kind == LANG_V_TENSOR) {
    lang_error(elab, LANG_W_RUN_TIME_LIST_INDEX, sub->span);
    return lang_value_error();
  }
  if (lang_value_void(v)) return v;
  if (v.kind != LANG_V_INT || (sub->high && !lang_eval_int(frame, sub->high, &high))) {
    if (v.kind != LANG_V_INT) lang_error(elab, LANG_W_WANTS_INT, sub->span, lang_value_describe(elab->arena, v));
    return lang_value_error();
  }
  low = v.i;
  if (sub->kind == LANG_SUB_INDEX) high = low < INT64_MAX ? low + 1 : low;
  else if (sub->inclusive && high < INT64_MAX) high++;
  if (low < 0 || high < low || high > list.list.count || (sub->kind == LANG_SUB_INDEX && low >= list.list.count)) {
    lang_error(elab, LANG_W_INDEX_RANGE, sub->span, lang_span_text(elab, sub->span),
               weir_arena_printf(elab->arena, "a list of %" PRId64, list.list.count));
    return lang_value_error();
  }
  if (sub->kind == LANG_SUB_INDEX) return list.list.items[low];
  return lang_value_list(elab->arena, LANG_V_LIST, list.list.items + low, high - low);
}

// ---- tensors

typedef struct {
  ir_dim start, stop;
  bool drop, whole;
} pick;

static ir_dim size_or_null(lang_frame *frame, const lang_expr *expr) {
  lang_value v = lang_eval(frame, expr);
  if (lang_value_void(v)) return NULL;
  if (v.kind == LANG_V_INT && v.i >= 0) return ir_dim_const(frame->elab->module->dims, v.i);
  if (v.kind == LANG_V_DIM) return v.dim;
  lang_error(frame->elab, LANG_W_BAD_INDEX, expr->span, lang_value_describe(frame->elab->arena, v));
  return NULL;
}

static bool pick_of(lang_frame *frame, const lang_sub *sub, ir_dim dim, pick *out) {
  ir_dim_table *dims = frame->elab->module->dims;
  *out = (pick){.start = ir_dim_const(dims, 0), .stop = dim};
  if (sub->kind == LANG_SUB_BINDER) {
    lang_error(frame->elab, LANG_W_STRAY_BINDER, sub->span);
    return false;
  }
  if (sub->low) out->start = size_or_null(frame, sub->low);
  if (!out->start) return false;
  if (sub->kind == LANG_SUB_INDEX) {
    out->stop = ir_dim_add(dims, out->start, ir_dim_const(dims, 1));
    out->drop = true;
  } else if (sub->high) {
    out->stop = size_or_null(frame, sub->high);
    if (out->stop && sub->inclusive) out->stop = ir_dim_add(dims, out->stop, ir_dim_const(dims, 1));
  }
  out->whole = sub->kind == LANG_SUB_SLICE && !sub->low && !sub->high;
  return out->stop != NULL;
}

static lang_value apply_pick(lang_frame *frame, lang_tensor_value *x, int axis, const pick *p, lang_span span) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  ir_dim dim = x->value->type.dims[axis];
  ir_dim zero = ir_dim_const(dims, 0);
  lang_axis_rule(frame, x, axis, "an index", span);
  bool negative = lang_dim_decide(dims, LANG_OP_LE, zero, p->start) != 1;
  if (negative || lang_dim_decide(dims, LANG_OP_LE, p->start, p->stop) != 1 ||
      lang_dim_decide(dims, LANG_OP_LE, p->stop, dim) != 1) {
    lang_diag *diag = lang_error(elab, LANG_W_INDEX_RANGE, span, lang_span_text(elab, span),
                                 weir_arena_printf(elab->arena, "dim %s", ir_dim_print(elab->arena, dim)));
    const ir_symbol *seq = lang_dim_seq(dim, dims);
    if (seq) lang_note_add(elab, diag, (lang_span){0}, "%s may be as short as %" PRId64, seq->name, seq->lo);
    bool low = lang_dim_decide(dims, LANG_OP_LE, p->start, p->stop) != 1;
    lang_note_missing(elab, diag, LANG_OP_LE,
                      negative ? zero
                      : low    ? p->start
                               : p->stop,
                      negative || !low ? (negative ? p->start : dim) : p->stop);
    return lang_value_error();
  }
  ir_attr attrs[3] = {ir_attr_int(IR_ATTR_axis, axis), ir_attr_dim(IR_ATTR_start, p->start),
                      ir_attr_dim(IR_ATTR_stop, p->stop)};
  lang_value v = lang_build(frame, IR_OP_slice, &x, 1, attrs, 3, span);
  if (v.kind == LANG_V_TENSOR) memcpy(v.tensor->labels, x->labels, sizeof x->labels);
  return v;
}

// Takes away the axes that an index has made 1 long.
static lang_value drop_axes(lang_frame *frame, lang_value v, const bool *drop, lang_span span) {
  ir_dim dims[IR_MAX_RANK];
  const char *labels[IR_MAX_RANK] = {NULL};
  int rank = 0;
  lang_tensor_value *x = v.tensor;
  for (int i = 0; i < x->value->type.rank; i++) {
    if (drop[i]) continue;
    labels[rank] = x->labels[i];
    dims[rank++] = x->value->type.dims[i];
  }
  if (rank == x->value->type.rank) return v;
  ir_attr attr = ir_attr_dims(IR_ATTR_dims, dims, rank);
  v = lang_build(frame, IR_OP_reshape, &x, 1, &attr, 1, span);
  if (v.kind == LANG_V_TENSOR) memcpy(v.tensor->labels, labels, sizeof labels);
  return v;
}

// The integer that the first of |subs| is at run time: a loop's variable, or what is computed; else null.
static lang_tensor_value *run_time_index(lang_frame *frame, const lang_subs *subs) {
  const lang_sub *sub = subs->count ? &subs->data[0] : NULL;
  if (!sub || sub->kind != LANG_SUB_INDEX || sub->low->kind == LANG_EXPR_NUMBER) return NULL;
  lang_value v = lang_eval(frame, sub->low);
  return v.kind == LANG_V_TENSOR ? v.tensor : NULL;
}

static lang_value tensor_index(lang_frame *frame, lang_tensor_value *x, const lang_expr *expr, int skip) {
  lang_subs rest = {.data = expr->index.subs.data + skip, .count = expr->index.subs.count - skip};
  const lang_subs *subs = &rest;
  lang_tensor_value *variable = run_time_index(frame, subs);
  if (variable) {
    lang_value row = lang_row_of(frame, x, variable, expr->span);
    return row.kind != LANG_V_TENSOR || rest.count == 1 ? row : tensor_index(frame, row.tensor, expr, skip + 1);
  }
  int rank = x->value->type.rank, dots = -1;
  for (int i = 0; i < subs->count; i++) dots = subs->data[i].kind == LANG_SUB_ELLIPSIS ? i : dots;
  int extra = rank - (subs->count - (dots >= 0));
  if (extra < 0) {
    lang_error(frame->elab, LANG_W_TOO_MANY_SUBSCRIPTS, expr->span, lang_tensor_text(frame->elab->arena, x));
    return lang_value_error();
  }
  bool drop[IR_MAX_RANK] = {false};
  lang_value v = {.kind = LANG_V_TENSOR, .tensor = x};
  for (int i = 0, axis = 0; i < subs->count; i++) {
    pick p;
    if (subs->data[i].kind == LANG_SUB_ELLIPSIS) {
      axis += extra;
      continue;
    }
    if (!pick_of(frame, &subs->data[i], x->value->type.dims[axis], &p)) return lang_value_error();
    if (!p.whole) v = apply_pick(frame, v.tensor, axis, &p, subs->data[i].span);
    if (v.kind != LANG_V_TENSOR) return v;
    drop[axis++] = p.drop;
  }
  return drop_axes(frame, v, drop, expr->span);
}

lang_value lang_index(lang_frame *frame, const lang_expr *expr) {
  lang_value base = lang_eval(frame, expr->index.base);
  if (lang_value_void(base)) return base;
  if (base.kind == LANG_V_LIST) return list_index(frame, base, expr);
  if (base.kind == LANG_V_TENSOR && frame->function && frame->function->index)
    return lang_index_element(frame, base.tensor, &expr->index.subs, expr->span);
  if (base.kind == LANG_V_TENSOR) return tensor_index(frame, base.tensor, expr, 0);
  lang_error(frame->elab, LANG_W_NOT_INDEXABLE, expr->index.base->span, lang_value_describe(frame->elab->arena, base));
  return lang_value_error();
}
