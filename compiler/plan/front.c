// The front half of the pipeline: text and checkpoint to kernels and programs.
#include <stdlib.h>
#include <string.h>

#include "compiler/lang/files.h"
#include "compiler/passes/pass.h"
#include "compiler/plan/from_package.h"
#include "compiler/plan/home.h"
#include "compiler/plan/internal.h"
#include "ir/kernel_block.h"

void plan_tell(const plan_request *request, const char *what, double fraction) {
  if (request->progress) request->progress(request->user, what, fraction);
}

weir_status plan_check_cancel(const plan_request *request) {
  return plan_cancelled(request->cancel) ? weir_status_make(WEIR_CODE_CANCELLED, "interrupted") : WEIR_OK;
}

static weir_status text_errors(const plan_unit *unit) {
  return weir_status_make(WEIR_CODE_INVALID_DATA, "'%s' has errors", unit->request->text);
}

// ---- read

static const char *absolute(weir_arena *arena, const char *path) {
  char *resolved = realpath(path, NULL);
  const char *copy = weir_arena_strdup(arena, resolved ? resolved : path);
  free(resolved);
  return copy;
}

// A path inside a string of the language.
static const char *quoted(weir_arena *arena, const char *path) {
  char *out = weir_arena_alloc(arena, 2 * strlen(path) + 1), *at = out;
  for (; *path; path++) {
    if (*path == '"' || *path == '\\') *at++ = '\\';
    *at++ = *path;
  }
  return out;
}

// The last model that the file at |path| declares.
static const char *last_model(const lang_program *program, const char *path) {
  const char *name = NULL;
  for (int i = 0; i < program->symbol_count; i++) {
    const lang_symbol *symbol = &program->symbols[i];
    if (symbol->item->kind == LANG_ITEM_MODEL && !strcmp(symbol->file->source->path, path)) name = symbol->name;
  }
  return name;
}

static bool is_plan_file(const plan_request *request) {
  return request->plan && !request->package && weir_file_exists(request->plan);
}

// A plan in a file of its own speaks of the model: it is the root, with a last line that uses the model's text.
static weir_status load_plan_file(plan_unit *unit, const lang_search *search) {
  const plan_request *request = unit->request;
  weir_arena *arena = unit->arena;
  const char *model = absolute(arena, request->text), *path = absolute(arena, request->plan);
  char *plan = NULL;
  size_t size = 0;
  WEIR_TRY(weir_file_read(path, LANG_MAX_SOURCE_BYTES, &plan, &size));
  const char *use = weir_arena_printf(arena, "\nuse \"%s\";\n", quoted(arena, model));
  size_t extra = strlen(use);
  char *text = weir_arena_alloc(arena, size + extra + 1);
  memcpy(text, plan, size);
  memcpy(text + size, use, extra);
  free(plan);
  unit->plan_file_length = size;
  const char *slash = strrchr(model, '/');
  unit->plan_uses = weir_arena_printf(arena, "\nuse \"%s\";\n", quoted(arena, slash ? slash + 1 : model));
  WEIR_TRY(lang_load_text(arena, path, text, size + extra, search, unit->diags, &unit->program));
  if (!unit->model_name) unit->model_name = last_model(unit->program, model);
  return WEIR_OK;
}

static weir_status open_weights(plan_unit *unit) {
  const plan_request *request = unit->request;
  if (request->package) return plan_package_weights(unit, request->package);
  if (!request->weights || request->random) return WEIR_OK;
  WEIR_TRY(import_checkpoint_open(unit->arena, request->weights, &unit->checkpoint));
  return plan_checkpoint_hash(unit->checkpoint, &unit->weights_hash);
}

weir_status plan_read(weir_arena *arena, const plan_request *request, lang_diags *diags, plan_unit *out_unit) {
  *out_unit = (plan_unit){.arena = arena, .request = request, .diags = diags, .model_name = request->model};
  lang_search search = {.folders = &request->models_folder, .count = request->models_folder ? 1 : 0};
  WEIR_TRY(request->package        ? plan_package_texts(out_unit, request->package, &search)
           : is_plan_file(request) ? load_plan_file(out_unit, &search)
                                   : lang_load(arena, request->text, &search, diags, &out_unit->program));
  if (diags->error_count) return text_errors(out_unit);
  WEIR_TRY(plan_read_rules(out_unit));
  return open_weights(out_unit);
}

void plan_close(plan_unit *unit) {
  import_checkpoint_close(unit->checkpoint);
  unit->checkpoint = NULL;
}

// ---- elaboration

