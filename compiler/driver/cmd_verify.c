// weir verify: every hash of a package, its signature, its programs and code, and the answers that it recorded when it
// was built.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/model.h"
#include "compiler/plan/device.h"
#include "compiler/plan/golden.h"
#include "runtime/package/signature.h"

// "none", "whole" (by the key that it names) or "trusted" (by the key that was given).
static const char *signature_state(const rt_package *package, const char *key) {
  return key ? "trusted" : rt_package_signed(package) ? "whole" : "none";
}

typedef struct {
  plan_golden_report golden;
  int ran;              // entries, where no answers are recorded
  const char *isa;      // of the code that ran
  const char *skipped;  // why no code ran; null: it did
} verified;

static int report(cli *c, const char *path, const rt_package *package, const verified *v) {
  const char *signature = signature_state(package, cli_text(c, "key"));
  const plan_golden_report *golden = &v->golden;
  if (c->json) {
    json_t *answers = json_pack("{s:i,s:s?,s:f,s:i,s:s?}", "entries", golden->entries, "isa", v->isa, "largest_error",
                                golden->largest_error, "ran", v->ran, "skipped", v->skipped);
    return cli_json(c, json_pack("{s:b,s:s,s:i,s:s,s:o}", "ok", 1, "path", path, "sections",
                                 rt_package_section_count(package), "signature", signature, "golden", answers));
  }
  printf("%s: %d sections are whole; signature: %s; ", path, rt_package_section_count(package), signature);
  if (v->skipped) printf("its code was not run: %s\n", v->skipped);
  else if (golden->entries)
    printf("%d golden answers hold on %s (largest error %.2g)\n", golden->entries, v->isa, golden->largest_error);
  else if (v->ran) printf("no golden answers in it; %d entries run on %s\n", v->ran, v->isa);
  else printf("no golden answers in it\n");
  return CLI_DONE;
}

// Of a package for devices alone, which nobody asked to use one: the targets that it has.
static const char *only_devices(cli *c, const rt_package *package) {
  const char *device = cli_text(c, "device"), *targets = "";
  int count = rt_package_object_count(package);
  if (!count || (device && strcmp(device, "cpu"))) return NULL;
  for (int i = 0; i < count; i++) {
    const rt_package_object *o = rt_package_object_at(package, i);
    if (strcmp(o->features, "sim") && strcmp(o->features, "cuda")) return NULL;
    targets = weir_arena_printf(&c->arena, "%s%s%s", targets, i ? ", " : "", plan_object_target(&c->arena, o));
  }
  return weir_arena_printf(&c->arena, "it is for %s alone; --device cuda or --device sim runs what is for it", targets);
}

// Compares answers, or runs all entries where none are recorded and a device was asked for.
static weir_status answers_check(const cli *c, const rt_package *package, const cli_model *model, verified *v) {
  const char *device = cli_text(c, "device");
  WEIR_TRY(plan_golden_check(package, model->executor, model->model, &v->golden));
  if (v->golden.entries || !device || !strcmp(device, "cpu")) return WEIR_OK;
  text_buffer text = {0};
  weir_status status = plan_golden_make(model->model, model->executor, &text);
  if (!status) v->ran = weir_model_entry_count(model->model);
  text_buffer_deinit(&text);
  return status;
}

static weir_status signature_verify(const rt_package *package, const char *key_text) {
  rt_public_key key;
  if (!key_text) return WEIR_OK;  // rt_package_verify has looked at one that is there
  WEIR_TRY(rt_public_key_read(key_text, &key));
  return rt_signature_check(package, &key);
}

int cmd_verify(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  const char *path = c->arguments[0];
  rt_package *package = NULL;
  cli_model model = {0};
  verified v = {0};
  int code = cli_fail(c, rt_package_open(path, NULL, &package));
  if (!code) code = cli_fail(c, weir_status_annotate(rt_package_verify(package), "package '%s'", path));
  if (!code)
    code = cli_fail(c, weir_status_annotate(signature_verify(package, cli_text(c, "key")), "package '%s'", path));
  if (!code) v.skipped = only_devices(c, package);
  bool runs = !code && !v.skipped;
  if (runs) code = cli_model_open(c, path, false, &model);
  if (runs && !code) {
    v.isa = weir_model_isa(model.model);
    code = cli_fail(c, weir_status_annotate(answers_check(c, package, &model, &v), "package '%s'", path));
  }
  if (!code) code = report(c, path, package, &v);
  cli_model_close(&model);
  rt_package_close(package);
  return code;
}
