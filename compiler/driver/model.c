// Finding, building and loading models.
#include "compiler/driver/model.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/driver/fit.h"
#include "compiler/driver/zoo.h"
#include "compiler/plan/home.h"
#include "runtime/device/cuda/device.h"
#include "runtime/package/signature.h"

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && !strcmp(text + a - b, end);
}

static bool begins_with(const char *path, const char *magic, size_t length) {
  char bytes[8] = {0};
  FILE *file = fopen(path, "rb");
  bool same = file && fread(bytes, 1, length, file) == length && !memcmp(bytes, magic, length);
  if (file) fclose(file);
  return same;
}

// The options of the group `model`.
static int read_options(cli *c, plan_request *request) {
  int64_t seed = 0;
  if (!cli_int(c, "random", 0, INT64_MAX, &seed)) return CLI_USAGE;
  request->random = cli_has(c, "random");
  request->seed = (uint64_t)seed;
  request->weights = cli_text(c, "weights");
  request->model = cli_text(c, "model");
  request->plan = cli_text(c, "plan");
  request->exact = c->exact;
  const char *lines = getenv("WEIR_LINES");
  request->lines = (lines && *lines) || cli_has(c, "debug");
  if (request->random && request->weights) return cli_usage(c, "--weights and --random exclude each other");
  request->override_count = cli_count(c, "set");
  const char **overrides = WEIR_NEW_ARRAY(&c->arena, const char *, request->override_count);
  for (int i = 0; i < request->override_count; i++) {
    overrides[i] = cli_text_at(c, "set", i);
    if (!strchr(overrides[i], '=')) return cli_usage(c, "--set wants NAME=VALUE, not '%s'", overrides[i]);
  }
  request->overrides = overrides;
  return CLI_DONE;
}

static void show_progress(void *user, const char *what, double fraction) {
  cli *c = user;
  if (c->verbose && !c->terminal && strncmp(what, c->last_detail, sizeof c->last_detail - 1)) {
    cli_detail(c, "%s", what);
    snprintf(c->last_detail, sizeof c->last_detail, "%s", what);
  }
  cli_progress(c, what, fraction);
}

static int locate_zoo(cli *c, const zoo_model *model, bool fetch, cli_source *out) {
  out->request.text = model->text;
  if (out->request.weights || out->request.random) return CLI_DONE;
  if (fetch) {
    int code = cli_fail(c, zoo_pull(c, model));
    if (code) return code;
  }
  if (zoo_is_here(model)) out->request.weights = model->weights;
  return CLI_DONE;
}

static int locate_package(cli *c, const char *name, cli_source *out) {
  static const char *const refused[] = {"weights", "random", "plan", "set", "model"};
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    if (cli_has(c, refused[i])) return cli_usage(c, "--%s is for model texts; %s is a package", refused[i], name);
  }
  out->package = name;
  return CLI_DONE;
}

static int locate_text(cli *c, const zoo *z, const char *name, bool fetch, cli_source *out) {
  if (begins_with(name, "GGUF", 4) || ends_with(name, ".safetensors")) {
    return cli_error(c, "%s holds weights, not a model: name a model and give the file with -w", name);
  }
  out->request.text = name;
  const zoo_model *same = zoo_find_text(z, name);
  return same ? locate_zoo(c, same, fetch, out) : CLI_DONE;
}

static int unknown_model(cli *c, const zoo *z, const char *name) {
  if (strchr(name, '/') || ends_with(name, ".weir") || ends_with(name, ".wpk")) {
    cli_error(c, "there is no file %s", name);
    return CLI_WORLD;
  }
  const char *near = zoo_nearest(z, name);
  if (near) return cli_error(c, "there is neither a file nor a zoo model called '%s'; did you mean '%s'?", name, near);
  return cli_error(c, "there is neither a file nor a zoo model called '%s'; weir list shows the zoo", name);
}

int cli_locate(cli *c, const char *name, bool fetch, cli_source *out) {
  *out = (cli_source){.request = {.cancel = c->cancel, .progress = show_progress, .user = c}};
  if (weir_is_dir(name)) return cli_error(c, "%s is a folder, not a model", name);
  bool file = weir_file_exists(name);
  if (file && (ends_with(name, ".wpk") || begins_with(name, RT_PACKAGE_MAGIC, 8))) return locate_package(c, name, out);
  if (cli_has(c, "require_key")) return cli_usage(c, "--require-key is for packages; %s is none", name);
  zoo z;
  int code = read_options(c, &out->request);
  if (!code) code = cli_fail(c, zoo_read(c, &z));
  if (!code) code = cli_fail(c, plan_models_folder(&c->arena, &out->request.models_folder));
  if (code) return code;
  if (file) return locate_text(c, &z, name, fetch, out);
  const zoo_model *model = zoo_find(&z, name);
  return model ? locate_zoo(c, model, fetch, out) : unknown_model(c, &z, name);
}

