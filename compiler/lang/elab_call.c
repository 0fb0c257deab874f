// Calls: arguments to parameters, by place, name or default; inline execution of fns; the fit of results. A call across
// an instance's border becomes a graph function of its own (elab_apply.c); fns of a file and of the own instance are
// expanded in place.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"
#include "ir/rules.h"

// ---- arguments

bool lang_call_make(lang_frame *frame, const lang_expr *expr, const lang_args *args, const char *name, lang_call *out,
                    lang_value *out_void) {
  weir_arena *arena = frame->elab->arena;
  *out = (lang_call){.expr = expr, .name = name};
  out->positional = WEIR_NEW_ARRAY(arena, lang_value, args->count + 1);
  out->exprs = WEIR_NEW_ARRAY(arena, const lang_expr *, args->count + 1);
  bool ok = true;
  for (int i = 0; i < args->count; i++) {
    const lang_arg *arg = &args->data[i];
    if (arg->kind == LANG_ARG_BINDER) {
      lang_error(frame->elab, LANG_W_STRAY_BINDER, arg->span);
      *out_void = lang_value_error();
      ok = false;
      continue;
    }
    lang_value v = lang_eval(frame, arg->value);
    if (lang_value_void(v)) {
      *out_void = ok || v.kind == LANG_V_ERROR ? v : *out_void;
      ok = false;
    }
    if (arg->kind == LANG_ARG_NAMED) {
      LANG_PUSH(arena, &out->named, *arg);
      LANG_PUSH(arena, &out->named_values, v);
    } else {
      out->positional[out->count] = v;
      out->exprs[out->count++] = arg->value;
    }
  }
  return ok;
}

lang_tensor_value *lang_tensor_arg(lang_frame *frame, const lang_call *call, int index) {
  lang_value v = call->positional[index];
  if (v.kind == LANG_V_TENSOR) return v.tensor;
  lang_error(frame->elab, LANG_W_WANTS_TENSOR, call->exprs[index]->span,
             weir_arena_printf(frame->elab->arena, "an argument of %s", call->name),
             lang_value_describe(frame->elab->arena, v));
  return NULL;
}

lang_value lang_call_named(const lang_call *call, const char *name, const lang_expr **out_expr) {
  for (int i = 0; i < call->named.count; i++) {
    if (strcmp(call->named.data[i].name.text, name) != 0) continue;
    if (out_expr) *out_expr = call->named.data[i].value;
    return call->named_values.data[i];
  }
  if (out_expr) *out_expr = NULL;
  return lang_value_none();
}

typedef struct {
  lang_value value;
  bool given;
  lang_span span;
} matched;

static int param_at(const lang_params *params, const char *name) {
  for (int i = 0; i < params->count; i++) {
    if (!strcmp(params->data[i].name.text, name)) return i;
  }
  return -1;
}

static void unknown_argument(lang_frame *frame, const lang_params *params, const lang_call *call, const lang_arg *arg) {
  const char **names = WEIR_NEW_ARRAY(frame->elab->arena, const char *, params->count + 1);
  for (int i = 0; i < params->count; i++) names[i] = params->data[i].name.text;
  lang_diag *diag = lang_error(frame->elab, LANG_W_UNKNOWN_ARGUMENT, arg->name.span, call->name, arg->name.text);
  lang_suggest(frame->elab, diag, arg->name.text, names, params->count);
}

static bool match(lang_frame *frame, const lang_params *params, const lang_call *call, matched *out) {
  bool ok = true;
  for (int i = 0; i < call->count; i++) {
    if (i >= params->count) {
      lang_error(frame->elab, LANG_W_TOO_MANY_ARGUMENTS, call->exprs[i]->span, call->name,
                 weir_arena_printf(frame->elab->arena, "%d", params->count));
      return false;
    }
    out[i] = (matched){call->positional[i], true, call->exprs[i]->span};
  }
  for (int i = 0; i < call->named.count; i++) {
    const lang_arg *arg = &call->named.data[i];
    int at = param_at(params, arg->name.text);
    if (at < 0) {
      unknown_argument(frame, params, call, arg);
      ok = false;
    } else if (out[at].given) {
      lang_error(frame->elab, LANG_W_ARGUMENT_TWICE, arg->name.span, call->name, arg->name.text);
      ok = false;
    } else {
      out[at] = (matched){call->named_values.data[i], true, arg->value ? arg->value->span : arg->span};
    }
  }
  return ok;
}

