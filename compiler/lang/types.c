// Declared types: what a signature says about its arguments and results, and the fit of build-time values.
//
// A name alone in a tensor type is a build-time parameter, a declared dim or a new dim that the argument fixes; `...`
// is any leading dims, kept in the callee's scope under that name as a list. Binding goes over all parameters first, so
// that `f[2 * N]` may stand before `f[N]`.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

const char *lang_type_text(weir_arena *arena, const ir_type *type, bool is_f) {
  const char *text = ir_type_print(arena, type), *bracket = strchr(text, '[');
  return is_f && bracket ? weir_arena_printf(arena, "f%s", bracket) : text;
}

const char *lang_tensor_text(weir_arena *arena, const lang_tensor_value *tensor) {
  return lang_type_text(arena, &tensor->value->type, tensor->is_f);
}

static const char *type_text(weir_arena *arena, const lang_tensor_type *t) {
  const char *text = weir_arena_printf(arena, "%s[", t->is_f ? "f" : ir_dtype_name(t->type.dtype));
  for (int i = 0; i < t->type.rank; i++) {
    text = weir_arena_printf(arena, "%s%s%s", text, i ? ", " : "",
                             t->type.dims[i] ? ir_dim_print(arena, t->type.dims[i]) : "_");
  }
  return weir_arena_printf(arena, "%s]", text);
}

bool lang_type_is_tensor(const lang_type *type) { return type && type->kind == LANG_TYPE_TENSOR; }

bool lang_type_dtype(lang_frame *frame, const lang_type *type, ir_dtype *out, bool *out_is_f) {
  const lang_binding *bound = lang_scope_find(frame->scope, type->name.text);
  lang_value value;
  if (bound && bound->value.kind == LANG_V_DTYPE) value = bound->value;
  else if (!lang_builtin_constant(frame->elab, type->name.text, &value) || value.kind != LANG_V_DTYPE) {
    const char *names[IR_DTYPE_COUNT + 1] = {"f"};
    for (int i = 0; i < IR_DTYPE_COUNT; i++) names[i + 1] = ir_dtype_name((ir_dtype)i);
    lang_diag *diag = lang_error(frame->elab, LANG_W_UNKNOWN_DTYPE, type->name.span, type->name.text);
    lang_suggest(frame->elab, diag, type->name.text, names, IR_DTYPE_COUNT + 1);
    return false;
  }
  *out = value.dtype.type;
  *out_is_f = value.dtype.is_f;
  return true;
}

// ---- names that an argument fixes

static bool is_any(const lang_sub *sub) {
  return sub->kind == LANG_SUB_INDEX && sub->low->kind == LANG_EXPR_NAME && !strcmp(sub->low->name, "_");
}

// A bare name that means nothing yet: a dim of the file (|out_decl|) or a new one.
static bool is_open(lang_frame *frame, const lang_sub *sub, const lang_dim **out_decl) {
  *out_decl = NULL;
  if (sub->kind != LANG_SUB_INDEX || sub->low->kind != LANG_EXPR_NAME || is_any(sub)) return false;
  const char *name = sub->low->name;
  if (lang_scope_find(frame->scope, name)) return false;
  *out_decl = lang_model_dim(frame->self, name);
  if (*out_decl) return !(*out_decl)->value;
  const lang_symbol *decl = lang_program_find_dim(frame->elab->program, frame->file, name);
  if (decl) *out_decl = &decl->item->dim;
  if (decl && decl->item->dim.value) return false;  // a name for a size of the others
  return decl || !lang_program_find(frame->elab->program, frame->file, name);
}

static int ellipsis_at(const lang_subs *subs) {
  for (int i = 0; i < subs->count; i++) {
    if (subs->data[i].kind == LANG_SUB_ELLIPSIS) return i;
  }
  return -1;
}

static const char *role_name(ir_role role) {
  return role == IR_ROLE_SEQ ? "seq" : role == IR_ROLE_BATCH ? "batch" : "plain";
}

