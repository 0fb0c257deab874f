// Elaboration from the top: checks every file, lays out the model, then makes one graph function of each entry and
// step.
#include "compiler/lang/elab.h"

#include <inttypes.h>
#include <string.h>

#include "compiler/lang/elab_names.h"
#include "compiler/lang/rule.h"

// ---- entries and steps

static void add_input(lang_frame *frame, const lang_param *param) {
  lang_elab *elab = frame->elab;
  lang_tensor_type type;
  const char *labels[IR_MAX_RANK] = {NULL};
  lang_value value = lang_value_error();
  int64_t lo = 1, hi = 0;
  if (!lang_type_is_tensor(param->type)) {
    lang_error(elab, LANG_W_ENTRY_BUILD_TIME, param->span, param->name.text);
  } else if (lang_type_resolve(frame, param->type, true, &type, labels)) {
    for (int i = 0; i < type.type.rank; i++) {
      if (!type.type.dims[i]) {
        lang_error(elab, LANG_W_ENTRY_ANY, param->type->span);
        lang_scope_add(elab->arena, frame->scope, param->name.text, value, LANG_BINDING_LOCAL, param->name.span);
        return;
      }
      if (elab->step && lang_dim_batch(type.type.dims[i]))
        lang_error(elab, LANG_W_BATCH_IN_STEP, param->type->span, param->name.text);
    }
    ir_value *input = ir_function_add_param(frame->function->ir, IR_PARAM_INPUT, param->name.text, type.type);
    if (param->range && lang_range_limits(frame, param->range, &lo, &hi, &input->below)) {
      if (!ir_dtype_is_int(type.type.dtype) || hi < lo) lang_error(elab, LANG_W_BAD_RANGE, param->range->span);
      else input->lo = lo, input->hi = hi;
    }
    input->name = param->name.text;
    value = lang_wrap(frame, input, false, param->name.span);
    memcpy(value.tensor->labels, labels, sizeof labels);
  }
  lang_scope_add(elab->arena, frame->scope, param->name.text, value, LANG_BINDING_LOCAL, param->name.span);
}

// What a step that grows a seq must hold: an upper bound for it.
static void check_bounds(lang_frame *frame, const lang_fn *fn) {
  for (int i = 0; i < frame->function->grown.count; i++) {
    const lang_growth *growth = &frame->function->grown.data[i];
    if (growth->symbol->hi != INT64_MAX) continue;
    lang_diag *diag = lang_error(frame->elab, LANG_W_NO_UPPER_BOUND, fn->name.span, growth->symbol->name);
    lang_note_add(frame->elab, diag, growth->span, "it grows here");
    lang_note_add(frame->elab, diag, (lang_span){0}, "`dim %s: seq in 1..=8192;` in the model gives it one",
                  growth->symbol->name);
  }
}

// A state of fixed shape whose new value comes from the one before the call counts calls, where something grows.
static void check_per_call(lang_elab *elab, const lang_function *function) {
  for (int i = 0; i < function->uses.count; i++) {
    const lang_usage *use = &function->uses.data[i];
    if (use->slot->kind != LANG_SLOT_STATE || use->slot->over || use->kind == LANG_USE_READ) continue;
    for (int k = 0; k < function->grown.count; k++) {
      const lang_growth *growth = &function->grown.data[k];
      if (!use->before && (!use->scanned || use->scanned == growth->symbol)) continue;
      lang_diag *diag = lang_error(elab, LANG_W_PER_CALL, use->before ? use->before_span : use->span,
                                   growth->symbol->name, use->slot->path);
      lang_note_add(elab, diag, growth->span, "%s grows in this step: a state is %s over it here", growth->symbol->name,
                    growth->scan ? "carried by a scan" : "appended");
      lang_note_add(elab, diag, (lang_span){0},
                    "carry it in a `scan t in %s`, so that it changes with each row; pos(t) counts the rows",
                    growth->symbol->name);
      break;
    }
  }
}

// Which step reads what another one must have written.
static void record_order(lang_function *function, const lang_usage *use) {
  lang_slot *slot = use->slot;
  bool begins_empty = slot->over ? slot->whole : !slot->init;
  if (!function->step || !begins_empty) return;
  if (use->kind == LANG_USE_WRITE) slot->written = true;
  if (use->kind == LANG_USE_READ || use->before) slot->read = true;
}

