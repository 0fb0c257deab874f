// The back half: kernels become shared objects, and everything becomes one file.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/cpu/compile.h"
#include "codegen/cpu/print.h"
#include "compiler/plan/device.h"
#include "compiler/plan/from_package.h"
#include "compiler/plan/golden.h"
#include "compiler/plan/home.h"
#include "compiler/plan/internal.h"
#include "compiler/plan/tune.h"
#include "compiler/plan/version.h"
#include "runtime/device/cpu/object.h"
#include "runtime/exec/model.h"
#include "runtime/package/format.h"

typedef struct {
  cg_cpu_isa *isas;
  cg_cpu_object *objects;
  int count;
  plan_device_code device;
} code_objects;

static void tell_compiled(void *user, const char *kernel, int done, int total) {
  const plan_request *request = user;
  char text[160];
  snprintf(text, sizeof text, "compiling %s", kernel);
  plan_tell(request, text, (double)done / (double)total);
}

static weir_status compile(plan_unit *unit, const char *const *targets, int target_count, code_objects *out,
                           plan_result *result) {
  weir_arena *arena = unit->arena;
  const cg_module *code = unit->code;
  out->count = 0;
  out->isas = WEIR_NEW_ARRAY(arena, cg_cpu_isa, target_count);
  out->objects = WEIR_NEW_ARRAY(arena, cg_cpu_object, target_count);
  for (int i = 0; i < target_count; i++)
    if (!plan_is_device_target(targets[i])) WEIR_TRY(cg_cpu_isa_find(arena, targets[i], &out->isas[out->count++]));
  cg_cpu_options options = {
      .cancel = unit->request->cancel, .progress = tell_compiled, .user = (void *)(uintptr_t)unit->request};
  WEIR_TRY(plan_home_folder(arena, "objects", &options.cache_dir));
  if (unit->request->lines) WEIR_TRY(plan_home_folder(arena, "sources", &options.source_dir));
  plan_tell(unit->request, "compiling kernels", -1);
  weir_status status = WEIR_OK;
  if (out->count)
    status = cg_cpu_compile(arena, (const ir_kernel *const *)code->kernels, code->kernel_count, out->isas, out->count,
                            &options, out->objects);
  if (!status) status = plan_device_compile(unit, targets, target_count, &out->device);
  if (status && plan_cancelled(unit->request->cancel)) {
    weir_status_release(status);
    return plan_check_cancel(unit->request);
  }
  if (status && weir_status_code(status) ==
                    WEIR_CODE_UNSUPPORTED) {  // no compiler: the machine lacks something, the input is right
    weir_status world = weir_status_make(WEIR_CODE_IO, "%s", weir_status_message(status));
    weir_status_release(status);
    return world;
  }
  for (int i = 0; i < out->count && !status; i++) {
    if (!out->objects[i].cached) result->compile_seconds = out->objects[i].seconds;
  }
  result->times = plan_device_times(arena, &out->device, &result->time_count);
  return status;
}

// ---- manifest

static json_t *object_json(const cg_cpu_isa *isa) {
  return json_pack("{s:s,s:s,s:s}", "isa", isa->name, "arch", isa->arch, "features", isa->features);
}

static json_t *setting_json(const lang_setting_value *value) {
  switch (value->kind) {
    case LANG_SETTING_INT:
      return json_integer(value->i);
    case LANG_SETTING_FLOAT:
      return json_real(value->f);
    case LANG_SETTING_BOOL:
      return json_boolean(value->i != 0);
    case LANG_SETTING_STRING:
    case LANG_SETTING_NAME:
      return json_string(value->text ? value->text : "");
    case LANG_SETTING_CALL:
    case LANG_SETTING_LIST:
      break;
  }
  json_t *items = json_array();
  for (int i = 0; i < value->item_count; i++) json_array_append_new(items, setting_json(&value->items[i]));
  return value->kind == LANG_SETTING_CALL
             ? json_pack("{s:s,s:o}", "call", value->text ? value->text : "", "arguments", items)
             : items;
}

static json_t *settings_json(const lang_graph *graph) {
  json_t *settings = json_object();
  for (int i = 0; i < graph->setting_count; i++) {
    if (graph->settings[i].name)
      json_object_set_new(settings, graph->settings[i].name, setting_json(&graph->settings[i]));
  }
  return settings;
}

