// Application: a block instance on arguments becomes a call of a graph function.
//
// Functions are found again by a key: the block, its build-time parameters, the pattern in which its members are
// shared, the types of the arguments, entry or step. So thirty equal layers are one function, called thirty times with
// other weights and states. A function knows its slots by their number in the listing of the instance it was made for;
// the listing of an equal instance gives the slots of that one. Functions that differ in what only checks need (entry
// or step, latest arguments) and come out equal are one as well.
#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_impl.h"

// ---- making

lang_function *lang_function_create(lang_elab *elab, lang_instance *root, ir_function_kind kind, const char *name,
                                    lang_span span) {
  lang_function *function = WEIR_NEW(elab->arena, lang_function);
  function->ir = ir_function_create(elab->module, kind, name);
  function->ir->loc = lang_loc(elab, span);
  function->root = root;
  function->step = elab->step;
  return function;
}

static lang_tensor_value *result_at(lang_value result, int index) {
  lang_value v = result.kind == LANG_V_TUPLE ? result.list.items[index] : result;
  return v.kind == LANG_V_TENSOR ? v.tensor : NULL;
}

static int result_count(lang_value result) {
  return result.kind == LANG_V_TUPLE ? (int)result.list.count : result.kind == LANG_V_TENSOR;
}

static int compare_uses(const void *a, const void *b) {
  const lang_usage *x = a, *y = b;
  if (!x->param != !y->param) return x->param ? -1 : 1;
  if (x->slot->kind != y->slot->kind) return x->slot->kind == LANG_SLOT_WEIGHT ? -1 : 1;
  return x->order < y->order ? -1 : x->order > y->order;
}

// Inputs, weights, states; each as the listing has them.
static void order_params(lang_elab *elab, lang_function *function, const lang_listing *listing) {
  ir_function *ir = function->ir;
  ir_param *params = WEIR_NEW_ARRAY(elab->arena, ir_param, ir->param_count + 1);
  int count = 0;
  for (int i = 0; i < ir->param_count; i++) {
    if (ir->params[i].kind == IR_PARAM_INPUT) params[count++] = ir->params[i];
  }
  for (int i = 0; i < function->uses.count; i++) function->uses.data[i].order = function->uses.data[i].slot->order;
  if (function->uses.count) qsort(function->uses.data, (size_t)function->uses.count, sizeof(lang_usage), compare_uses);
  for (int i = 0; i < function->uses.count; i++) {
    const lang_usage *use = &function->uses.data[i];
    if (!use->param) continue;
    params[count] = ir->params[use->param->result];
    params[count++].name = listing->paths.data[use->order];
  }
  for (int i = 0; i < count; i++) params[i].value->result = i;
  if (count) memcpy(ir->params, params, (size_t)count * sizeof *params);
}

// Whether the graph function gives the new value of a state. An entry's functions give what was assigned whole without
// a parameter for what was before: there was nothing.
static bool gives_state(const lang_function *function, const lang_usage *use) {
  if (use->slot->kind != LANG_SLOT_STATE || use->kind == LANG_USE_READ || !use->current) return false;
  return use->param || (function->threaded && use->slot->whole);
}

static void add_results(lang_function *function, lang_value result, const lang_params *names,
                        const lang_listing *listing) {
  for (int i = 0; i < result_count(result); i++) {
    const char *name = names && i < names->count ? names->data[i].name.text : "";
    if (result_at(result, i)) ir_function_add_result(function->ir, name, result_at(result, i)->value, -1);
  }
  for (int i = 0; i < function->uses.count; i++) {
    const lang_usage *use = &function->uses.data[i];
    if (!gives_state(function, use)) continue;
    const char *name = use->param ? listing->paths.data[use->order] : "";
    ir_function_add_result(function->ir, name, use->current->value, use->param ? use->param->result : -1);
  }
}

void lang_function_finish(lang_frame *frame, lang_value result, const lang_params *names) {
  lang_elab *elab = frame->elab;
  lang_function *function = frame->function;
  lang_listing listing = {0};
  lang_buffer ignored = {.arena = elab->arena};
  lang_list_begin(elab);
  for (int i = 0; i < function->roots.count; i++) {
    lang_list_value(elab, function->roots.data[i].value, function->roots.data[i].path, &listing, &ignored);
  }
  function->done = true;
  function->result = result;
  function->failed = elab->exhausted || result.kind == LANG_V_ERROR || result.kind == LANG_V_LATER;
  for (int i = 0; i < function->uses.count && !function->failed; i++) {
    function->failed = function->uses.data[i].slot->mark != elab->listing;
  }
  if (!function->failed) {
    order_params(elab, function, &listing);
    add_results(function, result, names, &listing);
    ir_function_renumber(function->ir);
  }
  lang_regions_name(function->ir);
  lang_regions_move_last(function->ir);
  lang_function_move_last(elab->module, function->ir);
}

