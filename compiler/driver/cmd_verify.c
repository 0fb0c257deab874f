// weir verify: every hash of a package, its signature, its programs and code, and the answers that it recorded when it
// was built.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/model.h"
#include "compiler/plan/golden.h"
#include "runtime/package/signature.h"

// "none", "whole" (by the key that it names) or "trusted" (by the key that was given).
static const char *signature_state(const rt_package *package, const char *key) {
  return key ? "trusted" : rt_package_signed(package) ? "whole" : "none";
}

static int report(cli *c, const char *path, const rt_package *package, const plan_golden_report *golden,
                  const char *isa) {
  const char *signature = signature_state(package, cli_text(c, "key"));
  if (c->json) {
    return cli_json(c, json_pack("{s:b,s:s,s:i,s:s,s:{s:i,s:s,s:f}}", "ok", 1, "path", path, "sections",
                                 rt_package_section_count(package), "signature", signature, "golden", "entries",
                                 golden->entries, "isa", isa, "largest_error", golden->largest_error));
  }
  printf("%s: %d sections are whole; signature: %s; ", path, rt_package_section_count(package), signature);
  if (golden->entries)
    printf("%d golden answers hold on %s (largest error %.2g)\n", golden->entries, isa, golden->largest_error);
  else printf("no golden answers in it\n");
  return CLI_DONE;
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
  plan_golden_report golden = {0};
  int code = cli_fail(c, rt_package_open(path, NULL, &package));
  if (!code) code = cli_fail(c, weir_status_annotate(rt_package_verify(package), "package '%s'", path));
  if (!code)
    code = cli_fail(c, weir_status_annotate(signature_verify(package, cli_text(c, "key")), "package '%s'", path));
  if (!code) code = cli_model_open(c, path, false, &model);
  if (!code)
    code = cli_fail(c, weir_status_annotate(plan_golden_check(package, model.executor, model.model, &golden),
                                            "package '%s'", path));
  if (!code) code = report(c, path, package, &golden, weir_model_isa(model.model));
  cli_model_close(&model);
  rt_package_close(package);
  return code;
}
