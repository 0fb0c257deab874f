// Index notation: statements `y[n in N, o] = e;` and reducers `sum(k: e where g)`. What a scope is and why the text is
// evaluated in scratch regions stands in elab_index.h.
//
// An index hides no name, so that a reader never has to ask which of two is meant. A reducer outside of a statement is
// one without indices on its left.
#include <string.h>

#include "compiler/lang/elab_control.h"
#include "compiler/lang/elab_index.h"

// ---- scopes

static lang_index_scope *open_scope(lang_frame *frame) {
  lang_elab *elab = frame->elab;
  lang_index_scope *scope = WEIR_NEW(elab->arena, lang_index_scope);
  scope->outer = frame->function->index;
  scope->prover = ir_prover_create(elab->arena);
  scope->root = lang_region_open(frame, LANG_REGION_INDEX);
  LANG_PUSH(elab->arena, &scope->regions, scope->root);
  frame->function->index = scope;
  return scope;
}

static void close_scope(lang_frame *frame, const lang_index_scope *scope) {
  lang_region_close(frame, scope->root);
  frame->function->index = scope->outer;
}

// ---- indices

static bool is_name(lang_frame *frame, const char *name) {
  lang_elab *elab = frame->elab;
  lang_value ignored;
  const lang_instance *self = frame->self;
  return lang_scope_find(frame->scope, name) || (self && self->space && lang_space_find(self->space, name)) ||
         (self && lang_body_fn(self->body, name)) || lang_program_find_dim(elab->program, frame->file, name) ||
         lang_program_find(elab->program, frame->file, name) || lang_builtin_constant(elab, name, &ignored) ||
         lang_builtin_find(name);
}

// Makes |ix| a name of the text. Its value is the parameter, or the parameter and where the range begins.
static void name_index(lang_frame *frame, lang_ix *ix) {
  lang_elab *elab = frame->elab;
  lang_value value = lang_wrap(frame, ix->param, false, ix->span);
  int64_t low;
  value.tensor->index = ix->size;
  if (!ir_dim_is_const(ix->low, &low) || low != 0) {
    lang_index_scope *scope = frame->function->index;
    scope->subscript++;
    value = lang_arithmetic(frame, LANG_OP_ADD, value, lang_value_of_dim(ix->low), ix->span);
    scope->subscript--;
  }
  lang_scope_add(elab->arena, frame->scope, ix->name, value, LANG_BINDING_CONST, ix->span);
}

// The range that an index says; false after a report.
static bool said_range(lang_frame *frame, const lang_expr *expr, ir_dim *out_low, ir_dim *out_size,
                       const char **out_label) {
  lang_elab *elab = frame->elab;
  ir_dim_table *dims = elab->module->dims;
  lang_value v = lang_eval(frame, expr), ends[2] = {lang_value_int(0), v};
  if (lang_value_void(v)) return false;
  if (v.kind == LANG_V_RANGE) ends[0] = v.list.items[0], ends[1] = v.list.items[1];
  ir_dim at[2];
  for (int i = 0; i < 2; i++) {
    bool size = ends[i].kind == LANG_V_INT || ends[i].kind == LANG_V_DIM;
    if (!size) {
      lang_error(elab, LANG_W_BAD_DIM, expr->span, lang_value_describe(elab->arena, ends[i]));
      return false;
    }
    at[i] = ends[i].kind == LANG_V_DIM ? ends[i].dim : ir_dim_const(dims, ends[i].i);
  }
  *out_low = at[0];
  *out_size = ir_dim_sub(dims, at[1], at[0]);
  *out_label = v.kind != LANG_V_RANGE && expr->kind == LANG_EXPR_NAME ? expr->name : NULL;
  if (!*out_size) lang_error(elab, LANG_W_OVERFLOW, expr->span);
  return *out_size != NULL;
}

