// What commands do with an open model, however it was opened.
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/model.h"
#include "runtime/base/io.h"

void cli_model_close(cli_model *m) {
  weir_executor_destroy(m->executor);
  weir_model_release(m->model);
  text_tokenizer_release(m->tokenizer);
  rt_package_close(m->package);
  *m = (cli_model){0};
}

static const char *entry_names(cli *c, const cli_model *m) {
  const char *text = "";
  for (int i = 0; i < weir_model_entry_count(m->model); i++) {
    text = weir_arena_printf(&c->arena, "%s%s%s", text, i ? ", " : "",
                             weir_entry_describe(weir_model_entry(m->model, i)).name);
  }
  return text;
}

int cli_entry_find(cli *c, const cli_model *m, const char *name, const char *fallback, const weir_entry **out) {
  *out = NULL;
  if (name) {
    *out = weir_model_find_entry(m->model, name);
    if (!*out) return cli_error(c, "the model has no entry '%s'; it has %s", name, entry_names(c, m));
    return CLI_DONE;
  }
  if (fallback) *out = weir_model_find_entry(m->model, fallback);
  if (!*out && weir_model_entry_count(m->model) == 1) *out = weir_model_entry(m->model, 0);
  if (!*out) return cli_usage(c, "which entry? The model has %s; say it with -e", entry_names(c, m));
  return CLI_DONE;
}

int cli_read_file(cli *c, const char *path, const char **out_text, size_t *out_size) {
  char *text = NULL;
  weir_status status = weir_file_read(strcmp(path, "-") ? path : "/dev/stdin", (size_t)1 << 30, &text, out_size);
  if (status) return cli_fail(c, status);
  *out_text = weir_arena_strndup(&c->arena, text, *out_size);
  free(text);
  return CLI_DONE;
}
