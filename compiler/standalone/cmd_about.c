// PROGRAM about: what the model takes and gives.
#include "compiler/driver/model.h"

static json_t *tensor_json(weir_tensor_info t) {
  return json_pack("{s:s,s:s,s:s}", "name", t.name, "dtype", weir_dtype_name(t.dtype), "dims", t.dims);
}

static json_t *entry_json(const weir_entry *entry) {
  weir_entry_info info = weir_entry_describe(entry);
  json_t *inputs = json_array(), *outputs = json_array();
  for (int i = 0; i < info.input_count; i++) json_array_append_new(inputs, tensor_json(weir_entry_input(entry, i)));
  for (int i = 0; i < info.output_count; i++) json_array_append_new(outputs, tensor_json(weir_entry_output(entry, i)));
  return json_pack("{s:s,s:b,s:o,s:o}", "name", info.name, "step", info.step, "inputs", inputs, "outputs", outputs);
}

static void print_tensor(weir_tensor_info t, bool first) {
  printf("%s%s: %s[%s]", first ? "" : ", ", t.name, weir_dtype_name(t.dtype), t.dims);
}

static void print_entry(const weir_entry *entry) {
  weir_entry_info info = weir_entry_describe(entry);
  printf("%s %s(", info.step ? "step" : "entry", info.name);
  for (int i = 0; i < info.input_count; i++) print_tensor(weir_entry_input(entry, i), !i);
  printf(") -> (");
  for (int i = 0; i < info.output_count; i++) print_tensor(weir_entry_output(entry, i), !i);
  printf(")\n");
}

int cmd_about(cli *c) {
  cli_model m;
  char hex[WEIR_HASH_HEX_BYTES];
  json_t *entries = json_array();
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  int code = cli_model_open(c, c->arguments[0], false, &m);
  if (!code) {
    weir_hash identity = rt_package_identity(m.package);
    weir_hash_hex(&identity, hex);
    if (!c->json) printf("%s, code for %s\n", weir_model_name(m.model), weir_model_isa(m.model));
    for (int i = 0; i < weir_model_entry_count(m.model); i++) {
      json_array_append_new(entries, entry_json(weir_model_entry(m.model, i)));
      if (!c->json) print_entry(weir_model_entry(m.model, i));
    }
    if (c->json)
      code = cli_json(
          c, json_pack("{s:s,s:s,s:s,s:b,s:O}", "model", weir_model_name(m.model), "isa", weir_model_isa(m.model),
                       "package", hex, "tokenizer", m.tokenizer != NULL, "entries", entries));
  }
  json_decref(entries);
  cli_model_close(&m);
  return code;
}
