// weir build: one package file. It is built in the cache, where a second build finds it, and copied to its place.
#include <stdlib.h>
#include <string.h>

#include "codegen/cuda/arch.h"
#include "codegen/package/copy.h"
#include "compiler/driver/model.h"
#include "compiler/driver/package_facts.h"
#include "compiler/driver/roof.h"
#include "compiler/driver/standalone.h"
#include "compiler/driver/tuning.h"
#include "compiler/plan/home.h"
#include "runtime/device/cuda/device.h"

// The targets of all --target options, split at commas.
static int read_targets(cli *c, const char ***out) {
  int count = 0, capacity = 0;
  for (int i = 0; i < cli_count(c, "target"); i++) {
    for (const char *at = cli_text_at(c, "target", i); *at;) {
      size_t length = strcspn(at, ",");
      if (length) {
        const char *target = weir_arena_strndup(&c->arena, at, length);
        WEIR_PUSH(&c->arena, *out, count, capacity, target);
      }
      at += length + (at[length] == ',');
    }
  }
  return count;
}

// The package of the cache in the shape that the options ask for.
static weir_status shape_package(cli *c, const char *from, const char *to, cg_copy_result *out) {
  const char *sign = cli_text(c, "sign");
  cg_signing_key key;
  rt_package *package = NULL;
  cg_copy_options options = {.cancel = c->cancel, .key = sign ? &key : NULL};
  if (cli_has(c, "beside")) options.weights = CG_WEIGHTS_BESIDE;
  if (sign) WEIR_TRY(cg_signing_key_read(sign, &key));
  weir_status status = rt_package_open(from, NULL, &package);
  if (!status) status = cg_package_copy(&c->arena, package, to, &options, out);
  if (sign) cg_signing_key_clear(&key);
  rt_package_close(package);
  return status;
}

static weir_status put_package(cli *c, const char *from, const char *to, cg_copy_result *out) {
  return cli_has(c, "beside") || cli_has(c, "sign") ? shape_package(c, from, to, out) : cli_package_copy(c, from, to);
}

// What the package says of itself, and of the schedules that were searched for it (null: none were).
static weir_status read_manifest(const char *path, json_t **out, json_t **out_tuning) {
  rt_package *package = NULL;
  WEIR_TRY(rt_package_open(path, NULL, &package));
  *out = cli_package_manifest(package);
  *out_tuning = cli_tuning_read(package);
  rt_package_close(package);
  return WEIR_OK;
}

static json_t *targets_json(const json_t *manifest) {
  json_t *targets = json_array();
  const json_t *objects = json_object_get(manifest, "objects");
  for (size_t i = 0; i < json_array_size(objects); i++) {
    const json_t *object = json_array_get(objects, i);
    const char *isa = json_string_value(json_object_get(object, "isa"));
    const char *arch = json_string_value(json_object_get(object, "arch"));
    if (!isa) continue;
    if (arch && !strcmp(arch, "sim"))
      json_array_append_new(targets, strcmp(isa, "sim") ? json_sprintf("sim:%s", isa + 4) : json_string("sim"));
    else json_array_append_new(targets, json_sprintf("%s:%s", arch && !strcmp(arch, "cuda") ? "cuda" : "cpu", isa));
  }
  return targets;
}

// What code for devices took; one line a target.
static void times_print(const plan_result *result) {
  for (int i = 0; i < result->time_count; i++) {
    const plan_target_time *t = &result->times[i];
    printf("  %-12s  %d kernels, %d compiled  %.2f s\n", t->target, t->kernels, t->compiled, t->seconds);
  }
}

static json_t *times_json(const plan_result *result) {
  json_t *times = json_object();
  for (int i = 0; i < result->time_count; i++) {
    const plan_target_time *t = &result->times[i];
    json_object_set_new(
        times, t->target,
        json_pack("{s:i,s:i,s:f}", "kernels", t->kernels, "compiled", t->compiled, "seconds", t->seconds));
  }
  return times;
}

static int report(cli *c, const char *path, const plan_result *result, const cg_copy_result *shaped, double seconds,
                  const json_t *manifest, json_t *tuning) {
  json_t *targets = targets_json(manifest);
  if (!c->json) {
    char *names = json_dumps(targets, JSON_COMPACT);
    printf("%s  %s  %s  %.2f s%s\n", path, cli_bytes(&c->arena, (double)result->bytes), names ? names : "", seconds,
           result->cached ? "  (from the cache)" : "");
    if (shaped->weights_path)
      printf("%s  %s\n", shaped->weights_path, cli_bytes(&c->arena, (double)shaped->weights_bytes));
    times_print(result);
    free(names);
    json_decref(targets);
    return CLI_DONE;
  }
  char hex[WEIR_HASH_HEX_BYTES];
  json_t *document = json_pack("{s:s,s:I,s:f,s:o,s:b}", "path", path, "bytes", (json_int_t)result->bytes, "seconds",
                               seconds, "targets", targets, "cached", result->cached);
  weir_hash_hex(&result->key, hex);
  if (result->path) json_object_set_new(document, "key", json_string(hex));
  if (result->time_count) json_object_set_new(document, "devices", times_json(result));
  if (tuning) json_object_set(document, "tuning", tuning);
  if (shaped->weights_path) json_object_set_new(document, "weights_path", json_string(shaped->weights_path));
  static const char *const echoed[] = {"model",   "plan", "float", "bind", "settings", "toolchain", "stored_otherwise",
                                       "products"};
  for (size_t i = 0; i < sizeof echoed / sizeof echoed[0]; i++) {
    json_t *value = json_object_get(manifest, echoed[i]);
    if (value) json_object_set(document, echoed[i], value);
  }
  return cli_json(c, document);
}