static void record_uses(lang_elab *elab, lang_function *function) {
  for (int i = 0; i < function->uses.count; i++) {
    const lang_usage *use = &function->uses.data[i];
    lang_slot *slot = use->slot;
    if (slot->kind == LANG_SLOT_STATE) record_order(function, use);
    if (slot->kind == LANG_SLOT_WEIGHT) {
      elab->graph->weights[slot->index].used = true;
    } else if (slot->index < 0 && use->param) {
      lang_memory memory = {.path = slot->path,
                            .type = use->param->type,
                            .rows = slot->over != NULL,
                            .window = slot->window,
                            .init = slot->init,
                            .span = slot->span};
      slot->index = elab->graph->memory_count;
      WEIR_PUSH(elab->arena, elab->graph->memories, elab->graph->memory_count, elab->graph->memory_capacity, memory);
    }
  }
}

static lang_function *build_entry(lang_elab *elab, lang_instance *model, const lang_stmt *stmt) {
  const lang_fn *fn = &stmt->fn;
  elab->step = fn->kind == LANG_FN_STEP;
  lang_function *function = lang_function_create(elab, model, elab->step ? IR_FUNCTION_STEP : IR_FUNCTION_ENTRY,
                                                 fn->name.text, fn->name.span);
  lang_value self = {.kind = LANG_V_INSTANCE, .instance = model};
  LANG_PUSH(elab->arena, &function->roots, ((lang_root){self, ""}));
  function->ir->doc = stmt->trivia.doc;
  lang_frame frame = {.elab = elab, .file = model->file, .self = model, .function = function};
  frame.scope = frame.locals = lang_scope_create(elab->arena, model->scope);
  const char *what = weir_arena_printf(elab->arena, "in %s %s", lang_fn_text(fn->kind), fn->name.text);
  lang_site *outer = lang_site_push(elab, what, fn->name.span);
  for (int i = 0; i < fn->signature.params.count; i++) add_input(&frame, &fn->signature.params.data[i]);
  lang_prove(&frame, &fn->wheres, (lang_span){0});
  frame.result = lang_value_none();
  lang_run_body(&frame, &fn->body);
  lang_value result = lang_result_fit(&frame, &fn->signature, frame.result,
                                      frame.returned ? frame.result_span : fn->name.span, fn->name.text);
  lang_function_finish(&frame, result, fn->signature.result == LANG_RESULT_NAMED ? &fn->signature.results : NULL);
  lang_error_flush(elab);
  if (elab->step) {
    lang_events_report(elab, function);
    check_bounds(&frame, fn);
    check_per_call(elab, function);
  }
  lang_error_flush(elab);
  elab->site = outer;
  if (!function->failed) record_uses(elab, function);
  return function;
}

static bool appends(const lang_function *step, const lang_slot *slot) {
  for (int i = 0; i < step->uses.count; i++) {
    if (step->uses.data[i].slot == slot) return step->uses.data[i].kind == LANG_USE_APPEND;
  }
  return false;
}

// A step that grows T appends to every state over T, else the lengths part.
static void check_coverage(lang_elab *elab, const lang_function *step, const lang_fn *fn) {
  for (int i = 0; i < elab->slots.count && !step->failed; i++) {
    const lang_slot *slot = elab->slots.data[i];
    if (!slot->over || slot->whole || !slot->symbol || !lang_function_grows(step, slot->symbol)) continue;
    if (!lang_spend(elab, 1 + step->uses.count / 64, fn->name.span) || appends(step, slot)) continue;
    lang_diag *diag =
        lang_error(elab, LANG_W_STATE_LEFT_OUT, fn->name.span, fn->name.text, slot->path, slot->symbol->name);
    lang_note_add(elab, diag, slot->span, "declared here");
  }
}

// States that begin empty: some step writes what another reads, and rows that are kept have a bound.
static void check_written(lang_elab *elab) {
  for (int i = 0; i < elab->slots.count; i++) {
    const lang_slot *slot = elab->slots.data[i];
    if (slot->read && !slot->written) lang_error(elab, LANG_W_NEVER_WRITTEN, slot->span, slot->path);
    if (!slot->whole || !slot->symbol) continue;
    if (slot->most && (slot->least < slot->symbol->lo || slot->most > slot->symbol->hi)) {
      lang_diag *diag = lang_error(elab, LANG_W_WHOLE_BOUNDS, slot->span, slot->path, slot->symbol->name);
      lang_note_add(elab, diag, (lang_span){0},
                    "a step assigns %" PRId64 "..=%" PRId64 " rows, %s is in %" PRId64 "..=%" PRId64, slot->least,
                    slot->most, slot->symbol->name, slot->symbol->lo, slot->symbol->hi);
    }
    if (slot->symbol->hi != INT64_MAX) continue;
    lang_diag *diag = lang_error(elab, LANG_W_NO_UPPER_BOUND, slot->span, slot->symbol->name);
    lang_note_add(elab, diag, (lang_span){0}, "`dim %s: seq in 1..=8192;` in the model gives it one",
                  slot->symbol->name);
  }
}