static json_t *kept_json(const plan_unit *unit) {
  json_t *list = json_array();
  for (int i = 0; i < unit->kept_count; i++) {
    const plan_kept *kept = &unit->kept[i];
    json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s}", "path", kept->path, "asked", kept->asked, "stored",
                                          kept->stored, "reason", kept->reason));
  }
  return list;
}

// How many matrices are multiplied in what.
static json_t *products_json(const plan_unit *unit) {
  json_t *counts = json_object();
  for (cg_compute compute = CG_COMPUTE_F32; compute < CG_COMPUTE_COUNT; compute++) {
    int count = 0;
    for (int i = 0; i < unit->code->weight_count; i++) {
      const cg_weight *weight = &unit->code->weights[i];
      if (weight->multiplied && weight->format.compute == compute) count += weight->part_count ? weight->part_count : 1;
    }
    if (count) json_object_set_new(counts, cg_compute_name(compute), json_integer(count));
  }
  return counts;
}

static json_t *manifest_json(const plan_unit *unit, const code_objects *code, const char *tokenizer_problem) {
  char hex[WEIR_HASH_HEX_BYTES];
  json_t *entries = json_array(), *objects = json_array();
  for (int i = 0; i < unit->code->program_count; i++)
    json_array_append_new(entries, json_string(unit->code->programs[i]->name));
  for (int i = 0; i < code->count; i++) json_array_append_new(objects, object_json(&code->isas[i]));
  plan_device_manifest(&code->device, objects);
  json_t *manifest = json_pack("{s:i,s:s,s:s,s:o,s:o,s:o,s:s}", "format", RT_PACKAGE_VERSION, "weir", WEIR_VERSION,
                               "model", unit->graph->name, "entries", entries, "objects", objects, "settings",
                               settings_json(unit->graph), "float", ir_dtype_name(unit->float_dtype));
  if (!manifest) return NULL;
  json_object_set_new(manifest, "plan", unit->plan ? json_string(unit->plan->name) : json_null());
  json_object_set_new(manifest, "bind", unit->bind_name ? json_string(unit->bind_name) : json_null());
  if (code->count) json_object_set_new(manifest, "toolchain", json_string(code->objects[0].toolchain));
  weir_hash_hex(&unit->weights_hash, hex);
  if (unit->checkpoint) json_object_set_new(manifest, "checkpoint", json_string(hex));
  else if (unit->request->random)
    json_object_set_new(manifest, "random", json_integer((json_int_t)unit->request->seed));
  if (unit->plan) json_object_set_new(manifest, "stored_otherwise", kept_json(unit));
  if (unit->plan) json_object_set_new(manifest, "products", products_json(unit));
  if (tokenizer_problem) json_object_set_new(manifest, "tokenizer_problem", json_string(tokenizer_problem));
  return manifest;
}

static weir_status add_manifest(const plan_unit *unit, cg_package_writer *writer, const code_objects *code,
                                const char *problem) {
  json_t *manifest = manifest_json(unit, code, problem);
  if (manifest && unit->request->package) {
    weir_status status = plan_package_manifest(unit->request->package, manifest);
    if (status) {
      json_decref(manifest);
      return status;
    }
  }
  char *text = manifest ? json_dumps(manifest, JSON_INDENT(2)) : NULL;
  json_decref(manifest);
  if (!text) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "cannot write the manifest");
  weir_status status = cg_package_add(writer, RT_SECTION_MANIFEST, text, strlen(text));
  free(text);
  return status;
}

// ---- other sections