static void missing_argument(lang_frame *frame, const lang_param *param, const lang_call *call) {
  lang_span place = call->expr ? call->expr->span : param->span;
  lang_diag *diag = lang_error(frame->elab, LANG_W_MISSING_ARGUMENT, place, call->name, param->name.text);
  lang_note_add(frame->elab, diag, param->span, "declared here, without a value of its own");
}

static const char *param_label(lang_elab *elab, const lang_call *call, const lang_param *param) {
  return weir_arena_printf(elab->arena, "argument '%s' of %s", param->name.text, call->name);
}

// A parameter without a type has that of its default.
static lang_value fit_default(lang_frame *frame, lang_value value, lang_value sample, const lang_param *param,
                              const lang_call *call, lang_span span) {
  if (value.kind == sample.kind || lang_value_void(value) || lang_value_void(sample)) return value;
  if (value.kind == LANG_V_INT && sample.kind == LANG_V_FLOAT) return lang_value_float((double)value.i);
  lang_diag *diag =
      lang_error(frame->elab, LANG_W_ARGUMENT_KIND, span, param_label(frame->elab, call, param),
                 lang_value_describe(frame->elab->arena, value),
                 weir_arena_printf(frame->elab->arena, "like %s", lang_value_print(frame->elab->arena, sample)));
  lang_note_add(frame->elab, diag, param->span, "declared here");
  return lang_value_error();
}

static void param_range(lang_frame *callee, const lang_param *param, lang_value value, const lang_call *call,
                        lang_span span) {
  int64_t lo, hi;
  if (!param->range || value.kind != LANG_V_INT || !lang_range_bounds(callee, param->range, &lo, &hi)) return;
  if (value.i >= lo && value.i <= hi) return;
  lang_diag *diag = lang_error(callee->elab, LANG_W_OUT_OF_RANGE, span, param_label(callee->elab, call, param),
                               lang_value_print(callee->elab->arena, value));
  lang_note_add(callee->elab, diag, param->range->span, "declared here");
}

// The value of a build-time parameter, defined in the callee's scope. Void after a report.
static lang_value bind_build_time(lang_frame *callee, const lang_param *param, matched *m, const lang_call *call) {
  lang_value value = m->value, sample = lang_value_none();
  if (param->value && (!m->given || !param->type)) {
    sample = lang_eval(callee, param->value);
    if (!m->given) value = sample, m->span = param->value->span;
  } else if (!m->given) {
    missing_argument(callee, param, call);
    value = lang_value_error();
  }
  if (value.kind == LANG_V_FN && value.fn->self) {
    lang_error(callee->elab, LANG_W_METHOD_VALUE, m->span, value.fn->decl->name.text);
    value = lang_value_error();
  } else if (value.kind == LANG_V_INSTANCE && !value.instance->path) {
    lang_error(callee->elab, LANG_W_NAMELESS, m->span, value.instance->name);
    value = lang_value_error();
  } else if (value.kind == LANG_V_TENSOR) {
    lang_error(callee->elab, LANG_W_TENSOR_IN_BRACES, m->span, param_label(callee->elab, call, param));
    value = lang_value_error();
  } else if (value.kind == LANG_V_DIM && param->type) {
    lang_error(callee->elab, LANG_W_SIZE_IN_BRACES, m->span, param_label(callee->elab, call, param),
               lang_value_print(callee->elab->arena, value));
    value = lang_value_error();
  } else if (param->type) {
    value = lang_value_fit(callee, value, param->type, param_label(callee->elab, call, param), m->span);
  } else {
    value = fit_default(callee, value, sample, param, call, m->span);
  }
  param_range(callee, param, value, call, m->span);
  lang_scope_add(callee->elab->arena, callee->scope, param->name.text, value, LANG_BINDING_CONST, m->span);
  return value;
}

bool lang_bind_params(lang_frame *callee, const lang_params *params, const lang_call *call, lang_value *out,
                      lang_span *out_spans) {
  matched *m = WEIR_NEW_ARRAY(callee->elab->arena, matched, params->count + 1);
  bool ok = match(callee, params, call, m);
  for (int i = 0; i < params->count; i++) {
    out[i] = bind_build_time(callee, &params->data[i], &m[i], call);
    out_spans[i] = m[i].span;
    ok = ok && out[i].kind != LANG_V_ERROR;
  }
  return ok;
}