// "A plain dim may stand for a block's seq, batch or `...`; a seq for seq or `...`; a batch for batch or `...`."
static bool bind_open(lang_frame *callee, const lang_sub *sub, const lang_dim *decl, ir_dim dim) {
  ir_role wanted = IR_ROLE_PLAIN, got = ir_dim_role(dim);
  if (decl && decl->role.text) lang_role_find(decl->role.text, &wanted);
  const char *name = sub->low->name;
  bool fits = got == IR_ROLE_PLAIN || got == wanted;
  if (!fits) {
    lang_diag *diag = lang_error(callee->elab, LANG_W_ROLE_MISMATCH, sub->span, ir_dim_print(callee->elab->arena, dim),
                                 role_name(got), name, role_name(wanted));
    if (wanted == IR_ROLE_PLAIN) {
      lang_note_add(callee->elab, diag, (lang_span){0}, "`dim %s: %s;` in this file would say so", name,
                    role_name(got));
    }
  }
  lang_scope_add(callee->elab->arena, callee->scope, name, lang_value_of_dim(dim), LANG_BINDING_CONST, sub->span);
  return fits;
}

static void bind_ellipsis(lang_frame *callee, const ir_type *actual, int count, lang_span span) {
  if (lang_scope_here(callee->scope, "...")) return;
  lang_value items[IR_MAX_RANK];
  for (int i = 0; i < count; i++) items[i] = lang_value_of_dim(actual->dims[i]);
  lang_scope_add(callee->elab->arena, callee->scope, "...",
                 lang_value_list(callee->elab->arena, LANG_V_LIST, items, count), LANG_BINDING_CONST, span);
}

bool lang_type_bind(lang_frame *callee, const lang_type *type, const ir_type *actual) {
  const lang_subs *subs = &type->subs;
  int dots = ellipsis_at(subs), extra = actual->rank - (subs->count - (dots >= 0));
  bool fits = true;
  if (extra < 0 || (dots < 0 && extra > 0)) return true;  // lang_type_check says so
  if (dots >= 0) bind_ellipsis(callee, actual, extra, subs->data[dots].span);
  for (int i = 0, axis = 0; i < subs->count; i++) {
    const lang_dim *decl;
    if (subs->data[i].kind == LANG_SUB_ELLIPSIS) axis += extra;
    else if (is_open(callee, &subs->data[i], &decl))
      fits = bind_open(callee, &subs->data[i], decl, actual->dims[axis++]) && fits;
    else axis++;
  }
  return fits;
}

// ---- types whose names are bound

static bool add_dim(lang_frame *frame, lang_tensor_type *out, ir_dim dim, const char *label, const char **labels,
                    lang_span span) {
  if (out->type.rank == IR_MAX_RANK) {
    lang_error(frame->elab, LANG_W_RANK, span, weir_arena_printf(frame->elab->arena, "%d", IR_MAX_RANK));
    return false;
  }
  if (labels) labels[out->type.rank] = label;
  out->type.dims[out->type.rank++] = dim;
  return true;
}

static bool add_ellipsis(lang_frame *frame, lang_tensor_type *out, const char **labels, lang_span span) {
  const lang_binding *dots = lang_scope_find(frame->scope, "...");
  if (!dots) {
    lang_error(frame->elab, LANG_W_ELLIPSIS, span);
    return false;
  }
  for (int64_t i = 0; i < dots->value.list.count; i++) {
    lang_value v = dots->value.list.items[i];
    ir_dim dim = v.kind == LANG_V_DIM ? v.dim : ir_dim_const(frame->elab->module->dims, v.i);
    if (!add_dim(frame, out, dim, "...", labels, span)) return false;
  }
  return true;
}