static bool range_is_whole(lang_frame *frame, ir_dim size, lang_span span) {
  lang_elab *elab = frame->elab;
  ir_prover *prover = frame->function->index->prover;
  ir_dim mine = ir_prover_import(prover, size), zero = ir_dim_const(ir_prover_dims(prover), 0);
  if (ir_prove_nonnegative(prover, mine)) return true;
  lang_diag *diag = lang_error(elab, LANG_W_INDEX_EXTENT, span, ir_dim_print(elab->arena, size));
  const char *missing = ir_prove_missing(prover, elab->arena, IR_PROVE_GE, mine, zero);
  lang_note_add(elab, diag, (lang_span){0}, "that %s is not known; `where` or the bounds of a dim say it", missing);
  return false;
}

// A range must be that of a seq as it is, or be the same however the sequence is cut.
static void range_role(lang_frame *frame, ir_dim size, lang_span span) {
  ir_dim_table *dims = frame->elab->module->dims;
  const ir_symbol *seq = lang_dim_seq(size, dims);
  if (!seq || ir_dim_as_symbol(size) || lang_dim_history(size, dims)) return;
  lang_event_add(frame, seq, LANG_W_ALONG_GROWING, span, "this range");
}

// |range| or null: then from a bare subscript in one of |sources|.
static lang_ix *bind_index(lang_frame *frame, lang_region *region, const lang_name *name, const lang_expr *range,
                           const lang_expr *const *sources, int source_count) {
  lang_elab *elab = frame->elab;
  ir_dim low = ir_dim_const(elab->module->dims, 0), size = NULL;
  const char *label = NULL;
  if (is_name(frame, name->text)) {
    lang_binding *bound = lang_scope_find(frame->scope, name->text);
    lang_diag *diag = lang_error(elab, LANG_W_INDEX_HIDES, name->span, name->text);
    if (bound) lang_note_add(elab, diag, bound->span, "this is '%s' already", name->text);
    return NULL;
  }
  if (range && !said_range(frame, range, &low, &size, &label)) return NULL;
  for (int i = 0; !range && i < source_count; i++) {
    if (!lang_index_find_range(frame, name, sources[i], &size, &label)) return NULL;
  }
  if (!size) {
    lang_diag *diag = lang_error(elab, LANG_W_INDEX_NO_RANGE, name->span, name->text);
    lang_note_add(
        elab, diag, (lang_span){0},
        "say it, as in `%s in 0..N`, or subscript a name with it: a call's result gets one by a line of its own",
        name->text);
    return NULL;
  }
  if (!range_is_whole(frame, size, range ? range->span : name->span)) return NULL;
  range_role(frame, size, range ? range->span : name->span);
  return lang_index_add(frame, region, name->text, name->span, low, size, label);
}

// ---- the end of a statement

static bool result_roles(lang_frame *frame, lang_ix *const *axes, int count, lang_span span) {
  lang_elab *elab = frame->elab;
  bool seq = false, batch = false;
  if (count > IR_MAX_RANK) {
    lang_error(elab, LANG_W_RANK, span, weir_arena_printf(elab->arena, "%d", IR_MAX_RANK));
    return false;
  }
  ir_dim sizes[IR_MAX_RANK];
  for (int i = 0; i < count; i++) sizes[i] = axes[i]->size;
  lang_pair_rule(frame, sizes, count, "this statement", span);
  for (int i = 0; i < count; i++) {
    bool is_batch = lang_dim_batch(axes[i]->size);
    batch = batch || is_batch;
    seq = seq || lang_dim_seq(axes[i]->size, elab->module->dims);
    if (!is_batch || i == 0) continue;
    lang_error(elab, LANG_W_BATCH_NOT_FIRST, axes[i]->span, ir_dim_print(elab->arena, axes[i]->size));
    return false;
  }
  if (seq && batch) lang_error(elab, LANG_W_SEQ_AND_BATCH, span, "this tensor");
  return !(seq && batch);
}