// ---- signatures

// Numbers and sizes become scalars of the declared type.
static lang_tensor_value *argument_tensor(lang_frame *callee, const lang_param *param, const matched *m,
                                          const lang_call *call) {
  if (m->value.kind == LANG_V_TENSOR) return m->value.tensor;
  if (lang_value_is_number(m->value) || m->value.kind == LANG_V_DIM) {
    lang_tensor_value like = {0};
    ir_value type = {0};
    like.value = &type;
    if (!lang_type_dtype(callee, param->type, &type.type.dtype, &like.is_f)) return NULL;
    return lang_tensor_of(callee, m->value, &like, m->span);
  }
  lang_diag *diag = lang_error(callee->elab, LANG_W_WANTS_TENSOR, m->span, param_label(callee->elab, call, param),
                               lang_value_describe(callee->elab->arena, m->value));
  lang_note_add(callee->elab, diag, param->span, "declared here");
  return NULL;
}

static bool proved_range(lang_frame *callee, const lang_expr *range, const lang_tensor_value *tensor, const char *who,
                         lang_span span) {
  int64_t lo, hi;
  const ir_value *value = tensor->value;
  lang_elab *elab = callee->elab;
  ir_dim below;
  if (!range) return true;
  if (!lang_range_limits(callee, range, &lo, &hi, &below)) return false;
  bool known = value->lo <= value->hi && value->lo >= lo;
  if (known && (below ? ir_value_below(value, below) : value->hi <= hi)) return true;
  lang_diag *diag = lang_error(elab, LANG_W_UNPROVED_RANGE, span, who, lang_span_text(elab, range->span));
  if (value->lo <= value->hi) {
    lang_note_add(elab, diag, tensor->span, "it is known to be in %" PRId64 "..=%" PRId64, value->lo, value->hi);
  } else {
    lang_note_add(elab, diag, tensor->span, "nothing is known about it");
  }
  lang_note_add(elab, diag, range->span, "the bound is %" PRId64 "..=%" PRId64, lo, hi);
  lang_note_add(elab, diag, (lang_span){0},
                "an argument says its range, `tokens: i32[T] in 0..V`; or clamp(i, lo, hi)");
  return false;
}

static void define_tensor(lang_frame *callee, const lang_param *param, lang_tensor_value *tensor) {
  lang_tensor_value *copy = WEIR_NEW(callee->elab->arena, lang_tensor_value);
  lang_tensor_type type;
  const char *labels[IR_MAX_RANK] = {NULL};
  *copy = *tensor;
  copy->state = NULL;
  if (lang_type_resolve(callee, param->type, false, &type, labels) && type.type.rank == tensor->value->type.rank) {
    memcpy(copy->labels, labels, sizeof labels);
  }
  lang_scope_add(callee->elab->arena, callee->scope, param->name.text,
                 (lang_value){.kind = LANG_V_TENSOR, .tensor = copy}, LANG_BINDING_LOCAL, param->name.span);
}

bool lang_bind_signature(lang_frame *callee, const lang_signature *signature, const lang_call *call,
                         lang_tensor_value **out_tensors) {
  const lang_params *params = &signature->params;
  matched *m = WEIR_NEW_ARRAY(callee->elab->arena, matched, params->count + 1);
  bool ok = match(callee, params, call, m);
  for (int i = 0; i < params->count; i++) {
    const lang_param *param = &params->data[i];
    out_tensors[i] = NULL;
    if (!lang_type_is_tensor(param->type)) {
      ok = !lang_value_void(bind_build_time(callee, param, &m[i], call)) && ok;
    } else if (!m[i].given) {
      missing_argument(callee, param, call);
      ok = false;
    } else {
      out_tensors[i] = argument_tensor(callee, param, &m[i], call);
      ok = out_tensors[i] && ok;
    }
  }
  for (int i = 0; i < params->count; i++) {
    if (out_tensors[i]) ok = lang_type_bind(callee, params->data[i].type, &out_tensors[i]->value->type) && ok;
  }
  for (int i = 0; i < params->count; i++) {
    if (!out_tensors[i]) continue;
    const char *who = param_label(callee->elab, call, &params->data[i]);
    bool fits = lang_type_check(callee, params->data[i].type, out_tensors[i], who, m[i].span);
    ok = fits && proved_range(callee, params->data[i].range, out_tensors[i], who, m[i].span) && ok;
    define_tensor(callee, &params->data[i], out_tensors[i]);
  }
  return ok;
}