static bool resolve_sub(lang_frame *frame, const lang_sub *sub, bool declares, lang_tensor_type *out,
                        const char **labels) {
  if (sub->kind == LANG_SUB_ELLIPSIS) return add_ellipsis(frame, out, labels, sub->span);
  if (sub->kind != LANG_SUB_INDEX) {
    lang_error(frame->elab, LANG_W_BAD_DIM, sub->span, "a range");
    return false;
  }
  if (is_any(sub)) return add_dim(frame, out, NULL, NULL, labels, sub->span);
  const char *label = sub->low->kind == LANG_EXPR_NAME ? sub->low->name : lang_span_text(frame->elab, sub->span);
  const lang_dim *decl;
  if (declares && is_open(frame, sub, &decl)) {
    ir_symbol *symbol = lang_dim_declare(frame, sub->low->name, decl, sub->span);
    lang_scope_add(frame->elab->arena, frame->scope, label,
                   lang_value_of_dim(ir_dim_symbol(frame->elab->module->dims, symbol)), LANG_BINDING_CONST, sub->span);
  }
  ir_dim dim = lang_eval_dim(frame, sub->low, NULL);
  return dim && add_dim(frame, out, dim, label, labels, sub->span);
}

bool lang_type_resolve(lang_frame *frame, const lang_type *type, bool declares, lang_tensor_type *out,
                       const char **labels) {
  *out = (lang_tensor_type){0};
  bool ok = lang_type_dtype(frame, type, &out->type.dtype, &out->is_f);
  for (int i = 0; i < type->subs.count; i++) ok = resolve_sub(frame, &type->subs.data[i], declares, out, labels) && ok;
  return ok;
}

static int differing_axis(ir_dim_table *dims, const ir_type *a, const ir_type *b) {
  for (int i = 0; i < a->rank; i++) {
    if (a->dims[i] && !lang_dim_equal(dims, a->dims[i], b->dims[i])) return i;
  }
  return -1;
}

bool lang_type_check(lang_frame *callee, const lang_type *type, const lang_tensor_value *actual, const char *who,
                     lang_span use) {
  lang_elab *elab = callee->elab;
  lang_tensor_type wanted;
  if (!lang_type_resolve(callee, type, false, &wanted, NULL)) return false;
  const ir_type *got = &actual->value->type;
  bool same = wanted.type.dtype == got->dtype && wanted.is_f == actual->is_f;
  int axis = wanted.type.rank == got->rank ? differing_axis(elab->module->dims, &wanted.type, got) : 0;
  if (same && wanted.type.rank == got->rank && axis < 0) return true;
  const char *wanted_text = type_text(elab->arena, &wanted), *got_text = lang_tensor_text(elab->arena, actual);
  if (!same) {
    lang_diag *diag = lang_error(elab, LANG_W_TYPE_MISMATCH, use, who, got_text, wanted_text);
    lang_note_add(elab, diag, type->span, "declared here");
    lang_note_add(elab, diag, (lang_span){0}, "types are never converted silently: a cast is a call, %s(x)",
                  wanted.is_f ? "f" : ir_dtype_name(wanted.type.dtype));
    return false;
  }
  lang_diag *diag = lang_error(elab, LANG_W_TYPE_MISMATCH, use, who, got_text, wanted_text);
  lang_note_add(elab, diag, type->span, "declared here as %s", lang_span_text(elab, type->span));
  if (wanted.type.rank == got->rank) {
    const ir_symbol *seq = lang_dim_seq(wanted.type.dims[axis], elab->module->dims);
    if (seq && seq == lang_dim_seq(got->dims[axis], elab->module->dims))
      lang_note_missing(elab, diag, LANG_OP_EQ, wanted.type.dims[axis], got->dims[axis]);
    lang_note_dim(elab, diag, callee->function, actual->value, axis, "");
  }
  return false;
}

// ---- build-time values

static const char *named_kind(const lang_type *type) {
  static const char *const known[] = {"int", "float", "bool", "str", "dtype", "fn", "block"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (!strcmp(type->name.text, known[i])) return known[i];
  }
  return NULL;
}