int cli_build_failed(cli *c, lang_diags *diags, weir_status status) {
  cli_progress_end(c);
  if (!diags->error_count) return cli_fail(c, status);
  weir_status_release(status);
  cli_diagnostics(c, diags);
  if (c->json)
    cli_json(c, json_pack("{s:{s:s,s:s,s:o}}", "error", "code", "invalid data", "message", "the model text has errors",
                          "diagnostics", cli_diagnostics_json(diags)));
  return CLI_INPUT;
}

bool cli_on_device(const cli *c) {
  const char *device = cli_text(c, "device");
  return device && strcmp(device, "cpu");
}

weir_status cli_front_device(cli *c, cli_front *front) {
  const char *level = cli_text(c, "isa");
  bool wgmma = level && !strcmp(rt_cuda_family(level), RT_SECTION_SM_90A);
  WEIR_TRY(wgmma ? plan_lower_sm_90a(&front->unit) : plan_lower_device(&front->unit));
  front->unit.code = wgmma ? front->unit.sm_90a_code : front->unit.device_code;
  return WEIR_OK;
}

int cli_front_open(cli *c, const char *name, cli_front *out) {
  *out = (cli_front){0};
  int code = cli_locate(c, name, true, &out->source);
  if (code) return code;
  if (out->source.package) return cli_error(c, "%s is a package; this looks at a model text", name);
  lang_diags_init(&out->diags, &c->arena);
  weir_status status = plan_read(&c->arena, &out->source.request, &out->diags, &out->unit);
  if (!status) status = plan_front(&out->unit);
  if (!status && cli_on_device(c)) status = cli_front_device(c, out);
  if (status) return cli_build_failed(c, &out->diags, status);
  cli_progress_end(c);
  cli_diagnostics(c, &out->diags);  // warnings
  return CLI_DONE;
}

int cli_elaborate(cli *c, const char *name, cli_front *out) {
  *out = (cli_front){0};
  int code = cli_locate(c, name, false, &out->source);
  if (code) return code;
  if (out->source.package) return cli_error(c, "%s is a package; this looks at a model text", name);
  const plan_request *request = &out->source.request;
  lang_search search = {.folders = &request->models_folder, .count = request->models_folder ? 1 : 0};
  lang_options options = {.model = request->model,
                          .overrides = request->overrides,
                          .override_count = request->override_count,
                          .float_dtype = IR_f32};
  lang_diags_init(&out->diags, &c->arena);
  code = cli_fail(c, lang_load(&c->arena, request->text, &search, &out->diags, &out->unit.program));
  if (code) return code;
  out->unit.float_dtype = IR_f32;
  out->unit.graph = lang_elaborate(&c->arena, out->unit.program, &options, &out->diags);
  cli_progress_end(c);
  bool wrong = cli_diagnostics(c, &out->diags);
  return wrong || !out->unit.graph ? CLI_INPUT : CLI_DONE;
}

static int report_build(cli *c, lang_diags *diags, weir_status status, const plan_result *result) {
  if (status) return cli_build_failed(c, diags, status);
  cli_progress_end(c);
  if (!c->json) cli_diagnostics(c, diags);
  cli_detail(c, "%s %s in %.2f s", result->path, result->cached ? "found" : "built", result->seconds);
  return CLI_DONE;
}

// The architecture to build for a GPU: its own, with what only its own code may use where there is such.
static weir_status arch_of(weir_arena *arena, const char *device, const char **out) {
  rt_cuda_facts facts;
  WEIR_TRY(rt_cuda_describe_named(device, &facts));
  bool own = !strcmp(facts.arch, "sm_90") || !strcmp(facts.arch, "sm_100");
  *out = weir_arena_printf(arena, "%s%s", facts.arch, own ? "a" : "");
  return WEIR_OK;
}

