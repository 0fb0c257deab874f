// Subscripts: `x[n + k, i]` as one element, proved in range, within the roles of its dims.
//
// A subscript is bare where it is an index over the very dim that it stands at; then there is nothing to prove and,
// along a dim with a role, nothing to ask. Dims that the text leaves out are indices of the statement, matched from the
// last.
#include <string.h>

#include "compiler/lang/elab_index.h"

// ---- roles

// Whether the number itself depends on an index over a dim that |kind| selects; looking through elements and positions
// is no use of it as a number.
static const lang_ix *counts(const lang_index_scope *scope, ir_value *value, bool batch, ir_dim_table *dims,
                             int depth) {
  const lang_ix *ix = lang_index_of(scope, value);
  if (ix) return (batch ? lang_dim_batch(ix->size) : lang_dim_seq(ix->size, dims) != NULL) ? ix : NULL;
  const ir_node *node = lang_index_origin(scope, value)->def;
  if (!node || node->op == IR_OP_element || node->callee || depth > 64) return NULL;
  for (int i = 0; i < node->operand_count; i++) {
    if (node->operands[i]->type.rank) continue;
    const lang_ix *found = counts(scope, node->operands[i], batch, dims, depth + 1);
    if (found) return found;
  }
  return NULL;
}

// An index used as a number: it counts the rows of this call only, and examples of a batch have no number.
static void number_role(lang_frame *frame, ir_value *value, lang_span span) {
  lang_elab *elab = frame->elab;
  const lang_index_scope *scope = frame->function->index;
  const lang_ix *ix = counts(scope, value, true, elab->module->dims, 0);
  if (ix) lang_batch_error(frame, span, "a number", ix->size);
  ix = counts(scope, value, false, elab->module->dims, 0);
  if (ix) lang_event_add(frame, lang_dim_seq(ix->size, elab->module->dims), LANG_W_LENGTH_GROWS, span, "");
}

static void subscript_role(lang_frame *frame, ir_dim dim, ir_value *value, bool bare, lang_span span) {
  lang_elab *elab = frame->elab;
  if (bare) return;
  const ir_symbol *seq = lang_dim_seq(dim, elab->module->dims);
  if (lang_dim_batch(dim)) {
    lang_batch_error(frame, span, "an index", dim);
  } else if (seq) {
    lang_event_add(frame, seq, LANG_W_INDEX_OTHER_ROW, span, lang_span_text(elab, span));
  } else {
    number_role(frame, value, span);
  }
}

static bool ordered_before(lang_frame *frame, lang_index_scope *scope, const lang_ix *u, const lang_ix *t) {
  ir_dim_table *dims = frame->elab->module->dims;
  return ir_prove_compare(scope->prover, IR_PROVE_LE, lang_index_position(scope, dims, u),
                          lang_index_position(scope, dims, t));
}

static bool within_window(lang_frame *frame, lang_index_scope *scope, const lang_ix *u, const lang_ix *t,
                          const ir_symbol *keep) {
  ir_dim_table *dims = frame->elab->module->dims, *own = ir_prover_dims(scope->prover);
  ir_dim back = ir_dim_sub(own, lang_index_position(scope, dims, t), lang_index_position(scope, dims, u));
  return ir_prove_compare(scope->prover, IR_PROVE_LE, back, ir_dim_const(own, keep->hi));
}

static bool trains(const lang_elab *elab) {
  lang_value training;
  return lang_builtin_constant(elab, "training", &training) && training.b;
}

void lang_index_reduce_role(lang_frame *frame, const lang_ix *ix, const char *what, lang_span span) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  lang_index_scope *scope = frame->function->index;
  const ir_symbol *seq = lang_dim_seq(ix->size, dims);
  if (lang_dim_batch(ix->size) && !trains(elab)) lang_batch_error(frame, span, what, ix->size);
  if (!seq || !frame->function->step) return;
  if (!lang_dim_history(ix->size, dims)) {
    lang_event_add(frame, seq, LANG_W_ALONG_GROWING, span, what);
    return;
  }
  const lang_ix *row = NULL;
  for (int i = 0; i < scope->visible.count + scope->foreign.count && !row; i++) {
    const lang_ix *t =
        i < scope->visible.count ? scope->visible.data[i] : scope->foreign.data[i - scope->visible.count];
    if (ir_dim_as_symbol(t->size) == seq && ordered_before(frame, scope, ix, t)) row = t;
  }
  const ir_symbol *keep = lang_dim_kept(ix->size, dims);
  if (!row) {
    lang_event_add(frame, seq, LANG_W_INDEX_LATER_ROWS, span, ix->name);
  } else if (keep && !within_window(frame, scope, ix, row, keep)) {
    lang_event_add(frame, seq, LANG_W_INDEX_BEHIND, span,
                   weir_arena_printf(elab->arena, "%lld", (long long)keep->hi + 1));
  } else if (keep && !strncmp(what, "arg", 3)) {
    lang_event_add(frame, seq, LANG_W_LENGTH_GROWS, span, "");  // a place among the rows that are kept
  }
}

