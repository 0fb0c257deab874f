// weir check: every diagnostic of the files named, nothing built.
#include <string.h>

#include "compiler/driver/cli.h"
#include "compiler/lang/elab.h"
#include "compiler/lang/files.h"
#include "compiler/plan/home.h"

static int explain(cli *c, const char *code) {
  lang_diag_code found;
  if (!lang_diag_find(code, &found)) return cli_usage(c, "there is no error code '%s'", code);
  if (c->json) {
    return cli_json(
        c, json_pack("{s:s,s:s,s:s,s:s}", "code", lang_diag_text(found), "name", lang_diag_name(found), "severity",
                     lang_severity_text(lang_diag_severity(found)), "explanation", lang_diag_explanation(found)));
  }
  printf("%s %s: %s\n\n%s\n", lang_severity_text(lang_diag_severity(found)), lang_diag_text(found),
         lang_diag_name(found), lang_diag_explanation(found));
  return CLI_DONE;
}

int cmd_check(cli *c) {
  const char *code = cli_text(c, "explain");
  if (code) return explain(c, code);
  if (!cli_arguments(c, 1, -1)) return CLI_USAGE;
  const char *models = NULL;
  weir_status status = plan_models_folder(&c->arena, &models);
  if (status) return cli_fail(c, status);
  lang_search search = {&models, 1};
  json_t *list = json_array();
  int result = CLI_DONE;
  for (int i = 0; i < c->argument_count && !*c->cancel; i++) {
    lang_diags diags;
    lang_diags_init(&diags, &c->arena);
    lang_program *program = NULL;
    status = lang_load(&c->arena, c->arguments[i], &search, &diags, &program);
    if (status) {
      json_decref(list);
      return cli_fail(c, status);
    }
    lang_check(&c->arena, program, &diags);
    if (c->json) {
      lang_diags_sort(&diags);
      json_t *items = cli_diagnostics_json(&diags);
      json_array_extend(list, items);
      json_decref(items);
      if (diags.error_count) result = CLI_INPUT;
    } else if (cli_diagnostics(c, &diags)) {
      result = CLI_INPUT;
    } else {
      cli_detail(c, "%s: no errors", c->arguments[i]);
    }
  }
  if (c->json) {
    int written = cli_json(c, list);
    return result == CLI_DONE ? written : result;
  }
  json_decref(list);
  return result;
}
