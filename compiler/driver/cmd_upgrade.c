// weir upgrade: a package of the current format from one of an earlier one.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compiler/driver/model.h"
#include "compiler/driver/package_facts.h"
#include "compiler/plan/golden.h"
#include "compiler/plan/home.h"
#include "compiler/plan/upgrade.h"

static void show_progress(void *user, const char *what, double fraction) { cli_progress(user, what, fraction); }

static int report(cli *c, const char *output, int from, int64_t bytes) {
  if (c->json)
    return cli_json(c, json_pack("{s:s,s:i,s:i,s:I}", "path", output, "from", from, "to", RT_PACKAGE_VERSION, "bytes",
                                 (json_int_t)bytes));
  printf("%s  %s  format %d -> %d\n", output, cli_bytes(&c->arena, (double)bytes), from, RT_PACKAGE_VERSION);
  return CLI_DONE;
}

// Of the current format already: a copy, where one is asked for.
static int keep(cli *c, const cli_opened_package *opened, const char *output) {
  cli_note(c, "%s has the current format", opened->path);
  if (strcmp(output, opened->path)) {
    int code = cli_fail(c, cli_package_copy(c, opened->path, output));
    if (code) return code;
  }
  return report(c, output, RT_PACKAGE_VERSION, (int64_t)rt_package_bytes(opened->package));
}

// The new package must give the answers that the old one recorded, where this machine can run it.
static weir_status answers_check(cli *c, const rt_package *old, const char *path) {
  weir_model *model = NULL;
  weir_executor *executor = NULL;
  plan_golden_report golden = {0};
  weir_status status = weir_model_load(path, NULL, &model);
  if (weir_status_code(status) == WEIR_CODE_UNSUPPORTED) {
    cli_note(c, "this machine cannot run the package; its answers were not compared");
    weir_status_release(status);
    return WEIR_OK;
  }
  if (!status) status = weir_executor_create(model, NULL, &executor);
  if (!status) status = plan_golden_check(old, executor, model, &golden);
  if (!status) cli_detail(c, "%d recorded answers hold, largest error %.2g", golden.entries, golden.largest_error);
  weir_executor_destroy(executor);
  weir_model_release(model);
  return status;
}

static int upgrade(cli *c, const cli_opened_package *opened, const char *output) {
  plan_request request = {.cancel = c->cancel, .progress = show_progress, .user = c};
  plan_result result;
  lang_diags diags;
  lang_diags_init(&diags, &c->arena);
  int code = cli_fail(c, plan_models_folder(&c->arena, &request.models_folder));
  if (!code) code = cli_fail(c, plan_package_request(&c->arena, opened->package, &request));
  if (code) return code;
  const char *made = weir_arena_printf(&c->arena, "%s.tmp-upgrade", output);
  weir_status status = plan_upgrade(&c->arena, opened->package, &request, made, &diags, &result);
  if (status) return cli_build_failed(c, &diags, weir_status_annotate(status, "package '%s'", opened->path));
  cli_progress_end(c);
  if (!c->json) cli_diagnostics(c, &diags);
  status = answers_check(c, opened->package, made);
  if (!status && rename(made, output) != 0) status = weir_status_errno(errno, "cannot finish '%s'", output);
  if (status) {
    unlink(made);
    return cli_fail(c, weir_status_annotate(status, "package '%s'", opened->path));
  }
  return report(c, output, (int)rt_package_version(opened->package), result.bytes);
}

int cmd_upgrade(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  const char *path = c->arguments[0], *output = cli_text(c, "output");
  cli_opened_package opened;
  if (!output) output = path;
  int code = cli_check_output(c, output);
  if (!code) code = cli_package_open(c, path, &opened);
  if (code) return code;
  if (opened.weights_problem) {
    cli_error(c, "%s", opened.weights_problem);
    code = CLI_WORLD;
  } else if (rt_package_version(opened.package) == RT_PACKAGE_VERSION) {
    code = keep(c, &opened, output);
  } else {
    code = upgrade(c, &opened, output);
  }
  cli_package_close(&opened);
  return code;
}