// ---- one subscript

static bool depends_on(const lang_index_scope *scope, ir_value *value, const lang_ix *ix, int depth) {
  if (lang_index_of(scope, value) == ix) return true;
  const ir_node *node = lang_index_origin(scope, value)->def;
  for (int i = 0; node && !node->callee && depth < 8 && i < node->operand_count; i++) {
    if (depends_on(scope, node->operands[i], ix, depth + 1)) return true;
  }
  return false;
}

static bool unproved(lang_frame *frame, ir_value *value, ir_dim size, const char *missing, lang_span span) {
  lang_elab *elab = frame->elab;
  const lang_index_scope *scope = frame->function->index;
  lang_diag *diag =
      lang_error(elab, LANG_W_SUBSCRIPT_UNPROVED, span, lang_span_text(elab, span), ir_dim_print(elab->arena, size));
  if (missing) lang_note_add(elab, diag, (lang_span){0}, "the missing fact: %s", missing);
  for (int i = 0; i < scope->visible.count; i++) {
    const lang_ix *ix = scope->visible.data[i];
    if (!depends_on(scope, value, ix, 0)) continue;
    const char *end = ir_dim_print(elab->arena, ir_dim_add(elab->module->dims, ix->low, ix->size));
    lang_note_add(elab, diag, ix->span, "%s is in %s..%s", ix->name, ir_dim_print(elab->arena, ix->low), end);
  }
  if (value->lo <= value->hi)
    lang_note_add(elab, diag, (lang_span){0}, "it is known to be in %lld..=%lld", (long long)value->lo,
                  (long long)value->hi);
  lang_note_add(elab, diag, (lang_span){0},
                "a reducer's guard, clamp(i, 0, n - 1), a smaller range or the range of an argument say it");
  return false;
}

ir_value *lang_index_subscript(lang_frame *frame, lang_value v, ir_dim dim, lang_span span) {
  lang_elab *elab = frame->elab;
  lang_index_scope *scope = frame->function->index;
  bool size = v.kind == LANG_V_INT || v.kind == LANG_V_DIM;
  if (lang_value_void(v)) return NULL;
  if (size || v.kind == LANG_V_TENSOR) {
    if (v.kind == LANG_V_INT) v = lang_cast(frame, v, IR_i32, false, span);
    lang_tensor_value *x = lang_tensor_of(frame, v, NULL, span);
    if (!x) return NULL;
    x = lang_index_scalar(frame, x, span);
    if (x && ir_dtype_is_int(x->value->type.dtype)) {
      const lang_ix *ix = lang_index_known(frame, x);
      bool bare = ix && lang_dim_equal(elab->module->dims, ix->size, dim);
      const char *missing = NULL;
      subscript_role(frame, dim, x->value, bare, span);
      if (!bare && !lang_index_inside(frame, scope, x->value, dim, &missing)) {
        unproved(frame, x->value, dim, missing, span);
        return NULL;
      }
      v = lang_cast(frame, (lang_value){.kind = LANG_V_TENSOR, .tensor = x}, IR_i32, false, span);
      return v.kind == LANG_V_TENSOR ? lang_capture_value(frame, v.tensor->value) : NULL;
    }
    if (!x) return NULL;
  }
  lang_error(elab, LANG_W_SUBSCRIPT_TYPE, span, lang_value_describe(elab->arena, v));
  return NULL;
}