static bool fits(lang_value v, const char *kind) {
  switch (v.kind) {
    case LANG_V_INT:
      return !strcmp(kind, "int");
    case LANG_V_FLOAT:
      return !strcmp(kind, "float");
    case LANG_V_BOOL:
      return !strcmp(kind, "bool");
    case LANG_V_STRING:
      return !strcmp(kind, "str");
    case LANG_V_DTYPE:
      return !strcmp(kind, "dtype");
    case LANG_V_FN:
      return !strcmp(kind, "fn");
    case LANG_V_INSTANCE:
      return !strcmp(kind, "block");
    default:
      return false;
  }
}

static lang_value fit_list(lang_frame *frame, lang_value value, const lang_type *type, const char *who,
                           lang_span span) {
  lang_value copy = lang_value_list(frame->elab->arena, LANG_V_LIST, value.list.items, value.list.count);
  for (int64_t i = 0; i < copy.list.count; i++) {
    copy.list.items[i] = lang_value_fit(frame, copy.list.items[i], type->element, who, span);
    if (lang_value_void(copy.list.items[i])) return copy.list.items[i];
  }
  return copy;
}

lang_value lang_value_fit(lang_frame *frame, lang_value value, const lang_type *type, const char *who, lang_span span) {
  if (lang_value_void(value) || !type) return value;
  if (type->kind == LANG_TYPE_LIST && value.kind == LANG_V_LIST) return fit_list(frame, value, type, who, span);
  if (type->kind == LANG_TYPE_NAMED) {
    const char *kind = named_kind(type);
    if (!kind) {
      lang_error(frame->elab, LANG_W_UNKNOWN_TYPE, type->span, type->name.text);
      return lang_value_error();
    }
    if (fits(value, kind)) return value;
    if (value.kind == LANG_V_INT && !strcmp(kind, "float")) return lang_value_float((double)value.i);
  }
  lang_diag *diag = lang_error(frame->elab, LANG_W_ARGUMENT_KIND, span, who,
                               lang_value_describe(frame->elab->arena, value), lang_span_text(frame->elab, type->span));
  lang_note_add(frame->elab, diag, type->span, "declared here");
  return lang_value_error();
}

bool lang_range_limits(lang_frame *frame, const lang_expr *range, int64_t *out_lo, int64_t *out_hi, ir_dim *out_below) {
  lang_value v = lang_eval(frame, range);
  *out_below = NULL;
  if (v.kind != LANG_V_RANGE || v.list.items[0].kind != LANG_V_INT || v.list.items[1].kind != LANG_V_DIM)
    return !lang_value_void(v) && lang_range_bounds(frame, range, out_lo, out_hi);
  int64_t lo, hi;
  *out_below = v.list.items[1].dim;
  ir_dim_bounds(*out_below, &lo, &hi);
  *out_lo = v.list.items[0].i;
  *out_hi = hi > INT32_MAX ? INT32_MAX : hi - 1;
  if (*out_lo >= 0 && *out_hi >= *out_lo) return true;
  lang_error(frame->elab, LANG_W_BAD_RANGE, range->span);
  return false;
}

bool lang_range_bounds(lang_frame *frame, const lang_expr *range, int64_t *out_lo, int64_t *out_hi) {
  lang_value v = lang_eval(frame, range);
  if (lang_value_void(v)) return false;
  if (v.kind != LANG_V_RANGE || v.list.items[0].kind != LANG_V_INT || v.list.items[1].kind != LANG_V_INT) {
    bool size = v.kind == LANG_V_RANGE && (v.list.items[0].kind == LANG_V_DIM || v.list.items[1].kind == LANG_V_DIM);
    lang_error(frame->elab, size ? LANG_W_LATER_RANGE : LANG_W_BAD_RANGE, range->span);
    return false;
  }
  *out_lo = v.list.items[0].i;
  return weir_add_i64(v.list.items[1].i, -1, out_hi);
}
