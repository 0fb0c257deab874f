// weir pull: fetches open weights.
#include "compiler/driver/zoo.h"

int cmd_pull(cli *c) {
  if (!cli_arguments(c, 1, -1)) return CLI_USAGE;
  zoo z;
  weir_status status = zoo_read(c, &z);
  if (status) return cli_fail(c, status);
  int wrong = 0;
  for (int i = 0; i < c->argument_count; i++) {
    const char *name = c->arguments[i];
    if (zoo_find(&z, name)) continue;
    const char *near = zoo_nearest(&z, name);
    cli_error(c, near ? "there is no model '%s' in the zoo; did you mean '%s'?" : "there is no model '%s' in the zoo",
              name, near);
    wrong++;
  }
  if (wrong) return CLI_INPUT;
  json_t *list = json_array();
  int code = CLI_DONE;
  for (int i = 0; i < c->argument_count && code == CLI_DONE; i++) {
    const zoo_model *model = zoo_find(&z, c->arguments[i]);
    bool here = zoo_is_here(model);
    code = cli_fail(c, zoo_pull(c, model));
    if (code) break;
    json_array_append_new(list,
                          json_pack("{s:s,s:s,s:b}", "name", model->name, "weights", model->weights, "fetched", !here));
    if (!c->json) printf("%s  %s\n", model->name, model->weights);
  }
  if (c->json && code == CLI_DONE) return cli_json(c, list);
  json_decref(list);
  return code;
}