// `a..b` among subscripts, or a dim that is left out: an index of the statement, and where it begins.
static ir_value *whole(lang_frame *frame, lang_tensor_value *x, int axis, int slot, const lang_sub *sub,
                       lang_span span) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  ir_dim dim = x->value->type.dims[axis], low = ir_dim_const(dims, 0), high = dim;
  bool part = sub && (sub->low || sub->high);
  if (sub && sub->low && !(low = lang_eval_dim(frame, sub->low, NULL))) return NULL;
  if (sub && sub->high && !(high = lang_eval_dim(frame, sub->high, NULL))) return NULL;
  if (sub && sub->high && sub->inclusive) high = ir_dim_add(dims, high, ir_dim_const(dims, 1));
  if (part && (!high || lang_dim_decide(dims, LANG_OP_LE, low, high) != 1 ||
               lang_dim_decide(dims, LANG_OP_LE, high, dim) != 1)) {
    lang_error(elab, LANG_W_INDEX_RANGE, sub->span, lang_span_text(elab, sub->span),
               weir_arena_printf(elab->arena, "dim %s", ir_dim_print(elab->arena, dim)));
    return NULL;
  }
  if (part) subscript_role(frame, dim, x->value, false, sub->span);
  lang_ix *ix = lang_index_whole(frame, slot, part ? ir_dim_sub(dims, high, low) : dim, part ? NULL : x->labels[axis],
                                 sub ? sub->span : span);
  if (!ix) return NULL;
  lang_value at = lang_wrap(frame, ix->param, false, span);
  at.tensor->index = ix->size;
  int64_t zero;
  if (!ir_dim_is_const(low, &zero) || zero) at = lang_arithmetic(frame, LANG_OP_ADD, at, lang_value_of_dim(low), span);
  return at.kind == LANG_V_TENSOR ? lang_capture_value(frame, at.tensor->value) : NULL;
}

// ---- elements

static lang_value element(lang_frame *frame, lang_tensor_value *x, ir_value *const *subs, lang_span span) {
  lang_elab *elab = frame->elab;
  int rank = x->value->type.rank;
  const char *reason = NULL;
  ir_value *operands[IR_MAX_RANK + 1] = {lang_capture_value(frame, x->value)};
  for (int i = 0; i < rank; i++) operands[i + 1] = lang_capture_value(frame, subs[i]);
  if (!lang_spend(elab, 4 + rank, span)) return lang_value_error();
  ir_value *built =
      ir_build(lang_here(frame), IR_OP_element, operands, rank + 1, NULL, 0, lang_loc(elab, span), &reason);
  if (!built) {
    lang_error(elab, LANG_W_OP_REFUSED, span, reason ? reason : "element");
    return lang_value_error();
  }
  lang_value v = lang_wrap(frame, built, x->is_f, span);
  v.tensor->latest = x->latest;
  frame->function->index->latest = lang_latest_join(frame->function->index->latest, x->latest);
  return v;
}

// What each axis is subscripted with; null: left out.
static bool spread_subs(lang_frame *frame, const lang_tensor_value *x, const lang_subs *subs, const lang_sub **out,
                        lang_span span) {
  int rank = x->value->type.rank, dots = -1;
  for (int i = 0; i < subs->count; i++) dots = subs->data[i].kind == LANG_SUB_ELLIPSIS ? i : dots;
  int extra = rank - (subs->count - (dots >= 0));
  if (extra < 0) {
    lang_error(frame->elab, LANG_W_TOO_MANY_SUBSCRIPTS, span, lang_tensor_text(frame->elab->arena, x));
    return false;
  }
  for (int i = 0; i < rank; i++) out[i] = NULL;
  for (int i = 0, axis = 0; i < subs->count; i++) {
    if (i == dots) axis += extra;
    else out[axis++] = &subs->data[i];
  }
  return true;
}

lang_value lang_index_element(lang_frame *frame, lang_tensor_value *x, const lang_subs *subs, lang_span span) {
  lang_index_scope *scope = frame->function->index;
  int rank = x->value->type.rank, slots = 0;
  const lang_sub *at[IR_MAX_RANK] = {NULL};
  ir_value *values[IR_MAX_RANK];
  if (!spread_subs(frame, x, subs, at, span)) return lang_value_error();
  for (int i = rank - 1; i >= 0; i--) {
    if (at[i] && at[i]->kind == LANG_SUB_BINDER) {
      lang_error(frame->elab, LANG_W_STRAY_BINDER, at[i]->span);
      return lang_value_error();
    }
    bool one = at[i] && at[i]->kind == LANG_SUB_INDEX;
    if (one) continue;
    values[i] = whole(frame, x, i, slots++, at[i], span);
    if (!values[i]) return lang_value_error();
  }
  for (int i = 0; i < rank; i++) {
    if (!at[i] || at[i]->kind != LANG_SUB_INDEX) continue;
    scope->subscript++;
    lang_value v = lang_eval(frame, at[i]->low);
    values[i] = lang_index_subscript(frame, v, x->value->type.dims[i], at[i]->span);
    scope->subscript--;
    if (!values[i]) return v.kind == LANG_V_LATER ? v : lang_value_error();
  }
  return element(frame, x, values, span);
}