// ---- names and twins

static bool name_taken(lang_elab *elab, const ir_function *ir, const char *name) {
  for (int i = 0; i < elab->module->function_count; i++) {
    const ir_function *other = elab->module->functions[i];
    if (other != ir && !strcmp(other->name, name)) return true;
  }
  for (int i = 0; i < elab->model->body->stmts.count; i++) {
    const lang_stmt *stmt = elab->model->body->stmts.data[i];
    if (stmt->kind == LANG_STMT_FN && stmt->fn.kind != LANG_FN_PLAIN && !strcmp(stmt->fn.name.text, name)) return true;
  }
  return false;
}

static void give_name(lang_elab *elab, ir_function *ir, const char *base) {
  const char *name = base;
  for (int n = 2; name_taken(elab, ir, name); n++) name = weir_arena_printf(elab->arena, "%s.%d", base, n);
  ir->name = name;
  lang_regions_name(ir);
}

// An earlier function of the same base that is the same graph; then this one goes.
static bool has_twin(lang_elab *elab, lang_function *function) {
  const char *text = NULL;
  uint64_t hash = lang_table_hash(function->base);
  int cursor = 0, at;
  while ((at = lang_table_next(&elab->bases, hash, &cursor)) >= 0) {
    lang_function *other = elab->functions.data[at];
    if (other == function || !other->done || other->failed || strcmp(other->base, function->base) != 0) continue;
    if (other->ir->param_count != function->ir->param_count || other->ir->result_count != function->ir->result_count)
      continue;
    function->ir->name = other->ir->name;
    lang_regions_name(function->ir);
    text = lang_function_text(elab->arena, function->ir);
    if (strcmp(text, lang_function_text(elab->arena, other->ir)) != 0) continue;
    lang_function_drop(function->ir);
    function->ir = other->ir;
    return true;
  }
  return false;
}

// ---- keys

static void key_tensor(lang_elab *elab, lang_buffer *base, lang_buffer *checks, const lang_tensor_value *tensor) {
  const ir_value *value = tensor->value;
  lang_buffer_add(base, "%s", lang_tensor_text(elab->arena, tensor));
  if (tensor->is_f) lang_buffer_add(base, ":%s", ir_dtype_name(value->type.dtype));
  if (value->lo <= value->hi) lang_buffer_add(base, ":%" PRId64 "..%" PRId64, value->lo, value->hi);
  if (value->below) lang_buffer_add(base, "<%s", ir_dim_print(elab->arena, value->below));
  lang_buffer_add(base, ";");
  if (tensor->latest) lang_buffer_add(checks, "%p", (const void *)tensor->latest);
  lang_buffer_add(checks, ";");
}

// Whether the states of an entry's callee are parameters: some have a value here, or must get one.
static bool is_threaded(lang_frame *frame, const lang_listing *listing) {
  bool threaded = listing->threads;
  if (frame->elab->step) return false;
  for (int i = 0; i < listing->slots.count && !threaded; i++) {
    lang_slot *slot = listing->slots.data[i];
    threaded = slot->kind == LANG_SLOT_STATE && lang_slot_use(frame, slot)->current;
  }
  return threaded;
}

static const char *make_key(lang_frame *frame, lang_frame *callee, const lang_fn *method,
                            const lang_signature *signature, lang_tensor_value **tensors, lang_listing *listing,
                            lang_function *roots, const char **out_base) {
  lang_elab *elab = callee->elab;
  lang_buffer base = {.arena = elab->arena}, checks = {.arena = elab->arena};
  lang_value self = {.kind = LANG_V_INSTANCE, .instance = callee->self};
  lang_buffer_add(&base, "%s|", method ? method->name.text : "");
  lang_list_begin(elab);
  LANG_PUSH(elab->arena, &roots->roots, ((lang_root){self, ""}));
  lang_list_value(elab, self, NULL, listing, &base);
  for (int i = 0; i < signature->params.count; i++) {
    if (tensors[i]) {
      key_tensor(elab, &base, &checks, tensors[i]);
      continue;
    }
    const lang_binding *bound = lang_scope_here(callee->scope, signature->params.data[i].name.text);
    if (!bound) continue;
    lang_list_value(elab, bound->value, NULL, listing, &base);
    LANG_PUSH(elab->arena, &roots->roots, ((lang_root){bound->value, bound->name}));
    lang_buffer_add(&base, ";");
  }
  roots->threaded = is_threaded(frame, listing);
  lang_buffer_add(&checks, "|%d%d", elab->step, roots->threaded);
  *out_base = base.data;
  return weir_arena_printf(elab->arena, "%s|%s", checks.data, base.data);
}

