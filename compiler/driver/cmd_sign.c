// weir sign: puts a signature behind a package, or makes the key for it. The package's name, its table hash, stays.
#include <string.h>

#include "codegen/package/copy.h"
#include "compiler/driver/package_facts.h"

static const char *hex_of(cli *c, const rt_public_key *key) {
  char hex[WEIR_HASH_HEX_BYTES];
  weir_hash hash;
  memcpy(hash.bytes, key->bytes, sizeof hash.bytes);
  weir_hash_hex(&hash, hex);
  return weir_arena_strdup(&c->arena, hex);
}

static int make_key(cli *c, const char *name) {
  rt_public_key key;
  const char *secret = weir_arena_printf(&c->arena, "%s.pem", name);
  const char *public = weir_arena_printf(&c->arena, "%s.pub.pem", name);
  int code = cli_fail(c, cg_signing_key_create(secret, public, &key));
  if (code) return code;
  if (c->json)
    return cli_json(c, json_pack("{s:s,s:s,s:s}", "secret", secret, "public", public, "key", hex_of(c, &key)));
  printf("%s  keep this one secret\n%s  give this one to whoever loads your packages\n%s\n", secret, public,
         hex_of(c, &key));
  return CLI_DONE;
}

static int sign(cli *c, const char *path, const char *output, const cg_signing_key *key) {
  cli_opened_package opened;
  cg_copy_result result;
  cg_copy_options options = {.key = key, .cancel = c->cancel};
  int code = cli_package_open(c, path, &opened);
  if (code) return code;
  if (rt_package_version(opened.package) != RT_PACKAGE_VERSION)
    code = cli_error(c, "%s has an older format, which has no signatures: weir upgrade makes a current package", path);
  // What is signed is said to be whole.
  if (!code && opened.weights_problem) code = cli_error(c, "%s", opened.weights_problem);
  if (!code) code = cli_fail(c, weir_status_annotate(rt_package_verify(opened.package), "package '%s'", path));
  if (!code) code = cli_fail(c, cg_package_copy(&c->arena, opened.package, output, &options, &result));
  cli_package_close(&opened);
  if (code) return code;
  if (c->json) return cli_json(c, json_pack("{s:s,s:s}", "path", output, "key", hex_of(c, &key->public_key)));
  printf("%s  signed by %s\n", output, hex_of(c, &key->public_key));
  return CLI_DONE;
}

int cmd_sign(cli *c) {
  const char *name = cli_text(c, "new"), *path = cli_text(c, "key"), *output = cli_text(c, "output");
  if (name) return cli_arguments(c, 0, 0) ? make_key(c, name) : CLI_USAGE;
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  if (!path) return cli_usage(c, "it needs a secret key: --key FILE; weir sign --new NAME makes one");
  cg_signing_key key;
  if (!output) output = c->arguments[0];
  int code = cli_check_output(c, output);
  if (!code) code = cli_fail(c, cg_signing_key_read(path, &key));
  if (code) return code;
  code = sign(c, c->arguments[0], output, &key);
  cg_signing_key_clear(&key);
  return code;
}