static weir_status elaborate(plan_unit *unit, ir_dtype float_dtype) {
  const plan_request *request = unit->request;
  lang_options options = {.model = unit->model_name,
                          .overrides = request->overrides,
                          .override_count = request->override_count,
                          .float_dtype = float_dtype,
                          .plan = request->exact ? NULL : unit->plan};
  unit->float_dtype = float_dtype;
  unit->graph = lang_elaborate(unit->arena, unit->program, &options, unit->diags);
  if (unit->diags->error_count) return text_errors(unit);
  if (!unit->graph) return weir_status_make(WEIR_CODE_INVALID_DATA, "'%s' declares no model", request->text);
  return WEIR_OK;
}

// A plan is followed as a whole or not at all.
static weir_status is_supported(const plan_unit *unit) {
  const lang_plan_line *later = lang_plan_later(unit->plan);
  if (!later) return WEIR_OK;
  return weir_status_make(WEIR_CODE_UNSUPPORTED,
                          "plan %s: the setting '%s' is not supported yet (W0907): remove the line", unit->plan->name,
                          later->name);
}

// The plan that the request names: of this name, or the one of its file.
static weir_status choose_plan(plan_unit *unit) {
  const plan_request *request = unit->request;
  unit->plan = NULL;
  if (!request->plan) return WEIR_OK;
  if (!is_plan_file(request)) {
    unit->plan = lang_graph_plan(unit->graph, request->plan);
    if (unit->plan) return is_supported(unit);
    const char **names = WEIR_NEW_ARRAY(unit->arena, const char *, unit->graph->plan_count + 1);
    for (int i = 0; i < unit->graph->plan_count; i++) names[i] = unit->graph->plans[i].name;
    const char *near = lang_did_you_mean(request->plan, names, unit->graph->plan_count);
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "model %s has no plan '%s', and no file is called so%s%s%s",
                            unit->graph->name, request->plan, near ? "; did you mean '" : "", near ? near : "",
                            near ? "'?" : "");
  }
  const char *path = absolute(unit->arena, request->plan);
  for (int i = 0; i < unit->graph->plan_count; i++) {
    const lang_source *source = lang_diags_source(unit->diags, unit->graph->plans[i].span.file);
    if (source && !strcmp(source->path, path)) unit->plan = &unit->graph->plans[i];
  }
  if (unit->plan) return is_supported(unit);
  return weir_status_make(WEIR_CODE_INVALID_DATA, "'%s' declares no plan for %s", request->plan, unit->graph->name);
}

// ---- bind

static weir_status report_problems(const plan_unit *unit, const lang_bind_report *report) {
  const char *text = "";
  for (int i = 0; i < report->problem_count; i++)
    text = weir_arena_printf(unit->arena, "%s\n  %s", text, report->problems[i].message);
  return weir_status_make(WEIR_CODE_INVALID_DATA, "the weights in '%s' do not fit model %s (%d %s):%s",
                          unit->checkpoint->path, unit->graph->name, report->problem_count,
                          report->problem_count == 1 ? "problem" : "problems", text);
}

// Whether an initial value says every element: a number, zeros(), ones().
static bool is_fixed(const char *init) {
  char *end;
  strtod(init, &end);
  return (end != init && !*end) || !strcmp(init, "zeros()") || !strcmp(init, "ones()");
}

weir_status plan_check_initial_values(const plan_unit *unit) {
  if (unit->checkpoint || unit->request->random) return WEIR_OK;
  for (int i = 0; i < unit->graph->weight_count; i++) {
    const lang_weight *weight = &unit->graph->weights[i];
    if (!weight->used || (weight->init && is_fixed(weight->init))) continue;
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT,
                            "model %s needs weights (the first is '%s'): give a checkpoint with -w FILE, or take "
                            "random ones with --random SEED",
                            unit->graph->name, weight->path);
  }
  return WEIR_OK;
}

static weir_status bind(plan_unit *unit) {
  if (!unit->checkpoint) return WEIR_OK;
  if (unit->request->package) return plan_package_bind(unit);
  size_t count = unit->checkpoint->tensor_count;
  lang_tensor *tensors = WEIR_NEW_ARRAY(unit->arena, lang_tensor, count);
  for (size_t i = 0; i < count; i++) {
    const import_tensor *tensor = &unit->checkpoint->tensors[i];
    tensors[i] = (lang_tensor){.name = tensor->name, .rank = tensor->rank};
    for (int d = 0; d < tensor->rank && d < IR_MAX_RANK; d++) tensors[i].dims[d] = tensor->dims[d];
  }
  lang_graph_bind *chosen = lang_bind_choose(unit->graph, tensors, (int)count);
  lang_bind_report report = {0};
  lang_check_bind(unit->graph, chosen, unit->arena, tensors, (int)count, &report);
  if (report.problem_count) return report_problems(unit, &report);
  unit->sources = report.sources;
  unit->bind_name = chosen ? lang_bind_name(chosen) : NULL;
  return WEIR_OK;
}