static lang_function *find_function(lang_elab *elab, const char *key) {
  uint64_t hash = lang_table_hash(key);
  int cursor = 0, at;
  while ((at = lang_table_next(&elab->keys, hash, &cursor)) >= 0) {
    if (!strcmp(elab->functions.data[at]->key, key)) return elab->functions.data[at];
  }
  return NULL;
}

// ---- the body

static void enter_arguments(lang_frame *callee, const lang_signature *signature, lang_tensor_value **tensors) {
  for (int i = 0; i < signature->params.count; i++) {
    if (!tensors[i]) continue;
    const lang_name *name = &signature->params.data[i].name;
    lang_binding *bound = lang_scope_here(callee->scope, name->text);
    ir_value *outer = tensors[i]->value;
    ir_value *inner = ir_function_add_param(callee->function->ir, IR_PARAM_INPUT, name->text, outer->type);
    inner->lo = outer->lo;
    inner->below = outer->below;
    inner->hi = outer->hi;
    inner->name = name->text;
    bound->value.tensor->value = inner;
    bound->value.tensor->index = NULL;
    bound->value.tensor->span = name->span;
  }
}

static void build_function(lang_frame *callee, const lang_fn *method, const lang_signature *signature,
                           lang_tensor_value **tensors, lang_span span) {
  lang_elab *elab = callee->elab;
  lang_instance *self = callee->self;
  const char *name = method ? weir_arena_printf(elab->arena, "%s.%s", self->name, method->name.text) : self->name;
  const char *what = weir_arena_printf(elab->arena, "in %s%s%s (%s), applied here", self->path, method ? "." : "",
                                       method ? method->name.text : "", self->name);
  lang_site *outer = lang_site_push(elab, what, span);
  enter_arguments(callee, signature, tensors);
  callee->result = lang_value_none();
  lang_run_body(callee, method ? &method->body : self->body);
  lang_span place = callee->returned ? callee->result_span : method ? method->name.span : self->block->name.span;
  lang_value result = lang_result_fit(callee, signature, callee->result, place, name);
  lang_function_finish(callee, result, signature->result == LANG_RESULT_NAMED ? &signature->results : NULL);
  if (!callee->function->failed && !has_twin(elab, callee->function)) give_name(elab, callee->function->ir, name);
  lang_error_flush(elab);
  elab->site = outer;
}

// ---- the call

static bool merge_checks(lang_elab *elab, lang_function *caller, const lang_function *callee, lang_function *which) {
  for (int i = 0; i < caller->merged.count; i++) {
    if (caller->merged.data[i] == which) return true;
  }
  LANG_PUSH(elab->arena, &caller->merged, which);
  for (int i = 0; i < callee->events.count; i++) LANG_PUSH(elab->arena, &caller->events, callee->events.data[i]);
  for (int i = 0; i < callee->grown.count; i++) LANG_PUSH(elab->arena, &caller->grown, callee->grown.data[i]);
  return lang_spend(elab, callee->events.count, (lang_span){0});
}

// Whether the callee's use of a state fits what has become of it here.
static bool state_fits(lang_frame *frame, const lang_usage *use, lang_slot *slot, const lang_call *call) {
  lang_elab *elab = frame->elab;
  const lang_usage *ours = lang_slot_use(frame, slot);
  bool again = use->kind == LANG_USE_READ ? ours->kind == LANG_USE_APPEND : ours->kind != LANG_USE_READ;
  if (again) {
    lang_diag *diag = lang_error(elab, LANG_W_APPLIED_TWICE, call->expr->span, call->name, slot->path);
    lang_note_add(elab, diag, ours->span, "the first time is here");
    return false;
  }
  if (use->kind != LANG_USE_READ &&
      !lang_state_may_change(frame, slot, use->kind == LANG_USE_APPEND || slot->over, call->expr->span)) {
    return false;
  }
  if (use->slot->symbol && slot->symbol && slot->symbol != use->slot->symbol) {
    lang_error(elab, LANG_W_STATE_TWO_DIMS, call->expr->span, slot->path, slot->symbol->name, use->slot->symbol->name);
    return false;
  }
  if (use->slot->symbol) slot->symbol = use->slot->symbol;
  if (use->slot->most) slot->least = use->slot->least, slot->most = use->slot->most;
  return true;
}