// ---- results

static lang_value fit_one(lang_frame *callee, const lang_type *type, const lang_expr *range, lang_value value,
                          lang_span span, const char *who) {
  if (lang_value_void(value)) return value;
  if (lang_reported(callee->elab, LANG_W_ENTRY_F, type->name.span)) return lang_value_error();
  if (!lang_type_is_tensor(type)) return lang_value_fit(callee, value, type, who, span);
  lang_tensor_value like = {0};
  ir_value dtype = {0};
  like.value = &dtype;
  if (value.kind == LANG_V_NONE || value.kind == LANG_V_TUPLE ||
      !lang_type_dtype(callee, type, &dtype.type.dtype, &like.is_f)) {
    lang_error(callee->elab, LANG_W_ARGUMENT_KIND, span, who, lang_value_describe(callee->elab->arena, value),
               lang_span_text(callee->elab, type->span));
    return lang_value_error();
  }
  lang_tensor_value *tensor = lang_tensor_of(callee, value, &like, span);
  if (tensor && tensor->state && tensor->state->over) {
    lang_error(callee->elab, LANG_W_STATE_RETURNED, span, tensor->state->path);
    return lang_value_error();
  }
  if (!tensor || !lang_type_check(callee, type, tensor, who, span)) return lang_value_error();
  lang_tensor_value *copy = WEIR_NEW(callee->elab->arena, lang_tensor_value);
  *copy = *tensor;
  copy->state = NULL;
  for (int i = 0; i < IR_MAX_RANK; i++) {
    if (copy->labels[i] && !strcmp(copy->labels[i], "..."))
      copy->labels[i] = NULL;  // of this signature, not the caller's
  }
  if (!proved_range(callee, range, tensor, who, span)) return lang_value_error();
  return (lang_value){.kind = LANG_V_TENSOR, .tensor = copy};
}

static lang_value fit_named(lang_frame *callee, const lang_signature *signature, lang_value value, lang_span span) {
  const lang_params *results = &signature->results;
  lang_value single = value, *items = value.kind == LANG_V_TUPLE ? value.list.items : &single;
  int64_t count = value.kind == LANG_V_TUPLE ? value.list.count : value.kind == LANG_V_NONE ? 0 : 1;
  if (lang_value_void(value)) return value;
  if (count != results->count) {
    lang_error(callee->elab, LANG_W_VALUE_COUNT, span, weir_arena_printf(callee->elab->arena, "%d", results->count),
               weir_arena_printf(callee->elab->arena, "%" PRId64, count));
    return lang_value_error();
  }
  lang_value fitted = lang_value_list(callee->elab->arena, LANG_V_TUPLE, items, count);
  bool ok = true;
  for (int i = 0; i < results->count; i++) {
    const lang_param *result = &results->data[i];
    const char *who = weir_arena_printf(callee->elab->arena, "result '%s'", result->name.text);
    fitted.list.items[i] = fit_one(callee, result->type, result->range, items[i], span, who);
    ok = ok && !lang_value_void(fitted.list.items[i]);
  }
  return ok ? fitted : lang_value_error();
}

lang_value lang_result_fit(lang_frame *callee, const lang_signature *signature, lang_value value, lang_span span,
                           const char *who) {
  switch (signature->result) {
    case LANG_RESULT_TYPE:
      return fit_one(callee, signature->type, signature->range, value, span,
                     weir_arena_printf(callee->elab->arena, "the result of %s", who));
    case LANG_RESULT_NAMED:
      return fit_named(callee, signature, value, span);
    case LANG_RESULT_NONE:
      if (value.kind == LANG_V_NONE || lang_value_void(value)) return value;
      lang_error(callee->elab, LANG_W_NO_RESULT_DECLARED, span, who);
      return lang_value_error();
  }
  return value;
}

// ---- fns

static bool takes_tensors(const lang_fn *fn) {
  for (int i = 0; i < fn->signature.params.count; i++) {
    if (lang_type_is_tensor(fn->signature.params.data[i].type)) return true;
  }
  return false;
}

static bool activate(lang_elab *elab, const lang_fn *fn, lang_span span) {
  for (int i = 0; i < elab->active.count; i++) {
    if (elab->active.data[i] != fn) continue;
    lang_error(elab, LANG_W_CONTAINS_ITSELF, span, fn->name.text);
    return false;
  }
  LANG_PUSH(elab->arena, &elab->active, fn);
  return true;
}