static void latest_role(lang_frame *frame, const lang_index_scope *scope, lang_tensor_value *result, lang_span span) {
  lang_elab *elab = frame->elab;
  if (!scope->latest) return;
  result->latest = scope->latest;
  if (lang_region_scans(frame, scope->latest)) return;
  for (int i = 0; i < scope->indices.count; i++) {
    const ir_symbol *seq = lang_dim_seq(scope->indices.data[i]->size, elab->module->dims);
    if (!seq) continue;
    lang_latest_event(frame, scope->latest, seq, span, lang_span_text(elab, span));
    if (scope->latest != seq) continue;
    result->latest = NULL;
    return;
  }
}

// The scratch regions have done their work and belong to no node.
static void drop_scratch(lang_frame *frame, const lang_index_scope *scope) {
  ir_module *module = frame->elab->module;
  int kept = 0;
  lang_spend(frame->elab, module->function_count / 16, (lang_span){0});
  for (int i = 0; i < module->function_count; i++) {
    bool scratch = false;
    for (int r = 0; r < scope->regions.count && module->functions[i]->kind == IR_FUNCTION_REGION; r++)
      scratch = scratch || scope->regions.data[r]->ir == module->functions[i];
    if (!scratch) module->functions[kept++] = module->functions[i];
  }
  module->function_count = kept;
}

// What an element is made of; a number alone is an f32 or an i32.
static lang_tensor_value *element_of(lang_frame *frame, lang_value value, lang_span span) {
  bool number = lang_value_is_number(value) || value.kind == LANG_V_BOOL;
  return number ? lang_carried_tensor(frame, value, NULL, "an element", span)
                : lang_tensor_of(frame, value, NULL, span);
}

// Emits |value| over the first |left| indices and those that the text left out, in place of the scope.
static lang_value finish(lang_frame *frame, lang_index_scope *scope, lang_value value, int left, lang_span span) {
  lang_tensor_value *element = lang_value_void(value) ? NULL : element_of(frame, value, span);
  if (element) element = lang_index_scalar(frame, element, span);
  ir_value *scalar = element ? lang_capture_value(frame, element->value) : NULL;
  close_scope(frame, scope);
  if (!scalar) {
    drop_scratch(frame, scope);
    return lang_value_void(value) ? value : lang_value_error();
  }
  lang_ix *axes[2 * IR_MAX_RANK];
  int count = 0;
  for (; count < left; count++) axes[count] = scope->indices.data[count];
  for (int i = scope->whole_count - 1; i >= 0; i--) axes[count++] = scope->whole[i];
  if (!result_roles(frame, axes, count, span)) {
    drop_scratch(frame, scope);
    return lang_value_error();
  }
  lang_emit emit = {.frame = frame, .scope = scope, .span = span};
  ir_value *whole = lang_emit_tensor(&emit, scalar, axes, count);
  drop_scratch(frame, scope);
  if (!whole) return lang_value_error();
  lang_value result = lang_wrap(frame, whole, element->is_f, span);
  for (int i = 0; i < count; i++) result.tensor->labels[i] = axes[i]->label;
  latest_role(frame, scope, result.tensor, span);
  return result;
}

// A statement within an index expression (in a fn that it calls) may use whole tensors only.
static lang_index_scope *step_out(lang_frame *frame, lang_region **out_region) {
  lang_index_scope *outer = frame->function->index;
  *out_region = frame->function->region;
  if (outer) {
    frame->function->region = outer->root->parent;
    frame->function->index = outer->outer;
  }
  return outer;
}

static void step_in(lang_frame *frame, lang_index_scope *outer, lang_region *region) {
  if (!outer) return;
  frame->function->index = outer;
  frame->function->region = region;
}