// ---- element type and storage

static bool plan_float(const lang_plan *plan, ir_dtype *out) {
  const lang_plan_line *line = plan ? lang_plan_get(plan, "float") : NULL;
  if (!line || line->value_count < 1 || line->values[0].kind != LANG_SETTING_NAME) return false;
  return ir_dtype_find(line->values[0].text, out);
}

static bool storage_dtype(weir_storage storage, ir_dtype *out) {
  switch (storage) {
    case WEIR_STORAGE_F16:
      *out = IR_f16;
      return true;
    case WEIR_STORAGE_BF16:
      *out = IR_bf16;
      return true;
    case WEIR_STORAGE_F32:
      *out = IR_f32;
      return true;
    case WEIR_STORAGE_F64:
      *out = IR_f64;
      return true;
    default:
      return false;
  }
}

// What `f` means without a plan's word: the one type of the checkpoint's float tensors that are used; f32 where any is
// quantised.
static weir_status checkpoint_float(const plan_unit *unit, ir_dtype *out) {
  ir_dtype found = IR_f32;
  bool any = false, mixed = false;
  for (int i = 0; unit->sources && i < unit->graph->weight_count; i++) {
    plan_source_shape shape;
    ir_dtype dtype;
    if (!unit->sources[i] || !unit->graph->weights[i].is_f) continue;
    WEIR_TRY(plan_source_inspect(unit->checkpoint, unit->sources[i], &shape));
    if (weir_storage_has_codes(shape.storage)) {
      *out = IR_f32;
      return WEIR_OK;
    }
    if (!storage_dtype(shape.storage, &dtype)) continue;
    mixed = mixed || (any && dtype != found);
    found = dtype;
    any = true;
  }
  if (mixed) {
    return weir_status_make(WEIR_CODE_INVALID_DATA,
                            "'%s' has float tensors of several types: say what f means with a plan, as in "
                            "plan mine for %s { float = f32; }",
                            unit->checkpoint->path, unit->graph->name);
  }
  *out = found;
  return WEIR_OK;
}

// q8_0, "q8_0" and q8_0() name the same format.
static bool value_storage(const lang_setting_value *value, weir_storage *out) {
  bool word = value->kind == LANG_SETTING_NAME || value->kind == LANG_SETTING_STRING ||
              (value->kind == LANG_SETTING_CALL && value->item_count == 0);
  return word && weir_storage_from_name(value->text, out);
}

weir_storage plan_storage_of(const plan_unit *unit, const char *path) {
  weir_storage storage;
  const lang_plan_line *line = unit->plan ? lang_plan_select(unit->plan, "store", path) : NULL;
  if (line && line->value_count && value_storage(&line->values[0], &storage)) return storage;
  for (int i = 0; unit->sources && i < unit->graph->weight_count; i++) {
    if (strcmp(unit->graph->weights[i].path, path) || !unit->sources[i]) continue;
    plan_source_shape shape;
    weir_status status = plan_source_inspect(unit->checkpoint, unit->sources[i], &shape);
    if (status) {
      weir_status_release(status);  // reported when the weight is packed
      break;
    }
    // Blocks that do not stay whole are decoded.
    if (shape.raw || !weir_storage_has_codes(shape.storage)) return shape.storage;
    break;
  }
  return WEIR_STORAGE_F32;
}

cg_compute plan_compute_of(const plan_unit *unit, const char *path) {
  const lang_plan_line *line = unit->plan && !unit->request->exact ? lang_plan_compute(unit->plan, path) : NULL;
  const char *name = line && line->value_count && line->values[0].text ? line->values[0].text : "";
  if (!strcmp(name, "int8") && lang_setting_is_row(&line->values[0])) return CG_COMPUTE_INT8_ROW;
  return !strcmp(name, "int8") ? CG_COMPUTE_INT8 : !strcmp(name, "bf16") ? CG_COMPUTE_BF16 : CG_COMPUTE_F32;
}

