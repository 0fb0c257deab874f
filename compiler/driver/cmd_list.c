// weir list: the zoo.
#include "compiler/driver/zoo.h"

static int64_t total_bytes(const zoo_model *model) {
  int64_t bytes = 0;
  for (int i = 0; i < model->file_count; i++) bytes += model->files[i].bytes;
  return bytes;
}

int cmd_list(cli *c) {
  if (!cli_arguments(c, 0, 0)) return CLI_USAGE;
  zoo z;
  weir_status status = zoo_read(c, &z);
  if (status) return cli_fail(c, status);
  json_t *list = json_array();
  for (int i = 0; i < z.count; i++) {
    const zoo_model *model = &z.models[i];
    bool here = zoo_is_here(model);
    json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:I,s:b,s:s}", "name", model->name, "about", model->about,
                                          "text", model->text, "license", model->license, "bytes",
                                          (json_int_t)total_bytes(model), "here", here, "weights", model->weights));
    if (!c->json) {
      printf("%-10s %-50s %8s  %-12s %s\n", model->name, model->about, cli_bytes(&c->arena, (double)total_bytes(model)),
             model->license, here ? "here" : "weir pull");
    }
  }
  if (c->json) return cli_json(c, list);
  json_decref(list);
  return CLI_DONE;
}