lang_value lang_index_row(lang_frame *frame, lang_tensor_value *x, lang_ix *const *given, int count, lang_span span) {
  int rank = x->value->type.rank, slots = 0;
  ir_value *values[IR_MAX_RANK];
  for (int i = 0; i < count; i++) values[i] = given[i]->param;
  for (int i = rank - 1; i >= count; i--) {
    values[i] = whole(frame, x, i, slots++, NULL, span);
    if (!values[i]) return lang_value_error();
  }
  return element(frame, x, values, span);
}

lang_tensor_value *lang_index_scalar(lang_frame *frame, lang_tensor_value *x, lang_span span) {
  const lang_subs none = {0};
  frame->function->index->latest = lang_latest_join(frame->function->index->latest, x->latest);
  if (!x->value->type.rank) return x;
  lang_value v = lang_index_element(frame, x, &none, span);
  return v.kind == LANG_V_TENSOR ? v.tensor : NULL;
}

static lang_tensor_value *positions(lang_frame *frame, ir_dim dim, lang_span span) {
  lang_index_scope *scope = frame->function->index;
  for (int i = 0; i < scope->positions.count; i++) {
    if (scope->positions.data[i]->value->type.dims[0] == dim) return scope->positions.data[i];
  }
  ir_attr attr = ir_attr_dim(IR_ATTR_dim, dim);
  lang_value all = lang_build(frame, IR_OP_pos, NULL, 0, &attr, 1, span);
  if (all.kind != LANG_V_TENSOR) return NULL;
  LANG_PUSH(frame->elab->arena, &scope->positions, all.tensor);
  return all.tensor;
}

lang_value lang_index_pos(lang_frame *frame, lang_tensor_value *t, lang_span span) {
  lang_elab *elab = frame->elab;
  const lang_ix *ix = lang_index_known(frame, t);
  if (!ix) {
    lang_error(elab, LANG_W_POS_OF, span, lang_tensor_text(elab->arena, t));
    return lang_value_error();
  }
  if (lang_dim_batch(ix->size)) {
    lang_batch_error(frame, span, "pos", ix->size);
    return lang_value_error();
  }
  lang_tensor_value *all = positions(frame, ix->size, span);
  return all ? element(frame, all, (ir_value *[]){t->value}, span) : lang_value_error();
}

// ---- ops

static bool is_elementwise(ir_op op) {
  return (ir_op_get_info(op)->flags & IR_FLAG_EW) || op == IR_OP_constant || op == IR_OP_size;
}

bool lang_index_takes(lang_frame *frame, const char *name, const lang_call *call) {
  for (int i = 0; i < call->count; i++) {
    lang_value v = call->positional[i];
    if (v.kind != LANG_V_TENSOR || !lang_index_inner(frame->function->index, v.tensor->value)) continue;
    lang_error(frame->elab, LANG_W_INDEX_WHOLE_OP, call->expr->span, name);
    return false;
  }
  return true;
}

lang_value lang_index_build(lang_frame *frame, ir_op op, lang_tensor_value *const *operands, int count,
                            const ir_attr *attrs, int attr_count, lang_span span) {
  lang_elab *elab = frame->elab;
  lang_index_scope *scope = frame->function->index;
  if (is_elementwise(op)) {
    lang_tensor_value *x[IR_MAX_RANK];
    for (int i = 0; i < count; i++) {
      x[i] = lang_index_scalar(frame, operands[i], span);
      if (!x[i]) return lang_value_error();
      lang_index_known(frame, x[i]);
      if (!scope->subscript && lang_index_of(scope, x[i]->value)) number_role(frame, x[i]->value, span);
    }
    return lang_build_here(frame, op, x, count, attrs, attr_count, span);
  }
  for (int i = 0; i < count; i++) {
    if (!lang_index_inner(scope, operands[i]->value)) continue;
    lang_error(elab, LANG_W_INDEX_WHOLE_OP, span, ir_op_get_info(op)->name);
    return lang_value_error();
  }
  lang_region *inside = frame->function->region;
  frame->function->region = scope->root->parent;
  frame->function->index = scope->outer;
  lang_value v = lang_build(frame, op, operands, count, attrs, attr_count, span);
  frame->function->region = inside;
  frame->function->index = scope;
  return v;
}