lang_value lang_index_apply(lang_frame *frame, lang_instance *instance, const lang_fn *method, const lang_call *call) {
  lang_region *inside;
  const lang_index_scope *scope = frame->function->index;
  for (int i = 0; i < call->count + call->named.count; i++) {
    lang_value v = i < call->count ? call->positional[i] : call->named_values.data[i - call->count];
    if (v.kind != LANG_V_TENSOR || !lang_index_inner(scope, v.tensor->value)) continue;
    lang_error(frame->elab, LANG_W_INDEX_APPLIED, call->expr->span, call->name);
    return lang_value_error();
  }
  lang_index_scope *outer = step_out(frame, &inside);
  lang_value value = lang_apply(frame, instance, method, call);
  step_in(frame, outer, inside);
  return value;
}

// ---- statements

static bool left_name(lang_frame *frame, const lang_sub *sub, lang_name *out) {
  bool bare = sub->kind == LANG_SUB_INDEX && sub->low->kind == LANG_EXPR_NAME;
  if (sub->kind != LANG_SUB_BINDER && !bare) {
    lang_error(frame->elab, LANG_W_INDEX_LEFT, sub->span);
    return false;
  }
  *out = bare ? (lang_name){sub->low->name, sub->span} : sub->name;
  return true;
}

static bool bind_left(lang_frame *frame, lang_index_scope *scope, const lang_sub *sub, const lang_expr *expr) {
  lang_name name;
  int64_t low;
  if (!left_name(frame, sub, &name)) return false;
  lang_ix *ix = bind_index(frame, scope->root, &name, sub->kind == LANG_SUB_BINDER ? sub->low : NULL, &expr, 1);
  if (!ix) return false;
  ix->order = scope->indices.count - 1;
  name_index(frame, ix);
  if (ir_dim_is_const(ix->low, &low) && low == 0) return true;
  lang_error(frame->elab, LANG_W_INDEX_FROM, sub->span, ix->name, ir_dim_print(frame->elab->arena, ix->low));
  return false;
}

lang_value lang_index_value(lang_frame *frame, const lang_sub *subs, int count, const lang_expr *expr, lang_span span) {
  lang_elab *elab = frame->elab;
  if (!frame->function) {
    lang_error(elab, LANG_W_TENSOR_AT_BUILD_TIME, span, "index notation");
    return lang_value_error();
  }
  if (count > IR_MAX_RANK) {
    lang_error(elab, LANG_W_RANK, span, weir_arena_printf(elab->arena, "%d", IR_MAX_RANK));
    return lang_value_error();
  }
  lang_region *inside;
  lang_index_scope *outer = step_out(frame, &inside), *scope = open_scope(frame);
  lang_scope *names = frame->scope;
  frame->scope = lang_scope_create(elab->arena, names);
  bool ok = true;
  for (int i = 0; i < count; i++) ok = bind_left(frame, scope, &subs[i], expr) && ok;
  lang_value value = ok ? lang_eval(frame, expr) : lang_value_error();
  frame->scope = names;
  value = finish(frame, scope, value, count, span);
  step_in(frame, outer, inside);
  return value;
}

// ---- reducers

static bool reducer_of(lang_frame *frame, const lang_expr *expr, ir_combine *out) {
  const lang_expr *callee = expr->reduce.callee;
  if (callee->kind == LANG_EXPR_NAME && ir_combine_find(callee->name, out)) return true;
  lang_diag *diag =
      lang_error(frame->elab, LANG_W_NOT_A_REDUCER, callee->span, lang_span_text(frame->elab, callee->span));
  const char *names[IR_COMBINE_COUNT];
  for (int i = 0; i < IR_COMBINE_COUNT; i++) names[i] = ir_combine_name((ir_combine)i);
  if (callee->kind == LANG_EXPR_NAME) lang_suggest(frame->elab, diag, callee->name, names, IR_COMBINE_COUNT);
  return false;
}

