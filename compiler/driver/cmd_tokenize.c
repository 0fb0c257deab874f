// weir tokenize: text to ids and back. Needs the checkpoint's vocabulary alone: nothing is built.
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/model.h"

typedef struct {
  import_checkpoint *checkpoint;
  rt_package *package;
  text_buffer blob;
  text_tokenizer *tokenizer;
} vocabulary;

static weir_status open_package(vocabulary *v, const char *path) {
  WEIR_TRY(rt_package_open(path, NULL, &v->package));
  const rt_section *section = rt_package_find(v->package, RT_SECTION_TOKENIZER);
  if (!section) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "package '%s' has no tokenizer", path);
  WEIR_TRY(rt_package_check(v->package, section));
  return text_tokenizer_open(section->data, section->bytes, &v->tokenizer);
}

static weir_status open_weights(cli *c, vocabulary *v, const cli_source *source) {
  const char *weights = source->request.weights;
  if (!weights)
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "a tokenizer comes with the weights: give them with -w");
  WEIR_TRY(import_checkpoint_open(&c->arena, weights, &v->checkpoint));
  WEIR_TRY(plan_tokenizer(v->checkpoint, &v->blob));
  if (!v->blob.size) return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "'%s' comes without a tokenizer", weights);
  return text_tokenizer_open(v->blob.data, v->blob.size, &v->tokenizer);
}

static void close_vocabulary(vocabulary *v) {
  text_tokenizer_release(v->tokenizer);
  text_buffer_deinit(&v->blob);
  import_checkpoint_close(v->checkpoint);
  rt_package_close(v->package);
}

static int encode(cli *c, const vocabulary *v, const char *text, size_t size) {
  text_encode_options options = {.add_special = !cli_has(c, "bare"), .parse_special = cli_has(c, "special")};
  text_ids ids = {0};
  weir_status status = text_encode(v->tokenizer, text, size, options, &ids);
  json_t *list = json_array();
  for (size_t i = 0; i < ids.count; i++) json_array_append_new(list, json_integer(ids.data[i]));
  text_ids_deinit(&ids);
  if (status) {
    json_decref(list);
    return cli_fail(c, status);
  }
  return cli_json(c, c->json ? json_pack("{s:o}", "ids", list) : list);
}

// The ids of a JSON list of whole numbers.
static int read_ids(cli *c, const char *text, size_t size, text_ids *out) {
  json_error_t error;
  json_t *list = json_loadb(text, size, 0, &error);
  int code = CLI_DONE;
  if (!json_is_array(list)) code = cli_error(c, "--decode reads a JSON list of ids, as in [19556,665]");
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    json_int_t id = json_integer_value(item);
    if (!json_is_integer(item) || id < 0 || id > INT32_MAX) {
      code = cli_error(c, "element %zu of the list is no token id", i);
      break;
    }
    code = cli_fail(c, text_ids_append(out, (int32_t)id));
    if (code) break;
  }
  json_decref(list);
  return code;
}

static int decode(cli *c, const vocabulary *v, const char *text, size_t size) {
  text_ids ids = {0};
  text_buffer bytes = {0}, clean = {0};
  int code = read_ids(c, text, size, &ids);
  if (!code) {
    weir_status status = text_decode(v->tokenizer, ids.data, ids.count, (text_decode_options){0}, &bytes);
    if (!status) status = text_sanitize_utf8(bytes.data, bytes.size, &clean);
    code = cli_fail(c, status);
  }
  if (!code && c->json) {
    code = cli_json(c, json_pack("{s:o}", "text", cli_json_text(clean.data ? clean.data : "", clean.size)));
  } else if (!code) {
    cli_write(clean.data, clean.size);
    cli_write("\n", 1);
  }
  text_ids_deinit(&ids);
  text_buffer_deinit(&bytes);
  text_buffer_deinit(&clean);
  return code;
}

int cmd_tokenize(cli *c) {
  if (!cli_arguments(c, 1, 2)) return CLI_USAGE;
  const char *file = cli_text(c, "file"), *text = NULL;
  size_t size = 0;
  if (file && c->argument_count > 1) return cli_usage(c, "the text is either an argument or a file");
  if (!file && c->argument_count < 2) return cli_usage(c, "it needs a text, or a file with -f");
  cli_source source;
  int code = cli_locate(c, c->arguments[0], true, &source);
  if (code) return code;
  if (file) {
    code = cli_read_file(c, file, &text, &size);
    if (code) return code;
  } else {
    text = c->arguments[1];
    size = strlen(text);
  }
  vocabulary v = {0};
  code = cli_fail(c, source.package ? open_package(&v, source.package) : open_weights(c, &v, &source));
  if (!code) code = cli_has(c, "decode") ? decode(c, &v, text, size) : encode(c, &v, text, size);
  close_vocabulary(&v);
  return code;
}
