// weir new: a first model that runs as it is, alone or in a folder of its own.
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

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

static const char project_layers[] =
    "// Blocks of your own; models say `use \"layers.weir\";`.\n"
    "use std.nn;\n"
    "\n"
    "/// A hidden layer with an activation, and a way around it.\n"
    "block Residual {D: int, H: int} (x: f[..., D]) -> f[..., D] {\n"
    "  up: Linear{D, H, bias = true};\n"
    "  down: Linear{H, D, bias = true};\n"
    "  return x + down(relu(up(x)));\n"
    "}\n";

static const char project_model[] =
    "use \"layers.weir\";\n"
    "use std.nn;\n"
    "\n"
    "/// A small classifier.\n"
    "model %s {D = 4, H = 16, O = 3, depth = 2} {\n"
    "  layers: Residual{D, H}[depth];\n"
    "  head: Linear{D, O, bias = true};\n"
    "\n"
    "  /// The probability of each class.\n"
    "  entry classify(x: f32[D]) -> f32[O] {\n"
    "    h = f(x);\n"
    "    for layer in layers { h = layer(h); }\n"
    "    return softmax(f32(head(h)), over = O);\n"
    "  }\n"
    "}\n"
    "\n"
    "/// Half the memory of f32.\n"
    "plan small for %s {\n"
    "  float = f32;\n"
    "  store **.weight: f16;\n"
    "}\n";

static const char project_readme[] =
    "# %s\n"
    "\n"
    "`model.weir` is the model, `layers.weir` its blocks.\n"
    "\n"
    "    weir check model.weir                                  # all mistakes\n"
    "    weir fmt model.weir layers.weir                        # the one layout\n"
    "    weir run model.weir --random 1 -i x=[1,2,3,4]          # runs, with random weights\n"
    "    weir show model.weir --svg model.svg                   # a picture\n"
    "    weir doc model.weir                                    # its reference page\n"
    "    weir build model.weir --random 1 --plan small -o %s.wpk    # one file that runs anywhere\n";

// NAME/ with a model, its blocks, a page that tells what to do, and what version control leaves out.
static int new_project(cli *c, const char *folder, const char *stem, const char *name) {
  const char *const files[][2] = {
      {"model.weir", weir_arena_printf(&c->arena, project_model, name, name)},
      {"layers.weir", project_layers},
      {"README.md", weir_arena_printf(&c->arena, project_readme, name, stem)},
      {".gitignore", "*.wpk\n*.gguf\n*.safetensors\n"},
  };
  if (mkdir(folder, 0777) != 0) {
    if (errno == EEXIST) return cli_error(c, "%s exists already", folder);
    return cli_fail(c, weir_status_make(WEIR_CODE_IO, "cannot make the folder %s: %s", folder, strerror(errno)));
  }
  json_t *written = json_array();
  weir_status status = WEIR_OK;
  for (size_t i = 0; i < sizeof files / sizeof *files && !status; i++) {
    const char *path = weir_arena_printf(&c->arena, "%s/%s", folder, files[i][0]);
    status = weir_file_write_atomic(path, files[i][1], strlen(files[i][1]));
    json_array_append_new(written, json_string(path));
    if (!status && !c->json) printf("%s\n", path);
  }
  if (!status && c->json) return cli_json(c, json_pack("{s:o,s:s}", "paths", written, "model", name));
  json_decref(written);
  if (!status) cli_note(c, "now try: weir run %s/model.weir --random 1 -i x=[1,2,3,4]", folder);
  return cli_fail(c, status);
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
  if (cli_has(c, "project")) return new_project(c, given, stem, name);
  if (weir_file_exists(path)) return cli_error(c, "%s exists already", path);
  const char *text = weir_arena_printf(&c->arena, first_model, name, path, path, path, name);
  weir_status status = weir_file_write_atomic(path, text, strlen(text));
  if (status) return cli_fail(c, status);
  if (c->json) return cli_json(c, json_pack("{s:s,s:s}", "path", path, "model", name));
  printf("%s\n", path);
  cli_note(c, "now try: weir run %s --random 1 -i x=[1,2,3,4]", path);
  return CLI_DONE;
}