static lang_value call_inline(lang_frame *frame, const lang_callable *fn, const lang_call *call) {
  lang_elab *elab = frame->elab;
  const lang_fn *decl = fn->decl;
  if (!activate(elab, decl, call->expr->span)) return lang_value_error();
  lang_frame callee = {.elab = elab, .file = fn->file, .self = fn->self, .function = frame->function};
  callee.scope = callee.locals = lang_scope_create(elab->arena, fn->self ? fn->self->scope : NULL);
  lang_tensor_value **tensors = WEIR_NEW_ARRAY(elab->arena, lang_tensor_value *, decl->signature.params.count + 1);
  lang_value result = lang_value_error();
  if (lang_bind_signature(&callee, &decl->signature, call, tensors) &&
      lang_prove(&callee, &decl->wheres, call->expr->span)) {
    const char *what = weir_arena_printf(elab->arena, "in fn %s, called here", decl->name.text);
    lang_site *outer = lang_site_push(elab, what, call->expr->span);
    callee.result = lang_value_none();
    lang_run_body(&callee, &decl->body);
    lang_span span = callee.returned ? callee.result_span : decl->name.span;
    result = lang_result_fit(&callee, &decl->signature, callee.result, span, decl->name.text);
    lang_error_flush(elab);
    elab->site = outer;
  }
  elab->active.count--;
  return result;
}

lang_value lang_call_fn(lang_frame *frame, const lang_callable *fn, const lang_call *call) {
  if (fn->builtin) return lang_builtin_call(frame, fn->builtin, call);
  bool member = fn->self && fn->self != frame->self && fn->self->model;
  if (fn->decl->kind != LANG_FN_PLAIN && !member) {
    lang_error(frame->elab, LANG_W_CALLS_ENTRY, call->expr->span, fn->decl->name.text);
    return lang_value_error();
  }
  bool tensors = takes_tensors(fn->decl);
  if (frame->structure && tensors) return lang_value_later();
  if (fn->self && fn->self != frame->self && tensors) return lang_apply(frame, fn->self, fn->decl, call);
  return call_inline(frame, fn, call);
}

// Whether the state that is appended to was reported where it is declared.
static bool appends_to_failed(const lang_frame *frame, const lang_args *args) {
  const lang_expr *first = args->count ? args->data[0].value : NULL;
  const lang_space *space = first && first->kind == LANG_EXPR_NAME && frame->self && frame->self->space
                                ? lang_space_find(frame->self->space, first->name)
                                : NULL;
  return space && space->has_value && space->value.kind == LANG_V_ERROR;
}

lang_value lang_eval_call(lang_frame *frame, const lang_expr *expr) {
  lang_value routed;
  if (lang_index_route(frame, expr, &routed)) return routed;
  lang_value callee = lang_eval(frame, expr->call.callee), none;
  lang_call call;
  const char *name = lang_span_text(frame->elab, expr->call.callee->span);
  if (strlen(name) > 60) name = "this";
  if (callee.kind == LANG_V_FN && callee.fn->builtin && !strcmp(callee.fn->builtin->name, "append")) {
    if (!appends_to_failed(frame, &expr->call.args)) lang_error(frame->elab, LANG_W_APPEND_FORM, expr->span);
    return lang_value_error();
  }
  if (!lang_call_make(frame, expr, &expr->call.args, name, &call, &none)) return none;
  if (lang_value_void(callee)) return callee;
  switch (callee.kind) {
    case LANG_V_FN:
      return lang_call_fn(frame, callee.fn, &call);
    case LANG_V_INSTANCE:
      return frame->structure ? lang_value_later() : lang_apply(frame, callee.instance, NULL, &call);
    case LANG_V_DTYPE:
      if (call.count != 1 || call.named.count) {
        lang_error(frame->elab, LANG_W_CAST_ARGUMENTS, expr->span, name);
        return lang_value_error();
      }
      if (frame->structure) return lang_value_later();
      return lang_cast(frame, call.positional[0], callee.dtype.type, callee.dtype.is_f, expr->span);
    default:
      lang_error(frame->elab, LANG_W_NOT_CALLABLE, expr->call.callee->span,
                 lang_value_describe(frame->elab->arena, callee));
      return lang_value_error();
  }
}
