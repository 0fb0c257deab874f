// weir inspect: what is in a package.
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/model.h"

static json_t *sections_json(const rt_package *package) {
  json_t *list = json_array();
  for (int i = 0; i < rt_package_section_count(package); i++) {
    const rt_section *section = rt_package_section(package, i);
    char hex[WEIR_HASH_HEX_BYTES];
    weir_hash_hex(&section->hash, hex);
    json_array_append_new(
        list, json_pack("{s:s,s:I,s:I,s:s}", "name", section->name, "offset", (json_int_t)section->offset, "bytes",
                        (json_int_t)section->bytes, "hash", hex));
  }
  return list;
}

static json_t *weights_json(const rt_package *package) {
  json_t *list = json_array();
  for (int i = 0; i < rt_package_weight_count(package); i++) {
    const rt_package_weight *w = rt_package_weight_at(package, i);
    json_array_append_new(
        list, json_pack("{s:s,s:s,s:s,s:s,s:I,s:I}", "key", w->key, "storage", w->storage, "layout", w->layout, "dims",
                        w->dims, "offset", (json_int_t)w->offset, "bytes", (json_int_t)w->bytes));
  }
  return list;
}

static int inspect_json(cli *c, const rt_package *package, const json_t *manifest) {
  char hex[WEIR_HASH_HEX_BYTES];
  weir_hash identity = rt_package_identity(package);
  weir_hash_hex(&identity, hex);
  json_t *document =
      json_pack("{s:s,s:O,s:o}", "identity", hex, "manifest", manifest, "sections", sections_json(package));
  if (cli_has(c, "list_weights")) json_object_set_new(document, "weights", weights_json(package));
  return cli_json(c, document);
}

static void print_line(const char *name, const json_t *value) {
  char *text = json_dumps(value, JSON_ENCODE_ANY);
  if (text) printf("%-14s %s\n", name, json_is_string(value) ? json_string_value(value) : text);
  free(text);
}

static int inspect_text(cli *c, const rt_package *package, const json_t *manifest) {
  char hex[WEIR_HASH_HEX_BYTES];
  weir_hash identity = rt_package_identity(package);
  weir_hash_hex(&identity, hex);
  printf("%-14s %s\n", "identity", hex);
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)manifest, key, value) print_line(key, value);
  printf("\n%-34s %12s\n", "section", "bytes");
  for (int i = 0; i < rt_package_section_count(package); i++) {
    const rt_section *section = rt_package_section(package, i);
    printf("%-34s %12zu\n", section->name, section->bytes);
  }
  int64_t bytes = 0;
  for (int i = 0; i < rt_package_weight_count(package); i++) {
    const rt_package_weight *w = rt_package_weight_at(package, i);
    bytes += w->bytes;
    if (cli_has(c, "list_weights"))
      printf("%s%-56s %-6s %-6s %-14s %12lld\n", i ? "" : "\n", w->key, w->storage, w->layout, w->dims,
             (long long)w->bytes);
  }
  printf("\n%d weights, %s\n", rt_package_weight_count(package), cli_bytes(&c->arena, (double)bytes));
  return CLI_DONE;
}

static int print_section(cli *c, const rt_package *package, const char *name) {
  const rt_section *section = rt_package_find(package, name);
  if (!section) return cli_error(c, "the package has no section '%s'", name);
  int code = cli_fail(c, rt_package_check(package, section));
  if (!code) cli_write((const char *)section->data, section->bytes);
  return code;
}

int cmd_inspect(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  rt_package *package = NULL;
  int code = cli_fail(c, rt_package_open(c->arguments[0], NULL, &package));
  if (code) return code;
  const char *section = cli_text(c, "section");
  if (section) {
    code = print_section(c, package, section);
  } else {
    const rt_section *manifest = rt_package_find(package, RT_SECTION_MANIFEST);  // opening has read it
    json_error_t error;
    json_t *root = json_loadb((const char *)manifest->data, manifest->bytes, 0, &error);
    code = c->json ? inspect_json(c, package, root) : inspect_text(c, package, root);
    json_decref(root);
  }
  rt_package_close(package);
  return code;
}