// The guards as one bool, each assumed for what follows; null without any. False after a report.
static bool guards_of(lang_frame *frame, lang_index_scope *scope, const lang_exprs *guards, ir_value **out) {
  lang_elab *elab = frame->elab;
  lang_value all = lang_value_none();
  *out = NULL;
  for (int i = 0; i < guards->count; i++) {
    lang_value v = lang_eval(frame, guards->data[i]);
    if (lang_value_void(v)) return false;
    if (v.kind == LANG_V_BOOL) v = lang_cast(frame, v, IR_bool, false, guards->data[i]->span);
    if (v.kind != LANG_V_TENSOR || v.tensor->value->type.dtype != IR_bool) {
      lang_error(elab, LANG_W_GUARD_TYPE, guards->data[i]->span, lang_value_describe(elab->arena, v));
      return false;
    }
    v.tensor = lang_index_scalar(frame, v.tensor, guards->data[i]->span);
    if (!v.tensor) return false;
    lang_index_assume(frame, scope, v.tensor->value);
    all = all.kind == LANG_V_NONE
              ? v
              : lang_elementwise(frame, IR_OP_and, (lang_value[]){all, v}, 2, guards->data[i]->span);
    if (all.kind != LANG_V_TENSOR) return false;
  }
  if (all.kind == LANG_V_TENSOR) *out = lang_capture_value(frame, all.tensor->value);
  return true;
}

static lang_tensor_value *body_of(lang_frame *frame, const lang_expr *expr, ir_combine combine) {
  lang_elab *elab = frame->elab;
  lang_value v = lang_eval(frame, expr->reduce.body);
  if (lang_value_void(v)) return NULL;
  lang_tensor_value *body = element_of(frame, v, expr->reduce.body->span);
  if (body) body = lang_index_scalar(frame, body, expr->reduce.body->span);
  if (!body) return NULL;
  ir_dtype dtype = body->value->type.dtype;
  bool logical = combine == IR_COMBINE_any || combine == IR_COMBINE_all;
  bool floats = combine == IR_COMBINE_mean || combine == IR_COMBINE_logsumexp;
  if (logical == (dtype == IR_bool) && (!floats || ir_dtype_is_float(dtype))) return body;
  lang_error(elab, LANG_W_BAD_ELEMENT_TYPE, expr->span, ir_combine_name(combine), lang_tensor_text(elab->arena, body),
             logical  ? "bool"
             : floats ? "floats"
                      : "numbers");
  return NULL;
}

static bool bind_reduced(lang_frame *frame, lang_region *region, const lang_expr *expr) {
  lang_elab *elab = frame->elab;
  lang_index_scope *scope = frame->function->index;
  int sources = 1 + expr->reduce.guards.count;
  const lang_expr **all = WEIR_NEW_ARRAY(elab->arena, const lang_expr *, sources);
  all[0] = expr->reduce.body;
  for (int i = 1; i < sources; i++) all[i] = expr->reduce.guards.data[i - 1];
  lang_ix *bound[IR_MAX_RANK];
  if (expr->reduce.binders.count > IR_MAX_RANK) {
    lang_error(elab, LANG_W_RANK, expr->span, weir_arena_printf(elab->arena, "%d", IR_MAX_RANK));
    return false;
  }
  for (int i = 0; i < expr->reduce.binders.count; i++) {
    const lang_binder *binder = &expr->reduce.binders.data[i];
    bound[i] = bind_index(frame, region, &binder->name, binder->range, all, sources);
    if (!bound[i]) return false;
    bound[i]->order = LANG_IX_REDUCER + scope->indices.count;
    name_index(frame, bound[i]);
  }
  return true;
}