// Plans may store weights in formats that can be made and read.
static weir_status check_storages(const plan_unit *unit) {
  for (int i = 0; unit->plan && i < unit->plan->line_count; i++) {
    const lang_plan_line *line = &unit->plan->lines[i];
    weir_storage storage;
    if (strcmp(line->name, "store")) continue;
    for (int k = 0; k < line->value_count; k++) {
      bool known = value_storage(&line->values[k], &storage);
      if (known && weir_storage_info(storage)->can_encode && (cg_panel_supports(storage))) continue;
      return weir_status_make(WEIR_CODE_UNSUPPORTED,
                              "plan %s: weights cannot be stored as '%s'; f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, "
                              "q5_1 and w8 can be made",
                              unit->plan->name, line->values[k].text ? line->values[k].text : "this");
    }
  }
  return WEIR_OK;
}

static cg_compute compute_of(void *user, const char *path) { return plan_compute_of(user, path); }

static weir_storage storage_of(void *user, const char *path) { return plan_storage_of(user, path); }

bool plan_takes_library(const plan_unit *unit) {
  const lang_plan_line *line = unit->plan && !unit->request->exact ? lang_plan_get(unit->plan, "library") : NULL;
  return line && line->value_count && line->values[0].text && !strcmp(line->values[0].text, "cublaslt");
}

weir_status plan_lower(plan_unit *unit, weir_arena *arena, const cg_choice *choices, int choice_count,
                       cg_module **out_code) {
  cg_lower_options lower = {.storage_of = storage_of,
                            .compute_of = compute_of,
                            .user = unit,
                            .choices = choices,
                            .choice_count = choice_count,
                            .blocks = unit->blocks,
                            .library = plan_takes_library(unit)};
  return cg_lower(arena, unit->graph->module, &lower, out_code);
}

static weir_status lower_blocks(plan_unit *unit, unsigned blocks, cg_module **code) {
  cg_lower_options lower = {.storage_of = storage_of,
                            .compute_of = compute_of,
                            .user = unit,
                            .blocks = blocks,
                            .library = plan_takes_library(unit)};
  return *code ? WEIR_OK : cg_lower(unit->arena, unit->graph->module, &lower, code);
}

enum { SM_90A = IR_KNEEDS_BLOCK | IR_KNEEDS_SM_89 | IR_KNEEDS_SM_90A | IR_KNEEDS_CLUSTER };

weir_status plan_lower_device(plan_unit *unit) { return lower_blocks(unit, IR_KNEEDS_BLOCK, &unit->device_code); }

weir_status plan_lower_sm_90a(plan_unit *unit) { return lower_blocks(unit, SM_90A, &unit->sm_90a_code); }

void plan_code_alone(plan_unit *unit, bool sm_90a) {
  unit->code = sm_90a ? unit->sm_90a_code : unit->device_code;
  unit->blocks = sm_90a ? SM_90A : IR_KNEEDS_BLOCK;
}

void plan_code_replace(plan_unit *unit, cg_module *code) {
  if (unit->code == unit->device_code) unit->device_code = code;
  else if (unit->code == unit->sm_90a_code) unit->sm_90a_code = code;
  unit->code = code;
}

// ---- all of it

weir_status plan_front(plan_unit *unit) {
  ir_dtype wanted;
  plan_tell(unit->request, "reading the model", -1);
  WEIR_TRY(elaborate(unit, IR_f32));
  WEIR_TRY(choose_plan(unit));
  WEIR_TRY(bind(unit));
  bool said = unit->request->package && plan_package_float(unit->request->package, &wanted);
  if (!said && !plan_float(unit->plan, &wanted)) WEIR_TRY(checkpoint_float(unit, &wanted));
  if (wanted != unit->float_dtype || (unit->plan && lang_plan_has(unit->plan, "cache"))) {
    WEIR_TRY(elaborate(unit, wanted));
    WEIR_TRY(choose_plan(unit));
    WEIR_TRY(bind(unit));
  }
  WEIR_TRY(check_storages(unit));
  plan_use_rules(unit);
  pass_options options;
  pass_context context;
  WEIR_TRY(pass_options_init(&options, getenv("WEIR_DUMP"), getenv("WEIR_DEBUG")));
  pass_context_init(&context, &options);
  WEIR_TRY(pass_pipeline(&context, unit->graph->module));
  unit->passes = pass_print_records(unit->arena, &context);
  WEIR_TRY(plan_check_rules(unit));
  WEIR_TRY(plan_check_cancel(unit->request));
  WEIR_TRY(plan_lower(unit, unit->arena, NULL, 0, &unit->code));
  plan_check_stores(unit);
  plan_check_computes(unit);
  return WEIR_OK;
}