// The caller's value for a state that the callee uses; null where it takes none.
static bool state_operand(lang_frame *frame, const lang_usage *use, lang_slot *slot, const lang_call *call,
                          lang_tensor_value **out) {
  *out = NULL;
  if (!state_fits(frame, use, slot, call)) return false;
  lang_usage *ours = lang_slot_use(frame, slot);
  bool before = ours->kind == LANG_USE_READ && (use->kind == LANG_USE_READ || use->before);
  if (!slot->over && before && !ours->before && !lang_region_carries(frame, slot)) {
    ours->before = true;
    ours->before_span = call->expr->span;
  }
  if (use->scanned && !ours->scanned) ours->scanned = use->scanned;
  if (!use->param) return true;
  *out = slot->over && !slot->whole ? lang_state_rows_param(frame, slot, use->param->type, call->expr->span)
         : slot->whole && use->kind == LANG_USE_WRITE
             ? lang_state_rows_param(frame, slot, use->param->type, call->expr->span)
             : lang_state_initial(frame, slot, call->expr->span);
  return *out != NULL;
}

static bool gather_operands(lang_frame *frame, const lang_function *callee, const lang_listing *listing,
                            const lang_call *call, ir_value **operands, int *count, const ir_symbol **out_latest) {
  for (int i = 0; i < callee->uses.count; i++) {
    const lang_usage *use = &callee->uses.data[i];
    lang_slot *slot = listing->slots.data[use->order];
    lang_tensor_value *operand = NULL;
    if (slot->kind == LANG_SLOT_WEIGHT) {
      lang_value v = lang_slot_read(frame, slot, call->expr->span);
      if (v.kind != LANG_V_TENSOR) return false;
      operand = v.tensor;
    } else if (!state_operand(frame, use, slot, call, &operand)) {
      return false;
    }
    if (operand) *out_latest = lang_latest_join(*out_latest, operand->latest);
    if (operand) operands[(*count)++] = operand->value;
  }
  return true;
}

static void take_states(lang_frame *frame, const lang_function *callee, const lang_listing *listing,
                        const ir_node *node, const lang_call *call) {
  int at = result_count(callee->result);
  for (int i = 0; i < callee->uses.count; i++) {
    const lang_usage *use = &callee->uses.data[i];
    if (use->slot->kind != LANG_SLOT_STATE || use->kind == LANG_USE_READ) continue;
    lang_usage *ours = lang_slot_use(frame, listing->slots.data[use->order]);
    ours->kind = use->kind;
    ours->span = call->expr->span;
    if (!gives_state(callee, use)) continue;
    ours->current = lang_wrap(frame, node->results[at++], use->slot->is_f, call->expr->span).tensor;
    if (use->kind == LANG_USE_WRITE && !use->slot->over && !lang_region_carries(frame, listing->slots.data[use->order]))
      ours->current->latest = &lang_latest_any;
  }
}

// |latest|: of a state that the callee reads and that was written before in this step, or null.
static lang_value wrap_results(lang_frame *frame, const lang_function *callee, const ir_node *node,
                               const ir_symbol *latest, lang_span span) {
  int count = result_count(callee->result);
  lang_value parts[IR_MAX_RANK * 8];
  int most = (int)(sizeof parts / sizeof *parts);
  for (int i = 0; i < count && i < most; i++) {
    const lang_tensor_value *inner = result_at(callee->result, i);
    parts[i] = lang_wrap(frame, node->results[i], inner->is_f, span);
    // A state that a scan around carries makes what is computed from it no latest value.
    parts[i].tensor->latest = inner->latest == &lang_latest_any && lang_region_loops(frame) ? NULL : inner->latest;
    ir_value scalar = {.type = {.dtype = IR_f32}};
    lang_tensor_value read = {.value = &scalar, .latest = latest};
    if (latest) lang_check_latest(frame, (lang_tensor_value *[]){&read}, 1, parts[i].tensor, span);
  }
  if (callee->result.kind == LANG_V_NONE) return lang_value_none();
  return callee->result.kind == LANG_V_TENSOR
             ? parts[0]
             : lang_value_list(frame->elab->arena, LANG_V_TUPLE, parts, count < most ? count : most);
}