static void build_entries(lang_elab *elab, lang_instance *model) {
  LANG_LIST(lang_function *) steps = {0};
  LANG_LIST(const lang_fn *) fns = {0};
  int built = 0, before = elab->diags->error_count;
  for (int i = 0; i < model->body->stmts.count; i++) {
    const lang_stmt *stmt = model->body->stmts.data[i];
    if (stmt->kind != LANG_STMT_FN || stmt->fn.kind == LANG_FN_PLAIN) continue;
    lang_function *function = build_entry(elab, model, stmt);
    built++;
    if (stmt->fn.kind != LANG_FN_STEP) continue;
    LANG_PUSH(elab->arena, &steps, function);
    LANG_PUSH(elab->arena, &fns, &stmt->fn);
  }
  for (int i = 0; i < steps.count; i++) check_coverage(elab, steps.data[i], fns.data[i]);
  if (elab->diags->error_count == before) check_written(elab);
  if (!built) lang_error(elab, LANG_W_NO_ENTRY, model->span, model->name);
}

// ---- models

// Why a text without a model of its own has none: it uses none, or several.
static void report_no_model(lang_elab *elab, const char *name, const lang_names *models) {
  lang_span span = {0};
  if (elab->program->file_count) span = lang_source_span(elab->program->files[0]->source, 0, 0);
  lang_diag *diag = lang_error(elab, name ? LANG_W_UNKNOWN_MODEL : LANG_W_NO_MODEL, span, name ? name : "");
  if (name) {
    const char **texts = WEIR_NEW_ARRAY(elab->arena, const char *, models->count + 1);
    for (int i = 0; i < models->count; i++) texts[i] = models->data[i].text;
    lang_suggest(elab, diag, name, texts, models->count);
    return;
  }
  for (int i = 0; i < models->count && i < 8; i++) {
    lang_note_add(elab, diag, models->data[i].span, "it uses several models, of which one is to be named: this is %s",
                  models->data[i].text);
  }
}

// The model of that name; without a name the last one of the root file, or the only one of all that it uses.
static const lang_symbol *find_model(lang_elab *elab, const char *name) {
  const lang_program *program = elab->program;
  const lang_symbol *found = NULL, *any = NULL;
  lang_names models = {0};
  for (int i = 0; i < program->symbol_count; i++) {
    const lang_symbol *symbol = &program->symbols[i];
    if (symbol->item->kind != LANG_ITEM_MODEL) continue;
    LANG_PUSH(elab->arena, &models, ((lang_name){symbol->name, symbol->span}));
    any = symbol;
    bool wanted = name ? !strcmp(symbol->name, name) : symbol->file == program->files[0];
    if (wanted) found = symbol;
  }
  if (found) return found;
  if (!name && models.count == 1) return any;
  report_no_model(elab, name, &models);
  return NULL;
}

static lang_setting_value setting_of(weir_arena *arena, const char *name, lang_value v, lang_span span) {
  lang_setting_value s = {.kind = LANG_SETTING_STRING, .name = name, .span = span};
  switch (v.kind) {
    case LANG_V_INT:
      s.kind = LANG_SETTING_INT, s.i = v.i, s.f = (double)v.i;
      break;
    case LANG_V_FLOAT:
      s.kind = LANG_SETTING_FLOAT, s.f = v.f;
      break;
    case LANG_V_BOOL:
      s.kind = LANG_SETTING_BOOL, s.i = v.b;
      break;
    case LANG_V_STRING:
      s.text = v.s;
      break;
    case LANG_V_DTYPE:
      s.kind = LANG_SETTING_NAME, s.text = lang_value_print(arena, v);
      break;
    default:
      s.text = lang_value_print(arena, v);
      break;
  }
  return s;
}