// The seconds of --tune; 0: none.
static int read_tuning(cli *c, plan_request *request) {
  enum { USUAL_S = 60, MOST_S = 86400 };
  double seconds = USUAL_S;
  if (!cli_has(c, "tune")) return CLI_DONE;
  if (*cli_text(c, "tune") && !cli_float(c, "tune", 0.1, MOST_S, &seconds)) return CLI_USAGE;
  request->tune_seconds = seconds;
  request->tune_machine = cli_cpu_name(&c->arena);
  return CLI_DONE;
}

// With --tune, --device: schedules are measured there, and its code is the target.
static int read_device(cli *c, plan_request *request, const char ***targets, int *target_count) {
  const char *name = cli_text(c, "device");
  if (!name || !strcmp(name, "cpu")) return CLI_DONE;
  if (!cli_has(c, "tune")) return cli_usage(c, "--device says where --tune measures; --target what is built");
  rt_cuda_facts facts;
  cg_cuda_arch archs[CG_CUDA_MAX_ARCHS];
  int count;
  weir_status status = rt_cuda_describe_named(name, &facts);
  if (status) return cli_fail(c, status);
  request->tune_device = name;
  if (*target_count) return CLI_DONE;
  const char *target = "sim";
  if (strcmp(facts.arch, "sim")) {  // with all features of the chip, where there is such code
    target = weir_arena_printf(&c->arena, "cuda:%sa", facts.arch);
    status = cg_cuda_archs_find(target, archs, &count);
    if (status) target = weir_arena_printf(&c->arena, "cuda:%s", facts.arch);
    weir_status_release(status);
  }
  *targets = WEIR_NEW_ARRAY(&c->arena, const char *, 1);
  (*targets)[(*target_count)++] = target;
  return CLI_DONE;
}

// A program of a package that is there; which has no key in the cache.
static int link_package(cli *c, const cli_source *source, const char *output, double start) {
  static const char *const of_texts[] = {"target", "debug"};
  for (size_t i = 0; i < sizeof of_texts / sizeof of_texts[0]; i++)
    if (cli_has(c, of_texts[i]))
      return cli_usage(c, "--%s is for model texts; %s has its code", of_texts[i], source->package);
  plan_result result = {0};
  cg_copy_result shaped = {0};
  json_t *manifest = NULL, *tuning = NULL;
  uint64_t bytes = 0;
  weir_status status = cli_standalone(c, source, source->package, output, &bytes);
  if (!status) status = read_manifest(source->package, &manifest, &tuning);
  if (status) return cli_fail(c, weir_status_annotate(status, "package '%s'", source->package));
  result.bytes = (int64_t)bytes;
  int code = report(c, output, &result, &shaped, cli_now() - start, manifest, tuning);
  json_decref(tuning);
  json_decref(manifest);
  return code;
}

static void note_line(void *user, const char *text) { cli_note(user, "%s", text); }

int cmd_build(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  const char *output = cli_text(c, "output"), **targets = NULL;
  if (!output) return cli_usage(c, "it needs the package's path: -o FILE");
  if (cli_has(c, "standalone") && (cli_has(c, "beside") || cli_has(c, "sign")))
    return cli_usage(c, "--standalone makes a program, with everything inside; --beside and --sign are for packages");
  if (cli_has(c, "standalone") && cli_has(c, "tune"))
    return cli_usage(c, "--standalone has the default schedules; --tune is for packages");
  double start = cli_now();
  cli_source source;
  int code = cli_check_output(c, output);
  if (!code) code = cli_locate(c, c->arguments[0], true, &source);
  if (code) return code;
  if (source.package && cli_has(c, "standalone")) return link_package(c, &source, output, start);
  if (source.package) return cli_error(c, "%s is a package already", source.package);
  code = read_tuning(c, &source.request);
  if (code) return code;
  bool tune = source.request.tune_seconds > 0;
  int target_count = read_targets(c, &targets);
  code = read_device(c, &source.request, &targets, &target_count);
  if (code) return code;
  lang_diags diags;
  lang_diags_init(&diags, &c->arena);
  plan_result result;
  weir_status status = plan_build(&c->arena, &source.request, targets, target_count,
                                  tune ? plan_targets_here() : plan_targets_anywhere(), &diags, &result);
  if (status) return cli_build_failed(c, &diags, status);
  if (!c->json) cli_diagnostics(c, &diags);
  json_t *manifest = NULL, *tuning = NULL;
  cg_copy_result shaped = {0};
  status = read_manifest(result.path, &manifest, &tuning);
  if (!status && cli_has(c, "standalone")) status = cli_standalone(c, &source, result.path, output, &shaped.bytes);
  else if (!status) status = put_package(c, result.path, output, &shaped);
  if (status) {
    json_decref(manifest);
    json_decref(tuning);
    return cli_fail(c, status);
  }
  if (shaped.bytes) result.bytes = (int64_t)shaped.bytes;
  cli_progress_end(c);
  if (tuning && !c->json) cli_tuning_lines(&c->arena, tuning, c->verbose, note_line, c);
  code = report(c, output, &result, &shaped, cli_now() - start, manifest, tuning);
  json_decref(tuning);
  json_decref(manifest);
  return code;
}