// Code of the level that is asked for, else what the plan says, else this machine's. For another device than the
// processor, code for it beside.
static weir_status targets_choose(cli *c, weir_arena *arena, const char **targets, int *out_count) {
  const char *level = cli_text(c, "isa"), *device = cli_text(c, "device");
  *out_count = 0;
  if (!device || !strcmp(device, "cpu")) {
    if (level) targets[(*out_count)++] = weir_arena_printf(arena, "cpu:%s", level);
    return WEIR_OK;
  }
  targets[(*out_count)++] = plan_targets_here()[0];
  if (strcmp(device, "sim") && !level) WEIR_TRY(arch_of(arena, device, &level));
  if (!strcmp(device, "sim")) targets[(*out_count)++] = level && !strcmp(level, "sim_sm_90a") ? "sim:sm_90a" : "sim";
  else targets[(*out_count)++] = weir_arena_printf(arena, "cuda:%s", level);
  return WEIR_OK;
}

// Works in memory of its own, which goes back to the system before the model runs: its peak must not add to the
// weights.
static int build_source(cli *c, const cli_source *source, plan_result *result) {
  weir_arena arena;
  lang_diags diags;
  weir_arena_init(&arena);
  lang_diags_init(&diags, &arena);
  const char *targets[2];
  int count;
  weir_status status = targets_choose(c, &arena, targets, &count);
  if (!status) status = plan_build(&arena, &source->request, targets, count, plan_targets_here(), &diags, result);
  if (result->path) result->path = weir_arena_strdup(&c->arena, result->path);
  int code = report_build(c, &diags, status, result);
  weir_arena_deinit(&arena);
  malloc_trim(0);
  return code;
}

// The key of --require-key as digits; null if none is required.
static weir_status read_required_key(cli *c, const char **out_digits) {
  const char *text = cli_text(c, "require_key");
  rt_public_key key;
  *out_digits = NULL;
  if (!text) return WEIR_OK;
  WEIR_TRY(rt_public_key_read(text, &key));
  char *digits = weir_arena_alloc(&c->arena, 2 * sizeof key.bytes + 1);
  for (size_t i = 0; i < sizeof key.bytes; i++) snprintf(digits + 2 * i, 3, "%02x", key.bytes[i]);
  *out_digits = digits;
  return WEIR_OK;
}

static weir_status load(cli *c, cli_model *m) {
  weir_load_options options = {.device = cli_text(c, "device"), .isa = cli_text(c, "isa")};
  WEIR_TRY(read_required_key(c, &options.require_key));
  WEIR_TRY(weir_model_load(m->path, &options, &m->model));
  WEIR_TRY(rt_package_open(m->path, NULL, &m->package));
  const rt_section *section = rt_package_find(m->package, RT_SECTION_TOKENIZER);
  if (!section) return WEIR_OK;
  WEIR_TRY(rt_package_check(m->package, section));
  return text_tokenizer_open(section->data, section->bytes, &m->tokenizer);
}

static int load_package(cli *c, const char *name, cli_model *m) {
  cli_source source;
  plan_result result = {0};
  int code = cli_locate(c, name, true, &source);
  if (code) return code;
  for (int attempt = 0;; attempt++) {
    if (!source.package) code = build_source(c, &source, &result);
    if (code) return code;
    m->path = source.package ? source.package : result.path;
    weir_status status = load(c, m);
    if (!status) return CLI_DONE;
    weir_code reason = weir_status_code(status);
    // A package of the cache that is damaged, or that another process has just dropped, is built again; one of the
    // user's is not touched.
    if (source.package || attempt || (reason != WEIR_CODE_INVALID_DATA && reason != WEIR_CODE_NOT_FOUND))
      return cli_fail(c, status);
    weir_status_release(status);
    cli_note(c, "the package in the cache is damaged; building it again");
    unlink(m->path);
    cli_model_close(m);
  }
}

static weir_status advise(cli *c, weir_status status) {
  const cli_model *m = c->opened;
  return cli_fit_annotate(c, m->path, m->model, status);
}

int cli_model_open(cli *c, const char *name, bool wants_tokenizer, cli_model *out) {
  *out = (cli_model){0};
  c->advise = advise;
  c->opened = out;
  double start = cli_now();
  int64_t threads = 0;
  if (!cli_int(c, "threads", 1, 1024, &threads)) return CLI_USAGE;
  int code = load_package(c, name, out);
  if (code) return code;
  weir_executor_options options = {.threads = (int)threads};
  code = cli_fail(c, weir_executor_create(out->model, &options, &out->executor));
  if (code) return code;
  out->load_seconds = cli_now() - start;
  if (wants_tokenizer && !out->tokenizer)
    return cli_error(c, "%s has no tokenizer: its weights came without one", name);
  return CLI_DONE;
}
