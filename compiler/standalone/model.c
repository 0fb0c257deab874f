// Opening the model that is linked into the program: what compiler/driver/model.c is to `weir`.
#include "compiler/driver/model.h"

#include "compiler/standalone/linked.h"

// Programs, weights and tokenizer are the program's own bytes; two views of them cost nothing.
static weir_status load(cli *c, cli_model *m) {
  weir_load_options options = {.isa = cli_text(c, "isa")};
  rt_package *package;
  WEIR_TRY(rt_package_open_memory(weir_linked_package, weir_linked_package_bytes, NULL, &package));
  WEIR_TRY(rt_model_from_package(package, &options, &rt_linked_code, &m->model));
  WEIR_TRY(rt_package_open_memory(weir_linked_package, weir_linked_package_bytes, NULL, &m->package));
  const rt_section *section = rt_package_find(m->package, RT_SECTION_TOKENIZER);
  if (!section) return WEIR_OK;
  WEIR_TRY(rt_package_check(m->package, section));
  return text_tokenizer_open(section->data, section->bytes, &m->tokenizer);
}

int cli_model_open(cli *c, const char *name, bool wants_tokenizer, cli_model *out) {
  *out = (cli_model){.path = name};
  double start = cli_now();
  int64_t threads = 0;
  if (!cli_int(c, "threads", 1, 1024, &threads)) return CLI_USAGE;
  int code = cli_fail(c, load(c, out));
  if (code) return code;
  weir_executor_options options = {.threads = (int)threads};
  code = cli_fail(c, weir_executor_create(out->model, &options, &out->executor));
  if (code) return code;
  out->load_seconds = cli_now() - start;
  if (wants_tokenizer && !out->tokenizer) return cli_error(c, "this model has no tokenizer");
  return CLI_DONE;
}