// The fold of a region that is finished, in what is around it.
static lang_value build_fold(lang_frame *frame, lang_region *region, int first, ir_combine combine, bool is_f,
                             lang_span span) {
  const lang_index_scope *scope = frame->function->index;
  ir_dim dims[IR_MAX_RANK];
  int count = 0;
  for (int i = first; count < region->ir->param_count - region->captures.count; i++) {
    if (lang_index_is_param(scope->indices.data[i]->param, region)) dims[count++] = scope->indices.data[i]->size;
  }
  ir_attr attrs[2] = {ir_attr_dims(IR_ATTR_dims, dims, count), ir_attr_combine(IR_ATTR_combine, combine)};
  ir_node *node = lang_region_build(frame, IR_OP_fold, region, NULL, NULL, 0, attrs, 2, span);
  if (!node) return lang_value_error();
  return lang_wrap(frame, node->results[0], is_f && ir_dtype_is_float(node->results[0]->type.dtype), span);
}

// argmax and argmin give the index as the text has it.
static lang_value as_named(lang_frame *frame, lang_value value, const lang_expr *expr, const lang_ix *ix,
                           ir_combine combine) {
  int64_t low;
  if (combine != IR_COMBINE_argmax && combine != IR_COMBINE_argmin) return value;
  if (expr->reduce.binders.count > 1) {
    lang_error(frame->elab, LANG_W_ARG_INDICES, expr->span, ir_combine_name(combine));
    return lang_value_error();
  }
  if (value.kind != LANG_V_TENSOR || (ir_dim_is_const(ix->low, &low) && low == 0)) return value;
  return lang_arithmetic(frame, LANG_OP_ADD, value, lang_value_of_dim(ix->low), expr->span);
}

static lang_value reduce_in(lang_frame *frame, lang_index_scope *scope, const lang_expr *expr, ir_combine combine) {
  lang_elab *elab = frame->elab;
  int first = scope->indices.count, seen = scope->visible.count, mark = ir_prover_mark(scope->prover);
  lang_region *region = lang_region_open(frame, LANG_REGION_INDEX);
  region->ir->name = "fold";
  LANG_PUSH(elab->arena, &scope->regions, region);
  lang_scope *names = frame->scope;
  frame->scope = lang_scope_create(elab->arena, names);
  ir_value *guard = NULL, *value = NULL;
  lang_tensor_value *body = NULL;
  if (bind_reduced(frame, region, expr) && guards_of(frame, scope, &expr->reduce.guards, &guard))
    body = body_of(frame, expr, combine);
  for (int i = seen; body && i < scope->visible.count; i++) {
    const lang_ix *ix = scope->visible.data[i];
    if (lang_index_is_param(ix->param, region)) lang_index_reduce_role(frame, ix, ir_combine_name(combine), expr->span);
  }
  if (body) value = lang_capture_value(frame, body->value);
  frame->scope = names;
  ir_prover_release(scope->prover, mark);
  lang_region_close(frame, region);
  // Dims that were left out belong to the statement and stay visible.
  int kept = seen;
  for (int i = seen; i < scope->visible.count; i++) {
    if (lang_index_is_param(scope->visible.data[i]->param, scope->root))
      scope->visible.data[kept++] = scope->visible.data[i];
  }
  scope->visible.count = kept;
  if (!value) return lang_value_error();
  ir_function_add_result(region->ir, "", value, -1);
  if (guard) ir_function_add_result(region->ir, "", guard, -1);
  lang_value result = build_fold(frame, region, first, combine, body->is_f, expr->span);
  if (result.kind == LANG_V_TENSOR) result.tensor->latest = body->latest;
  return as_named(frame, result, expr, scope->indices.data[first], combine);
}

lang_value lang_index_reduce(lang_frame *frame, const lang_expr *expr) {
  ir_combine combine;
  if (frame->structure) return lang_value_later();
  if (!frame->function) {
    lang_error(frame->elab, LANG_W_TENSOR_AT_BUILD_TIME, expr->span, "a reducer");
    return lang_value_error();
  }
  if (!reducer_of(frame, expr, &combine)) return lang_value_error();
  if (frame->function->index) return reduce_in(frame, frame->function->index, expr, combine);
  lang_index_scope *scope = open_scope(frame);
  return finish(frame, scope, reduce_in(frame, scope, expr, combine), 0, expr->span);
}
