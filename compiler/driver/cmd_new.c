// weir new: a first model that runs as it is.
#include <ctype.h>
#include <string.h>

#include "compiler/driver/cli.h"
#include "runtime/base/io.h"

static const char first_model[] =
    "// %s: a small network to start from. Try:\n"
    "//   weir check %s\n"
    "//   weir run %s --random 1 -i x=[1,2,3,4]\n"
    "//   weir show %s --random 1\n"
    "use std.nn;\n"
    "\n"
    "/// A hidden layer and an output layer.\n"
    "model %s {D = 4, H = 16, O = 3} {\n"
    "  hidden: Linear{D, H, bias = true};\n"
    "  output: Linear{H, O, bias = true};\n"
    "\n"
    "  /// The probability of each class.\n"
    "  entry classify(x: f32[D]) -> f32[O] {\n"
    "    h = relu(hidden(f(x)));\n"
    "    return softmax(f32(output(h)), over = O);\n"
    "  }\n"
    "}\n";

// The model's name from the file's: first-model -> FirstModel. Null if nothing is left.
static const char *type_name(cli *c, const char *stem) {
  char *name = weir_arena_alloc(&c->arena, strlen(stem) + 1);
  size_t length = 0;
  bool upper = true;
  for (; *stem; stem++) {
    unsigned char byte = (unsigned char)*stem;
    if (byte > 127 || !isalnum(byte) || (!length && isdigit(byte))) {
      upper = true;
      continue;
    }
    name[length++] = (char)(upper ? toupper(byte) : byte);
    upper = false;
  }
  return length ? name : NULL;
}

int cmd_new(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  const char *given = c->arguments[0], *slash = strrchr(given, '/'), *stem = slash ? slash + 1 : given;
  size_t length = strlen(stem);
  if (length > 5 && !strcmp(stem + length - 5, ".weir")) {
    stem = weir_arena_strndup(&c->arena, stem, length - 5);
    given = weir_arena_strndup(&c->arena, given, strlen(given) - 5);
  }
  const char *name = type_name(c, stem), *path = weir_arena_printf(&c->arena, "%s.weir", given);
  if (!name) return cli_usage(c, "'%s' has no letter to name a model after", c->arguments[0]);
  if (weir_file_exists(path)) return cli_error(c, "%s exists already", path);
  const char *text = weir_arena_printf(&c->arena, first_model, name, path, path, path, name);
  weir_status status = weir_file_write_atomic(path, text, strlen(text));
  if (status) return cli_fail(c, status);
  if (c->json) return cli_json(c, json_pack("{s:s,s:s}", "path", path, "model", name));
  printf("%s\n", path);
  cli_note(c, "now try: weir run %s --random 1 -i x=[1,2,3,4]", path);
  return CLI_DONE;
}