// A legal section name that ends like |path|.
static const char *source_name(weir_arena *arena, int index, const char *path) {
  const char *slash = strrchr(path, '/');
  char *base = weir_arena_strdup(arena, slash ? slash + 1 : path);
  if (strlen(base) > 40) base += strlen(base) - 40;
  for (char *at = base; *at; at++) {
    bool fine =
        (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || strchr("._+-", *at);
    if (!fine) *at = '_';
  }
  return weir_arena_printf(arena, RT_SECTION_SOURCE "%d-%s", index, base);
}

// A plan's file was joined to the model by a line that names the model's place (front.c). The package keeps the name
// alone: it must not depend on where the model lay.
static const char *text_of(const plan_unit *unit, int index, size_t *out_length) {
  const lang_source *source = unit->program->files[index]->source;
  *out_length = source->length;
  if (index || !unit->plan_file_length) return source->text;
  const char *text =
      weir_arena_printf(unit->arena, "%.*s%s", (int)unit->plan_file_length, source->text, unit->plan_uses);
  *out_length = strlen(text);
  return text;
}

static weir_status add_texts(const plan_unit *unit, cg_package_writer *writer) {
  for (int i = 0; i < unit->program->file_count; i++) {
    size_t length;
    const char *text = text_of(unit, i, &length);
    WEIR_TRY(cg_package_add(writer, source_name(unit->arena, i, unit->program->files[i]->source->path), text, length));
  }
  return WEIR_OK;
}

// Programs of an entry lie side by side; a family's only where it differs from what would run without it.
static weir_status add_programs(const plan_unit *unit, cg_package_writer *writer) {
  static const char *const names[] = {RT_SECTION_PROGRAM, RT_SECTION_PROGRAM RT_SECTION_DEVICE,
                                      RT_SECTION_PROGRAM RT_SECTION_SM_90A};
  const cg_module *const code[] = {unit->code, unit->device_code, unit->sm_90a_code};
  for (int i = 0; i < unit->code->program_count; i++) {
    const char *there = "";
    for (int k = 0; k < 3; k++) {
      if (!code[k]) continue;
      const char *text = rt_program_print(unit->arena, code[k]->programs[i]);
      if (!strcmp(text, there)) continue;
      const char *name = weir_arena_printf(unit->arena, "%s%s", names[k], code[k]->programs[i]->name);
      WEIR_TRY(cg_package_add(writer, name, text, strlen(text)));
      there = text;
    }
  }
  return WEIR_OK;
}

static weir_status add_kernels(const plan_unit *unit, cg_package_writer *writer) {
  const char *source = NULL;
  WEIR_TRY(cg_cpu_print(unit->arena, (const ir_kernel *const *)unit->code->kernels, unit->code->kernel_count, &source));
  return cg_package_add(writer, RT_SECTION_KERNELS "cpu.c", source, strlen(source));
}

static weir_status add_objects(const plan_unit *unit, cg_package_writer *writer, const code_objects *code) {
  for (int i = 0; i < code->count; i++) {
    weir_map map;
    WEIR_TRY(weir_map_open(code->objects[i].path, &map));
    weir_status status = cg_package_add(
        writer, weir_arena_printf(unit->arena, RT_SECTION_OBJECT "%s", code->isas[i].name), map.data, map.size);
    weir_map_close(&map);
    WEIR_TRY(status);
  }
  return WEIR_OK;
}

// ---- golden answers: the model is made from the parts at hand and asked before the package is complete

static weir_status ask(plan_unit *unit, plan_weights_of *weights, const cg_cpu_isa *isa, const weir_map *object,
                       text_buffer *out) {
  rt_model_parts parts = {.name = unit->graph->name,
                          .isa = isa->name,
                          .programs = (const rt_program *const *)unit->code->programs,
                          .program_count = unit->code->program_count,
                          .find_weight = plan_packed_find,
                          .weight_context = weights};
  weir_model *model = NULL;
  weir_executor *executor = NULL;
  WEIR_TRY(rt_object_open(object->data, object->size, weir_allocator_system(), &parts.provider));
  WEIR_TRY(rt_model_create(&parts, &model));
  weir_status status = weir_executor_create(model, NULL, &executor);
  if (!status) status = plan_golden_make(model, executor, out);
  weir_executor_destroy(executor);
  weir_model_release(model);
  return status;
}

// Of the best code that this machine can run; none if it cannot run any.
static weir_status add_golden(plan_unit *unit, cg_package_writer *writer, const code_objects *code,
                              const plan_packed *packed) {
  int chosen = -1;
  for (int i = 0; i < code->count; i++) chosen = cg_cpu_isa_runs_here(&code->isas[i]) ? i : chosen;
  if (chosen < 0) return WEIR_OK;
  plan_weights_of weights = {unit->code, packed};
  weir_map object;
  text_buffer text = {0};
  plan_tell(unit->request, "recording golden answers", -1);
  WEIR_TRY(weir_map_open(code->objects[chosen].path, &object));
  weir_status status = ask(unit, &weights, &code->isas[chosen], &object, &text);
  weir_map_close(&object);
  if (!status) status = cg_package_add(writer, RT_SECTION_GOLDEN, text.data, text.size);
  text_buffer_deinit(&text);
  return status;
}

static weir_status tokenizer_of(const plan_unit *unit, text_buffer *out) {
  const rt_package *package = unit->request->package;
  if (!package) return unit->checkpoint ? plan_tokenizer(unit->checkpoint, out) : WEIR_OK;
  const rt_section *section = rt_package_find(package, RT_SECTION_TOKENIZER);
  if (!section) return WEIR_OK;
  WEIR_TRY(rt_package_check(package, section));
  return text_buffer_append(out, (const char *)section->data, section->bytes);
}

static weir_status write_sections(plan_unit *unit, cg_package_writer *writer, const code_objects *code,
                                  const plan_packed *packed, const char *tuning) {
  text_buffer tokenizer = {0};
  const char *problem = NULL;
  weir_status status = tokenizer_of(unit, &tokenizer);
  if (status &&
      (weir_status_code(status) == WEIR_CODE_UNSUPPORTED || weir_status_code(status) == WEIR_CODE_INVALID_DATA)) {
    problem = weir_arena_strdup(unit->arena, weir_status_message(status));  // the model runs all the same, on tensors
    weir_status_release(status);
    status = WEIR_OK;
    tokenizer.size = 0;
  }
  if (!status) status = add_manifest(unit, writer, code, problem);
  if (!status) status = add_texts(unit, writer);
  if (!status) status = add_programs(unit, writer);
  if (!status && code->count) status = add_kernels(unit, writer);
  if (!status) status = add_objects(unit, writer, code);
  if (!status) status = plan_device_sections(unit, &code->device, writer);
  if (!status && tokenizer.size) status = cg_package_add(writer, RT_SECTION_TOKENIZER, tokenizer.data, tokenizer.size);
  text_buffer_deinit(&tokenizer);
  if (!status) status = add_golden(unit, writer, code, packed);
  if (!status && tuning) status = cg_package_add(writer, RT_SECTION_TUNING, tuning, strlen(tuning));
  if (!status) status = plan_write_weights(unit, packed, writer);
  return status;
}

// Lowers for devices where there is a target. A package for devices alone has no other programs.
static weir_status lower_targets(plan_unit *unit, const char *const *targets, int target_count) {
  int devices = 0, sm_90a = 0, others = 0;
  for (int i = 0; i < target_count; i++) {
    devices += plan_is_device_target(targets[i]);
    sm_90a += plan_is_sm_90a_target(targets[i]);
    others += plan_is_other_device_target(targets[i]);
  }
  if (others) WEIR_TRY(plan_lower_device(unit));
  if (sm_90a) WEIR_TRY(plan_lower_sm_90a(unit));
  if (devices && devices == target_count) plan_code_alone(unit, !others);
  return WEIR_OK;
}

weir_status plan_write_package(plan_unit *unit, const char *path, const char *const *targets, int target_count,
                               plan_result *result) {
  code_objects code = {0};
  plan_packed packed = {0};
  cg_package_writer *writer = NULL;
  const char *tuning = NULL;
  uint64_t bytes = 0;
  WEIR_TRY(plan_check_initial_values(unit));
  WEIR_TRY(lower_targets(unit, targets, target_count));
  WEIR_TRY(compile(unit, targets, target_count, &code, result));
  weir_status status = plan_check_cancel(unit->request);
  if (!status && unit->request->tune_device) status = plan_tune_widen(unit);
  if (!status) status = plan_pack_weights(unit, &packed);
  if (!status && unit->request->tune_seconds > 0) {
    status = plan_tune(unit, &packed, targets[0], &tuning);
    if (!status) status = compile(unit, targets, target_count, &code, result);
  }
  if (!status && unit->request->tune_device) {  // other layouts may have been chosen
    plan_packed_release(&packed);
    status = plan_pack_weights(unit, &packed);
  }
  if (!status) status = cg_package_create(path, &writer);
  if (!status) status = write_sections(unit, writer, &code, &packed, tuning);
  if (!status) status = plan_check_cancel(unit->request);
  plan_packed_release(&packed);
  if (status) {
    cg_package_discard(writer);
    return status;
  }
  plan_tell(unit->request, "writing the package", -1);
  WEIR_TRY(cg_package_commit(writer, &bytes, NULL));
  result->bytes = (int64_t)bytes;
  return WEIR_OK;
}