static void record_settings(lang_elab *elab, const lang_instance *model) {
  lang_graph *graph = elab->graph;
  graph->settings = WEIR_NEW_ARRAY(elab->arena, lang_setting_value, model->params->count + 1);
  for (int i = 0; i < model->params->count; i++) {
    graph->settings[graph->setting_count++] =
        setting_of(elab->arena, model->params->data[i].name.text, model->args[i], model->params->data[i].span);
  }
}

static void record_aliases(lang_elab *elab) {
  for (int i = 0; i < elab->slots.count; i++) {
    const lang_slot *slot = elab->slots.data[i];
    if (slot->kind != LANG_SLOT_WEIGHT) continue;
    elab->graph->weights[slot->index].aliases = slot->aliases.data;
    elab->graph->weights[slot->index].alias_count = slot->aliases.count;
  }
}

static void elaborate_model(lang_elab *elab, const lang_symbol *symbol) {
  int before = elab->diags->error_count;
  lang_graph *graph = elab->graph = WEIR_NEW(elab->arena, lang_graph);
  graph->name = symbol->name;
  graph->module = elab->module = ir_module_create(elab->arena, symbol->name);
  lang_instance *model = lang_instance_model(elab, symbol);
  lang_error_flush(elab);
  if (model->failed) return;
  build_entries(elab, model);
  record_settings(elab, model);
  record_aliases(elab);
  // Members that failed would make every pattern over them an error.
  if (elab->diags->error_count == before) lang_sections_evaluate(elab);
  lang_error_flush(elab);
}

static void check_files(lang_elab *elab) {
  for (int i = 0; i < elab->program->symbol_count; i++) (void)lang_mention_node(elab);
  for (int i = 0; i < elab->program->file_count; i++) {
    lang_names_check(elab, elab->program->files[i]);
    lang_sections_check(elab, elab->program->files[i]);
  }
  lang_error_flush(elab);
}

static lang_elab make(weir_arena *arena, const lang_program *program, const lang_options *options, lang_diags *diags) {
  // Binds evaluate numbers long after the run: what they read must not be the caller's.
  lang_options *kept = WEIR_NEW(arena, lang_options);
  *kept = *options;
  lang_elab elab = {.arena = arena, .program = program, .options = kept, .diags = diags};
  elab.module = ir_module_create(arena, "");
  return elab;
}

lang_graph *lang_elaborate(weir_arena *arena, const lang_program *program, const lang_options *options,
                           lang_diags *diags) {
  lang_elab elab = make(arena, program, options, diags);
  int before = diags->error_count;
  if (!program->ok) return NULL;
  check_files(&elab);
  const lang_symbol *symbol = find_model(&elab, options->model);
  if (symbol) elaborate_model(&elab, symbol);
  lang_mentions_check(&elab);  // last: what the model uses was reported with the way that leads there
  lang_error_flush(&elab);
  return symbol && diags->error_count == before ? elab.graph : NULL;
}

static bool has_defaults(const lang_model *model) {
  for (int i = 0; i < model->params.count; i++) {
    if (!model->params.data[i].value) return false;
  }
  return true;
}

void lang_check(weir_arena *arena, const lang_program *program, lang_diags *diags) {
  lang_check_observed(arena, program, NULL, diags);
}

void lang_check_observed(weir_arena *arena, const lang_program *program, lang_observer *observer, lang_diags *diags) {
  const lang_options options = {.float_dtype = IR_f32, .observer = observer};
  lang_elab elab = make(arena, program, &options, diags);
  if (!program->ok) return;
  check_files(&elab);
  for (int i = 0; i < program->symbol_count; i++) {
    const lang_symbol *symbol = &program->symbols[i];
    if (symbol->item->kind != LANG_ITEM_MODEL || !has_defaults(&symbol->item->model)) continue;
    lang_elab one = make(arena, program, &options, diags);
    one.reported = elab.reported;
    one.reported_count = elab.reported_count;
    one.reported_capacity = elab.reported_capacity;
    elaborate_model(&one, symbol);
    lang_error_flush(&one);
    elab.reported = one.reported;
    elab.reported_count = one.reported_count;
    elab.reported_capacity = one.reported_capacity;
  }
  lang_mentions_check(&elab);
  lang_error_flush(&elab);
  if (!diags->error_count) lang_rules_check(arena, program, LANG_RULE_TRIALS, diags, NULL);
}