static lang_value emit_call(lang_frame *frame, lang_function *callee, lang_tensor_value **tensors, int param_count,
                            const lang_listing *listing, const lang_call *call) {
  lang_elab *elab = frame->elab;
  ir_value **operands = WEIR_NEW_ARRAY(elab->arena, ir_value *, param_count + callee->uses.count + 1);
  int count = 0;
  const char *reason = NULL;
  for (int i = 0; i < param_count; i++) {
    if (!tensors[i]) continue;
    operands[count++] = tensors[i]->value;
    lang_number_use(frame, tensors[i], call->expr->span);
    if (tensors[i]->latest) lang_region_meets(frame, tensors[i]->latest, call->expr->span);
  }
  merge_checks(elab, frame->function, callee, callee);
  const ir_symbol *latest = NULL;
  if (!gather_operands(frame, callee, listing, call, operands, &count, &latest)) return lang_value_error();
  if (!lang_spend(elab, 8 + count, call->expr->span)) return lang_value_error();
  for (int i = 0; i < count; i++) operands[i] = lang_capture_value(frame, operands[i]);
  ir_node *node =
      ir_build_call(lang_here(frame), callee->ir, operands, count, lang_loc(elab, call->expr->span), &reason);
  if (!node) {
    lang_error(elab, LANG_W_OP_REFUSED, call->expr->span, reason ? reason : call->name);
    return lang_value_error();
  }
  take_states(frame, callee, listing, node, call);
  return wrap_results(frame, callee, node, latest, call->expr->span);
}

static bool can_apply(lang_frame *frame, const lang_instance *instance, const lang_fn *method, const lang_call *call) {
  lang_elab *elab = frame->elab;
  if (instance->failed) return false;
  if (!instance->path) lang_error(elab, LANG_W_NAMELESS, call->expr->span, instance->name);
  else if (!method && (!instance->block || !instance->block->has_signature)) {
    lang_error(elab, LANG_W_NO_SIGNATURE, call->expr->span, instance->name);
  } else if (!frame->function) {
    lang_error(elab, LANG_W_TENSOR_AT_BUILD_TIME, call->expr->span, instance->name);
  } else {
    return true;
  }
  return false;
}

lang_function *lang_apply_function(lang_frame *frame, lang_instance *instance, const lang_fn *method,
                                   const lang_call *call, lang_tensor_value **tensors, lang_listing *listing) {
  lang_elab *elab = frame->elab;
  const lang_signature *signature = method ? &method->signature : &instance->block->signature;
  lang_frame callee = {
      .elab = elab, .file = instance->file, .self = instance, .function = frame->function, .main = !method};
  callee.scope = callee.locals = lang_scope_create(elab->arena, instance->scope);
  if (!lang_bind_signature(&callee, signature, call, tensors)) return NULL;
  if (!lang_model_dims_hold(&callee, call->expr->span)) return NULL;
  const lang_exprs *wheres = method ? &method->wheres : &instance->block->wheres;
  if ((method || !instance->refused) && !lang_prove(&callee, wheres, call->expr->span)) return NULL;
  lang_function fresh = {0}, *function;
  const char *base, *key = make_key(frame, &callee, method, signature, tensors, listing, &fresh, &base);
  function = find_function(elab, key);
  if (!function) {
    function = lang_function_create(elab, instance, IR_FUNCTION_BLOCK, "", instance->span);
    function->key = key;
    function->base = base;
    function->roots.data = fresh.roots.data;
    function->roots.count = fresh.roots.count;
    function->threaded = fresh.threaded;
    lang_table_add(elab->arena, &elab->keys, lang_table_hash(key), elab->functions.count);
    lang_table_add(elab->arena, &elab->bases, lang_table_hash(base), elab->functions.count);
    LANG_PUSH(elab->arena, &elab->functions, function);
    callee.function = function;
    build_function(&callee, method, signature, tensors, call->expr->span);
  } else if (!function->done) {
    lang_error(elab, LANG_W_CONTAINS_ITSELF, call->expr->span, call->name);
    return NULL;
  }
  return function->failed ? NULL : function;
}

void lang_apply_merge(lang_frame *frame, lang_function *callee) {
  merge_checks(frame->elab, frame->function, callee, callee);
}

lang_value lang_apply(lang_frame *frame, lang_instance *instance, const lang_fn *method, const lang_call *call) {
  if (!can_apply(frame, instance, method, call)) return lang_value_error();
  if (frame->function->index) return lang_index_apply(frame, instance, method, call);
  int count = method ? method->signature.params.count : instance->block->signature.params.count;
  lang_tensor_value **tensors = WEIR_NEW_ARRAY(frame->elab->arena, lang_tensor_value *, count + 1);
  lang_listing listing = {0};
  lang_function *function = lang_apply_function(frame, instance, method, call, tensors, &listing);
  return function ? emit_call(frame, function, tensors, count, &listing, call) : lang_value_error();
}
